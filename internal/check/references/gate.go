// Package references is the gate over what objects name: the Secret of a volume,
// the Service of a route, the source of a HelmRelease, the pods of a selector.
// What is named must exist, with the key or port that is asked for, and where it
// may be used from.
//
// The places where objects name each other are a table (table.go); pods, selectors
// and routes have more to them and files of their own. What exists is the render,
// what controllers are known to make, and what a cluster has from the start
// (known.go). What something that was not rendered may make, such as a chart that
// is not at hand, is reported as not checked, never as missing.
package references

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"lumacore.dev/lumacore/internal/check"
	"lumacore.dev/lumacore/internal/render"
	"lumacore.dev/lumacore/internal/report"
)

// Gate reports references to what does not exist.
var Gate = &check.Gate{
	Name:  "references",
	Title: "names of objects, keys and ports that do not exist, and selectors that match nothing",
	Rules: rules,
	Check: run,
}

func run(ctx context.Context, in *check.Input, out *check.Reporter) error {
	aside := &outside{in: in}
	for _, c := range in.Render.Clusters {
		x := &checker{
			in: in, out: out, c: c, index: newIndex(c), outside: aside,
			reported: map[string]bool{}, gaps: map[string]*gap{},
		}
		for _, o := range c.Objects {
			if err := ctx.Err(); err != nil {
				return err
			}
			x.object(o)
		}
		x.missingNamespaces()
		x.unusedPolicies()
		x.flush()
	}
	return nil
}

// checker looks at one cluster.
type checker struct {
	in      *check.Input
	out     *check.Reporter
	c       *render.Cluster
	outside *outside
	*index
	reported map[string]bool // findings, so that each is reported once
	gaps     map[string]*gap // what could not be looked at, by subject
	policies []selecting     // NetworkPolicies whose selector matches nothing
	used     map[string]bool // NetworkPolicies that match in some namespace, by name and selector
}

// object looks at everything that one object names.
func (x *checker) object(o *render.Object) {
	for _, f := range table[o.GroupKind()] {
		x.field(o, f)
	}
	for _, f := range table[schema.GroupKind{Group: o.GroupKind().Group, Kind: "*"}] {
		x.field(o, f)
	}
	x.pods(o)
	switch gk := o.GroupKind(); gk {
	case service:
		x.service(o)
	case kind("networking.k8s.io", "NetworkPolicy"):
		x.selects(o)
		x.policyRules(o)
	case kind("policy", "PodDisruptionBudget"):
		x.selects(o)
	case kind("monitoring.coreos.com", "ServiceMonitor"), kind("monitoring.coreos.com", "PodMonitor"):
		x.monitor(o)
	case kind("networking.k8s.io", "Ingress"):
		x.ingress(o)
	case kind("traefik.io", "Middleware"):
		x.forwardAuth(o)
	case kind("rbac.authorization.k8s.io", "RoleBinding"), kind("rbac.authorization.k8s.io", "ClusterRoleBinding"):
		x.subjects(o)
	case policyBinding, mutatingBinding:
		x.policyParams(o)
	default:
		switch {
		case gk.Group == gatewayGroup && strings.HasSuffix(gk.Kind, "Route"):
			x.route(o)
		case gk.Group == "constraints.gatekeeper.sh":
			x.constraint(o)
		}
	}
}

// reference is one place where an object names another one.
type reference struct {
	from     *render.Object
	at       []any  // the field that holds the name
	what     string // "env PASSWORD of container web", "spec.secretRef"
	to       target
	severity report.Severity // if not the rule's
	fix      string          // if not the rule's
	chosen   bool            // the owner wrote it, though a chart made the object
	placed   bool            // the owner wrote the namespace too
	typed    string          // the field that says the group of what is named, if there is one
}

// target is what a reference names.
type target struct {
	schema.GroupKind
	namespace, name string // namespace is empty for cluster-scoped kinds
}

func (t target) String() string {
	return render.Key{Group: t.Group, Kind: t.Kind, Namespace: t.namespace, Name: t.name}.String()
}

// need looks for what r names. It reports when that does not exist, and returns
// the objects otherwise; known is false when nothing more can be said about them,
// because they are missing or made in the cluster only.
func (x *checker) need(r reference) (objects []*render.Object, known bool) {
	if objects := x.get(r.to); len(objects) > 0 {
		return objects, true
	}
	if r.to.name == "" || x.unresolved(r) || x.exists(r.to) {
		return nil, false
	}
	if why := byHand[r.to.name]; why != "" && r.to.GroupKind == secret {
		x.gap(gap{subject: r.to.String(), reason: "holds " + why + ": it is made by hand at bootstrap", at: r.from.Locate(r.at...)})
		return nil, false
	}
	if m, ok := x.maker(r); ok {
		x.gapOf(m, r.to.String())
		return nil, false
	}
	if x.aside(r) {
		return nil, false
	}
	if other := x.otherType(r); other != nil {
		x.report(ruleOf(r.to.GroupKind), r, "%s: %s names %s of group %s, but there is %s of %s; correct %s and kind",
			r.from.Key(), r.what, r.to, cmp.Or(r.to.Group, `""`), other.Key(), other.GetAPIVersion(), r.typed)
		return nil, false
	}
	x.report(ruleOf(r.to.GroupKind), r, "%s: %s names %s, which nothing in the repository makes%s", r.from.Key(), r.what, r.to, x.instead(r.to, r.placed))
	return nil, false
}

