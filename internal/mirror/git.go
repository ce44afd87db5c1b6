package mirror

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"lumacore.dev/lumacore/internal/gitops"
)

// Bounds of a repository.
const (
	maxFiles  = 200_000
	maxBytes  = 512 << 20 // of all that is published
	gitLocal  = 2 * time.Minute
	gitRemote = 10 * time.Minute
)

// entry is a file of a revision.
type entry struct {
	path, mode, object string
	size               int64
}

// entries lists the files of a commit.
func entries(ctx context.Context, dir, commit string) ([]entry, error) {
	out, err := read(ctx, dir, "ls-tree", "-r", "-z", "-l", "--full-tree", commit)
	if err != nil {
		return nil, err
	}
	var list []entry
	for line := range strings.SplitSeq(strings.TrimSuffix(out, "\x00"), "\x00") {
		if line == "" {
			continue
		}
		head, name, ok := strings.Cut(line, "\t")
		f := strings.Fields(head)
		if !ok || len(f) != 4 {
			return nil, fmt.Errorf("git ls-tree: unexpected line %q", line)
		}
		size, _ := strconv.ParseInt(f[3], 10, 64) // "-" for what is no blob
		if list = append(list, entry{name, f[0], f[2], size}); len(list) > maxFiles {
			return nil, fmt.Errorf("commit %.12s has more than %d files, which are the most that are read", commit, maxFiles)
		}
	}
	return list, nil
}

// folder is what to put behind a commit for the tree of a folder: "" for the root of the
// work tree, else ":folder".
func folder(ctx context.Context, dir string) (string, error) {
	out, err := read(ctx, dir, "rev-parse", "--show-prefix")
	if err != nil {
		return "", err
	}
	if prefix := strings.TrimSuffix(strings.TrimSpace(out), "/"); prefix != "" {
		return ":" + prefix, nil
	}
	return "", nil
}

// read runs a git that only reads, and returns what it prints.
func read(ctx context.Context, dir string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, gitLocal)
	defer cancel()
	return output(ctx, gitops.Git(ctx, dir, args...), args[0])
}

func output(ctx context.Context, cmd *exec.Cmd, what string) (string, error) {
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		if ctx.Err() != nil {
			return "", fmt.Errorf("git %s: %w", what, context.Cause(ctx))
		}
		return "", &gitError{what, err, strings.TrimSpace(errs.String())}
	}
	return string(out), nil
}

// gitError is a git that failed, with what it said.
type gitError struct {
	what string
	err  error
	said string
}

func (e *gitError) Error() string {
	if e.said == "" {
		return fmt.Sprintf("git %s: %v", e.what, e.err)
	}
	return fmt.Sprintf("git %s: %v: %s", e.what, e.err, e.said)
}

func (e *gitError) Unwrap() error { return e.err }

// blobs reads objects, in their order, with one git for all of them.
func blobs(ctx context.Context, dir string, objects []string, take func(object string, data []byte) error) error {
	if len(objects) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, gitLocal)
	defer cancel()
	s, err := openStore(ctx, dir, strings.NewReader(strings.Join(objects, "\n")+"\n"), "--buffer")
	if err != nil {
		return err
	}
	defer s.close()
	for _, object := range objects {
		data, err := s.next(object)
		if err != nil {
			return err
		}
		if err := take(object, data); err != nil {
			return err
		}
	}
	return nil
}

// store is a git that reads one blob after the other.
type store struct {
	mu     sync.Mutex
	ctx    context.Context
	cancel context.CancelFunc
	cmd    *exec.Cmd
	ask    io.WriteCloser // nil if all names were given at the start
	out    *bufio.Reader
}

// openStore starts it; names are what it reads, nil for what [store.read] will ask.
func openStore(ctx context.Context, dir string, names io.Reader, options ...string) (*store, error) {
	ctx, cancel := context.WithCancel(ctx)
	s := &store{ctx: ctx, cancel: cancel, cmd: gitops.Git(ctx, dir, append([]string{"cat-file", "--batch"}, options...)...)}
	s.cmd.Stdin = names
	var err error
	if names == nil {
		s.ask, err = s.cmd.StdinPipe()
	}
	pipe, perr := s.cmd.StdoutPipe()
	if err = errors.Join(err, perr); err == nil {
		s.out = bufio.NewReaderSize(pipe, 256<<10)
		err = s.cmd.Start()
	}
	if err != nil {
		cancel()
		return nil, err
	}
	return s, nil
}

