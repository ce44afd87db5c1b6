package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// How often each figure is measured.
const (
	starts = 3
	pushes = 20
)

// labRun is a lab in a temporary folder.
type labRun struct {
	ctx      context.Context
	lumacore string
	dir      string
	checkout string
}

func (l *labRun) run(args ...string) ([]byte, error) {
	cmd := exec.CommandContext(l.ctx, l.lumacore, args...)
	cmd.Env = append(os.Environ(), "LUMACORE_DIR="+l.dir)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("lumacore %s: %w\n%s%s", strings.Join(args, " "), err, out.Bytes(), errs.Bytes())
	}
	return out.Bytes(), nil
}

// timed runs a command and returns how many seconds it took.
func (l *labRun) timed(args ...string) (float64, error) {
	start := time.Now()
	_, err := l.run(args...)
	return time.Since(start).Seconds(), err
}

func (l *labRun) git(args ...string) error {
	cmd := exec.CommandContext(l.ctx, "git", args...)
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1",
		"GIT_AUTHOR_NAME=bench", "GIT_AUTHOR_EMAIL=bench@lumacore.invalid", "GIT_COMMITTER_NAME=bench", "GIT_COMMITTER_EMAIL=bench@lumacore.invalid")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("git %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return nil
}

func (l *labRun) write(path, content string) error {
	full := filepath.Join(l.checkout, path)
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		return err
	}
	return os.WriteFile(full, []byte(content), 0o644)
}

// push commits the checkout and returns how long it took from `lab push` until
// every Kustomization was Ready at that commit.
func (l *labRun) push(message string) (float64, error) {
	if err := l.git("-C", l.checkout, "add", "--all"); err != nil {
		return 0, err
	}
	if err := l.git("-C", l.checkout, "commit", "--quiet", "-m", message); err != nil {
		return 0, err
	}
	return l.timed("lab", "push", "--timeout=15m", l.checkout)
}

// rss returns the resident memory of all processes of the lab in bytes.
func (l *labRun) rss() (float64, error) {
	out, err := l.run("lab", "status", "-o", "json")
	if err != nil {
		return 0, err
	}
	var rep struct {
		Components []struct {
			Name     string
			RSSBytes float64
		}
	}
	if err := json.Unmarshal(out, &rep); err != nil {
		return 0, err
	}
	sum := 0.0
	for _, c := range rep.Components {
		if c.RSSBytes == 0 {
			return 0, fmt.Errorf("the memory of %s cannot be read", c.Name)
		}
		sum += c.RSSBytes
	}
	return sum, nil
}

