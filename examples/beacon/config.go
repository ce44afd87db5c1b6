package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"time"
)

// config is what an operator may choose. Each field has a flag and an
// environment variable; the flag wins.
type config struct {
	// listen is a host:port; an empty host means every address, port 0 a free one.
	listen string
	// environment is the name shown in the greeting, for example "staging".
	environment string
	// drain is how long requests are still served after shutdown began. Kubernetes
	// takes a pod out of its Services the moment it starts to end, and sends
	// SIGTERM at the same time; proxies learn of the first a little later.
	drain time.Duration
	// shutdownTimeout bounds the wait for running requests after drain.
	shutdownTimeout time.Duration
	logLevel        slog.Level
	showVersion     bool
}

// parseConfig reads flags and environment variables. It returns flag.ErrHelp
// when help was asked for; any other error is wrong use and names the flag or
// variable, the value and what is accepted.
func parseConfig(args []string, getenv func(string) string) (config, error) {
	var cfg config
	fs := newFlagSet(&cfg)

	var fromEnv error
	fs.VisitAll(func(f *flag.Flag) {
		name := envName(f.Name)
		value := getenv(name)
		if value == "" || fromEnv != nil || name == "" {
			return
		}
		if err := fs.Set(f.Name, value); err != nil {
			fromEnv = fmt.Errorf("invalid value %q for environment variable %s: %w", value, name, err)
		}
	})
	if fromEnv != nil {
		return config{}, fromEnv
	}
	if err := fs.Parse(args); err != nil {
		return config{}, err
	}
	if fs.NArg() > 0 {
		return config{}, fmt.Errorf("unexpected argument %q: beacon takes flags only", fs.Arg(0))
	}
	return cfg, nil
}

// newFlagSet declares every flag with its default, and binds it to cfg.
func newFlagSet(cfg *config) *flag.FlagSet {
	fs := flag.NewFlagSet("beacon", flag.ContinueOnError)
	fs.SetOutput(io.Discard) // run prints errors and help, once
	fs.Usage = func() {}

	*cfg = config{
		listen:          ":8080",
		environment:     "local",
		drain:           5 * time.Second,
		shutdownTimeout: 20 * time.Second,
		logLevel:        slog.LevelInfo,
	}
	fs.Var((*addressValue)(&cfg.listen), "listen", "`address` to serve on, as host:port")
	fs.StringVar(&cfg.environment, "environment", cfg.environment, "`name` of the environment, shown in the greeting")
	fs.Var((*durationValue)(&cfg.drain), "drain",
		"`duration` to go on serving, unready, after SIGTERM:\nlong enough for proxies to take this instance off their lists")
	fs.Var((*durationValue)(&cfg.shutdownTimeout), "shutdown-timeout",
		"`duration` that running requests get to finish after the drain:\ndrain and this together must stay below terminationGracePeriodSeconds")
	fs.Var((*levelValue)(&cfg.logLevel), "log-level", "least important `level` that is logged: debug, info (the default), warn or error")
	fs.BoolVar(&cfg.showVersion, "version", false, "print the version and exit")
	return fs
}

// envName is the variable that sets a flag, or "" when only the command line
// can: a variable that makes the service print its version and stop would help
// nobody.
func envName(flagName string) string {
	if flagName == "version" {
		return ""
	}
	return "BEACON_" + strings.ToUpper(strings.ReplaceAll(flagName, "-", "_"))
}

// usage is the text of -help.
func usage() string {
	var b strings.Builder
	b.WriteString("Beacon answers on one port with a greeting, probes, metrics and its version.\n\nUsage:\n  beacon [flags]\n\nFlags:\n")
	fs := newFlagSet(new(config))
	fs.SetOutput(&b)
	fs.PrintDefaults()
	b.WriteString("\nEnvironment variables (a flag wins over its variable):\n")
	fs.VisitAll(func(f *flag.Flag) {
		if name := envName(f.Name); name != "" {
			fmt.Fprintf(&b, "  %-24s -%s\n", name, f.Name)
		}
	})
	b.WriteString("\nExit status:\n  0  stopped in order\n  1  could not listen, or requests were cut off at shutdown\n  2  wrong flag or environment variable\n")
	return b.String()
}

// addressValue is a host:port. The port is checked here so that a typing error
// is wrong use, told apart from a port that is taken.
type addressValue string

func (a *addressValue) String() string { return string(*a) }

func (a *addressValue) Set(s string) error {
	_, port, err := net.SplitHostPort(s)
	if err != nil {
		return errors.New("not a host:port; write for example :8080 or 127.0.0.1:8080")
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("port %q is not a number from 0 to 65535; write for example :8080", port)
	}
	*a = addressValue(s)
	return nil
}

// durationValue is a duration of zero or more.
type durationValue time.Duration

func (d *durationValue) String() string { return time.Duration(*d).String() }

func (d *durationValue) Set(s string) error {
	v, err := time.ParseDuration(s)
	switch {
	case err != nil:
		return errors.New("not a duration; write a number with a unit, for example 5s or 1m30s")
	case v < 0:
		return errors.New("a negative duration has no meaning here; write 0s for none")
	}
	*d = durationValue(v)
	return nil
}

// levelValue is one of slog's four named levels.
type levelValue slog.Level

func (l *levelValue) String() string { return strings.ToLower(slog.Level(*l).String()) }

func (l *levelValue) Set(s string) error {
	// Not Level.UnmarshalText: that also takes "info+2", which nobody means.
	for _, level := range []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError} {
		if strings.EqualFold(s, level.String()) {
			*l = levelValue(level)
			return nil
		}
	}
	return errors.New("not a level; use one of debug, info, warn, error")
}
