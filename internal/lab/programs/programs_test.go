package programs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/mod/modfile"
	"golang.org/x/tools/txtar"

	"lumacore.dev/lumacore/internal/lab/programs/archive"
	"lumacore.dev/lumacore/internal/report"
)

const root = "../../.."

// requirements returns the modules that a go.mod of the repository requires.
func requirements(t *testing.T, path string) map[string]string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	f, err := modfile.Parse(path, data, nil)
	if err != nil {
		t.Fatal(err)
	}
	versions := map[string]string{}
	for _, r := range f.Require {
		versions[r.Mod.Path] = r.Mod.Version
	}
	for _, r := range f.Replace {
		versions[r.Old.Path] = r.New.Version
		if r.New.Path != r.Old.Path {
			versions[r.Old.Path] = r.New.Path + " " + r.New.Version
		}
	}
	return versions
}

func TestSources(t *testing.T) {
	want, err := archive.Make(root)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(want, sources) {
		files := func(b []byte) map[string]string {
			m := map[string]string{}
			for _, f := range txtar.Parse(b).Files {
				m[f.Name] = string(f.Data)
			}
			return m
		}
		old, now := files(sources), files(want)
		for name := range now {
			if old[name] != now[name] {
				t.Errorf("sources.txtar has another %s than the tree", name)
			}
			delete(old, name)
		}
		for name := range old {
			t.Errorf("sources.txtar has %s, the tree has not", name)
		}
		t.Error("sources.txtar is not what the tree makes: run go generate ./internal/lab/programs")
	}
	for _, module := range []string{"lab", "crds", "beacon"} {
		found := slices.ContainsFunc(txtar.Parse(sources).Files, func(f txtar.File) bool { return f.Name == module+"/go.mod" })
		if !found {
			t.Errorf("sources.txtar has no %s/go.mod", module)
		}
	}
	for _, f := range txtar.Parse(sources).Files {
		if filepath.Base(f.Name) == "go.mod" {
			if _, err := modfile.Parse(f.Name, f.Data, nil); err != nil {
				t.Error(err)
			}
		}
		if strings.HasSuffix(f.Name, "_test.go") {
			t.Errorf("sources.txtar has the test %s, which no program needs", f.Name)
		}
	}
}

func TestKubernetesVersion(t *testing.T) {
	if got := requirements(t, "lab/go.mod")["k8s.io/kubernetes"]; got != kubernetesVersion {
		t.Errorf("lab/go.mod has Kubernetes %s, kubernetesVersion says %s", got, kubernetesVersion)
	}
	if got := Version("kube-apiserver"); got != kubernetesVersion {
		t.Errorf("Version(kube-apiserver) = %s, want %s", got, kubernetesVersion)
	}
	want := "-s -w -X k8s.io/component-base/version.gitVersion=v1.36.3" +
		" -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=36"
	if got := labFlags(); strings.ReplaceAll(got, kubernetesVersion, "v1.36.3") != want {
		t.Errorf("flags %s\nwant  %s", got, want)
	}
}

// What lumacore and the lab's programs share compiles once if the versions agree.
func TestSameLibraries(t *testing.T) {
	own, programs := requirements(t, "go.mod"), requirements(t, "lab/go.mod")
	shared := 0
	for path, version := range own {
		if !strings.HasPrefix(path, "k8s.io/") && !strings.HasPrefix(path, "github.com/fluxcd/") && path != "sigs.k8s.io/controller-runtime" {
			continue
		}
		other, ok := programs[path]
		if !ok {
			continue
		}
		shared++
		if other != version {
			t.Errorf("%s: go.mod has %s, lab/go.mod has %s", path, version, other)
		}
	}
	if shared < 8 {
		t.Errorf("only %d modules are shared: does this test still look at the right ones?", shared)
	}
}

