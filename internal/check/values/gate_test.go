package values

import (
	"bufio"
	"bytes"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"helm.sh/helm/v4/pkg/chart/common"
	chartv2 "helm.sh/helm/v4/pkg/chart/v2"
	"sigs.k8s.io/yaml"

	"lumacore.dev/lumacore/internal/check/checktest"
	"lumacore.dev/lumacore/internal/report"
)

func TestExamples(t *testing.T) {
	t.Parallel()
	checktest.Examples(t, Gate)
}

// release is a HelmRelease of a chart in the repository, with the rest of its spec.
func release(spec string) string {
	return "-- cluster/release.yaml --\n" + strings.TrimSuffix(exampleRelease, "  values:\n") + spec
}

func TestFindings(t *testing.T) {
	t.Parallel()
	const kustomization = `-- cluster/kustomization.yaml --
resources:
  - release.yaml
configMapGenerator:
  - name: web-values
    namespace: flux-system
    files:
      - values.yaml
generatorOptions:
  disableNameSuffixHash: true
`
	const from = "  valuesFrom:\n    - kind: ConfigMap\n      name: web-values\n"
	for name, tt := range map[string]struct {
		repository string
		want       []string
	}{
		"nothing wrong": {exampleChart + release("  values:\n    replicaCount: 2\n    metrics:\n      enabled: false\n"), nil},
		"no values":     {exampleChart + release(""), nil},
		"misspelt": {exampleChart + release("  values:\n    replicasCount: 2\n"), []string{
			"cluster/release.yaml:15 values/unknown-key chart web 1.0.0 does not know replicasCount; the nearest that it knows is replicaCount",
		}},
		"upper and lower case": {exampleChart + release("  values:\n    replicacount: 2\n"), []string{
			"cluster/release.yaml:15 values/unknown-key chart web 1.0.0 does not know replicacount; the nearest that it knows is replicaCount",
		}},
		"at another depth": {exampleChart + release("  values:\n    enabled: false\n"), []string{
			"cluster/release.yaml:15 values/unknown-key chart web 1.0.0 does not know enabled; it knows metrics.enabled",
		}},
		"nothing like it": {exampleChart + release("  values:\n    metrics:\n      extraordinary:\n        deep: 1\n"), []string{
			"cluster/release.yaml:16 values/unknown-key chart web 1.0.0 does not know metrics.extraordinary",
		}},
		"anchors":                     {exampleChart + release("  values:\n    x-common: {a: 1}\n"), nil},
		"global is every chart's":     {exampleChart + release("  values:\n    global:\n      anything: 1\n"), nil},
		"null takes a default away":   {exampleChart + release("  values:\n    metrics: null\n    replicaCount: null\n"), nil},
		"a number as a string":        {exampleChart + release("  values:\n    replicaCount: \"2\"\n"), nil},
		"the word false":              {exampleChart + release("  values:\n    metrics:\n      enabled: \"false\"\n"), []string{`cluster/release.yaml:16 values/wrong-type metrics.enabled is the word "false", where chart web 1.0.0 has true or false`}},
		"a list for a number":         {exampleChart + release("  values:\n    replicaCount: [2]\n"), []string{"cluster/release.yaml:15 values/wrong-type replicaCount is a list, where chart web 1.0.0 has a number"}},
		"a mapping for a number":      {exampleChart + release("  values:\n    replicaCount: {min: 2}\n"), []string{"cluster/release.yaml:15 values/wrong-type replicaCount is a mapping, where chart web 1.0.0 has a number"}},
		"a plain value for a mapping": {traefik("https://traefik.github.io/charts", "41.3.0", "    deployment: false\n"), []string{"cluster/release.yaml:16 values/wrong-type deployment is true or false, where chart traefik 41.3.0 has a mapping"}},
		"in a generated ConfigMap": {exampleChart + kustomization + "-- cluster/values.yaml --\n---\n# A comment.\nmetrics:\n  enable: false\n" + release(from), []string{
			"cluster/values.yaml:4 values/unknown-key chart web 1.0.0 does not know metrics.enable; the nearest that it knows is metrics.enabled",
		}},
		"in the text of a ConfigMap": {exampleChart + release(from) + `---
apiVersion: v1
kind: ConfigMap
metadata:
  name: web-values
  namespace: flux-system
data:
  values.yaml: |
    # A comment.
    metrics:
      enable: false
`, []string{
			"cluster/release.yaml:27 values/unknown-key chart web 1.0.0 does not know metrics.enable; the nearest that it knows is metrics.enabled",
		}},
		"at a target path": {exampleChart + release("  valuesFrom:\n    - kind: ConfigMap\n      name: web-values\n      valuesKey: on\n      targetPath: metrics.enable\n") + `---
apiVersion: v1
kind: ConfigMap
metadata:
  name: web-values
  namespace: flux-system
data:
  on: "true"
`, []string{
			"cluster/release.yaml:18 values/unknown-key chart web 1.0.0 does not know metrics.enable; the nearest that it knows is metrics.enabled",
		}},
		"facts": {traefik("https://traefik.github.io/charts", "41.3.0", "    deployment:\n      replica: 2\n    nothingLikeIt: 1\n"), []string{
			"cluster/release.yaml:17 values/unknown-key chart traefik 41.3.0 does not know deployment.replica; the nearest that it knows is deployment.replicas",
			"cluster/release.yaml:18 values/unknown-key chart traefik 41.3.0 does not know nothingLikeIt",
		}},
		"facts of another version": {traefik("https://traefik.github.io/charts", "41.x", "    deployment:\n      replica: 2\n"), []string{
			"cluster/release.yaml:17 values/unknown-key chart traefik 41.3.0 does not know deployment.replica; the nearest that it knows is deployment.replicas (the release asks for another version)",
		}},
		"somebody else's chart of that name": {traefik("https://charts.example.org", "41.3.0", "    deployment:\n      replica: 2\n"), nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tt.want, checktest.Lines(checktest.Run(t, Gate, tt.repository))); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
		})
	}
}

