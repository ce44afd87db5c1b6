package mirror_test

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"lumacore.dev/lumacore/blueprint"
	"lumacore.dev/lumacore/internal/cache"
	"lumacore.dev/lumacore/internal/lab/gitserver"
	"lumacore.dev/lumacore/internal/mirror"
)

const (
	user     = "oauth2"
	password = "simulated-token-of-the-mirror"
	head     = "apiVersion: lumacore.dev/v1alpha1\nkind: Config\npublicIdentity:\n  name: octocat\n  email: octocat@users.noreply.github.com\n"
)

// world is an owner's repository, and a server with an empty mirror.
type world struct {
	*testing.T
	dir    string // of the repository
	server string // folder of the server's repositories
	to     mirror.Target
	key    string
	public string
	kept   string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	if _, err := exec.LookPath("ssh-keygen"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("ssh-keygen is not there, which signs the mirror's commits")
		}
		t.Skip("not run: ssh-keygen is not there, which signs the mirror's commits")
	}
	root := t.TempDir()
	w := &world{T: t, dir: filepath.Join(root, "homelab"), server: filepath.Join(root, "server"), kept: filepath.Join(root, "cache")}
	w.key, w.public = w.newKey("mirror")
	h, err := gitserver.Handler(w.server, user, password, func() {})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	w.run(root, "git", "init", "--quiet", "--bare", "--initial-branch=main", filepath.Join(w.server, "public.git"))
	w.run(root, "git", "-C", filepath.Join(w.server, "public.git"), "config", "http.receivepack", "true")
	token := filepath.Join(root, "token")
	w.put(token, password+"\n")
	w.to = mirror.Target{
		URL: server.URL + "/public.git", Branch: "main", Folder: filepath.Join(w.kept, "mirrors"),
		Access: mirror.Access{TokenFile: token},
	}
	w.run(root, "git", "init", "--quiet", "--initial-branch=main", w.dir)
	w.write("lumacore.yaml", head+"mirror:\n  signers: [\""+w.public+"\"]\n  docs: none\n")
	w.write("apps/web/deployment.yaml", "kind: Deployment\n")
	w.write("hosts/inventory.yaml", "server: 192.168.178.20\n")
	w.write("README.md", "# My homelab\n")
	w.commit("feat: begin")
	return w
}

// newKey makes a key that signs.
func (w *world) newKey(name string) (file, public string) {
	w.Helper()
	pub, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		w.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		w.Fatal(err)
	}
	line, err := ssh.NewPublicKey(pub)
	if err != nil {
		w.Fatal(err)
	}
	file = filepath.Join(w.TempDir(), name)
	public = strings.TrimSpace(string(ssh.MarshalAuthorizedKey(line)))
	w.put(file, string(pem.EncodeToMemory(block)))
	return file, public
}

func (w *world) put(path, content string) {
	w.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), 0o600)); err != nil {
		w.Fatal(err)
	}
}

func (w *world) write(name, content string) { w.Helper(); w.put(filepath.Join(w.dir, name), content) }

func (w *world) run(dir, program string, args ...string) string {
	w.Helper()
	cmd := exec.CommandContext(w.Context(), program, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1",
		"GIT_AUTHOR_NAME=Theodora Quillfeather", "GIT_AUTHOR_EMAIL=theo@quillfeather.house", "GIT_COMMITTER_NAME=Theodora Quillfeather", "GIT_COMMITTER_EMAIL=theo@quillfeather.house")
	out, err := cmd.CombinedOutput()
	if err != nil {
		w.Fatalf("%s %v: %v\n%s", program, args, err, out)
	}
	return strings.TrimSpace(string(out))
}

func (w *world) git(args ...string) string { w.Helper(); return w.run(w.dir, "git", args...) }

// public runs git on the server.
func (w *world) onMirror(args ...string) string {
	w.Helper()
	return w.run(filepath.Join(w.server, "public.git"), "git", args...)
}

func (w *world) commit(message string) string {
	w.Helper()
	w.git("add", "--all")
	w.git("commit", "--quiet", "--allow-empty", "--message", message)
	return w.git("rev-parse", "HEAD")
}

func (w *world) source() mirror.Source {
	return mirror.Source{Dir: w.dir, Revision: "HEAD", Now: time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC), Cache: cache.Open(filepath.Join(w.kept, "mirror"))}
}

