package diff

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/util/json" // integers stay integers
	"sigs.k8s.io/yaml"
)

// parsed reads YAML as the cluster would.
func parsed(t testing.TB, s string) any {
	t.Helper()
	j, err := yaml.YAMLToJSON([]byte(s))
	if err != nil {
		t.Fatalf("%v in\n%s", err, s)
	}
	var v any
	if err := json.Unmarshal(j, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// listed writes fields, one a line.
func listed(all []field) (out []string) {
	for _, f := range all {
		old, new := value(f.old), value(f.new)
		switch {
		case f.order:
			out = append(out, fmt.Sprintf("%s order %s → %s", f.way, old, new))
		case !f.had:
			out = append(out, fmt.Sprintf("%s + %s", f.way, new))
		case !f.has:
			out = append(out, fmt.Sprintf("%s - %s", f.way, old))
		default:
			out = append(out, fmt.Sprintf("%s %s → %s", f.way, old, new))
		}
	}
	return out
}

func TestFields(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		old, new string
		want     []string
	}{
		"equal":                {`{a: 1, b: [x, {c: d}]}`, `{b: [x, {c: d}], a: 1.0}`, nil},
		"numbers beyond 2^53":  {`a: 9007199254740993`, `a: 9007199254740992`, []string{"a 9007199254740993 → 9007199254740992"}},
		"a key comes and goes": {`{a: 1}`, `{b: 1}`, []string{"a - 1", "b + 1"}},
		"null is not absent":   {`{a: null}`, `{}`, []string{"a - null"}},
		"text and number":      {`{a: "1"}`, `{a: 1}`, []string{`a "1" → 1`}},
		"another type":         {`{a: {b: c}}`, `{a: [b]}`, []string{`a {"b":"c"} → ["b"]`}},
		"keys that need care":  {`{m: {a.b/c: 1}}`, `{m: {a.b/c: 2}}`, []string{"m[a.b/c] 1 → 2"}},
		"containers by name": {
			`containers: [{name: a, image: x}, {name: b, image: x}]`,
			`containers: [{name: new, image: w}, {name: a, image: x}, {name: b, image: z}]`,
			[]string{"containers[name=b].image x → z", `containers[name=new] + {"image":"w","name":"new"}`},
		},
		"a container comes first": {
			`containers: [{name: a, image: x}]`, `containers: [{name: b, image: x}, {name: a, image: x}]`,
			[]string{`containers[name=b] + {"image":"x","name":"b"}`},
		},
		"env in another order": {
			`env: [{name: A, value: "1"}, {name: B, value: "2"}]`, `env: [{name: B, value: "2"}, {name: A, value: "1"}]`,
			[]string{"env order name=A, name=B → name=B, name=A"},
		},
		"ports of containers": {
			`ports: [{containerPort: 53, protocol: UDP, name: a}, {containerPort: 53, protocol: TCP, name: b}]`,
			`ports: [{containerPort: 53, protocol: UDP, name: a}, {containerPort: 53, protocol: TCP, name: c}]`,
			[]string{"ports[containerPort=53,protocol=TCP].name b → c"},
		},
		"ports of a Service": {
			`ports: [{port: 80, targetPort: 80}, {port: 443, targetPort: 443}]`, `ports: [{port: 443, targetPort: 8443}]`,
			[]string{`ports[port=80] - {"port":80,"targetPort":80}`, "ports[port=443].targetPort 443 → 8443"},
		},
		"mounts by path": {
			`volumeMounts: [{name: d, mountPath: /a}, {name: d, mountPath: /b}]`, `volumeMounts: [{name: d, mountPath: /a}, {name: e, mountPath: /b}]`,
			[]string{"volumeMounts[mountPath=/b].name d → e"},
		},
		"volumes by name": {
			`volumes: [{name: a, configMap: {name: x}}]`, `volumes: [{name: b, emptyDir: {}}, {name: a, configMap: {name: z}}]`,
			[]string{"volumes[name=a].configMap.name x → z", `volumes[name=b] + {"emptyDir":{},"name":"b"}`},
		},
		"tolerations": {
			`tolerations: [{operator: Exists}, {key: a, effect: NoSchedule}]`, `tolerations: [{key: a, effect: NoSchedule, tolerationSeconds: 5}]`,
			[]string{`tolerations[operator=Exists] - {"operator":"Exists"}`, "tolerations[key=a,effect=NoSchedule].tolerationSeconds + 5"},
		},
		"templates of claims": {
			`volumeClaimTemplates: [{metadata: {name: data}, spec: {a: 1}}]`, `volumeClaimTemplates: [{metadata: {name: data}, spec: {a: 2}}]`,
			[]string{"volumeClaimTemplates[metadata.name=data].spec.a 1 → 2"},
		},
		"no names twice": {
			`env: [{name: A, value: "1"}, {name: A, value: "2"}]`, `env: [{name: A, value: "1"}, {name: A, value: "3"}]`,
			[]string{`env[1].value "2" → "3"`},
		},
		"rules in between": {
			`rules: [{a: 1}, {b: 1}, {c: 1}]`, `rules: [{a: 1}, {x: 1}, {b: 1}, {c: 2}]`,
			[]string{`rules[1] + {"x":1}`, "rules[3].c 1 → 2"},
		},
		"texts of a list":   {`args: [a, b, c, d]`, `args: [a, c, e, d]`, []string{"args[1] - b", "args[2] + e"}},
		"a list is emptied": {`args: [a]`, `args: []`, []string{`args ["a"] → []`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			old, new := parsed(t, tt.old), parsed(t, tt.new)
			if diff := cmp.Diff(tt.want, listed(fields(old, new))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if again := fields(old, old); again != nil {
				t.Errorf("it differs from itself: %v", listed(again))
			}
		})
	}
}

// TestFieldsOfLongLists: lists that are too long to be aligned are still compared.
func TestFieldsOfLongLists(t *testing.T) {
	t.Parallel()
	var old, new []any
	for i := range 3000 {
		old, new = append(old, fmt.Sprint(i)), append(new, fmt.Sprint(i+1))
	}
	if got := fields(old, new); len(got) != 3000 {
		t.Errorf("%d differences", len(got))
	}
}

func TestText(t *testing.T) {
	t.Parallel()
	got := text("a\nb\nc\nd\ne\nf\ng\n", "a\nb\nc\nd\nX\nf\ng\n")
	want := "@@ -2,6 +2,6 @@\n b\n c\n d\n-e\n+X\n f\n g"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if text("a\n", "a") != "" {
		t.Error("the last line break is no line that differs")
	}
	long := strings.Repeat("x\n", 1000)
	if n := strings.Count(text("", long), "\n"); n != mostLines {
		t.Errorf("%d lines of a long text", n)
	}
	if text(strings.Repeat("y", mostText), "\n") != "" {
		t.Error("a huge text is compared line by line")
	}
	if got := value(strings.Repeat("ä", 5000)); !strings.HasSuffix(got, "… (3000 more characters)") {
		t.Errorf("a long value ends %q", got[len(got)-40:])
	}
}

func TestNoise(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		"metadata labels helm.sh/chart":                                       "helm.sh/chart",
		"metadata labels chart":                                               "chart",
		"spec template metadata labels app.kubernetes.io/version":             "app.kubernetes.io/version",
		"spec template metadata annotations checksum/config":                  "checksum/*",
		"metadata labels kustomize.toolkit.fluxcd.io/name":                    "kustomize.toolkit.fluxcd.io/name",
		"metadata labels app":                                                 "",
		"spec selector matchLabels helm.sh/chart":                             "",
		"spec labels chart":                                                   "",
		"data helm.sh/chart":                                                  "",
		"spec template metadata annotations prometheus.io/scrape":             "",
		"spec jobTemplate spec template metadata annotations checksum/secret": "checksum/*",
	} {
		var w way
		for _, s := range strings.Fields(path) {
			w = w.key(s)
		}
		if got := noise(w); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
}

// FuzzFields: the differ takes any two values; what is equal has no difference, what
// is not has one, and each is at a place where the two differ.
func FuzzFields(f *testing.F) {
	f.Add(`{"a":1}`, `{"a":2}`)
	f.Add(`{"containers":[{"name":"a"},{"name":"b"}]}`, `{"containers":[{"name":"b"},{"name":"a","x":null}]}`)
	f.Add(`[1,[2,{"name":""}],"x\ny"]`, `[[2,{"name":1}],"x\nz",1.5]`)
	f.Add(`{"metadata":{"labels":{"helm.sh/chart":"a"}}}`, `{"metadata":{}}`)
	f.Fuzz(func(t *testing.T, a, b string) {
		var old, new any
		if json.Unmarshal([]byte(a), &old) != nil || json.Unmarshal([]byte(b), &new) != nil {
			t.Skip()
		}
		if d := fields(old, old); len(d) > 0 {
			t.Fatalf("%s differs from itself: %v", a, listed(d))
		}
		there, back := fields(old, new), fields(new, old)
		if same := canonical(old) == canonical(new); same != (len(there) == 0) || equal(old, new) != same || same != (len(back) == 0) {
			t.Fatalf("%s and %s: equal %v, %v, differences %v and %v", a, b, equal(old, new), same, listed(there), listed(back))
		}
		for _, d := range there {
			if d.had && d.has && equal(d.old, d.new) {
				t.Fatalf("%s and %s: %s is the same", a, b, d.way)
			}
			for _, d := range onlyLabels(d) {
				noise(d.way)
				if textual(d.old, d.new) {
					text(d.old.(string), d.new.(string))
				}
				shown(d.old)
			}
		}
		if maps := !slices.ContainsFunc(there, func(f field) bool {
			return slices.ContainsFunc(f.way, func(s step) bool { return s.item }) || f.order
		}); maps {
			if got := applied(old, there); !equal(got, new) {
				t.Fatalf("%s with %v is %s, want %s", a, listed(there), canonical(got), canonical(new))
			}
		}
	})
}

// applied returns a value with differences of maps put into it.
func applied(v any, all []field) any {
	if len(all) == 1 && len(all[0].way) == 0 {
		return all[0].new
	}
	m, ok := v.(map[string]any)
	if !ok {
		return v
	}
	out := maps.Clone(m)
	below := map[string][]field{}
	for _, f := range all {
		k := f.way[0].text
		if len(f.way) == 1 && !f.has {
			delete(out, k)
			continue
		}
		if len(f.way) == 1 && !f.had {
			out[k] = f.new
			continue
		}
		f.way = f.way[1:]
		below[k] = append(below[k], f)
	}
	for k, list := range below {
		out[k] = applied(out[k], list)
	}
	return out
}
