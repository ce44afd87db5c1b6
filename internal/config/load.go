package config

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/mail"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/bmatcuk/doublestar/v4"
	"go.yaml.in/yaml/v3"
	utilversion "k8s.io/apimachinery/pkg/util/version"

	"lumacore.dev/lumacore/internal/report"
)

// The head of lumacore.yaml.
const (
	APIVersion = report.APIVersion
	Kind       = "Config"
)

// Bounds of lumacore.yaml.
const (
	MaxSize = 1 << 20 // bytes of the file
	MaxText = 2000    // bytes of one value
)

// Tree is where the file is read from.
type Tree interface {
	ReadFile(name string) ([]byte, error)
	IsFile(name string) bool
}

// Load reads lumacore.yaml from the root of a tree; without one it returns the
// default. What is wrong with the file is an [*Error] with all mistakes at once.
//
// The names of rules and gates are not looked at: package check knows them.
func Load(t Tree) (*Config, error) {
	if !t.IsFile(File) {
		return &Config{}, nil
	}
	data, err := t.ReadFile(File)
	if err != nil {
		return nil, &Error{Mistakes: []Mistake{{report.Location{File: File}, "cannot be read: " + err.Error()}}}
	}
	r := &reader{file: File}
	c := r.config(data)
	if err := r.err(); err != nil {
		return nil, err
	}
	return c, nil
}

// reader turns YAML nodes into values and notes the mistakes on the way.
type reader struct {
	file     string
	mistakes []Mistake
}

// err returns the mistakes, by line; nil if there are none.
func (r *reader) err() error {
	if len(r.mistakes) == 0 {
		return nil
	}
	slices.SortStableFunc(r.mistakes, func(a, b Mistake) int { return a.Compare(b.Location) })
	return &Error{Mistakes: r.mistakes}
}

func (r *reader) mistake(line int, format string, args ...any) {
	r.mistakes = append(r.mistakes, Mistake{report.Location{File: r.file, Line: line}, fmt.Sprintf(format, args...)})
}

// config reads the whole file.
func (r *reader) config(data []byte) *Config {
	c := &Config{}
	root := r.document(data)
	if root == nil {
		return c
	}
	r.head(root, Kind, fields{
		"clusters": r.list(func(n *yaml.Node, at string) { r.cluster(c, n, at) }),
		"environmentLabel": func(n *yaml.Node, at string) {
			c.EnvironmentLabel = r.scalar(n, at)
		},
		"check":          func(n *yaml.Node, at string) { r.check(&c.Check, n, at) },
		"blueprint":      func(n *yaml.Node, at string) { r.blueprint(c, n, at) },
		"publicIdentity": func(n *yaml.Node, at string) { r.identity(c, n, at) },
		"mirror":         func(n *yaml.Node, at string) { r.mirror(c, n, at) },
		"soak":           func(n *yaml.Node, at string) { r.soak(c, n, at) },
	})
	return c
}

// head reads a file's mapping, which says what it is. It tells whether it is that.
func (r *reader) head(root *yaml.Node, kind string, known fields) bool {
	var isVersion, isKind string
	known["apiVersion"], known["kind"] = r.text(&isVersion), r.text(&isKind)
	r.mapping(root, r.file, known)
	switch {
	case root.Kind != yaml.MappingNode: // noted already
	case isVersion == "" || isKind == "":
		r.mistake(root.Line, "begin the file with apiVersion: %s and kind: %s", APIVersion, kind)
	case isVersion != APIVersion || isKind != kind:
		r.mistake(root.Line, "this is %s %s; this version of lumacore reads %s %s", isVersion, isKind, APIVersion, kind)
	default:
		return true
	}
	return false
}

// document parses the file, which holds one document. It returns nil for an empty
// file, and for one with mistakes.
func (r *reader) document(data []byte) (root *yaml.Node) {
	if len(data) > MaxSize {
		r.mistake(1, "the file has %d KiB; %d are the most that are read", len(data)>>10, MaxSize>>10)
		return nil
	}
	// The parser has panicked on strange bytes before; that must not end the run.
	defer func() {
		if p := recover(); p != nil {
			r.mistake(1, "this is no YAML: the parser gave up: %v", p)
			root = nil
		}
	}()
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc, more yaml.Node
	if err := dec.Decode(&doc); err != nil {
		if !errors.Is(err, io.EOF) {
			r.parse(err)
		}
		return nil
	}
	if err := dec.Decode(&more); err == nil {
		r.mistake(max(1, more.Line), "a second YAML document begins here; the file holds one")
		return nil
	} else if !errors.Is(err, io.EOF) {
		r.parse(err)
		return nil
	}
	if doc.Kind != yaml.DocumentNode || len(doc.Content) == 0 || null(doc.Content[0]) {
		return nil
	}
	return doc.Content[0]
}

