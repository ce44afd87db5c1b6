package references

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"

	"lumacore.dev/lumacore/internal/check"
	"lumacore.dev/lumacore/internal/render"
	"lumacore.dev/lumacore/internal/report"
)

// Labels that only running pods have. Those of the first list name the object
// that made the pod
// (https://kubernetes.io/docs/reference/labels-annotations-taints/), those of the
// second are set by the program in the pod: who leads, who is unsealed.
var (
	podNameLabel = "statefulset.kubernetes.io/pod-name"
	jobLabels    = []string{"job-name", "batch.kubernetes.io/job-name"}
	liveLabels   = map[string]bool{
		"apps.kubernetes.io/pod-index": true, "pod-template-hash": true, "controller-revision-hash": true, "controller-uid": true,
		"batch.kubernetes.io/controller-uid": true, "batch.kubernetes.io/job-completion-index": true,
		"role": true, "spilo-role": true, "redis-role": true, "cnpg.io/instanceRole": true,
		"vault-active": true, "vault-sealed": true, "vault-initialized": true, "vault-perf-standby": true,
		"openbao-active": true, "openbao-sealed": true, "openbao-initialized": true, "openbao-perf-standby": true,
	}
)

// podsOf returns the pods of a namespace that a selector picks. Labels that only
// running pods have count as met.
func (x *checker) podsOf(ns string, reqs labels.Requirements) []*item {
	var static, ofJob labels.Requirements
	instance := ""
	for _, r := range reqs {
		v, one := equality(r)
		switch {
		case r.Key() == podNameLabel && one:
			instance = v
		case slices.Contains(jobLabels, r.Key()):
			ofJob = append(ofJob, r)
		case !liveLabels[r.Key()] || len(x.pod.value[ns][r.Key()+"="+v]) > 0:
			static = append(static, r)
		}
	}
	found := x.pod.find(ns, static)
	if len(ofJob) > 0 { // the Jobs of a CronJob have names of their own
		found = slices.DeleteFunc(slices.Clone(found), func(i *item) bool {
			return slices.ContainsFunc(ofJob, func(r labels.Requirement) bool {
				if i.object.Is("batch", "CronJob") {
					return r.Operator() == selection.DoesNotExist
				}
				return !r.Matches(i.labels)
			})
		})
	}
	if instance == "" {
		return found
	}
	return slices.DeleteFunc(slices.Clone(found), func(i *item) bool {
		n, ok := strings.CutPrefix(instance, i.object.GetName()+"-")
		return !ok || !ordinal.MatchString(n) || !i.object.Is("apps", "StatefulSet")
	})
}

// ours tells whether pods run in a namespace that no repository has to hold:
// those of Kubernetes, and of Flux.
func (x *checker) ours(ns string) bool { return ns == "kube-system" || x.flux[ns] }

// service looks at the pods and ports behind a Service
// (https://kubernetes.io/docs/concepts/services-networking/service/#defining-a-service).
func (x *checker) service(o *render.Object) {
	m, _ := at(o.Object, "spec", "selector").(map[string]any)
	if len(m) == 0 || text(o.Object, "spec", "type") == "ExternalName" {
		return // its endpoints come from somebody else
	}
	set := stringMap(o.Object, "spec", "selector")
	s, err := labels.ValidatedSelectorFromSet(set)
	if err != nil || len(set) != len(m) || x.open(o, set) {
		return
	}
	reqs, _ := s.Requirements()
	ns := x.space(o.GroupKind(), o.GetNamespace())
	pods := x.podsOf(ns, reqs)
	r := reference{from: o, at: []any{"spec", "selector"}, chosen: true}
	if len(pods) == 0 {
		if x.ours(ns) || !x.chosen(o, reqs) {
			return
		}
		if maker, ok := x.podMaker(ns, reqs, false); ok {
			x.gapOf(maker, "pods of "+o.Key().String())
			return
		}
		x.report("references/service-without-pods", r, "%s: no workload in namespace %s makes pods with %s%s", o.Key(), ns, s, x.nearestPods(ns, reqs))
		return
	}
	for i, p := range mappingsAt(at(o.Object, "spec", "ports")) {
		x.targetPort(o, i, p, pods)
	}
}

// open tells whether values of a selector are not known before the cluster fills
// them in.
func (x *checker) open(o *render.Object, set labels.Set) bool {
	for _, v := range set {
		if strings.Contains(v, "${") || len(o.Origin.Placeholders) > 0 && strings.Contains(v, "placeholder") {
			return true
		}
	}
	return false
}

