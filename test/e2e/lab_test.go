//go:build e2e

// Package e2e drives the built binary as a user does and asserts objects in the
// lab's API server, files in its Git repository and processes of the machine.
//
// The labs are real ones, in temporary folders; programs come from the user's
// cache (`lumacore lab build` makes them).
package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/shirou/gopsutil/v4/process"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

var (
	binary string   // lumacore
	shared *testLab // the lab that most tests use
)

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	if len(os.Args) > 1 && os.Args[1] == offlineHelper {
		return offlineMain(os.Args[2:])
	}
	tmp, err := os.MkdirTemp("", "lumacore-e2e-*")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(tmp)
	binary = filepath.Join(tmp, "lumacore")
	build := exec.Command("go", "build", "-o", binary, "lumacore.dev/lumacore/cmd/lumacore")
	build.Stdout, build.Stderr = os.Stderr, os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "build lumacore:", err)
		return 1
	}
	shared = &testLab{dir: filepath.Join(tmp, "lab")}
	out, err := shared.command("lab", "up").CombinedOutput()
	if err != nil {
		fmt.Fprintf(os.Stderr, "lab up: %v\n%s", err, out)
		shared.dump()
		return 1
	}
	code := m.Run()
	if code != 0 {
		shared.dump()
	}
	if out, err := shared.command("lab", "down", "--purge", "--yes").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "lab down: %v\n%s", err, out)
		return 1
	}
	return code
}

// testLab is a lab in a folder of its own.
type testLab struct {
	dir string
	env []string
	cli client.Client
}

// command is a command line of lumacore for this lab.
func (l *testLab) command(args ...string) *exec.Cmd {
	cmd := exec.Command(binary, args...)
	cmd.Env = append(os.Environ(), "LUMACORE_DIR="+l.dir, "NO_COLOR=1")
	cmd.Env = append(cmd.Env, l.env...)
	return cmd
}

// dump prints what a person would look at after a failure.
func (l *testLab) dump() {
	out, _ := l.command("lab", "status").CombinedOutput()
	fmt.Fprintf(os.Stderr, "--- lab status\n%s", out)
	out, _ = l.command("lab", "logs", "supervisor").CombinedOutput()
	lines := strings.Split(string(out), "\n")
	fmt.Fprintf(os.Stderr, "--- end of the supervisor's log\n%s\n", strings.Join(lines[max(0, len(lines)-60):], "\n"))
}

// result is how a command line ended.
type result struct {
	stdout, stderr string
	code           int
	took           time.Duration
}

// try runs a command line and returns how it ended.
func (l *testLab) try(t testing.TB, args ...string) result {
	t.Helper()
	cmd := l.command(args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	start := time.Now()
	err := cmd.Run()
	r := result{stdout: out.String(), stderr: errs.String(), took: time.Since(start)}
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		r.code = exit.ExitCode()
	case err != nil:
		t.Fatal(err)
	}
	return r
}

// run is try, and a failure of the test when the command fails.
func (l *testLab) run(t testing.TB, args ...string) result {
	t.Helper()
	r := l.try(t, args...)
	if r.code != 0 {
		t.Fatalf("lumacore %s: exit %d\n%s%s", strings.Join(args, " "), r.code, r.stdout, r.stderr)
	}
	return r
}

// labReport is `lab status -o json`, as a program outside would read it.
type labReport struct {
	Kind       string
	Ready      bool
	Message    string
	Components []struct {
		Name, State, Mode, Version string
		PID, Restarts              int
		RSSBytes                   uint64
	}
	Kustomizations []struct {
		Name, Environment, Revision, Message string
		Ready, Suspended                     bool
	}
	Phases []struct {
		Name    string
		Seconds float64
	}
}

func (l *testLab) status(t testing.TB) labReport {
	t.Helper()
	r := l.try(t, "lab", "status", "-o", "json")
	var rep labReport
	if err := json.Unmarshal([]byte(r.stdout), &rep); err != nil {
		t.Fatalf("lab status -o json: %v\n%s%s", err, r.stdout, r.stderr)
	}
	if want := map[bool]int{true: 0, false: 1}[rep.Ready]; r.code != want {
		t.Errorf("lab status exits %d, and says ready: %v", r.code, rep.Ready)
	}
	return rep
}

// ready waits until the lab is, and returns its status. It may not be at any one moment:
// image automation commits when it likes, and staging follows.
func (l *testLab) ready(t testing.TB) labReport {
	t.Helper()
	var rep labReport
	eventually(t, time.Minute, l.dir+" is ready", func() error {
		if rep = l.status(t); !rep.Ready {
			return errors.New(rep.Message)
		}
		return nil
	})
	return rep
}

func (l *testLab) client(t testing.TB) client.Client {
	t.Helper()
	if l.cli == nil {
		cfg, err := clientcmd.BuildConfigFromFlags("", strings.TrimSpace(l.run(t, "lab", "kubeconfig").stdout))
		if err != nil {
			t.Fatal(err)
		}
		cfg.QPS = -1
		if l.cli, err = client.New(cfg, client.Options{}); err != nil {
			t.Fatal(err)
		}
	}
	return l.cli
}

// kinds of the objects that the tests look at.
var (
	deployment      = schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "Deployment"}
	configMap       = schema.GroupVersionKind{Version: "v1", Kind: "ConfigMap"}
	pod             = schema.GroupVersionKind{Version: "v1", Kind: "Pod"}
	imageRepository = schema.GroupVersionKind{Group: "image.toolkit.fluxcd.io", Version: "v1", Kind: "ImageRepository"}
	imageConstraint = schema.GroupVersionKind{Group: "constraints.gatekeeper.sh", Version: "v1beta1", Kind: "LumaCoreImageTag"}
)

