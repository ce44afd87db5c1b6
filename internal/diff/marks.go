package diff

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"lumacore.dev/lumacore/internal/gitops"
	"lumacore.dev/lumacore/internal/render"
	"lumacore.dev/lumacore/internal/report"
)

// Mark is something that owners want to know of a difference before it is merged.
type Mark struct {
	Name     string
	Severity report.Severity
	Means    string // for a person, one sentence
	Link     string // the source
	find     func(*marker, *pair) []remark
}

// remark is what a mark says of an object.
type remark struct {
	message string
	link    string // the source, if it is another one than the mark's
}

// says makes remarks of messages.
func says(f func(*marker, *pair) []string) func(*marker, *pair) []remark {
	return func(m *marker, p *pair) (out []remark) {
		for _, message := range f(m, p) {
			out = append(out, remark{message: message})
		}
		return out
	}
}

// production is the name of the mark of objects in production.
const production = "prod"

// Marks lists all marks, in the order in which an object's are shown.
var Marks = []Mark{
	{
		"namespace-delete", report.Error, "A namespace goes, and with it all that is in it, also what the repository does not hold.",
		"https://kubernetes.io/docs/concepts/overview/working-with-objects/namespaces/", says(namespaceDelete),
	},
	{
		"data-loss", report.Error, "A volume claim or the definition of a custom resource goes, and with it the data or all resources of that kind.",
		"https://kubernetes.io/docs/concepts/storage/persistent-volumes/#reclaiming", says(dataLoss),
	},
	{
		"pvc-shrink", report.Error, "A volume is asked to become smaller, which Kubernetes refuses.",
		"https://kubernetes.io/docs/concepts/storage/persistent-volumes/#expanding-persistent-volumes-claims", says(pvcShrink),
	},
	{
		"immutable", report.Error, "A field changes that the API server does not let change: the apply fails, unless the object is deleted and made anew.",
		"https://fluxcd.io/flux/components/kustomize/kustomizations/#force", immutable,
	},
	{
		"rbac-admin", report.Error, "Somebody may do everything, in the cluster or in a namespace.",
		"https://kubernetes.io/docs/concepts/security/rbac-good-practices/", says(rbacAdmin),
	},
	{
		"crd-version-removed", report.Error, "A version of a custom resource is not served any more: what still asks for it fails.",
		"https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definition-versioning/", says(crdVersion),
	},
	{
		"prune", report.Warning, "Flux or Helm deletes the object.",
		"https://fluxcd.io/flux/components/kustomize/kustomizations/#prune", says(prune),
	},
	{
		"rbac-growth", report.Warning, "A role allows more than before, or somebody gets one.",
		"https://kubernetes.io/docs/reference/access-authn-authz/rbac/", says(rbacGrowth),
	},
	{
		"privileged", report.Warning, "Pods get rights over the node that they did not have.",
		"https://kubernetes.io/docs/concepts/security/pod-security-standards/#baseline", says(privileged),
	},
	{
		"guard-removed", report.Warning, "A network policy, quota, disruption budget, admission policy or Pod Security level that held something back goes.",
		"https://kubernetes.io/docs/concepts/policy/", says(guardRemoved),
	},
	{
		"webhook-fail", report.Warning, "A webhook begins to refuse requests when it cannot be reached: if its pods are down, so is what it watches.",
		"https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/#failure-policy", says(webhookFail),
	},
	{
		"reinstall", report.Warning, "helm-controller uninstalls the release and installs another: with its volumes, if the chart makes them.",
		"https://fluxcd.io/flux/components/helm/helmreleases/#release-name", says(reinstall),
	},
	{
		"replicas-zero", report.Warning, "A workload goes to no pods.",
		"https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#replicas", says(replicasZero),
	},
	{
		"suspend", report.Warning, "Flux stops to apply something, or a CronJob to run.",
		"https://fluxcd.io/flux/components/kustomize/kustomizations/#suspend", says(suspended),
	},
	{
		"resume", report.Warning, "Flux begins to apply what was suspended: all that has gathered there goes out at once.",
		"https://fluxcd.io/flux/components/kustomize/kustomizations/#suspend", says(resumed),
	},
	{
		"owner", report.Warning, "Another Kustomization or HelmRelease applies the object: if the old one comes first, it deletes the object, and the new one makes it anew.",
		"https://fluxcd.io/flux/components/kustomize/kustomizations/#prune", says(ownerMark),
	},
	{
		"orphan", report.Info, "The object goes from the repository and stays in the cluster: nobody looks after it any more.",
		"https://fluxcd.io/flux/components/kustomize/kustomizations/#prune", says(orphan),
	},
	{production, report.Info, "The object is in production, or applies what is.", "https://kubernetes.io/docs/concepts/overview/working-with-objects/namespaces/", says(inProduction)},
}

