package gitlab

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	gl "gitlab.com/gitlab-org/api/client-go/v2"

	"lumacore.dev/lumacore/internal/config"
	"lumacore.dev/lumacore/internal/report"
	sim "lumacore.dev/lumacore/internal/sim/gitlab"
)

// The tokens of the tests.
var tokens = map[string]sim.Token{
	"owner":    {Scopes: []string{"api"}, Role: sim.Maintainer},
	"reader":   {Scopes: []string{"read_api"}, Role: sim.Maintainer},
	"git":      {Scopes: []string{"read_repository"}, Role: sim.Maintainer},
	"junior":   {Scopes: []string{"api"}, Role: sim.Developer},
	"stranger": {Scopes: []string{"api"}},
	"old":      {Scopes: []string{"api"}, Role: sim.Maintainer, Expired: true},
}

const head = "apiVersion: lumacore.dev/v1alpha1\nkind: GitLabProjects\n"

// whole declares something of everything.
const whole = head + `
defaults:
  merge: {method: ff, squash: never, pipelinesMustSucceed: true, skippedPipelinesCount: false, threadsMustBeResolved: true, removeSourceBranch: true}
  pipelines: {public: false, keepLatestArtifact: true, variableOverride: no_one_allowed, jobTokenLimited: true}
  approvals: {required: 1, authorMayApprove: false, committersMayApprove: false, resetOnPush: true, overridePerMergeRequest: false}
  pushRules: {rejectUnsignedCommits: true, commitMessage: '^(feat|fix)', maxFileSize: 5, denyDeleteTag: true}
  branches: [{name: main, push: nobody, merge: maintainers, codeOwnerApproval: true}]
  tags: [{name: 'v*', create: maintainers}]
  labels: [{name: prod, color: '#D9534F', description: goes to production}, {name: renovate, color: '#5bc0de'}]
projects:
  - path: homelab/infra
    runners: [{description: ci, tags: [build, amd64], protected: false, locked: true}]
    mirrors: [{url: 'https://github.com/owner/copy.git', user: owner, tokenEnv: MIRROR, onlyProtectedBranches: true}]
  - path: homelab/apps
    merge: {squash: default_off}
`

