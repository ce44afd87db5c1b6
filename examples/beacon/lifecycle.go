package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// lifecycle serves a service from "bound" to "drained".
type lifecycle struct {
	drain           time.Duration // see config
	shutdownTimeout time.Duration // see config
	// after starts the drain delay; time.After outside tests.
	after func(time.Duration) <-chan time.Time
}

// serve answers connections of ln, which it closes, until ctx ends; then it
// drains:
//
//  1. The service turns unready. Nothing is refused: endpoints and load
//     balancers need time to notice, and send requests here until they do.
//  2. After the drain delay the listener closes.
//  3. Running requests get the shutdown timeout to finish.
//
// It returns nil when every request was answered. An error means that the
// listener failed, or that requests were cut off at the shutdown timeout.
func (l lifecycle) serve(ctx context.Context, ln net.Listener, s *service) error {
	srv := &http.Server{
		Handler:  s,
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
		// Bounds for slow or silent clients: no endpoint reads a body, and the
		// largest answer, /metrics, is a few kilobytes.
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      15 * time.Second,
		IdleTimeout:       60 * time.Second,
		MaxHeaderBytes:    16 << 10,
	}
	// Before Serve, not after: the kernel queues connections from the moment the
	// port was bound, and the first of them may be the probe.
	s.enter(ready)
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ln) }()

	var failed error
	select {
	case failed = <-served:
	case <-ctx.Done():
		s.enter(draining)
		s.log.Info("draining", "delay", l.drain.String(), "then_at_most", l.shutdownTimeout.String())
		select {
		case failed = <-served:
		case <-l.after(l.drain):
		}
	}
	if failed != nil {
		s.enter(draining)
		_ = srv.Close()
		return fmt.Errorf("serve on %s: %w", ln.Addr(), failed)
	}

	// ctx has ended, which must not end the wait for running requests.
	patience, cancel := context.WithTimeout(context.WithoutCancel(ctx), l.shutdownTimeout)
	defer cancel()
	if err := srv.Shutdown(patience); err != nil {
		_ = srv.Close()
		if errors.Is(err, context.DeadlineExceeded) {
			return fmt.Errorf("shut down %s: requests still running after %s were cut off: raise -shutdown-timeout and terminationGracePeriodSeconds: %w",
				ln.Addr(), l.shutdownTimeout, err)
		}
		return fmt.Errorf("shut down %s: %w", ln.Addr(), err)
	}
	return nil
}
