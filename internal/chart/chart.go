package chart

import (
	"context"
	"crypto/sha256"
	"fmt"
	"hash"
	"maps"
	"path"
	"sync"

	chartv2 "helm.sh/helm/v4/pkg/chart/v2"
	"sigs.k8s.io/yaml"
)

// Chart is a chart that was loaded. It is shared between releases: none of it may
// be changed, and a render works on a [Chart.Copy].
type Chart struct {
	Name, Version string // as the chart calls itself
	// Revision is what the source calls it: "1.2.3@sha256:…" or "sha256:…" for an
	// OCI artifact; "" for other sources.
	Revision string

	loaded *chartv2.Chart
	file   func(name string) ([]byte, bool) // that valuesFiles may name

	sum func() [sha256.Size]byte
}

// Sum returns the SHA-256 of all that the chart is made of, its dependencies included.
func (c *Chart) Sum() [sha256.Size]byte { return c.sum() }

// addChart adds the files of a chart, each with its length before it.
func addChart(h hash.Hash, c *chartv2.Chart) {
	fmt.Fprintf(h, "%d files, %d dependencies\n", len(c.Raw), len(c.Dependencies()))
	for _, f := range c.Raw {
		fmt.Fprintf(h, "%d:%s%d:", len(f.Name), f.Name, len(f.Data))
		h.Write(f.Data)
	}
	for _, d := range c.Dependencies() {
		addChart(h, d)
	}
}

func newChart(c *chartv2.Chart, file func(string) ([]byte, bool)) *Chart {
	sum := sync.OnceValue(func() (sum [sha256.Size]byte) {
		h := sha256.New()
		addChart(h, c)
		h.Sum(sum[:0])
		return sum
	})
	return &Chart{Name: c.Name(), Version: c.Metadata.Version, loaded: c, file: file, sum: sum}
}

// Copy returns a chart that Helm may change: it rewrites the metadata, the values
// and the list of dependencies of a chart that it renders, never a file or a map of
// values in place.
func (c *Chart) Copy() *chartv2.Chart { return copyChart(c.loaded) }

func copyChart(c *chartv2.Chart) *chartv2.Chart {
	out := *c
	meta := *c.Metadata
	meta.Annotations = maps.Clone(meta.Annotations) // templates can set keys
	meta.Dependencies = nil
	for _, d := range c.Metadata.Dependencies {
		if d != nil {
			cp := *d
			meta.Dependencies = append(meta.Dependencies, &cp)
		}
	}
	out.Metadata = &meta
	out.SetDependencies()
	for _, d := range c.Dependencies() {
		out.AddDependency(copyChart(d))
	}
	return &out
}

// Values returns the chart's default values made of the named files instead of its
// values.yaml (spec.chart.spec.valuesFiles), merged in order. The names are
// relative to the source: to the chart's folder for a packaged chart, to the root
// of the tree for one from a Git repository.
//
// Source: https://fluxcd.io/flux/components/source/helmcharts/#values-files.
func (c *Chart) Values(names []string, ignoreMissing bool) (map[string]any, error) {
	if _, ok := raw(c.loaded, "values.yaml"); !ok {
		return nil, &Invalid{c.Name, "it has no values.yaml, which Flux needs to put other values files in its place"}
	}
	values := map[string]any{}
	for _, name := range names {
		data, ok := c.file(name)
		if !ok {
			if ignoreMissing {
				continue
			}
			return nil, &Invalid{c.Name, fmt.Sprintf("valuesFiles names %s, which is not there", name)}
		}
		v := map[string]any{}
		if err := yaml.Unmarshal(data, &v); err != nil {
			return nil, &Invalid{c.Name, fmt.Sprintf("values file %s: %v", name, err)}
		}
		values = merge(values, v)
	}
	return values, nil
}

// merge returns a with b laid over it.
func merge(a, b map[string]any) map[string]any {
	out := maps.Clone(a)
	for k, v := range b {
		if bm, ok := v.(map[string]any); ok {
			if am, ok := out[k].(map[string]any); ok {
				out[k] = merge(am, bm)
				continue
			}
		}
		out[k] = v
	}
	return out
}

func raw(c *chartv2.Chart, name string) ([]byte, bool) {
	for _, f := range c.Raw {
		if f.Name == name {
			return f.Data, true
		}
	}
	return nil, false
}

// packaged makes a chart of an archive. Its valuesFiles are in the archive.
func packaged(ctx context.Context, name string, data []byte) (*Chart, error) {
	files, err := unpack(data, newBudget(ctx), 0)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, &Invalid{name, err.Error()}
	}
	c, err := load(files)
	if err != nil {
		return nil, &Invalid{name, err.Error()}
	}
	return newChart(c, func(f string) ([]byte, bool) { return raw(c, path.Clean(f)) }), nil
}
