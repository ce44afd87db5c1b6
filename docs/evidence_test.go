package docs

import "testing"

// TestEvidencePage follows evidence.md.
func TestEvidencePage(t *testing.T) {
	newReader(t, "evidence.md", t.TempDir()).follow(t, 1)
}
