package cli

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"lumacore.dev/lumacore/internal/lab"
	"lumacore.dev/lumacore/internal/lab/programs"
	"lumacore.dev/lumacore/internal/report"
)

// labFlags are what all verbs of the lab share.
type labFlags struct {
	dir     string
	streams *report.Streams
}

// open returns the lab. Verbs that compile or start programs need the cache;
// the others work without Go.
func (f *labFlags) open(ctx context.Context, needPrograms bool) (*lab.Lab, error) {
	cache, err := lab.DefaultCache(ctx)
	if err != nil {
		if needPrograms {
			return nil, err
		}
		root, err := programs.DefaultCache()
		if err != nil {
			return nil, err
		}
		cache = programs.OpenCache(root, "")
	}
	return f.bare(cache)
}

// bare returns the lab of the folder that was given, or of the default one.
func (f *labFlags) bare(cache *programs.Cache) (*lab.Lab, error) {
	dir := f.dir
	if dir == "" {
		var err error
		if dir, err = lab.DefaultDir(); err != nil {
			return nil, err
		}
	}
	return lab.Open(dir, cache, f.streams)
}

func newLab(s *report.Streams) *cobra.Command {
	f := &labFlags{streams: s}
	cmd := &cobra.Command{
		Use:   "lab",
		Short: "Run the blueprint for real on this machine",
		Long: `The lab runs a GitOps repository on real controllers, on this machine alone:
etcd, the Kubernetes control plane, the six Flux controllers, Gatekeeper, a Git
server and an OCI registry as plain processes on loopback. Three nodes and their
storage are simulated (KWOK): what runs on them is reported as running.

No hardware, cloud account, container engine or root is needed; Go and git are.`,
	}
	cmd.PersistentFlags().StringVar(&f.dir, "dir", "", "`folder` of the lab; two labs in two folders can run at once (default ~/.local/state/lumacore/lab)")
	cmd.AddCommand(newLabUp(f), newLabDown(f), newLabStatus(f), newLabLogs(f), newLabKubeconfig(f),
		newLabPush(f), newLabImage(f), newLabBuild(f), newLabDoctor(f), newLabSupervise(f), newLabServeGit(f), newLabServeConnect(f))
	return cmd
}

func newLabUp(f *labFlags) *cobra.Command {
	var out report.Outputs
	var within time.Duration
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Bring the lab up and wait until staging is healthy",
		Long: `Up brings the lab up:

  1. compiles the programs that are missing (the first time takes 10 to 20 minutes
     on 2 cores; later starts compile nothing and need no network);
  2. starts all components in the order of their needs, each as soon as it can;
  3. waits until every Kustomization that is not suspended is ready at the
     revision in the lab's Git repository, which starts as the blueprint.

Run again, it says that there is nothing to do. After a crash or a kill of any
part it ends in the same state. Ctrl-C stops what it started; the next up goes on.`,
		Example: `  # the default lab
  lumacore lab up

  # a second one beside it
  lumacore lab up --dir /tmp/other-lab`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := out.Validate(); err != nil {
				return err
			}
			l, err := f.open(cmd.Context(), true)
			if err != nil {
				return err
			}
			rep, already, err := l.Up(cmd.Context(), within)
			if err != nil {
				return err
			}
			if already {
				fmt.Fprintf(f.streams.Err, "The lab is up already; nothing to do.\n")
			}
			if err := out.Write(f.streams, rep); err != nil {
				return err
			}
			if out.ToStdout() == report.Text {
				return summary(f.streams, l, rep)
			}
			return nil
		},
	}
	cmd.Flags().DurationVar(&within, "timeout", 10*time.Minute, "how long to wait for components, and then for Flux; compiling does not count")
	out.AddFlags(cmd.Flags(), report.Text, report.JSON)
	return cmd
}

// summary ends `lab up`: what it means and what to try.
func summary(s *report.Streams, l *lab.Lab, rep *lab.Report) error {
	var b strings.Builder
	for _, k := range rep.Kustomizations {
		switch {
		case k.Environment == "staging" && k.Ready:
			fmt.Fprintf(&b, "\nStaging (%s) is healthy.", k.Name)
		case k.Suspended:
			fmt.Fprintf(&b, "\n%s is suspended: %s.", k.Name, k.Message)
		}
	}
	fmt.Fprintf(&b, `
Simulated: the three nodes, the pods on them, and storage (KWOK). Everything else above is the real program.

Try next:
  KUBECONFIG=%s kubectl get pods -A     # any Kubernetes client
  lumacore lab push --dirty DIR        # change a copy of the blueprint and see Flux apply it
  lumacore lab image 1.0.1             # publish a new beacon: image automation takes it to staging
`, l.Kubeconfig())
	_, err := io.WriteString(s.Out, b.String())
	return err
}

