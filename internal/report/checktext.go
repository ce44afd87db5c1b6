package report

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
)

// How much is listed before the rest is only counted. All of it is in the other
// formats.
const (
	mostSubjects     = 3 // objects of one finding
	mostRepeats      = 5 // findings of one rule with one fix in one file, that are shown in full
	mostPlaceholders = 5
	mostSuppressed   = 5 // places of one allowance
)

// Text implements [Document]: findings by file, then what was not checked or does
// not count, and last what was looked at.
func (r *CheckReport) Text(s *Streams, w io.Writer) error {
	t := &checkText{CheckReport: r, s: s, fixes: map[string]bool{}}
	t.findings()
	t.notChecked()
	t.placeholders()
	t.suppressed()
	t.summary()
	_, err := w.Write(t.Bytes())
	return err
}

// checkText writes a report. Everything that comes from the repository goes through
// Clean: a file name or message must not do anything to the terminal, nor be taken
// for a command by a CI system.
type checkText struct {
	*CheckReport
	bytes.Buffer
	s     *Streams
	fixes map[string]bool // of which rule and fix have been written: once is enough
}

func (t *checkText) printf(format string, args ...any) { fmt.Fprintf(t, format, args...) }

// line writes a line; on a terminal what does not fit is indented below it.
func (t *checkText) line(indent int, format string, args ...any) {
	t.WriteString(fold(fmt.Sprintf(format, args...), indent, t.s.Width))
	t.WriteByte('\n')
}

func (t *checkText) paint(color, text string) string { return t.s.Paint(t.s.Out, color, text) }

// section begins a part of the text.
func (t *checkText) section(format string, args ...any) {
	if t.Len() > 0 {
		t.WriteByte('\n')
	}
	t.printf(format+"\n", args...)
}

var severityColors = map[Severity]string{Error: Bad, Warning: Warn, Info: Faint}

// entry is findings that differ in their object and its origin alone.
type entry struct {
	Finding
	subjects []string
}

func (t *checkText) findings() {
	var files []string
	byFile := map[string][]*entry{}
	same := map[string]*entry{}
	for _, f := range t.Findings {
		if f.Suppressed != nil {
			continue
		}
		at := t.place(f.Location, f.Clusters)
		key := join(at.String(), f.Rule, string(f.Severity), f.Message, f.Fix)
		e := same[key]
		if e == nil {
			e = &entry{Finding: f}
			same[key] = e
			if byFile[at.File] == nil {
				files = append(files, at.File)
			}
			byFile[at.File] = append(byFile[at.File], e)
		}
		if subject := f.subject(len(t.Clusters)); subject != "" {
			e.subjects = append(e.subjects, subject)
		}
	}
	slices.Sort(files)
	for _, file := range files {
		t.file(file, byFile[file])
	}
}

func (t *checkText) file(name string, entries []*entry) {
	t.section("%s", Clean(name, mostName))
	shown := map[string]int{} // of a rule with a fix
	said := map[string]bool{} // which messages of a rule with a fix
	var order []string
	left := map[string][]*entry{}
	var last Location
	for _, e := range entries {
		kind := join(e.Rule, e.Fix)
		text := join(kind, e.Message)
		known := said[text]
		said[text] = true
		if shown[kind]++; shown[kind] > mostRepeats {
			if e.Severity == Error && !known { // each of them is to be mended
				t.brief(e)
				last = Location{}
				continue
			}
			if left[kind] == nil {
				order = append(order, kind)
			}
			left[kind] = append(left[kind], e)
			continue
		}
		t.entry(e, e.Location != last, !t.fixes[kind])
		last, t.fixes[kind] = e.Location, true
	}
	for _, kind := range order {
		rest := left[kind]
		var at []string
		for _, e := range rest {
			if n := fmt.Sprint(e.Location.Line); e.Location.Line > 0 && !slices.Contains(at, n) {
				at = append(at, n)
			}
		}
		where := ""
		switch {
		case len(at) > 20:
			where = fmt.Sprintf(", in lines %s, …", strings.Join(at[:20], ", "))
		case len(at) > 0:
			where = fmt.Sprintf(", in %s %s", plural(len(at), "line"), strings.Join(at, ", "))
		}
		t.line(7, "%6s and %d more of %s in this file with the same fix%s", "…", len(rest), rest[0].Rule, where)
	}
}

