// Package check runs the gates: each looks at one render of the repository and
// reports what is wrong with it, with file and line.
//
// A gate is a folder below this one with a [Gate] value: its rules as a table, and
// one function. internal/check/registry lists them; nothing else knows them by
// name. To add one, write the folder and add it to the list: `lumacore explain`,
// the page of all rules, the examples' test and every output format follow from
// the table.
//
// Gates run at the same time and must not change what they are given. A gate that
// cannot look at something says so ([Reporter.Unchecked]).
package check

import (
	"context"
	"time"

	utilversion "k8s.io/apimachinery/pkg/util/version"

	"lumacore.dev/lumacore/internal/config"
	"lumacore.dev/lumacore/internal/gitops"
	"lumacore.dev/lumacore/internal/render"
	"lumacore.dev/lumacore/internal/report"
)

// Gate is a group of rules that look at the same thing.
type Gate struct {
	Name  string // "images"
	Title string // what it finds, as half a sentence
	Rules []report.Rule
	// Check looks at in and reports to out. An error is an internal one; what is
	// wrong with the repository is a finding, never an error.
	Check func(ctx context.Context, in *Input, out *Reporter) error
}

// Input is what all gates look at.
type Input struct {
	Tree        *gitops.Tree
	Render      *render.Result
	Config      *config.Config
	KubeVersion *utilversion.Version // of the clusters
	Now         time.Time            // for what expires

	// FailOn is the least severity that makes the check fail. Empty: what
	// lumacore.yaml says, else error.
	FailOn report.Severity
	// Known are all gates that there are, for names in lumacore.yaml and in
	// annotations. Nil: the ones that run.
	Known []*Gate
}
