package hosts

import (
	"bytes"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

const hookFolder = "../../blueprint/hosts/gitlab/hooks"

// forge is a Git server with the hook in it, called as Gitaly calls it, and a clone of its
// one project.
type forge struct {
	t        *testing.T
	url      string
	bare     string // the repository on the server
	conf     string // what /opt/lumacore/hooks is in GitLab's container
	clone    string
	env      []string
	protocol atomic.Value // how the push comes in: http, ssh or web
}

// signer is somebody with a key.
type signer struct {
	email, file string
	key         ssh.Signer
}

func newSigner(t *testing.T, email string) signer {
	t.Helper()
	for _, program := range []string{"git", "bash", "ssh-keygen", "timeout", "ruby"} {
		if _, err := exec.LookPath(program); err != nil {
			if os.Getenv("CI") != "" {
				t.Fatalf("%s is not installed", program)
			}
			t.Skipf("not run: %s is not installed", program)
		}
	}
	return newSignerOf(t, email, "ed25519")
}

func newSignerOf(t *testing.T, email, kind string) signer {
	t.Helper()
	s := signer{email: email, file: filepath.Join(t.TempDir(), "key")}
	if out, err := exec.Command("ssh-keygen", "-q", "-t", kind, "-N", "", "-f", s.file).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var err error
	if s.key, err = ssh.ParsePrivateKey([]byte(read(t, s.file))); err != nil {
		t.Fatal(err)
	}
	return s
}

// line is the signer's in allowed_signers.
func (s signer) line(options string) string {
	return s.email + " " + options + " " + string(ssh.MarshalAuthorizedKey(s.key.PublicKey()))
}

func newForge(t *testing.T, allowed string) *forge {
	t.Helper()
	dir := t.TempDir()
	f := &forge{t: t, bare: filepath.Join(dir, "homelab/infra.git"), conf: filepath.Join(dir, "hooks"), clone: filepath.Join(dir, "clone")}
	f.protocol.Store("http")
	f.env = append(os.Environ(), "HOME="+dir, "GIT_CONFIG_SYSTEM=/dev/null", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_TERMINAL_PROMPT=0")
	if err := os.CopyFS(f.conf, os.DirFS(hookFolder)); err != nil {
		t.Fatal(err)
	}
	f.write("allowed_signers", allowed)
	installed := filepath.Join(dir, "installed")
	if err := os.MkdirAll(installed, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(installed, "pre-receive"), []byte(read(t, hookFolder+"/pre-receive")), 0o755); err != nil { //nolint:gosec // a hook is executable
		t.Fatal(err)
	}
	f.must(dir, "git", "init", "--quiet", "--bare", f.bare)
	f.must(f.bare, "git", "config", "core.hooksPath", installed)
	f.must(f.bare, "git", "config", "http.receivepack", "true")
	path, err := exec.LookPath("git")
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// What Gitaly sets: https://docs.gitlab.com/administration/server_hooks/
		(&cgi.Handler{Path: path, Args: []string{"http-backend"}, Env: []string{
			"GIT_PROJECT_ROOT=" + dir, "GIT_HTTP_EXPORT_ALL=1", "HOME=" + dir, "GIT_CONFIG_SYSTEM=/dev/null", "GIT_CONFIG_GLOBAL=/dev/null",
			"LUMACORE_HOOK_CONF=" + f.conf, "LUMACORE_HOOK_SECONDS=" + f.seconds(),
			"GL_ID=user-1", "GL_USERNAME=owner", "GL_REPOSITORY=project-1", "GL_PROJECT_PATH=homelab/infra", "GL_PROTOCOL=" + f.protocol.Load().(string),
		}, InheritEnv: []string{"PATH"}}).ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	f.url = s.URL + "/homelab/infra.git"
	f.must(dir, "git", "clone", "--quiet", f.url, f.clone)
	f.git("checkout", "--quiet", "-b", "main")
	return f
}

func (f *forge) seconds() string {
	if b, err := os.ReadFile(filepath.Join(f.conf, "seconds")); err == nil {
		return string(b)
	}
	return "120"
}

// write makes one of the files that the hook reads.
func (f *forge) write(name, content string) {
	f.t.Helper()
	if err := os.WriteFile(filepath.Join(f.conf, name), []byte(content), 0o600); err != nil {
		f.t.Fatal(err)
	}
}

// object writes an object of Git and returns its name.
func (f *forge) object(kind, text string) string {
	f.t.Helper()
	file := filepath.Join(f.t.TempDir(), "object")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		f.t.Fatal(err)
	}
	return f.git("hash-object", "-t", kind, "-w", "--no-filters", "--literally", file)
}

func (f *forge) try(dir, name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Env = dir, f.env
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (f *forge) must(dir, name string, args ...string) string {
	f.t.Helper()
	out, err := f.try(dir, name, args...)
	if err != nil {
		f.t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(out)
}

func (f *forge) git(args ...string) string {
	f.t.Helper()
	return f.must(f.clone, "git", args...)
}

// as are the options with which git commits and signs as somebody.
func as(s signer) []string {
	return []string{"-c", "user.name=Owner", "-c", "user.email=" + s.email, "-c", "gpg.format=ssh", "-c", "user.signingkey=" + s.file}
}

// commit changes a file; sign is "-S" or "--no-gpg-sign".
func (f *forge) commit(s signer, file, sign string) string {
	f.t.Helper()
	path := filepath.Join(f.clone, file)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		f.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(strconv.FormatInt(time.Now().UnixNano(), 10)), 0o600); err != nil {
		f.t.Fatal(err)
	}
	f.git("add", "-A")
	f.git(append(as(s), "commit", "--quiet", sign, "-m", "feat: change "+file)...)
	return f.git("rev-parse", "HEAD")
}

func (f *forge) push(args ...string) (string, error) {
	return f.try(f.clone, "git", append([]string{"push", "--quiet", "origin"}, args...)...)
}

func (f *forge) taken(args ...string) {
	f.t.Helper()
	if out, err := f.push(args...); err != nil {
		f.t.Fatalf("push %s was refused:\n%s", strings.Join(args, " "), out)
	}
}

// hook runs the hook on the server's repository with what a push would say, and returns
// what it prints, which it must not if all is well.
func (f *forge) hook(refs string) string {
	f.t.Helper()
	cmd := exec.Command("bash", filepath.Join(f.conf, "pre-receive"))
	cmd.Dir, cmd.Stdin = f.bare, strings.NewReader(refs)
	cmd.Env = append(f.env, "LUMACORE_HOOK_CONF="+f.conf, "GL_PROTOCOL=http", "GL_REPOSITORY=project-1")
	out, err := cmd.CombinedOutput()
	if err == nil {
		f.t.Error("the hook takes it")
	}
	return string(out)
}

// refused wants each text in what the pusher is told, and that the server's refs stay.
func (f *forge) refused(args []string, texts ...string) {
	f.t.Helper()
	before := f.must(f.bare, "git", "for-each-ref")
	out, err := f.push(args...)
	if err == nil {
		f.t.Errorf("push %s was taken", strings.Join(args, " "))
	}
	if !strings.Contains(out, "GL-HOOK-ERR: ") || !strings.Contains(out, "pre-receive hook declined") {
		f.t.Errorf("it was not refused by the hook:\n%s", out)
	}
	for _, text := range texts {
		if !strings.Contains(out, text) {
			f.t.Errorf("it does not say %q:\n%s", text, out)
		}
	}
	if after := f.must(f.bare, "git", "for-each-ref"); after != before {
		f.t.Errorf("refs changed:\n%s\n%s", before, after)
	}
}

// started is a forge whose main has two commits of the owner.
func started(t *testing.T) (*forge, signer) {
	t.Helper()
	owner := newSigner(t, "owner@example.com")
	f := newForge(t, owner.line(`namespaces="git"`))
	f.commit(owner, "README.md", "-S")
	f.commit(owner, "apps/web.yaml", "-S")
	f.taken("main")
	return f, owner
}

func TestPreReceiveFirstPush(t *testing.T) {
	t.Parallel()
	owner := newSigner(t, "owner@example.com")
	f := newForge(t, "# nobody yet\n\n")
	f.commit(owner, "overlays/prod/web.yaml", "--no-gpg-sign")
	f.commit(owner, "README.md", "-S")
	f.refused([]string{"main"}, "no signer is known yet: put your key into hosts/gitlab/hooks/allowed_signers")
	f.write("allowed_signers", owner.line(`namespaces="git"`))
	// Signed is the newest, which covers what was before it, prod folders included.
	f.taken("main")
	f.commit(owner, "README.md", "--no-gpg-sign")
	f.refused([]string{"main"}, "of 1 commits for main these are not taken", `"feat: change README.md" has no SSH signature`, "git rebase --force-rebase --gpg-sign")
}

func TestPreReceiveSignatures(t *testing.T) {
	t.Parallel()
	f, owner := started(t)
	base := f.git("rev-parse", "HEAD")
	reset := func() { f.git("reset", "--quiet", "--hard", base) }

	f.commit(owner, "apps/a.yaml", "-S")
	f.taken("main")
	base = f.git("rev-parse", "HEAD")

	// Unsigned among signed.
	f.commit(owner, "apps/b.yaml", "-S")
	bad := f.commit(owner, "apps/c.yaml", "--no-gpg-sign")
	f.commit(owner, "apps/d.yaml", "-S")
	f.refused([]string{"main"}, "of 3 commits for main these are not taken", bad[:12]+` "feat: change apps/c.yaml" has no SSH signature`)

	// An unsigned commit that is on another branch already: a branch may have it, main not.
	f.taken("HEAD:refs/heads/feature")
	f.refused([]string{"main"}, bad[:12], "has no SSH signature")
	reset()

	// A merge answers for what it brings in, if it is signed; but it does not become the
	// branch itself by having the old tip second.
	f.git("checkout", "--quiet", "--orphan", "vendor")
	f.commit(owner, "vendor.yaml", "--no-gpg-sign")
	vendor := f.git("rev-parse", "HEAD")
	f.git("checkout", "--quiet", "main")
	merge := func(sign string) {
		t.Helper()
		f.git(append(as(owner), "merge", "--quiet", "--no-ff", "--allow-unrelated-histories", "--strategy", "ours", sign, "-m", "feat: newer blueprint", vendor)...)
	}
	merge("--no-gpg-sign")
	f.refused([]string{"main"}, `"feat: newer blueprint" has no SSH signature`)
	reset()
	merge("-S")
	tree := f.git("rev-parse", "HEAD^{tree}")
	swapped := f.git(append(as(owner), "commit-tree", "-S", "-p", vendor, "-p", base, "-m", "feat: swapped", tree)...)
	f.refused([]string{swapped + ":refs/heads/main"}, vendor[:12], "has no SSH signature")
	f.taken("main")
	base = f.git("rev-parse", "HEAD")

	stranger := newSigner(t, "owner@example.com")
	f.commit(stranger, "apps/e.yaml", "-S")
	f.refused([]string{"main"}, "is signed by a key that is not in allowed_signers")
	reset()

	// A key that may sign, for somebody else's commit.
	bot := newSigner(t, "bot@example.com")
	f.write("allowed_signers", owner.line(`namespaces="git"`)+bot.line(`namespaces="git"`))
	f.commit(signer{email: owner.email, file: bot.file}, "apps/f.yaml", "-S")
	f.refused([]string{"main"}, "is signed by bot@example.com, but says that it is by owner@example.com")
	reset()
	f.commit(bot, "apps/f.yaml", "-S")
	f.taken("main")
	base = f.git("rev-parse", "HEAD")

	// A key whose time is over, and one for other things than Git.
	for name, options := range map[string]string{"over": `namespaces="git",valid-before="20200101"`, "files": `namespaces="file"`} {
		f.write("allowed_signers", owner.line(options))
		f.commit(owner, "apps/"+name+".yaml", "-S")
		f.refused([]string{"main"}, "of 1 commits for main these are not taken")
		reset()
	}

	// A commit that was changed after it was signed.
	f.write("allowed_signers", owner.line(`namespaces="git"`))
	f.commit(owner, "apps/g.yaml", "-S")
	changed := strings.Replace(f.git("cat-file", "commit", "HEAD"), "feat: change", "feat: forge", 1) + "\n"
	f.git("reset", "--quiet", "--hard", f.object("commit", changed))
	f.refused([]string{"main"}, "has a signature that is not of its text, or not for Git: it was changed after it was signed")
	reset()

	// The same behind a good one of the same key, and a signature for something else than
	// Git: what OpenSSL checks after ssh-keygen took the first.
	f.commit(owner, "apps/good.yaml", "-S")
	good, tree := f.git("rev-parse", "HEAD"), f.git("rev-parse", "HEAD^{tree}")
	head := "tree " + tree + "\nparent " + good + "\nauthor Owner <owner@example.com> 1767225600 +0000\ncommitter Owner <owner@example.com> 1767225600 +0000\n"
	const message = "\nfeat: forged\n"
	for name, signature := range map[string]string{
		"of another text": sshsig(t, owner.key, "git", []byte(head+"\nfeat: another\n")),
		"for files":       sshsig(t, owner.key, "file", []byte(head+message)),
		"cut off":         sshsig(t, owner.key, "git", []byte(head+message))[:120] + "\n-----END SSH SIGNATURE-----",
		"of a stranger":   sshsig(t, stranger.key, "git", []byte(head+message)),
	} {
		forged := f.object("commit", head+"gpgsig "+strings.ReplaceAll(signature, "\n", "\n ")+"\n"+message)
		f.refused([]string{forged + ":refs/heads/main"}, "of 2 commits for main these are not taken", forged[:12]+` "feat: forged"`)
		_ = name
	}
	// Two signatures, one of them right.
	right := "gpgsig " + strings.ReplaceAll(sshsig(t, owner.key, "git", []byte(head+message)), "\n", "\n ") + "\n"
	f.refused([]string{f.object("commit", head+right+right+message) + ":refs/heads/main"}, "has no SSH signature")
	f.taken(f.object("commit", head+right+message) + ":refs/heads/main")
	f.git("fetch", "--quiet")
	f.git("reset", "--quiet", "--hard", "origin/main")

	// Another type of key.
	ecdsa := newSignerOf(t, "owner@example.com", "ecdsa")
	f.write("allowed_signers", owner.line(`namespaces="git"`)+ecdsa.line(`namespaces="git"`))
	f.commit(ecdsa, "apps/ecdsa-1.yaml", "-S")
	f.commit(ecdsa, "apps/ecdsa-2.yaml", "-S")
	f.taken("main")
	base = f.git("rev-parse", "HEAD")

	// A replacement that makes an unsigned commit look signed.
	good = f.commit(owner, "apps/h.yaml", "-S")
	reset()
	plain := f.commit(owner, "apps/h.yaml", "--no-gpg-sign")
	f.git("replace", plain, good)
	f.refused([]string{"refs/replace/*:refs/replace/*"}, "replacements of objects")
	f.must(f.bare, "git", "-c", "core.hooksPath=/dev/null", "fetch", "--quiet", f.clone, plain, good)
	f.must(f.bare, "git", "replace", plain, good)
	f.refused([]string{"main"}, plain[:12], "has no SSH signature")
	f.git("replace", "--delete", plain)

	// What the message shows of a commit cannot write over it.
	reset()
	f.git(append(as(owner), "commit", "--quiet", "--allow-empty", "-m", "feat: \x1b[2Knothing to see\r")...)
	out, err := f.push("main")
	if err == nil || strings.ContainsAny(out, "\x1b") && strings.Contains(out, "\x1b[2K") || !strings.Contains(out, "[2Knothing to see") {
		t.Errorf("%v: %q", err, out)
	}
}

func TestPreReceiveBranches(t *testing.T) {
	t.Parallel()
	f, owner := started(t)
	tip := f.git("rev-parse", "HEAD")

	f.refused([]string{":main"}, "branch main is not deleted: it only grows")
	f.git(append(as(owner), "commit", "--quiet", "--amend", "-S", "-m", "feat: another past")...)
	f.refused([]string{"--force", "main"}, "branch main is not overwritten: it only grows", "push again without --force")
	f.git("reset", "--quiet", "--hard", tip)

	// Other branches are nobody's business: unsigned, overwritten, deleted.
	f.commit(owner, "apps/x.yaml", "--no-gpg-sign")
	f.taken("HEAD:refs/heads/try")
	f.git(append(as(owner), "commit", "--quiet", "--amend", "--no-gpg-sign", "-m", "feat: again")...)
	f.taken("--force", "HEAD:refs/heads/try")
	f.taken(":try")
	f.git("reset", "--quiet", "--hard", tip)

	// All or nothing: a good branch with a bad one.
	f.git("branch", "--force", "fine")
	f.commit(owner, "apps/y.yaml", "--no-gpg-sign")
	f.refused([]string{"main", "fine"}, "has no SSH signature")
	f.git("reset", "--quiet", "--hard", tip)

	// A second signed branch: what main has not is looked at, and its past is main's.
	f.write("rules.conf", "[signed]\n\tbranch = main\n\tbranch = release-*\n\ttag = v*\n[reviewed]\n\tfolder = overlays/prod/\n")
	f.protocol.Store("web")
	f.commit(owner, "overlays/prod/web.yaml", "-S")
	f.taken("main")
	f.protocol.Store("http")
	f.commit(owner, "apps/z.yaml", "-S")
	f.taken("HEAD:refs/heads/release-1") // main's prod folder is not this push's change
	f.commit(owner, "apps/z.yaml", "--no-gpg-sign")
	f.refused([]string{"HEAD:refs/heads/release-2"}, "of 1 commits for release-2 these are not taken")
	f.git("reset", "--quiet", "--hard", "HEAD~1")
	f.commit(owner, "overlays/prod/web.yaml", "-S")
	f.refused([]string{"HEAD:refs/heads/release-3"}, "this push changes overlays/prod/web.yaml on release-3")
}

func TestPreReceiveReviewed(t *testing.T) {
	t.Parallel()
	f, owner := started(t)
	tip := f.git("rev-parse", "HEAD")
	for file, said := range map[string]string{
		"overlays/prod/web/kustomization.yaml": "overlays/prod/web/kustomization.yaml on main",
		"clusters/lumacore/settings.env":       "clusters/lumacore/settings.env on main",
		"overlays/prod/ä \"quoted\"\tname":     "overlays/prod/",
	} {
		f.commit(owner, file, "-S")
		f.refused([]string{"main"}, "this push changes "+said, "which takes a merge request", "git push -o merge_request.create origin HEAD:refs/heads/<name>")
		f.git("reset", "--quiet", "--hard", tip)
	}

	// Moved there, and there in a commit between.
	f.git("mv", "apps/web.yaml", "moved.yaml")
	if err := os.MkdirAll(filepath.Join(f.clone, "overlays/prod"), 0o755); err != nil {
		t.Fatal(err)
	}
	f.git("mv", "moved.yaml", "overlays/prod/web.yaml")
	f.git(append(as(owner), "commit", "--quiet", "-S", "-m", "refactor: move")...)
	f.refused([]string{"main"}, "this push changes overlays/prod/web.yaml on main")

	// The same through a merge request, which has to be signed all the same.
	f.protocol.Store("web")
	f.taken("main")
	f.commit(owner, "overlays/prod/web.yaml", "--no-gpg-sign")
	f.refused([]string{"main"}, "has no SSH signature")
	f.git("reset", "--quiet", "--hard", "origin/main")

	// Nobody knows how it comes in.
	f.protocol.Store("")
	f.commit(owner, "overlays/prod/web.yaml", "-S")
	f.refused([]string{"main"}, "which takes a merge request")

	// Names that only begin alike, over SSH.
	f.protocol.Store("ssh")
	f.git("reset", "--quiet", "--hard", "origin/main")
	f.commit(owner, "overlays/production/web.yaml", "-S")
	f.taken("main")

	// Another branch takes it, for a merge request.
	f.commit(owner, "overlays/prod/web.yaml", "-S")
	f.taken("HEAD:refs/heads/promote")
}

func TestPreReceiveTags(t *testing.T) {
	t.Parallel()
	f, owner := started(t)
	stranger := newSigner(t, "stranger@example.com")
	tag := func(s signer, args ...string) { f.t.Helper(); f.git(append(append(as(s), "tag"), args...)...) }

	tag(owner, "-s", "-m", "release", "v1.0.0")
	f.taken("v1.0.0")
	f.refused([]string{":v1.0.0"}, "tag v1.0.0 is neither moved nor deleted")
	tag(owner, "-s", "-f", "-m", "again", "v1.0.0")
	f.refused([]string{"--force", "v1.0.0"}, "tag v1.0.0 is neither moved nor deleted")

	f.git("tag", "v1.0.1")
	f.refused([]string{"v1.0.1"}, "tag v1.0.1 has no signature: it is a lightweight one", "git tag --sign v1.0.1")
	tag(owner, "-a", "-m", "unsigned", "v1.0.2")
	f.refused([]string{"v1.0.2"}, "tag v1.0.2 has no SSH signature")
	tag(stranger, "-s", "-m", "a stranger's", "v1.0.3")
	f.refused([]string{"v1.0.3"}, "tag v1.0.3 is signed by a key that is not in allowed_signers")
	tag(signer{email: stranger.email, file: owner.file}, "-s", "-m", "in another's name", "v1.0.4")
	f.refused([]string{"v1.0.4"}, "tag v1.0.4 is signed by owner@example.com, but says that it is by stranger@example.com")
	f.refused([]string{"v1.0.0:refs/tags/prod-20260101"}, "tag prod-20260101 is one that was made and signed under another name")

	// What is on no signed branch is not released; what comes with the branch is.
	f.commit(owner, "apps/new.yaml", "-S")
	tag(owner, "-s", "-m", "release", "v1.1.0")
	f.refused([]string{"v1.1.0"}, "tag v1.1.0 names", "which is on no signed branch", "merge it first, then tag it")
	f.taken("main", "v1.1.0")

	// A long message, and a tag for what main was said to be by somebody who lied about it.
	long := filepath.Join(t.TempDir(), "message")
	if err := os.WriteFile(long, []byte(strings.Repeat("a long story\n", 20_000)), 0o600); err != nil {
		t.Fatal(err)
	}
	tag(owner, "-s", "-F", long, "v1.1.1")
	f.taken("v1.1.1")
	tip := f.git("rev-parse", "main")
	lie := f.hook(f.git("rev-parse", "main~1") + " " + f.commit(owner, "apps/lie.yaml", "-S") + " refs/heads/main\n")
	if !strings.Contains(lie, "GL-HOOK-ERR: refs/heads/main was changed by somebody else meanwhile") {
		t.Errorf("an old value that is none: %s", lie)
	}
	f.git("reset", "--quiet", "--hard", tip)

	// Other tags are free.
	f.git("tag", "mine")
	f.taken("mine")
	f.taken(":mine")
}

// Whatever is wrong with the hook's own files refuses every push.
func TestPreReceiveFailsClosed(t *testing.T) {
	t.Parallel()
	f, owner := started(t)
	f.commit(owner, "apps/a.yaml", "-S")
	rules := read(t, filepath.Join(f.conf, "rules.conf"))
	for name, c := range map[string]struct {
		file, content string
		says          string
	}{
		"no rules":          {"rules.conf", "", "rules.conf has no signed.branch, so nothing can be pushed"},
		"half of the rules": {"rules.conf", "[signed]\n\tbranch = main\n\ttag = v*\n", "rules.conf has no reviewed.folder, so nothing can be pushed"},
		"broken rules":      {"rules.conf", "[signed\nbranch=", "rules.conf cannot be read as Git's configuration"},
		"broken signers":    {"allowed_signers", "owner@example.com ssh-ed25519 nonsense\n", "of 1 commits for main these are not taken"},
		"no time":           {"seconds", "0.001", "the push was not checked within 0.001 s, so it is refused"},
		"a signed nonsense": {"allowed_signers", "\x00\xff\n", "of 1 commits for main these are not taken"},
	} {
		before, err := os.ReadFile(filepath.Join(f.conf, c.file))
		f.write(c.file, c.content)
		f.refused([]string{"main"}, c.says)
		if err != nil {
			_ = os.Remove(filepath.Join(f.conf, c.file))
			continue
		}
		f.write(c.file, string(before))
		_ = name
	}
	for _, file := range []string{"rules.conf", "allowed_signers", "signatures.rb"} {
		if err := os.Rename(filepath.Join(f.conf, file), filepath.Join(f.conf, file+".away")); err != nil {
			t.Fatal(err)
		}
		f.refused([]string{"main"}, file+" cannot be read, so nothing can be pushed")
		f.refused([]string{"HEAD:refs/heads/any"}, file+" cannot be read, so nothing can be pushed")
		if err := os.Rename(filepath.Join(f.conf, file+".away"), filepath.Join(f.conf, file)); err != nil {
			t.Fatal(err)
		}
	}
	f.write("rules.conf", rules)
	f.taken("main")
}

// sshsig is the signature of a text in the form that ssh-keygen -Y writes.
// https://github.com/openssh/openssh-portable/blob/master/PROTOCOL.sshsig
func sshsig(t *testing.T, s ssh.Signer, namespace string, text []byte) string {
	t.Helper()
	sum := sha512.Sum512(text)
	signature, err := s.Sign(rand.Reader, append([]byte("SSHSIG"), ssh.Marshal(struct{ Namespace, Reserved, Hash, Sum string }{namespace, "", "sha512", string(sum[:])})...))
	if err != nil {
		t.Fatal(err)
	}
	blob := append([]byte("SSHSIG"), ssh.Marshal(struct {
		Version                        uint32
		Key, Namespace, Reserved, Hash string
		Signature                      string
	}{1, string(s.PublicKey().Marshal()), namespace, "", "sha512", string(ssh.Marshal(signature))})...)
	return "-----BEGIN SSH SIGNATURE-----\n" + regexp.MustCompile(`.{1,70}`).ReplaceAllString(base64.StdEncoding.EncodeToString(blob), "$0\n") + "-----END SSH SIGNATURE-----"
}

// A thousand signed commits in one push take five seconds at most.
func TestPreReceiveThousandCommits(t *testing.T) {
	f, owner := started(t)
	tree, parent := f.git("rev-parse", "HEAD^{tree}"), f.git("rev-parse", "HEAD")
	dir := t.TempDir()
	var paths bytes.Buffer
	const commits = 1000
	for i := range commits {
		head := fmt.Sprintf("tree %s\nparent %s\nauthor Owner <owner@example.com> %d +0000\ncommitter Owner <owner@example.com> %[3]d +0000\n", tree, parent, 1767225600+i)
		message := fmt.Sprintf("\nfeat: change %d\n", i)
		text := head + "gpgsig " + strings.ReplaceAll(sshsig(t, owner.key, "git", []byte(head+message)), "\n", "\n ") + "\n" + message
		sum := sha1.Sum([]byte(fmt.Sprintf("commit %d\x00%s", len(text), text)))
		parent = hex.EncodeToString(sum[:])
		file := filepath.Join(dir, strconv.Itoa(i))
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(&paths, file)
	}
	cmd := exec.Command("git", "hash-object", "-t", "commit", "-w", "--no-filters", "--stdin-paths")
	cmd.Dir, cmd.Env, cmd.Stdin = f.clone, f.env, &paths
	if out, err := cmd.Output(); err != nil || !strings.HasSuffix(strings.TrimSpace(string(out)), parent) {
		t.Fatalf("the commits could not be written: %v", err)
	}
	f.git("reset", "--quiet", "--hard", parent)

	// What the same takes without the hook is not the hook's.
	var before, after syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_CHILDREN, &before); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	f.taken("main")
	took := time.Since(start)
	if err := syscall.Getrusage(syscall.RUSAGE_CHILDREN, &after); err != nil {
		t.Fatal(err)
	}
	if got := f.must(f.bare, "git", "rev-list", "--count", "main"); got != strconv.Itoa(commits+2) {
		t.Errorf("%s commits on main", got)
	}
	cpu := time.Duration(after.Utime.Nano() + after.Stime.Nano() - before.Utime.Nano() - before.Stime.Nano())
	t.Logf("a push of %d signed commits took %.1f s, and %.1f s of processor time", commits, took.Seconds(), cpu.Seconds())
	// Wall time says something only if the machine had nothing else to do.
	share := cpu.Seconds() / took.Seconds() / float64(runtime.NumCPU())
	switch {
	case cpu > 10*time.Second:
		t.Errorf("a push of %d signed commits took %s of processor time", commits, cpu)
	case took > 5*time.Second && share > 0.8:
		t.Errorf("a push of %d signed commits took %s, want 5 s at most", commits, took)
	case took > 5*time.Second:
		t.Logf("not judged: the push had %.0f %% of a busy machine", 100*share)
	}
}
