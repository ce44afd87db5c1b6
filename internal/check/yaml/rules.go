package yaml

import (
	"strings"

	"lumacore.dev/lumacore/internal/gitops"
	"lumacore.dev/lumacore/internal/report"
)

const configMap = `apiVersion: v1
kind: ConfigMap
metadata:
  name: example
  namespace: default
`

var rules = []report.Rule{
	{
		ID: "yaml/syntax", Title: "a file that is not YAML", Severity: report.Error,
		Why: "kustomize refuses the whole folder because of one such file, and Flux applies nothing of it until it is mended: fixes that are made meanwhile do not arrive either. " +
			"It is a warning in files that hold no Kubernetes objects, which Flux may never parse.",
		Fix:  "Correct the line. If the file is a template of another tool, exclude it in .sourceignore.",
		Link: "https://yaml.org/spec/1.2.2/",
		Bad:  configMap + "data:\n  motd: welcome: to the lab\n",
		Good: configMap + "data:\n  motd: \"welcome: to the lab\"\n",
	},
	{
		ID: "yaml/tab", Title: "a line that is indented with a tab", Severity: report.Error,
		Why:  "YAML forbids tabs as indentation because nobody agrees on their width. The parser's own message for it (\"found character that cannot start any token\") leads nowhere, and an editor shows nothing.",
		Fix:  "Indent the line with spaces; an .editorconfig with indent_style = space keeps it so.",
		Link: "https://yaml.org/spec/1.2.2/#61-indentation-spaces",
		Bad:  configMap + "data:\n\tmotd: welcome\n",
		Good: configMap + "data:\n  motd: welcome\n",
	},
	{
		ID: "yaml/duplicate-key", Title: "a mapping that has a key twice", Severity: report.Error,
		Why:  "Some parsers take the last value, some the first; Flux refuses the file. Whoever reads the other of the two believes something that does not hold.",
		Fix:  "Decide which of the two is meant, and delete the other.",
		Link: "https://yaml.org/spec/1.2.2/#3213-node-comparison",
		Bad:  configMap + "data:\n  motd: welcome\n  motd: goodbye\n",
		Good: configMap + "data:\n  motd: welcome\n",
	},
	{
		ID: "yaml/ambiguous-value", Title: "a value or key without quotes that YAML parsers read differently", Severity: report.Warning,
		Why: "Flux reads YAML with another parser than kubectl and Helm. \"enabled: no\" in the values of a HelmRelease arrives as the text \"no\", which a template takes for true; " +
			"a date becomes a time (2026-01-31 is applied as \"2026-01-31T00:00:00Z\"); and 0123 is 83 to those who still read octal numbers and 123 to the others. " +
			"The key \"on\" is \"true\" to kubectl and Helm. " +
			"File modes (mode, defaultMode) are not reported: they are octal by custom.",
		Fix:  "Write true or false for a boolean, a number without leading zeros and underscores for a number, and quotes around a text.",
		Link: "https://yaml.org/spec/1.2.2/ext/changes/",
		Bad:  release("no"),
		Good: release("false"),
	},
	{
		ID: "yaml/key-not-text", Title: "a key that is a number, a boolean, a date or nothing", Severity: report.Error,
		Why: "Keys of Kubernetes' objects are text. kubectl makes text of other keys without a word; Flux's kustomize does not, and applies nothing of the whole folder: " +
			"\"json: unsupported type: map[interface {}]interface {}\", without a file or a line.",
		Fix:  "Put the key in quotes.",
		Link: "https://yaml.org/spec/1.2.2/#1032-tag-resolution",
		Bad:  configMap + "data:\n  8080: web\n",
		Good: configMap + "data:\n  \"8080\": web\n",
	},
	{
		ID: "yaml/duplicate-object", Title: "a file that has an object twice", Severity: report.Error,
		Why:  "kustomize refuses a folder with two objects of the same kind and name (\"may not add resource with an already registered id\"). With kubectl the last one wins without a word. Patches are not reported: several may be meant for one object.",
		Fix:  "Merge the two, or give one another name.",
		Link: "https://kubernetes.io/docs/concepts/overview/working-with-objects/names/",
		Bad:  configMap + "data:\n  motd: welcome\n---\n" + configMap + "data:\n  motd: goodbye\n",
		Good: configMap + "data:\n  motd: welcome\n",
	},
	{
		ID: "yaml/orphan", Title: "Kubernetes objects that no cluster reads", Severity: report.Warning,
		Why: "It looks like part of the cluster and is not: a kustomization does not list it, or nothing refers to its folder. Either something that is believed to run does not, or it is waste that every reader has to understand. " +
			"A folder of which nothing is read is reported once. Folders with the name of tests, samples or examples, and those with a suite of policy tests, are not reported; neither are charts that a HelmRelease uses. " +
			"It is for your information only when a script, a Makefile, a Taskfile, a justfile, a helmfile or a README names the file or folder: then it may be applied by hand.",
		Fix:  "List it in the kustomization that should apply it, delete it, or exclude it in .sourceignore.",
		Link: "https://fluxcd.io/flux/components/kustomize/kustomizations/#generating-a-kustomizationyaml-file",
		Bad:  orphans("app.yaml"),
		Good: orphans("app.yaml, forgotten.yaml"),
	},
	{
		ID: "yaml/too-large", Title: "a document that is nested too deep or too large to be read", Severity: report.Error,
		Why:  "A few lines of aliases of aliases stand for billions of values, and bring down whatever expands them: the API server, Flux, or a check of a merge request from outside. Nothing that people write comes near the bounds.",
		Fix:  "Write the values out, or split the file.",
		Link: "https://en.wikipedia.org/wiki/Billion_laughs_attack",
		Bad:  configMap + "data:\n  motd: " + strings.Repeat("[", gitops.MaxDepth) + strings.Repeat("]", gitops.MaxDepth) + "\n",
		Good: configMap + "data:\n  motd: welcome\n",
	},
}

func release(enabled string) string {
	return `apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata:
  name: example
  namespace: default
spec:
  interval: 1h
  chartRef:
    kind: OCIRepository
    name: example
  values:
    ingress:
      enabled: ` + enabled + "\n"
}

func orphans(resources string) string {
	return "-- cluster/kustomization.yaml --\nresources: [" + resources + "]\n" +
		"-- cluster/app.yaml --\n" + configMap +
		"-- cluster/forgotten.yaml --\n" + strings.Replace(configMap, "example", "forgotten", 1)
}
