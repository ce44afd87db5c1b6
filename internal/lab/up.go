package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/util/retry"

	"lumacore.dev/lumacore/internal/lab/programs"
	"lumacore.dev/lumacore/internal/lab/supervisor"
	"lumacore.dev/lumacore/internal/report"
)

// Phase is a part of `lab up` and how long it took. "control plane" and
// "controllers" count from the start of the first component, "reconcile" from
// when all were ready, "staging ready" and "total" from the call.
type Phase struct {
	Name    string  `json:"name"`
	Seconds float64 `json:"seconds"`
}

// Up brings the lab up and returns when staging is healthy. The bool says that
// there was nothing to do.
func (l *Lab) Up(ctx context.Context, within time.Duration) (*Report, bool, error) {
	if err := l.foreign(); err != nil {
		return nil, false, err
	}
	if err := findGit(ctx); err != nil {
		return nil, false, err
	}
	wasRunning := l.Running()
	if wasRunning && l.Programs.Complete() {
		if st, err := l.state(); err == nil && len(st.unready()) == 0 {
			if rep, err := l.Status(ctx); err == nil && rep.Ready {
				return rep, true, nil
			}
		}
	}
	start := time.Now()
	var sup *spawned
	if !wasRunning {
		var err error
		if sup, err = l.startSupervisor(); err != nil {
			return nil, false, err
		}
	}
	rep, err := l.bringUp(ctx, start, within, sup)
	if errors.Is(err, errGone) && wasRunning {
		// It ended just after it was seen: killed, or taken down by another call.
		if sup, err = l.startSupervisor(); err != nil {
			return nil, false, err
		}
		rep, err = l.bringUp(ctx, start, within, sup)
	}
	if err != nil && ctx.Err() != nil && sup != nil {
		// Ctrl-C takes back what this call started. What is compiled stays.
		fmt.Fprintln(l.Streams.Err, "interrupted: stopping the lab")
		sup.stop() // it may not hold the lock yet, by which Down would know it
		if _, derr := l.Down(context.WithoutCancel(ctx), false); derr != nil {
			return nil, false, errors.Join(err, derr)
		}
	}
	return rep, false, err
}

func (l *Lab) bringUp(ctx context.Context, start time.Time, within time.Duration, sup *spawned) (*Report, error) {
	var phases []Phase
	mark := func(name string, since time.Time) {
		phases = append(phases, Phase{Name: name, Seconds: time.Since(since).Round(10 * time.Millisecond).Seconds()})
	}
	if !l.Programs.Complete() {
		if err := l.Build(ctx); err != nil {
			return nil, err
		}
		mark("programs", start)
	}
	components := time.Now()
	steps := l.Streams.Steps()
	defer steps.Close()
	apiReady := func() { mark("control plane", components) }
	if err := l.waitComponents(ctx, within, sup, steps, apiReady); err != nil {
		return nil, err
	}
	mark("controllers", components)
	reconcile := time.Now()
	g, err := l.reconcileAll(ctx)
	if err != nil {
		return nil, err
	}
	g.ready = func() { mark("staging ready", start) }
	if _, err := l.converge(ctx, g, within, steps); err != nil {
		return nil, err
	}
	mark("reconcile", reconcile)
	mark("total", start)
	steps.Close()
	b, err := json.Marshal(phases)
	if err != nil {
		return nil, err
	}
	if err := report.WriteFile(l.phasesFile(), b, 0o600); err != nil {
		return nil, err
	}
	return l.Status(ctx)
}

// Build compiles what is missing, with progress.
func (l *Lab) Build(ctx context.Context) error {
	if l.Programs.Complete() {
		return nil
	}
	steps := l.Streams.Steps(l.Programs.Missing()...)
	defer steps.Close()
	return l.Programs.Build(ctx, steps)
}

// errGone says that the supervisor ended while it was waited for.
var errGone = report.Refuse("lumacore lab logs supervisor", "the supervisor ended while it was waited for")

