package promotion

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/Masterminds/semver/v3"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"lumacore.dev/lumacore/internal/check"
	"lumacore.dev/lumacore/internal/gitops"
	"lumacore.dev/lumacore/internal/render"
	"lumacore.dev/lumacore/internal/report"
)

// exact reads a version that is one, and no range. For charts "1.2" is a range.
func exact(text string) (*semver.Version, bool) {
	v, err := semver.StrictNewVersion(strings.TrimPrefix(strings.TrimPrefix(strings.TrimSpace(text), "="), "v"))
	return v, err == nil
}

// charts reports releases of clusters with production whose chart changes by itself:
// of production, and of what it shares with the rest.
func (r *repository) charts(out *check.Reporter) {
	for _, c := range r.clusters {
		if !slices.ContainsFunc(c.Objects, c.production) {
			continue
		}
		for _, rel := range c.Releases {
			if env := c.releaseIn[rel.Name()]; rel.Spec == nil || env != "" && env != r.production {
				continue
			}
			c.pinned(rel, out)
		}
	}
}

func (c *cluster) pinned(rel *render.Release, out *check.Reporter) {
	const rule = "promotion/unpinned-chart"
	o, spec := rel.Object, &rel.Spec.Spec
	switch {
	case spec.ChartRef != nil:
		ref := spec.ChartRef
		key := render.Key{Group: gitops.GroupSource, Kind: ref.Kind, Namespace: cmp.Or(ref.Namespace, o.GetNamespace()), Name: ref.Name}
		source := c.Get(key)
		if source == nil {
			return // gate references reports it
		}
		if at, why := moves(source); why != "" {
			out.Object(rule, c.Cluster, source, at, "HelmRelease %s takes its chart from %s, %s", rel.Name(), key, why)
		}
	case spec.Chart == nil:
	case spec.Chart.Spec.SourceRef.Kind == "HelmRepository":
		version := spec.Chart.Spec.Version
		if _, ok := exact(version); ok {
			return
		}
		at := []any{"spec", "chart", "spec", "version"}
		if version == "" {
			out.Object(rule, c.Cluster, o, at, "chart %s has no version, which is *: the newest one at any time", spec.Chart.Spec.Chart)
			return
		}
		f := check.Finding(rule, c.Cluster, o, at, "chart %s has version %q, which is a range: the newest in it at any time", spec.Chart.Spec.Chart, version)
		f.Location = c.of.written(&member{c, o, rel}, f.Location, version)
		out.Add(f)
	case spec.Chart.Spec.SourceRef.Kind == "GitRepository" && c.chartDir(rel) == "":
		ref := spec.Chart.Spec.SourceRef
		key := render.Key{Group: gitops.GroupSource, Kind: ref.Kind, Namespace: cmp.Or(ref.Namespace, o.GetNamespace()), Name: ref.Name}
		source := c.Get(key)
		if source == nil {
			return
		}
		if at, why := moves(source); why != "" {
			out.Object(rule, c.Cluster, source, at, "HelmRelease %s takes chart %s from %s, %s", rel.Name(), spec.Chart.Spec.Chart, key, why)
		}
	}
}

// moves says why what a source brings changes by itself, and where that is written; ""
// if it does not.
func moves(source *render.Object) (at []any, why string) {
	text := func(field string) string {
		s, _, _ := unstructured.NestedString(source.Object, "spec", "ref", field)
		return s
	}
	ref := func(field string) []any { return []any{"spec", "ref", field} }
	switch source.GetKind() {
	case "OCIRepository": // the digest wins over the range, that over the tag
		switch {
		case text("digest") != "":
		case text("semver") != "":
			if _, ok := exact(text("semver")); !ok {
				return ref("semver"), fmt.Sprintf("whose ref.semver %q is a range", text("semver"))
			}
		case text("tag") == "":
			return []any{"spec", "ref"}, "which names no tag: latest is taken"
		case text("tag") == "latest":
			return ref("tag"), "whose tag is latest"
		}
	case "GitRepository": // the commit wins, then the name, the range, the tag, the branch
		switch {
		case text("commit") != "":
		case text("name") != "":
			if !strings.HasPrefix(text("name"), "refs/tags/") {
				return ref("name"), fmt.Sprintf("which follows %s", text("name"))
			}
		case text("semver") != "":
			if _, ok := exact(text("semver")); !ok {
				return ref("semver"), fmt.Sprintf("whose ref.semver %q is a range", text("semver"))
			}
		case text("tag") != "":
		default:
			return ref("branch"), fmt.Sprintf("which follows branch %s", cmp.Or(text("branch"), "master"))
		}
	}
	return nil, ""
}

