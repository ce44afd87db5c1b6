package cli

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"lumacore.dev/lumacore/internal/cache"
	"lumacore.dev/lumacore/internal/config"
	"lumacore.dev/lumacore/internal/evidence"
	"lumacore.dev/lumacore/internal/gitops"
	"lumacore.dev/lumacore/internal/lab/programs"
	"lumacore.dev/lumacore/internal/mirror"
	"lumacore.dev/lumacore/internal/report"
)

func newMirror(s *report.Streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "mirror",
		Short: "Publish a clean part of the repository, and prove that it is clean",
		Long: `Mirror publishes what lumacore.yaml lets through (section mirror) as a public repository.

Each sync is one commit with a fresh tree: the files of a revision, with what is declared
to be replaced, searched for secrets, private addresses, names and whatever else must not
become public, also in encodings, archives and metadata. Whatever cannot be decided, read,
searched or built stops it, and then nothing is written.

  plan     what would be published, and why
  sync     publish it
  verify   clone the mirror, search all its history, hold it against its source
  repair   after a leak: what was exposed, since when; a new history`,
	}
	cmd.AddCommand(newMirrorPlan(s), newMirrorSync(s), newMirrorVerify(s), newMirrorRepair(s))
	return cmd
}

// mirrorFlags are what all verbs share.
type mirrorFlags struct {
	streams  *report.Streams
	path     string
	revision string
	to       string
	branch   string
	access   mirror.Access
	key      string
	evidence evidenceFlags
	out      report.Outputs
}

func (f *mirrorFlags) add(cmd *cobra.Command, signs bool) {
	fs := cmd.Flags()
	fs.StringVar(&f.path, "path", "", "`folder` of the repository (default the nearest one upwards with a lumacore.yaml)")
	fs.StringVar(&f.revision, "revision", "HEAD", "`revision` that is published, with the rules that it has itself")
	fs.StringVar(&f.to, "to", "", "`address` of the mirror (default mirror.url in lumacore.yaml)")
	fs.StringVar(&f.branch, "branch", "", "`branch` of the mirror (default mirror.branch in lumacore.yaml, or "+config.DefaultMirrorBranch+")")
	fs.StringVar(&f.access.TokenFile, "token-file", "", "`file` with the token for HTTPS, readable by its owner alone")
	fs.StringVar(&f.access.SSHKeyFile, "ssh-key-file", "", "`file` with the key for SSH, readable by its owner alone")
	fs.StringVar(&f.access.KnownHostsFile, "known-hosts-file", "", "`file` with the keys of SSH servers (default those of ssh itself)")
	fs.StringVar(&f.access.CAFile, "ca-file", "", "`file` with certificates (PEM) to trust besides those of the system")
	if signs {
		fs.StringVar(&f.key, "signing-key-file", "", "`file` with the SSH key that signs the commits of the mirror, without a passphrase; its public half is in mirror.signers")
	}
	f.out.AddFlags(fs, report.Text, report.JSON)
}

// open finds the repository and the mirror.
func (f *mirrorFlags) open(ctx context.Context) (mirror.Source, mirror.Target, error) {
	var src mirror.Source
	var to mirror.Target
	if err := f.out.Validate(); err != nil {
		return src, to, err
	}
	for _, file := range []string{f.access.TokenFile, f.access.SSHKeyFile, f.key} {
		if err := private(file); err != nil {
			return src, to, err
		}
	}
	if f.to != "" {
		if why := config.MirrorAddress(f.to); why != "" {
			return src, to, report.Misuse("", "--to %s", why)
		}
	}
	var args []string
	if f.path != "" {
		args = []string{f.path}
	}
	dir, err := root(ctx, args)
	if err != nil {
		return src, to, err
	}
	cfg, err := mirror.Load(ctx, dir, f.revision)
	if err != nil {
		return src, to, f.explain(err)
	}
	kept, err := programs.DefaultCache()
	if err != nil {
		return src, to, err
	}
	src = mirror.Source{Dir: dir, Revision: f.revision, Now: time.Now(), Cache: cache.Open(filepath.Join(kept, "mirror"))}
	to = mirror.Target{
		URL: cmp.Or(f.to, cfg.URL), Branch: cmp.Or(f.branch, cfg.Branch, config.DefaultMirrorBranch),
		Access: f.access, Folder: filepath.Join(kept, "mirrors"),
	}
	for _, file := range []*string{&to.Access.TokenFile, &to.Access.SSHKeyFile, &to.Access.KnownHostsFile, &to.Access.CAFile, &f.key} {
		if *file == "" {
			continue
		}
		if *file, err = filepath.Abs(*file); err != nil {
			return src, to, err
		}
	}
	return src, to, nil
}

