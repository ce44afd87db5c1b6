// Package lab runs the blueprint for real on one machine, without hardware,
// cloud account or container engine: etcd, the Kubernetes control plane, the
// six Flux controllers, Gatekeeper, a Git server and an OCI registry are plain
// processes on loopback, and KWOK simulates the three nodes.
//
// How it is put together:
//
//  1. [Lab.Up] starts a supervisor (the same binary, detached) and compiles
//     what is missing (package programs). The supervisor starts each component
//     as soon as what it needs is ready (package supervisor; components.go is
//     the list).
//  2. Tasks of the supervisor prepare the cluster: custom resource definitions,
//     RBAC, nodes, the Git repository with the blueprint in it, beacon's image,
//     and the Flux objects that point to them (cluster.go, git.go, image.go).
//  3. Flux does the rest, from Git, as on the real machines. Up waits until
//     every Kustomization that is not suspended is Ready at the revision in Git.
//
// Everything a lab has is in one directory ([Layout]); compiled programs are in
// the user's cache and shared by all labs. The directory is the lock: one
// supervisor per directory, held by the kernel for as long as it lives.
package lab

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/gofrs/flock"
	"github.com/shirou/gopsutil/v4/disk"

	"lumacore.dev/lumacore/internal/lab/programs"
	"lumacore.dev/lumacore/internal/lab/scratch"
	"lumacore.dev/lumacore/internal/lab/supervisor"
	"lumacore.dev/lumacore/internal/report"
)

// format is the version of the directory's layout. It goes up when a lab of an
// older lumacore can not be taken over.
const format = 1

// Lab is one lab. Make it with [Open].
type Lab struct {
	Layout
	Programs *programs.Cache
	Streams  *report.Streams

	// Self is the lumacore binary, which also runs the supervisor and the Git
	// server.
	Self string
}

// Layout is the lab's directory.
type Layout struct{ Dir string }

func (l Layout) path(elem ...string) string {
	return filepath.Join(append([]string{l.Dir}, elem...)...)
}

// Kubeconfig is the administrator's kubeconfig (0600).
func (l Layout) Kubeconfig() string            { return l.path("kubeconfig", "admin.yaml") }
func (l Layout) kubeconfig(name string) string { return l.path("kubeconfig", name+".yaml") }
func (l Layout) settingsFile() string          { return l.path("lab.json") }
func (l Layout) stateFile() string             { return l.path("state.json") }
func (l Layout) phasesFile() string            { return l.path("phases.json") }
func (l Layout) gitRoot() string               { return l.path("git") }
func (l Layout) repository() string            { return l.path("git", repositoryName+".git") }
func (l Layout) gitCredentials() string        { return l.path("git-credentials") }
func (l Layout) procs() supervisor.Dir         { return supervisor.Dir(l.Dir) }

// minScratch is how large /dev/shm must be to be used; containers often have 64
// MiB. The size, unlike the free space, is the same at every call.
const minScratch = 1 << 30

// scratch is where the Flux controllers unpack every revision, several times.
// On Linux that is memory (/dev/shm), because creating thousands of small files
// there is several times faster; it is deleted when the lab stops.
func (l Layout) scratch() string {
	if u, err := disk.Usage("/dev/shm"); err == nil && u.Total >= minScratch {
		sum := sha256.Sum256([]byte(l.Dir))
		return fmt.Sprintf("/dev/shm/lumacore-lab-%d-%x", os.Getuid(), sum[:6])
	}
	return l.path("tmp", "scratch")
}

// makeScratch makes the scratch folder.
func (l Layout) makeScratch() error {
	return scratch.Make(l.scratch(), "have it deleted, or give another folder with --dir")
}

// removeScratch deletes what only running components need.
func (l Layout) removeScratch() error {
	return errors.Join(scratch.Remove(l.scratch()), os.RemoveAll(l.path("tmp")))
}

// DefaultDir returns $LUMACORE_DIR or lumacore/lab in the user's state folder
// ($XDG_STATE_HOME, by default ~/.local/state).
func DefaultDir() (string, error) {
	if dir := os.Getenv("LUMACORE_DIR"); dir != "" {
		return dir, nil
	}
	state := os.Getenv("XDG_STATE_HOME")
	if state == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", report.Misuse("give --dir, or set HOME", "no folder for the lab: %v", err)
		}
		state = filepath.Join(home, ".local", "state")
	}
	return filepath.Join(state, "lumacore", "lab"), nil
}

