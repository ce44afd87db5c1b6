// Package review tests what stands between a change and main, outside of the pipeline:
// hooks before a commit, owners of code, templates of merge requests, and the workflow of
// the public mirror.
package review
