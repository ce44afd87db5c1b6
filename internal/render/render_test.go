package render

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	fluxkustomize "github.com/fluxcd/pkg/kustomize"
	fluxfs "github.com/fluxcd/pkg/kustomize/filesys"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"lumacore.dev/lumacore/internal/chart"
	"lumacore.dev/lumacore/internal/gitops"
	"lumacore.dev/lumacore/internal/golden"
)

// files reads a repository of testdata.
func files(t testing.TB, name string) map[string][]byte {
	t.Helper()
	a, err := txtar.ParseFile(filepath.Join("testdata", name+".txtar"))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]byte{}
	for _, f := range a.Files {
		out[f.Name] = f.Data
	}
	return out
}

// rendered renders a tree with as many workers as said.
func rendered(t testing.TB, tree *gitops.Tree, workers int) *Result {
	t.Helper()
	clusters, err := gitops.Discover(tree, nil)
	if err != nil {
		t.Fatal(err)
	}
	store, err := chart.NewStore(chart.Options{CacheDir: t.TempDir(), Offline: true})
	if err != nil {
		t.Fatal(err)
	}
	res, err := Render(t.Context(), tree, clusters, Options{Workers: workers, KubeVersion: "1.36.0", Charts: store})
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// dump writes everything in a result.
func dump(t testing.TB, res *Result) []byte {
	t.Helper()
	var b bytes.Buffer
	for _, c := range res.Clusters {
		fmt.Fprintf(&b, "=== cluster %s: %s\n", c.Name, c.Path)
		for _, k := range c.Kustomizations {
			fmt.Fprintf(&b, "Kustomization %s path=%s built=%v implied=%v suspended=%v objects=%d at %s\n", k.Name(), k.Path, k.Built, k.Implied, k.Suspended, len(k.Objects), k.Object.Origin.Location)
		}
		for _, r := range c.Releases {
			fmt.Fprintf(&b, "HelmRelease %s chart=%s %s rendered=%v suspended=%v objects=%d\n", r.Name(), r.Chart, r.Version, r.Rendered, r.Suspended, len(r.Objects))
		}
		for _, p := range c.Problems {
			fmt.Fprintf(&b, "problem %s: %s: %s (%s; %s)\n", p.Location, p.Kind, p.Message, p.Object, p.Kustomization)
		}
		for _, u := range c.Unchecked {
			fmt.Fprintf(&b, "not checked: %s: %s: %s; next: %s\n", u.Location, u.Subject, u.Reason, u.Next)
		}
		for _, p := range c.Placeholders {
			fmt.Fprintf(&b, "placeholder %s from %s type=%s keys=%q any=%v at %s\n", p.Secret, p.From, p.Type, p.Keys, p.Any, p.Location)
		}
		fmt.Fprintf(&b, "files: %s\n", strings.Join(slices.Sorted(maps.Keys(c.Files)), " "))
		for _, o := range c.Objects {
			fmt.Fprintf(&b, "--- # %s by %s", o.Origin.Location, o.Origin.Kustomization)
			if o.Origin.HelmRelease != "" {
				fmt.Fprintf(&b, " %s %s hook=%v", o.Origin.HelmRelease, o.Origin.Template, o.Origin.Hook)
			}
			if o.Origin.Environment != "" {
				fmt.Fprintf(&b, " in %s", o.Origin.Environment)
			}
			if len(o.Origin.Placeholders) > 0 {
				fmt.Fprintf(&b, " stand-ins %q", o.Origin.Placeholders)
			}
			if o.Origin.Suspended {
				fmt.Fprint(&b, " suspended")
			}
			y, err := yaml.Marshal(o.Object)
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&b, "\n%s", y)
		}
	}
	return b.Bytes()
}

