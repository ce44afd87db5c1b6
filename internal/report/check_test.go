package report

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"io"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"lumacore.dev/lumacore/internal/golden"
	"lumacore.dev/lumacore/internal/schematest"
)

// hostile is what a repository can have in any text.
const hostile = "\x1b[2J\x1b]0;pwned\a<script>&\"'\u202e ::error::no\x00\xff]]>{{a}} ${b}"

// exampleReport has everything that a report can have.
func exampleReport() *CheckReport {
	r := &CheckReport{
		TypeMeta: Meta("CheckReport"), KubeVersion: "1.36", FailOn: Error,
		Clusters: []ClusterSeen{
			{Name: "home", Path: "clusters/home", Kustomizations: 12, Built: 12, HelmReleases: 9, Rendered: 8, Objects: 412, Pods: 37, CustomResources: 55},
			{Name: "lab", Path: "clusters/lab", Kustomizations: 1, Built: 1, Objects: 1},
		},
		Gates: []GateResult{
			{Name: "images", Title: "images that can change", Findings: 11, Suppressed: 3, NotChecked: 1},
			{Name: "schema", Title: "objects that the API server refuses", Findings: 3, Failing: 3},
			{Name: "network", Title: "policies that select nothing"},
			{Name: "config", Title: "exceptions that have expired", Findings: 2, Failing: 2},
		},
		Off: []string{"images/latest", "network/open"},
		Rules: []Rule{
			{ID: "config/allowance-expired", Title: "an allowance that has expired", Severity: Error, Why: "It was meant to end.", Fix: "delete it", Link: "https://example.com/allow"},
			{ID: "config/nothing-checked", Title: "a cluster without objects", Severity: Error, Why: "Nothing is no pass.", Fix: "name the folder", Link: "https://example.com/nothing"},
			{ID: "images/no-digest", Title: "an image with a tag and no digest", Severity: Warning, Why: "A tag can be moved.", Fix: "add the digest", Link: "https://example.com/digest"},
			{ID: "schema/unknown-field", Title: "a field that there is not", Severity: Error, Why: "The API server drops it.", Fix: "correct its name", Link: "https://example.com/schema"},
		},
		NotChecked: []Unchecked{
			{Gate: "images", Subject: "CronJob app/backup", Reason: "its image is a variable", Location: Location{"apps/backup.yaml", 12}, Clusters: []string{"home"}},
			{Gate: "render", Subject: "HelmRelease traefik/traefik", Reason: "its chart is not in the cache", Next: "lumacore check --fetch", Location: Location{"infrastructure/traefik.yaml", 3}, Clusters: []string{"home", "lab"}},
			{Gate: "render", Subject: "HelmRelease longhorn/longhorn", Reason: "its chart is not in the cache", Next: "lumacore check --fetch", Location: Location{"infrastructure/longhorn.yaml", 3}, Clusters: []string{"home"}},
			{Gate: "render", Subject: hostile, Reason: "two\nlines", Clusters: []string{"lab"}},
		},
		Placeholders: []Placeholder{
			{Secret: "Secret app/read", From: "OnePasswordItem app/read", Type: "Opaque", Clusters: []string{"home"}, Location: Location{"apps/secret.yaml", 1}},
			{Secret: "Secret app/write", From: "SOPS", Clusters: []string{"home", "lab"}, Location: Location{"apps/secret.sops.yaml", 1}},
		},
		NotRun: []NotRun{{Needs: "--changed-since", Rules: []string{"promotion/prod"}}, {Needs: "--dry-run", Rules: []string{"dryrun/refused", "dryrun/warned"}}},
		Base:   &Base{Revision: "origin/main", Commit: "45121baf60bdea2c4da09e2463bfbfd8bb4aea97", Findings: 1, Suppressed: 2, NotChecked: 3},
	}
	add := func(f Finding) {
		f.Severity = map[string]Severity{"images/no-digest": Warning}[f.Rule]
		if f.Severity == "" {
			f.Severity = Error
		}
		for _, rule := range r.Rules {
			if rule.ID == f.Rule && f.Fix == "" {
				f.Fix = rule.Fix
			}
		}
		r.Findings = append(r.Findings, f)
	}
	home, both := []string{"home"}, []string{"home", "lab"}
	// One line, several objects.
	for _, env := range []string{"dev", "prod", "qa", "staging"} {
		add(Finding{
			Rule: "images/no-digest", Message: "image ghcr.io/example/beacon:1.2.3 has no digest", Source: "image: ghcr.io/example/beacon:1.2.3",
			Location: Location{"apps/beacon/deployment.yaml", 23}, Object: "Deployment beacon-" + env + "/beacon",
			Clusters: home, Kustomization: "flux-system/apps-" + env, Environment: env,
		})
	}
	// A chart with many.
	for _, c := range []string{"a", "b", "c", "d", "e", "f", "g"} {
		add(Finding{
			Rule: "images/no-digest", Message: "image docker.io/grafana/" + c + ":1 has no digest", Source: "kind: HelmRelease",
			Location: Location{"infrastructure/loki.yaml", 2}, Object: "StatefulSet monitoring/" + c, Clusters: both,
			Kustomization: "flux-system/infra", HelmRelease: "monitoring/loki", Template: "loki/templates/" + c + ".yaml",
		})
	}
	add(Finding{
		Rule: "schema/unknown-field", Message: "spec.replica is no field of Deployment.apps/v1; did you mean replicas?", Source: "replica: 2",
		Location: Location{"apps/beacon/deployment.yaml", 9}, Object: "Deployment beacon-prod/beacon", Clusters: both, Kustomization: "flux-system/apps-prod", Environment: "prod",
	})
	add(Finding{
		Rule: "schema/unknown-field", Message: "first line\nsecond line\r\n\x1b[31mthird\n", Source: hostile, Fix: "two\nlines " + hostile,
		Location: Location{"apps/a b/#1?x=:é.yaml", 7}, Object: "ConfigMap " + hostile, Clusters: home, Kustomization: hostile, HelmRelease: hostile, Template: hostile, Environment: hostile,
	})
	add(Finding{Rule: "schema/unknown-field", Message: strings.Repeat("very long ", 1000), Location: Location{File: "::error file=x::y"}})
	add(Finding{Rule: "config/nothing-checked", Message: "no object was rendered of cluster lab", Clusters: []string{"lab"}})
	add(Finding{Rule: "config/allowance-expired", Message: "the allowance held until 2026-10-31", Location: Location{"lumacore.yaml", 12}, Source: "- rule: images/no-digest"})
	add(Finding{
		Rule: "images/no-digest", Message: "image a:1 has no digest", Location: Location{"apps/a.yaml", 5}, Object: "Pod app/a", Clusters: home,
		Suppressed: &Suppression{By: "annotation", Reason: "built on the cluster"},
	})
	for _, n := range []string{"b", "c"} {
		add(Finding{
			Rule: "images/no-digest", Message: "image b:1 has no digest", Location: Location{"apps/" + n + ".yaml", 5}, Object: "Pod app/" + n, Clusters: home,
			Suppressed: &Suppression{By: "lumacore.yaml:20", Reason: "no stable digests " + hostile, Expires: "2027-01-31"},
		})
	}
	slices.SortFunc(r.Findings, Finding.Compare)
	SetFingerprints(r.Findings)
	return r
}

