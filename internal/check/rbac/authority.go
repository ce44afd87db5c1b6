package rbac

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"

	"lumacore.dev/lumacore/internal/check"
	"lumacore.dev/lumacore/internal/render"
	"lumacore.dev/lumacore/internal/report"
)

// authority is who may do what in one cluster.
type authority struct {
	cluster *render.Cluster
	byKey   map[render.Key]*role
	roles   []*role  // sorted by key
	grants  []*grant // sorted by binding and subject
}

// role is a Role or ClusterRole.
type role struct {
	key       render.Key
	object    *render.Object // nil: Kubernetes makes it
	labels    map[string]string
	rules     []rbacv1.PolicyRule
	selectors []metav1.LabelSelector // of an aggregated role: its rules are those of the roles that match
	huge      bool                   // it holds more than is compared

	parts   []*role  // of an aggregated role: all it takes rules from, sorted
	joins   []*role  // aggregated roles that take its rules, sorted
	granted []*grant // of itself, not of those that it joins
}

// grant is what one subject gets from one binding.
type grant struct {
	binding   *render.Object
	at        int // index of the subject
	subject   subject
	ref       render.Key // of the role
	role      *role      // nil: nothing in the repository makes it, and it is not known
	namespace string     // in which it holds; "": in the whole cluster
}

// subject is who gets something.
type subject struct{ kind, namespace, name string }

func (s subject) String() string {
	if s.namespace == "" {
		return s.kind + " " + s.name
	}
	return s.kind + " " + s.namespace + "/" + s.name
}

const (
	serviceAccount = "ServiceAccount"
	group          = "Group"
	user           = "User"
	// accountUser begins the name of the user that a ServiceAccount is
	// (https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/).
	accountUser = "system:serviceaccount:"
)

func clusterRole(name string) render.Key {
	return render.Key{Group: rbacv1.GroupName, Kind: "ClusterRole", Name: name}
}

// Bounds of a role: what is compared is each verb on each resource of each group.
const maxPieces = 5000

// pieces is how many single permissions a rule is.
func pieces(r *rbacv1.PolicyRule) int {
	n := len(r.APIGroups) * len(r.Resources) * max(1, len(r.ResourceNames)) // each of them is bounded by the file
	return (n + len(r.NonResourceURLs)) * len(r.Verbs)
}

// newAuthority reads the RBAC of a cluster. What cannot be read is reported.
func newAuthority(c *render.Cluster, out *check.Reporter) *authority {
	a := &authority{cluster: c, byKey: map[render.Key]*role{}}
	unreadable := func(o *render.Object, err error) {
		out.Unchecked(report.Unchecked{
			Subject: o.Key().String(), Location: o.Origin.Location, Clusters: []string{c.Name},
			Reason: fmt.Sprintf("it cannot be read: %v", err), Next: "correct the type of that field; gate schema reports it with its line",
		})
	}
	for _, o := range c.Objects {
		if !o.Is(rbacv1.GroupName, "Role", "ClusterRole") {
			continue
		}
		r := &role{key: a.key(o), object: o, labels: o.GetLabels()}
		var typed rbacv1.ClusterRole // a Role has the same fields, but one
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, &typed); err != nil {
			unreadable(o, err)
			continue
		}
		r.rules = typed.Rules
		if typed.AggregationRule != nil && r.key.Kind == "ClusterRole" {
			r.rules, r.selectors = nil, typed.AggregationRule.ClusterRoleSelectors
		}
		n := 0
		for i := range r.rules {
			n = min(n+pieces(&r.rules[i]), maxPieces+1)
		}
		if r.huge = n > maxPieces; r.huge {
			out.Unchecked(report.Unchecked{
				Subject: o.Key().String(), Location: o.Locate("rules"), Clusters: []string{c.Name},
				Reason: fmt.Sprintf("it has more than %d permissions, which are the most that are compared", maxPieces), Next: "split the role",
			})
		}
		if a.byKey[r.key] == nil { // two owners: gate render reports them
			a.byKey[r.key] = r
			a.roles = append(a.roles, r)
		}
	}
	for _, r := range builtin() {
		if a.byKey[r.key] == nil {
			a.byKey[r.key] = r
			a.roles = append(a.roles, r)
		}
	}
	slices.SortFunc(a.roles, func(x, y *role) int { return x.key.Compare(y.key) })
	a.aggregate(out)
	for _, o := range c.Objects {
		if !o.Is(rbacv1.GroupName, "RoleBinding", "ClusterRoleBinding") {
			continue
		}
		var typed rbacv1.RoleBinding // a ClusterRoleBinding has the same fields
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, &typed); err != nil {
			unreadable(o, err)
			continue
		}
		a.bind(o, &typed)
	}
	return a
}

// key is the key of an object in the namespace in which it ends up.
func (a *authority) key(o *render.Object) render.Key {
	k := o.Key()
	if k.Kind == "Role" || k.Kind == "RoleBinding" {
		k.Namespace = namespaceOf(a.cluster, o)
	} else {
		k.Namespace = ""
	}
	return k
}

// namespaceOf returns the namespace in which an object ends up.
func namespaceOf(c *render.Cluster, o *render.Object) string {
	if name := o.GetNamespace(); name != "" {
		return name
	}
	for _, r := range c.Releases {
		if o.Origin.HelmRelease != "" && r.Name() == o.Origin.HelmRelease && r.Spec != nil {
			return r.Spec.GetReleaseNamespace()
		}
	}
	return metav1.NamespaceDefault
}

// maxAggregated bounds how many roles of a cluster are aggregated: each of them is
// compared with all roles.
const maxAggregated = 200

