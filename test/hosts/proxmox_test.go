//go:build e2e

package hosts

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"sigs.k8s.io/yaml"

	"lumacore.dev/lumacore/internal/schematest"
	"lumacore.dev/lumacore/internal/sim/proxmox"
)

const (
	// Made-up secrets, which must not be found where they do not belong.
	token      = "lumacore@pve!tofu=00000000-0000-4000-8000-000000000001"
	joinToken  = "simulated0agent0token0of0thirtytwo0characters"
	k3sToken   = "simulated0server0token0of0thirtytwo0characters"
	passphrase = "simulated passphrase of the state"
	statePass  = "simulated-gitlab-token"

	imageURL    = "https://cloud-images.ubuntu.com/noble/20260115/noble-server-cloudimg-amd64.img"
	newImageURL = "https://cloud-images.ubuntu.com/noble/20260301/noble-server-cloudimg-amd64.img"
)

var image, newImage = []byte("not really an image of a disk"), []byte("a newer one")

func checksum(data []byte) string {
	digest := sha256.Sum256(data)
	return hex.EncodeToString(digest[:])
}

// programs returns the paths of OpenTofu and the provider. Where they are not built the
// test is skipped, but in CI it fails.
func programs(t *testing.T) (tofu, provider string) {
	t.Helper()
	tools, err := filepath.Abs("../../bin/tools")
	if err != nil {
		t.Fatal(err)
	}
	tofu, provider = filepath.Join(tools, "tofu"), filepath.Join(tools, "terraform-provider-proxmox")
	for _, program := range []string{tofu, provider} {
		if _, err := os.Stat(program); err != nil {
			if os.Getenv("CI") != "" {
				t.Fatalf("%v; build it with: make test-hosts", err)
			}
			t.Skipf("not run: %s is not built (make test-hosts builds it)", filepath.Base(program))
		}
	}
	return tofu, provider
}

// module is a copy of the OpenTofu module in a repository of its own, with what it talks
// to: a simulated Proxmox and a GitLab that keeps the state.
type module struct {
	*testing.T
	dir    string // hosts/proxmox of the copy
	tofu   string
	env    []string
	sim    *proxmox.Server
	gitlab *stateServer
	vars   map[string]string // of terraform.tfvars, as HCL
}

func newModule(t *testing.T) *module {
	t.Helper()
	tofu, provider := programs(t)
	root := t.TempDir()
	m := &module{T: t, dir: filepath.Join(root, "repository/hosts/proxmox"), tofu: tofu}
	for _, folder := range []string{"hosts", "clusters/lumacore"} {
		if err := os.CopyFS(filepath.Join(root, "repository", folder), os.DirFS(filepath.Join("../../blueprint", folder))); err != nil {
			t.Fatal(err)
		}
	}
	for _, left := range []string{".terraform", ".terraform.lock.hcl", "terraform.tfvars"} {
		if err := os.RemoveAll(filepath.Join(m.dir, left)); err != nil {
			t.Fatal(err)
		}
	}

	// The provider, where OpenTofu would have downloaded it to.
	mirror := filepath.Join(root, "mirror")
	folder := filepath.Join(mirror, "registry.opentofu.org/bpg/proxmox/0.111.1", runtime.GOOS+"_"+runtime.GOARCH)
	m.mkdir(folder)
	if err := os.Symlink(provider, filepath.Join(folder, "terraform-provider-proxmox_v0.111.1")); err != nil {
		t.Fatal(err)
	}
	rc := filepath.Join(root, "tofu.rc")
	m.write(rc, fmt.Sprintf("provider_installation {\n  filesystem_mirror {\n    path = %q\n  }\n}\n", mirror))
	home := filepath.Join(root, "home")
	m.mkdir(home)
	m.env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + home, "TMPDIR=" + root, "TF_IN_AUTOMATION=1", "TF_INPUT=0",
		"TF_CLI_CONFIG_FILE=" + rc, "CHECKPOINT_DISABLE=1",
		"TF_VAR_k3s_token=" + k3sToken, "TF_VAR_k3s_agent_token=" + joinToken, "TF_VAR_state_passphrase=" + passphrase,
	}
	return m
}

