package gitlab

import (
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
)

// text returns a parameter that is a text, and whether it is there.
func (r *request) text(name string) (string, bool) {
	v, ok := r.in[name].(string)
	return v, ok
}

// take copies parameters of the given names into an object, each held against what it
// may be.
func take(into, in object, forms map[string]func(any) bool) *answer {
	for _, name := range slices.Sorted(maps.Keys(forms)) {
		v, there := in[name]
		if !there {
			continue
		}
		if !forms[name](v) {
			bad := invalid("%s is invalid", name)
			if _, isText := v.(string); isText {
				bad = invalid("%s does not have a valid value", name)
			}
			return &bad
		}
		if n, ok := v.(float64); ok {
			v = int64(n)
		}
		into[name] = v
	}
	return nil
}

func flag(v any) bool { _, ok := v.(bool); return ok }

func text(v any) bool { _, ok := v.(string); return ok }

func natural(v any) bool { n, ok := v.(float64); return ok && n >= 0 }

func pattern(v any) bool {
	s, ok := v.(string)
	_, err := regexp.Compile(s)
	return ok && err == nil
}

func one(words ...string) func(any) bool {
	return func(v any) bool { s, ok := v.(string); return ok && slices.Contains(words, s) }
}

var projectForms = map[string]func(any) bool{
	"merge_method": one("merge", "rebase_merge", "ff"), "squash_option": one("never", "always", "default_on", "default_off"),
	"only_allow_merge_if_pipeline_succeeds": flag, "allow_merge_on_skipped_pipeline": flag,
	"only_allow_merge_if_all_discussions_are_resolved": flag, "remove_source_branch_after_merge": flag,
	"public_jobs": flag, "keep_latest_artifact": flag,
	"ci_pipeline_variables_minimum_override_role": one("no_one_allowed", "developer", "maintainer", "owner"),
}

func (s *Server) getProject(r *request) answer {
	out := maps.Clone(r.values)
	out["id"], out["path_with_namespace"] = r.id, r.path
	out["permissions"] = object{"project_access": object{"access_level": r.role, "notification_level": 3}, "group_access": nil}
	return answer{200, out}
}

func (s *Server) editProject(r *request) answer {
	values := maps.Clone(r.values)
	if r.values["archived"] == true {
		return message(http.StatusForbidden, "403 Forbidden")
	}
	if bad := take(values, r.in, projectForms); bad != nil {
		return *bad
	}
	if maps.Equal(values, r.values) && !slices.ContainsFunc(slices.Collect(maps.Keys(r.in)), func(k string) bool { return projectForms[k] != nil }) {
		return invalid("%s are missing, at least one parameter must be provided", strings.Join(slices.Sorted(maps.Keys(projectForms)), ", "))
	}
	r.values = values
	return s.getProject(r)
}

var levels = map[int64]string{0: "No one", 30: "Developers + Maintainers", 40: "Maintainers", 60: "Administrators"}

// level is a role that may do something to what is protected.
func (s *Server) level(number int64) object {
	return object{"id": s.id(), "access_level": number, "access_level_description": levels[number], "user_id": nil, "group_id": nil}
}

func (s *Server) branch(in object) object {
	number := func(name string) int64 {
		if n, ok := in[name].(float64); ok {
			return int64(n)
		}
		return Maintainer
	}
	force, _ := in["allow_force_push"].(bool)
	owners, _ := in["code_owner_approval_required"].(bool)
	return object{
		"id": s.id(), "name": in["name"], "allow_force_push": force, "code_owner_approval_required": owners && s.tier == Premium,
		"push_access_levels":  []any{s.level(number("push_access_level"))},
		"merge_access_levels": []any{s.level(number("merge_access_level"))},
	}
}

// shown hides what the Free tier does not show.
func (r *request) shown(tier string, list []object) []object {
	if tier == Premium {
		return list
	}
	out := make([]object, len(list))
	for i, o := range list {
		out[i] = maps.Clone(o)
		for _, key := range []string{"push_access_levels", "merge_access_levels"} {
			var shown []any
			for _, l := range o[key].([]any) {
				l := maps.Clone(l.(object))
				delete(l, "user_id")
				delete(l, "group_id")
				shown = append(shown, l)
			}
			out[i][key] = shown
		}
	}
	return out
}