// chosen tells whether the owner chose the selector. That of a chart is the
// chart's, whose programs may label their own pods, unless its values name it.
func (x *checker) chosen(o *render.Object, reqs labels.Requirements) bool {
	return o.Origin.HelmRelease == "" || slices.ContainsFunc(reqs, func(r labels.Requirement) bool {
		return slices.ContainsFunc(r.ValuesUnsorted(), func(v string) bool {
			_, release, _ := strings.Cut(o.Origin.HelmRelease, "/")
			return v != release && x.ownersWord(o, v)
		})
	})
}

// targetPort looks for the port of the pods that a port of a Service leads to.
func (x *checker) targetPort(o *render.Object, i int, p map[string]any, pods []*item) {
	field, v := "targetPort", p["targetPort"]
	if v == nil {
		field, v = "port", p["port"]
	}
	r := reference{from: o, at: []any{"spec", "ports", i, field}, to: target{GroupKind: kind("", "Pod"), name: scalar(v)}}
	if name, ok := v.(string); ok {
		if _, err := strconv.Atoi(name); err == nil || name == "" || strings.Contains(name, "${") {
			return
		}
		if slices.ContainsFunc(pods, func(i *item) bool {
			return slices.ContainsFunc(i.ports, func(have port) bool { return have.name == name && have.protocol == protocol(p) })
		}) {
			return
		}
		if o.Origin.HelmRelease != "" && !x.ownersWord(o, name) {
			return // charts have Services for exporters that are switched off
		}
		r.chosen = true
		x.report("references/port-missing", r, "%s: spec.ports.targetPort names %s port %s of its pods, but %s has %s",
			o.Key(), protocol(p), name, pods[0].object.Key(), ports(pods[0].ports))
		return
	}
	number, ok := integer(v)
	if !ok || number == 0 || o.Origin.HelmRelease != "" || slices.ContainsFunc(pods, func(i *item) bool {
		return !i.closed || i.object.Origin.HelmRelease != "" || slices.ContainsFunc(i.ports, func(have port) bool { return have.number == number })
	}) {
		return
	}
	r.severity = report.Info
	x.report("references/port-undeclared", r, "%s: port %d of its pods is none that %s lists: %s", o.Key(), number, pods[0].object.Key(), ports(pods[0].ports))
}

