//go:build e2e

package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Whatever dies during a push, the push ends well.
func TestKillEachComponentDuringAPush(t *testing.T) {
	for i, comp := range shared.status(t).Components {
		if comp.Name == "supervisor" {
			continue // TestKillTheSupervisor
		}
		t.Run(comp.Name, func(t *testing.T) {
			c := shared.clone(t)
			value := fmt.Sprintf("push %d", i)
			c.addConfigMap("crash", value)
			c.commit("feat: " + value)

			pid := shared.ready(t).Components[i].PID
			type outcome struct {
				r result
			}
			done := make(chan outcome, 1)
			go func() { done <- outcome{shared.try(t, "lab", "push", c.dir)} }()
			// The kill comes when the push has begun: its commit is on its way.
			eventually(t, 20*time.Second, "the push begins", func() error {
				out, _ := exec.Command("pgrep", "-f", "push.*"+c.dir).Output()
				if len(out) == 0 && len(done) == 0 {
					return fmt.Errorf("no process yet")
				}
				return nil
			})
			kill(t, pid)
			o := <-done
			if o.r.code != 0 {
				t.Fatalf("exit %d after %s\n%s%s", o.r.code, o.r.took, o.r.stdout, o.r.stderr)
			}
			if got := field(shared.must(t, configMap, "app-beacon-staging", "crash"), "data", "value"); got != value {
				t.Errorf("the cluster has %q, want %q", got, value)
			}
			eventually(t, time.Minute, comp.Name+" is ready again", func() error {
				rep := shared.status(t)
				after := rep.Components[i]
				if after.State != "ready" || after.PID == pid || after.Restarts == 0 {
					return fmt.Errorf("%+v", after)
				}
				if !rep.Ready {
					return fmt.Errorf("%s", rep.Message)
				}
				return nil
			})
		})
	}
}

// After kill -9 of the supervisor its components live on and nobody looks after
// them; up takes over and ends in the same state.
func TestKillTheSupervisor(t *testing.T) {
	before := shared.status(t)
	kill(t, shared.supervisor(t))
	eventually(t, 10*time.Second, "status says so", func() error {
		if r := shared.try(t, "lab", "status"); r.code != 1 || !strings.Contains(r.stdout, "its supervisor is gone") {
			return fmt.Errorf("exit %d: %s", r.code, r.stdout)
		}
		return nil
	})
	if r := shared.try(t, "lab", "doctor"); r.code != 1 || !strings.Contains(r.stdout, "the supervisor is gone, but these still run: etcd") {
		t.Errorf("doctor: exit %d\n%s", r.code, r.stdout)
	}
	if r := shared.try(t, "lab", "push", shared.clone(t).dir); r.code != 1 || !strings.Contains(r.stderr, "no lab is running in") {
		t.Errorf("push: exit %d\n%s", r.code, r.stderr)
	}
	shared.run(t, "lab", "up")
	after := shared.ready(t)
	if len(after.Components) != len(before.Components) {
		t.Fatalf("%+v", after)
	}
	for i, c := range before.Components {
		if syscall.Kill(c.PID, 0) == nil && after.Components[i].PID != c.PID {
			t.Errorf("the old %s (process %d) still runs", c.Name, c.PID)
		}
	}
}

// A supervisor and everything under it, killed at once.
func TestKillEverything(t *testing.T) {
	rep := shared.status(t)
	kill(t, shared.supervisor(t))
	for _, c := range rep.Components {
		_ = syscall.Kill(c.PID, syscall.SIGKILL)
	}
	shared.run(t, "lab", "up")
	shared.ready(t)
}

func (l *testLab) supervisor(t testing.TB) int {
	t.Helper()
	var st struct{ PID int }
	b, err := os.ReadFile(filepath.Join(l.dir, "state.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &st); err != nil {
		t.Fatal(err)
	}
	return st.PID
}

// Ctrl-C in the middle of up takes back what it started; the next up goes on.
// Beside it the shared lab runs on: two labs in two folders.
func TestInterruptedUpAndTwoLabs(t *testing.T) {
	scratch := shm(t)
	before := shared.ready(t)
	l := &testLab{dir: filepath.Join(t.TempDir(), "second lab")} // with a space, as people have
	for _, until := range []string{"state.json", filepath.Join("run", "kube-apiserver.pid"), filepath.Join("run", "source-controller.pid")} {
		_ = os.Remove(filepath.Join(l.dir, until)) // of the start before
		cmd := l.command("lab", "up")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		eventually(t, 60*time.Second, until+" appears", func() error {
			_, err := os.Stat(filepath.Join(l.dir, until))
			return err
		})
		if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
		err := cmd.Wait()
		if code := cmd.ProcessState.ExitCode(); code != 130 {
			t.Errorf("interrupted at %s: exit %d (%v), want 130", until, code, err)
		}
		l.nothingLeft(t, scratch)
	}
	// And at once: before the supervisor holds its lock.
	cmd := l.command("lab", "up")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, 20*time.Second, "the supervisor's process", func() error {
		if len(l.processes(t)) < 2 {
			return errors.New("not there yet")
		}
		return nil
	})
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	l.nothingLeft(t, scratch)
	l.run(t, "lab", "up")
	l.ready(t)
	for i, c := range shared.ready(t).Components {
		if was := before.Components[i]; c.PID != was.PID {
			t.Errorf("%s of the first lab was process %d and is %d", c.Name, was.PID, c.PID)
		}
	}
	if a, b := l.basePort(t), shared.basePort(t); a == b {
		t.Errorf("both labs have ports from %d", a)
	}

	// down keeps the data, and leaves nothing that runs or listens.
	base := l.basePort(t)
	l.run(t, "lab", "down")
	l.nothingLeft(t, scratch)
	for port := base; port < base+30; port++ {
		ln, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			t.Errorf("port %d is still taken: %v", port, err)
			continue
		}
		ln.Close()
	}
	if r := l.run(t, "lab", "down"); !strings.Contains(r.stdout, "was not running") {
		t.Errorf("a second down: %s", r.stdout)
	}
	l.run(t, "lab", "down", "--purge", "--yes")
	if _, err := os.Stat(l.dir); !os.IsNotExist(err) {
		t.Errorf("purge left %s", l.dir)
	}
}
