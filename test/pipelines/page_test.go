package pipelines

import (
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"lumacore.dev/lumacore/blueprint"
)

// pipelineFile is the file, and what it is as YAML.
func pipelineFile(t *testing.T) (string, map[string]any) {
	t.Helper()
	data, err := fs.ReadFile(blueprint.Files, ".gitlab-ci.yml")
	if err != nil {
		t.Fatal(err)
	}
	var out map[string]any
	if err := yaml.Unmarshal(data, &out); err != nil {
		t.Fatal(err)
	}
	return string(data), out
}

// TestPage: docs/pipelines.md has each job with its stage, and no other.
func TestPage(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/pipelines.md")
	if err != nil {
		t.Fatal(err)
	}
	var got, want []string
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z-]+)` \\| `([a-z_-]+)` \\|").FindAllStringSubmatch(string(page), -1) {
		got = append(got, m[1]+" "+m[2])
	}
	text, pipeline := pipelineFile(t)
	for name, v := range pipeline {
		job, _ := v.(map[string]any)
		if stage, _ := job["stage"].(string); stage != "" && !strings.HasPrefix(name, ".") {
			want = append(want, name+" "+stage)
			if !regexp.MustCompile(`(?m)^#.*\n` + regexp.QuoteMeta(name) + `:$`).MatchString(text) {
				t.Errorf("no comment above job %s says what it finds", name)
			}
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("docs/pipelines.md (-want +got):\n%s", diff)
	}
}

// TestVersions: what hack/pipelines.sh installs is what the images have.
func TestVersions(t *testing.T) {
	t.Parallel()
	script, err := os.ReadFile("../../hack/pipelines.sh")
	if err != nil {
		t.Fatal(err)
	}
	module, err := os.ReadFile("../../tools/pipelines/go.mod")
	if err != nil {
		t.Fatal(err)
	}
	text, _ := pipelineFile(t)
	for image, pinned := range map[string]string{
		"markdown-link-check": "markdown-link-check@", "markdownlint-cli2": "markdownlint-cli2@", "commitlint/commitlint": "@commitlint/cli@",
		"gitleaks/gitleaks": "github.com/zricethezav/gitleaks/v8 ", "stackrox/kube-linter": "golang.stackrox.io/kube-linter ",
	} {
		m := regexp.MustCompile(regexp.QuoteMeta(image) + `:v?([0-9.]+)`).FindStringSubmatch(text)
		if m == nil {
			t.Errorf("the pipeline has no image %s", image)
			continue
		}
		if !regexp.MustCompile(regexp.QuoteMeta(pinned) + `v?` + regexp.QuoteMeta(m[1]) + `\b`).Match(append(script, module...)) {
			t.Errorf("the pipeline has %s %s, and the tests another: change hack/pipelines.sh or tools/pipelines/go.mod", image, m[1])
		}
	}
}

// protected are what may run on the runner that mounts secrets: on main and by schedule alone,
// as [TestRules] has it.
var protected = map[string]bool{"sign": true, ".protected-mirror": true}

// TestScannersHaveNoSecrets: only jobs that sign or publish run on the protected runner, and no
// job asks for a token.
func TestScannersHaveNoSecrets(t *testing.T) {
	t.Parallel()
	_, pipeline := pipelineFile(t)
	for name, v := range pipeline {
		job, _ := v.(map[string]any)
		if tags := job["tags"]; tags != nil && !protected[name] {
			t.Errorf("job %s has tags %v: only what signs or publishes runs on another runner", name, tags)
		}
		bases, _ := job["extends"].([]any)
		if slices.Contains(bases, any(".protected-mirror")) && name != "mirror-to-github" && name != "mirror-verify" {
			t.Errorf("job %s has the keys of the mirror", name)
		}
		for _, key := range []string{"id_tokens", "secrets"} {
			if job[key] != nil {
				t.Errorf("job %s has %s", name, key)
			}
		}
	}
}
