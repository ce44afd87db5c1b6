package config

import (
	"cmp"
	_ "embed"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"lumacore.dev/lumacore/internal/report"
)

// GitLabFile is the name of the file that says how the projects of a GitLab are
// governed, from the root of the repository.
const GitLabFile = "hosts/gitlab/projects.yaml"

// GitLabKind is the kind that the file names in its head.
const GitLabKind = "GitLabProjects"

// MaxGitLabEntries bounds each list of the file.
const MaxGitLabEntries = 1000

// GitLabSchema is the JSON Schema of the file, for editors. It is written by hand and
// held against the reader by a test.
//
//go:embed gitlab.schema.json
var GitLabSchema []byte

// GitLabProject is a project of a GitLab, as it shall be: what the file says for all
// projects, and what it says for this one.
type GitLabProject struct {
	Path string // "homelab/infra"
	// Settings are the values of [GitLabSettings] that are given, by key: a string, a
	// bool or an int64. What is not given is not managed.
	Settings map[string]any
	Branches []GitLabBranch
	Tags     []GitLabTag
	Labels   []GitLabLabel
	Runners  []GitLabRunner
	Mirrors  []GitLabMirror

	report.Location // of the entry
}

// GitLabBranch protects a branch, or all that match a name with *.
type GitLabBranch struct {
	Name              string
	Push, Merge       string // one of [GitLabRoles]
	ForcePush         bool
	CodeOwnerApproval bool // needs Premium

	report.Location
}

// GitLabTag protects a tag, or all that match a name with *.
type GitLabTag struct {
	Name   string
	Create string // one of [GitLabRoles]

	report.Location
}

// GitLabRoles are who may do something to what is protected.
var GitLabRoles = []string{"nobody", "developers", "maintainers"}

// GitLabLabel is a label of issues and merge requests.
type GitLabLabel struct {
	Name        string
	Color       string // "#1f75cb", lower case
	Description string

	report.Location
}

// GitLabRunner is what a runner of a project may run.
type GitLabRunner struct {
	Description string // which runner it is
	Tags        []string
	Untagged    bool // it runs jobs without tags, too
	Protected   bool // it runs jobs of protected branches and tags alone
	Locked      bool // it cannot be given to another project

	report.Location
}

// GitLabMirror is a repository elsewhere that a project is pushed to.
type GitLabMirror struct {
	URL                   string // https, without a user
	User                  string // to sign in as
	TokenEnv, TokenFile   string // where the token is: one of the two
	Enabled               bool
	OnlyProtectedBranches bool
	KeepDivergentRefs     bool

	report.Location
}

// GitLabSetting is a value of a project that stands alone.
type GitLabSetting struct {
	Key   string   // "merge.method"
	Kind  string   // "word", "flag", "number" or "text"
	Words []string // that a word may be
}

// GitLabSettings are all settings, in the order in which they are shown.
var GitLabSettings = []GitLabSetting{
	{Key: "merge.method", Kind: "word", Words: []string{"ff", "merge", "rebase_merge"}},
	{Key: "merge.squash", Kind: "word", Words: []string{"always", "default_off", "default_on", "never"}},
	{Key: "merge.pipelinesMustSucceed", Kind: "flag"},
	{Key: "merge.skippedPipelinesCount", Kind: "flag"},
	{Key: "merge.threadsMustBeResolved", Kind: "flag"},
	{Key: "merge.removeSourceBranch", Kind: "flag"},
	{Key: "pipelines.public", Kind: "flag"},
	{Key: "pipelines.keepLatestArtifact", Kind: "flag"},
	{Key: "pipelines.variableOverride", Kind: "word", Words: []string{"developer", "maintainer", "no_one_allowed", "owner"}},
	{Key: "pipelines.jobTokenLimited", Kind: "flag"},
	{Key: "approvals.required", Kind: "number"},
	{Key: "approvals.authorMayApprove", Kind: "flag"},
	{Key: "approvals.committersMayApprove", Kind: "flag"},
	{Key: "approvals.resetOnPush", Kind: "flag"},
	{Key: "approvals.overridePerMergeRequest", Kind: "flag"},
	{Key: "pushRules.rejectUnsignedCommits", Kind: "flag"},
	{Key: "pushRules.commitMessage", Kind: "text"},
	{Key: "pushRules.commitMessageDenied", Kind: "text"},
	{Key: "pushRules.branchName", Kind: "text"},
	{Key: "pushRules.authorEmail", Kind: "text"},
	{Key: "pushRules.fileNameDenied", Kind: "text"},
	{Key: "pushRules.maxFileSize", Kind: "number"},
	{Key: "pushRules.denyDeleteTag", Kind: "flag"},
	{Key: "pushRules.memberCheck", Kind: "flag"},
	{Key: "pushRules.committerCheck", Kind: "flag"},
	{Key: "pushRules.committerNameCheck", Kind: "flag"},
	{Key: "pushRules.preventSecrets", Kind: "flag"},
}

