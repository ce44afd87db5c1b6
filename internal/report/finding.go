package report

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Severity says how much a finding matters.
type Severity string

// The severities, from the one that matters most.
const (
	Error   Severity = "error"   // the cluster refuses it, or it is unsafe as it stands
	Warning Severity = "warning" // works today; will break, or hides something
	Info    Severity = "info"    // worth knowing
)

// Severities lists them, the one that matters most first.
var Severities = []Severity{Error, Warning, Info}

// AtLeast tells whether s matters as much as limit, or more.
func (s Severity) AtLeast(limit Severity) bool {
	return slices.Index(Severities, s) <= slices.Index(Severities, limit)
}

// ParseSeverity reads a severity from a flag or a file.
func ParseSeverity(s string) (Severity, error) {
	if slices.Contains(Severities, Severity(s)) {
		return Severity(s), nil
	}
	return "", fmt.Errorf("%q is no severity: use error, warning or info", s)
}

// Rule is one thing that a gate looks for. The rules of a gate are the source of
// `lumacore explain`, of the page of all rules, and of the rule list in SARIF.
type Rule struct {
	ID       string   `json:"id"` // "images/no-digest": the gate, a slash, a name; stable for ever
	Title    string   `json:"title"`
	Severity Severity `json:"severity"` // unless lumacore.yaml says otherwise
	Why      string   `json:"why"`      // what goes wrong if nothing is done
	Fix      string   `json:"fix"`      // what to do, in the imperative
	Link     string   `json:"link"`     // the source of the rule, or where it is explained at length
	// Needs is the flag without which the rule does not run, such as
	// "--changed-since"; empty for most. The report names the rules that did not run.
	Needs string `json:"needs,omitempty"`
	// Bad is the smallest example that the rule finds, Good the same after the
	// fix. Each is YAML (one file of a cluster), or several files in txtar form.
	// A test runs both.
	Bad  string `json:"bad"`
	Good string `json:"good"`
}

// Gate returns the name of the gate that the rule belongs to.
func (r Rule) Gate() string {
	gate, _, _ := strings.Cut(r.ID, "/")
	return gate
}

// Location is a place in the repository.
type Location struct {
	File string `json:"file,omitempty"` // relative to the repository's root, with slashes
	Line int    `json:"line,omitempty"` // from 1; 0 when the whole file is meant
}

func (l Location) String() string {
	if l.Line == 0 {
		return l.File
	}
	return fmt.Sprintf("%s:%d", l.File, l.Line)
}

// Compare orders locations by file and line.
func (l Location) Compare(o Location) int {
	return cmp.Or(cmp.Compare(l.File, o.File), cmp.Compare(l.Line, o.Line))
}

// Finding is one place where a rule is broken.
type Finding struct {
	Rule     string   `json:"rule"`
	Severity Severity `json:"severity"`
	Message  string   `json:"message"` // what is wrong and why, with the values at hand
	Fix      string   `json:"fix"`     // what to do about this one
	Location Location `json:"location"`
	// Source is the line at Location, trimmed. A gate whose findings point at what
	// must not be shown sets it to something else; it stays empty for Secrets.
	Source string `json:"source,omitempty"`

	Object        string   `json:"object,omitempty"`        // "Deployment app-beacon/beacon"
	Clusters      []string `json:"clusters,omitempty"`      // the clusters in which it was found, sorted
	Kustomization string   `json:"kustomization,omitempty"` // "flux-system/apps-prod": the Flux Kustomization that applies the object
	HelmRelease   string   `json:"helmRelease,omitempty"`   // "traefik/traefik": the release whose chart makes the object
	Template      string   `json:"template,omitempty"`      // the file of the chart
	Environment   string   `json:"environment,omitempty"`

	Suppressed *Suppression `json:"suppressed,omitempty"` // why it does not count
	// Fingerprint stays the same when lines move; see [SetFingerprints].
	Fingerprint string `json:"fingerprint"`
}

