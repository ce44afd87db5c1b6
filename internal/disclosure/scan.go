package disclosure

import (
	"cmp"
	"context"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Finding is something that must not become public.
type Finding struct {
	Rule  string   `json:"rule"`            // of this package, or of Gitleaks: "github-pat"
	Place string   `json:"place"`           // file, or "message", "author"
	Line  int      `json:"line,omitempty"`  // from 1; of what was unpacked, where the packed text begins
	In    []string `json:"in,omitempty"`    // how it was hidden, from the outside: "base64", "gzip"
	Hint  string   `json:"hint"`            // how it begins, and how long it is
	Name  string   `json:"-"`               // the fingerprint that .gitallowed knows a secret by
	Alarm bool     `json:"alarm,omitempty"` // it is a canary
}

// String names a finding: "apps/web.yaml:3: github-pat in base64".
func (f Finding) String() string {
	s := f.Place
	if f.Line > 0 {
		s = fmt.Sprintf("%s:%d", s, f.Line)
	}
	s += ": " + f.Rule
	if len(f.In) > 0 {
		s += " (in " + strings.Join(f.In, ", ") + ")"
	}
	return s
}

// Compare orders findings by place, line and rule.
func (f Finding) Compare(o Finding) int {
	return cmp.Or(cmp.Compare(f.Place, o.Place), cmp.Compare(f.Line, o.Line), cmp.Compare(f.Rule, o.Rule),
		cmp.Compare(strings.Join(f.In, ","), strings.Join(o.In, ",")), cmp.Compare(f.Hint, o.Hint))
}

// Bounds of one file.
const (
	MaxFile = 4 << 20 // bytes
	timeout = 30 * time.Second
	most    = 200 // findings
)

// File looks at a file: its name, and its content. An error says why it could not be
// looked at, and that is never a pass.
func (s *Scanner) File(ctx context.Context, name string, data []byte) ([]Finding, error) {
	// Each part of it too, without what it ends in: docs/10.1.2.3.md.
	parts := name
	for part := range strings.SplitSeq(name, "/") {
		parts += "\n" + part + "\n" + strings.TrimSuffix(part, path.Ext(part))
	}
	found, err := s.Text(ctx, name, parts)
	if err != nil {
		return nil, err
	}
	for i := range found {
		found[i].Line, found[i].In = 0, append([]string{"its name"}, found[i].In...)
	}
	more, err := s.Content(ctx, name, data)
	if err != nil {
		return nil, err
	}
	return append(found, more...), nil
}

// Text looks at a text that is no file: a message, an author.
func (s *Scanner) Text(ctx context.Context, place, text string) ([]Finding, error) {
	if !utf8.ValidString(text) {
		text = strings.ToValidUTF8(text, "\uFFFD")
	}
	return s.Content(ctx, place, []byte(text))
}

// Content looks at content.
func (s *Scanner) Content(ctx context.Context, place string, data []byte) ([]Finding, error) {
	if len(data) > MaxFile {
		return nil, fmt.Errorf("it has more than %d MiB, which are the most that are searched", MaxFile>>20)
	}
	if len(data) == 0 {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	views, err := unpack(ctx, data)
	if err != nil {
		return nil, err
	}
	var out []Finding
	known := map[string]bool{} // rule and value: what is undone is often found twice
	for _, v := range views {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("it takes more than %s to search: %w", timeout, err)
		}
		lines := newLines(v.text)
		take := func(rule, what string, at int) {
			key := rule + "\x00" + squeeze(what)
			if known[key] && len(v.in) > 0 {
				return
			}
			known[key] = true
			line := v.line
			if len(v.in) == 0 {
				line = lines.of(at)
			}
			out = append(out, Finding{
				Rule: rule, Place: place, Line: line, In: v.in, Hint: hint(rule, what), Alarm: rule == Canary,
			})
		}
		s.own(v.text, v.loose, take)
		if !v.loose {
			n := -1
			for line := range strings.SplitSeq(v.text, "\n") {
				n++
				if len(line) >= 48 && keyBody(line) {
					take(PrivateKey, line, lines.at(n))
				}
			}
		}
		found, err := s.leaks.Decoded(ctx, v.text)
		if err != nil {
			return nil, err
		}
		for _, f := range found {
			// Where lines were joined, what a rule finds by the words around it may never
			// have stood there; a form of its own begins as secrets of its kind do.
			if f.Ciphertext != "" || v.loose && strings.HasPrefix(f.Hint, "…") {
				continue
			}
			key := f.Rule + "\x00" + f.Secret
			if known[key] && len(v.in) > 0 {
				continue
			}
			known[key] = true
			line := v.line
			if len(v.in) == 0 {
				line = f.Line
			}
			out = append(out, Finding{Rule: f.Rule, Place: place, Line: line, In: v.in, Hint: f.Hint, Name: f.Secret})
		}
		if len(out) > most {
			return nil, fmt.Errorf("more than %d places in it must not become public", most)
		}
	}
	slices.SortFunc(out, Finding.Compare)
	return out, nil
}

// hint tells a person which it is, and nobody else what it is.
func hint(rule, what string) string {
	n := utf8.RuneCountInString(what)
	shown := ""
	switch rule {
	case PrivateAddress, InternalName, MACAddress, EmailAddress, OwnersWord, AccountID:
		shown = string([]rune(what)[:min(2, n)])
	}
	return fmt.Sprintf("%s… (%d characters)", shown, n)
}

// lines finds the line of a place in a text.
type lines []int // where each begins

func newLines(text string) lines {
	l := lines{0}
	for i := range len(text) {
		if text[i] == '\n' {
			l = append(l, i+1)
		}
	}
	return l
}

func (l lines) of(at int) int {
	n, found := slices.BinarySearch(l, at)
	if found {
		n++
	}
	return n
}

func (l lines) at(line int) int { return l[min(line, len(l)-1)] }
