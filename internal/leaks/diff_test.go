package leaks

import (
	"bufio"
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// newReader has a small buffer, so that lines do not fit.
func newReader(data []byte) *bufio.Reader { return bufio.NewReaderSize(bytes.NewReader(data), 16) }

func TestDiff(t *testing.T) {
	t.Parallel()
	const name = "0123456789012345678901234567890123456789"
	const head = name + " 60\n\ndiff --git a/x b/x\nindex 1..2 100644\n--- a/x\n+++ b/x\n"
	for title, tt := range map[string]struct {
		text string
		want []string // "file:line text"
		err  string
	}{
		"empty":          {"", nil, ""},
		"one":            {head + "@@ -1 +1,2 @@ key:\n-a\n+b\n+c\n", []string{"x:1 b\nc\n"}, ""},
		"removed":        {head + "@@ -1,2 +0,0 @@\n-a\n-b\n", []string{"x:0 "}, ""},
		"no line break":  {head + "@@ -1 +1 @@\n-a\n\\ No newline at end of file\n+b\n\\ No newline at end of file\n", []string{"x:1 b"}, ""},
		"break added":    {head + "@@ -1 +1 @@\n-a\n\\ No newline at end of file\n+b\n", []string{"x:1 b\n"}, ""},
		"two":            {head + "@@ -1 +1 @@\n-a\n+b\n@@ -5,0 +6 @@\n+c\n" + name + " 61\n\ndiff --git a/y b/y\n+++ b/y\n@@ -0,0 +1 @@\n+d\n", []string{"x:1 b\n", "x:6 c\n", "y:1 d\n"}, ""},
		"looks like one": {head + "@@ -0,0 +1,2 @@\n+++ b/y\n+@@ -1 +1 @@\n", []string{"x:1 ++ b/y\n@@ -1 +1 @@\n"}, ""},
		"binary":         {name + " 60\n\ndiff --git a/x b/x\nBinary files a/x and b/x differ\n", nil, ""},
		"long line":      {head + "@@ -0,0 +1,2 @@\n+" + strings.Repeat("x", 200) + "\n+b\n", []string{"x:1 large"}, ""},
		"long removed":   {head + "@@ -1 +1 @@\n-" + strings.Repeat("x", 200) + "\n+b\n", []string{"x:1 b\n"}, ""},
		"quoted name":    {strings.ReplaceAll(head, "b/x\n@", "b/x\n@") + "", nil, ""},
		"breaks off":     {head + "@@ -0,0 +1,2 @@\n+b\n", nil, "git breaks off in a file"},
		"wrong line":     {head + "@@ -0,0 +1,2 @@\n b\n", nil, "neither added nor removed"},
		"wrong range":    {head + "@@ -0,0 +x @@\n", nil, "names no lines"},
		"no file":        {name + " 60\ndiff --git a/x b/x\n@@ -0,0 +1 @@\n+a\n", nil, "where no file is named"},
		"no commit":      {"diff --git a/x b/x\n+++ b/x\n@@ -0,0 +1 @@\n+a\n", nil, "where no file is named"},
		"long header":    {"diff --git " + strings.Repeat("x", maxHeader+100) + "\n", nil, "longer than names can be"},
	} {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			var got []string
			err := newDiffParser(newReader([]byte(tt.text)), 100).each(func(h *hunk) error {
				text := h.text
				if h.large {
					text = "large"
				}
				got = append(got, h.file+":"+string(rune('0'+h.line))+" "+text)
				return nil
			})
			if (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("error %v, want %q", err, tt.err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("hunks (-want +got):\n%s", diff)
			}
		})
	}
}

func TestFileName(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"b/x": "x", "b/a b\t": "a b", `"b/\303\274\n"`: "ü\n", "/dev/null": "/dev/null", "b/b/x": "b/x",
	} {
		if got, err := fileName(in); got != want || err != nil {
			t.Errorf("%q is %q, %v", in, got, err)
		}
	}
	for _, in := range []string{"", "x", `"b/`, `"b/\9"`, "b/"} {
		if got, err := fileName(in); err == nil {
			t.Errorf("%q is %q", in, got)
		}
	}
}
