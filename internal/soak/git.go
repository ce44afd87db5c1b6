package soak

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"lumacore.dev/lumacore/internal/gitops"
)

// maxCommits bounds how far back the history of a file is read.
const maxCommits = 5000

// Since finds when a file got the content that it has at a revision, as far as same can tell:
// the oldest commit of the first parents' line from which on every version of the file is the
// same. same gets each version, newest first, and the revision's own at the start.
func Since(ctx context.Context, dir, revision, file string, same func(data []byte) bool) (Moment, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	out, err := output(gitops.Git(ctx, dir, "log", "--first-parent", "--format=%H %ct", "-n", strconv.Itoa(maxCommits), revision, "--", file))
	if err != nil {
		return Moment{}, err
	}
	var since Moment
	for line := range strings.Lines(string(out)) {
		name, seconds, _ := strings.Cut(strings.TrimSpace(line), " ")
		at, err := strconv.ParseInt(seconds, 10, 64)
		if err != nil {
			return Moment{}, fmt.Errorf("git log: the time of commit %.12s is %q", name, seconds)
		}
		data, err := output(gitops.Git(ctx, dir, "show", name+":./"+file))
		if ctx.Err() != nil {
			return Moment{}, ctx.Err()
		}
		if err != nil || !same(data) {
			break // it was not there, or was another
		}
		since = Moment{time.Unix(at, 0).UTC(), fmt.Sprintf("commit %.12s brought it to staging", name)}
	}
	if since.Time.IsZero() {
		return since, fmt.Errorf("no commit of %s has %s as it is there: commit it first", revision, file)
	}
	return since, nil
}

// output runs git and returns what it prints.
func output(cmd *exec.Cmd) ([]byte, error) {
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = fmt.Errorf("git: %w: %s", err, bytes.TrimSpace(exit.Stderr))
	}
	return out, err
}
