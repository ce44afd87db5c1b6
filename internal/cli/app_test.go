package cli_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lumacore.dev/lumacore/blueprint"
	"lumacore.dev/lumacore/internal/cli"
	"lumacore.dev/lumacore/internal/golden"
	"lumacore.dev/lumacore/internal/report"
)

// home is a repository that was made from the blueprint.
type home struct{ dir string }

func newHome(t *testing.T) home {
	t.Helper()
	if os.Getenv("LUMACORE_CACHE") == "" {
		t.Setenv("LUMACORE_CACHE", t.TempDir())
	}
	h := home{filepath.Join(t.TempDir(), "home")}
	if err := os.CopyFS(h.dir, blueprint.Files); err != nil {
		t.Fatal(err)
	}
	return h
}

// git makes a commit of all that there is.
func (h home) commit(t *testing.T) {
	t.Helper()
	for _, args := range [][]string{
		{"init", "-q"},
		{"add", "-A"},
		{"-c", "user.name=Somebody", "-c", "user.email=somebody@example.com", "-c", "commit.gpgsign=false", "commit", "-qm", "chore: all"},
	} {
		cmd := exec.Command("git", args...)
		cmd.Dir = h.dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %s: %v\n%s", args, err, out)
		}
	}
}

// run runs lumacore with the repository.
func (h home) run(t *testing.T, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	var out, err bytes.Buffer
	status = cli.Run(t.Context(), &report.Streams{In: strings.NewReader(""), Out: &out, Err: &err}, args)
	return out.String(), err.String(), status
}

func (h home) app(t *testing.T, want int, args ...string) string {
	t.Helper()
	stdout, stderr, got := h.run(t, append([]string{"app"}, append(args, "--repository", h.dir)...)...)
	if got != want {
		t.Fatalf("app %s ends with %d, want %d\n%s%s", strings.Join(args, " "), got, want, stdout, stderr)
	}
	return stdout + stderr
}

