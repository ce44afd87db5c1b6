package promote

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"lumacore.dev/lumacore/blueprint"
	"lumacore.dev/lumacore/internal/config"
	"lumacore.dev/lumacore/internal/diff"
	"lumacore.dev/lumacore/internal/gitops"
	"lumacore.dev/lumacore/internal/golden"
	"lumacore.dev/lumacore/internal/render"
	"lumacore.dev/lumacore/internal/report"
	"lumacore.dev/lumacore/internal/schematest"
)

const (
	staging = "overlays/staging/beacon/kustomization.yaml"
	prod    = "overlays/prod/beacon/kustomization.yaml"
	digest  = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
)

// world is a repository of the blueprint, whose staging of beacon is ahead of prod.
type world struct {
	*testing.T
	dir   string
	since time.Time // when staging got it
}

func newWorld(t *testing.T, tag string) *world {
	t.Helper()
	w := &world{T: t, dir: filepath.Join(t.TempDir(), "homelab"), since: time.Now().Truncate(time.Second)}
	files, err := fs.Sub(blueprint.Files, ".")
	if err == nil {
		err = os.CopyFS(w.dir, files)
	}
	if err != nil {
		t.Fatal(err)
	}
	w.git("init", "--quiet", "--initial-branch=main")
	w.git("config", "user.name", "owner")
	w.git("config", "user.email", "owner@example.org")
	w.commit("feat: begin")
	w.edit(staging, `newTag: "1.0.0"`, `newTag: "`+tag+`"`)
	w.edit(staging, `digest: ""`, "digest: "+digest)
	w.commit("chore(staging): update images")
	return w
}

func (w *world) git(args ...string) string {
	w.Helper()
	cmd := exec.CommandContext(w.Context(), "git", args...)
	cmd.Dir = w.dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		w.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

func (w *world) commit(message string) {
	w.Helper()
	w.git("add", "--all")
	w.git("commit", "--quiet", "--message", message)
}

func (w *world) edit(file, old, text string) {
	w.Helper()
	path := filepath.Join(w.dir, file)
	data, err := os.ReadFile(path)
	if err == nil && !bytes.Contains(data, []byte(old)) {
		err = errors.New("no " + old)
	}
	if err == nil {
		err = os.WriteFile(path, bytes.Replace(data, []byte(old), []byte(text), 1), 0o644)
	}
	if err != nil {
		w.Fatalf("%s: %v", file, err)
	}
}

// input is HEAD, and a cluster where it is healthy since it was committed.
func (w *world) input(apps ...string) Input {
	w.Helper()
	tree, commit, err := gitops.OpenRevision(w.Context(), w.dir, "HEAD", nil)
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { tree.Close() })
	cfg, err := config.Load(tree)
	if err != nil {
		w.Fatal(err)
	}
	clusters, err := gitops.Discover(tree, cfg.Clusters[:1])
	if err != nil {
		w.Fatal(err)
	}
	res, err := render.Render(w.Context(), tree, clusters, render.Options{KubeVersion: "1.36", EnvironmentLabel: cfg.EnvironmentLabel})
	if err != nil {
		w.Fatal(err)
	}
	in := Input{Dir: w.dir, Commit: commit, Tree: tree, Cluster: res.Clusters[0], Config: cfg, Apps: apps, Now: w.since.Add(30 * time.Hour)}
	workloads, err := in.workloads("beacon")
	if err != nil || len(workloads) != 1 || !strings.HasSuffix(workloads[0].Images["beacon"], "@"+digest) {
		w.Fatalf("workloads: %v %v", workloads, err)
	}
	one, at := int32(1), metav1.NewTime(w.since.Add(time.Hour))
	labels := map[string]string{"app": "beacon"}
	in.Client = fake.NewClientset(&appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: "app-beacon-staging", Name: "beacon"},
		Spec: appsv1.DeploymentSpec{Replicas: &one, Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: corev1.PodTemplateSpec{
			Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "beacon", Image: workloads[0].Images["beacon"]}}},
		}},
		Status: appsv1.DeploymentStatus{UpdatedReplicas: 1, AvailableReplicas: 1, Conditions: []appsv1.DeploymentCondition{
			{Type: appsv1.DeploymentAvailable, Status: corev1.ConditionTrue, LastTransitionTime: at},
		}},
	}, &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "app-beacon-staging", Name: "beacon-1", Labels: labels},
		Status:     corev1.PodStatus{Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: at}}},
	})
	return in
}

func (w *world) decide(in Input) (*Report, map[string][]byte) {
	w.Helper()
	r, changes, err := Decide(w.Context(), in)
	if err != nil {
		w.Fatal(err)
	}
	return r, changes
}

