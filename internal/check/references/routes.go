package references

import (
	"cmp"
	"net/url"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"lumacore.dev/lumacore/internal/render"
	"lumacore.dev/lumacore/internal/report"
)

// provider resolves a name as Traefik does: "auth@file" and "api@internal" come
// from elsewhere, "app-auth@kubernetescrd" is auth of namespace app
// (https://doc.traefik.io/traefik/reference/install-configuration/providers/overview/#provider-namespace).
// It returns no name for what is not in Kubernetes.
func (x *checker) provider(t target, ns string) (space, name string) {
	before, at, ok := strings.Cut(t.name, "@")
	if !ok {
		return ns, t.name
	}
	if at != "kubernetescrd" {
		return ns, ""
	}
	for _, space := range sortedKeys(x.spacesOf(t.GroupKind)) {
		if rest, ok := strings.CutPrefix(before, space+"-"); ok && len(x.objects[t.GroupKind][space][rest]) > 0 {
			return space, rest
		}
	}
	for _, space := range sortedKeys(x.spacesOf(namespace)) { // for the message
		if rest, ok := strings.CutPrefix(before, space+"-"); ok {
			return space, rest
		}
	}
	if rest, ok := strings.CutPrefix(before, ns+"-"); ok {
		return ns, rest
	}
	return ns, before
}

// spacesOf returns the namespaces that have objects of a kind; of Namespaces, the
// namespaces themselves.
func (x *checker) spacesOf(gk schema.GroupKind) map[string]bool {
	out := map[string]bool{}
	if gk == namespace {
		for name := range x.objects[namespace][""] {
			out[name] = true
		}
		return out
	}
	for ns := range x.objects[gk] {
		out[ns] = true
	}
	return out
}

// ingress looks at the annotations of an Ingress with which it names objects of
// Traefik
// (https://doc.traefik.io/traefik/reference/routing-configuration/kubernetes/ingress/#annotations).
func (x *checker) ingress(o *render.Object) {
	annotations, _ := at(o.Object, "metadata", "annotations").(map[string]any)
	ns := x.space(o.GroupKind(), o.GetNamespace())
	for _, a := range []struct {
		name string
		to   schema.GroupKind
	}{
		{"traefik.ingress.kubernetes.io/router.middlewares", middleware},
		{"traefik.ingress.kubernetes.io/router.tls.options", kind("traefik.io", "TLSOption")},
	} {
		value, _ := annotations[a.name].(string)
		for name := range strings.SplitSeq(value, ",") {
			if name = strings.TrimSpace(name); !strings.HasSuffix(name, "@kubernetescrd") {
				continue
			}
			r := reference{from: o, at: []any{"metadata", "annotations", a.name}, what: a.name, to: target{GroupKind: a.to, name: name}, placed: true}
			if r.to.namespace, r.to.name = x.provider(r.to, ns); r.to.name != "" {
				x.need(r)
			}
		}
	}
}

// forwardAuth looks for the Service in the address that requests are asked for at.
func (x *checker) forwardAuth(o *render.Object) {
	u, err := url.Parse(text(o.Object, "spec", "forwardAuth", "address"))
	if err != nil {
		return
	}
	parts := strings.Split(u.Hostname(), ".")
	if len(parts) < 3 || parts[2] != "svc" {
		return
	}
	r := reference{
		from: o, at: []any{"spec", "forwardAuth", "address"}, what: "spec.forwardAuth.address",
		to: target{service, parts[1], parts[0]}, placed: true,
	}
	services, known := x.need(r)
	if !known {
		return
	}
	p := int64(80)
	if u.Scheme == "https" {
		p = 443
	}
	if n, err := strconv.ParseInt(u.Port(), 10, 32); err == nil {
		p = n
	}
	if headless(services) { // its name leads to the pods, whatever the ports of the Service
		return
	}
	x.servicePort(r, []any{"spec", "forwardAuth", "address"}, services, p)
}

func headless(services []*render.Object) bool {
	for _, s := range services {
		if text(s.Object, "spec", "clusterIP") == "None" {
			return true
		}
	}
	return false
}

