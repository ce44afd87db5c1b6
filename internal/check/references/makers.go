package references

import (
	"bytes"
	"fmt"
	"path"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"lumacore.dev/lumacore/internal/check"
	"lumacore.dev/lumacore/internal/gitops"
	"lumacore.dev/lumacore/internal/render"
	"lumacore.dev/lumacore/internal/report"
)

// maker is something whose objects are not in the render: what is missing may be
// one of them.
type maker struct {
	subject, reason, next string
	namespace, name       string // of a custom resource
	gk                    schema.GroupKind
	pods                  []labels.Set    // labels of the pods that a custom resource says it makes
	words                 map[string]bool // texts in the spec of a custom resource of which nothing is known
	class                 string          // of a Gateway
	kinds                 []string        // what a ResourceSet makes; nil: anything
	at                    report.Location
}

// makers are the makers of a cluster.
type makers struct {
	anywhere  []*maker            // that may make objects in every namespace
	unbuilt   []*maker            // that may make objects without namespace
	anything  map[string][]*maker // by namespace: Kustomizations
	releases  map[string][]*maker // by namespace
	release   []*maker            // all releases, for what has no namespace
	spaces    map[string]bool     // namespaces that HelmReleases create
	resources map[string][]*maker // by namespace: custom resources; "" for cluster-scoped ones
	named     map[string][]*maker // custom resources by the texts in their spec
	gateways  []*maker
}

// fill looks for the makers of a cluster.
func (m *makers) fill(c *render.Cluster) {
	m.anything, m.releases, m.spaces, m.resources = map[string][]*maker{}, map[string][]*maker{}, map[string]bool{}, map[string][]*maker{}
	m.named = map[string][]*maker{}
	for _, k := range c.Kustomizations {
		if k.Built || k.Spec != nil && k.Spec.Spec.KubeConfig != nil { // applies nothing unknown here
			continue
		}
		one := &maker{subject: "Kustomization " + k.Name(), reason: "was not built", next: "see what gate render says of it", at: k.Object.Origin.Location}
		if k.Path == "" {
			one.reason, one.next = "applies what another repository holds, which is not read", ""
		}
		m.unbuilt = append(m.unbuilt, one)
		switch {
		case k.Spec != nil && k.Spec.Spec.TargetNamespace != "":
			m.anything[k.Spec.Spec.TargetNamespace] = append(m.anything[k.Spec.Spec.TargetNamespace], one)
		case ofFluxItself(c, k):
			m.anything[k.Object.GetNamespace()] = append(m.anything[k.Object.GetNamespace()], one)
		default:
			m.anywhere = append(m.anywhere, one)
		}
	}
	for _, r := range c.Releases {
		ns := r.Object.GetNamespace()
		if r.Spec != nil {
			ns = r.Spec.GetReleaseNamespace()
			if r.Spec.GetInstall().CreateNamespace {
				m.spaces[ns] = true
			}
		}
		if !r.Rendered && (r.Spec == nil || r.Spec.Spec.KubeConfig == nil) {
			one := &maker{subject: "HelmRelease " + r.Name(), reason: "was not rendered", next: "make its chart available, see what gate render says of it", at: r.Object.Origin.Location}
			m.releases[ns] = append(m.releases[ns], one)
			m.release = append(m.release, one)
		}
	}
	for _, o := range c.Objects {
		one := &maker{
			subject: o.Key().String(), namespace: o.GetNamespace(), name: o.GetName(), gk: o.GroupKind(), at: o.Origin.Location,
			reason: "becomes other objects in the cluster, which are not known here",
		}
		switch gk := o.GroupKind(); {
		case gk == kind("fluxcd.controlplane.io", "ResourceSet"):
			one.kinds = madeBy(o)
			m.anywhere, m.unbuilt = append(m.anywhere, one), append(m.unbuilt, one)
		case gk == kind("helm.cattle.io", "HelmChart"):
			ns := text(o.Object, "spec", "targetNamespace")
			if ns == "" {
				ns = o.GetNamespace()
			}
			one.reason = "is installed by k3s, not rendered"
			m.releases[ns] = append(m.releases[ns], one)
			m.release = append(m.release, one)
		case gk == gateway:
			one.class = text(o.Object, "spec", "gatewayClassName")
			m.gateways = append(m.gateways, one)
			m.resources[o.GetNamespace()] = append(m.resources[o.GetNamespace()], one)
		case o.CustomResource() && !passive(gk):
			m.resources[o.GetNamespace()] = append(m.resources[o.GetNamespace()], one)
			one.pods = podLabels(o)
			if _, known := active[gk.Group]; known {
				continue
			}
			one.words = map[string]bool{}
			collect(o.Object["spec"], one.words)
			for w := range one.words {
				m.named[w] = append(m.named[w], one)
			}
		}
	}
}

