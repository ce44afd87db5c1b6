package leaks

import (
	"bytes"
	"cmp"
	"context"
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/zricethezav/gitleaks/v8/config"
	"github.com/zricethezav/gitleaks/v8/detect"
	gitleaks "github.com/zricethezav/gitleaks/v8/report"
)

// Bounds of what is scanned.
const (
	MaxText     = 4 << 20          // bytes of one file, or of one hunk of a commit
	textTimeout = 20 * time.Second // for one text; the largest take about a second
	decodeDepth = 5                // as the program gitleaks
	maxFindings = 500              // in one text
)

// Finding is a place where a rule of Gitleaks matches. It does not hold the secret.
type Finding struct {
	Rule string `json:"rule"` // of Gitleaks: "github-pat"
	File string `json:"file"`
	Line int    `json:"line"` // from 1; 0 when the rule is about the name of the file
	// Hint is what may be shown of the secret: its length, and how secrets of the kind
	// begin. It is empty when the rule is about the name of the file.
	Hint string `json:"hint"`
	// Secret names the secret, by rule and value: a slow hash, for values can be
	// guessed. It is the same in other files and commits.
	Secret string `json:"secret"`
	// Ciphertext says as what the value is encrypted, or that it is a digest: "SOPS".
	// Such a finding is none, and is only there to be counted.
	Ciphertext string `json:"ciphertext,omitempty"`
	// Comment says that the line has a gitleaks:allow comment.
	Comment bool `json:"comment,omitempty"`

	Commit string    `json:"commit,omitempty"` // full name, of a finding in the history
	Date   time.Time `json:"date,omitzero"`    // of the author
}

// Fingerprint is the one that the program gitleaks prints: "commit:file:rule:line",
// without the commit outside of the history.
func (f Finding) Fingerprint() string {
	s := fmt.Sprintf("%s:%s:%d", f.File, f.Rule, f.Line)
	if f.Commit != "" {
		s = f.Commit + ":" + s
	}
	return s
}

// Compare orders findings by file, line and rule.
func (f Finding) Compare(o Finding) int {
	return cmp.Or(cmp.Compare(f.File, o.File), cmp.Compare(f.Line, o.Line), cmp.Compare(f.Rule, o.Rule),
		cmp.Compare(f.Secret, o.Secret), cmp.Compare(f.Commit, o.Commit))
}

// Scanner looks for secrets. It finds what [detect.Detector] finds with the same rules,
// which does the work, but asks it only about texts in which it can find something: the
// detector tries each text against all rules. It is safe for concurrent use.
type Scanner struct {
	rules   *Rules
	prepare func() error // makes what follows, once
	config  config.Config
	filter  *filter
	whole   *detect.Detector // all rules, with decoding

	mu    sync.RWMutex
	some  map[set]*detect.Detector // with a part of the rules, without decoding
	paths map[string]place
}

// place is what the name of a file decides.
type place struct {
	skip  bool // Gitleaks does not look at it: images, fonts, lock files
	rules set  // that the name alone may match
}

// Bounds of what a scanner remembers.
const (
	maxDetectors = 1000
	maxPlaces    = 200_000
)

// NewScanner returns a scanner for rules.
func NewScanner(r *Rules) *Scanner {
	s := &Scanner{rules: r, some: map[set]*detect.Detector{}, paths: map[string]place{}}
	s.prepare = sync.OnceValue(func() (err error) {
		if s.config, err = r.compile(); err != nil {
			return err
		}
		if s.filter, err = newFilter(s.config); err != nil {
			return err
		}
		s.whole = s.detector(nil)
		s.whole.MaxDecodeDepth = decodeDepth
		return nil
	})
	return s
}

// detector returns a detector with these rules; nil means all.
func (s *Scanner) detector(ids []string) *detect.Detector {
	cfg := s.config
	if ids != nil {
		all := cfg.Rules
		cfg.Rules, cfg.Keywords = only(all, ids)
	}
	d := detect.NewDetectorContext(context.Background(), cfg)
	// A comment without reason, owner and end is no exception here; .gitallowed is.
	d.IgnoreGitleaksAllow = true
	return d
}

// Rules are what is looked for.
func (s *Scanner) Rules() *Rules { return s.rules }

// Binary tells whether content is no text: it has a zero byte where Git looks for one
// (https://git-scm.com/docs/gitattributes#_marking_files_as_binary).
func Binary(data []byte) bool { return bytes.IndexByte(data[:min(len(data), 8000)], 0) >= 0 }

// File looks at the content of a file, whose name, with slashes, counts too. The
// findings are sorted. Binary content has none but those of its name; an error says why
// the content could not be looked at.
func (s *Scanner) File(ctx context.Context, name string, data []byte) ([]Finding, error) {
	if len(data) > MaxText {
		return nil, fmt.Errorf("it has more than %d MiB, which are the most that are searched", MaxText>>20)
	}
	if Binary(data) {
		data = nil
	}
	text := string(data)
	found, err := s.raw(ctx, name, "", text, 1, true)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return s.redact(found, sealedLines(text))
}

