package gitops

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lumacore.dev/lumacore/internal/config"
)

// kustomization writes a Flux Kustomization of a GitRepository or another source.
func kustomization(name, path, source string) string {
	kind, source, ok := strings.Cut(source, "/")
	if !ok {
		kind, source = "GitRepository", kind
	}
	return fmt.Sprintf(`---
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: %s, namespace: flux-system}
spec: {path: %q, sourceRef: {kind: %s, name: %s}}
`, name, path, kind, source)
}

// repositoryAt writes a source and further fields of its spec.
func repositoryAt(kind, name, url string, more ...string) string {
	return fmt.Sprintf(`---
apiVersion: source.toolkit.fluxcd.io/v1
kind: %s
metadata: {name: %s, namespace: flux-system}
spec: {%s}
`, kind, name, strings.Join(append([]string{fmt.Sprintf("url: %q", url)}, more...), ", "))
}

// described is a cluster in one line.
func described(c Cluster) string {
	s := fmt.Sprintf("%s at %s, says %s:%d", c, c.SyncName, c.Location.File, c.Location.Line)
	if c.SourceName != "" {
		s += fmt.Sprintf(", source %s %s/%s", c.SourceKind, c.SourceNamespace, c.SourceName)
	}
	if c.Sync != nil {
		s += ", sync " + c.Sync.File
	}
	if c.Ignore != "" {
		s += ", ignore " + c.Ignore
	}
	if len(c.Include) > 0 {
		s += ", include " + strings.Join(c.Include, " ")
	}
	if c.Submodules {
		s += ", submodules"
	}
	if len(c.Substitute) > 0 {
		s += fmt.Sprintf(", substitute %v", c.Substitute)
	}
	return s
}

