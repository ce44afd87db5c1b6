//go:build unix

package gitops

import (
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestOpenSpecial: what is no file is not read, for a pipe would block for ever.
func TestOpenSpecial(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	write(t, root, map[string]string{"a.yaml": "", "b/c.yaml": ""})
	if err := syscall.Mkfifo(filepath.Join(root, "pipe.yaml"), 0o644); err != nil {
		t.Skipf("no pipes here: %v", err)
	}
	tree := open(t, root)
	if diff := cmp.Diff([]string{"a.yaml", "b/c.yaml"}, tree.Files()); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]string{"pipe.yaml": "is no regular file"}, tree.LeftOut()); diff != "" {
		t.Errorf("left out (-want +got):\n%s", diff)
	}
}

// TestOpenUnreadable: what cannot be read does not hide the rest.
func TestOpenUnreadable(t *testing.T) {
	t.Parallel()
	if os.Geteuid() == 0 {
		t.Skip("root can read everything")
	}
	root := t.TempDir()
	write(t, root, map[string]string{"a.yaml": "", "closed/c.yaml": "", "file.yaml": ""})
	for _, name := range []string{"closed", "file.yaml"} {
		p := filepath.Join(root, name)
		if err := os.Chmod(p, 0); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.Chmod(p, fs.ModePerm) })
	}
	tree := open(t, root)
	if diff := cmp.Diff([]string{"a.yaml", "file.yaml"}, tree.Files()); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]string{"closed": "openat closed: permission denied"}, tree.LeftOut()); diff != "" {
		t.Errorf("left out (-want +got):\n%s", diff)
	}
	if _, err := tree.ReadFile("file.yaml"); err == nil || err.Error() != "openat file.yaml: permission denied" {
		t.Errorf("read: %v", err)
	}
}
