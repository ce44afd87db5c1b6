package report

import (
	"bytes"
	"strings"
	"testing"
)

func TestFold(t *testing.T) {
	t.Parallel()
	const long = "    52 warning images/no-digest  the image has no digest: the registry may answer with another"
	for name, tt := range map[string]struct {
		line          string
		indent, width int
		want          string
	}{
		"no terminal":        {long, 7, 0, long},
		"too narrow to help": {long, 7, 49, long},
		"wide enough":        {long, 7, len(long), long},
		"one too narrow":     {long, 7, len(long) - 1, strings.Replace(long, " another", "\n       another", 1)},
		"twice": {long, 7, 50, "    52 warning images/no-digest  the image has no\n" +
			"       digest: the registry may answer with\n       another"},
		"a word that does not fit": {
			"  " + strings.Repeat("x", 60) + " y " + strings.Repeat("z", 60), 4, 50,
			"  " + strings.Repeat("x", 60) + "\n    y\n    " + strings.Repeat("z", 60),
		},
		"colours take no room": {
			"    \x1b[33m" + strings.Repeat("x", 40) + "\x1b[0m 78901", 7, 50,
			"    \x1b[33m" + strings.Repeat("x", 40) + "\x1b[0m 78901",
		},
		"characters, not bytes": {strings.Repeat("ü", 48) + " 1", 7, 50, strings.Repeat("ü", 48) + " 1"},
		"two spaces": {
			"    HelmRelease web/traefik  " + strings.Repeat("x", 40), 6, 50,
			"    HelmRelease web/traefik\n      " + strings.Repeat("x", 40),
		},
		"nothing": {"", 7, 50, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := fold(tt.line, tt.indent, tt.width); got != tt.want {
				t.Errorf("fold(%q, %d, %d)\ngot:\n%s\nwant:\n%s", tt.line, tt.indent, tt.width, got, tt.want)
			}
		})
	}
}

// TestCheckTextWidth: on a terminal nothing that could be folded is wider than it,
// and folding loses nothing; a file is never folded.
func TestCheckTextWidth(t *testing.T) {
	t.Parallel()
	text := func(width int, stdout bool) string {
		var out bytes.Buffer
		s := &Streams{Out: &out, OutTTY: true, Color: true, Width: width}
		if err := encode(s, &out, Text, exampleReport(), stdout); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	wide := text(0, true)
	for _, width := range []int{80, 120} {
		narrow := text(width, true)
		if got, want := strings.Fields(narrow), strings.Fields(wide); strings.Join(got, " ") != strings.Join(want, " ") {
			t.Errorf("%d columns: the words differ", width)
		}
		for line := range strings.Lines(narrow) {
			words := strings.Fields(line)
			if visible(strings.TrimRight(line, "\n")) > width && len(words) > 2 && !strings.Contains(line, "│") && !strings.Contains(line, "findings  failing") {
				t.Errorf("%d columns: too wide: %s", width, line)
			}
		}
	}
	if text(80, false) != text(0, false) {
		t.Error("the text in a file depends on the terminal")
	}
}
