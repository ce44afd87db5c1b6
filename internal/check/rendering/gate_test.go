package rendering

import (
	"context"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"lumacore.dev/lumacore/internal/check"
	"lumacore.dev/lumacore/internal/check/checktest"
	"lumacore.dev/lumacore/internal/config"
	"lumacore.dev/lumacore/internal/gitops"
	"lumacore.dev/lumacore/internal/render"
	"lumacore.dev/lumacore/internal/report"
)

func TestExamples(t *testing.T) {
	t.Parallel()
	checktest.Examples(t, Gate)
}

// TestProblemKinds: every kind of problem that rendering knows has a rule.
func TestProblemKinds(t *testing.T) {
	t.Parallel()
	f, err := parser.ParseFile(token.NewFileSet(), "../../render/result.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]bool{}
	for _, r := range rules {
		ids[r.ID] = true
	}
	seen := 0
	ast.Inspect(f, func(n ast.Node) bool {
		v, ok := n.(*ast.ValueSpec)
		if !ok || len(v.Values) != 1 {
			return true
		}
		if kind, ok := v.Type.(*ast.Ident); !ok || kind.Name != "ProblemKind" {
			return true
		}
		seen++
		kind, err := strconv.Unquote(v.Values[0].(*ast.BasicLit).Value)
		if err != nil || !ids["render/"+kind] {
			t.Errorf("%s: no rule render/%s", v.Names[0].Name, kind)
		}
		return true
	})
	if seen < 10 {
		t.Errorf("only %d kinds of problems were seen: does this test still look at the right file?", seen)
	}
}

// kustomization writes a Flux Kustomization of the folder with its name; each of
// more is a line of its spec.
func kustomization(name string, more ...string) string {
	s := strings.Replace(named(name, apps), "./apps", "./"+name, 1)
	for _, line := range more {
		s += "  " + line + "\n"
	}
	return "---\n" + s
}

func helmRelease(name string, more ...string) string {
	s := strings.Replace(release, "name: example", "name: "+name, 1) + "  values: {motd: welcome}\n"
	for _, line := range more {
		s += "  " + line + "\n"
	}
	return "---\n" + s
}

// object is a ConfigMap with the name.
func object(name string) string { return strings.Replace(welcome, "name: example", "name: "+name, 1) }

func TestFindings(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		repository string
		want       []string
	}{
		"all well": {repository(kustomization("a")+kustomization("b", "dependsOn: [{name: a}]"), "a/x.yaml", object("a"), "b/x.yaml", object("b")), nil},

		"depends on itself": {
			repository(kustomization("a", "dependsOn: [{name: a}]"), "a/x.yaml", object("a")),
			[]string{"cluster/flux.yaml:14 render/dependency-cycle Kustomizations wait in a circle: flux-system/a depends on flux-system/a: it is never applied"},
		},
		"a circle of three, and one that waits for it": {
			repository(kustomization("c", "dependsOn: [{name: a}]")+kustomization("b", "dependsOn: [{name: c}]")+kustomization("a", "dependsOn:", "- name: b")+kustomization("late", "dependsOn: [{name: a}]"),
				"a/x.yaml", object("a"), "b/x.yaml", object("b"), "c/x.yaml", object("c"), "late/x.yaml", object("late")),
			[]string{"cluster/flux.yaml:43 render/dependency-cycle Kustomizations wait in a circle: flux-system/a depends on flux-system/b, which depends on flux-system/c, which depends on flux-system/a: none of them is ever ready"},
		},
		"two circles": {
			repository(kustomization("a", "dependsOn: [{name: b}]")+kustomization("b", "dependsOn: [{name: a}]")+kustomization("c", "dependsOn: [{name: d}]")+kustomization("d", "dependsOn: [{name: c}]"),
				"a/x.yaml", object("a"), "b/x.yaml", object("b"), "c/x.yaml", object("c"), "d/x.yaml", object("d")),
			[]string{
				"cluster/flux.yaml:14 render/dependency-cycle Kustomizations wait in a circle: flux-system/a depends on flux-system/b, which depends on flux-system/a: none of them is ever ready",
				"cluster/flux.yaml:42 render/dependency-cycle Kustomizations wait in a circle: flux-system/c depends on flux-system/d, which depends on flux-system/c: none of them is ever ready",
			},
		},
		"HelmReleases of two namespaces": {
			repository(object("a")+helmRelease("one", "dependsOn: [{name: two, namespace: other}]")+strings.Replace(helmRelease("two", "dependsOn: [{name: one, namespace: default}]"), "namespace: default", "namespace: other", 1)) + chart,
			[]string{"cluster/flux.yaml:24 render/dependency-cycle HelmReleases wait in a circle: default/one depends on other/two, which depends on default/one: none of them is ever ready"},
		},
		"waits for what depends on it": {
			repository(kustomization("parent", "wait: true"), "parent/flux.yaml", kustomization("child", "dependsOn: [{name: parent}]"), "child/x.yaml", object("a")),
			[]string{"parent/flux.yaml:14 render/dependency-cycle Kustomizations wait in a circle: flux-system/child depends on flux-system/parent, which waits for flux-system/child (spec.wait): none of them is ever ready"},
		},
		"a health check of what depends on it": {
			repository(kustomization("parent", "healthChecks: [{apiVersion: kustomize.toolkit.fluxcd.io/v1, kind: Kustomization, name: child, namespace: flux-system}]"),
				"parent/flux.yaml", kustomization("child", "dependsOn: [{name: parent}]"), "child/x.yaml", object("a")),
			[]string{"parent/flux.yaml:14 render/dependency-cycle Kustomizations wait in a circle: flux-system/child depends on flux-system/parent, which waits for flux-system/child (spec.healthChecks): none of them is ever ready"},
		},
		"waits for what does not depend on it": {
			repository(kustomization("parent", "wait: true"), "parent/flux.yaml", kustomization("child"), "child/x.yaml", object("a")), nil,
		},
		"a dependency with a slip of the pen": {
			repository(kustomization("controllers")+kustomization("a", "dependsOn:", "- name: controlers"), "a/x.yaml", object("a"), "controllers/x.yaml", object("b")),
			[]string{"cluster/flux.yaml:28 render/dependency-missing the Kustomization depends on flux-system/controlers, which is not in the cluster: it is never applied; is flux-system/controllers meant?"},
		},
		"a dependency in another namespace": {
			repository(kustomization("a")+kustomization("b", "dependsOn: [{name: a, namespace: other}]"), "a/x.yaml", object("a"), "b/x.yaml", object("b")),
			[]string{"cluster/flux.yaml:27 render/dependency-missing the Kustomization depends on other/a, which is not in the cluster: it is never applied"},
		},
		"a HelmRelease that depends on a Kustomization": {
			repository(kustomization("a")+helmRelease("x", "dependsOn: [{name: a, namespace: flux-system}]"), "a/x.yaml", object("a")) + chart,
			[]string{"cluster/flux.yaml:30 render/dependency-missing the HelmRelease depends on flux-system/a, which is not in the cluster: it is never applied"},
		},

		"one object from two files": {
			repository(kustomization("a")+kustomization("b"), "a/x.yaml", object("x"), "b/y.yaml", object("x")),
			[]string{
				"a/x.yaml:1 render/two-owners Kustomization flux-system/a applies it, and so does Kustomization flux-system/b (b/y.yaml:1): each undoes what the other applies, and what one of them prunes is gone for both",
				"b/y.yaml:1 render/two-owners Kustomization flux-system/b applies it, and so does Kustomization flux-system/a (a/x.yaml:1): each undoes what the other applies, and what one of them prunes is gone for both",
			},
		},
		"a folder that is applied twice": {
			repository(kustomization("a")+strings.Replace(kustomization("b"), "./b", "./a", 1), "a/x.yaml", object("x1")+"---\n"+object("x2")+"---\n"+object("x3")+"---\n"+object("x4")),
			[]string{
				"a/x.yaml:1 render/two-owners Kustomization flux-system/a and Kustomization flux-system/b apply the same 4 objects, this one among them: each undoes what the other applies, and what one of them prunes is gone for both",
				"a/x.yaml:1 render/two-owners Kustomization flux-system/b and Kustomization flux-system/a apply the same 4 objects, this one among them: each undoes what the other applies, and what one of them prunes is gone for both",
			},
		},
		"shared on purpose": {
			repository(kustomization("a")+kustomization("b"), "a/x.yaml", object("x"), "b/y.yaml", strings.Replace(object("x"), "  name: x\n", "  name: x\n  annotations:\n    kustomize.toolkit.fluxcd.io/ssa: Merge\n", 1)), nil,
		},
		"the other owner is suspended": {
			repository(kustomization("a", "suspend: true")+kustomization("b"), "a/x.yaml", object("x"), "b/y.yaml", object("x")),
			[]string{"cluster/flux.yaml:14 render/suspended the Kustomization is suspended: what it applied (1 object) stays as it was left, not as the repository says"},
		},
		"a suspended HelmRelease": {
			repository(object("a")+helmRelease("x", "suspend: true")) + chart,
			[]string{"cluster/flux.yaml:24 render/suspended the HelmRelease is suspended: what its chart made stays as it was left, not as the repository says"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tt.want, checktest.Lines(checktest.Run(t, Gate, tt.repository))); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
		})
	}
}

