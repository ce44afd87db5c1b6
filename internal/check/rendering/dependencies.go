package rendering

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"lumacore.dev/lumacore/internal/check"
	"lumacore.dev/lumacore/internal/gitops"
	"lumacore.dev/lumacore/internal/render"
	"lumacore.dev/lumacore/internal/report"
)

// wait is one reason why an object is not ready before another.
type wait struct {
	on   string // "flux-system/controllers"
	says string // "depends on", "waits for"
	at   []any  // the field
}

// waiter is a Kustomization or HelmRelease and what it waits for.
type waiter struct {
	object *render.Object
	waits  []wait // in the order in which they were written
}

// dependencies looks at the order in which Flux applies: Kustomizations wait for
// Kustomizations, HelmReleases for HelmReleases.
func dependencies(c *render.Cluster, out *check.Reporter) {
	kustomizations, releases := map[string]*waiter{}, map[string]*waiter{}
	for _, k := range c.Kustomizations {
		w := &waiter{object: k.Object}
		for i, d := range k.Spec.Spec.DependsOn {
			w.depends(d.Namespace, d.Name, i)
		}
		kustomizations[k.Name()] = w
	}
	for _, r := range c.Releases {
		w := &waiter{object: r.Object}
		for i, d := range r.Spec.Spec.DependsOn {
			w.depends(d.Namespace, d.Name, i)
		}
		releases[r.Name()] = w
	}
	missing(c, kustomizations, out)
	missing(c, releases, out)

	// A Kustomization with spec.wait is ready when all that it applies is, also the
	// Kustomizations in it (https://fluxcd.io/flux/components/kustomize/kustomizations/#wait).
	for _, k := range c.Kustomizations {
		if k.Suspended {
			continue
		}
		for _, o := range k.Objects {
			name := o.GetNamespace() + "/" + o.GetName()
			if !o.Is(gitops.GroupKustomize, "Kustomization") || name == k.Name() {
				continue
			}
			if k.Spec.Spec.Wait {
				kustomizations[k.Name()].add(name, "waits for", "spec", "wait")
				continue
			}
			for i, h := range k.Spec.Spec.HealthChecks {
				if h.Kind == "Kustomization" && h.Name == o.GetName() && cmp.Or(h.Namespace, k.Object.GetNamespace()) == o.GetNamespace() {
					kustomizations[k.Name()].add(name, "waits for", "spec", "healthChecks", i)
				}
			}
		}
	}
	cycles(c, kustomizations, out)
	cycles(c, releases, out)
}

func (w *waiter) depends(namespace, name string, i int) {
	w.add(cmp.Or(namespace, w.object.GetNamespace())+"/"+name, "depends on", "spec", "dependsOn", i)
}

func (w *waiter) add(on, says string, at ...any) {
	w.waits = append(w.waits, wait{on: on, says: says, at: at})
}

// missing reports dependencies that are not there.
func missing(c *render.Cluster, all map[string]*waiter, out *check.Reporter) {
	known := slices.Sorted(maps.Keys(all))
	unknown := unrendered(c)
	for _, name := range known {
		w := all[name]
		for _, d := range w.waits {
			if all[d.on] != nil {
				continue
			}
			kind := w.object.GetKind()
			if unknown != "" {
				out.Unchecked(report.Unchecked{
					Subject: fmt.Sprintf("%s %s in dependsOn of %s", kind, d.on, name), Reason: unknown + ", which may hold it, was not rendered",
					Next: "mend or render that first", Location: w.object.Locate(d.at...), Clusters: []string{c.Name},
				})
				continue
			}
			f := check.Finding("render/dependency-missing", c, w.object, d.at, "the %s depends on %s, which is not in the cluster: it is never applied", kind, d.on)
			if near := report.Nearest(d.on, known); near != "" && near != name {
				f.Message += fmt.Sprintf("; is %s meant?", near)
			}
			out.Add(f)
		}
	}
}

// unrendered names something that was not rendered and may hold Kustomizations
// and HelmReleases; "" if there is nothing such.
func unrendered(c *render.Cluster) string {
	for _, k := range c.Kustomizations {
		if !k.Built {
			return "Kustomization " + k.Name()
		}
	}
	for _, o := range c.Of(gitops.GroupOperator, "ResourceSet") {
		return o.Key().String()
	}
	return ""
}

// cycles reports waits that go in a circle. What waits for nothing, or only for
// what is settled, is settled; from what is left over, every path leads into a
// circle.
func cycles(c *render.Cluster, all map[string]*waiter, out *check.Reporter) {
	waiting := map[string]int{}      // how many waits are not settled
	waiters := map[string][]string{} // who waits for it
	next := map[string]wait{}        // one wait of each that is left over
	names := slices.Sorted(maps.Keys(all))
	var settled []string
	for _, name := range names {
		for _, d := range all[name].waits {
			if all[d.on] != nil {
				waiting[name]++
				waiters[d.on] = append(waiters[d.on], name)
			}
		}
		if waiting[name] == 0 {
			settled = append(settled, name)
		}
	}
	for len(settled) > 0 {
		for _, name := range waiters[settled[0]] {
			if waiting[name]--; waiting[name] == 0 {
				settled = append(settled, name)
			}
		}
		settled = settled[1:]
	}
	for _, name := range names {
		for _, d := range all[name].waits {
			if _, ok := next[name]; !ok && waiting[name] > 0 && all[d.on] != nil && waiting[d.on] > 0 {
				next[name] = d
			}
		}
	}
	seen := map[string]bool{}
	for _, name := range names {
		if waiting[name] == 0 {
			continue
		}
		var path []string
		for !seen[name] {
			seen[name] = true
			path = append(path, name)
			name = next[name].on
		}
		if from := slices.Index(path, name); from >= 0 {
			circle(c, all, next, path[from:], out)
		}
	}
}

// circle reports one circle, at the first of its members by name.
func circle(c *render.Cluster, all map[string]*waiter, next map[string]wait, path []string, out *check.Reporter) {
	const most = 20 // members that are named
	first := slices.Index(path, slices.Min(path))
	path = slices.Concat(path[first:], path[:first])
	var b strings.Builder
	b.WriteString(path[0])
	for i, name := range path {
		d := next[name]
		if i > 0 {
			b.WriteString(", which")
		}
		if i == most {
			fmt.Fprintf(&b, " does so through %d more", len(path)-most)
			break
		}
		fmt.Fprintf(&b, " %s %s", d.says, d.on)
		if d.says == "waits for" {
			fmt.Fprintf(&b, " (%v.%v)", d.at[0], d.at[1])
		}
	}
	w := all[path[0]]
	what := "none of them is ever ready"
	if len(path) == 1 {
		what = "it is never applied"
	}
	out.Object("render/dependency-cycle", c, w.object, next[path[0]].at, "%ss wait in a circle: %s: %s", w.object.GetKind(), b.String(), what)
}