// collect adds all texts in a value that could be names. What a pod in it names
// is left out: that is needed, not made.
func collect(v any, out map[string]bool) {
	switch v := v.(type) {
	case string:
		if v != "" && len(v) <= 253 {
			out[v] = true
		}
	case []any:
		for _, item := range v {
			collect(item, out)
		}
	case map[string]any:
		if _, pod := v["containers"].([]any); pod {
			return
		}
		for _, item := range v {
			collect(item, out)
		}
	}
}

// operated are the kinds of the Prometheus operator that become pods, each with
// the label app.kubernetes.io/name of those
// (https://prometheus-operator.dev/docs/api-reference/api/#monitoring.coreos.com/v1.EmbeddedObjectMetadata).
var operated = map[string]string{
	"Alertmanager": "alertmanager", "Prometheus": "prometheus", "PrometheusAgent": "prometheus-agent", "ThanosRuler": "thanos-ruler",
}

// podLabels returns the labels of the pods that a custom resource makes, as far as
// it says: those of its pod templates, and of the fields that by custom hold them.
func podLabels(o *render.Object) []labels.Set {
	var out []labels.Set
	add := func(set labels.Set) {
		if len(set) > 0 {
			out = append(out, set)
		}
	}
	if app := operated[o.GetKind()]; app != "" && o.GroupKind().Group == "monitoring.coreos.com" {
		set := stringMap(o.Object, "spec", "podMetadata", "labels")
		for k, v := range map[string]string{
			"app.kubernetes.io/name": app, "app.kubernetes.io/instance": o.GetName(), "app.kubernetes.io/managed-by": "prometheus-operator",
			"operator.prometheus.io/name": o.GetName(), app: o.GetName(),
		} {
			set[k] = v
		}
		return append(out, set)
	}
	var look func(field string, v any)
	look = func(field string, v any) {
		switch v := v.(type) {
		case []any:
			for _, item := range v {
				look(field, item)
			}
		case map[string]any:
			switch field {
			case "podLabels":
				add(stringMap(v))
			case "podMetadata", "inheritMetadata", "inheritedMetadata":
				add(stringMap(v, "labels"))
			case "template", "podTemplate", "pod":
				add(stringMap(v, "metadata", "labels"))
			default:
				if at(v, "spec", "containers") != nil {
					add(stringMap(v, "metadata", "labels"))
				}
			}
			for k, item := range v {
				look(k, item)
			}
		}
	}
	look("spec", o.Object["spec"])
	return out
}

// picked tells whether a selector picks the pods that a custom resource says it
// makes: surely, or perhaps, when it also asks for labels that are not written
// there. Operators add labels of their own.
func (m *maker) picked(reqs labels.Requirements) (surely, perhaps bool) {
	for _, set := range m.pods {
		met, open, not := 0, 0, false
		for _, r := range reqs {
			switch {
			case liveLabels[r.Key()] && !set.Has(r.Key()):
			case !set.Has(r.Key()) && !r.Matches(set):
				open++
			case !r.Matches(set):
				not = true
			case set.Has(r.Key()):
				met++
			}
		}
		if met > 0 && !not {
			surely, perhaps = surely || open == 0, true
		}
	}
	return surely, perhaps
}