// parse notes an error of the parser, which says "yaml: line 3: …".
func (r *reader) parse(err error) {
	line, reason := 1, strings.TrimPrefix(err.Error(), "yaml: ")
	if rest, ok := strings.CutPrefix(reason, "line "); ok {
		if number, why, ok := strings.Cut(rest, ": "); ok {
			if n, err := strconv.Atoi(number); err == nil {
				line, reason = max(1, n), why
			}
		}
	}
	r.mistake(line, "this is no YAML: %s", reason)
}

func null(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

// field reads the value of a key; at is its path, for messages: "check.allow[2].rule".
type field func(n *yaml.Node, at string)

type fields map[string]field

// mapping reads a mapping with known keys.
func (r *reader) mapping(n *yaml.Node, at string, known fields) {
	if null(n) {
		return
	}
	if n.Kind != yaml.MappingNode {
		r.mistake(n.Line, "%s is %s; a mapping of %s is expected", at, kindOf(n), strings.Join(names(known), ", "))
		return
	}
	r.keys(n, at, func(key, value *yaml.Node, where string) {
		read := known[key.Value]
		if read == nil {
			hint := "known are " + strings.Join(names(known), ", ")
			if near := report.Nearest(key.Value, names(known)); near != "" {
				hint = "did you mean " + near + "?"
			}
			r.mistake(key.Line, "%s has no key %q; %s", at, cut(key.Value), hint)
			return
		}
		read(value, where)
	})
}

// words reads a mapping with keys of the owner's.
func (r *reader) words(n *yaml.Node, at, what string, do func(key, value *yaml.Node, where string)) {
	switch {
	case null(n):
	case n.Kind != yaml.MappingNode:
		r.mistake(n.Line, "%s is %s; a mapping of %s is expected", at, kindOf(n), what)
	default:
		r.keys(n, at, do)
	}
}

// keys calls do for every key of a mapping.
func (r *reader) keys(n *yaml.Node, at string, do func(key, value *yaml.Node, where string)) {
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		where := cut(key.Value)
		if strings.ContainsFunc(where, func(c rune) bool { return !unicode.IsPrint(c) }) {
			where = strconv.Quote(where)
		}
		if at != r.file {
			where = at + "." + where
		}
		switch first, twice := seen[key.Value]; {
		case key.Kind != yaml.ScalarNode || key.Tag == "!!merge":
			r.mistake(key.Line, "%s has a key that is no plain word", at)
			continue
		case twice:
			r.mistake(key.Line, "%s stands in line %d already", where, first)
			continue
		case value.Kind == yaml.AliasNode:
			r.mistake(value.Line, "%s is a YAML alias; write the value itself", where)
			continue
		}
		seen[key.Value] = key.Line
		do(key, value, where)
	}
}

func names(known fields) []string {
	list := make([]string, 0, len(known))
	for name := range known {
		list = append(list, name)
	}
	slices.Sort(list)
	return list
}

// atMost reads a list of so many items; of further ones it says once that they are too many.
func (r *reader) atMost(most int, item field) field {
	count := 0
	return r.list(func(n *yaml.Node, at string) {
		if count++; count > most {
			if count == most+1 {
				r.mistake(n.Line, "%s: %d entries are the most that are read", at, most)
			}
			return
		}
		item(n, at)
	})
}

// list reads a list, item by item.
func (r *reader) list(item field) field {
	return func(n *yaml.Node, at string) {
		if null(n) {
			return
		}
		if n.Kind != yaml.SequenceNode {
			r.mistake(n.Line, "%s is %s; a list is expected", at, kindOf(n))
			return
		}
		for i, v := range n.Content {
			where := fmt.Sprintf("%s[%d]", at, i)
			if v.Kind == yaml.AliasNode {
				r.mistake(v.Line, "%s is a YAML alias; write the value itself", where)
				continue
			}
			item(v, where)
		}
	}
}

