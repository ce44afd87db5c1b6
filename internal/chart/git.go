package chart

import (
	"archive/tar"
	"bufio"
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/Masterminds/semver/v3"

	"lumacore.dev/lumacore/internal/gitops"
)

// Git names a state of a Git repository. The first of Commit, Name, SemVer, Tag
// and Branch that is set counts; with none of them, the branch master.
//
// Source: https://fluxcd.io/flux/components/source/gitrepositories/#reference.
type Git struct {
	URL    string
	Commit string
	Name   string // "refs/heads/main", "refs/pull/420/head"
	SemVer string // range of tags
	Tag    string
	Branch string
}

func (g Git) String() string {
	return redact(g.URL) + " at " + cmp.Or(g.Commit, g.Name, g.SemVer, g.Tag, g.Branch, "master")
}

var commit = regexp.MustCompile(`^[0-9a-f]{40}([0-9a-f]{24})?$`)

// Git returns the tree of another repository, fetched with the git program and
// what it knows as login, at a depth of one commit. Hooks, questions and
// submodules are off.
func (s *Store) Git(ctx context.Context, g Git) (*gitops.Tree, error) {
	return once(ctx, s, g, func(ctx context.Context) (*gitops.Tree, error) {
		title := "of " + g.String()
		u, err := url.Parse(g.URL)
		if err != nil || !slices.Contains(s.git, u.Scheme) {
			return nil, &Unavailable{Chart: title, Reason: "its GitRepository has no http, https or ssh URL", Missing: true}
		}
		ref := fmt.Sprintf("git %s commit=%s name=%s semver=%s tag=%s branch=%s", g.URL, g.Commit, g.Name, g.SemVer, g.Tag, g.Branch)
		last, data, have := s.cache.lookup(ref)
		if !have && s.offline {
			return nil, notCached(title)
		}
		if !have || !s.offline && g.Commit == "" {
			err := s.download(ctx, title, cmp.Or(u.Host, "git"), func(ctx context.Context) error {
				// An empty repository of our own: in the current folder git would
				// take that one's configuration (insteadOf, credential helpers).
				dir, err := os.MkdirTemp("", "lumacore-git-")
				if err != nil {
					return err
				}
				defer os.RemoveAll(dir)
				c := client{s, g.URL}
				if _, err := c.run(ctx, dir, nil, "init", "--quiet", "--bare", "--template=", "."); err != nil {
					return err
				}
				at, id, err := c.resolve(ctx, dir, g)
				if err != nil {
					return err
				}
				if have && id == last.Revision {
					return nil
				}
				if data, err = c.fetch(ctx, dir, at); err != nil {
					return err
				}
				return s.keep(title, ref, id, data)
			})
			if err != nil {
				return nil, err
			}
		}
		files, err := untar(ctx, data)
		if err != nil {
			return nil, &Unavailable{Chart: title, Reason: "what the cache holds of it cannot be read: " + err.Error(), Next: "delete the cache folder"}
		}
		return gitops.FromFiles(files), nil
	})
}

// client runs git against one repository.
type client struct {
	s   *Store
	url string
}

// run runs git in dir, without anything that asks, waits or runs other programs.
func (c client) run(ctx context.Context, dir string, stdin io.Reader, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "git", append([]string{
		"-c", "core.hooksPath=" + os.DevNull, "-c", "protocol.allow=never",
		"-c", "fetch.recurseSubmodules=false", "-c", "gc.auto=0", "-c", "maintenance.auto=false",
		"-c", "credential.interactive=false",
	}, args...)...)
	cmd.Dir, cmd.Stdin = dir, stdin
	cmd.WaitDelay = 5 * time.Second
	cmd.Env = append(environment(os.Environ()), "GIT_TERMINAL_PROMPT=0", "GIT_ASKPASS=", "SSH_ASKPASS=", "LC_ALL=C",
		"GIT_ALLOW_PROTOCOL="+strings.Join(c.s.git, ":"), "GIT_LFS_SKIP_SMUDGE=1")
	if os.Getenv("GIT_SSH_COMMAND") == "" && os.Getenv("GIT_SSH") == "" {
		cmd.Env = append(cmd.Env, "GIT_SSH_COMMAND=ssh -o BatchMode=yes -o ConnectTimeout=10")
	}
	var stdout, stderr limited
	stdout.left, stderr.left = maxUnpacked, 64<<10
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case errors.Is(err, exec.ErrNotFound):
			return nil, &Unavailable{Reason: "git is not installed", Next: "install git"}
		case stdout.over:
			return nil, fmt.Errorf("it has more than %d MiB", maxUnpacked>>20)
		}
		return nil, refusal(stderr.String())
	}
	return stdout.Bytes(), nil
}