// emptyReport is one of a repository that is fine.
func emptyReport() *CheckReport {
	return &CheckReport{
		TypeMeta: Meta("CheckReport"), KubeVersion: "1.36", FailOn: Error,
		Clusters: []ClusterSeen{{Name: "home", Path: "clusters/home", Kustomizations: 1, Built: 1, Objects: 3, Pods: 1}},
		Gates:    []GateResult{{Name: "images", Title: "images that can change"}},
		Off:      []string{}, Findings: []Finding{}, NotChecked: []Unchecked{}, Placeholders: []Placeholder{}, NotRun: []NotRun{},
		Rules: []Rule{{ID: "images/no-digest", Title: "an image with a tag and no digest", Severity: Warning, Why: "A tag can be moved.", Fix: "add the digest", Link: "https://example.com/digest"}},
	}
}

// nothingReport is one of a repository without clusters.
func nothingReport() *CheckReport {
	r := emptyReport()
	r.Clusters = []ClusterSeen{}
	r.Gates = append(r.Gates, GateResult{Name: "config", Title: "checks that look at nothing", Findings: 1, Failing: 1})
	rule := Rule{ID: "config/nothing-checked", Title: "a cluster without objects", Severity: Error, Why: "Nothing is no pass.", Fix: "name the folder", Link: "https://example.com/nothing"}
	r.Rules = append([]Rule{rule}, r.Rules...)
	r.Findings = []Finding{{Rule: rule.ID, Severity: Error, Message: "no cluster was found: nothing was checked", Fix: rule.Fix}}
	SetFingerprints(r.Findings)
	return r
}

