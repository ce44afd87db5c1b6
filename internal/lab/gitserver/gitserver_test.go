package gitserver

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

// server is the handler behind a real listener, with one bare repository that
// has one commit.
type server struct {
	*httptest.Server
	root   string
	pushed atomic.Int32
}

func start(t *testing.T) *server {
	t.Helper()
	s := &server{root: t.TempDir()}
	repo := filepath.Join(s.root, "lumacore.git")
	git(t, "", "init", "--quiet", "--bare", "--initial-branch=main", repo)
	git(t, "", "-C", repo, "config", "http.receivepack", "true")
	tree := git(t, "", "-C", repo, "mktree", "--missing")
	commit := git(t, "", "-C", repo, "commit-tree", tree, "-m", "first")
	git(t, "", "-C", repo, "update-ref", "refs/heads/main", commit)
	h, err := Handler(s.root, "lab", "secret", func() { s.pushed.Add(1) })
	if err != nil {
		t.Fatal(err)
	}
	s.Server = httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

// repo returns the repository's URL; user is USER:PASSWORD or "".
func (s *server) repo(user string) string {
	u, err := url.Parse(s.URL)
	if err != nil {
		panic(err)
	}
	if name, password, ok := strings.Cut(user, ":"); ok {
		u.User = url.UserPassword(name, password)
	}
	return u.String() + "/lumacore.git"
}

func (s *server) head(t *testing.T) string {
	return git(t, "", "-C", filepath.Join(s.root, "lumacore.git"), "rev-parse", "main")
}

// command is git without anybody's configuration, and without a way to ask.
func command(dir string, args ...string) *exec.Cmd {
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_TERMINAL_PROMPT=0",
		"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.org", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.org",
		"no_proxy=*", "LC_ALL=C")
	return cmd
}

func git(t *testing.T, dir string, args ...string) string {
	t.Helper()
	out, err := command(dir, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// clone clones without a credential and adds a commit with a file of n bytes
// that do not compress.
func (s *server) clone(t *testing.T, n int) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "clone")
	git(t, "", "clone", "--quiet", s.repo(""), dir)
	data := make([]byte, n)
	if _, err := rand.Read(data); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "f"), data, 0o600); err != nil {
		t.Fatal(err)
	}
	git(t, dir, "add", "f")
	git(t, dir, "commit", "--quiet", "-m", "second")
	return dir
}

func TestClone(t *testing.T) {
	s := start(t)
	dir := s.clone(t, 10)
	if got := git(t, dir, "rev-parse", "origin/main"); got != s.head(t) {
		t.Errorf("cloned %s, want %s", got, s.head(t))
	}
	if n := s.pushed.Load(); n != 0 {
		t.Errorf("a clone was taken for %d pushes", n)
	}
}

func TestPush(t *testing.T) {
	for name, size := range map[string]int{
		"small": 10,
		// Above http.postBuffer (1 MiB) git sends chunks and no length.
		"large": 3 << 20,
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t)
			dir := s.clone(t, size)
			git(t, dir, "push", "--quiet", s.repo("lab:secret"), "HEAD:main")
			if want := git(t, dir, "rev-parse", "HEAD"); s.head(t) != want {
				t.Errorf("main is %s, want %s", s.head(t), want)
			}
			if s.pushed.Load() == 0 {
				t.Error("pushed was not called")
			}
		})
	}
}

func TestPushRefused(t *testing.T) {
	for name, tt := range map[string]struct{ user, want string }{
		"without a credential": {"", "could not read Username"},
		"wrong password":       {"lab:wrong", "Authentication failed"},
		"empty password":       {"lab:", "Authentication failed"},
		"wrong user":           {"root:secret", "Authentication failed"},
		"longer password":      {"lab:secret2", "Authentication failed"},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t)
			dir := s.clone(t, 10)
			before := s.head(t)
			out, err := command(dir, "push", s.repo(tt.user), "HEAD:main").CombinedOutput()
			if err == nil || !strings.Contains(string(out), tt.want) {
				t.Errorf("git push: %v, %s; want %q", err, out, tt.want)
			}
			if s.head(t) != before {
				t.Error("the push went through")
			}
			if n := s.pushed.Load(); n != 0 {
				t.Errorf("pushed was called %d times", n)
			}
		})
	}
}

