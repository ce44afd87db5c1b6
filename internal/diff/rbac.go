package diff

import (
	"fmt"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/component-helpers/auth/rbac/validation"

	"lumacore.dev/lumacore/internal/render"
)

const rbacGroup = "rbac.authorization.k8s.io"

// mostRules bounds the rules of one role that are compared: the comparison takes each
// with each.
const mostRules = 1000

// rulesOf returns the rules of a Role or ClusterRole; nil if it is none, or cannot
// be read.
func rulesOf(o *render.Object) []rbacv1.PolicyRule {
	if o == nil || !o.Is(rbacGroup, "Role", "ClusterRole") {
		return nil
	}
	var role rbacv1.ClusterRole
	if runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, &role) != nil {
		return nil
	}
	return role.Rules[:min(len(role.Rules), mostRules)]
}

// rbacGrowth says what a role allows more than before, and who gets a role.
func rbacGrowth(_ *marker, p *pair) (out []string) {
	if p.new == nil {
		return nil
	}
	if ok, more := validation.Covers(rulesOf(p.old), rulesOf(p.new)); !ok {
		what := "it allows more than before: "
		if p.old == nil {
			what = "the role is new and allows: "
		}
		return []string{what + rules(compact(more)) + aggregated(p.new)}
	}
	if b, ok := binding(p.new); ok {
		var had []rbacv1.Subject
		if p.old != nil {
			old, _ := binding(p.old)
			if old.RoleRef == b.RoleRef {
				had = old.Subjects
			}
		}
		for _, s := range b.Subjects {
			if !slices.Contains(had, s) {
				out = append(out, fmt.Sprintf("%s gets %s %s%s", subject(s), b.RoleRef.Kind, b.RoleRef.Name, where(p.new)))
			}
		}
	}
	return out
}

// rbacAdmin finds new wildcards and what is given to cluster-admin and its like.
func rbacAdmin(m *marker, p *pair) (out []string) {
	if p.new == nil {
		return nil
	}
	all := []rbacv1.PolicyRule{{Verbs: []string{"*"}, APIGroups: []string{"*"}, Resources: []string{"*"}}}
	covers := func(owner []rbacv1.PolicyRule) bool {
		ok, _ := validation.Covers(owner, all)
		return ok
	}
	if covers(rulesOf(p.new)) && !covers(rulesOf(p.old)) {
		out = append(out, "the role allows everything")
	}
	b, ok := binding(p.new)
	if !ok || len(rbacGrowth(m, p)) == 0 {
		return out
	}
	ns := p.new.GetNamespace()
	if b.RoleRef.Kind == "ClusterRole" {
		ns = ""
	}
	if b.RoleRef.Kind == "ClusterRole" && b.RoleRef.Name == "cluster-admin" || covers(rulesOf(m.head.Get(render.Key{Group: rbacGroup, Kind: b.RoleRef.Kind, Namespace: ns, Name: b.RoleRef.Name}))) {
		out = append(out, fmt.Sprintf("%s %s allows everything%s", b.RoleRef.Kind, b.RoleRef.Name, where(p.new)))
	}
	return out
}

// binding reads a RoleBinding or ClusterRoleBinding.
func binding(o *render.Object) (b rbacv1.ClusterRoleBinding, ok bool) {
	if !o.Is(rbacGroup, "RoleBinding", "ClusterRoleBinding") {
		return b, false
	}
	return b, runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, &b) == nil
}

func subject(s rbacv1.Subject) string {
	if s.Namespace != "" {
		return s.Kind + " " + s.Namespace + "/" + s.Name
	}
	return s.Kind + " " + s.Name
}

// where says how far a binding reaches.
func where(o *render.Object) string {
	if ns := o.GetNamespace(); ns != "" {
		return " in namespace " + ns
	}
	return " in the whole cluster"
}

// aggregated names the roles that a ClusterRole becomes a part of
// (https://kubernetes.io/docs/reference/access-authn-authz/rbac/#aggregated-clusterroles).
func aggregated(o *render.Object) string {
	var into []string
	for k, v := range o.GetLabels() {
		if role, ok := strings.CutPrefix(k, rbacGroup+"/aggregate-to-"); ok && v == "true" {
			into = append(into, role)
		}
	}
	if len(into) == 0 {
		return ""
	}
	slices.Sort(into)
	return "; it is part of ClusterRole " + strings.Join(into, ", ")
}

// compact puts rules together that differ in their verbs alone: Covers takes them
// apart.
func compact(list []rbacv1.PolicyRule) (out []rbacv1.PolicyRule) {
	at := map[string]int{}
	for _, r := range list {
		key := fmt.Sprintf("%q %q %q %q", r.APIGroups, r.Resources, r.ResourceNames, r.NonResourceURLs)
		if i, ok := at[key]; ok {
			out[i].Verbs = append(slices.Clone(out[i].Verbs), r.Verbs...)
			continue
		}
		at[key] = len(out)
		out = append(out, r)
	}
	return out
}

// mostShown bounds the rules that a message names.
const mostShown = 10

func rules(list []rbacv1.PolicyRule) string {
	var parts []string
	for i, r := range list {
		if i == mostShown {
			parts = append(parts, fmt.Sprintf("and %d more", len(list)-i))
			break
		}
		var on []string
		for _, res := range r.Resources {
			for _, g := range r.APIGroups {
				if g != "" {
					res += "." + g
				}
			}
			on = append(on, res)
		}
		on = append(on, r.NonResourceURLs...)
		s := strings.Join(r.Verbs, ", ") + " on " + strings.Join(on, ", ")
		if len(r.ResourceNames) > 0 {
			s += " " + strings.Join(r.ResourceNames, ", ")
		}
		parts = append(parts, s)
	}
	return strings.Join(parts, "; ")
}
