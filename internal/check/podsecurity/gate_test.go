package podsecurity

import (
	"fmt"
	"strings"
	"testing"
	"time"

	helmv2 "github.com/fluxcd/helm-controller/api/v2"
	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilversion "k8s.io/apimachinery/pkg/util/version"
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

const escalation = `allowPrivilegeEscalation != false (container "app" must set securityContext.allowPrivilegeEscalation=false), unrestricted capabilities (container "app" must set securityContext.capabilities.drop=["ALL"]), runAsNonRoot != true (pod or container "app" must set securityContext.runAsNonRoot=true), seccompProfile (pod or container "app" must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost")`

func TestAdmission(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		repository string
		want       []string
	}{
		"a workload is stored, its pods refused": {namespaceYAML("enforce: restricted") + deploymentYAML("{}"), []string{
			`cluster/objects.yaml:23 podsecurity/rejected the Deployment will be stored and its pods refused: they violate PodSecurity "restricted:latest", which namespace app enforces: ` + escalation,
		}},
		"a pod is refused": {namespaceYAML("enforce: baseline") + `---
apiVersion: v1
kind: Pod
metadata: {name: app, namespace: app}
spec:
  containers:
    - name: app
      image: example
      securityContext:
        privileged: true
`, []string{
			`cluster/objects.yaml:15 podsecurity/rejected the pod will be refused: it violates PodSecurity "baseline:latest", which namespace app enforces: privileged (container "app" must not set securityContext.privileged=true)`,
		}},
		"what the whole pod sets is at its spec": {namespaceYAML("enforce: baseline") + `---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent, namespace: app}
spec:
  selector: {matchLabels: {app: agent}}
  template:
    metadata: {labels: {app: agent}}
    spec:
      hostNetwork: true
      containers:
        - name: app
          image: example
          ports: [{containerPort: 80, hostPort: 80}]
      volumes:
        - name: root
          hostPath: {path: /}
`, []string{
			`cluster/objects.yaml:15 podsecurity/rejected the DaemonSet will be stored and its pods refused: they violate PodSecurity "baseline:latest", which namespace app enforces: host namespaces (hostNetwork=true), hostPath volumes (volume "root"), hostPort (container "app" uses hostPort 80)`,
		}},
		"a port of one container is at the container": {namespaceYAML("enforce: baseline") + `---
apiVersion: v1
kind: Pod
metadata: {name: app, namespace: app}
spec:
  initContainers:
    - name: first
      image: example
  containers:
    - name: second
      image: example
      ports: [{containerPort: 80, hostPort: 80}]
`, []string{
			`cluster/objects.yaml:16 podsecurity/rejected the pod will be refused: it violates PodSecurity "baseline:latest", which namespace app enforces: hostPort (container "second" uses hostPort 80)`,
		}},
		"two containers are at the pod's spec": {namespaceYAML("enforce: baseline") + `---
apiVersion: v1
kind: Pod
metadata: {name: app, namespace: app}
spec:
  initContainers:
    - {name: first, image: example, securityContext: {privileged: true}}
  containers:
    - {name: second, image: example, securityContext: {privileged: true}}
`, []string{
			`cluster/objects.yaml:11 podsecurity/rejected the pod will be refused: it violates PodSecurity "baseline:latest", which namespace app enforces: privileged (containers "first", "second" must not set securityContext.privileged=true)`,
		}},
		"enforce is warned about by default, once": {namespaceYAML("enforce: restricted") + deploymentYAML(restrictedContext), nil},
		"each level once": {namespaceYAML("enforce: baseline") + "    pod-security.kubernetes.io/warn: restricted\n    pod-security.kubernetes.io/audit: restricted\n    pod-security.kubernetes.io/audit-version: v1.30\n" + deploymentYAML("{privileged: true}"), []string{
			`cluster/objects.yaml:26 podsecurity/audited the pods violate PodSecurity "restricted:v1.30", which namespace app audits: privileged (container "app" must not set securityContext.privileged=true), ` + escalation,
			`cluster/objects.yaml:26 podsecurity/rejected the Deployment will be stored and its pods refused: they violate PodSecurity "baseline:latest", which namespace app enforces: privileged (container "app" must not set securityContext.privileged=true)`,
			`cluster/objects.yaml:26 podsecurity/warned the pods violate PodSecurity "restricted:latest", which namespace app warns about: privileged (container "app" must not set securityContext.privileged=true), ` + escalation,
		}},
		// Version 1.0 of "restricted" did not ask for seccomp and dropped capabilities.
		"the label's version counts": {namespaceYAML("enforce: restricted") + "    pod-security.kubernetes.io/enforce-version: v1.18\n" + deploymentYAML("{allowPrivilegeEscalation: false, runAsNonRoot: true}"), nil},
		"no labels":                  {"apiVersion: v1\nkind: Namespace\nmetadata: {name: app}\n" + deploymentYAML("{privileged: true}"), nil},
		"default":                    {strings.ReplaceAll(deploymentYAML("{privileged: true}"), "namespace: app", "namespace: default"), nil},
		"labels that say nothing": {`apiVersion: v1
kind: Namespace
metadata:
  name: app
  labels:
    pod-security.kubernetes.io/enforce: Restricted
    pod-security.kubernetes.io/enforce-version: "1.36"
    pod-security.kubernetes.io/warned: restricted
`, []string{
			`cluster/objects.yaml:6 podsecurity/invalid-label label pod-security.kubernetes.io/enforce is "Restricted": must be one of privileged, baseline, restricted; the API server refuses the namespace`,
			`cluster/objects.yaml:7 podsecurity/invalid-label label pod-security.kubernetes.io/enforce-version is "1.36": must be "latest" or "v1.x"; the API server refuses the namespace`,
			`cluster/objects.yaml:8 podsecurity/invalid-label label pod-security.kubernetes.io/warned has no effect: Pod Security Admission reads enforce, audit, warn and each with -version after that prefix, not "warned"`,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rep := checktest.Run(t, Gate, tt.repository)
			if diff := cmp.Diff(tt.want, checktest.Lines(rep)); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
			if len(rep.NotChecked) > 0 {
				t.Errorf("not checked: %+v", rep.NotChecked)
			}
		})
	}
}

