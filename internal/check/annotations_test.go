package check_test

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lumacore.dev/lumacore/internal/chart"
	"lumacore.dev/lumacore/internal/check"
	"lumacore.dev/lumacore/internal/check/rendering"
	"lumacore.dev/lumacore/internal/check/yaml"
	"lumacore.dev/lumacore/internal/gitops"
	"lumacore.dev/lumacore/internal/render"
	"lumacore.dev/lumacore/internal/report"
)

// TestAnnotationsOfEveryGate: what an annotation allows does not depend on how a gate
// makes its findings.
func TestAnnotationsOfEveryGate(t *testing.T) {
	t.Parallel()
	const flux = `apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata:
  name: apps
  namespace: flux-system
  annotations: {ALLOW}
spec:
  interval: 10m
  path: ./nowhere
  prune: true
  sourceRef: {kind: GitRepository, name: flux-system}
`
	for name, tt := range map[string]struct {
		repository, rule string
		want             []string // rule, line, reason
	}{
		"yaml: the document": {
			"-- a/x.yaml --\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: x\n  annotations:\n    allow.lumacore.dev/yaml.ambiguous-value: wanted\ndata:\n  a: no\n", "yaml/ambiguous-value",
			[]string{"a/x.yaml:8 wanted"},
		},
		"yaml: another document of the file": {
			"-- a/x.yaml --\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: x\n  annotations:\n    allow.lumacore.dev/yaml.ambiguous-value: wanted\n---\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: z\ndata:\n  a: no\n", "yaml/ambiguous-value",
			[]string{"a/x.yaml:13 "},
		},
		"yaml: what does not parse belongs to no document": {
			"-- a/x.yaml --\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: x\n  annotations:\n    allow.lumacore.dev/yaml.syntax: wanted\n---\napiVersion: v1\nkind: [\n", "yaml/syntax",
			[]string{"a/x.yaml:9 "},
		},
		"render: the Kustomization": {
			"-- a/x.yaml --\n" + strings.Replace(flux, "ALLOW", "allow.lumacore.dev/render.path-missing: soon", 1), "render/path-missing",
			[]string{"a/x.yaml:9 soon"},
		},
		"render: without": {
			"-- a/x.yaml --\n" + strings.Replace(flux, "ALLOW", "", 1), "render/path-missing",
			[]string{"a/x.yaml:9 "},
		},
		"render: added by a patch": {
			"-- a/kustomization.yaml --\nresources: [x.yaml]\ncommonAnnotations: {allow.lumacore.dev/render.path-missing: soon}\n-- a/x.yaml --\n" + strings.Replace(flux, "ALLOW", "", 1), "render/path-missing",
			[]string{"a/x.yaml:9 soon"},
		},
		"render: taken away by a patch": {
			"-- a/kustomization.yaml --\nresources: [x.yaml]\npatches:\n  - target: {kind: Kustomization}\n    patch: |-\n      - op: remove\n        path: /metadata/annotations\n-- a/x.yaml --\n" +
				strings.Replace(flux, "ALLOW", "allow.lumacore.dev/render.path-missing: soon", 1), "render/path-missing",
			[]string{"a/x.yaml:9 "},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := []string{}
			for _, f := range run(t, input(t, tt.repository), yaml.Gate, rendering.Gate).Findings {
				if f.Rule != tt.rule {
					continue
				}
				s := f.Location.String() + " "
				if f.Suppressed != nil {
					s += f.Suppressed.Reason
				}
				got = append(got, s)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("findings of %s (-want +got):\n%s", tt.rule, diff)
			}
		})
	}
}