func goodLevel(v any) bool {
	n, ok := v.(float64)
	return ok && levels[int64(n)] != ""
}

func (s *Server) protectBranch(r *request) answer {
	name, ok := r.text("name")
	if !ok {
		return invalid("name is missing")
	}
	if bad := take(object{}, r.in, map[string]func(any) bool{"push_access_level": goodLevel, "merge_access_level": goodLevel, "allow_force_push": flag}); bad != nil {
		return *bad
	}
	if slices.ContainsFunc(r.branches, func(b object) bool { return b["name"] == name }) {
		return message(http.StatusConflict, fmt.Sprintf("Protected branch '%s' already exists", name))
	}
	b := s.branch(r.in)
	r.branches = append(r.branches, b)
	return answer{http.StatusCreated, b}
}

// editBranch changes what the tier lets: without a licence, force pushes only.
func (s *Server) editBranch(r *request) answer {
	i := slices.IndexFunc(r.branches, func(b object) bool { return b["name"] == r.PathValue("name") })
	if i < 0 {
		return message(http.StatusNotFound, "404 Not found")
	}
	b := maps.Clone(r.branches[i])
	forms := map[string]func(any) bool{"allow_force_push": flag}
	if s.tier == Premium {
		forms["code_owner_approval_required"] = flag
		for in, key := range map[string]string{"allowed_to_push": "push_access_levels", "allowed_to_merge": "merge_access_levels"} {
			wanted, _ := r.in[in].([]any)
			changed, err := s.permit(b[key].([]any), wanted)
			if err != "" {
				return message(http.StatusUnprocessableEntity, []string{err})
			}
			b[key] = changed
		}
	}
	if bad := take(b, r.in, forms); bad != nil {
		return *bad
	}
	r.branches[i] = b
	return answer{200, b}
}

// permit changes who may, by entries with the number of one that there is, or without.
func (s *Server) permit(is, wanted []any) ([]any, string) {
	out := slices.Clone(is)
	for _, w := range wanted {
		w, _ := w.(object)
		id, _ := w["id"].(float64)
		i := slices.IndexFunc(out, func(l any) bool { return l.(object)["id"] == int64(id) })
		level, hasLevel := w["access_level"].(float64)
		switch {
		case id != 0 && i < 0:
			return nil, fmt.Sprintf("Couldn't find access level with ID=%d", int64(id))
		case id != 0 && w["_destroy"] == true:
			out = slices.Delete(out, i, i+1)
		case !hasLevel || levels[int64(level)] == "":
			return nil, "Access level is not included in the list"
		case slices.ContainsFunc(out, func(l any) bool { return l.(object)["access_level"] == int64(level) }):
			return nil, "Access level has already been taken"
		default:
			out = append(out, s.level(int64(level)))
		}
	}
	return out, ""
}

func (s *Server) protectTag(r *request) answer {
	name, ok := r.text("name")
	if !ok {
		return invalid("name is missing")
	}
	if slices.ContainsFunc(r.tags, func(t object) bool { return t["name"] == name }) {
		return message(http.StatusUnprocessableEntity, []string{"Name has already been taken"})
	}
	number := int64(Maintainer)
	if v, there := r.in["create_access_level"]; there {
		if !goodLevel(v) {
			return invalid("create_access_level does not have a valid value")
		}
		number = int64(v.(float64))
	}
	t := object{"name": name, "create_access_levels": []any{s.level(number)}}
	r.tags = append(r.tags, t)
	return answer{http.StatusCreated, t}
}

func (s *Server) editJobToken(r *request) answer {
	enabled, ok := r.in["enabled"].(bool)
	if !ok {
		return invalid("enabled is missing")
	}
	r.inbound = enabled
	return answer{http.StatusNoContent, nil}
}

var labelColor = regexp.MustCompile(`^#[0-9A-Fa-f]{3}(?:[0-9A-Fa-f]{3})?$`)