// Every program comes from a module that is pinned.
func TestVersions(t *testing.T) {
	for _, name := range Names() {
		if name == "beacon" {
			continue // our own
		}
		if v := Version(name); !strings.HasPrefix(v, "v") {
			t.Errorf("%s has version %q", name, v)
		}
	}
	for _, name := range []string{"beacon", "git", "nonsense"} {
		if v := Version(name); v != "" {
			t.Errorf("Version(%s) = %q, want none", name, v)
		}
	}
	if len(Names()) != 15 {
		t.Errorf("%d programs: %v", len(Names()), Names())
	}
}

// replaceSets builds other programs than the lab's, for this test.
func replaceSets(t *testing.T, s []set, m map[string][]manifest) {
	t.Helper()
	oldSets, oldManifests, oldSources := sets, manifests, sources
	sets, manifests = s, m
	t.Cleanup(func() { sets, manifests, sources = oldSets, oldManifests, oldSources })
}

func TestKeys(t *testing.T) {
	keys := func(goVersion string) map[string]string { return OpenCache("/cache", goVersion).keys }
	base := keys("go1.26.0")
	for _, k := range []string{"lab", "beacon", "manifests"} {
		if !strings.HasPrefix(base[k], k+"-") || len(base[k]) != len(k)+1+12 {
			t.Errorf("key of %s is %q, want %s- and 12 digits", k, base[k], k)
		}
	}
	if diff := cmp.Diff(base, keys("go1.26.0")); diff != "" {
		t.Errorf("the same gives other keys:\n%s", diff)
	}
	changed := func(now map[string]string) string {
		var list []string
		for k := range base {
			if base[k] != now[k] {
				list = append(list, k)
			}
		}
		slices.Sort(list)
		return strings.Join(list, " ")
	}
	if got := changed(keys("go1.26.1")); got != "beacon lab operator" {
		t.Errorf("another Go version changes %q, want beacon lab operator", got)
	}
	t.Run("flags", func(t *testing.T) {
		other := slices.Clone(sets)
		other[0].ldflags = func() string { return "-s" }
		replaceSets(t, other, manifests)
		if got := changed(keys("go1.26.0")); got != "lab" {
			t.Errorf("other flags of lab change %q, want lab", got)
		}
	})
	t.Run("platform", func(t *testing.T) {
		other := slices.Clone(sets)
		other[1].goos = "plan9"
		replaceSets(t, other, manifests)
		if got := changed(keys("go1.26.0")); got != "beacon" {
			t.Errorf("another platform of beacon changes %q, want beacon", got)
		}
	})
	t.Run("edit", func(t *testing.T) {
		other := slices.Clone(sets)
		other[2].edit = &edit{"m", "f", "a", "b"}
		replaceSets(t, other, manifests)
		if got := changed(keys("go1.26.0")); got != "operator" {
			t.Errorf("another edit changes %q, want operator", got)
		}
	})
	t.Run("globs", func(t *testing.T) {
		replaceSets(t, sets, map[string][]manifest{"lab": {{group: "crds", module: "example.org/m", globs: []string{"*"}}}})
		if got := changed(keys("go1.26.0")); got != "manifests" {
			t.Errorf("other manifests change %q, want manifests", got)
		}
	})
	for file, want := range map[string]string{"lab/go.mod": "lab manifests operator", "lab/go.sum": "lab manifests operator", "crds/go.mod": "manifests", "beacon/main.go": "beacon"} {
		t.Run(file, func(t *testing.T) {
			ar := txtar.Parse(sources)
			i := slices.IndexFunc(ar.Files, func(f txtar.File) bool { return f.Name == file })
			ar.Files[i].Data = append(slices.Clone(ar.Files[i].Data), "// changed\n"...)
			replaceSets(t, sets, manifests)
			sources = txtar.Format(ar)
			if got := changed(keys("go1.26.0")); got != want {
				t.Errorf("another %s changes %q, want %s", file, got, want)
			}
		})
	}
}

