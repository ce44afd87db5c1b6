// Package promotion is the gate over the way to production: what a change does to
// production without saying so, and what keeps staging from being first.
//
// An object is of an environment by the label of its namespace, or by
// clusters[].environment of lumacore.yaml. A file is production's own when the builds
// that read it make nothing but objects of production; what else a build of
// production reads is shared: a base, a component, variables, a chart. Where nothing
// is of the environment production, the gate has nothing to say.
//
// What a change does is found by comparing the objects of production before and after
// (--changed-since), and its cause by the files that each object is made from. A file
// is named as a cause when it changed, the object is made from it, and the object
// changed: when two such files changed, both are named.
package promotion

import (
	"cmp"
	"context"

	"lumacore.dev/lumacore/internal/check"
	"lumacore.dev/lumacore/internal/config"
)

// Gate reports what reaches production unasked, and what it should not depend on.
var Gate = &check.Gate{
	Name:  "promotion",
	Title: "changes that reach production unannounced, and what keeps staging from being first",
	Rules: rules,
	Check: run,
}

// names are the names of the environments.
type names struct{ production, staging string }

func run(ctx context.Context, in *check.Input, out *check.Reporter) error {
	p := in.Config.Check.Promotion
	n := names{cmp.Or(p.Production, config.DefaultProduction), cmp.Or(p.Staging, config.DefaultStaging)}
	head := look(in.Tree, in.Render, n)
	if in.Base != nil {
		p := in.Base.Config.Check.Promotion
		before := names{cmp.Or(p.Production, config.DefaultProduction), cmp.Or(p.Staging, config.DefaultStaging)}
		if err := changes(ctx, in, look(in.Base.Tree, in.Base.Render, before), head, out); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil || !head.any {
		return err
	}
	head.automation(out)
	head.suspended(out)
	head.charts(out)
	head.behind(out)
	return ctx.Err()
}
