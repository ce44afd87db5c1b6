package gitops

import (
	"bytes"
	"fmt"
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"lumacore.dev/lumacore/internal/config"
	"lumacore.dev/lumacore/internal/report"
)

// API groups of Flux (https://fluxcd.io/flux/components/) and of Flux Operator.
const (
	GroupKustomize = "kustomize.toolkit.fluxcd.io"
	GroupHelm      = "helm.toolkit.fluxcd.io"
	GroupSource    = "source.toolkit.fluxcd.io"
	GroupOperator  = "fluxcd.controlplane.io"
)

// Cluster is where Flux starts to read.
type Cluster struct {
	Name string // "lumacore"
	Path string // "clusters/lumacore"; "." for the tree's root

	// Sync is the Flux Kustomization that applies Path, as the repository holds it
	// (flux bootstrap writes it: gotk-sync.yaml). Nil when it is not in the
	// repository; then it is flux-system/flux-system or what Namespace and SyncName
	// say.
	Sync                *Document
	Namespace, SyncName string

	// Source of the repository itself, as Sync or the FluxInstance names it. Empty
	// when nothing says so.
	SourceKind, SourceNamespace, SourceName string

	// Ignore are patterns of files that the repository's source leaves out: its
	// spec.ignore.
	Ignore string

	// Substitute are variables of the Kustomization that applies Path, from outside
	// of the repository.
	Substitute map[string]string

	Location report.Location // of what says that this is a cluster
}

// Discover finds the clusters of a repository, sorted by name. Declared ones, if
// there are any, are taken as they stand. Else it looks for
//
//   - Flux Kustomizations that apply the folder they stand in, which is what
//     `flux bootstrap` writes;
//   - the sync of a FluxInstance, also in the values of its chart;
//   - and without any of these, for the folders with Flux Kustomizations that
//     nothing else applies;
//
// and in each case for kustomizations that use one of the folders found as their
// base and that nothing else uses: variants of a cluster.
//
// It returns an error when a declared folder does not exist.
func Discover(t *Tree, declared []config.Cluster) ([]Cluster, error) {
	if len(declared) > 0 {
		return declaredClusters(t, declared)
	}
	d := &discovery{tree: t, roots: map[string]Cluster{}}
	d.scan()
	for _, ks := range d.kustomizations {
		d.sync(ks)
	}
	for _, doc := range d.others {
		d.instance(doc)
	}
	if len(d.roots) == 0 {
		d.unreached()
	}
	d.ignored()
	d.variants()
	return d.named(), nil
}

