package mirror

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

	"lumacore.dev/lumacore/internal/disclosure"
	"lumacore.dev/lumacore/internal/gitops"
)

// name is the name that Git gives to content.
func name(data []byte) string { return gitops.BlobName(data, 40) }

// Plan says what a sync would do. Nothing is pushed. If nothing stops them, the files are
// written to the folder tree, which must not exist; "" for nowhere.
func Plan(ctx context.Context, s Source, t Target, tree string) (*Report, error) {
	if tree != "" {
		if _, err := os.Lstat(tree); err == nil {
			return nil, &Trouble{fmt.Sprintf("%s is there already: old files in it would look as if they would be published", tree), "remove it, or name another folder", fs.ErrExist}
		}
	}
	r, can, c, err := prepare(ctx, s, t)
	if err != nil {
		return nil, err
	}
	if c != nil {
		c.close()
	}
	if r.Result == Blocked {
		return r, nil
	}
	r.Result = Planned
	if r.Added+r.Changed+r.Removed == 0 {
		r.Result = UpToDate
	}
	if tree == "" {
		return r, nil
	}
	// Whole or not at all.
	dir, err := os.MkdirTemp(filepath.Dir(tree), "."+filepath.Base(tree)+"-*")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	if err := can.write(dir); err != nil {
		return nil, err
	}
	return r, errors.Join(os.Chmod(dir, 0o755), os.Rename(dir, tree))
}

// write writes the files as they would be published.
func (c *Candidate) write(dir string) error {
	for _, f := range c.Files {
		path := filepath.Join(dir, filepath.FromSlash(f.Path))
		mode := os.FileMode(0o644)
		if f.Mode == "100755" {
			mode = 0o755
		}
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, f.Data, mode)); err != nil {
			return err
		}
	}
	return nil
}

// prepare makes the candidate and holds it against the mirror, if it has an address. What
// stops it is in the report.
func prepare(ctx context.Context, s Source, t Target) (*Report, *Candidate, *clone, error) {
	started := time.Now()
	can, err := Make(ctx, s)
	if err != nil {
		return nil, nil, nil, err
	}
	r := newReport(s, t, can)
	defer func() { r.Seconds = time.Since(started).Seconds() }()
	if len(can.Files) == 0 {
		can.Problems = append(can.Problems, errNothing.Error())
	}
	r.take(can)
	if t.URL == "" || t.Offline {
		why := "it has no address (mirror.url)"
		if t.Offline {
			why = "--offline"
		}
		r.compare(can, nil)
		r.NotChecked = append(r.NotChecked, "what is on the mirror: "+why)
		return r, can, nil, nil
	}
	c, err := t.open(ctx, false)
	if err != nil {
		return nil, nil, nil, err
	}
	var before map[string]entry
	if c.tip != "" {
		if before, err = c.listing(ctx, c.tip); err != nil {
			c.close()
			return nil, nil, nil, err
		}
	}
	r.Before = c.tip
	r.compare(can, before)
	if why, alarm, err := c.trust(ctx, s, can); err != nil {
		c.close()
		return nil, nil, nil, err
	} else if why != "" {
		r.stop(why)
		r.Alarm = r.Alarm || alarm
	}
	return r, can, c, nil
}

// trust says why the mirror's newest commit is not one that a sync can follow; "" if it
// is. alarm: somebody else has pushed.
func (c *clone) trust(ctx context.Context, s Source, can *Candidate) (why string, alarm bool, err error) {
	if c.tip == "" {
		return "", false, nil
	}
	k, err := c.read(ctx, c.tip)
	if err != nil {
		return "", false, err
	}
	short := fmt.Sprintf("the mirror's newest commit, %.12s, ", c.tip)
	if k.source == "" {
		return short + "was not made by lumacore: somebody else has pushed", true, nil
	}
	if len(can.Config.Signers) == 0 {
		return "mirror.signers in lumacore.yaml is empty: nobody could tell who made the mirror's commits", false, nil
	}
	if why := k.signedBy(can.Config.Signers); why != "" {
		return short + "is not to be trusted: " + why, true, nil
	}
	if _, err := read(ctx, s.Dir, "cat-file", "-e", k.source+"^{commit}"); err != nil {
		var g *gitError
		if !errors.As(err, &g) {
			return "", false, err
		}
		return fmt.Sprintf("%scomes from commit %.12s, which this repository does not have; fetch its whole history", short, k.source), false, nil
	}
	if _, err := read(ctx, s.Dir, "merge-base", "--is-ancestor", k.source, can.Commit); err != nil {
		var g *gitError
		if !errors.As(err, &g) {
			return "", false, err
		}
		return fmt.Sprintf("%scomes from commit %.12s, and %.12s does not follow it: the mirror would go back", short, k.source, can.Commit), false, nil
	}
	return "", false, nil
}

// Options are how a sync is done.
type Options struct {
	SigningKey  string // file with the private key that signs commits
	WithoutDocs bool   // the documentation is not built
	Progress    func(format string, args ...any)
}

