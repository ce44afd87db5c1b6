package docs

import (
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"lumacore.dev/lumacore/blueprint"
	"lumacore.dev/lumacore/internal/config"
	sim "lumacore.dev/lumacore/internal/sim/gitlab"
)

// TestGitLabPage follows gitlab-governance.md in a repository made from the blueprint,
// with a simulated GitLab of the free tier; where the page asks for drift, somebody has
// changed a setting before.
func TestGitLabPage(t *testing.T) {
	dir := t.TempDir()
	if err := os.CopyFS(dir, blueprint.Files); err != nil {
		t.Fatal(err)
	}
	gitlab := sim.New(sim.Free, map[string]sim.Token{"owner": {Scopes: []string{"api"}, Role: sim.Maintainer}}, "homelab/infra")
	gitlab.Runner("homelab/infra", "homelab-ci")
	gitlab.Runner("homelab/infra", "homelab-protected")
	srv := httptest.NewServer(gitlab.Handler())
	defer srv.Close()
	r := newReader(t, "gitlab-governance.md", dir)
	r.env = append(r.env, "LUMACORE_URL="+srv.URL, "LUMACORE_GITLAB_TOKEN=owner")
	ran := 0
	for _, b := range readPage(t, r.page).blocks {
		switch b.language {
		case "console":
			if strings.Contains(b.code, "--exit-code") {
				gitlab.Set("homelab/infra", "only_allow_merge_if_pipeline_succeeds", false)
			}
			r.console(t, b)
			ran++
		case "sh", "bash", "shell", "zsh":
			t.Errorf("%s:%d: use a console block, so that the tests run it", r.page, b.line)
		case "yaml":
			r.file(t, b)
		}
	}
	if ran < 5 {
		t.Fatalf("%s has %d blocks with commands: the page or the test is wrong", r.page, ran)
	}
}

// TestGitLabPageSettings holds the page's table of keys against the reader's.
func TestGitLabPageSettings(t *testing.T) {
	src, err := os.ReadFile("gitlab-governance.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range config.GitLabSettings {
		if !strings.Contains(string(src), "`"+s.Key+"`") {
			t.Errorf("gitlab-governance.md does not explain %s", s.Key)
		}
	}
}