func parse(t testing.TB, text string) []config.GitLabProject {
	t.Helper()
	projects, err := config.ParseGitLabProjects([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return projects
}

// start starts a simulated GitLab with the projects of the tests.
func start(t *testing.T, tier string) (*sim.Server, string) {
	t.Helper()
	s := sim.New(tier, tokens, "homelab/infra", "homelab/apps")
	s.Runner("homelab/infra", "ci")
	srv := httptest.NewServer(s.Handler())
	t.Cleanup(srv.Close)
	return s, srv.URL
}

const mirrorToken = "mirror/secret+1"

func connect(t *testing.T, url, token string) *Server {
	t.Helper()
	s, err := Connect(Options{URL: url, Token: token, MirrorToken: func(m config.GitLabMirror) (string, error) {
		if m.TokenEnv != "MIRROR" {
			return "", fmt.Errorf("%s is not set", m.TokenEnv)
		}
		return mirrorToken, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func plan(t *testing.T, s *Server, projects []config.GitLabProject) *Report {
	t.Helper()
	r, err := s.Plan(t.Context(), projects)
	if err != nil {
		t.Fatalf("%v", err)
	}
	return r
}

// lines has one change a line: what is where, and the fields.
func lines(r *Report) []string {
	out := []string{}
	for _, c := range r.Changes {
		var fields []string
		for _, f := range c.Fields {
			fields = append(fields, fmt.Sprintf("%s:%v>%v", f.Name, f.From, f.To))
		}
		out = append(out, fmt.Sprintf("%s %s %s %s", strings.TrimPrefix(c.Project, "homelab/"), c.Action, c.Object, strings.Join(fields, " ")))
	}
	return out
}

func text(t *testing.T, r *Report) string {
	t.Helper()
	var b strings.Builder
	if err := r.Text(&report.Streams{Out: &b, Err: &b}, &b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestApply plans, applies, and plans again: in the second plan there is nothing.
func TestApply(t *testing.T) {
	t.Parallel()
	projects := parse(t, whole)
	for tier, want := range map[string][]string{
		sim.Free: {
			"infra replace branch main push:maintainers>nobody",
			"infra create tag v* create:<nil>>maintainers",
			"infra update settings merge.method:merge>ff merge.squash:default_off>never merge.pipelinesMustSucceed:false>true merge.threadsMustBeResolved:false>true pipelines.public:true>false pipelines.variableOverride:developer>no_one_allowed",
			"infra create label prod color:<nil>>#d9534f description:<nil>>goes to production",
			"infra create label renovate color:<nil>>#5bc0de",
			"infra update runner ci tags:[]>[amd64 build] untagged:true>false",
			"infra create mirror https://github.com/owner/copy.git user:<nil>>owner enabled:<nil>>true onlyProtectedBranches:<nil>>true keepDivergentRefs:<nil>>false",
			"apps replace branch main push:maintainers>nobody",
			"apps create tag v* create:<nil>>maintainers",
			"apps update settings merge.method:merge>ff merge.pipelinesMustSucceed:false>true merge.threadsMustBeResolved:false>true pipelines.public:true>false pipelines.variableOverride:developer>no_one_allowed",
			"apps create label prod color:<nil>>#d9534f description:<nil>>goes to production",
			"apps create label renovate color:<nil>>#5bc0de",
		},
		sim.Premium: {
			"infra update branch main push:maintainers>nobody codeOwnerApproval:false>true",
			"infra create tag v* create:<nil>>maintainers",
			"infra create push rules pushRules.rejectUnsignedCommits:<nil>>true pushRules.commitMessage:<nil>>^(feat|fix) pushRules.maxFileSize:<nil>>5 pushRules.denyDeleteTag:<nil>>true",
			"infra update approvals approvals.committersMayApprove:true>false approvals.overridePerMergeRequest:true>false",
			"infra create approval rule approvals.required:0>1",
			"infra update settings merge.method:merge>ff merge.squash:default_off>never merge.pipelinesMustSucceed:false>true merge.threadsMustBeResolved:false>true pipelines.public:true>false pipelines.variableOverride:developer>no_one_allowed",
		},
	} {
		t.Run(tier, func(t *testing.T) {
			t.Parallel()
			gitlab, url := start(t, tier)
			s := connect(t, url, "owner")
			r := plan(t, s, projects)
			got := lines(r)
			if diff := cmp.Diff(want, got[:min(len(want), len(got))]); diff != "" {
				t.Errorf("the plan (-want +got):\n%s", diff)
			}
			for _, request := range gitlab.Requests() {
				if !strings.HasPrefix(request, "GET ") {
					t.Errorf("a plan sent %s", request)
				}
			}
			if !r.Differs() || r.Waits() {
				t.Errorf("differs %v, waits %v", r.Differs(), r.Waits())
			}
			var needs []string
			for _, n := range r.NotApplied {
				needs = append(needs, n.Project+" "+n.Object+": "+n.Reason)
			}
			wantNeeds := map[string][]string{sim.Free: {
				"homelab/infra approvals: needs Premium", "homelab/infra pushRules: needs Premium", "homelab/infra branch main: needs Premium",
				"homelab/apps approvals: needs Premium", "homelab/apps pushRules: needs Premium", "homelab/apps branch main: needs Premium",
			}}[tier]
			if diff := cmp.Diff(wantNeeds, needs); diff != "" {
				t.Errorf("not applied (-want +got):\n%s", diff)
			}
			var told []string
			if err := s.Apply(t.Context(), projects, r, func(c *Change) { told = append(told, c.Status+" "+c.Object) }); err != nil {
				t.Fatal(err)
			}
			if len(told) != len(r.Changes) || slices.ContainsFunc(told, func(s string) bool { return !strings.HasPrefix(s, Done+" ") }) {
				t.Errorf("progress: %q", told)
			}
			if !r.Verified || r.Differs() {
				t.Errorf("after apply: verified %v, differs %v", r.Verified, r.Differs())
			}
			again := plan(t, connect(t, url, "reader"), projects)
			if len(again.Changes) > 0 || again.Differs() {
				t.Errorf("the second plan is not empty: %q", lines(again))
			}
			gitlab.Requests()
			if err := s.Apply(t.Context(), projects, again, nil); err != nil || len(gitlab.Requests()) > 0 {
				t.Errorf("an empty plan is applied by doing nothing: %v", err)
			}
			if strings.Contains(text(t, r), mirrorToken) {
				t.Error("the token of the mirror is in the report")
			}
		})
	}
}

// applied starts a GitLab in the declared state.
func applied(t *testing.T, tier string, projects []config.GitLabProject) (*sim.Server, string) {
	t.Helper()
	gitlab, url := start(t, tier)
	s := connect(t, url, "owner")
	if err := s.Apply(t.Context(), projects, plan(t, s, projects), nil); err != nil {
		t.Fatal(err)
	}
	return gitlab, url
}

// send does what somebody does in the user interface.
func send(t *testing.T, method, url, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Private-Token", "owner")
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode >= 300 {
		t.Fatalf("%s %s: %s", method, url, resp.Status)
	}
}

// TestDrift: what somebody changes is shown, and apply takes it back; what somebody adds
// is shown and left alone.
func TestDrift(t *testing.T) {
	t.Parallel()
	projects := parse(t, whole)
	for tier, want := range map[string][]string{
		sim.Free: {
			"infra replace branch main push:maintainers>nobody forcePush:true>false",
			"infra replace tag v* create:developers>maintainers",
			"infra update settings merge.pipelinesMustSucceed:false>true",
			"infra update job token pipelines.jobTokenLimited:false>true",
			"infra update label prod color:#000000>#d9534f description:>goes to production",
			"infra update mirror https://github.com/owner/copy.git enabled:false>true",
		},
		sim.Premium: {
			"infra update branch main push:maintainers>nobody forcePush:true>false codeOwnerApproval:false>true",
			"infra replace tag v* create:developers>maintainers",
			"infra update push rules pushRules.rejectUnsignedCommits:false>true pushRules.commitMessage:.>^(feat|fix)",
			"infra update approvals approvals.authorMayApprove:true>false",
			"infra update approval rule approvals.required:0>1",
			"infra update settings merge.pipelinesMustSucceed:false>true",
			"infra update job token pipelines.jobTokenLimited:false>true",
			"infra update label prod color:#000000>#d9534f description:>goes to production",
			"infra update mirror https://github.com/owner/copy.git enabled:false>true",
		},
	} {
		t.Run(tier, func(t *testing.T) {
			t.Parallel()
			gitlab, url := applied(t, tier, projects)
			infra := url + "/api/v4/projects/homelab%2Finfra"
			gitlab.Set("homelab/infra", "only_allow_merge_if_pipeline_succeeds", false)
			send(t, "DELETE", infra+"/protected_branches/main", "")
			send(t, "POST", infra+"/protected_branches", `{"name": "main", "allow_force_push": true}`)
			send(t, "POST", infra+"/protected_branches", `{"name": "m*n", "push_access_level": 30}`)
			send(t, "DELETE", infra+"/protected_tags/v%2A", "")
			send(t, "POST", infra+"/protected_tags", `{"name": "v*", "create_access_level": 30}`)
			send(t, "PATCH", infra+"/job_token_scope", `{"enabled": false}`)
			send(t, "PUT", infra+"/labels/prod", `{"color": "#000000", "description": ""}`)
			send(t, "POST", infra+"/labels", `{"name": "mine", "color": "#111111"}`)
			send(t, "POST", infra+"/remote_mirrors", `{"url": "https://user:hunter2@example.org/x.git", "enabled": true}`)
			for _, id := range mirrorIDs(t, infra) {
				send(t, "PUT", fmt.Sprintf("%s/remote_mirrors/%d", infra, id), `{"enabled": false}`)
				break // the declared one; the other stays switched on
			}
			if tier == sim.Premium {
				send(t, "PUT", infra+"/push_rule", `{"reject_unsigned_commits": false, "commit_message_regex": "."}`)
				send(t, "POST", infra+"/approvals", `{"merge_requests_author_approval": true}`)
				send(t, "PUT", infra+"/approval_rules/"+ruleID(t, infra), `{"approvals_required": 0}`)
			}
			s := connect(t, url, "owner")
			r := plan(t, s, projects)
			if diff := cmp.Diff(want, lines(r)); diff != "" {
				t.Errorf("the drift (-want +got):\n%s", diff)
			}
			if err := s.Apply(t.Context(), projects, r, nil); err != nil {
				t.Fatal(err)
			}
			var left []string
			for _, n := range plan(t, s, projects).NotManaged {
				left = append(left, n.Object+": "+n.Message)
			}
			if diff := cmp.Diff([]string{
				"branch m*n: its rule is in force for main, too, and GitLab takes the most permissive one: push developers, merge maintainers",
				"label mine: ",
				"mirror https://example.org/x.git: somebody lets GitLab push the repository there",
			}, left); diff != "" {
				t.Errorf("not managed (-want +got):\n%s", diff)
			}
		})
	}
}

func client(t *testing.T, url string) *gl.Client {
	t.Helper()
	c, err := gl.NewClient("owner", gl.WithBaseURL(strings.TrimSuffix(url, "/api/v4/projects/homelab%2Finfra")))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func mirrorIDs(t *testing.T, infra string) (ids []int64) {
	t.Helper()
	list, _, err := client(t, infra).ProjectMirrors.ListProjectMirror("homelab/infra", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range list {
		ids = append(ids, m.ID)
	}
	return ids
}

func ruleID(t *testing.T, infra string) string {
	t.Helper()
	list, _, err := client(t, infra).Projects.GetProjectApprovalRules("homelab/infra", nil)
	if err != nil || len(list) == 0 {
		t.Fatalf("%v, %v", list, err)
	}
	return fmt.Sprint(list[0].ID)
}

// TestToken: what a token may not is said, with what to do, before anything is changed.
func TestToken(t *testing.T) {
	t.Parallel()
	projects := parse(t, whole)
	for name, c := range map[string]struct{ token, err, next string }{
		"unknown":   {"glpat-x", "read the version of GitLab: GitLab does not accept the token: 401 Unauthorized", "make a token with the scope api in GitLab"},
		"expired":   {"old", "read the version of GitLab: GitLab does not accept the token: Token is expired. You can either do re-authorization or token refresh.", "make a token with the scope api in GitLab"},
		"scope":     {"git", "read the version of GitLab: the token's scopes are not enough: The request requires higher privileges than provided by the access token.", "make a token with the scope api"},
		"stranger":  {"stranger", "read project homelab/infra: GitLab does not find it, or hides it from the account of the token", "see that the account of the token is a member of it"},
		"developer": {"junior", "read the push rules of homelab/infra: the account of the token may not: 403 Forbidden", "give the account of the token the role Maintainer"},
		"read only": {"reader", "the scopes of the token are read_api, which is enough to plan and not to apply; nothing was changed", "make a token with the scope api"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			gitlab, url := start(t, sim.Free)
			s := connect(t, url, c.token)
			r, err := s.Plan(t.Context(), projects)
			if err == nil {
				err = s.Apply(t.Context(), projects, r, nil)
			}
			said(t, err, c.err, c.next)
			for _, request := range gitlab.Requests() {
				if !strings.HasPrefix(request, "GET ") {
					t.Errorf("%s was sent", request)
				}
			}
		})
	}
}

// said holds an error against what it must say; next is a part of what to do.
func said(t *testing.T, err error, want, next string) {
	t.Helper()
	f, ok := errors.AsType[*report.Failure](err)
	if !ok || err.Error() != want || !strings.Contains(f.Next, next) {
		got := ""
		if ok {
			got = f.Next
		}
		t.Errorf("error %v\n next %q\nwant  %s\n next %q", err, got, want, next)
	}
}

func TestRateLimit(t *testing.T) {
	t.Parallel()
	projects := parse(t, head+"projects: [{path: homelab/apps, merge: {method: ff}}]\n")
	t.Run("waited for", func(t *testing.T) {
		t.Parallel()
		gitlab, url := start(t, sim.Free)
		var waits []time.Duration
		s, err := Connect(Options{URL: url, Token: "owner", Waiting: func(d time.Duration) { waits = append(waits, d) }})
		if err != nil {
			t.Fatal(err)
		}
		gitlab.Limit(1, 1)
		r := plan(t, s, projects)
		if !slices.Equal(waits, []time.Duration{time.Second}) {
			t.Errorf("waits %v, want one second", waits)
		}
		gitlab.Limit(2, 0) // a write, too: it was not done
		if err := s.Apply(t.Context(), projects, r, nil); err != nil || !r.Verified {
			t.Errorf("%v", err)
		}
	})
	t.Run("too long", func(t *testing.T) {
		t.Parallel()
		gitlab, url := start(t, sim.Free)
		gitlab.Limit(100, 3600)
		_, err := connect(t, url, "owner").Plan(t.Context(), projects)
		said(t, err, "read the version of GitLab: GitLab's rate limit: it asks to wait for 1h0m0s", "run the same command after that")
		if n := len(gitlab.Requests()); n != 1 {
			t.Errorf("%d requests, want 1", n)
		}
	})
	t.Run("too often", func(t *testing.T) {
		t.Parallel()
		gitlab, url := start(t, sim.Free)
		gitlab.Limit(100, 0)
		_, err := connect(t, url, "owner").Plan(t.Context(), projects)
		said(t, err, "read the version of GitLab: GitLab's rate limit: it asks to wait for 0s", "run the same command after that")
		if n := len(gitlab.Requests()); n != maxTries {
			t.Errorf("%d requests, want %d", n, maxTries)
		}
	})
	t.Run("interrupted", func(t *testing.T) {
		t.Parallel()
		gitlab, url := start(t, sim.Free)
		ctx, cancel := context.WithCancel(t.Context())
		s, err := Connect(Options{URL: url, Token: "owner", Waiting: func(time.Duration) { cancel() }})
		if err != nil {
			t.Fatal(err)
		}
		gitlab.Limit(100, 60)
		if _, err := s.Plan(ctx, projects); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v, want an interrupt", err)
		}
	})
}

// TestResume: whichever write fails, and however, the same command goes on, and in the
// end all is as declared.
func TestResume(t *testing.T) {
	t.Parallel()
	projects := parse(t, whole)
	for _, tier := range []string{sim.Free, sim.Premium} {
		for _, cut := range []bool{false, true} {
			for n := 1; n <= 20; n++ {
				t.Run(fmt.Sprintf("%s/%v/%d", tier, cut, n), func(t *testing.T) {
					t.Parallel()
					gitlab, url := start(t, tier)
					s := connect(t, url, "owner")
					r := plan(t, s, projects)
					gitlab.FailWrites(n, 1, cut)
					err := s.Apply(t.Context(), projects, r, nil)
					done, failed, rest := r.count(Done), r.count(Failed), r.count(NotReached)
					if err == nil {
						// Only the second half of a replacement is tried again.
						if done != len(r.Changes) || !r.Verified {
							t.Errorf("no error, and %d of %d done", done, len(r.Changes))
						}
						return
					}
					if failed != 1 || done+failed+rest != len(r.Changes) || r.Verified {
						t.Errorf("%d done, %d failed, %d not reached of %d", done, failed, rest, len(r.Changes))
					}
					if f, ok := errors.AsType[*report.Failure](err); !ok || !strings.Contains(f.Next, goesOn) || !strings.HasPrefix(err.Error(), fmt.Sprintf("%d of %d changes were made: ", done, len(r.Changes))) {
						t.Errorf("error %v", err)
					}
					s = connect(t, url, "owner")
					second := plan(t, s, projects)
					if len(second.Changes) > failed+rest {
						t.Errorf("%d changes are left of %d that were not made: %q", len(second.Changes), failed+rest, lines(second))
					}
					if err := s.Apply(t.Context(), projects, second, nil); err != nil {
						t.Errorf("the same command again: %v", err)
					}
				})
			}
		}
	}
}

// TestPartial: the report of a partial failure says what was made and what was not.
func TestPartial(t *testing.T) {
	t.Parallel()
	projects := parse(t, head+"projects: [{path: homelab/apps, merge: {method: ff}, tags: [{name: 'v*', create: nobody}], labels: [{name: a, color: '#000000'}, {name: b, color: '#000000'}]}]\n")
	gitlab, url := start(t, sim.Free)
	s := connect(t, url, "owner")
	r := plan(t, s, projects)
	gitlab.FailWrites(3, 100, false)
	err := s.Apply(t.Context(), projects, r, nil)
	said(t, err, "2 of 4 changes were made: create label a of homelab/apps: GitLab answers 500: 500 Internal Server Error", goesOn)
	want := `GitLab 18.6.0-ee (Enterprise Edition) at ` + url + `

homelab/apps (Free)
  + tag v*  done
      create: nobody
  ~ settings  done
      merge.method: merge → ff
  + label a  failed
      color: #000000
      create label a of homelab/apps: GitLab answers 500: 500 Internal Server Error
  + label b  not reached
      color: #000000
  not managed branch main

2 changes made, 1 failed, 1 not reached.
`
	if diff := cmp.Diff(want, text(t, r)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestUnprotected: a replacement is made whole even if somebody interrupts it, and where
// GitLab does not let it, the branch is said to be unprotected.
func TestUnprotected(t *testing.T) {
	t.Parallel()
	projects := parse(t, head+"projects: [{path: homelab/apps, branches: [{name: main, push: nobody, merge: maintainers}]}]\n")
	gitlab, url := start(t, sim.Free)
	s := connect(t, url, "owner")
	r := plan(t, s, projects)
	gitlab.FailWrites(2, 100, false)
	err := s.Apply(t.Context(), projects, r, nil)
	said(t, err, "0 of 1 changes were made: it is NOT protected now: replace branch main of homelab/apps: GitLab answers 500: 500 Internal Server Error", goesOn)
	gitlab.FailWrites(0, 0, false)
	if diff := cmp.Diff([]string{"apps create branch main push:<nil>>nobody merge:<nil>>maintainers forcePush:<nil>>false"}, lines(plan(t, s, projects))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestRefused: what GitLab refuses for what it is does not stop the rest.
func TestRefused(t *testing.T) {
	t.Parallel()
	projects := parse(t, head+"projects: [{path: homelab/infra, runners: [{description: ci, tags: [x]}], labels: [{name: a, color: '#000000'}]}]\n")
	_, url := start(t, sim.Free)
	s := connect(t, url, "owner")
	r := plan(t, s, projects)
	send(t, "POST", url+"/api/v4/projects/homelab%2Finfra/labels", `{"name": "a", "color": "#ffffff"}`)
	err := s.Apply(t.Context(), projects, r, nil)
	said(t, err, "1 of 2 changes were made: create label a of homelab/infra: GitLab refuses it (status 409): Label already exists", goesOn)
	if r.count(Done) != 1 || r.count(NotReached) != 0 {
		t.Errorf("%+v", r.Changes)
	}
}

// TestNotKept: GitLab may take a change and not keep it. That is no success.
func TestNotKept(t *testing.T) {
	t.Parallel()
	gitlab, _ := start(t, sim.Free)
	h := gitlab.Handler()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut {
			r.Method = http.MethodGet // answers as if it were done
		}
		h.ServeHTTP(w, r)
	}))
	defer srv.Close()
	projects := parse(t, head+"projects: [{path: homelab/apps, merge: {method: ff}}]\n")
	s := connect(t, srv.URL, "owner")
	r := plan(t, s, projects)
	said(t, s.Apply(t.Context(), projects, r, nil), "GitLab took the changes, and settings of homelab/apps still differs: merge.method", "see whether a group or the instance sets it")
	if r.Verified {
		t.Error("it is said to be verified")
	}
}

func TestRunners(t *testing.T) {
	t.Parallel()
	const both = head + "projects:\n  - {path: homelab/infra, runners: [{description: ci, tags: [a]}]}\n  - {path: homelab/apps, runners: [{description: ci, tags: [%s]}]}\n"
	t.Run("none", func(t *testing.T) {
		t.Parallel()
		_, url := start(t, sim.Free)
		r := plan(t, connect(t, url, "owner"), parse(t, fmt.Sprintf(both, "a")))
		if !r.Waits() || !r.Differs() || len(r.NotApplied) != 1 || r.NotApplied[0].Reason != NoRunner {
			t.Errorf("%+v", r.NotApplied)
		}
	})
	t.Run("shared", func(t *testing.T) {
		t.Parallel()
		gitlab, url := start(t, sim.Free)
		gitlab.Share("homelab/infra", "homelab/apps", gitlab.Runner("homelab/infra", "shared"))
		text := strings.ReplaceAll(both, "description: ci", "description: shared")
		s := connect(t, url, "owner")
		if got := lines(plan(t, s, parse(t, fmt.Sprintf(text, "a")))); len(got) != 1 {
			t.Errorf("one runner is changed by %q", got)
		}
		_, err := s.Plan(t.Context(), parse(t, fmt.Sprintf(text, "b")))
		said(t, err, `hosts/gitlab/projects.yaml:5: runner "shared" of homelab/apps works for homelab/infra, too, where hosts/gitlab/projects.yaml:4 declares something else`, "declare the same for both")
	})
	t.Run("two of a name", func(t *testing.T) {
		t.Parallel()
		gitlab, url := start(t, sim.Free)
		gitlab.Runner("homelab/infra", "ci")
		_, err := connect(t, url, "owner").Plan(t.Context(), parse(t, fmt.Sprintf(both, "a")))
		said(t, err, `hosts/gitlab/projects.yaml:4: project homelab/infra has 2 runners with the description "ci"`, "descriptions of their own")
	})
}

func TestMirrorToken(t *testing.T) {
	t.Parallel()
	gitlab, url := start(t, sim.Free)
	projects := parse(t, head+"projects: [{path: homelab/apps, mirrors: [{url: 'https://github.com/o/x.git', user: o, tokenEnv: OTHER}], merge: {method: ff}}]\n")
	s := connect(t, url, "owner")
	r := plan(t, s, projects)
	said(t, s.Apply(t.Context(), projects, r, nil), "hosts/gitlab/projects.yaml:3: the token of the mirror https://github.com/o/x.git: OTHER is not set", "nothing was changed")
	for _, request := range gitlab.Requests() {
		if !strings.HasPrefix(request, "GET ") {
			t.Errorf("%s was sent", request)
		}
	}
}

// TestMirrorEcho: an error of GitLab's that repeats the address of a mirror does not bring
// its token out.
func TestMirrorEcho(t *testing.T) {
	t.Parallel()
	gitlab, _ := start(t, sim.Free)
	h := gitlab.Handler()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			h.ServeHTTP(w, r)
			return
		}
		var in struct{ URL string }
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil || !strings.HasPrefix(in.URL, "https://o:mirror%2Fsecret") {
			t.Errorf("the mirror is %q (%v)", in.URL, err)
		}
		w.WriteHeader(http.StatusBadRequest)
		_ = json.NewEncoder(w).Encode(map[string]any{"message": map[string]any{"url": []string{"is blocked: " + in.URL}}})
	}))
	defer srv.Close()
	projects := parse(t, head+"projects: [{path: homelab/apps, mirrors: [{url: 'https://github.com/o/x.git', user: o, tokenEnv: MIRROR}]}]\n")
	s := connect(t, srv.URL, "owner")
	r := plan(t, s, projects)
	err := s.Apply(t.Context(), projects, r, nil)
	said(t, err, "0 of 1 changes were made: create mirror https://github.com/o/x.git of homelab/apps: GitLab refuses it (status 400): {url: [is blocked: https://o:***@github.com/o/x.git]}", goesOn)
}

// TestInterrupt: after an interrupt the rest is not reached, and the same command goes on.
func TestInterrupt(t *testing.T) {
	t.Parallel()
	projects := parse(t, whole)
	_, url := start(t, sim.Free)
	s := connect(t, url, "owner")
	ctx, cancel := context.WithCancel(t.Context())
	r := plan(t, s, projects)
	err := s.Apply(ctx, projects, r, func(*Change) { cancel() })
	if !errors.Is(err, context.Canceled) || report.ExitCode(err) != report.ExitInterrupted {
		t.Errorf("error %v", err)
	}
	if r.count(Done) != 1 || r.count(NotReached) != len(r.Changes)-1 || r.Verified {
		t.Errorf("%d done, %d not reached of %d", r.count(Done), r.count(NotReached), len(r.Changes))
	}
	second := plan(t, s, projects)
	if err := s.Apply(t.Context(), projects, second, nil); err != nil || len(second.Changes) != len(r.Changes)-1 {
		t.Errorf("the same command again: %d changes, %v", len(second.Changes), err)
	}
}

// TestPages: lists are read to their end.
func TestPages(t *testing.T) {
	t.Parallel()
	_, url := start(t, sim.Free)
	for i := range 120 {
		send(t, "POST", url+"/api/v4/projects/homelab%2Fapps/labels", fmt.Sprintf(`{"name": "label-%03d", "color": "#111111"}`, i))
	}
	r := plan(t, connect(t, url, "owner"), parse(t, head+"projects: [{path: homelab/apps, labels: [{name: label-119, color: '#111111'}]}]\n"))
	if len(r.Changes) > 0 || len(r.NotManaged) != 120 { // 119 labels, and main
		t.Errorf("changes %q, %d not managed", lines(r), len(r.NotManaged))
	}
}

// TestHostile: no answer makes it hang, follow, or fill the memory; nothing of the token
// comes out.
func TestHostile(t *testing.T) {
	t.Parallel()
	projects := parse(t, head+"projects: [{path: homelab/apps, labels: [{name: a, color: '#111111'}]}]\n")
	var elsewhere int
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere++ }))
	defer other.Close()
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		err    string
	}{
		"a web page":     {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>Sign in</html>") }, "read the version of GitLab: the answer cannot be read: invalid character '<' looking for beginning of value"},
		"another type":   {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"version": {"a": 1}}`) }, "read the version of GitLab: the answer cannot be read: json: cannot unmarshal object into Go struct field Metadata.version of type string"},
		"half an answer": {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"version": "18`) }, "read the version of GitLab: the answer cannot be read: unexpected EOF"},
		"huge": {func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, `{"version": "`)
			for range maxBody>>10 + 10 {
				fmt.Fprint(w, strings.Repeat("a", 1<<10))
			}
			fmt.Fprint(w, `"}`)
		}, "read the version of GitLab: the answer cannot be read: the answer has more than 8 MiB"},
		"elsewhere": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, other.URL+"/login?x=secret", http.StatusFound)
		}, "read the version of GitLab: GitLab sends to " + strings.TrimPrefix(other.URL, "http://") + "/login (status 302); the token is not taken along"},
		"an echo": {func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprintf(w, `{"message": "bad\u001b[2J token %s"}`, r.Header.Get("Private-Token"))
		}, `read the version of GitLab: GitLab refuses it (status 400): bad\x1b[2J token ***`},
		"no end of pages": {func(w http.ResponseWriter, r *http.Request) {
			switch {
			case strings.HasSuffix(r.URL.Path, "/metadata"):
				fmt.Fprint(w, `{"version": "18.0.0"}`)
			case strings.HasSuffix(r.URL.Path, "/apps"):
				fmt.Fprint(w, `{"id": 1, "path_with_namespace": "Homelab/Apps"}`)
			case strings.HasSuffix(r.URL.Path, "/push_rule"):
				http.NotFound(w, r)
			default:
				w.Header().Set("X-Next-Page", "1")
				fmt.Fprint(w, `[null, {"name": "main", "push_access_levels": [null]}]`)
			}
		}, "read the protected branches of homelab/apps: after page 1, GitLab names page 1 as the next"},
	} {
		t.Run(name, func(t *testing.T) {
			srv := httptest.NewServer(c.answer)
			defer srv.Close()
			_, err := connect(t, srv.URL, "hunter2-token").Plan(t.Context(), projects)
			said(t, err, c.err, "")
		})
	}
	if elsewhere > 0 {
		t.Error("a redirect was followed")
	}
}

