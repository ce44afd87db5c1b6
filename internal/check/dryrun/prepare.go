package dryrun

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"lumacore.dev/lumacore/internal/render"
	"lumacore.dev/lumacore/internal/report"
	"lumacore.dev/lumacore/internal/schemas"
)

// own is the field manager of what no Flux controller would apply.
const own = "lumacore-check"

// prepare creates on a server that is thrown away what other objects depend on, and
// reports what it says to that.
func (j *job) prepare(ctx context.Context) error {
	if err := j.empty(ctx); err != nil {
		return err
	}
	if err := j.definitions(ctx); err != nil {
		return err
	}
	if err := j.makeNamespaces(ctx); err != nil {
		return err
	}
	if err := j.forAdmission(ctx); err != nil {
		return err
	}
	return j.admissionPolicies(ctx)
}

// empty makes sure that the server is one that is thrown away: whatever is wrong with
// this program, it must not create anything in somebody's cluster.
func (j *job) empty(ctx context.Context) error {
	var list metav1.PartialObjectMetadataList
	if err := j.server.get(ctx, "/api/v1/namespaces", &list); err != nil {
		return err
	}
	for _, n := range list.Items {
		if n.Name != metav1.NamespaceDefault && !strings.HasPrefix(n.Name, "kube-") {
			return fmt.Errorf("the API server %s is not empty: it has the namespace %s; nothing was created there", j.server.host, n.Name)
		}
	}
	return nil
}

// create creates an object of the render for real, which tries it, and tells whether it
// is there.
func (j *job) create(ctx context.Context, o *render.Object) (bool, error) {
	at, ok := j.place(o)
	if !ok {
		return false, nil
	}
	warnings, err := j.server.send(ctx, at, request{object: o.Unstructured, manager: manager(o), as: j.user(o), real: true})
	return err == nil, j.judge(o, at, warnings, err)
}

// createAll creates those objects of the render that are wanted, and notes that they
// were tried. It calls done, if there is one, for each that is there.
func (j *job) createAll(ctx context.Context, wanted func(*render.Object) bool, done func(*render.Object)) error {
	var objects []*render.Object
	twice := map[render.Key]bool{} // that two owners have: one after the other
	var again []*render.Object
	for _, o := range j.objects {
		_, tried := j.created[o]
		switch {
		case tried || !wanted(o):
		case twice[o.Key()]:
			again = append(again, o)
		default:
			twice[o.Key()] = true
			objects = append(objects, o)
		}
	}
	f := func(ctx context.Context, o *render.Object) error {
		there, err := j.create(ctx, o)
		j.mu.Lock()
		defer j.mu.Unlock()
		j.created[o] = there
		if there && done != nil {
			done(o)
		}
		return err
	}
	if err := j.each(ctx, objects, f); err != nil {
		return err
	}
	for _, o := range again {
		if err := j.each(ctx, []*render.Object{o}, f); err != nil {
			return err
		}
	}
	return nil
}

