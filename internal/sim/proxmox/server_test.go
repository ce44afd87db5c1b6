package proxmox

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"
)

const (
	token    = "lumacore@pve!test=secret"
	imageURL = "https://example.com/20260115/a.img"
	// imageSum is the SHA-256 of "image".
	imageSum = "6105d6cc76af400325e94d588ce511be5bfdbb73b437dc51eca43917d7a43e3d"
)

func node(t *testing.T) *Server {
	t.Helper()
	s := New(Config{
		Node: "pve", Token: token, TaskTime: 10 * time.Millisecond, Images: map[string][]byte{imageURL: []byte("image")},
		Storages: []Storage{
			{Name: "local", Path: "/var/lib/vz", Content: []string{"import", "snippets"}, Capacity: 1 << 30},
			{Name: "local-lvm", Content: []string{"images"}, Capacity: 100 << 30},
		},
	})
	t.Cleanup(s.Close)
	return s
}

// call asks the API and returns the status and the data, or the message of an error.
func call(t *testing.T, s http.Handler, request string, form url.Values) (int, any) {
	t.Helper()
	method, path, _ := strings.Cut(request, " ")
	r := httptest.NewRequest(method, "/api2/json/"+path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Authorization", "PVEAPIToken="+token)
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	var answer struct {
		Data    any    `json:"data"`
		Message string `json:"message"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
		t.Fatalf("%s: %v in %s", request, err, w.Body)
	}
	if answer.Message != "" {
		return w.Code, strings.TrimSpace(answer.Message)
	}
	return w.Code, answer.Data
}

// do calls what begins a task and returns how that ended.
func do(t *testing.T, s http.Handler, request string, form url.Values) string {
	t.Helper()
	code, id := call(t, s, request, form)
	if code != http.StatusOK {
		t.Fatalf("%s: %d %v", request, code, id)
	}
	path := "GET nodes/pve/tasks/" + url.PathEscape(id.(string)) + "/status"
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		_, data := call(t, s, path, nil)
		if status := data.(map[string]any); status["status"] == "stopped" {
			return status["exitstatus"].(string)
		}
	}
	t.Fatalf("%s: the task does not end", request)
	return ""
}

func form(pairs ...string) url.Values {
	f := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		f.Set(pairs[i], pairs[i+1])
	}
	return f
}

func download() url.Values {
	return form("content", "import", "filename", "a.qcow2", "url", imageURL, "checksum-algorithm", "sha256", "checksum", imageSum)
}

func TestMachine(t *testing.T) {
	t.Parallel()
	s := node(t)
	if got := do(t, s, "POST nodes/pve/storage/local/download-url", download()); got != "OK" {
		t.Fatal(got)
	}
	create := form("vmid", "201", "name", "a", "cores", "2", "memory", "4096", "protection", "1", "net0", "model=virtio,bridge=vmbr0",
		"virtio0", "file=local-lvm:0,import-from=local:import/a.qcow2,size=1", "virtio1", "file=local-lvm:10,serial=x,", "ide2", "file=local-lvm:cloudinit")
	if got := do(t, s, "POST nodes/pve/qemu", create); got != "OK" {
		t.Fatal(got)
	}
	_, data := call(t, s, "GET nodes/pve/qemu/201/config", nil)
	for key, want := range map[string]any{
		"cores": 2.0, "memory": "4096", "net0": "virtio=BC:24:11:00:00:C9,bridge=vmbr0", "ide2": "local-lvm:vm-201-cloudinit,media=cdrom,size=4M",
		"virtio0": "local-lvm:vm-201-disk-0,size=3584M", "virtio1": "local-lvm:vm-201-disk-1,serial=x,size=10G",
	} {
		if got := data.(map[string]any)[key]; got != want {
			t.Errorf("%s is %v, want %v", key, got, want)
		}
	}
	if got := do(t, s, "PUT nodes/pve/qemu/201/resize", form("disk", "virtio0", "size", "20G")); got != "OK" || !strings.HasSuffix(s.Machines()[201].Config["virtio0"], "size=20G") {
		t.Errorf("resize: %s, %s", got, s.Machines()[201].Config["virtio0"])
	}
	if got := do(t, s, "POST nodes/pve/qemu/201/status/start", nil); got != "OK" {
		t.Error(got)
	}
	for _, c := range []struct {
		request string
		form    url.Values
		code    int
		message string
	}{
		{"POST nodes/pve/qemu", create, 500, "unable to create VM 201 - VM 201 already exists on node 'pve'"},
		{"POST nodes/pve/qemu", form("vmid", "7"), 400, "Parameter verification failed. vmid: value must have a minimum value of 100"},
		{"PUT nodes/pve/qemu/201/resize", form("disk", "virtio0", "size", "10G"), 500, "shrinking disks is not supported"},
		{"PUT nodes/pve/qemu/201/resize", form("disk", "virtio0", "size", "big"), 400, "Parameter verification failed. size: 'big' is not a size"},
		{"PUT nodes/pve/qemu/201/resize", form("disk", "virtio7", "size", "10G"), 500, "disk 'virtio7' does not exist"},
		{"PUT nodes/pve/qemu/201/config", form("cicustom", "user=local:snippets/none.yaml"), 500, "volume 'local:snippets/none.yaml' does not exist"},
		{"POST nodes/pve/qemu/201/status/start", nil, 500, "VM 201 already running"},
		{"DELETE nodes/pve/qemu/201", nil, 500, "can't remove VM 201 - protection mode enabled"},
		{"GET nodes/pve/qemu/202/config", nil, 500, "Configuration file 'nodes/pve/qemu-server/202.conf' does not exist"},
		{"GET nodes/other/qemu", nil, 500, "hostname lookup 'other' failed - failed to get address info for: other: Name or service not known"},
		{"POST nodes/pve/storage/local/download-url", download(), 500, "refusing to override existing file 'a.qcow2'"},
		{"POST nodes/pve/storage/local-lvm/download-url", download(), 500, "storage 'local-lvm' does not support content-type 'import'"},
		{"POST nodes/pve/qemu/201/clone", nil, 501, "Method 'POST /api2/json/nodes/pve/qemu/201/clone' not implemented: this is a simulator"},
	} {
		if code, got := call(t, s, c.request, c.form); code != c.code || got != c.message {
			t.Errorf("%s: %d %v, want %d %s", c.request, code, got, c.code, c.message)
		}
	}
	if code, _ := call(t, s, "PUT nodes/pve/qemu/201/config", form("protection", "0")); code != http.StatusOK {
		t.Error(code)
	}
	for _, step := range []string{"POST nodes/pve/qemu/201/status/stop", "DELETE nodes/pve/qemu/201"} {
		if got := do(t, s, step, nil); got != "OK" {
			t.Errorf("%s: %s", step, got)
		}
	}
	if ids, _ := s.Volumes(); len(s.Machines()) != 0 || len(ids) != 1 {
		t.Errorf("machines %v and volumes %v stay", s.Machines(), ids)
	}
}

func TestTrouble(t *testing.T) {
	t.Parallel()
	s := node(t)
	create := form("vmid", "201", "virtio0", "file=local-lvm:60", "virtio1", "file=local-lvm:60")
	want := "unable to create VM 201 - storage 'local-lvm' is full: 64424509440 bytes are needed, 42949672960 are free: No space left on device"
	if got := do(t, s, "POST nodes/pve/qemu", create); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if ids, _ := s.Volumes(); len(s.Machines()) != 0 || len(ids) != 0 {
		t.Errorf("of a machine that could not be made %v and %v stay", s.Machines(), ids)
	}
	wrong := download()
	wrong.Set("checksum", strings.Repeat("0", 64))
	if got := do(t, s, "POST nodes/pve/storage/local/download-url", wrong); !strings.HasPrefix(got, "checksum mismatch: got '"+imageSum+"'") {
		t.Error(got)
	}

	s.SetTrouble(Trouble{NodeDown: true})
	if code, got := call(t, s, "GET nodes/pve/qemu", nil); code != 595 {
		t.Error(code, got)
	}
	if code, _ := call(t, s, "GET version", nil); code != http.StatusOK {
		t.Error("the API is down with its node")
	}

	s.SetCapacity("local-lvm", 1<<40)
	s.SetTrouble(Trouble{Hang: "qmcreate"})
	_, id := call(t, s, "POST nodes/pve/qemu", create)
	if code, got := call(t, s, "POST nodes/pve/qemu/201/status/start", nil); code != 500 || got != "VM is locked (create)" {
		t.Error(code, got)
	}
	if s.Tasks()["qmcreate"] != 1 {
		t.Error(s.Tasks())
	}
	s.SetTrouble(Trouble{})
	for deadline := time.Now().Add(10 * time.Second); len(s.Tasks()) > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%v still hangs", id)
		}
	}

	s.SetTrouble(Trouble{Drop: "POST /qemu/201/status/start"})
	func() {
		defer func() {
			if r := recover(); r != http.ErrAbortHandler {
				t.Errorf("the connection is not closed: %v", r)
			}
		}()
		call(t, s, "POST nodes/pve/qemu/201/status/start", nil)
	}()
	for deadline := time.Now().Add(10 * time.Second); s.Machines()[201].Status != "running"; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("what was asked for is not done")
		}
	}
}

func TestToken(t *testing.T) {
	t.Parallel()
	s := node(t)
	for _, header := range []string{"", "PVEAPIToken=" + token + "x", "Bearer " + token} {
		r := httptest.NewRequest(http.MethodGet, "/api2/json/version", nil)
		r.Header.Set("Authorization", header)
		w := httptest.NewRecorder()
		if s.ServeHTTP(w, r); w.Code != http.StatusUnauthorized {
			t.Errorf("%q: %d", header, w.Code)
		}
	}
}

func TestSFTP(t *testing.T) {
	t.Parallel()
	s := node(t)
	signer := func() ssh.Signer {
		_, key, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		signer, err := ssh.NewSignerFromKey(key)
		if err != nil {
			t.Fatal(err)
		}
		return signer
	}
	host, key := signer(), signer()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.ServeSFTP(l, host, "writer", key.PublicKey()) }()
	dial := func(user string, key ssh.Signer) (*ssh.Client, error) {
		return ssh.Dial("tcp", l.Addr().String(), &ssh.ClientConfig{
			User: user, Auth: []ssh.AuthMethod{ssh.PublicKeys(key)}, HostKeyCallback: ssh.FixedHostKey(host.PublicKey()), Timeout: 10 * time.Second,
		})
	}
	if _, err := dial("root", key); err == nil {
		t.Error("another user is let in")
	}
	if _, err := dial("writer", signer()); err == nil {
		t.Error("another key is let in")
	}
	client, err := dial("writer", key)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if session, err := client.NewSession(); err != nil || session.Run("id") == nil {
		t.Errorf("there is a shell, or no session: %v", err)
	}
	c, err := sftp.NewClient(client)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Create("/etc/cron.d/a"); err == nil {
		t.Error("a file can be written anywhere")
	}
	for _, content := range []string{"a longer text", "text"} {
		f, err := c.Create("/var/lib/vz/snippets/a.yaml")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := fmt.Fprint(f, content); err != nil {
			t.Error(err)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := c.Chmod("/var/lib/vz/snippets/a.yaml", 0o600); err != nil {
		t.Error(err)
	}
	if content, mode, ok := s.Snippet("local:snippets/a.yaml"); !ok || content != "text" || mode != 0o600 {
		t.Errorf("%q, %04o, %t", content, mode, ok)
	}
	l.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
