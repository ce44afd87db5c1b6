package yaml

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"sync"

	"lumacore.dev/lumacore/internal/check"
	"lumacore.dev/lumacore/internal/gitops"
	"lumacore.dev/lumacore/internal/render"
	"lumacore.dev/lumacore/internal/report"
)

// clientSide are the groups of files that look like Kubernetes objects and are
// read by a program on somebody's machine.
var clientSide = map[string]bool{
	"backstage.io":       true,
	"cli.kyverno.io":     true, // policy tests
	"k3d.io":             true,
	"kind.x-k8s.io":      true,
	"skaffold":           true,
	"test.gatekeeper.sh": true, // policy tests
}

// testFolders are names of folders whose files are there to be read, or to be
// tested with.
var testFolders = map[string]bool{
	"example": true, "examples": true, "sample": true, "samples": true,
	"test": true, "tests": true, "testdata": true,
}

// applied returns the documents that are there to be applied: kustomizations, and
// objects with a name or lists of them.
func applied(docs []*gitops.Document, kustomization bool) []*gitops.Document {
	var out []*gitops.Document
	for _, d := range docs {
		group := key(d).Group
		switch {
		case kustomization, strings.HasPrefix(d.APIVersion, "kustomize.config.k8s.io/"):
		case d.APIVersion == "" || d.Kind == "" || clientSide[group]:
			continue
		case d.Name == "" && d.Scalar("metadata", "generateName") == "" && d.Kind != "List":
			continue
		}
		out = append(out, d)
	}
	return out
}

// orphans reports what no cluster reads: file by file, and a folder of which
// nothing is read at its first file.
func (r *repository) orphans(out *check.Reporter) {
	if len(r.read) == 0 {
		return // no cluster, or none that renders: gate render says so
	}
	for _, c := range r.Render.Clusters {
		if what, next, at := unknown(r.Tree, c); what != "" {
			out.Unchecked(report.Unchecked{
				Subject: "files that no cluster reads", Reason: what + ", so it is not known which files it reads", Next: next,
				Location: at, Clusters: []string{c.Name},
			})
			return
		}
	}
	type count struct{ all, orphans int }
	folders := map[string]count{} // with what is below
	var orphans []string
	charts := map[string]bool{}
	tests := r.testFolders()
	for _, name := range r.Tree.Files() {
		docs := r.objects[name]
		chart := r.chart(name)
		if chart != "" {
			charts[chart] = charts[chart] || r.read[name]
		}
		if len(docs) == 0 || chart != "" || tests(name) {
			continue
		}
		if !r.read[name] {
			orphans = append(orphans, name)
		}
		for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
			n := folders[dir]
			n.all++
			if !r.read[name] {
				n.orphans++
			}
			folders[dir] = n
		}
	}
	reported := map[string]bool{}
	named := sync.OnceValue(r.byHand)
	// add reports what is not read. What somebody may apply by hand is no mistake.
	add := func(f report.Finding, names ...string) {
		f.Rule = "yaml/orphan"
		for _, name := range names {
			if by := named().of(name); by != "" {
				f.Severity = report.Info
				f.Message += fmt.Sprintf("; %s names it, so it may be applied by hand", by)
				f.Fix = "If it is applied by hand, exclude it in .sourceignore; if not, list it in the kustomization that should apply it, or delete it."
				break
			}
		}
		out.Add(f)
	}
	for _, name := range orphans {
		// The outermost folder of which nothing is read speaks for its files.
		top := ""
		for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
			if n := folders[dir]; n.all == n.orphans && n.all > 1 {
				top = dir
			}
		}
		first := r.objects[name][0]
		switch {
		case top == "":
			names := []string{name}
			if n := folders[path.Dir(name)]; n.all == n.orphans && n.all > 0 {
				names = append(names, path.Dir(name))
			}
			add(report.Finding{
				Location: first.Location(), Object: object(first),
				Message: "no cluster reads this file, so nothing of it is applied",
			}, names...)
		case !reported[top]:
			reported[top] = true
			add(report.Finding{
				Location: first.Location(),
				Message:  fmt.Sprintf("no cluster reads the folder %s, so none of its %d manifests is applied", top, folders[top].all),
			}, top)
		}
	}
	for chart, read := range charts {
		if !read && !r.used(chart) && !tests(path.Join(chart, "Chart.yaml")) {
			add(report.Finding{
				Location: report.Location{File: path.Join(chart, "Chart.yaml")},
				Message:  fmt.Sprintf("no HelmRelease uses the chart %s, so nothing of it is applied", chart),
			}, chart)
		}
	}
}

// unknown names something of which it is not known which files it reads; "" if
// there is nothing such.
func unknown(t *gitops.Tree, c *render.Cluster) (what, next string, at report.Location) {
	for _, k := range c.Kustomizations {
		if !k.Built && k.Path != "" && t.IsDir(k.Path) {
			return fmt.Sprintf("Kustomization %s does not build", k.Name()), "mend what gate render reports", k.Object.Origin.Location
		}
	}
	for _, o := range c.Objects {
		if o.Is(gitops.GroupOperator, "ResourceSet") || o.Is(gitops.GroupSource, "ArtifactGenerator") || o.Is("source.extensions.fluxcd.io", "ArtifactGenerator") {
			return o.Key().String() + " is not rendered", "look through the folders that it reads by hand", o.Origin.Location
		}
	}
	return "", "", report.Location{}
}

// testFolders returns what tells whether a file belongs to tests or examples: by
// the name of a folder that it is in, or because a suite of policy tests stands in
// that folder.
func (r *repository) testFolders() func(name string) bool {
	suites := map[string]bool{}
	for _, name := range r.Tree.Files() {
		if !gitops.IsYAML(name) || r.template(name) {
			continue
		}
		docs, _ := r.Tree.Documents(name)
		if slices.ContainsFunc(docs, func(d *gitops.Document) bool {
			return d.Is("test.gatekeeper.sh", "Suite") || d.Is("cli.kyverno.io", "Test")
		}) {
			suites[path.Dir(name)] = true
		}
	}
	return func(name string) bool {
		for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
			if testFolders[path.Base(dir)] || suites[dir] {
				return true
			}
		}
		return false
	}
}

// used tells whether a HelmRelease names the chart by its folder.
func (r *repository) used(chart string) bool {
	for _, c := range r.Render.Clusters {
		for _, rel := range c.Releases {
			if rel.Spec != nil && rel.Spec.Spec.Chart != nil && path.Clean(rel.Spec.Spec.Chart.Spec.Chart) == chart {
				return true
			}
		}
	}
	return false
}
