package homelab

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v3"

	"lumacore.dev/lumacore/internal/config"
	"lumacore.dev/lumacore/internal/report"
	"lumacore.dev/lumacore/internal/settings"
)

// The head of a file of answers.
const (
	APIVersion = report.APIVersion
	Kind       = "Answers"
)

// MaxAnswers bounds a file of answers, in bytes.
const MaxAnswers = 1 << 20

// Answer is what an owner said.
type Answer struct {
	Value string
	From  string // where it was said: "--domain", "answers.yaml:7"; "" at a prompt
}

// Answers are answers, by key.
type Answers map[string]Answer

// Values are the answers without where they are from.
func (a Answers) Values() Values {
	is := Values{}
	for key, answer := range a {
		is[key] = answer.Value
	}
	return is
}

// Mistake is one thing that is wrong with the answers.
type Mistake struct {
	From    string // where the answer was given; "" for nowhere
	Message string
}

func (m Mistake) String() string {
	if m.From == "" {
		return m.Message
	}
	return m.From + ": " + m.Message
}

// AnswersError is everything that is wrong with the answers.
type AnswersError struct {
	Mistakes []Mistake   // in the order of the questions, or of a file's lines
	Missing  []*Question // without an answer
}

func (e *AnswersError) Error() string {
	var b strings.Builder
	switch n := len(e.Mistakes); {
	case n == 1:
		b.WriteString(e.Mistakes[0].String())
	case n > 1:
		fmt.Fprintf(&b, "%d answers are wrong", n)
		for _, m := range e.Mistakes {
			b.WriteString("\n  " + m.String())
		}
	}
	if n := len(e.Missing); n > 0 {
		if b.Len() > 0 {
			b.WriteString("\n")
		}
		if n == 1 {
			b.WriteString("1 answer is missing")
		} else {
			fmt.Fprintf(&b, "%d answers are missing", n)
		}
		for _, q := range e.Missing {
			fmt.Fprintf(&b, "\n  --%-19s %s, like %s", q.Flag, q.Meaning, q.Example)
		}
	}
	return b.String()
}

// ReadAnswers reads a file of answers; name is for messages. Its error is an
// [*AnswersError].
func ReadAnswers(r io.Reader, name string) (Answers, error) {
	var wrong []Mistake
	mistake := func(line int, format string, args ...any) {
		wrong = append(wrong, Mistake{From: name + ":" + strconv.Itoa(line), Message: fmt.Sprintf(format, args...)})
	}
	data, err := io.ReadAll(io.LimitReader(r, MaxAnswers+1))
	switch {
	case err != nil:
		return nil, &AnswersError{Mistakes: []Mistake{{name, "cannot be read: " + err.Error()}}}
	case len(data) > MaxAnswers:
		return nil, &AnswersError{Mistakes: []Mistake{{name, "has more than 1024 KiB, which are the most that are read"}}}
	}
	a := Answers{}
	if root := document(data, mistake); root != nil {
		a = mapping(root, name, mistake)
	}
	if len(wrong) > 0 {
		return nil, &AnswersError{Mistakes: wrong}
	}
	return a, nil
}

// document parses the one document of a file. Without one it returns nil.
func document(data []byte, mistake func(int, string, ...any)) (root *yaml.Node) {
	// The parser has panicked on strange bytes before; that must not end the run.
	defer func() {
		if p := recover(); p != nil {
			mistake(1, "this is no YAML: the parser gave up: %v", p)
			root = nil
		}
	}()
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc, more yaml.Node
	if err := dec.Decode(&doc); err != nil {
		if errors.Is(err, io.EOF) {
			mistake(1, "the file has no answers; lumacore init --sample-answers shows its form")
			return nil
		}
		line, reason := 1, strings.TrimPrefix(err.Error(), "yaml: ")
		if rest, ok := strings.CutPrefix(reason, "line "); ok {
			if n, why, ok := strings.Cut(rest, ": "); ok {
				if i, err := strconv.Atoi(n); err == nil {
					line, reason = max(1, i), why
				}
			}
		}
		mistake(line, "this is no YAML: %s", reason)
		return nil
	}
	if err := dec.Decode(&more); !errors.Is(err, io.EOF) {
		mistake(max(1, more.Line), "the file holds one document")
		return nil
	}
	root = &doc
	if doc.Kind == yaml.DocumentNode && len(doc.Content) > 0 {
		root = doc.Content[0]
	}
	if root.Kind != yaml.MappingNode {
		mistake(max(1, root.Line), "a mapping of answers is expected; lumacore init --sample-answers shows its form")
		return nil
	}
	return root
}

