package cli

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"lumacore.dev/lumacore/internal/app"
	"lumacore.dev/lumacore/internal/check"
	"lumacore.dev/lumacore/internal/check/registry"
	"lumacore.dev/lumacore/internal/gitops"
	"lumacore.dev/lumacore/internal/render"
	"lumacore.dev/lumacore/internal/report"
)

func newApp(s *report.Streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "app",
		Short: "Add an app to the repository, or take one out",
		Long: `App works on a repository that was made from the blueprint: the nearest one upwards,
or the one of --repository. It changes files and commits nothing, because what is in a
commit is for a person to say: read the difference, then commit it.`,
	}
	cmd.AddCommand(newAppNew(s), newAppRemove(s))
	return cmd
}

// appFlags are what both verbs share.
type appFlags struct {
	streams *report.Streams
	dir     string
	dryRun  bool
}

func (f *appFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.dir, "repository", "", "`folder` of the repository (default the nearest one upwards with a lumacore.yaml)")
	cmd.Flags().BoolVar(&f.dryRun, "dry-run", false, "show what would be written, and write nothing")
}

// open takes a snapshot of the repository.
func (f *appFlags) open(ctx context.Context) (*gitops.Tree, error) {
	hurry()
	go render.Prepare()
	var args []string
	if f.dir != "" {
		args = []string{f.dir}
	}
	dir, err := root(ctx, args)
	if err != nil {
		return nil, err
	}
	tree, _, err := (&repositoryFlags{streams: f.streams}).files(ctx, dir)
	return tree, err
}

func newAppNew(s *report.Streams) *cobra.Command {
	f := &appFlags{streams: s}
	var o app.Options
	var noIngress bool
	cmd := &cobra.Command{
		Use:   "new NAME --image IMAGE",
		Short: "Add an app: base, overlays, namespaces, image automation",
		Long: `New writes what an app consists of in a repository of the blueprint's shape, explained
as the apps there are:

  apps/NAME/base                       Deployment, Service, IngressRoute, PodDisruptionBudget
  overlays/{staging,prod}/NAME         version and host name of each environment
  infrastructure/namespaces/apps/      its two namespaces with quota and network policies
  infrastructure/configs/image-automation/
                                       for an image of your own registry (${REGISTRY}): new
                                       patch releases reach staging; others are Renovate's

and adds it to the lists that name apps. Before anything is written, the repository with
the app is rendered and checked in memory; an app that lumacore check would refuse is not
written. All is written or nothing, also into a work tree with other changes, and nothing
is committed.

EXIT STATUS
  0  the app was written, or with --dry-run would be
  1  there is no place for it: something of that name is there, or its check fails
  2  wrong use, or an internal error`,
		Example: `  # an image of your own registry, which staging follows
  lumacore app new web --image '${REGISTRY}/homelab/web:1.0.0' --health-path /healthz

  # somebody else's, with a secret and access to the internet
  lumacore app new reader --image ghcr.io/example/reader:v2.4.1 --port 3000 --user 1000 --secret api-key --egress-internet`,
		Args: exactArg("name"),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.Name, o.Ingress = args[0], !noIngress
			if o.Image == "" {
				return report.Misuse("name it with its version, such as --image ghcr.io/example/reader:v2.4.1", "an app needs an --image")
			}
			if noIngress && o.Host != "" {
				return report.Misuse("leave out one of them", "--host names an address, and --no-ingress says that there is none")
			}
			tree, err := f.open(cmd.Context())
			if err != nil {
				return err
			}
			defer tree.Close()
			plan, err := app.New(tree, o)
			if err != nil {
				return err
			}
			if _, _, err := f.verify(cmd.Context(), plan, "the new app"); err != nil {
				return err
			}
			if err := f.carryOut(tree, plan); err != nil {
				return err
			}
			return f.afterNew(o, plan)
		},
	}
	f.add(cmd)
	fs := cmd.Flags()
	fs.StringVar(&o.Image, "image", "", "`image` with its tag, and its digest if you know it; ${REGISTRY}/… for your own registry")
	fs.IntVar(&o.Port, "port", 8080, "`port` on which it answers HTTP")
	fs.StringVar(&o.Host, "host", "", "`name` before the domain; staging gets NAME-staging (default the app's name)")
	fs.StringVar(&o.HealthPath, "health-path", "", "`path` that answers 200 when it works (default: that the port is open is enough)")
	fs.IntVar(&o.User, "user", app.DefaultUser, "number of the `user` as whom it runs; not root")
	fs.StringSliceVar(&o.Secret, "secret", nil, "`field` of its item in 1Password, handed to it as a variable: api-key becomes API_KEY; may be repeated")
	fs.BoolVar(&o.Egress, "egress-internet", false, "it may open HTTP and HTTPS connections to the internet")
	fs.BoolVar(&o.Scrape, "scrape", false, "it has metrics: Prometheus may connect")
	fs.BoolVar(&noIngress, "no-ingress", false, "nobody reaches it from outside: no IngressRoute")
	return cmd
}

