// Package supplychain runs the pipeline of examples/beacon as GitLab would, job by job, on
// a real repository and a registry of its own: what is built, described, signed, verified
// and published here are real images, and each job is shown a mistake that it must refuse.
package supplychain
