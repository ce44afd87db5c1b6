package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/shirou/gopsutil/v4/process"

	"lumacore.dev/lumacore/internal/lab/programs"
	"lumacore.dev/lumacore/internal/lab/supervisor"
	"lumacore.dev/lumacore/internal/report"
)

// Report is what `lab status` and `lab up` say. Its JSON Schema is
// docs/reference/lab-report.schema.json.
type Report struct {
	report.TypeMeta
	Ready          bool            `json:"ready"` // every component and every Kustomization that is not suspended
	Dir            string          `json:"dir"`
	Message        string          `json:"message,omitempty"` // why it is not ready
	Components     []Component     `json:"components"`
	Kustomizations []Kustomization `json:"kustomizations"`
	Systems        []System        `json:"systems"` // of the blueprint
	Phases         []Phase         `json:"phases"`  // of the last `lab up` that started it

	running bool
}

// Component is a part of the lab.
type Component struct {
	Name     string `json:"name"`
	State    string `json:"state"`
	Mode     string `json:"mode"` // real or simulated
	Version  string `json:"version"`
	PID      int    `json:"pid,omitempty"`
	RSSBytes uint64 `json:"rssBytes,omitempty"` // resident memory now
	Restarts int    `json:"restarts"`
	Message  string `json:"message,omitempty"`
}

