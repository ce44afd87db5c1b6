package check_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/tools/txtar"
	utilversion "k8s.io/apimachinery/pkg/util/version"

	"lumacore.dev/lumacore/internal/check"
	"lumacore.dev/lumacore/internal/check/checktest"
	"lumacore.dev/lumacore/internal/config"
	"lumacore.dev/lumacore/internal/gitops"
	"lumacore.dev/lumacore/internal/render"
	"lumacore.dev/lumacore/internal/report"
)

// fake finds every ConfigMap, at the line of its data, and every Secret.
var fake = &check.Gate{
	Name: "fake", Title: "what is made up",
	Rules: []report.Rule{
		{ID: "fake/map", Severity: report.Warning, Fix: "delete it"},
		{ID: "fake/secret", Severity: report.Error, Fix: "hide it"},
	},
	Check: func(_ context.Context, in *check.Input, out *check.Reporter) error {
		for _, c := range in.Render.Clusters {
			for _, o := range c.Of("", "ConfigMap") {
				out.Object("fake/map", c, o, []any{"data"}, "it is there")
			}
			for _, o := range c.Of("", "Secret") {
				out.Object("fake/secret", c, o, []any{"stringData", "password"}, "it is there")
			}
		}
		return nil
	},
}

// lazy looks at nothing.
var lazy = &check.Gate{
	Name: "lazy", Title: "nothing", Rules: []report.Rule{{ID: "lazy/idle", Severity: report.Error}},
	Check: func(_ context.Context, in *check.Input, out *check.Reporter) error {
		for _, c := range in.Render.Clusters {
			out.Unchecked(report.Unchecked{Subject: "everything", Reason: "no time", Clusters: []string{c.Name}})
		}
		return nil
	},
}

// broken panics.
var broken = &check.Gate{
	Name: "broken", Title: "its own mistake", Rules: []report.Rule{{ID: "broken/by-design", Severity: report.Error}},
	Check: func(context.Context, *check.Input, *check.Reporter) error {
		panic("out of luck")
	},
}

const head = "-- lumacore.yaml --\napiVersion: lumacore.dev/v1alpha1\nkind: Config\n"

