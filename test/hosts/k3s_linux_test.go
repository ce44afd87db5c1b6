package hosts

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	kubelet "k8s.io/component-helpers/node/util/sysctl"
	"sigs.k8s.io/yaml"
)

const k3sFolder = "../../blueprint/hosts/k3s"

// machine is a root folder that looks like a fresh Ubuntu server: its programs are those of
// the machine that the tests run on, but systemd, apt and whatever would change the kernel
// are stand-ins (folder fake), and /etc, /var, /run and /usr/local are its own.
type machine struct {
	t       *testing.T
	root    string
	env     []string
	network bool // reaches the loopback addresses of the tests
}

const ubuntu = `PRETTY_NAME="Ubuntu 26.04 LTS"
NAME="Ubuntu"
VERSION_ID="26.04"
ID=ubuntu
`

// newMachine has the folder hosts/k3s at /opt/lumacore/k3s, whose k3s comes from a server
// of the test, and the facts of a server or an agent.
func newMachine(t *testing.T, role string) *machine {
	t.Helper()
	if os.Geteuid() != 0 && os.Getenv("CI") != "" {
		t.Fatal("CI runs as root: the script needs a root folder of its own")
	} else if os.Geteuid() != 0 {
		t.Skip("not run: a root folder for the script needs root (mount namespaces and chroot)")
	}
	for _, program := range []string{"unshare", "chroot", "curl", "flock", "lsblk", "wipefs"} {
		if _, err := exec.LookPath(program); err != nil {
			if os.Getenv("CI") != "" {
				t.Fatalf("%s is not installed", program)
			}
			t.Skipf("not run: %s is not installed", program)
		}
	}
	m := &machine{t: t, root: t.TempDir(), network: true}
	for _, dir := range []string{"usr", "dev", "proc", "sys", "run/lock", "tmp", "root", "local/bin", "var/log", "var/lib", "etc/alternatives", "opt/lumacore"} {
		if err := os.MkdirAll(filepath.Join(m.root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, link := range []string{"bin", "sbin", "lib", "lib64"} {
		target, err := os.Readlink("/" + link)
		if err != nil {
			continue // not on this architecture
		}
		if err := os.Symlink(target, filepath.Join(m.root, link)); err != nil {
			t.Fatal(err)
		}
	}
	fakes, err := filepath.Glob("fake/*.sh")
	if err != nil || len(fakes) < 8 {
		t.Fatalf("%d stand-ins: %v", len(fakes), err)
	}
	for _, fake := range fakes {
		if name := strings.TrimSuffix(filepath.Base(fake), ".sh"); name != "k3s" {
			m.write("local/bin/"+name, read(t, fake), 0o755)
		}
	}
	m.write("etc/os-release", ubuntu, 0o644)
	m.write("etc/fstab", "LABEL=cloudimg-rootfs / ext4 defaults 0 1\n", 0o644)
	m.write("etc/test-addresses", "192.168.10.11/24 fe80::1/64\n", 0o644)
	if err := os.CopyFS(filepath.Join(m.root, "opt/lumacore/k3s"), os.DirFS(k3sFolder)); err != nil {
		t.Fatal(err)
	}

	releases := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if want := "/v1.36.3+k3s1/" + asset(); r.URL.Path != want {
			t.Errorf("asked for %s, want %s", r.URL.Path, want)
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write([]byte(read(t, "fake/k3s.sh")))
	}))
	t.Cleanup(releases.Close)
	m.trust(releases)
	sum := fmt.Sprintf("%x", sha256.Sum256([]byte(read(t, "fake/k3s.sh"))))
	m.edit("versions.env", `(?m)^(K3S_SHA256_\w+)=.*$`, "$1="+sum)
	m.edit("versions.env", `(?m)^K3S_RELEASES=.*$`, "K3S_RELEASES="+releases.URL)

	facts := "K3S_ROLE=server\nK3S_SERVER_IP=192.168.10.11\nK3S_NODE_NAME=k3s-server\nK3S_NODE_IP=192.168.10.11\nK3S_POD_CIDR=10.42.0.0/16\nK3S_SERVICE_CIDR=10.43.0.0/16\nK3S_LONGHORN_DISK=\n"
	if role == "agent" {
		facts = "K3S_ROLE=agent\nK3S_SERVER_IP=" + m.server() + "\nK3S_NODE_NAME=k3s-agent-1\nK3S_NODE_IP=192.168.10.11\n"
		m.write("etc/rancher/k3s/token", strings.Repeat("a", 64)+"\n", 0o600)
	}
	m.write("opt/lumacore/k3s/node.env", facts, 0o600)
	return m
}

func asset() string {
	if runtime.GOARCH == "arm64" {
		return "k3s-arm64"
	}
	return "k3s"
}

// server answers as k3s does on its port, at an address of loopback that nobody else has.
func (m *machine) server() string {
	m.t.Helper()
	address := fmt.Sprintf("127.%d.%d.7", 64+os.Getpid()%128, time.Now().UnixNano()/1000%200)
	l, err := net.Listen("tcp", address+":6443")
	if err != nil {
		m.t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/ping" {
			_, _ = w.Write([]byte("pong"))
		}
	}))
	s.Listener = l
	s.StartTLS()
	m.t.Cleanup(s.Close)
	return address
}

