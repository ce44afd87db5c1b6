package supervisor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/shirou/gopsutil/v4/process"
)

// soon bounds every wait. It is long because a busy machine is slow; a passing
// test never waits for it.
const soon = 60 * time.Second

// eventually waits for a condition; state is printed when it does not come.
func eventually(t *testing.T, what string, condition func() bool, state func() any) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(soon); !condition(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s\n%+v", soon, what, state())
		}
	}
}

// bench is a directory with a supervisor in it.
type bench struct {
	t    *testing.T
	dir  Dir
	self string

	mu      sync.Mutex
	now     map[string]Status
	history map[string][]Status

	cancel context.CancelFunc
	done   chan struct{}
}

func newBench(t *testing.T) *bench {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "a [b] *") // no character of a path is special
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return &bench{t: t, dir: Dir(dir), self: self, now: map[string]Status{}, history: map[string][]Status{}}
}

func (b *bench) file(name string) string { return filepath.Join(string(b.dir), name) }

// serve is a component that answers HTTP.
func (b *bench) serve(name string, needs ...string) Component {
	return Component{
		Name: name, Needs: needs, Path: b.self, Args: []string{"serve", b.file(name)}, Env: fakeEnv(),
		Ready: httpReady(b.file(name)),
	}
}

// fake is a component in another mode, ready when its file is there.
func (b *bench) fake(mode, name string, more ...string) Component {
	return Component{
		Name: name, Path: b.self, Args: append([]string{mode, b.file(name)}, more...), Env: fakeEnv(),
		Ready: fileThere(b.file(name)), Grace: 200 * time.Millisecond,
	}
}

// run starts a supervisor, which ends with the test at the latest.
func (b *bench) run(components ...Component) {
	b.t.Helper()
	s, err := New(b.dir, components, func(all []Status) {
		b.mu.Lock()
		defer b.mu.Unlock()
		for i, st := range all {
			if st.Name != components[i].Name {
				b.t.Errorf("status %d is of %s, want the order of declaration", i, st.Name)
			}
			if b.now[st.Name] != st {
				b.history[st.Name] = append(b.history[st.Name], st)
			}
			b.now[st.Name] = st
		}
	})
	if err != nil {
		b.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	b.cancel, b.done = cancel, make(chan struct{})
	go func() {
		defer close(b.done)
		s.Run(ctx)
	}()
	b.t.Cleanup(b.stop)
}

// stop ends the supervisor and waits for it.
func (b *bench) stop() {
	b.cancel()
	select {
	case <-b.done:
	case <-time.After(soon):
		b.t.Errorf("the supervisor does not stop: %+v", b.status())
	}
}

func (b *bench) get(name string) Status {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.now[name]
}

func (b *bench) past(name string) []Status {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.history[name])
}

func (b *bench) status() any {
	b.mu.Lock()
	defer b.mu.Unlock()
	return fmt.Sprintf("%+v", b.now)
}

// until waits until a component's status is as wanted, and returns it.
func (b *bench) until(name, what string, condition func(Status) bool) Status {
	b.t.Helper()
	var st Status
	eventually(b.t, name+" "+what, func() bool { st = b.get(name); return condition(st) }, b.status)
	return st
}

func (b *bench) ready(names ...string) {
	b.t.Helper()
	for _, n := range names {
		b.until(n, "is ready", func(s Status) bool { return s.State == Ready })
	}
}

// alive reports whether a process runs; one that nobody has waited for does not.
func alive(pid int) bool {
	p, err := process.NewProcess(int32(pid))
	if err != nil {
		return false
	}
	st, err := p.Status()
	if err != nil || !slices.Contains(st, process.Zombie) {
		return err == nil
	}
	// The first thread may have ended while others still hold the process's files, the
	// lock among them.
	threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	return err == nil && len(threads) > 1
}

