package images

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilversion "k8s.io/apimachinery/pkg/util/version"
	"sigs.k8s.io/yaml"

	"lumacore.dev/lumacore/internal/check"
	"lumacore.dev/lumacore/internal/check/checktest"
	"lumacore.dev/lumacore/internal/config"
	"lumacore.dev/lumacore/internal/imagename"
	"lumacore.dev/lumacore/internal/render"
	"lumacore.dev/lumacore/internal/report"
)

func TestExamples(t *testing.T) {
	t.Parallel()
	checktest.Examples(t, Gate)
}

func TestFindings(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		repository string
		want       []string
	}{
		"tag": {pod("nginx"), []string{
			`cluster/objects.yaml:9 images/no-tag container "app" has image "nginx" without a tag, which means nginx:latest: the newest there is when a node pulls it`,
		}},
		"a port is no tag": {pod("registry.lab:5000/app"), []string{
			`cluster/objects.yaml:9 images/no-tag container "app" has image "registry.lab:5000/app" without a tag, which means registry.lab:5000/app:latest: the newest there is when a node pulls it`,
		}},
		"latest": {pod("nginx:latest"), []string{
			`cluster/objects.yaml:9 images/latest container "app" has image "nginx:latest": the newest there is when a node pulls it`,
		}},
		"latest with a digest": {pod("nginx:latest@" + digestExample), nil},
		"a digest alone":       {pod("nginx@" + digestExample), nil},
		"digest": {pod("nginx:1.29.3"), []string{
			`cluster/objects.yaml:9 images/no-digest container "app" has image "nginx:1.29.3" without a digest: the registry may answer with another image tomorrow`,
		}},
		"short digest": {pod("nginx:1.29.3@sha256:abc"), []string{
			`cluster/objects.yaml:9 images/invalid container "app" has image "nginx:1.29.3@sha256:abc", which is no image reference: invalid checksum digest length`,
		}},
		"two digests in one name": {pod("nginx@" + digestExample + "@" + digestExample), []string{
			`cluster/objects.yaml:9 images/invalid container "app" has image "nginx@` + digestExample + `@` + digestExample + `", which is no image reference: a digest must contain exactly one '@' separator (e.g. registry/repository@digest) saw: nginx@` + digestExample + `@` + digestExample,
		}},
		"upper case, with a digest": {pod("ghcr.io/Example/app:1@" + digestExample), []string{
			"cluster/objects.yaml:9 images/invalid container \"app\" has image \"ghcr.io/Example/app:1@" + digestExample + "\", which is no image reference: repository can only contain the characters `abcdefghijklmnopqrstuvwxyz0123456789_-./`: Example/app",
		}},
		"value of a variable": {pod(`"${REGISTRY}/app:1.0"`), []string{
			`cluster/objects.yaml:9 images/invalid container "app" has image "${REGISTRY}/app:1.0": nothing replaces the variable in it`,
		}},
		"tag after the colon": {pod(`"nginx:"`), []string{
			`cluster/objects.yaml:9 images/invalid container "app" has image "nginx:", which is no image reference: nginx: must specify a tag name after the colon`,
		}},
		"image": {strings.Replace(pod("x"), "      image: x\n", "", 1), []string{
			`cluster/objects.yaml:8 images/invalid container "app" has no image`,
		}},
		"far too long": {pod(strings.Repeat("a", 2000)), []string{
			`cluster/objects.yaml:9 images/invalid container "app" has image "` + strings.Repeat("a", 200) + `"…, which is no image reference: it is longer than 1024 characters`,
		}},
		"the same image twice": {`apiVersion: batch/v1
kind: CronJob
metadata: {name: job, namespace: app}
spec:
  jobTemplate:
    spec:
      template:
        spec:
          initContainers:
            - name: first
              image: nginx:1.29.3
          containers:
            - name: second
              image: nginx:1.29.3
            - name: third
              image: nginx
          volumes:
            - name: model
              image:
                reference: ghcr.io/example/model:1
`, []string{
			`cluster/objects.yaml:11 images/no-digest container "first" has image "nginx:1.29.3" without a digest: the registry may answer with another image tomorrow`,
			`cluster/objects.yaml:16 images/no-tag container "third" has image "nginx" without a tag, which means nginx:latest: the newest there is when a node pulls it`,
			`cluster/objects.yaml:20 images/no-digest volume "model" has image "ghcr.io/example/model:1" without a digest: the registry may answer with another image tomorrow`,
		}},
		"custom resources": {`apiVersion: monitoring.coreos.com/v1
kind: Prometheus
metadata: {name: prometheus, namespace: monitoring}
spec:
  image: quay.io/prometheus/prometheus:v3.5.0
  containers:
    - name: proxy
      image: quay.io/oauth2-proxy/oauth2-proxy
    - name: prometheus # a patch of the operator's own container
---
apiVersion: postgresql.cnpg.io/v1
kind: Cluster
metadata: {name: db, namespace: app}
spec:
  imageName: ghcr.io/cloudnative-pg/postgresql:17.2
---
apiVersion: postgresql.cnpg.io/v1
kind: ImageCatalog
metadata: {name: postgresql, namespace: app}
spec:
  images:
    - major: 17
      image: ghcr.io/cloudnative-pg/postgresql:latest
---
apiVersion: source.toolkit.fluxcd.io/v1
kind: OCIRepository
metadata: {name: chart, namespace: app}
spec:
  url: oci://ghcr.io/example/chart
`, []string{
			`cluster/objects.yaml:15 images/no-digest spec.imageName has image "ghcr.io/cloudnative-pg/postgresql:17.2" without a digest: the registry may answer with another image tomorrow`,
			`cluster/objects.yaml:23 images/latest spec.images[0].image has image "ghcr.io/cloudnative-pg/postgresql:latest": the newest there is when a node pulls it`,
			`cluster/objects.yaml:5 images/no-digest spec.image has image "quay.io/prometheus/prometheus:v3.5.0" without a digest: the registry may answer with another image tomorrow`,
			`cluster/objects.yaml:8 images/no-tag spec.containers[0].image has image "quay.io/oauth2-proxy/oauth2-proxy" without a tag, which means quay.io/oauth2-proxy/oauth2-proxy:latest: the newest there is when a node pulls it`,
		}},
		"a plan's version is the tag": {`apiVersion: upgrade.cattle.io/v1
kind: Plan
metadata: {name: server, namespace: system-upgrade}
spec:
  version: v1.36.3+k3s1
  upgrade:
    image: rancher/k3s-upgrade
  prepare:
    image: rancher/k3s-upgrade:v1.36.3-k3s1@` + digestExample + `
`, []string{
			`cluster/objects.yaml:7 images/no-digest spec.upgrade.image has image "rancher/k3s-upgrade:v1.36.3-k3s1" without a digest: the registry may answer with another image tomorrow`,
		}},
		"two digests": {pod("nginx:1.29.3@"+digestExample) + "---\n" + podNamed("second", "docker.io/library/nginx:1.29.3@"+otherDigest) + "---\n" + podNamed("third", "nginx:1.29.3@"+digestExample), []string{
			`cluster/objects.yaml:19 images/tag-with-two-digests container "app" has docker.io/library/nginx:1.29.3 with ` + otherDigest + `, but container "app" of Pod app/app has ` + digestExample + ` (cluster/objects.yaml:9), and 1 more differ`,
			`cluster/objects.yaml:29 images/tag-with-two-digests container "app" has docker.io/library/nginx:1.29.3 with ` + digestExample + `, but container "app" of Pod app/second has ` + otherDigest + ` (cluster/objects.yaml:19)`,
			`cluster/objects.yaml:9 images/tag-with-two-digests container "app" has docker.io/library/nginx:1.29.3 with ` + digestExample + `, but container "app" of Pod app/second has ` + otherDigest + ` (cluster/objects.yaml:19)`,
		}},
		"another tag with another digest": {pod("nginx:1.29.3@"+digestExample) + "---\n" + podNamed("second", "nginx:1.29.4@"+otherDigest), nil},
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

func TestPlanWithChannel(t *testing.T) {
	t.Parallel()
	rep := checktest.Run(t, Gate, `apiVersion: upgrade.cattle.io/v1
kind: Plan
metadata: {name: server, namespace: system-upgrade}
spec:
  channel: https://update.k3s.io/v1-release/channels/stable
  upgrade:
    image: rancher/k3s-upgrade
`)
	want := []report.Unchecked{{
		Gate: "images", Subject: "Plan system-upgrade/server", Clusters: []string{"example"},
		Reason:   `the tag of "rancher/k3s-upgrade" of spec.upgrade.image is what https://update.k3s.io/v1-release/channels/stable answers on the day`,
		Next:     "name the version in spec.version instead of spec.channel",
		Location: report.Location{File: "cluster/objects.yaml", Line: 7},
	}}
	if diff := cmp.Diff(want, rep.NotChecked); diff != "" {
		t.Errorf("not checked (-want +got):\n%s", diff)
	}
	if lines := checktest.Lines(rep); len(lines) > 0 {
		t.Errorf("findings: %q", lines)
	}
}

func TestAllowed(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		registry, image string
		want            bool
	}{
		{"ghcr.io", "ghcr.io/example/app:1", true},
		{"ghcr.io/", "ghcr.io/example/app:1", true},
		{"ghcr.io/example", "ghcr.io/example/app:1", true},
		{"ghcr.io/example", "ghcr.io/example-evil/app:1", false},
		{"ghcr.io/example/app", "ghcr.io/example/app:1", true},
		{"ghcr.io", "ghcr.io.evil.example/app:1", false},
		{"docker.io", "nginx:1", true},
		{"docker.io/library", "nginx:1", true},
		{"docker.io/library", "grafana/grafana:1", false},
		{"index.docker.io", "grafana/grafana:1", true},
		{"registry-1.docker.io/grafana", "docker.io/grafana/grafana:1", true},
		{"docker.io", "index.docker.io/library/nginx:1", true},
		{"registry.lab:5000", "registry.lab:5000/app:1", true},
		{"registry.lab", "registry.lab:5000/app:1", false},
	} {
		r, err := imagename.Parse(tt.image)
		if err != nil {
			t.Errorf("%s: %v", tt.image, err)
		}
		if got := allowed(r.Repository, []string{tt.registry}); got != tt.want {
			t.Errorf("%s from %s: allowed %v, want %v", tt.image, tt.registry, got, tt.want)
		}
	}
}