// TestUnrendered: what may be in something that was not rendered is not checked,
// rather than missing.
func TestUnrendered(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ more, want string }{
		"a Kustomization that does not build": {
			kustomization("broken"),
			"Kustomization flux-system/more in dependsOn of flux-system/a: Kustomization flux-system/broken, which may hold it, was not rendered",
		},
		"a ResourceSet": {
			"---\napiVersion: fluxcd.controlplane.io/v1\nkind: ResourceSet\nmetadata:\n  name: tenants\n  namespace: flux-system\n",
			"Kustomization flux-system/more in dependsOn of flux-system/a: ResourceSet flux-system/tenants, which may hold it, was not rendered",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rep := checktest.Run(t, Gate, repository(kustomization("a", "dependsOn: [{name: more}]")+tt.more, "a/x.yaml", object("a")))
			for _, f := range rep.Findings {
				if f.Rule == "render/dependency-missing" {
					t.Errorf("reported: %s", f.Message)
				}
			}
			var got []string
			for _, u := range rep.NotChecked {
				if strings.HasPrefix(u.Subject, "ResourceSet ") {
					continue // the render's own word
				}
				got = append(got, u.Subject+": "+u.Reason)
			}
			if diff := cmp.Diff([]string{tt.want}, got); diff != "" {
				t.Errorf("not checked (-want +got):\n%s", diff)
			}
		})
	}
}

