package mirror

import (
	"cmp"
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
	v.made(can, commits)
	found, err := v.trees(ctx, s, c, commits)
	if err != nil {
		return nil, err
	}
	if err := v.search(ctx, s, c, can, commits, found, progress); err != nil {
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
func (v *Verification) made(can *Candidate, commits []commit) {
	who := ""
	if can.Identity != nil {
		who = can.Identity.Name + " <" + can.Identity.Email + ">"
	}
	if len(can.Config.Signers) == 0 {
		v.NotChecked = append(v.NotChecked, "signatures: mirror.signers in lumacore.yaml is empty")
	}
	for i, k := range commits {
		why := ""
		switch {
		case k.source == "":
			why = "its message is none of lumacore's"
		case i == 0 && len(k.parents) > 0 || i > 0 && (len(k.parents) != 1 || k.parents[0] != commits[i-1].name):
			why = "it does not follow the commit before it"
		case who != "" && (k.author != who || k.by != who):
			why = "its author is not publicIdentity of lumacore.yaml"
		case len(can.Config.Signers) > 0:
			why = k.signedBy(can.Config.Signers)
		}
		if why != "" {
			v.Foreign = append(v.Foreign, Foreign{k.name, why})
			v.Alarm = true
		}
	}
}

// file is a content at a path.
type file struct{ path, object string }

// span are the commits that have a file, by their numbers: from, and to before.
type span struct{ from, to int }

// trees goes through all commits, and holds the tree of each against what its source and
// rules give. It returns which commits have which file.
func (v *Verification) trees(ctx context.Context, s Source, c *clone, commits []commit) (map[file][]span, error) {
	under, err := folder(ctx, s.Dir)
	if err != nil {
		return nil, err
	}
	source, err := openStore(ctx, s.Dir, nil)
	if err != nil {
		return nil, err
	}
	defer source.close()
	known := &memory{under: under, store: source, files: map[string]string{}, names: map[string]Decision{}, rules: map[string]*Rules{}}
	found := map[file][]span{}
	var mu sync.Mutex
	var unknown, other int
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	err = c.walk(ctx, commits, func(i int, there map[string]entry, gone, come []entry) error {
		k := commits[i]
		for _, e := range gone {
			spans := found[file{e.path, e.object}]
			spans[len(spans)-1].to = i
		}
		for _, e := range come {
			key := file{e.path, e.object}
			found[key] = append(found[key], span{i, len(commits)})
			if e.mode == "120000" || e.mode == "160000" {
				v.Foreign = append(v.Foreign, Foreign{k.name, e.path + " is a symbolic link or a submodule, which lumacore never publishes"})
			}
		}
		key := cache.NewKey([]byte("mirror: recomputed"), []byte(k.name))
		if _, ok := s.Cache.Get(key); ok || k.source == "" {
			if ok {
				mu.Lock()
				v.Recomputed++
				v.Known++
				mu.Unlock()
			}
			return nil
		}
		there = maps.Clone(there)
		g.Go(func() error {
			want, digest, err := known.expected(gctx, s.Dir, k.source)
			if gctx.Err() != nil {
				return gctx.Err()
			}
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err != nil:
				unknown++
				return nil
			case digest != k.rules:
				other++
				return nil
			}
			if why := differs(want, there); why != "" {
				v.Differs = append(v.Differs, Foreign{k.name, fmt.Sprintf("it is not what commit %.12s gives: %s", k.source, why)})
				v.Alarm = true
				return nil
			}
			v.Recomputed++
			s.Cache.Put(key, []byte("same"))
			return nil
		})
		return gctx.Err()
	})
	if werr := g.Wait(); werr != nil || err != nil {
		return nil, cmp.Or(werr, err)
	}
	if unknown > 0 {
		v.NotChecked = append(v.NotChecked, fmt.Sprintf("whether %s has the tree of its source: this repository does not have that revision, or no mirror in its lumacore.yaml", count(unknown, "commit")))
	}
	if other > 0 {
		v.NotChecked = append(v.NotChecked, fmt.Sprintf("whether %s has the tree of its source: another version of lumacore had other rules", count(other, "commit")))
	}
	slices.SortFunc(v.Differs, func(a, b Foreign) int { return strings.Compare(a.Name, b.Name) })
	return found, nil
}

// differs says how a tree is not the one that is wanted; "" if it is.
func differs(want, there map[string]entry) string {
	for _, path := range slices.Sorted(maps.Keys(want)) {
		e, ok := there[path]
		if !ok {
			return "it lacks " + path
		}
		if e.mode != want[path].mode || e.object != want[path].object {
			return path + " is another"
		}
	}
	for _, path := range slices.Sorted(maps.Keys(there)) {
		if _, ok := want[path]; !ok {
			return "it has " + path
		}
	}
	return ""
}

// search looks at every file of every commit, each content once, and at what is no file.
func (v *Verification) search(ctx context.Context, s Source, c *clone, can *Candidate, commits []commit, found map[file][]span, progress func(string, ...any)) error {
	// What an earlier run found clean with the same rules is not even read.
	var look []file
	for f := range found {
		if _, ok := s.Cache.Get(seen(can, f)); !ok {
			look = append(look, f)
		}
	}
	slices.SortFunc(look, func(a, b file) int {
		return cmp.Or(strings.Compare(a.object, b.object), strings.Compare(a.path, b.path))
	})
	v.Blobs = len(look)
	if len(look) > 0 {
		progress("searching %s of %s", count(len(look), "file"), count(len(commits), "commit"))
	}
	var mu sync.Mutex
	expose := func(f disclosure.Finding, spans []span) {
		mu.Lock()
		defer mu.Unlock()
		if allows(can.allowed, f, s.Now) != nil {
			return
		}
		e := Exposure{Finding: f, Since: commits[spans[0].from].time.Format(time.RFC3339)}
		for _, p := range spans {
			for _, k := range commits[p.from:p.to] {
				e.Commit = append(e.Commit, k.name)
			}
		}
		if last := spans[len(spans)-1].to - 1; last != len(commits)-1 {
			e.Until = commits[last].time.Format(time.RFC3339)
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
				hits, err := can.scanner.File(gctx, a.path, data)
				if gctx.Err() != nil {
					return gctx.Err()
				}
				if err != nil {
					mu.Lock()
					problems = append(problems, fmt.Sprintf("%s of commit %.12s cannot be searched: %v", a.path, commits[found[a][0].from].name, err))
					mu.Unlock()
				}
				if err == nil && len(hits) == 0 {
					s.Cache.Put(seen(can, a), []byte("clean"))
				}
				for _, f := range hits {
					expose(f, found[a])
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
			hits, err := can.scanner.Text(ctx, place, text)
			if err != nil {
				return fmt.Errorf("the %s of commit %.12s cannot be searched: %w", place, k.name, err)
			}
			for _, f := range hits {
				clean = false
				f.Line = 0
				expose(f, []span{{i, i + 1}})
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
func seen(c *Candidate, f file) cache.Key {
	return cache.NewKey([]byte("mirror: seen"), []byte(c.Searched), []byte(f.path), []byte(f.object))
}

// walk goes through commits from the oldest: what each has, which the next one changes, and
// what has gone and come since the one before it. A file of another content does both.
func (c *clone) walk(ctx context.Context, commits []commit, visit func(i int, there map[string]entry, gone, come []entry) error) error {
	changes, err := c.changes(ctx, commits)
	if err != nil {
		return err
	}
	there := map[string]entry{}
	for i, k := range commits {
		changed, ok := changes[k.name]
		if !ok || i > 0 && (len(k.parents) != 1 || k.parents[0] != commits[i-1].name) {
			// It does not follow the commit before it: what it has is asked for.
			all, err := c.listing(ctx, k.name)
			if err != nil {
				return err
			}
			changed = nil
			for path := range there {
				if _, ok := all[path]; !ok {
					changed = append(changed, entry{path: path})
				}
			}
			for path, e := range all {
				if there[path] != e {
					changed = append(changed, e)
				}
			}
		}
		var gone, come []entry
		for _, e := range changed {
			if old, ok := there[e.path]; ok {
				gone = append(gone, old)
				delete(there, e.path)
			}
			if e.object != "" {
				come = append(come, e)
				there[e.path] = e
			}
		}
		if err := visit(i, there, gone, come); err != nil {
			return err
		}
	}
	return nil
}

// changes are the files in which each commit differs from its parent, with one git for all
// of them; one without an object is gone.
// https://git-scm.com/docs/git-diff-tree#_raw_output_format
func (c *clone) changes(ctx context.Context, commits []commit) (map[string][]entry, error) {
	var names strings.Builder
	changes := map[string][]entry{}
	for _, k := range commits {
		if len(k.parents) <= 1 {
			names.WriteString(k.name + "\n")
			changes[k.name] = nil
		}
	}
	out, err := c.Access.run(ctx, c.dir, gitLocal, strings.NewReader(names.String()), "diff-tree", "--stdin", "--root", "-r", "-z", "--no-renames")
	if err != nil {
		return nil, err
	}
	commit := ""
	parts := strings.Split(strings.TrimSuffix(out, "\x00"), "\x00")
	for i := 0; i < len(parts) && parts[i] != ""; i++ {
		raw, ok := strings.CutPrefix(parts[i], ":")
		if !ok {
			commit = strings.TrimSpace(parts[i])
			continue
		}
		f := strings.Fields(raw)
		if len(f) != 5 || i+1 == len(parts) {
			return nil, fmt.Errorf("git diff-tree: unexpected line %q", parts[i])
		}
		i++
		e := entry{path: parts[i], mode: f[1], object: f[3]}
		if f[4] == "D" {
			e.mode, e.object = "", ""
		}
		changes[commit] = append(changes[commit], e)
	}
	return changes, nil
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
	if err := r.docs(ctx, can, o); err != nil || r.Result == Blocked {
		return r, err
	}
	r.Added, r.Changed, r.Removed, r.Changes = 0, 0, 0, []Change{}
	r.compare(can, nil)
	return r, c.publish(ctx, r, can, "", message(r.Added, 0, 0, can.Commit, can.Rules.Digest()), c.tip, o)
}