func write(t *testing.T, f Format, r *CheckReport) []byte {
	t.Helper()
	var buf bytes.Buffer
	if err := encode(&Streams{}, &buf, f, r, true); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

var formats = []Format{Text, JSON, SARIF, JUnit, CodeQuality}

func TestCheckReportFormats(t *testing.T) {
	for name, r := range map[string]*CheckReport{"rich": exampleReport(), "clean": emptyReport(), "nothing": nothingReport()} {
		for _, f := range formats {
			t.Run(name+"/"+string(f), func(t *testing.T) {
				got := write(t, f, r)
				golden.Check(t, "check-"+name+"."+string(f), got)
				if again := write(t, f, r); !bytes.Equal(got, again) {
					t.Error("the second time it is written it is another text")
				}
			})
		}
	}
}

// TestCheckTextIsSafe: nothing in a repository reaches the terminal as a control
// character, and no line begins like a command of a CI system.
func TestCheckTextIsSafe(t *testing.T) {
	for _, l := range strings.Split(strings.TrimSuffix(string(write(t, Text, exampleReport())), "\n"), "\n") {
		for _, c := range l {
			if c < ' ' || c >= 0x7f && c < 0xa0 || c == '\u202e' {
				t.Errorf("control character %U in %q", c, l)
			}
		}
		if strings.HasPrefix(strings.TrimSpace(l), "::") {
			t.Errorf("a command of GitHub's: %q", l)
		}
		if len(l) > 3000 {
			t.Errorf("a line of %d bytes: %.80q…", len(l), l)
		}
	}
}

// TestCheckTextColor: colour is on a terminal alone.
func TestCheckTextColor(t *testing.T) {
	s := &Streams{OutTTY: true, Color: true}
	var buf bytes.Buffer
	if err := encode(s, &buf, Text, exampleReport(), true); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"\x1b[31merror  \x1b[0m schema/unknown-field", "\x1b[33mwarning\x1b[0m images/no-digest", "\x1b[31mFAILED\x1b[0m: 5 errors"} {
		if !strings.Contains(buf.String(), want) {
			t.Errorf("no %q in\n%s", want, buf.String())
		}
	}
	buf.Reset()
	if err := encode(s, &buf, Text, exampleReport(), false); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(buf.String(), "\x1b") {
		t.Error("colour in a file")
	}
}

