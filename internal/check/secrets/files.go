package secrets

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"lumacore.dev/lumacore/internal/cache"
	"lumacore.dev/lumacore/internal/gitops"
	"lumacore.dev/lumacore/internal/leaks"
	"lumacore.dev/lumacore/internal/report"
)

// look searches the files and what is rendered, and reports what it finds.
func (l *look) look(ctx context.Context) error {
	k := loadKnown(l.cache, l.scanner.Rules())
	found, err := l.tree(ctx, k)
	if err != nil {
		return err
	}
	inFiles := map[string]bool{}
	for _, f := range found {
		l.file(f)
		inFiles[f.Secret] = true
	}
	if err := l.rendered(ctx, k, inFiles); err != nil {
		return err
	}
	k.save(l.cache, l.scanner.Rules())
	return nil
}

// tree searches all files that Git tracks or would add.
func (l *look) tree(ctx context.Context, k *known) ([]leaks.Finding, error) {
	var mu sync.Mutex
	var all []leaks.Finding
	var binary []string
	names := l.files.Files()
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	for part := range slices.Chunk(names, 64) {
		g.Go(func() error {
			for _, name := range part {
				if err := ctx.Err(); err != nil {
					return err
				}
				r, err := l.one(ctx, k, name)
				if ctx.Err() != nil {
					return ctx.Err()
				}
				if err != nil {
					l.unread(name, err.Error())
				}
				mu.Lock()
				all = append(all, r.Findings...)
				if r.Binary {
					binary = append(binary, name)
				}
				mu.Unlock()
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	for name, why := range l.files.LeftOut() {
		// What a link leads to is searched where it is, or is not in the repository.
		if strings.Contains(why, "symbolic link") || strings.Contains(why, "Git repository of its own") {
			continue
		}
		l.unread(name, "it "+why)
	}
	if len(binary) > 0 {
		slices.Sort(binary)
		subject := "1 binary file"
		if len(binary) > 1 {
			subject = fmt.Sprintf("%d binary files", len(binary))
		}
		l.out.Unchecked(report.Unchecked{
			Subject: subject,
			Reason:  "they are no text, and archives are not unpacked: " + list(binary, 5),
		})
	}
	slices.SortFunc(all, leaks.Finding.Compare)
	return all, nil
}

// list names the first of many.
func list(names []string, most int) string {
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}

func (l *look) unread(name, why string) {
	l.out.Unchecked(report.Unchecked{
		Subject: name, Location: report.Location{File: name}, Reason: "it is not searched for secrets: " + why,
	})
}

// one searches a file, unless what is in it is known.
func (l *look) one(ctx context.Context, k *known, name string) (result, error) {
	data, err := l.files.Once(name)
	if err != nil {
		return result{}, err
	}
	sum, err := l.sum(name, data)
	if err != nil {
		return result{}, err
	}
	key := keyOf("file", name, sum[:])
	if r, ok := k.get(key); ok {
		return r, nil
	}
	r := result{Binary: leaks.Binary(data) && !l.scanner.Skips(name)}
	if len(data) > leaks.MaxText && l.scanner.Skips(name) {
		data = nil
	}
	found, err := l.scanner.File(ctx, name, data)
	if r.Findings = plain(found); err == nil {
		k.put(key, r)
	}
	return r, err
}

// sum returns the SHA-256 of a file, of which others may know it already.
func (l *look) sum(name string, data []byte) ([sha256.Size]byte, error) {
	if l.files.Tree.IsFile(name) && gitops.IsYAML(name) {
		return l.files.Sum(name)
	}
	return sha256.Sum256(data), nil
}

// plain leaves out what is encrypted.
func plain(found []leaks.Finding) []leaks.Finding {
	return slices.DeleteFunc(found, func(f leaks.Finding) bool { return f.Ciphertext != "" })
}

// result is what is known of a text.
type result struct {
	Findings []leaks.Finding `json:"findings,omitempty"`
	Binary   bool            `json:"binary,omitempty"`
}

// textKey names a text: of its name and content, no more than what tells texts apart.
type textKey [16]byte

func keyOf(kind, name string, content []byte) textKey {
	h := sha256.New()
	io.WriteString(h, kind+"\x00"+name+"\x00")
	h.Write(content)
	return textKey(h.Sum(nil)[:16])
}

// known is what was found in texts, in earlier runs and in this one: one entry of the
// cache for all, for reading one for each file takes longer than to search most.
type known struct {
	mu    sync.Mutex
	all   map[textKey]result
	used  map[textKey]bool
	added bool
}

// most is how many texts are kept that the last run did not have: those of other
// branches and repositories.
const most = 50_000

// kept is how they are written.
type kept struct {
	Clean []byte            `json:"clean"` // keys of those without findings, one after the other
	Found map[string]result `json:"found"`
}

func knownKey(r *leaks.Rules) cache.Key { return cache.NewKey([]byte("secrets"), []byte(r.Version())) }

func loadKnown(f *cache.Folder, r *leaks.Rules) *known {
	k := &known{all: map[textKey]result{}, used: map[textKey]bool{}}
	data, ok := f.Get(knownKey(r))
	if !ok {
		return k
	}
	var old kept
	size := len(textKey{})
	if json.Unmarshal(data, &old) != nil || len(old.Clean)%size != 0 {
		return k
	}
	for key := range slices.Chunk(old.Clean, size) {
		k.all[textKey(key)] = result{}
	}
	for name, r := range old.Found {
		if key, err := hex.DecodeString(name); err == nil && len(key) == size {
			k.all[textKey(key)] = r
		}
	}
	return k
}

func (k *known) get(key textKey) (result, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	r, ok := k.all[key]
	if ok {
		k.used[key] = true
	}
	r.Findings = slices.Clone(r.Findings)
	return r, ok
}

func (k *known) put(key textKey, r result) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.all[key], k.used[key], k.added = r, true, true
}

func (k *known) save(f *cache.Folder, r *leaks.Rules) {
	if f == nil || !k.added {
		return
	}
	var keys []textKey
	for key := range k.all {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, func(a, b textKey) int {
		if k.used[a] != k.used[b] {
			if k.used[a] {
				return -1
			}
			return 1
		}
		return bytes.Compare(a[:], b[:])
	})
	out := kept{Found: map[string]result{}}
	for _, key := range keys[:min(len(keys), len(k.used)+most)] {
		if r := k.all[key]; len(r.Findings) == 0 && !r.Binary {
			out.Clean = append(out.Clean, key[:]...)
		} else {
			out.Found[hex.EncodeToString(key[:])] = r
		}
	}
	if data, err := json.Marshal(out); err == nil {
		f.Put(knownKey(r), data)
	}
}
