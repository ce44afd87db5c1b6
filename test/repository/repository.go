package repository

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"embed"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"text/template"

	"golang.org/x/tools/txtar"
)

// Cluster is the name of the one cluster that a repository has.
const Cluster = "main"

// MaxApps is the largest number of apps.
const MaxApps = 10_000

// Options say what a repository holds.
type Options struct {
	Apps int    // how many, without those that are mistakes
	Seed uint64 // of names, versions and sizes

	// Defects names the sets of mistakes to add; see [Sets].
	Defects []string
	// Plain leaves out what kustomize alone does not do: HelmReleases and the
	// substitution of variables. All apps are kustomizations then, half of them of
	// one folder each, and what `kustomize build` makes of the folders is what Flux
	// would apply.
	Plain bool
	// Network adds four NetworkPolicies to each app, and five assertions to each two, in
	// the place of the few that there are otherwise.
	Network bool
	// Policies is how often each of the six admission policies is there, under names of
	// their own; 0 is 1.
	Policies int
}

// Repository is a Flux repository in memory.
type Repository struct {
	Files   map[string][]byte // by name, relative, with slashes
	Defects []Defect          // sorted by place and rule
}

// Defect is a mistake that was put into a repository.
type Defect struct {
	Gate string `json:"gate"` // "images"
	Rule string `json:"rule"` // "images/no-digest"
	File string `json:"file"`
	Line int    `json:"line"` // 0: the file as a whole
}

func (d Defect) String() string { return fmt.Sprintf("%s:%d %s", d.File, d.Line, d.Rule) }

//go:embed files
var files embed.FS

// app is what the template of an app knows of it.
type app struct {
	Cluster         string
	Substitute      bool
	Name            string
	Kind            string // "web", "database", "files" or "worker"
	Replicas        int
	Workers, Minute int
	Memory, Limit   int // MiB, before and after the overlay's patch
	Storage         int // GiB
	Version, Digest string
	Staging         bool // it is in staging too
}

// base is what the template of the cluster knows.
type base struct {
	Cluster              string
	Substitute, Releases bool
	Apps                 int
	Names                []string // of the Flux Kustomizations in the folder apps
}

// defects is what the template of mistakes knows.
type defects struct {
	Cluster string
}

var (
	words = []string{
		"atlas", "beacon", "cedar", "delta", "ember", "fjord", "garnet", "harbor", "iris", "juniper",
		"kestrel", "lagoon", "maple", "nimbus", "orchid", "pebble", "quartz", "raven", "sable", "tundra",
	}
	kinds = []string{"web", "database", "files", "worker"}
)

// Generate makes a repository. It fails when the number of apps is out of range.
func Generate(o Options) (*Repository, error) {
	if o.Apps < 1 || o.Apps > MaxApps {
		return nil, fmt.Errorf("%d apps: a repository has 1 to %d", o.Apps, MaxApps)
	}
	r := &Repository{Files: map[string][]byte{}}
	random := rand.New(rand.NewPCG(o.Seed, 1))
	var names []string
	for i := range o.Apps {
		a := app{
			Cluster: Cluster, Substitute: !o.Plain, Kind: kinds[i/2%len(kinds)],
			Name:     fmt.Sprintf("%s-%04d", words[random.IntN(len(words))], i),
			Replicas: 1 + random.IntN(3), Workers: 1 + random.IntN(16), Minute: random.IntN(60),
			Memory: 64 + 64*random.IntN(4), Storage: 1 + random.IntN(50),
			Version: fmt.Sprintf("%d.%d.%d", random.IntN(9), random.IntN(30), random.IntN(30)),
			Staging: i%40 == 0, // of kind web
		}
		a.Limit, a.Digest = 2*a.Memory, digest(a.Name+a.Version)
		names = append(names, a.Name)
		kind := "files/app.txtar"
		switch {
		case i%2 == 1 && o.Plain:
			kind = "files/flat.txtar"
		case i%2 == 1:
			kind = "files/release.txtar"
		}
		if err := r.add(kind, a); err != nil {
			return nil, err
		}
	}
	if o.Network {
		names = append(names, r.addNetwork(names))
	}
	for _, set := range o.Defects {
		if !slices.Contains(Sets(), set) {
			return nil, fmt.Errorf("no mistakes %q: there are %s", set, strings.Join(Sets(), ", "))
		}
		more, err := r.addDefects("files/defects/" + set + ".txtar")
		if err != nil {
			return nil, err
		}
		names = append(names, more...)
	}
	slices.Sort(names)
	if err := r.add("files/base.txtar", base{Cluster, !o.Plain, !o.Plain, o.Apps, names}); err != nil {
		return nil, err
	}
	for i := 2; i <= o.Policies; i++ {
		r.addPolicies(i)
	}
	slices.SortFunc(r.Defects, func(a, b Defect) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Rule, b.Rule))
	})
	return r, nil
}

