package lab

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
)

func TestSystems(t *testing.T) {
	s := runtime.NewScheme()
	for _, gvk := range []schema.GroupVersionKind{
		{Group: "helm.toolkit.fluxcd.io", Version: "v2", Kind: "HelmRelease"},
		{Group: "fluxcd.controlplane.io", Version: "v1", Kind: "FluxInstance"},
		{Group: "kustomize.toolkit.fluxcd.io", Version: "v1", Kind: "Kustomization"},
		{Group: "apps", Version: "v1", Kind: "Deployment"},
		{Group: "apps", Version: "v1", Kind: "StatefulSet"},
		{Group: "apps", Version: "v1", Kind: "DaemonSet"},
	} {
		s.AddKnownTypeWithName(gvk, &unstructured.Unstructured{})
		list := gvk
		list.Kind += "List"
		s.AddKnownTypeWithName(list, &unstructured.UnstructuredList{})
	}
	object := func(apiVersion, kind, name string, annotations, labels map[string]string, suspend bool) client.Object {
		o := &unstructured.Unstructured{Object: map[string]any{"apiVersion": apiVersion, "kind": kind, "spec": map[string]any{"suspend": suspend}}}
		o.SetName(name)
		o.SetNamespace("flux-system")
		o.SetAnnotations(annotations)
		o.SetLabels(labels)
		return o
	}
	const helm, ks = "helm.toolkit.fluxcd.io/v2", "kustomize.toolkit.fluxcd.io/v1"
	because := map[string]string{notRunHere: "no network"}
	c := fake.NewClientBuilder().WithScheme(s).WithObjects(
		object(helm, "HelmRelease", "traefik", because, nil, true),
		object(helm, "HelmRelease", "gatekeeper", map[string]string{notRunHere: "no network", runsHereAs: "real: a process"}, nil, true),
		object(helm, "HelmRelease", "connect", map[string]string{runsHereAs: "simulated: lumacore"}, nil, true),
		object(helm, "HelmRelease", "unclear", map[string]string{runsHereAs: "somehow"}, nil, true),
		object(helm, "HelmRelease", "loki", nil, nil, false),
		object(ks, "Kustomization", "apps-prod", nil, nil, true),
		object(ks, "Kustomization", "crds", because, nil, true),
		object("fluxcd.controlplane.io/v1", "FluxInstance", "flux", because, nil, false),
		object("apps/v1", "Deployment", "cloudflared", nil, map[string]string{"kustomize.toolkit.fluxcd.io/name": "infra-services"}, false),
		object("apps/v1", "Deployment", "beacon", nil, map[string]string{"kustomize.toolkit.fluxcd.io/name": "apps-staging"}, false),
		object("apps/v1", "StatefulSet", "of-a-chart", nil, nil, false),
	).Build()
	got, err := systems(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	want := append(ground[:len(ground):len(ground)], []System{
		{"Flux Operator's FluxInstance", isNotHere, "no network"},
		{"cloudflared", isSimulated, "its pods are reported as running"},
		{"connect", isSimulated, "lumacore"},
		{"crds", isNotHere, "no network"},
		{"gatekeeper", isReal, "a process"},
		{"loki", isReal, "helm-controller installs its chart; its pods are simulated"},
		{"traefik", isNotHere, "no network"},
		{"unclear", isNotHere, "its HelmRelease is suspended"},
	}...)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
