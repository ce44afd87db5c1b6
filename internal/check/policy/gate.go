// Package policy evaluates the repository's own admission policies over the render, as
// the cluster would when Flux applies it: Gatekeeper's ConstraintTemplates and
// Constraints with Gatekeeper's own libraries, in CEL and Rego, and
// ValidatingAdmissionPolicies with the admission plug-in of the API server itself.
//
// Constraints are evaluated at the webhook's enforcement point, and where that may
// differ at audit's too (gator, the tool beside Gatekeeper, knows neither and has a
// point of its own). Besides the objects themselves, the pods are reviewed that
// controllers will make of them: a constraint on Pods lets a Deployment pass and refuses
// its pods.
//
// What the run has no answer to is named as not checked: the labels of a namespace that
// the repository does not make, external data without a provider that answers, objects
// of the cluster that a policy refers to.
package policy

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"
	"unicode/utf8"

	"lumacore.dev/lumacore/internal/check"
	"lumacore.dev/lumacore/internal/render"
	"lumacore.dev/lumacore/internal/report"
)

// Gate evaluates admission policies.
var Gate = &check.Gate{
	Name:  "policy",
	Title: "objects that the repository's own admission policies refuse, and policies that do not work",
	Rules: rules,
	Check: run,
}

// Groups of Gatekeeper's and Kubernetes' own policies.
const (
	groupTemplates   = "templates.gatekeeper.sh"
	groupConstraints = "constraints.gatekeeper.sh"
	groupExpansion   = "expansion.gatekeeper.sh"
	groupMutations   = "mutations.gatekeeper.sh"
	groupData        = "externaldata.gatekeeper.sh"
	groupConfig      = "config.gatekeeper.sh"
	groupSync        = "syncset.gatekeeper.sh"
	groupAdmission   = "admissionregistration.k8s.io"
)

func run(ctx context.Context, in *check.Input, out *check.Reporter) error {
	for _, c := range in.Render.Clusters {
		r := &reviewer{c: c, in: in, out: out, namespaces: namespacesOf(c)}
		if err := r.gatekeeper(ctx); err != nil {
			return err
		}
		if err := r.admissionPolicies(ctx); err != nil {
			return err
		}
		r.report()
	}
	return nil
}

// cacheFolder is where verdicts are kept.
func cacheFolder(dir string) string { return filepath.Join(dir, "policy") }

// guarded runs f, which calls code that was not made for any input, for at most limit.
// What is given up goes on until it ends or the process does.
func guarded(ctx context.Context, limit time.Duration, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	done := make(chan error, 1)
	go func() {
		defer func() {
			if p := recover(); p != nil {
				done <- fmt.Errorf("it cannot be evaluated: %v", p)
			}
		}()
		done <- f(ctx)
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return fmt.Errorf("it did not end within %s", limit)
		}
		return ctx.Err()
	}
}

// oneLine makes one line of what a library or a policy says, of a length that people
// read.
func oneLine(s string) string {
	const most = 600
	s = strings.Join(strings.Fields(strings.ToValidUTF8(s, "\uFFFD")), " ")
	if len(s) <= most {
		return s
	}
	n := most
	for !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}

// unchecked reports something of a policy that was not evaluated.
func (r *reviewer) unchecked(o *render.Object, next, format string, args ...any) {
	r.out.Unchecked(report.Unchecked{
		Subject: o.Key().String(), Location: o.Origin.Location, Clusters: []string{r.c.Name},
		Reason: fmt.Sprintf(format, args...), Next: next,
	})
}
