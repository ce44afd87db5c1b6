package cache

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestFolder(t *testing.T) {
	t.Parallel()
	f := Open(filepath.Join(t.TempDir(), "entries"))
	key := NewKey([]byte("a"), []byte("b"))
	if data, ok := f.Get(key); ok {
		t.Errorf("an empty folder has %q", data)
	}
	f.Put(key, []byte("content"))
	if data, ok := f.Get(key); !ok || string(data) != "content" {
		t.Errorf("got %q, %v", data, ok)
	}
	f.Put(key, nil)
	if data, ok := f.Get(key); !ok || len(data) > 0 {
		t.Errorf("an empty entry: got %q, %v", data, ok)
	}
	fi, err := os.Stat(f.path(key))
	if err != nil {
		t.Fatal(err)
	}
	if fi.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", fi.Mode())
	}
}

// Whatever stands in a file, it is what was put there or nothing.
func TestFolderBroken(t *testing.T) {
	t.Parallel()
	f := Open(t.TempDir())
	key := NewKey([]byte("a"))
	f.Put(key, []byte("content"))
	whole, err := os.ReadFile(f.path(key))
	if err != nil {
		t.Fatal(err)
	}
	flipped := bytes.Clone(whole)
	flipped[len(flipped)-1] ^= 1
	for name, data := range map[string][]byte{
		"empty": nil, "half": whole[:len(whole)/2], "a byte less": whole[:len(whole)-1], "a byte more": append(bytes.Clone(whole), 0), "a bit flipped": flipped,
	} {
		if err := os.WriteFile(f.path(key), data, 0o600); err != nil {
			t.Fatal(err)
		}
		if data, ok := f.Get(key); ok {
			t.Errorf("%s: got %q", name, data)
		}
	}
	f.Put(key, []byte("content"))
	if data, ok := f.Get(key); !ok || string(data) != "content" {
		t.Errorf("after it was put again: got %q, %v", data, ok)
	}
}

// A cache that cannot be is no error.
func TestFolderNone(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, f := range map[string]*Folder{"no folder": Open(""), "a file in its place": Open(file)} {
		f.Put(NewKey(), []byte("content"))
		if data, ok := f.Get(NewKey()); ok {
			t.Errorf("%s: got %q", name, data)
		}
	}
}

func TestNewKey(t *testing.T) {
	t.Parallel()
	seen := map[Key]string{}
	for name, k := range map[string]Key{
		"none": NewKey(), "an empty one": NewKey(nil), "ab": NewKey([]byte("ab")), "a, b": NewKey([]byte("a"), []byte("b")),
		"ab, empty": NewKey([]byte("ab"), nil), "looks like two": NewKey([]byte("a\x001:b")),
	} {
		if other, ok := seen[k]; ok {
			t.Errorf("%s and %s have the same key", name, other)
		}
		seen[k] = name
	}
	if k := NewKey([]byte("ab")); seen[k] != "ab" {
		t.Error("the same parts have two keys")
	}
}

func TestPrune(t *testing.T) {
	t.Parallel()
	f := Open(t.TempDir())
	start := time.Now()
	old, used := NewKey([]byte("old")), NewKey([]byte("used"))
	f.Put(old, []byte("x"))
	f.Put(used, []byte("y"))

	// Half a month later one is used; the other is gone after the month.
	f.now = func() time.Time { return start.Add(maxAge / 2) }
	if _, ok := f.Get(used); !ok {
		t.Fatal("it is gone")
	}
	f.now = func() time.Time { return start.Add(maxAge + time.Hour) }
	f.Prune()
	if _, ok := f.Get(old); ok {
		t.Error("what was not used for a month is still there")
	}
	if _, ok := f.Get(used); !ok {
		t.Error("what was used is gone")
	}
	// Once a day is enough.
	f.Put(old, []byte("x"))
	if err := os.Chtimes(f.path(old), time.Time{}, start); err != nil {
		t.Fatal(err)
	}
	f.Prune()
	if _, err := os.Stat(f.path(old)); err != nil {
		t.Error("it was pruned twice on one day")
	}
}
