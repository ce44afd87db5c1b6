package hosts

import (
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const gitlabFolder = "../../blueprint/hosts/gitlab"

func ruby(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("ruby")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("ruby is not installed")
		}
		t.Skip("not run: ruby is not installed")
	}
	return path
}

// evaluate runs gitlab.rb as GitLab does, and returns what it sets.
func evaluate(t *testing.T, env ...string) (string, error) {
	t.Helper()
	cmd := exec.Command(ruby(t), "testdata/gitlab_rb.rb", gitlabFolder+"/gitlab.rb")
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH")}, env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func TestGitLabSettings(t *testing.T) {
	if out, err := exec.Command(ruby(t), "-wc", gitlabFolder+"/gitlab.rb").CombinedOutput(); err != nil || string(out) != "Syntax OK\n" {
		t.Fatalf("%v: %s", err, out)
	}
	out, err := evaluate(t, "GIT_URL=https://gitlab.lab.example.com/homelab/infra.git", "REGISTRY=registry.lab.example.com", "TIMEZONE=Europe/Berlin")
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, want := range []string{
		`external_url "https://gitlab.lab.example.com"`, `registry_external_url "https://registry.lab.example.com"`, `letsencrypt['enable'] = false`,
		`gitlab_rails['time_zone'] = "Europe/Berlin"`,
	} {
		if !strings.Contains(out, want+"\n") {
			t.Errorf("it does not set %s:\n%s", want, out)
		}
	}
	if !regexp.MustCompile(`(?m)^gitaly\['configuration'\] = .*custom_hooks_dir(: |"=>|=>).*/opt/lumacore/custom_hooks`).MatchString(out) {
		t.Errorf("Gitaly is not told where the hook is:\n%s", out)
	}
	known := strings.Split(read(t, "testdata/gitlab.rb.settings"), "\n")
	for _, m := range regexp.MustCompile(`(?m)^([a-z_]+\['[a-z_]+'\])`).FindAllString(out, -1) {
		if !slices.Contains(known, m) {
			t.Errorf("GitLab has no setting %s", m)
		}
	}
	if n := strings.Count(out, "\n"); n < 15 {
		t.Errorf("only %d settings were seen", n)
	}

	out, err = evaluate(t, "GIT_URL=https://gitlab.lab.example.com:8443/homelab/infra.git", "REGISTRY=gitlab.lab.example.com:5050")
	if err != nil || !strings.Contains(out, `external_url "https://gitlab.lab.example.com:8443"`) || !strings.Contains(out, `registry_external_url "https://gitlab.lab.example.com:5050"`) {
		t.Errorf("ports: %v\n%s", err, out)
	}
}

// A start without the facts ends with a reason.
func TestGitLabFactsMissing(t *testing.T) {
	for name, c := range map[string]struct {
		env  []string
		says string
	}{
		"no GIT_URL":      {nil, `key not found: "GIT_URL"`},
		"GIT_URL of SSH":  {[]string{"GIT_URL=ssh://git@gitlab.lab.example.com/infra.git"}, "GIT_URL is ssh://git@gitlab.lab.example.com/infra.git: want https://HOST/..."},
		"GIT_URL of HTTP": {[]string{"GIT_URL=http://gitlab.lab.example.com/infra.git"}, "GIT_URL is http://gitlab.lab.example.com/infra.git: want https://HOST/..."},
		"no REGISTRY":     {[]string{"GIT_URL=https://gitlab.lab.example.com/infra.git"}, `key not found: "REGISTRY"`},
	} {
		t.Run(name, func(t *testing.T) {
			if out, err := evaluate(t, c.env...); err == nil || !strings.Contains(out, c.says) {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
}

// The places that compose.yaml, gitlab.rb and the hook know of each other are the same.
func TestGitLabHookIsWhereGitalyLooks(t *testing.T) {
	compose, hook := read(t, gitlabFolder+"/compose.yaml"), read(t, gitlabFolder+"/hooks/pre-receive")
	const where = "/opt/lumacore/custom_hooks"
	if !strings.Contains(compose, where+"/pre-receive.d/lumacore") || !strings.Contains(read(t, gitlabFolder+"/gitlab.rb"), "custom_hooks_dir: '"+where+"'") {
		t.Error("compose.yaml installs the hook elsewhere than gitlab.rb says")
	}
	if !strings.Contains(compose, "./hooks:/opt/lumacore/hooks:ro") || !strings.Contains(hook, "LUMACORE_HOOK_CONF:-/opt/lumacore/hooks}") {
		t.Error("the hook reads its rules elsewhere than compose.yaml puts them")
	}
}

// The runner in the cluster is of GitLab's own minor version.
// https://docs.gitlab.com/runner/#gitlab-runner-versions
func TestGitLabVersion(t *testing.T) {
	image := regexp.MustCompile(`image: docker\.io/gitlab/gitlab-ee:(\d+\.\d+)\.\d+-ee\.0@sha256:[0-9a-f]{64}\n`).FindStringSubmatch(read(t, gitlabFolder+"/compose.yaml"))
	if image == nil {
		t.Fatal("compose.yaml has no image of GitLab with tag and digest")
	}
	for _, release := range []string{"gitlab-runner", "gitlab-runner-protected"} {
		file := "../../blueprint/infrastructure/services/gitlab-runner/" + release + ".helmrelease.yaml"
		if !strings.Contains(read(t, file), "# Runner "+image[1]+". ") {
			t.Errorf("GitLab is %s, and %s has not the runner of that version", image[1], file)
		}
	}
}