// ports writes out ports: "http (80), 9100".
func ports(list []port) string {
	var out []string
	for _, p := range list {
		s := strconv.FormatInt(p.number, 10)
		if p.name != "" {
			s = p.name + " (" + s + ")"
		}
		if p.protocol != "TCP" {
			s += "/" + p.protocol
		}
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	switch {
	case len(out) == 0:
		return "no ports"
	case len(out) > 8:
		return "ports " + strings.Join(out[:8], ", ") + " and more"
	case len(out) == 1:
		return "port " + out[0]
	}
	return "ports " + strings.Join(out, ", ")
}

// nearestPods says which pods of a namespace come closest to a selector, as the
// end of a sentence.
func (x *checker) nearestPods(ns string, reqs labels.Requirements) string {
	var best *item
	most := 0
	for _, i := range x.pod.all[ns] {
		n := 0
		for _, r := range reqs {
			switch v, ok := equality(r); {
			case r.Matches(i.labels):
				n += 2
			case ok && i.labels[r.Key()] != "" && nearestWord(v, []string{i.labels[r.Key()]}) != "":
				n++
			}
		}
		if n > most {
			best, most = i, n
		}
	}
	if best == nil {
		return ""
	}
	var differs []string
	for _, r := range reqs {
		if !r.Matches(best.labels) {
			if v, ok := best.labels[r.Key()]; ok {
				differs = append(differs, r.Key()+"="+v)
			} else {
				differs = append(differs, "no "+r.Key())
			}
		}
	}
	if len(differs) == 0 { // but for labels that only running pods have
		return ""
	}
	return fmt.Sprintf("; the closest, %s, has %s", best.object.Key(), strings.Join(differs, ", "))
}

// selecting is a NetworkPolicy whose selector matches nothing.
type selecting struct {
	object *render.Object
	key    string // name and selector
	reqs   labels.Requirements
	space  string
}

// selects looks at what a NetworkPolicy or PodDisruptionBudget is for.
func (x *checker) selects(o *render.Object) {
	field := "podSelector"
	if o.GroupKind().Kind == "PodDisruptionBudget" {
		field = "selector"
	}
	m, _ := at(o.Object, "spec", field).(map[string]any)
	reqs, ok := requirements(m)
	if !ok || len(reqs) == 0 || x.open(o, stringMap(m, "matchLabels")) {
		return
	}
	ns := x.space(o.GroupKind(), o.GetNamespace())
	b, _ := json.Marshal(m)
	s := selecting{object: o, key: o.GetName() + " " + string(b), reqs: reqs, space: ns}
	if len(x.podsOf(ns, reqs)) > 0 {
		if x.used == nil {
			x.used = map[string]bool{}
		}
		x.used[s.key] = true
		return
	}
	if field == "podSelector" { // reported when all are known
		x.policies = append(x.policies, s)
		return
	}
	x.selectsNothing(s, field)
}

// unusedPolicies reports NetworkPolicies that match nothing. Those that stand in
// several namespaces for pods to opt in with a label are in use if any does.
func (x *checker) unusedPolicies() {
	for _, s := range x.policies {
		if !x.used[s.key] {
			x.selectsNothing(s, "podSelector")
		}
	}
}

func (x *checker) selectsNothing(s selecting, field string) {
	if x.ours(s.space) || !x.chosen(s.object, s.reqs) {
		return
	}
	if maker, ok := x.podMaker(s.space, s.reqs, false); ok {
		x.gapOf(maker, "pods of "+s.object.Key().String())
		return
	}
	r := reference{from: s.object, at: []any{"spec", field}, to: target{GroupKind: kind("", "Pod"), namespace: s.space}}
	x.report("references/selector-matches-nothing", r, "%s: no workload in namespace %s makes pods with %s, so it does nothing%s",
		s.object.Key(), s.space, written(s.reqs), x.nearestPods(s.space, s.reqs))
}

func written(reqs labels.Requirements) string { return labels.NewSelector().Add(reqs...).String() }

// monitor looks at what a ServiceMonitor or PodMonitor has Prometheus scrape
// (https://prometheus-operator.dev/docs/api-reference/api/#monitoring.coreos.com/v1.ServiceMonitor).
func (x *checker) monitor(o *render.Object) {
	m, _ := at(o.Object, "spec", "selector").(map[string]any)
	reqs, ok := requirements(m)
	if !ok || x.open(o, stringMap(m, "matchLabels")) {
		return
	}
	from, endpoints, what := &x.svc, "endpoints", "Services"
	if o.GroupKind().Kind == "PodMonitor" {
		from, endpoints, what = &x.pod, "podMetricsEndpoints", "pods"
	}
	own := x.space(o.GroupKind(), o.GetNamespace())
	spaces := []string{own}
	where := "namespace " + own
	selector, _ := at(o.Object, "spec", "namespaceSelector").(map[string]any)
	if names, _ := selector["matchNames"].([]any); len(names) > 0 {
		spaces = nil
		for _, v := range names {
			if s, ok := v.(string); ok {
				spaces = append(spaces, s)
			}
		}
		where = "namespace " + list(spaces, 3)
	}
	if selector["any"] == true {
		spaces, where = slices.Sorted(maps.Keys(from.all)), "any namespace"
	}
	var found []*item
	for _, ns := range spaces {
		if what == "pods" {
			found = append(found, x.podsOf(ns, reqs)...)
		} else {
			found = append(found, from.find(ns, reqs)...)
		}
	}
	// Services and pods that nothing in the render makes may be there as well.
	var unknown *maker
	for _, ns := range spaces {
		mk, ok := x.podMaker(ns, reqs, true)
		if what == "pods" && len(found) == 0 {
			if m, templated := x.templated(ns, reqs); templated {
				mk, ok = m, true
			}
		}
		if ok && mk == nil {
			return
		}
		if ok {
			unknown = mk
			break
		}
	}
	if unknown == nil && selector["any"] == true && len(x.makers.release) > 0 {
		unknown = x.makers.release[0]
	}
	if len(found) == 0 {
		switch {
		case !x.chosen(o, reqs):
		case slices.ContainsFunc(spaces, x.ours), slices.Contains(spaces, "default") && what == "Services" && len(reqs) > 0 && reqs[0].Key() == "component":
		case unknown != nil:
			x.gapOf(unknown, what+" of "+o.Key().String())
		default:
			r := reference{from: o, at: []any{"spec", "selector"}}
			x.report("references/selector-matches-nothing", r, "%s: no %s in %s have %s, so nothing is scraped", o.Key(), what, where, cmp.Or(written(reqs), "labels at all"))
		}
		return
	}
	for i, e := range mappingsAt(at(o.Object, "spec", endpoints)) {
		name := text(e, "port")
		if name == "" || slices.ContainsFunc(found, func(i *item) bool {
			return slices.ContainsFunc(i.ports, func(p port) bool { return p.name == name })
		}) {
			continue
		}
		if unknown != nil {
			x.gapOf(unknown, what+" of "+o.Key().String())
			continue
		}
		r := reference{from: o, at: []any{"spec", endpoints, i, "port"}, severity: report.Warning, to: target{name: name}}
		x.report("references/port-missing", r, "%s: spec.%s.port names port %s, but %s has %s", o.Key(), endpoints, name, found[0].object.Key(), ports(found[0].ports))
	}
}

// servicePort looks for the port of a Service that a route, webhook or the like
// names by number or by name.
func (x *checker) servicePort(r reference, path []any, services []*render.Object, p any) {
	if m, ok := p.(map[string]any); ok { // Ingress
		path, p = join(path, "number"), m["number"]
		if p == nil {
			path, p = join(path[:len(path)-1], "name"), m["name"]
		}
	}
	number, isNumber := integer(p)
	name, isName := p.(string)
	if n, err := strconv.ParseInt(name, 10, 64); isName && err == nil {
		number, isNumber = n, true
	}
	if !isNumber && !isName || isNumber && number == 0 || strings.Contains(name, "${") {
		return
	}
	var have []port
	for _, o := range services {
		if text(o.Object, "spec", "type") == "ExternalName" && isNumber {
			return // any port of the other host
		}
		for _, m := range mappings(o.Object, "spec", "ports") {
			n, _ := integer(m["port"])
			have = append(have, port{name: text(m, "name"), protocol: protocol(m), number: n})
		}
	}
	if slices.ContainsFunc(have, func(p port) bool { return isNumber && p.number == number || isName && p.name == name }) {
		return
	}
	r.at = path
	if r.from.Locate(path...) == r.from.Locate(path[:len(path)-1]...) {
		r.at = path[:len(path)-1]
	}
	x.report("references/port-missing", r, "%s: %s names port %s of %s, which has %s", r.from.Key(), strings.TrimSuffix(r.what, ".name"), scalar(p), r.to, ports(have))
}

// missingNamespaces reports namespaces that nothing creates, once for each
// Kustomization or HelmRelease that puts something into them.
func (x *checker) missingNamespaces() {
	type group struct {
		first *render.Object
		more  int
	}
	groups := map[string]*group{}
	for _, o := range x.c.Objects {
		ns := o.GetNamespace()
		if ns == "" || x.cluster(o.GroupKind()) {
			continue
		}
		key := origin(o) + "\x00" + ns
		if g := groups[key]; g != nil {
			g.more++
			continue
		}
		groups[key] = &group{first: o}
	}
	for _, key := range slices.Sorted(maps.Keys(groups)) {
		g := groups[key]
		o := g.first
		t := target{namespace, "", o.GetNamespace()}
		if len(x.get(t)) > 0 || x.exists(t) || x.makers.spaces[t.name] {
			continue
		}
		r := reference{from: o, at: []any{"metadata", "namespace"}, what: "metadata.namespace", to: t}
		if release := x.releases[o.Origin.HelmRelease]; release != nil && release.Spec != nil && release.Spec.GetReleaseNamespace() == t.name {
			r.from, r.at, r.what = release.Object, []any{"spec", "targetNamespace"}, "spec.targetNamespace"
		}
		if x.unresolved(r) {
			continue
		}
		if m, ok := x.maker(r); ok {
			x.gapOf(m, t.String())
			continue
		}
		if x.aside(r) {
			continue
		}
		more := ""
		if g.more > 0 {
			more = fmt.Sprintf(" and for %d more", g.more)
		}
		f := check.Finding("references/missing-namespace", x.c, r.from, r.at, "%s: nothing in the repository makes %s for it%s%s", r.from.Key(), t, more, x.instead(t, false))
		x.out.Add(f)
	}
}
