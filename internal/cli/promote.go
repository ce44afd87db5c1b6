package cli

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"lumacore.dev/lumacore/internal/app"
	"lumacore.dev/lumacore/internal/diff"
	"lumacore.dev/lumacore/internal/promote"
	"lumacore.dev/lumacore/internal/render"
	"lumacore.dev/lumacore/internal/report"
)

func newPromote(s *report.Streams) *cobra.Command {
	f := &promoteFlags{repository: repositoryFlags{streams: s, offline: true}}
	cmd := &cobra.Command{
		Use:   "promote APP...",
		Short: "Take versions that have soaked from staging to production, in Git",
		Long: `Promote compares the images of staging's overlay with those of prod's, and gives prod the
versions that have soaked: that have been healthy in staging for 24 hours (patch) or 72
hours (minor; section soak of lumacore.yaml), and of a major update those that --major
names.

When a version came to staging stands in Git. Since when it is healthy there, the cluster
says: a rollout, a restart of a container, a pod that was not ready begin the time anew.
Without a cluster nothing is promoted.

Only prod's own overlay changes, on a branch that is made from the revision; the work tree
stays as it is. If one of several named apps may not go, none does; --all takes those that
may. Production itself changes with a release.

EXIT STATUS
  0  the apps are on the branch, or there is nothing to promote
  1  an app that was named has not soaked, or the cluster or Git refused
  2  wrong use, or an internal error`,
		Example: `  # what could go, and when
  lumacore promote --all --dry-run

  lumacore promote beacon --to-branch promote/beacon`,
		Args: cobra.ArbitraryArgs, // run says what is wrong with them: --all may come from a variable
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd.Context(), s, args) },
	}
	fs := cmd.Flags()
	fs.BoolVar(&f.all, "all", false, "all apps that have soaked")
	fs.BoolVar(&f.major, "major", false, "major updates too: their release notes were read")
	fs.BoolVar(&f.dryRun, "dry-run", false, "say what would be done, and make no branch")
	fs.StringVar(&f.branch, "to-branch", "", "`branch` that is made, or made anew if it is of an earlier promotion")
	fs.StringVar(&f.path, "path", "", "`folder` of the repository (default the nearest one upwards with a lumacore.yaml)")
	fs.StringVar(&f.repository.at, "revision", "HEAD", "`revision` that is promoted: that of the branch which Flux applies")
	fs.StringVar(&f.cluster, "cluster", "", "`cluster` that runs staging, by name (default the first in lumacore.yaml)")
	f.asked.add(fs)
	f.out.AddFlags(fs, report.Text, report.JSON)
	return cmd
}

type promoteFlags struct {
	repository         repositoryFlags
	all, major, dryRun bool
	branch, path       string
	cluster            string       // as lumacore.yaml calls it
	asked              clusterFlags // where it is
	out                report.Outputs
}

func (f *promoteFlags) run(ctx context.Context, s *report.Streams, args []string) error {
	if err := f.out.Validate(); err != nil {
		return err
	}
	switch {
	case f.all == (len(args) > 0):
		return report.Misuse("lumacore promote beacon, or lumacore promote --all", "name the apps, or say --all")
	case !f.dryRun && f.branch == "":
		return report.Misuse("--to-branch promote/"+strings.Join(append(args, "all")[:1], ""), "name the branch with --to-branch, or say --dry-run")
	case f.dryRun && f.branch != "":
		return report.Misuse("leave one of them out", "--dry-run makes no branch, and --to-branch names one")
	}
	client, err := f.asked.client() // nil: nobody says that staging is healthy, and nothing is promoted
	if err != nil {
		return err
	}
	var dir []string
	if f.path != "" {
		dir = []string{f.path}
	}
	where, err := root(ctx, dir)
	if err != nil {
		return err
	}
	repo, err := f.repository.open(ctx, []string{where})
	if err != nil {
		return err
	}
	defer repo.close()
	cluster, err := f.chosen(repo)
	if err != nil {
		return err
	}
	names := slices.Compact(slices.Sorted(slices.Values(args)))
	if f.all {
		names = app.Apps(repo.tree)
	}
	rep, changes, err := promote.Decide(ctx, promote.Input{
		Dir: where, Commit: repo.commit, Tree: repo.tree, Cluster: cluster, Config: repo.config, Apps: names, Major: f.major, Client: client, Now: time.Now(),
	})
	if err != nil {
		return err
	}
	rep.DryRun = f.dryRun
	refused := !f.all && rep.Count(promote.Refused) > 0
	if len(changes) > 0 && !refused {
		after, err := repo.again(ctx, f.repository.remoteBases, repo.tree.With(changes))
		if err != nil {
			return err
		}
		rep.Changes = diff.Compare(diff.Input{
			Base: repo.result, Head: after, BaseName: diff.Revision{Revision: f.repository.at, Commit: repo.commit},
			HeadName:   diff.Revision{Revision: cmp.Or(f.branch, "as it would be promoted")},
			Production: []string{production(repo.config)},
		})
		if !f.dryRun {
			rep.Branch = f.branch
			if rep.Commit, err = promote.Branch(ctx, where, repo.commit, f.branch, changes, rep.Title()); err != nil {
				return err
			}
		}
	}
	if refused {
		rep.Hold()
	}
	if err := f.out.Write(s, rep); err != nil {
		return err
	}
	if refused {
		return report.Refuse("wait, or mend what is missing; lumacore promote --all takes what has soaked", "%d of %d apps may not go to production", rep.Count(promote.Refused), len(rep.Apps))
	}
	return nil
}

// chosen is the cluster that runs staging.
func (f *promoteFlags) chosen(repo *repository) (*render.Cluster, error) {
	name := f.cluster
	if name == "" && len(repo.config.Clusters) > 0 {
		name = repo.config.Clusters[0].Name
	}
	var known []string
	for _, c := range repo.result.Clusters {
		if c.Name == name || name == "" && len(repo.result.Clusters) == 1 {
			return c, nil
		}
		known = append(known, c.Name)
	}
	if len(known) == 0 {
		return nil, report.Refuse("declare clusters in lumacore.yaml", "no cluster was found: there is no Flux Kustomization or FluxInstance")
	}
	return nil, report.Misuse("clusters are "+strings.Join(known, ", "), "there is no cluster %q", name)
}
