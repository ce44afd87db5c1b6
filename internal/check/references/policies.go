package references

import (
	"slices"
	"strconv"

	"lumacore.dev/lumacore/internal/render"
	"lumacore.dev/lumacore/internal/report"
)

// spaceLabel is the label with the name of a namespace that the API server gives
// to each.
const spaceLabel = "kubernetes.io/metadata.name"

// policyRules looks at what the rules of a NetworkPolicy name: namespaces, and
// ports of the pods that it is for
// (https://kubernetes.io/docs/concepts/services-networking/network-policies/).
func (x *checker) policyRules(o *render.Object) {
	if o.Origin.HelmRelease != "" {
		return // charts allow for namespaces that only some clusters have
	}
	for _, way := range []struct{ rules, peers string }{{"ingress", "from"}, {"egress", "to"}} {
		for i, rule := range mappingsAt(at(o.Object, "spec", way.rules)) {
			for j, peer := range mappingsAt(rule[way.peers]) {
				x.policyPeer(o, peer["namespaceSelector"], []any{"spec", way.rules, i, way.peers, j, "namespaceSelector"})
			}
			if way.rules == "ingress" {
				x.policyPorts(o, rule, []any{"spec", way.rules, i, "ports"})
			}
		}
	}
}

// policyPeer looks for the namespaces that the selector of a peer names.
func (x *checker) policyPeer(o *render.Object, selector any, path []any) {
	if name := text(selector, "matchLabels", spaceLabel); name != "" {
		x.policySpaces(o, []string{name}, join(path, "matchLabels", spaceLabel), dotted(path))
	}
	for i, e := range mappingsAt(at(selector, "matchExpressions")) {
		if text(e, "key") != spaceLabel || text(e, "operator") != "In" {
			continue
		}
		var names []string
		values, _ := e["values"].([]any)
		for _, v := range values {
			if s, ok := v.(string); ok {
				names = append(names, s)
			}
		}
		x.policySpaces(o, names, join(path, "matchExpressions", i), dotted(path))
	}
}

// policySpaces reports when none of the namespaces exists.
func (x *checker) policySpaces(o *render.Object, names []string, path []any, what string) {
	for _, name := range names {
		t := target{namespace, "", name}
		r := reference{from: o, at: path, what: what, to: t}
		if name == "" || len(x.get(t)) > 0 || x.exists(t) || x.makers.spaces[name] || x.unresolved(r) {
			return
		}
		if m, ok := x.maker(r); ok {
			x.gapOf(m, t.String())
			return
		}
		if x.aside(r) {
			return
		}
	}
	if len(names) == 0 {
		return
	}
	r := reference{from: o, at: path, to: target{namespace, "", names[0]}}
	x.report("references/selector-matches-nothing", r, "%s: %s names namespace %s, which nothing in the repository makes, so it allows nothing%s",
		o.Key(), what, list(names, 3), x.instead(r.to, false))
}

// policyPorts looks for the ports that a rule names among those of the pods that
// the policy is for.
func (x *checker) policyPorts(o *render.Object, rule map[string]any, path []any) {
	m, _ := at(o.Object, "spec", "podSelector").(map[string]any)
	reqs, ok := requirements(m)
	if !ok || x.open(o, stringMap(m, "matchLabels")) {
		return
	}
	ns := x.space(o.GroupKind(), o.GetNamespace())
	for i, p := range mappingsAt(rule["ports"]) {
		name := text(p, "port")
		if _, err := strconv.Atoi(name); err == nil || name == "" {
			continue
		}
		pods := x.podsOf(ns, reqs)
		if len(pods) == 0 || slices.ContainsFunc(pods, func(i *item) bool {
			return slices.ContainsFunc(i.ports, func(have port) bool { return have.name == name && have.protocol == protocol(p) })
		}) {
			continue
		}
		r := reference{from: o, at: join(path, i, "port"), what: dotted(path) + ".port", severity: report.Warning, to: target{kind("", "Pod"), ns, name}}
		if x.unresolved(r) {
			continue
		}
		if m, ok := x.podMaker(ns, reqs, false); ok {
			x.gapOf(m, "pods of "+o.Key().String())
			continue
		}
		x.report("references/port-missing", r, "%s: %s names %s port %s of its pods, but %s has %s", o.Key(), r.what, protocol(p), name, pods[0].object.Key(), ports(pods[0].ports))
	}
}