// trust makes the machine trust the server's certificate, as it would a public one.
func (m *machine) trust(s *httptest.Server) {
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	m.write("etc/ca.pem", string(ca), 0o644)
	m.env = append(m.env, "CURL_CA_BUNDLE=/etc/ca.pem")
}

func (m *machine) write(name, content string, mode os.FileMode) {
	m.t.Helper()
	file := filepath.Join(m.root, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		m.t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(content), mode); err != nil {
		m.t.Fatal(err)
	}
	if err := os.Chmod(file, mode); err != nil {
		m.t.Fatal(err)
	}
}

// edit replaces in one file of hosts/k3s.
func (m *machine) edit(name, pattern, replacement string) {
	m.t.Helper()
	name = "opt/lumacore/k3s/" + name
	was := m.read(name)
	is := regexp.MustCompile(pattern).ReplaceAllString(was, replacement)
	if was == is {
		m.t.Fatalf("%s has nothing like %s", name, pattern)
	}
	m.write(name, is, 0o644)
}

func (m *machine) read(name string) string {
	m.t.Helper()
	return read(m.t, filepath.Join(m.root, name))
}

// log is what a stand-in has written down, and forgets it.
func (m *machine) log(name string) string {
	m.t.Helper()
	file := filepath.Join(m.root, "var/log", name)
	b, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return ""
	}
	if err != nil {
		m.t.Fatal(err)
	}
	if err := os.Remove(file); err != nil {
		m.t.Fatal(err)
	}
	return string(b)
}

func (m *machine) exists(name string) bool {
	_, err := os.Lstat(filepath.Join(m.root, name))
	return err == nil
}

func (m *machine) mode(name string) string {
	m.t.Helper()
	info, err := os.Lstat(filepath.Join(m.root, name))
	if err != nil {
		m.t.Fatal(err)
	}
	return fmt.Sprintf("%04o", info.Mode().Perm())
}

type outcome struct {
	code           int
	stdout, stderr string
}

// run calls a script of hosts/k3s on the machine. Its mounts end with it.
func (m *machine) run(script, stdin string, args ...string) outcome {
	m.t.Helper()
	return m.command(stdin, "bash /opt/lumacore/k3s/"+script, args...)
}

