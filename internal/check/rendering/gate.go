// Package rendering is the gate over the render itself: what Flux could not apply,
// what waits for something that never comes, and what two owners fight over.
//
// Everything else that is checked is checked on what was rendered. So what does not
// render is an error of its own, and so is a render of nothing: a pass over nothing
// must not look like a pass.
package rendering

import (
	"context"
	"fmt"

	"lumacore.dev/lumacore/internal/check"
	"lumacore.dev/lumacore/internal/config"
	"lumacore.dev/lumacore/internal/gitops"
	"lumacore.dev/lumacore/internal/render"
	"lumacore.dev/lumacore/internal/report"
)

// Gate reports what does not render, and what Flux cannot apply in the end.
var Gate = &check.Gate{
	Name:  "render",
	Title: "what Flux cannot build or apply: broken folders, missing variables and sources, waits without end",
	Rules: rules,
	Check: run,
}

func run(ctx context.Context, in *check.Input, out *check.Reporter) error {
	if len(in.Render.Clusters) == 0 {
		out.File("render/nothing", report.Location{File: config.File}, "no cluster was found, so nothing was checked: no Flux Kustomization applies the folder that it stands in, there is no FluxInstance with a sync, and %s names no cluster", config.File)
	}
	for _, c := range in.Render.Clusters {
		if err := ctx.Err(); err != nil {
			return err
		}
		nothing(c, out)
		problems(c, out)
		suspended(c, out)
		dependencies(c, out)
		owners(c, out)
	}
	return nil
}

// problems reports what the render met.
func problems(c *render.Cluster, out *check.Reporter) {
	for _, p := range c.Problems {
		f := report.Finding{
			Rule: "render/" + string(p.Kind), Message: p.Message, Fix: p.Fix, Location: p.Location,
			Clusters: []string{c.Name}, Kustomization: p.Kustomization, HelmRelease: p.HelmRelease,
		}
		if p.Object != (render.Key{}) {
			f.Object = p.Object.String()
		}
		out.Add(f)
	}
}

// nothing reports a cluster of which nothing was rendered but what tells Flux
// where to read.
func nothing(c *render.Cluster, out *check.Reporter) {
	for _, o := range c.Objects {
		if !o.Is(gitops.GroupKustomize, "Kustomization") {
			return
		}
	}
	at := report.Location{File: config.File}
	if len(c.Kustomizations) > 0 && c.Kustomizations[0].Object.Origin.File != "" {
		at = c.Kustomizations[0].Object.Origin.Location
	}
	what := "renders to no objects"
	if len(c.Objects) > 0 {
		what = "renders to nothing but Flux Kustomizations"
	}
	out.Add(report.Finding{
		Rule: "render/nothing", Location: at, Clusters: []string{c.Name},
		Message: fmt.Sprintf("cluster %s (%s) %s, so nothing of it was checked", c.Name, c.Path, what),
	})
}

// suspended tells what Flux does not apply now.
func suspended(c *render.Cluster, out *check.Reporter) {
	for _, k := range c.Kustomizations {
		if k.Suspended {
			out.Object("render/suspended", c, k.Object, []any{"spec", "suspend"},
				"the Kustomization is suspended: %s as they were left, not as the repository says", count(len(k.Objects), "stays", "stay"))
		}
	}
	for _, r := range c.Releases {
		if r.Suspended {
			out.Object("render/suspended", c, r.Object, []any{"spec", "suspend"},
				"the HelmRelease is suspended: what its chart made stays as it was left, not as the repository says")
		}
	}
}

func count(n int, singular, plural string) string {
	if n == 1 {
		return "its 1 object " + singular
	}
	return fmt.Sprintf("its %d objects %s", n, plural)
}
