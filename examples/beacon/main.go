// Beacon is a small HTTP service that stands for the apps a homelab owner
// writes: it is built, published, promoted and rolled back like any other, and
// it is small enough that a surprise in the cluster is never its own.
//
// It answers on one port:
//
//	/         greeting with version, host name and environment (JSON)
//	/healthz  200 as long as the process can answer: a liveness probe
//	/readyz   200 only between start and shutdown: a readiness probe
//	/metrics  Prometheus metrics, all named beacon_*, go_* or process_*
//	/version  version, commit and Go release of the binary (JSON)
//
// Life of a process: read the configuration, bind the port, become ready, wait
// for SIGTERM or SIGINT, become unready, go on serving for the drain delay,
// refuse new connections, let running requests finish, exit.
//
// It writes no files and needs no privilege, so it runs as any user on a
// read-only root filesystem.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// Set by the linker, -ldflags "-X main.version=1.0.0 -X main.commit=0f3c…", and
// never by the program. The linker can only set package variables; main hands
// their values on, nothing else reads them.
var (
	version = "dev"
	commit  = ""
)

// Exit codes, listed in the help text.
const (
	exitOK      = 0 // served and shut down in order, or printed what was asked for
	exitFailure = 1 // could not listen, or requests were cut off at shutdown
	exitUsage   = 2 // wrong flag or environment variable
)

func main() {
	// SIGTERM is what the kubelet sends, SIGINT what Ctrl-C sends.
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	// The first signal asks for an orderly shutdown. Handing signals back to the
	// runtime right after it lets a second one end a process that hangs in it.
	context.AfterFunc(ctx, stop)
	code := run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is the whole program without the process around it: it returns the exit
// code, and ends when ctx does. Logs go to stderr, requested text to stdout.
func run(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) int {
	build := readBuild(version, commit)

	cfg, err := parseConfig(args, getenv)
	switch {
	case errors.Is(err, flag.ErrHelp):
		_, err = io.WriteString(stdout, usage())
		return printed(stderr, err)
	case err != nil:
		_, _ = fmt.Fprintf(stderr, "beacon: %v\nhint: run \"beacon -help\" for flags, environment variables and defaults\n", err)
		return exitUsage
	case cfg.showVersion:
		_, err = fmt.Fprintf(stdout, "beacon %s (commit %s, %s)\n", build.Version, build.Commit, build.Go)
		return printed(stderr, err)
	}

	log := slog.New(slog.NewJSONHandler(stderr, &slog.HandlerOptions{Level: cfg.logLevel}))
	host, err := os.Hostname()
	if err != nil {
		// A greeting without a name is better than no service.
		log.Warn("host name unknown; the greeting will say so", "error", err)
		host = "unknown"
	}

	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", cfg.listen)
	if err != nil {
		log.Error("cannot listen", "address", cfg.listen, "error", err,
			"hint", "free the port or choose another with -listen or BEACON_LISTEN")
		return exitFailure
	}

	svc := newService(build, host, cfg.environment, log)
	log.Info("listening", "address", ln.Addr().String(), "version", build.Version, "environment", cfg.environment)
	lifecycle := lifecycle{
		drain:           cfg.drain,
		shutdownTimeout: cfg.shutdownTimeout,
		after:           time.After,
	}
	if err := lifecycle.serve(ctx, ln, svc); err != nil {
		log.Error("stopped with an error", "error", err)
		return exitFailure
	}
	log.Info("stopped")
	return exitOK
}

// printed turns the result of writing requested text into an exit code: a
// reader that got half of it must be able to tell.
func printed(stderr io.Writer, err error) int {
	if err != nil {
		_, _ = fmt.Fprintf(stderr, "beacon: write to standard output: %v\n", err)
		return exitFailure
	}
	return exitOK
}
