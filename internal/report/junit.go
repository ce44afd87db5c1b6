package report

import (
	"encoding/xml"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// JUnit's XML as GitLab and Jenkins read it
// (https://docs.gitlab.com/ci/testing/unit_test_reports/,
// https://github.com/testmoapp/junitxml). encoding/xml escapes, and puts U+FFFD in
// the place of what XML cannot hold.
type (
	junitSuites struct {
		XMLName  xml.Name     `xml:"testsuites"`
		Name     string       `xml:"name,attr"`
		Tests    int          `xml:"tests,attr"`
		Failures int          `xml:"failures,attr"`
		Errors   int          `xml:"errors,attr"`
		Skipped  int          `xml:"skipped,attr"`
		Suites   []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name     string      `xml:"name,attr"`
		Tests    int         `xml:"tests,attr"`
		Failures int         `xml:"failures,attr"`
		Errors   int         `xml:"errors,attr"`
		Skipped  int         `xml:"skipped,attr"`
		Cases    []junitCase `xml:"testcase"`
	}
	junitCase struct {
		Name    string        `xml:"name,attr"`
		Class   string        `xml:"classname,attr"`
		File    string        `xml:"file,attr,omitempty"`
		Line    int           `xml:"line,attr,omitempty"`
		Failure *junitFailure `xml:"failure"`
		Skipped *junitSkipped `xml:"skipped"`
		Output  *junitOutput  `xml:"system-out"`
	}
	junitFailure struct {
		Type    string `xml:"type,attr"`
		Message string `xml:"message,attr"`
		Text    string `xml:",chardata"`
	}
	junitSkipped struct {
		Message string `xml:"message,attr"`
	}
	junitOutput struct {
		Text string `xml:",chardata"`
	}
)

// JUnit writes the report as JUnit XML: a suite for each gate, a failed test for
// each finding that makes the check fail, a passed one for each other finding, with
// what it says as output, a skipped one for what is suppressed, was not checked or did
// not run, and a passed one for a gate without findings. A check that passes has no failed
// test.
func (r *CheckReport) JUnit(w io.Writer) error {
	names := make([]string, 0, len(r.Gates)+1)
	for _, g := range r.Gates {
		names = append(names, g.Name)
	}
	for _, u := range r.NotChecked { // "render" need not be among the gates
		if !slices.Contains(names, u.Gate) {
			names = append(names, u.Gate)
		}
	}
	for _, n := range r.NotRun {
		for _, rule := range n.Rules {
			if gate := (Rule{ID: rule}).Gate(); !slices.Contains(names, gate) {
				names = append(names, gate)
			}
		}
	}
	all := junitSuites{Name: "lumacore check"}
	for _, name := range names {
		s := r.junitSuite(name)
		all.Tests += s.Tests
		all.Failures += s.Failures
		all.Skipped += s.Skipped
		all.Suites = append(all.Suites, s)
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	enc := xml.NewEncoder(w)
	enc.Indent("", "  ")
	if err := enc.Encode(all); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

func (r *CheckReport) junitSuite(gate string) junitSuite {
	s := junitSuite{Name: gate}
	counted := false         // a finding that is not suppressed
	seen := map[string]int{} // readers take tests of one class and name for the same
	add := func(c junitCase) {
		key := join(c.Class, c.Name)
		if seen[key]++; seen[key] > 1 {
			c.Name += " (" + strconv.Itoa(seen[key]) + ")"
		}
		s.Tests++
		if c.Failure != nil {
			s.Failures++
		}
		if c.Skipped != nil {
			s.Skipped++
		}
		s.Cases = append(s.Cases, c)
	}
	for _, f := range r.Findings {
		if f.Gate() != gate {
			continue
		}
		at := r.inWorkTree(f.Location, f.Clusters)
		c := junitCase{Name: junitName(f.Object, f.Message), Class: f.Rule, File: at.File, Line: at.Line}
		counted = counted || f.Suppressed == nil
		switch text := junitText(f, at, len(r.Clusters)); {
		case f.Suppressed != nil:
			c.Skipped = &junitSkipped{"suppressed by " + f.Suppressed.By + ": " + f.Suppressed.Reason}
		case f.Severity.AtLeast(r.FailOn):
			c.Failure = &junitFailure{string(f.Severity), one(f.Message), text}
		default:
			c.Output = &junitOutput{text}
		}
		add(c)
	}
	for _, u := range r.NotChecked {
		if u.Gate != gate {
			continue
		}
		at := r.inWorkTree(u.Location, u.Clusters)
		add(junitCase{
			Name: junitName("", u.Subject), Class: "not-checked/" + gate, File: at.File, Line: at.Line,
			Skipped: &junitSkipped{notChecked(u)},
		})
	}
	for _, n := range r.NotRun {
		for _, rule := range n.Rules {
			if (Rule{ID: rule}).Gate() == gate {
				add(junitCase{Name: rule, Class: "not-run/" + gate, Skipped: &junitSkipped{"needs " + n.Needs}})
			}
		}
	}
	if !counted && slices.ContainsFunc(r.Gates, func(g GateResult) bool { return g.Name == gate }) {
		c := junitCase{Name: fmt.Sprintf("no findings in %d %s", r.Objects(), plural(r.Objects(), "object")), Class: gate}
		if r.Objects() == 0 {
			c.Skipped = &junitSkipped{"there was nothing to look at"}
		}
		add(c)
	}
	return s
}

// junitName is short, and stays the same when lines move.
func junitName(object, message string) string {
	if object != "" {
		message = object + ": " + message
	}
	return Clean(one(message), 200)
}

func junitText(f Finding, at Location, clusters int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s %s\n%s\n", at, f.Severity, f.Rule, f.Message)
	if f.Source != "" {
		fmt.Fprintf(&b, "source: %s\n", f.Source)
	}
	if s := f.subject(clusters); s != "" {
		fmt.Fprintf(&b, "object: %s\n", s)
	}
	if f.Fix != "" {
		fmt.Fprintf(&b, "fix: %s\n", f.Fix)
	}
	return b.String()
}
