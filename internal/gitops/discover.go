package gitops

import (
	"bytes"
	"cmp"
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

	// Include are the folders that the repository's source fills from other sources,
	// sorted: toPath of its spec.include. What is in them is not in the repository.
	Include []string

	// Submodules tells that the repository's source fetches Git submodules too: its
	// spec.recurseSubmodules. They are not in the tree.
	Submodules bool

	// Substitute are variables of the Kustomization that applies Path, from outside
	// of the repository.
	Substitute map[string]string

	// Environment of what is in the cluster, where its namespace does not say another;
	// empty for a cluster that has several.
	Environment string

	Location report.Location // of what says that this is a cluster
}

// Discover finds the clusters of a repository, sorted by name. Declared ones, if
// there are any, are taken as they stand. Else it looks for
//
//   - Flux Kustomizations that apply the folder they stand in, which is what
//     `flux bootstrap` writes, unless their source is another repository: its
//     address is neither that of another cluster's source nor a remote of Git. One
//     that applies the whole repository stands in what it applies wherever it is,
//     so it must be bootstrap's own, or the only one;
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
	d := newDiscovery(t)
	d.synced()
	if len(d.roots) == 0 {
		d.unreached()
	}
	d.sourced()
	d.variants()
	return d.named(), nil
}

func declaredClusters(t *Tree, declared []config.Cluster) ([]Cluster, error) {
	d := newDiscovery(t)
	d.synced()
	for _, c := range declared {
		for _, ks := range d.standing {
			if cleanPath(ks.Scalar("spec", "path")) == cleanPath(c.Path) && !d.foreign(ks) {
				d.take(ks)
			}
		}
	}
	d.sourced()
	d.variants()
	var out []Cluster
	for _, c := range declared {
		dir := cleanPath(c.Path)
		if !t.IsDir(dir) {
			return nil, report.Misuse("correct the path under clusters in "+config.File, "cluster %s: the repository has no folder %s", c.Name, c.Path)
		}
		found := d.roots[dir]
		found.Name, found.Path, found.Substitute, found.Environment = c.Name, dir, c.Substitute, c.Environment
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
	standing       []*Document // kustomizations that apply the folder they stand in
	roots          map[string]Cluster
	urls           []string // of the sources of roots
}

func newDiscovery(t *Tree) *discovery {
	d := &discovery{tree: t, roots: map[string]Cluster{}}
	d.scan()
	d.standing = slices.DeleteFunc(slices.Clone(d.kustomizations), func(ks *Document) bool { return !d.stands(ks) })
	return d
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

// bootstrapFile is where `flux bootstrap` writes the sync
// (https://fluxcd.io/flux/installation/bootstrap/).
const bootstrapFile = "gotk-sync.yaml"

// synced takes what says that Flux begins with a folder, the surest first.
func (d *discovery) synced() {
	for _, ks := range d.standing {
		if path.Base(ks.File) == bootstrapFile {
			d.take(ks)
		}
	}
	for _, doc := range d.others {
		d.instance(doc)
	}
	var here, whole, elsewhere []*Document
	for _, ks := range d.standing {
		switch {
		case cleanPath(ks.Scalar("spec", "path")) == ".":
			whole = append(whole, ks)
		case d.foreign(ks):
			elsewhere = append(elsewhere, ks)
		default:
			here = append(here, ks)
		}
	}
	for _, ks := range here { // after all were compared, so that their order is of no matter
		d.take(ks)
	}
	for _, ks := range whole {
		if len(d.roots) > 0 && ks.Name == ks.Scalar("spec", "sourceRef", "name") && d.own(ks) {
			d.take(ks)
		}
	}
	if len(d.roots) > 0 {
		return
	}
	// The remotes of a fork or a mirror are others than the source says.
	for _, ks := range elsewhere {
		d.take(ks)
	}
	for _, ks := range whole {
		if len(d.roots) == 0 && d.feeds(ks) {
			d.take(ks)
		}
	}
}

// stands tells whether a Kustomization applies the folder it stands in.
func (d *discovery) stands(ks *Document) bool {
	dir := cleanPath(ks.Scalar("spec", "path"))
	if dir != "." && !strings.HasPrefix(ks.File, dir+"/") || !d.tree.IsDir(dir) {
		return false
	}
	return slices.ContainsFunc(d.tree.Reach(dir), func(f *Folder) bool {
		return slices.ContainsFunc(f.Refs, func(r Ref) bool { return r.Target == ks.File })
	})
}

// sourceOf returns what sourceRef of a Kustomization names.
func sourceOf(ks *Document) (kind, namespace, name string) {
	return ks.Scalar("spec", "sourceRef", "kind"),
		cmp.Or(ks.Scalar("spec", "sourceRef", "namespace"), ks.Namespace, "flux-system"),
		ks.Scalar("spec", "sourceRef", "name")
}

// declared returns the document of a source, or nil. Of several, for each cluster can
// have its own, it is the one nearest to file.
func (d *discovery) declared(file, kind, namespace, name string) (found *Document) {
	near := -1
	for _, s := range d.sources {
		if s.Kind != kind || s.Name != name || s.Namespace != namespace && s.Namespace != "" {
			continue
		}
		n := 0 // folders that both are in, and the file itself
		for a, b := file+"/", s.File+"/"; ; n++ {
			x, restA, okA := strings.Cut(a, "/")
			y, restB, okB := strings.Cut(b, "/")
			if !okA || !okB || x != y {
				break
			}
			a, b = restA, restB
		}
		if n > near {
			found, near = s, n
		}
	}
	return found
}

// url returns the address of a Kustomization's source, or "" when the repository
// does not say.
func (d *discovery) url(ks *Document) string {
	kind, namespace, name := sourceOf(ks)
	s := d.declared(ks.File, kind, namespace, name)
	switch {
	case s == nil:
		return ""
	case kind == "Bucket":
		return s.Scalar("spec", "endpoint") + "/" + s.Scalar("spec", "bucketName")
	}
	return s.Scalar("spec", "url")
}

// remotes returns the addresses that Git knows and that a source could have too: a
// clone of a folder says nothing.
func (d *discovery) remotes() []string {
	return slices.DeleteFunc(slices.Clone(d.tree.remotes), func(u string) bool {
		return !strings.Contains(u, ":") || strings.HasPrefix(u, "file:")
	})
}

// foreign tells whether the source of a Kustomization is another repository than
// this one, as far as anything says what this one is.
func (d *discovery) foreign(ks *Document) bool {
	url, remotes := d.url(ks), d.remotes()
	if url == "" || ks.Scalar("spec", "sourceRef", "kind") != "GitRepository" && len(d.urls) == 0 {
		return false // Git knows nothing of where an artifact is pushed to
	}
	known := slices.Concat(d.urls, remotes)
	return len(known) > 0 && !slices.ContainsFunc(known, func(u string) bool { return SameURL(u, url) })
}

// own tells whether the source of a Kustomization is that of a cluster found, or has
// an address of this repository.
func (d *discovery) own(ks *Document) bool {
	if url := d.url(ks); url != "" {
		return slices.ContainsFunc(slices.Concat(d.urls, d.remotes()), func(u string) bool { return SameURL(u, url) })
	}
	kind, namespace, name := sourceOf(ks)
	for _, c := range d.roots {
		if c.SourceKind == kind && c.SourceNamespace == namespace && c.SourceName == name {
			return true
		}
	}
	return false
}

// feeds tells whether a Kustomization of the whole repository, when nothing else
// says where Flux begins, can be what begins: not if all the others that apply a
// folder of this repository take it from another source.
func (d *discovery) feeds(ks *Document) bool {
	kind, namespace, name := sourceOf(ks)
	others := false
	for _, o := range d.kustomizations {
		if dir := cleanPath(o.Scalar("spec", "path")); dir == "." || !d.tree.IsDir(dir) {
			continue
		}
		others = true
		if k, ns, n := sourceOf(o); k == kind && ns == namespace && n == name {
			return true
		}
	}
	return !others && !d.foreign(ks)
}

// take makes a Kustomization the sync of a cluster, also of one that so far only a
// FluxInstance names.
func (d *discovery) take(ks *Document) {
	dir := cleanPath(ks.Scalar("spec", "path"))
	if d.roots[dir].Sync != nil {
		return
	}
	c := Cluster{Path: dir, Sync: ks, Namespace: cmp.Or(ks.Namespace, "flux-system"), SyncName: ks.Name, Location: ks.Location()}
	c.SourceKind, c.SourceNamespace, c.SourceName = sourceOf(ks)
	d.roots[dir] = c
	if url := d.url(ks); url != "" {
		d.urls = append(d.urls, url)
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
		if url := field("url"); url != "" {
			d.urls = append(d.urls, url)
		}
	}
}

// sourced notes what the sources of the clusters leave out and add.
func (d *discovery) sourced() {
	for dir, c := range d.roots {
		s := d.declared(c.Location.File, c.SourceKind, c.SourceNamespace, c.SourceName)
		if s == nil {
			continue
		}
		c.Ignore = s.Scalar("spec", "ignore")
		c.Submodules = s.Scalar("spec", "recurseSubmodules") == "true"
		if _, list := s.Find("spec", "include"); list != nil && resolve(list).Kind == yaml.SequenceNode {
			for i := range resolve(list).Content {
				// Without toPath it is the name of the other source
				// (https://fluxcd.io/flux/components/source/gitrepositories/#include).
				to := cmp.Or(s.Scalar("spec", "include", i, "toPath"), s.Scalar("spec", "include", i, "repository", "name"))
				if to != "" {
					c.Include = append(c.Include, cleanPath(to))
				}
			}
			slices.Sort(c.Include)
			c.Include = slices.Compact(c.Include)
		}
		d.roots[dir] = c
	}
}

// unreached takes the folders with Flux Kustomizations that no other Flux
// Kustomization applies.
func (d *discovery) unreached() {
	applied := map[string]bool{} // files that some Kustomization's path reaches
	for _, ks := range d.kustomizations {
		if d.foreign(ks) || slices.Contains(d.standing, ks) {
			continue // it applies another repository's folder of this name; see feeds
		}
		for _, f := range d.tree.Reach(cleanPath(ks.Scalar("spec", "path"))) {
			for _, r := range f.Refs {
				applied[r.Target] = true
			}
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
