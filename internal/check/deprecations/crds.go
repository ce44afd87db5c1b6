package deprecations

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/version"

	"lumacore.dev/lumacore/internal/render"
)

// crdVersions are the versions of one CRD by name.
type crdVersions map[string]crdVersion

type crdVersion struct {
	served, deprecated bool
	warning            string
}

// crdsOf returns the CRDs of a cluster. Of two of the same name the first counts.
func crdsOf(c *render.Cluster) map[schema.GroupKind]crdVersions {
	crds := map[schema.GroupKind]crdVersions{}
	for _, o := range c.Of("apiextensions.k8s.io", "CustomResourceDefinition") {
		spec, _ := o.Object["spec"].(map[string]any)
		names, _ := spec["names"].(map[string]any)
		list, _ := spec["versions"].([]any)
		group, _ := spec["group"].(string)
		kind, _ := names["kind"].(string)
		gk := schema.GroupKind{Group: group, Kind: kind}
		if gk.Empty() || crds[gk] != nil {
			continue
		}
		versions := crdVersions{}
		for _, item := range list {
			v, _ := item.(map[string]any)
			name, _ := v["name"].(string)
			var one crdVersion
			one.served, _ = v["served"].(bool)
			one.deprecated, _ = v["deprecated"].(bool)
			one.warning, _ = v["deprecationWarning"].(string)
			versions[name] = one
		}
		crds[gk] = versions
	}
	return crds
}

// best returns the version that the API server would prefer of those that are
// served and not deprecated; "" if there is none.
func (v crdVersions) best() string {
	var names []string
	for name, one := range v {
		if one.served && !one.deprecated {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return ""
	}
	return slices.MaxFunc(names, version.CompareKubeAwareVersionStrings)
}

// crd reports a version that the object's own CRD calls deprecated. One that it does
// not serve is reported by gate schema.
func (s subject) crd(versions crdVersions) {
	v := versions[s.gvk.Version]
	if !v.served || !v.deprecated {
		return
	}
	use, says := "", ""
	if best := versions.best(); best != "" {
		use = s.gvk.Group + "/" + best
	}
	if v.warning != "" {
		says = ": " + strings.TrimSuffix(strings.TrimSpace(v.warning), ".")
	}
	hint := ""
	if use != "" {
		hint = "; use " + use
	}
	s.version("deprecations/crd-version", use, "", "%s is deprecated by its CRD%s%s", s.name(), says, hint)
}

// family are versions of custom resources that their maker gave up.
type family struct {
	group, versions string
	kinds           string // "": all
	since           string // the release that does not serve it
	use             string
	source          string
}

// has tells whether the version is one of the family.
func (f family) has(gvk schema.GroupVersionKind) bool {
	return f.group == gvk.Group && slices.Contains(strings.Fields(f.versions), gvk.Version) &&
		(f.kinds == "" || slices.Contains(strings.Fields(f.kinds), gvk.Kind))
}

// families are versions of well-known custom resources that their makers gave up.
// They are asked when no CRD of the render serves the version.
var families = []family{
	{
		"cert-manager.io", "v1alpha2 v1alpha3 v1beta1", "", "cert-manager 1.6", "cert-manager.io/v1",
		"https://cert-manager.io/docs/releases/upgrading/remove-deprecated-apis/",
	},
	{
		"acme.cert-manager.io", "v1alpha2 v1alpha3 v1beta1", "", "cert-manager 1.6", "acme.cert-manager.io/v1",
		"https://cert-manager.io/docs/releases/upgrading/remove-deprecated-apis/",
	},
	{
		"external-secrets.io", "v1alpha1 v1beta1", "ExternalSecret ClusterExternalSecret SecretStore ClusterSecretStore",
		"external-secrets 0.17", "external-secrets.io/v1", "https://github.com/external-secrets/external-secrets/releases/tag/v0.17.0",
	},
	{
		"traefik.containo.us", "v1alpha1", "", "Traefik 3.0", "traefik.io/v1alpha1",
		"https://doc.traefik.io/traefik/migrate/v2-to-v3-details/#kubernetes-crds-api-group-traefikcontainous",
	},
	{
		"gateway.networking.k8s.io", "v1alpha2", "Gateway GatewayClass HTTPRoute", "Gateway API 0.8", "gateway.networking.k8s.io/v1",
		"https://github.com/kubernetes-sigs/gateway-api/blob/main/CHANGELOG/0.x-CHANGELOG.md",
	},
	{
		"gateway.networking.k8s.io", "v1alpha2", "GRPCRoute", "Gateway API 1.2", "gateway.networking.k8s.io/v1",
		"https://github.com/kubernetes-sigs/gateway-api/releases/tag/v1.2.0",
	},
	{
		"gateway.networking.k8s.io", "v1alpha2", "ReferenceGrant", "Gateway API 1.2", "gateway.networking.k8s.io/v1beta1",
		"https://github.com/kubernetes-sigs/gateway-api/releases/tag/v1.2.0",
	},
	{
		"longhorn.io", "v1beta1", "", "Longhorn 1.10", "longhorn.io/v1beta2",
		"https://github.com/longhorn/longhorn/issues/10249",
	},
	{
		"snapshot.storage.k8s.io", "v1beta1", "", "external-snapshotter 6.0", "snapshot.storage.k8s.io/v1",
		"https://github.com/kubernetes-csi/external-snapshotter/releases/tag/v6.0.0",
	},
}

// GivenUp tells whether Flux or the maker of a well-known custom resource has given
// the version up: then this gate reports it, unless a CRD of the render serves it.
func GivenUp(gvk schema.GroupVersionKind) bool {
	if slices.ContainsFunc(families, func(f family) bool { return f.has(gvk) }) {
		return true
	}
	for _, f := range fluxVersions {
		if f.group == gvk.Group && f.version == gvk.Version {
			return true
		}
	}
	return false
}

// family reports a version of a well-known custom resource that its maker gave up.
func (s subject) family() bool {
	for _, f := range families {
		if f.has(s.gvk) {
			s.version("deprecations/crd-version", f.use, f.source, "%s is not served since %s; use %s", s.name(), f.since, f.use)
			return true
		}
	}
	return false
}
