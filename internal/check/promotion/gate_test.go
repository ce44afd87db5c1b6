package promotion

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lumacore.dev/lumacore/internal/check"
	"lumacore.dev/lumacore/internal/check/checktest"
	"lumacore.dev/lumacore/internal/report"
)

func TestExamples(t *testing.T) {
	t.Parallel()
	checktest.Examples(t, Gate)
}

// found are the findings with their severities.
func found(rep *report.CheckReport) (out []string) {
	for _, f := range rep.Findings {
		text := fmt.Sprintf("%s %s %s %s", f.Location, f.Severity, strings.TrimPrefix(f.Rule, "promotion/"), f.Message)
		if f.Suppressed != nil {
			text += " [" + f.Suppressed.By + "]"
		}
		out = append(out, text)
	}
	return out
}

// file is one file of a repository, or of it as it was before.
func file(name string, lines ...string) string {
	return "-- " + name + " --\n" + strings.Join(lines, "\n") + "\n"
}

const (
	applied = "this changes prod: "
	reached = "this changes prod too, and is not its own file: "
)

// flux is a Flux Kustomization.
func fluxYAML(name, path string, more ...string) string {
	return "---\napiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: " + name + ", namespace: flux-system}\nspec:\n  interval: 10m\n  path: " + path +
		"\n  prune: true\n  suspend: false\n  sourceRef: {kind: GitRepository, name: flux-system}\n" + strings.Join(more, "")
}

func configMap(namespace, name, data string) string {
	return "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: " + name + ", namespace: " + namespace + "}\ndata: " + data + "\n"
}