// Open returns the lab of a directory, which need not exist yet.
func Open(dir string, cache *programs.Cache, s *report.Streams) (*Lab, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	// The same folder by another path is the same lab.
	if real, err := filepath.EvalSymlinks(abs); err == nil {
		abs = real
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return &Lab{Layout: Layout{Dir: abs}, Programs: cache, Streams: s, Self: self}, nil
}

// settings are what a lab chose when it was made; they do not change while it
// lives.
type settings struct {
	Format   int    `json:"format"`
	Version  string `json:"version"` // Kubernetes version of its data
	Ports    Ports  `json:"ports"`
	Password string `json:"password"` // of the Git server; the file is 0600

	// ConnectToken is what the simulated 1Password Connect asks for.
	ConnectToken string `json:"connectToken"`
}

// loadSettings returns the settings, or os.ErrNotExist when there is no lab.
func (l *Lab) loadSettings() (settings, error) {
	var s settings
	b, err := os.ReadFile(l.settingsFile())
	if err != nil {
		return s, err
	}
	if err := json.Unmarshal(b, &s); err != nil {
		return s, &report.Failure{
			Err:  fmt.Errorf("%s is damaged: %w", l.settingsFile(), err),
			Next: "lumacore lab down --purge deletes the lab and its data; lab up makes a new one",
		}
	}
	if s.Format != format {
		return s, &report.Failure{
			Err:  fmt.Errorf("%s was made by another version of lumacore (layout %d, this one has %d)", l.Dir, s.Format, format),
			Next: "lumacore lab down --purge deletes it and its data; lab up makes a new one",
		}
	}
	return s, nil
}

// ensureSettings loads the settings or makes new ones; ports that something else
// has taken meanwhile are chosen anew. The caller holds the supervisor's lock.
func (l *Lab) ensureSettings() (settings, error) {
	s, err := l.loadSettings()
	switch {
	case errors.Is(err, os.ErrNotExist):
		s = settings{Format: format, Version: programs.Version("kube-apiserver"), Password: rand.Text()}
	case err != nil:
		return s, err
	}
	if s.ConnectToken == "" {
		s.ConnectToken = rand.Text()
	}
	if s.Ports.Base == 0 || !s.Ports.free() {
		if s.Ports, err = choosePorts(); err != nil {
			return s, err
		}
	}
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return s, err
	}
	return s, report.WriteFile(l.settingsFile(), b, 0o600)
}

// lock takes the supervisor's lock, which also says whether one runs.
func (l *Lab) lock() (*flock.Flock, bool, error) {
	if err := os.MkdirAll(l.path("run"), 0o700); err != nil {
		return nil, false, err
	}
	// Not *.lock: Reap ends the holders of those.
	f := flock.New(l.path("run", "supervisor"))
	ok, err := f.TryLock()
	return f, ok, err
}

// Running reports whether the lab's supervisor lives.
func (l *Lab) Running() bool {
	if _, err := os.Stat(l.path("run", "supervisor")); err != nil {
		return false
	}
	f, ok, err := l.lock()
	if err != nil {
		return false
	}
	if ok {
		_ = f.Unlock()
	}
	return !ok
}

// notRunning is the refusal of everything that needs a running lab.
func (l *Lab) notRunning() error {
	return report.Refuse("lumacore lab up", "no lab is running in %s", l.Dir)
}

// State is what the supervisor last wrote of itself.
type State struct {
	PID        int                 `json:"pid"`
	Started    string              `json:"started"` // RFC 3339
	Components []supervisor.Status `json:"components"`
}

// state returns the supervisor's last word; it may be of a dead one.
func (l *Lab) state() (State, error) {
	var st State
	b, err := os.ReadFile(l.stateFile())
	if err != nil {
		return st, err
	}
	return st, json.Unmarshal(b, &st)
}

// unready names the components that are not ready, with what they wait for.
func (st State) unready() []supervisor.Status {
	var list []supervisor.Status
	for _, c := range st.Components {
		if c.State != supervisor.Ready {
			list = append(list, c)
		}
	}
	return list
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}