func (m *machine) command(stdin, command string, args ...string) outcome {
	m.t.Helper()
	const enter = `set -e
root=$1; shift; command=$1; shift
mount --make-rprivate /
mount --rbind /usr "$root/usr"
mount --bind "$root/local" "$root/usr/local"
mount --bind /etc/alternatives "$root/etc/alternatives"
mount --rbind /dev "$root/dev"
mount -t proc proc "$root/proc"
mount --rbind /sys "$root/sys"
exec chroot "$root" /bin/bash -c "$command \"\$@\"" bash "$@"`
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	ns := []string{"--mount", "--pid", "--fork", "--kill-child"}
	if !m.network {
		ns = append(ns, "--net")
	}
	cmd := exec.CommandContext(ctx, "unshare", append(append(ns, "bash", "-c", enter, "bash", m.root, command), args...)...)
	cmd.Env = append([]string{"HOME=/root", "PATH=" + os.Getenv("PATH")}, m.env...)
	cmd.Stdin = strings.NewReader(stdin)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		m.t.Fatal(err)
	}
	return outcome{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

func (m *machine) ok(o outcome) string {
	m.t.Helper()
	if o.code != 0 {
		m.t.Fatalf("exit %d\n%s%s", o.code, o.stdout, o.stderr)
	}
	return o.stdout
}

// refused wants exit 1 and each of the messages.
func (m *machine) refused(o outcome, messages ...string) {
	m.t.Helper()
	if o.code != 1 {
		m.t.Errorf("exit %d, want 1\n%s", o.code, o.stdout)
	}
	for _, message := range messages {
		if !strings.Contains(o.stderr, message) {
			m.t.Errorf("stderr does not say %q:\n%s", message, o.stderr)
		}
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestK3sServer(t *testing.T) {
	t.Parallel()
	m := newMachine(t, "server")
	out := m.ok(m.run("install.sh", ""))
	for _, want := range []string{
		"installing curl iproute2 open-iscsi nfs-common\n", "downloading k3s v1.36.3+k3s1\n", "installed /usr/local/bin/k3s\n",
		"made /etc/rancher/k3s/token /etc/rancher/k3s/agent-token: keep both in 1Password", "starting k3s\n",
		"node k3s-server (server) is Ready: k3s v1.36.3+k3s1\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("it does not say %q:\n%s", want, out)
		}
	}
	started := m.log("k3s")
	if !strings.HasPrefix(started, "started: server\n") || strings.Count(started, "started:") != 1 {
		t.Errorf("started otherwise:\n%s", started)
	}
	var config map[string]any
	if err := yaml.UnmarshalStrict([]byte(strings.TrimPrefix(strings.ReplaceAll(started, "\n---\n", "\n"), "started: server\n")), &config); err != nil {
		t.Fatalf("the files together have a key twice: %v", err)
	}
	for key, want := range map[string]any{
		"cluster-init": true, "token-file": "/etc/rancher/k3s/token", "agent-token-file": "/etc/rancher/k3s/agent-token",
		"protect-kernel-defaults": true, "secrets-encryption": true, "node-name": "k3s-server", "node-ip": "192.168.10.11",
		"cluster-cidr": "10.42.0.0/16", "service-cidr": "10.43.0.0/16",
	} {
		if config[key] != want {
			t.Errorf("%s is %v, want %v", key, config[key], want)
		}
	}
	modes := map[string]string{}
	for _, name := range []string{
		"etc/rancher/k3s/config.yaml", "etc/rancher/k3s/config.yaml.d/20-node.yaml", "etc/rancher/k3s/token", "etc/rancher/k3s/agent-token",
		"var/lib/rancher/k3s/server", "var/lib/rancher/k3s/server/logs", "var/lib/rancher/k3s/server/audit.yaml",
		"var/lib/rancher/k3s/server/admission.yaml", "local/bin/k3s", "etc/systemd/system/k3s.service",
	} {
		modes[name] = m.mode(name)
	}
	if diff := cmp.Diff(map[string]string{
		"etc/rancher/k3s/config.yaml": "0600", "etc/rancher/k3s/config.yaml.d/20-node.yaml": "0600",
		"etc/rancher/k3s/token": "0600", "etc/rancher/k3s/agent-token": "0600",
		"var/lib/rancher/k3s/server": "0700", "var/lib/rancher/k3s/server/logs": "0700",
		"var/lib/rancher/k3s/server/audit.yaml": "0600", "var/lib/rancher/k3s/server/admission.yaml": "0600",
		"local/bin/k3s": "0755", "etc/systemd/system/k3s.service": "0644",
	}, modes); diff != "" {
		t.Errorf("modes (-want +got):\n%s", diff)
	}
	tokens := m.read("etc/rancher/k3s/token") + m.read("etc/rancher/k3s/agent-token")
	if !regexp.MustCompile(`^[0-9a-f]{128}$`).MatchString(tokens) || tokens[:64] == tokens[64:] {
		t.Error("the tokens are not two of 64 digits")
	}
	if got := m.log("sysctl"); got != "--quiet --load=/etc/sysctl.d/90-k3s.conf\n" {
		t.Errorf("sysctl was called with %q", got)
	}
	if got := m.log("modprobe"); got != "br_netfilter\noverlay\niscsi_tcp\n" {
		t.Errorf("modules: %q", got)
	}
	if got := m.log("kubectl"); !strings.Contains(got, "--kubeconfig /etc/rancher/k3s/k3s.yaml") || !strings.Contains(got, "get node k3s-server") {
		t.Errorf("whether it is Ready was asked by %q", got)
	}
	m.log("systemctl")

	// Again: nothing to do.
	if out := m.ok(m.run("install.sh", "")); out != "node k3s-server (server) is Ready: k3s v1.36.3+k3s1\n" {
		t.Errorf("the second run said:\n%s", out)
	}
	if got := m.log("k3s"); got != "" {
		t.Errorf("the second run started k3s:\n%s", got)
	}
	if again := m.read("etc/rancher/k3s/token") + m.read("etc/rancher/k3s/agent-token"); again != tokens {
		t.Error("the second run changed the tokens")
	}

	// A change of the configuration, and a restart that fails: the next run makes up for it.
	m.edit("kubelet.yaml", "pod-max-pids=4096", "pod-max-pids=8192")
	m.write("run/refuse-start", "", 0o644)
	if o := m.run("install.sh", ""); o.code == 0 || !strings.Contains(o.stdout, "restarting k3s; pods go on\n") {
		t.Errorf("exit %d\n%s%s", o.code, o.stdout, o.stderr)
	}
	_ = os.Remove(filepath.Join(m.root, "run/refuse-start"))
	if out := m.ok(m.run("install.sh", "")); strings.Contains(out, "wrote") || !strings.Contains(out, "restarting k3s; pods go on\n") {
		t.Errorf("after a restart that failed:\n%s", out)
	}
	if got := m.log("k3s"); strings.Count(got, "started:") != 1 || !strings.Contains(got, "pod-max-pids=8192") {
		t.Errorf("started otherwise:\n%s", got)
	}
	if out := m.ok(m.run("install.sh", "")); strings.Contains(out, "restarting") {
		t.Errorf("restarted once more:\n%s", out)
	}

	// An upgrade by the Plans is not turned back.
	m.edit("versions.env", `v1\.36\.3\+k3s1\n`, "v1.36.2+k3s1\n")
	if out := m.ok(m.run("install.sh", "")); !strings.Contains(out, "k3s v1.36.3+k3s1 stays (versions.env: v1.36.2+k3s1)") {
		t.Errorf("another version:\n%s", out)
	}
	m.edit("versions.env", `v1\.36\.2\+k3s1\n`, "v1.36.3+k3s1\n")
	m.write("local/bin/k3s", m.read("local/bin/k3s")+"# changed\n", 0o755)
	m.refused(m.run("install.sh", ""), "/usr/local/bin/k3s says that it is v1.36.3+k3s1, but its checksum is", "somebody changed the program or the file")
}

func TestK3sAgent(t *testing.T) {
	t.Parallel()
	m := newMachine(t, "agent")
	m.write("run/active-multipathd", "", 0o644)
	m.write("opt/lumacore/k3s/"+asset(), read(t, "fake/k3s.sh"), 0o644)
	m.network = true
	out := m.ok(m.run("install.sh", ""))
	if !strings.Contains(out, "taking k3s v1.36.3+k3s1 from /opt/lumacore/k3s/"+asset()+"\n") || !strings.HasSuffix(out, "node k3s-agent-1 (agent) is Ready: k3s v1.36.3+k3s1\n") {
		t.Errorf("it says:\n%s", out)
	}
	started := m.log("k3s")
	if !strings.HasPrefix(started, "started: agent\n") || !strings.Contains(started, "\nserver: https://127.") || strings.Contains(started, "cluster-init") {
		t.Errorf("started otherwise:\n%s", started)
	}
	if m.exists("var/lib/rancher/k3s/server") || m.exists("etc/rancher/k3s/agent-token") {
		t.Error("an agent has files of a server")
	}
	if got := m.log("kubectl"); !strings.Contains(got, "--kubeconfig /var/lib/rancher/k3s/agent/kubelet.kubeconfig") {
		t.Errorf("whether it is Ready was asked by %q", got)
	}
	if got := m.log("systemctl"); strings.Count(got, "restart multipathd") != 1 {
		t.Errorf("multipathd was not restarted once:\n%s", got)
	}
	m.ok(m.run("install.sh", ""))
	if got := m.log("systemctl"); strings.Contains(got, "restart") {
		t.Errorf("the second run restarted something:\n%s", got)
	}

	m.edit("node.env", "K3S_ROLE=agent", "K3S_ROLE=server")
	m.refused(m.run("install.sh", ""), "this machine is a k3s agent already; run uninstall.sh before it becomes a server")
}

// Each of these machines is refused before anything is written.
func TestK3sRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		role     string
		make     func(*machine)
		messages []string
	}{
		"wrong OS": {"server", func(m *machine) {
			m.write("etc/os-release", "PRETTY_NAME=\"Fedora Linux 43\"\nID=fedora\nVERSION_ID=43\n", 0o644)
		}, []string{"this is Fedora Linux 43; want Ubuntu 24.04 or later, or Debian 12 or later", "nothing was changed"}},
		"old Ubuntu": {"server", func(m *machine) {
			m.write("etc/os-release", strings.ReplaceAll(ubuntu, "26.04", "22.04"), 0o644)
		}, []string{"this is Ubuntu 22.04 LTS; want"}},
		"no os-release": {"server", func(m *machine) {
			_ = os.Remove(filepath.Join(m.root, "etc/os-release"))
		}, []string{"this is an unknown system; want"}},
		"firewall": {"server", func(m *machine) {
			m.write("run/ufw-active", "", 0o644)
		}, []string{"ufw is active and would cut the nodes off"}},
		"several mistakes at once": {"server", func(m *machine) {
			m.write("opt/lumacore/k3s/node.env", "K3S_ROLE=worker\nK3S_SERVER_IP=192.168.10.300\nK3S_NODE_NAME=K3S_1\nK3S_NODE_IP=192.168.10.99\nPATH=/tmp\nnonsense\n", 0o600)
		}, []string{
			`K3S_ROLE is "worker", want server or agent`, `K3S_SERVER_IP is "192.168.10.300", want an IPv4 address`,
			`K3S_NODE_NAME is "K3S_1", want lower-case letters`, "K3S_NODE_IP is 192.168.10.99, which this machine does not have; it has 192.168.10.11/24 \n",
			"/opt/lumacore/k3s/node.env:5: PATH=/tmp: want NAME=value with one of", "node.env:6: nonsense: want",
		}},
		"no node.env": {"server", func(m *machine) {
			_ = os.Remove(filepath.Join(m.root, "opt/lumacore/k3s/node.env"))
		}, []string{"error: /opt/lumacore/k3s/node.env is not there: cp /opt/lumacore/k3s/node.env.example /opt/lumacore/k3s/node.env, and fill it in\nerror: nothing was changed"}},
		"address that is part of one it has": {"server", func(m *machine) {
			m.edit("node.env", `192\.168\.10\.11\b`, "192.168.10.1")
		}, []string{"K3S_NODE_IP is 192.168.10.1, which this machine does not have"}},
		"server elsewhere": {"server", func(m *machine) {
			m.edit("node.env", "K3S_SERVER_IP=.*", "K3S_SERVER_IP=192.168.10.12")
		}, []string{"this is the server, so K3S_NODE_IP (192.168.10.11) and K3S_SERVER_IP (192.168.10.12) are the same"}},
		"pod network": {"server", func(m *machine) {
			m.edit("node.env", "K3S_POD_CIDR=.*", "K3S_POD_CIDR=10.42.0.0")
		}, []string{`K3S_POD_CIDR is "10.42.0.0", want a network such as 10.42.0.0/16`}},
		"half of the folder": {"server", func(m *machine) {
			_ = os.Remove(filepath.Join(m.root, "opt/lumacore/k3s/audit.yaml"))
		}, []string{"/opt/lumacore/k3s/audit.yaml is not there; copy the whole folder hosts/k3s"}},
		"checksum missing": {"server", func(m *machine) {
			m.edit("versions.env", `(?m)^(K3S_SHA256_\w+)=.*$`, "$1=")
		}, []string{`the checksum for amd64 is "", want 64 hexadecimal digits`}},
		"releases over http": {"server", func(m *machine) {
			m.edit("versions.env", `(?m)^K3S_RELEASES=.*$`, "K3S_RELEASES=http://example.com")
		}, []string{`K3S_RELEASES is "http://example.com", want an https address`}},
		"no token": {"agent", func(m *machine) {
			_ = os.Remove(filepath.Join(m.root, "etc/rancher/k3s/token"))
		}, []string{"/etc/rancher/k3s/token is not there: put into it what the server has in /etc/rancher/k3s/agent-token"}},
		"token that all may read": {"agent", func(m *machine) {
			m.write("etc/rancher/k3s/token", strings.Repeat("a", 64), 0o644)
		}, []string{"/etc/rancher/k3s/token has mode 644: others can read it; chmod 600"}},
		"short token": {"agent", func(m *machine) {
			m.write("etc/rancher/k3s/token", "secret\n", 0o600)
		}, []string{"/etc/rancher/k3s/token has fewer than 32 characters; make one with: openssl rand -hex 32"}},
		"agent on the server": {"agent", func(m *machine) {
			m.edit("node.env", "K3S_SERVER_IP=.*", "K3S_SERVER_IP=192.168.10.11")
		}, []string{"K3S_NODE_IP and K3S_SERVER_IP are both 192.168.10.11, but this is an agent"}},
		"k3s of something else": {"server", func(m *machine) {
			m.write("local/bin/k3s", read(m.t, "fake/k3s.sh"), 0o755)
		}, []string{"k3s was installed here by something else; remove it first"}},
		"disk that is not there": {"server", func(m *machine) {
			m.edit("node.env", "K3S_LONGHORN_DISK=", "K3S_LONGHORN_DISK=/dev/disk/by-id/virtio-nowhere")
		}, []string{"/dev/disk/by-id/virtio-nowhere (K3S_LONGHORN_DISK) is no disk of this machine"}},
		"disk that is a path": {"server", func(m *machine) {
			m.edit("node.env", "K3S_LONGHORN_DISK=", "K3S_LONGHORN_DISK=../vdb")
		}, []string{`K3S_LONGHORN_DISK is "../vdb", want a name below /dev`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t, c.role)
			c.make(m)
			before := m.tree()
			o := m.run("install.sh", "")
			m.refused(o, c.messages...)
			if o.stdout != "" {
				t.Errorf("it did something:\n%s", o.stdout)
			}
			for _, log := range []string{"systemctl", "apt-get", "sysctl", "modprobe"} {
				if got := m.log(log); got != "" {
					t.Errorf("%s was called: %s", log, got)
				}
			}
			if diff := cmp.Diff(before, m.tree()); diff != "" {
				t.Errorf("files changed (-before +after):\n%s", diff)
			}
		})
	}
}