// templated returns the custom resource of the namespace that perhaps makes pods
// that meet the requirements; nil, true when one surely does.
func (x *checker) templated(ns string, reqs labels.Requirements) (*maker, bool) {
	var found *maker
	for _, list := range [][]*maker{x.makers.resources[ns], x.makers.resources[""]} {
		for _, m := range list {
			surely, perhaps := m.picked(reqs)
			if surely {
				return nil, true
			}
			if perhaps && found == nil {
				found = m
			}
		}
	}
	return found, found != nil
}

// madeBy returns the kinds that a ResourceSet makes, or nil when among them are
// some that make others (https://fluxoperator.dev/docs/crd/resourceset/).
func madeBy(o *render.Object) []string {
	var out []string
	for _, r := range mappings(o.Object, "spec", "resources") {
		out = append(out, text(r, "kind"))
	}
	for line := range strings.SplitSeq(text(o.Object, "spec", "resourcesTemplate"), "\n") {
		if k, ok := strings.CutPrefix(strings.TrimSpace(line), "kind: "); ok {
			out = append(out, strings.Trim(k, "\"' "))
		}
	}
	if slices.ContainsFunc(out, func(k string) bool {
		return k == "Kustomization" || k == "HelmRelease" || k == "ResourceSet" || strings.Contains(k, "<<")
	}) {
		return nil
	}
	return out
}

// ofFluxItself tells whether a Kustomization applies Flux's own manifests.
func ofFluxItself(c *render.Cluster, k *render.Kustomization) bool {
	if k.Spec == nil {
		return false
	}
	ref := k.Spec.Spec.SourceRef
	ns := ref.Namespace
	if ns == "" {
		ns = k.Object.GetNamespace()
	}
	o := c.Get(render.Key{Group: sourceGroup, Kind: ref.Kind, Namespace: ns, Name: ref.Name})
	return o != nil && strings.HasSuffix(text(o.Object, "spec", "url"), "/fluxcd/flux-manifests")
}

// passive tells whether the objects of a kind are known to make no other objects
// of which anybody would write the name. What is not listed may.
func passive(gk schema.GroupKind) bool {
	if only, ok := active[gk.Group]; ok {
		return !slices.Contains(only, gk.Kind)
	}
	return strings.HasSuffix(gk.Group, ".toolkit.fluxcd.io") || strings.HasSuffix(gk.Group, ".gatekeeper.sh") || strings.HasSuffix(gk.Group, ".istio.io")
}

// active are the groups whose kinds are known, each with those kinds that make
// Services, workloads or the like.
var active = map[string][]string{
	"acme.cert-manager.io":           nil,
	"acid.zalan.do":                  {"postgresql"},
	"autoscaling.k8s.io":             nil,
	"barmancloud.cnpg.io":            nil,
	"bitnami.com":                    nil,
	"cert-manager.io":                nil,
	"cilium.io":                      nil,
	"dragonflydb.io":                 {"Dragonfly"},
	"config.gatekeeper.sh":           nil,
	"external-secrets.io":            nil,
	"externaldns.k8s.io":             nil,
	"fluxcd.controlplane.io":         nil,
	gatewayGroup:                     {"Gateway"},
	"gateway.envoyproxy.io":          nil,
	"generators.external-secrets.io": nil,
	"grafana.integreatly.org":        {"Grafana"},
	"hub.traefik.io":                 nil,
	"k3s.cattle.io":                  nil,
	"k8s.cni.cncf.io":                nil,
	"keda.sh":                        nil,
	"helm.cattle.io":                 nil,
	"kyverno.io":                     nil,
	"longhorn.io":                    nil,
	"metallb.io":                     nil,
	"monitoring.coreos.com":          {"Alertmanager", "Prometheus", "PrometheusAgent", "ThanosRuler"},
	"nfd.k8s-sigs.io":                nil,
	"onepassword.com":                nil,
	"policy.networking.k8s.io":       nil,
	"postgresql.cnpg.io":             {"Cluster", "Pooler"},
	"snapshot.storage.k8s.io":        nil,
	"traefik.containo.us":            nil,
	"traefik.io":                     nil,
	"trust.cert-manager.io":          nil,
	"upgrade.cattle.io":              {"Plan"},
	"volsync.backube":                {"ReplicationSource", "ReplicationDestination"},
}