// rendered runs the gate over objects that no file holds.
func rendered(t testing.TB, c *render.Cluster) *report.CheckReport {
	t.Helper()
	rep, err := check.Run(t.Context(), []*check.Gate{Gate}, &check.Input{
		Render: &render.Result{Clusters: []*render.Cluster{c}}, Config: &config.Config{},
		KubeVersion: utilversion.MustParse("1.36.0"), Now: checktest.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	return rep
}

// chartObject is a Pod of the chart of HelmRelease app/app.
func chartObject(image string) *render.Object {
	return &render.Object{
		Unstructured: &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"name": "app", "namespace": "app"},
			"spec": map[string]any{"containers": []any{map[string]any{"name": "app", "image": image}}},
		}},
		Origin: render.Origin{
			Location:    report.Location{File: "apps/app.yaml", Line: 3},
			HelmRelease: "app/app", Template: "app/templates/deployment.yaml",
		},
	}
}

func TestChartImage(t *testing.T) {
	t.Parallel()
	release := func(values map[string]any) *render.Release {
		return &render.Release{Object: &render.Object{
			Unstructured: &unstructured.Unstructured{Object: map[string]any{
				"metadata": map[string]any{"name": "app", "namespace": "app"}, "spec": map[string]any{"values": values},
			}},
			Origin: render.Origin{Location: report.Location{File: "apps/app.yaml", Line: 3}},
		}}
	}
	const fix = "add the digest after the tag (`crane digest IMAGE` prints it); Flux image automation and Renovate keep both up to date."
	for name, tt := range map[string]struct {
		values           map[string]any
		message, wantFix string
	}{
		"repository in a value": {
			map[string]any{"image": map[string]any{"repository": "ghcr.io/example/app", "tag": "1.2.3"}},
			"(spec.values.image.repository of HelmRelease app/app)", "In the HelmRelease, at spec.values.image.repository: " + fix,
		},
		"whole image in a list": {
			map[string]any{"sidecars": []any{map[string]any{"image": "ghcr.io/example/app:1.2.3"}}},
			"(spec.values.sidecars[0].image of HelmRelease app/app)", "In the HelmRelease, at spec.values.sidecars[0].image: " + fix,
		},
		"registry apart": {
			map[string]any{"image": map[string]any{"registry": "ghcr.io", "name": "example/app"}},
			"(spec.values.image.name of HelmRelease app/app)", "In the HelmRelease, at spec.values.image.name: " + fix,
		},
		"a name alone, at a key that speaks of images": {
			map[string]any{"class": "app", "image": map[string]any{"repository": "app"}},
			"(spec.values.image.repository of HelmRelease app/app)", "In the HelmRelease, at spec.values.image.repository: " + fix,
		},
		"several values": {
			map[string]any{"web": map[string]any{"image": "example/app"}, "job": []any{"example/app", "other"}},
			"(spec.values.job[0] or spec.values.web.image of HelmRelease app/app)", "In the HelmRelease, at spec.values.job[0] or spec.values.web.image: " + fix,
		},
		"the chart's default": {
			map[string]any{"ingress": "ghcr.io", "class": "app"},
			"(made by app/templates/deployment.yaml; spec.values of HelmRelease app/app does not name it)", "In the HelmRelease's values for this image (`helm show values` lists them): " + fix,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rep := rendered(t, &render.Cluster{
				Name: "example", Releases: []*render.Release{release(tt.values)},
				Objects: []*render.Object{chartObject("ghcr.io/example/app:1.2.3")},
			})
			want := []report.Finding{{
				Rule: "images/no-digest", Severity: report.Warning,
				Message:  `container "app" has image "ghcr.io/example/app:1.2.3" without a digest: the registry may answer with another image tomorrow ` + tt.message,
				Fix:      tt.wantFix,
				Location: report.Location{File: "apps/app.yaml", Line: 3},
				Object:   "Pod app/app", Clusters: []string{"example"}, HelmRelease: "app/app", Template: "app/templates/deployment.yaml",
			}}
			if diff := cmp.Diff(want, rep.Findings, cmpopts.IgnoreFields(report.Finding{}, "Fingerprint")); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
		})
	}
}

