package references

import (
	"cmp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"lumacore.dev/lumacore/internal/render"
	"lumacore.dev/lumacore/internal/report"
)

// field is a place in objects of a kind that names another object.
type field struct {
	// path of the reference, "*" for every item of a list. There is either the
	// name itself, or a mapping with the name and more.
	path string
	name string           // the field of the mapping that holds the name; "name" if empty
	to   schema.GroupKind // what is named, or what is if the reference does not say
	// group is the field of the mapping that holds the group ("group", "apiGroup")
	// or the version ("apiVersion"); if set, the mapping's kind counts too.
	group string
	// apart is how a reference may lead to another namespace, which the field
	// "namespace" holds.
	apart apart
	key   bool  // the field "key" names a key of the Secret or ConfigMap
	port  bool  // the field "port" names a port of the Service
	std   int64 // the port, when "port" is left out
	soft  bool  // things go on without it: a warning
	// render: gate render reports it when it is missing, since nothing is rendered
	// then. What is left is whether the namespace may be used.
	render bool
}

// apart says when a reference may lead to another namespace.
type apart int

const (
	never     apart = iota // there is no such field
	always                 // the field is enough
	byTraefik              // if Traefik's allowCrossNamespace is set
	byGrant                // if a ReferenceGrant allows it
	byFlux                 // unless Flux runs with --no-cross-namespace-refs
)

// The groups of Flux whose kinds do not say their group when they refer to each
// other.
var fluxKinds = map[string]string{
	"Kustomization": kustomizeGroup, "HelmRelease": helmGroup,
	"GitRepository": sourceGroup, "OCIRepository": sourceGroup, "HelmRepository": sourceGroup, "HelmChart": sourceGroup,
	"Bucket": sourceGroup, "ExternalArtifact": sourceGroup,
	"ImageRepository": imageGroup, "ImagePolicy": imageGroup, "ImageUpdateAutomation": imageGroup,
	"Alert": notifyGroup, "Provider": notifyGroup, "Receiver": notifyGroup,
}

var (
	vap             = kind(admissionGroup, "ValidatingAdmissionPolicy")
	policyBinding   = kind(admissionGroup, "ValidatingAdmissionPolicyBinding")
	mutatingPolicy  = kind(admissionGroup, "MutatingAdmissionPolicy")
	mutatingBinding = kind(admissionGroup, "MutatingAdmissionPolicyBinding")
	middleware      = kind("traefik.io", "Middleware")
	middlewareTCP   = kind("traefik.io", "MiddlewareTCP")
	deployment      = kind("apps", "Deployment")
	source          = kind(sourceGroup, "GitRepository")
)

