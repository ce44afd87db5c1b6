package render

import (
	"cmp"
	"context"
	"crypto/sha256"
	"slices"
	"strings"

	helmv2 "github.com/fluxcd/helm-controller/api/v2"
	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"lumacore.dev/lumacore/internal/chart"
	"lumacore.dev/lumacore/internal/gitops"
	"lumacore.dev/lumacore/internal/render/helm"
	"lumacore.dev/lumacore/internal/report"
)

// Result is what a repository renders to.
type Result struct {
	Clusters []*Cluster // sorted by name
}

// Cluster is one cluster of the repository with all objects that Flux would
// apply there.
type Cluster struct {
	Name string // "lumacore"
	Path string // "clusters/lumacore"
	// Environment of its objects, where the label of their namespace says no other; ""
	// for a cluster that has several.
	Environment string

	Kustomizations []*Kustomization // sorted by namespace and name; the first may be the implied root
	Releases       []*Release       // sorted by namespace and name
	Objects        []*Object        // of all Kustomizations and Releases, sorted by Key
	Placeholders   []Placeholder    // sorted
	Problems       []Problem        // sorted
	Unchecked      []report.Unchecked
	Files          map[string]bool // that were read to render it, and that spec.ignore of its source leaves out

	byKey   map[Key][]*Object
	secrets map[[2]string]Placeholder // by namespace and name
}

// Sealed returns the paths of the values that are encrypted with SOPS, such as
// "data.password", each with a digest of its ciphertext: it tells whether a value may
// have changed, and nothing of the value. SOPS keeps the ciphertext of values that an
// edit does not change (https://github.com/getsops/sops); a new data key changes all.
func (o *Object) Sealed() map[string][sha256.Size]byte { return o.sealed }

// Key names an object within a cluster. Versions are left out: the API server
// converts between them, so they are one object.
type Key struct {
	Group, Kind, Namespace, Name string
}

func (k Key) String() string {
	if k.Namespace == "" {
		return k.Kind + " " + k.Name
	}
	return k.Kind + " " + k.Namespace + "/" + k.Name
}

// Compare orders keys by namespace, group, kind and name.
func (k Key) Compare(o Key) int {
	return cmp.Or(cmp.Compare(k.Namespace, o.Namespace), cmp.Compare(k.Group, o.Group),
		cmp.Compare(k.Kind, o.Kind), cmp.Compare(k.Name, o.Name))
}

// Object is one object as it would be applied.
type Object struct {
	*unstructured.Unstructured
	Origin Origin

	doc       *gitops.Document // the document that it was made from; nil if there is none
	encrypted bool             // it was encrypted with SOPS
	sealed    map[string][sha256.Size]byte
}

// Origin says where an object came from.
type Origin struct {
	report.Location        // the document in the repository; for a chart's objects that of the HelmRelease
	Kustomization   string // "flux-system/apps-staging": the Flux Kustomization that applies it
	HelmRelease     string // "traefik/traefik", for a chart's objects
	Template        string // "traefik/templates/deployment.yaml", for a chart's objects
	Hook            bool   // it is a Helm hook
	Suspended       bool   // its Kustomization or HelmRelease is suspended: Flux would not apply it now
	Environment     string // the value of the environment label of its namespace, else that of the cluster; "" if there is none
	// Placeholders are the secret values in it that only the cluster has and that
	// stand-ins were put for: "SECRET_DOMAIN from Secret flux-system/cluster-secrets".
	Placeholders []string
}

// Key returns the object's key.
func (o *Object) Key() Key {
	gvk := o.GroupVersionKind()
	return Key{gvk.Group, gvk.Kind, o.GetNamespace(), o.GetName()}
}

// Locate returns the line of a field, such as "spec", "replicas": in the document
// that the object was made from if it is there, else of the nearest field above.
// A field that a patch or chart added leads to the document's nearest field too.
func (o *Object) Locate(fields ...any) report.Location {
	if o.doc == nil || o.Origin.HelmRelease != "" {
		return o.Origin.Location
	}
	return report.Location{File: o.doc.File, Line: o.doc.LineOf(fields...)}
}

// Written tells whether the document that the object was made from has the field. It
// does not have what a kustomization or a Flux Kustomization puts there; an object of a
// chart or a generator has no document.
func (o *Object) Written(fields ...any) bool {
	if o.doc == nil || o.Origin.HelmRelease != "" {
		return false
	}
	key, _ := o.doc.Find(fields...)
	return key != nil
}

// Is tells whether the object is of the group and one of the kinds.
func (o *Object) Is(group string, kinds ...string) bool {
	gvk := o.GroupVersionKind()
	return gvk.Group == group && slices.Contains(kinds, gvk.Kind)
}

// Kustomization is a Flux Kustomization and what it applies.
type Kustomization struct {
	Object    *Object // as declared; for the implied root of a cluster an object without a document
	Spec      *kustomizev1.Kustomization
	Implied   bool   // the repository does not hold it: `flux bootstrap` or the operator makes it
	Path      string // the folder, relative to the tree; "" when its source is another repository
	Suspended bool
	Built     bool      // false: see the cluster's Problems and Unchecked
	Objects   []*Object // in the order in which Flux applies them
}

// Name returns "namespace/name".
func (k *Kustomization) Name() string { return k.Object.GetNamespace() + "/" + k.Object.GetName() }

