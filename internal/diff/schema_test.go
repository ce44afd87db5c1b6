package diff

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"lumacore.dev/lumacore/internal/report"
	"lumacore.dev/lumacore/internal/schematest"
)

const diffSchema = "../../docs/reference/diff-report.schema.json"

func valid(t *testing.T, s *jsonschema.Schema, r *Report) error {
	t.Helper()
	return schematest.Validate(t, s, []byte(write(t, r, report.JSON)))
}

// TestSchema: what is written is valid, and a schema that takes everything is not.
func TestSchema(t *testing.T) {
	t.Parallel()
	s, _ := schematest.File(t, diffSchema)
	dir := repository(t, "testdata/shop.txtar")
	same := compared(t, dir, "HEAD", "HEAD", 0)
	if err := valid(t, s, same); err != nil {
		t.Errorf("no changes: %v", err)
	}
	if err := valid(t, s, compared(t, dir, "HEAD~1", "HEAD", 0)); err != nil {
		t.Errorf("a rich report: %v", err)
	}
	for name, spoil := range map[string]func(*Report){
		"another kind":      func(r *Report) { r.Kind = "CheckReport" },
		"null for a list":   func(r *Report) { r.Objects = nil },
		"no mark":           func(r *Report) { r.Objects[0].Marks[0].Mark = "" },
		"no action":         func(r *Report) { r.Objects[0].Action = "" },
		"no cluster":        func(r *Report) { r.Objects[0].Clusters = nil },
		"an unknown update": func(r *Report) { r.Versions[0].Update = "huge" },
		"an unknown side":   func(r *Report) { r.NotCompared[0].Side = "left" },
		"no name of commit": func(r *Report) { r.Base.Commit = "main" },
	} {
		r := compared(t, dir, "HEAD~1", "HEAD", 0)
		spoil(r)
		if err := valid(t, s, r); err == nil {
			t.Errorf("%s: the schema takes it", name)
		}
	}
}

// TestSchemaNamesEveryField holds the schema's properties against the fields of the
// Go types, and what it requires against what is always written.
func TestSchemaNamesEveryField(t *testing.T) {
	t.Parallel()
	_, doc := schematest.File(t, diffSchema)
	defs := doc["$defs"].(map[string]any)
	types := map[string]reflect.Type{
		"revision": reflect.TypeFor[Revision](), "cluster": reflect.TypeFor[Cluster](), "count": reflect.TypeFor[Count](),
		"version": reflect.TypeFor[Version](), "object": reflect.TypeFor[Object](), "mark": reflect.TypeFor[ObjectMark](),
		"change": reflect.TypeFor[Change](), "folded": reflect.TypeFor[Folded](), "notCompared": reflect.TypeFor[NotCompared](),
		"location": reflect.TypeFor[report.Location](), "": reflect.TypeFor[Report](),
	}
	if len(defs) != len(types)-1 {
		t.Errorf("the schema has %d definitions for %d types", len(defs), len(types)-1)
	}
	for name, goType := range types {
		schema := doc
		if name != "" {
			schema = defs[name].(map[string]any)
		}
		var properties, required, wantProperties, wantRequired []string
		for p := range schema["properties"].(map[string]any) {
			properties = append(properties, p)
		}
		list, _ := schema["required"].([]any)
		for _, r := range list {
			required = append(required, r.(string))
		}
		for _, f := range reflect.VisibleFields(goType) {
			field, options, _ := strings.Cut(f.Tag.Get("json"), ",")
			if f.Anonymous || field == "-" {
				continue
			}
			wantProperties = append(wantProperties, field)
			if !strings.Contains(options, "omit") {
				wantRequired = append(wantRequired, field)
			}
		}
		for _, list := range [][]string{properties, required, wantProperties, wantRequired} {
			slices.Sort(list)
		}
		if diff := cmp.Diff(wantProperties, properties); diff != "" {
			t.Errorf("properties of %q (-Go +schema):\n%s", name, diff)
		}
		if diff := cmp.Diff(wantRequired, required); diff != "" {
			t.Errorf("what %q requires (-Go +schema):\n%s", name, diff)
		}
	}
}
