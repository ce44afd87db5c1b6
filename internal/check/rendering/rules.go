package rendering

import (
	"strings"

	"lumacore.dev/lumacore/internal/report"
)

const (
	configMap = `apiVersion: v1
kind: ConfigMap
metadata:
  name: example
  namespace: default
data:
  motd: ` // with the value after it

	apps = `apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata:
  name: apps
  namespace: flux-system
spec:
  interval: 1h
  prune: true
  path: ./apps
  sourceRef:
    kind: GitRepository
    name: flux-system
`

	release = `apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata:
  name: example
  namespace: default
spec:
  interval: 1h
  chart:
    spec:
      chart: ./chart
      sourceRef:
        kind: GitRepository
        name: flux-system
        namespace: flux-system
`

	chart = `-- chart/Chart.yaml --
apiVersion: v2
name: example
version: 1.0.0
-- chart/templates/configmap.yaml --
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ .Release.Name }}
data:
  motd: {{ required "motd is required" .Values.motd | quote }}
`

	remote = `apiVersion: source.toolkit.fluxcd.io/v1
kind: HelmRepository
metadata:
  name: charts
  namespace: flux-system
spec:
  interval: 1h
  url: https://charts.example.org
`

	welcome = configMap + "welcome\n"
)

// repository returns a repository in txtar form: the cluster's Flux objects, and
// further files, each name followed by its content.
func repository(cluster string, files ...string) string {
	var b strings.Builder
	b.WriteString("-- cluster/flux.yaml --\n" + cluster)
	for i := 0; i < len(files); i += 2 {
		b.WriteString("-- " + files[i] + " --\n" + files[i+1])
	}
	return b.String()
}

// named gives the Kustomization apps another name.
func named(name, kustomization string) string {
	return strings.Replace(kustomization, "name: apps", "name: "+name, 1)
}