func (s *store) close() {
	if s.ask != nil {
		_ = s.ask.Close()
	}
	s.cancel()
	_ = s.cmd.Wait() // what matters was read, or the error says that it was not
}

// read reads a blob. Several may ask at a time.
func (s *store) read(object string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := io.WriteString(s.ask, object+"\n"); err != nil {
		return nil, fmt.Errorf("git cat-file: object %s cannot be read: %w", object, errors.Join(s.ctx.Err(), err))
	}
	return s.next(object)
}

// next reads the blob that git writes next.
func (s *store) next(object string) ([]byte, error) {
	line, err := s.out.ReadString('\n')
	if err != nil {
		return nil, fmt.Errorf("git cat-file: object %s cannot be read: %w", object, errors.Join(s.ctx.Err(), err))
	}
	f := strings.Fields(line)
	if len(f) != 3 || f[1] != "blob" {
		return nil, fmt.Errorf("git cat-file: object %s cannot be read: git says %q", object, strings.TrimSpace(line))
	}
	size, err := strconv.ParseInt(f[2], 10, 64)
	if err != nil || size < 0 || size > maxBytes {
		return nil, fmt.Errorf("git cat-file: git says %q", strings.TrimSpace(line))
	}
	data := make([]byte, size+1)
	if _, err := io.ReadFull(s.out, data); err != nil {
		return nil, fmt.Errorf("git cat-file: object %s cannot be read: %w", object, errors.Join(s.ctx.Err(), err))
	}
	return data[:size:size], nil
}

// Access is how the mirror is reached. Credentials are files: neither an argument nor a
// variable of any program has one.
type Access struct {
	TokenFile  string // for HTTPS
	SSHKeyFile string // for SSH
	CAFile     string // certificates to trust besides those of the system
	// KnownHostsFile has the keys of SSH servers; "" for ssh's own files.
	KnownHostsFile string
}

// credential is a helper of Git's that reads the token when a server asks for it
// (https://git-scm.com/docs/gitcredentials#_custom_helpers). cat and printf are run by the
// shell that Git starts; printf is a builtin, so that no argument has the token.
const credential = `!f() { test "$1" = get || exit 0; printf 'username=oauth2\npassword=%s\n' "$(cat "$LUMACORE_MIRROR_TOKEN_FILE")"; }; f`

// remote returns git for the clone of a mirror. It takes nothing of the user's own
// configuration: no helper, no rewritten address, no hook.
func (a Access) remote(ctx context.Context, dir string, args ...string) *exec.Cmd {
	all := []string{
		"-C", dir, "-c", "safe.directory=*", "-c", "core.hooksPath=/dev/null", "-c", "credential.helper=",
		"-c", "protocol.allow=never", "-c", "protocol.https.allow=always", "-c", "protocol.http.allow=always", "-c", "protocol.ssh.allow=always",
		"-c", "http.followRedirects=initial", "-c", "http.lowSpeedLimit=1000", "-c", "http.lowSpeedTime=60",
		"-c", "gc.auto=0", "-c", "maintenance.auto=false", "-c", "transfer.fsckObjects=true", "-c", "core.autocrlf=false",
	}
	if a.TokenFile != "" {
		all = append(all, "-c", "credential.helper="+credential)
	}
	if a.CAFile != "" {
		all = append(all, "-c", "http.sslCAInfo="+a.CAFile)
	}
	cmd := exec.CommandContext(ctx, "git", append(all, args...)...)
	cmd.WaitDelay = 5 * time.Second
	cmd.Env = append(slices.DeleteFunc(os.Environ(), func(kv string) bool {
		return strings.HasPrefix(kv, "GIT_") && !strings.HasPrefix(kv, "GIT_EXEC_PATH=") || strings.HasPrefix(kv, "SSH_ASKPASS")
	}),
		"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_TERMINAL_PROMPT=0", "GIT_ASKPASS=true", "LC_ALL=C",
		"LUMACORE_MIRROR_TOKEN_FILE="+a.TokenFile)
	ssh := "ssh -o BatchMode=yes -o StrictHostKeyChecking=yes -o ConnectTimeout=30"
	if a.SSHKeyFile != "" {
		ssh += " -o IdentitiesOnly=yes -i " + quoted(a.SSHKeyFile)
	}
	if a.KnownHostsFile != "" {
		// A list of files: the inner quotes make it one (https://man.openbsd.org/ssh_config.5).
		ssh += " -o GlobalKnownHostsFile=/dev/null -o " + quoted(`UserKnownHostsFile="`+a.KnownHostsFile+`"`)
	}
	cmd.Env = append(cmd.Env, "GIT_SSH_COMMAND="+ssh)
	return cmd
}