// addNetwork adds policies and assertions for apps, and returns the name of the Flux
// Kustomization of the policies.
func (r *Repository) addNetwork(apps []string) string {
	const name = "network-policies"
	assertions := "---\napiVersion: lumacore.dev/v1alpha1\nkind: NetworkAssertions\nassertions:\n"
	for i, app := range apps {
		ns, next := "app-"+app, "app-"+apps[(i+1)%len(apps)]
		r.file("apps/"+name+"/"+app+".yaml", fmt.Appendf(nil, networkPolicies, ns))
		assertions += fmt.Sprintf("  - name: %[1]s does not reach %[2]s\n    deny: {from: {namespace: %[1]s}, to: {namespace: %[2]s}}\n"+
			"  - name: %[1]s resolves names\n    allow: {from: {namespace: %[1]s}, to: {namespace: kube-system, assume: {k8s-app: kube-dns}}, ports: [UDP/53]}\n", ns, next)
		if i%2 == 0 {
			assertions += fmt.Sprintf("  - name: nobody reaches %[1]s but traefik\n    deny: {from: {namespace: \"*\", not: {namespace: \"{%[1]s,traefik}\"}}, to: {namespace: %[1]s}}\n", ns)
		}
	}
	r.file("network.assert.yaml", []byte(assertions))
	r.file("clusters/"+Cluster+"/apps/"+name+".yaml", fmt.Appendf(nil, `---
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata:
  name: %[1]s
  namespace: flux-system
spec:
  interval: 10m
  path: ./apps/%[1]s
  prune: true
  sourceRef:
    kind: GitRepository
    name: flux-system
`, name))
	return name
}

// networkPolicies are four policies of a namespace.
const networkPolicies = `---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: scrape
  namespace: %[1]s
spec:
  podSelector: {}
  policyTypes: [Ingress]
  ingress:
    - from:
        - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: monitoring}}
          podSelector: {matchLabels: {app.kubernetes.io/name: prometheus}}
      ports:
        - {port: 9090, endPort: 9099}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: names
  namespace: %[1]s
spec:
  podSelector: {}
  policyTypes: [Egress]
  egress:
    - to:
        - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}
          podSelector: {matchLabels: {k8s-app: kube-dns}}
      ports:
        - {port: 53, protocol: UDP}
        - {port: 53, protocol: TCP}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: backup
  namespace: %[1]s
spec:
  podSelector: {matchExpressions: [{key: home.example.org/backup, operator: In, values: [daily, weekly]}]}
  policyTypes: [Egress]
  egress:
    - to:
        - ipBlock: {cidr: 192.168.0.0/16, except: [192.168.1.0/24, 192.168.2.0/24]}
      ports:
        - {port: 445}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: own
  namespace: %[1]s
spec:
  podSelector: {}
  policyTypes: [Ingress, Egress]
  ingress:
    - from:
        - podSelector: {}
      ports:
        - {port: http}
  egress:
    - to:
        - podSelector: {}
`

// addPolicies adds the admission policies and their constraints once more, with a number
// behind their names.
func (r *Repository) addPolicies(number int) {
	const templates, constraints = "infrastructure/policies/templates/", "infrastructure/policies/constraints/"
	var pairs []string
	for _, kind := range policyKinds {
		pairs = append(pairs, kind, fmt.Sprint(kind, number), strings.ToLower(kind), fmt.Sprint(strings.ToLower(kind), number))
	}
	renamed := strings.NewReplacer(pairs...)
	for _, kind := range policyKinds {
		name := strings.ToLower(kind)
		r.Files[templates+fmt.Sprint(name, number)+".yaml"] = []byte(renamed.Replace(string(r.Files[templates+name+".yaml"])))
		r.Files[templates+"kustomization.yaml"] = fmt.Appendf(r.Files[templates+"kustomization.yaml"], "  - %s%d.yaml\n", name, number)
	}
	for _, env := range []string{"prod", "staging"} {
		r.Files[constraints+fmt.Sprint(env, number)+".yaml"] = []byte(renamed.Replace(string(r.Files[constraints+env+".yaml"])))
		r.Files[constraints+"kustomization.yaml"] = fmt.Appendf(r.Files[constraints+"kustomization.yaml"], "  - %s%d.yaml\n", env, number)
	}
}

// policyKinds are the kinds of the admission policies in files/base.txtar.
var policyKinds = []string{"FloatingTag", "ImageDigest", "NoRootUser", "MemoryLimit", "AllowedRegistries", "OwnDomain"}

// Sets lists the sets of mistakes, sorted: one for each gate, and one for what
// would keep a gate from looking at the others, such as folders that do not build.
func Sets() []string {
	names, err := fs.Glob(files, "files/defects/*.txtar")
	if err != nil {
		panic(err) // of the pattern
	}
	for i, n := range names {
		names[i] = strings.TrimSuffix(path.Base(n), ".txtar")
	}
	return names
}

