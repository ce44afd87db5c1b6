package gitlab

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lumacore.dev/lumacore/internal/report"
	"lumacore.dev/lumacore/internal/schematest"
	sim "lumacore.dev/lumacore/internal/sim/gitlab"
)

const reportSchema = "../../docs/reference/gitlab-report.schema.json"

// TestSchema: what is written is valid, and a schema that takes everything is not.
func TestSchema(t *testing.T) {
	t.Parallel()
	s, _ := schematest.File(t, reportSchema)
	valid := func(r *Report) error {
		data, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		return schematest.Validate(t, s, data)
	}
	projects := parse(t, whole)
	gitlab, url := start(t, sim.Free)
	gitlab.Runner("homelab/apps", "mine")
	server := connect(t, url, "owner")
	r := plan(t, server, projects)
	if err := valid(r); err != nil {
		t.Errorf("a plan: %v", err)
	}
	gitlab.FailWrites(4, 1, false)
	if err := server.Apply(t.Context(), projects, r, nil); err == nil {
		t.Fatal("nothing failed")
	}
	if err := valid(r); err != nil {
		t.Errorf("a partial failure: %v", err)
	}
	for name, spoil := range map[string]func(*Report){
		"another kind":     func(r *Report) { r.Kind = "CheckReport" },
		"null for a list":  func(r *Report) { r.Notes = nil },
		"an edition":       func(r *Report) { r.Edition = "Free" },
		"a tier":           func(r *Report) { r.Projects[0].Tier = "gold" },
		"no fields":        func(r *Report) { r.Changes[0].Fields = nil },
		"an action":        func(r *Report) { r.Changes[0].Action = "delete" },
		"a status":         func(r *Report) { r.Changes[0].Status = "" },
		"a value":          func(r *Report) { r.Changes[0].Fields[0].To = map[string]string{} },
		"a reason":         func(r *Report) { r.NotApplied[0].Reason = "because" },
		"nothing unwanted": func(r *Report) { r.NotManaged[0].Object = "" },
	} {
		r := plan(t, server, projects)
		spoil(r)
		if err := valid(r); err == nil {
			t.Errorf("%s: the schema takes it", name)
		}
	}
}

// TestSchemaNamesEveryField holds the schema's properties against the fields of the Go
// types, and what it requires against what is always written.
func TestSchemaNamesEveryField(t *testing.T) {
	t.Parallel()
	_, doc := schematest.File(t, reportSchema)
	defs := doc["$defs"].(map[string]any)
	for name, goType := range map[string]reflect.Type{
		"": reflect.TypeFor[Report](), "project": reflect.TypeFor[Project](), "change": reflect.TypeFor[Change](), "field": reflect.TypeFor[Field](),
		"notApplied": reflect.TypeFor[NotApplied](), "notManaged": reflect.TypeFor[NotManaged](), "note": reflect.TypeFor[Note](),
	} {
		schema := doc
		if name != "" {
			schema = defs[name].(map[string]any)
		}
		var properties, required, wantProperties, wantRequired []string
		for p := range schema["properties"].(map[string]any) {
			properties = append(properties, p)
		}
		for _, p := range schema["required"].([]any) {
			required = append(required, p.(string))
		}
		var walk func(reflect.Type)
		walk = func(typ reflect.Type) {
			for i := range typ.NumField() {
				f := typ.Field(i)
				tag, option, _ := strings.Cut(f.Tag.Get("json"), ",")
				switch {
				case f.Type == reflect.TypeFor[report.TypeMeta]():
					walk(f.Type)
				case f.IsExported():
					wantProperties = append(wantProperties, tag)
					if option == "" {
						wantRequired = append(wantRequired, tag)
					}
				}
			}
		}
		walk(goType)
		for _, list := range [][]string{properties, required, wantProperties, wantRequired} {
			slices.Sort(list)
		}
		if diff := cmp.Diff(wantProperties, properties); diff != "" {
			t.Errorf("properties of %q (-type +schema):\n%s", name, diff)
		}
		if diff := cmp.Diff(wantRequired, required); diff != "" {
			t.Errorf("required in %q (-type +schema):\n%s", name, diff)
		}
	}
}
