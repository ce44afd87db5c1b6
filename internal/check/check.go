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
	"k8s.io/client-go/rest"

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
	// Base is the repository as it was before a change. With it, the report holds only
	// what the change causes, and rules that need it can look at the change itself.
	Base *Base
	// History lets gates look at the commits of the repository too: all of them, or
	// with a Base those since.
	History bool
	// APIServer connects to the API server on which the render is tried
	// (--dry-run); nil: none. Its second result lets go of it.
	APIServer func(ctx context.Context) (*rest.Config, func(), error)
	// Throwaway says that each call of APIServer starts another API server, which is
	// empty and ends when it is let go of: what others depend on may be created there.
	Throwaway bool
	// Definition returns, as JSON, the custom resource definition of a kind that the
	// built-in catalogue does not have, and where it comes from. Nil: there is no other
	// place to look.
	Definition func(group, kind string) (crd []byte, from string, ok bool)
	// Progress is told how far a gate is that takes long: it has done so many of the
	// steps that are known by now. It may be called from several goroutines; nil: nobody
	// wants to know.
	Progress func(gate string, done, known int)
	// ProdApproved says that somebody has approved what the change does to
	// production.
	ProdApproved bool
	// Offline keeps gates from asking anybody outside of this machine.
	Offline bool
	// Cache is the folder in which gates keep what they know of content that they
	// have seen; "" for none. What is kept there may be deleted at any time.
	Cache string

	// Known are all gates that there are, for names in lumacore.yaml and in
	// annotations. Nil: the ones that run.
	Known []*Gate
}

// Base is a repository before a change.
type Base struct {
	Revision string // as it was asked for: "origin/main"
	Commit   string // its full name
	Tree     *gitops.Tree
	Render   *render.Result
	Config   *config.Config
}

// What rules may need: [report.Rule.Needs].
const (
	NeedsBase      = "--changed-since"
	NeedsHistory   = "--history"
	NeedsAPIServer = "--dry-run"
)

// has tells whether the input has what a rule needs.
func (in *Input) has(need string) bool {
	switch need {
	case NeedsBase:
		return in.Base != nil
	case NeedsHistory:
		return in.History
	case NeedsAPIServer:
		return in.APIServer != nil
	}
	return true
}
