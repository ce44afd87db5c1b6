package supervisor

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/gofrs/flock"
	"github.com/shirou/gopsutil/v4/process"
	"golang.org/x/sys/unix"

	"lumacore.dev/lumacore/internal/report"
)

// Dir is where the supervisor keeps its files: run/NAME.lock, run/NAME.pid and
// logs/NAME.log.
type Dir string

// LogFile is where the output of the component goes; it is appended to.
func (d Dir) LogFile(name string) string { return filepath.Join(string(d), "logs", name+".log") }

func (d Dir) lockFile(name string) string { return filepath.Join(string(d), "run", name+".lock") }
func (d Dir) pidFile(name string) string  { return filepath.Join(string(d), "run", name+".pid") }

func (d Dir) make() error {
	for _, sub := range []string{"run", "logs"} {
		if err := os.MkdirAll(filepath.Join(string(d), sub), 0o700); err != nil {
			return err
		}
	}
	return nil
}

// maxLog is the size at which a log is moved aside when its component starts:
// what is kept is at most twice this.
const maxLog = 20 << 20

// errAlive says that a process of this name is still there.
var errAlive = errors.New("an earlier process of this component is still running")

// process is a started program.
type proc struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
	err  error         // how; valid once done is closed
}

// start runs the program of c in its own process group.
func (d Dir) start(c Component) (*proc, error) {
	if err := d.make(); err != nil {
		return nil, err
	}
	logPath := d.LogFile(c.Name)
	if fi, err := os.Stat(logPath); err == nil && fi.Size() > maxLog {
		if err := os.Rename(logPath, logPath+".1"); err != nil {
			return nil, err
		}
	}
	log, err := os.OpenFile(logPath, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	lock, err := os.OpenFile(d.lockFile(c.Name), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	defer lock.Close() // the child keeps its copy, and with it the lock
	if err := lockFile(lock); err != nil {
		return nil, err
	}
	// Without a pid file a held lock is looked up in the process table (holder);
	// with one it is this process's, never an older one's.
	if err := os.Remove(d.pidFile(c.Name)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	cmd := exec.Command(c.Path, c.Args...)
	cmd.Env = append(baseEnv(), c.Env...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.ExtraFiles = []*os.File{lock}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if c.Bound {
		bind(cmd.SysProcAttr)
	}
	fmt.Fprintf(log, "--- %s started: %s %s\n", time.Now().Format(time.RFC3339), c.Path, strings.Join(c.Args, " "))
	p := &proc{cmd: cmd, done: make(chan struct{})}
	started := make(chan error)
	go func() {
		if c.Bound { // to the thread that starts it (prctl(2), PR_SET_PDEATHSIG)
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
		}
		err := cmd.Start()
		started <- err
		if err == nil {
			p.err = cmd.Wait()
			close(p.done)
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	if err := report.WriteFile(d.pidFile(c.Name), []byte(strconv.Itoa(cmd.Process.Pid)), 0o600); err != nil {
		p.stop(0)
		return nil, err
	}
	return p, nil
}

// lockFile locks f. Who asks whether a process lives holds the lock for a moment
// too, so it is tried for a while.
func lockFile(f *os.File) error {
	deadline := time.Now().Add(time.Second)
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		switch {
		case err == nil:
			return nil
		case !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR):
			return fmt.Errorf("lock %s: %w", f.Name(), err)
		case time.Now().After(deadline):
			return errAlive
		}
		<-time.After(10 * time.Millisecond)
	}
}

// baseEnv is what every component gets: enough to find programs and its home,
// none of the caller's tokens.
func baseEnv() []string {
	var env []string
	for _, k := range []string{"PATH", "HOME", "TMPDIR", "LANG", "USER", "SSL_CERT_FILE", "SSL_CERT_DIR"} {
		if v, ok := os.LookupEnv(k); ok {
			env = append(env, k+"="+v)
		}
	}
	return env
}

// stop ends the process group and waits until the process has gone.
func (p *proc) stop(grace time.Duration) {
	signalGroup(p.cmd.Process.Pid, syscall.SIGTERM)
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-p.done:
	case <-timer.C:
	}
	// Also after a clean end: what it started and left must not outlive it.
	signalGroup(p.cmd.Process.Pid, syscall.SIGKILL)
	<-p.done
}

func signalGroup(pid int, sig syscall.Signal) { _ = syscall.Kill(-pid, sig) }

// Alive reports whether a process of the component lives, whoever started it.
func (d Dir) Alive(name string) bool {
	l := flock.New(d.lockFile(name), flock.SetFlag(os.O_RDWR))
	ok, err := l.TryLock()
	if err != nil {
		return false // no such file: never started
	}
	if ok {
		_ = l.Unlock()
	}
	return !ok
}

// PID returns the process number of a component that lives, else 0.
func (d Dir) PID(name string) int {
	if !d.Alive(name) {
		return 0
	}
	b, err := os.ReadFile(d.pidFile(name))
	if err == nil {
		if pid, err := strconv.Atoi(strings.TrimSpace(string(b))); err == nil {
			return pid
		}
	}
	return d.holder(name)
}

// holder finds the process that has the lock file open. It is needed only when
// a supervisor was killed between starting a process and noting its number.
func (d Dir) holder(name string) int {
	path, err := filepath.EvalSymlinks(d.lockFile(name))
	if err != nil {
		return 0
	}
	procs, err := process.Processes()
	if err != nil {
		return 0
	}
	for _, p := range procs {
		files, err := p.OpenFiles()
		if err != nil || int(p.Pid) == os.Getpid() {
			continue
		}
		for _, f := range files {
			if f.Path == path {
				return int(p.Pid)
			}
		}
	}
	return 0
}

// Reap ends every process that an earlier supervisor of this directory left
// behind and returns their names. The caller must hold the supervisor's lock.
// Dependents of a component are stopped with it, all at once: nobody is there
// to be told in order.
func Reap(d Dir, grace time.Duration) ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(string(d), "run")) // not Glob: the path may have brackets
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	err = nil
	var left []string
	for _, e := range entries {
		if name, ok := strings.CutSuffix(e.Name(), ".lock"); ok && d.Alive(name) {
			left = append(left, name)
		}
	}
	signalAll := func(sig syscall.Signal) {
		for _, name := range left {
			if pid := d.PID(name); pid > 1 {
				signalGroup(pid, sig)
			}
		}
	}
	gone := func(within time.Duration) bool {
		deadline := time.Now().Add(within)
		for {
			all := true
			for _, name := range left {
				all = all && !d.Alive(name)
			}
			if all || time.Now().After(deadline) {
				return all
			}
			<-time.After(20 * time.Millisecond)
		}
	}
	signalAll(syscall.SIGTERM)
	if gone(grace) {
		return left, nil
	}
	signalAll(syscall.SIGKILL)
	if gone(DefaultGrace) {
		return left, nil
	}
	for _, name := range left {
		if d.Alive(name) {
			err = errors.Join(err, fmt.Errorf("%s (process %d) does not end", name, d.PID(name)))
		}
	}
	return left, err
}

// Tail returns the last n lines of a component's log.
func (d Dir) Tail(name string, n int) []string {
	f, err := os.Open(d.LogFile(name))
	if err != nil {
		return nil
	}
	defer f.Close()
	const most = 64 << 10
	if fi, err := f.Stat(); err == nil && fi.Size() > most {
		if _, err := f.Seek(-most, io.SeekEnd); err != nil {
			return nil
		}
	}
	b, err := io.ReadAll(f)
	if err != nil || len(b) == 0 {
		return nil
	}
	lines := strings.Split(strings.TrimRight(string(b), "\n"), "\n")
	return lines[max(0, len(lines)-n):]
}
