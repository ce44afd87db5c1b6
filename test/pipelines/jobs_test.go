//go:build e2e

package pipelines

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"lumacore.dev/lumacore/test/osv"
)

// notRun are the jobs that nobody can run where these tests run, and why.
var notRun = map[string]string{
	"semgrep":        "Semgrep is a Python program, which neither Go, npm nor Debian has; its rules come from the internet",
	"checkov":        "Checkov is a Python program, which neither Go, npm nor Debian has",
	"trivy-fs":       "Trivy has 3000 Go packages, too many to compile in each run, and its database comes from the internet",
	"trivy-config":   "Trivy has 3000 Go packages, too many to compile in each run",
	"links-external": "it needs the internet; `links` is the same program",
	"dry-run":        "it needs a cluster with the account ci-dryrun; test/e2e tries that account and its policy",
}

// programs are what jobs call, where their images do not have the same name for it.
var programs = map[string][]string{
	"links": {"markdown-link-check"}, "commits": {"commitlint"}, "markdownlint": {"markdownlint-cli2"},
	"render": {"lumacore"}, "lumacore-check": {"lumacore"}, "lumacore-change": {"lumacore"}, "kube-linter": {"lumacore", "kube-linter"},
	"tofu": {"tofu", "terraform-provider-proxmox"}, "docs": {"mkdocs"}, "mirror-docs": {"mkdocs"}, "mirror-gitleaks": {"gitleaks"}, "sbom": {"syft"}, "sign": {"syft", "cosign"},
	"fuzz": {"go"}, "image-automation": {"ssh-keygen"}, "mirror-candidate": {"lumacore"}, "mirror-to-github": {"lumacore", "ssh-keygen"}, "mirror-verify": {"lumacore", "ssh-keygen"}, "prod-approval": {"bash"},
}

// runnable tells whether what a job calls is here. In CI it must be.
func runnable(t *testing.T, job string) bool {
	t.Helper()
	wanted := programs[job]
	if wanted == nil {
		wanted = []string{job}
	}
	for _, p := range wanted {
		if _, err := exec.LookPath(p); err != nil {
			if os.Getenv("CI") != "" {
				t.Errorf("job %s needs %s, which is not here: run it with make test-pipelines", job, p)
			}
			return false
		}
	}
	return true
}

const module = "module example.org/sum\n\ngo 1.26\n"

// fuzzed is a Go module with a fuzz test that finds, or does not.
func fuzzed(finds bool) func(r *repository) {
	return func(r *repository) {
		broken := ""
		if finds {
			broken = "\n\t\tif len(s) > 3 {\n\t\t\tt.Fatal(\"longer than three\")\n\t\t}"
		}
		r.write("tools/sum/go.mod", module)
		r.write("tools/sum/sum_test.go", "package sum\n\nimport \"testing\"\n\nfunc FuzzSum(f *testing.F) {\n\tf.Add(\"\")\n\tf.Fuzz(func(t *testing.T, s string) {"+broken+"\n\t})\n}\n")
		r.vars["FUZZTIME"] = "5s"
	}
}

// advisories is OSV-Scanner's database, in the test's own folder, with one advisory.
func advisories(r *repository) {
	options, err := osv.Write(filepath.Join(filepath.Dir(r.dir), "osv"), "npm", osv.Advisory{ID: "OSV-2026-1", Package: "left-behind", Fixed: "1.0.1"})
	if err != nil {
		r.Fatal(err)
	}
	r.vars["OSV_OPTIONS"] = options
}

func locked(version string) string {
	return `{"name": "site", "version": "1.0.0", "lockfileVersion": 3, "packages": {
  "": {"name": "site", "version": "1.0.0", "dependencies": {"left-behind": "` + version + `"}},
  "node_modules/left-behind": {"version": "` + version + `"}
}}
`
}

// token looks like one of GitLab's, and is not written out here: it would be found.
var token = "glpat-" + "x7Kq2mVd9RtL4wZs8YbN"

