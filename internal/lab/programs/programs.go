// Package programs compiles the programs that the lab runs, and gathers the
// manifests that come with them, into the user's cache.
//
// The programs are pinned, with checksums, by lab/go.mod; beacon's source is in
// examples/beacon; custom resource definitions of systems that the lab does not
// run come from the modules pinned in lab/crds/go.mod. Copies of those files are
// embedded in lumacore (sources.txtar, made by go generate), so that an installed
// binary needs no checkout.
//
// A set of programs lives in a folder whose name is a hash of everything that
// goes into it: module files, sources, Go version, platform, flags. A program
// appears there by a rename once it is whole; what an interrupted build has
// compiled stays in Go's own build cache, and the next build goes on from it.
package programs

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"

	"golang.org/x/tools/txtar"

	"lumacore.dev/lumacore/internal/report"
)

//go:generate go run ./gen

//go:embed sources.txtar
var sources []byte

// set is a Go module and what is built from it.
type set struct {
	module   string // folder in sources.txtar
	name     string // of the set, where a module has several; "" is the module's
	goos     string // platform of the programs; "" is this machine's
	ldflags  func() string
	edit     *edit
	packages []Program
}

func (s set) key() string {
	if s.name != "" {
		return s.name
	}
	return s.module
}

// edit is a change to one file of a module that a program needs in order to run as a
// plain process.
type edit struct{ module, file, old, new string }

// Program is one program of the lab.
type Program struct {
	Name string // its file name, and the component's name
	pkg  string // package to build
	exe  string // name that go build gives it
}

// kubernetesVersion is what the control plane says of itself. It must be set at
// link time, as the Kubernetes build does: without it the API server reports
// v0.0.0, and charts with a kubeVersion refuse it. TestKubernetesVersion holds
// it against lab/go.mod.
const kubernetesVersion = "v1.36.3"

// The order is the order of need: go build gives the packages of the first ones
// precedence, and the lab starts each program as soon as it is there.
var sets = []set{
	{module: "lab", ldflags: labFlags, packages: []Program{
		{"etcd", "go.etcd.io/etcd/server/v3", "server"},
		{"kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver", "kube-apiserver"},
		{"registry", "github.com/distribution/distribution/v3/cmd/registry", "registry"},
		{"kube-controller-manager", "k8s.io/kubernetes/cmd/kube-controller-manager", "kube-controller-manager"},
		{"kube-scheduler", "k8s.io/kubernetes/cmd/kube-scheduler", "kube-scheduler"},
		{"kwok", "sigs.k8s.io/kwok/cmd/kwok", "kwok"},
		{"source-controller", "github.com/fluxcd/source-controller", "source-controller"},
		{"kustomize-controller", "github.com/fluxcd/kustomize-controller", "kustomize-controller"},
		{"gatekeeper", "github.com/open-policy-agent/gatekeeper/v3", "gatekeeper"},
		{"helm-controller", "github.com/fluxcd/helm-controller", "helm-controller"},
		{"notification-controller", "github.com/fluxcd/notification-controller", "notification-controller"},
		{"image-reflector-controller", "github.com/fluxcd/image-reflector-controller", "image-reflector-controller"},
		{"image-automation-controller", "github.com/fluxcd/image-automation-controller", "image-automation-controller"},
	}},
	// An image for Linux nodes, whatever this machine is.
	{module: "beacon", goos: "linux", ldflags: func() string { return beaconFlags(BeaconVersion) }, packages: []Program{
		{"beacon", "lumacore.dev/beacon", "beacon"},
	}},
	// The operator does not start where this file is not, although it wants the
	// namespace only for a Connect that it would manage itself.
	{module: "lab", name: "operator", ldflags: func() string { return "-s -w" }, edit: &edit{
		module: "github.com/1Password/onepassword-operator", file: "pkg/utils/k8sutil.go",
		old: `"/var/run/secrets/kubernetes.io/serviceaccount/namespace"`, new: `os.Getenv("NAMESPACE_FILE")`,
	}, packages: []Program{
		{"onepassword-operator", "github.com/1Password/onepassword-operator/cmd", "cmd"},
	}},
}

