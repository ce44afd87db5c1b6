package mirror_test

import (
	"encoding/json"
	"testing"

	"lumacore.dev/lumacore/internal/mirror"
	"lumacore.dev/lumacore/internal/schematest"
)

// TestSchemas: the reports of a mirror's life are valid, and the schemas do not take
// everything.
func TestSchemas(t *testing.T) {
	t.Parallel()
	sync, _ := schematest.File(t, "../../docs/reference/mirror-report.schema.json")
	verify, _ := schematest.File(t, "../../docs/reference/mirror-verify-report.schema.json")
	text := func(v any) []byte {
		data, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	w := newWorld(t)
	plan, err := mirror.Plan(t.Context(), w.source(), w.to, "")
	if err != nil {
		t.Fatal(err)
	}
	pushed := w.pushed()
	clean := w.verify()
	w.config("  private: {words: [homelab], canaries: [sparrow-teapot-4711]}\n")
	w.write("docs/a.md", "sparrow teapot 4711, 192.168.178.20\n")
	w.onMirror("tag", "v1", "main")
	w.commit("feat: leak")
	stopped := w.blocked("canary")
	dirty := w.verify()
	if len(dirty.Exposures) == 0 || len(dirty.Foreign) == 0 {
		t.Fatalf("nothing is wrong with it: %+v", dirty)
	}
	for name, r := range map[string]*mirror.Report{"plan": plan, "pushed": pushed, "up to date and blocked": stopped} {
		if err := schematest.Validate(t, sync, text(r)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, v := range map[string]*mirror.Verification{"clean": clean, "dirty": dirty} {
		if err := schematest.Validate(t, verify, text(v)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, spoil := range map[string]func(r *mirror.Report){
		"another kind":         func(r *mirror.Report) { r.Kind = mirror.VerifyKind },
		"a result":             func(r *mirror.Report) { r.Result = "fine" },
		"null for a list":      func(r *mirror.Report) { r.NotChecked = nil },
		"a verdict":            func(r *mirror.Report) { r.Decisions[0].Verdict = "maybe" },
		"an action":            func(r *mirror.Report) { r.Changes[0].Action = "move" },
		"a finding of no rule": func(r *mirror.Report) { r.Findings[0].Rule = "" },
		"no source":            func(r *mirror.Report) { r.Source = "" },
	} {
		var r mirror.Report
		if err := json.Unmarshal(text(stopped), &r); err != nil {
			t.Fatal(err)
		}
		spoil(&r)
		if err := schematest.Validate(t, sync, text(&r)); err == nil {
			t.Errorf("%s: the schema takes it", name)
		}
	}
	bad := *dirty
	bad.Exposures = append([]mirror.Exposure(nil), dirty.Exposures...)
	bad.Exposures[0].Since = ""
	bad.Result = "fine"
	if err := schematest.Validate(t, verify, text(&bad)); err == nil {
		t.Error("the schema of verify takes a result that there is not")
	}
}
