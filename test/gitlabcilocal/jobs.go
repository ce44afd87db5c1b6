// Package gitlabcilocal reads what gitlab-ci-local prints, which takes the part of GitLab and
// its runner in tests (https://github.com/firecow/gitlab-ci-local).
package gitlabcilocal

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Job is a job of a pipeline, as its rules have decided.
type Job struct {
	Name         string `json:"name"`
	When         string `json:"when"` // on_success, manual, never, …
	AllowFailure bool   `json:"allow_failure"`
}

// String is the name, and in brackets when it runs if that is not by itself.
func (j Job) String() string {
	switch {
	case j.When == "on_success":
		return j.Name
	case j.When == "manual" && j.AllowFailure:
		return j.Name + " (manual, may be left)"
	}
	return j.Name + " (" + j.When + ")"
}

// Parse reads what --list-json printed, with what may stand before it.
func Parse(output string) ([]Job, error) {
	var jobs []Job
	start := 0
	if !strings.HasPrefix(output, "[") {
		start = strings.Index(output, "\n[") + 1
	}
	if err := json.Unmarshal([]byte(output[start:]), &jobs); err != nil {
		return nil, fmt.Errorf("gitlab-ci-local --list-json: %w\n%s", err, output)
	}
	return jobs, nil
}

// Run are those of the jobs that are in the pipeline, as [Job.String] has them, sorted.
func Run(jobs []Job) []string {
	var names []string
	for _, j := range jobs {
		if j.When != "never" {
			names = append(names, j.String())
		}
	}
	slices.Sort(names)
	return names
}
