package rbac

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"lumacore.dev/lumacore/internal/check"
	"lumacore.dev/lumacore/internal/check/checktest"
	"lumacore.dev/lumacore/internal/config"
	"lumacore.dev/lumacore/internal/render"
	"lumacore.dev/lumacore/internal/report"
)

func TestExamples(t *testing.T) {
	t.Parallel()
	checktest.Examples(t, Gate)
}

// roleYAML is a role of any kind.
func roleYAML(kind, name, namespace, rules string) string {
	s := "---\napiVersion: rbac.authorization.k8s.io/v1\nkind: " + kind + "\nmetadata:\n  name: " + name + "\n"
	if namespace != "" {
		s += "  namespace: " + namespace + "\n"
	}
	return s + "rules:\n  - " + rules + "\n"
}

// bindingYAML binds a role to a subject, in a namespace or in the whole cluster.
func bindingYAML(name, namespace, role, subject string) string {
	kind := "ClusterRoleBinding"
	if namespace != "" {
		kind = "RoleBinding"
	}
	s := "---\napiVersion: rbac.authorization.k8s.io/v1\nkind: " + kind + "\nmetadata:\n  name: " + name + "\n"
	if namespace != "" {
		s += "  namespace: " + namespace + "\n"
	}
	of, role, _ := strings.Cut(role, " ")
	return s + "roleRef: {apiGroup: rbac.authorization.k8s.io, kind: " + of + ", name: " + role + "}\nsubjects:\n  - " + subject + "\n"
}

const (
	account  = "{kind: ServiceAccount, name: app, namespace: app}"
	secrets  = `{apiGroups: [""], resources: [secrets], verbs: [get, list]}`
	all      = `{apiGroups: ["*"], resources: ["*"], verbs: ["*"]}`
	holder   = "held by ServiceAccount app/app in the whole cluster, through ClusterRoleBinding app"
	nobody   = "nothing in the repository binds it, so that nobody has it yet"
	bindsAll = "  lets its holders do anything with every resource of every API group, which is what cluster-admin may; "
)

// found are the findings with their severities.
func found(rep *report.CheckReport) (out []string) {
	for _, f := range rep.Findings {
		text := fmt.Sprintf("%s %s %s %s", f.Location, f.Severity, strings.TrimPrefix(f.Rule, "rbac/"), f.Message)
		if f.Suppressed != nil {
			text += " [by " + f.Suppressed.By + " until " + f.Suppressed.Expires + "]"
		}
		out = append(out, text)
	}
	return out
}

