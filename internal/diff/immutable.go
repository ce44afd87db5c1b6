package diff

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"lumacore.dev/lumacore/internal/render"
)

// frozen is a field that the API server does not let change.
type frozen struct {
	group string
	kinds []string
	way   string   // "spec.selector"
	not   []string // what below it may change
	link  string   // the validation, or where it is documented
	when  func(p *pair, f field) bool
}

// The API server's validation of updates, by folder.
const (
	appsValidation  = "https://github.com/kubernetes/kubernetes/blob/v1.36.0/pkg/apis/apps/validation/validation.go"
	batchValidation = "https://github.com/kubernetes/kubernetes/blob/v1.36.0/pkg/apis/batch/validation/validation.go"
	coreValidation  = "https://github.com/kubernetes/kubernetes/blob/v1.36.0/pkg/apis/core/validation/validation.go"
)

// immutables are the fields of Kubernetes' own kinds that do not change.
var immutables = []frozen{
	// ValidateDeploymentUpdate, ValidateDaemonSetUpdate, ValidateReplicaSetUpdate: the selector.
	{"apps", []string{"Deployment", "DaemonSet", "ReplicaSet"}, "spec.selector", nil, "https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#label-selector-updates", nil},
	// ValidateStatefulSetUpdate: all of spec but these.
	{"apps", []string{"StatefulSet"}, "spec", []string{"spec.replicas", "spec.ordinals", "spec.template", "spec.updateStrategy", "spec.revisionHistoryLimit", "spec.persistentVolumeClaimRetentionPolicy", "spec.minReadySeconds"}, appsValidation, nil},
	// ValidateJobSpecUpdate.
	{"batch", []string{"Job"}, "spec.selector", nil, batchValidation, nil},
	{"batch", []string{"Job"}, "spec.template", nil, batchValidation, func(p *pair, f field) bool {
		// A suspended Job may be scheduled elsewhere (KEP-2926).
		return !suspends(p.old) || !slices.ContainsFunc([]string{"nodeSelector", "affinity", "tolerations", "schedulingGates"}, func(s string) bool {
			return f.way.below("spec", "template", "spec", s)
		}) && !f.way.below("spec", "template", "metadata")
	}},
	{"batch", []string{"Job"}, "spec.completionMode", nil, batchValidation, nil},
	{"batch", []string{"Job"}, "spec.podFailurePolicy", nil, batchValidation, nil},
	{"batch", []string{"Job"}, "spec.backoffLimitPerIndex", nil, batchValidation, nil},
	{"batch", []string{"Job"}, "spec.successPolicy", nil, batchValidation, nil},
	{"batch", []string{"Job"}, "spec.completions", nil, batchValidation, func(p *pair, _ field) bool {
		return textAt(p.old, "spec", "completionMode") != "Indexed" // elastic indexed Jobs (KEP-3715)
	}},
	// ValidatePodUpdate: all of spec but these.
	{"", []string{"Pod"}, "spec", []string{"spec.containers.*.image", "spec.initContainers.*.image", "spec.activeDeadlineSeconds", "spec.tolerations", "spec.terminationGracePeriodSeconds", "spec.schedulingGates"}, "https://kubernetes.io/docs/concepts/workloads/pods/#pod-update-and-replacement", nil},
	// ValidateServiceUpdate: an address that was given stays, unless the type is or
	// becomes ExternalName. One that is not named any more stays as it is.
	{"", []string{"Service"}, "spec.clusterIP", nil, coreValidation, addressChanges},
	{"", []string{"Service"}, "spec.clusterIPs", nil, coreValidation, addressChanges},
	// ValidatePersistentVolumeClaimUpdate: all of spec but these.
	{"", []string{"PersistentVolumeClaim"}, "spec", []string{"spec.resources.requests", "spec.volumeAttributesClassName"}, "https://kubernetes.io/docs/concepts/storage/persistent-volumes/#persistentvolumeclaims", nil},
	// ValidatePersistentVolumeUpdate: the source of the volume.
	{"", []string{"PersistentVolume"}, "spec.csi", nil, coreValidation, nil},
	{"", []string{"PersistentVolume"}, "spec.nfs", nil, coreValidation, nil},
	{"", []string{"PersistentVolume"}, "spec.hostPath", nil, coreValidation, nil},
	{"", []string{"PersistentVolume"}, "spec.local", nil, coreValidation, nil},
	{"", []string{"PersistentVolume"}, "spec.iscsi", nil, coreValidation, nil},
	{"", []string{"PersistentVolume"}, "spec.volumeMode", nil, coreValidation, nil},
	// ValidateConfigMapUpdate, ValidateSecretUpdate.
	{"", []string{"ConfigMap", "Secret"}, "data", nil, "https://kubernetes.io/docs/concepts/configuration/configmap/#configmap-immutable", wasImmutable},
	{"", []string{"ConfigMap"}, "binaryData", nil, "https://kubernetes.io/docs/concepts/configuration/configmap/#configmap-immutable", wasImmutable},
	{"", []string{"Secret"}, "stringData", nil, "https://kubernetes.io/docs/concepts/configuration/secret/#secret-immutable", wasImmutable},
	{"", []string{"ConfigMap", "Secret"}, "immutable", nil, "https://kubernetes.io/docs/concepts/configuration/configmap/#configmap-immutable", wasImmutable},
	{"", []string{"Secret"}, "type", nil, coreValidation, nil},
	// ValidateStorageClassUpdate, ValidateCSIDriverUpdate.
	{"storage.k8s.io", []string{"StorageClass"}, "parameters", nil, "https://kubernetes.io/docs/concepts/storage/storage-classes/", nil},
	{"storage.k8s.io", []string{"StorageClass"}, "provisioner", nil, "https://kubernetes.io/docs/concepts/storage/storage-classes/", nil},
	{"storage.k8s.io", []string{"StorageClass"}, "reclaimPolicy", nil, "https://kubernetes.io/docs/concepts/storage/storage-classes/", nil},
	{"storage.k8s.io", []string{"StorageClass"}, "volumeBindingMode", nil, "https://kubernetes.io/docs/concepts/storage/storage-classes/", nil},
	{"storage.k8s.io", []string{"CSIDriver"}, "spec.attachRequired", nil, "https://kubernetes.io/docs/reference/kubernetes-api/config-and-storage-resources/csi-driver-v1/", nil},
	{"storage.k8s.io", []string{"CSIDriver"}, "spec.volumeLifecycleModes", nil, "https://kubernetes.io/docs/reference/kubernetes-api/config-and-storage-resources/csi-driver-v1/", nil},
	// ValidateRoleBindingUpdate, ValidateClusterRoleBindingUpdate.
	{"rbac.authorization.k8s.io", []string{"RoleBinding", "ClusterRoleBinding"}, "roleRef", nil, "https://kubernetes.io/docs/reference/access-authn-authz/rbac/#clusterrolebinding-example", nil},
	// ValidateIngressClassUpdate, ValidatePriorityClassUpdate, ValidateRuntimeClassUpdate.
	{"networking.k8s.io", []string{"IngressClass"}, "spec.controller", nil, "https://kubernetes.io/docs/reference/kubernetes-api/service-resources/ingress-class-v1/", nil},
	{"scheduling.k8s.io", []string{"PriorityClass"}, "value", nil, "https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/priority-class-v1/", nil},
	{"scheduling.k8s.io", []string{"PriorityClass"}, "preemptionPolicy", nil, "https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/priority-class-v1/", nil},
	{"node.k8s.io", []string{"RuntimeClass"}, "handler", nil, "https://kubernetes.io/docs/concepts/containers/runtime-class/", nil},
	// ValidateCustomResourceDefinitionUpdate.
	{"apiextensions.k8s.io", []string{"CustomResourceDefinition"}, "spec.scope", nil, "https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/", nil},
	{"apiextensions.k8s.io", []string{"CustomResourceDefinition"}, "spec.names.kind", nil, "https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/", nil},
}

