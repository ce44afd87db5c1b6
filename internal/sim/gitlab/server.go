// Package gitlab simulates the part of GitLab's REST API v4 by which the projects of a
// GitLab are governed: settings, protected branches and tags, labels, push rules,
// approvals, job tokens, runners and push mirrors.
//
// Real are HTTP, pages, tokens with scopes and roles, what a licence has and what it has
// not, validation and the form of errors. There are no repositories behind it, so nothing
// is enforced: a protected branch is an entry in a list. Of the attributes of each object
// it has those that lumacore uses.
package gitlab

import (
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Version is the version of GitLab whose API this is.
const Version = "18.6.0"

// The tiers: what the licence has.
const (
	Free    = "free"    // Enterprise Edition without a licence
	Premium = "premium" // with one
)

// Roles of a token's account, in all projects.
const (
	Stranger   = 0
	Developer  = 30
	Maintainer = 40
)

// maxBody bounds what is read of a request.
const maxBody = 1 << 20

// Token is a token that the server knows.
type Token struct {
	Scopes  []string // "api", "read_api"
	Role    int      // of its account, in all projects
	Expired bool
}

// Server is the state of a GitLab. Its methods may be called while it serves.
type Server struct {
	mu       sync.Mutex
	tier     string
	tokens   map[string]Token
	projects []*project
	nextID   int64

	writes    int      // since FailWrites
	failFrom  int      // the first write that fails, from 1; 0: none
	failCount int      // how many fail
	cut       bool     // the connection is cut after the write was done, instead of a 500
	limited   int      // requests that are still turned away
	retry     int      // seconds that those are told to wait
	requests  []string // "PUT /api/v4/projects/homelab%2Finfra"
}

// project is what is kept of a project; objects are kept as they are answered.
type project struct {
	id        int64
	path      string
	values    object // attributes
	branches  []object
	tags      []object
	labels    []object
	pushRule  object // nil: never configured
	approvals object
	rules     []object
	runners   []object
	mirrors   []object
	inbound   bool // job token scope
}

type object = map[string]any

// New returns a GitLab of a tier, with the tokens and projects, which are as GitLab makes
// them: main is protected for Maintainers, and nothing else is governed.
func New(tier string, tokens map[string]Token, projects ...string) *Server {
	s := &Server{tier: tier, tokens: tokens}
	for _, path := range projects {
		p := &project{
			id: s.id(), path: path, inbound: true,
			values: object{
				"merge_method": "merge", "squash_option": "default_off", "only_allow_merge_if_pipeline_succeeds": false,
				"allow_merge_on_skipped_pipeline": nil, "only_allow_merge_if_all_discussions_are_resolved": false,
				"remove_source_branch_after_merge": true, "public_jobs": true, "keep_latest_artifact": true,
				"ci_pipeline_variables_minimum_override_role": "developer", "archived": false,
			},
			approvals: object{
				"approvers": []any{}, "approver_groups": []any{}, "approvals_before_merge": 0, "reset_approvals_on_push": true,
				"selective_code_owner_removals": false, "disable_overriding_approvers_per_merge_request": false,
				"merge_requests_author_approval": false, "merge_requests_disable_committers_approval": false, "require_reauthentication_to_approve": false,
			},
		}
		p.branches = []object{s.branch(object{"name": "main"})}
		s.projects = append(s.projects, p)
	}
	return s
}

func (s *Server) id() int64 { s.nextID++; return s.nextID }

// Runner registers a runner with a project, as a person does, and returns its number.
func (s *Server) Runner(path, description string) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := s.id()
	p := s.find(path)
	p.runners = append(p.runners, object{
		"id": id, "description": description, "paused": false, "active": true, "is_shared": false, "runner_type": "project_type", "name": nil,
		"online": true, "status": "online", "tag_list": []any{}, "run_untagged": true, "locked": true, "access_level": "not_protected", "maximum_timeout": nil,
	})
	return id
}

// Share lets a runner of a project work for another one, too.
func (s *Server) Share(from, to string, id int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.find(from).runners {
		if r["id"] == id {
			p := s.find(to)
			p.runners = append(p.runners, r)
		}
	}
}

