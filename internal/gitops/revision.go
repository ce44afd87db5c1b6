package gitops

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os/exec"
	"path"
	"strconv"
	"strings"
	"sync"
	"time"
)

// OpenRevision takes a snapshot of the folder root as it is in a revision of its Git
// repository, such as "HEAD~1" or "origin/main", and returns the full name of the
// commit, too. The work tree is not looked at. Files are read from Git when they are
// asked for; those that are the same in like, which may be nil, are shared with it,
// and so is what was parsed of them. Close like after the result.
//
// The error is a [*RevisionError] when there is no such revision.
func OpenRevision(ctx context.Context, root, revision string, like *Tree) (*Tree, string, error) {
	commit, err := commitOf(ctx, root, revision)
	if err != nil {
		return nil, "", err
	}
	prefix, err := gitOutput(ctx, root, "rev-parse", "--show-prefix")
	if err != nil {
		return nil, "", err
	}
	list, err := gitOutput(ctx, root, "ls-tree", "-r", "-z", "-l", "--full-tree", commit+":"+strings.TrimSuffix(prefix, "\n"))
	if err != nil {
		// The folder is new: it has no file in the revision.
		if there, cerr := gitOutput(ctx, root, "ls-tree", "-z", "--full-tree", commit, "--", strings.TrimSuffix(prefix, "\n")); cerr != nil || there != "" {
			return nil, "", err
		}
		list = ""
	}
	t := &Tree{Root: root, files: map[string]*entry{}, dirs: map[string][]string{}, left: map[string]string{}, blobs: &blobs{dir: root}}
	for line := range strings.SplitSeq(strings.TrimSuffix(list, "\x00"), "\x00") {
		if line == "" {
			continue
		}
		if err := t.listed(line, like); err != nil {
			return nil, "", err
		}
		if len(t.files) > MaxFiles {
			return nil, "", fmt.Errorf("%s has more than %d files at %s, which are the most that are read", root, MaxFiles, revision)
		}
	}
	t.remotes = Remotes(ctx, root)
	if err := t.ignore(); err != nil {
		t.Close()
		return nil, "", err
	}
	t.index()
	return t, commit, nil
}

// RevisionError says that a repository does not have a revision.
type RevisionError struct {
	Revision string
	Reason   string
	Next     string
}

func (e *RevisionError) Error() string { return fmt.Sprintf("revision %q: %s", e.Revision, e.Reason) }

// commitOf returns the full name of the commit that a revision names.
func commitOf(ctx context.Context, root, revision string) (string, error) {
	if revision == "" || strings.HasPrefix(revision, "-") || strings.ContainsAny(revision, "\x00\n") {
		return "", &RevisionError{revision, "this is no name of a revision", "name a branch, a tag or a commit, such as origin/main"}
	}
	if _, err := gitOutput(ctx, root, "rev-parse", "--git-dir"); err != nil {
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		if errors.Is(err, exec.ErrNotFound) {
			return "", &RevisionError{revision, "git is not installed", "install git"}
		}
		return "", &RevisionError{revision, root + " is in no Git repository", "compare a folder of a Git repository"}
	}
	out, err := gitOutput(ctx, root, "rev-parse", "--verify", "--quiet", "--end-of-options", revision+"^{commit}")
	if err != nil {
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		e := &RevisionError{revision, "the repository has no such commit", "name a branch, a tag or a commit that git rev-parse knows; git fetch may bring it"}
		if _, err := gitOutput(ctx, root, "rev-parse", "--verify", "--quiet", "HEAD"); err != nil {
			e.Reason, e.Next = "the repository has no commits", "commit something first"
		} else if shallow, err := gitOutput(ctx, root, "rev-parse", "--is-shallow-repository"); err == nil && strings.TrimSpace(shallow) == "true" {
			e.Reason = "the repository has no such commit; it is a shallow clone"
			e.Next = "fetch more of the history: git fetch --unshallow (GitLab CI: GIT_DEPTH: 0; actions/checkout: fetch-depth: 0)"
		}
		return "", e
	}
	return strings.TrimSpace(out), nil
}

