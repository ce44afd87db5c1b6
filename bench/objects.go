package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// objects are Kubernetes objects by their canonical form, which is JSON with
// sorted keys, and how often each is there.
type objects map[string]int

// readObjects reads YAML streams.
func readObjects(names ...string) (objects, error) {
	out := objects{}
	for _, name := range names {
		list, err := readStream(name)
		if err != nil {
			return nil, err
		}
		for _, o := range list {
			data, err := json.Marshal(canonical(o))
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			out[string(data)]++
		}
	}
	return out, nil
}

func readStream(name string) ([]map[string]any, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var out []map[string]any
	for dec := yaml.NewDecoder(f); ; {
		var o map[string]any
		err := dec.Decode(&o)
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if len(o) > 0 {
			out = append(out, o)
		}
	}
}

// controllers are the labels and annotations with which Flux's controllers and
// Helm mark what they apply. They are no part of a comparison: `kustomize build`
// and `helm template` do not write them.
var controllers = map[string][]string{
	"labels": {
		"kustomize.toolkit.fluxcd.io/name", "kustomize.toolkit.fluxcd.io/namespace",
		"helm.toolkit.fluxcd.io/name", "helm.toolkit.fluxcd.io/namespace",
		"app.kubernetes.io/managed-by",
	},
	"annotations": {"meta.helm.sh/release-name", "meta.helm.sh/release-namespace"},
}

// canonical takes out what is no part of a comparison.
func canonical(o map[string]any) map[string]any {
	meta, _ := o["metadata"].(map[string]any)
	for field, names := range controllers {
		m, ok := meta[field].(map[string]any)
		for _, name := range names {
			delete(m, name)
		}
		if ok && len(m) == 0 {
			delete(meta, field)
		}
	}
	return o
}

// minus returns what is in o and not in other.
func (o objects) minus(other objects) objects {
	out := objects{}
	for k, n := range o {
		if more := n - other[k]; more > 0 {
			out[k] = more
		}
	}
	return out
}

// equal returns an error with the first differences.
func (o objects) equal(mine, theirs string, other objects) error {
	more, less := o.minus(other), other.minus(o)
	if len(more)+len(less) == 0 {
		return nil
	}
	return fmt.Errorf("%s and %s do not make the same objects, so they are not compared: %d only of the first, such as\n%s\n%d only of the second, such as\n%s",
		mine, theirs, len(more), more.first(), len(less), less.first())
}

func (o objects) first() string {
	keys := slices.Sorted(maps.Keys(o))
	if len(keys) == 0 {
		return "-"
	}
	if len(keys[0]) > 2000 {
		return keys[0][:2000] + "…"
	}
	return keys[0]
}

// saw says how much that is.
func (o objects) saw() string {
	all, pods, custom := 0, 0, 0
	for text, n := range o {
		var head struct{ APIVersion, Kind string }
		if json.Unmarshal([]byte(text), &head) != nil {
			continue
		}
		all += n
		if slices.Contains([]string{"Pod", "Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job", "CronJob"}, head.Kind) {
			pods += n
		}
		if group, _, ok := strings.Cut(head.APIVersion, "/"); ok && strings.Contains(group, ".") && !strings.HasSuffix(group, ".k8s.io") {
			custom += n
		}
	}
	return seen(all, pods, custom)
}

func seen(all, pods, custom int) string {
	return fmt.Sprintf("%d objects, %d with pods, %d custom resources", all, pods, custom)
}
