package yaml

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	sigsyaml "sigs.k8s.io/yaml"

	"lumacore.dev/lumacore/internal/check"
	"lumacore.dev/lumacore/internal/check/checktest"
	"lumacore.dev/lumacore/internal/config"
	"lumacore.dev/lumacore/internal/gitops"
	"lumacore.dev/lumacore/internal/render"
	"lumacore.dev/lumacore/internal/report"
)

func TestExamples(t *testing.T) {
	t.Parallel()
	checktest.Examples(t, Gate)
}

// built returns what Flux would apply for a value, as JSON: it is built by
// kustomize.
func built(t *testing.T, value string) string {
	t.Helper()
	fs := filesys.MakeFsInMemory()
	for name, text := range map[string]string{
		"/a/kustomization.yaml": "resources: [a.yaml]\n",
		"/a/a.yaml":             "apiVersion: example.org/v1\nkind: Example\nmetadata:\n  name: a\nspec:\n  v: " + value + "\n",
	} {
		if err := fs.WriteFile(name, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	m, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(fs, "/a")
	if err != nil {
		t.Fatal(err)
	}
	b, err := m.Resources()[0].MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	var o struct{ Spec struct{ V json.RawMessage } }
	if err := json.Unmarshal(b, &o); err != nil {
		t.Fatal(err)
	}
	return string(o.Spec.V)
}

// TestReadings: what the gate says of parsers is what they do.
func TestReadings(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ value, flux, kubectl, core string }{
		{"yes", `"yes"`, `true`, `"yes"`},
		{"No", `"No"`, `false`, `"No"`},
		{"ON", `"ON"`, `true`, `"ON"`},
		{"off", `"off"`, `false`, `"off"`},
		{"y", `"y"`, `true`, `"y"`},
		{"N", `"N"`, `false`, `"N"`},
		{"0123", `83`, `83`, `123`},
		{"-010", `-8`, `-8`, `-10`},
		{"089", `89`, `89`, `89`},
		{"0123456789", `123456789`, `123456789`, `123456789`},
		{"0o17", `15`, `15`, `15`},
		{"0b11", `3`, `3`, `"0b11"`},
		{"1_000", `1000`, `1000`, `"1_000"`},
		{"1_0.5", `10.5`, `10.5`, `"1_0.5"`},
		{"0x1_F", `31`, `31`, `"0x1_F"`},
		{"2026-01-31", `"2026-01-31T00:00:00Z"`, `"2026-01-31"`, `"2026-01-31"`},
		{"2026-01-31T00:00:00Z", `"2026-01-31T00:00:00Z"`, `"2026-01-31T00:00:00Z"`, `"2026-01-31T00:00:00Z"`},
		{"2026-1-2 3:4:5", `"2026-01-02T03:04:05Z"`, `"2026-1-2 3:4:5"`, `"2026-1-2 3:4:5"`},
		{"2026-01-31T10:00:00+02:00", `"2026-01-31T10:00:00+02:00"`, `"2026-01-31T10:00:00+02:00"`, `"2026-01-31T10:00:00+02:00"`},
	} {
		t.Run(tt.value, func(t *testing.T) {
			t.Parallel()
			if !ambiguous.MatchString(tt.value) {
				t.Error("the gate does not look at it")
			}
			want := reading{flux: tt.flux, kubectl: tt.kubectl, core: tt.core}
			if diff := cmp.Diff(want, readings(tt.value), cmp.AllowUnexported(reading{})); diff != "" {
				t.Errorf("readings (-want +got):\n%s", diff)
			}
			if got := built(t, tt.value); got != tt.flux {
				t.Errorf("kustomize makes %s of it", got)
			}
			if b, err := sigsyaml.YAMLToJSON([]byte("v: " + tt.value)); err != nil || string(b) != `{"v":`+tt.kubectl+`}` {
				t.Errorf("kubectl makes %s of it, %v", b, err)
			}
		})
	}
}

// TestUnambiguous: values that the gate passes over mean the same to all.
func TestUnambiguous(t *testing.T) {
	t.Parallel()
	for _, value := range []string{
		"true", "False", "null", "~", "yEs", "oN", "yesterday", "nor", "0", "1", "-1", "+1", "10", "1.5", "1e3", "1.10", "0.5", "0x1F",
		"12:30:45", "1:20", "22:22", "1.2.3", "10.0.0.1", "10.0.0.0/8", "5m", "1h30m", "v1", "_1", "1-2", "a_b", "100m", "deadbeef", "1234e56", "=",
	} {
		t.Run(value, func(t *testing.T) {
			t.Parallel()
			if ambiguous.MatchString(value) {
				if r := readings(value); r.flux != r.kubectl || r.flux != r.core {
					t.Errorf("the gate reports it: %+v", r)
				}
			}
			flux := built(t, value)
			b, err := sigsyaml.YAMLToJSON([]byte("v: " + value))
			if err != nil || string(b) != `{"v":`+flux+`}` {
				t.Errorf("Flux reads %s, kubectl %s, %v", flux, b, err)
			}
		})
	}
}

// TestKustomizeRefuses: what the gate calls an error is one to Flux.
func TestKustomizeRefuses(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"a key twice":          configMap + "data:\n  a: x\n  a: y\n",
		"a merge key twice":    configMap + "data:\n  <<: {a: b}\n  <<: {c: d}\n",
		"1 and \"1\" as keys":  configMap + "data:\n  1: a\n  \"1\": b\n",
		"a number as key":      configMap + "data:\n  0123: a\n",
		"a fraction as key":    configMap + "data:\n  1.5: a\n",
		"a boolean as key":     configMap + "data:\n  true: a\n",
		"null as key":          configMap + "data:\n  ~: a\n",
		"nothing as key":       configMap + "data:\n  : a\n",
		"a date as key":        configMap + "data:\n  2026-01-31: a\n",
		"a number in a list":   configMap + "spec:\n  - a: b\n    8080: c\n",
		"a number in labels":   configMap + "  labels:\n    1: a\n",
		"a mapping as key":     configMap + "data:\n  a: {{ .Values.a }}\n",
		"an object twice":      configMap + "---\n" + configMap,
		"indented with a tab":  configMap + "data:\n\ta: b\n",
		"an alias to nowhere":  configMap + "data: *nowhere\n",
		"a directive YAML 1.2": "%YAML 1.2\n---\n" + configMap,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fs := filesys.MakeFsInMemory()
			for name, text := range map[string]string{"/a/kustomization.yaml": "resources: [a.yaml]\n", "/a/a.yaml": text} {
				if err := fs.WriteFile(name, []byte(text)); err != nil {
					t.Fatal(err)
				}
			}
			m, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(fs, "/a")
			if err == nil {
				_, err = m.AsYaml()
			}
			if err == nil {
				t.Error("kustomize takes it")
			}
			if lines := checktest.Lines(checktest.Run(t, Gate, text)); len(lines) == 0 {
				t.Error("the gate takes it")
			}
		})
	}
}

