// Package cli is the command line: one file per verb. A verb reads its flags,
// makes one call into a domain package and writes the result; it decides
// nothing.
package cli

import (
	"cmp"
	"context"
	"io"
	"log"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"lumacore.dev/lumacore/internal/report"
)

// Main runs the command line of this process and returns its exit code.
func Main() int {
	// Helm and its libraries warn through the standard loggers, about things that
	// gates report with a place. stderr is for what lumacore has to say.
	log.SetOutput(io.Discard)
	slog.SetDefault(slog.New(slog.DiscardHandler))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the process at once
	return Run(ctx, report.System(), os.Args[1:])
}

// Run runs one command line and returns its exit code.
func Run(ctx context.Context, s *report.Streams, args []string) int {
	root := New(s)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err != nil {
		s.PrintError(err)
	}
	return report.ExitCode(err)
}

// New returns the command tree. It does no work: help, completion and version
// must answer at once.
func New(s *report.Streams) *cobra.Command {
	root := &cobra.Command{
		Use:   "lumacore",
		Short: "A homelab you can prove",
		Long: `lumacore is the tool of a GitOps homelab whose claims are proven: it runs the
blueprint for real on one machine, and (as it grows) checks, promotes, releases,
mirrors, backs up and drills the real one.

stdout is the result, stderr is progress. Every flag can be set by a variable:
--output-file is LUMACORE_OUTPUT_FILE.

EXIT STATUS
  0    fine
  1    findings, or an action that was refused or did not succeed
  2    wrong use, or an internal error
  130  interrupted; the same command goes on where this one stopped`,
		SilenceErrors: true,
		SilenceUsage:  true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			return fromEnvironment(cmd.Flags())
		},
	}
	root.SetIn(s.In)
	root.SetOut(s.Out)
	root.SetErr(s.Err)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return report.Misuse(cmd.CommandPath()+" --help", "%w", err)
	})
	root.AddCommand(newVersion(s), newInit(s), newLab(s), newApp(s), newCheck(s), newExplain(s), newRender(s), newDiff(s), newPromote(s), newMirror(s), newGitLab(s), newStatus(s), newExporter(s))
	// cobra adds these two when it runs, too late for unknownCommands.
	root.InitDefaultCompletionCmd()
	root.InitDefaultHelpCmd()
	unknownCommands(root)
	helpOfUnknown(root)
	return root
}

// helpOfUnknown makes help refuse a topic that there is not; cobra prints the
// help of the last command that it knows and ends well.
func helpOfUnknown(root *cobra.Command) {
	help, _, err := root.Find([]string{"help"})
	if err != nil {
		return
	}
	show := help.Run
	help.Run = nil
	help.RunE = func(cmd *cobra.Command, args []string) error {
		topic, rest, err := root.Find(args)
		if err != nil {
			return err
		}
		if topic.HasSubCommands() && len(rest) > 0 {
			return topic.Args(topic, rest)
		}
		show(cmd, args)
		return nil
	}
}

// unknownCommands makes every command that only groups others refuse a word that
// is none of them; cobra does so for the root alone, and prints help otherwise.
func unknownCommands(cmd *cobra.Command) {
	if cmd.HasSubCommands() && !cmd.Runnable() {
		cmd.SuggestionsMinimumDistance = 2 // cobra's own default, which it sets for the root alone
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			next := cmd.CommandPath() + " --help"
			if s := cmd.SuggestionsFor(args[0]); len(s) > 0 {
				next = "did you mean " + cmd.CommandPath() + " " + cmp.Or(report.Nearest(args[0], s), s[0]) + "?"
			}
			return report.Misuse(next, "%s has no command %q", cmd.CommandPath(), args[0])
		}
		cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	}
	for _, c := range cmd.Commands() {
		unknownCommands(c)
	}
}

// fromEnvironment sets every flag that was not given from its variable.
func fromEnvironment(flags *pflag.FlagSet) error {
	var err error
	flags.VisitAll(func(f *pflag.Flag) {
		v, ok := os.LookupEnv("LUMACORE_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_")))
		if !ok || f.Changed || err != nil || f.Name == "help" {
			return
		}
		if serr := flags.Set(f.Name, v); serr != nil {
			err = report.Misuse("", "LUMACORE_%s: %w", strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_")), serr)
		}
	})
	return err
}

// noArgs refuses arguments in the owner's words.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return report.Misuse(cmd.CommandPath()+" --help", "%s takes no argument, got %q", cmd.CommandPath(), args[0])
	}
	return nil
}

// exactArg wants one argument, named for the message.
func exactArg(name string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != 1 {
			return report.Misuse(cmd.CommandPath()+" --help", "%s wants one %s, got %d", cmd.CommandPath(), name, len(args))
		}
		return nil
	}
}
