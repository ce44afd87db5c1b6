package policy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/open-policy-agent/frameworks/constraint/pkg/apis"
	constraintclient "github.com/open-policy-agent/frameworks/constraint/pkg/client"
	"github.com/open-policy-agent/frameworks/constraint/pkg/client/drivers/rego"
	"github.com/open-policy-agent/frameworks/constraint/pkg/client/reviews"
	"github.com/open-policy-agent/frameworks/constraint/pkg/types"
	configv1alpha1 "github.com/open-policy-agent/gatekeeper/v3/apis/config/v1alpha1"
	"github.com/open-policy-agent/gatekeeper/v3/pkg/drivers/k8scel"
	celschema "github.com/open-policy-agent/gatekeeper/v3/pkg/drivers/k8scel/schema"
	"github.com/open-policy-agent/gatekeeper/v3/pkg/gator/expand"
	"github.com/open-policy-agent/gatekeeper/v3/pkg/gator/reader"
	mutationtypes "github.com/open-policy-agent/gatekeeper/v3/pkg/mutation/types"
	"github.com/open-policy-agent/gatekeeper/v3/pkg/target"
	"github.com/open-policy-agent/gatekeeper/v3/pkg/util"
	"golang.org/x/sync/errgroup"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	k8sruntime "k8s.io/apimachinery/pkg/runtime"
	"k8s.io/klog/v2"

	"lumacore.dev/lumacore/internal/check"
	"lumacore.dev/lumacore/internal/render"
)

// Bounds of what a policy may take. Real ones compile in a tenth of a second and review
// an object in a thousandth.
const (
	compileLimit = 30 * time.Second
	reviewLimit  = 10 * time.Second
)

// ignoreLabel on a namespace keeps Gatekeeper's webhook away from it
// (https://open-policy-agent.github.io/gatekeeper/website/docs/exempt-namespaces/).
const ignoreLabel = "admission.gatekeeper.sh/ignore"

// scheme knows Gatekeeper's templates in all their versions.
var scheme = sync.OnceValues(func() (*k8sruntime.Scheme, error) {
	s := k8sruntime.NewScheme()
	return s, errors.Join(apis.AddToScheme(s), configv1alpha1.AddToScheme(s))
})

// engine is held while Gatekeeper's Rego engine is in use: what it knows of external data
// is a built-in function of OPA, of which a process has one, that of the engine that was
// made last.
var engine sync.Mutex

// quiet keeps the libraries from writing to standard error, which is for what lumacore
// has to say; what they log comes back as an error too.
var quiet = sync.OnceFunc(func() {
	klog.LogToStderr(false)
	klog.SetOutput(io.Discard)
})

// reviewer evaluates the policies of one cluster.
type reviewer struct {
	c          *render.Cluster
	in         *check.Input
	out        *check.Reporter
	namespaces map[string]*corev1.Namespace

	client      *constraintclient.Client
	constraints []*render.Object // that are in force
	external    map[string]bool  // templates, by kind, that ask providers
	selects     bool             // a constraint looks at the labels of namespaces
	audits      bool             // audit may say something else than the webhook
	excluded    []configv1alpha1.MatchEntry
	expander    *expand.Expander
	providers   *providers

	mu    sync.Mutex
	found map[string]*violation // by object, constraint and message
}

// violation is what a policy has against an object.
type violation struct {
	o        *render.Object
	at       []any
	policy   string // "LumaCoreImageTag image-tag-prod"
	where    string // of the policy
	action   string // "deny", "warn" or "dryrun"
	who      string // what is refused: "", or "the pods that it makes"
	message  string
	audit    bool // only audit says so
	template string
}

// namespacesOf returns the namespaces that the repository makes, as the API server has
// them: with the label of their name.
func namespacesOf(c *render.Cluster) map[string]*corev1.Namespace {
	out := map[string]*corev1.Namespace{}
	for _, o := range c.Of("", "Namespace") {
		ns := &corev1.Namespace{}
		if k8sruntime.DefaultUnstructuredConverter.FromUnstructured(o.Object, ns) != nil {
			continue // gate schema reports it
		}
		if ns.Labels == nil {
			ns.Labels = map[string]string{}
		}
		ns.Labels[corev1.LabelMetadataName] = ns.Name
		out[ns.Name] = ns
	}
	return out
}

