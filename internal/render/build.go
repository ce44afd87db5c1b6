package render

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/kustomize/api/resource"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"

	yamlv3 "go.yaml.in/yaml/v3"

	"lumacore.dev/lumacore/internal/gitops"
	"lumacore.dev/lumacore/internal/report"
)

// remoteTimeout bounds a build that fetches remote bases.
const remoteTimeout = 2 * time.Minute

// raw is one object as kustomize made it, before variables. It is shared between
// clusters and never changed.
type raw struct {
	json []byte
	yaml []byte // set when it may hold variables
	doc  *gitops.Document
	at   report.Location
}

// builds builds folders, each kustomization once, whatever number of clusters and
// Kustomizations it is used by.
type builds struct {
	tree   *gitops.Tree
	remote bool
	done   sync.Map // of *build1, by folder and content of the kustomization file
}

type build1 struct {
	once sync.Once
	raws []raw
	err  error
}

// inspect looks at what a build would read: the files, for gate yaml, and what is
// wrong with them, with better places and words than kustomize's.
func (b *builds) inspect(dir string, spec *kustomizev1.KustomizationSpec) (files map[string]bool, problems []Problem) {
	files = map[string]bool{}
	var more []string
	for _, c := range spec.Components {
		if d := path.Join(dir, c); b.tree.IsDir(d) {
			more = append(more, d)
		}
	}
	bad := func(kind ProblemKind, at report.Location, format string, args ...any) {
		problems = append(problems, Problem{Kind: kind, Message: fmt.Sprintf(format, args...), Location: at})
	}
	for i, f := range b.tree.Reach(dir, more...) {
		if f.File != "" {
			files[f.File] = true
		}
		var perr *gitops.ParseError
		switch {
		case errors.As(f.Err, &perr):
			bad(ProblemBuild, perr.Location, "the kustomization is no valid YAML: %s", perr.Reason)
			continue
		case f.Err != nil:
			bad(ProblemBuild, report.Location{File: f.File}, "the kustomization cannot be read: %s", f.Err)
			continue
		case f.File == "" && i > 0:
			continue // reported where it is referred to
		}
		for _, r := range f.Refs {
			what := fmt.Sprintf("%s: %q", r.Field, r.Value)
			folder := r.Field == "resources" || r.Field == "bases" || r.Field == "components" || r.Field == "generators" || r.Field == "transformers" || r.Field == "validators"
			switch {
			case r.Remote && !b.remote:
				bad(ProblemRemote, r.Location, "%s is outside of this repository, and remote bases are not fetched", what)
			case r.Remote:
			case strings.HasPrefix(r.Target, "../") || r.Target == "..":
				bad(ProblemBuild, r.Location, "%s is outside of the repository", what)
			case b.tree.IsFile(r.Target):
				files[r.Target] = true
				if folder && r.Field != "components" {
					b.resource(r, bad)
				}
			case folder && b.tree.IsDir(r.Target):
				if b.tree.Folder(r.Target).File == "" {
					bad(ProblemBuild, r.Location, "%s: the folder has no kustomization.yaml", what)
				}
			case b.tree.LeftOut()[r.Target] != "":
				bad(ProblemBuild, r.Location, "%s: the file %s", what, b.tree.LeftOut()[r.Target])
			case folder:
				bad(ProblemBuild, r.Location, "%s is neither a file nor a folder of the repository", what)
			default:
				bad(ProblemBuild, r.Location, "%s is no file of the repository", what)
			}
		}
	}
	return files, problems
}

// resource reports a file of resources that is no YAML.
func (b *builds) resource(r gitops.Ref, bad func(ProblemKind, report.Location, string, ...any)) {
	_, err := b.tree.Documents(r.Target)
	var perr *gitops.ParseError
	switch {
	case errors.As(err, &perr):
		bad(ProblemBuild, perr.Location, "no valid YAML: %s", perr.Reason)
	case err != nil:
		bad(ProblemBuild, r.Location, "%s: %q cannot be read: %s", r.Field, r.Value, err)
	}
}

// get builds a folder for the spec of a Flux Kustomization.
func (b *builds) get(ctx context.Context, dir string, spec *kustomizev1.KustomizationSpec) ([]raw, error) {
	file, data, keep, err := kustomization(b.tree, dir, spec)
	if err != nil {
		return nil, fmt.Errorf("%s %w", file, err)
	}
	sum := sha256.Sum256(append([]byte(file+"\x00"), data...))
	v, _ := b.done.LoadOrStore(sum, &build1{})
	one := v.(*build1)
	one.once.Do(func() { one.raws, one.err = b.run(ctx, dir, file, data, spec, keep) })
	return one.raws, one.err
}

func (b *builds) run(ctx context.Context, dir, file string, data []byte, spec *kustomizev1.KustomizationSpec, keep bool) ([]raw, error) {
	var more []string
	for _, c := range spec.Components {
		more = append(more, path.Join(dir, c))
	}
	alone := slices.ContainsFunc(b.tree.Reach(dir, more...), func(f *gitops.Folder) bool { return f.Global })
	fsys := treeFS{tree: b.tree, name: file, data: data}
	if b.remote {
		fsys.disk = filesys.MakeFsOnDisk()
	}
	type result struct {
		raws []raw
		err  error
	}
	work := func() result {
		m, err := build(fsys, path.Join(mount, dir), alone)
		if err != nil {
			return result{err: errors.New(plain(err.Error()))}
		}
		var raws []raw
		for _, res := range m.Resources() {
			r, err := b.raw(dir, res, keep)
			if err != nil {
				return result{err: err}
			}
			raws = append(raws, r)
		}
		return result{raws: raws}
	}
	if !b.remote {
		r := work()
		return r.raws, r.err
	}
	// kustomize's fetching has no deadline of its own and cannot be stopped.
	done := make(chan result, 1)
	go func() { done <- work() }()
	timer := time.NewTimer(remoteTimeout)
	defer timer.Stop()
	select {
	case r := <-done:
		return r.raws, r.err
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-timer.C:
		return nil, fmt.Errorf("the remote bases did not arrive within %s", remoteTimeout)
	}
}

