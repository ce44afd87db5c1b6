// Package pipelines runs the jobs of the blueprint's GitLab pipeline, on a repository made
// of the blueprint, with gitlab-ci-local's shell executor and the tools that the jobs'
// images have (hack/pipelines.sh installs them): each is green there, and red with the right
// message when the defect is planted that it is there for.
package pipelines