// definitions creates the CRDs of the render, those that Gatekeeper would make of its
// ConstraintTemplates, and those of the catalogue for kinds that neither has.
func (j *job) definitions(ctx context.Context) error {
	crds := map[string]*apiextensionsv1.CustomResourceDefinition{} // that were accepted
	at, ok := j.server.serves(apiextensionsv1.SchemeGroupVersion.WithKind("CustomResourceDefinition"))
	if !ok {
		return fmt.Errorf("the API server %s has no CustomResourceDefinitions", j.server.host)
	}
	// One with a conversion webhook is tried as it is, and created without: there is
	// no one to answer. Nothing is stored, so nothing is converted but the version.
	var hooked []*render.Object
	for _, o := range j.objects {
		if o.Is(crdGroup, "CustomResourceDefinition") && value(o.Object, "spec", "conversion", "strategy") == "Webhook" {
			hooked = append(hooked, o)
		}
	}
	accepted := func(o *unstructured.Unstructured) error {
		data, err := o.MarshalJSON()
		if err != nil {
			return err
		}
		crd := &apiextensionsv1.CustomResourceDefinition{}
		if err := json.Unmarshal(data, crd); err != nil {
			return fmt.Errorf("CRD %s: %w", o.GetName(), err)
		}
		crds[crd.Name] = crd
		return nil
	}
	var wrong error
	err := j.createAll(ctx, func(o *render.Object) bool {
		return o.Is(crdGroup, "CustomResourceDefinition") && !slices.Contains(hooked, o)
	}, func(o *render.Object) { wrong = errors.Join(wrong, accepted(o.Unstructured)) })
	if err := errors.Join(err, wrong); err != nil {
		return err
	}
	var more []*unstructured.Unstructured
	for _, o := range hooked {
		if err := j.try(ctx, o); err != nil {
			return err
		}
		j.created[o] = false
		crd := o.DeepCopy()
		unstructured.RemoveNestedField(crd.Object, "spec", "conversion")
		more = append(more, crd)
	}
	more = append(more, j.otherDefinitions()...)
	for _, crd := range more {
		if crds[crd.GetName()] != nil {
			continue
		}
		_, err := j.server.send(ctx, at, request{object: crd, manager: own, real: true})
		if _, ok := errors.AsType[*apierrors.StatusError](err); ok {
			continue // those of the render were reported; all are missed below
		}
		if err == nil {
			err = accepted(crd)
		}
		if err != nil {
			return err
		}
		for _, o := range hooked {
			j.created[o] = j.created[o] || o.GetName() == crd.GetName()
		}
	}
	if err := j.established(ctx, crds); err != nil {
		return err
	}
	// What was to be made and was not.
	for gk, o := range j.made {
		if _, there := j.without[gk]; !there && !j.servesKind(gk) {
			why := fmt.Sprintf("its %s %s is refused", o.GetKind(), o.GetName())
			if !o.Is(crdGroup, "CustomResourceDefinition") {
				why = fmt.Sprintf("the CRD that Gatekeeper makes of its %s %s is refused", o.GetKind(), o.GetName())
			}
			j.without[gk] = [2]string{why, "mend " + o.GetKind() + " " + o.GetName()}
		}
	}
	return nil
}

// otherDefinitions are the CRDs that are not in the render.
func (j *job) otherDefinitions() []*unstructured.Unstructured {
	var out []*unstructured.Unstructured
	add := func(gk schema.GroupKind, data []byte, err error) {
		crd := &unstructured.Unstructured{}
		if err == nil {
			err = crd.UnmarshalJSON(data)
		}
		if err != nil {
			j.without[gk] = [2]string{"its CRD cannot be made: " + bounded(err.Error()), "look at what defines it"}
			return
		}
		out = append(out, crd)
	}
	for _, gk := range slices.SortedFunc(maps.Keys(j.made), compareKinds) {
		if o := j.made[gk]; o.Is(schemas.TemplateGroup, "ConstraintTemplate") {
			data, err := schemas.ConstraintCRD(o.Unstructured)
			add(gk, data, err)
		}
	}
	needed := map[schema.GroupKind]bool{}
	for _, o := range j.objects {
		if gk := o.GroupKind(); o.CustomResource() && j.made[gk] == nil && !j.servesKind(gk) {
			needed[gk] = true
		}
	}
	for _, gk := range slices.SortedFunc(maps.Keys(needed), compareKinds) {
		if found, ok := schemas.Lookup(gk.Group, gk.Kind); ok {
			data, err := found.JSON()
			add(gk, data, err)
			j.catalogue[gk] = found.Source.String()
			continue
		}
		if j.in.Definition == nil {
			continue
		}
		if data, from, ok := j.in.Definition(gk.Group, gk.Kind); ok {
			add(gk, data, nil)
			j.catalogue[gk] = from
		}
	}
	return out
}

func compareKinds(a, b schema.GroupKind) int { return strings.Compare(a.String(), b.String()) }

// servesKind tells whether the server serves a kind in any version.
func (j *job) servesKind(gk schema.GroupKind) bool {
	j.server.mu.RLock()
	defer j.server.mu.RUnlock()
	for gvk := range j.server.kinds {
		if gvk.GroupKind() == gk {
			return true
		}
	}
	return false
}