// table lists the references of each kind. Those of pods are in pods.go.
var table = map[schema.GroupKind][]field{
	// Kubernetes, https://kubernetes.io/docs/reference/generated/kubernetes-api/v1.36/
	kind("apps", "StatefulSet"): {
		{path: "spec.serviceName", to: service, soft: true},
		{path: "spec.volumeClaimTemplates.*.spec.storageClassName", to: storageClass},
	},
	claim: {
		{path: "spec.storageClassName", to: storageClass},
		{path: "spec.volumeName", to: kind("", "PersistentVolume"), soft: true},
		{path: "spec.dataSource", to: claim, group: "apiGroup"},
		{path: "spec.dataSourceRef", to: claim, group: "apiGroup", apart: byGrant},
	},
	serviceAccount: {
		{path: "imagePullSecrets.*", to: secret, soft: true},
	},
	kind("networking.k8s.io", "Ingress"): {
		{path: "spec.ingressClassName", to: ingressClass, soft: true},
		{path: "spec.tls.*", name: "secretName", to: secret, soft: true},
		{path: "spec.defaultBackend.service", to: service, port: true},
		{path: "spec.rules.*.http.paths.*.backend.service", to: service, port: true},
	},
	kind("autoscaling", "HorizontalPodAutoscaler"): {{path: "spec.scaleTargetRef", to: deployment, group: "apiVersion"}},
	kind(rbacGroup, "RoleBinding"):                 {{path: "roleRef", to: role, group: "apiGroup"}},
	kind(rbacGroup, "ClusterRoleBinding"):          {{path: "roleRef", to: clusterRole, group: "apiGroup"}},
	kind(admissionGroup, "ValidatingWebhookConfiguration"): {
		{path: "webhooks.*.clientConfig.service", to: service, apart: always, port: true, std: 443},
	},
	kind(admissionGroup, "MutatingWebhookConfiguration"): {
		{path: "webhooks.*.clientConfig.service", to: service, apart: always, port: true, std: 443},
	},
	kind("apiextensions.k8s.io", "CustomResourceDefinition"): {
		{path: "spec.conversion.webhook.clientConfig.service", to: service, apart: always, port: true, std: 443},
	},
	kind("apiregistration.k8s.io", "APIService"): {{path: "spec.service", to: service, apart: always, port: true, std: 443}},
	policyBinding:   {{path: "spec.policyName", to: vap}},
	mutatingBinding: {{path: "spec.policyName", to: mutatingPolicy}},

	// https://github.com/kubernetes/autoscaler/blob/master/vertical-pod-autoscaler/docs/api.md
	kind("autoscaling.k8s.io", "VerticalPodAutoscaler"): {{path: "spec.targetRef", to: deployment, group: "apiVersion"}},
	// https://keda.sh/docs/latest/reference/scaledobject-spec/
	kind("keda.sh", "ScaledObject"): {{path: "spec.scaleTargetRef", to: deployment, group: "apiVersion"}},

	// Traefik, https://doc.traefik.io/traefik/reference/routing-configuration/kubernetes/crd/http/ingressroute/
	kind("traefik.io", "IngressRoute"): {
		{path: "spec.routes.*.services.*", to: service, group: "-", apart: byTraefik, port: true},
		{path: "spec.routes.*.services.*", name: "serversTransport", to: kind("traefik.io", "ServersTransport")},
		{path: "spec.routes.*.middlewares.*", to: middleware, apart: byTraefik},
		{path: "spec.tls", name: "secretName", to: secret, soft: true},
		{path: "spec.tls.options", to: kind("traefik.io", "TLSOption"), apart: byTraefik},
	},
	kind("traefik.io", "IngressRouteTCP"): {
		{path: "spec.routes.*.services.*", to: service, apart: byTraefik, port: true},
		{path: "spec.routes.*.services.*", name: "serversTransport", to: kind("traefik.io", "ServersTransportTCP")},
		{path: "spec.routes.*.middlewares.*", to: middlewareTCP, apart: byTraefik},
		{path: "spec.tls", name: "secretName", to: secret, soft: true},
		{path: "spec.tls.options", to: kind("traefik.io", "TLSOption"), apart: byTraefik},
	},
	kind("traefik.io", "IngressRouteUDP"): {{path: "spec.routes.*.services.*", to: service, apart: byTraefik, port: true}},
	middleware: {
		{path: "spec.chain.middlewares.*", to: middleware, apart: byTraefik},
		{path: "spec.basicAuth.secret", to: secret},
		{path: "spec.digestAuth.secret", to: secret},
		{path: "spec.forwardAuth.tls.caSecret", to: secret},
		{path: "spec.forwardAuth.tls.certSecret", to: secret},
		{path: "spec.errors.service", to: service, group: "-", apart: byTraefik, port: true},
	},
	kind("traefik.io", "TraefikService"): {
		{path: "spec.weighted.services.*", to: service, group: "-", apart: byTraefik, port: true},
		{path: "spec.mirroring", to: service, group: "-", apart: byTraefik, port: true},
		{path: "spec.mirroring.mirrors.*", to: service, group: "-", apart: byTraefik, port: true},
	},
	kind("traefik.io", "ServersTransport"): {
		{path: "spec.rootCAsSecrets.*", to: secret},
		{path: "spec.certificatesSecrets.*", to: secret},
		{path: "spec.rootCAs.*.secret", to: secret},
		{path: "spec.rootCAs.*.configMap", to: configMap},
	},
	kind("traefik.io", "TLSOption"): {{path: "spec.clientAuth.secretNames.*", to: secret}},
	kind("traefik.io", "TLSStore"): {
		{path: "spec.defaultCertificate", name: "secretName", to: secret},
		{path: "spec.certificates.*", name: "secretName", to: secret},
	},

	// Gateway API, https://gateway-api.sigs.k8s.io/reference/spec/
	gateway: {
		{path: "spec.gatewayClassName", to: gatewayClass, soft: true},
		{path: "spec.listeners.*.tls.certificateRefs.*", to: secret, group: "group", apart: byGrant},
	},
	kind(gatewayGroup, "HTTPRoute"): append(backends,
		field{path: "spec.rules.*.filters.*.requestMirror.backendRef", to: service, group: "group", apart: byGrant, port: true},
		field{path: "spec.rules.*.filters.*.extensionRef", to: middleware, group: "group"},
	),
	kind(gatewayGroup, "GRPCRoute"): backends,
	kind(gatewayGroup, "TLSRoute"):  backends,
	kind(gatewayGroup, "TCPRoute"):  backends,
	kind(gatewayGroup, "UDPRoute"):  backends,

	// cert-manager, https://cert-manager.io/docs/reference/api-docs/
	kind("cert-manager.io", "Certificate"):   {{path: "spec.issuerRef", to: kind("cert-manager.io", "Issuer"), group: "group"}},
	kind("cert-manager.io", "Issuer"):        {{path: "spec.ca", name: "secretName", to: secret}, {path: "spec.acme.solvers.*.dns01.cloudflare.apiTokenSecretRef", to: secret, key: true}},
	kind("cert-manager.io", "ClusterIssuer"): nil, // its Secrets are in the namespace that cert-manager's flag names

	// External Secrets, https://external-secrets.io/latest/api/spec/
	kind("external-secrets.io", "ExternalSecret"): {
		{path: "spec.secretStoreRef", to: kind("external-secrets.io", "SecretStore"), group: "-"},
		{path: "spec.data.*.sourceRef.storeRef", to: kind("external-secrets.io", "SecretStore"), group: "-"},
		{path: "spec.dataFrom.*.sourceRef.storeRef", to: kind("external-secrets.io", "SecretStore"), group: "-"},
		{path: "spec.dataFrom.*.sourceRef.generatorRef", to: kind("generators.external-secrets.io", "Password"), group: "apiVersion"},
	},
	kind("external-secrets.io", "PushSecret"): {
		{path: "spec.secretStoreRefs.*", to: kind("external-secrets.io", "SecretStore"), group: "-"},
		{path: "spec.selector.secret", to: secret},
	},

	// CloudNativePG, https://cloudnative-pg.io/documentation/current/cloudnative-pg.v1/
	kind("postgresql.cnpg.io", "Cluster"): {
		{path: "spec.bootstrap.initdb.secret", to: secret},
		{path: "spec.superuserSecret", to: secret},
	},
	kind("postgresql.cnpg.io", "Pooler"):          {{path: "spec.cluster", to: kind("postgresql.cnpg.io", "Cluster")}},
	kind("postgresql.cnpg.io", "ScheduledBackup"): {{path: "spec.cluster", to: kind("postgresql.cnpg.io", "Cluster")}},

	// VolSync, https://volsync.readthedocs.io/en/stable/usage/
	kind("volsync.backube", "ReplicationSource"): {
		{path: "spec.sourcePVC", to: claim},
		{path: "spec.restic.repository", to: secret},
		{path: "spec.kopia.repository", to: secret},
	},
	kind("volsync.backube", "ReplicationDestination"): {
		{path: "spec.restic.repository", to: secret},
		{path: "spec.kopia.repository", to: secret},
	},

	// Prometheus operator, https://prometheus-operator.dev/docs/api-reference/api/
	kind("monitoring.coreos.com", "Prometheus"): {
		{path: "spec.serviceAccountName", to: serviceAccount},
		{path: "spec.secrets.*", to: secret},
		{path: "spec.configMaps.*", to: configMap},
		{path: "spec.additionalScrapeConfigs", to: secret, key: true},
	},
	kind("monitoring.coreos.com", "Alertmanager"): {
		{path: "spec.serviceAccountName", to: serviceAccount},
		{path: "spec.secrets.*", to: secret},
		{path: "spec.configMaps.*", to: configMap},
		{path: "spec.configSecret", to: secret},
	},
	kind("monitoring.coreos.com", "AlertmanagerConfig"): {
		{path: "spec.receivers.*.discordConfigs.*.apiURL", to: secret, key: true},
		{path: "spec.receivers.*.slackConfigs.*.apiURL", to: secret, key: true},
		{path: "spec.receivers.*.pushoverConfigs.*.userKey", to: secret, key: true},
		{path: "spec.receivers.*.pushoverConfigs.*.token", to: secret, key: true},
		{path: "spec.receivers.*.webhookConfigs.*.urlSecret", to: secret, key: true},
	},
	kind("monitoring.coreos.com", "ServiceMonitor"): append(under("spec.endpoints.*"), field{path: "spec.endpoints.*.bearerTokenSecret", to: secret, key: true}),
	kind("monitoring.coreos.com", "PodMonitor"):     under("spec.podMetricsEndpoints.*"),

	// Flux, https://fluxcd.io/flux/components/
	kind(kustomizeGroup, "Kustomization"): {
		{path: "spec.sourceRef", to: source, group: "-", apart: byFlux, render: true},
		{path: "spec.dependsOn.*", to: kind(kustomizeGroup, "Kustomization"), apart: always, render: true},
		{path: "spec.healthChecks.*", group: "apiVersion", apart: always, soft: true},
		{path: "spec.decryption.secretRef", to: secret},
		{path: "spec.serviceAccountName", to: serviceAccount},
		{path: "spec.kubeConfig.secretRef", to: secret},
		{path: "spec.kubeConfig.configMapRef", to: configMap},
	},
	kind(helmGroup, "HelmRelease"): {
		{path: "spec.chart.spec.sourceRef", to: source, group: "-", apart: byFlux, render: true},
		{path: "spec.chartRef", to: kind(sourceGroup, "OCIRepository"), group: "-", apart: byFlux, render: true},
		{path: "spec.dependsOn.*", to: kind(helmGroup, "HelmRelease"), apart: always, render: true},
		{path: "spec.serviceAccountName", to: serviceAccount},
		{path: "spec.kubeConfig.secretRef", to: secret},
		{path: "spec.kubeConfig.configMapRef", to: configMap},
		{path: "spec.chart.spec.verify.secretRef", to: secret},
	},
	kind(sourceGroup, "*"): {
		{path: "spec.secretRef", to: secret},
		{path: "spec.certSecretRef", to: secret},
		{path: "spec.proxySecretRef", to: secret},
		{path: "spec.verify.secretRef", to: secret},
		{path: "spec.serviceAccountName", to: serviceAccount},
	},
	source:                         {{path: "spec.include.*.repository", to: source}},
	kind(sourceGroup, "HelmChart"): {{path: "spec.sourceRef", to: kind(sourceGroup, "HelmRepository"), group: "-"}},
	kind(imageGroup, "ImageRepository"): {
		{path: "spec.secretRef", to: secret},
		{path: "spec.certSecretRef", to: secret},
		{path: "spec.proxySecretRef", to: secret},
		{path: "spec.serviceAccountName", to: serviceAccount},
	},
	kind(imageGroup, "ImagePolicy"): {{path: "spec.imageRepositoryRef", to: kind(imageGroup, "ImageRepository"), apart: byFlux}},
	kind(imageGroup, "ImageUpdateAutomation"): {
		{path: "spec.sourceRef", to: source, group: "-", apart: byFlux},
		{path: "spec.git.commit.signingKey.secretRef", to: secret},
	},
	kind(notifyGroup, "Alert"): {
		{path: "spec.providerRef", to: kind(notifyGroup, "Provider")},
		{path: "spec.eventSources.*", group: "-", apart: byFlux},
	},
	kind(notifyGroup, "Provider"): {
		{path: "spec.secretRef", to: secret},
		{path: "spec.certSecretRef", to: secret},
		{path: "spec.proxySecretRef", to: secret},
		{path: "spec.serviceAccountName", to: serviceAccount},
	},
	kind(notifyGroup, "Receiver"): {
		{path: "spec.secretRef", to: secret},
		{path: "spec.resources.*", group: "apiVersion", apart: byFlux},
	},
}