func readPID(t *testing.T, file string) int {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

// innocent starts a process that no supervisor knows, in its own group.
func innocent(t *testing.T) int {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "innocent")
	cmd := exec.Command(self, "env", file)
	cmd.Env = append(os.Environ(), fakeEnv()...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if !alive(cmd.Process.Pid) {
			t.Error("a process that is no component was ended")
		}
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	eventually(t, "the other process runs", func() bool { return fileThere(file)(context.Background()) == nil }, func() any { return file })
	return cmd.Process.Pid
}

func TestValidate(t *testing.T) {
	task := func(context.Context) error { return nil }
	for name, tt := range map[string]struct {
		components []Component
		want       string
	}{
		"nothing": {nil, ""},
		"a chain, declared backwards": {[]Component{
			{Name: "c", Path: "/c", Needs: []string{"b"}}, {Name: "b", Task: task, Needs: []string{"a"}}, {Name: "a", Path: "/a"},
		}, ""},
		"no name":           {[]Component{{Path: "/a"}}, `component name "": give a name without slashes and spaces`},
		"name with a slash": {[]Component{{Name: "../a", Path: "/a"}}, `component name "../a": give a name without slashes and spaces`},
		"name with a space": {[]Component{{Name: "a b", Path: "/a"}}, `component name "a b": give a name without slashes and spaces`},
		"twice":             {[]Component{{Name: "a", Path: "/a"}, {Name: "a", Task: task}}, "component a is declared twice"},
		"program and task":  {[]Component{{Name: "a", Path: "/a", Task: task}}, "component a must have either a program or a task"},
		"neither":           {[]Component{{Name: "a"}}, "component a must have either a program or a task"},
		"unknown need":      {[]Component{{Name: "a", Path: "/a", Needs: []string{"z"}}}, "component a needs z, which is not declared"},
		"needs itself":      {[]Component{{Name: "a", Path: "/a", Needs: []string{"a"}}}, "components need each other in a circle: a"},
		"cycle, and behind it": {[]Component{
			{Name: "free", Path: "/f"},
			{Name: "a", Path: "/a", Needs: []string{"b"}},
			{Name: "b", Path: "/b", Needs: []string{"a"}},
			{Name: "behind", Path: "/c", Needs: []string{"b"}},
		}, "components need each other in a circle: a, b, behind"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			_, err := New(Dir(dir), tt.components, nil)
			got := ""
			if err != nil {
				got = err.Error()
			}
			if got != tt.want {
				t.Errorf("error %q, want %q", got, tt.want)
			}
		})
	}
}

func TestNewUnwritable(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := New(Dir(file), nil, nil)
	if err == nil || !strings.Contains(err.Error(), "not a directory") {
		t.Errorf("error %v, want: not a directory", err)
	}
}

// A component starts when all that it needs is ready, and no later: those that
// do not need each other start side by side.
func TestStartOrder(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	base := b.serve("base")
	// Each of the two is ready only once the other one runs.
	left, right := b.serve("left", "base"), b.serve("right", "base")
	left.Ready, right.Ready = fileThere(b.file("right")), fileThere(b.file("left"))
	top := b.serve("top", "left", "right")
	b.run(top, left, right, base)
	b.ready("top", "left", "right", "base")
	for _, need := range [][2]string{{"left", "base"}, {"right", "base"}, {"top", "left"}, {"top", "right"}} {
		if s, r := b.get(need[0]).Started, b.get(need[1]).ReadyAt; s.Before(r) {
			t.Errorf("%s started %v before %s was ready", need[0], r.Sub(s), need[1])
		}
	}
	if !slices.ContainsFunc(b.past("left"), func(s Status) bool { return s.State == Waiting && s.Message == "needs base" }) {
		t.Errorf("left never said what it waits for: %+v", b.past("left"))
	}
	if st := b.get("top"); st.Restarts != 0 || st.Message != "" || st.PID == 0 || st.Task {
		t.Errorf("top is %+v, want no restarts and no message", st)
	}
}

// "ready" means that the probe answered, not that the process exists.
func TestReadyMeansProbe(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	if err := os.WriteFile(b.file("a.unready"), []byte("still loading"), 0o600); err != nil {
		t.Fatal(err)
	}
	b.run(b.serve("a"), b.serve("b", "a"))
	st := b.until("a", "says why it is not ready", func(s Status) bool { return s.Message == "503: still loading" })
	if st.State != Starting || st.PID == 0 || !st.ReadyAt.IsZero() {
		t.Errorf("a is %+v, want starting, with a process, never ready", st)
	}
	if st := b.get("b"); st.State != Waiting || st.Message != "needs a" || st.PID != 0 {
		t.Errorf("b is %+v, want waiting for a", st)
	}
	if err := os.Remove(b.file("a.unready")); err != nil {
		t.Fatal(err)
	}
	b.ready("a", "b")
	if st := b.get("a"); st.Message != "" || st.Restarts != 0 {
		t.Errorf("a is %+v, want no message and no restart", st)
	}
}