// TestKeys: what the gate says of keys is what parsers make of them.
func TestKeys(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ key, flux, kubectl string }{
		{"on", "on", "true"},
		{"No", "No", "false"},
		{"y", "y", "true"},
		{"N", "N", "false"},
		{"off", "off", "false"},
		{"a", "a", "a"},
		{"none", "none", "none"},
		{"'on'", "on", "on"},
		{"!!str on", "on", "on"},
		{`"8080"`, "8080", "8080"},
		{"1.2.3", "1.2.3", "1.2.3"},
	} {
		t.Run(tt.key, func(t *testing.T) {
			t.Parallel()
			if got, want := built(t, "{"+tt.key+": x}"), fmt.Sprintf(`{%q:"x"}`, tt.flux); got != want {
				t.Errorf("kustomize makes %s of it", got)
			}
			if b, err := sigsyaml.YAMLToJSON([]byte(tt.key + ": x")); err != nil || string(b) != fmt.Sprintf(`{%q:"x"}`, tt.kubectl) {
				t.Errorf("kubectl makes %s of it, %v", b, err)
			}
			var want []string
			if tt.flux != tt.kubectl {
				want = []string{fmt.Sprintf(`cluster/objects.yaml:7 yaml/ambiguous-value data: the key %s without quotes is %[1]q to Flux and YAML 1.2, but %q to kubectl and Helm: quote the key`, tt.flux, tt.kubectl)}
			}
			if diff := cmp.Diff(want, checktest.Lines(checktest.Run(t, Gate, configMap+"data:\n  "+tt.key+": x\n"))); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
		})
	}
}

