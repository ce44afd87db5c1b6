// Package proxmox simulates one node of Proxmox VE: the part of its REST API, and of SFTP
// on its host, with which OpenTofu's provider bpg/proxmox makes, reads, changes and
// deletes virtual machines from an image and cloud-init documents.
//
// Real are HTTP, the API token, the forms of requests, answers and errors, checksums of
// downloads, SSH and SFTP, and that work is done by tasks which take time and go on when
// nobody waits for them. Nothing is virtualised: a machine is its configuration and a
// state, a disk is a number of bytes. Routes that the provider does not need for this are
// refused.
//
// [Server.SetTrouble] and [Server.SetCapacity] make it fail.
package proxmox

import (
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Version is the version of Proxmox VE whose API this is.
const Version = "8.4.1"

// maxBody bounds the form of a request.
const maxBody = 1 << 20

// Config is what a [Server] begins with.
type Config struct {
	Node     string            // its name
	Token    string            // the only API token, as USER@REALM!ID=SECRET
	Storages []Storage         //
	Images   map[string][]byte // what the node can download, by URL
	TaskTime time.Duration     // that each task takes
}

// Storage is a storage of the node.
type Storage struct {
	Name     string
	Content  []string // content types: import, snippets, images, ...
	Path     string   // of a directory; empty for block storage
	Capacity int64    // bytes
}

// Trouble is what goes wrong for as long as it is set.
type Trouble struct {
	// NodeDown: the API answers, but the node behind it does not (status 595).
	NodeDown bool
	// Hang is a type of task, as qmcreate, which does not end.
	Hang string
	// Drop is the method and the end of the path of a request, as "POST /qemu", that is
	// done, while the connection is closed before the answer. It happens once.
	Drop string
}

// Machine is a virtual machine.
type Machine struct {
	ID     int
	Status string            // running or stopped
	Config map[string]string // as GET .../config answers, everything as text
	// polls counts how often the guest agent was asked since the machine was started.
	polls int
}

// Server is the simulated node. All methods may be called at the same time.
type Server struct {
	config Config
	mux    *http.ServeMux

	mu       sync.Mutex
	change   *sync.Cond // of trouble, or closed
	closed   bool
	trouble  Trouble
	storages map[string]*Storage
	volumes  map[string]*volume // by ID, as local:snippets/a.yaml
	machines map[int]*Machine
	tasks    map[string]*task
	requests []string
	serial   int
}

// New returns a node without machines.
func New(c Config) *Server {
	s := &Server{
		config: c, storages: map[string]*Storage{}, volumes: map[string]*volume{},
		machines: map[int]*Machine{}, tasks: map[string]*task{},
	}
	s.change = sync.NewCond(&s.mu)
	for _, storage := range c.Storages {
		s.storages[storage.Name] = &storage
	}
	s.mux = s.routes()
	return s
}

// Close lets tasks that hang end.
func (s *Server) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.change.Broadcast()
}

// SetTrouble replaces what goes wrong.
func (s *Server) SetTrouble(t Trouble) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.trouble = t
	s.change.Broadcast()
}

// SetCapacity changes the size of a storage, in bytes.
func (s *Server) SetCapacity(storage string, capacity int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.storages[storage].Capacity = capacity
}

// AddMachine adds a machine of somebody else.
func (s *Server) AddMachine(id int, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.machines[id] = &Machine{ID: id, Status: "stopped", Config: map[string]string{"name": name}}
}

// Lose removes a machine with its disks, or a volume, as somebody with another tool would.
func (s *Server) Lose(machine int, volumeID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.volumes, volumeID)
	if s.machines[machine] != nil {
		s.free(machine)
		delete(s.machines, machine)
	}
}

// Machines returns copies of all machines, by number.
func (s *Server) Machines() map[int]Machine {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := map[int]Machine{}
	for id, m := range s.machines {
		all[id] = Machine{ID: id, Status: m.Status, Config: maps.Clone(m.Config)}
	}
	return all
}

// Volumes returns the IDs of all volumes, sorted, and their sizes in bytes.
func (s *Server) Volumes() (ids []string, sizes map[string]int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sizes = map[string]int64{}
	for id, v := range s.volumes {
		sizes[id] = v.size
	}
	return slices.Sorted(maps.Keys(sizes)), sizes
}

// Snippet returns the content of a file that came over SFTP, and its mode.
func (s *Server) Snippet(id string) (content string, mode uint32, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v, ok := s.volumes[id]
	if !ok {
		return "", 0, false
	}
	return string(v.data), v.mode, true
}

// Tasks returns the types of tasks and how many of each are running.
func (s *Server) Tasks() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	running := map[string]int{}
	for _, t := range s.tasks {
		if t.running {
			running[t.kind]++
		}
	}
	return running
}

// TakeRequests returns the requests that changed something since the last call, as
// "POST nodes/pve/qemu/201/status/start".
func (s *Server) TakeRequests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	taken := s.requests
	s.requests = nil
	return taken
}

// failure is an error with the status that Proxmox answers it with.
type failure struct {
	status  int
	message string
}

func (f failure) Error() string { return f.message }

// refuse is a failure as most of Proxmox's own: whatever the reason, the status is 500.
func refuse(format string, args ...any) error {
	return failure{http.StatusInternalServerError, fmt.Sprintf(format, args...)}
}

