package archive

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
)

func TestMake(t *testing.T) {
	root := t.TempDir()
	for _, f := range []string{
		"lab/go.mod", "lab/go.sum", "lab/tools.go", "lab/README.md", "lab/crds/go.mod",
		"examples/beacon/main.go", "examples/beacon/main_test.go", "examples/beacon/testdata/x.go",
	} {
		path := filepath.Join(root, f)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("content of "+f+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := Make(root)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	var order []string
	for _, f := range txtar.Parse(got).Files {
		files[f.Name] = string(f.Data)
		order = append(order, f.Name)
	}
	// No tests, no folders below, nothing that go build does not read.
	want := []string{"beacon/main.go", "crds/go.mod", "lab/go.mod", "lab/go.sum", "lab/tools.go"}
	if diff := cmp.Diff(want, order); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	if got := files["crds/go.mod"]; got != "content of lab/crds/go.mod\n" {
		t.Errorf("crds/go.mod has %q", got)
	}
	again, err := Make(root)
	if err != nil || !bytes.Equal(got, again) {
		t.Errorf("the same tree gives another archive (%v)", err)
	}
}

func TestMakeFolderMissing(t *testing.T) {
	root := t.TempDir()
	if _, err := Make(root); !os.IsNotExist(err) {
		t.Errorf("error %v, want: no such file", err)
	}
	for d := range folders {
		if err := os.MkdirAll(filepath.Join(root, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Make(root); err == nil || err.Error() != "no sources below "+root {
		t.Errorf("error %v, want: no sources below %s", err, root)
	}
}