// aggregate finds what aggregated roles take their rules from, through other
// aggregated ones too.
func (a *authority) aggregate(out *check.Reporter) {
	direct := map[*role][]*role{}
	n := 0
	for _, r := range a.roles {
		if r.selectors == nil || r.object == nil {
			continue
		}
		if n++; n > maxAggregated {
			r.huge = true
			out.Unchecked(report.Unchecked{
				Subject: r.key.String(), Location: r.object.Origin.Location, Clusters: []string{a.cluster.Name},
				Reason: fmt.Sprintf("it is aggregated, as are more than %d others, which are the most that are put together", maxAggregated),
			})
		}
	}
	for _, r := range a.roles {
		for i := range r.selectors {
			if r.huge {
				break
			}
			s, err := metav1.LabelSelectorAsSelector(&r.selectors[i])
			if err != nil {
				continue // the API server refuses it; gate schema says so
			}
			for _, p := range a.roles {
				if p != r && p.key.Kind == "ClusterRole" && s.Matches(labels.Set(p.labels)) {
					direct[r] = append(direct[r], p)
				}
			}
		}
	}
	for _, r := range a.roles {
		if r.selectors == nil {
			continue
		}
		seen := map[*role]bool{r: true}
		var visit func(*role)
		visit = func(x *role) {
			for _, p := range direct[x] {
				if !seen[p] {
					seen[p] = true
					r.parts = append(r.parts, p)
					p.joins = append(p.joins, r)
					visit(p)
				}
			}
		}
		visit(r)
		slices.SortFunc(r.parts, func(x, y *role) int { return x.key.Compare(y.key) })
	}
}

// bind takes what a binding grants.
func (a *authority) bind(o *render.Object, b *rbacv1.RoleBinding) {
	key := a.key(o)
	ref := render.Key{Group: rbacv1.GroupName, Kind: b.RoleRef.Kind, Name: b.RoleRef.Name}
	if ref.Kind == "Role" {
		ref.Namespace = key.Namespace
	}
	r := a.byKey[ref]
	for i, s := range b.Subjects {
		g := &grant{binding: o, at: i, ref: ref, role: r, subject: subject{s.Kind, "", s.Name}}
		if key.Kind == "RoleBinding" {
			g.namespace = key.Namespace
		}
		switch {
		case s.Kind == serviceAccount:
			g.subject.namespace = cmp.Or(s.Namespace, g.namespace)
		case s.Kind == user && strings.HasPrefix(s.Name, accountUser):
			if ns, name, ok := strings.Cut(strings.TrimPrefix(s.Name, accountUser), ":"); ok {
				g.subject = subject{serviceAccount, ns, name}
			}
		}
		a.grants = append(a.grants, g)
		if r != nil {
			r.granted = append(r.granted, g)
		}
	}
}

// sourced is a rule and the role in which it stands.
type sourced struct {
	role  *role
	index int
	rbacv1.PolicyRule
}

// effective returns the rules that a role comes to; nil and false when one of them is
// larger than what is compared.
func (r *role) effective() (rules []sourced, ok bool) {
	for _, from := range append([]*role{r}, r.parts...) {
		if from.huge {
			return nil, false
		}
		if from.selectors != nil {
			continue
		}
		for i, rule := range from.rules {
			rules = append(rules, sourced{from, i, rule})
		}
	}
	return rules, true
}

// plain returns rules without where they stand.
func plain(rules []sourced) []rbacv1.PolicyRule {
	out := make([]rbacv1.PolicyRule, len(rules))
	for i, r := range rules {
		out[i] = r.PolicyRule
	}
	return out
}

// holding is who holds the rules of a role.
type holding struct {
	everywhere []*grant // in the whole cluster
	somewhere  []*grant // in a namespace
}

// holders returns who holds the rules of a role: also through roles that it joins.
func (r *role) holders() holding {
	var h holding
	for _, x := range append([]*role{r}, r.joins...) {
		for _, g := range x.granted {
			if g.namespace == "" {
				h.everywhere = append(h.everywhere, g)
			} else {
				h.somewhere = append(h.somewhere, g)
			}
		}
	}
	return h
}

// String says who holds a role, and through what.
func (h holding) String() string {
	all := slices.Concat(h.everywhere, h.somewhere)
	if len(all) == 0 {
		return "nothing in the repository binds it, so that nobody has it yet"
	}
	const most = 3 // bindings, and subjects of each
	var parts []string
	bindings := 0
	for i := 0; i < len(all); bindings++ {
		g, n := all[i], 0
		var subjects []string
		for ; i+n < len(all) && all[i+n].binding == g.binding; n++ {
			subjects = append(subjects, all[i+n].subject.String())
		}
		if i += n; bindings < most {
			parts = append(parts, fmt.Sprintf("%s %s, through %s", words(subjects, most), g.where(), g.binding.Key()))
		}
	}
	if n := bindings - most; n > 0 {
		parts = append(parts, fmt.Sprintf("and through %d more", n))
	}
	return "held by " + strings.Join(parts, "; ")
}

// where says where a grant holds.
func (g *grant) where() string {
	if g.namespace == "" {
		return "in the whole cluster"
	}
	return "in namespace " + g.namespace
}

// words joins names for a sentence: the first ones, and how many more there are.
func words(names []string, most int) string {
	if n := len(names) - most; n > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), n)
	}
	if n := len(names); n > 1 {
		return strings.Join(names[:n-1], ", ") + " and " + names[n-1]
	}
	return strings.Join(names, "")
}