// mapping reads the answers themselves.
func mapping(root *yaml.Node, name string, mistake func(int, string, ...any)) Answers {
	a := Answers{}
	head := map[string]string{"apiVersion": "", "kind": ""}
	known := append([]string{"apiVersion", "kind"}, keys()...)
	seen := map[string]int{}
	for i := 0; i+1 < len(root.Content); i += 2 {
		key, value := root.Content[i], root.Content[i+1]
		_, isHead := head[key.Value]
		switch {
		case key.Kind != yaml.ScalarNode || key.Tag == "!!merge":
			mistake(key.Line, "a key is no plain word")
		case seen[key.Value] > 0:
			mistake(key.Line, "%s stands in line %d already", plain(key.Value), seen[key.Value])
		case !isHead && Lookup(key.Value) == nil:
			hint := "lumacore init --sample-answers shows all"
			if near := nearest(key.Value, known); near != "" {
				hint = "did you mean " + near + "?"
			}
			mistake(key.Line, "there is no answer %q; %s", cut(key.Value), hint)
		case value.Kind != yaml.ScalarNode:
			mistake(value.Line, "%s is no text; write one value behind it", key.Value)
		case isHead:
			head[key.Value] = value.Value
		case value.Tag == "!!null": // not answered
		default:
			a[key.Value] = Answer{Value: value.Value, From: name + ":" + strconv.Itoa(value.Line)}
		}
		seen[key.Value] = key.Line
	}
	switch apiVersion, kind := head["apiVersion"], head["kind"]; {
	case apiVersion == "" || kind == "":
		mistake(1, "begin the file with apiVersion: %s and kind: %s", APIVersion, Kind)
	case apiVersion != APIVersion || kind != Kind:
		mistake(1, "this is %s %s; %s %s is expected", plain(apiVersion), plain(kind), APIVersion, Kind)
	}
	return a
}

// nearest also knows the answers by the names of their flags and settings.
func nearest(key string, known []string) string {
	for _, q := range Questions {
		if key == q.Flag || key == q.Setting {
			return q.Key
		}
	}
	for _, k := range known {
		if strings.EqualFold(k, key) {
			return k
		}
	}
	return report.Nearest(key, known)
}

// Complete gives answers that have a default their default.
func (a Answers) Complete() {
	for _, q := range Questions {
		if _, ok := a[q.Key]; ok || q.Default == nil {
			continue
		}
		if value := q.Default(a.Values()); value != "" {
			a[q.Key] = Answer{Value: value}
		}
	}
}

// Missing are the questions that have no answer and need one.
func (a Answers) Missing() []*Question {
	var list []*Question
	for i := range Questions {
		q := &Questions[i]
		// These two follow from others, which are named if they are missing.
		follows := q.Key == "s3Endpoint" || q.Key == "docsUrl"
		if _, ok := a[q.Key]; !ok && !q.Optional && !follows {
			list = append(list, q)
		}
	}
	return list
}

// Check says what is wrong with the answers that there are: with each, and with them
// together.
func (a Answers) Check() []Mistake {
	var list []Mistake
	good := map[string]string{}
	wrong := map[string]string{} // by setting
	for _, q := range Questions {
		answer, ok := a[q.Key]
		switch {
		case !ok:
		case q.Setting != "":
			if m := settings.Lookup(q.Setting).Check(answer.Value); m != nil {
				wrong[q.Setting] = m.Message
			} else {
				good[q.Setting] = answer.Value
			}
		default:
			if why := q.wrong(answer.Value); why != "" {
				wrong[q.Key] = why
			}
		}
	}
	for _, m := range settings.Together(good) {
		if wrong[m.Name] == "" {
			wrong[m.Name] = m.Message
		}
	}
	a.together(good, wrong)
	for _, q := range Questions {
		name := q.Setting
		if name == "" {
			name = q.Key
		}
		if wrong[name] != "" {
			list = append(list, Mistake{From: a[q.Key].From, Message: wrong[name]})
		}
	}
	return list
}

