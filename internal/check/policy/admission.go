package policy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	k8sruntime "k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/plugin/policy/validating"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/warning"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	clientscheme "k8s.io/client-go/kubernetes/scheme"

	"lumacore.dev/lumacore/internal/render"
)

// startLimit is how long the plug-in may take to read its policies, which are in memory.
const startLimit = 30 * time.Second

// admissionPolicies evaluates ValidatingAdmissionPolicies, with the plug-in that the API
// server has for them. It takes policies, bindings, parameters and namespaces from a
// client, which here has what the render has.
func (r *reviewer) admissionPolicies(ctx context.Context) error {
	if r.found == nil {
		r.found = map[string]*violation{}
	}
	a := &admissions{reviewer: r, params: map[schema.GroupKind]bool{}, plurals: map[schema.GroupKind]string{}}
	if !a.collect(ctx) {
		return ctx.Err()
	}
	quiet()
	stop := make(chan struct{})
	defer close(stop)
	if err := a.start(ctx, stop); err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	for _, o := range r.c.Objects {
		if o.GroupVersionKind().Group == groupAdmission {
			continue // the API server never holds these against policies
		}
		if o.GetNamespace() != "" && r.namespaces[o.GetNamespace()] == nil {
			continue // see unknownNamespaces
		}
		g.Go(func() error {
			if err := a.admit(ctx, o, *o.DeepCopy(), "", nil); err != nil {
				return err
			}
			if _, ok := o.Pods(); !ok || o.Is("", "Pod") {
				return nil
			}
			pod, at := podOf(o)
			return a.admit(ctx, o, pod, "the pods that it makes", at)
		})
	}
	r.unknownNamespaces()
	return g.Wait()
}

// unknownNamespaces names the namespaces that the repository does not make, unless the
// constraints have done so.
func (r *reviewer) unknownNamespaces() {
	seen := map[string]bool{}
	for _, o := range r.c.Objects {
		name := o.GetNamespace()
		if name == "" || seen[name] || r.namespaces[name] != nil || len(r.constraints) > 0 {
			continue
		}
		seen[name] = true
		r.unchecked(o, "put the Namespace with its labels into the repository", "the repository does not make its namespace %s, so which policies hold there is not known", name)
	}
}

// admissions are the ValidatingAdmissionPolicies of a cluster.
type admissions struct {
	*reviewer
	objects []k8sruntime.Object         // policies and bindings that work
	params  map[schema.GroupKind]bool   // kinds of parameters
	plurals map[schema.GroupKind]string // names of resources, of the render's CRDs

	plugin     *validating.Plugin
	interfaces admission.ObjectInterfaces
}

// collect takes the policies that work and their bindings, and reports the others. It
// returns whether there is any.
func (a *admissions) collect(ctx context.Context) bool {
	works := map[string]*admissionv1.ValidatingAdmissionPolicy{}
	bound := map[string]bool{}
	bindings := a.c.Of(groupAdmission, "ValidatingAdmissionPolicyBinding")
	for _, o := range bindings {
		name, _, _ := unstructured.NestedString(o.Object, "spec", "policyName")
		bound[name] = true
	}
	for _, o := range a.c.Of(groupAdmission, "ValidatingAdmissionPolicy") {
		p := &admissionv1.ValidatingAdmissionPolicy{}
		if k8sruntime.DefaultUnstructuredConverter.FromUnstructured(o.Object, p) != nil {
			continue // gate schema reports it
		}
		if strings.Contains(fmt.Sprint(o.Object["spec"]), "authorizer.") {
			a.unchecked(o, "", "it asks what the user may do, which is not known here")
			continue
		}
		if mistakes := compilePolicy(ctx, p); len(mistakes) > 0 {
			a.invalid(o, "the API server does not take this policy", mistakes)
			continue
		}
		if !bound[p.Name] {
			a.out.Object("policy/unbound", a.c, o, nil, "no ValidatingAdmissionPolicyBinding names this policy: it never holds")
			continue
		}
		if k := p.Spec.ParamKind; k != nil {
			gv, _ := schema.ParseGroupVersion(k.APIVersion)
			a.params[schema.GroupKind{Group: gv.Group, Kind: k.Kind}] = true
		}
		withDefaults(p)
		works[p.Name] = p
		a.objects = append(a.objects, p)
	}
	for _, o := range bindings {
		b := &admissionv1.ValidatingAdmissionPolicyBinding{}
		if k8sruntime.DefaultUnstructuredConverter.FromUnstructured(o.Object, b) != nil {
			continue // as above
		}
		p := works[b.Spec.PolicyName]
		if p == nil {
			continue // reported with its policy; gate references knows of names that lead nowhere
		}
		if ref := b.Spec.ParamRef; ref != nil && ref.Name != "" && p.Spec.ParamKind != nil {
			gv, _ := schema.ParseGroupVersion(p.Spec.ParamKind.APIVersion)
			key := render.Key{Group: gv.Group, Kind: p.Spec.ParamKind.Kind, Namespace: ref.Namespace, Name: ref.Name}
			if a.c.Get(key) == nil {
				a.unchecked(o, "put the parameters into the repository", "its parameters, %s, are not in the repository", key)
				continue
			}
		}
		bindingDefaults(b)
		a.objects = append(a.objects, b)
	}
	return len(works) > 0 && len(a.objects) > len(works)
}

