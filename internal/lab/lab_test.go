package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lumacore.dev/lumacore/internal/lab/programs"
	"lumacore.dev/lumacore/internal/report"
)

// newLab returns a lab in a new folder that does not exist yet; what it says
// goes to the buffer.
func newLab(t *testing.T) (*Lab, *bytes.Buffer) {
	t.Helper()
	var errs bytes.Buffer
	dir := filepath.Join(t.TempDir(), "lab")
	return &Lab{
		Layout: Layout{Dir: dir}, Programs: programs.OpenCache(filepath.Join(t.TempDir(), "cache"), "go1.26.0"),
		Streams: &report.Streams{In: strings.NewReader(""), Out: &bytes.Buffer{}, Err: &errs}, Self: "/usr/bin/lumacore",
	}, &errs
}

// write writes files below dir; a name that ends in / is a folder.
func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		path := filepath.Join(dir, name)
		parent := filepath.Dir(path)
		if strings.HasSuffix(name, "/") {
			parent = path
		}
		if err := os.MkdirAll(parent, 0o755); err != nil {
			t.Fatal(err)
		}
		if parent == path {
			continue
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// tree lists all files below dir, folders with a slash.
func tree(t *testing.T, dir string) []string {
	t.Helper()
	list := []string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(dir, path)
		if d != nil && d.IsDir() {
			rel += "/"
		}
		if err == nil && rel != "./" {
			list = append(list, rel)
		}
		return err
	})
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return list
}

// checkFailure checks the message, the next step and the exit code of an error.
func checkFailure(t *testing.T, err error, text, next string, code int) {
	t.Helper()
	var f *report.Failure
	if !errors.As(err, &f) {
		t.Fatalf("error %v (%T), want a Failure: %s", err, err, text)
	}
	if diff := cmp.Diff([]any{text, next, code}, []any{f.Error(), f.Next, report.ExitCode(err)}); diff != "" {
		t.Errorf("message, next, exit code (-want +got):\n%s", diff)
	}
}

func TestPorts(t *testing.T) {
	seen := map[string]bool{}
	for i, n := range portNames {
		if seen[n] {
			t.Errorf("port %s is named twice", n)
		}
		seen[n] = true
		if got := (Ports{Base: 20000}).get(n); got != 20000+i {
			t.Errorf("port %s is %d, want %d", n, got, 20000+i)
		}
	}
	p := Ports{Base: 20000}
	if got := p.addr("etcd-peer"); got != "127.0.0.1:20001" {
		t.Errorf("addr = %s, want 127.0.0.1:20001", got)
	}
	if got := p.num("etcd"); got != "20000" {
		t.Errorf("num = %s, want 20000", got)
	}
	if got, want := p.String(), fmt.Sprintf("20000–%d", 20000+len(portNames)-1); got != want {
		t.Errorf("String = %s, want %s", got, want)
	}
}

func TestPortUnknown(t *testing.T) {
	defer func() {
		if got, want := recover(), "lab: no port is named nonsense"; got != want {
			t.Errorf("panic %v, want %s", got, want)
		}
	}()
	Ports{Base: 20000}.get("nonsense")
}

