package chart

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
)

// Options of a [Store].
type Options struct {
	// CacheDir is where downloads are kept; lumacore/charts in the user's cache
	// folder if empty.
	CacheDir string
	// Offline uses what CacheDir holds and nothing else. A version range, a tag or
	// a branch is then what it last was.
	Offline bool
	// Timeout of one download, with everything that leads to it; a minute if zero,
	// as Flux has it.
	Timeout time.Duration
}

// Store obtains charts. It is safe for concurrent use; what several releases want
// at once is downloaded once.
type Store struct {
	cache     cache
	offline   bool
	timeout   time.Duration
	transport http.RoundTripper
	git       []string // schemes of Git URLs that are read

	flight singleflight.Group
	memory sync.Map // what was asked for: *outcome
	silent sync.Map // host: why it did not answer
}

type outcome struct {
	value       any
	err         error
	interrupted bool // the caller's context ended: it says nothing about the chart
}

// NewStore returns a store. It fails when there is no folder to keep charts in.
func NewStore(o Options) (*Store, error) {
	if o.CacheDir == "" {
		dir, err := os.UserCacheDir()
		if err != nil {
			return nil, fmt.Errorf("no folder to keep charts in: %w; set HOME", err)
		}
		o.CacheDir = filepath.Join(dir, "lumacore", "charts")
	}
	if o.Timeout <= 0 {
		o.Timeout = time.Minute
	}
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.DialContext = (&net.Dialer{Timeout: 10 * time.Second}).DialContext
	t.ResponseHeaderTimeout = 30 * time.Second
	return &Store{
		cache: cache{o.CacheDir}, offline: o.Offline, timeout: o.Timeout,
		transport: t, git: []string{"http", "https", "ssh"},
	}, nil
}

// once returns what fetch returns, which is called once per key in the life of the
// store: a failure is a failure for all who ask, so a host that hangs costs one
// timeout. Only what the caller itself interrupted is tried again.
func once[T any](ctx context.Context, s *Store, key any, fetch func(context.Context) (T, error)) (T, error) {
	var none T
	for {
		if err := ctx.Err(); err != nil {
			return none, err
		}
		v, _, _ := s.flight.Do(fmt.Sprintf("%#v", key), func() (any, error) {
			if o, ok := s.memory.Load(key); ok {
				return o, nil
			}
			value, err := fetch(ctx)
			o := &outcome{value, err, err != nil && ctx.Err() != nil}
			if !o.interrupted {
				s.memory.Store(key, o)
			}
			return o, nil
		})
		o := v.(*outcome)
		switch {
		case o.interrupted: // another caller's context ended, or this one's
		case o.err != nil:
			return none, o.err
		default:
			return o.value.(T), nil
		}
	}
}

// download runs fetch, which asks host, within the store's timeout, and says in
// whole words what went wrong.
func (s *Store) download(ctx context.Context, chart, host string, fetch func(context.Context) error) error {
	if why, ok := s.silent.Load(host); ok {
		return &Unavailable{Chart: chart, Reason: why.(string), Next: nextNetwork}
	}
	inner, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	err := fetch(inner)
	var known *Unavailable
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.As(err, &known):
		known.Chart = chart
		return known
	case inner.Err() != nil || isTimeout(err):
		why := fmt.Sprintf("%s did not answer in time (%s)", host, s.timeout)
		s.silent.Store(host, why)
		return &Unavailable{Chart: chart, Reason: why, Next: nextNetwork}
	}
	if why := unreachable(host, err); why != "" {
		s.silent.Store(host, why)
		return &Unavailable{Chart: chart, Reason: why, Next: nextNetwork}
	}
	return &Unavailable{Chart: chart, Reason: redactAll(err.Error()), Next: nextNetwork}
}

const (
	nextNetwork = "look at the network and the URL and run the check again; --offline uses what was downloaded before"
	nextOffline = "run the check once without --offline where the source can be reached"
	nextCache   = "make the folder writable, or name another one with LUMACORE_CACHE"
)

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}

// unreachable says why a host cannot be reached at all; "" if it can.
func unreachable(host string, err error) string {
	var dns *net.DNSError
	var op *net.OpError
	switch {
	case errors.As(err, &dns):
		return fmt.Sprintf("%s is not known: %s", host, dns.Err)
	case errors.As(err, &op) && op.Op == "dial":
		return fmt.Sprintf("%s cannot be reached: %s", host, op.Err)
	}
	return ""
}

// notCached is the answer offline.
func notCached(chart string) error {
	return &Unavailable{Chart: chart, Reason: "the check runs offline, and the cache does not have it", Next: nextOffline}
}

// keep keeps content in the cache.
func (s *Store) keep(chart, ref, revision string, data []byte) error {
	if err := s.cache.keep(ref, revision, data); err != nil {
		return &Unavailable{Chart: chart, Reason: "it cannot be kept: " + err.Error(), Next: nextCache}
	}
	return nil
}

// parse makes a chart of an archive, once per content.
func (s *Store) parse(ctx context.Context, name string, data []byte) (*Chart, error) {
	type parsed struct{ sha string }
	return once(ctx, s, parsed{sum(data)}, func(ctx context.Context) (*Chart, error) { return packaged(ctx, name, data) })
}
