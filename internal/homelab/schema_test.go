package homelab

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lumacore.dev/lumacore/internal/schematest"
)

// TestAnswersSchema: the schema takes the examples, and what it refuses the reader or
// the check refuses too.
func TestAnswersSchema(t *testing.T) {
	s, _ := schematest.Compile(t, Schema())
	doc := func(change Values) map[string]any {
		all := map[string]any{"apiVersion": APIVersion, "kind": Kind}
		for key, answer := range good() {
			all[key] = answer.Value
		}
		for key, value := range change {
			all[key] = value
		}
		return all
	}
	if err := s.Validate(doc(nil)); err != nil {
		t.Error(err)
	}
	for _, change := range []Values{
		{"domain": "https://home.example.org"},
		{"server": "192.168.1"},
		{"s3Provider": "azure"},
		{"gitUrl": "http://gitlab.example.org/a/b.git"},
		{"vault": "a/b"},
		{"timeZone": "new york"},
	} {
		if s.Validate(doc(change)) == nil {
			t.Errorf("%v: the schema takes it", change)
		}
		a := good()
		for key, value := range change {
			a[key] = Answer{Value: value}
		}
		if len(a.Check()) == 0 {
			t.Errorf("%v: the check takes it", change)
		}
	}
	for _, change := range []Values{{"kind": "Config"}, {"domian": "home.example.org"}} {
		if s.Validate(doc(change)) == nil {
			t.Errorf("%v: the schema takes it", change)
		}
	}
}

// TestReportSchema: what is written is valid, and the schema names every field.
func TestReportSchema(t *testing.T) {
	owner(t)
	data, err := os.ReadFile("../../docs/reference/init-report.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	s, schema := schematest.Compile(t, data)
	m, err := Make(t.Context(), good(), options(t, filepath.Join(t.TempDir(), "homelab")))
	if err != nil {
		t.Fatal(err)
	}
	r, err := NewReport(m, good())
	if err != nil {
		t.Fatal(err)
	}
	valid := func(r *Report) error {
		text, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		return schematest.Validate(t, s, text)
	}
	if err := valid(r); err != nil {
		t.Error(err)
	}
	if len(r.Items) == 0 || len(r.Bootstrap) == 0 || len(r.Next) == 0 {
		t.Errorf("the report lacks something: %+v", r)
	}
	for name, spoil := range map[string]func(*Report){
		"another kind": func(r *Report) { r.Kind = "CheckReport" },
		"no commit":    func(r *Report) { r.Commit = "main" },
		"no items":     func(r *Report) { r.Items = nil },
		"no digest":    func(r *Report) { r.Blueprint.Digest = "" },
	} {
		spoilt := *r
		if spoil(&spoilt); valid(&spoilt) == nil {
			t.Errorf("%s: the schema takes it", name)
		}
	}
	defs := schema["$defs"].(map[string]any)
	for name, goType := range map[string]reflect.Type{
		"": reflect.TypeFor[Report](), "origin": reflect.TypeFor[Origin](), "item": reflect.TypeFor[Item](),
		"bootstrap": reflect.TypeFor[Bootstrap](), "step": reflect.TypeFor[Step](),
	} {
		of := schema
		if name != "" {
			of = defs[name].(map[string]any)
		}
		var got, required, want []string
		for p := range of["properties"].(map[string]any) {
			got = append(got, p)
		}
		for _, p := range of["required"].([]any) {
			required = append(required, p.(string))
		}
		for _, f := range reflect.VisibleFields(goType) {
			if field := f.Tag.Get("json"); !f.Anonymous {
				want = append(want, field)
			}
		}
		for _, list := range [][]string{got, required, want} {
			slices.Sort(list)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("properties of %q (-Go +schema):\n%s", name, diff)
		}
		if diff := cmp.Diff(want, required); diff != "" {
			t.Errorf("what %q requires (-Go +schema):\n%s", name, diff)
		}
	}
}

func TestWord(t *testing.T) {
	for s, want := range map[string]string{
		"homelab": "homelab", "~/home": "'~/home'", "home lab": "'home lab'", "it's": `'it'\''s'`, "-x": "./-x", "": "''",
		"https://a.example/b.git": "https://a.example/b.git", "$(x)": "'$(x)'",
	} {
		if got := word(s); got != want {
			t.Errorf("word(%q) = %s, want %s", s, got, want)
		}
	}
}
