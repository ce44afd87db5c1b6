package main

import (
	"errors"
	"flag"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// env is a getenv over fixed variables.
func env(pairs map[string]string) func(string) string {
	return func(name string) string { return pairs[name] }
}

func TestParseConfig(t *testing.T) {
	t.Parallel()
	defaults := config{
		listen:          ":8080",
		environment:     "local",
		drain:           5 * time.Second,
		shutdownTimeout: 20 * time.Second,
		logLevel:        slog.LevelInfo,
	}
	with := func(change func(*config)) config {
		c := defaults
		change(&c)
		return c
	}
	tests := map[string]struct {
		args []string
		env  map[string]string
		want config
	}{
		"defaults": {want: defaults},
		"every flag": {
			args: []string{"-listen=127.0.0.1:0", "-environment=prod", "-drain=0s", "-shutdown-timeout=1m", "-log-level=WARN", "-version"},
			want: config{"127.0.0.1:0", "prod", 0, time.Minute, slog.LevelWarn, true},
		},
		"every variable": {
			env: map[string]string{
				"BEACON_LISTEN": "[::1]:9090", "BEACON_ENVIRONMENT": "staging", "BEACON_DRAIN": "1s",
				"BEACON_SHUTDOWN_TIMEOUT": "2s", "BEACON_LOG_LEVEL": "debug",
			},
			want: config{"[::1]:9090", "staging", time.Second, 2 * time.Second, slog.LevelDebug, false},
		},
		"the flag wins": {
			args: []string{"-drain=3s"},
			env:  map[string]string{"BEACON_DRAIN": "9s"},
			want: with(func(c *config) { c.drain = 3 * time.Second }),
		},
		"an empty variable is not set":   {env: map[string]string{"BEACON_LISTEN": ""}, want: defaults},
		"no variable prints the version": {env: map[string]string{"BEACON_VERSION": "true"}, want: defaults},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := parseConfig(test.args, env(test.env))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got, cmp.AllowUnexported(config{})); diff != "" {
				t.Errorf("config (-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseConfigWrongUse(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		args []string
		env  map[string]string
		want string
	}{
		"unknown flag":       {args: []string{"-port=80"}, want: `flag provided but not defined: -port`},
		"flag without value": {args: []string{"-listen"}, want: `flag needs an argument: -listen`},
		"argument":           {args: []string{"serve"}, want: `unexpected argument "serve": beacon takes flags only`},
		"no port":            {args: []string{"-listen=localhost"}, want: `invalid value "localhost" for flag -listen: not a host:port; write for example :8080 or 127.0.0.1:8080`},
		"empty port":         {args: []string{"-listen=localhost:"}, want: `invalid value "localhost:" for flag -listen: port "" is not a number from 0 to 65535; write for example :8080`},
		"port too large":     {args: []string{"-listen=:65536"}, want: `invalid value ":65536" for flag -listen: port "65536" is not a number from 0 to 65535; write for example :8080`},
		"no unit":            {args: []string{"-drain=5"}, want: `invalid value "5" for flag -drain: not a duration; write a number with a unit, for example 5s or 1m30s`},
		"negative":           {args: []string{"-shutdown-timeout=-1s"}, want: `invalid value "-1s" for flag -shutdown-timeout: a negative duration has no meaning here; write 0s for none`},
		"level":              {args: []string{"-log-level=info+2"}, want: `invalid value "info+2" for flag -log-level: not a level; use one of debug, info, warn, error`},
		"variable":           {env: map[string]string{"BEACON_DRAIN": "soon"}, want: `invalid value "soon" for environment variable BEACON_DRAIN: not a duration; write a number with a unit, for example 5s or 1m30s`},
		"variable under a good flag": {
			args: []string{"-log-level=info"}, env: map[string]string{"BEACON_LOG_LEVEL": "all"},
			want: `invalid value "all" for environment variable BEACON_LOG_LEVEL: not a level; use one of debug, info, warn, error`,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := parseConfig(test.args, env(test.env))
			if err == nil {
				t.Fatalf("no error, config %+v", got)
			}
			if err.Error() != test.want {
				t.Errorf("error = %s\nwant    %s", err, test.want)
			}
			if got != (config{}) {
				t.Errorf("config beside an error = %+v, want the zero value", got)
			}
		})
	}
}

func TestUsageNamesEverything(t *testing.T) {
	t.Parallel()
	if _, err := parseConfig([]string{"-help"}, env(nil)); !errors.Is(err, flag.ErrHelp) {
		t.Errorf("-help = %v, want flag.ErrHelp", err)
	}
	text := usage()
	newFlagSet(new(config)).VisitAll(func(f *flag.Flag) {
		for _, want := range []string{"  -" + f.Name, envName(f.Name)} {
			if !strings.Contains(text, want) {
				t.Errorf("help does not mention %q", want)
			}
		}
	})
	for _, want := range []string{"(default :8080)", "(default 5s)", "(default 20s)", "info (the default)", "Exit status:", "  0 ", "  1 ", "  2 "} {
		if !strings.Contains(text, want) {
			t.Errorf("help does not say %q:\n%s", want, text)
		}
	}
}

// FuzzParseConfig: whatever is accepted can be served with, and what is refused leaves
// nothing behind.
func FuzzParseConfig(f *testing.F) {
	f.Add("-listen=127.0.0.1:0", "5s", "debug")
	f.Add("-listen=[::1]:65536", "", "")
	f.Add("-version", "-1s", "warn")
	f.Fuzz(func(t *testing.T, arg, drain, level string) {
		cfg, err := parseConfig([]string{arg}, env(map[string]string{"BEACON_DRAIN": drain, "BEACON_LOG_LEVEL": level}))
		if err != nil {
			if cfg != (config{}) {
				t.Errorf("refused with %v, but returned %+v", err, cfg)
			}
			return
		}
		if _, _, err := net.SplitHostPort(cfg.listen); err != nil {
			t.Errorf("accepted an address that nothing can listen on: %v", err)
		}
		if cfg.drain < 0 || cfg.shutdownTimeout < 0 {
			t.Errorf("accepted a negative duration: %+v", cfg)
		}
	})
}
