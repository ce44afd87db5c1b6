// Package config reads lumacore.yaml: what an owner tells the tool about the
// repository. Everything in it is optional, and so is the file.
package config

import (
	"time"

	"lumacore.dev/lumacore/internal/report"
)

// File is the name of the configuration, in the root of the repository.
const File = "lumacore.yaml"

// Config is the content of lumacore.yaml. The zero value is the default.
type Config struct {
	// Clusters to look at, instead of those that are found.
	Clusters []Cluster
	// EnvironmentLabel is the label of namespaces whose value is their
	// environment; DefaultEnvironmentLabel if empty.
	EnvironmentLabel string
	Check            Check
}

// DefaultEnvironmentLabel is used when lumacore.yaml names none.
const DefaultEnvironmentLabel = "lumacore.env"

// Cluster is a cluster of the repository.
type Cluster struct {
	Name string
	Path string // of the folder that Flux reads first, relative to the repository
	// Substitute are the variables of the Flux Kustomization that applies Path, when
	// that one is not in the repository: who bootstraps the cluster sets them there.
	Substitute map[string]string
}

// Check configures the gates.
type Check struct {
	// KubeVersion of the clusters: "1.36" or "1.36.2".
	KubeVersion string
	// FailOn is the least severity that makes the check fail.
	FailOn report.Severity
	// Severity gives rules and whole gates another severity, or turns them off.
	Severity []Override
	// Allow lists findings that do not count.
	Allow       []Allowance
	Images      Images
	PodSecurity PodSecurity
}

// Override gives a rule another severity. One for a rule has precedence over one
// for its gate.
type Override struct {
	Rule     string          // "images/no-digest", or a gate: "images"
	Severity report.Severity // or Off

	report.Location // of the entry
}

// Off instead of a severity turns a rule off.
const Off report.Severity = "off"

// Allowance says that some findings do not count, why, and until when.
type Allowance struct {
	Rule    string    // exact: "images/no-digest"
	File    string    // glob on the file (doublestar); empty: any
	Object  string    // glob on "Deployment app-beacon/beacon"; empty: any
	Message string    // text that the message contains; empty: any
	Reason  string    // required
	Expires time.Time // required: the last day on which it holds
	Owner   string

	report.Location // of the entry
}

// Images configures the gate "images".
type Images struct {
	// Registries that images may come from: "ghcr.io", "docker.io/library".
	// Empty: any.
	Registries []string
}

// PodSecurity configures the gate "podsecurity".
type PodSecurity struct {
	// Exemptions is the register of namespaces that are not held to the level
	// "restricted". Nil: there is no register, and exemptions need no entry.
	Exemptions []Exemption
}

// Exemption says why a namespace is not restricted.
type Exemption struct {
	Namespace string
	Level     string    // "baseline" or "privileged": what it is held to
	Reason    string    // required
	Control   string    // what makes up for it; required
	Review    time.Time // the last day on which it holds; required

	report.Location // of the entry
}
