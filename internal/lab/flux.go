package lab

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"

	imagev1 "github.com/fluxcd/image-automation-controller/api/v1"
	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	"github.com/fluxcd/pkg/apis/meta"
	sourcev1 "github.com/fluxcd/source-controller/api/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lumacore.dev/lumacore/internal/report"
)

// suspendedBecause is the annotation with which a Kustomization says why it is
// suspended.
const suspendedBecause = "lumacore.dev/suspended-because"

// syncKey is where the GitRepository and the root Kustomization are.
var syncKey = types.NamespacedName{Namespace: fluxNamespace, Name: syncName}

// envLabel says which environment an object belongs to.
const envLabel = "lumacore.env"

var (
	imageRepositoryKind = schema.GroupVersionKind{Group: "image.toolkit.fluxcd.io", Version: "v1", Kind: "ImageRepository"}
	gitRepositoryKind   = sourcev1.GroupVersion.WithKind(sourcev1.GitRepositoryKind)
	kustomizationKind   = kustomizev1.GroupVersion.WithKind(kustomizev1.KustomizationKind)
)

// Kustomization is a Flux Kustomization as a person wants to see it.
type Kustomization struct {
	Name        string `json:"name"`                  // with its namespace before it (ns/name) when that is not flux-system
	Environment string `json:"environment,omitempty"` // staging, prod, or none
	Ready       bool   `json:"ready"`
	Suspended   bool   `json:"suspended"`
	Revision    string `json:"revision,omitempty"` // last applied, as Flux writes it: main@sha1:…
	Message     string `json:"message,omitempty"`  // what Flux says; of a suspended one, why

	key       types.NamespacedName
	reason    string
	attempted string
	handled   string // the last reconcile request that was handled
}

// fluxState is one look at Flux.
type fluxState struct {
	revision       string // of the artifact that source-controller has
	commit         string // the commit in it
	source         metav1.Condition
	sourceHandled  string
	kustomizations []Kustomization
	automation     []imagev1.ImageUpdateAutomation
}

// look reads Flux's objects once.
func look(ctx context.Context, c client.Client) (fluxState, error) {
	var repos sourcev1.GitRepositoryList
	var ks kustomizev1.KustomizationList
	var automation imagev1.ImageUpdateAutomationList
	for _, list := range []client.ObjectList{&repos, &ks, &automation} {
		if err := c.List(ctx, list); err != nil {
			return fluxState{}, err
		}
	}
	return digest(repos.Items, ks.Items, automation.Items), nil
}

// fluxWatch follows Flux's objects. Asking the API server again and again would
// slow down what is waited for.
type fluxWatch struct {
	repos, kustomizations, automation cache.Store
}

// watchFlux follows until ctx ends; it goes on when the API server restarts.
func watchFlux(ctx context.Context, c client.WithWatch) *fluxWatch {
	follow := func(o client.Object, list func() client.ObjectList) cache.Store {
		store := cache.NewStore(cache.MetaNamespaceKeyFunc)
		lw := &cache.ListWatch{
			ListWithContextFunc: func(ctx context.Context, opts metav1.ListOptions) (runtime.Object, error) {
				l := list()
				return l, c.List(ctx, l, &client.ListOptions{Raw: &opts})
			},
			WatchFuncWithContext: func(ctx context.Context, opts metav1.ListOptions) (watch.Interface, error) {
				return c.Watch(ctx, list(), &client.ListOptions{Raw: &opts})
			},
		}
		r := cache.NewReflectorWithOptions(lw, o, store, cache.ReflectorOptions{})
		go r.RunWithContext(ctx)
		return store
	}
	return &fluxWatch{
		repos:          follow(&sourcev1.GitRepository{}, func() client.ObjectList { return &sourcev1.GitRepositoryList{} }),
		kustomizations: follow(&kustomizev1.Kustomization{}, func() client.ObjectList { return &kustomizev1.KustomizationList{} }),
		automation:     follow(&imagev1.ImageUpdateAutomation{}, func() client.ObjectList { return &imagev1.ImageUpdateAutomationList{} }),
	}
}

// look returns what is known now.
func (w *fluxWatch) look() fluxState {
	return digest(items[sourcev1.GitRepository](w.repos), items[kustomizev1.Kustomization](w.kustomizations),
		items[imagev1.ImageUpdateAutomation](w.automation))
}

func items[T any](store cache.Store) []T {
	var list []T
	for _, o := range store.List() {
		if t, ok := o.(*T); ok {
			list = append(list, *t)
		}
	}
	return list
}

