package dryrun

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"lumacore.dev/lumacore/internal/check"
	"lumacore.dev/lumacore/internal/gitops"
	"lumacore.dev/lumacore/internal/render"
	"lumacore.dev/lumacore/internal/report"
	"lumacore.dev/lumacore/internal/schemas"
)

const crdGroup = "apiextensions.k8s.io"

// job is the work on one cluster of the repository.
type job struct {
	in      *check.Input
	out     *check.Reporter
	cluster *render.Cluster
	server  *server
	limits  limits
	objects []*render.Object // in order

	progress *progress

	// made are the kinds that CRDs and ConstraintTemplates of the render define, with
	// the objects that do it.
	made map[schema.GroupKind]*render.Object
	// namespaces are those that the render makes, or a release when it is installed.
	namespaces map[string]bool
	// owners are the Kustomizations and HelmReleases by name.
	kustomizations map[string]*render.Kustomization
	releases       map[string]*render.Release

	// Of a server that is thrown away:
	created   map[*render.Object]bool        // what was created for real, and so tried; false: it was refused
	catalogue map[schema.GroupKind]string    // kinds whose CRD is of the catalogue: of which module
	refused   map[string]string              // namespaces that could not be created, and why
	without   map[schema.GroupKind][2]string // kinds that could not be made: why, and what to do

	mu    sync.Mutex
	said  map[string]bool
	notes map[note]*seen
}

// note is why objects of a kind could not be tried.
type note struct {
	gvk       schema.GroupVersionKind
	why, next string
}

// seen counts them.
type seen struct {
	n     int
	first *render.Object
}

func newJob(in *check.Input, out *check.Reporter, c *render.Cluster, s *server, lim limits, p *progress) *job {
	j := &job{
		in: in, out: out, cluster: c, server: s, limits: lim, objects: ordered(c), progress: p,
		made: map[schema.GroupKind]*render.Object{}, namespaces: map[string]bool{},
		kustomizations: map[string]*render.Kustomization{}, releases: map[string]*render.Release{},
		created: map[*render.Object]bool{}, catalogue: map[schema.GroupKind]string{},
		refused: map[string]string{}, without: map[schema.GroupKind][2]string{},
		said: map[string]bool{}, notes: map[note]*seen{},
	}
	for _, o := range j.objects {
		switch {
		case o.Is(crdGroup, "CustomResourceDefinition"):
			if gk, ok := definedKind(o); ok {
				j.made[gk] = cmp.Or(j.made[gk], o)
			}
		case o.Is(schemas.TemplateGroup, "ConstraintTemplate"):
			if kind := schemas.ConstraintKind(o.Unstructured); kind != "" {
				gk := schema.GroupKind{Group: schemas.ConstraintGroup, Kind: kind}
				j.made[gk] = cmp.Or(j.made[gk], o)
			}
		case o.Is("", "Namespace"):
			j.namespaces[o.GetName()] = true
		}
	}
	for _, k := range c.Kustomizations {
		j.kustomizations[k.Name()] = k
	}
	for _, r := range c.Releases {
		j.releases[r.Name()] = r
		if i := r.Spec.Spec.Install; i != nil && i.CreateNamespace {
			j.namespaces[cmp.Or(r.Spec.Spec.TargetNamespace, r.Object.GetNamespace())] = true
		}
	}
	return j
}

// definedKind returns the kind that a CRD defines.
func definedKind(crd *render.Object) (schema.GroupKind, bool) {
	group, _ := value(crd.Object, "spec", "group").(string)
	kind, _ := value(crd.Object, "spec", "names", "kind").(string)
	return schema.GroupKind{Group: group, Kind: kind}, group != "" && kind != ""
}

// rest returns the objects that are still to be tried.
func (j *job) rest() []*render.Object {
	var out []*render.Object
	for _, o := range j.objects {
		if _, tried := j.created[o]; !tried && o.GetKind() != "" && o.GetKind() != "List" {
			out = append(out, o)
		}
	}
	return out
}

// try has the server try one object.
func (j *job) try(ctx context.Context, o *render.Object) error {
	at, ok := j.place(o)
	if !ok {
		return nil
	}
	return j.send(ctx, o, at, false)
}

