package leaks

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bmatcuk/doublestar/v4"
	"go.yaml.in/yaml/v3"

	"lumacore.dev/lumacore/internal/report"
)

// AllowedFile is the file with the findings that a repository allows, at its root.
const AllowedFile = ".gitallowed"

// The head of the file.
const (
	AllowedAPIVersion = report.APIVersion
	AllowedKind       = "AllowedSecrets"
)

// Bounds of the file.
const (
	maxAllowed = 1 << 20 // bytes
	maxEntries = 5000
	maxValue   = 2000 // bytes of one value
)

// Allowed is what .gitallowed says.
type Allowed struct {
	Entries  []*Entry // those that hold if they have not expired
	Mistakes []Mistake
}

// Mistake is something in the file that has no effect.
type Mistake struct {
	Line    int
	Message string
	Broad   bool // the entry is right in form and allows too much
}

// Entry allows findings until a day.
type Entry struct {
	Line                  int
	Rule                  string // of Gitleaks; or
	Fingerprint           string // of one finding, as gitleaks prints it, or the name of a secret
	Path                  string // pattern of the file
	Reason, Ticket, Owner string
	Expires               time.Time // the last day on which it holds, in UTC
	History               bool      // it is about commits too
}

// ParseAllowed reads the file. What is wrong with a part of it takes that part away, and
// never more is allowed for it.
func ParseAllowed(data []byte, rules *Rules) *Allowed {
	a := &allowedReader{rules: rules}
	a.file(data)
	slices.SortStableFunc(a.Mistakes, func(x, y Mistake) int { return x.Line - y.Line })
	return &a.Allowed
}

// Expired tells whether the last day of an entry is over.
func (e *Entry) Expired(now time.Time) bool { return !now.Before(e.Expires.AddDate(0, 0, 1)) }

// Commits tells whether an entry is about commits, so that only a scan of the history
// shows whether it fits anything.
func (e *Entry) Commits() bool { return e.History || e.commit() != "" }

// commit returns the commit that a fingerprint names.
func (e *Entry) commit() string {
	if first, _, ok := strings.Cut(e.Fingerprint, ":"); ok && isName(first) {
		return first
	}
	return ""
}

// Fits tells whether an entry is about a finding; path is its file as the entries of
// this repository name it.
func (e *Entry) Fits(f Finding, path string) bool {
	if f.Commit != "" && !e.Commits() || f.Commit == "" && e.commit() != "" {
		return false
	}
	if !doublestar.MatchUnvalidated(e.Path, path) {
		return false
	}
	if e.Rule != "" {
		return e.Rule == f.Rule
	}
	if e.Fingerprint == f.Secret && f.Secret != "" {
		return true
	}
	if e.Fingerprint == f.Fingerprint() {
		return true
	}
	f.File = path
	return e.Fingerprint == f.Fingerprint()
}

// String names an entry: "github-pat in apps/web.yaml".
func (e *Entry) String() string {
	what := e.Rule
	if what == "" {
		what = e.Fingerprint
	}
	return what + " in " + e.Path
}

type allowedReader struct {
	Allowed
	rules *Rules
}

func (a *allowedReader) mistake(line int, format string, args ...any) {
	a.Mistakes = append(a.Mistakes, Mistake{Line: max(1, line), Message: fmt.Sprintf(format, args...)})
}

// file reads the whole file.
func (a *allowedReader) file(data []byte) {
	if len(data) > maxAllowed {
		a.mistake(1, "the file has %d KiB; %d are the most that are read, so nothing in it holds", len(data)>>10, maxAllowed>>10)
		return
	}
	root := a.document(data)
	if root == nil {
		return
	}
	var apiVersion, kind string
	var entries *yaml.Node
	ok := a.mapping(root, "the file", func(key, value *yaml.Node) {
		switch key.Value {
		case "apiVersion":
			apiVersion = a.text(value, "apiVersion")
		case "kind":
			kind = a.text(value, "kind")
		case "allow":
			entries = value
		default:
			a.mistake(key.Line, "there is no key %s here; known are apiVersion, kind and allow", quote(key.Value))
		}
	})
	if !ok {
		return
	}
	if apiVersion != AllowedAPIVersion || kind != AllowedKind {
		a.mistake(root.Line, "begin the file with apiVersion: %s and kind: %s; without them nothing in it holds", AllowedAPIVersion, AllowedKind)
		return
	}
	switch {
	case entries == nil || entries.Kind == yaml.ScalarNode && entries.Tag == "!!null":
	case entries.Kind != yaml.SequenceNode:
		a.mistake(entries.Line, "allow is no list")
	default:
		for i, n := range entries.Content {
			if i == maxEntries {
				a.mistake(n.Line, "allow has more than %d entries; this and the following do not hold", maxEntries)
				return
			}
			a.entry(n, i)
		}
	}
}

