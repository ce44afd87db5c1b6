package lab

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lumacore.dev/lumacore/blueprint"
	"lumacore.dev/lumacore/internal/report"
)

// gitLab returns a lab whose Git server runs, with the blueprint in it.
func gitLab(t *testing.T) (*Lab, settings) {
	t.Helper()
	l, _ := newLab(t)
	l.Streams.Err = io.Discard // the server's goroutines write to it
	if err := os.MkdirAll(l.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	s, err := l.ensureSettings()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.removeScratch(); err != nil {
			t.Error(err)
		}
	})
	if err := l.prepare(s); err != nil {
		t.Fatal(err)
	}
	if err := l.seedGit(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := contextWithCancel(t)
	ended := make(chan error, 1)
	go func() { ended <- l.ServeGit(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the Git server ended: %v", err)
		}
	})
	err = poll(t.Context(), time.Minute, func() error {
		res, err := http.Get("http://" + s.Ports.addr("git") + "/healthz")
		if err != nil {
			return err
		}
		return res.Body.Close()
	})
	if err != nil {
		t.Fatal(err)
	}
	return l, s
}

// userGit is git as a person would run it, in the person's checkout.
func userGit(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1",
		"GIT_AUTHOR_NAME=Ada", "GIT_AUTHOR_EMAIL=ada@example.org", "GIT_COMMITTER_NAME=Ada", "GIT_COMMITTER_EMAIL=ada@example.org")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// checkout makes a repository with one commit of the files.
func checkout(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "home lab") // with a space
	write(t, dir, files)
	userGit(t, dir, "init", "--quiet", "--initial-branch=trunk")
	userGit(t, dir, "add", "--force", ".")
	userGit(t, dir, "commit", "--quiet", "-m", "first")
	return dir
}

var minimal = map[string]string{"clusters/lab/settings.yaml": "a: 1\n", "README.md": "hello\n"}

