package gitlab

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// GitLab's own client, by way of lumacore, talks to it in internal/gitlab: here are the
// forms that it must have, as GitLab's documentation of its API shows them.

var tokens = map[string]Token{
	"owner":  {Scopes: []string{"api"}, Role: Maintainer},
	"reader": {Scopes: []string{"read_api"}, Role: Maintainer},
	"junior": {Scopes: []string{"api"}, Role: Developer},
	"nobody": {Scopes: []string{"api"}},
	"old":    {Scopes: []string{"api"}, Role: Maintainer, Expired: true},
}

func serve(t *testing.T, tier string) (*Server, string) {
	t.Helper()
	s := New(tier, tokens, "homelab/infra")
	srv := httptest.NewServer(s.Handler())
	t.Cleanup(srv.Close)
	return s, srv.URL + "/api/v4"
}

// ask sends a request and returns what is answered, as status and text.
func ask(t *testing.T, token, method, url, body string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Private-Token", token)
	r.Header.Set("Content-Type", "application/json")
	if body != "" && !strings.HasPrefix(body, "{") {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, strings.TrimSpace(string(text))
}

// TestAnswers: status and body of requests, in order, of either tier where nothing else
// is said.
func TestAnswers(t *testing.T) {
	t.Parallel()
	const infra = "/projects/homelab%2Finfra"
	type request struct {
		token, method, path, body string
		status                    int
		want                      string // a part of the answer
	}
	both := []request{
		{"", "GET", "/metadata", "", 401, `{"message":"401 Unauthorized"}`},
		{"old", "GET", "/metadata", "", 401, `{"error":"invalid_token","error_description":"Token is expired. You can either do re-authorization or token refresh."}`},
		{"owner", "GET", "/metadata", "", 200, `"version":"18.6.0-ee"`},
		{"owner", "GET", "/nothing", "", 404, `{"error":"404 Not Found"}`},
		{"reader", "GET", "/personal_access_tokens/self", "", 200, `"scopes":["read_api"]`},
		{"owner", "GET", "/projects/homelab%2Fgone", "", 404, `{"message":"404 Project Not Found"}`},
		{"nobody", "GET", infra, "", 404, `{"message":"404 Project Not Found"}`},
		{"junior", "GET", infra, "", 200, `"access_level":30`},
		{"junior", "GET", infra + "/protected_branches", "", 403, `{"message":"403 Forbidden"}`},
		{"junior", "GET", infra + "/remote_mirrors", "", 401, `{"message":"401 Unauthorized"}`},
		{"junior", "GET", infra + "/push_rule", "", 403, `{"message":"403 Forbidden"}`},
		{"owner", "GET", "/projects/1", "", 200, `"path_with_namespace":"homelab/infra"`},
		{"reader", "PUT", infra, `{"merge_method": "ff"}`, 403, `{"error":"insufficient_scope","error_description":"The request requires higher privileges than provided by the access token.","scope":"api"}`},
		{"owner", "PUT", infra, `{"merge_method": "fast"}`, 400, `{"error":"merge_method does not have a valid value"}`},
		{"owner", "PUT", infra, `{"public_jobs": 3}`, 400, `{"error":"public_jobs is invalid"}`},
		{"owner", "PUT", infra, `{`, 400, `"error":"The provided content-type`},
		{"owner", "PUT", infra, `{"nothing": 1}`, 400, `at least one parameter must be provided`},
		{"owner", "PUT", infra, `{"merge_method": "ff"}`, 200, `"merge_method":"ff"`},
		{"owner", "POST", infra + "/protected_branches", `{}`, 400, `{"error":"name is missing"}`},
		{"owner", "POST", infra + "/protected_branches", `{"name": "main"}`, 409, `{"message":"Protected branch 'main' already exists"}`},
		{"owner", "POST", infra + "/protected_branches", `{"name": "x", "push_access_level": 35}`, 400, `{"error":"push_access_level is invalid"}`},
		{"owner", "POST", infra + "/protected_branches", `{"name": "release/*", "push_access_level": 0}`, 201, `"access_level_description":"No one"`},
		{"owner", "DELETE", infra + "/protected_branches/release%2F%2A", "", 204, ""},
		{"owner", "DELETE", infra + "/protected_branches/release%2F%2A", "", 404, `{"message":"404 Not found"}`},
		{"owner", "POST", infra + "/protected_tags", `{"name": "v*"}`, 201, `"access_level":40`},
		{"owner", "POST", infra + "/protected_tags", `{"name": "v*"}`, 422, `{"message":["Name has already been taken"]}`},
		{"owner", "POST", infra + "/labels", `{"name": "prod"}`, 400, `{"error":"color is missing"}`},
		{"owner", "POST", infra + "/labels", `{"name": "prod", "color": "red!"}`, 400, `{"message":{"color":["must be a valid color code"]}}`},
		{"owner", "POST", infra + "/labels", "name=prod&color=%23ff0000", 201, `"description":null`},
		{"owner", "POST", infra + "/labels", `{"name": "prod", "color": "#ff0000"}`, 409, `{"message":"Label already exists"}`},
		{"owner", "PUT", infra + "/labels/prod", `{"color": "#00ff00"}`, 200, `"color":"#00ff00"`},
		{"owner", "GET", infra + "/job_token_scope", "", 200, `{"inbound_enabled":true,"outbound_enabled":false}`},
		{"owner", "PATCH", infra + "/job_token_scope", `{}`, 400, `{"error":"enabled is missing"}`},
		{"owner", "PATCH", infra + "/job_token_scope", `{"enabled": false}`, 204, ""},
		{"owner", "POST", infra + "/remote_mirrors", `{"url": "file:///etc"}`, 400, `{"message":{"url":["is blocked: Only allowed schemes are http, https, ssh, git"]}}`},
		{"owner", "POST", infra + "/remote_mirrors", `{"url": "https://me:hunter2@example.org/a.git"}`, 201, `"url":"https://*****:*****@example.org/a.git"`},
		{"owner", "GET", "/runners/99", "", 404, `{"message":"404 Runner Not Found"}`},
	}
	for tier, own := range map[string][]request{
		Free: {
			{"owner", "GET", infra + "/push_rule", "", 404, `{"message":"404 Not Found"}`},
			{"owner", "GET", infra + "/approvals", "", 404, `{"message":"404 Not Found"}`},
			{"owner", "PATCH", infra + "/protected_branches/main", `{"allow_force_push": true, "code_owner_approval_required": true, "allowed_to_push": [{"access_level": 0}]}`, 200, `"code_owner_approval_required":false`},
			{"owner", "GET", infra + "/protected_branches", "", 200, `"push_access_levels":[{"access_level":40,"access_level_description":"Maintainers","id":`},
		},
		Premium: {
			{"owner", "GET", infra + "/push_rule", "", 200, "null"},
			{"owner", "PUT", infra + "/push_rule", `{"deny_delete_tag": true}`, 404, `{"message":"404 Push Rule Not Found"}`},
			{"owner", "POST", infra + "/push_rule", `{"commit_message_regex": "("}`, 400, `{"error":"commit_message_regex does not have a valid value"}`},
			{"owner", "POST", infra + "/push_rule", `{"deny_delete_tag": true}`, 201, `"reject_unsigned_commits":null`},
			{"owner", "POST", infra + "/push_rule", `{"deny_delete_tag": true}`, 422, `{"message":"Project push rule exists"}`},
			{"owner", "PATCH", infra + "/protected_branches/main", `{"allowed_to_push": [{"id": 99, "_destroy": true}]}`, 422, `{"message":["Couldn't find access level with ID=99"]}`},
			{"owner", "PATCH", infra + "/protected_branches/main", `{"allowed_to_push": [{"access_level": 40}]}`, 422, `{"message":["Access level has already been taken"]}`},
			{"owner", "PATCH", infra + "/protected_branches/main", `{"code_owner_approval_required": true, "allowed_to_push": [{"access_level": 0}]}`, 200, `"access_level_description":"No one"`},
			{"owner", "GET", infra + "/protected_branches", "", 200, `"group_id":null`},
			{"owner", "POST", infra + "/approval_rules", `{"name": "All Members", "rule_type": "any_approver", "approvals_required": 1}`, 201, `"approvals_required":1`},
			{"owner", "POST", infra + "/approval_rules", `{"name": "x", "rule_type": "any_approver", "approvals_required": 1}`, 422, `already exists`},
		},
	} {
		t.Run(tier, func(t *testing.T) {
			t.Parallel()
			_, url := serve(t, tier)
			for _, r := range append(both[:len(both):len(both)], own...) {
				resp, text := ask(t, r.token, r.method, url+r.path, r.body)
				if resp.StatusCode != r.status || !strings.Contains(text, r.want) {
					t.Errorf("%s %s %s %s: %d %s\nwant %d with %s", r.token, r.method, r.path, r.body, resp.StatusCode, text, r.status, r.want)
				}
			}
		})
	}
}

func TestPages(t *testing.T) {
	t.Parallel()
	_, url := serve(t, Free)
	labels := url + "/projects/homelab%2Finfra/labels"
	for i := range 25 {
		ask(t, "owner", "POST", labels, fmt.Sprintf(`{"name": "l%02d", "color": "#000000"}`, i))
	}
	for _, c := range []struct {
		query, next, total string
		first              string
		count              int
	}{
		{"", "2", "2", "l00", 20},
		{"?page=2", "", "2", "l20", 5},
		{"?page=3&per_page=10", "", "3", "l20", 5},
		{"?page=9", "", "2", "", 0},
		{"?per_page=1000&page=x", "", "1", "l00", 25},
	} {
		resp, text := ask(t, "owner", "GET", labels+c.query, "")
		var got []struct{ Name string }
		if err := json.Unmarshal([]byte(text), &got); err != nil {
			t.Fatal(err)
		}
		first := ""
		if len(got) > 0 {
			first = got[0].Name
		}
		h := resp.Header
		if diff := cmp.Diff([]any{c.next, c.total, c.first, c.count}, []any{h.Get("X-Next-Page"), h.Get("X-Total-Pages"), first, len(got)}); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.query, diff)
		}
		if strings.Contains(h.Get("Link"), `rel="next"`) != (c.next != "") {
			t.Errorf("%s: Link is %s", c.query, h.Get("Link"))
		}
	}
}