// marker finds the marks of one cluster's differences. It is only read.
type marker struct {
	*clusterPair
	production []string
	namespaces map[string]int    // objects in each at base
	kinds      map[[2]string]int // objects of each group and kind at base
	owners     map[string]string // what applies objects to production, and the environment
}

func newMarker(c *clusterPair, production []string) *marker {
	m := &marker{clusterPair: c, production: production, namespaces: map[string]int{}, kinds: map[[2]string]int{}, owners: map[string]string{}}
	for _, side := range []*render.Cluster{c.base, c.head} {
		if side == nil {
			continue
		}
		for _, o := range side.Objects {
			if env := o.Origin.Environment; env != "" && slices.Contains(production, env) {
				m.owners["Kustomization "+o.Origin.Kustomization] = env
				if o.Origin.HelmRelease != "" {
					m.owners["HelmRelease "+o.Origin.HelmRelease] = env
				}
			}
		}
	}
	if c.base != nil {
		for _, o := range c.base.Objects {
			m.namespaces[o.GetNamespace()]++
			k := o.Key()
			m.kinds[[2]string{k.Group, k.Kind}]++
		}
	}
	return m
}

// marks returns the marks of a difference.
func (m *marker) marks(p *pair, mask *masker) []ObjectMark {
	out := []ObjectMark{}
	for i := range Marks {
		for _, x := range Marks[i].find(m, p) {
			out = append(out, ObjectMark{
				Mark: Marks[i].Name, Severity: Marks[i].Severity,
				Message: cut(mask.text(x.message)), Link: cmp.Or(x.link, Marks[i].Link),
			})
		}
	}
	return out
}

func inProduction(m *marker, p *pair) []string {
	o := p.subject()
	if env := o.Origin.Environment; env != "" && slices.Contains(m.production, env) {
		return []string{"it is in environment " + env}
	}
	// What is outside, and brings objects there.
	if o.Is(gitops.GroupKustomize, "Kustomization") || o.Is(gitops.GroupHelm, "HelmRelease") {
		if env := m.owners[o.Key().String()]; env != "" {
			return []string{"it applies objects of environment " + env}
		}
	}
	return nil
}

func prune(m *marker, p *pair) []string {
	if p.action() != Removed {
		return nil
	}
	deleted, why := m.fate(p.old)
	if !deleted {
		return nil
	}
	return []string{why}
}

func orphan(m *marker, p *pair) []string {
	if p.action() != Removed || p.old.Origin.Hook {
		return nil
	}
	deleted, why := m.fate(p.old)
	if deleted {
		return nil
	}
	return []string{"it stays in the cluster: " + why}
}

func namespaceDelete(m *marker, p *pair) []string {
	if p.action() != Removed || !p.old.Is("", "Namespace") {
		return nil
	}
	if deleted, _ := m.fate(p.old); !deleted {
		return nil
	}
	return []string{fmt.Sprintf("the namespace goes with all that is in it: %s of the repository, and what is there besides", count(m.namespaces[p.old.GetName()], "object"))}
}

