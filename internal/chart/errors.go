package chart

import "fmt"

// Unavailable says that a chart could not be had.
type Unavailable struct {
	Chart  string // "traefik 41.0.2 of https://traefik.github.io/charts"
	Reason string // why, in half a sentence
	Next   string // what to do about it; may be empty
	// Missing: the source answered, and has no such chart, version or reference.
	// Flux will not find it either.
	Missing bool
}

func (e *Unavailable) Error() string {
	return fmt.Sprintf("chart %s cannot be had: %s", e.Chart, e.Reason)
}

// Invalid says that a chart does not load.
type Invalid struct {
	Chart  string // as in Unavailable; for a chart of a tree its folder
	Reason string
}

func (e *Invalid) Error() string { return fmt.Sprintf("chart %s does not load: %s", e.Chart, e.Reason) }