// backends are the references of all routes of the Gateway API.
var backends = []field{{path: "spec.rules.*.backendRefs.*", to: service, group: "group", apart: byGrant, port: true}}

// under returns the references of the endpoints of a monitor.
func under(path string) []field {
	return []field{
		{path: path + ".basicAuth.username", to: secret, key: true},
		{path: path + ".basicAuth.password", to: secret, key: true},
		{path: path + ".authorization.credentials", to: secret, key: true},
		{path: path + ".tlsConfig.ca.secret", to: secret, key: true},
		{path: path + ".tlsConfig.ca.configMap", to: configMap, key: true},
		{path: path + ".tlsConfig.cert.secret", to: secret, key: true},
		{path: path + ".tlsConfig.keySecret", to: secret, key: true},
	}
}

// keys are the paths of the table, taken apart once.
var keys = func() map[string][]string {
	out := map[string][]string{}
	for _, fields := range table {
		for _, f := range fields {
			out[f.path] = strings.Split(f.path, ".")
		}
	}
	return out
}()

// field looks at one place of the table in one object.
func (x *checker) field(o *render.Object, f field) {
	visit(o.Object, keys[f.path], nil, func(v any, path []any) {
		r := reference{from: o, at: path, what: dotted(path), to: target{GroupKind: f.to}}
		if f.soft {
			r.severity = report.Warning
		}
		ns := x.space(o.GroupKind(), o.GetNamespace())
		switch v := v.(type) {
		case string:
			r.to.name = v
		case map[string]any:
			name := f.name
			if name == "" {
				name = "name"
			}
			r.to.name = text(v, name)
			if v["optional"] == true {
				return
			}
			if _, ok := v[name]; ok {
				r.at = join(path, name)
				r.what = dotted(r.at)
			}
			if f.group != "" {
				if f.group != "-" {
					r.typed = f.group
				}
				r.to.GroupKind = named(v, f, o.GroupKind().Group)
			}
			if other := text(v, "namespace"); other != "" && f.apart != never {
				r.placed = true
				if ns == "" {
					ns = other
				}
				if other != ns && !x.cluster(r.to.GroupKind) {
					if !x.apart(o, f, r, ns, other) {
						return
					}
					ns = other
				}
			}
		}
		if r.to.name == "" || r.to.name == "*" || r.to.Kind == "" || r.to.Kind == "VolumeSnapshot" {
			return
		}
		if o.GroupKind().Group == "traefik.io" {
			if ns, r.to.name = x.provider(r.to, ns); r.to.name == "" {
				return
			}
		}
		if r.to.namespace = ns; x.cluster(r.to.GroupKind) {
			r.to.namespace = ""
		}
		if f.render || f.path == "spec.serviceName" && o.Origin.HelmRelease != "" {
			return // charts set serviceName whether or not they make the Service
		}
		if f.path == "roleRef" && o.Origin.HelmRelease != "" && !x.ownersWord(o, r.to.name) && r.to.name != "" && len(x.get(r.to)) == 0 {
			return // nor do charts' bindings to roles that only some clusters have
		}
		if f.path == "spec.healthChecks.*" && fluxKinds[r.to.Kind] != "" {
			r.severity = "" // nothing but Git makes these
		}
		if r.to.GroupKind == storageClass && !x.certain(r) {
			return
		}
		if slices.Equal(path, []any{"spec", "decryption", "secretRef"}) && len(x.get(r.to)) == 0 && !x.exists(r.to) {
			x.gap(gap{
				subject: r.to.String(), reason: "holds the key that decrypts the repository, so it cannot be in it: it is made by hand at bootstrap",
				at: o.Locate(r.at...),
			})
			return
		}
		objects, known := x.need(r)
		m, _ := v.(map[string]any)
		if f.key {
			x.key(r, objects, text(m, "key"))
		}
		if f.port && known && r.to.GroupKind == service {
			p := m["port"]
			if p == nil && f.std != 0 {
				p = f.std
			}
			x.servicePort(r, join(path, "port"), objects, p)
		}
	})
}