// start starts the simulators and initialises the module.
func (m *module) start() {
	m.Helper()
	root := filepath.Dir(filepath.Dir(filepath.Dir(filepath.Dir(m.dir))))
	m.sim = proxmox.New(proxmox.Config{
		Node: "pve", Token: token, TaskTime: 300 * time.Millisecond, Images: map[string][]byte{imageURL: image, newImageURL: newImage},
		Storages: []proxmox.Storage{
			{Name: "local", Path: "/var/lib/vz", Content: []string{"import", "iso", "snippets"}, Capacity: 100 << 30},
			{Name: "local-lvm", Content: []string{"images"}, Capacity: 2 << 40},
		},
	})
	m.Cleanup(m.sim.Close)
	api := httptest.NewTLSServer(m.sim)
	m.Cleanup(api.Close)
	api.Config.ErrorLog = nil

	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		m.Fatal(err)
	}
	key, err := ssh.NewPublicKey(public)
	if err != nil {
		m.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		m.Fatal(err)
	}
	_, hostKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		m.Fatal(err)
	}
	host, err := ssh.NewSignerFromKey(hostKey)
	if err != nil {
		m.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		m.Fatal(err)
	}
	m.Cleanup(func() { l.Close() })
	go func() { _ = m.sim.ServeSFTP(l, host, "lumacore", key) }()

	m.gitlab = &stateServer{}
	states := httptest.NewTLSServer(m.gitlab)
	m.Cleanup(states.Close)

	// Both servers have the same certificate.
	ca := filepath.Join(root, "ca.pem")
	m.write(ca, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: api.Certificate().Raw})))
	m.env = append(m.env,
		"SSL_CERT_FILE="+ca, "PROXMOX_VE_API_TOKEN="+token,
		"PROXMOX_VE_SSH_PRIVATE_KEY="+string(pem.EncodeToMemory(block)), "TF_HTTP_PASSWORD="+statePass)

	m.vars = map[string]string{
		"proxmox_endpoint": fmt.Sprintf("%q", api.URL), "proxmox_node": `"pve"`,
		"ssh_agent": "false", "ssh_port": fmt.Sprint(l.Addr().(*net.TCPAddr).Port),
		"image_url": fmt.Sprintf("%q", imageURL), "image_sha256": fmt.Sprintf("%q", checksum(image)),
		"ssh_public_keys": `["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIExampleExampleExampleExampleExampleExampleExam owner@laptop"]`,
	}
	m.write(filepath.Join(m.dir, "backend.hcl"), fmt.Sprintf(
		"address = %q\nlock_address = %[2]q\nunlock_address = %[2]q\nlock_method = \"POST\"\nunlock_method = \"DELETE\"\nusername = \"homelab\"\n",
		states.URL+"/state", states.URL+"/state/lock"))
	m.succeed("init", "-backend-config=backend.hcl")
}

func (m *module) write(path, content string) {
	m.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		m.Fatal(err)
	}
}

func (m *module) mkdir(path string) {
	m.Helper()
	if err := os.MkdirAll(path, 0o755); err != nil {
		m.Fatal(err)
	}
}

