package helm

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/Masterminds/semver/v3"
	helmv2 "github.com/fluxcd/helm-controller/api/v2"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/kyaml/filesys"

	"lumacore.dev/lumacore/internal/cache"
	"lumacore.dev/lumacore/internal/chart"
	"lumacore.dev/lumacore/internal/gitops"
)

// limit is how long one release may take to template. Large charts take a second.
const limit = time.Minute

// Env is what a release is rendered in.
type Env struct {
	Tree        *gitops.Tree
	Charts      *chart.Store
	KubeVersion string   // "1.36" or "1.36.2"
	APIVersions []string // that CRDs add: "monitoring.coreos.com/v1", "monitoring.coreos.com/v1/ServiceMonitor"
	// Lookup returns an object of the render; nil if there is none.
	Lookup func(group, kind, namespace, name string) *unstructured.Unstructured
	// Placeholder returns the stand-in for a Secret's value that only the cluster
	// has.
	Placeholder func(namespace, secret, key string) (value string, ok bool)
	// OwnRepository tells whether a source (a GitRepository or Bucket) is the
	// repository that Tree is of.
	OwnRepository func(source *unstructured.Unstructured) bool
	// Scopes tells whether the objects of custom resources have a namespace, by
	// "group/kind", as far as the CRDs of the render tell.
	Scopes map[string]bool
	// Kustomize builds a folder, under the locks that kustomize needs.
	Kustomize func(fs filesys.FileSystem, dir string) (resmap.ResMap, error)
	Cache     *Cache // nil: nothing is kept
}

// Rendered is what a release's chart makes.
type Rendered struct {
	Chart, Version string // as the chart calls itself
	// Loaded is the chart, and Defaults are the values that stand instead of those of its
	// values.yaml (spec.chart.spec.valuesFiles); nil if there are none.
	Loaded   *chart.Chart
	Defaults map[string]any
	Objects  []Object // the CRDs, the templates' objects in the order of installation, the hooks
	// Placeholders are the values that only the cluster has: stand-ins were put for
	// single ones, and whole files of values were left out. "key from Secret
	// namespace/name", sorted.
	Placeholders []string
	// AsksForAPIs: its templates look at the APIs that the cluster serves, so they may
	// come to something else when other charts bring more.
	AsksForAPIs bool
	// Unchecked says what could not be looked at although the chart was rendered.
	// Each is a sentence.
	Unchecked []string
}

// Object is an object that a chart makes.
type Object struct {
	*unstructured.Unstructured
	Template string // the file of the chart: "podinfo/templates/service.yaml"; empty for the namespace that createNamespace makes
	Hook     bool   // Helm applies it at some point of an installation, upgrade or deletion
	CRD      bool   // it is in the chart's folder crds
}

// Render renders a release. The error is a [*SpecError], [*SourceError],
// [*ValuesError] or [*ChartError] if the release cannot be installed as it stands,
// a [*chart.Unavailable] if it could not be looked at, or that of the context.
func Render(ctx context.Context, hr *helmv2.HelmRelease, env Env) (*Rendered, error) {
	src, err := find(ctx, hr, env)
	if err != nil {
		return nil, err
	}
	vals, placeholders, err := values(ctx, hr, env)
	if err != nil {
		return nil, err
	}
	key, known := cache.Key{}, false
	if env.Cache != nil {
		if key, known = env.key(hr, src, vals); known {
			if out, ok := env.Cache.find(key); ok {
				src.name(out, placeholders)
				return out, nil
			}
		}
	}
	if !hr.GetInstall().DisableSchemaValidation {
		// What schemas refer to is downloaded here, in the store's own time.
		for _, schema := range schemas(src.chart.Copy()) {
			_, _ = env.Charts.Schema(ctx, schema) // its error comes again when it is used
		}
	}
	out, err := bounded(ctx, src, limit, func(ctx context.Context) (*Rendered, error) {
		return render(ctx, hr, env, src, vals)
	})
	if err != nil {
		var bad *ChartError
		if len(placeholders) > 0 && errors.As(err, &bad) {
			return nil, &chart.Unavailable{
				Chart:  src.title(),
				Reason: fmt.Sprintf("it does not template without values that only the cluster has (%s): %s", strings.Join(placeholders, ", "), bad.Message),
			}
		}
		return nil, err
	}
	if known {
		env.Cache.keep(key, src, out)
	}
	src.name(out, placeholders)
	return out, nil
}

// name says of what was rendered from what.
func (s *source) name(out *Rendered, placeholders []string) {
	out.Chart, out.Version, out.Placeholders = s.chart.Name, s.chart.Version, placeholders
	out.Loaded, out.Defaults = s.chart, s.values
}

func (s *source) title() string { return s.chart.Name + " " + s.chart.Version }

// bounded runs f, with an end to its time and memory and a net under it. A template
// cannot be stopped from outside: one that is given up is left alone, and ends at
// the next guard or function of ours that it meets. That says nothing about the
// chart for sure: there are slow machines, and releases beside this one.
func bounded(ctx context.Context, src *source, limit time.Duration, f func(context.Context) (*Rendered, error)) (*Rendered, error) {
	timed, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	inner, giveUp := context.WithCancelCause(timed)
	defer giveUp(nil)
	go watch(inner, maxLive, giveUp)
	type result struct {
		out *Rendered
		err error
	}
	done := make(chan result, 1)
	go func() {
		var r result
		defer func() {
			if p := recover(); p != nil {
				r = result{err: &ChartError{Chart: src.title(), Message: fmt.Sprintf("Helm gave up: %v", p)}}
			}
			done <- r
		}()
		r.out, r.err = f(inner)
	}()
	select {
	case r := <-done:
		if r.err == nil || inner.Err() == nil {
			return r.out, r.err
		}
	case <-inner.Done():
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	gone := &chart.Unavailable{
		Chart:  src.title(),
		Reason: fmt.Sprintf("its templates did not end within %s", limit),
		Next:   "look for a loop in its templates, or run the check on a faster machine",
	}
	if errors.Is(context.Cause(inner), errMemory) {
		gone.Reason = errMemory.Error()
		gone.Next = "look for a loop in its templates"
	}
	return nil, gone
}

// releaseName is the name of the release as helm-controller shortens it: Helm
// takes 53 characters.
func releaseName(hr *helmv2.HelmRelease) string {
	const most, hash = 53, 12
	name := hr.GetReleaseName()
	if len(name) <= most {
		return name
	}
	sum := fmt.Sprintf("%x", sha256.Sum256([]byte(name)))
	return name[:most-hash-1] + "-" + sum[:hash]
}

// sameVersion tells whether a tag stands for the chart's version, or is no version
// at all.
func sameVersion(tag, version string) bool {
	t, err := semver.NewVersion(strings.ReplaceAll(tag, "_", "+"))
	if err != nil {
		return true
	}
	v, err := semver.NewVersion(version)
	return err == nil && t.Equal(v)
}

// isNotes tells whether a template is shown to people and makes no objects.
func isNotes(name string) bool { return strings.HasSuffix(name, "NOTES.txt") }

// isPartial tells whether a template is only there for others.
func isPartial(name string) bool { return strings.HasPrefix(path.Base(name), "_") }