// digest takes from Flux's objects what the lab looks at.
func digest(repos []sourcev1.GitRepository, ks []kustomizev1.Kustomization, automation []imagev1.ImageUpdateAutomation) fluxState {
	st := fluxState{automation: automation}
	for _, repo := range repos {
		if repo.Name != syncName || repo.Namespace != fluxNamespace {
			continue
		}
		if a := repo.Status.Artifact; a != nil {
			st.revision = a.Revision
			_, st.commit, _ = strings.Cut(a.Revision, ":")
		}
		if cond := apimeta.FindStatusCondition(repo.Status.Conditions, meta.ReadyCondition); cond != nil {
			st.source = *cond
		}
		st.sourceHandled = repo.Status.LastHandledReconcileAt
	}
	for _, k := range ks {
		name := k.Name
		if k.Namespace != fluxNamespace {
			name = k.Namespace + "/" + k.Name
		}
		v := Kustomization{
			key: types.NamespacedName{Namespace: k.Namespace, Name: k.Name}, Name: name, Environment: k.Labels[envLabel], Suspended: k.Spec.Suspend,
			Revision: k.Status.LastAppliedRevision, attempted: k.Status.LastAttemptedRevision,
			handled: k.Status.LastHandledReconcileAt,
		}
		if cond := apimeta.FindStatusCondition(k.Status.Conditions, meta.ReadyCondition); cond != nil {
			v.Message, v.reason = cond.Message, cond.Reason
			v.Ready = cond.Status == metav1.ConditionTrue && k.Status.ObservedGeneration == k.Generation
		}
		if v.Suspended {
			v.Message = k.Annotations[suspendedBecause]
		}
		st.kustomizations = append(st.kustomizations, v)
	}
	sort.SliceStable(st.kustomizations, func(i, j int) bool {
		return order(st.kustomizations[i]) < order(st.kustomizations[j])
	})
	return st
}

// order puts the root first and production last.
func order(k Kustomization) string {
	switch {
	case k.Name == syncName:
		return "0"
	case k.Environment == "":
		return "1" + k.Name
	case k.Environment == "prod":
		return "3" + k.Name
	default:
		return "2" + k.Name
	}
}

// behind names the first Kustomization that is not where it should be, with what
// Flux says of it; "" means that all are Ready at the artifact's revision.
func (st fluxState) behind() string {
	if st.revision == "" {
		return "GitRepository " + syncName + " has no artifact yet: " + st.source.Message
	}
	if st.source.Status == metav1.ConditionFalse { // an old artifact is no sign of health
		return "GitRepository " + syncName + ": " + st.source.Message
	}
	if !slices.ContainsFunc(st.kustomizations, func(k Kustomization) bool { return k.Name == syncName }) {
		return "Kustomization " + syncName + " is not there yet"
	}
	// One that has failed says more than one before it that is still under way.
	for _, k := range st.kustomizations {
		if st.gaveUp(k) {
			return "Kustomization " + k.Name + ": " + k.Message
		}
	}
	for _, k := range st.kustomizations {
		if !k.Suspended && (!k.Ready || k.Revision != st.revision) {
			msg := k.Message
			if k.Ready {
				msg = "at " + k.Revision
			}
			return "Kustomization " + k.Name + ": " + msg
		}
	}
	return ""
}

// stagingReady reports whether staging has been applied and is healthy, be it at
// the newest revision or at the one before it.
func (st fluxState) stagingReady() bool {
	found := false
	for _, k := range st.kustomizations {
		if k.Environment == "staging" && !k.Suspended {
			if !k.Ready || k.Revision == "" {
				return false
			}
			found = true
		}
	}
	return found
}

// automationIdle reports whether image automation has seen the newest revision
// and has nothing to change in it.
func (st fluxState) automationIdle() bool {
	for _, a := range st.automation {
		if a.Spec.Suspend {
			continue
		}
		cond := apimeta.FindStatusCondition(a.Status.Conditions, meta.ReadyCondition)
		if cond == nil || cond.Status != metav1.ConditionTrue || a.Status.ObservedGeneration != a.Generation {
			return false
		}
		// It looks again whenever a policy finds another image; until the
		// policies have been seen it has had nothing to do.
		if len(a.Status.ObservedPolicies) == 0 {
			return false
		}
		if a.Status.LastPushCommit != "" && a.Status.LastPushCommit != st.commit && a.Status.ObservedSourceRevision != st.revision {
			return false
		}
	}
	return true
}

