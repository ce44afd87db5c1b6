package mirror

import (
	"cmp"
	"fmt"
	"io"
	"runtime/debug"
	"slices"
	"strings"

	"lumacore.dev/lumacore/internal/disclosure"
	"lumacore.dev/lumacore/internal/leaks"
	"lumacore.dev/lumacore/internal/report"
)

// Kind of the report of plan and sync, which is the receipt of a sync.
const Kind = "MirrorReport"

// The results.
const (
	Planned  = "planned"    // a sync would push this
	Pushed   = "pushed"     // it is on the mirror
	UpToDate = "up to date" // the mirror has exactly this
	Blocked  = "blocked"    // nothing was written; the report says why
)

// Report says what goes to the mirror, or what stops it.
type Report struct {
	report.TypeMeta
	Result   string   `json:"result"`
	URL      string   `json:"url"`
	Branch   string   `json:"branch"`
	Source   string   `json:"source"`           // commit of the private repository
	Before   string   `json:"before,omitempty"` // commit of the mirror; none for an empty one
	After    string   `json:"after,omitempty"`  // commit that was pushed
	Rules    string   `json:"rules"`            // digest of the rules of lumacore.yaml
	Searched string   `json:"searched"`         // digest of what was looked for
	Scanners []string `json:"scanners"`         // "gitleaks v8.30.1"
	Time     string   `json:"time"`             // RFC 3339, UTC
	Seconds  float64  `json:"seconds"`

	Files     int  `json:"files"` // that are published
	Bytes     int  `json:"bytes"`
	Withheld  int  `json:"withheld"`
	Allowed   int  `json:"allowed"` // findings that .gitallowed lets pass
	DocsBuilt bool `json:"docsBuilt"`
	Alarm     bool `json:"alarm"` // a canary was found, or somebody else has pushed

	Added, Changed, Removed int `json:"-"`

	Changes    []Change             `json:"changes"`
	Decisions  []Decision           `json:"decisions"` // of each file, by path
	Findings   []disclosure.Finding `json:"findings"`  // why it is blocked
	Problems   []string             `json:"problems"`  // why it is blocked, too
	NotChecked []string             `json:"notChecked"`
}

// Change is a file that differs from the mirror's.
type Change struct {
	Action   string   `json:"action"` // "add", "change", "remove"
	Path     string   `json:"path"`
	Rule     string   `json:"rule"`               // that decided
	Replaced []string `json:"replaced,omitempty"` // what of it was
}

func newReport(s Source, t Target, c *Candidate) *Report {
	r := &Report{
		TypeMeta: report.Meta(Kind), URL: t.URL, Branch: t.Branch, Source: c.Commit, Rules: c.Rules.Digest(), Searched: c.Searched,
		Scanners: scanners(), Time: s.Now.UTC().Format("2006-01-02T15:04:05Z"),
		Changes: []Change{}, Decisions: []Decision{}, Findings: []disclosure.Finding{}, Problems: []string{}, NotChecked: []string{},
	}
	return r
}

func scanners() []string {
	own := "lumacore"
	if b, ok := debug.ReadBuildInfo(); ok {
		own += " " + cmp.Or(b.Main.Version, "(devel)")
	}
	return []string{own, "gitleaks " + leaks.Default().Version()}
}

// take takes what was decided and found.
func (r *Report) take(c *Candidate) {
	r.Decisions = append(r.Decisions, c.Decisions...)
	r.Allowed = c.Allowed
	for _, d := range c.Decisions {
		switch d.Verdict {
		case Withheld:
			r.Withheld++
		case Refused:
			r.stop(fmt.Sprintf("%s may not be published: %s", d.Path, d.Rule))
		}
	}
	for _, p := range c.Problems {
		r.stop(p)
	}
	r.add(c.Findings)
	pictures := 0
	for _, f := range c.Files {
		r.Files++
		r.Bytes += len(f.Data)
		if strings.HasPrefix(string(f.Data), "\x89PNG") || strings.HasPrefix(string(f.Data), "\xff\xd8\xff") || strings.HasPrefix(string(f.Data), "GIF8") || strings.HasPrefix(string(f.Data), "RIFF") {
			pictures++
		}
	}
	if pictures > 0 {
		r.NotChecked = append(r.NotChecked, fmt.Sprintf("what can be read in the pixels of %s", count(pictures, "picture")))
	}
}

