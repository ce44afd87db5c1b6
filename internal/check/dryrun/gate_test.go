package dryrun

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"lumacore.dev/lumacore/internal/check"
	"lumacore.dev/lumacore/internal/check/checktest"
	"lumacore.dev/lumacore/internal/report"
)

// What a real API server says is in test/e2e; these tests are about the way to it and
// about its answers.

// fake is an API server that answers as it is told.
type fake struct {
	*httptest.Server
	// answer answers a write: nil accepts it.
	answer func(r write) *metav1.Status
	// before is called for every request; true: it has answered.
	before func(w http.ResponseWriter, r *http.Request) bool

	mu     sync.Mutex
	writes []write
}

// write is a request that would change something.
type write struct {
	method, path, query string
	contentType, user   string
	object              map[string]any
	warn                func(text string)
}

func newFake(t *testing.T, answer func(write) *metav1.Status) *fake {
	f := &fake{answer: answer}
	f.Server = httptest.NewServer(f)
	t.Cleanup(f.Close)
	return f
}

var resources = map[string]string{
	"/version": `{"major":"1","minor":"36"}`,
	"/api":     `{"kind":"APIVersions","versions":["v1"]}`,
	"/apis": `{"kind":"APIGroupList","apiVersion":"v1","groups":[
		{"name":"apps","versions":[{"groupVersion":"apps/v1","version":"v1"}],"preferredVersion":{"groupVersion":"apps/v1","version":"v1"}},
		{"name":"metrics.k8s.io","versions":[{"groupVersion":"metrics.k8s.io/v1","version":"v1"}],"preferredVersion":{"groupVersion":"metrics.k8s.io/v1","version":"v1"}}]}`,
	"/api/v1": `{"kind":"APIResourceList","groupVersion":"v1","resources":[
		{"name":"configmaps","kind":"ConfigMap","namespaced":true,"verbs":["patch"]},
		{"name":"secrets","kind":"Secret","namespaced":true,"verbs":["patch"]},
		{"name":"services","kind":"Service","namespaced":true,"verbs":["patch"]},
		{"name":"services/status","kind":"Service","namespaced":true,"verbs":["patch"]},
		{"name":"namespaces","kind":"Namespace","namespaced":false,"verbs":["patch"]}]}`,
	"/apis/apps/v1":           `{"kind":"APIResourceList","groupVersion":"apps/v1","resources":[{"name":"deployments","kind":"Deployment","namespaced":true,"verbs":["patch"]}]}`,
	"/api/v1/namespaces":      `{"kind":"NamespaceList","apiVersion":"v1","items":[{"metadata":{"name":"default"}},{"metadata":{"name":"somebodys"}}]}`,
	"/apis/metrics.k8s.io/v1": "",
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if f.before != nil && f.before(w, r) {
		return
	}
	w.Header().Set("Content-Type", "application/json")
	if r.Method == http.MethodGet {
		if text := resources[r.URL.Path]; text != "" {
			io.WriteString(w, text)
			return
		}
		send(w, &metav1.Status{Code: http.StatusServiceUnavailable, Message: "the server is currently unable to handle the request"})
		return
	}
	got := write{
		method: r.Method, path: r.URL.Path, query: r.URL.RawQuery, contentType: r.Header.Get("Content-Type"), user: r.Header.Get("Impersonate-User"),
		warn: func(text string) { w.Header().Add("Warning", fmt.Sprintf("299 - %q", text)) },
	}
	body, _ := io.ReadAll(r.Body)
	if err := json.Unmarshal(body, &got.object); err != nil {
		send(w, &metav1.Status{Code: http.StatusBadRequest, Message: err.Error()})
		return
	}
	f.mu.Lock()
	f.writes = append(f.writes, got)
	f.mu.Unlock()
	if f.answer != nil {
		if st := f.answer(got); st != nil {
			send(w, st)
			return
		}
	}
	w.Write(body)
}

func send(w http.ResponseWriter, st *metav1.Status) {
	st.TypeMeta, st.Status = metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, metav1.StatusFailure
	w.WriteHeader(int(st.Code))
	_ = json.NewEncoder(w).Encode(st)
}

// input is a repository to be tried on a server.
func input(t testing.TB, repository, url string) *check.Input {
	t.Helper()
	in := checktest.Input(t, repository)
	in.APIServer = func(context.Context) (*rest.Config, func(), error) {
		return &rest.Config{Host: url}, func() {}, nil
	}
	return in
}

