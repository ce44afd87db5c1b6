package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/shirou/gopsutil/v4/disk"
	"github.com/shirou/gopsutil/v4/mem"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"

	"lumacore.dev/lumacore/internal/lab/pki"
	"lumacore.dev/lumacore/internal/lab/programs"
	"lumacore.dev/lumacore/internal/lab/supervisor"
	"lumacore.dev/lumacore/internal/report"
)

// What a lab needs, measured with `make bench` and rounded up.
const (
	needMemory    = 3 << 30 // available, to run
	needDisk      = 1 << 30 // free, to run
	needBuildDisk = 9 << 30 // free, to compile: module cache, build cache, programs
)

// DoctorReport is what `lab doctor` says.
type DoctorReport struct {
	report.TypeMeta
	Healthy bool    `json:"healthy"`
	Checks  []Check `json:"checks"`
}

// Check is one thing that was looked at.
type Check struct {
	Name    string `json:"name"`
	OK      bool   `json:"ok"`
	Message string `json:"message"`
	Next    string `json:"next,omitempty"` // what to do about it
}

// Doctor looks for what keeps a lab from starting or running. cacheRoot is where
// programs are compiled to.
func (l *Lab) Doctor(ctx context.Context, cacheRoot string) *DoctorReport {
	rep := &DoctorReport{TypeMeta: report.Meta("LabDoctorReport"), Healthy: true}
	add := func(name string, err error, fine, next string) {
		c := Check{Name: name, OK: err == nil, Message: fine}
		if err != nil {
			c.Message, c.Next = err.Error(), next
			var f *report.Failure
			if errors.As(err, &f) && f.Next != "" {
				c.Next = f.Next
			}
			rep.Healthy = false
		}
		rep.Checks = append(rep.Checks, c)
	}
	running := l.Running()

	version, err := programs.GoVersion(ctx)
	add("go", err, version, "")
	add("git", findGit(ctx), "git and its http-backend are there", "")

	built := err == nil && l.Programs != nil && l.Programs.Complete()
	switch {
	case built:
		add("programs", nil, "compiled", "")
	case l.Programs != nil:
		add("programs", nil, fmt.Sprintf("%d of %d still to be compiled by lab up", len(l.Programs.Missing()), len(programs.Names())), "")
	}

	for _, d := range []struct{ name, dir string }{{"disk of the lab", l.Dir}, {"disk of the programs", cacheRoot}} {
		name, dir := d.name, d.dir
		need := uint64(needDisk)
		if !built && dir == cacheRoot {
			need = needBuildDisk
		}
		free, err := diskFree(dir)
		if err == nil && free < need {
			err = fmt.Errorf("%.1f GiB free at %s, %.1f GiB needed", gib(free), dir, gib(need))
		}
		add(name, err, fmt.Sprintf("%.1f GiB free at %s", gib(free), dir), "free some space, or give another folder (--dir, LUMACORE_CACHE)")
	}

	if !running {
		m, err := mem.VirtualMemoryWithContext(ctx)
		if err == nil && m.Available < needMemory {
			err = fmt.Errorf("%.1f GiB of memory available, %.1f GiB needed", gib(m.Available), gib(needMemory))
		}
		fine := ""
		if err == nil {
			fine = fmt.Sprintf("%.1f GiB available", gib(m.Available))
		}
		add("memory", err, fine, "end other programs")
	}

	add("folder", l.foreign(), l.Dir, "")
	s, err := l.loadSettings()
	switch {
	case errors.Is(err, os.ErrNotExist):
		add("state", nil, "no lab yet", "")
	case err != nil:
		add("state", err, "", "")
	default:
		now := programs.Version("kube-apiserver")
		if s.Version != now {
			err = fmt.Errorf("the data was made by Kubernetes %s, this lumacore brings %s", s.Version, now)
		}
		add("state", err, "made by Kubernetes "+s.Version, "lumacore lab down --purge && lumacore lab up makes it anew")
		until, err := pki.Dir(l.path("pki")).Expires()
		if err == nil && time.Now().After(until) {
			err = fmt.Errorf("the certificates ended on %s", until.Format(time.DateOnly))
		}
		add("certificates", err, "valid until "+until.Format(time.DateOnly), "lumacore lab down --purge && lumacore lab up makes it anew")
		if !running {
			var taken error
			if name, port := s.Ports.taken(); name != "" && len(l.leftovers()) == 0 {
				taken = fmt.Errorf("port %d (%s) is taken by another program", port, name)
			}
			add("ports", taken, "127.0.0.1:"+s.Ports.String()+" are free", "lumacore lab up chooses others; ss -ltnp names the program")
		}
	}

	if left := l.leftovers(); !running && len(left) > 0 {
		add("leftovers", fmt.Errorf("the supervisor is gone, but these still run: %s", strings.Join(left, ", ")), "",
			"lumacore lab up takes them over, lumacore lab down ends them")
	}
	if running {
		st, err := l.state()
		if err == nil {
			for _, c := range st.unready() {
				err = errors.Join(err, fmt.Errorf("%s is %s: %s", c.Name, c.State, c.Message))
			}
		}
		next := ""
		if left := st.unready(); len(left) > 0 {
			next = "lumacore lab logs " + left[0].Name
			for _, c := range left {
				if c.State == supervisor.CrashLoop || c.State == supervisor.BackOff {
					next = "lumacore lab logs " + c.Name
				}
			}
		}
		add("components", err, fmt.Sprintf("%d are ready", len(st.Components)), next)
		if err == nil {
			add("flux", l.fluxBehind(ctx), "every Kustomization that is not suspended is ready",
				"mend it and run lumacore lab push; lumacore lab logs kustomize-controller tells more")
		}
	}
	return rep
}

