package rbac

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/bmatcuk/doublestar/v4"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/component-helpers/auth/rbac/validation"

	"lumacore.dev/lumacore/internal/check"
	"lumacore.dev/lumacore/internal/config"
	"lumacore.dev/lumacore/internal/render"
	"lumacore.dev/lumacore/internal/report"
)

// limits are the entries of check.rbac.limits.
type limits struct {
	now     time.Time
	entries []config.Limit
	of      map[string][]*config.Limit // by subject or role
	known   map[string]bool            // subjects and roles with an entry that some cluster has
	roles   map[*config.Limit][]bool   // of each of its roles, whether some cluster has it
}

func newLimits(in *check.Input) *limits {
	l := &limits{
		now: in.Now, entries: in.Config.Check.RBAC.Limits, of: map[string][]*config.Limit{},
		known: map[string]bool{}, roles: map[*config.Limit][]bool{},
	}
	for i := range l.entries {
		e := &l.entries[i]
		l.of[e.Of()] = append(l.of[e.Of()], e)
	}
	return l
}

func (l *limits) expired(e *config.Limit) bool {
	return !e.Review.IsZero() && !l.now.Before(e.Review.AddDate(0, 0, 1)) // the day itself is the last one
}

// applies tells whether an entry is about rights in a namespace; "" is the whole
// cluster.
func (a *authority) applies(e *config.Limit, namespace string) bool {
	if len(e.Namespaces) == 0 && e.Environment == "" {
		return true
	}
	if namespace == "" {
		return false
	}
	if e.Environment != "" && a.environment(namespace) != e.Environment {
		return false
	}
	return len(e.Namespaces) == 0 || slices.ContainsFunc(e.Namespaces, func(glob string) bool { return doublestar.MatchUnvalidated(glob, namespace) })
}

func (a *authority) environment(namespace string) string {
	if o := a.cluster.Get(render.Key{Kind: "Namespace", Name: namespace}); o != nil {
		return o.Origin.Environment
	}
	return a.cluster.Environment
}

// role returns the role that lumacore.yaml names: "ClusterRole edit".
func (a *authority) role(name string) *role {
	kind, name, _ := strings.Cut(name, " ")
	if kind == "ClusterRole" {
		return a.byKey[clusterRole(name)]
	}
	namespace, name, _ := strings.Cut(name, "/")
	return a.byKey[render.Key{Group: rbacv1.GroupName, Kind: kind, Namespace: namespace, Name: name}]
}

// allowed returns what entries of a subject or role allow in a namespace, and which
// of them say so.
func (l *limits) allowed(a *authority, of, namespace string) (rules []rbacv1.PolicyRule, by []*config.Limit) {
	for _, e := range l.of[of] {
		if e.Role == "" && !a.applies(e, namespace) {
			continue
		}
		by = append(by, e)
		for _, r := range e.Rules {
			rules = append(rules, r.PolicyRule)
		}
		for _, name := range e.Roles {
			if r := a.role(name); r != nil {
				if held, ok := r.effective(); ok {
					rules = append(rules, plain(held)...)
				}
			}
		}
	}
	return rules, by
}

// acknowledges tells that what a role's rule gives is written down with a reason:
// for the role, or for all who hold it.
func (l *limits) acknowledges(a *authority, r *role, h holding, rule int) *report.Suppression {
	if r.huge {
		return nil
	}
	want := r.rules[rule : rule+1]
	if s := l.covered(a, r.key.String(), "", want); s != nil {
		return s
	}
	var first *report.Suppression
	for _, g := range slices.Concat(h.everywhere, h.somewhere) {
		s := l.covered(a, g.subject.String(), g.namespace, want)
		if s == nil {
			return nil
		}
		if first == nil {
			first = s
		}
	}
	return first
}

// acknowledgesGrant is the same for what a binding gives to one subject.
func (l *limits) acknowledgesGrant(a *authority, g *grant) *report.Suppression {
	rules, ok := g.role.effective()
	if !ok {
		return nil
	}
	return l.covered(a, g.subject.String(), g.namespace, plain(rules))
}

func (l *limits) covered(a *authority, of, namespace string, want []rbacv1.PolicyRule) *report.Suppression {
	rules, by := l.allowed(a, of, namespace)
	if len(by) == 0 || slices.ContainsFunc(by, l.expired) {
		return nil
	}
	if ok, _ := validation.Covers(rules, want); !ok {
		return nil
	}
	return &report.Suppression{By: by[0].Location.String(), Reason: by[0].Reason, Expires: by[0].Review.Format(time.DateOnly)}
}