// input renders a repository; its clusters are the folders a and b as far as they
// have files.
func input(t *testing.T, repository string) *check.Input {
	t.Helper()
	files := map[string][]byte{}
	for _, f := range txtar.Parse([]byte(repository)).Files {
		files[f.Name] = f.Data
	}
	tree := gitops.FromFiles(files)
	cfg, err := config.Load(tree)
	if err != nil {
		t.Fatal(err)
	}
	var clusters []gitops.Cluster
	for _, name := range []string{"a", "b"} {
		if tree.IsDir(name) {
			clusters = append(clusters, gitops.Cluster{Name: name, Path: name})
		}
	}
	res, err := render.Render(t.Context(), tree, clusters, render.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return &check.Input{Tree: tree, Render: res, Config: cfg, KubeVersion: utilversion.MustParse("1.36.2"), Now: checktest.Now}
}

func run(t *testing.T, in *check.Input, gates ...*check.Gate) *report.CheckReport {
	t.Helper()
	rep, err := check.Run(t.Context(), gates, in)
	if err != nil {
		t.Fatal(err)
	}
	return rep
}

// show is a finding in one line: what the tests are about.
func show(r *report.CheckReport) []string {
	out := []string{}
	for _, f := range r.Findings {
		s := fmt.Sprintf("%s %s %s %s", f.Location, f.Severity, f.Rule, f.Message)
		if len(f.Clusters) > 0 {
			s += " on " + strings.Join(f.Clusters, "+")
		}
		if f.Suppressed != nil {
			s += fmt.Sprintf(" [%s: %s]", f.Suppressed.By, f.Suppressed.Reason)
		}
		out = append(out, s)
	}
	return out
}

// configMap is the ConfigMap app/NAME, its data in the line 5, or 7 with an
// annotation.
func configMap(name string, annotation ...string) string {
	s := "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: " + name + ", namespace: app}\n#\ndata: {a: b}\n"
	for _, a := range annotation {
		s = strings.Replace(s, "#\n", "#\n#\n#\n", 1)
		s = strings.Replace(s, "namespace: app}", "namespace: app, annotations: {"+a+"}}", 1)
	}
	return s
}

// TestRunReport compares a whole report.
func TestRunReport(t *testing.T) {
	in := input(t, "-- a/one.yaml --\n"+configMap("one")+"-- b/pod.yaml --\napiVersion: v1\nkind: Pod\nmetadata: {name: p, namespace: app}\nspec: {containers: []}\n"+
		"---\napiVersion: example.com/v1\nkind: Thing\nmetadata: {name: t, namespace: app}\n")
	in.Render.Clusters[0].Placeholders = []render.Placeholder{{Secret: render.Key{Kind: "Secret", Namespace: "app", Name: "s"}, From: "SOPS", Type: "Opaque"}}
	in.Render.Clusters[1].Placeholders = in.Render.Clusters[0].Placeholders
	in.Render.Clusters[1].Unchecked = []report.Unchecked{{Subject: "HelmRelease app/x", Reason: "no chart", Next: "fetch it"}}
	got := run(t, in, fake, lazy)
	want := &report.CheckReport{
		TypeMeta: report.Meta("CheckReport"), KubeVersion: "1.36", FailOn: report.Error,
		Gates: []report.GateResult{
			{Name: "fake", Title: "what is made up", Findings: 1},
			{Name: "lazy", Title: "nothing", NotChecked: 1},
			{Name: "config", Title: check.ConfigGate.Title},
		},
		NotRun: []report.NotRun{}, Off: []string{},
		Findings: []report.Finding{{
			Rule: "fake/map", Severity: report.Warning, Message: "it is there", Fix: "delete it",
			Location: report.Location{File: "a/one.yaml", Line: 5}, Source: "data: {a: b}", Object: "ConfigMap app/one", Clusters: []string{"a"},
		}},
		NotChecked: []report.Unchecked{
			{Gate: "lazy", Subject: "everything", Reason: "no time", Clusters: []string{"a", "b"}},
			{Gate: "render", Subject: "HelmRelease app/x", Reason: "no chart", Next: "fetch it", Clusters: []string{"b"}},
		},
		Placeholders: []report.Placeholder{{Secret: "Secret app/s", From: "SOPS", Type: "Opaque", Clusters: []string{"a", "b"}}},
	}
	ignore := cmp.Options{
		cmpopts.IgnoreFields(report.CheckReport{}, "Clusters", "Rules"),
		cmpopts.IgnoreFields(report.Finding{}, "Fingerprint", "Kustomization"),
	}
	if diff := cmp.Diff(want, got, ignore); diff != "" {
		t.Errorf("report (-want +got):\n%s", diff)
	}
	if len(got.Findings[0].Fingerprint) != 32 {
		t.Errorf("fingerprint %q", got.Findings[0].Fingerprint)
	}
	var clusters []string
	for _, c := range got.Clusters {
		clusters = append(clusters, fmt.Sprintf("%s %s %d objects %d pods %d custom", c.Name, c.Path, c.Objects, c.Pods, c.CustomResources))
	}
	if diff := cmp.Diff([]string{"a a 1 objects 0 pods 0 custom", "b b 2 objects 1 pods 1 custom"}, clusters); diff != "" {
		t.Errorf("clusters (-want +got):\n%s", diff)
	}
	var rules []string
	for _, r := range got.Rules {
		rules = append(rules, r.ID)
	}
	if diff := cmp.Diff([]string{
		"config/allowance-expired", "config/allowance-unused", "config/annotation-unknown", "config/annotation-without-reason",
		"config/gitlab-projects-invalid", "config/nothing-checked", "config/setting-placeholder", "config/setting-wrong", "fake/map", "fake/secret", "lazy/idle",
	}, rules); diff != "" {
		t.Errorf("rules (-want +got):\n%s", diff)
	}
	if got.Failed() {
		t.Error("a warning makes the check fail, which fails on errors")
	}
	in.FailOn = report.Warning
	if strict := run(t, in, fake, lazy); !strict.Failed() || strict.Gates[0].Failing != 1 || strict.FailOn != report.Warning {
		t.Errorf("with FailOn warning: failed %v, %+v", strict.Failed(), strict.Gates[0])
	}
}

func TestRunFindings(t *testing.T) {
	entry := func(lines string) string { return head + "check:\n  allow:\n    - {" + lines + "}\n" }
	const secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: s, namespace: app}\nstringData:\n  password: hunter2\n"
	for name, tt := range map[string]struct {
		repository string
		want       []string
	}{
		"nothing wrong": {"-- a/x.yaml --\napiVersion: v1\nkind: Namespace\nmetadata: {name: app}\n", []string{}},
		"no cluster": {
			"-- README.md --\nhello\n",
			[]string{" error config/nothing-checked no cluster was found, because there is no Flux Kustomization or FluxInstance to begin with: nothing was checked"},
		},
		"a cluster without objects": {
			"-- a/x.yaml --\n" + configMap("x") + "-- b/README.md --\nhello\n",
			[]string{
				" error config/nothing-checked no object was rendered of cluster b (folder b): nothing was checked there on b",
				"a/x.yaml:5 warning fake/map it is there on a",
			},
		},
		"another severity for a rule": {
			head + "check: {severity: {fake/map: error}}\n-- a/x.yaml --\n" + configMap("x"),
			[]string{"a/x.yaml:5 error fake/map it is there on a"},
		},
		"the rule's has precedence over the gate's": {
			head + "check: {severity: {fake/map: info, fake: error}}\n-- a/x.yaml --\n" + configMap("x"),
			[]string{"a/x.yaml:5 info fake/map it is there on a"},
		},
		"a rule that is off":               {head + "check: {severity: {fake/map: off}}\n-- a/x.yaml --\n" + configMap("x"), []string{}},
		"a gate that is off":               {head + "check: {severity: {fake: off}}\n-- a/x.yaml --\n" + configMap("x"), []string{}},
		"one rule of a gate that is off":   {head + "check: {severity: {fake: off, fake/map: info}}\n-- a/x.yaml --\n" + configMap("x") + "---\n" + secret, []string{"a/x.yaml:5 info fake/map it is there on a"}},
		"an annotation":                    {"-- a/x.yaml --\n" + configMap("x", "allow.lumacore.dev/fake.map: because"), []string{"a/x.yaml:7 warning fake/map it is there on a [annotation: because]"}},
		"an annotation for another rule":   {"-- a/x.yaml --\n" + configMap("x", "allow.lumacore.dev/fake.secret: because"), []string{"a/x.yaml:3 warning config/allowance-unused the annotation allow.lumacore.dev/fake.secret fits no finding on a", "a/x.yaml:7 warning fake/map it is there on a"}},
		"an annotation without a reason":   {"-- a/x.yaml --\n" + configMap("x", "allow.lumacore.dev/fake.map: ' '"), []string{"a/x.yaml:3 error config/annotation-without-reason the annotation allow.lumacore.dev/fake.map has no reason, and so no effect on a", "a/x.yaml:7 warning fake/map it is there on a"}},
		"an annotation of no rule":         {"-- a/x.yaml --\n" + configMap("x", "allow.lumacore.dev/fake.mop: because"), []string{"a/x.yaml:3 warning config/annotation-unknown the annotation allow.lumacore.dev/fake.mop names no rule; did you mean allow.lumacore.dev/fake.map? on a", "a/x.yaml:7 warning fake/map it is there on a"}},
		"an annotation for the whole gate": {"-- a/x.yaml --\n" + configMap("x", "allow.lumacore.dev/fake: because"), []string{"a/x.yaml:3 warning config/annotation-unknown the annotation allow.lumacore.dev/fake names no rule; lumacore explain lists them all on a", "a/x.yaml:7 warning fake/map it is there on a"}},
		"an entry": {
			entry("rule: fake/map, file: 'a/**', object: 'ConfigMap */x', message: is th, reason: because, expires: 2026-11-01") + "-- a/sub/x.yaml --\n" + configMap("x"),
			[]string{"a/sub/x.yaml:5 warning fake/map it is there on a [lumacore.yaml:5: because]"},
		},
		"an entry for another file":    {entry("rule: fake/map, file: 'b/**', reason: because, expires: 2027-01-01") + "-- a/x.yaml --\n" + configMap("x"), []string{"a/x.yaml:5 warning fake/map it is there on a", "lumacore.yaml:5 warning config/allowance-unused the allowance for fake/map, file b/** fits no finding"}},
		"an entry for another object":  {entry("rule: fake/map, object: 'ConfigMap x', reason: because, expires: 2027-01-01") + "-- a/x.yaml --\n" + configMap("x"), []string{"a/x.yaml:5 warning fake/map it is there on a", "lumacore.yaml:5 warning config/allowance-unused the allowance for fake/map, object ConfigMap x fits no finding"}},
		"an entry for another message": {entry("rule: fake/map, message: nowhere, reason: because, expires: 2027-01-01") + "-- a/x.yaml --\n" + configMap("x"), []string{"a/x.yaml:5 warning fake/map it is there on a", "lumacore.yaml:5 warning config/allowance-unused the allowance for fake/map, message nowhere fits no finding"}},
		"an entry for another rule":    {entry("rule: fake/secret, reason: because, expires: 2027-01-01") + "-- a/x.yaml --\n" + configMap("x"), []string{"a/x.yaml:5 warning fake/map it is there on a", "lumacore.yaml:5 warning config/allowance-unused the allowance for fake/secret fits no finding"}},
		"an entry that has expired":    {entry("rule: fake/map, reason: because, expires: 2026-10-31") + "-- a/x.yaml --\n" + configMap("x"), []string{"a/x.yaml:5 warning fake/map it is there on a", "lumacore.yaml:5 error config/allowance-expired the allowance for fake/map held until 2026-10-31; findings that it fits count again"}},
		"an entry and an annotation: the annotation speaks, the entry is not unused": {
			entry("rule: fake/map, reason: because, expires: 2027-01-01") + "-- a/x.yaml --\n" + configMap("x", "allow.lumacore.dev/fake.map: of me"),
			[]string{"a/x.yaml:7 warning fake/map it is there on a [annotation: of me]"},
		},
		"entries of rules that are off or did not run": {
			head + "check:\n  severity: {fake/map: off}\n  allow:\n    - {rule: fake/map, reason: because, expires: 2027-01-01}\n    - {rule: lazy/idle, reason: because, expires: 2026-01-01}\n-- a/x.yaml --\n" + configMap("x"),
			[]string{},
		},
		"findings of config have severities too": {
			head + "check:\n  severity: {config/allowance-unused: off, config/nothing-checked: info}\n  allow:\n    - {rule: fake/map, reason: because, expires: 2027-01-01}\n-- a/README.md --\nhello\n",
			[]string{" info config/nothing-checked no object was rendered of cluster a (folder a): nothing was checked there on a"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := input(t, tt.repository)
			in.Known = []*check.Gate{lazy}
			if diff := cmp.Diff(tt.want, show(run(t, in, fake))); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
		})
	}
}