// TestChartOfRepository: the line is that of the value.
func TestChartOfRepository(t *testing.T) {
	t.Parallel()
	want := []string{
		`cluster/app.yaml:17 images/no-digest container "app" has image "ghcr.io/example/app:1.2.3" without a digest: the registry may answer with another image tomorrow (spec.values.image.repository of HelmRelease app/app)`,
		`cluster/app.yaml:1 images/no-tag container "sidecar" has image "docker.io/example/sidecar" without a tag, which means docker.io/example/sidecar:latest: the newest there is when a node pulls it (made by app/templates/pod.yaml; spec.values of HelmRelease app/app does not name it)`,
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, checktest.Lines(checktest.Run(t, Gate, chartRepository))); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
}

const chartRepository = `-- cluster/flux.yaml --
apiVersion: source.toolkit.fluxcd.io/v1
kind: GitRepository
metadata: {name: flux-system, namespace: flux-system}
spec:
  interval: 1m
  url: https://example.org/repository.git
-- cluster/kustomization.yaml --
resources: [flux.yaml, app.yaml]
-- cluster/app.yaml --
apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata:
  name: app
  namespace: app
spec:
  interval: 1h
  chart:
    spec:
      chart: charts/app
      sourceRef:
        kind: GitRepository
        name: flux-system
        namespace: flux-system
  values:
    image:
      repository: ghcr.io/example/app
      tag: 1.2.3
-- charts/app/Chart.yaml --
apiVersion: v2
name: app
version: 1.0.0
-- charts/app/values.yaml --
image: {repository: example, tag: latest}
-- charts/app/templates/pod.yaml --
apiVersion: v1
kind: Pod
metadata:
  name: {{ .Release.Name }}
spec:
  containers:
    - name: app
      image: {{ .Values.image.repository }}:{{ .Values.image.tag }}
    - name: sidecar
      image: docker.io/example/sidecar
`