// gatekeeper evaluates templates and constraints.
func (r *reviewer) gatekeeper(ctx context.Context) error {
	r.found = map[string]*violation{}
	templates := r.c.Of(groupTemplates, "ConstraintTemplate")
	var constraints []*render.Object
	for _, o := range r.c.Objects {
		if o.GroupVersionKind().Group == groupConstraints {
			constraints = append(constraints, o)
		}
	}
	if len(templates)+len(constraints) == 0 {
		return nil
	}
	quiet()
	engine.Lock()
	defer engine.Unlock()
	var err error
	if r.providers, err = startProviders(ctx, r); err != nil {
		return err
	}
	defer r.providers.stop()
	regoDriver, err := rego.New(r.providers.args()...)
	if err != nil {
		return fmt.Errorf("start Gatekeeper's Rego engine: %w", err)
	}
	celDriver, err := k8scel.New()
	if err != nil {
		return fmt.Errorf("start Gatekeeper's CEL engine: %w", err)
	}
	// The order decides which engine a template with both is evaluated by; it is that of
	// Gatekeeper's main.
	r.client, err = constraintclient.NewClient(
		constraintclient.Targets(&target.K8sValidationTarget{}),
		constraintclient.Driver(celDriver), constraintclient.Driver(regoDriver),
		constraintclient.EnforcementPoints(util.WebhookEnforcementPoint, util.AuditEnforcementPoint),
	)
	if err != nil {
		return fmt.Errorf("start Gatekeeper's engine: %w", err)
	}
	kinds, err := r.addTemplates(ctx, templates)
	if err != nil {
		return err
	}
	r.addConstraints(ctx, constraints, kinds)
	if len(r.constraints) == 0 {
		return ctx.Err()
	}
	r.settings(ctx)
	if err := r.expansions(); err != nil {
		return err
	}
	return r.reviewAll(ctx)
}

// addTemplates compiles the templates. It returns the kinds of constraints that they
// make, with false for those of templates that do not compile.
func (r *reviewer) addTemplates(ctx context.Context, templates []*render.Object) (map[string]bool, error) {
	known, err := scheme()
	if err != nil {
		return nil, err
	}
	kinds := map[string]bool{}
	r.external = map[string]bool{}
	for _, o := range templates {
		kind, _, _ := unstructured.NestedString(o.Object, "spec", "crd", "spec", "names", "kind")
		kinds[kind] = kinds[kind] || false
		var mistakes []mistake
		err := guarded(ctx, compileLimit, func(ctx context.Context) error {
			t, err := reader.ToTemplate(known, o.DeepCopy())
			if err != nil {
				return err
			}
			if celschema.HasCELEngine(t) {
				if mistakes = compileTemplate(ctx, o, t); len(mistakes) > 0 {
					return nil
				}
			}
			if len(t.Spec.Targets) == 1 && len(t.Spec.Targets[0].Operations) > 0 {
				r.audits = true // they bind the webhook alone
			}
			_, err = r.client.AddTemplate(ctx, t)
			return err
		})
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil {
			mistakes = []mistake{{[]any{"spec", "targets"}, err.Error()}}
		}
		if len(mistakes) > 0 {
			r.invalid(o, "Gatekeeper cannot use this template", mistakes)
			continue
		}
		kinds[kind] = true
		r.external[kind] = strings.Contains(fmt.Sprint(o.Object["spec"]), "external_data")
	}
	return kinds, nil
}

// invalid reports what is wrong with a policy.
func (r *reviewer) invalid(o *render.Object, what string, mistakes []mistake) {
	for _, m := range mistakes {
		r.out.Object("policy/template-invalid", r.c, o, m.at, "%s: %s", what, oneLine(m.reason))
	}
}

