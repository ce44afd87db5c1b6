package promote

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"lumacore.dev/lumacore/internal/report"
)

// trailer marks the commits of this package, so that no other branch is ever moved.
const trailer = "Promoted-From"

// git runs git as the owner would: with his identity, his key, his hooks.
func git(ctx context.Context, dir string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "git", append([]string{"-C", dir}, args...)...)
	cmd.WaitDelay = 5 * time.Second
	cmd.Env = append(slices.DeleteFunc(os.Environ(), func(kv string) bool {
		return strings.HasPrefix(kv, "GIT_DIR=") || strings.HasPrefix(kv, "GIT_WORK_TREE=") || strings.HasPrefix(kv, "GIT_INDEX_FILE=") || strings.HasPrefix(kv, "GIT_PREFIX=")
	}), "GIT_TERMINAL_PROMPT=0", "LC_ALL=C")
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("git %s: %w: %s", args[0], err, report.Clean(strings.TrimSpace(said.String()), 500))
	}
	return strings.TrimSpace(string(out)), nil
}

// Branch commits changed files onto a commit and gives the branch that name. The work tree and
// the index of the repository stay as they are. A branch of that name is moved if its newest
// commit is one of an earlier promotion, and refused otherwise.
func Branch(ctx context.Context, dir, base, branch string, changes map[string][]byte, title string) (commit string, err error) {
	if _, err := git(ctx, dir, "check-ref-format", "--branch", branch); err != nil || strings.HasPrefix(branch, "-") {
		return "", report.Misuse("name one such as promote/beacon", "%q cannot be a branch", branch)
	}
	if tip, err := git(ctx, dir, "rev-parse", "--verify", "--quiet", "refs/heads/"+branch+"^{commit}"); err == nil {
		from, err := git(ctx, dir, "log", "--no-walk", "--format=%(trailers:key="+trailer+",valueonly)", tip)
		if err != nil {
			return "", err
		}
		if from == "" {
			return "", report.Refuse("name another, or delete it", "there is a branch %s already, and its newest commit is no promotion", branch)
		}
	}
	prefix, err := git(ctx, dir, "rev-parse", "--show-prefix")
	if err != nil {
		return "", err
	}
	tmp, err := os.MkdirTemp("", "lumacore-promote-*")
	if err != nil {
		return "", err
	}
	tree := filepath.Join(tmp, "tree")
	defer func() {
		// Also after Ctrl-C.
		_, rerr := git(context.WithoutCancel(ctx), dir, "worktree", "remove", "--force", tree)
		if errors.Join(rerr, os.RemoveAll(tmp)) != nil {
			_, _ = git(context.WithoutCancel(ctx), dir, "worktree", "prune")
		}
	}()
	if _, err := git(ctx, dir, "worktree", "add", "--quiet", "--detach", tree, base); err != nil {
		return "", err
	}
	for _, file := range slices.Sorted(maps.Keys(changes)) {
		path := filepath.Join(tree, filepath.FromSlash(prefix), filepath.FromSlash(file))
		if err := report.WriteFile(path, changes[file], 0o644); err != nil {
			return "", err
		}
		if _, err := git(ctx, tree, "add", "--", prefix+file); err != nil {
			return "", err
		}
	}
	if _, err := git(ctx, tree, "commit", "--quiet", "--message", title, "--message", trailer+": "+base); err != nil {
		return "", report.Refuse("mend what Git or its hook says, and run the same command again; nothing was changed", "%w", err)
	}
	if commit, err = git(ctx, tree, "rev-parse", "HEAD"); err != nil {
		return "", err
	}
	if _, err := git(ctx, dir, "branch", "--quiet", "--force", branch, commit); err != nil {
		return "", report.Refuse("switch to another branch first", "%w", err)
	}
	return commit, nil
}