func TestPowers(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		repository string
		want       []string
	}{
		"everything": {roleYAML("ClusterRole", "app", "", all) + bindingYAML("app", "", "ClusterRole app", account), []string{
			"cluster/objects.yaml:7 warning wildcard ClusterRole app" + strings.TrimPrefix(bindsAll, " ") + holder,
		}},
		"nobody has it": {roleYAML("ClusterRole", "app", "", all), []string{
			"cluster/objects.yaml:7 info wildcard ClusterRole app" + strings.TrimPrefix(bindsAll, " ") + nobody,
		}},
		"only in a namespace": {roleYAML("ClusterRole", "app", "", all) + bindingYAML("app", "web", "ClusterRole app", account), []string{
			"cluster/objects.yaml:7 info wildcard ClusterRole app" + strings.TrimPrefix(bindsAll, " ") + "held by ServiceAccount app/app in namespace web, through RoleBinding web/app",
		}},
		"all of a group of Kubernetes": {roleYAML("ClusterRole", "app", "", `{apiGroups: ["", apps], resources: ["*"], verbs: [get]}`) + bindingYAML("app", "", "ClusterRole app", account), []string{
			`cluster/objects.yaml:7 warning wildcard ClusterRole app lets its holders get every resource of API group "" and apps, Secrets too; ` + holder,
		}},
		"all of a group of its own": {roleYAML("ClusterRole", "app", "", `{apiGroups: [example.org], resources: ["*"], verbs: [get]}`) + bindingYAML("app", "", "ClusterRole app", account), []string{
			`cluster/objects.yaml:7 info wildcard ClusterRole app lets its holders get every resource of API group example.org; ` + holder,
		}},
		"paths": {roleYAML("ClusterRole", "app", "", `{nonResourceURLs: ["*"], verbs: [get]}`) + bindingYAML("app", "", "ClusterRole app", account), []string{
			`cluster/objects.yaml:7 info wildcard ClusterRole app lets its holders get every path of the API server that is no resource, such as its profiler; ` + holder,
		}},
		"secrets": {roleYAML("ClusterRole", "app", "", secrets) + bindingYAML("app", "", "ClusterRole app", account), []string{
			"cluster/objects.yaml:7 warning secrets-cluster-wide ClusterRole app lets its holders read the Secrets of all namespaces (get, list secrets); " + holder,
		}},
		"secrets of a namespace":                   {roleYAML("Role", "app", "web", secrets) + bindingYAML("app", "web", "Role app", account), nil},
		"secrets of a namespace, by a ClusterRole": {roleYAML("ClusterRole", "app", "", secrets) + bindingYAML("app", "web", "ClusterRole app", account), nil},
		"secrets by name":                          {roleYAML("ClusterRole", "app", "", `{apiGroups: [""], resources: [secrets], verbs: [get], resourceNames: [a]}`) + bindingYAML("app", "", "ClusterRole app", account), nil},
		"one finding for a role and kind": {roleYAML("ClusterRole", "app", "", `{apiGroups: [apps], resources: [deployments, statefulsets], verbs: [create, patch]}`) + "  - {apiGroups: [batch], resources: [jobs], verbs: [create]}\n" + bindingYAML("app", "", "ClusterRole app", account), []string{
			"cluster/objects.yaml:7 warning workloads-cluster-wide ClusterRole app lets its holders run pods in every namespace, as each of its service accounts and with each of its Secrets (create, patch deployments, statefulsets and create jobs); " + holder,
		}},
		"impersonation of named users": {roleYAML("ClusterRole", "app", "", `{apiGroups: [""], resources: [users], verbs: [impersonate], resourceNames: [jane]}`) + bindingYAML("app", "", "ClusterRole app", account), []string{
			"cluster/objects.yaml:7 info impersonate ClusterRole app lets its holders act as somebody else (impersonate users named jane); " + holder,
		}},
		"the signer of clients by name": {roleYAML("ClusterRole", "app", "", `{apiGroups: [certificates.k8s.io], resources: [signers], verbs: [approve], resourceNames: [kubernetes.io/kube-apiserver-client]}`) + bindingYAML("app", "", "ClusterRole app", account), []string{
			"cluster/objects.yaml:7 warning certificate-approval ClusterRole app lets its holders approve certificates that the API server takes for anybody's (approve signers named kubernetes.io/kube-apiserver-client); " + holder,
		}},
		"approving without a signer": {roleYAML("ClusterRole", "app", "", `{apiGroups: [certificates.k8s.io], resources: [certificatesigningrequests/approval], verbs: [update]}`) + bindingYAML("app", "", "ClusterRole app", account), nil},
		"a verb that is * escalates": {roleYAML("Role", "app", "web", `{apiGroups: [rbac.authorization.k8s.io], resources: [roles], verbs: ["*"]}`), []string{
			"cluster/objects.yaml:8 info escalate Role web/app lets its holders give themselves and others any right (* roles); " + nobody,
			"cluster/objects.yaml:8 info wildcard Role web/app lets its holders do anything with roles, also what the next version of Kubernetes brings; " + nobody,
		}},
		"a subresource of all": {roleYAML("ClusterRole", "app", "", `{apiGroups: [""], resources: ["*/exec"], verbs: [create]}`) + bindingYAML("app", "", "ClusterRole app", account), []string{
			"cluster/objects.yaml:7 warning exec-cluster-wide ClusterRole app lets its holders run commands in the pods of all namespaces (create */exec); " + holder,
		}},
		"the user that a service account is": {roleYAML("ClusterRole", "app", "", secrets) + bindingYAML("app", "", "ClusterRole app", `{kind: User, name: "system:serviceaccount:app:app"}`), []string{
			"cluster/objects.yaml:7 warning secrets-cluster-wide ClusterRole app lets its holders read the Secrets of all namespaces (get, list secrets); " + holder,
		}},
		"many holders": {roleYAML("ClusterRole", "app", "", secrets) + bindingYAML("app", "", "ClusterRole app", account+"\n  - {kind: User, name: a}\n  - {kind: User, name: b}\n  - {kind: User, name: c}"), []string{
			"cluster/objects.yaml:7 warning secrets-cluster-wide ClusterRole app lets its holders read the Secrets of all namespaces (get, list secrets); " + "held by ServiceAccount app/app, User a, User b and 1 more in the whole cluster, through ClusterRoleBinding app",
		}},
		"a role that joins the edit of Kubernetes": {
			strings.Replace(roleYAML("ClusterRole", "part", "", `{apiGroups: [""], resources: [nodes/proxy], verbs: [get]}`), "name: part\n", "name: part\n  labels: {rbac.authorization.k8s.io/aggregate-to-view: \"true\"}\n", 1) +
				bindingYAML("app", "", "ClusterRole admin", account), []string{
				"cluster/objects.yaml:16 warning secrets-cluster-wide ServiceAccount app/app may read the Secrets of all namespaces and run commands in their pods: ClusterRoleBinding app binds it to ClusterRole admin in the whole cluster",
				"cluster/objects.yaml:8 warning nodes-proxy ClusterRole part lets its holders reach the kubelets, which run commands in every pod and write no audit log (get nodes/proxy); " + holder,
			},
		},
		"cluster-admin": {bindingYAML("app", "", "ClusterRole cluster-admin", account), []string{
			"cluster/objects.yaml:8 warning cluster-admin ServiceAccount app/app may do everything in the whole cluster: ClusterRoleBinding app binds it to cluster-admin",
		}},
		"cluster-admin of a namespace": {bindingYAML("app", "web", "ClusterRole cluster-admin", account), []string{
			"cluster/objects.yaml:9 info cluster-admin ServiceAccount app/app may do everything in namespace web: RoleBinding web/app binds it to cluster-admin",
		}},
		"cluster-admin of Flux itself": {bindingYAML("app", "", "ClusterRole cluster-admin", "{kind: ServiceAccount, name: kustomize-controller, namespace: flux-system}"), []string{
			"cluster/objects.yaml:8 warning cluster-admin ServiceAccount flux-system/kustomize-controller may do everything in the whole cluster: ClusterRoleBinding app binds it to cluster-admin; flux bootstrap does so, and whoever can write to the repository can do everything too",
		}},
		"view": {bindingYAML("app", "", "ClusterRole view", account), nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rep := checktest.Run(t, Gate, tt.repository)
			got := found(rep)
			slices.Sort(got)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
			if len(rep.NotChecked) > 0 {
				t.Errorf("not checked: %+v", rep.NotChecked)
			}
		})
	}
}

