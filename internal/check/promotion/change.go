package promotion

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"lumacore.dev/lumacore/internal/check"
	"lumacore.dev/lumacore/internal/config"
	"lumacore.dev/lumacore/internal/gitops"
	"lumacore.dev/lumacore/internal/render"
	"lumacore.dev/lumacore/internal/report"
)

// approved is what is said of findings that somebody has approved.
var approved = report.Suppression{By: "--prod-approved", Reason: "what the change does to production was approved"}

// effect is what a change does to one object of production.
type effect struct {
	before, after *render.Object // one of them may be nil
	fields        []string       // that differ
	causes        []string       // files
}

// object is the object as it is now, or was.
func (e *effect) object() *render.Object {
	if e.after != nil {
		return e.after
	}
	return e.before
}

func (e *effect) String() string {
	const most = 3
	switch key := e.object().Key().String(); {
	case e.before == nil:
		return key + " (new)"
	case e.after == nil:
		return key + " (gone)"
	default:
		return fmt.Sprintf("%s (%s)", key, words(e.fields, most))
	}
}

// changes reports what a change does to production.
func changes(ctx context.Context, in *check.Input, before, after *repository, out *check.Reporter) error {
	for _, c := range after.clusters {
		c.unbuilt(cmp.Or(in.Config.EnvironmentLabel, config.DefaultEnvironmentLabel), out)
	}
	if !before.any && !after.any {
		return nil
	}
	d := &difference{before: before, after: after, same: map[string]bool{}, mentions: map[mention]bool{}}
	for _, name := range clusterNames(before, after) {
		if err := ctx.Err(); err != nil {
			return err
		}
		d.cluster(name, in.ProdApproved, out)
	}
	return nil
}

// unbuilt reports the Kustomizations of production that cannot be compared.
func (c *cluster) unbuilt(label string, out *check.Reporter) {
	for _, k := range c.Kustomizations {
		if k.Built || c.Environment != c.of.production && k.Object.GetLabels()[label] != c.of.production {
			continue
		}
		out.Unchecked(report.Unchecked{
			Subject: k.Object.Key().String(), Location: k.Object.Origin.Location, Clusters: []string{c.Name},
			Reason: fmt.Sprintf("what the change does to %s through it: it is not rendered", c.of.production),
			Next:   "see what gate render says of it",
		})
	}
}

