package helm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"lumacore.dev/lumacore/internal/chart"
)

// one is a chart of one template.
func one(template string, more ...string) string {
	return "-- charts/web/Chart.yaml --\napiVersion: v2\nname: web\nversion: 1.2.3\n" +
		"-- charts/web/values.yaml --\na: 1\n" + strings.Join(more, "\n") +
		"\n-- charts/web/templates/x.yaml --\n" + template
}

// echo prints all values.
const echo = `
apiVersion: v1
kind: ConfigMap
metadata: {name: echo}
data:
  values: {{ toJson .Values | quote }}
`

func mustRender(t testing.TB, s site, spec string) *Rendered {
	t.Helper()
	out, err := Render(context.Background(), release(t, spec), s.env(t))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// problem returns an error's type and what it says.
func problem(err error) string {
	if err == nil {
		return ""
	}
	return strings.TrimPrefix(fmt.Sprintf("%T: %v", err, err), "*")
}

func TestRender(t *testing.T) {
	t.Parallel()
	out := mustRender(t, site{files: web}, "values: {replicas: 2, labels: {team: a}}")
	if out.Chart != "web" || out.Version != "1.2.3" || len(out.Placeholders)+len(out.Unchecked) > 0 {
		t.Errorf("got %+v", out)
	}
	var got bytes.Buffer
	for _, o := range out.Objects {
		b, err := yaml.Marshal(o.Object)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&got, "# %s\n%s", o.Template, b)
	}
	want := `# web/templates/service.yaml
apiVersion: v1
kind: Service
metadata:
  annotations:
    meta.helm.sh/release-name: web
    meta.helm.sh/release-namespace: apps
  labels:
    app.kubernetes.io/instance: web
    app.kubernetes.io/managed-by: Helm
    app.kubernetes.io/name: web
    helm.sh/chart: web-1.2.3
    helm.toolkit.fluxcd.io/name: web
    helm.toolkit.fluxcd.io/namespace: apps
    team: a
  name: web
  namespace: apps
spec:
  ports:
  - port: 80
  selector:
    app.kubernetes.io/instance: web
# web/templates/deployment.yaml
apiVersion: apps/v1
kind: Deployment
metadata:
  annotations:
    meta.helm.sh/release-name: web
    meta.helm.sh/release-namespace: apps
  labels:
    app.kubernetes.io/instance: web
    app.kubernetes.io/managed-by: Helm
    app.kubernetes.io/name: web
    helm.sh/chart: web-1.2.3
    helm.toolkit.fluxcd.io/name: web
    helm.toolkit.fluxcd.io/namespace: apps
    team: a
  name: web
  namespace: apps
spec:
  replicas: 2
  selector:
    matchLabels:
      app.kubernetes.io/instance: web
  template:
    metadata:
      labels:
        app.kubernetes.io/instance: web
        app.kubernetes.io/name: web
        helm.sh/chart: web-1.2.3
        team: a
    spec:
      containers:
      - image: ghcr.io/example/web:1.0
        name: web
        resources:
          limits:
            memory: 64Mi
          requests:
            cpu: 10m
`
	if diff := cmp.Diff(want, got.String()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

const valueObjects = `
apiVersion: v1
kind: ConfigMap
metadata: {name: first, namespace: apps}
data:
  values.yaml: "a: from-first\nb: {x: 1, z: 1}\nlist: [1, 2]"
  other.yaml: "a: from-other"
  number: "8080"
  quoted: "'8080'"
  double: '"true"'
  text: plain
  csv: x,y
  config: "k: {v}, w=[1]\\n"
  list.yaml: "- a"
  broken.yaml: "a: ["
---
apiVersion: v1
kind: Secret
metadata: {name: second, namespace: apps}
data: {values.yaml: YTogZnJvbS1zZWNvbmQ=, token: czNjcmV0}
stringData: {token: plain-s3cret}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: empty, namespace: apps}
`

func TestValuesFrom(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ spec, want string }{
		"chart only":                      {"", `{"a":1}`},
		"one":                             {"valuesFrom: [{kind: ConfigMap, name: first}]", `{"a":"from-first","b":{"x":1,"z":1},"list":[1,2]}`},
		"in order":                        {"valuesFrom: [{kind: ConfigMap, name: first}, {kind: Secret, name: second}]", `{"a":"from-second","b":{"x":1,"z":1},"list":[1,2]}`},
		"in the other order":              {"valuesFrom: [{kind: Secret, name: second}, {kind: ConfigMap, name: first}]", `{"a":"from-first","b":{"x":1,"z":1},"list":[1,2]}`},
		"spec.values last":                {"valuesFrom: [{kind: ConfigMap, name: first}]\nvalues: {a: own, b: {x: 2}, list: [3]}", `{"a":"own","b":{"x":2,"z":1},"list":[3]}`},
		"valuesKey":                       {"valuesFrom: [{kind: ConfigMap, name: first, valuesKey: other.yaml}]", `{"a":"from-other"}`},
		"null removes what the chart has": {"valuesFrom: [{kind: ConfigMap, name: first}]\nvalues: {a: null, b: {z: null}}", `{"b":{"x":1,"z":null},"list":[1,2]}`},
		"targetPath number":               {"valuesFrom: [{kind: ConfigMap, name: first, valuesKey: number, targetPath: port}]", `{"a":1,"port":8080}`},
		"targetPath quoted":               {"valuesFrom: [{kind: ConfigMap, name: first, valuesKey: quoted, targetPath: port}]", `{"a":1,"port":"8080"}`},
		"targetPath double":               {"valuesFrom: [{kind: ConfigMap, name: first, valuesKey: double, targetPath: flag}]", `{"a":1,"flag":"true"}`},
		"targetPath nested":               {"valuesFrom: [{kind: ConfigMap, name: first, valuesKey: text, targetPath: 'env[1].value'}]", `{"a":1,"env":[null,{"value":"plain"}]}`},
		"targetPath with dots":            {`valuesFrom: [{kind: ConfigMap, name: first, valuesKey: text, targetPath: 'annotations.example\.com/x'}]`, `{"a":1,"annotations":{"example.com/x":"plain"}}`},
		"targetPath literal":              {"valuesFrom: [{kind: ConfigMap, name: first, valuesKey: config, targetPath: c, literal: true}]", `{"a":1,"c":"k: {v}, w=[1]\\n"}`},
		"spec.values over targetPath":     {"valuesFrom: [{kind: ConfigMap, name: first, valuesKey: text, targetPath: a}]\nvalues: {a: own}", `{"a":"own"}`},
		"targetPath of a Secret":          {"valuesFrom: [{kind: Secret, name: second, valuesKey: token, targetPath: token}]", `{"a":1,"token":"plain-s3cret"}`},
		"optional object":                 {"valuesFrom: [{kind: ConfigMap, name: gone, optional: true}, {kind: Secret, name: gone, optional: true}]", `{"a":1}`},
		"optional key":                    {"valuesFrom: [{kind: ConfigMap, name: empty, optional: true}]", `{"a":1}`},

		"missing object": {"valuesFrom: [{kind: ConfigMap, name: first}, {kind: ConfigMap, name: gone}]", "helm.ValuesError: valuesFrom[1], ConfigMap apps/gone: nothing in the repository makes it"},
		"missing secret": {"valuesFrom: [{kind: Secret, name: gone}]", "helm.ValuesError: valuesFrom[0], Secret apps/gone: nothing in the repository makes it"},
		"missing key":    {"valuesFrom: [{kind: ConfigMap, name: empty}]", `helm.ValuesError: valuesFrom[0], ConfigMap apps/empty: it has no key "values.yaml"`},
		"no mapping":     {"valuesFrom: [{kind: ConfigMap, name: first, valuesKey: list.yaml}]", `helm.ValuesError: valuesFrom[0], ConfigMap apps/first: its key "list.yaml" is no YAML mapping: error unmarshaling JSON: while decoding JSON: json: cannot unmarshal array into Go value of type common.Values`},
		"no YAML":        {"valuesFrom: [{kind: ConfigMap, name: first, valuesKey: broken.yaml}]", `helm.ValuesError: valuesFrom[0], ConfigMap apps/first: its key "broken.yaml" is no YAML mapping: error converting YAML to JSON: yaml: line 1: did not find expected node content`},
		"bad targetPath": {"valuesFrom: [{kind: ConfigMap, name: first, valuesKey: csv, targetPath: a}]", `helm.ValuesError: valuesFrom[0], ConfigMap apps/first: its key "csv" cannot be set at targetPath a: key "y" has no value`},
		"other kind":     {"valuesFrom: [{kind: Pod, name: first}]", `helm.ValuesError: valuesFrom[0], Pod apps/first: the kind "Pod" is neither ConfigMap nor Secret`},
		"values no map":  {"values: [1]", "helm.SpecError: spec.values is no mapping: error unmarshaling JSON: while decoding JSON: json: cannot unmarshal array into Go value of type map[string]interface {}"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out, err := Render(context.Background(), release(t, tc.spec), site{files: one(echo), objects: valueObjects}.env(t))
			got := problem(err)
			if err == nil {
				got, _, _ = unstructured.NestedString(out.Objects[0].Object, "data", "values")
			}
			if got != tc.want {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
		})
	}
}

func TestPlaceholders(t *testing.T) {
	t.Parallel()
	secrets := map[string]string{"apps/cloud/token": "stand-in", "apps/cloud/values.yaml": "stand-in"}
	const spec = `valuesFrom:
- {kind: Secret, name: cloud, valuesKey: token, targetPath: token}
- {kind: Secret, name: cloud}
`
	out := mustRender(t, site{files: one(echo), secrets: secrets}, spec)
	if got, _, _ := unstructured.NestedString(out.Objects[0].Object, "data", "values"); got != `{"a":1,"token":"stand-in"}` {
		t.Errorf("values %s", got)
	}
	want := []string{"token from Secret apps/cloud", "values.yaml from Secret apps/cloud"}
	if diff := cmp.Diff(want, out.Placeholders); diff != "" {
		t.Error(diff)
	}
	// What fails without the real values may be right with them: it is not looked at.
	_, err := Render(context.Background(), release(t, spec), site{files: one(`{{ required "a host is needed" .Values.host }}`), secrets: secrets}.env(t))
	if got, want := problem(err), "chart.Unavailable: chart web 1.2.3 cannot be had: it does not template without values that only the cluster has (token from Secret apps/cloud, values.yaml from Secret apps/cloud): a host is needed"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestSpec(t *testing.T) {
	t.Parallel()
	const name = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: {{ .Release.Name }}, labels: {ns: {{ .Release.Namespace }}}}\n"
	long := strings.Repeat("long-", 11)
	for title, tc := range map[string]struct{ template, spec, want string }{
		"name":                     {name, "", "apps/web apps"},
		"releaseName":              {name, "releaseName: other", "apps/other apps"},
		"targetNamespace":          {name, "targetNamespace: prod", "prod/prod-web prod"},
		"storageNamespace":         {name, "storageNamespace: flux-system", "apps/web apps"},
		"a long name is shortened": {name, "targetNamespace: " + long + "ns", long + "ns/long-long-long-long-long-long-long-long--d47baec85c6a " + long + "ns"},
		"a bad name":               {name, "releaseName: Web_1", `helm.SpecError: the release's name "Web_1": invalid release name, must match regex ^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$ and the length must not be longer than 53`},
		"chart and chartRef":       {name, "chart: {spec: {chart: charts/web, sourceRef: {kind: GitRepository, name: flux-system}}}\nchartRef: {kind: HelmChart, name: x}", "helm.SpecError: one of spec.chart and spec.chartRef is needed, and only one"},
	} {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			out, err := Render(context.Background(), release(t, tc.spec), site{files: one(tc.template)}.env(t))
			got := problem(err)
			if err == nil {
				o := out.Objects[0]
				got = o.GetNamespace() + "/" + o.GetName() + " " + o.GetLabels()["ns"]
			}
			if got != tc.want {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
		})
	}
}

