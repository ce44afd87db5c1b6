//go:build e2e

package site

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/text"
	"go.yaml.in/yaml/v3"
	"golang.org/x/net/html"

	"lumacore.dev/lumacore/blueprint"
)

const root = "../.."

// packages is where hack/site.sh has installed the packages of npm.
func packages(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs(filepath.Join(root, "build/npm/site/node_modules"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); err != nil {
		t.Fatalf("%v; run: make test-site", err)
	}
	return dir
}

// run runs a program in a folder and returns everything that it prints.
func run(t *testing.T, dir, stdin, program string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Dir, cmd.Stdin = dir, strings.NewReader(stdin)
	cmd.Env = append(os.Environ(), "NO_COLOR=1", "DOCS_URL=https://docs.example.org")
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%s %s: %w\n%s", program, strings.Join(args, " "), err, out)
	}
	return string(out), err
}

// repository is a copy of the blueprint, with the program that build.sh would fetch.
func repository(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, blueprint.Files); err != nil {
		t.Fatal(err)
	}
	withMermaid(t, dir)
	return dir
}

func withMermaid(t *testing.T, dir string) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(packages(t), "mermaid/dist/mermaid.min.js"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "docs/assets/mermaid.min.js"), data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// build builds the site as a pipeline does.
func build(t *testing.T, dir string) error {
	t.Helper()
	_, err := run(t, dir, "", "bash", "docs/.build/build.sh")
	return err
}

// inNav finds pages that no reader would find. MkDocs only mentions them; from 1.5 on it could
// be told to fail, with a key that 1.4 does not know.
func inNav(t *testing.T, dir string) error {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, "mkdocs.yml"))
	if err != nil {
		t.Fatal(err)
	}
	var config struct{ Nav yaml.Node }
	if err := yaml.Unmarshal(data, &config); err != nil {
		t.Fatal(err)
	}
	listed := map[string]bool{}
	var walk func(*yaml.Node)
	walk = func(n *yaml.Node) {
		listed[n.Value] = true
		for _, c := range n.Content {
			walk(c)
		}
	}
	walk(&config.Nav)
	var errs []error
	markdown(t, filepath.Join(dir, "docs"), func(path string, _ []byte) {
		if rel, err := filepath.Rel(filepath.Join(dir, "docs"), path); err != nil || !listed[filepath.ToSlash(rel)] {
			errs = append(errs, fmt.Errorf("docs/%s is not in nav of mkdocs.yml: add it, or nobody finds it", rel))
		}
	})
	return errors.Join(errs...)
}

// lint holds all Markdown of a repository against its configuration.
func lint(t *testing.T, dir string) error {
	t.Helper()
	_, err := run(t, dir, "", "node", filepath.Join(packages(t), "markdownlint-cli2/markdownlint-cli2-bin.mjs"))
	return err
}

// TestProject holds the project's own pages against the same configuration. Left out is what
// Cobra writes, in a form of its own.
func TestProject(t *testing.T) {
	dir, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := run(t, dir, "", "node", filepath.Join(packages(t), "markdownlint-cli2/markdownlint-cli2-bin.mjs"), "--config", "blueprint/.markdownlint-cli2.yaml", "--no-globs",
		"*.md", "docs/**/*.md", "examples/**/*.md", "!docs/reference/cli/*.md"); err != nil {
		t.Error(err)
	}
}