func newLabDown(f *labFlags) *cobra.Command {
	var purge, yes bool
	cmd := &cobra.Command{
		Use:   "down",
		Short: "Stop the lab",
		Long: `Down stops all processes of the lab, dependents first. Its data stays, and the
next up goes on from it; --purge deletes it. Compiled programs stay in the cache.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			l, err := f.open(cmd.Context(), false)
			if err != nil {
				return err
			}
			if purge && !yes && f.streams.ErrTTY {
				if err := confirm(cmd.Context(), f.streams, "This deletes the lab's cluster, Git repository and registry in "+l.Dir+"."); err != nil {
					return err
				}
			}
			stopped, err := l.Down(cmd.Context(), purge)
			if err != nil {
				return err
			}
			switch {
			case stopped && purge:
				fmt.Fprintf(f.streams.Out, "The lab in %s is stopped and its data is deleted.\n", l.Dir)
			case purge:
				fmt.Fprintf(f.streams.Out, "The lab in %s was not running; its data is deleted.\n", l.Dir)
			case stopped:
				fmt.Fprintf(f.streams.Out, "The lab in %s is stopped; its data stays.\n", l.Dir)
			default:
				fmt.Fprintf(f.streams.Out, "The lab in %s was not running.\n", l.Dir)
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&purge, "purge", false, "also delete the lab's data")
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask before deleting")
	return cmd
}

// confirm asks on the terminal; anything but yes refuses.
func confirm(ctx context.Context, s *report.Streams, what string) error {
	fmt.Fprintf(s.Err, "%s Go on? [y/N] ", what)
	answered := make(chan string, 1)
	go func() { // it outlives an interrupt, and the process ends
		line, _ := bufio.NewReader(s.In).ReadString('\n')
		answered <- strings.ToLower(strings.TrimSpace(line))
	}()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case a := <-answered:
		if a != "y" && a != "yes" {
			return report.Refuse("answer y, or give --yes", "nothing was done")
		}
		return nil
	}
}

func newLabStatus(f *labFlags) *cobra.Command {
	var out report.Outputs
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show what runs, as what, and where Flux stands",
		Long: `Status shows every component (real program or simulated), its memory and
restarts, and every Kustomization with its revision. It exits 1 when the lab is
not ready.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := out.Validate(); err != nil {
				return err
			}
			l, err := f.open(cmd.Context(), false)
			if err != nil {
				return err
			}
			rep, err := l.Status(cmd.Context())
			if err != nil {
				return err
			}
			if err := out.Write(f.streams, rep); err != nil {
				return err
			}
			if !rep.Ready {
				return report.Refuse("lumacore lab doctor", "the lab is not ready: %s", rep.Message)
			}
			return nil
		},
	}
	out.AddFlags(cmd.Flags(), report.Text, report.JSON)
	return cmd
}

func newLabLogs(f *labFlags) *cobra.Command {
	var follow bool
	cmd := &cobra.Command{
		Use:   "logs NAME",
		Short: "Show the log of a component",
		Args:  exactArg("component's name"),
		ValidArgsFunction: func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
			l, err := f.open(cmd.Context(), false)
			if err != nil {
				return nil, cobra.ShellCompDirectiveError
			}
			return l.LogNames(), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			l, err := f.open(cmd.Context(), false)
			if err != nil {
				return err
			}
			return l.Logs(cmd.Context(), args[0], follow, f.streams.Out)
		},
	}
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on as it grows")
	return cmd
}

