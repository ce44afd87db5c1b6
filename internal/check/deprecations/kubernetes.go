package deprecations

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/client-go/kubernetes/scheme"
)

// cycle is what Kubernetes says of one of its own API versions.
type cycle struct {
	deprecated, removed minor // 0: never
	use                 string
	source              string
}

// The generated methods of k8s.io/api that tell an API's life; the API server's own
// functions over them (k8s.io/apiserver/pkg/endpoints/deprecation) hold them
// against one version, and this gate against three.
type (
	lifeDeprecated  interface{ APILifecycleDeprecated() (major, minor int) }
	lifeRemoved     interface{ APILifecycleRemoved() (major, minor int) }
	lifeReplacement interface {
		APILifecycleReplacement() schema.GroupVersionKind
	}
)

// types are Kubernetes' own. scheme.Scheme would not do: every package may add to it.
var types = func() *runtime.Scheme {
	s := runtime.NewScheme()
	utilruntime.Must(scheme.AddToScheme(s))
	return s
}()

// cycleOf returns the life of an API version; the zero value when it is none of
// Kubernetes', or there is nothing to say of it.
func cycleOf(gvk schema.GroupVersionKind) cycle {
	obj, err := types.New(gvk)
	if err != nil {
		return goneTypes(gvk)
	}
	c := ownCycle(obj)
	if c.deprecated == 0 && c.removed == 0 {
		return cycle{}
	}
	c.use, c.source = replacement(gvk, obj), migrationGuide
	return c
}

func ownCycle(obj runtime.Object) (c cycle) {
	if l, ok := obj.(lifeDeprecated); ok {
		_, m := l.APILifecycleDeprecated()
		c.deprecated = minor(m)
	}
	if l, ok := obj.(lifeRemoved); ok {
		_, m := l.APILifecycleRemoved()
		c.removed = minor(m)
	}
	return c
}

// replacement returns what replaces an API version in the end: a replacement may
// have been replaced itself. Where the type does not tell, it is the version that
// the API server prefers.
func replacement(gvk schema.GroupVersionKind, obj runtime.Object) string {
	for range 5 { // far more than there are
		l, ok := obj.(lifeReplacement)
		if !ok {
			break
		}
		next := l.APILifecycleReplacement()
		if next.Kind == gvk.Kind+"List" { // a slip in networking.k8s.io/v1beta1 IngressClass
			next.Kind = gvk.Kind
		}
		if next.Empty() {
			break
		}
		o, err := types.New(next)
		if err != nil {
			return next.GroupVersion().String()
		}
		if c := ownCycle(o); c == (cycle{}) {
			if next.Kind != gvk.Kind {
				return next.GroupVersion().String() + " " + next.Kind
			}
			return next.GroupVersion().String()
		}
		obj = o
	}
	for _, gv := range types.VersionsForGroupKind(gvk.GroupKind()) {
		if o, err := types.New(gv.WithKind(gvk.Kind)); err == nil && gv.Version != gvk.Version && ownCycle(o) == (cycle{}) {
			return gv.String()
		}
	}
	return ""
}

// kubernetes reports an API version of Kubernetes that is gone, will be, or is
// discouraged.
func (s subject) kubernetes(life cycle, cluster minor) {
	if cluster == 0 {
		return
	}
	use := ""
	if life.use != "" {
		use = "; use " + life.use
	}
	switch {
	case life.removed != 0 && life.removed <= cluster:
		s.version("deprecations/removed", life.use, life.source,
			"%s is not served since Kubernetes %s (the cluster has %s)%s", s.name(), life.removed, cluster, use)
	case life.removed != 0 && life.removed <= cluster+ahead:
		s.version("deprecations/removed-soon", life.use, life.source,
			"%s will not be served from Kubernetes %s on (the cluster has %s)%s", s.name(), life.removed, cluster, use)
	case life.deprecated != 0 && life.deprecated <= cluster:
		end := "with no date for its removal"
		if life.removed != 0 {
			end = "and will go with Kubernetes " + life.removed.String()
		}
		s.version("deprecations/deprecated", life.use, life.source,
			"%s is deprecated since Kubernetes %s, %s%s", s.name(), life.deprecated, end, use)
	}
}

const migrationGuide = "https://kubernetes.io/docs/reference/using-api/deprecation-guide/"

// goneTypes looks up what k8s.io/api has no types for any more, or never had.
func goneTypes(gvk schema.GroupVersionKind) cycle {
	for _, g := range gone {
		if g.group == gvk.Group && slices.Contains(strings.Fields(g.versions), gvk.Version) && (g.kind == "" || g.kind == gvk.Kind) {
			return cycle{g.removed, g.removed, g.use, migrationGuide + g.anchor}
		}
	}
	return cycle{}
}

// gone are API versions without types, from the migration guide.
var gone = []struct {
	group, versions string
	kind            string // "": all
	removed         minor
	use             string
	anchor          string
}{
	{"policy", "v1beta1", "PodSecurityPolicy", 25, "", "#psp-v125"},
	{"extensions", "v1beta1", "PodSecurityPolicy", 16, "", "#psp-v116"},
	{"autoscaling", "v2beta1", "HorizontalPodAutoscaler", 25, "autoscaling/v2", "#horizontalpodautoscaler-v125"},
	{"autoscaling", "v2beta2", "HorizontalPodAutoscaler", 26, "autoscaling/v2", "#horizontalpodautoscaler-v126"},
	{"apiextensions.k8s.io", "v1beta1", "CustomResourceDefinition", 22, "apiextensions.k8s.io/v1", "#customresourcedefinition-v122"},
	{"apiregistration.k8s.io", "v1beta1", "APIService", 22, "apiregistration.k8s.io/v1", "#apiservice-v122"},
}
