package images

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lumacore.dev/lumacore/internal/check/checktest"
	"lumacore.dev/lumacore/internal/report"
)

// listed is images-without-digest.yaml with these images, named by objects.yaml.
func listed(images ...string) string {
	s := listHead + "images:\n"
	for _, i := range images {
		s += "  - {image: \"" + i + "\", where: cluster/objects.yaml, reason: not yet}\n"
	}
	return s
}

func TestList(t *testing.T) {
	t.Parallel()
	const objects = "-- cluster/objects.yaml --\n"
	for name, tt := range map[string]struct {
		repository string
		want       []string
	}{
		"listed":                     {listed("ghcr.io/example/app:1.2.3") + objects + pod("ghcr.io/example/app:1.2.3"), []string{"info listed"}},
		"not listed":                 {listed() + objects + pod("ghcr.io/example/app:1.2.3"), []string{"error unlisted"}},
		"another version is listed":  {listed("ghcr.io/example/app:1.2.2") + objects + pod("ghcr.io/example/app:1.2.3"), []string{"error unlisted", "warning list-unused"}},
		"Docker Hub, short and long": {listed("nginx:1.29", "docker.io/traefik:v3") + objects + pod("docker.io/library/nginx:1.29") + "---\n" + podNamed("b", "traefik:v3"), []string{"info listed", "info listed"}},
		"twice":                      {listed("ghcr.io/example/app:1.2.3", "ghcr.io/example/app:1.2.3") + objects + pod("ghcr.io/example/app:1.2.3"), []string{"info listed", "error list-invalid"}},
		"pinned meanwhile":           {listed("ghcr.io/example/app:1.2.3") + objects + pod("ghcr.io/example/app:1.2.3@"+digestExample), []string{"warning list-unused"}},
		"twice, short and long":      {listed("nginx:1", "docker.io/library/nginx:1") + objects + pod("nginx:1"), []string{"info listed"}},
		"no list":                    {objects + pod("ghcr.io/example/app:1.2.3"), []string{"warning no-digest"}},
		"no image":                   {listed("UPPER/case:1") + objects + pod("ghcr.io/example/app:1.2.3@"+digestExample), []string{"error list-invalid"}},
		"latest is no excuse":        {listed("ghcr.io/example/app:latest") + objects + pod("ghcr.io/example/app:latest"), []string{"error latest", "warning list-unused"}},
		"a variable": {listed("${REGISTRY}/app:1.2.3") + `-- lumacore.yaml --
apiVersion: lumacore.dev/v1alpha1
kind: Config
clusters: [{name: example, path: cluster}]
-- cluster/settings.yaml --
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: flux-system}
data: {REGISTRY: registry.example.com}
---
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: apps, namespace: flux-system}
spec:
  interval: 1h
  prune: true
  path: ./apps
  sourceRef: {kind: GitRepository, name: flux-system}
  postBuild: {substituteFrom: [{kind: ConfigMap, name: settings}]}
-- apps/objects.yaml --
` + pod("${REGISTRY}/app:1.2.3"), []string{"info listed"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, f := range checktest.Run(t, Gate, tt.repository).Findings {
				if rule, ok := strings.CutPrefix(f.Rule, "images/"); ok {
					got = append(got, string(f.Severity)+" "+rule)
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
		})
	}
}

func TestHas(t *testing.T) {
	t.Parallel()
	object := map[string]any{"args": []any{"--reloader=quay.io/example/reloader:v1.2.3", "quay.io/example/pinned:v1@sha256:0", "--x=quay.io/example/long:v1.2"}}
	for image, want := range map[string]bool{
		"quay.io/example/reloader:v1.2.3": true,
		"quay.io/example/reloader:v1.2":   false,
		"quay.io/example/pinned:v1":       false,
		"quay.io/example/long:v1":         false,
		"quay.io/example/long:v1.2":       true,
	} {
		if got := has(object, image); got != want {
			t.Errorf("%s: %v", image, got)
		}
	}
}

// TestListOfCharts: what a chart runs nobody knows before it is rendered.
func TestListOfCharts(t *testing.T) {
	t.Parallel()
	rep := checktest.Run(t, Gate, listed("ghcr.io/example/operator:1.2.3", "ghcr.io/example/agent:1.2.3")+`-- cluster/objects.yaml --
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
	for _, f := range rep.Findings {
		if strings.HasPrefix(f.Rule, "images/") {
			t.Errorf("finding %s: %s", f.Rule, f.Message)
		}
	}
	want := report.Unchecked{
		Gate: "images", Subject: "2 entries of images-without-digest.yaml for HelmRelease flux-system/operator", Location: report.Location{File: "images-without-digest.yaml", Line: 4},
		Reason: `it was not rendered, so that its images are not known: the first listed is "ghcr.io/example/operator:1.2.3"`,
		Next:   "make its chart available, see what gate render says of it",
	}
	var got []report.Unchecked
	for _, u := range rep.NotChecked {
		if u.Gate == "images" {
			got = append(got, u)
		}
	}
	if diff := cmp.Diff([]report.Unchecked{want}, got); diff != "" {
		t.Errorf("not checked (-want +got):\n%s", diff)
	}
}
