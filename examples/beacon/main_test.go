package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"runtime/debug"
	"strings"
	"testing"
)

func TestRunPrints(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		args   []string
		code   int
		stdout string // prefix
		stderr string // whole
	}{
		"version":   {args: []string{"-version"}, code: exitOK, stdout: "beacon dev (commit "},
		"help":      {args: []string{"-help"}, code: exitOK, stdout: "Beacon answers on one port"},
		"wrong use": {args: []string{"-drain=x"}, code: exitUsage, stderr: "beacon: invalid value \"x\" for flag -drain: not a duration; write a number with a unit, for example 5s or 1m30s\nhint: run \"beacon -help\" for flags, environment variables and defaults\n"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var stdout, stderr bytes.Buffer
			code := run(t.Context(), test.args, env(nil), &stdout, &stderr)
			if code != test.code {
				t.Errorf("exit code = %d, want %d", code, test.code)
			}
			if !strings.HasPrefix(stdout.String(), test.stdout) || (test.stdout == "" && stdout.Len() > 0) {
				t.Errorf("stdout = %q, want it to begin with %q", &stdout, test.stdout)
			}
			if stderr.String() != test.stderr {
				t.Errorf("stderr = %q, want %q", &stderr, test.stderr)
			}
		})
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errors.New("disk full") }

func TestRunReportsALostAnswer(t *testing.T) {
	t.Parallel()
	for _, arg := range []string{"-version", "-help"} {
		var stderr bytes.Buffer
		code := run(t.Context(), []string{arg}, env(nil), brokenWriter{}, &stderr)
		if want := "beacon: write to standard output: disk full\n"; code != exitFailure || stderr.String() != want {
			t.Errorf("%s: exit code %d, stderr %q; want %d, %q", arg, code, &stderr, exitFailure, want)
		}
	}
}

func TestRunPortTaken(t *testing.T) {
	t.Parallel()
	var lc net.ListenConfig
	ln, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()

	var stdout, stderr bytes.Buffer
	code := run(t.Context(), []string{"-listen", ln.Addr().String()}, env(nil), &stdout, &stderr)
	if code != exitFailure {
		t.Errorf("exit code = %d, want %d", code, exitFailure)
	}
	var line map[string]string
	if err := json.Unmarshal(stderr.Bytes(), &line); err != nil {
		t.Fatalf("stderr is not one JSON line: %v: %s", err, &stderr)
	}
	if line["level"] != "ERROR" || line["address"] != ln.Addr().String() ||
		!strings.Contains(line["error"], "address already in use") || !strings.Contains(line["hint"], "BEACON_LISTEN") {
		t.Errorf("log line = %v, want the address, the reason and the next step", line)
	}
}

// TestRunServesUntilTold goes through a whole life with the logs as the only
// witness, as an operator would.
func TestRunServesUntilTold(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	logs, stderr := io.Pipe()
	code := make(chan int, 1)
	go func() {
		code <- run(ctx, nil, env(map[string]string{
			"BEACON_LISTEN": "127.0.0.1:0", "BEACON_DRAIN": "0s", "BEACON_ENVIRONMENT": "prod",
		}), io.Discard, stderr)
		_ = stderr.Close()
	}()

	lines := bufio.NewScanner(logs)
	next := func(msg string) map[string]any {
		t.Helper()
		if !lines.Scan() {
			t.Fatalf("log ended before %q: %v", msg, lines.Err())
		}
		var line map[string]any
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			t.Fatalf("log line is not JSON: %v: %s", err, lines.Text())
		}
		if line["msg"] != msg {
			t.Fatalf("log line = %v, want message %q", line, msg)
		}
		return line
	}

	address, _ := next("listening")["address"].(string)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{DisableKeepAlives: true}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	var got greeting
	err = json.NewDecoder(resp.Body).Decode(&got)
	_ = resp.Body.Close()
	if err != nil || got.Environment != "prod" || got.Version != "dev" || got.Hostname == "" {
		t.Errorf("greeting = %+v (%v), want environment prod, version dev and a host name", got, err)
	}

	stop()
	next("draining")
	next("stopped")
	if got := <-code; got != exitOK {
		t.Errorf("exit code = %d, want %d", got, exitOK)
	}
	if lines.Scan() {
		t.Errorf("log goes on after the end: %s", lines.Text())
	}
}

func TestRecordedCommit(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		info *debug.BuildInfo
		want string
	}{
		"no information": {nil, "unknown"},
		"no checkout":    {&debug.BuildInfo{}, "unknown"},
		"clean":          {&debug.BuildInfo{Settings: []debug.BuildSetting{{Key: "vcs.revision", Value: "0f3c"}, {Key: "vcs.modified", Value: "false"}}}, "0f3c"},
		"changed":        {&debug.BuildInfo{Settings: []debug.BuildSetting{{Key: "vcs.revision", Value: "0f3c"}, {Key: "vcs.modified", Value: "true"}}}, "0f3c+dirty"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := recordedCommit(test.info); got != test.want {
				t.Errorf("recordedCommit = %q, want %q", got, test.want)
			}
		})
	}
	if got := readBuild("1.0.0", "abc"); got.Version != "1.0.0" || got.Commit != "abc" || !strings.HasPrefix(got.Go, "go") {
		t.Errorf("readBuild = %+v, want what the linker said", got)
	}
}