// command prepares a call of OpenTofu, after terraform.tfvars was written.
func (m *module) command(ctx context.Context, out io.Writer, args ...string) *exec.Cmd {
	m.Helper()
	if m.vars != nil {
		var tfvars strings.Builder
		for name, value := range m.vars {
			fmt.Fprintf(&tfvars, "%s = %s\n", name, value)
		}
		m.write(filepath.Join(m.dir, "terraform.tfvars"), tfvars.String())
	}
	cmd := exec.CommandContext(ctx, m.tofu, append(args[:1:1], append([]string{"-no-color"}, args[1:]...)...)...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = m.dir, m.env, out, out
	return cmd
}

// run calls OpenTofu and returns what it printed, without the line breaks and rulers of
// its boxes, and its exit code.
func (m *module) run(args ...string) (output string, code int) {
	m.Helper()
	ctx, cancel := context.WithTimeout(m.Context(), 4*time.Minute)
	defer cancel()
	var out bytes.Buffer
	err := m.command(ctx, &out, args...).Run()
	output = plain(out.String())
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || ctx.Err() != nil) {
		m.Fatalf("tofu %s: %v\n%s", strings.Join(args, " "), err, out.String())
	}
	if exit != nil {
		code = exit.ExitCode()
	}
	for _, secret := range []string{joinToken, k3sToken, passphrase, statePass, strings.SplitN(token, "=", 2)[1]} {
		if strings.Contains(output, secret) {
			m.Errorf("tofu %s prints a secret:\n%s", strings.Join(args, " "), output)
		}
	}
	return output, code
}

// plain joins the lines of messages, which OpenTofu wraps.
func plain(output string) string {
	return strings.Join(strings.Fields(strings.NewReplacer("│", " ", "╷", " ", "╵", " ").Replace(output)), " ")
}

// end is the end of what was printed: the plan before it is long.
func end(output string) string { return output[max(0, len(output)-3000):] }

func (m *module) succeed(args ...string) string {
	m.Helper()
	out, code := m.run(args...)
	if code != 0 {
		m.Fatalf("tofu %s: exit code %d\n%s", strings.Join(args, " "), code, end(out))
	}
	return out
}

// refuse calls OpenTofu and expects that it fails with the message.
func (m *module) refuse(message string, args ...string) {
	m.Helper()
	out, code := m.run(args...)
	if code != 1 || !strings.Contains(out, message) {
		m.Fatalf("tofu %s: exit code %d, want 1 and the message %q\n%s", strings.Join(args, " "), code, message, end(out))
	}
}

func (m *module) apply(args ...string) string {
	m.Helper()
	return m.succeed(append([]string{"apply", "-auto-approve"}, args...)...)
}

// settled expects that a plan finds nothing to do.
func (m *module) settled() {
	m.Helper()
	if out, code := m.run("plan", "-detailed-exitcode"); code != 0 {
		m.Fatalf("a plan after the apply: exit code %d, want 0, which is no changes\n%s", code, end(out))
	}
}

// complete expects that all three machines are there, run, and have their disks.
func (m *module) complete() {
	m.Helper()
	machines := m.sim.Machines()
	ids, _ := m.sim.Volumes()
	for id, name := range map[int]string{201: "k3s-server", 202: "k3s-agent-1", 203: "k3s-agent-2"} {
		if machine := machines[id]; machine.Status != "running" || machine.Config["name"] != name || machine.Config["lock"] != "" {
			m.Errorf("machine %d is not %s, running and unlocked: %v", id, name, machine)
		}
		for _, disk := range []string{"disk-0", "disk-1", "cloudinit"} {
			if volume := fmt.Sprintf("local-lvm:vm-%d-%s", id, disk); !slices.Contains(ids, volume) {
				m.Errorf("%s is missing; there are %v", volume, ids)
			}
		}
	}
	if len(machines) != 3 || len(ids) != 3*3+3*2+1 {
		m.Errorf("%d machines and %d volumes, want 3 and 16 (three disks and two documents each, and the image):\n%v", len(machines), len(ids), ids)
	}
	if m.gitlab.locked() != "" {
		m.Error("the state is still locked")
	}
}

// finish expects that what an apply left undone is done by the next one.
func (m *module) finish() {
	m.Helper()
	m.wait("all tasks to end", func() bool { return len(m.sim.Tasks()) == 0 })
	m.apply()
	m.complete()
	m.settled()
}

func (m *module) wait(what string, done func() bool) {
	m.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			m.Fatalf("waited 2 minutes for %s", what)
		}
	}
}

