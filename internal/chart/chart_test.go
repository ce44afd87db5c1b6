package chart

import (
	"archive/tar"
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"lumacore.dev/lumacore/internal/gitops"
)

func TestMain(m *testing.M) {
	// No login of whoever runs the tests goes to the servers here.
	dir, err := os.MkdirTemp("", "lumacore-docker-")
	if err == nil {
		err = os.Setenv("DOCKER_CONFIG", dir)
	}
	if err != nil {
		log.Fatal(err)
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

func newStore(t testing.TB, o Options) *Store {
	t.Helper()
	o.CacheDir = cmp.Or(o.CacheDir, t.TempDir())
	s, err := NewStore(o)
	if err != nil {
		t.Fatal(err)
	}
	s.git = append(s.git, "file")
	return s
}

// offline returns a store that sees what s kept.
func offline(t testing.TB, s *Store) *Store {
	t.Helper()
	return newStore(t, Options{CacheDir: s.cache.dir, Offline: true})
}

// file is one entry of an archive.
type file struct {
	name, content string
	kind          byte // tar.TypeReg if zero
}

func archiveOf(t testing.TB, files ...file) []byte {
	t.Helper()
	var b bytes.Buffer
	gz, err := gzip.NewWriterLevel(&b, gzip.BestSpeed)
	if err != nil {
		t.Fatal(err)
	}
	tw := tar.NewWriter(gz)
	for _, f := range files {
		h := &tar.Header{Typeflag: cmp.Or(f.kind, tar.TypeReg), Name: f.name, Mode: 0o644}
		if h.Typeflag == tar.TypeReg {
			h.Size = int64(len(f.content))
		} else {
			h.Linkname, f.content = f.content, ""
		}
		if err := tw.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(tw, f.content); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(tw.Close(), gz.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// pack makes an archive of a chart "web".
func packWeb(t testing.TB, version string, more ...file) []byte {
	t.Helper()
	return archiveOf(t, append([]file{
		{name: "web/Chart.yaml", content: "apiVersion: v2\nname: web\nversion: " + version + "\n"},
		{name: "web/values.yaml", content: "color: blue\nsize: {width: 1}\n"},
	}, more...)...)
}

// problem returns what an error says, with its next step.
func problem(err error) string {
	var u *Unavailable
	if errors.As(err, &u) {
		s := "unavailable: " + u.Error()
		if u.Missing {
			s = "missing: " + u.Error()
		}
		if u.Next != "" {
			s += " NEXT " + u.Next
		}
		return s
	}
	if err == nil {
		return ""
	}
	return err.Error()
}

// helmRepository is an HTTP chart repository that counts what it is asked for.
type helmRepository struct {
	*httptest.Server
	mu    sync.Mutex
	files map[string][]byte // path -> content
	asked map[string]int
}

func (r *helmRepository) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked[req.URL.Path]++
	data, ok := r.files[req.URL.Path]
	if !ok {
		http.NotFound(w, req)
		return
	}
	w.Write(data)
}

func (r *helmRepository) count(path string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.asked[path]
}

// serve serves a repository below /charts with the given versions of the chart web.
func serve(t testing.TB, versions ...string) *helmRepository {
	t.Helper()
	r := &helmRepository{files: map[string][]byte{}, asked: map[string]int{}}
	idx := "apiVersion: v1\nentries:\n  web:\n"
	for _, v := range versions {
		data := packWeb(t, v)
		r.files["/charts/web-"+v+".tgz"] = data
		idx += fmt.Sprintf("  - {name: web, version: %q, digest: %s, urls: [%q]}\n", v, sum(data), "web-"+v+".tgz")
	}
	r.files["/charts/index.yaml"] = []byte(idx)
	r.Server = httptest.NewServer(r)
	t.Cleanup(r.Close)
	return r
}

func TestRepositoryVersions(t *testing.T) {
	t.Parallel()
	r := serve(t, "1.0.0", "1.2.0", "1.10.0", "2.0.0-rc.1", "v3.0.0", "not-a-version")
	for _, tc := range []struct{ version, want, problem string }{
		{"1.2.0", "1.2.0", ""},
		{"", "v3.0.0", ""},
		{"*", "v3.0.0", ""},
		{"1.x", "1.10.0", ""},
		{">=1.0.0 <1.10.0", "1.2.0", ""},
		{"~1.2", "1.2.0", ""},
		{">=2.0.0-0 <3", "2.0.0-rc.1", ""},
		{"v3.0.0", "v3.0.0", ""},
		{"9.9.9", "", `missing: chart web 9.9.9 of URL cannot be had: none of the 6 versions in the repository's index is "9.9.9" NEXT write a chart and a version that the repository has`},
		{"latest", "", `missing: chart web latest of URL cannot be had: "latest" is neither a version nor a range of versions NEXT write a chart and a version that the repository has`},
	} {
		t.Run(tc.version, func(t *testing.T) {
			t.Parallel()
			c, err := newStore(t, Options{}).Repository(t.Context(), r.URL+"/charts/", "web", tc.version)
			if got := strings.ReplaceAll(problem(err), r.URL+"/charts/", "URL"); got != tc.problem {
				t.Fatalf("got  %q\nwant %q", got, tc.problem)
			}
			if err == nil && c.Version != tc.want {
				t.Errorf("version %s, want %s", c.Version, tc.want)
			}
		})
	}
}

func TestRepositoryProblems(t *testing.T) {
	t.Parallel()
	good := packWeb(t, "1.0.0")
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", code) }
	}
	index := func(entry string) http.HandlerFunc {
		return func(w http.ResponseWriter, req *http.Request) {
			if strings.HasSuffix(req.URL.Path, "/index.yaml") {
				fmt.Fprintf(w, "apiVersion: v1\nentries:\n  web: [%s]\n", entry)
				return
			}
			w.Write(good)
		}
	}
	for name, tc := range map[string]struct {
		handler http.HandlerFunc
		want    string
	}{
		"401":       {status(401), "unavailable: chart web 1.0.0 of URL cannot be had: URL/index.yaml wants a login (401 Unauthorized) NEXT charts of HTTP repositories are read without a login; put the chart into the repository, or into a registry that `docker login` knows"},
		"404":       {status(404), "missing: chart web 1.0.0 of URL cannot be had: URL/index.yaml is not there (404 Not Found) NEXT look at the repository's URL"},
		"500":       {status(500), "unavailable: chart web 1.0.0 of URL cannot be had: URL/index.yaml answers 500 Internal Server Error NEXT " + nextNetwork},
		"no-yaml":   {func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<html>: [\n") }, "unavailable: chart web 1.0.0 of URL cannot be had: its index.yaml cannot be read: yaml: line 1: did not find expected node content NEXT " + nextNetwork},
		"empty":     {func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "entries: {}\n") }, "unavailable: chart web 1.0.0 of URL cannot be had: its index.yaml lists no charts NEXT " + nextNetwork},
		"no-chart":  {func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "entries: {api: []}\n") }, `missing: chart web 1.0.0 of URL cannot be had: the repository's index has no chart "web" NEXT write a chart and a version that the repository has`},
		"no-url":    {index("{version: 1.0.0}"), "missing: chart web 1.0.0 of URL cannot be had: the repository's index gives no URL for it"},
		"file-url":  {index("{version: 1.0.0, urls: ['file:///etc/passwd']}"), `missing: chart web 1.0.0 of URL cannot be had: the repository's index gives the URL "file:///etc/passwd" for it: it is no http or https URL`},
		"digest":    {index("{version: 1.0.0, urls: [web.tgz], digest: " + strings.Repeat("0", 64) + "}"), "unavailable: chart web 1.0.0 of URL cannot be had: what URL/web.tgz gives has the SHA-256 " + sum(good) + "; the repository's index says " + strings.Repeat("0", 64) + " NEXT do not use the chart before its publisher has explained the difference"},
		"redirects": {func(w http.ResponseWriter, req *http.Request) { http.Redirect(w, req, "/again", http.StatusFound) }, "unavailable: chart web 1.0.0 of URL cannot be had: more than 5 redirects NEXT " + nextNetwork},
		"nulls":     {index("null, {version: 1.0.0, urls: [web.tgz]}"), ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := httptest.NewServer(tc.handler)
			defer srv.Close()
			_, err := newStore(t, Options{}).Repository(t.Context(), srv.URL, "web", "1.0.0")
			if got := strings.ReplaceAll(problem(err), srv.URL, "URL"); got != tc.want {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
		})
	}
}

func TestNoHTTPRepository(t *testing.T) {
	t.Parallel()
	_, err := newStore(t, Options{}).Repository(t.Context(), "ftp://user:secret@example.com", "web", "")
	if got, want := problem(err), "missing: chart web of ftp://xxxxx@example.com cannot be had: its HelmRepository has no http or https URL"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// TestTLS: a certificate that nobody vouches for is refused, and a repository
// cannot lead from https to http.
func TestTLS(t *testing.T) {
	t.Parallel()
	plain := serve(t, "1.0.0")
	srv := httptest.NewTLSServer(http.RedirectHandler(plain.URL+"/charts/index.yaml", http.StatusFound))
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	defer srv.Close()
	_, err := newStore(t, Options{}).Repository(t.Context(), srv.URL, "web", "")
	if got, want := problem(err), "certificate signed by unknown authority"; !strings.Contains(got, want) {
		t.Errorf("got %s, want %s", got, want)
	}
	s := newStore(t, Options{})
	s.transport = srv.Client().Transport
	_, err = s.Repository(t.Context(), srv.URL, "web", "")
	want := "unavailable: chart web of " + srv.URL + " cannot be had: it redirects from https to http NEXT " + nextNetwork
	if got := problem(err); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// TestRepositoryURLs: URLs of archives are relative to the repository's, whose
// query stays; a repository over TLS works.
func TestRepositoryURLs(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ repository, ref, want string }{
		{"https://example.com/charts", "web-1.tgz", "https://example.com/charts/web-1.tgz"},
		{"https://example.com/charts/", "sub/web-1.tgz", "https://example.com/charts/sub/web-1.tgz"},
		{"https://example.com/charts", "/other/web-1.tgz", "https://example.com/other/web-1.tgz"},
		{"https://example.com/charts?token=a", "web-1.tgz", "https://example.com/charts/web-1.tgz?token=a"},
		{"https://example.com/charts", "https://cdn.example.net/web-1.tgz?x=1", "https://cdn.example.net/web-1.tgz?x=1"},
	} {
		got, err := resolveURL(tc.repository, tc.ref)
		if err != nil || got.String() != tc.want {
			t.Errorf("%s + %s: %v, %v, want %s", tc.repository, tc.ref, got, err, tc.want)
		}
	}
}

func TestCache(t *testing.T) {
	t.Parallel()
	r := serve(t, "1.0.0", "1.1.0")
	at := r.URL + "/charts"
	first := newStore(t, Options{})
	if _, err := first.Repository(t.Context(), at, "web", "1.0.0"); err != nil {
		t.Fatal(err)
	}
	if _, err := first.Repository(t.Context(), at, "web", "1.x"); err != nil {
		t.Fatal(err)
	}
	if n := r.count("/charts/index.yaml"); n != 1 {
		t.Errorf("the index was asked for %d times in one run, want once", n)
	}

	t.Run("an exact version is not asked for again", func(t *testing.T) {
		before := r.count("/charts/index.yaml")
		if _, err := newStore(t, Options{CacheDir: first.cache.dir}).Repository(t.Context(), at, "web", "1.0.0"); err != nil {
			t.Fatal(err)
		}
		if n := r.count("/charts/index.yaml"); n != before {
			t.Errorf("the index was asked for %d more times", n-before)
		}
	})
	t.Run("an archive that the cache has is not downloaded", func(t *testing.T) {
		before := r.count("/charts/web-1.1.0.tgz")
		if _, err := newStore(t, Options{CacheDir: first.cache.dir}).Repository(t.Context(), at, "web", "1.x"); err != nil {
			t.Fatal(err)
		}
		if n := r.count("/charts/web-1.1.0.tgz"); n != before {
			t.Errorf("the archive was downloaded %d more times", n-before)
		}
	})
	t.Run("offline a range is what it last was", func(t *testing.T) {
		c, err := offline(t, first).Repository(t.Context(), at, "web", "1.x")
		if err != nil || c.Version != "1.1.0" {
			t.Errorf("got %v, %v; want 1.1.0", c, err)
		}
	})
	t.Run("offline what is not there is said", func(t *testing.T) {
		_, err := offline(t, first).Repository(t.Context(), at, "web", "2.x")
		want := "unavailable: chart web 2.x of " + at + " cannot be had: the check runs offline, and the cache does not have it NEXT run the check once without --offline where the source can be reached"
		if got := problem(err); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	})
	t.Run("a damaged file is downloaded again, and offline it is not there", func(t *testing.T) {
		blob := filepath.Join(first.cache.dir, "blobs", sum(packWeb(t, "1.0.0")))
		if err := os.WriteFile(blob, []byte("damaged"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := offline(t, first).Repository(t.Context(), at, "web", "1.0.0"); err == nil {
			t.Fatal("a damaged file was used")
		}
		if _, err := newStore(t, Options{CacheDir: first.cache.dir}).Repository(t.Context(), at, "web", "1.0.0"); err != nil {
			t.Fatal(err)
		}
		if _, err := offline(t, first).Repository(t.Context(), at, "web", "1.0.0"); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("a damaged reference is resolved again", func(t *testing.T) {
		err := filepath.WalkDir(filepath.Join(first.cache.dir, "refs"), func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			return os.WriteFile(name, []byte("{"), 0o600)
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := newStore(t, Options{CacheDir: first.cache.dir}).Repository(t.Context(), at, "web", "1.0.0"); err != nil {
			t.Fatal(err)
		}
	})
}

func TestCacheNotWritable(t *testing.T) {
	t.Parallel()
	r := serve(t, "1.0.0")
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := newStore(t, Options{CacheDir: filepath.Join(file, "cache")}).Repository(t.Context(), r.URL+"/charts", "web", "1.0.0")
	want := "unavailable: chart web 1.0.0 of " + r.URL + "/charts cannot be had: it cannot be kept: mkdir " + file + ": not a directory NEXT " + nextCache
	if got := problem(err); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// TestTwoProcesses: two stores fill one folder at the same time.
func TestTwoProcesses(t *testing.T) {
	t.Parallel()
	r := serve(t, "1.0.0", "1.1.0", "1.2.0")
	dir := t.TempDir()
	var wg sync.WaitGroup
	for range 4 {
		s := newStore(t, Options{CacheDir: dir})
		for _, v := range []string{"1.0.0", "1.1.0", "1.2.0", "*"} {
			wg.Go(func() {
				if _, err := s.Repository(t.Context(), r.URL+"/charts", "web", v); err != nil {
					t.Error(err)
				}
			})
		}
	}
	wg.Wait()
	left, err := filepath.Glob(filepath.Join(dir, "*", ".*"))
	if err != nil || len(left) > 0 {
		t.Errorf("temporary files are left: %v %v", left, err)
	}
}

// TestOneDownload: what many ask for at once is downloaded once.
func TestOneDownload(t *testing.T) {
	t.Parallel()
	r := serve(t, "1.0.0")
	s := newStore(t, Options{})
	var wg sync.WaitGroup
	var charts sync.Map
	for range 20 {
		wg.Go(func() {
			c, err := s.Repository(t.Context(), r.URL+"/charts", "web", "1.0.0")
			if err != nil {
				t.Error(err)
			}
			charts.Store(c, true)
		})
	}
	wg.Wait()
	if n := r.count("/charts/web-1.0.0.tgz"); n != 1 {
		t.Errorf("downloaded %d times", n)
	}
	n := 0
	charts.Range(func(any, any) bool { n++; return true })
	if n != 1 {
		t.Errorf("%d charts were parsed, want one that all share", n)
	}
}

// TestKeys: requests that read alike are not taken for one another.
func TestKeys(t *testing.T) {
	t.Parallel()
	type request struct{ a, b string }
	s := newStore(t, Options{})
	started, release := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		_, err := once(t.Context(), s, request{"x y", "z"}, func(context.Context) (int, error) {
			close(started)
			<-release
			return 1, nil
		})
		if err != nil {
			t.Error(err)
		}
	})
	<-started
	got, err := once(t.Context(), s, request{"x", "y z"}, func(context.Context) (int, error) { return 2, nil })
	close(release)
	wg.Wait()
	if got != 2 || err != nil {
		t.Errorf("got %d, %v; want 2", got, err)
	}
}

// TestHangingServer: a server that does not answer costs one timeout, however many
// charts it has.
func TestHangingServer(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	stop := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		asked.Add(1)
		select {
		case <-stop:
		case <-req.Context().Done():
		}
	}))
	defer srv.Close()
	defer close(stop)
	host := strings.TrimPrefix(srv.URL, "http://")
	s := newStore(t, Options{Timeout: 200 * time.Millisecond})
	for _, name := range []string{"web", "api", "db"} {
		_, err := s.Repository(t.Context(), srv.URL+"/"+name, name, "1.0.0")
		want := "unavailable: chart " + name + " 1.0.0 of " + srv.URL + "/" + name + " cannot be had: " + host + " did not answer in time (200ms) NEXT " + nextNetwork
		if got := problem(err); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	_, err := s.OCI(t.Context(), OCI{URL: "oci://" + host + "/charts/web", Tag: "1.0.0"})
	want := "unavailable: chart " + host + "/charts/web:1.0.0 cannot be had: " + host + " did not answer in time (200ms) NEXT " + nextNetwork
	if got := problem(err); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if n := asked.Load(); n > 1 { // on a busy machine the time may be over before the first arrives
		t.Errorf("the server was asked %d times", n)
	}
}

func TestUnreachable(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(nil)
	srv.Close()
	host := strings.TrimPrefix(srv.URL, "http://")
	_, err := newStore(t, Options{}).Repository(t.Context(), srv.URL, "web", "")
	want := "unavailable: chart web of " + srv.URL + " cannot be had: " + host + " cannot be reached: connect: connection refused NEXT " + nextNetwork
	if got := problem(err); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// TestInterrupted: an interruption is one, and does not spoil the chart for others.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	r := serve(t, "1.0.0")
	s := newStore(t, Options{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Repository(ctx, r.URL+"/charts", "web", "1.0.0"); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want an interruption", err)
	}
	if _, err := s.Repository(t.Context(), r.URL+"/charts", "web", "1.0.0"); err != nil {
		t.Error(err)
	}
}

// artifact pushes layers as an OCI artifact and returns its digest.
func artifact(t testing.TB, ref string, layers ...v1.Layer) string {
	t.Helper()
	img := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), "application/vnd.cncf.helm.config.v1+json")
	for _, l := range layers {
		var err error
		if img, err = mutate.Append(img, mutate.Addendum{Layer: l}); err != nil {
			t.Fatal(err)
		}
	}
	tag, err := name.NewTag(ref)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(tag, img); err != nil {
		t.Fatal(err)
	}
	d, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return d.String()
}

func chartLayerOf(data []byte) v1.Layer { return static.NewLayer(data, chartLayer) }

func registryOf(t testing.TB) string {
	t.Helper()
	srv := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(srv.Close)
	return strings.TrimPrefix(srv.URL, "http://")
}

func TestOCI(t *testing.T) {
	t.Parallel()
	host := registryOf(t)
	repo := host + "/charts/web"
	digests := map[string]string{}
	for _, v := range []string{"1.0.0", "1.1.0", "2.0.0-rc.1", "1.2.0+build.5"} {
		tag := strings.ReplaceAll(v, "+", "_")
		digests[v] = artifact(t, repo+":"+tag, chartLayerOf(packWeb(t, v)))
	}
	artifact(t, repo+":latest", chartLayerOf(packWeb(t, "1.1.0")))
	artifact(t, host+"/charts/two:1.0.0", static.NewLayer([]byte("something else"), "text/plain"), chartLayerOf(packWeb(t, "1.0.0")))
	artifact(t, host+"/charts/none:1.0.0", static.NewLayer([]byte("something else"), "text/plain"))
	for name, tc := range map[string]struct {
		ref           OCI
		want, problem string
	}{
		"tag":             {ref: OCI{Tag: "1.0.0"}, want: "1.0.0 1.0.0@" + digests["1.0.0"]},
		"no reference":    {ref: OCI{}, want: "1.1.0 latest@" + digests["1.1.0"]},
		"digest":          {ref: OCI{Digest: digests["1.0.0"], Tag: "1.1.0"}, want: "1.0.0 " + digests["1.0.0"]},
		"semver":          {ref: OCI{SemVer: "1.x", MediaType: chartLayer}, want: "1.2.0+build.5 1.2.0_build.5@" + digests["1.2.0+build.5"]},
		"semver no layer": {ref: OCI{SemVer: "1.x"}, want: "1.1.0 1.1.0@" + digests["1.1.0"]},
		"semver filter":   {ref: OCI{SemVer: ">=1.0.0-0", SemverFilter: `-rc\.`}, want: "2.0.0-rc.1 2.0.0-rc.1@" + digests["2.0.0-rc.1"]},
		"version":         {ref: OCI{Version: "1.2.0+build.5"}, want: "1.2.0+build.5 1.2.0_build.5@" + digests["1.2.0+build.5"]},
		"version range":   {ref: OCI{Version: "<1.2"}, want: "1.1.0 1.1.0@" + digests["1.1.0"]},
		"any version":     {ref: OCI{Version: "*"}, want: "1.2.0+build.5 1.2.0_build.5@" + digests["1.2.0+build.5"]},
		"layer selector":  {ref: OCI{URL: "oci://" + host + "/charts/two", Tag: "1.0.0", MediaType: chartLayer}, want: "1.0.0 "},
		"first layer":     {ref: OCI{URL: "oci://" + host + "/charts/two", Tag: "1.0.0"}, problem: "chart HOST/charts/two:1.0.0 does not load: it is no gzip archive"},
		"no such layer":   {ref: OCI{URL: "oci://" + host + "/charts/none", Version: "1.0.0"}, problem: `missing: chart HOST/charts/none:1.0.0 cannot be had: none of the artifact's 1 layers is of the type "application/vnd.cncf.helm.chart.content.v1.tar+gzip" NEXT look whether it is a chart, and at layerSelector`},
		"no such tag":     {ref: OCI{Tag: "9.9.9"}, problem: "missing: chart HOST/charts/web:9.9.9 cannot be had: HOST does not have it (404: Unknown manifest) NEXT look at its name and tag"},
		"no such repo":    {ref: OCI{URL: "oci://" + host + "/charts/nothing", Tag: "1.0.0"}, problem: "unavailable: chart HOST/charts/nothing:1.0.0 cannot be had: HOST does not have it (404: Unknown name) NEXT look at its name and tag"},
		"no such range":   {ref: OCI{SemVer: "9.x"}, problem: `missing: chart HOST/charts/web (9.x) cannot be had: none of its 5 tags is a version in "9.x" NEXT write a range that the registry has a version for`},
		"bad filter":      {ref: OCI{SemVer: "1.x", SemverFilter: "("}, problem: "missing: chart HOST/charts/web (1.x) cannot be had: its semverFilter is no regular expression: error parsing regexp: missing closing ): `(`"},
		"bad digest":      {ref: OCI{Digest: "sha256:abc"}, problem: `missing: chart HOST/charts/web@sha256:abc cannot be had: "sha256:abc" is no digest`},
		"tag in the URL":  {ref: OCI{URL: "oci://" + host + "/charts/web:1.0.0"}, problem: `missing: chart HOST/charts/web:1.0.0:latest cannot be had: "oci://HOST/charts/web:1.0.0" is no repository of a registry (host/name, in small letters, without a login)`},
		"no oci URL":      {ref: OCI{URL: "https://" + host + "/charts/web"}, problem: `missing: chart https://HOST/charts/web:latest cannot be had: "https://HOST/charts/web" is no oci:// URL`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tc.ref.URL = cmp.Or(tc.ref.URL, "oci://"+repo)
			s := newStore(t, Options{})
			c, err := s.OCI(t.Context(), tc.ref)
			if got := strings.ReplaceAll(problem(err), host, "HOST"); got != tc.problem {
				t.Fatalf("got  %s\nwant %s", got, tc.problem)
			}
			if err != nil {
				return
			}
			if got := c.Version + " " + c.Revision; !strings.HasPrefix(got, tc.want) {
				t.Errorf("got %s, want %s", got, tc.want)
			}
			again, err := offline(t, s).OCI(t.Context(), tc.ref)
			if err != nil || again.Revision != c.Revision || again.Version != c.Version {
				t.Errorf("offline: %v, %v; want what it was online", again, err)
			}
		})
	}
}

// TestOCITagMoves: a tag is looked up in every run.
func TestOCITagMoves(t *testing.T) {
	t.Parallel()
	repo := registryOf(t) + "/charts/web"
	s := newStore(t, Options{})
	ref := OCI{URL: "oci://" + repo, Tag: "stable"}
	for _, v := range []string{"1.0.0", "1.1.0"} {
		artifact(t, repo+":stable", chartLayerOf(packWeb(t, v)))
		c, err := newStore(t, Options{CacheDir: s.cache.dir}).OCI(t.Context(), ref)
		if err != nil || c.Version != v {
			t.Fatalf("got %v, %v; want %s", c, err, v)
		}
	}
	if c, err := offline(t, s).OCI(t.Context(), ref); err != nil || c.Version != "1.1.0" {
		t.Errorf("offline: got %v, %v; want what the tag last was", c, err)
	}
}

func TestOCIRefusals(t *testing.T) {
	t.Parallel()
	for code, want := range map[int]string{
		401: "unavailable: chart HOST/web:1.0.0 cannot be had: HOST refuses it (401: you are nobody) NEXT look at its name; if it is private, `docker login HOST`",
		403: "unavailable: chart HOST/web:1.0.0 cannot be had: HOST refuses it (403: you are nobody) NEXT look at its name; if it is private, `docker login HOST`",
		500: "unavailable: chart HOST/web:1.0.0 cannot be had: HOST answers 500: you are nobody NEXT " + nextNetwork,
	} {
		t.Run(fmt.Sprint(code), func(t *testing.T) {
			t.Parallel()
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
				if req.URL.Path == "/v2/" {
					return
				}
				w.WriteHeader(code)
				io.WriteString(w, `{"errors":[{"code":"DENIED","message":"you are nobody"}]}`)
			}))
			defer srv.Close()
			host := strings.TrimPrefix(srv.URL, "http://")
			_, err := newStore(t, Options{}).OCI(t.Context(), OCI{URL: "oci://" + host + "/web", Tag: "1.0.0"})
			if got := strings.ReplaceAll(problem(err), host, "HOST"); got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
}

func TestArchives(t *testing.T) {
	t.Parallel()
	head := file{name: "web/Chart.yaml", content: "apiVersion: v2\nname: web\nversion: 1.0.0\n"}
	bomb := strings.Repeat("\x00", maxFileSize+1)
	nested := packWeb(t, "1.0.0")
	for range maxNested + 1 {
		nested = packWeb(t, "1.0.0", file{name: "web/charts/web.tgz", content: string(nested)})
	}
	var large []file
	for i := range maxUnpacked/maxFileSize + 1 {
		large = append(large, file{name: fmt.Sprintf("web/files/%d", i), content: bomb[:maxFileSize]})
	}
	var many []file
	for i := range maxFiles + 1 {
		many = append(many, file{name: fmt.Sprintf("web/files/%d", i)})
	}
	half := archiveOf(t, slices.Concat([]file{{name: "web/Chart.yaml", content: "apiVersion: v2\nname: sub\nversion: 1.0.0\n"}}, large[:len(large)/2])...)
	for name, tc := range map[string]struct {
		data []byte
		want string
	}{
		"bomb in one file":        {packWeb(t, "1.0.0", file{name: "web/bomb", content: bomb}), "bomb has more than 16 MiB"},
		"bomb in many files":      {archiveOf(t, append([]file{head}, large...)...), "it unpacks to more than 256 MiB"},
		"bomb in dependencies":    {packWeb(t, "1.0.0", file{name: "web/charts/a.tgz", content: string(half)}, file{name: "web/charts/b.tgz", content: string(half)}), "its dependency charts/b.tgz: it unpacks to more than 256 MiB"},
		"many files":              {archiveOf(t, many...), "it has more than 20000 files"},
		"archives in archives":    {nested, strings.Repeat("its dependency charts/web.tgz: ", maxNested+1) + "it has archives in archives more than 5 deep"},
		"packed too large":        {make([]byte, maxPacked+1), "its archive has more than 32 MiB"},
		"no archive":              {[]byte("<html>"), "it is no gzip archive"},
		"cut off":                 {packWeb(t, "1.0.0")[:60], "its archive is damaged: unexpected EOF"},
		"empty":                   {archiveOf(t), "its archive is empty"},
		"traversal":               {archiveOf(t, head, file{name: "web/../../etc/passwd"}), `"web/../../etc/passwd" in its archive leads out of the chart's folder`},
		"traversal with backward": {archiveOf(t, head, file{name: `web\..\..\x`}), `"web/../../x" in its archive leads out of the chart's folder`},
		"absolute":                {archiveOf(t, head, file{name: "/etc/passwd"}), `"/etc/passwd" in its archive is not in the chart's folder`},
		"absolute in the folder":  {archiveOf(t, head, file{name: "web//etc/passwd"}), `"web//etc/passwd" in its archive leads out of the chart's folder`},
		"drive":                   {archiveOf(t, head, file{name: "web/c:/x"}), `"web/c:/x" in its archive leads out of the chart's folder`},
		"no folder":               {archiveOf(t, file{name: "Chart.yaml", content: head.content}), `"Chart.yaml" in its archive is not in the chart's folder`},
		"symbolic link":           {archiveOf(t, head, file{name: "web/values.yaml", content: "/etc/passwd", kind: tar.TypeSymlink}), "web/values.yaml in its archive is a link or a device"},
		"hard link":               {archiveOf(t, head, file{name: "web/values.yaml", content: "web/Chart.yaml", kind: tar.TypeLink}), "web/values.yaml in its archive is a link or a device"},
		"no Chart.yaml":           {archiveOf(t, file{name: "web/values.yaml"}), "Chart.yaml file is missing"},
		"bad Chart.yaml":          {archiveOf(t, file{name: "web/Chart.yaml", content: "apiVersion: v2\nversion: 1.0.0\n"}), "validation: chart.metadata.name is required"},
		"bad values.yaml":         {archiveOf(t, head, file{name: "web/values.yaml", content: "a: [\n"}), "cannot load values.yaml: cannot unmarshal yaml document: error converting YAML to JSON: yaml: line 1: did not find expected node content"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := packaged(context.Background(), "web", tc.data)
			want := "chart web does not load: " + tc.want
			if got := problem(err); got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
}

func tree(files map[string]string) *gitops.Tree {
	m := map[string][]byte{}
	for name, content := range files {
		m[name] = []byte(content)
	}
	return gitops.FromFiles(m)
}

func chartYAML(name, version string, more ...string) string {
	return fmt.Sprintf("apiVersion: v2\nname: %s\nversion: %s\n%s\n", name, version, strings.Join(more, "\n"))
}

func TestTree(t *testing.T) {
	t.Parallel()
	r := serve(t, "1.0.0", "1.1.0")
	host := registryOf(t)
	artifact(t, host+"/charts/web:1.5.0", chartLayerOf(packWeb(t, "1.5.0")))
	repo := tree(map[string]string{
		"charts/plain/Chart.yaml":         chartYAML("plain", "0.1.0"),
		"charts/plain/.helmignore":        "secret*\ndocs/\n",
		"charts/plain/secret.yaml":        "a: b",
		"charts/plain/docs/a/b.md":        "text",
		"charts/plain/templates/x.yaml":   "{}",
		"charts/plain/templates/.#x.yaml": "an editor's",
		"charts/packed.tgz":               string(packWeb(t, "2.0.0")),
		"charts/deps/Chart.yaml": chartYAML("deps", "0.1.0", "dependencies:",
			"- {name: plain, version: 0.x, repository: file://../plain}",
			"- {name: web, version: 1.0.x, repository: "+r.URL+"/charts}",
			"- {name: web, alias: other, version: 1.x, repository: oci://"+host+"/charts}"),
		"charts/locked/Chart.yaml":     chartYAML("locked", "0.1.0", "dependencies: [{name: web, version: 1.x, repository: "+r.URL+"/charts}]"),
		"charts/locked/Chart.lock":     "dependencies: [{name: web, version: 1.0.0, repository: " + r.URL + "/charts}]",
		"charts/old/Chart.yaml":        "name: old\nversion: 0.1.0\n",
		"charts/old/requirements.yaml": "dependencies: [{name: plain, version: '*', repository: file://../plain}]",
		"charts/wrong/Chart.yaml":      chartYAML("wrong", "0.1.0", "dependencies: [{name: plain, version: 9.x, repository: file://../plain}]"),
		"charts/gone/Chart.yaml":       chartYAML("gone", "0.1.0", "dependencies: [{name: nothing, version: 9.x, repository: file://../nothing}]"),
		"charts/unnamed/Chart.yaml":    chartYAML("unnamed", "0.1.0", "dependencies: [{name: nothing, version: 9.x}]"),
		"charts/alias/Chart.yaml":      chartYAML("alias", "0.1.0", "dependencies: [{name: nothing, version: 9.x, repository: '@stable'}]"),
		"charts/empty/README.md":       "nothing",
		"Chart.yaml":                   chartYAML("root", "0.1.0"),
	})
	for at, want := range map[string]string{
		"charts/plain":           "plain 0.1.0 .helmignore,Chart.yaml,templates/x.yaml",
		"./charts/plain/":        "plain 0.1.0 .helmignore,Chart.yaml,templates/x.yaml",
		"../../charts/plain":     "plain 0.1.0 .helmignore,Chart.yaml,templates/x.yaml",
		"charts/packed.tgz":      "web 2.0.0 Chart.yaml,values.yaml",
		"charts/deps":            "deps 0.1.0 Chart.yaml + other 1.5.0 + plain 0.1.0 + web 1.0.0",
		"charts/locked":          "locked 0.1.0 Chart.lock,Chart.yaml + web 1.0.0",
		"charts/old":             "old 0.1.0 Chart.yaml,requirements.yaml + plain 0.1.0",
		"charts/wrong":           "chart charts/wrong does not load: its dependency plain 9.x has the version 0.1.0 in the tree",
		"charts/gone":            "chart charts/gone does not load: its dependency nothing 9.x of file://../nothing: chart charts/nothing does not load: there is no such folder or file",
		"charts/unnamed":         "chart charts/unnamed does not load: its dependency nothing 9.x is in neither its charts folder nor a repository",
		"charts/alias":           `chart charts/alias does not load: its dependency nothing 9.x has the repository "@stable"; Flux knows file://, http(s):// and oci://`,
		"charts/empty":           "chart charts/empty does not load: there is no Chart.yaml in it",
		"charts/none":            "chart charts/none does not load: there is no such folder or file",
		"charts/empty/README.md": "chart charts/empty/README.md does not load: it is no gzip archive",
	} {
		t.Run(strings.ReplaceAll(at, "/", "_"), func(t *testing.T) {
			t.Parallel()
			c, err := newStore(t, Options{}).Tree(t.Context(), repo, at)
			got := problem(err)
			if err == nil {
				var names []string
				for _, f := range c.loaded.Raw {
					names = append(names, f.Name)
				}
				got = fmt.Sprintf("%s %s %s", c.Name, c.Version, strings.Join(names, ","))
				for _, d := range c.loaded.Dependencies() {
					got += " + " + d.Name() + " " + d.Metadata.Version
				}
			}
			if got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
}

func TestValues(t *testing.T) {
	t.Parallel()
	s := newStore(t, Options{})
	files := map[string]string{
		"charts/web/Chart.yaml":       chartYAML("web", "1.0.0"),
		"charts/web/values.yaml":      "color: blue\nsize: {width: 1}\n",
		"charts/web/values-prod.yaml": "size: {width: 3, height: 2}\n",
		"bare/Chart.yaml":             chartYAML("bare", "1.0.0"),
		"broken.yaml":                 "[",
	}
	repo := tree(files)
	folder, err := s.Tree(t.Context(), repo, "charts/web")
	if err != nil {
		t.Fatal(err)
	}
	bareChart, err := s.Tree(t.Context(), repo, "bare")
	if err != nil {
		t.Fatal(err)
	}
	pack, err := packaged(context.Background(), "web", packWeb(t, "1.0.0", file{name: "web/values-prod.yaml", content: files["charts/web/values-prod.yaml"]}))
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		chart         *Chart
		names         []string
		ignoreMissing bool
		want          string
	}{
		"folder: relative to the tree": {folder, []string{"charts/web/values.yaml", "./charts/web/values-prod.yaml"}, false, "map[color:blue size:map[height:2 width:3]]"},
		"folder: not to the chart":     {folder, []string{"values-prod.yaml"}, false, "chart web does not load: valuesFiles names values-prod.yaml, which is not there"},
		"folder: broken":               {folder, []string{"broken.yaml"}, false, "chart web does not load: values file broken.yaml: error converting YAML to JSON: yaml: line 1: did not find expected node content"},
		"packed: in the archive":       {pack, []string{"values-prod.yaml", "values.yaml"}, false, "map[color:blue size:map[height:2 width:1]]"},
		"packed: without values.yaml":  {pack, []string{"values-prod.yaml"}, false, "map[size:map[height:2 width:3]]"},
		"packed: missing":              {pack, []string{"values.yaml", "nothing.yaml"}, false, "chart web does not load: valuesFiles names nothing.yaml, which is not there"},
		"packed: missing, ignored":     {pack, []string{"values.yaml", "nothing.yaml"}, true, "map[color:blue size:map[width:1]]"},
		"no values.yaml at all":        {bareChart, []string{"charts/web/values.yaml"}, false, "chart bare does not load: it has no values.yaml, which Flux needs to put other values files in its place"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v, err := tc.chart.Values(tc.names, tc.ignoreMissing)
			got := problem(err)
			if err == nil {
				got = fmt.Sprint(v)
			}
			if got != tc.want {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
		})
	}
}

// TestCopy: what Helm changes in a copy is not changed in the chart.
func TestCopy(t *testing.T) {
	t.Parallel()
	c, err := packaged(context.Background(), "web", packWeb(t, "1.0.0",
		file{name: "web/charts/part/Chart.yaml", content: chartYAML("part", "1.0.0", "annotations: {a: b}", "dependencies: [{name: deep, alias: d, version: 1.x}]")},
	))
	if err != nil {
		t.Fatal(err)
	}
	cp := c.Copy()
	part := cp.Dependencies()[0]
	part.Metadata.Annotations["a"] = "changed"
	part.Metadata.Dependencies[0].Name = "changed"
	part.Metadata.Dependencies[0].Enabled = true
	part.Values = map[string]any{"changed": true}
	cp.SetDependencies()
	fresh := c.Copy()
	if n := len(fresh.Dependencies()); n != 1 {
		t.Fatalf("%d dependencies, want 1", n)
	}
	part = fresh.Dependencies()[0]
	if part.Root() != fresh {
		t.Error("the copy's dependency belongs to another chart")
	}
	got := fmt.Sprintf("%v %v %v %v", part.Metadata.Annotations, part.Metadata.Dependencies[0].Name, part.Metadata.Dependencies[0].Enabled, part.Values)
	if want := "map[a:b] deep false map[]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestSchema(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		asked.Add(1)
		if req.URL.Path == "/port.json" {
			io.WriteString(w, `{"type": "integer", "maximum": 65535}`)
			return
		}
		http.NotFound(w, req)
	}))
	defer srv.Close()
	s := newStore(t, Options{})
	schema := func(ref string) []byte {
		return fmt.Appendf(nil, `{"type": "object", "required": ["name"], "properties": {"port": {"$ref": %q}}}`, ref)
	}
	for range 2 {
		c, err := s.Schema(t.Context(), schema(srv.URL+"/port.json"))
		if err != nil {
			t.Fatal(err)
		}
		want := []string{"at '': missing property 'name'", "at '/port': maximum: got 70,000, want 65,535"}
		if diff := gocmp.Diff(want, Violations(c.Validate(map[string]any{"port": 70000}))); diff != "" {
			t.Error(diff)
		}
	}
	if n := asked.Load(); n != 1 {
		t.Errorf("the schema was downloaded %d times", n)
	}
	if _, err := offline(t, s).Schema(t.Context(), schema(srv.URL+"/port.json")); err != nil {
		t.Errorf("offline: %v", err)
	}
	if _, err := s.Schema(t.Context(), schema("urn:example:anything")); err != nil {
		t.Errorf("a urn: %v", err)
	}
	for ref, want := range map[string]string{
		srv.URL + "/none.json": "missing: chart schema " + srv.URL + "/none.json cannot be had: " + srv.URL + "/none.json is not there (404 Not Found) NEXT look at the repository's URL",
		"/etc/passwd":          `failing loading "file:///etc/passwd": file:///etc/passwd is not part of the chart`,
	} {
		if _, err := s.Schema(t.Context(), schema(ref)); problem(err) != want {
			t.Errorf("%s:\ngot  %s\nwant %s", ref, problem(err), want)
		}
	}
	if _, err := s.Schema(t.Context(), []byte("{")); err == nil {
		t.Error("no JSON was taken for a schema")
	}
}

func TestNewStore(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", "/somewhere")
	s, err := NewStore(Options{})
	if err != nil || s.cache.dir != "/somewhere/lumacore/charts" || s.timeout != time.Minute {
		t.Errorf("got %v, %v", s, err)
	}
	t.Setenv("XDG_CACHE_HOME", "")
	t.Setenv("HOME", "")
	if _, err := NewStore(Options{}); err == nil || err.Error() != "no folder to keep charts in: neither $XDG_CACHE_HOME nor $HOME are defined; set HOME" {
		t.Errorf("got %v", err)
	}
}

// BenchmarkCopy and BenchmarkLoad: what a render costs that copies a chart, and one
// that would load it again.
func BenchmarkCopy(b *testing.B) {
	c, err := packaged(context.Background(), "web", packWeb(b, "1.0.0"))
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		c.Copy()
	}
}

func BenchmarkLoad(b *testing.B) {
	files, err := unpack(packWeb(b, "1.0.0"), newBudget(context.Background()), 0)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := load(files); err != nil {
			b.Fatal(err)
		}
	}
}
