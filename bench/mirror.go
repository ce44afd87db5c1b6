package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// What the figures of group mirror are about.
const (
	mirrorFiles   = 2_000
	mirrorCommits = 5_000 // of the source
	mirrorHistory = 500   // of the mirror that is verified
)

// measureMirror publishes a large repository to a Git server over HTTP, and verifies a
// long mirror.
func measureMirror(ctx context.Context, b *bench) error {
	dir, err := os.MkdirTemp("", "lumacore-bench-mirror-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	m := &mirrorRun{bench: b, dir: dir, key: filepath.Join(dir, "key")}
	git, err := exec.LookPath("git")
	if err != nil {
		return err
	}
	server := httptest.NewServer(&cgi.Handler{
		Path: git, Args: []string{"http-backend"},
		Env: []string{"GIT_PROJECT_ROOT=" + filepath.Join(dir, "server"), "GIT_HTTP_EXPORT_ALL=1", "REMOTE_USER=bench", "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null"},
	})
	defer server.Close()
	// A push above 1 MiB comes in chunks, which package cgi refuses.
	handler := server.Config.Handler
	server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.TransferEncoding = nil
		handler.ServeHTTP(w, r)
	})
	m.url = server.URL
	if _, err := m.run(ctx, dir, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "mirror", "-f", m.key); err != nil {
		return err
	}
	if err := m.sync(ctx); err != nil {
		return err
	}
	return m.verify(ctx)
}

type mirrorRun struct {
	*bench
	dir, key, url string
}

func (m *mirrorRun) run(ctx context.Context, dir, program string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_AUTHOR_NAME=bench", "GIT_AUTHOR_EMAIL=bench@example.com", "GIT_COMMITTER_NAME=bench", "GIT_COMMITTER_EMAIL=bench@example.com")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w\n%s", program, strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out)), nil
}

// repository makes a source with so many files, each changed now and then in so many
// commits, and an empty mirror of it.
func (m *mirrorRun) repository(ctx context.Context, name string, files, commits int) (dir, url string, err error) {
	dir = filepath.Join(m.dir, name)
	bare := filepath.Join(m.dir, "server", name+".git")
	public, err := os.ReadFile(m.key + ".pub")
	if err != nil {
		return "", "", err
	}
	var in bytes.Buffer
	blob := func(path, content string) {
		fmt.Fprintf(&in, "M 100644 inline %s\ndata %d\n%s\n", path, len(content), content)
	}
	for n := range commits {
		fmt.Fprintf(&in, "commit refs/heads/main\ncommitter bench <bench@example.com> %d +0000\ndata 7\nfeat: x\n", 1_750_000_000+n*60)
		if n == 0 {
			blob("lumacore.yaml", "apiVersion: lumacore.dev/v1alpha1\nkind: Config\npublicIdentity: {name: octocat, email: octocat@users.noreply.github.com}\nmirror:\n  docs: none\n  private: {words: [Theodora Quillfeather], domains: [quillfeather.house]}\n  signers: ['"+strings.TrimSpace(string(public))+"']\n")
			for i := range files {
				blob(manifest(i), deployment(i, 0))
			}
			continue
		}
		blob(manifest(n%files), deployment(n%files, n))
	}
	for _, args := range [][]string{
		{"init", "--quiet", "--initial-branch=main", dir},
		{"init", "--quiet", "--bare", "--initial-branch=main", bare},
		{"-C", bare, "config", "http.receivepack", "true"},
	} {
		if _, err := m.run(ctx, m.dir, "git", args...); err != nil {
			return "", "", err
		}
	}
	cmd := exec.CommandContext(ctx, "git", "-C", dir, "fast-import", "--quiet")
	cmd.Stdin = &in
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", "", fmt.Errorf("git fast-import: %w\n%s", err, out)
	}
	_, err = m.run(ctx, dir, "git", "checkout", "--quiet", "--force", "main")
	return dir, m.url + "/" + name + ".git", err
}

func manifest(i int) string { return fmt.Sprintf("apps/app-%03d/base/part-%02d.yaml", i/20, i%20) }

func deployment(i, version int) string {
	return fmt.Sprintf(`apiVersion: apps/v1
kind: Deployment
metadata:
  name: app-%[1]d
  labels:
    app.kubernetes.io/name: app-%[1]d
spec:
  replicas: 2
  template:
    spec:
      containers:
        - name: app
          image: ghcr.io/example/app-%[1]d:1.%[2]d.0@sha256:%064[3]x
          env:
            - name: LISTEN
              value: 0.0.0.0:8080
            - name: DATABASE
              value: postgres.app-%[1]d.svc.cluster.local
          resources:
            requests: {cpu: 10m, memory: 64Mi}
            limits: {memory: 128Mi}
`, i, version, i*7919+version)
}