func (r *Report) stop(why string) {
	r.Result = Blocked
	r.Problems = append(r.Problems, why)
}

// compare says how the candidate differs from what is on the mirror.
func (r *Report) compare(c *Candidate, before map[string]entry) {
	rules := map[string]string{}
	for _, d := range c.Decisions {
		rules[d.Path] = d.Rule
	}
	there := map[string]bool{}
	for _, f := range c.Files {
		there[f.Path] = true
		old, ok := before[f.Path]
		switch {
		case !ok:
			r.Added++
			r.Changes = append(r.Changes, Change{"add", f.Path, rules[f.Path], f.Replaced})
		case old.mode != f.Mode || old.object != name(f.Data):
			r.Changed++
			r.Changes = append(r.Changes, Change{"change", f.Path, rules[f.Path], f.Replaced})
		}
	}
	for path := range before {
		if !there[path] {
			r.Removed++
			r.Changes = append(r.Changes, Change{"remove", path, cmp.Or(rules[path], "it is gone from the source"), nil})
		}
	}
	slices.SortFunc(r.Changes, func(a, b Change) int { return strings.Compare(a.Path, b.Path) })
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// most are the lines of one kind that a person gets; JSON has all.
const most = 40

// Text writes the report for a person.
func (r *Report) Text(s *report.Streams, w io.Writer) error {
	t := &text{s: s, w: w}
	signs := map[string]string{"add": "+", "change": "~", "remove": "-"}
	for i, c := range r.Changes {
		if i == most {
			t.line("  … and %s", count(len(r.Changes)-most, "more file"))
			break
		}
		note := c.Rule
		if len(c.Replaced) > 0 {
			note += "; replaced: " + strings.Join(c.Replaced, ", ")
		}
		t.line("  %s %s  (%s)", signs[c.Action], report.Clean(c.Path, 200), note)
	}
	if len(r.Changes) > 0 {
		t.line("")
	}
	t.findings(r.Findings)
	t.problems(r.Problems)
	if len(r.NotChecked) > 0 {
		t.line("Not checked")
		for _, n := range r.NotChecked {
			t.line("  %s", n)
		}
		t.line("")
	}
	to := cmp.Or(r.URL, "a mirror without an address")
	summary := fmt.Sprintf("%s published, %s withheld; %d added, %d changed, %d removed", count(r.Files, "file"), count(r.Withheld, "file"), r.Added, r.Changed, r.Removed)
	switch r.Result {
	case Blocked:
		t.line("%s: nothing was published. %s", s.Paint(s.Out, report.Bad, "blocked"), summary)
		if r.Alarm {
			t.line("ALARM: a canary was found, or somebody else has pushed. Handbook: When the mirror is blocked")
		}
	case Pushed:
		t.line("%s: %.12s is on %s as %.12s. %s", s.Paint(s.Out, report.Good, "pushed"), r.Source, to, r.After, summary)
	case UpToDate:
		t.line("%s: %s has %.12s as it would be published. %s", s.Paint(s.Out, report.Good, "up to date"), to, r.Source, summary)
	default:
		t.line("a sync would push %.12s to %s. %s", r.Source, to, summary)
	}
	return t.err
}

// text writes lines, and keeps the first error.
type text struct {
	s   *report.Streams
	w   io.Writer
	err error
}

func (t *text) line(format string, args ...any) {
	if _, err := fmt.Fprintf(t.w, format+"\n", args...); err != nil && t.err == nil {
		t.err = err
	}
}

func (t *text) findings(list []disclosure.Finding) {
	if len(list) == 0 {
		return
	}
	t.line("Must not become public")
	for i, f := range list {
		if i == most {
			t.line("  … and %d more", len(list)-most)
			break
		}
		mark := ""
		if f.Alarm {
			mark = "  CANARY"
		}
		t.line("  %s: %s%s", report.Clean(f.String(), 300), report.Clean(f.Hint, 60), mark)
	}
	t.line("")
}

func (t *text) problems(list []string) {
	if len(list) == 0 {
		return
	}
	t.line("Stops it")
	for i, p := range list {
		if i == most {
			t.line("  … and %d more", len(list)-most)
			break
		}
		t.line("  %s", report.Clean(p, 600))
	}
	t.line("")
}