func runOn(t *testing.T, gate *check.Gate, res *render.Result) *report.CheckReport {
	t.Helper()
	in := &check.Input{Tree: gitops.FromFiles(nil), Render: res, Config: &config.Config{}, Now: checktest.Now}
	rep, err := check.Run(t.Context(), []*check.Gate{gate}, in)
	if err != nil {
		t.Fatal(err)
	}
	return rep
}

// TestProblem: a problem becomes a finding with everything that it knows.
func TestProblem(t *testing.T) {
	t.Parallel()
	at := report.Location{File: "apps/x.yaml", Line: 7}
	o := &render.Object{Unstructured: &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "x"}}}}
	rep := runOn(t, Gate, &render.Result{Clusters: []*render.Cluster{{
		Name: "home", Objects: []*render.Object{o},
		Problems: []render.Problem{{
			Kind: render.ProblemChart, Message: "it does not", Fix: "mend it", Location: at,
			Object:        render.Key{Group: "helm.toolkit.fluxcd.io", Kind: "HelmRelease", Namespace: "a", Name: "x"},
			Kustomization: "flux-system/apps", HelmRelease: "a/x",
		}},
	}}})
	want := []report.Finding{{
		Rule: "render/chart-failed", Severity: report.Error, Message: "it does not", Fix: "mend it", Location: at,
		Object: "HelmRelease a/x", Clusters: []string{"home"}, Kustomization: "flux-system/apps", HelmRelease: "a/x",
	}}
	for i := range rep.Findings {
		rep.Findings[i].Fingerprint = ""
	}
	if diff := cmp.Diff(want, rep.Findings); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
}