// add adds the files of a template that are not there yet.
func (r *Repository) add(name string, data any) error {
	made, err := execute(name, data)
	if err != nil {
		return err
	}
	for _, f := range made {
		if r.Files[f.Name] == nil {
			r.file(f.Name, f.Data)
		}
	}
	return nil
}

// file adds one file, and takes the marks of mistakes out of it.
func (r *Repository) file(name string, data []byte) {
	lines := strings.Split(string(data), "\n")
	for i, line := range lines {
		m := mark.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		lines[i] = m[1]
		for rule := range strings.SplitSeq(m[2], ", ") {
			d := Defect{Rule: rule, File: name, Line: i + 1}
			if whole, ok := strings.CutSuffix(rule, "@file"); ok {
				d.Rule, d.Line = whole, 0
			}
			d.Gate, _, _ = strings.Cut(rule, "/")
			r.Defects = append(r.Defects, d)
		}
	}
	r.Files[name] = []byte(strings.Join(lines, "\n"))
}

// mark is a comment that says which rules find something on its line, or, with
// @file, in its file as a whole.
var mark = regexp.MustCompile(`^(.*?) *# defect: ([a-z0-9/@-]+(?:, [a-z0-9/@-]+)*)$`)

// addDefects adds the mistakes of a gate and returns the names of their Flux
// Kustomizations. Each folder apps/NAME is one: where the archive leaves them out,
// it gets a Flux Kustomization and a namespace of that name.
func (r *Repository) addDefects(name string) (names []string, err error) {
	made, err := execute(name, defects{Cluster})
	if err != nil {
		return nil, err
	}
	apps := map[string]bool{}
	for _, f := range made {
		r.file(f.Name, f.Data)
		if rest, ok := strings.CutPrefix(f.Name, "apps/"); ok {
			name, _, _ := strings.Cut(rest, "/")
			names, apps[name] = append(names, name), true
		} else if dir, file := path.Split(f.Name); dir == "clusters/"+Cluster+"/apps/" {
			names = append(names, strings.TrimSuffix(file, ".yaml"))
		}
	}
	for name := range apps {
		if err := r.add("files/defect.txtar", app{Cluster: Cluster, Name: name}); err != nil {
			return nil, err
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// execute reads a template and returns the files that it makes.
func execute(name string, data any) ([]txtar.File, error) {
	t := template.New(path.Base(name)).Delims("[[", "]]").Option("missingkey=error").Funcs(template.FuncMap{
		"list":       func(s ...string) []string { return s },
		"lower":      strings.ToLower,
		"trimPrefix": strings.TrimPrefix,
		"word":       func(s string, i int) string { return strings.Fields(s)[i] },
		"image": func(repository, name, tag string) string {
			return fmt.Sprintf("%s/%s:%s@%s", repository, name, tag, digest(repository+"/"+name+":"+tag))
		},
		// token looks like a token of GitHub, and is none.
		"token": func(name string) string {
			return "gh" + "p_" + strings.NewReplacer("0", "Z", "1", "Q", "2", "K").Replace(digest(name)[len("sha256:"):][:36])
		},
		// var is a variable that Flux substitutes, or its value where there is no
		// substitution.
		"var": func(name string, value any) string {
			if a, ok := data.(app); ok && !a.Substitute {
				return fmt.Sprint(value)
			}
			if b, ok := data.(base); ok && !b.Substitute {
				return fmt.Sprint(value)
			}
			return "${" + name + "}"
		},
	})
	t, err := t.ParseFS(files, "files/parts.tmpl", name)
	if err != nil {
		return nil, fmt.Errorf("repository template: %w", err)
	}
	var b bytes.Buffer
	if err := t.Execute(&b, data); err != nil {
		return nil, fmt.Errorf("repository template: %w", err)
	}
	return txtar.Parse(b.Bytes()).Files, nil
}

// digest returns the digest of an image that nobody ever built.
func digest(name string) string { return fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(name))) }

// Folders returns the folders that the Flux Kustomizations of a repository without
// defects apply, sorted: those to run `kustomize build` on.
func (r *Repository) Folders() []string {
	dirs := []string{"clusters/" + Cluster}
	for name := range r.Files {
		dir, ok := strings.CutSuffix(name, "/kustomization.yaml")
		if !ok {
			continue
		}
		switch parts := strings.Split(dir, "/"); {
		case parts[0] == "infrastructure" && len(parts) == 2,
			parts[0] == "apps" && (len(parts) == 2 || parts[2] == "overlays"):
			dirs = append(dirs, dir)
		}
	}
	slices.Sort(dirs)
	return dirs
}

// Write writes the repository into a folder, which must not exist or be empty.
func (r *Repository) Write(dir string) error {
	if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
		return fmt.Errorf("%s is not empty: name a folder that does not exist", dir)
	}
	for name, data := range r.Files {
		full := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(full, data, 0o644); err != nil {
			return err
		}
	}
	return nil
}
