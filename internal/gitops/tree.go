package gitops

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"sort"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/fluxcd/pkg/sourceignore"
	"github.com/fluxcd/pkg/sourceignore/gitignore"
)

// Bounds of a tree. They are far above what repositories have and far below what
// would hurt: a tree is somebody else's input.
const (
	MaxFiles     = 200_000
	MaxFileSize  = 16 << 20  // bytes of one file; the largest CRD bundles have about 5 MiB
	MaxTreeSize  = 128 << 20 // bytes of all files that are read; parsed they take about twenty times that
	MaxPathDepth = 64        // folders in folders
	MaxPatterns  = 1000      // lines of all .sourceignore files: each file is compared with each
)

// Excluded is the reason in [Tree.LeftOut] of what the repository itself excludes.
const Excluded = "is excluded by .sourceignore or by source-controller's default list (https://fluxcd.io/flux/components/source/gitrepositories/#default-exclusions)"

// Tree is a snapshot of a repository's files, as source-controller packages
// them: without what .gitignore and .sourceignore exclude, and without symbolic
// links, which Flux leaves out of its artifacts
// (https://github.com/fluxcd/pkg/blob/main/artifact/storage/archive.go).
//
// Names are relative to the root, with slashes, cleaned. The zero value is of no
// use; call [Open], [OpenRevision] or [FromFiles].
type Tree struct {
	Root    string            // where it was opened, for messages
	files   map[string]*entry // by name
	names   []string          // of files, sorted
	dirs    map[string][]string
	left    map[string]string // name of a file that was left out: why
	root    *os.Root          // nil for FromFiles
	remotes []string          // addresses of the repository; none for FromFiles

	// As it was before anything was excluded, and what excludes.
	all      map[string]*entry
	allLeft  map[string]string
	patterns []gitignore.Pattern // of all .sourceignore files

	mu      sync.Mutex
	read    int64 // bytes
	folders folders
	blobs   *blobs // of a revision; nil for a folder
}

// entry is a file. Trees of which a file is the same share it.
type entry struct {
	size   int64
	object string // its name in Git, of a revision's file
	memory bool   // it was never anywhere else
	once   sync.Once
	data   []byte
	err    error

	hash sync.Once
	sum  [sha256.Size]byte

	split sync.Once
	lines []int // where each line begins

	parse sync.Once
	docs  []*Document
	wrong error // what [ParseDocuments] said
}

// Open takes a snapshot of the folder root: of the files that Git knows or would
// add when the folder belongs to a Git work tree, else of all files.
// It fails when root is no folder, or holds more than a tree may.
func Open(ctx context.Context, root string) (*Tree, error) {
	fi, err := os.Stat(root)
	if err != nil {
		return nil, err
	}
	if !fi.IsDir() {
		return nil, fmt.Errorf("%s is a file, not a folder", root)
	}
	r, err := os.OpenRoot(root)
	if err != nil {
		return nil, err
	}
	t := &Tree{Root: root, root: r, files: map[string]*entry{}, dirs: map[string][]string{}, left: map[string]string{}}
	if err := t.open(ctx); err != nil {
		r.Close()
		return nil, err
	}
	return t, nil
}

func (t *Tree) open(ctx context.Context) error {
	names, err := gitFiles(ctx, t.Root)
	if err != nil {
		return err
	}
	if len(names) == 0 {
		if names, err = t.walk(); err != nil {
			return err
		}
	}
	if len(names) > MaxFiles {
		return fmt.Errorf("%s has more than %d files, which are the most that are read; name the folder that Flux reads, or list the rest in .gitignore", t.Root, MaxFiles)
	}
	for _, name := range names {
		t.add(name)
	}
	t.behindLinks()
	t.remotes = Remotes(ctx, t.Root)
	if err := t.ignore(); err != nil {
		return err
	}
	t.index()
	return nil
}

