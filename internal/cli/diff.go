package cli

import (
	"cmp"
	"strings"

	"github.com/spf13/cobra"

	"lumacore.dev/lumacore/internal/config"
	"lumacore.dev/lumacore/internal/diff"
	"lumacore.dev/lumacore/internal/report"
)

func newDiff(s *report.Streams) *cobra.Command {
	f := &repositoryFlags{streams: s}
	var out report.Outputs
	var path string
	var exitCode bool
	cmd := &cobra.Command{
		Use:   "diff BASE [HEAD]",
		Short: "Show what a change comes to: objects, versions, risks",
		Long: `Diff renders two revisions of a Flux repository as check does and compares what
they come to, object by object:

  1. images and charts that get another version, with the kind of update;
  2. risks: what is deleted, what the API server will refuse to change, who may do
     more than before, what touches production;
  3. every object that is new, gone or changed, field by field. Labels and checksums
     that tools write anew on each release are folded, and values of Secrets are
     never shown.

BASE and HEAD are revisions of Git, such as origin/main or HEAD~1. Without HEAD it is
the work tree as it is, also what is not committed. Both are of the repository that
the current folder belongs to, or that --path names. For what a branch changes, name
the commit where it began: $(git merge-base origin/main HEAD).

What does not render on one of the sides is named as not compared; it never counts
as no change.

EXIT STATUS
  0  the revisions were compared, whether they differ or not
  1  with --exit-code: they differ, or not all of them could be compared; else: there
     is nothing to compare
  2  wrong use, or an internal error`,
		Example: `  # what is not committed yet
  lumacore diff HEAD

  # what the branch changes, for a merge request
  lumacore diff $(git merge-base origin/main HEAD) HEAD -o markdown

  # one cluster, for a program
  lumacore diff v1.2.0 v1.3.0 --cluster home -o json`,
		Args: func(cmd *cobra.Command, args []string) error {
			switch n := len(args); {
			case n < 1 || n > 2:
				return report.Misuse(cmd.CommandPath()+" --help", "%s takes a revision to compare with, and perhaps another one, got %d arguments", cmd.CommandPath(), n)
			case n == 1 && strings.Contains(args[0], ".."):
				base, head, _ := strings.Cut(strings.ReplaceAll(args[0], "...", ".."), "..")
				return report.Misuse("lumacore diff "+base+" "+head, "%q is a range: name the two revisions", args[0])
			case n == 2 && args[1] == "":
				return report.Misuse("leave it out for the work tree", "HEAD is empty")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := out.Validate(); err != nil {
				return err
			}
			if f.since = args[0]; f.since == "" {
				return report.Misuse("name a branch, a tag or a commit, such as origin/main", "BASE is empty")
			}
			if len(args) > 1 {
				f.at = args[1]
			}
			var dir []string
			if path != "" {
				dir = []string{path}
			}
			repo, err := f.open(cmd.Context(), dir)
			if err != nil {
				return err
			}
			defer repo.close()
			if len(repo.result.Clusters)+len(repo.base.Render.Clusters) == 0 {
				return report.Refuse("name the folder that Flux reads with --path, or declare clusters in lumacore.yaml", "no cluster was found on either side: there is no Flux Kustomization or FluxInstance")
			}
			rep := diff.Compare(diff.Input{
				Base: repo.base.Render, Head: repo.result,
				BaseName:   diff.Revision{Revision: repo.base.Revision, Commit: repo.base.Commit},
				HeadName:   diff.Revision{Revision: f.at, Commit: repo.commit},
				Production: []string{production(repo.base.Config), production(repo.config)},
			})
			if err := out.Write(s, rep); err != nil {
				return err
			}
			switch {
			case !exitCode:
			case rep.Differs():
				return report.Refuse("", "the revisions differ")
			case !rep.Certain():
				return report.Refuse("lumacore check --gate render", "not all could be compared")
			}
			return nil
		},
	}
	f.add(cmd.Flags())
	out.AddFlags(cmd.Flags(), report.Text, report.Markdown, report.JSON)
	cmd.Flags().StringVar(&path, "path", "", "`folder` of the repository (default the nearest one upwards with a lumacore.yaml, else the root of the Git work tree)")
	cmd.Flags().BoolVar(&exitCode, "exit-code", false, "end with 1 when the revisions differ, or not all could be compared")
	return cmd
}

// production is the name of the environment that only changes on purpose.
func production(c *config.Config) string {
	return cmp.Or(c.Check.Promotion.Production, config.DefaultProduction)
}
