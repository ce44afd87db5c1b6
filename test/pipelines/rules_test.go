//go:build e2e

package pipelines

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lumacore.dev/lumacore/test/gitlabcilocal"
)

// plan returns the jobs of a pipeline and when each runs.
func plan(t *testing.T, r *repository, variables []string) []gitlabcilocal.Job {
	t.Helper()
	output, _ := r.local(variables, "--list-json", "--json-schema-validation=false")
	list, err := gitlabcilocal.Parse(output)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// TestRules: which jobs are in which pipeline.
func TestRules(t *testing.T) {
	t.Parallel()
	always := []string{
		"checkov", "docs", "gitleaks", "kube-linter", "links", "lumacore-check", "markdownlint", "osv-scanner", "render", "semgrep",
		"shellcheck", "shfmt", "tofu", "trivy-config", "trivy-fs", "yamllint",
	}
	mergeRequest := []string{"commits", "lumacore-change", "mirror-candidate", "mirror-docs", "mirror-gitleaks"}
	for name, tt := range map[string]struct {
		change    map[string]string // file -> content
		branch    string            // of the merge request
		variables []string          // instead of a merge request's
		want      []string          // besides those that always run
	}{
		"merge request, README": {change: map[string]string{"NOTES.md": "# Notes\n"}, want: mergeRequest},
		"merge request, staging": {
			change: map[string]string{"overlays/staging/beacon/more.yaml": "---\n"}, want: append([]string{"dry-run"}, mergeRequest...),
		},
		"merge request, prod": {
			change: map[string]string{"overlays/prod/beacon/more.yaml": "---\n"}, want: append([]string{"dry-run", "prod-approval (manual)"}, mergeRequest...),
		},
		"merge request, base": {
			change: map[string]string{"apps/beacon/base/more.yaml": "---\n"}, want: append([]string{"dry-run", "prod-approval (manual)"}, mergeRequest...),
		},
		"merge request, infrastructure": {change: map[string]string{"infrastructure/more.yaml": "---\n"}, want: append([]string{"prod-approval (manual)"}, mergeRequest...)},
		"merge request, policies":       {change: map[string]string{"policies/more.yaml": "---\n"}, want: append([]string{"prod-approval (manual)"}, mergeRequest...)},
		"merge request, clusters":       {change: map[string]string{"clusters/lumacore/more.yaml": "---\n"}, want: append([]string{"prod-approval (manual)"}, mergeRequest...)},
		"merge request, hosts":          {change: map[string]string{"hosts/more.md": "# More\n"}, want: append([]string{"prod-approval (manual)"}, mergeRequest...)},
		"merge request, Go code":        {change: map[string]string{"tools/sum/go.mod": module}, want: append([]string{"fuzz (manual, may be left)"}, mergeRequest...)},
		"merge request of Flux": {
			change: map[string]string{"overlays/staging/beacon/more.yaml": "---\n"}, branch: "flux/staging-images", want: append([]string{"dry-run", "image-automation"}, mergeRequest...),
		},
		"main": {variables: []string{"CI_PIPELINE_SOURCE=push", "CI_COMMIT_BRANCH=main"}, want: []string{"mirror-candidate", "mirror-docs", "mirror-gitleaks", "sbom", "sign"}},
		"main, with a mirror": {
			variables: []string{"CI_PIPELINE_SOURCE=push", "CI_COMMIT_BRANCH=main", "MIRROR=on"},
			want:      []string{"mirror-candidate", "mirror-docs", "mirror-gitleaks", "mirror-to-github", "sbom", "sign"},
		},
		"merge request, with a mirror": {variables: []string{"CI_PIPELINE_SOURCE=merge_request_event", "MIRROR=on"}, want: mergeRequest},
		"schedule, with a mirror": {
			variables: []string{"CI_PIPELINE_SOURCE=schedule", "CI_COMMIT_BRANCH=main", "MIRROR=on"}, want: []string{"links-external", "mirror-verify"},
		},
		"schedule":          {variables: []string{"CI_PIPELINE_SOURCE=schedule", "CI_COMMIT_BRANCH=main"}, want: []string{"links-external"}},
		"schedule, Go code": {change: map[string]string{"tools/sum/go.mod": module}, variables: []string{"CI_PIPELINE_SOURCE=schedule", "CI_COMMIT_BRANCH=main"}, want: []string{"links-external", "fuzz"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRepository(t)
			for file, text := range tt.change {
				r.write(file, text)
			}
			r.commit("feat: a change")
			variables := tt.variables
			if variables == nil {
				variables = r.mergeRequest()
				r.vars["CI_MERGE_REQUEST_SOURCE_BRANCH_NAME"] = "change"
				if tt.branch != "" {
					r.vars["CI_MERGE_REQUEST_SOURCE_BRANCH_NAME"] = tt.branch
				}
			}
			want := append(slices.Clone(always), tt.want...)
			slices.Sort(want)
			got := gitlabcilocal.Run(plan(t, r, variables))
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("jobs (-want +got):\n%s", diff)
			}
		})
	}
}

// TestSchema: GitLab's schema of the file takes it, as its editor would.
func TestSchema(t *testing.T) {
	t.Parallel()
	r := newRepository(t)
	if output, _ := r.local(r.mergeRequest(), "--list-json", "--json-schema-validation"); !strings.Contains(output, `"yamllint"`) {
		t.Errorf("%s", output)
	}
	r.edit(".gitlab-ci.yml", "stage: lint", "stage: lint\n  scripts: [no]")
	output, ok := r.local(r.mergeRequest(), "yamllint", "--force-shell-executor", "--json-schema-validation")
	if ok || !strings.Contains(output, "scripts") {
		t.Errorf("a keyword that GitLab does not know is taken:\n%s", output)
	}
}
