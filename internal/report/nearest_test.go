package report

import (
	"strings"
	"testing"
)

func TestNearest(t *testing.T) {
	known := []string{"images/no-digest", "images/no-tag", "clusters", "check", "file", "fix"}
	for word, want := range map[string]string{
		"images/no-digset":       "images/no-digest",
		"image/no-digest":        "images/no-digest",
		"Clusters":               "clusters",
		"cluster":                "clusters",
		"chekc":                  "check",
		"fxi":                    "fix",
		"fi":                     "fix",
		"f":                      "",
		"":                       "",
		"something/else":         "",
		strings.Repeat("x", 1e6): "",
	} {
		if got := Nearest(word, known); got != want {
			t.Errorf("Nearest(%.40q) = %q, want %q", word, got, want)
		}
	}
}

func TestEdits(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want int
	}{
		{"", "", 0},
		{"", "abc", 3},
		{"abc", "", 3},
		{"abc", "abc", 0},
		{"abc", "acb", 1},
		{"kitten", "sitting", 3},
		{"ca", "abc", 3},
	} {
		if got := edits(tt.a, tt.b); got != tt.want {
			t.Errorf("edits(%q, %q) = %d, want %d", tt.a, tt.b, got, tt.want)
		}
	}
}
