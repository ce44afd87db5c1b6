package check

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime/debug"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"lumacore.dev/lumacore/internal/config"
	"lumacore.dev/lumacore/internal/gitops"
	"lumacore.dev/lumacore/internal/render"
	"lumacore.dev/lumacore/internal/report"
)

// Run runs the gates over in, and [ConfigGate] whether it is among them or not,
// and returns what they report: with the severities of lumacore.yaml, what is
// allowed marked as suppressed, and the same finding in several clusters as one.
//
// The error is a [*config.Error] when lumacore.yaml names a rule or gate that there
// is not, or an internal one, which names the gate.
//
// With a [Base] the report holds only what base does not have: see
// [report.CheckReport.Since]. Gates run over the base only where that can matter.
func Run(ctx context.Context, gates []*Gate, in *Input) (*report.CheckReport, error) {
	rep, running, err := run(ctx, gates, in)
	if err != nil {
		return nil, err
	}
	if in.Base != nil {
		if err := since(ctx, running, in, rep); err != nil {
			return nil, err
		}
	}
	report.SetFingerprints(rep.Findings)
	for _, g := range running {
		rep.Gates = append(rep.Gates, result(rep, g))
	}
	return rep, nil
}

// since takes out of a report what the base has too. Only gates that have something
// to say now are asked what they said before; since what an exception fits depends on
// all of them, all are asked when the gate of exceptions is among them.
func since(ctx context.Context, running []*Gate, in *Input, rep *report.CheckReport) error {
	speaks := map[string]bool{}
	for _, f := range rep.Findings {
		speaks[f.Gate()] = true
	}
	for _, u := range rep.NotChecked {
		speaks[u.Gate] = true
	}
	var gates []*Gate
	for _, g := range running {
		if speaks[g.Name] || speaks[ConfigGate.Name] {
			gates = append(gates, g)
		}
	}
	b := report.Base{Revision: in.Base.Revision, Commit: in.Base.Commit}
	if len(speaks) == 0 {
		rep.Base = &b
		return nil
	}
	was := *in
	was.Tree, was.Render, was.Config, was.Base, was.History = in.Base.Tree, in.Base.Render, in.Base.Config, nil, false
	base, _, err := run(ctx, gates, &was)
	if err != nil {
		return fmt.Errorf("at %s: %w", in.Base.Revision, err)
	}
	rep.Since(base, b)
	return nil
}

// run is [Run] without the comparison. It returns the gates that ran, too.
func run(ctx context.Context, gates []*Gate, in *Input) (*report.CheckReport, []*Gate, error) {
	if !slices.Contains(gates, ConfigGate) {
		gates = append(slices.Clone(gates), ConfigGate)
	}
	own := *in
	in = &own
	in.Known = slices.Clone(in.Known)
	for _, g := range gates {
		if !slices.Contains(in.Known, g) {
			in.Known = append(in.Known, g)
		}
	}
	p, err := newPolicy(in.Config, in.Known, in.Now)
	if err != nil {
		return nil, nil, err
	}

	rep := &report.CheckReport{
		TypeMeta: report.Meta("CheckReport"), FailOn: in.FailOn, Off: []string{}, Findings: []report.Finding{},
		NotChecked: []report.Unchecked{}, Gates: []report.GateResult{}, NotRun: []report.NotRun{},
	}
	if rep.FailOn == "" {
		rep.FailOn = in.Config.Check.FailOn
	}
	if rep.FailOn == "" {
		rep.FailOn = report.Error
	}
	if v := in.KubeVersion; v != nil {
		rep.KubeVersion = fmt.Sprintf("%d.%d", v.Major(), v.Minor())
	}

	// A gate all of whose rules are off, or need what is not there, does not run.
	ran, without := map[string]bool{}, map[string][]string{}
	var running []*Gate
	for _, g := range gates {
		on := false
		for _, rule := range g.Rules {
			if !in.has(rule.Needs) && !p.off(rule.ID) {
				without[rule.Needs] = append(without[rule.Needs], rule.ID)
				continue
			}
			if p.off(rule.ID) {
				rep.Off = append(rep.Off, rule.ID)
				continue
			}
			on, ran[rule.ID] = true, true
			rep.Rules = append(rep.Rules, rule)
		}
		if on {
			running = append(running, g)
		}
	}
	for _, need := range slices.Sorted(maps.Keys(without)) {
		slices.Sort(without[need])
		rep.NotRun = append(rep.NotRun, report.NotRun{Needs: need, Rules: without[need]})
	}
	slices.Sort(rep.Off)
	slices.SortFunc(rep.Rules, func(a, b report.Rule) int { return strings.Compare(a.ID, b.ID) })

	reporters, err := runAll(ctx, running, in)
	if err != nil {
		return nil, nil, err
	}
	a := newAnnotations(in)
	for _, r := range reporters {
		rep.Findings = append(rep.Findings, p.apply(r.findings, a)...)
		rep.NotChecked = append(rep.NotChecked, r.unchecked...)
	}
	allowances := newReporter(ConfigGate)
	checkAllowances(p, ran, allowances)
	a.check(in, ran, allowances)
	rep.Findings = append(rep.Findings, p.apply(allowances.findings, a)...)

	rep.Clusters, rep.Placeholders = []report.ClusterSeen{}, []report.Placeholder{}
	for _, c := range in.Render.Clusters {
		rep.Clusters = append(rep.Clusters, seen(c))
		for _, ph := range c.Placeholders {
			rep.Placeholders = append(rep.Placeholders, report.Placeholder{
				Secret: ph.Secret.String(), From: ph.From, Type: ph.Type, Clusters: []string{c.Name}, Location: ph.Location,
			})
		}
		for _, u := range c.Unchecked {
			if u.Gate == "" {
				u.Gate = "render"
			}
			if len(u.Clusters) == 0 {
				u.Clusters = []string{c.Name}
			}
			rep.NotChecked = append(rep.NotChecked, u)
		}
	}
	for i := range rep.Findings {
		source(in.Tree, &rep.Findings[i])
	}
	rep.Findings = merge(rep.Findings, report.Finding.Compare, func(f *report.Finding) *[]string { return &f.Clusters })
	rep.NotChecked = merge(rep.NotChecked, report.Unchecked.Compare, func(u *report.Unchecked) *[]string { return &u.Clusters })
	rep.Placeholders = merge(rep.Placeholders, report.Placeholder.Compare, func(p *report.Placeholder) *[]string { return &p.Clusters })
	return rep, running, nil
}

