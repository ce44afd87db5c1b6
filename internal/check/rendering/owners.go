package rendering

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"lumacore.dev/lumacore/internal/check"
	"lumacore.dev/lumacore/internal/gitops"
	"lumacore.dev/lumacore/internal/render"
)

// few is how many objects that the same owners share are reported one by one.
// More are reported once: then it is not a mistake in an object, but a folder that
// is applied twice.
const few = 3

// owners reports objects that more than one Kustomization or HelmRelease applies.
func owners(c *render.Cluster, out *check.Reporter) {
	shared := map[string][]*render.Object{} // by owner and the others
	var order []string
	for i, o := range c.Objects {
		if i > 0 && c.Objects[i-1].Key() == o.Key() {
			continue
		}
		owned := ownersOf(c.All(o.Key()))
		if len(owned) < 2 {
			continue
		}
		for _, o := range owned {
			id := owner(o) + "\x00" + others(o, owned, false)
			if shared[id] == nil {
				order = append(order, id)
			}
			shared[id] = append(shared[id], o)
		}
	}
	for _, id := range order {
		list := shared[id]
		for i, o := range list {
			owned := ownersOf(c.All(o.Key()))
			f := check.Finding("render/two-owners", c, o, nil, "%s applies it, and so does %s: each undoes what the other applies, and what one of them prunes is gone for both", owner(o), others(o, owned, true))
			if i == 0 && len(list) > few {
				f.Message = fmt.Sprintf("%s and %s apply the same %d objects, this one among them: each undoes what the other applies, and what one of them prunes is gone for both", owner(o), others(o, owned, true), len(list))
			}
			out.Add(f)
			if len(list) > few {
				break
			}
		}
	}
}

// ownersOf returns one object of each owner that applies the object now and means
// to have it for itself.
func ownersOf(all []*render.Object) []*render.Object {
	var out []*render.Object
	seen := map[string]bool{}
	for _, o := range all {
		if o.Origin.Suspended || o.Origin.Hook || seen[owner(o)] {
			continue
		}
		switch {
		case o.Origin.HelmRelease != "" && strings.Contains(o.Origin.Template, "/crds/") && !strings.Contains(o.Origin.Template, "/templates/"):
			continue // Helm does not own what is in a chart's crds folder
		case o.Origin.HelmRelease != "" && o.Origin.Template == "" && o.Is("", "Namespace"):
			continue // install.createNamespace: made if it is not there, and never deleted
		}
		// https://fluxcd.io/flux/components/kustomize/kustomizations/#controlling-the-apply-behavior-of-resources
		switch strings.ToLower(o.GetAnnotations()[gitops.GroupKustomize+"/ssa"]) {
		case "merge", "ifnotpresent", "ignore":
			continue
		}
		seen[owner(o)] = true
		out = append(out, o)
	}
	slices.SortStableFunc(out, func(a, b *render.Object) int { return cmp.Compare(owner(a), owner(b)) })
	return out
}

func owner(o *render.Object) string {
	if o.Origin.HelmRelease != "" {
		return "HelmRelease " + o.Origin.HelmRelease
	}
	return "Kustomization " + o.Origin.Kustomization
}

// others names the owners other than o's, and where they have the object from.
func others(o *render.Object, owned []*render.Object, places bool) string {
	const most = 3 // that are named
	var names []string
	more := 0
	for _, other := range owned {
		if owner(other) == owner(o) {
			continue
		}
		if len(names) == most {
			more++
			continue
		}
		name := owner(other)
		if at := other.Origin.Location; places && at != o.Origin.Location {
			name += fmt.Sprintf(" (%s)", at)
		}
		names = append(names, name)
	}
	if more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(names, ", "), more)
	}
	return strings.Join(names, ", ")
}
