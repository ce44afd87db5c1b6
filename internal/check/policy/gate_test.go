package policy

import (
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/open-policy-agent/frameworks/constraint/pkg/externaldata"

	"lumacore.dev/lumacore/internal/check"
	"lumacore.dev/lumacore/internal/check/checktest"
	"lumacore.dev/lumacore/internal/report"
)

func TestExamples(t *testing.T) {
	t.Parallel()
	checktest.Examples(t, Gate)
}

// said is what a gate says, findings and what it did not check, without places.
func said(rep *report.CheckReport) []string {
	out := []string{}
	for _, f := range rep.Findings {
		out = append(out, f.Rule+" "+f.Object+": "+f.Message)
	}
	for _, u := range rep.NotChecked {
		out = append(out, "not checked "+u.Subject+": "+u.Reason)
	}
	return out
}

func namespace(name, labels string) string {
	return "---\napiVersion: v1\nkind: Namespace\nmetadata:\n  name: " + name + "\n  labels: {" + labels + "}\n"
}

// workload is an object with a pod template whose image has the tag latest.
func workload(apiVersion, kind, name, ns string) string {
	template := "    metadata:\n      labels: {app: web}\n    spec:\n      containers:\n        - name: web\n          image: ghcr.io/example/web:latest\n"
	spec := "spec:\n  template:\n" + template
	if kind == "CronJob" {
		spec = "spec:\n  jobTemplate:\n    spec:\n      template:\n" + indent(indent(template))
	}
	return fmt.Sprintf("---\napiVersion: %s\nkind: %s\nmetadata:\n  name: %s\n  namespace: %s\n%s", apiVersion, kind, name, ns, spec)
}

func indent(s string) string {
	return "  " + strings.ReplaceAll(strings.TrimSuffix(s, "\n"), "\n", "\n  ") + "\n"
}

// A policy in Rego, with the package and the imports that make it.
func regoTemplate(kind, source string) string {
	return "---\napiVersion: templates.gatekeeper.sh/v1\nkind: ConstraintTemplate\nmetadata:\n  name: " + strings.ToLower(kind) +
		"\nspec:\n  crd:\n    spec:\n      names:\n        kind: " + kind +
		"\n      validation:\n        openAPIV3Schema:\n          type: object\n          properties:\n            labels: {type: array, items: {type: string}}\n" +
		"  targets:\n    - target: admission.k8s.gatekeeper.sh\n      code:\n        - engine: Rego\n          source:\n            version: v1\n            rego: |\n" + indent(indent(indent(indent(indent(indent(indent(source)))))))
}

func constraintOf(kind, action, spec string) string {
	return "---\napiVersion: constraints.gatekeeper.sh/v1beta1\nkind: " + kind + "\nmetadata:\n  name: " + strings.ToLower(kind) + "\nspec:\n  enforcementAction: " + action + "\n" + spec
}

const owners = `package owners
violation contains {"msg": msg} if {
  some l in input.parameters.labels
  not input.review.object.metadata.labels[l]
  msg := sprintf("label %v is missing", [l])
}
`

const uniqueHosts = `package hosts
violation contains {"msg": msg} if {
  some ns, name
  other := data.inventory.namespace[ns][_]["Ingress"][name]
  not same(other)
  host := input.review.object.spec.rules[_].host
  other.spec.rules[_].host == host
  msg := sprintf("host %v is that of %v/%v too", [host, ns, name])
}
same(o) if {
  o.metadata.name == input.review.object.metadata.name
  o.metadata.namespace == input.review.object.metadata.namespace
}
`

const signed = `package signed
violation contains {"msg": msg} if {
  images := [c.image | some c in input.review.object.spec.containers]
  response := external_data({"provider": "signatures", "keys": images})
  count(response.errors) > 0
  msg := sprintf("not signed: %v", [response.errors[0][1]])
}
violation contains {"msg": msg} if {
  images := [c.image | some c in input.review.object.spec.containers]
  response := external_data({"provider": "signatures", "keys": images})
  response.system_error != ""
  msg := sprintf("cannot be verified: %v", [response.system_error])
}
`

