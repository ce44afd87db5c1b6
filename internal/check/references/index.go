package references

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"lumacore.dev/lumacore/internal/render"
	"lumacore.dev/lumacore/internal/report"
)

func kind(group, name string) schema.GroupKind { return schema.GroupKind{Group: group, Kind: name} }

// index finds things of one cluster. It is filled once, so that looking up does
// not go over all objects.
type index struct {
	objects  map[schema.GroupKind]map[string]map[string][]*render.Object // by namespace and name
	secrets  map[string]render.Placeholder                               // that only the cluster has, by "namespace/name"
	scopes   map[schema.GroupKind]bool                                   // of CRDs in the render: true is cluster-scoped
	made     map[target]bool                                             // what controllers make of objects in the render
	copied   map[schema.GroupKind]map[string]bool                        // names that a controller copies into namespaces
	claims   map[string][]string                                         // by namespace: prefixes of the claims that StatefulSets make
	classes  map[string]bool                                             // storageClassName of PersistentVolumes
	pod      labelled
	svc      labelled
	flux     map[string]bool // namespaces that Flux itself is installed in
	locked   bool            // Flux refuses references to other namespaces
	traefik  *bool           // whether Traefik allows them; nil: there is no Traefik to be seen
	releases map[string]*render.Release
	makers   makers
	words    map[string]string // HelmRelease -> what its owner wrote in its values
	runtime  *runtimeNames     // filled when the first name is missing
	sorted   map[target][]string
}

// item is a pod or a Service in an index by labels.
type item struct {
	object *render.Object
	labels labels.Set
	ports  []port
	// closed: every container says which ports it has, so there are no others.
	closed bool
}

// port is a port of a pod or a Service.
type port struct {
	name, protocol string
	number         int64
}

// labelled finds items by their labels.
type labelled struct {
	all   map[string][]*item            // by namespace
	value map[string]map[string][]*item // by namespace and "key=value"
}

func (l *labelled) add(namespace string, i *item) {
	if l.all == nil {
		l.all, l.value = map[string][]*item{}, map[string]map[string][]*item{}
	}
	l.all[namespace] = append(l.all[namespace], i)
	if l.value[namespace] == nil {
		l.value[namespace] = map[string][]*item{}
	}
	for k, v := range i.labels {
		l.value[namespace][k+"="+v] = append(l.value[namespace][k+"="+v], i)
	}
}

// find returns the items of a namespace that meet all requirements.
func (l *labelled) find(namespace string, reqs labels.Requirements) []*item {
	from := l.all[namespace]
	for _, r := range reqs {
		if v, ok := equality(r); ok {
			if some := l.value[namespace][r.Key()+"="+v]; len(some) < len(from) {
				from = some
			}
		}
	}
	var out []*item
	for _, i := range from {
		if !slices.ContainsFunc(reqs, func(r labels.Requirement) bool { return !r.Matches(i.labels) }) {
			out = append(out, i)
		}
	}
	return out
}

// equality returns the one value that a requirement asks for.
func equality(r labels.Requirement) (string, bool) {
	if v := r.ValuesUnsorted(); len(v) == 1 && strings.HasPrefix(string(r.Operator()), "=") || len(v) == 1 && r.Operator() == "in" {
		return v[0], true
	}
	return "", false
}

func newIndex(c *render.Cluster) *index {
	x := &index{
		objects: map[schema.GroupKind]map[string]map[string][]*render.Object{}, secrets: map[string]render.Placeholder{},
		scopes: map[schema.GroupKind]bool{}, made: map[target]bool{}, copied: map[schema.GroupKind]map[string]bool{},
		claims: map[string][]string{}, classes: map[string]bool{}, flux: map[string]bool{"flux-system": true},
		releases: map[string]*render.Release{}, words: map[string]string{},
	}
	for _, p := range c.Placeholders {
		x.secrets[p.Secret.Namespace+"/"+p.Secret.Name] = p
	}
	for _, o := range c.Objects {
		if o.Is("apiextensions.k8s.io", "CustomResourceDefinition") {
			x.scopes[kind(text(o.Object, "spec", "group"), text(o.Object, "spec", "names", "kind"))] = text(o.Object, "spec", "scope") == "Cluster"
		}
	}
	for _, k := range c.Kustomizations {
		x.add(k.Object)
		if k.Implied {
			x.flux[k.Object.GetNamespace()] = true
		}
	}
	for _, r := range c.Releases {
		x.add(r.Object)
		x.releases[r.Name()] = r
	}
	for _, o := range c.Objects {
		x.add(o)
		x.learn(o)
	}
	x.makers.fill(c)
	return x
}