// app is what is compared between environments: a workload or a release.
type app struct {
	kind, name string
}

// member is an app in one environment.
type member struct {
	cluster *cluster
	object  *render.Object
	release *render.Release
}

func (m *member) namespace() string {
	if m.release != nil {
		return m.release.Spec.GetReleaseNamespace()
	}
	return m.object.GetNamespace()
}

// apps lists the apps of an environment.
func (r *repository) apps(environment string) map[app][]*member {
	out := map[app][]*member{}
	for _, c := range r.clusters {
		for _, o := range c.Objects {
			if o.Origin.Environment == environment && o.Origin.HelmRelease == "" &&
				(o.Is("apps", "Deployment", "StatefulSet", "DaemonSet") || o.Is("batch", "CronJob")) {
				k := app{o.GetKind(), o.GetName()}
				out[k] = append(out[k], &member{c, o, nil})
			}
		}
		for _, rel := range c.Releases {
			if c.releaseIn[rel.Name()] == environment && rel.Spec != nil {
				k := app{"HelmRelease", rel.Object.GetName()}
				out[k] = append(out[k], &member{c, rel.Object, rel})
			}
		}
	}
	return out
}

// behind reports what is newer in production than in staging.
func (r *repository) behind(out *check.Reporter) {
	staging, production := r.apps(r.staging), r.apps(r.production)
	keys := slices.SortedFunc(maps.Keys(production), func(a, b app) int { return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(a.name, b.name)) })
	for _, k := range keys {
		for _, p := range production[k] {
			s := r.counterpart(p, staging[k])
			switch {
			case s == nil:
			case p.release != nil:
				r.compareCharts(p, s, out)
			default:
				r.compareImages(p, s, out)
			}
		}
	}
}

// counterpart finds the app of production among those of staging with its name: in
// the namespace of the same name, apart from the environments' names, or the only one.
func (r *repository) counterpart(p *member, staging []*member) *member {
	plain := func(namespace string) string {
		for _, env := range []string{r.staging, r.production} {
			namespace = strings.TrimSuffix(strings.TrimPrefix(namespace, env+"-"), "-"+env)
		}
		return namespace
	}
	for _, s := range staging {
		if s.cluster == p.cluster && plain(s.namespace()) == plain(p.namespace()) {
			return s
		}
	}
	for _, s := range staging {
		if plain(s.namespace()) == plain(p.namespace()) {
			return s
		}
	}
	if len(staging) == 1 {
		return staging[0]
	}
	return nil
}

// compareCharts compares the charts of two releases. Ranges cannot be compared; see
// unpinned-chart.
func (r *repository) compareCharts(p, s *member, out *check.Reporter) {
	chart := func(m *member) (name, version string) {
		if spec := m.release.Spec.Spec.Chart; spec != nil {
			return spec.Spec.Chart, spec.Spec.Version
		}
		if ref := m.release.Spec.Spec.ChartRef; ref != nil {
			if source := m.cluster.Get(render.Key{Group: gitops.GroupSource, Kind: ref.Kind, Namespace: cmp.Or(ref.Namespace, m.object.GetNamespace()), Name: ref.Name}); source != nil {
				tag, _, _ := unstructured.NestedString(source.Object, "spec", "ref", "tag")
				url, _, _ := unstructured.NestedString(source.Object, "spec", "url")
				return url, tag
			}
		}
		return "", ""
	}
	name, mine := chart(p)
	other, theirs := chart(s)
	if name == "" || name != other || !newer(mine, theirs) {
		return
	}
	at := p.object.Locate("spec", "chart", "spec", "version")
	f := check.Finding("promotion/staging-behind", p.cluster.Cluster, p.object, nil,
		"%s has chart %s %s, and staging (%s) has %s", r.production, name, mine, s.object.Key(), theirs)
	f.Location = r.written(p, at, mine)
	out.Add(f)
}

