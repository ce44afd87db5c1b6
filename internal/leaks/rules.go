package leaks

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/rs/zerolog"
	"github.com/spf13/viper"
	"github.com/zricethezav/gitleaks/v8/config"
	"github.com/zricethezav/gitleaks/v8/logging"
)

// Rules are what is looked for: those of Gitleaks, and those that a repository adds.
type Rules struct {
	version string
	ids     []string // sorted
	// compile makes the rules. That takes longer than a scan of which everything is
	// known, so it is put off until something is scanned.
	compile func() (config.Config, error)
}

// Default returns the rules that Gitleaks comes with
// (https://github.com/gitleaks/gitleaks/blob/v8.30.1/config/gitleaks.toml).
var Default = sync.OnceValue(func() *Rules {
	return newRules(defaultIDs(), func() (config.Config, error) {
		vc, err := parseConfig([]byte(config.DefaultConfig))
		if err != nil {
			return config.Config{}, err
		}
		return vc.Translate()
	}, config.DefaultConfig)
})

// newRules takes rules that are made of texts.
func newRules(ids []string, compile func() (config.Config, error), texts ...string) *Rules {
	h := sha256.New()
	for _, t := range texts {
		fmt.Fprintf(h, "%d:%s", len(t), t)
	}
	return &Rules{
		version: scanner + " " + hex.EncodeToString(h.Sum(nil)), ids: ids,
		compile: sync.OnceValues(func() (config.Config, error) {
			quiet()
			cfg, err := compile()
			if err != nil {
				return cfg, fmt.Errorf("rules of gitleaks: %w", err)
			}
			for id, r := range cfg.Rules {
				// Detection appends to the tags, at the same time in several goroutines.
				r.Tags = slices.Clip(r.Tags)
				cfg.Rules[id] = r
			}
			cfg.Path = "" // else a file of this name would be left out
			return cfg, nil
		}),
	}
}

// quiet turns off the log of Gitleaks, which is one for the whole process: it tells what
// it decides, secrets included.
var quiet = sync.OnceFunc(func() { logging.Logger = zerolog.Nop() })

// scanner is a part of the key of all that is kept. Count it up when something else is
// found in the same content by the same rules.
const scanner = "leaks/1"

// defaultIDs reads the names of the rules without the rules.
func defaultIDs() (ids []string) {
	for line := range strings.SplitSeq(config.DefaultConfig, "\n") {
		if id, ok := strings.CutPrefix(line, `id = "`); ok {
			ids = append(ids, strings.TrimSuffix(id, `"`))
		}
	}
	slices.Sort(ids)
	return ids
}

// parseConfig reads a configuration with a viper of its own: that of Gitleaks is one
// for the whole process.
func parseConfig(data []byte) (vc config.ViperConfig, err error) {
	v := viper.New()
	v.SetConfigType("toml")
	if err := v.ReadConfig(bytes.NewReader(data)); err != nil {
		return vc, err
	}
	return vc, v.Unmarshal(&vc)
}

// Version names the rules and how they are applied: with the same version, the same
// content has the same findings.
func (r *Rules) Version() string { return r.version }

// IDs returns the names of all rules, sorted.
func (r *Rules) IDs() []string { return slices.Clone(r.ids) }

// Has tells whether there is such a rule.
func (r *Rules) Has(id string) bool { _, ok := slices.BinarySearch(r.ids, id); return ok }
