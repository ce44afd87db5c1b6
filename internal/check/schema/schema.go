package schema

import (
	"cmp"
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"
	k8sruntime "k8s.io/apimachinery/pkg/runtime"
	k8sschema "k8s.io/apimachinery/pkg/runtime/schema"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	utilversion "k8s.io/apimachinery/pkg/util/version"
	clientscheme "k8s.io/client-go/kubernetes/scheme"

	apiextv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"

	"lumacore.dev/lumacore/internal/check"
	"lumacore.dev/lumacore/internal/check/deprecations"
	"lumacore.dev/lumacore/internal/fieldpath"
	"lumacore.dev/lumacore/internal/render"
	"lumacore.dev/lumacore/internal/report"
	"lumacore.dev/lumacore/internal/schemas"
)

// Gate holds objects against what the API server accepts.
var Gate = &check.Gate{
	Name:  "schema",
	Title: "objects that the API server would refuse",
	Rules: rules,
	Check: run,
}

const crdGroup = "apiextensions.k8s.io"

// job is the work on one cluster.
type job struct {
	k       *schemas.Kubernetes
	kube    *utilversion.Version
	same    bool            // k is of the version kube
	severe  report.Severity // of what k says; "": as the rules say
	out     *check.Reporter
	cluster *render.Cluster

	rendered  *definitions                               // CRDs of all clusters
	byKind    map[k8sschema.GroupKind]func() *definition // of this cluster
	groups    map[string][]string                        // kinds of each group with CRDs
	meta      *schemas.Type
	mu        sync.Mutex
	unchecked map[k8sschema.GroupVersionKind]*seen
}

// seen counts the objects of a kind that could not be checked.
type seen struct {
	n     int
	first *render.Object
	why   string
	next  string
}

func run(ctx context.Context, in *check.Input, out *check.Reporter) error {
	k, err := schemas.ForKubernetes(in.KubeVersion)
	if err != nil {
		return err
	}
	meta, err := k.Type("meta.v1.ObjectMeta")
	if err != nil {
		return err
	}
	_, same := schemas.Nearest(in.KubeVersion)
	severe := report.Severity("")
	if !same {
		unknown(in, k, out)
		if in.KubeVersion.AtLeast(utilversion.MustParseGeneric(k.Minor)) {
			severe = report.Warning // it may know fields that k does not
		}
	}
	rendered := &definitions{}
	for _, c := range in.Render.Clusters {
		j := &job{
			k: k, kube: in.KubeVersion, same: same, severe: severe, out: out, cluster: c, rendered: rendered, meta: meta,
			byKind: map[k8sschema.GroupKind]func() *definition{}, groups: map[string][]string{},
			unchecked: map[k8sschema.GroupVersionKind]*seen{},
		}
		if err := j.run(ctx); err != nil {
			return fmt.Errorf("cluster %s: %w", c.Name, err)
		}
	}
	return nil
}

// unknown notes that the schemas are not those of the clusters' version.
func unknown(in *check.Input, k *schemas.Kubernetes, out *check.Reporter) {
	if len(in.Render.Clusters) == 0 {
		return
	}
	version := fmt.Sprintf("%d.%d", in.KubeVersion.Major(), in.KubeVersion.Minor())
	u := report.Unchecked{
		Subject: "objects of Kubernetes " + version,
		Reason:  fmt.Sprintf("the API of Kubernetes %s is not known; objects were compared with %s", version, k.Minor),
		Next:    fmt.Sprintf("look up what differs between the two; known are %s", strings.Join(schemas.Versions(), ", ")),
	}
	for _, c := range in.Render.Clusters {
		u.Clusters = append(u.Clusters, c.Name)
	}
	out.Unchecked(u)
}

