package diff

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"lumacore.dev/lumacore/internal/report"
)

// How much the text shows; all of it is in JSON.
const (
	mostContent = 40  // lines of an object that is new
	mostNamed   = 3   // objects named in one line
	mostListed  = 200 // characters of a name
	mostLine    = 4000
)

// text writes a report for a terminal. What comes from a repository goes through
// [report.Clean]: it must not do anything to the terminal, nor be taken for a command
// by a CI system.
type textWriter struct {
	*Report
	bytes.Buffer
	s *report.Streams
}

// Text implements [report.Document]: what was compared, versions, risks, the
// differences, and last what was folded or not compared.
func (r *Report) Text(s *report.Streams, w io.Writer) error {
	t := &textWriter{Report: r, s: s}
	t.printf("%s → %s\n", clean(r.Base.name()), clean(r.Head.name()))
	t.versions()
	t.risks()
	t.objects()
	t.folded()
	t.notCompared()
	t.counts()
	_, err := w.Write(t.Bytes())
	return err
}

func clean(s string) string { return report.Clean(s, mostLine) }

func (t *textWriter) printf(format string, args ...any) { fmt.Fprintf(t, format, args...) }

func (t *textWriter) paint(color, text string) string { return t.s.Paint(t.s.Out, color, text) }

func (t *textWriter) title(format string, args ...any) { t.printf("\n"+format+"\n", args...) }

var (
	severityColors = map[report.Severity]string{report.Error: report.Bad, report.Warning: report.Warn, report.Info: report.Faint}
	actionColors   = map[Action]string{Added: report.Good, Removed: report.Bad, Changed: report.Warn}
	actionSigns    = map[Action]string{Added: "+", Removed: "-", Changed: "~"}
)

func (t *textWriter) versions() {
	if len(t.Versions) == 0 {
		return
	}
	t.title("Images and versions")
	rows := [][]string{}
	for _, v := range t.Versions {
		rows = append(rows, []string{
			v.update(), cmp.Or(v.Environment, "-"), v.Kind, v.Name, v.change(), few1(v.Objects) + on(v.Clusters, t.clusters()),
		})
	}
	for _, line := range table(rows) {
		t.printf("  %s\n", line)
	}
}

// update names the kind of an update.
func (v Version) update() string {
	if v.Downgrade {
		return string(v.Update) + ", downgrade"
	}
	return string(v.Update)
}

func (v Version) change() string {
	switch {
	case v.Old == "":
		return v.New
	case v.New == "":
		return v.Old
	}
	return v.Old + " → " + v.New
}

// few1 names a few of a list, and counts the others.
func few1(list []string) string {
	if len(list) > mostNamed {
		return fmt.Sprintf("%s and %d more", strings.Join(list[:mostNamed], ", "), len(list)-mostNamed)
	}
	return strings.Join(list, ", ")
}

// on names clusters where there are more than one.
func on(clusters, all []string) string {
	switch {
	case len(all) < 2:
		return ""
	case len(clusters) == 1:
		return " on cluster " + clusters[0]
	}
	return " on clusters " + strings.Join(clusters, ", ")
}

// table aligns the columns of rows but the last.
func table(rows [][]string) []string {
	var widths []int
	for _, row := range rows {
		for i := range row {
			row[i] = report.Clean(row[i], mostListed)
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], len([]rune(row[i])))
		}
	}
	out := make([]string, len(rows))
	for i, row := range rows {
		var b strings.Builder
		for j, cell := range row {
			b.WriteString(cell)
			if j < len(row)-1 {
				b.WriteString(strings.Repeat(" ", widths[j]-len([]rune(cell))+2))
			}
		}
		out[i] = strings.TrimRight(b.String(), " ")
	}
	return out
}

func (t *textWriter) risks() {
	list := t.Report.risks()
	if len(list) == 0 {
		return
	}
	t.title("Risks")
	for _, r := range list {
		t.printf("  %s %s  %s: %s\n", t.paint(severityColors[r.Severity], fmt.Sprintf("%-7s", r.Severity)), r.Mark, clean(r.Object.title(t.clusters())), clean(r.Message))
	}
}

// title names an object, its environment and its clusters.
func (o *Object) title(all []string) string {
	s := o.Object
	if o.Environment != "" {
		s += " (" + o.Environment + ")"
	}
	return s + on(o.Clusters, all)
}

func (t *textWriter) objects() {
	if len(t.Objects) == 0 {
		return
	}
	t.title("Objects")
	for i := range t.Objects {
		t.object(&t.Objects[i])
	}
}

func (t *textWriter) object(o *Object) {
	t.printf("%s %s  %s%s\n", t.paint(actionColors[o.Action], actionSigns[o.Action]), clean(o.title(t.clusters())), clean(o.Location.String()), clean(o.from()))
	if o.Was != "" {
		t.printf("    it was called %s\n", clean(o.Was))
	}
	for _, m := range o.Marks {
		if m.Mark != production {
			t.printf("    %s %s: %s\n", t.paint(severityColors[m.Severity], "!"), m.Mark, clean(m.Message))
		}
	}
	if o.Action == Added {
		all := strings.Split(o.Content, "\n")
		for _, l := range all[:min(len(all), mostContent)] {
			t.printf("    %s\n", t.paint(report.Good, "+ "+clean(l)))
		}
		if len(all) > mostContent {
			t.printf("      … (%d more lines; all are in -o json)\n", len(all)-mostContent)
		}
	}
	for _, c := range o.Changes {
		for _, l := range c.lines() {
			color := ""
			switch l.sign {
			case '+':
				color = report.Good
			case '-':
				color = report.Bad
			}
			s := clean(l.text)
			if l.sign != 0 {
				s = string(l.sign) + " " + s
			}
			if color != "" {
				s = t.paint(color, s)
			}
			t.printf("    %s%s\n", strings.Repeat(" ", l.indent), s)
		}
	}
	if o.Folded > 0 {
		t.printf("    %s\n", t.paint(report.Faint, fmt.Sprintf("and %s of noise", count(o.Folded, "field"))))
	}
}

