package report

import (
	"fmt"
	"io"
	"net/url"
	"strings"
)

// The part of SARIF 2.1.0 that is written
// (https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/sarif-v2.1.0-errata01-os-complete.html).
// What GitHub makes of it:
// https://docs.github.com/en/code-security/code-scanning/integrating-with-code-scanning/sarif-support-for-code-scanning.
// GitLab drops results without a rule or a physical location, and those that are
// suppressed.
type (
	sarifLog struct {
		Schema  string     `json:"$schema"`
		Version string     `json:"version"`
		Runs    []sarifRun `json:"runs"`
	}
	sarifRun struct {
		Tool        sarifTool         `json:"tool"`
		Invocations []sarifInvocation `json:"invocations"`
		ColumnKind  string            `json:"columnKind"`
		Results     []sarifResult     `json:"results"`
	}
	sarifTool struct {
		Driver sarifDriver `json:"driver"`
	}
	sarifDriver struct {
		Name  string      `json:"name"`
		Rules []sarifRule `json:"rules"`
	}
	sarifRule struct {
		ID                   string              `json:"id"`
		ShortDescription     sarifText           `json:"shortDescription"`
		FullDescription      sarifText           `json:"fullDescription"`
		Help                 sarifText           `json:"help"`
		HelpURI              string              `json:"helpUri"`
		DefaultConfiguration sarifConfiguration  `json:"defaultConfiguration"`
		Properties           sarifRuleProperties `json:"properties"`
	}
	sarifText struct {
		Text     string `json:"text"`
		Markdown string `json:"markdown,omitempty"`
	}
	sarifConfiguration struct {
		Level string `json:"level"`
	}
	sarifRuleProperties struct {
		SecuritySeverity string   `json:"security-severity"`
		Tags             []string `json:"tags"`
	}
	sarifInvocation struct {
		ExecutionSuccessful bool                `json:"executionSuccessful"`
		Notifications       []sarifNotification `json:"toolExecutionNotifications"`
	}
	sarifNotification struct {
		Level     string          `json:"level"`
		Message   sarifText       `json:"message"`
		Locations []sarifLocation `json:"locations"`
	}
	sarifResult struct {
		RuleID              string             `json:"ruleId"`
		RuleIndex           int                `json:"ruleIndex"`
		Level               string             `json:"level"`
		Message             sarifText          `json:"message"`
		Locations           []sarifLocation    `json:"locations"`
		PartialFingerprints map[string]string  `json:"partialFingerprints"`
		Suppressions        []sarifSuppression `json:"suppressions,omitzero"`
		Properties          sarifProperties    `json:"properties"`
	}
	sarifLocation struct {
		Physical sarifPhysical  `json:"physicalLocation"`
		Logical  []sarifLogical `json:"logicalLocations,omitempty"`
	}
	sarifPhysical struct {
		Artifact sarifArtifact `json:"artifactLocation"`
		Region   sarifRegion   `json:"region"`
	}
	sarifArtifact struct {
		URI string `json:"uri"`
	}
	sarifRegion struct {
		StartLine int           `json:"startLine"`
		Snippet   *sarifSnippet `json:"snippet,omitempty"`
	}
	sarifSnippet struct {
		Text string `json:"text"`
	}
	sarifLogical struct {
		FullyQualifiedName string `json:"fullyQualifiedName"`
		Kind               string `json:"kind"`
	}
	sarifSuppression struct {
		Kind          string `json:"kind"`
		Status        string `json:"status"`
		Justification string `json:"justification"`
	}
	sarifProperties struct {
		Fix           string   `json:"fix,omitempty"`
		Clusters      []string `json:"clusters,omitempty"`
		Kustomization string   `json:"kustomization,omitempty"`
		HelmRelease   string   `json:"helmRelease,omitempty"`
		Template      string   `json:"template,omitempty"`
		Environment   string   `json:"environment,omitempty"`
	}
)

// sarifFingerprint is the key of our fingerprints, with the version of how they are
// computed (section "versioned hierarchical strings").
const sarifFingerprint = "lumacoreFinding/v1"

var (
	sarifLevels = map[Severity]string{Error: "error", Warning: "warning", Info: "note"}
	// GitHub: above 7.0 is high, above 4.0 medium, the rest low.
	sarifScores = map[Severity]string{Error: "8.0", Warning: "5.0", Info: "2.0"}
)