// text reads a scalar into a variable.
func (r *reader) text(into *string) field {
	return func(n *yaml.Node, at string) { *into = r.scalar(n, at) }
}

// scalar returns the text of a scalar as it is written, so that 1.30 does not
// become 1.3; "" with a mistake if there is none.
func (r *reader) scalar(n *yaml.Node, at string) string {
	switch {
	case null(n) || n.Kind == yaml.ScalarNode && strings.TrimSpace(n.Value) == "":
		r.mistake(n.Line, "%s is empty; give it a value or leave it out", at)
	case n.Kind != yaml.ScalarNode:
		r.mistake(n.Line, "%s is %s; a text is expected", at, kindOf(n))
	case len(n.Value) > MaxText:
		r.mistake(n.Line, "%s has %d bytes; %d are the most", at, len(n.Value), MaxText)
	default:
		return strings.TrimSpace(n.Value)
	}
	return ""
}

func kindOf(n *yaml.Node) string {
	switch {
	case null(n):
		return "empty"
	case n.Kind == yaml.MappingNode:
		return "a mapping"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	default:
		return fmt.Sprintf("%q", cut(n.Value))
	}
}

// cut shortens what is quoted in a message.
func cut(s string) string {
	const most = 60
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}

// day reads a date.
func (r *reader) day(into *time.Time) field {
	return func(n *yaml.Node, at string) {
		text := r.scalar(n, at)
		if text == "" {
			return
		}
		d, err := time.Parse(time.DateOnly, text)
		if err != nil {
			r.mistake(n.Line, "%s is %q; write the last day on which it holds as YYYY-MM-DD", at, cut(text))
			return
		}
		*into = d
	}
}

// glob reads a pattern.
func (r *reader) glob(into *string) field {
	return func(n *yaml.Node, at string) {
		*into = r.scalar(n, at)
		if !doublestar.ValidatePattern(*into) {
			r.mistake(n.Line, "%s is %q, which is no glob pattern; * stands for a name, ** for any number of folders (https://github.com/bmatcuk/doublestar#patterns)", at, cut(*into))
		}
	}
}

// oneOf reads a word from a list.
func (r *reader) oneOf(n *yaml.Node, at string, words ...string) string {
	text := r.scalar(n, at)
	if text == "" || slices.Contains(words, text) {
		return text
	}
	hint := "use " + strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
	if near := report.Nearest(text, words); near != "" {
		hint = "did you mean " + near + "?"
	}
	r.mistake(n.Line, "%s is %q; %s", at, cut(text), hint)
	return ""
}

// required notes what is missing in an entry. Pairs are names and values.
func (r *reader) required(n *yaml.Node, at string, pairs ...string) {
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] == "" && !r.has(n, pairs[i]) {
			r.mistake(n.Line, "%s has no %s", at, pairs[i])
		}
	}
}

// has tells whether a mapping has a key. One whose value is wrong was noted when
// it was read.
func (r *reader) has(n *yaml.Node, key string) bool {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return true
		}
	}
	return false
}

func (r *reader) cluster(c *Config, n *yaml.Node, at string) {
	var cl Cluster
	r.mapping(n, at, fields{
		"name": r.text(&cl.Name),
		"path": func(v *yaml.Node, at string) {
			text := r.scalar(v, at)
			if cl.Path = path.Clean(strings.TrimPrefix(text, "./")); text == "" {
				cl.Path = ""
			}
			if path.IsAbs(cl.Path) || cl.Path == ".." || strings.HasPrefix(cl.Path, "../") {
				r.mistake(v.Line, "%s is %q; name a folder of the repository, relative to its root", at, cut(text))
			}
		},
		"substitute": func(v *yaml.Node, at string) {
			cl.Substitute = map[string]string{}
			r.words(v, at, "variables to values", func(key, value *yaml.Node, where string) {
				cl.Substitute[key.Value] = r.scalar(value, where)
			})
		},
		"environment": r.text(&cl.Environment),
	})
	if n.Kind != yaml.MappingNode {
		r.notMapping(n, at)
		return
	}
	r.required(n, at, "name", cl.Name, "path", cl.Path)
	for i, other := range c.Clusters {
		if cl.Name != "" && other.Name == cl.Name {
			r.mistake(n.Line, "%s has the name %q of clusters[%d]; names tell clusters apart in the report", at, cut(cl.Name), i)
		}
	}
	c.Clusters = append(c.Clusters, cl)
}