func (w *world) options() mirror.Options {
	return mirror.Options{SigningKey: w.key, Progress: func(string, ...any) {}}
}

func (w *world) sync() *mirror.Report {
	w.Helper()
	r, err := mirror.Sync(w.Context(), w.source(), w.to, w.options())
	if err != nil {
		w.Fatal(err)
	}
	return r
}

// pushed is a sync that must push.
func (w *world) pushed() *mirror.Report {
	w.Helper()
	r := w.sync()
	if r.Result != mirror.Pushed {
		w.Fatalf("sync: %s: %v %v", r.Result, r.Findings, r.Problems)
	}
	if got := w.onMirror("rev-parse", "main"); got != r.After {
		w.Fatalf("the mirror is at %s, the report says %s", got, r.After)
	}
	return r
}

// blocked is a sync that must be stopped, with this reason, and must not touch the mirror.
func (w *world) blocked(reason string) *mirror.Report {
	w.Helper()
	before := w.onMirror("rev-list", "--all", "--objects")
	r := w.sync()
	if r.Result != mirror.Blocked {
		w.Fatalf("sync: %s, want it blocked for %q", r.Result, reason)
	}
	text := fmt.Sprint(r.Findings, r.Problems)
	if !strings.Contains(text, reason) {
		w.Errorf("blocked for %s, want %q", text, reason)
	}
	if after := w.onMirror("rev-list", "--all", "--objects"); after != before {
		w.Errorf("the mirror has changed:\n%s", after)
	}
	return r
}

func (w *world) verify() *mirror.Verification {
	w.Helper()
	v, err := mirror.Verify(w.Context(), w.source(), w.to, func(string, ...any) {})
	if err != nil {
		w.Fatal(err)
	}
	return v
}

// TestSync is a mirror's life: first sync, a change, nothing new, a file that goes.
func TestSync(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	plan, err := mirror.Plan(t.Context(), w.source(), w.to, "")
	if err != nil || plan.Result != mirror.Planned || plan.Added != 2 || plan.Withheld != 2 {
		t.Fatalf("plan: %+v %v", plan, err)
	}
	if refs := w.onMirror("for-each-ref"); refs != "" {
		t.Errorf("plan wrote: %s", refs)
	}
	first := w.pushed()
	if got := w.onMirror("ls-tree", "-r", "--name-only", "main"); got != "README.md\napps/web/deployment.yaml" {
		t.Errorf("the mirror has:\n%s", got)
	}
	// Git and ssh-keygen say the same of the signature.
	signers := filepath.Join(t.TempDir(), "signers")
	w.put(signers, "mirror namespaces=\"git\" "+w.public+"\n")
	w.onMirror("-c", "gpg.ssh.allowedSignersFile="+signers, "verify-commit", "main")
	show := w.onMirror("show", "--no-patch", "--format=%an <%ae> %cn <%ce> %ai%n%B", "main")
	want := "octocat <octocat@users.noreply.github.com> octocat <octocat@users.noreply.github.com> "
	if !strings.HasPrefix(show, want) || !strings.Contains(show, "+0000\n") || !strings.Contains(show, "Source-Revision: "+w.git("rev-parse", "HEAD")) {
		t.Errorf("the commit: %s", show)
	}
	for _, private := range []string{"Quillfeather", "quillfeather", "feat: begin", "192.168"} {
		if got := w.onMirror("log", "--all", "-p"); strings.Contains(got, private) {
			t.Errorf("the mirror has %q", private)
		}
	}
	if again := w.sync(); again.Result != mirror.UpToDate || again.After != first.After {
		t.Errorf("the same again: %+v", again)
	}

	// A commit that changes nothing public makes no commit on the mirror.
	w.write("hosts/notes.md", "private\n")
	w.commit("docs: notes")
	if r := w.sync(); r.Result != mirror.UpToDate {
		t.Errorf("nothing public changed: %s", r.Result)
	}
	w.write("apps/web/deployment.yaml", "kind: Deployment # better\n")
	w.write("apps/web/service.yaml", "kind: Service\n")
	w.git("rm", "--quiet", "README.md")
	w.commit("feat: better")
	second := w.pushed()
	if second.Added != 1 || second.Changed != 1 || second.Removed != 1 {
		t.Errorf("changes: %+v", second.Changes)
	}
	if got := w.onMirror("rev-list", "--count", "main"); got != "2" {
		t.Errorf("%s commits, want 2", got)
	}
	v := w.verify()
	if v.Result != mirror.Clean || v.Commits != 2 || v.Recomputed != 2 || len(v.NotChecked) > 0 {
		t.Errorf("verify: %+v", v)
	}
	if v := w.verify(); v.Blobs != 0 || v.Known != 2 {
		t.Errorf("verify again looks at %d files, knows %d commits", v.Blobs, v.Known)
	}
}

