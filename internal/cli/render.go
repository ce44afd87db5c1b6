package cli

import (
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"lumacore.dev/lumacore/internal/render"
	"lumacore.dev/lumacore/internal/report"
)

func newRender(s *report.Streams) *cobra.Command {
	f := &repositoryFlags{streams: s}
	var out report.Outputs
	var only render.Selection
	cmd := &cobra.Command{
		Use:   "render [PATH]",
		Short: "Print the objects that Flux would apply",
		Long: `Render prints what a Flux repository comes to: every Kustomization built and its
variables substituted, every HelmRelease templated, as check sees it. Each object
says where it came from.

Secrets that only the cluster has are stand-ins and say so. What does not render is
listed on stderr, and the exit status is 1.`,
		Example: `  # everything, as YAML
  lumacore render

  # what one HelmRelease makes
  lumacore render --helmrelease traefik/traefik

  # one line per object, with file and line
  lumacore render -o list --cluster lumacore`,
		Args: pathArg,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := out.Validate(); err != nil {
				return err
			}
			repo, err := f.open(cmd.Context(), args)
			if err != nil {
				return err
			}
			defer repo.close()
			if err := only.Validate(repo.result); err != nil {
				return err
			}
			if err := out.Write(s, render.NewDocument(repo.result, only)); err != nil {
				return err
			}
			return complain(s, repo.result)
		},
	}
	f.add(cmd.Flags())
	out.AddFlags(cmd.Flags(), report.YAML, report.JSON, report.List)
	cmd.Flags().StringVar(&only.Kustomization, "kustomization", "", "only what the Flux Kustomization `namespace/name` applies")
	cmd.Flags().StringVar(&only.HelmRelease, "helmrelease", "", "only what the HelmRelease `namespace/name` makes")
	return cmd
}

// complain names what did not render on stderr, each thing once however many
// clusters it is part of.
func complain(s *report.Streams, res *render.Result) error {
	var bad, not []string
	for _, c := range res.Clusters {
		for _, p := range c.Problems {
			bad = append(bad, fmt.Sprintf("%s: %s", p.Location, p.Message))
		}
		for _, u := range c.Unchecked {
			not = append(not, fmt.Sprintf("%s: %s: %s", u.Location, u.Subject, u.Reason))
		}
	}
	for _, list := range []struct {
		title string
		lines []string
	}{{"not rendered", not}, {"does not render", bad}} {
		lines := slices.Clone(list.lines)
		slices.Sort(lines)
		for _, l := range slices.Compact(lines) {
			fmt.Fprintf(s.Err, "%s: %s\n", list.title, render.OneLine(l))
		}
	}
	switch {
	case len(res.Clusters) == 0:
		return report.Refuse("name the folder that Flux reads, or declare clusters in lumacore.yaml", "no cluster was found: there is no Flux Kustomization or FluxInstance")
	case len(bad) == 1:
		return report.Refuse("lumacore check --gate render", "one thing does not render")
	case len(bad) > 1:
		return report.Refuse("lumacore check --gate render", "%d things do not render", len(bad))
	}
	return nil
}
