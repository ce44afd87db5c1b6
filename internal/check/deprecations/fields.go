package deprecations

import (
	"fmt"
	"maps"
	"slices"

	"lumacore.dev/lumacore/internal/render"
)

// advice is what is said of a field.
type advice struct {
	is    string
	since minor  // the version of Kubernetes; 0: it was never anything else
	use   string // "" if nothing replaces it
}

const (
	deprecated = "is deprecated"
	ignored    = "has no effect"
	broken     = "does not work"
)

// The tables are those by which the API server warns of pods, volumes, Services and
// Ingresses on their way in
// (https://github.com/kubernetes/kubernetes/tree/v1.36.3/pkg/api: pod/warnings.go,
// node/util.go, persistentvolume/util.go, persistentvolumeclaim/util.go,
// service/warnings.go, and pkg/registry/networking/ingress/strategy.go), as far as
// repositories have them.
var (
	podAnnotations = map[string]advice{
		"scheduler.alpha.kubernetes.io/critical-pod":  {ignored, 16, "spec.priorityClassName"},
		"security.alpha.kubernetes.io/sysctls":        {ignored, 11, "spec.securityContext.sysctls"},
		"security.alpha.kubernetes.io/unsafe-sysctls": {ignored, 11, "spec.securityContext.sysctls"},
		seccompPod: {ignored, 27, "spec.securityContext.seccompProfile"},
	}
	nodeLabels = map[string]advice{
		"beta.kubernetes.io/arch":                  {deprecated, 14, "kubernetes.io/arch"},
		"beta.kubernetes.io/os":                    {deprecated, 14, "kubernetes.io/os"},
		"beta.kubernetes.io/instance-type":         {deprecated, 17, "node.kubernetes.io/instance-type"},
		"failure-domain.beta.kubernetes.io/region": {deprecated, 17, "topology.kubernetes.io/region"},
		"failure-domain.beta.kubernetes.io/zone":   {deprecated, 17, "topology.kubernetes.io/zone"},
		"node-role.kubernetes.io/master":           {deprecated, 0, "node-role.kubernetes.io/control-plane"},
	}
	volumes = map[string]advice{
		"gitRepo":              {broken, 33, "an init container that clones into an emptyDir"},
		"photonPersistentDisk": {broken, 16, ""},
		"scaleIO":              {broken, 22, "the CSI driver"},
		"flocker":              {broken, 25, ""},
		"storageos":            {broken, 25, ""},
		"quobyte":              {broken, 25, "the CSI driver"},
		"glusterfs":            {broken, 26, ""},
		"cephfs":               {broken, 31, "the CSI driver (https://github.com/ceph/ceph-csi)"},
		"rbd":                  {broken, 31, "the CSI driver (https://github.com/ceph/ceph-csi)"},
	}
	claimAnnotations = map[string]advice{
		"volume.beta.kubernetes.io/storage-class": {deprecated, 8, "spec.storageClassName"},
	}
	volumeAnnotations = map[string]advice{
		"volume.beta.kubernetes.io/storage-class": {deprecated, 8, "spec.storageClassName"},
		"volume.beta.kubernetes.io/mount-options": {deprecated, 31, "spec.mountOptions"},
	}
	serviceAnnotations = map[string]advice{
		"service.kubernetes.io/topology-aware-hints": {deprecated, 27, "annotation service.kubernetes.io/topology-mode"},
	}
	accountAnnotations = map[string]advice{
		"kubernetes.io/enforce-mountable-secrets": {deprecated, 32, "a namespace of its own for what must not read the Secret"},
	}
	ingressClass = advice{deprecated, 18, "spec.ingressClassName"}
)

const (
	seccompPod        = "seccomp.security.alpha.kubernetes.io/pod"
	seccompContainer  = "container.seccomp.security.alpha.kubernetes.io/"
	apparmorContainer = "container.apparmor.security.beta.kubernetes.io/"
)

// fields reports fields and annotations of an object that the API server warns of.
func (s subject) fields(cluster minor) {
	o := s.object
	if pods, ok := o.Pods(); ok {
		s.pods(pods, cluster)
	}
	switch {
	case o.Is("networking.k8s.io", "Ingress"):
		if spec, _ := o.Object["spec"].(map[string]any); spec["ingressClassName"] == nil {
			s.annotations(o.Object, nil, map[string]advice{"kubernetes.io/ingress.class": ingressClass}, cluster)
		}
	case o.Is("", "Service"):
		s.annotations(o.Object, nil, serviceAnnotations, cluster)
	case o.Is("", "ServiceAccount"):
		s.annotations(o.Object, nil, accountAnnotations, cluster)
	case o.Is("", "PersistentVolume"):
		s.annotations(o.Object, nil, volumeAnnotations, cluster)
		spec, _ := o.Object["spec"].(map[string]any)
		s.volume(spec, []any{"spec"}, cluster)
	case o.Is("", "PersistentVolumeClaim"):
		s.annotations(o.Object, nil, claimAnnotations, cluster)
	case o.Is("apps", "StatefulSet"):
		spec, _ := o.Object["spec"].(map[string]any)
		claims, _ := spec["volumeClaimTemplates"].([]any)
		for i, c := range claims {
			claim, _ := c.(map[string]any)
			s.annotations(claim, []any{"spec", "volumeClaimTemplates", i}, claimAnnotations, cluster)
		}
	}
}