func (s *Server) routes() *http.ServeMux {
	mux := http.NewServeMux()
	handle := func(pattern string, f func(*http.Request) (any, error)) {
		method, path, _ := strings.Cut(pattern, " ")
		mux.HandleFunc(method+" /api2/json/"+path, s.allowed(f))
	}
	handle("GET version", func(*http.Request) (any, error) {
		return map[string]any{"version": Version, "release": "8.4", "repoid": "simulated", "console": "html5"}, nil
	})
	handle("GET nodes", func(*http.Request) (any, error) {
		return []any{map[string]any{"node": s.config.Node, "status": "online", "uptime": 1}}, nil
	})
	handle("GET pools", func(*http.Request) (any, error) { return []any{}, nil })
	handle("GET cluster/resources", s.listMachines)
	handle("GET storage/{storage}", s.getStorage)

	onNode := func(pattern string, f func(*http.Request) (any, error)) {
		method, path, _ := strings.Cut(pattern, " ")
		handle(method+" nodes/{node}/"+path, func(r *http.Request) (any, error) {
			if node := r.PathValue("node"); node != s.config.Node {
				return nil, refuse("hostname lookup '%s' failed - failed to get address info for: %s: Name or service not known", node, node)
			}
			if s.trouble.NodeDown {
				return nil, failure{595, "Errors during connection establishment, proxy handshake: No route to host"}
			}
			return f(r)
		})
	}
	onNode("GET query-url-metadata", s.queryURL)
	onNode("POST storage/{storage}/download-url", s.downloadURL)
	onNode("GET storage/{storage}/content", s.listContent)
	onNode("GET storage/{storage}/content/{volume}", s.getContent)
	onNode("DELETE storage/{storage}/content/{volume}", s.deleteContent)
	onNode("GET tasks/{task}/status", s.getTask)
	onNode("GET tasks/{task}/log", s.getTaskLog)
	onNode("DELETE tasks/{task}", s.deleteTask)
	onNode("GET qemu", s.listMachines)
	onNode("POST qemu", s.createMachine)
	for pattern, f := range map[string]func(*Machine, *http.Request) (any, error){
		"DELETE qemu/{vm}":                           s.deleteMachine,
		"DELETE qemu/{vm}/{$}":                       s.deleteMachine,
		"GET qemu/{vm}/config":                       s.getConfig,
		"PUT qemu/{vm}/config":                       s.setConfig,
		"PUT qemu/{vm}/cloudinit":                    func(*Machine, *http.Request) (any, error) { return nil, nil },
		"PUT qemu/{vm}/resize":                       s.resizeDisk,
		"GET qemu/{vm}/status/current":               s.getStatus,
		"POST qemu/{vm}/status/start":                s.startMachine,
		"POST qemu/{vm}/status/stop":                 s.stopMachine,
		"POST qemu/{vm}/status/shutdown":             s.stopMachine,
		"GET qemu/{vm}/agent/network-get-interfaces": s.guestInterfaces,
	} {
		onNode(pattern, func(r *http.Request) (any, error) {
			id, err := strconv.Atoi(r.PathValue("vm"))
			if err != nil {
				return nil, failure{http.StatusBadRequest, "Parameter verification failed. vmid: invalid format"}
			}
			m := s.machines[id]
			if m == nil {
				return nil, refuse("Configuration file 'nodes/%s/qemu-server/%d.conf' does not exist", s.config.Node, id)
			}
			return f(m, r)
		})
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		fail(w, failure{http.StatusNotImplemented, fmt.Sprintf("Method '%s %s' not implemented: this is a simulator", r.Method, r.URL.Path)})
	})
	return mux
}

// ServeHTTP answers a request of the API.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

func fail(w http.ResponseWriter, f failure) {
	w.Header().Set("Content-Type", "application/json;charset=UTF-8")
	w.WriteHeader(f.status)
	_ = json.NewEncoder(w).Encode(map[string]any{"data": nil, "message": f.message + "\n"}) // the client may have gone
}

// allowed asks for the token, reads the form, and lets f work while nobody else does.
func (s *Server) allowed(f func(*http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		got, ok := strings.CutPrefix(r.Header.Get("Authorization"), "PVEAPIToken=")
		if !ok || subtle.ConstantTimeCompare([]byte(got), []byte(s.config.Token)) != 1 {
			fail(w, failure{http.StatusUnauthorized, "authentication failure: no such token"})
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		if err := r.ParseForm(); err != nil {
			fail(w, failure{http.StatusBadRequest, "Parameter verification failed. " + err.Error()})
			return
		}
		path := strings.TrimPrefix(r.URL.Path, "/api2/json/")

		s.mu.Lock()
		data, err := f(r)
		if r.Method != http.MethodGet {
			s.requests = append(s.requests, r.Method+" "+path)
		}
		method, suffix, _ := strings.Cut(s.trouble.Drop, " ")
		drop := err == nil && method == r.Method && suffix != "" && strings.HasSuffix("/"+path, suffix)
		if drop {
			s.trouble.Drop = ""
		}
		s.mu.Unlock()

		if drop {
			panic(http.ErrAbortHandler) // closes the connection
		}
		if err != nil {
			var failed failure
			if !errors.As(err, &failed) {
				failed = failure{http.StatusInternalServerError, err.Error()}
			}
			fail(w, failed)
			return
		}
		w.Header().Set("Content-Type", "application/json;charset=UTF-8")
		_ = json.NewEncoder(w).Encode(map[string]any{"data": data}) // the client may have gone
	}
}
