package main

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// signalListener tells when serve closes it, which is the moment from which new
// connections are refused.
type signalListener struct {
	net.Listener
	once   sync.Once
	closed chan struct{}
}

func (l *signalListener) Close() error {
	err := l.Listener.Close()
	l.once.Do(func() { close(l.closed) })
	return err
}

// rig is a service on a loopback port whose drain delay ends when the test
// says so, and whose /slow page answers when the test says so.
type rig struct {
	url       string
	stop      context.CancelFunc // what SIGTERM does
	draining  chan time.Duration // receives the delay once the drain has begun
	drained   chan time.Time     // ends the drain delay
	entered   chan struct{}      // receives when /slow is being answered
	release   chan struct{}      // lets /slow answer
	listener  *signalListener
	result    chan error // what serve returned
	transport *http.Transport
}

func startRig(t *testing.T, shutdownTimeout time.Duration) *rig {
	t.Helper()
	var lc net.ListenConfig
	inner, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	r := &rig{
		url:       "http://" + inner.Addr().String(),
		stop:      stop,
		draining:  make(chan time.Duration, 1),
		drained:   make(chan time.Time, 1),
		entered:   make(chan struct{}, 1),
		release:   make(chan struct{}),
		listener:  &signalListener{Listener: inner, closed: make(chan struct{})},
		result:    make(chan error, 1),
		transport: &http.Transport{},
	}
	s := newTestService()
	s.enter(starting)
	pages := s.handler
	s.handler = http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path != "/slow" {
			pages.ServeHTTP(w, req)
			return
		}
		r.entered <- struct{}{}
		<-r.release
		_, _ = io.WriteString(w, "done")
	})
	l := lifecycle{
		drain:           42 * time.Second,
		shutdownTimeout: shutdownTimeout,
		after: func(d time.Duration) <-chan time.Time {
			r.draining <- d
			return r.drained
		},
	}
	go func() { r.result <- l.serve(ctx, r.listener, s) }()
	t.Cleanup(func() {
		stop()
		r.transport.CloseIdleConnections()
	})
	return r
}

type answer struct {
	code int
	body string
	err  error
}

// get asks over the network, on a kept-alive connection when there is one.
func (r *rig) get(path string) answer {
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, r.url+path, nil)
	if err != nil {
		return answer{err: err}
	}
	resp, err := r.transport.RoundTrip(req)
	if err != nil {
		return answer{err: err}
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, string(body), err}
}

func (r *rig) getSlow() <-chan answer {
	got := make(chan answer, 1)
	go func() { got <- r.get("/slow") }()
	<-r.entered
	return got
}

func TestShutdownDrainsTheRequestInFlight(t *testing.T) {
	t.Parallel()
	r := startRig(t, time.Hour)
	slow := r.getSlow()
	if got := r.get("/readyz"); got.code != 200 {
		t.Fatalf("/readyz before shutdown = %+v, want 200", got)
	}

	r.stop()
	if d := <-r.draining; d != 42*time.Second {
		t.Errorf("drain delay = %s, want the configured 42s", d)
	}
	// Unready, but nobody is turned away yet.
	if got := r.get("/readyz"); got.code != 503 || got.body != "draining\n" {
		t.Errorf("/readyz while draining = %+v, want 503 draining", got)
	}
	if got := r.get("/"); got.code != 200 {
		t.Errorf("/ while draining = %+v, want 200", got)
	}

	r.drained <- time.Time{}
	<-r.listener.closed
	if got := r.get("/"); got.err == nil {
		t.Errorf("/ after the drain = %+v, want a refused connection", got)
	}
	select {
	case err := <-r.result:
		t.Fatalf("serve returned (%v) with a request in flight", err)
	default:
	}

	close(r.release)
	if got := <-slow; got.code != 200 || got.body != "done" {
		t.Errorf("/slow = %+v, want its full answer", got)
	}
	if err := <-r.result; err != nil {
		t.Errorf("serve = %v, want nil", err)
	}
}

func TestShutdownCutsOffWhatTakesTooLong(t *testing.T) {
	t.Parallel()
	// A timeout that has passed before the first look at the requests.
	r := startRig(t, time.Nanosecond)
	slow := r.getSlow()
	r.stop()
	<-r.draining
	r.drained <- time.Time{}

	err := <-r.result
	want := "shut down " + strings.TrimPrefix(r.url, "http://") +
		": requests still running after 1ns were cut off: raise -shutdown-timeout and terminationGracePeriodSeconds: context deadline exceeded"
	if err == nil || err.Error() != want {
		t.Errorf("serve = %v\nwant    %s", err, want)
	}
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v does not wrap context.DeadlineExceeded", err)
	}
	if got := <-slow; got.err == nil {
		t.Errorf("/slow = %+v, want a cut connection", got)
	}
	close(r.release)
}

func TestServeReportsAFailedListener(t *testing.T) {
	t.Parallel()
	tests := map[string]func(*rig){
		"while serving":  func(*rig) {},
		"while draining": func(r *rig) { r.stop(); <-r.draining },
	}
	for name, prepare := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := startRig(t, time.Hour)
			if got := r.get("/readyz"); got.code != 200 {
				t.Fatalf("/readyz = %+v, want 200", got)
			}
			prepare(r)
			_ = r.listener.Close()
			err := <-r.result
			if err == nil || !strings.HasPrefix(err.Error(), "serve on 127.0.0.1:") || !errors.Is(err, net.ErrClosed) {
				t.Errorf("serve = %v, want the listener's address and net.ErrClosed", err)
			}
		})
	}
}
