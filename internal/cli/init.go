package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"lumacore.dev/lumacore/blueprint"
	"lumacore.dev/lumacore/internal/homelab"
	"lumacore.dev/lumacore/internal/report"
	"lumacore.dev/lumacore/internal/settings"
)

func newInit(s *report.Streams) *cobra.Command {
	var out report.Outputs
	var file string
	var sample bool
	given := map[string]*string{}
	cmd := &cobra.Command{
		Use:   "init DIR",
		Short: "Make a homelab's repository of your own from the blueprint",
		Long: `Init makes the Git repository of a homelab: the blueprint that is in this binary,
with your answers in clusters/lumacore/settings.env and lumacore.yaml. DIR must not
exist yet, or be empty. Nothing is sent anywhere and no network is needed.

Answers come from flags, then from the file --answers, then from questions on a
terminal, which show a default where there is one. They are held against each other,
and all that is wrong is said at once. No secret is asked for, and what looks like
one is refused: at the end init says which items to create in 1Password.

The repository has two branches:

  main                 the blueprint with your answers, two commits
  lumacore/blueprint   the blueprint alone, as this lumacore ships it; a newer one is
                       committed there and merged from it later

It is made aside and put in place when it is complete: an error or Ctrl-C leaves
nothing, and the same command can be run again.

EXIT STATUS
  0  the repository was made
  1  it was refused: DIR is not empty or lies in another repository, git is missing
     or does not know who you are
  2  answers are wrong or missing, or an internal error`,
		Example: `  # asks for everything
  lumacore init homelab

  # from a file
  lumacore init --sample-answers > answers.yaml
  lumacore init homelab --answers answers.yaml`,
		Args: func(cmd *cobra.Command, args []string) error {
			if sample {
				return noArgs(cmd, args)
			}
			if len(args) == 1 && args[0] == "" {
				return report.Misuse("lumacore init homelab", "DIR is empty")
			}
			return exactArg("folder")(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if sample {
				_, err := fmt.Fprint(s.Out, homelab.Sample())
				return err
			}
			if err := out.Validate(); err != nil {
				return err
			}
			ctx := cmd.Context()
			if err := homelab.Ready(ctx, args[0]); err != nil {
				return err
			}
			a, err := answers(ctx, s, file, cmd.Flags(), given)
			if err != nil {
				return err
			}
			files, err := homelab.ReadFiles(blueprint.Files)
			if err != nil {
				return err
			}
			me := thisBinary()
			made, err := homelab.Make(ctx, a, homelab.Options{Dir: args[0], Blueprint: files, Version: me.Version, Built: built(me)})
			if err != nil {
				return err
			}
			rep, err := homelab.NewReport(made, a)
			if err != nil {
				return err
			}
			return out.Write(s, rep)
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&file, "answers", "", "YAML `file` with answers, - for stdin; --sample-answers shows its form")
	flags.BoolVar(&sample, "sample-answers", false, "print a file of answers to fill in, and make nothing")
	for _, q := range homelab.Questions {
		usage := q.Meaning
		if q.Default != nil {
			if d := q.Default(homelab.Values{}); d != "" {
				usage += " (default " + d + ")"
			}
		}
		given[q.Key] = flags.String(q.Flag, "", strings.ReplaceAll(usage, "`", "'"))
	}
	out.AddFlags(flags, report.Text, report.JSON)
	return cmd
}

// answers puts together what flags, file and person say.
func answers(ctx context.Context, s *report.Streams, file string, flags *pflag.FlagSet, given map[string]*string) (homelab.Answers, error) {
	const again = "correct them and run the same command again; nothing was written"
	a := homelab.Answers{}
	var wrong *homelab.AnswersError
	if file != "" {
		var err error
		if a, err = readAnswers(s, file); err != nil && !errors.As(err, &wrong) {
			return nil, err
		}
	}
	if a == nil {
		a = homelab.Answers{}
	}
	for _, q := range homelab.Questions {
		if flags.Changed(q.Flag) {
			a[q.Key] = homelab.Answer{Value: *given[q.Key], From: "--" + q.Flag}
		}
	}
	all := &homelab.AnswersError{}
	if wrong != nil {
		all.Mistakes = wrong.Mistakes
	}
	ask := s.InTTY && file != "-"
	if !ask {
		a.Complete()
		if wrong == nil { // else what is missing may be what could not be read
			all.Missing = a.Missing()
		}
	}
	all.Mistakes = append(all.Mistakes, a.Check()...)
	if len(all.Mistakes)+len(all.Missing) > 0 {
		next := again
		if len(all.Mistakes) == 0 {
			next = "give them as flags, or in a file: lumacore init --sample-answers; nothing was written"
		}
		return nil, report.Misuse(next, "%w", all)
	}
	if !ask {
		return a, nil
	}
	p := &homelab.Prompt{
		In: s.In, Out: s.Err,
		Suggest: homelab.Values{"timeZone": timeZone(), "ownerEmail": homelab.Email(ctx)},
		Bold: func(text string) string {
			if !s.Color {
				return text
			}
			return "\x1b[1m" + text + "\x1b[0m"
		},
	}
	fmt.Fprintln(s.Err, "Enter takes what stands in brackets. Ctrl-C ends, and nothing is written.")
	if err := p.Ask(ctx, a); err != nil {
		return nil, err
	}
	return a, nil
}

// readAnswers reads the file of answers.
func readAnswers(s *report.Streams, file string) (homelab.Answers, error) {
	if file == "-" {
		return homelab.ReadAnswers(s.In, "stdin")
	}
	f, err := os.Open(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, report.Misuse("lumacore init --sample-answers > "+file, "--answers: there is no file %s", file)
	}
	if err != nil {
		return nil, report.Misuse("", "--answers: %w", err)
	}
	defer f.Close()
	return homelab.ReadAnswers(f, file)
}

// built is when this binary was built, as far as it knows: the date of its commit. Others
// have a date that never changes, so that they too make the same commits each time.
func built(v versionReport) time.Time {
	if t, err := time.Parse(time.RFC3339, v.Time); err == nil {
		return t
	}
	return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
}

// timeZone is the time zone of this machine, or "".
func timeZone() string {
	name := os.Getenv("TZ")
	if name == "" {
		// A link into the tz database, on Linux and macOS.
		if to, err := filepath.EvalSymlinks("/etc/localtime"); err == nil {
			_, name, _ = strings.Cut(filepath.ToSlash(to), "zoneinfo/")
		}
	}
	name = strings.TrimPrefix(name, ":")
	if settings.Lookup("TIMEZONE").Check(name) != nil {
		return ""
	}
	return name
}
