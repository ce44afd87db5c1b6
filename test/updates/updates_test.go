package updates

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"sort"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"lumacore.dev/lumacore/internal/golden"
)

// A dependency is what Renovate finds in a file.
type dependency struct {
	manager, file, pkg, datasource, depType string
	// Why Renovate cannot look for updates of it; empty if it can.
	leftOut string
	// Only from a report or from renovate.json5's own expressions.
	value, digest string
}

func (d dependency) String() string {
	out := fmt.Sprintf("%s %s %s", d.manager, d.file, cmp.Or(d.pkg, "-")) // "-": a variable, no name
	for _, m := range []struct{ name, value string }{{"datasource", d.datasource}, {"type", d.depType}, {"left-out", d.leftOut}} {
		if m.value != "" {
			out += " " + m.name + "=" + m.value
		}
	}
	return out
}

// extracted is what Renovate itself found when it was run last, as kept in testdata.
func extracted(t *testing.T) []dependency {
	t.Helper()
	data, err := os.ReadFile("testdata/extracted.golden")
	if err != nil {
		t.Fatal(err)
	}
	var out []dependency
	for line := range strings.Lines(string(data)) {
		words := strings.Fields(line)
		if len(words) < 3 {
			t.Fatalf("testdata/extracted.golden: %q", line)
		}
		d := dependency{manager: words[0], file: words[1], pkg: words[2]}
		for _, w := range words[3:] {
			name, value, _ := strings.Cut(w, "=")
			switch name {
			case "datasource":
				d.datasource = value
			case "type":
				d.depType = value
			case "left-out":
				d.leftOut = value
			default:
				t.Fatalf("testdata/extracted.golden: %q", line)
			}
		}
		out = append(out, d)
	}
	return out
}

