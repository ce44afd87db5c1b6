package helm

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	helmv2 "github.com/fluxcd/helm-controller/api/v2"
	"golang.org/x/tools/txtar"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"

	"lumacore.dev/lumacore/internal/chart"
	"lumacore.dev/lumacore/internal/gitops"
)

// site is a repository for tests: files, and the objects that the cluster has.
type site struct {
	files   string            // txtar
	objects string            // YAML documents
	secrets map[string]string // "namespace/name/key": the stand-in
}

// own is the GitRepository that is the repository itself.
const own = `
apiVersion: source.toolkit.fluxcd.io/v1
kind: GitRepository
metadata: {name: flux-system, namespace: flux-system}
spec: {url: "ssh://git@example.com/homelab", interval: 1m, ref: {branch: main}}
`

func (s site) env(t testing.TB) Env {
	t.Helper()
	files := map[string][]byte{}
	for _, f := range txtar.Parse([]byte(s.files)).Files {
		files[f.Name] = f.Data
	}
	objects := map[string]*unstructured.Unstructured{}
	for _, doc := range strings.Split(own+"---\n"+s.objects, "---\n") {
		u := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(doc), &u.Object); err != nil {
			t.Fatal(err)
		}
		if u.Object != nil {
			objects[fmt.Sprint(u.GroupVersionKind().Group, u.GetKind(), u.GetNamespace(), u.GetName())] = u
		}
	}
	store, err := chart.NewStore(chart.Options{CacheDir: t.TempDir(), Offline: true})
	if err != nil {
		t.Fatal(err)
	}
	return Env{
		Tree: gitops.FromFiles(files), Charts: store, KubeVersion: "1.36",
		Lookup: func(group, kind, namespace, name string) *unstructured.Unstructured {
			return objects[fmt.Sprint(group, kind, namespace, name)]
		},
		Placeholder: func(namespace, secret, key string) (string, bool) {
			v, ok := s.secrets[namespace+"/"+secret+"/"+key]
			return v, ok
		},
		OwnRepository: func(u *unstructured.Unstructured) bool { return u.GetName() == "flux-system" },
		Kustomize: func(fs filesys.FileSystem, dir string) (resmap.ResMap, error) {
			return krusty.MakeKustomizer(&krusty.Options{
				LoadRestrictions: types.LoadRestrictionsNone, PluginConfig: types.DisabledPluginConfig(),
			}).Run(fs, dir)
		},
	}
}

// release makes a HelmRelease apps/web of the chart charts/web, with more spec.
func release(t testing.TB, spec string) *helmv2.HelmRelease {
	t.Helper()
	hr := &helmv2.HelmRelease{}
	hr.Name, hr.Namespace = "web", "apps"
	text := spec
	if !strings.Contains(spec, "chart:") && !strings.Contains(spec, "chartRef:") {
		text = "chart: {spec: {chart: charts/web, sourceRef: {kind: GitRepository, name: flux-system, namespace: flux-system}}}\n" + spec
	}
	if err := yaml.UnmarshalStrict([]byte(text), &hr.Spec); err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	return hr
}

// web is a small chart of the usual form.
const web = `
-- charts/web/Chart.yaml --
apiVersion: v2
name: web
version: 1.2.3
-- charts/web/values.yaml --
replicas: 1
image: {repository: ghcr.io/example/web, tag: "1.0"}
service: {port: 80}
labels: {}
resources: {limits: {memory: 64Mi}, requests: {cpu: 10m}}
-- charts/web/templates/_helpers.tpl --
{{- define "web.labels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.labels }}
{{ toYaml . }}
{{- end }}
{{- end -}}
-- charts/web/templates/deployment.yaml --
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ .Release.Name }}
  labels: {{- include "web.labels" . | nindent 4 }}
spec:
  replicas: {{ .Values.replicas }}
  selector:
    matchLabels:
      app.kubernetes.io/instance: {{ .Release.Name }}
  template:
    metadata:
      labels: {{- include "web.labels" . | nindent 8 }}
    spec:
      containers:
        - name: web
          image: "{{ .Values.image.repository }}:{{ .Values.image.tag }}"
          resources: {{- toYaml .Values.resources | nindent 12 }}
-- charts/web/templates/service.yaml --
apiVersion: v1
kind: Service
metadata:
  name: {{ .Release.Name }}
  labels: {{- include "web.labels" . | nindent 4 }}
spec:
  ports: [{port: {{ .Values.service.port }}}]
  selector:
    app.kubernetes.io/instance: {{ .Release.Name }}
-- charts/web/templates/NOTES.txt --
Thank you for {{ .Release.Name }}.
`

func text(t testing.TB, r *Rendered) string {
	t.Helper()
	var b strings.Builder
	for _, o := range r.Objects {
		j, err := json.Marshal(o.Object)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "%s hook=%v crd=%v %s\n", o.Template, o.Hook, o.CRD, j)
	}
	return b.String()
}

func BenchmarkRender(b *testing.B) {
	env := site{files: web}.env(b)
	hr := release(b, "values: {replicas: 2}")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Render(context.Background(), hr, env); err != nil {
			b.Fatal(err)
		}
	}
}
