package schemas

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	utilversion "k8s.io/apimachinery/pkg/util/version"
)

// What the Type of a [Type] can be, besides "object" (Fields), "array" (Items),
// "string", "boolean" and "number". The API server reads each with Go code of its
// own; the comments name it.
const (
	Int32       = "int32"
	Int64       = "int64"
	Map         = "map"           // Values
	Bytes       = "bytes"         // []byte: base64
	Quantity    = "quantity"      // k8s.io/apimachinery/pkg/api/resource.Quantity
	IntOrString = "int-or-string" // k8s.io/apimachinery/pkg/util/intstr.IntOrString
	Time        = "time"          // k8s.io/apimachinery/pkg/apis/meta/v1.Time
	MicroTime   = "microtime"     // k8s.io/apimachinery/pkg/apis/meta/v1.MicroTime
	Any         = "any"           // runtime.RawExtension and the like
)

// Type is a type of Kubernetes' API: the part of its OpenAPI that the API server
// holds objects against.
type Type struct {
	Ref      string           `json:"ref,omitempty"` // name of another type; then nothing else is set
	Type     string           `json:"type,omitempty"`
	Fields   map[string]*Type `json:"fields,omitempty"`
	Required []string         `json:"required,omitempty"` // only what the API server refuses to do without
	Values   *Type            `json:"values,omitempty"`
	Items    *Type            `json:"items,omitempty"`
	Enum     []string         `json:"enum,omitempty"`
	List     string           `json:"list,omitempty"` // "map", "set", or "" when entries may repeat
	Keys     []string         `json:"keys,omitempty"` // of a list that is a map
	Default  string           `json:"default,omitempty"`
}

// Kind is a kind that the API server of a release serves when all its APIs are
// enabled, and that can be created.
type Kind struct {
	Namespaced bool   `json:"namespaced,omitempty"`
	Type       string `json:"type"`
}

// Document is the content of a release's file.
type Document struct {
	Kinds map[string]Kind            `json:"kinds"` // by KindKey
	Types map[string]json.RawMessage `json:"types"` // Type each
}

// KindKey is the key of a kind in a [Document]: "apps/v1/Deployment", "/v1/Pod".
func KindKey(group, version, kind string) string { return group + "/" + version + "/" + kind }

// Kubernetes are the schemas of one release. It is safe for concurrent use.
type Kubernetes struct {
	Release
	kinds  map[string]Kind
	groups map[string]bool
	types  map[string]func() (*Type, error)
}

// Versions returns the minor releases of Kubernetes whose schemas are embedded,
// sorted: "1.34", "1.35".
func Versions() []string {
	var out []string
	for _, r := range readIndex().Kubernetes {
		out = append(out, r.Minor)
	}
	return out
}

// Nearest returns the embedded minor release that is nearest to v, and whether it
// is that of v.
func Nearest(v *utilversion.Version) (minor string, same bool) {
	best := uint(0)
	for _, m := range Versions() {
		known := utilversion.MustParseGeneric(m)
		distance := max(known.Minor(), v.Minor()) - min(known.Minor(), v.Minor())
		if known.Major() != v.Major() {
			distance += 1 << 16
		}
		if minor == "" || distance <= best {
			minor, best = m, distance
		}
	}
	return minor, best == 0
}

var releases sync.Map // minor -> func() (*Kubernetes, error)

// ForKubernetes returns the schemas of the embedded minor release that is nearest to
// v, as [Nearest] says. An error means that what is embedded is damaged.
func ForKubernetes(v *utilversion.Version) (*Kubernetes, error) {
	minor, _ := Nearest(v)
	load, _ := releases.LoadOrStore(minor, sync.OnceValues(func() (*Kubernetes, error) { return open(minor) }))
	return load.(func() (*Kubernetes, error))()
}

func open(minor string) (*Kubernetes, error) {
	all := readIndex().Kubernetes
	k := &Kubernetes{Release: all[slices.IndexFunc(all, func(r Release) bool { return r.Minor == minor })]}
	b, err := read(k.File)
	if err != nil {
		return nil, err
	}
	var d Document
	if err := json.Unmarshal(b, &d); err != nil {
		return nil, fmt.Errorf("embedded %s: %w", k.File, err)
	}
	k.kinds = d.Kinds
	k.groups = map[string]bool{}
	for key := range d.Kinds {
		group, _, _ := strings.Cut(key, "/")
		k.groups[group] = true
	}
	k.types = make(map[string]func() (*Type, error), len(d.Types))
	for name, raw := range d.Types {
		k.types[name] = sync.OnceValues(func() (*Type, error) {
			t := &Type{}
			if err := json.Unmarshal(raw, t); err != nil {
				return nil, fmt.Errorf("embedded %s: %s: %w", k.File, name, err)
			}
			return t, nil
		})
	}
	return k, nil
}

// Kind returns a kind; ok is false when the release does not have it.
func (k *Kubernetes) Kind(group, version, kind string) (Kind, bool) {
	got, ok := k.kinds[KindKey(group, version, kind)]
	return got, ok
}

// HasGroup tells whether the release serves the API group itself.
func (k *Kubernetes) HasGroup(group string) bool { return k.groups[group] }

// VersionsOf returns the versions of the kind in the release, sorted.
func (k *Kubernetes) VersionsOf(group, kind string) []string {
	var out []string
	for key := range k.kinds {
		if g, rest, _ := strings.Cut(key, "/"); g == group {
			if version, name, _ := strings.Cut(rest, "/"); name == kind {
				out = append(out, version)
			}
		}
	}
	slices.Sort(out)
	return out
}

// GroupVersionsOf returns the API versions that have the kind, sorted: "apps/v1".
func (k *Kubernetes) GroupVersionsOf(kind string) []string {
	var out []string
	for key := range k.kinds {
		if gv, ok := strings.CutSuffix(key, "/"+kind); ok {
			out = append(out, strings.TrimPrefix(gv, "/"))
		}
	}
	slices.Sort(out)
	return out
}

// KindsOf returns the kinds of an API version, sorted.
func (k *Kubernetes) KindsOf(group, version string) []string {
	var out []string
	for _, key := range slices.Sorted(maps.Keys(k.kinds)) {
		if kind, ok := strings.CutPrefix(key, group+"/"+version+"/"); ok {
			out = append(out, kind)
		}
	}
	return out
}

// Type returns a type by the name that a [Kind] or [Type.Ref] has.
func (k *Kubernetes) Type(name string) (*Type, error) {
	load := k.types[name]
	if load == nil {
		return nil, fmt.Errorf("embedded %s has no type %s", k.File, name)
	}
	return load()
}