func (s *Server) createLabel(r *request) answer {
	name, ok := r.text("name")
	color, has := r.text("color")
	switch {
	case !ok:
		return invalid("name is missing")
	case !has:
		return invalid("color is missing")
	case slices.ContainsFunc(r.labels, func(l object) bool { return l["name"] == name }):
		return message(http.StatusConflict, "Label already exists")
	case !labelColor.MatchString(color):
		return message(http.StatusBadRequest, object{"color": []string{"must be a valid color code"}})
	}
	l := object{"id": s.id(), "name": name, "color": color, "text_color": "#FFFFFF", "description": r.in["description"], "priority": nil, "is_project_label": true, "subscribed": false}
	r.labels = append(r.labels, l)
	return answer{http.StatusCreated, l}
}

func (s *Server) editLabel(r *request) answer {
	i := slices.IndexFunc(r.labels, func(l object) bool {
		return l["name"] == r.PathValue("name") || fmt.Sprint(l["id"]) == r.PathValue("name")
	})
	if i < 0 || r.labels[i]["is_project_label"] != true {
		return message(http.StatusNotFound, "404 Label Not Found")
	}
	l := maps.Clone(r.labels[i])
	if bad := take(l, r.in, map[string]func(any) bool{"color": text, "description": text}); bad != nil {
		return *bad
	}
	if color, _ := l["color"].(string); !labelColor.MatchString(color) {
		return message(http.StatusBadRequest, object{"color": []string{"must be a valid color code"}})
	}
	r.labels[i] = l
	return answer{200, l}
}

// listRunners shows what a list shows of a runner; the rest is in its details.
func (s *Server) listRunners(r *request) answer {
	out := []object{}
	for _, runner := range r.runners {
		brief := object{}
		for _, key := range []string{"id", "description", "paused", "active", "is_shared", "runner_type", "name", "online", "status"} {
			brief[key] = runner[key]
		}
		out = append(out, brief)
	}
	return answer{200, out}
}

func getRunner(runner, _ object) answer { return answer{200, runner} }

func editRunner(runner, in object) answer {
	changed := maps.Clone(runner)
	bad := take(changed, in, map[string]func(any) bool{
		"tag_list":     func(v any) bool { _, ok := v.([]any); return ok },
		"run_untagged": flag, "locked": flag, "paused": flag, "access_level": one("not_protected", "ref_protected"),
	})
	if bad != nil {
		return *bad
	}
	if tags := changed["tag_list"].([]any); len(tags) == 0 && changed["run_untagged"] == false {
		return message(http.StatusBadRequest, object{"tags_list": []string{"can not be empty when runner is not allowed to pick untagged jobs"}})
	}
	maps.Copy(runner, changed)
	return answer{200, runner}
}

var mirrorForms = map[string]func(any) bool{
	"enabled": flag, "only_protected_branches": flag, "keep_divergent_refs": flag, "auth_method": one("ssh_public_key", "password"),
}

func (s *Server) createMirror(r *request) answer {
	address, ok := r.text("url")
	if !ok {
		return invalid("url is missing")
	}
	if !strings.HasPrefix(address, "https://") && !strings.HasPrefix(address, "http://") && !strings.HasPrefix(address, "ssh://") && !strings.HasPrefix(address, "git://") {
		return message(http.StatusBadRequest, object{"url": []string{"is blocked: Only allowed schemes are http, https, ssh, git"}})
	}
	shown, err := scrubbed(address)
	if err != nil {
		return message(http.StatusBadRequest, object{"url": []string{"is blocked: URI is invalid"}})
	}
	m := object{
		"id": s.id(), "url": shown, "enabled": false, "only_protected_branches": false, "keep_divergent_refs": false, "auth_method": "password",
		"update_status": "none", "last_error": nil, "last_update_at": nil, "last_update_started_at": nil, "last_successful_update_at": nil, "host_keys": []any{},
	}
	if bad := take(m, r.in, mirrorForms); bad != nil {
		return *bad
	}
	r.mirrors = append(r.mirrors, m)
	return answer{http.StatusCreated, m}
}