// kept are the variables of Git that say how to reach and trust a host, and where
// the user's own configuration is. All others are left out: a hook (pre-commit)
// sets those that name the repository it runs in, its index and its objects, and
// GIT_CONFIG_COUNT and GIT_CONFIG_PARAMETERS carry its settings.
//
// Source: https://git-scm.com/docs/git#_environment_variables.
var kept = []string{
	"GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM", "GIT_EXEC_PATH",
	"GIT_SSH", "GIT_SSH_COMMAND", "GIT_SSH_VARIANT", "GIT_PROXY_COMMAND",
	"GIT_SSL_CAINFO", "GIT_SSL_CAPATH", "GIT_SSL_CERT", "GIT_SSL_KEY", "GIT_SSL_VERSION",
}

// environment returns the variables that git is run with. GIT_SSL_NO_VERIFY is not
// among them: TLS is verified.
func environment(all []string) []string {
	return slices.DeleteFunc(slices.Clone(all), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return strings.HasPrefix(name, "GIT_") && !slices.Contains(kept, name)
	})
}

// limited keeps what is written to it, up to a limit; then it fails.
type limited struct {
	bytes.Buffer
	left int
	over bool
}

func (l *limited) Write(p []byte) (int, error) {
	if l.left -= len(p); l.left < 0 {
		l.over = true
		return 0, errors.New("too much")
	}
	return l.Buffer.Write(p)
}

// refusal says what git says first: what follows are its guesses.
func refusal(stderr string) error {
	said := "it gives no reason"
	for line := range strings.Lines(stderr) {
		if rest, ok := strings.CutPrefix(strings.TrimSpace(line), "fatal: "); ok {
			said = rest
			break
		}
	}
	said = redactAll(said)
	lower := strings.ToLower(stderr)
	for _, mark := range []string{"authentication failed", "could not read username", "permission denied", "terminal prompts disabled", "host key verification failed"} {
		if strings.Contains(lower, mark) {
			return &Unavailable{Reason: "git may not read it: " + said, Next: "let git log in without asking (a credential helper, an SSH agent)"}
		}
	}
	return errors.New("git: " + said)
}

// resolve returns what to fetch, and the commit (or tag object) that it is now.
func (c client) resolve(ctx context.Context, dir string, g Git) (fetch, id string, err error) {
	if g.Commit != "" {
		if !commit.MatchString(g.Commit) {
			return "", "", &Unavailable{Reason: fmt.Sprintf("%q is no commit", g.Commit), Missing: true}
		}
		return g.Commit, g.Commit, nil
	}
	out, err := c.run(ctx, dir, nil, "ls-remote", "--refs", "--", c.url)
	if err != nil {
		return "", "", err
	}
	refs := map[string]string{}
	for line := range strings.Lines(string(out)) {
		if id, name, ok := strings.Cut(strings.TrimSpace(line), "\t"); ok && commit.MatchString(id) {
			refs[name] = id
		}
	}
	var name string
	switch {
	case g.Name != "":
		name = g.Name
	case g.SemVer != "":
		if name, err = newestTag(refs, g.SemVer); err != nil {
			return "", "", err
		}
	case g.Tag != "":
		name = "refs/tags/" + g.Tag
	default:
		name = "refs/heads/" + cmp.Or(g.Branch, "master")
	}
	if refs[name] == "" {
		return "", "", &Unavailable{Reason: "the repository has no " + name, Missing: true, Next: "name a branch or tag that it has"}
	}
	return name, refs[name], nil
}