// TestBlocked: each reason stops a sync, and nothing is written.
func TestBlocked(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		do     func(w *world)
		reason string
		alarm  bool
	}{
		"token":           {func(w *world) { w.write("apps/a.yaml", "token: ghp_"+letters(36)+"\n") }, "apps/a.yaml:1: github-pat", false},
		"private address": {func(w *world) { w.write("docs/a.md", "See 192.168.178.20.\n") }, "docs/a.md:1: private-address", false},
		"name of a file":  {func(w *world) { w.write("docs/nas.attic.lan.md", "x\n") }, "internal-name (in its name)", false},
		"word of the owner": {func(w *world) {
			w.config("  private: {words: [Quillfeather]}\n")
			w.write("docs/a.md", "by T. Quillfeather\n")
		}, "owners-word", false},
		"canary": {func(w *world) {
			w.config("  private: {canaries: [sparrow-teapot-4711]}\n")
			w.write("docs/a.md", "x Sparrow_Teapot 4711\n")
		}, "canary", true},
		"symbolic link": {func(w *world) { w.must(os.Symlink("../hosts/inventory.yaml", filepath.Join(w.dir, "apps/link.yaml"))) }, "apps/link.yaml may not be published: it is a symbolic link", false},
		"executable": {func(w *world) {
			w.write("apps/run.sh", "#!/bin/sh\n")
			w.must(os.Chmod(filepath.Join(w.dir, "apps/run.sh"), 0o755))
		}, "it is executable, and not in mirror.executables", false},
		"pointer of LFS": {func(w *world) { w.write("docs/a.png", "version https://git-lfs.github.com/spec/v1\noid sha256:x\n") }, "pointer of Git LFS", false},
		"binary":         {func(w *world) { w.write("docs/a.bin", "\x00\x01\x02") }, "no text in UTF-8, and not in mirror.binaries", false},
		"binary of unknown kind": {func(w *world) {
			w.config("  binaries: ['docs/*.bin']\n")
			w.write("docs/a.bin", "\x00\x01\x02\xff\xfe\x00\x13")
		}, "no kind that can be looked into", false},
		"too large":       {func(w *world) { w.config("  maxFileSize: 10\n") }, "mirror.maxFileSize is 10", false},
		"case of letters": {func(w *world) { w.write("apps/a.yaml", "a: 1\n"); w.write("apps/A.yaml", "a: 2\n") }, "in the case of letters alone", false},
		"strange name":    {func(w *world) { w.write("apps/a\u202eb.yaml", "a: 1\n") }, "characters that cannot be seen", false},
		"submodule": {func(w *world) {
			w.git("update-index", "--add", "--cacheinfo", "160000,"+w.git("rev-parse", "HEAD")+",apps/sub")
			w.must(os.MkdirAll(filepath.Join(w.dir, "apps/sub"), 0o755))
		}, "apps/sub may not be published: it is a submodule", false},
		"mistake in .gitallowed": {func(w *world) { w.write(".gitallowed", "nonsense: 1\n") }, ".gitallowed:", false},
		"allowed, and expired": {func(w *world) {
			w.write("docs/a.md", "See 192.168.178.20.\n")
			w.write(".gitallowed", allowed("docs/a.md:private-address:1", "2026-11-26"))
		}, "docs/a.md:1: private-address", false},
		"allowed, and nothing is there": {func(w *world) {
			w.write("docs/a.md", "Nothing.\n")
			w.write(".gitallowed", allowed("docs/a.md:private-address:1", "2027-01-31"))
		}, ".gitallowed:4: the entry for docs/a.md:private-address:1 in docs/a.md fits nothing that would be published", false},
		"rule of the repository": {func(w *world) {
			w.write(".gitleaks.toml", "[[rules]]\nid = \"house\"\nregex = \"house-[0-9]{6}\"\nkeywords = [\"house-\"]\n")
			w.write("docs/a.md", "The code is house-481516.\n")
		}, "docs/a.md:1: house", false},
		"broken .gitleaks.toml": {func(w *world) { w.write(".gitleaks.toml", "[[rules]\n") }, "the rules in .gitleaks.toml cannot be read", false},
		"nothing to publish":    {func(w *world) { w.config("  publish: ['nothing/**']\n") }, "no file would be published", false},
		"no identity": {func(w *world) {
			w.write("lumacore.yaml", "apiVersion: lumacore.dev/v1alpha1\nkind: Config\nmirror:\n  docs: none\n")
		}, "publicIdentity in lumacore.yaml says nothing", false},
		"other signer": {func(w *world) {
			_, other := w.newKey("other")
			w.write("lumacore.yaml", head+"mirror:\n  docs: none\n  signers: [\""+other+"\"]\n")
		}, "not among mirror.signers", true},
		"value of settings": {func(w *world) {
			w.write("clusters/lumacore/settings.env", "ONEPASSWORD_VAULT=quillvault-9\n")
			w.write("docs/a.md", "the vault is quillvault-9 here\n")
		}, "docs/a.md:1: owners-value", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			if test.alarm || name == "token" {
				w.pushed()
			}
			test.do(w)
			w.commit("feat: more")
			if r := w.blocked(test.reason); r.Alarm != test.alarm {
				t.Errorf("alarm: %v", r.Alarm)
			}
		})
	}
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// config adds to the section mirror.
func (w *world) config(more string) {
	w.Helper()
	w.write("lumacore.yaml", head+"mirror:\n  signers: [\""+w.public+"\"]\n  docs: none\n"+more)
}