// TestStandIn: what only the cluster knows is not checked, and said so.
func TestStandIn(t *testing.T) {
	t.Parallel()
	object := func(image string, from ...string) *render.Object {
		o := chartObject(image)
		o.Origin.HelmRelease, o.Origin.Template, o.Origin.Placeholders = "", "", from
		return o
	}
	const from = "SECRET_DOMAIN from Secret flux-system/cluster-secrets"
	ofChart := chartObject("192.0.2.1:5000/app")
	c := &render.Cluster{
		Name:     "example",
		Objects:  []*render.Object{object("registry.placeholder.example/app", from), object("nginx", from), object("placeholder/app:1"), ofChart},
		Releases: []*render.Release{{Object: &render.Object{Unstructured: &unstructured.Unstructured{Object: map[string]any{"metadata": map[string]any{"name": "app", "namespace": "app"}}}, Origin: render.Origin{Placeholders: []string{from}}}}},
	}
	rep := rendered(t, c)
	u := report.Unchecked{
		Gate: "images", Subject: "Pod app/app", Clusters: []string{"example"}, Location: report.Location{File: "apps/app.yaml", Line: 3},
		Reason: `the image of container "app" holds what only the cluster knows: ` + from,
		Next:   "write the image out, or take the variable from a ConfigMap of the repository: an image name is no secret",
	}
	if diff := cmp.Diff([]report.Unchecked{u}, rep.NotChecked); diff != "" {
		t.Errorf("not checked (-want +got):\n%s", diff)
	}
	want := []string{
		`apps/app.yaml:3 images/no-digest container "app" has image "placeholder/app:1" without a digest: the registry may answer with another image tomorrow`,
		`apps/app.yaml:3 images/no-tag container "app" has image "nginx" without a tag, which means nginx:latest: the newest there is when a node pulls it`,
	}
	if diff := cmp.Diff(want, checktest.Lines(rep)); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
}