func TestDiscover(t *testing.T) {
	t.Parallel()
	const (
		fleet   = "ssh://git@example.org/owner/fleet"
		podinfo = "https://example.org/other/podinfo"
		sync    = "clusters/prod/flux-system/gotk-sync.yaml"
		prod    = "prod (clusters/prod) at flux-system, says " + sync + ":7, source GitRepository flux-system/flux-system, sync " + sync
	)
	cm := "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: cm}\n"
	bootstrap := func(path string) string {
		return repositoryAt("GitRepository", "flux-system", fleet) + kustomization("flux-system", path, "flux-system")
	}
	instance := func(path, more string) string {
		return "apiVersion: fluxcd.controlplane.io/v1\nkind: FluxInstance\nmetadata: {name: flux, namespace: flux-system}\nspec:\n" +
			"  sync: {kind: GitRepository, url: \"" + fleet + "\", path: " + path + more + "}\n"
	}
	for name, tt := range map[string]struct {
		files    map[string]string
		remotes  []string
		declared []config.Cluster
		want     []string
	}{
		"nothing": {files: map[string]string{"a.yaml": cm}},
		"bootstrap": {
			files: map[string]string{sync: bootstrap("./clusters/prod"), "clusters/prod/apps.yaml": kustomization("apps", "./apps", "flux-system"), "apps/cm.yaml": cm},
			want:  []string{prod},
		},
		"bootstrap of two clusters, each with its own source": {
			files: map[string]string{
				sync: bootstrap("./clusters/prod"),
				"clusters/lab/flux-system/gotk-sync.yaml": repositoryAt("GitRepository", "flux-system", "https://mirror.example.org/fleet", `ignore: "/docs"`) + kustomization("flux-system", "clusters/lab/", "flux-system"),
			},
			want: []string{
				"lab (clusters/lab) at flux-system, says clusters/lab/flux-system/gotk-sync.yaml:7, source GitRepository flux-system/flux-system, sync clusters/lab/flux-system/gotk-sync.yaml, ignore /docs",
				prod,
			},
		},
		"bootstrap of a fork": {
			files:   map[string]string{sync: bootstrap("./clusters/prod")},
			remotes: []string{"git@example.org:fork/fleet.git"},
			want:    []string{prod},
		},
		"bootstrap of the whole repository": {
			files: map[string]string{"flux-system/gotk-sync.yaml": bootstrap("./"), "apps.yaml": kustomization("apps", "./apps", "flux-system"), "apps/cm.yaml": cm},
			want:  []string{"cluster (.) at flux-system, says flux-system/gotk-sync.yaml:7, source GitRepository flux-system/flux-system, sync flux-system/gotk-sync.yaml"},
		},
		"include, submodules and ignore": {
			files: map[string]string{sync: repositoryAt("GitRepository", "flux-system", fleet, "recurseSubmodules: true", `ignore: "/docs"`,
				"include: [{repository: {name: shared}}, {repository: {name: x}, toPath: ./vendor/x/}, {repository: {name: y}, toPath: vendor/x}, {}, text]") + kustomization("flux-system", "./clusters/prod", "flux-system")},
			want: []string{prod + ", ignore /docs, include shared vendor/x, submodules"},
		},
		"the whole of another repository": {
			files: map[string]string{
				sync:                          bootstrap("./clusters/prod"),
				"clusters/prod/podinfo.yaml":  repositoryAt("GitRepository", "podinfo", podinfo) + kustomization("podinfo", "./", "podinfo"),
				"clusters/prod/dot.yaml":      repositoryAt("GitRepository", "dot", podinfo) + kustomization("dot", ".", "dot"),
				"clusters/prod/empty.yaml":    repositoryAt("GitRepository", "empty", podinfo) + kustomization("empty", "", "empty"),
				"clusters/prod/artifact.yaml": repositoryAt("OCIRepository", "artifact", "oci://example.org/podinfo") + kustomization("artifact", "./", "OCIRepository/artifact"),
				"clusters/prod/bucket.yaml": strings.Replace(repositoryAt("Bucket", "bucket", "", "endpoint: s3.example.org", "bucketName: b"), `url: "", `, "", 1) +
					kustomization("bucket", "./", "Bucket/bucket"),
				"clusters/prod/undeclared.yaml": kustomization("undeclared", "./", "undeclared"),
			},
			want: []string{prod},
		},
		"a folder of another repository that is called the same here": {
			files: map[string]string{
				sync:                        bootstrap("./clusters/prod"),
				"deploy/kustomization.yaml": "resources: [podinfo.yaml]\n",
				"deploy/podinfo.yaml":       repositoryAt("GitRepository", "podinfo", podinfo) + kustomization("podinfo", "./deploy", "podinfo"),
			},
			want: []string{prod},
		},
		"the whole of this repository, of another name than bootstrap's": {
			files: map[string]string{sync: bootstrap("./clusters/prod"), "clusters/prod/all.yaml": kustomization("all", "./", "flux-system")},
			want:  []string{prod},
		},
		"the whole of this repository, called like its source": {
			files: map[string]string{sync: bootstrap("./clusters/prod"), "sync.yaml": repositoryAt("GitRepository", "fleet", "https://example.org/owner/fleet.git") + kustomization("fleet", "./", "fleet")},
			want: []string{
				"cluster (.) at fleet, says sync.yaml:7, source GitRepository flux-system/fleet, sync sync.yaml",
				prod,
			},
		},
		"a sync by hand of the whole repository": {
			files: map[string]string{"flux/sync.yaml": kustomization("all", "./", "fleet"), "flux/apps.yaml": kustomization("apps", "./apps", "fleet"), "apps/cm.yaml": cm},
			want:  []string{"cluster (.) at all, says flux/sync.yaml:2, source GitRepository flux-system/fleet, sync flux/sync.yaml"},
		},
		"a sync by hand of the whole of a fork": {
			files: map[string]string{
				"flux/sync.yaml": repositoryAt("GitRepository", "fleet", fleet) + kustomization("all", "./", "fleet"),
				"flux/apps.yaml": kustomization("apps", "./apps", "fleet"), "apps/cm.yaml": cm,
			},
			remotes: []string{"https://example.org/fork/fleet"},
			want:    []string{"cluster (.) at all, says flux/sync.yaml:7, source GitRepository flux-system/fleet, sync flux/sync.yaml"},
		},
		"a sync by hand, and another repository by Git's remotes": {
			files: map[string]string{
				"clusters/prod/sync.yaml":   repositoryAt("GitRepository", "fleet", fleet) + kustomization("all", "./clusters/prod", "fleet"),
				"deploy/podinfo.yaml":       repositoryAt("GitRepository", "podinfo", podinfo) + kustomization("podinfo", "./deploy", "podinfo"),
				"deploy/kustomization.yaml": "resources: [podinfo.yaml]\n",
			},
			remotes: []string{"/srv/fleet", "git@example.org:owner/fleet.git"},
			want:    []string{"prod (clusters/prod) at all, says clusters/prod/sync.yaml:7, source GitRepository flux-system/fleet, sync clusters/prod/sync.yaml"},
		},
		"a sync by hand of a fork": {
			files:   map[string]string{"clusters/prod/sync.yaml": repositoryAt("GitRepository", "fleet", fleet) + kustomization("all", "./clusters/prod", "fleet")},
			remotes: []string{"https://example.org/fork/fleet"},
			want:    []string{"prod (clusters/prod) at all, says clusters/prod/sync.yaml:7, source GitRepository flux-system/fleet, sync clusters/prod/sync.yaml"},
		},
		"a sync by hand from an artifact": {
			files:   map[string]string{"clusters/prod/sync.yaml": repositoryAt("OCIRepository", "fleet", "oci://example.org/fleet") + kustomization("all", "./clusters/prod", "OCIRepository/fleet")},
			remotes: []string{"https://example.org/owner/other"},
			want:    []string{"prod (clusters/prod) at all, says clusters/prod/sync.yaml:7, source OCIRepository flux-system/fleet, sync clusters/prod/sync.yaml"},
		},
		"two syncs by hand": {
			files: map[string]string{
				"clusters/a/sync.yaml": repositoryAt("GitRepository", "a", fleet) + kustomization("all", "./clusters/a", "a"),
				"clusters/b/sync.yaml": repositoryAt("GitRepository", "b", "https://mirror.example.org/fleet") + kustomization("all", "./clusters/b", "b"),
			},
			want: []string{
				"a (clusters/a) at all, says clusters/a/sync.yaml:7, source GitRepository flux-system/a, sync clusters/a/sync.yaml",
				"b (clusters/b) at all, says clusters/b/sync.yaml:7, source GitRepository flux-system/b, sync clusters/b/sync.yaml",
			},
		},
		"FluxInstance": {
			files: map[string]string{"clusters/prod/flux.yaml": instance("clusters/prod", ", name: fleet")},
			want:  []string{"prod (clusters/prod) at fleet, says clusters/prod/flux.yaml:5, source GitRepository flux-system/fleet"},
		},
		"FluxInstance without a name, and another repository": {
			files: map[string]string{
				"flux.yaml": instance("./clusters/prod", ""), "clusters/prod/cm.yaml": cm,
				"clusters/prod/podinfo.yaml": repositoryAt("GitRepository", "podinfo", podinfo) + kustomization("podinfo", "./", "podinfo"),
			},
			want: []string{"prod (clusters/prod) at flux-system, says flux.yaml:5, source GitRepository flux-system/flux-system"},
		},
		"FluxInstance of a folder that is not there": {files: map[string]string{"flux.yaml": instance("clusters/gone", "")}},
		"FluxInstance, and the sync it made": {
			files: map[string]string{"clusters/prod/a.yaml": instance("clusters/prod", ""), "clusters/prod/sync.yaml": kustomization("flux-system", "clusters/prod", "flux-system")},
			want:  []string{"prod (clusters/prod) at flux-system, says clusters/prod/sync.yaml:2, source GitRepository flux-system/flux-system, sync clusters/prod/sync.yaml"},
		},
		"values of the chart": {
			files: map[string]string{"values.yaml": "instance:\n  sync:\n    kind: OCIRepository\n    url: oci://example.org/fleet\n    path: prod\n", "prod/cm.yaml": cm},
			want:  []string{"prod (prod) at flux-system, says values.yaml:2, source OCIRepository flux-system/flux-system"},
		},
		"values of a release of the chart": {
			files: map[string]string{
				"release.yaml": "apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nmetadata: {name: flux, namespace: operator}\nspec:\n  values:\n    instance:\n      sync: {kind: GitRepository, path: prod}\n",
				"prod/cm.yaml": cm,
			},
			want: []string{"prod (prod) at flux-system, says release.yaml:7, source GitRepository operator/flux-system"},
		},
		"no sync": {
			files: map[string]string{
				"clusters/prod/apps.yaml":         kustomization("apps", "./apps", "flux-system"),
				"clusters/lab/kustomization.yaml": "resources: [layers/apps.yaml]\n",
				"clusters/lab/layers/apps.yaml":   kustomization("apps", "./apps", "flux-system"),
				"apps/child.yaml":                 kustomization("child", "./base", "flux-system"),
				"base/cm.yaml":                    cm,
			},
			want: []string{"lab (clusters/lab) at , says clusters/lab/layers/apps.yaml:2", "prod (clusters/prod) at , says clusters/prod/apps.yaml:2"},
		},
		"no sync, and the whole of another repository": {
			files: map[string]string{
				"clusters/prod/apps.yaml": kustomization("apps", "./apps", "flux-system"),
				"apps/podinfo.yaml":       repositoryAt("OCIRepository", "podinfo", "oci://example.org/podinfo") + kustomization("podinfo", "./", "OCIRepository/podinfo"),
			},
			want: []string{"prod (clusters/prod) at , says clusters/prod/apps.yaml:2"},
		},
		"nothing but the whole of another repository": {
			files:   map[string]string{"clusters/prod/podinfo.yaml": repositoryAt("GitRepository", "podinfo", podinfo) + kustomization("podinfo", "./", "podinfo")},
			remotes: []string{"https://example.org/owner/fleet"},
			want:    []string{"prod (clusters/prod) at , says clusters/prod/podinfo.yaml:7"},
		},
		"a variant": {
			files: map[string]string{sync: bootstrap("./clusters/prod"), "variants/small/kustomization.yaml": "resources: [../../clusters/prod]\n"},
			want: []string{
				prod,
				"small (variants/small) at flux-system, says variants/small/kustomization.yaml:1, source GitRepository flux-system/flux-system, sync " + sync,
			},
		},
		"two of one name": {
			files: map[string]string{
				"eu/prod/gotk-sync.yaml": kustomization("flux-system", "./eu/prod", "flux-system"),
				"us/prod/gotk-sync.yaml": kustomization("flux-system", "./us/prod", "flux-system"),
				"us/lab/gotk-sync.yaml":  kustomization("flux-system", "./us/lab", "flux-system"),
			},
			want: []string{
				"eu/prod (eu/prod) at flux-system, says eu/prod/gotk-sync.yaml:2, source GitRepository flux-system/flux-system, sync eu/prod/gotk-sync.yaml",
				"lab (us/lab) at flux-system, says us/lab/gotk-sync.yaml:2, source GitRepository flux-system/flux-system, sync us/lab/gotk-sync.yaml",
				"us/prod (us/prod) at flux-system, says us/prod/gotk-sync.yaml:2, source GitRepository flux-system/flux-system, sync us/prod/gotk-sync.yaml",
			},
		},
		"declared": {
			files:    map[string]string{sync: bootstrap("./clusters/prod"), "clusters/prod/all.yaml": kustomization("all", "./", "flux-system"), "bare/cm.yaml": cm},
			declared: []config.Cluster{{Name: "one", Path: "./clusters/prod/", Substitute: map[string]string{"a": "b"}}, {Name: "bare", Path: "bare"}, {Name: "whole", Path: "."}},
			want: []string{
				"bare (bare) at , says lumacore.yaml:1",
				strings.Replace(prod, "prod (", "one (", 1) + ", substitute map[a:b]",
				"whole (.) at all, says clusters/prod/all.yaml:2, source GitRepository flux-system/flux-system, sync clusters/prod/all.yaml",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			files := map[string][]byte{}
			for name, text := range tt.files {
				files[name] = []byte(text)
			}
			tree := FromFiles(files)
			tree.remotes = tt.remotes
			clusters, err := Discover(tree, tt.declared)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, c := range clusters {
				got = append(got, described(c))
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("clusters (-want +got):\n%s", diff)
			}
		})
	}
}