// byExpression is what the custom managers' expressions find, with Go's engine, which is RE2
// as Renovate's is.
func byExpression(t *testing.T, c config) []dependency {
	t.Helper()
	var out []dependency
	err := fs.WalkDir(shipped(), ".", func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || matches(t, c.IgnorePaths, file) {
			return err
		}
		data, err := fs.ReadFile(shipped(), file)
		if err != nil {
			return err
		}
		for _, m := range c.CustomManagers {
			if !matches(t, m.ManagerFilePatterns, file) {
				continue
			}
			for _, expression := range m.MatchStrings {
				re, err := regexp.Compile(expression)
				if err != nil {
					t.Fatalf("not RE2: %v", err)
				}
				for _, groups := range re.FindAllStringSubmatch(string(data), -1) {
					group := func(name string) string {
						if i := re.SubexpIndex(name); i >= 0 {
							return groups[i]
						}
						return ""
					}
					found := dependency{
						manager: "custom.regex", file: file, pkg: group("depName"),
						datasource: group("datasource"), value: group("currentValue"), digest: group("currentDigest"),
					}
					if found.datasource == "" {
						found.datasource = m.DatasourceTemplate
					}
					out = append(out, found)
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestMarkers: each "# renovate:" is read once, and says all that an update needs.
func TestMarkers(t *testing.T) {
	c := parse(t)
	found := map[string]int{}
	for _, d := range byExpression(t, c) {
		if d.pkg == "" || d.datasource == "" || d.value == "" {
			t.Errorf("%s: the expressions find %+v, which is not enough for an update", d.file, d)
		}
		found[d.file]++
	}
	marked := markers(t, shipped())
	if len(marked) < 5 {
		t.Fatalf("%d markers: the scan is broken", len(marked))
	}
	// A marker's own line and the next one or two, alone: what is found in them is its.
	for _, m := range marked {
		data, err := fs.ReadFile(shipped(), m.file)
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.SplitAfter(string(data), "\n")
		here := strings.Join(lines[m.line-1:min(m.line+2, len(lines))], "")
		n, digest := 0, ""
		for _, manager := range c.CustomManagers {
			if !matches(t, manager.ManagerFilePatterns, m.file) {
				continue
			}
			for _, expression := range manager.MatchStrings {
				re := regexp.MustCompile(expression)
				for _, groups := range re.FindAllStringSubmatch(here, -1) {
					n++
					digest = groups[re.SubexpIndex("currentDigest")]
				}
			}
		}
		if n != 1 {
			t.Errorf("%s:%d: the marker is read %d times, not once:\n%s", m.file, m.line, n, here)
		}
		if pinned := regexp.MustCompile(`sha256:[0-9a-f]{64}|commit: [0-9a-f]{40}`).MatchString(here); pinned && digest == "" {
			t.Errorf("%s:%d: the digest beside it would stay the old one", m.file, m.line)
		}
	}
}

// exceptions are versions that Renovate does not move, each with the reason.
var exceptions = []struct{ file, name, reason string }{
	{"overlays/prod/**", "*", "production is promoted from staging"},
	{"policies/templates/**", "*", "samples of policies, images that nobody runs"},
	{"images-without-digest.yaml", "*", "a list about versions that stand elsewhere; lumacore check says when it is out of date"},
	{"overlays/staging/beacon/kustomization.yaml", "beacon", "own image: Flux image automation"},
	{"infrastructure/optional/exporter/kustomization.yaml", "lumacore", "own image, which the owner builds from a release of LumaCore"},
	{"hosts/proxmox/versions.tf", "terraform", "a range of OpenTofu, which a person widens"},
	{"lumacore.yaml", "kubeVersion", "the minor version of k3s, which a person raises"},
}

// TestEveryVersionIsMoved: each version that the scan finds is found by Renovate too, once,
// and no rule switches it off; or it stands among the exceptions, all of which are needed.
func TestEveryVersionIsMoved(t *testing.T) {
	c := parse(t)
	pins := scan(t, shipped())
	if len(pins) < 60 {
		t.Fatalf("%d versions: the scan is broken", len(pins))
	}
	dependencies := extracted(t)
	used := make([]bool, len(exceptions))
	claimed := map[string]int{}
	for _, p := range pins {
		var by []string
		for _, d := range dependencies {
			// Two actions of one repository are one dependency, and are moved as one.
			if d.file != p.file || path.Base(d.pkg) != p.name || d.leftOut != "" || slices.Contains(by, d.String()) {
				continue
			}
			if c.decide(t, update{d, "patch"}).way() != "never" {
				by = append(by, d.String())
				claimed[d.String()]++
			}
		}
		excepted := false
		for i, e := range exceptions {
			if matches(t, []string{e.file}, p.file) && matches(t, []string{e.name}, p.name) {
				used[i], excepted = true, true
			}
		}
		switch {
		case excepted && len(by) > 0:
			t.Errorf("%s: %s %s is an exception, and Renovate moves it: %q", p.file, p.name, p.value, by)
		case !excepted && len(by) == 0:
			t.Errorf("%s: nothing moves %s %s", p.file, p.name, p.value)
		case len(by) > 1:
			t.Errorf("%s: %s %s is moved twice: %q", p.file, p.name, p.value, by)
		}
	}
	for i, e := range exceptions {
		if !used[i] {
			t.Errorf("no version needs the exception %s %s (%s)", e.file, e.name, e.reason)
		}
	}
	for _, d := range dependencies {
		if d.leftOut != "" || c.decide(t, update{d, "patch"}).way() == "never" {
			continue
		}
		if claimed[d.String()] != 1 {
			t.Errorf("Renovate moves something that the scan does not know, or twice (%d): %s", claimed[d.String()], d)
		}
	}
}

// TestExpressionsAndRenovateAgree: Go's engine finds with the custom expressions what
// Renovate found with them.
func TestExpressionsAndRenovateAgree(t *testing.T) {
	var want, got []string
	for _, d := range extracted(t) {
		if d.manager == "custom.regex" {
			want = append(want, d.String())
		}
	}
	for _, d := range byExpression(t, parse(t)) {
		got = append(got, d.String())
	}
	sort.Strings(want)
	sort.Strings(got)
	if !slices.Equal(want, got) {
		t.Errorf("Renovate finds\n%s\nand the expressions in Go\n%s", strings.Join(want, "\n"), strings.Join(got, "\n"))
	}
}

// TestWays: which update goes which way.
func TestWays(t *testing.T) {
	const (
		nightly   = "* 0-5 * * *"
		mondays   = "* 0-5 * * 1"
		quarterly = "* 0-5 1-7 1,4,7,10 *"
	)
	tests := []struct {
		file, name string
		kinds      string
		want       string
	}{
		{"overlays/staging/freshrss/kustomization.yaml", "freshrss", "patch digest", "automerge, 3 days, " + nightly + ", patch staging"},
		{"overlays/staging/freshrss/kustomization.yaml", "freshrss", "minor", "merge request, 7 days, " + nightly + ", minor staging"},
		{"overlays/staging/freshrss/kustomization.yaml", "freshrss", "major", "after a tick, 7 days, " + nightly + ", major staging"},
		{"overlays/staging/freshrss/kustomization.yaml", "postgres", "patch digest", "automerge, 3 days, " + nightly + ", patch staging"},
		{"overlays/staging/freshrss/kustomization.yaml", "postgres", "major", "after a tick, 7 days, " + nightly + ", major staging"},
		{"overlays/staging/librechat/kustomization.yaml", "mongo", "patch", "automerge, 3 days, " + nightly + ", patch staging"},
		{"overlays/staging/librechat/kustomization.yaml", "mongo", "minor", "after a tick, 7 days, " + nightly + ", minor staging"},
		{"overlays/staging/librechat/kustomization.yaml", "meilisearch", "minor", "after a tick, 7 days, " + nightly + ", minor staging"},
		// ghcr.io does not say when: a person looks.
		{"overlays/staging/librechat/kustomization.yaml", "librechat", "patch", "merge request, 3 days if known, " + nightly + ", patch staging"},
		{"overlays/staging/librechat/kustomization.yaml", "librechat", "minor", "merge request, 7 days if known, " + nightly + ", minor staging"},
		{"overlays/staging/beacon/kustomization.yaml", "undefined", "patch minor major digest", "never"},
		{"infrastructure/controllers/traefik/helmrelease.yaml", "traefik", "patch", "merge request, 7 days, " + mondays + ", patch prod"},
		{"infrastructure/controllers/longhorn/helmrelease.yaml", "longhorn", "minor", "merge request, 7 days, " + mondays + ", minor prod"},
		{"infrastructure/controllers/longhorn/helmrelease.yaml", "longhorn", "major", "after a tick, 7 days, " + mondays + ", major prod"},
		{"infrastructure/services/loki/ocirepository.yaml", "loki", "patch", "merge request, 7 days if known, " + mondays + ", patch prod"},
		{"infrastructure/services/kube-prometheus-stack/ocirepository.yaml", "kube-prometheus-stack", "major", "after a tick, 7 days if known, group Prometheus operator, " + mondays + ", major prod"},
		{"infrastructure/controllers/prometheus-operator-crds/ocirepository.yaml", "prometheus-operator-crds", "major", "after a tick, 7 days if known, group Prometheus operator, " + mondays + ", major prod"},
		{"infrastructure/services/cloudflared/kustomization.yaml", "cloudflared", "patch digest", "merge request, 7 days, " + mondays + ", patch prod"},
		{"infrastructure/controllers/system-upgrade-controller/kustomization.yaml", "system-upgrade-controller", "minor", "merge request, 7 days, group system-upgrade-controller, " + mondays + ", minor prod"},
		{"infrastructure/optional/falco/values.yaml", "falco-rules", "patch", "merge request, 7 days if known, group Falco, " + mondays + ", patch prod"},
		{"infrastructure/optional/falco/values.yaml", "falcosidekick", "minor", "merge request, 7 days, group Falco, " + mondays + ", minor prod"},
		{"clusters/lumacore/flux-system/fluxinstance.yaml", "flux2", "minor", "merge request, 7 days, " + mondays + ", minor prod"},
		{"hosts/gitlab/compose.yaml", "gitlab-ee", "patch minor", "merge request, 7 days, group GitLab, " + mondays + ", KIND prod"},
		{"infrastructure/services/gitlab-runner/gitlab-runner.helmrelease.yaml", "gitlab-runner", "patch minor", "merge request, 7 days, group GitLab, " + mondays + ", KIND prod"},
		{"hosts/proxmox/versions.tf", "proxmox", "minor", "merge request, 7 days, " + mondays + ", minor prod"},
		{"hosts/proxmox/versions.tf", "terraform", "minor major", "never"},
		{".pre-commit-config.yaml", "v8", "patch minor", "merge request, 7 days, group pipeline tools, " + mondays + ", KIND"},
		{".pre-commit-config.yaml", "markdownlint-cli2", "major", "after a tick, 7 days, group pipeline tools, " + mondays + ", major"},
		{".github/workflows/docs.yaml", "checkout", "patch", "merge request, 7 days, group pipeline tools, " + mondays + ", patch"},
		{".github/workflows/docs.yaml", "ubuntu", "major", "never"},
		{"hosts/k3s/versions.env", "k3s", "patch", "merge request, 7 days, group k3s, " + quarterly + ", patch prod"},
		{"infrastructure/configs/system-upgrade/k3s-server.plan.yaml", "k3s", "patch", "merge request, 7 days, group k3s, " + quarterly + ", patch prod"},
		{"infrastructure/configs/system-upgrade/k3s-agent.plan.yaml", "k3s", "patch", "merge request, 7 days, group k3s, " + quarterly + ", patch prod"},
	}
	c := parse(t)
	dependencies := extracted(t)
	for _, test := range tests {
		for _, kind := range strings.Fields(test.kinds) {
			i := slices.IndexFunc(dependencies, func(d dependency) bool {
				return d.file == test.file && path.Base(d.pkg) == test.name && (d.leftOut == "" || strings.HasSuffix(test.want, "never")) && d.datasource != "git-refs"
			})
			if i < 0 {
				t.Errorf("Renovate finds no %s in %s", test.name, test.file)
				continue
			}
			want := strings.ReplaceAll(test.want, "KIND", kind)
			if got := c.decide(t, update{dependencies[i], kind}).way(); got != want {
				t.Errorf("%s of %s in %s: %q, want %q", kind, test.name, test.file, got, want)
			}
		}
	}
	// Whatever somebody adds: production's own files and what is there only once.
	for _, manager := range c.EnabledManagers {
		for _, file := range []string{"infrastructure/services/new/kustomization.yaml", "clusters/lumacore/new.yaml", "hosts/new/compose.yaml"} {
			for _, kind := range []string{"patch", "minor", "major", "digest", "pinDigest"} {
				if got := c.decide(t, update{dependency{manager: manager, file: file, pkg: "docker.io/example/new", datasource: "docker"}, kind}); is(got.Automerge) {
					t.Errorf("%s of a new image in %s would be merged by itself", kind, file)
				}
			}
		}
	}
	for _, file := range []string{"overlays/prod/freshrss/kustomization.yaml", "overlays/prod/new/deployment-patch.yaml"} {
		if !matches(t, c.IgnorePaths, file) {
			t.Errorf("%s is not ignored", file)
		}
	}
	for _, d := range dependencies {
		if matches(t, c.IgnorePaths, d.file) {
			t.Errorf("Renovate read an ignored file: %s", d)
		}
	}
}

// TestK3s: one merge request for all three files, of the minor version that is there, and it
// says what else has to change.
func TestK3s(t *testing.T) {
	c := parse(t)
	n := 0
	for _, d := range byExpression(t, c) {
		if d.pkg != "k3s-io/k3s" {
			continue
		}
		n++
		s := c.decide(t, update{d, "patch"})
		allowed := regexp.MustCompile(strings.Trim(strings.NewReplacer("{{major}}", "1", "{{minor}}", "36").Replace(s.AllowedVersions), "/"))
		if !allowed.MatchString("v1.36.9+k3s1") || allowed.MatchString("v1.37.0+k3s1") || allowed.MatchString("v1.360.0+k3s1") {
			t.Errorf("%s: allowedVersions is %s", d.file, s.AllowedVersions)
		}
		if notes := strings.Join(s.PRBodyNotes, "\n"); !strings.Contains(notes, "K3S_SHA256_AMD64") || !strings.Contains(notes, "K3S_SHA256_ARM64") {
			t.Errorf("%s: the merge request does not say that the checksums change too: %s", d.file, notes)
		}
	}
	if n != 3 {
		t.Errorf("k3s stands in %d files, not in 3", n)
	}
}

// TestLabels: the merge requests' labels are those that projects.yaml makes.
func TestLabels(t *testing.T) {
	data, err := fs.ReadFile(shipped(), "hosts/gitlab/projects.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var projects struct {
		Defaults struct {
			Labels []struct{ Name string }
		}
	}
	if err := yaml.Unmarshal(data, &projects); err != nil {
		t.Fatal(err)
	}
	var known []string
	for _, l := range projects.Defaults.Labels {
		known = append(known, l.Name)
	}
	c := parse(t)
	labels := slices.Clone(c.Labels)
	for _, r := range c.PackageRules {
		labels = append(labels, r.AddLabels...)
	}
	if len(labels) < 5 {
		t.Fatalf("labels: %q", labels)
	}
	for _, l := range labels {
		if !slices.Contains(known, l) {
			t.Errorf("projects.yaml has no label %s", l)
		}
	}
}

// TestRenovate holds a report of Renovate itself against testdata and the scan, versions and
// digests too. make test-updates makes the report.
func TestRenovate(t *testing.T) {
	file := os.Getenv("RENOVATE_REPORT")
	if file == "" {
		t.Skip("not run: Renovate itself (make test-updates installs and runs it)")
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var report struct {
		Repositories map[string]struct {
			PackageFiles map[string][]struct {
				PackageFile string
				Deps        []struct{ DepName, PackageName, Datasource, DepType, CurrentValue, CurrentDigest, SkipReason string }
			}
		}
	}
	if err := json.Unmarshal(data, &report); err != nil {
		t.Fatal(err)
	}
	var found []dependency
	for manager, files := range report.Repositories["local"].PackageFiles {
		if manager == "regex" {
			manager = "custom.regex"
		}
		for _, f := range files {
			for _, d := range f.Deps {
				one := dependency{manager, f.PackageFile, d.PackageName, d.Datasource, d.DepType, d.SkipReason, d.CurrentValue, d.CurrentDigest}
				// The token of the bot; there is none here.
				if one.leftOut == "github-token-required" {
					one.leftOut = ""
				}
				found = append(found, one)
			}
		}
	}
	slices.SortFunc(found, func(a, b dependency) int { return strings.Compare(a.String(), b.String()) })
	var lines strings.Builder
	for _, d := range found {
		fmt.Fprintln(&lines, d)
	}
	golden.Check(t, "extracted", []byte(lines.String()))

	for _, p := range scan(t, shipped()) {
		for _, d := range found {
			if d.file == p.file && path.Base(d.pkg) == p.name && d.leftOut == "" && d.datasource != "git-refs" && (d.value != p.value || d.digest != p.digest) {
				t.Errorf("%s: the file says %s %s %s, Renovate reads %s %s", p.file, p.name, p.value, p.digest, d.value, d.digest)
			}
		}
	}
}
