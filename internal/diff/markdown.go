package diff

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"lumacore.dev/lumacore/internal/report"
)

// Marker is the first line of the Markdown form: a job finds the note that it wrote
// before by it, and writes that anew instead of another one.
const Marker = "<!-- lumacore diff -->"

// MostMarkdown bounds the Markdown form in bytes: GitHub refuses comments of more than
// 65,536 characters, and GitLab notes of more than 1,000,000
// (https://docs.gitlab.com/administration/instance_limits/#size-of-comments-and-descriptions-of-issues-merge-requests-and-epics).
const MostMarkdown = 65_000

// How much the tables of the Markdown form list; the rest is counted.
const (
	mostRows    = 40
	mostTables  = MostMarkdown * 2 / 3 // bytes: some of it is left for the objects
	mostCell    = 240                  // characters
	mostDetails = 200                  // lines of one object
	mostDetail  = 240                  // characters of one
)

// Markdown writes the report for a merge request: risks first, then versions and
// counts, and the differences, folded. What comes from the repository stands in code,
// where neither GitLab nor GitHub look for names of people, links or markup.
func (r *Report) Markdown(w io.Writer) error {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	rows := func(n int, row func(i int) string, more string) {
		for i := range n {
			if i == mostRows || b.Len() > mostTables {
				line(more, n-i)
				break
			}
			line("%s", row(i))
		}
	}
	all := r.clusters()
	line("%s", Marker)
	line("### What the change comes to")
	line("")
	line("%s → %s", code(r.Base.name()), code(r.Head.name()))
	line("")
	line("**%s**", inline(r.verdict()))
	if list := r.risks(); len(list) > 0 {
		line("\n| risk | object | why |\n|---|---|---|")
		rows(len(list), func(i int) string {
			x := list[i]
			return fmt.Sprintf("| %s %s | %s | %s |", sign(x.Severity), x.Mark, code(x.Object.title(all)), code(x.Message))
		}, "| | | and %d more |")
	}
	if len(r.Versions) > 0 {
		line("\n| update | environment | image or chart | versions | used by |\n|---|---|---|---|---|")
		rows(len(r.Versions), func(i int) string {
			v := r.Versions[i]
			return fmt.Sprintf("| %s | %s | %s %s | %s | %s |", v.update(), code(cmp.Or(v.Environment, "-")), v.Kind, code(v.Name), code(v.change()), code(few1(v.Objects)+on(v.Clusters, all)))
		}, "| | | and %d more | | |")
	}
	if len(r.Counts) > 0 {
		line("\n| cluster | environment | added | removed | changed | noise alone |\n|---|---|---:|---:|---:|---:|")
		rows(len(r.Counts), func(i int) string {
			c := r.Counts[i]
			return fmt.Sprintf("| %s | %s | %d | %d | %d | %d |", code(c.Cluster), code(cmp.Or(c.Environment, "-")), c.Added, c.Removed, c.Changed, c.Folded)
		}, "| and %d more | | | | | |")
	}
	rows(len(r.Folded), func(i int) string {
		f := r.Folded[i]
		return fmt.Sprintf("\n%s in %s alone: %s", objectsChange(len(f.Objects)), code(strings.Join(f.Fields, ", ")), code(few1(f.Objects)))
	}, "\nand %d more groups of objects that change in noise alone")
	if len(r.NotCompared) > 0 {
		line("\n**Not compared**\n")
		rows(len(r.NotCompared), func(i int) string { return "- " + code(r.NotCompared[i].line(all)) }, "- and %d more")
	}
	if len(r.Objects) > 0 {
		line("")
	}
	objects := make([]*Object, len(r.Objects))
	for i := range r.Objects {
		objects[i] = &r.Objects[i]
	}
	slices.SortStableFunc(objects, func(a, b *Object) int { return cmp.Compare(a.rank(), b.rank()) })
	left := 0
	const note = "**Cut here**: %s not shown, because a comment holds no more. `lumacore diff` in a checkout shows all.\n"
	for _, o := range objects {
		part := o.markdown(all)
		if b.Len()+len(part) > MostMarkdown-len(note)-100 {
			left++
			continue // a smaller one may still have room
		}
		b.WriteString(part)
	}
	if left > 0 {
		fmt.Fprintf(&b, note, objectsAre(left))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// rank orders objects by the most severe of their marks, so that what is cut is what
// matters least.
func (o *Object) rank() int {
	least := len(report.Severities)
	for _, m := range o.Marks {
		if m.Mark != production {
			least = min(least, slices.Index(report.Severities, m.Severity))
		}
	}
	return least
}

func objectsAre(n int) string {
	if n == 1 {
		return "1 object that differs is"
	}
	return fmt.Sprintf("%d objects that differ are", n)
}

func sign(s report.Severity) string {
	return map[report.Severity]string{report.Error: "🔴", report.Warning: "🟠", report.Info: "🔵"}[s]
}

// markdown writes one object, folded.
func (o *Object) markdown(clusters []string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "<details><summary>%s %s</summary>\n\n", o.Action, code(o.title(clusters)))
	fmt.Fprintf(&b, "%s\n\n", code(o.Location.String()+o.from()))
	if o.Was != "" {
		fmt.Fprintf(&b, "It was called %s.\n\n", code(o.Was))
	}
	for _, m := range o.Marks {
		fmt.Fprintf(&b, "- %s %s: %s\n", sign(m.Severity), m.Mark, code(m.Message))
	}
	var lines []string
	add := func(prefix, s string) {
		lines = append(lines, report.Clean(prefix+s, mostDetail))
	}
	switch o.Action {
	case Added:
		for l := range strings.SplitSeq(o.Content, "\n") {
			add("+ ", l)
		}
	case Removed:
		for l := range strings.SplitSeq(o.Content, "\n") {
			add("- ", l)
		}
	}
	for _, c := range o.Changes {
		for _, l := range c.fenced() {
			add("", l)
		}
	}
	if more := len(lines) - mostDetails; more > 0 {
		lines = append(lines[:mostDetails], fmt.Sprintf("  … (%d more lines)", more))
	}
	if len(lines) > 0 {
		body := strings.Join(lines, "\n")
		f := fence(body)
		fmt.Fprintf(&b, "\n%sdiff\n%s\n%s\n", f, body, f)
	}
	if o.Folded > 0 {
		fmt.Fprintf(&b, "\nand %s of noise\n", count(o.Folded, "field"))
	}
	b.WriteString("\n</details>\n\n")
	return b.String()
}

// fenced writes a change for a block that is coloured as a diff.
func (c *Change) fenced() (out []string) {
	lines := c.lines()
	if len(lines) == 1 && lines[0].sign == 0 && c.Hidden == "" && c.Action == Changed {
		return []string{"- " + c.Path + ": " + c.Old, "+ " + c.Path + ": " + c.New}
	}
	for i, l := range lines {
		switch {
		case l.sign != 0:
			out = append(out, string(l.sign)+" "+l.text)
		case i == 0:
			out = append(out, "@@ "+l.text+" @@")
		default:
			out = append(out, "  "+l.text)
		}
	}
	return out
}

// fence returns a fence that nothing in a text closes.
func fence(text string) string {
	longest, run := 2, 0
	for _, c := range text {
		if c == '`' {
			run++
			longest = max(longest, run)
		} else {
			run = 0
		}
	}
	return strings.Repeat("`", longest+1)
}

// code writes a text of the repository into a line or a cell, as code. All that means
// something in Markdown or HTML is written by its number, so that it means nothing.
func code(s string) string { return "<code>" + inline(s) + "</code>" }

// inline escapes a text. Letters, digits and spaces stay.
func inline(s string) string {
	var b strings.Builder
	for _, c := range report.Clean(s, mostCell) {
		switch {
		case c < utf8.RuneSelf && !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.ContainsRune(" .,-/()", c)):
			fmt.Fprintf(&b, "&#%d;", c)
		default:
			b.WriteRune(c)
		}
	}
	return b.String()
}
