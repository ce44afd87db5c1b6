package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"lumacore.dev/lumacore/internal/config"
	"lumacore.dev/lumacore/internal/gitlab"
	"lumacore.dev/lumacore/internal/report"
	"lumacore.dev/lumacore/internal/settings"
)

func newGitLab(s *report.Streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "gitlab",
		Short: "Govern the projects of your GitLab as code",
		Long: `GitLab holds the projects of your GitLab against hosts/gitlab/projects.yaml: how merge
requests are merged, what is protected, labels, runners, mirrors, and, where the licence
has them, approvals and push rules. plan shows what differs, apply changes it.`,
	}
	cmd.AddCommand(newGitLabPlan(s), newGitLabApply(s))
	return cmd
}

// gitLabFlags are what both verbs share.
type gitLabFlags struct {
	streams   *report.Streams
	url       string
	tokenFile string
	caFile    string
	out       report.Outputs
}

// tokenVariable holds the token; a flag would show it to every user of the machine.
const tokenVariable = "LUMACORE_GITLAB_TOKEN"

func (f *gitLabFlags) add(cmd *cobra.Command) {
	fs := cmd.Flags()
	fs.StringVar(&f.url, "url", "", "`address` of GitLab (default the host of GIT_URL in "+settings.File+")")
	fs.StringVar(&f.tokenFile, "token-file", "", "`file` with the token, readable by its owner alone (default the variable "+tokenVariable+")")
	fs.StringVar(&f.caFile, "ca-file", "", "`file` with certificates (PEM) to trust besides those of the system")
	f.out.AddFlags(fs, report.Text, report.JSON)
}

func newGitLabPlan(s *report.Streams) *cobra.Command {
	f := &gitLabFlags{streams: s}
	var exitCode bool
	cmd := &cobra.Command{
		Use:   "plan [DIR]",
		Short: "Show how GitLab differs from what is declared; change nothing",
		Long: `Plan reads the projects that hosts/gitlab/projects.yaml of the repository names, and
shows what apply would change: objects to create (+), to update (~), and to replace (±),
where GitLab has no way to change them. What needs a licence that your GitLab does not
have is "not applied"; what is there and not declared is "not managed".

DIR is the folder of the repository (default the nearest one upwards with a
lumacore.yaml). A token with the scope read_api, of an account with the role Maintainer, is
enough. With --exit-code it is a test for drift.

EXIT STATUS
  0  GitLab was read, whether it differs or not
  1  with --exit-code: it differs, or waits for a runner; else: GitLab refused to say
  2  wrong use, a mistake in the file, or an internal error`,
		Example: `  LUMACORE_GITLAB_TOKEN=$(op read op://lumacore/gitlab-governance/token) lumacore gitlab plan

  # in a scheduled pipeline
  lumacore gitlab plan --token-file /run/secrets/gitlab/token --exit-code -o json`,
		Args: oneFolder,
		RunE: func(cmd *cobra.Command, args []string) error {
			server, projects, err := f.open(cmd.Context(), args)
			if err != nil {
				return err
			}
			rep, err := server.Plan(cmd.Context(), projects)
			if err != nil {
				return err
			}
			if err := f.out.Write(s, rep); err != nil {
				return err
			}
			if exitCode && rep.Differs() {
				return report.Refuse("lumacore gitlab apply", "GitLab is not as declared")
			}
			return nil
		},
	}
	f.add(cmd)
	cmd.Flags().BoolVar(&exitCode, "exit-code", false, "end with 1 when GitLab is not as declared")
	return cmd
}

func newGitLabApply(s *report.Streams) *cobra.Command {
	f := &gitLabFlags{streams: s}
	var yes bool
	cmd := &cobra.Command{
		Use:   "apply [DIR]",
		Short: "Make GitLab as declared, after showing what that changes",
		Long: `Apply shows the plan, asks, makes the changes one after the other, and reads everything
again to see that GitLab kept them. It may be run any number of times: where nothing
differs, nothing is sent.

When a change fails, the report says what was made, what failed and what was not reached;
the same command goes on there. What needs a licence that your GitLab does not have is
left out, by name. What is not declared is never changed and never deleted.

The token needs the scope api, of an account with the role Maintainer in each project.

EXIT STATUS
  0  GitLab is as declared, apart from what needs another licence
  1  it is not: a change failed, a declared runner is not there, or the answer was no
  2  wrong use, a mistake in the file, or an internal error`,
		Example: `  LUMACORE_GITLAB_TOKEN=$(op read op://lumacore/gitlab-governance/token) lumacore gitlab apply

  # without being asked
  lumacore gitlab apply --token-file ~/.config/lumacore/gitlab-token --yes`,
		Args: oneFolder,
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			server, projects, err := f.open(ctx, args)
			if err != nil {
				return err
			}
			rep, err := server.Plan(ctx, projects)
			if err != nil {
				return err
			}
			if len(rep.Changes) > 0 && !yes {
				// The result goes to stdout once, when all is done.
				if err := rep.Text(s, s.Err); err != nil {
					return err
				}
				if !s.InTTY {
					return report.Refuse("read the plan, then: lumacore gitlab apply --yes", "there is no terminal to ask on; nothing was changed")
				}
				if err := confirm(ctx, s, fmt.Sprintf("This changes %s.", rep.URL)); err != nil {
					return err
				}
			}
			applied := server.Apply(ctx, projects, rep, func(c *gitlab.Change) {
				fmt.Fprintf(s.Err, "%s: %s %s of %s\n", c.Status, c.Action, report.Clean(c.Object, 300), c.Project)
			})
			if err := f.out.Write(s, rep); err != nil {
				return errors.Join(applied, err)
			}
			switch {
			case applied != nil:
				return applied
			case rep.Waits():
				return report.Refuse("see what is not applied above; then the same command again", "not all that is declared could be applied")
			}
			return nil
		},
	}
	f.add(cmd)
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask before changing")
	return cmd
}

