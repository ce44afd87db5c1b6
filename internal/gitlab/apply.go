package gitlab

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	gl "gitlab.com/gitlab-org/api/client-go/v2"

	"lumacore.dev/lumacore/internal/config"
	"lumacore.dev/lumacore/internal/report"
)

// attempt makes one change.
type attempt struct {
	*Server
	ctx     context.Context
	project string
	doing   string // "protect branch main of homelab/infra"
	tokens  map[string]string
}

func (a *attempt) with() gl.RequestOptionFunc { return gl.WithContext(a.ctx) }

// explain is nil for no error.
func (a *attempt) explain(resp *gl.Response, err error) error {
	if err == nil {
		return nil
	}
	return a.Server.explain(a.doing, resp, err)
}

// deleted takes what is gone already for deleted.
func (a *attempt) deleted(resp *gl.Response, err error) error {
	if err != nil && resp != nil && resp.Response != nil && resp.StatusCode == http.StatusNotFound {
		return nil
	}
	return a.explain(resp, err)
}

// again makes what was just deleted. Neither an interrupt nor an accident of the network
// may leave it deleted, so that it is tried several times; what another try finds there
// already is there.
func (a *attempt) again(do func(*attempt) error) error {
	b := *a
	b.ctx = context.WithValue(context.WithoutCancel(a.ctx), repeatable{}, true)
	if err := do(&b); err != nil {
		return fmt.Errorf("%w: %w", errUnprotected, err)
	}
	return nil
}

// made takes what is there already for made, when it may have been made by an earlier
// try.
func (a *attempt) made(resp *gl.Response, err error) error {
	err = a.explain(resp, err)
	if said, ok := errors.AsType[*refusal](err); ok && a.ctx.Value(repeatable{}) != nil &&
		(said.status == http.StatusConflict || strings.Contains(said.said, "already been taken")) {
		return nil
	}
	return err
}

func (a *attempt) protectBranch(b config.GitLabBranch, licensed bool) error {
	o := &gl.ProtectRepositoryBranchesOptions{Name: gl.Ptr(b.Name), PushAccessLevel: level(b.Push), MergeAccessLevel: level(b.Merge), AllowForcePush: gl.Ptr(b.ForcePush)}
	if licensed {
		o.CodeOwnerApprovalRequired = gl.Ptr(b.CodeOwnerApproval)
	}
	_, resp, err := a.api.ProtectedBranches.ProtectRepositoryBranches(a.project, o, a.with())
	return a.made(resp, err)
}

func (a *attempt) protectTag(t config.GitLabTag) error {
	_, resp, err := a.api.ProtectedTags.ProtectRepositoryTags(a.project, &gl.ProtectRepositoryTagsOptions{Name: gl.Ptr(t.Name), CreateAccessLevel: level(t.Create)}, a.with())
	return a.made(resp, err)
}

func (a *attempt) addMirror(m config.GitLabMirror) error {
	u, err := url.Parse(m.URL)
	if err != nil {
		return err
	}
	u.User = url.UserPassword(m.User, a.tokens[m.URL])
	_, resp, err := a.api.ProjectMirrors.AddProjectMirror(a.project, &gl.AddProjectMirrorOptions{
		URL: gl.Ptr(u.String()), Enabled: gl.Ptr(m.Enabled), AuthMethod: gl.Ptr("password"),
		OnlyProtectedBranches: gl.Ptr(m.OnlyProtectedBranches), KeepDivergentRefs: gl.Ptr(m.KeepDivergentRefs),
	}, a.with())
	return a.explain(resp, err)
}