// Set changes an attribute of a project, as somebody does in the user interface.
func (s *Server) Set(path, attribute string, value any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.find(path).values[attribute] = value
}

// FailWrites makes count writes fail, from the n-th one from now on, from 1: with status
// 500, or, if cut, done and with the connection cut instead of an answer.
func (s *Server) FailWrites(n, count int, cut bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writes, s.failFrom, s.failCount, s.cut = 0, n, count, cut
}

// Limit turns the next count requests away for their number, to come again after seconds.
func (s *Server) Limit(count, seconds int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.limited, s.retry = count, seconds
}

// Requests returns the requests since the last call: method and path.
func (s *Server) Requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.requests
	s.requests = nil
	return out
}

// find returns a project by path or number, or nil. GitLab's paths are the same in either
// case.
func (s *Server) find(id string) *project {
	i := slices.IndexFunc(s.projects, func(p *project) bool {
		return strings.EqualFold(p.path, id) || strconv.FormatInt(p.id, 10) == id
	})
	if i < 0 {
		return nil
	}
	return s.projects[i]
}

// answer is a status with the content of an answer.
type answer struct {
	status int
	body   any
}

// message is an error as GitLab writes it; what is validated has fields in it.
func message(status int, m any) answer { return answer{status, object{"message": m}} }

// invalid is an error of the parameters, which are read before anything is looked up.
func invalid(format string, args ...any) answer {
	return answer{http.StatusBadRequest, object{"error": fmt.Sprintf(format, args...)}}
}

// request is a request for a project, with the parameters in it.
type request struct {
	*http.Request
	*project
	in   object
	role int
}

// Handler serves the API to programs of this machine.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		write(w, answer{http.StatusNotFound, object{"error": "404 Not Found"}})
	})
	mux.HandleFunc("GET /api/v4/metadata", s.allowed(func(*http.Request, Token) answer {
		return answer{200, object{"version": Version + "-ee", "revision": "0000000000a", "kas": object{"enabled": false, "externalUrl": nil, "version": nil}, "enterprise": true}}
	}))
	mux.HandleFunc("GET /api/v4/personal_access_tokens/self", s.allowed(func(_ *http.Request, t Token) answer {
		return answer{200, object{"id": 1, "name": "lumacore", "revoked": false, "scopes": t.Scopes, "user_id": 2, "active": true, "expires_at": nil}}
	}))
	for pattern, f := range map[string]func(*request) answer{
		"GET ": s.getProject, "PUT ": s.editProject,
		"GET /protected_branches":           func(r *request) answer { return r.page(r.shown(s.tier, r.branches)) },
		"POST /protected_branches":          s.protectBranch,
		"PATCH /protected_branches/{name}":  s.editBranch,
		"DELETE /protected_branches/{name}": func(r *request) answer { return r.remove(&r.branches, "name") },
		"GET /protected_tags":               func(r *request) answer { return r.page(r.tags) },
		"POST /protected_tags":              s.protectTag,
		"DELETE /protected_tags/{name}":     func(r *request) answer { return r.remove(&r.tags, "name") },
		"GET /job_token_scope": func(r *request) answer {
			return answer{200, object{"inbound_enabled": r.inbound, "outbound_enabled": false}}
		},
		"PATCH /job_token_scope":        s.editJobToken,
		"GET /labels":                   func(r *request) answer { return r.page(r.labels) },
		"POST /labels":                  s.createLabel,
		"PUT /labels/{name}":            s.editLabel,
		"GET /runners":                  s.listRunners,
		"GET /remote_mirrors":           func(r *request) answer { return r.page(r.mirrors) },
		"POST /remote_mirrors":          s.createMirror,
		"PUT /remote_mirrors/{name}":    s.editMirror,
		"DELETE /remote_mirrors/{name}": func(r *request) answer { return r.remove(&r.mirrors, "id") },
		"GET /push_rule":                s.licensed(s.getPushRule),
		"POST /push_rule":               s.licensed(s.createPushRule),
		"PUT /push_rule":                s.licensed(s.editPushRule),
		"GET /approvals":                s.licensed(func(r *request) answer { return answer{200, r.approvals} }),
		"POST /approvals":               s.licensed(s.editApprovals),
		"GET /approval_rules":           s.licensed(func(r *request) answer { return r.page(r.rules) }),
		"POST /approval_rules":          s.licensed(s.createRule),
		"PUT /approval_rules/{name}":    s.licensed(s.editRule),
	} {
		method, path, _ := strings.Cut(pattern, " ")
		mux.HandleFunc(method+" /api/v4/projects/{id}"+path, s.allowed(func(r *http.Request, t Token) answer { return s.inProject(r, t, path, f) }))
	}
	for method, f := range map[string]func(object, object) answer{"GET": getRunner, "PUT": editRunner} {
		mux.HandleFunc(method+" /api/v4/runners/{runner}", s.allowed(func(r *http.Request, t Token) answer {
			in, bad := parameters(r)
			if bad != nil {
				return *bad
			}
			for _, p := range s.projects {
				for _, runner := range p.runners {
					if fmt.Sprint(runner["id"]) == r.PathValue("runner") {
						if t.Role < Maintainer {
							return message(http.StatusForbidden, "403 Forbidden - No access granted")
						}
						return f(runner, in)
					}
				}
			}
			return message(http.StatusNotFound, "404 Runner Not Found")
		}))
	}
	return mux
}

