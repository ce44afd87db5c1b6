package evidence

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
)

// Kind is what a record proves.
type Kind string

// The kinds.
const (
	Check     Kind = "check"
	Deploy    Kind = "deploy"
	Promotion Kind = "promotion"
	Release   Kind = "release"
	Drill     Kind = "drill"
	Backup    Kind = "backup"
	Mirror    Kind = "mirror"
	Rotation  Kind = "rotation"
	Demo      Kind = "demo"
	Schedule  Kind = "schedule"
)

var kinds = []Kind{Check, Deploy, Promotion, Release, Drill, Backup, Mirror, Rotation, Demo, Schedule}

// Result is how it ended.
type Result string

// The results.
const (
	Passed Result = "passed"
	Failed Result = "failed"
)

// Record is what happened once.
type Record struct {
	Kind    Kind      `json:"kind"`
	Subject string    `json:"subject"` // of the kind: "sync", "prod/beacon"; in small letters
	Time    time.Time `json:"time"`    // when it ended; UTC, to the second
	Result  Result    `json:"result"`
	Reason  string    `json:"reason,omitempty"` // why it failed, one line without secrets
	// Figures are what was measured, by name with the unit in it: "duration_seconds".
	Figures map[string]float64 `json:"figures,omitempty"`
	Source  string             `json:"source,omitempty"` // what it is about: a commit, a digest, an address
}

// Bounds.
const (
	keep       = 20 // records of a subject, besides the last that passed
	maxText    = 500
	maxFigures = 30
	maxBytes   = 256 << 10 // of a subject's history, as JSON
	maxEntries = 1000      // subjects of a store
)

var (
	subjectForm = regexp.MustCompile(`^[a-z0-9]([a-z0-9./_-]{0,98}[a-z0-9])?$`)
	figureForm  = regexp.MustCompile(`^[a-z][a-z0-9_]{0,59}$`)
)

// normal returns the record as it is kept: whole seconds of UTC, texts of one line and of a
// bounded length. The error says what cannot be kept.
func (r Record) normal() (Record, error) {
	switch {
	case !slices.Contains(kinds, r.Kind):
		return r, fmt.Errorf("evidence: the kind is %q; known are %v", r.Kind, kinds)
	case !subjectForm.MatchString(r.Subject):
		return r, fmt.Errorf("evidence: the subject is %q; use up to 100 small letters, digits, dots, slashes, dashes", r.Subject)
	case r.Result != Passed && r.Result != Failed:
		return r, fmt.Errorf("evidence: the result is %q, want %s or %s", r.Result, Passed, Failed)
	case r.Time.IsZero():
		return r, errors.New("evidence: a record has no time")
	case len(r.Figures) > maxFigures:
		return r, fmt.Errorf("evidence: %d figures; %d are the most", len(r.Figures), maxFigures)
	}
	for _, name := range slices.Sorted(maps.Keys(r.Figures)) {
		if v := r.Figures[name]; !figureForm.MatchString(name) || math.IsNaN(v) || math.IsInf(v, 0) {
			return r, fmt.Errorf("evidence: the figure %q is %g; use small letters, digits and _, and a finite number", name, v)
		}
	}
	r.Time = r.Time.UTC().Truncate(time.Second)
	r.Reason, r.Source = line(r.Reason), line(r.Source)
	return r, nil
}

// line makes one line of a text.
func line(text string) string {
	text = strings.Join(strings.FieldsFunc(text, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }), " ")
	if r := []rune(text); len(r) > maxText {
		return string(r[:maxText-1]) + "…"
	}
	return text
}

// History is what is kept of a subject.
type History struct {
	Kind    Kind     `json:"kind"`
	Subject string   `json:"subject"`
	Records []Record `json:"records"` // newest first
	Passed  *Record  `json:"passed,omitempty"`
}

// Last is the newest record; nil if there is none.
func (h *History) Last() *Record {
	if len(h.Records) == 0 {
		return nil
	}
	return &h.Records[0]
}

// Age is how long ago it last passed. ok is false if it never has.
func (h *History) Age(now time.Time) (age time.Duration, ok bool) {
	if h.Passed == nil {
		return 0, false
	}
	return max(0, now.Sub(h.Passed.Time)), true // a clock that is ahead makes nothing younger than new
}

// add puts a record in its place. One that is older than others, because it was written late,
// takes no place from them.
func (h *History) add(r Record) {
	at, _ := slices.BinarySearchFunc(h.Records, r, func(a, b Record) int {
		if a.Time.After(b.Time) {
			return -1
		}
		return 1 // among records of the same second, the one that is written last is the newest
	})
	h.Records = slices.Insert(h.Records, at, r)
	h.Records = h.Records[:min(len(h.Records), keep)]
	if r.Result == Passed && (h.Passed == nil || !r.Time.Before(h.Passed.Time)) {
		h.Passed = &r
	}
}

// parse reads what a store has of a subject. Nothing is an empty history.
func parse(kind Kind, subject string, data []byte) (*History, error) {
	h := &History{Kind: kind, Subject: subject, Records: []Record{}}
	if len(data) > maxBytes {
		return nil, fmt.Errorf("it has %d bytes; %d are the most", len(data), maxBytes)
	}
	if len(data) == 0 {
		return h, nil
	}
	if err := json.Unmarshal(data, h); err != nil {
		return nil, err
	}
	if kind != "" && (h.Kind != kind || h.Subject != subject) {
		return nil, fmt.Errorf("it is about %s %s, not about %s %s", h.Kind, h.Subject, kind, subject)
	}
	// Whoever could write it could have written anything.
	check := h.Records
	if h.Passed != nil {
		if h.Passed.Result != Passed {
			return nil, fmt.Errorf("what it calls passed has the result %q", h.Passed.Result)
		}
		check = append(slices.Clone(check), *h.Passed)
	}
	for _, r := range check {
		if _, err := r.normal(); err != nil {
			return nil, err
		}
		if r.Kind != h.Kind || r.Subject != h.Subject {
			return nil, fmt.Errorf("it has a record about %s %s", r.Kind, r.Subject)
		}
	}
	return h, nil
}

func (h *History) json() ([]byte, error) {
	data, err := json.MarshalIndent(h, "", "  ")
	return append(data, '\n'), err
}

// sorted orders histories by kind and subject.
func sorted(list []*History) []*History {
	slices.SortFunc(list, func(a, b *History) int {
		if c := strings.Compare(string(a.Kind), string(b.Kind)); c != 0 {
			return c
		}
		return strings.Compare(a.Subject, b.Subject)
	})
	return list
}