// addConstraints puts the constraints in force.
func (r *reviewer) addConstraints(ctx context.Context, constraints []*render.Object, kinds map[string]bool) {
	for _, o := range constraints {
		works, known := kinds[o.GetKind()]
		if !known {
			r.unchecked(o, "see what the gates references and schema say of it", "no ConstraintTemplate of the repository makes its kind")
			continue
		}
		if !works {
			continue // the template's own finding says enough
		}
		err := guarded(ctx, compileLimit, func(ctx context.Context) error {
			_, err := r.client.AddConstraint(ctx, o.DeepCopy())
			return err
		})
		if err != nil {
			r.out.Object("policy/constraint-invalid", r.c, o, []any{"spec"}, "Gatekeeper does not take this constraint: %s", oneLine(err.Error()))
			continue
		}
		if r.external[o.GetKind()] && r.providers.none() {
			r.unchecked(o, r.providers.next(), "its template asks an external data provider, and none answers in this run")
			continue
		}
		r.constraints = append(r.constraints, o)
		action, _, _ := unstructured.NestedString(o.Object, "spec", "enforcementAction")
		r.audits = r.audits || action == "scoped"
		_, selects, _ := unstructured.NestedMap(o.Object, "spec", "match", "namespaceSelector")
		r.selects = r.selects || selects
	}
}

// settings reads Gatekeeper's Config and SyncSets: namespaces that it leaves alone, and
// objects that policies may look at.
func (r *reviewer) settings(ctx context.Context) {
	synced := map[[3]string]bool{}
	add := func(o *render.Object, path ...string) {
		list, _, _ := unstructured.NestedSlice(o.Object, path...)
		for _, item := range list {
			m, _ := item.(map[string]any)
			group, _ := m["group"].(string)
			version, _ := m["version"].(string)
			kind, _ := m["kind"].(string)
			synced[[3]string{group, version, kind}] = true
		}
	}
	for _, o := range r.c.Of(groupConfig, "Config") {
		add(o, "spec", "sync", "syncOnly")
		cfg := &configv1alpha1.Config{}
		if k8sruntime.DefaultUnstructuredConverter.FromUnstructured(o.Object, cfg) == nil {
			r.excluded = append(r.excluded, cfg.Spec.Match...)
		}
	}
	for _, o := range r.c.Of(groupSync, "SyncSet") {
		add(o, "spec", "gvks")
	}
	for _, o := range r.c.Objects {
		gvk := o.GroupVersionKind()
		if !synced[[3]string{gvk.Group, gvk.Version, gvk.Kind}] {
			continue
		}
		if _, err := r.client.AddData(ctx, o.DeepCopy()); err != nil {
			r.unchecked(o, "", "policies cannot look at it: %s", oneLine(err.Error()))
		}
	}
}

// expansions prepares Gatekeeper's own expansion of workloads, and names mutators.
func (r *reviewer) expansions() error {
	var objects []*unstructured.Unstructured
	for _, o := range r.c.Objects {
		switch {
		case o.GroupVersionKind().Group == groupMutations:
			r.unchecked(o, "", "objects are reviewed as the repository has them: what this mutator changes before is not applied")
		case o.Is(groupExpansion, "ExpansionTemplate"), o.Is("", "Namespace"):
			objects = append(objects, o.DeepCopy())
		}
	}
	templates := r.c.Of(groupExpansion, "ExpansionTemplate")
	if len(templates) == 0 {
		return nil
	}
	e, err := expand.NewExpander(objects)
	if err != nil {
		r.out.Object("policy/template-invalid", r.c, templates[0], []any{"spec"}, "Gatekeeper does not take the expansion templates: %s", oneLine(err.Error()))
		return nil
	}
	r.expander = e
	return nil
}

// matches tells whether a constraint may be about objects of a kind; Gatekeeper decides.
// Matching costs it more than most policies do, for it reads the object anew for each.
func matches(constraint *render.Object, group, kind string) bool {
	list, there, err := unstructured.NestedSlice(constraint.Object, "spec", "match", "kinds")
	if !there || err != nil || len(list) == 0 {
		return true
	}
	lists := func(v any, want string) bool {
		names, ok := v.([]any)
		return !ok || len(names) == 0 || slices.ContainsFunc(names, func(n any) bool { return n == "*" || n == want })
	}
	for _, item := range list {
		m, ok := item.(map[string]any)
		if !ok || lists(m["apiGroups"], group) && lists(m["kinds"], kind) {
			return true
		}
	}
	return false
}