func addressChanges(p *pair, f field) bool {
	const external = "ExternalName"
	return f.has && textAt(p.old, "spec", "type") != external && textAt(p.new, "spec", "type") != external
}

func wasImmutable(p *pair, _ field) bool { return p.old.Object["immutable"] == true }

// immutable names the fields that the API server does not let change.
func immutable(m *marker, p *pair) (out []remark) {
	if p.action() != Changed || p.was != "" { // with another hash in its name it is another object
		return nil
	}
	for i := range immutables {
		x := &immutables[i]
		if !p.new.Is(x.group, x.kinds...) {
			continue
		}
		for _, f := range p.fields {
			if x.has(f.way) && (x.when == nil || x.when(p, f)) {
				out = append(out, remark{fmt.Sprintf("%s does not change on a live %s; %s", f.way, p.new.GetKind(), m.remedy(p.new)), x.link})
			}
		}
		if strings.HasPrefix(x.way, "data") && wasImmutable(p, field{}) {
			for _, path := range p.sealed {
				out = append(out, remark{fmt.Sprintf("%s does not change on a live %s; %s", path, p.new.GetKind(), m.remedy(p.new)), x.link})
			}
		}
	}
	slices.SortFunc(out, func(a, b remark) int { return cmp.Or(cmp.Compare(a.message, b.message), cmp.Compare(a.link, b.link)) })
	return slices.CompactFunc(out, func(a, b remark) bool { return a.message == b.message })
}

// has tells whether a field is the one that does not change, or below it.
func (x *frozen) has(w way) bool {
	if !w.below(strings.Split(x.way, ".")...) {
		return false
	}
	return !slices.ContainsFunc(x.not, func(n string) bool { return w.below(strings.Split(n, ".")...) })
}

// remedy says what becomes of the apply.
func (m *marker) remedy(o *render.Object) string {
	if name := o.Origin.HelmRelease; name != "" {
		if r := findRelease(m.head.Releases, name); r != nil && r.Spec != nil && r.Spec.Spec.Upgrade != nil && r.Spec.Spec.Upgrade.Force {
			return "HelmRelease " + name + " has upgrade.force: it is deleted and made anew"
		}
		return "the upgrade fails until the object is deleted"
	}
	const force = "kustomize.toolkit.fluxcd.io/force" // https://fluxcd.io/flux/components/kustomize/kustomizations/#force
	name := o.Origin.Kustomization
	k := find(m.head.Kustomizations, name)
	forced := func(v string) bool { return strings.EqualFold(v, "enabled") }
	if k != nil && k.Spec.Spec.Force || forced(o.GetAnnotations()[force]) || forced(o.GetLabels()[force]) {
		return "Flux is told to force it: it is deleted and made anew"
	}
	return "the apply fails until the object is deleted, or has " + force + ": enabled"
}