func TestProxmoxModule(t *testing.T) {
	t.Parallel()
	m := newModule(t)
	m.succeed("fmt", "-check", "-recursive", "-diff")
	m.succeed("init", "-backend=false")
	m.succeed("validate")
	out := m.succeed("test")
	if !strings.Contains(out, " 0 failed") {
		t.Error(out)
	}
	t.Log(out)
}

func TestProxmoxLifecycle(t *testing.T) {
	t.Parallel()
	m := newModule(t)
	m.start()
	if out, code := m.run("plan", "-detailed-exitcode"); code != 2 || !strings.Contains(out, "Plan: 10 to add, 0 to change, 0 to destroy.") {
		t.Fatalf("first plan: exit code %d\n%s", code, out)
	}
	if got := m.sim.TakeRequests(); len(got) > 0 {
		t.Errorf("a plan changed something: %v", got)
	}
	m.apply()
	m.complete()
	m.settled()
	m.inspect()

	// A second apply does nothing.
	m.sim.TakeRequests()
	m.apply()
	m.changed()

	// A disk grows while the machine runs.
	m.vars["agent"] = "{ longhorn_disk_gib = 220 }"
	m.apply()
	m.changed("PUT nodes/pve/qemu/202/config", "PUT nodes/pve/qemu/202/resize", "PUT nodes/pve/qemu/203/config", "PUT nodes/pve/qemu/203/resize")
	if _, sizes := m.sim.Volumes(); sizes["local-lvm:vm-202-disk-1"] != 220<<30 {
		t.Errorf("the disk has %d bytes", sizes["local-lvm:vm-202-disk-1"])
	}
	m.settled()
	m.vars["agent"] = "{ longhorn_disk_gib = 210 }"
	m.refuse("Cannot shrink", "apply", "-auto-approve")
	m.vars["agent"] = "{ longhorn_disk_gib = 220 }"
	m.settled()
	m.sim.TakeRequests()

	// More memory waits for a reboot, which is not ours.
	m.vars["server"] = "{ memory_mib = 10240 }"
	m.apply()
	m.changed("PUT nodes/pve/qemu/201/config")
	m.settled()

	// With a reboot outstanding the provider resizes nothing.
	m.vars["server"] = "{ memory_mib = 12288, longhorn_disk_gib = 120 }"
	m.refuse("resize disks", "apply", "-auto-approve")
	m.apply()
	if _, sizes := m.sim.Volumes(); sizes["local-lvm:vm-201-disk-1"] != 120<<30 {
		t.Errorf("the disk has %d bytes", sizes["local-lvm:vm-201-disk-1"])
	}
	m.settled()
	m.sim.TakeRequests()

	// Another configuration of k3s, or another image, touches no machine.
	m.write(filepath.Join(m.dir, "../k3s/another.yaml"), "answer: 42\n")
	m.vars["image_url"] = fmt.Sprintf("%q", newImageURL)
	m.vars["image_sha256"] = fmt.Sprintf("%q", checksum(newImage))
	m.apply()
	documents := []string{
		"DELETE nodes/pve/storage/local/content/local:import/ubuntu-20260115-" + checksum(image)[:8] + ".qcow2",
		"POST nodes/pve/storage/local/download-url",
	}
	for _, name := range []string{"k3s-agent-1", "k3s-agent-2", "k3s-server"} {
		documents = append(documents, "DELETE nodes/pve/storage/local/content/local:snippets/"+name+".user-data.yaml")
	}
	m.changed(documents...)
	m.settled()

	// A node is made anew.
	m.apply(`-replace=proxmox_virtual_environment_vm.node["agent-2"]`)
	m.changed("DELETE nodes/pve/qemu/203/", "POST nodes/pve/qemu", "POST nodes/pve/qemu/203/status/start",
		"POST nodes/pve/qemu/203/status/stop", "PUT nodes/pve/qemu/203/resize")
	m.complete()
	m.settled()

	// What somebody else deleted comes back; the rest stays.
	m.sim.Lose(202, "local:snippets/k3s-server.user-data.yaml")
	m.apply()
	m.changed("POST nodes/pve/qemu", "POST nodes/pve/qemu/202/status/start", "PUT nodes/pve/qemu/202/resize")
	m.complete()
	m.settled()

	m.vars["protect_server"] = "true"
	if out := m.apply(); strings.Contains(out, "Check block assertion failed") {
		t.Errorf("the server is protected, and still there is a warning:\n%s", out)
	}
	m.refuse("can't remove VM 201 - protection mode enabled", "destroy", "-auto-approve")
	m.vars["protect_server"] = "false"
	m.apply()
	m.complete()
	m.succeed("destroy", "-auto-approve")
	if ids, _ := m.sim.Volumes(); len(m.sim.Machines()) > 0 || len(ids) > 0 {
		t.Errorf("after destroy there are %v and %v", m.sim.Machines(), ids)
	}
}

