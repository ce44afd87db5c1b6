// Package rendering is the gate over the render itself: what Flux could not apply,
// what waits for something that never comes, and what two owners fight over.
//
// Everything else that is checked is checked on what was rendered, so what does not
// render is an error of its own. That nothing at all was rendered is reported by
// [check.ConfigGate].
package rendering

import (
	"context"
	"fmt"

	"lumacore.dev/lumacore/internal/check"
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
	for _, c := range in.Render.Clusters {
		if err := ctx.Err(); err != nil {
			return err
		}
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

// suspended tells what Flux does not apply now.
func suspended(c *render.Cluster, out *check.Reporter) {
	for _, k := range c.Kustomizations {
		if k.Suspended {
			out.Object("render/suspended", c, k.Object, []any{"spec", "suspend"},
				"the Kustomization is suspended: what it applied (%s) stays as it was left, not as the repository says", count(len(k.Objects)))
		}
	}
	for _, r := range c.Releases {
		if r.Suspended {
			out.Object("render/suspended", c, r.Object, []any{"spec", "suspend"},
				"the HelmRelease is suspended: what its chart made stays as it was left, not as the repository says")
		}
	}
}

func count(n int) string {
	if n == 1 {
		return "1 object"
	}
	return fmt.Sprintf("%d objects", n)
}
