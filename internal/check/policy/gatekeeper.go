package policy

import (
	"cmp"
	"context"
	"encoding/json"
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
	"github.com/open-policy-agent/frameworks/constraint/pkg/client/drivers"
	"github.com/open-policy-agent/frameworks/constraint/pkg/client/drivers/rego"
	"github.com/open-policy-agent/frameworks/constraint/pkg/client/reviews"
	"github.com/open-policy-agent/frameworks/constraint/pkg/types"
	configv1alpha1 "github.com/open-policy-agent/gatekeeper/v3/apis/config/v1alpha1"
	"github.com/open-policy-agent/gatekeeper/v3/pkg/drivers/k8scel"
	celschema "github.com/open-policy-agent/gatekeeper/v3/pkg/drivers/k8scel/schema"
	"github.com/open-policy-agent/gatekeeper/v3/pkg/gator/expand"
	"github.com/open-policy-agent/gatekeeper/v3/pkg/gator/reader"
	"github.com/open-policy-agent/gatekeeper/v3/pkg/mutation/match"
	mutationtypes "github.com/open-policy-agent/gatekeeper/v3/pkg/mutation/types"
	"github.com/open-policy-agent/gatekeeper/v3/pkg/target"
	"github.com/open-policy-agent/gatekeeper/v3/pkg/util"
	"golang.org/x/sync/errgroup"
	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
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
	engines     [2]drivers.Driver // CEL, Rego
	target      *target.K8sValidationTarget
	templates   map[string]template    // by the kind of their constraints
	constraints []*constraint          // that are in force
	byName      map[string]*constraint // the same, by "kind name"
	verdicts    *verdicts
	audits      bool // audit may say something else than the webhook
	excluded    []configv1alpha1.MatchEntry
	expander    *expand.Expander
	providers   *providers

	mu    sync.Mutex
	found map[string]*violation // by object, constraint and message
}

// template is a ConstraintTemplate.
type template struct {
	works    bool
	engine   int  // index of its engine
	creation bool // the webhook evaluates it when objects are created
	external bool // it asks external data providers
	pure     bool // it looks at the object, its namespace and its parameters alone
}

// constraint is a constraint that is in force.
type constraint struct {
	*render.Object
	template
	match   *match.Match        // nil: everything
	actions map[string][]string // by enforcement point
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
	external bool // an external data provider was asked
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
	r.engines, r.target = [2]drivers.Driver{celDriver, regoDriver}, &target.K8sValidationTarget{}
	// The order decides which engine a template with both is evaluated by; it is that of
	// Gatekeeper's main.
	r.client, err = constraintclient.NewClient(
		constraintclient.Targets(r.target),
		constraintclient.Driver(celDriver), constraintclient.Driver(regoDriver),
		constraintclient.EnforcementPoints(util.WebhookEnforcementPoint, util.AuditEnforcementPoint),
	)
	if err != nil {
		return fmt.Errorf("start Gatekeeper's engine: %w", err)
	}
	if err := r.addTemplates(ctx, templates); err != nil {
		return err
	}
	r.addConstraints(ctx, constraints)
	if len(r.constraints) == 0 {
		return ctx.Err()
	}
	r.settings(ctx)
	if err := r.expansions(); err != nil {
		return err
	}
	r.verdicts = r.keptVerdicts()
	if err := r.reviewAll(ctx); err != nil {
		return err
	}
	r.verdicts.save()
	return nil
}