func TestChoosePorts(t *testing.T) {
	p, err := choosePorts()
	if err != nil {
		t.Fatal(err)
	}
	if last := p.Base + len(portNames) - 1; p.Base < 20000 || last > 32000 {
		t.Errorf("block %s is not between 20000 and 32000", p)
	}
	if name, port := p.taken(); name != "" {
		t.Fatalf("port %d (%s) of a free block is taken", port, name)
	}
	l, err := net.Listen("tcp", p.addr("registry"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if name, port := p.taken(); name != "registry" || port != p.get("registry") {
		t.Errorf("taken: %s %d, want registry %d", name, port, p.get("registry"))
	}
	if p.free() {
		t.Error("a block with a taken port is free")
	}
}

func TestEnsureSettings(t *testing.T) {
	l, _ := newLab(t)
	if err := os.MkdirAll(l.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := l.loadSettings(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no lab: %v, want: not exist", err)
	}
	first, err := l.ensureSettings()
	if err != nil {
		t.Fatal(err)
	}
	if first.Format != format || len(first.Password) < 20 || first.Version != programs.Version("kube-apiserver") {
		t.Errorf("new settings %+v", first)
	}
	if fi, err := os.Stat(l.settingsFile()); err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v; want 0600: the file has a password", fi.Mode().Perm(), err)
	}
	again, err := l.ensureSettings()
	if err != nil || again != first {
		t.Errorf("second time %+v, %v; want %+v", again, err, first)
	}

	// Another program has taken a port meanwhile: other ports, the same rest.
	taken, err := net.Listen("tcp", first.Ports.addr("git"))
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	moved, err := l.ensureSettings()
	if err != nil {
		t.Fatal(err)
	}
	if moved.Ports == first.Ports || !moved.Ports.free() {
		t.Errorf("ports %s after %s was taken", moved.Ports, first.Ports)
	}
	moved.Ports = first.Ports
	if moved != first {
		t.Errorf("with the ports changed %+v, want %+v", moved, first)
	}
	other, _ := newLab(t)
	if err := os.MkdirAll(other.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if s, err := other.ensureSettings(); err != nil || s.Password == first.Password {
		t.Errorf("another lab has the same password (%v)", err)
	}
}

func TestSettingsRefused(t *testing.T) {
	for name, tt := range map[string]struct{ content, want, next string }{
		"damaged": {"{", "LAB/lab.json is damaged: unexpected end of JSON input", "lumacore lab down --purge deletes the lab and its data; lab up makes a new one"},
		"empty":   {"", "LAB/lab.json is damaged: unexpected end of JSON input", "lumacore lab down --purge deletes the lab and its data; lab up makes a new one"},
		"newer layout": {
			`{"format": 2}`, "LAB was made by another version of lumacore (layout 2, this one has 1)",
			"lumacore lab down --purge deletes it and its data; lab up makes a new one",
		},
		"no layout": {
			`{}`, "LAB was made by another version of lumacore (layout 0, this one has 1)",
			"lumacore lab down --purge deletes it and its data; lab up makes a new one",
		},
	} {
		t.Run(name, func(t *testing.T) {
			l, _ := newLab(t)
			write(t, l.Dir, map[string]string{"lab.json": tt.content})
			_, err := l.ensureSettings()
			checkFailure(t, err, strings.ReplaceAll(tt.want, "LAB", l.Dir), tt.next, report.ExitFindings)
			if b, err := os.ReadFile(l.settingsFile()); err != nil || string(b) != tt.content {
				t.Errorf("the file was changed to %q (%v)", b, err)
			}
		})
	}
}

func TestDefaultDir(t *testing.T) {
	for name, tt := range map[string]struct{ dir, state, home, want string }{
		"variable":      {"/l", "/s", "/h", "/l"},
		"state folder":  {"", "/s", "/h", "/s/lumacore/lab"},
		"home":          {"", "", "/h", "/h/.local/state/lumacore/lab"},
		"nothing known": {"", "", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("LUMACORE_DIR", tt.dir)
			t.Setenv("XDG_STATE_HOME", tt.state)
			t.Setenv("HOME", tt.home)
			got, err := DefaultDir()
			if tt.want == "" {
				checkFailure(t, err, "no folder for the lab: $HOME is not defined", "give --dir, or set HOME", report.ExitUsage)
			} else if err != nil || got != tt.want {
				t.Errorf("%s, %v; want %s", got, err, tt.want)
			}
		})
	}
}

func TestForeign(t *testing.T) {
	for name, tt := range map[string]struct {
		files map[string]string // nil: the folder does not exist
		want  string
	}{
		"no folder":               {nil, ""},
		"empty folder":            {map[string]string{"./": ""}, ""},
		"a lab":                   {map[string]string{"lab.json": "{}", "data/etcd/x": ""}, ""},
		"a lab that never was up": {map[string]string{"run/supervisor": ""}, ""},
		"somebody's files":        {map[string]string{"thesis.tex": "x"}, "LAB is not empty and is not a lab"},
		"a hidden file":           {map[string]string{".bashrc": "x"}, "LAB is not empty and is not a lab"},
		"folder of the same name": {map[string]string{"data/x": ""}, "LAB is not empty and is not a lab"},
	} {
		t.Run(name, func(t *testing.T) {
			l, _ := newLab(t)
			write(t, l.Dir, tt.files)
			before := tree(t, l.Dir)
			err := l.foreign()
			if tt.want == "" {
				if err != nil {
					t.Errorf("refused: %v", err)
				}
				return
			}
			want := strings.ReplaceAll(tt.want, "LAB", l.Dir)
			checkFailure(t, err, want, "give an empty folder with --dir", report.ExitUsage)
			// Neither up nor down --purge touches it.
			_, _, err = l.Up(t.Context(), 0)
			checkFailure(t, err, want, "give an empty folder with --dir", report.ExitUsage)
			_, err = l.Down(t.Context(), true)
			checkFailure(t, err, want, "give an empty folder with --dir", report.ExitUsage)
			if diff := cmp.Diff(before, tree(t, l.Dir)); diff != "" {
				t.Errorf("the folder was changed (-before +after):\n%s", diff)
			}
		})
	}
}

func TestForeignFile(t *testing.T) {
	l, _ := newLab(t)
	if err := os.WriteFile(l.Dir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	err := l.foreign()
	checkFailure(t, err, "cannot use "+l.Dir+" for the lab: open "+l.Dir+": not a directory", "give another folder with --dir", report.ExitUsage)
}

// whole is a folder in which a lab has left all that it can leave, killed at bad
// moments included.
var whole = map[string]string{
	"lab.json": "{}", "state.json": "{}", "phases.json": "[]", "kwok.yaml": "", "registry.yaml": "", "git-credentials": "",
	"run/supervisor": "", "run/etcd.lock": "", "run/etcd.pid": "1", "logs/etcd.log": "", "logs/etcd.log.1": "",
	"data/etcd/member/x": "", "git/lumacore.git/HEAD": "", "kubeconfig/admin.yaml": "", "pki/ca.crt": "",
	"gatekeeper-certs/tls.crt": "", "tmp/seed-1/x": "",
	// A write or an issue that was cut off.
	".state.json.123": "{", ".lab.json.9": "", ".pki-77/ca.crt": "", ".git-credentials.5": "",
}

func TestPurge(t *testing.T) {
	l, _ := newLab(t)
	write(t, l.Dir, whole)
	stopped, err := l.Down(t.Context(), true)
	if err != nil || stopped {
		t.Fatalf("stopped %v, %v; want false, nil", stopped, err)
	}
	if got := tree(t, filepath.Dir(l.Dir)); len(got) != 0 {
		t.Errorf("purge left %v", got)
	}
	if stopped, err := l.Down(t.Context(), true); err != nil || stopped {
		t.Errorf("purging nothing: %v, %v; want false, nil", stopped, err)
	}
}

func TestPurgeKeepsForeignFiles(t *testing.T) {
	l, _ := newLab(t)
	write(t, l.Dir, whole)
	write(t, l.Dir, map[string]string{
		"notes/todo.txt": "mine", ".env": "mine", ".git-credentials": "mine", ".data.bak": "mine", ".git/HEAD": "mine",
	})
	_, err := l.Down(t.Context(), true)
	checkFailure(t, err, "the lab's data is deleted, but "+l.Dir+" is not empty", "look what is in it", report.ExitFindings)
	if diff := cmp.Diff([]string{".data.bak", ".env", ".git/", ".git/HEAD", ".git-credentials", "notes/", "notes/todo.txt"}, tree(t, l.Dir)); diff != "" {
		t.Errorf("left (-want +got):\n%s", diff)
	}
}

func TestDownKeepsData(t *testing.T) {
	l, _ := newLab(t)
	write(t, l.Dir, whole)
	stopped, err := l.Down(t.Context(), false)
	if err != nil || stopped {
		t.Fatalf("stopped %v, %v; want false, nil", stopped, err)
	}
	for _, f := range []string{"data/etcd/member/x", "lab.json", "pki/ca.crt"} {
		if !slices.Contains(tree(t, l.Dir), f) {
			t.Errorf("%s is gone", f)
		}
	}
	if slices.Contains(tree(t, l.Dir), "tmp/") {
		t.Error("tmp is still there")
	}
}

func TestRunning(t *testing.T) {
	l, _ := newLab(t)
	if l.Running() {
		t.Error("a lab without a folder runs")
	}
	if got := tree(t, l.Dir); len(got) != 0 {
		t.Errorf("asking made %v", got)
	}
	held, ok, err := l.lock()
	if err != nil || !ok {
		t.Fatalf("lock: %v, %v", ok, err)
	}
	if !l.Running() {
		t.Error("a lab whose lock is held does not run")
	}
	if err := held.Unlock(); err != nil {
		t.Fatal(err)
	}
	if l.Running() {
		t.Error("a lab whose supervisor has ended runs")
	}
}

// What needs a running lab says so and what to do.
func TestNotRunning(t *testing.T) {
	l, _ := newLab(t)
	for name, call := range map[string]func() error{
		"push":  func() error { _, err := l.Push(t.Context(), ".", false, 0); return err },
		"image": func() error { _, err := l.PushImage(t.Context(), "1.0.1"); return err },
	} {
		t.Run(name, func(t *testing.T) {
			checkFailure(t, call(), "no lab is running in "+l.Dir, "lumacore lab up", report.ExitFindings)
		})
	}
	rep, err := l.Status(t.Context())
	if err != nil || rep.Ready || rep.Message != "not running; start it with: lumacore lab up" {
		t.Errorf("status %+v, %v", rep, err)
	}
	b, err := json.Marshal(rep)
	if err != nil || !bytes.Contains(b, []byte(`"components":[],"kustomizations":[],"systems":[],"phases":[]`)) {
		t.Errorf("status without a lab: %s, %v; want empty lists, not null", b, err)
	}
	if got := tree(t, l.Dir); len(got) != 0 {
		t.Errorf("asking made %v", got)
	}
}

func TestImageVersion(t *testing.T) {
	l, _ := newLab(t)
	for name, version := range map[string]string{
		"word": "latest", "with v": "v1.0.1", "two numbers": "1.0", "build metadata": "1.0.1+b", "empty": "", "path": "../1.0.0",
		"option": "-1.0.0", "newline": "1.0.0\n", "too long": "1.0.0-" + strings.Repeat("a", 100),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := l.PushImage(t.Context(), version)
			checkFailure(t, err, fmt.Sprintf("%q is not a semantic version such as 1.0.1", version), "lumacore lab image 1.0.1", report.ExitUsage)
		})
	}
}

func TestLogs(t *testing.T) {
	l, _ := newLab(t)
	var out bytes.Buffer
	err := l.Logs(t.Context(), "nonsense", false, &out)
	checkFailure(t, err, `no component is named "nonsense": use one of `+strings.Join(l.LogNames(), ", "), "", report.ExitUsage)
	err = l.Logs(t.Context(), "cluster-setup", false, &out) // a task has no log of its own
	checkFailure(t, err, `no component is named "cluster-setup": use one of `+strings.Join(l.LogNames(), ", "), "", report.ExitUsage)
	err = l.Logs(t.Context(), "etcd", false, &out)
	checkFailure(t, err, "etcd has no log in "+l.Dir+": it has not been started", "lumacore lab status", report.ExitFindings)
	write(t, l.Dir, map[string]string{"logs/etcd.log": "one\ntwo\n"})
	if err := l.Logs(t.Context(), "etcd", false, &out); err != nil || out.String() != "one\ntwo\n" {
		t.Errorf("%q, %v; want the log", out.String(), err)
	}
}

// tailBuffer tells what was written so far.
type tailBuffer chan string

func (c tailBuffer) Write(b []byte) (int, error) {
	c <- string(b)
	return len(b), nil
}

// Following goes on over a log that grows and one that was moved aside.
func TestLogsFollow(t *testing.T) {
	l, _ := newLab(t)
	write(t, l.Dir, map[string]string{"logs/etcd.log": "one\n"})
	log := l.procs().LogFile("etcd")
	out := make(tailBuffer)
	ended := make(chan error)
	ctx, cancel := contextWithCancel(t)
	go func() { ended <- l.Logs(ctx, "etcd", true, out) }()
	expect := func(want string) {
		t.Helper()
		select {
		case got := <-out:
			if got != want {
				t.Fatalf("%q, want %q", got, want)
			}
		case err := <-ended:
			t.Fatalf("ended: %v", err)
		}
	}
	expect("one\n")
	f, err := os.OpenFile(log, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(f, "two\n")
	f.Close()
	expect("two\n")
	if err := os.Rename(log, log+".1"); err != nil {
		t.Fatal(err)
	}
	if err := report.WriteFile(log, []byte("three\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	expect("three\n")
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("ended with %v, want nil", err)
	}
}

func contextWithCancel(t *testing.T) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	return ctx, cancel
}
