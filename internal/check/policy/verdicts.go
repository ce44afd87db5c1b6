package policy

import (
	"crypto/sha256"
	"encoding/json"
	"regexp"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/serializer/cbor/direct"

	"lumacore.dev/lumacore/internal/cache"
)

// verdicts keeps what constraints had against objects, between runs: most objects have
// not changed since the last one, nor have the policies. An object is found by its
// content and that of its namespace, below the content of all constraints and templates.
//
// Constraints whose template looks at more than the object (other objects, providers, the
// clock) are not part of it. The nil value keeps nothing.
type verdicts struct {
	folder *cache.Folder
	key    cache.Key

	mu  sync.Mutex
	was map[string][]keptHit
	now map[string][]keptHit
}

// hit is a violation of one constraint at one enforcement point.
type hit struct {
	constraint *constraint
	point      string
	message    string
}

// keptHit is a hit as it is kept: Constraint is "kind name".
type keptHit struct{ Constraint, Point, Message string }

// impure matches what a policy in Rego can ask that is not the object itself.
var impure = regexp.MustCompile(`data\.inventory|data\[|external_data|http\.send|net\.lookup|time\.now|rand\.|uuid\.|opa\.runtime|io\.jwt`)

// keptVerdicts reads what was kept for a set of policies.
func (r *reviewer) keptVerdicts() *verdicts {
	if r.in.Cache == "" {
		return nil
	}
	var parts [][]byte
	add := func(v any) bool {
		data, err := json.Marshal(v)
		parts = append(parts, data)
		return err == nil
	}
	ok := add("policy") && add(r.excluded)
	for _, o := range r.c.Of(groupTemplates, "ConstraintTemplate") {
		ok = ok && add(o.Object["spec"])
	}
	for _, c := range r.constraints {
		ok = ok && add([]string{c.GetKind(), c.GetName()}) && add(c.Object.Object["spec"])
	}
	if !ok {
		return nil
	}
	v := &verdicts{folder: cache.Open(cacheFolder(r.in.Cache)), key: cache.NewKey(parts...), was: map[string][]keptHit{}, now: map[string][]keptHit{}}
	if data, ok := v.folder.Get(v.key); ok && direct.Unmarshal(data, &v.was) != nil {
		v.was = map[string][]keptHit{}
	}
	return v
}

// name names the review of an object; "" for one that is not kept: a Secret with values.
func (v *verdicts) name(u *unstructured.Unstructured, ns *corev1.Namespace, source string) string {
	data, _ := u.Object["data"].(map[string]any)
	text, _ := u.Object["stringData"].(map[string]any)
	if v == nil || u.GetKind() == "Secret" && len(data)+len(text) > 0 {
		return ""
	}
	h := sha256.New()
	enc := json.NewEncoder(h)
	if enc.Encode(u.Object) != nil || enc.Encode(ns) != nil || enc.Encode(source) != nil {
		return ""
	}
	return string(h.Sum(nil))
}

// find returns what was kept of a review.
func (v *verdicts) find(name string, byName map[string]*constraint) ([]hit, bool) {
	if v == nil || name == "" {
		return nil, false
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	kept, ok := v.was[name]
	if !ok {
		return nil, false
	}
	v.now[name] = kept
	hits := make([]hit, 0, len(kept))
	for _, k := range kept {
		c := byName[k.Constraint]
		if c == nil {
			return nil, false
		}
		hits = append(hits, hit{c, k.Point, k.Message})
	}
	return hits, true
}

// keep keeps what came of a review.
func (v *verdicts) keep(name string, hits []hit) {
	if v == nil || name == "" {
		return
	}
	kept := make([]keptHit, 0, len(hits))
	for _, h := range hits {
		kept = append(kept, keptHit{h.constraint.GetKind() + " " + h.constraint.GetName(), h.point, h.message})
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.now[name] = kept
}

// save keeps the reviews of this run; those of objects that are gone are not.
func (v *verdicts) save() {
	if v == nil || len(v.now) == 0 {
		return
	}
	same := len(v.now) == len(v.was)
	for name := range v.now {
		_, old := v.was[name]
		same = same && old
	}
	if same {
		return
	}
	if data, err := direct.Marshal(v.now); err == nil {
		v.folder.Put(v.key, data)
	}
}