// TestRunOff: the report names what did not run.
func TestRunOff(t *testing.T) {
	in := input(t, head+"check: {severity: {fake: off, fake/map: info, lazy: off}}\n-- a/x.yaml --\n"+configMap("x"))
	rep := run(t, in, fake, lazy)
	if diff := cmp.Diff([]string{"fake/secret", "lazy/idle"}, rep.Off); diff != "" {
		t.Errorf("off (-want +got):\n%s", diff)
	}
	if len(rep.Gates) != 2 || rep.Gates[0].Name != "fake" || len(rep.NotChecked) > 0 {
		t.Errorf("the gate lazy ran: %+v", rep.Gates)
	}
}

// TestRunMerges: one finding for several clusters, as many as there are in one.
func TestRunMerges(t *testing.T) {
	twice := &check.Gate{
		Name: "twice", Rules: []report.Rule{{ID: "twice/same", Severity: report.Error}},
		Check: func(_ context.Context, in *check.Input, out *check.Reporter) error {
			shared := []string{"b", "a"}
			for _, f := range []report.Finding{
				{Message: "in both", Clusters: []string{"b"}},
				{Message: "in both", Clusters: []string{"a"}},
				{Message: "twice in a", Clusters: []string{"a"}},
				{Message: "twice in a", Clusters: []string{"b"}},
				{Message: "twice in a", Clusters: []string{"a"}},
				{Message: "of the repository"},
				{Message: "of the repository"},
				{Message: "reported as both", Clusters: shared},
				{Message: "other environment", Clusters: []string{"a"}, Environment: "prod"},
				{Message: "other environment", Clusters: []string{"b"}, Environment: "qa"},
				{Message: "allowed in a", Clusters: []string{"a"}, Suppressed: &report.Suppression{By: "annotation", Reason: "x"}},
				{Message: "allowed in a", Clusters: []string{"b"}},
			} {
				f.Rule = "twice/same"
				out.Add(f)
			}
			return nil
		},
	}
	rep := run(t, input(t, "-- a/x.yaml --\n"+configMap("x")), twice)
	want := []string{
		" error twice/same allowed in a on b",
		" error twice/same allowed in a on a [annotation: x]",
		" error twice/same in both on a+b",
		" error twice/same of the repository",
		" error twice/same other environment on a",
		" error twice/same other environment on b",
		" error twice/same reported as both on a+b",
		" error twice/same twice in a on a+b",
	}
	if diff := cmp.Diff(want, show(rep)); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
	prints := map[string]bool{}
	for _, f := range rep.Findings {
		if prints[f.Fingerprint] {
			t.Errorf("%s has the fingerprint of another", f.Message)
		}
		prints[f.Fingerprint] = true
	}
}

