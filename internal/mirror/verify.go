package mirror

import (
	"context"
	"fmt"
	"io"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"lumacore.dev/lumacore/internal/cache"
	"lumacore.dev/lumacore/internal/disclosure"
	"lumacore.dev/lumacore/internal/report"
)

// VerifyKind of the report of verify.
const VerifyKind = "MirrorVerifyReport"

// The results of verify.
const (
	Clean = "clean"
	Dirty = "dirty"
)

// Verification says what is on a mirror, of all its history.
type Verification struct {
	report.TypeMeta
	Result  string  `json:"result"`
	URL     string  `json:"url"`
	Branch  string  `json:"branch"`
	Tip     string  `json:"tip"` // newest commit
	Time    string  `json:"time"`
	Seconds float64 `json:"seconds"`

	Commits    int `json:"commits"`
	Known      int `json:"known"`      // that an earlier run has verified
	Recomputed int `json:"recomputed"` // whose tree is what its source and rules give
	Blobs      int `json:"blobs"`      // files that were searched this time

	Alarm      bool       `json:"alarm"`     // a canary, or somebody else has pushed
	Exposures  []Exposure `json:"exposures"` // what must not be public
	Foreign    []Foreign  `json:"foreign"`   // what lumacore has not made
	Differs    []Foreign  `json:"differs"`   // commits that are not what their source gives
	NotChecked []string   `json:"notChecked"`
}

// Exposure is something that must not be public and is.
type Exposure struct {
	disclosure.Finding
	Since  string   `json:"since"`   // when it was committed, RFC 3339
	Until  string   `json:"until"`   // last commit that has it; "" if the newest has
	Commit []string `json:"commits"` // that have the file, from the oldest
}

// Foreign is a commit or a reference, and what is wrong with it.
type Foreign struct {
	Name   string `json:"name"`
	Reason string `json:"reason"`
}

// Verify clones a mirror, searches all its history for whatever must not be public by
// today's rules, and holds each commit against its source. s.Revision has the rules of
// today.
func Verify(ctx context.Context, s Source, t Target, progress func(string, ...any)) (*Verification, error) {
	started := time.Now()
	can, err := candidate(ctx, s)
	if err != nil {
		return nil, err
	}
	v := &Verification{
		TypeMeta: report.Meta(VerifyKind), Result: Clean, URL: t.URL, Branch: t.Branch, Time: s.Now.UTC().Format(time.RFC3339),
		Exposures: []Exposure{}, Foreign: []Foreign{}, Differs: []Foreign{}, NotChecked: []string{},
	}
	defer func() { v.Seconds = time.Since(started).Seconds() }()
	progress("fetching %s", t.URL)
	c, err := t.open(ctx, true)
	if err != nil {
		return nil, err
	}
	defer c.close()
	if c.tip == "" {
		return nil, &Trouble{t.URL + " has no branch " + t.Branch, "lumacore mirror sync makes it", errNoTip}
	}
	v.Tip = c.tip
	if err := v.references(ctx, c); err != nil {
		return nil, err
	}
	commits, err := c.history(ctx)
	if err != nil {
		return nil, err
	}
	v.Commits = len(commits)
	if err := v.made(ctx, c, can, commits); err != nil {
		return nil, err
	}
	if err := v.recompute(ctx, s, c, can, commits, progress); err != nil {
		return nil, err
	}
	if err := v.search(ctx, s, c, can, commits, progress); err != nil {
		return nil, err
	}
	if len(v.Exposures)+len(v.Foreign)+len(v.Differs) > 0 {
		v.Result = Dirty
	}
	return v, nil
}

// references looks for whatever is on the mirror beside its branch.
func (v *Verification) references(ctx context.Context, c *clone) error {
	out, err := c.Access.run(ctx, c.dir, gitRemote, nil, "ls-remote", "--", c.URL)
	if err != nil {
		return explain(c.URL, err)
	}
	requests := 0
	for line := range strings.SplitSeq(strings.TrimSpace(out), "\n") {
		_, ref, _ := strings.Cut(line, "\t")
		switch {
		case ref == "" || ref == "HEAD" || ref == "refs/heads/"+c.Branch:
		case strings.HasPrefix(ref, "refs/pull/") || strings.HasPrefix(ref, "refs/merge-requests/"):
			requests++ // anybody may propose something; that is not on the mirror
		default:
			v.Foreign = append(v.Foreign, Foreign{ref, "lumacore pushes the branch " + c.Branch + " and nothing else"})
			v.Alarm = true
		}
	}
	if requests > 0 {
		v.NotChecked = append(v.NotChecked, fmt.Sprintf("%s of others, which the host keeps", count(requests, "proposal")))
	}
	return nil
}