// digest is the form of a blueprint's digest.
var digest = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)

func (r *reader) blueprint(c *Config, n *yaml.Node, at string) {
	b := Blueprint{Location: report.Location{File: File, Line: n.Line}}
	r.mapping(n, at, fields{
		"version": r.text(&b.Version),
		"digest": func(v *yaml.Node, at string) {
			if b.Digest = r.scalar(v, at); b.Digest != "" && !digest.MatchString(b.Digest) {
				r.mistake(v.Line, "%s is %q, which is no digest; lumacore init writes it, and git log -p %s has it as it was", at, cut(b.Digest), File)
			}
		},
	})
	if n.Kind != yaml.MappingNode {
		return
	}
	r.required(n, at, "version", b.Version, "digest", b.Digest)
	c.Blueprint = &b
}

func (r *reader) identity(c *Config, n *yaml.Node, at string) {
	var i Identity
	r.mapping(n, at, fields{
		"name": r.text(&i.Name),
		"email": func(v *yaml.Node, at string) {
			if i.Email = r.scalar(v, at); i.Email == "" {
				return
			}
			if a, err := mail.ParseAddress(i.Email); err != nil || a.Address != i.Email {
				r.mistake(v.Line, "%s is %q; write an e-mail address alone", at, cut(i.Email))
			}
		},
	})
	if n.Kind != yaml.MappingNode {
		return
	}
	r.required(n, at, "name", i.Name, "email", i.Email)
	c.PublicIdentity = &i
}

// notMapping notes an empty entry of a list; mapping lets empty values pass.
func (r *reader) notMapping(n *yaml.Node, at string) {
	if null(n) {
		r.mistake(n.Line, "%s is empty; fill it in or take it out", at)
	}
}

func (r *reader) check(c *Check, n *yaml.Node, at string) {
	r.mapping(n, at, fields{
		"kubeVersion": func(v *yaml.Node, at string) {
			if c.KubeVersion = r.scalar(v, at); c.KubeVersion == "" {
				return
			}
			if _, err := utilversion.ParseGeneric(c.KubeVersion); err != nil {
				r.mistake(v.Line, "%s is %q; write the clusters' Kubernetes version like 1.36 or 1.36.2", at, cut(c.KubeVersion))
			}
		},
		"failOn": func(v *yaml.Node, at string) {
			c.FailOn = report.Severity(r.oneOf(v, at, severities()...))
		},
		"severity": func(v *yaml.Node, at string) { r.severity(c, v, at) },
		"allow":    r.list(func(v *yaml.Node, at string) { r.allowance(c, v, at) }),
		"images": func(v *yaml.Node, at string) {
			r.mapping(v, at, fields{"registries": r.list(func(v *yaml.Node, at string) {
				text := r.scalar(v, at)
				if strings.Contains(text, "://") || strings.HasSuffix(text, "/") {
					r.mistake(v.Line, "%s is %q; write it as images begin: ghcr.io or docker.io/library", at, cut(text))
				}
				c.Images.Registries = append(c.Images.Registries, text)
			})})
		},
		"policy": func(v *yaml.Node, at string) {
			r.mapping(v, at, fields{"providers": r.list(func(v *yaml.Node, at string) { r.provider(&c.Policy, v, at) })})
		},
		"podSecurity": func(v *yaml.Node, at string) {
			r.mapping(v, at, fields{"exemptions": func(v *yaml.Node, at string) {
				// An empty register is a register too: nothing is exempt.
				c.PodSecurity.Exemptions = []Exemption{}
				r.list(func(v *yaml.Node, at string) { r.exemption(&c.PodSecurity, v, at) })(v, at)
			}})
		},
		"promotion": func(v *yaml.Node, at string) {
			r.mapping(v, at, fields{"production": r.text(&c.Promotion.Production), "staging": r.text(&c.Promotion.Staging)})
			p := c.Promotion
			if production, staging := cmp.Or(p.Production, DefaultProduction), cmp.Or(p.Staging, DefaultStaging); production == staging {
				r.mistake(v.Line, "%s has %q for both production and staging", at, cut(staging))
			}
		},
		"rbac": func(v *yaml.Node, at string) {
			r.mapping(v, at, fields{"limits": r.list(func(v *yaml.Node, at string) { r.limit(&c.RBAC, v, at) })})
		},
	})
}

