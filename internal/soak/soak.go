// Package soak tells since when an app's staging has been healthy on exactly the versions that
// it has now, and whether that is long enough for production.
//
// Nothing here keeps a clock. When a version came to staging stands in Git; since when its pods
// are healthy, and whether they restarted, the cluster says. The later of both counts.
package soak

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"lumacore.dev/lumacore/internal/diff"
)

// Needs are how long a version soaks, by the kind of update; the largest kind of several
// counts. A major update has no time: a person has to say that it is meant.
type Needs struct {
	Patch, Minor time.Duration
}

// Default is what the requirements name: 24 hours for a patch, 72 for a minor update.
var Default = Needs{Patch: 24 * time.Hour, Minor: 72 * time.Hour}

// Of returns how long an update soaks. What cannot be ordered soaks as long as a minor update:
// nobody knows what is in it.
func (n Needs) Of(kind diff.Update) time.Duration {
	if kind == diff.Patch || kind == diff.Digest {
		return n.Patch
	}
	return n.Minor
}

// Moment is since when something is as it is, and what made it so.
type Moment struct {
	Time time.Time
	What string // "commit 0123abc brought 1.0.1", "container web of pod web-1 restarted (OOMKilled)"
}

// later returns the later of two moments.
func later(a, b Moment) Moment {
	if b.Time.After(a.Time) {
		return b
	}
	return a
}

// Health is what the cluster says about an app's staging.
type Health struct {
	Since    Moment
	Problems []string // why it is not healthy now; sorted
}

// Verdict is whether an app may go to production.
type Verdict struct {
	Kind    diff.Update // the largest of its updates
	Since   Moment
	Need    time.Duration
	Ready   bool
	Missing []string  // what is missing, in words; none if it is ready
	At      time.Time // when it would be ready, if nothing happens; zero if that cannot be told
}

// sizes order the kinds of updates.
var sizes = []diff.Update{diff.Digest, diff.Patch, diff.Prerelease, diff.Other, diff.NewVersion, diff.Minor, diff.Major}

// Largest returns the largest kind of updates.
func Largest(kinds []diff.Update) diff.Update {
	if len(kinds) == 0 {
		return ""
	}
	return slices.MaxFunc(kinds, func(a, b diff.Update) int { return cmp.Compare(slices.Index(sizes, a), slices.Index(sizes, b)) })
}

// Judge decides. git is when the versions came to staging; health is nil if no cluster was
// asked, which is never enough; major says that a person wants a major update.
func Judge(kinds []diff.Update, downgrade bool, git Moment, health *Health, needs Needs, major bool, now time.Time) Verdict {
	v := Verdict{Kind: Largest(kinds), Since: git}
	v.Need = needs.Of(v.Kind)
	timed := true
	miss := func(format string, args ...any) { v.Missing = append(v.Missing, fmt.Sprintf(format, args...)) }
	if v.Kind == diff.Major && !major {
		miss("it is a major update: read its release notes, then say --major")
	}
	if downgrade {
		miss("staging has an older version than prod: that is a way back, and no promotion")
		timed = false
	}
	switch {
	case health == nil:
		miss("no cluster was asked whether staging is healthy")
		timed = false
	case len(health.Problems) > 0:
		miss("staging is not healthy: %s", strings.Join(health.Problems, "; "))
		timed = false
	default:
		v.Since = later(git, health.Since)
	}
	ready := v.Since.Time.Add(v.Need)
	if left := ready.Sub(now); left > 0 {
		miss("it has soaked for %s of %s, since %s", hours(now.Sub(v.Since.Time)), hours(v.Need), v.Since.What)
	}
	if timed {
		v.At = ready
	}
	v.Ready = len(v.Missing) == 0
	return v
}

// hours writes a duration to the minute: nobody waits for seconds.
func hours(d time.Duration) string {
	d = max(0, d.Truncate(time.Minute))
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