// TestPromotion: from what has soaked to the branch: prod's overlay alone, and the work tree as
// it was. A second run makes the branch anew.
func TestPromotion(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "1.0.1")
	in := w.input("beacon", "freshrss")
	r, changes := w.decide(in)
	if r.Apps[0].Result != Promoted || r.Apps[1].Result != UpToDate || len(changes) != 1 || !strings.Contains(string(changes[prod]), "newTag: \"1.0.1\"\n    digest: "+digest+"\n") {
		t.Fatalf("%+v\n%s", r, changes[prod])
	}
	if r.Apps[0].Kind != diff.Patch || r.Apps[0].SoakedSeconds != 29*3600 || r.Title() != "chore(prod): promote beacon 1.0.1" {
		t.Errorf("%+v, %s", r.Apps[0], r.Title())
	}
	w.edit("README.md", "# The homelab", "# My homelab") // somebody's work
	base := w.git("rev-parse", "HEAD")
	for range 2 {
		commit, err := Branch(t.Context(), w.dir, in.Commit, "promote/beacon", changes, r.Title())
		if err != nil {
			t.Fatal(err)
		}
		if got := w.git("rev-parse", "promote/beacon"); got != commit {
			t.Errorf("the branch is at %s, not at %s", got, commit)
		}
		if got := w.git("diff", "--name-only", base, commit); got != prod {
			t.Errorf("it changes %s", got)
		}
		if got := w.git("log", "--format=%an %s %(trailers:key=Promoted-From,valueonly)", "-1", commit); got != "owner chore(prod): promote beacon 1.0.1 "+base {
			t.Errorf("the commit: %s", got)
		}
	}
	if got := w.git("status", "--porcelain"); got != "M README.md" || w.git("rev-parse", "HEAD") != base {
		t.Errorf("the work tree: %s", got)
	}
	if got := w.git("worktree", "list", "--porcelain"); strings.Count(got, "worktree ") != 1 {
		t.Errorf("work trees: %s", got)
	}
}

// TestRefused: what is missing, in the words of whoever asks.
func TestRefused(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		tag    string
		change func(in *Input)
		want   string // "" for promoted
	}{
		"too young":     {"1.0.1", func(in *Input) { in.Now = in.Now.Add(-10 * time.Hour) }, "it has soaked for 19h of 24h, since"},
		"minor":         {"1.1.0", func(*Input) {}, "it has soaked for 29h of 72h"},
		"minor, own":    {"1.1.0", func(in *Input) { in.Config.Soak.Apps = map[string]config.SoakTimes{"beacon": {Minor: 24 * time.Hour}} }, ""},
		"patch, longer": {"1.0.1", func(in *Input) { in.Config.Soak.Patch = 48 * time.Hour }, "of 48h"},
		"major":         {"2.0.0", func(in *Input) { in.Now = in.Now.Add(100 * time.Hour) }, "it is a major update"},
		"major, meant":  {"2.0.0", func(in *Input) { in.Now, in.Major = in.Now.Add(100*time.Hour), true }, ""},
		"a way back":    {"0.9.0", func(in *Input) { in.Now, in.Major = in.Now.Add(100*time.Hour), true }, "staging has an older version than prod"},
		"no cluster":    {"1.0.1", func(in *Input) { in.Client = nil }, "no cluster was asked"},
		"not applied":   {"1.0.1", func(in *Input) { in.Client = fake.NewClientset() }, "is not there: Flux has not applied it"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, tt.tag)
			in := w.input("beacon")
			tt.change(&in)
			r, changes := w.decide(in)
			a := r.Apps[0]
			if text := strings.Join(a.Missing, "; "); (a.Result == Promoted) != (tt.want == "") || !strings.Contains(text, tt.want) || (len(changes) == 0) != (tt.want != "") {
				t.Errorf("%s: %s, want %q", a.Result, text, tt.want)
			}
		})
	}
}

// TestOneThatCannotGo: an app that only staging has keeps no other from going.
func TestOneThatCannotGo(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "1.0.1")
	if err := os.RemoveAll(filepath.Join(w.dir, "overlays/prod/librechat")); err != nil {
		t.Fatal(err)
	}
	w.edit("overlays/prod/kustomization.yaml", "  - librechat\n", "")
	w.commit("feat: not in production yet")
	r, changes := w.decide(w.input("beacon", "librechat"))
	if r.Apps[0].Result != Promoted || len(changes) != 1 {
		t.Errorf("beacon: %+v", r.Apps[0])
	}
	if a := r.Apps[1]; a.Result != Refused || len(a.Missing) != 1 || a.Missing[0] != "there is no overlays/prod/librechat/kustomization.yaml" {
		t.Errorf("librechat: %+v", a)
	}
}