func TestChanges(t *testing.T) {
	t.Parallel()
	both := repositoryYAML(`"1.0.0"`, `"1.0.0"`)
	// One Kustomization applies the namespaces of both environments.
	mixed := file("cluster/ks.yaml", fluxYAML("infra", "./infra")) +
		file("infra/kustomization.yaml", "resources: [a, b]") +
		file("infra/a/kustomization.yaml", "namespace: app-a", "resources: [namespace.yaml, ../base]") + file("infra/a/namespace.yaml", namespace("prod")) +
		file("infra/b/kustomization.yaml", "namespace: app-b", "resources: [namespace.yaml, ../base]") + file("infra/b/namespace.yaml", namespace("staging")) +
		file("infra/base/kustomization.yaml", "resources: [quota.yaml]") +
		file("infra/base/quota.yaml", configMap("x", "quota", "{a: b}"))
	mixed = strings.ReplaceAll(strings.ReplaceAll(mixed, "name: app-prod", "name: app-a"), "name: app-staging", "name: app-b")
	variables := func(names string) string {
		return file("cluster/settings.yaml", configMap("flux-system", "settings", names)) +
			file("cluster/ks.yaml", fluxYAML("prod", "./prod", "  postBuild: {substituteFrom: [{kind: ConfigMap, name: settings}]}\n")) +
			file("prod/namespace.yaml", namespace("prod")) + file("prod/a.yaml", configMap("app-prod", "a", `{x: "${ONE}"}`)) + file("prod/b.yaml", configMap("app-prod", "b", "{x: y}"))
	}
	clusters := file("lumacore.yaml", "apiVersion: lumacore.dev/v1alpha1", "kind: Config", "clusters:",
		"  - {name: production, path: clusters/production, environment: prod}", "  - {name: staging, path: clusters/staging, environment: staging}") +
		file("clusters/production/ks.yaml", fluxYAML("apps", "./apps/production")) + file("clusters/staging/ks.yaml", fluxYAML("apps", "./apps/staging")) +
		file("apps/production/kustomization.yaml", "resources: [../base]") + file("apps/staging/kustomization.yaml", "resources: [../base]") +
		file("apps/base/kustomization.yaml", "resources: [a.yaml]") + file("apps/base/a.yaml", configMap("web", "a", "{x: y}"))
	chart := kustomizations("  suspend: true\n") +
		file("overlays/staging/namespace.yaml", namespace("staging")) + file("overlays/prod/namespace.yaml", namespace("prod")) +
		file("overlays/staging/release.yaml", chartRelease("staging")) + file("overlays/prod/release.yaml", chartRelease("prod")) +
		file("charts/web/Chart.yaml", "apiVersion: v2", "name: web", "version: 1.0.0") +
		file("charts/web/templates/configmap.yaml", configMap("{{ .Release.Namespace }}", "web", "{x: y}"))
	for name, tt := range map[string]struct {
		repository string
		want       []string
	}{
		"nothing": {both + file("base:README.md", "before"), nil},
		"production's own file": {both + file("base:overlays/prod/kustomization.yaml", strings.TrimSuffix(overlay("prod", `"0.9.0"`), "\n")), []string{
			"overlays/prod/kustomization.yaml:5 warning prod-change " + applied + "Deployment app-prod/app (spec.template.spec.containers[0].image)",
		}},
		"staging's own file": {both + file("base:overlays/staging/kustomization.yaml", strings.TrimSuffix(overlay("staging", `"0.9.0"`), "\n")), nil},
		"the base": {both + "-- base:base/deployment.yaml --\n" + deployment("3"), []string{
			"base/deployment.yaml:6 error prod-unannounced " + reached + "Deployment app-prod/app (spec.replicas)",
		}},
		"a comment in the base": {both + "-- base:base/deployment.yaml --\n" + "# before\n" + deployment("1"), nil},
		"both": {both + "-- base:base/deployment.yaml --\n" + deployment("3") + file("base:overlays/prod/kustomization.yaml", strings.TrimSuffix(overlay("prod", `"0.9.0"`), "\n")), []string{
			"base/deployment.yaml:6 error prod-unannounced " + reached + "Deployment app-prod/app (spec.replicas, spec.template.spec.containers[0].image)",
			"overlays/prod/kustomization.yaml:5 warning prod-change " + applied + "Deployment app-prod/app (spec.replicas, spec.template.spec.containers[0].image)",
		}},
		"the Kustomization of production": {both + strings.Replace(kustomizations("  suspend: false\n"), "-- cluster", "-- base:cluster", 1), []string{
			"cluster/kustomizations.yaml:23 error prod-unannounced " + reached + "Kustomization flux-system/apps-prod (spec.suspend)",
		}},
		"new resources are named at what lists them": {both + file("base:base/kustomization.yaml", "resources: []") + "-- base:base/deployment.yaml --\n", []string{
			"base/kustomization.yaml:1 error prod-unannounced " + reached + "Deployment app-prod/app (new)",
		}},
		"a folder for the namespace of production": {mixed + file("base:infra/a/kustomization.yaml", "namespace: app-a", "resources: [namespace.yaml, ../base]", "labels: [{pairs: {a: b}}]"), []string{
			"infra/a/kustomization.yaml:2 warning prod-change " + applied + "Namespace app-a (metadata.labels.a), ConfigMap app-a/quota (metadata.labels.a)",
		}},
		"a folder for another namespace": {mixed + file("base:infra/b/kustomization.yaml", "namespace: app-b", "resources: [namespace.yaml, ../base]", "labels: [{pairs: {a: b}}]"), nil},
		"the base of both": {mixed + file("base:infra/base/quota.yaml", configMap("x", "quota", "{a: c}")), []string{
			"infra/base/quota.yaml:4 error prod-unannounced " + reached + "ConfigMap app-a/quota (data.a)",
		}},
		"a variable": {variables(`{ONE: "1", TWO: "2"}`) + file("base:cluster/settings.yaml", configMap("flux-system", "settings", `{ONE: "0", TWO: "2"}`)), []string{
			"cluster/settings.yaml:4 error prod-unannounced " + reached + "ConfigMap app-prod/a (data.x)",
		}},
		"a variable that production does not use": {variables(`{ONE: "1", TWO: "2"}`) + file("base:cluster/settings.yaml", configMap("flux-system", "settings", `{ONE: "1", TWO: "0"}`)) +
			file("base:prod/b.yaml", configMap("app-prod", "b", "{x: z}")), []string{
			"prod/b.yaml:4 warning prod-change " + applied + "ConfigMap app-prod/b (data.x)",
		}},
		"a cluster for each environment": {clusters + file("base:apps/base/a.yaml", configMap("web", "a", "{x: z}")) + file("base:apps/production/kustomization.yaml", "resources: [../base]", "labels: [{pairs: {a: b}}]"), []string{
			"apps/base/a.yaml:4 error prod-unannounced " + reached + "ConfigMap web/a (data.x, metadata.labels.a)",
			"apps/production/kustomization.yaml:1 warning prod-change " + applied + "ConfigMap web/a (data.x, metadata.labels.a)",
		}},
		"a chart of both": {chart + file("base:charts/web/templates/configmap.yaml", configMap("{{ .Release.Namespace }}", "web", "{x: z}")), []string{
			"charts/web/templates/configmap.yaml:4 error prod-unannounced " + reached + "ConfigMap app-prod/web (data.x)",
		}},
		"values of a release": {chart + file("base:overlays/prod/release.yaml", chartRelease("prod"), "  values: {a: b}"), []string{
			"overlays/prod/release.yaml:11 warning prod-change " + applied + "HelmRelease app-prod/web (spec.values)",
		}},
		"a whole environment that is new": {variables(`{ONE: "1"}`) +
			file("base:prod/namespace.yaml") + file("base:prod/a.yaml", configMap("default", "a", `{x: "${ONE}"}`)), []string{
			"prod/a.yaml:3 warning prod-change " + applied + "ConfigMap app-prod/a (new)",
			"prod/namespace.yaml:1 warning prod-change " + applied + "Namespace app-prod (new)",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := found(checktest.Run(t, Gate, tt.repository))
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
		})
	}
}

