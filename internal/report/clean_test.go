package report

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestClean(t *testing.T) {
	for name, tt := range map[string]struct{ text, want string }{
		"plain":                     {`image "a:1" <b> has no digest – ünïcode 日本`, `image "a:1" <b> has no digest – ünïcode 日本`},
		"colour":                    {"\x1b[31mred\x1b[0m", `\x1b[31mred\x1b[0m`},
		"title of the window":       {"\x1b]0;pwned\a", `\x1b]0;pwned\x07`},
		"8-bit control sequence":    {"\u009b2J", `\x9b2J`},
		"line ends and a back step": {"a\nb\rc\bd\te", `a\nb\x0dc\x08d e`},
		"text that turns around":    {"a\u202eb\u2066c", `a\u202eb\u2066c`},
		"no width, line separator":  {"a\u200bb\u2028c", `a\u200bb\u2028c`},
		"tag characters":            {"a\U000e0041", `a\U000e0041`},
		"no UTF-8":                  {"a\xffb", "a\uFFFDb"},
		"a command of GitHub's":     {" ::error file=a::b", `\ ::error file=a::b`},
		"the older form":            {"x ##[error]y", `x ##\[error]y`},
		"colons elsewhere":          {"a::b", "a::b"},
		"long":                      {strings.Repeat("é", 55), strings.Repeat("é", 50) + "… (5 more characters)"},
		"empty":                     {"", ""},
	} {
		if got := Clean(tt.text, 50); got != tt.want {
			t.Errorf("%s: Clean(%q) = %q, want %q", name, tt.text, got, tt.want)
		}
	}
}

func TestLines(t *testing.T) {
	for name, tt := range map[string]struct {
		text string
		want []string
	}{
		"one":             {"a", []string{"a"}},
		"none":            {"", []string{""}},
		"ends of lines":   {"a\r\nb\n\n", []string{"a", "b"}},
		"too many":        {strings.Repeat("x\n", 15), append(strings.Split(strings.Repeat("x,", 11)+"x", ","), "… (3 more lines)")},
		"each is cleaned": {"a\n\x1b[2J\n::debug::x", []string{"a", `\x1b[2J`, `\::debug::x`}},
	} {
		if diff := cmp.Diff(tt.want, lines(tt.text)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
