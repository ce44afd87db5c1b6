package render

import (
	"path"
	"slices"
	"strings"

	yamlv3 "go.yaml.in/yaml/v3"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/api/resource"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/yaml"

	"lumacore.dev/lumacore/internal/gitops"
	"lumacore.dev/lumacore/internal/report"
)

// place is where a resource of a build was written.
type place struct {
	doc *gitops.Document // nil for what a generator made
	at  report.Location
}

// places finds where the resources of a build were written.
//
// kustomize can say so itself (buildMetadata: originAnnotations), but then it notes
// every transformation of every resource too, which takes a third of a build, and
// the annotation makes patches succeed that fail without it: a JSON patch that adds
// to the annotations of an object that has none. So the objects are built without,
// and the places follow from the names of the documents that were read. Only when
// that leaves a doubt is the folder built once more, with origins.
func (b *builds) places(f *folder, m resmap.ResMap, reached []*gitops.Folder) []place {
	docs := b.written(reached)
	gens := b.generators(reached)
	renamed := slices.ContainsFunc(reached, func(r *gitops.Folder) bool { return b.renames(r) }) ||
		f.kus.NamePrefix != "" || f.kus.NameSuffix != ""
	out := make([]place, m.Size())
	doubt := false
	for i, res := range m.Resources() {
		p, ok := certain(docs, gens, res, renamed)
		if !ok {
			doubt = true
		}
		out[i] = p
	}
	if doubt {
		b.ask(f, m, out)
	}
	for i := range out {
		if out[i].at.File == "" {
			out[i].at = report.Location{File: f.file, Line: 1}
			if !b.tree.IsFile(f.file) {
				out[i].at = report.Location{File: f.dir}
			}
		}
	}
	return out
}

// written returns the documents of the files that are read as resources, by group,
// kind and name.
func (b *builds) written(reached []*gitops.Folder) map[[3]string][]*gitops.Document {
	out := map[[3]string][]*gitops.Document{}
	seen := map[string]bool{}
	for _, f := range reached {
		for _, r := range f.Refs {
			if (r.Field != "resources" && r.Field != "bases") || r.Remote || seen[r.Target] || !b.tree.IsFile(r.Target) {
				continue
			}
			seen[r.Target] = true
			docs, _ := b.tree.Documents(r.Target)
			for _, d := range docs {
				k := [3]string{group(d.APIVersion), d.Kind, d.Name}
				out[k] = append(out[k], d)
			}
		}
	}
	return out
}

// group returns the group of an API version; that of "v1" is empty.
func group(apiVersion string) string {
	g, _, ok := strings.Cut(apiVersion, "/")
	if !ok {
		return ""
	}
	return g
}

// generated is an entry of a ConfigMap or Secret generator.
type generated struct {
	kind, name string
	at         report.Location
}

func (b *builds) generators(reached []*gitops.Folder) (out []generated) {
	for _, f := range reached {
		if f.File == "" {
			continue
		}
		docs, _ := b.tree.Documents(f.File)
		for _, d := range docs {
			for _, kind := range []string{"ConfigMap", "Secret"} {
				field := map[string]string{"ConfigMap": "configMapGenerator", "Secret": "secretGenerator"}[kind]
				_, list := d.Find(field)
				if list == nil || list.Kind != yamlv3.SequenceNode {
					continue
				}
				for i := range list.Content {
					if name := d.Scalar(field, i, "name"); name != "" {
						out = append(out, generated{kind, name, report.Location{File: f.File, Line: d.LineOf(field, i)}})
					}
				}
			}
		}
	}
	return out
}

// renames tells whether a kustomization changes names.
func (b *builds) renames(f *gitops.Folder) bool {
	if f.File == "" {
		return false
	}
	docs, _ := b.tree.Documents(f.File)
	return slices.ContainsFunc(docs, func(d *gitops.Document) bool {
		return d.Scalar("namePrefix") != "" || d.Scalar("nameSuffix") != ""
	})
}

// certain returns the only place that a resource can come from; false when there
// is none or more than one.
func certain(docs map[[3]string][]*gitops.Document, gens []generated, res *resource.Resource, renamed bool) (place, bool) {
	if renamed {
		return place{}, false
	}
	found := docs[[3]string{group(res.GetApiVersion()), res.GetKind(), res.GetName()}]
	if len(found) > 1 {
		found = slices.DeleteFunc(slices.Clone(found), func(d *gitops.Document) bool { return d.Namespace != res.GetNamespace() })
	}
	var from []generated
	for _, g := range gens {
		// The name, and the hash of ten characters that kustomize adds.
		if g.kind == res.GetKind() && (g.name == res.GetName() || len(res.GetName()) == len(g.name)+11 && strings.HasPrefix(res.GetName(), g.name+"-")) {
			from = append(from, g)
		}
	}
	switch {
	case len(found) == 1 && len(from) == 0:
		return place{found[0], found[0].Location()}, true
	case len(found) == 0 && len(from) == 1:
		return place{nil, from[0].at}, true
	}
	return place{}, false
}

// ask fills in the places that are empty from a build with origins. If that fails,
// they stay empty.
func (b *builds) ask(f *folder, m resmap.ResMap, out []place) {
	kus := f.kus
	keep := slices.Contains(kus.BuildMetadata, types.OriginAnnotations)
	kus.BuildMetadata = append(slices.Clone(kus.BuildMetadata), types.OriginAnnotations)
	data, err := yaml.Marshal(kus)
	if err != nil {
		return
	}
	with := m
	if !keep {
		if with, err = b.kustomize(f, data); err != nil || with.Size() != m.Size() {
			return
		}
	}
	for i, res := range with.Resources() {
		if out[i].at.File != "" || res.CurId() != m.Resources()[i].CurId() {
			continue
		}
		origin, err := res.GetOrigin()
		switch {
		case err != nil || origin == nil || origin.Repo != "":
		case origin.Path != "":
			out[i] = b.document(path.Join(f.dir, origin.Path), res)
		case origin.ConfiguredIn != "":
			out[i] = b.generator(path.Join(f.dir, origin.ConfiguredIn), res.GetName())
		}
	}
}

// document finds the document of a file that a resource was made from. Names and
// namespaces may have been changed since.
func (b *builds) document(file string, res *resource.Resource) place {
	docs, _ := b.tree.Documents(file)
	var best *gitops.Document
	score := 0
	for _, d := range docs {
		n := 1
		if d.Kind == res.GetKind() {
			n += 2
			if group(d.APIVersion) == group(res.GetApiVersion()) {
				n += 5000
			}
			switch {
			case d.Name == res.GetName():
				n += 1000
			case d.Name != "" && strings.Contains(res.GetName(), d.Name):
				n += 2 + len(d.Name)
			}
			if d.Namespace == res.GetNamespace() {
				n++
			}
		}
		if n > score {
			best, score = d, n
		}
	}
	if best == nil {
		return place{nil, report.Location{File: file, Line: 1}}
	}
	return place{best, best.Location()}
}

// generator finds the entry of a ConfigMap or Secret generator: its name is the
// resource's without prefix and hash.
func (b *builds) generator(file, name string) place {
	p := place{nil, report.Location{File: file, Line: 1}}
	longest := 0
	for _, g := range b.generators([]*gitops.Folder{{File: file}}) {
		if strings.Contains(name, g.name) && len(g.name) > longest {
			longest, p.at = len(g.name), g.at
		}
	}
	return p
}