// addTemplates compiles the templates.
func (r *reviewer) addTemplates(ctx context.Context, templates []*render.Object) error {
	known, err := scheme()
	if err != nil {
		return err
	}
	r.templates = map[string]template{}
	for _, o := range templates {
		kind, _, _ := unstructured.NestedString(o.Object, "spec", "crd", "spec", "names", "kind")
		one := template{engine: 1, creation: true, external: strings.Contains(fmt.Sprint(o.Object["spec"]), "external_data")}
		one.pure = !impure.MatchString(fmt.Sprint(o.Object["spec"]))
		var mistakes []mistake
		err := guarded(ctx, compileLimit, func(ctx context.Context) error {
			t, err := reader.ToTemplate(known, o.DeepCopy())
			if err != nil {
				return err
			}
			if celschema.HasCELEngine(t) {
				one.engine = 0
				if mistakes = compileTemplate(ctx, o, t); len(mistakes) > 0 {
					return nil
				}
			}
			if len(t.Spec.Targets) == 1 && len(t.Spec.Targets[0].Operations) > 0 {
				one.creation = slices.ContainsFunc(t.Spec.Targets[0].Operations, func(op admissionregistrationv1.OperationType) bool {
					return op == admissionregistrationv1.Create || op == admissionregistrationv1.OperationAll
				})
			}
			_, err = r.client.AddTemplate(ctx, t)
			return err
		})
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			mistakes = []mistake{{[]any{"spec", "targets"}, err.Error()}}
		}
		r.invalid(o, "Gatekeeper cannot use this template", mistakes)
		one.works = len(mistakes) == 0
		if one.works || !r.templates[kind].works {
			r.templates[kind] = one
		}
		r.audits = r.audits || !one.creation
	}
	return nil
}

// invalid reports what is wrong with a policy.
func (r *reviewer) invalid(o *render.Object, what string, mistakes []mistake) {
	for _, m := range mistakes {
		r.out.Object("policy/template-invalid", r.c, o, m.at, "%s: %s", what, oneLine(m.reason))
	}
}

// addConstraints puts the constraints in force.
func (r *reviewer) addConstraints(ctx context.Context, constraints []*render.Object) {
	r.byName = map[string]*constraint{}
	for _, o := range constraints {
		t, known := r.templates[o.GetKind()]
		if !known {
			r.unchecked(o, "see what the gates references and schema say of it", "no ConstraintTemplate of the repository makes its kind")
			continue
		}
		if !t.works {
			continue // the template's own finding says enough
		}
		c := &constraint{Object: o, template: t}
		err := guarded(ctx, compileLimit, func(ctx context.Context) error {
			if _, err := r.client.AddConstraint(ctx, o.DeepCopy()); err != nil {
				return err
			}
			return c.read()
		})
		if err != nil {
			r.out.Object("policy/constraint-invalid", r.c, o, []any{"spec"}, "Gatekeeper does not take this constraint: %s", oneLine(err.Error()))
			continue
		}
		if t.external && r.providers.none() {
			r.unchecked(o, r.providers.next(), "its template asks an external data provider, and none answers in this run")
			continue
		}
		r.constraints, r.byName[c.GetKind()+" "+c.GetName()] = append(r.constraints, c), c
		r.audits = r.audits || len(c.actions[util.WebhookEnforcementPoint]) == 0 || c.scoped()
	}
}

// scoped tells whether a constraint says for each enforcement point what it does there.
func (c *constraint) scoped() bool {
	action, _, _ := unstructured.NestedString(c.Object.Object, "spec", "enforcementAction")
	return action == string(util.Scoped)
}

