package schema

import "lumacore.dev/lumacore/internal/report"

// The rules of this gate.
const (
	ruleUnknown   = "schema/unknown-field"
	ruleValue     = "schema/invalid-value"
	ruleRequired  = "schema/required-field"
	ruleDuplicate = "schema/duplicate-list-entry"
	ruleCEL       = "schema/cel-rule"
	ruleKind      = "schema/unknown-kind"
	ruleServed    = "schema/version-not-served"
	ruleCRD       = "schema/invalid-crd"
	ruleName      = "schema/invalid-name"
	ruleLabel     = "schema/invalid-label"
	ruleNamespace = "schema/no-namespace"
	ruleCluster   = "schema/cluster-scoped"
	ruleSelector  = "schema/selector-mismatch"
	ruleVolume    = "schema/unknown-volume"
)

var rules = []report.Rule{
	{
		ID: ruleUnknown, Title: "the field does not exist", Severity: report.Error,
		Why:  "Flux applies objects with server-side apply, which refuses fields that the schema does not have. A misspelled field refuses the whole object, and with it the reconciliation of its Kustomization.",
		Fix:  "Correct the name or the place of the field, or remove it.",
		Link: "https://kubernetes.io/docs/reference/using-api/api-concepts/#field-validation",
		Bad:  deployment("replica: 2", ""),
		Good: deployment("replicas: 2", ""),
	},
	{
		ID: ruleValue, Title: "the value is not one that the field takes", Severity: report.Error,
		Why:  "The API server refuses the object: the type, the format, the range or the choice of values does not fit. A frequent cause is text in quotes where a number is wanted, or the other way round.",
		Fix:  "Give the field a value that it takes; the message says which.",
		Link: "https://kubernetes.io/docs/reference/kubernetes-api/",
		Bad:  deployment(`replicas: "2"`, ""),
		Good: deployment("replicas: 2", ""),
	},
	{
		ID: ruleRequired, Title: "a required field is missing", Severity: report.Error,
		Why:  "The API server refuses the object without it.",
		Fix:  "Add the field.",
		Link: "https://kubernetes.io/docs/reference/kubernetes-api/",
		Bad:  "apiVersion: v1\nkind: Service\nmetadata:\n  name: beacon\n  namespace: app-beacon\nspec:\n  selector:\n    app: beacon\n",
		Good: "apiVersion: v1\nkind: Service\nmetadata:\n  name: beacon\n  namespace: app-beacon\nspec:\n  selector:\n    app: beacon\n  ports:\n    - port: 80\n",
	},
	{
		ID: ruleDuplicate, Title: "two entries of a list have the same key", Severity: report.Error,
		Why:  "Server-side apply tells the entries of some lists apart by a key, such as the name of a container or an environment variable, and refuses lists that have the same key twice.",
		Fix:  "Remove or rename one of the entries.",
		Link: "https://kubernetes.io/docs/reference/using-api/server-side-apply/#merge-strategy",
		Bad:  deployment("", "env:\n            - name: MODE\n              value: a\n            - name: MODE\n              value: b"),
		Good: deployment("", "env:\n            - name: MODE\n              value: a\n            - name: LEVEL\n              value: b"),
	},
	{
		ID: ruleCEL, Title: "a validation rule of the CRD is broken", Severity: report.Error,
		Why:  "The CRD has rules in CEL (x-kubernetes-validations) that the API server runs on every write. It refuses an object that breaks one.",
		Fix:  "Change the fields that the message names.",
		Link: "https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#validation-rules",
		Bad:  lampCRD + "---\n" + lamp("v1", "watts: 5\n  least: 10"),
		Good: lampCRD + "---\n" + lamp("v1", "watts: 15\n  least: 10"),
	},
	{
		ID: ruleKind, Title: "there is no such kind", Severity: report.Error,
		Why:  "The API server does not know the kind in this API version, and no CRD defines it: Flux cannot apply the object.",
		Fix:  "Correct kind and apiVersion.",
		Link: "https://kubernetes.io/docs/reference/kubernetes-api/",
		Bad:  "apiVersion: apps/v1\nkind: Deploymnt\nmetadata:\n  name: beacon\n  namespace: app-beacon\n",
		Good: deployment("", ""),
	},
	{
		ID: ruleServed, Title: "the CRD does not serve the version", Severity: report.Error,
		Why:  "The CRD that this cluster installs does not have the version that the object uses, or no longer serves it. It happens when a chart is updated and the objects stay as they are.",
		Fix:  "Use a version that the CRD serves, and change the fields that differ.",
		Link: "https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definition-versioning/",
		Bad:  lampCRD + "---\n" + lamp("v1alpha1", "watts: 5"),
		Good: lampCRD + "---\n" + lamp("v1", "watts: 5"),
	},
	{
		ID: ruleCRD, Title: "the CRD is not valid", Severity: report.Error,
		Why:  "The API server refuses the CRD, and so every object of its kind.",
		Fix:  "Correct the CRD; if a chart or an operator brings it, use another version.",
		Link: "https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#specifying-a-structural-schema",
		Bad:  crd("lights"),
		Good: crd("lamps"),
	},
	{
		ID: ruleName, Title: "the name is not valid", Severity: report.Error,
		Why:  "Names are parts of host names and paths; the API server refuses those that do not follow the rules for their kind. An object without a name cannot be applied.",
		Fix:  "Use lower-case letters, digits and hyphens.",
		Link: "https://kubernetes.io/docs/concepts/overview/working-with-objects/names/",
		Bad:  "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: beacon_config\n  namespace: app-beacon\n",
		Good: "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: beacon-config\n  namespace: app-beacon\n",
	},
	{
		ID: ruleLabel, Title: "a label or annotation is not valid", Severity: report.Error,
		Why:  "The API server refuses keys and values that do not follow the syntax. Values of labels have at most 63 characters: letters, digits, hyphens, underscores, dots.",
		Fix:  "Correct the key or the value; text that no label can hold may go into an annotation.",
		Link: "https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#syntax-and-character-set",
		Bad:  "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: beacon\n  namespace: app-beacon\n  labels:\n    owner: Team A\n",
		Good: "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: beacon\n  namespace: app-beacon\n  labels:\n    owner: team-a\n",
	},
	{
		ID: ruleNamespace, Title: "the object has no namespace", Severity: report.Error,
		Why:  "Its kind lives in a namespace. Flux does not fall back to a default one, and the reconciliation of the Kustomization fails.",
		Fix:  "Set metadata.namespace, or namespace in the kustomization.yaml, or spec.targetNamespace of the Flux Kustomization.",
		Link: "https://fluxcd.io/flux/components/kustomize/kustomizations/#target-namespace",
		Bad:  "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: beacon\n",
		Good: "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: beacon\n  namespace: app-beacon\n",
	},
	{
		ID: ruleCluster, Title: "a cluster-scoped object has a namespace", Severity: report.Info,
		Why:  "The API server drops the namespace. It hides that the object is one for the whole cluster: two of the same name in two folders are the same object.",
		Fix:  "Remove metadata.namespace.",
		Link: "https://kubernetes.io/docs/concepts/overview/working-with-objects/namespaces/#not-all-objects-are-in-a-namespace",
		Bad:  "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: app-beacon\n  namespace: app-beacon\n",
		Good: "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: app-beacon\n",
	},
	{
		ID: ruleSelector, Title: "the selector does not select the workload's own pods", Severity: report.Error,
		Why:  "The API server refuses a workload whose selector does not match the labels of its pod template.",
		Fix:  "Give the pod template the labels that spec.selector asks for. The selector of a workload that exists cannot be changed.",
		Link: "https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#selector",
		Bad:  workload("lamp", "", ""),
		Good: workload("beacon", "", ""),
	},
	{
		ID: ruleVolume, Title: "a container mounts a volume that the pod does not have", Severity: report.Error,
		Why:  "The API server refuses the pod: every volumeMount names a volume of the pod.",
		Fix:  "Add the volume to spec.volumes (of a StatefulSet also spec.volumeClaimTemplates), or correct the name.",
		Link: "https://kubernetes.io/docs/concepts/storage/volumes/",
		Bad:  deployment("", "volumeMounts:\n            - name: data\n              mountPath: /data"),
		Good: deployment("", "volumeMounts:\n            - name: data\n              mountPath: /data\n      volumes:\n        - name: data\n          emptyDir: {}"),
	},
}

