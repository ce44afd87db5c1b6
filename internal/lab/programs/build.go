package programs

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/gofrs/flock"
	"golang.org/x/mod/modfile"
	"golang.org/x/tools/txtar"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"

	"lumacore.dev/lumacore/internal/fieldpath"
	"lumacore.dev/lumacore/internal/report"
	"lumacore.dev/lumacore/internal/schemas"
)

// Progress is told what a build does. Calls come one at a time.
type Progress interface {
	// Note says something once, before or between the programs.
	Note(format string, args ...any)
	// Set says what a program's build does now.
	Set(program, state string)
	// End says that a program is there.
	End(program, state string)
}

// GoVersion returns the version of the go command, or an error that says how to
// get one.
func GoVersion(ctx context.Context) (string, error) {
	cmd := exec.CommandContext(ctx, "go", "env", "GOVERSION")
	// A go.mod or go.work around the caller can ask for another toolchain; the
	// supervisor, which runs elsewhere, must come to the same answer.
	cmd.Dir, cmd.Env = "/", append(os.Environ(), "GOWORK=off")
	out, err := cmd.Output()
	if err != nil {
		return "", report.Misuse("install Go from https://go.dev/dl and put it on the PATH",
			"the lab compiles its programs with Go, and `go env GOVERSION` failed: %v", err)
	}
	return strings.TrimSpace(string(out)), nil
}

// Build makes everything that is missing, or only the programs that are named. It may
// be interrupted at any time and called again. Two builds at once wait for each other.
func (c *Cache) Build(ctx context.Context, p Progress, only ...string) error {
	if len(only) > 0 && len(c.Missing(only...)) == 0 || c.Complete() {
		return nil
	}
	unlock, err := c.lock(ctx, p)
	if err != nil {
		return err
	}
	defer unlock()
	if len(only) == 0 {
		if err := c.gather(ctx, p); err != nil {
			return err
		}
	}
	for _, s := range sets {
		if len(c.missing(s, only)) == 0 {
			continue
		}
		src, err := c.unpack(s.module)
		if err != nil {
			return err
		}
		if err := c.buildSet(ctx, src, s, c.missing(s, only), p); err != nil {
			return err
		}
	}
	return nil
}

// lock waits until nobody else builds.
func (c *Cache) lock(ctx context.Context, p Progress) (unlock func(), err error) {
	dir := filepath.Join(c.root, "programs")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	lock := flock.New(filepath.Join(dir, ".lock"))
	if ok, err := lock.TryLock(); err != nil {
		return nil, err
	} else if !ok {
		p.Note("waiting for another build of the same cache to end")
		if _, err := lock.TryLockContext(ctx, 200*time.Millisecond); err != nil {
			return nil, err
		}
	}
	return func() { _ = lock.Unlock() }, nil
}

// unpack writes an embedded module to the cache and returns its folder, which is
// named for its content: what another lumacore has unpacked is left alone.
func (c *Cache) unpack(module string) (string, error) {
	src := filepath.Join(c.root, "programs", "src", c.sources[module])
	if _, err := os.Stat(src); err == nil {
		return src, nil
	}
	if err := os.MkdirAll(filepath.Dir(src), 0o755); err != nil {
		return "", err
	}
	tmp, err := os.MkdirTemp(filepath.Dir(src), ".src-*")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(tmp)
	for _, f := range txtar.Parse(sources).Files {
		name, ok := strings.CutPrefix(f.Name, module+"/")
		if !ok {
			continue
		}
		if err := os.WriteFile(filepath.Join(tmp, filepath.FromSlash(name)), f.Data, 0o644); err != nil {
			return "", err
		}
	}
	if err := os.Chmod(tmp, 0o755); err != nil {
		return "", err
	}
	if err := os.Rename(tmp, src); err != nil {
		if _, there := os.Stat(src); there == nil { // another call was first
			return src, nil
		}
		return "", err
	}
	return src, nil
}

// goCommand runs the go command in a module. Interrupting it lets it clean up
// its temporary folder; what it has compiled stays in its cache.
func goCommand(ctx context.Context, dir string, goos string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	if goos == "" {
		goos = runtime.GOOS
	}
	// GOFLAGS of the caller could change what is built (-tags, -mod, -trimpath)
	// and with it what is shared; GOWORK could bring in other modules.
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-mod=readonly -buildvcs=false",
		"GOWORK=off", "GOOS="+goos, "GOARCH="+runtime.GOARCH)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGINT) }
	cmd.WaitDelay = 20 * time.Second
	return cmd
}