func (s subject) pods(pods render.Pods, cluster minor) {
	at := func(path ...any) []any { return append(slices.Clone(pods.Path), path...) }
	s.podAnnotations(pods, cluster)

	if account, _ := pods.Spec["serviceAccount"].(string); account != "" && pods.Spec["serviceAccountName"] == nil {
		s.field(at("spec", "serviceAccount"), "spec.serviceAccount", advice{deprecated, 0, "spec.serviceAccountName"}, cluster)
	}

	selector, _ := pods.Spec["nodeSelector"].(map[string]any)
	for _, label := range slices.Sorted(maps.Keys(selector)) {
		s.nodeLabel(label, at("spec", "nodeSelector", label), "in nodeSelector", cluster)
	}
	affinity, _ := pods.Spec["affinity"].(map[string]any)
	node, _ := affinity["nodeAffinity"].(map[string]any)
	required, _ := node["requiredDuringSchedulingIgnoredDuringExecution"].(map[string]any)
	terms, _ := required["nodeSelectorTerms"].([]any)
	for i, term := range terms {
		s.nodeTerm(term, at("spec", "affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution", "nodeSelectorTerms", i), cluster)
	}
	preferred, _ := node["preferredDuringSchedulingIgnoredDuringExecution"].([]any)
	for i, p := range preferred {
		item, _ := p.(map[string]any)
		s.nodeTerm(item["preference"], at("spec", "affinity", "nodeAffinity", "preferredDuringSchedulingIgnoredDuringExecution", i, "preference"), cluster)
	}
	spread, _ := pods.Spec["topologySpreadConstraints"].([]any)
	for i, c := range spread {
		constraint, _ := c.(map[string]any)
		if key, _ := constraint["topologyKey"].(string); key != "" {
			s.nodeLabel(key, at("spec", "topologySpreadConstraints", i, "topologyKey"), "in topologySpreadConstraints", cluster)
		}
	}

	list, _ := pods.Spec["volumes"].([]any)
	for i, v := range list {
		volume, _ := v.(map[string]any)
		s.volume(volume, at("spec", "volumes", i), cluster)
	}
}

// podAnnotations reports annotations of pods; those for seccomp and AppArmor not
// where the field stands beside them for older clusters.
func (s subject) podAnnotations(pods render.Pods, cluster minor) {
	all, _ := pods.Metadata["annotations"].(map[string]any)
	if len(all) == 0 {
		return
	}
	at := append(slices.Clone(pods.Path), "metadata", "annotations")
	pod, _ := pods.Spec["securityContext"].(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if a, ok := podAnnotations[name]; ok && (name != seccompPod || pod["seccompProfile"] == nil) {
			s.field(append(slices.Clone(at), name), "annotation "+name, a, cluster)
		}
	}
	for _, c := range pods.Containers() {
		own, _ := c.Spec["securityContext"].(map[string]any)
		if name := seccompContainer + c.Name; all[name] != nil && own["seccompProfile"] == nil {
			s.field(append(slices.Clone(at), name), "annotation "+name, advice{ignored, 27, "securityContext.seccompProfile of the container"}, cluster)
		}
		if name := apparmorContainer + c.Name; all[name] != nil && own["appArmorProfile"] == nil && pod["appArmorProfile"] == nil {
			s.field(append(slices.Clone(at), name), "annotation "+name, advice{deprecated, 30, "securityContext.appArmorProfile of the container"}, cluster)
		}
	}
}

// nodeTerm reports labels in a term of node affinity.
func (s subject) nodeTerm(term any, at []any, cluster minor) {
	t, _ := term.(map[string]any)
	list, _ := t["matchExpressions"].([]any)
	for i, e := range list {
		expression, _ := e.(map[string]any)
		if key, _ := expression["key"].(string); key != "" {
			s.nodeLabel(key, append(slices.Clone(at), "matchExpressions", i, "key"), "in nodeAffinity", cluster)
		}
	}
}

func (s subject) nodeLabel(label string, at []any, where string, cluster minor) {
	if a, ok := nodeLabels[label]; ok {
		s.field(at, fmt.Sprintf("node label %s %s", label, where), a, cluster)
	}
}

// volume reports the type of a volume that is no longer mounted.
func (s subject) volume(volume map[string]any, at []any, cluster minor) {
	for _, kind := range slices.Sorted(maps.Keys(volume)) {
		if a, ok := volumes[kind]; ok && volume[kind] != nil {
			s.field(append(slices.Clone(at), kind), "volume type "+kind, a, cluster)
		}
	}
}

// annotations reports the annotations of an object, or of a template in it, that
// are in the table.
func (s subject) annotations(object map[string]any, at []any, table map[string]advice, cluster minor) {
	metadata, _ := object["metadata"].(map[string]any)
	all, _ := metadata["annotations"].(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if a, ok := table[name]; ok {
			s.field(append(slices.Clone(at), "metadata", "annotations", name), "annotation "+name, a, cluster)
		}
	}
}

func (s subject) field(at []any, what string, a advice, cluster minor) {
	if cluster < a.since {
		return
	}
	since := ""
	if a.since > 0 {
		since = " since Kubernetes " + a.since.String()
	}
	use, fix := "", "Remove it: nothing replaces it."
	if a.use != "" {
		use, fix = "; use "+a.use, "Use "+a.use+" instead."
	}
	s.report("deprecations/field", fix, at, "%s %s%s%s", what, a.is, since, use)
}
