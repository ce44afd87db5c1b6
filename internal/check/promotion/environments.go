package promotion

import (
	"cmp"
	"path"
	"strings"

	"lumacore.dev/lumacore/internal/gitops"
	"lumacore.dev/lumacore/internal/render"
)

const groupImage = "image.toolkit.fluxcd.io"

// repository is a repository at one revision.
type repository struct {
	names
	tree     *gitops.Tree
	clusters []*cluster
	any      bool                                   // something is of production
	files    map[string]usage                       // that builds read
	parents  map[string]map[string][]*gitops.Folder // of a folder that is built: who refers to a file or folder
}

// cluster is one cluster of it.
type cluster struct {
	*render.Cluster
	of             *repository
	kustomizations map[string]*render.Kustomization // by name
	releases       map[string]*render.Release
	environments   map[string]string   // of Kustomizations, by name, whose objects have the same one; "" for the others
	releaseIn      map[string]string   // of releases
	sources        map[render.Key]bool // from which production comes
}

// usage is whose builds read a file.
type usage struct{ production, others bool }

// own tells whether a file is production's own.
func (u usage) own() bool { return u.production && !u.others }

// flux tells whether an object is one of Flux's.
func flux(o *render.Object) bool {
	return strings.HasSuffix(o.GroupVersionKind().Group, ".toolkit.fluxcd.io")
}

// look finds out what is of which environment.
func look(tree *gitops.Tree, res *render.Result, n names) *repository {
	r := &repository{names: n, tree: tree, files: map[string]usage{}, parents: map[string]map[string][]*gitops.Folder{}}
	for _, rc := range res.Clusters {
		c := &cluster{
			Cluster: rc, of: r, kustomizations: map[string]*render.Kustomization{}, releases: map[string]*render.Release{},
			environments: map[string]string{}, releaseIn: map[string]string{}, sources: map[render.Key]bool{},
		}
		for _, rel := range rc.Releases {
			c.releases[rel.Name()] = rel
			env := rel.Object.Origin.Environment
			if rel.Spec != nil {
				env = cmp.Or(c.environment(rel.Spec.GetReleaseNamespace()), env)
			}
			c.releaseIn[rel.Name()] = env
		}
		for _, k := range rc.Kustomizations {
			c.kustomizations[k.Name()] = k
		}
		objects := map[string][]*render.Object{} // those of charts too
		for _, o := range rc.Objects {
			objects[o.Origin.Kustomization] = append(objects[o.Origin.Kustomization], o)
			r.any = r.any || o.Origin.Environment == n.production
		}
		for name := range c.kustomizations {
			c.environments[name] = c.only(objects[name])
		}
		r.clusters = append(r.clusters, c)
	}
	if !r.any {
		return r
	}
	for _, c := range r.clusters {
		c.references()
		c.reads()
	}
	return r
}

// environment returns the environment of a namespace.
func (c *cluster) environment(namespace string) string {
	if o := c.Get(render.Key{Kind: "Namespace", Name: namespace}); o != nil {
		return o.Origin.Environment
	}
	return c.Environment
}

// only returns the environment that objects have, if it is one: of those of Flux the
// namespace says nothing, and of what has no namespace only whether it is one.
func (c *cluster) only(objects []*render.Object) string {
	env := c.Environment
	for _, o := range objects {
		switch e := o.Origin.Environment; {
		case c.Environment == "" && flux(o):
		case e == "" && o.GetNamespace() == "":
		case e == "":
			return "" // in a namespace of no environment
		case env == "":
			env = e
		case env != e:
			return ""
		}
	}
	return env
}

// environmentOf returns the environment of an object.
func (c *cluster) environmentOf(o *render.Object) string {
	switch {
	case o.Is(gitops.GroupKustomize, "Kustomization"):
		return c.environments[o.GetNamespace()+"/"+o.GetName()]
	case o.Is(gitops.GroupHelm, "HelmRelease"):
		return c.releaseIn[o.GetNamespace()+"/"+o.GetName()]
	case c.sources[o.Key()]:
		return c.of.production
	}
	return o.Origin.Environment
}

func (c *cluster) production(o *render.Object) bool { return c.environmentOf(o) == c.of.production }