// gitOutput runs git for at most a minute. Its error has what git said.
func gitOutput(ctx context.Context, dir string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	cmd := Git(ctx, dir, args...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil && ctx.Err() == nil {
		if said := strings.TrimSpace(errs.String()); said != "" {
			return "", fmt.Errorf("git %s: %w: %s", args[0], err, said)
		}
		return "", fmt.Errorf("git %s: %w", args[0], err)
	}
	return string(out), err
}

// listed takes a line of ls-tree: "100644 blob OBJECT SIZE\tNAME".
func (t *Tree) listed(line string, like *Tree) error {
	head, name, ok := strings.Cut(line, "\t")
	fields := strings.Fields(head)
	if !ok || len(fields) != 4 {
		return fmt.Errorf("git ls-tree: unexpected line %q", line)
	}
	mode, kind, object := fields[0], fields[1], fields[2]
	size, _ := strconv.ParseInt(fields[3], 10, 64)
	switch {
	case name != path.Clean(name) || strings.HasPrefix(name, "../") || path.IsAbs(name):
		t.left[name] = "has a name that no file can have"
	case kind == "commit":
		t.left[name] = repository
	case mode == "120000":
		t.left[name] = symlink
	case strings.Count(name, "/") > MaxPathDepth:
		t.left[name] = fmt.Sprintf("is more than %d folders deep", MaxPathDepth)
	case size > MaxFileSize:
		t.left[name] = fmt.Sprintf("has more than %d MiB, which are the most that are read", MaxFileSize>>20)
	default:
		if same := like.same(name, object, size); same != nil {
			t.files[name] = same
		} else {
			t.files[name] = &entry{size: size, object: object}
		}
	}
	return nil
}

// same returns the file of a tree if its content is that of a Git object.
func (t *Tree) same(name, object string, size int64) *entry {
	if t == nil || t.all[name] == nil || t.all[name].size != size {
		return nil
	}
	e := t.all[name]
	if e.object != "" {
		if e.object == object {
			return e
		}
		return nil
	}
	e.once.Do(func() { e.data, e.err = t.load(name, e) })
	if e.err != nil || BlobName(e.data, len(object)) != object {
		return nil
	}
	return e
}

// BlobName returns the name that Git gives to content: of a repository with SHA-1
// names if digits is 40, else with SHA-256 names
// (https://git-scm.com/docs/hash-function-transition#_object_names).
func BlobName(data []byte, digits int) string {
	h := hash.Hash(sha1.New())
	if digits != 2*sha1.Size {
		h = sha256.New()
	}
	fmt.Fprintf(h, "blob %d\x00", len(data))
	h.Write(data)
	return hex.EncodeToString(h.Sum(nil))
}

// blobs reads objects of a Git repository, with one git for all of them. A read is
// bounded in time: a repository on a dead disk must not hang the run.
type blobs struct {
	dir string

	mu   sync.Mutex
	cmd  *exec.Cmd
	stop context.CancelFunc
	in   io.WriteCloser
	out  *bufio.Reader
	err  error // the process is of no use any more
}

const blobTimeout = 30 * time.Second

func (b *blobs) read(object string) ([]byte, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil {
		return nil, b.err
	}
	if b.cmd == nil {
		if b.err = b.start(); b.err != nil {
			return nil, b.err
		}
	}
	timer := time.AfterFunc(blobTimeout, b.stop)
	defer timer.Stop()
	data, err := b.one(object)
	if err != nil {
		b.err = fmt.Errorf("git cat-file: object %s cannot be read: %w", object, err)
		b.stop()
		return nil, b.err
	}
	return data, nil
}

func (b *blobs) start() error {
	var ctx context.Context
	ctx, b.stop = context.WithCancel(context.Background())
	b.cmd = Git(ctx, b.dir, "cat-file", "--batch")
	var err error
	if b.in, err = b.cmd.StdinPipe(); err != nil {
		return err
	}
	out, err := b.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	b.out = bufio.NewReaderSize(out, 64<<10)
	return b.cmd.Start()
}

// one asks for one object. Git answers "OBJECT blob SIZE", its content and a line
// break (https://git-scm.com/docs/git-cat-file#_batch_output).
func (b *blobs) one(object string) ([]byte, error) {
	if _, err := io.WriteString(b.in, object+"\n"); err != nil {
		return nil, err
	}
	line, err := b.out.ReadString('\n')
	if err != nil {
		return nil, err
	}
	fields := strings.Fields(line)
	if len(fields) != 3 || fields[1] != "blob" {
		return nil, fmt.Errorf("git says %q", strings.TrimSpace(line))
	}
	size, err := strconv.ParseInt(fields[2], 10, 64)
	if err != nil || size < 0 || size > MaxFileSize {
		return nil, fmt.Errorf("git says %q", strings.TrimSpace(line))
	}
	data := make([]byte, size+1)
	if _, err := io.ReadFull(b.out, data); err != nil {
		return nil, err
	}
	return data[:size:size], nil
}

func (b *blobs) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err == nil {
		b.err = errors.New("the tree is closed")
	}
	if b.cmd == nil || b.cmd.Process == nil {
		return
	}
	b.in.Close()
	b.stop()
	_ = b.cmd.Wait() // it was killed: what it says does not matter
	b.cmd = nil
}
