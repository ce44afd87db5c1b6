package config

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"lumacore.dev/lumacore/internal/report"
)

func TestReadAnswers(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		data string
		want map[string]Answer
		err  string
	}{
		"empty":             {"", map[string]Answer{}, ""},
		"values and errors": {"- key: a\n  value: {signed: true}\n- {key: b, error: no signature}\n", map[string]Answer{"a": {Value: map[string]any{"signed": true}}, "b": {Error: "no signature"}}, ""},
		"a mapping":         {"a: b\n", nil, "answers.yaml:1: a list of mappings with key and value, or key and error, is expected"},
		"a text":            {"- a\n", nil, "answers.yaml:1: a mapping with key and value, or key and error, is expected"},
		"misspelt":          {"- key: a\n  valeu: b\n", nil, `answers.yaml:2: there is no key "valeu" here; known are key, value and error`},
		"neither":           {"- key: a\n", nil, "answers.yaml:1: each answer has a key of its own and either a value or an error"},
		"both":              {"- {key: a, value: b, error: c}\n", nil, "answers.yaml:1: each answer has a key of its own and either a value or an error"},
		"twice":             {"- {key: a, value: b}\n- {key: a, value: c}\n", nil, "answers.yaml:2: each answer has a key of its own and either a value or an error"},
		"another type":      {"- key: [a]\n  value: b\n", nil, "answers.yaml:1: key is a list, which it cannot be"},
		"no YAML":           {"- [\n", nil, "answers.yaml:1: this is no YAML: did not find expected node content"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := (&Config{}).ReadAnswers(answersFile(c.data), Provider{Answers: "answers.yaml"})
			if said := errorText(err); said != c.err {
				t.Errorf("error %q, want %q", said, c.err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	_, err := (&Config{}).ReadAnswers(none{}, Provider{Answers: "answers.yaml", Location: report.Location{File: File, Line: 7}})
	if want := "lumacore.yaml:7: answers.yaml is no file of the repository"; errorText(err) != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// answersFile is a tree with one file.
type answersFile string

func (f answersFile) ReadFile(string) ([]byte, error) { return []byte(f), nil }
func (answersFile) IsFile(string) bool                { return true }

func FuzzReadAnswers(f *testing.F) {
	f.Add([]byte("- key: a\n  value: {signed: true}\n- {key: b, error: no signature}\n"))
	f.Add([]byte("- &a [*a]\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		answers, err := (&Config{}).ReadAnswers(answersFile(data), Provider{Answers: "answers.yaml"})
		if (err == nil) != (answers != nil) {
			t.Errorf("answers %v, error %v", answers, err)
		}
	})
}
