package check

import (
	"fmt"
	"slices"
	"sync"

	"lumacore.dev/lumacore/internal/render"
	"lumacore.dev/lumacore/internal/report"
)

// Reporter collects what one gate finds. It is safe for concurrent use.
type Reporter struct {
	gate      *Gate
	rules     map[string]report.Rule
	mu        sync.Mutex
	findings  []report.Finding
	unchecked []report.Unchecked
}

func newReporter(g *Gate) *Reporter {
	r := &Reporter{gate: g, rules: map[string]report.Rule{}}
	for _, rule := range g.Rules {
		r.rules[rule.ID] = rule
	}
	return r
}

// Object reports that an object breaks a rule. at is the path of the field, from
// the object's root ("spec", "containers", 0, "image"); nil means the object as a
// whole. The message says what is wrong, with the values at hand.
func (r *Reporter) Object(rule string, c *render.Cluster, o *render.Object, at []any, format string, args ...any) {
	r.Add(Finding(rule, c, o, at, format, args...))
}

// Finding returns what [Reporter.Object] reports, for a gate that knows more about
// it: another place, a fix for this one, another severity.
func Finding(rule string, c *render.Cluster, o *render.Object, at []any, format string, args ...any) report.Finding {
	return report.Finding{
		Rule: rule, Message: fmt.Sprintf(format, args...), Location: o.Locate(at...),
		Object: o.Key().String(), Clusters: []string{c.Name},
		Kustomization: o.Origin.Kustomization, HelmRelease: o.Origin.HelmRelease,
		Template: o.Origin.Template, Environment: o.Origin.Environment,
	}
}

// File reports that a place in a file breaks a rule.
func (r *Reporter) File(rule string, at report.Location, format string, args ...any) {
	r.Add(report.Finding{Rule: rule, Message: fmt.Sprintf(format, args...), Location: at})
}

// Add reports a finding. Severity, fix and fingerprint are filled in from the rule
// where they are empty; a rule that the gate does not have is a programmer's
// mistake and panics.
func (r *Reporter) Add(f report.Finding) {
	rule, ok := r.rules[f.Rule]
	if !ok {
		panic(fmt.Sprintf("gate %s reports %q, which is none of its rules", r.gate.Name, f.Rule))
	}
	if f.Severity == "" {
		f.Severity = rule.Severity
	}
	if f.Fix == "" {
		f.Fix = rule.Fix
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.findings = append(r.findings, f)
}

// Unchecked reports that the gate could not look at something.
func (r *Reporter) Unchecked(u report.Unchecked) {
	u.Gate = r.gate.Name
	slices.Sort(u.Clusters)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.unchecked = append(r.unchecked, u)
}
