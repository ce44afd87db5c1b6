package gitlab

import (
	"net/http/httptest"
	"testing"

	"lumacore.dev/lumacore/blueprint"
	"lumacore.dev/lumacore/internal/config"
	sim "lumacore.dev/lumacore/internal/sim/gitlab"
)

// TestBlueprint applies what the blueprint declares to a fresh GitLab of either tier.
func TestBlueprint(t *testing.T) {
	t.Parallel()
	data, err := blueprint.Files.ReadFile(config.GitLabFile)
	if err != nil {
		t.Fatal(err)
	}
	projects := parse(t, string(data))
	for _, tier := range []string{sim.Free, sim.Premium} {
		t.Run(tier, func(t *testing.T) {
			t.Parallel()
			gitlab := sim.New(tier, tokens, "homelab/infra")
			gitlab.Runner("homelab/infra", "homelab-ci")
			gitlab.Runner("homelab/infra", "homelab-protected")
			srv := httptest.NewServer(gitlab.Handler())
			defer srv.Close()
			s := connect(t, srv.URL, "owner")
			r := plan(t, s, projects)
			if len(r.Changes) < 12 {
				t.Errorf("a fresh GitLab differs in %q alone", lines(r))
			}
			if err := s.Apply(t.Context(), projects, r, nil); err != nil || !r.Verified {
				t.Fatalf("%v", err)
			}
			if again := plan(t, s, projects); again.Differs() {
				t.Errorf("the second plan: %q, %+v", lines(again), again.NotApplied)
			}
		})
	}
}
