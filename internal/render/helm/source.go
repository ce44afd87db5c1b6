package helm

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"strings"

	helmv2 "github.com/fluxcd/helm-controller/api/v2"
	sourcev1 "github.com/fluxcd/source-controller/api/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"lumacore.dev/lumacore/internal/chart"
)

const sourceGroup = "source.toolkit.fluxcd.io"

// source is where a release's chart comes from.
type source struct {
	chart  *chart.Chart
	values map[string]any // instead of the chart's values.yaml, if not nil
	digest string         // that helm-controller appends to the chart's version
}

// find obtains the chart of a release.
func find(ctx context.Context, hr *helmv2.HelmRelease, env Env) (*source, error) {
	src, err := findSource(ctx, hr, env)
	var gone *chart.Unavailable
	if errors.As(err, &gone) && gone.Missing {
		return nil, &SourceError{Source: "chart " + gone.Chart, Reason: gone.Reason, Next: gone.Next}
	}
	var bad *chart.Invalid
	if errors.As(err, &bad) {
		return nil, &ChartError{Chart: bad.Chart, Message: bad.Reason}
	}
	return src, err
}

func findSource(ctx context.Context, hr *helmv2.HelmRelease, env Env) (*source, error) {
	ref := hr.Spec.ChartRef
	switch {
	case (ref == nil) == (hr.Spec.Chart == nil):
		return nil, &SpecError{"one of spec.chart and spec.chartRef is needed, and only one"}
	case ref == nil:
		t := hr.Spec.Chart
		return fromChart(ctx, t.GetNamespace(hr.Namespace), sourcev1.HelmChartSpec{
			Chart: t.Spec.Chart, Version: t.Spec.Version,
			SourceRef:                sourcev1.LocalHelmChartSourceReference{Kind: t.Spec.SourceRef.Kind, Name: t.Spec.SourceRef.Name},
			ValuesFiles:              t.Spec.ValuesFiles,
			IgnoreMissingValuesFiles: t.Spec.IgnoreMissingValuesFiles,
		}, env)
	}
	namespace := cmp.Or(ref.Namespace, hr.Namespace)
	switch ref.Kind {
	case sourcev1.OCIRepositoryKind:
		var r sourcev1.OCIRepository
		if _, err := env.source(ref.Kind, namespace, ref.Name, &r); err != nil {
			return nil, err
		}
		return fromOCIRepository(ctx, &r, env)
	case sourcev1.HelmChartKind:
		var c sourcev1.HelmChart
		if _, err := env.source(ref.Kind, namespace, ref.Name, &c); err != nil {
			return nil, err
		}
		return fromChart(ctx, namespace, c.Spec, env)
	case sourcev1.ExternalArtifactKind:
		return nil, &chart.Unavailable{
			Chart:  fmt.Sprintf("of ExternalArtifact %s/%s", namespace, ref.Name),
			Reason: "its content exists only in the cluster",
		}
	}
	return nil, &SpecError{fmt.Sprintf("spec.chartRef.kind is %q; Flux knows OCIRepository, HelmChart and ExternalArtifact", ref.Kind)}
}

// source reads a source object of the render into out.
func (env Env) source(kind, namespace, name string, out any) (*unstructured.Unstructured, error) {
	e := &SourceError{Source: fmt.Sprintf("%s %s/%s", kind, namespace, name)}
	var u *unstructured.Unstructured
	if env.Lookup != nil {
		u = env.Lookup(sourceGroup, kind, namespace, name)
	}
	if u == nil {
		e.Reason = "nothing in the repository makes it"
		return nil, e
	}
	data, err := json.Marshal(u.Object)
	if err == nil {
		err = json.Unmarshal(data, out)
	}
	if err != nil {
		e.Reason = "it cannot be read: " + err.Error()
		return nil, e
	}
	return u, nil
}

