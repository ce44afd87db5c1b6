//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestPromote: what runs in the lab's staging is not promoted before it has soaked, by what Git
// and the cluster say, and then becomes a branch that changes prod's overlay alone.
func TestPromote(t *testing.T) {
	kubeconfig := strings.TrimSpace(shared.run(t, "lab", "kubeconfig").stdout)
	clone := shared.clone(t)
	const prod = "overlays/prod/beacon/kustomization.yaml"
	text := clone.read(prod)
	older := ""
	for line := range strings.Lines(text) {
		if tag, ok := strings.CutPrefix(strings.TrimSpace(line), "newTag: "); ok {
			older = strings.Replace(text, line, strings.Replace(line, tag, `"0.9.9"`, 1), 1)
		}
	}
	if older == "" {
		t.Fatalf("%s has no newTag:\n%s", prod, text)
	}
	clone.write(prod, older)
	// This lab's registry has a port of its own.
	registry, _, _ := strings.Cut(image(shared.must(t, deployment, "app-beacon-staging", "beacon")), "/")
	clone.write("lumacore.yaml", strings.Replace(clone.read("lumacore.yaml"), "LAB_REGISTRY: 127.0.0.1:5000", "LAB_REGISTRY: "+registry, 1))
	clone.commit("chore: prod is behind")
	promote := func(args ...string) result {
		t.Helper()
		return shared.try(t, append([]string{"promote", "beacon", "--path", clone.dir, "--cluster", "lab", "--kubeconfig", kubeconfig}, args...)...)
	}
	var r result
	// What an earlier test pushed may still be on its way.
	eventually(t, 2*time.Minute, "the lab's staging is healthy, as Git has it, and has not soaked", func() error {
		r = promote("--dry-run")
		switch {
		case strings.Contains(r.stdout, "not healthy"):
			return errors.New(r.stdout)
		case r.code != 1 || !strings.Contains(r.stdout, "beacon is refused: it has soaked for "):
			return fmt.Errorf("exit %d\n%s%s", r.code, r.stdout, r.stderr)
		}
		return nil
	})

	clone.write("lumacore.yaml", clone.read("lumacore.yaml")+"soak: {patch: 1m, minor: 1m}\n")
	clone.commit("feat: the shortest soak")
	eventually(t, 3*time.Minute, "beacon has soaked", func() error {
		r = promote("--major", "--to-branch", "promote/beacon")
		if r.code == 1 && strings.Contains(r.stdout, "it has soaked for ") {
			return errors.New(r.stdout)
		}
		return nil
	})
	if r.code != 0 || !strings.Contains(r.stdout, "promoted: branch promote/beacon has 1 app") || !strings.Contains(r.stdout, "What it comes to in production") {
		t.Fatalf("exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	if got := strings.TrimSpace(gitIn(t, clone.dir, "diff", "--name-only", "HEAD", "promote/beacon")); got != prod {
		t.Errorf("it changes %s", got)
	}
	if got := gitIn(t, clone.dir, "show", "promote/beacon:"+prod); strings.Contains(got, "0.9.9") {
		t.Errorf("prod is still behind:\n%s", fmt.Sprint(got))
	}
}