// TestNulls: null where an object is expected is no reason to end badly.
func TestNulls(t *testing.T) {
	t.Parallel()
	projects := parse(t, whole)
	for _, answer := range []string{"null", "[null]", "{}", "[]", "[{}]"} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, answer) }))
		defer srv.Close()
		if _, err := connect(t, srv.URL, "x").Plan(t.Context(), projects); err == nil {
			t.Errorf("%s for everything is taken for a GitLab", answer)
		}
	}
	for _, suffix := range []string{"/protected_branches", "/protected_tags", "/labels", "/runners", "/remote_mirrors", "/approval_rules", "/approvals", "/job_token_scope", "homelab%2Finfra", "/runners/3"} {
		gitlab, _ := start(t, sim.Premium)
		h := gitlab.Handler()
		for _, answer := range []string{"null", "[null]"} {
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if strings.HasSuffix(r.URL.EscapedPath(), suffix) {
					fmt.Fprint(w, answer)
					return
				}
				h.ServeHTTP(w, r)
			}))
			defer srv.Close()
			_, err := connect(t, srv.URL, "owner").Plan(t.Context(), parse(t, whole))
			if f, ok := errors.AsType[*report.Failure](err); err != nil && (!ok || f.Next == "") {
				t.Errorf("%s for %s: %v", answer, suffix, err)
			}
		}
	}
}