// add makes an object known by name.
func (x *index) add(o *render.Object) {
	gk := o.GroupKind()
	spaces := []string{x.space(gk, o.GetNamespace())}
	if o.GetNamespace() == "" && o.CustomResource() && spaces[0] != "" && !x.scoped(gk) {
		spaces = append(spaces, "") // it could be either
	}
	if x.objects[gk] == nil {
		x.objects[gk] = map[string]map[string][]*render.Object{}
	}
	for _, ns := range spaces {
		if x.objects[gk][ns] == nil {
			x.objects[gk][ns] = map[string][]*render.Object{}
		}
		if l := x.objects[gk][ns][o.GetName()]; !slices.Contains(l, o) {
			x.objects[gk][ns][o.GetName()] = append(l, o)
		}
	}
}

// learn takes from an object what lookups need beyond its name.
func (x *index) learn(o *render.Object) {
	ns := x.space(o.GroupKind(), o.GetNamespace())
	switch o.GroupKind() {
	case service:
		i := &item{object: o, labels: stringMap(o.Object, "metadata", "labels")}
		for _, p := range mappings(o.Object, "spec", "ports") {
			n, _ := integer(p["port"])
			i.ports = append(i.ports, port{name: text(p, "name"), protocol: protocol(p), number: n})
		}
		x.svc.add(ns, i)
	case kind("apps", "StatefulSet"):
		for _, t := range mappings(o.Object, "spec", "volumeClaimTemplates") {
			x.claims[ns] = append(x.claims[ns], text(t, "metadata", "name")+"-"+o.GetName()+"-")
		}
	case kind("", "PersistentVolume"):
		x.classes[text(o.Object, "spec", "storageClassName")] = true
	case kind("fluxcd.controlplane.io", "FluxInstance"):
		x.flux[ns] = true
		x.locked = x.locked || at(o.Object, "spec", "cluster", "multitenant") == true
		if s := text(o.Object, "spec", "sync", "pullSecret"); s != "" {
			x.made[target{secret, ns, s}] = true // at bootstrap
		}
		name := text(o.Object, "spec", "sync", "name")
		if name == "" {
			name = ns
		}
		for _, k := range []string{"GitRepository", "OCIRepository", "Bucket"} {
			x.made[target{kind(sourceGroup, k), ns, name}] = true
		}
		x.made[target{kind(kustomizeGroup, "Kustomization"), ns, name}] = true
	}
	x.learnMade(o, ns)
	p, ok := o.Pods()
	if !ok {
		return
	}
	i := &item{object: o, labels: stringMap(p.Metadata, "labels"), closed: true}
	if o.Is("batch", "Job") {
		for _, k := range jobLabels {
			if i.labels == nil {
				i.labels = labels.Set{}
			}
			i.labels[k] = o.GetName()
		}
	}
	for _, c := range p.Containers() {
		list, ok := c.Spec["ports"].([]any)
		if (!ok || len(list) == 0) && c.Path[len(c.Path)-2] == "containers" {
			i.closed = false
		}
		for _, v := range list {
			if m, ok := v.(map[string]any); ok {
				n, _ := integer(m["containerPort"])
				i.ports = append(i.ports, port{name: text(m, "name"), protocol: protocol(m), number: n})
			}
		}
		x.learnArgs(c)
	}
	x.pod.add(ns, i)
}

// learnArgs takes from the arguments of Traefik and of Flux what they allow.
func (x *index) learnArgs(c render.Container) {
	for _, list := range []string{"args", "command"} {
		items, _ := c.Spec[list].([]any)
		for _, v := range items {
			arg, _ := v.(string)
			switch arg = strings.ToLower(arg); {
			case strings.HasPrefix(arg, "--providers.kubernetescrd"):
				if x.traefik == nil {
					x.traefik = new(bool)
				}
				rest, ok := strings.CutPrefix(arg, "--providers.kubernetescrd.allowcrossnamespace")
				*x.traefik = *x.traefik || ok && (rest == "" || rest == "=true")
			case arg == "--no-cross-namespace-refs=true" || arg == "--no-cross-namespace-refs":
				x.locked = true
			}
		}
	}
}