// TestHelmOwners: what Helm makes and does not own has no second owner.
func TestHelmOwners(t *testing.T) {
	t.Parallel()
	made := func(kind string, origin render.Origin) *render.Object {
		return &render.Object{
			Unstructured: &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": kind, "metadata": map[string]any{"name": "x"}}},
			Origin:       origin,
		}
	}
	ks := render.Origin{Kustomization: "flux-system/apps"}
	for name, tt := range map[string]struct {
		a, b *render.Object
		want int
	}{
		"a template of two charts":       {made("Secret", render.Origin{HelmRelease: "a/a", Template: "a/templates/x.yaml"}), made("Secret", render.Origin{HelmRelease: "b/b", Template: "a/templates/x.yaml"}), 2},
		"twice in one chart":             {made("Secret", render.Origin{HelmRelease: "a/a", Template: "a/templates/x.yaml"}), made("Secret", render.Origin{HelmRelease: "a/a", Template: "a/templates/y.yaml"}), 1},
		"a template and a file":          {made("Secret", render.Origin{HelmRelease: "a/a", Template: "a/templates/x.yaml"}), made("Secret", ks), 2},
		"a namespace that Helm creates":  {made("Namespace", render.Origin{HelmRelease: "a/a"}), made("Namespace", ks), 1},
		"a namespace that a chart makes": {made("Namespace", render.Origin{HelmRelease: "a/a", Template: "a/templates/ns.yaml"}), made("Namespace", ks), 2},
		"a chart's crds folder":          {made("CustomResourceDefinition", render.Origin{HelmRelease: "a/a", Template: "a/crds/x.yaml"}), made("CustomResourceDefinition", ks), 1},
		"CRDs among the templates":       {made("CustomResourceDefinition", render.Origin{HelmRelease: "a/a", Template: "a/templates/crds/x.yaml"}), made("CustomResourceDefinition", ks), 2},
		"a hook":                         {made("Job", render.Origin{HelmRelease: "a/a", Template: "a/templates/x.yaml", Hook: true}), made("Job", ks), 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := len(ownersOf([]*render.Object{tt.a, tt.b})); got != tt.want {
				t.Errorf("%d owners, want %d", got, tt.want)
			}
		})
	}
}

// TestLongCircle: a circle of any size is found at once and named in bounds.
func TestLongCircle(t *testing.T) {
	t.Parallel()
	const n = 3000
	all := map[string]*waiter{}
	for i := range n {
		o := &render.Object{Unstructured: &unstructured.Unstructured{Object: map[string]any{"kind": "Kustomization", "metadata": map[string]any{"namespace": "ns", "name": fmt.Sprintf("k%04d", i)}}}}
		w := &waiter{object: o}
		w.depends("", fmt.Sprintf("k%04d", (i+1)%n), 0)
		all[fmt.Sprintf("ns/k%04d", i)] = w
	}
	gate := &check.Gate{Name: "render", Rules: rules, Check: func(_ context.Context, _ *check.Input, out *check.Reporter) error {
		cycles(&render.Cluster{Name: "home"}, all, out)
		return nil
	}}
	rep := runOn(t, gate, &render.Result{})
	rep.Findings = slices.DeleteFunc(rep.Findings, func(f report.Finding) bool { return f.Gate() != "render" })
	if len(rep.Findings) != 1 || !strings.HasSuffix(rep.Findings[0].Message, "ns/k0019, which depends on ns/k0020, which does so through 2980 more: none of them is ever ready") {
		t.Errorf("%d findings: %q", len(rep.Findings), checktest.Lines(rep))
	}
}
