package pages

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilversion "k8s.io/apimachinery/pkg/util/version"

	"lumacore.dev/lumacore/internal/chart"
	"lumacore.dev/lumacore/internal/check"
	"lumacore.dev/lumacore/internal/check/values"
	"lumacore.dev/lumacore/internal/config"
	"lumacore.dev/lumacore/internal/gitops"
	"lumacore.dev/lumacore/internal/homelab"
	"lumacore.dev/lumacore/internal/imagename"
	"lumacore.dev/lumacore/internal/lab"
	"lumacore.dev/lumacore/internal/render"
	"lumacore.dev/lumacore/internal/report"
)

// Clusters of the blueprint that the page is made from: what is on, what there is, and
// what the lab makes of it.
const (
	clusterReal = "lumacore"
	clusterAll  = "options"
	clusterLab  = "lab"
)

// OwnCheckers are the tests of test/configs by which a system's configuration is read by
// the system's own code.
var OwnCheckers = map[string]struct{ What, Test string }{
	"alloy-audit":           {"configuration by Alloy's own parser", "TestAlloy"},
	"alloy-logs":            {"configuration by Alloy's own parser", "TestAlloy"},
	"falco":                 {"rules read as Falco reads them", "TestFalco"},
	"kube-prometheus-stack": {"configuration by Alertmanager's own code, alert rules by Prometheus' own, with unit tests", "TestAlertmanager"},
}

// system is a folder below infrastructure/.
type system struct {
	name, folder string
	on           bool
	releases     []*render.Object // HelmReleases
	workloads    []*render.Object
	configs      []*render.Object // custom resources that belong to it
}

// Contents returns the page that lists what is in the blueprint.
func Contents(from fs.FS) ([]byte, error) {
	files, err := homelab.ReadFiles(from)
	if err != nil {
		return nil, err
	}
	tree := gitops.FromFiles(files)
	cfg, err := config.Load(tree)
	if err != nil {
		return nil, err
	}
	clusters, err := gitops.Discover(tree, cfg.Clusters)
	if err != nil {
		return nil, err
	}
	// No chart: the page must be the same on every machine, and here none can be had.
	empty, err := os.MkdirTemp("", "lumacore-docs-*")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(empty)
	charts, err := chart.NewStore(chart.Options{CacheDir: empty, Offline: true})
	if err != nil {
		return nil, err
	}
	result, err := render.Render(context.Background(), tree, clusters, render.Options{
		KubeVersion: cfg.Check.KubeVersion, EnvironmentLabel: cfg.EnvironmentLabel, Charts: charts,
	})
	if err != nil {
		return nil, err
	}
	rep, err := check.Run(context.Background(), []*check.Gate{values.Gate}, &check.Input{
		Tree: tree, Render: result, Config: cfg, KubeVersion: utilversion.MustParseGeneric(cfg.Check.KubeVersion), Now: time.Unix(0, 0),
	})
	if err != nil {
		return nil, err
	}
	byName := map[string]*render.Cluster{}
	for _, c := range result.Clusters {
		byName[c.Name] = c
	}
	for _, name := range []string{clusterReal, clusterAll, clusterLab} {
		if byName[name] == nil {
			return nil, fmt.Errorf("the blueprint has no cluster %s", name)
		}
	}
	p := &contents{all: byName[clusterAll], lab: byName[clusterLab], report: rep}
	p.collect(byName[clusterReal])
	return p.page(), nil
}

// contents is what the page is made of.
type contents struct {
	all, lab *render.Cluster
	report   *report.CheckReport
	systems  map[string]*system // by folder
}

// folder returns the folder of a system that a file of infrastructure/ is in, and its
// layer: "infrastructure/controllers/traefik", "controllers".
func folder(file string) (dir, layer string) {
	parts := strings.Split(file, "/")
	if len(parts) < 4 || parts[0] != "infrastructure" {
		return "", ""
	}
	return path.Join(parts[:3]...), parts[1]
}

