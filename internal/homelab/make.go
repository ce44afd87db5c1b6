package homelab

import (
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

	"lumacore.dev/lumacore/internal/config"
	"lumacore.dev/lumacore/internal/gitops"
	"lumacore.dev/lumacore/internal/report"
	"lumacore.dev/lumacore/internal/settings"
)

// Options say what to make a repository from.
type Options struct {
	Dir       string    // that is made
	Blueprint Files     // as this lumacore ships it
	Version   string    // of this lumacore
	Built     time.Time // when it was built: the date of the blueprint's commit

	digest string
}

// Made is a repository that was made.
type Made struct {
	Dir       string
	Blueprint config.Blueprint
	Vendor    string // commit of the blueprint
	Commit    string // the owner's
	Files     Files  // as they are in the owner's commit
}

// begun is how the names of unfinished folders begin.
const begun = ".lumacore-init-"

// Ready says why no repository can be made at dir, before anybody is asked anything.
func Ready(ctx context.Context, dir string) error {
	if _, err := exec.LookPath("git"); err != nil {
		return report.Refuse("install git: https://git-scm.com/downloads", "git is not installed")
	}
	if err := free(dir); err != nil {
		return err
	}
	parent := filepath.Dir(absolute(dir))
	fi, err := os.Stat(parent)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return report.Refuse("mkdir -p "+parent, "there is no folder %s to make %s in", parent, filepath.Base(absolute(dir)))
	case err != nil:
		return report.Refuse("", "%w", err)
	case !fi.IsDir():
		return report.Refuse("name another folder", "%s is a file, not a folder", parent)
	}
	if err := outside(ctx, dir); err != nil {
		return err
	}
	// Nobody should answer twenty questions for a folder that cannot be made.
	tmp, err := os.MkdirTemp(beside(dir), begun+"*")
	if err == nil {
		err = os.Remove(tmp)
	}
	if err != nil {
		return cannotWrite(dir, err)
	}
	for _, who := range []string{"GIT_AUTHOR_IDENT", "GIT_COMMITTER_IDENT"} {
		// Without this setting Git makes an identity up from the names of user and machine.
		if _, err := (runner{dir: parent}).git(ctx, "", "-c", "user.useConfigOnly=true", "var", who); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return report.Refuse("git config --global user.name 'Your Name' && git config --global user.email you@example.org",
				"git does not know who you are, and the first commit is yours")
		}
	}
	return nil
}

// beside is the folder in which the repository is made before it is put in place: dir
// itself if it is there, else the one around it.
func beside(dir string) string {
	if fi, err := os.Stat(dir); err == nil && fi.IsDir() {
		return dir
	}
	return filepath.Dir(absolute(dir))
}

func cannotWrite(dir string, err error) error {
	return report.Refuse("name a folder where you may write", "%s cannot be made: %w", dir, err)
}

// Email is the e-mail address under which this user commits, or "".
func Email(ctx context.Context) string {
	out, err := (runner{dir: "."}).git(ctx, "", "config", "--get", "user.email")
	if err != nil {
		return ""
	}
	return out
}

// absolute is the full name of a folder that may not be there.
func absolute(dir string) string {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return dir
	}
	return abs
}

// free says why a folder is not free.
func free(dir string) error {
	const next = "name a folder that does not exist yet, or an empty one"
	fi, err := os.Lstat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && fi.Mode()&fs.ModeSymlink != 0 {
		if fi, err = os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
			return report.Refuse(next, "%s is a link that leads nowhere", dir)
		}
	}
	switch {
	case err != nil:
		return report.Refuse(next, "%w", err)
	case !fi.IsDir():
		return report.Refuse(next, "%s is a file, not a folder", dir)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return report.Refuse(next, "%w", err)
	}
	var names []string
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), begun) { // of a run that was killed
			names = append(names, e.Name())
		}
	}
	if len(names) == 0 {
		return nil
	}
	if data, err := os.ReadFile(filepath.Join(dir, config.File)); err == nil {
		if c, err := config.Load(one{data}); err == nil && c.Blueprint != nil {
			return report.Refuse("change the answers in "+filepath.Join(dir, filepath.FromSlash(settings.File))+"; for another homelab name another folder",
				"%s is a homelab already, made from blueprint %s", dir, c.Blueprint.Version)
		}
	}
	what := strings.Join(names[:min(3, len(names))], ", ")
	if more := len(names) - 3; more > 0 {
		what += fmt.Sprintf(" and %d more", more)
	}
	return report.Refuse(next, "%s is not empty: it has %s", dir, what)
}

// one is a tree with lumacore.yaml alone.
type one struct{ data []byte }

