package render

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path"
	"runtime"
	"slices"
	"strings"
	"sync"

	helmv2 "github.com/fluxcd/helm-controller/api/v2"
	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"lumacore.dev/lumacore/internal/chart"
	"lumacore.dev/lumacore/internal/config"
	"lumacore.dev/lumacore/internal/gitops"
	"lumacore.dev/lumacore/internal/report"
)

// Options of a render. The zero value renders without any chart.
type Options struct {
	KubeVersion      string       // of the clusters, for charts that ask: "1.36.0"
	EnvironmentLabel string       // of namespaces; config.DefaultEnvironmentLabel if empty
	AllowRemoteBases bool         // let kustomize fetch bases from URLs and other repositories
	Workers          int          // how much is done at the same time; GOMAXPROCS if 0
	Charts           *chart.Store // nil: no HelmRelease is rendered
	RequireCharts    bool         // a chart that cannot be had is a problem too
	Cache            *Cache       // keeps what was built; nil: nothing is kept
	Remotes          []string     // addresses of the repository's own Git remotes
	// Progress is called now and then with how many Kustomizations and HelmReleases
	// are done and how many are known. May be nil.
	Progress func(done, known int)
}

// Render renders the clusters of a tree. What is wrong with the repository is in
// the result; the error is that of ctx.
func Render(ctx context.Context, t *gitops.Tree, clusters []gitops.Cluster, opt Options) (*Result, error) {
	if opt.Workers == 0 {
		opt.Workers = runtime.GOMAXPROCS(0)
	}
	opt.EnvironmentLabel = cmp.Or(opt.EnvironmentLabel, config.DefaultEnvironmentLabel)
	res := &Result{}
	of := map[string]*builds{} // by what the cluster's source leaves out
	for _, gc := range clusters {
		if of[gc.Ignore] == nil {
			of[gc.Ignore] = &builds{tree: t, remote: opt.AllowRemoteBases, cache: opt.Cache}
			if gc.Ignore != "" {
				of[gc.Ignore].tree = t.Without(gc.Ignore)
			}
		}
		builds := of[gc.Ignore]
		r, err := renderCluster(ctx, builds, opt, gc, nil)
		if err == nil && r.patched != nil {
			// The sync is patched in the folder that it applies: once more, as patched.
			r, err = renderCluster(ctx, builds, opt, gc, r.patched)
		}
		if err != nil {
			return nil, err
		}
		for _, name := range t.Files() {
			if !r.tree.IsFile(name) {
				r.Files[name] = true // left out on purpose, so nobody misses it
			}
		}
		res.Clusters = append(res.Clusters, r.Cluster)
	}
	return res, nil
}

// renderCluster renders one cluster. patched is its sync, if that is not what the
// repository's file says.
func renderCluster(ctx context.Context, b *builds, opt Options, gc gitops.Cluster, patched *Object) (*renderer, error) {
	r := &renderer{
		Cluster: &Cluster{Name: gc.Name, Path: gc.Path, Environment: gc.Environment, byKey: map[Key][]*Object{}, secrets: map[[2]string]Placeholder{}, Files: map[string]bool{}},
		tree:    b.tree, builds: b, opt: opt, sync: gc, given: patched, seen: map[Key]bool{}, assumed: map[Key]bool{},
	}
	return r, r.run(ctx)
}

// renderer renders one cluster.
type renderer struct {
	*Cluster
	tree   *gitops.Tree
	builds *builds
	opt    Options
	sync   gitops.Cluster

	mu       sync.Mutex // for what parallel steps report: Problems, Unchecked, Files
	seen     map[Key]bool
	given    *Object      // the sync to use instead of the file's; nil: the file's
	patched  *Object      // the sync, when its own folder changes it and it was not given
	assumed  map[Key]bool // sources that are taken for the repository itself
	releases []*Release   // to template
	done     int
}

// pending is a Kustomization that is built and waits for its variables.
type pending struct {
	*Kustomization
	raws    []raw
	lacking []kustomizev1.SubstituteReference // of its substituteFrom: what is not rendered yet
	makes   map[Key]bool                      // see making
}

// maxRounds bounds how often what a cluster applies may bring new Kustomizations
// and HelmReleases: one makes the next, and a chart could go on for ever.
const maxRounds = 50

