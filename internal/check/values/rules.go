package values

import "lumacore.dev/lumacore/internal/report"

const helmValues = "https://helm.sh/docs/chart_template_guide/values_files/"

var rules = []report.Rule{
	{
		ID: "values/unknown-key", Title: "a value of a HelmRelease that its chart does not know", Severity: report.Error,
		Why: "Helm says nothing about a value that no template looks at: the chart runs with its default, and what was " +
			"meant (a limit, a policy, a hardened setting) is not there. Misspelt keys, keys at the wrong depth and " +
			"keys that a new major version renamed are the most common mistakes in values. " +
			"A key that resembles none of the chart's is a warning, and so is any that was held against another version of the chart.",
		Fix:  "Write the key as the chart's values.yaml has it (`helm show values`), at the same depth, or remove it.",
		Link: helmValues,
		Bad:  exampleChart + "-- cluster/release.yaml --\n" + exampleRelease + "    replicaCout: 2\n",
		Good: exampleChart + "-- cluster/release.yaml --\n" + exampleRelease + "    replicaCount: 2\n",
	},
	{
		ID: "values/wrong-type", Title: "a value of a HelmRelease of another type than the chart's default", Severity: report.Error,
		Why: "The quoted word \"false\" is true to a template, a list in the place of a mapping makes the chart fail or " +
			"render nonsense, and Helm keeps a plain value that it cannot merge with a mapping only with a note in a log " +
			"that nobody reads. Charts with a schema refuse it, most have none.",
		Fix:  "Write the value in the type that the chart's values.yaml has there; remove the quotes around true, false and numbers.",
		Link: helmValues,
		Bad:  exampleChart + "-- cluster/release.yaml --\n" + exampleRelease + "    metrics:\n      enabled: \"false\"\n",
		Good: exampleChart + "-- cluster/release.yaml --\n" + exampleRelease + "    metrics:\n      enabled: false\n",
	},
}

const exampleChart = `-- charts/web/Chart.yaml --
apiVersion: v2
name: web
version: 1.0.0
-- charts/web/values.yaml --
replicaCount: 1
metrics:
  enabled: true
-- charts/web/templates/settings.yaml --
apiVersion: v1
kind: ConfigMap
metadata:
  name: settings
data:
  replicas: {{ .Values.replicaCount | quote }}
  {{- if .Values.metrics.enabled }}
  metrics: "on"
  {{- end }}
`

const exampleRelease = `apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata:
  name: web
  namespace: flux-system
spec:
  interval: 1h
  chart:
    spec:
      chart: ./charts/web
      sourceRef:
        kind: GitRepository
        name: flux-system
  values:
`
