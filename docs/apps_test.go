package docs

import (
	"os"
	"path/filepath"
	"testing"

	"lumacore.dev/lumacore/blueprint"
)

// TestAppsPage follows apps.md in a repository that was made from the blueprint.
func TestAppsPage(t *testing.T) {
	r := newReader(t, "apps.md", filepath.Join(t.TempDir(), "homelab"))
	if err := os.CopyFS(r.dir, blueprint.Files); err != nil {
		t.Fatal(err)
	}
	if out, status := r.run(t, "git init --quiet && git add -A && git commit --quiet -m 'chore: homelab'"); status != 0 {
		t.Fatal(out)
	}
	r.follow(t, 6)
}
