package render

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strings"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"lumacore.dev/lumacore/internal/gitops"
	"lumacore.dev/lumacore/internal/report"
)

// objects makes the objects of a built Kustomization: variables substituted,
// encrypted values stood in for, labels set.
func (r *renderer) objects(p *pending) []*Object {
	vars := r.variables(p)
	var out []*Object
	for _, raw := range p.raws {
		out = append(out, r.object(p.Kustomization, raw, vars))
	}
	p.raws = nil
	return out
}

func (r *renderer) object(k *Kustomization, raw raw, vars *variables) *Object {
	o := &Object{
		Unstructured: &unstructured.Unstructured{Object: runtime.DeepCopyJSON(raw.object)},
		Origin:       Origin{Location: raw.at, Kustomization: k.Name(), Suspended: k.Suspended},
		doc:          raw.doc,
	}
	fail := func(kind ProblemKind, format string, args ...any) {
		r.problem(Problem{Kind: kind, Message: fmt.Sprintf(format, args...), Object: o.Key(), Kustomization: k.Name(), Location: raw.at})
	}
	if o.Object["sops"] != nil || generatedEncrypted(o) {
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
		if _, after, ok := strings.Cut(line, "${"+name); ok && i+1 >= d.Line && !nameGoesOn(after) {
			return i + 1
		}
	}
	return d.Line
}

// nameGoesOn tells whether a text begins with a character of a variable's name.
func nameGoesOn(s string) bool {
	return s != "" && (s[0] == '_' || s[0] >= '0' && s[0] <= '9' || s[0] >= 'a' && s[0] <= 'z' || s[0] >= 'A' && s[0] <= 'Z')
}

// labelled sets what Flux sets when it applies: the common metadata, and the
// labels of the owner.
func (o *Object) labelled(k *Kustomization) *Object {
	if m := k.Spec.Spec.CommonMetadata; m != nil {
		o.annotate("labels", m.Labels)
		o.annotate("annotations", m.Annotations)
	}
	o.annotate("labels", map[string]string{
		gitops.GroupKustomize + "/name":      k.Object.GetName(),
		gitops.GroupKustomize + "/namespace": k.Object.GetNamespace(),
	})
	return o
}

// annotate adds to the labels or annotations. What is wrong with those that are
// there, such as a number, stays for gate schema to find.
func (o *Object) annotate(field string, add map[string]string) {
	meta, ok := o.Object["metadata"].(map[string]any)
	if !ok || len(add) == 0 {
		return
	}
	have, ok := meta[field].(map[string]any)
	if !ok {
		if meta[field] != nil {
			return
		}
		have = map[string]any{}
		meta[field] = have
	}
	for k, v := range add {
		have[k] = v
	}
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
			if at, ok := r.aside(ref.Kind, ref.Name); ok && ref.Kind == "Secret" {
				v.any = key.String() + ", which is applied by hand"
				r.unchecked(report.Unchecked{
					Subject: p.Object.Key().String(), Location: p.Object.Locate("spec", "postBuild", "substituteFrom", i),
					Reason: fmt.Sprintf("its variables come from %s, which %s has and Flux does not apply: somebody does by hand", key, at),
				})
				continue
			}
			v.any = key.String() + ", which is missing"
			why := "nothing in the repository makes"
			if p.making()[key] {
				why = "this Kustomization itself makes: it waits for itself"
			}
			r.problem(Problem{
				Kind: ProblemVariables, Object: p.Object.Key(), Kustomization: p.Name(),
				Location: p.Object.Locate("spec", "postBuild", "substituteFrom", i),
				Message:  fmt.Sprintf("substituteFrom names %s, which %s", key, why),
			})
		}
	}
	v.inline(pb)
	return v
}

// aside finds an object of a kind and name in a file that Flux does not read: what
// bootstrap scripts apply before there is a Flux.
func (r *renderer) aside(kind, name string) (report.Location, bool) {
	for _, file := range r.tree.Files() {
		if !gitops.IsYAML(file) {
			continue
		}
		data, err := r.tree.ReadFile(file)
		if err != nil || !bytes.Contains(data, []byte(name)) {
			continue
		}
		docs, _ := r.tree.Documents(file)
		for _, d := range docs {
			if d.Kind == kind && d.Name == name {
				return d.Location(), true
			}
		}
	}
	return report.Location{}, false
}

// making lists the objects that what was built is, or makes.
func (p *pending) making() map[Key]bool {
	if p.makes == nil {
		p.makes = map[Key]bool{}
		for _, raw := range p.raws {
			o := &Object{Unstructured: &unstructured.Unstructured{Object: raw.object}}
			p.makes[o.Key()] = true
			if ph, ok := placeholder(o); ok {
				p.makes[ph.Secret] = true
			}
		}
	}
	return p.makes
}