// reaches tells whether a subject has what a grant gives: its own, or that of the group
// of all service accounts of its namespace. What everybody has is rule everybody's
// business.
func reaches(s, of subject) bool {
	return s == of || s.kind == serviceAccount && of == subject{group, "", "system:serviceaccounts:" + s.namespace}
}

// parse is the subject that lumacore.yaml names.
func parse(text string) subject {
	kind, name, _ := strings.Cut(text, " ")
	if kind != serviceAccount {
		return subject{kind, "", name}
	}
	namespace, name, _ := strings.Cut(name, "/")
	return subject{kind, namespace, name}
}

// check holds the roles and subjects of all clusters against the entries, and the
// entries against them.
func (l *limits) check(ctx context.Context, all []*authority, out *check.Reporter) error {
	held := map[*config.Limit][]*role{} // what those that an entry is about have, where it applies
	done := map[string]bool{}
	for i := range l.entries {
		e := &l.entries[i]
		l.roles[e] = make([]bool, len(e.Roles))
		for _, a := range all {
			for i, name := range e.Roles {
				l.roles[e][i] = l.roles[e][i] || a.role(name) != nil
			}
		}
		if done[e.Of()] {
			continue
		}
		done[e.Of()] = true
		for _, a := range all {
			if err := ctx.Err(); err != nil {
				return err
			}
			if e.Role != "" {
				l.checkRole(a, e.Role, held, out)
			} else {
				l.checkSubject(a, parse(e.Subject), e.Subject, held, out)
			}
		}
	}
	for i := range l.entries {
		var have []rbacv1.PolicyRule
		for _, r := range held[&l.entries[i]] {
			rules, _ := r.effective()
			have = append(have, plain(rules)...)
		}
		l.entry(&l.entries[i], all, have, out)
	}
	return nil
}

func hold(held map[*config.Limit][]*role, e *config.Limit, r *role) {
	if !slices.Contains(held[e], r) {
		held[e] = append(held[e], r)
	}
}

func (l *limits) places(by []*config.Limit) string {
	var at []string
	for _, e := range by {
		at = append(at, e.Location.String())
	}
	return words(at, len(at))
}

// checkRole holds a role against what is said of it.
func (l *limits) checkRole(a *authority, name string, held map[*config.Limit][]*role, out *check.Reporter) {
	r := a.role(name)
	if r == nil {
		return
	}
	l.known[name] = true
	rules, ok := r.effective()
	if !ok {
		return // said already
	}
	may, by := l.allowed(a, name, "")
	for _, e := range by {
		hold(held, e, r)
	}
	at, over := excess(may, rules)
	if len(over) == 0 {
		return
	}
	from := at.role
	if from.object == nil {
		out.Add(report.Finding{
			Rule: "rbac/limit-exceeded", Location: by[0].Location, Clusters: []string{a.cluster.Name},
			Message: fmt.Sprintf("%s of Kubernetes itself holds more than its limit allows: %s", name, allows(over)),
		})
		return
	}
	through := ""
	if from != r {
		through = fmt.Sprintf(" (taken from %s)", from.key)
	}
	out.Add(check.Finding("rbac/limit-exceeded", a.cluster, from.object, []any{"rules", at.index},
		"%s holds more than its limit (%s) allows: %s%s", name, l.places(by), allows(over), through))
}

// excess returns what of rules is not allowed, and the first rule that is not.
func excess(may []rbacv1.PolicyRule, rules []sourced) (first sourced, over []rbacv1.PolicyRule) {
	for _, rule := range rules {
		if ok, more := validation.Covers(may, []rbacv1.PolicyRule{rule.PolicyRule}); !ok {
			if len(over) == 0 {
				first = rule
			}
			over = append(over, more...)
		}
	}
	return first, over
}

