//go:build e2e

package supplychain

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	receiverv1 "github.com/fluxcd/notification-controller/api/v1"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"lumacore.dev/lumacore/test/gitlabcilocal"
	"lumacore.dev/lumacore/test/osv"
)

// Made-up secrets, which must not be found where they do not belong.
const (
	registryUser     = "gitlab-ci-token"
	registryPassword = "simulated-job-token"
	keyPassword      = "simulated-password-of-the-key"
	receiverToken    = "simulated-token-of-the-receiver"
)

// ran are the jobs that a test has run to the end.
var ran sync.Map

// TestMain holds the jobs that were run against the pipeline: a job that is neither run nor
// named in notRun fails.
func TestMain(m *testing.M) {
	flag.Parse()
	status := m.Run()
	all := flag.Lookup("test.run").Value.String() == "" && flag.Lookup("test.skip").Value.String() == ""
	if status == 0 && all {
		// m.Run is over, so that there is no *testing.T for jobs.
		for name, reason := range notRun {
			fmt.Printf("not run: %s: %s\n", name, reason)
		}
		for _, name := range jobNames {
			_, done := ran.Load(name)
			if _, named := notRun[name]; done == named {
				fmt.Printf("job %s: run: %v, named as not run: %v\n", name, done, named)
				status = 1
			}
		}
		if len(jobNames) == 0 {
			fmt.Println("no job was found in the pipeline")
			status = 1
		}
	}
	os.Exit(status)
}

// jobNames are the jobs of the pipeline, filled by TestJobsOfEachPipeline.
var jobNames []string

// programs is the folder of the programs that jobs find in their images.
func programs(t *testing.T) string {
	t.Helper()
	folder, err := filepath.Abs("../../bin/tools")
	if err != nil {
		t.Fatal(err)
	}
	return folder
}

// need skips a test where a program is not installed; in CI it fails.
func need(t *testing.T, names ...string) {
	t.Helper()
	for _, program := range names {
		if _, err := exec.LookPath(program); err == nil {
			continue
		}
		if os.Getenv("CI") != "" {
			t.Fatalf("%s is not there; run: make test-supplychain", program)
		}
		t.Skipf("not run: %s is not there (make test-supplychain installs it)", program)
	}
}

// repository is beacon as the root of a repository of its own.
type repository struct {
	*testing.T
	dir  string
	env  []string
	vars map[string]string // what GitLab gives to jobs
	argv string            // arguments of all programs that jobs started
}

func newRepository(t *testing.T) *repository {
	t.Helper()
	need(t, "gitlab-ci-local", "rsync", "curl", "gcc")
	tools := programs(t)
	root := t.TempDir()
	r := &repository{T: t, dir: filepath.Join(root, "beacon"), argv: filepath.Join(root, "argv"), vars: map[string]string{}}
	if err := os.CopyFS(r.dir, os.DirFS(beacon)); err != nil {
		t.Fatal(err)
	}

	// What a job gives to a program as an argument is written down on the way to it.
	shims := filepath.Join(root, "bin")
	for _, program := range []string{"ko", "crane", "syft", "cosign", "curl"} {
		real := filepath.Join(tools, program)
		if program == "curl" {
			var err error
			if real, err = exec.LookPath(program); err != nil {
				t.Fatal(err)
			}
		}
		r.write(filepath.Join(shims, program), fmt.Sprintf("#!/bin/sh\nprintf '%%s\\n' \"%s $*\" >>'%s'\nexec '%s' \"$@\"\n", program, r.argv, real), 0o755)
	}

	home := filepath.Join(root, "home")
	r.write(filepath.Join(home, ".gitconfig"), "[user]\n\tname = test\n\temail = test@example.com\n[init]\n\tdefaultBranch = main\n", 0o644)
	// Jobs get no more of the machine than Go's caches and the programs.
	r.env = []string{"PATH=" + shims + string(os.PathListSeparator) + tools + string(os.PathListSeparator) + os.Getenv("PATH"), "HOME=" + home, "TMPDIR=" + root, "NO_COLOR=1", "DO_NOT_TRACK=1"}
	for _, variable := range []string{"GOCACHE", "GOMODCACHE", "GOPROXY", "GOSUMDB", "GONOSUMDB", "GOFLAGS", "GOTOOLCHAIN"} {
		out, err := exec.CommandContext(t.Context(), "go", "env", variable).Output()
		if err != nil {
			t.Fatal(err)
		}
		r.env = append(r.env, variable+"="+strings.TrimSpace(string(out)))
	}
	r.must("git init --quiet && git remote add origin https://gitlab.example.com/homelab/beacon.git && git add --all && git commit --quiet --message='feat: beacon'")
	r.must("git update-ref refs/remotes/origin/main HEAD && git symbolic-ref refs/remotes/origin/HEAD refs/remotes/origin/main")
	return r
}