func chartRelease(environment string) string {
	return strings.TrimSuffix(`apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata:
  name: web
  namespace: app-`+environment+`
spec:
  interval: 1h
  chart:
    spec:
      chart: ./charts/web
      sourceRef: {kind: GitRepository, name: flux-system, namespace: flux-system}
`, "\n")
}

// TestApproved: what was approved stays in the report, and does not count.
func TestApproved(t *testing.T) {
	t.Parallel()
	in := checktest.Input(t, repositoryYAML(`"1.0.0"`, `"1.0.0"`)+"-- base:base/deployment.yaml --\n"+deployment("3")+"-- base:overlays/prod/kustomization.yaml --\n"+overlay("prod", `"0.9.0"`))
	in.ProdApproved = true
	rep, err := check.Run(t.Context(), []*check.Gate{Gate}, in)
	if err != nil {
		t.Fatal(err)
	}
	fields := "Deployment app-prod/app (spec.replicas, spec.template.spec.containers[0].image) [--prod-approved]"
	want := []string{
		"base/deployment.yaml:6 error prod-unannounced " + reached + fields,
		"overlays/prod/kustomization.yaml:5 warning prod-change " + applied + fields,
	}
	if diff := cmp.Diff(want, found(rep)); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
	if rep.Failing() > 0 {
		t.Errorf("%d findings fail", rep.Failing())
	}
}

// TestNotCompared: what is not rendered cannot be compared, and is said to be so.
func TestNotCompared(t *testing.T) {
	t.Parallel()
	rep := checktest.Run(t, Gate, file("lumacore.yaml", "apiVersion: lumacore.dev/v1alpha1", "kind: Config", "clusters: [{name: home, path: cluster, environment: prod}]")+
		file("cluster/ks.yaml", strings.Replace(fluxYAML("apps", "./apps"), "GitRepository", "ExternalArtifact", 1))+file("base:cluster/readme.md", "before"))
	want := []report.Unchecked{{
		Gate: "promotion", Subject: "Kustomization flux-system/apps", Clusters: []string{"home"}, Location: report.Location{File: "cluster/ks.yaml", Line: 2},
		Reason: "what the change does to prod through it: it is not rendered", Next: "see what gate render says of it",
	}}
	rep.NotChecked = slices.DeleteFunc(rep.NotChecked, func(u report.Unchecked) bool { return u.Gate != "promotion" })
	if diff := cmp.Diff(want, rep.NotChecked); diff != "" {
		t.Errorf("not checked (-want +got):\n%s", diff)
	}
}