func TestFindings(t *testing.T) {
	t.Parallel()
	const in = "cluster/objects.yaml"
	for name, tt := range map[string]struct {
		repository string
		want       []string
	}{
		"all well": {configMap + "data:\n  a: \"yes\"\n  b: 'no'\n  c: |\n    on\n    \t0123\n  d: >-\n    off\n  e: !!str yes\n  \"yes\": no way\n  '0': none\n  !!str 1: b\n  <<: {x: b}\n", nil},

		"a colon too many": {configMap + "data:\n  a: b: c\n", []string{
			in + `:7 yaml/syntax the file cannot be read: mapping values are not allowed in this context: there is a second ": " in the value, or the line is indented as if it belonged to a value`,
		}},
		"indented by one space too few": {configMap + "data:\n  a: b\n c: d\n", []string{
			in + ":8 yaml/syntax the file cannot be read: did not find expected key: the line is indented like none of the keys above it, or something follows a closed quote",
		}},
		"a quote that is not closed": {configMap + "data:\n  a: \"b\n  c: d\n  e: f\n", []string{
			in + ":7 yaml/syntax the file cannot be read: found unexpected end of stream: the quote that is opened here is never closed",
		}},
		"a bracket that is not closed": {configMap + "data:\n  a: [b,\n  c: d\n", []string{
			in + ":7 yaml/syntax the file cannot be read: did not find expected ',' or ']': the bracket that is opened here is not closed, or a comma is missing",
		}},
		"an at sign": {configMap + "data:\n  a: @b\n", []string{
			in + ":7 yaml/syntax the file cannot be read: found character that cannot start any token: a value that begins with @, ` or % needs quotes",
		}},
		"a merge conflict": {configMap + "data:\n<<<<<<< HEAD\n  a: b\n=======\n  a: c\n>>>>>>> main\n", []string{
			in + ":7 yaml/syntax a merge conflict is not resolved: the file has lines that begin with <<<<<<<, ======= and >>>>>>>",
		}},
		"a merge conflict in the first line": {"<<<<<<< HEAD\n" + configMap + "=======\n>>>>>>> main\n", []string{
			in + ":1 yaml/syntax a merge conflict is not resolved: the file has lines that begin with <<<<<<<, ======= and >>>>>>>",
		}},
		"Latin-1": {configMap + "data:\n  a: gr\xfcn\n", []string{
			in + ":7 yaml/syntax the file cannot be read: invalid leading UTF-8 octet: the file is not UTF-8; save it as UTF-8",
		}},
		"a template without quotes": {configMap + "data:\n  a: {{ .Values.a }}\n", []string{
			in + ":7 yaml/syntax data.a: a mapping or list stands where a key or value is expected: {{ and {% of templates, and values that begin with { or [, need quotes",
		}},
		"the second document": {configMap + "---\nkind: X\ndata: {a: b\n", []string{
			in + ":8 yaml/syntax the file cannot be read: did not find expected ',' or '}': the brace that is opened here is not closed, or a comma is missing",
		}},
		"a tab": {configMap + "data:\n  a: b\n\tc: d\n", []string{
			in + ":8 yaml/tab the line is indented with a tab; YAML allows spaces only, so the file cannot be read",
		}},
		"a tab in a block of text": {configMap + "data:\n  a: |\n    b\n\tc\n", []string{
			in + ":9 yaml/tab the line is indented with a tab; YAML allows spaces only, so the file cannot be read",
		}},
		"no manifest": {"-- cluster/kustomization.yaml --\nresources: []\nconfigMapGenerator:\n  - name: a\n    files: [notes.yaml]\n-- cluster/notes.yaml --\na: b: c\n", []string{
			`cluster/notes.yaml:1 yaml/syntax the file cannot be read: mapping values are not allowed in this context: there is a second ": " in the value, or the line is indented as if it belonged to a value`,
		}},
		"a template that Flux takes as text": {"-- cluster/kustomization.yaml --\nresources: []\nconfigMapGenerator:\n  - name: a\n    files: [notes.yaml]\n-- cluster/notes.yaml --\n{{ range . }}\na: b: c\n{{ end }}\n", nil},
		"a template that nobody reads":       {"-- cluster/a.yaml --\n" + configMap + "-- templates/app.yaml --\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ name }}\n{% if x %}\n", nil},
		"templates of a chart":               {"-- cluster/a.yaml --\n" + configMap + "-- examples/chart/Chart.yaml --\napiVersion: v2\nname: a\nversion: 1.0.0\n-- examples/chart/templates/a/b.yaml --\napiVersion: v1\nkind: ConfigMap\n{{- if x }}\n\ta: b\n", nil},

		"keys twice": {configMap + "data:\n  a: b\n  c: d\n  a: e\n  \"c\": f\nkind: ConfigMap\n", []string{
			in + `:10 yaml/duplicate-key data: the key "c" is here a second time; the first is in line 8`,
			in + `:11 yaml/duplicate-key the document's top level: the key "kind" is here a second time; the first is in line 2`,
			in + `:9 yaml/duplicate-key data: the key "a" is here a second time; the first is in line 7`,
		}},
		"a key twice among many": {configMap + "data:\n" + many(40) + "  k7: x\n", []string{
			in + `:47 yaml/duplicate-key data: the key "k7" is here a second time; the first is in line 14`,
		}},
		"a key twice in a list": {configMap + "spec:\n  a:\n    - {b: 1, c: 2}\n    - {b: 1, b: 2}\n", []string{
			in + `:9 yaml/duplicate-key spec.a[1]: the key "b" is here a second time; the first is in line 9`,
		}},
		"anchors are looked at once": {configMap + "spec:\n  a: &a {b: on}\n  c: *a\n  d: {<<: *a, e: f}\n", []string{
			in + `:7 yaml/ambiguous-value spec.a.b: on without quotes is "on" to Flux and YAML 1.2, but true to kubectl and Helm`,
		}},
		"values": {configMap + "data:\n  a: yes\n  b: [0123, x, 1_000]\n  c: 2026-01-31\n  d: 089\n", []string{
			in + `:7 yaml/ambiguous-value data.a: yes without quotes is "yes" to Flux and YAML 1.2, but true to kubectl and Helm`,
			in + `:8 yaml/ambiguous-value data.b[0]: 0123 without quotes is 83 to Flux and kubectl, but 123 to YAML 1.2`,
			in + `:8 yaml/ambiguous-value data.b[2]: 1_000 without quotes is 1000 to Flux and kubectl, but "1_000" to YAML 1.2`,
			in + `:9 yaml/ambiguous-value data.c: 2026-01-31 without quotes is "2026-01-31T00:00:00Z" to Flux, but "2026-01-31" to kubectl`,
		}},
		"keys that are no text": {configMap + "data:\n  0123: z\nspec:\n  - {true: a, ~: b}\n", []string{
			in + ":7 yaml/key-not-text data: the key 0123 is a number, and Flux cannot build what has keys that are no text: quote the key",
			in + ":9 yaml/key-not-text spec[0]: the key true is a boolean, and Flux cannot build what has keys that are no text: quote the key",
			in + ":9 yaml/key-not-text spec[0]: the key ~ is null, and Flux cannot build what has keys that are no text: quote the key",
		}},
		"keys of a kustomization": {"-- cluster/kustomization.yaml --\nresources: [a.yaml]\ncommonAnnotations: {1: a}\n-- cluster/a.yaml --\n" + configMap, []string{
			"cluster/kustomization.yaml:2 yaml/key-not-text commonAnnotations: the key 1 is a number, and Flux cannot build what has keys that are no text: quote the key",
		}},
		"keys of what is no object": {"-- cluster/a.yaml --\n" + configMap + "-- workflow.yaml --\non: push\njobs: {1: {y: a}}\n", nil},
		"values of a Secret stay in it": {strings.Replace(configMap, "ConfigMap", "Secret", 1) + "stringData:\n  pin: 0123\n", []string{
			in + ":7 yaml/ambiguous-value stringData.pin: the value has no quotes, and is not the same to all YAML parsers",
		}},
		"modes of files are octal":   {configMap + "spec:\n  defaultMode: 0644\n  items: [{mode: 0400}]\n", nil},
		"values of what is not ours": {"-- cluster/a.yaml --\n" + configMap + "-- ansible/site.yml --\n- hosts: all\n  become: yes\n-- suite.yaml --\nkind: Suite\napiVersion: test.gatekeeper.sh/v1alpha1\nmetadata:\n  name: a\nviolations: no\n", nil},

		"an object twice": {configMap + "---\n" + strings.Replace(configMap, "example", "other", 1) + "---\n" + configMap, []string{
			in + ":13 yaml/duplicate-object ConfigMap default/example is in this file a second time; the first is in line 1",
		}},
		"patches of one object": {"-- cluster/kustomization.yaml --\nresources: [a.yaml]\npatches: [path: p.yaml]\n-- cluster/a.yaml --\n" + configMap + "-- cluster/p.yaml --\n" + configMap + "data: {a: b}\n---\n" + configMap + "data: {c: d}\n", nil},

		"a million of nothing": {configMap + "data:\n  a: &a [x,x,x,x,x,x,x,x,x,x]\n" + laughs('b', 'h'), []string{
			in + ":1 yaml/too-large the document cannot be used: the file has more than 1000000 values when its aliases are expanded",
		}},
		"an alias of itself": {configMap + "data: &a\n  b: *a\n", []string{
			in + ":1 yaml/too-large the document cannot be used: an alias stands for something that contains the alias itself",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := checktest.Lines(checktest.Run(t, Gate, tt.repository))
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
		})
	}
}

