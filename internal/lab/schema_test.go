package lab

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"lumacore.dev/lumacore/internal/lab/supervisor"
	"lumacore.dev/lumacore/internal/report"
	"lumacore.dev/lumacore/internal/schematest"
)

const reportSchema = "../../docs/reference/lab-report.schema.json"

// instance returns v as the validator wants it: what its JSON form decodes to.
func instance(t *testing.T, v any) any {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func sampleReport() *Report {
	rep := &Report{
		TypeMeta: report.Meta("LabReport"), Ready: true, Dir: "/tmp/lab",
		Kustomizations: []Kustomization{
			{Name: "flux-system", Ready: true, Revision: "main@sha1:4e04d0423dcd7bd0a6bc2b3bd5e40f75ba4a05d6", Message: "Applied revision"},
			{Name: "apps-prod", Environment: "prod", Suspended: true, Message: "production is released by hand"},
		},
		Systems: []System{{"nodes", isSimulated, "KWOK"}, {"cert-manager", isNotHere, "its chart"}, {"gatekeeper", isReal, ""}},
		Phases:  []Phase{{Name: "control plane", Seconds: 3.5}, {Name: "total", Seconds: 33}},
	}
	for _, state := range []supervisor.State{
		supervisor.Waiting, supervisor.Starting, supervisor.Ready, supervisor.Unready,
		supervisor.BackOff, supervisor.CrashLoop, supervisor.Stopping, supervisor.Stopped,
	} {
		rep.Components = append(rep.Components, Component{
			Name: "etcd", State: string(state), Mode: mode("etcd"), Version: "v3.6.8", PID: 4711, RSSBytes: 1 << 26,
			Restarts: 1, Message: "needs nothing",
		})
	}
	rep.Components = append(rep.Components, Component{Name: "kwok", State: string(supervisor.Waiting), Mode: mode("kwok")})
	return rep
}

func TestReportSchemaAccepts(t *testing.T) {
	schema, _ := schematest.File(t, reportSchema)
	for name, rep := range map[string]*Report{
		"a lab with everything": sampleReport(),
		"a lab that does not run": {
			TypeMeta: report.Meta("LabReport"), Dir: "/tmp/lab", Message: "not running; start it with: lumacore lab up",
			Components: []Component{}, Kustomizations: []Kustomization{}, Systems: []System{}, Phases: []Phase{},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if err := schema.Validate(instance(t, rep)); err != nil {
				t.Errorf("%v", err)
			}
		})
	}
}

// A schema that takes everything would pass the test above too.
func TestReportSchemaRefuses(t *testing.T) {
	schema, _ := schematest.File(t, reportSchema)
	for name, spoil := range map[string]func(*Report){
		"another kind":                func(r *Report) { r.Kind = "LabPushReport" },
		"not ready, and no reason":    func(r *Report) { r.Ready = false },
		"null for a list":             func(r *Report) { r.Phases = nil },
		"a state that does not exist": func(r *Report) { r.Components[0].State = "fine" },
		"a mode that does not exist":  func(r *Report) { r.Components[0].Mode = "almost real" },
		"a system that is nothing":    func(r *Report) { r.Systems[0].Is = "planned" },
		"a component without a name":  func(r *Report) { r.Components[0].Name = "" },
		"a phase of negative length":  func(r *Report) { r.Phases[0].Seconds = -1 },
	} {
		t.Run(name, func(t *testing.T) {
			rep := sampleReport()
			spoil(rep)
			if err := schema.Validate(instance(t, rep)); err == nil {
				t.Error("the schema takes it")
			}
		})
	}
}

// TestReportSchemaNamesEveryField holds the schema's properties against the
// fields of the Go types, and what it requires against what is always written.
func TestReportSchemaNamesEveryField(t *testing.T) {
	_, doc := schematest.File(t, reportSchema)
	defs := doc["$defs"].(map[string]any)
	for _, c := range []struct {
		name   string
		schema any
		goType reflect.Type
	}{
		{"the report", doc, reflect.TypeFor[Report]()},
		{"component", defs["component"], reflect.TypeFor[Component]()},
		{"kustomization", defs["kustomization"], reflect.TypeFor[Kustomization]()},
		{"system", defs["system"], reflect.TypeFor[System]()},
		{"phase", defs["phase"], reflect.TypeFor[Phase]()},
	} {
		t.Run(c.name, func(t *testing.T) {
			schema := c.schema.(map[string]any)
			var properties, required []string
			for p := range schema["properties"].(map[string]any) {
				properties = append(properties, p)
			}
			for _, r := range schema["required"].([]any) {
				required = append(required, r.(string))
			}
			wantProperties, wantRequired := jsonFields(c.goType)
			for _, list := range [][]string{properties, required, wantProperties, wantRequired} {
				slices.Sort(list)
			}
			if !slices.Equal(properties, wantProperties) {
				t.Errorf("%s: properties of %s are\n %v, the fields of %s are\n %v", reportSchema, c.name, properties, c.goType, wantProperties)
			}
			if !slices.Equal(required, wantRequired) {
				t.Errorf("%s: %s requires\n %v, %s always writes\n %v", reportSchema, c.name, required, c.goType, wantRequired)
			}
		})
	}
}

// jsonFields returns the names that encoding/json writes for a struct, and those
// of them that it never leaves out.
func jsonFields(t reflect.Type) (all, always []string) {
	for _, f := range reflect.VisibleFields(t) {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous || !f.IsExported() || name == "-" {
			continue
		}
		all = append(all, name)
		if !strings.Contains(options, "omit") {
			always = append(always, name)
		}
	}
	return all, always
}