// FromFiles makes a tree of files in memory. It is not bounded, except that more
// than [MaxPatterns] lines of .sourceignore are not applied.
func FromFiles(files map[string][]byte) *Tree {
	t := &Tree{Root: ".", files: map[string]*entry{}, dirs: map[string][]string{}, left: map[string]string{}}
	for name, data := range files {
		e := &entry{size: int64(len(data)), data: data, memory: true}
		e.once.Do(func() {})
		if name = path.Clean("/" + name)[1:]; name != "" {
			t.files[name] = e
		}
	}
	if t.ignore() != nil {
		t.all, t.allLeft = maps.Clone(t.files), maps.Clone(t.left)
	}
	t.index()
	return t
}

// Without returns the tree as it is with spec.ignore of a GitRepository. Flux appends
// these patterns to those of all .sourceignore files, and the last one that matches
// decides: they can also take back what a .sourceignore excludes
// (https://fluxcd.io/flux/components/source/gitrepositories/#ignore). The two share
// their files; close one of them.
func (t *Tree) Without(patterns string) *Tree {
	out := &Tree{
		Root: t.Root, root: t.root, remotes: t.remotes, files: maps.Clone(t.all), dirs: map[string][]string{}, left: maps.Clone(t.allLeft),
		all: t.all, allLeft: t.allLeft, patterns: t.patterns, blobs: t.blobs,
	}
	list := sourceignore.ReadPatterns(strings.NewReader(patterns), nil)
	match := sourceignore.NewDefaultMatcher(slices.Concat(t.patterns, list[:min(len(list), MaxPatterns)]), nil)
	for name := range t.all {
		if match.Match(strings.Split(name, "/"), false) {
			delete(out.files, name)
			out.left[name] = Excluded
			if t.files[name] != nil {
				out.left[name] = "is excluded by spec.ignore of the repository's GitRepository"
			}
		}
	}
	out.index()
	return out
}

// With returns the tree with files changed or added, or taken out where the content is
// nil: what the repository will be. The two share their other files; close one of them.
func (t *Tree) With(changes map[string][]byte) *Tree {
	out := &Tree{
		Root: t.Root, root: t.root, remotes: t.remotes, files: maps.Clone(t.all), dirs: map[string][]string{},
		left: maps.Clone(t.allLeft), blobs: t.blobs,
	}
	for name, data := range changes {
		if data == nil {
			delete(out.files, name)
			continue
		}
		e := &entry{size: int64(len(data)), data: data, memory: true}
		e.once.Do(func() {})
		out.files[name] = e
		delete(out.left, name)
	}
	if out.ignore() != nil {
		out.apply(t.patterns)
	}
	out.index()
	return out
}

// Close lets go of the folder. Files that were not read cannot be read then.
func (t *Tree) Close() error {
	if t.blobs != nil {
		t.blobs.close()
	}
	if t.root == nil {
		return nil
	}
	return t.root.Close()
}

// gitFiles returns the files of root that Git tracks or would add. It returns none
// when root is in no work tree, is itself ignored there, or Git is not installed.
func gitFiles(ctx context.Context, root string) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	out, err := Git(ctx, root, "ls-files", "--cached", "--others", "--exclude-standard", "--deduplicate", "-z").Output()
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, nil // no repository, or no git: the caller walks
	}
	var names []string
	for name := range bytes.SplitSeq(out, []byte{0}) {
		if len(name) > 0 { // of a repository in this one it ends in a slash
			names = append(names, strings.TrimSuffix(string(name), "/"))
		}
	}
	return names, nil
}

// walk lists the files below the root.
func (t *Tree) walk() ([]string, error) {
	var names []string
	err := fs.WalkDir(t.root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil && d != nil && d.IsDir() && name != ".":
			t.left[name] = err.Error()
			return fs.SkipDir
		case err != nil:
			return err
		case d.IsDir() && d.Name() == ".git":
			return fs.SkipDir
		case d.IsDir() && strings.Count(name, "/") >= MaxPathDepth:
			t.left[name] = fmt.Sprintf("is more than %d folders deep", MaxPathDepth)
			return fs.SkipDir
		case d.IsDir():
			return nil
		case len(names) > MaxFiles:
			return fs.SkipAll
		}
		names = append(names, name)
		return nil
	})
	return names, err
}

