package leaks

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/zricethezav/gitleaks/v8/config"
)

// ConfigFile is where Gitleaks looks for a repository's own rules.
const ConfigFile = ".gitleaks.toml"

// Bounds of a repository's own rules.
const (
	maxConfig   = 1 << 20
	maxOwnRules = 200
	maxPattern  = 10_000 // characters of one regular expression
)

// Extend returns the rules together with those that a repository's .gitleaks.toml adds.
// It says, too, what of the file has no effect: all that would have less found. Rules
// can be added, with allowlists of their own, under names that there are not yet. What
// the file says of other rules, and its own allowlists, would let secrets pass without
// a reason, an owner and an end, for which there is .gitallowed.
func (r *Rules) Extend(data []byte) (rules *Rules, without []string, err error) {
	if len(data) > maxConfig {
		return nil, nil, fmt.Errorf("it has %d KiB; %d are the most that are read", len(data)>>10, maxConfig>>10)
	}
	quiet()
	// The library panics on what it does not expect.
	defer func() {
		if p := recover(); p != nil {
			rules, without, err = nil, nil, fmt.Errorf("gitleaks cannot read it: %v", p)
		}
	}()
	vc, err := parseConfig(data)
	if err != nil {
		return nil, nil, fmt.Errorf("it is no configuration of gitleaks: %w", err)
	}
	if vc.Extend.Path != "" || vc.Extend.URL != "" {
		without = append(without, "extend.path and extend.url: other files are not read")
	}
	if len(vc.Extend.DisabledRules) > 0 {
		without = append(without, "extend.disabledRules")
	}
	//lint:ignore SA1019 files of old versions still have it
	if vc.AllowList != nil || len(vc.Allowlists) > 0 {
		without = append(without, "allowlists of the whole file")
	}
	own := config.ViperConfig{Rules: vc.Rules[:0:0]}
	for _, rule := range vc.Rules {
		switch {
		case rule.ID == "":
			return nil, nil, fmt.Errorf("a rule has no id")
		case r.Has(rule.ID):
			without = append(without, "changes of the rule "+rule.ID+", which gitleaks brings")
			continue
		case len(own.Rules) == maxOwnRules:
			return nil, nil, fmt.Errorf("it has more than %d rules, which are the most that are applied", maxOwnRules)
		}
		patterns := []string{rule.Regex, rule.Path}
		lists := slices.Clone(rule.Allowlists)
		if rule.AllowList != nil {
			lists = append(lists, rule.AllowList)
		}
		for _, a := range lists {
			patterns = slices.Concat(patterns, a.Regexes, a.Paths)
		}
		for _, p := range patterns {
			if len(p) > maxPattern {
				return nil, nil, fmt.Errorf("rule %s has a pattern of %d characters; %d are the most that are applied", rule.ID, len(p), maxPattern)
			}
			if _, err := regexp.Compile(p); err != nil {
				return nil, nil, fmt.Errorf("rule %s: %w", rule.ID, err)
			}
		}
		own.Rules = append(own.Rules, rule)
	}
	slices.Sort(without)
	if without = slices.Compact(without); len(own.Rules) == 0 {
		return r, without, nil
	}
	cfg, err := own.Translate()
	if err != nil {
		return nil, nil, err
	}
	ids := r.IDs()
	for id := range cfg.Rules {
		if strings.ContainsAny(id, "\n\r\x00") {
			return nil, nil, fmt.Errorf("the name of rule %q has a line break", id)
		}
		ids = append(ids, id)
	}
	slices.Sort(ids)
	extended := newRules(ids, func() (config.Config, error) {
		all, err := r.compile()
		if err != nil {
			return all, err
		}
		all.Rules, all.Keywords = only(all.Rules, r.ids)
		for id, rule := range cfg.Rules {
			all.Rules[id] = rule
			for _, k := range rule.Keywords {
				all.Keywords[k] = struct{}{}
			}
		}
		return all, nil
	}, r.version, string(data))
	if all, err := extended.compile(); err != nil {
		return nil, nil, err
	} else if _, err := newFilter(all); err != nil {
		return nil, nil, err
	}
	return extended, without, nil
}