func TestMissingAndComplete(t *testing.T) {
	c := OpenCache(t.TempDir(), "go1")
	if diff := cmp.Diff(Names(), c.Missing()); diff != "" {
		t.Errorf("missing from an empty cache (-want +got):\n%s", diff)
	}
	put := func(path string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for i, name := range Names() {
		if c.Complete() {
			t.Fatalf("complete with %d programs", i)
		}
		put(c.Path(name))
		if diff := cmp.Diff(Names()[i+1:], append([]string{}, c.Missing()...)); diff != "" {
			t.Errorf("missing after %s (-want +got):\n%s", name, diff)
		}
	}
	if c.Complete() {
		t.Error("complete without manifests")
	}
	put(filepath.Join(c.Manifests("crds"), "x.yaml"))
	if !c.Complete() {
		t.Error("not complete with everything there")
	}
	if other := OpenCache(c.root, "go2"); other.Complete() || len(other.Missing()) != len(Names()) {
		t.Error("programs of another Go version count")
	}
	if err := c.Build(t.Context(), nil); err != nil {
		t.Errorf("building what is complete: %v", err)
	}
}

func TestPathUnknown(t *testing.T) {
	defer func() {
		if got, want := recover(), "programs: unknown program nonsense"; got != want {
			t.Errorf("panic %v, want %s", got, want)
		}
	}()
	OpenCache("/cache", "go1").Path("nonsense")
}

func TestDefaultCache(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("XDG_CACHE_HOME", "")
	t.Setenv("LUMACORE_CACHE", "")
	for name, tt := range map[string]struct{ variable, value, want string }{
		"variable":          {"LUMACORE_CACHE", "/else/where", "/else/where"},
		"relative variable": {"LUMACORE_CACHE", "here", mustAbs(t, "here")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(tt.variable, tt.value)
			if got, err := DefaultCache(); err != nil || got != tt.want {
				t.Errorf("%s, %v; want %s", got, err, tt.want)
			}
		})
	}
	got, err := DefaultCache()
	if err != nil || !strings.HasPrefix(got, home) || filepath.Base(got) != "lumacore" {
		t.Errorf("%s, %v; want a folder lumacore below %s", got, err, home)
	}
	t.Setenv("HOME", "")
	_, err = DefaultCache()
	var f *report.Failure
	if !errors.As(err, &f) || !strings.HasPrefix(err.Error(), "no folder for what is built and downloaded: ") || f.Next != "set LUMACORE_CACHE or HOME" {
		t.Errorf("without HOME: %v", err)
	}
}

func mustAbs(t *testing.T, path string) string {
	t.Helper()
	abs, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	return abs
}

// log is a Progress that remembers. at is called at every event.
type log struct {
	mu    sync.Mutex
	lines []string
	at    func(line string)
}

func (l *log) add(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	l.mu.Lock()
	l.lines = append(l.lines, line)
	l.mu.Unlock()
	if l.at != nil {
		l.at(line)
	}
}
func (l *log) Note(format string, args ...any) { l.add("note: "+format, args...) }
func (l *log) Set(program, state string)       { l.add("%s: %s", program, state) }
func (l *log) End(program, state string)       { l.add("%s: %s", program, state) }
func (l *log) has(line string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Contains(l.lines, line)
}

// onlyBeacon builds the small one of the two sets, for this machine.
func onlyBeacon(t *testing.T) *Cache {
	t.Helper()
	beacon := sets[1]
	beacon.goos = ""
	replaceSets(t, []set{beacon}, map[string][]manifest{})
	return OpenCache(t.TempDir(), "go-of-this-test")
}

