package config

import (
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"lumacore.dev/lumacore/internal/report"
)

// Mirror says what of the repository goes to its public mirror, and where that is.
type Mirror struct {
	URL    string // of the mirror, HTTPS or SSH, without any credential
	Branch string // DefaultMirrorBranch if empty

	// Publish are the patterns of files that go there; DefaultPublish if nil.
	Publish []string
	// Withhold are patterns of files that never do, besides [NeverPublished]. They win.
	Withhold []string
	// Executables are patterns of files that may be executable.
	Executables []string
	// Binaries are patterns of files that may be no text.
	Binaries []string
	// MaxFileSize in bytes; DefaultMirrorFileSize if 0.
	MaxFileSize int64
	// Replace is what is published instead of something else.
	Replace []Replacement
	// Private is what only the owner knows to be private.
	Private Private
	// Signers are the public keys that commits of the mirror may be signed with, each as
	// ssh-keygen writes it: "ssh-ed25519 AAAA…".
	Signers []string
	// WithoutDocs says that the documentation is not built before publishing.
	WithoutDocs bool

	report.Location // of the entry
}

// Replacement is what is published instead of a file or a text.
type Replacement struct {
	File string // whose content is replaced by that of With, both of the repository; or
	With string
	Text string // which is replaced by By in every file
	By   string

	report.Location // of the entry
}

// Private is what only the owner knows to be private. It stands in lumacore.yaml, which is
// never published.
type Private struct {
	Words    []string // names, hosts, e-mail addresses
	Domains  []string // with all names below them
	Canaries []string // planted texts: one on the mirror is an alarm
	// OnePassword says that paths of 1Password items are private. Those of the blueprint
	// name the vault by a variable.
	OnePassword bool
}

// What a mirror is if lumacore.yaml does not say otherwise.
const (
	DefaultMirrorBranch   = "main"
	DefaultMirrorFileSize = 1 << 20
)

// DefaultPublish are the patterns of what is published if lumacore.yaml names none.
var DefaultPublish = []string{
	"apps/**", "clusters/**", "infrastructure/**", "overlays/**", "policies/**",
	"docs/**", "mkdocs.yml", ".github/workflows/**", ".gitallowed", "LICENSE", "README.md",
}

// NeverPublished are patterns of files that are withheld from every mirror: what tells
// about the mirror itself, state, inventories, and files that hold credentials by their
// kind.
var NeverPublished = []string{
	File, ".gitlab-ci.yml", ".gitlab/**", ".git/**", "**/.git/**", "**/.gitmodules",
	"**/*.tfstate", "**/*.tfstate.*", "**/*.tfvars", "**/.terraform/**",
	"**/*.pem", "**/*.key", "**/*.p12", "**/*.pfx", "**/*.jks", "**/*.kdbx", "**/id_rsa*", "**/id_ed25519*", "**/id_ecdsa*",
	"**/kubeconfig", "**/*.kubeconfig", "**/.kube/**", "**/.ssh/**", "**/.netrc", "**/.npmrc", "**/.pypirc",
	"**/.env", "**/.env.*", "**/*.env.local", "**/*credentials*.json", "**/inventory.*", "**/internal-only/**",
}

// keyForm is the form of a public key.
var keyForm = regexp.MustCompile(`^(ssh-[a-z0-9-]+|ecdsa-sha2-[a-z0-9-]+|sk-[a-z0-9@.-]+) [A-Za-z0-9+/=]{40,}( .*)?$`)

// sshForm is the short form of an SSH address: git@github.com:owner/name.git.
var sshForm = regexp.MustCompile(`^[A-Za-z0-9._-]+@[A-Za-z0-9.-]+:[^:\s]+$`)

// MirrorAddress says what is wrong with the address of a mirror; "" for nothing.
func MirrorAddress(address string) string {
	if sshForm.MatchString(address) {
		return ""
	}
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Host == "":
		return "is no address; write https://HOST/OWNER/NAME.git or git@HOST:OWNER/NAME.git"
	case u.Scheme != "https" && u.Scheme != "ssh" && !(u.Scheme == "http" && loopback(u.Hostname())):
		return "has the scheme " + u.Scheme + "; use https or ssh, so that nobody on the way reads the credential"
	case u.User != nil && (u.Scheme != "ssh" || strings.Contains(u.User.String(), ":")):
		return "has a credential in it; name a file with --token-file or --ssh-key-file instead, and make a new credential: this one is known"
	}
	return ""
}