// exact are the groups of which known.go knows what they make: that an object of
// theirs has the name of the app says nothing.
var exact = map[string]bool{"postgresql.cnpg.io": true, "volsync.backube": true}

// maker returns what may make what r names, which is not in the render. What needs
// it before it does anything cannot make it.
func (x *checker) maker(r reference) (*maker, bool) {
	t := r.to
	others := func(list []*maker) []*maker {
		if strings.HasPrefix(r.what, "spec.healthChecks") {
			return list
		}
		return slices.DeleteFunc(slices.Clone(list), func(m *maker) bool { return m.subject == r.from.Key().String() })
	}
	var found []*maker
	switch {
	case strings.HasSuffix(t.Group, ".toolkit.fluxcd.io"): // charts do not make them
	case t.GroupKind == namespace: // charts seldom make them, and then name them after themselves
		for _, m := range x.makers.release {
			if _, release, _ := strings.Cut(m.subject, "/"); within(t.name, release) {
				found = append(found, m)
			}
		}
	case t.namespace == "":
		found = others(x.makers.release)
	default:
		found = others(x.makers.releases[t.namespace])
	}
	if len(found) > 0 {
		return nearest(found, t.name), true
	}
	if t.namespace == "" {
		found = others(x.makers.unbuilt)
	} else {
		found = others(append(slices.Clone(x.makers.anything[t.namespace]), x.makers.anywhere...))
	}
	for _, m := range found {
		if m.kinds == nil || slices.Contains(m.kinds, t.Kind) {
			return m, true
		}
	}
	if t.Group != "" && t.Group != "apps" && t.Group != "batch" {
		return nil, false
	}
	if t.GroupKind == secret || t.GroupKind == configMap {
		for _, m := range others(x.makers.named[t.name]) {
			if m.namespace == "" || m.namespace == t.namespace || m.words[t.namespace] {
				return m, true
			}
		}
	}
	for _, m := range append(slices.Clone(x.makers.resources[t.namespace]), x.makers.resources[""]...) {
		if exact[m.gk.Group] && (m.gk.Group != "volsync.backube" || t.GroupKind != claim) {
			continue
		}
		if within(t.name, m.name) {
			return m, true
		}
	}
	return nil, false
}

// nearest returns the one of several releases that may make the name: the one
// whose own name is part of it, else all of them as one.
func nearest(found []*maker, name string) *maker {
	for _, m := range found {
		if _, release, _ := strings.Cut(m.subject, "/"); within(name, release) {
			return m
		}
	}
	if len(found) == 1 {
		return found[0]
	}
	all := *found[0]
	all.subject = fmt.Sprintf("%s and %d more", all.subject, len(found)-1)
	all.reason, all.next = "were not rendered", "make their charts available, see what gate render says of them"
	return &all
}

// within tells whether part is in name as a whole: between dashes, dots or ends.
func within(name, part string) bool {
	if part == "" {
		return false
	}
	for rest, from := name, 0; ; {
		i := strings.Index(rest, part)
		if i < 0 {
			return false
		}
		start, end := from+i, from+i+len(part)
		if (start == 0 || strings.ContainsRune("-._", rune(name[start-1]))) && (end == len(name) || strings.ContainsRune("-._", rune(name[end]))) {
			return true
		}
		from = start + 1
		rest = name[from:]
	}
}