// Apply makes the changes of a plan, in order, and then reads everything again. The
// report has how far each change is; progress is told of each.
//
// Where GitLab refuses one change, the others are made all the same; where it does not
// answer, or not to this token, the rest is not reached. Either is an error, and so is
// what GitLab took and did not keep. The same command then goes on where this one
// stopped.
func (s *Server) Apply(ctx context.Context, projects []config.GitLabProject, r *Report, progress func(*Change)) error {
	if len(r.Changes) == 0 {
		r.Verified = true
		return nil
	}
	if err := s.mayWrite(ctx); err != nil {
		return err
	}
	tokens, err := s.mirrorTokens(projects, r)
	if err != nil {
		return err
	}
	var failed, stopped error
	for _, c := range r.Changes {
		if stopped != nil {
			c.Status = NotReached
			continue
		}
		a := &attempt{Server: s, ctx: ctx, project: c.Project, doing: fmt.Sprintf("%s %s of %s", c.Action, c.Object, c.Project), tokens: tokens}
		err := ctx.Err()
		if err == nil {
			err = c.make(a)
		}
		switch {
		case err == nil:
			c.Status = Done
		case ctx.Err() != nil && !errors.Is(err, errUnprotected):
			c.Status, stopped = NotReached, ctx.Err()
			continue
		default:
			c.Status, c.Error = Failed, err.Error()
			if failed == nil {
				failed = err
			}
			if !refused(err) {
				stopped = err
			}
		}
		if progress != nil {
			progress(c)
		}
	}
	switch {
	case ctx.Err() != nil:
		return errors.Join(ctx.Err(), failed)
	case failed != nil:
		next := goesOn
		if f, ok := errors.AsType[*report.Failure](failed); ok && f.Next != "" {
			next = f.Next
			if !strings.Contains(next, goesOn) {
				next += "; then " + goesOn
			}
		}
		return report.Refuse(next, "%d of %d changes were made: %w", r.count(Done), len(r.Changes), failed)
	}
	after, err := s.Plan(ctx, projects)
	if err != nil {
		return fmt.Errorf("all changes were made; to see that GitLab kept them: %w", err)
	}
	if len(after.Changes) > 0 {
		c := after.Changes[0]
		var names []string
		for _, f := range c.Fields {
			names = append(names, f.Name)
		}
		return report.Refuse("see whether a group or the instance sets it for all projects, or this version of GitLab does not have it; lumacore gitlab plan shows all",
			"GitLab took the changes, and %s of %s still differs: %s", c.Object, c.Project, strings.Join(names, ", "))
	}
	r.Verified = true
	return nil
}

// refused tells whether GitLab refused a change for what it is, and would answer others.
func refused(err error) bool {
	resp, ok := errors.AsType[*refusal](err)
	return ok && slices.Contains([]int{http.StatusBadRequest, http.StatusConflict, http.StatusUnprocessableEntity}, resp.status)
}

// mayWrite looks at the scopes of the token before the first change.
func (s *Server) mayWrite(ctx context.Context) error {
	token, resp, err := s.api.PersonalAccessTokens.GetSinglePersonalAccessToken(gl.WithContext(ctx))
	switch {
	case err == nil && token == nil:
		return nil
	case err == nil && !slices.Contains(token.Scopes, "api"):
		return report.Refuse("make a token with the scope api", "the scopes of the token are %s, which is enough to plan and not to apply; nothing was changed", s.clean(strings.Join(token.Scopes, ", ")))
	case err == nil:
		return nil
	case resp != nil && resp.Response != nil && resp.StatusCode < 500 && resp.StatusCode != http.StatusTooManyRequests:
		return nil // a token of another kind; GitLab will say what it may
	}
	return s.explain("read the scopes of the token", resp, err)
}

// mirrorTokens gets the tokens of all mirrors that will be made, before the first change.
func (s *Server) mirrorTokens(projects []config.GitLabProject, r *Report) (map[string]string, error) {
	tokens := map[string]string{}
	for _, p := range projects {
		for _, m := range p.Mirrors {
			if !slices.ContainsFunc(r.Changes, func(c *Change) bool {
				return c.Project == p.Path && c.Action == Create && c.Object == "mirror "+m.URL
			}) {
				continue
			}
			token, err := s.mirrorToken(m)
			if err != nil {
				return nil, report.Refuse("set it; nothing was changed", "%s: the token of the mirror %s: %w", m.Location, m.URL, err)
			}
			tokens[m.URL] = token
			s.secrets = append(s.secrets, token)
		}
	}
	return tokens, nil
}
