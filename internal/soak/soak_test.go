package soak

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"

	"lumacore.dev/lumacore/internal/diff"
)

var noon = time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)

func ago(hours float64) metav1.Time {
	return metav1.NewTime(noon.Add(-time.Duration(hours * float64(time.Hour))))
}

// TestJudge: what has soaked, what is missing, and when it would be there.
func TestJudge(t *testing.T) {
	t.Parallel()
	git := func(hours float64) Moment { return Moment{ago(hours).Time, "commit 0123abc brought it to staging"} }
	healthy := func(hours float64) *Health {
		return &Health{Since: Moment{ago(hours).Time, "pod web-1 became ready"}}
	}
	for name, tt := range map[string]struct {
		kinds     []diff.Update
		downgrade bool
		git       Moment
		health    *Health
		major     bool
		want      string        // of what is missing; "" if it is ready
		in        time.Duration // when it is ready, from noon
	}{
		"patch, soaked":               {[]diff.Update{diff.Patch}, false, git(30), healthy(25), false, "", -time.Hour},
		"patch, young in Git":         {[]diff.Update{diff.Patch}, false, git(20), healthy(40), false, "it has soaked for 20h of 24h, since commit 0123abc brought it to staging", 4 * time.Hour},
		"patch, restarted":            {[]diff.Update{diff.Patch}, false, git(30), healthy(0.5), false, "it has soaked for 30m of 24h, since pod web-1 became ready", 23*time.Hour + 30*time.Minute},
		"minor, like a patch":         {[]diff.Update{diff.Minor}, false, git(30), healthy(30), false, "it has soaked for 30h of 72h", 42 * time.Hour},
		"minor and patch":             {[]diff.Update{diff.Patch, diff.Minor}, false, git(80), healthy(80), false, "", -8 * time.Hour},
		"major, not said":             {[]diff.Update{diff.Patch, diff.Major}, false, git(80), healthy(80), false, "it is a major update: read its release notes, then say --major", -8 * time.Hour},
		"major, said":                 {[]diff.Update{diff.Major}, false, git(80), healthy(80), true, "", -8 * time.Hour},
		"versions without order":      {[]diff.Update{diff.Other}, false, git(30), healthy(30), false, "of 72h", 42 * time.Hour},
		"a way back":                  {[]diff.Update{diff.Patch}, true, git(80), healthy(80), false, "staging has an older version than prod", 0},
		"no cluster":                  {[]diff.Update{diff.Patch}, false, git(80), nil, false, "no cluster was asked whether staging is healthy", 0},
		"not healthy":                 {[]diff.Update{diff.Patch}, false, git(80), &Health{Problems: []string{"pod web-1 is not ready"}}, false, "staging is not healthy: pod web-1 is not ready", 0},
		"a clock that is behind":      {[]diff.Update{diff.Digest}, false, git(-1), healthy(30), false, "it has soaked for 0s of 24h", 25 * time.Hour},
		"exactly as long as it needs": {[]diff.Update{diff.Patch}, false, git(24), healthy(24), false, "", 0},
	} {
		v := Judge(tt.kinds, tt.downgrade, tt.git, tt.health, Default, tt.major, noon)
		text := strings.Join(v.Missing, "; ")
		if v.Ready != (tt.want == "") || !strings.Contains(text, tt.want) {
			t.Errorf("%s: ready %v, missing %q, want %q", name, v.Ready, text, tt.want)
		}
		if tt.downgrade || tt.health == nil || len(tt.health.Problems) > 0 {
			if !v.At.IsZero() {
				t.Errorf("%s: it knows when: %s", name, v.At)
			}
		} else if got := v.At.Sub(noon); got != tt.in {
			t.Errorf("%s: ready in %s, want %s", name, got, tt.in)
		}
	}
}

const image = "registry.lab/web:1.0.1@sha256:abc"

func web() *appsv1.Deployment {
	two := int32(2)
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: "app-web-staging", Name: "web", Generation: 3},
		Spec: appsv1.DeploymentSpec{
			Replicas: &two, Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}},
			Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "web", Image: image}}}},
		},
		Status: appsv1.DeploymentStatus{
			ObservedGeneration: 3, Replicas: 2, UpdatedReplicas: 2, AvailableReplicas: 2,
			Conditions: []appsv1.DeploymentCondition{
				{Type: appsv1.DeploymentAvailable, Status: corev1.ConditionTrue, LastTransitionTime: ago(100)},
				{Type: appsv1.DeploymentProgressing, Status: corev1.ConditionTrue, Reason: "NewReplicaSetAvailable", LastUpdateTime: ago(50)},
			},
		},
	}
}