// start starts the plug-in and waits until it knows the policies.
func (a *admissions) start(ctx context.Context, stop chan struct{}) (err error) {
	for _, crd := range a.c.Of("apiextensions.k8s.io", "CustomResourceDefinition") {
		group, _, _ := unstructured.NestedString(crd.Object, "spec", "group")
		kind, _, _ := unstructured.NestedString(crd.Object, "spec", "names", "kind")
		a.plurals[schema.GroupKind{Group: group, Kind: kind}], _, _ = unstructured.NestedString(crd.Object, "spec", "names", "plural")
	}
	for _, name := range slices.Sorted(maps.Keys(a.namespaces)) {
		a.objects = append(a.objects, a.namespaces[name])
	}
	var params []k8sruntime.Object
	mapper := meta.NewDefaultRESTMapper(nil)
	lists := map[schema.GroupVersionResource]string{}
	for _, o := range a.c.Objects {
		gvk := o.GroupVersionKind()
		scope := meta.RESTScopeNamespace
		if o.GetNamespace() == "" {
			scope = meta.RESTScopeRoot
		}
		plural := a.resource(gvk)
		mapper.AddSpecific(gvk, plural, gvk.GroupVersion().WithResource(strings.ToLower(gvk.Kind)), scope)
		if !a.params[gvk.GroupKind()] {
			continue
		}
		// The plug-in reads parameters of Kubernetes' own kinds through the typed client.
		if own, err := clientscheme.Scheme.New(gvk); err == nil && k8sruntime.DefaultUnstructuredConverter.FromUnstructured(o.Object, own) == nil {
			a.objects = append(a.objects, own)
			continue
		}
		params = append(params, o.DeepCopy())
		lists[plural] = gvk.Kind + "List"
	}
	client := fake.NewClientset(a.objects...)
	factory := informers.NewSharedInformerFactory(client, 0)
	if a.plugin, err = validating.NewPlugin(nil); err != nil {
		return fmt.Errorf("start the plug-in for ValidatingAdmissionPolicies: %w", err)
	}
	a.interfaces = admission.NewObjectInterfacesFromScheme(k8sruntime.NewScheme())
	a.plugin.SetExternalKubeClientSet(client)
	a.plugin.SetExternalKubeInformerFactory(factory)
	a.plugin.SetRESTMapper(mapper)
	a.plugin.SetDynamicClient(dynamicfake.NewSimpleDynamicClientWithCustomListKinds(k8sruntime.NewScheme(), lists, params...))
	a.plugin.SetDrainedNotification(stop)
	a.plugin.SetAuthorizer(authorizer.AuthorizerFunc(func(context.Context, authorizer.Attributes) (authorizer.Decision, string, error) {
		return authorizer.DecisionNoOpinion, "", nil // policies that ask are left out
	}))
	if err := a.plugin.ValidateInitialization(); err != nil {
		return fmt.Errorf("start the plug-in for ValidatingAdmissionPolicies: %w", err)
	}
	factory.Start(stop)
	factory.WaitForCacheSync(stop)
	if err := wait.PollUntilContextTimeout(ctx, time.Millisecond, startLimit, true, func(context.Context) (bool, error) { return a.plugin.WaitForReady(), nil }); err != nil {
		return fmt.Errorf("the plug-in for ValidatingAdmissionPolicies did not start: %w", err)
	}
	return nil
}

// withDefaults sets what the API server sets when it stores a policy.
func withDefaults(p *admissionv1.ValidatingAdmissionPolicy) {
	if p.Spec.FailurePolicy == nil {
		fail := admissionv1.Fail
		p.Spec.FailurePolicy = &fail
	}
	matchDefaults(p.Spec.MatchConstraints)
}

func bindingDefaults(b *admissionv1.ValidatingAdmissionPolicyBinding) {
	matchDefaults(b.Spec.MatchResources)
	if p := b.Spec.ParamRef; p != nil && p.ParameterNotFoundAction == nil {
		deny := admissionv1.DenyAction
		p.ParameterNotFoundAction = &deny
	}
}

