package leaks

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"lumacore.dev/lumacore/internal/cache"
	"lumacore.dev/lumacore/internal/gitops"
)

// Bounds of a history.
const (
	MaxCommits  = 2_000_000
	walkTimeout = 5 * time.Minute  // to list all commits
	idleTimeout = 2 * time.Minute  // that git may take until it says something
	maxBroken   = 20               // commits that are looked at one by one because git fails on them
	maxShallow  = 4 << 20          // bytes of the list of commits at which a shallow clone ends
	stepTimeout = 30 * time.Second // for a question to git
)

// HistoryOptions say what of a history is scanned.
type HistoryOptions struct {
	// Since is a commit: only those that HEAD has and it does not are scanned. Empty:
	// all commits of all branches, tags and other references.
	Since string
	// Cache keeps what was found, for the next scan; nil keeps nothing.
	Cache *cache.Folder
	// Workers is how many commits are looked at at the same time; 0 means as many as
	// there are processors.
	Workers int
	// Progress is told how many commits were scanned, and of how many; nil: nobody wants
	// to know. It is called from several goroutines.
	Progress func(done, of int)
}

// History is what was found in the commits of a repository.
type History struct {
	Prefix   string    // of the folder in its work tree: "fleet/", or ""
	Commits  int       // that there are
	Scanned  int       // that were scanned this time; the others are known from before
	Findings []Finding // sorted by file, line, rule; with the commit
	Gaps     []Gap     // what was not looked at
}

// Gap is a part of a history that could not be looked at.
type Gap struct {
	Subject string `json:"subject"` // "commit 0123abcd", "history"
	Reason  string `json:"reason"`
	Next    string `json:"next,omitempty"`
}

// History scans the commits of the Git repository that holds a folder: the lines that
// each adds, as `gitleaks git` does, and finds the same. Like that, it sees nothing of
// what a merge commit changes beyond its parents.
//
// Bad repositories are gaps, not errors; an error is an internal one, or that of ctx.
func (s *Scanner) History(ctx context.Context, dir string, o HistoryOptions) (*History, error) {
	h := &History{}
	gap := func(subject, next, format string, args ...any) {
		h.Gaps = append(h.Gaps, Gap{subject, fmt.Sprintf(format, args...), next})
	}
	repo, err := openHistory(ctx, dir)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		gap("history", "run the check in a clone of the repository, with git installed", "there is no Git history to look at: %v", err)
		return h, nil
	}
	h.Prefix = repo.prefix
	commits, err := repo.list(ctx, o.Since)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	switch {
	case err != nil:
		gap("history", "git fsck says what is broken; a new clone may mend it", "git cannot list all commits, so that some are not searched: %v", err)
	case len(commits) == 0 && o.Since == "":
		gap("history", "commit something first", "the repository has no commits")
	}
	if len(commits) > MaxCommits {
		commits = commits[:MaxCommits]
		gap("history", "", "the repository has more than %d commits; the oldest are not searched", MaxCommits)
	}
	h.Commits = len(commits)
	ends, err := repo.shallow(ctx)
	if err != nil {
		gap("history", "", "the list of commits at which the shallow clone ends cannot be read: %v", err)
	}
	cut := 0
	for _, c := range commits {
		if ends[c] {
			cut++
		}
	}
	if cut > 0 {
		gap("history", "fetch all of it: git fetch --unshallow (GitLab CI: GIT_DEPTH: 0; actions/checkout: fetch-depth: 0)",
			"the repository is a shallow clone: %d commits are here and searched, those before them are not", len(commits))
	}

	state := loadState(o.Cache, s.rules, repo.common)
	var todo []string
	for _, c := range commits {
		if !state.done(c) {
			todo = append(todo, c)
		}
	}
	if len(todo) > 0 {
		if err := s.prepare(); err != nil {
			return nil, err
		}
	}
	found, err := s.commits(ctx, repo, todo, o)
	if err != nil {
		return nil, err
	}
	h.Scanned = len(todo)
	for _, c := range todo {
		// The first commits of a shallow clone are compared with nothing now, and with
		// their parents when it gets these.
		if found.ok[c] && !ends[c] {
			state.add(c, found.findings[c], found.gaps[c])
		}
	}
	if len(todo) > 0 {
		state.save(o.Cache, s.rules, repo.common, commits, o.Since == "")
	}
	for _, c := range commits {
		findings, gaps := state.of(c)
		if found.has(c) {
			findings, gaps = found.findings[c], found.gaps[c]
		}
		h.Findings = append(h.Findings, findings...)
		h.Gaps = append(h.Gaps, gaps...)
	}
	h.Gaps = append(h.Gaps, found.broken...)
	slices.SortFunc(h.Findings, Finding.Compare)
	return h, nil
}

