package evidence

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"lumacore.dev/lumacore/internal/golden"
	"lumacore.dev/lumacore/internal/report"
	"lumacore.dev/lumacore/internal/schematest"
)

func someStatus(t *testing.T) *Status {
	t.Helper()
	f := Folder{Dir: t.TempDir()}
	for _, r := range []Record{
		{Kind: Mirror, Subject: "sync", Time: noon.Add(-50 * time.Hour), Result: Passed, Source: "abc", Figures: map[string]float64{"files": 3}},
		{Kind: Mirror, Subject: "sync", Time: noon.Add(-2 * time.Hour), Result: Failed, Reason: "blocked: docs/a.md:1: private-address"},
		{Kind: Mirror, Subject: "verify", Time: noon.Add(-time.Minute), Result: Passed},
		{Kind: Drill, Subject: "restore/beacon", Time: noon, Result: Failed},
	} {
		if err := f.Add(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	list, err := f.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return NewStatus("evidence", list, noon)
}

func TestStatusText(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	s := &report.Streams{Out: &out, Err: &out}
	if err := someStatus(t).Text(s, &out); err != nil {
		t.Fatal(err)
	}
	golden.Check(t, "status.txt", out.Bytes())
	out.Reset()
	if err := NewStatus("cluster", nil, noon).Text(s, &out); err != nil || !strings.Contains(out.String(), "nothing was proven yet") {
		t.Errorf("%v %s", err, out.String())
	}
}

// TestStatusSchema: the report is valid, and the schema does not take everything.
func TestStatusSchema(t *testing.T) {
	t.Parallel()
	schema, _ := schematest.File(t, "../../docs/reference/status-report.schema.json")
	text := func(v any) []byte {
		data, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	good := someStatus(t)
	if err := schematest.Validate(t, schema, text(good)); err != nil {
		t.Error(err)
	}
	if err := schematest.Validate(t, schema, text(NewStatus("cluster", nil, noon))); err != nil {
		t.Error(err)
	}
	for name, spoil := range map[string]func(s *Status){
		"another kind":      func(s *Status) { s.Kind = "Status" },
		"null for a list":   func(s *Status) { s.Evidence = nil },
		"kind of evidence":  func(s *Status) { s.Evidence[0].Kind = "rumour" },
		"a result":          func(s *Status) { s.Evidence[0].Last.Result = "fine" },
		"an age of nothing": func(s *Status) { s.Evidence[1].Passed = nil },
		"time":              func(s *Status) { s.Time = "today" },
	} {
		var s Status
		if err := json.Unmarshal(text(good), &s); err != nil {
			t.Fatal(err)
		}
		spoil(&s)
		if err := schematest.Validate(t, schema, text(&s)); err == nil {
			t.Errorf("%s: the schema takes it", name)
		}
	}
}