// markdown calls do with each page below a folder.
func markdown(t *testing.T, dir string, do func(path string, src []byte)) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".md" {
			return err
		}
		src, err := os.ReadFile(path)
		if err == nil {
			do(path, src)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// diagrams parses every diagram of a repository with Mermaid.
func diagrams(t *testing.T, dir string) error {
	t.Helper()
	type diagram struct {
		At   string `json:"at"`
		Text string `json:"text"`
	}
	var list []diagram
	markdown(t, dir, func(path string, src []byte) {
		_ = ast.Walk(goldmark.New().Parser().Parse(text.NewReader(src)), func(n ast.Node, entering bool) (ast.WalkStatus, error) {
			if b, ok := n.(*ast.FencedCodeBlock); ok && entering && string(b.Language(src)) == "mermaid" {
				rel, _ := filepath.Rel(dir, path)
				line := 1 + bytes.Count(src[:b.Lines().At(0).Start], []byte("\n"))
				list = append(list, diagram{fmt.Sprintf("%s:%d", rel, line), string(b.Lines().Value(src))})
			}
			return ast.WalkContinue, nil
		})
	})
	if len(list) == 0 {
		return fmt.Errorf("no page of %s has a diagram", dir)
	}
	in, err := json.Marshal(list)
	if err != nil {
		t.Fatal(err)
	}
	out, err := run(t, ".", string(in), "node", "diagrams.mjs", packages(t))
	if err == nil && out != "" {
		err = fmt.Errorf("%s", out)
	}
	return err
}

// elsewhere finds what a reader's browser would load from another host than the site's.
func elsewhere(t *testing.T, dir string) error {
	t.Helper()
	var found []string
	pages := 0
	err := filepath.WalkDir(filepath.Join(dir, "site"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".html" {
			return err
		}
		pages++
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		doc, err := html.Parse(f)
		if err != nil {
			return err
		}
		for n := range doc.Descendants() {
			attr := map[string]string{}
			for _, a := range n.Attr {
				attr[a.Key] = a.Val
			}
			address := attr["src"]
			if n.Data == "link" && attr["rel"] != "canonical" {
				address = attr["href"]
			}
			if strings.HasPrefix(address, "//") || strings.Contains(address, "://") {
				found = append(found, fmt.Sprintf("%s loads %s", d.Name(), address))
			}
			if n.Type == html.ElementNode && slices.Contains(strings.Fields(attr["class"]), "mermaid") {
				found = append(found, fmt.Sprintf("%s has the class mermaid, for which Material loads its own from unpkg.com", d.Name()))
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if pages < 10 {
		return fmt.Errorf("the site has %d pages", pages)
	}
	if found != nil {
		return fmt.Errorf("%s", strings.Join(found, "\n"))
	}
	return nil
}

func all(t *testing.T, dir string) {
	t.Helper()
	for name, check := range map[string]func(*testing.T, string) error{"Markdown": lint, "diagrams": diagrams, "navigation": inNav, "site": build} {
		if err := check(t, dir); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := elsewhere(t, dir); err != nil {
		t.Error(err)
	}
}

func TestBlueprint(t *testing.T) {
	all(t, repository(t))
}

// TestOwner: a repository that `lumacore init` made.
func TestOwner(t *testing.T) {
	lumacore, err := filepath.Abs(filepath.Join(root, "bin/lumacore"))
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(root, "docs/from-empty-disks.md"))
	if err != nil {
		t.Fatal(err)
	}
	answers := regexp.MustCompile("(?s)`answers.yaml`:\n\n```yaml\n(.*?)```").FindSubmatch(page)
	if answers == nil {
		t.Fatal("docs/from-empty-disks.md shows no answers.yaml")
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "answers.yaml"), answers[1], 0o600); err != nil {
		t.Fatal(err)
	}
	for k, v := range map[string]string{
		"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_AUTHOR_NAME": "Owner", "GIT_AUTHOR_EMAIL": "owner@example.org",
		"GIT_COMMITTER_NAME": "Owner", "GIT_COMMITTER_EMAIL": "owner@example.org",
	} {
		t.Setenv(k, v)
	}
	if _, err := run(t, dir, "", lumacore, "init", "homelab", "--answers", "answers.yaml"); err != nil {
		t.Fatal(err)
	}
	dir = filepath.Join(dir, "homelab")
	withMermaid(t, dir)
	all(t, dir)
}

// TestMirror: the site is published from the public mirror, which has less.
func TestMirror(t *testing.T) {
	whole, dir := repository(t), t.TempDir()
	for _, name := range []string{"apps", "clusters", "docs", "infrastructure", "overlays", "policies", "mkdocs.yml", "README.md", ".markdownlint-cli2.yaml"} {
		if err := os.Rename(filepath.Join(whole, name), filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	all(t, dir)
}

// TestMermaidMissing: the pages can be built and read before anybody has fetched Mermaid.
func TestMermaidMissing(t *testing.T) {
	dir := repository(t)
	if err := os.Remove(filepath.Join(dir, "docs/assets/mermaid.min.js")); err != nil {
		t.Fatal(err)
	}
	if _, err := run(t, dir, "", "mkdocs", "build", "--strict", "--quiet"); err != nil {
		t.Error(err)
	}
}

// TestDefects plants one mistake each and asks for its message.
func TestDefects(t *testing.T) {
	add := func(text string) func(string) string { return func(s string) string { return s + text } }
	for _, tt := range []struct {
		name  string
		file  string
		edit  func(string) string
		check func(*testing.T, string) error
		want  string
	}{
		{"dead link", "docs/handbook.md", add("\n[Gone](runbooks/gone.md)\n"), build, "Documentation file 'handbook.md' contains a link to 'runbooks/gone.md' which is not found"},
		{"page missing from nav", "docs/forgotten.md", add("# Forgotten\n"), inNav, "docs/forgotten.md is not in nav of mkdocs.yml"},
		{"nav names a page that is not there", "mkdocs.yml", add("  - Ghost: ghost.md\n"), build, "included in the 'nav' configuration, which is not found"},
		{"embedded file is gone", "docs/network.md", add("\n```yaml\n--8<-- \"infrastructure/gone.yaml\"\n```\n"), build, "infrastructure/gone.yaml"},
		{"broken diagram", "docs/network.md", add("\n```mermaid\nflowchart LR\n  a[one -->\n```\n"), diagrams, "Mermaid cannot read the diagram: Parse error"},
		{"heading without a blank line", "docs/network.md", add("\ntext\n## Heading\ntext\n"), lint, "MD022/blanks-around-headings"},
		{"two first headings", "docs/network.md", add("\n# Another\n"), lint, "MD025/single-title"},
		{"README with a list marker of two kinds", "hosts/k3s/README.md", add("\n- other\n"), lint, "MD004/ul-style"},
		{"font from elsewhere", "mkdocs.yml", func(s string) string { return strings.Replace(s, "font: false", "font: {text: Roboto}", 1) }, func(t *testing.T, dir string) error {
			if err := build(t, dir); err != nil {
				return err
			}
			return elsewhere(t, dir)
		}, "loads https://fonts.g"},
		{"diagram that Material draws", "mkdocs.yml", func(s string) string { return strings.Replace(s, "class: diagram", "class: mermaid", 1) }, func(t *testing.T, dir string) error {
			if err := build(t, dir); err != nil {
				return err
			}
			return elsewhere(t, dir)
		}, "unpkg.com"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := repository(t)
			path := filepath.Join(dir, tt.file)
			data, err := os.ReadFile(path)
			if err != nil && !os.IsNotExist(err) {
				t.Fatal(err)
			}
			edited := tt.edit(string(data))
			if edited == string(data) {
				t.Fatal("the edit changes nothing")
			}
			if err := os.WriteFile(path, []byte(edited), 0o600); err != nil {
				t.Fatal(err)
			}
			err = tt.check(t, dir)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v\nwant it to say %q", err, tt.want)
			}
		})
	}
}

// TestMermaidVersion: what is tested here is what an owner's site gets.
func TestMermaidVersion(t *testing.T) {
	dir := repository(t)
	path := filepath.Join(dir, "docs/assets/mermaid.min.js")
	if err := os.WriteFile(path, []byte("something else"), 0o600); err != nil {
		t.Fatal(err)
	}
	// A stand-in for npm, which hands out something else too.
	bin := t.TempDir()
	npm := "#!/bin/sh\nmkdir -p \"$4/package/dist\" && echo no >\"$4/package/dist/mermaid.min.js\" && tar -czf \"$4/${5%@*}-${5#*@}.tgz\" -C \"$4\" package\n"
	if err := os.WriteFile(filepath.Join(bin, "npm"), []byte(npm), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	if err := build(t, dir); err == nil || !strings.Contains(err.Error(), "has another checksum than docs/.build/mermaid.env says") {
		t.Errorf("a Mermaid that is not the one: %v", err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("it was left where the site would take it from")
	}
}
