// Package exporter serves the age of evidence as metrics for Prometheus, so that what has not
// been proven lately is an alert.
package exporter

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"lumacore.dev/lumacore/internal/evidence"
)

// Store is where evidence is.
type Store interface {
	List(ctx context.Context) ([]*evidence.History, error)
}

// listTimeout bounds one look at the store; Prometheus waits 10 seconds by default.
const listTimeout = 8 * time.Second

// The metrics. docs/evidence.md explains them.
var (
	age = prometheus.NewDesc("lumacore_evidence_age_seconds",
		"Seconds since the subject last passed. Absent for one that never has.", []string{"kind", "subject"}, nil)
	result = prometheus.NewDesc("lumacore_evidence_last_result",
		"1 for the result of the newest record, passed or failed.", []string{"kind", "subject", "result"}, nil)
	when = prometheus.NewDesc("lumacore_evidence_last_timestamp_seconds",
		"When the newest record was made, whatever its result.", []string{"kind", "subject"}, nil)
	figure = prometheus.NewDesc("lumacore_evidence_figure",
		"What the newest record measured, by the name of the figure.", []string{"kind", "subject", "figure"}, nil)
	read = prometheus.NewDesc("lumacore_evidence_readable",
		"1 if the evidence could be read, else 0: then none of the others is there.", nil, nil)
)

// collector reads the store each time Prometheus asks, so that an age is never an old one.
type collector struct {
	store Store
	now   func() time.Time
	log   func(error)
}

func (c collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{age, result, when, figure, read} {
		ch <- d
	}
}

func (c collector) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), listTimeout)
	defer cancel()
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	list, err := c.store.List(ctx)
	if err != nil {
		c.log(err)
		gauge(read, 0)
		return
	}
	gauge(read, 1)
	for _, h := range list {
		kind := string(h.Kind)
		if a, ok := h.Age(c.now()); ok {
			gauge(age, a.Seconds(), kind, h.Subject)
		}
		last := h.Last()
		if last == nil {
			continue
		}
		gauge(when, float64(last.Time.Unix()), kind, h.Subject)
		for _, r := range []evidence.Result{evidence.Passed, evidence.Failed} {
			v := 0.0
			if last.Result == r {
				v = 1
			}
			gauge(result, v, kind, h.Subject, string(r))
		}
		for name, v := range last.Figures {
			gauge(figure, v, kind, h.Subject, name)
		}
	}
}

// Handler serves /metrics and /healthz. log gets what keeps the evidence from being read.
func Handler(store Store, now func() time.Time, log func(error)) http.Handler {
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(collector{store, now, log})
	mux := http.NewServeMux()
	// One is what Prometheus needs; the others are for a person, and for one that hangs.
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: listTimeout + time.Second}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	return mux
}

// Serve serves on a listener until ctx ends.
func Serve(ctx context.Context, l net.Listener, h http.Handler) error {
	server := &http.Server{
		Handler: h, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 20 * time.Second, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: 16 << 10,
	}
	stopped := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		stopped <- server.Shutdown(ctx)
	})
	err := server.Serve(l)
	if stop() || !errors.Is(err, http.ErrServerClosed) {
		return err // it ended by itself
	}
	return <-stopped
}
