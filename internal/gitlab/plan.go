package gitlab

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	gl "gitlab.com/gitlab-org/api/client-go/v2"

	"lumacore.dev/lumacore/internal/config"
	"lumacore.dev/lumacore/internal/report"
)

// Plan reads the projects and says how they differ from what is declared. It changes
// nothing; a token with the scope read_api is enough. Its errors are [*report.Failure].
func (s *Server) Plan(ctx context.Context, projects []config.GitLabProject) (*Report, error) {
	r := &Report{
		TypeMeta: report.Meta(Kind), URL: s.url, Projects: []Project{},
		Changes: []*Change{}, NotApplied: []NotApplied{}, NotManaged: []NotManaged{}, Notes: []Note{},
	}
	meta, resp, err := s.api.Metadata.GetMetadata(gl.WithContext(ctx))
	if err := some(s, "read the version of GitLab", meta, resp, err); err != nil {
		return nil, err
	}
	r.Version, r.Edition = meta.Version, "Community"
	if meta.Enterprise {
		r.Edition = "Enterprise"
	}
	runners := map[int64]sharedRunner{}
	for _, want := range projects {
		p := &planner{Server: s, ctx: ctx, want: want, report: r, runners: runners}
		if err := p.project(); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// planner plans one project.
type planner struct {
	*Server
	ctx      context.Context
	want     config.GitLabProject
	report   *Report
	licensed bool
	runners  map[int64]sharedRunner // of the projects before
}

// sharedRunner is what a project declares of a runner, which is the same for all projects
// that it works for.
type sharedRunner struct {
	project string
	want    config.GitLabRunner
}

func (p *planner) with() gl.RequestOptionFunc { return gl.WithContext(p.ctx) }

func (p *planner) doing(what string) string { return fmt.Sprintf("read %s of %s", what, p.want.Path) }

// change adds a change, if there is something to change.
func (p *planner) change(object, action string, fields []Field, do func(*attempt) error) {
	if len(fields) > 0 {
		p.report.Changes = append(p.report.Changes, &Change{Project: p.want.Path, Object: object, Action: action, Fields: fields, Status: Planned, make: do})
	}
}

func (p *planner) notApplied(object, reason string, fields []string, format string, args ...any) {
	if fields == nil {
		fields = []string{}
	}
	p.report.NotApplied = append(p.report.NotApplied, NotApplied{p.want.Path, object, fields, reason, fmt.Sprintf(format, args...)})
}

func (p *planner) notManaged(object, message string) {
	p.report.NotManaged = append(p.report.NotManaged, NotManaged{p.want.Path, object, message})
}

// project plans in the order in which changes are safe: first what protects, then what
// relies on it. A mirror comes last, for it may push protected branches only.
func (p *planner) project() error {
	got, resp, err := p.api.Projects.GetProject(p.want.Path, nil, p.with())
	if err := some(p.Server, "read project "+p.want.Path, got, resp, err); err != nil {
		return err
	}
	if !strings.EqualFold(got.PathWithNamespace, p.want.Path) {
		return report.Refuse("see that the address is GitLab's, and that the project has not moved", "%s: asked for project %s, GitLab answers with %q", p.want.Location, p.want.Path, p.clean(got.PathWithNamespace))
	}
	if got.Archived {
		return report.Refuse("take it out of "+config.GitLabFile+", or unarchive it in GitLab", "%s: project %s is archived and cannot be changed", p.want.Location, p.want.Path)
	}
	// The one sign of the licence that every Maintainer can see
	// (https://docs.gitlab.com/api/project_push_rules/): without it there are no push
	// rules. GitLab says 403 first to who may not administrate the project.
	rules, resp, err := p.api.Projects.GetProjectPushRules(p.want.Path, p.with())
	switch {
	case err == nil:
		p.licensed = true
	case resp == nil || resp.Response == nil || resp.StatusCode != http.StatusNotFound:
		return p.explain(p.doing("the push rules"), resp, err)
	}
	tier := "Free"
	if p.licensed {
		tier = "Premium"
	}
	p.report.Projects = append(p.report.Projects, Project{p.want.Path, tier})
	p.needPremium()
	for _, step := range []func() error{
		p.branches, p.tags,
		func() error { return p.pushRules(rules) }, p.approvals,
		func() error { return p.settings(got) }, p.jobToken,
		p.labels, p.runnersOf, p.mirrors,
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// needPremium names what is declared and not in the licence.
func (p *planner) needPremium() {
	if p.licensed {
		return
	}
	const message = "needs GitLab Premium"
	for _, section := range needLicence {
		var keys []string
		for _, s := range config.GitLabSettings {
			if _, declared := p.want.Settings[s.Key]; declared && strings.HasPrefix(s.Key, section+".") {
				keys = append(keys, s.Key)
			}
		}
		if len(keys) > 0 {
			p.notApplied(section, NeedsPremium, keys, message)
		}
	}
	for _, b := range p.want.Branches {
		if b.CodeOwnerApproval {
			p.notApplied("branch "+b.Name, NeedsPremium, []string{"codeOwnerApproval"}, message)
		}
	}
}

// roles by the number that GitLab has for them.
var roles = map[gl.AccessLevelValue]string{gl.NoPermissions: "nobody", gl.DeveloperPermissions: "developers", gl.MaintainerPermissions: "maintainers", 60: "administrators"}

func level(role string) *gl.AccessLevelValue {
	for number, name := range roles {
		if name == role {
			return gl.Ptr(number)
		}
	}
	return nil // not one of config.GitLabRoles
}

// access is one of those who may do something to a branch or tag.
type access struct {
	id                    int64
	level                 gl.AccessLevelValue
	user, group, deployer int64
}

func (a access) String() string {
	switch {
	case a.user != 0:
		return fmt.Sprintf("user %d", a.user)
	case a.group != 0:
		return fmt.Sprintf("group %d", a.group)
	case a.deployer != 0:
		return fmt.Sprintf("deploy key %d", a.deployer)
	case roles[a.level] != "":
		return roles[a.level]
	}
	return fmt.Sprintf("level %d", a.level)
}

// who names all, "nobody" if there is none.
func who(list []access) string {
	var names []string
	for _, a := range list {
		names = append(names, a.String())
	}
	if len(names) == 0 {
		return "nobody"
	}
	slices.Sort(names)
	return strings.Join(slices.Compact(names), ", ")
}

func ofBranch(list []*gl.BranchAccessDescription) (out []access) {
	for _, a := range list {
		if a != nil {
			out = append(out, access{a.ID, a.AccessLevel, a.UserID, a.GroupID, a.DeployKeyID})
		}
	}
	return out
}

func (p *planner) branches() error {
	list, err := all(p.Server, "the protected branches of "+p.want.Path, func(o gl.ListOptions) ([]*gl.ProtectedBranch, *gl.Response, error) {
		return p.api.ProtectedBranches.ListProtectedBranches(p.want.Path, &gl.ListProtectedBranchesOptions{ListOptions: o}, p.with())
	})
	if err != nil {
		return err
	}
	for _, want := range p.want.Branches {
		i := slices.IndexFunc(list, func(b *gl.ProtectedBranch) bool { return b.Name == want.Name })
		if i < 0 {
			fields := []Field{{"push", nil, want.Push}, {"merge", nil, want.Merge}, {"forcePush", nil, want.ForcePush}}
			if p.licensed {
				fields = append(fields, Field{"codeOwnerApproval", nil, want.CodeOwnerApproval})
			}
			p.change("branch "+want.Name, Create, fields, func(a *attempt) error { return a.protectBranch(want, p.licensed) })
			continue
		}
		p.branch(want, list[i])
	}
	for _, is := range list {
		if slices.ContainsFunc(p.want.Branches, func(b config.GitLabBranch) bool { return b.Name == is.Name }) {
			continue
		}
		message := ""
		for _, b := range p.want.Branches {
			// GitLab takes the most permissive of all rules that a branch matches
			// (https://docs.gitlab.com/user/project/repository/branches/protected/).
			if matches(is.Name, b.Name) {
				message = "its rule is in force for " + b.Name + ", too, and GitLab takes the most permissive one: push " + who(ofBranch(is.PushAccessLevels)) + ", merge " + who(ofBranch(is.MergeAccessLevels))
			}
		}
		p.notManaged("branch "+is.Name, message)
	}
	return nil
}

// matches tells whether a branch, or the name of a rule, is among those that a rule is for.
func matches(rule, name string) bool {
	re, err := regexp.Compile("^" + strings.ReplaceAll(regexp.QuoteMeta(rule), `\*`, ".*") + "$")
	return err == nil && re.MatchString(name)
}

func (p *planner) branch(want config.GitLabBranch, is *gl.ProtectedBranch) {
	var fields []Field
	push, merge := ofBranch(is.PushAccessLevels), ofBranch(is.MergeAccessLevels)
	if w := who(push); w != want.Push {
		fields = append(fields, Field{"push", w, want.Push})
	}
	if w := who(merge); w != want.Merge {
		fields = append(fields, Field{"merge", w, want.Merge})
	}
	levels := len(fields) > 0
	if is.AllowForcePush != want.ForcePush {
		fields = append(fields, Field{"forcePush", is.AllowForcePush, want.ForcePush})
	}
	if p.licensed && is.CodeOwnerApprovalRequired != want.CodeOwnerApproval {
		fields = append(fields, Field{"codeOwnerApproval", is.CodeOwnerApprovalRequired, want.CodeOwnerApproval})
	}
	if levels && !p.licensed {
		// Without a licence, GitLab takes no change of who may push and merge.
		p.change("branch "+want.Name, Replace, fields, func(a *attempt) error {
			resp, err := a.api.ProtectedBranches.UnprotectRepositoryBranches(a.project, want.Name, a.with())
			if err := a.deleted(resp, err); err != nil {
				return err
			}
			return a.again(func(a *attempt) error { return a.protectBranch(want, false) })
		})
		return
	}
	p.change("branch "+want.Name, Update, fields, func(a *attempt) error {
		o := &gl.UpdateProtectedBranchOptions{AllowForcePush: gl.Ptr(want.ForcePush)}
		if p.licensed {
			o.CodeOwnerApprovalRequired = gl.Ptr(want.CodeOwnerApproval)
			o.AllowedToPush, o.AllowedToMerge = permissions(push, want.Push), permissions(merge, want.Merge)
		}
		_, resp, err := a.api.ProtectedBranches.UpdateProtectedBranch(a.project, want.Name, o, a.with())
		return a.explain(resp, err)
	})
}

// permissions are what turns those who may into one role; nil for nothing.
func permissions(is []access, want string) *[]*gl.BranchPermissionOptions {
	if who(is) == want && len(is) > 0 {
		return nil
	}
	var out []*gl.BranchPermissionOptions
	kept := false
	for _, a := range is {
		if !kept && a.String() == want {
			kept = true
			continue
		}
		out = append(out, &gl.BranchPermissionOptions{ID: gl.Ptr(a.id), Destroy: gl.Ptr(true)})
	}
	if !kept {
		out = append(out, &gl.BranchPermissionOptions{AccessLevel: level(want)})
	}
	return &out
}

func (p *planner) tags() error {
	list, err := all(p.Server, "the protected tags of "+p.want.Path, func(o gl.ListOptions) ([]*gl.ProtectedTag, *gl.Response, error) {
		return p.api.ProtectedTags.ListProtectedTags(p.want.Path, &gl.ListProtectedTagsOptions{ListOptions: o}, p.with())
	})
	if err != nil {
		return err
	}
	for _, want := range p.want.Tags {
		i := slices.IndexFunc(list, func(t *gl.ProtectedTag) bool { return t.Name == want.Name })
		if i < 0 {
			p.change("tag "+want.Name, Create, []Field{{"create", nil, want.Create}}, func(a *attempt) error { return a.protectTag(want) })
			continue
		}
		var is []access
		for _, a := range list[i].CreateAccessLevels {
			if a != nil {
				is = append(is, access{a.ID, a.AccessLevel, a.UserID, a.GroupID, a.DeployKeyID})
			}
		}
		if w := who(is); w != want.Create {
			// GitLab has no request that changes a protected tag.
			p.change("tag "+want.Name, Replace, []Field{{"create", w, want.Create}}, func(a *attempt) error {
				resp, err := a.api.ProtectedTags.UnprotectRepositoryTags(a.project, want.Name, a.with())
				if err := a.deleted(resp, err); err != nil {
					return err
				}
				return a.again(func(a *attempt) error { return a.protectTag(want) })
			})
		}
	}
	for _, is := range list {
		if !slices.ContainsFunc(p.want.Tags, func(t config.GitLabTag) bool { return t.Name == is.Name }) {
			p.notManaged("tag "+is.Name, "")
		}
	}
	return nil
}

func (p *planner) pushRules(is *gl.ProjectPushRules) error {
	if !p.licensed {
		return nil
	}
	var got any
	action := Create
	if is != nil && is.ID != 0 {
		got, action = is, Update
	}
	fields, send, err := differing(p.want.Settings, inPushRules, got)
	if err != nil {
		return err
	}
	p.change(inPushRules, action, fields, func(a *attempt) error {
		if action == Create {
			o, err := options[gl.AddProjectPushRuleOptions](send)
			if err != nil {
				return err
			}
			_, resp, err := a.api.Projects.AddProjectPushRule(a.project, o, a.with())
			return a.explain(resp, err)
		}
		o, err := options[gl.EditProjectPushRuleOptions](send)
		if err != nil {
			return err
		}
		_, resp, err := a.api.Projects.EditProjectPushRule(a.project, o, a.with())
		return a.explain(resp, err)
	})
	return nil
}

// declares tells whether a setting of an object is declared.
func (p *planner) declares(object string) bool {
	for key := range p.want.Settings {
		if attributes[key].object == object {
			return true
		}
	}
	return false
}

func (p *planner) approvals() error {
	if p.licensed && p.declares(inApprovals) {
		got, resp, err := p.api.Projects.GetApprovalConfiguration(p.want.Path, p.with())
		if err := some(p.Server, p.doing("the settings of approvals"), got, resp, err); err != nil {
			return err
		}
		fields, send, err := differing(p.want.Settings, inApprovals, got)
		if err != nil {
			return err
		}
		p.change(inApprovals, Update, fields, func(a *attempt) error {
			o, err := options[gl.ChangeApprovalConfigurationOptions](send)
			if err != nil {
				return err
			}
			_, resp, err := a.api.Projects.ChangeApprovalConfiguration(a.project, o, a.with())
			return a.explain(resp, err)
		})
	}
	if !p.licensed || !p.declares(inRule) {
		return nil
	}
	rules, err := all(p.Server, "the approval rules of "+p.want.Path, func(o gl.ListOptions) ([]*gl.ProjectApprovalRule, *gl.Response, error) {
		return p.api.Projects.GetProjectApprovalRules(p.want.Path, &gl.GetProjectApprovalRulesListsOptions{ListOptions: o}, p.with())
	})
	if err != nil {
		return err
	}
	// The rule of everybody, which each project has once, or not yet: then nobody must
	// approve.
	var own *gl.ProjectApprovalRule
	for _, rule := range rules {
		if rule.RuleType == "any_approver" {
			own = rule
		} else {
			p.notManaged("approval rule "+rule.Name, "")
		}
	}
	got := any(&gl.ProjectApprovalRule{})
	if own != nil {
		got = own
	}
	fields, _, err := differing(p.want.Settings, inRule, got)
	if err != nil {
		return err
	}
	required, _ := p.want.Settings["approvals.required"].(int64)
	action := Update
	if own == nil {
		action = Create
	}
	p.change(inRule, action, fields, func(a *attempt) error {
		if own == nil {
			_, resp, err := a.api.Projects.CreateProjectApprovalRule(a.project, &gl.CreateProjectLevelRuleOptions{
				Name: gl.Ptr("All Members"), RuleType: gl.Ptr("any_approver"), ApprovalsRequired: gl.Ptr(required),
			}, a.with())
			return a.explain(resp, err)
		}
		_, resp, err := a.api.Projects.UpdateProjectApprovalRule(a.project, own.ID, &gl.UpdateProjectLevelRuleOptions{ApprovalsRequired: gl.Ptr(required)}, a.with())
		return a.explain(resp, err)
	})
	return nil
}

func (p *planner) settings(got *gl.Project) error {
	fields, send, err := differing(p.want.Settings, inProject, got)
	if err != nil {
		return err
	}
	p.change(inProject, Update, fields, func(a *attempt) error {
		o, err := options[gl.EditProjectOptions](send)
		if err != nil {
			return err
		}
		_, resp, err := a.api.Projects.EditProject(a.project, o, a.with())
		return a.explain(resp, err)
	})
	return nil
}

func (p *planner) jobToken() error {
	if !p.declares(inJobToken) {
		return nil
	}
	got, resp, err := p.api.JobTokenScope.GetProjectJobTokenAccessSettings(p.want.Path, p.with())
	if err := some(p.Server, p.doing("the scope of job tokens"), got, resp, err); err != nil {
		return err
	}
	fields, _, err := differing(p.want.Settings, inJobToken, got)
	if err != nil {
		return err
	}
	limited, _ := p.want.Settings["pipelines.jobTokenLimited"].(bool)
	p.change(inJobToken, Update, fields, func(a *attempt) error {
		resp, err := a.api.JobTokenScope.PatchProjectJobTokenAccessSettings(a.project, &gl.PatchProjectJobTokenAccessSettingsOptions{Enabled: limited}, a.with())
		return a.explain(resp, err)
	})
	return nil
}

func (p *planner) labels() error {
	list, err := all(p.Server, "the labels of "+p.want.Path, func(o gl.ListOptions) ([]*gl.Label, *gl.Response, error) {
		return p.api.Labels.ListLabels(p.want.Path, &gl.ListLabelsOptions{ListOptions: o}, p.with())
	})
	if err != nil {
		return err
	}
	for _, want := range p.want.Labels {
		i := slices.IndexFunc(list, func(l *gl.Label) bool { return l.Name == want.Name })
		switch {
		case i < 0:
			fields := []Field{{"color", nil, want.Color}}
			if want.Description != "" {
				fields = append(fields, Field{"description", nil, want.Description})
			}
			p.change("label "+want.Name, Create, fields, func(a *attempt) error {
				_, resp, err := a.api.Labels.CreateLabel(a.project, &gl.CreateLabelOptions{Name: gl.Ptr(want.Name), Color: gl.Ptr(want.Color), Description: gl.Ptr(want.Description)}, a.with())
				return a.explain(resp, err)
			})
		case !list[i].IsProjectLabel:
			p.notManaged("label "+want.Name, "it belongs to the group, and a project cannot have one of that name besides")
		default:
			var fields []Field
			if is := strings.ToLower(list[i].Color); is != want.Color {
				fields = append(fields, Field{"color", is, want.Color})
			}
			if list[i].Description != want.Description {
				fields = append(fields, Field{"description", list[i].Description, want.Description})
			}
			id := list[i].ID
			p.change("label "+want.Name, Update, fields, func(a *attempt) error {
				_, resp, err := a.api.Labels.UpdateLabel(a.project, id, &gl.UpdateLabelOptions{Color: gl.Ptr(want.Color), Description: gl.Ptr(want.Description)}, a.with())
				return a.explain(resp, err)
			})
		}
	}
	for _, is := range list {
		if is.IsProjectLabel && !slices.ContainsFunc(p.want.Labels, func(l config.GitLabLabel) bool { return l.Name == is.Name }) {
			p.notManaged("label "+is.Name, "")
		}
	}
	return nil
}

func (p *planner) runnersOf() error {
	list, err := all(p.Server, "the runners of "+p.want.Path, func(o gl.ListOptions) ([]*gl.Runner, *gl.Response, error) {
		return p.api.Runners.ListProjectRunners(p.want.Path, &gl.ListProjectRunnersOptions{ListOptions: o, Type: gl.Ptr("project_type")}, p.with())
	})
	if err != nil {
		return err
	}
	for _, want := range p.want.Runners {
		var found []*gl.Runner
		for _, is := range list {
			if is.Description == want.Description {
				found = append(found, is)
			}
		}
		object := "runner " + want.Description
		switch len(found) {
		case 0:
			p.notApplied(object, NoRunner, nil, "the project has no runner with this description; make one in GitLab under Settings, CI/CD, Runners, and run the command again")
			continue
		case 1:
		default:
			return report.Refuse("give them descriptions of their own in GitLab", "%s: project %s has %d runners with the description %q", want.Location, p.want.Path, len(found), clean(want.Description))
		}
		if err := p.runner(object, want, found[0].ID); err != nil {
			return err
		}
	}
	for _, is := range list {
		if !slices.ContainsFunc(p.want.Runners, func(r config.GitLabRunner) bool { return r.Description == is.Description }) {
			p.notManaged("runner "+is.Description, "")
		}
	}
	return nil
}

func (p *planner) runner(object string, want config.GitLabRunner, id int64) error {
	tags := slices.Sorted(slices.Values(want.Tags))
	if before, shared := p.runners[id]; shared {
		b := before.want
		if b.Untagged != want.Untagged || b.Protected != want.Protected || b.Locked != want.Locked || !slices.Equal(slices.Sorted(slices.Values(b.Tags)), tags) {
			return report.Refuse("declare the same for both, or make a runner for each project", "%s: runner %q of %s works for %s, too, where %s declares something else", want.Location, clean(want.Description), p.want.Path, before.project, b.Location)
		}
		return nil
	}
	p.runners[id] = sharedRunner{p.want.Path, want}
	is, resp, err := p.api.Runners.GetRunnerDetails(id, p.with())
	if err := some(p.Server, p.doing(object), is, resp, err); err != nil {
		return err
	}
	var fields []Field
	if has := slices.Sorted(slices.Values(is.TagList)); !slices.Equal(has, tags) {
		if has == nil {
			has = []string{}
		}
		fields = append(fields, Field{"tags", has, tags})
	}
	protected := is.AccessLevel == "ref_protected"
	for _, f := range []struct {
		name      string
		is, shall bool
	}{{"untagged", is.RunUntagged, want.Untagged}, {"protected", protected, want.Protected}, {"locked", is.Locked, want.Locked}} {
		if f.is != f.shall {
			fields = append(fields, Field{f.name, f.is, f.shall})
		}
	}
	p.change(object, Update, fields, func(a *attempt) error {
		o := &gl.UpdateRunnerDetailsOptions{TagList: &tags, RunUntagged: gl.Ptr(want.Untagged), Locked: gl.Ptr(want.Locked), AccessLevel: gl.Ptr("not_protected")}
		if tags == nil {
			o.TagList = &[]string{}
		}
		if want.Protected {
			o.AccessLevel = gl.Ptr("ref_protected")
		}
		_, resp, err := a.api.Runners.UpdateRunnerDetails(id, o, a.with())
		return a.explain(resp, err)
	})
	return nil
}

func (p *planner) mirrors() error {
	// Not with all: to be kept from mirrors is no error for who declares none.
	var list []*gl.ProjectMirror
	for page := int64(1); page > 0 && page <= maxPages; {
		items, resp, err := p.api.ProjectMirrors.ListProjectMirror(p.want.Path, &gl.ListProjectMirrorOptions{ListOptions: gl.ListOptions{Page: page, PerPage: perPage}}, p.with())
		// GitLab says 401 to a token that is right, where mirrors are for others
		// (https://docs.gitlab.com/api/remote_mirrors/).
		if resp != nil && resp.Response != nil && (resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusForbidden) {
			if len(p.want.Mirrors) > 0 {
				p.notApplied("mirrors", NotAllowed, nil, "GitLab keeps them from the account of the token: it takes the role Maintainer, and mirroring that is switched on in the Admin area, Settings, Repository")
			} else {
				p.report.Notes = append(p.report.Notes, Note{p.want.Path, "mirrors", "not looked at: GitLab keeps them from the account of the token"})
			}
			return nil
		}
		if err != nil {
			return p.explain(p.doing("the push mirrors"), resp, err)
		}
		list = append(list, there(items)...)
		page = resp.NextPage
	}
	for _, want := range p.want.Mirrors {
		object := "mirror " + want.URL
		i := slices.IndexFunc(list, func(m *gl.ProjectMirror) bool { return withoutUser(m.URL) == want.URL })
		if i < 0 {
			p.change(object, Create, []Field{
				{"user", nil, want.User},
				{"enabled", nil, want.Enabled},
				{"onlyProtectedBranches", nil, want.OnlyProtectedBranches},
				{"keepDivergentRefs", nil, want.KeepDivergentRefs},
			}, func(a *attempt) error { return a.addMirror(want) })
			continue
		}
		is := list[i]
		var fields []Field
		for _, f := range []struct {
			name      string
			is, shall bool
		}{{"enabled", is.Enabled, want.Enabled}, {"onlyProtectedBranches", is.OnlyProtectedBranches, want.OnlyProtectedBranches}, {"keepDivergentRefs", is.KeepDivergentRefs, want.KeepDivergentRefs}} {
			if f.is != f.shall {
				fields = append(fields, Field{f.name, f.is, f.shall})
			}
		}
		p.change(object, Update, fields, func(a *attempt) error {
			_, resp, err := a.api.ProjectMirrors.EditProjectMirror(a.project, is.ID, &gl.EditProjectMirrorOptions{
				Enabled: gl.Ptr(want.Enabled), OnlyProtectedBranches: gl.Ptr(want.OnlyProtectedBranches), KeepDivergentRefs: gl.Ptr(want.KeepDivergentRefs),
			}, a.with())
			return a.explain(resp, err)
		})
		if is.LastError != "" {
			p.report.Notes = append(p.report.Notes, Note{p.want.Path, object, "its last push failed: " + p.clean(is.LastError)})
		}
	}
	for _, is := range list {
		if url := withoutUser(is.URL); !slices.ContainsFunc(p.want.Mirrors, func(m config.GitLabMirror) bool { return m.URL == url }) {
			message := "somebody lets GitLab push the repository there"
			if !is.Enabled {
				message = "it is switched off"
			}
			p.notManaged("mirror "+url, message)
		}
	}
	return nil
}

// withoutUser is an address without who signs in there, for which GitLab writes
// *****:*****.
func withoutUser(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "(an address that cannot be read)"
	}
	u.User = nil
	return u.String()
}

// errUnprotected marks the failure between the two halves of a replacement.
var errUnprotected = errors.New("it is NOT protected now")