func (r *repository) write(path, content string, mode os.FileMode) {
	r.Helper()
	if !filepath.IsAbs(path) {
		path = filepath.Join(r.dir, path)
	}
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), mode)); err != nil {
		r.Fatal(err)
	}
}

// replace changes a file of the repository, once.
func (r *repository) replace(file, old, with string) {
	r.Helper()
	data, err := os.ReadFile(filepath.Join(r.dir, file))
	if err != nil {
		r.Fatal(err)
	}
	if strings.Count(string(data), old) != 1 {
		r.Fatalf("%s does not have this text once: %s", file, old)
	}
	r.write(file, strings.Replace(string(data), old, with, 1), 0o644)
}

// must runs a shell command in the repository.
func (r *repository) must(command string) string {
	r.Helper()
	cmd := exec.CommandContext(r.Context(), "bash", "-euo", "pipefail", "-c", command)
	cmd.Dir, cmd.Env = r.dir, r.env
	out, err := cmd.CombinedOutput()
	if err != nil {
		r.Fatalf("%s: %v\n%s", command, err, out)
	}
	return strings.TrimSpace(string(out))
}

// local starts gitlab-ci-local.
func (r *repository) local(arguments ...string) (string, error) {
	r.Helper()
	for _, variable := range slices.Sorted(maps.Keys(r.vars)) {
		arguments = append(arguments, "--variable", variable+"="+r.vars[variable])
	}
	cmd := exec.CommandContext(r.Context(), "gitlab-ci-local", arguments...)
	cmd.Dir, cmd.Env = r.dir, r.env
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return out.String(), err
}

// jobs runs jobs in the order of their stages, each in a checkout of its own with the
// artifacts of those that it needs, and returns what they print.
func (r *repository) jobs(names ...string) (string, error) {
	r.Helper()
	out, err := r.local(append(slices.Clone(names), "--force-shell-executor", "--shell-isolation", "--json-schema-validation=false")...)
	r.Logf("%v: %v\n%s", names, err, out)
	for _, name := range names {
		if strings.Contains(out, "PASS  "+name) || strings.Contains(out, "FAIL  "+name) {
			ran.Store(name, true)
		}
	}
	return out, err
}

// passes runs jobs that must succeed.
func (r *repository) passes(names ...string) string {
	r.Helper()
	out, err := r.jobs(names...)
	if err != nil {
		r.Fatalf("%v: %v", names, err)
	}
	for _, name := range names {
		if _, ok := ran.Load(name); !ok {
			r.Fatalf("%s did not run", name)
		}
	}
	return out
}

// fails runs a job that must fail, and say this.
func (r *repository) fails(name, message string) {
	r.Helper()
	out, err := r.jobs(name)
	if err == nil {
		r.Errorf("%s passes", name)
	}
	if !strings.Contains(out, message) {
		r.Errorf("%s does not say %q", name, message)
	}
	if !strings.Contains(out, "FAIL  "+name) {
		r.Errorf("%s did not run", name)
	}
}