func dataLoss(m *marker, p *pair) []string {
	if p.action() != Removed {
		return nil
	}
	deleted, _ := m.fate(p.old)
	switch {
	case !deleted:
	case p.old.Is("", "PersistentVolumeClaim"):
		return []string{"its volume goes with it, unless the volume's reclaim policy is Retain"}
	case p.old.Is("apiextensions.k8s.io", "CustomResourceDefinition"):
		group, kind := textAt(p.old, "spec", "group"), textAt(p.old, "spec", "names", "kind")
		return []string{fmt.Sprintf("all %s resources of the cluster go with their definition: %s of the repository, and what is there besides", kind, count(m.kinds[[2]string{group, kind}], "object"))}
	case p.old.Is("postgresql.cnpg.io", "Cluster"): // https://cloudnative-pg.io/documentation/current/storage/
		return []string{"the database's volumes go with it"}
	}
	return nil
}

// claims are the sizes that an object asks for: of itself, or of each template.
func claims(o *render.Object) map[string]resource.Quantity {
	out := map[string]resource.Quantity{}
	add := func(name string, claim map[string]any) {
		v, _, _ := unstructured.NestedFieldNoCopy(claim, "spec", "resources", "requests", "storage")
		if v == nil {
			return
		}
		if q, err := resource.ParseQuantity(fmt.Sprint(v)); err == nil {
			out[name] = q
		}
	}
	switch {
	case o == nil:
	case o.Is("", "PersistentVolumeClaim"):
		add("", o.Object)
	case o.Is("apps", "StatefulSet"):
		spec, _ := o.Object["spec"].(map[string]any)
		list, _ := spec["volumeClaimTemplates"].([]any)
		for _, t := range list {
			if t, ok := t.(map[string]any); ok {
				name, _ := scalarAt(t, "metadata.name")
				add(name, t)
			}
		}
	}
	return out
}

func pvcShrink(_ *marker, p *pair) (out []string) {
	old := claims(p.old)
	for name, now := range claims(p.new) {
		was, ok := old[name]
		if !ok || now.Cmp(was) >= 0 {
			continue
		}
		what := ""
		if name != "" {
			what = "template " + name + " "
		}
		out = append(out, fmt.Sprintf("%sgoes from %s to %s", what, was.String(), now.String()))
	}
	slices.Sort(out)
	return out
}

func crdVersion(_ *marker, p *pair) (out []string) {
	if p.action() != Changed || !p.new.Is("apiextensions.k8s.io", "CustomResourceDefinition") {
		return nil
	}
	now := servedVersions(p.new)
	for _, v := range servedVersions(p.old) {
		if !slices.Contains(now, v) {
			out = append(out, "version "+v+" is not served any more")
		}
	}
	return out
}

func servedVersions(o *render.Object) (out []string) {
	spec, _ := o.Object["spec"].(map[string]any)
	list, _ := spec["versions"].([]any)
	for _, v := range list {
		m, _ := v.(map[string]any)
		if name, _ := m["name"].(string); name != "" && m["served"] == true {
			out = append(out, name)
		}
	}
	return out
}

// privileges are the rights over the node that an object's pods have.
func privileges(o *render.Object) (out []string) {
	if o == nil {
		return nil
	}
	pods, ok := o.Pods()
	if !ok {
		return nil
	}
	for _, f := range []string{"hostNetwork", "hostPID", "hostIPC"} {
		if pods.Spec[f] == true {
			out = append(out, f)
		}
	}
	volumes, _ := pods.Spec["volumes"].([]any)
	for _, v := range volumes {
		m, _ := v.(map[string]any)
		if h, ok := m["hostPath"].(map[string]any); ok {
			out = append(out, fmt.Sprintf("the node's path %v", h["path"]))
		}
	}
	for _, c := range pods.Containers() {
		s, _ := c.Spec["securityContext"].(map[string]any)
		if s["privileged"] == true {
			out = append(out, "container "+c.Name+" is privileged")
		}
		caps, _ := s["capabilities"].(map[string]any)
		add, _ := caps["add"].([]any)
		for _, a := range add {
			// What Pod Security "baseline" takes for harmless, without those.
			if a, ok := a.(string); ok && !slices.Contains(harmless, a) {
				out = append(out, "container "+c.Name+" has the capability "+a)
			}
		}
		ports, _ := c.Spec["ports"].([]any)
		for _, port := range ports {
			m, _ := port.(map[string]any)
			if h, ok := number(m["hostPort"]); ok && h != 0 {
				out = append(out, fmt.Sprintf("port %v of the node", m["hostPort"]))
			}
		}
	}
	return out
}