// allowed asks for the token, turns away who comes too often, and fails on request.
func (s *Server) allowed(f func(*http.Request, Token) answer) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.RemoteAddr)
		if ip := net.ParseIP(host); err != nil || ip == nil || !ip.IsLoopback() {
			write(w, message(http.StatusForbidden, "simulated: for clients of this machine alone"))
			return
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.requests = append(s.requests, r.Method+" "+r.URL.EscapedPath())
		if s.limited > 0 {
			s.limited--
			w.Header().Set("Retry-After", strconv.Itoa(s.retry))
			w.Header().Set("RateLimit-Name", "throttle_authenticated_api")
			w.WriteHeader(http.StatusTooManyRequests)
			fmt.Fprint(w, "Retry later\n")
			return
		}
		token, bad := s.token(r)
		if bad != nil {
			write(w, *bad)
			return
		}
		if r.Method != http.MethodGet {
			s.writes++
			if s.failFrom > 0 && s.writes >= s.failFrom && s.writes < s.failFrom+s.failCount {
				if s.cut {
					f(r, token)
					panic(http.ErrAbortHandler)
				}
				write(w, message(http.StatusInternalServerError, "500 Internal Server Error"))
				return
			}
		}
		a := f(r, token)
		if list, ok := a.body.([]object); ok {
			a.body = paginate(w, r, list)
		}
		write(w, a)
	}
}

// token returns the token of a request, or what is wrong with it.
func (s *Server) token(r *http.Request) (Token, *answer) {
	got := r.Header.Get("Private-Token")
	if got == "" {
		got = strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	}
	for _, known := range slices.Sorted(maps.Keys(s.tokens)) {
		if subtle.ConstantTimeCompare([]byte(got), []byte(known)) != 1 {
			continue
		}
		t := s.tokens[known]
		if t.Expired {
			return t, &answer{http.StatusUnauthorized, object{"error": "invalid_token", "error_description": "Token is expired. You can either do re-authorization or token refresh."}}
		}
		if slices.Contains(t.Scopes, "api") || slices.Contains(t.Scopes, "read_api") && r.Method == http.MethodGet || strings.HasSuffix(r.URL.Path, "/personal_access_tokens/self") {
			return t, nil
		}
		scope := "api"
		if r.Method == http.MethodGet {
			scope = "api read_api"
		}
		return t, &answer{http.StatusForbidden, object{"error": "insufficient_scope", "error_description": "The request requires higher privileges than provided by the access token.", "scope": scope}}
	}
	bad := message(http.StatusUnauthorized, "401 Unauthorized")
	return Token{}, &bad
}

// inProject looks the project up, and whether the account may administrate it.
func (s *Server) inProject(r *http.Request, t Token, path string, f func(*request) answer) answer {
	in, bad := parameters(r)
	if bad != nil {
		return *bad
	}
	p := s.find(r.PathValue("id"))
	if p == nil || t.Role == Stranger {
		return message(http.StatusNotFound, "404 Project Not Found")
	}
	if everybody := r.Method == http.MethodGet && (path == "" || path == "/labels"); t.Role < Maintainer && !everybody {
		if strings.HasPrefix(path, "/remote_mirrors") {
			return message(http.StatusUnauthorized, "401 Unauthorized")
		}
		return message(http.StatusForbidden, "403 Forbidden")
	}
	return f(&request{Request: r, project: p, in: in, role: t.Role})
}