// vulnerabilities makes a database for govulncheck, and returns its address.
// https://go.dev/doc/security/vuln/database#api
func (r *repository) vulnerabilities(entries ...map[string]any) string {
	r.Helper()
	dir := r.TempDir()
	const modified = "2026-01-01T00:00:00Z"
	modules, index := []any{}, []any{}
	for _, entry := range entries {
		id := entry["id"].(string)
		entry["schema_version"], entry["modified"], entry["published"] = "1.3.1", modified, modified
		r.writeJSON(filepath.Join(dir, "ID", id+".json"), entry)
		index = append(index, map[string]any{"id": id, "modified": modified})
		for _, a := range entry["affected"].([]map[string]any) {
			modules = append(modules, map[string]any{
				"path":  a["package"].(map[string]any)["name"],
				"vulns": []any{map[string]any{"id": id, "modified": modified}},
			})
		}
	}
	r.writeJSON(filepath.Join(dir, "index/db.json"), map[string]any{"modified": modified})
	r.writeJSON(filepath.Join(dir, "index/modules.json"), modules)
	r.writeJSON(filepath.Join(dir, "index/vulns.json"), index)
	return "file://" + dir
}

// advisories makes a database for OSV-Scanner, of Go modules.
func (r *repository) advisories(list ...osv.Advisory) {
	r.Helper()
	options, err := osv.Write(r.TempDir(), "Go", list...)
	if err != nil {
		r.Fatal(err)
	}
	r.vars["OSV_OPTIONS"] = options
}

func (r *repository) writeJSON(path string, value any) {
	r.Helper()
	data, err := json.Marshal(value)
	if err != nil {
		r.Fatal(err)
	}
	r.write(path, string(data), 0o644)
}

// TestJobsOfEachPipeline asks gitlab-ci-local which jobs run when.
func TestJobsOfEachPipeline(t *testing.T) {
	for name := range jobs(t) {
		if name != "default" {
			jobNames = append(jobNames, name)
		}
	}
	r := newRepository(t)
	checks := []string{"gosec", "govulncheck", "lint", "osv-scanner", "semgrep", "test"}
	image := []string{"build", "publish", "sbom", "sign", "verify"}
	for _, test := range []struct {
		what string
		vars map[string]string
		want []string
	}{
		{"main", map[string]string{"CI_COMMIT_BRANCH": "main"}, checks},
		{"a merge request", map[string]string{"CI_PIPELINE_SOURCE": "merge_request_event"}, append([]string{"fuzz (manual, may be left)"}, checks...)},
		{"a schedule", map[string]string{"CI_PIPELINE_SOURCE": "schedule"}, append([]string{"fuzz"}, checks...)},
		{"a protected tag", map[string]string{"CI_COMMIT_TAG": "v1.0.1", "CI_COMMIT_REF_PROTECTED": "true"}, append(slices.Clone(image), checks...)},
		{
			"a protected tag, with a Receiver",
			map[string]string{"CI_COMMIT_TAG": "v1.0.1", "CI_COMMIT_REF_PROTECTED": "true", "FLUX_RECEIVER_URL": "http://receiver.example.com"},
			append(append([]string{"flux"}, image...), checks...),
		},
		{"a tag that anybody can make", map[string]string{"CI_COMMIT_TAG": "v1.0.1", "CI_COMMIT_REF_PROTECTED": "false"}, checks},
		{"a tag that is no version", map[string]string{"CI_COMMIT_TAG": "v1.0", "CI_COMMIT_REF_PROTECTED": "true"}, checks},
	} {
		r.vars = test.vars
		out, err := r.local("--list-json", "--json-schema-validation=false")
		if err != nil {
			t.Fatalf("%s: %v\n%s", test.what, err, out)
		}
		list, err := gitlabcilocal.Parse(out)
		if err != nil {
			t.Fatalf("%s: %v", test.what, err)
		}
		got := gitlabcilocal.Run(list)
		slices.Sort(test.want)
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: jobs %v, want %v", test.what, got, test.want)
		}
	}
	// gitlab-ci-local brings GitLab's own schema.
	r.vars = nil
	if out, err := r.local("--list"); err != nil {
		t.Errorf("the pipeline against GitLab's schema: %v\n%s", err, out)
	}
}