// TestFailures: limits and failures come when they are ordered, and state says what was
// done before a connection was cut.
func TestFailures(t *testing.T) {
	t.Parallel()
	s, url := serve(t, Free)
	labels := url + "/projects/homelab%2Finfra/labels"
	s.Limit(1, 7)
	resp, text := ask(t, "owner", "GET", labels, "")
	if resp.StatusCode != 429 || resp.Header.Get("Retry-After") != "7" || text != "Retry later" {
		t.Errorf("%d, Retry-After %s, %s", resp.StatusCode, resp.Header.Get("Retry-After"), text)
	}
	s.FailWrites(2, 1, false)
	for i, want := range []int{201, 500, 201} {
		if resp, text := ask(t, "owner", "POST", labels, fmt.Sprintf(`{"name": "l%d", "color": "#000000"}`, i)); resp.StatusCode != want {
			t.Errorf("write %d: %d %s", i, resp.StatusCode, text)
		}
	}
	s.FailWrites(1, 1, true)
	r, _ := http.NewRequestWithContext(t.Context(), "POST", labels, strings.NewReader(`{"name": "cut", "color": "#000000"}`))
	r.Header.Set("Private-Token", "owner")
	r.Header.Set("Content-Type", "application/json")
	if resp, err := http.DefaultClient.Do(r); err == nil {
		resp.Body.Close()
		t.Error("the connection was not cut")
	}
	if _, text := ask(t, "owner", "GET", labels, ""); !strings.Contains(text, `"cut"`) || strings.Contains(text, `"l1"`) {
		t.Errorf("labels: %s", text)
	}
	if got := s.Requests(); len(got) != 6 || got[0] != "GET /api/v4/projects/homelab%2Finfra/labels" {
		t.Errorf("requests %q", got)
	}
}

// TestStrangers: it serves this machine alone.
func TestStrangers(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	r := httptest.NewRequest("GET", "/api/v4/metadata", nil)
	r.RemoteAddr = "192.0.2.1:1234"
	r.Header.Set("Private-Token", "owner")
	New(Free, tokens).Handler().ServeHTTP(w, r)
	if w.Code != http.StatusForbidden {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
