package lab

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Annotations with which the patches of clusters/lab say what becomes of a system here.
const (
	notRunHere = "lumacore.dev/not-run-here" // why nobody acts on the object
	runsHereAs = "lumacore.dev/runs-here-as" // "real: …" or "simulated: …", and by what
)

// System is a system of the blueprint, and what it is in the lab.
type System struct {
	Name string `json:"name"`
	Is   string `json:"is"` // real, simulated or not here
	Why  string `json:"why,omitempty"`
}

// What a system can be.
const (
	isReal      = "real"
	isSimulated = "simulated"
	isNotHere   = "not here"
)

// ground are the parts of a cluster that no object of Git stands for.
var ground = []System{
	{"Kubernetes API, controllers, scheduler", isReal, "processes, without k3s around them"},
	{"Flux's controllers", isReal, "processes"},
	{"nodes, pods, volumes", isSimulated, "KWOK reports them as ready; no container starts, nothing is stored"},
	{"container runtime, network, DNS", isNotHere, "they need Linux and root"},
}

// systems reads from the cluster what becomes of the blueprint's systems: of each chart,
// of what others would install, and of each workload of the infrastructure that is no
// chart.
func systems(ctx context.Context, c client.Client) ([]System, error) {
	list := slices.Clone(ground)
	for _, k := range []struct {
		gvk  schema.GroupVersionKind
		name string // "" is the object's
		// is returns what an object is that says nothing of itself; false: it is no system.
		is func(*unstructured.Unstructured) (System, bool)
	}{
		{schema.GroupVersionKind{Group: "fluxcd.controlplane.io", Version: "v1", Kind: "FluxInstance"}, "Flux Operator's FluxInstance", nil},
		{schema.GroupVersionKind{Group: "helm.toolkit.fluxcd.io", Version: "v2", Kind: "HelmRelease"}, "", chart},
		{schema.GroupVersionKind{Group: "kustomize.toolkit.fluxcd.io", Version: "v1", Kind: "Kustomization"}, "", nil},
		{schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "Deployment"}, "", ownWorkload},
		{schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "StatefulSet"}, "", ownWorkload},
		{schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "DaemonSet"}, "", ownWorkload},
	} {
		objects := &unstructured.UnstructuredList{}
		objects.SetGroupVersionKind(k.gvk)
		if err := c.List(ctx, objects); meta.IsNoMatchError(err) {
			continue // an older lab
		} else if err != nil {
			return nil, err
		}
		for i := range objects.Items {
			if s, ok := system(&objects.Items[i], k.is); ok {
				s.Name = cmp.Or(k.name, s.Name)
				list = append(list, s)
			}
		}
	}
	slices.SortStableFunc(list[len(ground):], func(a, b System) int { return strings.Compare(a.Name, b.Name) })
	return list, nil
}

// Becomes returns what becomes in the lab of a system that an object of the blueprint
// stands for: of a HelmRelease, or of a workload that a layer of the infrastructure brings
// itself. False: it stands for none.
func Becomes(o *unstructured.Unstructured) (System, bool) {
	switch o.GetKind() {
	case "HelmRelease":
		return system(o, chart)
	case "Deployment", "StatefulSet", "DaemonSet":
		return system(o, ownWorkload)
	}
	return system(o, nil)
}

// system returns what an object says of itself, or what otherwise says of it.
func system(o *unstructured.Unstructured, otherwise func(*unstructured.Unstructured) (System, bool)) (System, bool) {
	if how := o.GetAnnotations()[runsHereAs]; how != "" {
		is, why, _ := strings.Cut(how, ": ")
		if is == isReal || is == isSimulated {
			return System{o.GetName(), is, why}, true
		}
	}
	if why := o.GetAnnotations()[notRunHere]; why != "" {
		return System{o.GetName(), isNotHere, why}, true
	}
	if otherwise == nil {
		return System{}, false
	}
	return otherwise(o)
}

// chart is a release that helm-controller installs.
func chart(o *unstructured.Unstructured) (System, bool) {
	if suspended, _, _ := unstructured.NestedBool(o.Object, "spec", "suspend"); suspended {
		return System{o.GetName(), isNotHere, "its HelmRelease is suspended"}, true
	}
	return System{o.GetName(), isReal, "helm-controller installs its chart; its pods are simulated"}, true
}

// ownWorkload is a workload that a layer of the infrastructure brings itself.
func ownWorkload(o *unstructured.Unstructured) (System, bool) {
	if !strings.HasPrefix(o.GetLabels()["kustomize.toolkit.fluxcd.io/name"], "infra-") {
		return System{}, false
	}
	return System{o.GetName(), isSimulated, "its pods are reported as running"}, true
}