// output runs the command and returns its stdout, or an error with the end of
// its stderr.
func output(ctx context.Context, cmd *exec.Cmd) ([]byte, error) {
	var out bytes.Buffer
	errs := tail{most: 4 << 10}
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return nil, goError(ctx, cmd, err, errs.String())
	}
	return out.Bytes(), nil
}

func goError(ctx context.Context, cmd *exec.Cmd, err error, stderr string) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	next := "run the same command again: what is compiled is kept"
	switch {
	case strings.Contains(stderr, "no space left"):
		next = "free some disk space: compiling needs about 5 GB for Go's build cache and 1 GB for the programs"
	case strings.Contains(stderr, "dial tcp"), strings.Contains(stderr, "no such host"):
		next = "the first build downloads Go modules: check the network and `go env GOPROXY`"
	}
	return &report.Failure{
		Err:  fmt.Errorf("go %s: %w\n%s", cmd.Args[1], err, strings.TrimSpace(stderr)),
		Next: next, Code: report.ExitFindings,
	}
}

// tail keeps the end of what is written to it.
type tail struct {
	most int
	buf  []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.buf = append(t.buf, p...)
	if over := len(t.buf) - t.most; over > 0 {
		t.buf = append(t.buf[:0], t.buf[over:]...)
	}
	return len(p), nil
}

func (t *tail) String() string { return string(t.buf) }

// inserted is what a Helm chart inserts into a file: labels, here.
var inserted = regexp.MustCompile(`\{\{.*?\}\}`)

// Gather copies the manifests alone, if they are not there.
func (c *Cache) Gather(ctx context.Context, p Progress) error {
	if c.Gathered() {
		return nil
	}
	unlock, err := c.lock(ctx, p)
	if err != nil {
		return err
	}
	defer unlock()
	return c.gather(ctx, p)
}

// Definition returns the custom resource definition of a kind as JSON, of those that
// were gathered, and the module and version that it comes from.
func (c *Cache) Definition(group, kind string) (crd []byte, from string, ok bool) {
	c.definitions.Do(c.readDefinitions)
	d, ok := c.defined[[2]string{group, kind}]
	return d.crd, d.from, ok
}

// definition is a custom resource definition and its module.
type definition struct {
	crd  []byte
	from string
}

// readDefinitions reads what was gathered; what cannot be read is not there.
func (c *Cache) readDefinitions() {
	c.defined = map[[2]string]definition{}
	versions := ModuleVersions()
	for _, ms := range manifests {
		for _, m := range ms {
			if m.group != "crds" {
				continue
			}
			files, _ := filepath.Glob(filepath.Join(c.Manifests("crds"), m.prefix()+"*"))
			for _, f := range files {
				data, err := os.ReadFile(f)
				if err != nil {
					continue
				}
				for r := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(data))); ; {
					doc, err := r.Read()
					if err != nil {
						break
					}
					crd, err := yaml.YAMLToJSON(doc)
					if err != nil {
						continue
					}
					var head struct {
						Kind string
						Spec struct {
							Group string
							Names struct{ Kind string }
						}
					}
					if json.Unmarshal(crd, &head) == nil && head.Kind == "CustomResourceDefinition" {
						c.defined[[2]string{head.Spec.Group, head.Spec.Names.Kind}] = definition{crd, m.module + " " + versions[m.module]}
					}
				}
			}
		}
	}
}

// prefix is how the names of a module's files begin in the cache.
func (m manifest) prefix() string {
	return strings.NewReplacer("/", "_", "!", "").Replace(m.module) + "_"
}

// clean leaves out of a file what the lab has no use for.
func (m manifest) clean(data []byte) ([]byte, error) {
	if m.chart {
		data = inserted.ReplaceAll(data, nil)
	}
	if !m.bare {
		return data, nil
	}
	var out bytes.Buffer
	for r := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(data))); ; {
		doc, err := r.Read()
		if errors.Is(err, io.EOF) {
			return out.Bytes(), nil
		}
		if err != nil {
			return nil, err
		}
		var o map[string]any
		if err := yaml.Unmarshal(doc, &o); err != nil {
			return nil, err
		}
		if len(o) == 0 {
			continue
		}
		versions, _ := fieldpath.At(o, []any{"spec", "versions"}).([]any)
		for _, v := range versions {
			schemas.Undescribe(fieldpath.At(v, []any{"schema", "openAPIV3Schema"}))
		}
		if doc, err = yaml.Marshal(o); err != nil {
			return nil, err
		}
		fmt.Fprintf(&out, "---\n%s", doc)
	}
}