// read reads what a constraint is about, and what it does.
func (c *constraint) read() error {
	if spec, there, err := unstructured.NestedMap(c.Object.Object, "spec", "match"); err != nil {
		return err
	} else if there {
		data, err := json.Marshal(spec)
		if err != nil {
			return err
		}
		c.match = &match.Match{}
		if err := json.Unmarshal(data, c.match); err != nil {
			return err
		}
	}
	action, err := util.GetEnforcementAction(c.Object.Object)
	if err != nil {
		return err
	}
	c.actions = map[string][]string{}
	for _, point := range []string{util.WebhookEnforcementPoint, util.AuditEnforcementPoint} {
		c.actions[point] = []string{string(action)}
		if action == util.Scoped {
			if c.actions[point], err = util.ScopedActionForEP(point, c.Unstructured); err != nil {
				return err
			}
		}
	}
	return nil
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

// reviewAll reviews all objects, and the pods that they make.
func (r *reviewer) reviewAll(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	unknown := map[string]*render.Object{}
	for _, o := range r.c.Objects {
		ns := r.namespaces[o.GetNamespace()]
		if o.GetNamespace() == "" || ns != nil {
			g.Go(func() error { return r.review(ctx, o, ns) })
			continue
		}
		// Which constraints hold in a namespace is not known without its labels, unless
		// no constraint is about such objects at all.
		if unknown[o.GetNamespace()] == nil && r.concerns(o) {
			unknown[o.GetNamespace()] = o
		}
	}
	for _, name := range slices.Sorted(maps.Keys(unknown)) {
		o := unknown[name]
		r.unchecked(o, "put the Namespace with its labels into the repository", "the repository does not make its namespace %s, so which constraints hold there is not known", name)
	}
	return g.Wait()
}

// concerns tells whether a constraint may be about an object, or about the pods that it
// makes, in a namespace of which nothing is known.
func (r *reviewer) concerns(o *render.Object) bool {
	objects := []*unstructured.Unstructured{o.Unstructured}
	if _, ok := o.Pods(); ok && !o.Is("", "Pod") {
		pod, _ := podOf(o)
		objects = append(objects, &pod)
	}
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: o.GetNamespace()}}
	return slices.ContainsFunc(r.constraints, func(c *constraint) bool {
		if c.match == nil {
			return true
		}
		m := *c.match
		m.NamespaceSelector = nil
		return slices.ContainsFunc(objects, func(u *unstructured.Unstructured) bool {
			ok, err := match.Matches(&m, &match.Matchable{Object: u, Namespace: ns, Source: mutationtypes.SourceTypeOriginal})
			return ok || err != nil
		})
	})
}

