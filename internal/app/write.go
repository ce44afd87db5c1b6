package app

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
)

// Apply writes the plan into the folder dir, the one that the tree is a snapshot of: all
// of it, or nothing. No file is seen half written: each is written beside its place and
// renamed. The folder is never left through a symbolic link.
func (p *Plan) Apply(dir string) (err error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	w := &writer{root: root}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.undo())
		}
	}()
	// A file that was changed since it was read is somebody's work.
	for _, c := range p.Changes {
		now, err := root.ReadFile(c.File)
		switch {
		case errors.Is(err, fs.ErrNotExist) && c.Before == nil:
		case err != nil:
			return err
		case c.Before == nil:
			return fmt.Errorf("%s has come into being meanwhile", c.File)
		case !bytes.Equal(now, c.Before):
			return fmt.Errorf("%s was changed meanwhile", c.File)
		}
	}
	// New files first: a list never names what is not there.
	for _, c := range p.Changes {
		if c.Before == nil {
			err = w.write(c.File, c.After, 0o644)
		}
		if err != nil {
			return err
		}
	}
	for _, c := range p.Changes {
		if c.Before != nil && c.After != nil {
			if err = w.change(c); err != nil {
				return err
			}
		}
	}
	for _, c := range p.Changes {
		if c.After == nil {
			if err = w.remove(c); err != nil {
				return err
			}
		}
	}
	return nil
}

// writer writes below a folder and knows how to take it back.
type writer struct {
	root *os.Root
	back []func() error
}

// undo takes everything back, the last first.
func (w *writer) undo() error {
	var errs []error
	for _, f := range slices.Backward(w.back) {
		if err := f(); err != nil {
			errs = append(errs, fmt.Errorf("could not be taken back: %w", err))
		}
	}
	return errors.Join(errs...)
}

// write makes a file, and the folders that it needs.
func (w *writer) write(name string, data []byte, mode fs.FileMode) error {
	var missing []string
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		if _, err := w.root.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
			break
		}
		missing = append(missing, dir)
	}
	for _, dir := range slices.Backward(missing) {
		if err := w.root.Mkdir(dir, 0o755); err != nil {
			return err
		}
		w.back = append(w.back, func() error { return w.root.Remove(dir) })
	}
	if err := w.place(name, data, mode); err != nil {
		return err
	}
	w.back = append(w.back, func() error { return w.root.Remove(name) })
	return nil
}

// change gives a file another content.
func (w *writer) change(c Change) error {
	fi, err := w.root.Stat(c.File)
	if err != nil {
		return err
	}
	if err := w.place(c.File, c.After, fi.Mode().Perm()); err != nil {
		return err
	}
	w.back = append(w.back, func() error { return w.place(c.File, c.Before, fi.Mode().Perm()) })
	return nil
}

// remove deletes a file, and the folders that are empty then.
func (w *writer) remove(c Change) error {
	fi, err := w.root.Stat(c.File)
	if err != nil {
		return err
	}
	if err := w.root.Remove(c.File); err != nil {
		return err
	}
	w.back = append(w.back, func() error { return w.place(c.File, c.Before, fi.Mode().Perm()) })
	for dir := path.Dir(c.File); strings.Contains(dir, "/"); dir = path.Dir(dir) {
		fi, err := w.root.Stat(dir)
		if err != nil {
			return err
		}
		if w.root.Remove(dir) != nil {
			break // something else is in it
		}
		w.back = append(w.back, func() error { return w.root.Mkdir(dir, fi.Mode().Perm()) })
	}
	return nil
}

// place puts a file where it belongs, whole.
func (w *writer) place(name string, data []byte, mode fs.FileMode) (err error) {
	beside := path.Join(path.Dir(name), "."+path.Base(name)+".lumacore")
	f, err := w.root.OpenFile(beside, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s is there: another lumacore runs, or one was killed; delete it then", beside)
	}
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = w.root.Remove(beside)
		}
	}()
	if _, err = f.Write(data); err != nil {
		f.Close()
		return err
	}
	if err = errors.Join(f.Chmod(mode), f.Close()); err != nil {
		return err
	}
	return w.root.Rename(beside, name)
}