// Suppression says why a finding does not count.
type Suppression struct {
	By      string `json:"by"` // "annotation", the entry: "lumacore.yaml:12", or a flag: "--prod-approved"
	Reason  string `json:"reason"`
	Expires string `json:"expires,omitempty"` // day, "2027-01-31"
}

// Gate returns the name of the gate that made the finding.
func (f Finding) Gate() string { return Rule{ID: f.Rule}.Gate() }

// Compare orders findings by place, then rule, object and message, then by all
// else but clusters and fingerprint.
func (f Finding) Compare(o Finding) int {
	return cmp.Or(f.Location.Compare(o.Location), cmp.Compare(f.Rule, o.Rule),
		cmp.Compare(f.Object, o.Object), cmp.Compare(f.Message, o.Message),
		cmp.Compare(f.Kustomization, o.Kustomization), cmp.Compare(f.HelmRelease, o.HelmRelease),
		cmp.Compare(f.Template, o.Template), cmp.Compare(f.Environment, o.Environment),
		cmp.Compare(f.Severity, o.Severity), cmp.Compare(f.Fix, o.Fix), cmp.Compare(f.Source, o.Source),
		f.Suppressed.compare(o.Suppressed))
}

func (s *Suppression) compare(o *Suppression) int {
	switch {
	case s == nil && o == nil:
		return 0
	case s == nil:
		return -1
	case o == nil:
		return 1
	}
	return cmp.Or(cmp.Compare(s.By, o.By), cmp.Compare(s.Reason, o.Reason), cmp.Compare(s.Expires, o.Expires))
}

// identity is what two findings share that differ in their line at most.
func (f *Finding) identity() string {
	return join(f.Rule, f.Location.File, f.Object, f.Kustomization, f.HelmRelease, f.Template, f.Message)
}

// SetFingerprints computes the fingerprints of sorted findings: of rule, file,
// object, origin and message, and not of the line, so that they stay the same when
// lines move. Findings that are equal in all of these are counted.
func SetFingerprints(findings []Finding) {
	seen := map[string]int{}
	for i := range findings {
		id := findings[i].identity()
		if n := seen[id]; n > 0 {
			findings[i].Fingerprint = fingerprint(id, strconv.Itoa(n))
		} else {
			findings[i].Fingerprint = fingerprint(id)
		}
		seen[id]++
	}
}

// fingerprint is a short name of the parts together.
func fingerprint(parts ...string) string {
	sum := sha256.Sum256([]byte(join(parts...)))
	return hex.EncodeToString(sum[:16])
}

// join joins parts so that no other parts give the same text.
func join(parts ...string) string {
	var b strings.Builder
	for _, p := range parts {
		fmt.Fprintf(&b, "%d:%s", len(p), p)
	}
	return b.String()
}

// key is what a finding shares with the same finding of another revision: not the
// line, nor the file of an object, which may have moved.
func (f *Finding) key() string {
	file, off := f.Location.File, ""
	if f.Object != "" {
		file = ""
	}
	if f.Suppressed != nil {
		off = "suppressed"
	}
	return join(f.Rule, string(f.Severity), off, file, f.Object, f.Template, f.Message)
}

// key is the same for what was not checked.
func (u *Unchecked) key() string {
	return join(u.Gate, u.Subject, u.Reason)
}

// Unchecked is something that a gate could not look at. It is part of every
// format: what was not checked must never look like a pass.
type Unchecked struct {
	Gate     string   `json:"gate"`    // or "render", for what never became objects
	Subject  string   `json:"subject"` // "HelmRelease traefik/traefik"
	Reason   string   `json:"reason"`
	Next     string   `json:"next,omitempty"` // how to have it checked
	Location Location `json:"location"`
	Clusters []string `json:"clusters,omitempty"`
}

// Compare orders what was not checked by gate, place and subject.
func (u Unchecked) Compare(o Unchecked) int {
	return cmp.Or(cmp.Compare(u.Gate, o.Gate), u.Location.Compare(o.Location),
		cmp.Compare(u.Subject, o.Subject), cmp.Compare(u.Reason, o.Reason), cmp.Compare(u.Next, o.Next))
}