// together looks at what only answers have, and settings do not.
func (a Answers) together(good, wrong map[string]string) {
	provider, endpoint := a["s3Provider"].Value, good["S3_ENDPOINT"]
	if wrong["s3Provider"] == "" && provider != "" && endpoint != "" && wrong["S3_ENDPOINT"] == "" && settings.Provider(endpoint) != provider {
		wrong["S3_ENDPOINT"] = fmt.Sprintf("S3 endpoint %q is none of %s; write it like %s", endpoint, settings.ProviderTitle(provider), settings.ProviderLike(provider))
	}
	name, hasName := a["publicName"]
	email, hasEmail := a["publicEmail"]
	switch {
	case hasName && !hasEmail && wrong["publicName"] == "":
		wrong["publicName"] = fmt.Sprintf("public name %q has no public e-mail; give both, or neither", name.Value)
	case hasEmail && !hasName && wrong["publicEmail"] == "":
		wrong["publicEmail"] = fmt.Sprintf("public e-mail %q has no public name; give both, or neither", email.Value)
	case hasEmail && wrong["publicEmail"] == "" && strings.EqualFold(email.Value, a["ownerEmail"].Value):
		wrong["publicEmail"] = fmt.Sprintf("public e-mail %q is the owner's, with which Cloudflare Access lets in; strangers see the public one: use a no-reply address of your code host", email.Value)
	}
}

// wrong says what is wrong with an answer that is no setting.
func (q *Question) wrong(value string) string {
	switch {
	case value == "":
		return q.Words + " is empty"
	case settings.Secret(value) != "":
		return q.Words + " looks like " + settings.Secret(value) + ", and no secret may stand in Git"
	case value != strings.TrimSpace(value) || strings.ContainsFunc(value, func(r rune) bool { return !unicode.IsPrint(r) }):
		return fmt.Sprintf("%s %q begins or ends with a blank, or has a character that cannot be seen", q.Words, value)
	}
	if why := q.check(value); why != "" {
		return q.Words + " " + why
	}
	return ""
}

// Settings are the answers as variables of settings.env.
func (a Answers) Settings() map[string]string {
	values := map[string]string{}
	for _, q := range Questions {
		if answer, ok := a[q.Key]; ok && q.Setting != "" {
			values[q.Setting] = answer.Value
		}
	}
	return values
}

// Identity is the public identity, or nil.
func (a Answers) Identity() *config.Identity {
	if a["publicName"].Value == "" {
		return nil
	}
	return &config.Identity{Name: a["publicName"].Value, Email: a["publicEmail"].Value}
}

// Sample is a file of answers to fill in.
func Sample() string {
	var b strings.Builder
	b.WriteString(`---
# Answers for lumacore init: fill in what is empty, then
#   lumacore init --answers FILE DIR
# Nothing secret may stand here: lumacore says later what to put into 1Password.
apiVersion: ` + APIVersion + `
kind: ` + Kind + "\n")
	group := ""
	for _, q := range Questions {
		if q.Group != group {
			group = q.Group
			b.WriteString("\n# " + group + "\n")
		}
		value := ""
		if q.Default != nil {
			value = q.Default(Values{})
		}
		meaning := strings.ToUpper(q.Meaning[:1]) + q.Meaning[1:]
		switch {
		case value != "":
			fmt.Fprintf(&b, "\n# %s.\n%s: %s\n", meaning, q.Key, value)
		case q.Optional || q.Default != nil:
			fmt.Fprintf(&b, "\n# OPTIONAL. %s. Example: %s\n%s:\n", meaning, q.Example, q.Key)
		default:
			fmt.Fprintf(&b, "\n# REQUIRED. %s. Example: %s\n%s:\n", meaning, q.Example, q.Key)
		}
	}
	return b.String()
}

func quote(s string) string { return strconv.Quote(cut(s)) }

// cut shortens what is quoted in a message.
func cut(s string) string {
	const most = 60
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}

// plain is a word of a file as it can be shown.
func plain(s string) string {
	if s = cut(s); s == "" || strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return strconv.Quote(s)
	}
	return s
}