// mirrorOfProviders lets tofu init find the provider that make test-hosts builds.
func mirrorOfProviders(r *repository) {
	provider, err := exec.LookPath("terraform-provider-proxmox")
	if err != nil {
		r.Fatal(err)
	}
	mirror := filepath.Join(filepath.Dir(r.dir), "providers")
	folder := filepath.Join(mirror, "registry.opentofu.org/bpg/proxmox/0.111.1/linux_amd64")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		r.Fatal(err)
	}
	if err := os.Symlink(provider, filepath.Join(folder, "terraform-provider-proxmox_v0.111.1")); err != nil {
		r.Fatal(err)
	}
	rc := filepath.Join(filepath.Dir(r.dir), "tofu.rc")
	if err := os.WriteFile(rc, fmt.Appendf(nil, "provider_installation {\n  filesystem_mirror {\n    path = %q\n  }\n}\n", mirror), 0o644); err != nil {
		r.Fatal(err)
	}
	r.vars["TF_CLI_CONFIG_FILE"] = rc
	r.vars["TF_VAR_state_passphrase"] = "simulated passphrase of the state"
}

// signer is a key of image automation, whose public half main knows.
func signer(r *repository) {
	key := filepath.Join(filepath.Dir(r.dir), "key")
	if out, err := exec.CommandContext(r.Context(), "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key).CombinedOutput(); err != nil {
		r.Fatalf("%v\n%s", err, out)
	}
	public, err := os.ReadFile(key + ".pub")
	if err != nil {
		r.Fatal(err)
	}
	words := strings.Fields(string(public))
	r.write("hosts/gitlab/hooks/allowed_signers", "automation@example.org namespaces=\"git\" "+words[0]+" "+words[1]+"\n")
}

// automation commits as Flux does, signed or not.
func automation(r *repository, sign bool) {
	r.git("add", "--all")
	options := []string{
		"-c", "gpg.format=ssh", "-c", "user.signingkey=" + filepath.Join(filepath.Dir(r.dir), "key"),
		"-c", "user.name=lumacore-image-automation", "-c", "user.email=automation@example.org",
		"commit", "--quiet", "--author=lumacore-image-automation <automation@example.org>", "--message=chore(staging): update images",
	}
	if sign {
		options = append(options, "--gpg-sign")
	}
	r.git(options...)
	r.vars["CI_MERGE_REQUEST_SOURCE_BRANCH_NAME"] = "flux/staging-images"
}

func newTag(r *repository) {
	r.edit("overlays/staging/beacon/kustomization.yaml", `newTag: "1.0.0"`, `newTag: "1.0.1"`)
}

// clean is what a job needs to be green, besides the blueprint.
var clean = map[string]struct {
	main   func(r *repository)
	change func(r *repository)
}{
	"osv-scanner":      {advisories, func(r *repository) { r.write("site/package-lock.json", locked("1.0.1")) }},
	"fuzz":             {nil, fuzzed(false)},
	"tofu":             {mirrorOfProviders, nil},
	"image-automation": {signer, func(r *repository) { newTag(r); automation(r, true) }},
}