func (j *job) run(ctx context.Context) error {
	j.index(ctx)
	g, ctx := errgroup.WithContext(ctx)
	workers := runtime.GOMAXPROCS(0)
	for w := range workers {
		g.Go(func() error {
			for i := w; i < len(j.cluster.Objects); i += workers {
				if err := ctx.Err(); err != nil {
					return err
				}
				o := j.cluster.Objects[i]
				if err := j.object(ctx, o); err != nil {
					return fmt.Errorf("%s (%s): %w", o.Key(), o.Origin.Location, err)
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for gvk, s := range j.unchecked { // the report sorts them
		subject := fmt.Sprintf("%s (%s), %d objects", gvk.Kind, gvk.GroupVersion(), s.n)
		if s.n == 1 {
			subject = fmt.Sprintf("%s (%s), 1 object", gvk.Kind, gvk.GroupVersion())
		}
		j.out.Unchecked(report.Unchecked{
			Subject: subject, Reason: s.why, Next: s.next,
			Location: s.first.Origin.Location, Clusters: []string{j.cluster.Name},
		})
	}
	return nil
}

// index notes which CRD, or ConstraintTemplate, serves which kind.
func (j *job) index(ctx context.Context) {
	add := func(gk k8sschema.GroupKind, get func() *definition) {
		if j.byKind[gk] == nil {
			j.byKind[gk] = sync.OnceValue(get)
			j.groups[gk.Group] = append(j.groups[gk.Group], gk.Kind)
		}
	}
	for _, o := range j.cluster.Of(crdGroup, "CustomResourceDefinition") {
		group, _ := at0(o.Object, "spec", "group").(string)
		kind, _ := at0(o.Object, "spec", "names", "kind").(string)
		if group == "" || kind == "" || o.GroupVersionKind().Version != "v1" {
			continue
		}
		add(k8sschema.GroupKind{Group: group, Kind: kind}, func() *definition {
			data, err := o.MarshalJSON()
			if err != nil {
				return &definition{err: err}
			}
			return j.rendered.get(ctx, data, "CRD "+o.GetName())
		})
	}
	for _, o := range j.cluster.Of(schemas.TemplateGroup, "ConstraintTemplate") {
		if kind := schemas.ConstraintKind(o.Unstructured); kind != "" {
			add(k8sschema.GroupKind{Group: schemas.ConstraintGroup, Kind: kind}, func() *definition {
				data, err := schemas.ConstraintCRD(o.Unstructured)
				if err != nil {
					return &definition{err: err}
				}
				return j.rendered.get(ctx, data, "ConstraintTemplate "+o.GetName())
			})
		}
	}
}

// object holds one object against what the API server accepts. The error is an
// internal one.
func (j *job) object(ctx context.Context, o *render.Object) error {
	gvk := o.GroupVersionKind()
	if gvk.Kind == "" || gvk.Version == "" || gvk.Kind == "List" {
		return nil
	}
	gk := gvk.GroupKind()
	if _, ok := j.byKind[gk]; !ok && (j.k.HasGroup(gvk.Group) || !strings.Contains(gvk.Group, ".")) {
		return j.builtin(ctx, o)
	}
	return j.custom(ctx, o)
}

// builtin checks an object of Kubernetes.
func (j *job) builtin(ctx context.Context, o *render.Object) error {
	gvk := o.GroupVersionKind()
	kind, ok := j.k.Kind(gvk.Group, gvk.Version, gvk.Kind)
	if !ok {
		switch {
		case j.removed(gvk):
		case j.same:
			j.unknownKind(o)
		default:
			j.note(o, fmt.Sprintf("Kubernetes %s, which objects were compared with, does not have it", j.k.Minor),
				fmt.Sprintf("see whether Kubernetes %d.%d has it", j.kube.Major(), j.kube.Minor()))
		}
		return nil
	}
	t, err := j.k.Type(kind.Type)
	if err != nil {
		return err
	}
	w := &walker{k: j.k, secret: o.Is("", "Secret")}
	if err := w.object(o.Object, t); err != nil {
		return err
	}
	p := &w.problems
	p.metadata(o.Object, nameRule(gvk.Group, gvk.Kind, j.kube), o.Origin.HelmRelease != "")
	p.scope(o, kind.Namespaced)
	if !w.broken {
		p.workload(o)
		p.template(o)
		p.other(o)
	}
	if o.Is(crdGroup, "CustomResourceDefinition") && !w.broken {
		data, err := o.MarshalJSON()
		if err != nil {
			return err
		}
		*p = append(*p, j.rendered.get(ctx, data, "CRD "+o.GetName()).wrong()...)
	}
	j.report(o, *p, j.severe)
	return nil
}

// types are Kubernetes' own: scheme.Scheme would not do, every package may add to
// it.
var types = func() *k8sruntime.Scheme {
	s := k8sruntime.NewScheme()
	utilruntime.Must(clientscheme.AddToScheme(s))
	return s
}()

// gone are kinds that Kubernetes once had and that k8s.io/api has no types for any
// more (https://kubernetes.io/docs/reference/using-api/deprecation-guide/).
var gone = []k8sschema.GroupVersionKind{
	{Group: "policy", Version: "v1beta1", Kind: "PodSecurityPolicy"},
	{Group: "extensions", Version: "v1beta1", Kind: "PodSecurityPolicy"},
	{Group: "autoscaling", Version: "v2beta1", Kind: "HorizontalPodAutoscaler"},
	{Group: "autoscaling", Version: "v2beta2", Kind: "HorizontalPodAutoscaler"},
	{Group: crdGroup, Version: "v1beta1", Kind: "CustomResourceDefinition"},
	{Group: "apiregistration.k8s.io", Version: "v1beta1", Kind: "APIService"},
}

// removed tells whether the API was once there: the gate "deprecations" reports
// those.
func (j *job) removed(gvk k8sschema.GroupVersionKind) bool {
	if slices.Contains(gone, gvk) {
		return true
	}
	obj, err := types.New(gvk)
	if err != nil {
		return false
	}
	r, ok := obj.(interface{ APILifecycleRemoved() (int, int) })
	if !ok {
		return false
	}
	major, minor := r.APILifecycleRemoved()
	return j.kube.AtLeast(utilversion.MajorMinor(uint(major), uint(minor)))
}

// unknownKind reports a kind that the version of Kubernetes does not have.
func (j *job) unknownKind(o *render.Object) {
	gvk := o.GroupVersionKind()
	at, fix := []any{"kind"}, ""
	message := fmt.Sprintf("no such API in Kubernetes %s: %s %s", j.k.Minor, gvk.GroupVersion(), gvk.Kind)
	switch {
	case len(j.k.VersionsOf(gvk.Group, gvk.Kind)) > 0:
		at = []any{"apiVersion"}
		versions := j.k.VersionsOf(gvk.Group, gvk.Kind)
		slices.SortFunc(versions, versionOrder)
		gv := k8sschema.GroupVersion{Group: gvk.Group, Version: versions[0]}
		message += fmt.Sprintf("; %s has it", gv)
		fix = fmt.Sprintf("Use apiVersion: %s.", gv)
	case len(j.k.GroupVersionsOf(gvk.Kind)) > 0:
		at = []any{"apiVersion"}
		gvs := j.k.GroupVersionsOf(gvk.Kind)
		message += fmt.Sprintf("; it is in %s", strings.Join(gvs, ", "))
		fix = fmt.Sprintf("Use apiVersion: %s.", gvs[0])
	default:
		if near := nearest(gvk.Kind, j.k.KindsOf(gvk.Group, gvk.Version)); near != "" {
			message += fmt.Sprintf("; did you mean %s?", near)
		}
	}
	if obj, err := types.New(gvk); err == nil {
		if i, ok := obj.(interface{ APILifecycleIntroduced() (int, int) }); ok {
			if major, minor := i.APILifecycleIntroduced(); !j.kube.AtLeast(utilversion.MajorMinor(uint(major), uint(minor))) {
				message += fmt.Sprintf("; Kubernetes %d.%d introduces it", major, minor)
			}
		}
	}
	f := check.Finding(ruleKind, j.cluster, o, at, "%s", message)
	f.Fix = fix
	j.out.Add(f)
}

// versionOrder sorts v1 before v1beta1 before v1alpha1.
func versionOrder(a, b string) int {
	rank := func(v string) int {
		switch {
		case strings.Contains(v, "alpha"):
			return 2
		case strings.Contains(v, "beta"):
			return 1
		}
		return 0
	}
	return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(b, a))
}

// custom checks a custom resource.
func (j *job) custom(ctx context.Context, o *render.Object) error {
	gvk := o.GroupVersionKind()
	p := &problems{}
	w := &walker{k: j.k}
	if m, ok := o.Object["metadata"].(map[string]any); ok {
		if err := w.value(m, j.meta, []any{"metadata"}); err != nil {
			return err
		}
	}
	*p = append(*p, w.problems...)
	p.metadata(o.Object, nameRule(gvk.Group, gvk.Kind, j.kube), o.Origin.HelmRelease != "")

	severity := report.Severity("")
	var d *definition
	if get := j.byKind[gvk.GroupKind()]; get != nil {
		d = get()
	} else if found, ok := schemas.Lookup(gvk.Group, gvk.Kind); ok {
		data, err := found.JSON()
		if err != nil {
			return err
		}
		d = catalogue.get(ctx, data, fmt.Sprintf("CRD %s of %s", found.Name, found.Source))
		severity = report.Warning
		if d.versions[gvk.Version] == nil {
			j.note(o, fmt.Sprintf("the render has no CRD for it, and the one of %s has the versions %s", found.Source, strings.Join(d.order, ", ")),
				"add the CRD that the cluster runs to the repository, or have the chart that brings it rendered")
			d = nil
		}
	} else {
		j.noSchema(o)
	}
	if d == nil {
		j.report(o, *p, "")
		return nil
	}
	if d.err != nil {
		j.note(o, fmt.Sprintf("its %s cannot be used: %s", d.from, shorten(d.err.Error())), "mend the CRD")
		j.report(o, *p, "")
		return nil
	}
	p.scope(o, d.scope != apiextv1.ClusterScoped)
	j.report(o, *p, "")

	if severity == "" && len(d.wrong()) > 0 {
		j.note(o, "its "+d.from+" is not valid", "mend it")
		return nil
	}
	v := d.versions[gvk.Version]
	if v == nil || !v.served {
		// Who gave up the version is known to gate deprecations, which says it better;
		// of the catalogue's CRD it is not known whether the cluster runs it.
		if severity == "" || !deprecations.GivenUp(gvk) {
			j.notServed(o, d, severity)
		}
		return nil
	}
	c, err := v.compile()
	if err != nil {
		j.note(o, fmt.Sprintf("its %s cannot be used: %s", d.from, shorten(err.Error())), "mend the CRD")
		return nil
	}
	found, err := c.validate(ctx, o.Object, d.from, o.Origin.HelmRelease != "")
	if err != nil {
		if ctx.Err() != nil {
			return err
		}
		j.note(o, shorten(err.Error()), "look at the object: no API server would read it")
		return nil
	}
	j.report(o, found, severity)
	if o.Is(schemas.TemplateGroup, "ConstraintTemplate") {
		if get := j.byKind[k8sschema.GroupKind{Group: schemas.ConstraintGroup, Kind: schemas.ConstraintKind(o.Unstructured)}]; get != nil {
			for _, x := range get().wrong() {
				j.out.Object(ruleCRD, j.cluster, o, []any{"spec", "crd", "spec"}, "in the CRD that Gatekeeper makes of it: %s", x.message)
			}
		}
	}
	return nil
}

// notServed reports a version that the CRD does not have, or does not serve.
func (j *job) notServed(o *render.Object, d *definition, severity report.Severity) {
	version := o.GroupVersionKind().Version
	var served []string
	for _, name := range d.order {
		if d.versions[name].served {
			served = append(served, name)
		}
	}
	what := "has no version " + version
	if d.versions[version] != nil {
		what = "does not serve version " + version
	}
	message := fmt.Sprintf("%s: %s %s; it serves %s", o.GetAPIVersion(), d.from, what, strings.Join(served, ", "))
	if len(served) == 0 {
		message = fmt.Sprintf("%s: %s %s, nor any other", o.GetAPIVersion(), d.from, what)
	}
	f := check.Finding(ruleServed, j.cluster, o, []any{"apiVersion"}, "%s", message)
	f.Severity = severity
	j.out.Add(f)
}

// noSchema notes a kind that there is no schema for, or reports one that is
// misspelled.
func (j *job) noSchema(o *render.Object) {
	gvk := o.GroupVersionKind()
	known := slices.Clone(j.groups[gvk.Group])
	for _, s := range schemas.Systems() {
		for _, d := range s.Definitions {
			if d.Group == gvk.Group {
				known = append(known, d.Kind)
			}
		}
	}
	if near := nearest(gvk.Kind, known); near != "" {
		j.out.Object(ruleKind, j.cluster, o, []any{"kind"}, "no CRD defines %s in %s; did you mean %s?", gvk.Kind, gvk.Group, near)
		return
	}
	next := fmt.Sprintf("add the CRD of %s %s to the repository, or have the chart that brings it rendered", gvk.Group, gvk.Kind)
	if gvk.Group == schemas.ConstraintGroup {
		next = fmt.Sprintf("add the ConstraintTemplate of %s to the repository", gvk.Kind)
	}
	j.note(o, "no schema: neither the render nor the catalogue has a CRD for it", next)
}

// note counts an object that could not be checked.
func (j *job) note(o *render.Object, why, next string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	gvk := o.GroupVersionKind()
	s := j.unchecked[gvk]
	if s == nil {
		s = &seen{why: why, next: next}
		j.unchecked[gvk] = s
	}
	s.n++
	if s.first == nil || o.Origin.Compare(s.first.Origin.Location) < 0 {
		s.first, s.why, s.next = o, why, next
	}
}

// report reports what is wrong with an object. A value that stands in for a
// secret cannot be judged.
func (j *job) report(o *render.Object, p problems, severity report.Severity) {
	said := map[string]bool{}
	for _, x := range p {
		if said[x.rule+" "+x.message] { // two steps may meet the same mistake
			continue
		}
		said[x.rule+" "+x.message] = true
		if len(o.Origin.Placeholders) > 0 && render.HasStandIn(x.value) {
			j.out.Unchecked(report.Unchecked{
				Subject: o.Key().String(), Location: o.Locate(x.at...), Clusters: []string{j.cluster.Name},
				Reason: fmt.Sprintf("%s: the value comes from a secret that only the cluster has (%s)", fieldpath.Text(x.at), strings.Join(o.Origin.Placeholders, "; ")),
				Next:   "look at the value in the cluster",
			})
			continue
		}
		f := check.Finding(x.rule, j.cluster, o, x.at, "%s", x.message)
		f.Severity = severity
		j.out.Add(f)
	}
}
