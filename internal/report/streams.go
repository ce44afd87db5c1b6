package report

import (
	"io"
	"os"

	"golang.org/x/term"
)

// Streams are the three standard streams and what is known about them. Tests
// replace them; nothing in lumacore touches os.Stdout or os.Stderr directly.
type Streams struct {
	In  io.Reader
	Out io.Writer // the result
	Err io.Writer // progress, logs, errors

	InTTY  bool // In and Err are terminals: a person can be asked
	OutTTY bool // Out is a terminal
	ErrTTY bool // Err is a terminal: live progress is possible
	Color  bool // colours are welcome on a terminal (NO_COLOR unset)
	Width  int  // columns of Out's terminal; 0 when it is none or does not say
}

// System returns the streams of this process.
func System() *Streams {
	_, noColor := os.LookupEnv("NO_COLOR")
	s := &Streams{
		In:     os.Stdin,
		Out:    os.Stdout,
		Err:    os.Stderr,
		InTTY:  term.IsTerminal(int(os.Stdin.Fd())) && term.IsTerminal(int(os.Stderr.Fd())),
		OutTTY: term.IsTerminal(int(os.Stdout.Fd())),
		ErrTTY: term.IsTerminal(int(os.Stderr.Fd())) && os.Getenv("TERM") != "dumb" && os.Getenv("CI") == "",
		Color:  !noColor,
	}
	if width, _, err := term.GetSize(int(os.Stdout.Fd())); err == nil && s.OutTTY {
		s.Width = width
	}
	return s
}

// The colours of text output, by meaning.
const (
	Good  = "32"
	Bad   = "31"
	Warn  = "33"
	Faint = "2"
)

// Paint wraps text in the colour when w is a terminal that wants colour.
func (s *Streams) Paint(w io.Writer, color, text string) string {
	tty := (w == s.Out && s.OutTTY) || (w == s.Err && s.ErrTTY)
	if !tty || !s.Color {
		return text
	}
	return "\x1b[" + color + "m" + text + "\x1b[0m"
}