func TestEverybody(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		repository string
		want       []string
	}{
		"edit for who has an account": {bindingYAML("app", "web", "ClusterRole edit", `{kind: Group, name: "system:authenticated"}`), []string{
			"cluster/objects.yaml:9 error everybody everybody with an account, service accounts of all namespaces included (Group system:authenticated) gets ClusterRole edit in namespace web: get, list, watch pods/attach; get, list, watch pods/exec; get, list, watch pods/portforward; get, list, watch pods/proxy; and 2 more",
		}},
		"cluster-admin is said once": {bindingYAML("app", "", "ClusterRole cluster-admin", `{kind: Group, name: "system:serviceaccounts"}`), []string{
			"cluster/objects.yaml:8 error everybody every pod with a service account, in all namespaces (Group system:serviceaccounts) gets ClusterRole cluster-admin in the whole cluster: do anything with every resource",
		}},
		"reading": {roleYAML("ClusterRole", "app", "", `{apiGroups: [""], resources: [configmaps], verbs: [get], resourceNames: [a]}`) + bindingYAML("app", "", "ClusterRole app", `{kind: User, name: "system:anonymous"}`), []string{
			"cluster/objects.yaml:15 warning everybody everybody who reaches the API server, without an account (User system:anonymous) gets ClusterRole app in the whole cluster: get configmaps named a",
		}},
		"what Kubernetes gives them itself": {bindingYAML("app", "", "ClusterRole system:discovery", `{kind: Group, name: "system:unauthenticated"}`), nil},
		"the accounts of one namespace":     {bindingYAML("app", "web", "ClusterRole edit", `{kind: Group, name: "system:serviceaccounts:web"}`), nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tt.want, found(checktest.Run(t, Gate, tt.repository))); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
		})
	}
}