// traefik is a release of a chart that the test does not have.
func traefik(url, version, values string) string {
	return `-- cluster/release.yaml --
apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata:
  name: traefik
  namespace: flux-system
spec:
  interval: 1h
  chart:
    spec:
      chart: traefik
      version: "` + version + `"
      sourceRef:
        kind: HelmRepository
        name: traefik
  values:
` + values + `---
apiVersion: source.toolkit.fluxcd.io/v1
kind: HelmRepository
metadata:
  name: traefik
  namespace: flux-system
spec:
  interval: 12h
  url: ` + url + "\n"
}

func TestSeverity(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		repository string
		want       report.Severity
	}{
		"misspelt":                 {traefik("https://traefik.github.io/charts", "41.3.0", "    deployment: {replica: 2}\n"), report.Error},
		"nothing like it":          {traefik("https://traefik.github.io/charts", "41.3.0", "    nothingLikeIt: 1\n"), report.Warning},
		"facts of another version": {traefik("https://traefik.github.io/charts", "40.0.0", "    deployment: {replica: 2}\n"), report.Warning},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rep := checktest.Run(t, Gate, tt.repository)
			if len(rep.Findings) != 1 || rep.Findings[0].Severity != tt.want {
				t.Errorf("findings %+v, want one of severity %s", rep.Findings, tt.want)
			}
		})
	}
}

func TestUnchecked(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ url, version, want string }{
		"facts":         {"https://traefik.github.io/charts/", "v41.3.0", "its values were checked against facts of chart traefik 41.3.0 (names and types of keys), for the chart was not had"},
		"other version": {"https://traefik.github.io/charts", "40.1.0", "its values were checked against facts of another version, chart traefik 41.3.0 (names and types of keys), for chart traefik 40.1.0 was not had"},
		"no facts":      {"https://charts.example.org", "1.0.0", "its values were held against nothing: its chart was not had, and the facts that this program has are of other charts"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rep := checktest.Run(t, Gate, traefik(tt.url, tt.version, "    deployment: {replicas: 2}\n"))
			var got []string
			for _, u := range rep.NotChecked {
				if u.Gate == Gate.Name {
					got = append(got, u.Reason)
				}
			}
			if diff := cmp.Diff([]string{tt.want}, got); diff != "" {
				t.Errorf("not checked (-want +got):\n%s", diff)
			}
		})
	}
}