// harmless are the capabilities that Pod Security's level "baseline" lets be added
// (https://kubernetes.io/docs/concepts/security/pod-security-standards/#baseline).
var harmless = []string{
	"AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT",
}

func privileged(_ *marker, p *pair) (out []string) {
	had := privileges(p.old)
	for _, x := range privileges(p.new) {
		if !slices.Contains(had, x) && !slices.Contains(out, "new: "+x) {
			out = append(out, "new: "+x)
		}
	}
	return out
}

// guards are the kinds that hold something back by being there.
var guards = []struct{ group, kind, what string }{
	{"networking.k8s.io", "NetworkPolicy", "what it kept out may come in, unless another policy selects the same pods"},
	{"cilium.io", "CiliumNetworkPolicy", "what it kept out may come in, unless another policy selects the same pods"},
	{"cilium.io", "CiliumClusterwideNetworkPolicy", "what it kept out may come in, unless another policy selects the same pods"},
	{"policy", "PodDisruptionBudget", "a drain may take all its pods at once"},
	{"", "ResourceQuota", "the namespace may take as much as there is"},
	{"", "LimitRange", "containers without limits have none any more"},
	{"admissionregistration.k8s.io", "ValidatingAdmissionPolicy", "what it refused is let in"},
	{"admissionregistration.k8s.io", "ValidatingAdmissionPolicyBinding", "what it refused is let in"},
	{"admissionregistration.k8s.io", "ValidatingWebhookConfiguration", "what its webhooks refused is let in"},
	{"constraints.gatekeeper.sh", "", "what it refused is let in"},
	{"kyverno.io", "ClusterPolicy", "what it refused is let in"},
}

// Levels of Pod Security, the weakest first.
var levels = []string{"privileged", "baseline", "restricted"}

const enforceLabel = "pod-security.kubernetes.io/enforce"

func guardRemoved(_ *marker, p *pair) []string {
	switch p.action() {
	case Removed:
		for _, g := range guards {
			if k := p.old.Key(); k.Group == g.group && (k.Kind == g.kind || g.kind == "") {
				return []string{"without it " + g.what}
			}
		}
	case Changed:
		if p.new.Is("", "Namespace") {
			old, new := cmp.Or(p.old.GetLabels()[enforceLabel], levels[0]), cmp.Or(p.new.GetLabels()[enforceLabel], levels[0])
			if slices.Index(levels, new) < slices.Index(levels, old) {
				return []string{fmt.Sprintf("Pod Security goes from %s to %s", old, new)}
			}
		}
		if p.new.Key().Group == "constraints.gatekeeper.sh" {
			const deny = "deny"
			old, new := cmp.Or(textAt(p.old, "spec", "enforcementAction"), deny), cmp.Or(textAt(p.new, "spec", "enforcementAction"), deny)
			if old == deny && new != deny {
				return []string{fmt.Sprintf("enforcementAction goes from %s to %s: what it refused is let in", old, new)}
			}
		}
	}
	return nil
}

