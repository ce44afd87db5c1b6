package controlplane

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gofrs/flock"

	"lumacore.dev/lumacore/internal/lab/pki"
	"lumacore.dev/lumacore/internal/report"
)

// The real programs are run by test/e2e; here the test binary stands for them, which
// does what it is told by this variable.
const fakeVar = "LUMACORE_TEST_CONTROLPLANE"

func TestMain(m *testing.M) {
	// A component gets none of the caller's variables: its name says that it is one.
	switch filepath.Base(os.Args[0]) {
	case "etcd-that-ends":
		fmt.Println("listen tcp 127.0.0.1:20000: bind: address already in use")
		os.Exit(1)
	case "etcd-that-hangs":
		time.AfterFunc(time.Minute, func() { os.Exit(9) })
		term := make(chan os.Signal, 1)
		signal.Notify(term, syscall.SIGTERM)
		<-term
		os.Exit(0)
	}
	if os.Getenv(fakeVar) == "own" { // makes a folder, and is killed while it has it
		dir, _, err := own(os.Args[1])
		fmt.Println(dir, err)
		select {}
	}
	os.Exit(m.Run())
}

// program is the test binary under a name.
func program(t *testing.T, name string) func(string) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), name)
	if err := os.Symlink(self, path); err != nil {
		t.Fatal(err)
	}
	return func(string) string { return path }
}

// empty is the temporary folder of a test, and tells what is left in it.
func empty(t *testing.T) {
	t.Helper()
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	t.Cleanup(func() {
		if left, _ := filepath.Glob(tmp + "/*"); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	})
}

// A program that ends, such as for a port that is taken, is tried again on other
// ports; the error has the end of its log.
func TestStartFails(t *testing.T) {
	empty(t)
	_, err := Start(t.Context(), program(t, "etcd-that-ends"))
	var dead *deadError
	if !errors.As(err, &dead) || dead.name != "etcd" || !strings.Contains(err.Error(), "etcd does not start: ended: exit status 1; the end of its log:\n") ||
		!strings.HasSuffix(err.Error(), "bind: address already in use") {
		t.Errorf("error %v", err)
	}
}

func TestStartInterrupted(t *testing.T) {
	empty(t)
	ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, context.Canceled)
	defer cancel()
	begin := time.Now()
	if _, err := Start(ctx, program(t, "etcd-that-hangs")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
	if took := time.Since(begin); took > 20*time.Second {
		t.Errorf("it took %s", took)
	}
}

// A folder of somebody else, or one that others can read, is not used.
func TestForeignFolder(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	if err := os.Mkdir(filepath.Join(os.TempDir(), fmt.Sprintf("lumacore-controlplane-%d", os.Getuid())), 0o755); err != nil {
		t.Fatal(err)
	}
	_, err := Start(t.Context(), program(t, "etcd-that-hangs"))
	var f *report.Failure
	if !errors.As(err, &f) || f.Next != "have it deleted, or set TMPDIR" {
		t.Errorf("error %v", err)
	}
}

// What a killed check has left is removed by the next, what another one has is not.
func TestSweep(t *testing.T) {
	base := filepath.Join(t.TempDir(), "base")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, base)
	cmd.Env = append(os.Environ(), fakeVar+"=own")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, 4096)
	n, err := out.Read(line)
	if err != nil {
		t.Fatal(err)
	}
	other, _, _ := strings.Cut(string(line[:n]), " ")
	if filepath.Dir(other) != base {
		t.Fatalf("it says %q", line[:n])
	}
	mine, lock, err := own(base)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(other); err != nil {
		t.Errorf("that of a running check: %v", err)
	}
	// One that somebody was killed over before it was whole.
	half := filepath.Join(base, making+"1")
	if err := os.Mkdir(half, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := sweep(base); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(half); err != nil {
		t.Errorf("one that may be in the making: %v", err)
	}
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(half, old, old); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	if err := sweep(base); err != nil {
		t.Fatal(err)
	}
	left, _ := filepath.Glob(base + "/*")
	hidden, _ := filepath.Glob(base + "/.*")
	if left = append(left, hidden...); len(left) != 1 || left[0] != mine {
		t.Errorf("left: %v, want %s", left, mine)
	}
	if ok, _ := flock.New(filepath.Join(mine, "owner")).TryLock(); ok {
		t.Error("a folder that is in use is not locked")
	}
	_ = lock.Unlock()
}

// Nothing listens on, or talks to, another address than loopback, and nobody without a
// certificate is served.
func TestLoopbackOnly(t *testing.T) {
	t.Parallel()
	p := Place{
		Program: func(name string) string { return "/" + name }, PKI: pki.Dir(t.TempDir()), Client: "client",
		Etcd: "127.0.0.1:1", EtcdPeer: "127.0.0.1:2", EtcdMetrics: "127.0.0.1:3", APIServer: "127.0.0.1:4",
	}
	address := regexp.MustCompile(`[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+`)
	seen := 0
	for _, c := range p.Components() {
		for _, a := range c.Args {
			for _, ip := range address.FindAllString(a, -1) {
				seen++
				if a != "--service-cluster-ip-range="+ServiceCIDR && !netip.MustParseAddr(ip).IsLoopback() {
					t.Errorf("%s: %s", c.Name, a)
				}
			}
		}
	}
	if seen < 8 {
		t.Errorf("only %d addresses were seen", seen)
	}
}