// entry writes one finding, with its source line unless it was just shown, and with
// its fix unless that was shown already.
func (t *checkText) entry(e *entry, source, fix bool) {
	for _, l := range t.brief(e) {
		t.printf("%6s   %s\n", "│", l)
	}
	if source && e.Source != "" {
		t.printf("%6s %s\n", "│", t.paint(Faint, Clean(e.Source, mostName)))
	}
	for i, subject := range e.subjects {
		if i == mostSubjects {
			t.printf("%6s and %d more %s\n", "", len(e.subjects)-i, plural(len(e.subjects)-i, "object"))
			break
		}
		t.line(9, "%6s %s", "", Clean(subject, mostName))
	}
	if fix && e.Fix != "" {
		t.line(12, "%6s fix: %s", "", strings.Join(lines(e.Fix), " "))
	}
}

// brief writes the first line of a finding and returns the rest of its message.
func (t *checkText) brief(e *entry) []string {
	line := "-"
	if e.Location.Line > 0 {
		line = fmt.Sprint(e.Location.Line)
	}
	message := lines(e.Message)
	severity := t.paint(severityColors[e.Severity], fmt.Sprintf("%-7s", e.Severity))
	t.line(7, "%6s %s %s  %s", line, severity, e.Rule, message[0])
	return message[1:]
}

func (t *checkText) notChecked() {
	if len(t.NotChecked) == 0 {
		return
	}
	t.section("%s", t.paint(Warn, fmt.Sprintf("Not checked (%d)", len(t.NotChecked))))
	var order []string
	groups := map[string][]Unchecked{}
	for _, u := range t.NotChecked {
		kind := join(u.Gate, u.Reason, u.Next)
		if groups[kind] == nil {
			order = append(order, kind)
		}
		groups[kind] = append(groups[kind], u)
	}
	for _, kind := range order {
		group := groups[kind]
		reason := lines(group[0].Reason)
		t.line(4, "  %s: %s", group[0].Gate, reason[0])
		for _, l := range reason[1:] {
			t.printf("  │ %s\n", l)
		}
		for _, u := range group {
			subject := Clean(u.Subject, mostName)
			if at := u.Location.String(); at != "" {
				subject += "  " + t.paint(Faint, Clean(at, mostName))
			}
			if len(t.Clusters) > 1 && len(u.Clusters) > 0 {
				subject += "  on " + Clean(strings.Join(u.Clusters, ", "), mostName)
			}
			t.line(6, "    %s", subject)
		}
		if group[0].Next != "" {
			t.line(10, "    next: %s", strings.Join(lines(group[0].Next), " "))
		}
	}
}

func (t *checkText) placeholders() {
	n := len(t.Placeholders)
	if n == 0 {
		return
	}
	t.section("Stand-ins: %d %s that only the %s, checked with made-up values", n, plural(n, "Secret"),
		map[bool]string{true: "cluster has", false: "clusters have"}[len(t.Clusters) == 1])
	if n > mostPlaceholders {
		return
	}
	for _, p := range t.Placeholders {
		t.line(4, "  %s from %s", Clean(p.Secret, mostName), Clean(p.From, mostName))
	}
}

func (t *checkText) suppressed() {
	var order []string
	groups := map[string][]Finding{}
	n := 0
	for _, f := range t.Findings {
		if f.Suppressed == nil {
			continue
		}
		n++
		kind := join(f.Rule, f.Suppressed.By, f.Suppressed.Reason, f.Suppressed.Expires)
		if groups[kind] == nil {
			order = append(order, kind)
		}
		groups[kind] = append(groups[kind], f)
	}
	if n == 0 {
		return
	}
	t.section("Suppressed (%d)", n)
	for _, kind := range order {
		group := groups[kind]
		s := group[0].Suppressed
		by := s.By
		if s.Expires != "" {
			by += " until " + s.Expires
		}
		t.line(4, "  %s by %s: %s", group[0].Rule, Clean(by, mostName), strings.Join(lines(s.Reason), " "))
		for i, f := range group {
			if i == mostSuppressed {
				t.printf("    and %d more\n", len(group)-i)
				break
			}
			place := f.Location.String()
			if f.Object != "" {
				place += "  " + f.Object
			}
			t.line(6, "    %s", Clean(place, mostName))
		}
	}
}

