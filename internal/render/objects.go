package render

import (
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strings"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"lumacore.dev/lumacore/internal/gitops"
)

// objects makes the objects of a built Kustomization: variables substituted,
// encrypted values stood in for, labels set.
func (r *renderer) objects(p *pending) []*Object {
	vars := r.variables(p)
	var out []*Object
	for _, raw := range p.raws {
		o := r.object(p.Kustomization, raw, vars)
		if o != nil {
			out = append(out, o)
		}
	}
	p.raws = nil
	return out
}

func (r *renderer) object(k *Kustomization, raw raw, vars *variables) *Object {
	o := &Object{
		Unstructured: &unstructured.Unstructured{},
		Origin:       Origin{Location: raw.at, Kustomization: k.Name(), Suspended: k.Suspended},
		doc:          raw.doc,
	}
	if err := o.UnmarshalJSON(raw.json); err != nil {
		r.problem(Problem{Kind: ProblemBuild, Message: err.Error(), Kustomization: k.Name(), Location: raw.at})
		return nil
	}
	fail := func(kind ProblemKind, format string, args ...any) {
		r.problem(Problem{Kind: kind, Message: fmt.Sprintf(format, args...), Object: o.Key(), Kustomization: k.Name(), Location: raw.at})
	}
	if o.Object["sops"] != nil {
		if k.Spec.Spec.Decryption == nil {
			fail(ProblemEncrypted, "%s is encrypted with SOPS, and Kustomization %s has no spec.decryption: Flux would apply it as it is", o.Key(), k.Name())
		}
		hide(o)
	}
	if raw.yaml != nil && vars.active() && o.GetLabels()[substituteLabel] != "disabled" && o.GetAnnotations()[substituteLabel] != "disabled" {
		s, err := vars.substitute(string(raw.yaml))
		if err != nil {
			fail(ProblemVariable, "the variables cannot be substituted: %s", err)
			return o.labelled(k)
		}
		for _, name := range s.undefined {
			at := raw.at
			if o.doc != nil {
				at.Line = variableLine(r.tree, o.doc, name)
			}
			r.problem(Problem{
				Kind: ProblemVariable, Object: o.Key(), Kustomization: k.Name(), Location: at,
				Message: fmt.Sprintf("${%s} is not defined for Kustomization %s and has no default: it becomes empty", name, k.Name()),
			})
		}
		u, err := decodeYAML([]byte(s.text))
		if err != nil {
			fail(ProblemVariable, "after substituting variables it is no YAML: %s", firstLine(err.Error()))
			return o.labelled(k)
		}
		o.Unstructured, o.Origin.Placeholders = u, s.standIns
		if o.encrypted {
			hide(o)
		}
	}
	return o.labelled(k)
}

// variableLine returns the line of a variable in the document, or the document's.
func variableLine(t *gitops.Tree, d *gitops.Document, name string) int {
	data, err := t.ReadFile(d.File)
	if err != nil {
		return d.Line
	}
	for i, line := range strings.Split(string(data), "\n") {
		if i+1 >= d.Line && strings.Contains(line, "${"+name) {
			return i + 1
		}
	}
	return d.Line
}

// labelled sets what Flux sets when it applies: the common metadata, and the
// labels of the owner.
func (o *Object) labelled(k *Kustomization) *Object {
	if m := k.Spec.Spec.CommonMetadata; m != nil {
		if len(m.Labels) > 0 {
			o.SetLabels(merged(o.GetLabels(), m.Labels))
		}
		if len(m.Annotations) > 0 {
			o.SetAnnotations(merged(o.GetAnnotations(), m.Annotations))
		}
	}
	o.SetLabels(merged(o.GetLabels(), map[string]string{
		gitops.GroupKustomize + "/name":      k.Object.GetName(),
		gitops.GroupKustomize + "/namespace": k.Object.GetNamespace(),
	}))
	return o
}

func merged(a, b map[string]string) map[string]string {
	out := maps.Clone(a)
	if out == nil {
		out = map[string]string{}
	}
	maps.Copy(out, b)
	return out
}

// variables collects the variables of a Kustomization as kustomize-controller
// does: ConfigMaps and Secrets in order, then those in the Kustomization itself.
func (r *renderer) variables(p *pending) *variables {
	pb := p.Spec.Spec.PostBuild
	if pb == nil {
		return nil
	}
	v := &variables{values: map[string]variable{}, always: p.Spec.GetSubstituteStrategy() == kustomizev1.SubstituteStrategyAlways}
	ns := p.Object.GetNamespace()
	for i, ref := range pb.SubstituteFrom {
		key := Key{"", ref.Kind, ns, ref.Name}
		o := r.Get(key)
		switch ph, ok := r.Secret(ns, ref.Name); {
		case ref.Kind == "Secret" && ok:
			for _, k := range ph.Keys {
				v.set(k, standIn(k), fmt.Sprintf("%s from %s", k, key))
			}
			if ph.Any {
				v.any = key.String()
			}
		case o != nil && ref.Kind == "ConfigMap":
			data, _, _ := unstructured.NestedMap(o.Object, "data")
			for _, k := range slices.Sorted(maps.Keys(data)) {
				v.set(k, fmt.Sprint(data[k]), "")
			}
		case o != nil && ref.Kind == "Secret":
			data, _, _ := unstructured.NestedMap(o.Object, "data")
			for _, k := range slices.Sorted(maps.Keys(data)) {
				if b, err := base64.StdEncoding.DecodeString(fmt.Sprint(data[k])); err == nil {
					v.set(k, string(b), "")
				}
			}
			data, _, _ = unstructured.NestedMap(o.Object, "stringData")
			for _, k := range slices.Sorted(maps.Keys(data)) {
				v.set(k, fmt.Sprint(data[k]), "")
			}
		case ref.Optional:
		default:
			why := "nothing in the repository makes"
			if p.makes(key) {
				why = "this Kustomization itself makes: it waits for itself"
			}
			r.problem(Problem{
				Kind: ProblemVariables, Object: p.Object.Key(), Kustomization: p.Name(),
				Location: p.Object.Locate("spec", "postBuild", "substituteFrom", i),
				Message:  fmt.Sprintf("substituteFrom names %s, which %s", key, why),
			})
			v.any = key.String() + ", which is missing"
		}
	}
	v.inline(pb)
	return v
}

// makes tells whether what was built is, or makes, the object of a key.
func (p *pending) makes(key Key) bool {
	for _, raw := range p.raws {
		o := &Object{Unstructured: &unstructured.Unstructured{}}
		if o.UnmarshalJSON(raw.json) != nil {
			continue
		}
		if ph, ok := placeholder(o); o.Key() == key || ok && ph.Secret == key {
			return true
		}
	}
	return false
}