func (l *Lab) mustTip(t *testing.T) string {
	t.Helper()
	tip, err := l.tip(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return tip
}

// content returns the files of a commit in the lab's repository.
func (l *Lab) content(t *testing.T, commit string) map[string]string {
	t.Helper()
	files := map[string]string{}
	for _, f := range strings.Split(userGit(t, l.repository(), "ls-tree", "-r", "--name-only", commit), "\n") {
		out, err := exec.Command("git", "-C", l.repository(), "cat-file", "blob", commit+":"+f).Output()
		if err != nil {
			t.Fatal(err)
		}
		files[f] = string(out)
	}
	return files
}

func mustPush(t *testing.T, l *Lab, s settings, dir string, dirty bool) pushed {
	t.Helper()
	p, err := l.pushTree(t.Context(), s, dir, dirty)
	if err != nil {
		t.Fatal(err)
	}
	if tip := l.mustTip(t); p.Commit != tip {
		t.Fatalf("pushed %s, main is %s", p.Commit, tip)
	}
	return p
}

func TestSeedGit(t *testing.T) {
	l, s := gitLab(t)
	tip := l.mustTip(t)
	want := map[string]string{}
	err := fs.WalkDir(blueprint.Files, ".", func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			var b []byte
			b, err = blueprint.Files.ReadFile(path)
			want[path] = string(b)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, l.content(t, tip)); diff != "" {
		t.Errorf("the first commit is not the blueprint (-want +got):\n%s", diff)
	}
	if got := userGit(t, l.repository(), "log", "-1", "--format=%an <%ae> %s"); got != "LumaCore lab <lab@lumacore.invalid> chore: the blueprint as lumacore ships it" {
		t.Errorf("first commit: %s", got)
	}
	if err := l.seedGit(t.Context(), s); err != nil || l.mustTip(t) != tip {
		t.Errorf("seeding again: %v, main %s, want %s", err, l.mustTip(t), tip)
	}
	// What prepare has written beside it.
	b, err := os.ReadFile(l.gitCredentials())
	if want := "http://lab:" + s.Password + "@" + s.Ports.addr("git") + "\n"; err != nil || string(b) != want {
		t.Errorf("credentials %q, %v; want %q", b, err, want)
	}
	for _, f := range []string{l.gitCredentials(), l.Kubeconfig(), l.path("registry.yaml")} {
		if fi, err := os.Stat(f); err != nil || fi.Mode().Perm() != 0o600 {
			t.Errorf("%s: mode %v, %v; want 0600", f, fi.Mode().Perm(), err)
		}
	}
}

// The top folder of a checkout goes with its history, and replaces what was there.
func TestPushHead(t *testing.T) {
	l, s := gitLab(t)
	dir := checkout(t, minimal)
	write(t, dir, map[string]string{"second.yaml": "b: 2\n"})
	userGit(t, dir, "add", ".")
	userGit(t, dir, "commit", "--quiet", "-m", "second")
	write(t, dir, map[string]string{"second.yaml": "changed, not committed\n", "untracked.yaml": "x"})
	head := userGit(t, dir, "rev-parse", "HEAD")

	p := mustPush(t, l, s, dir, false)
	if want := (pushed{Commit: head, Source: "HEAD " + head[:8], Changed: true, Replaced: 1}); p != want {
		t.Errorf("pushed %+v, want %+v", p, want)
	}
	if got := userGit(t, l.repository(), "log", "--format=%s", "main"); got != "second\nfirst" {
		t.Errorf("history %q, want second, first", got)
	}
	p = mustPush(t, l, s, dir, false)
	if want := (pushed{Commit: head, Source: "HEAD " + head[:8]}); p != want {
		t.Errorf("the second time %+v, want %+v", p, want)
	}
	userGit(t, dir, "commit", "--quiet", "-am", "third")
	p = mustPush(t, l, s, dir, false)
	if !p.Changed || p.Replaced != 0 {
		t.Errorf("a commit on top: %+v, want changed, nothing replaced", p)
	}
	// A commit that was made in the lab, as image automation does, and a checkout
	// that does not have it.
	commit, err := git(t.Context(), author, "-C", l.repository(), "commit-tree", "main^{tree}", "-p", "main", "-m", "by automation")
	if err != nil {
		t.Fatal(err)
	}
	userGit(t, l.repository(), "update-ref", "refs/heads/main", commit)
	if p = mustPush(t, l, s, dir, false); p.Replaced != 1 || !p.Changed {
		t.Errorf("%+v, want one commit replaced", p)
	}
}

// A folder inside a checkout goes as one commit on top of what the lab has.
func TestPushSubfolder(t *testing.T) {
	l, s := gitLab(t)
	dir := checkout(t, map[string]string{
		"blueprint/clusters/lab/settings.yaml": "a: 1\n", "blueprint/run.sh": "#!/bin/sh\n", "main.go": "package main\n",
		// In the commit although .gitignore names it: what is committed counts.
		"blueprint/.gitignore": "*.env\n", "blueprint/clusters/lab/settings.env": "A=1\n",
	})
	if err := os.Chmod(filepath.Join(dir, "blueprint", "run.sh"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("clusters/lab", filepath.Join(dir, "blueprint", "link")); err != nil {
		t.Fatal(err)
	}
	userGit(t, dir, "add", ".")
	userGit(t, dir, "commit", "--quiet", "-m", "second")
	write(t, dir, map[string]string{"blueprint/untracked.yaml": "x"})
	head := userGit(t, dir, "rev-parse", "HEAD")
	before := l.mustTip(t)

	p := mustPush(t, l, s, filepath.Join(dir, "blueprint"), false)
	if want := (pushed{Commit: p.Commit, Source: "HEAD " + head[:8] + ":blueprint", Changed: true}); p != want {
		t.Errorf("pushed %+v, want %+v", p, want)
	}
	want := before + " LumaCore lab\nchore: push of a HEAD " + head[:8] + ":blueprint\n\nSource-Revision: " + head
	if got := userGit(t, l.repository(), "log", "-1", "--format=%P %an%n%B", "main"); got != want {
		t.Errorf("commit:\n%s\nwant:\n%s", got, want)
	}
	if got, want := userGit(t, l.repository(), "rev-parse", "main^{tree}"), userGit(t, dir, "rev-parse", "HEAD:blueprint"); got != want {
		t.Errorf("the tree is another one than in the checkout:\n%s\nwant\n%s",
			userGit(t, l.repository(), "ls-tree", "-r", "main"), userGit(t, dir, "ls-tree", "-r", "HEAD:blueprint"))
	}
	if p = mustPush(t, l, s, filepath.Join(dir, "blueprint"), false); p.Changed {
		t.Errorf("the second time %+v, want nothing changed", p)
	}
}

// --dirty pushes the files as they are and leaves the checkout as it is.
func TestPushDirty(t *testing.T) {
	l, s := gitLab(t)
	dir := checkout(t, minimal)
	write(t, dir, map[string]string{
		"clusters/lab/settings.yaml": "a: changed\n", "untracked/new.yaml": "n: 1\n", "staged.yaml": "s: 1\n",
		".gitignore": "secret.env\n*.log\n", "secret.env": "TOKEN=1\n", "x/y.log": "log\n",
	})
	userGit(t, dir, "add", "staged.yaml")
	if err := os.Remove(filepath.Join(dir, "README.md")); err != nil {
		t.Fatal(err)
	}
	before := checkoutState(t, dir)

	p := mustPush(t, l, s, dir, true)
	if p.Source != "work tree" || !p.Changed || p.Replaced != 0 {
		t.Errorf("pushed %+v", p)
	}
	want := map[string]string{
		"clusters/lab/settings.yaml": "a: changed\n", "untracked/new.yaml": "n: 1\n", "staged.yaml": "s: 1\n",
		".gitignore": "secret.env\n*.log\n",
	}
	if diff := cmp.Diff(want, l.content(t, "main")); diff != "" {
		t.Errorf("pushed files (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(before, checkoutState(t, dir)); diff != "" {
		t.Errorf("the checkout was changed (-before +after):\n%s", diff)
	}
	if !strings.Contains(userGit(t, l.repository(), "log", "-1", "--format=%B", "main"), "Source-Revision: "+userGit(t, dir, "rev-parse", "HEAD")) {
		t.Error("the commit does not say what it is based on")
	}
	tip := l.mustTip(t)
	if p := mustPush(t, l, s, dir, true); p.Changed || p.Commit != tip {
		t.Errorf("the second time %+v, want nothing changed", p)
	}
}

// checkoutState is everything below .git, and the status.
func checkoutState(t *testing.T, dir string) map[string]string {
	t.Helper()
	state := map[string]string{}
	err := filepath.WalkDir(filepath.Join(dir, ".git"), func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			var b []byte
			b, err = os.ReadFile(path)
			state[path] = string(b)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return state
}

// A folder that is in no checkout, and one without any commit.
func TestPushDirtyWithoutCommits(t *testing.T) {
	l, s := gitLab(t)
	plain := t.TempDir()
	write(t, plain, minimal)
	mustPush(t, l, s, plain, true)
	if diff := cmp.Diff(minimal, l.content(t, "main")); diff != "" {
		t.Errorf("a plain folder (-want +got):\n%s", diff)
	}
	if got := userGit(t, l.repository(), "log", "-1", "--format=%B", "main"); got != "chore: push of a work tree" {
		t.Errorf("message %q", got)
	}
	fresh := t.TempDir()
	write(t, fresh, minimal)
	write(t, fresh, map[string]string{"more.yaml": "m: 1\n"})
	userGit(t, fresh, "init", "--quiet")
	if p := mustPush(t, l, s, fresh, true); !p.Changed {
		t.Errorf("a checkout without commits: %+v", p)
	}
}

func TestPushMisuse(t *testing.T) {
	l, s := gitLab(t)
	before := l.mustTip(t)
	plain, fresh, other := t.TempDir(), t.TempDir(), checkout(t, map[string]string{"main.go": "package main\n"})
	write(t, plain, minimal)
	write(t, fresh, minimal)
	userGit(t, fresh, "init", "--quiet")
	for name, tt := range map[string]struct {
		dir        string
		dirty      bool
		want, next string
	}{
		"no such folder":    {filepath.Join(plain, "no"), false, "nothing to push: lstat " + filepath.Join(plain, "no") + ": no such file or directory", ""},
		"not a checkout":    {plain, false, plain + " is not in a Git checkout", "git init and commit, or push the files as they are with --dirty"},
		"no commit yet":     {fresh, false, fresh + " has no commit yet", "commit first, or push the files as they are with --dirty"},
		"another project":   {other, false, other + " has no clusters/lab, which is what the lab's Flux reads", "give the folder that has clusters/ in it; in LumaCore's own repository that is blueprint"},
		"another, dirty":    {other, true, other + " has no clusters/lab, which is what the lab's Flux reads", "give the folder that has clusters/ in it; in LumaCore's own repository that is blueprint"},
		"inside the folder": {filepath.Join(plain, "clusters"), true, filepath.Join(plain, "clusters") + " has no clusters/lab, which is what the lab's Flux reads", "give the folder that has clusters/ in it; in LumaCore's own repository that is blueprint"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := l.pushTree(t.Context(), s, tt.dir, tt.dirty)
			checkFailure(t, err, tt.want, tt.next, report.ExitUsage)
		})
	}
	if l.mustTip(t) != before {
		t.Error("a refused push changed the branch")
	}
	if left := tree(t, l.path("tmp")); slices.ContainsFunc(left, func(f string) bool { return strings.Contains(f, "index-") || strings.Contains(f, "tree-") }) {
		t.Errorf("temporary files are left: %v", left)
	}
}

// Hooks, aliases, rewrites, proxies and signing of a person do not change what
// the lab does, wherever they are set, nor does the middle of a hook or a rebase.
func TestPushIgnoresTheUsersGit(t *testing.T) {
	l, s := gitLab(t)
	dir := checkout(t, minimal)
	home := t.TempDir()
	write(t, home, map[string]string{
		"hooks/pre-push": "#!/bin/sh\nexit 1\n", "hooks/reference-transaction": "#!/bin/sh\nexit 1\n",
		".gitconfig": "[core]\n\thooksPath = " + home + "/hooks\n\texcludesFile = " + home + "/excludes\n[url \"http://127.0.0.1:1/\"]\n\tinsteadOf = http://\n" +
			"[commit]\n\tgpgSign = true\n[push]\n\tgpgSign = true\n[http]\n\tproxy = http://127.0.0.1:1\n[credential]\n\thelper = !false\n",
		"excludes": "*.yaml\n",
	})
	for _, h := range []string{"pre-push", "reference-transaction"} {
		if err := os.Chmod(filepath.Join(home, "hooks", h), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	// The checkout's own hook too: it is there for the remote of the checkout.
	write(t, dir, map[string]string{".git/hooks/pre-push": "#!/bin/sh\necho the checkout\\'s hook >&2\nexit 1\n"})
	if err := os.Chmod(filepath.Join(dir, ".git", "hooks", "pre-push"), 0o755); err != nil {
		t.Fatal(err)
	}
	for k, v := range map[string]string{
		"HOME": home, "GIT_CONFIG_GLOBAL": filepath.Join(home, ".gitconfig"),
		"GIT_DIR": "/nonexistent", "GIT_WORK_TREE": "/nonexistent", "GIT_INDEX_FILE": "/nonexistent/index", "GIT_PREFIX": "sub/",
		"GIT_OBJECT_DIRECTORY": "/nonexistent/objects", "GIT_NAMESPACE": "other", "GIT_COMMON_DIR": "/nonexistent",
		"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "core.hooksPath", "GIT_CONFIG_VALUE_0": filepath.Join(home, "hooks"),
		"http_proxy": "http://127.0.0.1:1", "HTTP_PROXY": "http://127.0.0.1:1", "all_proxy": "http://127.0.0.1:1", "no_proxy": "", "NO_PROXY": "",
	} {
		t.Setenv(k, v)
	}
	if p, err := l.pushTree(t.Context(), s, dir, false); err != nil || !p.Changed {
		t.Errorf("HEAD: %+v, %v", p, err)
	}
	write(t, dir, map[string]string{"new.yaml": "n: 1\n"})
	if p, err := l.pushTree(t.Context(), s, dir, true); err != nil || !p.Changed {
		t.Errorf("work tree: %+v, %v", p, err)
	}
	out, err := git(t.Context(), nil, "-C", l.repository(), "ls-tree", "--name-only", "main")
	if err != nil || !strings.Contains(out, "new.yaml") {
		t.Errorf("pushed %q, %v; want new.yaml in it", out, err)
	}
}

func TestPushServerAway(t *testing.T) {
	l, s := gitLab(t)
	dir := checkout(t, minimal)
	before := l.mustTip(t)
	free, err := choosePorts()
	if err != nil {
		t.Fatal(err)
	}
	s.Ports = free
	_, err = l.pushTree(t.Context(), s, dir, false)
	var f *report.Failure
	if !errors.Is(err, errNotTaken) || !errors.As(err, &f) || f.Next != "lumacore lab logs git" ||
		!regexp.MustCompile(`^the lab's Git server did not take the push: git push: exit status 128: fatal: unable to access 'http://127\.0\.0\.1:\d+/lumacore\.git/': `).MatchString(err.Error()) {
		t.Errorf("error %v", err)
	}
	if l.mustTip(t) != before {
		t.Error("the branch has changed")
	}
}

// A checkout without its history, as CI makes it, can be pushed too.
func TestPushShallow(t *testing.T) {
	l, s := gitLab(t)
	full := checkout(t, minimal)
	write(t, full, map[string]string{"second.yaml": "b: 2\n"})
	userGit(t, full, "add", ".")
	userGit(t, full, "commit", "--quiet", "-m", "second")
	shallow := filepath.Join(t.TempDir(), "shallow")
	userGit(t, "", "clone", "--quiet", "--depth=1", "file://"+full, shallow)
	head := userGit(t, shallow, "rev-parse", "HEAD")
	if p := mustPush(t, l, s, shallow, false); !p.Changed {
		t.Errorf("pushed %+v", p)
	}
	if got, want := userGit(t, l.repository(), "rev-parse", "main^{tree}"), userGit(t, shallow, "rev-parse", head+"^{tree}"); got != want {
		t.Errorf("tree %s, want %s", got, want)
	}
	clone := filepath.Join(t.TempDir(), "clone") // whole enough for anyone
	userGit(t, "", "clone", "--quiet", l.gitURL(s), clone)
}

func TestVerb(t *testing.T) {
	for _, tt := range []struct{ args, want string }{
		{"-C dir -c core.bare=false add --all .", "add"},
		{"--git-dir x rev-parse HEAD", "rev-parse"},
		{"--exec-path", "--exec-path"},
		{"push --quiet", "push"},
		{"-C", "-C"},
		{"", ""},
	} {
		if got := verb(strings.Fields(tt.args)); got != tt.want {
			t.Errorf("verb(%s) = %q, want %q", tt.args, got, tt.want)
		}
	}
}

func TestGitError(t *testing.T) {
	dir := t.TempDir()
	_, err := git(t.Context(), []string{"GIT_CEILING_DIRECTORIES=" + filepath.Dir(dir), "LC_ALL=C"}, "-C", dir, "rev-parse", "HEAD")
	if err == nil || !strings.HasPrefix(err.Error(), "git rev-parse: exit status 128: fatal: not a git repository") {
		t.Errorf("error %v", err)
	}
	ctx, cancel := contextWithCancel(t)
	cancel()
	if _, err := git(ctx, nil, "version"); err == nil || err.Error() != "context canceled" {
		t.Errorf("cancelled: %v, want: context canceled", err)
	}
}

func TestFindGit(t *testing.T) {
	if err := findGit(t.Context()); err != nil {
		t.Fatal(err)
	}
	empty := t.TempDir()
	t.Setenv("PATH", empty)
	checkFailure(t, findGit(t.Context()),
		"the lab's Git server is git's own http-backend, which is not here: git --exec-path: exec: \"git\": executable file not found in $PATH: ",
		"install git (Debian, Ubuntu: apt-get install git)", report.ExitUsage)
	// A git without its http-backend, as some minimal packages are.
	write(t, empty, map[string]string{"git": "#!/bin/sh\necho " + empty + "\n"})
	if err := os.Chmod(filepath.Join(empty, "git"), 0o755); err != nil {
		t.Fatal(err)
	}
	checkFailure(t, findGit(t.Context()),
		fmt.Sprintf("the lab's Git server is git's own http-backend, which is not here: stat %s/git-http-backend: no such file or directory", empty),
		"install git (Debian, Ubuntu: apt-get install git)", report.ExitUsage)
}

// The password goes to git through a file and never through its arguments.
func TestPasswordNotInArguments(t *testing.T) {
	l, s := gitLab(t)
	dir := checkout(t, minimal)
	real, err := exec.LookPath("git")
	if err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir()
	log := filepath.Join(bin, "log")
	write(t, bin, map[string]string{"git": fmt.Sprintf("#!/bin/sh\necho \"$@\" >> '%s'\nexec '%s' \"$@\"\n", log, real)})
	if err := os.Chmod(filepath.Join(bin, "git"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	mustPush(t, l, s, dir, false)
	b, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(b, []byte(s.Password)) {
		t.Errorf("the password is in an argument:\n%s", b)
	}
	if !bytes.Contains(b, []byte(" push ")) {
		t.Errorf("no push was seen:\n%s", b)
	}
}

// A dirty push of a checkout has what `git add` would see: a file that is
// tracked although it is ignored stays, one that only the checkout's own exclude
// file names does not come along, and a deleted one is gone.
func TestDirtyPushSeesWhatTheCheckoutSees(t *testing.T) {
	l, s := gitLab(t)
	dir := t.TempDir()
	write(t, dir, map[string]string{
		".gitignore": "*.env\n", "clusters/lab/settings.env": "A=1\n", "clusters/lab/old.yaml": "a: 1\n",
	})
	commitAll := [][]string{{"init", "-q"}, {"add", "-f", "."}, {"-c", "user.name=o", "-c", "user.email=o@example.invalid", "commit", "-qm", "x"}}
	for _, args := range commitAll {
		if _, err := git(t.Context(), nil, append([]string{"-C", dir}, args...)...); err != nil {
			t.Fatal(err)
		}
	}
	write(t, dir, map[string]string{
		".git/info/exclude": "private/\n", "private/token": "secret\n", "clusters/lab/new.yaml": "b: 2\n", "clusters/lab/settings.env": "A=2\n",
	})
	if err := os.Remove(filepath.Join(dir, "clusters/lab/old.yaml")); err != nil {
		t.Fatal(err)
	}
	p, err := l.pushTree(t.Context(), s, dir, true)
	if err != nil {
		t.Fatal(err)
	}
	files, err := git(t.Context(), nil, "-C", l.repository(), "ls-tree", "-r", "--name-only", p.Commit)
	if want := ".gitignore\nclusters/lab/new.yaml\nclusters/lab/settings.env"; err != nil || files != want {
		t.Errorf("pushed\n%s (%v), want\n%s", files, err, want)
	}
	if got, err := git(t.Context(), nil, "-C", l.repository(), "show", p.Commit+":clusters/lab/settings.env"); err != nil || got != "A=2" {
		t.Errorf("settings.env is %q (%v)", got, err)
	}
}
