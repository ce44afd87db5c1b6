package report

import "io"

// The part of Code Climate's format that GitLab reads in all its editions
// (https://docs.gitlab.com/ci/testing/code_quality/#code-quality-report-format).
type (
	qualityIssue struct {
		Description string          `json:"description"`
		CheckName   string          `json:"check_name"`
		Fingerprint string          `json:"fingerprint"`
		Severity    string          `json:"severity"`
		Location    qualityLocation `json:"location"`
	}
	qualityLocation struct {
		Path  string       `json:"path"`
		Lines qualityLines `json:"lines"`
	}
	qualityLines struct {
		Begin int `json:"begin"`
	}
)

// GitLab knows info, minor, major, critical and blocker.
var qualitySeverities = map[Severity]string{Error: "critical", Warning: "major", Info: "info"}

// CodeQuality writes the report for GitLab's Code Quality widget: the findings that
// count, and what was not checked.
func (r *CheckReport) CodeQuality(w io.Writer) error {
	issues := []qualityIssue{}
	add := func(description, name, fingerprint, severity string, at Location) {
		issues = append(issues, qualityIssue{
			one(description), name, fingerprint, severity, qualityLocation{at.File, qualityLines{at.Line}},
		})
	}
	for _, f := range r.Findings {
		if f.Suppressed != nil {
			continue
		}
		description := f.Message
		if s := f.subject(len(r.Clusters)); s != "" {
			description += " (" + s + ")"
		}
		if f.Fix != "" {
			description += ". Fix: " + f.Fix
		}
		add(description, f.Rule, f.Fingerprint, qualitySeverities[f.Severity], r.inWorkTree(f.Location, f.Clusters))
	}
	seen := map[string]bool{}
	for _, u := range r.NotChecked {
		print := fingerprint("not-checked", u.Gate, u.Location.File, u.Subject, u.Reason, u.Next)
		if seen[print] { // the same, in another line
			continue
		}
		seen[print] = true
		add(notChecked(u), "not-checked/"+u.Gate, print, "info", r.inWorkTree(u.Location, u.Clusters))
	}
	return writeJSON(w, issues)
}
