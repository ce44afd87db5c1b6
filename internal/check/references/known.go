package references

import (
	"regexp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"lumacore.dev/lumacore/internal/render"
)

// The groups and kinds that are named most.
const (
	kustomizeGroup = "kustomize.toolkit.fluxcd.io"
	helmGroup      = "helm.toolkit.fluxcd.io"
	sourceGroup    = "source.toolkit.fluxcd.io"
	imageGroup     = "image.toolkit.fluxcd.io"
	notifyGroup    = "notification.toolkit.fluxcd.io"
	gatewayGroup   = "gateway.networking.k8s.io"
	rbacGroup      = "rbac.authorization.k8s.io"
	admissionGroup = "admissionregistration.k8s.io"
)

var (
	namespace      = kind("", "Namespace")
	secret         = kind("", "Secret")
	configMap      = kind("", "ConfigMap")
	service        = kind("", "Service")
	serviceAccount = kind("", "ServiceAccount")
	claim          = kind("", "PersistentVolumeClaim")
	clusterRole    = kind(rbacGroup, "ClusterRole")
	role           = kind(rbacGroup, "Role")
	gateway        = kind(gatewayGroup, "Gateway")
	storageClass   = kind("storage.k8s.io", "StorageClass")
	ingressClass   = kind("networking.k8s.io", "IngressClass")
	gatewayClass   = kind(gatewayGroup, "GatewayClass")
	priorityClass  = kind("scheduling.k8s.io", "PriorityClass")
	runtimeClass   = kind("node.k8s.io", "RuntimeClass")
)

// clusterScoped are kinds without namespace: Kubernetes' own, and those whose CRDs
// often come from a chart that is not at hand.
var clusterScoped = map[schema.GroupKind]bool{
	namespace: true, clusterRole: true, storageClass: true, ingressClass: true, gatewayClass: true,
	priorityClass: true, runtimeClass: true,
	kind("", "PersistentVolume"): true, kind("", "Node"): true,
	kind(rbacGroup, "ClusterRoleBinding"):                    true,
	kind("apiextensions.k8s.io", "CustomResourceDefinition"): true,
	kind("apiregistration.k8s.io", "APIService"):             true,
	kind(admissionGroup, "ValidatingWebhookConfiguration"):   true,
	kind(admissionGroup, "MutatingWebhookConfiguration"):     true,
	vap:             true,
	policyBinding:   true,
	mutatingPolicy:  true,
	mutatingBinding: true,
	kind("certificates.k8s.io", "CertificateSigningRequest"):           true,
	kind("certificates.k8s.io", "ClusterTrustBundle"):                  true,
	kind("flowcontrol.apiserver.k8s.io", "FlowSchema"):                 true,
	kind("flowcontrol.apiserver.k8s.io", "PriorityLevelConfiguration"): true,
	kind("networking.k8s.io", "IPAddress"):                             true,
	kind("networking.k8s.io", "ServiceCIDR"):                           true,
	kind("resource.k8s.io", "DeviceClass"):                             true,
	kind("resource.k8s.io", "ResourceSlice"):                           true,
	kind("storage.k8s.io", "CSIDriver"):                                true,
	kind("storage.k8s.io", "CSINode"):                                  true,
	kind("storage.k8s.io", "VolumeAttachment"):                         true,
	kind("storage.k8s.io", "VolumeAttributesClass"):                    true,
	kind("snapshot.storage.k8s.io", "VolumeSnapshotClass"):             true,
	kind("snapshot.storage.k8s.io", "VolumeSnapshotContent"):           true,
	kind("cert-manager.io", "ClusterIssuer"):                           true,
	kind("trust.cert-manager.io", "Bundle"):                            true,
	kind("external-secrets.io", "ClusterSecretStore"):                  true,
	kind("external-secrets.io", "ClusterExternalSecret"):               true,
	kind("external-secrets.io", "ClusterPushSecret"):                   true,
	kind("generators.external-secrets.io", "ClusterGenerator"):         true,
	kind("templates.gatekeeper.sh", "ConstraintTemplate"):              true,
	kind("kyverno.io", "ClusterPolicy"):                                true,
	kind("cilium.io", "CiliumClusterwideNetworkPolicy"):                true,
	kind("cilium.io", "CiliumLoadBalancerIPPool"):                      true,
	kind("cilium.io", "CiliumBGPClusterConfig"):                        true,
	kind("cilium.io", "CiliumL2AnnouncementPolicy"):                    true,
	kind("nfd.k8s-sigs.io", "NodeFeatureRule"):                         true,
	kind("policy.networking.k8s.io", "AdminNetworkPolicy"):             true,
	kind("policy.networking.k8s.io", "BaselineAdminNetworkPolicy"):     true,
	kind("tailscale.com", "Connector"):                                 true,
	kind("tailscale.com", "ProxyClass"):                                true,
	kind("tailscale.com", "ProxyGroup"):                                true,
	kind("tailscale.com", "DNSConfig"):                                 true,
}