// private says that a file with a credential must be there, and its owner's alone.
func private(file string) error {
	if file == "" {
		return nil
	}
	fi, err := os.Stat(file)
	switch {
	case err != nil:
		return report.Misuse("name the file that has the credential", "%w", err)
	case fi.IsDir():
		return report.Misuse("name the file in it that has the credential", "%s is a folder", file)
	case fi.Mode().Perm()&0o077 != 0:
		return report.Misuse("chmod 600 "+file, "%s can be read by others (mode %#o): whoever reads it can push to the mirror", file, fi.Mode().Perm())
	}
	return nil
}

// explain gives errors of the domain their place in the exit codes.
func (f *mirrorFlags) explain(err error) error {
	var trouble *mirror.Trouble
	var none *mirror.NoMirror
	var revision *gitops.RevisionError
	var wrong *config.Error
	switch {
	case errors.As(err, &trouble):
		return report.Refuse(trouble.Next, "%w", err)
	case errors.As(err, &none):
		return report.Misuse("add a section mirror, docs/mirror.md of LumaCore has one to begin with, and commit it", "%w", err)
	case errors.As(err, &revision):
		return report.Misuse(revision.Next, "%w", err)
	case errors.As(err, &wrong):
		return report.Misuse("correct and commit "+config.File, "%w", err)
	}
	return err
}

func (f *mirrorFlags) progress(format string, args ...any) {
	fmt.Fprintf(f.streams.Err, format+"\n", args...)
}