// defects are the mistakes that jobs are there for, each with what the job says of it.
var defects = []struct {
	job, mistake string
	message      string // of the commit
	plant        func(r *repository)
	want         string // expression
}{
	{"yamllint", "key twice", "", func(r *repository) { r.write("apps/notes.yaml", "---\na: 1\na: 2\n") }, `notes\.yaml(.|\n)*3:1 +error +duplication of key "a" in mapping`},
	{"shellcheck", "word that splits", "", func(r *repository) { r.write("hosts/k3s/clean.sh", "#!/bin/sh\nrm $1\n") }, `clean\.sh line 2(.|\n)*SC2086`},
	{"shfmt", "wrong indentation", "", func(r *repository) {
		r.write("hosts/k3s/clean.sh", "#!/bin/sh\nif true; then\n        echo yes\nfi\n")
	}, `clean\.sh(.|\n)*\+ +echo yes`},
	{"markdownlint", "heading skips a level", "", func(r *repository) { r.write("NOTES.md", "# Notes\n\n### Deep\n") }, `NOTES\.md:3.* MD001`},
	{"links", "leads nowhere", "", func(r *repository) { r.write("NOTES.md", "# Notes\n\n[more](apps/missing.md)\n") }, `NOTES\.md(.|\n)*apps/missing\.md.*400`},
	{"commits", "unconventional", "Did something", func(*repository) {}, `type may not be empty`},
	{"render", "resource is not there", "", func(r *repository) {
		r.edit("overlays/staging/beacon/kustomization.yaml", "resources:\n", "resources:\n  - missing.yaml\n")
	}, `does not render: overlays/staging/beacon/kustomization\.yaml:8: .*missing\.yaml`},
	{"kube-linter", "privileged container", "", func(r *repository) {
		r.edit("apps/beacon/base/deployment.yaml", "allowPrivilegeEscalation: false", "allowPrivilegeEscalation: true\n            privileged: true")
	}, `privileged`},
	{"osv-scanner", "vulnerable dependency", "", func(r *repository) { r.write("site/package-lock.json", locked("1.0.0")) }, `OSV-2026-1 .* left-behind +\| 1\.0\.0`},
	{"fuzz", "input that breaks it", "", fuzzed(true), `--- FAIL: FuzzSum(.|\n)*longer than three`},
	{"fuzz", "code that does not compile", "", func(r *repository) {
		fuzzed(false)(r)
		r.write("tools/sum/sum.go", "package sum\n\nvar broken = missing\n")
	}, `undefined: missing`},
	{"gitleaks", "leaked key", "", func(r *repository) { r.write("apps/notes.yaml", "---\ntoken: "+token+"\n") }, `RuleID: +gitlab-pat(.|\n)*apps/notes\.yaml`},
	{"lumacore-check", "image of a job without digest", "", func(r *repository) {
		r.edit(".gitlab-ci.yml", "docker.io/koalaman/shellcheck-alpine:v0.11.0@sha256:9955be09ea7f0dbf7ae942ac1f2094355bb30d96fffba0ec09f5432207544002", "docker.io/koalaman/shellcheck-alpine:v0.11.0")
	}, `images/unlisted(.|\n)*job "shellcheck" has image "docker\.io/koalaman/shellcheck-alpine:v0\.11\.0" without a digest`},
	{"lumacore-change", "production changes through a base", "", func(r *repository) {
		r.edit("apps/beacon/base/deployment.yaml", "allowPrivilegeEscalation: false", "allowPrivilegeEscalation: true")
	}, `promotion/prod-unannounced`},
	{"tofu", "unformatted", "", func(r *repository) {
		r.edit("hosts/proxmox/versions.tf", "required_version =", "required_version    =")
	}, `versions\.tf(.|\n)*-  required_version    =`},
	{"tofu", "variable that is not there", "", func(r *repository) {
		r.write("hosts/proxmox/more.tf", "output \"more\" {\n  value = var.missing\n}\n")
	}, `Reference to undeclared input variable`},
	{"image-automation", "touches prod", "", func(r *repository) {
		newTag(r)
		r.edit("overlays/prod/beacon/kustomization.yaml", `newTag: "1.0.0"`, `newTag: "1.0.1"`)
		automation(r, true)
	}, `overlays/prod/beacon/kustomization\.yaml is added, deleted or outside of overlays/staging`},
	{"image-automation", "changes more than images", "", func(r *repository) {
		r.edit("overlays/staging/beacon/kustomization.yaml", "count: 1", "count: 9")
		automation(r, true)
	}, `a line that is no image with a marker of its policy: > +count: 9`},
	{"image-automation", "unsigned", "", func(r *repository) { newTag(r); automation(r, false) }, `has no signature of a key in hosts/gitlab/hooks/allowed_signers`},
	{"mirror-candidate", "private address", "", func(r *repository) { r.write("apps/notes.yaml", "---\nnas: 192.168.178.20\n") }, `apps/notes\.yaml:2: private-address(.|\n)*blocked: nothing was published`},
	{"mirror-candidate", "what nobody can look into", "", func(r *repository) {
		if err := os.Symlink("../hosts", filepath.Join(r.dir, "apps/hosts")); err != nil {
			r.Fatal(err)
		}
	}, `apps/hosts may not be published: it is a symbolic link`},
	{"docs", "link that leads nowhere", "", func(r *repository) {
		r.edit("docs/index.md", "\n## ", "\n[more](missing.md)\n\n## ")
	}, `index\.md.*missing\.md`},
	{"mirror-docs", "shows a file that is not public", "", func(r *repository) {
		r.edit("docs/index.md", "\n## ", "\n--8<-- \"hosts/gitlab/projects.yaml\"\n\n## ")
	}, `hosts/gitlab/projects\.yaml`},
	{"mirror-gitleaks", "key that .gitallowed alone lets pass", "", func(r *repository) {
		r.write("apps/notes.yaml", "---\ntoken: "+token+"\n")
		r.write(".gitallowed", "apiVersion: lumacore.dev/v1alpha1\nkind: AllowedSecrets\nallow:\n  - fingerprint: apps/notes.yaml:gitlab-pat:2\n    path: apps/notes.yaml\n    reason: it is an example\n    ticket: HOME-1\n    owner: owner\n    expires: "+time.Now().AddDate(0, 1, 0).Format(time.DateOnly)+"\n")
	}, `RuleID: +gitlab-pat(.|\n)*apps/notes\.yaml`},
}