// otherType returns the object that r names but for its group, or, if it is about
// a workload, for its kind.
func (x *checker) otherType(r reference) *render.Object {
	if r.typed == "" {
		return nil
	}
	workloads := []string{"Deployment", "StatefulSet", "DaemonSet", "ReplicaSet"}
	var found []*render.Object
	for gk, spaces := range x.objects {
		if gk.Kind == r.to.Kind || gk.Group == "apps" && slices.Contains(workloads, gk.Kind) && slices.Contains(workloads, r.to.Kind) {
			found = append(found, spaces[r.to.namespace][r.to.name]...)
		}
	}
	return slices.MinFunc(append(found, nil), func(a, b *render.Object) int {
		switch {
		case a == nil && b == nil:
			return 0
		case a == nil:
			return 1
		case b == nil:
			return -1
		}
		return cmp.Or(cmp.Compare(a.GetKind(), b.GetKind()), cmp.Compare(a.GetAPIVersion(), b.GetAPIVersion()))
	})
}

// aside tells whether what r names seems to be made by a script or template that
// Flux does not read.
func (x *checker) aside(r reference) bool {
	file := x.outside.names(r.to)
	if file != "" {
		x.gap(gap{
			subject: r.to.String(), reason: "is not in the render, but " + file + " names it: it seems to be made outside of Flux",
			at: r.from.Locate(r.at...),
		})
	}
	return file != ""
}

// unresolved tells whether the name is not known before the cluster fills it in.
func (x *checker) unresolved(r reference) bool {
	text := r.to.namespace + "/" + r.to.name
	if strings.Contains(text, "${") { // gate render reports it
		return true
	}
	if len(r.from.Origin.Placeholders) == 0 || !render.HasStandIn(text) {
		return false
	}
	x.gap(gap{
		subject: r.from.Key().String(), reason: fmt.Sprintf("the name in %s has a part that only the cluster knows (%s)", r.what, strings.Join(r.from.Origin.Placeholders, ", ")),
		at: r.from.Locate(r.at...),
	})
	return true
}

// report reports a finding once per object. What a chart names by itself, not
// because the owner said so, is a warning at most: its program may make it.
func (x *checker) report(rule string, r reference, format string, args ...any) {
	f := check.Finding(rule, x.c, r.from, r.at, format, args...)
	key := fmt.Sprintf("%p %s %s %s", r.from, rule, r.to, f.Message)
	if ruleOf(r.to.GroupKind) == rule { // one finding for all fields that name the same
		key = fmt.Sprintf("%p %s %s", r.from, rule, r.to)
	}
	if x.reported[key] {
		return
	}
	x.reported[key] = true
	f.Severity, f.Fix = r.severity, r.fix
	if r.from.Origin.HelmRelease != "" && f.Severity != report.Info && !r.chosen && !x.ownersWord(r.from, r.to.name) {
		f.Severity = report.Warning
	}
	x.out.Add(f)
}

// gap is something that could not be looked at.
type gap struct {
	subject, reason, next string
	at                    report.Location
	names                 map[string]bool // what could come from the subject
}

// gap notes that something could not be looked at.
func (x *checker) gap(g gap) {
	if x.gaps[g.subject+"\x00"+g.reason] == nil {
		x.gaps[g.subject+"\x00"+g.reason] = &g
	}
}

// gapOf notes that name is missing unless m makes it.
func (x *checker) gapOf(m *maker, name string) {
	if m == nil { // it does
		return
	}
	key := m.subject + "\x00"
	if x.gaps[key] == nil {
		x.gaps[key] = &gap{subject: m.subject, reason: m.reason, next: m.next, at: m.at, names: map[string]bool{}}
	}
	x.gaps[key].names[name] = true
}

// flush reports the gaps of the cluster.
func (x *checker) flush() {
	for _, key := range slices.Sorted(maps.Keys(x.gaps)) {
		g := x.gaps[key]
		if g.names != nil {
			g.reason = fmt.Sprintf("%s, and may make what nothing else in the repository does: %s", g.reason, list(slices.Sorted(maps.Keys(g.names)), 5))
		}
		x.out.Unchecked(report.Unchecked{Subject: g.subject, Reason: g.reason, Next: g.next, Location: g.at, Clusters: []string{x.c.Name}})
	}
}

// list writes out at most n names.
func list(names []string, n int) string {
	if len(names) > n {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:n], ", "), len(names)-n)
	}
	return strings.Join(names, ", ")
}

// origin names what applies an object.
func origin(o *render.Object) string {
	if o.Origin.HelmRelease != "" {
		return "HelmRelease " + o.Origin.HelmRelease
	}
	return "Kustomization " + o.Origin.Kustomization
}
