// Package checktest runs gates over small repositories in tests.
package checktest

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/tools/txtar"
	utilversion "k8s.io/apimachinery/pkg/util/version"

	"lumacore.dev/lumacore/internal/chart"
	"lumacore.dev/lumacore/internal/check"
	"lumacore.dev/lumacore/internal/config"
	"lumacore.dev/lumacore/internal/gitops"
	"lumacore.dev/lumacore/internal/render"
	"lumacore.dev/lumacore/internal/report"
)

// Now is the time at which tests run gates.
var Now = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

// Run runs one gate over a repository and returns what it reports. The repository
// is YAML, which becomes the one file cluster/objects.yaml, or several files in
// txtar form; a lumacore.yaml among them configures the gate. Unless that names
// clusters, the folder cluster is the only one: all YAML in it is applied by an
// implied Kustomization flux-system/flux-system. Gates beside it run too; findings of
// others, which are those of check.ConfigGate, are left out.
//
// A file base:NAME is the file NAME as it was before the change that is looked at; if
// it is empty, there was no such file. All others were as they are. With such a file
// the gate has a [check.Base].
//
// A file history:NAME is the file NAME as an earlier commit had it. With such a file the
// repository is a real one, in a temporary folder, with two commits, and the gate is
// asked about its history.
func Run(t testing.TB, gate *check.Gate, repository string, beside ...*check.Gate) *report.CheckReport {
	t.Helper()
	in := Input(t, repository)
	gates := append([]*check.Gate{gate}, beside...)
	rep, err := check.Run(t.Context(), gates, in)
	if err != nil {
		t.Fatal(err)
	}
	rep.Findings = slices.DeleteFunc(rep.Findings, func(f report.Finding) bool {
		return !slices.ContainsFunc(gates, func(g *check.Gate) bool { return g.Name == f.Gate() })
	})
	return rep
}

// Input renders a repository as [Run] does.
func Input(t testing.TB, repository string) *check.Input {
	t.Helper()
	files, before, earlier := map[string][]byte{}, map[string][]byte{}, map[string][]byte{}
	archive := txtar.Parse([]byte(repository))
	for _, f := range archive.Files {
		if name, ok := strings.CutPrefix(f.Name, "base:"); ok {
			before[name] = f.Data
		} else if name, ok := strings.CutPrefix(f.Name, "history:"); ok {
			earlier[name] = f.Data
		} else {
			files[f.Name] = f.Data
		}
	}
	if len(archive.Files) == 0 {
		files["cluster/objects.yaml"] = []byte(repository)
	}
	kube := utilversion.MustParse("1.36.0")
	in := &check.Input{KubeVersion: kube, Now: Now, Offline: true, Cache: t.TempDir()}
	in.Tree, in.Config, in.Render = rendered(t, gitops.FromFiles(files), kube)
	if in.History = len(earlier) > 0; in.History {
		tree, err := gitops.Open(t.Context(), commit(t, files, earlier))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { tree.Close() })
		in.Tree, in.Config, in.Render = rendered(t, tree, kube)
	}
	if len(before) > 0 {
		all := maps.Clone(files)
		for name, data := range before {
			if all[name] = data; len(data) == 0 {
				delete(all, name)
			}
		}
		in.Base = &check.Base{Revision: "base", Commit: "0123456789abcdef0123456789abcdef01234567"}
		in.Base.Tree, in.Base.Config, in.Base.Render = rendered(t, gitops.FromFiles(all), kube)
	}
	return in
}

// commit makes a Git repository with two commits in a temporary folder.
func commit(t testing.TB, files, earlier map[string][]byte) string {
	t.Helper()
	dir := t.TempDir()
	git := func(args ...string) {
		cmd := exec.Command("git", append([]string{"-C", dir, "-c", "user.name=Test", "-c", "user.email=test@example.org", "-c", "commit.gpgSign=false"}, args...)...)
		cmd.Env = append(os.Environ(), "GIT_AUTHOR_DATE=2026-10-01T12:00:00Z", "GIT_COMMITTER_DATE=2026-10-01T12:00:00Z")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	git("init", "-q")
	for _, content := range []map[string][]byte{earlier, files} {
		for name, data := range content {
			path := filepath.Join(dir, filepath.FromSlash(name))
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, data, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		git("add", "-A")
		git("commit", "-q", "--allow-empty", "-m", "as it was")
	}
	return dir
}

func rendered(t testing.TB, tree *gitops.Tree, kube *utilversion.Version) (*gitops.Tree, *config.Config, *render.Result) {
	t.Helper()
	cfg, err := config.Load(tree)
	if err != nil {
		t.Fatal(err)
	}
	clusters := []gitops.Cluster{{Name: "example", Path: "cluster"}}
	if len(cfg.Clusters) > 0 {
		if clusters, err = gitops.Discover(tree, cfg.Clusters); err != nil {
			t.Fatal(err)
		}
	}
	// Charts of the repository itself are rendered; others cannot be had.
	charts, err := chart.NewStore(chart.Options{CacheDir: t.TempDir(), Offline: true})
	if err != nil {
		t.Fatal(err)
	}
	res, err := render.Render(t.Context(), tree, clusters, render.Options{
		KubeVersion: kube.String(), EnvironmentLabel: cfg.EnvironmentLabel, Charts: charts, RequireCharts: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	return tree, cfg, res
}

// Lines are the findings that count, one line each: "file:line rule message".
func Lines(r *report.CheckReport) []string {
	var out []string
	for _, f := range r.Findings {
		if f.Suppressed == nil {
			out = append(out, fmt.Sprintf("%s %s %s", f.Location, f.Rule, f.Message))
		}
	}
	slices.Sort(out)
	return out
}

// Examples runs the examples of a gate's rules: the bad one must break its rule,
// the good one must break none of the gate's. Gates beside it run too. Rules that need
// an API server are left to the end-to-end tests.
func Examples(t *testing.T, gate *check.Gate, beside ...*check.Gate) {
	for _, rule := range gate.Rules {
		t.Run(strings.TrimPrefix(rule.ID, gate.Name+"/"), func(t *testing.T) {
			t.Parallel()
			if rule.Needs == check.NeedsAPIServer {
				t.Skip("there is no API server")
			}
			bad := Run(t, gate, rule.Bad, beside...)
			if !slices.ContainsFunc(bad.Findings, func(f report.Finding) bool { return f.Rule == rule.ID && f.Suppressed == nil }) {
				t.Errorf("the bad example does not break the rule; findings: %q", Lines(bad))
			}
			good := Run(t, gate, rule.Good, beside...)
			good.Findings = slices.DeleteFunc(good.Findings, func(f report.Finding) bool { return f.Gate() != gate.Name })
			if lines := Lines(good); len(lines) > 0 {
				t.Errorf("the good example breaks rules: %q", lines)
			}
		})
	}
}