// send sends an object and reports the answer.
func (j *job) send(ctx context.Context, o *render.Object, at resource, create bool) error {
	r := request{object: o.Unstructured, manager: manager(o), as: j.user(o), create: create}
	warnings, err := j.server.send(ctx, at, r)
	if j.in.Throwaway && ownAddress(err) {
		// Which addresses the cluster gives to Services is not known here. The rest is
		// tried without.
		j.note(o, "the addresses of the cluster's Services are not known, and it asks for one; the rest of it was tried", "have it tried by the cluster itself: --dry-run=KUBECONFIG")
		r.object = o.DeepCopy()
		for _, field := range []string{"clusterIP", "clusterIPs"} {
			unstructured.RemoveNestedField(r.object.Object, "spec", field)
		}
		warnings, err = j.server.send(ctx, at, r)
	}
	return j.judge(o, at, warnings, err)
}

// manager is the field manager of who applies an object.
func manager(o *render.Object) string {
	if o.Origin.HelmRelease != "" {
		return "helm-controller"
	}
	return "kustomize-controller"
}

// user is who applies an object: the ServiceAccount that the Kustomization or
// HelmRelease names, else the controller's own. Admission policies may look at it. It
// may do everything: what roles allow is not the question here. Where the server is a
// cluster's, it is whoever the kubeconfig says.
func (j *job) user(o *render.Object) *user {
	if !j.in.Throwaway {
		return nil
	}
	namespace, name := fluxNamespace, manager(o)
	if r := j.releases[o.Origin.HelmRelease]; r != nil {
		if r.Spec.Spec.ServiceAccountName != "" {
			namespace, name = r.Object.GetNamespace(), r.Spec.Spec.ServiceAccountName
		}
	} else if k := j.kustomizations[o.Origin.Kustomization]; k != nil && k.Spec.Spec.ServiceAccountName != "" {
		namespace, name = k.Object.GetNamespace(), k.Spec.Spec.ServiceAccountName
	}
	return &user{
		name:   "system:serviceaccount:" + namespace + ":" + name,
		groups: []string{"system:masters", "system:serviceaccounts", "system:serviceaccounts:" + namespace, "system:authenticated"},
	}
}

// fluxNamespace is where Flux's controllers run, unless somebody has installed them in
// a way of their own.
const fluxNamespace = "flux-system"

// place finds where the server has objects of this kind; if nowhere, that is reported.
func (j *job) place(o *render.Object) (resource, bool) {
	gvk := o.GroupVersionKind()
	at, ok := j.server.serves(gvk)
	if !ok {
		j.notServed(o)
		return at, false
	}
	switch namespace := o.GetNamespace(); {
	case at.namespaced && namespace == "":
		j.find(ruleRefused, o, []any{"metadata"}, "", "%s is namespaced, and the object names no namespace: nobody can apply it", gvk.Kind)
		return at, false
	case o.GetName() == "":
		j.find(ruleRefused, o, []any{"metadata"}, "", "the object has no name: nobody can apply it")
		return at, false
	case strings.ContainsAny(o.GetName()+namespace, "/%"):
		j.find(ruleRefused, o, []any{"metadata", "name"}, "", "no client asks for an object with the name %q", o.GetName())
		return at, false
	case at.namespaced && j.refused[namespace] != "":
		j.note(o, fmt.Sprintf("its namespace %s could not be created: %s", namespace, j.refused[namespace]), "mend the namespace")
		return at, false
	}
	return at, true
}

