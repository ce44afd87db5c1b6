package docs

import "testing"

// TestInitPage follows init.md: it writes the file that the page shows and runs the
// commands.
func TestInitPage(t *testing.T) {
	newReader(t, "init.md", t.TempDir()).follow(t, 8)
}