// scoped tells whether the scope of a kind is known.
func (x *index) scoped(gk schema.GroupKind) bool {
	_, ok := x.scopes[gk]
	return ok || clusterScoped[gk]
}

// cluster tells whether objects of a kind stand in no namespace.
func (x *index) cluster(gk schema.GroupKind) bool {
	if c, ok := x.scopes[gk]; ok {
		return c
	}
	return clusterScoped[gk] || gk.Group == "constraints.gatekeeper.sh"
}

// space returns the namespace that an object of a kind is in when it says that it
// is in ns. The API server puts what says nothing into "default".
func (x *index) space(gk schema.GroupKind, ns string) string {
	switch {
	case x.cluster(gk):
		return ""
	case ns == "":
		return metav1.NamespaceDefault
	}
	return ns
}

// get returns the objects of a name: none, one, or several when two Kustomizations
// own it.
func (x *index) get(t target) []*render.Object {
	if found := x.objects[t.GroupKind][t.namespace][t.name]; len(found) > 0 || x.scoped(t.GroupKind) {
		return found
	}
	return x.objects[t.GroupKind][""][t.name] // a custom resource that may have no namespace
}

// generated is the hash that kustomize appends to the names of what it generates.
var generated = regexp.MustCompile(`^-[2456789bcdfghkmt]{10}$`)

// names returns the names of a kind in a namespace, sorted, those of Secrets that
// only the cluster has too.
func (x *index) names(gk schema.GroupKind, namespace string) []string {
	key := target{gk, namespace, ""}
	if x.sorted == nil {
		x.sorted = map[target][]string{}
	}
	names, ok := x.sorted[key]
	if !ok {
		found := map[string]bool{}
		for name := range x.objects[gk][namespace] {
			found[name] = true
		}
		for _, p := range x.secrets {
			if gk == secret && p.Secret.Namespace == namespace {
				found[p.Secret.Name] = true
			}
		}
		names = sortedKeys(found)
		x.sorted[key] = names
	}
	return names
}

// near returns the name of the same kind and namespace that the target is most
// likely a misspelling of, or "".
func (x *index) near(t target) string { return nearestWord(t.name, x.names(t.GroupKind, t.namespace)) }

// nearestWord is report.Nearest for names of which there may be thousands.
func nearestWord(word string, known []string) string {
	return report.Nearest(word, slices.DeleteFunc(slices.Clone(known), func(k string) bool {
		return len(k) > len(word)+2 || len(k) < len(word)-2
	}))
}

// instead says what could have been meant, as the end of a sentence. placed: the
// reference says the namespace.
func (x *index) instead(t target, placed bool) string {
	spaces := map[string]bool{}
	for ns, names := range x.objects[t.GroupKind] {
		if len(names[t.name]) > 0 && ns != "" {
			spaces[ns] = true
		}
	}
	for _, p := range x.secrets {
		if t.GroupKind == secret && p.Secret.Name == t.name {
			spaces[p.Secret.Namespace] = true
		}
	}
	if ns := sortedKeys(spaces); len(ns) > 0 {
		if placed {
			return "; namespace " + list(ns, 3) + " has one of this name; correct the namespace"
		}
		return "; namespace " + list(ns, 3) + " has one of this name, but only its own namespace is looked in"
	}
	names := x.names(t.GroupKind, t.namespace)
	for _, n := range names {
		if rest, ok := strings.CutPrefix(n, t.name); ok && generated.MatchString(rest) {
			return "; kustomize generates " + n + ", whose hash does not reach this field (set generatorOptions.disableNameSuffixHash)"
		}
	}
	best := x.near(t)
	for _, n := range names {
		if best == "" && len(n) >= 3 && (strings.HasPrefix(n, t.name+"-") || strings.HasPrefix(t.name, n+"-")) {
			best = n
		}
	}
	if best == "" {
		return ""
	}
	t.name = best
	return "; did you mean " + t.String() + "?"
}

// requirements reads a label selector; ok is false when it cannot be read.
func requirements(selector map[string]any) (labels.Requirements, bool) {
	b, err := json.Marshal(selector)
	if err != nil {
		return nil, false
	}
	var s metav1.LabelSelector
	if err := json.Unmarshal(b, &s); err != nil {
		return nil, false
	}
	parsed, err := metav1.LabelSelectorAsSelector(&s)
	if err != nil {
		return nil, false
	}
	return parsed.Requirements()
}
