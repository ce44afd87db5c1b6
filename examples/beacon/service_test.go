package main

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

var testBuild = build{Version: "1.0.0", Commit: "0f3c", Go: "go1.26.8"}

// newTestService is a ready service with fixed facts that logs nowhere.
func newTestService() *service {
	s := newService(testBuild, "beacon-0", "staging", slog.New(slog.DiscardHandler))
	s.enter(ready)
	return s
}

// ask sends one request without a network.
func ask(h http.Handler, method, target string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, target, nil))
	return w
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	const (
		jsonType = "application/json"
		textType = "text/plain; charset=utf-8"
	)
	tests := map[string]struct {
		method, target string
		code           int
		contentType    string
		body           string
	}{
		"greeting":     {"GET", "/", 200, jsonType, `{"message":"the beacon is lit","version":"1.0.0","hostname":"beacon-0","environment":"staging"}` + "\n"},
		"with a query": {"GET", "/?from=probe", 200, jsonType, `{"message":"the beacon is lit","version":"1.0.0","hostname":"beacon-0","environment":"staging"}` + "\n"},
		"alive":        {"GET", "/healthz", 200, textType, "ok\n"},
		"ready":        {"GET", "/readyz", 200, textType, "ready\n"},
		"version":      {"GET", "/version", 200, jsonType, `{"version":"1.0.0","commit":"0f3c","go":"go1.26.8"}` + "\n"},
		"unknown":      {"GET", "/admin", 404, textType, "no such page: try /, /healthz, /readyz, /metrics or /version\n"},
		"below a page": {"GET", "/healthz/db", 404, textType, "no such page: try /, /healthz, /readyz, /metrics or /version\n"},
		"write":        {"POST", "/", 405, textType, "method POST not allowed here: use GET or HEAD\n"},
		"delete probe": {"DELETE", "/readyz", 405, textType, "method DELETE not allowed here: use GET or HEAD\n"},
		"write metric": {"PUT", "/metrics", 405, textType, "method PUT not allowed here: use GET or HEAD\n"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := ask(newTestService(), test.method, test.target)
			if w.Code != test.code {
				t.Errorf("code = %d, want %d", w.Code, test.code)
			}
			if got := w.Header().Get("Content-Type"); got != test.contentType {
				t.Errorf("content type = %q, want %q", got, test.contentType)
			}
			if diff := cmp.Diff(test.body, w.Body.String()); diff != "" {
				t.Errorf("body (-want +got):\n%s", diff)
			}
			if got := w.Header().Get("Allow"); (got == "GET, HEAD") != (test.code == 405) {
				t.Errorf("Allow = %q with code %d", got, test.code)
			}
		})
	}
}

func TestReadinessFollowsThePhase(t *testing.T) {
	t.Parallel()
	s := newService(testBuild, "beacon-0", "staging", slog.New(slog.DiscardHandler))
	// In the order of a life; the first step is the zero value.
	for _, step := range []struct {
		phase      phase
		readyz     int
		body       string
		connection string
		gauge      string
	}{
		{starting, 503, "starting\n", "", "0"},
		{ready, 200, "ready\n", "", "1"},
		{draining, 503, "draining\n", "close", "0"},
	} {
		s.enter(step.phase)
		w := ask(s, "GET", "/readyz")
		if w.Code != step.readyz || w.Body.String() != step.body {
			t.Errorf("%s: /readyz = %d %q, want %d %q", step.phase, w.Code, w.Body, step.readyz, step.body)
		}
		if got := w.Header().Get("Connection"); got != step.connection {
			t.Errorf("%s: Connection = %q, want %q", step.phase, got, step.connection)
		}
		// The process is alive in every phase, and goes on working.
		for _, path := range []string{"/healthz", "/", "/version"} {
			if w := ask(s, "GET", path); w.Code != 200 {
				t.Errorf("%s: %s = %d, want 200", step.phase, path, w.Code)
			}
		}
		want := "# HELP beacon_ready 1 while the service accepts work, 0 while it starts or drains.\n" +
			"# TYPE beacon_ready gauge\nbeacon_ready " + step.gauge + "\n"
		if err := testutil.GatherAndCompare(s.metrics.registry, strings.NewReader(want), "beacon_ready"); err != nil {
			t.Errorf("%s: %v", step.phase, err)
		}
	}
}

func TestMetricsCountByHandlerAndCode(t *testing.T) {
	t.Parallel()
	s := newTestService()
	for _, path := range []string{"/", "/", "/healthz", "/wp-login.php", "/.env"} {
		ask(s, "GET", path)
	}
	ask(s, "POST", "/")

	want := `
# HELP beacon_build_info Always 1; the labels identify the binary.
# TYPE beacon_build_info gauge
beacon_build_info{commit="0f3c",goversion="go1.26.8",version="1.0.0"} 1
# HELP beacon_http_requests_total Requests answered, by handler and status code.
# TYPE beacon_http_requests_total counter
beacon_http_requests_total{code="200",handler="healthz"} 1
beacon_http_requests_total{code="200",handler="root"} 2
beacon_http_requests_total{code="404",handler="unknown"} 2
beacon_http_requests_total{code="405",handler="root"} 1
`
	if err := testutil.GatherAndCompare(s.metrics.registry, strings.NewReader(want),
		"beacon_build_info", "beacon_http_requests_total"); err != nil {
		t.Error(err)
	}
	// Times differ from run to run; what must agree is which series exist.
	if got, err := testutil.GatherAndCount(s.metrics.registry, "beacon_http_request_duration_seconds"); err != nil || got != 4 {
		t.Errorf("duration series = %d (%v), want 4: one for each handler and code above", got, err)
	}
}

func TestMetricsAreWellNamed(t *testing.T) {
	t.Parallel()
	s := newTestService()
	ask(s, "GET", "/")
	problems, err := testutil.GatherAndLint(s.metrics.registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}

	w := ask(s, "GET", "/metrics")
	if w.Code != 200 {
		t.Fatalf("/metrics = %d: %s", w.Code, w.Body)
	}
	for line := range strings.Lines(w.Body.String()) {
		if !strings.HasPrefix(line, "#") && !strings.HasPrefix(line, "beacon_") &&
			!strings.HasPrefix(line, "go_") && !strings.HasPrefix(line, "process_") {
			t.Errorf("metric without one of the prefixes beacon_, go_, process_: %s", line)
		}
	}
}

func TestRequestsAreLoggedAtDebug(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		level slog.Level
		lines int
	}{{slog.LevelDebug, 1}, {slog.LevelInfo, 0}} {
		var out strings.Builder
		s := newService(testBuild, "beacon-0", "staging",
			slog.New(slog.NewJSONHandler(&out, &slog.HandlerOptions{Level: test.level})))
		ask(s, "GET", "/healthz")
		if got := strings.Count(out.String(), "\n"); got != test.lines {
			t.Errorf("level %s: %d lines, want %d:\n%s", test.level, got, test.lines, out.String())
			continue
		}
		if test.lines == 0 {
			continue
		}
		var line map[string]any
		if err := json.Unmarshal([]byte(out.String()), &line); err != nil {
			t.Fatal(err)
		}
		if line["msg"] != "request" || line["path"] != "/healthz" || line["method"] != "GET" {
			t.Errorf("log line = %v, want the request's method and path", line)
		}
	}
}
