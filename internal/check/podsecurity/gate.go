// Package podsecurity is the gate over Pod Security Admission: which pods the API
// server will refuse, warn of or note, by the labels of the namespaces in the same
// render, and which namespaces are held to less than the level "restricted".
//
// The checks are Kubernetes' own (k8s.io/pod-security-admission), at the versions
// that the labels name; "latest" is the version of the clusters. Admission refuses
// Pods only: a Deployment is stored, and its pods never appear. Not modelled, as
// they are in no repository: the defaults and exemptions (users, runtime classes,
// namespaces) of the API server's AdmissionConfiguration, and the fields that other
// admission webhooks set.
//
// A register of exemptions in lumacore.yaml (check.podSecurity.exemptions) turns on
// the rules that hold it against the namespaces.
package podsecurity

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilversion "k8s.io/apimachinery/pkg/util/version"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"

	"lumacore.dev/lumacore/internal/check"
	"lumacore.dev/lumacore/internal/render"
	"lumacore.dev/lumacore/internal/report"
)

// Gate reports pods that Pod Security Admission refuses, and namespaces that are
// exempt from its strictest level.
var Gate = &check.Gate{
	Name:  "podsecurity",
	Title: "pods that Pod Security Admission refuses, and namespaces that it does not hold to \"restricted\"",
	Rules: rules,
	Check: run,
}

func run(ctx context.Context, in *check.Input, out *check.Reporter) error {
	evaluator, err := newEvaluator(in.KubeVersion)
	if err != nil {
		return err
	}
	var all []clusterNamespaces
	for _, c := range in.Render.Clusters {
		spaces := namespacesOf(c, out)
		all = append(all, clusterNamespaces{c, spaces})
		unknown := map[string][]*render.Object{}
		for _, o := range c.Objects {
			if err := ctx.Err(); err != nil {
				return err
			}
			pods, ok := o.Pods()
			if !ok {
				continue
			}
			name := namespaceOf(c, o)
			space, ok := spaces[name]
			switch {
			case ok:
				admit(evaluator, out, c, o, pods, space)
			case !builtin[name]:
				unknown[name] = append(unknown[name], o)
			}
		}
		uncheckedNamespaces(out, c, unknown)
	}
	if in.Config.Check.PodSecurity.Exemptions != nil {
		register(in, out, all)
	}
	return nil
}

// newEvaluator returns Kubernetes' checks; "latest" means the clusters' version, or
// the newest that the library knows.
func newEvaluator(v *utilversion.Version) (policy.Evaluator, error) {
	var emulated *api.Version
	if v != nil {
		kube := api.MajorMinorVersion(int(v.Major()), int(v.Minor()))
		emulated = &kube
	}
	return policy.NewEvaluator(policy.DefaultChecks(), emulated)
}

// uncheckedNamespaces reports the namespaces whose labels the repository does not
// hold, once each.
func uncheckedNamespaces(out *check.Reporter, c *render.Cluster, unknown map[string][]*render.Object) {
	for _, name := range slices.Sorted(maps.Keys(unknown)) {
		objects := unknown[name]
		first := objects[0]
		more := ""
		if n := len(objects) - 1; n > 0 {
			more = fmt.Sprintf(" and %d more", n)
		}
		out.Unchecked(report.Unchecked{
			Subject: fmt.Sprintf("Namespace %s", name), Location: first.Origin.Location, Clusters: []string{c.Name},
			Reason: fmt.Sprintf("the repository does not make it, so its Pod Security labels are not known; %s%s would be held against them", first.Key(), more),
			Next:   "put the Namespace with its labels into the repository",
		})
	}
}

// mode is one of the three things that Pod Security Admission does.
type mode struct {
	rule string
	verb string // "enforces"
	lv   func(api.Policy) api.LevelVersion
}

var modes = []mode{
	{"podsecurity/rejected", "enforces", func(p api.Policy) api.LevelVersion { return p.Enforce }},
	{"podsecurity/warned", "warns about", func(p api.Policy) api.LevelVersion { return p.Warn }},
	{"podsecurity/audited", "audits", func(p api.Policy) api.LevelVersion { return p.Audit }},
}

