package images

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"lumacore.dev/lumacore/internal/fieldpath"
	"lumacore.dev/lumacore/internal/imagename"
	"lumacore.dev/lumacore/internal/render"
)

// use is one place where an object names an image.
type use struct {
	what    string // `container "app"`, "spec.imageName"
	image   string
	path    []any  // of the image in the object
	channel string // where the tag comes from if only the cluster learns it
}

// field is a place in a custom resource that holds an image.
type field struct {
	group string
	kinds []string
	path  string // with a "*" for every item of a list
}

// fields are the places of well-known custom resources that are certain to be
// container images, each from the type's Go source. What an operator chooses when
// the field is empty is the operator's, and pinned by pinning the operator.
var fields = []field{
	// https://github.com/prometheus-operator/prometheus-operator/blob/main/Documentation/api-reference/api.md
	{"monitoring.coreos.com", []string{"Prometheus", "PrometheusAgent", "Alertmanager", "ThanosRuler"}, "spec.image"},
	{"monitoring.coreos.com", []string{"Prometheus", "PrometheusAgent", "Alertmanager", "ThanosRuler"}, "spec.containers.*.image"},
	{"monitoring.coreos.com", []string{"Prometheus", "PrometheusAgent", "Alertmanager", "ThanosRuler"}, "spec.initContainers.*.image"},
	{"monitoring.coreos.com", []string{"Prometheus"}, "spec.thanos.image"},
	// https://cloudnative-pg.io/documentation/current/cloudnative-pg.v1/
	{"postgresql.cnpg.io", []string{"Cluster"}, "spec.imageName"},
	{"postgresql.cnpg.io", []string{"ImageCatalog", "ClusterImageCatalog"}, "spec.images.*.image"},
	{"postgresql.cnpg.io", []string{"Pooler"}, "spec.template.spec.containers.*.image"},
	// https://github.com/rancher/system-upgrade-controller/blob/master/pkg/apis/upgrade.cattle.io/v1/types.go
	{"upgrade.cattle.io", []string{"Plan"}, "spec.upgrade.image"},
	{"upgrade.cattle.io", []string{"Plan"}, "spec.prepare.image"},
}

// usesIn returns the images of an object, in the order in which they stand.
func usesIn(o *render.Object) []use {
	if pods, ok := o.Pods(); ok {
		return ofPods(pods)
	}
	var out []use
	for _, f := range fields {
		if !o.Is(f.group, f.kinds...) {
			continue
		}
		find(o.Object, strings.Split(f.path, "."), nil, func(path []any, image string) {
			u := use{what: fieldpath.Text(path), image: image, path: path}
			if f.group == "upgrade.cattle.io" {
				planTag(o, &u)
			}
			out = append(out, u)
		})
	}
	return out
}

func ofPods(pods render.Pods) []use {
	var out []use
	for _, c := range pods.Containers() {
		if v, set := c.Spec["image"]; set {
			if _, ok := v.(string); !ok {
				continue // not a text: gate schema reports it
			}
		}
		out = append(out, use{
			what: fmt.Sprintf("container %q", c.Name), image: c.Image,
			path: append(append([]any{}, c.Path...), "image"),
		})
	}
	// A volume may be an image (https://kubernetes.io/docs/concepts/storage/volumes/#image).
	volumes, _ := pods.Spec["volumes"].([]any)
	for i, v := range volumes {
		volume, _ := v.(map[string]any)
		image, _ := volume["image"].(map[string]any)
		if ref, _ := image["reference"].(string); ref != "" {
			name, _ := volume["name"].(string)
			out = append(out, use{
				what: fmt.Sprintf("volume %q", name), image: ref,
				path: append(append([]any{}, pods.Path...), "spec", "volumes", i, "image", "reference"),
			})
		}
	}
	return out
}

// planTag adds the tag that the system-upgrade-controller adds to an image without
// one: spec.version, or what spec.channel answers.
func planTag(o *render.Object, u *use) {
	if r, err := imagename.Parse(u.image); err != nil || r.Tag != "" || r.Digest != "" {
		return
	}
	spec, _ := o.Object["spec"].(map[string]any)
	version, _ := spec["version"].(string)
	channel, _ := spec["channel"].(string)
	switch {
	case version != "":
		u.image += ":" + strings.ReplaceAll(version, "+", "-")
	case channel != "":
		u.channel = channel
	}
}

// find calls f for every text that is not empty at a path below value.
func find(value any, path []string, at []any, f func(path []any, text string)) {
	if len(path) == 0 {
		if s, ok := value.(string); ok && s != "" {
			f(at, s)
		}
		return
	}
	if path[0] == "*" {
		items, _ := value.([]any)
		for i, item := range items {
			find(item, path[1:], append(append([]any{}, at...), i), f)
		}
		return
	}
	m, _ := value.(map[string]any)
	if next, ok := m[path[0]]; ok {
		find(next, path[1:], append(append([]any{}, at...), path[0]), f)
	}
}

// valuesOf finds the values of a HelmRelease that an image of its chart may have been
// made of: the whole name, else the repository in it; none when the image is the
// chart's own choice, or comes from a ConfigMap.
func valuesOf(r *render.Release, image string) [][]any {
	if r == nil || r.Object == nil {
		return nil
	}
	spec, _ := r.Object.Object["spec"].(map[string]any)
	values, _ := spec["values"].(map[string]any)
	repository, _, _ := strings.Cut(image, "@")
	if i := strings.LastIndexByte(repository, ':'); i > strings.LastIndexByte(repository, '/') {
		repository = repository[:i]
	}
	wanted := []string{image}
	for more := true; more; _, repository, more = strings.Cut(repository, "/") {
		wanted = append(wanted, repository) // "ghcr.io/a/b", "a/b", "b": many charts keep the registry apart
	}
	for _, text := range wanted {
		var found [][]any
		search(values, text, nil, &found)
		if len(found) > 0 {
			return found
		}
	}
	return nil
}

// search collects the paths of the texts equal to wanted, by the order of keys. A
// word alone ("traefik") counts only where the key speaks of an image.
func search(value any, wanted string, at []any, found *[][]any) {
	switch v := value.(type) {
	case string:
		if v != wanted || len(at) == 0 {
			return
		}
		key, _ := at[len(at)-1].(string)
		key = strings.ToLower(key)
		if strings.Contains(wanted, "/") || strings.Contains(key, "image") || strings.Contains(key, "repository") {
			*found = append(*found, at)
		}
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			search(v[k], wanted, append(slices.Clone(at), k), found)
		}
	case []any:
		for i, item := range v {
			search(item, wanted, append(slices.Clone(at), i), found)
		}
	}
}
