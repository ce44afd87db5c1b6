package gitlab

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"lumacore.dev/lumacore/internal/report"
)

// Kind of the report.
const Kind = "GitLabReport"

// Report says how projects differ from what is declared, and what was done about it.
type Report struct {
	report.TypeMeta
	URL      string `json:"url"`
	Version  string `json:"version"`  // "18.6.1-ee"
	Edition  string `json:"edition"`  // "Community" or "Enterprise"
	Verified bool   `json:"verified"` // all was applied, and read again: nothing differs

	Projects   []Project    `json:"projects"`
	Changes    []*Change    `json:"changes"`    // in the order in which they are made
	NotApplied []NotApplied `json:"notApplied"` // declared, and no change is possible
	NotManaged []NotManaged `json:"notManaged"` // there, and not declared
	Notes      []Note       `json:"notes"`      // worth knowing
}

// Project is one of the projects that were looked at.
type Project struct {
	Path string `json:"path"`
	Tier string `json:"tier"` // "Free" or "Premium", which Ultimate includes
}

// The actions of changes.
const (
	Create  = "create"
	Update  = "update"
	Replace = "replace" // deleted and made anew, as GitLab cannot change it
)

// How far a change is.
const (
	Planned    = "planned"
	Done       = "done"
	Failed     = "failed"
	NotReached = "not reached" // an earlier one failed
)

// Change is something in a project that differs from what is declared.
type Change struct {
	Project string  `json:"project"`
	Object  string  `json:"object"` // "branch main", "label prod", "settings"
	Action  string  `json:"action"`
	Fields  []Field `json:"fields"`
	Status  string  `json:"status"`
	Error   string  `json:"error,omitempty"` // why it failed

	make func(*attempt) error
}

// Field is a value that differs. From is null for what was not there.
type Field struct {
	Name string `json:"name"`
	From any    `json:"from"` // a string, a bool, a number, a list of strings, or null
	To   any    `json:"to"`
}

// The reasons for which something is not applied.
const (
	NeedsPremium = "needs Premium"
	NoRunner     = "no such runner"
	NotAllowed   = "not allowed"
)

// NotApplied is something declared that cannot be had.
type NotApplied struct {
	Project string   `json:"project"`
	Object  string   `json:"object"`
	Fields  []string `json:"fields"` // empty: all of it
	Reason  string   `json:"reason"` // one of the constants
	Message string   `json:"message"`
}

// NotManaged is something that nobody declared. It is left as it is.
type NotManaged struct {
	Project string `json:"project"`
	Object  string `json:"object"`
	Message string `json:"message,omitempty"` // why it matters
}

// Note is something that a person should know.
type Note struct {
	Project string `json:"project"`
	Object  string `json:"object"`
	Message string `json:"message"`
}

// Differs tells whether something is to be done that can be done, or that waits for
// somebody. What needs another licence does not count.
func (r *Report) Differs() bool {
	return slices.ContainsFunc(r.Changes, func(c *Change) bool { return c.Status != Done }) || r.Waits()
}

// Waits tells whether something declared could not be applied for another reason than the
// licence.
func (r *Report) Waits() bool {
	return slices.ContainsFunc(r.NotApplied, func(n NotApplied) bool { return n.Reason != NeedsPremium })
}

// count counts the changes that are so far.
func (r *Report) count(status string) (n int) {
	for _, c := range r.Changes {
		if c.Status == status {
			n++
		}
	}
	return n
}

// Text writes the report for a person.
func (r *Report) Text(s *report.Streams, w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "GitLab %s (%s Edition) at %s\n", report.Clean(r.Version, 60), r.Edition, r.URL)
	for _, p := range r.Projects {
		fmt.Fprintf(&b, "\n%s (%s)\n", p.Path, p.Tier)
		empty := b.Len()
		for _, c := range r.Changes {
			if c.Project == p.Path {
				c.text(s, w, &b)
			}
		}
		for _, n := range r.NotApplied {
			if n.Project == p.Path {
				what := n.Object
				if len(n.Fields) > 0 {
					what += " (" + strings.ReplaceAll(strings.Join(n.Fields, ", "), n.Object+".", "") + ")"
				}
				fmt.Fprintf(&b, "  %s %s: %s\n", s.Paint(w, report.Warn, "not applied"), clean(what), clean(n.Message))
			}
		}
		var plain []string
		for _, n := range r.NotManaged {
			switch {
			case n.Project != p.Path:
			case n.Message != "":
				fmt.Fprintf(&b, "  not managed %s: %s\n", clean(n.Object), clean(n.Message))
			default:
				plain = append(plain, clean(n.Object))
			}
		}
		if len(plain) > 0 {
			fmt.Fprintf(&b, "  not managed %s\n", strings.Join(plain, ", "))
		}
		for _, n := range r.Notes {
			if n.Project == p.Path {
				fmt.Fprintf(&b, "  note %s: %s\n", clean(n.Object), clean(n.Message))
			}
		}
		if b.Len() == empty {
			b.WriteString("  as declared\n")
		}
	}
	b.WriteString("\n" + r.sum() + "\n")
	_, err := io.WriteString(w, b.String())
	return err
}

func (c *Change) text(s *report.Streams, w io.Writer, b *strings.Builder) {
	sign := map[string]string{Create: "+", Update: "~", Replace: "±"}[c.Action]
	state := ""
	switch c.Status {
	case Done:
		state = "  " + s.Paint(w, report.Good, "done")
	case Failed:
		state = "  " + s.Paint(w, report.Bad, "failed")
	case NotReached:
		state = "  not reached"
	}
	fmt.Fprintf(b, "  %s %s%s\n", sign, clean(c.Object), state)
	if c.Action == Replace && c.Status == Planned {
		b.WriteString("      GitLab cannot change this one: it is deleted and made anew, and is not protected in between\n")
	}
	for _, f := range c.Fields {
		if f.From == nil {
			fmt.Fprintf(b, "      %s: %s\n", f.Name, value(f.To))
		} else {
			fmt.Fprintf(b, "      %s: %s → %s\n", f.Name, value(f.From), value(f.To))
		}
	}
	if c.Error != "" {
		fmt.Fprintf(b, "      %s\n", clean(c.Error))
	}
}

func value(v any) string {
	switch v := v.(type) {
	case string:
		if v == "" {
			return "(none)"
		}
		return clean(v)
	case []string:
		if len(v) == 0 {
			return "(none)"
		}
		return clean(strings.Join(v, ", "))
	default:
		return fmt.Sprint(v)
	}
}

func clean(text string) string { return report.Clean(text, 300) }

// sum is the last line.
func (r *Report) sum() string {
	if r.Verified && len(r.Changes) > 0 {
		return fmt.Sprintf("%s made; read again, nothing differs.", number(len(r.Changes), "change"))
	}
	if done, failed := r.count(Done), r.count(Failed); done+failed > 0 {
		return fmt.Sprintf("%s made, %d failed, %d not reached.", number(done, "change"), failed, r.count(NotReached))
	}
	if len(r.Changes) == 0 {
		return "Nothing to change."
	}
	var parts []string
	for _, a := range []string{Create, Update, Replace} {
		n := 0
		for _, c := range r.Changes {
			if c.Action == a {
				n++
			}
		}
		if n > 0 {
			parts = append(parts, fmt.Sprintf("%d to %s", n, a))
		}
	}
	return number(len(r.Changes), "change") + ": " + strings.Join(parts, ", ") + "."
}

func number(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