// manifest is a group of files of a module that the lab needs at run time.
type manifest struct {
	group  string // folder in the cache
	module string // Go module that has them
	globs  []string
	tree   string // or a folder with all that is below
	bare   bool   // without descriptions, which cost the API server more than all the rest
	chart  bool   // they are templates of a Helm chart: what it would insert is left out
}

// The first go.mod that names a module decides its version: lab's programs bring
// their own definitions, lab/crds pins those of systems that run elsewhere.
var manifests = map[string][]manifest{
	"lab": {
		{group: "crds", module: "github.com/fluxcd/source-controller", globs: []string{"config/crd/bases/*.yaml"}},
		{group: "crds", module: "github.com/fluxcd/kustomize-controller", globs: []string{"config/crd/bases/*.yaml"}},
		{group: "crds", module: "github.com/fluxcd/helm-controller", globs: []string{"config/crd/bases/*.yaml"}},
		{group: "crds", module: "github.com/fluxcd/notification-controller", globs: []string{"config/crd/bases/*.yaml"}},
		{group: "crds", module: "github.com/fluxcd/image-reflector-controller", globs: []string{"config/crd/bases/*.yaml"}},
		{group: "crds", module: "github.com/fluxcd/image-automation-controller", globs: []string{"config/crd/bases/*.yaml"}},
		{group: "crds", module: "github.com/open-policy-agent/gatekeeper/v3", globs: []string{"charts/gatekeeper/crds/*.yaml"}},
		{group: "crds", module: "github.com/1Password/onepassword-operator", globs: []string{"config/crd/bases/*.yaml"}},
		{group: "charts", module: "github.com/open-policy-agent/gatekeeper/v3", tree: "charts/gatekeeper"},
		{group: "stages", module: "sigs.k8s.io/kwok", globs: []string{
			"kustomize/stage/node/fast/node-initialize.yaml",
			"kustomize/stage/node/heartbeat/node-heartbeat.yaml",
			"kustomize/stage/pod/fast/pod-*.yaml",
			"kustomize/stage/volume/fast/p*.yaml",
		}},
	},
	"crds": {
		{group: "crds", module: "github.com/traefik/traefik/v3", globs: []string{"docs/content/reference/dynamic-configuration/kubernetes-crd-definition-v1.yml"}, bare: true},
		{group: "crds", module: "github.com/prometheus-operator/prometheus-operator", globs: []string{"example/prometheus-operator-crd/*.yaml"}, bare: true},
		{group: "crds", module: "github.com/longhorn/longhorn-manager", globs: []string{"k8s/crds.yaml"}, bare: true, chart: true},
		// AGPL: its definitions are read from the module where the lab runs. Nothing of
		// it is in this repository or in the binary.
		{group: "crds", module: "github.com/controlplaneio-fluxcd/flux-operator", globs: []string{"config/crd/bases/*.yaml"}, bare: true},
		{group: "crds", module: "github.com/rancher/system-upgrade-controller", globs: []string{"pkg/crds/yaml/generated/*.yaml"}, bare: true},
		{group: "crds", module: "github.com/cert-manager/cert-manager", globs: []string{"deploy/crds/*.yaml"}, bare: true},
	},
}

// Charts returns the names of the charts that are gathered: folders of the group
// "charts".
func Charts() []string {
	var names []string
	for _, ms := range manifests {
		for _, m := range ms {
			if m.group == "charts" {
				names = append(names, path.Base(m.tree))
			}
		}
	}
	slices.Sort(names)
	return names
}

// BeaconVersion is the version of beacon's image that a new lab has; it is the
// one that the blueprint's overlays start from.
const BeaconVersion = "1.0.0"

// Flags of the builds. No -trimpath: lumacore itself is built and tested without
// it, and both share what they compile only if the flags agree.
func labFlags() string {
	parts := strings.SplitN(strings.TrimPrefix(kubernetesVersion, "v"), ".", 3)
	const v = "-X k8s.io/component-base/version."
	return "-s -w " + v + "gitVersion=" + kubernetesVersion + " " + v + "gitMajor=" + parts[0] + " " + v + "gitMinor=" + parts[1]
}

