package helm

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"helm.sh/helm/v4/pkg/chart/common"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/version"
	"k8s.io/client-go/kubernetes/scheme"
)

// capabilities is what templates see of the cluster: helm-controller asks the API
// server, which is known by its version here.
func capabilities(env Env) (*common.Capabilities, error) {
	kv, err := common.ParseKubeVersion(fullVersion(env.KubeVersion))
	if err != nil {
		return nil, fmt.Errorf("%q is no Kubernetes version", env.KubeVersion)
	}
	builtin, err := builtinAPIs(kv.Version)
	if err != nil {
		return nil, err
	}
	return &common.Capabilities{
		KubeVersion: *kv,
		APIVersions: append(slices.Clip(builtin), env.APIVersions...),
		HelmVersion: common.DefaultCapabilities.HelmVersion,
	}, nil
}

// fullVersion makes "v1.36.0" of "1.36": charts compare with three numbers.
func fullVersion(v string) string {
	v = "v" + strings.TrimPrefix(v, "v")
	if strings.Count(v, ".") == 1 {
		v += ".0"
	}
	return v
}

var apisOf sync.Map // Kubernetes version: common.VersionSet

// lifecycle is what generated API types tell of themselves.
type (
	introduced interface{ APILifecycleIntroduced() (major, minor int) }
	removed    interface{ APILifecycleRemoved() (major, minor int) }
)

// builtinAPIs returns the groups, versions and kinds ("apps/v1",
// "apps/v1/Deployment") that an API server of a version serves by default: without
// those that were removed, alpha ones, and beta ones since Kubernetes 1.24
// (https://kubernetes.io/docs/reference/using-api/#api-versioning).
func builtinAPIs(kubeVersion string) (common.VersionSet, error) {
	if v, ok := apisOf.Load(kubeVersion); ok {
		return v.(common.VersionSet), nil
	}
	at, err := version.ParseGeneric(kubeVersion)
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	var out common.VersionSet
	add := func(gvk schema.GroupVersionKind) {
		for _, s := range []string{gvk.GroupVersion().String(), gvk.GroupVersion().String() + "/" + gvk.Kind} {
			if !seen[s] {
				seen[s] = true
				out = append(out, s)
			}
		}
	}
	for gvk := range scheme.Scheme.AllKnownTypes() {
		if served(gvk, at) {
			add(gvk)
		}
	}
	add(apiextensionsv1.SchemeGroupVersion.WithKind("CustomResourceDefinition"))
	add(schema.GroupVersionKind{Group: "apiregistration.k8s.io", Version: "v1", Kind: "APIService"})
	slices.Sort(out)
	apisOf.Store(kubeVersion, out)
	return out, nil
}

func served(gvk schema.GroupVersionKind, at *version.Version) bool {
	if gvk.Version == runtime.APIVersionInternal || gvk.Group == "apiextensions.k8s.io" || strings.Contains(gvk.Version, "alpha") {
		return false
	}
	// Types that are in every group for the API's own sake.
	if strings.HasSuffix(gvk.Kind, "List") || strings.HasSuffix(gvk.Kind, "Options") || gvk.Kind == "WatchEvent" || gvk.Kind == "Status" {
		return false
	}
	obj, err := scheme.Scheme.New(gvk)
	if err != nil {
		return false
	}
	if r, ok := obj.(removed); ok {
		if major, minor := r.APILifecycleRemoved(); at.AtLeast(version.MustParseGeneric(fmt.Sprintf("%d.%d", major, minor))) {
			return false
		}
	}
	in, ok := obj.(introduced)
	if !ok {
		return !strings.Contains(gvk.Version, "beta")
	}
	major, minor := in.APILifecycleIntroduced()
	if !at.AtLeast(version.MustParseGeneric(fmt.Sprintf("%d.%d", major, minor))) {
		return false
	}
	return !strings.Contains(gvk.Version, "beta") || major == 1 && minor < 24
}

// clusterScoped are the kinds of Kubernetes' own groups that have no namespace
// (`kubectl api-resources --namespaced=false`).
var clusterScoped = map[string][]string{
	"":                             {"ComponentStatus", "Namespace", "Node", "PersistentVolume"},
	"admissionregistration.k8s.io": {"MutatingAdmissionPolicy", "MutatingAdmissionPolicyBinding", "MutatingWebhookConfiguration", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding", "ValidatingWebhookConfiguration"},
	"apiextensions.k8s.io":         {"CustomResourceDefinition"},
	"apiregistration.k8s.io":       {"APIService"},
	"authentication.k8s.io":        {"SelfSubjectReview", "TokenReview"},
	"authorization.k8s.io":         {"SelfSubjectAccessReview", "SelfSubjectRulesReview", "SubjectAccessReview"},
	"certificates.k8s.io":          {"CertificateSigningRequest", "ClusterTrustBundle"},
	"flowcontrol.apiserver.k8s.io": {"FlowSchema", "PriorityLevelConfiguration"},
	"internal.apiserver.k8s.io":    {"StorageVersion"},
	"networking.k8s.io":            {"IPAddress", "IngressClass", "ServiceCIDR"},
	"node.k8s.io":                  {"RuntimeClass"},
	"policy":                       {"PodSecurityPolicy"},
	"rbac.authorization.k8s.io":    {"ClusterRole", "ClusterRoleBinding"},
	"resource.k8s.io":              {"DeviceClass", "DeviceTaintRule", "ResourceSlice"},
	"scheduling.k8s.io":            {"PriorityClass"},
	"storage.k8s.io":               {"CSIDriver", "CSINode", "StorageClass", "VolumeAttachment", "VolumeAttributesClass"},
	"storagemigration.k8s.io":      {"StorageVersionMigration"},
}

// scopes returns what tells whether an object has a namespace: the list above, the
// CRDs that the chart makes, and those of the render. What is not known has one.
func scopes(docs []doc, crds []Object, env Env) func(*unstructured.Unstructured) bool {
	cluster := map[schema.GroupKind]bool{}
	note := func(u *unstructured.Unstructured) {
		if u.GetKind() != "CustomResourceDefinition" {
			return
		}
		group, _, _ := unstructured.NestedString(u.Object, "spec", "group")
		kind, _, _ := unstructured.NestedString(u.Object, "spec", "names", "kind")
		scope, _, _ := unstructured.NestedString(u.Object, "spec", "scope")
		cluster[schema.GroupKind{Group: group, Kind: kind}] = scope == "Cluster"
	}
	for _, d := range docs {
		note(d.Unstructured)
	}
	for _, o := range crds {
		note(o.Unstructured)
	}
	return func(u *unstructured.Unstructured) bool {
		gk := u.GroupVersionKind().GroupKind()
		if slices.Contains(clusterScoped[gk.Group], gk.Kind) {
			return false
		}
		if c, ok := cluster[gk]; ok {
			return !c
		}
		namespaced, known := env.Scopes[gk.Group+"/"+gk.Kind]
		return namespaced || !known
	}
}