// add takes one file, or notes why it is left out.
func (t *Tree) add(name string) {
	fi, err := t.root.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR): // deleted, still in Git's index
	case err != nil:
		t.left[name] = err.Error()
	case fi.Mode()&fs.ModeSymlink != 0:
		t.left[name] = symlink
	case fi.IsDir(): // GitRepository has recurseSubmodules, off by default
		t.left[name] = repository
	case !fi.Mode().IsRegular():
		t.left[name] = "is no regular file"
	case fi.Size() > MaxFileSize:
		t.left[name] = fmt.Sprintf("has more than %d MiB, which are the most that are read", MaxFileSize>>20)
	default:
		t.files[name] = &entry{size: fi.Size()}
	}
}

const (
	symlink    = "is a symbolic link; Flux leaves them out of its artifacts"
	repository = "is a Git repository of its own"
)

// behindLinks leaves out what Git knows below a folder that is a link by now, and
// takes back that a folder is a repository when it has files of this one.
func (t *Tree) behindLinks() {
	for name := range t.files {
		for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
			switch t.left[dir] {
			case symlink:
				delete(t.files, name)
				t.left[name] = "is in " + dir + ", which " + symlink
			case repository:
				delete(t.left, dir)
			}
		}
	}
}

// ignore applies the .sourceignore files and source-controller's default list.
func (t *Tree) ignore() error {
	var patterns []gitignore.Pattern
	var names []string
	for name := range t.files {
		if path.Base(name) == sourceignore.IgnoreFile {
			names = append(names, name)
		}
	}
	sort.Slice(names, func(i, j int) bool { // a deeper file has the last word
		return strings.Count(names[i], "/") < strings.Count(names[j], "/") || strings.Count(names[i], "/") == strings.Count(names[j], "/") && names[i] < names[j]
	})
	for _, name := range names {
		data, err := t.ReadFile(name)
		if err != nil {
			t.left[name] = err.Error()
			continue
		}
		var domain []string
		if dir := path.Dir(name); dir != "." {
			domain = strings.Split(dir, "/")
		}
		patterns = append(patterns, sourceignore.ReadPatterns(bytes.NewReader(data), domain)...)
		if len(patterns) > MaxPatterns {
			return fmt.Errorf("%s: the .sourceignore files have more than %d patterns, which are the most that are read", name, MaxPatterns)
		}
	}
	t.apply(patterns)
	return nil
}

// apply leaves out what the patterns exclude, and keeps what [Tree.Without] needs.
func (t *Tree) apply(patterns []gitignore.Pattern) {
	t.all, t.allLeft, t.patterns = maps.Clone(t.files), maps.Clone(t.left), patterns
	match := sourceignore.NewDefaultMatcher(patterns, nil)
	for name := range t.files {
		if match.Match(strings.Split(name, "/"), false) {
			delete(t.files, name)
			t.left[name] = Excluded
		}
	}
}

// index fills what lookups need.
func (t *Tree) index() {
	children := map[string]map[string]bool{".": {}}
	for name := range t.files {
		t.names = append(t.names, name)
		for name != "." {
			dir := path.Dir(name)
			if children[dir] == nil {
				children[dir] = map[string]bool{}
			}
			children[dir][path.Base(name)] = true
			name = dir
		}
	}
	slices.Sort(t.names)
	for dir, c := range children {
		list := make([]string, 0, len(c))
		for name := range c {
			list = append(list, name)
		}
		slices.Sort(list)
		t.dirs[dir] = list
	}
}

// Files returns the names of all files, sorted. The caller must not change it.
func (t *Tree) Files() []string { return t.names }

// LeftOut returns the files that are in the folder and not in the tree, and why
// each is not: too large, a symbolic link, excluded.
func (t *Tree) LeftOut() map[string]string { return t.left }

// IsFile tells whether the tree has the file.
func (t *Tree) IsFile(name string) bool { return t.files[name] != nil }

// IsDir tells whether the tree has a file in or below the folder.
func (t *Tree) IsDir(name string) bool { return t.dirs[name] != nil }

// List returns the names in a folder, sorted; nil if there is no such folder.
func (t *Tree) List(dir string) []string { return t.dirs[dir] }

