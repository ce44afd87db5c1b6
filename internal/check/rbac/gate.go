// Package rbac is the gate over who may do what in the cluster: the Roles,
// ClusterRoles and bindings of Kustomizations and charts, aggregated ClusterRoles put
// together, and the ClusterRoles of Kubernetes itself that repositories bind.
//
// It reports rights that lead to more than they say, as Kubernetes documents them
// (https://kubernetes.io/docs/concepts/security/rbac-good-practices/), one finding
// for each role and kind of right, with who holds it through which binding. Operators
// need such rights, so these are warnings, and less where nobody holds the role, or
// only in a namespace, or where a chart brings it. Errors are what is given to
// everybody, and what is more than check.rbac.limits of lumacore.yaml allows.
//
// Not looked at, as they are in no repository: the other authorizers of the API
// server, and who is in which group, except that every service account is in those of
// Kubernetes.
package rbac

import (
	"context"
	"fmt"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"

	"lumacore.dev/lumacore/internal/check"
	"lumacore.dev/lumacore/internal/report"
)

// Gate reports roles and bindings that give more than they seem to, or than they may.
var Gate = &check.Gate{
	Name:  "rbac",
	Title: "roles that lead to more power than they show, and rights beyond what lumacore.yaml allows",
	Rules: rules,
	Check: run,
}

func run(ctx context.Context, in *check.Input, out *check.Reporter) error {
	l := newLimits(in)
	var all []*authority
	for _, c := range in.Render.Clusters {
		if err := ctx.Err(); err != nil {
			return err
		}
		a := newAuthority(c, out)
		all = append(all, a)
		for _, r := range a.roles {
			if r.object != nil {
				a.look(r, l, out)
			}
		}
		for _, g := range a.grants {
			a.admin(g, l, out)
			a.everybody(g, out)
		}
	}
	return l.check(ctx, all, out)
}

// look reports what a role of the repository leads to: each kind once, at the rule
// that goes furthest.
func (a *authority) look(r *role, l *limits, out *check.Reporter) {
	h := r.holders()
	widest, at, text := narrow, -1, ""
	for i := range r.rules {
		if w, t := widthOf(&r.rules[i]); w > widest {
			widest, at, text = w, i, t
		}
	}
	if at >= 0 {
		s := report.Info
		switch {
		case widest == everything && len(h.everywhere) > 0:
			s = report.Warning
		case widest == wideKinds:
			s = severity(r, h, report.Warning)
		}
		f := check.Finding("rbac/wildcard", a.cluster, r.object, []any{"rules", at}, "%s lets its holders %s; %s", r.key, text, h)
		f.Severity, f.Suppressed = s, l.acknowledges(a, r, h, at)
		out.Add(f)
	}
	for i := range powers {
		p := &powers[i]
		if !p.namespaced && (r.key.Kind == "Role" || len(h.everywhere) == 0 && len(h.somewhere) > 0) {
			continue // it holds in a namespace, where this is nothing unusual
		}
		var reach []string
		at, named := -1, false
		for i := range r.rules {
			rule := &r.rules[i]
			limited := p.limited(rule)
			if limited && !p.namespaced {
				continue
			}
			found := p.reach(rule)
			if len(found) == 0 {
				continue
			}
			if at < 0 || named && !limited {
				at, named = i, limited
			}
			for _, f := range found {
				if len(rule.ResourceNames) > 0 {
					f += " named " + words(rule.ResourceNames, 3)
				}
				reach = append(reach, f)
			}
		}
		if at < 0 {
			continue
		}
		f := check.Finding(p.rule, a.cluster, r.object, []any{"rules", at},
			"%s lets its holders %s (%s); %s", r.key, p.what, words(reach, 4), h)
		most := report.Warning
		if named {
			most = report.Info
		}
		f.Severity, f.Suppressed = severity(r, h, most), l.acknowledges(a, r, h, at)
		out.Add(f)
	}
}

// admin reports bindings to the ClusterRoles of Kubernetes that give most.
func (a *authority) admin(g *grant, l *limits, out *check.Reporter) {
	if g.role == nil || g.role.object != nil || everybody[g.subject] != "" {
		return
	}
	at := []any{"subjects", g.at}
	switch {
	case g.ref.Name == "cluster-admin":
		f := check.Finding("rbac/cluster-admin", a.cluster, g.binding, at, "%s may do everything in the whole cluster: %s binds it to cluster-admin", g.subject, g.binding.Key())
		if g.namespace != "" {
			f = check.Finding("rbac/cluster-admin", a.cluster, g.binding, at, "%s may do everything in namespace %s: %s binds it to cluster-admin", g.subject, g.namespace, g.binding.Key())
			f.Severity = report.Info
		} else if g.subject.kind == serviceAccount && (g.subject.name == "kustomize-controller" || g.subject.name == "helm-controller") {
			f.Message += "; flux bootstrap does so, and whoever can write to the repository can do everything too"
			f.Fix = "If others than you write to the repository, let each Kustomization and HelmRelease act as a service account of its own (spec.serviceAccountName) and start Flux's controllers with --default-service-account, so that those without one may do nothing."
		}
		f.Suppressed = l.acknowledgesGrant(a, g)
		out.Add(f)
	case (g.ref.Name == "admin" || g.ref.Name == "edit") && g.namespace == "":
		f := check.Finding("rbac/secrets-cluster-wide", a.cluster, g.binding, at,
			"%s may read the Secrets of all namespaces and run commands in their pods: %s binds it to ClusterRole %s in the whole cluster", g.subject, g.binding.Key(), g.ref.Name)
		f.Fix = "Bind it with a RoleBinding in each namespace that it is for, or write a role with what it needs."
		f.Suppressed = l.acknowledgesGrant(a, g)
		out.Add(f)
	}
}

