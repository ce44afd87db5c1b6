package mirror

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"path"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"lumacore.dev/lumacore/blueprint"
	"lumacore.dev/lumacore/internal/cache"
	"lumacore.dev/lumacore/internal/config"
	"lumacore.dev/lumacore/internal/disclosure"
	"lumacore.dev/lumacore/internal/gitops"
	"lumacore.dev/lumacore/internal/leaks"
	"lumacore.dev/lumacore/internal/settings"
)

// Source is the private repository.
type Source struct {
	Dir      string // its root
	Revision string // "HEAD"
	Now      time.Time
	Cache    *cache.Folder // of files that were searched; nil: all are searched
}

// File is a file as it would be published.
type File struct {
	Path     string
	Mode     string // "100644", "100755"
	Data     []byte
	Replaced []string // what was: "mirror.replace[0]", "settings.env: the blueprint's values"
}

// Candidate is what would be published of a revision.
type Candidate struct {
	Commit    string // of the source
	Time      time.Time
	Config    *config.Mirror
	Identity  *config.Identity
	Rules     *Rules
	Files     []File // by path
	Decisions []Decision

	Findings []disclosure.Finding // which stop it
	Allowed  int                  // that .gitallowed lets pass
	Problems []string             // other reasons to stop: what could not be searched, mistakes
	Searched string               // digest of what was looked for

	scanner *disclosure.Scanner
	allowed *leaks.Allowed
	used    map[*leaks.Entry]bool
	now     time.Time
}

// Blocked tells whether something stops the candidate.
func (c *Candidate) Blocked() bool {
	return len(c.Findings)+len(c.Problems) > 0 || slices.ContainsFunc(c.Decisions, func(d Decision) bool { return d.Verdict == Refused })
}

// Alarm tells whether a canary was found.
func (c *Candidate) Alarm() bool {
	return slices.ContainsFunc(c.Findings, func(f disclosure.Finding) bool { return f.Alarm })
}

// NoMirror says that a revision has no section mirror in its lumacore.yaml.
type NoMirror struct{ Commit string }

func (e *NoMirror) Error() string {
	return fmt.Sprintf("%s of commit %.12s has no mirror: nothing is published", config.File, e.Commit)
}

// Load reads the section mirror of a revision's lumacore.yaml.
func Load(ctx context.Context, dir, revision string) (*config.Mirror, error) {
	tree, commit, err := gitops.OpenRevision(ctx, dir, revision, nil)
	if err != nil {
		return nil, err
	}
	defer tree.Close()
	cfg, err := config.Load(tree)
	if err != nil {
		return nil, err
	}
	if cfg.Mirror == nil {
		return nil, &NoMirror{commit}
	}
	return cfg.Mirror, nil
}

// Make makes the candidate of a revision, and searches it. The error says that there is
// none: no such revision, mistakes in lumacore.yaml.
func Make(ctx context.Context, s Source) (*Candidate, error) {
	c, err := candidate(ctx, s)
	if err != nil {
		return nil, err
	}
	if err := c.search(ctx, s.Cache); err != nil {
		return nil, err
	}
	return c, nil
}