// TestChecks: each job passes on beacon as it is, and fails on the mistake it is there for.
func TestChecks(t *testing.T) {
	t.Run("as it is", func(t *testing.T) {
		r := newRepository(t)
		r.vars = map[string]string{"GOVULNDB": r.vulnerabilities(), "FUZZTIME": "100x", "CI_PIPELINE_SOURCE": "schedule"}
		// A version that beacon does not have any more.
		r.advisories(osv.Advisory{ID: "OSV-2026-1", Package: "github.com/prometheus/client_golang", Fixed: "1.11.1"})
		r.passes("test", "lint", "gosec", "govulncheck", "osv-scanner", "fuzz")
	})
	for name, test := range map[string]struct {
		job     string
		break_  func(*repository)
		message string
	}{
		"a unit test fails": {"test", func(r *repository) {
			r.replace("config.go", "environment:     \"local\"", "environment:     \"elsewhere\"")
		}, "=== FAIL: . TestParseConfig/defaults"},
		"a file is not formatted": {"lint", func(r *repository) {
			r.write("unformatted.go", "package main\n\nfunc  unformatted() {}\n", 0o644)
		}, "unformatted.go"},
		"a credential in the code": {"gosec", func(r *repository) {
			r.write("credential.go", "package main\n\n// password opens the door.\nconst password = \"hunter2-"+"Zk3v9Qm1xT7w\"\n\nvar _ = password\n", 0o644)
		}, "G101"},
		"a vulnerable dependency": {"govulncheck", func(r *repository) {
			r.vars = map[string]string{"GOVULNDB": r.vulnerabilities(map[string]any{
				"id": "GO-2026-99999", "summary": "Made up for this test", "details": "Made up for this test.",
				"database_specific": map[string]any{"url": "https://pkg.go.dev/vuln/GO-2026-99999"},
				"affected": []map[string]any{{
					"package": map[string]any{"name": "github.com/prometheus/client_golang", "ecosystem": "Go"},
					"ranges":  []any{map[string]any{"type": "SEMVER", "events": []any{map[string]any{"introduced": "0"}}}},
					"ecosystem_specific": map[string]any{"imports": []any{map[string]any{
						"path": "github.com/prometheus/client_golang/prometheus", "symbols": []any{"NewRegistry"},
					}}},
				}},
			})}
		}, "Your code is affected by 1 vulnerability"},
		"a vulnerable module": {"osv-scanner", func(r *repository) {
			r.vars = map[string]string{}
			r.advisories(osv.Advisory{ID: "OSV-2026-1", Package: "github.com/prometheus/client_golang"})
		}, "OSV-2026-1"},
		"input that breaks the parser": {"fuzz", func(r *repository) {
			r.vars = map[string]string{"FUZZTIME": "100x", "CI_PIPELINE_SOURCE": "schedule"}
			r.replace("config.go", "return errors.New(\"a negative duration has no meaning here; write 0s for none\")", "break")
		}, "accepted a negative duration"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRepository(t)
			test.break_(r)
			r.must("git add --all && git diff --cached --quiet || git commit --quiet --message=mistake")
			r.fails(test.job, test.message)
		})
	}
}

// shop is where images go: a registry that wants a password, a base image in it, a key, and
// a Receiver of Flux.
type shop struct {
	*repository
	host  string
	mu    sync.Mutex
	calls []string // of the Receiver: method and path
}

