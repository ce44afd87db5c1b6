package lab

import (
	"bytes"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lumacore.dev/lumacore/internal/golden"
	"lumacore.dev/lumacore/internal/lab/programs"
	"lumacore.dev/lumacore/internal/report"
)

func text(t *testing.T, doc report.Document, color bool) []byte {
	t.Helper()
	var b bytes.Buffer
	s := &report.Streams{Out: &b, Err: &bytes.Buffer{}, OutTTY: color, Color: color}
	if err := doc.Text(s, &b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestReportText(t *testing.T) {
	components := []Component{
		{Name: "etcd", State: "ready", Mode: "real", Version: "v3.6.1", PID: 4711, RSSBytes: 81 << 20},
		{Name: "kwok", State: "ready", Mode: "simulated", Version: "v0.7.0", PID: 4712, RSSBytes: 40<<20 + 1, Restarts: 2},
	}
	kustomizations := []Kustomization{
		{Name: "flux-system", Ready: true, Revision: newRev, Message: "Applied revision"},
		{Name: "apps-staging", Environment: "staging", Ready: true, Revision: newRev},
		{Name: "apps-prod", Environment: "prod", Suspended: true, Message: "production is released by hand"},
	}
	for name, rep := range map[string]*Report{
		"ready": {
			Ready: true, Dir: "/LAB", Components: components, Kustomizations: kustomizations, running: true,
			Systems: []System{
				{"nodes, pods, volumes", isSimulated, "KWOK reports them as ready"},
				{"gatekeeper", isReal, "a process"},
				{"traefik", isNotHere, "its chart cannot be fetched without network"},
			},
			Phases: []Phase{{"control plane", 4.2}, {"controllers", 11.63}, {"reconcile", 65}, {"total", 80.83}},
		},
		"not-ready": {
			Dir: "/LAB", Message: "helm-controller is crash-loop: ended: exit status 1", running: true,
			Components: append(components[:1:1], Component{Name: "helm-controller", State: "crash-loop", Mode: "real", Version: "v1.4.0", Restarts: 7}),
			Kustomizations: []Kustomization{
				kustomizations[0], {Name: "apps-staging", Environment: "staging", Revision: oldRev, Message: "apply failed: no\nmore lines"}, {Name: "new"},
			},
		},
		"stopped": {Dir: "/LAB", Message: "not running; start it with: lumacore lab up"},
	} {
		t.Run(name, func(t *testing.T) { golden.Check(t, "report-"+name, text(t, rep, false)) })
		if b := text(t, rep, true); rep.running != bytes.Contains(b, []byte("\x1b[")) {
			t.Errorf("%s: colour on a terminal: want %v:\n%s", name, rep.running, b)
		}
	}
}

func TestPushReportText(t *testing.T) {
	for name, rep := range map[string]*PushReport{
		"pushed": {
			Source: "HEAD 22222222", Commit: newCommit, Changed: true, Revision: newRev, Seconds: 1.234,
			Kustomizations: []Kustomization{
				{Name: "flux-system", Ready: true}, {Name: "apps-prod", Suspended: true, Message: "production is released by hand"}, {Name: "other", Suspended: true},
			},
		},
		"nothing": {Source: "work tree", Commit: newCommit, Revision: newRev, Seconds: 0.1},
	} {
		t.Run(name, func(t *testing.T) { golden.Check(t, "push-"+name, text(t, rep, false)) })
	}
}

func TestDoctorText(t *testing.T) {
	rep := &DoctorReport{Checks: []Check{
		{Name: "go", OK: true, Message: "go1.26.8"},
		{Name: "components", Message: "etcd is crash-loop: a\nb is back-off: c", Next: "lumacore lab logs etcd"},
	}}
	golden.Check(t, "doctor", text(t, rep, false))
}

// A document that can not be written whole is an error.
func TestTextWriteError(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	defer w.Close()
	s := &report.Streams{Out: w}
	for name, doc := range map[string]report.Document{
		"report":  &Report{running: true, Components: []Component{{Name: "etcd"}}},
		"stopped": &Report{},
		"push":    &PushReport{},
		"doctor":  &DoctorReport{Checks: []Check{{Name: "go"}}},
	} {
		if err := doc.Text(s, w); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestSmallNumbers(t *testing.T) {
	for _, tt := range []struct{ got, want string }{
		{number(0), "-"},
		{number(7), "7"},
		{mebibytes(0), "-"},
		{mebibytes(1), "0 MiB"},
		{mebibytes(3 << 20), "3 MiB"},
		{or("", "b"), "b"},
		{or("a", "b"), "a"},
		{firstLine("a\nb"), "a"},
		{firstLine(""), ""},
		{short("123456789"), "12345678"},
		{short("12"), "12"},
	} {
		if tt.got != tt.want {
			t.Errorf("%q, want %q", tt.got, tt.want)
		}
	}
	if rss(0) != 0 || rss(os.Getpid()) == 0 || rss(1<<22+1) != 0 {
		t.Errorf("resident memory: none %d, this process %d, no process %d", rss(0), rss(os.Getpid()), rss(1<<22+1))
	}
}

// state returns a lab in which a "supervisor" runs, with the state that it wrote.
func withState(t *testing.T, state string) *Lab {
	t.Helper()
	l, _ := newLab(t)
	held, ok, err := l.lock()
	if err != nil || !ok {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = held.Unlock() })
	if state != "" {
		write(t, l.Dir, map[string]string{"state.json": state})
	}
	return l
}

func TestStatus(t *testing.T) {
	pid := strconv.Itoa(os.Getpid())
	for name, tt := range map[string]struct {
		state   string
		message string // its beginning
		names   []string
	}{
		"nothing written yet": {"", "starting", []string{}},
		"damaged":             {"{", "starting", []string{}},
		"a component is away": {
			`{"pid": ` + pid + `, "components": [{"name": "etcd", "state": "ready", "pid": ` + pid + `}, {"name": "kwok", "state": "crash-loop", "message": "ended: exit status 1; last log lines:\nfatal"}, {"name": "cluster-setup", "task": true, "state": "ready"}, {"name": "git-seed", "task": true, "state": "back-off"}]}`,
			"kwok is crash-loop: ended: exit status 1; last log lines:",
			[]string{"supervisor", "etcd", "kwok", "git-seed"},
		},
		"no kubeconfig": {`{"pid": ` + pid + `, "components": [{"name": "etcd", "state": "ready"}]}`, "stat ", []string{"supervisor", "etcd"}},
	} {
		t.Run(name, func(t *testing.T) {
			l := withState(t, tt.state)
			rep, err := l.Status(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if rep.Ready || !strings.HasPrefix(rep.Message, tt.message) {
				t.Errorf("ready %v, message %q; want false, %q", rep.Ready, rep.Message, tt.message)
			}
			names := []string{}
			for _, c := range rep.Components {
				names = append(names, c.Name)
			}
			if diff := cmp.Diff(tt.names, names); diff != "" {
				t.Errorf("components (-want +got):\n%s", diff)
			}
		})
	}
}

// "Could not look" is not "all good": an API server that does not answer.
func TestStatusAPIServerAway(t *testing.T) {
	l := withState(t, `{"pid": 1, "components": [{"name": "etcd", "state": "ready"}]}`)
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	write(t, l.Dir, map[string]string{"kubeconfig/admin.yaml": "apiVersion: v1\nkind: Config\ncurrent-context: a\nclusters:\n- {name: a, cluster: {server: 'http://" +
		closed.Addr().String() + "'}}\ncontexts:\n- {name: a, context: {cluster: a}}\n"})
	rep, err := l.Status(t.Context())
	if err != nil || rep.Ready || !strings.Contains(rep.Message, "connection refused") {
		t.Errorf("%+v, %v; want not ready: connection refused", rep, err)
	}
}

func TestStatusDamagedPhases(t *testing.T) {
	l := withState(t, `{"pid": 1, "components": []}`)
	write(t, l.Dir, map[string]string{"phases.json": "["})
	if _, err := l.Status(t.Context()); err == nil || err.Error() != l.phasesFile()+" is damaged: unexpected end of JSON input" {
		t.Errorf("error %v", err)
	}
}

func TestUnready(t *testing.T) {
	l := withState(t, `{"components": [{"name": "a", "state": "ready"}, {"name": "b", "state": "unready"}, {"name": "c", "state": "stopped"}]}`)
	st, err := l.state()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range st.unready() {
		got = append(got, c.Name)
	}
	if diff := cmp.Diff([]string{"b", "c"}, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// check returns a check of the doctor by name.
func check(t *testing.T, rep *DoctorReport, name string) Check {
	t.Helper()
	for _, c := range rep.Checks {
		if c.Name == name {
			return c
		}
	}
	t.Fatalf("no check %q: %+v", name, rep.Checks)
	return Check{}
}

func names(rep *DoctorReport) []string {
	var list []string
	for _, c := range rep.Checks {
		list = append(list, c.Name)
	}
	return list
}

func TestDoctorWithoutLab(t *testing.T) {
	l, _ := newLab(t)
	want := []string{"go", "git", "programs", "disk of the lab", "disk of the programs", "memory", "folder", "state"}
	for range 10 { // always in the same order
		rep := l.Doctor(t.Context(), t.TempDir())
		if diff := cmp.Diff(want, names(rep)); diff != "" {
			t.Fatalf("checks (-want +got):\n%s", diff)
		}
		if c := check(t, rep, "state"); !c.OK || c.Message != "no lab yet" {
			t.Errorf("state: %+v", c)
		}
		n := strconv.Itoa(len(programs.Names()))
		if c := check(t, rep, "programs"); !c.OK || c.Message != n+" of "+n+" still to be compiled by lab up" {
			t.Errorf("programs: %+v", c)
		}
	}
	if got := tree(t, l.Dir); len(got) != 0 {
		t.Errorf("the doctor made %v", got)
	}
}

func TestDoctorFinds(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := taken.Addr().(*net.TCPAddr).Port
	for name, tt := range map[string]struct {
		files         map[string]string
		check         string
		message, next string
	}{
		"a foreign folder": {map[string]string{"x": ""}, "folder", "LAB is not empty and is not a lab", "give an empty folder with --dir"},
		"damaged state": {
			map[string]string{"lab.json": "{"},
			"state", "LAB/lab.json is damaged: unexpected end of JSON input",
			"lumacore lab down --purge deletes the lab and its data; lab up makes a new one",
		},
		"state of another Kubernetes": {
			map[string]string{"lab.json": `{"format": 1, "version": "v1.2.3", "ports": {"base": 20000}}`},
			"state",
			"the data was made by Kubernetes v1.2.3, this lumacore brings " + programs.Version("kube-apiserver"),
			"lumacore lab down --purge && lumacore lab up makes it anew",
		},
		"a port is taken": {
			map[string]string{"lab.json": `{"format": 1, "version": "` + programs.Version("kube-apiserver") + `", "ports": {"base": ` + strconv.Itoa(port) + `}}`},
			"ports",
			"port " + strconv.Itoa(port) + " (etcd) is taken by another program", "lumacore lab up chooses others; ss -ltnp names the program",
		},
	} {
		t.Run(name, func(t *testing.T) {
			l, _ := newLab(t)
			write(t, l.Dir, tt.files)
			rep := l.Doctor(t.Context(), t.TempDir())
			got := check(t, rep, tt.check)
			want := Check{Name: tt.check, Message: strings.ReplaceAll(tt.message, "LAB", l.Dir), Next: tt.next}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if rep.Healthy {
				t.Error("healthy although there is a problem")
			}
		})
	}
}

func TestDoctorWithoutGit(t *testing.T) {
	l, _ := newLab(t)
	t.Setenv("PATH", t.TempDir())
	rep := l.Doctor(t.Context(), t.TempDir())
	for name, next := range map[string]string{
		"go": "install Go from https://go.dev/dl and put it on the PATH", "git": "install git (Debian, Ubuntu: apt-get install git)",
	} {
		if c := check(t, rep, name); c.OK || c.Next != next || !strings.Contains(c.Message, "executable file not found") {
			t.Errorf("%s: %+v", name, c)
		}
	}
}

func TestDoctorComponents(t *testing.T) {
	l := withState(t, `{"components": [{"name": "etcd", "state": "ready"}, {"name": "git", "state": "waiting", "message": "needs x"}, {"name": "kwok", "state": "crash-loop", "message": "ended: exit status 1"}]}`)
	rep := l.Doctor(t.Context(), t.TempDir())
	want := Check{Name: "components", Message: "git is waiting: needs x\nkwok is crash-loop: ended: exit status 1", Next: "lumacore lab logs kwok"}
	if diff := cmp.Diff(want, check(t, rep, "components")); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	for _, c := range rep.Checks {
		if c.Name == "memory" || c.Name == "ports" {
			t.Errorf("%s is checked although the lab runs and takes them itself", c.Name)
		}
	}
	fine := withState(t, `{"components": [{"name": "etcd", "state": "ready"}]}`)
	if c := check(t, fine.Doctor(t.Context(), t.TempDir()), "components"); !c.OK || c.Message != "1 are ready" {
		t.Errorf("%+v", c)
	}
}

func TestDiskFree(t *testing.T) {
	dir := t.TempDir()
	here, err := diskFree(dir)
	if err != nil || here == 0 {
		t.Fatalf("%d, %v", here, err)
	}
	if _, err := diskFree(filepath.Join(dir, "not", "yet", "there")); err != nil {
		t.Errorf("a folder that will be made: %v", err)
	}
}

// The supervisor that does not come up, or goes on for ever, is said to.
func TestWaitComponents(t *testing.T) {
	for name, tt := range map[string]struct {
		state, want, next string
	}{
		"crash loop": {
			`{"components": [{"name": "etcd", "state": "crash-loop", "message": "ended: exit status 1; last log lines:\nfatal"}]}`,
			"etcd does not start: ended: exit status 1; last log lines:\nfatal", "lumacore lab logs etcd",
		},
		"a task in a crash loop": {
			`{"components": [{"name": "cluster-setup", "task": true, "state": "crash-loop", "message": "no answer"}]}`,
			"cluster-setup does not start: no answer", "lumacore lab logs supervisor",
		},
		"too slow": {
			`{"components": [{"name": "etcd", "state": "starting", "message": "connection refused\nmore"}, {"name": "git", "state": "waiting", "message": "needs etcd"}]}`,
			"not ready within 1ns: etcd (starting: connection refused), git (waiting: needs etcd)", "lumacore lab doctor",
		},
		"says nothing": {"", "the supervisor has not said anything within 1ns", "lumacore lab logs supervisor"},
	} {
		t.Run(name, func(t *testing.T) {
			l := withState(t, tt.state)
			steps := l.Streams.Steps()
			defer steps.Close()
			err := l.waitComponents(t.Context(), time.Nanosecond, nil, steps, func() {})
			checkFailure(t, err, tt.want, tt.next, report.ExitFindings)
		})
	}
	t.Run("ready", func(t *testing.T) {
		l := withState(t, `{"components": [{"name": "kube-apiserver", "state": "ready"}]}`)
		called := 0
		if err := l.waitComponents(t.Context(), time.Minute, nil, l.Streams.Steps(), func() { called++ }); err != nil || called != 1 {
			t.Errorf("%v, called %d times", err, called)
		}
	})
	t.Run("died", func(t *testing.T) {
		l := withState(t, "")
		write(t, l.Dir, map[string]string{"logs/supervisor.log": "first\nlisten: permission denied\n"})
		sup := &spawned{done: make(chan struct{}), err: errors.New("exit status 2")}
		close(sup.done)
		err := l.waitComponents(t.Context(), time.Minute, sup, l.Streams.Steps(), func() {})
		checkFailure(t, err, "the supervisor ended (exit status 2):\nfirst\nlisten: permission denied", "lumacore lab doctor", report.ExitFindings)
	})
	t.Run("gone", func(t *testing.T) {
		l, _ := newLab(t) // its last word stands, and nobody holds the lock
		write(t, l.Dir, map[string]string{"state.json": `{"components": [{"name": "etcd", "state": "ready"}]}`})
		if err := l.waitComponents(t.Context(), time.Minute, nil, l.Streams.Steps(), func() {}); !errors.Is(err, errGone) {
			t.Errorf("error %v, want %v", err, errGone)
		}
	})
}