func fromOCIRepository(ctx context.Context, r *sourcev1.OCIRepository, env Env) (*source, error) {
	o := chart.OCI{URL: r.Spec.URL, MediaType: r.GetLayerMediaType(), Insecure: r.Spec.Insecure}
	if ref := r.Spec.Reference; ref != nil {
		o.Digest, o.SemVer, o.SemverFilter, o.Tag = ref.Digest, ref.SemVer, ref.SemverFilter, ref.Tag
	}
	c, err := env.Charts.OCI(ctx, o)
	if err != nil {
		return nil, err
	}
	tag, digest, tagged := strings.Cut(c.Revision, "@")
	if !tagged {
		tag, digest = "", c.Revision
	}
	if tag != "" && !sameVersion(tag, c.Version) {
		return nil, &ChartError{
			Chart:   c.Name + " " + c.Version,
			Message: fmt.Sprintf("the tag %s of OCIRepository %s/%s is another version than that of the chart in it, which helm-controller refuses", tag, r.Namespace, r.Name),
		}
	}
	_, hex, _ := strings.Cut(digest, ":")
	return &source{chart: c, digest: hex[:min(12, len(hex))]}, nil
}

// fromChart obtains the chart that a HelmChart names; namespace is that of the
// source, too.
func fromChart(ctx context.Context, namespace string, spec sourcev1.HelmChartSpec, env Env) (*source, error) {
	var c *chart.Chart
	var err error
	kind, name := spec.SourceRef.Kind, spec.SourceRef.Name
	switch kind {
	case sourcev1.HelmRepositoryKind:
		var r sourcev1.HelmRepository
		if _, err := env.source(kind, namespace, name, &r); err != nil {
			return nil, err
		}
		oci := strings.HasPrefix(r.Spec.URL, "oci://")
		if oci != (r.Spec.Type == sourcev1.HelmRepositoryTypeOCI) {
			return nil, &SourceError{
				Source: fmt.Sprintf("%s %s/%s", kind, namespace, name),
				Reason: "spec.type must be oci for a URL that begins with oci://, and only for such a URL",
			}
		}
		if oci {
			c, err = env.Charts.OCI(ctx, chart.OCI{
				URL:     strings.TrimSuffix(r.Spec.URL, "/") + "/" + spec.Chart,
				Version: cmp.Or(spec.Version, "*"), Insecure: r.Spec.Insecure,
			})
		} else {
			c, err = env.Charts.Repository(ctx, r.Spec.URL, spec.Chart, spec.Version)
		}
	case sourcev1.GitRepositoryKind:
		var r sourcev1.GitRepository
		u, lerr := env.source(kind, namespace, name, &r)
		if lerr != nil {
			return nil, lerr
		}
		tree := env.Tree
		if env.OwnRepository == nil || !env.OwnRepository(u) {
			g := chart.Git{URL: r.Spec.URL}
			if ref := r.Spec.Reference; ref != nil {
				g.Commit, g.Name, g.SemVer, g.Tag, g.Branch = ref.Commit, ref.Name, ref.SemVer, ref.Tag, ref.Branch
			}
			if tree, err = env.Charts.Git(ctx, g); err != nil {
				return nil, err
			}
		}
		c, err = env.Charts.Tree(ctx, tree, spec.Chart)
	case sourcev1.BucketKind:
		var r sourcev1.Bucket
		u, lerr := env.source(kind, namespace, name, &r)
		if lerr != nil {
			return nil, lerr
		}
		if env.OwnRepository == nil || !env.OwnRepository(u) {
			return nil, &chart.Unavailable{Chart: fmt.Sprintf("%s of Bucket %s/%s", spec.Chart, namespace, name), Reason: "buckets are not read"}
		}
		c, err = env.Charts.Tree(ctx, env.Tree, spec.Chart)
	default:
		return nil, &SpecError{fmt.Sprintf("sourceRef.kind is %q; Flux knows HelmRepository, GitRepository and Bucket", kind)}
	}
	if err != nil {
		return nil, err
	}
	src := &source{chart: c}
	if files := spec.ValuesFiles; len(files) > 1 || len(files) == 1 && path.Clean(files[0]) != "values.yaml" {
		src.values, err = c.Values(files, spec.IgnoreMissingValuesFiles)
	}
	return src, err
}
