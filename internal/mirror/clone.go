package mirror

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/gofrs/flock"
	"github.com/hiddeco/sshsig"
	"golang.org/x/crypto/ssh"

	"lumacore.dev/lumacore/internal/config"
	"lumacore.dev/lumacore/internal/report"
)

// Target is the mirror itself.
type Target struct {
	URL    string
	Branch string
	Access Access
	Folder string // where clones of mirrors are kept between runs

	Offline bool // the mirror is not asked: a plan shows all files as added
}

// clone is a bare clone of a mirror's branch. It never has an object that was not on the
// mirror or in a candidate that nothing stopped.
type clone struct {
	Target
	dir  string
	lock *flock.Flock
	tip  string // commit of the branch on the mirror; "" if there is none
}

// lockTimeout is how long one run waits for another.
const lockTimeout = 30 * time.Second

// open makes or finds the clone, and fetches the branch: its newest commit, or all.
func (t Target) open(ctx context.Context, whole bool) (*clone, error) {
	sum := sha256.Sum256([]byte(t.URL + "\x00" + t.Branch))
	name := hex.EncodeToString(sum[:8])
	if whole {
		name += "-whole"
	}
	c := &clone{Target: t, dir: filepath.Join(t.Folder, name)}
	if err := os.MkdirAll(c.dir, 0o700); err != nil {
		return nil, err
	}
	c.lock = flock.New(c.dir + ".lock")
	waiting, cancel := context.WithTimeout(ctx, lockTimeout)
	defer cancel()
	if got, err := c.lock.TryLockContext(waiting, 200*time.Millisecond); err != nil || !got {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, &Trouble{"another lumacore works on this mirror", "wait until it has ended, and run the same command again", err}
	}
	if err := c.fetch(ctx, whole); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

func (c *clone) close() { _ = c.lock.Unlock() }

// git runs git in the clone.
func (c *clone) git(ctx context.Context, args ...string) (string, error) {
	return c.Access.run(ctx, c.dir, gitLocal, nil, args...)
}

func (c *clone) fetch(ctx context.Context, whole bool) error {
	// A run that was killed may have left half a clone: nothing in it is not on the mirror.
	if _, err := c.git(ctx, "--git-dir=.", "rev-parse", "--is-bare-repository"); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := errors.Join(os.RemoveAll(c.dir), os.MkdirAll(c.dir, 0o700)); err != nil {
			return err
		}
		if _, err := c.git(ctx, "init", "--quiet", "--bare", "--initial-branch="+c.Branch); err != nil {
			return err
		}
	}
	// A run that was killed may have left locks of Git's, and what it was about to write.
	for _, pattern := range []string{"*.lock", "refs/mirror/*.lock", "objects/pack/tmp_*", "write-*"} {
		left, err := filepath.Glob(filepath.Join(c.dir, pattern))
		if err != nil {
			return err
		}
		for _, f := range left {
			if err := os.RemoveAll(f); err != nil {
				return err
			}
		}
	}
	out, err := c.Access.run(ctx, c.dir, gitRemote, nil, "ls-remote", "--", c.URL, "refs/heads/"+c.Branch)
	if err != nil {
		return explain(c.URL, err)
	}
	c.tip, _, _ = strings.Cut(strings.TrimSpace(out), "\t")
	if c.tip == "" {
		return nil
	}
	args := []string{"fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--force"}
	if !whole {
		args = append(args, "--depth=1")
	}
	if _, err := c.Access.run(ctx, c.dir, gitRemote, nil, append(args, "--", c.URL, "+refs/heads/"+c.Branch+":refs/mirror/"+c.Branch)...); err != nil {
		return explain(c.URL, err)
	}
	got, err := c.git(ctx, "rev-parse", "--verify", "refs/mirror/"+c.Branch)
	if err != nil {
		return err
	}
	c.tip = strings.TrimSpace(got)
	return nil
}

// commit is a commit of the mirror.
type commit struct {
	name          string
	parents       []string
	author, by    string // "NAME <EMAIL>"
	time          time.Time
	message       string
	source, rules string // of its trailers; "" if it is none of ours
	// What signs it, armoured, and what of it is signed; "" if nothing is, or more than one.
	signature, payload string
}