// TestRunSource: a report never holds a line of a Secret.
func TestRunSource(t *testing.T) {
	gate := &check.Gate{
		Name: "source", Rules: []report.Rule{{ID: "source/line", Severity: report.Error}},
		Check: func(_ context.Context, in *check.Input, out *check.Reporter) error {
			for _, name := range in.Tree.Files() {
				data, _ := in.Tree.ReadFile(name)
				for i := range strings.Count(string(data), "\n") {
					out.File("source/line", report.Location{File: name, Line: i + 1}, "line")
				}
			}
			out.Add(report.Finding{Rule: "source/line", Message: "masked", Source: "password: h…", Location: report.Location{File: "a/map.yaml", Line: 2}})
			return nil
		},
	}
	rep := run(t, input(t, `-- a/map.yaml --
kind: ConfigMap
apiVersion: v1
-- a/mixed.yaml --
# Secret
kind: Secret
apiVersion: v1
metadata: {name: s}
stringData: {password: hunter2}
---
kind: ConfigMap
apiVersion: v1
metadata: {name: s}
-- a/list.yaml --
kind: List
apiVersion: v1
items: [{kind: Secret, stringData: {password: hunter2}}]
-- a/broken.yaml --
kind: Secret
stringData: {password: hunter2
-- a/script.sh --
kubectl create Secret x --from-literal password=hunter2
-- a/plain.sh --
echo hello
`), gate)
	got := []string{}
	for _, f := range rep.Findings {
		if f.Source != "" {
			got = append(got, f.Location.String()+" "+f.Source)
		}
	}
	want := []string{
		"a/map.yaml:1 kind: ConfigMap", "a/map.yaml:2 apiVersion: v1", "a/map.yaml:2 password: h…",
		"a/mixed.yaml:6 ---", "a/mixed.yaml:7 kind: ConfigMap", "a/mixed.yaml:8 apiVersion: v1", "a/mixed.yaml:9 metadata: {name: s}",
		"a/plain.sh:1 echo hello",
	}
	if diff := cmp.Diff(want[:3], got[:3]); diff != "" {
		t.Errorf("sources (-want +got):\n%s", diff)
	}
	for _, s := range got {
		if strings.Contains(s, "hunter2") {
			t.Errorf("the report has a secret: %s", s)
		}
	}
	// The line --- belongs to the document before it.
	if diff := cmp.Diff(append(want[:3:3], want[4:]...), got); diff != "" {
		t.Errorf("sources (-want +got):\n%s", diff)
	}
}

