package schema

import (
	"strings"

	"k8s.io/apimachinery/pkg/api/validate/content"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	utilversion "k8s.io/apimachinery/pkg/util/version"

	"lumacore.dev/lumacore/internal/render"
)

// nameRule returns the rule that names of a kind follow; prefix tells that the
// name is only the beginning of one
// (https://kubernetes.io/docs/concepts/overview/working-with-objects/names/).
func nameRule(group, kind string, kube *utilversion.Version) apivalidation.ValidateNameFunc {
	switch group + "/" + kind {
	case "/Namespace":
		return apivalidation.ValidateNamespaceName
	case "/Service":
		if kube.Minor() < 36 { // https://kep.k8s.io/5311
			return apivalidation.NameIsDNS1035Label
		}
		return apivalidation.NameIsDNSLabel
	case "rbac.authorization.k8s.io/Role", "rbac.authorization.k8s.io/ClusterRole",
		"rbac.authorization.k8s.io/RoleBinding", "rbac.authorization.k8s.io/ClusterRoleBinding",
		"flowcontrol.apiserver.k8s.io/FlowSchema", "flowcontrol.apiserver.k8s.io/PriorityLevelConfiguration":
		return pathSegment
	case "certificates.k8s.io/CertificateSigningRequest", "certificates.k8s.io/ClusterTrustBundle",
		"certificates.k8s.io/PodCertificateRequest", "storage.k8s.io/CSINode", "networking.k8s.io/IPAddress",
		"/Event", "events.k8s.io/Event", "apiregistration.k8s.io/APIService", "internal.apiserver.k8s.io/StorageVersion",
		"apiextensions.k8s.io/CustomResourceDefinition":
		return pathSegment // they have rules of their own, which are checked elsewhere or seldom matter
	}
	return apivalidation.NameIsDNSSubdomain
}

// pathSegment allows what may be a part of a URL's path.
func pathSegment(name string, prefix bool) []string {
	if prefix {
		return content.IsPathSegmentPrefix(name)
	}
	return content.IsPathSegmentName(name)
}

// metadata holds an object's names, labels and annotations against the rules that
// all objects follow. generated allows an object without a name: Helm creates it,
// Flux's kustomize-controller cannot.
func (p *problems) metadata(obj map[string]any, rule apivalidation.ValidateNameFunc, generated bool) {
	meta, _ := obj["metadata"].(map[string]any)
	name, isString := meta["name"].(string)
	generate, _ := meta["generateName"].(string)
	at := []any{"metadata", "name"}
	switch {
	case name == "" && generate != "" && generated:
		for _, why := range rule(generate, true) {
			p.add(ruleName, []any{"metadata", "generateName"}, generate, "Invalid value: %q: %s", shorten(generate), why)
		}
	case name == "" && generate != "":
		p.add(ruleName, at, nil, "Required value: Flux applies objects by name, it does not generate names")
	case name == "" && (isString || meta["name"] == nil):
		p.add(ruleName, at, nil, "Required value")
	case name != "":
		for _, why := range rule(name, false) {
			p.add(ruleName, at, name, "Invalid value: %q: %s", shorten(name), why)
		}
	}
	if ns, _ := meta["namespace"].(string); ns != "" {
		for _, why := range apivalidation.ValidateNamespaceName(ns, false) {
			p.add(ruleName, []any{"metadata", "namespace"}, ns, "Invalid value: %q: %s", shorten(ns), why)
		}
	}
	p.labels(meta["labels"], []any{"metadata", "labels"})
	p.annotations(meta["annotations"], []any{"metadata", "annotations"})
	finalizers, _ := meta["finalizers"].([]any)
	for i, f := range finalizers {
		if s, ok := f.(string); ok {
			for _, e := range apivalidation.ValidateFinalizerName(s, nil) {
				p.add(ruleLabel, []any{"metadata", "finalizers", i}, s, "%s", e.ErrorBody())
			}
		}
	}
}

// labels holds a map of labels against the rules for keys and values
// (https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#syntax-and-character-set).
func (p *problems) labels(v any, at []any) {
	p.pairs(v, at, func(k, v string) field.ErrorList {
		return metavalidation.ValidateLabels(map[string]string{k: v}, nil)
	})
}

func (p *problems) annotations(v any, at []any) {
	total := 0
	m, _ := v.(map[string]any)
	for k, v := range m {
		s, _ := v.(string)
		total += len(k) + len(s)
	}
	if total > apivalidation.TotalAnnotationSizeLimitB {
		p.add(ruleLabel, at, nil, "Too long: may not be more than %d bytes", apivalidation.TotalAnnotationSizeLimitB)
	}
	p.pairs(v, at, func(k, _ string) field.ErrorList {
		// As apivalidation.ValidateAnnotations does it; the size is that of all.
		var errs field.ErrorList
		for _, why := range content.IsLabelKey(strings.ToLower(k)) {
			errs = append(errs, field.Invalid(nil, k, why))
		}
		return errs
	})
}

// pairs reports what validate finds in each entry of a map of strings.
func (p *problems) pairs(v any, at []any, validate func(k, v string) field.ErrorList) {
	m, _ := v.(map[string]any)
	for _, k := range sorted(m) {
		s, ok := m[k].(string)
		if !ok {
			continue // reported as a wrong type
		}
		for _, e := range validate(k, s) {
			p.add(ruleLabel, join(at, k), s, "%s", e.ErrorBody())
		}
	}
}

// scope compares an object's namespace with the scope of its kind. An object of a
// chart gets that of its release; a namespace that nobody wrote, but targetNamespace or
// a kustomization put there, is nobody's mistake.
func (p *problems) scope(o *render.Object, namespaced bool) {
	ns := o.GetNamespace()
	switch {
	case namespaced && ns == "" && o.Origin.HelmRelease == "":
		p.add(ruleNamespace, []any{"metadata", "namespace"}, nil, "Required value: %v is namespaced, and neither the object nor its Kustomization names a namespace", o.GetKind())
	case !namespaced && ns != "" && o.Written("metadata", "namespace"):
		p.add(ruleCluster, []any{"metadata", "namespace"}, ns, "%v is cluster-scoped: the namespace %q is ignored", o.GetKind(), shorten(ns))
	}
}
