package app

import (
	"maps"
	"path"
	"slices"
	"strings"

	"lumacore.dev/lumacore/internal/render"
)

// Fate is what becomes of a removed app's objects.
type Fate struct {
	Pruned []Pruned
	Stays  []render.Key // that Flux is told not to delete
	Items  []string     // of 1Password, that nobody uses any more
}

// Pruned is what one Flux Kustomization deletes.
type Pruned struct {
	Kustomization string
	Suspended     bool // it deletes when somebody resumes it
	Objects       []render.Key
}

// neverPrune is how an object says that Flux must not delete it
// (https://fluxcd.io/flux/components/kustomize/kustomizations/#prune).
const neverPrune = "kustomize.toolkit.fluxcd.io/prune"

// FateOf compares the repository before and after a removal.
func FateOf(before, after *render.Result) *Fate {
	type owner struct {
		name      string
		suspended bool
	}
	f := &Fate{}
	seen := map[render.Key]bool{}
	pruned := map[owner][]render.Key{}
	items := map[string]bool{}
	still := map[string]bool{}
	for _, c := range after.Clusters {
		for _, o := range c.Of("onepassword.com", "OnePasswordItem") {
			still[itemOf(o)] = true
		}
	}
	for i, c := range before.Clusters {
		for _, o := range c.Objects {
			key := o.Key()
			if seen[key] || i < len(after.Clusters) && after.Clusters[i].Get(key) != nil {
				continue
			}
			seen[key] = true
			if i < len(after.Clusters) && replaced(key, after.Clusters[i]) {
				continue
			}
			if strings.EqualFold(o.GetAnnotations()[neverPrune], "disabled") {
				f.Stays = append(f.Stays, key)
				continue
			}
			if o.Is("onepassword.com", "OnePasswordItem") && !still[itemOf(o)] {
				items[itemOf(o)] = true
			}
			by := owner{o.Origin.Kustomization, o.Origin.Suspended}
			pruned[by] = append(pruned[by], key)
		}
	}
	for by, keys := range pruned {
		slices.SortFunc(keys, render.Key.Compare)
		f.Pruned = append(f.Pruned, Pruned{by.name, by.suspended, keys})
	}
	slices.SortFunc(f.Pruned, func(a, b Pruned) int {
		if a.Suspended != b.Suspended { // what happens first
			if a.Suspended {
				return 1
			}
			return -1
		}
		return strings.Compare(a.Kustomization, b.Kustomization)
	})
	slices.SortFunc(f.Stays, render.Key.Compare)
	f.Items = slices.Sorted(maps.Keys(items))
	return f
}

// replaced tells whether a generated ConfigMap has another hash at the end of its name.
func replaced(k render.Key, after *render.Cluster) bool {
	cut := strings.LastIndexByte(k.Name, '-')
	if k.Kind != "ConfigMap" || cut < 0 {
		return false
	}
	return slices.ContainsFunc(after.Of("", "ConfigMap"), func(o *render.Object) bool {
		return o.GetNamespace() == k.Namespace && len(o.GetName()) == len(k.Name) && strings.HasPrefix(o.GetName(), k.Name[:cut+1])
	})
}

// itemOf returns the title of the item that a OnePasswordItem takes.
func itemOf(o *render.Object) string {
	spec, _ := o.Object["spec"].(map[string]any)
	itemPath, _ := spec["itemPath"].(string)
	return path.Base(itemPath)
}

// Overlays are the folders that make an app run. Once they are committed, Flux may have
// seen it.
func Overlays(name string) []string {
	var dirs []string
	for _, env := range environments {
		dirs = append(dirs, path.Join(overlaysDir, env, name))
	}
	return dirs
}