func TestRunRefuses(t *testing.T) {
	in := input(t, head+`check:
  severity:
    fake/mop: off
    fkae: off
    fake: warning
  allow:
    - {rule: fake, reason: because, expires: 2027-01-01}
    - {rule: fake/other-things, reason: because, expires: 2027-01-01}
    - {rule: config/nothing-checked, reason: because, expires: 2027-01-01}
-- a/x.yaml --
`+configMap("x"))
	_, err := check.Run(t.Context(), []*check.Gate{fake}, in)
	var e *config.Error
	if !errors.As(err, &e) {
		t.Fatalf("error %v (%T), want a config.Error", err, err)
	}
	want := `lumacore.yaml:5: there is no rule or gate "fake/mop"; did you mean fake/map?
lumacore.yaml:6: there is no rule or gate "fkae"; did you mean fake?
lumacore.yaml:9: "fake" is a gate; allow its rules one by one, or give it another severity in check.severity
lumacore.yaml:10: there is no rule "fake/other-things"; see: lumacore explain
lumacore.yaml:11: findings of the gate config cannot be allowed; give the rule another severity in check.severity`
	if diff := cmp.Diff(want, err.Error()); diff != "" {
		t.Errorf("message (-want +got):\n%s", diff)
	}
}

func TestRunFails(t *testing.T) {
	in := input(t, "-- a/x.yaml --\n"+configMap("x"))
	t.Run("a panic names the gate", func(t *testing.T) {
		_, err := check.Run(t.Context(), []*check.Gate{fake, broken}, in)
		if err == nil || !strings.HasPrefix(err.Error(), "gate broken: internal error: out of luck\n") || !strings.Contains(err.Error(), "run_test.go:") {
			t.Errorf("error %v, want: gate broken: internal error: … and where", err)
		}
		if report.ExitCode(err) != report.ExitUsage {
			t.Errorf("exit code %d, want %d", report.ExitCode(err), report.ExitUsage)
		}
	})
	t.Run("an error names the gate", func(t *testing.T) {
		sad := &check.Gate{Name: "sad", Rules: []report.Rule{{ID: "sad/day"}}, Check: func(context.Context, *check.Input, *check.Reporter) error { return errors.New("no schema") }}
		if _, err := check.Run(t.Context(), []*check.Gate{sad}, in); err == nil || err.Error() != "gate sad: no schema" {
			t.Errorf("error %v, want: gate sad: no schema", err)
		}
	})
	t.Run("a finding of another gate's rule is the gate's mistake", func(t *testing.T) {
		thief := &check.Gate{Name: "thief", Rules: []report.Rule{{ID: "thief/own"}}, Check: func(_ context.Context, _ *check.Input, out *check.Reporter) error {
			out.File("fake/map", report.Location{}, "not mine")
			return nil
		}}
		_, err := check.Run(t.Context(), []*check.Gate{thief}, in)
		if want := `gate thief: internal error: gate thief reports "fake/map", which is none of its rules`; err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("error %v, want: %s", err, want)
		}
	})
	t.Run("interrupted", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := check.Run(ctx, []*check.Gate{fake}, in); !errors.Is(err, context.Canceled) || report.ExitCode(err) != report.ExitInterrupted {
			t.Errorf("error %v, want context.Canceled", err)
		}
	})
}

// TestRunLeavesItsInputAlone: callers may use gates and input again.
func TestRunLeavesItsInputAlone(t *testing.T) {
	in := input(t, "-- a/x.yaml --\n"+configMap("x"))
	gates := append(make([]*check.Gate, 0, 8), fake)
	first, again := run(t, in, gates...), run(t, in, gates...)
	if diff := cmp.Diff(first, again); diff != "" {
		t.Errorf("the second report differs (-first +second):\n%s", diff)
	}
	if in.Known != nil || in.FailOn != "" || gates[:2][1] != nil {
		t.Errorf("Run changed its input: %v, %q, %v", in.Known, in.FailOn, gates[:2])
	}
}