// established waits until the server serves what the CRDs define.
func (j *job) established(ctx context.Context, crds map[string]*apiextensionsv1.CustomResourceDefinition) error {
	waiting := maps.Clone(crds)
	serve := func(name string) {
		crd := waiting[name]
		delete(waiting, name)
		j.server.mu.Lock()
		defer j.server.mu.Unlock()
		for _, v := range crd.Spec.Versions {
			if v.Served {
				gvk := schema.GroupVersionKind{Group: crd.Spec.Group, Version: v.Name, Kind: crd.Spec.Names.Kind}
				j.server.kinds[gvk] = resource{name: crd.Spec.Names.Plural, namespaced: crd.Spec.Scope == apiextensionsv1.NamespaceScoped, made: true}
			}
		}
	}
	for deadline := time.Now().Add(j.limits.settle); len(waiting) > 0; {
		var list apiextensionsv1.CustomResourceDefinitionList
		if err := j.server.get(ctx, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", &list); err != nil {
			return err
		}
		for _, crd := range list.Items {
			if waiting[crd.Name] == nil {
				continue
			}
			for _, c := range crd.Status.Conditions {
				switch {
				case c.Type == apiextensionsv1.Established && c.Status == apiextensionsv1.ConditionTrue:
					serve(crd.Name)
				case c.Type == apiextensionsv1.NamesAccepted && c.Status == apiextensionsv1.ConditionFalse:
					j.notAccepted(crd.Name, c.Message)
					delete(waiting, crd.Name)
				}
				if waiting[crd.Name] == nil {
					break
				}
			}
		}
		if len(waiting) == 0 {
			break
		}
		if time.Now().After(deadline) {
			return report.Refuse("run it again when the machine has less to do", "the API server does not serve within %s what is defined: %s",
				j.limits.settle, strings.Join(slices.Sorted(maps.Keys(waiting)), ", "))
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
	return nil
}

// notAccepted reports a CRD whose names another one has.
func (j *job) notAccepted(name, why string) {
	for _, o := range j.objects {
		if o.Is(crdGroup, "CustomResourceDefinition") && o.GetName() == name {
			j.find(ruleRefused, o, []any{"spec", "names"}, "", "the API server does not serve what it defines: %s", bounded(why))
			return
		}
	}
}

// makeNamespaces creates the namespaces of the render, and, bare, those that its objects
// are in and that it does not make: gate references reports those.
func (j *job) makeNamespaces(ctx context.Context) error {
	there := map[string]bool{}
	err := j.createAll(ctx, func(o *render.Object) bool { return o.Is("", "Namespace") },
		func(o *render.Object) { there[o.GetName()] = true })
	if err != nil {
		return err
	}
	for name := range j.namespaces {
		if !there[name] && slices.ContainsFunc(j.cluster.Of("", "Namespace"), func(o *render.Object) bool { return o.GetName() == name }) {
			j.refused[name] = "the API server refuses it"
		}
	}
	namespace, _ := j.server.serves(schema.GroupVersionKind{Version: "v1", Kind: "Namespace"})
	account, _ := j.server.serves(schema.GroupVersionKind{Version: "v1", Kind: "ServiceAccount"})
	names := map[string]bool{}
	for _, o := range j.objects {
		if n := o.GetNamespace(); n != "" && j.refused[n] == "" && !strings.ContainsAny(n, "/%") {
			names[n] = true
		}
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(workers)
	for name := range names {
		g.Go(func() error {
			if !there[name] {
				_, err := j.server.send(gctx, namespace, request{object: bare("Namespace", "", name), manager: own, real: true})
				if status, ok := errors.AsType[*apierrors.StatusError](err); ok {
					j.mu.Lock()
					j.refused[name] = bounded(status.Status().Message)
					j.mu.Unlock()
					return nil
				} else if err != nil {
					return err
				}
			}
			// Admission wants it for pods; a controller that is not there would make it.
			_, err := j.server.send(gctx, account, request{object: bare("ServiceAccount", name, "default"), manager: own, real: true})
			return err
		})
	}
	return g.Wait()
}

func bare(kind, namespace, name string) *unstructured.Unstructured {
	o := &unstructured.Unstructured{}
	o.SetAPIVersion("v1")
	o.SetKind(kind)
	o.SetNamespace(namespace)
	o.SetName(name)
	return o
}

// forAdmission creates what the API server's admission looks up: ServiceAccounts,
// classes that pods name, and the limits of namespaces. ResourceQuotas are left out:
// they hold only once a controller, which is not there, has counted.
func (j *job) forAdmission(ctx context.Context) error {
	return j.createAll(ctx, func(o *render.Object) bool {
		return o.Is("", "ServiceAccount", "LimitRange") || o.Is("scheduling.k8s.io", "PriorityClass") || o.Is("node.k8s.io", "RuntimeClass")
	}, nil)
}

const admissionGroup = "admissionregistration.k8s.io"

// isPolicy tells whether an object is an admission policy that the API server itself
// evaluates, or a binding of one.
func isPolicy(o *render.Object) bool {
	return o.Is(admissionGroup, "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding", "MutatingAdmissionPolicy", "MutatingAdmissionPolicyBinding")
}

// admissionPolicies puts the admission policies of the render in force, with their
// parameters, and has them look at what was created before.
func (j *job) admissionPolicies(ctx context.Context) error {
	params := map[schema.GroupVersionKind]bool{}
	some := false
	for _, o := range j.objects {
		if !isPolicy(o) {
			continue
		}
		some = true
		apiVersion, _ := value(o.Object, "spec", "paramKind", "apiVersion").(string)
		kind, _ := value(o.Object, "spec", "paramKind", "kind").(string)
		if kind != "" {
			params[schema.FromAPIVersionAndKind(apiVersion, kind)] = true
		}
	}
	if !some {
		return nil
	}
	before := slices.DeleteFunc(slices.Clone(j.objects), func(o *render.Object) bool { return !j.created[o] })
	if err := j.createAll(ctx, func(o *render.Object) bool { return params[o.GroupVersionKind()] }, nil); err != nil {
		return err
	}
	if err := j.createAll(ctx, isPolicy, nil); err != nil {
		return err
	}
	if err := j.inForce(ctx); err != nil {
		return err
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(workers)
	for _, o := range before {
		g.Go(func() error {
			at, ok := j.server.serves(o.GroupVersionKind())
			if !ok {
				return nil
			}
			// A dry run of creating it again: admission looks at it as at a new one,
			// before the server finds that it is there.
			return j.send(gctx, o, at, true)
		})
	}
	return g.Wait()
}

// inForce waits until the policies that were created are in force, which the API server
// does not tell: it takes them from its watches about once a second. So one more is
// created, and the server is asked until that one refuses what it is there to refuse.
// Watches come in order, so the others are in force too.
func (j *job) inForce(ctx context.Context) error {
	const name = "lumacore-check-in-force"
	var marker []*unstructured.Unstructured
	for _, text := range []string{
		`{"apiVersion":"admissionregistration.k8s.io/v1","kind":"ValidatingAdmissionPolicy","metadata":{"name":"` + name + `"},"spec":{"failurePolicy":"Fail",` +
			`"matchConstraints":{"resourceRules":[{"apiGroups":[""],"apiVersions":["v1"],"operations":["CREATE"],"resources":["configmaps"],"resourceNames":["` + name + `"]}]},` +
			`"validations":[{"expression":"false","message":"` + name + `"}]}}`,
		`{"apiVersion":"admissionregistration.k8s.io/v1","kind":"ValidatingAdmissionPolicyBinding","metadata":{"name":"` + name + `"},"spec":{"policyName":"` + name + `","validationActions":["Deny"]}}`,
	} {
		o := &unstructured.Unstructured{}
		if err := o.UnmarshalJSON([]byte(text)); err != nil {
			return err
		}
		marker = append(marker, o)
	}
	for _, o := range marker {
		at, ok := j.server.serves(o.GroupVersionKind())
		if !ok {
			return fmt.Errorf("the API server %s has no ValidatingAdmissionPolicies", j.server.host)
		}
		if _, err := j.server.send(ctx, at, request{object: o, manager: own, real: true}); err != nil {
			return err
		}
	}
	at, _ := j.server.serves(schema.GroupVersionKind{Version: "v1", Kind: "ConfigMap"})
	probe := bare("ConfigMap", metav1.NamespaceDefault, name)
	for deadline := time.Now().Add(j.limits.settle); ; {
		_, err := j.server.send(ctx, at, request{object: probe, manager: own, create: true})
		if status, ok := errors.AsType[*apierrors.StatusError](err); ok && strings.Contains(status.Status().Message, name+"'") {
			return nil
		} else if err != nil && !ok {
			return err
		}
		if time.Now().After(deadline) {
			return report.Refuse("run it again when the machine has less to do", "the admission policies are not in force within %s", j.limits.settle)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}
