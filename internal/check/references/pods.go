package references

import (
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"lumacore.dev/lumacore/internal/render"
	"lumacore.dev/lumacore/internal/report"
)

// pods looks at what the pods of an object need before they start
// (https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/).
func (x *checker) pods(o *render.Object) {
	p, ok := o.Pods()
	if !ok {
		return
	}
	w := &podReferences{checker: x, o: o, space: x.space(o.GroupKind(), o.GetNamespace()), base: join(p.Path, "spec")}
	for _, f := range podFields {
		t := target{f.to, w.space, text(p.Spec, f.name)}
		if x.cluster(f.to) {
			t.namespace = ""
		}
		x.need(reference{from: o, at: join(w.base, f.name), what: f.name, to: t})
	}
	for i, v := range mappingsAt(p.Spec["imagePullSecrets"]) {
		x.need(reference{
			from: o, at: join(w.base, "imagePullSecrets", i, "name"), what: "imagePullSecrets",
			to: target{secret, w.space, text(v, "name")}, severity: report.Warning,
		})
	}
	for i, v := range mappingsAt(p.Spec["resourceClaims"]) {
		for _, f := range claimFields {
			x.need(reference{
				from: o, at: join(w.base, "resourceClaims", i, f.name), what: "resourceClaims." + f.name,
				to: target{f.to, w.space, text(v, f.name)},
			})
		}
	}
	volumes := map[string]volume{}
	for i, v := range mappingsAt(p.Spec["volumes"]) {
		volumes[text(v, "name")] = w.volume(v, join(w.base, "volumes", i))
	}
	for _, c := range p.Containers() {
		w.container(c, volumes)
	}
}

// namedBy is a field and what it names, or is about.
type namedBy struct {
	name string
	to   schema.GroupKind
}

// The fields of pods that lead to other objects.
var (
	podFields   = []namedBy{{"serviceAccountName", serviceAccount}, {"priorityClassName", priorityClass}, {"runtimeClassName", runtimeClass}}
	claimFields = []namedBy{
		{"resourceClaimName", kind("resource.k8s.io", "ResourceClaim")},
		{"resourceClaimTemplateName", kind("resource.k8s.io", "ResourceClaimTemplate")},
	}
	projections = []namedBy{{"configMap", configMap}, {"secret", secret}}
	envFroms    = []namedBy{{"configMapRef", configMap}, {"secretRef", secret}}
	envValues   = []namedBy{{"configMapKeyRef", configMap}, {"secretKeyRef", secret}}
)

// podReferences looks at the pods of one object.
type podReferences struct {
	*checker
	o     *render.Object
	space string
	base  []any
}

// volume is what is known of the files in a volume.
type volume struct {
	ref     reference
	objects []*render.Object
	files   []string // if only these keys are put there, under these names
	keyed   bool     // the files are the keys of ref's object
}

// volume looks at one volume of the pod.
func (w *podReferences) volume(v map[string]any, at []any) volume {
	what := "volume " + text(v, "name")
	var out volume
	if m, ok := v["configMap"].(map[string]any); ok {
		out = w.files(m, "name", configMap, what, join(at, "configMap"))
	}
	if m, ok := v["secret"].(map[string]any); ok {
		out = w.files(m, "secretName", secret, what, join(at, "secret"))
	}
	if m, ok := v["persistentVolumeClaim"].(map[string]any); ok {
		w.need(reference{from: w.o, at: join(at, "persistentVolumeClaim", "claimName"), what: what, to: target{claim, w.space, text(m, "claimName")}})
	}
	if m, ok := v["csi"].(map[string]any); ok {
		w.need(reference{
			from: w.o, at: join(at, "csi", "nodePublishSecretRef", "name"), what: what,
			to: target{secret, w.space, text(m, "nodePublishSecretRef", "name")},
		})
	}
	if m, ok := v["projected"].(map[string]any); ok {
		for i, source := range mappingsAt(m["sources"]) {
			for _, f := range projections {
				if m, ok := source[f.name].(map[string]any); ok {
					w.files(m, "name", f.to, what, join(at, "projected", "sources", i, f.name))
				}
			}
		}
	}
	return out
}

// files looks at a Secret or ConfigMap that becomes files.
func (w *podReferences) files(m map[string]any, name string, to schema.GroupKind, what string, at []any) volume {
	if m["optional"] == true {
		return volume{}
	}
	v := volume{ref: reference{from: w.o, at: join(at, name), what: what, to: target{to, w.space, text(m, name)}}}
	v.objects, _ = w.need(v.ref)
	v.keyed = true
	for i, item := range mappingsAt(m["items"]) {
		r := v.ref
		r.at = join(at, "items", i, "key")
		w.key(r, v.objects, text(item, "key"))
		v.files = append(v.files, text(item, "path"))
	}
	return v
}