// soon is for what must not take long.
var soon = limits{request: 10 * time.Second, settle: time.Second}

// try runs the gate; its rules are those of [Gate].
func try(t testing.TB, in *check.Input, lim limits) (*report.CheckReport, error) {
	t.Helper()
	g := *Gate
	g.Check = func(ctx context.Context, in *check.Input, out *check.Reporter) error { return run(ctx, in, out, lim) }
	return check.Run(t.Context(), []*check.Gate{&g}, in)
}

// lines are findings and what was not checked, one line each.
func lines(rep *report.CheckReport) []string {
	var out []string
	for _, f := range rep.Findings {
		if f.Gate() == "dryrun" {
			out = append(out, fmt.Sprintf("%d %s %s: %s", f.Location.Line, f.Severity, strings.TrimPrefix(f.Rule, "dryrun/"), f.Message))
		}
	}
	for _, u := range rep.NotChecked {
		if u.Gate == "dryrun" {
			out = append(out, fmt.Sprintf("%d not checked: %s: %s; next: %s", u.Location.Line, u.Subject, u.Reason, u.Next))
		}
	}
	return out
}

const deploymentYAML = `apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  namespace: web
spec:
  replicas: 1
  selector:
    matchLabels:
      app: web
  template:
    metadata:
      labels:
        app: web
    spec:
      containers:
        - name: other
          image: other:1
        - name: web
          image: web:1
          imag: web:2
`

const secretYAML = `apiVersion: v1
kind: Secret
metadata:
  name: token
  namespace: web
stringData:
  token: hunter2
`

func invalid(causes ...metav1.StatusCause) *metav1.Status {
	return &metav1.Status{
		Code: http.StatusUnprocessableEntity, Reason: metav1.StatusReasonInvalid, Message: `Deployment.apps "web" is invalid: [many words]`,
		Details: &metav1.StatusDetails{Kind: "Deployment", Name: "web", Causes: causes},
	}
}

func forbidden(message string) *metav1.Status {
	return &metav1.Status{Code: http.StatusForbidden, Reason: metav1.StatusReasonForbidden, Message: message, Details: &metav1.StatusDetails{Kind: "deployments", Name: "web"}}
}