func (s *Server) editMirror(r *request) answer {
	i := slices.IndexFunc(r.mirrors, func(m object) bool { return fmt.Sprint(m["id"]) == r.PathValue("name") })
	if i < 0 {
		return message(http.StatusNotFound, "404 Not found")
	}
	m := maps.Clone(r.mirrors[i])
	if bad := take(m, r.in, mirrorForms); bad != nil {
		return *bad
	}
	r.mirrors[i] = m
	return answer{200, m}
}

var pushRuleForms = map[string]func(any) bool{
	"author_email_regex": pattern, "branch_name_regex": pattern, "commit_message_regex": pattern, "commit_message_negative_regex": pattern, "file_name_regex": pattern,
	"max_file_size": natural, "deny_delete_tag": flag, "member_check": flag, "prevent_secrets": flag, "commit_committer_check": flag,
	"commit_committer_name_check": flag, "reject_unsigned_commits": flag, "reject_non_dco_commits": flag,
}

// getPushRule is null for a project whose push rules were never configured. Three of the
// flags are null when they are off.
func (s *Server) getPushRule(r *request) answer {
	if r.pushRule == nil {
		return answer{200, nil}
	}
	out := maps.Clone(r.pushRule)
	for _, key := range []string{"commit_committer_check", "reject_unsigned_commits", "reject_non_dco_commits"} {
		if out[key] == false {
			out[key] = nil
		}
	}
	return answer{200, out}
}

func (s *Server) createPushRule(r *request) answer {
	if r.pushRule != nil {
		return message(http.StatusUnprocessableEntity, "Project push rule exists")
	}
	rule := object{"id": s.id(), "project_id": r.id, "created_at": "2026-01-01T00:00:00Z"}
	for name, form := range pushRuleForms {
		switch {
		case form(true):
			rule[name] = false
		case form(""):
			rule[name] = ""
		default:
			rule[name] = int64(0)
		}
	}
	if bad := take(rule, r.in, pushRuleForms); bad != nil {
		return *bad
	}
	r.pushRule = rule
	got := s.getPushRule(r)
	got.status = http.StatusCreated
	return got
}

func (s *Server) editPushRule(r *request) answer {
	if r.pushRule == nil {
		return message(http.StatusNotFound, "404 Push Rule Not Found")
	}
	rule := maps.Clone(r.pushRule)
	if bad := take(rule, r.in, pushRuleForms); bad != nil {
		return *bad
	}
	r.pushRule = rule
	return s.getPushRule(r)
}

func (s *Server) editApprovals(r *request) answer {
	changed := maps.Clone(r.approvals)
	if bad := take(changed, r.in, map[string]func(any) bool{
		"reset_approvals_on_push": flag, "disable_overriding_approvers_per_merge_request": flag,
		"merge_requests_author_approval": flag, "merge_requests_disable_committers_approval": flag,
	}); bad != nil {
		return *bad
	}
	r.approvals = changed
	return answer{http.StatusCreated, changed}
}

func (s *Server) createRule(r *request) answer {
	name, ok := r.text("name")
	required, number := r.in["approvals_required"].(float64)
	kind, _ := r.text("rule_type")
	switch {
	case !ok:
		return invalid("name is missing")
	case !number:
		return invalid("approvals_required is missing")
	case kind == "any_approver" && slices.ContainsFunc(r.rules, func(o object) bool { return o["rule_type"] == kind }):
		return message(http.StatusUnprocessableEntity, []string{"Rule type any-approver for the project already exists"})
	}
	if kind == "" {
		kind = "regular"
	}
	rule := object{"id": s.id(), "name": name, "rule_type": kind, "approvals_required": int64(required), "eligible_approvers": []any{}, "users": []any{}, "groups": []any{}, "protected_branches": []any{}}
	r.rules = append(r.rules, rule)
	return answer{http.StatusCreated, rule}
}

func (s *Server) editRule(r *request) answer {
	i := slices.IndexFunc(r.rules, func(o object) bool { return fmt.Sprint(o["id"]) == r.PathValue("name") })
	if i < 0 {
		return message(http.StatusNotFound, "404 Not found")
	}
	rule := maps.Clone(r.rules[i])
	if bad := take(rule, r.in, map[string]func(any) bool{"approvals_required": natural, "name": text}); bad != nil {
		return *bad
	}
	r.rules[i] = rule
	return answer{200, rule}
}