// podMaker returns what may make pods or Services that meet the requirements in a
// namespace; nil, true when it is known what does. For a monitor any custom
// resource that makes objects is enough.
func (x *checker) podMaker(ns string, reqs labels.Requirements, monitor bool) (*maker, bool) {
	if slices.ContainsFunc(reqs, func(r labels.Requirement) bool { return strings.HasPrefix(r.Key(), "acme.cert-manager.io/") }) {
		return nil, true // cert-manager's solvers, which come and go
	}
	if !monitor {
		if m, ok := x.templated(ns, reqs); ok {
			return m, true
		}
	}
	resources := append(slices.Clone(x.makers.resources[ns]), x.makers.resources[""]...)
	for _, m := range resources {
		for _, r := range reqs {
			if !about(r, m) {
				continue
			}
			_, known := active[m.gk.Group]
			if known && slices.Contains(r.ValuesUnsorted(), m.name) && !strings.HasPrefix(r.Key(), "app.kubernetes.io/") {
				return nil, true
			}
			return m, true
		}
	}
	if l := x.makers.releases[ns]; len(l) > 0 {
		return nearest(l, ""), true
	}
	for _, m := range append(slices.Clone(x.makers.anything[ns]), x.makers.anywhere...) {
		if m.kinds == nil {
			return m, true
		}
	}
	if !monitor {
		return nil, false
	}
	if len(resources) > 0 {
		return resources[0], true
	}
	for _, m := range x.makers.gateways { // proxies often run in their controller's namespace
		if x.ofGateway(reqs, m) {
			return m, true
		}
	}
	return nil, false
}

// ofGateway tells whether requirements speak of the proxies of a Gateway: with
// its name, or a label of Gateways, its class or its controller.
func (x *checker) ofGateway(reqs labels.Requirements, m *maker) bool {
	controller := ""
	for _, class := range x.get(target{gatewayClass, "", m.class}) {
		controller, _, _ = strings.Cut(text(class.Object, "spec", "controllerName"), "/")
	}
	return slices.ContainsFunc(reqs, func(r labels.Requirement) bool {
		return strings.Contains(r.Key(), "gateway") || slices.ContainsFunc(r.ValuesUnsorted(), func(v string) bool {
			return strings.Contains(v, "gateway") || v == m.name || v == m.class || len(v) > 3 && strings.Contains(controller, v)
		})
	})
}

// about tells whether a requirement speaks of a custom resource: of its name, or
// with a label of its group.
func about(r labels.Requirement, m *maker) bool {
	domain, _, ok := strings.Cut(r.Key(), "/")
	if ok && (m.gk.Group == domain || strings.HasSuffix(m.gk.Group, "."+domain) || strings.HasSuffix(domain, "."+m.gk.Group)) {
		return true
	}
	of := product(m.gk.Group)
	return slices.ContainsFunc(r.ValuesUnsorted(), func(v string) bool { return v != "" && v == of || !exact[m.gk.Group] && within(v, m.name) })
}

// generic are the parts of groups that name no product.
var generic = map[string]bool{
	"api": true, "app": true, "apps": true, "batch": true, "cache": true, "cloud": true, "cluster": true, "config": true, "core": true,
	"data": true, "database": true, "databases": true, "db": true, "infra": true, "io": true, "k8s": true, "kubernetes": true,
	"monitoring": true, "networking": true, "operator": true, "operators": true, "platform": true, "secrets": true, "security": true,
	"stable": true, "storage": true, "web": true, "x-k8s": true,
}

// product returns the part of a group that names what its kinds are for:
// "bitwarden" of k8s.bitwarden.com; "" if there is none.
func product(group string) string {
	parts := strings.Split(group, ".")
	for _, p := range parts[:len(parts)-1] {
		if !generic[p] {
			return p
		}
	}
	return ""
}

