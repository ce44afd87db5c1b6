package podsecurity

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/pod-security-admission/api"

	"lumacore.dev/lumacore/internal/check"
	"lumacore.dev/lumacore/internal/render"
)

// builtin are the namespaces that every cluster has, without labels.
var builtin = map[string]bool{
	corev1.NamespaceDefault: true, "kube-system": true, "kube-public": true, corev1.NamespaceNodeLease: true,
}

// namespace is a namespace whose labels are known.
type namespace struct {
	name    string
	policy  api.Policy
	object  *render.Object // the Namespace, or the HelmRelease that makes it without labels
	labeled bool           // it has the label enforce
	invalid bool           // that label is refused
}

// clusterNamespaces are the namespaces of one cluster.
type clusterNamespaces struct {
	cluster *render.Cluster
	spaces  map[string]*namespace
}

// unlabeled is what the API server takes for a namespace without labels, unless
// its AdmissionConfiguration says otherwise.
var unlabeled = api.Policy{
	Enforce: api.LevelVersion{Level: api.LevelPrivileged, Version: api.LatestVersion()},
	Warn:    api.LevelVersion{Level: api.LevelPrivileged, Version: api.LatestVersion()},
	Audit:   api.LevelVersion{Level: api.LevelPrivileged, Version: api.LatestVersion()},
}

// psaLabels are the labels that Pod Security Admission reads.
var psaLabels = []string{
	api.EnforceLevelLabel, api.EnforceVersionLabel, api.AuditLevelLabel,
	api.AuditVersionLabel, api.WarnLevelLabel, api.WarnVersionLabel,
}

const labelPrefix = "pod-security.kubernetes.io/"

// namespacesOf returns the namespaces that the render makes, and reports labels
// that the API server refuses or does not read.
func namespacesOf(c *render.Cluster, out *check.Reporter) map[string]*namespace {
	spaces := map[string]*namespace{}
	for _, r := range c.Releases {
		if r.Spec == nil || r.Spec.Spec.Install == nil || !r.Spec.Spec.Install.CreateNamespace {
			continue
		}
		if name := r.Spec.GetReleaseNamespace(); spaces[name] == nil && !builtin[name] {
			spaces[name] = &namespace{name: name, policy: unlabeled, object: r.Object}
		}
	}
	declared := map[string]bool{}
	for _, o := range c.Of("", "Namespace") {
		labels := readLabels(c, o, out)
		if o.GetName() == "" || declared[o.GetName()] {
			continue // no name, or two owners: gates schema and render report them
		}
		declared[o.GetName()] = true
		space := &namespace{name: o.GetName(), object: o}
		_, space.labeled = labels[api.EnforceLevelLabel]
		for _, label := range psaLabels {
			value, ok := labels[label]
			if !ok {
				continue
			}
			if _, err := api.PolicyToEvaluate(map[string]string{label: value}, unlabeled); len(err) > 0 {
				out.Object("podsecurity/invalid-label", c, o, []any{"metadata", "labels", label},
					"label %s is %q: %s; the API server refuses the namespace", label, value, err[0].Detail)
				space.invalid = space.invalid || label == api.EnforceLevelLabel
				delete(labels, label)
			}
		}
		space.policy, _ = api.PolicyToEvaluate(labels, unlabeled)
		spaces[space.name] = space
	}
	return spaces
}

// readLabels returns the labels of a namespace that are of Pod Security Admission.
func readLabels(c *render.Cluster, o *render.Object, out *check.Reporter) map[string]string {
	metadata, _ := o.Object["metadata"].(map[string]any)
	all, _ := metadata["labels"].(map[string]any)
	labels := map[string]string{}
	for _, label := range slices.Sorted(maps.Keys(all)) {
		rest, ok := strings.CutPrefix(label, labelPrefix)
		if !ok {
			continue
		}
		at := []any{"metadata", "labels", label}
		if !slices.Contains(psaLabels, label) {
			out.Object("podsecurity/invalid-label", c, o, at,
				"label %s has no effect: Pod Security Admission reads enforce, audit, warn and each with -version after that prefix, not %q", label, rest)
			continue
		}
		text, ok := all[label].(string)
		if !ok {
			out.Object("podsecurity/invalid-label", c, o, at,
				"label %s is %s, not a text; the API server refuses the namespace", label, fmt.Sprint(all[label]))
			continue
		}
		labels[label] = text
	}
	return labels
}

// namespaceOf returns the namespace in which an object ends up.
func namespaceOf(c *render.Cluster, o *render.Object) string {
	if name := o.GetNamespace(); name != "" {
		return name
	}
	for _, r := range c.Releases {
		if o.Origin.HelmRelease != "" && r.Name() == o.Origin.HelmRelease && r.Spec != nil {
			return r.Spec.GetReleaseNamespace()
		}
	}
	return corev1.NamespaceDefault
}
