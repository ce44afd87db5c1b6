package configs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// docsURL is where the blueprint's own site is.
func docsURL(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(blueprint, "clusters/lumacore/settings.env"))
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`(?m)^DOCS_URL=(.+)$`).FindSubmatch(data)
	if m == nil {
		t.Fatal("settings.env has no DOCS_URL")
	}
	return string(m[1])
}

var alertHeading = regexp.MustCompile(`(?m)^### (\S+)$`)

// runbooks holds the links of alerts against the page with a heading for each: none leads
// nowhere, and no heading is of an alert that is gone.
func runbooks(site string, specs []ruleSpec, page string) error {
	headings := map[string]bool{}
	for _, m := range alertHeading.FindAllStringSubmatch(page, -1) {
		headings[m[1]] = true
	}
	var errs []error
	for _, s := range specs {
		for _, g := range s.Groups {
			for _, r := range g.Rules {
				if r.Alert == "" {
					continue
				}
				if want, got := site+"/alerts/#"+strings.ToLower(r.Alert), r.Annotations["runbook_url"]; got != want {
					errs = append(errs, fmt.Errorf("alert %s: runbook_url is %q, want %q", r.Alert, got, want))
				}
				if !headings[r.Alert] {
					errs = append(errs, fmt.Errorf("alert %s: docs/alerts.md has no heading \"### %s\": say what to do at night", r.Alert, r.Alert))
				}
				delete(headings, r.Alert)
			}
		}
	}
	for name := range headings {
		errs = append(errs, fmt.Errorf("docs/alerts.md explains %s, and there is no such alert", name))
	}
	return errors.Join(errs...)
}

func TestRunbooks(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(blueprint, "docs/alerts.md"))
	if err != nil {
		t.Fatal(err)
	}
	var specs []ruleSpec
	for _, f := range ruleFiles(t) {
		specs = append(specs, f.spec)
	}
	if err := runbooks(docsURL(t), specs, string(page)); err != nil {
		t.Error(err)
	}

	// Each mistake, planted.
	rules := func(alert, link string) []ruleSpec {
		var s ruleSpec
		text := fmt.Sprintf("groups: [{name: g, rules: [{alert: %s, annotations: {runbook_url: %q}}]}]", alert, link)
		if err := yaml.Unmarshal([]byte(text), &s); err != nil {
			t.Fatal(err)
		}
		return []ruleSpec{s}
	}
	for _, tt := range []struct {
		name, page, alert, link, want string
	}{
		{"alert without page", "### Other\n", "DiskFull", "https://docs/alerts/#diskfull", `alert DiskFull: docs/alerts.md has no heading`},
		{"alert without link", "### DiskFull\n", "DiskFull", "", `alert DiskFull: runbook_url is "", want "https://docs/alerts/#diskfull"`},
		{"link to another heading", "### DiskFull\n", "DiskFull", "https://docs/alerts/#disk-full", `want "https://docs/alerts/#diskfull"`},
		{"page without alert", "### DiskFull\n\n### Gone\n", "DiskFull", "https://docs/alerts/#diskfull", `docs/alerts.md explains Gone, and there is no such alert`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := runbooks("https://docs", rules(tt.alert, tt.link), tt.page)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}
