// Command bench measures LumaCore and writes what it measured in this run:
//
//	make bench            # every group but cold
//	make bench ONLY=lab   # one group
//
// It prints a table, writes the figures as JSON, and exits 1 when a figure
// misses its bar. Figures of another run are never carried over. Machines are
// noisy: the load before and the samples stand beside each figure.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/shirou/gopsutil/v4/cpu"
	"github.com/shirou/gopsutil/v4/host"
	"github.com/shirou/gopsutil/v4/load"
	"github.com/shirou/gopsutil/v4/mem"

	"lumacore.dev/lumacore/internal/report"
)

// result is the file that is written.
type result struct {
	Machine machine  `json:"machine"`
	Load    float64  `json:"load"` // load average of one minute before the first figure
	Commit  string   `json:"commit"`
	Time    string   `json:"time"`
	Figures []figure `json:"figures"`
	// NotMeasured names the groups that this run left out.
	NotMeasured []string `json:"notMeasured"`
}

type machine struct {
	CPU    string  `json:"cpu"`
	Cores  int     `json:"cores"`
	Memory float64 `json:"memoryGiB"`
	System string  `json:"system"`
}

// figure is one number. Bar is the most that it may be; zero means that there is
// no bar and the figure is shown for what it is.
type figure struct {
	Name    string    `json:"name"`
	Value   float64   `json:"value"`
	Unit    string    `json:"unit"`
	Bar     float64   `json:"bar,omitempty"`
	OK      bool      `json:"ok"`
	Samples []float64 `json:"samples"`
}

// group measures some figures with the built binary.
type group struct {
	name    string
	about   string
	byName  bool // runs only when it is asked for by name
	measure func(ctx context.Context, b *bench) error
}

var groups = []group{
	{name: "lab", about: "starting the lab, pushing to it, its memory, many Kustomizations", measure: measureLab},
	{name: "cold", about: "make up in a fresh clone with empty caches: 10 to 20 minutes, needs the network", byName: true, measure: measureCold},
}

// bench is a run.
type bench struct {
	lumacore string
	result   result
}

// add records a figure: the median of its samples.
func (b *bench) add(name, unit string, bar float64, samples ...float64) {
	v := median(samples)
	f := figure{Name: name, Value: v, Unit: unit, Bar: bar, OK: bar == 0 || v <= bar, Samples: samples}
	b.result.Figures = append(b.result.Figures, f)
	fmt.Fprintf(os.Stderr, "%s = %.2f %s\n", name, v, unit)
}

func median(samples []float64) float64 {
	s := slices.Sorted(slices.Values(samples))
	if len(s) == 0 {
		return 0
	}
	return s[len(s)/2]
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	only := flag.String("only", "", "measure this `group` only")
	out := flag.String("out", filepath.Join("build", "bench.json"), "`file` to write")
	lumacore := flag.String("lumacore", filepath.Join("bin", "lumacore"), "the `binary` to measure")
	flag.Parse()

	path, err := filepath.Abs(*lumacore)
	if err != nil {
		return err
	}
	if _, err := os.Stat(path); err != nil {
		return fmt.Errorf("%w; build it with: make build", err)
	}
	b := &bench{lumacore: path}
	if err := b.describe(ctx); err != nil {
		return err
	}
	known := false
	for _, g := range groups {
		if *only != g.name && (*only != "" || g.byName) {
			b.result.NotMeasured = append(b.result.NotMeasured, g.name+": "+g.about)
			continue
		}
		known = true
		if err := g.measure(ctx, b); err != nil {
			return fmt.Errorf("%s: %w", g.name, err)
		}
	}
	if !known {
		var names []string
		for _, g := range groups {
			names = append(names, g.name)
		}
		return fmt.Errorf("no group %q: use one of %s", *only, strings.Join(names, ", "))
	}
	if err := os.MkdirAll(filepath.Dir(*out), 0o755); err != nil {
		return err
	}
	data, err := json.MarshalIndent(b.result, "", "  ")
	if err != nil {
		return err
	}
	if err := report.WriteFile(*out, append(data, '\n'), 0o644); err != nil {
		return err
	}
	return b.print()
}

func (b *bench) describe(ctx context.Context) error {
	info, err := host.InfoWithContext(ctx)
	if err != nil {
		return err
	}
	m, err := mem.VirtualMemoryWithContext(ctx)
	if err != nil {
		return err
	}
	cores, err := cpu.CountsWithContext(ctx, true)
	if err != nil {
		return err
	}
	b.result.Machine = machine{Cores: cores, Memory: float64(m.Total>>20) / 1024, System: info.OS + " " + info.KernelVersion + " " + info.KernelArch}
	if cpus, err := cpu.InfoWithContext(ctx); err == nil && len(cpus) > 0 {
		b.result.Machine.CPU = cpus[0].ModelName
	}
	if avg, err := load.AvgWithContext(ctx); err == nil {
		b.result.Load = avg.Load1
	}
	commit, err := exec.CommandContext(ctx, "git", "describe", "--always", "--dirty", "--abbrev=12").Output()
	if err != nil {
		return fmt.Errorf("name the commit: %w", err)
	}
	b.result.Commit = strings.TrimSpace(string(commit))
	b.result.Time = time.Now().UTC().Format(time.RFC3339)
	return nil
}

func (b *bench) print() error {
	r := b.result
	fmt.Printf("%s, %d cores, %.1f GiB, %s; load %.2f; commit %s\n\n", r.Machine.CPU, r.Machine.Cores, r.Machine.Memory, r.Machine.System, r.Load, r.Commit)
	t := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "figure\tvalue\tunit\tbar\tok\tsamples\tmin\tmax\t")
	missed := []string{}
	for _, f := range r.Figures {
		bar, ok := "-", "-"
		if f.Bar != 0 {
			bar, ok = fmt.Sprintf("%.2f", f.Bar), fmt.Sprint(f.OK)
		}
		if !f.OK {
			missed = append(missed, f.Name)
		}
		fmt.Fprintf(t, "%s\t%.2f\t%s\t%s\t%s\t%d\t%.2f\t%.2f\t\n", f.Name, f.Value, f.Unit, bar, ok, len(f.Samples), slices.Min(f.Samples), slices.Max(f.Samples))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, n := range r.NotMeasured {
		fmt.Println("not measured:", n)
	}
	if len(missed) > 0 {
		return fmt.Errorf("over the bar: %s", strings.Join(missed, ", "))
	}
	return nil
}