// TestUnknownRole: what a role that nothing makes allows is said to be unknown where it
// matters, and only there.
func TestUnknownRole(t *testing.T) {
	t.Parallel()
	repository := "-- lumacore.yaml --\napiVersion: lumacore.dev/v1alpha1\nkind: Config\ncheck:\n  rbac:\n    limits:\n      - {subject: ServiceAccount app/app, rules: [], reason: none, review: 2027-01-01}\n-- cluster/objects.yaml --\n" +
		bindingYAML("everybody", "", "ClusterRole elsewhere", `{kind: Group, name: "system:authenticated"}`) +
		bindingYAML("app", "", "ClusterRole elsewhere", account) + bindingYAML("other", "", "ClusterRole elsewhere", "{kind: User, name: a}")
	rep := checktest.Run(t, Gate, repository)
	var got []string
	for _, u := range rep.NotChecked {
		got = append(got, fmt.Sprintf("%s %s: %s", u.Location, u.Subject, u.Reason))
	}
	want := []string{
		"cluster/objects.yaml:8 ClusterRoleBinding everybody: it binds Group system:authenticated to ClusterRole elsewhere, which nothing in the repository makes, so that what everybody may do is not known",
		"cluster/objects.yaml:14 ServiceAccount app/app: whether it keeps to its limit (lumacore.yaml:6): ClusterRoleBinding app binds it to ClusterRole elsewhere, which nothing in the repository makes",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("not checked (-want +got):\n%s", diff)
	}
	if lines := checktest.Lines(rep); len(lines) > 0 {
		t.Errorf("findings: %q", lines)
	}
}

func namespaceYAML(name, environment string) string {
	return "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: " + name + ", labels: {lumacore.env: " + environment + "}}\n"
}