// LoadGitLabProjects reads the file from the root of a tree; without it, it returns false.
// What is wrong with it is an [*Error] with all mistakes at once.
func LoadGitLabProjects(t Tree) (projects []GitLabProject, there bool, err error) {
	if !t.IsFile(GitLabFile) {
		return nil, false, nil
	}
	data, err := t.ReadFile(GitLabFile)
	if err != nil {
		return nil, true, &Error{Mistakes: []Mistake{{report.Location{File: GitLabFile}, "cannot be read: " + err.Error()}}}
	}
	projects, err = ParseGitLabProjects(data)
	return projects, true, err
}

// ParseGitLabProjects is [LoadGitLabProjects] of the content of the file.
func ParseGitLabProjects(data []byte) ([]GitLabProject, error) {
	r := &reader{file: GitLabFile}
	projects := r.gitLab(data)
	if err := r.err(); err != nil {
		return nil, err
	}
	return projects, nil
}

func (r *reader) gitLab(data []byte) []GitLabProject {
	root := r.document(data)
	if root == nil {
		if len(r.mistakes) == 0 {
			r.mistake(1, "the file is empty; begin it with apiVersion: %s and kind: %s, or delete it", APIVersion, GitLabKind)
		}
		return nil
	}
	var defaults GitLabProject
	var own []GitLabProject
	lines := map[string]int{}
	r.head(root, GitLabKind, fields{
		"defaults": func(n *yaml.Node, at string) { r.mapping(n, at, r.gitLabProject(&defaults)) },
		"projects": r.atMost(MaxGitLabEntries, func(n *yaml.Node, at string) {
			p := GitLabProject{Location: report.Location{File: r.file, Line: n.Line}}
			known := r.gitLabProject(&p)
			known["path"] = r.matching(&p.Path, projectPath, "write it as it stands in the project's address: homelab/infra")
			r.mapping(n, at, known)
			if n.Kind != yaml.MappingNode {
				r.notMapping(n, at)
				return
			}
			r.required(n, at, "path", p.Path)
			// GitLab's paths are the same in either case.
			if first := lines[strings.ToLower(p.Path)]; first > 0 && p.Path != "" {
				r.mistake(n.Line, "%s is about %s, as is the entry in line %d", at, p.Path, first)
			}
			lines[strings.ToLower(p.Path)] = n.Line
			own = append(own, p)
		}),
	})
	for i := range own {
		own[i].inherit(defaults)
	}
	return own
}

// inherit takes from the defaults what the project does not say itself.
func (p *GitLabProject) inherit(d GitLabProject) {
	settings := maps.Clone(d.Settings)
	if settings == nil {
		settings = map[string]any{}
	}
	maps.Copy(settings, p.Settings)
	p.Settings = settings
	p.Branches = inherit(d.Branches, p.Branches, func(b GitLabBranch) string { return b.Name })
	p.Tags = inherit(d.Tags, p.Tags, func(t GitLabTag) string { return t.Name })
	p.Labels = inherit(d.Labels, p.Labels, func(l GitLabLabel) string { return l.Name })
	p.Runners = inherit(d.Runners, p.Runners, func(r GitLabRunner) string { return r.Description })
	p.Mirrors = inherit(d.Mirrors, p.Mirrors, func(m GitLabMirror) string { return m.URL })
}

// inherit returns the defaults, each replaced by the own entry of its name, and then the
// other own entries.
func inherit[T any](defaults, own []T, name func(T) string) []T {
	out := slices.Clone(defaults)
	for _, o := range own {
		if i := slices.IndexFunc(out, func(d T) bool { return name(d) == name(o) }); i >= 0 {
			out[i] = o
		} else {
			out = append(out, o)
		}
	}
	return out
}