func TestRegister(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		repository string
		want       []string
	}{
		"no register": {"-- cluster/objects.yaml --\n" + namespaceYAML("enforce: privileged"), nil},
		"restricted":  {registerYAML("") + namespaceYAML("enforce: restricted"), nil},
		"no entry": {registerYAML("") + namespaceYAML("enforce: baseline"), []string{
			`cluster/objects.yaml:6 podsecurity/undocumented-exemption namespace app enforces baseline, and check.podSecurity.exemptions of lumacore.yaml has no entry for it`,
		}},
		"no label": {registerYAML("") + namespaceYAML("warn: restricted"), []string{
			`cluster/objects.yaml:5 podsecurity/undocumented-exemption namespace app has no label pod-security.kubernetes.io/enforce, so it allows privileged pods, and check.podSecurity.exemptions of lumacore.yaml has no entry for it`,
		}},
		"weaker than its entry": {registerYAML("app baseline 2027-01-31") + namespaceYAML("enforce: privileged"), []string{
			`cluster/objects.yaml:6 podsecurity/undocumented-exemption namespace app enforces privileged; its entry (lumacore.yaml:6) is about baseline`,
		}},
		"stricter than its entry": {registerYAML("app privileged 2027-01-31") + namespaceYAML("enforce: baseline"), []string{
			`lumacore.yaml:6 podsecurity/exemption-too-broad the exemption of namespace app allows privileged, and the namespace enforces baseline (cluster/objects.yaml:6)`,
		}},
		"on the day of its review": {registerYAML("app baseline 2026-11-01") + namespaceYAML("enforce: baseline"), nil},
		"the day after its review": {registerYAML("app baseline 2026-10-31") + namespaceYAML("enforce: baseline"), []string{
			`lumacore.yaml:6 podsecurity/exemption-expired the exemption of namespace app (baseline) was to be reviewed by 2026-10-31`,
		}},
		"restricted after all": {registerYAML("app baseline 2027-01-31") + namespaceYAML("enforce: restricted"), []string{
			`lumacore.yaml:6 podsecurity/exemption-unused namespace app enforces restricted (cluster/objects.yaml:6), so there is nothing to exempt`,
		}},
		"of another environment": {registerYAML("app-staging baseline 2027-01-31") + namespaceYAML("enforce: restricted"), []string{
			`lumacore.yaml:6 podsecurity/exemption-unused no cluster has namespace app-staging`,
		}},
		"of a namespace of Kubernetes": {registerYAML("kube-system privileged 2027-01-31") + namespaceYAML("enforce: restricted"), nil},
		"a label that is refused is reported as that alone": {registerYAML("") + namespaceYAML("enforce: none"), []string{
			`cluster/objects.yaml:6 podsecurity/invalid-label label pod-security.kubernetes.io/enforce is "none": must be one of privileged, baseline, restricted; the API server refuses the namespace`,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tt.want, checktest.Lines(checktest.Run(t, Gate, tt.repository))); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
		})
	}
}

