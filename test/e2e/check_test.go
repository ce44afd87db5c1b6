//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	utilversion "k8s.io/apimachinery/pkg/util/version"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
	"sigs.k8s.io/yaml"

	"lumacore.dev/lumacore/internal/check"
	"lumacore.dev/lumacore/internal/check/podsecurity"
	schemagate "lumacore.dev/lumacore/internal/check/schema"
	"lumacore.dev/lumacore/internal/config"
	"lumacore.dev/lumacore/internal/gitops"
	"lumacore.dev/lumacore/internal/golden"
	"lumacore.dev/lumacore/internal/render"
	"lumacore.dev/lumacore/internal/report"
	"lumacore.dev/lumacore/internal/schemas"
)

// blueprint is the folder that the lab's repository is made of.
const blueprint = "../../blueprint"

// The blueprint as it stands passes.
func TestCheckBlueprint(t *testing.T) {
	r := shared.try(t, "check", "--offline", blueprint)
	if r.code != 0 || !strings.Contains(r.stdout, "\npassed: ") {
		t.Errorf("exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
}

// What gate schema says of the blueprint's objects is what the API server says.
func TestSchemaOnBlueprint(t *testing.T) {
	s := newServer(t)
	in := renderBlueprint(t)
	rep := gate(t, schemagate.Gate, in)
	found := byObject(rep)
	for _, u := range rep.NotChecked {
		// The Flux Operator's licence keeps its kinds out of the catalogue.
		if u.Gate == "schema" && !strings.HasPrefix(u.Subject, "FluxInstance ") {
			t.Errorf("not checked: %s: %s: %s", u.Gate, u.Subject, u.Reason)
		}
	}
	objects := in.Render.Clusters[0].Objects
	if len(objects) < 150 {
		t.Errorf("only %d objects", len(objects))
	}
	skipped := map[string]int{}
	for _, o := range objects {
		err := s.apply(t, o.Unstructured)
		if meta.IsNoMatchError(err) {
			skipped[o.GroupVersionKind().String()]++
			continue
		}
		said := found[o.Key().String()]
		if (err != nil) != (len(said) > 0) {
			t.Errorf("%s (%s)\n  API server: %v\n  gate: %q", o.Key(), o.Origin.Location, answer(err), messages(said))
		}
	}
	// Everything that the blueprint has in the lab, the lab's API server knows.
	if diff := cmp.Diff(map[string]int{}, skipped); diff != "" {
		t.Errorf("kinds that the lab does not have (-want +got):\n%s", diff)
	}
}

// TestSchemaOnCases: the API server refuses and accepts what gate schema says it
// does, and for the reason that it gives. The first two files are those of the
// gate's own tests.
func TestSchemaOnCases(t *testing.T) {
	s := newServer(t)
	s.namespace(t, "e2e-schema", nil)
	refused := 0
	for _, file := range []string{
		"../../internal/check/schema/testdata/refused.txtar",
		"../../internal/check/schema/testdata/accepted.txtar",
		"testdata/schema.txtar",
	} {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range archive.Files {
			if name, ok := strings.CutSuffix(f.Name, ".yaml"); ok {
				t.Run(name, func(t *testing.T) { refused += s.compare(t, name, inNamespace(f.Data)) })
			}
		}
	}
	if refused < 200 && !t.Failed() {
		t.Errorf("only %d objects are refused", refused)
	}
}

// TestSchemaLimits: what the API server refuses and the gate does not know is still
// that, for the reason that the table gives. -update writes the reasons anew.
func TestSchemaLimits(t *testing.T) {
	const file = "testdata/schema-limits.txtar"
	s := newServer(t)
	s.namespace(t, "e2e-schema", nil)
	archive, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(archive.Files); i += 2 {
		f, want := archive.Files[i], &archive.Files[i+1]
		name := strings.TrimSuffix(f.Name, ".yaml")
		if want.Name != name+".want" {
			t.Fatalf("%s is followed by %s", f.Name, want.Name)
		}
		t.Run(name, func(t *testing.T) {
			in := renderFiles(t, map[string][]byte{"cluster/objects.yaml": []byte(inNamespace(f.Data))})
			found := byObject(gate(t, schemagate.Gate, in))
			objects := in.Render.Clusters[0].Objects
			if len(objects) != 1 {
				t.Fatalf("%d objects", len(objects))
			}
			o := objects[0]
			err := s.apply(t, o.Unstructured)
			if said := found[o.Key().String()]; err == nil || len(said) > 0 {
				t.Fatalf("no limit of the gate\n  API server: %s\n  gate: %q", answer(err), messages(said))
			}
			got := reasons(err)
			if *golden.Update {
				want.Data = []byte(got)
			}
			if diff := cmp.Diff(string(want.Data), got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	if *golden.Update && !t.Failed() {
		if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// reasons is what the API server has against an object, a line for each field.
func reasons(err error) string {
	var lines []string
	var status apierrors.APIStatus
	if errors.As(err, &status) && status.Status().Details != nil {
		for _, c := range status.Status().Details.Causes {
			message, _, _ := strings.Cut(c.Message, "\n")
			message, _, _ = strings.Cut(message, " (e.g. ")
			lines = append(lines, c.Field+": "+message)
		}
	}
	if len(lines) == 0 {
		lines = []string{err.Error()}
	}
	slices.Sort(lines)
	return strings.Join(slices.Compact(lines), "\n") + "\n"
}

// inNamespace moves objects from the namespace x of the gate's own tests to the one
// of these tests.
func inNamespace(manifests []byte) string {
	return strings.ReplaceAll(string(manifests), "\n  namespace: x\n", "\n  namespace: e2e-schema\n")
}

// compare holds what the API server says of the objects against what the gate says.
// A CRD that the API server accepts is installed for the objects after it. It returns
// how many objects were refused.
func (s *server) compare(t *testing.T, name, manifests string) (refused int) {
	t.Helper()
	files := map[string][]byte{"cluster/objects.yaml": []byte(manifests)}
	if strings.Contains(manifests, "constraints.gatekeeper.sh/") {
		files["cluster/template.yaml"] = []byte(constraintTemplate(t))
	}
	in := renderFiles(t, files)
	found := byObject(gate(t, schemagate.Gate, in))
	objects := in.Render.Clusters[0].Objects
	slices.SortStableFunc(objects, func(a, b *render.Object) int { return a.Origin.Line - b.Origin.Line })
	for i, o := range objects {
		s.install(t, o.Unstructured)
		err := s.apply(t, o.Unstructured)
		said := found[o.Key().String()]
		if err != nil {
			refused++
		}
		if err == nil && i < len(objects)-1 && o.GetKind() == "CustomResourceDefinition" {
			s.define(t, o.Unstructured)
		}
		if (err != nil) != (len(said) > 0) {
			t.Errorf("%s (%s)\n  API server: %s\n  gate: %q", o.Key(), o.Origin.Location, answer(err), messages(said))
			continue
		}
		for _, field := range fieldsOf(err, o.Object) {
			if notNamed[name+" "+field] {
				continue
			}
			if !slices.ContainsFunc(said, func(f report.Finding) bool { return names(f, field, o.Object) }) {
				t.Errorf("%s (%s): the gate does not name the field %s\n  API server: %s\n  gate: %q", o.Key(), o.Origin.Location, field, answer(err), messages(said))
			}
		}
	}
	return refused
}

// notNamed are fields that the API server names and the gate does not, by case.
var notNamed = map[string]bool{
	// The gate names the field that the value is in; the API server has moved it.
	"secret-docker-config data .dockerconfigjson": true,
	// It makes a label of the name.
	"name-too-long metadata labels": true,
	// It takes the port for the target port, too.
	"service-port-range spec ports 0 targetPort": true,
	// One of two fields is too much; the gate names the other, or what they are in.
	"volume-two-sources spec template spec volumes 0 configMap":                  true,
	"probe-two-handlers spec template spec containers 0 livenessProbe tcpSocket": true,
}

// names tells whether a finding names the field, or one in it. Of something that is
// missing it may name what it is missing from.
func names(f report.Finding, field string, obj any) bool {
	named, _, _ := strings.Cut(f.Message, ": ")
	if rest, ok := strings.CutPrefix(f.Message, `unknown field "`); ok {
		named, _, _ = strings.Cut(rest, `"`)
	}
	named = fieldPath(named, obj) + " "
	field += " "
	return strings.HasPrefix(named, field) || f.Rule == "schema/required-field" && strings.HasPrefix(field, named)
}

// fieldPath writes a field as the names and numbers on the way to it in obj, for
// all ways in which fields are written: metadata.labels[a/b], .spec.ports[0],
// .spec.containers[name="a"].
func fieldPath(text string, obj any) string {
	var path []string
	for text = strings.TrimPrefix(text, "."); text != ""; text = strings.TrimPrefix(text, ".") {
		var key string
		if rest, ok := strings.CutPrefix(text, "["); ok {
			key, text, _ = strings.Cut(rest, "]")
			if list, ok := obj.([]any); ok {
				n, err := strconv.Atoi(key)
				if err != nil {
					n = slices.IndexFunc(list, func(item any) bool { return hasKeys(item, key) })
				}
				key, obj = strconv.Itoa(n), nil
				if n >= 0 && n < len(list) {
					obj = list[n]
				}
				path = append(path, key)
				continue
			}
		} else {
			key = text
			if i := strings.IndexAny(text, ".["); i >= 0 {
				key = text[:i]
			}
			if m, ok := obj.(map[string]any); ok {
				for k := range m { // the longest that fits: keys may have dots
					if len(k) > len(key) && strings.HasPrefix(text, k) && (len(k) == len(text) || strings.ContainsAny(text[len(k):len(k)+1], ".[")) {
						key = k
					}
				}
			}
			text = text[len(key):]
		}
		m, _ := obj.(map[string]any)
		obj = m[key]
		path = append(path, key)
	}
	return strings.Join(path, " ")
}

// hasKeys tells whether an entry of a list has keys such as name="a",port=80. One
// that it does not have has its default value.
func hasKeys(item any, keys string) bool {
	m, ok := item.(map[string]any)
	for _, pair := range strings.Split(keys, ",") {
		k, v, isPair := strings.Cut(pair, "=")
		b, err := json.Marshal(m[k])
		ok = ok && isPair && err == nil && (m[k] == nil || string(b) == v)
	}
	return ok
}

// constraintTemplate is the blueprint's, whose constraints the lab has.
func constraintTemplate(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(blueprint, "policies/templates/image-tag/template.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// install installs the CRD of an object's kind from the catalogue, if the lab has
// none.
func (s *server) install(t *testing.T, o *unstructured.Unstructured) {
	t.Helper()
	gk := o.GroupVersionKind().GroupKind()
	found, ok := schemas.Lookup(gk.Group, gk.Kind)
	if _, err := s.mapper.RESTMappings(gk); !ok || !meta.IsNoMatchError(err) {
		return
	}
	data, err := found.JSON()
	if err != nil {
		t.Fatal(err)
	}
	crd := &unstructured.Unstructured{}
	if err := crd.UnmarshalJSON(data); err != nil {
		t.Fatal(err)
	}
	s.define(t, crd)
}

// define creates a CRD for the time of the test.
func (s *server) define(t *testing.T, crd *unstructured.Unstructured) {
	t.Helper()
	s.create(t, crd)
	eventually(t, 20*time.Second, "CRD "+crd.GetName()+" is served", func() error {
		now := shared.must(t, crd.GroupVersionKind(), "", crd.GetName())
		if list := field(now, "status", "conditions"); !strings.Contains(list, "type:Established") || !strings.Contains(list, "InitialNamesAccepted") {
			return fmt.Errorf("conditions %s", list)
		}
		served := schema.GroupVersionResource{Group: field(crd, "spec", "group"), Resource: field(crd, "spec", "names", "plural")}
		versions, _, _ := unstructured.NestedSlice(crd.Object, "spec", "versions")
		for _, v := range versions {
			if v, _ := v.(map[string]any); v["served"] == true {
				served.Version, _ = v["name"].(string)
			}
		}
		_, err := s.dynamic.Resource(served).List(t.Context(), metav1.ListOptions{Limit: 1})
		return err
	})
}

// levels are namespaces by what they are held to: their labels after
// pod-security.kubernetes.io/.
var levels = map[string]map[string]string{
	"e2e-psa-none":       nil,
	"e2e-psa-privileged": {"enforce": "privileged", "warn": "baseline", "audit": "restricted"},
	"e2e-psa-baseline":   {"enforce": "baseline", "enforce-version": "latest", "warn": "restricted", "warn-version": "v1.36"},
	"e2e-psa-restricted": {"enforce": "restricted", "warn": "restricted"},
	"e2e-psa-old":        {"enforce": "baseline", "enforce-version": "v1.18", "warn": "restricted", "warn-version": "v1.24"},
	"e2e-psa-v1.24":      {"enforce": "restricted", "enforce-version": "v1.24"},
}

// What gate podsecurity says of the blueprint's pods, in their own namespaces, is
// what Pod Security Admission says.
func TestPodSecurityOnBlueprint(t *testing.T) {
	s := newServer(t)
	in := renderBlueprint(t)
	found := byObject(gate(t, podsecurity.Gate, in))
	n := 0
	for _, o := range in.Render.Clusters[0].Objects {
		if p := podOf(o); p != nil {
			n++
			s.admit(t, p, found[o.Key().String()])
		}
	}
	if n < 10 {
		t.Errorf("only %d workloads", n)
	}
}

// TestPodSecurityOnPods: Pod Security Admission refuses and warns of what the gate
// says it does, in the same words: pods with all kinds of violations, and the
// blueprint's, in namespaces of all levels and of older versions.
func TestPodSecurityOnPods(t *testing.T) {
	s := newServer(t)
	archive, err := txtar.ParseFile("testdata/podsecurity.txtar")
	if err != nil {
		t.Fatal(err)
	}
	var pods []*unstructured.Unstructured
	for _, o := range renderBlueprint(t).Render.Clusters[0].Objects {
		if p := podOf(o); p != nil {
			p.SetName(o.GetNamespace() + "-" + o.GetName())
			pods = append(pods, p)
		}
	}
	for _, f := range archive.Files {
		p := object(pod, "", strings.TrimSuffix(f.Name, ".yaml"))
		spec := map[string]any{}
		if err := yaml.Unmarshal(f.Data, &spec); err != nil {
			t.Fatal(err)
		}
		p.Object["spec"] = spec
		pods = append(pods, p)
	}
	if len(pods) < 30 {
		t.Errorf("only %d pods", len(pods))
	}
	for _, namespace := range slices.Sorted(maps.Keys(levels)) {
		labels := map[string]string{}
		for k, v := range levels[namespace] {
			labels["pod-security.kubernetes.io/"+k] = v
		}
		name := strings.ReplaceAll(namespace, ".", "-")
		t.Run(namespace, func(t *testing.T) {
			s.namespace(t, name, labels)
			eventually(t, 20*time.Second, "namespace "+name+" has its ServiceAccount", func() error {
				_, err := shared.get(t, schema.GroupVersionKind{Version: "v1", Kind: "ServiceAccount"}, name, "default")
				return err
			})
			ns := object(namespaceKind, "", name)
			ns.SetLabels(labels)
			objects := []any{ns.Object}
			for _, p := range pods {
				p.SetNamespace(name)
				objects = append(objects, p.Object)
			}
			list, err := yaml.Marshal(map[string]any{"apiVersion": "v1", "kind": "List", "items": objects})
			if err != nil {
				t.Fatal(err)
			}
			found := byObject(gate(t, podsecurity.Gate, renderFiles(t, map[string][]byte{"cluster/objects.yaml": list})))
			refused := 0
			for _, p := range pods {
				if s.admit(t, p, found["Pod "+name+"/"+p.GetName()]) {
					refused++
				}
			}
			// Those that are refused are more, the stricter the level is.
			least := map[string]int{"baseline": 10, "restricted": 20}[levels[namespace]["enforce"]]
			if refused < least || least == 0 && refused > 0 {
				t.Errorf("%d of %d pods are refused, want at least %d, and without a level none", refused, len(pods), least)
			}
		})
	}
}

// podOf returns the Pod that a workload makes; nil if it makes none. Its
// ServiceAccount is left out: Pod Security Admission does not look at it, and those
// of production are not in the lab.
func podOf(o *render.Object) *unstructured.Unstructured {
	pods, ok := o.Pods()
	if !ok {
		return nil
	}
	p := object(pod, o.GetNamespace(), o.GetName())
	spec := runtime.DeepCopyJSON(pods.Spec)
	delete(spec, "serviceAccountName")
	volumes, _ := spec["volumes"].([]any)
	claims, _, _ := unstructured.NestedSlice(o.Object, "spec", "volumeClaimTemplates") // of a StatefulSet
	for _, c := range claims {
		name, _, _ := unstructured.NestedString(c.(map[string]any), "metadata", "name")
		volumes = append(volumes, map[string]any{"name": name, "persistentVolumeClaim": map[string]any{"claimName": name + "-0"}})
	}
	if len(volumes) > 0 {
		spec["volumes"] = volumes
	}
	p.Object["spec"] = spec
	for _, k := range []string{"labels", "annotations"} {
		if m, ok := pods.Metadata[k].(map[string]any); ok {
			p.Object["metadata"].(map[string]any)[k] = m
		}
	}
	return p
}

var (
	gateSays   = regexp.MustCompile(`(?s)violates? PodSecurity ("[^"]+"), which namespace \S+ (enforces|warns about|audits): (.*)$`)
	serverSays = regexp.MustCompile(`(?s)violates? PodSecurity ("[^"]+"): (.*)$`)
)

// admit compares what Pod Security Admission says of a pod with the gate's findings.
// What it notes in the audit log is not seen here. It returns whether it refuses the
// pod.
func (s *server) admit(t *testing.T, p *unstructured.Unstructured, said []report.Finding) (refused bool) {
	t.Helper()
	want := map[string]string{}
	for _, f := range said {
		m := gateSays.FindStringSubmatch(f.Message)
		if m == nil {
			t.Fatalf("gate: %s", f.Message)
		}
		want[m[2]] = m[1] + ": " + m[3]
	}
	delete(want, "audits")
	if want["enforces"] != "" {
		delete(want, "warns about") // what is refused is not warned of
	}
	got := map[string]string{}
	s.warnings.take()
	err := s.createPod(t, p)
	if err != nil {
		m := serverSays.FindStringSubmatch(err.Error())
		if m == nil || !apierrors.IsForbidden(err) {
			t.Errorf("%s/%s is refused, but not by Pod Security Admission: %v", p.GetNamespace(), p.GetName(), err)
			return true
		}
		got["enforces"] = m[1] + ": " + m[2]
	}
	for _, w := range s.warnings.take() {
		if m := serverSays.FindStringSubmatch(w); m != nil {
			got["warns about"] = m[1] + ": " + m[2]
		}
	}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("%s/%s (-API server +gate):\n%s", p.GetNamespace(), p.GetName(), diff)
	}
	return err != nil
}

// createPod asks the API server for a Pod, without creating it. Ephemeral containers
// can only be added to one that is there.
func (s *server) createPod(t *testing.T, p *unstructured.Unstructured) error {
	t.Helper()
	dry := []string{metav1.DryRunAll}
	r, err := s.resource(p)
	if err != nil {
		t.Fatal(err)
	}
	ephemeral, ok, _ := unstructured.NestedSlice(p.Object, "spec", "ephemeralContainers")
	if !ok {
		_, err = r.Create(t.Context(), p, metav1.CreateOptions{DryRun: dry, FieldValidation: metav1.FieldValidationStrict})
		return err
	}
	there := p.DeepCopy()
	unstructured.RemoveNestedField(there.Object, "spec", "ephemeralContainers")
	s.create(t, there)
	s.warnings.take()
	patch, err := json.Marshal(map[string]any{"spec": map[string]any{"ephemeralContainers": ephemeral}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = r.Patch(t.Context(), p.GetName(), types.StrategicMergePatchType, patch, metav1.PatchOptions{DryRun: dry}, "ephemeralcontainers")
	return err
}

// server is the lab's API server, asked what it would do.
type server struct {
	dynamic  dynamic.Interface
	mapper   meta.RESTMapper
	warnings *warnings
}

// warnings are those of the last request.
type warnings struct {
	mu   sync.Mutex
	list []string
}

func (w *warnings) HandleWarningHeader(_ int, _, text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.list = append(w.list, text)
}

func (w *warnings) take() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	list := w.list
	w.list = nil
	return list
}

func newServer(t *testing.T) *server {
	t.Helper()
	cfg, err := clientcmd.BuildConfigFromFlags("", strings.TrimSpace(shared.run(t, "lab", "kubeconfig").stdout))
	if err != nil {
		t.Fatal(err)
	}
	s := &server{warnings: &warnings{}}
	cfg.QPS, cfg.WarningHandler = -1, s.warnings
	s.dynamic, err = dynamic.NewForConfig(cfg)
	if err != nil {
		t.Fatal(err)
	}
	h, err := rest.HTTPClientFor(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if s.mapper, err = apiutil.NewDynamicRESTMapper(cfg, h); err != nil {
		t.Fatal(err)
	}
	return s
}

// create creates an object for the time of the test.
func (s *server) create(t *testing.T, o *unstructured.Unstructured) {
	t.Helper()
	r, err := s.resource(o)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, 30*time.Second, "create "+o.GetName(), func() error {
		_, err := r.Create(t.Context(), o, metav1.CreateOptions{})
		if err != nil && !apierrors.IsAlreadyExists(err) { // it is being deleted
			t.Fatal(err)
		}
		return err
	})
	t.Cleanup(func() {
		if err := r.Delete(context.Background(), o.GetName(), metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
	})
}

// namespace creates a namespace for the time of the test.
func (s *server) namespace(t *testing.T, name string, labels map[string]string) {
	t.Helper()
	ns := object(namespaceKind, "", name)
	ns.SetLabels(labels)
	s.create(t, ns)
}

var namespaceKind = schema.GroupVersionKind{Version: "v1", Kind: "Namespace"}

func (s *server) resource(o *unstructured.Unstructured) (dynamic.ResourceInterface, error) {
	gvk := o.GroupVersionKind()
	m, err := s.mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
	if err != nil {
		return nil, err
	}
	if m.Scope.Name() == meta.RESTScopeNameNamespace {
		return s.dynamic.Resource(m.Resource).Namespace(o.GetNamespace()), nil
	}
	return s.dynamic.Resource(m.Resource), nil
}

// apply is a server-side apply that changes nothing. The error is what the API
// server, or a client for it, has against the object.
func (s *server) apply(t *testing.T, o *unstructured.Unstructured) error {
	t.Helper()
	if o.GetName() == "" || strings.Contains(o.GetName(), "/") {
		return fmt.Errorf("no client asks for an object with the name %q", o.GetName())
	}
	r, err := s.resource(o)
	if meta.IsNoMatchError(err) {
		return err
	} else if err != nil {
		t.Fatal(err)
	}
	data, err := o.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	force := true
	_, err = r.Patch(t.Context(), o.GetName(), types.ApplyPatchType, data, metav1.PatchOptions{
		DryRun: []string{metav1.DryRunAll}, FieldManager: "e2e", FieldValidation: metav1.FieldValidationStrict, Force: &force,
	})
	var status apierrors.APIStatus
	if err != nil && (!errors.As(err, &status) || apierrors.IsTooManyRequests(err) || apierrors.IsServiceUnavailable(err) || apierrors.IsTimeout(err)) {
		t.Fatal(err)
	}
	return err
}

// answer is what the API server says, in one line.
func answer(err error) string {
	if err == nil {
		return "accepted"
	}
	return err.Error()
}

func messages(list []report.Finding) []string {
	var out []string
	for _, f := range list {
		out = append(out, fmt.Sprintf("%s %s: %s", f.Location, f.Rule, f.Message))
	}
	return out
}

// typed finds the fields in what server-side apply has against an object, which has
// no list of causes: "….: .spec.replica: field not declared in schema", or several,
// one on a line.
var typed = regexp.MustCompile(`(?m)(?:: |^\s*)(\.[^\s:]+): `)

// misnamed are fields that the API server writes in another way than they are.
var misnamed = strings.NewReplacer(
	"spec.template.labels", "spec.template.metadata.labels",
	"spec.resources[storage]", "spec.resources.requests.storage",
	"metadata.ownerReferences.uid", "metadata.ownerReferences[0].uid",
	"spec.validation.openAPIV3Schema", "spec.versions[0].schema.openAPIV3Schema",
)

// fieldsOf are the fields that the API server names, as [fieldPath] writes them.
func fieldsOf(err error, obj any) []string {
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		return nil
	}
	var out []string
	if d := status.Status().Details; d != nil {
		for _, c := range d.Causes {
			if c.Field != "" && c.Field != "<nil>" {
				out = append(out, fieldPath(misnamed.Replace(c.Field), obj))
			}
		}
	}
	if len(out) == 0 {
		for _, m := range typed.FindAllStringSubmatch(err.Error(), -1) {
			out = append(out, fieldPath(m[1], obj))
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// gate runs a gate.
func gate(t *testing.T, g *check.Gate, in *check.Input) *report.CheckReport {
	t.Helper()
	rep, err := check.Run(t.Context(), []*check.Gate{g}, in)
	if err != nil {
		t.Fatal(err)
	}
	return rep
}

// byObject are a gate's findings by object, without those for information. Those
// that go by the CRDs of the catalogue are warnings, and the lab has the same CRDs.
func byObject(rep *report.CheckReport) map[string][]report.Finding {
	out := map[string][]report.Finding{}
	for _, f := range rep.Findings {
		if f.Severity.AtLeast(report.Warning) {
			out[f.Object] = append(out[f.Object], f)
		}
	}
	return out
}

// renderBlueprint renders the blueprint's cluster lab as the lab has it.
func renderBlueprint(t *testing.T) *check.Input {
	t.Helper()
	tree, err := gitops.Open(t.Context(), blueprint)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tree.Close() })
	// The lab's own name of its registry is in the ConfigMap that all variables are in.
	settings := shared.must(t, configMap, "flux-system", "cluster-settings")
	registry := field(settings, "data", "REGISTRY")
	in := renderTree(t, tree, "lab", map[string]string{"LAB_REGISTRY": registry})
	for _, p := range in.Render.Clusters[0].Problems {
		t.Errorf("%s: %s", p.Location, p.Message)
	}
	if !strings.HasPrefix(registry, "127.0.0.1:") {
		t.Errorf("the lab's registry is %q", registry)
	}
	return in
}

func renderFiles(t *testing.T, files map[string][]byte) *check.Input {
	t.Helper()
	files["lumacore.yaml"] = []byte("apiVersion: lumacore.dev/v1alpha1\nkind: Config\nclusters:\n  - name: test\n    path: cluster\n")
	return renderTree(t, gitops.FromFiles(files), "test", nil)
}

func renderTree(t *testing.T, tree *gitops.Tree, cluster string, substitute map[string]string) *check.Input {
	t.Helper()
	cfg, err := config.Load(tree)
	if err != nil {
		t.Fatal(err)
	}
	clusters, err := gitops.Discover(tree, cfg.Clusters)
	if err != nil {
		t.Fatal(err)
	}
	clusters = slices.DeleteFunc(clusters, func(c gitops.Cluster) bool { return c.Name != cluster })
	if len(clusters) != 1 {
		t.Fatalf("no cluster %s", cluster)
	}
	if substitute != nil {
		clusters[0].Substitute = substitute
	}
	kube := utilversion.MustParseGeneric("1.36.3")
	res, err := render.Render(t.Context(), tree, clusters, render.Options{KubeVersion: kube.String(), EnvironmentLabel: cfg.EnvironmentLabel})
	if err != nil {
		t.Fatal(err)
	}
	return &check.Input{Tree: tree, Render: res, Config: cfg, KubeVersion: kube, Now: time.Now()}
}
