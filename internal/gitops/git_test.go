package gitops

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestOpenPartialClone: Git fetches what a partial clone lacks by the transport that
// the repository's configuration names, and ext:: is any program.
func TestOpenPartialClone(t *testing.T) {
	t.Parallel()
	root, outside := t.TempDir(), t.TempDir()
	ran, program := filepath.Join(outside, "ran"), filepath.Join(outside, "program")
	if err := os.WriteFile(program, []byte("#!/bin/sh\ntouch "+ran+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, root, map[string]string{"a.yaml": "", ".gitignore": "local.yaml\n"})
	git(t, root, "init", "-q")
	git(t, root, "add", ".")
	// Git reads a .gitignore outside of a sparse checkout from its object, which is gone.
	git(t, root, "update-index", "--skip-worktree", ".gitignore")
	if err := os.Remove(filepath.Join(root, ".gitignore")); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "git", "-C", root, "rev-parse", ":.gitignore").Output()
	if err != nil {
		t.Fatal(err)
	}
	object := strings.TrimSpace(string(out))
	if err := os.Remove(filepath.Join(root, ".git", "objects", object[:2], object[2:])); err != nil {
		t.Fatal(err)
	}
	write(t, root, map[string]string{"new.yaml": ""}) // is it ignored?
	for _, kv := range [][2]string{
		{"core.repositoryFormatVersion", "1"},
		{"extensions.partialClone", "origin"},
		{"remote.origin.promisor", "true"},
		{"remote.origin.url", "ext::" + program},
		{"protocol.ext.allow", "always"},
	} {
		git(t, root, "config", kv[0], kv[1])
	}

	if diff := cmp.Diff([]string{"a.yaml", "new.yaml"}, open(t, root).Files()); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	if _, err := os.Stat(ran); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the program was run: %v", err)
	}

	// Without what Git sets, it is run; else this test would show nothing.
	_ = exec.CommandContext(t.Context(), "git", "-C", root, "ls-files", "--others", "--exclude-standard").Run()
	if _, err := os.Stat(ran); err != nil {
		t.Errorf("git alone does not run the program either: %v", err)
	}
}

// TestRemotes: Git's variables of a hook, and who owns the folder, change nothing.
func TestRemotes(t *testing.T) {
	root, other := t.TempDir(), t.TempDir()
	for dir, url := range map[string]string{root: "ssh://git@example.org/fleet", other: "https://example.org/other"} {
		git(t, dir, "init", "-q")
		git(t, dir, "remote", "add", "origin", url)
	}
	git(t, root, "remote", "add", "mirror", "https://mirror.example.org/fleet.git")
	write(t, root, map[string]string{"sub/a.yaml": ""})
	t.Setenv("GIT_DIR", filepath.Join(other, ".git"))
	t.Setenv("GIT_WORK_TREE", other)
	t.Setenv("GIT_ALLOW_PROTOCOL", "ext")
	t.Setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
	want := []string{"ssh://git@example.org/fleet", "https://mirror.example.org/fleet.git"}
	for _, dir := range []string{root, filepath.Join(root, "sub")} {
		if diff := cmp.Diff(want, Remotes(t.Context(), dir)); diff != "" {
			t.Errorf("remotes (-want +got):\n%s", diff)
		}
	}
	if got := Remotes(t.Context(), t.TempDir()); got != nil {
		t.Errorf("no repository has the remotes %q", got)
	}
	// The variables are not all that Git leaves out: it does not refuse the owner.
	cmd := Git(t.Context(), root, "rev-parse", "--show-prefix")
	cmd.Env = append(cmd.Env, "GIT_TEST_ASSUME_DIFFERENT_OWNER=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("another owner: %v: %s", err, out)
	}
}

func TestSameURL(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		a, b string
		want bool
	}{
		{"ssh://git@example.org/owner/fleet", "https://example.org/Owner/fleet.git", true},
		{"git@example.org:owner/fleet.git", "ssh://git@example.org:2222/owner/fleet/", true},
		{"https://user:secret@example.org/owner/fleet", "http://example.org/owner/fleet", true},
		{"https://example.org/owner/fleet", "https://example.org/owner/fleet2", false},
		{"https://example.org/owner/fleet", "https://example.com/owner/fleet", false},
		{"", "", false},
		{"", "https://example.org/owner/fleet", false},
	} {
		if got, back := SameURL(tt.a, tt.b), SameURL(tt.b, tt.a); got != tt.want || back != tt.want {
			t.Errorf("%q and %q: %t, the other way round %t, want %t", tt.a, tt.b, got, back, tt.want)
		}
	}
}
