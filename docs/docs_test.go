// Package docs has no code: its tests hold the documentation of the repository
// against the repository. This file checks that links lead somewhere; check_test.go
// and commands_test.go run the commands that the pages show.
package docs

import (
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/text"
)

// root is the repository, seen from this folder.
const root = ".."

// page is what a Markdown file offers and wants.
type page struct {
	anchors map[string]bool
	links   []string
	blocks  []block
}

// block is a fenced code block.
type block struct {
	language string
	line     int    // of its first line of code
	above    string // the last line above it that is not blank
	code     string
}

// notRun marks a command that cannot be run here, with the reason, behind the
// command itself or in an HTML comment before its block.
var notRun = regexp.MustCompile(`(?:#|<!--) not run by the tests: (.*?)(?: *-->)?$`)

// readPage parses a Markdown file.
func readPage(t *testing.T, path string) page {
	t.Helper()
	src, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	p := page{anchors: map[string]bool{}}
	seen := map[string]int{}
	lines := strings.Split(string(src), "\n")
	doc := goldmark.New(goldmark.WithExtensions(extension.GFM)).Parser().Parse(text.NewReader(src))
	err = ast.Walk(doc, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering {
			return ast.WalkContinue, nil
		}
		switch n := n.(type) {
		case *ast.Heading:
			slug := slugOf(plain(n, src))
			name := slug
			if seen[slug] > 0 {
				name += "-" + string(rune('0'+seen[slug])) // more than nine headings of one name would be another problem
			}
			seen[slug]++
			p.anchors[name] = true
		case *ast.Link:
			p.links = append(p.links, string(n.Destination))
		case *ast.Image:
			p.links = append(p.links, string(n.Destination))
		case *ast.FencedCodeBlock:
			b := block{language: string(n.Language(src))}
			for i := range n.Lines().Len() {
				seg := n.Lines().At(i)
				if i == 0 {
					b.line = 1 + strings.Count(string(src[:seg.Start]), "\n")
				}
				b.code += string(seg.Value(src))
			}
			for i := b.line - 3; i >= 0 && b.above == ""; i-- { // above the fence
				b.above = strings.TrimSpace(lines[i])
			}
			p.blocks = append(p.blocks, b)
		}
		return ast.WalkContinue, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// plain is the text of a node without its markup.
func plain(n ast.Node, src []byte) string {
	var b strings.Builder
	_ = ast.Walk(n, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		switch n := n.(type) {
		case *ast.Text:
			if entering {
				b.Write(n.Segment.Value(src))
			}
		case *ast.String:
			if entering {
				b.Write(n.Value)
			}
		}
		return ast.WalkContinue, nil
	})
	return b.String()
}

// slugOf is the anchor that GitHub and GitLab give a heading: lower case,
// punctuation gone, spaces turned into hyphens.
func slugOf(heading string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(heading) {
		switch {
		case r == ' ':
			b.WriteByte('-')
		case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
			b.WriteRune(r)
		}
	}
	return b.String()
}

// markdown returns every Markdown file of the repository, relative to its root.
func markdown(t *testing.T) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			switch name := d.Name(); {
			case path == root:
			case strings.HasPrefix(name, "."), name == "testdata":
				return filepath.SkipDir
			case filepath.Dir(path) == root && (name == "bin" || name == "build" || name == "dist"):
				return filepath.SkipDir
			}
			return nil
		}
		if filepath.Ext(path) == ".md" {
			rel, err := filepath.Rel(root, path)
			if err != nil {
				return err
			}
			files = append(files, rel)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 5 {
		t.Fatalf("found only %v: the walk is wrong", files)
	}
	return files
}

// TestLinks follows every relative link of every page to a file, and to a
// heading when it names one. Addresses outside are not asked: tests need no
// network.
func TestLinks(t *testing.T) {
	pages := map[string]page{}
	for _, f := range markdown(t) {
		pages[f] = readPage(t, filepath.Join(root, f))
	}
	checked := 0
	for f, p := range pages {
		for _, link := range p.links {
			u, err := url.Parse(link)
			switch {
			case err != nil:
				t.Errorf("%s: %q is not a link: %v", f, link, err)
				continue
			case u.Scheme == "https" || u.Scheme == "mailto":
				continue
			case u.Scheme != "":
				t.Errorf("%s: link %q: use https or a relative path", f, link)
				continue
			case strings.HasPrefix(u.Path, "/"):
				t.Errorf("%s: link %q starts at the root of some site: use a relative path", f, link)
				continue
			}
			checked++
			target := f
			if u.Path != "" {
				target = filepath.Join(filepath.Dir(f), filepath.FromSlash(u.Path))
				if !filepath.IsLocal(target) {
					t.Errorf("%s: link %q leaves the repository", f, link)
					continue
				}
				if _, err := os.Stat(filepath.Join(root, target)); err != nil {
					t.Errorf("%s: link %q: there is no %s", f, link, target)
					continue
				}
			}
			if u.Fragment == "" {
				continue
			}
			to, ok := pages[target]
			if !ok {
				t.Errorf("%s: link %q names a heading of something that is no Markdown page", f, link)
				continue
			}
			if !to.anchors[u.Fragment] {
				t.Errorf("%s: link %q: %s has no heading %q", f, link, target, u.Fragment)
			}
		}
	}
	if checked == 0 {
		t.Error("no relative link was found: the test is wrong")
	}
}

// TestIndex finds pages that no reader would find.
func TestIndex(t *testing.T) {
	linked := map[string]bool{}
	for _, link := range readPage(t, "index.md").links {
		path, _, _ := strings.Cut(link, "#")
		linked[filepath.Join("docs", filepath.FromSlash(path))] = true
	}
	for _, f := range markdown(t) {
		switch {
		case !strings.HasPrefix(f, "docs"+string(filepath.Separator)), f == filepath.Join("docs", "index.md"):
		case filepath.Dir(f) == filepath.Join("docs", "reference", "cli") && filepath.Base(f) != "lumacore.md":
			// lumacore.md lists the others.
		case !linked[f]:
			t.Errorf("docs/index.md has no link to %s", f)
		}
	}
}

func TestSlug(t *testing.T) {
	for heading, want := range map[string]string{
		"How lumacore talks":          "how-lumacore-talks",
		"`lab up`, and what it does?": "lab-up-and-what-it-does",
		"What stays — what goes":      "what-stays--what-goes",
	} {
		if got := slugOf(strings.ReplaceAll(heading, "`", "")); got != want {
			t.Errorf("slugOf(%q) = %q, want %q", heading, got, want)
		}
	}
}