// document parses the one document; nil if it is empty or cannot be read.
func (a *allowedReader) document(data []byte) (root *yaml.Node) {
	// The parser has panicked on strange bytes before; that must not end the run.
	defer func() {
		if p := recover(); p != nil {
			a.mistake(1, "this is no YAML, so nothing in it holds: the parser gave up: %v", p)
			root = nil
		}
	}()
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc, more yaml.Node
	if err := dec.Decode(&doc); err != nil {
		if !errors.Is(err, io.EOF) {
			a.parse(err)
		}
		return nil
	}
	switch err := dec.Decode(&more); {
	case err == nil:
		a.mistake(more.Line, "a second YAML document begins here; the file holds one, so nothing in it holds")
		return nil
	case !errors.Is(err, io.EOF):
		a.parse(err)
		return nil
	}
	if doc.Kind != yaml.DocumentNode || len(doc.Content) == 0 || doc.Content[0].Tag == "!!null" {
		return nil
	}
	return doc.Content[0]
}

// parse notes an error of the parser, which says "yaml: line 3: …".
func (a *allowedReader) parse(err error) {
	line, reason := 1, strings.TrimPrefix(err.Error(), "yaml: ")
	if rest, ok := strings.CutPrefix(reason, "line "); ok {
		if number, why, ok := strings.Cut(rest, ": "); ok {
			if n, err := strconv.Atoi(number); err == nil {
				line, reason = n, why
			}
		}
	}
	a.mistake(line, "this is no YAML, so nothing in the file holds: %s", reason)
}

// mapping calls do for each key, which is text and there once.
func (a *allowedReader) mapping(n *yaml.Node, what string, do func(key, value *yaml.Node)) bool {
	if n.Kind != yaml.MappingNode {
		a.mistake(n.Line, "%s is no mapping", what)
		return false
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		switch {
		case key.Kind != yaml.ScalarNode || len(key.Value) > maxValue:
			a.mistake(key.Line, "a key in %s is no short text", what)
		case seen[key.Value]:
			a.mistake(key.Line, "%s is there twice in %s", quote(key.Value), what)
			return false
		default:
			seen[key.Value] = true
			do(key, n.Content[i+1])
		}
	}
	return true
}

// text returns a scalar's text; "" and a mistake for all else.
func (a *allowedReader) text(n *yaml.Node, what string) string {
	switch {
	case n.Kind != yaml.ScalarNode:
		a.mistake(n.Line, "%s is no text", what)
	case len(n.Value) > maxValue:
		a.mistake(n.Line, "%s has %d characters; %d are the most that are read", what, len(n.Value), maxValue)
	case n.Tag == "!!null":
	default:
		return strings.TrimSpace(n.Value)
	}
	return ""
}