func TestVerdict(t *testing.T) {
	warned := emptyReport()
	warned.Findings = []Finding{{Rule: "images/no-digest", Severity: Warning}, {Rule: "images/no-digest", Severity: Info}, {Rule: "images/no-digest", Severity: Error, Suppressed: &Suppression{}}}
	warned.NotChecked = []Unchecked{{}}
	strict := emptyReport()
	strict.Findings, strict.Gates[0].Failing = warned.Findings[:1], 1
	short := emptyReport()
	short.Gates[0].Findings, short.Gates[0].Failing = 4, 1
	short.FailOn, short.Findings = Warning, []Finding{
		{Rule: "images/no-digest", Severity: Warning},
		{Rule: "images/no-digest", Severity: Info},
		{Rule: "images/no-digest", Severity: Info},
		{Rule: "images/no-digest", Severity: Warning, Suppressed: &Suppression{}},
	}
	short.Show(Error)
	none := emptyReport()
	none.Clusters[0].Objects = 0
	for name, tt := range map[string]struct {
		report *CheckReport
		failed bool
		want   string
	}{
		"fine":                        {emptyReport(), false, "passed: no findings"},
		"below the limit":             {warned, false, "passed: 1 warning, 1 for information, 1 not checked"},
		"at the limit":                {strict, true, "FAILED: 1 warning"},
		"findings":                    {exampleReport(), true, "FAILED: 5 errors, 11 warnings, 4 not checked"},
		"findings that are not shown": {short, true, "FAILED: 1 warning not shown, 2 for information not shown"},
		"no cluster":                  {nothingReport(), true, "FAILED: nothing was checked, because no cluster has an object"},
		"a cluster of no objects":     {none, true, "FAILED: nothing was checked, because no cluster has an object"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := tt.report.Failed(); got != tt.failed {
				t.Errorf("Failed() = %v, want %v", got, tt.failed)
			}
			text := strings.TrimSpace(string(write(t, Text, tt.report)))
			if last := text[strings.LastIndex(text, "\n")+1:]; last != tt.want {
				t.Errorf("last line %q, want %q", last, tt.want)
			}
		})
	}
}

