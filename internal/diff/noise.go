package diff

import (
	"regexp"
	"slices"
	"strings"

	"lumacore.dev/lumacore/internal/render"
)

// noisy are the labels and annotations that tools write anew on every release, or to
// note who applied an object. What moves from one owner to another has a mark.
var noisy = []string{
	"helm.sh/chart",                // https://helm.sh/docs/chart_best_practices/labels/
	"app.kubernetes.io/version",    // https://kubernetes.io/docs/concepts/overview/working-with-objects/common-labels/
	"app.kubernetes.io/managed-by", //
	"chart", "heritage",            // the same of older charts
	"kustomize.toolkit.fluxcd.io/name", "kustomize.toolkit.fluxcd.io/namespace", // https://fluxcd.io/flux/components/kustomize/kustomizations/
	"helm.toolkit.fluxcd.io/name", "helm.toolkit.fluxcd.io/namespace",
}

// noise returns the label or annotation that a field is if it is noise, else "".
func noise(w way) string {
	if len(w) < 3 {
		return ""
	}
	last, list := w[len(w)-1], w[len(w)-2].text
	switch {
	case last.item || w[len(w)-3].text != "metadata" || list != "labels" && list != "annotations":
		return ""
	case slices.Contains(noisy, last.text):
		return last.text
	case strings.HasPrefix(last.text, "checksum/"), strings.HasPrefix(last.text, "checksum-"):
		return "checksum/*"
	}
	return ""
}

// onlyLabels splits a whole map of labels or annotations that was added or removed, so
// that noise in it is seen.
func onlyLabels(f field) []field {
	n := len(f.way)
	if f.had == f.has || n < 2 || f.way[n-2].text != "metadata" || f.way[n-1].text != "labels" && f.way[n-1].text != "annotations" {
		return []field{f}
	}
	old, _ := f.old.(map[string]any)
	new, _ := f.new.(map[string]any)
	if len(old)+len(new) == 0 {
		return []field{f}
	}
	var d differ
	d.maps(f.way, old, new)
	return d.out
}

// hashed is a name that ends in the hash that kustomize adds to what it generates
// (https://github.com/kubernetes-sigs/kustomize/blob/master/api/hasher/hasher.go: ten
// hex digits, with letters in place of those that could form words).
var hashed = regexp.MustCompile(`^(.+)-[bcdfghkmt2456789]{10}$`)

// stem is the name without the hash; false if it has none.
func stem(k render.Key) (render.Key, bool) {
	if k.Group != "" || k.Kind != "ConfigMap" && k.Kind != "Secret" {
		return k, false
	}
	m := hashed.FindStringSubmatch(k.Name)
	if m == nil {
		return k, false
	}
	k.Name = m[1]
	return k, true
}

// generatedName is the noise of names that end in another hash.
const generatedName = "names of generated ConfigMaps and Secrets"

// follow returns an object's content with the old names of generated objects
// replaced by the new ones, and whether there was one. Names that the new content
// still has are left alone: they are no leftovers.
func follow(names map[string]string, old, new map[string]any) (map[string]any, bool) {
	if len(names) == 0 {
		return old, false
	}
	found := map[string]bool{}
	scan(old, func(s string) { found[s] = found[s] || names[s] != "" })
	scan(new, func(s string) {
		if found[s] {
			found[s] = false
		}
	})
	some := false
	for _, f := range found {
		some = some || f
	}
	if !some {
		return old, false
	}
	var walk func(v any) any
	walk = func(v any) any {
		switch v := v.(type) {
		case map[string]any:
			out := make(map[string]any, len(v))
			for k, x := range v {
				out[k] = walk(x)
			}
			return out
		case []any:
			out := make([]any, len(v))
			for i, x := range v {
				out[i] = walk(x)
			}
			return out
		case string:
			if found[v] {
				return names[v]
			}
		}
		return v
	}
	return walk(old).(map[string]any), true
}

// scan calls f for every text in a value.
func scan(v any, f func(string)) {
	switch v := v.(type) {
	case map[string]any:
		for _, x := range v {
			scan(x, f)
		}
	case []any:
		for _, x := range v {
			scan(x, f)
		}
	case string:
		f(v)
	}
}