func TestLimits(t *testing.T) {
	t.Parallel()
	const (
		tail    = "        reason: because\n        review: 2027-01-31\n"
		read    = "          - {apiGroups: [\"\"], resources: [configmaps], verbs: [get, list]}\n"
		reads   = `{apiGroups: [""], resources: [configmaps], verbs: [get, list]}`
		subject = "      - subject: ServiceAccount app/app\n"
	)
	limits := func(entries string, objects ...string) string {
		return "-- lumacore.yaml --\napiVersion: lumacore.dev/v1alpha1\nkind: Config\ncheck:\n  rbac:\n    limits:\n" + entries + "-- cluster/objects.yaml --\n" + strings.Join(objects, "")
	}
	bound := bindingYAML("app", "", "ClusterRole app", account)
	for name, tt := range map[string]struct {
		repository string
		want       []string
	}{
		"what it may": {limits(subject+"        rules:\n"+read+tail, roleYAML("ClusterRole", "app", "", reads), bound), nil},
		"more than it may": {limits(subject+"        rules:\n"+read+tail, roleYAML("ClusterRole", "app", "", reads), "  - {apiGroups: [\"\"], resources: [configmaps, namespaces], verbs: [get, create]}\n", bound), []string{
			"cluster/objects.yaml:8 error limit-exceeded ServiceAccount app/app may do more than its limit (lumacore.yaml:6) allows: create configmaps; get, create namespaces; it has this from ClusterRole app in the whole cluster, through ClusterRoleBinding app",
		}},
		"more, from Kubernetes's own role": {limits(subject+"        rules:\n"+read+tail, bindingYAML("app", "web", "ClusterRole system:auth-delegator", account)), []string{
			"cluster/objects.yaml:7 error limit-exceeded ServiceAccount app/app may do more than its limit (lumacore.yaml:6) allows: create tokenreviews.authentication.k8s.io; create subjectaccessreviews.authorization.k8s.io; it has this from ClusterRole system:auth-delegator in namespace web, through RoleBinding web/app",
			"lumacore.yaml:8 warning limit-too-broad the limit of ServiceAccount app/app allows what it does not have: get, list configmaps",
		}},
		"elsewhere than it may": {limits(subject+"        environment: staging\n        roles: [ClusterRole app]\n"+tail,
			namespaceYAML("a", "staging"), namespaceYAML("b", "prod"), namespaceYAML("c", "prod"), roleYAML("ClusterRole", "app", "", reads),
			bindingYAML("app", "a", "ClusterRole app", account), bindingYAML("app", "b", "ClusterRole app", account), bindingYAML("app", "c", "ClusterRole app", account)), []string{
			"cluster/objects.yaml:19 error limit-exceeded ServiceAccount app/app may do more than its limit (lumacore.yaml:6), which is about elsewhere, allows: get, list configmaps; it has this from ClusterRole app in namespace b, through RoleBinding b/app and in namespace c, through RoleBinding c/app",
		}},
		"in namespaces by name, and not cluster-wide": {limits(subject+"        namespaces: [app-*]\n        rules:\n"+read+tail,
			roleYAML("ClusterRole", "app", "", reads), bindingYAML("app", "app-a", "ClusterRole app", account), bound), []string{
			"cluster/objects.yaml:7 error limit-exceeded ServiceAccount app/app may do more than its limit (lumacore.yaml:6), which is about elsewhere, allows: get, list configmaps; it has this from ClusterRole app in the whole cluster, through ClusterRoleBinding app",
		}},
		"by the group of its namespace": {limits(subject+"        rules:\n"+read+tail, roleYAML("ClusterRole", "app", "", reads), bound,
			roleYAML("Role", "more", "app", `{apiGroups: [apps], resources: [deployments], verbs: [get]}`), bindingYAML("more", "app", "Role more", `{kind: Group, name: "system:serviceaccounts:app"}`)), []string{
			"cluster/objects.yaml:23 error limit-exceeded ServiceAccount app/app may do more than its limit (lumacore.yaml:6) allows: get deployments.apps; it has this from Role app/more in namespace app, through RoleBinding app/more",
		}},
		"a role that joins another": {limits("      - role: ClusterRole sum\n        rules:\n"+read+tail,
			"---\napiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: sum}\naggregationRule: {clusterRoleSelectors: [{matchLabels: {of: sum}}]}\nrules: []\n",
			strings.Replace(roleYAML("ClusterRole", "part", "", reads), "name: part\n", "name: part\n  labels: {of: sum}\n", 1),
			strings.Replace(roleYAML("ClusterRole", "more", "", `{apiGroups: [apps], resources: [deployments], verbs: [get]}`), "name: more\n", "name: more\n  labels: {of: sum}\n", 1)), []string{
			"cluster/objects.yaml:22 error limit-exceeded ClusterRole sum holds more than its limit (lumacore.yaml:6) allows: get deployments.apps (taken from ClusterRole more)",
		}},
		"a role, with a reason, is no risk any more": {limits("      - role: ClusterRole app\n        rules:\n          - "+secrets+"\n"+tail, roleYAML("ClusterRole", "app", "", secrets), bound), []string{
			"cluster/objects.yaml:7 warning secrets-cluster-wide ClusterRole app lets its holders read the Secrets of all namespaces (get, list secrets); " + holder + " [by lumacore.yaml:6 until 2027-01-31]",
		}},
		"until its review": {limits("      - role: ClusterRole app\n        rules:\n          - "+secrets+"\n        reason: because\n        review: 2026-10-31\n", roleYAML("ClusterRole", "app", "", secrets), bound), []string{
			"cluster/objects.yaml:7 warning secrets-cluster-wide ClusterRole app lets its holders read the Secrets of all namespaces (get, list secrets); " + holder,
			"lumacore.yaml:6 error limit-expired the limit of ClusterRole app was to be reviewed by 2026-10-31",
		}},
		"of one holder of two it is": {limits(subject+"        rules:\n          - "+secrets+"\n"+tail, roleYAML("ClusterRole", "app", "", secrets), bound, "  - {kind: User, name: jane}\n"), []string{
			"cluster/objects.yaml:7 warning secrets-cluster-wide ClusterRole app lets its holders read the Secrets of all namespaces (get, list secrets); " + "held by ServiceAccount app/app and User jane in the whole cluster, through ClusterRoleBinding app",
		}},
		"cluster-admin with a reason": {limits(subject+"        roles: [ClusterRole cluster-admin]\n"+tail, bindingYAML("app", "", "ClusterRole cluster-admin", account)), []string{
			"cluster/objects.yaml:8 warning cluster-admin ServiceAccount app/app may do everything in the whole cluster: ClusterRoleBinding app binds it to cluster-admin [by lumacore.yaml:6 until 2027-01-31]",
		}},
		"cluster-admin that is not used": {limits(subject+"        roles: [ClusterRole cluster-admin]\n"+tail, roleYAML("ClusterRole", "app", "", reads), bound), []string{
			"lumacore.yaml:6 warning limit-too-broad the limit of ServiceAccount app/app names ClusterRole cluster-admin, which allows what it does not have: do anything with every resource; do anything with *",
		}},
		"a role that is not there": {limits(subject+"        roles: [ClusterRole gone]\n        rules:\n"+read+tail, roleYAML("ClusterRole", "app", "", reads), bound), []string{
			"lumacore.yaml:6 warning limit-unused no cluster has ClusterRole gone, which the limit of ServiceAccount app/app names",
		}},
		"nobody": {limits("      - subject: User jane\n        rules:\n"+read+tail+"      - role: Role web/gone\n        rules:\n"+read+tail, bound, roleYAML("ClusterRole", "app", "", reads)), []string{
			"lumacore.yaml:6 warning limit-unused no binding of any cluster gives User jane anything",
			"lumacore.yaml:11 warning limit-unused no cluster has Role web/gone",
		}},
		"nothing there": {limits(subject+"        rules:\n"+read+tail+subject+"        namespaces: [web]\n        rules:\n"+read+tail, bound, roleYAML("ClusterRole", "app", "", reads)), []string{
			"lumacore.yaml:11 warning limit-unused ServiceAccount app/app has nothing where this entry is about",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rep := checktest.Run(t, Gate, tt.repository)
			if diff := cmp.Diff(tt.want, found(rep)); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
		})
	}
}