func (p *contents) collect(on *render.Cluster) {
	p.systems = map[string]*system{}
	for _, o := range p.all.Objects {
		dir, layer := folder(o.Origin.File)
		if layer != "controllers" && layer != "services" && layer != "optional" {
			continue
		}
		s := p.systems[dir]
		if s == nil {
			s = &system{name: path.Base(dir), folder: dir}
			p.systems[dir] = s
		}
		s.on = s.on || on.Get(o.Key()) != nil
		_, pods := o.Pods()
		switch {
		case o.Is("helm.toolkit.fluxcd.io", "HelmRelease"):
			s.releases = append(s.releases, o)
		case pods:
			s.workloads = append(s.workloads, o)
		case o.CustomResource() && !o.Is("source.toolkit.fluxcd.io", o.GetKind()):
			s.configs = append(s.configs, o)
		}
	}
	for _, o := range p.all.Objects {
		dir, layer := folder(o.Origin.File)
		if layer != "configs" || !o.CustomResource() {
			continue
		}
		for _, s := range p.systems {
			if slices.Contains(configsOf(s.name), path.Base(dir)) {
				s.configs = append(s.configs, o)
			}
		}
	}
}

// configsOf are the folders of infrastructure/configs/ whose objects belong to a system.
func configsOf(system string) []string {
	switch system {
	case "kube-prometheus-stack":
		return []string{"monitoring"}
	case "flux-operator":
		return []string{"flux"}
	case "gitlab-runner":
		return []string{system, "gitlab-runner-protected"}
	case "system-upgrade-controller":
		return []string{"system-upgrade"}
	}
	return []string{system}
}

func (p *contents) page() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s\n# What is in the blueprint\n\n", header)
	b.WriteString("Every system of [`blueprint/`](../../blueprint/README.md), made from a render of it by `make docs`. A test holds this page against the blueprint.\n\n" +
		"**Checked how** says what is done besides the gates that look at every object ([the rules](rules.md)): " +
		"*values against facts* means that the chart could not be had when this page was made, and the keys and types of its values were held against what is known of that version; " +
		"with the internet and `--require-charts`, `lumacore check` renders the chart itself. " +
		"*Objects tried* are custom resources that a real API server with the definitions of their kinds has taken (`make test-e2e`, tests `TestDryRun…`).\n\n" +
		"**In the lab** is what `lumacore lab status` says of it; [what that means](../real-and-simulated.md).\n\n")
	b.WriteString("## Systems\n\n| system | path | version | checked how | in the lab |\n|---|---|---|---|---|\n")
	for _, dir := range slices.Sorted(maps.Keys(p.systems)) {
		s := p.systems[dir]
		name := s.name
		if !s.on {
			name += " (off)"
		}
		fmt.Fprintf(&b, "| %s | [%s](../../blueprint/%s) | %s | %s | %s |\n", cell(name), cell(strings.TrimPrefix(s.folder, "infrastructure/")), s.folder,
			cell(join(p.versions(s))), cell(join(p.checked(s))), cell(join(p.inLab(s))))
	}
	p.apps(&b)
	return b.Bytes()
}

// join puts several things into one cell, or says that there is none.
func join(list []string) string {
	if len(list) == 0 {
		return "–"
	}
	return strings.Join(list, "; ")
}

// add appends what is not there yet.
func add(list []string, item string) []string {
	if item == "" || slices.Contains(list, item) {
		return list
	}
	return append(list, item)
}

// versions are the charts with their versions, and the images of workloads without one.
func (p *contents) versions(s *system) (list []string) {
	for _, r := range s.releases {
		name, _, _ := unstructured.NestedString(r.Object, "spec", "chart", "spec", "chart")
		version, _, _ := unstructured.NestedString(r.Object, "spec", "chart", "spec", "version")
		if ref, ok, _ := unstructured.NestedString(r.Object, "spec", "chartRef", "name"); ok {
			name = ref
			key := render.Key{Group: "source.toolkit.fluxcd.io", Kind: "OCIRepository", Namespace: r.GetNamespace(), Name: ref}
			if source := p.all.Get(key); source != nil {
				version, _, _ = unstructured.NestedString(source.Object, "spec", "ref", "tag")
			}
		}
		list = add(list, "chart "+strings.TrimSpace(name+" "+version))
	}
	for _, w := range s.workloads {
		list = append(list, images(w, list)...)
	}
	return list
}

