package main

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// metrics holds one registry per service rather than the library's default one,
// so that two services in one test binary do not share counters.
type metrics struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
}

// newMetrics registers everything beacon exports. ready is asked at each scrape.
func newMetrics(b build, ready func() bool) *metrics {
	m := &metrics{
		registry: prometheus.NewPedanticRegistry(),
		// Traffic and errors per handler; alert on the share of 5xx codes.
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "beacon_http_requests_total",
			Help: "Requests answered, by handler and status code.",
		}, []string{"handler", "code"}),
		// Handlers take well under a millisecond; what is interesting is the tail,
		// so the buckets start far below the library's default of 5 ms.
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "beacon_http_request_duration_seconds",
			Help:    "Time to answer a request, by handler and status code.",
			Buckets: []float64{.0001, .0005, .001, .005, .01, .05, .1, .5, 1, 5},
		}, []string{"handler", "code"}),
	}
	// Constant 1; joined with other series to tell which version produced them.
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name:        "beacon_build_info",
		Help:        "Always 1; the labels identify the binary.",
		ConstLabels: prometheus.Labels{"version": b.Version, "commit": b.Commit, "goversion": b.Go},
	})
	info.Set(1)
	// Shows a pod that drains for long, which a probe result alone does not.
	readiness := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "beacon_ready",
		Help: "1 while the service accepts work, 0 while it starts or drains.",
	}, func() float64 {
		if ready() {
			return 1
		}
		return 0
	})
	m.registry.MustRegister(m.requests, m.duration, info, readiness,
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return m
}

// instrument counts and times a handler under a fixed name. The name, not the
// requested path, is the label: clients choose paths, and each new one would be
// a new series.
func (m *metrics) instrument(name string, next http.Handler) http.Handler {
	label := prometheus.Labels{"handler": name}
	return promhttp.InstrumentHandlerDuration(m.duration.MustCurryWith(label),
		promhttp.InstrumentHandlerCounter(m.requests.MustCurryWith(label), next))
}