// changed expects these changing requests since the last call, each at least once, and
// no others.
func (m *module) changed(want ...string) {
	m.Helper()
	got := m.sim.TakeRequests()
	slices.Sort(got)
	got = slices.Compact(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		m.Errorf("requests:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// inspect looks at what a first apply made.
func (m *module) inspect() {
	m.Helper()
	config := m.sim.Machines()[202].Config
	for key, want := range map[string]string{
		"name": "k3s-agent-1", "cores": "4", "memory": "12288", "balloon": "0", "machine": "q35", "bios": "seabios",
		"onboot": "1", "protection": "0", "startup": "order=20,up=60,down=120", "ostype": "l26",
		"ipconfig0": "gw=192.168.10.1,ip=192.168.10.12/24", "nameserver": "192.168.10.1",
		"cicustom": "meta=local:snippets/k3s-agent-1.meta-data.yaml,user=local:snippets/k3s-agent-1.user-data.yaml",
		"net0":     "virtio=BC:24:11:00:00:CA,bridge=vmbr0,firewall=0",
	} {
		if config[key] != want {
			m.Errorf("%s of k3s-agent-1 is %q, want %q", key, config[key], want)
		}
	}
	for key, parts := range map[string][]string{
		"virtio0": {"local-lvm:vm-202-disk-0", "size=40G", "iothread=1", "discard=on"},
		"virtio1": {"local-lvm:vm-202-disk-1", "size=200G", "serial=lumacore-longhorn", "backup=0"},
	} {
		for _, part := range parts {
			if !slices.Contains(strings.Split(config[key], ","), part) {
				m.Errorf("%s of k3s-agent-1 is %q and lacks %s", key, config[key], part)
			}
		}
	}
	for _, kind := range []string{"user", "meta"} {
		if _, mode, ok := m.sim.Snippet("local:snippets/k3s-server." + kind + "-data.yaml"); !ok || mode != 0o600 {
			m.Errorf("the %s-data of the server is there: %t, with mode %04o, want 0600", kind, ok, mode)
		}
	}
	for _, name := range []string{"k3s-server", "k3s-agent-1", "k3s-agent-2"} {
		text, _, _ := m.sim.Snippet("local:snippets/" + name + ".user-data.yaml")
		checkCloudConfig(m.T, name, text)
	}
	state := m.gitlab.state()
	if !bytes.Contains(state, []byte("encrypted_data")) || bytes.Contains(state, []byte("k3s-agent-1")) {
		m.Errorf("the state in GitLab is not encrypted:\n%.300s", state)
	}
	if left, _ := filepath.Glob(filepath.Join(m.dir, "*.tfstate*")); len(left) > 0 {
		m.Errorf("there is a state on this computer: %v", left)
	}
}

// checkCloudConfig holds a document against cloud-init's published schema, which says
// nothing of keys that it does not know: those are looked for too.
func checkCloudConfig(t *testing.T, name, text string) {
	t.Helper()
	const path = "../../build/cloud-init.schema.json"
	if _, err := os.Stat(path); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("%v; make test-hosts downloads it", err)
		}
		t.Log("not run: cloud-init's documents against their schema (make test-hosts downloads it)")
		return
	}
	schema, doc := schematest.File(t, path)
	known := map[string]bool{}
	for _, module := range doc["$defs"].(map[string]any) {
		properties, _ := module.(map[string]any)["properties"].(map[string]any)
		for key := range properties {
			known[key] = true
		}
	}
	check := func(text string) error {
		var config map[string]any
		if err := yaml.Unmarshal([]byte(text), &config); err != nil {
			return err
		}
		for key := range config {
			if !known[key] {
				return fmt.Errorf("cloud-init does not know the key %s", key)
			}
		}
		return schema.Validate(config)
	}
	if err := check(text); err != nil {
		t.Errorf("cloud-init document of %s: %v\n%s", name, err, text)
	}
	// The check can fail.
	for right, wrong := range map[string]string{
		"package_update: true":       "package_updates: true",
		"lock_passwd: true":          "lock_passwd: [true]",
		"permissions: \"0600\"":      "permissions: 600",
		"encoding: b64":              "encoding: rot13",
		"  - [systemctl, enable, --": "  - {systemctl: [enable]}\n  - [systemctl, enable, --",
	} {
		if bad := strings.Replace(text, right, wrong, 1); bad == text || check(bad) == nil {
			t.Errorf("a document with %q instead of %q passes", wrong, right)
		}
	}
}

// The next apply finishes what an earlier one could not.
func TestProxmoxNextApplyFinishes(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		vars    map[string]string // of the first apply
		prepare func(*proxmox.Server)
		message string // of the first apply
		repair  func(*proxmox.Server)
	}{
		"storage full": {
			prepare: func(s *proxmox.Server) { s.SetCapacity("local-lvm", 300<<30) },
			message: "storage 'local-lvm' is full",
			repair:  func(s *proxmox.Server) { s.SetCapacity("local-lvm", 2<<40) },
		},
		"storage full for the image": {
			prepare: func(s *proxmox.Server) { s.SetCapacity("local", 10) },
			message: "No space left on device",
			repair:  func(s *proxmox.Server) { s.SetCapacity("local", 100<<30) },
		},
		"node down": {
			prepare: func(s *proxmox.Server) { s.SetTrouble(proxmox.Trouble{NodeDown: true}) },
			message: "received an HTTP 595 response",
			repair:  func(s *proxmox.Server) { s.SetTrouble(proxmox.Trouble{}) },
		},
		"timeout while machines are made": {
			vars:    map[string]string{"create_timeout": "4"},
			prepare: func(s *proxmox.Server) { s.SetTrouble(proxmox.Trouble{Hang: "qmcreate"}) },
			message: "timeout while waiting for task",
			repair:  func(s *proxmox.Server) { s.SetTrouble(proxmox.Trouble{}) },
		},
		"connection lost while a machine is made": {
			prepare: func(s *proxmox.Server) { s.SetTrouble(proxmox.Trouble{Drop: "POST /qemu"}) },
			message: "EOF",
		},
		"connection lost while a machine starts": {
			prepare: func(s *proxmox.Server) { s.SetTrouble(proxmox.Trouble{Drop: "POST /status/start"}) },
			message: "EOF",
		},
		"connection lost while the image is downloaded": {
			prepare: func(s *proxmox.Server) { s.SetTrouble(proxmox.Trouble{Drop: "POST /download-url"}) },
			message: "EOF",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newModule(t)
			m.start()
			c.prepare(m.sim)
			for name, value := range c.vars {
				m.vars[name] = value
			}
			m.refuse(c.message, "apply", "-auto-approve")
			if c.repair != nil {
				c.repair(m.sim)
			}
			for name := range c.vars {
				delete(m.vars, name)
			}
			m.finish()
		})
	}
}