func TestConnect(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	noCert := filepath.Join(dir, "none.pem")
	if err := os.WriteFile(noCert, []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ url, token, ca, err string }{
		{"", "x", "", `"" is no address of a GitLab`},
		{"gitlab.example.org", "x", "", `"gitlab.example.org" is no address of a GitLab`},
		{"http://gitlab.example.org", "x", "", "http://gitlab.example.org is not encrypted: the token would be for everybody to read"},
		{"http://127.0.0.1.example.org", "x", "", "http://127.0.0.1.example.org is not encrypted: the token would be for everybody to read"},
		{"ftp://gitlab.example.org", "x", "", `the address of GitLab has the scheme "ftp"`},
		{"https://me:hunter2@gitlab.example.org", "x", "", "the address of GitLab has a user in it"},
		{"https://gitlab.example.org?x", "x", "", `"https://gitlab.example.org?x" is no address of a GitLab`},
		{"https://gitlab.example.org", "", "", "this is no token of GitLab"},
		{"https://gitlab.example.org", "a\nb", "", "this is no token of GitLab"},
		{"https://gitlab.example.org", "x", noCert, noCert + " has no certificate"},
		{"https://gitlab.example.org", "x", dir + "/gone", "the certificates of --ca-file: open " + dir + "/gone: no such file or directory"},
	} {
		_, err := Connect(Options{URL: c.url, Token: c.token, CAFile: c.ca})
		if err == nil || err.Error() != c.err || report.ExitCode(err) != report.ExitUsage {
			t.Errorf("%s: error %v, want %s", c.url, err, c.err)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("a password comes out: %v", err)
		}
	}
}

