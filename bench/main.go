// Command bench measures LumaCore and writes what it measured in this run:
//
//	make bench              # every group but cold
//	make bench ONLY=check   # one group
//
// It runs in the root of the repository. It prints a table, writes the figures as
// JSON and in the form that benchstat reads, and exits 1 when a figure misses its
// bar. Figures of another run are never carried over. Machines are noisy: the load
// before and the samples stand beside each figure, both sides of a comparison take
// turns, and a ratio is one of times that were measured next to each other.
package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/shirou/gopsutil/v4/cpu"
	"github.com/shirou/gopsutil/v4/host"
	"github.com/shirou/gopsutil/v4/load"
	"github.com/shirou/gopsutil/v4/mem"
)

// result is the file that is written.
type result struct {
	Machine machine   `json:"machine"`
	Load    float64   `json:"load"` // load average of one minute before the first figure
	Commit  string    `json:"commit"`
	Time    string    `json:"time"`
	Figures []*figure `json:"figures"`
	// NotMeasured names the groups that this run left out.
	NotMeasured []string `json:"notMeasured"`
}

type machine struct {
	CPU    string  `json:"cpu"`
	Cores  int     `json:"cores"`
	Memory float64 `json:"memoryGiB"`
	System string  `json:"system"`
}

// figure is one number. Without a bar it is shown for what it is.
type figure struct {
	Name    string    `json:"name"`
	Value   float64   `json:"value"`
	Unit    string    `json:"unit"`
	Bar     bar       `json:"bar"`
	OK      bool      `json:"ok"`
	Samples []float64 `json:"samples"`
	// Memory is the largest resident size of one process, in MB; 0 if it was not
	// measured.
	Memory float64 `json:"memoryMB,omitempty"`
	// Saw is what was looked at: a fast run over nothing is no fast run.
	Saw string `json:"saw,omitempty"`
}

// bar is what a figure is held against: "≤ 20", "≥ 10", or "" for nothing.
type bar struct {
	sign  string
	limit float64
}

var none bar

func most(limit float64) bar  { return bar{"≤", limit} }
func least(limit float64) bar { return bar{"≥", limit} }

func (b bar) held(v float64) bool {
	return b.sign == "" || b.sign == "≤" && v <= b.limit || b.sign == "≥" && v >= b.limit
}

func (b bar) String() string {
	if b.sign == "" {
		return ""
	}
	return b.sign + " " + strconv.FormatFloat(b.limit, 'f', -1, 64)
}

func (b bar) MarshalText() ([]byte, error) { return []byte(b.String()), nil }

// group measures some figures with the built binary.
type group struct {
	name    string
	about   string
	byName  bool // runs only when it is asked for by name
	measure func(ctx context.Context, b *bench) error
}

var groups = []group{
	{name: "check", about: "render and check of generated repositories, next to the programs that people use today", measure: measureCheck},
	{name: "mirror", about: "publishing a large repository to a Git server over HTTP, and verifying a mirror of 500 commits", measure: measureMirror},
	{name: "lab", about: "starting the lab, pushing to it, its memory, many Kustomizations", measure: measureLab},
	{name: "cold", about: "make up in a fresh clone with empty caches: 10 to 20 minutes, needs the network", byName: true, measure: measureCold},
}

// bench is a run.
type bench struct {
	lumacore string
	programs string // folder of built programs
	result   result
}

// add records a figure: the median of its samples. The result can be completed.
func (b *bench) add(name, unit string, limit bar, samples ...float64) *figure {
	v := median(samples)
	b.result.Figures = append(b.result.Figures, &figure{Name: name, Value: v, Unit: unit, Bar: limit, OK: limit.held(v), Samples: samples})
	fmt.Fprintf(os.Stderr, "%s = %.2f %s\n", name, v, unit)
	return b.result.Figures[len(b.result.Figures)-1]
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
	b := &bench{lumacore: path, programs: filepath.Join("build", "bench")}
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
	if err := os.WriteFile(*out, append(data, '\n'), 0o644); err != nil {
		return err
	}
	if err := os.WriteFile(strings.TrimSuffix(*out, ".json")+".txt", b.benchstat(), 0o644); err != nil {
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

// benchstat returns the samples in Go's benchmark format, one run per line
// (https://go.dev/design/14313-benchmark-format), to compare two runs with
// bin/tools/benchstat OLD NEW.
func (b *bench) benchstat() []byte {
	var out bytes.Buffer
	fmt.Fprintf(&out, "goos: %s\ngoarch: %s\ncpu: %s\n", runtime.GOOS, runtime.GOARCH, b.result.Machine.CPU)
	for _, f := range b.result.Figures {
		unit := f.Unit
		if unit == "s" {
			unit = "sec/op"
		}
		for _, s := range f.Samples {
			fmt.Fprintf(&out, "Benchmark/%s 1 %g %s\n", f.Name, s, unit)
		}
	}
	return out.Bytes()
}

func (b *bench) print() error {
	r := b.result
	fmt.Printf("%s, %d cores, %.1f GiB, %s; load %.2f; commit %s\n\n", r.Machine.CPU, r.Machine.Cores, r.Machine.Memory, r.Machine.System, r.Load, r.Commit)
	t := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "figure\tvalue\tunit\tbar\theld\tsamples\tmin\tmax\tmemory\tsaw")
	missed := []string{}
	for _, f := range r.Figures {
		held, memory := "-", "-"
		if f.Bar != none {
			held = map[bool]string{true: "yes", false: "NO"}[f.OK]
		}
		if f.Memory > 0 {
			memory = fmt.Sprintf("%.0f MB", f.Memory)
		}
		if !f.OK {
			missed = append(missed, f.Name)
		}
		fmt.Fprintf(t, "%s\t%.2f\t%s\t%s\t%s\t%d\t%.2f\t%.2f\t%s\t%s\n", f.Name, f.Value, f.Unit,
			cmp.Or(f.Bar.String(), "-"), held, len(f.Samples), slices.Min(f.Samples), slices.Max(f.Samples), memory, cmp.Or(f.Saw, "-"))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, n := range r.NotMeasured {
		fmt.Println("not measured:", n)
	}
	if len(missed) > 0 {
		return fmt.Errorf("bars missed: %s", strings.Join(missed, ", "))
	}
	return nil
}
