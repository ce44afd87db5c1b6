package evidence

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"k8s.io/apimachinery/pkg/util/duration"

	"lumacore.dev/lumacore/internal/report"
)

// StatusKind is the kind of the report of `lumacore status`.
const StatusKind = "StatusReport"

// Status says of each kind and subject when it last passed. Its JSON Schema is
// docs/reference/status-report.schema.json.
type Status struct {
	report.TypeMeta
	From     string    `json:"from"` // "cluster", or the folder
	Time     string    `json:"time"` // RFC 3339, UTC
	Evidence []Subject `json:"evidence"`
}

// Subject is what is known of a subject.
type Subject struct {
	Kind    Kind    `json:"kind"`
	Subject string  `json:"subject"`
	Passed  *Record `json:"passed,omitempty"` // the last that passed; none if it never has
	// AgeSeconds is how long ago that was.
	AgeSeconds *int64 `json:"ageSeconds,omitempty"`
	Last       Record `json:"last"`
}

// NewStatus says what a store has.
func NewStatus(from string, list []*History, now time.Time) *Status {
	s := &Status{TypeMeta: report.Meta(StatusKind), From: from, Time: now.UTC().Format(time.RFC3339), Evidence: []Subject{}}
	for _, h := range list {
		last := h.Last()
		if last == nil {
			continue
		}
		e := Subject{Kind: h.Kind, Subject: h.Subject, Passed: h.Passed, Last: *last}
		if age, ok := h.Age(now); ok {
			seconds := int64(age.Seconds())
			e.AgeSeconds = &seconds
		}
		s.Evidence = append(s.Evidence, e)
	}
	return s
}

// Text implements report.Document.
func (s *Status) Text(streams *report.Streams, w io.Writer) error {
	if len(s.Evidence) == 0 {
		_, err := fmt.Fprintf(w, "No evidence in %s: nothing was proven yet\n", s.From)
		return err
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "KIND\tSUBJECT\tLAST PASSED\tAGE\tLAST RESULT")
	var failed []Subject
	for _, e := range s.Evidence {
		passed, age := "never", "-"
		if e.AgeSeconds != nil {
			passed = e.Passed.Time.UTC().Format("2006-01-02 15:04")
			age = duration.HumanDuration(time.Duration(*e.AgeSeconds) * time.Second)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", e.Kind, e.Subject, passed, age, e.Last.Result)
		if e.Last.Result == Failed {
			failed = append(failed, e)
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for i, e := range failed {
		if i == 0 {
			fmt.Fprintln(w)
		}
		why := e.Last.Reason
		if why == "" {
			why = "no reason was kept"
		}
		if _, err := fmt.Fprintf(w, "%s %s %s at %s: %s\n", e.Kind, e.Subject, streams.Paint(streams.Out, report.Bad, "failed"), e.Last.Time.UTC().Format("2006-01-02 15:04"), report.Clean(why, maxText)); err != nil {
			return err
		}
	}
	return nil
}