func severities() []string {
	list := make([]string, len(report.Severities))
	for i, s := range report.Severities {
		list[i] = string(s)
	}
	return list
}

func (r *reader) severity(c *Check, n *yaml.Node, at string) {
	r.words(n, at, "rules or gates to severities", func(key, value *yaml.Node, where string) {
		s := r.oneOf(value, where, append(severities(), string(Off))...)
		c.Severity = append(c.Severity, Override{
			Rule: key.Value, Severity: report.Severity(s), Location: report.Location{File: File, Line: key.Line},
		})
	})
}

func (r *reader) allowance(c *Check, n *yaml.Node, at string) {
	a := Allowance{Location: report.Location{File: File, Line: n.Line}}
	r.mapping(n, at, fields{
		"rule": r.text(&a.Rule), "file": r.glob(&a.File), "object": r.glob(&a.Object), "message": r.text(&a.Message),
		"reason": r.text(&a.Reason), "expires": r.day(&a.Expires), "owner": r.text(&a.Owner),
	})
	if n.Kind != yaml.MappingNode {
		r.notMapping(n, at)
		return
	}
	r.required(n, at, "rule", a.Rule, "reason", a.Reason, "expires", dayText(a.Expires))
	c.Allow = append(c.Allow, a)
}

func (r *reader) provider(c *Policy, n *yaml.Node, at string) {
	p := Provider{Location: report.Location{File: File, Line: n.Line}}
	wrong := false // noted already
	r.mapping(n, at, fields{
		"name": r.text(&p.Name), "answers": r.text(&p.Answers),
		"live": func(v *yaml.Node, at string) {
			text := r.oneOf(v, at, "true", "false")
			p.Live, wrong = text == "true", text == ""
		},
	})
	if n.Kind != yaml.MappingNode {
		r.notMapping(n, at)
		return
	}
	r.required(n, at, "name", p.Name)
	if (p.Answers != "") == p.Live && !wrong {
		r.mistake(n.Line, "%s needs one of answers and live: true", at)
	}
	for _, other := range c.Providers {
		if p.Name != "" && other.Name == p.Name {
			r.mistake(n.Line, "%s is about provider %q, as is the entry in line %d", at, cut(p.Name), other.Line)
		}
	}
	c.Providers = append(c.Providers, p)
}

func (r *reader) exemption(c *PodSecurity, n *yaml.Node, at string) {
	e := Exemption{Location: report.Location{File: File, Line: n.Line}}
	r.mapping(n, at, fields{
		"namespace": r.text(&e.Namespace),
		"level":     func(v *yaml.Node, at string) { e.Level = r.oneOf(v, at, "baseline", "privileged") },
		"reason":    r.text(&e.Reason), "control": r.text(&e.Control), "review": r.day(&e.Review),
	})
	if n.Kind != yaml.MappingNode {
		r.notMapping(n, at)
		return
	}
	r.required(n, at, "namespace", e.Namespace, "level", e.Level, "reason", e.Reason, "control", e.Control, "review", dayText(e.Review))
	for _, other := range c.Exemptions {
		if e.Namespace != "" && other.Namespace == e.Namespace {
			r.mistake(n.Line, "%s is about namespace %q, as is the entry in line %d", at, cut(e.Namespace), other.Line)
		}
	}
	c.Exemptions = append(c.Exemptions, e)
}

// MaxLimitRules bounds check.rbac: its rules are compared with those of all roles.
const MaxLimitRules = 1000