// ReadFile returns a file's content, which the caller must not change. The error
// is fs.ErrNotExist, with the reason when the file exists but was left out.
func (t *Tree) ReadFile(name string) ([]byte, error) {
	e := t.files[name]
	if e == nil {
		if why := t.left[name]; why != "" {
			return nil, fmt.Errorf("%s %s: %w", name, why, fs.ErrNotExist)
		}
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	e.once.Do(func() { e.data, e.err = t.load(name, e) })
	return e.data, e.err
}

// Unfiltered are the files of a tree with those that .sourceignore excludes: for what
// is meant for the tool and not for Flux. A list of what to include alone, which many
// repositories have, leaves out lumacore.yaml too.
type Unfiltered struct{ *Tree }

// IsFile tells whether there is such a file.
func (u Unfiltered) IsFile(name string) bool { return u.all[name] != nil }

// ReadFile returns a file's content, as [Tree.ReadFile] does.
func (u Unfiltered) ReadFile(name string) ([]byte, error) {
	e := u.all[name]
	if e == nil {
		return u.Tree.ReadFile(name)
	}
	e.once.Do(func() { e.data, e.err = u.load(name, e) })
	return e.data, e.err
}

// Files returns the names of all files, sorted.
func (u Unfiltered) Files() []string { return slices.Sorted(maps.Keys(u.all)) }

// LeftOut returns the files that are left out nevertheless, and why each is.
func (u Unfiltered) LeftOut() map[string]string { return u.allLeft }

// Once returns a file's content for somebody who looks at every file one time: it does
// not count as read and is not kept, unless the file is YAML that others read too.
func (u Unfiltered) Once(name string) ([]byte, error) {
	e := u.all[name]
	// A revision shares what is the same in a work tree, which has read it (see [OpenRevision]).
	shared := u.root == nil && e != nil && e.object == ""
	if e == nil || e.memory || shared || u.files[name] != nil && IsYAML(name) {
		return u.ReadFile(name)
	}
	return u.fetch(name, e)
}

// WorkTree returns the folder that the tree is a snapshot of; "" for a tree of files in
// memory or of a revision.
func (t *Tree) WorkTree() string {
	if t.root == nil {
		return ""
	}
	return t.Root
}

// Sum returns the SHA-256 of a file's content.
func (t *Tree) Sum(name string) ([sha256.Size]byte, error) {
	data, err := t.ReadFile(name)
	if err != nil {
		return [sha256.Size]byte{}, err
	}
	e := t.files[name]
	e.hash.Do(func() { e.sum = sha256.Sum256(data) })
	return e.sum, nil
}

func (t *Tree) load(name string, e *entry) ([]byte, error) {
	t.mu.Lock()
	t.read += e.size
	over := t.read > MaxTreeSize
	t.mu.Unlock()
	if over {
		return nil, fmt.Errorf("%s: the repository's files have more than %d MiB", name, MaxTreeSize>>20)
	}
	return t.fetch(name, e)
}

// fetch reads a file from where it is.
func (t *Tree) fetch(name string, e *entry) ([]byte, error) {
	if e.object != "" {
		return t.blobs.read(e.object)
	}
	f, err := t.root.Open(name) // refuses a path that leaves the root, also through links
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, MaxFileSize+1))
	if err == nil && len(data) > MaxFileSize { // it has grown
		err = fmt.Errorf("%s has more than %d MiB", name, MaxFileSize>>20)
	}
	return data, err
}

// Line returns one line of a file without the white space around it, or "".
func (t *Tree) Line(name string, line int) string {
	data, err := t.ReadFile(name)
	if err != nil {
		return ""
	}
	e := t.files[name]
	e.split.Do(func() {
		for at := 0; ; {
			e.lines = append(e.lines, at)
			i := bytes.IndexByte(data[at:], '\n')
			if i < 0 {
				return
			}
			at += i + 1
		}
	})
	if line < 1 || line > len(e.lines) {
		return ""
	}
	data, _, _ = bytes.Cut(data[e.lines[line-1]:], []byte("\n"))
	const most = 200
	if data = bytes.TrimSpace(data); len(data) > most {
		data = append(bytes.ToValidUTF8(slices.Clone(data[:most]), nil), "…"...)
	}
	return string(bytes.ToValidUTF8(data, []byte("\uFFFD")))
}