// TestMost: a file does not get more findings than anybody reads.
func TestMost(t *testing.T) {
	t.Parallel()
	got := checktest.Lines(checktest.Run(t, Gate, configMap+"data:\n"+strings.Repeat("  a: b\n", most+11)))
	if len(got) != most+1 || got[0] != "cluster/objects.yaml yaml/duplicate-key 10 more places in this file break this rule" {
		t.Errorf("%d findings, the first %q", len(got), got[0])
	}
}

func many(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "  k%d: x\n", i)
	}
	return b.String()
}

// laughs is a billion of them: lists of ten of the list before.
func laughs(from, to byte) string {
	var b strings.Builder
	for c := from; c <= to; c++ {
		fmt.Fprintf(&b, "  %c: &%c [%s]\n", c, c, strings.TrimSuffix(strings.Repeat("*"+string(c-1)+",", 10), ","))
	}
	return b.String()
}

func TestSeverity(t *testing.T) {
	t.Parallel()
	rep := checktest.Run(t, Gate, "-- cluster/a.yaml --\n"+configMap+"-- cluster/b.yaml --\n"+configMap+"\ta: b\n-- notes.yaml --\na: b: c\n")
	got := map[string]report.Severity{}
	for _, f := range rep.Findings {
		got[f.Location.File+" "+f.Rule] = f.Severity
	}
	want := map[string]report.Severity{"cluster/b.yaml yaml/tab": report.Error, "notes.yaml yaml/syntax": report.Warning}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("severities (-want +got):\n%s", diff)
	}
}