// runtimeNames are the Secrets and ConfigMaps that programs in the render make:
// those that they may write by name, and those that their arguments name.
type runtimeNames struct {
	written map[target]bool            // namespace "*" for every one
	words   map[string]map[string]bool // by namespace
}

// runtimeMade tells whether a program in the render makes the Secret or ConfigMap.
func (x *checker) runtimeMade(t target) bool {
	if x.runtime == nil {
		x.runtime = &runtimeNames{written: map[target]bool{}, words: map[string]map[string]bool{}}
		for _, o := range x.c.Objects {
			x.runtime.learn(x.index, o)
		}
	}
	return x.runtime.written[t] || x.runtime.written[target{t.GroupKind, "*", t.name}] || x.runtime.words[t.namespace][t.name]
}

func (n *runtimeNames) learn(x *index, o *render.Object) {
	if o.Is(rbacGroup, "Role", "ClusterRole") {
		ns := o.GetNamespace()
		if o.GroupKind() == clusterRole {
			ns = "*"
		}
		for _, rule := range mappings(o.Object, "rules") {
			if !contains(rule, "verbs", "update", "patch", "*") {
				continue
			}
			names, _ := rule["resourceNames"].([]any)
			for _, v := range names {
				name, _ := v.(string)
				if contains(rule, "resources", "secrets", "*") {
					n.written[target{secret, ns, name}] = true
				}
				if contains(rule, "resources", "configmaps", "*") {
					n.written[target{configMap, ns, name}] = true
				}
			}
		}
		return
	}
	pods, ok := o.Pods()
	if !ok {
		return
	}
	ns := x.space(o.GroupKind(), o.GetNamespace())
	if n.words[ns] == nil {
		n.words[ns] = map[string]bool{}
	}
	add := func(s string) {
		for _, w := range strings.FieldsFunc(s, func(r rune) bool { return strings.ContainsRune(" \t\n=/,:;\"'`$(){}", r) }) {
			n.words[ns][w] = true
		}
	}
	job := o.Is("batch", "Job", "CronJob")
	for _, c := range pods.Containers() {
		flag := ""
		var all []string
		for _, l := range []string{"command", "args"} {
			items, _ := c.Spec[l].([]any)
			for _, v := range items {
				s, _ := v.(string)
				all = append(all, s)
				if speaks(s) || speaks(flag) && strings.HasPrefix(flag, "-") {
					if strings.HasPrefix(s, "-") || strings.HasPrefix(flag, "-") {
						add(s)
					}
				}
				flag = s
			}
		}
		for _, e := range mappings(c.Spec, "env") {
			if speaks(text(e, "name")) {
				add(text(e, "value"))
			}
		}
		if whole := strings.Join(all, " "); job && speaks(whole) {
			add(whole)
		}
	}
}

// speaks tells whether a flag, variable or script is about Secrets or ConfigMaps.
func speaks(s string) bool {
	s = strings.ToLower(s)
	return strings.Contains(s, "secret") || strings.Contains(s, "configmap") || strings.Contains(s, "config-map")
}

// contains tells whether the list in a field has one of the values.
func contains(m map[string]any, field string, values ...string) bool {
	items, _ := m[field].([]any)
	return slices.ContainsFunc(items, func(v any) bool {
		s, ok := v.(string)
		return ok && slices.Contains(values, s)
	})
}

