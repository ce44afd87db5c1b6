package gitops

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// revisions is a Git repository to open revisions of.
type revisions struct {
	t   *testing.T
	dir string
}

func newRevisions(t *testing.T) revisions {
	t.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("git is not installed")
	}
	r := revisions{t, t.TempDir()}
	r.git("init", "-q", "-b", "main")
	return r
}

// git runs git in the repository and returns what it says.
func (r revisions) git(args ...string) string {
	r.t.Helper()
	cmd := exec.CommandContext(r.t.Context(), "git", append([]string{"-C", r.dir}, args...)...)
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null",
		"GIT_AUTHOR_NAME=owner", "GIT_AUTHOR_EMAIL=owner@example.com", "GIT_COMMITTER_NAME=owner", "GIT_COMMITTER_EMAIL=owner@example.com")
	out, err := cmd.CombinedOutput()
	if err != nil {
		r.t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// commit writes files, commits all and returns the commit's name.
func (r revisions) commit(files map[string]string) string {
	r.t.Helper()
	for name, data := range files {
		file := filepath.Join(r.dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			r.t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(data), 0o644); err != nil {
			r.t.Fatal(err)
		}
	}
	r.git("add", "-A")
	r.git("commit", "-q", "--allow-empty", "-m", "change")
	return r.git("rev-parse", "HEAD")
}

func (r revisions) open(dir, revision string, like *Tree) *Tree {
	r.t.Helper()
	tree, _, err := OpenRevision(r.t.Context(), dir, revision, like)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { tree.Close() })
	return tree
}

func content(t *testing.T, tree *Tree) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, name := range tree.Files() {
		data, err := tree.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		out[name] = string(data)
	}
	return out
}

func TestOpenRevision(t *testing.T) {
	t.Parallel()
	r := newRevisions(t)
	first := r.commit(map[string]string{"a.yaml": "a: 1\n", "fleet/b.yaml": "b: 1\n", "empty.yaml": "", ".sourceignore": "skip\n", "skip": "x"})
	r.git("tag", "-a", "-m", "annotated", "v1")
	r.git("rm", "-q", "a.yaml")
	second := r.commit(map[string]string{"fleet/b.yaml": "b: 2\n", "fleet/new.yaml": "n: 1\n"})
	r.git("branch", "feature/x")
	// What is not committed is not seen.
	if err := os.WriteFile(filepath.Join(r.dir, "fleet/b.yaml"), []byte("b: 3\n"), 0o644); err != nil {
		t.Fatal(err)
	}

	was := map[string]string{"a.yaml": "a: 1\n", "fleet/b.yaml": "b: 1\n", "empty.yaml": "", ".sourceignore": "skip\n"}
	is := map[string]string{"fleet/b.yaml": "b: 2\n", "fleet/new.yaml": "n: 1\n", "empty.yaml": "", ".sourceignore": "skip\n"}
	for revision, want := range map[string]struct {
		commit string
		files  map[string]string
	}{
		"HEAD": {second, is}, "main": {second, is}, "feature/x": {second, is}, second: {second, is}, "refs/heads/main": {second, is},
		"HEAD~1": {first, was}, "v1": {first, was}, first[:12]: {first, was}, "HEAD^": {first, was},
	} {
		tree, commit, err := OpenRevision(t.Context(), r.dir, revision, nil)
		if err != nil {
			t.Errorf("%s: %v", revision, err)
			continue
		}
		if commit != want.commit {
			t.Errorf("%s is %s, want %s", revision, commit, want.commit)
		}
		if diff := cmp.Diff(want.files, content(t, tree)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", revision, diff)
		}
		if why := tree.LeftOut()["skip"]; why != Excluded {
			t.Errorf("%s: skip is left out because it %q", revision, why)
		}
		tree.Close()
	}
}