// TestAnnotationOfHelmRelease: it is about the objects of the chart too.
func TestAnnotationOfHelmRelease(t *testing.T) {
	t.Parallel()
	const repository = `-- a/release.yaml --
apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata:
  name: tool
  namespace: app
  annotations: {ALLOW}
spec:
  interval: 1h
  chart:
    spec:
      chart: ./chart
      sourceRef: {kind: GitRepository, name: flux-system, namespace: flux-system}
-- chart/Chart.yaml --
apiVersion: v2
name: tool
version: 1.0.0
-- chart/templates/map.yaml --
apiVersion: v1
kind: ConfigMap
metadata: {name: x}
-- a/source.yaml --
apiVersion: source.toolkit.fluxcd.io/v1
kind: GitRepository
metadata: {name: flux-system, namespace: flux-system}
spec: {interval: 1h, url: "https://example.com/fleet.git"}
`
	for name, tt := range map[string]struct {
		annotation string
		charts     bool
		want       []string
	}{
		"none":         {"", true, []string{"a/release.yaml:1 warning fake/map it is there on a"}},
		"of the rule":  {"allow.lumacore.dev/fake.map: because", true, []string{"a/release.yaml:1 warning fake/map it is there on a [annotation: because]"}},
		"of another":   {"allow.lumacore.dev/fake.secret: because", true, []string{"a/release.yaml:1 warning fake/map it is there on a", "a/release.yaml:6 warning config/allowance-unused the annotation allow.lumacore.dev/fake.secret fits no finding on a"}},
		"not rendered": {"allow.lumacore.dev/fake.map: because", false, []string{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := input(t, strings.Replace(repository, "ALLOW", tt.annotation, 1))
			if tt.charts {
				charts, err := chart.NewStore(chart.Options{CacheDir: t.TempDir(), Offline: true})
				if err != nil {
					t.Fatal(err)
				}
				if in.Render, err = render.Render(t.Context(), in.Tree, []gitops.Cluster{{Name: "a", Path: "a"}}, render.Options{KubeVersion: "1.36.0", Charts: charts, Remotes: []string{"https://example.com/fleet.git"}}); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(tt.want, show(run(t, in, fake))); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
		})
	}
}

// TestAnnotationsThatAllowNothing are findings, as entries are that fit none.
func TestAnnotationsThatAllowNothing(t *testing.T) {
	t.Parallel()
	pod := func(annotation string) string {
		return "-- a/x.yaml --\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x, namespace: app}\nspec:\n  template:\n    metadata:\n      annotations:\n        " + annotation + "\n"
	}
	for name, tt := range map[string]struct {
		repository string
		want       []string
	}{
		"one that fits":           {"-- a/x.yaml --\n" + configMap("x", "allow.lumacore.dev/fake.map: because"), []string{"a/x.yaml:7 warning fake/map it is there on a [annotation: because]"}},
		"a rule that did not run": {"-- a/x.yaml --\n" + configMap("x", "allow.lumacore.dev/lazy.idle: because"), []string{"a/x.yaml:7 warning fake/map it is there on a"}},
		"a rule that is off":      {head + "check: {severity: {fake/map: off}}\n-- a/x.yaml --\n" + configMap("x", "allow.lumacore.dev/fake.map: because"), []string{}},
		"one document, two clusters, one finding": {
			"-- base/kustomization.yaml --\nresources: [x.yaml]\n-- base/x.yaml --\n" + strings.Replace(configMap("x", "allow.lumacore.dev/fake.big: because"), "data: {a: b}", "data: {size: small}", 1) +
				"-- a/kustomization.yaml --\nresources: [../base]\n-- b/kustomization.yaml --\nresources: [../base]\npatches: [{target: {kind: ConfigMap}, patch: '[{\"op\": \"replace\", \"path\": \"/data/size\", \"value\": \"big\"}]'}]\n",
			[]string{"base/x.yaml:7 warning fake/big it is big on b [annotation: because]"},
		},
		"one that a kustomization puts on all": {
			"-- a/kustomization.yaml --\nresources: [x.yaml]\ncommonAnnotations: {allow.lumacore.dev/fake.secret: because}\n-- a/x.yaml --\n" + configMap("x"),
			[]string{"a/x.yaml:5 warning fake/map it is there on a"},
		},
		"a rule of config": {
			"-- a/x.yaml --\n" + configMap("x", "allow.lumacore.dev/config.nothing-checked: because"),
			[]string{"a/x.yaml:3 warning config/allowance-unused the annotation allow.lumacore.dev/config.nothing-checked has no effect: findings of the gate config cannot be allowed on a", "a/x.yaml:7 warning fake/map it is there on a"},
		},
		"on a pod template": {
			pod("allow.lumacore.dev/fake.map: because"),
			[]string{"a/x.yaml:8 warning config/allowance-unused the annotation allow.lumacore.dev/fake.map stands on what the Deployment makes, and so has no effect; it belongs in the Deployment's own metadata.annotations on a"},
		},
		"on a pod template, of a rule that did not run": {pod("allow.lumacore.dev/lazy.idle: because"), []string{}},
		"on a pod template, of no rule": {
			pod("allow.lumacore.dev/fake.mop: because"),
			[]string{"a/x.yaml:8 warning config/annotation-unknown the annotation allow.lumacore.dev/fake.mop names no rule; did you mean allow.lumacore.dev/fake.map? on a"},
		},
		"on the pods of a CronJob": {
			"-- a/x.yaml --\napiVersion: batch/v1\nkind: CronJob\nmetadata: {name: x, namespace: app}\nspec:\n  jobTemplate:\n    spec:\n      template:\n        metadata:\n          annotations:\n            allow.lumacore.dev/fake.map: because\n",
			[]string{"a/x.yaml:10 warning config/allowance-unused the annotation allow.lumacore.dev/fake.map stands on what the CronJob makes, and so has no effect; it belongs in the CronJob's own metadata.annotations on a"},
		},
		"of another type": {"-- a/x.yaml --\napiVersion: example.com/v1\nkind: Thing\nmetadata: {name: x, namespace: app}\nspec: {template: [a], jobTemplate: {metadata: {annotations: none}}}\n", []string{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			big := *fake
			big.Rules = append(big.Rules[:2:2], report.Rule{ID: "fake/big", Severity: report.Warning})
			big.Check = func(_ context.Context, in *check.Input, out *check.Reporter) error {
				for _, c := range in.Render.Clusters {
					for _, o := range c.Of("", "ConfigMap") {
						switch data, _ := o.Object["data"].(map[string]any); data["size"] {
						case nil:
							out.Object("fake/map", c, o, []any{"data"}, "it is there")
						case "big":
							out.Object("fake/big", c, o, []any{"data"}, "it is big")
						}
					}
				}
				return nil
			}
			in := input(t, tt.repository)
			in.Known = []*check.Gate{lazy}
			if diff := cmp.Diff(tt.want, show(run(t, in, &big))); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
		})
	}
}

// TestNothingBuilt: Kustomizations that do not build are nothing to look at.
func TestNothingBuilt(t *testing.T) {
	t.Parallel()
	const flux = "-- a/x.yaml --\napiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: apps, namespace: flux-system}\nspec: {interval: 10m, prune: true, path: ./apps, sourceRef: {kind: GitRepository, name: flux-system}}\n"
	const finding = " error config/nothing-checked nothing but Flux Kustomizations and sources was rendered of cluster a (folder a), for what they apply does not build: nothing else was checked there on a"
	for name, tt := range map[string]struct {
		repository string
		want       []string
	}{
		"no folder":     {flux, []string{finding}},
		"it builds":     {flux + "-- apps/x.yaml --\napiVersion: v1\nkind: Namespace\nmetadata: {name: app}\n", []string{}},
		"there is more": {flux + "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: app}\n", []string{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tt.want, show(run(t, input(t, tt.repository), fake))); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
		})
	}
}
