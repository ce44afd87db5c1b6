package fieldpath

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

const object = `
a:
  b.c:
    - d: 1
      e/f: 2
spec:
  containers:
    - name: web
      image: a:1
    - name: "si]de"
  ports:
    - port: 80
      name: http
    - port: 80
      protocol: UDP
  finalizers: [x, y.z]
`

func TestParse(t *testing.T) {
	t.Parallel()
	var obj any
	if err := yaml.Unmarshal([]byte(object), &obj); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		text string
		want []any
	}{
		{"", nil},
		{"a", []any{"a"}},
		{"a.b.c[0].d", []any{"a", "b.c", 0, "d"}},
		{"a[b.c].0.e/f", []any{"a", "b.c", 0, "e/f"}},
		{"a.x.y[3]", []any{"a", "x", "y", "3"}},
		{"a.b.c[9].d", []any{"a", "b.c", 9, "d"}},
		{"a[", []any{"a"}},
		{"a.b.c[x]", []any{"a", "b.c"}},
		{".a..", []any{"a"}},
		{`.spec.containers[name="web"].imag`, []any{"spec", "containers", 0, "imag"}},
		{`.spec.containers[name="si]de"].image`, []any{"spec", "containers", 1, "image"}},
		{`.spec.containers[name="no"].image`, []any{"spec", "containers"}},
		{`.spec.containers[name="web].image`, []any{"spec", "containers"}},
		{`.spec.ports[port=80,protocol="TCP"].x`, []any{"spec", "ports", 0, "x"}},
		{`.spec.ports[port=80,protocol="UDP"].x`, []any{"spec", "ports", 1, "x"}},
		{`.spec.ports[port,protocol].x`, []any{"spec", "ports"}},
		{`.metadata.finalizers[="x"]`, []any{"metadata", "finalizers", `="x"`}},
		{`.spec.finalizers[="y.z"]`, []any{"spec", "finalizers", 1}},
	} {
		if diff := cmp.Diff(test.want, Parse(test.text, obj)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", test.text, diff)
		}
	}
}

func TestText(t *testing.T) {
	t.Parallel()
	for want, path := range map[string][]any{
		"":                           nil,
		"a":                          {"a"},
		"a.b":                        {"a", "b"},
		"a.b[0].c":                   {"a", "b", 0, "c"},
		"metadata.labels[x.y/z]":     {"metadata", "labels", "x.y/z"},
		"metadata.annotations[a[0]]": {"metadata", "annotations", "a[0]"},
	} {
		if got := Text(path); got != want {
			t.Errorf("%v: %q, want %q", path, got, want)
		}
	}
}

func TestAt(t *testing.T) {
	t.Parallel()
	obj := map[string]any{"a": []any{"x", map[string]any{"b": int64(1)}}}
	for _, test := range []struct {
		path []any
		want any
	}{
		{nil, obj},
		{[]any{"a", 0}, "x"},
		{[]any{"a", 1, "b"}, int64(1)},
		{[]any{"a", 2}, nil},
		{[]any{"a", -1}, nil},
		{[]any{"a", "b"}, nil},
		{[]any{"b", 0, "c"}, nil},
	} {
		if diff := cmp.Diff(test.want, At(obj, test.path)); diff != "" {
			t.Errorf("%v (-want +got):\n%s", test.path, diff)
		}
	}
}

// FuzzParse: what servers write never breaks it, and what it finds is there to be
// asked for.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"a.b.c[0].d", `.spec.containers[name="si]de"].image`, `[="x"]`, `.spec.ports[port=80,protocol="TCP"]`, "a[", `[a="`, "....", "spec.ports[18446744073709551616]"} {
		f.Add(s)
	}
	var obj any
	if err := yaml.Unmarshal([]byte(object), &obj); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, o := range []any{obj, nil, []any{obj}} {
			path := Parse(s, o)
			if len(path) > strings.Count(s, ".")+2*strings.Count(s, "[")+1 {
				t.Errorf("%q: %v", s, path)
			}
			At(o, path)
			Text(path)
		}
	})
}
