package docs

import (
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lumacore.dev/lumacore/internal/disclosure"
	"lumacore.dev/lumacore/internal/lab/gitserver"
)

// TestMirrorPage follows mirror.md, with a Git server of its own.
func TestMirrorPage(t *testing.T) {
	if _, err := exec.LookPath("ssh-keygen"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("ssh-keygen is not there, which signs the mirror's commits")
		}
		t.Skip("not run: ssh-keygen is not there, which signs the mirror's commits")
	}
	root := t.TempDir()
	r := newReader(t, "mirror.md", filepath.Join(root, "homelab"))
	if err := os.Mkdir(r.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	const token = "simulated-token"
	if err := os.WriteFile(filepath.Join(root, "token"), []byte(token), 0o600); err != nil {
		t.Fatal(err)
	}
	h, err := gitserver.Handler(filepath.Join(root, "server"), "oauth2", token, func() {})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(h)
	defer server.Close()
	r.env = append(r.env, "MIRROR="+server.URL+"/public.git")
	if out, status := r.run(t, "git init --quiet --bare --initial-branch=main ../server/public.git && git -C ../server/public.git config http.receivepack true"); status != 0 {
		t.Fatal(out)
	}
	r.follow(t, 5)
	receipt, err := os.ReadFile(filepath.Join(root, "receipt.json"))
	if err != nil || !strings.Contains(string(receipt), `"result": "pushed"`) {
		t.Errorf("the receipt: %v\n%s", err, receipt)
	}
	if out, _ := r.run(t, "git -C ../server/public.git ls-tree -r --name-only main"); out != "apps/web/deployment.yaml\ndocs/backups.md\n" {
		t.Errorf("the mirror has:\n%s", out)
	}
}

// TestMirrorPageRules holds the page's table of rules against the rules.
func TestMirrorPageRules(t *testing.T) {
	src, err := os.ReadFile("mirror.md")
	if err != nil {
		t.Fatal(err)
	}
	const head = "| *Gitleaks'* | tokens, keys, passwords; the rules of Gitleaks, by their names |\n"
	want := head
	for _, rule := range disclosure.Own {
		want += "| `" + rule.ID + "` | " + rule.What + " |\n"
	}
	_, got, _ := strings.Cut(string(src), head)
	got, _, _ = strings.Cut(head+got, "\n\n")
	if d := cmp.Diff(want, got+"\n"); d != "" {
		t.Errorf("the table of rules in mirror.md (-want +got):\n%s", d)
	}
}