func TestState(t *testing.T) {
	t.Parallel()
	suspended := fluxYAML("other", "./other")
	suspended = strings.Replace(suspended, "suspend: false", "suspend: true", 1)
	source := func(kind, ref string) string {
		return namespace("prod") + "---\napiVersion: source.toolkit.fluxcd.io/v1\nkind: " + kind + "\nmetadata: {name: charts, namespace: app-prod}\nspec:\n  url: https://example.org/charts\n" + ref +
			"---\napiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nmetadata: {name: app, namespace: app-prod}\nspec:\n  interval: 1h\n"
	}
	oci := func(ref string) string {
		return source("OCIRepository", ref) + "  chartRef: {kind: OCIRepository, name: charts}\n"
	}
	git := func(ref string) string {
		return source("GitRepository", ref) + "  chart: {spec: {chart: ./app, sourceRef: {kind: GitRepository, name: charts}}}\n"
	}
	const ociTakes = "HelmRelease app-prod/app takes its chart from OCIRepository app-prod/charts, "
	const gitTakes = "HelmRelease app-prod/app takes chart ./app from GitRepository app-prod/charts, "
	for name, tt := range map[string]struct {
		repository string
		want       []string
	}{
		"nothing is of production": {strings.ReplaceAll(repositoryYAML(marked, marked), "lumacore.env: prod", "lumacore.env: other") + automationYAML("./") + file("cluster/other.yaml", suspended), nil},
		"a marker that nobody edits": {repositoryYAML(`"1.0.0"`, marked), []string{
			"overlays/prod/kustomization.yaml:5 warning automation-marker prod is built from this file, and the field has a marker of image automation; no ImageUpdateAutomation of the repository edits the file, but one that is added would",
		}},
		"a marker in the base": {strings.Replace(repositoryYAML(`"1.0.0"`, `"1.0.0"`), "  replicas: 1\n", "  replicas: 1 # {\"$imagepolicy\": \"a:b\"}\n", 1) + automationYAML("./base"), []string{
			"base/deployment.yaml:6 error automation-marker prod is built from this file, and ImageUpdateAutomation flux-system/apps (cluster/automation.yaml:1) sets the field to each new version",
		}},
		"automation of everything": {repositoryYAML(marked, `"1.0.0"`) + automationYAML("./"), []string{
			"cluster/automation.yaml:10 warning automation-path it may edit the whole repository, where files of prod alone are, such as overlays/prod/kustomization.yaml",
		}},
		"automation of another repository": {repositoryYAML(marked, `"1.0.0"`) + strings.Replace(automationYAML("./"), "name: flux-system}", "name: other}", 1), nil},
		"suspended without a word": {repositoryYAML(`"1.0.0"`, `"1.0.0"`) + file("cluster/other.yaml", suspended) + file("other/a.yaml", configMap("other", "a", "{}")), []string{
			"cluster/other.yaml:9 warning suspend-undeclared it is suspended, and no annotation lumacore.dev/suspended-because says why: Flux applies nothing of it, also what is mended",
		}},
		"only production, which has no staging to come from": {strings.Split(kustomizations(""), "---\n")[0] + strings.ReplaceAll(twoEnvironments("1", "1"), "env: staging", "env: prod") + "-- base/deployment.yaml --\n" + deployment("1"), nil},
		"a version":         {releaseYAML("v1.2.3"), nil},
		"part of a version": {releaseYAML("1.2"), []string{`cluster/objects.yaml:26 warning unpinned-chart chart app has version "1.2", which is a range: the newest in it at any time`}},
		"a comparison":      {releaseYAML(">=1.2.3"), []string{`cluster/objects.yaml:26 warning unpinned-chart chart app has version ">=1.2.3", which is a range: the newest in it at any time`}},
		"no version": {strings.Replace(releaseYAML("1"), "      version: \"1\"\n", "", 1), []string{
			`cluster/objects.yaml:24 warning unpinned-chart chart app has no version, which is *: the newest one at any time`,
		}},
		"an artifact's tag":    {oci("  ref: {tag: 1.2.3}\n"), nil},
		"an artifact's digest": {oci("  ref: {tag: latest, digest: \"sha256:1\"}\n"), nil},
		"an artifact's latest": {oci("  ref: {tag: latest}\n"), []string{"cluster/objects.yaml:13 warning unpinned-chart " + ociTakes + "whose tag is latest"}},
		"an artifact's range":  {oci("  ref: {semver: 1.x}\n"), []string{`cluster/objects.yaml:13 warning unpinned-chart ` + ociTakes + `whose ref.semver "1.x" is a range`}},
		"an artifact":          {oci(""), []string{"cluster/objects.yaml:11 warning unpinned-chart " + ociTakes + "which names no tag: latest is taken"}},
		"a commit":             {git("  ref: {branch: main, commit: abc}\n"), nil},
		"a tag of Git":         {git("  ref: {tag: v1}\n"), nil},
		"a branch":             {git("  ref: {branch: main}\n"), []string{"cluster/objects.yaml:13 warning unpinned-chart " + gitTakes + "which follows branch main"}},
		"a name of Git":        {git("  ref: {name: refs/heads/main}\n"), []string{"cluster/objects.yaml:13 warning unpinned-chart " + gitTakes + "which follows refs/heads/main"}},
		"staging is behind": {repositoryYAML(`"1.9.0"`, `"1.10.0"`), []string{
			`overlays/prod/kustomization.yaml:5 warning staging-behind container "app" has version 1.10.0 in prod, and staging (Deployment app-staging/app) has 1.9.0`,
		}},
		"they cannot be ordered": {repositoryYAML("main", `"1.10.0"`), nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tt.want, found(checktest.Run(t, Gate, tt.repository))); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
		})
	}
}

