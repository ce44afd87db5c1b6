package check

import (
	"bytes"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"lumacore.dev/lumacore/internal/gitops"
	"lumacore.dev/lumacore/internal/render"
	"lumacore.dev/lumacore/internal/report"
)

// annotationPrefix begins the annotations by which an object allows findings about
// itself.
const annotationPrefix = "allow.lumacore.dev/"

// Annotation is the name of the annotation by which an object allows findings of a
// rule about itself. Its value is the reason; without one it has no effect. That of
// a HelmRelease is about the objects of its chart too, which often cannot be
// annotated.
func Annotation(rule string) string {
	return annotationPrefix + strings.Replace(rule, "/", ".", 1)
}

// annotatedRule is the rule of an annotation; false when it is another annotation.
func annotatedRule(name string) (string, bool) {
	short, ok := strings.CutPrefix(name, annotationPrefix)
	return strings.Replace(short, ".", "/", 1), ok
}

// annotations finds what allows findings, and remembers what did.
type annotations struct {
	tree    *gitops.Tree
	objects map[string]map[string][]*render.Object // by cluster and key
	used    map[use]bool
}

// use is an annotation of a document, which can become several objects.
type use struct {
	at   report.Location // where the document begins
	name string
}

func newAnnotations(in *Input) *annotations {
	a := &annotations{tree: in.Tree, objects: map[string]map[string][]*render.Object{}, used: map[use]bool{}}
	for _, c := range in.Render.Clusters {
		objects := make(map[string][]*render.Object, len(c.Objects))
		for _, o := range c.Objects {
			key := o.Key().String()
			objects[key] = append(objects[key], o)
		}
		a.objects[c.Name] = objects
	}
	return a
}

// suppress marks a finding that an annotation allows: of its object, of the
// HelmRelease whose chart makes the object, or of the document that it points at.
// What the gate config finds cannot be allowed.
func (a *annotations) suppress(f *report.Finding) {
	if f.Gate() == ConfigGate.Name || f.Suppressed != nil {
		return
	}
	name, reason := Annotation(f.Rule), ""
	for i, cluster := range f.Clusters {
		r := a.ofObjects(cluster, f, name)
		if r == "" { // it counts on this one
			reason = ""
			break
		}
		if i == 0 {
			reason = r
		}
	}
	if reason == "" {
		reason = a.ofPlace(f, name)
	}
	if reason != "" {
		f.Suppressed = &report.Suppression{By: "annotation", Reason: reason}
	}
}

// ofObjects returns the reason that the object of a finding gives, or its
// HelmRelease.
func (a *annotations) ofObjects(cluster string, f *report.Finding, name string) string {
	reason := ""
	look := func(objects []*render.Object) {
		for _, o := range objects {
			if r := strings.TrimSpace(o.GetAnnotations()[name]); r != "" && reason == "" {
				reason = r
				a.used[use{o.Origin.Location, name}] = true
			}
		}
	}
	look(a.about(cluster, f))
	if reason == "" && f.HelmRelease != "" {
		look(a.objects[cluster]["HelmRelease "+f.HelmRelease])
	}
	return reason
}

// about returns the objects of a cluster that a finding is about: more than one
// where two Kustomizations apply it, or groups have kinds of one name. Those whose
// document is in the finding's file come before the others.
func (a *annotations) about(cluster string, f *report.Finding) []*render.Object {
	all := a.objects[cluster][f.Object]
	if len(all) < 2 {
		return all
	}
	var here []*render.Object
	for _, o := range all {
		if o.Origin.File == f.Location.File && (f.Kustomization == "" || o.Origin.Kustomization == f.Kustomization) {
			here = append(here, o)
		}
	}
	if len(here) > 0 {
		return here
	}
	return all
}

// ofPlace returns the reason that the document gives which a finding points at. When
// that became the object of the finding, the object has the word: a patch can take an
// annotation away.
func (a *annotations) ofPlace(f *report.Finding, name string) string {
	d := a.document(f.Location)
	if d == nil {
		return ""
	}
	for _, cluster := range f.Clusters {
		for _, o := range a.about(cluster, f) {
			if o.Origin.Location == d.Location() {
				return ""
			}
		}
	}
	reason := strings.TrimSpace(d.Scalar("metadata", "annotations", name))
	if reason != "" {
		a.used[use{d.Location(), name}] = true
	}
	return reason
}