// Status looks at the lab.
func (l *Lab) Status(ctx context.Context) (*Report, error) {
	rep := &Report{
		TypeMeta: report.Meta("LabReport"), Dir: l.Dir,
		Components: []Component{}, Kustomizations: []Kustomization{}, Systems: []System{}, Phases: []Phase{},
	}
	if !l.Running() {
		rep.Message = "not running; start it with: lumacore lab up"
		if left := l.leftovers(); len(left) > 0 {
			rep.Message = "its supervisor is gone, " + strings.Join(left, ", ") + " still run; lumacore lab up or lumacore lab down takes care of them"
		}
		return rep, nil
	}
	rep.running = true
	st, err := l.state()
	if err != nil {
		rep.Message = "starting"
		return rep, nil
	}
	rep.Components = append(rep.Components, Component{
		Name: "supervisor", State: string(supervisor.Ready), Mode: "real", Version: programs.Own(),
		PID: st.PID, RSSBytes: rss(st.PID),
	})
	for _, c := range st.Components {
		if c.Task && c.State == supervisor.Ready {
			continue // done; only a task that hangs is news
		}
		rep.Components = append(rep.Components, Component{
			Name: c.Name, State: string(c.State), Mode: mode(c.Name), Version: version(c.Name, programs.Own()),
			PID: c.PID, RSSBytes: rss(c.PID), Restarts: c.Restarts, Message: c.Message,
		})
	}
	if b, err := os.ReadFile(l.phasesFile()); err == nil {
		if err := json.Unmarshal(b, &rep.Phases); err != nil {
			return nil, fmt.Errorf("%s is damaged: %w", l.phasesFile(), err)
		}
	}
	if left := st.unready(); len(left) > 0 {
		rep.Message = fmt.Sprintf("%s is %s: %s", left[0].Name, left[0].State, firstLine(left[0].Message))
	}
	c, err := l.Client()
	if err != nil {
		rep.Message = or(rep.Message, err.Error())
		return rep, nil
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	flux, err := look(ctx, c)
	if err != nil {
		rep.Message = or(rep.Message, "Flux's objects could not be read: "+err.Error())
		return rep, nil
	}
	rep.Kustomizations = append(rep.Kustomizations, flux.kustomizations...)
	if list, err := systems(ctx, c); err != nil {
		rep.Message = or(rep.Message, "what runs here could not be read: "+err.Error())
	} else {
		rep.Systems = list
	}
	rep.Message = or(rep.Message, flux.behind())
	rep.Ready = rep.Message == ""
	return rep, nil
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// rss returns the resident memory of a process, 0 when it cannot be had.
func rss(pid int) uint64 {
	if pid == 0 {
		return 0
	}
	p, err := process.NewProcess(int32(pid))
	if err != nil {
		return 0
	}
	m, err := p.MemoryInfo()
	if err != nil {
		return 0
	}
	return m.RSS
}

// leftovers names components that live without a supervisor.
func (l *Lab) leftovers() []string {
	var left []string
	for _, c := range l.components(settings{}) {
		if c.Task == nil && l.procs().Alive(c.Name) {
			left = append(left, c.Name)
		}
	}
	return left
}

// Text implements report.Document.
func (r *Report) Text(s *report.Streams, w io.Writer) error {
	if !r.running {
		_, err := fmt.Fprintf(w, "The lab in %s is %s\n", r.Dir, r.Message)
		return err
	}
	paint := func(color, text string) string { return s.Paint(s.Out, color, text) }
	head := paint(report.Good, "ready")
	if !r.Ready {
		head = paint(report.Bad, "not ready") + ": " + r.Message
	}
	fmt.Fprintf(w, "The lab in %s is %s\n\n", r.Dir, head)

	var total uint64
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "COMPONENT\tSTATE\tIS\tVERSION\tPID\tMEMORY\tRESTARTS")
	for _, c := range r.Components {
		total += c.RSSBytes
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%d\n", c.Name, c.State, c.Mode, c.Version, number(c.PID), mebibytes(c.RSSBytes), c.Restarts)
	}
	fmt.Fprintf(t, "all\t\t\t\t\t%s\t\n", mebibytes(total))
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(w)
	t = tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "KUSTOMIZATION\tENVIRONMENT\tSTATE\tREVISION\tMESSAGE")
	for _, k := range r.Kustomizations {
		state, message := "ready", ""
		switch {
		case k.Suspended:
			state, message = "suspended", k.Message
		case !k.Ready:
			state, message = "not ready", firstLine(k.Message)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", k.Name, or(k.Environment, "-"), state, or(shortRevision(k.Revision), "-"), message)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if len(r.Systems) > 0 {
		fmt.Fprintln(w)
		t = tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		fmt.Fprintln(t, "SYSTEM\tIS\tWHY")
		for _, s := range r.Systems {
			fmt.Fprintf(t, "%s\t%s\t%s\n", s.Name, s.Is, s.Why)
		}
		if err := t.Flush(); err != nil {
			return err
		}
	}
	if len(r.Phases) > 0 {
		var parts []string
		for _, p := range r.Phases {
			parts = append(parts, fmt.Sprintf("%s %s", p.Name, report.Duration(time.Duration(p.Seconds*float64(time.Second)))))
		}
		fmt.Fprintf(w, "\nThe last start took: %s\n", strings.Join(parts, ", "))
	}
	return nil
}

func number(n int) string {
	if n == 0 {
		return "-"
	}
	return fmt.Sprint(n)
}

func mebibytes(b uint64) string {
	if b == 0 {
		return "-"
	}
	return fmt.Sprintf("%d MiB", b>>20)
}

// PushReport is what `lab push` says.
type PushReport struct {
	report.TypeMeta
	Source         string          `json:"source"`   // what was pushed, for a person
	Commit         string          `json:"commit"`   // the commit in the lab's repository
	Changed        bool            `json:"changed"`  // false: the lab had it already
	Revision       string          `json:"revision"` // what Flux applied; newer than commit when image automation has committed
	Seconds        float64         `json:"seconds"`  // from the call until everything was Ready
	Kustomizations []Kustomization `json:"kustomizations"`
}

// Text implements report.Document.
func (r *PushReport) Text(s *report.Streams, w io.Writer) error {
	took := report.Duration(time.Duration(r.Seconds * float64(time.Second)))
	if !r.Changed {
		_, err := fmt.Fprintf(w, "Nothing to push: the lab has this content already, and everything is ready at %s\n", shortRevision(r.Revision))
		return err
	}
	fmt.Fprintf(w, "Pushed %s; everything is ready at %s after %s\n", r.Source, s.Paint(s.Out, report.Good, shortRevision(r.Revision)), took)
	for _, k := range r.Kustomizations {
		if k.Suspended {
			fmt.Fprintf(w, "  %s is suspended: %s\n", k.Name, or(k.Message, "it does not say why"))
		}
	}
	return nil
}

// Logs copies the log of a component to w; follow goes on until ctx ends.
func (l *Lab) Logs(ctx context.Context, name string, follow bool, w io.Writer) error {
	names := l.logNames()
	known := false
	for _, n := range names {
		known = known || n == name
	}
	if !known {
		return report.Misuse("", "no component is named %q: use one of %s", name, strings.Join(names, ", "))
	}
	f, err := os.Open(l.procs().LogFile(name))
	if errors.Is(err, os.ErrNotExist) {
		return report.Refuse("lumacore lab status", "%s has no log in %s: it has not been started", name, l.Dir)
	}
	if err != nil {
		return err
	}
	defer func() { f.Close() }()
	for {
		if _, err := io.Copy(w, f); err != nil || !follow {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(200 * time.Millisecond):
		}
		// A log that grew too large was moved aside at a restart.
		open, err1 := f.Stat()
		there, err2 := os.Stat(l.procs().LogFile(name))
		if err1 == nil && err2 == nil && !os.SameFile(open, there) {
			f.Close()
			if f, err = os.Open(l.procs().LogFile(name)); err != nil {
				return err
			}
		}
	}
}

// logNames are the components that have a log, and the supervisor.
func (l *Lab) logNames() []string {
	names := []string{"supervisor"}
	for _, c := range l.components(settings{}) {
		if c.Task == nil {
			names = append(names, c.Name)
		}
	}
	return names
}

// LogNames is logNames for shell completion.
func (l *Lab) LogNames() []string { return l.logNames() }