// licensed hides a route that the licence does not have.
func (s *Server) licensed(f func(*request) answer) func(*request) answer {
	return func(r *request) answer {
		if s.tier != Premium {
			return message(http.StatusNotFound, "404 Not Found")
		}
		return f(r)
	}
}

// parameters are those of the body, as JSON or as a form.
func parameters(r *http.Request) (object, *answer) {
	in := object{}
	if r.Method == http.MethodGet || r.Method == http.MethodDelete {
		return in, nil
	}
	r.Body = http.MaxBytesReader(nil, r.Body, maxBody)
	if strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") {
		dec := json.NewDecoder(r.Body)
		if err := dec.Decode(&in); err != nil {
			bad := invalid("The provided content-type 'application/json' and body are not valid: %v", err)
			return nil, &bad
		}
		return in, nil
	}
	if err := r.ParseForm(); err != nil {
		bad := invalid("%v", err)
		return nil, &bad
	}
	for name, values := range r.PostForm {
		in[name] = values[0]
	}
	return in, nil
}

func write(w http.ResponseWriter, a answer) {
	if a.status == http.StatusNoContent {
		w.WriteHeader(a.status)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(a.status)
	_ = json.NewEncoder(w).Encode(a.body) // the client may have gone
}

// paginate returns the page that is asked for, and says where the others are
// (https://docs.gitlab.com/api/rest/#pagination).
func paginate(w http.ResponseWriter, r *http.Request, list []object) []object {
	number := func(name string, otherwise, most int) int {
		n, err := strconv.Atoi(r.URL.Query().Get(name))
		if err != nil || n < 1 {
			return otherwise
		}
		return min(n, most)
	}
	size := number("per_page", 20, 100)
	page := number("page", 1, 1<<20)
	pages := max(1, (len(list)+size-1)/size)
	link := func(page int, rel string) string {
		q := r.URL.Query()
		q.Set("page", strconv.Itoa(page))
		q.Set("per_page", strconv.Itoa(size))
		return fmt.Sprintf("<http://%s%s?%s>; rel=%q", r.Host, r.URL.EscapedPath(), q.Encode(), rel)
	}
	links := []string{link(1, "first"), link(pages, "last")}
	next, prev := "", ""
	if page < pages {
		next = strconv.Itoa(page + 1)
		links = append([]string{link(page+1, "next")}, links...)
	}
	if page > 1 {
		prev = strconv.Itoa(page - 1)
	}
	for name, value := range map[string]string{
		"Link": strings.Join(links, ", "), "X-Next-Page": next, "X-Prev-Page": prev, "X-Page": strconv.Itoa(page),
		"X-Per-Page": strconv.Itoa(size), "X-Total": strconv.Itoa(len(list)), "X-Total-Pages": strconv.Itoa(pages),
	} {
		w.Header().Set(name, value)
	}
	from := min((page-1)*size, len(list))
	return list[from:min(from+size, len(list))]
}

// page is a list of which a page will be taken.
func (r *request) page(list []object) answer {
	if list == nil {
		list = []object{}
	}
	return answer{200, list}
}

// remove deletes the object of the path from a list.
func (r *request) remove(list *[]object, key string) answer {
	i := slices.IndexFunc(*list, func(o object) bool { return fmt.Sprint(o[key]) == r.PathValue("name") })
	if i < 0 {
		return message(http.StatusNotFound, "404 Not found")
	}
	*list = slices.Delete(slices.Clone(*list), i, i+1)
	return answer{http.StatusNoContent, nil}
}

// scrubbed is an address without who signs in there.
func scrubbed(address string) (string, error) {
	u, err := url.Parse(address)
	if err != nil {
		return "", err
	}
	secret := u.User != nil
	u.User = nil
	if secret {
		return strings.Replace(u.String(), "://", "://*****:*****@", 1), nil
	}
	return u.String(), nil
}