var (
	projectPath = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)+$`)
	refName     = regexp.MustCompile(`^[^\s~^:?\[\\]+$`)
	color       = regexp.MustCompile(`^#[0-9a-fA-F]{6}$`)
	variable    = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
)

// matching reads a text of a form.
func (r *reader) matching(into *string, form *regexp.Regexp, hint string) field {
	return func(n *yaml.Node, at string) {
		text := r.scalar(n, at)
		if text != "" && !form.MatchString(text) {
			r.mistake(n.Line, "%s is %q; %s", at, cut(text), hint)
			return
		}
		*into = text
	}
}

// flag reads true or false.
func (r *reader) flag(into *bool) field {
	return func(n *yaml.Node, at string) { *into = r.oneOf(n, at, "true", "false") == "true" }
}

// gitLabProject are the keys that the defaults and a project have.
func (r *reader) gitLabProject(p *GitLabProject) fields {
	p.Settings = map[string]any{}
	sections := map[string]fields{}
	for _, s := range GitLabSettings {
		section, key, _ := strings.Cut(s.Key, ".")
		if sections[section] == nil {
			sections[section] = fields{}
		}
		sections[section][key] = func(n *yaml.Node, at string) { r.gitLabSetting(p.Settings, s, n, at) }
	}
	known := fields{}
	for name, keys := range sections {
		known[name] = func(n *yaml.Node, at string) { r.mapping(n, at, keys) }
	}
	known["branches"] = named(r, &p.Branches, "name", func(b *GitLabBranch, n *yaml.Node) (fields, *string) {
		b.Location = report.Location{File: r.file, Line: n.Line}
		return fields{
			"name": r.matching(&b.Name, refName, "write the name of a branch, where * stands for anything"),
			"push": r.role(&b.Push), "merge": r.role(&b.Merge),
			"forcePush": r.flag(&b.ForcePush), "codeOwnerApproval": r.flag(&b.CodeOwnerApproval),
		}, &b.Name
	}, func(b *GitLabBranch, n *yaml.Node, at string) { r.required(n, at, "push", b.Push, "merge", b.Merge) })
	known["tags"] = named(r, &p.Tags, "name", func(t *GitLabTag, n *yaml.Node) (fields, *string) {
		t.Location = report.Location{File: r.file, Line: n.Line}
		return fields{
			"name":   r.matching(&t.Name, refName, "write the name of a tag, where * stands for anything"),
			"create": r.role(&t.Create),
		}, &t.Name
	}, func(t *GitLabTag, n *yaml.Node, at string) { r.required(n, at, "create", t.Create) })
	known["labels"] = named(r, &p.Labels, "name", func(l *GitLabLabel, n *yaml.Node) (fields, *string) {
		l.Location = report.Location{File: r.file, Line: n.Line}
		return fields{
			"name": func(v *yaml.Node, at string) {
				if l.Name = r.scalar(v, at); strings.ContainsAny(l.Name, ",?&") {
					r.mistake(v.Line, "%s is %q; GitLab takes no comma, ? or & in the name of a label", at, cut(l.Name))
				}
			},
			"color": func(v *yaml.Node, at string) {
				r.matching(&l.Color, color, `write six hexadecimal digits, in quotes: "#1f75cb"`)(v, at)
				l.Color = strings.ToLower(l.Color)
			},
			"description": r.text(&l.Description),
		}, &l.Name
	}, func(l *GitLabLabel, n *yaml.Node, at string) { r.required(n, at, "color", l.Color) })
	known["runners"] = named(r, &p.Runners, "description", func(g *GitLabRunner, n *yaml.Node) (fields, *string) {
		g.Location = report.Location{File: r.file, Line: n.Line}
		return fields{
			"description": r.text(&g.Description),
			"tags": r.list(func(v *yaml.Node, at string) {
				switch tag := r.scalar(v, at); {
				case tag == "":
				case slices.Contains(g.Tags, tag):
					r.mistake(v.Line, "%s is %q, which is in the list already", at, cut(tag))
				case strings.Contains(tag, ","):
					r.mistake(v.Line, "%s is %q; a tag has no comma", at, cut(tag))
				default:
					g.Tags = append(g.Tags, tag)
				}
			}),
			"untagged": r.flag(&g.Untagged), "protected": r.flag(&g.Protected), "locked": r.flag(&g.Locked),
		}, &g.Description
	}, func(g *GitLabRunner, n *yaml.Node, at string) {
		if len(g.Tags) == 0 && !g.Untagged && len(r.mistakes) == 0 {
			r.mistake(n.Line, "%s runs nothing: give it tags, or untagged: true", at)
		}
	})
	known["mirrors"] = named(r, &p.Mirrors, "url", func(m *GitLabMirror, n *yaml.Node) (fields, *string) {
		m.Location, m.Enabled = report.Location{File: r.file, Line: n.Line}, true
		return fields{
			"url":      func(v *yaml.Node, at string) { m.URL = r.mirrorURL(v, at) },
			"user":     r.text(&m.User),
			"tokenEnv": r.matching(&m.TokenEnv, variable, "write the name of an environment variable, not the token"), "tokenFile": r.text(&m.TokenFile),
			"enabled": r.flag(&m.Enabled), "onlyProtectedBranches": r.flag(&m.OnlyProtectedBranches), "keepDivergentRefs": r.flag(&m.KeepDivergentRefs),
		}, &m.URL
	}, func(m *GitLabMirror, n *yaml.Node, at string) {
		r.required(n, at, "user", m.User)
		if r.has(n, "tokenEnv") == r.has(n, "tokenFile") {
			r.mistake(n.Line, "%s needs one of tokenEnv and tokenFile: where its token is", at)
		}
	})
	return known
}

