package gitops

import (
	"errors"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"

	"go.yaml.in/yaml/v3"
	"sigs.k8s.io/kustomize/api/types"
	k8syaml "sigs.k8s.io/yaml"

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
	data, err := t.ReadFile(f.File)
	if err == nil {
		err = f.read(data, docs)
	}
	f.Err = err
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

// read takes the references of a kustomization file. They come from the file as
// kustomize decodes it (keys in any case, aliases resolved), so that none is
// missed; the YAML nodes only tell the lines.
func (f *Folder) read(data []byte, docs []*Document) error {
	var k types.Kustomization
	if err := k8syaml.Unmarshal(data, &k); err != nil {
		return nil // the build says so, in kustomize's words
	}
	lines := map[string]int{}
	for _, d := range docs {
		scalars(d.Node, func(n *yaml.Node) {
			if _, ok := lines[n.Value]; !ok {
				lines[n.Value] = n.Line
			}
		})
	}
	add := func(field, written, value string) {
		r := Ref{Field: field, Value: value, Location: report.Location{File: f.File, Line: max(1, lines[written])}}
		if r.Remote = Remote(value); !r.Remote {
			r.Target = path.Join(f.Dir, value)
		}
		f.Refs = append(f.Refs, r)
	}
	list := func(field string, values []string) {
		for _, v := range values {
			if v != "" {
				add(field, v, v)
			}
		}
	}
	// A plug-in's configuration, or the whole of a patch, may stand in the list itself.
	inline := func(field string, values []string) {
		for _, v := range values {
			switch {
			case strings.Contains(v, "\n"):
				f.inline(field, v, lines[v])
			case v != "":
				add(field, v, v)
			}
		}
	}
	list("resources", k.Resources)
	//lint:ignore SA1019 repositories still have it, and kustomize still reads it
	list("bases", k.Bases)
	list("components", k.Components)
	list("crds", k.Crds)
	list("configurations", k.Configurations)
	inline("generators", k.Generators)
	inline("transformers", k.Transformers)
	inline("validators", k.Validators)
	if len(k.OpenAPI) > 0 {
		f.Global = true
		list("openapi", []string{k.OpenAPI["path"]})
	}
	for _, p := range k.Patches {
		list("patches", []string{p.Path})
		f.inline("patches", p.Patch, lines[p.Patch])
	}
	//lint:ignore SA1019 as above
	for _, p := range k.PatchesJson6902 {
		list("patchesJson6902", []string{p.Path})
		f.inline("patchesJson6902", p.Patch, lines[p.Patch])
	}
	for _, p := range k.Replacements {
		list("replacements", []string{p.Path})
	}
	//lint:ignore SA1019 as above
	for _, p := range k.PatchesStrategicMerge {
		if v := string(p); strings.ContainsAny(v, "\n{") && !Remote(v) {
			f.inline("patchesStrategicMerge", v, lines[v])
		} else if v != "" {
			add("patchesStrategicMerge", v, v)
		}
	}
	generator := func(field string, s types.KvPairSources) {
		for _, v := range s.FileSources {
			file := v
			if _, rest, named := strings.Cut(v, "="); named {
				file = rest
			}
			add(field, v, file)
		}
		list(field, s.EnvSources)
		list(field, []string{s.EnvSource})
	}
	for _, g := range k.ConfigMapGenerator {
		generator("configMapGenerator", g.KvPairSources)
	}
	for _, g := range k.SecretGenerator {
		generator("secretGenerator", g.KvPairSources)
	}
	return f.Err
}

// inline looks at YAML that stands in the kustomization itself: it is held to the
// same bounds as a file, and what a plug-in would fetch is a reference.
func (f *Folder) inline(field, text string, line int) {
	if text == "" {
		return
	}
	at := report.Location{File: f.File, Line: max(1, line)}
	docs, err := ParseDocuments(f.File, []byte(text))
	var perr *ParseError
	if errors.As(err, &perr) && perr.Bounds {
		f.Err = &ParseError{Location: at, Reason: perr.Reason, Bounds: true}
		return
	}
	for _, d := range docs {
		for _, r := range Fetched(d) {
			f.Refs = append(f.Refs, Ref{Field: field, Value: r, Remote: true, Location: at})
		}
	}
}

// Fetched returns the texts in a plug-in's configuration that name something
// elsewhere: kustomize's built-in generators and transformers take URLs where they
// take files.
func Fetched(d *Document) (out []string) {
	if d.APIVersion != "builtin" { // others are programs, which Flux never runs
		return nil
	}
	scalars(d.Node, func(n *yaml.Node) {
		v := n.Value
		if _, rest, ok := strings.Cut(v, "="); ok {
			v = rest
		}
		if n.Value != d.APIVersion && Remote(v) {
			out = append(out, v)
		}
	})
	return out
}

// scalars calls f for every scalar below a node. Aliases are not followed: what
// they stand for is met where it is written.
func scalars(n *yaml.Node, f func(*yaml.Node)) {
	if n == nil {
		return
	}
	if n.Kind == yaml.ScalarNode {
		f(n)
	}
	for _, c := range n.Content {
		scalars(c, f)
	}
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
	return scp.MatchString(ref) || strings.Contains(lower, "://") || strings.Contains(lower, "?ref=") || strings.Contains(lower, "_git/") ||
		strings.Contains(lower, ".git/") || strings.HasSuffix(lower, ".git")
}

// scp is the form of an address that ssh takes: user@host:path.
var scp = regexp.MustCompile(`^[A-Za-z0-9][\w.-]*@[^/]*:`)

// MaxVisits bounds how often the folders of a build are read. kustomize reads a
// folder again each time it is referred to, so a few files that refer to one
// another twice grow like powers of two.
const MaxVisits = 10_000

// Visits counts how many folders kustomize reads to build dir, each as often as it
// is referred to. More than [MaxVisits] counts as one more than that.
func (t *Tree) Visits(dir string, more ...string) int {
	known := map[string]int{}
	var count func(dir string) int
	count = func(dir string) int {
		if n, ok := known[dir]; ok {
			return n
		}
		known[dir] = 1 // of a circle, which kustomize refuses in its own words
		n := 1
		for _, r := range t.Folder(dir).Refs {
			if !r.Remote && t.IsDir(r.Target) && n <= MaxVisits {
				n = min(n+count(r.Target), MaxVisits+1)
			}
		}
		known[dir] = n
		return n
	}
	n := count(path.Clean(dir))
	for _, d := range more {
		n = min(n+count(path.Clean(d)), MaxVisits+1)
	}
	return n
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