// jobs are those of the pipeline.
func jobs(t *testing.T) []string {
	t.Helper()
	var names []string
	for _, job := range plan(t, newRepository(t), nil) {
		names = append(names, job.Name)
	}
	slices.Sort(names)
	return names
}

// TestEveryJobIsTried: a job has a defect that turns it red, or a reason why it is not run.
func TestEveryJobIsTried(t *testing.T) {
	t.Parallel()
	// It only waits; what the others make is held by a test of its own.
	tried := map[string]bool{"prod-approval": true, "sbom": true, "sign": true, "mirror-to-github": true, "mirror-verify": true}
	for _, d := range defects {
		tried[d.job] = true
	}
	all := jobs(t)
	for _, job := range all {
		if reason := notRun[job]; tried[job] == (reason != "") {
			t.Errorf("job %s must have either a defect or a reason in notRun: %q", job, reason)
		}
	}
	for _, job := range slices.Sorted(maps.Keys(notRun)) {
		if !slices.Contains(all, job) {
			t.Errorf("the pipeline has no job %s, which notRun has", job)
		}
		t.Logf("not run: %s: %s", job, notRun[job])
	}
	for job := range tried {
		if !slices.Contains(all, job) {
			t.Errorf("the pipeline has no job %s, which defects has", job)
		}
	}
}

// ready makes a repository for a job, with what the job needs to be green on main.
func ready(t *testing.T, job string) *repository {
	t.Helper()
	if !runnable(t, job) {
		t.Skipf("not run: %s: its programs are not here (make test-pipelines)", job)
	}
	var prepare []func(r *repository)
	if f := clean[job].main; f != nil {
		prepare = append(prepare, f)
	}
	r := newRepository(t, prepare...)
	r.vars["LUMACORE_REQUIRE_CHARTS"] = "false" // no chart can be had here
	return r
}

// source are the variables of a pipeline in which a job may stop something: fuzz may be left
// in a merge request, and must be green by schedule.
func (r *repository) source(job string) []string {
	if job == "fuzz" {
		return []string{"CI_PIPELINE_SOURCE=schedule", "CI_COMMIT_BRANCH=main"}
	}
	return r.mergeRequest()
}

// ofMain are jobs that no merge request has, each with a test of its own.
var ofMain = map[string]bool{"sbom": true, "sign": true, "mirror-to-github": true, "mirror-verify": true}

// TestClean: each job is green on a repository without defects.
func TestClean(t *testing.T) {
	t.Parallel()
	// Those that need nothing of their own run as one pipeline.
	var together []string
	for _, job := range jobs(t) {
		// What waits for everything before it would run all of that.
		if _, special := clean[job]; !special && !ofMain[job] && job != "prod-approval" && notRun[job] == "" && runnable(t, job) {
			together = append(together, job)
		}
	}
	t.Run("together", func(t *testing.T) {
		t.Parallel()
		r := newRepository(t)
		r.vars["LUMACORE_REQUIRE_CHARTS"] = "false"
		r.edit("overlays/prod/beacon/kustomization.yaml", "namespace:", "# A change.\nnamespace:")
		r.commit("docs(beacon): a comment")
		output, ok := r.run(r.mergeRequest(), together...)
		for _, job := range together {
			if !regexp.MustCompile(`(?m)^ *PASS +` + regexp.QuoteMeta(job) + ` *$`).MatchString(output) {
				t.Errorf("%s is not green", job)
			}
		}
		if !ok || t.Failed() {
			t.Errorf("%s", output)
		}
	})
	for job, c := range clean {
		t.Run(job, func(t *testing.T) {
			t.Parallel()
			r := ready(t, job)
			if c.change != nil {
				c.change(r)
			}
			r.commit("feat: a change")
			if job == "image-automation" {
				r.git("reset", "--quiet", "--hard", "HEAD~1") // its own commit alone
			}
			if output, ok := r.run(r.source(job), job); !ok {
				t.Errorf("%s", output)
			}
		})
	}
}