// settle is how long Flux may be on its way before that is a problem: image automation
// commits at any time, and four layers follow one another.
const settle = time.Minute

// fluxBehind names the Kustomization that is not where it should be: at once if it has
// failed, and if it is on its way, when it does not arrive.
func (l *Lab) fluxBehind(ctx context.Context) error {
	c, err := l.Client()
	if err != nil {
		return err
	}
	var why string
	err = wait.PollUntilContextTimeout(ctx, time.Second, settle, true, func(ctx context.Context) (bool, error) {
		st, err := look(ctx, c)
		if err != nil {
			return false, fmt.Errorf("read Flux's objects: %w", err)
		}
		why = st.behind()
		return why == "" || st.failed(), nil
	})
	if err != nil && !wait.Interrupted(err) {
		return err
	}
	if why != "" {
		return errors.New(why)
	}
	return nil
}

// failed tells whether something has failed, which waiting alone does not mend.
func (st fluxState) failed() bool {
	return st.source.Status == metav1.ConditionFalse || slices.ContainsFunc(st.kustomizations, func(k Kustomization) bool {
		return !k.Ready && !k.Suspended && failureReasons[k.reason]
	})
}

func gib(b uint64) float64 { return float64(b) / (1 << 30) }

// diskFree returns the free space at dir, or at its nearest parent that exists.
func diskFree(dir string) (uint64, error) {
	for {
		if _, err := os.Stat(dir); err == nil || dir == filepath.Dir(dir) {
			break
		}
		dir = filepath.Dir(dir)
	}
	u, err := disk.Usage(dir)
	if err != nil {
		return 0, err
	}
	return u.Free, nil
}

// Text implements report.Document.
func (r *DoctorReport) Text(s *report.Streams, w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, c := range r.Checks {
		verdict := "ok"
		if !c.OK {
			verdict = "PROBLEM"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\n", verdict, c.Name, strings.ReplaceAll(c.Message, "\n", "; "))
		if c.Next != "" {
			fmt.Fprintf(t, "\t\tnext: %s\n", c.Next)
		}
	}
	return t.Flush()
}
