package repository

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lumacore.dev/lumacore/internal/gitops"
)

// generate makes a repository or fails the test.
func generate(t testing.TB, o Options) *Repository {
	t.Helper()
	r, err := Generate(o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestSameOptionsSameBytes(t *testing.T) {
	t.Parallel()
	for _, o := range []Options{{Apps: 20}, {Apps: 20, Defects: Sets()}, {Apps: 20, Plain: true}} {
		if diff := cmp.Diff(generate(t, o), generate(t, o)); diff != "" {
			t.Errorf("%+v: two repositories differ:\n%s", o, diff)
		}
		other := o
		other.Seed++
		if maps.EqualFunc(generate(t, o).Files, generate(t, other).Files, func(a, b []byte) bool { return string(a) == string(b) }) {
			t.Errorf("%+v: the seed changes nothing", o)
		}
	}
}

func TestDefectsOnlyAddFiles(t *testing.T) {
	t.Parallel()
	clean, bad := generate(t, Options{Apps: 20}), generate(t, Options{Apps: 20, Defects: Sets()})
	var changed []string
	for name, data := range clean.Files {
		if string(data) != string(bad.Files[name]) {
			changed = append(changed, name)
		}
	}
	want := []string{"clusters/main/apps/kustomization.yaml", "lumacore.yaml", "network.assert.yaml"}
	slices.Sort(changed)
	if diff := cmp.Diff(want, changed); diff != "" {
		t.Errorf("files of the clean repository that the mistakes change (-want +got):\n%s", diff)
	}
	for name, data := range bad.Files {
		if strings.Contains(string(data), "defect:") {
			t.Errorf("%s still says where the mistake is", name)
		}
	}
}

// TestFiles: every file but those of the charts is YAML that can be read.
func TestFiles(t *testing.T) {
	t.Parallel()
	tree := gitops.FromFiles(generate(t, Options{Apps: 20}).Files)
	for _, name := range tree.Files() {
		if gitops.IsYAML(name) && !strings.Contains(name, "/templates/") {
			if _, err := tree.Documents(name); err != nil {
				t.Error(err)
			}
		}
	}
	clusters, err := gitops.Discover(tree, nil)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, c := range clusters {
		names = append(names, c.Name+" "+c.Path)
	}
	if diff := cmp.Diff([]string{"main clusters/main"}, names); diff != "" {
		t.Errorf("clusters (-want +got):\n%s", diff)
	}
}

func TestOptionsOutOfRange(t *testing.T) {
	t.Parallel()
	for apps, want := range map[int]string{
		0:      "0 apps: a repository has 1 to 10000",
		10_001: "10001 apps: a repository has 1 to 10000",
	} {
		if _, err := Generate(Options{Apps: apps}); err == nil || err.Error() != want {
			t.Errorf("%d apps: got %v, want %s", apps, err, want)
		}
	}
}

func TestWrite(t *testing.T) {
	t.Parallel()
	r := generate(t, Options{Apps: 2, Plain: true})
	dir := filepath.Join(t.TempDir(), "new")
	if err := r.Write(dir); err != nil {
		t.Fatal(err)
	}
	got := map[string][]byte{}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		got[filepath.ToSlash(name)], err = os.ReadFile(path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(r.Files, got); diff != "" {
		t.Errorf("files on disk (-want +got):\n%s", diff)
	}
	for _, f := range r.Folders() {
		if !slices.Contains(slices.Collect(maps.Keys(got)), f+"/kustomization.yaml") {
			t.Errorf("folder %s has no kustomization", f)
		}
	}
	if err, want := r.Write(dir), dir+" is not empty: name a folder that does not exist"; err == nil || err.Error() != want {
		t.Errorf("writing again: got %v, want %s", err, want)
	}
}