func (o one) IsFile(name string) bool              { return name == config.File }
func (o one) ReadFile(name string) ([]byte, error) { return o.data, nil }

// outside says why a repository at dir would lie inside another one, whoever owns that,
// and also if it has no work tree.
func outside(ctx context.Context, dir string) error {
	ask := func(args ...string) (string, error) {
		out, err := gitops.Git(ctx, beside(dir), args...).Output()
		return strings.TrimSpace(string(out)), err
	}
	top, err := ask("rev-parse", "--absolute-git-dir")
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil || top == "" {
		return nil
	}
	if _, err := ask("check-ignore", "--quiet", absolute(dir)+"/"); err == nil {
		return nil // the other one does not care for it
	}
	if tree, err := ask("rev-parse", "--show-toplevel"); err == nil && tree != "" {
		top = tree
	}
	return report.Refuse("name a folder outside of it", "%s would be inside of the Git repository %s, which would take it for a part of itself", dir, top)
}

// Make makes the repository. Until it is complete it lies in a folder of its own, so
// that an error or an interruption leaves nothing.
func Make(ctx context.Context, a Answers, o Options) (made *Made, err error) {
	o.digest = o.Blueprint.Digest()
	m := &Made{Dir: o.Dir, Blueprint: config.Blueprint{Version: o.Version, Digest: o.digest}}
	if m.Files, err = o.Blueprint.With(a, m.Blueprint); err != nil {
		return nil, fmt.Errorf("the answers do not fit the blueprint: %w", err)
	}
	if err := free(o.Dir); err != nil {
		return nil, err
	}
	// An empty folder may be the current one, or where something is mounted: it is filled
	// and not replaced.
	place := beside(o.Dir)
	fill := place == o.Dir
	if fill {
		if err := sweep(o.Dir); err != nil {
			return nil, err
		}
	}
	tmp, err := os.MkdirTemp(place, begun+"*")
	if err != nil {
		return nil, cannotWrite(o.Dir, err)
	}
	defer func() {
		if rerr := os.RemoveAll(tmp); rerr != nil && err == nil {
			made, err = nil, rerr
		}
	}()
	repo := filepath.Join(tmp, "repository")
	if err := os.Mkdir(repo, 0o755); err != nil {
		return nil, err
	}
	isolated := runner{dir: repo, isolated: true}
	if _, err := isolated.git(ctx, "", "init", "--quiet", "--template="); err != nil {
		return nil, err
	}
	if _, err := isolated.git(ctx, "", "symbolic-ref", "HEAD", "refs/heads/"+Main); err != nil {
		return nil, err
	}
	if err := write(ctx, repo, o.Blueprint, nil); err != nil {
		return nil, err
	}
	if m.Vendor, err = vendorCommit(ctx, repo, o); err != nil {
		return nil, err
	}
	if err := write(ctx, repo, m.Files, o.Blueprint); err != nil {
		return nil, err
	}
	if m.Commit, err = ownCommit(ctx, repo, o, a["domain"].Value); err != nil {
		return nil, report.Refuse("try `git commit` in a repository of yours, and run the same command again; nothing was written", "the first commit cannot be made: %w", err)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if fill {
		return m, moveInto(repo, o.Dir)
	}
	if err := os.Rename(repo, o.Dir); err != nil {
		return nil, report.Refuse("run the same command again", "%s cannot be made: %w", o.Dir, err)
	}
	return m, nil
}

// write writes files below dir, but for those that are there with the same content.
func write(ctx context.Context, dir string, files, there Files) error {
	for name, data := range files {
		if old, ok := there[name]; ok && string(old) == string(data) {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, data, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// sweep removes what killed runs left in a folder.
func sweep(dir string) error {
	left, err := filepath.Glob(filepath.Join(dir, begun+"*"))
	if err != nil {
		return err
	}
	for _, path := range left {
		if err := os.RemoveAll(path); err != nil {
			return err
		}
	}
	return nil
}

// moveInto moves the entries of a folder into another one, .git last: with it the
// repository is complete. What was moved goes away again if not all can be.
func moveInto(from, to string) error {
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	slices.SortStableFunc(entries, func(a, b os.DirEntry) int {
		last := func(e os.DirEntry) int {
			if e.Name() == ".git" {
				return 1
			}
			return 0
		}
		return last(a) - last(b)
	})
	for i, e := range entries {
		if err := os.Rename(filepath.Join(from, e.Name()), filepath.Join(to, e.Name())); err != nil {
			for _, moved := range entries[:i] {
				err = errors.Join(err, os.RemoveAll(filepath.Join(to, moved.Name())))
			}
			return err
		}
	}
	return nil
}
