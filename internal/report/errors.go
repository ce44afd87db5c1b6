package report

import (
	"context"
	"errors"
	"fmt"
)

// Exit codes of every verb.
const (
	ExitOK          = 0   // fine
	ExitFindings    = 1   // findings, or an action that was refused or did not succeed
	ExitUsage       = 2   // wrong use, or an internal error
	ExitInterrupted = 130 // SIGINT or SIGTERM; the same command goes on where this one stopped
)

// Failure is an error for a person: the message says what failed, where and
// why; Next says what to do about it, usually as a command to paste.
type Failure struct {
	Err  error
	Next string
	Code int // one of the exit codes above; zero means ExitFindings
}

func (f *Failure) Error() string { return f.Err.Error() }

// Unwrap gives errors.Is and errors.As the cause.
func (f *Failure) Unwrap() error { return f.Err }

// Refuse returns a Failure with exit code 1: the command was understood, and
// what it was asked to do did not happen.
func Refuse(next, format string, args ...any) error {
	return &Failure{Err: fmt.Errorf(format, args...), Next: next, Code: ExitFindings}
}

// Misuse returns a Failure with exit code 2: a flag or argument is wrong.
func Misuse(next, format string, args ...any) error {
	return &Failure{Err: fmt.Errorf(format, args...), Next: next, Code: ExitUsage}
}

// ExitCode maps an error to the exit code of the process. Unknown errors are
// internal ones: 2.
func ExitCode(err error) int {
	var f *Failure
	switch {
	case err == nil:
		return ExitOK
	case errors.Is(err, context.Canceled):
		return ExitInterrupted
	case errors.As(err, &f) && f.Code != 0:
		return f.Code
	case errors.As(err, &f):
		return ExitFindings
	default:
		return ExitUsage
	}
}

// PrintError writes err for a person: the message, then the next step.
func (s *Streams) PrintError(err error) {
	if errors.Is(err, context.Canceled) {
		fmt.Fprintln(s.Err, "lumacore: interrupted; the same command goes on where this one stopped")
		// What else went wrong on the way, such as a clean-up.
		var joined interface{ Unwrap() []error }
		if errors.As(err, &joined) {
			for _, e := range joined.Unwrap() {
				if !errors.Is(e, context.Canceled) {
					s.PrintError(e)
				}
			}
		}
		return
	}
	fmt.Fprintf(s.Err, "%s %s\n", s.Paint(s.Err, Bad, "lumacore:"), err)
	var f *Failure
	if errors.As(err, &f) && f.Next != "" {
		fmt.Fprintf(s.Err, "  next: %s\n", f.Next)
	}
}
