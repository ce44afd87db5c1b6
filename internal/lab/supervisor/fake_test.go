package supervisor

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/shirou/gopsutil/v4/process"
	"golang.org/x/sys/unix"

	"lumacore.dev/lumacore/internal/report"
)

// The test binary starts itself as the processes that it supervises: with this
// variable set it is a fake, whose first argument says what it does.
const (
	fakeVar = "LUMACORE_TEST_FAKE"
	runVar  = "LUMACORE_TEST_RUN" // the same for all processes of a run: the leak check looks for it
)

// secretVar is set in the tests and must not reach any component.
const secretVar = "LUMACORE_TEST_TOKEN"

func TestMain(m *testing.M) {
	if os.Getenv(fakeVar) != "" {
		fake(os.Args[1], os.Args[2:])
		return
	}
	os.Setenv(secretVar, "token-of-the-caller")
	runID = fmt.Sprintf("%d-%d", os.Getpid(), time.Now().UnixNano())
	if testing.CoverMode() != "" { // else the processes say in their logs that it is not set
		dir, err := os.MkdirTemp("", "cover-*")
		if err != nil {
			panic(err)
		}
		defer os.RemoveAll(dir)
		coverDir = "GOCOVERDIR=" + dir
	}
	code := m.Run()
	if left := leaks(); code == 0 && left != "" {
		fmt.Fprintln(os.Stderr, "left behind after all tests:\n"+left)
		code = 1
	}
	if code != 0 {
		os.Exit(code)
	}
}

var runID, coverDir string

// leaks returns the processes and goroutines that are still there, after giving
// them the time to end.
func leaks() string {
	left := ""
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); {
		left = ""
		procs, _ := process.Processes()
		for _, p := range procs {
			env, err := p.Environ()
			if err == nil && strings.Contains(strings.Join(env, "\n"), runVar+"="+runID) {
				cmd, _ := p.Cmdline()
				left += fmt.Sprintf("process %d: %s\n", p.Pid, cmd)
			}
		}
		buf := make([]byte, 1<<20)
		buf = buf[:runtime.Stack(buf, true)]
		for _, g := range strings.Split(string(buf), "\n\n")[1:] { // the first is this one
			if strings.Contains(g, "lab/supervisor.") {
				left += g + "\n"
			}
		}
		if left == "" {
			return ""
		}
		<-time.After(20 * time.Millisecond)
	}
	return left
}

func fakeEnv() []string {
	env := []string{fakeVar + "=1", runVar + "=" + runID}
	if coverDir != "" {
		env = append(env, coverDir)
	}
	return env
}

// fake is a component's process. None outlives a test run that was killed.
func fake(mode string, args []string) {
	time.AfterFunc(2*time.Minute, func() { os.Exit(99) })
	// Only when the signal is handled may anybody know that the process is there.
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM)
	say := func(file, text string) {
		if err := report.WriteFile(file, []byte(text), 0o600); err != nil {
			fmt.Println(err)
			os.Exit(98)
		}
	}
	pid := strconv.Itoa(os.Getpid())
	switch mode {
	case "serve": // FILE: answers HTTP at the address in FILE; ends well on SIGTERM
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			fmt.Println(err)
			os.Exit(97)
		}
		http.HandleFunc("/ready", func(w http.ResponseWriter, _ *http.Request) {
			if b, err := os.ReadFile(args[0] + ".unready"); err == nil {
				http.Error(w, string(b), http.StatusServiceUnavailable)
			}
		})
		http.HandleFunc("/crash", func(http.ResponseWriter, *http.Request) {
			fmt.Println("crashing as told")
			os.Exit(4)
		})
		go func() { _ = http.Serve(l, nil) }()
		say(args[0], l.Addr().String())
		<-term
		os.Remove(args[0])
		f, err := os.OpenFile(filepath.Join(filepath.Dir(args[0]), "order"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err == nil {
			fmt.Fprintln(f, filepath.Base(args[0]))
			f.Close()
		}
	case "exit": // CODE LINE…: prints the lines and ends
		fmt.Println(strings.Join(args[1:], "\n"))
		code, _ := strconv.Atoi(args[0])
		os.Exit(code)
	case "stubborn": // FILE: does not end on SIGTERM
		signal.Ignore(syscall.SIGTERM)
		say(args[0], pid)
		select {}
	case "parent": // FILE [die]: starts a stubborn child; then lives, or dies
		child := exec.Command(os.Args[0], "stubborn", args[0]+".child")
		if err := child.Start(); err != nil {
			fmt.Println(err)
			os.Exit(96)
		}
		for {
			if _, err := os.Stat(args[0] + ".child"); err == nil {
				break
			}
			<-time.After(5 * time.Millisecond)
		}
		say(args[0], pid)
		if len(args) > 1 {
			os.Exit(5)
		}
		<-term
	case "env": // FILE: writes its environment to FILE
		say(args[0], strings.Join(os.Environ(), "\n"))
		<-term
	case "hold": // LOCK FILE: holds the lock
		f, err := os.OpenFile(args[0], os.O_CREATE|os.O_RDWR, 0o600)
		if err == nil {
			err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		}
		if err != nil {
			fmt.Println(err)
			os.Exit(95)
		}
		say(args[1], pid)
		<-term
	case "supervise", "supervise-bound": // DIR: a supervisor of its own; its statuses are in DIR/statuses
		dir := Dir(args[0])
		self := os.Args[0]
		runID = os.Getenv(runVar)
		comp := func(name, does string, needs ...string) Component {
			file := filepath.Join(args[0], name)
			return Component{Name: name, Needs: needs, Path: self, Args: []string{does, file}, Env: fakeEnv(), Ready: fileThere(file), Bound: mode == "supervise-bound"}
		}
		s, err := New(dir, []Component{comp("a", "serve"), comp("b", "stubborn", "a"), comp("c", "parent", "a")}, func(all []Status) {
			b, _ := json.Marshal(all)
			say(filepath.Join(args[0], "statuses"), string(b))
		})
		if err != nil {
			fmt.Println(err)
			os.Exit(94)
		}
		ctx, cancel := context.WithCancel(context.Background())
		go func() { <-term; cancel() }()
		s.Run(ctx)
	default:
		fmt.Println("no such mode:", mode)
		os.Exit(93)
	}
}

// fileThere is a probe: nil once the fake has written its file.
func fileThere(file string) func(context.Context) error {
	return func(context.Context) error {
		if _, err := os.Stat(file); err != nil {
			return fmt.Errorf("%s is not there yet", filepath.Base(file))
		}
		return nil
	}
}

// httpReady asks a serve fake.
func httpReady(file string) func(context.Context) error {
	return func(ctx context.Context) error {
		code, body, err := get(ctx, file, "/ready")
		if err == nil && code != http.StatusOK {
			err = fmt.Errorf("%d: %s", code, body)
		}
		return err
	}
}

var httpClient = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

func get(ctx context.Context, file, path string) (int, string, error) {
	addr, err := os.ReadFile(file)
	if err != nil {
		return 0, "", err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+string(addr)+path, nil)
	if err != nil {
		return 0, "", err
	}
	res, err := httpClient.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return res.StatusCode, strings.TrimSpace(string(b)), err
}