// gather copies the manifests out of their modules, so that at run time neither
// the modules nor the network are needed.
func (c *Cache) gather(ctx context.Context, p Progress) error {
	final := filepath.Join(c.root, "programs", c.keys["manifests"])
	if _, err := os.Stat(final); err == nil {
		return nil
	}
	p.Note("gathering custom resource definitions")
	stage, err := os.MkdirTemp(filepath.Dir(final), ".manifests-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(stage)
	for module, ms := range manifests {
		src, err := c.unpack(module)
		if err != nil {
			return err
		}
		args := []string{"mod", "download", "-json"}
		for _, m := range ms {
			args = append(args, m.module)
		}
		out, err := output(ctx, goCommand(ctx, src, "", args...))
		if err != nil {
			return err
		}
		dirs := map[string]string{}
		for dec := json.NewDecoder(bytes.NewReader(out)); ; {
			var m struct{ Path, Dir, Version string }
			if err := dec.Decode(&m); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				return fmt.Errorf("read the answer of go mod download: %w", err)
			}
			dirs[m.Path] = m.Dir
		}
		for _, m := range ms {
			if m.tree != "" {
				tree, err := fs.Sub(os.DirFS(dirs[m.module]), m.tree)
				if err == nil {
					err = os.CopyFS(filepath.Join(stage, m.group, path.Base(m.tree)), tree)
				}
				if err != nil {
					return fmt.Errorf("%s of module %s: %w", m.tree, m.module, err)
				}
			}
			for _, glob := range m.globs {
				// Not filepath.Glob: the folder may have brackets in its name.
				tree := os.DirFS(dirs[m.module])
				files, err := fs.Glob(tree, glob)
				if err != nil || len(files) == 0 {
					return fmt.Errorf("module %s has no %s", m.module, glob)
				}
				for _, f := range files {
					data, err := fs.ReadFile(tree, f)
					if err != nil {
						return err
					}
					if data, err = m.clean(data); err != nil {
						return fmt.Errorf("%s of module %s: %w", f, m.module, err)
					}
					if err := os.MkdirAll(filepath.Join(stage, m.group), 0o755); err != nil {
						return err
					}
					name := m.prefix() + filepath.Base(f)
					if err := os.WriteFile(filepath.Join(stage, m.group, name), data, 0o644); err != nil {
						return err
					}
				}
			}
		}
	}
	if err := os.Chmod(stage, 0o755); err != nil {
		return err
	}
	return os.Rename(stage, final)
}

// buildSet compiles the missing programs of one module with one go build: its
// scheduler shares the packages between the programs and keeps all cores busy.
func (c *Cache) buildSet(ctx context.Context, src string, s set, missing []Program, p Progress) error {
	final := filepath.Join(c.root, "programs", c.keys[s.key()])
	if err := os.MkdirAll(final, 0o755); err != nil {
		return err
	}
	// An interrupted build's stage; the lock is ours, so nobody uses it.
	stage := filepath.Join(final, ".stage")
	if err := os.RemoveAll(stage); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(stage, "tmp"), 0o755); err != nil {
		return err
	}
	defer os.RemoveAll(stage)

	pkgs := make([]string, len(missing))
	for i, prog := range missing {
		pkgs[i] = prog.pkg
		p.Set(prog.Name, "reading packages (the first time downloads them)")
	}
	var flags []string
	if s.edit != nil {
		modfile, err := s.edit.apply(ctx, src, filepath.Join(stage, "tmp"))
		if err != nil {
			return err
		}
		flags = []string{"-modfile=" + modfile}
	}
	stale, err := stalePackages(ctx, src, s.goos, append(slices.Clone(flags), pkgs...))
	if err != nil {
		return err
	}
	todo := map[string]bool{}
	for _, list := range stale {
		for _, pkg := range list {
			todo[pkg] = true
		}
	}
	if len(todo) > 500 {
		p.Note("compiling %d packages for %d programs: about 10 to 20 minutes on 2 cores, once; later starts compile nothing",
			len(todo), len(missing))
	}
	w := &watcher{
		missing: missing, stale: stale, todo: len(todo), done: map[string]bool{},
		started: time.Now(), progress: p, final: final, stage: stage,
	}
	args := slices.Concat([]string{"build", "-v", "-ldflags=" + s.ldflags(), "-o", stage + "/"}, flags, pkgs)
	cmd := goCommand(ctx, src, s.goos, args...)
	// On the same file system as the stage go build renames a linked program
	// into place; on another it would copy, and half a program could be seen.
	cmd.Env = append(cmd.Env, "GOTMPDIR="+filepath.Join(stage, "tmp"))
	errs := &tail{most: 4 << 10}
	cmd.Stderr = io.MultiWriter(errs, w)
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start go build: %w", err)
	}
	ended := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() { w.watch(ended) })
	err = cmd.Wait()
	close(ended)
	wg.Wait()
	if err != nil {
		return goError(ctx, cmd, err, errs.String())
	}
	w.collect()
	if left := w.left(); len(left) > 0 {
		return fmt.Errorf("go build succeeded but did not make %s", strings.Join(left, ", "))
	}
	return nil
}

