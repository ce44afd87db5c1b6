package config

import (
	"time"

	"go.yaml.in/yaml/v3"
)

// SoakTimes are how long a version is healthy in staging before it may go to production, by
// the kind of update; 0 where lumacore.yaml says nothing.
type SoakTimes struct {
	Patch, Minor time.Duration
}

// Soak says how long versions soak.
type Soak struct {
	SoakTimes
	Apps map[string]SoakTimes // of single apps, by name; they win
}

// Of returns the times of an app; 0 where nothing is said.
func (s Soak) Of(app string) SoakTimes {
	times := s.SoakTimes
	if own := s.Apps[app]; own.Patch != 0 {
		times.Patch = own.Patch
	}
	if own := s.Apps[app]; own.Minor != 0 {
		times.Minor = own.Minor
	}
	return times
}

// Bounds of a soak.
const (
	minSoak = time.Minute
	maxSoak = 90 * 24 * time.Hour
)

func (r *reader) soak(c *Config, n *yaml.Node, at string) {
	times := func(into *SoakTimes) fields {
		return fields{"patch": r.duration(&into.Patch), "minor": r.duration(&into.Minor)}
	}
	known := times(&c.Soak.SoakTimes)
	known["apps"] = func(n *yaml.Node, at string) {
		r.words(n, at, "apps", func(key, value *yaml.Node, where string) {
			var t SoakTimes
			r.mapping(value, where, times(&t))
			if c.Soak.Apps == nil {
				c.Soak.Apps = map[string]SoakTimes{}
			}
			c.Soak.Apps[key.Value] = t
		})
	}
	r.mapping(n, at, known)
}

// duration reads a time such as 24h or 90m.
func (r *reader) duration(into *time.Duration) field {
	return func(n *yaml.Node, at string) {
		text := r.scalar(n, at)
		if text == "" {
			return
		}
		d, err := time.ParseDuration(text)
		switch {
		case err != nil:
			r.mistake(n.Line, "%s is %q; write hours or minutes, such as 24h or 90m", at, cut(text))
		case d < minSoak || d > maxSoak:
			r.mistake(n.Line, "%s is %s; it is between %s and %s", at, text, minSoak, maxSoak)
		default:
			*into = d
		}
	}
}