const namespaced = `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: reader, namespace: ignored}
---
apiVersion: example.com/v1
kind: Gadget
metadata: {name: gadget}
---
apiVersion: example.com/v1
kind: Widget
metadata: {name: widget}
---
apiVersion: cert-manager.io/v1
kind: ClusterIssuer
metadata: {name: issuer}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: other, namespace: other}
---
apiVersion: v1
kind: ConfigMapList
items:
- {apiVersion: v1, kind: ConfigMap, metadata: {name: listed}}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: gadgets.example.com}
spec: {group: example.com, scope: Cluster, names: {kind: Gadget}}
`

// summary lists the objects: "[namespace/]name", with h for hooks and c for CRDs.
func summary(out *Rendered) string {
	var all []string
	for _, o := range out.Objects {
		s := o.GetKind() + " " + strings.TrimPrefix(o.GetNamespace()+"/"+o.GetName(), "/")
		if o.Hook {
			s += " h"
		}
		if o.CRD {
			s += " c"
		}
		all = append(all, s)
	}
	return strings.Join(all, "\n")
}

func TestNamespaces(t *testing.T) {
	t.Parallel()
	env := site{files: one(namespaced)}.env(t)
	env.Scopes = map[string]bool{"cert-manager.io/ClusterIssuer": false}
	out, err := Render(context.Background(), release(t, ""), env)
	if err != nil {
		t.Fatal(err)
	}
	want := `ConfigMap other/other
ConfigMap apps/listed
CustomResourceDefinition gadgets.example.com
ClusterRole reader
ClusterIssuer issuer
Gadget gadget
Widget apps/widget`
	if diff := cmp.Diff(want, summary(out)); diff != "" {
		t.Error(diff)
	}
}