func pod(name string, hours float64) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "app-web-staging", Name: name, Labels: map[string]string{"app": "web"}},
		Status: corev1.PodStatus{
			Phase:             corev1.PodRunning,
			Conditions:        []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: ago(hours)}},
			ContainerStatuses: []corev1.ContainerStatus{{Name: "web"}},
		},
	}
}

// TestLook: since when it is healthy, by what happened last, and why it is not.
func TestLook(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		change  func(d *appsv1.Deployment, p *corev1.Pod)
		since   float64 // hours ago
		what    string
		problem string
	}{
		"healthy since its rollout": {func(*appsv1.Deployment, *corev1.Pod) {}, 50, "Deployment app-web-staging/web was rolled out", ""},
		"a pod was not ready": {func(_ *appsv1.Deployment, p *corev1.Pod) {
			p.Status.Conditions[0].LastTransitionTime = ago(2)
		}, 2, "pod app-web-staging/web-2 became ready", ""},
		"a container restarted": {func(_ *appsv1.Deployment, p *corev1.Pod) {
			p.Status.ContainerStatuses[0].LastTerminationState.Terminated = &corev1.ContainerStateTerminated{Reason: "OOMKilled", ExitCode: 137, FinishedAt: ago(1)}
		}, 1, "container web of pod app-web-staging/web-2 restarted (OOMKilled, exit code 137)", ""},
		"it was away": {func(d *appsv1.Deployment, _ *corev1.Pod) {
			d.Status.Conditions[0].LastTransitionTime = ago(3)
		}, 3, "Deployment app-web-staging/web became available", ""},
		"another image": {func(d *appsv1.Deployment, _ *corev1.Pod) {
			d.Spec.Template.Spec.Containers[0].Image = "registry.lab/web:1.0.0"
		}, 50, "", "Deployment app-web-staging/web runs registry.lab/web:1.0.0, and Git says " + image + ": Flux has not applied it yet"},
		"no such container": {func(d *appsv1.Deployment, _ *corev1.Pod) { d.Spec.Template.Spec.Containers[0].Name = "server" }, 50, "", "runs no container web"},
		"being rolled out":  {func(d *appsv1.Deployment, _ *corev1.Pod) { d.Status.UpdatedReplicas = 1 }, 50, "", "is being rolled out: 1 of 2 pods are new"},
		"not seen yet":      {func(d *appsv1.Deployment, _ *corev1.Pod) { d.Generation = 4 }, 50, "", "is being rolled out"},
		"one is not there":  {func(d *appsv1.Deployment, _ *corev1.Pod) { d.Status.AvailableReplicas = 1 }, 50, "", "has 1 of 2 pods ready"},
		"a pod that waits": {func(_ *appsv1.Deployment, p *corev1.Pod) {
			p.Status.Conditions[0].Status = corev1.ConditionFalse
			p.Status.ContainerStatuses[0].State.Waiting = &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}
		}, 50, "", "pod app-web-staging/web-2 is not ready: container web: CrashLoopBackOff"},
		"a trace of an evicted pod": {func(_ *appsv1.Deployment, p *corev1.Pod) {
			p.Status.Phase = corev1.PodFailed
			p.Status.Conditions = nil
		}, 50, "", ""},
		"scaled to nothing": {func(d *appsv1.Deployment, _ *corev1.Pod) { zero := int32(0); d.Spec.Replicas = &zero }, 50, "", "it is scaled to 0"},
	} {
		d, second := web(), pod("web-2", 60)
		tt.change(d, second)
		client := fake.NewClientset([]runtime.Object{d, pod("web-1", 60), second}...)
		h, err := Look(t.Context(), client, []Workload{{"Deployment", "app-web-staging", "web", map[string]string{"web": image}}})
		if err != nil {
			t.Fatal(err)
		}
		problems := strings.Join(h.Problems, "; ")
		if (tt.problem == "") != (problems == "") || !strings.Contains(problems, tt.problem) {
			t.Errorf("%s: problems %q, want %q", name, problems, tt.problem)
		}
		if !h.Since.Time.Equal(ago(tt.since).Time) || !strings.Contains(h.Since.What, tt.what) {
			t.Errorf("%s: since %s (%s)", name, noon.Sub(h.Since.Time), h.Since.What)
		}
	}
	h, err := Look(t.Context(), fake.NewClientset(), []Workload{{"Deployment", "a", "b", nil}})
	if err != nil || len(h.Problems) != 1 || !strings.Contains(h.Problems[0], "is not there") {
		t.Errorf("%+v %v", h, err)
	}
	if h, err := Look(t.Context(), fake.NewClientset(), nil); err != nil || len(h.Problems) != 1 {
		t.Errorf("without a workload: %+v %v", h, err)
	}
}

