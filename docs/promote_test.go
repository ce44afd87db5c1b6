package docs

import (
	"os"
	"path/filepath"
	"testing"

	"lumacore.dev/lumacore/blueprint"
)

// TestPromotePage follows promote.md, in a repository of the blueprint.
func TestPromotePage(t *testing.T) {
	r := newReader(t, "promote.md", filepath.Join(t.TempDir(), "homelab"))
	r.env = append(r.env, "KUBECONFIG=")
	if err := os.CopyFS(r.dir, blueprint.Files); err != nil {
		t.Fatal(err)
	}
	if out, status := r.run(t, "git init --quiet --initial-branch=main && git add --all && git commit --quiet --message 'feat: begin'"); status != 0 {
		t.Fatal(out)
	}
	r.follow(t, 2)
}
