package references

import (
	"k8s.io/apimachinery/pkg/runtime/schema"

	"lumacore.dev/lumacore/internal/report"
)

// ruleOf returns the rule that is broken when an object of a kind is missing.
func ruleOf(gk schema.GroupKind) string {
	if rule, ok := missing[gk]; ok {
		return "references/missing-" + rule
	}
	if gk.Group == sourceGroup {
		return "references/missing-source"
	}
	return "references/missing-target"
}

var missing = map[schema.GroupKind]string{
	secret: "secret", configMap: "configmap", serviceAccount: "serviceaccount", claim: "pvc", service: "service",
	namespace: "namespace", role: "role", clusterRole: "role", middleware: "middleware", middlewareTCP: "middleware",
	storageClass: "class", ingressClass: "class", gatewayClass: "class", priorityClass: "class", runtimeClass: "class",
	vap: "policy", mutatingPolicy: "policy", kind("templates.gatekeeper.sh", "ConstraintTemplate"): "policy",
	kind(kustomizeGroup, "Kustomization"): "dependency", kind(helmGroup, "HelmRelease"): "dependency",
	kind("cert-manager.io", "Issuer"): "issuer", kind("cert-manager.io", "ClusterIssuer"): "issuer",
}

// pod begins the examples of what pods need.
const pod = `apiVersion: v1
kind: Pod
metadata: {name: web, namespace: default}
spec:
  containers:
    - name: web
      image: registry.example/web:1.0.0
      ports: [{name: http, containerPort: 8080}]
`

// web is a Service with pods, for examples of what leads to it.
const web = `apiVersion: v1
kind: Service
metadata: {name: web, namespace: default}
spec:
  selector: {app: web}
  ports: [{name: http, port: 80, targetPort: http}]
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: default, labels: {app: web}}
spec:
  containers:
    - name: web
      image: registry.example/web:1.0.0
      ports: [{name: http, containerPort: 8080}]
---
`

const (
	ingress = `apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web, namespace: default}
spec:
  defaultBackend:
    service:
`
	ingressRoute = `apiVersion: traefik.io/v1alpha1
kind: IngressRoute
metadata: {name: web, namespace: default}
spec:
  routes:
    - kind: Rule
      match: Host(` + "`web.example`" + `)
      services: [{name: web, port: http}]
`
	alert = `apiVersion: notification.toolkit.fluxcd.io/v1beta3
kind: Provider
metadata: {name: discord, namespace: flux-system}
spec: {type: discord, address: https://discord.example/hook}
---
apiVersion: notification.toolkit.fluxcd.io/v1beta3
kind: Alert
metadata: {name: apps, namespace: flux-system}
spec:
  providerRef: {name: discord}
`
)