// A probe that hangs is given up after ProbeTimeout.
func TestProbeTimeout(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	var asked atomic.Int32
	c := b.serve("a")
	c.Ready = func(ctx context.Context) error {
		if asked.Add(1) > 1 {
			return nil
		}
		d, ok := ctx.Deadline()
		if left := time.Until(d); !ok || left > ProbeTimeout {
			t.Errorf("the probe has %v, %v, want at most %v", left, ok, ProbeTimeout)
		}
		<-ctx.Done()
		return ctx.Err()
	}
	b.run(c)
	b.until("a", "was asked in vain", func(s Status) bool { return s.Message == "context deadline exceeded" })
	b.ready("a")
}

// A component that stops answering is unready after three misses, keeps its
// process, and is ready again when it answers. What needs it goes on.
func TestUnreadyAndBack(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.run(b.serve("a"), b.serve("b", "a"))
	b.ready("a", "b")
	before, dependent := b.get("a"), b.get("b")
	if err := os.WriteFile(b.file("a.unready"), []byte("lost its database"), 0o600); err != nil {
		t.Fatal(err)
	}
	st := b.until("a", "is unready", func(s Status) bool { return s.State == Unready })
	if st.Message != "503: lost its database" || st.PID != before.PID {
		t.Errorf("a is %+v, want the probe's message and process %d", st, before.PID)
	}
	if err := os.Remove(b.file("a.unready")); err != nil {
		t.Fatal(err)
	}
	st = b.until("a", "is ready again", func(s Status) bool { return s.State == Ready })
	if st.Message != "" || st.Restarts != 0 || st.PID != before.PID || !st.ReadyAt.After(before.ReadyAt) {
		t.Errorf("a is %+v, want no restart and a later ReadyAt than %v", st, before.ReadyAt)
	}
	if got := b.get("b"); got != dependent {
		t.Errorf("b became %+v, want %+v", got, dependent)
	}
}

// A component that keeps dying is started again after growing pauses; from the
// fourth death in a row on it is a crash loop, reported with its last log lines.
func TestCrashLoop(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.run(Component{
		Name: "a", Path: b.self, Env: fakeEnv(),
		Args: []string{"exit", "3", "one", "two", "three", "four", "five", "fatal: no such table"},
	}, b.serve("b", "a"))
	b.until("a", "is in a crash loop", func(s Status) bool { return s.State == CrashLoop && s.Restarts == 5 })

	var deaths []Status
	var starts []time.Time
	for _, st := range b.past("a") {
		switch st.State {
		case BackOff, CrashLoop:
			deaths = append(deaths, st)
		case Starting:
			if n := len(starts); n == 0 || !starts[n-1].Equal(st.Started) {
				starts = append(starts, st.Started)
			}
		}
	}
	for i, st := range deaths {
		want := Status{Name: "a", State: BackOff, Restarts: i + 1, Message: "ended: exit status 3"}
		if i+1 >= crashLoopAt {
			want.State = CrashLoop
			want.Message += "; last log lines:\ntwo\nthree\nfour\nfive\nfatal: no such table"
		}
		st.Started, st.ReadyAt = time.Time{}, time.Time{}
		if diff := cmp.Diff(want, st); diff != "" {
			t.Errorf("death %d (-want +got):\n%s", i+1, diff)
		}
	}
	for i, pause := 1, 100*time.Millisecond; i < len(starts); i, pause = i+1, pause*2 {
		if got := starts[i].Sub(starts[i-1]); got < pause {
			t.Errorf("pause %d was %v, want at least %v", i, got, pause)
		}
	}
	// Ready is nil: it was ready for a moment each time, and b has started.
	b.ready("b")
}

// A process that ends by itself is started again, also if it says that all is well.
func TestExitZeroIsADeath(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.run(Component{Name: "a", Path: b.self, Env: fakeEnv(), Args: []string{"exit", "0"}})
	b.until("a", "was restarted", func(s Status) bool { return s.State == BackOff && s.Message == "ended: exit status 0" })
}

