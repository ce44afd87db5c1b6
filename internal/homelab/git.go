package homelab

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// Branches of an owner's repository.
const (
	Main   = "main"
	Vendor = "lumacore/blueprint" // the blueprint alone, one commit for each version
)

// runner runs git in one folder.
type runner struct {
	dir string
	// isolated leaves the configuration of the user and the system out: what is made
	// must be the same everywhere.
	isolated bool
	env      []string
}

// git runs git and returns its trimmed output. Variables of Git that point to another
// repository do not count: the caller may sit in a hook or an alias.
func (r runner) git(ctx context.Context, stdin string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", append([]string{
		"-C", r.dir,
		"-c", "core.hooksPath=/dev/null", "-c", "core.autocrlf=false", "-c", "core.safecrlf=false",
		"-c", "core.fsmonitor=false", "-c", "gc.auto=0", "-c", "maintenance.auto=false", "-c", "advice.defaultBranchName=false",
	}, args...)...)
	cmd.WaitDelay = time.Second
	cmd.Env = slices.DeleteFunc(os.Environ(), func(kv string) bool {
		if !strings.HasPrefix(kv, "GIT_") {
			return false
		}
		for _, keep := range []string{"GIT_EXEC_PATH=", "GIT_TRACE"} {
			if strings.HasPrefix(kv, keep) {
				return false
			}
		}
		for _, keep := range []string{"GIT_AUTHOR_", "GIT_COMMITTER_", "GIT_CONFIG"} {
			if strings.HasPrefix(kv, keep) {
				return r.isolated
			}
		}
		return true
	})
	if r.isolated {
		cmd.Env = append(cmd.Env, "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null")
	}
	cmd.Env = append(cmd.Env, "GIT_TERMINAL_PROMPT=0", "GIT_DEFAULT_HASH=sha1", "LC_ALL=C")
	cmd.Env = append(cmd.Env, r.env...)
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errs
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		return "", fmt.Errorf("git %s: %w: %s", args[0], err, strings.TrimSpace(errs.String()))
	}
	return strings.TrimSpace(out.String()), nil
}

// vendorCommit makes the commit of the blueprint alone: the same blueprint of the same
// version gives the same commit, on every machine.
func vendorCommit(ctx context.Context, dir string, o Options) (string, error) {
	date := o.Built.UTC().Format(time.RFC3339)
	r := runner{dir: dir, isolated: true, env: []string{
		"GIT_AUTHOR_NAME=LumaCore", "GIT_AUTHOR_EMAIL=blueprint@lumacore.invalid", "GIT_AUTHOR_DATE=" + date,
		"GIT_COMMITTER_NAME=LumaCore", "GIT_COMMITTER_EMAIL=blueprint@lumacore.invalid", "GIT_COMMITTER_DATE=" + date,
	}}
	if _, err := r.git(ctx, "", "add", "--all", "--force", "."); err != nil {
		return "", err
	}
	tree, err := r.git(ctx, "", "write-tree")
	if err != nil {
		return "", err
	}
	commit, err := r.git(ctx, fmt.Sprintf(`chore: blueprint %s

The blueprint as lumacore ships it. Nothing else is committed to this branch, so
that a newer blueprint can be merged from it.

Blueprint-Version: %s
Blueprint-Digest: %s
`, o.Version, o.Version, o.digest), "commit-tree", tree)
	if err != nil {
		return "", err
	}
	for _, branch := range []string{Vendor, Main} {
		if _, err := r.git(ctx, "", "update-ref", "refs/heads/"+branch, commit); err != nil {
			return "", err
		}
	}
	return commit, nil
}

// ownCommit makes the owner's commit on top, as the owner would: with the owner's
// identity, and signed if the owner signs.
func ownCommit(ctx context.Context, dir string, o Options, domain string) (string, error) {
	r := runner{dir: dir}
	if _, err := r.git(ctx, "", "add", "--all", "--force", "."); err != nil {
		return "", err
	}
	if _, err := r.git(ctx, fmt.Sprintf(`chore: homelab of %s

Made with lumacore init from blueprint %s: the answers stand in
clusters/lumacore/settings.env and lumacore.yaml.
`, domain, o.Version), "commit", "--quiet", "--no-verify", "--file=-"); err != nil {
		return "", err
	}
	return r.git(ctx, "", "rev-parse", "HEAD")
}