func allowed(fingerprint, expires string) string {
	return "apiVersion: lumacore.dev/v1alpha1\nkind: AllowedSecrets\nallow:\n  - fingerprint: " + fingerprint + "\n    path: docs/a.md\n    reason: it is an example\n    ticket: HOME-1\n    owner: owner\n    expires: " + expires + "\n"
}

func letters(n int) string {
	const alphabet = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	b := make([]byte, n)
	for i := range b {
		b[i] = alphabet[rand.IntN(len(alphabet))]
	}
	return string(b)
}

// TestPublished: what is let through, and replaced.
func TestPublished(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.config("  executables: ['apps/*.sh']\n  replace:\n    - {text: nas.attic.lan, by: nas.example.com}\n    - {file: docs/a.md, with: docs/public/a.md}\n  withhold: [docs/public, '*.DRAFT.md']\n")
	w.write("apps/run.sh", "#!/bin/sh\n")
	w.must(os.Chmod(filepath.Join(w.dir, "apps/run.sh"), 0o755))
	w.write("docs/a.md", "private: 192.168.178.20\n")
	w.write("docs/public/a.md", "public\n")
	w.write("docs/b.md", "ask nas.attic.lan\n")
	w.write("docs/c.draft.md", "not yet\n")
	w.write("clusters/lumacore/settings.env", "# comment\nDOMAIN=quillfeather.house\nOWN=something\nTIMEZONE=\n")
	w.write("apps/state.TFSTATE", "{}\n")
	w.write("docs/e.md", "See 192.168.178.21.\n")
	w.write(".gitallowed", strings.ReplaceAll(allowed("docs/e.md:private-address:1", "2026-11-27"), "docs/a.md", "docs/e.md"))
	w.commit("feat: all")
	r := w.pushed()
	if r.Allowed != 1 {
		t.Errorf("%d allowed, want 1", r.Allowed)
	}
	want := "100644 .gitallowed\n100644 README.md\n100755 apps/run.sh\n100644 apps/web/deployment.yaml\n100644 clusters/lumacore/settings.env\n100644 docs/a.md\n100644 docs/b.md\n100644 docs/e.md"
	if got := w.onMirror("ls-tree", "-r", "--format=%(objectmode) %(path)", "main"); got != want {
		t.Errorf("the mirror has:\n%s", got)
	}
	for file, want := range map[string]string{
		"docs/a.md": "public", "docs/b.md": "ask nas.example.com",
		"clusters/lumacore/settings.env": "# comment\nDOMAIN=lab.example.com\nOWN=\n",
	} {
		if got := w.onMirror("show", "main:"+file); !strings.HasPrefix(got, strings.TrimSpace(want)) {
			t.Errorf("%s is published as %q, want %q", file, got, want)
		}
	}
	if v := w.verify(); v.Result != mirror.Clean || v.Recomputed != 1 {
		t.Errorf("verify: %+v", v)
	}
}