// Decoded looks at a text of no file, in which whoever calls has undone all encodings:
// what is encoded in it still is not decoded, which takes most of the time of [Scanner.File].
func (s *Scanner) Decoded(ctx context.Context, text string) ([]Finding, error) {
	found, err := s.raw(ctx, "text", "", text, 1, false)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return s.redact(found, sealedLines(text))
}

// unique sorts findings, and makes one of those that differ in nothing.
func unique(out []Finding) []Finding {
	slices.SortFunc(out, Finding.Compare)
	return slices.Compact(out)
}

// raw returns what Gitleaks finds in a text that begins at a line of a file, and in what is
// encoded in it if decode says so.
func (s *Scanner) raw(ctx context.Context, name, commit, text string, line int, decode bool) ([]gitleaks.Finding, error) {
	if err := s.prepare(); err != nil {
		return nil, err
	}
	p := s.place(name)
	if p.skip {
		return nil, nil
	}
	rules := p.rules
	s.filter.keywords(text, &rules)
	d := s.whole
	if !decode || !decodable(text) {
		if g := s.filter.generic; g >= 0 && rules.has(g) && !assigns(text) {
			rules.remove(g)
		}
		if rules == (set{}) {
			return nil, nil
		}
		d = s.part(rules)
	}
	if len(text) > 64<<10 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, textTimeout)
		defer cancel()
	}
	//lint:ignore SA1019 the method takes no other type in this version
	found := d.DetectContext(ctx, detect.Fragment{Raw: text, FilePath: name, CommitSHA: commit, StartLine: line})
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("it takes more than %s to search: %w", textTimeout, err)
	}
	return found, nil
}

// place returns what the name of a file decides.
func (s *Scanner) place(name string) place {
	s.mu.RLock()
	p, ok := s.paths[name]
	s.mu.RUnlock()
	if ok {
		return p
	}
	p = s.filter.place(name)
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.paths) < maxPlaces {
		s.paths[strings.Clone(name)] = p
	}
	return p
}

// Skips tells whether the name of a file says that it is not searched: images, fonts,
// lock files and the like (https://github.com/gitleaks/gitleaks/blob/v8.30.1/config/gitleaks.toml).
func (s *Scanner) Skips(name string) bool { return s.prepare() == nil && s.place(name).skip }

// part returns a detector with a part of the rules.
func (s *Scanner) part(rules set) *detect.Detector {
	s.mu.RLock()
	d := s.some[rules]
	s.mu.RUnlock()
	if d != nil {
		return d
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if d := s.some[rules]; d != nil {
		return d
	}
	d = s.detector(s.filter.named(rules))
	if len(s.some) < maxDetectors {
		s.some[rules] = d
	}
	return d
}

// redact takes what may be told of the findings in a text, of which some lines are
// known to be encrypted.
func (s *Scanner) redact(found []gitleaks.Finding, sealed lines) (out []Finding, err error) {
	plain := 0
	for _, f := range found {
		g := Finding{
			Rule: f.RuleID, File: f.File, Line: f.StartLine, Commit: f.Commit,
			Ciphertext: ciphertext(f.Line, f.Secret), Comment: strings.Contains(f.Line, "gitleaks:allow"),
		}
		if g.Ciphertext == "" && sealed.has(f.StartLine, f.EndLine) {
			g.Ciphertext = "encrypted"
		}
		if g.Ciphertext == "" {
			if plain++; plain > maxFindings {
				err = fmt.Errorf("more than %d places in it look like secrets; the others are not listed", maxFindings)
				continue
			}
			g.Hint, g.Secret = s.hint(f.RuleID, f.Secret), nameSecret(f.RuleID, f.Secret)
		}
		out = append(out, g)
	}
	return unique(out), err
}

// hint says what a secret looks like without giving it away: how long it is, and how it
// begins, as far as that is a keyword of the rule, which says what kind of secret it is.
func (s *Scanner) hint(rule, secret string) string {
	if secret == "" {
		return ""
	}
	shown := ""
	for _, k := range s.config.Rules[rule].Keywords {
		if len(k) > len(shown) && len(k)*3 < len(secret) && strings.EqualFold(secret[:len(k)], k) {
			shown = secret[:len(k)]
		}
	}
	return fmt.Sprintf("%s… (%d characters)", shown, len(secret))
}

// nameSecret hashes a secret. The hash is meant to be written down, so guessing a weak
// secret from it must be work.
func nameSecret(rule, secret string) string {
	const iterations = 10_000 // about a millisecond
	key, err := pbkdf2.Key(sha256.New, secret, []byte("lumacore.dev/leaks "+rule), iterations, 10)
	if err != nil {
		panic(err) // of the constants
	}
	return hex.EncodeToString(key)
}