func (r *renderer) run(ctx context.Context) error {
	next := []*Kustomization{r.root()}
	var waiting []*pending
	for round := 0; len(next) > 0 || len(waiting) > 0 || len(r.releases) > 0; round++ {
		if round == maxRounds {
			r.problem(Problem{Kind: ProblemBuild, Message: fmt.Sprintf("Kustomizations and HelmReleases bring new ones after %d rounds; the rest is not rendered", maxRounds), Location: r.sync.Location})
			break
		}
		built, err := r.build(ctx, next)
		if err != nil {
			return err
		}
		waiting = append(waiting, built...)
		next = nil
		for len(waiting) > 0 && len(next) == 0 {
			ready, rest := r.ready(waiting)
			if len(ready) == 0 && len(r.releases) > 0 {
				break // a chart may make the variables
			}
			if len(ready) == 0 {
				ready, rest = stuck(rest)
			}
			if next, err = r.apply(ctx, ready); err != nil {
				return err
			}
			waiting = rest
		}
		if len(next) == 0 && len(r.releases) > 0 {
			if next, err = r.template(ctx); err != nil {
				return err
			}
		}
	}
	r.finish()
	return nil
}

// stuck chooses of Kustomizations that all wait which ones go with what there is:
// those that only wait for what is optional; else those whose variables no other
// one that waits makes; else the first by name, which may make what others wait for.
func stuck(waiting []*pending) (ready, rest []*pending) {
	made := map[Key]int{}
	for _, p := range waiting {
		for key := range p.making() {
			made[key]++
		}
	}
	split := func(goes func(*pending) bool) bool {
		ready, rest = nil, nil
		for _, p := range waiting {
			if goes(p) {
				ready = append(ready, p)
			} else {
				rest = append(rest, p)
			}
		}
		return len(ready) > 0
	}
	if split(func(p *pending) bool {
		return !slices.ContainsFunc(p.lacking, func(ref kustomizev1.SubstituteReference) bool { return !ref.Optional })
	}) || split(func(p *pending) bool {
		own := p.making()
		return !slices.ContainsFunc(p.lacking, func(ref kustomizev1.SubstituteReference) bool {
			key := Key{"", ref.Kind, p.Object.GetNamespace(), ref.Name}
			return made[key] > 1 || made[key] == 1 && !own[key]
		})
	}) {
		return ready, rest
	}
	slices.SortFunc(waiting, func(a, b *pending) int { return cmp.Compare(a.Name(), b.Name()) })
	return waiting[:1], waiting[1:]
}

// root returns the Kustomization that applies the cluster's path.
func (r *renderer) root() *Kustomization {
	if doc := r.sync.Sync; doc != nil {
		u, err := decode(doc)
		if r.given != nil {
			u = r.given.Unstructured
		}
		if err == nil {
			if k := r.kustomization(&Object{Unstructured: u, Origin: Origin{Location: doc.Location()}, doc: doc}); k != nil {
				r.Kustomizations = append(r.Kustomizations, k)
				r.seen[k.Object.Key()] = true
				r.substitute(k)
				return k
			}
		}
	}
	spec := &kustomizev1.Kustomization{
		TypeMeta:   metav1.TypeMeta{APIVersion: kustomizev1.GroupVersion.String(), Kind: kustomizev1.KustomizationKind},
		ObjectMeta: metav1.ObjectMeta{Namespace: cmp.Or(r.sync.Namespace, "flux-system"), Name: cmp.Or(r.sync.SyncName, "flux-system")},
		Spec: kustomizev1.KustomizationSpec{
			Path: "./" + r.sync.Path, Prune: true,
			SourceRef: kustomizev1.CrossNamespaceSourceReference{
				Kind: cmp.Or(r.sync.SourceKind, "GitRepository"),
				Name: cmp.Or(r.sync.SourceName, "flux-system"), Namespace: r.sync.SourceNamespace,
			},
		},
	}
	u := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": spec.APIVersion, "kind": spec.Kind,
		"metadata": map[string]any{"namespace": spec.Namespace, "name": spec.Name},
		"spec":     map[string]any{"path": spec.Spec.Path, "prune": true, "sourceRef": map[string]any{"kind": spec.Spec.SourceRef.Kind, "name": spec.Spec.SourceRef.Name}},
	}}
	k := &Kustomization{Object: &Object{Unstructured: u, Origin: Origin{Location: r.sync.Location}}, Spec: spec, Implied: true, Path: r.sync.Path}
	r.Kustomizations = append(r.Kustomizations, k)
	r.seen[k.Object.Key()] = true
	r.substitute(k)
	return k
}

