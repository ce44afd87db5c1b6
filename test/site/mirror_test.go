//go:build e2e

package site

import (
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lumacore.dev/lumacore/internal/lab/gitserver"
	"lumacore.dev/lumacore/internal/mirror"
)

// TestMirrorSync: a sync builds the documentation of what would be published, and nothing else; a
// page that shows a file which stays private stops it.
func TestMirrorSync(t *testing.T) {
	dir := repository(t)
	git := func(args ...string) {
		t.Helper()
		if _, err := run(t, dir, "", "git", append([]string{"-c", "user.name=owner", "-c", "user.email=owner@example.org"}, args...)...); err != nil {
			t.Fatal(err)
		}
	}
	key := filepath.Join(t.TempDir(), "mirror")
	if out, err := exec.CommandContext(t.Context(), "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "mirror", "-f", key).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	public, err := os.ReadFile(key + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	edit := func(name, old, with string) {
		t.Helper()
		path := filepath.Join(dir, name)
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(data), old) {
			t.Fatalf("%s has no %q", name, old)
		}
		if err := os.WriteFile(path, []byte(strings.Replace(string(data), old, with, 1)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	edit("lumacore.yaml", "kind: Config\n", "kind: Config\npublicIdentity: {name: octocat, email: octocat@users.noreply.github.com}\n")
	edit("lumacore.yaml", "  signers: []\n", "  signers: [\""+strings.TrimSpace(string(public))+"\"]\n")
	git("init", "--quiet", "--initial-branch=main")
	git("add", "--all")
	git("commit", "--quiet", "--message=feat: begin")

	served := t.TempDir()
	handler, err := gitserver.Handler(served, "oauth2", "simulated", func() {})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	if _, err := run(t, served, "", "git", "init", "--quiet", "--bare", "--initial-branch=main", "public.git"); err != nil {
		t.Fatal(err)
	}
	if _, err := run(t, filepath.Join(served, "public.git"), "", "git", "config", "http.receivepack", "true"); err != nil {
		t.Fatal(err)
	}
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("simulated\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	sync := func() *mirror.Report {
		t.Helper()
		r, err := mirror.Sync(t.Context(), mirror.Source{Dir: dir, Revision: "HEAD", Now: time.Now()},
			mirror.Target{URL: server.URL + "/public.git", Branch: "main", Folder: filepath.Join(served, "clones"), Access: mirror.Access{TokenFile: token}},
			mirror.Options{SigningKey: key, Progress: t.Logf})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	if r := sync(); r.Result != mirror.Pushed || !r.DocsBuilt {
		t.Fatalf("%s, documentation built: %v, %v %v", r.Result, r.DocsBuilt, r.Findings, r.Problems)
	}

	edit("docs/index.md", "\n## ", "\n--8<-- \"hosts/gitlab/projects.yaml\"\n\n## ")
	git("commit", "--quiet", "--all", "--message=docs: show the projects")
	r := sync()
	if got := strings.Join(r.Problems, "; "); r.Result != mirror.Blocked || !strings.Contains(got, "the documentation does not build: ") || !strings.Contains(got, "hosts/gitlab/projects.yaml") {
		t.Errorf("%s: %s", r.Result, got)
	}
}