const flux = `apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata:
  name: apps
  namespace: flux-system
spec:
  path: ./apps
  prune: true
  sourceRef:
    kind: GitRepository
    name: flux-system
`

func TestOrphans(t *testing.T) {
	t.Parallel()
	object := func(name string) string { return strings.Replace(configMap, "example", name, 1) }
	for name, tt := range map[string]struct {
		files map[string]string
		want  []string
	}{
		"all read": {map[string]string{
			"cluster/flux.yaml": flux, "apps/kustomization.yaml": "resources: [a.yaml, b]\ncomponents: [../components/c]\n", "apps/a.yaml": object("a"),
			"apps/b/kustomization.yaml": "resources: [b.yaml]\n", "apps/b/b.yaml": object("b"), "components/c/kustomization.yaml": "kind: Component\n",
		}, nil},
		"a file that is not listed": {map[string]string{
			"cluster/flux.yaml": flux, "apps/kustomization.yaml": "resources: [a.yaml]\n", "apps/a.yaml": object("a"), "apps/b.yaml": "# of b\n" + object("b"),
		}, []string{"apps/b.yaml:2 yaml/orphan no cluster reads this file, so nothing of it is applied"}},
		"a folder that nothing refers to": {map[string]string{
			"cluster/flux.yaml": flux, "apps/kustomization.yaml": "resources: [a.yaml]\n", "apps/a.yaml": object("a"),
			"apps/old/kustomization.yaml": "resources: [b.yaml, x]\n", "apps/old/b.yaml": object("b"), "apps/old/x/kustomization.yaml": "resources: [x.yaml]\n", "apps/old/x/x.yaml": object("x"),
		}, []string{"apps/old/b.yaml:1 yaml/orphan no cluster reads the folder apps/old, so none of its 4 manifests is applied"}},
		"a component that nothing uses": {map[string]string{
			"cluster/a.yaml": object("a"), "components/c/kustomization.yaml": "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\n",
		}, []string{"components/c/kustomization.yaml:1 yaml/orphan no cluster reads this file, so nothing of it is applied"}},
		"no Kubernetes objects": {map[string]string{
			"cluster/a.yaml": object("a"), "docs/mkdocs.yml": "site_name: a\n", "ansible/site.yml": "- hosts: all\n",
			"kind.yaml":  "apiVersion: kind.x-k8s.io/v1alpha4\nkind: Cluster\nmetadata:\n  name: a\n",
			"audit.yaml": "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: []\n",
		}, nil},
		"samples and tests": {map[string]string{
			"cluster/a.yaml": object("a"), "docs/examples/b.yaml": object("b"), "policies/labels/samples/bad.yaml": object("c"),
			"policies/names/suite.yaml": "apiVersion: test.gatekeeper.sh/v1alpha1\nkind: Suite\nmetadata:\n  name: a\n", "policies/names/bad.yaml": object("d"),
		}, nil},
		"excluded": {map[string]string{
			"cluster/a.yaml": object("a"), ".sourceignore": "/bootstrap/\n", "bootstrap/b.yaml": object("b"),
		}, nil},
		"a chart that nothing uses": {map[string]string{
			"cluster/a.yaml": object("a"), "charts/x/Chart.yaml": "apiVersion: v2\nname: x\nversion: 1.0.0\n", "charts/x/crds/x.yaml": object("x"), "charts/x/templates/x.yaml": "{{",
			"charts/x/charts/y/Chart.yaml": "apiVersion: v2\nname: y\nversion: 1.0.0\n",
		}, []string{"charts/x/Chart.yaml yaml/orphan no HelmRelease uses the chart charts/x, so nothing of it is applied"}},
		"a chart that is used": {map[string]string{
			"cluster/a.yaml":      "apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nmetadata:\n  name: a\n  namespace: default\nspec:\n  interval: 1h\n  chart:\n    spec:\n      chart: ./charts/x/\n      sourceRef:\n        kind: GitRepository\n        name: flux-system\n        namespace: flux-system\n",
			"charts/x/Chart.yaml": "apiVersion: v2\nname: x\nversion: 1.0.0\n", "charts/x/templates/x.yaml": "{{",
		}, nil},
		"a folder that a script applies": {map[string]string{
			"cluster/a.yaml": object("a"), "bootstrap/b.yaml": object("b"), "bootstrap/c/c.yaml": object("c"), "old/d.yaml": object("d"), "old/e.yaml": object("e"),
			"scripts/up.sh": "kubectl apply --server-side -k \"${ROOT}/bootstrap\"\n# old things are in another repository\n",
		}, []string{
			"bootstrap/b.yaml:1 yaml/orphan no cluster reads the folder bootstrap, so none of its 2 manifests is applied; scripts/up.sh names it, so it may be applied by hand",
			"old/d.yaml:1 yaml/orphan no cluster reads the folder old, so none of its 2 manifests is applied",
		}},
		"a folder that says so itself": {map[string]string{
			"cluster/a.yaml": object("a"), "bootstrap/b.yaml": object("b"), "bootstrap/c.yaml": object("c"), "bootstrap/README.md": "Run `kubectl apply -k .` here.\n",
			"old/d.yaml": object("d"), "old/e.yaml": object("e"), "README.md": "See https://example.org/old/d.yaml\n",
		}, []string{
			"bootstrap/b.yaml:1 yaml/orphan no cluster reads the folder bootstrap, so none of its 2 manifests is applied; bootstrap/README.md names it, so it may be applied by hand",
			"old/d.yaml:1 yaml/orphan no cluster reads the folder old, so none of its 2 manifests is applied",
		}},
		"files that are named": {map[string]string{
			"cluster/flux.yaml": flux, "apps/kustomization.yaml": "resources: [a.yaml]\n", "apps/a.yaml": object("a"),
			"apps/b.yaml": object("b"), "apps/c.yaml": object("c"), "apps/d.yaml": object("d"), "apps/e.yaml": object("e"), "one/f.yaml": object("f"),
			"apps/README.md": "Apply `b.yaml` first.\n", "Makefile": "up:\n\tkubectl apply -f apps/c.yaml -f other/e.yaml\n\tkubectl apply -k one\n",
			"Taskfile.yaml": "tasks:\n  up: kubectl apply -f {{.DIR}}/apps/d.yaml\n", "docs/a.md": "apps/e.yaml is old.\n",
		}, []string{
			"apps/b.yaml:1 yaml/orphan no cluster reads this file, so nothing of it is applied; apps/README.md names it, so it may be applied by hand",
			"apps/c.yaml:1 yaml/orphan no cluster reads this file, so nothing of it is applied; Makefile names it, so it may be applied by hand",
			"apps/d.yaml:1 yaml/orphan no cluster reads this file, so nothing of it is applied; Taskfile.yaml names it, so it may be applied by hand",
			"apps/e.yaml:1 yaml/orphan no cluster reads this file, so nothing of it is applied",
			"one/f.yaml:1 yaml/orphan no cluster reads this file, so nothing of it is applied; Makefile names it, so it may be applied by hand",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var b strings.Builder
			for name, text := range tt.files {
				fmt.Fprintf(&b, "-- %s --\n%s", name, text)
			}
			rep := checktest.Run(t, Gate, b.String())
			if diff := cmp.Diff(tt.want, checktest.Lines(rep)); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
			for _, f := range rep.Findings {
				want := report.Warning
				if strings.Contains(f.Message, "by hand") {
					want = report.Info
				}
				if f.Severity != want {
					t.Errorf("%s: severity %s, want %s", f.Location, f.Severity, want)
				}
			}
		})
	}
}

