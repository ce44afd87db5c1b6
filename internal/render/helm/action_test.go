package helm

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"testing"

	"github.com/google/go-cmp/cmp"
	"helm.sh/helm/v4/pkg/action"
	"helm.sh/helm/v4/pkg/chart/common"
	chartv2 "helm.sh/helm/v4/pkg/chart/v2"
	releasev1 "helm.sh/helm/v4/pkg/release/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// passThrough is the post-renderer that Helm needs to be given for it to go the way
// that it goes in helm-controller.
type passThrough struct{}

func (passThrough) Run(b *bytes.Buffer) (*bytes.Buffer, error) { return b, nil }

// install runs Helm's own install action, as helm-controller configures it.
func install(t testing.TB, c *chartv2.Chart, values map[string]any) *releasev1.Release {
	t.Helper()
	cfg := action.NewConfiguration(action.ConfigurationSetLogger(slog.NewTextHandler(io.Discard, nil)))
	cfg.CustomTemplateFuncs = functions(&bound{ctx: context.Background()})
	in := action.NewInstall(cfg)
	in.DryRunStrategy = action.DryRunClient
	in.ReleaseName, in.Namespace = "web", "apps"
	in.SkipCRDs, in.DisableOpenAPIValidation = true, true
	in.KubeVersion, _ = common.ParseKubeVersion("v1.36.0")
	in.PostRenderer = passThrough{}
	rel, err := in.RunWithContext(context.Background(), c, values)
	if err != nil {
		t.Fatal(err)
	}
	return rel.(*releasev1.Release)
}

// TestAsHelm holds what this package makes against Helm's install action: the same
// objects in the same order, and the same hooks.
func TestAsHelm(t *testing.T) {
	t.Parallel()
	env := site{files: web + umbrella + hooked}.env(t)
	for _, tc := range []struct{ chart, values string }{
		{"charts/web", "{}"},
		{"charts/web", "{replicas: 3, labels: {team: a}}"},
		{"charts/umbrella", "{}"},
		{"charts/umbrella", "{database: {enabled: false}, tags: {extra: true}, global: {zone: b}}"},
		{"charts/umbrella", "{first: {size: 7}, database: {size: null}}"},
		{"charts/hooked", "{}"},
	} {
		t.Run(tc.chart+" "+tc.values, func(t *testing.T) {
			hr := release(t, "chart: {spec: {chart: "+tc.chart+", sourceRef: {kind: GitRepository, name: flux-system, namespace: flux-system}}}\ntest: {enable: true}\nvalues: "+tc.values)
			got, err := Render(context.Background(), hr, env)
			if err != nil {
				t.Fatal(err)
			}
			c, err := env.Charts.Tree(context.Background(), env.Tree, tc.chart)
			if err != nil {
				t.Fatal(err)
			}
			vals, _, err := values(context.Background(), hr, env)
			if err != nil {
				t.Fatal(err)
			}
			rel := install(t, c.Copy(), vals)
			var want, have []map[string]any
			for _, text := range split(rel.Manifest) {
				want = append(want, parsed(t, text))
			}
			for _, h := range rel.Hooks {
				want = append(want, parsed(t, h.Manifest))
			}
			for _, o := range got.Objects {
				if !o.CRD {
					have = append(have, bare(o.Unstructured))
				}
			}
			if len(want) == 0 {
				t.Fatal("the chart makes nothing")
			}
			if diff := cmp.Diff(want, have); diff != "" {
				t.Errorf("Helm makes other objects (-Helm +here):\n%s", diff)
			}
		})
	}
}

func parsed(t testing.TB, text string) map[string]any {
	t.Helper()
	u, err := object(text)
	if err != nil || u == nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	return u.Object
}

// bare takes away what helm-controller and the API server add to Helm's output.
func bare(u *unstructured.Unstructured) map[string]any {
	u = u.DeepCopy()
	labels, annotations := u.GetLabels(), u.GetAnnotations()
	for _, k := range []string{"helm.toolkit.fluxcd.io/name", "helm.toolkit.fluxcd.io/namespace", "app.kubernetes.io/managed-by"} {
		delete(labels, k)
	}
	for _, k := range []string{"meta.helm.sh/release-name", "meta.helm.sh/release-namespace"} {
		delete(annotations, k)
	}
	u.SetLabels(labels)
	u.SetAnnotations(annotations)
	if len(annotations) == 0 {
		unstructured.RemoveNestedField(u.Object, "metadata", "annotations")
	}
	if len(labels) == 0 {
		unstructured.RemoveNestedField(u.Object, "metadata", "labels")
	}
	if u.GetNamespace() == "apps" { // that of the release; no chart here names it
		unstructured.RemoveNestedField(u.Object, "metadata", "namespace")
	}
	return u.Object
}

// BenchmarkAction is what BenchmarkRender is compared with.
func BenchmarkAction(b *testing.B) {
	env := site{files: web}.env(b)
	c, err := env.Charts.Tree(context.Background(), env.Tree, "charts/web")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		install(b, c.Copy(), map[string]any{"replicas": 2})
	}
}