// history reads all commits, from the oldest.
func (c *clone) history(ctx context.Context) ([]commit, error) {
	out, err := c.git(ctx, "rev-list", "--reverse", "--topo-order", c.tip)
	if err != nil {
		return nil, err
	}
	names := strings.Fields(out)
	text, err := c.Access.run(ctx, c.dir, gitLocal, strings.NewReader(strings.Join(names, "\n")+"\n"), "cat-file", "--batch")
	if err != nil {
		return nil, err
	}
	var list []commit
	for _, name := range names {
		head, rest, ok := strings.Cut(text, "\n")
		var got, kind string
		var size int
		if _, err := fmt.Sscan(head, &got, &kind, &size); err != nil || !ok || got != name || kind != "commit" || size >= len(rest) {
			return nil, fmt.Errorf("git cat-file: commit %s cannot be read: git says %q", name, head)
		}
		list = append(list, parse(name, rest[:size]))
		text = rest[size+1:]
	}
	return list, nil
}

// made tells whether lumacore made each commit: one after the other, by the declared
// identity, signed, and with nothing in it that a person could have written.
func (v *Verification) made(ctx context.Context, c *clone, can *Candidate, commits []commit) error {
	var mu sync.Mutex
	foreign := func(k commit, reason string) {
		mu.Lock()
		defer mu.Unlock()
		v.Foreign = append(v.Foreign, Foreign{k.name, reason})
		v.Alarm = true
	}
	who := ""
	if can.Identity != nil {
		who = can.Identity.Name + " <" + can.Identity.Email + ">"
	}
	if len(can.Config.Signers) == 0 {
		v.NotChecked = append(v.NotChecked, "signatures: mirror.signers in lumacore.yaml is empty")
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	for i, k := range commits {
		switch {
		case k.source == "":
			foreign(k, "its message is none of lumacore's")
			continue
		case i == 0 && len(k.parents) > 0 || i > 0 && (len(k.parents) != 1 || k.parents[0] != commits[i-1].name):
			foreign(k, "it does not follow the commit before it")
			continue
		case who != "" && (k.author != who || k.by != who):
			foreign(k, "its author is not publicIdentity of lumacore.yaml")
			continue
		case len(can.Config.Signers) == 0:
			continue
		}
		g.Go(func() error {
			why, err := c.verify(ctx, k, can.Config.Signers)
			if why != "" {
				foreign(k, why)
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	slices.SortFunc(v.Foreign, func(a, b Foreign) int { return strings.Compare(a.Name, b.Name) })
	return nil
}

// recompute holds the tree of each commit against what its source and rules give.
func (v *Verification) recompute(ctx context.Context, s Source, c *clone, can *Candidate, commits []commit, progress func(string, ...any)) error {
	var mu sync.Mutex
	var unknown, other int
	under, err := folder(ctx, s.Dir)
	if err != nil {
		return err
	}
	known := &memory{under: under, files: map[string]string{}, rules: map[string]*Rules{}}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	for _, k := range commits {
		if k.source == "" {
			continue
		}
		g.Go(func() error {
			key := cache.NewKey([]byte("mirror: recomputed"), []byte(k.name))
			if _, ok := s.Cache.Get(key); ok {
				mu.Lock()
				v.Recomputed++
				v.Known++
				mu.Unlock()
				return nil
			}
			want, digest, err := known.expected(ctx, s.Dir, k.source)
			if err != nil {
				if ctx.Err() != nil {
					return ctx.Err()
				}
				mu.Lock()
				unknown++
				mu.Unlock()
				return nil
			}
			if digest != k.rules {
				mu.Lock()
				other++
				mu.Unlock()
				return nil
			}
			there, err := c.listing(ctx, k.name)
			if err != nil {
				return err
			}
			why := ""
			for path, f := range want {
				e, ok := there[path]
				if !ok {
					why = "it lacks " + path
				} else if e.mode != f.mode || e.object != f.object {
					why = path + " is another"
				}
				delete(there, path)
			}
			for _, path := range slices.Sorted(maps.Keys(there)) {
				why = "it has " + path
			}
			mu.Lock()
			defer mu.Unlock()
			if why != "" {
				v.Differs = append(v.Differs, Foreign{k.name, fmt.Sprintf("it is not what commit %.12s gives: %s", k.source, why)})
				v.Alarm = true
				return nil
			}
			v.Recomputed++
			s.Cache.Put(key, []byte("same"))
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	if unknown > 0 {
		v.NotChecked = append(v.NotChecked, fmt.Sprintf("whether %s has the tree of its source: this repository does not have that revision, or no mirror in its lumacore.yaml", count(unknown, "commit")))
	}
	if other > 0 {
		v.NotChecked = append(v.NotChecked, fmt.Sprintf("whether %s has the tree of its source: another version of lumacore had other rules", count(other, "commit")))
	}
	slices.SortFunc(v.Differs, func(a, b Foreign) int { return strings.Compare(a.Name, b.Name) })
	return nil
}

// search looks at every file of every commit, each content once, and at what is no file.
func (v *Verification) search(ctx context.Context, s Source, c *clone, can *Candidate, commits []commit, progress func(string, ...any)) error {
	type at struct{ path, object string }
	in := map[at][]int{} // commits that have it
	var order []at
	prev := map[string]entry{}
	for i, k := range commits {
		files, err := c.changed(ctx, k, prev)
		if err != nil {
			return err
		}
		prev = files
		for path, e := range files {
			key := at{path, e.object}
			if in[key] == nil {
				order = append(order, key)
			}
			in[key] = append(in[key], i)
			if e.mode == "120000" || e.mode == "160000" {
				v.Foreign = append(v.Foreign, Foreign{k.name, path + " is a symbolic link or a submodule, which lumacore never publishes"})
			}
		}
	}
	slices.SortFunc(order, func(a, b at) int {
		return strings.Compare(a.object+a.path, b.object+b.path)
	})
	// What an earlier run found clean with the same rules is not even read.
	var look []at
	for _, a := range order {
		if _, ok := s.Cache.Get(seen(can, a.path, a.object)); !ok {
			look = append(look, a)
		}
	}
	v.Blobs = len(look)
	if len(look) > 0 {
		progress("searching %s of %s", count(len(look), "file"), count(len(commits), "commit"))
	}
	var mu sync.Mutex
	expose := func(f disclosure.Finding, list []int) {
		mu.Lock()
		defer mu.Unlock()
		if allows(can.allowed, f, s.Now) {
			return
		}
		e := Exposure{Finding: f, Since: commits[list[0]].time.Format(time.RFC3339)}
		last := list[len(list)-1]
		if last != len(commits)-1 {
			e.Until = commits[last].time.Format(time.RFC3339)
		}
		for _, i := range list {
			e.Commit = append(e.Commit, commits[i].name)
		}
		v.Alarm = v.Alarm || f.Alarm
		v.Exposures = append(v.Exposures, e)
	}
	var problems []string
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	for part := range slices.Chunk(look, 256) {
		g.Go(func() error {
			objects := make([]string, len(part))
			for i, a := range part {
				objects[i] = a.object
			}
			i := 0
			return blobs(gctx, c.dir, objects, func(_ string, data []byte) error {
				a := part[i]
				i++
				found, err := can.scanner.File(gctx, a.path, data)
				if gctx.Err() != nil {
					return gctx.Err()
				}
				if err != nil {
					mu.Lock()
					problems = append(problems, fmt.Sprintf("%s of commit %.12s cannot be searched: %v", a.path, commits[in[a][0]].name, err))
					mu.Unlock()
				}
				if err == nil && len(found) == 0 {
					s.Cache.Put(seen(can, a.path, a.object), []byte("clean"))
				}
				for _, f := range found {
					expose(f, in[a])
				}
				return nil
			})
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for _, p := range problems {
		v.Foreign = append(v.Foreign, Foreign{"a file", p})
	}
	for i, k := range commits {
		key := cache.NewKey([]byte("mirror: commit"), []byte(can.Searched), []byte(k.name))
		if _, ok := s.Cache.Get(key); ok {
			continue
		}
		clean := true
		for place, text := range map[string]string{"message": withoutTrailers(k), "author": k.author, "committer": k.by} {
			found, err := can.scanner.Text(ctx, place, text)
			if err != nil {
				return fmt.Errorf("the %s of commit %.12s cannot be searched: %w", place, k.name, err)
			}
			for _, f := range found {
				clean = false
				f.Line = 0
				expose(f, []int{i})
			}
		}
		if clean {
			s.Cache.Put(key, []byte("clean"))
		}
	}
	slices.SortFunc(v.Exposures, func(a, b Exposure) int { return a.Compare(b.Finding) })
	return nil
}

// withoutTrailers is a message without the signature's and source's names, which are of
// nobody.
func withoutTrailers(k commit) string {
	if k.source == "" {
		return k.message
	}
	return strings.NewReplacer(k.source, "", k.rules, "").Replace(k.message)
}

// seen names a file of the mirror that was searched. The object's name stands for its
// content.
func seen(c *Candidate, path, object string) cache.Key {
	return cache.NewKey([]byte("mirror: seen"), []byte(c.Searched), []byte(path), []byte(object))
}

// changed lists the files of a commit; what did not change since the one before is taken
// from there.
func (c *clone) changed(ctx context.Context, k commit, before map[string]entry) (map[string]entry, error) {
	if len(k.parents) != 1 {
		return c.listing(ctx, k.name)
	}
	out, err := c.git(ctx, "diff-tree", "-r", "-z", "--no-renames", "--no-commit-id", k.parents[0], k.name)
	if err != nil {
		return nil, err
	}
	files := maps.Clone(before)
	parts := strings.Split(strings.TrimSuffix(out, "\x00"), "\x00")
	for i := 0; i+1 < len(parts); i += 2 {
		f := strings.Fields(strings.TrimPrefix(parts[i], ":"))
		if len(f) != 5 {
			return nil, fmt.Errorf("git diff-tree: unexpected line %q", parts[i])
		}
		if f[4] == "D" {
			delete(files, parts[i+1])
			continue
		}
		files[parts[i+1]] = entry{path: parts[i+1], mode: f[1], object: f[3]}
	}
	return files, nil
}

// Text writes the report for a person.
func (v *Verification) Text(s *report.Streams, w io.Writer) error {
	t := &text{s: s, w: w}
	if len(v.Exposures) > 0 {
		t.line("Must not be public")
		for i, e := range v.Exposures {
			if i == most {
				t.line("  … and %d more", len(v.Exposures)-most)
				break
			}
			until := "still there"
			if e.Until != "" {
				until = "until " + e.Until
			}
			t.line("  %s: %s", report.Clean(e.String(), 300), report.Clean(e.Hint, 60))
			t.line("    since %s, %s, in %s from %.12s on", e.Since, until, count(len(e.Commit), "commit"), e.Commit[0])
		}
		t.line("")
	}
	for _, list := range []struct {
		title string
		of    []Foreign
	}{{"Not made by lumacore", v.Foreign}, {"Not what its source gives", v.Differs}} {
		if len(list.of) == 0 {
			continue
		}
		t.line("%s", list.title)
		for i, f := range list.of {
			if i == most {
				t.line("  … and %d more", len(list.of)-most)
				break
			}
			t.line("  %s: %s", short(f.Name), report.Clean(f.Reason, 400))
		}
		t.line("")
	}
	if len(v.NotChecked) > 0 {
		t.line("Not checked")
		for _, n := range v.NotChecked {
			t.line("  %s", n)
		}
		t.line("")
	}
	verdict := s.Paint(s.Out, report.Good, v.Result)
	if v.Result == Dirty {
		verdict = s.Paint(s.Out, report.Bad, v.Result)
	}
	t.line("%s: %s, %s at %.12s; %d recomputed from their source, %s searched", verdict, v.URL, count(v.Commits, "commit"), v.Tip, v.Recomputed, count(v.Blobs, "new file"))
	if v.Alarm {
		t.line("ALARM: a canary is public, or somebody else has pushed. Handbook: When the mirror is blocked")
	}
	return t.err
}

func short(name string) string {
	if len(name) >= 40 && !strings.Contains(name, "/") {
		return name[:12]
	}
	return report.Clean(name, 200)
}

// Rewrite replaces the whole history of a mirror by one commit of a revision, which must
// be clean. Who calls has asked a person.
func Rewrite(ctx context.Context, s Source, t Target, o Options) (*Report, error) {
	r, can, c, err := prepare(ctx, s, t)
	if err != nil {
		return nil, err
	}
	if c == nil {
		r.stop("mirror.url in lumacore.yaml says nothing, and neither does --to")
		return r, nil
	}
	defer c.close()
	if c.tip == "" {
		return nil, &Trouble{t.URL + " has no branch " + t.Branch, "lumacore mirror sync makes it", errNoTip}
	}
	// What is wrong with the history is why it is rewritten; the candidate must be clean.
	if can.Blocked() {
		r.Result = Blocked
		return r, nil
	}
	r.Result, r.Problems = "", []string{}
	if err := r.signer(ctx, can, o.SigningKey); err != nil || r.Result == Blocked {
		return r, err
	}
	if err := r.docs(ctx, can, o.Progress); err != nil || r.Result == Blocked {
		return r, err
	}
	r.Added, r.Changed, r.Removed, r.Changes = 0, 0, 0, []Change{}
	r.compare(can, nil)
	return r, c.publish(ctx, r, can, "", message(r.Added, 0, 0, can.Commit, can.Rules.Digest()), c.tip, o)
}