var rules = []report.Rule{
	{
		ID: "render/path-missing", Title: "a Kustomization whose path is no folder", Severity: report.Error,
		Why:  "Flux reports the Kustomization as failed and applies nothing of it. What it applied before stays, and gets no more updates.",
		Fix:  "Correct spec.path; it is relative to the root of the repository, not to the file.",
		Link: "https://fluxcd.io/flux/components/kustomize/kustomizations/#path",
		Bad:  repository(apps, "app/example.yaml", welcome),
		Good: repository(apps, "apps/example.yaml", welcome),
	},
	{
		ID: "render/build-failed", Title: "a folder that kustomize cannot build", Severity: report.Error,
		Why:  "Flux reports the Kustomization as failed and applies nothing of it: one broken file holds back all changes to the folder.",
		Fix:  "Correct the file that the message names. `flux build kustomization` or `kustomize build` shows the same mistake.",
		Link: "https://kubectl.docs.kubernetes.io/references/kustomize/kustomization/",
		Bad:  repository(apps, "apps/kustomization.yaml", "resources: [exmaple.yaml]\n", "apps/example.yaml", welcome),
		Good: repository(apps, "apps/kustomization.yaml", "resources: [example.yaml]\n", "apps/example.yaml", welcome),
	},
	{
		ID: "render/remote-base", Title: "a kustomization that takes files from somewhere else", Severity: report.Error,
		Why:  "What runs is decided by another repository or web server at every reconciliation, and was reviewed by nobody here. When that is not reachable, Flux applies nothing of the folder. It is not fetched for the check, so nothing of it was looked at.",
		Fix:  "Copy the files into the repository, or make the other repository a source of its own (GitRepository or OCIRepository, with a commit or digest) and apply it with a Kustomization. `--allow-remote-bases` fetches it for the check.",
		Link: "https://fluxcd.io/flux/components/kustomize/options/", // --no-remote-bases
		Bad:  repository(apps, "apps/kustomization.yaml", "resources:\n  - example.yaml\n  - https://example.org/more.yaml\n", "apps/example.yaml", welcome),
		Good: repository(apps, "apps/kustomization.yaml", "resources:\n  - example.yaml\n", "apps/example.yaml", welcome),
	},
	{
		ID: "render/undefined-variable", Title: "a variable that is not defined and has no default", Severity: report.Error,
		Why:  "Flux puts nothing in its place and applies the rest: an address without a host, a mount without a path. Nothing reports it.",
		Fix:  "Define it in postBuild.substitute or in what postBuild.substituteFrom names, or give it a default: ${NAME:=value}. A dollar sign that is meant as such is written $$.",
		Link: "https://fluxcd.io/flux/components/kustomize/kustomizations/#post-build-variable-substitution",
		Bad:  repository(apps+"  postBuild:\n    substitute:\n      HOST: example.org\n", "apps/example.yaml", configMap+"welcome to ${HOTS}\n"),
		Good: repository(apps+"  postBuild:\n    substitute:\n      HOST: example.org\n", "apps/example.yaml", configMap+"welcome to ${HOST}\n"),
	},
	{
		ID: "render/variables-missing", Title: "substituteFrom names a ConfigMap or Secret that is not there", Severity: report.Error,
		Why:  "Flux reports the Kustomization as failed and applies nothing of it, unless the entry is optional.",
		Fix:  "Correct the name, add the object in the Kustomization's namespace, or set optional: true.",
		Link: "https://fluxcd.io/flux/components/kustomize/kustomizations/#post-build-variable-substitution",
		Bad:  repository(apps+"  postBuild:\n    substituteFrom:\n      - kind: ConfigMap\n        name: settings\n", "apps/example.yaml", welcome),
		Good: repository(apps+"  postBuild:\n    substituteFrom:\n      - kind: ConfigMap\n        name: settings\n", "apps/example.yaml", welcome,
			"cluster/settings.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: settings\n  namespace: flux-system\ndata:\n  HOST: example.org\n"),
	},
	{
		ID: "render/invalid-spec", Title: "a Flux object that cannot be read", Severity: report.Error,
		Why:  "The API server refuses it, or Flux cannot make sense of it; whatever it should apply is not applied.",
		Fix:  "Give the field a value of the type that its reference names.",
		Link: "https://fluxcd.io/flux/components/kustomize/api/v1/",
		Bad:  repository(welcome+"---\n"+strings.Replace(apps, "prune: true", "prune: sure", 1), "apps/example.yaml", welcome),
		Good: repository(apps, "apps/example.yaml", welcome),
	},
	{
		ID: "render/not-decrypted", Title: "an encrypted file that Flux is not told to decrypt", Severity: report.Error,
		Why:  "Flux applies the encrypted text as it stands: the Secret exists, and holds ENC[…]. Or the API server refuses the field \"sops\".",
		Fix:  "Set spec.decryption (provider: sops, and secretRef with the key) in the Kustomization.",
		Link: "https://fluxcd.io/flux/components/kustomize/kustomizations/#decryption",
		Bad:  repository(apps, "apps/example.yaml", encrypted),
		Good: repository(apps+"  decryption:\n    provider: sops\n    secretRef:\n      name: sops-age\n", "apps/example.yaml", encrypted),
	},
	{
		ID: "render/source-missing", Title: "a source that is not there", Severity: report.Error,
		Why:  "Flux waits for it for ever: the object is never applied, and what it applied before gets no more updates.",
		Fix:  "Correct kind, name or namespace of the reference, or add the source.",
		Link: "https://fluxcd.io/flux/components/source/",
		Bad:  repository(strings.Replace(release, "kind: GitRepository\n        name: flux-system", "kind: HelmRepository\n        name: charts", 1)),
		Good: repository(release+"  values:\n    motd: welcome\n") + chart,
	},
	{
		ID: "render/values-missing", Title: "valuesFrom names a ConfigMap or Secret that is not there", Severity: report.Error,
		Why:  "Flux reports the HelmRelease as failed and installs nothing, unless the entry is optional.",
		Fix:  "Correct the name or key, add the object in the HelmRelease's namespace, or set optional: true.",
		Link: "https://fluxcd.io/flux/components/helm/helmreleases/#values-references",
		Bad:  repository(release+"  valuesFrom:\n    - kind: ConfigMap\n      name: example-values\n  values:\n    motd: welcome\n") + chart,
		Good: repository(release+"  values:\n    motd: welcome\n") + chart,
	},
	{
		ID: "render/chart-failed", Title: "a chart that cannot be templated", Severity: report.Error,
		Why:  "Flux reports the HelmRelease as failed and leaves what runs as it is. Often a value is missing, or was renamed by a new version of the chart.",
		Fix:  "Correct the values as the message says; `helm template` with the same values shows the same mistake.",
		Link: "https://fluxcd.io/flux/components/helm/helmreleases/#values",
		Bad:  repository(release) + chart,
		Good: repository(release+"  values:\n    motd: welcome\n") + chart,
	},
	{
		ID: "render/chart-missing", Title: "a chart that cannot be had, though charts are required", Severity: report.Error,
		Why:  "What the chart makes was not looked at. Without --require-charts that is said among what was not checked; with it the check fails, so that nobody takes it for a pass.",
		Fix:  "Let the check reach the chart's registry, or fill its cache where that can be reached (lumacore check does, when it is not offline).",
		Link: "https://fluxcd.io/flux/components/helm/helmreleases/#chart-template",
		Bad:  repository(remote + "---\n" + strings.Replace(release, "chart: ./chart\n      sourceRef:\n        kind: GitRepository\n        name: flux-system", "chart: example\n      version: 1.0.0\n      sourceRef:\n        kind: HelmRepository\n        name: charts", 1)),
		Good: repository(release+"  values:\n    motd: welcome\n") + chart,
	},
	{
		ID: "render/dependency-cycle", Title: "objects that wait for each other", Severity: report.Error,
		Why: "Each waits until the other is ready, so none of them is ever applied. On a running cluster nothing is seen of it; a new one never comes up. " +
			"A Kustomization with spec.wait waits for the Kustomizations that it applies, so none of these may depend on it.",
		Fix:  "Remove the dependency that is not needed, or move what both need into a Kustomization of its own.",
		Link: "https://fluxcd.io/flux/components/kustomize/kustomizations/#dependencies",
		Bad:  repository(apps+dependsOn("more")+"---\n"+named("more", strings.Replace(apps, "./apps", "./more", 1))+dependsOn("apps"), "apps/example.yaml", welcome, "more/example.yaml", strings.Replace(welcome, "example", "more", 1)),
		Good: repository(apps+dependsOn("more")+"---\n"+named("more", strings.Replace(apps, "./apps", "./more", 1)), "apps/example.yaml", welcome, "more/example.yaml", strings.Replace(welcome, "example", "more", 1)),
	},
	{
		ID: "render/dependency-missing", Title: "dependsOn names what is not in the cluster", Severity: report.Error,
		Why:  "Flux waits for it for ever (\"dependency not ready\") and does not apply the object.",
		Fix:  "Correct the name, or its namespace: without one it is that of the object itself. Kustomizations can depend on Kustomizations only, and HelmReleases on HelmReleases.",
		Link: "https://fluxcd.io/flux/components/kustomize/kustomizations/#dependencies",
		Bad:  repository(apps+dependsOn("controlers"), "apps/example.yaml", welcome),
		Good: repository(apps, "apps/example.yaml", welcome),
	},
	{
		ID: "render/two-owners", Title: "an object that two Kustomizations or HelmReleases apply", Severity: report.Error,
		Why: "They apply it in turn, each with its own version, and report no error while it flips. When the object is removed from one of them, that one deletes it, with its data, though the other still wants it. " +
			"Suspended owners, hooks, what is in a chart's crds folder, and objects with the annotation kustomize.toolkit.fluxcd.io/ssa: Merge, IfNotPresent or Ignore do not count.",
		Fix:  "Leave the object to one of them. To move it, set kustomize.toolkit.fluxcd.io/prune: disabled on it first.",
		Link: "https://fluxcd.io/flux/components/kustomize/kustomizations/#controlling-the-apply-behavior-of-resources",
		Bad:  repository(apps+"---\n"+named("again", apps), "apps/example.yaml", welcome),
		Good: repository(apps, "apps/example.yaml", welcome),
	},
	{
		ID: "render/suspended", Title: "a Kustomization or HelmRelease that is suspended", Severity: report.Info,
		Why:  "Flux does not apply it: the cluster may differ from the repository, and nothing corrects it. That is meant for a release that waits for somebody, or for repairs; a forgotten one misses all updates.",
		Fix:  "Remove spec.suspend when it is no longer needed.",
		Link: "https://fluxcd.io/flux/components/kustomize/kustomizations/#suspend",
		Bad:  repository(apps+"  suspend: true\n", "apps/example.yaml", welcome),
		Good: repository(apps, "apps/example.yaml", welcome),
	},
}

func dependsOn(name string) string { return "  dependsOn:\n    - name: " + name + "\n" }

const encrypted = `apiVersion: v1
kind: Secret
metadata:
  name: example
  namespace: default
type: Opaque
stringData:
  password: ENC[AES256_GCM,data:aGVsbG8=,iv:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=,tag:AAAAAAAAAAAAAAAAAAAAAA==,type:str]
sops:
  age:
    - recipient: age1example
      enc: example
  encrypted_regex: ^(data|stringData)$
  lastmodified: "2026-10-01T00:00:00Z"
  mac: ENC[AES256_GCM,data:aGVsbG8=,type:str]
  version: 3.13.3
`