// waitComponents waits until the supervisor reports all components ready;
// apiReady is called when the API server is.
func (l *Lab) waitComponents(ctx context.Context, within time.Duration, sup *spawned, steps *report.Steps, apiReady func()) error {
	deadline := time.Now().Add(within)
	alive := time.Now().Add(3 * time.Second) // when to ask next whether the supervisor lives
	apiReady = sync.OnceFunc(apiReady)
	for {
		select {
		case <-sup.ended():
			// With success it ends when another one holds the lock.
			if sup.err != nil {
				return l.supervisorFailed(sup.err)
			}
			sup = nil
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
		st, err := l.state()
		if err != nil || !sup.wrote(st) { // its first word is not there yet
			if time.Now().After(deadline) {
				return report.Refuse("lumacore lab logs supervisor", "the supervisor has not said anything within %s", within)
			}
			continue
		}
		for _, c := range st.Components {
			switch {
			case c.State == supervisor.Ready:
				if c.Name == "kube-apiserver" {
					apiReady()
				}
				steps.End(c.Name, "ready")
			case c.State == supervisor.CrashLoop:
				log := c.Name
				if c.Task {
					log = "supervisor" // a task runs inside it
				}
				return report.Refuse("lumacore lab logs "+log, "%s does not start: %s", c.Name, c.Message)
			case l.Streams.ErrTTY || c.Restarts > 0:
				steps.Set(c.Name, strings.TrimSpace(string(c.State)+" "+firstLine(c.Message)))
			}
		}
		left := st.unready()
		done := len(left) == 0 && len(st.Components) > 0
		if now := time.Now(); (done || now.After(alive)) && !l.Running() {
			return errGone
		} else if done {
			return nil
		} else if now.After(alive) {
			alive = now.Add(time.Second)
		}
		if time.Now().After(deadline) {
			names := make([]string, len(left))
			for i, c := range left {
				names[i] = fmt.Sprintf("%s (%s: %s)", c.Name, c.State, firstLine(c.Message))
			}
			return report.Refuse("lumacore lab doctor", "not ready within %s: %s", within, strings.Join(names, ", "))
		}
	}
}

func (l *Lab) supervisorFailed(err error) error {
	tail := l.procs().Tail("supervisor", 10)
	return &report.Failure{
		Err:  fmt.Errorf("the supervisor ended (%v):\n%s", err, strings.Join(tail, "\n")),
		Next: "lumacore lab doctor",
	}
}

// foreign refuses a directory that has something else in it.
func (l *Lab) foreign() error {
	entries, err := os.ReadDir(l.Dir)
	if errors.Is(err, os.ErrNotExist) || (err == nil && len(entries) == 0) {
		return nil
	}
	if err != nil {
		return report.Misuse("give another folder with --dir", "cannot use %s for the lab: %v", l.Dir, err)
	}
	for _, own := range []string{l.settingsFile(), l.path("run")} {
		if _, err := os.Stat(own); err == nil {
			return nil
		}
	}
	return report.Misuse("give an empty folder with --dir", "%s is not empty and is not a lab", l.Dir)
}

// findGit makes sure that the Git server will work.
func findGit(ctx context.Context) error {
	out, err := git(ctx, nil, "--exec-path")
	if err == nil {
		_, err = os.Stat(filepath.Join(out, "git-http-backend"))
	}
	if err != nil {
		return report.Misuse("install git (Debian, Ubuntu: apt-get install git)", "the lab's Git server is git's own http-backend, which is not here: %v", err)
	}
	return nil
}

// spawned is a supervisor that this process has started.
type spawned struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
	err  error         // how; valid once done is closed
}

// wrote reports whether a state is this supervisor's; any is, when there is none.
func (s *spawned) wrote(st State) bool {
	return s == nil || s.cmd == nil || st.PID == s.cmd.Process.Pid
}

