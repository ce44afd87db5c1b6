package podsecurity

import "lumacore.dev/lumacore/internal/report"

const (
	standards = "https://kubernetes.io/docs/concepts/security/pod-security-standards/"
	admission = "https://kubernetes.io/docs/concepts/security/pod-security-admission/"
	labelling = "https://kubernetes.io/docs/tasks/configure-pod-container/enforce-standards-namespace-labels/"
)

const fixPod = "Set in the pod's or container's securityContext what the message names (a chart's objects: in the HelmRelease's values); if it truly needs more, move it to a namespace that is held to less."

var rules = []report.Rule{
	{
		ID: "podsecurity/rejected", Title: "pods that the API server will refuse", Severity: report.Error,
		Why:  "The namespace enforces a Pod Security Standard that the pod violates. A Pod is refused when Flux applies it; a workload is stored, Flux waits for it, and its pods never come.",
		Fix:  fixPod,
		Link: standards,
		Bad:  namespaceYAML("enforce: restricted") + deploymentYAML("{}"),
		Good: namespaceYAML("enforce: restricted") + deploymentYAML(restrictedContext),
	},
	{
		ID: "podsecurity/warned", Title: "pods that violate the standard a namespace warns about", Severity: report.Warning,
		Why:  "They run today, and will be refused on the day on which the namespace enforces what it warns about.",
		Fix:  fixPod,
		Link: standards,
		Bad:  namespaceYAML("warn: restricted") + deploymentYAML("{}"),
		Good: namespaceYAML("warn: restricted") + deploymentYAML(restrictedContext),
	},
	{
		ID: "podsecurity/audited", Title: "pods that violate the standard a namespace audits", Severity: report.Info,
		Why:  "Each of them puts an annotation into the API server's audit log, and nobody who applies it hears of it.",
		Fix:  fixPod,
		Link: standards,
		Bad:  namespaceYAML("audit: restricted") + deploymentYAML("{}"),
		Good: namespaceYAML("audit: restricted") + deploymentYAML(restrictedContext),
	},
	{
		ID: "podsecurity/invalid-label", Title: "a Pod Security label that says nothing", Severity: report.Error,
		Why:  "The API server refuses a namespace whose label has a value that it does not know, and ignores a label whose name it does not know: the namespace is then not held to anything.",
		Fix:  "Use enforce, warn or audit with privileged, baseline or restricted, and with -version after it \"latest\" or \"v1.36\", each in quotes where YAML needs them.",
		Link: labelling,
		Bad:  namespaceYAML("enforce: restrictive"),
		Good: namespaceYAML("enforce: restricted"),
	},
	{
		ID: "podsecurity/undocumented-exemption", Title: "a namespace below \"restricted\" that the register does not explain", Severity: report.Error,
		Why:  "There is a register of exemptions, so what is not in it was not agreed on. Without the label enforce a namespace allows privileged pods.",
		Fix:  "Label the namespace pod-security.kubernetes.io/enforce: restricted, or add an entry with reason and control to check.podSecurity.exemptions in lumacore.yaml.",
		Link: admission,
		Bad:  registerYAML("") + namespaceYAML("enforce: baseline"),
		Good: registerYAML("app baseline 2027-01-31") + namespaceYAML("enforce: baseline"),
	},
	{
		ID: "podsecurity/exemption-expired", Title: "an exemption whose review is overdue", Severity: report.Error,
		Why:  "An exemption holds until its review, so that it does not outlive its reason.",
		Fix:  "Look whether the namespace can be restricted now; if not, write down why not and set a new day in review.",
		Link: admission,
		Bad:  registerYAML("app baseline 2026-01-31") + namespaceYAML("enforce: baseline"),
		Good: registerYAML("app baseline 2027-01-31") + namespaceYAML("enforce: baseline"),
	},
	{
		ID: "podsecurity/exemption-unused", Title: "an exemption of a namespace that needs none", Severity: report.Warning,
		Why:  "It would let the next namespace of that name be weaker without a word.",
		Fix:  "Delete the entry from check.podSecurity.exemptions in lumacore.yaml.",
		Link: admission,
		Bad:  registerYAML("app baseline 2027-01-31") + namespaceYAML("enforce: restricted"),
		Good: registerYAML("") + namespaceYAML("enforce: restricted"),
	},
	{
		ID: "podsecurity/exemption-too-broad", Title: "an exemption that allows more than the namespace does", Severity: report.Warning,
		Why:  "The namespace could be weakened to the level of the entry and nobody would be asked.",
		Fix:  "Set the entry's level to what the namespace enforces.",
		Link: admission,
		Bad:  registerYAML("app privileged 2027-01-31") + namespaceYAML("enforce: baseline"),
		Good: registerYAML("app baseline 2027-01-31") + namespaceYAML("enforce: baseline"),
	},
}
