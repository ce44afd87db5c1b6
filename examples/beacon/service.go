package main

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// phase is where the service is in its life. It only ever grows.
type phase int32

const (
	starting phase = iota // zero value: not ready before somebody says so
	ready
	draining
)

func (p phase) String() string {
	switch p {
	case starting:
		return "starting"
	case ready:
		return "ready"
	default:
		return "draining"
	}
}

// greeting is the body of /.
type greeting struct {
	Message     string `json:"message"`
	Version     string `json:"version"`
	Hostname    string `json:"hostname"`
	Environment string `json:"environment"`
}

// service answers requests. It is an http.Handler, safe for concurrent use, and
// starts unready; see lifecycle for who moves its phase.
type service struct {
	build    build
	greeting greeting
	log      *slog.Logger
	metrics  *metrics
	handler  http.Handler
	phase    atomic.Int32 // a phase
}

// newService wires handlers, metrics and logs; it opens nothing.
func newService(b build, hostname, environment string, log *slog.Logger) *service {
	s := &service{
		build: b,
		greeting: greeting{
			Message:     "the beacon is lit",
			Version:     b.Version,
			Hostname:    hostname,
			Environment: environment,
		},
		log: log,
	}
	s.metrics = newMetrics(b, func() bool { return s.current() == ready })

	mux := http.NewServeMux()
	// Methods are checked by readOnly, not by the pattern: with a catch-all
	// beside it, the mux would answer a POST to /healthz with 404 and not 405.
	for _, r := range []struct {
		pattern, name string
		handler       http.Handler
	}{
		{"/{$}", "root", http.HandlerFunc(s.root)},
		{"/healthz", "healthz", http.HandlerFunc(s.healthz)},
		{"/readyz", "readyz", http.HandlerFunc(s.readyz)},
		{"/version", "version", http.HandlerFunc(s.version)},
		{"/metrics", "metrics", promhttp.HandlerFor(s.metrics.registry, promhttp.HandlerOpts{
			ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelError),
		})},
	} {
		mux.Handle(r.pattern, s.metrics.instrument(r.name, readOnly(r.handler)))
	}
	mux.Handle("/", s.metrics.instrument("unknown", http.HandlerFunc(s.notFound)))
	s.handler = s.logged(mux)
	return s
}

// ServeHTTP implements http.Handler.
func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.current() == draining {
		// Ends kept-alive connections one answer at a time, so that clients have
		// moved on before the listener closes.
		w.Header().Set("Connection", "close")
	}
	s.handler.ServeHTTP(w, r)
}

func (s *service) current() phase { return phase(s.phase.Load()) }

func (s *service) enter(p phase) { s.phase.Store(int32(p)) }

func (s *service) root(w http.ResponseWriter, _ *http.Request) { s.writeJSON(w, s.greeting) }

func (s *service) version(w http.ResponseWriter, _ *http.Request) { s.writeJSON(w, s.build) }

// healthz says nothing but "this process can answer". It must not look at
// anything else: a failing liveness probe restarts the pod, and a restart mends
// no other part.
func (s *service) healthz(w http.ResponseWriter, _ *http.Request) {
	s.writeText(w, http.StatusOK, "ok\n")
}

// readyz says whether new work may be sent here.
func (s *service) readyz(w http.ResponseWriter, _ *http.Request) {
	p := s.current()
	code := http.StatusServiceUnavailable
	if p == ready {
		code = http.StatusOK
	}
	s.writeText(w, code, p.String()+"\n")
}

func (s *service) notFound(w http.ResponseWriter, _ *http.Request) {
	s.writeText(w, http.StatusNotFound, "no such page: try /, /healthz, /readyz, /metrics or /version\n")
}

// readOnly refuses methods that could not be meant for an endpoint which
// changes nothing.
func readOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "method "+r.Method+" not allowed here: use GET or HEAD", http.StatusMethodNotAllowed)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// logged writes one debug line per request: at the default level probes and
// scrapes, most of the traffic, stay out of the log; the metrics count them.
func (s *service) logged(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		next.ServeHTTP(w, r)
		s.log.DebugContext(r.Context(), "request", "method", r.Method, "path", r.URL.Path,
			"remote", r.RemoteAddr, "duration", time.Since(start).String())
	})
}

func (s *service) writeJSON(w http.ResponseWriter, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		s.log.Error("cannot encode an answer", "error", err)
		http.Error(w, "internal error: see the log", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	s.write(w, http.StatusOK, append(body, '\n'))
}

func (s *service) writeText(w http.ResponseWriter, code int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	s.write(w, code, []byte(text))
}

func (s *service) write(w http.ResponseWriter, code int, body []byte) {
	// Every answer describes this process at this moment.
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(code)
	if _, err := w.Write(body); err != nil {
		// The client has gone: common, and nothing to mend on this side.
		s.log.Debug("answer not delivered", "error", err)
	}
}
