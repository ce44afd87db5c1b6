package controlplane

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/gofrs/flock"
	"k8s.io/client-go/rest"

	"lumacore.dev/lumacore/internal/lab/pki"
	"lumacore.dev/lumacore/internal/lab/ports"
	"lumacore.dev/lumacore/internal/lab/scratch"
	"lumacore.dev/lumacore/internal/lab/supervisor"
	"lumacore.dev/lumacore/internal/report"
)

const (
	startWithin = 90 * time.Second // a start takes about five seconds; a busy machine is slow
	attempts    = 3                // each on other ports
	client      = "client"         // the certificate of whoever asked for the server
)

// Server is a control plane in a folder of its own. What is in it ends with it.
type Server struct {
	dir    string
	owner  *flock.Flock // held while the server may run
	place  Place
	cancel context.CancelFunc
	ended  chan struct{} // closed when all processes have gone
}

// Start runs etcd and kube-apiserver and returns when the API server is ready. program
// says where the programs are; apiServerArgs are further arguments of kube-apiserver.
// Cancelling ctx ends the start, not the server: that is what [Server.Stop] is for, which
// must be called.
//
// The folder is one of its own below the system's temporary folder. On Linux the
// processes end with this one, however it ends; elsewhere, and for the folder, the next
// Start removes what a killed one has left.
func Start(ctx context.Context, program func(name string) string, apiServerArgs ...string) (*Server, error) {
	base := filepath.Join(os.TempDir(), fmt.Sprintf("lumacore-controlplane-%d", os.Getuid()))
	for attempt := 1; ; attempt++ {
		s, err := start(ctx, base, program, apiServerArgs)
		if err == nil || ctx.Err() != nil || attempt == attempts || !errors.As(err, new(*deadError)) {
			return s, err
		}
	}
}

// deadError says that a process ended instead of becoming ready.
type deadError struct {
	name, how string
	log       []string
}

func (e *deadError) Error() string {
	return fmt.Sprintf("%s does not start: %s; the end of its log:\n%s", e.name, e.how, strings.Join(e.log, "\n"))
}

func start(ctx context.Context, base string, program func(string) string, apiServerArgs []string) (_ *Server, err error) {
	s := &Server{ended: make(chan struct{}), cancel: func() {}}
	if s.dir, s.owner, err = own(base); err != nil {
		return nil, err
	}
	running := false
	defer func() {
		if err != nil {
			if !running {
				close(s.ended)
			}
			err = errors.Join(err, s.Stop())
		}
	}()
	certs, err := pki.Ensure(filepath.Join(s.dir, "pki"), append(Certs[:len(Certs):len(Certs)],
		pki.Cert{Name: client, User: "lumacore-check", Groups: []string{"system:masters"}, Client: true}))
	if err != nil {
		return nil, err
	}
	port, err := ports.Block(4, 4)
	if err != nil {
		return nil, err
	}
	s.place = Place{
		Program: program, Data: filepath.Join(s.dir, "etcd"), PKI: certs, Client: client,
		Etcd: ports.Addr(port), EtcdPeer: ports.Addr(port + 1), EtcdMetrics: ports.Addr(port + 2), APIServer: ports.Addr(port + 3),
	}
	components := s.place.Components()
	for i := range components {
		if components[i].Name == "kube-apiserver" {
			components[i].Args = append(components[i].Args, apiServerArgs...)
		}
		components[i].Bound = true
		components[i].Grace = time.Millisecond // nobody wants its data
	}
	procs := supervisor.Dir(s.dir)
	state := make(chan error, 1) // nil: all are ready
	var once sync.Once
	var waitsFor string
	var mu sync.Mutex
	sup, err := supervisor.New(procs, components, func(all []supervisor.Status) {
		ready := 0
		mu.Lock()
		defer mu.Unlock()
		for _, c := range all {
			switch c.State {
			case supervisor.Ready:
				ready++
			case supervisor.BackOff, supervisor.CrashLoop:
				once.Do(func() { state <- &deadError{c.Name, c.Message, procs.Tail(c.Name, 5)} })
			default:
				waitsFor = c.Name + " " + c.Message
			}
		}
		if ready == len(all) {
			once.Do(func() { state <- nil })
		}
	})
	if err != nil {
		return nil, err
	}
	run, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s.cancel, running = cancel, true
	go func() {
		defer close(s.ended)
		sup.Run(run)
	}()
	select {
	case err = <-state:
	case <-ctx.Done():
		err = ctx.Err()
	case <-time.After(startWithin):
		mu.Lock()
		err = report.Refuse("run it again when the machine has less to do", "the control plane is not ready within %s: %s", startWithin, waitsFor)
		mu.Unlock()
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}

// Config returns how to reach the API server, as its administrator. Nothing limits how
// often it is asked.
func (s *Server) Config() *rest.Config {
	read := func(file string) []byte {
		b, _ := os.ReadFile(file) // Ensure has seen that it is there
		return b
	}
	return &rest.Config{
		Host: "https://" + s.place.APIServer,
		TLSClientConfig: rest.TLSClientConfig{
			CAData:   read(s.place.PKI.CertFile("ca")),
			CertData: read(s.place.PKI.CertFile(client)), KeyData: read(s.place.PKI.KeyFile(client)),
		},
		QPS: -1,
	}
}

// Stop ends the processes and deletes the folder. It may be called again.
func (s *Server) Stop() error {
	s.cancel()
	<-s.ended
	err := os.RemoveAll(s.dir)
	_ = s.owner.Unlock()
	_ = os.Remove(filepath.Dir(s.dir)) // unless another one is in it
	return err
}

// making is how the name of a folder begins that nobody owns yet.
const making = ".new-"

// own makes a folder below base that this process owns: it holds the lock on the file
// "owner" in it. Folders whose owner has gone are removed, with what runs in them.
func own(base string) (dir string, owner *flock.Flock, err error) {
	for range 10 { // another one may remove base when it is empty
		if err = scratch.Make(base, "have it deleted, or set TMPDIR"); err != nil {
			return "", nil, err
		}
		if err = sweep(base); err != nil {
			return "", nil, err
		}
		var tmp string
		if tmp, err = os.MkdirTemp(base, making); errors.Is(err, os.ErrNotExist) {
			continue
		} else if err != nil {
			return "", nil, err
		}
		owner = flock.New(filepath.Join(tmp, "owner"))
		if err = owner.Lock(); err != nil {
			return "", nil, err
		}
		dir = filepath.Join(base, strings.TrimPrefix(filepath.Base(tmp), making))
		if err = os.Rename(tmp, dir); err != nil {
			return "", nil, err
		}
		return dir, owner, nil
	}
	return "", nil, err
}

// sweep removes the folders whose owner has gone.
func sweep(base string) error {
	entries, err := os.ReadDir(base)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	for _, e := range entries {
		fi, err := e.Info()
		if err != nil || !e.IsDir() {
			continue
		}
		// One that is being made is locked a moment later.
		if strings.HasPrefix(e.Name(), making) && time.Since(fi.ModTime()) < time.Minute {
			continue
		}
		dir := filepath.Join(base, e.Name())
		owner := flock.New(filepath.Join(dir, "owner"))
		if ok, err := owner.TryLock(); err != nil || !ok {
			continue
		}
		_, err = supervisor.Reap(supervisor.Dir(dir), 0)
		if err == nil {
			err = os.RemoveAll(dir)
		}
		_ = owner.Unlock()
		if err != nil {
			return fmt.Errorf("remove what an earlier check left in %s: %w", dir, err)
		}
	}
	return nil
}
