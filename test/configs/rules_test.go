package configs

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"sigs.k8s.io/yaml"
)

// promtool builds Prometheus' own checker from the version in go.mod, into build/. Service
// discovery is left out: it is half of the program, and no rule needs it.
var promtool = sync.OnceValues(func() (string, error) {
	path, err := filepath.Abs(filepath.Join(root, "build", "promtool"))
	if err != nil {
		return "", err
	}
	_, err = run(context.Background(), ".", "go", "build", "-tags=remove_all_sd", "-o", path, "github.com/prometheus/prometheus/cmd/promtool")
	return path, err
})

// check runs promtool in a folder.
func check(t *testing.T, dir string, args ...string) error {
	t.Helper()
	path, err := promtool()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), path, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("promtool %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return nil
}

// ruleSpec is what of a PrometheusRule Prometheus reads as a file.
type ruleSpec struct {
	Groups []struct {
		Name  string
		Rules []struct {
			Alert, Expr string
			Labels      map[string]string
			Annotations map[string]string
		}
	}
}

// ruleFile is the PrometheusRule of one file of the blueprint.
type ruleFile struct {
	file string // "infrastructure/configs/monitoring/cluster.prometheusrule.yaml"
	raw  []byte // its spec, as YAML
	spec ruleSpec
}

func ruleFiles(t *testing.T) []ruleFile {
	t.Helper()
	var files []ruleFile
	for _, o := range objects(t) {
		if o.Object.Kind != "PrometheusRule" {
			continue
		}
		f := ruleFile{file: o.Location.File}
		var err error
		if f.raw, err = yaml.JSONToYAML(o.Object.Spec); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(o.Object.Spec, &f.spec); err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	if len(files) == 0 {
		t.Fatal("the blueprint renders no PrometheusRule")
	}
	return files
}

// what a rule must say besides what Prometheus asks for.
func convention(s ruleSpec) error {
	var errs []error
	for _, g := range s.Groups {
		for _, r := range g.Rules {
			if r.Alert == "" {
				continue
			}
			if severities := []string{"info", "warning", "critical"}; !slices.Contains(severities, r.Labels["severity"]) {
				errs = append(errs, fmt.Errorf("alert %s: severity is %q, want one of %s: Alertmanager routes by it", r.Alert, r.Labels["severity"], strings.Join(severities, ", ")))
			}
			for _, a := range []string{"summary", "description"} {
				if r.Annotations[a] == "" {
					errs = append(errs, fmt.Errorf("alert %s: annotation %s is missing: it is what the message says", r.Alert, a))
				}
			}
		}
	}
	return errors.Join(errs...)
}

func TestRules(t *testing.T) {
	alerts := map[string]string{}
	for _, f := range ruleFiles(t) {
		t.Run(f.file, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "rules.yaml"), f.raw, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := check(t, dir, "check", "rules", "--lint=all", "--lint-fatal", "rules.yaml"); err != nil {
				t.Error(err)
			}
			if err := convention(f.spec); err != nil {
				t.Error(err)
			}
			for _, g := range f.spec.Groups {
				for _, r := range g.Rules {
					if r.Alert == "" {
						continue
					}
					if at, ok := alerts[r.Alert]; ok && at != f.file {
						t.Errorf("alert %s is in %s too: Alertmanager groups and inhibits by name", r.Alert, at)
					}
					alerts[r.Alert] = f.file
				}
			}
		})
	}
}

// unitTest is the part of promtool's format from which to tell what is tested.
type unitTest struct {
	RuleFiles []string `json:"rule_files"`
	Tests     []struct {
		AlertRuleTest []struct {
			Alertname string `json:"alertname"`
			ExpAlerts []any  `json:"exp_alerts"`
		} `json:"alert_rule_test"`
	} `json:"tests"`
}

// untested names the alerts that no test sees firing, or none sees silent: a rule that
// always fires passes the first, one that never does the second.
func untested(spec ruleSpec, test unitTest) error {
	fires, silent := map[string]bool{}, map[string]bool{}
	for _, group := range test.Tests {
		for _, a := range group.AlertRuleTest {
			if len(a.ExpAlerts) > 0 {
				fires[a.Alertname] = true
			} else {
				silent[a.Alertname] = true
			}
		}
	}
	var errs []error
	for _, g := range spec.Groups {
		for _, r := range g.Rules {
			if r.Alert != "" && !fires[r.Alert] {
				errs = append(errs, fmt.Errorf("alert %s: no test sees it firing", r.Alert))
			}
			if r.Alert != "" && !silent[r.Alert] {
				errs = append(errs, fmt.Errorf("alert %s: no test sees it silent (exp_alerts: [])", r.Alert))
			}
		}
	}
	return errors.Join(errs...)
}

// TestRuleUnitTests runs the unit tests that stand beside the rules: NAME.prometheusrule.yaml
// is tested by NAME.prometheusrule.test.yaml.
func TestRuleUnitTests(t *testing.T) {
	for _, f := range ruleFiles(t) {
		t.Run(f.file, func(t *testing.T) {
			name := filepath.Base(f.file)
			beside := strings.TrimSuffix(name, ".yaml") + ".test.yaml"
			data, err := os.ReadFile(filepath.Join(blueprint, filepath.Dir(f.file), beside))
			if err != nil {
				t.Fatalf("the rules have no unit tests: %v", err)
			}
			// What the file expects is as unrendered as the rule beside it.
			data = bytes.ReplaceAll(data, []byte("${DOCS_URL}"), []byte(docsURL(t)))
			dir := t.TempDir()
			for name, data := range map[string][]byte{name: f.raw, beside: data} {
				if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if err := check(t, dir, "test", "rules", beside); err != nil {
				t.Error(err)
			}
			var test unitTest
			if err := yaml.Unmarshal(data, &test); err != nil {
				t.Fatal(err)
			}
			if !slices.Contains(test.RuleFiles, name) {
				t.Errorf("%s does not read %s", beside, name)
			}
			if err := untested(f.spec, test); err != nil {
				t.Error(err)
			}
		})
	}
}

// What promtool and the conventions find in rules and tests with one mistake each.
func TestInvalidRules(t *testing.T) {
	for f, message := range invalid(t, ".rules.yaml") {
		t.Run(filepath.Base(f), func(t *testing.T) {
			err := check(t, ".", "check", "rules", "--lint=all", "--lint-fatal", f)
			if err == nil {
				data, readErr := os.ReadFile(f)
				var spec ruleSpec
				if readErr = errors.Join(readErr, yaml.Unmarshal(data, &spec)); readErr != nil {
					t.Fatal(readErr)
				}
				err = convention(spec)
			}
			wantFound(t, err, message)
		})
	}
	for f, message := range invalid(t, ".test.yaml") {
		t.Run(filepath.Base(f), func(t *testing.T) {
			err := check(t, ".", "test", "rules", f)
			if err == nil {
				var spec ruleSpec
				var test unitTest
				rules, readErr := os.ReadFile("testdata/valid.rules.yaml")
				data, readErr2 := os.ReadFile(f)
				if readErr = errors.Join(readErr, readErr2, yaml.Unmarshal(rules, &spec), yaml.Unmarshal(data, &test)); readErr != nil {
					t.Fatal(readErr)
				}
				err = untested(spec, test)
			}
			wantFound(t, err, message)
		})
	}
}