// An interrupt lets the machine that is being made be finished, and begins no other.
func TestProxmoxInterruptedApply(t *testing.T) {
	t.Parallel()
	m := newModule(t)
	m.start()
	m.sim.SetTrouble(proxmox.Trouble{Hang: "qmcreate"})
	out := &output{}
	cmd := m.command(t.Context(), out, "apply", "-auto-approve", "-parallelism=1")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	m.wait("a machine to be made", func() bool { return m.sim.Tasks()["qmcreate"] == 1 })
	if m.gitlab.locked() == "" {
		t.Error("the state is not locked during an apply")
	}
	// What somebody else sees who tries it now.
	m.refuse("Error acquiring the state lock", "plan")
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	m.wait("the interrupt to be noticed", func() bool { return strings.Contains(out.String(), "Interrupt received") })
	m.sim.SetTrouble(proxmox.Trouble{})
	if err := cmd.Wait(); err == nil {
		t.Errorf("an interrupted apply succeeds:\n%s", end(out.String()))
	}
	if n := len(m.sim.Machines()); n != 1 {
		t.Errorf("after the interrupt there are %d machines, want the one that was being made", n)
	}
	m.finish()
}

// A second interrupt, or a computer that goes down, leaves the state locked and without
// what was done last.
func TestProxmoxKilledApply(t *testing.T) {
	t.Parallel()
	m := newModule(t)
	m.start()
	m.sim.SetTrouble(proxmox.Trouble{Hang: "qmcreate"})
	out := &output{}
	cmd := m.command(t.Context(), out, "apply", "-auto-approve")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	m.wait("the machines to be made", func() bool { return m.sim.Tasks()["qmcreate"] == 3 })
	for _, message := range []string{"Interrupt received", "Two interrupts received"} {
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
		m.wait("an interrupt to be noticed", func() bool { return strings.Contains(out.String(), message) })
	}
	if err := cmd.Wait(); err == nil {
		t.Errorf("an apply that was killed succeeds:\n%s", end(out.String()))
	}
	m.sim.SetTrouble(proxmox.Trouble{})
	if lock := m.gitlab.locked(); lock != "" {
		m.refuse("Error acquiring the state lock", "plan")
		var info struct{ ID string }
		if err := json.Unmarshal([]byte(lock), &info); err != nil {
			t.Fatal(err)
		}
		m.succeed("force-unlock", "-force", info.ID)
	}
	m.finish()
}