func beaconFlags(version string) string { return "-s -w -X main.version=" + version }

// Cache is the folder of everything that was built, by default below the user's
// cache directory.
type Cache struct {
	root    string
	keys    map[string]string // set -> folder of its programs
	sources map[string]string // module -> folder of its sources

	definitions sync.Once
	defined     map[[2]string]definition // by group and kind
}

// DefaultCache returns $LUMACORE_CACHE or the lumacore folder of the user's
// cache directory.
func DefaultCache() (string, error) {
	if dir := os.Getenv("LUMACORE_CACHE"); dir != "" {
		return filepath.Abs(dir)
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", report.Misuse("set LUMACORE_CACHE or HOME", "no folder for what is built and downloaded: %v", err)
	}
	return filepath.Join(dir, "lumacore"), nil
}

// OpenCache returns the cache at root. goVersion is part of every key.
func OpenCache(root, goVersion string) *Cache {
	c := &Cache{root: root, keys: map[string]string{}, sources: map[string]string{}}
	ar := txtar.Parse(sources)
	hash := func(module string, more ...string) string {
		h := sha256.New()
		for _, f := range ar.Files {
			if strings.HasPrefix(f.Name, module+"/") {
				fmt.Fprintf(h, "%s %d\n%s", f.Name, len(f.Data), f.Data)
			}
		}
		fmt.Fprintln(h, more)
		return hex.EncodeToString(h.Sum(nil))[:12]
	}
	for _, module := range []string{"lab", "crds", "beacon"} {
		c.sources[module] = module + "-" + hash(module)
	}
	for _, s := range sets {
		goos := s.goos
		if goos == "" {
			goos = runtime.GOOS
		}
		parts := []string{goVersion, goos, runtime.GOARCH, s.ldflags()}
		if s.edit != nil {
			parts = append(parts, fmt.Sprint(*s.edit))
		}
		c.keys[s.key()] = s.key() + "-" + hash(s.module, parts...)
	}
	var globs bytes.Buffer
	fmt.Fprint(&globs, manifests)
	c.keys["manifests"] = "manifests-" + hash("lab", hash("crds"), globs.String())
	return c
}

// Path returns where a program is, or will be once it is built.
func (c *Cache) Path(name string) string {
	for _, s := range sets {
		for _, p := range s.packages {
			if p.Name == name {
				return filepath.Join(c.root, "programs", c.keys[s.key()], name)
			}
		}
	}
	panic("programs: unknown program " + name)
}

// Manifests returns the folder of a group of manifests ("crds", "stages").
func (c *Cache) Manifests(group string) string {
	return filepath.Join(c.root, "programs", c.keys["manifests"], group)
}

// Missing returns the programs that are not built yet, in the order of need: of all, or
// of those that are named.
func (c *Cache) Missing(of ...string) []string {
	var missing []string
	for _, s := range sets {
		for _, p := range c.missing(s, of) {
			missing = append(missing, p.Name)
		}
	}
	return missing
}

func (c *Cache) missing(s set, of []string) []Program {
	var missing []Program
	for _, p := range s.packages {
		if len(of) > 0 && !slices.Contains(of, p.Name) {
			continue
		}
		if _, err := os.Stat(c.Path(p.Name)); err != nil {
			missing = append(missing, p)
		}
	}
	return missing
}

// Complete reports whether nothing has to be built or gathered.
func (c *Cache) Complete() bool { return c.Gathered() && len(c.Missing()) == 0 }

// Gathered reports whether the manifests are there.
func (c *Cache) Gathered() bool {
	_, err := os.Stat(filepath.Join(c.root, "programs", c.keys["manifests"]))
	return err == nil
}

// Names returns the names of all programs, in the order of need.
func Names() []string {
	var names []string
	for _, s := range sets {
		for _, p := range s.packages {
			names = append(names, p.Name)
		}
	}
	return names
}

// Own is the version of this lumacore binary, for what it serves itself.
func Own() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}