func TestCreateNamespace(t *testing.T) {
	t.Parallel()
	s := site{files: one("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}")}
	const spec = "targetNamespace: prod\ninstall: {createNamespace: true}"
	if diff := cmp.Diff("Namespace prod\nConfigMap prod/x", summary(mustRender(t, s, spec))); diff != "" {
		t.Error(diff)
	}
	s.objects = "apiVersion: v1\nkind: Namespace\nmetadata: {name: prod}"
	if diff := cmp.Diff("ConfigMap prod/x", summary(mustRender(t, s, spec))); diff != "" {
		t.Errorf("the repository has the namespace: %s", diff)
	}
}

func TestHooksAndCRDs(t *testing.T) {
	t.Parallel()
	const chartOf = "chart: {spec: {chart: charts/hooked, sourceRef: {kind: GitRepository, name: flux-system, namespace: flux-system}}}\n"
	const objects = "ServiceAccount apps/runner\nConfigMap other/elsewhere\nClusterRole reader\nGadget one"
	const hooks = "\nConfigMap apps/migrate-settings h\nJob apps/migrate h"
	const crd = "CustomResourceDefinition gadgets.example.com c\n"
	for spec, want := range map[string]string{
		"":                               crd + objects + hooks,
		"install: {crds: Create}":        crd + objects + hooks,
		"install: {crds: CreateReplace}": crd + objects + hooks,
		"upgrade: {crds: Skip}":          crd + objects + hooks,
		"install: {disableHooks: true}":  crd + objects,
		"test: {enable: true}":           crd + objects + "\nConfigMap apps/migrate-settings h\nPod apps/probe h\nJob apps/migrate h",
	} {
		t.Run(spec, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(want, summary(mustRender(t, site{files: hooked}, chartOf+spec))); diff != "" {
				t.Error(diff)
			}
		})
	}
	t.Run("crds: Skip", func(t *testing.T) {
		t.Parallel()
		out := mustRender(t, site{files: hooked}, chartOf+"install: {crds: Skip}")
		if got := summary(out); strings.Contains(got, "CustomResourceDefinition") || !strings.Contains(got, "ServiceAccount") {
			t.Error(got)
		}
	})
	t.Run("labels", func(t *testing.T) {
		t.Parallel()
		out := mustRender(t, site{files: hooked}, chartOf+"commonMetadata: {labels: {team: a, helm.toolkit.fluxcd.io/name: mine}, annotations: {note: b}}")
		var got []string
		for _, o := range out.Objects {
			if name := o.GetName(); name == "gadgets.example.com" || name == "runner" || name == "migrate" {
				got = append(got, fmt.Sprintf("%s %v %v", name, o.GetLabels(), o.GetAnnotations()))
			}
		}
		want := []string{
			"gadgets.example.com map[helm.toolkit.fluxcd.io/name:web helm.toolkit.fluxcd.io/namespace:apps] map[]",
			"runner map[app.kubernetes.io/managed-by:Helm helm.toolkit.fluxcd.io/name:web helm.toolkit.fluxcd.io/namespace:apps team:a] map[meta.helm.sh/release-name:web meta.helm.sh/release-namespace:apps note:b]",
			"migrate map[helm.toolkit.fluxcd.io/name:web helm.toolkit.fluxcd.io/namespace:apps team:a] map[helm.sh/hook:pre-install, pre-upgrade helm.sh/hook-weight:5 note:b]",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
}

func TestPostRenderers(t *testing.T) {
	t.Parallel()
	const both = `
apiVersion: v1
kind: ServiceAccount
metadata: {name: runner}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: runner, annotations: {helm.sh/hook: pre-install}}
`
	const patch = `postRenderers:
- kustomize:
    patches:
    - target: {kind: Deployment}
      patch: |
        - {op: replace, path: /spec/replicas, value: 5}
    - patch: |
        apiVersion: v1
        kind: Service
        metadata: {name: web, annotations: {patched: "yes"}}
    images: [{name: ghcr.io/example/web, newTag: "2.0", newName: mirror.example.com/web}]
- kustomize:
    patches: [{target: {kind: Service}, patch: '[{"op": "add", "path": "/spec/type", "value": "LoadBalancer"}]'}]
`
	t.Run("patches and images", func(t *testing.T) {
		t.Parallel()
		out := mustRender(t, site{files: web}, patch)
		var got []string
		for _, o := range out.Objects {
			replicas, _, _ := unstructured.NestedInt64(o.Object, "spec", "replicas")
			typ, _, _ := unstructured.NestedString(o.Object, "spec", "type")
			image := ""
			if c, _, _ := unstructured.NestedSlice(o.Object, "spec", "template", "spec", "containers"); c != nil {
				image = fmt.Sprint(c[0].(map[string]any)["image"])
			}
			got = append(got, fmt.Sprintf("%s %s %d %s %s %v", o.Template, o.GetKind(), replicas, typ, image, o.GetAnnotations()))
		}
		want := []string{
			"web/templates/service.yaml Service 0 LoadBalancer  map[meta.helm.sh/release-name:web meta.helm.sh/release-namespace:apps patched:yes]",
			"web/templates/deployment.yaml Deployment 5  mirror.example.com/web:2.0 map[meta.helm.sh/release-name:web meta.helm.sh/release-namespace:apps]",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
	labelHooks := `
postRenderers: [{kustomize: {patches: [{target: {kind: ServiceAccount}, patch: '[{"op": "add", "path": "/metadata/labels", "value": {"patched": "yes"}}]'}]}}]`
	for name, tc := range map[string]struct{ files, spec, want string }{
		"nothing to patch":    {web, "postRenderers: [{kustomize: {patches: [{patch: '{apiVersion: v1, kind: Pod, metadata: {name: x}}'}]}}]", "helm.ChartError: chart web 1.2.3: spec.postRenderers[0]: no resource matches strategic merge patch \"Pod.v1.[noGrp]/x.[noNs]\": no matches for Id Pod.v1.[noGrp]/x.[noNs]; failed to find unique target for patch Pod.v1.[noGrp]/x.[noNs]"},
		"twice":               {one(strings.ReplaceAll(both, ", annotations: {helm.sh/hook: pre-install}", "")), "", "helm.ChartError: chart web 1.2.3: it makes ServiceAccount runner twice (web/templates/x.yaml and web/templates/x.yaml), which helm-controller's post-renderers refuse"},
		"hook and object":     {one(both), "", "helm.ChartError: chart web 1.2.3: it makes ServiceAccount runner twice, as a hook and as an object (web/templates/x.yaml and web/templates/x.yaml), which post-renderers refuse since helm-controller 1.6 (Flux 2.9); set spec.postRenderStrategy to separate or nohooks"},
		"separate":            {one(both), "postRenderStrategy: separate" + labelHooks, "map[app.kubernetes.io/managed-by:Helm helm.toolkit.fluxcd.io/name:web helm.toolkit.fluxcd.io/namespace:apps patched:yes] map[helm.toolkit.fluxcd.io/name:web helm.toolkit.fluxcd.io/namespace:apps patched:yes]"},
		"nohooks":             {one(both), "postRenderStrategy: nohooks" + labelHooks, "map[app.kubernetes.io/managed-by:Helm helm.toolkit.fluxcd.io/name:web helm.toolkit.fluxcd.io/namespace:apps patched:yes] map[]"},
		"an unknown strategy": {one(both), "postRenderStrategy: Combined", `helm.SpecError: spec.postRenderStrategy is "Combined"; Flux knows nohooks, combined and separate`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out, err := Render(context.Background(), release(t, tc.spec), site{files: tc.files}.env(t))
			got := problem(err)
			if err == nil {
				var labels []string
				for _, o := range out.Objects {
					labels = append(labels, fmt.Sprint(o.GetLabels()))
				}
				got = strings.Join(labels, " ")
			}
			if got != tc.want {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
		})
	}
}

func TestChartErrors(t *testing.T) {
	t.Parallel()
	const schema = "-- charts/web/values.schema.json --\n" + `{"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "object", "required": ["c"]}}}`
	helper := "-- charts/web/templates/_h.tpl --\n{{ define \"h\" }}\n\n  {{ .Values.x.y.z }}{{ end }}\n"
	for name, tc := range map[string]struct{ files, spec, want string }{
		"required":           {one("\n\n  {{ required \"a host is needed\" .Values.host }}"), "", "chart web 1.2.3: web/templates/x.yaml:3: a host is needed"},
		"fail":               {one(`{{ fail "no: not like this" }}`), "", "chart web 1.2.3: web/templates/x.yaml:1: no: not like this"},
		"unknown function":   {one("a: b\n{{ frobnicate }}"), "", `chart web 1.2.3: web/templates/x.yaml:2: function "frobnicate" not defined`},
		"unclosed":           {one("{{ if true }}"), "", "chart web 1.2.3: web/templates/x.yaml:2: unexpected EOF"},
		"nil":                {one("\n{{ .Values.x.y }}"), "", "chart web 1.2.3: web/templates/x.yaml:2: nil pointer evaluating interface {}.y (in .Values.x.y)"},
		"nil in a helper":    {one("a: {{ include \"h\" . }}", helper), "", "chart web 1.2.3: web/templates/_h.tpl:3: nil pointer evaluating interface {}.y (in .Values.x.y.z), used by web/templates/x.yaml:1"},
		"no such template":   {one("a: {{ include \"nothing\" . }}"), "", `chart web 1.2.3: web/templates/x.yaml:1: template: no template "nothing" associated with template "gotpl" (in include "nothing" .)`},
		"bad YAML":           {one("kind: ConfigMap\n  a: b"), "", "chart web 1.2.3: web/templates/x.yaml: document 1 of what it makes: it is no valid YAML: line 2: mapping values are not allowed in this context"},
		"equal keys":         {one("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\nmetadata: {name: y}"), "", `chart web 1.2.3: web/templates/x.yaml: document 1 of what it makes: it is no valid YAML: unmarshal errors:  line 4: key "metadata" already set in map`},
		"no object":          {one("just text"), "", "chart web 1.2.3: web/templates/x.yaml: document 1 of what it makes: it is no object"},
		"no kind":            {one("apiVersion: v1\nmetadata: {name: x}"), "", "chart web 1.2.3: web/templates/x.yaml: document 1 of what it makes: it has no kind"},
		"no apiVersion":      {one("kind: Pod\nmetadata: {name: x}"), "", "chart web 1.2.3: web/templates/x.yaml: document 1 of what it makes: a Pod has no apiVersion"},
		"no name":            {one("---\n---\napiVersion: v1\nkind: Pod\nmetadata: {}"), "", "chart web 1.2.3: web/templates/x.yaml: document 1 of what it makes: a Pod has no metadata.name"},
		"a number as name":   {one("apiVersion: v1\nkind: Pod\nmetadata: {name: 1}"), "", "chart web 1.2.3: web/templates/x.yaml: document 1 of what it makes: a Pod has no text as metadata.name"},
		"an empty item":      {one("apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec: {containers: [{args: [a, null]}]}"), "", "chart web 1.2.3: web/templates/x.yaml: document 1 of what it makes: Pod x has an empty item in the list spec.containers[].args"},
		"schema":             {one(echo, schema), "values: {b: {}}", "chart web 1.2.3: the values do not fit its schema: at '/a': got number, want string; at '/b': missing property 'c'"},
		"schema, turned off": {one(echo, schema), "install: {disableSchemaValidation: true}", ""},
		"Kubernetes version": {strings.Replace(one(echo), "version: 1.2.3", "version: 1.2.3\nkubeVersion: '<1.30'", 1), "", "chart web 1.2.3: it wants Kubernetes <1.30; the clusters have v1.36.0"},
		"an endless list":    {one("{{ range until 1000000000 }}x{{ end }}"), "", "chart web 1.2.3: web/templates/x.yaml:1: 1000000001 is more than the 1000000 items that a template may ask for (in until 1000000000)"},
		"an endless helper":  {one(`{{ define "loop" }}{{ include "loop" . }}{{ end }}{{ include "loop" . }}`), "", `chart web 1.2.3: web/templates/x.yaml:1: its templates call each other without end`},
		"a broken chart":     {"-- charts/web/Chart.yaml --\nname: web\n", "", "chart charts/web: validation: chart.metadata.version is required"},
		"no chart":           {"-- charts/web/README.md --\nname: web\n", "", "chart charts/web: there is no Chart.yaml in it"},
		"values files":       {one(echo), "chart: {spec: {chart: charts/web, valuesFiles: [gone.yaml], sourceRef: {kind: GitRepository, name: flux-system, namespace: flux-system}}}", "chart web: valuesFiles names gone.yaml, which is not there"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Render(context.Background(), release(t, tc.spec), site{files: tc.files}.env(t))
			got := strings.TrimPrefix(problem(err), "helm.ChartError: ")
			if got != tc.want {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
		})
	}
}

// TestSchemaOfDependency: a dependency's values are held against its own schema,
// and a schema that cannot be had is said.
func TestSchemaOfDependency(t *testing.T) {
	t.Parallel()
	files := umbrella + "-- charts/umbrella/charts/part/values.schema.json --\n" + `{"properties": {"size": {"type": "integer", "maximum": 5}}}` + "\n"
	const spec = "chart: {spec: {chart: charts/umbrella, sourceRef: {kind: GitRepository, name: flux-system, namespace: flux-system}}}\n"
	_, err := Render(context.Background(), release(t, spec+"values: {first: {size: 9}}"), site{files: files}.env(t))
	if got, want := problem(err), "helm.ChartError: chart umbrella 0.1.0: the values do not fit its schema: umbrella.first: at '/size': maximum: got 9, want 5"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	remote := one(echo, "-- charts/web/values.schema.json --\n"+`{"properties": {"a": {"$ref": "https://schemas.example.com/a.json"}}}`)
	want := []string{"the values were not held against the schema of the chart web, which needs schema https://schemas.example.com/a.json: the check runs offline, and the cache does not have it"}
	if diff := cmp.Diff(want, mustRender(t, site{files: remote}, "").Unchecked); diff != "" {
		t.Error(diff)
	}
}

func TestValuesFiles(t *testing.T) {
	t.Parallel()
	files := one(echo) + "-- charts/web/values-prod.yaml --\na: prod\n-- env/prod.yaml --\nb: env\n"
	for names, want := range map[string]string{
		"values.yaml":                           `{"a":1}`, // alone it means the chart's own
		"charts/web/values-prod.yaml":           `{"a":"prod"}`,
		"charts/web/values.yaml, env/prod.yaml": `{"a":1,"b":"env"}`,
	} {
		out := mustRender(t, site{files: files}, "chart: {spec: {chart: ./charts/web, valuesFiles: ["+names+"], sourceRef: {kind: GitRepository, name: flux-system, namespace: flux-system}}}")
		if got, _, _ := unstructured.NestedString(out.Objects[0].Object, "data", "values"); got != want {
			t.Errorf("%s: got %s, want %s", names, got, want)
		}
	}
}

func TestSources(t *testing.T) {
	t.Parallel()
	const objects = `
apiVersion: source.toolkit.fluxcd.io/v1
kind: HelmChart
metadata: {name: local, namespace: charts}
spec: {chart: charts/web, sourceRef: {kind: GitRepository, name: flux-system}}
---
apiVersion: source.toolkit.fluxcd.io/v1
kind: GitRepository
metadata: {name: flux-system, namespace: charts}
---
apiVersion: source.toolkit.fluxcd.io/v1
kind: Bucket
metadata: {name: flux-system, namespace: apps}
---
apiVersion: source.toolkit.fluxcd.io/v1
kind: Bucket
metadata: {name: other, namespace: apps}
---
apiVersion: source.toolkit.fluxcd.io/v1
kind: GitRepository
metadata: {name: other, namespace: apps}
spec: {url: "https://example.com/charts.git", ref: {tag: v1}}
---
apiVersion: source.toolkit.fluxcd.io/v1
kind: HelmRepository
metadata: {name: http, namespace: apps}
spec: {url: "https://example.com/charts"}
---
apiVersion: source.toolkit.fluxcd.io/v1
kind: HelmRepository
metadata: {name: oci, namespace: apps}
spec: {url: "oci://example.com/charts", type: oci}
---
apiVersion: source.toolkit.fluxcd.io/v1
kind: HelmRepository
metadata: {name: untyped, namespace: apps}
spec: {url: "oci://example.com/charts"}
---
apiVersion: source.toolkit.fluxcd.io/v1
kind: HelmRepository
metadata: {name: ftp, namespace: apps}
spec: {url: "ftp://example.com/charts"}
---
apiVersion: source.toolkit.fluxcd.io/v1
kind: OCIRepository
metadata: {name: oci, namespace: apps}
spec: {url: "oci://example.com/charts/web", ref: {semver: 1.x}}
---
apiVersion: source.toolkit.fluxcd.io/v1
kind: OCIRepository
metadata: {name: broken, namespace: apps}
spec: {url: [1]}
`
	const offline = ": the check runs offline, and the cache does not have it"
	from := func(kind, name string) string {
		return "chart: {spec: {chart: charts/web, version: 1.x, sourceRef: {kind: " + kind + ", name: " + name + "}}}"
	}
	for spec, want := range map[string]string{
		"chartRef: {kind: HelmChart, name: local, namespace: charts}": "",
		from("Bucket", "flux-system"):                                 "",
		from("GitRepository", "gone"):                                 "helm.SourceError: GitRepository apps/gone: nothing in the repository makes it",
		from("GitRepository", "other"):                                "chart.Unavailable: chart of https://example.com/charts.git at v1 cannot be had" + offline,
		from("HelmRepository", "http"):                                "chart.Unavailable: chart charts/web 1.x of https://example.com/charts cannot be had" + offline,
		from("HelmRepository", "oci"):                                 "chart.Unavailable: chart example.com/charts/charts/web:1.x cannot be had" + offline,
		from("HelmRepository", "untyped"):                             "helm.SourceError: HelmRepository apps/untyped: spec.type must be oci for a URL that begins with oci://, and only for such a URL",
		from("HelmRepository", "ftp"):                                 "helm.SourceError: chart charts/web 1.x of ftp://example.com/charts: its HelmRepository has no http or https URL",
		from("HelmRepository", "gone"):                                "helm.SourceError: HelmRepository apps/gone: nothing in the repository makes it",
		from("Bucket", "other"):                                       "chart.Unavailable: chart charts/web of Bucket apps/other cannot be had: buckets are not read",
		from("OCIRepository", "oci"):                                  `helm.SpecError: sourceRef.kind is "OCIRepository"; Flux knows HelmRepository, GitRepository and Bucket`,
		"chartRef: {kind: OCIRepository, name: oci}":                  "chart.Unavailable: chart example.com/charts/web (1.x) cannot be had" + offline,
		"chartRef: {kind: OCIRepository, name: broken}":               "helm.SourceError: OCIRepository apps/broken: it cannot be read: json: cannot unmarshal array into Go struct field OCIRepositorySpec.spec.url of type string",
		"chartRef: {kind: OCIRepository, name: gone}":                 "helm.SourceError: OCIRepository apps/gone: nothing in the repository makes it",
		"chartRef: {kind: HelmChart, name: gone}":                     "helm.SourceError: HelmChart apps/gone: nothing in the repository makes it",
		"chartRef: {kind: ExternalArtifact, name: x}":                 "chart.Unavailable: chart of ExternalArtifact apps/x cannot be had: its content exists only in the cluster",
		"chartRef: {kind: GitRepository, name: x}":                    `helm.SpecError: spec.chartRef.kind is "GitRepository"; Flux knows OCIRepository, HelmChart and ExternalArtifact`,
	} {
		t.Run(spec, func(t *testing.T) {
			t.Parallel()
			out, err := Render(context.Background(), release(t, spec), site{files: web, objects: objects}.env(t))
			if got := problem(err); got != want {
				t.Fatalf("got  %s\nwant %s", got, want)
			}
			if err == nil && len(out.Objects) != 2 {
				t.Errorf("got %s", summary(out))
			}
		})
	}
}

// TestDeterminism: everything that is random, or a clock, or a map without order is
// the same in every run, also in parallel.
func TestDeterminism(t *testing.T) {
	t.Parallel()
	const template = `
apiVersion: v1
kind: ConfigMap
metadata: {name: all}
data:
  now: {{ now | quote }}
  unix: {{ now | unixEpoch | quote }}
  ago: {{ ago (toDate "2006-01-02" "2025-12-31") | quote }}
  date: {{ date "2006-01-02 15:04 MST" 0 | quote }}
  zone: {{ dateInZone "15:04" now "Nowhere/Else" | quote }}
  html: {{ htmlDate now }}{{ htmlDateInZone now "UTC" }}
  rand: {{ randAlphaNum 70 }} {{ randAlpha 5 }} {{ randNumeric 12 }} {{ randAscii 3 }} {{ randBytes 3 }} {{ randInt 3 9 }}
  uuid: {{ uuidv4 }} {{ shuffle "abc" }}
  hash: {{ bcrypt "x" }} {{ htpasswd "me" "x" }} {{ encryptAES "a" "b" }}
  key: {{ genPrivateKey "rsa" | sha256sum }}
  {{- $ca := genCA "ca" 365 }}
  {{- $cert := genSignedCert "web" (list "10.0.0.1") (list "web.apps") 30 $ca }}
  {{- $self := genSelfSignedCert "web" nil nil 30 }}
  ca: {{ $ca.Cert | sha256sum }} {{ $ca.Key | sha256sum }}
  cert: {{ $cert.Cert | sha256sum }} {{ $cert.Key | sha256sum }} {{ $self.Cert | sha256sum }}
  withKey: {{ (genCAWithKey "ca" 365 $ca.Key).Cert | sha256sum }}
  keys: {{ keys (dict "c" 1 "a" 2 "b" 3) (dict "z" 1 "y" 2) | join "," }}
  values: {{ values (dict "c" 1 "a" 2 "b" 3) | join "," | quote }}
  loops: {{ until 3 | join "," }} {{ untilStep 10 0 -4 | join "," }} {{ seq 2 | quote }} {{ seq 3 1 }} {{ seq 0 2 4 }} {{ repeat 3 "ab" }}
  lookup: {{ lookup "v1" "Secret" "apps" "x" | toJson | quote }}
  dns: {{ getHostByName "localhost" | quote }}
`
	env := site{files: one(template)}.env(t)
	hr := release(t, "")
	first, err := Render(context.Background(), hr, env)
	if err != nil {
		t.Fatal(err)
	}
	want := text(t, first)
	data, _, _ := unstructured.NestedStringMap(first.Objects[0].Object, "data")
	for key, value := range map[string]string{
		"now":  "2026-01-01 00:00:00 +0000 UTC",
		"unix": "1767225600", "ago": "24h0m0s", "date": "1970-01-01 00:00 UTC", "zone": "00:00", "html": "2026-01-012026-01-01",
		"rand":   "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789ABCDEFGH ABCDE 123456789012 ABC AAAA 3",
		"uuid":   "00000000-0000-4000-8000-000000000000 abc",
		"keys":   "a,b,c,y,z",
		"values": "2,3,1", "lookup": "{}", "dns": "",
		"loops": "0,1,2 10,6,2 \"1 2\" 3 2 1 0 2 4 ababab",
	} {
		if data[key] != value {
			t.Errorf("%s is %q, want %q", key, data[key], value)
		}
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			out, err := Render(context.Background(), hr, env)
			if err != nil {
				t.Error(err)
				return
			}
			if diff := cmp.Diff(want, text(t, out)); diff != "" {
				t.Error(diff)
			}
		})
	}
	wg.Wait()
}

// TestParallel: releases that share a chart with dependencies do not see each
// other's values.
func TestParallel(t *testing.T) {
	t.Parallel()
	env := site{files: umbrella}.env(t)
	var wg sync.WaitGroup
	for i := range 40 {
		wg.Go(func() {
			enabled := i%2 == 0
			hr := release(t, fmt.Sprintf("chart: {spec: {chart: charts/umbrella, sourceRef: {kind: GitRepository, name: flux-system, namespace: flux-system}}}\nvalues: {first: {size: %d}, database: {enabled: %v}}", i, enabled))
			out, err := Render(context.Background(), hr, env)
			if err != nil {
				t.Error(err)
				return
			}
			got := ""
			for _, o := range out.Objects {
				size, _, _ := unstructured.NestedString(o.Object, "data", "size")
				got += o.GetName() + "=" + size + " "
			}
			want := fmt.Sprintf("web-first=%d web= ", i)
			if enabled {
				want = fmt.Sprintf("web-database=2 web-first=%d web= ", i)
			}
			if got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
	wg.Wait()
}

// TestTimeBound: a template that does not end is an error, and what it still calls
// ends it.
func TestTimeBound(t *testing.T) {
	t.Parallel()
	src := &source{chart: &chart.Chart{Name: "web", Version: "1.0.0"}}
	ended := make(chan error, 1)
	_, err := bounded(context.Background(), src, time.Millisecond, func(ctx context.Context) (*Rendered, error) {
		until := functions(&bound{ctx: ctx})["until"].(func(int) ([]int, error))
		for {
			if _, err := until(2); err != nil {
				ended <- err
				return nil, err
			}
		}
	})
	if got, want := problem(err), "chart.Unavailable: chart web 1.0.0 cannot be had: its templates did not end within 1ms"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if err := <-ended; !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the template ended with %v", err)
	}
	_, err = bounded(context.Background(), src, time.Minute, func(context.Context) (*Rendered, error) { panic("boom") })
	if got, want := problem(err), "helm.ChartError: chart web 1.0.0: Helm gave up: boom"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Render(ctx, release(t, ""), site{files: web}.env(t)); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want an interruption", err)
	}
}

func TestCapabilities(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		version, api string
		want         bool
	}{
		{"1.36", "v1", true},
		{"1.36", "v1/Pod", true},
		{"1.36", "apps/v1/Deployment", true},
		{"1.36.2", "networking.k8s.io/v1/Ingress", true},
		{"1.36", "networking.k8s.io/v1beta1/Ingress", false},
		{"1.21", "networking.k8s.io/v1beta1/Ingress", true},
		{"1.36", "policy/v1/PodDisruptionBudget", true},
		{"1.36", "policy/v1beta1", false},
		{"1.24", "policy/v1beta1/PodDisruptionBudget", true},
		{"1.36", "batch/v1beta1", false},
		{"1.36", "autoscaling/v2", true},
		{"1.22", "autoscaling/v2", false},
		{"1.36", "apiextensions.k8s.io/v1", true},
		{"1.36", "apiextensions.k8s.io/v1/CustomResourceDefinition", true},
		{"1.36", "storage.k8s.io/v1alpha1", false},
		{"1.36", "monitoring.coreos.com/v1", false},
		{"1.36", "example.com/v1/Gadget", true},
	} {
		caps, err := capabilities(Env{KubeVersion: tc.version, APIVersions: []string{"example.com/v1", "example.com/v1/Gadget"}})
		if err != nil {
			t.Fatal(err)
		}
		if got := caps.APIVersions.Has(tc.api); got != tc.want {
			t.Errorf("Kubernetes %s has %s: %v, want %v", tc.version, tc.api, got, tc.want)
		}
	}
	if caps, err := capabilities(Env{KubeVersion: "1.36"}); err != nil || caps.KubeVersion.Version != "v1.36.0" || caps.KubeVersion.Minor != "36" {
		t.Errorf("got %+v, %v", caps, err)
	}
	if _, err := capabilities(Env{KubeVersion: "new"}); err == nil || err.Error() != `"new" is no Kubernetes version` {
		t.Errorf("got %v", err)
	}
}