// Release is a HelmRelease and what its chart makes.
type Release struct {
	Object    *Object
	Spec      *helmv2.HelmRelease
	Chart     string // "traefik", as the chart calls itself
	Version   string // "41.0.2", of the chart that was rendered
	Suspended bool
	Rendered  bool           // false: see the cluster's Problems and Unchecked
	Loaded    *chart.Chart   // that was rendered
	Defaults  map[string]any // instead of those of the chart's values.yaml; nil if there are none
	Objects   []*Object      // templates, CRDs and hooks
}

// Name returns "namespace/name".
func (r *Release) Name() string { return r.Object.GetNamespace() + "/" + r.Object.GetName() }

// Values returns the values of a release that are not the chart's own: valuesFrom in
// order, then spec.values. They are known for a chart that cannot be had, too.
func (c *Cluster) Values(ctx context.Context, r *Release) (map[string]any, error) {
	return helm.Values(ctx, r.Spec, helm.Env{
		Lookup: func(group, kind, namespace, name string) *unstructured.Unstructured {
			if o := c.Get(Key{group, kind, namespace, name}); o != nil {
				return o.Unstructured
			}
			return nil
		},
		Placeholder: func(namespace, secret, key string) (string, bool) {
			p, ok := c.Secret(namespace, secret)
			return standIn(key), ok && (p.Any || slices.Contains(p.Keys, key))
		},
	})
}

// Placeholder is a Secret that the repository does not hold: a controller makes
// it in the cluster, or it is encrypted.
type Placeholder struct {
	Secret Key
	From   string // "OnePasswordItem app-beacon/registry-read", "SOPS", …
	Type   string // of the Secret: "Opaque", "kubernetes.io/dockerconfigjson"
	Keys   []string
	Any    bool // its keys are not known: any key may be there
	report.Location
}

// Problem is something that does not render.
type Problem struct {
	Kind          ProblemKind
	Message       string
	Fix           string // if more can be said than the rule says
	Object        Key    // the Kustomization or HelmRelease, or the object with the mistake
	Kustomization string
	HelmRelease   string
	report.Location
}

// ProblemKind says what does not render. Each is a rule of the gate "render".
type ProblemKind string

// The kinds of problems that rendering itself meets.
const (
	ProblemPath      ProblemKind = "path-missing"       // spec.path is no folder
	ProblemBuild     ProblemKind = "build-failed"       // kustomize refuses: missing file, bad patch, bad YAML
	ProblemRemote    ProblemKind = "remote-base"        // a kustomization refers to another repository or a URL
	ProblemVariable  ProblemKind = "undefined-variable" // ${NAME} without value or default
	ProblemVariables ProblemKind = "variables-missing"  // substituteFrom names what is not there
	ProblemSpec      ProblemKind = "invalid-spec"       // the Flux object itself cannot be read
	ProblemEncrypted ProblemKind = "not-decrypted"      // encrypted with SOPS, and Flux is not told to decrypt it
	ProblemSource    ProblemKind = "source-missing"     // sourceRef, chartRef name what is not there
	ProblemValues    ProblemKind = "values-missing"     // valuesFrom names what is not there
	ProblemChart     ProblemKind = "chart-failed"       // the chart does not template
	ProblemNoChart   ProblemKind = "chart-missing"      // the chart cannot be had, and it was required
)

// Get returns the object of a key; nil if the cluster has none. When two
// Kustomizations own it, the first by name.
func (c *Cluster) Get(k Key) *Object {
	if l := c.byKey[k]; len(l) > 0 {
		return l[0]
	}
	return nil
}

// All returns all objects of a key: more than one when two Kustomizations own it.
func (c *Cluster) All(k Key) []*Object { return c.byKey[k] }

// Of returns the cluster's objects of a group and kind, sorted.
func (c *Cluster) Of(group, kind string) []*Object {
	var out []*Object
	for _, o := range c.Objects {
		if o.Is(group, kind) {
			out = append(out, o)
		}
	}
	return out
}

// Secret returns the placeholder of a Secret that only the cluster has.
func (c *Cluster) Secret(namespace, name string) (Placeholder, bool) {
	if c.secrets == nil { // a cluster that a test put together
		for _, p := range c.Placeholders {
			if p.Secret.Namespace == namespace && p.Secret.Name == name {
				return p, true
			}
		}
	}
	p, ok := c.secrets[[2]string{namespace, name}]
	return p, ok
}

// CustomResource tells whether the object's API is served by a CRD, as far as its
// group tells: Kubernetes' own groups have no dot or end in .k8s.io.
func (o *Object) CustomResource() bool {
	group := o.GroupVersionKind().Group
	return strings.Contains(group, ".") && !builtinGroups[group]
}

// builtinGroups are the groups with a dot that the API server serves itself
// (https://kubernetes.io/docs/reference/generated/kubernetes-api/v1.36/).
var builtinGroups = map[string]bool{
	"admissionregistration.k8s.io": true,
	"apiextensions.k8s.io":         true,
	"apiregistration.k8s.io":       true,
	"authentication.k8s.io":        true,
	"authorization.k8s.io":         true,
	"certificates.k8s.io":          true,
	"coordination.k8s.io":          true,
	"discovery.k8s.io":             true,
	"events.k8s.io":                true,
	"flowcontrol.apiserver.k8s.io": true,
	"internal.apiserver.k8s.io":    true,
	"networking.k8s.io":            true,
	"node.k8s.io":                  true,
	"rbac.authorization.k8s.io":    true,
	"resource.k8s.io":              true,
	"scheduling.k8s.io":            true,
	"storage.k8s.io":               true,
	"storagemigration.k8s.io":      true,
}

// GroupKind returns the object's group and kind.
func (o *Object) GroupKind() schema.GroupKind { return o.GroupVersionKind().GroupKind() }