// TestNotOurs: whatever lumacore has not made is an alarm, and stops the next sync.
func TestNotOurs(t *testing.T) {
	t.Parallel()
	foreign := func(w *world, message, who string, sign bool) {
		dir := w.TempDir()
		w.run(dir, "git", "clone", "--quiet", filepath.Join(w.server, "public.git"), "clone")
		dir = filepath.Join(dir, "clone")
		w.put(filepath.Join(dir, "README.md"), "# Hacked\n")
		w.run(dir, "git", "config", "user.name", who)
		w.run(dir, "git", "config", "user.email", who+"@users.noreply.github.com")
		args := []string{"-c", "commit.gpgSign=false", "commit", "--quiet", "--all", "--message", message, "--author", who + " <" + who + "@users.noreply.github.com>"}
		if sign {
			key, _ := w.newKey("foreign")
			args = append([]string{"-c", "gpg.format=ssh", "-c", "user.signingKey=" + key}, append(args[2:], "-S")...)
		}
		w.run(dir, "env", append([]string{"GIT_COMMITTER_NAME=" + who, "GIT_COMMITTER_EMAIL=" + who + "@users.noreply.github.com", "git"}, args...)...)
		w.run(dir, "git", "push", "--quiet", "origin", "main")
	}
	ours := func(w *world) string {
		return fmt.Sprintf("Sync with the source\n\n0 added, 1 changed, 0 removed\n\nSource-Revision: %s\nMirror-Rules: sha256:%s\n", w.git("rev-parse", "HEAD"), strings.Repeat("0", 64))
	}
	for name, test := range map[string]struct {
		do           func(w *world)
		sync, verify string
	}{
		"somebody's commit":     {func(w *world) { foreign(w, "fix: it", "someone", false) }, "was not made by lumacore", "its message is none of lumacore's"},
		"unsigned, like ours":   {func(w *world) { foreign(w, ours(w), "octocat", false) }, "it is not signed", "it is not signed"},
		"signed by another key": {func(w *world) { foreign(w, ours(w), "octocat", true) }, "no key of mirror.signers", "no key of mirror.signers"},
		"another branch":        {func(w *world) { w.onMirror("branch", "side", "main") }, "", "refs/heads/side"},
		"a tag":                 {func(w *world) { w.onMirror("tag", "v1", "main") }, "", "refs/tags/v1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.pushed()
			w.write("apps/web/more.yaml", "a: 1\n")
			w.commit("feat: more")
			test.do(w)
			if test.sync != "" {
				if r := w.blocked(test.sync); !r.Alarm {
					t.Error("no alarm")
				}
			}
			v := w.verify()
			if v.Result != mirror.Dirty || !v.Alarm || !strings.Contains(fmt.Sprint(v.Foreign), test.verify) {
				t.Errorf("verify: %+v", v)
			}
		})
	}
}

// TestDiffersFromSource: a commit that is signed and well formed, and has another tree than
// its source gives.
func TestDiffersFromSource(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.pushed()
	object := w.onMirror("cat-file", "commit", "main")
	_, body, _ := strings.Cut(object, "\n\nSync")
	w.put(filepath.Join(w.dir, "README.md"), "# Another\n")
	blob := w.run(filepath.Join(w.server, "public.git"), "git", "hash-object", "-w", filepath.Join(w.dir, "README.md"))
	dir := filepath.Join(w.server, "public.git")
	w.run(dir, "git", "read-tree", "main")
	w.run(dir, "git", "update-index", "--cacheinfo", "100644,"+blob+",README.md")
	tree := w.run(dir, "git", "write-tree")
	made := w.run(dir, "env", "GIT_AUTHOR_NAME=octocat", "GIT_AUTHOR_EMAIL=octocat@users.noreply.github.com", "GIT_COMMITTER_NAME=octocat", "GIT_COMMITTER_EMAIL=octocat@users.noreply.github.com",
		"git", "-c", "gpg.format=ssh", "-c", "user.signingKey="+w.key, "commit-tree", "-S", "-p", r.After, "-m", "Sync"+strings.TrimSuffix(body, "\n"), tree)
	w.run(dir, "git", "update-ref", "refs/heads/main", made)
	v := w.verify()
	if v.Result != mirror.Dirty || !strings.Contains(fmt.Sprint(v.Differs), "README.md is another") {
		t.Errorf("verify: %+v", v)
	}
}

