package lab

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lumacore.dev/lumacore/internal/golden"
	"lumacore.dev/lumacore/internal/lab/controlplane"
	"lumacore.dev/lumacore/internal/lab/pki"
	"lumacore.dev/lumacore/internal/lab/programs"
	"lumacore.dev/lumacore/internal/lab/supervisor"
)

// fixed is a lab whose components are the same on every machine.
func fixed() (*Lab, settings) {
	return &Lab{
		Layout: Layout{Dir: "/LAB"}, Self: "/bin/lumacore", Programs: programs.OpenCache("/CACHE", "go1.26.0"),
	}, settings{Format: format, Version: "v1.36.3", Ports: Ports{Base: 20000}, Password: "the-password", ConnectToken: "the-token"}
}

// render writes every process with every flag.
func render(l *Lab, list []supervisor.Component) []byte {
	var b bytes.Buffer
	line := func(key, value string) {
		value = strings.ReplaceAll(value, l.scratch(), "/SCRATCH")
		value = regexp.MustCompile(`/CACHE/programs/([a-z]+)-[0-9a-f]{12}`).ReplaceAllString(value, "/CACHE/programs/$1")
		fmt.Fprintf(&b, "  %s %s\n", key, value)
	}
	for _, c := range list {
		fmt.Fprintf(&b, "%s\n", c.Name)
		if len(c.Needs) > 0 {
			line("needs", strings.Join(c.Needs, " "))
		}
		if c.Task != nil {
			line("task", "")
			continue
		}
		line("run", c.Path)
		for _, a := range c.Args {
			line("arg", a)
		}
		for _, e := range c.Env {
			line("env", e)
		}
		if c.Grace != 0 {
			line("grace", c.Grace.String())
		}
		if c.Ready == nil {
			line("probe", "none")
		}
	}
	return bytes.ReplaceAll(b.Bytes(), []byte(" \n"), []byte("\n"))
}

func TestComponents(t *testing.T) {
	l, s := fixed()
	golden.Check(t, "components", render(l, l.components(s)))
}

// The supervisor takes them: names, needs, no circle.
func TestComponentsAreValid(t *testing.T) {
	l, s := fixed()
	if _, err := supervisor.New(supervisor.Dir(t.TempDir()), l.components(s), nil); err != nil {
		t.Error(err)
	}
}

var (
	address = regexp.MustCompile(`[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+|\[[0-9a-fA-F:]*\]`)
	bare    = regexp.MustCompile(`(^|[=/ ]):[0-9]+`) // :8080 is every interface
)

// Nothing listens on, or talks to, another address than loopback. The numbers
// that remain are facts of the simulated cluster.
func TestLoopbackOnly(t *testing.T) {
	l, s := fixed()
	simulated := []string{"--cluster-cidr=" + podCIDR, "--service-cluster-ip-range=" + controlplane.ServiceCIDR, "--cidr=" + podCIDR, "--node-ip=10.0.0.1"}
	// A flag that is a port alone binds to the address in another flag.
	host := map[string]string{"--secure-port": "--bind-address=127.0.0.1", "--port": "--host=127.0.0.1"}
	// Ports that one program takes and others are told.
	ports := map[string]string{}
	for _, c := range l.components(s) {
		for _, v := range slices.Concat(c.Args, c.Env) {
			if !slices.Contains(simulated, v) {
				for _, a := range address.FindAllString(v, -1) {
					if ip, err := netip.ParseAddr(a); err != nil || !ip.IsLoopback() {
						t.Errorf("%s: %s has address %s", c.Name, v, a)
					}
				}
			}
			if bare.MatchString(v) {
				t.Errorf("%s: %s has a port without an address", c.Name, v)
			}
			flag, value, _ := strings.Cut(v, "=")
			n, err := strconv.Atoi(value)
			if err != nil || n < s.Ports.Base || n >= s.Ports.Base+len(portNames) {
				continue
			}
			if want := host[flag]; want == "" || !slices.Contains(c.Args, want) {
				t.Errorf("%s: %s is a port, and nothing says that it binds to 127.0.0.1", c.Name, v)
			}
			if other := ports[value]; other != "" {
				t.Errorf("%s and %s both take port %s", c.Name, other, value)
			}
			ports[value] = c.Name
		}
	}
	if len(ports) < 4 {
		t.Errorf("only %d ports were seen: does this test still look at the right flags?", len(ports))
	}
}