// SARIF writes the report as SARIF 2.1.0, for GitLab, GitHub and editors.
func (r *CheckReport) SARIF(w io.Writer) error {
	run := sarifRun{
		Tool: sarifTool{sarifDriver{Name: "lumacore", Rules: []sarifRule{}}}, ColumnKind: "unicodeCodePoints",
		Invocations: []sarifInvocation{{ExecutionSuccessful: true, Notifications: []sarifNotification{}}},
		Results:     []sarifResult{},
	}
	index := map[string]int{}
	for i, rule := range r.Rules {
		index[rule.ID] = i
		run.Tool.Driver.Rules = append(run.Tool.Driver.Rules, sarifRule{
			ID: rule.ID, ShortDescription: sarifText{Text: rule.Title}, FullDescription: sarifText{Text: rule.Why},
			Help: sarifText{
				Text:     rule.Why + "\n\nFix: " + rule.Fix,
				Markdown: fmt.Sprintf("%s\n\n**Fix:** %s\n\nMore: `lumacore explain %s`, [source of the rule](%s)", rule.Why, rule.Fix, rule.ID, rule.Link),
			},
			HelpURI: rule.Link, DefaultConfiguration: sarifConfiguration{sarifLevels[rule.Severity]},
			Properties: sarifRuleProperties{sarifScores[rule.Severity], []string{rule.Gate()}},
		})
	}
	// Either all results of a run have suppressions or none (section 3.27.23); an
	// empty list says that a result is not suppressed.
	suppressions := false
	for _, f := range r.Findings {
		suppressions = suppressions || f.Suppressed != nil
	}
	for _, f := range r.Findings {
		at, ok := index[f.Rule]
		if !ok {
			return fmt.Errorf("the report has a finding of %s, and no such rule", f.Rule)
		}
		res := sarifResult{
			RuleID: f.Rule, RuleIndex: at, Level: sarifLevels[f.Severity],
			Message:             sarifText{Text: sarifMessage(f, len(r.Clusters))},
			Locations:           []sarifLocation{sarifPlace(r.inWorkTree(f.Location, f.Clusters), f.Source, f.Object)},
			PartialFingerprints: map[string]string{sarifFingerprint: f.Fingerprint},
			Properties: sarifProperties{
				Fix: f.Fix, Clusters: f.Clusters, Kustomization: f.Kustomization,
				HelmRelease: f.HelmRelease, Template: f.Template, Environment: f.Environment,
			},
		}
		if suppressions {
			res.Suppressions = []sarifSuppression{}
		}
		if s := f.Suppressed; s != nil {
			kind, justification := "external", s.Reason
			if s.By == "annotation" {
				kind = "inSource"
			}
			if s.Expires != "" {
				justification += " (" + s.By + ", until " + s.Expires + ")"
			}
			res.Suppressions = append(res.Suppressions, sarifSuppression{kind, "accepted", justification})
		}
		run.Results = append(run.Results, res)
	}
	for _, u := range r.NotChecked {
		run.Invocations[0].Notifications = append(run.Invocations[0].Notifications, sarifNotification{
			Level: "warning", Message: sarifText{Text: notChecked(u)},
			Locations: []sarifLocation{sarifPlace(r.inWorkTree(u.Location, u.Clusters), "", u.Subject)},
		})
	}
	for _, n := range r.NotRun {
		run.Invocations[0].Notifications = append(run.Invocations[0].Notifications, sarifNotification{
			Level: "note", Message: sarifText{Text: "Not run without " + n.Needs + ": " + strings.Join(n.Rules, ", ")},
			Locations: []sarifLocation{},
		})
	}
	return writeJSON(w, sarifLog{
		Schema:  "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
		Version: "2.1.0", Runs: []sarifRun{run},
	})
}

// sarifMessage is all that a reader of one result needs: tools show little else.
func sarifMessage(f Finding, clusters int) string {
	parts := []string{f.Message}
	if s := f.subject(clusters); s != "" {
		parts = append(parts, s+".")
	}
	if f.Fix != "" {
		parts = append(parts, "Fix: "+f.Fix)
	}
	return strings.Join(parts, "\n")
}

// notChecked is an entry of what was not checked in one line.
func notChecked(u Unchecked) string {
	s := "Not checked (" + u.Gate + "): " + u.Subject + ": " + u.Reason
	if u.Next != "" {
		s += ". Next: " + u.Next
	}
	return one(s)
}

func sarifPlace(l Location, source, object string) sarifLocation {
	out := sarifLocation{Physical: sarifPhysical{
		sarifArtifact{(&url.URL{Path: l.File}).String()}, sarifRegion{StartLine: l.Line},
	}}
	if source != "" {
		out.Physical.Region.Snippet = &sarifSnippet{source}
	}
	if object != "" {
		out.Logical = []sarifLogical{{object, "resource"}}
	}
	return out
}