func newestTag(refs map[string]string, semverRange string) (string, error) {
	allowed, err := constraint(semverRange)
	if err != nil {
		return "", &Unavailable{Reason: err.Error(), Missing: true}
	}
	var best *semver.Version
	var name string
	for ref := range refs {
		tag, ok := strings.CutPrefix(ref, "refs/tags/")
		if !ok {
			continue
		}
		v, ok := exactVersion(tag)
		if !ok || !allowed.Check(v) {
			continue
		}
		if best == nil || cmp.Or(v.Compare(best), strings.Compare(ref, name)) > 0 {
			best, name = v, ref
		}
	}
	if best == nil {
		return "", &Unavailable{Reason: fmt.Sprintf("none of its tags is a version in %q", semverRange), Missing: true}
	}
	return name, nil
}

// fetch returns the files of a state as an archive. It reads them from Git's own
// store: checking them out would run filters and follow links.
func (c client) fetch(ctx context.Context, dir, ref string) ([]byte, error) {
	if _, err := c.run(ctx, dir, nil, "fetch", "--quiet", "--no-tags", "--depth=1", "--", c.url, ref); err != nil {
		return nil, err
	}
	list, err := c.run(ctx, dir, nil, "ls-tree", "-r", "-z", "--long", "FETCH_HEAD")
	if err != nil {
		return nil, err
	}
	var names, ids []string
	for line := range strings.SplitSeq(string(list), "\x00") {
		head, name, ok := strings.Cut(line, "\t")
		f := strings.Fields(head) // mode, type, id, size
		if !ok || len(f) != 4 || f[1] != "blob" || f[0] == "120000" {
			continue // Flux leaves links out, and submodules are off
		}
		if size, err := strconv.ParseInt(f[3], 10, 64); err != nil || size > maxFileSize {
			continue // no chart has such a file; see gitops.MaxFileSize
		}
		names, ids = append(names, name), append(ids, f[2])
	}
	if len(names) > gitops.MaxFiles {
		return nil, fmt.Errorf("it has more than %d files", gitops.MaxFiles)
	}
	blobs, err := c.run(ctx, dir, strings.NewReader(strings.Join(ids, "\n")+"\n"), "cat-file", "--batch")
	if err != nil {
		return nil, err
	}
	return pack(names, bufio.NewReader(bytes.NewReader(blobs)))
}

// pack makes an archive of what `git cat-file --batch` printed.
func pack(names []string, r *bufio.Reader) ([]byte, error) {
	var out bytes.Buffer
	gz, err := gzip.NewWriterLevel(&out, gzip.BestSpeed)
	if err != nil {
		return nil, err
	}
	tw := tar.NewWriter(gz)
	for _, name := range names {
		head, err := r.ReadString('\n') // "<id> blob <size>"
		if err != nil {
			return nil, err
		}
		f := strings.Fields(head)
		if len(f) != 3 {
			return nil, fmt.Errorf("git cannot read %s", filepath.ToSlash(name))
		}
		size, err := strconv.ParseInt(f[2], 10, 64)
		if err != nil {
			return nil, err
		}
		if err := tw.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o644, Format: tar.FormatPAX}); err != nil {
			return nil, err
		}
		if _, err := io.CopyN(tw, r, size); err != nil {
			return nil, err
		}
		if _, err := r.Discard(1); err != nil {
			return nil, err
		}
	}
	if err := tw.Close(); err != nil {
		return nil, err
	}
	err = gz.Close()
	return out.Bytes(), err
}

func untar(ctx context.Context, data []byte) (map[string][]byte, error) {
	gz, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	for tr := tar.NewReader(&stream{ctx: ctx, r: gz, left: maxStream}); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return files, nil
		}
		if err != nil {
			return nil, err
		}
		if files[h.Name], err = io.ReadAll(tr); err != nil {
			return nil, err
		}
	}
}
