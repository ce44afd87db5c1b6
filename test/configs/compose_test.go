package configs

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/google/go-cmp/cmp"
)

const gitlabFolder = "../../blueprint/hosts/gitlab"

// load reads the compose file as docker compose --env-file does, against the compose
// specification: https://github.com/compose-spec/compose-spec
func load(t *testing.T, file string, envFiles ...string) (*types.Project, error) {
	t.Helper()
	options, err := cli.NewProjectOptions([]string{file}, cli.WithEnvFiles(envFiles...), cli.WithDotEnv, cli.WithConsistency(true), cli.WithResolvedPaths(true))
	if err != nil {
		return nil, err
	}
	return options.LoadProject(t.Context())
}

func TestComposeGitLab(t *testing.T) {
	p, err := load(t, gitlabFolder+"/compose.yaml", "../../blueprint/clusters/lumacore/settings.env")
	if err != nil {
		t.Fatal(err)
	}
	s, err := p.GetService("gitlab")
	if err != nil {
		t.Fatal(err)
	}
	if s.Platform != "" || s.Privileged || len(s.CapAdd) != 0 || s.NetworkMode != "" {
		t.Errorf("platform %q, privileged %v, capabilities %v, network %q: want none", s.Platform, s.Privileged, s.CapAdd, s.NetworkMode)
	}
	for name, want := range map[string]string{
		"GIT_URL": "https://gitlab.lab.example.com/homelab/infra.git", "REGISTRY": "registry.lab.example.com",
		"GITLAB_OMNIBUS_CONFIG":         "from_file('/opt/lumacore/gitlab.rb')",
		"GITLAB_PRE_RECONFIGURE_SCRIPT": "install -D -m 0755 /opt/lumacore/hooks/pre-receive /opt/lumacore/custom_hooks/pre-receive.d/lumacore",
	} {
		if got := s.Environment[name]; got == nil || *got != want {
			t.Errorf("%s is %v, want %q", name, got, want)
		}
	}
	if s.ShmSize != 256<<20 || s.HealthCheck == nil || s.HealthCheck.StartPeriod == nil || s.StopGracePeriod == nil {
		t.Errorf("shared memory %d, health check %v, grace %v", s.ShmSize, s.HealthCheck, s.StopGracePeriod)
	}
	volumes := map[string]string{}
	for _, v := range s.Volumes {
		volumes[v.Target] = v.Type
		if v.Type != types.VolumeTypeBind {
			continue
		}
		if !v.ReadOnly {
			t.Errorf("%s can be written from the container", v.Source)
		}
		if _, err := os.Stat(v.Source); err != nil && filepath.Base(v.Source) != "ssl" { // which the owner makes
			t.Errorf("%s is mounted, and is not there", v.Source)
		}
	}
	for _, data := range []string{"/etc/gitlab", "/var/log/gitlab", "/var/opt/gitlab", "/var/opt/gitlab/backups"} {
		if volumes[data] != types.VolumeTypeVolume {
			t.Errorf("%s is a %q, want a volume", data, volumes[data])
		}
	}
	published := map[string]uint32{}
	for _, port := range s.Ports {
		published[port.Published] = port.Target
	}
	if diff := cmp.Diff(map[string]uint32{"443": 443, "2222": 22}, published); diff != "" {
		t.Errorf("published are HTTPS and SSH alone (-want +got):\n%s", diff)
	}
}

// What docker compose says to one who forgot the file with the facts, or wrote a key that
// there is not.
func TestComposeGitLabMistakes(t *testing.T) {
	if _, err := load(t, gitlabFolder+"/compose.yaml"); err == nil || !strings.Contains(err.Error(), "is in clusters/lumacore/settings.env") {
		t.Errorf("without the facts: %v", err)
	}
	b, err := os.ReadFile(gitlabFolder + "/compose.yaml")
	if err != nil {
		t.Fatal(err)
	}
	wrong := filepath.Join(t.TempDir(), "compose.yaml")
	if err := os.WriteFile(wrong, []byte(strings.Replace(string(b), "shm_size:", "shared_memory:", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := load(t, wrong, "../../blueprint/clusters/lumacore/settings.env"); err == nil || !strings.Contains(err.Error(), "shared_memory") {
		t.Errorf("a key that there is not: %v", err)
	}
}
