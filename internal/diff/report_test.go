package diff

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/pflag"
	"golang.org/x/tools/txtar"

	"lumacore.dev/lumacore/internal/chart"
	"lumacore.dev/lumacore/internal/config"
	"lumacore.dev/lumacore/internal/gitops"
	"lumacore.dev/lumacore/internal/golden"
	"lumacore.dev/lumacore/internal/render"
	"lumacore.dev/lumacore/internal/report"
)

// write writes the report in a format, as the verb does.
func write(t testing.TB, r *Report, f report.Format) string {
	t.Helper()
	var out report.Outputs
	fs := pflag.NewFlagSet("diff", pflag.ContinueOnError)
	out.AddFlags(fs, report.Text, report.Markdown, report.JSON)
	if err := fs.Parse([]string{"-o", string(f)}); err != nil {
		t.Fatal(err)
	}
	var buf bytes.Buffer
	if err := out.Write(&report.Streams{Out: &buf}, r); err != nil {
		t.Fatal(err)
	}
	return buf.String()
}

// renderTree renders a tree without network.
func renderTree(t testing.TB, tree *gitops.Tree) *render.Result {
	t.Helper()
	cfg, err := config.Load(tree)
	if err != nil {
		t.Fatal(err)
	}
	clusters, err := gitops.Discover(tree, cfg.Clusters)
	if err != nil {
		t.Fatal(err)
	}
	store, err := chart.NewStore(chart.Options{CacheDir: t.TempDir(), Offline: true})
	if err != nil {
		t.Fatal(err)
	}
	res, err := render.Render(t.Context(), tree, clusters, render.Options{KubeVersion: "1.36.0", Charts: store})
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// git runs git in a repository whose commits are always the same.
func git(t testing.TB, dir string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", append([]string{"-C", dir}, args...)...)
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null",
		"GIT_AUTHOR_NAME=owner", "GIT_AUTHOR_EMAIL=owner@example.com", "GIT_AUTHOR_DATE=2026-11-01T12:00:00Z",
		"GIT_COMMITTER_NAME=owner", "GIT_COMMITTER_EMAIL=owner@example.com", "GIT_COMMITTER_DATE=2026-11-01T12:00:00Z")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// repository makes a Git repository of an archive: the files of base are its first
// commit, those of head its second.
func repository(t testing.TB, archive string) string {
	t.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("git is not installed")
	}
	a, err := txtar.ParseFile(archive)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	git(t, dir, "init", "-q", "-b", "main")
	for _, side := range []string{"base", "head"} {
		git(t, dir, "rm", "-rqf", "--ignore-unmatch", ".")
		for _, f := range a.Files {
			name, ok := strings.CutPrefix(f.Name, side+"/")
			if !ok {
				continue
			}
			file := filepath.Join(dir, filepath.FromSlash(name))
			if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, f.Data, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		git(t, dir, "add", "-A")
		git(t, dir, "commit", "-qm", side)
	}
	return dir
}

// compared compares two revisions of a repository.
func compared(t testing.TB, dir, base, head string, workers int) *Report {
	t.Helper()
	ctx := context.Background()
	headTree, headCommit, err := gitops.OpenRevision(ctx, dir, head, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer headTree.Close()
	baseTree, baseCommit, err := gitops.OpenRevision(ctx, dir, base, headTree)
	if err != nil {
		t.Fatal(err)
	}
	defer baseTree.Close()
	return Compare(Input{
		Base: renderTree(t, baseTree), Head: renderTree(t, headTree),
		BaseName: Revision{Revision: base, Commit: baseCommit}, HeadName: Revision{Revision: head, Commit: headCommit},
		Production: []string{"prod"}, Workers: workers,
	})
}

var formats = []report.Format{report.Text, report.Markdown, report.JSON}

func TestShop(t *testing.T) {
	dir := repository(t, "testdata/shop.txtar")
	r := compared(t, dir, "HEAD~1", "HEAD", 1)
	again := compared(t, dir, "HEAD~1", "HEAD", 4)
	for _, f := range formats {
		got := write(t, r, f)
		golden.Check(t, "shop."+string(f), []byte(got))
		if write(t, again, f) != got {
			t.Errorf("%s: the second time it is another text", f)
		}
		for _, secret := range []string{"first-password", "other-password", "shop-user-of"} {
			if strings.Contains(got, secret) {
				t.Errorf("%s shows %s…", f, secret)
			}
		}
	}
}

// TestSame: the same revision twice is no change, and says what was looked at.
func TestSame(t *testing.T) {
	dir := repository(t, "testdata/shop.txtar")
	r := compared(t, dir, "HEAD~1", "HEAD~1", 0)
	if r.Differs() || !r.Certain() {
		t.Errorf("it differs: %+v", r)
	}
	for _, f := range formats {
		golden.Check(t, "same."+string(f), []byte(write(t, r, f)))
	}
}

// TestColor: colour is on a terminal alone.
func TestColor(t *testing.T) {
	t.Parallel()
	r := of(t, map[string]string{"objects.yaml": deployment("{replicas: 2}")}, map[string]string{"objects.yaml": deployment("{replicas: 0, new: field}")})
	var buf bytes.Buffer
	s := &report.Streams{Out: &buf, OutTTY: true, Color: true}
	var out report.Outputs
	fs := pflag.NewFlagSet("diff", pflag.ContinueOnError)
	out.AddFlags(fs, report.Text, report.Markdown, report.JSON)
	if err := out.Write(s, r); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"\x1b[33m~\x1b[0m Deployment a/a", "\x1b[33mwarning\x1b[0m replicas-zero", "\x1b[32m+ spec.new: field\x1b[0m"} {
		if !strings.Contains(buf.String(), want) {
			t.Errorf("no %q in\n%q", want, buf.String())
		}
	}
	if got := write(t, r, report.Text); strings.Contains(got, "\x1b") {
		t.Error("colour in a pipe")
	}
}