// publish runs mirror sync, and holds what it says against what must come out.
func (m *mirrorRun) publish(ctx context.Context, dir, url, revision, cache, result string) (usage, error) {
	out := filepath.Join(m.dir, "report.json")
	u, err := job{
		program: program(m.lumacore), dir: dir, cache: cache, output: out,
		args: []string{"mirror", "sync", "--to", url, "--revision", revision, "--signing-key-file", m.key, "-o", "json"},
	}.run(ctx)
	if err != nil {
		return u, err
	}
	var r struct {
		Result  string
		Changes []any
	}
	data, err := os.ReadFile(out)
	if err == nil {
		err = json.Unmarshal(data, &r)
	}
	if err == nil && r.Result != result {
		err = fmt.Errorf("mirror sync says %q, want %q", r.Result, result)
	}
	return u, err
}

// sync measures a sync with one changed file, after one that published all.
func (m *mirrorRun) sync(ctx context.Context) error {
	dir, url, err := m.repository(ctx, "large", mirrorFiles, mirrorCommits)
	if err != nil {
		return err
	}
	cache := filepath.Join(m.dir, "cache-large")
	first, err := m.publish(ctx, dir, url, "HEAD", cache, "pushed")
	if err != nil {
		return err
	}
	saw := fmt.Sprintf("%d files, %d commits", mirrorFiles, mirrorCommits)
	m.add("mirror.first", "s", none, first.seconds).Saw = saw + ", an empty mirror, nothing searched before"
	var samples []float64
	memory := first.memory
	for i := range 5 {
		if err := os.WriteFile(filepath.Join(dir, manifest(i)), []byte(deployment(i, 900_000+i)), 0o644); err != nil {
			return err
		}
		if _, err := m.run(ctx, dir, "git", "commit", "--quiet", "--all", "--message", "feat: one file"); err != nil {
			return err
		}
		u, err := m.publish(ctx, dir, url, "HEAD", cache, "pushed")
		if err != nil {
			return err
		}
		samples, memory = append(samples, u.seconds), max(memory, u.memory)
	}
	m.add("mirror.sync", "s", most(3), samples...).Saw = saw + ", one changed file; without documentation"
	m.add("mirror.sync.memory", "MB", most(500), memory).Saw = "the larger of both"
	return nil
}

// verify measures a verification of a mirror with a long history, and a second one.
func (m *mirrorRun) verify(ctx context.Context) error {
	dir, url, err := m.repository(ctx, "long", 400, mirrorHistory)
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "publishing %d commits, one by one\n", mirrorHistory)
	cache := filepath.Join(m.dir, "cache-long")
	revisions, err := m.run(ctx, dir, "git", "rev-list", "--reverse", "HEAD")
	if err != nil {
		return err
	}
	for revision := range strings.FieldsSeq(revisions) {
		if _, err := m.publish(ctx, dir, url, revision, cache, "pushed"); err != nil {
			return err
		}
	}
	fresh := filepath.Join(m.dir, "cache-verify")
	var took []usage
	for range 2 {
		out := filepath.Join(m.dir, "verify.json")
		u, err := job{program: program(m.lumacore), dir: dir, cache: fresh, output: out, args: []string{"mirror", "verify", url, "-o", "json"}}.run(ctx)
		if err != nil {
			return err
		}
		var v struct {
			Result              string
			Commits, Recomputed int
			NotChecked          []string
		}
		data, err := os.ReadFile(out)
		if err == nil {
			err = json.Unmarshal(data, &v)
		}
		if err == nil && (v.Result != "clean" || v.Commits != mirrorHistory || v.Recomputed != mirrorHistory || len(v.NotChecked) > 0) {
			err = fmt.Errorf("mirror verify says %+v", v)
		}
		if err != nil {
			return err
		}
		took = append(took, u)
	}
	saw := fmt.Sprintf("%d commits, each signed and made anew from its source, 400 files", mirrorHistory)
	m.add("mirror.verify.500", "s", most(30), took[0].seconds).Saw = saw
	m.add("mirror.verify.again", "s", none, took[1].seconds).Saw = "nothing new"
	m.add("mirror.verify.memory", "MB", most(500), max(took[0].memory, took[1].memory)).Saw = "the larger of both"
	return nil
}
