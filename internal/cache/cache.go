// Package cache keeps what was computed from content, between runs: entries by a key
// that names everything that they depend on, this program included. An entry can
// vanish at any time and is then computed again, so nothing here returns an error: a
// cache that cannot be read or written is an empty one.
//
// Entries are files of the user alone (0600), written beside their place and renamed,
// and verified when they are read: what does not verify is as if it were not there.
// What was not used for a month is deleted, and the rest bounded, about once a day.
package cache

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"lumacore.dev/lumacore/internal/report"
)

// Bounds of a folder.
const (
	maxEntry = 64 << 20  // bytes of one entry
	maxSize  = 512 << 20 // bytes of all, after pruning
	maxAge   = 30 * 24 * time.Hour
	pace     = 24 * time.Hour // between two prunings
)

// Folder is a folder of entries. The nil Folder keeps nothing. It is safe for
// concurrent use, also by several processes.
type Folder struct {
	dir   string
	now   func() time.Time
	prune sync.Once
}

// Open returns the folder dir, which is made when something is kept in it; nil for "".
func Open(dir string) *Folder {
	if dir == "" {
		return nil
	}
	return &Folder{dir: dir, now: time.Now}
}

// Key names an entry.
type Key [sha256.Size]byte

// NewKey makes a key of all that an entry depends on. This program is a part of it:
// another version may compute something else. No other parts give the same key.
func NewKey(parts ...[]byte) Key {
	h := sha256.New()
	io.WriteString(h, program())
	for _, p := range parts {
		fmt.Fprintf(h, "\x00%d:", len(p))
		h.Write(p)
	}
	return Key(h.Sum(nil))
}

// program names the build of this program: its version, or, of a build that has none
// of its own or was made of changed sources, the file that runs.
var program = sync.OnceValue(func() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return executable()
	}
	id, known := info.GoVersion+" "+info.Main.Version+" "+info.Main.Sum, info.Main.Sum != ""
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			id, known = id+" "+s.Value, true
		case "vcs.modified":
			if s.Value != "false" {
				return executable()
			}
		}
	}
	if !known {
		return executable()
	}
	return id
})

// executable names the file that runs. When there is none to look at, nothing is
// found again.
func executable() string {
	name, err := os.Executable()
	if err == nil {
		var fi fs.FileInfo
		if fi, err = os.Stat(name); err == nil {
			return fmt.Sprintf("%s %d %d", name, fi.Size(), fi.ModTime().UnixNano())
		}
	}
	return time.Now().String()
}

// path spreads the entries over 256 folders.
func (f *Folder) path(k Key) string {
	name := hex.EncodeToString(k[:])
	return filepath.Join(f.dir, name[:2], name[2:])
}

// Get returns an entry. The caller may change it.
func (f *Folder) Get(k Key) ([]byte, bool) {
	if f == nil {
		return nil, false
	}
	file, err := os.Open(f.path(k))
	if err != nil {
		return nil, false
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxEntry+sha256.Size+1))
	if err != nil || len(data) < sha256.Size {
		return nil, false
	}
	sum, data := data[:sha256.Size], data[sha256.Size:]
	if want := sha256.Sum256(data); !bytes.Equal(sum, want[:]) {
		return nil, false
	}
	// What is in use stays: its time is that of the last use, to the day.
	if fi, err := file.Stat(); err == nil && f.now().Sub(fi.ModTime()) > pace {
		_ = os.Chtimes(f.path(k), time.Time{}, f.now())
	}
	return data, true
}

// Put keeps an entry. One that is too large is not kept.
func (f *Folder) Put(k Key, data []byte) {
	if f == nil || len(data) > maxEntry {
		return
	}
	f.prune.Do(f.Prune)
	sum := sha256.Sum256(data)
	// Hundreds of entries may be written in one run: no more calls than it takes.
	name := f.path(k)
	tmp := fmt.Sprintf("%s.%d", name, rand.Uint64())
	w, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrNotExist) && os.MkdirAll(filepath.Dir(name), 0o700) == nil {
		w, err = os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	}
	if err != nil {
		return // it is computed again
	}
	_, err = w.Write(slices.Concat(sum[:], data))
	if errors.Join(err, w.Close()) != nil || os.Rename(tmp, name) != nil {
		_ = os.Remove(tmp)
	}
}

// Prune deletes what was not used for a month and, of the rest, what was not used for
// longest, until it is within bounds. It does nothing if that was done within a day.
func (f *Folder) Prune() {
	mark := filepath.Join(f.dir, "pruned")
	if fi, err := os.Stat(mark); err == nil && f.now().Sub(fi.ModTime()) < pace {
		return
	}
	if os.MkdirAll(f.dir, 0o700) != nil || report.WriteFile(mark, nil, 0o600) != nil || os.Chtimes(mark, time.Time{}, f.now()) != nil {
		return
	}
	type entry struct {
		path string
		size int64
		used time.Time
	}
	var entries []entry
	total := int64(0)
	_ = filepath.WalkDir(f.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || len(filepath.Base(filepath.Dir(path))) != 2 {
			return nil // what cannot be read, or is none of ours, stays
		}
		fi, err := d.Info()
		if err != nil {
			return nil
		}
		if f.now().Sub(fi.ModTime()) > maxAge {
			_ = os.Remove(path)
			return nil
		}
		entries = append(entries, entry{path, fi.Size(), fi.ModTime()})
		total += fi.Size()
		return nil
	})
	slices.SortFunc(entries, func(a, b entry) int { return cmp.Or(a.used.Compare(b.used), cmp.Compare(a.path, b.path)) })
	for _, e := range entries {
		if total <= maxSize {
			return
		}
		if os.Remove(e.path) == nil {
			total -= e.size
		}
	}
}
