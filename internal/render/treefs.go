package render

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/filesys"

	"lumacore.dev/lumacore/internal/gitops"
)

// mount is where kustomize sees the tree. It wants absolute paths.
const mount = "/repository"

// treeFS is the tree as kustomize's file system: read-only, with one file
// replaced (the kustomization that Flux changes before it builds). Nothing
// outside the tree is there, so no path can leave it.
//
// fluxcd/pkg/kustomize has a file system for the same purpose, over a folder on
// disk; ours also serves trees that are not on disk, and reads each file once.
type treeFS struct {
	tree  *gitops.Tree
	name  string // of the replaced file
	data  []byte
	asked *asked             // notes what is looked for; nil: nobody wants to know
	disk  filesys.FileSystem // for clones of remote bases; nil: there are none
}

var errReadOnly = errors.New("the repository is read-only")

// rel returns the name in the tree of a path of kustomize.
func (f treeFS) rel(p string) (string, bool) {
	p = path.Clean(filepath.ToSlash(p))
	if p == mount {
		return ".", true
	}
	return strings.CutPrefix(p, mount+"/")
}

// cloned returns the disk for paths of a remote base's clone, which kustomize puts
// into a folder of its own in the temporary folder.
func (f treeFS) cloned(p string) filesys.FileSystem {
	if f.disk != nil && strings.HasPrefix(filepath.ToSlash(p), filepath.ToSlash(filepath.Join(os.TempDir(), "kustomize-"))) {
		return f.disk
	}
	return nil
}

func (f treeFS) Exists(p string) bool {
	if d := f.cloned(p); d != nil {
		return d.Exists(p)
	}
	name, ok := f.noted(p)
	return ok && (name == f.name || f.tree.IsFile(name) || f.tree.IsDir(name))
}

func (f treeFS) IsDir(p string) bool {
	if d := f.cloned(p); d != nil {
		return d.IsDir(p)
	}
	name, ok := f.noted(p)
	return ok && f.tree.IsDir(name)
}

func (f treeFS) ReadFile(p string) ([]byte, error) {
	if d := f.cloned(p); d != nil {
		return d.ReadFile(p)
	}
	name, ok := f.noted(p)
	switch {
	case !ok:
		return nil, fmt.Errorf("%s is outside of the repository", p)
	case name == f.name:
		return f.data, nil
	case f.tree.IsDir(name):
		return nil, &fs.PathError{Op: "read", Path: name, Err: errors.New("is a folder")}
	}
	return f.tree.ReadFile(name)
}

func (f treeFS) CleanedAbs(p string) (filesys.ConfirmedDir, string, error) {
	if d := f.cloned(p); d != nil {
		return d.CleanedAbs(p)
	}
	p = path.Clean(filepath.ToSlash(p))
	name, ok := f.noted(p)
	switch {
	case !ok:
		return "", "", fmt.Errorf("%s is outside of the repository", p)
	case f.tree.IsDir(name):
		return filesys.ConfirmedDir(p), "", nil
	case name == f.name || f.tree.IsFile(name):
		return filesys.ConfirmedDir(path.Dir(p)), path.Base(p), nil
	}
	if _, err := f.tree.ReadFile(name); err != nil { // says why it was left out
		return "", "", err
	}
	return "", "", &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}

func (f treeFS) ReadDir(p string) ([]string, error) {
	name, ok := f.noted(p)
	if !ok || !f.tree.IsDir(name) {
		return nil, &fs.PathError{Op: "read", Path: p, Err: fs.ErrNotExist}
	}
	return f.tree.List(name), nil
}

// The rest is of no use to a build.

func (f treeFS) Create(string) (filesys.File, error)  { return nil, errReadOnly }
func (f treeFS) Open(string) (filesys.File, error)    { return nil, errReadOnly }
func (f treeFS) Mkdir(string) error                   { return errReadOnly }
func (f treeFS) MkdirAll(string) error                { return errReadOnly }
func (f treeFS) WriteFile(string, []byte) error       { return errReadOnly }
func (f treeFS) Glob(string) ([]string, error)        { return nil, errReadOnly }
func (f treeFS) Walk(string, filepath.WalkFunc) error { return errReadOnly }
func (f treeFS) RemoveAll(p string) error {
	if d := f.cloned(p); d != nil {
		return d.RemoveAll(p)
	}
	return errReadOnly
}
