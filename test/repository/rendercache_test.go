package repository

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lumacore.dev/lumacore/internal/cache"
	"lumacore.dev/lumacore/internal/chart"
	"lumacore.dev/lumacore/internal/gitops"
	"lumacore.dev/lumacore/internal/render"
)

// dump renders files and returns all that came out, each object with its place.
func dump(t *testing.T, files map[string][]byte, kept *render.Cache) string {
	t.Helper()
	tree := gitops.FromFiles(files)
	clusters, err := gitops.Discover(tree, nil)
	if err != nil {
		t.Fatal(err)
	}
	store, err := chart.NewStore(chart.Options{Offline: true, CacheDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	res, err := render.Render(t.Context(), tree, clusters, render.Options{KubeVersion: "1.36.0", Cache: kept, Charts: store})
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	for _, c := range res.Clusters {
		fmt.Fprintf(&b, "%s %s\n%v\n%v\n%v\n", c.Name, c.Path, c.Problems, c.Unchecked, slices.Sorted(maps.Keys(c.Files)))
		for _, o := range c.Objects {
			data, err := json.Marshal(o.Object)
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&b, "%+v\n%s\n%s %s\n", o.Origin, data, o.Locate("spec"), o.Locate("metadata", "labels"))
		}
	}
	return b.String()
}

// TestRenderCacheNeverStale: whatever changes in a repository, a render with what was
// kept of the one before is what it is without. Each file is changed, emptied and taken
// away in turn, and new ones appear where a build could see them.
func TestRenderCacheNeverStale(t *testing.T) {
	t.Parallel()
	files := generate(t, Options{Apps: 4}).Files
	dir := filepath.Join(t.TempDir(), "builds")
	dump(t, files, render.NewCache(cache.Open(dir)))
	kept := entries(t, dir)
	if len(kept) < 5 {
		t.Fatalf("only %d builds were kept", len(kept))
	}

	type change struct {
		what string
		do   func(map[string][]byte)
	}
	var changes []change
	for _, name := range slices.Sorted(maps.Keys(files)) {
		data := files[name]
		changes = append(changes,
			change{"take away " + name, func(m map[string][]byte) { delete(m, name) }},
			change{"empty " + name, func(m map[string][]byte) { m[name] = nil }},
			change{"move lines of " + name, func(m map[string][]byte) { m[name] = append([]byte("# one more\n"), data...) }},
			change{"numbers in " + name, func(m map[string][]byte) { m[name] = bytes.ReplaceAll(data, []byte("1"), []byte("2")) }},
		)
		if strings.HasSuffix(name, "/kustomization.yaml") {
			changes = append(changes,
				change{"beside " + name, func(m map[string][]byte) {
					m[filepath.Dir(name)+"/new.yaml"] = []byte("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: new\n")
				}},
				change{"another name of " + name, func(m map[string][]byte) {
					m[filepath.Dir(name)+"/Kustomization"] = data
					delete(m, name)
				}})
		}
	}
	differ := 0
	before := dump(t, files, nil)
	for _, c := range changes {
		changed := maps.Clone(files)
		c.do(changed)
		want := dump(t, changed, nil)
		if want != before {
			differ++
		}
		if diff := cmp.Diff(want, dump(t, changed, render.NewCache(cache.Open(dir)))); diff != "" {
			t.Fatalf("%s (-without +with what was kept):\n%.4000s", c.what, diff)
		}
	}
	// Changes that do nothing would pass too.
	if differ < len(changes)/2 {
		t.Errorf("only %d of %d changes change anything", differ, len(changes))
	}
	if diff := cmp.Diff(before, dump(t, files, render.NewCache(cache.Open(dir)))); diff != "" {
		t.Errorf("the repository as it was (-without +with what was kept):\n%.4000s", diff)
	}
}

// TestRenderCacheBroken: what somebody did to the folder does not matter.
func TestRenderCacheBroken(t *testing.T) {
	t.Parallel()
	files := generate(t, Options{Apps: 2}).Files
	dir := filepath.Join(t.TempDir(), "builds")
	want := dump(t, files, render.NewCache(cache.Open(dir)))
	for i, name := range entries(t, dir) {
		data := []byte("garbage")
		if i%2 == 0 {
			data = nil
		}
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(want, dump(t, files, render.NewCache(cache.Open(dir)))); diff != "" {
		t.Errorf("(-before +after):\n%.4000s", diff)
	}
}

// TestRenderCacheNoSecrets: what may be a secret is not kept.
func TestRenderCacheNoSecrets(t *testing.T) {
	t.Parallel()
	const word = "correct-horse-battery"
	manifest := func(kind, field string) []byte {
		return fmt.Appendf(nil, "apiVersion: v1\nkind: %s\nmetadata:\n  name: a\n  namespace: b\n%s:\n  key: %s\n", kind, field, word)
	}
	for name, c := range map[string]struct {
		files map[string][]byte
		kept  bool
	}{
		"a Secret":            {map[string][]byte{"clusters/x/a.yaml": manifest("Secret", "stringData")}, false},
		"of a generator":      {map[string][]byte{"clusters/x/kustomization.yaml": []byte("secretGenerator:\n  - name: a\n    literals:\n      - key=" + word + "\n")}, false},
		"without values":      {map[string][]byte{"clusters/x/a.yaml": []byte("apiVersion: v1\nkind: Secret\nmetadata:\n  name: a\n")}, true},
		"what is none":        {map[string][]byte{"clusters/x/a.yaml": manifest("ConfigMap", "data")}, true},
		"does not even build": {map[string][]byte{"clusters/x/kustomization.yaml": []byte("resources:\n  - missing.yaml\n")}, false},
	} {
		dir := filepath.Join(t.TempDir(), "builds")
		tree := gitops.FromFiles(c.files)
		if _, err := render.Render(t.Context(), tree, []gitops.Cluster{{Name: "x", Path: "clusters/x"}}, render.Options{Cache: render.NewCache(cache.Open(dir))}); err != nil {
			t.Fatal(err)
		}
		if n := len(entries(t, dir)); (n > 0) != c.kept {
			t.Errorf("%s: %d builds were kept", name, n)
		}
	}
}

// entries are the files of what was kept.
func entries(t *testing.T, dir string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "??", "*"))
	if err != nil {
		t.Fatal(err)
	}
	return names
}