// TestLimitOfWhatAChartMakes: as long as a release is not rendered, nobody can say that
// a limit is of nothing.
func TestLimitOfWhatAChartMakes(t *testing.T) {
	t.Parallel()
	rep := checktest.Run(t, Gate, `-- lumacore.yaml --
apiVersion: lumacore.dev/v1alpha1
kind: Config
clusters: [{name: example, path: cluster}]
check:
  rbac:
    limits:
      - subject: ServiceAccount operator/operator
        roles: [ClusterRole cluster-admin]
        reason: comes with the chart
        review: 2027-01-31
-- cluster/objects.yaml --
apiVersion: source.toolkit.fluxcd.io/v1
kind: HelmRepository
metadata: {name: example, namespace: flux-system}
spec: {interval: 1h, url: "https://charts.example.com"}
---
apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata: {name: operator, namespace: flux-system}
spec:
  interval: 1h
  chart: {spec: {chart: operator, version: 1.0.0, sourceRef: {kind: HelmRepository, name: example}}}
`)
	if got := found(rep); len(got) > 0 {
		t.Errorf("findings: %q", got)
	}
	if !slices.ContainsFunc(rep.NotChecked, func(u report.Unchecked) bool {
		return u.Subject == "the limit of ServiceAccount operator/operator" && strings.HasSuffix(u.Reason, "HelmRelease flux-system/operator was not")
	}) {
		t.Errorf("not checked: %+v", rep.NotChecked)
	}
}

