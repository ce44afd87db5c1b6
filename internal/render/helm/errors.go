package helm

import (
	"fmt"
	"regexp"
	"strings"

	"lumacore.dev/lumacore/internal/report"
)

// SpecError says that the HelmRelease itself makes no sense.
type SpecError struct{ Reason string }

func (e *SpecError) Error() string { return e.Reason }

// SourceError says that the source of a chart is missing, or does not have the
// chart: Flux will not find it either.
type SourceError struct {
	Source string // "HelmRepository flux-system/podinfo"
	Reason string
	Next   string // what to do about it; may be empty
}

func (e *SourceError) Error() string { return e.Source + ": " + e.Reason }

// ValuesError says that a reference in valuesFrom leads nowhere, or to what are no
// values.
type ValuesError struct {
	Index  int    // in valuesFrom
	Ref    string // "ConfigMap apps/podinfo-values"
	Reason string
}

func (e *ValuesError) Error() string {
	return fmt.Sprintf("valuesFrom[%d], %s: %s", e.Index, e.Ref, e.Reason)
}

// ChartError says that a chart does not load or does not template.
type ChartError struct {
	Chart   string // "podinfo 6.7.1"
	Message string
	// At is the place in the chart: "podinfo/templates/deployment.yaml", with the
	// line if there is one. Empty for what has no place.
	At report.Location
}

func (e *ChartError) Error() string {
	if e.At.File == "" {
		return fmt.Sprintf("chart %s: %s", e.Chart, e.Message)
	}
	return fmt.Sprintf("chart %s: %s: %s", e.Chart, e.At, e.Message)
}

// templateError finds the place and the reason in an error of Helm's engine, whose
// texts have these forms:
//
//	parse error at (podinfo/templates/x.yaml:3): function "foo" not defined
//	execution error at (podinfo/templates/x.yaml:3:4): a value is required
//	template: podinfo/templates/x.yaml:3:4: executing "…" at <…>: error calling include: template: …
//	podinfo/templates/x.yaml:3:4
//	  executing "podinfo/templates/x.yaml" at <include "y" .>:
//	    error calling include:
//	podinfo/templates/_helpers.tpl:7:10
//	  executing "y" at <.Values.a.b>:
//	    nil pointer evaluating interface {}.b
//
// The last two are the same chain of calls. Its last part says what is wrong, and
// its first where that was used.
func templateError(chart string, err error) *ChartError {
	text := strings.TrimSpace(unguarded(err.Error()))
	e := &ChartError{Chart: chart, Message: text}
	for _, form := range []string{"parse error at (", "execution error at ("} {
		if rest, ok := strings.CutPrefix(text, form); ok {
			if at, why, ok := strings.Cut(rest, "): "); ok {
				e.At, e.Message = place(at), short(why)
				return e
			}
		}
	}
	// Both forms of the chain become one: calls, then the reason.
	text = strings.Join(strings.Fields(text), " ")
	var first, last, where string
	for {
		m := call.FindStringSubmatch(text)
		if m == nil {
			break
		}
		if last, where = m[1], m[2]; first == "" {
			first = last
		}
		text = text[len(m[0]):]
	}
	if last == "" {
		e.Message = short(text)
		return e
	}
	e.At = place(last)
	e.Message = fmt.Sprintf("%s (in %s)", short(text), where)
	if place(first) != e.At {
		e.Message += ", used by " + place(first).String()
	}
	return e
}

// call is one part of a chain of calls: the place, what was executed there, and
// the function through which the next part was called.
var call = regexp.MustCompile(`^(?:template: )?([^\s:]+:\d+(?::\d+)?):? executing "[^"]*" at <(.*?)>: (?:error calling \w+: )?`)

// short keeps a message to what fits on a screen.
func short(s string) string {
	const most = 1000
	if s = strings.TrimSpace(s); len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}

// place reads "file:line:column" or "file:line".
func place(s string) report.Location {
	parts := strings.Split(s, ":")
	if len(parts) < 2 || strings.Contains(parts[0], " ") {
		return report.Location{File: s}
	}
	l := report.Location{File: parts[0]}
	if _, err := fmt.Sscanf(parts[1], "%d", &l.Line); err != nil {
		return report.Location{File: s}
	}
	return l
}