func TestCrashAfterReady(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.run(b.serve("a"))
	b.ready("a")
	first := b.get("a")
	_, _, _ = get(t.Context(), b.file("a"), "/crash") // the answer is cut off
	st := b.until("a", "is ready again", func(s Status) bool { return s.State == Ready && s.PID != first.PID })
	if st.Restarts != 1 || !st.Started.After(first.Started) {
		t.Errorf("a is %+v, want one restart", st)
	}
	if !slices.ContainsFunc(b.past("a"), func(s Status) bool { return s.State == BackOff && s.Message == "ended: exit status 4" && s.PID == 0 }) {
		t.Errorf("it never said how it died: %+v", b.past("a"))
	}
	if log := strings.Join(b.dir.Tail("a", 10), "\n"); strings.Count(log, "started: ") != 2 || !strings.Contains(log, "crashing as told") {
		t.Errorf("the log does not tell of both lives:\n%s", log)
	}
}

func TestKilledComponent(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.run(b.serve("a"), b.serve("b", "a"))
	b.ready("a", "b")
	first, dependent := b.get("a"), b.get("b")
	if err := syscall.Kill(first.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	st := b.until("a", "is ready again", func(s Status) bool { return s.State == Ready && s.PID != first.PID })
	if st.Restarts != 1 {
		t.Errorf("a is %+v, want one restart", st)
	}
	if !slices.ContainsFunc(b.past("a"), func(s Status) bool { return s.Message == "ended: signal: killed" }) {
		t.Errorf("it never said how it died: %+v", b.past("a"))
	}
	if got := b.get("b"); got != dependent {
		t.Errorf("b became %+v; what needs a component outlives its restart", got)
	}
}

// A program that can not be started is tried again, and says why.
func TestNotExecutable(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	if err := os.WriteFile(b.file("data"), []byte("no program"), 0o644); err != nil {
		t.Fatal(err)
	}
	b.run(Component{Name: "a", Path: b.file("data")})
	want := "start " + b.file("data") + ": fork/exec " + b.file("data") + ": permission denied"
	b.until("a", "says: "+want, func(s Status) bool { return s.State == BackOff && s.Message == want })
}

func TestTaskIsRetried(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	var calls atomic.Int32
	b.run(Component{Name: "setup", Task: func(context.Context) error {
		if n := calls.Add(1); n < 3 {
			return fmt.Errorf("attempt %d: not yet", n)
		}
		return nil
	}}, b.serve("b", "setup"))
	b.ready("b")
	st := b.get("setup")
	if st.State != Ready || st.Restarts != 2 || !st.Task || st.PID != 0 || calls.Load() != 3 {
		t.Errorf("setup is %+v after %d calls, want ready after 3", st, calls.Load())
	}
	for _, want := range []string{"attempt 1: not yet", "attempt 2: not yet"} {
		if !slices.ContainsFunc(b.past("setup"), func(s Status) bool { return s.State == BackOff && s.Message == want }) {
			t.Errorf("it never said %q", want)
		}
	}
}

// A task that is under way is cancelled when the supervisor stops.
func TestTaskIsCancelled(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	began := make(chan struct{})
	b.run(Component{Name: "setup", Task: func(ctx context.Context) error {
		close(began)
		<-ctx.Done()
		return ctx.Err()
	}}, b.serve("b", "setup"))
	<-began
	b.stop()
	if st := b.get("setup"); st.State != Stopped || st.Restarts != 0 {
		t.Errorf("setup is %+v, want stopped", st)
	}
	if st := b.get("b"); st.State != Stopped || !st.Started.IsZero() {
		t.Errorf("b is %+v, want stopped and never started", st)
	}
}

// The lab starts what is compiled while the rest still is.
func TestProgramAppears(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	c := b.serve("a")
	c.Path = b.file("program")
	b.run(c)
	st := b.until("a", "waits for its program", func(s Status) bool { return s.Message == "program is not built yet: "+c.Path })
	if st.State != Waiting || st.Restarts != 0 {
		t.Errorf("a is %+v, want waiting", st)
	}
	if err := os.Symlink(b.self, c.Path); err != nil {
		t.Fatal(err)
	}
	b.ready("a")
	if st := b.get("a"); st.Restarts != 0 {
		t.Errorf("a is %+v, want no restart", st)
	}
}

// Waiting for a program does not keep the supervisor from stopping.
func TestStopWhileWaiting(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.run(Component{Name: "a", Path: b.file("never")}, b.serve("b", "a"))
	b.until("a", "waits", func(s Status) bool { return strings.HasPrefix(s.Message, "program is not built yet") })
	b.stop()
	for _, name := range []string{"a", "b"} {
		if st := b.get(name); st.State != Stopped || st.Restarts != 0 {
			t.Errorf("%s is %+v, want stopped", name, st)
		}
	}
}

func TestStopOrder(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.run(b.serve("a"), b.serve("b", "a"), b.serve("c", "b"), b.serve("d", "c", "a"))
	b.ready("a", "b", "c", "d")
	pids := map[string]int{}
	for _, n := range []string{"a", "b", "c", "d"} {
		pids[n] = b.get(n).PID
	}
	b.stop()
	order, err := os.ReadFile(b.file("order"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff("d\nc\nb\na\n", string(order)); diff != "" {
		t.Errorf("order of the ends (-want +got):\n%s", diff)
	}
	for n, pid := range pids {
		if st := b.get(n); st.State != Stopped || st.PID != 0 || st.Message != "" {
			t.Errorf("%s is %+v, want stopped", n, st)
		}
		if alive(pid) || b.dir.Alive(n) {
			t.Errorf("%s (process %d) still runs", n, pid)
		}
		if !slices.ContainsFunc(b.past(n), func(s Status) bool { return s.State == Stopping }) {
			t.Errorf("%s never was stopping", n)
		}
	}
}

func TestStubbornIsKilledAfterGrace(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	c := b.fake("stubborn", "a")
	b.run(c)
	b.ready("a")
	pid := b.get("a").PID
	start := time.Now()
	b.stop()
	if took := time.Since(start); took < c.Grace {
		t.Errorf("killed after %v, want a grace of %v", took, c.Grace)
	}
	if alive(pid) {
		t.Errorf("process %d still runs", pid)
	}
}

// What a component started does not outlive it: neither a stop nor a crash.
func TestChildrenEndWithTheirParent(t *testing.T) {
	t.Parallel()
	for name, how := range map[string][]string{"stop": nil, "crash": {"die"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.run(b.fake("parent", "a", how...))
			if how == nil {
				b.ready("a")
			} else {
				b.until("a", "has died", func(s Status) bool { return s.Message == "ended: exit status 5" })
			}
			child := readPID(t, b.file("a.child"))
			if how == nil && !alive(child) {
				t.Fatal("the child does not run")
			}
			if how == nil {
				b.stop()
			}
			eventually(t, "the child has ended", func() bool { return !alive(child) }, func() any { return child })
		})
	}
}

// A killed supervisor leaves its components; they are still known by name and
// process, a new supervisor does not start them twice, and Reap ends them and
// nothing else.
func TestKilledSupervisor(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	other := innocent(t)
	// Beside them: a pid file of a component that is long gone, whose number has
	// been given to another process.
	if err := b.dir.make(); err != nil {
		t.Fatal(err)
	}
	for file, content := range map[string]string{b.dir.pidFile("old"): strconv.Itoa(other), b.dir.lockFile("old"): ""} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}

	sup := exec.Command(b.self, "supervise", string(b.dir))
	sup.Env = append(os.Environ(), fakeEnv()...)
	sup.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := sup.Start(); err != nil {
		t.Fatal(err)
	}
	var all []Status
	eventually(t, "the other supervisor's components are ready", func() bool {
		raw, err := os.ReadFile(b.file("statuses"))
		if err != nil || json.Unmarshal(raw, &all) != nil {
			return false
		}
		return len(all) == 3 && !slices.ContainsFunc(all, func(s Status) bool { return s.State != Ready })
	}, func() any { return all })
	if err := sup.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = sup.Wait()

	names := []string{"a", "b", "c"}
	pids := map[string]int{"c's child": readPID(t, b.file("c.child"))}
	for i, n := range names {
		pids[n] = all[i].PID
		if !b.dir.Alive(n) || b.dir.PID(n) != all[i].PID || !alive(all[i].PID) {
			t.Fatalf("%s: Alive %v, PID %d; want process %d", n, b.dir.Alive(n), b.dir.PID(n), all[i].PID)
		}
	}

	// Killed between the start and the note of the number: the lock tells.
	if err := os.Remove(b.dir.pidFile("a")); err != nil {
		t.Fatal(err)
	}
	if got := b.dir.PID("a"); got != pids["a"] {
		t.Errorf("without its pid file a is process %d, want %d", got, pids["a"])
	}

	// A new supervisor, before anybody reaped.
	c := b.serve("a")
	b.run(c)
	b.until("a", "is not started twice", func(s Status) bool {
		return s.State == BackOff && s.Message == "start "+b.self+": an earlier process of this component is still running"
	})
	b.stop()
	if !b.dir.Alive("a") {
		t.Error("the new supervisor ended what is not its own")
	}

	got, err := Reap(b.dir, 100*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(names, got); diff != "" {
		t.Errorf("reaped (-want +got):\n%s", diff)
	}
	for n, pid := range pids {
		eventually(t, n+" has ended", func() bool { return !alive(pid) }, func() any { return pid })
		if b.dir.Alive(n) || b.dir.PID(n) != 0 {
			t.Errorf("%s: Alive %v, PID %d; want false, 0", n, b.dir.Alive(n), b.dir.PID(n))
		}
	}
	if got, err := Reap(b.dir, 0); len(got) != 0 || err != nil {
		t.Errorf("the second time reaped %v, %v; want nothing", got, err)
	}
	b.run(c)
	b.ready("a")
}

// Bound components end with the supervisor that is killed, where the system can do it,
// even one that does not end on SIGTERM.
func TestBound(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("only Linux can")
	}
	b := newBench(t)
	if err := b.dir.make(); err != nil {
		t.Fatal(err)
	}
	sup := exec.Command(b.self, "supervise-bound", string(b.dir))
	sup.Env = append(os.Environ(), fakeEnv()...)
	if err := sup.Start(); err != nil {
		t.Fatal(err)
	}
	var all []Status
	eventually(t, "the other supervisor's components are ready", func() bool {
		raw, err := os.ReadFile(b.file("statuses"))
		if err != nil || json.Unmarshal(raw, &all) != nil {
			return false
		}
		return len(all) == 3 && !slices.ContainsFunc(all, func(s Status) bool { return s.State != Ready })
	}, func() any { return all })
	if err := sup.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = sup.Wait()
	for _, s := range all {
		eventually(t, s.Name+" has ended", func() bool { return !alive(s.PID) }, func() any { return s.PID })
	}
	// What they started is not bound; it holds their lock, and is reaped.
	if got, err := Reap(b.dir, 0); err != nil || !slices.Equal(got, []string{"c"}) {
		t.Errorf("reaped %v, %v; want c", got, err)
	}
}

// A process number proves nothing: only the lock does.
func TestForeignPIDFile(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	other := innocent(t)
	if err := b.dir.make(); err != nil {
		t.Fatal(err)
	}
	for name, lock := range map[string]bool{"no-lock-file": false, "lock-not-held": true} {
		if err := os.WriteFile(b.dir.pidFile(name), []byte(strconv.Itoa(other)), 0o600); err != nil {
			t.Fatal(err)
		}
		if lock {
			if err := os.WriteFile(b.dir.lockFile(name), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if b.dir.Alive(name) || b.dir.PID(name) != 0 {
			t.Errorf("%s: Alive %v, PID %d; want false, 0", name, b.dir.Alive(name), b.dir.PID(name))
		}
	}
	left, err := Reap(b.dir, 0)
	if err != nil || len(left) != 0 {
		t.Errorf("reaped %v, %v; want nothing", left, err)
	}
	if !alive(other) {
		t.Error("a process that is no component was ended")
	}
}

// A lock that is held without a usable pid file leads to its holder.
func TestHolder(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	if err := b.dir.make(); err != nil {
		t.Fatal(err)
	}
	if got := b.dir.holder("a"); got != 0 {
		t.Errorf("the holder of no lock is %d, want 0", got)
	}
	cmd := exec.Command(b.self, "hold", b.dir.lockFile("a"), b.file("held"))
	cmd.Env = append(os.Environ(), fakeEnv()...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { defer close(ended); _ = cmd.Wait() }()
	eventually(t, "the lock is held", func() bool { return fileThere(b.file("held"))(context.Background()) == nil }, func() any { return cmd })
	for name, content := range map[string]string{"no pid file": "", "damaged pid file": "12x"} {
		if content != "" {
			if err := os.WriteFile(b.dir.pidFile("a"), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if got := b.dir.PID("a"); got != cmd.Process.Pid {
			t.Errorf("%s: PID is %d, want %d", name, got, cmd.Process.Pid)
		}
	}
	left, err := Reap(b.dir, soon)
	if err != nil || !slices.Equal(left, []string{"a"}) {
		t.Errorf("reaped %v, %v; want a", left, err)
	}
	<-ended
}

func TestLogRotation(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		size  int64
		moved bool
	}{"as large as allowed": {maxLog, false}, "larger": {maxLog + 1, true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			log := b.dir.LogFile("a")
			if err := b.dir.make(); err != nil {
				t.Fatal(err)
			}
			for _, f := range []string{log, log + ".1"} {
				if err := os.WriteFile(f, []byte("old\n"), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.Truncate(log, tt.size); err != nil {
				t.Fatal(err)
			}
			b.run(b.serve("a"))
			b.ready("a")
			now, err := os.Stat(log)
			if err != nil {
				t.Fatal(err)
			}
			aside, err := os.Stat(log + ".1")
			if err != nil {
				t.Fatal(err)
			}
			if moved := aside.Size() == tt.size && now.Size() < 4096; moved != tt.moved {
				t.Errorf("the log has %d bytes, the one aside %d; moved aside: want %v", now.Size(), aside.Size(), tt.moved)
			}
			if now.Mode().Perm() != 0o600 {
				t.Errorf("the log has mode %v, want 0600", now.Mode().Perm())
			}
			if tail := b.dir.Tail("a", 1); len(tail) != 1 || !strings.Contains(tail[0], " started: "+b.self+" serve ") {
				t.Errorf("the log ends with %q, want the start", tail)
			}
		})
	}
}

// A component gets what it needs to run and nothing of the caller's secrets.
func TestEnvironment(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	c := b.fake("env", "a")
	c.Env = append(c.Env, "OWN=value")
	b.run(c)
	b.ready("a")
	raw, err := os.ReadFile(b.file("a"))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(raw), "token-of-the-caller") {
		t.Error("a secret of the caller was handed on")
	}
	allowed := []string{"PATH", "HOME", "TMPDIR", "LANG", "USER", "SSL_CERT_FILE", "SSL_CERT_DIR", "OWN", fakeVar, runVar, "GOCOVERDIR"}
	own := ""
	for _, kv := range strings.Split(string(raw), "\n") {
		k, v, _ := strings.Cut(kv, "=")
		if !slices.Contains(allowed, k) {
			t.Errorf("%s was handed on", k)
		}
		if k == "OWN" {
			own = v
		}
	}
	if own != "value" {
		t.Errorf("OWN is %q, want value", own)
	}
	for file, mode := range map[string]os.FileMode{
		b.file("run"): 0o700, b.file("logs"): 0o700, b.dir.pidFile("a"): 0o600, b.dir.lockFile("a"): 0o600,
	} {
		if fi, err := os.Stat(file); err != nil || fi.Mode().Perm() != mode {
			t.Errorf("%s: mode %v, %v; want %v", filepath.Base(file), fi.Mode().Perm(), err, mode)
		}
	}
}

func TestTail(t *testing.T) {
	long := strings.Repeat("x", 1023) + "\n"
	for name, tt := range map[string]struct {
		log  string
		n    int
		want []string
	}{
		"fewer lines than asked for": {"a\nb\n", 5, []string{"a", "b"}},
		"more":                       {"a\nb\nc\n", 2, []string{"b", "c"}},
		"unfinished last line":       {"a\nb", 1, []string{"b"}},
		"only the end of a long one": {strings.Repeat(long, 100) + "end\n", 1, []string{"end"}},
		"empty":                      {"", 3, nil},
	} {
		t.Run(name, func(t *testing.T) {
			d := Dir(t.TempDir())
			if err := d.make(); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(d.LogFile("a"), []byte(tt.log), 0o600); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, d.Tail("a", tt.n)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
	if got := Dir(t.TempDir()).Tail("a", 3); got != nil {
		t.Errorf("without a log %q, want nothing", got)
	}
}

func TestAliveNeverStarted(t *testing.T) {
	d := Dir(t.TempDir())
	if d.Alive("a") || d.PID("a") != 0 {
		t.Error("what was never started is alive")
	}
	if _, err := os.Stat(d.lockFile("a")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("asking made a lock file: %v", err)
	}
	if left, err := Reap(d, 0); left != nil || err != nil {
		t.Errorf("Reap: %v, %v; want nothing", left, err)
	}
}
