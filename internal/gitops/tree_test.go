package gitops

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// write makes files in a folder. A name that ends in a slash is a folder, a text
// that begins with "-> " a link.
func write(t *testing.T, root string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		p := filepath.Join(root, filepath.FromSlash(name))
		dir := filepath.Dir(p)
		if strings.HasSuffix(name, "/") {
			dir = p
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		target, link := strings.CutPrefix(text, "-> ")
		var err error
		switch {
		case link:
			err = os.Symlink(target, p)
		case dir != p:
			err = os.WriteFile(p, []byte(text), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// git runs git in a folder, without what the machine's configuration says.
func git(t *testing.T, root string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", append([]string{"-C", root, "-c", "init.defaultBranch=main", "-c", "core.excludesFile=/dev/null"}, args...)...)
	cmd.Env = append(slices.DeleteFunc(os.Environ(), func(kv string) bool { return strings.HasPrefix(kv, "GIT_") }),
		"GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1",
		"GIT_AUTHOR_NAME=Ada", "GIT_AUTHOR_EMAIL=ada@example.org", "GIT_COMMITTER_NAME=Ada", "GIT_COMMITTER_EMAIL=ada@example.org")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

func open(t *testing.T, root string) *Tree {
	t.Helper()
	tree, err := Open(t.Context(), root)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := tree.Close(); err != nil {
			t.Error(err)
		}
	})
	return tree
}

func TestOpen(t *testing.T) {
	t.Parallel()
	const link = "is a symbolic link; Flux leaves them out of its artifacts"
	for name, tt := range map[string]struct {
		files map[string]string
		git   [][]string        // commands, after the files are there
		after map[string]string // further files
		gone  []string          // deleted then
		want  []string
		left  map[string]string
	}{
		"no Git": {
			files: map[string]string{"a.yaml": "", "b/c.yaml": "", "b/d/e.txt": "", "empty/": ""},
			want:  []string{"a.yaml", "b/c.yaml", "b/d/e.txt"},
		},
		"no Git, and a .gitignore": { // which is Git's, and there is no Git
			files: map[string]string{"a.yaml": "", ".gitignore": "a.yaml\n"},
			want:  []string{"a.yaml"}, left: map[string]string{".gitignore": Excluded},
		},
		"a work tree": {
			files: map[string]string{"a.yaml": "", "b/c.yaml": "", "build/x.yaml": "", "b/.gitignore": "/local.yaml\n", "b/local.yaml": "", ".gitignore": "/build/\n"},
			git:   [][]string{{"init", "-q"}, {"add", "a.yaml"}},
			after: map[string]string{"new.yaml": ""},
			want:  []string{"a.yaml", "b/c.yaml", "new.yaml"},
			left:  map[string]string{".gitignore": Excluded, "b/.gitignore": Excluded},
		},
		"tracked though ignored": {
			files: map[string]string{"a.yaml": "", "b.yaml": "", ".gitignore": "*.yaml\n"},
			git:   [][]string{{"init", "-q"}, {"add", "-f", "a.yaml"}},
			want:  []string{"a.yaml"}, left: map[string]string{".gitignore": Excluded},
		},
		"deleted, and not yet committed": {
			files: map[string]string{"a.yaml": "", "b.yaml": "", "c/d.yaml": ""},
			git:   [][]string{{"init", "-q"}, {"add", "."}},
			gone:  []string{"b.yaml", "c"},
			want:  []string{"a.yaml"},
		},
		"a file in the place of a folder": {
			files: map[string]string{"a.yaml": "", "b/c.yaml": ""},
			git:   [][]string{{"init", "-q"}, {"add", "."}},
			gone:  []string{"b"}, after: map[string]string{"b": "x"},
			want: []string{"a.yaml", "b"},
		},
		"a folder in the place of a file": {
			files: map[string]string{"a.yaml": "", "b": ""},
			git:   [][]string{{"init", "-q"}, {"add", "."}},
			gone:  []string{"b"}, after: map[string]string{"b/c.yaml": "x"},
			want: []string{"a.yaml", "b/c.yaml"},
		},
		"a link in the place of a folder": {
			files: map[string]string{"a/x.yaml": "", "b/x.yaml": ""},
			git:   [][]string{{"init", "-q"}, {"add", "."}},
			gone:  []string{"b"}, after: map[string]string{"b": "-> a"},
			want: []string{"a/x.yaml"}, left: map[string]string{"b": link, "b/x.yaml": "is in b, which " + link},
		},
		"a repository in the repository": {
			files: map[string]string{"a.yaml": "", "sub/b.yaml": ""},
			git:   [][]string{{"init", "-q"}, {"-C", "sub", "init", "-q"}, {"-C", "sub", "add", "."}, {"-C", "sub", "commit", "-qm", "one"}},
			want:  []string{"a.yaml"}, left: map[string]string{"sub": "is a Git repository of its own"},
		},
		"links": {
			files: map[string]string{"a.yaml": "", "in.yaml": "-> a.yaml", "out.yaml": "-> /etc/passwd", "up.yaml": "-> ../../x", "gone.yaml": "-> nothing", "loop.yaml": "-> loop.yaml", "folder": "-> d", "d/e.yaml": "", "d/round": "-> ../d"},
			want:  []string{"a.yaml", "d/e.yaml"},
			left:  map[string]string{"in.yaml": link, "out.yaml": link, "up.yaml": link, "gone.yaml": link, "loop.yaml": link, "folder": link, "d/round": link},
		},
		"links that Git tracks": {
			files: map[string]string{"a.yaml": "", "in.yaml": "-> a.yaml", "folder": "-> d", "d/e.yaml": ""},
			git:   [][]string{{"init", "-q"}, {"add", "."}},
			want:  []string{"a.yaml", "d/e.yaml"}, left: map[string]string{"in.yaml": link, "folder": link},
		},
		"names": {
			files: map[string]string{"a b.yaml": "", "ü/ß.yaml": "", "new\nline.yaml": "", "\"quoted\".yaml": "", "-n.yaml": "", "back\\slash.yaml": "", ".hidden.yaml": ""},
			git:   [][]string{{"init", "-q"}},
			want:  []string{"\"quoted\".yaml", "-n.yaml", ".hidden.yaml", "a b.yaml", "back\\slash.yaml", "new\nline.yaml", "ü/ß.yaml"},
		},
		"the default exclusions": {
			files: map[string]string{".github/workflows/x.yaml": "", "a/.gitlab-ci.yml": "", "b/x.png": "", ".sops.yaml": "", "c/.sops.yaml": "", "kept.yaml": ""},
			want:  []string{"kept.yaml"},
			left:  map[string]string{".github/workflows/x.yaml": Excluded, "a/.gitlab-ci.yml": Excluded, "b/x.png": Excluded, ".sops.yaml": Excluded, "c/.sops.yaml": Excluded},
		},
		"all but one folder": {
			files: map[string]string{".sourceignore": "# the cluster only\n/*\n!/cluster/\n", "cluster/a.yaml": "", "cluster/b/c.yaml": "", "docs/x.yaml": "", "x.yaml": ""},
			want:  []string{"cluster/a.yaml", "cluster/b/c.yaml"},
			left:  map[string]string{".sourceignore": Excluded, "docs/x.yaml": Excluded, "x.yaml": Excluded},
		},
		"a folder may say otherwise": {
			files: map[string]string{".sourceignore": "*.txt\n", "a/.sourceignore": "!keep.txt\n/x.yaml\n", "a/keep.txt": "", "a/x.yaml": "", "a/b/x.yaml": "", "keep.txt": "", "x.yaml": ""},
			want:  []string{".sourceignore", "a/.sourceignore", "a/b/x.yaml", "a/keep.txt", "x.yaml"},
			left:  map[string]string{"keep.txt": Excluded, "a/x.yaml": Excluded},
		},
		"what is excluded by default can be taken back": {
			files: map[string]string{".sourceignore": "!*.png\r\n!.github/\n", "a.png": "", ".github/x.yaml": ""},
			want:  []string{".github/x.yaml", ".sourceignore", "a.png"},
		},
		"nothing": {files: nil, want: nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := t.TempDir()
			write(t, root, tt.files)
			for _, args := range tt.git {
				git(t, root, args...)
			}
			for _, name := range tt.gone {
				if err := os.RemoveAll(filepath.Join(root, name)); err != nil {
					t.Fatal(err)
				}
			}
			write(t, root, tt.after)
			tree := open(t, root)
			if diff := cmp.Diff(tt.want, tree.Files()); diff != "" {
				t.Errorf("files (-want +got):\n%s", diff)
			}
			if tt.left == nil {
				tt.left = map[string]string{}
			}
			if diff := cmp.Diff(tt.left, tree.LeftOut()); diff != "" {
				t.Errorf("left out (-want +got):\n%s", diff)
			}
			for _, name := range tree.Files() {
				if _, err := tree.ReadFile(name); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// TestOpenBelow: the folder may be part of a work tree, and even one that Git
// ignores.
func TestOpenBelow(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	write(t, root, map[string]string{".gitignore": "/ignored/\nlocal.yaml\n", "a.yaml": "", "sub/b.yaml": "", "sub/local.yaml": "", "ignored/c.yaml": ""})
	git(t, root, "init", "-q")
	for dir, want := range map[string][]string{"sub": {"b.yaml"}, "ignored": {"c.yaml"}} {
		if diff := cmp.Diff(want, open(t, filepath.Join(root, dir)).Files()); diff != "" {
			t.Errorf("files of %s (-want +got):\n%s", dir, diff)
		}
	}
}

// TestOpenHostile: what a work tree's configuration names is not run, and Git's
// variables of a hook do not lead elsewhere.
func TestOpenHostile(t *testing.T) {
	root, other := t.TempDir(), t.TempDir()
	write(t, root, map[string]string{"a.yaml": "", "local.yaml": "", ".gitignore": "local.yaml\n"})
	write(t, other, map[string]string{"b.yaml": ""})
	git(t, root, "init", "-q")
	git(t, other, "init", "-q")
	ran := filepath.Join(t.TempDir(), "ran")
	hook := filepath.Join(t.TempDir(), "hook")
	if err := os.WriteFile(hook, []byte("#!/bin/sh\ntouch "+ran+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	git(t, root, "config", "core.fsmonitor", hook)
	t.Setenv("GIT_DIR", filepath.Join(other, ".git"))
	t.Setenv("GIT_WORK_TREE", other)
	t.Setenv("GIT_INDEX_FILE", filepath.Join(other, ".git", "index"))
	if diff := cmp.Diff([]string{"a.yaml"}, open(t, root).Files()); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	if _, err := os.Stat(ran); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the hook was run: %v", err)
	}
}

func TestOpenErrors(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	write(t, root, map[string]string{"file": "", "patterns/.sourceignore": strings.Repeat("*.x\n", MaxPatterns+1)})
	many := filepath.Join(root, "many")
	write(t, root, map[string]string{"many/": ""})
	git(t, many, "init", "-q")
	var index bytes.Buffer
	for i := range MaxFiles + 1 {
		fmt.Fprintf(&index, "100644 e69de29bb2d1d6434b8b29ae775ad8c2e48c5391\t%d\n", i)
	}
	cmd := exec.CommandContext(t.Context(), "git", "-C", many, "update-index", "--index-info")
	cmd.Stdin = &index
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for name, want := range map[string]string{
		"gone":     "stat ROOT/gone: no such file or directory",
		"file":     "ROOT/file is a file, not a folder",
		"patterns": ".sourceignore: the .sourceignore files have more than 1000 patterns, which are the most that are read",
		"many":     "ROOT/many has more than 200000 files, which are the most that are read; name the folder that Flux reads, or list the rest in .gitignore",
	} {
		_, err := Open(t.Context(), filepath.Join(root, name))
		if got := strings.ReplaceAll(fmt.Sprint(err), root, "ROOT"); got != want {
			t.Errorf("%s: %s\nwant %s", name, got, want)
		}
	}
}

func TestReadFile(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	write(t, root, map[string]string{
		".sourceignore": "/secret/\n", "a.yaml": "a: b\n", "d/e.yaml": "", "secret/x.yaml": "", "link.yaml": "-> a.yaml",
		"huge.yaml": "", "grown.yaml": "", "swapped.yaml": "", "deleted.yaml": "",
	})
	if err := os.Truncate(filepath.Join(root, "huge.yaml"), MaxFileSize+1); err != nil {
		t.Fatal(err)
	}
	tree := open(t, root)
	// What happens after the snapshot was taken.
	if err := os.Truncate(filepath.Join(root, "grown.yaml"), MaxFileSize+1); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"deleted.yaml", "swapped.yaml"} {
		if err := os.Remove(filepath.Join(root, name)); err != nil {
			t.Fatal(err)
		}
	}
	write(t, root, map[string]string{"swapped.yaml": "-> /etc/passwd"})
	for _, tt := range []struct {
		name, want string // want: the content, or the error
		notExist   bool
	}{
		{"a.yaml", "a: b\n", false},
		{"d/e.yaml", "", false},
		{"gone.yaml", "open gone.yaml: file does not exist", true},
		{"d", "open d: file does not exist", true},
		{"../a.yaml", "open ../a.yaml: file does not exist", true},
		{"/etc/passwd", "open /etc/passwd: file does not exist", true},
		{"secret/x.yaml", "secret/x.yaml " + Excluded + ": file does not exist", true},
		{"link.yaml", "link.yaml is a symbolic link; Flux leaves them out of its artifacts: file does not exist", true},
		{"huge.yaml", "huge.yaml has more than 16 MiB, which are the most that are read: file does not exist", true},
		{"grown.yaml", "grown.yaml has more than 16 MiB", false},
		{"deleted.yaml", "openat deleted.yaml: no such file or directory", true},
		{"swapped.yaml", "openat swapped.yaml: path escapes from parent", false},
	} {
		for range 2 { // the second is from memory
			data, err := tree.ReadFile(tt.name)
			got := string(data)
			if err != nil {
				got = err.Error()
			}
			if len(got) > 1000 || got != tt.want || errors.Is(err, fs.ErrNotExist) != tt.notExist {
				t.Errorf("%s: %.200q (%d bytes), not there: %t\nwant %q", tt.name, got, len(got), errors.Is(err, fs.ErrNotExist), tt.want)
			}
		}
	}
	for name, want := range map[string][2]bool{"a.yaml": {true, false}, "d": {false, true}, ".": {false, true}, "gone": {}, "secret": {}, "secret/x.yaml": {}} {
		if got := [2]bool{tree.IsFile(name), tree.IsDir(name)}; got != want {
			t.Errorf("%s: is a file, is a folder: %v, want %v", name, got, want)
		}
	}
}

// TestFromFiles: the same files in memory are the same tree.
func TestFromFiles(t *testing.T) {
	t.Parallel()
	files := map[string]string{
		".sourceignore": "/docs/\n", "a.yaml": "a: b\n", "b/c.yaml": "c: d\n", "b/d/e.yaml": "", "docs/x.yaml": "", "b/x.png": "", "b.yaml": "",
	}
	root := t.TempDir()
	write(t, root, files)
	disk, memory := open(t, root), map[string][]byte{}
	for name, text := range files {
		memory[name] = []byte(text)
	}
	mem := FromFiles(memory)
	if diff := cmp.Diff(disk.Files(), mem.Files()); diff != "" || len(mem.Files()) != 5 {
		t.Errorf("files (-disk +memory):\n%s", diff)
	}
	if diff := cmp.Diff(disk.LeftOut(), mem.LeftOut()); diff != "" || len(mem.LeftOut()) != 2 {
		t.Errorf("left out (-disk +memory):\n%s", diff)
	}
	for _, dir := range []string{".", "b", "b/d", "docs", "gone", "a.yaml"} {
		if diff := cmp.Diff(disk.List(dir), mem.List(dir)); diff != "" {
			t.Errorf("list of %s (-disk +memory):\n%s", dir, diff)
		}
	}
	if diff := cmp.Diff([]string{"c.yaml", "d"}, mem.List("b")); diff != "" {
		t.Errorf("list of b (-want +got):\n%s", diff)
	}
	for _, name := range disk.Files() {
		a, aerr := disk.ReadFile(name)
		b, berr := mem.ReadFile(name)
		if !bytes.Equal(a, b) || aerr != nil || berr != nil {
			t.Errorf("%s: %q, %v on disk; %q, %v in memory", name, a, aerr, b, berr)
		}
	}
}

// TestTreeWithout: spec.ignore and the .sourceignore files are one list, in which the
// last pattern that matches decides.
func TestTreeWithout(t *testing.T) {
	t.Parallel()
	const spec = "is excluded by spec.ignore of the repository's GitRepository"
	for name, tt := range map[string]struct {
		files    map[string][]byte
		patterns string
		want     []string
		left     map[string]string
	}{
		"nothing": {
			files: map[string][]byte{".sourceignore": []byte("/docs\n"), "a.yaml": nil, "docs/x.yaml": nil, "x.png": nil},
			want:  []string{".sourceignore", "a.yaml"},
			left:  map[string]string{"docs/x.yaml": Excluded, "x.png": Excluded},
		},
		"removes": {
			files:    map[string][]byte{"a.yaml": nil, "docs/x.yaml": nil, "x.png": nil},
			patterns: "# not for Flux\n/docs\n*.png\n",
			want:     []string{"a.yaml"},
			left:     map[string]string{"docs/x.yaml": spec, "x.png": Excluded},
		},
		"takes back": {
			files:    map[string][]byte{".sourceignore": []byte("/apps\n/docs\n"), "apps/a.yaml": nil, "apps/b/.sourceignore": []byte("c.yaml\n"), "apps/b/c.yaml": nil, "docs/x.yaml": nil, "x.png": nil, "b.yaml": nil},
			patterns: "!/apps\n!*.png\n/b.yaml\n",
			want:     []string{".sourceignore", "apps/a.yaml", "apps/b/.sourceignore", "apps/b/c.yaml", "x.png"},
			left:     map[string]string{"docs/x.yaml": Excluded, "b.yaml": spec},
		},
		"all but one folder": {
			files:    map[string][]byte{"apps/a.yaml": nil, "b.yaml": nil},
			patterns: "/*\n!/apps\n",
			want:     []string{"apps/a.yaml"},
			left:     map[string]string{"b.yaml": spec},
		},
		"more .sourceignore than is read": {
			files:    map[string][]byte{".sourceignore": []byte(strings.Repeat("/apps\n", MaxPatterns+1)), "apps/a.yaml": nil, "b.yaml": nil},
			patterns: "/b.yaml\n",
			want:     []string{".sourceignore", "apps/a.yaml"},
			left:     map[string]string{"b.yaml": spec},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tree := FromFiles(tt.files)
			before := slices.Clone(tree.Files())
			got := tree.Without(tt.patterns)
			for range 2 { // the second must not see the first
				if diff := cmp.Diff(tt.want, got.Files()); diff != "" {
					t.Errorf("files (-want +got):\n%s", diff)
				}
				if diff := cmp.Diff(tt.left, got.LeftOut()); diff != "" {
					t.Errorf("left out (-want +got):\n%s", diff)
				}
				got = tree.Without(tt.patterns)
			}
			for _, name := range got.Files() {
				if data, err := got.ReadFile(name); err != nil || !bytes.Equal(data, tt.files[name]) {
					t.Errorf("%s: %q, %v", name, data, err)
				}
			}
			if diff := cmp.Diff(before, tree.Files()); diff != "" {
				t.Errorf("the tree itself (-before +after):\n%s", diff)
			}
		})
	}
}

// TestFromFilesNames: no name leads out of the tree, or round and round.
func TestFromFilesNames(t *testing.T) {
	t.Parallel()
	tree := FromFiles(map[string][]byte{"/a": nil, "../b": nil, "./c/../d": nil, "": nil, ".": nil, "/": nil})
	if diff := cmp.Diff([]string{"a", "b", "d"}, tree.Files()); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

func TestLine(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("ä", 150) // 300 bytes
	tree := FromFiles(map[string][]byte{
		"a": []byte("one\r\n\t two \n\nfour"), "empty": nil, "long": []byte("x" + long), "latin": []byte("gr\xfcn\n"),
	})
	for _, tt := range []struct {
		name string
		line int
		want string
	}{
		{"a", 1, "one"},
		{"a", 2, "two"},
		{"a", 3, ""},
		{"a", 4, "four"},
		{"a", 5, ""},
		{"a", 0, ""},
		{"a", -1, ""},
		{"empty", 1, ""},
		{"gone", 1, ""},
		{"long", 1, "x" + strings.Repeat("ä", 99) + "…"},
		{"latin", 1, "gr\uFFFDn"},
	} {
		if got := tree.Line(tt.name, tt.line); got != tt.want {
			t.Errorf("line %d of %s is %q, want %q", tt.line, tt.name, got, tt.want)
		}
	}
}

// FuzzSourceIgnore: whatever stands in .sourceignore, every file is either in the
// tree or left out, and a folder is in the tree when a file below it is.
func FuzzSourceIgnore(f *testing.F) {
	for _, s := range []string{"", "*\n", "/*\n!/a\n", "**/b\n", "a/**/c.yaml", "[", "\\", "!", "#", "a[!b]", "\xff", strings.Repeat("*", 100) + "x", strings.Repeat("**/", 50), strings.Repeat("a*", 60), "/"} {
		f.Add([]byte(s), []byte("!c.yaml\n"))
	}
	f.Fuzz(func(t *testing.T, top, below []byte) {
		files := map[string][]byte{
			".sourceignore": top, "a/.sourceignore": below, "a/b/c.yaml": nil, "a/c.yaml": nil, "d.yaml": nil, "x.png": nil,
			strings.Repeat("a", 100) + "/" + strings.Repeat("a", 100) + ".yaml": nil,
		}
		tree := FromFiles(files)
		for name := range files {
			if tree.IsFile(name) == (tree.LeftOut()[name] != "") {
				t.Errorf("%s is in the tree: %t, left out: %q", name, tree.IsFile(name), tree.LeftOut()[name])
			}
		}
		if len(tree.Files())+len(tree.LeftOut()) != len(files) {
			t.Errorf("%d files and %d left out of %d", len(tree.Files()), len(tree.LeftOut()), len(files))
		}
		if want := tree.IsFile("a/b/c.yaml"); tree.IsDir("a/b") != want {
			t.Errorf("a/b is a folder: %t, want %t", !want, want)
		}
	})
}

// TestUnfiltered: what .sourceignore leaves out of Flux's artifact is still there for
// the tool.
func TestUnfiltered(t *testing.T) {
	t.Parallel()
	tree := FromFiles(map[string][]byte{
		".sourceignore": []byte("/*\n!/apps/\n"), "lumacore.yaml": []byte("kind: Config\n"), "apps/a.yaml": []byte("a: b\n"),
	})
	if tree.IsFile("lumacore.yaml") {
		t.Fatal(".sourceignore is not applied")
	}
	u := Unfiltered{tree}
	if !u.IsFile("lumacore.yaml") || !u.IsFile("apps/a.yaml") || u.IsFile("none") {
		t.Error("not the files that there are")
	}
	if data, err := u.ReadFile("lumacore.yaml"); err != nil || string(data) != "kind: Config\n" {
		t.Errorf("read %q, %v", data, err)
	}
	if _, err := u.ReadFile("none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
}

// TestTreeWith: what the repository will be, without touching what it is.
func TestTreeWith(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, data := range map[string]string{
		"a.yaml": "a: 1\n", "gone.yaml": "b: 1\n", ".sourceignore": "*.txt\n", "notes.txt": "c", "d/e.yaml": "e: 1\n",
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(data), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	before, err := Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer before.Close()
	after := before.With(map[string][]byte{
		"a.yaml": []byte("a: 2\n"), "gone.yaml": nil, "d/e.yaml": nil, "new/f.yaml": []byte("f: 1\n"), "more.txt": []byte("g"),
	})
	if got, want := after.Files(), []string{".sourceignore", "a.yaml", "new/f.yaml"}; !slices.Equal(got, want) {
		t.Errorf("files %v, want %v", got, want)
	}
	if after.IsDir("d") || !after.IsDir("new") || after.LeftOut()["more.txt"] != Excluded {
		t.Errorf("folders, or what is left out: %v, %v", after.List("."), after.LeftOut())
	}
	for tree, want := range map[*Tree]string{before: "a: 1\n", after: "a: 2\n"} {
		for _, read := range []func(string) ([]byte, error){tree.ReadFile, Unfiltered{tree}.ReadFile, Unfiltered{tree}.Once} {
			if got, err := read("a.yaml"); err != nil || string(got) != want {
				t.Errorf("a.yaml is %q, %v; want %q", got, err, want)
			}
		}
	}
	if got, err := (Unfiltered{after}).Once("more.txt"); err != nil || string(got) != "g" {
		t.Errorf("more.txt is %q, %v", got, err)
	}
	if before.IsFile("new/f.yaml") || !before.IsFile("gone.yaml") {
		t.Error("the tree itself has changed")
	}
}
