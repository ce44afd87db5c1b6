// Package config reads what an owner tells the tool about the repository: lumacore.yaml,
// and the register of secrets. Everything in lumacore.yaml is optional, and so are the
// files.
package config

import (
	"time"

	rbacv1 "k8s.io/api/rbac/v1"

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

	// Blueprint is what the repository was made from by `lumacore init`; nil for one
	// that was not.
	Blueprint *Blueprint
	// PublicIdentity is who commits to the public mirror; nil: there is nobody.
	PublicIdentity *Identity
	// Mirror says what goes to the public mirror; nil: there is none.
	Mirror *Mirror
	// Soak says how long versions are in staging before they go to production.
	Soak Soak
}

// Blueprint is the blueprint that a repository was made from.
type Blueprint struct {
	Version string // of the lumacore that held it: "v0.3.0"
	Digest  string // of its files: "sha256:…"

	report.Location // of the entry
}

// Identity is a name under which commits are made.
type Identity struct {
	Name  string
	Email string
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
	// Environment of all that is in the cluster, but for namespaces with the label
	// EnvironmentLabel; empty: only the labels say it.
	Environment string
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
	Promotion   Promotion
	RBAC        RBAC
	Policy      Policy
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

// Policy configures the gate "policy".
type Policy struct {
	// Providers say who answers for the external data providers of the repository's
	// policies. One that is not among them has no answer.
	Providers []Provider
}

// Provider says how an external data provider's questions are answered.
type Provider struct {
	Name    string // of the Provider object
	Answers string // file with recorded answers, relative to the repository's root
	Live    bool   // ask the provider itself, at its own address; one of the two

	report.Location // of the entry
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

// Promotion configures the gate "promotion".
type Promotion struct {
	Production string // the environment that only changes on purpose; DefaultProduction if empty
	Staging    string // the environment that has everything first; DefaultStaging if empty
}

// Names of environments where lumacore.yaml gives none.
const (
	DefaultProduction = "prod"
	DefaultStaging    = "staging"
)

// RBAC configures the gate "rbac".
type RBAC struct {
	// Limits say what subjects and roles may do at most.
	Limits []Limit
}

// Limit says what a subject or a role may do at most. Of several for the same one,
// what any of them allows is allowed.
type Limit struct {
	Subject string // "ServiceAccount flux-system/flux-infra", "Group name" or "User name"; or
	Role    string // "ClusterRole name" or "Role namespace/name"

	// Namespaces, with globs, and Environment are where a subject may do it. Neither:
	// anywhere, and cluster-wide. Both: in the namespaces of that environment.
	Namespaces  []string
	Environment string

	Rules []Rule   // what it may do,
	Roles []string // and, of a subject, what these roles say: "ClusterRole cluster-admin"

	Reason string    // required
	Review time.Time // the last day on which it holds; required

	report.Location // of the entry
}

// Of is whom the limit is about.
func (l Limit) Of() string {
	if l.Role != "" {
		return l.Role
	}
	return l.Subject
}

// Rule is a rule of a role.
type Rule struct {
	rbacv1.PolicyRule
	report.Location
}
