package schema

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilversion "k8s.io/apimachinery/pkg/util/version"
	"sigs.k8s.io/yaml"

	"lumacore.dev/lumacore/internal/chart"
	"lumacore.dev/lumacore/internal/check"
	"lumacore.dev/lumacore/internal/check/checktest"
	"lumacore.dev/lumacore/internal/check/deprecations"
	"lumacore.dev/lumacore/internal/config"
	"lumacore.dev/lumacore/internal/gitops"
	"lumacore.dev/lumacore/internal/render"
	"lumacore.dev/lumacore/internal/schemas"
)

// TestCustom: custom resources against CRDs and ConstraintTemplates of the render,
// or none.
func TestCustom(t *testing.T) {
	t.Parallel()
	template := func(version, validation string) string {
		return `apiVersion: templates.gatekeeper.sh/` + version + `
kind: ConstraintTemplate
metadata:
  name: mustlisten
spec:
  crd:
    spec:
      names:
        kind: MustListen
` + validation + `  targets:
    - target: admission.k8s.gatekeeper.sh
      rego: package mustlisten
`
	}
	const parameters = `      validation:
        openAPIV3Schema:
          type: object
          properties:
            port:
              type: integer
`
	constraint := func(spec string) string {
		return "---\napiVersion: constraints.gatekeeper.sh/v1beta1\nkind: MustListen\nmetadata:\n  name: a\nspec:\n" + spec
	}
	for _, test := range []struct{ name, repository, want string }{
		{
			"rendered-crd-comes-before-the-catalogue",
			strings.NewReplacer("example.com", "cert-manager.io", "Lamp", "Issuer", "lamp", "issuer").Replace(lampCRD + "---\n" + lamp("v1", "watts: much")),
			"38 schema/invalid-value spec.watts: must be an integer, got string \"much\" (CRD issuers.cert-manager.io)\n",
		},
		{
			"version-not-served", strings.Replace(lampCRD, "served: true", "served: false", 1) + "---\n" + lamp("v1", "watts: 1"),
			"32 schema/version-not-served example.com/v1: CRD lamps.example.com does not serve version v1, nor any other\n",
		},
		{
			"crd-not-structural",
			strings.Replace(lampCRD, "type: integer", "format: int32", 1) + "---\n" + lamp("v1", "watts: 1"),
			"24 schema/invalid-crd spec.versions[0].schema.openAPIV3Schema.properties.spec.properties.watts.type: Required value: must not be empty for specified object fields\n" +
				"not checked: Lamp (example.com/v1), 1 object: its CRD lamps.example.com is not valid; mend it\n",
		},
		{
			"crd-with-unknown-field", strings.Replace(lampCRD, "  scope:", "  scop: Namespaced\n  scope:", 1),
			"7 schema/unknown-field unknown field \"spec.scop\"; did you mean \"scope\"?\n",
		},
		{
			"crd-rule-does-not-compile", strings.Replace(lampCRD, "self.watts >=", "self.watt >=", 1),
			"29 schema/invalid-crd spec.versions[0].schema.openAPIV3Schema.properties.spec.x-kubernetes-validations[0].rule: Invalid value: compilation failed: ERROR: <input>:1:25: undefined field 'watt'\n",
		},
		{
			"kind-misspelled", "apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelaese\nmetadata:\n  name: a\n  namespace: x\nspec: {}\n",
			"2 schema/unknown-kind no CRD defines HelmRelaese in helm.toolkit.fluxcd.io; did you mean HelmRelease?\n",
		},
		{
			"no-schema-anywhere",
			"apiVersion: example.org/v1\nkind: Thing\nmetadata:\n  name: a\n---\napiVersion: example.org/v1\nkind: Thing\nmetadata:\n  name: b\n",
			"not checked: Thing (example.org/v1), 2 objects: no schema: neither the render nor the catalogue has a CRD for it; add the CRD of example.org Thing to the repository, or have the chart that brings it rendered\n",
		},
		{
			"catalogue-without-the-version", "apiVersion: helm.toolkit.fluxcd.io/v2beta1\nkind: HelmRelease\nmetadata:\n  name: a\n  namespace: x\nspec: {}\n",
			"not checked: HelmRelease (helm.toolkit.fluxcd.io/v2beta1), 1 object: the render has no CRD for it, and the one of github.com/fluxcd/helm-controller@v1.6.0 has the versions v2; add the CRD that the cluster runs to the repository, or have the chart that brings it rendered\n",
		},
		{
			"constraint-template-without-types", template("v1", strings.Replace(parameters, "type: integer", "description: a port", 1)),
			"7 schema/invalid-crd in the CRD that Gatekeeper makes of it: spec.versions[0].schema.openAPIV3Schema.properties.spec.properties.parameters.properties.port.type: Required value: must not be empty for specified object fields\n",
		},
		{
			"constraint", template("v1", parameters) + constraint("  enforcementAction: warn\n  match:\n    kinds:\n      - apiGroups: [apps]\n        kinds: [Deployment]\n    namespaceSelector:\n      matchLabels:\n        a: b\n  parameters:\n    port: 80\n"),
			"",
		},
		{
			"constraint-parameters", template("v1", parameters) + constraint("  match:\n    kind: Pod\n  parameters:\n    port: http\n    ports: 80\n"),
			"26 schema/unknown-field unknown field \"spec.match.kind\"; did you mean \"kinds\"? (ConstraintTemplate mustlisten)\n" +
				"28 schema/invalid-value spec.parameters.port: must be an integer, got string \"http\" (ConstraintTemplate mustlisten)\n" +
				"29 schema/unknown-field unknown field \"spec.parameters.ports\"; did you mean \"port\"? (ConstraintTemplate mustlisten)\n",
		},
		{
			"constraint-of-a-legacy-template", template("v1beta1", parameters) + constraint("  parameters:\n    port: http\n    ports: 80\n"),
			"26 schema/invalid-value spec.parameters.port: must be an integer, got string \"http\" (ConstraintTemplate mustlisten)\n",
		},
		{
			"constraint-of-a-legacy-template-without-schema", template("v1beta1", "") + constraint("  parameters:\n    port: http\n"),
			"",
		},
		{
			"constraint-version", strings.Replace(template("v1", parameters)+constraint("  parameters: {}\n"), "sh/v1beta1\nkind: MustListen", "sh/v1\nkind: MustListen", 1),
			"20 schema/version-not-served constraints.gatekeeper.sh/v1: ConstraintTemplate mustlisten has no version v1; it serves v1beta1, v1alpha1\n",
		},
		{
			"constraint-without-template", strings.TrimPrefix(constraint("  parameters: {}\n"), "---\n"),
			"not checked: MustListen (constraints.gatekeeper.sh/v1beta1), 1 object: no schema: neither the render nor the catalogue has a CRD for it; add the ConstraintTemplate of MustListen to the repository\n",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(test.want, lines(t, test.repository)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// TestNamespace: only a namespace that is in the object's own document is reported.
func TestNamespace(t *testing.T) {
	t.Parallel()
	const object = "apiVersion: v1\nkind: PersistentVolume\nmetadata:\n  name: a\n%sspec:\n  accessModes: [ReadWriteOnce]\n  capacity: {storage: 1Gi}\n  nfs: {server: a, path: /a}\n"
	for _, test := range []struct{ name, kustomization, namespace, want string }{
		{"nobody wrote one", "namespace: x\n", "", ""},
		{"a patch adds one", "patches: [{target: {kind: PersistentVolume}, patch: '[{op: add, path: /metadata/namespace, value: x}]'}]\n", "", ""},
		{"the document has one", "", "  namespace: x\n", "a.yaml:5 schema/cluster-scoped metadata.namespace: PersistentVolume is cluster-scoped: the namespace \"x\" is ignored\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			repository := "-- cluster/kustomization.yaml --\nresources: [a.yaml]\n" + test.kustomization + "-- cluster/a.yaml --\n" + fmt.Sprintf(object, test.namespace)
			if diff := cmp.Diff(test.want, strings.TrimPrefix(lines(t, repository), "cluster/")); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// TestObjects: what kustomize would not let through, or only a chart makes.
func TestObjects(t *testing.T) {
	t.Parallel()
	object := func(text string, o render.Origin) *render.Object {
		u := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(text), &u.Object); err != nil {
			t.Fatal(err)
		}
		return &render.Object{Unstructured: u, Origin: o}
	}
	const item = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  %s\n"
	crd := "apiVersion: example.com/v1\nkind: Lamp\nmetadata:\n  name: a\nspec:\n  watts: null\n"
	for _, test := range []struct {
		name   string
		text   string
		origin render.Origin
		want   string
	}{
		{"no-name", fmt.Sprintf(item, "namespace: x"), render.Origin{}, "schema/invalid-name metadata.name: Required value\n"},
		{"generated-name", fmt.Sprintf(item, "generateName: a-"), render.Origin{}, "schema/invalid-name metadata.name: Required value: Flux applies objects by name, it does not generate names\nschema/no-namespace metadata.namespace: Required value: ConfigMap is namespaced, and neither the object nor its Kustomization names a namespace\n"},
		{"generated-name-in-a-chart", fmt.Sprintf(item, "generateName: a-"), render.Origin{HelmRelease: "x/a"}, ""},
		{"bad-generated-name-in-a-chart", fmt.Sprintf(item, "generateName: BAD-"), render.Origin{HelmRelease: "x/a"}, "schema/invalid-name metadata.generateName: Invalid value: \"BAD-\": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character\n"},
		{"no-metadata", "apiVersion: v1\nkind: Namespace\n", render.Origin{}, "schema/invalid-name metadata.name: Required value\n"},
		{"metadata-is-a-list", "apiVersion: v1\nkind: Namespace\nmetadata: []\n", render.Origin{}, "schema/invalid-name metadata.name: Required value\nschema/invalid-value metadata: must be an object, got a list\n"},
		{"annotation-integer", fmt.Sprintf(item, "name: a\n  namespace: x\n  annotations:\n    a: 1"), render.Origin{}, "schema/invalid-value metadata.annotations.a: must be a string, got integer 1\n"},
		{"null", crd, render.Origin{}, "schema/invalid-value spec.watts: must be an integer, got null (CRD lamps.example.com)\nschema/no-namespace metadata.namespace: Required value: Lamp is namespaced, and neither the object nor its Kustomization names a namespace\n"},
		{"null-in-a-chart", crd, render.Origin{HelmRelease: "x/a"}, ""},
		{"empty", "apiVersion: v1\nkind: Pod\nspec: {}\n", render.Origin{}, "schema/invalid-name metadata.name: Required value\nschema/no-namespace metadata.namespace: Required value: Pod is namespaced, and neither the object nor its Kustomization names a namespace\nschema/required-field spec.containers: Required value\n"},
		{"removed-version", "apiVersion: policy/v1beta1\nkind: PodDisruptionBudget\nmetadata:\n  name: a\n", render.Origin{}, ""},
		{"removed-version-without-types", "apiVersion: autoscaling/v2beta2\nkind: HorizontalPodAutoscaler\nmetadata:\n  name: a\n", render.Origin{}, ""},
		{"schedule-with-a-time-zone-alone", "apiVersion: batch/v1\nkind: CronJob\nmetadata:\n  name: a\n  namespace: x\nspec:\n  schedule: CRON_TZ=UTC\n  jobTemplate:\n    spec:\n      template:\n        spec:\n          restartPolicy: Never\n          containers: [{name: a, image: \"a:1\"}]\n", render.Origin{}, "schema/invalid-value spec.schedule: Invalid value: \"CRON_TZ=UTC\": cannot use TZ or CRON_TZ in schedule, use timeZone field instead\n"},
		{"namespace-that-nobody-wrote", "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: a\n  namespace: x\n", render.Origin{}, ""},
		{"later-version", "apiVersion: scheduling.k8s.io/v1beta1\nkind: Workload\nmetadata:\n  name: a\n", render.Origin{}, "schema/unknown-kind no such API in Kubernetes 1.36: scheduling.k8s.io/v1beta1 Workload; scheduling.k8s.io/v1alpha2 has it\n"},
		{"stand-in", "apiVersion: v1\nkind: Service\nmetadata:\n  name: a\n  namespace: x\nspec:\n  ports:\n    - port: placeholder\n      name: A\n", render.Origin{Placeholders: []string{"PORT from Secret x/y"}}, "not checked: Service x/a: spec.ports[0].port: the value comes from a secret that only the cluster has (PORT from Secret x/y); look at the value in the cluster\n"},
		{"stand-in-address", "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata:\n  name: a\n  namespace: x\nspec:\n  rules:\n    - host: 192.0.2.1\n", render.Origin{Placeholders: []string{"HOST_IP from Secret x/y"}}, "not checked: Ingress x/a: spec.rules[0].host: the value comes from a secret that only the cluster has (HOST_IP from Secret x/y); look at the value in the cluster\n"},
		{"stand-in-elsewhere", "apiVersion: v1\nkind: Service\nmetadata:\n  name: a\n  namespace: x\n  annotations:\n    a: placeholder\nspec:\n  ports:\n    - port: high\n", render.Origin{Placeholders: []string{"A from Secret x/y"}}, "schema/invalid-value spec.ports[0].port: must be an integer, got string \"high\"\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := &render.Cluster{Name: "c", Objects: []*render.Object{object(lampCRD, render.Origin{}), object(test.text, test.origin)}}
			rep, err := check.Run(t.Context(), []*check.Gate{Gate}, &check.Input{
				Tree: gitops.FromFiles(nil), Render: &render.Result{Clusters: []*render.Cluster{c}},
				Config: &config.Config{}, KubeVersion: utilversion.MustParse("1.36.0"), Now: checktest.Now,
			})
			if err != nil {
				t.Fatal(err)
			}
			var got strings.Builder
			for _, f := range rep.Findings {
				if f.Gate() == Gate.Name {
					fmt.Fprintf(&got, "%s %s\n", f.Rule, f.Message)
				}
			}
			for _, u := range rep.NotChecked {
				fmt.Fprintf(&got, "not checked: %s: %s; %s\n", u.Subject, u.Reason, u.Next)
			}
			if diff := cmp.Diff(test.want, got.String()); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// TestKubeVersion: fields and kinds are those of the version. One that is not embedded
// is compared with the nearest, which is said once; what a later one may have is no
// error.
func TestKubeVersion(t *testing.T) {
	t.Parallel()
	service := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte("apiVersion: v1\nkind: Service\nmetadata:\n  name: 1a\n  namespace: x\nspec:\n  clusterIP: None\n"), &service.Object); err != nil {
		t.Fatal(err)
	}
	old := "metadata.name: Invalid value: \"1a\": a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character"
	notKnown := func(version, nearest string) string {
		return fmt.Sprintf("not checked: objects of Kubernetes %s: the API of Kubernetes %[1]s is not known; objects were compared with %s; look up what differs between the two; known are 1.34, 1.35, 1.36, 1.37\n", version, nearest)
	}
	for version, want := range map[string]string{
		"1.35.0": "error " + old + "\n",
		"1.36.9": "",
		"1.12.0": "error " + old + "\n" +
			notKnown("1.12", "1.34") +
			"not checked: Ingress (extensions/v1beta1), 1 object: Kubernetes 1.34, which objects were compared with, does not have it; see whether Kubernetes 1.12 has it\n",
		"1.99.0": "warning unknown field \"spec.clusterIPZ\"; did you mean \"clusterIP\"?\n" + notKnown("1.99", "1.37"),
	} {
		objects := []*unstructured.Unstructured{service}
		switch version {
		case "1.12.0":
			objects = append(objects, parsed(t, "apiVersion: extensions/v1beta1\nkind: Ingress\nmetadata:\n  name: a\n  namespace: x\nspec: {}\n"))
		case "1.99.0":
			objects = []*unstructured.Unstructured{parsed(t, "apiVersion: v1\nkind: Service\nmetadata:\n  name: a\n  namespace: x\nspec:\n  clusterIP: None\n  clusterIPZ: []\n")}
		}
		in := input(objects)
		in.KubeVersion = utilversion.MustParse(version)
		rep, err := check.Run(t.Context(), []*check.Gate{Gate}, in)
		if err != nil {
			t.Fatal(err)
		}
		var got strings.Builder
		for _, f := range rep.Findings {
			fmt.Fprintf(&got, "%s %s\n", f.Severity, f.Message)
		}
		for _, u := range rep.NotChecked {
			fmt.Fprintf(&got, "not checked: %s: %s; %s\n", u.Subject, u.Reason, u.Next)
		}
		if diff := cmp.Diff(want, got.String()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", version, diff)
		}
	}
}

func parsed(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	u := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(text), &u.Object); err != nil {
		t.Fatal(err)
	}
	return u
}

// TestGivenUp: a version that the catalogue's CRD does not serve any more is for gate
// deprecations when that knows it; else it may be served where the cluster runs an
// older release.
func TestGivenUp(t *testing.T) {
	t.Parallel()
	run := func(apiVersion, kind string) string {
		rep := checktest.Run(t, Gate, "apiVersion: "+apiVersion+"\nkind: "+kind+"\nmetadata:\n  name: a\n  namespace: x\n", deprecations.Gate)
		var out strings.Builder
		for _, f := range rep.Findings {
			fmt.Fprintf(&out, "%s %s %s\n", f.Severity, f.Rule, f.Message)
		}
		return out.String()
	}
	want := "warning deprecations/crd-version external-secrets.io/v1beta1 ExternalSecret is not served since external-secrets 0.17; use external-secrets.io/v1\n"
	if diff := cmp.Diff(want, run("external-secrets.io/v1beta1", "ExternalSecret")); diff != "" {
		t.Errorf("known to gate deprecations (-want +got):\n%s", diff)
	}
	// The catalogue's CRDs whose versions are not served.
	n := 0
	for _, s := range schemas.Systems() {
		for _, d := range s.Definitions {
			found, _ := schemas.Lookup(d.Group, d.Kind)
			data, err := found.JSON()
			if err != nil {
				t.Fatal(err)
			}
			for name, v := range define(t.Context(), data, "").versions {
				if v.served {
					continue
				}
				n++
				got, _, _ := strings.Cut(run(d.Group+"/"+name, d.Kind), "info schema/cluster-scoped ")
				if strings.Count(got, "\n") != 1 || !strings.HasPrefix(got, "warning ") && !strings.HasPrefix(got, "error deprecations/") {
					t.Errorf("%s/%s %s: %q", d.Group, name, d.Kind, got)
				}
			}
		}
	}
	if n == 0 {
		t.Error("the catalogue serves all versions")
	}
}

func TestDeterminism(t *testing.T) {
	t.Parallel()
	repository := lampCRD + "---\n" + lamp("v1", "watts: x\n  least: 10\n  bogus: 1")
	for i := range 5 {
		repository += "---\n" + strings.Replace(lamp("v2", "watts: x"), "hall", fmt.Sprintf("hall-%d", i), 1)
	}
	first := lines(t, repository)
	for range 5 {
		if diff := cmp.Diff(first, lines(t, repository)); diff != "" {
			t.Fatal(diff)
		}
	}
}

// TestBlueprint: nothing is wrong with the blueprint; the API server of the lab
// accepts all of it.
func TestBlueprint(t *testing.T) {
	t.Parallel()
	tree, err := gitops.Open(t.Context(), "../../../blueprint")
	if err != nil {
		t.Fatal(err)
	}
	defer tree.Close()
	cfg, err := config.Load(tree)
	if err != nil {
		t.Fatal(err)
	}
	clusters, err := gitops.Discover(tree, cfg.Clusters)
	if err != nil {
		t.Fatal(err)
	}
	charts, err := chart.NewStore(chart.Options{CacheDir: t.TempDir(), Offline: true})
	if err != nil {
		t.Fatal(err)
	}
	res, err := render.Render(t.Context(), tree, clusters, render.Options{KubeVersion: "1.36.0", Charts: charts})
	if err != nil {
		t.Fatal(err)
	}
	objects := 0
	for _, c := range res.Clusters {
		objects += len(c.Objects)
	}
	if objects < 200 {
		t.Errorf("only %d objects were rendered", objects)
	}
	rep, err := check.Run(t.Context(), []*check.Gate{Gate}, &check.Input{
		Tree: tree, Render: res, Config: cfg, KubeVersion: utilversion.MustParse("1.36.0"), Now: checktest.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range rep.Findings {
		if f.Gate() == Gate.Name {
			t.Errorf("%s %s: %s", f.Location, f.Object, f.Message)
		}
	}
}
