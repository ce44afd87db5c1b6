// Package dryrun is the gate "dryrun": it has an API server try what Flux would apply.
//
// Each object is sent as Flux's controllers send it, a server-side apply that takes
// over fields of others, with dryRun=All: the API server validates, sets defaults and
// asks its admission, and stores nothing. What it refuses is a finding, in its words, at
// the line of the field.
//
// There are two kinds of API servers:
//
//   - one that is thrown away ([check.Input.Throwaway]), empty at first. What others
//     depend on is created in it for real: CustomResourceDefinitions, those that
//     Gatekeeper would make of ConstraintTemplates, those of the built-in catalogue for
//     custom resources without any; Namespaces, ServiceAccounts and the other kinds that
//     admission looks up; and admission policies, so that the server evaluates them. One
//     server serves one cluster of the repository;
//   - that of a cluster, in which nothing is ever created. What depends on something
//     that only the render has is reported as not checked.
//
// Objects that are suspended are tried like all others: they are applied one day. Hooks
// of charts are tried as the objects that they are. An object with values that stand in
// for secrets is tried with them; a refusal that may be theirs is reported as not
// checked.
//
// Not the object's fault, and so reported as not checked: what the user of a kubeconfig
// may not do, webhooks that do not answer or know no dry run, APIs that are down.
package dryrun

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"lumacore.dev/lumacore/internal/check"
	"lumacore.dev/lumacore/internal/render"
)

// Gate has an API server try the render.
var Gate = &check.Gate{
	Name:  "dryrun",
	Title: "objects that an API server refuses or warns of when it tries them",
	Rules: rules,
	Check: func(ctx context.Context, in *check.Input, out *check.Reporter) error {
		return run(ctx, in, out, limits{request: 40 * time.Second, settle: 30 * time.Second})
	},
}

// limits bound what the gate waits for.
type limits struct {
	request time.Duration // an answer; the API server gives webhooks up to 30 s
	settle  time.Duration // until what was created is in force
}

// workers is how many requests are under way at once.
const workers = 8

func run(ctx context.Context, in *check.Input, out *check.Reporter, lim limits) error {
	if in.APIServer == nil {
		return nil
	}
	p := &progress{tell: in.Progress}
	for _, c := range in.Render.Clusters {
		p.known += len(c.Objects)
	}
	for _, c := range in.Render.Clusters {
		if err := tryCluster(ctx, in, out, lim, c, p); err != nil {
			return err
		}
	}
	return nil
}

// tryCluster tries one cluster of the repository on an API server of its own.
func tryCluster(ctx context.Context, in *check.Input, out *check.Reporter, lim limits, c *render.Cluster, p *progress) error {
	if len(c.Objects) == 0 {
		return nil
	}
	config, release, err := in.APIServer(ctx)
	if err != nil {
		return err
	}
	defer release()
	s, err := connect(ctx, config, lim.request)
	if err != nil {
		return err
	}
	j := newJob(in, out, c, s, lim, p)
	if in.Throwaway {
		if err := j.prepare(ctx); err != nil {
			return err
		}
	}
	if err := j.each(ctx, j.rest(), j.try); err != nil {
		return err
	}
	j.report()
	return nil
}

// each calls f for objects, several at once, beginning in their order.
func (j *job) each(ctx context.Context, objects []*render.Object, f func(context.Context, *render.Object) error) error {
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(workers)
	for _, o := range objects {
		if gctx.Err() != nil {
			break
		}
		g.Go(func() error {
			if err := f(gctx, o); err != nil {
				return fmt.Errorf("%s (%s): %w", o.Key(), o.Origin.Location, err)
			}
			j.progress.step()
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return ctx.Err()
}