func newShop(t *testing.T) *shop {
	t.Helper()
	for _, program := range []string{"ko", "crane", "syft", "cosign"} {
		need(t, filepath.Join(programs(t), program))
	}
	s := &shop{repository: newRepository(t)}
	files := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	want := "Basic " + base64.StdEncoding.EncodeToString([]byte(registryUser+":"+registryPassword))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.Header.Get("Authorization") != want {
			w.Header().Set("WWW-Authenticate", `Basic realm="registry"`)
			http.Error(w, `{"errors":[{"code":"UNAUTHORIZED"}]}`, http.StatusUnauthorized)
			return
		}
		files.ServeHTTP(w, req)
	}))
	t.Cleanup(server.Close)
	s.host = strings.TrimPrefix(server.URL, "http://")

	// Flux's own code says which path a Receiver listens on.
	hook := (&receiverv1.Receiver{ObjectMeta: metav1.ObjectMeta{Name: "images", Namespace: "flux-system"}}).GetWebhookPath(receiverToken)
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.calls = append(s.calls, req.Method+" "+req.URL.Path)
		if req.Method != http.MethodPost || req.URL.Path != hook {
			http.NotFound(w, req)
		}
	}))
	t.Cleanup(receiver.Close)

	secrets := filepath.Join(filepath.Dir(s.dir), "secrets")
	s.key(filepath.Join(secrets, "cosign-key"))
	s.write(filepath.Join(secrets, "flux-receiver/token"), receiverToken, 0o600)
	public, err := os.ReadFile(filepath.Join(secrets, "cosign-key/cosign.pub"))
	if err != nil {
		t.Fatal(err)
	}
	s.write("cosign.pub", string(public), 0o644)
	s.must("git add --all && git commit --quiet --message='feat: the key that signs'")

	s.vars = map[string]string{
		"CI_COMMIT_TAG":           "v1.0.1",
		"CI_COMMIT_REF_PROTECTED": "true",
		"CI_REGISTRY":             s.host,
		"CI_REGISTRY_IMAGE":       s.host + "/homelab/beacon",
		"CI_REGISTRY_USER":        registryUser,
		"CI_REGISTRY_PASSWORD":    registryPassword,
		"COSIGN_KEY_DIR":          filepath.Join(secrets, "cosign-key"),
		"FLUX_RECEIVER_DIR":       filepath.Join(secrets, "flux-receiver"),
		"FLUX_RECEIVER_URL":       receiver.URL,
		"KO_DEFAULTBASEIMAGE":     s.base(),
	}
	return s
}

// key makes a key pair and its password, as the item in 1Password has them.
func (s *shop) key(dir string) {
	s.Helper()
	s.write(filepath.Join(dir, "password"), keyPassword, 0o600)
	s.must(fmt.Sprintf("cd %q && COSIGN_PASSWORD='%s' cosign generate-key-pair", dir, keyPassword))
}

// base pushes an image that stands for distroless, and returns it by digest.
func (s *shop) base() string {
	s.Helper()
	img, err := mutate.AppendLayers(empty.Image, static.NewLayer(make([]byte, 1024), types.DockerUncompressedLayer))
	if err != nil {
		s.Fatal(err)
	}
	img, err = mutate.ConfigFile(img, &v1.ConfigFile{
		OS: "linux", Architecture: "amd64", Config: v1.Config{User: "65532:65532"},
		RootFS: s.config(img).RootFS,
	})
	if err != nil {
		s.Fatal(err)
	}
	return s.push(img, "distroless/static:nonroot")
}

func (s *shop) config(img v1.Image) *v1.ConfigFile {
	s.Helper()
	file, err := img.ConfigFile()
	if err != nil {
		s.Fatal(err)
	}
	return file
}

func (s *shop) auth() remote.Option {
	return remote.WithAuth(&authn.Basic{Username: registryUser, Password: registryPassword})
}

func (s *shop) ref(path string) name.Reference {
	s.Helper()
	ref, err := name.ParseReference(s.host+"/"+path, name.Insecure)
	if err != nil {
		s.Fatal(err)
	}
	return ref
}

// push puts an image into the registry, and returns it by digest.
func (s *shop) push(img v1.Image, path string) string {
	s.Helper()
	ref := s.ref(path)
	digest, err := img.Digest()
	if err != nil {
		s.Fatal(err)
	}
	if err := remote.Write(ref, img, s.auth()); err != nil {
		s.Fatal(err)
	}
	return ref.Context().Name() + "@" + digest.String()
}