func loopback(host string) bool { return host == "127.0.0.1" || host == "::1" || host == "localhost" }

func (r *reader) mirror(c *Config, n *yaml.Node, at string) {
	m := Mirror{Location: report.Location{File: File, Line: n.Line}}
	globs := func(into *[]string) field {
		return func(n *yaml.Node, at string) {
			*into = []string{}
			r.atMost(1000, func(n *yaml.Node, at string) {
				var pattern string
				r.glob(&pattern)(n, at)
				if pattern != "" {
					*into = append(*into, strings.TrimPrefix(pattern, "./"))
				}
			})(n, at)
		}
	}
	texts := func(into *[]string, least int) field {
		return r.atMost(1000, func(n *yaml.Node, at string) {
			text := r.scalar(n, at)
			if text != "" && len([]rune(text)) < least {
				r.mistake(n.Line, "%s is %q, which is shorter than %d characters and would be found everywhere", at, cut(text), least)
			}
			*into = append(*into, text)
		})
	}
	r.mapping(n, at, fields{
		"url": func(v *yaml.Node, at string) {
			if m.URL = r.scalar(v, at); m.URL == "" {
				return
			}
			if why := MirrorAddress(m.URL); why != "" {
				r.mistake(v.Line, "%s %s", at, why)
			}
		},
		"branch":  r.text(&m.Branch),
		"publish": globs(&m.Publish), "withhold": globs(&m.Withhold),
		"executables": globs(&m.Executables), "binaries": globs(&m.Binaries),
		"maxFileSize": func(v *yaml.Node, at string) {
			text := r.scalar(v, at)
			n, err := strconv.ParseInt(text, 10, 64)
			if text != "" && (err != nil || n < 1 || n > 4<<20) {
				r.mistake(v.Line, "%s is %q; write a number of bytes up to %d, which are the most that are searched", at, cut(text), 4<<20)
			}
			m.MaxFileSize = n
		},
		"replace": r.atMost(1000, func(v *yaml.Node, at string) { r.replacement(&m, v, at) }),
		"private": func(v *yaml.Node, at string) {
			r.mapping(v, at, fields{
				"words": texts(&m.Private.Words, 3), "domains": texts(&m.Private.Domains, 4), "canaries": texts(&m.Private.Canaries, 8),
				"onePassword": func(v *yaml.Node, at string) { m.Private.OnePassword = r.oneOf(v, at, "true", "false") == "true" },
			})
		},
		"signers": r.atMost(100, func(v *yaml.Node, at string) {
			key := r.scalar(v, at)
			if key != "" && !keyForm.MatchString(key) {
				r.mistake(v.Line, "%s is %q, which is no public key; write the content of the file that ends in .pub", at, cut(key))
			}
			m.Signers = append(m.Signers, key)
		}),
		"docs": func(v *yaml.Node, at string) { m.WithoutDocs = r.oneOf(v, at, "mkdocs", "none") == "none" },
	})
	if n.Kind != yaml.MappingNode {
		return
	}
	c.Mirror = &m
}

func (r *reader) replacement(m *Mirror, n *yaml.Node, at string) {
	p := Replacement{Location: report.Location{File: File, Line: n.Line}}
	r.mapping(n, at, fields{"file": r.text(&p.File), "with": r.text(&p.With), "text": r.text(&p.Text), "by": r.text(&p.By)})
	if n.Kind != yaml.MappingNode {
		r.notMapping(n, at)
		return
	}
	switch {
	case (p.File == "") == (p.Text == ""):
		r.mistake(n.Line, "%s needs one of file and text", at)
	case p.File != "":
		r.required(n, at, "with", p.With)
	default:
		r.required(n, at, "by", p.By)
		if p.By != "" && strings.Contains(p.By, p.Text) {
			r.mistake(n.Line, "%s replaces a text by one that has it still", at)
		}
	}
	m.Replace = append(m.Replace, p)
}