func newMirrorPlan(s *report.Streams) *cobra.Command {
	f := &mirrorFlags{streams: s}
	var offline bool
	var tree string
	cmd := &cobra.Command{
		Use:   "plan",
		Short: "Show what would be published, and which rule decided",
		Long: `Plan makes what a sync would publish, searches it, and holds it against what is on the
mirror: files added (+), changed (~) and removed (-), each with the rule that decided. With
-o json every file of the revision is listed, also what is withheld. The documentation is
not built, and nothing is written.

With --tree the files that would be published are written to a folder, if nothing stops
them: for other scanners, and to build the documentation of them.

EXIT STATUS
  0  nothing stops a sync, as far as plan looks
  1  something does, or the mirror cannot be reached
  2  wrong use, a mistake in lumacore.yaml, or an internal error`,
		Example: `  lumacore mirror plan

  # in a merge request: without asking the mirror, and for other scanners
  lumacore mirror plan --offline --tree candidate

  # what of the newest commit would become public
  lumacore mirror plan --revision HEAD -o json | jq '.decisions[] | select(.verdict != "withheld")'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			src, to, err := f.open(cmd.Context())
			if err != nil {
				return err
			}
			to.Offline = offline
			rep, err := mirror.Plan(cmd.Context(), src, to, tree)
			return f.finish(rep, err)
		},
	}
	f.add(cmd, false)
	cmd.Flags().BoolVar(&offline, "offline", false, "do not ask the mirror: every file counts as added")
	cmd.Flags().StringVar(&tree, "tree", "", "write the files that would be published to this `folder`, which must not exist")
	return cmd
}

// finish writes a report, and says whether it is one that stops.
func (f *mirrorFlags) finish(r *mirror.Report, err error) error {
	if err != nil {
		return f.explain(err)
	}
	if err := f.out.Write(f.streams, r); err != nil {
		return err
	}
	if r.Result != mirror.Blocked {
		return nil
	}
	next := "take it out, replace it (mirror.replace), withhold it (mirror.withhold), or allow it with reason and end (.gitallowed); then commit"
	if r.Alarm {
		next = "find out who: lumacore mirror verify, then the handbook: When the mirror is blocked"
	}
	return report.Refuse(next, "the mirror is blocked: %d must not become public, %d more reasons", len(r.Findings), len(r.Problems))
}

func newMirrorSync(s *report.Streams) *cobra.Command {
	f := &mirrorFlags{streams: s}
	var withoutDocs bool
	cmd := &cobra.Command{
		Use:   "sync",
		Short: "Publish a revision, if nothing stops it",
		Long: `Sync makes what plan shows, builds the documentation in it (mkdocs build --strict), and
pushes one signed commit to the mirror's branch. The commit has the source's revision in its
message and nothing else of it: no history, no author, no message.

It goes on from the mirror's newest commit only if lumacore made that, with a key of
mirror.signers, from a revision that this one follows. History is never rewritten. It may be
run any number of times, and stopped at any moment: the mirror is at a complete commit. The
report with -o json is the receipt.

EXIT STATUS
  0  the mirror has the revision
  1  nothing was published: something must not become public, or the server refused
  2  wrong use, a mistake in lumacore.yaml, or an internal error`,
		Example: `  lumacore mirror sync --token-file /run/secrets/mirror-github/token \
    --signing-key-file ~/.ssh/mirror -o json --output-file receipt.json -o text`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.key == "" {
				return report.Misuse("ssh-keygen -t ed25519 -f mirror makes one; its public half goes into mirror.signers", "--signing-key-file is missing: commits of the mirror are signed")
			}
			store, err := f.evidence.open()
			if err != nil {
				return err
			}
			record := evidence.Record{Kind: evidence.Mirror, Subject: mirror.SyncSubject}
			return keep(cmd.Context(), store, &record, func() error {
				src, to, err := f.open(cmd.Context())
				if err != nil {
					return err
				}
				rep, err := mirror.Sync(cmd.Context(), src, to, mirror.Options{SigningKey: f.key, WithoutDocs: withoutDocs, Progress: f.progress})
				if rep != nil {
					record = rep.Evidence()
				}
				return f.finish(rep, err)
			})
		},
	}
	f.add(cmd, true)
	f.evidence.add(cmd.Flags(), "", "`where` to keep the receipt on record")
	cmd.Flags().BoolVar(&withoutDocs, "without-docs", false, "do not build the documentation: something else has, of the same files (mirror plan --tree)")
	return cmd
}

func newMirrorVerify(s *report.Streams) *cobra.Command {
	f := &mirrorFlags{streams: s}
	cmd := &cobra.Command{
		Use:   "verify [URL]",
		Short: "Search all history of the mirror, and hold it against its source",
		Long: `Verify fetches the mirror with its whole history and looks at every file of every commit,
by today's rules and words. It makes the tree of each commit anew, from the revision that it
names and the rules which that has, and compares. And it tells whatever lumacore has not
made: a commit by somebody else, another branch or tag, a signature that is missing.

What an earlier run found clean is not searched again, unless the rules have changed.

EXIT STATUS
  0  all is clean, and lumacore has made it
  1  it is not, or the mirror cannot be reached
  2  wrong use, a mistake in lumacore.yaml, or an internal error`,
		Example: `  lumacore mirror verify

  # as a stranger sees it
  lumacore mirror verify https://github.com/octocat/homelab.git -o json`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return report.Misuse(cmd.CommandPath()+" --help", "%s takes one address, got %d", cmd.CommandPath(), len(args))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				f.to = args[0]
			}
			store, err := f.evidence.open()
			if err != nil {
				return err
			}
			record := evidence.Record{Kind: evidence.Mirror, Subject: mirror.VerifySubject}
			return keep(cmd.Context(), store, &record, func() error {
				v, err := f.verify(cmd.Context())
				if err != nil {
					return err
				}
				record = v.Evidence()
				if err := f.out.Write(s, v); err != nil {
					return err
				}
				if v.Result == mirror.Dirty {
					return report.Refuse("the handbook: When the mirror is blocked; lumacore mirror repair", "the mirror is not clean")
				}
				return nil
			})
		},
	}
	f.add(cmd, false)
	f.evidence.add(cmd.Flags(), "", "`where` to keep the result on record")
	return cmd
}