func internal(message string) *metav1.Status {
	return &metav1.Status{Code: http.StatusInternalServerError, Reason: metav1.StatusReasonInternalError, Message: "Internal error occurred: " + message}
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		repository string
		answer     *metav1.Status
		warning    string
		want       []string
	}{
		"accepted": {deploymentYAML, nil, "", nil},
		"refused, by field": {
			deploymentYAML, invalid(
				metav1.StatusCause{Field: "spec.replicas", Message: "Invalid value: -1: must be more"},
				metav1.StatusCause{Field: "spec.template.spec.containers[1].image", Message: "Required value"},
				metav1.StatusCause{Field: "spec.progressDeadlineSeconds", Message: "Invalid value: 600: must be greater\nthan minReadySeconds"}),
			"",
			[]string{
				"6 error refused: the API server refuses it: spec.progressDeadlineSeconds: Invalid value: 600: must be greater than minReadySeconds",
				"7 error refused: the API server refuses it: spec.replicas: Invalid value: -1: must be more",
				"20 error refused: the API server refuses it: spec.template.spec.containers[1].image: Required value",
			},
		},
		"refused, in too many fields": {
			deploymentYAML, invalid(func() (list []metav1.StatusCause) {
				for i := range 13 {
					list = append(list, metav1.StatusCause{Field: fmt.Sprintf("spec.a%d", i), Message: "no"})
				}
				return list
			}()...), "", append([]string{"1 error refused: the API server refuses 3 more fields of it"}, func() (list []string) {
				for i := range 10 {
					list = append(list, fmt.Sprintf("6 error refused: the API server refuses it: spec.a%d: no", i))
				}
				return list
			}()...),
		},
		"refused, as a field that there is not": {
			deploymentYAML, &metav1.Status{Code: 500, Message: `failed to create typed patch object (web/web; apps/v1, Kind=Deployment): .spec.template.spec.containers[name="web"].imag: field not declared in schema`},
			"",
			[]string{`21 error refused: the API server refuses it: spec.template.spec.containers[name="web"].imag: field not declared in schema`},
		},
		"refused, as two fields that there are not": {
			deploymentYAML, &metav1.Status{Code: 500, Message: "failed to create typed patch object (web/web; apps/v1, Kind=Deployment): errors:\n  .spec.replica: field not declared in schema\n  .spec.template.labels: field not declared in schema"},
			"",
			[]string{
				"6 error refused: the API server refuses it: spec.replica: field not declared in schema",
				"11 error refused: the API server refuses it: spec.template.labels: field not declared in schema",
			},
		},
		"refused, as a whole": {
			deploymentYAML, forbidden(`deployments.apps "web" is forbidden: ValidatingAdmissionPolicy 'a' with binding 'b' denied request: no`),
			"",
			[]string{`1 error refused: the API server refuses it: deployments.apps "web" is forbidden: ValidatingAdmissionPolicy 'a' with binding 'b' denied request: no`},
		},
		"denied by a webhook": {
			deploymentYAML, forbidden(`admission webhook "validation.gatekeeper.sh" denied the request: [tag] no tag`),
			"",
			[]string{`1 error refused: the API server refuses it: admission webhook "validation.gatekeeper.sh" denied the request: [tag] no tag`},
		},
		"a long refusal with what a terminal would act on": {
			deploymentYAML, forbidden("no\x1b[31m\n" + strings.Repeat("ü", 1000)),
			"",
			[]string{"1 error refused: the API server refuses it: no[31m " + strings.Repeat("ü", 296) + "…"},
		},
		"not allowed": {
			deploymentYAML, forbidden(`deployments.apps "web" is forbidden: User "ci" cannot patch resource "deployments" in API group "apps" in the namespace "web"`),
			"",
			[]string{"1 not checked: Deployment web/web (apps/v1): the user of the kubeconfig may not patch deployments there; next: give it the verbs create and patch on deployments; a dry run needs the rights of the real thing"},
		},
		"may not be granted": {
			deploymentYAML, forbidden(`roles.rbac.authorization.k8s.io "a" is forbidden: user "ci" (groups=["system:authenticated"]) is attempting to grant RBAC permissions not currently held:` + "\n{}"),
			"",
			[]string{"1 not checked: Deployment web/web (apps/v1): the user of the kubeconfig may not grant what it grants; next: check with a user who has these rights, or the verb escalate or bind"},
		},
		"a webhook that does not answer": {
			deploymentYAML, internal(`failed calling webhook "a.example.com": failed to call webhook: Post "https://a.web.svc:443/": dial tcp: connect: connection refused`),
			"",
			[]string{`1 not checked: Deployment web/web (apps/v1): a webhook did not try it: failed calling webhook "a.example.com": failed to call webhook: Post "https://a.web.svc:443/": dial tcp: connect: connection refused; next: see that a.example.com answers, and that it declares sideEffects: None`},
		},
		"a webhook without dry runs": {
			deploymentYAML, &metav1.Status{Code: 400, Reason: metav1.StatusReasonBadRequest, Message: "admission webhook \"a.example.com\" does not support dry run"},
			"",
			[]string{`1 not checked: Deployment web/web (apps/v1): a webhook did not try it: admission webhook "a.example.com" does not support dry run; next: see that a.example.com answers, and that it declares sideEffects: None`},
		},
		"an error of the server's own": {
			deploymentYAML, internal("etcdserver: no leader"),
			"",
			[]string{"1 not checked: Deployment web/web (apps/v1): the API server has an error of its own: Internal error occurred: etcdserver: no leader; next: look at the log of the API server"},
		},
		"an API that is away": {
			deploymentYAML, &metav1.Status{Code: 503, Reason: metav1.StatusReasonServiceUnavailable, Message: "unavailable"},
			"",
			[]string{"1 not checked: Deployment web/web (apps/v1): the API server could not try it: unavailable; next: check again"},
		},
		"immutable": {
			deploymentYAML, invalid(metav1.StatusCause{Field: "spec.selector", Message: `Invalid value: {"matchLabels":{"app":"web"}}: field is immutable`}),
			"",
			[]string{`8 error immutable: the API server refuses the change: spec.selector: Invalid value: {"matchLabels":{"app":"web"}}: field is immutable`},
		},
		"immutable, and forced": {
			strings.Replace(deploymentYAML, "  name: web\n", "  name: web\n  annotations:\n    kustomize.toolkit.fluxcd.io/force: enabled\n", 1),
			invalid(metav1.StatusCause{Field: "spec.selector", Message: "Invalid value: {}: field is immutable"}),
			"",
			[]string{"10 warning immutable: Flux will delete the object in the cluster and make it anew, as it is told to by force: spec.selector: Invalid value: {}: field is immutable"},
		},
		"a namespace that there is not": {
			deploymentYAML, &metav1.Status{Code: 404, Reason: metav1.StatusReasonNotFound, Message: `namespaces "web" not found`, Details: &metav1.StatusDetails{Kind: "namespaces", Name: "web"}},
			"",
			[]string{`1 error refused: the API server refuses it: namespaces "web" not found`},
		},
		"warned of a field": {
			deploymentYAML, nil, `spec.template.spec.containers[1].image: odd`,
			[]string{"20 warning warned: the API server warns: spec.template.spec.containers[1].image: odd"},
		},
		"warned of Pod Security, which is the cluster's": {
			deploymentYAML, nil, `would violate PodSecurity "restricted:latest": privileged`,
			[]string{`1 warning warned: the API server warns: would violate PodSecurity "restricted:latest": privileged`},
		},
		"a Secret": {
			secretYAML, &metav1.Status{Code: 500, Message: `failed to create typed patch object (web/token; v1, Kind=Secret): .stringData.token: expected string, got &value.valueUnstructured{Value:"hunter2"} or "hunter2"`},
			"",
			[]string{`7 error refused: the API server refuses it: stringData.token: expected string, got &value.valueUnstructured{Value:…} or "…"`},
		},
		"a kind of Kubernetes that is not served": {
			"apiVersion: apps/v1beta1\nkind: Deployment\nmetadata: {name: a, namespace: web}\n", nil, "",
			[]string{"1 error refused: the API server serves no apps/v1beta1 Deployment"},
		},
		"a kind that nobody makes": {
			"apiVersion: example.com/v1\nkind: Lamp\nmetadata: {name: a, namespace: web}\n", nil, "",
			[]string{"1 error refused: the API server serves no example.com/v1 Lamp"},
		},
		"a kind whose API is down": {
			"apiVersion: metrics.k8s.io/v1\nkind: Lamp\nmetadata: {name: a, namespace: web}\n", nil, "",
			[]string{"1 not checked: Lamp web/a (metrics.k8s.io/v1): the API server could not say what metrics.k8s.io/v1 has: what serves it is down; next: look at the APIService v1.metrics.k8s.io"},
		},
		"a name that no client asks for": {
			"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: ../../secrets/a, namespace: web}\n", nil, "",
			[]string{`3 error refused: no client asks for an object with the name "../../secrets/a"`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t, func(r write) *metav1.Status {
				if test.warning != "" {
					r.warn(test.warning)
				}
				return test.answer
			})
			rep, err := try(t, input(t, test.repository, f.URL), soon)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, lines(rep)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestNothingIsStored: every request to a cluster is a dry run, in the name of the
// controller, and says what Flux's would say.
func TestNothingIsStored(t *testing.T) {
	t.Parallel()
	f := newFake(t, nil)
	in := input(t, `-- cluster/web.yaml --
`+deploymentYAML+`---
apiVersion: v1
kind: Namespace
metadata:
  name: web
  creationTimestamp: null
status: {phase: Active}
---
apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata:
  name: db
  namespace: web
spec:
  interval: 1h
  chart:
    spec:
      chart: ./charts/db
      sourceRef: {kind: GitRepository, name: flux-system, namespace: flux-system}
-- charts/db/Chart.yaml --
apiVersion: v2
name: db
version: 1.0.0
-- charts/db/templates/map.yaml --
apiVersion: v1
kind: ConfigMap
metadata:
  name: once
  annotations:
    helm.sh/hook: pre-install
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: db
`, f.URL)
	if _, err := try(t, in, soon); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, w := range f.writes {
		got = append(got, strings.Join([]string{w.method, w.path + "?" + w.query, w.contentType, w.user}, " "))
		if w.object["status"] != nil {
			t.Errorf("%s: a status was sent", w.path)
		}
		if m := w.object["metadata"].(map[string]any); m["creationTimestamp"] != nil || strings.Contains(w.query, "kustomize") && m["labels"].(map[string]any)["kustomize.toolkit.fluxcd.io/name"] != "flux-system" {
			t.Errorf("%s: metadata %v", w.path, m)
		}
	}
	slices.Sort(got)
	apply := func(path, manager string) string {
		return "PATCH " + path + "?dryRun=All&fieldManager=" + manager + "&force=true&timeout=10s application/apply-patch+yaml "
	}
	if diff := cmp.Diff([]string{
		apply("/api/v1/namespaces/web/configmaps/db", "helm-controller"),
		apply("/api/v1/namespaces/web/configmaps/once", "helm-controller"),
		apply("/api/v1/namespaces/web", "kustomize-controller"),
		apply("/apis/apps/v1/namespaces/web/deployments/web", "kustomize-controller"),
	}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestNotThrownAway: whatever somebody says, nothing is created in a cluster that has
// something in it.
func TestNotThrownAway(t *testing.T) {
	t.Parallel()
	f := newFake(t, nil)
	in := input(t, deploymentYAML, f.URL)
	in.Throwaway = true
	_, err := try(t, in, soon)
	if want := "is not empty: it has the namespace somebodys; nothing was created there"; err == nil || !strings.HasSuffix(err.Error(), want) {
		t.Errorf("error %v, want … %s", err, want)
	}
	if len(f.writes) > 0 {
		t.Errorf("it was sent %v", f.writes)
	}
}

// TestWhatTheRenderMakes: what the cluster does not have yet is not checked.
func TestWhatTheRenderMakes(t *testing.T) {
	t.Parallel()
	f := newFake(t, func(r write) *metav1.Status {
		if strings.Contains(r.path, "/namespaces/new/") {
			return &metav1.Status{Code: 404, Reason: metav1.StatusReasonNotFound, Message: `namespaces "new" not found`, Details: &metav1.StatusDetails{Kind: "namespaces", Name: "new"}}
		}
		return nil
	})
	rep, err := try(t, input(t, `apiVersion: v1
kind: Namespace
metadata:
  name: new
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: a
  namespace: new
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: b
  namespace: new
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: lamps.example.com
spec:
  group: example.com
  names:
    kind: Lamp
    plural: lamps
---
apiVersion: example.com/v1
kind: Lamp
metadata:
  name: a
  namespace: web
`, f.URL), soon)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{
		"18 error refused: the API server serves no apiextensions.k8s.io/v1 CustomResourceDefinition", // the fake does not
		"6 not checked: ConfigMap (v1), 2 objects: the cluster does not have the namespace new yet: the render makes it; next: check again once that is applied, or with --dry-run=lab",
		"28 not checked: Lamp web/a (example.com/v1): the cluster does not serve it yet: CustomResourceDefinition lamps.example.com of the render makes it; next: check again once that is applied, or with --dry-run=lab",
	}, lines(rep)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestStandIns: a refusal that may be that of a made-up value is none.
func TestStandIns(t *testing.T) {
	t.Parallel()
	f := newFake(t, func(r write) *metav1.Status {
		if strings.HasSuffix(r.path, "/configmaps/a") {
			return invalid(metav1.StatusCause{Field: "data.domain", Message: "Invalid value"}, metav1.StatusCause{Field: "data.other", Message: "Invalid value"})
		}
		return nil
	})
	rep, err := try(t, input(t, `-- lumacore.yaml --
apiVersion: lumacore.dev/v1alpha1
kind: Config
clusters:
  - name: home
    path: cluster
-- cluster/apps.yaml --
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata:
  name: apps
  namespace: flux-system
spec:
  interval: 10m
  path: ./apps
  prune: true
  sourceRef: {kind: GitRepository, name: flux-system}
  postBuild:
    substituteFrom:
      - kind: Secret
        name: settings
---
apiVersion: onepassword.com/v1
kind: OnePasswordItem
metadata:
  name: settings
  namespace: flux-system
spec:
  itemPath: vaults/home/items/settings
-- apps/map.yaml --
apiVersion: v1
kind: ConfigMap
metadata:
  name: a
  namespace: web
data:
  domain: a.${SECRET_DOMAIN}
  other: text
`, f.URL), soon)
	if err != nil {
		t.Fatal(err)
	}
	got := lines(rep)
	got = slices.DeleteFunc(got, func(s string) bool { return strings.Contains(s, "serves no") })
	if diff := cmp.Diff([]string{
		"8 error refused: the API server refuses it: data.other: Invalid value",
		"7 not checked: ConfigMap web/a: refused with a value that stands in for a secret that only the cluster has (SECRET_DOMAIN from Secret flux-system/settings): data.domain: Invalid value; next: look at the value in the cluster",
	}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestTriedAgain: an answer that will soon be another is asked for again.
func TestTriedAgain(t *testing.T) {
	t.Parallel()
	n := 0
	f := newFake(t, func(write) *metav1.Status {
		if n++; n < 3 {
			return &metav1.Status{Code: 409, Reason: metav1.StatusReasonConflict, Message: "the object has been modified"}
		}
		return nil
	})
	rep, err := try(t, input(t, deploymentYAML, f.URL), soon)
	if err != nil {
		t.Fatal(err)
	}
	if got := lines(rep); len(got) > 0 || n != 3 {
		t.Errorf("after %d requests %q", n, got)
	}
}

// TestNoServer: what is wrong with the way to the server is one clear error.
func TestNoServer(t *testing.T) {
	t.Parallel()
	all := func(f func(http.ResponseWriter, *http.Request)) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool { f(w, r); return true }
	}
	for name, test := range map[string]struct {
		before func(http.ResponseWriter, *http.Request) bool
		want   string
	}{
		"hangs": {all(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }), "cannot be used: it has not answered within 300ms"},
		"hangs in the middle": {func(_ http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodPatch {
				_, _ = io.ReadAll(r.Body) // else the server does not see that the client has gone
				<-r.Context().Done()
			}
			return false
		}, "cannot be used: it has not answered within 300ms"},
		"hangs where it says what it has": {func(_ http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path == "/apis" {
				<-r.Context().Done()
			}
			return false
		}, "cannot be used: it has not answered within 300ms"},
		"does not accept who asks": {all(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			send(w, &metav1.Status{Code: 401, Reason: metav1.StatusReasonUnauthorized, Message: "Unauthorized"})
		}), "cannot be used: it does not accept the credentials (401 Unauthorized)"},
		"is no API server": {
			all(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<html>hello</html>") }),
			"cannot be used: what it answers at /version is not that of an API server: invalid character '<' looking for beginning of value",
		},
		"closes the connection": {all(func(w http.ResponseWriter, _ *http.Request) {
			c, _, _ := w.(http.Hijacker).Hijack()
			c.Close()
		}), "cannot be used: it closed the connection"},
		"answers without end": {all(func(w http.ResponseWriter, r *http.Request) {
			for b := make([]byte, 1<<20); r.Context().Err() == nil; {
				if _, err := w.Write(b); err != nil {
					return
				}
			}
		}), "cannot be used: its answer is larger than 32 MiB"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t, nil)
			f.before = test.before
			lim := limits{request: 300 * time.Millisecond, settle: time.Second}
			if strings.Contains(name, "without end") || strings.Contains(name, "closes") {
				lim = soon
			}
			begin := time.Now()
			_, err := try(t, input(t, deploymentYAML, strings.Replace(f.URL, "http://", "http://user:hunter2@", 1)), lim)
			if err == nil || !strings.HasSuffix(err.Error(), test.want) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("error %v, want … %s", err, test.want)
			}
			if report.ExitCode(err) != report.ExitUsage {
				t.Errorf("exit code %d", report.ExitCode(err))
			}
			if took := time.Since(begin); took > 30*time.Second {
				t.Errorf("it took %s", took)
			}
		})
	}
	t.Run("is not there", func(t *testing.T) {
		t.Parallel()
		f := newFake(t, nil)
		f.Close()
		if _, err := try(t, input(t, deploymentYAML, f.URL), soon); err == nil || !strings.Contains(err.Error(), "connection refused") {
			t.Errorf("error %v", err)
		}
	})
	t.Run("shows a certificate that nobody knows", func(t *testing.T) {
		t.Parallel()
		tls := httptest.NewTLSServer(&fake{})
		t.Cleanup(tls.Close)
		tls.Config.ErrorLog = nil
		in := input(t, deploymentYAML, tls.URL)
		other := httptest.NewTLSServer(&fake{})
		t.Cleanup(other.Close)
		in.APIServer = func(context.Context) (*rest.Config, func(), error) {
			ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: other.Certificate().Raw})
			return &rest.Config{Host: tls.URL, TLSClientConfig: rest.TLSClientConfig{CAData: ca, ServerName: "elsewhere.example.org"}}, func() {}, nil
		}
		_, err := try(t, in, soon)
		if err == nil || !strings.Contains(err.Error(), "its certificate or the client's is not accepted: ") {
			t.Errorf("error %v", err)
		}
	})
}