// reviewAll reviews all objects, and the pods that they make.
func (r *reviewer) reviewAll(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	concerned := map[[2]string]bool{}
	about := func(group, kind string) bool {
		key := [2]string{group, kind}
		is, known := concerned[key]
		if !known {
			is = slices.ContainsFunc(r.constraints, func(c *render.Object) bool { return matches(c, group, kind) })
			concerned[key] = is
		}
		return is
	}
	unknown := map[string]*render.Object{}
	for _, o := range r.c.Objects {
		gvk := o.GroupVersionKind()
		object, pods := about(gvk.Group, gvk.Kind), false
		if _, ok := o.Pods(); ok && !o.Is("", "Pod") {
			pods = about("", "Pod")
		}
		if !object && !pods && r.expander == nil {
			continue
		}
		ns := r.namespaces[o.GetNamespace()]
		if o.GetNamespace() != "" && ns == nil {
			if unknown[o.GetNamespace()] == nil {
				unknown[o.GetNamespace()] = o
			}
			continue
		}
		g.Go(func() error { return r.review(ctx, o, ns, object, pods) })
	}
	for _, name := range slices.Sorted(maps.Keys(unknown)) {
		o := unknown[name]
		r.unchecked(o, "put the Namespace with its labels into the repository", "the repository does not make its namespace %s, so which constraints hold there is not known", name)
	}
	return g.Wait()
}

// review reviews an object and the pods that it makes.
func (r *reviewer) review(ctx context.Context, o *render.Object, ns *corev1.Namespace, object, pods bool) error {
	if object {
		if err := r.ask(ctx, o, nil, "", *o.DeepCopy(), ns, mutationtypes.SourceTypeOriginal, ""); err != nil {
			return err
		}
	}
	if r.expander != nil {
		made, err := r.expander.Expand(o.DeepCopy())
		if err != nil {
			r.unchecked(o, "", "Gatekeeper cannot expand it: %s", oneLine(err.Error()))
		}
		for _, m := range made {
			if err := r.ask(ctx, o, nil, "what it makes", *m.Obj, ns, mutationtypes.SourceTypeGenerated, m.EnforcementAction); err != nil {
				return err
			}
		}
	}
	if !pods {
		return nil
	}
	pod, at := podOf(o)
	return r.ask(ctx, o, at, "the pods that it makes", pod, ns, mutationtypes.SourceTypeOriginal, "")
}

// podOf returns the pod that a controller makes of a workload, as far as policies can
// see it, and where its template stands.
func podOf(o *render.Object) (unstructured.Unstructured, []any) {
	pods, _ := o.Pods()
	meta := map[string]any{}
	for _, k := range []string{"labels", "annotations"} {
		if v, ok := pods.Metadata[k]; ok {
			meta[k] = v
		}
	}
	meta["name"], meta["generateName"], meta["namespace"] = o.GetName()+"-x", o.GetName()+"-", o.GetNamespace()
	meta["ownerReferences"] = []any{map[string]any{
		"apiVersion": o.GetAPIVersion(), "kind": o.GetKind(), "name": o.GetName(), "uid": "00000000-0000-0000-0000-000000000000", "controller": true,
	}}
	pod := unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": pods.Spec}}
	return *pod.DeepCopy(), append(slices.Clone(pods.Path), "spec")
}