func (f *mirrorFlags) verify(ctx context.Context) (*mirror.Verification, error) {
	src, to, err := f.open(ctx)
	if err != nil {
		return nil, err
	}
	if to.URL == "" {
		return nil, report.Misuse("name it as an argument, or as mirror.url in lumacore.yaml", "the mirror has no address")
	}
	v, err := mirror.Verify(ctx, src, to, f.progress)
	return v, f.explain(err)
}

func newMirrorRepair(s *report.Streams) *cobra.Command {
	f := &mirrorFlags{streams: s}
	var rewrite bool
	cmd := &cobra.Command{
		Use:   "repair",
		Short: "After a leak: what was exposed, since when; a new history",
		Long: `Repair says what is public and must not be: where, since when, in which commits, and what
to do, in that order. A secret that was public for a minute is known to strangers. Make a
new one first: taking it away comes after, and brings nothing back.

With --rewrite the mirror's history is replaced by one commit of the revision, which must be
clean. That is asked for: type the mirror's address. Copies that others have made stay, and
the host keeps old commits for a while; ask its support to delete them.

EXIT STATUS
  0  the mirror was clean, or has a new history
  1  it is not clean, or the answer was no
  2  wrong use, a mistake in lumacore.yaml, or an internal error`,
		Example: `  lumacore mirror repair

  lumacore mirror repair --rewrite --token-file ~/mirror-token --signing-key-file ~/.ssh/mirror`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			if rewrite && f.key == "" {
				return report.Misuse("", "--signing-key-file is missing: commits of the mirror are signed")
			}
			v, err := f.verify(ctx)
			if err != nil {
				return err
			}
			if !rewrite {
				if err := f.out.Write(s, v); err != nil {
					return err
				}
				if v.Result == mirror.Clean {
					return nil
				}
				if f.out.ToStdout() == report.Text {
					fmt.Fprint(s.Out, repairSteps)
				}
				return report.Refuse("lumacore mirror repair --rewrite, after all else", "the mirror is not clean")
			}
			if err := v.Text(s, s.Err); err != nil {
				return err
			}
			src, to, err := f.open(ctx)
			if err != nil {
				return err
			}
			fmt.Fprintf(s.Err, "\nThis deletes all %d commits of branch %s at %s.\nType its address to go on: ", v.Commits, to.Branch, to.URL)
			if err := typed(ctx, s, to.URL); err != nil {
				return err
			}
			rep, err := mirror.Rewrite(ctx, src, to, mirror.Options{SigningKey: f.key, Progress: f.progress})
			return f.finish(rep, err)
		},
	}
	f.add(cmd, true)
	cmd.Flags().BoolVar(&rewrite, "rewrite", false, "replace the mirror's history by one commit, after typing its address")
	return cmd
}

const repairSteps = `
What to do
  1. Make every secret in the list anew, and end the old one: secrets.register.yaml says how.
     Addresses and names cannot be made anew; decide whether it matters that they are known.
  2. Take it out of the repository, or out of what is published (mirror.withhold,
     mirror.replace), commit, and look: lumacore mirror plan
  3. Whatever lumacore has not made: find out who could push, and end that credential.
  4. A new history: lumacore mirror repair --rewrite
  5. Ask the host's support to delete what it keeps of the old one.
`

// typed waits until a person types a text.
func typed(ctx context.Context, s *report.Streams, want string) error {
	line := make(chan string, 1)
	go func() {
		text, _ := bufio.NewReader(s.In).ReadString('\n')
		line <- text
	}()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case text := <-line:
		if strings.TrimSpace(text) != want {
			return report.Refuse("", "that is not the address; nothing was changed")
		}
		return nil
	}
}