func TestRender(t *testing.T) {
	repositories, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(repositories) < 6 {
		t.Fatalf("repositories: %q, %v", repositories, err)
	}
	for _, file := range repositories {
		name := strings.TrimSuffix(filepath.Base(file), ".txtar")
		t.Run(name, func(t *testing.T) {
			golden.Check(t, name, dump(t, rendered(t, gitops.FromFiles(files(t, name)), 2)))
		})
	}
}

// Parallel output is sequential output, byte for byte. Run it with -race.
func TestParallelIsSequential(t *testing.T) {
	repositories, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]byte{}
	for i, file := range repositories {
		for name, data := range files(t, strings.TrimSuffix(filepath.Base(file), ".txtar")) {
			// One repository of many clusters: each in its own folder would need other
			// paths, so it is repeated as it is, under its own tree.
			all[fmt.Sprintf("%d/%s", i, name)] = data
		}
	}
	for i := range repositories {
		one := map[string][]byte{}
		prefix := fmt.Sprintf("%d/", i)
		for name, data := range all {
			if rest, ok := strings.CutPrefix(name, prefix); ok {
				one[rest] = data
			}
		}
		want := dump(t, rendered(t, gitops.FromFiles(one), 1))
		for range 3 {
			if diff := cmp.Diff(string(want), string(dump(t, rendered(t, gitops.FromFiles(one), 8)))); diff != "" {
				t.Fatalf("%s: parallel differs from sequential (-sequential +parallel):\n%s", repositories[i], diff)
			}
		}
	}
	blueprint, err := gitops.Open(t.Context(), "../../blueprint")
	if err != nil {
		t.Fatal(err)
	}
	defer blueprint.Close()
	want := dump(t, rendered(t, blueprint, 1))
	if diff := cmp.Diff(string(want), string(dump(t, rendered(t, blueprint, 8)))); diff != "" {
		t.Errorf("blueprint: parallel differs from sequential:\n%s", diff)
	}
}

// fluxObjects builds a Flux Kustomization with what kustomize-controller uses:
// its generator, its build and its substitution, from a folder on disk.
func fluxObjects(t *testing.T, root string, k *Kustomization, vars map[string]string) []*unstructured.Unstructured {
	t.Helper()
	u := k.Object.DeepCopy()
	dir := filepath.Join(root, k.Path)
	gen := fluxkustomize.NewGenerator(root, *u)
	action, err := gen.WriteFile(dir, fluxkustomize.WithSaveOriginalKustomization())
	if err != nil {
		t.Fatalf("%s: %v", k.Name(), err)
	}
	defer func() {
		if err := fluxkustomize.CleanDirectory(dir, action); err != nil {
			t.Fatal(err)
		}
	}()
	fs, err := fluxfs.MakeFsOnDiskSecure(root)
	if err != nil {
		t.Fatal(err)
	}
	m, err := fluxkustomize.Build(fs, dir)
	if err != nil {
		t.Fatalf("%s: %v", k.Name(), err)
	}
	var out []*unstructured.Unstructured
	for _, res := range m.Resources() {
		if k.Spec.Spec.PostBuild != nil {
			inline := map[string]any{}
			for name, v := range vars {
				inline[name] = v
			}
			ks := unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{"postBuild": map[string]any{"substitute": inline}}}}
			if _, err := fluxkustomize.SubstituteVariables(t.Context(), nil, ks, res, fluxkustomize.SubstituteWithDryRun(true)); err != nil {
				t.Fatalf("%s: %v", k.Name(), err)
			}
		}
		b, err := res.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		x := &unstructured.Unstructured{}
		if err := x.UnmarshalJSON(b); err != nil {
			t.Fatal(err)
		}
		out = append(out, (&Object{Unstructured: x}).labelled(k).Unstructured)
	}
	return out
}