func TestNewer(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		a, b string
		want bool
	}{
		{"1.10.0", "1.9.0", true},
		{"1.9.0", "1.10.0", false},
		{"1.0.0", "1.0.0", false},
		{"v1.1.0", "1.0.0", true},
		{"1.1.0", "1.1.0-rc.1", true},
		{"1.1.0-rc.2", "1.1.0-rc.1", true},
		{"1.1.0-alpine", "1.0.0-alpine", true},
		{"1.1.0-alpine", "1.0.0", false},
		{"latest", "1.0.0", false},
		{"1.0.0", "", false},
		{"17", "16", true},
		{"20261126", "20260101", false},
		{"2026.11.1", "2026.10.3", true},
		{"1.0.0-preview", "0.9.0", false},
	} {
		if got := newer(tt.a, tt.b); got != tt.want {
			t.Errorf("newer(%q, %q) = %v", tt.a, tt.b, got)
		}
	}
}

// FuzzVersions: what stands in tags is somebody else's input; of two versions only one
// can be newer.
func FuzzVersions(f *testing.F) {
	for _, s := range []string{"1.2.3", "v1.2.3-rc.1+build", "ghcr.io/example/web:1.2.3@sha256:abc", ">=1.0.0 <2", "localhost:5000/a", ":"} {
		f.Add(s, "1.0.0")
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		if newer(a, b) && newer(b, a) {
			t.Errorf("%q and %q are both newer than the other", a, b)
		}
		exact(a)
		if repository, tag := tagged(a); len(repository)+len(tag) > len(a) {
			t.Errorf("%q is split into %q and %q", a, repository, tag)
		}
	})
}