// given are the objects that every cluster has: the API server, the controller
// manager or the distribution makes them
// (https://kubernetes.io/docs/reference/access-authn-authz/rbac/#default-roles-and-role-bindings,
// https://docs.k3s.io/installation/packaged-components).
var given = set(
	target{namespace, "", "default"}, target{namespace, "", "kube-system"}, target{namespace, "", "kube-public"},
	target{namespace, "", "kube-node-lease"}, target{namespace, "", "flux-system"},
	target{service, "default", "kubernetes"}, target{service, "kube-system", "kube-dns"},
	target{service, "kube-system", "metrics-server"}, target{service, "kube-system", "traefik"},
	target{configMap, "kube-system", "extension-apiserver-authentication"}, target{configMap, "kube-system", "coredns"},
	target{configMap, "kube-system", "kube-proxy"}, target{configMap, "kube-system", "kubeadm-config"},
	target{configMap, "kube-system", "local-path-config"}, target{configMap, "kube-public", "cluster-info"},
	target{secret, "kube-system", "k3s-serving"},
	target{kind("apps", "Deployment"), "kube-system", "coredns"}, target{kind("apps", "Deployment"), "kube-system", "metrics-server"},
	target{kind("apps", "Deployment"), "kube-system", "local-path-provisioner"}, target{kind("apps", "Deployment"), "kube-system", "traefik"},
	target{kind("apps", "DaemonSet"), "kube-system", "kube-proxy"},
	target{serviceAccount, "kube-system", "coredns"}, target{serviceAccount, "kube-system", "metrics-server"},
	target{serviceAccount, "kube-system", "local-path-provisioner-service-account"}, target{serviceAccount, "kube-system", "traefik"},
	target{clusterRole, "", "cluster-admin"}, target{clusterRole, "", "admin"}, target{clusterRole, "", "edit"}, target{clusterRole, "", "view"},
	target{clusterRole, "", "local-path-provisioner-role"}, target{clusterRole, "", "k3s-cloud-controller-manager"},
	target{role, "kube-system", "extension-apiserver-authentication-reader"},
	target{priorityClass, "", "system-cluster-critical"}, target{priorityClass, "", "system-node-critical"},
	target{storageClass, "", "local-path"}, target{ingressClass, "", "traefik"},
	// https://docs.k3s.io/add-ons/gpus, https://docs.k3s.io/advanced#additional-wasm-and-non-wasm-runtimes
	target{runtimeClass, "", "crun"}, target{runtimeClass, "", "lunatic"}, target{runtimeClass, "", "nvidia"},
	target{runtimeClass, "", "nvidia-cdi"}, target{runtimeClass, "", "nvidia-experimental"}, target{runtimeClass, "", "slight"},
	target{runtimeClass, "", "spin"}, target{runtimeClass, "", "wasmedge"}, target{runtimeClass, "", "wasmer"},
	target{runtimeClass, "", "wasmtime"}, target{runtimeClass, "", "wws"},
)

