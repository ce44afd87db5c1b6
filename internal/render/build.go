package render

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	yamlv3 "go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"

	"lumacore.dev/lumacore/internal/gitops"
	"lumacore.dev/lumacore/internal/report"
)

// Bounds of one build; large ones take a second. remoteTimeout is for builds that
// fetch remote bases.
const (
	buildTimeout  = time.Minute
	remoteTimeout = 2 * time.Minute
)

// raw is one object as kustomize made it, before variables. It is shared between
// clusters and never changed.
type raw struct {
	object map[string]any
	yaml   []byte // set when it may hold variables
	doc    *gitops.Document
	at     report.Location
}

// builds builds folders, each kustomization once, whatever number of clusters and
// Kustomizations it is used by.
type builds struct {
	tree   *gitops.Tree
	remote bool
	cache  *Cache   // nil: nothing is kept
	done   sync.Map // of *folder, by the hash of file and data
}

// folder is one build.
type folder struct {
	dir   string
	file  string // the kustomization file
	kus   types.Kustomization
	data  []byte // its content
	asked *asked // what kustomize looks for; nil: nobody wants to know
	once  sync.Once
	raws  []raw
	err   error
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
	if n := b.tree.Visits(dir, more...); n > gitops.MaxVisits {
		at := report.Location{File: dir}
		if f := b.tree.Folder(dir).File; f != "" {
			at = report.Location{File: f, Line: 1}
		}
		bad(ProblemBuild, at, "its kustomizations refer to folders more than %d times in all, which is more than is built", gitops.MaxVisits)
		return files, problems
	}
	for _, p := range spec.Patches {
		if _, err := gitops.ParseDocuments("spec.patches", []byte(p.Patch)); err != nil {
			var perr *gitops.ParseError
			if errors.As(err, &perr) && perr.Bounds {
				bad(ProblemBuild, report.Location{}, "spec.patches: %s", perr.Reason)
			}
		}
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
			what := fmt.Sprintf("%s: %q", r.Field, redact(r.Value))
			folder := r.Field == "resources" || r.Field == "bases" || r.Field == "components" || r.Field == "generators" || r.Field == "transformers" || r.Field == "validators"
			switch {
			case r.Remote && !b.remote:
				bad(ProblemRemote, r.Location, "%s is outside of this repository, and remote bases are not fetched", what)
			case r.Remote:
			case strings.HasPrefix(r.Target, "../") || r.Target == "..":
				bad(ProblemBuild, r.Location, "%s is outside of the repository", what)
			case b.tree.IsFile(r.Target):
				files[r.Target] = true
				if gitops.IsYAML(r.Target) {
					b.content(r, folder && r.Field != "components", bad)
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

// content reports a YAML file that cannot be used: resources that do not parse, and
// what is out of bounds or would fetch, whatever the file is for.
func (b *builds) content(r gitops.Ref, resource bool, bad func(ProblemKind, report.Location, string, ...any)) {
	docs, err := b.tree.Documents(r.Target)
	var perr *gitops.ParseError
	switch {
	case errors.As(err, &perr):
		if resource || perr.Bounds {
			bad(ProblemBuild, perr.Location, "no valid YAML: %s", perr.Reason)
		}
	case err != nil:
		bad(ProblemBuild, r.Location, "%s: %q cannot be read: %s", r.Field, r.Value, err)
	}
	for _, d := range docs {
		for _, from := range gitops.Fetched(d) {
			if !b.remote {
				bad(ProblemRemote, d.Location(), "%q is outside of this repository, and remote bases are not fetched", redact(from))
			}
		}
	}
}

// redact hides what may be a password in an address: the user and the query.
func redact(address string) string {
	scheme, rest, ok := strings.Cut(address, "://")
	if !ok {
		return address
	}
	rest, query, asked := strings.Cut(rest, "?")
	if asked && !strings.HasPrefix(query, "ref=") {
		rest += "?…"
	} else if asked {
		ref, _, _ := strings.Cut(query, "&")
		rest += "?" + ref
	}
	host, p, _ := strings.Cut(rest, "/")
	if i := strings.LastIndex(host, "@"); i >= 0 {
		host = "…@" + host[i+1:]
	}
	if p != "" {
		host += "/" + p
	}
	return scheme + "://" + host
}

// get builds a folder for the spec of a Flux Kustomization.
func (b *builds) get(ctx context.Context, dir string, spec *kustomizev1.KustomizationSpec) ([]raw, error) {
	file, kus, err := kustomization(b.tree, dir, spec)
	if err != nil {
		return nil, fmt.Errorf("%s %w", file, err)
	}
	data, err := yaml.Marshal(kus)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(append([]byte(file+"\x00"), data...))
	v, _ := b.done.LoadOrStore(sum, &folder{dir: dir, file: file, kus: kus, data: data})
	f := v.(*folder)
	f.once.Do(func() { f.raws, f.err = b.bounded(ctx, f) })
	return f.raws, f.err
}

// slow is the error of a build that does not end.
type slow struct{ limit time.Duration }

func (e slow) Error() string {
	return fmt.Sprintf("its build does not end within %s; kustomize takes long for thousands of objects in one Kustomization, and for objects with thousands of keys", e.limit)
}

// bounded runs a build with a deadline: kustomize has none and cannot be stopped. A
// build that is given up goes on until it ends or the process does.
func (b *builds) bounded(ctx context.Context, f *folder) ([]raw, error) {
	limit := buildTimeout
	if b.remote {
		limit = remoteTimeout
	}
	type result struct {
		raws []raw
		err  error
	}
	done := make(chan result, 1)
	go func() {
		raws, err := b.run(f)
		done <- result{raws, err}
	}()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case r := <-done:
		return r.raws, r.err
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-timer.C:
		return nil, slow{limit}
	}
}

func (b *builds) run(f *folder) (raws []raw, err error) {
	var more []string
	for _, c := range f.kus.Components {
		more = append(more, path.Join(f.dir, c))
	}
	reached := b.tree.Reach(f.dir, more...)
	if c := b.cache; c != nil && !b.remote {
		k := b.key(f, reached)
		if raws, ok := c.find(b.tree, k); ok {
			return raws, nil
		}
		f.asked = &asked{names: map[string]bool{}}
		defer func() {
			if err == nil {
				c.keep(b.tree, k, f.asked, raws)
			}
		}()
	}
	alone := slices.ContainsFunc(reached, func(r *gitops.Folder) bool { return r.Global })
	err = withSchema(alone, func() error {
		m, err := b.kustomize(f, f.data)
		var berr *buildError
		if errors.As(err, &berr) && berr.at.File == "" {
			berr.at = b.culprit(f, reached)
		}
		if err != nil {
			return err
		}
		raws, err = b.raws(m, b.places(f, m, reached))
		return err
	})
	return raws, err
}

// kustomize builds a folder with data as its kustomization file.
func (b *builds) kustomize(f *folder, data []byte) (resmap.ResMap, error) {
	fsys := treeFS{tree: b.tree, name: f.file, data: data, asked: f.asked}
	if b.remote {
		fsys.disk = filesys.MakeFsOnDisk()
	}
	m, err := build(fsys, path.Join(mount, f.dir))
	if err != nil {
		return nil, &buildError{plain(err.Error()), mentioned(b.tree, f.dir, err.Error())}
	}
	return m, nil
}

// culprit finds the file that kustomize cannot read when it does not say which: the
// first that does not build alone. It returns the zero Location when each does.
func (b *builds) culprit(f *folder, reached []*gitops.Folder) report.Location {
	const most = 500 // files to try: each is a build
	n := 0
	for _, r := range reached {
		for _, ref := range r.Refs {
			if ref.Field != "resources" || ref.Remote || !b.tree.IsFile(ref.Target) {
				continue
			}
			rel, err := filepath.Rel(f.dir, ref.Target)
			if n++; n > most || err != nil {
				return report.Location{}
			}
			data, err := yaml.Marshal(types.Kustomization{Resources: []string{filepath.ToSlash(rel)}})
			if err != nil {
				return report.Location{}
			}
			if _, err := build(treeFS{tree: b.tree, name: f.file, data: data}, path.Join(mount, f.dir)); err != nil {
				return report.Location{File: ref.Target, Line: 1}
			}
		}
	}
	return report.Location{}
}

// raws takes the resources of a build out of kustomize.
func (b *builds) raws(m resmap.ResMap, places []place) ([]raw, error) {
	var raws []raw
	for i, res := range m.Resources() {
		if res.GetName() == "" || res.GetKind() == "" || res.GetApiVersion() == "" {
			return nil, fmt.Errorf("an object without apiVersion, kind or metadata.name: %s", firstLine(res.String()))
		}
		r := raw{doc: places[i].doc, at: places[i].at}
		fail := func(err error) error {
			return &buildError{fmt.Sprintf("%s %s: %s", res.GetKind(), res.GetName(), err), places[i].at}
		}
		var err error
		if r.object, err = object(res.YNode()); err != nil {
			return nil, fail(err)
		}
		if holds(r.object, "$") {
			if r.yaml, err = res.AsYAML(); err != nil {
				return nil, fail(err)
			}
		}
		raws = append(raws, r)
	}
	return raws, nil
}

// object takes the content of a node as encoding/json would have it after a way
// through text, which is what Flux does with it, without that way.
func object(n *yamlv3.Node) (map[string]any, error) {
	var m map[string]any
	if err := n.Decode(&m); err != nil {
		return nil, err
	}
	v, err := plainValue(m)
	if err != nil {
		return nil, err
	}
	return v.(map[string]any), nil
}

// plainValue makes a decoded YAML value one of an unstructured object: texts,
// booleans, int64, float64, lists and maps of these.
func plainValue(v any) (any, error) {
	var err error
	switch v := v.(type) {
	case map[string]any:
		for k, x := range v {
			if v[k], err = plainValue(x); err != nil {
				return nil, err
			}
		}
	case []any:
		for i, x := range v {
			if v[i], err = plainValue(x); err != nil {
				return nil, err
			}
		}
	case int:
		return int64(v), nil
	case uint64:
		return float64(v), nil // beyond int64, as JSON numbers are read
	case time.Time:
		return v.Format(time.RFC3339Nano), nil
	case nil, string, bool, int64, float64:
	default:
		return nil, fmt.Errorf("a key that is no text (quote it), or a value of a kind that JSON does not have (%T)", v)
	}
	return v, nil
}

// holds tells whether a text in a value contains another.
func holds(v any, text string) bool {
	switch v := v.(type) {
	case string:
		return strings.Contains(v, text)
	case map[string]any:
		for k, x := range v {
			if strings.Contains(k, text) || holds(x, text) {
				return true
			}
		}
	case []any:
		return slices.ContainsFunc(v, func(x any) bool { return holds(x, text) })
	}
	return false
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
	msg = contents.ReplaceAllString(msg, "")
	return strings.TrimSpace(strings.Join(strings.Fields(msg), " "))
}

// contents matches the whole patch or configuration that kustomize quotes: it may
// hold what is secret, and is in the file anyway.
var contents = regexp.MustCompile(`(?s) (with config: ` + "`?" + `|from \[).*`)

var wrappers = regexp.MustCompile(`accumulating (resources|components)( from '[^']*')?: |accumulation err='|recursed accumulation of path '[^']*': |accumulateDirectory: "|': must build at directory: '[^']*': file is not directory|read [^ ]*: is a folder': |open [^ ]*: file does not exist': `)

// buildError is what kustomize said, and the place that it meant, if that is known.
type buildError struct {
	text string
	at   report.Location
}

func (e *buildError) Error() string { return e.text }

// mentioned returns the last file of the tree that a message names, as kustomize
// does: with its whole path, or relative to the folder that is built.
func mentioned(t *gitops.Tree, dir, msg string) (found report.Location) {
	for _, w := range strings.FieldsFunc(msg, func(r rune) bool { return strings.ContainsRune(" '\":,;()[]{}", r) }) {
		for _, p := range []string{strings.TrimPrefix(path.Clean(w), mount+"/"), path.Join(dir, w)} {
			if t.IsFile(p) {
				found = report.Location{File: p, Line: 1}
			}
		}
	}
	return found
}

func firstLine(s string) string {
	s, _, _ = strings.Cut(s, "\n")
	return s
}
