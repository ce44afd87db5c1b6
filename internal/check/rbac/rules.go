package rbac

import "lumacore.dev/lumacore/internal/report"

const (
	practices = "https://kubernetes.io/docs/concepts/security/rbac-good-practices/"
	reference = "https://kubernetes.io/docs/reference/access-authn-authz/rbac/"
)

const (
	fixRole  = "Name what is really used; where that is all of it, say so with a reason and a day in check.rbac.limits of lumacore.yaml. Of a chart: look for a value that makes it less (often rbac or namespaced)."
	fixScope = "Bind the role with a RoleBinding in each namespace that it is for, or name what is used in resourceNames; where it must be all, say so with a reason and a day in check.rbac.limits of lumacore.yaml."
)

var rules = []report.Rule{
	{
		ID: "rbac/wildcard", Title: "a role with * opens more than anybody listed", Severity: report.Warning,
		Why:  "* is all that there is and all that will be: also the resources of the next chart and the next version of Kubernetes, and in the core group the Secrets. On all resources of all groups it is cluster-admin by another name.",
		Fix:  fixRole,
		Link: practices + "#least-privilege",
		Bad:  held("[{apiGroups: [\"*\"], resources: [\"*\"], verbs: [\"*\"]}]"),
		Good: held("[{apiGroups: [apps], resources: [deployments], verbs: [get, list, watch]}]"),
	},
	{
		ID: "rbac/cluster-admin", Title: "a binding to cluster-admin", Severity: report.Warning,
		Why:  "Whoever it names can do everything, and so can whoever runs a pod as that service account or reads its token. Flux needs it where it applies everything as itself.",
		Fix:  "Write a role with what is needed; where that is everything, say so with a reason and a day in check.rbac.limits of lumacore.yaml.",
		Link: practices + "#least-privilege",
		Bad:  binding("ClusterRole", "cluster-admin", "{kind: ServiceAccount, name: app, namespace: app}"),
		Good: binding("ClusterRole", "view", "{kind: ServiceAccount, name: app, namespace: app}"),
	},
	{
		ID: "rbac/everybody", Title: "rights for everybody", Severity: report.Error,
		Why:  "system:authenticated is everybody with any account, system:serviceaccounts every pod, system:unauthenticated and system:anonymous whoever reaches the API server: what they may do, an intruder may do at once.",
		Fix:  "Bind the role to the users, groups or service accounts that need it.",
		Link: practices + "#least-privilege",
		Bad:  binding("ClusterRole", "edit", "{kind: Group, name: \"system:authenticated\"}"),
		Good: binding("ClusterRole", "view", "{kind: Group, name: \"home:family\"}"),
	},
	{
		ID: "rbac/escalate", Title: "escalate or bind on roles", Severity: report.Warning,
		Why:  "The API server lets nobody give a right that they do not have, except for those with these verbs: they can give themselves everything.",
		Fix:  fixRole,
		Link: practices + "#escalate-verb",
		Bad:  held("[{apiGroups: [rbac.authorization.k8s.io], resources: [clusterroles], verbs: [escalate, bind]}]"),
		Good: held("[{apiGroups: [rbac.authorization.k8s.io], resources: [clusterroles], verbs: [get, list]}]"),
	},
	{
		ID: "rbac/impersonate", Title: "impersonation", Severity: report.Warning,
		Why:  "Whoever impersonates somebody has all their rights; without resourceNames that is anybody, members of system:masters included.",
		Fix:  "Name in resourceNames who may be impersonated.",
		Link: practices + "#impersonate-verb",
		Bad:  held("[{apiGroups: [\"\"], resources: [users, groups], verbs: [impersonate]}]"),
		Good: held("[{apiGroups: [\"\"], resources: [users], verbs: [get]}]"),
	},
	{
		ID: "rbac/secrets-cluster-wide", Title: "Secrets of all namespaces can be read", Severity: report.Warning,
		Why:  "list and watch show the content as get does. Among the Secrets of a cluster are mostly the keys to all the rest: registries, backups, DNS, the Git repository.",
		Fix:  fixScope,
		Link: practices + "#listing-secrets",
		Bad:  held("[{apiGroups: [\"\"], resources: [secrets], verbs: [list]}]"),
		Good: held("[{apiGroups: [\"\"], resources: [secrets], verbs: [get], resourceNames: [app-token]}]"),
	},
	{
		ID: "rbac/workloads-cluster-wide", Title: "pods can be run in all namespaces", Severity: report.Warning,
		Why:  "Who creates a pod, or something that makes pods, chooses the service account that it runs as and the Secrets that it mounts: in all namespaces that is every right that any pod has.",
		Fix:  fixScope,
		Link: practices + "#workload-creation",
		Bad:  held("[{apiGroups: [apps], resources: [deployments], verbs: [create]}]"),
		Good: held("[{apiGroups: [apps], resources: [deployments], verbs: [get, list]}]"),
	},
	{
		ID: "rbac/exec-cluster-wide", Title: "commands can be run in the pods of all namespaces", Severity: report.Warning,
		Why:  "A command in a pod has all that the pod has: its token, its Secrets, its volumes, its network.",
		Fix:  fixScope,
		Link: "https://microsoft.github.io/Threat-Matrix-for-Kubernetes/techniques/Exec%20into%20container/",
		Bad:  held("[{apiGroups: [\"\"], resources: [pods/exec], verbs: [create]}]"),
		Good: held("[{apiGroups: [\"\"], resources: [pods/log], verbs: [get]}]"),
	},
	{
		ID: "rbac/token-requests", Title: "tokens of all service accounts can be made", Severity: report.Warning,
		Why:  "A token is the service account: whoever can make one for any account has the rights of all.",
		Fix:  "Name the service accounts in resourceNames, or bind the role in their namespace only. Flux's controllers ask for tokens to reach cloud providers and to act as other accounts.",
		Link: practices + "#token-request",
		Bad:  held("[{apiGroups: [\"\"], resources: [serviceaccounts/token], verbs: [create]}]"),
		Good: held("[{apiGroups: [\"\"], resources: [serviceaccounts/token], verbs: [create], resourceNames: [app]}]"),
	},
	{
		ID: "rbac/nodes-proxy", Title: "kubelets can be reached through the API server", Severity: report.Warning,
		Why:  "The kubelet's API runs commands in every pod of the node, past admission and past the audit log; get is enough for that.",
		Fix:  "For metrics, allow nodes/metrics and nodes/stats instead.",
		Link: practices + "#access-to-proxy-subresource-of-nodes",
		Bad:  held("[{apiGroups: [\"\"], resources: [nodes/proxy], verbs: [get]}]"),
		Good: held("[{apiGroups: [\"\"], resources: [nodes/metrics], verbs: [get]}]"),
	},
	{
		ID: "rbac/admission-webhooks", Title: "admission can be changed", Severity: report.Warning,
		Why:  "A webhook sees every object that is written, Secrets too, and a mutating one changes it.",
		Fix:  "Name the configurations in resourceNames; create cannot be limited so, and should not be needed.",
		Link: practices + "#control-admission-webhooks",
		Bad:  held("[{apiGroups: [admissionregistration.k8s.io], resources: [mutatingwebhookconfigurations], verbs: [patch]}]"),
		Good: held("[{apiGroups: [admissionregistration.k8s.io], resources: [mutatingwebhookconfigurations], verbs: [patch], resourceNames: [app]}]"),
	},
	{
		ID: "rbac/certificate-approval", Title: "certificates for anybody can be approved", Severity: report.Warning,
		Why:  "The API server takes a client certificate for the user that it names. Whoever may approve requests for all signers, or for kubernetes.io/kube-apiserver-client, can have one for any user.",
		Fix:  "Name the signers in resourceNames of a rule for signers with the verb approve, and leave kubernetes.io/kube-apiserver-client out of them.",
		Link: practices + "#csrs-and-certificate-issuing",
		Bad:  held("[{apiGroups: [certificates.k8s.io], resources: [signers], verbs: [approve]}]"),
		Good: held("[{apiGroups: [certificates.k8s.io], resources: [signers], verbs: [approve], resourceNames: [kubernetes.io/kubelet-serving]}]"),
	},
	{
		ID: "rbac/persistent-volumes", Title: "volumes can be made of any folder of a node", Severity: report.Warning,
		Why:  "A PersistentVolume of type hostPath gives a pod the node's files, also where Pod Security forbids hostPath in pods. Storage drivers need it; nobody else does.",
		Fix:  fixRole,
		Link: practices + "#persistent-volume-creation",
		Bad:  held("[{apiGroups: [\"\"], resources: [persistentvolumes], verbs: [create]}]"),
		Good: held("[{apiGroups: [\"\"], resources: [persistentvolumeclaims], verbs: [create]}]"),
	},
	{
		ID: "rbac/namespaces", Title: "labels of all namespaces can be changed", Severity: report.Warning,
		Why:  "Pod Security, network policies and admission policies hold by the labels of namespaces: who changes the labels takes a namespace out of them.",
		Fix:  "Name the namespaces in resourceNames.",
		Link: practices + "#namespace-modification",
		Bad:  held("[{apiGroups: [\"\"], resources: [namespaces], verbs: [patch]}]"),
		Good: held("[{apiGroups: [\"\"], resources: [namespaces], verbs: [get]}]"),
	},
	{
		ID: "rbac/limit-exceeded", Title: "a right beyond the limit", Severity: report.Error,
		Why:  "check.rbac.limits says what this role or subject may do at most, and something gives it more: a rule that was added, a binding, or a role that joined an aggregated one.",
		Fix:  "Take the right away, or, if it is meant, add it to the entry in check.rbac.limits of lumacore.yaml.",
		Link: reference + "#referring-to-resources",
		Bad:  limited("app", "[get, list]", "2027-01-31") + held("[{apiGroups: [\"\"], resources: [configmaps], verbs: [get, list, delete]}]"),
		Good: limited("app", "[get, list]", "2027-01-31") + held("[{apiGroups: [\"\"], resources: [configmaps], verbs: [get, list]}]"),
	},
	{
		ID: "rbac/limit-expired", Title: "a limit whose review is overdue", Severity: report.Error,
		Why:  "An entry holds until its review, so that it does not outlive its reason.",
		Fix:  "Look whether all of it is still needed, and set a new day in review.",
		Link: reference,
		Bad:  limited("app", "[get, list]", "2026-01-31") + held("[{apiGroups: [\"\"], resources: [configmaps], verbs: [get, list]}]"),
		Good: limited("app", "[get, list]", "2027-01-31") + held("[{apiGroups: [\"\"], resources: [configmaps], verbs: [get, list]}]"),
	},
	{
		ID: "rbac/limit-unused", Title: "a limit of what is not there", Severity: report.Warning,
		Why:  "It would let the next role or account of that name have what nobody looked at. Or the name is wrong, and who is meant has no limit.",
		Fix:  "Correct the name, or delete the entry from check.rbac.limits in lumacore.yaml.",
		Link: reference,
		Bad:  limited("gone", "[get, list]", "2027-01-31") + held("[{apiGroups: [\"\"], resources: [configmaps], verbs: [get, list]}]"),
		Good: limited("app", "[get, list]", "2027-01-31") + held("[{apiGroups: [\"\"], resources: [configmaps], verbs: [get, list]}]"),
	},
	{
		ID: "rbac/limit-too-broad", Title: "a limit that allows more than there is", Severity: report.Warning,
		Why:  "The right could be added and nobody would be asked.",
		Fix:  "Take it out of the entry.",
		Link: reference,
		Bad:  limited("app", "[get, list, delete]", "2027-01-31") + held("[{apiGroups: [\"\"], resources: [configmaps], verbs: [get, list]}]"),
		Good: limited("app", "[get, list]", "2027-01-31") + held("[{apiGroups: [\"\"], resources: [configmaps], verbs: [get, list]}]"),
	},
}
