package rbac

import (
	"fmt"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/client-go/kubernetes/scheme"

	"lumacore.dev/lumacore/internal/report"
)

// access is a right on resources: each resource, with each verb.
type access struct{ group, resources, verbs string }

// power is a right that leads to more than it says.
type power struct {
	rule     string
	what     string // "lets its holders …"
	accesses []access
	// namespaced powers matter within one namespace too; the others only where they
	// hold in the whole cluster.
	namespaced bool
	// names are resourceNames that are as good as none.
	names []string
}

// limited tells whether the names of a rule keep its right from being the power.
func (p *power) limited(r *rbacv1.PolicyRule) bool {
	return len(r.ResourceNames) > 0 && !slices.ContainsFunc(r.ResourceNames, func(n string) bool { return slices.Contains(p.names, n) })
}

// powers are the ways to power that Kubernetes documents
// (https://kubernetes.io/docs/concepts/security/rbac-good-practices/). What a rule
// reaches with "*" for its resources is the rule wildcard's business.
var powers = []power{
	{"rbac/escalate", "give themselves and others any right", []access{
		{rbacv1.GroupName, "roles clusterroles", "escalate bind"},
	}, true, nil},
	{"rbac/impersonate", "act as somebody else", []access{
		{"", "users groups serviceaccounts", "impersonate"},
		{"authentication.k8s.io", "uids userextras", "impersonate"},
	}, true, nil},
	{"rbac/secrets-cluster-wide", "read the Secrets of all namespaces", []access{
		{"", "secrets", "get list watch"},
	}, false, nil},
	{"rbac/workloads-cluster-wide", "run pods in every namespace, as each of its service accounts and with each of its Secrets", []access{
		{"", "pods replicationcontrollers", "create update patch"},
		{"apps", "deployments statefulsets daemonsets replicasets", "create update patch"},
		{"batch", "jobs cronjobs", "create update patch"},
	}, false, nil},
	{"rbac/exec-cluster-wide", "run commands in the pods of all namespaces", []access{
		{"", "pods/exec pods/attach", "create get"}, // get too: over WebSockets, older API servers ask for no more
		{"", "pods/ephemeralcontainers", "update patch"},
	}, false, nil},
	{"rbac/token-requests", "take the tokens of all service accounts", []access{
		{"", "serviceaccounts/token", "create"},
	}, false, nil},
	{"rbac/nodes-proxy", "reach the kubelets, which run commands in every pod and write no audit log", []access{
		{"", "nodes/proxy", "get create"},
	}, false, nil},
	{"rbac/admission-webhooks", "read and change every object that is written, by a webhook of their own", []access{
		{"admissionregistration.k8s.io", "validatingwebhookconfigurations mutatingwebhookconfigurations", "create update patch"},
		{"admissionregistration.k8s.io", "mutatingadmissionpolicies", "create update patch"},
	}, false, nil},
	// The right on certificatesigningrequests/approval is worth nothing without this one
	// (https://kubernetes.io/docs/reference/access-authn-authz/certificate-signing-requests/#authorization).
	{"rbac/certificate-approval", "approve certificates that the API server takes for anybody's", []access{
		{"certificates.k8s.io", "signers", "approve"},
	}, false, []string{"kubernetes.io/*", "kubernetes.io/kube-apiserver-client"}},
	{"rbac/persistent-volumes", "mount any folder of a node, by a PersistentVolume of type hostPath", []access{
		{"", "persistentvolumes", "create"},
	}, false, nil},
	{"rbac/namespaces", "take the labels from namespaces by which policies hold", []access{
		{"", "namespaces", "update patch"},
	}, false, nil},
}

// reach returns what of the power a rule gives, as it is written: "get, list
// secrets"; nothing where its resources are "*".
func (p *power) reach(r *rbacv1.PolicyRule) []string {
	var out []string
	for _, a := range p.accesses {
		if !slices.Contains(r.APIGroups, a.group) && !slices.Contains(r.APIGroups, rbacv1.APIGroupAll) {
			continue
		}
		var verbs []string
		for _, v := range strings.Fields(a.verbs) {
			if slices.Contains(r.Verbs, v) {
				verbs = append(verbs, v)
			}
		}
		if slices.Contains(r.Verbs, rbacv1.VerbAll) {
			verbs = []string{"*"}
		}
		if len(verbs) == 0 {
			continue
		}
		var resources []string
		for _, res := range strings.Fields(a.resources) {
			_, sub, _ := strings.Cut(res, "/")
			switch {
			case slices.Contains(r.Resources, res):
				resources = append(resources, res)
			case sub != "" && slices.Contains(r.Resources, "*/"+sub) && !slices.Contains(resources, "*/"+sub):
				resources = append(resources, "*/"+sub)
			}
		}
		if len(resources) > 0 {
			out = append(out, strings.Join(verbs, ", ")+" "+strings.Join(resources, ", "))
		}
	}
	return out
}

// width is how much a rule opens with "*".
type width int

const (
	narrow     width = iota
	wideVerbs        // more than is written, on resources that are named
	wideGroup        // all of API groups that Kubernetes does not have itself
	wideKinds        // all resources of a group of Kubernetes
	everything       // all verbs on all resources of all groups
)

// widthOf returns how wide a rule is, and says so.
func widthOf(r *rbacv1.PolicyRule) (width, string) {
	star := func(list []string) bool { return slices.Contains(list, "*") }
	groups, resources, verbs := star(r.APIGroups), star(r.Resources), star(r.Verbs)
	does := strings.Join(r.Verbs, ", ")
	if verbs {
		does = "do anything"
	}
	switch {
	case groups && resources && verbs:
		return everything, "do anything with every resource of every API group, which is what cluster-admin may"
	case groups && resources:
		return wideKinds, does + " every resource of every API group, Secrets too"
	case resources:
		if !verbs {
			does += " every resource"
		} else {
			does += " with every resource"
		}
		var names []string
		w := wideGroup
		for _, g := range r.APIGroups {
			if kubernetes(g) {
				w = wideKinds
			}
			names = append(names, groupName(g))
		}
		text := fmt.Sprintf("%s of API group %s", does, words(names, 5))
		if slices.Contains(r.APIGroups, "") {
			text += ", Secrets too"
		}
		return w, text
	case slices.ContainsFunc(r.NonResourceURLs, func(u string) bool { return u == "*" || u == "/*" }):
		return wideVerbs, does + " every path of the API server that is no resource, such as its profiler"
	case groups && len(r.Resources) > 0:
		return wideVerbs, fmt.Sprintf("%s %s of every API group, whoever defines them", does, words(r.Resources, 5))
	case verbs && len(r.Resources) > 0:
		return wideVerbs, fmt.Sprintf("do anything with %s, also what the next version of Kubernetes brings", words(r.Resources, 5))
	}
	return narrow, ""
}

func groupName(g string) string {
	if g == "" {
		return `""`
	}
	return g
}

// kubernetes tells whether a group is one of Kubernetes' own.
func kubernetes(g string) bool {
	return g == "apiextensions.k8s.io" || g == "apiregistration.k8s.io" || scheme.Scheme.IsGroupRegistered(g)
}

// severity is how much a power matters: less where nobody or only a namespace has
// it, and where a chart brings it, which its owner did not write.
func severity(r *role, h holding, most report.Severity) report.Severity {
	if len(h.everywhere) == 0 || r.object == nil || r.object.Origin.HelmRelease != "" {
		return report.Info
	}
	return most
}
