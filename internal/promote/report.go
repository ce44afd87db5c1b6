package promote

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"lumacore.dev/lumacore/internal/diff"
	"lumacore.dev/lumacore/internal/report"
)

// Kind of the report.
const Kind = "PromotionReport"

// What becomes of an app.
const (
	Promoted = "promoted"   // prod's overlay has staging's versions, on the branch or in a dry run
	Refused  = "refused"    // something is missing
	Held     = "held"       // it could go, and another that was named may not
	UpToDate = "up to date" // prod has what staging has
)

// Report is what `lumacore promote` says. Its JSON Schema is
// docs/reference/promotion-report.schema.json.
type Report struct {
	report.TypeMeta
	Source     string       `json:"source"` // commit that is promoted
	DryRun     bool         `json:"dryRun"`
	Branch     string       `json:"branch,omitempty"` // with the promotion
	Commit     string       `json:"commit,omitempty"` // on it
	Apps       []App        `json:"apps"`
	Changes    *diff.Report `json:"changes,omitempty"` // what it comes to in production
	NotChecked []string     `json:"notChecked"`
}

// App is what becomes of one app.
type App struct {
	Name          string      `json:"app"`
	Result        string      `json:"result"`
	Updates       []Update    `json:"updates"`
	Kind          diff.Update `json:"kind,omitempty"` // the largest of its updates
	Since         string      `json:"since,omitempty"`
	SinceWhat     string      `json:"sinceWhat,omitempty"`
	SoakedSeconds int64       `json:"soakedSeconds"`
	NeedSeconds   int64       `json:"needSeconds"`
	ReadyAt       string      `json:"readyAt,omitempty"` // if nothing happens meanwhile
	Missing       []string    `json:"missing"`
	Notes         []string    `json:"notes"`
}

// Update is an image that prod gets.
type Update struct {
	Image     string      `json:"image"`
	From      string      `json:"from"` // "" for one that prod has not
	To        string      `json:"to"`
	Update    diff.Update `json:"update"`
	Downgrade bool        `json:"downgrade"`
}

// Count returns how many apps have a result.
func (r *Report) Count(result string) int {
	n := 0
	for _, a := range r.Apps {
		if a.Result == result {
			n++
		}
	}
	return n
}

// Hold says that nothing is done, although some apps could go, because others may not.
func (r *Report) Hold() {
	for i := range r.Apps {
		if a := &r.Apps[i]; a.Result == Promoted {
			a.Result = Held
		}
	}
}

// short is a version with its digest shortened; "-" for none.
func short(version string) string {
	if version == "" {
		return "-"
	}
	tag, digest, _ := strings.Cut(version, "@")
	return diff.Short(tag, digest)
}

// Text implements report.Document.
func (r *Report) Text(s *report.Streams, w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	if r.Count(UpToDate) < len(r.Apps) {
		fmt.Fprintln(t, "APP\tIMAGE\tPROD\tSTAGING\tUPDATE\tRESULT")
	}
	for _, a := range r.Apps {
		for _, u := range a.Updates {
			kind := string(u.Update)
			if u.Downgrade {
				kind += ", older"
			}
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", a.Name, u.Image, short(u.From), short(u.To), kind, a.Result)
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	var lines []string
	for _, a := range r.Apps {
		for _, m := range a.Missing {
			lines = append(lines, fmt.Sprintf("%s is refused: %s", a.Name, m))
		}
		if a.Result == Refused && a.ReadyAt != "" {
			if at, err := time.Parse(time.RFC3339, a.ReadyAt); err == nil {
				lines = append(lines, fmt.Sprintf("%s has soaked at %s UTC, if nothing happens", a.Name, at.Format("2006-01-02 15:04")))
			}
		}
		for _, n := range a.Notes {
			lines = append(lines, a.Name+": "+n)
		}
	}
	for _, n := range r.NotChecked {
		lines = append(lines, "not checked: "+n)
	}
	if len(lines) > 0 && r.Count(UpToDate) < len(r.Apps) {
		fmt.Fprintln(w)
	}
	for _, l := range lines {
		fmt.Fprintln(w, report.Clean(l, 600))
	}
	if r.Changes != nil {
		fmt.Fprintln(w, "\nWhat it comes to in production")
		if err := r.Changes.Text(s, w); err != nil {
			return err
		}
	}
	summary := ""
	switch {
	case r.Count(UpToDate) == len(r.Apps):
		summary = "nothing to promote: prod has what staging has"
	case r.Count(Promoted) == 0:
		summary = s.Paint(s.Out, report.Bad, "nothing is promoted")
	case r.DryRun:
		summary = fmt.Sprintf("%s would be promoted", count(r.Count(Promoted)))
	default:
		summary = fmt.Sprintf("%s: branch %s has %s", s.Paint(s.Out, report.Good, "promoted"), r.Branch, count(r.Count(Promoted)))
	}
	_, err := fmt.Fprintf(w, "\n%s\n", summary)
	return err
}

func count(n int) string {
	if n == 1 {
		return "1 app"
	}
	return fmt.Sprintf("%d apps", n)
}