// candidate decides and replaces, and searches nothing.
func candidate(ctx context.Context, s Source) (*Candidate, error) {
	tree, commit, err := gitops.OpenRevision(ctx, s.Dir, s.Revision, nil)
	if err != nil {
		return nil, err
	}
	tree.Close()
	when, err := read(ctx, s.Dir, "show", "--no-patch", "--format=%ct", commit)
	if err != nil {
		return nil, err
	}
	var seconds int64
	if _, err := fmt.Sscan(when, &seconds); err != nil {
		return nil, fmt.Errorf("git show: the time of commit %.12s is %q", commit, strings.TrimSpace(when))
	}
	under, err := folder(ctx, s.Dir)
	if err != nil {
		return nil, err
	}
	all, err := entries(ctx, s.Dir, commit+under)
	if err != nil {
		return nil, err
	}
	c := &Candidate{Commit: commit, Time: time.Unix(seconds, 0).UTC(), used: map[*leaks.Entry]bool{}, now: s.Now}

	// The rules are those of the revision itself, so that they can be applied again.
	at := files{all: map[string]entry{}, read: func(object string) (data []byte, err error) {
		err = blobs(ctx, s.Dir, []string{object}, func(_ string, b []byte) error { data = b; return nil })
		return data, err
	}}
	for _, e := range all {
		at.all[e.path] = e
	}
	cfg, err := config.Load(at)
	if err != nil {
		return nil, err
	}
	if cfg.Mirror == nil {
		return nil, &NoMirror{commit}
	}
	c.Config, c.Identity, c.Rules = cfg.Mirror, cfg.PublicIdentity, NewRules(cfg.Mirror)
	publish, left, err := choose(all, c.Rules.entry)
	if err != nil {
		return nil, err
	}
	c.Decisions = left
	objects := make([]string, len(publish))
	for i, e := range publish {
		objects[i] = e.object
	}
	i := 0
	if err := blobs(ctx, s.Dir, objects, func(_ string, data []byte) error {
		c.Files = append(c.Files, File{Path: publish[i].path, Mode: publish[i].mode, Data: data})
		i++
		return nil
	}); err != nil {
		return nil, err
	}
	if err := c.replace(at); err != nil {
		return nil, err
	}
	kept := c.Files[:0]
	for _, f := range c.Files {
		d := c.Rules.content(c.Rules.path(f.Path), f.Data)
		if c.Decisions = append(c.Decisions, d); d.Verdict == Published {
			kept = append(kept, f)
		}
	}
	c.Files = kept
	slices.SortFunc(c.Files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	slices.SortFunc(c.Decisions, func(a, b Decision) int { return strings.Compare(a.Path, b.Path) })
	rules := c.leaks(at)
	c.scanner, c.Searched = c.scanFor(at, rules)
	if data, err := at.ReadFile(leaks.AllowedFile); err == nil {
		c.allowed = leaks.ParseAllowed(data, rules.Rules())
		for _, m := range c.allowed.Mistakes {
			c.Problems = append(c.Problems, fmt.Sprintf("%s:%d: %s", leaks.AllowedFile, m.Line, m.Message))
		}
	}
	return c, nil
}

// choose splits the files of a revision into those that are published, as far as Git tells,
// and the decisions about all others.
func choose(all []entry, decide func(entry) Decision) (publish []entry, left []Decision, err error) {
	var total int64
	folded := map[string]string{}
	for _, e := range all {
		d := decide(e)
		if d.Verdict == Published {
			if other, ok := folded[strings.ToLower(e.path)]; ok {
				d = Decision{e.path, Refused, "it differs from " + other + " in the case of letters alone: where that does not count, one hides the other"}
			}
			folded[strings.ToLower(e.path)] = e.path
		}
		if d.Verdict != Published {
			left = append(left, d)
			continue
		}
		if total += e.size; total > maxBytes {
			return nil, nil, fmt.Errorf("more than %d MiB would be published, which are the most", maxBytes>>20)
		}
		publish = append(publish, e)
	}
	return publish, left, nil
}

// memory remembers what files came to, so that a history of many commits reads each
// content once.
type memory struct {
	mu    sync.Mutex
	under string // the repository's folder in its work tree, as [folder] gives it
	store *store
	files map[string]string   // rules, path and object -> object that is published; "" for none
	names map[string]Decision // rules, mode, path and object -> what is decided before it is read
	rules map[string]*Rules   // object of lumacore.yaml -> rules; nil: it has no mirror
}

// expected lists the files that a commit of the source gives, by path, and the digest of
// the rules.
func (m *memory) expected(ctx context.Context, dir, commit string) (map[string]entry, string, error) {
	all, err := entries(ctx, dir, commit+m.under)
	if err != nil {
		return nil, "", err
	}
	at := files{read: m.store.read, all: map[string]entry{}}
	for _, e := range all {
		at.all[e.path] = e
	}
	own := at.all[config.File].object
	m.mu.Lock()
	rules, ok := m.rules[own]
	m.mu.Unlock()
	if !ok {
		cfg, err := config.Load(at)
		if err != nil {
			return nil, "", err
		}
		if cfg.Mirror != nil {
			rules = NewRules(cfg.Mirror)
		}
		m.mu.Lock()
		m.rules[own] = rules
		m.mu.Unlock()
	}
	if rules == nil {
		return nil, "", &NoMirror{commit}
	}
	digest := rules.Digest()
	publish, _, err := choose(all, func(e entry) Decision {
		k := digest + "\x00" + e.mode + "\x00" + e.path + "\x00" + e.object
		m.mu.Lock()
		d, ok := m.names[k]
		m.mu.Unlock()
		if !ok {
			d = rules.entry(e)
			m.mu.Lock()
			m.names[k] = d
			m.mu.Unlock()
		}
		return d
	})
	if err != nil {
		return nil, "", err
	}
	// A file that is replaced by another one depends on that one, too.
	key := func(e entry) string {
		k := digest + "\x00" + e.path + "\x00" + e.object
		for _, p := range rules.replace {
			if p.File == e.path {
				k += "\x00" + at.all[p.With].object
			}
		}
		return k
	}
	out := map[string]entry{}
	var missing []entry
	m.mu.Lock()
	for _, e := range publish {
		object, ok := m.files[key(e)]
		if !ok {
			missing = append(missing, e)
		} else if object != "" {
			out[e.path] = entry{path: e.path, mode: e.mode, object: object}
		}
	}
	m.mu.Unlock()
	for _, e := range missing {
		data, err := m.store.read(e.object)
		if err == nil {
			data, _, err = rules.replaced(at, e.path, data)
		}
		if err != nil {
			return nil, "", err
		}
		object := ""
		if rules.content(rules.path(e.path), data).Verdict == Published {
			object = name(data)
			out[e.path] = entry{path: e.path, mode: e.mode, object: object}
		}
		m.mu.Lock()
		m.files[key(e)] = object
		m.mu.Unlock()
	}
	return out, digest, nil
}

// files reads files of a revision, one by one.
type files struct {
	all  map[string]entry
	read func(object string) ([]byte, error)
}

func (t files) IsFile(name string) bool {
	return t.all[name].mode == "100644" || t.all[name].mode == "100755"
}

func (t files) ReadFile(name string) (data []byte, err error) {
	if !t.IsFile(name) {
		return nil, fmt.Errorf("%s is no file of the revision", name)
	}
	return t.read(t.all[name].object)
}

// replace puts what is declared in place of what is there.
func (c *Candidate) replace(at files) error {
	for i := range c.Files {
		f := &c.Files[i]
		var err error
		if f.Data, f.Replaced, err = c.Rules.replaced(at, f.Path, f.Data); err != nil {
			return err
		}
	}
	return nil
}

// replaced returns what is published instead of a file's content, and why.
func (r *Rules) replaced(at files, name string, data []byte) (out []byte, why []string, err error) {
	if path.Clean(name) == settings.File {
		if other, changed := sample(data); changed {
			data, why = other, append(why, "the blueprint's values")
		}
	}
	for n, p := range r.replace {
		rule := fmt.Sprintf("mirror.replace[%d]", n)
		switch {
		case p.File != "" && p.File == name:
			if data, err = at.ReadFile(p.With); err != nil {
				return nil, nil, fmt.Errorf("%s: %s is to be published with the content of %s: %w", p.Location, p.File, p.With, err)
			}
			why = append(why, rule)
		case p.Text != "" && bytes.Contains(data, []byte(p.Text)):
			data, why = bytes.ReplaceAll(data, []byte(p.Text), []byte(p.By)), append(why, rule)
		}
	}
	return data, why, nil
}

// shipped are the values of settings.env that the blueprint comes with, by name.
var shipped = sync.OnceValue(func() map[string]string {
	values := map[string]string{}
	if data, err := blueprint.Files.ReadFile(settings.File); err == nil {
		list, _ := settings.Parse(data)
		for _, s := range list {
			values[s.Name] = s.Value
		}
	}
	return values
})

// sample is settings.env with the blueprint's values. A variable that the blueprint does
// not have is one of the owner's, and loses its value.
func sample(data []byte) ([]byte, bool) {
	list, _ := settings.Parse(data)
	values := map[string]string{}
	for _, s := range list {
		if v := shipped()[s.Name]; v != s.Value {
			values[s.Name] = v
		}
	}
	if len(values) == 0 {
		return data, false
	}
	out, err := settings.Put(data, values)
	if err != nil {
		return nil, true
	}
	return out, true
}

// scanFor makes the scanner for a revision: what lumacore.yaml says to be private, and
// whatever settings.env has that the blueprint has not.
func (c *Candidate) scanFor(at files, known *leaks.Scanner) (*disclosure.Scanner, string) {
	p := c.Config.Private
	w := disclosure.Words{
		Words: slices.Clone(p.Words), Domains: slices.Clone(p.Domains), Canaries: slices.Clone(p.Canaries), OnePassword: p.OnePassword,
	}
	if c.Identity != nil {
		w.Emails = append(w.Emails, c.Identity.Email)
	}
	for _, v := range shipped() {
		w.Public = append(w.Public, parts(v)...)
	}
	if data, err := at.ReadFile(settings.File); err == nil {
		list, _ := settings.Parse(data)
		for _, s := range list {
			if s.Value == shipped()[s.Name] || s.Value == "" {
				continue
			}
			if s.Name == "DOMAIN" {
				w.Domains = append(w.Domains, s.Value)
				continue
			}
			for _, v := range parts(s.Value) {
				if own(s.Name, v) && !slices.Contains(w.Public, v) {
					w.Values = append(w.Values, v)
				}
			}
		}
	}
	slices.Sort(w.Values)
	slices.Sort(w.Public)
	return disclosure.NewScanner(known, w), w.Digest(known.Rules())
}

// leaks finds what Gitleaks finds, with the rules that the repository adds in .gitleaks.toml.
// One that cannot be read stops the mirror: somebody wanted more found.
func (c *Candidate) leaks(at files) *leaks.Scanner {
	if _, ok := at.all[leaks.ConfigFile]; !ok {
		return secrets()
	}
	data, err := at.ReadFile(leaks.ConfigFile)
	if err == nil {
		var rules *leaks.Rules
		if rules, _, err = leaks.Default().Extend(data); err == nil {
			return leaks.NewScanner(rules)
		}
	}
	c.Problems = append(c.Problems, fmt.Sprintf("the rules in %s cannot be read: %v", leaks.ConfigFile, err))
	return secrets()
}

// secrets finds what Gitleaks finds. It is made once: its rules take long to compile.
var secrets = sync.OnceValue(func() *leaks.Scanner { return leaks.NewScanner(leaks.Default()) })

// parts are the texts in a value that tell who it is: an address has a host.
func parts(value string) []string {
	list := []string{value}
	if u, err := url.Parse(value); err == nil && u.Host != "" {
		list = append(list, u.Hostname())
	}
	if p, err := netip.ParsePrefix(value); err == nil {
		list = append(list, p.Addr().String())
	}
	return list
}

// everybodys are variables of settings.env whose values many homelabs have.
var everybodys = []string{"TIMEZONE", "S3_REGION", "POD_CIDR", "SERVICE_CIDR", "DISCORD_ITEM"}

// own tells whether a value of settings.env is one that only its owner has, and no number or
// word that is in many files.
func own(name, v string) bool {
	if len(v) < 5 || slices.Contains(everybodys, name) {
		return false
	}
	if _, err := netip.ParseAddr(v); err == nil {
		return true
	}
	letter := func(r rune) bool { return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' }
	if name == "ONEPASSWORD_VAULT" && !strings.ContainsFunc(v, func(r rune) bool { return !letter(r) }) {
		return false // a vault is often called Homelab or Private
	}
	return strings.ContainsFunc(v, letter)
}

// search looks at every file.
func (c *Candidate) search(ctx context.Context, known *cache.Folder) error {
	var mu sync.Mutex
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	for part := range slices.Chunk(c.Files, 32) {
		g.Go(func() error {
			for _, f := range part {
				key := cache.NewKey([]byte("mirror: clean"), []byte(c.Searched), []byte(f.Path), f.Data)
				if _, ok := known.Get(key); ok {
					continue
				}
				found, err := c.scanner.File(ctx, f.Path, f.Data)
				if ctx.Err() != nil {
					return ctx.Err()
				}
				if err == nil && len(found) == 0 {
					known.Put(key, []byte("clean"))
					continue
				}
				mu.Lock()
				if err != nil {
					c.Problems = append(c.Problems, fmt.Sprintf("%s cannot be searched: %v", f.Path, err))
				}
				for _, f := range found {
					c.found(f)
				}
				mu.Unlock()
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	// What fits nothing today would let something pass tomorrow that nobody has looked at.
	if c.allowed != nil {
		for _, e := range c.allowed.Entries {
			if disclosure.Fingerprint(e.Fingerprint) && !c.used[e] && !e.Commits() && !e.Expired(c.now) {
				c.Problems = append(c.Problems, fmt.Sprintf("%s:%d: the entry for %s fits nothing that would be published: delete it", leaks.AllowedFile, e.Line, e))
			}
		}
	}
	slices.SortFunc(c.Findings, disclosure.Finding.Compare)
	slices.Sort(c.Problems)
	return nil
}

// found takes a finding, unless .gitallowed lets it pass.
func (c *Candidate) found(f disclosure.Finding) {
	if e := allows(c.allowed, f, c.now); e != nil {
		c.used[e] = true
		c.Allowed++
		return
	}
	c.Findings = append(c.Findings, f)
}

// allows returns the entry that lets a finding pass, and has not expired. A canary never
// passes.
func allows(a *leaks.Allowed, f disclosure.Finding, now time.Time) *leaks.Entry {
	if a == nil || f.Alarm {
		return nil
	}
	as := leaks.Finding{Rule: f.Rule, File: f.Place, Line: f.Line, Secret: f.Name}
	for _, e := range a.Entries {
		if !e.Expired(now) && e.Fits(as, f.Place) {
			return e
		}
	}
	return nil
}

// errNothing says that no file at all would be published.
var errNothing = errors.New("no file would be published")