// runAll runs gates at the same time.
func runAll(ctx context.Context, gates []*Gate, in *Input) ([]*Reporter, error) {
	reporters := make([]*Reporter, len(gates))
	g, ctx := errgroup.WithContext(ctx)
	for i, gate := range gates {
		reporters[i] = newReporter(gate)
		g.Go(func() error {
			err := runOne(ctx, gate, in, reporters[i])
			if err != nil && !errors.Is(err, context.Canceled) {
				err = fmt.Errorf("gate %s: %w", gate.Name, err)
			}
			return err
		})
	}
	return reporters, g.Wait()
}

// runOne runs a gate. A panic in it is an error that says where, for a report to
// its makers.
func runOne(ctx context.Context, gate *Gate, in *Input, out *Reporter) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("internal error: %v\n%s", p, debug.Stack())
		}
	}()
	if err := ctx.Err(); err != nil {
		return err
	}
	return gate.Check(ctx, in, out)
}

// apply gives findings their severity, leaves out those of rules that are off, and
// marks those that are allowed.
func (p *policy) apply(findings []report.Finding, a *annotations) []report.Finding {
	var out []report.Finding
	for _, f := range findings {
		if f.Severity = p.severity(f.Rule, f.Severity); f.Severity == config.Off {
			continue
		}
		a.suppress(&f)
		p.suppress(&f)
		out = append(out, f)
	}
	return out
}

// source fills in the line that a finding points at. Reports are kept and passed
// around, so that the lines of Secrets stay out of them.
func source(t *gitops.Tree, f *report.Finding) {
	if f.Source == "" && f.Location.Line > 0 && t != nil && !inSecret(t, f.Location) {
		f.Source = t.Line(f.Location.File, f.Location.Line)
	}
}

// inSecret tells whether a place is, or may be, in the manifest of a Secret.
func inSecret(t *gitops.Tree, at report.Location) bool {
	data, err := t.ReadFile(at.File)
	if err != nil || !bytes.Contains(data, []byte("Secret")) {
		return false
	}
	if !gitops.IsYAML(at.File) {
		return true
	}
	docs, err := t.Documents(at.File)
	if err != nil {
		return true
	}
	kind := ""
	for _, d := range docs {
		if d.Line <= at.Line || kind == "" {
			kind = d.Kind
		}
	}
	return kind == "Secret" || strings.HasSuffix(kind, "List")
}

// merge sorts items and makes one of those that say the same, whatever their
// clusters.
func merge[T any](items []T, compare func(a, b T) int, clusters func(*T) *[]string) []T {
	slices.SortStableFunc(items, compare)
	out := []T{}
	for _, item := range items {
		names := clusters(&item)
		if n := len(out); n > 0 && compare(out[n-1], item) == 0 {
			into := clusters(&out[n-1])
			*into = append(*into, *names...)
			continue
		}
		*names = slices.Clone(*names)
		out = append(out, item)
	}
	for i := range out {
		names := clusters(&out[i])
		slices.Sort(*names)
		*names = slices.Compact(*names)
	}
	return out
}

// seen counts what was rendered of a cluster.
func seen(c *render.Cluster) report.ClusterSeen {
	s := report.ClusterSeen{
		Name: c.Name, Path: c.Path, Objects: len(c.Objects),
		Kustomizations: len(c.Kustomizations), HelmReleases: len(c.Releases),
	}
	for _, k := range c.Kustomizations {
		if k.Built {
			s.Built++
		}
	}
	for _, r := range c.Releases {
		if r.Rendered {
			s.Rendered++
		}
	}
	for _, o := range c.Objects {
		if _, ok := o.Pods(); ok {
			s.Pods++
		}
		if o.CustomResource() {
			s.CustomResources++
		}
	}
	return s
}

// result counts what a gate came to.
func result(rep *report.CheckReport, g *Gate) report.GateResult {
	r := report.GateResult{Name: g.Name, Title: g.Title}
	for _, f := range rep.Findings {
		switch {
		case f.Gate() != g.Name:
		case f.Suppressed != nil:
			r.Suppressed++
		default:
			r.Findings++
			if f.Severity.AtLeast(rep.FailOn) {
				r.Failing++
			}
		}
	}
	for _, u := range rep.NotChecked {
		if u.Gate == g.Name {
			r.NotChecked++
		}
	}
	return r
}