// ofFlux are the objects of Flux itself in its namespace. `flux bootstrap` commits
// them, the Flux Operator makes them in the cluster only
// (https://fluxoperator.dev/docs/crd/fluxinstance/).
var ofFlux = func() map[target]bool {
	out := map[target]bool{}
	for _, c := range []string{
		"source-controller", "kustomize-controller", "helm-controller", "notification-controller",
		"image-reflector-controller", "image-automation-controller", "source-watcher",
	} {
		out[target{serviceAccount, "", c}] = true
		out[target{kind("apps", "Deployment"), "", c}] = true
	}
	for _, s := range []string{"source-controller", "notification-controller", "webhook-receiver", "source-watcher"} {
		out[target{service, "", s}] = true
	}
	for _, k := range []string{"GitRepository", "OCIRepository", "Bucket"} {
		out[target{kind(sourceGroup, k), "", "flux-system"}] = true
	}
	out[target{kind(kustomizeGroup, "Kustomization"), "", "flux-system"}] = true
	out[target{secret, "", "flux-system"}] = true
	return out
}()

// ofManager are the ServiceAccounts that kube-controller-manager makes for its
// loops in kube-system, besides those that end in "-controller".
var ofManager = map[string]bool{
	"bootstrap-signer": true, "generic-garbage-collector": true, "horizontal-pod-autoscaler": true,
	"persistent-volume-binder": true, "pod-garbage-collector": true, "root-ca-cert-publisher": true, "token-cleaner": true,
}

// byHand are the Secrets that cannot come from a repository, since everything
// else that is secret comes through them: the key of SOPS, and the credentials of
// 1Password Connect.
var byHand = map[string]string{
	"sops-age":                   "the key that decrypts the repository's Secrets",
	"sops-gpg":                   "the key that decrypts the repository's Secrets",
	"op-credentials":             "the credentials of 1Password Connect",
	"onepassword-token":          "the token of the 1Password operator",
	"onepassword-connect-secret": "the credentials of 1Password Connect",
	"onepassword-secret":         "the credentials of 1Password Connect",
}

func set(targets ...target) map[target]bool {
	out := map[target]bool{}
	for _, t := range targets {
		out[t] = true
	}
	return out
}

// exists tells whether something that is not in the render is in the cluster all
// the same.
func (x *checker) exists(t target) bool {
	if given[t] || x.made[t] || x.copied[t.GroupKind][t.name] {
		return true
	}
	if _, ok := x.secrets[t.namespace+"/"+t.name]; ok && t.GroupKind == secret {
		return true
	}
	if x.flux[t.namespace] && ofFlux[target{t.GroupKind, "", t.name}] {
		return true
	}
	switch t.GroupKind {
	case namespace:
		return x.flux[t.name]
	case serviceAccount:
		return t.name == "default" || t.namespace == "kube-system" && (strings.HasSuffix(t.name, "-controller") || ofManager[t.name])
	case configMap:
		return t.name == "kube-root-ca.crt" || x.runtimeMade(t)
	case secret:
		return x.runtimeMade(t)
	case clusterRole:
		return strings.HasPrefix(t.name, "system:") || slices.ContainsFunc(sortedKeys(x.flux), func(ns string) bool {
			return t.name == "crd-controller-"+ns || t.name == "flux-edit-"+ns || t.name == "flux-view-"+ns
		})
	case role:
		return strings.HasPrefix(t.name, "system:") && (t.namespace == "kube-system" || t.namespace == "kube-public")
	case storageClass:
		return x.classes[t.name]
	case claim:
		return slices.ContainsFunc(x.claims[t.namespace], func(prefix string) bool {
			n, ok := strings.CutPrefix(t.name, prefix)
			return ok && ordinal.MatchString(n)
		})
	}
	return false
}

var ordinal = regexp.MustCompile(`^[0-9]{1,9}$`)

