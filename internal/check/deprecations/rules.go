package deprecations

import "lumacore.dev/lumacore/internal/report"

var rules = []report.Rule{
	{
		ID: "deprecations/removed", Title: "an API version that the cluster does not serve", Severity: report.Error,
		Why:  "The API server answers \"no matches for kind\", and Flux applies nothing of the whole Kustomization or chart.",
		Fix:  "Change apiVersion to the version that the message names.",
		Link: migrationGuide,
		Bad:  cronJob("batch/v1beta1"),
		Good: cronJob("batch/v1"),
	},
	{
		ID: "deprecations/removed-soon", Title: "an API version that one of the next two versions of Kubernetes will not serve", Severity: report.Warning,
		Why:  "After the upgrade Flux can no longer apply it; before it, the change is one line.",
		Fix:  "Change apiVersion to the version that the message names, before the cluster is upgraded.",
		Link: migrationGuide,
		Bad:  serviceCIDR("networking.k8s.io/v1beta1"),
		Good: serviceCIDR("networking.k8s.io/v1"),
	},
	{
		ID: "deprecations/deprecated", Title: "an API version that Kubernetes advises against", Severity: report.Info,
		Why:  "It works for now. The API server warns each time that it is used.",
		Fix:  "Change to what the message names when you touch the object next.",
		Link: migrationGuide,
		Bad: `apiVersion: v1
kind: Endpoints
metadata: {name: nas, namespace: app}
subsets:
  - addresses: [{ip: 192.0.2.10}]
    ports: [{port: 445}]
`,
		Good: `apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: nas
  namespace: app
  labels: {kubernetes.io/service-name: nas}
addressType: IPv4
endpoints:
  - addresses: [192.0.2.10]
ports: [{port: 445}]
`,
	},
	{
		ID: "deprecations/flux-version", Title: "an API version that Flux no longer serves", Severity: report.Error,
		Why:  "The CRDs of the release that the message names do not have the version any more: what was applied with it stays, and nothing of the Kustomization that holds it is applied again.",
		Fix:  "Change apiVersion to the version that the message names; `flux migrate -f .` rewrites the files.",
		Link: "https://fluxcd.io/flux/installation/upgrade/",
		Bad:  alert("notification.toolkit.fluxcd.io/v1beta2"),
		Good: alert("notification.toolkit.fluxcd.io/v1beta3"),
	},
	{
		ID: "deprecations/crd-version", Title: "a version of a custom resource that its maker gives up", Severity: report.Warning,
		Why:  "The CRD of this render calls it deprecated, or newer releases of the operator do not serve it: the next update of the chart would break it.",
		Fix:  "Change apiVersion to the version that the message names.",
		Link: "https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definition-versioning/#version-deprecation",
		Bad:  issuer("cert-manager.io/v1alpha2"),
		Good: issuer("cert-manager.io/v1"),
	},
	{
		ID: "deprecations/field", Title: "a field or annotation that Kubernetes no longer wants, or no longer reads", Severity: report.Warning,
		Why:  "Some of them still work; others, such as the annotations for seccomp, are ignored without a word.",
		Fix:  "Use what the message names.",
		Link: "https://github.com/kubernetes/kubernetes/tree/v1.36.3/pkg/api",
		Bad:  ingress("annotations: {kubernetes.io/ingress.class: traefik}", ""),
		Good: ingress("labels: {app: app}", "  ingressClassName: traefik\n"),
	},
}

func cronJob(version string) string {
	return "apiVersion: " + version + `
kind: CronJob
metadata: {name: app, namespace: app}
spec:
  schedule: "0 3 * * *"
  jobTemplate:
    spec:
      template:
        spec:
          restartPolicy: Never
          containers: [{name: app, image: ghcr.io/example/app:1.2.3}]
`
}

func serviceCIDR(version string) string {
	return "apiVersion: " + version + `
kind: ServiceCIDR
metadata: {name: second}
spec:
  cidrs: [10.100.0.0/16]
`
}

func alert(version string) string {
	return "apiVersion: " + version + `
kind: Alert
metadata: {name: app, namespace: flux-system}
spec:
  providerRef: {name: chat}
  eventSources: [{kind: Kustomization, name: app}]
`
}

func issuer(version string) string {
	return "apiVersion: " + version + `
kind: Issuer
metadata: {name: app, namespace: app}
spec:
  selfSigned: {}
`
}

func ingress(metadata, spec string) string {
	return `apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: app
  namespace: app
  ` + metadata + `
spec:
` + spec + `  defaultBackend:
    service: {name: app, port: {number: 80}}
`
}