var (
	person   = regexp.MustCompile(`^(.*) (\d+) ([+-]\d{4})$`)
	ourTrail = regexp.MustCompile(`^Sync with the source\n\n(\d+ added, \d+ changed, \d+ removed)\n\nSource-Revision: ([0-9a-f]{40}|[0-9a-f]{64})\nMirror-Rules: (sha256:[0-9a-f]{64})\n$`)
)

// message is what a commit of the mirror says: nothing of it was written by a person.
func message(added, changed, removed int, source, rules string) string {
	return fmt.Sprintf("Sync with the source\n\n%d added, %d changed, %d removed\n\nSource-Revision: %s\nMirror-Rules: %s\n", added, changed, removed, source, rules)
}

// parse reads a commit object (https://git-scm.com/docs/gitformat-signature).
func parse(name, object string) commit {
	c := commit{name: name}
	var payload strings.Builder
	var signatures []string
	inSignature := false
	rest := object
	for rest != "" {
		line, after, _ := strings.Cut(rest, "\n")
		if line == "" {
			c.message = after
			break
		}
		rest = after
		if text, ok := strings.CutPrefix(line, " "); ok && inSignature {
			signatures[len(signatures)-1] += "\n" + text
			continue
		}
		key, value, _ := strings.Cut(line, " ")
		if inSignature = key == "gpgsig" || key == "gpgsig-sha256"; inSignature {
			signatures = append(signatures, value)
			continue
		}
		payload.WriteString(line + "\n")
		switch key {
		case "parent":
			c.parents = append(c.parents, value)
		case "author", "committer":
			m := person.FindStringSubmatch(value)
			if m == nil {
				continue
			}
			if key == "author" {
				c.author = m[1]
				continue
			}
			c.by = m[1]
			var seconds int64
			if _, err := fmt.Sscan(m[2], &seconds); err == nil {
				c.time = time.Unix(seconds, 0).UTC()
			}
		}
	}
	// Of several nobody could say which one counts.
	if len(signatures) == 1 {
		c.signature, c.payload = signatures[0], payload.String()+"\n"+c.message
	}
	if m := ourTrail.FindStringSubmatch(c.message); m != nil {
		c.source, c.rules = m[2], m[3]
	}
	return c
}

// read reads a commit of the clone.
func (c *clone) read(ctx context.Context, name string) (commit, error) {
	object, err := c.git(ctx, "cat-file", "commit", name)
	if err != nil {
		return commit{}, err
	}
	return parse(name, object), nil
}

// signedBy says why a commit's signature is not one of the signers; "" if it is. It is what
// `git verify-commit` finds with ssh-keygen, without three processes for each commit
// (https://github.com/openssh/openssh-portable/blob/master/PROTOCOL.sshsig).
func (k commit) signedBy(signers []string) string {
	const why = "no key of mirror.signers made its signature"
	if k.signature == "" {
		return "it is not signed"
	}
	signature, err := sshsig.Unarmor([]byte(k.signature))
	// SHA-1, which ssh-keygen does not take either.
	if err != nil || signature.Signature.Format == ssh.KeyAlgoRSA {
		return why
	}
	for _, signer := range signers {
		key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(signer))
		if err == nil && sshsig.Verify(strings.NewReader(k.payload), signature, key, signature.HashAlgorithm, "git") == nil {
			return ""
		}
	}
	return why
}

// listing lists the files of a commit on the mirror.
func (c *clone) listing(ctx context.Context, name string) (map[string]entry, error) {
	out, err := c.git(ctx, "ls-tree", "-r", "-z", "--full-tree", name)
	if err != nil {
		return nil, err
	}
	all := map[string]entry{}
	for line := range strings.SplitSeq(strings.TrimSuffix(out, "\x00"), "\x00") {
		head, path, ok := strings.Cut(line, "\t")
		f := strings.Fields(head)
		if !ok || len(f) != 3 {
			if line == "" {
				continue
			}
			return nil, fmt.Errorf("git ls-tree: unexpected line %q", line)
		}
		all[path] = entry{path: path, mode: f[0], object: f[2]}
	}
	return all, nil
}

