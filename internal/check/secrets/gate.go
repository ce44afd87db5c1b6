// Package secrets is the gate over secrets that are where everybody can read them: in
// the files of the repository, in its history, and in what it renders to.
//
// Files and commits are searched with the rules of Gitleaks (package leaks), all files
// that Git tracks and not only those that Flux reads. What is found there is not
// reported again where it is rendered. Beside that, a Kubernetes Secret in the
// repository whose values are not encrypted is a finding whatever they look like.
//
// Of secrets that an operator brings from 1Password, the gate looks at what the
// repository says of them: that the register lists each (package config), and that the
// operator looks where they are.
//
// Findings name the rule of Gitleaks, the length of the secret and a fingerprint, and
// never the secret, nor its line. What is no secret is allowed in .gitallowed, with a
// reason, a ticket, an owner and a last day; nothing else is: comments for Gitleaks and
// the allowlists of .gitleaks.toml have no effect.
package secrets

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"lumacore.dev/lumacore/internal/cache"
	"lumacore.dev/lumacore/internal/check"
	"lumacore.dev/lumacore/internal/disclosure"
	"lumacore.dev/lumacore/internal/gitops"
	"lumacore.dev/lumacore/internal/leaks"
	"lumacore.dev/lumacore/internal/report"
)

// Gate reports secrets in files, in commits and in rendered objects.
var Gate = &check.Gate{
	Name:  name,
	Title: "secrets in files, history and what is rendered, Secrets in the clear, and a register that is wrong",
	Rules: rules,
	Check: run,
}

const name = "secrets"

// hidden stands for the line of a finding.
const hidden = "(not shown, for it holds the secret)"

// look is one run of the gate.
type look struct {
	in      *check.Input
	out     *check.Reporter
	files   gitops.Unfiltered
	scanner *leaks.Scanner
	cache   *cache.Folder
	allowed *leaks.Allowed

	mu   sync.Mutex
	used map[*leaks.Entry]bool
}

func run(ctx context.Context, in *check.Input, out *check.Reporter) error {
	l := &look{in: in, out: out, files: gitops.Unfiltered{Tree: in.Tree}, allowed: &leaks.Allowed{}, used: map[*leaks.Entry]bool{}}
	if in.Cache != "" {
		l.cache = cache.Open(filepath.Join(in.Cache, "secrets"))
	}
	l.rules()
	if err := l.allowlist(); err != nil {
		return err
	}
	if err := l.look(ctx); err != nil {
		return err
	}
	if err := l.kubernetes(ctx); err != nil {
		return err
	}
	if err := l.register(); err != nil {
		return err
	}
	if err := l.watched(ctx); err != nil {
		return err
	}
	whole := false
	if in.History {
		var err error
		if whole, err = l.history(ctx); err != nil {
			return err
		}
	}
	l.entries(whole)
	return nil
}

// rules makes the scanner, with the rules that the repository adds.
func (l *look) rules() {
	rules := leaks.Default()
	defer func() { l.scanner = leaks.NewScanner(rules) }()
	if l.files.IsFile(leaks.ConfigFile) {
		at := report.Location{File: leaks.ConfigFile, Line: 1}
		unread := func(err error) {
			l.out.Unchecked(report.Unchecked{
				Subject: "the rules in " + leaks.ConfigFile, Location: at,
				Reason: fmt.Sprintf("the file cannot be read, so that only the rules of Gitleaks are looked for: %v", err),
				Next:   "mend the file: gitleaks dir --config " + leaks.ConfigFile + " reads it too",
			})
		}
		if data, err := l.files.ReadFile(leaks.ConfigFile); err != nil {
			unread(err)
		} else if extended, without, err := rules.Extend(data); err != nil {
			unread(err)
		} else {
			rules = extended
			if len(without) > 0 {
				l.out.File("secrets/foreign-allowlist", at, "%s has what would let secrets pass and has no effect here: %s", leaks.ConfigFile, strings.Join(without, "; "))
			}
		}
	}
	const ignore = ".gitleaksignore"
	if l.files.IsFile(ignore) {
		if data, err := l.files.ReadFile(ignore); err == nil {
			for i, line := range strings.Split(string(data), "\n") {
				if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
					l.out.File("secrets/foreign-allowlist", report.Location{File: ignore, Line: i + 1}, "%s lets secrets pass, and has no effect here", ignore)
					break
				}
			}
		}
	}
}

