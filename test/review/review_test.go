package review

import (
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/bmatcuk/doublestar/v4"
	"go.yaml.in/yaml/v3"

	"lumacore.dev/lumacore/blueprint"
)

func read(t *testing.T, file string) string {
	t.Helper()
	data, err := fs.ReadFile(blueprint.Files, file)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func parse(t *testing.T, file string, into any) {
	t.Helper()
	if err := yaml.Unmarshal([]byte(read(t, file)), into); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}

// files are the paths of an owner's repository, as CODEOWNERS writes them.
func files(t *testing.T) []string {
	t.Helper()
	var out []string
	err := fs.WalkDir(blueprint.Files, ".", func(file string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			out = append(out, "/"+file)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestCodeOwners: every line names something that is there, with an owner that GitLab can
// resolve in any project, and the files that make production have a section of their own.
// https://docs.gitlab.com/user/project/codeowners/reference/
func TestCodeOwners(t *testing.T) {
	all := files(t)
	sections := map[string][]string{} // files of a section
	section := ""
	for n, line := range strings.Split(read(t, "CODEOWNERS"), "\n") {
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
			continue
		case strings.HasPrefix(line, "["):
			section = strings.Trim(line, "[]")
			continue
		}
		words := strings.Fields(line)
		if len(words) != 2 || words[1] != "@@maintainer" {
			t.Errorf("CODEOWNERS:%d: %q names another owner than the role, which an owner's GitLab may not know", n+1, line)
			continue
		}
		pattern := words[0]
		switch {
		case pattern == "*":
			pattern = "/**"
		case strings.HasSuffix(pattern, "/"):
			pattern += "**"
		}
		var fit []string
		for _, file := range all {
			if ok, err := doublestar.Match(pattern, file); err != nil {
				t.Fatalf("CODEOWNERS:%d: %v", n+1, err)
			} else if ok {
				fit = append(fit, file)
			}
		}
		if len(fit) == 0 {
			t.Errorf("CODEOWNERS:%d: no file fits %s", n+1, words[0])
		}
		sections[section] = append(sections[section], fit...)
	}
	if len(sections[""]) != len(all) {
		t.Errorf("%d of %d files have an owner", len(sections[""]), len(all))
	}
	for _, file := range all {
		if ok, _ := doublestar.Match("/{overlays/prod,apps/*/base}/**", file); ok && !slices.Contains(sections["Production"], file) {
			t.Errorf("%s is not in section Production", file)
		}
		// The gates themselves are the files at the root that tools read: all but those of style.
		style := []string{".editorconfig", ".commitlintrc.yaml", ".markdownlint-cli2.yaml", "mkdocs.yml", "README.md"}
		if path.Dir(file) == "/" && !slices.Contains(style, path.Base(file)) && !slices.Contains(sections["Gates"], file) {
			t.Errorf("%s is not in section Gates", file)
		}
	}
}

// TestSameTools: a hook has the version of the pipeline's job, so that what passes here does
// not fail there.
func TestSameTools(t *testing.T) {
	hooks, pipeline := read(t, ".pre-commit-config.yaml"), read(t, ".gitlab-ci.yml")
	site, err := os.ReadFile("../../hack/site.sh")
	if err != nil {
		t.Fatal(err)
	}
	for _, tool := range []struct{ hook, job string }{
		{"github.com/zricethezav/gitleaks/v8@v", "gitleaks/gitleaks:v"},
		{"mvdan.cc/sh/v3/cmd/shfmt@v", "mvdan/shfmt:v"},
		{"markdownlint-cli2@", "markdownlint-cli2:v"},
		{"@commitlint/cli@", "commitlint/commitlint:"},
	} {
		versions := map[string]string{}
		for where, pattern := range map[string]string{hooks: tool.hook, pipeline: tool.job} {
			m := regexp.MustCompile(regexp.QuoteMeta(pattern) + `([0-9]+\.[0-9]+\.[0-9]+)`).FindStringSubmatch(where)
			if m == nil {
				t.Fatalf("%s is not there: the test is wrong", pattern)
			}
			versions[pattern] = m[1]
		}
		if versions[tool.hook] != versions[tool.job] {
			t.Errorf("the hook and the job have different versions: %v", versions)
		}
		if tool.hook == "markdownlint-cli2@" && !strings.Contains(string(site), "\nmarkdownlint="+versions[tool.hook]+"\n") {
			t.Errorf("hack/site.sh has another markdownlint-cli2 than %s", versions[tool.hook])
		}
	}
}

// TestMergeRequestTemplates: what they set and name is there.
func TestMergeRequestTemplates(t *testing.T) {
	var projects struct {
		Defaults struct {
			Labels []struct{ Name string }
		}
	}
	parse(t, "hosts/gitlab/projects.yaml", &projects)
	known := map[string]bool{}
	for _, l := range projects.Defaults.Labels {
		known[l.Name] = true
	}
	templates, err := fs.Glob(blueprint.Files, ".gitlab/merge_request_templates/*")
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]string{}
	for _, file := range templates {
		names[path.Base(file)] = read(t, file)
	}
	for _, name := range []string{"Default.md", "Promotion.md", "Rollback plan.md"} {
		text, ok := names[name]
		if !ok {
			t.Errorf("there is no template %s", name)
			continue
		}
		if !strings.Contains(text, "## How to go back") {
			t.Errorf("%s does not ask how to go back", name)
		}
		for _, m := range regexp.MustCompile(`(?m)^/label (.+)$`).FindAllStringSubmatch(text, -1) {
			for _, label := range strings.Fields(m[1]) {
				if !known[strings.TrimPrefix(label, "~")] {
					t.Errorf("%s sets label %s, which projects.yaml does not make", name, label)
				}
			}
		}
	}
	if len(names) != 3 {
		t.Errorf("templates: %q", templates)
	}
	if !strings.Contains(names["Promotion.md"], "\n/label ~prod\n") || !strings.Contains(names["Rollback plan.md"], "\n/label ~rollback-plan\n") {
		t.Error("the templates do not set the labels prod and rollback-plan")
	}
}

// TestWorkflows: no action by a name that can be moved, and no right that is not needed.
// What actionlint knows is checked by hack/lint-files.sh.
func TestWorkflows(t *testing.T) {
	want := map[string]map[string]string{
		"docs.yaml build":     {"contents": "read"},
		"docs.yaml publish":   {"pages": "write", "id-token": "write"},
		"codeql.yaml analyze": {"contents": "read", "security-events": "write"},
		"mirror.yaml signed":  {"contents": "read"},
	}
	files, err := fs.Glob(blueprint.Files, ".github/workflows/*")
	if err != nil || len(files) < 3 {
		t.Fatalf("%v %v", files, err)
	}
	for _, file := range files {
		file = path.Base(file)
		text := read(t, ".github/workflows/"+file)
		var workflow struct {
			Permissions map[string]string
			Jobs        map[string]struct {
				Permissions map[string]string
				Timeout     int `yaml:"timeout-minutes"`
				Steps       []struct {
					Uses string
					With map[string]any
				}
			}
		}
		parse(t, ".github/workflows/"+file, &workflow)
		if workflow.Permissions == nil || len(workflow.Permissions) > 0 {
			t.Errorf("%s: permissions of all jobs are %v, not none", file, workflow.Permissions)
		}
		for name, job := range workflow.Jobs {
			name = file + " " + name
			if !maps.Equal(job.Permissions, want[name]) {
				t.Errorf("%s has %v, want %v", name, job.Permissions, want[name])
			}
			if job.Timeout == 0 {
				t.Errorf("%s has no timeout-minutes", name)
			}
			for _, step := range job.Steps {
				if step.Uses != "" && !regexp.MustCompile(regexp.QuoteMeta(step.Uses)+` # v\d+\.\d+\.\d+\n`).MatchString(text) {
					t.Errorf("%s: %s has no release behind it", name, step.Uses)
				}
				if step.Uses != "" && !regexp.MustCompile(`^(actions/[a-z-]+|github/codeql-action/(init|analyze))@[0-9a-f]{40}$`).MatchString(step.Uses) {
					t.Errorf("%s: %s is not an action of GitHub's own, by commit", name, step.Uses)
				}
				if strings.HasPrefix(step.Uses, "actions/checkout@") && step.With["persist-credentials"] != false {
					t.Errorf("%s: the checkout leaves its token in the work tree", name)
				}
			}
		}
	}
}

// TestMirrorWorkflow runs what the mirror looks at itself with.
func TestMirrorWorkflow(t *testing.T) {
	if _, err := exec.LookPath("ssh-keygen"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("ssh-keygen is not there")
		}
		t.Skip("not run: ssh-keygen is not there")
	}
	var workflow struct {
		Jobs struct {
			Signed struct{ Steps []struct{ Run string } }
		}
	}
	parse(t, ".github/workflows/mirror.yaml", &workflow)
	script := workflow.Jobs.Signed.Steps[1].Run
	keys, dir := t.TempDir(), t.TempDir()
	run := func(program string, args ...string) (string, error) {
		cmd := exec.CommandContext(t.Context(), program, args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "HOME="+keys, "GIT_CONFIG_NOSYSTEM=1", "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.org", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.org")
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	must := func(program string, args ...string) string {
		t.Helper()
		out, err := run(program, args...)
		if err != nil {
			t.Fatalf("%s %v: %v\n%s", program, args, err, out)
		}
		return out
	}
	public := ""
	for _, name := range []string{"old", "new", "foreign"} {
		must("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", filepath.Join(keys, name))
		if data, err := os.ReadFile(filepath.Join(keys, name+".pub")); err != nil {
			t.Fatal(err)
		} else if name != "foreign" {
			public += string(data)
		}
	}
	commit := func(key, message string) {
		t.Helper()
		must("git", "-c", "gpg.format=ssh", "-c", "user.signingkey="+filepath.Join(keys, key), "commit", "--quiet", "--allow-empty", "--gpg-sign", "--message="+message)
	}
	look := func(signers string) (string, error) {
		return run("env", "SIGNERS="+signers, "bash", "-e", "-o", "pipefail", "-c", script)
	}
	const ours = "Sync with the source\n\nSource-Revision: 0123456789012345678901234567890123456789\nMirror-Rules: sha256:0\n"
	must("git", "init", "--quiet", "--initial-branch=main")
	commit("old", ours)
	commit("new", ours)
	if out, err := look(strings.TrimSpace(public)); err != nil || out != "2 commits, all signed\n" {
		t.Errorf("two good ones: %v %s", err, out)
	}
	if out, err := look(""); err == nil || !strings.Contains(out, "MIRROR_SIGNERS is not set") {
		t.Errorf("without keys: %v %s", err, out)
	}
	for name, do := range map[string]func(){
		"other key":  func() { commit("foreign", ours) },
		"unsigned":   func() { must("git", "commit", "--quiet", "--allow-empty", "--message="+ours) },
		"no trailer": func() { commit("new", "fix: it") },
	} {
		tip := strings.TrimSpace(must("git", "rev-parse", "HEAD"))
		do()
		if out, err := look(public); err == nil || !strings.Contains(out, "were not made by lumacore") {
			t.Errorf("%s: %v %s", name, err, out)
		}
		must("git", "reset", "--quiet", "--hard", tip)
	}
}
