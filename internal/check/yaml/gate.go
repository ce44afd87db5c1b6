// Package yaml is the gate over the repository's YAML files, as files: what does
// not parse, what means one thing to Flux and another to the next reader, and what
// no cluster reads.
//
// It looks at every YAML file of the tree, applied or not. The templates of Helm
// charts are left out: they are Go templates, and YAML only after rendering.
package yaml

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"lumacore.dev/lumacore/internal/check"
	"lumacore.dev/lumacore/internal/gitops"
	"lumacore.dev/lumacore/internal/render"
	"lumacore.dev/lumacore/internal/report"
)

// Gate reports YAML files that cannot be read, mislead, or are never applied.
var Gate = &check.Gate{
	Name:  "yaml",
	Title: "YAML files that do not parse, that mislead, or that no cluster reads",
	Rules: rules,
	Check: run,
}

func run(ctx context.Context, in *check.Input, out *check.Reporter) error {
	r := newRepository(in)
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	for _, name := range in.Tree.Files() {
		if !isYAML(name) || r.template(name) {
			continue
		}
		g.Go(func() error {
			r.file(name, out)
			return ctx.Err()
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	r.leftOut(out)
	r.orphans(out)
	return nil
}

// repository is what the gate knows of the tree as a whole.
type repository struct {
	*check.Input
	read    map[string]bool // files that some cluster's render reads
	charts  map[string]bool // folders with a Helm chart
	patches map[string]bool // files that a kustomization uses as patches

	mu      sync.Mutex
	objects map[string][]*gitops.Document // what Flux could apply, by file
}

func newRepository(in *check.Input) *repository {
	r := &repository{
		Input: in, read: map[string]bool{}, charts: map[string]bool{}, patches: map[string]bool{},
		objects: map[string][]*gitops.Document{},
	}
	for _, c := range in.Render.Clusters {
		for name, ok := range c.Files {
			r.read[name] = r.read[name] || ok
		}
	}
	for _, name := range in.Tree.Files() {
		switch dir, base := path.Split(name); {
		case base == "Chart.yaml":
			r.charts[path.Clean(dir)] = true
		case isKustomization(name):
			for _, ref := range in.Tree.Folder(path.Clean(dir)).Refs {
				if strings.HasPrefix(ref.Field, "patches") {
					r.patches[ref.Target] = true
				}
			}
		}
	}
	return r
}

func isKustomization(name string) bool {
	return slices.Contains(gitops.KustomizationFiles, path.Base(name))
}

func isYAML(name string) bool { return gitops.IsYAML(name) || isKustomization(name) }

// chart returns the folder of the outermost chart that a file belongs to, or "".
func (r *repository) chart(name string) string {
	found := ""
	for dir := path.Dir(name); ; dir = path.Dir(dir) {
		if r.charts[dir] {
			found = dir
		}
		if dir == "." {
			return found
		}
	}
}

// template tells whether a file is a template of a chart.
func (r *repository) template(name string) bool {
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		if path.Base(dir) == "templates" && r.charts[path.Dir(dir)] {
			return true
		}
	}
	return false
}

// manifest matches the text of what is meant as a Kubernetes object.
var manifest = regexp.MustCompile(`(?m)^["']?(apiVersion|kind)["']?:`)

// file looks at one file.
func (r *repository) file(name string, out *check.Reporter) {
	docs, err := r.Tree.Documents(name)
	var perr *gitops.ParseError
	if err != nil && !errors.As(err, &perr) {
		out.Unchecked(report.Unchecked{
			Subject: name, Reason: err.Error(), Next: "make the file readable, or exclude it in .sourceignore",
			Location: report.Location{File: name},
		})
		return
	}
	data, _ := r.Tree.ReadFile(name)
	f := &file{
		name: name, data: data, out: out, counts: map[string]int{},
		manifest: isKustomization(name) || len(manifest.FindAllIndex(data, 2)) > 1,
	}
	// A file that tools fill in before it becomes YAML is not Flux's until it does.
	templated := bytes.Contains(data, []byte("{{")) || bytes.Contains(data, []byte("{%"))
	f.template = templated && (!f.manifest || !r.read[name])
	if perr != nil && (perr.Bounds || !f.template) {
		f.syntax(perr)
	}
	for _, d := range docs {
		f.document(d)
	}
	if !r.patches[name] {
		f.twice(docs)
	}
	f.rest()
	if objects := applied(docs, isKustomization(name)); len(objects) > 0 {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.objects[name] = objects
	}
}

// file is one file that is looked at.
type file struct {
	name     string
	data     []byte
	out      *check.Reporter
	counts   map[string]int // of findings, by rule
	manifest bool           // it is meant as Kubernetes objects or as a kustomization
	template bool           // it is no YAML yet
}

// most is how many findings of a rule a file gets; the rest is counted.
const most = 50

// add reports a place in the file. In what is no manifest a mistake is a warning:
// Flux may never parse it.
func (f *file) add(rule string, line int, d *gitops.Document, format string, args ...any) {
	if f.counts[rule]++; f.counts[rule] > most {
		return
	}
	finding := f.finding(rule, line, fmt.Sprintf(format, args...))
	if d != nil {
		finding.Object = object(d)
	}
	f.out.Add(finding)
}

func (f *file) finding(rule string, line int, message string) report.Finding {
	finding := report.Finding{Rule: rule, Message: message, Location: report.Location{File: f.name, Line: line}}
	if !f.manifest {
		finding.Severity = report.Warning
	}
	return finding
}

// rest says how many findings were only counted.
func (f *file) rest() {
	for _, rule := range rules {
		if n := f.counts[rule.ID] - most; n > 0 {
			f.out.Add(f.finding(rule.ID, 0, fmt.Sprintf("%d more places in this file break this rule", n)))
		}
	}
}

func key(d *gitops.Document) render.Key {
	group, _, ok := strings.Cut(d.APIVersion, "/")
	if !ok {
		group = ""
	}
	return render.Key{Group: group, Kind: d.Kind, Namespace: d.Namespace, Name: d.Name}
}

// object names the object of a document; "" if it is none.
func object(d *gitops.Document) string {
	if d.APIVersion == "" || d.Kind == "" || d.Name == "" {
		return ""
	}
	return key(d).String()
}

// twice reports objects that the file has more than once.
func (f *file) twice(docs []*gitops.Document) {
	first := map[render.Key]*gitops.Document{}
	for _, d := range docs {
		if object(d) == "" {
			continue
		}
		if of := first[key(d)]; of != nil {
			f.add("yaml/duplicate-object", d.Line, d, "%s is in this file a second time; the first is in line %d", object(d), of.Line)
			continue
		}
		first[key(d)] = d
	}
}

// leftOut notes the files that Flux leaves out of folders that it reads, without a
// word: what stands in them looks applied and is not.
func (r *repository) leftOut(out *check.Reporter) {
	folders := map[string]bool{}
	for name := range r.read {
		folders[path.Dir(name)] = true
	}
	for name, why := range r.Tree.LeftOut() {
		if isYAML(name) && why != gitops.Excluded && folders[path.Dir(name)] {
			out.Unchecked(report.Unchecked{
				Subject: name, Reason: name + " " + why,
				Next:     "put a regular file in its place, or exclude it in .sourceignore",
				Location: report.Location{File: name},
			})
		}
	}
}