func webhookFail(_ *marker, p *pair) (out []string) {
	if p.new == nil || !p.new.Is("admissionregistration.k8s.io", "ValidatingWebhookConfiguration", "MutatingWebhookConfiguration") {
		return nil
	}
	had := map[string]string{}
	if p.old != nil {
		had = failurePolicies(p.old)
	}
	for name, policy := range failurePolicies(p.new) {
		if policy == "Fail" && had[name] != "Fail" {
			out = append(out, fmt.Sprintf("webhook %s has failurePolicy Fail", name))
		}
	}
	slices.Sort(out)
	return out
}

func failurePolicies(o *render.Object) map[string]string {
	out := map[string]string{}
	list, _ := o.Object["webhooks"].([]any)
	for _, w := range list {
		m, _ := w.(map[string]any)
		name, _ := m["name"].(string)
		policy, _ := m["failurePolicy"].(string)
		out[name] = cmp.Or(policy, "Fail")
	}
	return out
}

func reinstall(_ *marker, p *pair) (out []string) {
	if p.action() != Changed || !p.new.Is(gitops.GroupHelm, "HelmRelease") {
		return nil
	}
	ns := p.new.GetNamespace()
	target := func(o *render.Object) string { return cmp.Or(textAt(o, "spec", "targetNamespace"), ns) }
	name := func(o *render.Object) string { // https://fluxcd.io/flux/components/helm/helmreleases/#release-name
		d := o.GetName()
		if t := textAt(o, "spec", "targetNamespace"); t != "" {
			d = t + "-" + d
		}
		return cmp.Or(textAt(o, "spec", "releaseName"), d)
	}
	storage := func(o *render.Object) string { return cmp.Or(textAt(o, "spec", "storageNamespace"), ns) }
	for _, f := range []struct {
		what string
		of   func(*render.Object) string
	}{{"release name", name}, {"target namespace", target}, {"storage namespace", storage}} {
		if old, new := f.of(p.old), f.of(p.new); old != new {
			out = append(out, fmt.Sprintf("the %s goes from %s to %s", f.what, old, new))
		}
	}
	return out
}

func replicasZero(_ *marker, p *pair) []string {
	if p.action() != Changed || !p.new.Is("apps", "Deployment", "StatefulSet", "ReplicaSet") {
		return nil
	}
	replicas := func(o *render.Object) float64 {
		spec, _ := o.Object["spec"].(map[string]any)
		if n, ok := number(spec["replicas"]); ok {
			return n
		}
		return 1
	}
	if old := replicas(p.old); replicas(p.new) == 0 && old > 0 {
		return []string{fmt.Sprintf("it goes from %v to no pods", old)}
	}
	return nil
}

// suspends tells whether an object has spec.suspend, and may have it.
func suspends(o *render.Object) bool {
	if o == nil {
		return false
	}
	spec, _ := o.Object["spec"].(map[string]any)
	flux := strings.HasSuffix(o.Key().Group, ".toolkit.fluxcd.io")
	return spec["suspend"] == true && (flux || o.Is("batch", "CronJob", "Job"))
}

func suspended(_ *marker, p *pair) []string {
	if p.action() != Changed || !suspends(p.new) || suspends(p.old) {
		return nil
	}
	return []string{"spec.suspend is set"}
}

func resumed(_ *marker, p *pair) []string {
	if p.action() != Changed || suspends(p.new) || !suspends(p.old) || p.new.Is("batch", "CronJob", "Job") {
		return nil
	}
	return []string{"spec.suspend is taken away"}
}

func ownerMark(_ *marker, p *pair) []string {
	if !p.moved() {
		return nil
	}
	name := func(o *render.Object) string {
		if o.Origin.HelmRelease != "" {
			return "HelmRelease " + o.Origin.HelmRelease
		}
		return "Kustomization " + o.Origin.Kustomization
	}
	return []string{fmt.Sprintf("it moves from %s to %s", name(p.old), name(p.new))}
}

// textAt is a text in an object, or "".
func textAt(o *render.Object, fields ...string) string {
	s, _, _ := unstructured.NestedString(o.Object, fields...)
	return s
}

// count writes a number of things: "1 object", "2 objects".
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