// TestLeakInHistory: what was public once is found later, with since when and until when;
// a new history takes it away, if somebody says so.
func TestLeakInHistory(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.write("docs/a.md", "the box is called vaultkeeper\n")
	w.commit("docs: a")
	leaky := w.pushed()
	w.write("docs/a.md", "the box has no name\n")
	w.commit("docs: no name")
	w.pushed()
	if v := w.verify(); v.Result != mirror.Clean {
		t.Fatalf("nothing is known to be private yet: %+v", v)
	}
	w.config("  private: {words: [vaultkeeper]}\n")
	w.commit("chore: vaultkeeper is private")
	v := w.verify()
	if v.Result != mirror.Dirty || len(v.Exposures) != 1 {
		t.Fatalf("verify: %+v", v)
	}
	if e := v.Exposures[0]; e.Place != "docs/a.md" || e.Since == "" || e.Until == "" || !slices.Equal(e.Commit, []string{leaky.After}) {
		t.Errorf("exposure: %+v", e)
	}
	before := w.onMirror("rev-parse", "main")
	r, err := mirror.Rewrite(t.Context(), w.source(), w.to, w.options())
	if err != nil || r.Result != mirror.Pushed {
		t.Fatalf("rewrite: %+v %v", r, err)
	}
	if got := w.onMirror("rev-list", "--count", "main"); got != "1" || w.onMirror("rev-parse", "main") == before {
		t.Errorf("%s commits, want 1", got)
	}
	if v := w.verify(); v.Result != mirror.Clean || v.Commits != 1 {
		t.Errorf("verify after the rewrite: %+v", v)
	}
	w.write("apps/web/more.yaml", "a: 1\n")
	w.commit("feat: more")
	w.pushed()
}

// TestServerRefuses: what a server answers becomes a sentence and a next step.
func TestServerRefuses(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		do   func(w *world)
		want string
	}{
		"revoked token": {func(w *world) { w.put(w.to.Access.TokenFile, "another-token\n") }, "refuses the credential"},
		"no token":      {func(w *world) { w.to.Access.TokenFile = "" }, "refuses the credential"},
		"protected branch": {func(w *world) {
			w.put(filepath.Join(w.server, "public.git/hooks/pre-receive"), "#!/bin/sh\necho 'GH006: Protected branch update failed' >&2\nexit 1\n")
			w.must(os.Chmod(filepath.Join(w.server, "public.git/hooks/pre-receive"), 0o755))
		}, "does not let this credential push to the branch: GH006"},
		"workflows": {func(w *world) {
			w.put(filepath.Join(w.server, "public.git/hooks/pre-receive"), "#!/bin/sh\necho 'refusing to allow a Personal Access Token to create or update workflow `.github/workflows/docs.yaml` without `workflow` scope' >&2\nexit 1\n")
			w.must(os.Chmod(filepath.Join(w.server, "public.git/hooks/pre-receive"), 0o755))
		}, "the credential may not change workflows"},
		"no such repository": {func(w *world) { w.to.URL = strings.Replace(w.to.URL, "public", "missing", 1) }, "there is no repository at"},
		"nobody listens":     {func(w *world) { w.to.URL = "http://127.0.0.1:1/public.git" }, "cannot be reached"},
		"somebody was faster": {func(w *world) {
			w.put(filepath.Join(w.server, "public.git/hooks/pre-receive"), "#!/bin/sh\nunset GIT_QUARANTINE_PATH\ngit update-ref refs/heads/main $(git commit-tree -m x $(git hash-object -t tree -w /dev/null)) && exit 0\n")
			w.must(os.Chmod(filepath.Join(w.server, "public.git/hooks/pre-receive"), 0o755))
			w.onMirror("config", "user.name", "x")
			w.onMirror("config", "user.email", "x@example.com")
		}, "somebody else has pushed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			test.do(w)
			_, err := mirror.Sync(t.Context(), w.source(), w.to, w.options())
			var trouble *mirror.Trouble
			if !errors.As(err, &trouble) || !strings.Contains(trouble.What, test.want) || trouble.Next == "" {
				t.Errorf("%v, want %q", err, test.want)
			}
			if err != nil && strings.Contains(err.Error(), password) {
				t.Errorf("the error has the token: %v", err)
			}
		})
	}
}

