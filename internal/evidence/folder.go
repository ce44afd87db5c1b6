package evidence

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gofrs/flock"

	"lumacore.dev/lumacore/internal/report"
)

// Folder keeps records as files, KIND/SUBJECT.json. Several processes may use it at a time.
type Folder struct{ Dir string }

// escaped is the name of a subject's file. Subjects have no other character that a file may
// not have.
var escaped = strings.NewReplacer("/", "+")

func (f Folder) path(kind Kind, subject string) string {
	return filepath.Join(f.Dir, string(kind), escaped.Replace(subject)+".json")
}

// Add keeps a record.
func (f Folder) Add(ctx context.Context, r Record) error {
	r, err := r.normal()
	if err != nil {
		return err
	}
	path := f.path(r.Kind, r.Subject)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("evidence: %w", err)
	}
	lock := flock.New(filepath.Join(f.Dir, ".lock"))
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if _, err := lock.TryLockContext(ctx, 50*time.Millisecond); err != nil {
		return fmt.Errorf("evidence: wait for another process that writes to %s: %w", f.Dir, err)
	}
	defer lock.Close()
	h, err := f.read(path, r.Kind, r.Subject)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if h == nil {
		h = &History{Kind: r.Kind, Subject: r.Subject}
	}
	h.add(r)
	data, err := h.json()
	if err != nil {
		return fmt.Errorf("evidence: %w", err)
	}
	return report.WriteFile(path, data, 0o644)
}

func (f Folder) read(path string, kind Kind, subject string) (*History, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("evidence: %w", err)
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxBytes+1))
	if err != nil {
		return nil, fmt.Errorf("evidence: %s: %w", path, err)
	}
	h, err := parse(kind, subject, data)
	if err != nil {
		return nil, fmt.Errorf("evidence: %s is damaged: %w; delete it, and the next record begins anew", path, err)
	}
	return h, nil
}

// List returns everything that is kept, by kind and subject. A folder that is not there has
// nothing.
func (f Folder) List(context.Context) ([]*History, error) {
	var list []*History
	for _, kind := range kinds {
		files, err := os.ReadDir(filepath.Join(f.Dir, string(kind)))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("evidence: %w", err)
		}
		for _, e := range files {
			name, ok := strings.CutSuffix(e.Name(), ".json")
			if !ok || strings.HasPrefix(name, ".") {
				continue
			}
			if len(list) == maxEntries {
				return nil, fmt.Errorf("evidence: %s has more than %d subjects, which are the most", f.Dir, maxEntries)
			}
			h, err := f.read(filepath.Join(f.Dir, string(kind), e.Name()), kind, strings.ReplaceAll(name, "+", "/"))
			if err != nil {
				return nil, err
			}
			list = append(list, h)
		}
	}
	return sorted(list), nil
}