func TestOpenRevisionErrors(t *testing.T) {
	t.Parallel()
	r := newRevisions(t)
	_, _, err := OpenRevision(t.Context(), r.dir, "HEAD", nil)
	want := func(err error, reason, next string) {
		t.Helper()
		missing, ok := errors.AsType[*RevisionError](err)
		if !ok || !strings.Contains(missing.Reason, reason) || !strings.Contains(missing.Next, next) {
			t.Errorf("%#v, want the reason %q and the next step %q", err, reason, next)
		}
	}
	want(err, "the repository has no commits", "commit something first")

	r.commit(map[string]string{"a.yaml": "a: 1\n", "b": "x"})
	r.commit(map[string]string{"a.yaml": "a: 2\n"})
	blob := r.git("rev-parse", "HEAD:b")
	for _, revision := range []string{"nowhere", "origin/main", "HEAD~5", "HEAD:a.yaml", blob, strings.Repeat("0", 40), "HEAD..main", "$(id)", "main; id", "HEAD^{tree}"} {
		_, _, err := OpenRevision(t.Context(), r.dir, revision, nil)
		want(err, "the repository has no such commit", "git fetch")
	}
	for _, revision := range []string{"", "-x", "--all", "a\nb", "a\x00b"} {
		_, _, err := OpenRevision(t.Context(), r.dir, revision, nil)
		want(err, "this is no name of a revision", "origin/main")
	}
	_, _, err = OpenRevision(t.Context(), t.TempDir(), "HEAD", nil)
	want(err, "is in no Git repository", "folder of a Git repository")

	shallow := revisions{t, t.TempDir()}
	shallow.git("clone", "-q", "--depth", "1", "file://"+r.dir, ".")
	_, _, err = OpenRevision(t.Context(), shallow.dir, "HEAD~1", nil)
	want(err, "it is a shallow clone", "git fetch --unshallow")
	if got := content(t, shallow.open(shallow.dir, "HEAD", nil)); got["a.yaml"] != "a: 2\n" {
		t.Errorf("HEAD of a shallow clone: %v", got)
	}

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := OpenRevision(ctx, r.dir, "HEAD", nil); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
}

// TestOpenRevisionFolder: of a folder of the work tree, names begin in the folder.
func TestOpenRevisionFolder(t *testing.T) {
	t.Parallel()
	r := newRevisions(t)
	r.commit(map[string]string{"other.yaml": "o: 1\n"})
	r.commit(map[string]string{"fleet/apps/a.yaml": "a: 1\n"})
	if got := r.open(filepath.Join(r.dir, "fleet"), "HEAD", nil).Files(); !slices.Equal(got, []string{"apps/a.yaml"}) {
		t.Errorf("files %q", got)
	}
	// A folder that the revision does not have has no files there.
	if got := r.open(filepath.Join(r.dir, "fleet"), "HEAD~1", nil).Files(); len(got) != 0 {
		t.Errorf("files %q of a folder that is new", got)
	}
}