// substitute gives the root the variables that it has from outside.
func (r *renderer) substitute(k *Kustomization) {
	if len(r.sync.Substitute) == 0 {
		return
	}
	if k.Spec.Spec.PostBuild == nil {
		k.Spec.Spec.PostBuild = &kustomizev1.PostBuild{}
	}
	k.Spec.Spec.PostBuild.Substitute = merged(k.Spec.Spec.PostBuild.Substitute, r.sync.Substitute)
}

// kustomization reads a Flux Kustomization; nil if it cannot be read.
func (r *renderer) kustomization(o *Object) *Kustomization {
	spec := &kustomizev1.Kustomization{}
	if err := convert(o, spec); err != nil {
		r.problem(Problem{Kind: ProblemSpec, Message: err.Error(), Object: o.Key(), Kustomization: o.Origin.Kustomization, Location: o.Origin.Location})
		return nil
	}
	return &Kustomization{Object: o, Spec: spec, Suspended: spec.Spec.Suspend}
}

// convert reads an object into a typed one.
func convert(o *Object, into any) error {
	b, err := o.MarshalJSON()
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, into); err != nil {
		return fmt.Errorf("%s cannot be read: %s", o.Key(), strings.TrimPrefix(err.Error(), "json: "))
	}
	return nil
}

// each runs f for every item, as many at a time as there are workers.
func each[T any](ctx context.Context, workers int, items []T, f func(context.Context, T)) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(workers)
	for _, item := range items {
		g.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			f(ctx, item)
			return nil
		})
	}
	return g.Wait()
}

// build builds Kustomizations at the same time. What does not build is left out.
func (r *renderer) build(ctx context.Context, ks []*Kustomization) ([]*pending, error) {
	out := make([]*pending, len(ks))
	index := map[*Kustomization]int{}
	for i, k := range ks {
		index[k] = i
	}
	err := each(ctx, r.opt.Workers, ks, func(ctx context.Context, k *Kustomization) {
		if raws, ok := r.buildOne(ctx, k); ok {
			out[index[k]] = &pending{Kustomization: k, raws: raws}
		}
		r.step()
	})
	return slices.DeleteFunc(out, func(p *pending) bool { return p == nil }), err
}

func (r *renderer) step() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.done++
	if r.opt.Progress != nil {
		r.opt.Progress(r.done, len(r.Kustomizations)+len(r.Releases))
	}
}

