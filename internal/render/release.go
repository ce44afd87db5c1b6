package render

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	helmv2 "github.com/fluxcd/helm-controller/api/v2"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/kyaml/filesys"

	"lumacore.dev/lumacore/internal/chart"
	"lumacore.dev/lumacore/internal/gitops"
	"lumacore.dev/lumacore/internal/render/helm"
	"lumacore.dev/lumacore/internal/report"
)

// outcome is what templating one release came to.
type outcome struct {
	objects   []*Object
	problems  []Problem
	unchecked []report.Unchecked
	asks      bool // its templates look, or may have looked, at the APIs that the cluster serves
}

// template templates the HelmReleases that wait for it, at the same time, and
// takes what their charts make into the cluster. It returns the Kustomizations
// among that.
//
// Charts ask which APIs there are (a ServiceMonitor only where something serves
// it), and other charts bring them. Flux tries again until all are there; so
// releases that ask are templated once more when CRDs were found in charts.
func (r *renderer) template(ctx context.Context) ([]*Kustomization, error) {
	waiting := r.releases
	r.releases = nil
	slices.SortFunc(waiting, func(a, b *Release) int { return strings.Compare(a.Name(), b.Name()) })
	outcomes := map[*Release]*outcome{}
	for _, rel := range waiting {
		outcomes[rel] = &outcome{asks: true}
		r.used(rel.Spec)
	}
	scopes, versions := served(r.Objects)
	const most = 5 // waves; a chart could bring new ones for ever
	for wave := 0; ; wave++ {
		env := r.env(scopes, versions)
		turn := slices.DeleteFunc(slices.Clone(waiting), func(rel *Release) bool { return !outcomes[rel].asks })
		err := each(ctx, r.opt.Workers, turn, func(ctx context.Context, rel *Release) {
			*outcomes[rel] = *r.templateOne(ctx, rel, env)
			r.step()
		})
		if err != nil {
			return nil, err
		}
		objects := slices.Clone(r.Objects)
		for _, rel := range waiting {
			objects = append(objects, outcomes[rel].objects...)
		}
		var more []string
		scopes, more = served(objects)
		if len(more) <= len(versions) || wave == most {
			break
		}
		versions = more
	}
	var found []*Kustomization
	for _, rel := range waiting {
		out := outcomes[rel]
		r.Problems = append(r.Problems, out.problems...)
		for _, u := range out.unchecked {
			r.unchecked(u)
		}
		rel.Objects = out.objects
		found = append(found, r.take(rel.Objects)...)
	}
	return found, nil
}

// env is what the releases of one wave are rendered in.
func (r *renderer) env(scopes map[string]bool, versions []string) helm.Env {
	return helm.Env{
		Tree: r.tree, Charts: r.opt.Charts, KubeVersion: r.opt.KubeVersion, APIVersions: versions,
		Lookup: func(group, kind, namespace, name string) *unstructured.Unstructured {
			if o := r.Get(Key{group, kind, namespace, name}); o != nil {
				return o.Unstructured
			}
			if group == gitops.GroupSource && r.implied(kind, namespace, name) {
				return &unstructured.Unstructured{Object: map[string]any{
					"apiVersion": gitops.GroupSource + "/v1", "kind": kind,
					"metadata": map[string]any{"namespace": namespace, "name": name},
				}}
			}
			return nil
		},
		Placeholder: func(namespace, secret, key string) (string, bool) {
			p, ok := r.Secret(namespace, secret)
			return standIn(key), ok && (p.Any || slices.Contains(p.Keys, key))
		},
		OwnRepository: func(source *unstructured.Unstructured) bool {
			own, _ := r.ownSource(source.GetKind(), source.GetNamespace(), source.GetName(), "\x00") // no folder: the path is no hint
			return own
		},
		Scopes: scopes,
		Kustomize: func(fsys filesys.FileSystem, dir string) (resmap.ResMap, error) {
			// No Kustomization is built while releases are, and post-renderers have no
			// schema of their own: the result may be used outside.
			var m resmap.ResMap
			err := withSchema(false, func() (err error) {
				m, err = build(fsys, dir)
				return err
			})
			return m, err
		},
		Cache: r.opt.Cache.charts(),
	}
}

// implied tells whether a source that the repository does not hold is the one of
// the repository itself, which bootstrap or the operator makes.
func (r *renderer) implied(kind, namespace, name string) bool {
	s := r.sync
	if s.SourceName == "" {
		return name == "flux-system" && kind == "GitRepository"
	}
	return kind == s.SourceKind && name == s.SourceName && (s.SourceNamespace == "" || namespace == s.SourceNamespace)
}