// apply copies the edit's module into dir, edits it, and returns a go.mod that builds
// with the copy. Go's own overlays do not reach into the module cache.
func (e *edit) apply(ctx context.Context, src, dir string) (string, error) {
	out, err := output(ctx, goCommand(ctx, src, "", "mod", "download", "-json", e.module))
	if err != nil {
		return "", err
	}
	var m struct{ Dir string }
	if err := json.Unmarshal(out, &m); err != nil {
		return "", fmt.Errorf("read the answer of go mod download: %w", err)
	}
	copied := filepath.Join(dir, "module")
	if err := os.CopyFS(copied, os.DirFS(m.Dir)); err != nil {
		return "", err
	}
	name := filepath.Join(copied, filepath.FromSlash(e.file))
	text, err := os.ReadFile(name)
	if err != nil {
		return "", err
	}
	if n := bytes.Count(text, []byte(e.old)); n != 1 {
		return "", fmt.Errorf("%s of module %s has %s %d times, want once: it has another version than this edit is for", e.file, e.module, e.old, n)
	}
	if err := os.WriteFile(name, bytes.Replace(text, []byte(e.old), []byte(e.new), 1), 0o644); err != nil {
		return "", err
	}
	mod, err := os.ReadFile(filepath.Join(src, "go.mod"))
	if err != nil {
		return "", err
	}
	sum, err := os.ReadFile(filepath.Join(src, "go.sum"))
	if err != nil {
		return "", err
	}
	modfile := filepath.Join(dir, "edited.mod")
	mod = fmt.Appendf(mod, "\nreplace %s => %q\n", e.module, copied)
	return modfile, errors.Join(os.WriteFile(modfile, mod, 0o644), os.WriteFile(filepath.Join(dir, "edited.sum"), sum, 0o644))
}

// stalePackages returns, for each of the main packages, which packages have to
// be compiled for it. pkgs may begin with flags.
func stalePackages(ctx context.Context, src, goos string, pkgs []string) (map[string][]string, error) {
	args := append([]string{"list", "-deps", "-json=ImportPath,Deps,Stale,DepOnly"}, pkgs...)
	out, err := output(ctx, goCommand(ctx, src, goos, args...))
	if err != nil {
		return nil, err
	}
	stale := map[string]bool{}
	deps := map[string][]string{}
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var pkg struct {
			ImportPath     string
			Deps           []string
			Stale, DepOnly bool
		}
		if err := dec.Decode(&pkg); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, fmt.Errorf("read the answer of go list: %w", err)
		}
		stale[pkg.ImportPath] = pkg.Stale
		if !pkg.DepOnly {
			deps[pkg.ImportPath] = append(pkg.Deps, pkg.ImportPath)
		}
	}
	res := map[string][]string{}
	for main, list := range deps {
		for _, d := range list {
			if stale[d] {
				res[main] = append(res[main], d)
			}
		}
	}
	return res, nil
}

// watcher follows a go build: the packages that it names as it compiles them,
// and the programs that appear in the stage.
type watcher struct {
	missing  []Program
	stale    map[string][]string
	todo     int
	progress Progress
	started  time.Time
	stage    string
	final    string

	mu   sync.Mutex
	done map[string]bool // packages compiled, and programs ("=" + name) placed
	part []byte          // an unfinished line
}