// files lists all files below the programs of a cache.
func files(t *testing.T, c *Cache) []string {
	t.Helper()
	var list []string
	err := filepath.WalkDir(filepath.Join(c.root, "programs"), func(path string, d fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(filepath.Join(c.root, "programs"), path)
		if err == nil && !d.IsDir() && !strings.HasPrefix(rel, "src/") {
			list = append(list, rel)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// Of programs that are named only those are built, and no manifests are gathered.
func TestBuildSome(t *testing.T) {
	c := onlyBeacon(t)
	other := sets[0]
	other.packages = append(slices.Clone(other.packages), Program{"other", "lumacore.dev/beacon/no/such/package", "other"})
	replaceSets(t, []set{other}, map[string][]manifest{"lab": {{group: "crds", module: "no/such/module", globs: []string{"*"}}}})
	if diff := cmp.Diff([]string{"beacon"}, c.Missing("beacon")); diff != "" {
		t.Errorf("missing (-want +got):\n%s", diff)
	}
	for range 2 { // again: it is there
		if err := c.Build(t.Context(), &log{}, "beacon"); err != nil {
			t.Fatal(err)
		}
	}
	runs(t, c.Path("beacon"), BeaconVersion)
	if diff := cmp.Diff([]string{"other"}, c.Missing()); diff != "" || c.Complete() || len(c.Missing("beacon")) > 0 {
		t.Errorf("missing (-want +got):\n%s", diff)
	}
}

// A build that is interrupted leaves no program and no stage; the next one
// finishes it.
func TestBuildInterruptedAndAgain(t *testing.T) {
	c := onlyBeacon(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	err := c.Build(ctx, &log{at: func(line string) {
		if strings.HasPrefix(line, "beacon: ") {
			cancel()
		}
	}})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("interrupted: error %v, want %v", err, context.Canceled)
	}
	if diff := cmp.Diff([]string{".lock"}, files(t, c)); diff != "" {
		t.Errorf("files after the interruption (-want +got):\n%s", diff)
	}
	if c.Complete() {
		t.Error("complete after an interruption")
	}

	// What a killed build left, which could not clean up.
	stage := filepath.Join(filepath.Dir(c.Path("beacon")), ".stage")
	if err := os.MkdirAll(stage, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(stage, "beacon"), []byte("half a program"), 0o755); err != nil {
		t.Fatal(err)
	}

	p := &log{at: func(string) {
		if _, err := os.Stat(c.Path("beacon")); err == nil {
			runs(t, c.Path("beacon"), BeaconVersion)
		}
	}}
	if err := c.Build(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"beacon: reading packages (the first time downloads them)", "beacon: built"} {
		if !p.has(want) {
			t.Errorf("progress never said %q: %q", want, p.lines)
		}
	}
	runs(t, c.Path("beacon"), BeaconVersion)
	if !c.Complete() || len(c.Missing()) != 0 {
		t.Errorf("not complete; missing: %v", c.Missing())
	}
	if diff := cmp.Diff([]string{".lock", c.keys["beacon"] + "/beacon"}, files(t, c)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}

	// Another version goes beside it and is made once.
	path, err := c.BuildBeacon(t.Context(), "7.8.9")
	if err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS == "linux" {
		runs(t, path, "7.8.9")
	}
	before, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := c.BuildBeacon(t.Context(), "7.8.9"); err != nil || again != path {
		t.Errorf("second time %s, %v; want %s", again, err, path)
	}
	if after, err := os.Stat(path); err != nil || !after.ModTime().Equal(before.ModTime()) {
		t.Error("the same version was made twice")
	}
	if same, err := c.BuildBeacon(t.Context(), BeaconVersion); err != nil || same != c.Path("beacon") {
		t.Errorf("the version that is there: %s, %v; want %s", same, err, c.Path("beacon"))
	}
}

// runs checks that a beacon is whole and of a version.
func runs(t *testing.T, path, version string) {
	t.Helper()
	out, err := exec.Command(path, "-version").CombinedOutput()
	if err != nil || !strings.Contains(string(out), version) {
		t.Errorf("%s -version: %s, %v; want %s", filepath.Base(path), out, err, version)
	}
}

// Two builds of one cache wait for each other, and both end with all programs.
func TestBuildsAtOnce(t *testing.T) {
	c := onlyBeacon(t)
	const waiting = "note: waiting for another build of the same cache to end"
	// The first one is held within its build until the second one waits.
	waits := make(chan struct{})
	second := &log{at: func(line string) {
		if line == waiting {
			close(waits)
		}
	}}
	inside := make(chan struct{})
	var once sync.Once
	first := &log{at: func(string) {
		once.Do(func() { close(inside) })
		<-waits
	}}
	var wg sync.WaitGroup
	var errs [2]error
	wg.Go(func() { errs[0] = c.Build(t.Context(), first) })
	<-inside
	wg.Go(func() { errs[1] = c.Build(t.Context(), second) })
	wg.Wait()
	if errs[0] != nil || errs[1] != nil {
		t.Fatalf("errors %v", errs)
	}
	runs(t, c.Path("beacon"), BeaconVersion)
	if second.has("beacon: built") {
		t.Errorf("the second one built what the first one had: %q", second.lines)
	}
}

// Waiting for another build can be interrupted.
func TestBuildWaitInterrupted(t *testing.T) {
	c := onlyBeacon(t)
	inside, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := c.Build(t.Context(), &log{at: func(string) {
			once.Do(func() { close(inside) })
			<-release
		}}); err != nil {
			t.Error(err)
		}
	})
	<-inside
	ctx, cancel := context.WithCancel(t.Context())
	err := c.Build(ctx, &log{at: func(string) { cancel() }})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want %v", err, context.Canceled)
	}
	close(release)
	wg.Wait()
}

// A source that does not compile: the compiler's words, and no program.
func TestBuildFails(t *testing.T) {
	c := onlyBeacon(t)
	ar := txtar.Parse(sources)
	i := slices.IndexFunc(ar.Files, func(f txtar.File) bool { return f.Name == "beacon/main.go" })
	ar.Files[i].Data = append(slices.Clone(ar.Files[i].Data), "var broken int = \"text\"\n"...)
	sources = txtar.Format(ar)
	err := c.Build(t.Context(), &log{})
	var f *report.Failure
	if !errors.As(err, &f) {
		t.Fatalf("error %v, want a Failure", err)
	}
	if !strings.HasPrefix(err.Error(), "go build: exit status 1\n") || !strings.Contains(err.Error(), `cannot use "text"`) {
		t.Errorf("error %v, want go build and what the compiler said", err)
	}
	if f.Next != "run the same command again: what is compiled is kept" || f.Code != report.ExitFindings {
		t.Errorf("next %q, code %d", f.Next, f.Code)
	}
	if diff := cmp.Diff([]string{".lock"}, files(t, c)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

// The operator's edit is for the version that is pinned; one for another is an error.
func TestEdit(t *testing.T) {
	if testing.Short() {
		t.Skip("asks the go command for a module")
	}
	src, err := onlyBeacon(t).unpack("lab")
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(allSets, func(s set) bool { return s.edit != nil })
	e := *allSets[i].edit
	dir := t.TempDir()
	mod, err := e.apply(t.Context(), src, dir)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "module", filepath.FromSlash(e.file)))
	if err != nil || !bytes.Contains(text, []byte(e.new)) || bytes.Contains(text, []byte(e.old)) {
		t.Errorf("%s is not edited: %v", e.file, err)
	}
	data, err := os.ReadFile(mod)
	if err != nil {
		t.Fatal(err)
	}
	f, err := modfile.Parse(mod, data, nil)
	if err != nil {
		t.Fatal(err)
	}
	if last := f.Replace[len(f.Replace)-1]; last.Old.Path != e.module || last.New.Path != filepath.Join(dir, "module") {
		t.Errorf("the last replacement is %v", last)
	}
	e.old = "what is not there"
	_, err = e.apply(t.Context(), src, t.TempDir())
	want := e.file + " of module " + e.module + " has what is not there 0 times, want once: it has another version than this edit is for"
	if err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

var allSets = sets // tests replace them

func TestGatherUnknownFile(t *testing.T) {
	c := onlyBeacon(t)
	manifests = map[string][]manifest{"lab": {{group: "crds", module: "github.com/fluxcd/source-controller", globs: []string{"no/such/*.yaml"}}}}
	if testing.Short() {
		t.Skip("asks the go command for a module")
	}
	err := c.Build(t.Context(), &log{})
	want := "module github.com/fluxcd/source-controller has no no/such/*.yaml"
	if err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
	if diff := cmp.Diff([]string{".lock"}, files(t, c)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

// What the lab does not run has its definitions without texts, and without what a chart
// would insert.
func TestClean(t *testing.T) {
	crd := func(labels, text string) string {
		return `# generated
kind: CustomResourceDefinition
metadata:
  labels:` + labels + `
    own: ""
  name: things.example.org
spec:
  versions:
  - name: v1
    schema:
      openAPIV3Schema:
        ` + text + `
        properties:
          description:
            ` + text + `
            type: string
        type: object
`
	}
	const template = ` {{- include "labels" . | nindent 4 }}`
	bare := `---
kind: CustomResourceDefinition
metadata:
  labels:
    own: ""
  name: things.example.org
spec:
  versions:
  - name: v1
    schema:
      openAPIV3Schema:
        properties:
          description:
            type: string
        type: object
`
	for name, tt := range map[string]struct {
		m        manifest
		in, want string
	}{
		"as it is":         {manifest{}, crd(template, "description: a"), crd(template, "description: a")},
		"chart":            {manifest{chart: true}, crd(template, "description: a"), crd(" ", "description: a")},
		"bare":             {manifest{bare: true}, crd("", "description: a"), bare},
		"several":          {manifest{bare: true}, crd("", "title: a") + "---\n# nothing\n---\n" + crd("", "example: a"), bare + bare},
		"chart, bare":      {manifest{chart: true, bare: true}, crd(template, "description: a"), bare},
		"of another shape": {manifest{bare: true}, "spec:\n  versions: all\n", "---\nspec:\n  versions: all\n"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := tt.m.clean([]byte(tt.in))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, string(got)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
	if _, err := (manifest{bare: true}).clean([]byte("a: [")); err == nil {
		t.Error("what is no YAML is taken")
	}
}

func TestGoError(t *testing.T) {
	cmd := exec.Command("go", "build")
	for name, tt := range map[string]struct{ stderr, next string }{
		"disk full":  {"link: write: no space left on device", "free some disk space: compiling needs about 5 GB for Go's build cache and 1 GB for the programs"},
		"no network": {"dial tcp: lookup x", "the first build downloads Go modules: check the network and `go env GOPROXY`"},
		"no DNS":     {"no such host", "the first build downloads Go modules: check the network and `go env GOPROXY`"},
		"other":      {"syntax error\n", "run the same command again: what is compiled is kept"},
	} {
		t.Run(name, func(t *testing.T) {
			err := goError(t.Context(), cmd, errors.New("exit status 1"), tt.stderr)
			var f *report.Failure
			if !errors.As(err, &f) || f.Next != tt.next {
				t.Errorf("%v, want next %q", err, tt.next)
			}
			if want := "go build: exit status 1\n" + strings.TrimSpace(tt.stderr); err.Error() != want {
				t.Errorf("error %q, want %q", err, want)
			}
		})
	}
}

func TestGoVersion(t *testing.T) {
	if v, err := GoVersion(t.Context()); err != nil || !strings.HasPrefix(v, "go1.") && !strings.HasPrefix(v, "devel") {
		t.Errorf("%q, %v", v, err)
	}
	t.Setenv("PATH", t.TempDir())
	_, err := GoVersion(t.Context())
	var f *report.Failure
	want := "the lab compiles its programs with Go, and `go env GOVERSION` failed: exec: \"go\": executable file not found in $PATH"
	if !errors.As(err, &f) || err.Error() != want || f.Next != "install Go from https://go.dev/dl and put it on the PATH" {
		t.Errorf("error %v, want %s", err, want)
	}
}

// The caller's settings of the go command do not change what is built.
func TestGoCommandEnvironment(t *testing.T) {
	t.Setenv("GOFLAGS", "-tags=evil -trimpath")
	t.Setenv("GOWORK", "/tmp/go.work")
	t.Setenv("CGO_ENABLED", "1")
	out, err := output(t.Context(), goCommand(t.Context(), t.TempDir(), "plan9", "env", "GOFLAGS", "GOWORK", "CGO_ENABLED", "GOOS", "GOARCH"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff("-mod=readonly -buildvcs=false\noff\n0\nplan9\n"+runtime.GOARCH+"\n", string(out)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestTail(t *testing.T) {
	tl := &tail{most: 5}
	for _, s := range []string{"ab", "cd", "efg", ""} {
		if n, err := tl.Write([]byte(s)); n != len(s) || err != nil {
			t.Errorf("Write(%q) = %d, %v", s, n, err)
		}
	}
	if tl.String() != "cdefg" {
		t.Errorf("%q, want cdefg", tl.String())
	}
}

func newWatcher(t *testing.T, p Progress) *watcher {
	t.Helper()
	dir := t.TempDir()
	w := &watcher{
		missing:  []Program{{Name: "etcd", pkg: "example.org/etcd", exe: "server"}, {Name: "kwok", pkg: "example.org/kwok", exe: "kwok"}},
		stale:    map[string][]string{"example.org/etcd": {"a", "b", "example.org/etcd"}, "example.org/kwok": {"b"}},
		todo:     4,
		done:     map[string]bool{},
		progress: p, final: filepath.Join(dir, "final"), stage: filepath.Join(dir, "stage"),
	}
	for _, d := range []string{w.final, w.stage} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

// go build -v names packages, a line each, in pieces as they come.
func TestWatcherCounts(t *testing.T) {
	p := &log{}
	w := newWatcher(t, p)
	step := func(input string, want ...string) {
		t.Helper()
		if n, err := w.Write([]byte(input)); n != len(input) || err != nil {
			t.Errorf("Write(%q) = %d, %v", input, n, err)
		}
		p.lines = nil
		w.show()
		if diff := cmp.Diff(want, p.lines); diff != "" {
			t.Errorf("after %q (-want +got):\n%s", input, diff)
		}
	}
	step("", "etcd: compiling 0/3 packages", "kwok: compiling 0/1 packages")
	step("a\n", "etcd: compiling 1/3 packages", "kwok: compiling 0/1 packages")
	step("go: downloading example.org/x v1\n", "etcd: compiling 1/3 packages", "kwok: compiling 0/1 packages")
	step("b", "etcd: compiling 1/3 packages", "kwok: compiling 0/1 packages") // half a line
	step("\nexample.org/etcd\nexample", "etcd: linking", "kwok: linking")
	if len(w.done) != 3 {
		t.Errorf("%d packages are done, want 3: %v", len(w.done), w.done)
	}
}

func TestWatcherCollects(t *testing.T) {
	p := &log{}
	w := newWatcher(t, p)
	write := func(name, content string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(w.stage, name), []byte(content), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	w.collect()
	write("server", "") // being made
	w.collect()
	if diff := cmp.Diff([]string{"etcd", "kwok"}, w.left()); diff != "" {
		t.Errorf("left (-want +got):\n%s", diff)
	}
	write("server", "whole")
	w.collect()
	w.collect() // once is enough
	if diff := cmp.Diff([]string{"etcd: built"}, p.lines); diff != "" {
		t.Errorf("progress (-want +got):\n%s", diff)
	}
	if b, err := os.ReadFile(filepath.Join(w.final, "etcd")); err != nil || string(b) != "whole" {
		t.Errorf("etcd is %q, %v", b, err)
	}
	p.lines = nil
	w.show()
	if diff := cmp.Diff([]string{"kwok: compiling 0/1 packages"}, p.lines); diff != "" {
		t.Errorf("progress without what is placed (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"kwok"}, w.left()); diff != "" {
		t.Errorf("left (-want +got):\n%s", diff)
	}
}
