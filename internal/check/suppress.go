package check

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/bmatcuk/doublestar/v4"

	"lumacore.dev/lumacore/internal/config"
	"lumacore.dev/lumacore/internal/report"
)

// policy is what lumacore.yaml says about rules.
type policy struct {
	severities map[string]report.Severity // by rule and gate
	allow      []allowance
}

type allowance struct {
	config.Allowance
	expired bool
	used    bool // by a finding, even if it expired
}

// newPolicy reads the configuration. Names of rules and gates that there are not
// are a [config.Error].
func newPolicy(c *config.Config, known []*Gate, now time.Time) (*policy, error) {
	var rules, gates []string
	for _, g := range known {
		gates = append(gates, g.Name)
		for _, r := range g.Rules {
			rules = append(rules, r.ID)
		}
	}
	slices.Sort(rules)
	slices.Sort(gates)
	e := &config.Error{}
	mistake := func(at report.Location, format string, args ...any) {
		e.Mistakes = append(e.Mistakes, config.Mistake{Location: at, Message: fmt.Sprintf(format, args...)})
	}
	p := &policy{severities: map[string]report.Severity{}}
	for _, o := range c.Check.Severity {
		if !slices.Contains(rules, o.Rule) && !slices.Contains(gates, o.Rule) {
			mistake(o.Location, "there is no rule or gate %q; %s", o.Rule, suggest(o.Rule, append(rules, gates...)))
		}
		p.severities[o.Rule] = o.Severity
	}
	for _, a := range c.Check.Allow {
		gate := report.Rule{ID: a.Rule}.Gate()
		switch {
		case slices.Contains(gates, a.Rule):
			mistake(a.Location, "%q is a gate; allow its rules one by one, or give it another severity in check.severity", a.Rule)
		case !slices.Contains(rules, a.Rule):
			mistake(a.Location, "there is no rule %q; %s", a.Rule, suggest(a.Rule, rules))
		case gate == ConfigGate.Name:
			mistake(a.Location, "findings of the gate %s cannot be allowed; give the rule another severity in check.severity", gate)
		}
		// The day itself is the last on which it holds.
		p.allow = append(p.allow, allowance{Allowance: a, expired: !now.Before(a.Expires.AddDate(0, 0, 1))})
	}
	if len(e.Mistakes) > 0 {
		slices.SortStableFunc(e.Mistakes, func(a, b config.Mistake) int { return a.Compare(b.Location) })
		return nil, e
	}
	return p, nil
}

// suggest says what to write instead of an unknown name.
func suggest(name string, known []string) string {
	if near := report.Nearest(name, known); near != "" {
		return "did you mean " + near + "?"
	}
	return "see: lumacore explain"
}

// severity returns the severity of a finding, which may be [config.Off].
func (p *policy) severity(rule string, own report.Severity) report.Severity {
	for _, name := range []string{rule, report.Rule{ID: rule}.Gate()} {
		if s, ok := p.severities[name]; ok {
			return s
		}
	}
	return own
}

// off tells whether a rule is turned off.
func (p *policy) off(rule string) bool { return p.severity(rule, "") == config.Off }

// suppress marks a finding that an entry allows. An annotation has the first word,
// then the entries in their order; entries that say the same are all used.
func (p *policy) suppress(f *report.Finding) {
	for i := range p.allow {
		a := &p.allow[i]
		if !a.fits(f) {
			continue
		}
		a.used = true
		if f.Suppressed == nil && !a.expired {
			f.Suppressed = &report.Suppression{By: a.Location.String(), Reason: a.Reason, Expires: a.Expires.Format(time.DateOnly)}
		}
	}
}

// fits tells whether an entry is about a finding. Its patterns are valid:
// config.Load has looked at them.
func (a *allowance) fits(f *report.Finding) bool {
	return a.Rule == f.Rule &&
		(a.File == "" || doublestar.MatchUnvalidated(a.File, f.Location.File)) &&
		(a.Object == "" || doublestar.MatchUnvalidated(a.Object, f.Object)) &&
		strings.Contains(f.Message, a.Message)
}
