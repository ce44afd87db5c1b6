package check

import (
	"context"
	"slices"

	"golang.org/x/sync/errgroup"

	"lumacore.dev/lumacore/internal/report"
)

// Run runs the gates over in and returns what they report, sorted.
func Run(ctx context.Context, gates []*Gate, in *Input) (*report.CheckReport, error) {
	reporters := make([]*Reporter, len(gates))
	g, ctx := errgroup.WithContext(ctx)
	for i, gate := range gates {
		reporters[i] = newReporter(gate)
		g.Go(func() error { return gate.Check(ctx, in, reporters[i]) })
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	rep := &report.CheckReport{TypeMeta: report.Meta("CheckReport")}
	for i := range gates {
		rep.Findings = append(rep.Findings, reporters[i].findings...)
		rep.NotChecked = append(rep.NotChecked, reporters[i].unchecked...)
	}
	slices.SortFunc(rep.Findings, report.Finding.Compare)
	slices.SortFunc(rep.NotChecked, report.Unchecked.Compare)
	return rep, nil
}
