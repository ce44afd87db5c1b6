package gitlab

import (
	"encoding/json"
	"fmt"
	"strings"

	"lumacore.dev/lumacore/internal/config"
)

// The objects of a project that the settings of the file are in. Each is read and written
// with one request.
const (
	inProject   = "settings"
	inJobToken  = "job token"
	inApprovals = "approvals"
	inRule      = "approval rule"
	inPushRules = "push rules"
)

// attribute says where a setting of the file is in GitLab's API.
type attribute struct {
	object string
	name   string
	not    bool // GitLab says the opposite
}

// attributes of the settings, by their keys. All of [config.GitLabSettings] are here.
var attributes = map[string]attribute{
	"merge.method":                      {object: inProject, name: "merge_method"},
	"merge.squash":                      {object: inProject, name: "squash_option"},
	"merge.pipelinesMustSucceed":        {object: inProject, name: "only_allow_merge_if_pipeline_succeeds"},
	"merge.skippedPipelinesCount":       {object: inProject, name: "allow_merge_on_skipped_pipeline"},
	"merge.threadsMustBeResolved":       {object: inProject, name: "only_allow_merge_if_all_discussions_are_resolved"},
	"merge.removeSourceBranch":          {object: inProject, name: "remove_source_branch_after_merge"},
	"pipelines.public":                  {object: inProject, name: "public_jobs"},
	"pipelines.keepLatestArtifact":      {object: inProject, name: "keep_latest_artifact"},
	"pipelines.variableOverride":        {object: inProject, name: "ci_pipeline_variables_minimum_override_role"},
	"pipelines.jobTokenLimited":         {object: inJobToken, name: "inbound_enabled"},
	"approvals.required":                {object: inRule, name: "approvals_required"},
	"approvals.authorMayApprove":        {object: inApprovals, name: "merge_requests_author_approval"},
	"approvals.committersMayApprove":    {object: inApprovals, name: "merge_requests_disable_committers_approval", not: true},
	"approvals.resetOnPush":             {object: inApprovals, name: "reset_approvals_on_push"},
	"approvals.overridePerMergeRequest": {object: inApprovals, name: "disable_overriding_approvers_per_merge_request", not: true},
	"pushRules.rejectUnsignedCommits":   {object: inPushRules, name: "reject_unsigned_commits"},
	"pushRules.commitMessage":           {object: inPushRules, name: "commit_message_regex"},
	"pushRules.commitMessageDenied":     {object: inPushRules, name: "commit_message_negative_regex"},
	"pushRules.branchName":              {object: inPushRules, name: "branch_name_regex"},
	"pushRules.authorEmail":             {object: inPushRules, name: "author_email_regex"},
	"pushRules.fileNameDenied":          {object: inPushRules, name: "file_name_regex"},
	"pushRules.maxFileSize":             {object: inPushRules, name: "max_file_size"},
	"pushRules.denyDeleteTag":           {object: inPushRules, name: "deny_delete_tag"},
	"pushRules.memberCheck":             {object: inPushRules, name: "member_check"},
	"pushRules.committerCheck":          {object: inPushRules, name: "commit_committer_check"},
	"pushRules.committerNameCheck":      {object: inPushRules, name: "commit_committer_name_check"},
	"pushRules.preventSecrets":          {object: inPushRules, name: "prevent_secrets"},
}

// needLicence are the sections of settings that need a licence for Premium.
var needLicence = []string{"approvals", "pushRules"}

// differing compares the settings of an object with what GitLab has; got is what its API
// answered, or nil for nothing. It returns the fields that differ, and what to send.
func differing(want map[string]any, object string, got any) ([]Field, map[string]any, error) {
	has := map[string]any{}
	if got != nil {
		data, err := json.Marshal(got)
		if err == nil {
			err = json.Unmarshal(data, &has)
		}
		if err != nil {
			return nil, nil, fmt.Errorf("%s as GitLab has it: %w", object, err)
		}
	}
	var fields []Field
	send := map[string]any{}
	for _, s := range config.GitLabSettings {
		a := attributes[s.Key]
		value, declared := want[s.Key]
		if !declared || a.object != object {
			continue
		}
		is := has[a.name]
		if n, ok := is.(float64); ok {
			is = int64(n)
		}
		wire := value
		if a.not {
			wire = !value.(bool)
			if b, ok := is.(bool); ok {
				is = !b
			}
		}
		if got == nil {
			is = nil
		}
		if is != value {
			fields = append(fields, Field{Name: s.Key, From: is, To: value})
			send[a.name] = wire
		}
	}
	return fields, send, nil
}

// options turns attributes into the options of a request. A name that the request does
// not have is an error.
func options[T any](send map[string]any) (*T, error) {
	data, err := json.Marshal(send)
	if err != nil {
		return nil, err
	}
	dec := json.NewDecoder(strings.NewReader(string(data)))
	dec.DisallowUnknownFields()
	opt := new(T)
	return opt, dec.Decode(opt)
}