// rendered runs the gate over objects that no file holds.
func rendered(t testing.TB, documents string, limits ...config.Limit) *report.CheckReport {
	t.Helper()
	c := &render.Cluster{Name: "example"}
	for text := range strings.SplitSeq(documents, "---\n") {
		u := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(text), &u.Object); err != nil {
			t.Fatal(err)
		}
		if len(u.Object) > 0 {
			c.Objects = append(c.Objects, &render.Object{Unstructured: u, Origin: render.Origin{Location: report.Location{File: "a.yaml", Line: 1}}})
		}
	}
	cfg := &config.Config{}
	cfg.Check.RBAC.Limits = limits
	rep, err := check.Run(t.Context(), []*check.Gate{Gate}, &check.Input{Render: &render.Result{Clusters: []*render.Cluster{c}}, Config: cfg, Now: checktest.Now})
	if err != nil {
		t.Fatal(err)
	}
	return rep
}

// TestHostile: what has wrong types or is too large is not checked, and does not end
// the run or take long.
func TestHostile(t *testing.T) {
	t.Parallel()
	list := func(n int) string { return "[" + strings.Repeat("a, ", n) + "b]" }
	repository := roleYAML("ClusterRole", "types", "", "{apiGroups: 1, resources: {a: b}, verbs: get}") +
		roleYAML("ClusterRole", "null", "", "null") +
		roleYAML("ClusterRole", "huge", "", "{apiGroups: "+list(100)+", resources: "+list(100)+", verbs: "+list(100)+"}") +
		bindingYAML("huge", "", "ClusterRole huge", account) +
		bindingYAML("null", "", "ClusterRole null", "null") +
		bindingYAML("everybody", "", "ClusterRole huge", `{kind: Group, name: "system:authenticated"}`) +
		"---\napiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\nmetadata: {name: types}\nroleRef: [a]\nsubjects: b\n" +
		"---\napiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: circle, labels: {of: circle}}\naggregationRule: {clusterRoleSelectors: [{matchLabels: {of: circle}}, {matchExpressions: [{key: a, operator: b}]}]}\n" +
		"---\napiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: circle2, labels: {of: circle}}\naggregationRule: {clusterRoleSelectors: [{matchLabels: {of: circle}}]}\n" +
		bindingYAML("circle", "", "ClusterRole circle", account)
	rep := rendered(t, repository, config.Limit{Subject: "ServiceAccount app/app", Review: checktest.Now})
	var got []string
	for _, u := range rep.NotChecked {
		reason, _, _ := strings.Cut(u.Reason, ":")
		got = append(got, u.Subject+": "+reason)
	}
	want := []string{
		"ClusterRole huge: it has more than 5000 permissions, which are the most that are compared",
		"ClusterRole types: it cannot be read",
		"ClusterRoleBinding types: it cannot be read",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("not checked (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{
		"a.yaml:1 error everybody everybody with an account, service accounts of all namespaces included (Group system:authenticated) gets ClusterRole huge in the whole cluster: all that it allows",
	}, found(rep)); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
}

func TestAllows(t *testing.T) {
	t.Parallel()
	got := allows([]rbacv1.PolicyRule{
		of("core apps", "a b", "get list"), of("*", "c", "*"), url("/x", "get"), {APIGroups: []string{""}, Resources: []string{"d"}, Verbs: []string{"get"}, ResourceNames: []string{"e"}},
	})
	if want := "get, list a; get, list b; get, list a.apps; get, list b.apps; and 3 more"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