func newAppRemove(s *report.Streams) *cobra.Command {
	f := &appFlags{streams: s}
	var yes bool
	cmd := &cobra.Command{
		Use:   "remove NAME",
		Short: "Take an app out, and say what Flux will delete",
		Long: `Remove deletes the files of an app and its entries in the lists of the repository,
leaves everything else as it is, and shows before what that comes to in the cluster: what
Flux deletes and when, what stays until you delete it, which 1Password items are left.

An app that is committed is taken out in two steps, because Flux deletes its objects with
rights that it has in the app's namespaces: the first remove keeps the namespaces; the
same command takes them out when they are empty, which in production is after the next
release.

What refers to the app and does not belong to it alone is listed, and nothing is removed.
Nothing is committed.

EXIT STATUS
  0  the app was removed, or with --dry-run would be
  1  there is no such app, something refers to it, or the answer was no
  2  wrong use, or an internal error`,
		Example: `  # what would happen
  lumacore app remove web --dry-run

  # without being asked
  lumacore app remove web --yes`,
		Args: exactArg("name"),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			tree, err := f.open(ctx)
			if err != nil {
				return err
			}
			defer tree.Close()
			seen := committed(ctx, tree.Root, app.Folders(args[0]))
			plan, err := app.Remove(tree, args[0], committed(ctx, tree.Root, app.Overlays(args[0])))
			if err != nil {
				return err
			}
			before, after, err := f.verify(ctx, plan, "the repository without it")
			if err != nil {
				return err
			}
			if seen || !inGit(ctx, tree.Root) {
				err = f.fate(plan, app.FateOf(before, after))
			} else {
				_, err = fmt.Fprintf(s.Out, "%s is not committed: Flux has never seen it, and there is nothing to delete in the cluster.\n\n", plan.Name)
			}
			if err != nil {
				return err
			}
			if !f.dryRun && !yes {
				if !s.ErrTTY {
					return report.Refuse("lumacore app remove "+plan.Name+" --yes", "there is no terminal to ask on; nothing was done")
				}
				if err := confirm(ctx, s, fmt.Sprintf("This removes %s from the repository.", plan.Name)); err != nil {
					return err
				}
			}
			if err := f.carryOut(tree, plan); err != nil {
				return err
			}
			return f.afterRemove(plan)
		},
	}
	f.add(cmd)
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask before removing")
	return cmd
}

// committed tells whether the last commit has files in one of the folders.
func committed(ctx context.Context, dir string, folders []string) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	out, err := gitops.Git(ctx, dir, slices.Concat([]string{"ls-tree", "-r", "--name-only", "HEAD", "--"}, folders)...).Output()
	return err == nil && len(bytes.TrimSpace(out)) > 0
}

// inGit tells whether a folder is in a Git repository with commits.
func inGit(ctx context.Context, dir string) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	return gitops.Git(ctx, dir, "rev-parse", "--verify", "-q", "HEAD").Run() == nil
}

// verify checks the repository before and after the change, in memory, and refuses what
// fails only after. what names it.
func (f *appFlags) verify(ctx context.Context, plan *app.Plan, what string) (before, after *render.Result, err error) {
	was, will, err := plan.Trees()
	if err != nil {
		return nil, nil, err
	}
	repo := &repositoryFlags{streams: f.streams, offline: true}
	var reports [2]*report.CheckReport
	var results [2]*render.Result
	for i, tree := range []*gitops.Tree{was, will} {
		r := &repository{tree: tree}
		if err := repo.render(ctx, tree.Root, r); err != nil {
			return nil, nil, err
		}
		results[i] = r.result
		in := &check.Input{
			Tree: r.tree, Render: r.result, Config: r.config, KubeVersion: r.kube, Cache: r.cache,
			Now: time.Now(), Offline: true, Known: registry.Gates,
		}
		if reports[i], err = check.Run(ctx, registry.Gates, in); err != nil {
			return nil, nil, err
		}
	}
	rep := reports[1]
	rep.Since(reports[0], report.Base{Revision: "the repository as it is"})
	failing := slices.DeleteFunc(rep.Findings, func(f report.Finding) bool {
		return f.Suppressed != nil || !f.Severity.AtLeast(rep.FailOn)
	})
	for _, x := range failing {
		fmt.Fprintf(f.streams.Err, "%s: %s %s: %s (%s)\n  fix: %s\n", x.Location, x.Severity, x.Rule, render.OneLine(x.Message), cmp.Or(x.Object, "the file"), x.Fix)
	}
	if len(failing) > 0 {
		return nil, nil, report.Refuse("lumacore explain "+failing[0].Rule+"; nothing was written", "%s does not pass the check", what)
	}
	return results[0], results[1], nil
}