// Sync publishes a revision, if nothing stops it. A report that is blocked is no error;
// an error is what a person must mend before anything can be said.
func Sync(ctx context.Context, s Source, t Target, o Options) (*Report, error) {
	started := time.Now()
	r, can, c, err := prepare(ctx, s, t)
	if err != nil {
		return nil, err
	}
	defer func() { r.Seconds = time.Since(started).Seconds() }()
	if c == nil {
		r.stop("mirror.url in lumacore.yaml says nothing, and neither does --to")
		return r, nil
	}
	defer c.close()
	if err := r.signer(ctx, can, o.SigningKey); err != nil {
		return nil, err
	}
	if r.Result == Blocked {
		return r, nil
	}
	if r.Added+r.Changed+r.Removed == 0 && c.tip != "" {
		r.Result, r.After = UpToDate, c.tip
		return r, nil
	}
	if err := r.docs(ctx, can, o); err != nil {
		return nil, err
	}
	text := message(r.Added, r.Changed, r.Removed, can.Commit, can.Rules.Digest())
	found, err := can.scanner.Text(ctx, "message", text)
	if err != nil {
		return nil, err
	}
	r.add(found)
	if r.Result == Blocked {
		return r, nil
	}
	return r, c.publish(ctx, r, can, c.tip, text, "", o)
}

// signer stops a report when nobody could be the author, or nobody could tell who was.
func (r *Report) signer(ctx context.Context, can *Candidate, file string) error {
	if can.Identity == nil {
		r.stop("publicIdentity in lumacore.yaml says nothing: nobody could be the author on the mirror")
		return nil
	}
	found, err := can.scanner.Text(ctx, "author", can.Identity.Name+" <"+can.Identity.Email+">")
	if err != nil {
		return err
	}
	r.add(found)
	key, err := publicKey(file)
	if err != nil {
		return err
	}
	if !isSigner(can.Config.Signers, key) {
		r.stop("the key that signs is not among mirror.signers in lumacore.yaml: mirror verify could not tell its commits from somebody else's")
	}
	return nil
}

// publish writes the candidate and pushes it.
func (c *clone) publish(ctx context.Context, r *Report, can *Candidate, parent, text, lease string, o Options) error {
	known := map[string]bool{}
	if c.tip != "" {
		before, err := c.listing(ctx, c.tip)
		if err != nil {
			return err
		}
		for _, e := range before {
			known[e.object] = true
		}
	}
	tree, err := c.write(ctx, can.Files, known)
	if err != nil {
		return err
	}
	made, err := c.commit(ctx, tree, parent, text, can.Identity, can.Time, o.SigningKey)
	if err != nil {
		return err
	}
	k, err := c.read(ctx, made)
	if err != nil {
		return err
	}
	if why := k.signedBy(can.Config.Signers); why != "" {
		return fmt.Errorf("the commit that was just made does not verify: %s", why)
	}
	o.Progress("pushing %.12s to %s", made, c.URL)
	if err := c.push(ctx, made, lease); err != nil {
		return err
	}
	r.Result, r.After = Pushed, made
	return nil
}

// docsTimeout bounds a build of the documentation.
const docsTimeout = 10 * time.Minute

// docs builds the documentation of the candidate, if it has one: a link that leads to a
// file which is not published must not be found by a reader.
func (r *Report) docs(ctx context.Context, can *Candidate, o Options) error {
	has := slices.ContainsFunc(can.Files, func(f File) bool { return f.Path == "mkdocs.yml" })
	switch {
	case can.Config.WithoutDocs:
		r.NotChecked = append(r.NotChecked, "the documentation: mirror.docs is none")
		return nil
	case !has:
		return nil
	case o.WithoutDocs:
		r.NotChecked = append(r.NotChecked, "the documentation: --without-docs")
		return nil
	}
	dir, err := os.MkdirTemp("", "lumacore-mirror-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := can.write(filepath.Join(dir, "tree")); err != nil {
		return err
	}
	o.Progress("building the documentation")
	ctx, cancel := context.WithTimeout(ctx, docsTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, "mkdocs", "build", "--strict", "--quiet", "--site-dir", filepath.Join(dir, "site"))
	cmd.Dir = filepath.Join(dir, "tree") // where pages look for what they show
	cmd.WaitDelay = 5 * time.Second
	// It runs plug-ins that mkdocs.yml names: they get nothing of this process but a path.
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "LC_ALL=C.UTF-8", "TMPDIR=" + dir}
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	switch err := cmd.Run(); {
	case errors.Is(err, exec.ErrNotFound):
		r.stop("the documentation cannot be built: mkdocs is not installed")
	case ctx.Err() != nil:
		r.stop(fmt.Sprintf("the documentation is not built after %s", docsTimeout))
	case err != nil:
		text := strings.TrimSpace(strings.ReplaceAll(said.String(), dir+"/tree/", ""))
		lines := strings.Split(text, "\n")
		r.stop("the documentation does not build: " + strings.Join(lines[max(0, len(lines)-5):], "; "))
	default:
		r.DocsBuilt = true
	}
	return nil
}

// Findings that stop a report are added.
func (r *Report) add(found []disclosure.Finding) {
	if len(found) == 0 {
		return
	}
	r.Findings = append(r.Findings, found...)
	r.Result = Blocked
	for _, f := range found {
		r.Alarm = r.Alarm || f.Alarm
	}
}