// from says what applies an object.
func (o *Object) from() string {
	var parts []string
	if o.HelmRelease != "" {
		s := "HelmRelease " + o.HelmRelease
		if o.Template != "" {
			s += " (" + o.Template + ")"
		}
		parts = append(parts, s)
	} else if o.Kustomization != "" {
		parts = append(parts, "Kustomization "+o.Kustomization)
	}
	if o.Suspended {
		parts = append(parts, "suspended")
	}
	if len(parts) == 0 {
		return ""
	}
	return ", " + strings.Join(parts, ", ")
}

// line is one line of a change.
type line struct {
	sign   rune // '+', '-' or 0
	indent int
	text   string
}

// lines writes a change as lines: in one where it fits.
func (c *Change) lines() (out []line) {
	multi := strings.Contains(c.Old, "\n") || strings.Contains(c.New, "\n")
	add := func(sign rune, s string) {
		for l := range strings.SplitSeq(s, "\n") {
			out = append(out, line{sign, 2, l})
		}
	}
	switch {
	case c.Hidden != "":
		out = append(out, line{0, 0, fmt.Sprintf("%s: %s (not shown: %s)", c.Path, c.Action, c.Hidden)})
	case c.Action == Reordered:
		out = append(out, line{0, 0, fmt.Sprintf("%s: another order: %s → %s", c.Path, c.Old, c.New)})
	case c.Diff != "":
		out = append(out, line{0, 0, c.Path + ":"})
		for l := range strings.SplitSeq(c.Diff, "\n") {
			switch {
			case strings.HasPrefix(l, "+"), strings.HasPrefix(l, "-"):
				out = append(out, line{rune(l[0]), 2, l[1:]})
			default:
				out = append(out, line{0, 2, l})
			}
		}
	case multi:
		out = append(out, line{0, 0, c.Path + ":"})
		if c.Action != Added {
			add('-', c.Old)
		}
		if c.Action != Removed {
			add('+', c.New)
		}
	case c.Action == Added:
		out = append(out, line{'+', 0, c.Path + ": " + c.New})
	case c.Action == Removed:
		out = append(out, line{'-', 0, c.Path + ": " + c.Old})
	default:
		out = append(out, line{0, 0, c.Path + ": " + c.Old + " → " + c.New})
	}
	return out
}

func (t *textWriter) folded() {
	for _, f := range t.Folded {
		t.title("%s in %s alone: %s", clean(objectsChange(len(f.Objects))), clean(strings.Join(f.Fields, ", ")), clean(few1(f.Objects)))
	}
}

func objectsChange(n int) string {
	if n == 1 {
		return "1 object changes"
	}
	return fmt.Sprintf("%d objects change", n)
}

func (t *textWriter) notCompared() {
	if len(t.NotCompared) == 0 {
		return
	}
	t.title("Not compared")
	for _, n := range t.NotCompared {
		t.printf("  %s\n", clean(n.line(t.clusters())))
	}
}

// line describes what was not compared.
func (n *NotCompared) line(all []string) string {
	side := "on both sides"
	if n.Side != "both" {
		side = "at " + n.Side
	}
	s := fmt.Sprintf("%s, %s%s: %s", n.Subject, side, on(n.Clusters, all), strings.Join(strings.Fields(n.Reason), " "))
	if n.Objects > 0 {
		s += " (" + count(n.Objects, "object") + ")"
	}
	if n.Location.File != "" {
		s = n.Location.String() + ": " + s
	}
	return s
}

func (t *textWriter) counts() {
	if len(t.Counts) > 0 {
		t.title("Changes")
		rows := [][]string{{"cluster", "environment", "added", "removed", "changed", "noise alone"}}
		for _, c := range t.Counts {
			rows = append(rows, []string{c.Cluster, cmp.Or(c.Environment, "-"), fmt.Sprint(c.Added), fmt.Sprint(c.Removed), fmt.Sprint(c.Changed), fmt.Sprint(c.Folded)})
		}
		for _, l := range table(rows) {
			t.printf("  %s\n", l)
		}
	}
	t.printf("\n%s\n", clean(t.verdict()))
}

// verdict is the whole in one sentence.
func (r *Report) verdict() string {
	looked := fmt.Sprintf("%s at base and %s at head were looked at", count(r.Base.objects(), "object"), count(r.Head.objects(), "object"))
	if n := len(r.NotCompared); n > 0 {
		things := "thing was"
		if n > 1 {
			things = "things were"
		}
		looked += fmt.Sprintf("; %d %s not compared", n, things)
	}
	if !r.Differs() {
		if len(r.NotCompared) > 0 {
			return "no changes in what could be compared: " + looked
		}
		return "no changes: " + looked
	}
	t := r.total()
	parts := []string{fmt.Sprintf("%d added, %d removed, %d changed", t.Added, t.Removed, t.Changed)}
	if t.Folded > 0 {
		parts = append(parts, fmt.Sprintf("%d in noise alone", t.Folded))
	}
	if n := r.in(production); n > 0 {
		parts = append(parts, fmt.Sprintf("%d in production", n))
	}
	if n := len(r.risks()); n > 0 {
		bad := len(slices.DeleteFunc(r.risks(), func(r risk) bool { return r.Severity != report.Error }))
		s := count(n, "risk")
		if bad > 0 {
			s += " (" + count(bad, "error") + ")"
		}
		parts = append(parts, s)
	}
	return strings.Join(parts, ", ") + ": " + looked
}
