package chart

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
)

// gitRepository makes a repository with two commits on main, tags and a branch, and
// returns its URL and its commits.
func gitRepository(t testing.TB) (url, first, second string) {
	t.Helper()
	dir := t.TempDir()
	git := func(args ...string) string {
		t.Helper()
		cmd := exec.Command("git", args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CONFIG_SYSTEM="+os.DevNull,
			"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.com")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	write := func(name, content string) {
		t.Helper()
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	git("init", "--quiet", "--initial-branch=main")
	write("charts/web/Chart.yaml", chartYAML("web", "1.0.0"))
	write("charts/web/name with space\nand line", "odd")
	write(".gitattributes", "charts/** export-ignore\n")
	if err := os.Symlink("/etc/passwd", filepath.Join(dir, "charts/web/values.yaml")); err != nil {
		t.Fatal(err)
	}
	git("add", ".")
	git("commit", "--quiet", "-m", "one")
	git("tag", "1.0.0")
	first = git("rev-parse", "HEAD")
	write("charts/web/Chart.yaml", chartYAML("web", "1.1.0"))
	git("commit", "--quiet", "-a", "-m", "two")
	git("tag", "-a", "-m", "two", "v1.1.0")
	git("tag", "nightly")
	git("branch", "master", "1.0.0")
	return "file://" + dir, first, git("rev-parse", "HEAD")
}

func TestGit(t *testing.T) {
	t.Parallel()
	url, first, second := gitRepository(t)
	for name, tc := range map[string]struct {
		ref           Git
		want, problem string
	}{
		"branch":        {Git{Branch: "main"}, "1.1.0", ""},
		"default":       {Git{}, "1.0.0", ""},
		"tag":           {Git{Tag: "1.0.0", Branch: "main"}, "1.0.0", ""},
		"annotated tag": {Git{Tag: "v1.1.0"}, "1.1.0", ""},
		"semver":        {Git{SemVer: ">=1.0.0", Tag: "1.0.0"}, "1.1.0", ""},
		"name":          {Git{Name: "refs/heads/main", SemVer: "1.0.0"}, "1.1.0", ""},
		"commit":        {Git{Commit: first, Branch: "main"}, "1.0.0", ""},
		"tip":           {Git{Commit: second}, "1.1.0", ""},
		"no branch":     {Git{Branch: "gone"}, "", "missing: chart of URL at gone cannot be had: the repository has no refs/heads/gone NEXT name a branch or tag that it has"},
		"no tag":        {Git{Tag: "--upload-pack=touch x"}, "", "missing: chart of URL at --upload-pack=touch x cannot be had: the repository has no refs/tags/--upload-pack=touch x NEXT name a branch or tag that it has"},
		"no version":    {Git{SemVer: "9.x"}, "", `missing: chart of URL at 9.x cannot be had: none of its tags is a version in "9.x"`},
		"no commit":     {Git{Commit: "abc"}, "", `missing: chart of URL at abc cannot be had: "abc" is no commit`},
		"ext":           {Git{URL: "ext::sh -c touch% x"}, "", "missing: chart of ext::sh -c touch% x at master cannot be had: its GitRepository has no http, https or ssh URL"},
		"no repository": {Git{URL: url + "/gone"}, "", "unavailable: chart of URL/gone at master cannot be had: git: '" + strings.TrimPrefix(url, "file://") + "/gone' does not appear to be a git repository NEXT " + nextNetwork},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if tc.ref.URL == "" {
				tc.ref.URL = url
			}
			s := newStore(t, Options{})
			tr, err := s.Git(t.Context(), tc.ref)
			if got := strings.ReplaceAll(problem(err), url, "URL"); got != tc.problem {
				t.Fatalf("got  %s\nwant %s", got, tc.problem)
			}
			if err != nil {
				return
			}
			// Without the link; with what .gitattributes hides from `git archive`.
			want := []string{"charts/web/Chart.yaml", "charts/web/name with space\nand line"}
			if diff := gocmp.Diff(want, tr.Files()); diff != "" {
				t.Error(diff)
			}
			c, err := s.Tree(t.Context(), tr, "charts/web")
			if err != nil || c.Version != tc.want {
				t.Errorf("got %v, %v; want %s", c, err, tc.want)
			}
			off := offline(t, s)
			if tr, err = off.Git(t.Context(), tc.ref); err != nil {
				t.Fatalf("offline: %v", err)
			}
			if c, err := off.Tree(t.Context(), tr, "charts/web"); err != nil || c.Version != tc.want {
				t.Errorf("offline: got %v, %v; want %s", c, err, tc.want)
			}
		})
	}
}

func TestGitOffline(t *testing.T) {
	t.Parallel()
	s := newStore(t, Options{Offline: true})
	_, err := s.Git(t.Context(), Git{URL: "https://example.com/charts.git", Branch: "main"})
	want := "unavailable: chart of https://example.com/charts.git at main cannot be had: the check runs offline, and the cache does not have it NEXT " + nextOffline
	if got := problem(err); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