// TestDiscoverDeclaredMissing: a declared folder must be there.
func TestDiscoverDeclaredMissing(t *testing.T) {
	t.Parallel()
	_, err := Discover(FromFiles(nil), []config.Cluster{{Name: "prod", Path: "./clusters/prod"}})
	if want := "cluster prod: the repository has no folder ./clusters/prod"; err == nil || err.Error() != want {
		t.Errorf("%v\nwant %s", err, want)
	}
}

// TestDiscoverRemotes: a tree that was opened knows the remotes of its repository.
func TestDiscoverRemotes(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	write(t, root, map[string]string{
		"clusters/prod/sync.yaml": repositoryAt("GitRepository", "fleet", "https://example.org/owner/fleet") + kustomization("fleet", "./clusters/prod", "fleet"),
		"deploy/podinfo.yaml":     repositoryAt("GitRepository", "podinfo", "https://example.org/other/podinfo") + kustomization("podinfo", "./deploy", "podinfo"),
	})
	git(t, root, "init", "-q")
	git(t, root, "remote", "add", "origin", "git@example.org:owner/fleet.git")
	tree := open(t, root)
	for what, tree := range map[string]*Tree{"opened": tree, "with spec.ignore": tree.Without("/docs")} {
		clusters, err := Discover(tree, nil)
		if err != nil {
			t.Fatal(err)
		}
		if len(clusters) != 1 || clusters[0].Path != "clusters/prod" {
			t.Errorf("%s: the clusters are %v, want clusters/prod alone", what, clusters)
		}
	}
}
