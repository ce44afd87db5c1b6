//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/shirou/gopsutil/v4/process"
	"golang.org/x/tools/txtar"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"lumacore.dev/lumacore/internal/check"
	"lumacore.dev/lumacore/internal/check/dryrun"
	"lumacore.dev/lumacore/internal/lab"
	"lumacore.dev/lumacore/internal/lab/controlplane"
	"lumacore.dev/lumacore/internal/report"
	"lumacore.dev/lumacore/test/repository"
)

// throwaway gives a gate an API server of its own, as --dry-run=lab does.
func throwaway(t *testing.T, in *check.Input) {
	t.Helper()
	cache, err := lab.DefaultCache(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	in.Throwaway = true
	in.APIServer = func(ctx context.Context) (*rest.Config, func(), error) {
		s, err := controlplane.Start(ctx, cache.Path)
		if err != nil {
			return nil, nil, err
		}
		return s.Config(), func() {
			if err := s.Stop(); err != nil {
				t.Error(err)
			}
		}, nil
	}
}

// The blueprint passes: an API server takes all of it, of the cluster, of the lab and of
// the cluster with every option; there is no custom resource whose kind it has not.
func TestDryRunBlueprint(t *testing.T) {
	r := shared.try(t, "check", "--dry-run=lab", "--offline", "-o", "json", blueprint)
	var rep report.CheckReport
	if err := json.Unmarshal([]byte(r.stdout), &rep); err != nil {
		t.Fatalf("%v\n%s%s", err, r.stdout, r.stderr)
	}
	if r.code != 0 {
		t.Errorf("exit %d: %s", r.code, r.stderr)
	}
	for _, f := range rep.Findings {
		if f.Gate() == "dryrun" {
			t.Errorf("%s %s: %s", f.Location, f.Rule, f.Message)
		}
	}
	for _, u := range rep.NotChecked {
		if u.Gate == "dryrun" {
			t.Errorf("not checked: %s: %s", u.Subject, u.Reason)
		}
	}
	if !slices.ContainsFunc(rep.Gates, func(g report.GateResult) bool { return g.Name == "dryrun" }) ||
		slices.ContainsFunc(rep.NotRun, func(n report.NotRun) bool { return n.Needs == check.NeedsAPIServer }) {
		t.Errorf("gates %v, not run %v", rep.Gates, rep.NotRun)
	}
}

// TestDryRunLimits: the gate finds what the API server refuses and gate schema does not
// know, for the reason that is in the file.
func TestDryRunLimits(t *testing.T) {
	archive, err := txtar.ParseFile("testdata/schema-limits.txtar")
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{"cluster/namespace.yaml": []byte("apiVersion: v1\nkind: Namespace\nmetadata:\n  name: e2e-schema\n")}
	want := map[string]string{} // file -> reasons
	for i := 0; i+1 < len(archive.Files); i += 2 {
		name := strings.TrimSuffix(archive.Files[i].Name, ".yaml")
		file := "cases/" + name + "/object.yaml"
		files[file] = []byte(inNamespace(archive.Files[i].Data))
		files["cluster/"+name+".yaml"] = []byte(strings.ReplaceAll(`apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata:
  name: NAME
  namespace: flux-system
spec:
  interval: 10m
  path: ./cases/NAME
  prune: true
  sourceRef:
    kind: GitRepository
    name: flux-system
`, "NAME", name))
		want[file] = string(archive.Files[i+1].Data)
	}
	in := renderFiles(t, files)
	throwaway(t, in)
	rep := gate(t, dryrun.Gate, in)
	// What the throwaway server cannot know: a kind that nothing defines, and which
	// addresses the cluster gives to Services.
	var unchecked []string
	for _, u := range rep.NotChecked {
		unchecked = append(unchecked, u.Location.File)
		delete(want, u.Location.File)
	}
	if diff := cmp.Diff([]string{"cases/service-cluster-ip-outside/object.yaml", "cases/unknown-group/object.yaml"}, unchecked); diff != "" {
		t.Errorf("not checked (-want +got):\n%s", diff)
	}
	found := map[string][]report.Finding{}
	for _, f := range rep.Findings {
		found[f.Location.File] = append(found[f.Location.File], f)
	}
	for _, file := range slices.Sorted(maps.Keys(want)) {
		for _, reason := range strings.Split(strings.TrimSpace(want[file]), "\n") {
			if strings.HasPrefix(reason, "no matches for kind ") { // in the words of a client
				reason = "does not serve this version"
				if strings.Contains(want[file], "PodSecurityPolicy") || strings.Contains(want[file], "CustomResourceDefinition") {
					reason = "the API server serves no "
				}
			}
			ok := slices.ContainsFunc(found[file], func(f report.Finding) bool {
				return f.Rule == "dryrun/refused" && strings.Contains(f.Message, strings.Join(strings.Fields(reason), " "))
			})
			if !ok {
				t.Errorf("%s: not found: %s\n  found: %q", file, reason, messages(found[file]))
			}
		}
		delete(found, file)
	}
	for file, more := range found {
		t.Errorf("%s: found where nothing is wrong: %q", file, messages(more))
	}
	if len(want) < 50 {
		t.Errorf("only %d cases", len(want))
	}
}

// TestDryRunExamples: the bad example of each rule breaks it, the good one none.
func TestDryRunExamples(t *testing.T) {
	for _, rule := range dryrun.Gate.Rules {
		t.Run(strings.TrimPrefix(rule.ID, "dryrun/"), func(t *testing.T) {
			t.Run("bad", func(t *testing.T) {
				rep := example(t, rule.Bad)
				if !slices.ContainsFunc(rep.Findings, func(f report.Finding) bool { return f.Rule == rule.ID }) {
					t.Errorf("the rule is not broken: %q, not checked %v", messages(rep.Findings), rep.NotChecked)
				}
			})
			t.Run("good", func(t *testing.T) {
				if rep := example(t, rule.Good); len(rep.Findings) > 0 || len(rep.NotChecked) > 0 {
					t.Errorf("%q, not checked %v", messages(rep.Findings), rep.NotChecked)
				}
			})
		})
	}
}

// example runs the gate over an example: on a server of its own, or, where the example
// says with base: files what is in the cluster, on the lab's.
func example(t *testing.T, repository string) *report.CheckReport {
	t.Helper()
	archive := txtar.Parse([]byte(repository))
	files, live := map[string][]byte{}, map[string][]byte{}
	for _, f := range archive.Files {
		if name, ok := strings.CutPrefix(f.Name, "base:"); ok {
			live[name] = f.Data
		} else {
			files[f.Name] = f.Data
		}
	}
	if len(archive.Files) == 0 {
		files["cluster/objects.yaml"] = []byte(repository)
	}
	in := renderFiles(t, files)
	if len(live) == 0 {
		throwaway(t, in)
		return gate(t, dryrun.Gate, in)
	}
	s := newServer(t)
	for _, o := range renderFiles(t, live).Render.Clusters[0].Objects {
		s.create(t, o.Unstructured)
	}
	config, err := clientcmd.BuildConfigFromFlags("", strings.TrimSpace(shared.run(t, "lab", "kubeconfig").stdout))
	if err != nil {
		t.Fatal(err)
	}
	in.APIServer = func(context.Context) (*rest.Config, func(), error) { return config, func() {}, nil }
	return gate(t, dryrun.Gate, in)
}

// TestDryRunDefects: of the mistakes that only an API server knows all are found in a
// generated repository, each at its line, and nothing else; with the whole command line.
func TestDryRunDefects(t *testing.T) {
	for _, set := range [][]string{nil, {"dryrun"}} {
		r, err := repository.Generate(repository.Options{Apps: 20, Seed: 1, Defects: set})
		if err != nil {
			t.Fatal(err)
		}
		dir := filepath.Join(t.TempDir(), "repository")
		if err := r.Write(dir); err != nil {
			t.Fatal(err)
		}
		out := shared.try(t, "check", "--dry-run=lab", "--offline", "-o", "json", dir)
		var rep report.CheckReport
		if err := json.Unmarshal([]byte(out.stdout), &rep); err != nil {
			t.Fatalf("%v\n%s%s", err, out.stdout, out.stderr)
		}
		want, got := map[string]bool{}, map[string]bool{}
		for _, d := range r.Defects {
			want[d.String()] = true
		}
		for _, f := range rep.Findings {
			got[repository.Defect{Rule: f.Rule, File: f.Location.File, Line: f.Location.Line}.String()] = true
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%v (-want +got):\n%s", set, diff)
		}
		for _, u := range rep.NotChecked {
			t.Errorf("%v: not checked: %s %s: %s", set, u.Gate, u.Subject, u.Reason)
		}
	}
}

// remains are the folders and processes of control planes that checks have started.
func remains(t *testing.T, tmp string) []string {
	t.Helper()
	left, err := filepath.Glob(filepath.Join(tmp, "lumacore-controlplane-*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	procs, err := process.Processes()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range procs {
		if line, err := p.Cmdline(); err == nil && strings.Contains(line, tmp+"/lumacore-controlplane-") {
			left = append(left, fmt.Sprintf("%d: %s", p.Pid, strings.SplitN(line, " ", 2)[0]))
		}
	}
	return left
}

// TestDryRunInterrupted: nothing is left behind after the end, after Ctrl-C, and, once
// the next check has run, after a kill.
func TestDryRunInterrupted(t *testing.T) {
	tmp := t.TempDir()
	command := func() *exec.Cmd {
		cmd := shared.command("check", "--dry-run=lab", "--offline", "--gate", "dryrun", blueprint)
		cmd.Env = append(cmd.Env, "TMPDIR="+tmp)
		return cmd
	}
	running := func() bool { return len(remains(t, tmp)) > 2 } // a folder and both processes
	for _, test := range []struct {
		signal syscall.Signal
		code   int
	}{{syscall.SIGINT, 130}, {syscall.SIGKILL, -1}} {
		cmd := command()
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		eventually(t, 30*time.Second, "the control plane runs", func() error {
			if !running() {
				return fmt.Errorf("there is %v", remains(t, tmp))
			}
			return nil
		})
		if err := cmd.Process.Signal(test.signal); err != nil {
			t.Fatal(err)
		}
		err := cmd.Wait()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != test.code {
			t.Errorf("%s: %v, want exit status %d", test.signal, err, test.code)
		}
		if test.signal == syscall.SIGINT {
			if left := remains(t, tmp); len(left) > 0 {
				t.Errorf("after %s: %v", test.signal, left)
			}
			continue
		}
		eventually(t, 10*time.Second, "the processes have ended with the one that was killed", func() error {
			if left := remains(t, tmp); len(left) > 1 {
				return fmt.Errorf("there is %v", left)
			}
			return nil
		})
	}
	if out, err := command().CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	if left := remains(t, tmp); len(left) > 0 {
		t.Errorf("after the next check: %v", left)
	}
}

// policies are an admission policy and what it denies: a Deployment and, although it is
// created before, a Namespace; and one that it allows.
const policies = `apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata:
  name: owned
spec:
  paramKind:
    apiVersion: v1
    kind: ConfigMap
  matchConstraints:
    resourceRules:
      - apiGroups: ["", apps]
        apiVersions: [v1]
        operations: [CREATE]
        resources: [namespaces, deployments]
  validations:
    - expression: has(object.metadata.labels) && params.data.label in object.metadata.labels
      messageExpression: "'the label ' + params.data.label + ' is missing; applied by ' + request.userInfo.username"
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata:
  name: owned
spec:
  policyName: owned
  validationActions: [Deny]
  paramRef:
    name: owned
    namespace: here
    parameterNotFoundAction: Deny
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: owned
  namespace: here
data:
  label: owner
---
apiVersion: v1
kind: Namespace
metadata:
  name: here
  labels:
    owner: me
---
apiVersion: v1
kind: Namespace
metadata:
  name: nobodys
`

// TestDryRunPolicies: the API server itself evaluates the admission policies of the
// render, over what had to be created before them too.
func TestDryRunPolicies(t *testing.T) {
	in := renderFiles(t, map[string][]byte{"cluster/objects.yaml": []byte(policies)})
	throwaway(t, in)
	rep := gate(t, dryrun.Gate, in)
	want := []string{"cluster/objects.yaml:46 dryrun/refused: the API server refuses it: namespaces \"nobodys\" is forbidden: ValidatingAdmissionPolicy 'owned' with binding 'owned' denied request: the label owner is missing; applied by system:serviceaccount:flux-system:kustomize-controller"}
	if diff := cmp.Diff(want, messages(rep.Findings)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if len(rep.NotChecked) > 0 {
		t.Errorf("not checked: %v", rep.NotChecked)
	}
}

// TestDryRunKubeconfig: against a cluster nothing is created; what the user may not do
// is not checked, and is no finding.
func TestDryRunKubeconfig(t *testing.T) {
	admin, err := clientcmd.LoadFromFile(strings.TrimSpace(shared.run(t, "lab", "kubeconfig").stdout))
	if err != nil {
		t.Fatal(err)
	}
	// A user with the right to nothing but ConfigMaps.
	s := newServer(t)
	for _, text := range []string{
		`{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"ClusterRole","metadata":{"name":"e2e-dryrun"},"rules":[{"apiGroups":[""],"resources":["configmaps"],"verbs":["create","patch"]}]}`,
		`{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"ClusterRoleBinding","metadata":{"name":"e2e-dryrun"},"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":"e2e-dryrun"},"subjects":[{"apiGroup":"rbac.authorization.k8s.io","kind":"User","name":"e2e-dryrun"}]}`,
	} {
		o := &unstructured.Unstructured{}
		if err := o.UnmarshalJSON([]byte(text)); err != nil {
			t.Fatal(err)
		}
		s.create(t, o)
	}
	s.namespace(t, "e2e-dryrun", nil)
	context := admin.Contexts[admin.CurrentContext]
	admin.AuthInfos[context.AuthInfo].Impersonate = "e2e-dryrun"
	admin.Contexts["other"] = &clientcmdapi.Context{Cluster: "nowhere", AuthInfo: context.AuthInfo}
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*admin, kubeconfig); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	const objects = `apiVersion: v1
kind: ConfigMap
metadata:
  name: a
  namespace: e2e-dryrun
data:
  key: value
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: b
  namespace: e2e-dryrun
data:
  bad/key: value
---
apiVersion: v1
kind: Secret
metadata:
  name: a
  namespace: e2e-dryrun
---
apiVersion: v1
kind: Namespace
metadata:
  name: e2e-dryrun-new
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: a
  namespace: e2e-dryrun-new
data:
  key: value
`
	for name, text := range map[string]string{
		"lumacore.yaml":        "apiVersion: lumacore.dev/v1alpha1\nkind: Config\nclusters:\n  - name: test\n    path: cluster\n",
		"cluster/objects.yaml": objects,
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	r := shared.try(t, "check", "--gate", "dryrun", "--dry-run", kubeconfig, "-o", "json", dir)
	var rep report.CheckReport
	if err := json.Unmarshal([]byte(r.stdout), &rep); err != nil {
		t.Fatalf("%v\n%s%s", err, r.stdout, r.stderr)
	}
	var unchecked []string
	for _, u := range rep.NotChecked {
		unchecked = append(unchecked, u.Subject+": "+u.Reason)
	}
	if diff := cmp.Diff([]string{
		"Secret e2e-dryrun/a (v1): the user of the kubeconfig may not patch secrets there",
		"Namespace e2e-dryrun-new (v1): the user of the kubeconfig may not patch namespaces there",
		"ConfigMap e2e-dryrun-new/a (v1): the cluster does not have the namespace e2e-dryrun-new yet: the render makes it",
	}, unchecked); diff != "" {
		t.Errorf("not checked (-want +got):\n%s", diff)
	}
	if got := messages(rep.Findings); len(got) != 1 || !strings.HasPrefix(got[0], "cluster/objects.yaml:15 dryrun/refused: the API server refuses it: data[bad/key]: Invalid value: ") {
		t.Errorf("findings %q", got)
	}
	if r := shared.try(t, "check", "--gate", "dryrun", "--dry-run", kubeconfig, "--kube-context", "other", dir); r.code != 2 || !strings.Contains(r.stderr, "nowhere") {
		t.Errorf("exit %d\n%s", r.code, r.stderr)
	}
	if _, err := shared.get(t, configMap, "e2e-dryrun", "a"); err == nil {
		t.Error("a dry run has made a ConfigMap")
	}
}

// TestDryRunOfChange: what a change causes is told from what was there before, each
// tried on a server of its own.
func TestDryRunOfChange(t *testing.T) {
	const old, added = "web", "more"
	deployment := func(name string) string {
		return "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: " + name + "\n  namespace: default\nspec:\n  minReadySeconds: 700\n  selector: {matchLabels: {app: a}}\n  template:\n    metadata: {labels: {app: a}}\n    spec:\n      containers: [{name: a, image: a}]\n"
	}
	in := renderFiles(t, map[string][]byte{"cluster/old.yaml": []byte(deployment(old)), "cluster/new.yaml": []byte(deployment(added))})
	before := renderFiles(t, map[string][]byte{"cluster/old.yaml": []byte(deployment(old))})
	in.Base = &check.Base{Revision: "main", Tree: before.Tree, Config: before.Config, Render: before.Render}
	throwaway(t, in)
	rep := gate(t, dryrun.Gate, in)
	if len(rep.Findings) != 1 || rep.Findings[0].Object != "Deployment default/"+added {
		t.Errorf("findings %q, want that of the new object", messages(rep.Findings))
	}
}

// definitions are custom resources whose definition is in the render, with a webhook
// that nobody answers, in that of a ConstraintTemplate, in the catalogue, refused, and
// nowhere; and pods that need what admission looks up.
const definitions = `apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: lamps.example.com
spec:
  group: example.com
  scope: Namespaced
  names: {kind: Lamp, listKind: LampList, plural: lamps, singular: lamp}
  conversion:
    strategy: Webhook
    webhook:
      conversionReviewVersions: [v1]
      clientConfig: {service: {namespace: here, name: nobody}}
  versions:
    - name: v1
      served: true
      storage: false
      schema: &schema {openAPIV3Schema: {type: object, properties: {spec: {type: object, properties: {watts: {type: integer}}, x-kubernetes-validations: [{rule: self.watts < 100, message: too bright}]}}}}
    - {name: v2, served: true, storage: true, schema: *schema}
---
apiVersion: example.com/v1
kind: Lamp
metadata: {name: good, namespace: here}
spec: {watts: 60}
---
apiVersion: example.com/v1
kind: Lamp
metadata: {name: bad, namespace: here}
spec: {watts: 600}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: wrong.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {kind: Fan, plural: fans}
  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}]
---
apiVersion: example.com/v1
kind: Fan
metadata: {name: a, namespace: here}
---
apiVersion: constraints.gatekeeper.sh/v1beta1
kind: LumaCoreImageTag
metadata: {name: bad}
spec: {enforcementAction: [deny]}
---
apiVersion: traefik.io/v1alpha1
kind: Middleware
metadata: {name: bad, namespace: here}
spec: {stripPrefix: {prefixes: one}}
---
apiVersion: example.org/v1
kind: Unknown
metadata: {name: a, namespace: here}
---
apiVersion: v1
kind: Namespace
metadata: {name: Here}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: a, namespace: Here}
---
apiVersion: scheduling.k8s.io/v1
kind: PriorityClass
metadata: {name: high}
value: 1000
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: mine, namespace: here}
---
apiVersion: v1
kind: LimitRange
metadata: {name: a, namespace: here}
spec: {limits: [{type: Container, max: {memory: 1Gi}}]}
---
apiVersion: v1
kind: Pod
metadata: {name: good, namespace: here}
spec: {serviceAccountName: mine, priorityClassName: high, containers: [{name: a, image: a, resources: {limits: {memory: 1Gi}}}]}
---
apiVersion: v1
kind: Pod
metadata: {name: default, namespace: elsewhere}
spec: {containers: [{name: a, image: a}]}
---
apiVersion: v1
kind: Pod
metadata: {name: bad, namespace: here}
spec: {serviceAccountName: nobodys, containers: [{name: a, image: a}]}
---
apiVersion: v1
kind: Pod
metadata: {name: large, namespace: here}
spec: {containers: [{name: a, image: a, resources: {limits: {memory: 2Gi}}}]}
---
apiVersion: v1
kind: Service
metadata: {name: addressed, namespace: here}
spec: {clusterIP: 10.96.0.7, externalTrafficPolicy: Local, ports: [{port: 80}]}
`

// TestDryRunDefinitions: what others depend on is there when they are tried.
func TestDryRunDefinitions(t *testing.T) {
	in := renderFiles(t, map[string][]byte{"cluster/objects.yaml": []byte(definitions), "cluster/template.yaml": []byte(constraintTemplate(t))})
	throwaway(t, in)
	rep := gate(t, dryrun.Gate, in)
	var got []string
	for _, f := range rep.Findings {
		got = append(got, fmt.Sprintf("%s %s: %s", f.Object, f.Severity, f.Message))
	}
	for _, u := range rep.NotChecked {
		got = append(got, fmt.Sprintf("%s: not checked: %s", u.Subject, u.Reason))
	}
	slices.Sort(got)
	if diff := cmp.Diff([]string{
		"ConfigMap Here/a (v1): not checked: its namespace Here could not be created: the API server refuses it",
		`CustomResourceDefinition wrong.example.com error: the API server refuses it: metadata.name: Invalid value: "wrong.example.com": must be spec.names.plural+"."+spec.group`,
		"Fan here/a (example.com/v1): not checked: its CustomResourceDefinition wrong.example.com is refused",
		"Lamp here/bad error: the API server refuses it: spec: Invalid value: too bright",
		`LumaCoreImageTag bad error: the API server refuses it: spec.enforcementAction: expected string, got &value.valueUnstructured{Value:[]interface {}{"deny"}}`,
		"Middleware here/bad warning: the API server refuses it: spec.stripPrefix.prefixes: expected list, got &{one} (CRD of github.com/traefik/traefik/v3@v3.7.13)",
		`Namespace Here error: the API server refuses it: metadata.name: Invalid value: "Here": a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')`,
		`Pod here/bad error: the API server refuses it: pods "bad" is forbidden: error looking up service account here/nobodys: serviceaccount "nobodys" not found`,
		`Pod here/large error: the API server refuses it: pods "large" is forbidden: maximum memory usage per Container is 1Gi, but limit is 2Gi`,
		`Service here/addressed (v1): not checked: the addresses of the cluster's Services are not known, and it asks for one; the rest of it was tried`,
		`Service here/addressed error: the API server refuses it: spec.externalTrafficPolicy: Invalid value: "Local": may only be set for externally-accessible services`,
		"Unknown here/a (example.org/v1): not checked: neither the render nor the built-in catalogue has a CustomResourceDefinition for it",
	}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
