package network

import "lumacore.dev/lumacore/internal/report"

const (
	aboutPolicies   = "https://kubernetes.io/docs/concepts/services-networking/network-policies/"
	aboutDeny       = "https://kubernetes.io/docs/concepts/services-networking/network-policies/#default-policies"
	aboutAssertions = "https://kubernetes.io/docs/concepts/services-networking/network-policies/#networkpolicy-resource"
)

var rules = []report.Rule{
	{
		ID: "network/no-default-deny", Title: "a namespace in which a new pod is open to everybody", Severity: report.Warning,
		Why:  "A pod that no NetworkPolicy selects can be reached from the whole cluster and can reach everything, the internet included. A policy for all pods of the namespace makes what is not allowed denied, for the pods of tomorrow too.",
		Fix:  "Add a NetworkPolicy with podSelector: {} and policyTypes: [Ingress, Egress] to the namespace, and policies for what its pods need, DNS first.",
		Link: aboutDeny,
		Bad:  namespaceAndPod,
		Good: namespaceAndPod + deny,
	},
	{
		ID: "network/assertion-failed", Title: "a promise of network.assert.yaml that the policies do not keep", Severity: report.Error,
		Why:  "Traffic passes that must not, or traffic that an app needs does not. The message has a pair of pods and a port that disprove the promise, and the policies responsible.",
		Fix:  "Change the policy that is named; or the assertion, if it promises too much.",
		Link: aboutAssertions,
		Bad:  "-- network.assert.yaml --\n" + promise + "-- cluster/objects.yaml --\n" + namespaceAndPod,
		Good: "-- network.assert.yaml --\n" + promise + "-- cluster/objects.yaml --\n" + namespaceAndPod + deny,
	},
	{
		ID: "network/assertion-invalid", Title: "an assertion that cannot be read", Severity: report.Error,
		Why:  "Nothing is proven by it.",
		Fix:  "Write it as docs/reference/network-assertions.md of LumaCore shows.",
		Link: aboutPolicies,
		Bad:  "-- network.assert.yaml --\n" + misspelt + "-- cluster/objects.yaml --\n" + namespaceAndPod + deny,
		Good: "-- network.assert.yaml --\n" + promise + "-- cluster/objects.yaml --\n" + namespaceAndPod + deny,
	},
	{
		ID: "network/assertion-empty", Title: "an assertion that is about nothing", Severity: report.Error,
		Why:  "What it selects is not in the repository: a name may have changed, and what the assertion was to prove is not proven any more.",
		Fix:  "Select pods that there are; for pods that the repository does not make use assume.",
		Link: aboutPolicies,
		Bad:  "-- network.assert.yaml --\n" + elsewhere + "-- cluster/objects.yaml --\n" + namespaceAndPod + deny,
		Good: "-- network.assert.yaml --\n" + promise + "-- cluster/objects.yaml --\n" + namespaceAndPod + deny,
	},
}

// The parts of the examples.
const (
	namespaceAndPod = `apiVersion: v1
kind: Namespace
metadata:
  name: app
---
apiVersion: v1
kind: Pod
metadata:
  name: web
  namespace: app
  labels:
    app: web
spec:
  containers:
    - name: web
      image: ghcr.io/example/web:1.2.3
---
`
	deny = `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: default-deny
  namespace: app
spec:
  podSelector: {}
  policyTypes: [Ingress, Egress]
`
	top = `apiVersion: lumacore.dev/v1alpha1
kind: NetworkAssertions
assertions:
  - name: nothing leaves the namespace
`
	promise = top + `    deny:
      from: {namespace: app}
      to: {cidr: internet}
`
	misspelt = top + `    denied:
      from: {namespace: app}
      to: {cidr: internet}
`
	elsewhere = top + `    deny:
      from: {namespace: apps}
      to: {cidr: internet}
`
)