// learnMade notes what a controller makes of the object.
func (x *index) learnMade(o *render.Object, ns string) {
	makes := func(gk schema.GroupKind, names ...string) {
		for _, n := range names {
			x.made[target{gk, ns, n}] = true
		}
	}
	copies := func(gk schema.GroupKind, name string) {
		if name == "" {
			return
		}
		if x.copied[gk] == nil {
			x.copied[gk] = map[string]bool{}
		}
		x.copied[gk][name] = true
	}
	name := o.GetName()
	switch o.GroupKind() {
	case kind("postgresql.cnpg.io", "Cluster"): // https://cloudnative-pg.io/documentation/current/applications/
		makes(service, name+"-rw", name+"-ro", name+"-r")
		makes(secret, name+"-app", name+"-superuser", name+"-ca", name+"-server", name+"-replication")
		makes(serviceAccount, name)
	case kind("postgresql.cnpg.io", "Pooler"):
		makes(service, name)
	case kind("monitoring.coreos.com", "Prometheus"):
		makes(service, "prometheus-operated")
	case kind("monitoring.coreos.com", "Alertmanager"):
		makes(service, "alertmanager-operated")
	case kind("monitoring.coreos.com", "ThanosRuler"):
		makes(service, "thanos-ruler-operated")
	case kind("objectbucket.io", "ObjectBucketClaim"):
		makes(configMap, name)
		makes(secret, name)
	case kind("trust.cert-manager.io", "Bundle"):
		copies(configMap, name)
		copies(secret, name)
	case kind("external-secrets.io", "ClusterExternalSecret"):
		for _, n := range []string{name, text(o.Object, "spec", "externalSecretName"), text(o.Object, "spec", "externalSecretSpec", "target", "name")} {
			copies(secret, n)
		}
	case kind("cert-manager.io", "Issuer"):
		makes(secret, text(o.Object, "spec", "acme", "privateKeySecretRef", "name"))
	case kind("networking.k8s.io", "Ingress"): // https://cert-manager.io/docs/usage/ingress/
		if issued(o) {
			for _, t := range mappings(o.Object, "spec", "tls") {
				makes(secret, text(t, "secretName"))
			}
		}
	case gateway: // https://cert-manager.io/docs/usage/gateway/
		if issued(o) {
			visit(o.Object, []string{"spec", "listeners", "*", "tls", "certificateRefs", "*"}, nil, func(v any, _ []any) {
				if n := text(v, "namespace"); n == "" || n == ns {
					makes(secret, text(v, "name"))
				}
			})
		}
	case kind("kyverno.io", "ClusterPolicy"), kind("kyverno.io", "Policy"): // https://kyverno.io/docs/policy-types/cluster-policy/generate/
		for _, r := range mappings(o.Object, "spec", "rules") {
			copies(kind("", text(r, "generate", "kind")), text(r, "generate", "name"))
		}
	}
	for _, m := range []any{
		at(o.Object, "metadata", "annotations"),
		at(o.Object, "spec", "secretTemplate", "annotations"),                 // Certificate
		at(o.Object, "spec", "target", "template", "metadata", "annotations"), // ExternalSecret
		at(o.Object, "spec", "template", "metadata", "annotations"),           // SealedSecret
	} {
		annotations, _ := m.(map[string]any)
		for _, a := range copying {
			if s, _ := annotations[a].(string); s != "" && s != "false" {
				for _, n := range []string{name, text(o.Object, "spec", "secretName"), text(o.Object, "spec", "target", "name")} {
					copies(secret, n)
				}
				if o.GroupKind() == configMap {
					copies(configMap, name)
				}
			}
		}
	}
}

// copying are annotations with which a controller copies an object into other
// namespaces (https://github.com/emberstack/kubernetes-reflector,
// https://github.com/mittwald/kubernetes-replicator).
var copying = []string{
	"reflector.v1.k8s.emberstack.com/reflection-auto-enabled",
	"replicator.v1.mittwald.de/replicate-to",
	"replicator.v1.mittwald.de/replicate-to-matching",
}

// filling are annotations with which a controller fills an object that the
// repository holds empty or in part.
var filling = []string{
	"reflector.v1.k8s.emberstack.com/reflects",
	"replicator.v1.mittwald.de/replicate-from",
	"secret-generator.v1.mittwald.de/autogenerate",
	"secret-generator.v1.mittwald.de/type",
	"kubernetes.io/service-account.name",
}

// issued tells whether cert-manager makes the certificates that the object names.
func issued(o *render.Object) bool {
	annotations, _ := at(o.Object, "metadata", "annotations").(map[string]any)
	for _, a := range []string{"cert-manager.io/cluster-issuer", "cert-manager.io/issuer", "kubernetes.io/tls-acme"} {
		if s, _ := annotations[a].(string); s != "" {
			return true
		}
	}
	return false
}