// apart tells whether a reference may lead to another namespace, and reports it if
// not.
func (x *checker) apart(o *render.Object, f field, r reference, own, other string) bool {
	r.to.namespace = other
	switch f.apart {
	case byTraefik:
		if x.traefik == nil || *x.traefik || strings.Contains(r.to.name, "@") {
			return true
		}
		r.fix = "Put " + r.to.Kind + " " + r.to.name + " into namespace " + own + ", or run Traefik with providers.kubernetesCRD.allowCrossNamespace=true."
		x.report("references/cross-namespace", r, "%s: %s names %s, but Traefik runs without allowCrossNamespace and refuses other namespaces", o.Key(), r.what, r.to)
		return false
	case byFlux:
		if !x.locked {
			return true
		}
		r.fix = "Put a copy of " + r.to.Kind + " " + r.to.name + " into namespace " + own + ", or the object that names it into namespace " + other + "."
		x.report("references/cross-namespace", r, "%s: %s names %s, but Flux runs with --no-cross-namespace-refs and refuses other namespaces", o.Key(), r.what, r.to)
		return false
	case byGrant:
		if x.granted(o.GroupKind(), own, r.to) {
			return true
		}
		if m, ok := x.maker(reference{from: o, to: target{kind(gatewayGroup, "ReferenceGrant"), other, ""}}); ok {
			x.gapOf(m, "ReferenceGrant in "+other+" for "+o.Key().String())
			return true
		}
		r.fix = "Add a ReferenceGrant to namespace " + other + " for " + o.GroupKind().Kind + " of namespace " + own + "."
		x.report("references/cross-namespace", r, "%s: %s names %s, but no ReferenceGrant in namespace %s allows it", o.Key(), r.what, r.to, other)
		return false
	}
	return true
}

// granted tells whether a ReferenceGrant lets objects of a kind and namespace name
// the target (https://gateway-api.sigs.k8s.io/api-types/referencegrant/).
func (x *checker) granted(from schema.GroupKind, own string, t target) bool {
	for _, grants := range x.objects[kind(gatewayGroup, "ReferenceGrant")][t.namespace] {
		for _, g := range grants {
			allows := func(list string, ok func(m map[string]any) bool) bool {
				for _, m := range mappings(g.Object, "spec", list) {
					if ok(m) {
						return true
					}
				}
				return false
			}
			if allows("from", func(m map[string]any) bool {
				return text(m, "group") == from.Group && text(m, "kind") == from.Kind && text(m, "namespace") == own
			}) && allows("to", func(m map[string]any) bool {
				name := text(m, "name")
				return text(m, "group") == t.Group && text(m, "kind") == t.Kind && (name == "" || name == t.name)
			}) {
				return true
			}
		}
	}
	return false
}

// route looks at the Gateways that a route attaches to
// (https://gateway-api.sigs.k8s.io/concepts/api-overview/#attaching-routes-to-gateways).
func (x *checker) route(o *render.Object) {
	own := x.space(o.GroupKind(), o.GetNamespace())
	for i, p := range mappingsAt(at(o.Object, "spec", "parentRefs")) {
		to := gateway
		if k := text(p, "kind"); k != "" {
			to.Kind = k
		}
		if g, ok := p["group"].(string); ok {
			to.Group = g
		}
		ns := cmp.Or(text(p, "namespace"), own)
		r := reference{
			from: o, at: []any{"spec", "parentRefs", i, "name"}, what: "spec.parentRefs.name", to: target{to, ns, text(p, "name")},
			placed: text(p, "namespace") != "",
		}
		gateways, known := x.need(r)
		if !known || to != gateway {
			continue
		}
		section := text(p, "sectionName")
		matched, admitted := false, false
		var names []string
		for _, g := range gateways {
			for _, l := range mappings(g.Object, "spec", "listeners") {
				names = append(names, text(l, "name"))
				if section != "" && section != text(l, "name") {
					continue
				}
				matched = true
				admitted = admitted || x.admits(l, ns, own)
			}
		}
		switch {
		case !matched && section != "":
			r.at, r.what = []any{"spec", "parentRefs", i, "sectionName"}, "spec.parentRefs.sectionName"
			hint := "; it has " + list(names, 8)
			if near := nearestWord(section, names); near != "" {
				hint = "; did you mean " + near + "?"
			}
			x.report("references/missing-target", r, "%s: spec.parentRefs.sectionName names listener %s, which %s does not have%s", o.Key(), section, r.to, hint)
		case matched && !admitted:
			r.fix = "Set allowedRoutes.namespaces on the listener so that it admits routes of namespace " + own + "."
			x.report("references/cross-namespace", r, "%s: spec.parentRefs names %s, whose listeners admit no routes from namespace %s (allowedRoutes)", o.Key(), r.to, own)
		}
	}
}