// TestBranchRefuses: no branch of somebody's is moved, and what Git refuses leaves nothing.
func TestBranchRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "1.0.1")
	base := w.git("rev-parse", "HEAD")
	changes := map[string][]byte{prod: []byte("kind: Kustomization\n")}
	branch := func(name string) error {
		_, err := Branch(t.Context(), w.dir, base, name, changes, "chore(prod): promote")
		return err
	}
	w.git("branch", "mine")
	for name, want := range map[string]string{
		"mine": "there is a branch mine already", "main": "there is a branch main already", "a..b": `"a..b" cannot be a branch`, "--force": "cannot be a branch",
	} {
		if err := branch(name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	hook := filepath.Join(w.dir, ".git/hooks/commit-msg")
	if err := os.WriteFile(hook, []byte("#!/bin/sh\necho the message is bad >&2\nexit 1\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := branch("promote/beacon"); err == nil || !strings.Contains(err.Error(), "the message is bad") || report.ExitCode(err) != 1 {
		t.Errorf("hook: %v", err)
	}
	if got := w.git("for-each-ref", "--format=%(refname:short)", "refs/heads"); got != "main\nmine" {
		t.Errorf("branches: %s", got)
	}
	if got := w.git("worktree", "list", "--porcelain"); strings.Count(got, "worktree ") != 1 {
		t.Errorf("work trees: %s", got)
	}
}

// TestNotCommitted: staging as it is in the revision counts, and nothing else does.
func TestNotCommitted(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "1.0.1")
	w.edit(staging, `newTag: "1.0.1"`, `newTag: "1.0.2"`)
	r, _ := w.decide(w.input("beacon"))
	if got := r.Apps[0].Updates; len(got) != 1 || got[0].To != "1.0.1@"+digest {
		t.Errorf("%+v", got)
	}
}

// TestReport: what a person reads, and what a program does.
func TestReport(t *testing.T) {
	t.Parallel()
	schema, _ := schematest.File(t, "../../docs/reference/promotion-report.schema.json")
	r := &Report{
		TypeMeta: report.Meta(Kind), Source: strings.Repeat("a", 40), DryRun: true, NotChecked: []string{"whether alerts fired in staging meanwhile"},
		Apps: []App{
			{Name: "beacon", Result: Promoted, Kind: diff.Patch, Updates: []Update{{Image: "${REGISTRY}/homelab/beacon", From: "1.0.0", To: "1.0.1@" + digest, Update: diff.Patch}}, Missing: []string{}, Notes: []string{}, Since: "2026-11-26T12:00:00Z", SinceWhat: "pod a became ready", ReadyAt: "2026-11-27T12:00:00Z", SoakedSeconds: 90000, NeedSeconds: 86400},
			{Name: "freshrss", Result: UpToDate, Updates: []Update{}, Missing: []string{}, Notes: []string{}},
			{
				Name: "librechat", Result: Refused, Kind: diff.Minor, Updates: []Update{{Image: "mongo", From: "", To: "8.1.0", Update: diff.NewVersion}, {Image: "librechat", From: "v0.9.0", To: "v0.8.8", Update: diff.Minor, Downgrade: true}},
				Missing: []string{"it has soaked for 1h of 72h, since pod b became ready"}, Notes: []string{"staging has x among its components, and prod has not: not promoted"}, ReadyAt: "2026-11-30T11:00:00Z", Since: "2026-11-27T11:00:00Z", SinceWhat: "pod b became ready", SoakedSeconds: 3600, NeedSeconds: 259200,
			},
		},
	}
	var out bytes.Buffer
	s := &report.Streams{Out: &out, Err: &out}
	for _, hold := range []bool{false, true} {
		if hold {
			r.Hold()
		}
		if err := r.Text(s, &out); err != nil {
			t.Fatal(err)
		}
		data, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		if err := schematest.Validate(t, schema, data); err != nil {
			t.Error(err)
		}
	}
	golden.Check(t, "report.txt", out.Bytes())
	for name, spoil := range map[string]func(r *Report){
		"another kind": func(r *Report) { r.Kind = "Promotion" }, "null for a list": func(r *Report) { r.Apps[0].Missing = nil },
		"a result": func(r *Report) { r.Apps[0].Result = "fine" }, "an update": func(r *Report) { r.Apps[0].Updates[0].Update = "big" },
	} {
		var bad Report
		data, _ := json.Marshal(r)
		if err := json.Unmarshal(data, &bad); err != nil {
			t.Fatal(err)
		}
		bad.Apps[0].Updates = slices.Clone(bad.Apps[0].Updates)
		spoil(&bad)
		data, _ = json.Marshal(bad)
		if err := schematest.Validate(t, schema, data); err == nil {
			t.Errorf("%s: the schema takes it", name)
		}
	}
}
