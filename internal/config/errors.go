package config

import (
	"strings"

	"lumacore.dev/lumacore/internal/report"
)

// Error is everything that is wrong with a file.
type Error struct {
	Mistakes []Mistake // at least one, sorted by place
}

// Mistake is one thing that is wrong with a file.
type Mistake struct {
	report.Location
	Message string // what is wrong, and what to write instead
}

func (m Mistake) String() string { return m.Location.String() + ": " + m.Message }

func (e *Error) Error() string {
	lines := make([]string, len(e.Mistakes))
	for i, m := range e.Mistakes {
		lines[i] = m.String()
	}
	return strings.Join(lines, "\n")
}