func measureLab(ctx context.Context, b *bench) (err error) {
	tmp, err := os.MkdirTemp("", "lumacore-bench-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	l := &labRun{ctx: ctx, lumacore: b.lumacore, dir: filepath.Join(tmp, "lab"), checkout: filepath.Join(tmp, "repo")}
	defer func() {
		last := *l
		last.ctx = context.WithoutCancel(ctx)
		if _, derr := last.run("lab", "down", "--purge", "--yes"); err == nil {
			err = derr
		}
	}()
	if _, err := l.run("lab", "build"); err != nil { // not part of any figure
		return err
	}

	// From nothing running and no data: until staging is Ready, and until `lab
	// up` returns, which also waits for image automation's first commit.
	if err := l.starts(b, "lab.up.warm", most(30), "--purge", "--yes"); err != nil {
		return err
	}
	// From nothing running with the data of the run before.
	if err := l.starts(b, "lab.up.restart", none); err != nil {
		return err
	}

	// A ConfigMap of a staging app changes with every push.
	if err := l.git("clone", "--quiet", filepath.Join(l.dir, "git", "lumacore.git"), l.checkout); err != nil {
		return err
	}
	const list = "overlays/staging/beacon/kustomization.yaml"
	old, err := os.ReadFile(filepath.Join(l.checkout, list))
	if err != nil {
		return err
	}
	if err := l.write(list, strings.Replace(string(old), "resources:\n", "resources:\n  - bench.yaml\n", 1)); err != nil {
		return err
	}
	var push []float64
	for i := range pushes + 1 {
		if err := l.write("overlays/staging/beacon/bench.yaml", fmt.Sprintf(
			"---\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: bench\ndata:\n  push: \"%d\"\n", i)); err != nil {
			return err
		}
		s, err := l.push(fmt.Sprintf("push %d", i))
		if err != nil {
			return err
		}
		if i > 0 { // the first one creates the object
			push = append(push, s)
		}
	}
	b.add("lab.push.p50", "s", most(3), push...)
	sorted := slices.Sorted(slices.Values(push))
	b.add("lab.push.p95", "s", none, sorted[len(sorted)*95/100])

	rss, err := l.rss()
	if err != nil {
		return err
	}
	b.add("lab.rss", "GB", most(2), rss/1e9)

	return l.scale(b)
}

// starts measures some starts, each after a `lab down` with these flags.
func (l *labRun) starts(b *bench, name string, limit bar, down ...string) error {
	var staging, total []float64
	for range starts {
		if _, err := l.run(append([]string{"lab", "down"}, down...)...); err != nil {
			return err
		}
		out, err := l.run("lab", "up", "-o", "json")
		if err != nil {
			return err
		}
		var rep struct {
			Phases []struct {
				Name    string
				Seconds float64
			}
		}
		if err := json.Unmarshal(out, &rep); err != nil {
			return err
		}
		before := len(staging) + len(total)
		for _, p := range rep.Phases {
			switch p.Name {
			case "staging ready":
				staging = append(staging, p.Seconds)
			case "total":
				total = append(total, p.Seconds)
			}
		}
		if len(staging)+len(total) != before+2 {
			return fmt.Errorf("lab up does not say how long it took: %s", out)
		}
	}
	b.add(name, "s", limit, staging...)
	b.add(name+".total", "s", none, total...)
	return nil
}

// scale adds Kustomizations with ten objects each, in one push, until all are
// Ready: 20, and then 200.
func (l *labRun) scale(b *bench) error {
	took := map[int]float64{}
	for _, n := range []int{20, 200} {
		var flux, list strings.Builder
		list.WriteString("---\napiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n  - namespace.yaml\n  - flux.yaml\n")
		for i := range n {
			name := fmt.Sprintf("scale-%03d", i)
			fmt.Fprintf(&flux, `---
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata:
  name: %s
  namespace: flux-system
spec:
  interval: 10m
  path: ./scale/%s
  prune: true
  wait: true
  serviceAccountName: kustomize-controller
  sourceRef:
    kind: GitRepository
    name: flux-system
`, name, name)
			var objects strings.Builder
			for j := range 10 {
				fmt.Fprintf(&objects, "---\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: %s-%d\n  namespace: lumacore-scale\ndata:\n  of: \"%d\"\n", name, j, n)
			}
			if err := l.write("scale/"+name+"/objects.yaml", objects.String()); err != nil {
				return err
			}
			if err := l.write("scale/"+name+"/kustomization.yaml", "---\napiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n  - objects.yaml\n"); err != nil {
				return err
			}
		}
		for path, content := range map[string]string{
			"clusters/scale/kustomization.yaml": list.String(), "clusters/scale/flux.yaml": flux.String(),
			"clusters/scale/namespace.yaml": "---\napiVersion: v1\nkind: Namespace\nmetadata:\n  name: lumacore-scale\n",
		} {
			if err := l.write(path, content); err != nil {
				return err
			}
		}
		const lab = "clusters/lab/kustomization.yaml"
		old, err := os.ReadFile(filepath.Join(l.checkout, lab))
		if err != nil {
			return err
		}
		if !strings.Contains(string(old), "../scale") {
			if err := l.write(lab, strings.Replace(string(old), "resources:\n", "resources:\n  - ../scale\n", 1)); err != nil {
				return err
			}
		}
		s, err := l.push(fmt.Sprintf("%d Kustomizations", n))
		if err != nil {
			return err
		}
		took[n] = s
		b.add(fmt.Sprintf("lab.scale.%d", n), "s", none, s)
	}
	b.add("lab.scale.growth", "×", none, took[200]/took[20])
	rss, err := l.rss()
	if err != nil {
		return err
	}
	b.add("lab.scale.rss", "GB", none, rss/1e9)
	return nil
}

// measureCold times the README's first command in a fresh clone, with empty
// caches of Go and of lumacore.
func measureCold(ctx context.Context, b *bench) error {
	tmp, err := os.MkdirTemp("", "lumacore-cold-*")
	if err != nil {
		return err
	}
	env := append(os.Environ(),
		"GOCACHE="+filepath.Join(tmp, "go-build"), "GOMODCACHE="+filepath.Join(tmp, "go-mod"),
		"LUMACORE_CACHE="+filepath.Join(tmp, "cache"), "LUMACORE_DIR="+filepath.Join(tmp, "lab"))
	defer func() {
		clean := exec.Command("go", "clean", "-modcache") // its files are read-only
		clean.Env = env
		_ = clean.Run()
		os.RemoveAll(tmp)
	}()
	clone := filepath.Join(tmp, "lumacore")
	if out, err := exec.CommandContext(ctx, "git", "clone", "--quiet", ".", clone).CombinedOutput(); err != nil {
		return fmt.Errorf("git clone: %w\n%s", err, out)
	}
	start := time.Now()
	up := exec.CommandContext(ctx, "make", "up")
	up.Dir, up.Env, up.Stdout, up.Stderr = clone, env, os.Stderr, os.Stderr
	if err := up.Run(); err != nil {
		return fmt.Errorf("make up: %w", err)
	}
	took := time.Since(start)
	down := exec.Command(filepath.Join(clone, "bin", "lumacore"), "lab", "down", "--purge", "--yes")
	down.Env = env
	if out, err := down.CombinedOutput(); err != nil {
		return fmt.Errorf("lab down: %w\n%s", err, out)
	}
	b.add("up.cold", "min", most(20), took.Minutes())
	return nil
}