func instance(t *testing.T, data []byte) any {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

// TestSARIFSchema holds the SARIF form against the official schema.
func TestSARIFSchema(t *testing.T) {
	schema, _ := schematest.File(t, "testdata/sarif-schema-2.1.0.json")
	for name, r := range map[string]*CheckReport{"rich": exampleReport(), "clean": emptyReport(), "nothing": nothingReport()} {
		if err := schema.Validate(instance(t, write(t, SARIF, r))); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	broken := bytes.Replace(write(t, SARIF, exampleReport()), []byte(`"startLine": 23`), []byte(`"startLine": 0`), 1)
	if err := schema.Validate(instance(t, broken)); err == nil {
		t.Error("the schema takes line 0: does it look at anything?")
	}
}

// TestSARIFResults: what the schema does not say and GitLab and GitHub want.
func TestSARIFResults(t *testing.T) {
	r := exampleReport()
	var log sarifLog
	if err := json.Unmarshal(write(t, SARIF, r), &log); err != nil {
		t.Fatal(err)
	}
	run := log.Runs[0]
	if len(run.Results) != len(r.Findings) || len(run.Invocations[0].Notifications) != len(r.NotChecked)+len(r.NotRun) {
		t.Fatalf("%d results and %d notifications for %d findings and %d things not checked",
			len(run.Results), len(run.Invocations[0].Notifications), len(r.Findings), len(r.NotChecked))
	}
	prints := map[string]bool{}
	for i, res := range run.Results {
		f := r.Findings[i]
		print := res.PartialFingerprints[sarifFingerprint]
		switch at := res.Locations[0].Physical; {
		case res.RuleID != f.Rule || run.Tool.Driver.Rules[res.RuleIndex].ID != f.Rule:
			t.Errorf("result %d: rule %s, index %d; want %s", i, res.RuleID, res.RuleIndex, f.Rule)
		case at.Artifact.URI == "" || strings.HasPrefix(at.Artifact.URI, "/") || strings.ContainsAny(at.Artifact.URI, " \\") || at.Region.StartLine < 1:
			t.Errorf("result %d is at %q, line %d", i, at.Artifact.URI, at.Region.StartLine)
		case print == "" || prints[print]:
			t.Errorf("result %d: fingerprint %q is empty or not the only one", i, print)
		case res.Suppressions == nil || len(res.Suppressions) > 0 != (f.Suppressed != nil):
			t.Errorf("result %d: suppressions %v, want those of %v", i, res.Suppressions, f.Suppressed)
		}
		prints[print] = true
	}
	unknown := emptyReport()
	unknown.Findings = []Finding{{Rule: "images/other"}}
	if err := unknown.SARIF(io.Discard); err == nil || err.Error() != "the report has a finding of images/other, and no such rule" {
		t.Errorf("a finding without a rule: %v", err)
	}
	if text := string(write(t, SARIF, emptyReport())); strings.Contains(text, "suppressions") || strings.Contains(text, "null") {
		t.Errorf("a report without suppressions:\n%s", text)
	}
}

// TestJUnitCounts: the XML is well-formed, and the numbers are those of its tests.
func TestJUnitCounts(t *testing.T) {
	for name, r := range map[string]*CheckReport{"rich": exampleReport(), "clean": emptyReport(), "nothing": nothingReport()} {
		t.Run(name, func(t *testing.T) {
			var got junitSuites
			if err := xml.Unmarshal(write(t, JUnit, r), &got); err != nil {
				t.Fatal(err)
			}
			var tests, failures, skipped int
			for _, s := range got.Suites {
				var sf, ss int
				names := map[string]bool{}
				for _, c := range s.Cases {
					if key := c.Class + "\n" + c.Name; names[key] {
						t.Errorf("suite %s has test %q twice", s.Name, key)
					} else {
						names[key] = true
					}
					if c.Failure != nil {
						sf++
					}
					if c.Skipped != nil {
						ss++
					}
				}
				if want := [3]int{len(s.Cases), sf, ss}; want != [3]int{s.Tests, s.Failures, s.Skipped} {
					t.Errorf("suite %s says %d tests, %d failures, %d skipped; it has %v", s.Name, s.Tests, s.Failures, s.Skipped, want)
				}
				tests, failures, skipped = tests+s.Tests, failures+sf, skipped+ss
			}
			if want := [3]int{tests, failures, skipped}; want != [3]int{got.Tests, got.Failures, got.Skipped} {
				t.Errorf("the report says %d tests, %d failures, %d skipped; its suites have %v", got.Tests, got.Failures, got.Skipped, want)
			}
			count := 0
			for _, f := range r.Findings {
				if f.Suppressed == nil && f.Severity.AtLeast(r.FailOn) {
					count++
				}
			}
			if failures != count || failures > 0 != r.Failed() {
				t.Errorf("%d failures for %d findings that make the check fail", failures, count)
			}
		})
	}
}

// TestJUnitBelowLimit: what does not make the check fail is a test that passes, and
// says what was found.
func TestJUnitBelowLimit(t *testing.T) {
	t.Parallel()
	r := emptyReport()
	r.Findings = []Finding{{Rule: "images/no-digest", Severity: Warning, Message: "image a:1 has no digest", Fix: "add it", Location: Location{"a.yaml", 3}, Object: "Pod app/a"}}
	suite := func() junitSuite {
		var got junitSuites
		if err := xml.Unmarshal(write(t, JUnit, r), &got); err != nil {
			t.Fatal(err)
		}
		return got.Suites[0]
	}
	c := junitCase{Name: "Pod app/a: image a:1 has no digest", Class: "images/no-digest", File: "a.yaml", Line: 3}
	text := "a.yaml:3: warning images/no-digest\nimage a:1 has no digest\nobject: Pod app/a\nfix: add it\n"
	passes, fails := c, c
	passes.Output, fails.Failure = &junitOutput{text}, &junitFailure{"warning", "image a:1 has no digest", text}
	if diff := cmp.Diff(junitSuite{Name: "images", Tests: 1, Cases: []junitCase{passes}}, suite()); diff != "" {
		t.Errorf("below the limit (-want +got):\n%s", diff)
	}
	r.FailOn = Warning
	if diff := cmp.Diff(junitSuite{Name: "images", Tests: 1, Failures: 1, Cases: []junitCase{fails}}, suite()); diff != "" {
		t.Errorf("at the limit (-want +got):\n%s", diff)
	}
}

// TestPrefix: readers of SARIF, JUnit and Code Quality know the work tree alone; the
// report's own paths begin in the folder that was checked.
func TestPrefix(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		report *CheckReport
		own    []string
		found  map[Format][]string
	}{
		"a finding": {
			exampleReport(),
			[]string{"apps/beacon/deployment.yaml", `"prefix": "mono/fleet/"`},
			map[Format][]string{
				SARIF:       {`"uri": "mono/fleet/apps/beacon/deployment.yaml"`, `"uri": "mono/fleet/apps/backup.yaml"`, `"uri": "mono/fleet/clusters/lab"`},
				JUnit:       {`file="mono/fleet/apps/beacon/deployment.yaml"`, `file="mono/fleet/apps/backup.yaml"`, `file="mono/fleet/clusters/lab"`},
				CodeQuality: {`"path": "mono/fleet/apps/beacon/deployment.yaml"`, `"path": "mono/fleet/apps/backup.yaml"`, `"path": "mono/fleet/clusters/lab"`},
			},
		},
		"no place": {
			nothingReport(),
			[]string{`"prefix": "mono/fleet/"`},
			map[Format][]string{
				SARIF: {`"uri": "mono/fleet/lumacore.yaml"`}, JUnit: {`file="mono/fleet/lumacore.yaml"`}, CodeQuality: {`"path": "mono/fleet/lumacore.yaml"`},
			},
		},
	} {
		r := tt.report
		before := string(write(t, Text, r))
		r.Prefix = "mono/fleet/"
		if after := string(write(t, Text, r)); after != before {
			t.Errorf("%s: the text has it too:\n%s", name, cmp.Diff(before, after))
		}
		tt.found[JSON] = tt.own
		for f, list := range tt.found {
			got := string(write(t, f, r))
			for _, want := range list {
				if !strings.Contains(got, want) {
					t.Errorf("%s: %s has no %s", name, f, want)
				}
			}
			if f == JSON && strings.Count(got, "mono/fleet") != 1 {
				t.Errorf("%s: the paths in JSON have it too", name)
			}
		}
	}
}

// TestCheckTextFolds: what repeats itself is counted; what is an error of its own is
// always said.
func TestCheckTextFolds(t *testing.T) {
	t.Parallel()
	r := emptyReport()
	rule := Rule{ID: "schema/type", Severity: Error}
	for i := range 9 {
		message := "spec.replicas of " + strconv.Itoa(min(i, 7)) + " is no number\nbut text"
		r.Findings = append(r.Findings,
			Finding{Rule: rule.ID, Severity: Error, Message: message, Fix: "correct it", Location: Location{"a.yaml", 10 + i}, Source: "replicas: x"},
			Finding{Rule: "images/no-digest", Severity: Warning, Message: message, Location: Location{"a.yaml", 10 + i}})
	}
	r.Findings = append(r.Findings, Finding{Rule: "schema/other", Severity: Error, Message: "last", Location: Location{"a.yaml", 17}, Source: "replicas: x"})
	text := string(write(t, Text, r))
	_, tail, _ := strings.Cut(text, "    15 error ")
	tail, _, _ = strings.Cut(tail, "\n\n")
	want := `  schema/type  spec.replicas of 5 is no number
    16 error   schema/type  spec.replicas of 6 is no number
    17 error   schema/type  spec.replicas of 7 is no number
    17 error   schema/other  last
     │ replicas: x
     … and 4 more of images/no-digest in this file with the same fix, in lines 15, 16, 17, 18
     … and 1 more of schema/type in this file with the same fix, in line 18`
	if diff := cmp.Diff(want, tail); diff != "" {
		t.Errorf("the end of the file (-want +got):\n%s", diff)
	}
}

// TestCodeQuality: what GitLab wants of each entry.
func TestCodeQuality(t *testing.T) {
	var issues []qualityIssue
	if err := json.Unmarshal(write(t, CodeQuality, exampleReport()), &issues); err != nil {
		t.Fatal(err)
	}
	prints, names := map[string]bool{}, map[string]int{}
	for i, issue := range issues {
		if issue.Description == "" || strings.ContainsAny(issue.Description, "\n\r") || prints[issue.Fingerprint] || len(issue.Fingerprint) != 32 ||
			!slices.Contains([]string{"info", "major", "critical"}, issue.Severity) ||
			issue.Location.Path == "" || strings.HasPrefix(issue.Location.Path, "/") || issue.Location.Lines.Begin < 1 {
			t.Errorf("entry %d: %+v", i, issue)
		}
		prints[issue.Fingerprint] = true
		names[issue.CheckName]++
	}
	want := map[string]int{
		"config/allowance-expired": 1, "config/nothing-checked": 1, "images/no-digest": 11, "schema/unknown-field": 3,
		"not-checked/images": 1, "not-checked/render": 3,
	}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("entries by name (-want +got):\n%s", diff)
	}
}

