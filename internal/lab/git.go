package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"lumacore.dev/lumacore/blueprint"
	"lumacore.dev/lumacore/internal/lab/gitserver"
	"lumacore.dev/lumacore/internal/report"
)

const (
	repositoryName = "lumacore"
	branch         = "main"
	gitUser        = "lab"
)

// author is who commits what the lab itself puts into its repository.
var author = []string{
	"GIT_AUTHOR_NAME=LumaCore lab", "GIT_AUTHOR_EMAIL=lab@lumacore.invalid",
	"GIT_COMMITTER_NAME=LumaCore lab", "GIT_COMMITTER_EMAIL=lab@lumacore.invalid",
}

func (l *Lab) gitURL(s settings) string {
	return "http://" + s.Ports.addr("git") + "/" + repositoryName + ".git"
}

// git runs git and returns its trimmed stdout. The user's and the system's
// configuration do not count: hooks, signing and aliases of a person must not
// change what the lab does. Nor do git's variables: the caller may sit in a hook
// or a rebase, where they point elsewhere.
func git(ctx context.Context, env []string, args ...string) (string, error) {
	return gitInput(ctx, nil, env, args...)
}

// gitInput is git with something on its stdin.
func gitInput(ctx context.Context, stdin []byte, env []string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Env = slices.DeleteFunc(os.Environ(), func(kv string) bool {
		return strings.HasPrefix(kv, "GIT_") && !strings.HasPrefix(kv, "GIT_EXEC_PATH=") && !strings.HasPrefix(kv, "GIT_TRACE")
	})
	cmd.Env = append(cmd.Env, "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_TERMINAL_PROMPT=0")
	cmd.Env = append(cmd.Env, env...)
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(stdin), &out, &errs
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		return "", fmt.Errorf("git %s: %w: %s", verb(args), err, strings.TrimSpace(errs.String()))
	}
	return strings.TrimSpace(out.String()), nil
}

// verb is the git command among the arguments, for messages.
func verb(args []string) string {
	for i := 0; i < len(args); i++ {
		switch {
		case args[i] == "-C" || args[i] == "-c" || args[i] == "--git-dir":
			i++
		case !strings.HasPrefix(args[i], "-"):
			return args[i]
		}
	}
	return strings.Join(args, " ")
}

// ServeGit is the lab's Git server; it runs as a component of its own.
func (l *Lab) ServeGit(ctx context.Context) error {
	s, err := l.loadSettings()
	if err != nil {
		return err
	}
	h, err := gitserver.Handler(l.gitRoot(), gitUser, s.Password, func() { go l.webhook(ctx) })
	if err != nil {
		return err
	}
	return serve(ctx, s.Ports.addr("git"), h)
}

// webhook tells Flux that something was pushed, as GitLab does through a
// Receiver. Flux finds out by itself within a minute if that fails.
func (l *Lab) webhook(ctx context.Context) {
	token := newToken()
	err := poll(ctx, 10*time.Second, func() error {
		c, err := newClient(l.kubeconfig("git"))
		if err != nil {
			return err
		}
		return requestReconcile(ctx, c, gitRepositoryKind, syncKey, token)
	})
	if err != nil {
		fmt.Fprintf(l.Streams.Err, "Flux was not told of a push: %v\n", err)
	}
}

// seedGit makes the bare repository and, if it has no main branch yet, commits
// the blueprint that is embedded in this binary.
func (l *Lab) seedGit(ctx context.Context, s settings) error {
	repo := l.repository()
	if _, err := git(ctx, nil, "init", "--quiet", "--bare", "--initial-branch="+branch, repo); err != nil {
		return err
	}
	for k, v := range map[string]string{
		"http.receivepack":             "true",
		"receive.fsckObjects":          "true",
		"receive.denyDeletes":          "true",
		"receive.advertisePushOptions": "true",
		"gc.auto":                      "0", // no background process of git's own
	} {
		if _, err := git(ctx, nil, "-C", repo, "config", k, v); err != nil {
			return err
		}
	}
	if tip, _ := l.tip(ctx); tip != "" {
		return nil
	}
	tmp, err := os.MkdirTemp(l.path("tmp"), "seed-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	if err := WriteBlueprint(tmp); err != nil {
		return err
	}
	tree, err := l.writeTree(ctx, tmp, "--force")
	if err != nil {
		return err
	}
	commit, err := git(ctx, author, "-C", repo, "commit-tree", tree, "-m", "chore: the blueprint as lumacore ships it")
	if err != nil {
		return err
	}
	_, err = git(ctx, nil, "-C", repo, "update-ref", "refs/heads/"+branch, commit)
	return err
}

