package mirror

import (
	"cmp"
	"fmt"
	"strings"

	"lumacore.dev/lumacore/internal/evidence"
)

// Subjects of evidence.
const (
	SyncSubject   = "sync"
	VerifySubject = "verify"
)

func number(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// Evidence is what the report proves. Nothing in it gives away what was found.
func (r *Report) Evidence() evidence.Record {
	e := evidence.Record{
		Kind: evidence.Mirror, Subject: SyncSubject,
		Source: fmt.Sprintf("%s as %s, rules %s, searched for %s by %s", r.Source, cmp.Or(r.After, "nothing"), r.Rules, r.Searched, strings.Join(r.Scanners, " and ")),
		Figures: map[string]float64{
			"duration_seconds": r.Seconds, "files": float64(r.Files), "size_bytes": float64(r.Bytes), "withheld_files": float64(r.Withheld),
			"added_files": float64(r.Added), "changed_files": float64(r.Changed), "removed_files": float64(r.Removed),
			"allowed_findings": float64(r.Allowed), "findings": float64(len(r.Findings)), "problems": float64(len(r.Problems)),
			"docs_built": number(r.DocsBuilt), "alarm": number(r.Alarm),
		},
	}
	if r.Result == Blocked {
		var why []string
		for _, f := range r.Findings {
			why = append(why, f.String())
		}
		e.Reason = "blocked: " + strings.Join(append(why, r.Problems...), "; ")
	}
	return e
}

// Evidence is what the verification proves.
func (v *Verification) Evidence() evidence.Record {
	e := evidence.Record{
		Kind: evidence.Mirror, Subject: VerifySubject, Source: v.Tip + " at " + v.URL,
		Figures: map[string]float64{
			"duration_seconds": v.Seconds, "commits": float64(v.Commits), "known_commits": float64(v.Known), "recomputed_commits": float64(v.Recomputed),
			"searched_files": float64(v.Blobs), "exposures": float64(len(v.Exposures)), "foreign": float64(len(v.Foreign)), "differing_commits": float64(len(v.Differs)),
			"not_checked": float64(len(v.NotChecked)), "alarm": number(v.Alarm),
		},
	}
	if v.Result == Dirty {
		var why []string
		for _, x := range v.Exposures {
			why = append(why, x.String())
		}
		for _, f := range append(v.Foreign[:len(v.Foreign):len(v.Foreign)], v.Differs...) {
			why = append(why, f.Name+": "+f.Reason)
		}
		e.Reason = "not clean: " + strings.Join(why, "; ")
	}
	return e
}