// deployment is a Deployment with a further field in its spec and one in its
// container.
func deployment(spec, container string) string { return workload("beacon", spec, container) }

func workload(label, spec, container string) string {
	out := "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: beacon\n  namespace: app-beacon\nspec:\n"
	if spec != "" {
		out += "  " + spec + "\n"
	}
	out += "  selector:\n    matchLabels:\n      app: beacon\n  template:\n    metadata:\n      labels:\n        app: " + label +
		"\n    spec:\n      containers:\n        - name: beacon\n          image: beacon:1\n"
	if container != "" {
		out += "          " + container + "\n"
	}
	return out
}

// crd is a CRD whose name has a plural, which must be that of its names.
func crd(plural string) string {
	return "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata:\n  name: " + plural + `.example.com
spec:
  group: example.com
  scope: Namespaced
  names:
    kind: Lamp
    listKind: LampList
    plural: lamps
    singular: lamp
  versions:
    - name: v1
      served: true
      storage: true
      schema:
        openAPIV3Schema:
          type: object
          properties:
            spec:
              type: object
              properties:
                watts:
                  type: integer
                least:
                  type: integer
              x-kubernetes-validations:
                - rule: "!has(self.least) || self.watts >= self.least"
                  message: watts must be at least least
`
}

var lampCRD = crd("lamps")

func lamp(version, spec string) string {
	return "apiVersion: example.com/" + version + "\nkind: Lamp\nmetadata:\n  name: hall\n  namespace: app-beacon\nspec:\n  " + spec + "\n"
}
