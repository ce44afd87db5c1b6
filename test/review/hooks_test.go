//go:build e2e

package review

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"lumacore.dev/lumacore/blueprint"
)

// repository is a clone of an owner's repository in which the hooks are installed.
type repository struct {
	dir string
	env []string
}

// run runs a program in the repository and returns what it printed.
func (r *repository) run(t *testing.T, name string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Env = r.dir, r.env
	out, err := cmd.CombinedOutput()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return string(out), err
}

func (r *repository) must(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := r.run(t, name, args...); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}

func (r *repository) read(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(r.dir, file))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func (r *repository) write(t *testing.T, file, text string) {
	t.Helper()
	full := filepath.Join(r.dir, file)
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(full, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// newRepository makes the repository; make test-hooks says where the programs are.
func newRepository(t *testing.T) *repository {
	t.Helper()
	for _, name := range []string{"pre-commit", "lumacore", "tofu", "node", "npm", "go"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Fatalf("%v: run make test-hooks", err)
		}
	}
	modules, err := exec.Command("go", "env", "GOMODCACHE").Output()
	if err != nil {
		t.Fatal(err)
	}
	r := &repository{dir: filepath.Join(t.TempDir(), "homelab"), env: append(os.Environ(),
		"GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CONFIG_NOSYSTEM=1",
		"GIT_AUTHOR_NAME=Test", "GIT_AUTHOR_EMAIL=test@example.com", "GIT_COMMITTER_NAME=Test", "GIT_COMMITTER_EMAIL=test@example.com",
		// pre-commit has a GOPATH per hook; what was downloaded and compiled before is used.
		"GOMODCACHE="+strings.TrimSpace(string(modules)), "CGO_ENABLED=0",
	)}
	if err := os.CopyFS(r.dir, blueprint.Files); err != nil {
		t.Fatal(err)
	}
	// Debian 12 has pre-commit 3.0, for which the stage pre-commit still is "commit".
	if out, err := r.run(t, "pre-commit", "--version"); err != nil || strings.HasPrefix(out, "pre-commit 3.0.") {
		config := r.read(t, ".pre-commit-config.yaml")
		r.write(t, ".pre-commit-config.yaml", strings.NewReplacer(`"3.2.0"`, `"3.0.0"`, "default_stages: [pre-commit]", "default_stages: [commit]").Replace(config))
	}
	r.must(t, "git", "init", "--quiet", "--initial-branch=main")
	r.must(t, "git", "add", "--all")
	r.must(t, "git", "commit", "--quiet", "--message=feat: a homelab")
	r.must(t, "pre-commit", "install")
	return r
}

// TestHooks commits as an owner does: what is right goes in, and each hook stops the mistake
// that it is for, in words that say which.
func TestHooks(t *testing.T) {
	r := newRepository(t)
	const manifest = "apps/beacon/base/deployment.yaml"
	const script = "hosts/k3s/uninstall.sh"
	const module = "hosts/proxmox/main.tf"
	// In two parts, so that this file is no finding.
	key := "glpat" + "-Zk3vW9qLx7RtYb2NcM5d"

	tests := []struct {
		name    string
		file    string
		change  func(old string) string
		message string
		hooks   []string // that stop it; none if it goes in
		says    []string // in what the owner sees
		mended  string   // what the file has after the hook, if it formats
	}{
		{name: "a good change", file: script, change: func(s string) string { return s + "# seen\n" }, message: "docs(k3s): seen"},
		{
			name: "a token", file: "apps/beacon/base/notes.txt", change: func(string) string { return "token = \"" + key + "\"\n" },
			message: "feat: notes", hooks: []string{"gitleaks", "lumacore-check"}, says: []string{"secrets/", "gitlab-pat", "apps/beacon/base/notes.txt", "leaks found: 1"},
		},
		{
			name: "a manifest that does not render", file: manifest, change: func(s string) string { return strings.Replace(s, "kind: Deployment", "kind: Deploymnet", 1) },
			message: "fix: kind", hooks: []string{"lumacore-check"}, says: []string{manifest},
		},
		{
			name: "an unformatted script", file: script, change: func(s string) string { return s + "if true; then\n        true\nfi\n" },
			message: "fix: script", hooks: []string{"shfmt"}, says: []string{"files were modified by this hook"}, mended: "if true; then\n  true\nfi\n",
		},
		{
			name: "an unformatted module", file: module, change: func(s string) string { return s + "\nlocals {\n  a=1\n}\n" },
			message: "fix: module", hooks: []string{"tofu-fmt"}, says: []string{"files were modified by this hook"}, mended: "\n  a = 1\n",
		},
		{
			name: "Markdown that can be mended", file: "README.md", change: func(s string) string { return s + "\n## Notes\nno line between\n" },
			message: "docs: notes", hooks: []string{"markdownlint"}, says: []string{"files were modified by this hook"}, mended: "## Notes\n\nno line between\n",
		},
		{name: "a message that says nothing", file: script, change: func(s string) string { return s + "# more\n" }, message: "fixed stuff", hooks: []string{"commitlint"}, says: []string{"type may not be empty", "subject may not be empty"}},
		{
			name: "what image automation writes", file: script, change: func(s string) string { return s + "# more\n" },
			message: "chore(staging): update images\n\n- registry.lab.example.com/homelab/beacon:1.0.0@sha256:" + strings.Repeat("0", 64) + " -> 1.0.1@sha256:" + strings.Repeat("1", 64),
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			old := ""
			if _, err := os.Stat(filepath.Join(r.dir, test.file)); err == nil {
				old = r.read(t, test.file)
			}
			r.write(t, test.file, test.change(old))
			r.must(t, "git", "add", "--all")
			out, err := r.run(t, "git", "commit", "--message="+test.message)
			if len(test.hooks) == 0 {
				if err != nil {
					t.Fatalf("%v:\n%s", err, out)
				}
				return
			}
			t.Cleanup(func() { r.must(t, "git", "reset", "--quiet", "--hard") })
			if err == nil {
				t.Fatalf("it was committed:\n%s", out)
			}
			var hooks []string
			for _, m := range regexp.MustCompile(`(?m)^- hook id: (.+)$`).FindAllStringSubmatch(out, -1) {
				hooks = append(hooks, m[1])
			}
			if !slices.Equal(hooks, test.hooks) {
				t.Errorf("it was stopped by %q, not by %q:\n%s", hooks, test.hooks, out)
			}
			for _, s := range test.says {
				if !strings.Contains(out, s) {
					t.Errorf("it does not say %q:\n%s", s, out)
				}
			}
			if strings.Contains(out, key) {
				t.Errorf("the secret is in the output:\n%s", out)
			}
			if test.mended != "" && !strings.Contains(r.read(t, test.file), test.mended) {
				t.Errorf("%s was not formatted:\n%s", test.file, r.read(t, test.file))
			}
		})
	}
}