// requestReconcile asks a controller to look at an object now. The token comes
// back in status.lastHandledReconcileAt.
func requestReconcile(ctx context.Context, c client.Client, gvk schema.GroupVersionKind, key types.NamespacedName, token string) error {
	o := &unstructured.Unstructured{}
	o.SetGroupVersionKind(gvk)
	o.SetNamespace(key.Namespace)
	o.SetName(key.Name)
	patch := fmt.Appendf(nil, `{"metadata":{"annotations":{%q:%q}}}`, meta.ReconcileRequestAnnotation, token)
	return c.Patch(ctx, o, client.RawPatch(types.MergePatchType, patch))
}

// progress is told about Kustomizations while they converge.
type progress interface {
	Set(name, state string)
	End(name, state string)
}

// goal is what converge waits for.
type goal struct {
	commit  string          // contained in what Flux applied; "" is whatever Flux has
	settled bool            // and image automation has nothing to commit
	token   string          // and these Kustomizations have answered this request
	asked   map[string]bool // (reconcileAll)
	ready   func()          // is called when staging is Ready for the first time, whatever comes after
}

// newToken is a reconcile request's value; later ones are greater.
func newToken() string { return time.Now().UTC().Format("2006-01-02T15:04:05.000000000Z") }

// answered reports whether all that were asked have looked again.
func (g goal) answered(st fluxState) bool {
	for _, k := range st.kustomizations {
		if g.asked[k.Name] && !k.Suspended && k.handled < g.token {
			return false
		}
	}
	return true
}

// reconcileAll asks every Kustomization to look again: what is Ready in the data
// of an earlier run need not be so any more.
func (l *Lab) reconcileAll(ctx context.Context) (goal, error) {
	g := goal{settled: true, token: newToken(), asked: map[string]bool{}}
	c, err := l.Client()
	if err != nil {
		return g, err
	}
	st, err := look(ctx, c)
	if err != nil {
		return g, err
	}
	for _, k := range st.kustomizations {
		if k.Suspended {
			continue
		}
		if err := requestReconcile(ctx, c, kustomizationKind, k.key, g.token); err != nil {
			return g, err
		}
		g.asked[k.Name] = true
	}
	return g, requestReconcile(ctx, c, gitRepositoryKind, syncKey, g.token)
}

// converge waits until every Kustomization that is not suspended is Ready at a
// revision that contains the goal's commit. It fails as soon as Flux has failed
// twice on the same revision while all of the lab was up: the first failure may
// be that of a component which just restarted, the second is the manifest's.
func (l *Lab) converge(ctx context.Context, g goal, within time.Duration, p progress) (fluxState, error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	c, err := l.Client()
	if err != nil {
		return fluxState{}, err
	}
	// Its own context: the reflectors end with this call.
	watching, stop := context.WithCancel(ctx)
	defer stop()
	w := watchFlux(watching, c)
	retries := map[string]secondTry{} // by object
	// The Git server tells Flux of a push; if it was killed before it could,
	// Flux would look within its interval, a minute.
	nudge := time.Now().Add(2 * time.Second)
	var inSync time.Time     // since when all is Ready
	seen, fresh := "", false // the commit that Flux has, and whether it contains the wanted one
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		st := w.look()
		if st.commit != seen { // asking git costs a process
			seen = st.commit
			fresh = seen != "" && (g.commit == "" || seen == g.commit || l.contains(ctx, seen, g.commit))
		}
		l.show(st, fresh, p)
		ready := fresh && st.behind() == "" && g.answered(st)
		switch {
		case !ready:
			inSync = time.Time{}
		case inSync.IsZero():
			inSync = time.Now()
		}
		if g.ready != nil && fresh && st.stagingReady() && g.answered(st) {
			g.ready()
			g.ready = nil
		}
		switch {
		case ready && (!g.settled || st.automationIdle() && l.atTip(ctx, st) || time.Since(inSync) > automationGrace):
			return st, nil
		case fresh:
			err = l.failures(ctx, c, st, retries)
		case time.Now().After(nudge):
			nudge = time.Now().Add(5 * time.Second)
			_ = requestReconcile(ctx, c, gitRepositoryKind, syncKey, newToken())
		default:
			err = l.sourceFailure(ctx, c, st, retries)
		}
		if err != nil {
			return st, err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.Canceled) {
				return st, ctx.Err()
			}
			return st, report.Refuse("lumacore lab status", "not in sync within %s: %s", within,
				or(st.behind(), "image automation, or a reconcile that was asked for, has not ended"))
		}
	}
}

// automationGrace is how long image automation may take to say that it has
// nothing to commit. One without a policy never says so.
const automationGrace = 20 * time.Second