// ask reviews one object at the enforcement points and notes the violations. action
// replaces that of the constraints, if it is not empty: expansion templates may do so.
func (r *reviewer) ask(ctx context.Context, o *render.Object, at []any, who string, u unstructured.Unstructured, ns *corev1.Namespace, source mutationtypes.SourceType, action string) error {
	points := []string{util.WebhookEnforcementPoint}
	if r.audits || r.leftAlone(ns, "webhook") {
		points = append(points, util.AuditEnforcementPoint)
	}
	if who == "the pods that it makes" && len(points) == 2 {
		points = points[:1] // audit reviews what there is
	}
	for _, point := range points {
		audit := point == util.AuditEnforcementPoint
		if r.leftAlone(ns, map[bool]string{false: "webhook", true: "audit"}[audit]) {
			continue
		}
		var resp *types.Responses
		err := guarded(ctx, reviewLimit, func(ctx context.Context) (err error) {
			resp, err = r.client.Review(ctx, target.AugmentedUnstructured{Object: u, Namespace: ns, Operation: admissionv1.Create, Source: source}, reviews.EnforcementPoint(point))
			return err
		})
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			r.unchecked(o, "", "its review at %s failed: %s", point, oneLine(err.Error()))
			continue
		}
		for _, res := range resp.Results() {
			r.note(o, at, who, res, audit, action)
		}
	}
	return nil
}

// leftAlone tells whether a process of Gatekeeper does not look into a namespace.
func (r *reviewer) leftAlone(ns *corev1.Namespace, process string) bool {
	if ns == nil {
		return false
	}
	if _, ignored := ns.Labels[ignoreLabel]; ignored && process == "webhook" {
		return true
	}
	for _, m := range r.excluded {
		if !slices.Contains(m.Processes, "*") && !slices.Contains(m.Processes, process) {
			continue
		}
		for _, name := range m.ExcludedNamespaces {
			if name.Matches(ns.Name) {
				return true
			}
		}
	}
	return false
}

// note notes a violation, once.
func (r *reviewer) note(o *render.Object, at []any, who string, res *types.Result, audit bool, action string) {
	actions := res.ScopedEnforcementActions
	if res.EnforcementAction != string(util.Scoped) || len(actions) == 0 {
		actions = []string{res.EnforcementAction}
	}
	if action != "" {
		actions = []string{action}
	}
	slices.SortFunc(actions, func(a, b string) int { return cmp.Compare(strength[b], strength[a]) })
	v := &violation{
		o: o, at: at, who: who, audit: audit, message: oneLine(res.Msg), action: actions[0],
		policy: res.Constraint.GetKind() + " " + res.Constraint.GetName(), template: res.Constraint.GetKind(),
	}
	if c := r.c.Get(render.Key{Group: groupConstraints, Kind: res.Constraint.GetKind(), Name: res.Constraint.GetName()}); c != nil {
		v.where = c.Origin.Location.String()
	}
	key := strings.Join([]string{o.Key().Group, o.Key().String(), v.policy, v.message}, "\x00")
	r.mu.Lock()
	defer r.mu.Unlock()
	// What is said of the object itself is not said again of what it makes, nor what the
	// webhook says of audit.
	if old := r.found[key]; old == nil || old.rank() > v.rank() {
		r.found[key] = v
	}
}

// strength orders enforcement actions.
var strength = map[string]int{"deny": 3, "warn": 2, "dryrun": 1}

// rank orders violations that say the same: which one is reported.
func (v *violation) rank() int {
	n := 0
	if v.audit {
		n += 4
	}
	switch v.who {
	case "the pods that it makes":
		n++
	case "what it makes":
		n += 2
	}
	return n
}

// report reports the violations.
func (r *reviewer) report() {
	for _, key := range slices.Sorted(maps.Keys(r.found)) {
		v := r.found[key]
		if r.external[v.template] && r.providers.failed() {
			continue
		}
		policy := v.policy
		if v.where != "" {
			policy += " (" + v.where + ")"
		}
		verb, rule := "denies", "policy/denied"
		switch {
		case v.audit:
			verb, rule = "reports, at audit alone,", "policy/reported"
		case v.action == "warn":
			verb, rule = "warns of", "policy/warned"
		case v.action != "deny":
			verb, rule = "would deny", "policy/reported"
		}
		who := cmp.Or(v.who, "it")
		r.out.Object(rule, r.c, v.o, v.at, "%s %s %s: %s", policy, verb, who, v.message)
	}
	if r.providers == nil || !r.providers.failed() {
		return
	}
	for _, o := range r.constraints {
		if r.external[o.GetKind()] {
			r.unchecked(o, r.providers.next(), "%s", r.providers.why())
		}
	}
}