func object(gvk schema.GroupVersionKind, namespace, name string) *unstructured.Unstructured {
	o := &unstructured.Unstructured{}
	o.SetGroupVersionKind(gvk)
	o.SetNamespace(namespace)
	o.SetName(name)
	return o
}

func (l *testLab) get(t testing.TB, gvk schema.GroupVersionKind, namespace, name string) (*unstructured.Unstructured, error) {
	t.Helper()
	o := object(gvk, namespace, name)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	return o, l.client(t).Get(ctx, types.NamespacedName{Namespace: namespace, Name: name}, o)
}

// must is get of an object that has to be there.
func (l *testLab) must(t testing.TB, gvk schema.GroupVersionKind, namespace, name string) *unstructured.Unstructured {
	t.Helper()
	o, err := l.get(t, gvk, namespace, name)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// eventually waits until check answers nil.
func eventually(t testing.TB, within time.Duration, what string, check func() error) {
	t.Helper()
	deadline := time.Now().Add(within)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %s: %v", what, within, err)
		}
		<-time.After(100 * time.Millisecond)
	}
}

func field(o *unstructured.Unstructured, path ...string) string {
	v, _, _ := unstructured.NestedFieldNoCopy(o.Object, path...)
	return fmt.Sprint(v)
}

// image returns the image of a Deployment's first container.
func image(o *unstructured.Unstructured) string {
	list, _, _ := unstructured.NestedSlice(o.Object, "spec", "template", "spec", "containers")
	if len(list) == 0 {
		return ""
	}
	c, _ := list[0].(map[string]any)
	return fmt.Sprint(c["image"])
}

// repository is the lab's bare Git repository.
func (l *testLab) repository() string { return filepath.Join(l.dir, "git", "lumacore.git") }

// clone clones the lab's repository, as it is now, to a new folder.
func (l *testLab) clone(t testing.TB) *checkout {
	t.Helper()
	c := &checkout{t: t, dir: filepath.Join(t.TempDir(), "repo")}
	gitIn(t, ".", "clone", "--quiet", l.repository(), c.dir)
	return c
}

// checkout is an owner's working copy.
type checkout struct {
	t   testing.TB
	dir string
}

func gitIn(t testing.TB, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command("git", append([]string{"-C", dir, "-c", "user.name=owner", "-c", "user.email=owner@example.invalid"}, args...)...)
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

func (c *checkout) read(path string) string {
	c.t.Helper()
	b, err := os.ReadFile(filepath.Join(c.dir, path))
	if err != nil {
		c.t.Fatal(err)
	}
	return string(b)
}

func (c *checkout) write(path, content string) {
	c.t.Helper()
	full := filepath.Join(c.dir, path)
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		c.t.Fatal(err)
	}
	if err := os.WriteFile(full, []byte(content), 0o644); err != nil {
		c.t.Fatal(err)
	}
}

func (c *checkout) commit(message string) string {
	c.t.Helper()
	gitIn(c.t, c.dir, "add", "--all")
	gitIn(c.t, c.dir, "commit", "--quiet", "-m", message)
	return gitIn(c.t, c.dir, "rev-parse", "HEAD")
}

// addConfigMap puts a ConfigMap into staging's overlay of beacon.
func (c *checkout) addConfigMap(name, value string) {
	c.t.Helper()
	c.write("overlays/staging/beacon/"+name+".yaml", fmt.Sprintf(`---
# Made by a test.
apiVersion: v1
kind: ConfigMap
metadata:
  name: %s
data:
  value: %q
`, name, value))
	const list = "overlays/staging/beacon/kustomization.yaml"
	content := c.read(list)
	if !strings.Contains(content, name+".yaml") {
		c.write(list, strings.Replace(content, "resources:\n", "resources:\n  - "+name+".yaml\n", 1))
	}
}

// processes returns the processes that have the lab's folder in their command
// line or environment.
func (l *testLab) processes(t testing.TB) []string {
	t.Helper()
	procs, err := process.Processes()
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, p := range procs {
		line, _ := p.Cmdline()
		env, _ := p.Environ()
		if int(p.Pid) != os.Getpid() && (strings.Contains(line, l.dir) || strings.Contains(strings.Join(env, "\n"), l.dir)) {
			found = append(found, fmt.Sprintf("%d %s", p.Pid, line))
		}
	}
	return found
}

// nothingLeft asserts that neither processes nor scratch files are left.
func (l *testLab) nothingLeft(t testing.TB, before []string) {
	t.Helper()
	eventually(t, 10*time.Second, "processes of the lab end", func() error {
		if left := l.processes(t); len(left) > 0 {
			return fmt.Errorf("still there:\n%s", strings.Join(left, "\n"))
		}
		return nil
	})
	for _, f := range shm(t) {
		found := false
		for _, b := range before {
			found = found || b == f
		}
		if !found {
			t.Errorf("left behind: /dev/shm/%s", f)
		}
	}
}

// shm lists the scratch folders of labs.
func shm(t testing.TB) []string {
	t.Helper()
	entries, err := os.ReadDir("/dev/shm")
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var names []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "lumacore-lab-") {
			names = append(names, e.Name())
		}
	}
	return names
}

// ports returns the listening ports that the lab has recorded.
func (l *testLab) basePort(t testing.TB) int {
	t.Helper()
	var s struct{ Ports struct{ Base int } }
	b, err := os.ReadFile(filepath.Join(l.dir, "lab.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &s); err != nil {
		t.Fatal(err)
	}
	return s.Ports.Base
}

// kill sends SIGKILL to one process, not to its group.
func kill(t testing.TB, pid int) {
	t.Helper()
	if pid <= 1 {
		t.Fatalf("no process to kill: %d", pid)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatalf("kill %d: %v", pid, err)
	}
}
