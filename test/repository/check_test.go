package repository

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	utilversion "k8s.io/apimachinery/pkg/util/version"

	"lumacore.dev/lumacore/internal/chart"
	"lumacore.dev/lumacore/internal/check"
	"lumacore.dev/lumacore/internal/check/registry"
	"lumacore.dev/lumacore/internal/config"
	"lumacore.dev/lumacore/internal/gitops"
	"lumacore.dev/lumacore/internal/render"
	"lumacore.dev/lumacore/internal/report"
)

// rendered renders a repository.
func rendered(t testing.TB, r *Repository) *check.Input {
	t.Helper()
	tree := gitops.FromFiles(r.Files)
	cfg, err := config.Load(tree)
	if err != nil {
		t.Fatal(err)
	}
	clusters, err := gitops.Discover(tree, cfg.Clusters)
	if err != nil {
		t.Fatal(err)
	}
	store, err := chart.NewStore(chart.Options{Offline: true, CacheDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	version := utilversion.MustParseGeneric("1.36.0")
	res, err := render.Render(t.Context(), tree, clusters, render.Options{KubeVersion: version.String(), Charts: store})
	if err != nil {
		t.Fatal(err)
	}
	return &check.Input{
		Tree: tree, Render: res, Config: cfg, KubeVersion: version, Known: registry.Gates,
		Now: time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC),
	}
}

// run runs all gates over a repository.
func run(t testing.TB, r *Repository) *report.CheckReport {
	t.Helper()
	rep, err := check.Run(t.Context(), registry.Gates, rendered(t, r))
	if err != nil {
		t.Fatal(err)
	}
	return rep
}

// TestCleanRepository: nothing is found where nothing is wrong, although
// everything was looked at.
func TestCleanRepository(t *testing.T) {
	t.Parallel()
	rep := run(t, generate(t, Options{Apps: 20}))
	for _, f := range rep.Findings {
		t.Errorf("%s %s: %s", f.Location, f.Rule, f.Message)
	}
	for _, u := range rep.NotChecked {
		t.Errorf("not checked: %s %s: %s", u.Gate, u.Subject, u.Reason)
	}
	want := []report.ClusterSeen{{
		Name: "main", Path: "clusters/main", Kustomizations: 27, Built: 27, HelmReleases: 11, Rendered: 11,
		Objects: 272, Pods: 28, CustomResources: 76,
	}}
	if diff := cmp.Diff(want, rep.Clusters); diff != "" {
		t.Errorf("what was looked at (-want +got):\n%s", diff)
	}
}

// TestNetwork: the assertions of a repository with many policies hold.
func TestNetwork(t *testing.T) {
	t.Parallel()
	r := generate(t, Options{Apps: 4, Network: true})
	if n := strings.Count(string(r.Files["network.assert.yaml"]), "  - name: "); n != 10 {
		t.Errorf("%d assertions", n)
	}
	for _, f := range run(t, r).Findings {
		if f.Gate() == "network" {
			t.Errorf("%s %s: %s", f.Location, f.Rule, f.Message)
		}
	}
}

// TestPolicies: policies that are there several times are evaluated as often.
func TestPolicies(t *testing.T) {
	t.Parallel()
	r := generate(t, Options{Apps: 2, Policies: 3})
	for name, data := range r.Files {
		if strings.HasPrefix(name, "apps/") {
			r.Files[name] = []byte(strings.ReplaceAll(string(data), "runAsNonRoot: true", "runAsNonRoot: false"))
		}
	}
	constraints := map[string]bool{}
	for _, f := range run(t, r).Findings {
		if f.Rule == "policy/denied" {
			constraints[strings.Fields(f.Message)[0]] = true
		}
	}
	for _, kind := range []string{"NoRootUser", "NoRootUser2", "NoRootUser3"} {
		if !constraints[kind] {
			t.Errorf("%s denies nothing; these do: %v", kind, constraints)
		}
	}
}

// TestDefects: of every set of mistakes exactly those are found, each at its line. Those
// that take an API server are not, nor anything else at their places; the end-to-end
// tests find them.
func TestDefects(t *testing.T) {
	t.Parallel()
	for _, set := range Sets() {
		t.Run(set, func(t *testing.T) {
			t.Parallel()
			r := generate(t, Options{Apps: 2, Defects: []string{set}})
			want, got := map[string]bool{}, map[string]string{}
			for _, d := range r.Defects {
				if !needsAPIServer(d.Rule) {
					want[d.String()] = true
				}
			}
			for _, f := range run(t, r).Findings {
				if f.Suppressed == nil {
					got[Defect{Rule: f.Rule, File: f.Location.File, Line: f.Location.Line}.String()] = f.Message
				}
			}
			for _, d := range slices.Sorted(maps.Keys(want)) {
				if _, ok := got[d]; !ok {
					t.Errorf("not found: %s", d)
				}
			}
			for _, d := range slices.Sorted(maps.Keys(got)) {
				if !want[d] {
					t.Errorf("found where nothing is wrong: %s: %s", d, got[d])
				}
			}
		})
	}
}

func needsAPIServer(id string) bool {
	for _, g := range registry.Gates {
		for _, rule := range g.Rules {
			if rule.ID == id {
				return rule.Needs == check.NeedsAPIServer
			}
		}
	}
	return false
}

// elsewhere are rules without a mistake in the sets, and why.
var elsewhere = map[string]string{
	"render/chart-missing":             "only with --require-charts",
	"references/cross-namespace":       "has no example in a cluster with Traefik alone",
	"references/missing-issuer":        "the repository has no cert-manager",
	"dryrun/immutable":                 "needs a cluster in which the object has another value",
	"images/listed":                    "in a repository with a list, which has no images/no-digest",
	"images/unlisted":                  "in a repository with a list, which has no images/no-digest",
	"images/list-unused":               "in a repository with a list, which has no images/no-digest",
	"images/list-invalid":              "in a repository with a list, which has no images/no-digest",
	"secrets/in-history":               "takes a Git history",
	"promotion/prod-unannounced":       "takes a change",
	"promotion/prod-change":            "takes a change",
	"config/nothing-checked":           "the repository would have to be empty",
	"config/setting-wrong":             "only in a repository that init made",
	"config/setting-placeholder":       "only in a repository that init made",
	"config/allowance-expired":         "of the check itself, not of a repository",
	"config/allowance-unused":          "of the check itself, not of a repository",
	"config/annotation-without-reason": "of the check itself, not of a repository",
	"config/annotation-unknown":        "of the check itself, not of a repository",
	"config/gitlab-projects-invalid":   "of a file for another command, which the repository has not",
}

// TestEveryRuleHasADefect: recall says something only if no rule is left out.
func TestEveryRuleHasADefect(t *testing.T) {
	t.Parallel()
	seeded, known := map[string]bool{}, map[string]bool{}
	for _, d := range generate(t, Options{Apps: 1, Defects: Sets()}).Defects {
		seeded[d.Rule] = true
	}
	for _, g := range registry.Gates {
		for _, rule := range g.Rules {
			known[rule.ID] = true
			if !seeded[rule.ID] && elsewhere[rule.ID] == "" {
				t.Errorf("no set of mistakes has one for %s", rule.ID)
			}
			if seeded[rule.ID] && elsewhere[rule.ID] != "" {
				t.Errorf("%s is in a set of mistakes and in the list of those that are not (%s)", rule.ID, elsewhere[rule.ID])
			}
		}
	}
	for _, rule := range slices.Sorted(maps.Keys(seeded)) {
		if !known[rule] {
			t.Error(fmt.Errorf("a set of mistakes names %s, which is no rule of any gate", rule))
		}
	}
}

func BenchmarkRender(b *testing.B) {
	r := generate(b, Options{Apps: 97, Plain: true})
	for b.Loop() {
		rendered(b, r)
	}
}

func BenchmarkCheck(b *testing.B) {
	r := generate(b, Options{Apps: 200})
	for b.Loop() {
		run(b, r)
	}
}