func matchDefaults(m *admissionv1.MatchResources) {
	if m == nil {
		return
	}
	if m.NamespaceSelector == nil {
		m.NamespaceSelector = &metav1.LabelSelector{}
	}
	if m.ObjectSelector == nil {
		m.ObjectSelector = &metav1.LabelSelector{}
	}
	if m.MatchPolicy == nil {
		equivalent := admissionv1.Equivalent
		m.MatchPolicy = &equivalent
	}
	for _, rules := range [][]admissionv1.NamedRuleWithOperations{m.ResourceRules, m.ExcludeResourceRules} {
		for i := range rules {
			if rules[i].Scope == nil {
				all := admissionv1.AllScopes
				rules[i].Scope = &all
			}
		}
	}
}

// resource returns the resource of a kind: what its CRD calls it, else what the API
// server's own kinds are called.
func (a *admissions) resource(gvk schema.GroupVersionKind) schema.GroupVersionResource {
	if plural := a.plurals[gvk.GroupKind()]; plural != "" {
		return gvk.GroupVersion().WithResource(plural)
	}
	plural, _ := meta.UnsafeGuessKindToResource(gvk)
	return plural
}

// admit holds one object against the policies.
func (a *admissions) admit(ctx context.Context, o *render.Object, u unstructured.Unstructured, who string, at []any) error {
	gvk := u.GroupVersionKind()
	request := &request{Attributes: admission.NewAttributesRecord(&u, nil, gvk, u.GetNamespace(), u.GetName(), a.resource(gvk), "", admission.Create,
		&metav1.CreateOptions{}, false, &user.DefaultInfo{Name: "system:serviceaccount:flux-system:kustomize-controller", Groups: []string{"system:serviceaccounts", "system:authenticated"}})}
	err := guarded(ctx, reviewLimit, func(ctx context.Context) error {
		return a.plugin.Validate(warning.WithWarningRecorder(ctx, request), request, a.interfaces)
	})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var status apierrors.APIStatus
	switch {
	case errors.As(err, &status):
		a.refusal(o, at, who, "deny", status.Status().Message)
	case err != nil:
		a.unchecked(o, "", "its review by the ValidatingAdmissionPolicies failed: %s", oneLine(err.Error()))
	}
	for _, w := range request.warnings {
		a.refusal(o, at, who, "warn", w)
	}
	for _, f := range request.failures {
		if slices.Contains(f.ValidationActions, admissionv1.Audit) && !slices.Contains(f.ValidationActions, admissionv1.Deny) && !slices.Contains(f.ValidationActions, admissionv1.Warn) {
			a.refusal(o, at, who, "dryrun", fmt.Sprintf("ValidatingAdmissionPolicy '%s' with binding '%s': %s", f.Policy, f.Binding, f.Message))
		}
	}
	return nil
}

// request is an admission request that keeps what the plug-in has to say of it.
type request struct {
	admission.Attributes

	mu       sync.Mutex
	warnings []string
	failures []validating.ValidationFailureValue // of the audit annotation
}

// AddWarning implements warning.Recorder.
func (r *request) AddWarning(_, text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.warnings = append(r.warnings, text)
}

// AddAnnotation implements admission.Attributes.
func (r *request) AddAnnotation(key, value string) error {
	if key != "validation.policy.admission.k8s.io/validation_failure" {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	var more []validating.ValidationFailureValue
	err := json.Unmarshal([]byte(value), &more)
	r.failures = append(r.failures, more...)
	return err
}

// refusal notes what the plug-in says: `ValidatingAdmissionPolicy 'a' with binding 'b'
// denied request: message`, and for warnings the same with "Validation failed for".
func (a *admissions) refusal(o *render.Object, at []any, who, action, text string) {
	name := "ValidatingAdmissionPolicy"
	if _, rest, ok := strings.Cut(text, "ValidatingAdmissionPolicy '"); ok {
		if n, rest, ok := strings.Cut(rest, "'"); ok {
			name += " " + n
			if _, message, ok := strings.Cut(rest, ": "); ok {
				text = message
			}
		}
	}
	v := &violation{o: o, at: at, who: who, action: action, policy: name, message: oneLine(text)}
	if p := a.c.Get(render.Key{Group: groupAdmission, Kind: "ValidatingAdmissionPolicy", Name: strings.TrimPrefix(name, "ValidatingAdmissionPolicy ")}); p != nil {
		v.where = p.Origin.Location.String()
	}
	a.add(v)
}
