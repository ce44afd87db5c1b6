package helm

import (
	"encoding/json"
	"regexp"
	"slices"
	"sync"

	helmv2 "github.com/fluxcd/helm-controller/api/v2"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/cbor/direct"

	"lumacore.dev/lumacore/internal/cache"
)

// Cache keeps what releases were rendered to, between renders and between runs: by the
// content of the chart, the release, its values and what the cluster is. Templates are
// given a clock and a chance that stand still, so nothing else goes in. It is safe for
// concurrent use; the nil Cache keeps nothing.
//
// Releases that fail are not kept. Those with a Secret with values in it, and those
// whose values were held against a schema from elsewhere, are kept for this process
// alone.
type Cache struct {
	folder *cache.Folder
	memory sync.Map // of *kept, by cache.Key
}

// NewCache returns a cache with a folder, which may be nil.
func NewCache(folder *cache.Folder) *Cache { return &Cache{folder: folder} }

// kept is a [Rendered] as it is kept.
type kept struct {
	Objects     []keptObject
	AsksForAPIs bool
	Unchecked   []string
}

type keptObject struct {
	Object    map[string]any
	Template  string
	Hook, CRD bool
}

// key names what a release is rendered to; false if that cannot be told.
func (env Env) key(hr *helmv2.HelmRelease, src *source, vals map[string]any) (cache.Key, bool) {
	sum := src.chart.Sum()
	parts := [][]byte{[]byte("release"), sum[:]}
	namespaceThere := env.Lookup != nil && env.Lookup("", "Namespace", "", hr.GetReleaseNamespace()) != nil
	for _, v := range []any{src.values, src.digest, hr.Name, hr.Namespace, hr.Spec, vals, env.KubeVersion, env.APIVersions, env.Scopes, namespaceThere} {
		b, err := json.Marshal(v) // of maps: sorted
		if err != nil {
			return cache.Key{}, false
		}
		parts = append(parts, b)
	}
	return cache.NewKey(parts...), true
}

// find returns what was kept. The objects are the caller's.
func (c *Cache) find(k cache.Key) (*Rendered, bool) {
	v, ok := c.memory.Load(k)
	if !ok {
		data, there := c.folder.Get(k)
		read := &kept{}
		if !there || direct.Unmarshal(data, read) != nil {
			return nil, false
		}
		v, _ = c.memory.LoadOrStore(k, read)
	}
	was := v.(*kept)
	out := &Rendered{AsksForAPIs: was.AsksForAPIs, Unchecked: slices.Clone(was.Unchecked)}
	for _, o := range was.Objects {
		u := &unstructured.Unstructured{Object: runtime.DeepCopyJSON(o.Object)}
		out.Objects = append(out.Objects, Object{Unstructured: u, Template: o.Template, Hook: o.Hook, CRD: o.CRD})
	}
	return out, true
}

// keep keeps what a release was rendered to.
func (c *Cache) keep(k cache.Key, src *source, r *Rendered) {
	now := &kept{AsksForAPIs: r.AsksForAPIs, Unchecked: slices.Clone(r.Unchecked)}
	share := len(r.Unchecked) == 0 && !slices.ContainsFunc(schemas(src.chart.Copy()), foreign.Match)
	for _, o := range r.Objects {
		now.Objects = append(now.Objects, keptObject{runtime.DeepCopyJSON(o.Object), o.Template, o.Hook, o.CRD})
		data, _ := o.Object["data"].(map[string]any)
		text, _ := o.Object["stringData"].(map[string]any)
		share = share && (o.GetKind() != "Secret" || len(data)+len(text) == 0)
	}
	c.memory.Store(k, now)
	if !share || c.folder == nil {
		return
	}
	if data, err := direct.Marshal(now); err == nil { // else there is something in it that CBOR does not have
		c.folder.Put(k, data)
	}
}

// foreign matches a schema that refers to one elsewhere.
var foreign = regexp.MustCompile(`"\$ref"\s*:\s*"[a-z]+://`)
