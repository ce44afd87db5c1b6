package report

import (
	"fmt"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
)

// Steps shows work in progress on stderr, one line per step: on a terminal the
// lines stay in place and are redrawn, elsewhere a line is printed when a step
// changes its state. Elapsed time is counted from the step's first state other
// than waiting.
type Steps struct {
	s        *Streams
	progress *mpb.Progress

	created time.Time

	adding sync.Mutex // held while a line is added: the same name makes one line

	mu    sync.Mutex
	steps map[string]*step
	order int
	width int
}

// minWidth keeps the columns of lines that come one by one in place.
const minWidth = 28

// step is one line.
type step struct {
	name    string
	state   string // what it does now: "compiling 812/1604", "ready"
	ended   bool
	started time.Time
	took    time.Duration
	bar     *mpb.Bar
}

// Steps starts a display; names are known from the start so that columns align.
// Call Close when all is done.
func (s *Streams) Steps(names ...string) *Steps {
	st := &Steps{s: s, created: time.Now(), steps: map[string]*step{}, width: minWidth}
	if s.ErrTTY {
		// That Err is a terminal was decided by Streams: left to itself, mpb looks
		// at the writer, and never draws nor ends on one that is no file.
		st.progress = mpb.New(mpb.WithOutput(s.Err), mpb.WithAutoRefresh(), mpb.WithRefreshRate(150*time.Millisecond))
	}
	for _, n := range names {
		st.add(n)
	}
	return st
}

// add adds a line, if it is not there. mu is not held while the bar is made:
// drawing it takes mu too.
func (st *Steps) add(name string) *step {
	st.adding.Lock()
	defer st.adding.Unlock()
	st.mu.Lock()
	if p := st.steps[name]; p != nil {
		st.mu.Unlock()
		return p
	}
	p := &step{name: name, state: "waiting"}
	order := st.order
	st.order++
	st.width = max(st.width, len(name))
	st.mu.Unlock()
	if st.progress != nil {
		// No total: a bar that has one ends by counting, and SetTotal does nothing.
		p.bar = st.progress.New(0, mpb.NopStyle(),
			mpb.BarPriority(order),
			mpb.PrependDecorators(decor.Any(func(decor.Statistics) string { return st.line(p) })))
	}
	st.mu.Lock()
	st.steps[name] = p
	st.mu.Unlock()
	return p
}

func (st *Steps) line(p *step) string {
	st.mu.Lock()
	defer st.mu.Unlock()
	elapsed := p.took
	if !p.ended && !p.started.IsZero() {
		elapsed = time.Since(p.started)
	}
	clock := ""
	if elapsed > 0 {
		clock = Duration(elapsed)
	}
	return fmt.Sprintf("  %-*s %8s  %s", st.width, p.name, clock, p.state)
}

// Set shows what a step does now. Off a terminal a line is printed only for the
// first state after waiting, to keep a CI log short.
func (st *Steps) Set(name, state string) { st.set(name, state, false) }

// End shows the last state of a step.
func (st *Steps) End(name, state string) { st.set(name, state, true) }

func (st *Steps) set(name, state string, end bool) {
	st.mu.Lock()
	p := st.steps[name]
	if p == nil {
		st.mu.Unlock()
		p = st.add(name)
		st.mu.Lock()
	}
	if p.ended {
		st.mu.Unlock()
		return
	}
	first := p.started.IsZero()
	if first {
		p.started = time.Now()
		if end { // nobody saw it begin: it began with the display
			p.started = st.created
		}
	}
	p.state = state
	if end {
		p.ended, p.took = true, time.Since(p.started)
	}
	took, width := p.took, st.width
	st.mu.Unlock()

	switch {
	case p.bar != nil && end:
		p.bar.SetTotal(1, true)
	case p.bar != nil:
	case end:
		fmt.Fprintf(st.s.Err, "  %-*s %8s  %s\n", width, name, Duration(took), state)
	case first:
		fmt.Fprintf(st.s.Err, "  %-*s %8s  %s\n", width, name, "", state)
	}
}

// Note prints a line above the steps.
func (st *Steps) Note(format string, args ...any) {
	if st.progress != nil {
		fmt.Fprintf(st.progress, format+"\n", args...)
		return
	}
	fmt.Fprintf(st.s.Err, format+"\n", args...)
}

// Close ends the display; steps that have not ended keep their last line.
func (st *Steps) Close() {
	if st.progress == nil {
		return
	}
	st.mu.Lock()
	open := []*step{}
	for _, p := range st.steps {
		if !p.ended {
			p.ended = true
			if !p.started.IsZero() {
				p.took = time.Since(p.started)
			}
			open = append(open, p)
		}
	}
	st.mu.Unlock()
	for _, p := range open {
		p.bar.SetTotal(1, true)
	}
	st.progress.Wait()
}

// Duration prints a duration as a person would say it: 0.4s, 12s, 3m05s.
func Duration(d time.Duration) string {
	if tenths := d.Round(100 * time.Millisecond); tenths < 10*time.Second {
		return fmt.Sprintf("%.1fs", tenths.Seconds())
	}
	switch d = d.Round(time.Second); {
	case d < time.Minute:
		return fmt.Sprintf("%.0fs", d.Seconds())
	default:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	}
}