func newLabKubeconfig(f *labFlags) *cobra.Command {
	var content bool
	cmd := &cobra.Command{
		Use:   "kubeconfig",
		Short: "Print the path of the administrator's kubeconfig",
		Example: `  export KUBECONFIG=$(lumacore lab kubeconfig)
  kubectl get kustomizations -n flux-system`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			l, err := f.open(cmd.Context(), false)
			if err != nil {
				return err
			}
			b, err := os.ReadFile(l.Kubeconfig())
			if err != nil {
				return report.Refuse("lumacore lab up", "no lab in %s: %w", l.Dir, err)
			}
			if content {
				_, err = f.streams.Out.Write(b)
			} else {
				_, err = fmt.Fprintln(f.streams.Out, l.Kubeconfig())
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&content, "content", false, "print the file itself; it holds the administrator's key")
	return cmd
}

func newLabPush(f *labFlags) *cobra.Command {
	var out report.Outputs
	var dirty bool
	var within time.Duration
	cmd := &cobra.Command{
		Use:   "push [DIR]",
		Short: "Push a repository to the lab and wait until Flux has applied it",
		Long: `Push brings the HEAD of a checkout (or, with --dirty, its work tree as it is) to
the lab's Git server and waits until every Kustomization that is not suspended is
ready at that revision.

DIR is the folder with clusters/ in it, by default the current one. The top folder
of a checkout is pushed with its history; a folder inside a checkout, or a work
tree, becomes one commit on top of what the lab has.

It exits 1 when Flux refuses the content, with the object and what Flux said; what
was applied before stays.`,
		Example: `  # the committed state of the current checkout
  lumacore lab push

  # what is being edited
  lumacore lab push --dirty blueprint`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return report.Misuse(cmd.CommandPath()+" --help", "%s wants one folder, got %d", cmd.CommandPath(), len(args))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := out.Validate(); err != nil {
				return err
			}
			l, err := f.open(cmd.Context(), false)
			if err != nil {
				return err
			}
			dir := "."
			if len(args) == 1 {
				dir = args[0]
			}
			rep, err := l.Push(cmd.Context(), dir, dirty, within)
			if err != nil {
				return err
			}
			return out.Write(f.streams, rep)
		},
	}
	cmd.Flags().BoolVar(&dirty, "dirty", false, "push the files as they are, committed or not")
	cmd.Flags().DurationVar(&within, "timeout", 5*time.Minute, "how long to wait for Flux")
	out.AddFlags(cmd.Flags(), report.Text, report.JSON)
	return cmd
}

func newLabImage(f *labFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "image VERSION",
		Short: "Build beacon at a version and push its image to the lab's registry",
		Long: `Image stands for the pipeline of an app's own repository: it compiles beacon at
the given version, pushes the image to the lab's registry and has Flux look at
once. Whether a version is taken to staging is up to the blueprint's ImagePolicy.`,
		Example: `  # a patch: image automation commits it to staging's overlay
  lumacore lab image 1.0.1

  # another minor line: it stays in the registry
  lumacore lab image 1.1.0`,
		Args: exactArg("version"),
		RunE: func(cmd *cobra.Command, args []string) error {
			l, err := f.open(cmd.Context(), true)
			if err != nil {
				return err
			}
			ref, err := l.PushImage(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(f.streams.Out, ref)
			return err
		},
	}
}

func newLabBuild(f *labFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "build",
		Short: "Compile the lab's programs into the cache",
		Long: `Build compiles what lab up would compile, and nothing else: afterwards lab up
needs no network. It may be interrupted; the next build goes on.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			l, err := f.open(cmd.Context(), true)
			if err != nil {
				return err
			}
			if l.Programs.Complete() {
				_, err = fmt.Fprintln(f.streams.Out, "All programs are compiled; nothing to do.")
				return err
			}
			start := time.Now()
			if err := l.Build(cmd.Context()); err != nil {
				return err
			}
			_, err = fmt.Fprintf(f.streams.Out, "All programs are compiled after %s.\n", report.Duration(time.Since(start)))
			return err
		},
	}
}

func newLabDoctor(f *labFlags) *cobra.Command {
	var out report.Outputs
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Name what keeps the lab from starting or running",
		Long:  `Doctor looks for known causes of trouble and changes nothing. It exits 1 when it finds one.`,
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := out.Validate(); err != nil {
				return err
			}
			l, err := f.open(cmd.Context(), false)
			if err != nil {
				return err
			}
			root, err := programs.DefaultCache()
			if err != nil {
				return err
			}
			rep := l.Doctor(cmd.Context(), root)
			if err := out.Write(f.streams, rep); err != nil {
				return err
			}
			if !rep.Healthy {
				return report.Refuse("", "the lab has a problem; see above")
			}
			return nil
		},
	}
	out.AddFlags(cmd.Flags(), report.Text, report.JSON)
	return cmd
}

func newLabSupervise(f *labFlags) *cobra.Command {
	return &cobra.Command{
		Use: "supervise", Short: "Run the lab's components (started by lab up)", Hidden: true, Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			l, err := f.open(cmd.Context(), true)
			if err != nil {
				return err
			}
			return l.Supervise(cmd.Context(), f.streams.Err)
		},
	}
}

func newLabServeGit(f *labFlags) *cobra.Command {
	return &cobra.Command{
		Use: "serve-git", Short: "Serve the lab's Git repository (started by the supervisor)", Hidden: true, Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			l, err := f.bare(nil) // it needs no programs
			if err != nil {
				return err
			}
			return l.ServeGit(cmd.Context())
		},
	}
}

func newLabServeConnect(f *labFlags) *cobra.Command {
	return &cobra.Command{
		Use: "serve-connect", Short: "Serve the lab's simulated 1Password Connect (started by the supervisor)", Hidden: true, Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			l, err := f.bare(nil) // it needs no programs
			if err != nil {
				return err
			}
			return l.ServeConnect(cmd.Context())
		},
	}
}