// TestTLS: a certificate of an authority that nobody knows is refused, and taken with
// --ca-file.
func TestTLS(t *testing.T) {
	t.Parallel()
	gitlab, _ := start(t, sim.Free)
	srv := httptest.NewTLSServer(gitlab.Handler())
	srv.Config.ErrorLog = nil
	defer srv.Close()
	projects := parse(t, head+"projects: [{path: homelab/apps, merge: {method: merge}}]\n")
	_, err := connect(t, srv.URL, "owner").Plan(t.Context(), projects)
	if f, ok := errors.AsType[*report.Failure](err); !ok || !strings.Contains(f.Next, "--ca-file") || !strings.Contains(err.Error(), "certificate signed by unknown authority") {
		t.Errorf("error %v", err)
	}
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := Connect(Options{URL: srv.URL, Token: "owner", CAFile: ca})
	if err != nil {
		t.Fatal(err)
	}
	if r := plan(t, s, projects); len(r.Changes) > 0 {
		t.Errorf("%q", lines(r))
	}
}

func TestBaseURL(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"https://gitlab.example.org/homelab/infra.git":      "https://gitlab.example.org",
		"https://gitlab.example.org:8443/homelab/infra.git": "https://gitlab.example.org:8443",
		"https://u:p@gitlab.example.org/homelab/infra.git":  "https://gitlab.example.org",
	} {
		if got, err := BaseURL(in); err != nil || got != want {
			t.Errorf("%s: %s, %v", in, got, err)
		}
	}
	if _, err := BaseURL("git@gitlab.example.org:homelab/infra.git"); err == nil {
		t.Error("an address for SSH is taken")
	}
}

