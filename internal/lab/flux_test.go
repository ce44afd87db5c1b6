package lab

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	imagev1 "github.com/fluxcd/image-automation-controller/api/v1"
	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	"github.com/fluxcd/pkg/apis/meta"
	sourcev1 "github.com/fluxcd/source-controller/api/v1"
	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"lumacore.dev/lumacore/internal/lab/supervisor"
	"lumacore.dev/lumacore/internal/report"
)

const (
	oldCommit = "1111111111111111111111111111111111111111"
	newCommit = "2222222222222222222222222222222222222222"
	oldRev    = "main@sha1:" + oldCommit
	newRev    = "main@sha1:" + newCommit
)

func condition(status metav1.ConditionStatus, reason, message string) []metav1.Condition {
	return []metav1.Condition{{Type: meta.ReadyCondition, Status: status, Reason: reason, Message: message}}
}

// repository is the GitRepository, with an artifact unless revision is "".
func gitRepository(revision string, conditions []metav1.Condition) sourcev1.GitRepository {
	r := sourcev1.GitRepository{ObjectMeta: metav1.ObjectMeta{Name: syncName, Namespace: fluxNamespace}}
	r.Status.Conditions = conditions
	r.Status.LastHandledReconcileAt = "asked"
	if revision != "" {
		r.Status.Artifact = &meta.Artifact{Revision: revision}
	}
	return r
}

// kustomization is one that is Ready at a revision; change makes it another one.
func kustomization(name, revision string, change func(*kustomizev1.Kustomization)) kustomizev1.Kustomization {
	k := kustomizev1.Kustomization{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: fluxNamespace, Generation: 2}}
	k.Status.ObservedGeneration = 2
	k.Status.LastAppliedRevision, k.Status.LastAttemptedRevision = revision, revision
	k.Status.Conditions = condition(metav1.ConditionTrue, "ReconciliationSucceeded", "Applied revision: "+revision)
	if change != nil {
		change(&k)
	}
	return k
}

func failed(reason, message string) func(*kustomizev1.Kustomization) {
	return func(k *kustomizev1.Kustomization) {
		k.Status.Conditions = condition(metav1.ConditionFalse, reason, message)
		k.Status.LastAppliedRevision = oldRev
	}
}

func suspended(because string) func(*kustomizev1.Kustomization) {
	return func(k *kustomizev1.Kustomization) {
		k.Spec.Suspend = true
		k.Labels = map[string]string{envLabel: "prod"}
		k.Annotations = map[string]string{suspendedBecause: because}
		k.Status = kustomizev1.KustomizationStatus{}
	}
}

func labelled(env string) func(*kustomizev1.Kustomization) {
	return func(k *kustomizev1.Kustomization) { k.Labels = map[string]string{envLabel: env} }
}

var sourceReady = condition(metav1.ConditionTrue, "Succeeded", "stored artifact for revision")