// TestPlace: a finding without a place gets one that exists.
func TestPlace(t *testing.T) {
	r := exampleReport()
	r.Clusters = append(r.Clusters, ClusterSeen{Name: "root", Path: "."})
	for name, tt := range map[string]struct {
		at       Location
		clusters []string
		want     Location
	}{
		"its own":          {Location{"a.yaml", 3}, []string{"home"}, Location{"a.yaml", 3}},
		"no line":          {Location{File: "a.yaml"}, nil, Location{"a.yaml", 1}},
		"a cluster":        {Location{}, []string{"lab", "home"}, Location{"clusters/lab", 1}},
		"the root":         {Location{}, []string{"root"}, Location{"lumacore.yaml", 1}},
		"nothing at all":   {Location{}, nil, Location{"lumacore.yaml", 1}},
		"unknown clusters": {Location{}, []string{"x"}, Location{"lumacore.yaml", 1}},
	} {
		if diff := cmp.Diff(tt.want, r.place(tt.at, tt.clusters)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestSetFingerprints(t *testing.T) {
	at := func(line int) Finding {
		return Finding{Rule: "images/no-digest", Location: Location{"a.yaml", line}, Object: "Pod app/a", Message: "m"}
	}
	prints := func(list ...Finding) []string {
		SetFingerprints(list)
		var out []string
		for _, f := range list {
			out = append(out, f.Fingerprint)
		}
		return out
	}
	first, moved := prints(at(1), at(5)), prints(at(11), at(15))
	if !slices.Equal(first, moved) || first[0] == first[1] {
		t.Errorf("before the lines moved %q, after %q", first, moved)
	}
	if one := prints(at(7)); one[0] != first[0] {
		t.Errorf("alone it is %q, among others %q", one[0], first[0])
	}
	for name, change := range map[string]func(*Finding){
		"rule": func(f *Finding) { f.Rule = "x/y" }, "file": func(f *Finding) { f.Location.File = "b.yaml" },
		"object": func(f *Finding) { f.Object = "" }, "message": func(f *Finding) { f.Message = "n" },
		"kustomization": func(f *Finding) { f.Kustomization = "x" }, "release": func(f *Finding) { f.HelmRelease = "x" },
		"template": func(f *Finding) { f.Template = "x" },
	} {
		f := at(1)
		change(&f)
		if prints(f)[0] == first[0] {
			t.Errorf("another %s has the same fingerprint", name)
		}
	}
	for name, change := range map[string]func(*Finding){
		"severity": func(f *Finding) { f.Severity = Info }, "source": func(f *Finding) { f.Source = "x" }, "fix": func(f *Finding) { f.Fix = "x" },
		"clusters": func(f *Finding) { f.Clusters = []string{"x"} },
	} {
		f := at(1)
		change(&f)
		if prints(f)[0] != first[0] {
			t.Errorf("another %s has another fingerprint", name)
		}
	}
}

const checkSchema = "../../docs/reference/check-report.schema.json"

func TestCheckSchemaAccepts(t *testing.T) {
	schema, _ := schematest.File(t, checkSchema)
	for name, r := range map[string]*CheckReport{"rich": exampleReport(), "clean": emptyReport(), "nothing": nothingReport()} {
		if err := schema.Validate(instance(t, write(t, JSON, r))); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A schema that takes everything would pass the test above too.
func TestCheckSchemaRefuses(t *testing.T) {
	schema, _ := schematest.File(t, checkSchema)
	for name, spoil := range map[string]func(*CheckReport){
		"another kind":                 func(r *CheckReport) { r.Kind = "LabReport" },
		"null for a list":              func(r *CheckReport) { r.Findings = nil },
		"a severity that there is not": func(r *CheckReport) { r.Findings[0].Severity = "off" },
		"no limit":                     func(r *CheckReport) { r.FailOn = "" },
		"a rule without a gate":        func(r *CheckReport) { r.Findings[0].Rule = "no-digest" },
		"no message":                   func(r *CheckReport) { r.Findings[0].Message = "" },
		"no fingerprint":               func(r *CheckReport) { r.Findings[0].Fingerprint = "" },
		"a line before the first":      func(r *CheckReport) { r.Findings[0].Location.Line = -1 },
		"a suppression of no reason":   func(r *CheckReport) { r.Findings[0].Suppressed = &Suppression{By: "annotation"} },
		"a gate of no name":            func(r *CheckReport) { r.Gates[0].Name = "" },
		"fewer than no objects":        func(r *CheckReport) { r.Clusters[0].Objects = -1 },
		"nothing that was not checked": func(r *CheckReport) { r.NotChecked[0].Subject = "" },
		"a placeholder of no cluster":  func(r *CheckReport) { r.Placeholders[0].Clusters = nil },
	} {
		t.Run(name, func(t *testing.T) {
			r := exampleReport()
			spoil(r)
			if err := schema.Validate(instance(t, write(t, JSON, r))); err == nil {
				t.Error("the schema takes it")
			}
		})
	}
}

// TestCheckSchemaNamesEveryField holds the schema's properties against the fields
// of the Go types, and what it requires against what is always written.
func TestCheckSchemaNamesEveryField(t *testing.T) {
	_, doc := schematest.File(t, checkSchema)
	defs := doc["$defs"].(map[string]any)
	for _, c := range []struct {
		name   string
		schema any
		goType reflect.Type
	}{
		{"the report", doc, reflect.TypeFor[CheckReport]()},
		{"cluster", defs["cluster"], reflect.TypeFor[ClusterSeen]()},
		{"gate", defs["gate"], reflect.TypeFor[GateResult]()},
		{"finding", defs["finding"], reflect.TypeFor[Finding]()},
		{"suppression", defs["suppression"], reflect.TypeFor[Suppression]()},
		{"location", defs["location"], reflect.TypeFor[Location]()},
		{"unchecked", defs["unchecked"], reflect.TypeFor[Unchecked]()},
		{"placeholder", defs["placeholder"], reflect.TypeFor[Placeholder]()},
		{"notRun", defs["notRun"], reflect.TypeFor[NotRun]()},
		{"base", defs["base"], reflect.TypeFor[Base]()},
	} {
		schema := c.schema.(map[string]any)
		var properties, required []string
		for p := range schema["properties"].(map[string]any) {
			properties = append(properties, p)
		}
		list, _ := schema["required"].([]any)
		for _, r := range list {
			required = append(required, r.(string))
		}
		var wantProperties, wantRequired []string
		for _, f := range reflect.VisibleFields(c.goType) {
			name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
			if f.Anonymous || name == "-" {
				continue
			}
			wantProperties = append(wantProperties, name)
			if !strings.Contains(options, "omit") {
				wantRequired = append(wantRequired, name)
			}
		}
		for _, list := range [][]string{properties, required, wantProperties, wantRequired} {
			slices.Sort(list)
		}
		if diff := cmp.Diff(wantProperties, properties); diff != "" {
			t.Errorf("properties of %s (-Go +schema):\n%s", c.name, diff)
		}
		if diff := cmp.Diff(wantRequired, required); diff != "" {
			t.Errorf("what %s requires (-Go +schema):\n%s", c.name, diff)
		}
	}
}

// TestFormatsWithoutMethod: a document that has no such form says so.
func TestFormatsWithoutMethod(t *testing.T) {
	for _, f := range []Format{SARIF, JUnit, CodeQuality, YAML, List, Markdown, "xml"} {
		err := encode(&Streams{}, io.Discard, f, doc{}, true)
		if want := "report.doc has no form " + string(f); err == nil || err.Error() != want {
			t.Errorf("error %v, want: %s", err, want)
		}
	}
}