// TestUnknownNamespace: a namespace that the repository does not make is said to be
// unknown, once.
func TestUnknownNamespace(t *testing.T) {
	t.Parallel()
	rep := checktest.Run(t, Gate, deploymentYAML("{privileged: true}")+strings.Replace(deploymentYAML("{}"), "name: app", "name: other", 1))
	want := []report.Unchecked{{
		Gate: "podsecurity", Subject: "Namespace app", Clusters: []string{"example"},
		Reason:   "the repository does not make it, so its Pod Security labels are not known; Deployment app/app and 1 more would be held against them",
		Next:     "put the Namespace with its labels into the repository",
		Location: report.Location{File: "cluster/objects.yaml", Line: 2},
	}}
	if diff := cmp.Diff(want, rep.NotChecked); diff != "" {
		t.Errorf("not checked (-want +got):\n%s", diff)
	}
	if lines := checktest.Lines(rep); len(lines) > 0 {
		t.Errorf("findings: %q", lines)
	}
}

// rendered runs the gate over objects that no file holds.
func rendered(t testing.TB, c *render.Cluster, kube string, exemptions []config.Exemption) *report.CheckReport {
	t.Helper()
	cfg := &config.Config{}
	cfg.Check.PodSecurity.Exemptions = exemptions
	rep, err := check.Run(t.Context(), []*check.Gate{Gate}, &check.Input{
		Render: &render.Result{Clusters: []*render.Cluster{c}}, Config: cfg,
		KubeVersion: utilversion.MustParse(kube), Now: checktest.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	return rep
}

func objects(t testing.TB, documents string) []*render.Object {
	t.Helper()
	var out []*render.Object
	for text := range strings.SplitSeq(documents, "---\n") {
		u := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(text), &u.Object); err != nil {
			t.Fatal(err)
		}
		if len(u.Object) > 0 {
			out = append(out, &render.Object{Unstructured: u, Origin: render.Origin{Location: report.Location{File: "a.yaml", Line: 1}}})
		}
	}
	return out
}

// TestLatest: "latest" is the version of the clusters. 1.34 was the first to look
// at the host of probes.
func TestLatest(t *testing.T) {
	t.Parallel()
	probe := namespaceYAML("enforce: baseline") + `---
apiVersion: v1
kind: Pod
metadata: {name: app, namespace: app}
spec:
  containers:
    - name: app
      image: example
      livenessProbe: {httpGet: {port: 80, host: 192.0.2.1}}
`
	for kube, want := range map[string][]string{
		"1.33.0": nil,
		"1.34.0": {`a.yaml:1 podsecurity/rejected the pod will be refused: it violates PodSecurity "baseline:latest", which namespace app enforces: probe or lifecycle host (container "app" uses probe or lifecycle host "192.0.2.1")`},
	} {
		c := &render.Cluster{Name: "example", Objects: objects(t, probe)}
		if diff := cmp.Diff(want, checktest.Lines(rendered(t, c, kube, nil))); diff != "" {
			t.Errorf("Kubernetes %s (-want +got):\n%s", kube, diff)
		}
	}
}

// TestCreateNamespace: a HelmRelease makes its namespace without labels.
func TestCreateNamespace(t *testing.T) {
	t.Parallel()
	release := &helmv2.HelmRelease{
		ObjectMeta: metav1.ObjectMeta{Name: "app", Namespace: "flux-system"},
		Spec:       helmv2.HelmReleaseSpec{TargetNamespace: "app", Install: &helmv2.Install{CreateNamespace: true}},
	}
	all := objects(t, deploymentYAML("{privileged: true}")+"---\napiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nmetadata: {name: app, namespace: flux-system}\n")
	// Helm leaves the namespace of what a chart does not put anywhere to the release.
	all[0].SetNamespace("")
	all[0].Origin.HelmRelease = "flux-system/app"
	c := &render.Cluster{Name: "example", Objects: all, Releases: []*render.Release{{Object: all[1], Spec: release}}}

	rep := rendered(t, c, "1.36.0", []config.Exemption{})
	want := []string{`a.yaml:1 podsecurity/undocumented-exemption namespace app is made by this HelmRelease without labels, so it allows privileged pods, and check.podSecurity.exemptions of lumacore.yaml has no entry for it`}
	if diff := cmp.Diff(want, checktest.Lines(rep)); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
	if len(rep.NotChecked) > 0 {
		t.Errorf("not checked: %+v", rep.NotChecked)
	}

	rep = rendered(t, c, "1.36.0", []config.Exemption{{Namespace: "app", Level: "privileged", Review: checktest.Now}})
	if lines := checktest.Lines(rep); len(lines) > 0 {
		t.Errorf("with an entry: %q", lines)
	}
}

// TestHostileObjects: what has wrong types everywhere is not checked, and does not
// end the run.
func TestHostileObjects(t *testing.T) {
	t.Parallel()
	c := &render.Cluster{Name: "example", Releases: []*render.Release{{Object: &render.Object{Unstructured: &unstructured.Unstructured{Object: map[string]any{}}}}}, Objects: objects(t, `apiVersion: v1
kind: Namespace
metadata: {name: app, labels: {pod-security.kubernetes.io/enforce: restricted, pod-security.kubernetes.io/warn-version: 1.36, other: [1]}}
---
apiVersion: v1
kind: Namespace
metadata: {name: list, labels: [a]}
---
apiVersion: v1
kind: Namespace
metadata: [a]
---
apiVersion: v1
kind: Namespace
metadata: {name: {a: b}, labels: a}
---
apiVersion: v1
kind: Pod
metadata: {name: a, namespace: app, annotations: [a]}
spec: {containers: none}
---
apiVersion: v1
kind: Pod
metadata: {name: b, namespace: app, annotations: {a: 1}}
spec: {containers: [1]}
---
apiVersion: v1
kind: Pod
metadata: {name: c, namespace: app}
spec: {containers: [{name: app, securityContext: {runAsUser: me}}], securityContext: []}
---
apiVersion: v1
kind: Pod
metadata: {name: d, namespace: app}
spec: {containers: [null, {name: app}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: e, namespace: app}
spec: {template: {metadata: 1, spec: {securityContext: 1}}}
`)}
	rep := rendered(t, c, "1.36.0", []config.Exemption{})
	var subjects []string
	for _, u := range rep.NotChecked {
		subjects = append(subjects, u.Subject)
	}
	if diff := cmp.Diff([]string{"Deployment app/e", "Pod app/a", "Pod app/b", "Pod app/c"}, subjects); diff != "" {
		t.Errorf("not checked (-want +got):\n%s", diff)
	}
	const reason = "its pod spec cannot be read: cannot restore slice from string"
	if got := rep.NotChecked[1].Reason; got != reason {
		t.Errorf("reason %q, want %q", got, reason)
	}
	want := []string{
		`a.yaml:1 podsecurity/invalid-label label pod-security.kubernetes.io/warn-version is 1.36, not a text; the API server refuses the namespace`,
		`a.yaml:1 podsecurity/rejected the pod will be refused: it violates PodSecurity "restricted:latest", which namespace app enforces: ` +
			strings.NewReplacer(`container "app"`, `containers "", "app"`).Replace(escalation),
		`a.yaml:1 podsecurity/undocumented-exemption namespace list has no label pod-security.kubernetes.io/enforce, so it allows privileged pods, and check.podSecurity.exemptions of lumacore.yaml has no entry for it`,
	}
	if diff := cmp.Diff(want, checktest.Lines(rep)); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
}

// TestSpeed: the time grows with the number of objects, not with its square; the
// limit is far above what a busy machine needs.
func TestSpeed(t *testing.T) {
	c := &render.Cluster{Name: "example", Objects: objects(t, namespaceYAML("enforce: restricted")+deploymentYAML("{}"))}
	for len(c.Objects) < 10_000 {
		o := *c.Objects[1]
		o.Unstructured = o.DeepCopy()
		o.SetName(fmt.Sprintf("app-%d", len(c.Objects)))
		c.Objects = append(c.Objects, &o)
	}
	start := time.Now()
	if rep := rendered(t, c, "1.36.0", nil); len(rep.Findings) != 9_999 {
		t.Errorf("%d findings", len(rep.Findings))
	}
	if took := time.Since(start); took > 30*time.Second {
		t.Errorf("10,000 objects took %v", took)
	} else {
		t.Logf("10,000 objects took %v", took)
	}
}

// TestManyContainers: a message names no more than people read.
func TestManyContainers(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	for i := range 5_000 {
		fmt.Fprintf(&b, "    - {name: ü%d, image: example}\n", i)
	}
	c := &render.Cluster{Name: "example", Objects: objects(t, namespaceYAML("enforce: restricted")+`---
apiVersion: v1
kind: Pod
metadata: {name: app, namespace: app}
spec:
  containers:
`+b.String())}
	rep := rendered(t, c, "1.36.0", nil)
	if len(rep.Findings) != 1 || len(rep.Findings[0].Message) > 2500 || !strings.HasSuffix(rep.Findings[0].Message, "…") {
		t.Errorf("%d findings", len(rep.Findings))
	}
}
