package exporter

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"lumacore.dev/lumacore/internal/evidence"
)

var noon = time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)

type broken struct{}

func (broken) List(context.Context) ([]*evidence.History, error) {
	return nil, errors.New("no answer")
}

// TestMetrics: what passed has an age; what never did has none, and its failure is told.
func TestMetrics(t *testing.T) {
	t.Parallel()
	store := evidence.Folder{Dir: t.TempDir()}
	for _, r := range []evidence.Record{
		{Kind: evidence.Mirror, Subject: "sync", Time: noon.Add(-2 * time.Hour), Result: evidence.Passed, Figures: map[string]float64{"files": 3}},
		{Kind: evidence.Mirror, Subject: "sync", Time: noon.Add(-time.Hour), Result: evidence.Failed, Figures: map[string]float64{"files": 4}},
		{Kind: evidence.Backup, Subject: "etcd", Time: noon.Add(-time.Hour), Result: evidence.Failed},
	} {
		if err := store.Add(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	c := collector{store, func() time.Time { return noon }, func(err error) { t.Error(err) }}
	want := `
# HELP lumacore_evidence_age_seconds Seconds since the subject last passed. Absent for one that never has.
# TYPE lumacore_evidence_age_seconds gauge
lumacore_evidence_age_seconds{kind="mirror",subject="sync"} 7200
# HELP lumacore_evidence_figure What the newest record measured, by the name of the figure.
# TYPE lumacore_evidence_figure gauge
lumacore_evidence_figure{figure="files",kind="mirror",subject="sync"} 4
# HELP lumacore_evidence_last_result 1 for the result of the newest record, passed or failed.
# TYPE lumacore_evidence_last_result gauge
lumacore_evidence_last_result{kind="backup",result="failed",subject="etcd"} 1
lumacore_evidence_last_result{kind="backup",result="passed",subject="etcd"} 0
lumacore_evidence_last_result{kind="mirror",result="failed",subject="sync"} 1
lumacore_evidence_last_result{kind="mirror",result="passed",subject="sync"} 0
# HELP lumacore_evidence_last_timestamp_seconds When the newest record was made, whatever its result.
# TYPE lumacore_evidence_last_timestamp_seconds gauge
lumacore_evidence_last_timestamp_seconds{kind="backup",subject="etcd"} 1.7957772e+09
lumacore_evidence_last_timestamp_seconds{kind="mirror",subject="sync"} 1.7957772e+09
# HELP lumacore_evidence_readable 1 if the evidence could be read, else 0: then none of the others is there.
# TYPE lumacore_evidence_readable gauge
lumacore_evidence_readable 1
`
	if err := testutil.CollectAndCompare(c, strings.NewReader(want)); err != nil {
		t.Error(err)
	}
	if problems, err := testutil.CollectAndLint(c); err != nil || len(problems) > 0 {
		t.Errorf("%v %v", problems, err)
	}
}

// TestUnreadable: a store that cannot be read is a metric, and not a page without any.
func TestUnreadable(t *testing.T) {
	t.Parallel()
	logged := ""
	server := httptest.NewServer(Handler(broken{}, time.Now, func(err error) { logged = err.Error() }))
	defer server.Close()
	text := get(t, server.URL+"/metrics", http.StatusOK)
	if !strings.Contains(text, "\nlumacore_evidence_readable 0\n") || logged != "no answer" {
		t.Errorf("logged %q:\n%s", logged, text)
	}
	get(t, server.URL+"/healthz", http.StatusOK)
	get(t, server.URL+"/", http.StatusNotFound)
}

// TestServe: it stops when it is told to, and says why when it cannot begin.
func TestServe(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- Serve(ctx, l, Handler(evidence.Folder{Dir: t.TempDir()}, time.Now, func(error) {}))
	}()
	get(t, "http://"+l.Addr().String()+"/metrics", http.StatusOK)
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if err := Serve(t.Context(), l, nil); err == nil {
		t.Error("it serves on a closed listener")
	}
}

func get(t *testing.T, address string, want int) string {
	t.Helper()
	response, err := http.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != want {
		t.Errorf("%s: %s %v", address, response.Status, err)
	}
	return string(data)
}

var _ prometheus.Collector = collector{}
