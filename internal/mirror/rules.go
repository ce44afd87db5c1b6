package mirror

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"path"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/bmatcuk/doublestar/v4"

	"lumacore.dev/lumacore/internal/config"
)

// Verdict is what becomes of a file.
type Verdict string

// The verdicts.
const (
	Published Verdict = "published"
	Withheld  Verdict = "withheld" // it stays here
	Refused   Verdict = "refused"  // it would go, and may not: nothing is published
)

// Decision is what becomes of a file, and by which rule.
type Decision struct {
	Path    string  `json:"path"`
	Verdict Verdict `json:"verdict"`
	Rule    string  `json:"rule"` // "mirror.withhold[2]: docs/drafts/**", "is a symbolic link"
}

// Rules decide which files are published.
type Rules struct {
	publish, withhold, executables, binaries []string
	maxSize                                  int64
	replace                                  []config.Replacement
}

// NewRules takes the rules from lumacore.yaml.
func NewRules(m *config.Mirror) *Rules {
	r := &Rules{
		publish: m.Publish, withhold: m.Withhold, executables: m.Executables, binaries: m.Binaries,
		maxSize: cmp.Or(m.MaxFileSize, config.DefaultMirrorFileSize), replace: m.Replace,
	}
	if r.publish == nil {
		r.publish = config.DefaultPublish
	}
	return r
}

// Digest names the rules: whoever has the same revision and rules of the same digest gets
// the same tree.
func (r *Rules) Digest() string {
	type replacement struct{ File, With, Text, By string }
	var replace []replacement
	for _, p := range r.replace {
		replace = append(replace, replacement{p.File, p.With, p.Text, p.By})
	}
	data, err := json.Marshal(struct {
		Version                                         int // of what this package makes of the rest
		Publish, Withhold, Never, Executables, Binaries []string
		MaxSize                                         int64
		Replace                                         []replacement
	}{1, r.publish, r.withhold, config.NeverPublished, r.executables, r.binaries, r.maxSize, replace})
	if err != nil {
		panic(err) // of strings and numbers
	}
	sum := sha256.Sum256(data)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// match finds the first pattern that a file matches. fold is for what must never be
// published: a file system that does not tell letters apart must not be a way around.
func match(patterns []string, name string, fold bool) (string, int) {
	if fold {
		name = strings.ToLower(name)
	}
	for i, p := range patterns {
		q := strings.TrimSuffix(strings.TrimPrefix(p, "/"), "/")
		if fold {
			q = strings.ToLower(q)
			if !strings.Contains(q, "/") {
				q = "**/" + q
			}
		}
		// A folder is all that is in it.
		if doublestar.MatchUnvalidated(q, name) || doublestar.MatchUnvalidated(q+"/**", name) {
			return p, i
		}
	}
	return "", -1
}

// path decides by the name of a file alone.
func (r *Rules) path(name string) Decision {
	if p, _ := match(config.NeverPublished, name, true); p != "" {
		return Decision{name, Withheld, "never published: " + p}
	}
	if p, i := match(r.withhold, name, true); p != "" {
		return Decision{name, Withheld, fmt.Sprintf("mirror.withhold[%d]: %s", i, p)}
	}
	p, _ := match(r.publish, name, false)
	if p == "" {
		return Decision{name, Withheld, "not in mirror.publish"}
	}
	return Decision{name, Published, "mirror.publish: " + p}
}

// entry decides by what Git says about a file, before its content is read.
func (r *Rules) entry(e entry) Decision {
	d := r.path(e.path)
	if d.Verdict != Published {
		return d
	}
	refuse := func(format string, args ...any) Decision {
		return Decision{e.path, Refused, fmt.Sprintf(format, args...)}
	}
	switch {
	case badName(e.path) != "":
		return refuse("its name %s", badName(e.path))
	case e.mode == "120000":
		return refuse("it is a symbolic link: nobody sees from its name what it shows")
	case e.mode == "160000":
		return refuse("it is a submodule: its content is in another repository")
	case e.mode != "100644" && e.mode != "100755":
		return refuse("it has the mode %s", e.mode)
	case e.size > r.maxSize:
		return refuse("it has %d bytes; mirror.maxFileSize is %d", e.size, r.maxSize)
	}
	if e.mode == "100755" {
		if p, _ := match(r.executables, e.path, false); p == "" {
			return refuse("it is executable, and not in mirror.executables")
		}
	}
	return d
}

var lfsPointer = []byte("version https://git-lfs.github.com/spec/")

// content decides by what is in a file.
func (r *Rules) content(d Decision, data []byte) Decision {
	switch {
	case bytes.HasPrefix(data, lfsPointer):
		return Decision{d.Path, Refused, "it is a pointer of Git LFS: its content is elsewhere, and not searched"}
	case bytes.IndexByte(data, 0) >= 0 || !utf8.Valid(data) || bytes.HasPrefix(data, []byte("%PDF-")):
		if p, _ := match(r.binaries, d.Path, false); p == "" {
			return Decision{d.Path, Refused, "it is no text in UTF-8, and not in mirror.binaries"}
		}
	}
	return d
}

// badName says why a file of this name is not published; "" for nothing.
func badName(name string) string {
	switch {
	case !utf8.ValidString(name):
		return "is no UTF-8"
	case strings.ContainsFunc(name, func(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) }):
		return "has characters that cannot be seen"
	case strings.ContainsAny(name, "\\\":*?<>|"):
		return "has characters that not every system can have in a name"
	case name != path.Clean(name) || path.IsAbs(name) || strings.HasPrefix(name, "../"):
		return "leads out of the repository"
	}
	for part := range strings.SplitSeq(name, "/") {
		if strings.EqualFold(part, ".git") || strings.EqualFold(part, "git~1") || strings.HasSuffix(part, ".") || strings.HasSuffix(part, " ") {
			return "is one that Git or a file system treats as another"
		}
	}
	return ""
}