// WriteBlueprint writes the embedded blueprint below dir.
func WriteBlueprint(dir string) error {
	return fs.WalkDir(blueprint.Files, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		target := filepath.Join(dir, filepath.FromSlash(path))
		if d.IsDir() {
			return os.MkdirAll(target, 0o755)
		}
		b, err := blueprint.Files.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(target, b, 0o644)
	})
}

// writeTree writes the files below dir as a tree object into the lab's
// repository. What .gitignore files in it name is left out, unless options say
// otherwise.
func (l *Lab) writeTree(ctx context.Context, dir string, options ...string) (string, error) {
	return l.indexed(ctx, dir, func(env []string) error {
		add := append([]string{
			"-C", dir, "-c", "core.bare=false",
			"-c", "core.excludesFile=/dev/null", "-c", "core.attributesFile=/dev/null", "add", "--all",
		}, options...)
		_, err := git(ctx, env, append(add, ".")...)
		return err
	})
}

// checkoutTree writes a folder of a checkout as it is now: what is tracked,
// ignored or not, and what would be if it were added.
func (l *Lab) checkoutTree(ctx context.Context, dir string) (string, error) {
	files, err := git(ctx, nil, "-C", dir, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	if err != nil {
		return "", err
	}
	return l.indexed(ctx, dir, func(env []string) error {
		_, err := gitInput(ctx, []byte(files), env, "-C", dir, "-c", "core.bare=false", "-c", "core.attributesFile=/dev/null",
			"update-index", "--add", "--remove", "-z", "--stdin")
		return err
	})
}

// indexed writes the tree of an index that fill has filled, with dir as the work
// tree of the lab's repository. No index or repository that dir may be in is
// touched.
func (l *Lab) indexed(ctx context.Context, dir string, fill func(env []string) error) (string, error) {
	tmp, err := os.MkdirTemp(l.path("tmp"), "index-*")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(tmp)
	env := []string{
		"GIT_DIR=" + l.repository(), "GIT_WORK_TREE=" + dir, "GIT_INDEX_FILE=" + filepath.Join(tmp, "index"),
	}
	if err := fill(env); err != nil {
		return "", err
	}
	return git(ctx, env, "write-tree")
}

// tip returns the commit at the head of the lab's main branch, "" if there is
// none.
func (l *Lab) tip(ctx context.Context) (string, error) {
	return git(ctx, nil, "-C", l.repository(), "rev-parse", "--verify", "--quiet", "refs/heads/"+branch)
}

// contains reports whether commit is an ancestor of, or is, tip.
func (l *Lab) contains(ctx context.Context, tip, commit string) bool {
	_, err := git(ctx, nil, "-C", l.repository(), "merge-base", "--is-ancestor", commit, tip)
	return err == nil
}

// pushed is what a push brought.
type pushed struct {
	Commit   string // now at the head of main
	Source   string // what it is of, for a person
	Changed  bool   // false when the lab had it already
	Replaced int    // commits of the lab that are no longer in main
}

// errNotTaken says that the Git server was away or refused a push.
var errNotTaken = errors.New("the lab's Git server did not take the push")

// pushTree pushes the content of dir to the lab's Git server.
//
// The HEAD of a checkout's top folder goes as it is, with its history. A
// subfolder (LumaCore's own blueprint/), a checkout without its history (CI's
// clones of depth 1) or an uncommitted work tree (dirty) goes as one commit on
// top of what the lab has.
func (l *Lab) pushTree(ctx context.Context, s settings, dir string, dirty bool) (pushed, error) {
	var p pushed
	abs, err := filepath.Abs(dir)
	if err != nil {
		return p, err
	}
	if abs, err = filepath.EvalSymlinks(abs); err != nil {
		return p, report.Misuse("", "nothing to push: %v", err)
	}
	if _, err := os.Stat(filepath.Join(abs, "clusters", "lab")); err != nil {
		return p, report.Misuse("give the folder that has clusters/ in it; in LumaCore's own repository that is blueprint",
			"%s has no clusters/lab, which is what the lab's Flux reads", dir)
	}
	top, err := git(ctx, nil, "-C", abs, "rev-parse", "--show-toplevel")
	checkout := err == nil
	if err != nil && !strings.Contains(err.Error(), "not a git repository") { // such as: owned by another user
		return p, report.Misuse("", "%s cannot be read as a Git checkout: %w", dir, err)
	}
	if !checkout && !dirty {
		return p, report.Misuse("git init and commit, or push the files as they are with --dirty", "%s is not in a Git checkout", dir)
	}
	before, err := l.tip(ctx)
	if err != nil {
		return p, err
	}
	head, shallow := "", ""
	if checkout {
		head, err = git(ctx, nil, "-C", abs, "rev-parse", "--verify", "--quiet", "HEAD")
		if err != nil && !dirty {
			return p, report.Misuse("commit first, or push the files as they are with --dirty", "%s has no commit yet", dir)
		}
		if shallow, err = git(ctx, nil, "-C", abs, "rev-parse", "--is-shallow-repository"); err != nil {
			return p, err
		}
	}
	var from []string // where the commit is: git -C …
	switch {
	case !dirty && top == abs && shallow == "false":
		p.Commit, p.Source = head, "HEAD "+short(head)
		from = []string{"-C", abs}
	default:
		var tree string
		if dirty {
			p.Source = "work tree"
			if checkout {
				tree, err = l.checkoutTree(ctx, abs)
			} else {
				tree, err = l.writeTree(ctx, abs)
			}
			if err != nil {
				return p, err
			}
		} else {
			rel, err := filepath.Rel(top, abs)
			if err != nil {
				return p, err
			}
			if rel = filepath.ToSlash(rel); rel == "." {
				rel = ""
			}
			p.Source = strings.TrimSuffix("HEAD "+short(head)+":"+rel, ":")
			if tree, err = l.importTree(ctx, abs, head+":"+rel); err != nil {
				return p, err
			}
		}
		if old, err := git(ctx, nil, "-C", l.repository(), "rev-parse", before+"^{tree}"); err == nil && old == tree {
			p.Commit = before
			return p, nil
		}
		message := "chore: push of a " + p.Source
		if head != "" {
			message += "\n\nSource-Revision: " + head
		}
		if p.Commit, err = git(ctx, author, "-C", l.repository(), "commit-tree", tree, "-p", before, "-m", message); err != nil {
			return p, err
		}
		from = []string{"-C", l.repository()}
	}
	if p.Commit == before {
		return p, nil
	}
	args := append(from, "-c", "credential.helper=", "-c", "credential.helper=store --file="+l.gitCredentials(),
		// The checkout's own hooks are for its own remote; a proxy does not reach loopback.
		"-c", "core.hooksPath=/dev/null", "-c", "http.proxy=", "-c", "push.gpgSign=false",
		"push", "--quiet", "--force-with-lease="+branch+":"+before, l.gitURL(s), p.Commit+":refs/heads/"+branch)
	if _, err := git(ctx, nil, args...); err != nil {
		return p, report.Refuse("lumacore lab logs git", "%w: %w", errNotTaken, err)
	}
	p.Changed = true
	if n, err := git(ctx, nil, "-C", l.repository(), "rev-list", "--count", p.Commit+".."+before); err == nil {
		fmt.Sscan(n, &p.Replaced)
	}
	return p, nil
}

// importTree copies a tree of another repository into the lab's, through the
// files themselves: repositories may differ in object format or be partial.
func (l *Lab) importTree(ctx context.Context, repo, tree string) (string, error) {
	tmp, err := os.MkdirTemp(l.path("tmp"), "tree-*")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(tmp)
	work := filepath.Join(tmp, "work")
	if err := os.Mkdir(work, 0o700); err != nil {
		return "", err
	}
	gitDir, err := git(ctx, nil, "-C", repo, "rev-parse", "--absolute-git-dir")
	if err != nil {
		return "", err
	}
	env := []string{"GIT_DIR=" + gitDir, "GIT_WORK_TREE=" + work, "GIT_INDEX_FILE=" + filepath.Join(tmp, "index")}
	if _, err := git(ctx, env, "-C", work, "read-tree", tree); err != nil {
		return "", err
	}
	if _, err := git(ctx, env, "-C", work, "checkout-index", "--all"); err != nil {
		return "", err
	}
	return l.writeTree(ctx, work, "--force")
}

func short(commit string) string {
	if len(commit) > 8 {
		return commit[:8]
	}
	return commit
}
