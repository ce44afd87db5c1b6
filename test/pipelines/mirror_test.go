//go:build e2e

package pipelines

import (
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"lumacore.dev/lumacore/internal/lab/gitserver"
)

// TestMirror: what is on main is published, with the secrets as the runner mounts them; a leak
// is not; whoever else pushes is found; and all of it is on record.
func TestMirror(t *testing.T) {
	t.Parallel()
	served, secrets := t.TempDir(), t.TempDir()
	const token = "simulated-token-of-the-mirror"
	handler, err := gitserver.Handler(served, "oauth2", token, func() {})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	run := func(dir, program string, arguments ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), program, arguments...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s %v: %v\n%s", program, arguments, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	public := filepath.Join(served, "public.git")
	run(served, "git", "init", "--quiet", "--bare", "--initial-branch=main", public)
	run(public, "git", "config", "http.receivepack", "true")
	run(secrets, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "mirror", "-f", "key")
	key, err := os.ReadFile(filepath.Join(secrets, "key.pub"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(secrets, "token"), []byte(token), 0o600); err != nil {
		t.Fatal(err)
	}
	// The runner mounts the private half alone, and for everybody in the pod.
	run(secrets, "rm", "key.pub")
	run(secrets, "chmod", "644", "key", "token")

	r := ready(t, "mirror-to-github")
	r.vars["MIRROR"], r.vars["MIRROR_TOKEN_DIR"], r.vars["MIRROR_KEY_DIR"] = "on", secrets, secrets
	evidence := filepath.Join(filepath.Dir(r.dir), "evidence")
	r.vars["MIRROR_EVIDENCE"] = evidence
	r.edit("lumacore.yaml", "kind: Config\n", "kind: Config\npublicIdentity: {name: octocat, email: octocat@users.noreply.github.com}\n")
	r.edit("lumacore.yaml", "  # url: https://github.com/OWNER/homelab.git\n", "  url: "+server.URL+"/public.git\n")
	r.edit("lumacore.yaml", "  signers: []\n", "  signers: [\""+strings.TrimSpace(string(key))+"\"]\n")
	r.commit("feat: a mirror")
	main := []string{"CI_PIPELINE_SOURCE=push", "CI_COMMIT_BRANCH=main"}
	schedule := []string{"CI_PIPELINE_SOURCE=schedule", "CI_COMMIT_BRANCH=main"}
	job := func(variables []string, name string) (string, bool) {
		t.Helper()
		output, ok := r.local(variables, name, "--force-shell-executor", "--shell-isolation", "--json-schema-validation=false")
		if strings.Contains(output, token) {
			t.Errorf("the log of %s has the token", name)
		}
		return output, ok
	}
	status := func() string {
		t.Helper()
		return run(r.dir, "lumacore", "status", "--evidence", evidence)
	}

	if output, ok := job(main, "mirror-to-github"); !ok || !strings.Contains(output, "pushed: ") || !strings.Contains(output, "the documentation: --without-docs") {
		t.Fatalf("%s", output)
	}
	if got := run(public, "git", "log", "--format=%an %s", "main"); got != "octocat Sync with the source" {
		t.Errorf("the mirror has %s", got)
	}
	if output, ok := job(schedule, "mirror-verify"); !ok || !strings.Contains(output, "clean: ") {
		t.Errorf("%s", output)
	}
	for _, want := range []string{"mirror  sync ", "mirror  verify "} {
		if got := status(); !strings.Contains(got, want) || strings.Contains(got, "failed") {
			t.Errorf("status lacks %q:\n%s", want, got)
		}
	}
	receipt, err := os.ReadFile(filepath.Join(filepath.Dir(r.dir), "state/artifacts/mirror-to-github/receipt.json"))
	if err != nil || !strings.Contains(string(receipt), `"result": "pushed"`) {
		t.Errorf("the receipt: %v\n%s", err, receipt)
	}

	r.write("apps/notes.yaml", "---\nnas: 192.168.178.20\n")
	r.commit("docs: notes")
	if output, ok := job(main, "mirror-to-github"); ok || !strings.Contains(output, "blocked: nothing was published") {
		t.Errorf("%s", output)
	}
	if got := run(public, "git", "rev-list", "--count", "main"); got != "1" {
		t.Errorf("the mirror has %s commits", got)
	}
	if got := status(); !strings.Contains(got, "mirror sync failed at ") || !strings.Contains(got, "blocked: apps/notes.yaml:2: private-address") {
		t.Errorf("status:\n%s", got)
	}

	// Somebody who has the token, and not the key.
	clone := filepath.Join(t.TempDir(), "clone")
	run(served, "git", "clone", "--quiet", public, clone)
	run(clone, "git", "-c", "user.name=stranger", "-c", "user.email=s@example.org", "commit", "--quiet", "--allow-empty", "--message=fix: it")
	run(clone, "git", "push", "--quiet", "origin", "main")
	if output, ok := job(schedule, "mirror-verify"); ok || !strings.Contains(output, "Not made by lumacore") {
		t.Errorf("%s", output)
	}
	if got := status(); !strings.Contains(got, "mirror verify failed at ") {
		t.Errorf("status:\n%s", got)
	}
}