// compareImages compares the images of containers of the same name.
func (r *repository) compareImages(p, s *member, out *check.Reporter) {
	pods, ok := p.object.Pods()
	others, okS := s.object.Pods()
	if !ok || !okS {
		return
	}
	images := map[string]string{}
	for _, c := range others.Containers() {
		images[c.Name] = c.Image
	}
	for _, c := range pods.Containers() {
		repository, mine := tagged(c.Image)
		other, theirs := tagged(images[c.Name])
		if repository == "" || repository != other || !newer(mine, theirs) {
			continue
		}
		f := check.Finding("promotion/staging-behind", p.cluster.Cluster, p.object, nil,
			"container %q has version %s in %s, and staging (%s) has %s", c.Name, mine, r.production, s.object.Key(), theirs)
		f.Location = r.written(p, p.object.Locate(append(c.Path, "image")...), mine)
		out.Add(f)
	}
}

// written returns the line in production's own files in which a version stands, else
// where the object has it.
func (r *repository) written(m *member, at report.Location, version string) report.Location {
	if r.files[at.File].own() && strings.Contains(r.tree.Line(at.File, at.Line), version) {
		return at
	}
	k := m.cluster.kustomizations[m.object.Origin.Kustomization]
	if k == nil {
		return at
	}
	files := map[string]bool{}
	r.above(k, m.object, files)
	for _, file := range slices.Sorted(maps.Keys(files)) {
		if !r.files[file].own() {
			continue
		}
		data, err := r.tree.ReadFile(file)
		if err != nil {
			continue
		}
		n := 0
		for line := range bytes.SplitSeq(data, []byte("\n")) {
			n++
			if _, value, ok := strings.Cut(string(line), ":"); ok && strings.Contains(value, version) {
				return report.Location{File: file, Line: n}
			}
		}
	}
	return at
}

// tagged splits an image into repository and tag.
func tagged(image string) (repository, tag string) {
	image, _, _ = strings.Cut(image, "@")
	if i := strings.LastIndexByte(image, ':'); i > strings.LastIndexByte(image, '/') {
		return image[:i], image[i+1:]
	}
	return image, ""
}

// newer tells whether version a is newer than b, where both are versions that can be
// ordered: a variant ("1.2.3-alpine") only compares with the same variant.
func newer(a, b string) bool {
	x, errX := semver.NewVersion(a)
	y, errY := semver.NewVersion(b)
	if errX != nil || errY != nil || strings.Count(a, ".") == 0 && strings.Count(b, ".") == 0 && (len(a) > 4 || len(b) > 4) {
		return false // such as dates and commits that happen to be numbers
	}
	if p, q := x.Prerelease(), y.Prerelease(); p != q && (variant(p) || variant(q)) {
		return false
	}
	return x.GreaterThan(y)
}

// variant tells whether what follows a version's dash is no step before a release, as
// semver has it, but another build of the same.
func variant(s string) bool {
	if s == "" {
		return false
	}
	s = strings.ToLower(s)
	for _, step := range []string{"alpha", "beta", "rc", "pre", "dev", "snapshot"} {
		if strings.HasPrefix(s, step) && (len(s) == len(step) || strings.ContainsAny(s[len(step):len(step)+1], ".-0123456789")) {
			return false
		}
	}
	return true
}