// allowlist reads .gitallowed.
func (l *look) allowlist() error {
	if !l.files.IsFile(leaks.AllowedFile) {
		return nil
	}
	at := func(line int) report.Location { return report.Location{File: leaks.AllowedFile, Line: line} }
	data, err := l.files.ReadFile(leaks.AllowedFile)
	if err != nil {
		l.out.File("secrets/allowed-invalid", at(1), "the file cannot be read, so nothing in it holds: %v", err)
		return nil
	}
	l.allowed = leaks.ParseAllowed(data, l.scanner.Rules())
	for _, m := range l.allowed.Mistakes {
		rule := "secrets/allowed-invalid"
		if m.Broad {
			rule = "secrets/allowed-too-broad"
		}
		// Who writes an entry may have taken the secret for its fingerprint.
		l.out.Add(report.Finding{Rule: rule, Location: at(m.Line), Message: m.Message, Source: "(not shown)"})
	}
	return nil
}

// suppression returns the entry that allows a finding, and marks all that fit it.
func (l *look) suppression(f leaks.Finding, path string) (s *report.Suppression) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.allowed.Entries {
		if !e.Fits(f, path) {
			continue
		}
		l.used[e] = true
		if s == nil && !e.Expired(l.in.Now) {
			s = &report.Suppression{
				By:      fmt.Sprintf("%s:%d", leaks.AllowedFile, e.Line),
				Reason:  fmt.Sprintf("%s (%s, %s)", e.Reason, e.Ticket, e.Owner),
				Expires: e.Expires.Format(time.DateOnly),
			}
		}
	}
	return s
}

// entries reports entries of .gitallowed that have expired or fit nothing. Those about
// commits can be said to fit nothing only if all commits were searched.
func (l *look) entries(history bool) {
	complete := l.complete()
	for _, e := range l.allowed.Entries {
		at := report.Location{File: leaks.AllowedFile, Line: e.Line}
		switch {
		case e.Expired(l.in.Now):
			l.out.File("secrets/allowed-expired", at, "the entry for %s held until %s; findings that it fits count again", e, e.Expires.Format(time.DateOnly))
		case !l.used[e] && !disclosure.Fingerprint(e.Fingerprint) && complete && (history || !e.Commits()):
			l.out.File("secrets/allowed-unused", at, "the entry for %s fits no finding", e)
		}
	}
}

// complete tells whether everything was rendered that an entry could be about.
func (l *look) complete() bool {
	for _, c := range l.in.Render.Clusters {
		for _, r := range c.Releases {
			if !r.Rendered {
				return false
			}
		}
		for _, k := range c.Kustomizations {
			if !k.Built {
				return false
			}
		}
	}
	return true
}

// matches says what was found, without what it is.
func matches(f leaks.Finding) string {
	s := fmt.Sprintf("rule %s of Gitleaks matches the name of the file", f.Rule)
	if f.Hint != "" {
		s = fmt.Sprintf("rule %s of Gitleaks matches %s; fingerprint %s", f.Rule, f.Hint, f.Secret)
	}
	if f.Comment {
		s += "; the comment gitleaks:allow has no effect here"
	}
	return s
}

// file reports a finding in a file of the work tree.
func (l *look) file(f leaks.Finding) {
	if f.Ciphertext != "" {
		return
	}
	l.out.Add(report.Finding{
		Rule: "secrets/leak", Message: matches(f), Location: report.Location{File: f.File, Line: f.Line},
		Source: hidden, Suppressed: l.suppression(f, f.File),
	})
}

// history searches the commits. It tells whether all of them could be.
func (l *look) history(ctx context.Context) (bool, error) {
	dir := l.in.Tree.WorkTree()
	if dir == "" {
		l.out.Unchecked(report.Unchecked{Subject: "history", Reason: "the files were not read from a folder, so that there is no Git repository to look at"})
		return false, nil
	}
	o := leaks.HistoryOptions{Cache: l.cache}
	if l.in.Base != nil {
		o.Since = l.in.Base.Commit
	}
	if l.in.Progress != nil {
		o.Progress = func(done, of int) { l.in.Progress(name, done, of) }
	}
	h, err := l.scanner.History(ctx, dir, o)
	if err != nil {
		return false, err
	}
	for _, g := range h.Gaps {
		l.out.Unchecked(report.Unchecked{Subject: g.Subject, Reason: g.Reason, Next: g.Next})
	}
	for _, f := range h.Findings {
		if f.Ciphertext != "" {
			continue
		}
		// Files of the report begin in the folder that is checked; one outside of it has
		// no place there.
		path, within := strings.CutPrefix(f.File, h.Prefix)
		at := report.Location{File: path, Line: f.Line}
		if !within {
			path, at = f.File, report.Location{}
		}
		l.out.Add(report.Finding{
			Rule: "secrets/in-history", Location: at, Source: hidden, Suppressed: l.suppression(f, path),
			Message: fmt.Sprintf("commit %s of %s adds it in %s:%d: %s", f.Commit, f.Date.Format(time.DateOnly), f.File, f.Line, matches(f)),
		})
	}
	return len(h.Gaps) == 0 && l.in.Base == nil, nil
}
