package updates

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/bmatcuk/doublestar/v4"
	"github.com/tailscale/hujson"
)

// config is what the tests read of renovate.json5. Renovate's own validator reads all of it
// (make test-updates).
type config struct {
	EnabledManagers []string        `json:"enabledManagers"`
	IgnorePaths     []string        `json:"ignorePaths"`
	Labels          []string        `json:"labels"`
	CustomManagers  []customManager `json:"customManagers"`
	PackageRules    []rule          `json:"packageRules"`
	Settings        settings        `json:"-"`
}

type customManager struct {
	ManagerFilePatterns []string `json:"managerFilePatterns"`
	MatchStrings        []string `json:"matchStrings"`
	DatasourceTemplate  string   `json:"datasourceTemplate"`
}

// settings are those that decide where an update goes.
type settings struct {
	Enabled           *bool    `json:"enabled"`
	Automerge         *bool    `json:"automerge"`
	Approval          *bool    `json:"dependencyDashboardApproval"`
	MinimumReleaseAge string   `json:"minimumReleaseAge"`
	AgeBehaviour      string   `json:"minimumReleaseAgeBehaviour"`
	GroupName         string   `json:"groupName"`
	Schedule          []string `json:"schedule"`
	AllowedVersions   string   `json:"allowedVersions"`
	PRBodyNotes       []string `json:"prBodyNotes"`
	AddLabels         []string `json:"addLabels"`
}

type rule struct {
	settings
	Description  string   `json:"description"`
	Managers     []string `json:"matchManagers"`
	Datasources  []string `json:"matchDatasources"`
	DepTypes     []string `json:"matchDepTypes"`
	FileNames    []string `json:"matchFileNames"`
	PackageNames []string `json:"matchPackageNames"`
	UpdateTypes  []string `json:"matchUpdateTypes"`
}

func parse(t *testing.T) config {
	t.Helper()
	source, err := fs.ReadFile(shipped(), "renovate.json5")
	if err != nil {
		t.Fatal(err)
	}
	data, err := hujson.Standardize(slices.Clone(source))
	if err != nil {
		t.Fatalf("renovate.json5: %v", err)
	}
	var c config
	var raw struct {
		PackageRules []map[string]any `json:"packageRules"`
	}
	for _, into := range []any{&c, &c.Settings, &raw} {
		if err := json.Unmarshal(data, into); err != nil {
			t.Fatalf("renovate.json5: %v", err)
		}
	}
	// A condition that the tests do not know would make each answer of theirs wrong.
	known := []string{"matchManagers", "matchDatasources", "matchDepTypes", "matchFileNames", "matchPackageNames", "matchUpdateTypes"}
	for i, r := range raw.PackageRules {
		for key := range r {
			if (strings.HasPrefix(key, "match") || strings.HasPrefix(key, "exclude")) && !slices.Contains(known, key) {
				t.Fatalf("packageRules[%d]: these tests do not know %s", i, key)
			}
		}
		if c.PackageRules[i].Description == "" {
			t.Errorf("packageRules[%d] has no description", i)
		}
	}
	return c
}

// matches is Renovate's reading of a pattern: /regular expression/ or glob.
// https://docs.renovatebot.com/string-pattern-matching/
func matches(t *testing.T, patterns []string, s string) bool {
	t.Helper()
	for _, p := range patterns {
		if strings.HasPrefix(p, "!") {
			t.Fatalf("these tests do not know negated patterns: %s", p)
		}
		if re, ok := strings.CutPrefix(p, "/"); ok && strings.HasSuffix(re, "/") {
			if regexp.MustCompile(strings.TrimSuffix(re, "/")).MatchString(s) {
				return true
			}
			continue
		}
		ok, err := doublestar.Match(p, s)
		if err != nil {
			t.Fatalf("%s: %v", p, err)
		}
		if ok {
			return true
		}
	}
	return false
}

// An update is what the conditions of rules look at.
type update struct {
	dependency
	updateType string
}

// decide applies the rules in their order, as Renovate does: a later one wins, labels and
// notes add up.
func (c config) decide(t *testing.T, u update) settings {
	t.Helper()
	out := c.Settings
	for _, r := range c.PackageRules {
		fits := true
		for _, m := range []struct {
			patterns []string
			value    string
		}{
			{r.Managers, u.manager},
			{r.Datasources, u.datasource},
			{r.DepTypes, u.depType},
			{r.FileNames, u.file},
			{r.PackageNames, u.pkg},
			{r.UpdateTypes, u.updateType},
		} {
			if m.patterns != nil && !matches(t, m.patterns, m.value) {
				fits = false
			}
		}
		if !fits {
			continue
		}
		set(&out.Enabled, r.Enabled)
		set(&out.Automerge, r.Automerge)
		set(&out.Approval, r.Approval)
		if r.Schedule != nil {
			out.Schedule = r.Schedule
		}
		for _, m := range []struct{ to, from *string }{
			{&out.MinimumReleaseAge, &r.MinimumReleaseAge},
			{&out.AgeBehaviour, &r.AgeBehaviour},
			{&out.GroupName, &r.GroupName},
			{&out.AllowedVersions, &r.AllowedVersions},
		} {
			if *m.from != "" {
				*m.to = *m.from
			}
		}
		out.AddLabels = append(slices.Clone(out.AddLabels), r.AddLabels...)
		out.PRBodyNotes = append(slices.Clone(out.PRBodyNotes), r.PRBodyNotes...)
	}
	return out
}

func set(to **bool, from *bool) {
	if from != nil {
		*to = from
	}
}

func is(b *bool) bool { return b != nil && *b }

// way is where the update goes, in a line.
func (s settings) way() string {
	if s.Enabled != nil && !*s.Enabled {
		return "never"
	}
	way := "merge request"
	switch {
	case is(s.Automerge):
		way = "automerge"
	case is(s.Approval):
		way = "after a tick"
	}
	way += ", " + s.MinimumReleaseAge
	if s.AgeBehaviour == "timestamp-optional" {
		way += " if known"
	}
	if s.GroupName != "" {
		way += ", group " + s.GroupName
	}
	return fmt.Sprintf("%s, %s, %s", way, s.Schedule[0], strings.Join(s.AddLabels, " "))
}