// admits tells whether a listener of a Gateway in namespace ns admits routes of
// another namespace.
func (x *checker) admits(listener map[string]any, ns, own string) bool {
	if ns == own {
		return true
	}
	allowed, _ := at(listener, "allowedRoutes", "namespaces").(map[string]any)
	switch text(allowed, "from") {
	case "All":
		return true
	case "Selector":
		m, _ := allowed["selector"].(map[string]any)
		reqs, ok := requirements(m)
		spaces := x.get(target{namespace, "", own})
		if !ok || len(spaces) == 0 {
			return true
		}
		set := stringMap(spaces[0].Object, "metadata", "labels")
		set["kubernetes.io/metadata.name"] = own
		for _, r := range reqs {
			if !r.Matches(set) {
				return false
			}
		}
		return true
	}
	return false
}

// subjects looks for the ServiceAccounts that a binding is for.
func (x *checker) subjects(o *render.Object) {
	for i, s := range mappingsAt(o.Object["subjects"]) {
		ns := text(s, "namespace")
		placed := ns != ""
		if ns == "" && o.GroupKind().Kind == "RoleBinding" { // then it is that of the binding
			ns = x.space(o.GroupKind(), o.GetNamespace())
		}
		if text(s, "kind") != "ServiceAccount" || ns == "" {
			continue
		}
		if o.Origin.HelmRelease != "" && !x.ownersWord(o, text(s, "name")) {
			continue // a chart that knows other namespaces than this cluster has
		}
		x.need(reference{
			from: o, at: []any{"subjects", i, "name"}, what: "subjects", severity: report.Warning,
			to: target{serviceAccount, ns, text(s, "name")}, placed: placed,
		})
	}
}

// policyParams looks for the parameters of an admission policy
// (https://kubernetes.io/docs/reference/access-authn-authz/validating-admission-policy/#parameter-resources).
func (x *checker) policyParams(o *render.Object) {
	of := vap
	if o.GroupKind() == mutatingBinding {
		of = mutatingPolicy
	}
	name := text(o.Object, "spec", "paramRef", "name")
	policies := x.get(target{of, "", text(o.Object, "spec", "policyName")})
	if name == "" || len(policies) == 0 || text(o.Object, "spec", "paramRef", "parameterNotFoundAction") == "Allow" {
		return
	}
	gv, err := schema.ParseGroupVersion(text(policies[0].Object, "spec", "paramKind", "apiVersion"))
	gk := kind(gv.Group, text(policies[0].Object, "spec", "paramKind", "kind"))
	ns := text(o.Object, "spec", "paramRef", "namespace")
	if err != nil || gk.Kind == "" || ns == "" && !x.cluster(gk) && len(x.objects[gk][""]) == 0 {
		return // the namespace is that of each request
	}
	x.need(reference{from: o, at: []any{"spec", "paramRef", "name"}, what: "spec.paramRef.name", to: target{gk, ns, name}, placed: true})
}

// constraint looks for the template that makes the kind of a constraint, whose
// name is the kind in lower case
// (https://open-policy-agent.github.io/gatekeeper/website/docs/howto/#constraint-templates).
func (x *checker) constraint(o *render.Object) {
	x.need(reference{
		from: o, at: []any{"kind"}, what: "kind",
		to: target{kind("templates.gatekeeper.sh", "ConstraintTemplate"), "", strings.ToLower(o.GetKind())},
	})
}