// gitRepository is where git runs.
type gitRepository struct {
	dir    string // a folder of the work tree
	prefix string // of the folder, from the root of the work tree
	common string // the repository itself, which its work trees share
}

func openHistory(ctx context.Context, dir string) (*gitRepository, error) {
	out, err := gitSays(ctx, dir, stepTimeout, "rev-parse", "--git-common-dir")
	if err != nil {
		return nil, err
	}
	common := strings.TrimSuffix(string(out), "\n")
	if !filepath.IsAbs(common) {
		common = filepath.Join(dir, common)
	}
	if common, err = filepath.Abs(common); err != nil {
		return nil, err
	}
	prefix, err := gitSays(ctx, dir, stepTimeout, "rev-parse", "--show-prefix")
	if err != nil {
		return nil, err
	}
	return &gitRepository{dir: dir, prefix: strings.TrimSuffix(string(prefix), "\n"), common: common}, nil
}

// list returns the full names of the commits, newest first, one more than MaxCommits at
// most. With an error come those that git has named before it.
func (r *gitRepository) list(ctx context.Context, since string) ([]string, error) {
	args := []string{"--no-replace-objects", "rev-list", fmt.Sprintf("--max-count=%d", MaxCommits+1)}
	if since != "" {
		args = append(args, "HEAD", "^"+since)
	} else {
		args = append(args, "--all")
		// A HEAD that is no branch is a reference too; in a repository without commits
		// there is none.
		if _, err := gitSays(ctx, r.dir, stepTimeout, "rev-parse", "--verify", "--quiet", "HEAD^{commit}"); err == nil {
			args = append(args, "HEAD")
		}
	}
	out, err := gitSays(ctx, r.dir, walkTimeout, append(args, "--")...)
	var commits []string
	for line := range strings.SplitSeq(string(out), "\n") {
		if isName(line) {
			commits = append(commits, line)
		}
	}
	return commits, err
}

// shallow returns the commits at which a shallow clone ends.
func (r *gitRepository) shallow(ctx context.Context) (map[string]bool, error) {
	f, err := os.Open(filepath.Join(r.common, "shallow"))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxShallow+1))
	if err == nil && len(data) > maxShallow {
		err = fmt.Errorf("it has more than %d MiB", maxShallow>>20)
	}
	ends := map[string]bool{}
	for _, c := range strings.Fields(string(data)) {
		ends[c] = true
	}
	return ends, err
}

// gitSays runs git and returns what it prints, also when it fails.
func gitSays(ctx context.Context, dir string, most time.Duration, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	cmd := gitops.Git(ctx, dir, args...)
	var errs tail
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		err = fmt.Errorf("git takes more than %s", most)
	} else if err != nil {
		err = errs.explain(err)
	}
	return out, err
}

// tail keeps the first of what a program says.
type tail struct{ b bytes.Buffer }

func (t *tail) Write(p []byte) (int, error) {
	t.b.Write(p[:min(len(p), max(0, 1000-t.b.Len()))])
	return len(p), nil
}

func (t *tail) explain(err error) error {
	said, _, _ := strings.Cut(strings.TrimSpace(strings.ToValidUTF8(t.b.String(), "?")), "\n")
	if said == "" {
		return fmt.Errorf("git: %w", err)
	}
	return fmt.Errorf("git says %q", said)
}

// results are what was found in commits, by their names.
type results struct {
	mu       sync.Mutex
	ok       map[string]bool // was read to its end
	findings map[string][]Finding
	gaps     map[string][]Gap
	broken   []Gap // commits that git cannot show
	failed   int
	done     int
}

func (r *results) has(commit string) bool { return r.ok[commit] }

// commits scans commits, in parts, so that all processors have something to do: git
// needs one for itself while its last output is searched.
func (s *Scanner) commits(ctx context.Context, repo *gitRepository, todo []string, o HistoryOptions) (*results, error) {
	r := &results{ok: map[string]bool{}, findings: map[string][]Finding{}, gaps: map[string][]Gap{}}
	workers := o.Workers
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	// A part is large enough for a process of its own, and small enough that no worker
	// is left with much at the end.
	size := min(max(len(todo)/(workers*8), 50), 2000)
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(workers)
	for part := range slices.Chunk(todo, size) {
		g.Go(func() error {
			err := s.scan(ctx, repo, part, r)
			if o.Progress != nil && err == nil {
				r.mu.Lock()
				r.done += len(part)
				done := r.done
				r.mu.Unlock()
				o.Progress(done, len(todo))
			}
			return err
		})
	}
	err := g.Wait()
	slices.SortFunc(r.broken, func(a, b Gap) int { return strings.Compare(a.Subject+a.Reason, b.Subject+b.Reason) })
	return r, err
}