// everybody are the subjects that are not somebody, and who they are.
var everybody = map[subject]string{
	{group, "", "system:authenticated"}:   "everybody with an account, service accounts of all namespaces included",
	{group, "", "system:unauthenticated"}: "everybody who reaches the API server, without an account",
	{user, "", "system:anonymous"}:        "everybody who reaches the API server, without an account",
	{group, "", "system:serviceaccounts"}: "every pod with a service account, in all namespaces",
}

// everybody reports what a binding gives to everybody.
func (a *authority) everybody(g *grant, out *check.Reporter) {
	who := everybody[g.subject]
	if who == "" || g.ref.Kind == "ClusterRole" && forEverybody[g.ref.Name] {
		return
	}
	at := []any{"subjects", g.at}
	if g.role == nil {
		out.Unchecked(report.Unchecked{
			Subject: g.binding.Key().String(), Location: g.binding.Locate(at...), Clusters: []string{a.cluster.Name},
			Reason: fmt.Sprintf("it binds %s to %s, which nothing in the repository makes, so that what everybody may do is not known", g.subject, g.ref),
			Next:   "put the role into the repository, or bind it to those who need it",
		})
		return
	}
	rules, ok := g.role.effective()
	if ok && len(rules) == 0 {
		return
	}
	harmful := -1
	for i := range rules {
		if !harmless(&rules[i].PolicyRule) {
			harmful = i
			break
		}
	}
	what, s := "all that it allows", report.Error
	switch {
	case harmful >= 0:
		what = allows([]rbacv1.PolicyRule{rules[harmful].PolicyRule})
	case ok:
		what, s = allows(plain(rules)), report.Warning
	}
	f := check.Finding("rbac/everybody", a.cluster, g.binding, at, "%s (%s) gets %s %s: %s", who, g.subject, g.ref, g.where(), what)
	f.Severity = s
	out.Add(f)
}

// harmless tells whether a rule only reads, and nothing that is secret.
func harmless(r *rbacv1.PolicyRule) bool {
	for _, v := range r.Verbs {
		if v != "get" && v != "list" && v != "watch" && v != "head" {
			return false
		}
	}
	for _, res := range r.Resources {
		_, sub, _ := strings.Cut(res, "/")
		if strings.Contains(res, "*") || res == "secrets" || sub != "" && sub != "status" && sub != "scale" {
			return false
		}
	}
	return !slices.ContainsFunc(r.NonResourceURLs, func(u string) bool { return u == "*" || u == "/*" || strings.HasPrefix(u, "/debug") })
}

// allows says what rules allow: "create, delete deployments.apps; get secrets named a".
func allows(rules []rbacv1.PolicyRule) string {
	const most = 4
	type on struct{ what, named string }
	var order []on
	verbs := map[on][]string{}
	add := func(k on, v []string) {
		if verbs[k] == nil {
			order = append(order, k)
		}
		for _, v := range v {
			if v == "*" {
				v = "do anything with"
			}
			if !slices.Contains(verbs[k], v) {
				verbs[k] = append(verbs[k], v)
			}
		}
	}
	for _, r := range rules {
		for _, g := range r.APIGroups {
			for _, res := range r.Resources {
				what := res
				switch {
				case res == "*" && g == "*":
					what = "every resource"
				case res == "*":
					what = "every resource of API group " + groupName(g)
				case g == "*":
					what += " of every API group"
				case g != "":
					what += "." + g
				}
				add(on{what, strings.Join(r.ResourceNames, ", ")}, r.Verbs)
			}
		}
		for _, u := range r.NonResourceURLs {
			add(on{u, ""}, r.Verbs)
		}
		if len(order) > 1000 {
			break
		}
	}
	var parts []string
	for _, k := range order {
		v := verbs[k]
		text := strings.Join(v[:min(len(v), 10)], ", ") + " " + k.what
		if k.named != "" {
			text += " named " + k.named
		}
		if len(text) > 300 {
			text = strings.ToValidUTF8(text[:300], "") + "…"
		}
		parts = append(parts, text)
	}
	if n := len(parts) - most; n > 0 {
		parts = append(parts[:most], fmt.Sprintf("and %d more", n))
	}
	return strings.Join(parts, "; ")
}