// document returns the document at a place, of a file in which anything is allowed;
// nil if there is none, or if it is not known where it ends.
func (a *annotations) document(at report.Location) *gitops.Document {
	if a.tree == nil || !gitops.IsYAML(at.File) {
		return nil
	}
	if data, err := a.tree.ReadFile(at.File); err != nil || !bytes.Contains(data, []byte(annotationPrefix)) {
		return nil
	}
	docs, err := a.tree.Documents(at.File)
	if at.Line == 0 { // the whole file is meant
		if err != nil || len(docs) != 1 {
			return nil
		}
		return docs[0]
	}
	for i, d := range slices.Backward(docs) {
		if d.Line <= at.Line {
			if err != nil && i == len(docs)-1 { // the place may be in what does not parse
				return nil
			}
			return d
		}
	}
	return nil
}

// check reports what allows nothing, of rules that ran: annotations that fit no
// finding, and those on a pod template, which nobody reads. What did not render has
// no findings yet, so that nothing is said about its annotations.
func (a *annotations) check(in *Input, ran map[string]bool, out *Reporter) {
	for _, c := range in.Render.Clusters {
		waiting := map[render.Key]bool{}
		for _, k := range c.Kustomizations {
			waiting[k.Object.Key()] = !k.Built
		}
		for _, r := range c.Releases {
			waiting[r.Object.Key()] = !r.Rendered
		}
		for _, o := range c.Objects {
			each(o, templates, func(name string, at []any, _ string) {
				if rule, _ := annotatedRule(name); ran[rule] {
					out.Object(ruleUnused, c, o, at, "the annotation %s stands on what the %s makes, and so has no effect; it belongs in the %s's own metadata.annotations", name, o.GetKind(), o.GetKind())
				}
			})
			if o.Origin.HelmRelease != "" || waiting[o.Key()] {
				continue
			}
			each(o, [][]any{{}}, func(name string, at []any, reason string) {
				rule, _ := annotatedRule(name)
				switch {
				case !ran[rule] || reason == "" || a.used[use{o.Origin.Location, name}] || !a.own(o, name):
				case report.Rule{ID: rule}.Gate() == ConfigGate.Name:
					out.Object(ruleUnused, c, o, at, "the annotation %s has no effect: findings of the gate %s cannot be allowed", name, ConfigGate.Name)
				default:
					out.Object(ruleUnused, c, o, at, "the annotation %s fits no finding", name)
				}
			})
		}
	}
}

// own tells whether the document of an object has the annotation: one that a
// kustomization puts on all objects of a folder need not fit each of them.
func (a *annotations) own(o *render.Object, name string) bool {
	d := a.document(o.Origin.Location)
	if d == nil || d.Location() != o.Origin.Location {
		return false
	}
	key, _ := d.Find("metadata", "annotations", name)
	return key != nil && key.Kind == yaml.ScalarNode
}

// templates are where objects have the metadata of what they make.
var templates = [][]any{
	{"spec", "template"},
	{"spec", "jobTemplate"},
	{"spec", "jobTemplate", "spec", "template"},
}

// each calls do for the annotations at paths of an object that allow something, in
// order: with the name, the path to it, and the reason without the space around it.
func each(o *render.Object, paths [][]any, do func(name string, at []any, reason string)) {
	for _, path := range paths {
		var v any = o.Object
		at := append(slices.Clone(path), "metadata", "annotations")
		for _, field := range at {
			m, _ := v.(map[string]any)
			v = m[field.(string)]
		}
		m, _ := v.(map[string]any)
		for _, name := range slices.Sorted(maps.Keys(m)) {
			if strings.HasPrefix(name, annotationPrefix) {
				reason, _ := m[name].(string)
				do(name, append(slices.Clone(at), name), strings.TrimSpace(reason))
			}
		}
	}
}
