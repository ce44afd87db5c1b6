package promotion

import (
	"lumacore.dev/lumacore/internal/check"
	"lumacore.dev/lumacore/internal/report"
)

const marked = `"1.0.0" # {"$imagepolicy": "flux-system:app:tag"}`

var rules = []report.Rule{
	{
		ID: "promotion/prod-unannounced", Title: "a change that reaches production without saying so", Severity: report.Error, Needs: check.NeedsBase,
		Why:  "The file is not production's own: a base, a component, variables, a chart, a source. Who reviews the change sees no production in it, staging gets it at the same time, and nothing was tried before.",
		Fix:  "Make the change in staging's own files first and in production's after it has proved itself; or have the change approved for production, after which the pipeline checks with --prod-approved.",
		Link: "https://fluxcd.io/flux/guides/repository-structure/",
		Bad:  repositoryYAML(`"1.0.0"`, `"1.0.0"`) + "-- base:base/deployment.yaml --\n" + deployment("2"),
		Good: repositoryYAML(`"1.1.0"`, `"1.0.0"`) + "-- base:overlays/staging/kustomization.yaml --\n" + overlay("staging", `"1.0.0"`),
	},
	{
		ID: "promotion/prod-change", Title: "a change of production", Severity: report.Warning, Needs: check.NeedsBase,
		Why:  "It changes what people use, in files that are production's own. That is how it is meant; it needs somebody's approval for production.",
		Fix:  "Have it approved for production, after which the pipeline checks with --prod-approved.",
		Link: "https://fluxcd.io/flux/guides/repository-structure/",
		Bad:  repositoryYAML(`"1.1.0"`, `"1.1.0"`) + "-- base:overlays/prod/kustomization.yaml --\n" + overlay("prod", `"1.0.0"`),
		Good: repositoryYAML(`"1.1.0"`, `"1.0.0"`) + "-- base:overlays/staging/kustomization.yaml --\n" + overlay("staging", `"1.0.0"`),
	},
	{
		ID: "promotion/automation-marker", Title: "image automation in what production is built from", Severity: report.Error,
		Why:  "A marker lets image automation write each new version into the file. Production would take it at the next release, or at once, and nobody has decided so.",
		Fix:  "Remove the marker here and set it in staging's own files; production takes versions from staging by promotion.",
		Link: "https://fluxcd.io/flux/guides/image-update/",
		Bad:  repositoryYAML(`"1.0.0"`, marked) + automationYAML("./overlays"),
		Good: repositoryYAML(marked, `"1.0.0"`) + automationYAML("./overlays/staging"),
	},
	{
		ID: "promotion/automation-path", Title: "image automation may edit production's files", Severity: report.Warning,
		Why:  "One marker in these files is enough, and new versions reach production without anybody's decision.",
		Fix:  "Set spec.update.path to the folder of staging.",
		Link: "https://fluxcd.io/flux/components/image/imageupdateautomations/",
		Bad:  repositoryYAML(marked, `"1.0.0"`) + automationYAML("./"),
		Good: repositoryYAML(marked, `"1.0.0"`) + automationYAML("./overlays/staging"),
	},
	{
		ID: "promotion/suspend-undeclared", Title: "whether a Kustomization waits is not said", Severity: report.Warning,
		Why:  "Whether production follows Git by itself or waits for a release is a decision, and should be one that can be read. And a suspended Kustomization, of which nobody says why, is mostly one that was forgotten.",
		Fix:  "Set spec.suspend of production's Kustomization to true or false; say in the annotation lumacore.dev/suspended-because why one is suspended.",
		Link: "https://fluxcd.io/flux/components/kustomize/kustomizations/#suspend",
		Bad:  kustomizations("") + twoEnvironments(`"1.0.0"`, `"1.0.0"`) + "-- base/deployment.yaml --\n" + deployment("1"),
		Good: repositoryYAML(`"1.0.0"`, `"1.0.0"`),
	},
	{
		ID: "promotion/unpinned-chart", Title: "a chart that changes by itself", Severity: report.Warning,
		Why:  "Flux takes the newest chart that fits, at any time: production changes without a change in Git, and going back in Git does not go back.",
		Fix:  "Write one version: 1.2.3, a tag, a digest or a commit; Renovate proposes the next.",
		Link: "https://fluxcd.io/flux/components/helm/helmreleases/#chart-template",
		Bad:  releaseYAML("1.x"),
		Good: releaseYAML("1.4.2"),
	},
	{
		ID: "promotion/staging-behind", Title: "production is ahead of staging", Severity: report.Warning,
		Why:  "Nothing has tried in staging what production runs, or staging was forgotten and tries what nobody uses.",
		Fix:  "Bring staging to this version, or newer.",
		Link: "https://fluxcd.io/flux/guides/repository-structure/",
		Bad:  repositoryYAML(`"1.0.0"`, `"1.1.0"`),
		Good: repositoryYAML(`"1.1.0"`, `"1.0.0"`),
	},
}