func (r *reader) limit(c *RBAC, n *yaml.Node, at string) {
	l := Limit{Location: report.Location{File: File, Line: n.Line}}
	r.mapping(n, at, fields{
		"subject": r.of(&l.Subject, "ServiceAccount", "Group", "User"),
		"role":    r.of(&l.Role, "ClusterRole", "Role"),
		"namespaces": r.list(func(v *yaml.Node, at string) {
			var glob string
			if r.glob(&glob)(v, at); glob != "" {
				l.Namespaces = append(l.Namespaces, glob)
			}
		}),
		"environment": r.text(&l.Environment),
		"rules":       r.list(func(v *yaml.Node, at string) { r.rule(&l, v, at) }),
		"roles": r.list(func(v *yaml.Node, at string) {
			var role string
			r.of(&role, "ClusterRole", "Role")(v, at)
			l.Roles = append(l.Roles, role)
		}),
		"reason": r.text(&l.Reason), "review": r.day(&l.Review),
	})
	if n.Kind != yaml.MappingNode {
		r.notMapping(n, at)
		return
	}
	subject, role := r.has(n, "subject"), r.has(n, "role")
	switch {
	case subject == role:
		r.mistake(n.Line, "%s: name either a subject or a role", at)
	case role && (r.has(n, "namespaces") || r.has(n, "environment")):
		r.mistake(n.Line, "%s is about a role, which is in force where it is bound; namespaces and environment are for subjects", at)
	case role && r.has(n, "roles"):
		r.mistake(n.Line, "%s is about a role; say in rules what it may hold", at)
	case len(l.Rules)+len(l.Roles) == 0 && !r.has(n, "rules") && !r.has(n, "roles"):
		r.mistake(n.Line, "%s says nothing: give it rules, or, for a subject, roles", at)
	}
	r.required(n, at, "reason", l.Reason, "review", dayText(l.Review))
	c.Limits = append(c.Limits, l)
}

// of reads a kind and a name: "ServiceAccount flux-system/flux-infra". Roles and
// ServiceAccounts have a namespace.
func (r *reader) of(into *string, kinds ...string) field {
	return func(n *yaml.Node, at string) {
		text := r.scalar(n, at)
		if text == "" {
			return
		}
		kind, name, _ := strings.Cut(text, " ")
		name = strings.TrimSpace(name)
		namespace, own, slash := strings.Cut(name, "/")
		var form string
		switch {
		case !slices.Contains(kinds, kind):
			form = "begin it with " + strings.Join(kinds[:len(kinds)-1], ", ") + " or " + kinds[len(kinds)-1]
		case kind == "ServiceAccount" || kind == "Role":
			if !slash || namespace == "" || own == "" || strings.Contains(own, "/") {
				form = "write it as " + kind + " NAMESPACE/NAME"
			}
		case name == "":
			form = "write it as " + kind + " NAME"
		}
		if form != "" {
			r.mistake(n.Line, "%s is %q; %s", at, cut(text), form)
			return
		}
		*into = kind + " " + name
	}
}

// rule reads a rule in the form that it has in a Role.
func (r *reader) rule(l *Limit, n *yaml.Node, at string) {
	rule := Rule{Location: report.Location{File: File, Line: n.Line}}
	texts := func(into *[]string) field {
		return r.list(func(v *yaml.Node, at string) {
			if v.Kind == yaml.ScalarNode && v.Value == "" && !null(v) { // the core group
				*into = append(*into, "")
			} else if text := r.scalar(v, at); text != "" {
				*into = append(*into, text)
			}
		})
	}
	r.mapping(n, at, fields{
		"apiGroups": texts(&rule.APIGroups), "resources": texts(&rule.Resources), "verbs": texts(&rule.Verbs),
		"resourceNames": texts(&rule.ResourceNames), "nonResourceURLs": texts(&rule.NonResourceURLs),
	})
	if n.Kind != yaml.MappingNode {
		r.notMapping(n, at)
		return
	}
	if !r.has(n, "nonResourceURLs") {
		for _, key := range []string{"apiGroups", "resources"} {
			if !r.has(n, key) {
				r.mistake(n.Line, "%s has no %s", at, key)
			}
		}
	}
	if !r.has(n, "verbs") {
		r.mistake(n.Line, "%s has no verbs", at)
	}
	l.Rules = append(l.Rules, rule)
	if len(l.Rules) == MaxLimitRules+1 {
		r.mistake(n.Line, "%s: %d rules are the most that an entry may have", at, MaxLimitRules)
	}
}

// dayText is a date as it is written, "" for none.
func dayText(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Format(time.DateOnly)
}