// get returns an image of the registry, or nil when there is none.
func (s *shop) get(path string) v1.Image {
	s.Helper()
	img, err := remote.Image(s.ref(path), s.auth())
	if err != nil {
		return nil
	}
	return img
}

// built runs build, and returns the image by digest.
func (s *shop) built() string {
	s.Helper()
	out := s.passes("build")
	m := regexp.MustCompile(`IMAGE=(\S+@sha256:[0-9a-f]{64})`).FindStringSubmatch(out)
	if m == nil {
		s.Fatal("build names no image")
	}
	return m[1]
}

// TestRelease is a version from tag to registry, and what each step refuses.
func TestRelease(t *testing.T) {
	s := newShop(t)
	all := []string{"build", "sbom", "sign", "verify", "publish", "flux"}
	out := s.passes(all...)

	published := s.get("homelab/beacon:1.0.1")
	if published == nil {
		t.Fatal("1.0.1 is not in the registry")
	}
	digest, err := published.Digest()
	if err != nil {
		t.Fatal(err)
	}
	image := s.host + "/homelab/beacon@" + digest.String()
	if !strings.Contains(out, "IMAGE="+image) {
		t.Errorf("what was published is not what was built: %s", digest)
	}
	file := s.config(published)
	if file.Architecture != "amd64" || file.Config.User != "65532:65532" ||
		file.Config.Labels["org.opencontainers.image.version"] != "1.0.1" ||
		file.Config.Labels["org.opencontainers.image.revision"] != s.must("git rev-parse HEAD") {
		t.Errorf("the image's configuration: %+v", file)
	}
	s.mu.Lock()
	if len(s.calls) != 1 {
		t.Errorf("calls of the Receiver: %v", s.calls)
	}
	s.mu.Unlock()

	t.Run("what was attested", func(t *testing.T) {
		for kind, wanted := range map[string][]string{
			"spdxjson":        {"github.com/prometheus/client_golang", "SPDX-2.3"},
			"slsaprovenance1": {s.must("git rev-parse HEAD"), "refs/tags/v1.0.1"},
		} {
			out := s.must("cosign verify-attestation --key=cosign.pub --insecure-ignore-tlog --type=" + kind + " " + image + " 2>/dev/null")
			var envelope struct{ Payload []byte }
			if err := json.NewDecoder(strings.NewReader(out)).Decode(&envelope); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			for _, w := range append(wanted, strings.TrimPrefix(digest.String(), "sha256:")) {
				if !bytes.Contains(envelope.Payload, []byte(w)) {
					t.Errorf("%s does not name %s: %s", kind, w, envelope.Payload)
				}
			}
		}
	})

	t.Run("secrets", func(t *testing.T) {
		argv, err := os.ReadFile(s.argv)
		if err != nil {
			t.Fatal(err)
		}
		for _, program := range []string{"ko", "crane", "syft", "cosign", "curl"} {
			if !bytes.Contains(append([]byte("\n"), argv...), []byte("\n"+program+" ")) {
				t.Errorf("%s was not started by a job: nothing is known of its arguments", program)
			}
		}
		hook := strings.TrimPrefix((&receiverv1.Receiver{ObjectMeta: metav1.ObjectMeta{Name: "images", Namespace: "flux-system"}}).GetWebhookPath(receiverToken), "/hook/")
		for _, secret := range []string{registryPassword, keyPassword, receiverToken, hook} {
			if bytes.Contains(argv, []byte(secret)) {
				t.Errorf("an argument of a program has %q:\n%s", secret, argv)
			}
			if strings.Contains(out, secret) {
				t.Errorf("a job's log has %q", secret)
			}
		}
	})

	t.Run("the same again publishes nothing new", func(t *testing.T) {
		s := s.with(t, "IMAGE", image)
		if out := s.passes("publish"); !strings.Contains(out, "nothing to do") {
			t.Errorf("publish does not say that there is nothing to do")
		}
	})
	t.Run("a version is never built twice", func(t *testing.T) {
		s.with(t, "", "").fails("build", "/homelab/beacon:1.0.1 is in the registry already, and no version is given twice; make a new tag")
	})
	t.Run("the same commit elsewhere gives the same digest", func(t *testing.T) {
		s := s.with(t, "CI_REGISTRY_IMAGE", s.host+"/elsewhere/beacon")
		s.dir = filepath.Join(t.TempDir(), "other", "place")
		cmd := exec.CommandContext(t.Context(), "git", "clone", "--quiet", filepath.Join(filepath.Dir(s.argv), "beacon"), s.dir)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		s.must("git remote set-url origin https://gitlab.example.com/homelab/beacon.git")
		if again := s.built(); !strings.HasSuffix(again, "@"+digest.String()) {
			t.Errorf("built %s, before %s", again, digest)
		}
	})
	t.Run("a version that is there with another digest is not overwritten", func(t *testing.T) {
		other := s.push(s.change(published, "org.opencontainers.image.title", "other"), "homelab/beacon:candidate-other")
		s.with(t, "IMAGE", other).fails("publish", "homelab/beacon:1.0.1 is in the registry already with another digest, and no version is given twice")
		if still, err := s.get("homelab/beacon:1.0.1").Digest(); err != nil || still != digest {
			t.Errorf("1.0.1 is %v now (%v), was %v", still, err, digest)
		}
	})
	t.Run("an unsigned image", func(t *testing.T) {
		other := s.push(s.change(published, "org.opencontainers.image.title", "unsigned"), "homelab/beacon:candidate-unsigned")
		s.with(t, "IMAGE", other).fails("verify", "no signatures found")
	})
	t.Run("signed with another key", func(t *testing.T) {
		other := s.push(s.change(published, "org.opencontainers.image.title", "other key"), "homelab/beacon:candidate-key")
		s := s.with(t, "IMAGE", other)
		dir := filepath.Join(t.TempDir(), "cosign-key")
		s.key(dir)
		s.vars["COSIGN_KEY_DIR"] = dir
		s.passes("sign")
		s.fails("verify", "accepted signatures do not match threshold")
	})
	t.Run("an SBOM that was altered in the registry", func(t *testing.T) {
		other := s.push(s.change(published, "org.opencontainers.image.title", "altered"), "homelab/beacon:candidate-altered")
		s := s.with(t, "IMAGE", other)
		s.passes("sign")
		// Written anew with the same content it is still right: what fails below is the change.
		s.alter(other, "github.com/prometheus/client_golang", "github.com/prometheus/client_golang")
		s.passes("verify")
		s.alter(other, "github.com/prometheus/client_golang", "github.com/prometheus/client_gopher")
		s.fails("verify", "none of the attestations matched the predicate type: spdxjson")
	})
	t.Run("a registry that does not answer is none without the version", func(t *testing.T) {
		s := s.with(t, "CI_REGISTRY_PASSWORD", "simulated-token-that-ended")
		s.fails("build", "cannot ask "+s.host+"/homelab/beacon which versions it has")
	})
	t.Run("no public key", func(t *testing.T) {
		s := s.with(t, "IMAGE", image)
		s.must("mv cosign.pub away.pub")
		defer s.must("mv away.pub cosign.pub")
		s.fails("verify", "cosign.pub is missing")
	})
	t.Run("a Receiver with another token", func(t *testing.T) {
		s := s.with(t, "FLUX_RECEIVER", "flux-system/another")
		s.fails("flux", "404")
	})
}

