package render

import (
	"crypto/sha256"
	"encoding/hex"
	"path"
	"sync"

	"k8s.io/apimachinery/pkg/runtime/serializer/cbor/direct"

	"lumacore.dev/lumacore/internal/cache"
	"lumacore.dev/lumacore/internal/gitops"
	"lumacore.dev/lumacore/internal/render/helm"
	"lumacore.dev/lumacore/internal/report"
)

// Cache keeps what kustomize built and what charts were rendered to, between renders and
// between runs: that is most of a render, and most folders have not changed since the
// last one. It is safe for concurrent use.
//
// A build is found by what it is known to read: the kustomization with what the Flux
// Kustomization adds, and the content of all files that it refers to, also through
// other folders. An entry notes besides what kustomize did ask for, files that are not
// there included, and is used only where all of that is as it was. Builds that fail,
// that fetch, or that make a Secret with values in it are not kept. For charts see
// [helm.Cache].
type Cache struct {
	releases *helm.Cache
	folder   *cache.Folder
	memory   sync.Map // of *keptBuild, by cache.Key
}

// NewCache returns a cache with a folder, which may be nil: then it is for the renders
// of this process alone.
func NewCache(folder *cache.Folder) *Cache {
	return &Cache{releases: helm.NewCache(folder), folder: folder}
}

// charts returns the part for charts; nil if there is no cache.
func (c *Cache) charts() *helm.Cache {
	if c == nil {
		return nil
	}
	return c.releases
}

// keptBuild is a build as it is kept.
type keptBuild struct {
	Asked map[string]string // by name in the tree, what kustomize found there: see lookAt
	Raws  []keptRaw
}

// keptRaw is a [raw] without its document, which is found again by its number.
type keptRaw struct {
	Object map[string]any
	YAML   []byte
	File   string // of the document; "" for none
	Doc    int    // its number among the documents of the file
	At     report.Location
}

// lookAt says what a build finds at a name of a tree.
func lookAt(t *gitops.Tree, name string) string {
	switch {
	case t.IsDir(name):
		return "folder"
	case !t.IsFile(name):
		return "nothing" // or left out, which a build finds no more
	}
	sum, err := t.Sum(name)
	if err != nil {
		return "unreadable"
	}
	return hex.EncodeToString(sum[:])
}

// asked notes what a build asks of a tree.
type asked struct {
	mu    sync.Mutex
	names map[string]bool
}

func (a *asked) note(name string) {
	if a == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.names[name] = true
}

// key names a build by what it is known to read.
func (b *builds) key(f *folder, reached []*gitops.Folder) cache.Key {
	h := sha256.New()
	seen := map[string]bool{}
	look := func(name string) {
		if !seen[name] {
			seen[name] = true
			h.Write([]byte(name + "\x00" + lookAt(b.tree, name) + "\x00"))
		}
	}
	for _, r := range reached {
		if r.File != "" {
			look(r.File)
		}
		for _, ref := range r.Refs {
			if !ref.Remote {
				look(path.Clean(ref.Target))
			}
		}
	}
	return cache.NewKey([]byte("build"), []byte(f.file), f.data, h.Sum(nil))
}

// find returns the objects of a build that was kept.
func (c *Cache) find(t *gitops.Tree, k cache.Key) ([]raw, bool) {
	if c == nil {
		return nil, false
	}
	var kept *keptBuild
	if v, ok := c.memory.Load(k); ok {
		kept = v.(*keptBuild)
	} else {
		data, ok := c.folder.Get(k)
		if !ok {
			return nil, false
		}
		kept = &keptBuild{}
		if direct.Unmarshal(data, kept) != nil {
			return nil, false
		}
		c.memory.Store(k, kept)
	}
	for name, was := range kept.Asked {
		if lookAt(t, name) != was {
			return nil, false
		}
	}
	raws := make([]raw, len(kept.Raws))
	for i, r := range kept.Raws {
		raws[i] = raw{object: r.Object, yaml: r.YAML, at: r.At}
		if r.File == "" {
			continue
		}
		docs, _ := t.Documents(r.File)
		if r.Doc >= len(docs) {
			return nil, false
		}
		raws[i].doc = docs[r.Doc]
	}
	return raws, true
}

// keep keeps the objects of a build.
func (c *Cache) keep(t *gitops.Tree, k cache.Key, a *asked, raws []raw) {
	if c == nil {
		return
	}
	kept := &keptBuild{Asked: map[string]string{}}
	for name := range a.names {
		kept.Asked[name] = lookAt(t, name)
	}
	for _, r := range raws {
		if secretValues(r.object) {
			return
		}
		one := keptRaw{Object: r.object, YAML: r.yaml, At: r.at}
		if r.doc != nil {
			docs, _ := t.Documents(r.doc.File)
			for one.Doc = 0; one.Doc < len(docs) && docs[one.Doc] != r.doc; {
				one.Doc++
			}
			if one.Doc == len(docs) {
				return // a document of something else
			}
			one.File = r.doc.File
		}
		kept.Raws = append(kept.Raws, one)
	}
	c.memory.Store(k, kept)
	if c.folder == nil {
		return
	}
	if data, err := direct.Marshal(kept); err == nil { // else there is something in it that CBOR does not have
		c.folder.Put(k, data)
	}
}

// secretValues tells whether an object is a Secret with values.
func secretValues(object map[string]any) bool {
	if object["kind"] != "Secret" {
		return false
	}
	data, _ := object["data"].(map[string]any)
	text, _ := object["stringData"].(map[string]any)
	return len(data)+len(text) > 0
}

// noted returns the name in the tree of a path of kustomize, and notes that it was
// asked for.
func (f treeFS) noted(p string) (string, bool) {
	name, ok := f.rel(p)
	if ok {
		f.asked.note(name)
	}
	return name, ok
}