// ended is closed when it has ended; never, when there is none.
func (s *spawned) ended() <-chan struct{} {
	if s == nil {
		return nil
	}
	return s.done
}

// stop asks it to stop its components and waits until it has. Its own time
// limits bound the wait.
func (s *spawned) stop() {
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	<-s.done
}

// startSupervisor starts this binary again, detached. A second supervisor for
// the same directory ends at once with success: the first one holds the lock.
func (l *Lab) startSupervisor() (*spawned, error) {
	if err := os.MkdirAll(l.path("logs"), 0o700); err != nil {
		return nil, err
	}
	log, err := os.OpenFile(l.procs().LogFile("supervisor"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command(l.Self, "lab", "supervise", "--dir="+l.Dir)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // it outlives the terminal
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	s := &spawned{cmd: cmd, done: make(chan struct{})}
	go func() {
		s.err = cmd.Wait()
		close(s.done)
	}()
	return s, nil
}

// Supervise is the supervisor's process: it holds the lab's lock, ends what a
// killed predecessor left, and runs the components until ctx is cancelled.
func (l *Lab) Supervise(ctx context.Context, log io.Writer) error {
	lock, ok, err := l.lock()
	// Who asks whether a supervisor runs holds the lock for a moment too.
	for i := 0; err == nil && !ok && i < 100; i++ {
		<-time.After(20 * time.Millisecond)
		ok, err = lock.TryLock()
	}
	if err != nil {
		return err
	}
	if !ok {
		fmt.Fprintln(log, "another supervisor runs in this directory")
		return nil
	}
	defer func() { _ = lock.Unlock() }()
	// What a dead supervisor wrote must not be taken for this one's word.
	if err := l.writeState(State{PID: os.Getpid()}); err != nil {
		return err
	}
	left, err := supervisor.Reap(l.procs(), supervisor.DefaultGrace)
	if err != nil {
		return err
	}
	if len(left) > 0 {
		fmt.Fprintln(log, "ended what an earlier supervisor left:", strings.Join(left, ", "))
	}
	s, err := l.ensureSettings()
	if err != nil {
		return err
	}
	if err := l.prepare(s); err != nil {
		return err
	}
	started := time.Now()
	before := map[string]supervisor.State{}
	sup, err := supervisor.New(l.procs(), l.components(s), func(all []supervisor.Status) {
		for _, c := range all {
			if before[c.Name] != c.State {
				fmt.Fprintln(log, time.Now().Format(time.RFC3339Nano), c.Name, c.State, firstLine(c.Message))
				before[c.Name] = c.State
			}
		}
		if err := l.writeState(State{PID: os.Getpid(), Started: started.Format(time.RFC3339), Components: all}); err != nil {
			fmt.Fprintln(log, "state not written:", err)
		}
	})
	if err != nil {
		return err
	}
	sup.Run(ctx)
	return l.removeScratch()
}

func (l *Lab) writeState(st State) error {
	b, err := json.Marshal(st)
	if err != nil {
		return err
	}
	return report.WriteFile(l.stateFile(), b, 0o600)
}

// Down stops the lab; purge also deletes its data. It returns false when there
// was nothing to stop. It works without a supervisor too.
func (l *Lab) Down(ctx context.Context, purge bool) (bool, error) {
	if _, err := os.Stat(l.Dir); errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err := l.foreign(); err != nil {
		return false, err
	}
	stopped := false
	if l.Running() {
		stopped = true
		told := 0 // whom: it may be starting, and write its number a moment later
		if err := poll(ctx, time.Minute, func() error {
			if !l.Running() {
				return nil
			}
			st, err := l.state()
			if err != nil {
				return fmt.Errorf("the supervisor has not said who it is: %w", err)
			}
			if st.PID > 1 && st.PID != told {
				if err := syscall.Kill(st.PID, syscall.SIGTERM); err != nil && !errors.Is(err, syscall.ESRCH) {
					return fmt.Errorf("stop the supervisor (process %d): %w", st.PID, err)
				}
				told = st.PID
			}
			return fmt.Errorf("the supervisor (process %d) is still stopping its components", st.PID)
		}); err != nil {
			return false, report.Refuse("run the same command again, or see "+l.procs().LogFile("supervisor"), "%w", err)
		}
	}
	lock, ok, err := l.lock()
	if err != nil {
		return stopped, err
	}
	if !ok {
		return stopped, report.Refuse("run lumacore lab down again", "the lab was started again meanwhile")
	}
	defer func() { _ = lock.Unlock() }()
	left, err := supervisor.Reap(l.procs(), supervisor.DefaultGrace)
	if err != nil {
		return stopped, err
	}
	err = l.removeScratch()
	if purge {
		err = errors.Join(l.purge(), err)
	}
	return stopped || len(left) > 0, err
}

// leftByKill is what a kill leaves in the middle of a write (.NAME.123) or of
// making certificates (.pki-123).
var leftByKill = regexp.MustCompile(`^\.([a-z.-]+)[.-][0-9]+$`)

// purge deletes what a lab has, by name, and then its folder if that is empty:
// --dir may name a folder that has more in it.
func (l *Lab) purge() error {
	own := []string{
		"data", "git", "kubeconfig", "pki", "gatekeeper-certs", "tmp", "logs",
		"lab.json", "state.json", "phases.json", "kwok.yaml", "registry.yaml", "git-credentials", "run",
	}
	entries, err := os.ReadDir(l.Dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := e.Name()
		if m := leftByKill.FindStringSubmatch(name); m != nil {
			name = m[1]
		}
		if !slices.Contains(own, name) {
			continue
		}
		if err := os.RemoveAll(l.path(e.Name())); err != nil {
			return err
		}
	}
	if err := os.Remove(l.Dir); err != nil {
		return report.Refuse("look what is in it", "the lab's data is deleted, but %s is not empty", l.Dir)
	}
	return nil
}

// Push pushes the content of dir and waits until Flux has applied it.
func (l *Lab) Push(ctx context.Context, dir string, dirty bool, within time.Duration) (*PushReport, error) {
	s, err := l.loadSettings()
	if err != nil || !l.Running() {
		return nil, l.notRunning()
	}
	start := time.Now()
	// The Git server may be restarting, and image automation may commit between
	// the look at the branch and the push.
	var p pushed
	notTaken := func(err error) bool { return errors.Is(err, errNotTaken) && ctx.Err() == nil }
	err = retry.OnError(wait.Backoff{Duration: 250 * time.Millisecond, Factor: 2, Steps: 6}, notTaken, func() (err error) {
		p, err = l.pushTree(ctx, s, dir, dirty)
		return err
	})
	if err != nil {
		return nil, err
	}
	if p.Replaced > 0 {
		fmt.Fprintf(l.Streams.Err, "%d commit(s) that were made in the lab are not in this checkout and are gone from its main branch\n", p.Replaced)
	}
	slow := time.AfterFunc(2*time.Second, func() {
		fmt.Fprintf(l.Streams.Err, "waiting for Flux to apply %s\n", short(p.Commit))
	})
	st, err := l.converge(ctx, goal{commit: p.Commit}, within, nil)
	slow.Stop()
	if err != nil {
		return nil, err
	}
	return &PushReport{
		TypeMeta: report.Meta("LabPushReport"), Source: p.Source, Commit: p.Commit, Changed: p.Changed,
		Revision: st.revision, Seconds: time.Since(start).Seconds(), Kustomizations: st.kustomizations,
	}, nil
}

// DefaultCache opens the user's cache of programs.
func DefaultCache(ctx context.Context) (*programs.Cache, error) {
	root, err := programs.DefaultCache()
	if err != nil {
		return nil, err
	}
	version, err := programs.GoVersion(ctx)
	if err != nil {
		return nil, err
	}
	return programs.OpenCache(root, version), nil
}
