package rbac

import (
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// aggregateTo begins the labels by which ClusterRoles join those of Kubernetes.
const aggregateTo = "rbac.authorization.k8s.io/aggregate-to-"

const (
	read  = "get list watch"
	write = "create delete deletecollection patch update"
)

// builtin returns the ClusterRoles that every API server makes and that repositories
// bind, as of Kubernetes 1.36 with all its APIs on
// (https://kubernetes.io/docs/reference/access-authn-authz/rbac/#default-roles-and-role-bindings).
// Of what else Kubernetes makes, its controllers and nodes are the only holders.
func builtin() []*role {
	return []*role{
		made("cluster-admin", "", of("*", "*", "*"), url("*", "*")),
		aggregated("admin", ""),
		aggregated("edit", "admin"),
		aggregated("view", "edit"),
		made("system:aggregate-to-admin", "admin",
			of("authorization.k8s.io", "localsubjectaccessreviews", "create"),
			of("rbac.authorization.k8s.io", "rolebindings roles", read+" "+write)),
		made("system:aggregate-to-edit", "edit",
			of("core", "pods/attach pods/exec pods/portforward pods/proxy secrets services/proxy", read),
			of("core", "serviceaccounts", "impersonate"),
			of("core", "pods pods/attach pods/exec pods/portforward pods/proxy", write),
			of("core", "pods/eviction serviceaccounts/token", "create"),
			of("core", "configmaps persistentvolumeclaims replicationcontrollers replicationcontrollers/scale secrets serviceaccounts services services/proxy", write),
			of("core events.k8s.io", "events", write),
			of("apps", "daemonsets deployments deployments/rollback deployments/scale replicasets replicasets/scale statefulsets statefulsets/scale", write),
			of("autoscaling", "horizontalpodautoscalers", write),
			of("batch", "cronjobs jobs", write),
			of("extensions", "daemonsets deployments deployments/rollback deployments/scale ingresses networkpolicies replicasets replicasets/scale replicationcontrollers/scale", write),
			of("policy", "poddisruptionbudgets", write),
			of("networking.k8s.io", "ingresses networkpolicies", write),
			of("coordination.k8s.io", "leases", read+" "+write),
			of("resource.k8s.io", "resourceclaims resourceclaimtemplates", write)),
		made("system:aggregate-to-view", "view",
			of("core", "configmaps endpoints persistentvolumeclaims persistentvolumeclaims/status pods replicationcontrollers replicationcontrollers/scale serviceaccounts services services/status", read),
			of("core", "bindings limitranges namespaces namespaces/status pods/log pods/status replicationcontrollers/status resourcequotas resourcequotas/status", read),
			of("core events.k8s.io", "events", read),
			of("discovery.k8s.io", "endpointslices", read),
			of("apps", "controllerrevisions daemonsets daemonsets/status deployments deployments/scale deployments/status replicasets replicasets/scale replicasets/status statefulsets statefulsets/scale statefulsets/status", read),
			of("autoscaling", "horizontalpodautoscalers horizontalpodautoscalers/status", read),
			of("batch", "cronjobs cronjobs/status jobs jobs/status", read),
			of("extensions", "daemonsets daemonsets/status deployments deployments/scale deployments/status ingresses ingresses/status networkpolicies replicasets replicasets/scale replicasets/status replicationcontrollers/scale", read),
			of("policy", "poddisruptionbudgets poddisruptionbudgets/status", read),
			of("networking.k8s.io", "ingresses ingresses/status networkpolicies", read),
			of("resource.k8s.io", "resourceclaims resourceclaims/status resourceclaimtemplates", read)),
		made("system:auth-delegator", "",
			of("authentication.k8s.io", "tokenreviews", "create"),
			of("authorization.k8s.io", "subjectaccessreviews", "create")),
		made("system:basic-user", "",
			of("authorization.k8s.io", "selfsubjectaccessreviews selfsubjectrulesreviews", "create"),
			of("authentication.k8s.io", "selfsubjectreviews", "create")),
		made("system:discovery", "", url("/api /api/* /apis /apis/* /healthz /livez /openapi /openapi/* /readyz /version /version/", "get")),
		made("system:public-info-viewer", "", url("/healthz /livez /readyz /version /version/", "get")),
		made("system:service-account-issuer-discovery", "",
			url("/.well-known/openid-configuration /.well-known/openid-configuration/ /openid/v1/jwks /openid/v1/jwks/", "get")),
	}
}

// forEverybody are the ClusterRoles that Kubernetes itself gives to everybody.
var forEverybody = map[string]bool{
	"system:basic-user": true, "system:discovery": true, "system:public-info-viewer": true, "system:service-account-issuer-discovery": true,
}

func made(name, joins string, rules ...rbacv1.PolicyRule) *role {
	r := &role{key: clusterRole(name), rules: rules}
	if joins != "" {
		r.labels = map[string]string{aggregateTo + joins: "true"}
	}
	return r
}

func aggregated(name, joins string) *role {
	r := made(name, joins)
	r.selectors = []metav1.LabelSelector{{MatchLabels: map[string]string{aggregateTo + name: "true"}}}
	return r
}

// of is a rule; the core group, whose name is empty, is written "core".
func of(groups, resources, verbs string) rbacv1.PolicyRule {
	r := rbacv1.PolicyRule{Resources: strings.Fields(resources), Verbs: strings.Fields(verbs)}
	for _, g := range strings.Fields(groups) {
		if g == "core" {
			g = ""
		}
		r.APIGroups = append(r.APIGroups, g)
	}
	return r
}

func url(urls, verbs string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{NonResourceURLs: strings.Fields(urls), Verbs: strings.Fields(verbs)}
}