// files are the names and contents of all files, folders included.
func (h home) files(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(h.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(h.dir, path)
		switch {
		case err != nil:
			return err
		case d.IsDir() && d.Name() == ".git":
			return filepath.SkipDir
		case d.IsDir():
			out[name+"/"] = ""
			return nil
		}
		data, err := os.ReadFile(path)
		out[name] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func (h home) edit(t *testing.T, name string, f func(string) string) {
	t.Helper()
	path := filepath.Join(h.dir, name)
	data, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path, []byte(f(string(data))), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func same(t *testing.T, before, after map[string]string) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(after)) {
		if was, ok := before[name]; !ok {
			t.Errorf("%s is left", name)
		} else if was != after[name] {
			t.Errorf("%s is not as it was:\n%q\n%q", name, was, after[name])
		}
	}
	for name := range before {
		if _, ok := after[name]; !ok {
			t.Errorf("%s is gone", name)
		}
	}
}

const appDigest = "sha256:98ad9d1a2be345201bb0709b0d38655eb1b370145c7d94ca1fe9c421f76e245a"

// TestApp adds apps of all kinds to the blueprint. Each passes the check at once, what is
// known of it is nowhere twice, and a removal leaves no trace of it.
func TestApp(t *testing.T) {
	t.Setenv("LUMACORE_CACHE", t.TempDir()) // one for all
	crlf := func(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }
	for _, tt := range []struct {
		name    string
		args    []string
		prepare func(t *testing.T, h home)
	}{
		{"own", []string{"--image", "${REGISTRY}/homelab/web:1.2.3", "--health-path", "/healthz", "--scrape"}, nil},
		{"own-everything", []string{"--image", "registry.lab.example.com/team/web:v2.0.1@" + appDigest, "--secret", "api-key,token", "--egress-internet", "--host", "www"}, nil},
		{"third-party", []string{"--image", "ghcr.io/example/reader:v2.4.1", "--port", "3000", "--user", "1000"}, nil},
		{"third-party-everything", []string{"--image", "nginx:1.29-alpine@" + appDigest, "--secret", "api-key", "--egress-internet", "--scrape"}, nil},
		{"no-ingress", []string{"--image", "ghcr.io/example/worker:2026-11", "--no-ingress"}, nil},
		{"line ends", []string{"--image", "${REGISTRY}/homelab/web:1.2.3", "--secret", "key"}, func(t *testing.T, h home) {
			for name := range h.files(t) {
				if strings.HasSuffix(name, "kustomization.yaml") || strings.HasSuffix(name, "/operator-values.yaml") || filepath.Dir(name) == "." && strings.HasSuffix(name, ".yaml") {
					h.edit(t, name, crlf)
				}
			}
		}},
		{"no line end at the end", []string{"--image", "${REGISTRY}/homelab/web:1.2.3", "--secret", "key"}, func(t *testing.T, h home) {
			for name := range h.files(t) {
				if strings.HasSuffix(name, "kustomization.yaml") || filepath.Dir(name) == "." && strings.HasSuffix(name, ".yaml") {
					h.edit(t, name, func(s string) string { return strings.TrimRight(s, "\n") })
				}
			}
		}},
		{"fewer lists", []string{"--image", "${REGISTRY}/homelab/web:1.2.3", "--secret", "key"}, func(t *testing.T, h home) {
			for _, name := range []string{"secrets.register.yaml", "images-without-digest.yaml", "network.assert.yaml"} {
				if err := os.Remove(filepath.Join(h.dir, name)); err != nil {
					t.Fatal(err)
				}
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := newHome(t)
			if tt.prepare != nil {
				tt.prepare(t, h)
			}
			before := h.files(t)
			dry := h.app(t, 0, append([]string{"new", "web", "--dry-run"}, tt.args...)...)
			same(t, before, h.files(t))
			if !strings.Contains(dry, "would be written  apps/web/base/deployment.yaml") {
				t.Errorf("a dry run prints\n%s", dry)
			}
			out := h.app(t, 0, append([]string{"new", "web"}, tt.args...)...)
			for name, data := range h.files(t) {
				was, old := before[name]
				switch {
				case strings.HasSuffix(name, "/"):
				case !old && !strings.Contains(out, "written  "+name):
					t.Errorf("%s was written and not named", name)
				case old && was != data && !strings.Contains(out, "changed  "+name):
					t.Errorf("%s was changed and not named", name)
				case tt.name == "line ends" && old && strings.Count(data, "\n") != strings.Count(data, "\r\n") && was != data:
					t.Errorf("%s has mixed line ends", name)
				}
			}
			stdout, stderr, status := h.run(t, "check", "--offline", h.dir)
			if status != 0 {
				t.Errorf("the check fails:\n%s%s", stdout, stderr)
			}
			if got := strings.Contains(stdout, `"web" has image`); got == strings.Contains(tt.args[1], "@") {
				t.Errorf("a warning that the image has no digest: %v\n%s", got, stdout)
			}
			again := h.app(t, 1, append([]string{"new", "web"}, tt.args...)...)
			if !strings.Contains(again, "there is something of web already: apps/web, ") {
				t.Errorf("a second app of the name: %s", again)
			}
			h.app(t, 1, "remove", "web") // there is nobody to ask
			h.app(t, 0, "remove", "web", "--yes")
			same(t, before, h.files(t))
		})
	}
}

// TestAppScaffold shows what a new app looks like.
func TestAppScaffold(t *testing.T) {
	for name, args := range map[string][]string{
		"app-own":         {"--image", "${REGISTRY}/homelab/web:1.2.3", "--health-path", "/healthz", "--secret", "api-key,token", "--scrape"},
		"app-third-party": {"--image", "ghcr.io/example/reader:v2.4.1@" + appDigest, "--port", "3000", "--user", "1000", "--egress-internet"},
	} {
		h := newHome(t)
		before := h.files(t)
		h.app(t, 0, append([]string{"new", "web"}, args...)...)
		after := h.files(t)
		var b bytes.Buffer
		for _, file := range slices.Sorted(maps.Keys(after)) {
			if _, old := before[file]; !old && !strings.HasSuffix(file, "/") {
				fmt.Fprintf(&b, "-- %s --\n%s", file, after[file])
			}
		}
		golden.Check(t, name, b.Bytes())
	}
}

// TestAppInSteps takes an app out that may run.
func TestAppInSteps(t *testing.T) {
	h := newHome(t)
	h.commit(t)
	before := h.files(t)
	h.app(t, 0, "new", "web", "--image", "${REGISTRY}/homelab/web:1.2.3", "--secret", "api-key")
	// A claim, to be told that its data goes with it.
	h.edit(t, "apps/web/base/kustomization.yaml", func(s string) string {
		return strings.Replace(s, "  - service.yaml\n", "  - service.yaml\n  - persistentvolumeclaim.yaml\n", 1)
	})
	claim := "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata:\n  name: web-data\nspec:\n  accessModes: [ReadWriteOnce]\n  resources:\n    requests:\n      storage: 1Gi\n"
	if err := os.WriteFile(filepath.Join(h.dir, "apps/web/base/persistentvolumeclaim.yaml"), []byte(claim), 0o644); err != nil {
		t.Fatal(err)
	}
	h.commit(t)
	golden.Check(t, "app-remove-1", []byte(h.app(t, 0, "remove", "web", "--yes")))
	if out := h.app(t, 1, "remove", "web", "--yes"); !strings.Contains(out, "the last commit still has web") {
		t.Errorf("a second step before the first is committed: %s", out)
	}
	if stdout, stderr, status := h.run(t, "check", "--offline", h.dir); status != 0 {
		t.Errorf("between the steps the check fails:\n%s%s", stdout, stderr)
	}
	h.commit(t)
	golden.Check(t, "app-remove-2", []byte(h.app(t, 0, "remove", "web", "--yes")))
	same(t, before, h.files(t))
}

// TestAppRestores: an error half-way leaves everything as it was.
func TestAppRestores(t *testing.T) {
	h := newHome(t)
	// The list is changed when all new files are there.
	left := filepath.Join(h.dir, "overlays", "staging", ".kustomization.yaml.lumacore")
	if err := os.WriteFile(left, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	before := h.files(t)
	out := h.app(t, 1, "new", "web", "--image", "ghcr.io/example/web:1.0.0")
	if !strings.Contains(out, "overlays/staging/.kustomization.yaml.lumacore is there") {
		t.Errorf("a file in the way: %s", out)
	}
	same(t, before, h.files(t))
	if err := os.Remove(left); err != nil {
		t.Fatal(err)
	}

	if os.Getuid() == 0 {
		t.Skip("root may write everywhere")
	}
	before = h.files(t)
	dir := filepath.Dir(left)
	if err := os.Chmod(dir, 0o555); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(dir, 0o755) })
	out = h.app(t, 1, "new", "web", "--image", "ghcr.io/example/web:1.0.0")
	if !strings.Contains(out, "permission denied") || !strings.Contains(out, "see who may write") {
		t.Errorf("a folder that cannot be written to: %s", out)
	}
	same(t, before, h.files(t))
}