var rules = []report.Rule{
	{
		ID: "references/missing-namespace", Title: "the namespace of an object does not exist", Severity: report.Error,
		Why:  "The API server refuses an object whose namespace it does not have. Flux then applies nothing of the Kustomization.",
		Fix:  "Add the Namespace to the repository, correct the name, or set install.createNamespace on the HelmRelease.",
		Link: "https://kubernetes.io/docs/concepts/overview/working-with-objects/namespaces/",
		Bad: `apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: web}
`,
		Good: `apiVersion: v1
kind: Namespace
metadata: {name: web}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: web}
`,
	},
	{
		ID: "references/missing-secret", Title: "a Secret does not exist", Severity: report.Error,
		Why:  "A pod that needs a Secret which is not there does not start; a source or route that needs one fails.",
		Fix:  "Add the Secret, or the object that makes it, to the same namespace; correct the name; or mark the reference optional.",
		Link: "https://kubernetes.io/docs/concepts/configuration/secret/#using-a-secret",
		Bad:  pod + "      envFrom: [{secretRef: {name: web-credentials}}]\n",
		Good: pod + "      envFrom: [{secretRef: {name: web-credentials, optional: true}}]\n",
	},
	{
		ID: "references/missing-configmap", Title: "a ConfigMap does not exist", Severity: report.Error,
		Why:  "A pod that needs a ConfigMap which is not there does not start.",
		Fix:  "Add the ConfigMap to the same namespace, correct the name, or mark the reference optional. Names with a hash from configMapGenerator reach only fields that kustomize knows.",
		Link: "https://kubernetes.io/docs/concepts/configuration/configmap/#using-configmaps",
		Bad:  pod + "      envFrom: [{configMapRef: {name: settings}}]\n",
		Good: pod + `      envFrom: [{configMapRef: {name: settings}}]
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: default}
data: {LOG_LEVEL: info}
`,
	},
	{
		ID: "references/missing-key", Title: "a Secret or ConfigMap does not have the key", Severity: report.Error,
		Why:  "The container is not created: CreateContainerConfigError, or a volume that is never mounted.",
		Fix:  "Correct the key, or add it to the Secret or ConfigMap.",
		Link: "https://kubernetes.io/docs/tasks/inject-data-application/distribute-credentials-secure/",
		Bad: pod + `      env: [{name: LOG_LEVEL, valueFrom: {configMapKeyRef: {name: settings, key: log-level}}}]
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: default}
data: {loglevel: info}
`,
		Good: pod + `      env: [{name: LOG_LEVEL, valueFrom: {configMapKeyRef: {name: settings, key: loglevel}}}]
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: default}
data: {loglevel: info}
`,
	},
	{
		ID: "references/missing-serviceaccount", Title: "a ServiceAccount does not exist", Severity: report.Error,
		Why:  "No pod is created for an account that is not there, Flux applies nothing as one, and a binding to one gives nobody anything.",
		Fix:  "Add the ServiceAccount to the namespace, or correct the name.",
		Link: "https://kubernetes.io/docs/concepts/security/service-accounts/",
		Bad:  pod + "  serviceAccountName: web\n",
		Good: pod + `  serviceAccountName: web
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: web, namespace: default}
`,
	},
	{
		ID: "references/missing-pvc", Title: "a PersistentVolumeClaim does not exist", Severity: report.Error,
		Why:  "A pod with a volume of a claim which is not there stays pending for ever.",
		Fix:  "Add the PersistentVolumeClaim to the namespace, or correct the name.",
		Link: "https://kubernetes.io/docs/concepts/storage/persistent-volumes/#claims-as-volumes",
		Bad:  pod + "  volumes: [{name: data, persistentVolumeClaim: {claimName: data}}]\n",
		Good: pod + `  volumes: [{name: data, persistentVolumeClaim: {claimName: data}}]
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data, namespace: default}
spec:
  accessModes: [ReadWriteOnce]
  resources: {requests: {storage: 1Gi}}
`,
	},
	{
		ID: "references/missing-service", Title: "a Service does not exist", Severity: report.Error,
		Why:  "A route to a Service which is not there answers with an error; a webhook to one refuses requests to the API server.",
		Fix:  "Correct the name or namespace of the Service, or add it.",
		Link: "https://kubernetes.io/docs/concepts/services-networking/service/",
		Bad:  web + ingress + "      name: website\n      port: {name: http}\n",
		Good: web + ingress + "      name: web\n      port: {name: http}\n",
	},
	{
		ID: "references/port-missing", Title: "a port does not exist", Severity: report.Error,
		Why:  "Nothing answers: the Service, or the pods behind it, have no port of this name or number.",
		Fix:  "Name a port that the Service or the pods have, or add it there.",
		Link: "https://kubernetes.io/docs/concepts/services-networking/service/#field-spec-ports",
		Bad:  web + ingress + "      name: web\n      port: {number: 8080}\n",
		Good: web + ingress + "      name: web\n      port: {number: 80}\n",
	},
	{
		ID: "references/port-undeclared", Title: "a Service leads to a port that its pods do not list", Severity: report.Info,
		Why:  "Pods need not list their ports, so this can be right. It is mostly a number that was changed in one place only.",
		Fix:  "Name the port in the container and use the name as targetPort.",
		Link: "https://kubernetes.io/docs/concepts/services-networking/service/#field-spec-ports",
		Bad: `apiVersion: v1
kind: Service
metadata: {name: web, namespace: default}
spec:
  selector: {app: web}
  ports: [{name: http, port: 80, targetPort: 8081}]
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: default, labels: {app: web}}
spec:
  containers:
    - name: web
      image: registry.example/web:1.0.0
      ports: [{name: http, containerPort: 8080}]
`,
		Good: web,
	},
	{
		ID: "references/service-without-pods", Title: "a Service selects no pods", Severity: report.Error,
		Why:  "The Service has no endpoints: every connection to it fails.",
		Fix:  "Make spec.selector a part of the labels of the pods (spec.template.metadata.labels of the workload).",
		Link: "https://kubernetes.io/docs/tasks/debug/debug-application/debug-service/#does-the-service-have-any-endpointslices",
		Bad: `apiVersion: v1
kind: Service
metadata: {name: web, namespace: default}
spec:
  selector: {app: website}
  ports: [{port: 80}]
`,
		Good: web,
	},
	{
		ID: "references/selector-matches-nothing", Title: "a selector matches nothing", Severity: report.Warning,
		Why:  "The object is there and does nothing: no pod is protected, let through or scraped, and nobody is told.",
		Fix:  "Make the selector a part of the labels of what it is for, or remove the object.",
		Link: "https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors",
		Bad: web + `apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: web, namespace: default}
spec:
  minAvailable: 1
  selector: {matchLabels: {app: website}}
`,
		Good: web + `apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: web, namespace: default}
spec:
  minAvailable: 1
  selector: {matchLabels: {app: web}}
`,
	},
	{
		ID: "references/missing-middleware", Title: "a Traefik Middleware does not exist", Severity: report.Error,
		Why:  "Traefik drops the whole route when one of its middlewares is not there: the app answers 404.",
		Fix:  "Correct the name or namespace of the Middleware, or add it.",
		Link: "https://doc.traefik.io/traefik/reference/routing-configuration/kubernetes/crd/http/middleware/",
		Bad:  web + ingressRoute + "      middlewares: [{name: headers}]\n",
		Good: web + ingressRoute + `      middlewares: [{name: headers}]
---
apiVersion: traefik.io/v1alpha1
kind: Middleware
metadata: {name: headers, namespace: default}
spec: {headers: {frameDeny: true}}
`,
	},
	{
		ID: "references/cross-namespace", Title: "a reference to another namespace is refused", Severity: report.Error,
		Why:  "Traefik, Flux and Gateways look into another namespace only when they are allowed to. Else the object does not work, although all it names exists.",
		Fix:  "Put both into one namespace, or allow the reference: with a ReferenceGrant, with allowedRoutes of the Gateway, with Traefik's allowCrossNamespace.",
		Link: "https://gateway-api.sigs.k8s.io/api-types/referencegrant/",
		Bad: `apiVersion: v1
kind: Namespace
metadata: {name: edge}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: web, namespace: edge}
spec:
  rules: [{backendRefs: [{name: web, namespace: default, port: 80}]}]
---
` + web,
		Good: `apiVersion: v1
kind: Namespace
metadata: {name: edge}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: web, namespace: edge}
spec:
  rules: [{backendRefs: [{name: web, namespace: default, port: 80}]}]
---
apiVersion: gateway.networking.k8s.io/v1beta1
kind: ReferenceGrant
metadata: {name: edge, namespace: default}
spec:
  from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: edge}]
  to: [{group: "", kind: Service}]
---
` + web,
	},
	{
		ID: "references/missing-role", Title: "a role does not exist", Severity: report.Error,
		Why:  "A binding to a role which is not there gives nothing: what it is for is denied everything.",
		Fix:  "Correct the name and kind of the role, or add it; a Role must be in the namespace of the RoleBinding.",
		Link: "https://kubernetes.io/docs/reference/access-authn-authz/rbac/#rolebinding-and-clusterrolebinding",
		Bad: `apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: readers, namespace: default}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: viewer}
subjects: [{kind: ServiceAccount, name: default, namespace: default}]
`,
		Good: `apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: readers, namespace: default}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}
subjects: [{kind: ServiceAccount, name: default, namespace: default}]
`,
	},
	{
		ID: "references/missing-class", Title: "a class does not exist", Severity: report.Error,
		Why:  "Pods of a priority or runtime class which is not there are refused, claims of a storage class stay pending, and no controller takes an Ingress or Gateway of a class that nobody has.",
		Fix:  "Correct the name, or add the class.",
		Link: "https://kubernetes.io/docs/concepts/scheduling-eviction/pod-priority-preemption/#pod-priority",
		Bad:  pod + "  priorityClassName: important\n",
		Good: pod + "  priorityClassName: system-cluster-critical\n",
	},
	{
		ID: "references/missing-source", Title: "a Flux source does not exist", Severity: report.Error,
		Why:  "Flux has nothing to fetch and makes no progress. (Gate render reports the sources of Kustomizations and HelmReleases.)",
		Fix:  "Correct kind, name and namespace of the source, or add it.",
		Link: "https://fluxcd.io/flux/components/source/",
		Bad: `apiVersion: source.toolkit.fluxcd.io/v1
kind: HelmChart
metadata: {name: podinfo, namespace: flux-system}
spec:
  chart: podinfo
  interval: 1h
  sourceRef: {kind: HelmRepository, name: podinfo}
`,
		Good: `apiVersion: source.toolkit.fluxcd.io/v1
kind: HelmChart
metadata: {name: podinfo, namespace: flux-system}
spec:
  chart: podinfo
  interval: 1h
  sourceRef: {kind: HelmRepository, name: podinfo}
---
apiVersion: source.toolkit.fluxcd.io/v1
kind: HelmRepository
metadata: {name: podinfo, namespace: flux-system}
spec: {interval: 1h, url: https://charts.example}
`,
	},
	{
		ID: "references/missing-dependency", Title: "a Kustomization or HelmRelease does not exist", Severity: report.Error,
		Why:  "A health check of what does not exist fails after the timeout, and an Alert for it never says anything. (Gate render reports dependsOn.)",
		Fix:  "Correct the name and the namespace, which for an Alert is its own unless it is given, or remove the entry.",
		Link: "https://fluxcd.io/flux/components/notification/alerts/#event-sources",
		Bad:  alert + "  eventSources: [{kind: HelmRelease, name: web}]\n",
		Good: alert + "  eventSources: [{kind: HelmRelease, name: \"*\"}]\n",
	},
	{
		ID: "references/missing-issuer", Title: "a cert-manager issuer does not exist", Severity: report.Error,
		Why:  "The certificate is never issued, so its Secret never comes.",
		Fix:  "Correct kind and name of issuerRef; without a kind it is an Issuer of the same namespace.",
		Link: "https://cert-manager.io/docs/usage/certificate/",
		Bad: `apiVersion: cert-manager.io/v1
kind: Certificate
metadata: {name: web, namespace: default}
spec: {secretName: web-tls, dnsNames: [web.example], issuerRef: {name: home}}
---
apiVersion: cert-manager.io/v1
kind: ClusterIssuer
metadata: {name: home}
spec: {selfSigned: {}}
`,
		Good: `apiVersion: cert-manager.io/v1
kind: Certificate
metadata: {name: web, namespace: default}
spec: {secretName: web-tls, dnsNames: [web.example], issuerRef: {kind: ClusterIssuer, name: home}}
---
apiVersion: cert-manager.io/v1
kind: ClusterIssuer
metadata: {name: home}
spec: {selfSigned: {}}
`,
	},
	{
		ID: "references/missing-policy", Title: "an admission policy does not exist", Severity: report.Error,
		Why:  "A binding of a policy which is not there enforces nothing; a Gatekeeper constraint without its template is refused.",
		Fix:  "Add the policy or template, or correct the name.",
		Link: "https://kubernetes.io/docs/reference/access-authn-authz/validating-admission-policy/",
		Bad: `apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: no-latest}
spec: {policyName: no-latest, validationActions: [Deny]}
`,
		Good: `apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: no-latest}
spec: {policyName: no-latest, validationActions: [Deny]}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: no-latest}
spec: {validations: [{expression: "true"}]}
`,
	},
	{
		ID: "references/missing-target", Title: "what an object is for does not exist", Severity: report.Error,
		Why:  "The object does nothing: there is nothing to scale, to route through, to watch or to notify.",
		Fix:  "Correct kind, name and namespace of what is named, or remove the object.",
		Link: "https://kubernetes.io/docs/concepts/workloads/autoscaling/horizontal-pod-autoscale/",
		Bad: `apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: web, namespace: default}
spec:
  maxReplicas: 3
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}
`,
		Good: `apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: web, namespace: default}
spec:
  maxReplicas: 3
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: default}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: registry.example/web:1.0.0}]}
`,
	},
}