// buildOne builds one Kustomization, without its variables.
func (r *renderer) buildOne(ctx context.Context, k *Kustomization) ([]raw, bool) {
	spec := &k.Spec.Spec
	fail := func(kind ProblemKind, at report.Location, format string, args ...any) {
		r.problem(Problem{Kind: kind, Message: fmt.Sprintf(format, args...), Object: k.Object.Key(), Kustomization: k.Name(), Location: at})
	}
	if spec.KubeConfig != nil {
		r.unchecked(report.Unchecked{
			Subject: k.Object.Key().String(), Location: k.Object.Locate("spec", "kubeConfig"),
			Reason: "it applies to another cluster (spec.kubeConfig)", Next: "declare that cluster under clusters in " + config.File,
		})
		return nil, false
	}
	own, why := r.ownSource(spec.SourceRef.Kind, cmp.Or(spec.SourceRef.Namespace, k.Object.GetNamespace()), spec.SourceRef.Name, spec.Path)
	if !own {
		next := ""
		if spec.SourceRef.Kind != "ExternalArtifact" {
			next = "run lumacore check in that repository"
		}
		r.unchecked(report.Unchecked{Subject: k.Object.Key().String(), Location: k.Object.Locate("spec", "sourceRef"), Reason: why, Next: next})
		return nil, false
	}
	dir := path.Clean(strings.TrimPrefix(path.Clean("/"+spec.Path), "/"))
	k.Path = dir
	if why := r.elsewhere(dir); why != "" && !r.tree.IsDir(dir) {
		r.unchecked(report.Unchecked{Subject: k.Object.Key().String(), Location: k.Object.Locate("spec", "path"), Reason: fmt.Sprintf("its path %s %s", dir, why)})
		return nil, false
	}
	if !r.tree.IsDir(dir) {
		fail(ProblemPath, k.Object.Locate("spec", "path"), "spec.path %s is no folder of the repository, or there is no file in it", spec.Path)
		return nil, false
	}
	files, problems := r.builds.inspect(dir, spec)
	r.mu.Lock()
	maps.Copy(r.Files, files)
	r.mu.Unlock()
	if len(problems) > 0 {
		for _, p := range problems {
			p.Object, p.Kustomization = k.Object.Key(), k.Name()
			if p.Location.File == "" {
				p.Location = k.Object.Locate("spec", "patches")
			}
			r.problem(p)
		}
		return nil, false
	}
	for name, why := range r.tree.LeftOut() {
		if r.tree.Folder(dir).File == "" && (dir == "." || strings.HasPrefix(name, dir+"/")) && gitops.IsYAML(name) && !strings.Contains(why, "is excluded by") {
			r.unchecked(report.Unchecked{Subject: k.Object.Key().String(), Location: report.Location{File: name}, Reason: "the file " + why + ", so it is not rendered"})
		}
	}
	raws, err := r.builds.get(ctx, dir, spec)
	if ctx.Err() != nil {
		return nil, false
	}
	var late slow
	if errors.As(err, &late) {
		r.unchecked(report.Unchecked{Subject: k.Object.Key().String(), Location: k.Object.Locate("spec", "path"), Reason: late.Error(), Next: "split the Kustomization"})
		return nil, false
	}
	if err != nil {
		at := k.Object.Locate("spec", "path")
		if f := r.tree.Folder(dir).File; f != "" {
			at = report.Location{File: f, Line: 1}
		}
		var berr *buildError
		if errors.As(err, &berr) && berr.at.File != "" {
			at = berr.at
		}
		fail(ProblemBuild, at, "%s", err)
		return nil, false
	}
	k.Built = true
	return raws, true
}

// ownSource tells whether a source is the repository that is being read, and if
// not, why it is taken for another one.
func (r *renderer) ownSource(kind, namespace, name, dir string) (bool, string) {
	if kind == "ExternalArtifact" {
		return false, fmt.Sprintf("its source, ExternalArtifact %s/%s, exists only in the cluster: a controller makes it", namespace, name)
	}
	s := r.sync
	if kind == s.SourceKind && name == s.SourceName && namespace == cmp.Or(s.SourceNamespace, namespace) {
		return true, ""
	}
	r.mu.Lock()
	source := r.Get(Key{gitops.GroupSource, kind, namespace, name})
	own := r.Get(Key{gitops.GroupSource, s.SourceKind, s.SourceNamespace, s.SourceName})
	r.mu.Unlock()
	here := r.tree.IsDir(path.Clean(strings.TrimPrefix(path.Clean("/"+dir), "/")))
	if source == nil {
		// `flux bootstrap` and the operator make the source of the repository itself;
		// it need not be in it.
		if here || r.implied(kind, namespace, name) {
			return true, ""
		}
		return false, fmt.Sprintf("its source, %s %s/%s, is not in the repository, and neither is its path %s", kind, namespace, name, dir)
	}
	if r.implied(kind, namespace, name) {
		return true, ""
	}
	url, _, _ := unstructured.NestedString(source.Object, "spec", "url")
	if own != nil {
		if o, _, _ := unstructured.NestedString(own.Object, "spec", "url"); gitops.SameURL(o, url) {
			return true, ""
		}
	}
	if slices.ContainsFunc(r.opt.Remotes, func(u string) bool { return gitops.SameURL(u, url) }) {
		return true, ""
	}
	if s.SourceName == "" && len(r.opt.Remotes) == 0 && here {
		// Nothing says which repository this is. That the path is here makes it likely.
		r.assume(source, url)
		return true, ""
	}
	return false, fmt.Sprintf("its source, %s %s/%s, is another repository: %s", kind, namespace, name, redact(url))
}

// elsewhere says why a folder that is not in the tree may be in Flux's artifact; ""
// if it cannot.
func (r *renderer) elsewhere(dir string) string {
	for _, to := range r.sync.Include {
		if dir == to || strings.HasPrefix(dir, to+"/") {
			return "comes from another source (spec.include of the repository's source)"
		}
	}
	for up := dir; r.sync.Submodules && up != "." && up != "/"; up = path.Dir(up) {
		if r.tree.LeftOut()[up] != "" {
			return "is in a Git submodule, which is not read"
		}
	}
	return ""
}