// write writes a tree with these files, and returns its name. The clone gets nothing
// else: the files are already known to be clean.
func (c *clone) write(ctx context.Context, list []File, known map[string]bool) (string, error) {
	dir, err := os.MkdirTemp(c.dir, "write-*")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	var paths, index bytes.Buffer
	n := 0
	for _, f := range list {
		object := name(f.Data)
		fmt.Fprintf(&index, "%s %s\t%s\x00", f.Mode, object, f.Path)
		if known[object] {
			continue
		}
		known[object] = true
		path := filepath.Join(dir, fmt.Sprint(n))
		n++
		if err := os.WriteFile(path, f.Data, 0o600); err != nil {
			return "", err
		}
		paths.WriteString(path + "\n")
	}
	if n > 0 {
		if _, err := c.Access.run(ctx, c.dir, gitLocal, &paths, "hash-object", "-w", "--no-filters", "--stdin-paths"); err != nil {
			return "", err
		}
	}
	// An index of its own, so that nothing is left of a run before.
	cmd := c.Access.remote(ctx, c.dir, "update-index", "-z", "--index-info")
	cmd.Env = append(cmd.Env, "GIT_INDEX_FILE="+filepath.Join(dir, "index"))
	cmd.Stdin = &index
	if _, err := output(ctx, cmd, "update-index"); err != nil {
		return "", err
	}
	cmd = c.Access.remote(ctx, c.dir, "write-tree")
	cmd.Env = append(cmd.Env, "GIT_INDEX_FILE="+filepath.Join(dir, "index"))
	tree, err := output(ctx, cmd, "write-tree")
	return strings.TrimSpace(tree), err
}

// commit makes a signed commit of a tree.
func (c *clone) commit(ctx context.Context, tree, parent, text string, who *config.Identity, when time.Time, key string) (string, error) {
	args := []string{"-c", "gpg.format=ssh", "-c", "user.signingKey=" + key, "commit-tree", "-S", tree}
	if parent != "" {
		args = append(args, "-p", parent)
	}
	cmd := c.Access.remote(ctx, c.dir, args...)
	// The time is the source's, in UTC: where the owner lives is nobody's business.
	at := fmt.Sprintf("%d +0000", when.Unix())
	cmd.Env = append(cmd.Env,
		"GIT_AUTHOR_NAME="+who.Name, "GIT_AUTHOR_EMAIL="+who.Email, "GIT_AUTHOR_DATE="+at,
		"GIT_COMMITTER_NAME="+who.Name, "GIT_COMMITTER_EMAIL="+who.Email, "GIT_COMMITTER_DATE="+at)
	cmd.Stdin = strings.NewReader(text)
	out, err := output(ctx, cmd, "commit-tree")
	if err != nil {
		return "", fmt.Errorf("the commit cannot be signed with %s: %w", key, err)
	}
	return strings.TrimSpace(out), nil
}

// push pushes a commit to the branch; from is what the branch must still be when it is
// to be rewritten, and "" for one that only goes on.
func (c *clone) push(ctx context.Context, commit, from string) error {
	args := []string{"push", "--quiet", "--no-verify"}
	if from != "" {
		args = append(args, "--force-with-lease=refs/heads/"+c.Branch+":"+from)
	}
	_, err := c.Access.run(ctx, c.dir, gitRemote, nil, append(args, "--", c.URL, commit+":refs/heads/"+c.Branch)...)
	if err != nil {
		// The answer may be lost although the server took the push.
		if out, lerr := c.Access.run(ctx, c.dir, gitRemote, nil, "ls-remote", "--", c.URL, "refs/heads/"+c.Branch); lerr == nil {
			if tip, _, _ := strings.Cut(out, "\t"); tip == commit {
				return nil
			}
		}
		return explain(c.URL, err)
	}
	return nil
}

// publicKey is the public half of a key that signs.
func publicKey(file string) (string, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return "", report.Misuse("name the file of the key with --signing-key-file", "the key that signs: %w", err)
	}
	key, err := ssh.ParsePrivateKey(data)
	if err != nil {
		var passphrase *ssh.PassphraseMissingError
		if errors.As(err, &passphrase) {
			return "", report.Misuse("ssh-keygen -p -N '' -f "+file+" takes it away", "the key that signs, %s, has a passphrase, which nobody is there to type", file)
		}
		return "", report.Misuse("ssh-keygen -t ed25519 -N '' -f mirror makes one", "%s is no SSH key that can sign: %w", file, err)
	}
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key.PublicKey()))), nil
}

// bare is a public key without the comment behind it.
func bare(key string) string {
	f := strings.Fields(key)
	return strings.Join(f[:min(2, len(f))], " ")
}

func isSigner(signers []string, key string) bool {
	return slices.ContainsFunc(signers, func(s string) bool { return bare(s) == bare(key) })
}

var errNoTip = errors.New("the mirror has no such branch")