// TestInterrupted: an interruption ends it, whatever the server does.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	f := newFake(t, nil)
	f.before = func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPatch {
			_, _ = io.ReadAll(r.Body)
			cancel()
			<-r.Context().Done()
		}
		return false
	}
	in := input(t, deploymentYAML, f.URL)
	released := false
	config, _, _ := in.APIServer(ctx)
	in.APIServer = func(context.Context) (*rest.Config, func(), error) { return config, func() { released = true }, nil }
	_, err := check.Run(ctx, []*check.Gate{Gate}, in)
	if report.ExitCode(err) != report.ExitInterrupted || !released {
		t.Errorf("error %v, let go of the server: %v", err, released)
	}
}

// TestOrder: what others depend on comes first, whoever applies first too; a circle
// does no harm.
func TestOrder(t *testing.T) {
	t.Parallel()
	kustomization := func(name, needs string) string {
		return "---\napiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata:\n  name: " + name + "\n  namespace: flux-system\nspec:\n  interval: 10m\n  path: ./" + name +
			"\n  prune: true\n  sourceRef: {kind: GitRepository, name: flux-system}\n  dependsOn: [" + needs + "]\n"
	}
	object := func(name string) string {
		return "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: " + name + "\n  namespace: web\n"
	}
	in := checktest.Input(t, "-- cluster/all.yaml --\n"+kustomization("a", "{name: b}")+kustomization("b", "{name: c}")+kustomization("c", "")+
		kustomization("x", "{name: y}")+kustomization("y", "{name: x}")+
		"-- a/a.yaml --\n"+object("a")+"-- b/b.yaml --\n"+object("b")+"-- c/c.yaml --\n"+object("c")+"-- x/x.yaml --\n"+object("x")+"-- y/y.yaml --\n"+object("y"))
	var got []string
	for _, o := range ordered(in.Render.Clusters[0]) {
		if o.GetKind() == "ConfigMap" {
			got = append(got, o.GetName())
		}
	}
	if diff := cmp.Diff([]string{"c", "y", "b", "x", "a"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// FuzzAnswer: whatever a server says, it becomes a finding or a note of bounded length.
func FuzzAnswer(f *testing.F) {
	f.Add(422, "Invalid", "spec.replicas", "Invalid value")
	f.Add(403, "Forbidden", "", `User "a" cannot patch resource "b"`)
	f.Add(500, "", "", "failed (a): errors:\n  .spec.a[name=\"b\"]: no")
	f.Add(500, "InternalError", "", `failed calling webhook "a"`)
	f.Add(404, "NotFound", "", `namespaces "x" not found`)
	in := checktest.Input(f, deploymentYAML)
	f.Fuzz(func(t *testing.T, code int, reason, field, message string) {
		var answered *check.Reporter
		g := *Gate
		g.Check = func(_ context.Context, in *check.Input, out *check.Reporter) error {
			answered = out
			c := in.Render.Clusters[0]
			j := newJob(in, out, c, &server{}, soon, &progress{})
			st := metav1.Status{Code: int32(code), Reason: metav1.StatusReason(reason), Message: message, Details: &metav1.StatusDetails{Causes: []metav1.StatusCause{{Field: field, Message: message}}}}
			j.refuse(c.Objects[0], st)
			j.warned(c.Objects[0], message)
			j.report()
			return nil
		}
		own := *in
		own.APIServer = func(context.Context) (*rest.Config, func(), error) { return nil, nil, nil }
		rep, err := check.Run(t.Context(), []*check.Gate{&g}, &own)
		if err != nil || answered == nil {
			t.Fatal(err)
		}
		if len(lines(rep)) < 2 {
			t.Errorf("%q", lines(rep))
		}
		for _, line := range lines(rep) {
			if len(line) > 1000 || strings.ContainsAny(line, "\n\x1b") {
				t.Errorf("%q", line)
			}
		}
	})
}