// admit reports what admission does to an object's pods. What is refused is not
// reported again as a warning of the same level.
func admit(evaluator policy.Evaluator, out *check.Reporter, c *render.Cluster, o *render.Object, pods render.Pods, space *namespace) {
	if space.policy.FullyPrivileged() {
		return
	}
	meta, spec, err := typed(pods)
	if err != nil {
		out.Unchecked(report.Unchecked{
			Subject: o.Key().String(), Location: o.Locate(append(slices.Clone(pods.Path), "spec")...), Clusters: []string{c.Name},
			Reason: fmt.Sprintf("its pod spec cannot be read: %v", err),
			Next:   "correct the type of that field; gate schema reports it with its line",
		})
		return
	}
	reported := map[api.LevelVersion]bool{}
	for _, m := range modes {
		lv := m.lv(space.policy)
		if reported[lv] {
			continue
		}
		results := evaluator.EvaluatePod(lv, meta, spec)
		violations := policy.AggregateCheckResults(results)
		if violations.Allowed {
			continue
		}
		reported[lv] = true
		at := concerned(evaluator, lv, meta, spec, results, pods)
		detail := bounded(violations.ForbiddenDetail())
		switch {
		case m.rule != "podsecurity/rejected":
			out.Object(m.rule, c, o, at, "the pods violate PodSecurity %q, which namespace %s %s: %s", lv.String(), space.name, m.verb, detail)
		case o.Is("", "Pod"):
			out.Object(m.rule, c, o, at, "the pod will be refused: it violates PodSecurity %q, which namespace %s enforces: %s", lv.String(), space.name, detail)
		default:
			out.Object(m.rule, c, o, at, "the %s will be stored and its pods refused: they violate PodSecurity %q, which namespace %s enforces: %s", o.GetKind(), lv.String(), space.name, detail)
		}
	}
}

// typed returns the pods as the types that the checks read: of the metadata they
// read the annotations.
func typed(pods render.Pods) (*metav1.ObjectMeta, *corev1.PodSpec, error) {
	meta := &metav1.ObjectMeta{}
	if annotations, ok := pods.Metadata["annotations"].(map[string]any); ok {
		meta.Annotations = make(map[string]string, len(annotations))
		for k, v := range annotations {
			if s, ok := v.(string); ok {
				meta.Annotations[k] = s
			}
		}
	}
	spec := &corev1.PodSpec{}
	return meta, spec, runtime.DefaultUnstructuredConverter.FromUnstructured(pods.Spec, spec)
}

// concerned returns the path of the one container that violates, or of the pod's
// spec: when several do, or something that is of no container.
func concerned(evaluator policy.Evaluator, lv api.LevelVersion, meta *metav1.ObjectMeta, spec *corev1.PodSpec, results []policy.CheckResult, pods render.Pods) []any {
	whole := append(slices.Clone(pods.Path), "spec")
	bare := *spec
	bare.InitContainers, bare.Containers, bare.EphemeralContainers = nil, nil, nil
	if !policy.AggregateCheckResults(evaluator.EvaluatePod(lv, meta, &bare)).Allowed {
		return whole
	}
	containers := pods.Containers()
	if len(containers) != len(spec.InitContainers)+len(spec.Containers)+len(spec.EphemeralContainers) {
		return whole // a null among them
	}
	found := -1
	for i := range containers {
		one := bare
		switch k := i - len(spec.InitContainers); {
		case k < 0:
			one.InitContainers = spec.InitContainers[i : i+1]
		case k < len(spec.Containers):
			one.Containers = spec.Containers[k : k+1]
		default:
			k -= len(spec.Containers)
			one.EphemeralContainers = spec.EphemeralContainers[k : k+1]
		}
		if policy.AggregateCheckResults(evaluator.EvaluatePod(lv, meta, &one)).Allowed {
			continue
		}
		if found >= 0 {
			return whole
		}
		found = i
	}
	if found < 0 {
		return whole
	}
	path := containers[found].Path
	// A container's other fields violate too: ports, probes. They have the item's line.
	if hasOnly(results, "securityContext") {
		return append(slices.Clone(path), "securityContext")
	}
	return path
}

// hasOnly tells whether all violations speak of the field.
func hasOnly(results []policy.CheckResult, field string) bool {
	for _, r := range results {
		if !r.Allowed && !strings.Contains(r.ForbiddenDetail, field) {
			return false
		}
	}
	return true
}

// bounded cuts a text that names more containers than anybody reads.
func bounded(s string) string {
	const most = 2000
	if len(s) <= most {
		return s
	}
	n := most
	for !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}