// checkSubject holds what a subject gets against what is said of it.
func (l *limits) checkSubject(a *authority, s subject, name string, held map[*config.Limit][]*role, out *check.Reporter) {
	type found struct {
		grant  *grant // the first of them
		at     sourced
		by     []*config.Limit
		over   []rbacv1.PolicyRule
		places []string
	}
	var order []string
	findings := map[string]*found{}
	type compared struct {
		role *role
		by   string // the entries that apply
	}
	type outcome struct {
		at   sourced
		over []rbacv1.PolicyRule
	}
	known := map[compared]outcome{} // a subject has the same role in many namespaces
	for _, g := range a.grants {
		if !reaches(s, g.subject) {
			continue
		}
		l.known[name] = l.known[name] || g.subject == s
		if g.role == nil {
			out.Unchecked(report.Unchecked{
				Subject: name, Location: g.binding.Locate("roleRef"), Clusters: []string{a.cluster.Name},
				Reason: fmt.Sprintf("whether it keeps to its limit (%s): %s binds it to %s, which nothing in the repository makes", l.places(l.of[name]), g.binding.Key(), g.ref),
				Next:   "put the role into the repository",
			})
			continue
		}
		rules, ok := g.role.effective()
		if !ok {
			continue
		}
		may, by := l.allowed(a, name, g.namespace)
		for _, e := range by {
			hold(held, e, g.role)
		}
		of := compared{g.role, l.places(by)}
		if _, ok := known[of]; !ok {
			at, over := excess(may, rules)
			known[of] = outcome{at, over}
		}
		at, over := known[of].at, known[of].over
		if len(over) == 0 {
			continue
		}
		id := g.ref.String() + "\x00" + allows(over)
		if findings[id] == nil {
			order = append(order, id)
			findings[id] = &found{grant: g, at: at, by: by, over: over}
		}
		findings[id].places = append(findings[id].places, fmt.Sprintf("%s, through %s", g.where(), g.binding.Key()))
	}
	for _, id := range order {
		f := findings[id]
		limit := "its limit (" + l.places(f.by) + ")"
		if len(f.by) == 0 {
			limit = "its limit (" + l.places(l.of[name]) + "), which is about elsewhere,"
		}
		o, at := f.grant.binding, []any{"roleRef"}
		if from := f.at.role; from.object != nil {
			o, at = from.object, []any{"rules", f.at.index}
		}
		out.Add(check.Finding("rbac/limit-exceeded", a.cluster, o, at, "%s may do more than %s allows: %s; it has this from %s %s",
			name, limit, allows(f.over), f.grant.ref, words(f.places, 2)))
	}
}

// unrendered names a HelmRelease that may make roles and bindings that nobody has
// seen; "" if there is none.
func unrendered(all []*authority) string {
	for _, a := range all {
		for _, r := range a.cluster.Releases {
			if !r.Rendered {
				return r.Name()
			}
		}
	}
	return ""
}

// entry reports an entry that has expired, or that allows what nobody has.
func (l *limits) entry(e *config.Limit, all []*authority, held []rbacv1.PolicyRule, out *check.Reporter) {
	if l.expired(e) {
		out.File("rbac/limit-expired", e.Location, "the limit of %s was to be reviewed by %s", e.Of(), e.Review.Format(time.DateOnly))
	}
	if release := unrendered(all); !l.known[e.Of()] && release != "" {
		out.Unchecked(report.Unchecked{
			Subject: "the limit of " + e.Of(), Location: e.Location,
			Reason: "nothing that was rendered has it, and HelmRelease " + release + " was not", Next: "make its chart available, see what gate render says of it",
		})
		return
	}
	switch {
	case !l.known[e.Of()] && e.Role != "":
		out.File("rbac/limit-unused", e.Location, "no cluster has %s", e.Role)
		return
	case !l.known[e.Of()]:
		out.File("rbac/limit-unused", e.Location, "no binding of any cluster gives %s anything", e.Subject)
		return
	case len(held) == 0 && len(e.Rules)+len(e.Roles) > 0:
		out.File("rbac/limit-unused", e.Location, "%s has nothing where this entry is about", e.Of())
		return
	}
	for _, r := range e.Rules {
		if pieces(&r.PolicyRule) > maxPieces {
			out.Unchecked(report.Unchecked{
				Subject: "the limit of " + e.Of(), Location: r.Location,
				Reason: fmt.Sprintf("the rule allows more than %d things, which are the most that are compared with what is held", maxPieces), Next: "write what is meant with *",
			})
			continue
		}
		if ok, more := validation.Covers(held, []rbacv1.PolicyRule{r.PolicyRule}); !ok {
			out.File("rbac/limit-too-broad", r.Location, "the limit of %s allows what it does not have: %s", e.Of(), allows(more))
		}
	}
	for i, name := range e.Roles {
		if !l.roles[e][i] {
			out.File("rbac/limit-unused", e.Location, "no cluster has %s, which the limit of %s names", name, e.Of())
			continue
		}
		for _, a := range all {
			r := a.role(name)
			if r == nil {
				continue
			}
			rules, ok := r.effective()
			if !ok {
				break
			}
			if ok, more := validation.Covers(held, plain(rules)); !ok {
				out.File("rbac/limit-too-broad", e.Location, "the limit of %s names %s, which allows what it does not have: %s", e.Of(), name, allows(more))
			}
			break
		}
	}
}