// references notes the sources from which production comes.
func (c *cluster) references() {
	note := func(kind, namespace, name string) {
		c.sources[render.Key{Group: gitops.GroupSource, Kind: kind, Namespace: namespace, Name: name}] = true
	}
	for name, k := range c.kustomizations {
		if c.environments[name] == c.of.production {
			ref := k.Spec.Spec.SourceRef
			note(ref.Kind, cmp.Or(ref.Namespace, k.Object.GetNamespace()), ref.Name)
		}
	}
	for name, rel := range c.releases {
		if c.releaseIn[name] != c.of.production || rel.Spec == nil {
			continue
		}
		if ref := rel.Spec.Spec.ChartRef; ref != nil {
			note(ref.Kind, cmp.Or(ref.Namespace, rel.Object.GetNamespace()), ref.Name)
		}
		if spec := rel.Spec.Spec.Chart; spec != nil {
			ref := spec.Spec.SourceRef
			note(ref.Kind, cmp.Or(ref.Namespace, rel.Object.GetNamespace()), ref.Name)
		}
	}
}

// reads notes whose builds read which files.
func (c *cluster) reads() {
	for name, k := range c.kustomizations {
		if k.Path == "" {
			continue
		}
		type at struct{ dir, env string }
		seen := map[at]bool{}
		var visit func(dir, env string)
		visit = func(dir, env string) {
			f := c.of.tree.Folder(dir)
			if env == "" {
				env = c.environment(c.of.namespace(f))
			}
			if seen[at{dir, env}] {
				return
			}
			seen[at{dir, env}] = true
			if f.File != "" {
				c.of.note(f.File, env)
			}
			for _, r := range f.Refs {
				switch {
				case r.Remote:
				case c.of.tree.IsDir(r.Target):
					visit(r.Target, env)
				case c.of.tree.IsFile(r.Target) && env == "" && (r.Field == "resources" || r.Field == "bases"):
					c.of.note(r.Target, c.documents(r.Target))
				case c.of.tree.IsFile(r.Target):
					c.of.note(r.Target, env)
				}
			}
		}
		env := c.environments[name]
		visit(path.Clean(k.Path), env)
		for _, component := range k.Spec.Spec.Components {
			if dir := path.Join(k.Path, component); c.of.tree.IsDir(dir) {
				visit(dir, env)
			}
		}
	}
	for name, rel := range c.releases {
		for _, file := range c.chartFiles(rel) {
			c.of.note(file, c.releaseIn[name])
		}
	}
}

// note notes that a build reads a file for an environment; "" for several, or none.
func (r *repository) note(file, env string) {
	u := r.files[file]
	if env == r.production {
		u.production = true
	} else {
		u.others = true
	}
	r.files[file] = u
}

// namespace returns the namespace that a kustomization sets.
func (r *repository) namespace(f *gitops.Folder) string {
	if f.File == "" {
		return ""
	}
	docs, _ := r.tree.Documents(f.File)
	if len(docs) != 1 {
		return ""
	}
	return docs[0].Scalar("namespace")
}

// documents returns the environment that all objects of a file have; "" if there is no
// such one.
func (c *cluster) documents(file string) string {
	docs, _ := c.of.tree.Documents(file)
	env := ""
	for i, d := range docs {
		e := ""
		switch {
		case d.Is(gitops.GroupKustomize, "Kustomization"):
			e = c.environments[d.Namespace+"/"+d.Name]
		case d.Is(gitops.GroupHelm, "HelmRelease"):
			e = c.releaseIn[d.Namespace+"/"+d.Name]
		case d.Is("", "Namespace"):
			e = c.environment(d.Name)
		case d.Namespace != "":
			e = c.environment(d.Namespace)
		}
		if i > 0 && e != env {
			return ""
		}
		env = e
	}
	return env
}

// chartFiles returns the files of a release's chart that the repository holds.
func (c *cluster) chartFiles(rel *render.Release) (files []string) {
	dir := c.chartDir(rel)
	if dir == "" {
		return nil
	}
	var walk func(dir string)
	walk = func(dir string) {
		for _, name := range c.of.tree.List(dir) {
			if p := path.Join(dir, name); c.of.tree.IsFile(p) {
				files = append(files, p)
			} else {
				walk(p)
			}
		}
	}
	walk(dir)
	return files
}

// chartDir returns the folder of a release's chart in the repository, or "".
func (c *cluster) chartDir(rel *render.Release) string {
	if rel.Spec == nil || rel.Spec.Spec.Chart == nil || rel.Spec.Spec.Chart.Spec.SourceRef.Kind != "GitRepository" {
		return ""
	}
	dir := path.Clean(strings.TrimPrefix(path.Clean("/"+rel.Spec.Spec.Chart.Spec.Chart), "/"))
	if !c.of.tree.IsFile(path.Join(dir, "Chart.yaml")) {
		return ""
	}
	return dir
}