func TestBehind(t *testing.T) {
	root := kustomization(syncName, newRev, nil)
	for name, tt := range map[string]struct {
		repos []sourcev1.GitRepository
		ks    []kustomizev1.Kustomization
		want  string
	}{
		"all ready":                    {[]sourcev1.GitRepository{gitRepository(newRev, sourceReady)}, []kustomizev1.Kustomization{root, kustomization("apps-staging", newRev, nil)}, ""},
		"nothing at all":               {nil, nil, "GitRepository flux-system has no artifact yet: "},
		"another GitRepository":        {[]sourcev1.GitRepository{{ObjectMeta: metav1.ObjectMeta{Name: "other"}, Status: sourcev1.GitRepositoryStatus{Artifact: &meta.Artifact{Revision: newRev}}}}, nil, "GitRepository flux-system has no artifact yet: "},
		"source fails":                 {[]sourcev1.GitRepository{gitRepository("", condition(metav1.ConditionFalse, "GitOperationFailed", "connection refused"))}, nil, "GitRepository flux-system has no artifact yet: connection refused"},
		"source fails after it worked": {[]sourcev1.GitRepository{gitRepository(newRev, condition(metav1.ConditionFalse, "GitOperationFailed", "connection refused"))}, []kustomizev1.Kustomization{root, kustomization("apps-staging", newRev, nil)}, "GitRepository flux-system: connection refused"},
		"only the root":                {[]sourcev1.GitRepository{gitRepository(newRev, sourceReady)}, []kustomizev1.Kustomization{root}, ""},
		"no root yet":                  {[]sourcev1.GitRepository{gitRepository(newRev, sourceReady)}, nil, "Kustomization flux-system is not there yet"},
		"one at the old revision":      {[]sourcev1.GitRepository{gitRepository(newRev, sourceReady)}, []kustomizev1.Kustomization{root, kustomization("apps-staging", oldRev, nil)}, "Kustomization apps-staging: at " + oldRev},
		"one failed": {
			[]sourcev1.GitRepository{gitRepository(newRev, sourceReady)},
			[]kustomizev1.Kustomization{root, kustomization("apps-staging", newRev, failed("BuildFailed", "no such file"))},
			"Kustomization apps-staging: no such file",
		},
		"one failed after one that is under way": {
			[]sourcev1.GitRepository{gitRepository(newRev, sourceReady)},
			[]kustomizev1.Kustomization{root, kustomization("infra-services", oldRev, nil), kustomization("apps-staging", newRev, failed("BuildFailed", "no such file"))},
			"Kustomization apps-staging: no such file",
		},
		"one whose spec has changed since": {
			[]sourcev1.GitRepository{gitRepository(newRev, sourceReady)},
			[]kustomizev1.Kustomization{root, kustomization("apps-staging", newRev, func(k *kustomizev1.Kustomization) { k.Generation = 3 })},
			"Kustomization apps-staging: Applied revision: " + newRev,
		},
		"one that was never looked at": {
			[]sourcev1.GitRepository{gitRepository(newRev, sourceReady)},
			[]kustomizev1.Kustomization{root, kustomization("apps-staging", "", func(k *kustomizev1.Kustomization) { k.Status.Conditions = nil })},
			"Kustomization apps-staging: ",
		},
		"a suspended one does not count": {
			[]sourcev1.GitRepository{gitRepository(newRev, sourceReady)},
			[]kustomizev1.Kustomization{root, kustomization("apps-prod", "", suspended("by hand"))},
			"",
		},
	} {
		t.Run(name, func(t *testing.T) {
			if got := digest(tt.repos, tt.ks, nil).behind(); got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

func TestDigest(t *testing.T) {
	st := digest(
		[]sourcev1.GitRepository{gitRepository(newRev, sourceReady)},
		[]kustomizev1.Kustomization{
			kustomization("apps-prod", "", suspended("production is released by hand")),
			kustomization("apps-staging", newRev, labelled("staging")),
			kustomization("zz", newRev, nil), kustomization("aa", oldRev, failed("HealthCheckFailed", "timeout")), kustomization(syncName, newRev, nil),
		}, nil)
	want := []Kustomization{
		{Name: "flux-system", Ready: true, Revision: newRev, Message: "Applied revision: " + newRev},
		{Name: "aa", Revision: oldRev, Message: "timeout"},
		{Name: "zz", Ready: true, Revision: newRev, Message: "Applied revision: " + newRev},
		{Name: "apps-staging", Environment: "staging", Ready: true, Revision: newRev, Message: "Applied revision: " + newRev},
		{Name: "apps-prod", Environment: "prod", Suspended: true, Message: "production is released by hand"},
	}
	opt := cmp.FilterPath(func(p cmp.Path) bool {
		return slices.Contains([]string{".key", ".reason", ".attempted", ".handled"}, p.Last().String())
	}, cmp.Ignore())
	if diff := cmp.Diff(want, st.kustomizations, opt, cmp.AllowUnexported(Kustomization{})); diff != "" {
		t.Errorf("the root first, production last (-want +got):\n%s", diff)
	}
	if st.revision != newRev || st.commit != newCommit || st.sourceHandled != "asked" || st.source.Status != metav1.ConditionTrue {
		t.Errorf("source: %s, %s, %s, %s", st.revision, st.commit, st.sourceHandled, st.source.Status)
	}
}

func TestAutomationIdle(t *testing.T) {
	// What has looked at the newest revision and pushed nothing.
	make := func(change func(*imagev1.ImageUpdateAutomation)) []imagev1.ImageUpdateAutomation {
		a := imagev1.ImageUpdateAutomation{ObjectMeta: metav1.ObjectMeta{Name: "beacon", Generation: 1}}
		a.Status.ObservedGeneration = 1
		a.Status.Conditions = condition(metav1.ConditionTrue, "Succeeded", "repository up-to-date")
		a.Status.ObservedPolicies = imagev1.ObservedPolicies{"beacon": {}}
		a.Status.ObservedSourceRevision = newRev
		if change != nil {
			change(&a)
		}
		return []imagev1.ImageUpdateAutomation{a}
	}
	for name, tt := range map[string]struct {
		automation []imagev1.ImageUpdateAutomation
		want       bool
	}{
		"none":                  {nil, true},
		"looked, nothing to do": {make(nil), true},
		"pushed what Flux has": {make(func(a *imagev1.ImageUpdateAutomation) {
			a.Status.LastPushCommit, a.Status.ObservedSourceRevision = newCommit, oldRev
		}), true},
		"pushed, Flux is not there yet": {make(func(a *imagev1.ImageUpdateAutomation) {
			a.Status.LastPushCommit, a.Status.ObservedSourceRevision = "3333", oldRev
		}), false},
		"pushed long ago, looked again": {make(func(a *imagev1.ImageUpdateAutomation) { a.Status.LastPushCommit = oldCommit }), true},
		"never looked": {make(func(a *imagev1.ImageUpdateAutomation) {
			a.Status = imagev1.ImageUpdateAutomationStatus{}
		}), false},
		"failed": {make(func(a *imagev1.ImageUpdateAutomation) {
			a.Status.Conditions = condition(metav1.ConditionFalse, "GitOperationFailed", "x")
		}), false},
		"changed since":   {make(func(a *imagev1.ImageUpdateAutomation) { a.Generation = 2 }), false},
		"no policies yet": {make(func(a *imagev1.ImageUpdateAutomation) { a.Status.ObservedPolicies = nil }), false},
		"suspended": {make(func(a *imagev1.ImageUpdateAutomation) {
			a.Spec.Suspend, a.Status = true, imagev1.ImageUpdateAutomationStatus{}
		}), true},
	} {
		t.Run(name, func(t *testing.T) {
			st := digest([]sourcev1.GitRepository{gitRepository(newRev, sourceReady)}, nil, tt.automation)
			if got := st.automationIdle(); got != tt.want {
				t.Errorf("%v, want %v", got, tt.want)
			}
		})
	}
}

func TestAnswered(t *testing.T) {
	now := newToken()
	later := newToken()
	for later <= now { // of two tokens the later one is greater
		later = newToken()
	}
	handled := func(token string) func(*kustomizev1.Kustomization) {
		return func(k *kustomizev1.Kustomization) { k.Status.LastHandledReconcileAt = token }
	}
	st := digest(nil, []kustomizev1.Kustomization{
		kustomization("same", newRev, handled(now)), kustomization("later", newRev, handled(later)),
		kustomization("never", newRev, nil), kustomization("suspended", newRev, suspended("x")),
	}, nil)
	for name, tt := range map[string]struct {
		asked string
		want  bool
	}{
		"nothing was asked":       {"", true},
		"answered":                {"same", true},
		"answered another one":    {"later", true},
		"has not answered":        {"never", false},
		"one of two":              {"same never", false},
		"suspended meanwhile":     {"suspended", true},
		"deleted in the meantime": {"gone", true},
	} {
		t.Run(name, func(t *testing.T) {
			g := goal{token: now, asked: map[string]bool{}}
			for _, n := range strings.Fields(tt.asked) {
				g.asked[n] = true
			}
			if got := g.answered(st); got != tt.want {
				t.Errorf("%v, want %v", got, tt.want)
			}
		})
	}
}

// fluxLab is a lab without processes: its supervisor's word is a file, its API
// server is in memory.
func fluxLab(t *testing.T, components []supervisor.Status, objects ...client.Object) (*Lab, client.Client) {
	t.Helper()
	l, _ := newLab(t)
	b, err := json.Marshal(State{PID: 1, Components: components})
	if err != nil {
		t.Fatal(err)
	}
	write(t, l.Dir, map[string]string{"state.json": string(b)})
	return l, fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).Build()
}

// requested returns what an object was last asked for.
func requested(t *testing.T, c client.Client, kind, name string) string {
	t.Helper()
	o := &unstructured.Unstructured{}
	o.SetGroupVersionKind(kustomizationKind)
	if kind == "GitRepository" {
		o.SetGroupVersionKind(gitRepositoryKind)
	}
	if err := c.Get(t.Context(), client.ObjectKey{Namespace: fluxNamespace, Name: name}, o); err != nil {
		t.Fatal(err)
	}
	return o.GetAnnotations()[meta.ReconcileRequestAnnotation]
}

var settledServer = supervisor.Status{Name: "kube-apiserver", State: supervisor.Ready, Started: time.Now().Add(-time.Hour)}

// The first failure may be that of a component which just restarted; the second
// one, with all of the lab up, is the manifest's.
func TestFailures(t *testing.T) {
	const why = "apply failed: the Deployment is invalid"
	k := kustomization("apps-staging", newRev, failed(meta.ReconciliationFailedReason, why))
	l, c := fluxLab(t, []supervisor.Status{settledServer}, &k)
	look := func(handled string) fluxState {
		k := k
		k.Status.LastHandledReconcileAt = handled
		return digest([]sourcev1.GitRepository{gitRepository(newRev, sourceReady)}, []kustomizev1.Kustomization{k}, nil)
	}
	retries := map[string]secondTry{}
	if err := l.failures(t.Context(), c, look("earlier"), retries); err != nil {
		t.Fatalf("the first time: %v, want another try", err)
	}
	token := requested(t, c, "Kustomization", "apps-staging")
	if token == "" {
		t.Fatal("it was not asked to look again")
	}
	if err := l.failures(t.Context(), c, look("earlier"), retries); err != nil {
		t.Fatalf("while the second try is under way: %v", err)
	}
	if again := requested(t, c, "Kustomization", "apps-staging"); again != token {
		t.Error("it was asked again although the second try is under way")
	}
	err := l.failures(t.Context(), c, look(token), retries)
	checkFailure(t, err, "Kustomization apps-staging failed at main@22222222: "+why, "mend it and push again; what was applied before stays", report.ExitFindings)

	// A component restarted during the second try: it does not count.
	b, merr := json.Marshal(State{PID: 1, Components: []supervisor.Status{settledServer, {Name: "etcd", State: supervisor.Ready, Restarts: 1}}})
	if merr != nil {
		t.Fatal(merr)
	}
	write(t, l.Dir, map[string]string{"state.json": string(b)})
	if err := l.failures(t.Context(), c, look(token), retries); err != nil {
		t.Errorf("after a restart: %v, want a third try", err)
	}
	if requested(t, c, "Kustomization", "apps-staging") == token {
		t.Error("after a restart it was not asked again")
	}
}

func TestFailuresThatDoNotCount(t *testing.T) {
	ready := []supervisor.Status{settledServer}
	for name, tt := range map[string]struct {
		components []supervisor.Status
		revision   string
		change     func(*kustomizev1.Kustomization)
	}{
		"ready":                   {ready, newRev, nil},
		"progressing":             {ready, newRev, failed(meta.ProgressingReason, "building")},
		"waits for another":       {ready, newRev, failed(meta.DependencyNotReadyReason, "dependency 'a' is not ready")},
		"failed at another one":   {ready, oldRev, failed(meta.BuildFailedReason, "x")},
		"suspended":               {ready, newRev, func(k *kustomizev1.Kustomization) { failed(meta.BuildFailedReason, "x")(k); k.Spec.Suspend = true }},
		"a component is away":     {[]supervisor.Status{settledServer, {Name: "etcd", State: supervisor.Starting}}, newRev, failed(meta.BuildFailedReason, "x")},
		"the API server is fresh": {[]supervisor.Status{{Name: "kube-apiserver", State: supervisor.Ready, Started: time.Now()}}, newRev, failed(meta.BuildFailedReason, "x")},
	} {
		t.Run(name, func(t *testing.T) {
			k := kustomization("apps-staging", tt.revision, tt.change)
			l, c := fluxLab(t, tt.components, &k)
			st := digest([]sourcev1.GitRepository{gitRepository(newRev, sourceReady)}, []kustomizev1.Kustomization{k}, nil)
			if err := l.failures(t.Context(), c, st, map[string]secondTry{}); err != nil {
				t.Errorf("%v, want nothing", err)
			}
			if got := requested(t, c, "Kustomization", "apps-staging"); got != "" {
				t.Errorf("it was asked to look again: %s", got)
			}
		})
	}
}

func TestSourceFailure(t *testing.T) {
	repo := gitRepository("", condition(metav1.ConditionFalse, "GitOperationFailed", "authentication required"))
	l, c := fluxLab(t, []supervisor.Status{settledServer}, &repo)
	retries := map[string]secondTry{}
	st := digest([]sourcev1.GitRepository{repo}, nil, nil)
	if err := l.sourceFailure(t.Context(), c, st, retries); err != nil {
		t.Fatalf("the first time: %v", err)
	}
	st.sourceHandled = requested(t, c, "GitRepository", syncName)
	err := l.sourceFailure(t.Context(), c, st, retries)
	checkFailure(t, err, "GitRepository flux-system failed: authentication required", "lumacore lab logs source-controller", report.ExitFindings)
	st.source.Status = metav1.ConditionTrue
	if err := l.sourceFailure(t.Context(), c, st, retries); err != nil {
		t.Errorf("a source that is ready: %v", err)
	}
}

// An API server that is away is no failure of a manifest.
func TestFailuresWithoutAPIServer(t *testing.T) {
	k := kustomization("apps-staging", newRev, failed(meta.BuildFailedReason, "x"))
	l, c := fluxLab(t, []supervisor.Status{settledServer}) // the object is not there
	st := digest([]sourcev1.GitRepository{gitRepository(newRev, sourceReady)}, []kustomizev1.Kustomization{k}, nil)
	retries := map[string]secondTry{}
	if err := l.failures(t.Context(), c, st, retries); err != nil || len(retries) != 0 {
		t.Errorf("%v, %v; want neither an error nor a try that counts", err, retries)
	}
}

func TestRestartsWithoutState(t *testing.T) {
	l, _ := newLab(t)
	if n, settled := l.restarts(); n != 0 || settled {
		t.Errorf("%d, %v; want 0, false", n, settled)
	}
	write(t, l.Dir, map[string]string{"state.json": "{"})
	if _, settled := l.restarts(); settled {
		t.Error("a damaged state is taken for a settled lab")
	}
	if err := os.Remove(l.stateFile()); err != nil {
		t.Fatal(err)
	}
}

func TestLook(t *testing.T) {
	repo := gitRepository(newRev, sourceReady)
	k := kustomization("apps-staging", newRev, nil)
	other := kustomization("theirs", newRev, func(k *kustomizev1.Kustomization) { k.Namespace = "elsewhere" })
	_, c := fluxLab(t, nil, &repo, &k, &other)
	st, err := look(t.Context(), c)
	if err != nil || st.commit != newCommit || len(st.kustomizations) != 2 || st.kustomizations[1].Name != "elsewhere/theirs" {
		t.Errorf("%+v, %v; want those of all namespaces", st, err)
	}
}

// shown remembers what a display was told.
type shown []string

func (s *shown) Set(name, state string) { *s = append(*s, name+": "+state) }
func (s *shown) End(name, state string) { *s = append(*s, name+" ended: "+state) }

func TestShow(t *testing.T) {
	l, _ := newLab(t)
	st := digest([]sourcev1.GitRepository{gitRepository(newRev, sourceReady)}, []kustomizev1.Kustomization{
		kustomization(syncName, newRev, nil), kustomization("apps-staging", newRev, failed("Progressing", "building\nline two")),
		kustomization("apps-prod", "", suspended("by hand")),
	}, nil)
	var fresh, stale shown
	l.show(st, true, &fresh)
	l.show(st, false, &stale)
	l.show(st, true, nil)
	if diff := cmp.Diff(shown{"flux-system ended: ready at main@22222222", "apps-staging: building", "apps-prod ended: suspended: by hand"}, fresh); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	// Ready at a revision that does not have what was pushed is not the end.
	if diff := cmp.Diff(shown{"flux-system: Applied revision: " + newRev, "apps-staging: building", "apps-prod ended: suspended: by hand"}, stale); diff != "" {
		t.Errorf("before the push has arrived (-want +got):\n%s", diff)
	}
}

func TestShortRevision(t *testing.T) {
	for in, want := range map[string]string{
		newRev: "main@22222222", "main@sha1:123": "main@123", "": "", "1.0.0@sha256:abc": "1.0.0@sha256:abc",
	} {
		if got := shortRevision(in); got != want {
			t.Errorf("shortRevision(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestPoll(t *testing.T) {
	calls := 0
	if err := poll(t.Context(), time.Minute, func() error {
		if calls++; calls < 3 {
			return errors.New("not yet")
		}
		return nil
	}); err != nil || calls != 3 {
		t.Errorf("%v after %d calls, want nil after 3", err, calls)
	}
	cause := errors.New("the door is closed")
	err := poll(t.Context(), time.Millisecond, func() error { return cause })
	if err == nil || err.Error() != "not within 1ms: the door is closed" || !errors.Is(err, cause) {
		t.Errorf("error %v", err)
	}
	// Interrupted is not a time-out: the exit code tells them apart.
	ctx, cancel := contextWithCancel(t)
	cancel()
	if err := poll(ctx, time.Minute, func() error { return cause }); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v, want context canceled", err)
	}
}

// Staging counts by itself: other layers, a newer revision and production do not.
func TestStagingReady(t *testing.T) {
	staging := func(revision string, change func(*kustomizev1.Kustomization)) kustomizev1.Kustomization {
		return kustomization("apps-staging", revision, func(k *kustomizev1.Kustomization) {
			labelled("staging")(k)
			if change != nil {
				change(k)
			}
		})
	}
	for name, tt := range map[string]struct {
		ks   []kustomizev1.Kustomization
		want bool
	}{
		"at the newest revision":      {[]kustomizev1.Kustomization{staging(newRev, nil)}, true},
		"at the one before":           {[]kustomizev1.Kustomization{staging(oldRev, nil)}, true},
		"another layer has failed":    {[]kustomizev1.Kustomization{staging(newRev, nil), kustomization("infra", newRev, failed("BuildFailed", "x"))}, true},
		"failed":                      {[]kustomizev1.Kustomization{staging(newRev, failed("HealthCheckFailed", "timeout"))}, false},
		"never applied":               {[]kustomizev1.Kustomization{staging("", nil)}, false},
		"not there":                   {[]kustomizev1.Kustomization{kustomization("infra", newRev, nil)}, false},
		"only suspended ones of prod": {[]kustomizev1.Kustomization{kustomization("apps-prod", "", suspended("by hand"))}, false},
	} {
		if got := digest(nil, tt.ks, nil).stagingReady(); got != tt.want {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
	}
}