// TestOtherWorkloads: StatefulSets and DaemonSets say their own.
func TestOtherWorkloads(t *testing.T) {
	t.Parallel()
	spec := corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "web", Image: image}}}}
	selector := &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}
	meta := metav1.ObjectMeta{Namespace: "app-web-staging", Name: "web"}
	set := &appsv1.StatefulSet{ObjectMeta: meta, Spec: appsv1.StatefulSetSpec{Selector: selector, Template: spec}, Status: appsv1.StatefulSetStatus{ReadyReplicas: 1, CurrentRevision: "a", UpdateRevision: "a"}}
	daemon := &appsv1.DaemonSet{ObjectMeta: meta, Spec: appsv1.DaemonSetSpec{Selector: selector, Template: spec}, Status: appsv1.DaemonSetStatus{DesiredNumberScheduled: 1, UpdatedNumberScheduled: 1, NumberAvailable: 1}}
	client := fake.NewClientset(set, daemon, pod("web-0", 7))
	for _, kind := range []string{"StatefulSet", "DaemonSet"} {
		h, err := Look(t.Context(), client, []Workload{{kind, "app-web-staging", "web", map[string]string{"web": image}}})
		if err != nil || len(h.Problems) > 0 || !h.Since.Time.Equal(ago(7).Time) {
			t.Errorf("%s: %+v %v", kind, h, err)
		}
	}
	set.Status.UpdateRevision = "b"
	client = fake.NewClientset(set, pod("web-0", 7))
	if h, err := Look(t.Context(), client, []Workload{{"StatefulSet", "app-web-staging", "web", nil}}); err != nil || len(h.Problems) != 1 {
		t.Errorf("while it is updated: %+v %v", h, err)
	}
	if _, err := Look(t.Context(), client, []Workload{{"CronJob", "a", "b", nil}}); err == nil {
		t.Error("a kind that nobody knows is taken")
	}
}

// TestSince: the commit that brought the content which counts, whatever else has changed in
// the file, and anew when it was away in between.
func TestSince(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	git := func(at int, args ...string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "git", args...)
		cmd.Dir = dir
		when := fmt.Sprintf("%d +0000", noon.Unix()+int64(at)*3600)
		cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1", "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.org", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.org", "GIT_COMMITTER_DATE="+when)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
	}
	git(0, "init", "--quiet", "--initial-branch=main")
	since := func(want string) (Moment, error) {
		return Since(t.Context(), dir, "HEAD", "f.yaml", func(data []byte) bool { return strings.Contains(string(data), want) })
	}
	for at, text := range []string{"tag: 1", "tag: 2", "tag: 2 # a comment", "tag: 1", "tag: 2", "tag: 2 # again"} {
		if err := os.WriteFile(filepath.Join(dir, "f.yaml"), []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		git(at, "add", "--all")
		git(at, "commit", "--quiet", "--message", text)
		git(at, "commit", "--quiet", "--allow-empty", "--message", "something else")
	}
	m, err := since("tag: 2")
	if err != nil || m.Time.Sub(noon) != 4*time.Hour || !strings.HasPrefix(m.What, "commit ") {
		t.Errorf("%+v %v", m, err)
	}
	if _, err := since("tag: 3"); err == nil || !strings.Contains(err.Error(), "no commit of HEAD has f.yaml as it is there") {
		t.Errorf("of what was never committed: %v", err)
	}
	if _, err := Since(t.Context(), dir, "nosuch", "f.yaml", nil); err == nil {
		t.Error("of no revision")
	}
}