// review reviews an object and the pods that it makes.
func (r *reviewer) review(ctx context.Context, o *render.Object, ns *corev1.Namespace) error {
	if err := r.ask(ctx, o, nil, "", o.Unstructured, ns, mutationtypes.SourceTypeOriginal, ""); err != nil {
		return err
	}
	if r.expander != nil {
		made, err := r.expander.Expand(o.DeepCopy())
		if err != nil {
			r.unchecked(o, "", "Gatekeeper cannot expand it: %s", oneLine(err.Error()))
		}
		for _, m := range made {
			if err := r.ask(ctx, o, nil, "what it makes", m.Obj, ns, mutationtypes.SourceTypeGenerated, m.EnforcementAction); err != nil {
				return err
			}
		}
	}
	if _, ok := o.Pods(); !ok || o.Is("", "Pod") {
		return nil
	}
	pod, at := podOf(o)
	return r.ask(ctx, o, at, "the pods that it makes", &pod, ns, mutationtypes.SourceTypeOriginal, "")
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
func (r *reviewer) ask(ctx context.Context, o *render.Object, at []any, who string, u *unstructured.Unstructured, ns *corev1.Namespace, source mutationtypes.SourceType, action string) error {
	points := []string{util.WebhookEnforcementPoint}
	if (r.audits || r.leftAlone(ns, "webhook")) && who != "the pods that it makes" { // audit reviews what there is
		points = append(points, util.AuditEnforcementPoint)
	}
	name := r.verdicts.name(u, ns, string(source)+" "+who)
	hits, known := r.verdicts.find(name, r.byName)
	for _, pure := range []bool{true, false} {
		if pure && known {
			continue
		}
		more, whole, err := r.evaluate(ctx, o, points, u, ns, source, pure)
		if err != nil {
			return err
		}
		hits = append(hits, more...)
		if pure && whole {
			r.verdicts.keep(name, more)
		}
	}
	for _, h := range hits {
		actions := h.constraint.actions[h.point]
		if action != "" {
			actions = []string{action}
		}
		r.note(o, at, who, h.constraint, h.message, h.point == util.AuditEnforcementPoint, actions)
	}
	return nil
}

// evaluate holds an object against the constraints of pure templates, or of the others.
// It returns whether all were evaluated; what was not is reported.
//
// It does what Gatekeeper's client does in Review, with its own functions: that one makes
// text of the object and reads it again for each constraint, to learn whether it matches.
func (r *reviewer) evaluate(ctx context.Context, o *render.Object, points []string, u *unstructured.Unstructured, ns *corev1.Namespace, source mutationtypes.SourceType, pure bool) (hits []hit, whole bool, err error) {
	var review any
	whole = true
	for _, point := range points {
		if r.leftAlone(ns, map[string]string{util.WebhookEnforcementPoint: "webhook", util.AuditEnforcementPoint: "audit"}[point]) {
			continue
		}
		matching, err := r.matching(point, u, ns, source, pure)
		if err != nil {
			r.unchecked(o, "", "which constraints are about it cannot be told: %s", oneLine(err.Error()))
			whole = false
			continue
		}
		for engine, list := range matching {
			if len(list) == 0 {
				continue
			}
			if review == nil {
				if _, review, err = r.target.HandleReview(target.AugmentedUnstructured{Object: *u, Namespace: ns, Operation: admissionv1.Create, Source: source}); err != nil {
					r.unchecked(o, "", "it cannot be reviewed: %s", oneLine(err.Error()))
					return nil, false, nil
				}
			}
			var results []*types.Result
			err := guarded(ctx, reviewLimit, func(ctx context.Context) error {
				resp, err := r.engines[engine].Query(ctx, target.Name, list, review, reviews.EnforcementPoint(point), reviews.Namespace(asMap(ns)))
				if err == nil && resp != nil {
					results = resp.Results
				}
				return err
			})
			switch {
			case ctx.Err() != nil:
				return nil, false, ctx.Err()
			case err != nil:
				r.unchecked(o, "", "its review at %s failed: %s", point, oneLine(err.Error()))
				whole = false
				continue
			}
			for _, res := range results {
				hits = append(hits, hit{r.byName[res.Constraint.GetKind()+" "+res.Constraint.GetName()], point, oneLine(res.Msg)})
			}
		}
	}
	return hits, whole, nil
}

// matching returns the constraints that are about an object at an enforcement point, by
// engine.
func (r *reviewer) matching(point string, u *unstructured.Unstructured, ns *corev1.Namespace, source mutationtypes.SourceType, pure bool) (out [2][]*unstructured.Unstructured, err error) {
	for _, c := range r.constraints {
		if c.pure != pure || len(c.actions[point]) == 0 || point == util.WebhookEnforcementPoint && !c.creation {
			continue
		}
		if c.match != nil {
			ok, err := match.Matches(c.match, &match.Matchable{Object: u, Namespace: ns, Source: source})
			if err != nil {
				return out, fmt.Errorf("%s: %w", c.Key(), err)
			}
			if !ok {
				continue
			}
		}
		out[c.engine] = append(out[c.engine], c.Unstructured)
	}
	return out, nil
}

// asMap returns a namespace as policies see it; nil for none.
func asMap(ns *corev1.Namespace) map[string]any {
	if ns == nil {
		return nil
	}
	m, err := k8sruntime.DefaultUnstructuredConverter.ToUnstructured(ns)
	if err != nil {
		return nil
	}
	return m
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
func (r *reviewer) note(o *render.Object, at []any, who string, c *constraint, message string, audit bool, actions []string) {
	actions = slices.SortedFunc(slices.Values(actions), func(a, b string) int { return cmp.Compare(strength[b], strength[a]) })
	v := &violation{
		o: o, at: at, who: who, audit: audit, message: oneLine(message), action: actions[0],
		policy: c.GetKind() + " " + c.GetName(), where: c.Origin.Location.String(), external: c.external,
	}
	r.add(v)
}

// add keeps a violation, unless it says what another one says.
func (r *reviewer) add(v *violation) {
	key := strings.Join([]string{v.o.Key().Group, v.o.Key().String(), v.policy, v.message}, "\x00")
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
		if v.external && r.providers.failed() {
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
	for _, c := range r.constraints {
		if c.external {
			r.unchecked(c.Object, r.providers.next(), "%s", r.providers.why())
		}
	}
}