// TestApproval: whoever starts the job is named in its log.
func TestApproval(t *testing.T) {
	t.Parallel()
	r := newRepository(t)
	r.edit("overlays/prod/beacon/kustomization.yaml", "namespace:", "# A change.\nnamespace:")
	r.commit("docs(beacon): a comment")
	r.vars["GITLAB_USER_LOGIN"] = "somebody"
	output, ok := r.local(r.mergeRequest(), "prod-approval", "--force-shell-executor", "--json-schema-validation=false")
	if !ok || !strings.Contains(output, "> approved by somebody") {
		t.Errorf("%s", output)
	}
}

// TestSigned: the SBOM names the commit and what a lock file brings, and its signature is
// that of the key, which opens with its own password alone.
func TestSigned(t *testing.T) {
	t.Parallel()
	r := ready(t, "sign")
	r.write("site/package-lock.json", locked("1.0.1"))
	r.commit("feat: a site")
	commit := strings.TrimSpace(r.git("rev-parse", "HEAD"))
	keys := filepath.Dir(r.dir)
	cosign := func(arguments ...string) (string, error) {
		cmd := exec.CommandContext(t.Context(), "cosign", arguments...)
		cmd.Dir, cmd.Env = keys, append(r.environment(), "COSIGN_PASSWORD=right")
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := cosign("generate-key-pair"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	password := func(text string) {
		if err := os.WriteFile(filepath.Join(keys, "password"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	main := []string{"CI_PIPELINE_SOURCE=push", "CI_COMMIT_BRANCH=main"}
	r.vars["COSIGN_KEY_DIR"] = keys
	r.vars["SYFT_CHECK_FOR_APP_UPDATE"] = "false"
	// sign waits for all jobs before it; here for sbom alone.
	sign := func() (string, bool) {
		return r.local(main, "sign", "--force-shell-executor", "--shell-isolation", "--json-schema-validation=false")
	}
	if output, ok := r.run(main, "sbom"); !ok {
		t.Fatalf("%s", output)
	}
	password("wrong")
	if output, ok := sign(); ok || !strings.Contains(output, "decrypt") {
		t.Errorf("with the wrong password:\n%s", output)
	}
	password("right")
	if output, ok := sign(); !ok {
		t.Fatalf("%s", output)
	}

	made := filepath.Join(keys, "state", "artifacts", "sign")
	sbom, err := os.ReadFile(filepath.Join(made, "sbom.spdx.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{commit, "left-behind"} {
		if !strings.Contains(string(sbom), want) {
			t.Errorf("the SBOM does not have %s", want)
		}
	}
	verify := []string{"verify-blob", "--key=cosign.pub", "--insecure-ignore-tlog", "--bundle=" + filepath.Join(made, "sbom.spdx.json.sigstore"), filepath.Join(made, "sbom.spdx.json")}
	if out, err := cosign(verify...); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	if err := os.WriteFile(filepath.Join(made, "sbom.spdx.json"), append(sbom, ' '), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := cosign(verify...); err == nil {
		t.Errorf("an altered SBOM is taken:\n%s", out)
	}
}

// TestDefects: each job is red where the defect is that it is there for, and says which.
func TestDefects(t *testing.T) {
	t.Parallel()
	for _, d := range defects {
		t.Run(d.job+"/"+d.mistake, func(t *testing.T) {
			t.Parallel()
			r := ready(t, d.job)
			d.plant(r)
			if d.job != "image-automation" {
				message := "feat: a change"
				if d.message != "" {
					message = d.message
				}
				r.commit(message)
			}
			output, ok := r.run(r.source(d.job), d.job)
			if ok {
				t.Fatalf("the job is green:\n%s", output)
			}
			// Lines begin with the name of the job.
			said := regexp.MustCompile(`(?m)^[a-z-]+ *> ?`).ReplaceAllString(output, "")
			if !regexp.MustCompile(d.want).MatchString(said) {
				t.Errorf("it does not say %q:\n%s", d.want, output)
			}
		})
	}
}

// TestApprovedChange: the label lets through what lumacore-change stops.
func TestApprovedChange(t *testing.T) {
	t.Parallel()
	r := ready(t, "lumacore-change")
	r.edit("apps/beacon/base/deployment.yaml", "allowPrivilegeEscalation: false", "allowPrivilegeEscalation: true")
	r.commit("feat: a change")
	r.vars["CI_MERGE_REQUEST_LABELS"] = "staging,prod-approved"
	if output, ok := r.run(r.mergeRequest(), "lumacore-change"); !ok {
		t.Errorf("%s", output)
	}
}