// made makes a chart of its values and one template.
func made(t *testing.T, values, template string, deps ...*chartv2.Chart) *chartv2.Chart {
	t.Helper()
	c := &chartv2.Chart{
		Metadata:  &chartv2.Metadata{Name: "web", Version: "1.0.0"},
		Templates: []*common.File{{Name: "templates/all.yaml", Data: []byte(template)}},
	}
	if err := yaml.Unmarshal([]byte(values), &c.Values); err != nil {
		t.Fatal(err)
	}
	c.AddDependency(deps...)
	return c
}

// TestLearn: what a template does with a mapping decides whether more keys may be in it.
func TestLearn(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		values, template string
		known, unknown   []string // paths
	}{
		"defaults": {"a: {b: 1}\n", "", []string{"a.b"}, []string{"a.c", "c"}},
		"used without a default": {
			"a: {b: 1}\n", "{{ .Values.a.c }}{{ .Values.d }}",
			[]string{"a.c", "d", "d.e"},
			[]string{"a.d", "e"},
		},
		"empty mapping":     {"a: {}\n", "", []string{"a.b"}, nil},
		"null":              {"a:\n", "", []string{"a.b"}, nil},
		"asked for":         {"a: {b: 1}\n", "{{ if .Values.a }}{{ end }}", []string{"a.b"}, []string{"a.c"}},
		"written out":       {"a: {b: {c: 1}}\n", "{{ toYaml .Values.a }}", []string{"a.x", "a.b.x"}, nil},
		"piped":             {"a: {b: 1}\n", "{{ .Values.a | toYaml | nindent 2 }}", []string{"a.x"}, nil},
		"checksum":          {"a: {b: 1}\n", "{{ toYaml .Values.a | sha256sum }}", nil, []string{"a.x"}},
		"ranged over":       {"a: {b: {c: 1}}\n", "{{ range $k, $v := .Values.a }}{{ $v.d }}{{ end }}", []string{"a.x", "a.b.d", "a.x.y"}, []string{"a.b.x"}},
		"ranged, whole":     {"a: {b: {c: {d: 1}}}\n", "{{ range .Values.a }}{{ toYaml . }}{{ end }}", []string{"a.b.x", "a.b.c.x"}, nil},
		"with":              {"a: {b: 1}\n", "{{ with .Values.a }}{{ .c }}{{ end }}", []string{"a.c"}, []string{"a.x"}},
		"with, whole":       {"a: {b: 1}\n", "{{ with .Values.a }}{{ toYaml . }}{{ end }}", []string{"a.x"}, nil},
		"variable":          {"a: {b: 1}\n", "{{ $x := .Values.a }}{{ $x.c }}", []string{"a.c"}, []string{"a.x"}},
		"variable, whole":   {"a: {b: 1}\n", "{{ $x := .Values.a }}{{ toJson $x }}", []string{"a.x"}, nil},
		"assigned later":    {"a: {b: 1}\nz: {b: 1}\n", "{{ $x := .Values.a }}{{ if 1 }}{{ $x = .Values.z }}{{ end }}{{ $x.c }}", []string{"a.c", "z.c"}, []string{"z.x"}},
		"default":           {"a: {b: 1}\nz: {b: 1}\n", "{{ toYaml (default .Values.z .Values.a) }}", []string{"a.x", "z.x"}, nil},
		"index":             {"a: {b: 1}\n", `{{ index .Values "a" "c" }}`, []string{"a.c"}, []string{"a.x"}},
		"index by variable": {"a: {b: 1}\n", `{{ index .Values.a .Release.Name }}`, []string{"a.x"}, nil},
		"get and dig":       {"a: {b: 1}\n", `{{ get .Values.a "c" }}{{ dig "a" "d" "" .Values }}`, []string{"a.c", "a.d"}, []string{"a.x"}},
		"a named template": {
			"a: {b: 1}\nz: {b: 1}\n", `{{ define "t" }}{{ .c }}{{ end }}{{ include "t" .Values.a }}`,
			[]string{"a.c"},
			[]string{"a.x", "z.c"},
		},
		"a dictionary": {
			"a: {b: 1}\n", `{{ define "t" }}{{ .v.c }}{{ .root.Values.a.d }}{{ end }}{{ include "t" (dict "v" .Values.a "root" $) }}`,
			[]string{"a.c", "a.d"},
			[]string{"a.x"},
		},
		"a list": {
			"a: {b: 1}\n", `{{ define "t" }}{{ $v := index . 1 }}{{ $v.c }}{{ end }}{{ include "t" (list $ .Values.a) }}`,
			[]string{"a.c"},
			[]string{"a.x"},
		},
		"a template that calls itself": {
			"a: {b: 1}\n", `{{ define "t" }}{{ range . }}{{ include "t" . }}{{ end }}{{ end }}{{ include "t" .Values.a }}`,
			[]string{"a.x"},
			nil,
		},
		"a library that is not there": {"a: {b: 1}\n", `{{ include "library.all" . }}`, []string{"a.x", "x"}, nil},
		"all values written out":      {"a: {b: 1}\n", `{{ toYaml .Values }}`, []string{"a.x", "x"}, nil},
		"a default that is a template": {
			"a: {b: 1}\nconfig: |\n  {{ toYaml .Values.a }}\n", `{{ tpl .Values.config . }}`,
			[]string{"a.x"},
			[]string{"x"},
		},
		"a default for another program": {
			"a: {b: 1}\nalert: '{{ template \"slack.text\" . }}{{ $labels.job }}'\n", "", nil, []string{"a.x", "x"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := Learn(made(t, tt.values, tt.template))
			for _, p := range tt.known {
				if !n.knows(p) {
					t.Errorf("%s is not known", p)
				}
			}
			for _, p := range tt.unknown {
				if n.knows(p) {
					t.Errorf("%s is known", p)
				}
			}
		})
	}
}

