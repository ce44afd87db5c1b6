package promotion

// kustomizations are an example: Flux Kustomizations for staging and production, of
// which the latter says in suspend what it does.
func kustomizations(suspend string) string {
	return `-- cluster/kustomizations.yaml --
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata:
  name: apps-staging
  namespace: flux-system
spec:
  interval: 1m
  path: ./overlays/staging
  prune: true
  sourceRef: {kind: GitRepository, name: flux-system}
---
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata:
  name: apps-prod
  namespace: flux-system
  annotations:
    lumacore.dev/suspended-because: production is released by hand
spec:
  interval: 10m
  path: ./overlays/prod
  prune: true
` + suspend + `  sourceRef: {kind: GitRepository, name: flux-system}
`
}

// twoEnvironments is an example: an app with a base and an overlay for each
// environment.
func twoEnvironments(staging, prod string) string {
	return `-- overlays/staging/kustomization.yaml --
` + overlay("staging", staging) + `-- overlays/prod/kustomization.yaml --
` + overlay("prod", prod) + `-- overlays/staging/namespace.yaml --
` + namespace("staging") + `-- overlays/prod/namespace.yaml --
` + namespace("prod") + `-- base/kustomization.yaml --
resources: [deployment.yaml]
`
}

func overlay(environment, image string) string {
	return `namespace: app-` + environment + `
resources: [namespace.yaml, ../../base]
images:
  - name: app
    newTag: ` + image + "\n"
}

func namespace(environment string) string {
	return `apiVersion: v1
kind: Namespace
metadata:
  name: app-` + environment + `
  labels:
    lumacore.env: ` + environment + "\n"
}

func deployment(replicas string) string {
	return `apiVersion: apps/v1
kind: Deployment
metadata:
  name: app
spec:
  replicas: ` + replicas + `
  selector:
    matchLabels: {app: app}
  template:
    metadata:
      labels: {app: app}
    spec:
      containers:
        - name: app
          image: app
`
}

// repositoryYAML is the whole example.
func repositoryYAML(staging, prod string) string {
	return kustomizations("  suspend: true\n") + twoEnvironments(staging, prod) + "-- base/deployment.yaml --\n" + deployment("1")
}

// automationYAML is an example: image automation that edits a folder.
func automationYAML(path string) string {
	return `-- cluster/automation.yaml --
apiVersion: image.toolkit.fluxcd.io/v1
kind: ImageUpdateAutomation
metadata:
  name: apps
  namespace: flux-system
spec:
  interval: 1m
  sourceRef: {kind: GitRepository, name: flux-system}
  update:
    path: ` + path + `
    strategy: Setters
  git:
    commit:
      author: {email: flux@example.org}
`
}

// releaseYAML is an example: a release of production from a chart repository.
func releaseYAML(version string) string {
	return namespace("prod") + `---
apiVersion: source.toolkit.fluxcd.io/v1
kind: HelmRepository
metadata:
  name: charts
  namespace: app-prod
spec:
  url: https://charts.example.org
---
apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata:
  name: app
  namespace: app-prod
spec:
  interval: 1h
  chart:
    spec:
      chart: app
      version: "` + version + `"
      sourceRef: {kind: HelmRepository, name: charts}
`
}
