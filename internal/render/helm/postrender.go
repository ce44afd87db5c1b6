package helm

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	helmv2 "github.com/fluxcd/helm-controller/api/v2"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// templateAnnotation remembers an object's template through kustomize. It is the
// one that Helm uses, so patches see the same objects.
const templateAnnotation = "postrenderer.helm.sh/postrender-filename"

func decodeJSON(data []byte, into *map[string]any) error { return utiljson.Unmarshal(data, into) }

func originLabels(hr *helmv2.HelmRelease) map[string]string {
	group := helmv2.GroupVersion.Group
	return map[string]string{group + "/name": hr.Name, group + "/namespace": hr.Namespace}
}

// postRender does what helm-controller's post-renderers do: kustomize with
// spec.postRenderers, then spec.commonMetadata, then the labels that say which
// release an object is of. spec.postRenderStrategy says what happens to hooks.
//
// Source: https://fluxcd.io/flux/components/helm/helmreleases/#post-renderers.
func postRender(ctx context.Context, hr *helmv2.HelmRelease, env Env, docs []doc, fail func(string, ...any) error) ([]doc, error) {
	var groups [][]doc
	var out []doc
	switch strategy := hr.GetPostRenderStrategy(); strategy {
	case "", helmv2.PostRenderStrategyCombined:
		groups = [][]doc{docs}
	case helmv2.PostRenderStrategySeparate, helmv2.PostRenderStrategyNoHooks:
		var hooks, others []doc
		for _, d := range docs {
			if events, _ := d.hooks(); len(events) > 0 {
				hooks = append(hooks, d)
			} else {
				others = append(others, d)
			}
		}
		groups = [][]doc{others}
		if strategy == helmv2.PostRenderStrategySeparate {
			groups = append(groups, hooks)
		} else {
			out = hooks
		}
	default:
		return nil, &SpecError{fmt.Sprintf("spec.postRenderStrategy is %q; Flux knows nohooks, combined and separate", strategy)}
	}
	for _, group := range groups {
		if err := unique(group, fail); err != nil {
			return nil, err
		}
		for i, r := range hr.Spec.PostRenderers {
			if r.Kustomize == nil || len(group) == 0 {
				continue
			}
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			var err error
			if group, err = kustomized(r.Kustomize, env, group); err != nil {
				return nil, fail("spec.postRenderers[%d]: %v", i, err)
			}
		}
		for _, d := range group {
			if m := hr.Spec.CommonMetadata; m != nil {
				if m.Labels != nil {
					setLabels(d.Unstructured, m.Labels)
				}
				if m.Annotations != nil {
					setAnnotations(d.Unstructured, m.Annotations)
				}
			}
			setLabels(d.Unstructured, originLabels(hr))
		}
		out = append(out, group...)
	}
	return out, nil
}

// unique refuses two objects of the same identity in what goes through one
// post-renderer, as kustomize does.
func unique(docs []doc, fail func(string, ...any) error) error {
	type id struct {
		schema.GroupVersionKind
		namespace, name string
	}
	seen := map[id]doc{}
	for _, d := range docs {
		namespace := d.GetNamespace()
		if namespace == "" {
			namespace = "default"
		}
		k := id{d.GroupVersionKind(), namespace, d.GetName()}
		first, ok := seen[k]
		if !ok {
			seen[k] = d
			continue
		}
		a, _ := first.hooks()
		b, _ := d.hooks()
		if (len(a) > 0) != (len(b) > 0) {
			return fail("it makes %s %s twice, as a hook and as an object (%s and %s), which post-renderers refuse since helm-controller 1.6 (Flux 2.9); set spec.postRenderStrategy to separate or nohooks",
				d.GetKind(), d.GetName(), first.template, d.template)
		}
		return fail("it makes %s %s twice (%s and %s), which helm-controller's post-renderers refuse", d.GetKind(), d.GetName(), first.template, d.template)
	}
	return nil
}

// kustomized applies the patches and images of one post-renderer.
func kustomized(k *helmv2.Kustomize, env Env, docs []doc) (out []doc, err error) {
	defer func() {
		if r := recover(); r != nil {
			out, err = nil, fmt.Errorf("kustomize gave up: %v", r)
		}
	}()
	var input bytes.Buffer
	for _, d := range docs {
		setAnnotations(d.Unstructured, map[string]string{templateAnnotation: d.template})
		data, err := json.Marshal(d.Object) // JSON is YAML
		if err != nil {
			return nil, err
		}
		input.WriteString("---\n")
		input.Write(data)
		input.WriteByte('\n')
	}
	cfg := types.Kustomization{
		TypeMeta:  types.TypeMeta{APIVersion: types.KustomizationVersion, Kind: types.KustomizationKind},
		Resources: []string{"helm-output.yaml"},
	}
	for _, i := range k.Images {
		cfg.Images = append(cfg.Images, types.Image{Name: i.Name, NewName: i.NewName, NewTag: i.NewTag, Digest: i.Digest})
	}
	for _, p := range k.Patches {
		patch := types.Patch{Patch: p.Patch}
		if t := p.Target; t != nil {
			patch.Target = &types.Selector{LabelSelector: t.LabelSelector, AnnotationSelector: t.AnnotationSelector}
			patch.Target.Group, patch.Target.Version, patch.Target.Kind = t.Group, t.Version, t.Kind
			patch.Target.Name, patch.Target.Namespace = t.Name, t.Namespace
		}
		cfg.Patches = append(cfg.Patches, patch)
	}
	kustomization, err := json.Marshal(cfg)
	if err != nil {
		return nil, err
	}
	fs := filesys.MakeFsInMemory()
	for name, data := range map[string][]byte{"helm-output.yaml": input.Bytes(), "kustomization.yaml": kustomization} {
		if err := fs.WriteFile(name, data); err != nil {
			return nil, err
		}
	}
	m, err := env.Kustomize(fs, ".")
	if err != nil {
		return nil, err
	}
	for _, r := range m.Resources() {
		data, err := r.MarshalJSON()
		if err != nil {
			return nil, err
		}
		u := &unstructured.Unstructured{}
		if err := decodeJSON(data, &u.Object); err != nil {
			return nil, err
		}
		d := doc{u, u.GetAnnotations()[templateAnnotation]}
		unstructured.RemoveNestedField(u.Object, "metadata", "annotations", templateAnnotation)
		if len(u.GetAnnotations()) == 0 {
			unstructured.RemoveNestedField(u.Object, "metadata", "annotations")
		}
		out = append(out, d)
	}
	return out, nil
}
