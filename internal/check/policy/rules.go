package policy

import "lumacore.dev/lumacore/internal/report"

const (
	aboutConstraints = "https://open-policy-agent.github.io/gatekeeper/website/docs/howto/"
	aboutActions     = "https://open-policy-agent.github.io/gatekeeper/website/docs/violations/"
	aboutData        = "https://open-policy-agent.github.io/gatekeeper/website/docs/externaldata/"
	aboutAdmission   = "https://kubernetes.io/docs/reference/access-authn-authz/validating-admission-policy/"
)

const fixObject = "Change the object so that the policy allows it (a chart's objects: in the HelmRelease's values), or the policy if it asks for too much."

var rules = []report.Rule{
	{
		ID: "policy/denied", Title: "objects that an admission policy of the repository denies", Severity: report.Error,
		Why:  "The API server refuses the object when Flux applies it, and Flux applies nothing of its Kustomization or HelmRelease. A workload whose pods are denied is stored, and its pods never come.",
		Fix:  fixObject,
		Link: aboutConstraints,
		Bad:  policyTemplate + policyConstraint("deny") + pod("latest"),
		Good: policyTemplate + policyConstraint("deny") + pod("1.2.3"),
	},
	{
		ID: "policy/warned", Title: "objects that an admission policy warns of", Severity: report.Warning,
		Why:  "Whoever applies the object is warned; Flux logs it and goes on. It is denied on the day on which the policy is enforced.",
		Fix:  fixObject,
		Link: aboutActions,
		Bad:  policyTemplate + policyConstraint("warn") + pod("latest"),
		Good: policyTemplate + policyConstraint("warn") + pod("1.2.3"),
	},
	{
		ID: "policy/reported", Title: "objects that an admission policy would deny if it were enforced", Severity: report.Info,
		Why:  "The constraint only observes (dryrun, or audit alone), so that the object is admitted and stands in the audit's results.",
		Fix:  fixObject,
		Link: aboutActions,
		Bad:  policyTemplate + policyConstraint("dryrun") + pod("latest"),
		Good: policyTemplate + policyConstraint("dryrun") + pod("1.2.3"),
	},
	{
		ID: "policy/template-invalid", Title: "a policy that does not compile", Severity: report.Error,
		Why:  "Gatekeeper refuses a template in Rego that does not compile, and one in CEL refuses every object that its constraints are about. The API server refuses a ValidatingAdmissionPolicy whose expressions do not compile.",
		Fix:  "Correct what the message names; `gator verify` and a suite beside the template show whether it does what it should.",
		Link: aboutConstraints,
		Bad:  broken,
		Good: policyTemplate,
	},
	{
		ID: "policy/constraint-invalid", Title: "a constraint that Gatekeeper refuses", Severity: report.Error,
		Why:  "Its match or its parameters are not what Gatekeeper or its template take. It is refused, and holds against nothing.",
		Fix:  "Correct what the message names.",
		Link: aboutConstraints,
		Bad:  policyTemplate + policyConstraint("deny", `    labelSelector: {matchExpressions: [{key: app, operator: Is, values: [web]}]}`),
		Good: policyTemplate + policyConstraint("deny", `    labelSelector: {matchExpressions: [{key: app, operator: In, values: [web]}]}`),
	},
	{
		ID: "policy/unbound", Title: "a ValidatingAdmissionPolicy without a binding", Severity: report.Warning,
		Why:  "A policy says what is right, a binding where it holds. Without one it is never evaluated.",
		Fix:  "Add a ValidatingAdmissionPolicyBinding with its name in spec.policyName.",
		Link: aboutAdmission,
		Bad:  admissionPolicy,
		Good: admissionPolicy + binding,
	},
	{
		ID: "policy/answers-invalid", Title: "recorded answers of an external data provider that cannot be read", Severity: report.Error,
		Why:  "Policies that ask the provider cannot be evaluated.",
		Fix:  "Write the file as a list of mappings with key and either value or error.",
		Link: aboutData,
		Bad:  "-- lumacore.yaml --\n" + answered + "-- answers.yaml --\n- ghcr.io/example/web:1.0.0\n-- cluster/provider.yaml --\n" + provider + policyTemplate + policyConstraint("deny"),
		Good: "-- lumacore.yaml --\n" + answered + "-- answers.yaml --\n- key: ghcr.io/example/web:1.0.0\n  value: signed\n-- cluster/provider.yaml --\n" + provider + policyTemplate + policyConstraint("deny"),
	},
}

// The parts of the examples.
const (
	head = `apiVersion: templates.gatekeeper.sh/v1
kind: ConstraintTemplate
metadata:
  name: fixedtags
spec:
  crd:
    spec:
      names:
        kind: FixedTags
  targets:
    - target: admission.k8s.gatekeeper.sh
      code:
        - engine: K8sNativeValidation
          source:
            validations:
`
	policyTemplate = head + `              - expression: "!variables.anyObject.spec.containers.exists(c, c.image.endsWith(':latest'))"
                message: an image has the tag latest
---
`
	broken = head + `              - expression: "variables.anyObject.spec.containers.exists(c"
                message: an image has the tag latest
---
`
	admissionPolicy = `apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata:
  name: fixed-tags
spec:
  matchConstraints:
    resourceRules:
      - apiGroups: [""]
        apiVersions: [v1]
        operations: [CREATE, UPDATE]
        resources: [pods]
  validations:
    - expression: "!object.spec.containers.exists(c, c.image.endsWith(':latest'))"
      message: an image has the tag latest
---
`
	binding = `apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata:
  name: fixed-tags
spec:
  policyName: fixed-tags
  validationActions: [Deny]
---
`
	answered = `apiVersion: lumacore.dev/v1alpha1
kind: Config
check:
  policy:
    providers:
      - name: signatures
        answers: answers.yaml
`
	provider = `apiVersion: externaldata.gatekeeper.sh/v1beta1
kind: Provider
metadata:
  name: signatures
spec:
  url: https://verifier.lumacore-system:8443/verify
  timeout: 3
---
`
)

func policyConstraint(action string, match ...string) string {
	s := `apiVersion: constraints.gatekeeper.sh/v1beta1
kind: FixedTags
metadata:
  name: fixed-tags
spec:
  enforcementAction: ` + action + `
  match:
    kinds:
      - apiGroups: [""]
        kinds: [Pod]
`
	for _, m := range match {
		s += m + "\n"
	}
	return s + "---\n"
}

func pod(tag string) string {
	return `apiVersion: v1
kind: Namespace
metadata:
  name: app
---
apiVersion: v1
kind: Pod
metadata:
  name: web
  namespace: app
spec:
  containers:
    - name: web
      image: ghcr.io/example/web:` + tag + `
`
}