// A request that git's own client would not send.
func TestRequests(t *testing.T) {
	s := start(t)
	for name, tt := range map[string]struct {
		method, path string
		header       map[string]string
		user         string
		code         int
		body         string // part of the answer
	}{
		"health":             {"GET", "/healthz", nil, "", 200, "ok\n"},
		"refs for a fetch":   {"GET", "/lumacore.git/info/refs?service=git-upload-pack", nil, "", 200, "# service=git-upload-pack"},
		"protocol v2":        {"GET", "/lumacore.git/info/refs?service=git-upload-pack", map[string]string{"Git-Protocol": "version=2"}, "", 200, "version 2"},
		"unknown protocol":   {"GET", "/lumacore.git/info/refs?service=git-upload-pack", map[string]string{"Git-Protocol": "version=2; rm"}, "", 200, "# service=git-upload-pack"},
		"refs for a push":    {"GET", "/lumacore.git/info/refs?service=git-receive-pack", nil, "lab:secret", 200, "# service=git-receive-pack"},
		"push, no user":      {"POST", "/lumacore.git/git-receive-pack", nil, "", 401, "pushing needs the lab's credential\n"},
		"push refs, no user": {"GET", "/lumacore.git/info/refs?service=git-receive-pack", nil, "", 401, "pushing needs the lab's credential\n"},
		"push, escaped path": {"POST", "/lumacore.git%2Fgit-receive-pack", nil, "", 401, "pushing needs the lab's credential\n"},
		"push, wrong user":   {"POST", "/lumacore.git/git-receive-pack", nil, "lab:x", 401, "pushing needs the lab's credential\n"},
		"push by GET":        {"GET", "/lumacore.git/git-receive-pack", nil, "lab:secret", 405, ""},
		"no repository":      {"GET", "/other.git/info/refs?service=git-upload-pack", nil, "", 404, ""},
		"no service":         {"GET", "/", nil, "", 404, ""},
		"above the root":     {"GET", "/../secret.git/info/refs?service=git-upload-pack", nil, "", 500, ""},
		"above, escaped":     {"GET", "/%2e%2e/secret.git/info/refs?service=git-upload-pack", nil, "", 500, ""},
		"above, inside":      {"GET", "/lumacore.git/../../secret.git/HEAD", nil, "", 500, ""},
		"NUL in the path":    {"GET", "/lumacore.git/HEAD%00", nil, "", 500, ""},
	} {
		t.Run(name, func(t *testing.T) {
			// A client of net/http would clean the path.
			conn, err := net.Dial("tcp", s.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			req := &http.Request{Method: tt.method, URL: &url.URL{Opaque: tt.path}, Host: "lab", Header: http.Header{}}
			for k, v := range tt.header {
				req.Header.Set(k, v)
			}
			if user, password, ok := strings.Cut(tt.user, ":"); ok {
				req.SetBasicAuth(user, password)
			}
			req.Close = true
			if err := req.Write(conn); err != nil {
				t.Fatal(err)
			}
			raw, err := io.ReadAll(conn)
			if err != nil {
				t.Fatal(err)
			}
			head, body, _ := strings.Cut(string(raw), "\r\n\r\n")
			if want := fmt.Sprintf("HTTP/1.1 %d ", tt.code); !strings.HasPrefix(head, want) || !strings.Contains(body, tt.body) {
				t.Errorf("answer:\n%s\n\n%q\nwant %s and %q", head, body, want, tt.body)
			}
			if tt.code == 401 && !strings.Contains(head, `Www-Authenticate: Basic realm="lumacore lab"`) {
				t.Errorf("does not ask for a credential:\n%s", head)
			}
		})
	}
	if n := s.pushed.Load(); n != 0 {
		t.Errorf("pushed was called %d times", n)
	}
}

// The credential is not handed to git, whose hooks and children could show it.
func TestCredentialStaysHere(t *testing.T) {
	dir := t.TempDir()
	env := filepath.Join(dir, "env")
	fake := filepath.Join(dir, "git")
	script := "#!/bin/sh\nenv > " + env + "\nprintf 'Content-Type: text/plain\\r\\n\\r\\n'\n"
	if err := os.WriteFile(fake, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	t.Setenv("GITHUB_TOKEN", "ghp_of_the_caller")
	h, err := Handler(dir, "lab", "secret", func() {})
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest("POST", "/lumacore.git/git-receive-pack", strings.NewReader("x"))
	r.SetBasicAuth("lab", "secret")
	r.Header.Set("Git-Protocol", "version=2")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	b, err := os.ReadFile(env)
	if err != nil {
		t.Fatalf("%v; answer %d %s", err, w.Code, w.Body)
	}
	for _, bad := range []string{"AUTHORIZATION", "secret", "ghp_of_the_caller"} {
		if bytes.Contains(b, []byte(bad)) {
			t.Errorf("git's environment has %s:\n%s", bad, b)
		}
	}
	for _, want := range []string{"REMOTE_USER=lab\n", "GIT_PROJECT_ROOT=" + dir + "\n", "GIT_PROTOCOL=version=2\n", "GIT_CONFIG_GLOBAL=/dev/null\n", "GIT_CONFIG_NOSYSTEM=1\n"} {
		if !bytes.Contains(b, []byte(want)) {
			t.Errorf("git's environment lacks %s:\n%s", want, b)
		}
	}
}

// endless is a body that does not end; it counts what was taken of it.
type endless struct{ n int64 }

func (e *endless) Read(b []byte) (int, error) {
	e.n += int64(len(b))
	return len(b), nil
}

func TestOversizedBody(t *testing.T) {
	dir := t.TempDir()
	fake := filepath.Join(dir, "git") // takes everything
	if err := os.WriteFile(fake, []byte("#!/bin/sh\ncat > /dev/null\nprintf 'Content-Type: text/plain\\r\\n\\r\\n'\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	h, err := Handler(dir, "lab", "secret", func() {})
	if err != nil {
		t.Fatal(err)
	}
	for _, chunked := range []bool{false, true} {
		t.Run(fmt.Sprint("chunked=", chunked), func(t *testing.T) {
			body := &endless{}
			r := httptest.NewRequest("POST", "/lumacore.git/git-upload-pack", body)
			r.ContentLength = -1
			if chunked {
				r.TransferEncoding = []string{"chunked"}
			}
			h.ServeHTTP(httptest.NewRecorder(), r)
			if over := body.n - maxBody; over < 0 || over > 1<<20 {
				t.Errorf("%d bytes were read, want about %d", body.n, maxBody)
			}
		})
	}
}

func TestNoGit(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, err := Handler(t.TempDir(), "", "", nil)
	if want := `find git: exec: "git": executable file not found in $PATH`; err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

// Whatever git would take for a push must be taken for one here, however the
// URL is written, and no URL brings the handler down. git looks at the end of
// the path for the push itself, and for the refs at the parameter "service", of
// which the last one counts.
func FuzzIsPush(f *testing.F) {
	for _, s := range []string{
		"/lumacore.git/git-receive-pack", "/lumacore.git/info/refs?service=git-receive-pack",
		"/lumacore.git/info/refs?service=git-upload-pack", "/a%2fgit-receive-pack", "/git-receive-pack?x=1",
		"/info/refs?service=git-upload-pack&service=git-receive-pack", "/info/refs?service=git%2Dreceive-pack",
		"/info/refs?a;b&service=git-receive-pack", "/../git-receive-pack", "/%00", "//", "/?%zz",
		"/info/refs?servic%65=git-receive-pack", "/git-receive-pack/", "/lumacore.git/git-receive-pac%6B",
	} {
		f.Add(s)
	}
	h, err := Handler(f.TempDir(), "lab", "secret", func() { f.Error("pushed without a credential") })
	if err != nil {
		f.Skip(err)
	}
	f.Fuzz(func(t *testing.T, target string) {
		u, err := url.ParseRequestURI(target)
		if err != nil || !strings.HasPrefix(u.Path, "/") {
			return
		}
		r := &http.Request{Method: http.MethodPost, URL: u, Header: http.Header{}, Body: http.NoBody, Proto: "HTTP/1.1"}
		w := httptest.NewRecorder()
		want := strings.HasSuffix(u.Path, "/git-receive-pack")
		for _, v := range u.Query()["service"] {
			want = want || v == "git-receive-pack"
		}
		if got := isPush(r); want && !got {
			t.Fatalf("%q is not taken for a push", target)
		}
		if !isPush(r) {
			return // git itself decides; TestRequests covers it
		}
		if h.ServeHTTP(w, r); w.Code != http.StatusUnauthorized {
			t.Fatalf("%q without a credential: %d, want 401", target, w.Code)
		}
	})
}