// Arguments are visible to every user of the machine, and so may be the
// environment: secrets go through files that only the owner can read.
func TestNoSecretInArguments(t *testing.T) {
	l, s := fixed()
	word := regexp.MustCompile(`(?i)(password|token|secret|bearer|credential|key)s?=`)
	for _, c := range l.components(s) {
		for _, v := range slices.Concat([]string{c.Path}, c.Args, c.Env) {
			if strings.Contains(v, s.Password) || strings.Contains(v, gitUser+":") {
				t.Errorf("%s: %s has the Git server's credential", c.Name, v)
			}
			// 1Password's operator takes it from nowhere else. It opens made-up values.
			if c.Name == "onepassword-operator" && v == "OP_CONNECT_TOKEN="+s.ConnectToken {
				continue
			}
			if word.MatchString(v) {
				t.Errorf("%s: %s looks like a secret", c.Name, v)
			}
		}
	}
}

// Every file with a certificate, key or kubeconfig that a component is told is
// one that prepare makes.
func TestComponentFiles(t *testing.T) {
	l, _ := newLab(t)
	l.Dir = filepath.Join(l.Dir, "made")
	s := settings{Format: format, Ports: Ports{Base: 20000}, Password: "the-password", ConnectToken: "the-token"}
	t.Cleanup(func() { _ = l.removeScratch() })
	if err := os.MkdirAll(l.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := l.prepare(s); err != nil {
		t.Fatal(err)
	}
	path := regexp.MustCompile(regexp.QuoteMeta(l.Dir) + `/[^ =]+`)
	seen := 0
	for _, c := range l.components(s) {
		for _, v := range slices.Concat(c.Args, c.Env) {
			for _, p := range path.FindAllString(v, -1) {
				if strings.HasPrefix(p, l.path("data")) || strings.HasPrefix(p, l.path("tmp")) || p == l.path("kwok.yaml") {
					continue // made by the program, or by the task cluster-setup
				}
				seen++
				if _, err := os.Stat(p); err != nil {
					t.Errorf("%s: %s: %v", c.Name, v, err)
				}
			}
		}
	}
	if seen < 20 {
		t.Errorf("only %d files were seen: does this test still look at the right flags?", seen)
	}
	// Nothing in the lab's folder can be read by others.
	if err := filepath.WalkDir(l.Dir, func(p string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		fi, err := d.Info()
		if err == nil && fi.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", p, fi.Mode().Perm())
		}
		return err
	}); err != nil {
		t.Error(err)
	}
	// It is safe to repeat, and changes no key.
	before, err := os.ReadFile(l.Kubeconfig())
	if err != nil {
		t.Fatal(err)
	}
	if err := l.prepare(s); err != nil {
		t.Fatal(err)
	}
	if after, err := os.ReadFile(l.Kubeconfig()); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the second prepare changed the kubeconfig (%v)", err)
	}
}

// RBAC holds for the controllers as in a real cluster: each has the identity of
// its ServiceAccount and none is an administrator.
func TestCerts(t *testing.T) {
	var admins, names []string
	byName := map[string]pki.Cert{}
	for _, c := range certs() {
		if _, twice := byName[c.Name]; twice {
			t.Errorf("certificate %s is declared twice", c.Name)
		}
		byName[c.Name] = c
		names = append(names, c.Name)
		if slices.Contains(c.Groups, "system:masters") {
			admins = append(admins, c.Name)
		}
		if !c.Server && !c.Client {
			t.Errorf("certificate %s is good for nothing", c.Name)
		}
	}
	if diff := cmp.Diff([]string{"admin", "supervisor"}, admins); diff != "" {
		t.Errorf("administrators (-want +got):\n%s", diff)
	}
	want := pki.Cert{
		Name: "helm-controller", User: "system:serviceaccount:flux-system:helm-controller",
		Groups: []string{"system:serviceaccounts", "system:serviceaccounts:flux-system"}, Client: true,
	}
	if diff := cmp.Diff(want, byName["helm-controller"]); diff != "" {
		t.Errorf("helm-controller (-want +got):\n%s", diff)
	}
	for _, k := range kubeconfigs() {
		if !slices.Contains(names, k) || !byName[k].Client {
			t.Errorf("kubeconfig %s has no client certificate", k)
		}
	}
}

func TestModeAndVersion(t *testing.T) {
	for name, want := range map[string][2]string{
		"kwok": {"simulated", programs.Version("kwok")}, "etcd": {"real", programs.Version("etcd")},
		"git": {"real", "v9"}, "supervisor": {"real", "v9"},
	} {
		if got := [2]string{mode(name), version(name, "v9")}; got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
}
