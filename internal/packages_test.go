// Package internal has no code: its test holds the packages of the repository
// against what is agreed on for all of them.
package internal

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// generic are package names that say nothing of what is inside.
var generic = regexp.MustCompile(`^(util|utils|common|helpers?|misc|shared|base)$`)

// TestPackageDocs: every package has exactly one package comment, in the usual
// form, and no two packages the same one.
func TestPackageDocs(t *testing.T) {
	docs := map[string][]string{}  // folder -> files with a package comment
	texts := map[string]string{}   // comment -> folder
	folders := map[string]string{} // folder -> package
	for _, top := range []string{"../internal", "../cmd", "../blueprint", "../examples"} {
		err := filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || filepath.Ext(path) != ".go" {
				return err
			}
			dir := filepath.Dir(path)
			f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments|parser.PackageClauseOnly)
			if err != nil {
				return err
			}
			// A test counts only where there is nothing else.
			test := strings.HasSuffix(path, "_test.go")
			if code, err := filepath.Glob(filepath.Join(dir, "*.go")); err == nil && test {
				for _, c := range code {
					if !strings.HasSuffix(c, "_test.go") {
						return nil
					}
				}
			}
			folders[dir] = f.Name.Name
			if text := doc(f); text != "" {
				docs[dir] = append(docs[dir], filepath.Base(path))
				if other := texts[text]; other != "" {
					t.Errorf("%s and %s have the same package comment", dir, other)
				}
				texts[text] = dir
				// https://go.dev/doc/comment: a command's begins with its name.
				begin, name := "Package ", f.Name.Name
				if name == "main" {
					begin, name = "Command ", filepath.Base(dir)
				}
				if !strings.HasPrefix(text, begin+name+" ") && (begin == "Package " || !strings.EqualFold(strings.Fields(text)[0], name)) {
					t.Errorf("%s: the package comment begins %q, want %s%s", path, strings.SplitN(text, "\n", 2)[0], begin, name)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for dir, name := range folders {
		switch n := len(docs[dir]); {
		case n == 0:
			t.Errorf("%s has no package comment", dir)
		case n > 1:
			t.Errorf("%s has %d package comments, in %s", dir, n, strings.Join(docs[dir], ", "))
		}
		if generic.MatchString(name) {
			t.Errorf("%s: package %s is named for nothing in particular", dir, name)
		}
	}
	if len(folders) < 12 {
		t.Errorf("only %d packages were seen: does this test still look at the right folders?", len(folders))
	}
}

func doc(f *ast.File) string {
	if f.Doc == nil {
		return ""
	}
	return f.Doc.Text()
}

// TestDependencies: packages depend on each other in one direction.
func TestDependencies(t *testing.T) {
	const module = "lumacore.dev/lumacore/"
	for _, rule := range []struct{ dir, not, why string }{
		{"report", "internal/", "it is a leaf: every package may use it"},
		{"lab", "internal/cli", "what a verb does must not know of the command line"},
		{"check", "internal/lab", "a gate is given an API server, whatever starts it"},
		{"lab/controlplane", "internal/check", "it knows nothing of what it is started for"},
		{"lab/supervisor", "internal/lab", "it knows nothing of Kubernetes and can be used for other processes"},
		{"lab/pki", "internal/lab", "it is a leaf"},
		{"lab/gitserver", "internal/lab", "it is a leaf"},
		{"app", "internal/check", "what a verb does is checked by who calls it"},
		{"app", "github.com/spf13/cobra", "what a verb does must not know of the command line"},
		{"diff", "internal/check", "what a change comes to has nothing to do with findings"},
		{"diff", "github.com/spf13/cobra", "what a verb does must not know of the command line"},
		{"homelab", "internal/check", "what a repository is made of has nothing to do with findings"},
		{"homelab", "internal/lab", "it makes repositories, and runs nothing"},
		{"homelab", "github.com/spf13/cobra", "what a verb does must not know of the command line"},
		{"settings", "internal/config", "it is a leaf, but for report"},
		{"evidence", "internal/config", "it is a leaf, but for report"},
		{"soak", "internal/app", "it knows workloads and files, not the blueprint's shape"},
		{"promote", "github.com/spf13/cobra", "what a verb does must not know of the command line"},
		{"exporter", "github.com/spf13/cobra", "what a verb does must not know of the command line"},
		{"lab", "github.com/spf13/cobra", "what a verb does must not know of the command line"},
	} {
		seen := 0
		err := filepath.WalkDir(rule.dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
				return err
			}
			seen++
			f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
			if err != nil {
				return err
			}
			for _, i := range f.Imports {
				if p := strings.TrimPrefix(strings.Trim(i.Path.Value, `"`), module); strings.HasPrefix(p, rule.not) {
					t.Errorf("%s imports %s: %s", path, p, rule.why)
				}
			}
			return nil
		})
		if err != nil || seen == 0 {
			t.Errorf("%s: %d files, %v: this rule looks at nothing", rule.dir, seen, err)
		}
	}
}
