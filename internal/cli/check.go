package cli

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"lumacore.dev/lumacore/internal/check"
	"lumacore.dev/lumacore/internal/check/registry"
	"lumacore.dev/lumacore/internal/config"
	"lumacore.dev/lumacore/internal/gitops"
	"lumacore.dev/lumacore/internal/report"
)

func newCheck(s *report.Streams) *cobra.Command {
	f := &repositoryFlags{streams: s}
	dry := &dryRunFlags{streams: s}
	var out report.Outputs
	var gates []string
	var severity, failOn string
	var prodApproved, history bool
	cmd := &cobra.Command{
		Use:   "check [PATH]",
		Short: "Render a Flux repository and run all gates over it",
		Long: `Check works on any Flux repository, without a cluster:

  1. finds its clusters: what flux bootstrap wrote, a FluxInstance, or the folders
     with Flux Kustomizations that nothing else applies;
  2. renders them as Flux would: every Kustomization built and its variables
     substituted, every HelmRelease templated, each object with its file and line;
  3. runs the gates over the one render and reports what they find.

What could not be looked at (a chart that is not to be had, a secret that only the
cluster has) is named as not checked; it never counts as a pass.

PATH is the folder that Flux reads from: by default the nearest one upwards with a
lumacore.yaml, else the root of the Git work tree. Nothing in it is changed.

EXIT STATUS
  0  nothing was found that fails the check
  1  findings
  2  wrong use, or an internal error`,
		Example: `  # all gates over the repository that this folder belongs to
  lumacore check

  # for GitLab: one run, two reports and the text in the job's log
  lumacore check -o codequality --output-file gl-code-quality.json -o junit --output-file junit.xml -o text

  # one gate, without network
  lumacore check --gate schema --offline ./fleet

  # the last word has an API server, which needs no cluster
  lumacore check --dry-run=lab

  # what a rule means and how to mend or suppress it
  lumacore explain images/no-digest`,
		Args: pathArg,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := out.Validate(); err != nil {
				return err
			}
			run, err := chosenGates(gates)
			if err != nil {
				return err
			}
			in := &check.Input{Now: time.Now(), Known: registry.Gates}
			if failOn != "" {
				if in.FailOn, err = report.ParseSeverity(failOn); err != nil {
					return report.Misuse("", "--fail-on: %w", err)
				}
			}
			least := report.Info
			if severity != "" {
				if least, err = report.ParseSeverity(severity); err != nil {
					return report.Misuse("", "--severity: %w", err)
				}
			}
			if err := dry.prepare(cmd.Context(), in); err != nil {
				return err
			}
			repo, err := f.open(cmd.Context(), args)
			if err != nil {
				return err
			}
			defer repo.close()
			if err := dry.fits(repo); err != nil {
				return err
			}
			in.Tree, in.Render, in.Config, in.KubeVersion = repo.tree, repo.result, repo.config, repo.kube
			in.Base, in.Cache, in.Offline, in.ProdApproved, in.History = repo.base, repo.cache, f.offline, prodApproved, history
			// One line of progress: of what takes longer.
			step, end := progress(s, "dry run", "tried", "objects")
			slow := "dryrun"
			if history && in.APIServer == nil {
				step, end = progress(s, "history", "searched", "commits")
				slow = "secrets"
			}
			in.Progress = func(gate string, done, known int) {
				if gate == slow {
					step(done, known)
				}
			}
			rep, err := check.Run(cmd.Context(), run, in)
			end()
			if err != nil {
				return err
			}
			rep.Prefix = prefix(cmd.Context(), repo.tree.Root)
			rep.Show(least)
			if err := out.Write(s, rep); err != nil {
				return err
			}
			switch n := rep.Failing(); {
			case rep.Objects() == 0:
				return report.Refuse("name the folder that Flux reads, or declare clusters in "+config.File, "nothing was checked: the repository renders to no object")
			case n > 0:
				return failed(repo, rep, n)
			}
			return nil
		},
	}
	f.add(cmd.Flags())
	out.AddFlags(cmd.Flags(), report.Text, report.JSON, report.SARIF, report.JUnit, report.CodeQuality)
	cmd.Flags().StringArrayVar(&gates, "gate", nil, "only this `gate`: "+strings.Join(gateNames(), "|")+"; may be repeated (default all)")
	cmd.Flags().StringVar(&severity, "severity", "", "show findings of this `severity` or above: error|warning|info (default info)")
	cmd.Flags().StringVar(&failOn, "fail-on", "", "the least `severity` that fails the check: error|warning|info (default check.failOn of lumacore.yaml, else error)")
	cmd.Flags().StringVar(&f.since, "changed-since", "", "report only what has changed since this `revision` of Git, such as origin/main: what it has too is only counted")
	cmd.Flags().BoolVar(&history, "history", false, "also scan all commits of the repository for secrets; with --changed-since those of the change")
	dry.add(cmd.Flags())
	cmd.Flags().BoolVar(&prodApproved, "prod-approved", false, "somebody has approved what the change does to production: with --changed-since, such findings are shown as suppressed")
	cmd.Flags().BoolVar(&f.requireCharts, "require-charts", false, "a chart that cannot be had is an error, and not only named as not checked")
	return cmd
}

// prefix returns the path of a folder from the root of its Git work tree, with a
// slash at its end; "" for the root itself, and where there is no work tree or no
// Git.
func prefix(ctx context.Context, dir string) string {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	out, err := gitops.Git(ctx, dir, "rev-parse", "--show-prefix").Output()
	if err != nil {
		return ""
	}
	return strings.TrimSuffix(string(out), "\n")
}

// failed is the error of n findings that fail the check; it leads to the rule of the
// first that is shown, of the gate config only if there is no other.
func failed(repo *repository, rep *report.CheckReport, n int) error {
	rule := ""
	for _, f := range rep.Findings {
		if f.Suppressed != nil || !f.Severity.AtLeast(rep.FailOn) {
			continue
		}
		// That little was checked mostly has a cause, which is another finding.
		itself := f.Gate() == check.ConfigGate.Name
		if rule == "" || !itself {
			rule = f.Rule
		}
		if !itself {
			break
		}
	}
	next := "lumacore explain " + cmp.Or(rule, "RULE")
	if dir := repo.whole(); dir != "" {
		next = "paths begin at the root of the repository; did you mean lumacore check " + dir + "?"
	}
	if n == 1 {
		return report.Refuse(next, "1 finding fails the check")
	}
	return report.Refuse(next, "%d findings fail the check", n)
}

func gateNames() []string {
	var names []string
	for _, g := range registry.Gates {
		names = append(names, g.Name)
	}
	return names
}

// chosenGates returns the gates that were asked for, in their own order.
func chosenGates(names []string) ([]*check.Gate, error) {
	for _, name := range names {
		if !slices.Contains(gateNames(), name) {
			next := "use one of " + strings.Join(gateNames(), ", ")
			return nil, report.Misuse(next, "--gate: there is no gate %q", name)
		}
	}
	if len(names) == 0 {
		return registry.Gates, nil
	}
	var out []*check.Gate
	for _, g := range registry.Gates {
		if slices.Contains(names, g.Name) {
			out = append(out, g)
		}
	}
	return out, nil
}