// served lists what the definitions among objects serve: whether a kind has
// namespaces, and the API versions, which charts ask for.
func served(objects []*Object) (scopes map[string]bool, versions []string) {
	scopes = map[string]bool{}
	for _, o := range objects {
		if !o.Is("apiextensions.k8s.io", "CustomResourceDefinition") {
			continue
		}
		group, _, _ := unstructured.NestedString(o.Object, "spec", "group")
		kind, _, _ := unstructured.NestedString(o.Object, "spec", "names", "kind")
		scope, _, _ := unstructured.NestedString(o.Object, "spec", "scope")
		scopes[group+"/"+kind] = scope == "Namespaced"
		list, _, _ := unstructured.NestedSlice(o.Object, "spec", "versions")
		for _, v := range list {
			m, ok := v.(map[string]any)
			if name, _ := m["name"].(string); ok && m["served"] == true && name != "" {
				versions = append(versions, group+"/"+name, group+"/"+name+"/"+kind)
			}
		}
	}
	slices.Sort(versions)
	return scopes, slices.Compact(versions)
}

// templateOne templates one release. What does not work becomes a problem or
// something that was not checked.
func (r *renderer) templateOne(ctx context.Context, rel *Release, env helm.Env) *outcome {
	o, name, res := rel.Object, rel.Object.Key().String(), &outcome{}
	fail := func(kind ProblemKind, at report.Location, fix, format string, args ...any) *outcome {
		res.problems = append(res.problems, Problem{
			Kind: kind, Message: fmt.Sprintf(format, args...), Fix: fix, Object: o.Key(),
			Kustomization: o.Origin.Kustomization, HelmRelease: rel.Name(), Location: at,
		})
		return res
	}
	unchecked := func(reason, next string) *outcome {
		res.unchecked = append(res.unchecked, report.Unchecked{Subject: name, Location: o.Origin.Location, Reason: reason, Next: next})
		return res
	}
	if rel.Spec.Spec.KubeConfig != nil {
		return unchecked("it installs into another cluster (spec.kubeConfig)", "")
	}
	if r.opt.Charts == nil {
		return unchecked("charts are not rendered in this run", "")
	}
	out, err := helm.Render(ctx, rel.Spec, env)
	var (
		spec    *helm.SpecError
		source  *helm.SourceError
		values  *helm.ValuesError
		failed  *helm.ChartError
		missing *chart.Unavailable
	)
	switch {
	case err == nil:
	case ctx.Err() != nil:
		return res
	case errors.As(err, &missing):
		if r.opt.RequireCharts {
			fail(ProblemNoChart, o.Locate("spec", "chart"), missing.Next, "%s: %s", name, missing)
		}
		return unchecked(missing.Error(), missing.Next)
	case errors.As(err, &spec):
		return fail(ProblemSpec, o.Locate("spec"), "", "%s: %s", name, spec)
	case errors.As(err, &source):
		at := o.Locate("spec", "chart", "spec", "sourceRef")
		if rel.Spec.Spec.ChartRef != nil {
			at = o.Locate("spec", "chartRef")
		}
		return fail(ProblemSource, at, source.Next, "%s: %s", name, source)
	case errors.As(err, &values):
		return fail(ProblemValues, o.Locate("spec", "valuesFrom", values.Index), "", "%s: %s", name, values)
	case errors.As(err, &failed):
		// It may have failed for want of an API that another chart brings.
		res.asks = true
		return fail(ProblemChart, o.Locate("spec", "values"), "", "%s: %s", name, failed)
	default:
		return fail(ProblemChart, o.Origin.Location, "", "%s: %s", name, err)
	}
	rel.Rendered, rel.Chart, rel.Version = true, out.Chart, out.Version
	rel.Loaded, rel.Defaults = out.Loaded, out.Defaults
	for _, reason := range out.Unchecked {
		unchecked(reason, "")
	}
	res.asks = out.AsksForAPIs
	for _, x := range out.Objects {
		res.objects = append(res.objects, &Object{
			Unstructured: x.Unstructured, doc: o.doc,
			Origin: Origin{
				Location: o.Origin.Location, Kustomization: o.Origin.Kustomization, HelmRelease: rel.Name(),
				Template: x.Template, Hook: x.Hook, Suspended: rel.Suspended, Placeholders: out.Placeholders,
			},
		})
	}
	return res
}

// used notes the files of a chart that is in the repository.
func (r *renderer) used(hr *helmv2.HelmRelease) {
	if hr.Spec.Chart == nil {
		return
	}
	dir := path.Clean(strings.TrimPrefix(path.Clean("/"+hr.Spec.Chart.Spec.Chart), "/"))
	if !r.tree.IsFile(path.Join(dir, "Chart.yaml")) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, name := range r.tree.Files() {
		if strings.HasPrefix(name, dir+"/") {
			r.Files[name] = true
		}
	}
}