func ingress(ns, host string) string {
	return "---\napiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata:\n  name: web\n  namespace: " + ns + "\nspec:\n  rules:\n    - host: " + host + "\n"
}

func TestGate(t *testing.T) {
	t.Parallel()
	const (
		podsOnly = "  match:\n    kinds: [{apiGroups: [\"\"], kinds: [Pod]}]\n"
		byEnv    = "  match:\n    namespaceSelector:\n      matchLabels: {env: prod}\n    kinds:\n      - apiGroups: [\"\"]\n        kinds: [Pod]\n"
		denied   = "policy/denied %s: FixedTags fixedtags (cluster/objects.yaml:%d) denies %s: an image has the tag latest"
	)
	prod, staging := namespace("prod", "env: prod"), namespace("staging", "env: staging")
	for name, c := range map[string]struct {
		in   string
		want []string
	}{
		"no policies": {prod + workload("apps/v1", "Deployment", "web", "prod"), []string{}},
		"a constraint on Pods refuses the pods of workloads": {
			policyTemplate + constraintOf("FixedTags", "deny", byEnv) + prod +
				workload("apps/v1", "Deployment", "web", "prod") + workload("batch/v1", "CronJob", "nightly", "prod"),
			[]string{
				fmt.Sprintf(denied, "Deployment prod/web", 20, "the pods that it makes"),
				fmt.Sprintf(denied, "CronJob prod/nightly", 20, "the pods that it makes"),
			},
		},
		"namespaces are selected by their labels": {
			policyTemplate + constraintOf("FixedTags", "deny", byEnv) + prod + staging +
				workload("apps/v1", "Deployment", "web", "prod") + workload("apps/v1", "Deployment", "web", "staging"),
			[]string{fmt.Sprintf(denied, "Deployment prod/web", 20, "the pods that it makes")},
		},
		"a namespace that the repository does not make": {
			policyTemplate + constraintOf("FixedTags", "deny", byEnv) + workload("apps/v1", "Deployment", "web", "elsewhere"),
			[]string{"not checked Deployment elsewhere/web: the repository does not make its namespace elsewhere, so which constraints hold there is not known"},
		},
		"what concerns no constraint needs no namespace": {
			policyTemplate + constraintOf("FixedTags", "deny", byEnv) + "---\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n  namespace: elsewhere\n", []string{},
		},
		"a namespace that the webhook ignores: only audit sees it": {
			policyTemplate + constraintOf("FixedTags", "deny", podsOnly) + namespace("app", `admission.gatekeeper.sh/ignore: "yes"`) + "---\n" + strings.SplitAfter(pod("latest"), "---\n")[1],
			[]string{"policy/reported Pod app/web: FixedTags fixedtags (cluster/objects.yaml:20) reports, at audit alone, it: an image has the tag latest"},
		},
		"a namespace that Gatekeeper's Config excludes": {
			policyTemplate + constraintOf("FixedTags", "deny", podsOnly) + "---\n" + pod("latest") +
				"---\napiVersion: config.gatekeeper.sh/v1alpha1\nkind: Config\nmetadata:\n  name: config\n  namespace: gatekeeper-system\nspec:\n  match:\n    - excludedNamespaces: [ap*]\n      processes: [\"*\"]\n",
			[]string{},
		},
		"excludedNamespaces of the constraint": {
			policyTemplate + constraintOf("FixedTags", "deny", "  match:\n    excludedNamespaces: [app]\n    kinds: [{apiGroups: [\"\"], kinds: [Pod]}]\n") + "---\n" + pod("latest"), []string{},
		},
		"scoped: the webhook warns, audit denies": {
			policyTemplate + constraintOf("FixedTags", "scoped", "  scopedEnforcementActions:\n    - action: warn\n      enforcementPoints: [{name: validation.gatekeeper.sh}]\n    - action: deny\n      enforcementPoints: [{name: audit.gatekeeper.sh}]\n  match:\n    kinds: [{apiGroups: [\"\"], kinds: [Pod]}]\n") + "---\n" + pod("latest"),
			[]string{"policy/warned Pod app/web: FixedTags fixedtags (cluster/objects.yaml:20) warns of it: an image has the tag latest"},
		},
		"scoped: audit alone": {
			policyTemplate + constraintOf("FixedTags", "scoped", "  scopedEnforcementActions:\n    - action: deny\n      enforcementPoints: [{name: audit.gatekeeper.sh}]\n  match:\n    kinds: [{apiGroups: [\"\"], kinds: [Pod]}]\n") + "---\n" + pod("latest"),
			[]string{"policy/reported Pod app/web: FixedTags fixedtags (cluster/objects.yaml:20) reports, at audit alone, it: an image has the tag latest"},
		},
		"Rego, with parameters": {
			regoTemplate("Owners", owners) + constraintOf("Owners", "deny", "  match:\n    kinds: [{apiGroups: [\"*\"], kinds: [ConfigMap]}]\n  parameters:\n    labels: [owner, team]\n") + prod +
				"---\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n  namespace: prod\n  labels: {owner: me}\n",
			[]string{"policy/denied ConfigMap prod/a: Owners owners (cluster/objects.yaml:30) denies it: label team is missing"},
		},
		"Rego that does not compile": {
			regoTemplate("Owners", "package owners\nviolation contains {\"msg\": msg} if { msg := undefined_thing }\n") + constraintOf("Owners", "deny", ""),
			[]string{"policy/template-invalid ConstraintTemplate owners: Gatekeeper cannot use this template: "},
		},
		"Rego that looks at other objects": {
			regoTemplate("Hosts", uniqueHosts) + constraintOf("Hosts", "deny", "  match:\n    kinds: [{apiGroups: [networking.k8s.io], kinds: [Ingress]}]\n") + prod + staging + ingress("prod", "a.example.com") + ingress("staging", "a.example.com") +
				"---\napiVersion: syncset.gatekeeper.sh/v1alpha1\nkind: SyncSet\nmetadata:\n  name: ingresses\nspec:\n  gvks:\n    - group: networking.k8s.io\n      version: v1\n      kind: Ingress\n",
			[]string{
				"policy/denied Ingress prod/web: Hosts hosts (cluster/objects.yaml:37) denies it: host a.example.com is that of staging/web too",
				"policy/denied Ingress staging/web: Hosts hosts (cluster/objects.yaml:37) denies it: host a.example.com is that of prod/web too",
			},
		},
		"parameters that the template does not have": {
			policyTemplate + constraintOf("FixedTags", "deny", "  parameters: {tags: [latest]}\n  match: {kinds: all}\n"),
			[]string{"policy/constraint-invalid FixedTags fixedtags: Gatekeeper does not take this constraint: "},
		},
		"a constraint of a kind that no template makes": {
			constraintOf("FixedTags", "deny", ""), []string{"not checked FixedTags fixedtags: no ConstraintTemplate of the repository makes its kind"},
		},
		"mutators are named": {
			policyTemplate + constraintOf("FixedTags", "deny", podsOnly) + "---\napiVersion: mutations.gatekeeper.sh/v1\nkind: Assign\nmetadata:\n  name: tag\nspec: {}\n",
			[]string{"not checked Assign tag: objects are reviewed as the repository has them: what this mutator changes before is not applied"},
		},
		"external data without a provider": {
			regoTemplate("Signed", signed) + constraintOf("Signed", "deny", "") + "---\n" + pod("latest"),
			[]string{"not checked Signed signed: its template asks an external data provider, and none answers in this run"},
		},
		"expansion by Gatekeeper itself": {
			policyTemplate + constraintOf("FixedTags", "deny", "  match:\n    source: Generated\n    kinds: [{apiGroups: [\"\"], kinds: [Pod]}]\n") + prod + workload("apps/v1", "Deployment", "web", "prod") +
				"---\napiVersion: expansion.gatekeeper.sh/v1beta1\nkind: ExpansionTemplate\nmetadata:\n  name: pods\nspec:\n  applyTo:\n    - groups: [apps]\n      kinds: [Deployment]\n      versions: [v1]\n  templateSource: spec.template\n  enforcementAction: warn\n  generatedGVK: {kind: Pod, group: \"\", version: v1}\n",
			[]string{"policy/warned Deployment prod/web: FixedTags fixedtags (cluster/objects.yaml:20) warns of what it makes: an image has the tag latest"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := said(checktest.Run(t, Gate, c.in))
			for i := range min(len(got), len(c.want)) {
				if strings.HasSuffix(c.want[i], ": ") { // the rest is the library's
					got[i] = got[i][:min(len(got[i]), len(c.want[i]))]
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestAdmissionPolicies(t *testing.T) {
	t.Parallel()
	action := func(a string) string { return strings.Replace(binding, "[Deny]", "["+a+"]", 1) }
	withParams := strings.Replace(strings.Replace(admissionPolicy, "  matchConstraints:", "  paramKind: {apiVersion: v1, kind: ConfigMap}\n  matchConstraints:", 1),
		"c.image.endsWith(':latest')", "c.image.endsWith(params.data.tag)", 1)
	paramRef := "  paramRef:\n    name: tags\n    namespace: app\n    parameterNotFoundAction: Deny\n"
	for name, c := range map[string]struct {
		in   string
		want []string
	}{
		"denied": {admissionPolicy + binding + pod("latest"), []string{
			"policy/denied Pod app/web: ValidatingAdmissionPolicy fixed-tags (cluster/objects.yaml:1) denies it: an image has the tag latest",
		}},
		"warned": {admissionPolicy + action("Warn") + pod("latest"), []string{
			"policy/warned Pod app/web: ValidatingAdmissionPolicy fixed-tags (cluster/objects.yaml:1) warns of it: an image has the tag latest",
		}},
		"audited": {admissionPolicy + action("Audit") + pod("latest"), []string{
			"policy/reported Pod app/web: ValidatingAdmissionPolicy fixed-tags (cluster/objects.yaml:1) would deny it: an image has the tag latest",
		}},
		"denied and audited is denied once": {admissionPolicy + action("Deny, Audit") + pod("latest"), []string{
			"policy/denied Pod app/web: ValidatingAdmissionPolicy fixed-tags (cluster/objects.yaml:1) denies it: an image has the tag latest",
		}},
		"admitted": {admissionPolicy + binding + pod("1.2.3"), []string{}},
		"the pods of a workload": {admissionPolicy + binding + namespace("app", "") + workload("apps/v1", "StatefulSet", "db", "app"), []string{
			"policy/denied StatefulSet app/db: ValidatingAdmissionPolicy fixed-tags (cluster/objects.yaml:1) denies the pods that it makes: an image has the tag latest",
		}},
		"a namespace that the binding does not select": {
			admissionPolicy + strings.TrimSuffix(binding, "---\n") + "  matchResources:\n    namespaceSelector:\n      matchLabels: {env: prod}\n---\n" + pod("latest"), []string{},
		},
		"match conditions": {
			strings.Replace(admissionPolicy, "  validations:", "  matchConditions:\n    - name: only\n      expression: object.metadata.name == 'other'\n  validations:", 1) + binding + pod("latest"), []string{},
		},
		"parameters": {
			withParams + strings.TrimSuffix(binding, "---\n") + paramRef + "---\n" + pod("dev") + "---\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: tags\n  namespace: app\ndata:\n  tag: dev\n",
			[]string{"policy/denied Pod app/web: ValidatingAdmissionPolicy fixed-tags (cluster/objects.yaml:1) denies it: an image has the tag latest"},
		},
		"parameters that only the cluster has": {
			withParams + strings.TrimSuffix(binding, "---\n") + paramRef + "---\n" + pod("dev"),
			[]string{"not checked ValidatingAdmissionPolicyBinding fixed-tags: its parameters, ConfigMap app/tags, are not in the repository"},
		},
		"what asks for the user's rights": {
			strings.Replace(admissionPolicy, "!object", "authorizer.path('/x').check('get').allowed() || !object", 1) + binding + pod("latest"),
			[]string{"not checked ValidatingAdmissionPolicy fixed-tags: it asks what the user may do, which is not known here"},
		},
		"an expression that does not compile": {
			strings.Replace(admissionPolicy, "!object.spec", "!object.(", 1) + binding + pod("latest"),
			[]string{"policy/template-invalid ValidatingAdmissionPolicy fixed-tags: the API server does not take this policy: "},
		},
		"custom resources": {
			strings.NewReplacer(`apiGroups: [""]`, "apiGroups: [example.com]", "[pods]", "[gadgetz]", "!object.spec.containers.exists(c, c.image.endsWith(':latest'))", "object.spec.size < 3", "an image has the tag latest", "too large").Replace(admissionPolicy) + binding +
				"apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata:\n  name: gadgetz.example.com\nspec:\n  group: example.com\n  scope: Cluster\n  names: {kind: Gadget, plural: gadgetz}\n  versions:\n    - name: v1\n      served: true\n      storage: true\n---\napiVersion: example.com/v1\nkind: Gadget\nmetadata:\n  name: big\nspec:\n  size: 5\n",
			[]string{"policy/denied Gadget big: ValidatingAdmissionPolicy fixed-tags (cluster/objects.yaml:1) denies it: too large"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := said(checktest.Run(t, Gate, c.in))
			for i := range min(len(got), len(c.want)) {
				if strings.HasSuffix(c.want[i], ": ") {
					got[i] = got[i][:min(len(got[i]), len(c.want[i]))]
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// Recorded answers: signed, not signed, and not recorded.
func TestRecordedAnswers(t *testing.T) {
	t.Parallel()
	repository := func(answers string) string {
		return "-- lumacore.yaml --\n" + answered + "-- answers.yaml --\n" + answers + "-- cluster/objects.yaml --\n" + provider +
			strings.TrimPrefix(regoTemplate("Signed", signed), "---\n") + constraintOf("Signed", "deny", "  match:\n    kinds: [{apiGroups: [\"\"], kinds: [Pod]}]\n") + "---\n" + pod("1.2.3")
	}
	for name, c := range map[string]struct {
		answers string
		want    []string
	}{
		"signed":     {"- key: ghcr.io/example/web:1.2.3\n  value: true\n", []string{}},
		"not signed": {"- key: ghcr.io/example/web:1.2.3\n  error: no signature\n", []string{"policy/denied Pod app/web: Signed signed (cluster/objects.yaml:44) denies it: not signed: no signature"}},
		"not recorded": {"- key: ghcr.io/example/other:1.2.3\n  value: true\n", []string{
			`not checked Signed signed: an external data provider gave no answer: provider signatures: no answer is recorded for "ghcr.io/example/web:1.2.3"`,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(c.want, said(checktest.Run(t, Gate, repository(c.answers)))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// A provider that is asked itself: one that answers, one that hangs, one that fails, one
// with another certificate.
func TestLiveProvider(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	asked := func(h func(w http.ResponseWriter, keys []string)) http.HandlerFunc {
		return func(w http.ResponseWriter, req *http.Request) {
			var r externaldata.ProviderRequest
			if err := json.NewDecoder(req.Body).Decode(&r); err != nil {
				t.Error(err)
			}
			h(w, r.Request.Keys)
		}
	}
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		foreign bool // the Provider names another certificate
		want    string
	}{
		"answers": {asked(func(w http.ResponseWriter, keys []string) {
			json.NewEncoder(w).Encode(externaldata.ProviderResponse{Response: externaldata.Response{Items: []externaldata.Item{{Key: keys[0], Error: "no signature"}}}})
		}), false, "policy/denied Pod app/web: Signed signed (cluster/objects.yaml:45) denies it: not signed: no signature"},
		"hangs":               {func(http.ResponseWriter, *http.Request) { <-release }, false, "context deadline exceeded"},
		"fails":               {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "down", http.StatusBadGateway) }, false, "answers 502 Bad Gateway"},
		"rubbish":             {func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("<html>")) }, false, "answers with no ProviderResponse"},
		"floods":              {func(w http.ResponseWriter, _ *http.Request) { w.Write(make([]byte, maxAnswer+2)) }, false, "answers with more than 1024 KiB"},
		"another certificate": {func(http.ResponseWriter, *http.Request) {}, true, "x509"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewUnstartedServer(c.handler)
			server.Config.ErrorLog = log.New(io.Discard, "", 0) // a handshake fails on purpose
			server.StartTLS()
			t.Cleanup(server.CloseClientConnections)
			cert := server.Certificate().Raw
			if c.foreign {
				cert = foreignCertificate(t)
			}
			bundle := base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}))
			in := checktest.Input(t, "-- lumacore.yaml --\n"+strings.Replace(answered, "answers: answers.yaml", "live: true", 1)+"-- cluster/objects.yaml --\n"+
				strings.NewReplacer("https://verifier.lumacore-system:8443/verify", server.URL, "timeout: 3", "timeout: 1\n  caBundle: "+bundle).Replace(provider)+
				strings.TrimPrefix(regoTemplate("Signed", signed), "---\n")+constraintOf("Signed", "deny", "  match:\n    kinds: [{apiGroups: [\"\"], kinds: [Pod]}]\n")+"---\n"+pod("1.2.3"))
			in.Offline = false
			start := time.Now()
			rep, err := check.Run(t.Context(), []*check.Gate{Gate}, in)
			if err != nil {
				t.Fatal(err)
			}
			if took := time.Since(start); took > 8*time.Second {
				t.Errorf("it took %s", took)
			}
			got := strings.Join(said(rep), "\n")
			if !strings.Contains(got, c.want) {
				t.Errorf("got %s\nwant %s", got, c.want)
			}
			if name != "answers" && !strings.HasPrefix(got, "not checked Signed signed: an external data provider gave no answer: provider signatures: ") {
				t.Errorf("what is not known is said as %s", got)
			}
			in.Offline = true
			if rep, err = check.Run(t.Context(), []*check.Gate{Gate}, in); err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(said(rep), "\n"); got != "not checked Signed signed: its template asks an external data provider, and none answers in this run" {
				t.Errorf("offline: %s", got)
			}
		})
	}
}

// foreignCertificate is of another server.
func foreignCertificate(t *testing.T) []byte {
	t.Helper()
	p := &providers{}
	bundle, err := p.listen(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer p.stop()
	data, err := base64.StdEncoding.DecodeString(bundle)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(data)
	return block.Bytes
}

// FuzzPolicies: no template, constraint or policy makes the gate panic, hang or fail.
func FuzzPolicies(f *testing.F) {
	for _, s := range []string{
		policyTemplate + policyConstraint("deny") + pod("latest"), broken, admissionPolicy + binding + pod("latest"),
		regoTemplate("Owners", owners) + constraintOf("Owners", "scoped", "  parameters: {labels: [a]}\n") + pod("latest"),
		regoTemplate("Hosts", uniqueHosts) + constraintOf("Hosts", "deny", ""),
		"apiVersion: constraints.gatekeeper.sh/v1beta1\nkind: \nmetadata:\n  name: a\n", "apiVersion: templates.gatekeeper.sh/v1\nkind: ConstraintTemplate\nmetadata:\n  name: a\nspec: []\n",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, objects string) {
		if strings.Contains(objects, "-- ") { // no files of its own
			t.Skip()
		}
		checktest.Run(t, Gate, objects)
	})
}
