package helm

// umbrella has dependencies: two aliases of one chart, one with a condition, one
// with a tag, and a library.
const umbrella = `
-- charts/umbrella/Chart.yaml --
apiVersion: v2
name: umbrella
version: 0.1.0
dependencies:
  - {name: part, version: 1.x, alias: first, repository: ""}
  - {name: part, version: 1.x, alias: database, condition: database.enabled, repository: ""}
  - {name: extra, version: ">=0.1.0", tags: [extra], repository: "file://../extra", import-values: [data]}
  - {name: library, version: "*", repository: "file://../library"}
-- charts/umbrella/values.yaml --
global: {zone: a}
database: {enabled: true, size: 2}
tags: {extra: false}
-- charts/umbrella/templates/all.yaml --
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ .Release.Name }}
  labels: {{- include "library.labels" . | nindent 4 }}
data:
  zone: {{ .Values.global.zone | quote }}
  imported: {{ .Values.imported | default "nothing" | quote }}
  subcharts: {{ keys .Subcharts | join "," | quote }}
-- charts/umbrella/charts/part/Chart.yaml --
apiVersion: v2
name: part
version: 1.4.0
-- charts/umbrella/charts/part/values.yaml --
size: 1
-- charts/umbrella/charts/part/templates/part.yaml --
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ .Release.Name }}-{{ .Chart.Name }}
data:
  size: {{ .Values.size | quote }}
  zone: {{ .Values.global.zone | quote }}
-- charts/extra/Chart.yaml --
apiVersion: v2
name: extra
version: 0.2.0
-- charts/extra/values.yaml --
exports: {data: {imported: from-extra}}
-- charts/extra/templates/extra.yaml --
apiVersion: v1
kind: ConfigMap
metadata: {name: extra}
data: {zone: {{ .Values.global.zone }}}
-- charts/library/Chart.yaml --
apiVersion: v2
name: library
type: library
version: 3.0.0
-- charts/library/templates/_labels.tpl --
{{ define "library.labels" }}
app.kubernetes.io/part-of: {{ .Chart.Name }}
{{ end }}
-- charts/library/templates/never.yaml --
{{ fail "a library's templates are not rendered" }}
`

// hooked has hooks of every sort, a CRD, a list, and objects without a namespace.
const hooked = `
-- charts/hooked/Chart.yaml --
apiVersion: v2
name: hooked
version: 1.0.0
-- charts/hooked/crds/gadgets.yaml --
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: gadgets.example.com}
spec: {group: example.com, scope: Cluster, names: {kind: Gadget, plural: gadgets}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: not-a-crd}
-- charts/hooked/templates/objects.yaml --
{{- /* only a comment */ -}}
---
# nothing
---
apiVersion: example.com/v1
kind: Gadget
metadata: {name: one}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: reader}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: runner}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: elsewhere, namespace: other}
-- charts/hooked/templates/hooks.yaml --
apiVersion: batch/v1
kind: Job
metadata:
  name: migrate
  annotations: {helm.sh/hook: "pre-install, pre-upgrade", helm.sh/hook-weight: "5"}
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: migrate-settings
  annotations: {helm.sh/hook: pre-install, helm.sh/hook-weight: "-1"}
---
apiVersion: v1
kind: Pod
metadata:
  name: probe
  annotations: {helm.sh/hook: test}
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: helm-2
  annotations: {helm.sh/hook: crd-install}
`
