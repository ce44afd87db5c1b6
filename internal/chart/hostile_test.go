package chart

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
)

// headers makes an archive of PAX global headers of the given size.
func headers(t testing.TB, n, size int) []byte {
	t.Helper()
	var out bytes.Buffer
	gz, err := gzip.NewWriterLevel(&out, gzip.BestSpeed)
	if err != nil {
		t.Fatal(err)
	}
	tw := tar.NewWriter(gz)
	for range n {
		h := &tar.Header{Typeflag: tar.TypeXGlobalHeader, PAXRecords: map[string]string{"comment": strings.Repeat("x", size)}}
		if err := tw.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(tw.Close(), gz.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestGlobalHeaders(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		data []byte
		want string
	}{
		"many":  {headers(t, maxFiles+1, 1), "chart web does not load: it has more than 20000 files"},
		"large": {headers(t, 600, 1_000_000), "chart web does not load: it unpacks to more than 512 MiB"},
	} {
		if _, err := packaged(t.Context(), "web", tc.data); problem(err) != tc.want {
			t.Errorf("%s: got %s, want %s", name, problem(err), tc.want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := packaged(ctx, "web", packWeb(t, "1.0.0")); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want an interruption", err)
	}
}

func TestRedact(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"https://example.com/charts":              "https://example.com/charts",
		"https://user:secret@example.com/charts":  "https://xxxxx@example.com/charts",
		"https://secret@example.com":              "https://xxxxx@example.com",
		"https://example.com/x?token=secret#part": "https://example.com/x?xxxxx#xxxxx",
		"https://user:sec%ret@example.com":        "a URL that cannot be read",
	} {
		if got := redact(in); got != want {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
	}
	if got, want := redactAll("unable to access 'https://secret@example.com/x.git/': no"), "unable to access 'https://xxxxx@example.com/x.git/': no"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestNoSecrets: no message has a login or a query of a URL.
func TestNoSecrets(t *testing.T) {
	t.Parallel()
	s := newStore(t, Options{})
	srv := serve(t, "1.0.0")
	srv.files["/charts/index.yaml"] = []byte("entries: {web: [{version: 1.0.0, urls: ['ftp://secret@example.com/a?key=secret']}]}")
	_, index := s.Repository(t.Context(), srv.URL+"/charts", "web", "1.0.0")
	_, oci := s.OCI(t.Context(), OCI{URL: "oci://robot:secret@ghcr.io/x/web"})
	_, token := s.OCI(t.Context(), OCI{URL: "https://secret@ghcr.io/x/web"})
	_, git := s.Git(t.Context(), Git{URL: "ftp://secret@example.com/x"})
	_, dep := s.Tree(t.Context(), tree(map[string]string{
		"web/Chart.yaml": chartYAML("web", "1.0.0", "dependencies: [{name: a, version: 1.0.0, repository: 'ftp://secret@example.com/a?key=secret'}]"),
	}), "web")
	for name, err := range map[string]error{
		"index": index, "oci": oci, "token": token, "git": git, "dependency": dep,
		"git's words": refusal("fatal: unable to access 'https://secret@example.com/x.git/': no\n"),
	} {
		if got := problem(err); !strings.Contains(got, "xxxxx") || strings.Contains(got, "secret") {
			t.Errorf("%s: %q has a secret, or is about something else", name, got)
		}
	}
}

func TestGitEnvironment(t *testing.T) {
	t.Parallel()
	got := environment([]string{
		"HOME=/h", "GIT_DIR=a", "GIT_OBJECT_DIRECTORY=b", "GIT_ALTERNATE_OBJECT_DIRECTORIES=c", "GIT_CONFIG_COUNT=1",
		"GIT_CONFIG_PARAMETERS=d", "GIT_SSH_COMMAND=ssh -i k", "GIT_CONFIG_GLOBAL=/g", "GIT_SSL_CAINFO=/ca", "GIT_SSL_NO_VERIFY=1",
		"SSH_AUTH_SOCK=/s",
	})
	want := []string{"HOME=/h", "GIT_SSH_COMMAND=ssh -i k", "GIT_CONFIG_GLOBAL=/g", "GIT_SSL_CAINFO=/ca", "SSH_AUTH_SOCK=/s"}
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestGitInAHook: neither the variables of a hook nor the configuration of the
// current folder's repository reach git. Not parallel: it sets both.
func TestGitInAHook(t *testing.T) {
	url, _, _ := gitRepository(t)
	here := strings.TrimPrefix(url, "file://")
	config := filepath.Join(here, ".git", "config")
	f, err := os.OpenFile(config, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("[url \"file:///gone\"]\n\tinsteadOf = " + url + "\n"); err != nil {
		t.Fatal(err)
	}
	f.Close()
	objects := t.TempDir()
	t.Chdir(here)
	t.Setenv("GIT_OBJECT_DIRECTORY", objects)
	if _, err := newStore(t, Options{}).Git(t.Context(), Git{URL: url, Branch: "main"}); err != nil {
		t.Fatal(problem(err))
	}
	left, err := os.ReadDir(objects)
	if err != nil || len(left) > 0 {
		t.Errorf("git wrote %v into the hook's objects (%v)", left, err)
	}
}