// scan scans some commits. When git fails on one of them it is found by halving, and
// the others are scanned.
func (s *Scanner) scan(ctx context.Context, repo *gitRepository, commits []string, r *results) error {
	if len(commits) == 0 {
		return nil
	}
	failure := s.show(ctx, repo, commits, r)
	if failure == nil || ctx.Err() != nil {
		return ctx.Err()
	}
	r.mu.Lock()
	r.failed++
	failed := r.failed
	r.mu.Unlock()
	const next = "git fsck says what is broken; in a partial clone, which has not all objects, fetch them or use a full clone"
	switch {
	case len(commits) == 1:
		r.mu.Lock()
		r.broken = append(r.broken, Gap{"commit " + short(commits[0]), "git cannot show it: " + failure.Error(), next})
		r.mu.Unlock()
		return nil
	case failed > maxBroken*12:
		r.mu.Lock()
		r.broken = append(r.broken, Gap{fmt.Sprintf("%d commits from %s", len(commits), short(commits[0])), "git cannot show one or more of them: " + failure.Error(), next})
		r.mu.Unlock()
		return nil
	}
	half := len(commits) / 2
	if err := s.scan(ctx, repo, commits[:half], r); err != nil {
		return err
	}
	return s.scan(ctx, repo, commits[half:], r)
}

func short(commit string) string { return commit[:min(len(commit), 12)] }

// show has git print what commits change, and searches it. An error says why git could
// not print all; then nothing of them counts.
func (s *Scanner) show(ctx context.Context, repo *gitRepository, commits []string, r *results) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// diff-tree is the plumbing of `git log -p -U0`: configuration that changes what is
	// printed does not count, and no program is run for a file. In the repository's own
	// folder, taken for one without work tree, neither do .gitattributes: "-diff" there
	// would hide the content of files.
	cmd := gitops.Git(ctx, repo.common, "-c", "core.bare=true", "-c", "safe.bareRepository=all", "--no-replace-objects",
		"diff-tree", "--stdin", "--root", "-r", "-p", "-U0", "-M", "--diff-filter=tuxdb", "--full-index",
		"--no-ext-diff", "--no-textconv", "--no-color", "--src-prefix=a/", "--dst-prefix=b/", "--format=%H %at")
	cmd.Stdin = strings.NewReader(strings.Join(commits, "\n") + "\n")
	var errs tail
	cmd.Stderr = &errs
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	idle := time.AfterFunc(idleTimeout, cancel)
	defer idle.Stop()
	part := &results{findings: map[string][]Finding{}, gaps: map[string][]Gap{}}
	p := newDiffParser(bufio.NewReaderSize(out, 256<<10), MaxText)
	perr := p.each(func(f *hunk) error {
		idle.Reset(idleTimeout)
		return s.hunk(ctx, f, part)
	})
	if perr != nil {
		cancel()
	}
	werr := cmd.Wait()
	switch {
	case perr != nil && !errors.Is(perr, context.Canceled):
		return perr
	case ctx.Err() != nil && !idle.Stop():
		return fmt.Errorf("git takes more than %s", idleTimeout)
	case werr != nil:
		return errs.explain(werr)
	case perr != nil:
		return perr
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range commits {
		r.ok[c] = true
	}
	for c, f := range part.findings {
		r.findings[c] = f
	}
	for c, g := range part.gaps {
		r.gaps[c] = g
	}
	return nil
}

// hunk searches lines that a commit adds to a file.
func (s *Scanner) hunk(ctx context.Context, f *hunk, r *results) error {
	gap := func(reason string) {
		list := r.gaps[f.commit]
		if g := (Gap{Subject: f.file + " in commit " + short(f.commit), Reason: reason}); len(list) < 100 && !slices.Contains(list, g) {
			r.gaps[f.commit] = append(list, g)
		}
	}
	if f.large {
		if !s.place(f.file).skip {
			gap(fmt.Sprintf("it adds more than %d MiB in one piece, which are the most that are searched", MaxText>>20))
		}
		return nil
	}
	found, err := s.raw(ctx, f.file, f.commit, f.text, f.line, true)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		gap(err.Error())
		return nil
	}
	if len(found) == 0 {
		return nil
	}
	list, err := s.redact(found, sealedLines(f.text).from(f.line))
	if err != nil {
		gap(err.Error())
	}
	for i := range list {
		list[i].Date = f.date
	}
	r.findings[f.commit] = append(r.findings[f.commit], list...)
	return nil
}