// Write takes the output of go build -v: one import path per line.
func (w *watcher) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.part = append(w.part, b...)
	for {
		i := bytes.IndexByte(w.part, '\n')
		if i < 0 {
			return len(b), nil
		}
		// What has a space is no import path: "go: downloading …", "# …" of an error.
		if line := string(w.part[:i]); !strings.Contains(line, " ") {
			w.done[line] = true
		}
		w.part = w.part[i+1:]
	}
}

func (w *watcher) watch(ended <-chan struct{}) {
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ended:
			return
		case <-tick.C:
			w.collect()
			w.show()
		}
	}
}

// collect moves programs that are whole to their place.
func (w *watcher) collect() {
	for _, p := range w.missing {
		built := filepath.Join(w.stage, p.exe)
		w.mu.Lock()
		placed := w.done["="+p.Name]
		w.mu.Unlock()
		if fi, err := os.Stat(built); placed || err != nil || fi.Size() == 0 {
			continue
		}
		if err := os.Rename(built, filepath.Join(w.final, p.Name)); err != nil {
			continue // reported as missing when the build has ended
		}
		w.mu.Lock()
		w.done["="+p.Name] = true
		w.mu.Unlock()
		w.progress.End(p.Name, "built")
	}
}

func (w *watcher) left() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var names []string
	for _, p := range w.missing {
		if !w.done["="+p.Name] {
			names = append(names, p.Name)
		}
	}
	return names
}

func (w *watcher) show() {
	w.mu.Lock()
	compiled := 0
	for d := range w.done {
		if !strings.HasPrefix(d, "=") {
			compiled++
		}
	}
	type line struct{ name, state string }
	var lines []line
	for _, p := range w.missing {
		if w.done["="+p.Name] {
			continue
		}
		n := 0
		for _, d := range w.stale[p.pkg] {
			if w.done[d] {
				n++
			}
		}
		total := len(w.stale[p.pkg])
		state := fmt.Sprintf("compiling %d/%d packages", n, total)
		if n >= total {
			state = "linking"
		}
		lines = append(lines, line{p.Name, state})
	}
	eta := ""
	if elapsed := time.Since(w.started); compiled > 100 && elapsed > 10*time.Second && w.todo > compiled {
		rest := time.Duration(float64(elapsed) * float64(w.todo-compiled) / float64(compiled))
		eta = ", about " + report.Duration(rest) + " left for all"
	}
	w.mu.Unlock()
	for i, l := range lines {
		if i == 0 {
			l.state += eta
		}
		w.progress.Set(l.name, l.state)
	}
}

// ModuleVersions returns the versions that lab/go.mod and lab/crds/go.mod pin,
// by module path.
func ModuleVersions() map[string]string {
	versions := map[string]string{}
	for _, f := range txtar.Parse(sources).Files {
		if filepath.Base(f.Name) != "go.mod" {
			continue
		}
		mod, err := modfile.Parse(f.Name, f.Data, nil)
		if err != nil {
			panic("programs: embedded " + f.Name + ": " + err.Error()) // TestSources parses them all
		}
		for _, r := range mod.Require {
			versions[r.Mod.Path] = r.Mod.Version
		}
	}
	return versions
}

// Version returns the version of the module that a program comes from.
func Version(name string) string {
	versions := ModuleVersions()
	for _, s := range sets {
		for _, p := range s.packages {
			if p.Name != name {
				continue
			}
			for path := p.pkg; path != "."; path = filepath.Dir(path) {
				if v := versions[path]; v != "" {
					return v
				}
			}
		}
	}
	return ""
}

// BuildBeacon makes beacon at another version than the one that the lab starts
// with, and returns the program's path.
func (c *Cache) BuildBeacon(ctx context.Context, version string) (string, error) {
	path := c.Path("beacon")
	if version != BeaconVersion {
		path += "-" + version
	}
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	src, err := c.unpack("beacon")
	if err != nil {
		return "", err
	}
	// The folder is not there when Go was upgraded, or the cache deleted, while
	// the lab runs.
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return "", err
	}
	stage, err := os.MkdirTemp(filepath.Dir(path), ".beacon-*")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(stage)
	built := filepath.Join(stage, "beacon")
	if _, err := output(ctx, goCommand(ctx, src, "linux",
		"build", "-ldflags="+beaconFlags(version), "-o", built, ".")); err != nil {
		return "", err
	}
	return path, os.Rename(built, path)
}