// TestGoesBack: an older revision, or one of another history, does not follow.
func TestGoesBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.write("apps/web/more.yaml", "a: 1\n")
	w.commit("feat: more")
	w.pushed()
	w.git("checkout", "--quiet", "-b", "side", "HEAD~1")
	w.write("apps/web/side.yaml", "a: 1\n")
	w.commit("feat: side")
	w.blocked("does not follow it: the mirror would go back")
}

// TestHalfAClone: what a killed run left of its clone does not stop the next one.
func TestHalfAClone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.pushed()
	heads, err := filepath.Glob(filepath.Join(w.to.Folder, "*", "HEAD"))
	if err != nil || len(heads) != 1 {
		t.Fatalf("clones: %v %v", heads, err)
	}
	w.put(heads[0], "")
	w.must(os.RemoveAll(filepath.Join(filepath.Dir(heads[0]), "objects")))
	w.write("apps/web/more.yaml", "a: 1\n")
	w.commit("feat: more")
	w.pushed()
}

// TestKilled: kill -9 at any moment of a sync leaves the mirror at a complete commit, and the
// next one goes on.
func TestKilled(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.pushed()
	started := time.Now()
	w.syncInProcess(t.Context())
	whole := time.Since(started)
	const times = 12
	for i := range times {
		w.write("apps/web/more.yaml", fmt.Sprintf("a: %d\n", i))
		w.commit("feat: more")
		ctx, cancel := context.WithTimeout(t.Context(), whole*time.Duration(i+1)/times)
		w.syncInProcess(ctx)
		cancel()
		w.onMirror("fsck", "--strict")
	}
	w.sync()
	if got := w.onMirror("show", "main:apps/web/more.yaml"); got != fmt.Sprintf("a: %d", times-1) {
		t.Errorf("the mirror has %q", got)
	}
	if v := w.verify(); v.Result != mirror.Clean {
		t.Errorf("verify: %+v", v)
	}
}

// syncInProcess syncs in a process of its own with all that it starts, and kills all of it
// when ctx ends.
func (w *world) syncInProcess(ctx context.Context) {
	w.Helper()
	to, err := json.Marshal(w.to)
	w.must(err)
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestSyncProcess$")
	cmd.Env = append(os.Environ(), "MIRROR_SOURCE="+w.dir, "MIRROR_TARGET="+string(to), "MIRROR_KEY="+w.key, "MIRROR_CACHE="+w.kept)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	if out, err := cmd.CombinedOutput(); err != nil && ctx.Err() == nil {
		w.Fatalf("%v\n%s", err, out)
	}
}

// TestSyncProcess is what syncInProcess runs.
func TestSyncProcess(t *testing.T) {
	t.Parallel()
	dir := os.Getenv("MIRROR_SOURCE")
	if dir == "" {
		return
	}
	var to mirror.Target
	if err := json.Unmarshal([]byte(os.Getenv("MIRROR_TARGET")), &to); err != nil {
		t.Fatal(err)
	}
	w := &world{T: t, dir: dir, kept: os.Getenv("MIRROR_CACHE"), key: os.Getenv("MIRROR_KEY"), to: to}
	if r := w.sync(); r.Result == mirror.Blocked {
		t.Fatalf("%v %v", r.Findings, r.Problems)
	}
}

// TestTree: the candidate can be had as files; never those of one that is blocked, and never
// among others.
func TestTree(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.config("  executables: ['apps/*.sh']\n  replace: [{text: nas.attic.lan, by: nas.example.com}]\n")
	w.write("apps/run.sh", "#!/bin/sh\necho nas.attic.lan\n")
	w.must(os.Chmod(filepath.Join(w.dir, "apps/run.sh"), 0o755))
	w.commit("feat: run")
	tree := filepath.Join(t.TempDir(), "candidate")
	to := w.to
	to.URL, to.Offline = "http://127.0.0.1:1/nobody-answers.git", true
	r, err := mirror.Plan(t.Context(), w.source(), to, tree)
	if err != nil || r.Result != mirror.Planned || !slices.Contains(r.NotChecked, "what is on the mirror: --offline") {
		t.Fatalf("%+v %v", r, err)
	}
	got := w.run(tree, "sh", "-c", "find . -type f -printf '%m %P\n' | sort; cat apps/run.sh")
	if want := "644 README.md\n644 apps/web/deployment.yaml\n755 apps/run.sh\n#!/bin/sh\necho nas.example.com"; got != want {
		t.Errorf("the candidate:\n%s\nwant:\n%s", got, want)
	}
	if _, err := mirror.Plan(t.Context(), w.source(), to, tree); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a folder that is there: %v", err)
	}
	w.write("docs/leak.md", "See 192.168.178.20.\n")
	w.commit("docs: leak")
	other := filepath.Join(filepath.Dir(tree), "other")
	if r, err := mirror.Plan(t.Context(), w.source(), to, other); err != nil || r.Result != mirror.Blocked {
		t.Errorf("a leak: %+v %v", r, err)
	}
	if left, err := os.ReadDir(filepath.Dir(tree)); err != nil || len(left) != 1 {
		t.Errorf("left: %v %v", left, err)
	}
}

