package supervisor

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

// Supervisor runs components. Make one with [New].
type Supervisor struct {
	dir        Dir
	components []Component
	onChange   func([]Status)

	mu       sync.Mutex
	statuses map[string]*Status
	ready    map[string]chan struct{} // closed once a component was ready for the first time
	stopped  map[string]chan struct{} // closed once a component has ended for good
}

// New checks the components and returns a supervisor for them. onChange is
// called, one call at a time, with all statuses in the order of declaration
// whenever one of them has changed.
func New(dir Dir, components []Component, onChange func([]Status)) (*Supervisor, error) {
	if err := validate(components); err != nil {
		return nil, err
	}
	if err := dir.make(); err != nil {
		return nil, err
	}
	s := &Supervisor{
		dir: dir, components: components, onChange: onChange,
		statuses: map[string]*Status{},
		ready:    map[string]chan struct{}{},
		stopped:  map[string]chan struct{}{},
	}
	for _, c := range components {
		s.statuses[c.Name] = &Status{Name: c.Name, State: Waiting, Task: c.Task != nil}
		s.ready[c.Name] = make(chan struct{})
		s.stopped[c.Name] = make(chan struct{})
	}
	return s, nil
}

// Run starts everything and blocks until ctx is cancelled; then it stops
// everything, dependents first, and returns when the last process has gone.
func (s *Supervisor) Run(ctx context.Context) {
	dependents := map[string][]string{}
	for _, c := range s.components {
		for _, n := range c.Needs {
			dependents[n] = append(dependents[n], c.Name)
		}
	}
	var wg sync.WaitGroup
	for _, c := range s.components {
		wg.Go(func() {
			defer close(s.stopped[c.Name])
			// A component ends only after all that need it: its own context is
			// cancelled when theirs have run out.
			own, cancel := context.WithCancel(context.WithoutCancel(ctx))
			defer cancel()
			go func() {
				<-ctx.Done()
				for _, d := range dependents[c.Name] {
					<-s.stopped[d]
				}
				cancel()
			}()
			s.live(ctx, own, c)
			s.set(c.Name, func(st *Status) { st.State, st.PID, st.Message = Stopped, 0, "" })
		})
	}
	wg.Wait()
}

// live is the life of one component: wait for its needs, then run it until own
// is cancelled, again and again. Once up is cancelled nothing starts any more.
func (s *Supervisor) live(up, own context.Context, c Component) {
	for _, n := range c.Needs {
		s.set(c.Name, func(st *Status) { st.Message = "needs " + n })
		select {
		case <-s.ready[n]:
		case <-up.Done():
			return
		}
	}
	backoff := newBackoff()
	deaths := 0
	for up.Err() == nil {
		started := time.Now()
		err := s.once(up, own, c)
		if own.Err() != nil || up.Err() != nil {
			return
		}
		if err == nil && c.Task != nil { // done; nothing more to watch
			<-own.Done()
			return
		}
		if time.Since(started) > stableAfter {
			backoff, deaths = newBackoff(), 0
		}
		deaths++
		pause := backoff.Step()
		s.set(c.Name, func(st *Status) {
			st.State, st.PID = BackOff, 0
			if deaths >= crashLoopAt {
				st.State = CrashLoop
			}
			st.Restarts++
			st.Message = err.Error()
			if c.Task == nil {
				if tail := s.dir.Tail(c.Name, 5); len(tail) > 0 && deaths >= crashLoopAt {
					st.Message += "; last log lines:\n" + strings.Join(tail, "\n")
				}
			}
		})
		select {
		case <-time.After(pause):
		case <-up.Done():
			return
		}
	}
}

// newBackoff is the pause between restarts: soon at first, because most deaths
// are a kill or a dependency that was away for a moment.
func newBackoff() *wait.Backoff {
	return &wait.Backoff{Duration: 100 * time.Millisecond, Factor: 2, Jitter: 0.2, Steps: 1 << 30, Cap: 10 * time.Second}
}

// once runs the component until it ends (its error) or own is cancelled (nil).
func (s *Supervisor) once(up, own context.Context, c Component) error {
	if c.Task != nil {
		s.starting(c.Name, 0)
		if err := c.Task(up); err != nil {
			return err
		}
		s.becameReady(c.Name)
		return nil
	}
	if err := s.programThere(up, c); err != nil {
		return err
	}
	p, err := s.dir.start(c)
	if err != nil {
		return fmt.Errorf("start %s: %w", c.Path, err)
	}
	grace := c.Grace
	if grace == 0 {
		grace = DefaultGrace
	}
	defer p.stop(grace)
	s.starting(c.Name, p.cmd.Process.Pid)

	probe := time.NewTimer(0)
	defer probe.Stop()
	misses := 0
	for {
		select {
		case <-own.Done():
			s.set(c.Name, func(st *Status) { st.State, st.Message = Stopping, "" })
			return nil
		case <-p.done:
			return fmt.Errorf("ended: %s", exitText(p.err))
		case <-probe.C:
			err := s.probe(own, c)
			if own.Err() != nil {
				continue
			}
			switch {
			case err == nil:
				misses = 0
				s.becameReady(c.Name)
				probe.Reset(reprobeEvery)
			case s.isReady(c.Name):
				// One slow answer on a busy machine is not a failure.
				if misses++; misses >= 3 {
					s.set(c.Name, func(st *Status) { st.State, st.Message = Unready, err.Error() })
				}
				probe.Reset(time.Second)
			default:
				s.set(c.Name, func(st *Status) { st.Message = err.Error() })
				probe.Reset(probeEvery)
			}
		}
	}
}

// programThere waits until the program is on disk: the lab starts what is built
// while the rest is still being compiled.
func (s *Supervisor) programThere(up context.Context, c Component) error {
	said := false
	for {
		if fi, err := os.Stat(c.Path); err == nil && fi.Mode().IsRegular() {
			return nil
		}
		if !said {
			said = true
			s.set(c.Name, func(st *Status) { st.State, st.Message = Waiting, "program is not built yet: "+c.Path })
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-up.Done():
			return up.Err()
		}
	}
}

func (s *Supervisor) probe(ctx context.Context, c Component) error {
	if c.Ready == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, ProbeTimeout)
	defer cancel()
	return c.Ready(ctx)
}

func exitText(err error) string {
	if err == nil {
		return "exit status 0"
	}
	return err.Error()
}

func (s *Supervisor) starting(name string, pid int) {
	s.set(name, func(st *Status) {
		st.State, st.PID, st.Message, st.Started = Starting, pid, "", time.Now()
	})
}

func (s *Supervisor) becameReady(name string) {
	s.set(name, func(st *Status) {
		if st.State != Ready {
			st.State, st.Message, st.ReadyAt = Ready, "", time.Now()
		}
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.ready[name]:
	default:
		close(s.ready[name])
	}
}

func (s *Supervisor) isReady(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.statuses[name].State
	return st == Ready || st == Unready
}

// set changes a status and tells onChange when that made a difference.
func (s *Supervisor) set(name string, change func(*Status)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.statuses[name]
	before := *st
	change(st)
	if *st == before || s.onChange == nil {
		return
	}
	all := make([]Status, len(s.components))
	for i, c := range s.components {
		all[i] = *s.statuses[c.Name]
	}
	s.onChange(all)
}