func clusterNames(rs ...*repository) (list []string) {
	for _, r := range rs {
		for _, c := range r.clusters {
			list = append(list, c.Name)
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

func (r *repository) cluster(name string) *cluster {
	for _, c := range r.clusters {
		if c.Name == name {
			return c
		}
	}
	return nil
}

// difference is between two revisions.
type difference struct {
	before, after *repository
	same          map[string]bool // files that were compared
	mentions      map[mention]bool
}

// mention is a variable in a file.
type mention struct {
	tree           *gitops.Tree
	file, variable string
}

// changed tells whether a file differs.
func (d *difference) changed(file string) bool {
	same, ok := d.same[file]
	if !ok {
		there, here := d.before.tree.IsFile(file), d.after.tree.IsFile(file)
		if same = there == here; there && here {
			a, aerr := d.before.tree.Sum(file)
			b, berr := d.after.tree.Sum(file)
			same = aerr == nil && berr == nil && a == b
		}
		d.same[file] = same
	}
	return !same
}

// objects lists the objects of production of a cluster.
func (c *cluster) objects() map[render.Key][]*render.Object {
	out := map[render.Key][]*render.Object{}
	if c == nil || !c.of.any {
		return out
	}
	for _, o := range c.Objects {
		if c.production(o) {
			out[o.Key()] = append(out[o.Key()], o)
		}
	}
	return out
}

// at returns the n-th object of a key, if there is one.
func (c *cluster) at(k render.Key, n int) *render.Object {
	if c == nil {
		return nil
	}
	if all := c.All(k); n < len(all) {
		return all[n]
	}
	return nil
}

func (d *difference) cluster(name string, prodApproved bool, out *check.Reporter) {
	before, after := d.before.cluster(name), d.after.cluster(name)
	was, is := before.objects(), after.objects()
	keys := slices.Collect(maps.Keys(is))
	for k := range was {
		if is[k] == nil {
			keys = append(keys, k)
		}
	}
	slices.SortFunc(keys, render.Key.Compare)
	var effects []*effect
	for _, k := range keys {
		for n := range max(len(was[k]), len(is[k])) {
			// What becomes or stops being production is compared with what it was.
			e := &effect{before: before.at(k, n), after: after.at(k, n)}
			if e.before != nil && e.after != nil {
				if same(e.before.Object, e.after.Object) {
					continue
				}
				differ(e.before.Object, e.after.Object, "", &e.fields)
			}
			effects = append(effects, e)
		}
	}
	if len(effects) == 0 {
		return
	}
	if before == nil {
		before = &cluster{Cluster: &render.Cluster{Name: name}, of: d.before}
	}
	if after == nil {
		after = &cluster{Cluster: &render.Cluster{Name: name}, of: d.after}
	}
	by := map[string][]*effect{}
	for _, e := range effects {
		files := map[string]bool{}
		if e.before != nil {
			d.causes(before, after, e.before, files, 0)
		}
		if e.after != nil {
			d.causes(after, before, e.after, files, 0)
		}
		for file := range files {
			if d.changed(file) {
				e.causes = append(e.causes, file)
			}
		}
		if len(e.causes) == 0 {
			e.causes = d.anyOf(before, after, e)
		}
		e.causes = d.edited(e)
		if len(e.causes) == 0 {
			e.causes = []string{""}
		}
		for _, file := range e.causes {
			by[file] = append(by[file], e)
		}
	}
	for _, file := range slices.Sorted(maps.Keys(by)) {
		d.report(after.Name, file, by[file], prodApproved, out)
	}
}

// causes collects the files that an object of a cluster is made from. other is the
// same cluster at the other revision: of what an object is made from indirectly, only
// what differs there counts.
func (d *difference) causes(c, other *cluster, o *render.Object, files map[string]bool, depth int) {
	const most = 3 // a release, its values, and the variables in these
	k := c.kustomizations[o.Origin.Kustomization]
	file := o.Origin.File
	if file != "" {
		files[file] = true
	}
	if k == nil || depth > most {
		return
	}
	mine := map[string]bool{}
	c.of.above(k, o, mine)
	maps.Copy(files, mine)
	mine[file] = true
	// The Kustomization may change what it applies: patches, images, variables.
	if declared := other.kustomizations[k.Name()]; declared != nil && k.Object != o && k.Object.Origin.File != "" &&
		!same(k.Object.Object["spec"], declared.Object.Object["spec"]) {
		d.causes(c, other, k.Object, files, depth+1)
	}
	if pb := k.Spec.Spec.PostBuild; pb != nil {
		for _, ref := range pb.SubstituteFrom {
			from := render.Key{Kind: ref.Kind, Namespace: k.Object.GetNamespace(), Name: ref.Name}
			for _, name := range d.variables(c.Get(from), other.get(from)) {
				if d.mention(c.of.tree, mine, name) {
					d.from(c, other, from, files, depth)
					break
				}
			}
		}
	}
	rel := c.releases[o.Origin.HelmRelease]
	if o.Is(gitops.GroupHelm, "HelmRelease") {
		rel = c.releases[o.GetNamespace()+"/"+o.GetName()]
	}
	if rel == nil || rel.Spec == nil {
		return
	}
	if rel.Object != o {
		d.causes(c, other, rel.Object, files, depth+1)
		return
	}
	for _, ref := range rel.Spec.Spec.ValuesFrom {
		d.from(c, other, render.Key{Kind: ref.Kind, Namespace: o.GetNamespace(), Name: ref.Name}, files, depth)
	}
	for _, name := range c.chartFiles(rel) {
		files[name] = true
	}
	for key := range c.sources {
		if ref := rel.Spec.Spec.ChartRef; ref != nil && ref.Kind == key.Kind && ref.Name == key.Name {
			d.from(c, other, key, files, depth)
		}
		if spec := rel.Spec.Spec.Chart; spec != nil && spec.Spec.SourceRef.Kind == key.Kind && spec.Spec.SourceRef.Name == key.Name {
			d.from(c, other, key, files, depth)
		}
	}
}

func (c *cluster) get(k render.Key) *render.Object { return c.at(k, 0) }

// from collects the files of an object that others are made from, if it differs.
func (d *difference) from(c, other *cluster, k render.Key, files map[string]bool, depth int) {
	o, was := c.get(k), other.get(k)
	if o == nil || was != nil && same(o.Object, was.Object) {
		return
	}
	d.causes(c, other, o, files, depth+1)
}

// variables returns the names of the variables in which two ConfigMaps differ.
func (d *difference) variables(a, b *render.Object) []string {
	var out []string
	for _, field := range []string{"data", "stringData"} {
		x, y := values(a, field), values(b, field)
		for k := range x {
			if !same(x[k], y[k]) {
				out = append(out, k)
			}
		}
		for k := range y {
			if _, ok := x[k]; !ok {
				out = append(out, k)
			}
		}
	}
	return out
}

func values(o *render.Object, field string) map[string]any {
	if o == nil {
		return nil
	}
	m, _ := o.Object[field].(map[string]any)
	return m
}

// mention tells whether one of the files uses a variable.
func (d *difference) mention(tree *gitops.Tree, files map[string]bool, variable string) bool {
	for file := range files {
		m := mention{tree, file, variable}
		found, ok := d.mentions[m]
		if !ok {
			data, err := tree.ReadFile(file)
			found = err == nil && (bytes.Contains(data, []byte("${"+variable)) || bytes.Contains(data, []byte("$"+variable)))
			d.mentions[m] = found
		}
		if found {
			return true
		}
	}
	return false
}

// above collects the files that can change an object after it was read from a file:
// of the kustomizations that lead to it from that of a Flux Kustomization, what is no
// resource, and their components. A kustomization for another namespace does not lead
// to it, nor does a patch of another kind change it.
func (r *repository) above(k *render.Kustomization, o *render.Object, files map[string]bool) {
	if k.Path == "" {
		return
	}
	parents := r.parents[k.Path]
	if parents == nil {
		parents = map[string][]*gitops.Folder{}
		r.parents[k.Path] = parents
		for _, f := range r.tree.Reach(k.Path) {
			if f.File != "" {
				parents[f.File] = append(parents[f.File], f)
			}
			for _, ref := range f.Refs {
				if !ref.Remote {
					parents[ref.Target] = append(parents[ref.Target], f)
				}
			}
		}
	}
	namespace := o.GetNamespace()
	seen := map[string]bool{}
	var up func(name string)
	up = func(name string) {
		for _, f := range parents[name] {
			if ns := r.namespace(f); seen[f.Dir] || ns != "" && namespace != "" && ns != namespace {
				continue
			}
			seen[f.Dir] = true
			if f.File != "" {
				files[f.File] = true
			}
			for _, ref := range f.Refs {
				switch {
				case ref.Remote:
				case ref.Field == "components":
					r.component(ref.Target, files)
				case ref.Field != "resources" && ref.Field != "bases" && r.tree.IsFile(ref.Target) && r.aims(ref, o.GetKind()):
					files[ref.Target] = true
				}
			}
			up(f.Dir)
		}
	}
	up(o.Origin.File)
	for _, c := range k.Spec.Spec.Components {
		r.component(k.Path+"/"+c, files)
	}
}

// aims tells whether a file that a kustomization names can change objects of a kind: a
// patch that is an object itself changes those of its own.
func (r *repository) aims(ref gitops.Ref, kind string) bool {
	if !strings.HasPrefix(ref.Field, "patches") {
		return true
	}
	docs, _ := r.tree.Documents(ref.Target)
	return len(docs) == 0 || slices.ContainsFunc(docs, func(d *gitops.Document) bool { return d.Kind == "" || d.Kind == kind })
}

// component collects all files of a component.
func (r *repository) component(dir string, files map[string]bool) {
	if !r.tree.IsDir(dir) {
		return
	}
	for _, f := range r.tree.Reach(dir) {
		if f.File != "" {
			files[f.File] = true
		}
		for _, ref := range f.Refs {
			if !ref.Remote && r.tree.IsFile(ref.Target) {
				files[ref.Target] = true
			}
		}
	}
}

// anyOf returns the changed files of all that the build of an object reads: where none
// of those that it is made from changed.
func (d *difference) anyOf(before, after *cluster, e *effect) (files []string) {
	for _, c := range []*cluster{before, after} {
		k := c.kustomizations[e.object().Origin.Kustomization]
		if k == nil || k.Path == "" {
			continue
		}
		read := map[string]bool{}
		c.of.component(k.Path, read)
		for file := range read {
			if d.changed(file) {
				files = append(files, file)
			}
		}
	}
	slices.Sort(files)
	return slices.Compact(files)
}

// edited leaves of the causes of an object that came or went the files that were there
// before and are still: what lists it, and not each of the files that came with it.
// Where there is none, it is the file of the object itself.
func (d *difference) edited(e *effect) []string {
	if e.before != nil && e.after != nil || len(e.causes) < 2 {
		return e.causes
	}
	var both []string
	for _, file := range e.causes {
		if d.before.tree.IsFile(file) && d.after.tree.IsFile(file) {
			both = append(both, file)
		}
	}
	if own := e.object().Origin.File; len(both) == 0 && slices.Contains(e.causes, own) {
		return []string{own}
	}
	if len(both) == 0 {
		return e.causes
	}
	return both
}

// report reports what a changed file does to production.
func (d *difference) report(cluster, file string, effects []*effect, prodApproved bool, out *check.Reporter) {
	const most = 4
	var list []string
	for _, e := range effects {
		list = append(list, e.String())
	}
	what := words(list, most)
	own := d.after.files[file].own()
	if !d.after.tree.IsFile(file) {
		own = d.before.files[file].own()
	}
	f := report.Finding{
		Rule: "promotion/prod-unannounced", Clusters: []string{cluster}, Environment: d.after.production,
		Location: report.Location{File: file, Line: d.line(file)},
	}
	switch {
	case file == "":
		first := effects[0].object()
		f.Location, f.Object = first.Origin.Location, first.Key().String()
		f.Message = fmt.Sprintf("%s changes, and no file that it is made from does: %s", d.after.production, what)
		f.Fix = "Look at what it is made from that is not in the repository: a chart whose version is not pinned, or another version of lumacore."
	case own:
		f.Rule = "promotion/prod-change"
		f.Message = fmt.Sprintf("this changes %s: %s", d.after.production, what)
	default:
		f.Message = fmt.Sprintf("this changes %s too, and is not its own file: %s", d.after.production, what)
	}
	if prodApproved {
		s := approved
		f.Suppressed = &s
	}
	out.Add(f)
}

// line returns the first line of a file that differs from what it was; 0 if the file
// is gone.
func (d *difference) line(file string) int {
	is, err := d.after.tree.ReadFile(file)
	if err != nil {
		return 0
	}
	was, _ := d.before.tree.ReadFile(file)
	line := 1
	for len(is) > 0 {
		a, restA, _ := bytes.Cut(is, []byte("\n"))
		b, restB, _ := bytes.Cut(was, []byte("\n"))
		if len(was) == 0 || !bytes.Equal(a, b) {
			return line
		}
		is, was = restA, restB
		line++
	}
	return max(1, line-1) // lines at the end are gone
}

// words joins the first of several names.
func words(list []string, most int) string {
	if n := len(list) - most; n > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(list[:most], ", "), n)
	}
	return strings.Join(list, ", ")
}