// tree lists what the machine has of its own.
func (m *machine) tree() []string {
	m.t.Helper()
	var list []string
	for _, dir := range []string{"etc", "var/lib", "local", "opt", "run"} {
		err := filepath.WalkDir(filepath.Join(m.root, dir), func(path string, _ os.DirEntry, err error) error {
			list = append(list, strings.TrimPrefix(path, m.root))
			return err
		})
		if err != nil {
			m.t.Fatal(err)
		}
	}
	return list
}

// What goes wrong on the way leaves no program that is not the release's, and the next run
// goes on.
func TestK3sInterrupted(t *testing.T) {
	t.Parallel()
	m := newMachine(t, "server")

	m.write("run/no-packages", "", 0o644)
	m.refused(m.run("install.sh", ""), "E: Could not connect to archive.ubuntu.com", "apt-get did not install curl iproute2 open-iscsi nfs-common")
	_ = os.Remove(filepath.Join(m.root, "run/no-packages"))

	m.network = false
	m.refused(m.run("install.sh", ""), "curl: (7)", "k3s cannot be downloaded from https://127.0.0.1", "put it beside this script as "+asset())
	m.network = true

	right := m.read("opt/lumacore/k3s/versions.env")
	m.edit("versions.env", `(?m)^(K3S_SHA256_\w+)=.*$`, "$1="+strings.Repeat("0", 64))
	m.refused(m.run("install.sh", ""), "the checksum of k3s v1.36.3+k3s1 is", "but versions.env has "+strings.Repeat("0", 64)+"; nothing was installed")
	m.write("opt/lumacore/k3s/versions.env", right, 0o644)
	if left, _ := filepath.Glob(filepath.Join(m.root, "local/bin/*k3s*")); len(left) != 0 || m.exists("etc/rancher/k3s/config.yaml") || m.exists("etc/systemd") {
		t.Errorf("a download that was refused left something: %v", left)
	}

	// Killed between the program and its configuration: ours all the same.
	m.ok(m.run("install.sh", ""))
	for _, name := range []string{"etc/rancher/k3s/config.yaml", "etc/rancher/k3s/config.yaml.d", "etc/systemd", "run/active-k3s", "etc/rancher/k3s/k3s.yaml"} {
		if err := os.RemoveAll(filepath.Join(m.root, name)); err != nil {
			t.Fatal(err)
		}
	}
	m.ok(m.run("install.sh", ""))
	if out := m.ok(m.run("uninstall.sh", "", "--yes")); !strings.Contains(out, "k3s is off") {
		t.Errorf("it says:\n%s", out)
	}
	m.log("k3s")

	// Started, and never Ready.
	m.write("run/never-ready", "", 0o644)
	m.env = append(m.env, "K3S_INSTALL_PATIENCE=3")
	o := m.run("install.sh", "")
	m.refused(o, "the end of the log of --unit k3s", "node k3s-server is not Ready after 3 s", "Node password rejected")
	if !strings.Contains(o.stdout, "waiting for node k3s-server to be Ready (0 s)\n") {
		t.Errorf("it does not say what it waits for:\n%s", o.stdout)
	}
	_ = os.Remove(filepath.Join(m.root, "run/never-ready"))
	m.write("etc/rancher/k3s/k3s.yaml", "", 0o600)
	m.ok(m.run("install.sh", ""))
	if got := m.log("k3s"); strings.Count(got, "started:") != 1 {
		t.Errorf("a k3s that runs was started again:\n%s", got)
	}

	agent := newMachine(t, "agent")
	agent.env = append(agent.env, "K3S_INSTALL_PATIENCE=3")
	agent.edit("node.env", "K3S_SERVER_IP=.*", "K3S_SERVER_IP=127.0.0.9")
	agent.refused(agent.run("install.sh", ""), "nothing that is k3s answers at https://127.0.0.9:6443", "install the server first")
}

