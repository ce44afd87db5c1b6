package config

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lumacore.dev/lumacore/internal/report"
	"lumacore.dev/lumacore/internal/schematest"
)

const gitLabHead = "apiVersion: lumacore.dev/v1alpha1\nkind: GitLabProjects\n"

func TestParseGitLabProjects(t *testing.T) {
	t.Parallel()
	at := func(line int) report.Location { return report.Location{File: GitLabFile, Line: line} }
	got, err := ParseGitLabProjects([]byte(gitLabHead + `defaults:
  merge: {method: ff, squash: never}
  pushRules: {commitMessage: '^feat', maxFileSize: 5}
  branches: [{name: main, push: nobody, merge: maintainers}]
  labels: [{name: prod, color: '#FFFFFF'}, {name: bug, color: '#000000', description: a mistake}]
projects:
  - path: homelab/infra
    merge: {squash: always}
    approvals: {required: 0}
    branches: [{name: 'release/*', push: developers, merge: developers, forcePush: true, codeOwnerApproval: true}]
    tags: [{name: v*, create: maintainers}]
    labels: [{name: prod, color: '#d9534f'}]
    runners: [{description: ci, tags: [a, b], protected: true, locked: true}, {description: other, untagged: true}]
    mirrors: [{url: 'https://example.org/a/b.git', user: me, tokenFile: /run/token, enabled: false, onlyProtectedBranches: true, keepDivergentRefs: true}]
  - path: homelab/apps
`))
	if err != nil {
		t.Fatal(err)
	}
	main := GitLabBranch{Name: "main", Push: "nobody", Merge: "maintainers", Location: at(6)}
	bug := GitLabLabel{"bug", "#000000", "a mistake", at(7)}
	want := []GitLabProject{{
		Path:     "homelab/infra",
		Settings: map[string]any{"merge.method": "ff", "merge.squash": "always", "pushRules.commitMessage": "^feat", "pushRules.maxFileSize": int64(5), "approvals.required": int64(0)},
		Branches: []GitLabBranch{main, {"release/*", "developers", "developers", true, true, at(12)}},
		Tags:     []GitLabTag{{"v*", "maintainers", at(13)}},
		Labels:   []GitLabLabel{{"prod", "#d9534f", "", at(14)}, bug},
		Runners:  []GitLabRunner{{"ci", []string{"a", "b"}, false, true, true, at(15)}, {Description: "other", Untagged: true, Location: at(15)}},
		Mirrors:  []GitLabMirror{{"https://example.org/a/b.git", "me", "", "/run/token", false, true, true, at(16)}},
		Location: at(9),
	}, {
		Path:     "homelab/apps",
		Settings: map[string]any{"merge.method": "ff", "merge.squash": "never", "pushRules.commitMessage": "^feat", "pushRules.maxFileSize": int64(5)},
		Branches: []GitLabBranch{main}, Labels: []GitLabLabel{{"prod", "#ffffff", "", at(7)}, bug}, Location: at(17),
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestGitLabMistakes: each mistake is said with its line and what to write instead.
func TestGitLabMistakes(t *testing.T) {
	t.Parallel()
	project := func(text string) string { return "projects:\n  - path: a/b\n    " + text + "\n" }
	for name, c := range map[string]struct{ text, want string }{
		"empty":            {"", "1: the file is empty; begin it with apiVersion: lumacore.dev/v1alpha1 and kind: GitLabProjects, or delete it"},
		"no YAML":          {"projects: [", "1: this is no YAML: did not find expected node content"},
		"no path":          {gitLabHead + "projects: [{}]", "3: projects[0] has no path"},
		"empty entry":      {gitLabHead + "projects:\n  -\n", "4: projects[0] is empty; fill it in or take it out"},
		"path":             {gitLabHead + "projects: [{path: infra}]", `3: projects[0].path is "infra"; write it as it stands in the project's address: homelab/infra`},
		"path of defaults": {gitLabHead + "defaults: {path: a/b}", `3: defaults has no key "path"; known are approvals, branches, labels, merge, mirrors, pipelines, pushRules, runners, tags`},
		"twice":            {gitLabHead + "projects: [{path: a/b}, {path: A/B}]", "3: projects[1] is about A/B, as is the entry in line 3"},
		"setting":          {gitLabHead + project("merge: {methods: ff}"), `5: projects[0].merge has no key "methods"; did you mean method?`},
		"word":             {gitLabHead + project("merge: {method: fff}"), `5: projects[0].merge.method is "fff"; did you mean ff?`},
		"flag":             {gitLabHead + project("merge: {removeSourceBranch: yes}"), `5: projects[0].merge.removeSourceBranch is "yes"; use true or false`},
		"number":           {gitLabHead + project("approvals: {required: -1}"), `5: projects[0].approvals.required is "-1"; write a number from 0`},
		"pattern":          {gitLabHead + project("pushRules: {branchName: '('}"), "5: projects[0].pushRules.branchName is no regular expression: missing closing ): `(`"},
		"role":             {gitLabHead + project("tags: [{name: v*, create: owners}]"), `5: projects[0].tags[0].create is "owners"; use nobody, developers or maintainers`},
		"no role":          {gitLabHead + project("branches: [{name: main, push: nobody}]"), "5: projects[0].branches[0] has no merge"},
		"branch":           {gitLabHead + project("branches: [{name: a b, push: nobody, merge: nobody}]"), `5: projects[0].branches[0].name is "a b"; write the name of a branch, where * stands for anything`},
		"branch twice":     {gitLabHead + project("tags: [{name: v, create: nobody}, {name: v, create: nobody}]"), `5: projects[0].tags[1] is about "v", as is the entry in line 5`},
		"color":            {gitLabHead + project("labels: [{name: a, color: red}]"), `5: projects[0].labels[0].color is "red"; write six hexadecimal digits, in quotes: "#1f75cb"`},
		"label":            {gitLabHead + project("labels: [{name: 'a,b', color: '#000000'}]"), `5: projects[0].labels[0].name is "a,b"; GitLab takes no comma, ? or & in the name of a label`},
		"idle runner":      {gitLabHead + project("runners: [{description: ci}]"), "5: projects[0].runners[0] runs nothing: give it tags, or untagged: true"},
		"tag twice":        {gitLabHead + project("runners: [{description: ci, tags: [a, a]}]"), `5: projects[0].runners[0].tags[1] is "a", which is in the list already`},
		"mirror's secret":  {gitLabHead + project("mirrors: [{url: 'https://me:hunter2@example.org/a.git', user: a, tokenEnv: A}]"), "5: projects[0].mirrors[0].url has a user or a token in it; put the user into user, and the token where tokenEnv or tokenFile says"},
		"mirror's address": {gitLabHead + project("mirrors: [{url: 'http://example.org/a.git', user: a, tokenEnv: A}]"), "5: projects[0].mirrors[0].url is no address of a repository; write it as https://github.com/owner/name.git"},
		"mirror's query":   {gitLabHead + project("mirrors: [{url: 'https://example.org/a.git?token=hunter2', user: a, tokenEnv: A}]"), "5: projects[0].mirrors[0].url has something behind the path of the repository; leave it out"},
		"no token":         {gitLabHead + project("mirrors: [{url: 'https://example.org/a.git', user: a}]"), "5: projects[0].mirrors[0] needs one of tokenEnv and tokenFile: where its token is"},
		"two tokens":       {gitLabHead + project("mirrors: [{url: 'https://example.org/a.git', user: a, tokenEnv: A, tokenFile: b}]"), "5: projects[0].mirrors[0] needs one of tokenEnv and tokenFile: where its token is"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			projects, err := ParseGitLabProjects([]byte(c.text))
			if got := errorText(err); got != GitLabFile+":"+c.want || projects != nil {
				t.Errorf("error %q\nwant   %q", got, GitLabFile+":"+c.want)
			}
			if strings.Contains(errorText(err), "hunter2") {
				t.Error("the token comes out")
			}
		})
	}
	var many strings.Builder
	for i := range MaxGitLabEntries + 2 {
		fmt.Fprintf(&many, "  - path: a/b%d\n", i)
	}
	if _, err := ParseGitLabProjects([]byte(gitLabHead + "projects:\n" + many.String())); errorText(err) != GitLabFile+":1004: projects[1000]: 1000 entries are the most that are read" {
		t.Errorf("too many: %v", err)
	}
	if _, there, err := LoadGitLabProjects(none{}); there || err != nil {
		t.Errorf("without the file: %v, %v", there, err)
	}
}

// TestGitLabSchemaKeys asks the reader at every mapping of the schema which keys it knows.
func TestGitLabSchemaKeys(t *testing.T) {
	t.Parallel()
	n := schemaKeys(t, GitLabSchema, func(text string) error {
		_, err := ParseGitLabProjects([]byte(text))
		return err
	})
	if n < 20 {
		t.Errorf("only %d mappings were seen: the test is wrong", n)
	}
	_, root := schematest.Compile(t, GitLabSchema)
	definitions := root["definitions"].(map[string]any)
	// What the words of the settings may be is said twice, too.
	for _, s := range GitLabSettings {
		section, key, _ := strings.Cut(s.Key, ".")
		p := definitions[section].(map[string]any)["properties"].(map[string]any)[key].(map[string]any)
		var words []string
		enum, _ := p["enum"].([]any)
		for _, w := range enum {
			words = append(words, w.(string))
		}
		if !slices.Equal(words, s.Words) || (s.Kind == "flag") != (p["type"] == "boolean") {
			t.Errorf("%s: %v of type %v in the schema, %v of kind %s in the reader", s.Key, words, p["type"], s.Words, s.Kind)
		}
	}
}

// TestGitLabSchemaAgrees holds the schema against the reader, one way and the other.
func TestGitLabSchemaAgrees(t *testing.T) {
	t.Parallel()
	s, _ := schematest.Compile(t, GitLabSchema)
	valid := func(text string) error { return schematest.Validate(t, s, []byte(text)) }
	own, err := os.ReadFile("../../blueprint/" + GitLabFile)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ParseGitLabProjects(own); err != nil {
		t.Errorf("the blueprint's: %v", err)
	}
	for name, text := range map[string]string{
		"the blueprint's":     string(own),
		"only the head":       gitLabHead,
		"keys without values": gitLabHead + "defaults:\nprojects:\n",
		"sections without":    gitLabHead + "defaults: {merge: , labels: }\n",
	} {
		if err := valid(text); err != nil {
			t.Errorf("%s: the schema refuses it: %v", name, err)
		}
		if _, err := ParseGitLabProjects([]byte(text)); err != nil {
			t.Errorf("%s: the reader refuses it: %v", name, err)
		}
	}
	for name, text := range map[string]string{
		"no head":         "projects: []\n",
		"another kind":    "apiVersion: lumacore.dev/v1alpha1\nkind: Config\n",
		"no path":         gitLabHead + "projects: [{}]\n",
		"a path":          gitLabHead + "projects: [{path: infra}]\n",
		"a word":          gitLabHead + "defaults: {merge: {method: fast}}\n",
		"a flag":          gitLabHead + "defaults: {merge: {removeSourceBranch: 1}}\n",
		"a number":        gitLabHead + "defaults: {approvals: {required: -1}}\n",
		"an empty text":   gitLabHead + "defaults: {pushRules: {branchName: ''}}\n",
		"a role":          gitLabHead + "defaults: {tags: [{name: v, create: owners}]}\n",
		"a branch":        gitLabHead + "defaults: {branches: [{name: a b, push: nobody, merge: nobody}]}\n",
		"no merge":        gitLabHead + "defaults: {branches: [{name: a, push: nobody}]}\n",
		"a color":         gitLabHead + "defaults: {labels: [{name: a, color: red}]}\n",
		"a label":         gitLabHead + "defaults: {labels: [{name: 'a,b', color: '#000000'}]}\n",
		"a runner":        gitLabHead + "defaults: {runners: [{tags: [a]}]}\n",
		"a runner's tag":  gitLabHead + "defaults: {runners: [{description: a, tags: ['a,b']}]}\n",
		"a mirror":        gitLabHead + "defaults: {mirrors: [{url: 'https://a@b.c/d', user: a, tokenEnv: A}]}\n",
		"no token":        gitLabHead + "defaults: {mirrors: [{url: 'https://b.c/d', user: a}]}\n",
		"two tokens":      gitLabHead + "defaults: {mirrors: [{url: 'https://b.c/d', user: a, tokenEnv: A, tokenFile: b}]}\n",
		"token as a name": gitLabHead + "defaults: {mirrors: [{url: 'https://b.c/d', user: a, tokenEnv: glpat-x}]}\n",
	} {
		if _, err := ParseGitLabProjects([]byte(text)); err == nil {
			t.Errorf("%s: the reader takes it", name)
		} else if e := (*Error)(nil); !errors.As(err, &e) {
			t.Errorf("%s: %v", name, err)
		}
		if err := valid(text); err == nil {
			t.Errorf("%s: the schema takes it", name)
		}
	}
}

func FuzzParseGitLabProjects(f *testing.F) {
	f.Add([]byte(gitLabHead + "defaults: {merge: {method: ff}}\nprojects: [{path: a/b, labels: [{name: a, color: '#000000'}]}]\n"))
	f.Add([]byte("- &a [*a]\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if projects, err := ParseGitLabProjects(data); err != nil && projects != nil {
			t.Errorf("projects %v beside error %v", projects, err)
		}
	})
}
