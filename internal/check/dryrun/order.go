package dryrun

import (
	"cmp"
	"maps"
	"slices"

	"lumacore.dev/lumacore/internal/gitops"
	"lumacore.dev/lumacore/internal/render"
)

// ordered returns the objects of a cluster in the order in which Flux comes to them:
// what a Kustomization or HelmRelease depends on comes before it, and whoever applies it
// too; within one, the order is Flux's own.
func ordered(c *render.Cluster) []*render.Object {
	needs := map[string][]string{} // by kind and name
	own := map[string][]*render.Object{}
	kustomization := func(name string) string { return "Kustomization " + name }
	release := func(name string) string { return "HelmRelease " + name }
	for _, k := range c.Kustomizations {
		name := kustomization(k.Name())
		own[name] = k.Objects
		for _, d := range k.Spec.Spec.DependsOn {
			needs[name] = append(needs[name], kustomization(cmp.Or(d.Namespace, k.Object.GetNamespace())+"/"+d.Name))
		}
		for _, o := range k.Objects {
			if o.Is(gitops.GroupKustomize, "Kustomization") || o.Is(gitops.GroupHelm, "HelmRelease") {
				applied := o.GetKind() + " " + o.GetNamespace() + "/" + o.GetName()
				needs[applied] = append(needs[applied], name)
			}
		}
	}
	for _, r := range c.Releases {
		name := release(r.Name())
		own[name] = r.Objects
		for _, d := range r.Spec.Spec.DependsOn {
			needs[name] = append(needs[name], release(cmp.Or(d.Namespace, r.Object.GetNamespace())+"/"+d.Name))
		}
	}
	depth := map[string]int{} // -1: being counted; what waits in a circle has to begin somewhere
	var count func(name string) int
	count = func(name string) int {
		if d, ok := depth[name]; ok {
			return max(d, 0)
		}
		depth[name] = -1
		most := 0
		for _, n := range needs[name] {
			if n != name {
				most = max(most, count(n)+1)
			}
		}
		depth[name] = most
		return most
	}
	type place struct {
		depth int
		owner string
		n     int
	}
	places := map[*render.Object]place{}
	for _, name := range slices.Sorted(maps.Keys(own)) {
		for n, o := range own[name] {
			places[o] = place{count(name), name, n}
		}
	}
	out := slices.Clone(c.Objects) // sorted by key, which settles the rest
	slices.SortStableFunc(out, func(a, b *render.Object) int {
		x, y := places[a], places[b]
		return cmp.Or(cmp.Compare(x.depth, y.depth), cmp.Compare(x.owner, y.owner), cmp.Compare(x.n, y.n))
	})
	return out
}