// TestHostileObjects: what is no workload at all must not end the run.
func TestHostileObjects(t *testing.T) {
	t.Parallel()
	c := &render.Cluster{Name: "example"}
	for _, text := range strings.Split(`apiVersion: v1
kind: Pod
metadata: {name: a, namespace: app}
spec: {containers: none, volumes: {a: b}}
---
apiVersion: v1
kind: Pod
metadata: {name: b, namespace: app}
spec: {containers: [1, null, [], {name: [], image: 7}, {name: app, image: {}}], volumes: [1, {image: x}, {image: {reference: 1}}], initContainers: {}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: c, namespace: app}
spec: [template]
---
apiVersion: upgrade.cattle.io/v1
kind: Plan
metadata: {name: d, namespace: app}
spec: {version: 1, channel: [], upgrade: {image: rancher/k3s-upgrade}}
---
apiVersion: monitoring.coreos.com/v1
kind: Prometheus
metadata: {name: e, namespace: app}
spec: {image: [], containers: {image: x}, initContainers: [x, {image: {}}], thanos: 3}
`, "---\n") {
		u := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(text), &u.Object); err != nil {
			t.Fatal(err)
		}
		c.Objects = append(c.Objects, &render.Object{Unstructured: u, Origin: render.Origin{Location: report.Location{File: "hostile.yaml", Line: 1}}})
	}
	rep := rendered(t, c)
	want := []string{
		`hostile.yaml:1 images/no-tag spec.upgrade.image has image "rancher/k3s-upgrade" without a tag, which means rancher/k3s-upgrade:latest: the newest there is when a node pulls it`,
	}
	if diff := cmp.Diff(want, checktest.Lines(rep)); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
}

// TestSpeed: the time grows with the number of objects, not with its square; the
// limit is far above what a busy machine needs.
func TestSpeed(t *testing.T) {
	c := &render.Cluster{Name: "example"}
	for i := range 10_000 {
		c.Objects = append(c.Objects, chartObject(fmt.Sprintf("ghcr.io/example/app:%d@%s", i, digestExample)))
	}
	start := time.Now()
	if rep := rendered(t, c); len(rep.Findings) > 0 {
		t.Errorf("%d findings", len(rep.Findings))
	}
	if took := time.Since(start); took > 30*time.Second {
		t.Errorf("10,000 objects took %v", took)
	} else {
		t.Logf("10,000 objects took %v", took)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"nginx", "a:b@" + digestExample, "::@", "@", "a/", "/", "x:5000/y:z"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, image string) {
		r, err := imagename.Parse(image)
		if err == nil && (r.Repository == "" || !strings.Contains(r.Repository, "/")) {
			t.Errorf("%q has repository %q", image, r.Repository)
		}
		if s := show(image); len(s) > 1000 {
			t.Errorf("%q is shown with %d characters", image, len(s))
		}
	})
}
