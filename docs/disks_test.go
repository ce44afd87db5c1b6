package docs

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// TestFromEmptyDisksPage makes the repository of from-empty-disks.md and runs what needs no
// machines; then, in that repository, the commands of the site's pages.
func TestFromEmptyDisksPage(t *testing.T) {
	dir := t.TempDir()
	newReader(t, "from-empty-disks.md", dir).follow(t, 10)

	site := filepath.Join(root, "blueprint", "docs")
	ran := 0
	err := filepath.WalkDir(site, func(path string, d fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".md" {
			return err
		}
		ran += pageOfSite(t, path, filepath.Join(dir, "homelab"))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if ran < 4 {
		t.Errorf("%d blocks of the site's pages were run: the test is wrong, or all are marked", ran)
	}
}

// pageOfSite runs the commands of a page in an owner's repository, and
// returns how many blocks were run.
func pageOfSite(t *testing.T, path, homelab string) int {
	t.Helper()
	ran := 0
	for _, b := range readPage(t, path).blocks {
		switch b.language {
		case "console":
			r := newReader(t, path, homelab)
			r.console(t, b)
			if !notRun.MatchString(b.above) {
				ran++
			}
		case "sh", "bash", "shell", "zsh":
			t.Errorf("%s:%d: use a console block, so that the tests run it", path, b.line)
		case "yaml":
			r := newReader(t, path, t.TempDir())
			r.file(t, b)
		}
	}
	return ran
}

// snippet is how a page of the site has a file of the repository in it.
var snippet = regexp.MustCompile(`(?m)^--8<-- "([^"]+)"$`)

// TestSnippets: what a page embeds is in every copy of the repository, also in the public
// mirror, which has these folders alone.
func TestSnippets(t *testing.T) {
	mirrored := regexp.MustCompile(`^(apps|clusters|docs|infrastructure|overlays|policies)/`)
	found := 0
	for _, f := range markdown(t) {
		src, err := os.ReadFile(filepath.Join(root, f))
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range snippet.FindAllSubmatch(src, -1) {
			found++
			name := string(m[1])
			if !mirrored.MatchString(name) {
				t.Errorf("%s: %s is in no folder of the mirror, so the site could not be built there", f, name)
			}
			if _, err := os.Stat(filepath.Join(root, "blueprint", filepath.FromSlash(name))); err != nil {
				t.Errorf("%s: %v", f, err)
			}
		}
	}
	if found == 0 {
		t.Error("no page embeds a file: the test is wrong")
	}
}
