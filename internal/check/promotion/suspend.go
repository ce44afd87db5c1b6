package promotion

import (
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"lumacore.dev/lumacore/internal/check"
	"lumacore.dev/lumacore/internal/render"
)

// suspendedBecause is the annotation in which a suspended Kustomization says why.
const suspendedBecause = "lumacore.dev/suspended-because"

// suspended reports Kustomizations of production that do not say whether they wait for
// a release, and others that wait and do not say why. Of several that apply one
// another, the first says it for all.
func (r *repository) suspended(out *check.Reporter) {
	staged := false
	for _, c := range r.clusters {
		for _, o := range c.Objects {
			staged = staged || o.Origin.Environment == r.staging
		}
	}
	for _, c := range r.clusters {
		for _, k := range c.Kustomizations {
			if k.Implied {
				continue
			}
			switch production := c.environments[k.Name()] == r.production; {
			case k.Suspended && strings.TrimSpace(k.Object.GetAnnotations()[suspendedBecause]) == "":
				out.Object("promotion/suspend-undeclared", c.Cluster, k.Object, []any{"spec", "suspend"},
					"it is suspended, and no annotation %s says why: Flux applies nothing of it, also what is mended", suspendedBecause)
			case production && staged && c.root(k) == k && !says(k.Object):
				out.Object("promotion/suspend-undeclared", c.Cluster, k.Object, []any{"spec"},
					"it applies %s and does not say spec.suspend: whether %s follows Git by itself or waits for a release is left to the default", r.production, r.production)
			}
		}
	}
}

// root returns the first Kustomization of production of those that apply one another
// down to k. That of the cluster itself, which flux bootstrap writes, is none of them.
func (c *cluster) root(k *render.Kustomization) *render.Kustomization {
	for range 50 {
		up := c.kustomizations[k.Object.Origin.Kustomization]
		if up == nil || up == k || c.environments[up.Name()] != c.of.production || c.kustomizations[up.Object.Origin.Kustomization] == nil || up.Object.Origin.Kustomization == up.Name() {
			return k
		}
		k = up
	}
	return k
}

// says tells whether spec.suspend is there.
func says(o *render.Object) bool {
	_, found, _ := unstructured.NestedFieldNoCopy(o.Object, "spec", "suspend")
	return found
}