// originAnnotation is where kustomize notes the file of a resource
// (https://kubectl.docs.kubernetes.io/references/kustomize/kustomization/buildmetadata/).
const originAnnotation = "config.kubernetes.io/origin"

// raw takes one resource of a build.
func (b *builds) raw(dir string, res *resource.Resource, keep bool) (raw, error) {
	if res.GetName() == "" || res.GetKind() == "" || res.GetApiVersion() == "" {
		return raw{}, fmt.Errorf("an object without apiVersion, kind or metadata.name: %s", firstLine(res.String()))
	}
	origin, err := res.GetOrigin()
	if err != nil {
		return raw{}, err
	}
	if !keep {
		if err := res.SetOrigin(nil); err != nil {
			return raw{}, err
		}
	}
	r := raw{}
	if r.json, err = res.MarshalJSON(); err != nil {
		return raw{}, fmt.Errorf("%s %s: %w", res.GetKind(), res.GetName(), err)
	}
	if bytes.IndexByte(r.json, '$') >= 0 {
		if r.yaml, err = res.AsYAML(); err != nil {
			return raw{}, fmt.Errorf("%s %s: %w", res.GetKind(), res.GetName(), err)
		}
	}
	r.doc, r.at = b.locate(dir, res)
	if origin != nil {
		switch {
		case origin.Repo != "":
			r.at = report.Location{File: b.tree.Folder(dir).File, Line: 1}
		case origin.Path != "":
			r.doc, r.at = b.document(path.Join(dir, origin.Path), res)
		case origin.ConfiguredIn != "":
			r.at = b.generator(path.Join(dir, origin.ConfiguredIn), res.GetName())
		}
	}
	return r, nil
}

// locate is where a resource without origin is placed: at the kustomization.
func (b *builds) locate(dir string, _ *resource.Resource) (*gitops.Document, report.Location) {
	if f := b.tree.Folder(dir).File; f != "" {
		return nil, report.Location{File: f, Line: 1}
	}
	return nil, report.Location{}
}

// document finds the document that a resource was made from. Kustomize tells the
// file; names and namespaces may have been changed since.
func (b *builds) document(file string, res *resource.Resource) (*gitops.Document, report.Location) {
	docs, _ := b.tree.Documents(file)
	var best *gitops.Document
	score := 0
	for _, d := range docs {
		n := 1
		if d.Kind == res.GetKind() {
			n += 2
			switch {
			case d.Name == res.GetName():
				n += 4
			case d.Name != "" && strings.Contains(res.GetName(), d.Name):
				n += 2
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
		return nil, report.Location{File: file, Line: 1}
	}
	return best, best.Location()
}

// generator finds the entry of a ConfigMap or Secret generator: its name is the
// resource's without prefix and hash.
func (b *builds) generator(file, name string) report.Location {
	docs, _ := b.tree.Documents(file)
	at := report.Location{File: file, Line: 1}
	longest := 0
	for _, d := range docs {
		for _, field := range []string{"configMapGenerator", "secretGenerator"} {
			_, list := d.Find(field)
			if list == nil || list.Kind != yamlv3.SequenceNode {
				continue
			}
			for i := range list.Content {
				n := d.Scalar(field, i, "name")
				if n != "" && strings.Contains(name, n) && len(n) > longest {
					longest = len(n)
					at.Line = d.LineOf(field, i)
				}
			}
		}
	}
	return at
}

// decode reads a document as an object.
func decode(d *gitops.Document) (*unstructured.Unstructured, error) {
	b, err := yamlv3.Marshal(d.Node)
	if err != nil {
		return nil, err
	}
	return decodeYAML(b)
}

func decodeYAML(b []byte) (*unstructured.Unstructured, error) {
	j, err := yaml.YAMLToJSON(b)
	if err != nil {
		return nil, err
	}
	u := &unstructured.Unstructured{}
	return u, u.UnmarshalJSON(j)
}

// plain makes kustomize's errors readable: names as in the repository, without the
// wrappers that repeat each level, and on one line.
func plain(msg string) string {
	msg = strings.ReplaceAll(msg, mount+"/", "")
	msg = strings.ReplaceAll(msg, mount, ".")
	msg = wrappers.ReplaceAllString(msg, "")
	return strings.TrimSpace(strings.Join(strings.Fields(msg), " "))
}

var wrappers = regexp.MustCompile(`accumulating (resources|components)( from '[^']*')?: |accumulation err='|recursed accumulation of path '[^']*': |accumulateDirectory: "`)

// mentioned returns the last file of the tree that a message names.
func mentioned(t *gitops.Tree, msg string) string {
	found := ""
	for _, w := range strings.FieldsFunc(msg, func(r rune) bool { return strings.ContainsRune(" '\":,;()[]{}", r) }) {
		if t.IsFile(path.Clean(w)) {
			found = path.Clean(w)
		}
	}
	return found
}

func firstLine(s string) string {
	s, _, _ = strings.Cut(s, "\n")
	return s
}