// TestOpenRevisionShares: what is the same is not read again, and parsed once.
func TestOpenRevisionShares(t *testing.T) {
	t.Parallel()
	r := newRevisions(t)
	r.commit(map[string]string{"same.yaml": "a: 1\n", "changed.yaml": "b: 1\n", "same.txt": "same"})
	r.commit(map[string]string{"changed.yaml": "b: 2\n"})
	work, err := Open(t.Context(), r.dir)
	if err != nil {
		t.Fatal(err)
	}
	defer work.Close()
	for name, like := range map[string]*Tree{"the work tree": work, "a revision": r.open(r.dir, "HEAD", nil)} {
		tree := r.open(r.dir, "HEAD~1", like)
		if tree.files["same.yaml"] != like.files["same.yaml"] {
			t.Errorf("like %s: same.yaml is read again", name)
		}
		if tree.files["changed.yaml"] == like.files["changed.yaml"] {
			t.Errorf("like %s: changed.yaml is shared", name)
		}
		if got := content(t, tree)["changed.yaml"]; got != "b: 1\n" {
			t.Errorf("like %s: changed.yaml is %q", name, got)
		}
		if got, err := (Unfiltered{tree}).Once("same.txt"); err != nil || string(got) != "same" {
			t.Errorf("like %s: same.txt is %q, %v", name, got, err)
		}
	}
	// Of the same size, and not the same.
	if err := os.WriteFile(filepath.Join(r.dir, "same.yaml"), []byte("a: 2\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	edited, err := Open(t.Context(), r.dir)
	if err != nil {
		t.Fatal(err)
	}
	defer edited.Close()
	if got := content(t, r.open(r.dir, "HEAD", edited))["same.yaml"]; got != "a: 1\n" {
		t.Errorf("same.yaml is %q, that of the work tree", got)
	}
}

// TestOpenRevisionLeavesOut: links and other repositories are left out as they are of
// a work tree; names do nothing.
func TestOpenRevisionLeavesOut(t *testing.T) {
	t.Parallel()
	r := newRevisions(t)
	names := []string{"with space.yaml", "tab\there.yaml", "new\nline.yaml", `quote".yaml`, "ünï.yaml", "-dash.yaml", "$(id).yaml", "*.yaml"}
	files := map[string]string{}
	for _, n := range names {
		files[n] = "n: 1\n"
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(r.dir, "link.yaml")); err != nil {
		t.Fatal(err)
	}
	commit := r.commit(files)
	r.git("update-index", "--add", "--cacheinfo", "160000,"+commit+",module")
	r.git("commit", "-q", "-m", "submodule")
	deep := strings.Repeat("d/", MaxPathDepth+1) + "deep.yaml"
	object := r.git("rev-parse", "HEAD:with space.yaml")
	r.git("update-index", "--add", "--cacheinfo", "100644,"+object+","+deep)
	r.git("commit", "-q", "-m", "deep")
	tree := r.open(r.dir, "HEAD", nil)
	slices.Sort(names)
	if diff := cmp.Diff(names, tree.Files()); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	for _, n := range names {
		if data, err := tree.ReadFile(n); err != nil || string(data) != "n: 1\n" {
			t.Errorf("%q: %q, %v", n, data, err)
		}
	}
	want := map[string]string{"link.yaml": symlink, "module": repository, deep: "is more than 64 folders deep"}
	if diff := cmp.Diff(want, tree.LeftOut()); diff != "" {
		t.Errorf("left out (-want +got):\n%s", diff)
	}
}

// TestListed: what git would never say is refused, or named as left out.
func TestListed(t *testing.T) {
	t.Parallel()
	const object = "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"
	for line, want := range map[string]string{
		"100644 blob " + object + " 0\t../up":       "has a name that no file can have",
		"100644 blob " + object + " 0\t/root":       "has a name that no file can have",
		"100644 blob " + object + " 0\ta//b":        "has a name that no file can have",
		"100644 blob " + object + " 99999999\thuge": "has more than 16 MiB, which are the most that are read",
		"160000 commit " + object + " -\tsub":       repository,
	} {
		tree := &Tree{files: map[string]*entry{}, left: map[string]string{}}
		if err := tree.listed(line, nil); err != nil {
			t.Errorf("%q: %v", line, err)
		}
		_, name, _ := strings.Cut(line, "\t")
		if tree.left[name] != want || len(tree.files) != 0 {
			t.Errorf("%q: left out because it %q, want %q", line, tree.left[name], want)
		}
	}
	for _, line := range []string{"x", "100644 blob\tname", "100644 blob " + object + " 0 name"} {
		if err := (&Tree{}).listed(line, nil); err == nil || !strings.Contains(err.Error(), "unexpected line") {
			t.Errorf("%q: %v", line, err)
		}
	}
}

// TestBrokenObject: a file whose object is gone cannot be read, and the error says so.
func TestBrokenObject(t *testing.T) {
	t.Parallel()
	r := newRevisions(t)
	r.commit(map[string]string{"a.yaml": "a: 1\n", "b.yaml": "b: 1\n"})
	object := r.git("rev-parse", "HEAD:a.yaml")
	if err := os.Remove(filepath.Join(r.dir, ".git/objects", object[:2], object[2:])); err != nil {
		t.Fatal(err)
	}
	tree := r.open(r.dir, "HEAD", nil)
	if _, err := tree.ReadFile("a.yaml"); err == nil || !strings.Contains(err.Error(), object) {
		t.Errorf("the error %v does not name the object", err)
	}
	b := &blobs{dir: r.dir}
	defer b.close()
	if _, err := b.read(object); err == nil || !strings.Contains(err.Error(), object) {
		t.Errorf("the error %v does not name the object", err)
	}
	if _, err := b.read(object); err == nil {
		t.Error("the second read succeeds")
	}
}

// TestClosedRevision: nothing is read after Close.
func TestClosedRevision(t *testing.T) {
	t.Parallel()
	r := newRevisions(t)
	r.commit(map[string]string{"a.yaml": "a: 1\n"})
	tree, _, err := OpenRevision(t.Context(), r.dir, "HEAD", nil)
	if err != nil {
		t.Fatal(err)
	}
	tree.Close()
	if _, err := tree.ReadFile("a.yaml"); err == nil || !strings.Contains(err.Error(), "closed") {
		t.Errorf("read after Close: %v", err)
	}
}

// TestHangingGit: a git that says nothing is stopped. It stands first in PATH, so the
// test runs alone.
func TestHangingGit(t *testing.T) {
	bin := t.TempDir()
	if err := os.WriteFile(filepath.Join(bin, "git"), []byte("#!/bin/sh\nexec sleep 600\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	begin := time.Now()
	if _, _, err := OpenRevision(ctx, t.TempDir(), "HEAD", nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
	b := &blobs{dir: t.TempDir()}
	if err := b.start(); err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(300*time.Millisecond, b.stop) // as the timer of a read does
	if _, err := b.one("e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"); err == nil {
		t.Error("a read of a git that was stopped succeeds")
	}
	b.close()
	if took := time.Since(begin); took > 20*time.Second {
		t.Errorf("it took %s", took)
	}
}
