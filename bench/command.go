package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
)

// peers are the programs of this module and the packages that they are built from.
var peers = map[string]string{
	"conftest":    "github.com/open-policy-agent/conftest",
	"fluxbuild":   "./fluxbuild",
	"gator":       "github.com/open-policy-agent/gatekeeper/v3/cmd/gator",
	"gitleaks":    "github.com/zricethezav/gitleaks/v8",
	"helm":        "helm.sh/helm/v4/cmd/helm",
	"kubeconform": "github.com/yannh/kubeconform/cmd/kubeconform",
	"kustomize":   "sigs.k8s.io/kustomize/kustomize/v5",
}

// program is a built program.
type program string

// peer builds a peer. The first time, that takes a minute or two.
func (b *bench) peer(ctx context.Context, name string) (program, error) {
	fmt.Fprintln(os.Stderr, "go build", peers[name])
	return b.goBuild(ctx, "bench", name, peers[name])
}

// goBuild builds a program of the module in the folder, into the folder of built
// programs.
func (b *bench) goBuild(ctx context.Context, module, name, pkg string) (program, error) {
	out, err := filepath.Abs(filepath.Join(b.programs, name))
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, "go", "-C", module, "build", "-o", out, pkg)
	if msg, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build %s: %w\n%s", pkg, err, msg)
	}
	return program(out), nil
}

// usage is what running something took.
type usage struct {
	seconds float64
	memory  float64 // MB, of the largest process
}

// job is one run of a program.
type job struct {
	program program
	args    []string
	dir     string
	output  string // file that standard output goes to; "" throws it away
	fails   bool   // exit code 1 is an answer too: something was found
	cache   string // folder of what lumacore keeps; "" gives it a new one, empty
}

// run runs the job.
func (j job) run(ctx context.Context) (usage, error) {
	cmd := exec.CommandContext(ctx, string(j.program), j.args...)
	cmd.Dir = j.dir
	if cmd.Env = append(os.Environ(), "LUMACORE_CACHE="+j.cache); j.cache == "" {
		dir, err := os.MkdirTemp("", "lumacore-bench-cache-*")
		if err != nil {
			return usage{}, err
		}
		defer os.RemoveAll(dir)
		cmd.Env = append(os.Environ(), "LUMACORE_CACHE="+dir)
	}
	var errs bytes.Buffer
	cmd.Stderr = &errs
	if j.output != "" {
		f, err := os.Create(j.output)
		if err != nil {
			return usage{}, err
		}
		defer f.Close()
		cmd.Stdout = f
	}
	start := time.Now()
	err := cmd.Run()
	u := usage{seconds: time.Since(start).Seconds(), memory: residentMB(cmd.ProcessState)}
	var exit *exec.ExitError
	if j.fails && errors.As(err, &exit) && exit.ExitCode() == 1 {
		err = nil
	}
	if err != nil {
		args := strings.Join(j.args, " ")
		if len(args) > 300 {
			args = args[:300] + "…"
		}
		return u, fmt.Errorf("%s %s: %w\n%s", filepath.Base(string(j.program)), args, err, errs.Bytes())
	}
	return u, nil
}

// residentMB is the largest resident size that the process had.
func residentMB(p *os.ProcessState) float64 {
	if p == nil {
		return 0
	}
	r, ok := p.SysUsage().(*syscall.Rusage)
	if !ok {
		return 0
	}
	if runtime.GOOS == "darwin" { // bytes there, KiB on Linux
		return float64(r.Maxrss) / 1e6
	}
	return float64(r.Maxrss) * 1024 / 1e6
}

// loop runs jobs as a script with `xargs -P` would: as many at a time as there
// are cores.
func loop(ctx context.Context, jobs []job) (usage, error) {
	all := make([]usage, len(jobs))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.NumCPU())
	start := time.Now()
	for i, j := range jobs {
		g.Go(func() (err error) {
			all[i], err = j.run(ctx)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return usage{}, err
	}
	sum := usage{seconds: time.Since(start).Seconds()}
	for _, u := range all {
		sum.memory = max(sum.memory, u.memory)
	}
	return sum, nil
}

// arm is one side of a comparison.
type arm struct {
	name string
	run  func(ctx context.Context) (usage, error)
	all  []usage
}

// seconds returns how long each run took.
func (a *arm) seconds() []float64 {
	var out []float64
	for _, u := range a.all {
		out = append(out, u.seconds)
	}
	return out
}

// memory returns the largest size of a process in MB.
func (a *arm) memory() float64 {
	m := 0.0
	for _, u := range a.all {
		m = max(m, u.memory)
	}
	return m
}

// slower returns how many times longer than other a took, of runs that were next
// to each other.
func (a *arm) slower(other *arm) []float64 {
	var out []float64
	for i := range a.all {
		out = append(out, a.all[i].seconds/other.all[i].seconds)
	}
	return out
}

// interleave runs each arm once to warm caches, which is not counted, and then the
// arms in turns.
func interleave(ctx context.Context, arms ...*arm) error {
	for i := range repetitions + 1 {
		for _, a := range arms {
			u, err := a.run(ctx)
			if err != nil {
				return fmt.Errorf("%s: %w", a.name, err)
			}
			if i > 0 {
				a.all = append(a.all, u)
			}
		}
	}
	return nil
}