func TestK3sArguments(t *testing.T) {
	t.Parallel()
	m := newMachine(t, "server")
	m.refused(m.run("install.sh", "", "--force"), "unknown argument: --force", "node.env")
	m.refused(m.run("uninstall.sh", "", "--force"), "unknown argument: --force", "there is only --yes")
	for _, script := range []string{"install.sh", "uninstall.sh"} {
		m.refused(m.command("", "setpriv --reuid=65534 --clear-groups bash /opt/lumacore/k3s/"+script),
			"this changes the system: run it as root", "sudo bash /opt/lumacore/k3s/"+script)
	}
	// Two at once.
	m.refused(m.command("", "flock /run/lock/lumacore-k3s-install bash /opt/lumacore/k3s/install.sh"), "another install.sh is at work on this machine")
}

func TestK3sUninstall(t *testing.T) {
	t.Parallel()
	m := newMachine(t, "server")
	if out := m.ok(m.run("uninstall.sh", "")); out != "k3s was not installed here by install.sh; nothing to do\n" {
		t.Errorf("nothing was there, and it says:\n%s", out)
	}
	before := m.tree()
	m.ok(m.run("install.sh", ""))
	token := m.read("etc/rancher/k3s/token")
	installed := m.tree()
	m.refused(m.run("uninstall.sh", "k3s-agent\n"), "that is not k3s-server; nothing was changed")
	m.refused(m.run("uninstall.sh", ""), "that is not k3s-server; nothing was changed")
	if diff := cmp.Diff(installed, m.tree()); diff != "" {
		t.Errorf("it was not to do anything (-before +after):\n%s", diff)
	}
	m.log("systemctl")
	if out := m.ok(m.run("uninstall.sh", "k3s-server\n")); !strings.Contains(out, "k3s is off k3s-server. What is left: /etc/rancher/k3s (tokens)") {
		t.Errorf("it says:\n%s", out)
	}
	if got := m.log("systemctl"); got != "disable --quiet --now k3s\ndaemon-reload\n" {
		t.Errorf("systemctl was called: %q", got)
	}
	if got := m.log("iptables-restore"); strings.Contains(got, "KUBE-") || strings.Contains(got, "CNI-") || strings.Count(got, "mine-") != 3000 {
		t.Errorf("the rules that stay are %d, with k3s's among them: %v", strings.Count(got, "\n"), strings.Contains(got, "KUBE-"))
	}
	want := append([]string{
		"/etc/modules-load.d", "/etc/modules-load.d/k3s.conf", "/etc/rancher", "/etc/rancher/k3s", "/etc/rancher/k3s/agent-token", "/etc/rancher/k3s/token",
		"/etc/sysctl.d", "/etc/sysctl.d/90-k3s.conf", "/etc/systemd", "/etc/systemd/system", "/run/lock/lumacore-k3s-install", "/var/lib/rancher",
	}, before...)
	if diff := cmp.Diff(sorted(want), sorted(m.tree())); diff != "" {
		t.Errorf("what is left (-want +got):\n%s", diff)
	}
	if out := m.ok(m.run("uninstall.sh", "")); !strings.Contains(out, "nothing to do") {
		t.Errorf("the second run says:\n%s", out)
	}
	m.ok(m.run("install.sh", ""))
	if m.read("etc/rancher/k3s/token") != token {
		t.Error("the token changed: snapshots of the old cluster could not be restored")
	}

	// A process of a pod that goes on without k3s is ended.
	out := m.ok(m.command("", `sleep 600 & echo $! >/run/shims; bash /opt/lumacore/k3s/uninstall.sh --yes && wait $!; echo "the pod's process ended with $?"`))
	if !strings.HasSuffix(out, "the pod's process ended with 137\n") {
		t.Errorf("it says:\n%s", out)
	}
}