// with is the shop with another variable, for a subtest.
func (s *shop) with(t *testing.T, variable, value string) *shop {
	t.Helper()
	r := *s.repository
	r.T, r.vars = t, maps.Clone(s.vars)
	if variable != "" {
		r.vars[variable] = value
	}
	return &shop{repository: &r, host: s.host}
}

// change returns the image with another label, which makes it another image.
func (s *shop) change(img v1.Image, label, value string) v1.Image {
	s.Helper()
	file := s.config(img).DeepCopy()
	file.Config.Labels[label] = value
	img, err := mutate.ConfigFile(img, file)
	if err != nil {
		s.Fatal(err)
	}
	return img
}

// alter changes a text in the signed payload of an image's attestation, and leaves its
// signature as it was.
func (s *shop) alter(image, old, with string) {
	s.Helper()
	repository, digest, _ := strings.Cut(strings.TrimPrefix(image, s.host+"/"), "@sha256:")
	// Where attached artifacts are listed in a registry without an API for them.
	list := s.ref(repository + ":sha256-" + digest)
	index := s.manifest(list)
	altered := 0
	for _, of := range index["manifests"].([]any) {
		entry := of.(map[string]any)
		ref := s.ref(repository + "@" + entry["digest"].(string))
		artifact := s.manifest(ref)
		for _, l := range artifact["layers"].([]any) {
			layer := l.(map[string]any)
			blob, err := remote.Layer(s.ref(repository+"@"+layer["digest"].(string)).(name.Digest), s.auth())
			if err != nil {
				s.Fatal(err)
			}
			content, err := blob.Compressed()
			if err != nil {
				s.Fatal(err)
			}
			var bundle map[string]any
			if err := json.NewDecoder(content).Decode(&bundle); err != nil {
				s.Fatal(err)
			}
			envelope, ok := bundle["dsseEnvelope"].(map[string]any)
			if !ok {
				continue
			}
			payload, err := base64.StdEncoding.DecodeString(envelope["payload"].(string))
			if err != nil {
				s.Fatal(err)
			}
			if !bytes.Contains(payload, []byte(old)) {
				continue
			}
			altered++
			envelope["payload"] = base64.StdEncoding.EncodeToString(bytes.ReplaceAll(payload, []byte(old), []byte(with)))
			data, err := json.Marshal(bundle)
			if err != nil {
				s.Fatal(err)
			}
			other := static.NewLayer(data, types.MediaType(layer["mediaType"].(string)))
			if err := remote.WriteLayer(ref.Context(), other, s.auth()); err != nil {
				s.Fatal(err)
			}
			layer["digest"], layer["size"] = sum(data), len(data)
		}
		data := s.put(func(data []byte) name.Reference { return s.ref(repository + "@" + sum(data)) }, artifact)
		entry["digest"], entry["size"] = sum(data), len(data)
	}
	if altered != 1 {
		s.Fatalf("%d attestations have %s", altered, old)
	}
	s.put(func([]byte) name.Reference { return list }, index)
}

func sum(data []byte) string {
	digest := sha256.Sum256(data)
	return "sha256:" + hex.EncodeToString(digest[:])
}

// manifest reads a manifest or an index of the registry.
func (s *shop) manifest(ref name.Reference) map[string]any {
	s.Helper()
	d, err := remote.Get(ref, s.auth())
	if err != nil {
		s.Fatal(err)
	}
	var value map[string]any
	if err := json.Unmarshal(d.Manifest, &value); err != nil {
		s.Fatal(err)
	}
	return value
}

// raw is a manifest as it is written to the registry.
type raw struct {
	data      []byte
	mediaType types.MediaType
}

func (r raw) RawManifest() ([]byte, error)        { return r.data, nil }
func (r raw) MediaType() (types.MediaType, error) { return r.mediaType, nil }

func (s *shop) put(where func([]byte) name.Reference, value map[string]any) []byte {
	s.Helper()
	data, err := json.Marshal(value)
	if err != nil {
		s.Fatal(err)
	}
	ref := where(data)
	if err := remote.Put(ref, raw{data, types.MediaType(value["mediaType"].(string))}, s.auth()); err != nil {
		s.Fatal(err)
	}
	return data
}