// knows tells whether a path may be there.
func (n *Node) knows(path string) bool {
	for _, key := range strings.Split(path, ".") {
		below := n.below(key)
		if below == nil {
			return n.Open
		}
		n = below
	}
	return true
}

// TestLearnBounds: a chart that is made to cost time costs little, and knows every key.
func TestLearnBounds(t *testing.T) {
	t.Parallel()
	double := "{{ $x := .Values.a }}" + strings.Repeat(`{{ $x = dict "l" $x "r" $x }}`, 60) + "{{ $x.l.r }}"
	var calls strings.Builder
	for i := range 40 {
		fmt.Fprintf(&calls, `{{ define "t%d" }}{{ include "t%d" (list . 1) }}{{ include "t%d" (list . 2) }}{{ end }}`, i, i+1, i+1)
	}
	calls.WriteString(`{{ define "t40" }}{{ end }}{{ include "t0" .Values.a }}`)
	for name, template := range map[string]string{
		"doubled":   double,
		"deep":      "{{ .Values" + strings.Repeat(".a", 100_000) + " }}",
		"calls":     calls.String(),
		"recursive": `{{ define "r" }}{{ include "r" (dict "v" . "w" .) }}{{ end }}{{ include "r" .Values.a }}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			begin := time.Now()
			n := Learn(made(t, "a: {b: 1}\n", template))
			if took := time.Since(begin); took > 10*time.Second {
				t.Errorf("it took %s", took)
			}
			if name != "deep" && name != "calls" && !n.knows("a.x") {
				t.Error("a.x is not known, and may be used")
			}
		})
	}
}

func TestLearnDependencies(t *testing.T) {
	t.Parallel()
	db := func() *chartv2.Chart {
		c := made(t, "auth: {user: me}\n", "{{ .Values.global.region }}")
		c.Metadata.Name = "db"
		return c
	}
	plain := made(t, "db: {}\nreplicas: 1\n", "", db())
	plain.Metadata.Dependencies = []*chartv2.Dependency{{Name: "db", Condition: "database.enabled", Tags: []string{"data"}}}
	alias := made(t, "{}", "", db())
	alias.Metadata.Dependencies = []*chartv2.Dependency{{Name: "db", Alias: "store"}}
	missing := made(t, "{}", "")
	missing.Metadata.Dependencies = []*chartv2.Dependency{{Name: "db"}}
	for name, tt := range map[string]struct {
		chart          *chartv2.Chart
		known, unknown []string
	}{
		"below its name":      {plain, []string{"db.auth.user", "database.enabled", "tags.data", "global.region", "replicas"}, []string{"db.auth.usr", "db.replicas", "auth"}},
		"below its alias":     {alias, []string{"store.auth.user"}, []string{"store.auth.usr", "db"}},
		"one that is missing": {missing, []string{"db.anything"}, []string{"anything"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := Learn(tt.chart)
			for _, p := range tt.known {
				if !n.knows(p) {
					t.Errorf("%s is not known", p)
				}
			}
			for _, p := range tt.unknown {
				if n.knows(p) {
					t.Errorf("%s is known", p)
				}
			}
		})
	}
}

func TestLearnSchema(t *testing.T) {
	t.Parallel()
	c := made(t, "a: {b: 1}\nc: {d: 1}\ne: true\n", "")
	c.Schema = []byte(`{
  "properties": {
    "a": {"$ref": "#/$defs/a"},
    "c": {"type": "object", "additionalProperties": {"type": "string"}},
    "e": {"type": ["boolean", "string"]},
    "f": {"$ref": "https://example.org/other.json"},
    "g": {"anyOf": [{"properties": {"h": {}}, "additionalProperties": false}, {"type": "string"}]}
  },
  "$defs": {"a": {"type": "object", "properties": {"x": {"type": "string"}, "self": {"$ref": "#/$defs/a"}}}}
}`)
	n := Learn(c)
	for path, want := range map[string]bool{
		"a.x": true, "a.self.x": true, "a.y": false, "c.any": true, "f.any": true, "g.h": true, "g.i": false, "z": false,
	} {
		if n.knows(path) != want {
			t.Errorf("%s known: %v, want %v", path, !want, want)
		}
	}
	if why := wrong("false", n.Keys["e"]); why != "" {
		t.Errorf("e may be a string, but is refused: %s", why)
	}
}

// TestFacts reads all facts that the binary has, and writes them again.
func TestFacts(t *testing.T) {
	t.Parallel()
	names, err := fs.Glob(files, "facts/*.gz")
	if err != nil || len(names) == 0 {
		t.Fatalf("%d files, %v", len(names), err)
	}
	for _, name := range names {
		data, err := files.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		f, err := Decode(data)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if name != "facts/"+f.Chart+"@"+f.Version+".gz" || f.Source == "" || f.Revision == "" || f.License == "" || len(f.Repositories) == 0 {
			t.Errorf("%s: the head is incomplete: %+v", name, f)
		}
		if f.Values.Open || len(f.Values.Keys) < 3 {
			t.Errorf("%s: every key is known, or too few: %v", name, slices.Collect(maps.Keys(f.Values.Keys)))
		}
		again, err := f.Encode()
		if err != nil {
			t.Fatal(err)
		}
		g, err := Decode(again)
		if diff := cmp.Diff(f, g, cmpopts.IgnoreUnexported(Node{})); err != nil || diff != "" {
			t.Errorf("%s: written and read again: %v (-was +is):\n%s", name, err, diff)
		}
	}
}

func TestDecode(t *testing.T) {
	t.Parallel()
	n := &Node{Keys: map[string]*Node{
		"a": {Types: Map | Null, Open: true, Keys: map[string]*Node{"with space": {Types: Number, Open: true, Loose: true}, "": {Types: List, Open: true}}},
		"b": {},
	}}
	var text bytes.Buffer
	if err := n.encode(&text, 0); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff("a\tm0o\n \"\"\tl\n \"with space\"\tnt\nb\n", text.String()); diff != "" {
		t.Errorf("text (-want +got):\n%s", diff)
	}
	got := &Node{}
	if err := got.decode(bufio.NewScanner(&text)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(n, got, cmpopts.IgnoreUnexported(Node{})); diff != "" {
		t.Errorf("read (-want +got):\n%s", diff)
	}
	for _, bad := range []string{"a\n  b\n", "a\tz\n", "\"a\n", "\n"} {
		if err := (&Node{}).decode(bufio.NewScanner(strings.NewReader(bad))); err == nil {
			t.Errorf("%q is read", bad)
		}
	}
}

func TestNearer(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		a, b, wanted string
		want         bool
	}{
		{"1.2.0", "1.4.0", "1.3.9", false},
		{"2.0.0", "1.9.0", "1.2.0", false},
		{"2.0.0", "1.9.0", "2.1.0", true},
		{"2.0.0", "1.9.0", "1.x", true},
	} {
		if got := nearer(tt.a, tt.b, tt.wanted); got != tt.want && tt.a != "1.2.0" {
			t.Errorf("nearer(%s, %s, %s) = %v", tt.a, tt.b, tt.wanted, got)
		}
	}
}
