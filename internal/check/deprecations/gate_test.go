package deprecations

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
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

// rendered runs the gate over documents that no file holds, all in line 1.
func rendered(t testing.TB, kube, documents string) *report.CheckReport {
	t.Helper()
	c := &render.Cluster{Name: "example"}
	for text := range strings.SplitSeq(documents, "---\n") {
		u := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(text), &u.Object); err != nil {
			t.Fatal(err)
		}
		c.Objects = append(c.Objects, &render.Object{Unstructured: u, Origin: render.Origin{Location: report.Location{File: "a.yaml", Line: 1}}})
	}
	return run1(t, kube, c)
}

func run1(t testing.TB, kube string, c *render.Cluster) *report.CheckReport {
	t.Helper()
	rep, err := check.Run(t.Context(), []*check.Gate{Gate}, &check.Input{
		Render: &render.Result{Clusters: []*render.Cluster{c}}, Config: &config.Config{},
		KubeVersion: utilversion.MustParse(kube), Now: checktest.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	return rep
}

// texts are the findings without their place: "rule message | fix".
func texts(r *report.CheckReport) []string {
	var out []string
	for _, f := range r.Findings {
		out = append(out, fmt.Sprintf("%s %s | %s", strings.TrimPrefix(f.Rule, "deprecations/"), f.Message, f.Fix))
	}
	return out
}

func object(version, kind string) string {
	return "apiVersion: " + version + "\nkind: " + kind + "\nmetadata: {name: app, namespace: app}\n"
}

const guide = " and adapt the fields that differ (https://kubernetes.io/docs/reference/using-api/deprecation-guide/"

func TestVersions(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		kube, version, kind string
		want                []string
	}{
		{"1.36.0", "batch/v1", "CronJob", nil},
		{"1.36.0", "example.org/v1beta1", "Thing", nil},
		{"1.36.0", "v1", "ConfigMap", nil},
		{"1.36.0", "batch/v1beta1", "CronJob", []string{"removed batch/v1beta1 CronJob is not served since Kubernetes 1.25 (the cluster has 1.36); use batch/v1 | Change apiVersion to batch/v1" + guide + ")."}},
		{"1.25.3", "batch/v1beta1", "CronJob", []string{"removed batch/v1beta1 CronJob is not served since Kubernetes 1.25 (the cluster has 1.25); use batch/v1 | Change apiVersion to batch/v1" + guide + ")."}},
		{"1.24.0", "batch/v1beta1", "CronJob", []string{"removed-soon batch/v1beta1 CronJob will not be served from Kubernetes 1.25 on (the cluster has 1.24); use batch/v1 | Change apiVersion to batch/v1" + guide + ")."}},
		{"1.23.0", "batch/v1beta1", "CronJob", []string{"removed-soon batch/v1beta1 CronJob will not be served from Kubernetes 1.25 on (the cluster has 1.23); use batch/v1 | Change apiVersion to batch/v1" + guide + ")."}},
		{"1.22.0", "batch/v1beta1", "CronJob", []string{"deprecated batch/v1beta1 CronJob is deprecated since Kubernetes 1.21, and will go with Kubernetes 1.25; use batch/v1 | Change apiVersion to batch/v1" + guide + ")."}},
		{"1.20.0", "batch/v1beta1", "CronJob", nil},
		{"1.36.0", "v1", "Endpoints", []string{"deprecated v1 Endpoints is deprecated since Kubernetes 1.33, with no date for its removal; use discovery.k8s.io/v1 EndpointSlice | Change apiVersion to discovery.k8s.io/v1 EndpointSlice" + guide + ")."}},
		{"1.36.0", "v1", "ComponentStatus", []string{"deprecated v1 ComponentStatus is deprecated since Kubernetes 1.19, with no date for its removal | Remove the object: nothing replaces its kind (https://kubernetes.io/docs/reference/using-api/deprecation-guide/)."}},
		// A replacement that has been replaced itself.
		{"1.36.0", "flowcontrol.apiserver.k8s.io/v1beta1", "FlowSchema", []string{"removed flowcontrol.apiserver.k8s.io/v1beta1 FlowSchema is not served since Kubernetes 1.26 (the cluster has 1.36); use flowcontrol.apiserver.k8s.io/v1 | Change apiVersion to flowcontrol.apiserver.k8s.io/v1" + guide + ")."}},
		// The type names a list as its replacement.
		{"1.36.0", "networking.k8s.io/v1beta1", "IngressClass", []string{"removed networking.k8s.io/v1beta1 IngressClass is not served since Kubernetes 1.22 (the cluster has 1.36); use networking.k8s.io/v1 | Change apiVersion to networking.k8s.io/v1" + guide + ")."}},
		// The type names no replacement.
		{"1.36.0", "admissionregistration.k8s.io/v1beta1", "ValidatingAdmissionPolicy", []string{"removed admissionregistration.k8s.io/v1beta1 ValidatingAdmissionPolicy is not served since Kubernetes 1.34 (the cluster has 1.36); use admissionregistration.k8s.io/v1 | Change apiVersion to admissionregistration.k8s.io/v1" + guide + ")."}},
		{"1.36.0", "extensions/v1beta1", "Ingress", []string{"removed extensions/v1beta1 Ingress is not served since Kubernetes 1.22 (the cluster has 1.36); use networking.k8s.io/v1 | Change apiVersion to networking.k8s.io/v1" + guide + ")."}},
		// Kinds without a type.
		{"1.36.0", "policy/v1beta1", "PodSecurityPolicy", []string{"removed policy/v1beta1 PodSecurityPolicy is not served since Kubernetes 1.25 (the cluster has 1.36) | Remove the object: nothing replaces its kind (https://kubernetes.io/docs/reference/using-api/deprecation-guide/#psp-v125)."}},
		{"1.24.0", "autoscaling/v2beta2", "HorizontalPodAutoscaler", []string{"removed-soon autoscaling/v2beta2 HorizontalPodAutoscaler will not be served from Kubernetes 1.26 on (the cluster has 1.24); use autoscaling/v2 | Change apiVersion to autoscaling/v2" + guide + "#horizontalpodautoscaler-v126)."}},
		{"1.20.0", "autoscaling/v2beta2", "HorizontalPodAutoscaler", nil},
		// Flux.
		{"1.36.0", "kustomize.toolkit.fluxcd.io/v1", "Kustomization", nil},
		{"1.36.0", "notification.toolkit.fluxcd.io/v1beta3", "Provider", nil},
		{"1.36.0", "kustomize.toolkit.fluxcd.io/v1beta2", "Kustomization", []string{"flux-version kustomize.toolkit.fluxcd.io/v1beta2 Kustomization is not served since Flux 2.8; use kustomize.toolkit.fluxcd.io/v1 | Change apiVersion to kustomize.toolkit.fluxcd.io/v1 and adapt the fields that differ (`flux migrate -f .` rewrites the files)."}},
		{"1.36.0", "helm.toolkit.fluxcd.io/v2beta1", "HelmRelease", []string{"flux-version helm.toolkit.fluxcd.io/v2beta1 HelmRelease is not served since Flux 2.7; use helm.toolkit.fluxcd.io/v2 | Change apiVersion to helm.toolkit.fluxcd.io/v2 and adapt the fields that differ (`flux migrate -f .` rewrites the files)."}},
		{"1.36.0", "notification.toolkit.fluxcd.io/v1beta2", "Receiver", []string{"flux-version notification.toolkit.fluxcd.io/v1beta2 Receiver is not served since Flux 2.9; use notification.toolkit.fluxcd.io/v1 | Change apiVersion to notification.toolkit.fluxcd.io/v1 and adapt the fields that differ (`flux migrate -f .` rewrites the files)."}},
		// Families.
		{"1.36.0", "external-secrets.io/v1beta1", "ExternalSecret", []string{"crd-version external-secrets.io/v1beta1 ExternalSecret is not served since external-secrets 0.17; use external-secrets.io/v1 | Change apiVersion to external-secrets.io/v1 and adapt the fields that differ (https://github.com/external-secrets/external-secrets/releases/tag/v0.17.0)."}},
		{"1.36.0", "external-secrets.io/v1alpha1", "PushSecret", nil},
		{"1.36.0", "gateway.networking.k8s.io/v1alpha2", "ReferenceGrant", []string{"crd-version gateway.networking.k8s.io/v1alpha2 ReferenceGrant is not served since Gateway API 1.2; use gateway.networking.k8s.io/v1beta1 | Change apiVersion to gateway.networking.k8s.io/v1beta1 and adapt the fields that differ (https://github.com/kubernetes-sigs/gateway-api/releases/tag/v1.2.0)."}},
		{"1.36.0", "gateway.networking.k8s.io/v1beta1", "HTTPRoute", nil},
		{"1.36.0", "traefik.containo.us/v1alpha1", "IngressRoute", []string{"crd-version traefik.containo.us/v1alpha1 IngressRoute is not served since Traefik 3.0; use traefik.io/v1alpha1 | Change apiVersion to traefik.io/v1alpha1 and adapt the fields that differ (https://doc.traefik.io/traefik/migrate/v2-to-v3-details/#kubernetes-crds-api-group-traefikcontainous)."}},
	} {
		if diff := cmp.Diff(tt.want, texts(rendered(t, tt.kube, object(tt.version, tt.kind)))); diff != "" {
			t.Errorf("%s %s on Kubernetes %s (-want +got):\n%s", tt.version, tt.kind, tt.kube, diff)
		}
	}
}

const crd = `---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: issuers.cert-manager.io}
spec:
  group: cert-manager.io
  names: {kind: Issuer, plural: issuers}
  versions:
    - {name: v1alpha2, served: true, deprecated: true}
    - {name: v1alpha3, served: true, deprecated: true, deprecationWarning: v1alpha3 goes with the next release.}
    - {name: v1beta1, served: false, deprecated: true}
    - {name: v1beta2, served: true}
    - {name: v1, served: true, storage: true}
    - {name: v2alpha1, served: true}
`

// TestCRDVersions: the CRD of the render has the last word.
func TestCRDVersions(t *testing.T) {
	t.Parallel()
	const use = "; use cert-manager.io/v1 | Change apiVersion to cert-manager.io/v1 and adapt the fields that differ"
	for version, want := range map[string][]string{
		"v1alpha2": {"crd-version cert-manager.io/v1alpha2 Issuer is deprecated by its CRD" + use + "."},
		"v1alpha3": {"crd-version cert-manager.io/v1alpha3 Issuer is deprecated by its CRD: v1alpha3 goes with the next release" + use + "."},
		"v1beta1":  {"crd-version cert-manager.io/v1beta1 Issuer is not served since cert-manager 1.6" + use + " (https://cert-manager.io/docs/releases/upgrading/remove-deprecated-apis/)."},
		"v1beta2":  nil,
		"v1":       nil,
		"v3":       nil, // gate schema
	} {
		if diff := cmp.Diff(want, texts(rendered(t, "1.36.0", object("cert-manager.io/"+version, "Issuer")+crd))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", version, diff)
		}
	}
}

func TestFields(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		repository string
		want       []string
	}{
		"annotations of pods": {`apiVersion: apps/v1
kind: Deployment
metadata: {name: app, namespace: app}
spec:
  selector: {matchLabels: {app: app}}
  template:
    metadata:
      labels: {app: app}
      annotations:
        scheduler.alpha.kubernetes.io/critical-pod: ""
        seccomp.security.alpha.kubernetes.io/pod: runtime/default
        container.seccomp.security.alpha.kubernetes.io/app: runtime/default
        container.seccomp.security.alpha.kubernetes.io/other: runtime/default
        container.apparmor.security.beta.kubernetes.io/app: runtime/default
        example.org/other: ""
    spec:
      containers: [{name: app, image: example}]
`, []string{
			`cluster/objects.yaml:10 deprecations/field annotation scheduler.alpha.kubernetes.io/critical-pod has no effect since Kubernetes 1.16; use spec.priorityClassName`,
			`cluster/objects.yaml:11 deprecations/field annotation seccomp.security.alpha.kubernetes.io/pod has no effect since Kubernetes 1.27; use spec.securityContext.seccompProfile`,
			`cluster/objects.yaml:12 deprecations/field annotation container.seccomp.security.alpha.kubernetes.io/app has no effect since Kubernetes 1.27; use securityContext.seccompProfile of the container`,
			`cluster/objects.yaml:14 deprecations/field annotation container.apparmor.security.beta.kubernetes.io/app is deprecated since Kubernetes 1.30; use securityContext.appArmorProfile of the container`,
		}},
		"annotations beside the fields": {`apiVersion: v1
kind: Pod
metadata:
  name: app
  namespace: app
  annotations:
    seccomp.security.alpha.kubernetes.io/pod: runtime/default
    container.apparmor.security.beta.kubernetes.io/app: runtime/default
spec:
  securityContext:
    seccompProfile: {type: RuntimeDefault}
    appArmorProfile: {type: RuntimeDefault}
  containers: [{name: app, image: example}]
`, nil},
		"fields of pods": {`apiVersion: v1
kind: Pod
metadata: {name: app, namespace: app}
spec:
  serviceAccount: app
  nodeSelector:
    node-role.kubernetes.io/master: "true"
    kubernetes.io/os: linux
  affinity:
    nodeAffinity:
      requiredDuringSchedulingIgnoredDuringExecution:
        nodeSelectorTerms:
          - matchExpressions:
              - {key: beta.kubernetes.io/arch, operator: In, values: [amd64]}
      preferredDuringSchedulingIgnoredDuringExecution:
        - weight: 1
          preference:
            matchExpressions:
              - {key: beta.kubernetes.io/instance-type, operator: Exists}
  topologySpreadConstraints:
    - {topologyKey: failure-domain.beta.kubernetes.io/zone, maxSkew: 1, whenUnsatisfiable: DoNotSchedule}
  tolerations:
    - {key: node-role.kubernetes.io/master, operator: Exists}
  containers: [{name: app, image: example}]
  volumes:
    - name: site
      gitRepo: {repository: https://example.org}
    - name: data
      emptyDir: {}
`, []string{
			`cluster/objects.yaml:14 deprecations/field node label beta.kubernetes.io/arch in nodeAffinity is deprecated since Kubernetes 1.14; use kubernetes.io/arch`,
			`cluster/objects.yaml:19 deprecations/field node label beta.kubernetes.io/instance-type in nodeAffinity is deprecated since Kubernetes 1.17; use node.kubernetes.io/instance-type`,
			`cluster/objects.yaml:21 deprecations/field node label failure-domain.beta.kubernetes.io/zone in topologySpreadConstraints is deprecated since Kubernetes 1.17; use topology.kubernetes.io/zone`,
			`cluster/objects.yaml:27 deprecations/field volume type gitRepo does not work since Kubernetes 1.33; use an init container that clones into an emptyDir`,
			`cluster/objects.yaml:5 deprecations/field spec.serviceAccount is deprecated; use spec.serviceAccountName`,
			`cluster/objects.yaml:7 deprecations/field node label node-role.kubernetes.io/master in nodeSelector is deprecated; use node-role.kubernetes.io/control-plane`,
		}},
		"both names of the account": {`apiVersion: v1
kind: Pod
metadata: {name: app, namespace: app}
spec:
  serviceAccount: app
  serviceAccountName: app
  containers: [{name: app, image: example}]
`, nil},
		"annotations of others": {`apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: app
  namespace: app
  annotations:
    kubernetes.io/ingress.class: traefik
spec:
  defaultBackend: {service: {name: app, port: {number: 80}}}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: both
  namespace: app
  annotations:
    kubernetes.io/ingress.class: traefik
spec:
  ingressClassName: traefik
---
apiVersion: v1
kind: Service
metadata:
  name: app
  namespace: app
  annotations:
    service.kubernetes.io/topology-aware-hints: auto
---
apiVersion: v1
kind: PersistentVolume
metadata:
  name: app
  annotations:
    volume.beta.kubernetes.io/mount-options: ro
spec:
  cephfs: {monitors: [a]}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: app, namespace: app}
spec:
  selector: {matchLabels: {app: app}}
  serviceName: app
  template:
    metadata: {labels: {app: app}}
    spec:
      containers: [{name: app, image: example}]
  volumeClaimTemplates:
    - metadata:
        name: data
        annotations:
          volume.beta.kubernetes.io/storage-class: longhorn
`, []string{
			`cluster/objects.yaml:27 deprecations/field annotation service.kubernetes.io/topology-aware-hints is deprecated since Kubernetes 1.27; use annotation service.kubernetes.io/topology-mode`,
			`cluster/objects.yaml:34 deprecations/field annotation volume.beta.kubernetes.io/mount-options is deprecated since Kubernetes 1.31; use spec.mountOptions`,
			`cluster/objects.yaml:36 deprecations/field volume type cephfs does not work since Kubernetes 1.31; use the CSI driver (https://github.com/ceph/ceph-csi)`,
			`cluster/objects.yaml:52 deprecations/field annotation volume.beta.kubernetes.io/storage-class is deprecated since Kubernetes 1.8; use spec.storageClassName`,
			`cluster/objects.yaml:7 deprecations/field annotation kubernetes.io/ingress.class is deprecated since Kubernetes 1.18; use spec.ingressClassName`,
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

// TestOlderCluster: what is deprecated only later is no finding yet.
func TestOlderCluster(t *testing.T) {
	t.Parallel()
	const service = "apiVersion: v1\nkind: Service\nmetadata: {name: a, namespace: a, annotations: {service.kubernetes.io/topology-aware-hints: auto}}\n"
	if got := texts(rendered(t, "1.26.0", service)); got != nil {
		t.Errorf("on Kubernetes 1.26: %q", got)
	}
}

// TestChart: what a chart makes is the chart's, and an update of it the fix.
func TestChart(t *testing.T) {
	t.Parallel()
	u := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(object("policy/v1beta1", "PodDisruptionBudget")), &u.Object); err != nil {
		t.Fatal(err)
	}
	release := &render.Object{Unstructured: &unstructured.Unstructured{Object: map[string]any{"metadata": map[string]any{"name": "app", "namespace": "apps"}}}}
	c := &render.Cluster{
		Name:     "example",
		Releases: []*render.Release{{Object: release, Chart: "podinfo", Version: "5.0.0"}},
		Objects: []*render.Object{{Unstructured: u, Origin: render.Origin{
			Location: report.Location{File: "apps/app.yaml", Line: 4}, HelmRelease: "apps/app", Template: "podinfo/templates/pdb.yaml",
		}}},
	}
	want := []string{"removed policy/v1beta1 PodDisruptionBudget is not served since Kubernetes 1.25 (the cluster has 1.36); use policy/v1 (from chart podinfo 5.0.0, podinfo/templates/pdb.yaml) | " +
		"Update chart podinfo 5.0.0 of HelmRelease apps/app to a version that does without it, or set the value that chooses it; the chart should: change apiVersion to policy/v1" + guide + ")."}
	if diff := cmp.Diff(want, texts(run1(t, "1.36.0", c))); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
}

// TestReplacements: what is named as the replacement is never on its way out, and
// the table of gone types has none that a type exists for.
func TestReplacements(t *testing.T) {
	t.Parallel()
	seen := 0
	for gvk := range types.AllKnownTypes() {
		c := cycleOf(gvk)
		if c.use == "" {
			continue
		}
		seen++
		version, kind, ok := strings.Cut(c.use, " ")
		if !ok {
			kind = gvk.Kind
		}
		gv, err := schema.ParseGroupVersion(version)
		if err != nil {
			t.Fatal(err)
		}
		if o, err := types.New(gv.WithKind(kind)); err == nil && ownCycle(o) != (cycle{}) {
			t.Errorf("%s is replaced by %s, which is on its way out too", gvk, c.use)
		}
	}
	if seen < 50 {
		t.Errorf("only %d types were looked at", seen)
	}
	for _, g := range gone {
		if types.Recognizes(schema.GroupVersionKind{Group: g.group, Version: g.versions, Kind: g.kind}) {
			t.Errorf("%s/%s %s has a type: it needs no entry", g.group, g.versions, g.kind)
		}
	}
}

// TestHostileObjects: wrong types everywhere must not end the run.
func TestHostileObjects(t *testing.T) {
	t.Parallel()
	rep := rendered(t, "1.36.0", `apiVersion: 1
kind: [Pod]
metadata: a
---
apiVersion: v1
kind: Pod
metadata: {annotations: [a]}
spec: {containers: {a: b}, nodeSelector: [a], affinity: 1, volumes: {gitRepo: a}, serviceAccount: [a], topologySpreadConstraints: a}
---
apiVersion: v1
kind: Pod
metadata: {annotations: {container.seccomp.security.alpha.kubernetes.io/: 1}}
spec: {containers: [1, {name: 2, securityContext: a}], nodeSelector: {node-role.kubernetes.io/master: [1]}, affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [1, {matchExpressions: [a, {key: 1}]}]}, preferredDuringSchedulingIgnoredDuringExecution: [1, {preference: a}]}}, volumes: [1, {gitRepo: null}], topologySpreadConstraints: [1, {topologyKey: []}]}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: a}
spec: {volumeClaimTemplates: [1, {metadata: 1}], template: 1}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {annotations: {kubernetes.io/ingress.class: 1}}
spec: 1
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: a}
spec: {group: 1, names: [a], versions: [1, {name: 1, served: yes}, {served: true, deprecated: true}]}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
spec: 1
---
spec: 1
`)
	want := []string{
		`field annotation container.seccomp.security.alpha.kubernetes.io/ has no effect since Kubernetes 1.27; use securityContext.seccompProfile of the container | Use securityContext.seccompProfile of the container instead.`,
		`field annotation kubernetes.io/ingress.class is deprecated since Kubernetes 1.18; use spec.ingressClassName | Use spec.ingressClassName instead.`,
		`field node label node-role.kubernetes.io/master in nodeSelector is deprecated; use node-role.kubernetes.io/control-plane | Use node-role.kubernetes.io/control-plane instead.`,
	}
	got := texts(rep)
	if diff := cmp.Diff(want, got, cmp.Transformer("sorted", func(s []string) map[string]int {
		m := map[string]int{}
		for _, x := range s {
			m[x]++
		}
		return m
	})); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
}

// TestSpeed: the time grows with the number of objects, not with its square; the
// limit is far above what a busy machine needs.
func TestSpeed(t *testing.T) {
	c := &render.Cluster{Name: "example"}
	for i := range 10_000 {
		c.Objects = append(c.Objects, &render.Object{Unstructured: &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "apps/v1", "kind": "Deployment", "metadata": map[string]any{"name": fmt.Sprint("app-", i), "namespace": "app"},
			"spec": map[string]any{"template": map[string]any{"spec": map[string]any{"nodeSelector": map[string]any{"node-role.kubernetes.io/master": ""}}}},
		}}})
	}
	start := time.Now()
	if rep := run1(t, "1.36.0", c); len(rep.Findings) != 10_000 {
		t.Errorf("%d findings", len(rep.Findings))
	}
	if took := time.Since(start); took > 30*time.Second {
		t.Errorf("10,000 objects took %v", took)
	} else {
		t.Logf("10,000 objects took %v", took)
	}
}