// quoted is a text as a word of a shell.
func quoted(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }

// run runs git for the clone of a mirror.
func (a Access) run(ctx context.Context, dir string, limit time.Duration, in io.Reader, args ...string) (string, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("no answer within %s", limit))
	defer cancel()
	cmd := a.remote(ctx, dir, args...)
	cmd.Stdin = in
	return output(ctx, cmd, args[0])
}

// Trouble is a mirror that could not be reached or did not take a push.
type Trouble struct {
	What string // "the server refuses the credential"
	Next string
	err  error
}

func (t *Trouble) Error() string { return t.What }
func (t *Trouble) Unwrap() error { return t.err }

// explain says in words what git said about a server.
func explain(address string, err error) error {
	var g *gitError
	if !errors.As(err, &g) {
		return &Trouble{fmt.Sprintf("%s: %v", address, err), "run the same command again when the server answers; nothing was pushed half", err}
	}
	said := g.said
	has := func(words ...string) bool {
		return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(strings.ToLower(said), strings.ToLower(w)) })
	}
	last := said
	if i := strings.LastIndex(strings.TrimSpace(said), "\n"); i >= 0 {
		last = said[i+1:]
	}
	switch {
	case has("non-fast-forward", "fetch first", "stale info", "cannot lock ref", "failed to update ref", "reference already exists"):
		return &Trouble{"somebody else has pushed to " + address + " meanwhile", "lumacore mirror verify says who and what; then run the same command again", err}
	// GitHub's words to a token that may write contents alone:
	// https://docs.github.com/en/rest/authentication/permissions-required-for-fine-grained-personal-access-tokens
	case has("create or update workflow"):
		return &Trouble{"the credential may not change workflows (.github/workflows) on " + address, "give the token Workflows: read and write for this repository, or withhold .github/workflows/** (mirror.withhold)", err}
	case has("protected branch", "GH006", "pre-receive hook declined", "hook declined", "deny updating", "not allowed to push"):
		return &Trouble{"the server does not let this credential push to the branch: " + hookSaid(said), "let it push to that branch (GitHub: Settings, Rules; GitLab: Protected branches), and nobody else", err}
	case has("authentication failed", "could not read username", "could not read password", "invalid username", "permission denied", "HTTP 401", "error: 401", "error: 403", "HTTP 403", "access denied", "terminal prompts disabled"):
		return &Trouble{"the server refuses the credential for " + address, "make a new one (handbook: Rotate the mirror's token), and name its file with --token-file or --ssh-key-file", err}
	case has("host key verification failed"):
		return &Trouble{"the SSH key of the server is not known", "compare it with what the host publishes, put it into a file, and name that with --known-hosts-file", err}
	case has("repository not found", "not found", "does not appear to be a git repository"):
		return &Trouble{"there is no repository at " + address + ", or the credential may not see it", "create it, empty, or correct mirror.url", err}
	case has("certificate", "SSL"):
		return &Trouble{"the server's certificate is not trusted: " + last, "name the authority with --ca-file; it is never accepted unseen", err}
	}
	return &Trouble{address + " cannot be reached: " + last, "run the same command again when it answers; nothing was pushed half", err}
}

// hookSaid is what a server wrote for people.
func hookSaid(said string) string {
	for line := range strings.Lines(said) {
		if text, ok := strings.CutPrefix(strings.TrimSpace(line), "remote: "); ok && strings.TrimSpace(text) != "" {
			return strings.TrimSpace(text)
		}
	}
	return "it gives no reason"
}
