package cli_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"lumacore.dev/lumacore/internal/cli"
	"lumacore.dev/lumacore/internal/golden"
)

// The test binary is lumacore when a script runs it under that name.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"lumacore": func() { os.Exit(cli.Main()) }})
}

// TestScripts runs testdata/script/*.txtar: what a person types, and what comes
// out where. A script has a home, a lab and a cache of its own, and no Internet.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		UpdateScripts:       *golden.Update,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("HOME", e.WorkDir+"/home")
			e.Setenv("LUMACORE_DIR", e.WorkDir+"/lab")
			e.Setenv("LUMACORE_CACHE", e.WorkDir+"/cache")
			e.Setenv("GOTOOLCHAIN", "local")
			e.Setenv("NO_COLOR", "1")
			// Where lumacore is, for a script with a PATH of its own.
			bin, _, _ := strings.Cut(e.Getenv("PATH"), string(os.PathListSeparator))
			e.Setenv("LUMACORE_BINARY", filepath.Join(bin, "lumacore"))
			return os.Mkdir(e.WorkDir+"/home", 0o755)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exitcode": exitcode},
	})
}

// exitcode N PROGRAM ARGUMENT… runs the program, which must end with N exactly:
// "! exec" would take a crash for a refusal.
func exitcode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exitcode N program [argument...]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	var exit *exec.ExitError
	if err := ts.Exec(args[1], args[2:]...); errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}
