package registry

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"lumacore.dev/lumacore/internal/check"
	"lumacore.dev/lumacore/internal/check/checktest"
	"lumacore.dev/lumacore/internal/report"
)

var (
	gateName = regexp.MustCompile(`^[a-z]+$`)
	ruleID   = regexp.MustCompile(`^[a-z]+/[a-z0-9]+(-[a-z0-9]+)*$`)
)

// TestRules holds the rules of all gates against what is agreed on for all of
// them.
func TestRules(t *testing.T) {
	if !slices.Contains(Gates, check.ConfigGate) {
		t.Error("the gate config is not listed")
	}
	gates, ids, titles := map[string]bool{}, map[string]bool{}, map[string]string{}
	for _, g := range Gates {
		if !gateName.MatchString(g.Name) || gates[g.Name] {
			t.Errorf("gate %q: the name is no lower-case word, or not the only one", g.Name)
		}
		gates[g.Name] = true
		oneLine(t, "gate "+g.Name, "title", g.Title)
		if len(g.Rules) == 0 || g.Check == nil {
			t.Errorf("gate %s has %d rules and Check %v", g.Name, len(g.Rules), g.Check != nil)
		}
		for _, r := range g.Rules {
			switch {
			case !ruleID.MatchString(r.ID) || r.Gate() != g.Name:
				t.Errorf("rule %q is not %s/ and lower-case words with dashes", r.ID, g.Name)
			case ids[r.ID]:
				t.Errorf("rule %s is there twice", r.ID)
			case len(strings.TrimPrefix(check.Annotation(r.ID), "allow.lumacore.dev/")) > 63:
				t.Errorf("rule %s: its annotation's name has more than 63 characters", r.ID)
			}
			ids[r.ID] = true
			oneLine(t, r.ID, "title", r.Title)
			if other := titles[r.Title]; other != "" {
				t.Errorf("%s and %s have the same title", r.ID, other)
			}
			titles[r.Title] = r.ID
			if _, err := report.ParseSeverity(string(r.Severity)); err != nil {
				t.Errorf("%s: %v", r.ID, err)
			}
			for what, text := range map[string]string{"why": r.Why, "fix": r.Fix} {
				if text == "" || strings.TrimSpace(text) != text {
					t.Errorf("%s: %s is %q", r.ID, what, text)
				}
			}
			if u, err := url.Parse(r.Link); err != nil || u.Scheme != "https" || u.Host == "" {
				t.Errorf("%s: link %q is not https", r.ID, r.Link)
			}
			for what, text := range map[string]string{"bad": r.Bad, "good": r.Good} {
				if strings.TrimSpace(text) == "" || !strings.HasSuffix(text, "\n") {
					t.Errorf("%s: the %s example is empty or does not end its last line", r.ID, what)
				}
			}
			if r.Bad == r.Good {
				t.Errorf("%s: the good example is the bad one", r.ID)
			}
		}
	}
}

// oneLine checks a title: half a sentence, in one line.
func oneLine(t *testing.T, of, what, text string) {
	t.Helper()
	if text == "" || len(text) > 100 || strings.ContainsAny(text, "\n\t") || strings.TrimSpace(text) != text || strings.HasSuffix(text, ".") {
		t.Errorf("%s: the %s %q is not one short line without a full stop", of, what, text)
	}
}

// TestExamples: the bad example of each rule breaks it, the good one breaks none of
// its gate's.
func TestExamples(t *testing.T) {
	for _, g := range Gates {
		t.Run(g.Name, func(t *testing.T) {
			if g == check.ConfigGate { // it looks at what the others find
				others := slices.DeleteFunc(slices.Clone(Gates), func(g *check.Gate) bool { return g == check.ConfigGate })
				checktest.Examples(t, g, others...)
				return
			}
			checktest.Examples(t, g)
		})
	}
}