// TestAttributes holds the settings of the file against the attributes of the API, and
// those against the client's types.
func TestAttributes(t *testing.T) {
	t.Parallel()
	names := func(typ reflect.Type) map[string]bool {
		out := map[string]bool{}
		for i := range typ.NumField() {
			name, _, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ",")
			out[name] = true
		}
		return out
	}
	types := map[string][]reflect.Type{
		inProject:   {reflect.TypeFor[gl.Project](), reflect.TypeFor[gl.EditProjectOptions]()},
		inJobToken:  {reflect.TypeFor[gl.JobTokenAccessSettings]()},
		inApprovals: {reflect.TypeFor[gl.ProjectApprovals](), reflect.TypeFor[gl.ChangeApprovalConfigurationOptions]()},
		inRule:      {reflect.TypeFor[gl.ProjectApprovalRule](), reflect.TypeFor[gl.CreateProjectLevelRuleOptions]()},
		inPushRules: {reflect.TypeFor[gl.ProjectPushRules](), reflect.TypeFor[gl.AddProjectPushRuleOptions](), reflect.TypeFor[gl.EditProjectPushRuleOptions]()},
	}
	for _, s := range config.GitLabSettings {
		a, ok := attributes[s.Key]
		if !ok {
			t.Errorf("%s has no attribute", s.Key)
		}
		for _, typ := range types[a.object] {
			if !names(typ)[a.name] {
				t.Errorf("%s: %s has no %s", s.Key, typ, a.name)
			}
		}
		section, _, _ := strings.Cut(s.Key, ".")
		if (a.object == inApprovals || a.object == inRule || a.object == inPushRules) != slices.Contains(needLicence, section) {
			t.Errorf("%s: does it need Premium?", s.Key)
		}
	}
	if len(attributes) != len(config.GitLabSettings) {
		t.Errorf("%d attributes for %d settings", len(attributes), len(config.GitLabSettings))
	}
}