func (t *checkText) summary() {
	with := ""
	if t.KubeVersion != "" {
		with = ", for Kubernetes " + t.KubeVersion
	}
	t.section("Looked at %d %s in %d %s%s", t.Objects(), plural(t.Objects(), "object"), len(t.Clusters), plural(len(t.Clusters), "cluster"), with)
	for _, c := range t.Clusters {
		t.printf("  %s (%s)\n", Clean(c.Name, mostName), Clean(c.Path, mostName))
		t.printf("    %s, %s,\n", ratio(c.Built, c.Kustomizations, "Kustomization", "built"), ratio(c.Rendered, c.HelmReleases, "HelmRelease", "rendered"))
		t.printf("    %d %s, %d with pods, %d custom %s\n", c.Objects, plural(c.Objects, "object"), c.Pods, c.CustomResources, plural(c.CustomResources, "resource"))
	}
	if len(t.Gates) > 0 {
		t.WriteByte('\n')
		width := 0
		for _, g := range t.Gates {
			width = max(width, len(g.Name))
		}
		t.printf("%-*s  findings  failing  suppressed  not checked\n", width, "gate")
		for _, g := range t.Gates {
			t.printf("%-*s  %8d  %7d  %10d  %11d\n", width, g.Name, g.Findings, g.Failing, g.Suppressed, g.NotChecked)
		}
	}
	if len(t.Off) > 0 {
		t.section("Turned off in lumacore.yaml: %s", strings.Join(t.Off, ", "))
	}
	for i, n := range t.NotRun {
		if i == 0 {
			t.section("Not run")
		}
		t.line(4, "  without %s: %s", n.Needs, strings.Join(n.Rules, ", "))
	}
	if b := t.Base; b != nil {
		t.WriteByte('\n')
		t.line(2, "Only what has changed since %s (%s) is shown%s", Clean(b.Revision, mostName), Clean(b.Commit[:min(len(b.Commit), 12)], mostName), b.left())
	}
	t.section("%s", t.verdict())
}

// left says what is not shown because it was there before.
func (b *Base) left() string {
	var parts []string
	if b.Findings > 0 {
		parts = append(parts, fmt.Sprintf("%d %s", b.Findings, plural(b.Findings, "finding")))
	}
	if b.Suppressed > 0 {
		parts = append(parts, fmt.Sprintf("%d suppressed", b.Suppressed))
	}
	if b.NotChecked > 0 {
		parts = append(parts, fmt.Sprintf("%d not checked", b.NotChecked))
	}
	if len(parts) == 0 {
		return ""
	}
	return "; there before: " + strings.Join(parts, ", ")
}

// ratio says how many of all are done: "8 of 9 HelmReleases rendered".
func ratio(done, all int, noun, verb string) string {
	if all == 0 {
		return "no " + noun
	}
	return fmt.Sprintf("%d of %d %s %s", done, all, plural(all, noun), verb)
}

// verdict is the last line.
func (t *checkText) verdict() string {
	count := map[Severity]int{}
	for _, f := range t.Findings {
		if f.Suppressed == nil {
			count[f.Severity]++
		}
	}
	var found []string
	add := func(count map[Severity]int, more string) {
		for _, s := range Severities {
			if n := count[s]; n > 0 && s != Info {
				found = append(found, fmt.Sprintf("%d %s%s", n, plural(n, string(s)), more))
			} else if n > 0 {
				found = append(found, fmt.Sprintf("%d for information%s", n, more))
			}
		}
	}
	add(count, "")
	add(t.Hidden, " not shown")
	if len(t.NotChecked) > 0 {
		found = append(found, fmt.Sprintf("%d not checked", len(t.NotChecked)))
	}
	switch {
	case t.Objects() == 0:
		return t.paint(Bad, "FAILED") + ": nothing was checked, because no cluster has an object"
	case t.Failed():
		return t.paint(Bad, "FAILED") + ": " + strings.Join(found, ", ")
	case len(found) == 0:
		return t.paint(Good, "passed") + ": no findings"
	default:
		return t.paint(Good, "passed") + ": " + strings.Join(found, ", ")
	}
}