// TestK3sDisk formats a disk of a machine for Longhorn; the disk is a loop device.
func TestK3sDisk(t *testing.T) {
	m := newMachine(t, "server")
	image := filepath.Join(t.TempDir(), "disk")
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(image, 64<<20); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("losetup", "--find", "--show", image).CombinedOutput()
	if err != nil {
		t.Skipf("not run: this machine gives no loop devices: %s", out)
	}
	disk := strings.TrimSpace(string(out))
	t.Cleanup(func() { _ = exec.Command("losetup", "--detach", disk).Run() })
	m.edit("node.env", "K3S_LONGHORN_DISK=.*", "K3S_LONGHORN_DISK="+disk)

	// Whatever is on it is kept.
	table := filepath.Join(t.TempDir(), "table")
	mbr := make([]byte, 512)
	copy(mbr[446:], []byte{0, 0, 2, 0, 0x83, 0, 0, 0, 0, 8, 0, 0, 0, 64, 0, 0}) // one partition, Linux
	copy(mbr[510:], []byte{0x55, 0xaa})
	if err := os.WriteFile(table, mbr, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, fill := range map[string][]string{
		"a file system":                         {"mkfs.ext4", "-q", "-F", "-L", "photos", disk},
		"a file system with quotes in its name": {"mkfs.ext4", "-q", "-F", "-L", "it's \"mine\"", disk},
		"a partition table":                     {"dd", "if=" + table, "of=" + disk, "status=none"},
	} {
		if out, err := exec.Command("wipefs", "-qa", disk).CombinedOutput(); err != nil {
			t.Fatal(string(out))
		}
		if out, err := exec.Command(fill[0], fill[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %s", name, out)
		}
		before := read(t, image)
		m.refused(m.run("install.sh", ""), disk+" (K3S_LONGHORN_DISK) is not empty", "if nothing on it is needed: wipefs --all "+disk)
		if read(t, image) != before {
			t.Errorf("%s was written to", name)
		}
	}
	if out, err := exec.Command("wipefs", "-qa", disk).CombinedOutput(); err != nil {
		t.Fatal(string(out))
	}
	// install.sh forbids to write where the disk is not mounted.
	t.Cleanup(func() {
		_ = exec.Command("chattr", "-i", filepath.Join(m.root, "var/lib/longhorn")).Run()
	})
	said := m.ok(m.run("install.sh", ""))
	if !strings.Contains(said, "formatting "+disk+"\n") {
		t.Errorf("it says:\n%s", said)
	}
	if got := m.read("etc/fstab"); !regexp.MustCompile(`\ALABEL=cloudimg-rootfs / ext4 defaults 0 1\nUUID=[-0-9a-f]{36} /var/lib/longhorn ext4 defaults,noatime,nofail,x-systemd.device-timeout=30s 0 2\n\z`).MatchString(got) {
		t.Errorf("fstab: %q", got)
	}
	said = m.ok(m.run("install.sh", ""))
	if strings.Contains(said, "formatting") || strings.Contains(said, "fstab") {
		t.Errorf("the second run says:\n%s", said)
	}

	// Without its disk the folder takes nothing; it says how to change that.
	m.edit("node.env", "K3S_LONGHORN_DISK=.*", "K3S_LONGHORN_DISK=")
	m.refused(m.run("install.sh", ""), "/var/lib/longhorn is kept for a disk that is not mounted", "chattr -i /var/lib/longhorn")

	// Another disk than the one that is mounted, and data on the system's disk.
	m.edit("node.env", "K3S_LONGHORN_DISK=", "K3S_LONGHORN_DISK="+disk)
	m.refused(m.command("", "mount -t tmpfs other /var/lib/longhorn && bash /opt/lumacore/k3s/install.sh"),
		"/var/lib/longhorn is on other, and K3S_LONGHORN_DISK is "+disk+"; let Longhorn move")
	if out, err := exec.Command("chattr", "-i", filepath.Join(m.root, "var/lib/longhorn")).CombinedOutput(); err != nil {
		t.Fatal(string(out))
	}
	m.write("var/lib/longhorn/longhorn-disk.cfg", "{}", 0o600)
	m.refused(m.run("install.sh", ""), "/var/lib/longhorn has data on the system's disk, which "+disk+" would hide")
}

// The first k3s of a node and the one that the upgrades keep it at are one version.
func TestK3sVersion(t *testing.T) {
	version := regexp.MustCompile(`(?m)^K3S_VERSION=(.*)$`).FindStringSubmatch(read(t, k3sFolder+"/versions.env"))
	if version == nil {
		t.Fatal("versions.env has no K3S_VERSION")
	}
	plans, err := filepath.Glob("../../blueprint/infrastructure/configs/system-upgrade/*.plan.yaml")
	if err != nil || len(plans) != 2 {
		t.Fatalf("plans: %v, %v", plans, err)
	}
	for _, plan := range plans {
		if !strings.Contains(read(t, plan), "\n  version: "+version[1]+"\n") {
			t.Errorf("%s does not upgrade to %s, which versions.env installs", plan, version[1])
		}
	}
}

// The kubelet refuses to start when these are others (protect-kernel-defaults).
func TestK3sSysctl(t *testing.T) {
	text := read(t, k3sFolder+"/90-k3s.conf")
	for name, want := range map[string]int{
		kubelet.VMOvercommitMemory: kubelet.VMOvercommitMemoryAlways,
		kubelet.VMPanicOnOOM:       kubelet.VMPanicOnOOMInvokeOOMKiller,
		kubelet.KernelPanic:        kubelet.KernelPanicRebootTimeout,
		kubelet.KernelPanicOnOops:  kubelet.KernelPanicOnOopsAlways,
		kubelet.RootMaxKeys:        kubelet.RootMaxKeysSetting,
		kubelet.RootMaxBytes:       kubelet.RootMaxBytesSetting,
	} {
		line := fmt.Sprintf("%s=%d", strings.ReplaceAll(name, "/", "."), want)
		if !strings.Contains(text, "\n"+line+"\n") {
			t.Errorf("90-k3s.conf has no line %s", line)
		}
	}
}

func sorted(list []string) []string {
	list = slices.Clone(list)
	slices.Sort(list)
	return list
}