// carryOut writes the plan, or shows it.
func (f *appFlags) carryOut(tree *gitops.Tree, plan *app.Plan) error {
	var b strings.Builder
	if !f.dryRun {
		if err := plan.Apply(tree.Root); err != nil {
			next := "nothing was changed; run the command again"
			if strings.Contains(err.Error(), "taken back") {
				next = "git status shows what is left"
			} else if errors.Is(err, fs.ErrPermission) {
				next = "nothing was changed; see who may write to " + tree.Root
			}
			return report.Refuse(next, "write %s: %w", plan.Name, err)
		}
	}
	for _, c := range plan.Changes {
		verb := map[bool]string{true: "would be ", false: ""}[f.dryRun]
		switch {
		case c.Before == nil:
			fmt.Fprintf(&b, "%swritten  %s\n", verb, c.File)
		case c.After == nil:
			fmt.Fprintf(&b, "%sdeleted  %s\n", verb, c.File)
		default:
			fmt.Fprintf(&b, "%schanged  %s\n", verb, c.File)
		}
		if !f.dryRun {
			continue
		}
		for line := range strings.Lines(string(map[bool][]byte{true: c.After}[c.Before == nil])) {
			b.WriteString("    + " + line)
		}
		for _, h := range c.Hunks {
			for _, line := range h.Del {
				fmt.Fprintf(&b, "%5d - %s\n", h.Line, line)
			}
			for _, line := range h.Add {
				fmt.Fprintf(&b, "%5d + %s\n", h.Line, line)
			}
		}
	}
	for _, note := range plan.Notes {
		b.WriteString("note     " + note + "\n")
	}
	_, err := io.WriteString(f.streams.Out, b.String())
	return err
}

// fate says what becomes of the objects of a removed app.
func (f *appFlags) fate(plan *app.Plan, fate *app.Fate) error {
	var b strings.Builder
	for _, p := range fate.Pruned {
		when := "when this is on main"
		if p.Suspended {
			when = "with the next release, for it is suspended"
		}
		fmt.Fprintf(&b, "Kustomization %s deletes, %s:\n", p.Kustomization, when)
		for _, k := range p.Objects {
			lost := ""
			if k.Kind == "PersistentVolumeClaim" {
				lost = "    and the data on its volume"
			}
			fmt.Fprintf(&b, "  %s%s\n", k, lost)
		}
	}
	if len(fate.Stays) > 0 {
		b.WriteString("These stay with what is in them, until you delete them:\n")
		for _, k := range fate.Stays {
			fmt.Fprintf(&b, "  %s    kubectl delete %s %s\n", k, strings.ToLower(k.Kind), k.Name)
		}
	}
	if len(plan.Kept) > 0 {
		b.WriteString("These namespaces stay in the repository until they are empty; see below:\n")
		for _, n := range plan.Kept {
			fmt.Fprintf(&b, "  %s\n", n)
		}
	}
	if len(fate.Items) > 0 {
		b.WriteString("Nobody uses these 1Password items any more:\n")
		for _, item := range fate.Items {
			fmt.Fprintf(&b, "  %s\n", item)
		}
	}
	if b.Len() > 0 {
		b.WriteByte('\n')
	}
	_, err := io.WriteString(f.streams.Out, b.String())
	return err
}

// afterNew says what is left to do.
func (f *appFlags) afterNew(o app.Options, plan *app.Plan) error {
	var steps []string
	if len(o.Secret) > 0 {
		for _, env := range []string{"staging", "prod"} {
			steps = append(steps, fmt.Sprintf("make the 1Password item %s-%s with the fields %s", o.Name, env, strings.Join(o.Secret, ", ")))
		}
	}
	steps = append(steps,
		"read apps/"+o.Name+"/base/deployment.yaml: memory, probes, variables and volumes are the app's own",
		"lumacore check",
		fmt.Sprintf("git add -A && git commit -m 'feat(%s): new app'", o.Name),
		"have it approved for production, whose namespaces are part of it; staging runs it when main has it, production with the next release",
	)
	return f.steps(steps)
}

// afterRemove says what is left to do.
func (f *appFlags) afterRemove(plan *app.Plan) error {
	steps := []string{"lumacore check", fmt.Sprintf("git add -A && git commit -m 'feat(%s)!: remove the app'", plan.Name)}
	if len(plan.Kept) > 0 {
		steps = append(steps,
			"release production, so that its objects are deleted too",
			"when kubectl get all,ingressroutes,onepassworditems,pvc shows nothing in "+strings.Join(plan.Kept, " and ")+": lumacore app remove "+plan.Name)
	}
	return f.steps(steps)
}

func (f *appFlags) steps(steps []string) error {
	if f.dryRun {
		_, err := fmt.Fprintln(f.streams.Out, "\nNothing was written.")
		return err
	}
	var b strings.Builder
	b.WriteString("\nNothing is committed. Next:\n")
	for i, step := range steps {
		fmt.Fprintf(&b, "  %d. %s\n", i+1, step)
	}
	_, err := io.WriteString(f.streams.Out, b.String())
	return err
}