// output is what a program that still runs has printed.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

func TestProxmoxRefusals(t *testing.T) {
	t.Parallel()
	m := newModule(t)
	m.start()

	// Machines of others are not taken over, whatever the provider would do.
	m.sim.AddMachine(202, "nas")
	m.refuse("Proxmox has a machine with number 202 already, and it is not called k3s-agent-1.", "apply", "-auto-approve")
	if machines := m.sim.Machines(); len(machines) != 1 || machines[202].Config["name"] != "nas" {
		t.Errorf("machines: %v", machines)
	}
	m.vars["vm_ids"] = "{ server = 301, agent-1 = 302, agent-2 = 303 }"

	// What a person reads who typed something wrong.
	for name, c := range map[string]struct{ value, message string }{
		"proxmox_endpoint": {`"http://pve.lab.example.com:8006/"`, "Write it as https://pve.lab.example.com:8006/"},
		"image_url":        {`"https://cloud-images.ubuntu.com/noble/current/noble-server-cloudimg-amd64.img"`, "What is behind /current/ changes"},
		"image_sha256":     {`"abc"`, "Read it with: curl -fsS <folder of image_url>/SHA256SUMS"},
		"vm_ids":           {"{ server = 201, agent-1 = 201, agent-2 = 203 }", "vm_ids gives two machines the same number."},
		"ssh_public_keys":  {"[]", "without a key nobody could log in"},
	} {
		before, had := m.vars[name]
		m.vars[name] = c.value
		m.refuse(c.message, "plan")
		if m.vars[name] = before; !had {
			delete(m.vars, name)
		}
	}

	env := m.env
	m.env = append(slices.Clone(env), "PROXMOX_VE_API_TOKEN=lumacore@pve!tofu=00000000-0000-4000-8000-00000000000f")
	m.refuse("received an HTTP 401 response", "plan")
	m.env = env

	// A key that the host does not know writes nothing.
	m.vars["ssh_username"] = `"somebody"`
	m.refuse(`unable to authenticate user "somebody" over SSH`, "apply", "-auto-approve")
	if ids, _ := m.sim.Volumes(); slices.ContainsFunc(ids, func(id string) bool { return strings.Contains(id, "snippets") }) {
		t.Errorf("volumes: %v", ids)
	}
	delete(m.vars, "ssh_username")

	m.vars["image_sha256"] = fmt.Sprintf("%q", checksum(newImage))
	m.refuse("checksum mismatch", "apply", "-auto-approve")
	if machines := m.sim.Machines(); len(machines) != 1 {
		t.Errorf("machines were made from an image that is not what it should be: %v", machines)
	}
	m.env = append(slices.Clone(env), "TF_VAR_state_passphrase=another passphrase of the state")
	m.refuse("decryption failed", "plan")
	m.env = env

	// No token goes to a server with the certificate of another, or one that nobody
	// vouches for.
	endpoint := m.vars["proxmox_endpoint"]
	m.vars["proxmox_endpoint"] = strings.Replace(endpoint, "127.0.0.1", "localhost", 1)
	m.refuse("x509: certificate is valid for", "plan")
	m.vars["proxmox_endpoint"] = endpoint
	m.env = append(slices.Clone(env), "SSL_CERT_FILE="+os.DevNull, "SSL_CERT_DIR="+m.dir)
	m.refuse("certificate signed by unknown authority", "init", "-reconfigure", "-backend-config=backend.hcl")
	m.env = env

	// Settings that do not fit together.
	settings := filepath.Join(m.dir, "../../clusters/lumacore/settings.env")
	data, err := os.ReadFile(settings)
	if err != nil {
		t.Fatal(err)
	}
	m.write(settings, strings.Replace(string(data), "AGENT_1_IP=192.168.10.12", "AGENT_1_IP=10.0.0.12", 1))
	m.refuse("The address of agent-1, 10.0.0.12, is not in LAN_CIDR 192.168.10.0/24.", "plan")
	m.write(settings, strings.Replace(string(data), "AGENT_1_IP=192.168.10.12", "AGENT_1_IP=192.168.10.13", 1))
	m.refuse("Two machines have the same address.", "plan")
	m.write(settings, string(data))

	if err := os.Remove(filepath.Join(m.dir, "../k3s/install.sh")); err != nil {
		t.Fatal(err)
	}
	m.refuse("install.sh is missing", "plan")
}

// stateServer keeps a state as GitLab's API does.
type stateServer struct {
	mu   sync.Mutex
	data []byte
	lock string
}

func (s *stateServer) state() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return bytes.Clone(s.data)
}

func (s *stateServer) locked() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lock
}

func (s *stateServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if user, password, _ := r.BasicAuth(); user != "homelab" || password != statePass {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 8<<20))
	if err != nil {
		w.WriteHeader(http.StatusRequestEntityTooLarge)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch r.Method + " " + r.URL.Path {
	case "GET /state":
		if s.data == nil {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		_, _ = w.Write(s.data)
	case "POST /state":
		if id := r.URL.Query().Get("ID"); s.lock == "" || !strings.Contains(s.lock, id) {
			w.WriteHeader(http.StatusConflict)
			return
		}
		s.data = body
	case "POST /state/lock":
		if s.lock != "" {
			w.WriteHeader(http.StatusLocked)
			_, _ = io.WriteString(w, s.lock)
			return
		}
		s.lock = string(body)
	case "DELETE /state/lock":
		s.lock = ""
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}