// notServed reports an object of a kind that the server does not serve.
func (j *job) notServed(o *render.Object) {
	gvk := o.GroupVersionKind()
	gk := gvk.GroupKind()
	api := fmt.Sprintf("%s %s", gvk.GroupVersion(), gvk.Kind)
	builtin := !o.CustomResource()
	switch maker := j.made[gk]; {
	case j.server.down[gvk.GroupVersion()]:
		j.note(o, fmt.Sprintf("the API server could not say what %s has: what serves it is down", gvk.GroupVersion()), "look at the APIService v1."+gvk.Group)
	case j.without[gk][0] != "":
		j.note(o, j.without[gk][0], j.without[gk][1])
	case maker != nil && j.in.Throwaway:
		j.find(ruleRefused, o, []any{"apiVersion"}, "", "%s: %s %s does not serve this version", api, maker.GetKind(), maker.GetName())
	case j.catalogue[gk] != "":
		j.find(ruleRefused, o, []any{"apiVersion"}, "", "%s: the render has no CRD for it, and that of the catalogue does not serve this version", api)
	case maker != nil:
		j.note(o, fmt.Sprintf("the cluster does not serve it yet: %s of the render makes it", maker.Key()), "check again once that is applied, or with --dry-run=lab")
	case builtin && j.in.Throwaway && j.otherVersion():
		j.note(o, fmt.Sprintf("Kubernetes %s, on which the render was tried, does not serve it", j.server.version), "have it tried by the cluster itself: --dry-run=KUBECONFIG")
	case builtin && j.in.Throwaway && j.offByDefault(gvk):
		j.note(o, "an API server serves it only when it is told to (--runtime-config)", "have it tried by the cluster itself: --dry-run=KUBECONFIG")
	case builtin || !j.in.Throwaway && j.whole():
		j.find(ruleRefused, o, []any{"apiVersion"}, "", "the API server serves no %s", api)
	case j.in.Throwaway:
		j.note(o, "neither the render nor the built-in catalogue has a CustomResourceDefinition for it",
			fmt.Sprintf("add the CRD of %s %s to the repository, or have the chart that brings it rendered", gvk.Group, gvk.Kind))
	default:
		j.note(o, "the cluster does not serve it, and not everything of the render is known that could make it", "have all Kustomizations and charts rendered")
	}
}

// otherVersion tells whether the server is of another version than the clusters.
func (j *job) otherVersion() bool {
	v := j.in.KubeVersion
	return v != nil && j.server.version != "" && j.server.version != fmt.Sprintf("%d.%d", v.Major(), v.Minor())
}

// offByDefault tells whether Kubernetes has an API that this server does not serve.
func (j *job) offByDefault(gvk schema.GroupVersionKind) bool {
	k, err := schemas.ForKubernetes(j.in.KubeVersion)
	if err != nil {
		return false
	}
	_, ok := k.Kind(gvk.Group, gvk.Version, gvk.Kind)
	return ok
}

// whole tells whether all of the cluster was rendered.
func (j *job) whole() bool {
	for _, k := range j.cluster.Kustomizations {
		if !k.Built {
			return false
		}
	}
	for _, r := range j.cluster.Releases {
		if !r.Rendered {
			return false
		}
	}
	return len(j.cluster.Of(gitops.GroupOperator, "ResourceSet")) == 0
}

// note counts an object that could not be tried.
func (j *job) note(o *render.Object, why, next string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	k := note{o.GroupVersionKind(), why, next}
	s := j.notes[k]
	if s == nil {
		s = &seen{}
		j.notes[k] = s
	}
	s.n++
	if s.first == nil || cmp.Or(o.Origin.Compare(s.first.Origin.Location), o.Key().Compare(s.first.Key())) < 0 {
		s.first = o
	}
}

// report reports what was counted, and what holds for all objects.
func (j *job) report() {
	for k, s := range j.notes { // the report sorts them
		subject := fmt.Sprintf("%s (%s), %d objects", k.gvk.Kind, k.gvk.GroupVersion(), s.n)
		if s.n == 1 {
			subject = fmt.Sprintf("%s (%s)", s.first.Key(), k.gvk.GroupVersion())
		}
		j.out.Unchecked(report.Unchecked{
			Subject: subject, Reason: k.why, Next: k.next, Location: s.first.Origin.Location, Clusters: []string{j.cluster.Name},
		})
	}
	if j.in.Throwaway && j.otherVersion() {
		v := j.in.KubeVersion
		j.out.Unchecked(report.Unchecked{
			Subject:  fmt.Sprintf("Kubernetes %d.%d", v.Major(), v.Minor()),
			Reason:   fmt.Sprintf("the render was tried on Kubernetes %s, the only version that the lab has", j.server.version),
			Next:     "have it tried by the cluster itself: --dry-run=KUBECONFIG",
			Clusters: []string{j.cluster.Name},
		})
	}
}

// progress counts what is done of all clusters.
type progress struct {
	mu          sync.Mutex
	done, known int
	tell        func(gate string, done, known int)
}

func (p *progress) step() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done++
	if p.tell != nil {
		p.tell("dryrun", p.done, max(p.done, p.known))
	}
}