// ownersWord tells whether the owner's values of the HelmRelease that the object
// comes from name the text. The chart chose it otherwise.
func (x *checker) ownersWord(o *render.Object, name string) bool {
	words, ok := x.words[o.Origin.HelmRelease]
	if !ok {
		r := x.releases[o.Origin.HelmRelease]
		if r != nil && r.Spec != nil {
			var b strings.Builder
			if r.Spec.Spec.Values != nil {
				b.Write(r.Spec.Spec.Values.Raw)
			}
			for _, from := range r.Spec.Spec.ValuesFrom {
				for _, source := range x.get(target{kind("", from.Kind), r.Object.GetNamespace(), from.Name}) {
					b.WriteByte('\n')
					b.WriteString(text(source.Object, "data", from.GetValuesKey()))
				}
			}
			words = strings.NewReplacer("{{ .Release.Name }}", r.Spec.GetReleaseName(), "{{.Release.Name}}", r.Spec.GetReleaseName()).Replace(b.String())
		}
		x.words[o.Origin.HelmRelease] = words
	}
	return hasWord(words, name)
}

// hasWord tells whether the text has the name, not as a part of a longer one.
func hasWord(s, name string) bool {
	part := func(b byte) bool {
		return b == '-' || b == '.' || b == '_' || b >= '0' && b <= '9' || b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z'
	}
	for from := 0; name != ""; {
		i := strings.Index(s[from:], name)
		if i < 0 {
			return false
		}
		start, end := from+i, from+i+len(name)
		if (start == 0 || !part(s[start-1])) && (end == len(s) || !part(s[end])) {
			return true
		}
		from = start + 1
	}
	return false
}

// outside finds names in what Flux does not read: scripts and templates with which
// a cluster is bootstrapped.
type outside struct {
	in    *check.Input
	files []string
	found map[string]string
}

// The most files outside of the render that are looked into.
const mostFiles = 5000

// names returns the file outside of the render that names the Secret, ConfigMap or
// Namespace, or "".
func (a *outside) names(t target) string {
	if t.GroupKind != secret && t.GroupKind != configMap && t.GroupKind != namespace {
		return ""
	}
	if a.found == nil {
		a.found, a.files = map[string]string{}, a.list()
	}
	key := t.String()
	if file, ok := a.found[key]; ok {
		return file
	}
	for _, name := range a.files {
		if a.makes(name, t) {
			a.found[key] = name
			return name
		}
	}
	a.found[key] = ""
	return ""
}

// list returns the files that may make objects besides Flux.
func (a *outside) list() []string {
	rendered := map[string]bool{}
	for _, c := range a.in.Render.Clusters {
		for name := range c.Files {
			rendered[name] = true
		}
		for _, o := range c.Objects {
			rendered[o.Origin.File] = true
		}
	}
	var out []string
	for _, name := range a.in.Tree.Files() {
		base := strings.ToLower(path.Base(name))
		switch path.Ext(base) {
		case "", ".sh", ".bash", ".yaml", ".yml", ".j2", ".tmpl", ".tpl", ".just", ".mk", ".md", ".tf", ".py", ".toml", ".gotmpl":
			if !rendered[name] && len(out) < mostFiles {
				out = append(out, name)
			}
		}
	}
	return out
}

// makes tells whether a file is likely to make the target: it holds the object, or
// a line that speaks of such objects and names it.
func (a *outside) makes(name string, t target) bool {
	data, err := a.in.Tree.ReadFile(name)
	if err != nil || !bytes.Contains(data, []byte(t.name)) {
		return false
	}
	if gitops.IsYAML(name) {
		docs, _ := a.in.Tree.Documents(name)
		objects := false
		for _, d := range docs {
			if d.Kind == t.Kind && d.Name == t.name && (d.Namespace == "" || d.Namespace == t.namespace) {
				return true
			}
			objects = objects || d.APIVersion != "" && d.Kind != ""
		}
		if objects {
			return false
		}
	}
	if t.GroupKind == namespace { // that of an app by the same name says nothing
		return bytes.Contains(data, []byte("namespace: "+t.name+"\n")) || bytes.Contains(data, []byte("create namespace "+t.name+"\n")) ||
			bytes.Contains(data, []byte("create ns "+t.name+"\n"))
	}
	text := string(data)
	return speaks(text) && hasWord(text, t.name)
}