// TestForeignHistory: a history that somebody else has made, with merges and files that come
// and go, is searched whole, and every leak has its commits.
func TestForeignHistory(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.pushed()
	dir := filepath.Join(t.TempDir(), "clone")
	w.run(w.dir, "git", "clone", "--quiet", filepath.Join(w.server, "public.git"), dir)
	commit := func(name, content string) string {
		if content == "" {
			w.run(dir, "git", "rm", "--quiet", name)
		} else {
			w.put(filepath.Join(dir, name), content)
		}
		w.run(dir, "git", "add", "--all")
		w.run(dir, "git", "commit", "--quiet", "--message", "more")
		return w.run(dir, "git", "rev-parse", "HEAD")
	}
	w.run(dir, "git", "checkout", "--quiet", "-b", "side")
	first := commit("side.md", "192.168.178.21\n")
	second := commit("other.md", "x\n")
	gone := commit("side.md", "")
	w.run(dir, "git", "checkout", "--quiet", "main")
	third := commit("main.md", "192.168.178.22\n")
	w.run(dir, "git", "merge", "--quiet", "--no-ff", "--no-edit", "side")
	merge := w.run(dir, "git", "rev-parse", "HEAD")
	w.run(dir, "git", "push", "--quiet", "origin", "main")
	v := w.verify()
	want := map[string][]string{"side.md": {first, second}, "main.md": {third, merge}}
	for place, commits := range want {
		i := slices.IndexFunc(v.Exposures, func(e mirror.Exposure) bool { return e.Finding.Place == place })
		if i < 0 {
			t.Errorf("%s is not found", place)
			continue
		}
		got := slices.Clone(v.Exposures[i].Commit)
		slices.Sort(got)
		slices.Sort(commits)
		if !slices.Equal(got, commits) {
			t.Errorf("%s: commits %v, want %v (not %s)", place, got, commits, gone)
		}
	}
	if !strings.Contains(fmt.Sprint(v.Foreign), merge) {
		t.Errorf("the merge is taken for one of ours: %+v", v.Foreign)
	}
}

// TestBlueprint: the blueprint can be published as it is: nothing in it looks like a leak.
func TestBlueprint(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	own, err := blueprint.Files.ReadFile("lumacore.yaml")
	if err != nil {
		t.Fatal(err)
	}
	w.must(os.RemoveAll(filepath.Join(w.dir, "README.md")))
	w.must(os.CopyFS(w.dir, noConfig{blueprint.Files}))
	_, identity, _ := strings.Cut(head, "kind: Config\n")
	text := strings.Replace(string(own), "  signers: []\n", "  signers: [\""+w.public+"\"]\n  docs: none\n", 1)
	w.write("lumacore.yaml", text+identity)
	w.commit("feat: the blueprint")
	r := w.pushed()
	if r.Files < 300 || r.Withheld < 20 {
		t.Errorf("%d files published, %d withheld", r.Files, r.Withheld)
	}
	for _, d := range r.Decisions {
		if d.Verdict == mirror.Published && (strings.HasPrefix(d.Path, "hosts/") || strings.HasPrefix(d.Path, ".gitlab")) {
			t.Errorf("%s is published", d.Path)
		}
	}
}

// noConfig is a tree without lumacore.yaml.
type noConfig struct{ fs.FS }

func (n noConfig) ReadDir(name string) ([]fs.DirEntry, error) {
	list, err := fs.ReadDir(n.FS, name)
	return slices.DeleteFunc(list, func(d fs.DirEntry) bool { return name == "." && d.Name() == "lumacore.yaml" }), err
}