func declaredClusters(t *Tree, declared []config.Cluster) ([]Cluster, error) {
	d := &discovery{tree: t, roots: map[string]Cluster{}}
	d.scan()
	for _, ks := range d.kustomizations {
		d.sync(ks)
	}
	for _, doc := range d.others {
		d.instance(doc)
	}
	d.ignored()
	d.variants()
	var out []Cluster
	for _, c := range declared {
		dir := cleanPath(c.Path)
		if !t.IsDir(dir) {
			return nil, report.Misuse("correct the path under clusters in "+config.File, "cluster %s: the repository has no folder %s", c.Name, c.Path)
		}
		found := d.roots[dir]
		found.Name, found.Path, found.Substitute = c.Name, dir, c.Substitute
		if found.Location.File == "" {
			found.Location = report.Location{File: config.File, Line: 1}
		}
		out = append(out, found)
	}
	slices.SortFunc(out, func(a, b Cluster) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

// discovery is one run of Discover.
type discovery struct {
	tree           *Tree
	kustomizations []*Document // of Flux
	sources        []*Document // that may be the repository's own
	others         []*Document // that may hold a FluxInstance
	roots          map[string]Cluster
}

// cleanPath makes a path of Flux ("./clusters/a", "") one of the tree.
func cleanPath(p string) string { return path.Clean(strings.TrimPrefix(path.Clean("/"+p), "/")) }

// scan reads the files that can say where a cluster begins. Files that are no
// YAML are the business of gate yaml.
func (d *discovery) scan() {
	for _, name := range d.tree.Files() {
		if !IsYAML(name) {
			continue
		}
		data, err := d.tree.ReadFile(name)
		if err != nil {
			continue
		}
		flux := bytes.Contains(data, []byte(GroupKustomize)) || bytes.Contains(data, []byte(GroupSource))
		instance := bytes.Contains(data, []byte(GroupOperator)) || bytes.Contains(data, []byte("instance:")) && bytes.Contains(data, []byte("sync:"))
		if !flux && !instance {
			continue
		}
		docs, _ := d.tree.Documents(name)
		for _, doc := range docs {
			if doc.Is(GroupKustomize, "Kustomization") && doc.Name != "" && isText(doc, "spec", "path") {
				d.kustomizations = append(d.kustomizations, doc)
			} else if doc.Is(GroupSource, "GitRepository", "OCIRepository", "Bucket") {
				d.sources = append(d.sources, doc)
			} else if instance {
				d.others = append(d.others, doc)
			}
		}
	}
}

func isText(d *Document, fields ...any) bool {
	_, v := d.Find(fields...)
	return v != nil && v.Kind == yaml.ScalarNode
}

// sync takes a Kustomization that applies the folder it stands in.
func (d *discovery) sync(ks *Document) {
	dir := cleanPath(ks.Scalar("spec", "path"))
	within := dir == "." || path.Dir(ks.File) == dir || strings.HasPrefix(ks.File, dir+"/")
	if !within || !d.tree.IsDir(dir) {
		return
	}
	if !slices.ContainsFunc(d.tree.Reach(dir), func(f *Folder) bool {
		return slices.ContainsFunc(f.Refs, func(r Ref) bool { return r.Target == ks.File })
	}) {
		return
	}
	if _, ok := d.roots[dir]; ok {
		return
	}
	ns := ks.Namespace
	if ns == "" {
		ns = "flux-system"
	}
	sns := ks.Scalar("spec", "sourceRef", "namespace")
	if sns == "" {
		sns = ns
	}
	d.roots[dir] = Cluster{
		Path: dir, Sync: ks, Namespace: ns, SyncName: ks.Name, Location: ks.Location(),
		SourceKind: ks.Scalar("spec", "sourceRef", "kind"), SourceNamespace: sns, SourceName: ks.Scalar("spec", "sourceRef", "name"),
	}
}

// instance takes the sync of a FluxInstance, or of the values of the chart
// flux-instance (https://fluxcd.control-plane.io/operator/fluxinstance/#sync-configuration).
func (d *discovery) instance(doc *Document) {
	for _, at := range [][]any{{"spec", "sync"}, {"spec", "values", "instance", "sync"}, {"instance", "sync"}} {
		if at[1] == "sync" && at[0] == "spec" && !doc.Is(GroupOperator, "FluxInstance") {
			continue
		}
		field := func(name string) string { return doc.Scalar(append(slices.Clone(at), name)...) }
		p := field("path")
		dir := cleanPath(p)
		if p == "" || !d.tree.IsDir(dir) {
			continue
		}
		if _, ok := d.roots[dir]; ok {
			continue
		}
		c := Cluster{Path: dir, Namespace: doc.Namespace, SyncName: field("name"), SourceKind: field("kind"), Location: report.Location{File: doc.File, Line: doc.LineOf(at...)}}
		if c.Namespace == "" {
			c.Namespace = "flux-system"
		}
		if c.SyncName == "" { // the operator's default
			c.SyncName = "flux-system"
		}
		c.SourceName, c.SourceNamespace = c.SyncName, c.Namespace
		d.roots[dir] = c
	}
}

// ignored notes what the sources of the clusters leave out.
func (d *discovery) ignored() {
	for dir, c := range d.roots {
		for _, s := range d.sources {
			if s.Kind == c.SourceKind && s.Name == c.SourceName && (s.Namespace == c.SourceNamespace || s.Namespace == "") {
				c.Ignore = s.Scalar("spec", "ignore")
				d.roots[dir] = c
			}
		}
	}
}

// unreached takes the folders with Flux Kustomizations that no other Flux
// Kustomization applies.
func (d *discovery) unreached() {
	applied := map[string]bool{} // files that some Kustomization's path reaches
	own := map[string]map[string]bool{}
	for _, ks := range d.kustomizations {
		files := map[string]bool{}
		for _, f := range d.tree.Reach(cleanPath(ks.Scalar("spec", "path"))) {
			for _, r := range f.Refs {
				files[r.Target] = true
			}
		}
		own[ks.File] = files
		for f := range files {
			applied[f] = true
		}
	}
	for _, ks := range d.kustomizations {
		if applied[ks.File] {
			continue
		}
		dir := path.Dir(ks.File)
		// The kustomization that lists the file stands for it, wherever it is above.
		for up := dir; ; up = path.Dir(up) {
			if f := d.tree.Folder(up); f.File != "" && slices.ContainsFunc(d.tree.Reach(up), func(f *Folder) bool {
				return slices.ContainsFunc(f.Refs, func(r Ref) bool { return r.Target == ks.File })
			}) {
				dir = up
			}
			if up == "." {
				break
			}
		}
		if _, ok := d.roots[dir]; !ok {
			d.roots[dir] = Cluster{Path: dir, Location: ks.Location()}
		}
	}
}

// variants takes the kustomizations that build on a cluster's folder and that
// nothing else uses.
func (d *discovery) variants() {
	used := map[string]bool{} // folders that some kustomization or Flux Kustomization uses
	var dirs []string
	for _, name := range d.tree.Files() {
		if slices.Contains(KustomizationFiles, path.Base(name)) {
			dirs = append(dirs, path.Dir(name))
		}
	}
	uses := map[string][]string{}
	for _, dir := range dirs {
		for _, r := range d.tree.Folder(dir).Refs {
			if !r.Remote && d.tree.IsDir(r.Target) {
				used[r.Target] = true
				uses[dir] = append(uses[dir], r.Target)
			}
		}
	}
	for _, ks := range d.kustomizations {
		used[cleanPath(ks.Scalar("spec", "path"))] = true
	}
	for _, dir := range dirs {
		if used[dir] {
			continue
		}
		if _, ok := d.roots[dir]; ok {
			continue
		}
		for _, base := range uses[dir] {
			if c, ok := d.roots[base]; ok {
				c.Path, c.Location = dir, report.Location{File: d.tree.Folder(dir).File, Line: 1}
				d.roots[dir] = c
				break
			}
		}
	}
}

// named names the clusters after their folders: by the last element, or the whole
// path where two would be called the same.
func (d *discovery) named() []Cluster {
	count := map[string]int{}
	base := func(dir string) string {
		if dir == "." {
			return "cluster"
		}
		return path.Base(dir)
	}
	for dir := range d.roots {
		count[base(dir)]++
	}
	var out []Cluster
	for dir, c := range d.roots {
		c.Name = base(dir)
		if count[c.Name] > 1 {
			c.Name = dir
		}
		out = append(out, c)
	}
	slices.SortFunc(out, func(a, b Cluster) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// String names the cluster for messages.
func (c Cluster) String() string { return fmt.Sprintf("%s (%s)", c.Name, c.Path) }