// container looks at the environment and the mounts of a container.
func (w *podReferences) container(c render.Container, volumes map[string]volume) {
	of := " of container " + c.Name
	for i, v := range mappingsAt(c.Spec["envFrom"]) {
		for _, f := range envFroms {
			m, ok := v[f.name].(map[string]any)
			if ok && m["optional"] != true {
				w.need(reference{from: w.o, at: join(c.Path, "envFrom", i, f.name, "name"), what: "envFrom" + of, to: target{f.to, w.space, text(m, "name")}})
			}
		}
	}
	for i, v := range mappingsAt(c.Spec["env"]) {
		from, _ := v["valueFrom"].(map[string]any)
		for _, f := range envValues {
			m, ok := from[f.name].(map[string]any)
			if !ok || m["optional"] == true {
				continue
			}
			at := join(c.Path, "env", i, "valueFrom", f.name)
			r := reference{from: w.o, at: join(at, "name"), what: "env " + text(v, "name") + of, to: target{f.to, w.space, text(m, "name")}}
			objects, _ := w.need(r)
			r.at = join(at, "key")
			w.key(r, objects, text(m, "key"))
		}
	}
	w.handlers(c)
	for i, m := range mappingsAt(c.Spec["volumeMounts"]) {
		v, ok := volumes[text(m, "name")]
		sub, _, _ := strings.Cut(strings.TrimPrefix(text(m, "subPath"), "./"), "/")
		if !ok || !v.keyed || sub == "" || slices.ContainsFunc(v.files, func(f string) bool { return f == sub || strings.HasPrefix(f, sub+"/") }) {
			continue
		}
		r := v.ref
		r.at, r.what = join(c.Path, "volumeMounts", i, "subPath"), "subPath of volume "+text(m, "name")+of
		if len(v.files) > 0 {
			w.report("references/missing-key", r, "%s: %s is %s, but of %s the volume has only %s", w.o.Key(), r.what, sub, v.ref.to, list(v.files, 5))
			continue
		}
		w.key(r, v.objects, sub)
	}
}

// handled are the places of a container from which the kubelet calls one of its
// ports.
var handled = [][]any{{"livenessProbe"}, {"readinessProbe"}, {"startupProbe"}, {"lifecycle", "postStart"}, {"lifecycle", "preStop"}}

// handlers looks for the ports that the probes and lifecycle handlers of a
// container name. The kubelet looks among those of the same container only
// (https://kubernetes.io/docs/tasks/configure-pod-container/configure-liveness-readiness-startup-probes/#use-a-named-port).
func (w *podReferences) handlers(c render.Container) {
	var have []port
	for _, p := range mappings(c.Spec, "ports") {
		n, _ := integer(p["containerPort"])
		have = append(have, port{name: text(p, "name"), protocol: protocol(p), number: n})
	}
	for _, place := range handled {
		for _, action := range []string{"httpGet", "tcpSocket"} {
			path := join(place, action, "port")
			name := text(c.Spec, strings.Split(dotted(path), ".")...)
			if _, err := strconv.Atoi(name); err == nil || name == "" || slices.ContainsFunc(have, func(p port) bool { return p.name == name }) {
				continue
			}
			r := reference{
				from: w.o, at: join(c.Path, path...), what: dotted(path) + " of container " + c.Name, chosen: true,
				to: target{kind("", "Pod"), w.space, name},
			}
			if w.unresolved(r) {
				continue
			}
			w.report("references/port-missing", r, "%s: %s names port %s, but the container has %s", w.o.Key(), r.what, name, ports(have))
		}
	}
}

// key reports a key that the Secret or ConfigMap does not have.
func (x *checker) key(r reference, objects []*render.Object, key string) {
	if key == "" || strings.Contains(key, "${") || len(r.from.Origin.Placeholders) > 0 && render.HasStandIn(key) {
		return
	}
	has := map[string]bool{}
	p, isPlaceholder := x.secrets[r.to.namespace+"/"+r.to.name]
	if r.to.GroupKind != secret {
		isPlaceholder = false
	}
	if isPlaceholder && p.Any || !isPlaceholder && len(objects) == 0 {
		return
	}
	if isPlaceholder {
		for _, k := range p.Keys {
			has[k] = true
		}
	}
	for _, o := range objects {
		data := false
		for _, f := range []string{"data", "stringData", "binaryData"} {
			m, _ := o.Object[f].(map[string]any)
			for k := range m {
				has[k], data = true, true
			}
		}
		annotations, _ := at(o.Object, "metadata", "annotations").(map[string]any)
		filled := slices.ContainsFunc(filling, func(a string) bool { return annotations[a] != nil })
		if !data && !isPlaceholder || filled { // a controller fills it
			return
		}
	}
	if has[key] {
		return
	}
	names := sortedKeys(has)
	hint := "; it has " + list(names, 8)
	if near := nearestWord(key, names); near != "" {
		hint = "; did you mean " + near + "?"
	}
	if len(names) == 0 {
		hint = ""
	}
	x.report("references/missing-key", r, "%s: %s names key %s of %s, which has no such key%s", r.from.Key(), r.what, key, r.to, hint)
}

// mappingsAt returns the mappings of a list with their places in it; what is no
// mapping is nil.
func mappingsAt(v any) []map[string]any {
	items, _ := v.([]any)
	out := make([]map[string]any, len(items))
	for i, item := range items {
		out[i], _ = item.(map[string]any)
	}
	return out
}