// images are the images of a workload that are not listed yet, without registry and digest.
func images(w *render.Object, listed []string) (list []string) {
	pods, ok := w.Pods()
	if !ok {
		return nil
	}
	for _, c := range pods.Containers() {
		name := c.Image
		if n, err := imagename.Parse(c.Image); err == nil {
			name = strings.TrimSpace(path.Base(n.Repository) + " " + n.Tag)
		}
		if !slices.Contains(listed, name) {
			list = add(list, name)
		}
	}
	return list
}

// checked says what is done for a system besides the gates that look at everything.
func (p *contents) checked(s *system) (list []string) {
	for _, r := range s.releases {
		for _, u := range p.report.NotChecked {
			if u.Gate != values.Gate.Name || u.Subject != r.Key().String() {
				continue
			}
			_, facts, found := strings.Cut(u.Reason, "facts of ")
			facts, _, _ = strings.Cut(facts, " (names and types")
			switch {
			case !found:
				list = add(list, "values not checked")
			default:
				list = add(list, "values against facts of "+facts)
			}
		}
	}
	if len(s.workloads) > 0 {
		list = add(list, "pods rendered, all gates")
	}
	switch n := len(s.configs); n {
	case 0:
	case 1:
		list = add(list, "1 object tried")
	default:
		list = add(list, fmt.Sprintf("%d objects tried", n))
	}
	if own, ok := OwnCheckers[s.name]; ok {
		list = add(list, own.What)
	}
	return list
}

// inLab says what becomes of a system in the lab.
func (p *contents) inLab(s *system) (list []string) {
	for _, o := range slices.Concat(s.releases, s.workloads) {
		in := p.lab.Get(o.Key())
		if in == nil {
			list = add(list, "off there too")
			continue
		}
		// Whoever applies it sets this label, by which the lab tells its layers apart.
		u := in.DeepCopy()
		_, by, _ := strings.Cut(in.Origin.Kustomization, "/")
		labels := u.GetLabels()
		if labels == nil {
			labels = map[string]string{}
		}
		labels["kustomize.toolkit.fluxcd.io/name"] = by
		u.SetLabels(labels)
		if becomes, ok := lab.Becomes(u); ok {
			list = add(list, strings.TrimSuffix(becomes.Is+": "+becomes.Why, ": "))
		}
	}
	return list
}

// apps lists the apps: what is in a namespace with an environment.
func (p *contents) apps(b *bytes.Buffer) {
	type app struct{ versions []string }
	byApp := map[string]map[string]*app{} // app -> environment
	for _, o := range p.all.Objects {
		parts := strings.Split(o.Origin.File, "/")
		if o.Origin.Environment == "" || len(parts) < 3 || parts[0] != "apps" {
			continue
		}
		if _, ok := o.Pods(); !ok {
			continue
		}
		envs := byApp[parts[1]]
		if envs == nil {
			envs = map[string]*app{}
			byApp[parts[1]] = envs
		}
		a := envs[o.Origin.Environment]
		if a == nil {
			a = &app{}
			envs[o.Origin.Environment] = a
		}
		a.versions = append(a.versions, images(o, a.versions)...)
	}
	b.WriteString("\n## Apps\n\nThey are rendered whole, so that every gate sees them; in the lab their pods are simulated.\n\n| app | environment | images |\n|---|---|---|\n")
	for _, name := range slices.Sorted(maps.Keys(byApp)) {
		for _, env := range slices.Sorted(maps.Keys(byApp[name])) {
			fmt.Fprintf(b, "| [%s](../../blueprint/apps/%s) | %s | %s |\n", cell(name), name, cell(env), cell(join(byApp[name][env].versions)))
		}
	}
}