// assume says once for a source that it is taken for the repository itself.
func (r *renderer) assume(source *Object, url string) {
	r.mu.Lock()
	said := r.assumed[source.Key()]
	r.assumed[source.Key()] = true
	r.mu.Unlock()
	if !said {
		r.unchecked(report.Unchecked{
			Subject: source.Key().String(), Location: source.Origin.Location,
			Reason: fmt.Sprintf("whether %s is this repository: nothing says so, and it was taken to be, because paths in it are here", redact(url)),
			Next:   "run the check in a clone, whose remote says which repository it is",
		})
	}
}

// ready splits what waits into those whose variables are all there and the rest.
func (r *renderer) ready(waiting []*pending) (ready, rest []*pending) {
	for _, p := range waiting {
		p.lacking = nil
		if pb := p.Spec.Spec.PostBuild; pb != nil {
			for _, ref := range pb.SubstituteFrom {
				_, stands := r.Secret(p.Object.GetNamespace(), ref.Name)
				if r.Get(Key{"", ref.Kind, p.Object.GetNamespace(), ref.Name}) == nil && (ref.Kind != "Secret" || !stands) {
					p.lacking = append(p.lacking, ref)
				}
			}
		}
		if len(p.lacking) == 0 {
			ready = append(ready, p)
		} else {
			rest = append(rest, p)
		}
	}
	return ready, rest
}

// apply substitutes the variables of Kustomizations and takes their objects into
// the cluster. It returns the Kustomizations among them.
func (r *renderer) apply(ctx context.Context, ks []*pending) ([]*Kustomization, error) {
	err := each(ctx, r.opt.Workers, ks, func(_ context.Context, p *pending) {
		p.Objects = r.objects(p)
	})
	if err != nil {
		return nil, err
	}
	var found []*Kustomization
	for _, p := range ks {
		found = append(found, r.take(p.Objects)...)
	}
	return found, nil
}

// take puts objects into the cluster and returns the Kustomizations among them;
// HelmReleases are kept for later.
func (r *renderer) take(objects []*Object) (found []*Kustomization) {
	for _, o := range objects {
		key := o.Key()
		r.byKey[key] = append(r.byKey[key], o)
		r.Objects = append(r.Objects, o)
		if p, ok := placeholder(o); ok {
			r.Placeholders = append(r.Placeholders, p)
			if at := [2]string{p.Secret.Namespace, p.Secret.Name}; r.secrets[at].Secret.Kind == "" {
				r.secrets[at] = p
			}
		}
		switch {
		case o.Is(gitops.GroupKustomize, "Kustomization"):
			if r.seen[key] {
				r.meetSync(o)
				continue
			}
			r.seen[key] = true
			if k := r.kustomization(o); k != nil {
				r.Kustomizations = append(r.Kustomizations, k)
				found = append(found, k)
			}
		case o.Is(gitops.GroupHelm, "HelmRelease"):
			if r.seen[key] {
				continue
			}
			r.seen[key] = true
			spec := &helmv2.HelmRelease{}
			if err := convert(o, spec); err != nil {
				r.problem(Problem{Kind: ProblemSpec, Message: err.Error(), Object: key, Kustomization: o.Origin.Kustomization, Location: o.Origin.Location})
				continue
			}
			rel := &Release{Object: o, Spec: spec, Suspended: spec.Spec.Suspend}
			r.Releases = append(r.Releases, rel)
			r.releases = append(r.releases, rel)
		default:
			if why := notRendered(o); why != "" {
				r.unchecked(report.Unchecked{Subject: key.String(), Reason: why, Location: o.Origin.Location})
			}
		}
	}
	return found
}

// meetSync takes the sync as it is found in the folder that it applies, where it may
// have been patched: bootstrap's own file is not meant to be edited.
func (r *renderer) meetSync(o *Object) {
	for _, k := range r.Kustomizations {
		if k.Object.Key() != o.Key() || k.Object.Origin.Kustomization != "" {
			continue
		}
		if met := r.kustomization(o); met != nil && !k.Implied && r.given == nil {
			r.substitute(met) // as the root has it, so that only a patch differs
			if !equality.Semantic.DeepEqual(met.Spec.Spec, k.Spec.Spec) {
				r.patched = o
			}
		}
		k.Object, k.Implied = o, false
	}
}