// named returns the kind that a reference says it names.
func named(m map[string]any, f field, own string) schema.GroupKind {
	k := text(m, "kind")
	if k == "" {
		return f.to
	}
	group, ok := m[f.group].(string)
	if !ok {
		if k == f.to.Kind {
			return f.to
		}
		switch group = fluxKinds[k]; {
		case group != "":
		case k == "Service" || k == "Secret" || k == "ConfigMap" || k == "PersistentVolumeClaim":
		case k == "Deployment" || k == "StatefulSet" || k == "ReplicaSet" || k == "DaemonSet":
			group = "apps"
		default:
			group = cmp.Or(f.to.Group, own)
		}
		return kind(group, k)
	}
	if f.group == "apiVersion" {
		before, _, ok := strings.Cut(group, "/")
		if group = before; !ok {
			group = ""
		}
	}
	return kind(group, k)
}

// certain tells whether a StorageClass is certainly missing: drivers and
// distributions make classes that are in no repository, so that only what looks
// like a misspelling of one is reported.
func (x *checker) certain(r reference) bool {
	if len(x.get(r.to)) > 0 || x.exists(r.to) || x.near(r.to) != "" {
		return true
	}
	x.gap(gap{
		subject: r.to.String(), reason: "is not in the render; a storage driver or the distribution may make it", at: r.from.Locate(r.at...),
	})
	return false
}