// TestUnknown: while it is not known what something reads, it is not known what
// nothing reads.
func TestUnknown(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		repository string
		want       report.Unchecked
	}{
		"a Kustomization that does not build": {
			"-- cluster/flux.yaml --\n" + flux + "-- apps/kustomization.yaml --\nresources: [gone.yaml]\n-- apps/a.yaml --\n" + configMap,
			report.Unchecked{
				Reason: "Kustomization flux-system/apps does not build, so it is not known which files it reads",
				Next:   "mend what gate render reports", Location: report.Location{File: "cluster/flux.yaml", Line: 1},
			},
		},
		"an ArtifactGenerator": {
			"-- cluster/flux.yaml --\napiVersion: source.extensions.fluxcd.io/v1beta1\nkind: ArtifactGenerator\nmetadata:\n  name: a\n  namespace: flux-system\n-- apps/a.yaml --\n" + configMap,
			report.Unchecked{
				Reason: "ArtifactGenerator flux-system/a is not rendered, so it is not known which files it reads",
				Next:   "look through the folders that it reads by hand", Location: report.Location{File: "cluster/flux.yaml", Line: 1},
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rep := checktest.Run(t, Gate, tt.repository)
			if lines := checktest.Lines(rep); len(lines) > 0 {
				t.Errorf("findings: %q", lines)
			}
			tt.want.Gate, tt.want.Subject, tt.want.Clusters = "yaml", "files that no cluster reads", []string{"example"}
			got := slices.DeleteFunc(rep.NotChecked, func(u report.Unchecked) bool { return u.Gate != "yaml" })
			if diff := cmp.Diff([]report.Unchecked{tt.want}, got); diff != "" {
				t.Errorf("not checked (-want +got):\n%s", diff)
			}
		})
	}
}