func (l *Lab) atTip(ctx context.Context, st fluxState) bool {
	tip, err := l.tip(ctx)
	return err == nil && tip == st.commit
}

func (l *Lab) show(st fluxState, fresh bool, p progress) {
	if p == nil {
		return
	}
	for _, k := range st.kustomizations {
		switch {
		case k.Suspended:
			p.End(k.Name, "suspended: "+k.Message)
		case fresh && k.Ready && k.Revision == st.revision:
			p.End(k.Name, "ready at "+shortRevision(k.Revision))
		default:
			p.Set(k.Name, firstLine(k.Message))
		}
	}
}

// secondTry is an attempt that was asked for.
type secondTry struct {
	token    string
	restarts int // of all components, when it was asked for
}

// gaveUp reports whether kustomize-controller gave up on the newest revision.
func (st fluxState) gaveUp(k Kustomization) bool {
	return st.revision != "" && !k.Suspended && !k.Ready && k.attempted == st.revision && failureReasons[k.reason]
}

// failures returns the failure of the first Kustomization that has failed twice.
func (l *Lab) failures(ctx context.Context, c client.Client, st fluxState, retries map[string]secondTry) error {
	for _, k := range st.kustomizations {
		if !st.gaveUp(k) {
			continue
		}
		again, err := l.failedTwice(ctx, c, kustomizationKind, k.key, k.handled, retries)
		if err != nil || !again {
			return err
		}
		return report.Refuse("mend it and push again; what was applied before stays",
			"Kustomization %s failed at %s: %s", k.Name, shortRevision(st.revision), k.Message)
	}
	return nil
}

// failureReasons are the reasons with which kustomize-controller says that it
// gave up on a revision; DependencyNotReady and Progressing are not among them.
// https://fluxcd.io/flux/components/kustomize/kustomizations/#conditions
var failureReasons = map[string]bool{
	meta.BuildFailedReason: true, meta.ReconciliationFailedReason: true, meta.HealthCheckFailedReason: true,
	meta.PruneFailedReason: true, meta.ArtifactFailedReason: true,
}

func (l *Lab) sourceFailure(ctx context.Context, c client.Client, st fluxState, retries map[string]secondTry) error {
	if st.source.Status != metav1.ConditionFalse {
		return nil
	}
	again, err := l.failedTwice(ctx, c, gitRepositoryKind, syncKey, st.sourceHandled, retries)
	if err != nil || !again {
		return err
	}
	return report.Refuse("lumacore lab logs source-controller", "GitRepository %s failed: %s", syncName, st.source.Message)
}

// failedTwice reports whether an object that has failed has failed on a retry
// too, during which no component restarted. Else it asks for a retry.
func (l *Lab) failedTwice(ctx context.Context, c client.Client, gvk schema.GroupVersionKind, name types.NamespacedName, handled string, retries map[string]secondTry) (bool, error) {
	restarts, up := l.restarts()
	key := gvk.Kind + "/" + name.String()
	r, asked := retries[key]
	switch {
	case !up:
		delete(retries, key)
		return false, nil
	case asked && handled == r.token && restarts == r.restarts:
		return true, nil
	case asked && handled != r.token:
		return false, nil // under way
	}
	r = secondTry{token: newToken(), restarts: restarts}
	if err := requestReconcile(ctx, c, gvk, name, r.token); err != nil {
		return false, nil //nolint:nilerr // the API server may be away for a moment; the caller looks again
	}
	retries[key] = r
	return false, nil
}

// policyWindow is how long an API server that has just started may refuse what
// a ValidatingAdmissionPolicy matches: it looks for the kinds of the policies'
// parameters once when it starts, when custom resources are not served yet, and
// then every 30 seconds.
// https://github.com/kubernetes/apiserver/blob/v0.36.4/pkg/server/options/admission.go
const policyWindow = 40 * time.Second

// restarts returns how often components have restarted in all, and whether
// failures count now: all components are ready, and the API server has been
// there for long enough.
func (l *Lab) restarts() (int, bool) {
	st, err := l.state()
	if err != nil {
		return 0, false
	}
	n, settled := 0, len(st.unready()) == 0
	for _, c := range st.Components {
		n += c.Restarts
		if c.Name == "kube-apiserver" && time.Since(c.Started) < policyWindow {
			settled = false
		}
	}
	return n, settled
}

// shortRevision shortens main@sha1:0123456789… to main@0123456.
func shortRevision(r string) string {
	ref, commit, ok := strings.Cut(r, "@sha1:")
	if !ok {
		return r
	}
	return ref + "@" + short(commit)
}