// entry reads one entry. With a mistake in it, it does not hold.
func (a *allowedReader) entry(n *yaml.Node, index int) {
	before := len(a.Mistakes)
	at := fmt.Sprintf("allow[%d]", index)
	e := &Entry{Line: n.Line}
	expires := ""
	texts := map[string]*string{
		"rule": &e.Rule, "fingerprint": &e.Fingerprint, "path": &e.Path, "reason": &e.Reason,
		"ticket": &e.Ticket, "owner": &e.Owner, "expires": &expires,
	}
	if !a.mapping(n, at, func(key, value *yaml.Node) {
		into := texts[key.Value]
		switch {
		case into != nil:
			*into = a.text(value, at+"."+key.Value)
		case key.Value == "history":
			switch a.text(value, at+".history") {
			case "true":
				e.History = true
			case "false":
			default:
				a.mistake(value.Line, "%s.history is neither true nor false", at)
			}
		default:
			a.mistake(key.Line, "%s has the key %s; known are rule, fingerprint, path, reason, ticket, owner, expires and history", at, quote(key.Value))
		}
	}) {
		return
	}
	var missing []string
	for _, f := range []struct{ name, value string }{{"reason", e.Reason}, {"ticket", e.Ticket}, {"owner", e.Owner}, {"expires", expires}} {
		if f.value == "" {
			missing = append(missing, f.name)
		}
	}
	if len(missing) > 0 {
		a.mistake(n.Line, "%s has no %s, and so no effect", at, strings.Join(missing, ", no "))
	}
	if expires != "" {
		day, err := time.Parse(time.DateOnly, expires)
		if err != nil {
			a.mistake(n.Line, "%s.expires is %s; write a day as 2027-01-31", at, quote(expires))
		}
		e.Expires = day
	}
	switch {
	case e.Rule == "" && e.Fingerprint == "":
		a.mistake(n.Line, "%s names neither a rule of gitleaks nor a fingerprint", at)
	case e.Rule != "" && e.Fingerprint != "":
		a.mistake(n.Line, "%s names a rule and a fingerprint; one of them says what it is about", at)
	case e.Rule != "" && !a.rules.Has(e.Rule):
		hint := "the finding that it is for names it"
		if near := report.Nearest(e.Rule, a.rules.IDs()); near != "" {
			hint = "did you mean " + near + "?"
		}
		a.mistake(n.Line, "%s: gitleaks has no rule %s; %s", at, quote(e.Rule), hint)
	case e.Fingerprint != "" && !isFingerprint(e.Fingerprint):
		// It may be the secret itself.
		a.mistake(n.Line, "%s.fingerprint is none; write the one that the finding names, or commit:file:rule:line as gitleaks prints it", at)
	}
	if e.Path != "" && (!doublestar.ValidatePattern(e.Path) || strings.HasPrefix(e.Path, "/") || strings.HasPrefix(e.Path, "./")) {
		a.mistake(n.Line, "%s.path is %s, which is no pattern of files; write it from the root of the repository, as apps/*/values.yaml", at, quote(e.Path))
	}
	if len(a.Mistakes) > before {
		return
	}
	if why := e.broad(); why != "" {
		a.Mistakes = append(a.Mistakes, Mistake{Line: n.Line, Broad: true, Message: fmt.Sprintf("%s %s, and so has no effect", at, why)})
		return
	}
	a.Entries = append(a.Entries, e)
}

// broad says what of an entry is too broad. A fingerprint is about one secret, in
// whatever file; a rule is about all that look alike.
func (e *Entry) broad() string {
	switch {
	case e.Path == "" && e.Rule != "":
		return "allows the rule " + e.Rule + " in all files, for it names no path"
	case e.Path == "":
		return "names no path"
	case e.Rule == "":
		return ""
	}
	for part := range strings.SplitSeq(e.Path, "/") {
		if part != "" && !strings.ContainsAny(part, `*?[{\`) {
			return ""
		}
	}
	return fmt.Sprintf("allows the rule %s in %s, of which no file or folder is named in full", e.Rule, e.Path)
}

// isFingerprint tells whether s is the name of a secret, or what gitleaks prints of a
// finding.
func isFingerprint(s string) bool {
	if len(s) == 20 && strings.Trim(s, "0123456789abcdef") == "" {
		return true
	}
	parts := strings.Split(s, ":")
	if n := len(parts); n > 3 && isName(parts[0]) {
		parts = parts[1:]
	}
	if len(parts) < 3 || parts[0] == "" || parts[len(parts)-2] == "" {
		return false
	}
	n, err := strconv.Atoi(parts[len(parts)-1])
	return err == nil && n >= 0
}

// quote shows a value of the file, cut if it is long.
func quote(s string) string {
	if r := []rune(s); len(r) > 60 {
		s = string(r[:60]) + "…"
	}
	return strconv.Quote(s)
}