// What we build is what Flux builds: the same objects in the same order, for every
// Kustomization of the repositories here and of the blueprint.
func TestSameAsFlux(t *testing.T) {
	roots := map[string]string{"blueprint": "../../blueprint"}
	for _, name := range []string{"bootstrap", "instance", "unsynced", "transforms", "openapi"} {
		roots[name] = t.TempDir()
		for file, data := range files(t, name) {
			p := filepath.Join(roots[name], file)
			if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(p, data, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(roots)) {
		t.Run(name, func(t *testing.T) {
			root := roots[name]
			tree, err := gitops.Open(t.Context(), root)
			if err != nil {
				t.Fatal(err)
			}
			defer tree.Close()
			if name == "blueprint" { // the generator writes into it
				root = t.TempDir()
				if err := os.CopyFS(root, os.DirFS("../../blueprint")); err != nil {
					t.Fatal(err)
				}
			}
			compared := 0
			for _, c := range rendered(t, tree, 2).Clusters {
				vars := map[string]string{}
				for _, o := range c.Of("", "ConfigMap") {
					data, _, _ := unstructured.NestedStringMap(o.Object, "data")
					if strings.Contains(o.GetName(), "settings") {
						maps.Copy(vars, data)
					}
				}
				for _, k := range c.Kustomizations {
					if !k.Built {
						continue
					}
					var got []*unstructured.Unstructured
					for _, o := range k.Objects {
						got = append(got, o.Unstructured)
					}
					if diff := cmp.Diff(fluxObjects(t, root, k, vars), got); diff != "" {
						t.Errorf("cluster %s, Kustomization %s (-flux +lumacore):\n%s", c.Name, k.Name(), diff)
					}
					compared += len(got)
				}
			}
			if compared < 3 {
				t.Errorf("%d objects were compared", compared)
			}
		})
	}
}

// A kustomization with an OpenAPI schema of its own must not change the builds
// beside it (https://github.com/fluxcd/pkg/issues/1237: the image of a StatefulSet
// went missing).
func TestSchemaOfItsOwnPoisonsNobody(t *testing.T) {
	tree := gitops.FromFiles(files(t, "openapi"))
	want := string(dump(t, rendered(t, tree, 1)))
	if !strings.Contains(want, "image: victim:2") || !strings.Contains(want, "sidecar:1") {
		t.Fatalf("the victim's patch did not merge:\n%s", want)
	}
	for range 5 {
		if diff := cmp.Diff(want, string(dump(t, rendered(t, gitops.FromFiles(files(t, "openapi")), 8)))); diff != "" {
			t.Fatalf("the build depends on what runs beside it:\n%s", diff)
		}
	}
}

// What render prints is what kubectl and Flux read: through their own parser it is
// the same object, also with texts that look like something else.
func TestYAMLReadsTheSame(t *testing.T) {
	objects := []map[string]any{{
		"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "texts"},
		"data": map[string]any{
			"a": "yes", "b": "0123", "c": "1e3", "d": "null", "e": "~", "f": "2026-01-31", "g": "12:30:45", "h": " space ", "i": "# no comment",
			"j": "two\nlines\n", "k": "", "l": "true", "m": "1_000", "n": "- item", "o": "{", "p": "\t", "q": "é\u2028", "on": "x", "y": "x", "123": "x", "r": "a: b", "s": "=", "t": "<<",
		},
		"numbers": []any{int64(1), int64(-9007199254740993), 0.5, 1e21}, "empty": map[string]any{}, "none": nil, "list": []any{},
	}}
	repositories, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range repositories {
		for _, c := range rendered(t, gitops.FromFiles(files(t, strings.TrimSuffix(filepath.Base(file), ".txtar"))), 2).Clusters {
			for _, o := range c.Objects {
				objects = append(objects, o.Object)
			}
		}
	}
	for _, o := range objects {
		b, err := encode(o)
		if err != nil {
			t.Fatal(err)
		}
		got, err := decodeYAML(b)
		if err != nil {
			t.Fatalf("%v in\n%s", err, b)
		}
		if diff := cmp.Diff(o, got.Object); diff != "" {
			t.Errorf("read again (-object +read):\n%s\nfrom\n%s", diff, b)
		}
	}
}
