//go:build e2e

package pipelines

import (
	"bytes"
	"context"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"lumacore.dev/lumacore/blueprint"
)

// repository is a clone of an owner's repository: main, and a branch "change" with what a
// merge request brings.
type repository struct {
	*testing.T
	dir  string
	base string // the commit where the branch began
	vars map[string]string
}

// newRepository makes one with main alone; prepare may change what main has.
func newRepository(t *testing.T, prepare ...func(r *repository)) *repository {
	t.Helper()
	r := &repository{T: t, dir: filepath.Join(t.TempDir(), "infra"), vars: map[string]string{}}
	files, err := fs.Sub(blueprint.Files, ".")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(r.dir, files); err != nil {
		t.Fatal(err)
	}
	r.git("init", "--quiet", "--initial-branch=main")
	// gitlab-ci-local wants to know where the project is; nobody asks there.
	r.git("remote", "add", "origin", "git@gitlab.example.org:homelab/infra.git")
	for _, f := range prepare {
		f(r)
	}
	r.commit("feat: the blueprint")
	r.base = strings.TrimSpace(r.git("rev-parse", "HEAD"))
	r.git("update-ref", "refs/remotes/origin/main", r.base)
	r.git("symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/main")
	r.git("checkout", "--quiet", "-b", "change")
	return r
}

// environment is that of git and of jobs: nothing of this machine's user.
func (r *repository) environment() []string {
	home := filepath.Dir(r.dir)
	return append(os.Environ(), "HOME="+home, "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null",
		"GIT_AUTHOR_NAME=owner", "GIT_AUTHOR_EMAIL=owner@example.org", "GIT_COMMITTER_NAME=owner", "GIT_COMMITTER_EMAIL=owner@example.org",
		"LUMACORE_OFFLINE=true", "GOFLAGS=-mod=mod", "GCL_IGNORE_PREDEFINED_VARS="+strings.Join(r.names(), ","))
}

func (r *repository) names() []string {
	var names []string
	for name := range r.vars {
		names = append(names, name)
	}
	return append(names, "CI_PIPELINE_SOURCE", "CI_MERGE_REQUEST_DIFF_BASE_SHA", "CI_COMMIT_BRANCH")
}

func (r *repository) git(arguments ...string) string {
	r.Helper()
	cmd := exec.CommandContext(r.Context(), "git", arguments...)
	cmd.Dir, cmd.Env = r.dir, r.environment()
	out, err := cmd.CombinedOutput()
	if err != nil {
		r.Fatalf("git %s: %v\n%s", strings.Join(arguments, " "), err, out)
	}
	return string(out)
}

func (r *repository) commit(message string, options ...string) {
	r.Helper()
	r.git("add", "--all")
	r.git(append([]string{"commit", "--quiet", "--allow-empty", "--message=" + message}, options...)...)
}

func (r *repository) write(name, text string) {
	r.Helper()
	path := filepath.Join(r.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		r.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		r.Fatal(err)
	}
}

// edit replaces a text that is in the file once or more.
func (r *repository) edit(name, old, text string) {
	r.Helper()
	data, err := os.ReadFile(filepath.Join(r.dir, name))
	if err != nil {
		r.Fatal(err)
	}
	if !bytes.Contains(data, []byte(old)) {
		r.Fatalf("%s has no %q", name, old)
	}
	r.write(name, strings.Replace(string(data), old, text, 1))
}

// mergeRequest are the variables that GitLab sets for the branch.
func (r *repository) mergeRequest() []string {
	return []string{"CI_PIPELINE_SOURCE=merge_request_event", "CI_MERGE_REQUEST_DIFF_BASE_SHA=" + r.base}
}

// local runs gitlab-ci-local.
func (r *repository) local(variables []string, arguments ...string) (output string, ok bool) {
	r.Helper()
	ctx, cancel := context.WithTimeout(r.Context(), 10*time.Minute)
	defer cancel()
	arguments = append(slices.Clone(arguments), "--state-dir=../state", "--no-color", "--no-artifacts-to-source")
	for name, value := range r.vars {
		arguments = append(arguments, "--variable", name+"="+value)
	}
	for _, v := range variables {
		arguments = append(arguments, "--variable", v)
	}
	cmd := exec.CommandContext(ctx, "gitlab-ci-local", arguments...)
	cmd.Dir, cmd.Env = r.dir, r.environment()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if ctx.Err() != nil {
		r.Fatalf("gitlab-ci-local %s: %v", strings.Join(arguments, " "), ctx.Err())
	}
	if slices.ContainsFunc(arguments, func(a string) bool { return strings.HasPrefix(a, "--list") }) {
		if err != nil {
			r.Fatalf("gitlab-ci-local %s: %v\n%s", strings.Join(arguments, " "), err, stderr.String())
		}
		return stdout.String(), true
	}
	return stdout.String() + stderr.String(), err == nil
}

// run runs jobs, each in a copy of what is committed, with what they need.
func (r *repository) run(variables []string, jobs ...string) (output string, ok bool) {
	r.Helper()
	return r.local(variables, append(slices.Clone(jobs), "--needs", "--force-shell-executor", "--shell-isolation", "--json-schema-validation=false", "--concurrency=2")...)
}