// notRendered says why an object that makes others is not followed.
func notRendered(o *Object) string {
	gvk := o.GroupVersionKind()
	switch gvk.Group + "/" + gvk.Kind {
	case gitops.GroupOperator + "/ResourceSet":
		return "ResourceSets are not rendered; what they make was not looked at"
	case gitops.GroupOperator + "/FluxInstance":
		return "Flux's own controllers, which the operator installs, are not rendered"
	case gitops.GroupSource + "/ArtifactGenerator", "source.extensions.fluxcd.io/ArtifactGenerator":
		return "the artifacts that it makes are not rendered"
	case "helm.cattle.io/HelmChart", "helm.cattle.io/HelmChartConfig":
		return "charts of k3s's Helm controller are not rendered"
	case "argoproj.io/Application", "argoproj.io/ApplicationSet":
		return "Argo CD applications are not rendered"
	case "infra.contrib.fluxcd.io/Terraform":
		return "what Terraform makes is not rendered"
	}
	return ""
}

func (r *renderer) problem(p Problem) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.Problems = append(r.Problems, p)
}

func (r *renderer) unchecked(u report.Unchecked) {
	u.Gate, u.Clusters = "render", []string{r.Name}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.Unchecked = append(r.Unchecked, u)
}

// sources reports the Kustomizations whose source nothing makes. They were rendered
// as if it were the repository itself, which is what it mostly turns out to be.
// Without a sync in the repository the name of its own source is not known, and
// nothing can be said.
func (r *renderer) sources() {
	if r.sync.SourceName == "" {
		return
	}
	for _, k := range r.Kustomizations {
		ref := k.Spec.Spec.SourceRef
		ns := cmp.Or(ref.Namespace, k.Object.GetNamespace())
		key := Key{gitops.GroupSource, ref.Kind, ns, ref.Name}
		if k.Implied || k.Path == "" || r.Get(key) != nil || r.implied(ref.Kind, ns, ref.Name) {
			continue
		}
		r.problem(Problem{
			Kind: ProblemSource, Object: k.Object.Key(), Kustomization: k.Name(), Location: k.Object.Locate("spec", "sourceRef"),
			Message: fmt.Sprintf("its source, %s, is made by nothing in the repository; the repository itself is %s", key,
				Key{gitops.GroupSource, r.sync.SourceKind, r.sync.SourceNamespace, r.sync.SourceName}),
		})
	}
}

// finish sorts everything and fills in what needs the whole.
func (r *renderer) finish() {
	r.sources()
	slices.SortStableFunc(r.Objects, compareObjects)
	for _, l := range r.byKey {
		slices.SortStableFunc(l, compareObjects)
	}
	slices.SortFunc(r.Kustomizations, func(a, b *Kustomization) int { return cmp.Compare(a.Name(), b.Name()) })
	slices.SortFunc(r.Releases, func(a, b *Release) int { return cmp.Compare(a.Name(), b.Name()) })
	slices.SortFunc(r.Placeholders, func(a, b Placeholder) int {
		return cmp.Or(a.Secret.Compare(b.Secret), cmp.Compare(a.From, b.From))
	})
	slices.SortFunc(r.Problems, func(a, b Problem) int {
		return cmp.Or(a.Location.Compare(b.Location), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Message, b.Message), cmp.Compare(a.Kustomization, b.Kustomization), a.Object.Compare(b.Object))
	})
	slices.SortFunc(r.Unchecked, report.Unchecked.Compare)
	for _, o := range r.Objects {
		ns := o
		if !o.Is("", "Namespace") {
			ns = r.Get(Key{"", "Namespace", "", o.GetNamespace()})
		}
		o.Origin.Environment = r.sync.Environment
		if ns != nil {
			o.Origin.Environment = cmp.Or(ns.GetLabels()[r.opt.EnvironmentLabel], r.sync.Environment)
		}
	}
}

func compareObjects(a, b *Object) int {
	return cmp.Or(a.Key().Compare(b.Key()), cmp.Compare(a.Origin.Kustomization, b.Origin.Kustomization),
		cmp.Compare(a.Origin.HelmRelease, b.Origin.HelmRelease), cmp.Compare(a.Origin.Template, b.Origin.Template),
		a.Origin.Location.Compare(b.Origin.Location))
}