// TestNoCluster: without a cluster every file would be an orphan.
func TestNoCluster(t *testing.T) {
	t.Parallel()
	in := &check.Input{
		Tree: gitops.FromFiles(map[string][]byte{"a.yaml": []byte(configMap)}), Render: &render.Result{}, Config: &config.Config{}, Now: checktest.Now,
	}
	rep, err := check.Run(t.Context(), []*check.Gate{Gate}, in)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range rep.Findings {
		if f.Gate() == "yaml" {
			t.Errorf("reported: %s", f.Message)
		}
	}
}

// TestSpeed: thousands of files take seconds at most, on any machine.
func TestSpeed(t *testing.T) {
	files := map[string][]byte{}
	for i := range 3000 {
		files[fmt.Sprintf("apps/%d/%d/deployment.yaml", i%100, i)] = []byte(strings.Replace(configMap, "example", fmt.Sprintf("a%d", i), 1) + "data:\n" + many(40))
	}
	in := &check.Input{Tree: gitops.FromFiles(files), Render: &render.Result{}, Config: &config.Config{}, Now: checktest.Now}
	start := time.Now()
	if _, err := check.Run(t.Context(), []*check.Gate{Gate}, in); err != nil {
		t.Fatal(err)
	}
	took := time.Since(start)
	t.Logf("%d files took %s", len(files), took)
	if took > 30*time.Second {
		t.Errorf("it took %s", took)
	}
}