// oneFolder takes the folder of a repository, or nothing.
func oneFolder(cmd *cobra.Command, args []string) error {
	if len(args) > 1 {
		return report.Misuse(cmd.CommandPath()+" --help", "%s takes one folder, got %d arguments", cmd.CommandPath(), len(args))
	}
	return nil
}

// open reads what is declared, and prepares to talk to GitLab.
func (f *gitLabFlags) open(ctx context.Context, args []string) (*gitlab.Server, []config.GitLabProject, error) {
	if err := f.out.Validate(); err != nil {
		return nil, nil, err
	}
	dir, err := root(ctx, args)
	if err != nil {
		return nil, nil, err
	}
	if fi, err := os.Stat(dir); err != nil || !fi.IsDir() {
		return nil, nil, report.Misuse("name the folder of your repository", "there is no folder %s", dir)
	}
	projects, there, err := config.LoadGitLabProjects(folder(dir))
	switch {
	case err != nil:
		return nil, nil, report.Misuse("the comments of the file explain every key, and so does its schema in .schemas", "%w", err)
	case !there:
		return nil, nil, report.Misuse("name the folder of a repository that was made from the blueprint", "%s has no %s", dir, config.GitLabFile)
	case len(projects) == 0:
		return nil, nil, report.Misuse("name your projects in it", "%s names no project", config.GitLabFile)
	}
	url, err := f.address(dir)
	if err != nil {
		return nil, nil, err
	}
	token, err := f.token()
	if err != nil {
		return nil, nil, err
	}
	server, err := gitlab.Connect(gitlab.Options{
		URL: url, Token: token, CAFile: f.caFile,
		MirrorToken: func(m config.GitLabMirror) (string, error) { return mirrorToken(dir, m) },
		Waiting: func(d time.Duration) {
			fmt.Fprintf(f.streams.Err, "GitLab's rate limit: waiting for %s\n", d.Round(time.Second))
		},
	})
	return server, projects, err
}

// folder is a folder as a tree of files.
type folder string

func (d folder) IsFile(name string) bool {
	fi, err := os.Stat(filepath.Join(string(d), filepath.FromSlash(name)))
	return err == nil && fi.Mode().IsRegular()
}

func (d folder) ReadFile(name string) ([]byte, error) {
	f, err := os.Open(filepath.Join(string(d), filepath.FromSlash(name)))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, config.MaxSize+1)) // more is refused by its size
}

// address is where GitLab is.
func (f *gitLabFlags) address(dir string) (string, error) {
	if f.url != "" {
		return f.url, nil
	}
	const next = "give the address with --url"
	data, err := folder(dir).ReadFile(settings.File)
	if errors.Is(err, fs.ErrNotExist) {
		return "", report.Misuse(next, "there is no %s, which would say where GitLab is", settings.File)
	} else if err != nil {
		return "", report.Misuse(next, "%w", err)
	}
	list, _ := settings.Parse(data)
	for _, v := range list {
		if v.Name != "GIT_URL" {
			continue
		}
		if wrong := settings.Lookup(v.Name).Check(v.Value); wrong != nil {
			return "", report.Misuse("put it right, or "+next, "%s:%d: %s", settings.File, v.Line, wrong.Message)
		}
		url, err := gitlab.BaseURL(v.Value)
		if err != nil {
			return "", report.Misuse("put it right, or "+next, "%s:%d: GIT_URL: %w", settings.File, v.Line, err)
		}
		return url, nil
	}
	return "", report.Misuse(next, "%s has no GIT_URL", settings.File)
}

// token reads the token from its file or its variable.
func (f *gitLabFlags) token() (string, error) {
	if f.tokenFile != "" {
		token, err := secretFile(f.tokenFile)
		if err != nil {
			return "", report.Misuse("write the token alone into that file, and chmod 600 it", "the token of --token-file: %w", err)
		}
		return token, nil
	}
	if token := os.Getenv(tokenVariable); token != "" {
		return token, nil
	}
	return "", report.Misuse("make one in GitLab (Edit profile, Access tokens, scope api; read_api for plan) and set "+tokenVariable+" or --token-file", "there is no token for GitLab")
}

// mirrorToken reads the token of a push mirror; a file is relative to the repository.
func mirrorToken(dir string, m config.GitLabMirror) (string, error) {
	if m.TokenEnv != "" {
		if token := os.Getenv(m.TokenEnv); token != "" {
			return token, nil
		}
		return "", fmt.Errorf("the variable %s is not set", m.TokenEnv)
	}
	path := m.TokenFile
	if !filepath.IsAbs(path) {
		path = filepath.Join(dir, path)
	}
	return secretFile(path)
}

// secretFile reads a secret of one line from a file that nobody else can read.
func secretFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	fi, err := f.Stat()
	switch {
	case err != nil:
		return "", err
	case fi.IsDir():
		return "", fmt.Errorf("%s is a folder", path)
	case fi.Mode().IsRegular() && fi.Mode().Perm()&0o077 != 0:
		return "", fmt.Errorf("%s can be read by others (mode %04o): chmod 600 %s", path, fi.Mode().Perm(), path)
	}
	data, err := io.ReadAll(io.LimitReader(f, 4096))
	if err != nil {
		return "", err
	}
	token := string(bytes.TrimSpace(data))
	if token == "" {
		return "", fmt.Errorf("%s is empty", path)
	}
	if strings.ContainsAny(token, "\r\n") {
		return "", fmt.Errorf("%s has more than one line", path)
	}
	return token, nil
}
