package gitops

import (
	"path"
	"slices"
	"strings"
	"sync"

	"go.yaml.in/yaml/v3"

	"lumacore.dev/lumacore/internal/report"
)

// KustomizationFiles are the names that kustomize looks for, in its order
// (https://pkg.go.dev/sigs.k8s.io/kustomize/api/konfig#RecognizedKustomizationFileNames).
var KustomizationFiles = []string{"kustomization.yaml", "kustomization.yml", "Kustomization"}

// Folder is what kustomize would read of a folder: its kustomization file, or,
// when it has none, what Flux would write into one.
type Folder struct {
	Dir    string
	File   string // the kustomization file; "" when the folder has none
	Refs   []Ref  // in the order of the file
	Global bool   // it sets openapi, which changes the one schema that kustomize has in a process
	Err    error  // the file cannot be read; a *ParseError
}

// Ref is one reference of a kustomization to a file or folder.
type Ref struct {
	Field  string // "resources"
	Value  string // as written
	Target string // in the tree; "" when Remote
	Remote bool   // another repository, or a URL
	report.Location
}

// folders caches what was read of folders, by tree.
type folders struct {
	mu sync.Mutex
	m  map[string]*Folder
}

// Folder reads the kustomization of a folder. It does not look at what it refers
// to; see [Tree.Reach].
func (t *Tree) Folder(dir string) *Folder {
	t.folders.mu.Lock()
	f, ok := t.folders.m[dir]
	t.folders.mu.Unlock()
	if ok {
		return f
	}
	f = t.readFolder(dir)
	t.folders.mu.Lock()
	defer t.folders.mu.Unlock()
	if t.folders.m == nil {
		t.folders.m = map[string]*Folder{}
	}
	t.folders.m[dir] = f
	return f
}

func (t *Tree) readFolder(dir string) *Folder {
	f := &Folder{Dir: dir}
	for _, name := range KustomizationFiles {
		if p := path.Join(dir, name); t.IsFile(p) {
			f.File = p
			break
		}
	}
	if f.File == "" {
		for _, name := range t.Manifests(dir) {
			f.Refs = append(f.Refs, Ref{Field: "resources", Value: name, Target: path.Join(dir, name), Location: report.Location{File: path.Join(dir, name)}})
		}
		return f
	}
	docs, err := t.Documents(f.File)
	if err != nil {
		f.Err = err
		return f
	}
	for _, d := range docs {
		f.read(d)
	}
	return f
}

// Manifests lists what Flux takes from a folder that has no kustomization file:
// all YAML files in and below it, but of a folder below that has one, the folder
// itself. Names are relative to dir, in the order in which Flux walks.
func (t *Tree) Manifests(dir string) []string {
	var out []string
	var walk func(rel string)
	walk = func(rel string) {
		for _, name := range t.List(path.Join(dir, rel)) {
			p := path.Join(rel, name)
			full := path.Join(dir, p)
			switch {
			case t.IsFile(full):
				if IsYAML(full) {
					out = append(out, p)
				}
			case slices.ContainsFunc(KustomizationFiles, func(k string) bool { return t.IsFile(path.Join(full, k)) }):
				out = append(out, p)
			default:
				walk(p)
			}
		}
	}
	walk("")
	return out
}

// read takes the references of a kustomization file.
func (f *Folder) read(d *Document) {
	add := func(field, value string, n *yaml.Node) {
		r := Ref{Field: field, Value: value, Location: report.Location{File: d.File, Line: n.Line}}
		if r.Remote = Remote(value); !r.Remote {
			r.Target = path.Join(f.Dir, value)
		}
		f.Refs = append(f.Refs, r)
	}
	items := func(n *yaml.Node) []*yaml.Node {
		if n == nil || n.Kind != yaml.SequenceNode {
			return nil
		}
		return n.Content
	}
	text := func(n *yaml.Node) (string, bool) {
		for n != nil && n.Kind == yaml.AliasNode {
			n = n.Alias
		}
		if n == nil || n.Kind != yaml.ScalarNode {
			return "", false
		}
		return n.Value, true
	}
	for _, field := range []string{"resources", "bases", "components", "crds", "configurations", "generators", "transformers", "validators"} {
		_, list := d.Find(field)
		for _, n := range items(list) {
			v, ok := text(n)
			if inline := strings.ContainsAny(v, "\n{"); ok && v != "" && !inline {
				add(field, v, n)
			}
		}
	}
	if _, n := d.Find("openapi"); n != nil {
		f.Global = true
		if v, ok := text(at(n, "path")); ok {
			add("openapi", v, at(n, "path"))
		}
	}
	for _, field := range []string{"patches", "patchesJson6902", "replacements"} {
		_, list := d.Find(field)
		for _, n := range items(list) {
			if v, ok := text(at(n, "path")); ok && v != "" {
				add(field, v, at(n, "path"))
			}
		}
	}
	_, list := d.Find("patchesStrategicMerge")
	for _, n := range items(list) {
		if v, ok := text(n); ok && !strings.Contains(v, "\n") {
			add("patchesStrategicMerge", v, n)
		}
	}
	for _, field := range []string{"configMapGenerator", "secretGenerator"} {
		_, list := d.Find(field)
		for _, n := range items(list) {
			for _, kind := range []string{"files", "envs"} {
				for _, e := range items(at(n, kind)) {
					v, ok := text(e)
					if !ok {
						continue
					}
					if _, file, named := strings.Cut(v, "="); named && kind == "files" {
						v = file
					}
					add(field, v, e)
				}
			}
			if v, ok := text(at(n, "env")); ok {
				add(field, v, at(n, "env"))
			}
		}
	}
}

// at returns the value of a key of a mapping, or nil.
func at(n *yaml.Node, key string) *yaml.Node {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}

// Remote tells whether kustomize would fetch the reference from elsewhere: a URL
// or a Git repository, as
// https://github.com/kubernetes-sigs/kustomize/blob/master/examples/remoteBuild.md
// describes them. On doubt it says yes: a reference that is refused is seen, one
// that is fetched unasked is not.
func Remote(ref string) bool {
	lower := strings.ToLower(ref)
	for _, p := range []string{"git::", "gh:", "git@", "github.com/", "github.com:", "gitlab.com/", "bitbucket.org/"} {
		if strings.HasPrefix(lower, p) {
			return true
		}
	}
	return strings.Contains(lower, "://") || strings.Contains(lower, "?ref=") || strings.Contains(lower, "_git/") ||
		strings.Contains(lower, ".git/") || strings.HasSuffix(lower, ".git")
}

// Reach returns the folders that kustomize would read to build dir, dir first,
// each once, in the order in which it meets them. References that are not there
// are left out.
func (t *Tree) Reach(dir string, more ...string) []*Folder {
	var out []*Folder
	seen := map[string]bool{}
	var visit func(dir string)
	visit = func(dir string) {
		if seen[dir] {
			return
		}
		seen[dir] = true
		f := t.Folder(dir)
		out = append(out, f)
		for _, r := range f.Refs {
			switch r.Field {
			case "resources", "bases", "components", "generators", "transformers", "validators":
				if !r.Remote && t.IsDir(r.Target) {
					visit(r.Target)
				}
			}
		}
	}
	visit(path.Clean(dir))
	for _, d := range more {
		visit(path.Clean(d))
	}
	return out
}