// named reads a list of entries, each with a name of its own.
func named[T any](r *reader, into *[]T, key string, keys func(*T, *yaml.Node) (fields, *string), check func(*T, *yaml.Node, string)) field {
	lines := map[string]int{}
	return r.atMost(MaxGitLabEntries, func(n *yaml.Node, at string) {
		var entry T
		known, name := keys(&entry, n)
		r.mapping(n, at, known)
		if n.Kind != yaml.MappingNode {
			r.notMapping(n, at)
			return
		}
		r.required(n, at, key, *name)
		check(&entry, n, at)
		if first := lines[*name]; first > 0 && *name != "" {
			r.mistake(n.Line, "%s is about %q, as is the entry in line %d", at, cut(*name), first)
		}
		lines[*name] = n.Line
		*into = append(*into, entry)
	})
}

func (r *reader) role(into *string) field {
	return func(n *yaml.Node, at string) { *into = r.oneOf(n, at, GitLabRoles...) }
}

// gitLabSetting reads one of the settings that stand alone.
func (r *reader) gitLabSetting(into map[string]any, s GitLabSetting, n *yaml.Node, at string) {
	switch s.Kind {
	case "word":
		if word := r.oneOf(n, at, s.Words...); word != "" {
			into[s.Key] = word
		}
	case "flag":
		if word := r.oneOf(n, at, "true", "false"); word != "" {
			into[s.Key] = word == "true"
		}
	case "number":
		text := r.scalar(n, at)
		if text == "" {
			return
		}
		number, err := strconv.ParseInt(text, 10, 32)
		if err != nil || number < 0 {
			r.mistake(n.Line, "%s is %q; write a number from 0", at, cut(text))
			return
		}
		into[s.Key] = number
	default:
		text := r.scalar(n, at)
		if text == "" {
			return
		}
		// GitLab's push rules are RE2, as Go's regular expressions are.
		if _, err := regexp.Compile(text); err != nil {
			r.mistake(n.Line, "%s is no regular expression: %v", at, cmp.Or(strings.TrimPrefix(err.Error(), "error parsing regexp: "), "unknown"))
			return
		}
		into[s.Key] = text
	}
}

// mirrorURL reads the address of a repository; who signs in there stands elsewhere.
func (r *reader) mirrorURL(n *yaml.Node, at string) string {
	text := r.scalar(n, at)
	if text == "" {
		return ""
	}
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Scheme != "https" || u.Host == "" || strings.Trim(u.Path, "/") == "":
		// What cannot be parsed may hold a token: it is not repeated.
		r.mistake(n.Line, "%s is no address of a repository; write it as https://github.com/owner/name.git", at)
	case u.User != nil:
		r.mistake(n.Line, "%s has a user or a token in it; put the user into user, and the token where tokenEnv or tokenFile says", at)
	case u.RawQuery != "" || u.Fragment != "":
		r.mistake(n.Line, "%s has something behind the path of the repository; leave it out", at)
	default:
		return text
	}
	return ""
}
