// Package supervisor runs a set of components that need each other: it starts
// them in the order of their needs, in parallel where possible, holds each
// until its probe answers, restarts what dies, and stops everything in reverse
// order.
//
// What it promises:
//
//   - "ready" means that the component's probe answered, and is asked again for
//     as long as the component runs; a process that merely exists is "starting".
//   - Every process holds a lock file for as long as it lives: the supervisor
//     opens and locks the file and the child inherits the open file, so the
//     kernel releases the lock when the process ends, however it ends. A lock
//     that is held means "alive", whatever happened to the supervisor, and a
//     recycled process number is never mistaken for a component.
//   - [Reap] ends what a killed supervisor left behind, and only that.
//   - Stopping is SIGTERM, a grace period, then SIGKILL, to the component's
//     whole process group, and waits until it is gone.
//
// The package knows nothing of Kubernetes.
package supervisor

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Component is one part, declared as data. It is a process (Path is set) or a
// task (Task is set).
type Component struct {
	Name  string   // unique; names the pid, lock and log files
	Needs []string // components that must be ready before this one starts

	Path string   // program to run; a program that does not exist yet is waited for
	Args []string // its arguments; no secrets: they are visible to every user
	Env  []string // KEY=value, added to a minimal environment

	// Ready answers nil once the component does its work. It is called again
	// and again, each time with a context of ProbeTimeout. Nil means: ready
	// when started.
	Ready func(ctx context.Context) error

	// Grace is how long the process has after SIGTERM before SIGKILL; zero
	// means DefaultGrace.
	Grace time.Duration

	// Bound ends the process with the supervisor's own, however that ends, where the
	// system can do it (Linux). Elsewhere [Reap] does it later, as for all others.
	Bound bool

	// Task runs inside the supervisor instead of a process. It must be safe to
	// repeat: it runs at every start, and again after it failed.
	Task func(ctx context.Context) error
}

// Times of the supervisor. Tests shorten none of them: conditions are waited
// for, not times.
const (
	DefaultGrace = 10 * time.Second
	ProbeTimeout = 3 * time.Second
	probeEvery   = 100 * time.Millisecond // while starting
	reprobeEvery = 5 * time.Second        // while ready
	stableAfter  = 20 * time.Second       // a process that lived this long starts again at once
	crashLoopAt  = 4                      // deaths in a row that make a crash loop
)

// State is where a component stands.
type State string

// The states, in the order of a life.
const (
	Waiting   State = "waiting"    // for what it needs, or for its program
	Starting  State = "starting"   // runs, its probe has not answered yet
	Ready     State = "ready"      // its probe answered
	Unready   State = "unready"    // was ready; its probe does not answer any more
	BackOff   State = "back-off"   // died or failed; starts again soon
	CrashLoop State = "crash-loop" // died or failed several times in a row; goes on trying
	Stopping  State = "stopping"
	Stopped   State = "stopped"
)

// Status is what is known of a component.
type Status struct {
	Name     string    `json:"name"`
	State    State     `json:"state"`
	Task     bool      `json:"task,omitempty"`
	PID      int       `json:"pid,omitempty"`
	Restarts int       `json:"restarts"`
	Message  string    `json:"message,omitempty"` // why it is not ready: what it waits for, how it died, its last log lines
	Started  time.Time `json:"started,omitzero"`  // last start
	ReadyAt  time.Time `json:"readyAt,omitzero"`  // last time that it became ready
}

// validate checks names and needs and returns an error that names what is wrong.
func validate(components []Component) error {
	names := map[string]bool{}
	for _, c := range components {
		switch {
		case c.Name == "" || strings.ContainsAny(c.Name, "/\\ "):
			return fmt.Errorf("component name %q: give a name without slashes and spaces", c.Name)
		case names[c.Name]:
			return fmt.Errorf("component %s is declared twice", c.Name)
		case (c.Path == "") == (c.Task == nil):
			return fmt.Errorf("component %s must have either a program or a task", c.Name)
		}
		names[c.Name] = true
	}
	// Kahn's algorithm: what cannot be ordered is in, or behind, a cycle.
	placed := map[string]bool{}
	rest := slices.Clone(components)
	for len(rest) > 0 {
		var next []Component
		for _, c := range rest {
			ready := true
			for _, n := range c.Needs {
				if !names[n] {
					return fmt.Errorf("component %s needs %s, which is not declared", c.Name, n)
				}
				ready = ready && placed[n]
			}
			if ready {
				placed[c.Name] = true
			} else {
				next = append(next, c)
			}
		}
		if len(next) == len(rest) {
			stuck := make([]string, len(next))
			for i, c := range next {
				stuck[i] = c.Name
			}
			return fmt.Errorf("components need each other in a circle: %s", strings.Join(stuck, ", "))
		}
		rest = next
	}
	return nil
}
