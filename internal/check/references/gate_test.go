package references

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	utilversion "k8s.io/apimachinery/pkg/util/version"
	"sigs.k8s.io/yaml"

	"lumacore.dev/lumacore/internal/check"
	"lumacore.dev/lumacore/internal/check/checktest"
	"lumacore.dev/lumacore/internal/config"
	"lumacore.dev/lumacore/internal/gitops"
	"lumacore.dev/lumacore/internal/render"
	"lumacore.dev/lumacore/internal/report"
)

func TestExamples(t *testing.T) { checktest.Examples(t, Gate) }

// TestTable: every row of the table can be followed, and every rule is used.
func TestTable(t *testing.T) {
	t.Parallel()
	ids := map[string]bool{}
	for _, r := range rules {
		ids[r.ID] = true
	}
	for gk, fields := range table {
		for _, f := range fields {
			if f.to.Kind == "" && f.group == "" {
				t.Errorf("%s %s names nothing", gk, f.path)
			}
			if rule := ruleOf(f.to); !ids[rule] {
				t.Errorf("%s %s: rule %s does not exist", gk, f.path, rule)
			}
			if strings.Contains(f.path, "[") {
				t.Errorf("%s %s: lists are written with *", gk, f.path)
			}
		}
	}
}

// workload returns a Deployment app/web whose pod has the lines in its spec.
func workload(lines string) string {
	out := `apiVersion: v1
kind: Namespace
metadata: {name: app}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: app}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
`
	for line := range strings.Lines(strings.TrimPrefix(lines, "\n")) {
		out += "      " + line
	}
	return out
}

const beside = `
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: app}
data: {loglevel: info, web.ini: ""}
---
apiVersion: v1
kind: Secret
metadata: {name: credentials, namespace: app}
stringData: {user: web, password: replaced}
`

func TestPods(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, repository string
		want             []string
	}{
		{"everything is there", workload(`
serviceAccountName: default
priorityClassName: system-node-critical
volumes:
  - {name: ini, configMap: {name: settings, items: [{key: web.ini, path: ini/web.ini}]}}
  - {name: all, secret: {secretName: credentials}}
  - {name: both, projected: {sources: [{configMap: {name: settings}}, {secret: {name: credentials}}, {configMap: {name: kube-root-ca.crt}}]}}
  - {name: maybe, configMap: {name: none, optional: true}}
containers:
  - name: web
    image: x
    envFrom: [{configMapRef: {name: settings}}, {secretRef: {name: none, optional: true}}]
    env:
      - {name: USER, valueFrom: {secretKeyRef: {name: credentials, key: user}}}
      - {name: OLD, valueFrom: {secretKeyRef: {name: credentials, key: old, optional: true}}}
    volumeMounts:
      - {name: ini, mountPath: /a, subPath: ini/web.ini}
      - {name: all, mountPath: /b, subPath: password}
`) + beside, nil},
		{"Secret misspelt", workload(`
containers:
  - name: web
    image: x
    env:
      - {name: USER, valueFrom: {secretKeyRef: {name: credential, key: user}}}
      - {name: PASSWORD, valueFrom: {secretKeyRef: {name: credential, key: password}}}
`) + beside, []string{
			"cluster/objects.yaml:17 references/missing-secret Deployment app/web: env USER of container web names Secret app/credential, which nothing in the repository makes; did you mean Secret app/credentials?",
		}},
		{"key misspelt", workload(`
containers:
  - name: web
    image: x
    env: [{name: USER, valueFrom: {secretKeyRef: {name: credentials, key: usr}}}]
    volumeMounts: [{name: ini, mountPath: /etc/web.conf, subPath: web.conf}]
volumes:
  - {name: ini, configMap: {name: settings}}
  - {name: one, configMap: {name: settings, items: [{key: other, path: other}]}}
`) + beside, []string{
			"cluster/objects.yaml:16 references/missing-key Deployment app/web: env USER of container web names key usr of Secret app/credentials, which has no such key; did you mean user?",
			"cluster/objects.yaml:17 references/missing-key Deployment app/web: subPath of volume ini of container web names key web.conf of ConfigMap app/settings, which has no such key; it has loglevel, web.ini",
			"cluster/objects.yaml:20 references/missing-key Deployment app/web: volume one names key other of ConfigMap app/settings, which has no such key; it has loglevel, web.ini",
		}},
		{"subPath that items leave out", workload(`
containers:
  - name: web
    image: x
    volumeMounts: [{name: ini, mountPath: /etc/web.ini, subPath: web.ini}]
volumes: [{name: ini, configMap: {name: settings, items: [{key: loglevel, path: level}]}}]
`) + beside, []string{
			"cluster/objects.yaml:16 references/missing-key Deployment app/web: subPath of volume ini of container web is web.ini, but of ConfigMap app/settings the volume has only level",
		}},
		{"ports of probes", workload(`
containers:
  - name: web
    image: x
    ports: [{name: http, containerPort: 8080}]
    livenessProbe: {httpGet: {port: http}}
    readinessProbe: {httpGet: {port: htpp}}
    startupProbe: {tcpSocket: {port: "8080"}}
    lifecycle: {preStop: {httpGet: {port: admin}}}
  - name: sidecar
    image: x
    livenessProbe: {tcpSocket: {port: http}}
    readinessProbe: {grpc: {port: 9000}}
`), []string{
			"cluster/objects.yaml:18 references/port-missing Deployment app/web: readinessProbe.httpGet.port of container web names port htpp, but the container has port http (8080)",
			"cluster/objects.yaml:20 references/port-missing Deployment app/web: lifecycle.preStop.httpGet.port of container web names port admin, but the container has port http (8080)",
			"cluster/objects.yaml:23 references/port-missing Deployment app/web: livenessProbe.tcpSocket.port of container sidecar names port http, but the container has no ports",
		}},
		{"Secret of another namespace", workload(`
imagePullSecrets: [{name: registry}]
containers: [{name: web, image: x, envFrom: [{secretRef: {name: registry}}]}]
`) + `
---
apiVersion: v1
kind: Secret
metadata: {name: registry, namespace: default}
`, []string{
			"cluster/objects.yaml:13 references/missing-secret Deployment app/web: imagePullSecrets names Secret app/registry, which nothing in the repository makes; namespace default has one of this name, but only its own namespace is looked in",
		}},
		{"everything is missing", workload(`
serviceAccountName: web
priorityClassName: important
runtimeClassName: gvisor
volumes:
  - {name: data, persistentVolumeClaim: {claimName: data}}
  - {name: tls, secret: {secretName: tls}}
  - {name: both, projected: {sources: [{configMap: {name: one}}, {secret: {name: two}}]}}
containers: [{name: web, image: x}]
`), []string{
			"cluster/objects.yaml:13 references/missing-serviceaccount Deployment app/web: serviceAccountName names ServiceAccount app/web, which nothing in the repository makes",
			"cluster/objects.yaml:14 references/missing-class Deployment app/web: priorityClassName names PriorityClass important, which nothing in the repository makes",
			"cluster/objects.yaml:15 references/missing-class Deployment app/web: runtimeClassName names RuntimeClass gvisor, which nothing in the repository makes",
			"cluster/objects.yaml:17 references/missing-pvc Deployment app/web: volume data names PersistentVolumeClaim app/data, which nothing in the repository makes",
			"cluster/objects.yaml:18 references/missing-secret Deployment app/web: volume tls names Secret app/tls, which nothing in the repository makes",
			"cluster/objects.yaml:19 references/missing-configmap Deployment app/web: volume both names ConfigMap app/one, which nothing in the repository makes",
			"cluster/objects.yaml:19 references/missing-secret Deployment app/web: volume both names Secret app/two, which nothing in the repository makes",
		}},
		{"hash of a generator", workload(`
containers: [{name: web, image: x, envFrom: [{configMapRef: {name: web}}]}]
`) + `
---
apiVersion: v1
kind: ConfigMap
metadata: {name: web-g4hk9g2ff8, namespace: app}
`, []string{
			"cluster/objects.yaml:13 references/missing-configmap Deployment app/web: envFrom of container web names ConfigMap app/web, which nothing in the repository makes; kustomize generates web-g4hk9g2ff8, whose hash does not reach this field (set generatorOptions.disableNameSuffixHash)",
		}},
		{"claims of a StatefulSet", workload(`
volumes: [{name: data, persistentVolumeClaim: {claimName: data-db-0}}, {name: other, persistentVolumeClaim: {claimName: data-db-x}}]
containers: [{name: web, image: x}]
`) + `
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db, namespace: app}
spec:
  volumeClaimTemplates: [{metadata: {name: data}, spec: {storageClassName: local-path}}]
  template: {spec: {containers: [{name: db, image: x}]}}
`, []string{
			"cluster/objects.yaml:13 references/missing-pvc Deployment app/web: volume other names PersistentVolumeClaim app/data-db-x, which nothing in the repository makes",
		}},
		{"what controllers make", workload(`
volumes:
  - {name: a, secret: {secretName: db-app}}
  - {name: b, secret: {secretName: bucket}}
  - {name: c, configMap: {name: roots}}
  - {name: d, secret: {secretName: web-tls}}
  - {name: e, secret: {secretName: webhook-tls}}
  - {name: f, secret: {secretName: admission}}
  - {name: g, secret: {secretName: wildcard}}
containers: [{name: web, image: x, args: [--webhook-secret=webhook-tls]}]
`) + `
---
apiVersion: postgresql.cnpg.io/v1
kind: Cluster
metadata: {name: db, namespace: app}
---
apiVersion: objectbucket.io/v1alpha1
kind: ObjectBucketClaim
metadata: {name: bucket, namespace: app}
---
apiVersion: trust.cert-manager.io/v1alpha1
kind: Bundle
metadata: {name: roots}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web, namespace: app, annotations: {cert-manager.io/cluster-issuer: acme}}
spec: {tls: [{secretName: web-tls}]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: web, namespace: app}
rules: [{apiGroups: [""], resources: [secrets], resourceNames: [admission], verbs: [get, update]}]
---
apiVersion: v1
kind: Secret
metadata: {name: wildcard, namespace: default, annotations: {reflector.v1.k8s.emberstack.com/reflection-auto-enabled: "true"}}
`, nil},
		{"what more controllers make", workload(`
volumes:
  - {name: a, secret: {secretName: everywhere}}
  - {name: b, secret: {secretName: generated}}
  - {name: c, secret: {secretName: acme}}
  - {name: d, secret: {secretName: gateway-tls}}
  - {name: e, secret: {secretName: patched}}
  - {name: f, configMap: {name: written}}
  - {name: g, secret: {secretName: ml}}
containers: [{name: web, image: x, env: [{name: ML_SECRET_NAME, value: ml}]}]
`) + `
---
apiVersion: external-secrets.io/v1
kind: ClusterExternalSecret
metadata: {name: everywhere}
---
apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: {name: p}
spec: {rules: [{name: g, generate: {kind: Secret, name: generated}}]}
---
apiVersion: cert-manager.io/v1
kind: Issuer
metadata: {name: acme, namespace: app}
spec: {acme: {privateKeySecretRef: {name: acme}}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: g, namespace: app, annotations: {cert-manager.io/issuer: acme}}
spec: {listeners: [{name: https, tls: {certificateRefs: [{name: gateway-tls}]}}]}
---
apiVersion: batch/v1
kind: Job
metadata: {name: patch, namespace: app}
spec: {template: {spec: {containers: [{name: patch, image: x, command: [sh, -c], args: ["kubectl create secret generic patched --from-literal=a=b"]}]}}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: writer}
rules: [{apiGroups: [""], resources: [configmaps], resourceNames: [written], verbs: ["*"]}]
`, nil},
		{"keys that a controller fills in", workload(`
containers:
  - name: web
    image: x
    env:
      - {name: A, valueFrom: {secretKeyRef: {name: empty, key: a}}}
      - {name: B, valueFrom: {secretKeyRef: {name: generated, key: b}}}
      - {name: C, valueFrom: {secretKeyRef: {name: item, key: c}}}
`) + `
---
apiVersion: v1
kind: Secret
metadata: {name: empty, namespace: app}
---
apiVersion: v1
kind: Secret
metadata: {name: generated, namespace: app, annotations: {secret-generator.v1.mittwald.de/autogenerate: b}}
stringData: {user: web}
---
apiVersion: onepassword.com/v1
kind: OnePasswordItem
metadata: {name: item, namespace: app}
spec: {itemPath: vaults/lumacore/items/item}
`, nil},
		{"keys of an ExternalSecret", workload(`
containers: [{name: web, image: x, env: [{name: A, valueFrom: {secretKeyRef: {name: web, key: passwort}}}]}]
`) + `
---
apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata: {name: web, namespace: app}
spec:
  secretStoreRef: {kind: ClusterSecretStore, name: onepassword}
  data: [{secretKey: password, remoteRef: {key: web}}]
---
apiVersion: external-secrets.io/v1
kind: ClusterSecretStore
metadata: {name: onepassword}
`, []string{
			"cluster/objects.yaml:13 references/missing-key Deployment app/web: env A of container web names key passwort of Secret app/web, which has no such key; did you mean password?",
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tt.want, checktest.Lines(checktest.Run(t, Gate, tt.repository))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// objects joins documents.
func objects(docs ...string) string { return strings.Join(docs, "---\n") }

const traefik = `apiVersion: v1
kind: Pod
metadata: {name: traefik, namespace: default}
spec: {containers: [{name: traefik, image: x, args: [--providers.kubernetescrd]}]}
`

const edge = `apiVersion: v1
kind: Namespace
metadata: {name: edge}
`

func TestReferences(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, repository string
		want             []string
	}{
		{"selector of a Service misspelt", objects(web, `apiVersion: v1
kind: Service
metadata: {name: api, namespace: default}
spec: {selector: {app: wbe}, ports: [{port: 80}]}
`), []string{
			"cluster/objects.yaml:21 references/service-without-pods Service default/api: no workload in namespace default makes pods with app=wbe; the closest, Pod default/web, has app=web",
		}},
		{"Services that need no pods of the render", objects(`apiVersion: v1
kind: Service
metadata: {name: out, namespace: default}
spec: {type: ExternalName, externalName: db.example, selector: {app: none}}
`, `apiVersion: v1
kind: Service
metadata: {name: nas, namespace: default}
spec: {ports: [{port: 80}]}
`, `apiVersion: v1
kind: Service
metadata: {name: etcd, namespace: kube-system}
spec: {selector: {component: etcd}, ports: [{port: 2381}]}
`, `apiVersion: v1
kind: Service
metadata: {name: db, namespace: default}
spec: {selector: {cnpg.io/cluster: db, cnpg.io/instanceRole: primary}, ports: [{port: 5432}]}
`, `apiVersion: postgresql.cnpg.io/v1
kind: Cluster
metadata: {name: db, namespace: default}
`, `apiVersion: v1
kind: Service
metadata: {name: db-0, namespace: default}
spec: {selector: {app: kv, statefulset.kubernetes.io/pod-name: kv-0}, ports: [{port: 1}]}
`, `apiVersion: apps/v1
kind: StatefulSet
metadata: {name: kv, namespace: default}
spec: {template: {metadata: {labels: {app: kv}}, spec: {containers: [{name: kv, image: x}]}}}
`), nil},
		{"pod of another StatefulSet", objects(`apiVersion: v1
kind: Service
metadata: {name: kv-0, namespace: default}
spec: {selector: {app: kv, statefulset.kubernetes.io/pod-name: vk-0}, ports: [{port: 1}]}
`, `apiVersion: apps/v1
kind: StatefulSet
metadata: {name: kv, namespace: default}
spec: {serviceName: kw, template: {metadata: {labels: {app: kv}}, spec: {containers: [{name: kv, image: x}]}}}
`), []string{
			"cluster/objects.yaml:4 references/service-without-pods Service default/kv-0: no workload in namespace default makes pods with app=kv,statefulset.kubernetes.io/pod-name=vk-0; the closest, StatefulSet default/kv, has no statefulset.kubernetes.io/pod-name",
			"cluster/objects.yaml:9 references/missing-service StatefulSet default/kv: spec.serviceName names Service default/kw, which nothing in the repository makes",
		}},
		{"target ports", objects(web, `apiVersion: v1
kind: Service
metadata: {name: api, namespace: default}
spec:
  selector: {app: web}
  ports:
    - {name: a, port: 80, targetPort: htpp}
    - {name: b, port: 53, targetPort: http, protocol: UDP}
    - {name: c, port: 8080}
    - {name: d, port: 81, targetPort: 8081}
`), []string{
			"cluster/objects.yaml:24 references/port-missing Service default/api: spec.ports.targetPort names TCP port htpp of its pods, but Pod default/web has port http (8080)",
			"cluster/objects.yaml:25 references/port-missing Service default/api: spec.ports.targetPort names UDP port http of its pods, but Pod default/web has port http (8080)",
			"cluster/objects.yaml:27 references/port-undeclared Service default/api: port 8081 of its pods is none that Pod default/web lists: port http (8080)",
		}},
		{"Ingress", objects(web, `apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: web
  namespace: default
  annotations:
    traefik.ingress.kubernetes.io/router.middlewares: default-auth@kubernetescrd, x@file
spec:
  ingressClassName: ngnix
  tls: [{secretName: web-tls}]
  rules:
    - http:
        paths:
          - {path: /, backend: {service: {name: web, port: {name: https}}}}
          - {path: /a, backend: {service: {name: wbe, port: {name: http}}}}
`), []string{
			"cluster/objects.yaml:24 references/missing-middleware Ingress default/web: traefik.ingress.kubernetes.io/router.middlewares names Middleware default/auth, which nothing in the repository makes",
			"cluster/objects.yaml:26 references/missing-class Ingress default/web: spec.ingressClassName names IngressClass ngnix, which nothing in the repository makes",
			"cluster/objects.yaml:27 references/missing-secret Ingress default/web: spec.tls.secretName names Secret default/web-tls, which nothing in the repository makes",
			"cluster/objects.yaml:31 references/port-missing Ingress default/web: spec.rules.http.paths.backend.service names port https of Service default/web, which has port http (80)",
			"cluster/objects.yaml:32 references/missing-service Ingress default/web: spec.rules.http.paths.backend.service.name names Service default/wbe, which nothing in the repository makes; did you mean Service default/web?",
		}},
		{"IngressRoute to another namespace", objects(web, edge, traefik, `apiVersion: traefik.io/v1alpha1
kind: IngressRoute
metadata: {name: web, namespace: edge}
spec:
  routes:
    - match: Host("a")
      services: [{name: web, namespace: default, port: 80}, {name: api@internal, kind: TraefikService}]
      middlewares: [{name: auth@file}, {name: auth, namespace: default}]
`), []string{
			"cluster/objects.yaml:33 references/cross-namespace IngressRoute edge/web: spec.routes.services.name names Service default/web, but Traefik runs without allowCrossNamespace and refuses other namespaces",
			"cluster/objects.yaml:34 references/cross-namespace IngressRoute edge/web: spec.routes.middlewares.name names Middleware default/auth, but Traefik runs without allowCrossNamespace and refuses other namespaces",
		}},
		{"IngressRoute to another namespace, allowed", objects(web, edge, strings.Replace(traefik, "crd]", "crd, --providers.kubernetescrd.allowCrossNamespace=true]", 1), `apiVersion: traefik.io/v1alpha1
kind: IngressRoute
metadata: {name: web, namespace: edge}
spec:
  routes:
    - match: Host("a")
      services: [{name: web, namespace: default, port: 81}, {name: lb, kind: TraefikService}]
  tls: {options: {name: modern}}
`), []string{
			"cluster/objects.yaml:33 references/missing-target IngressRoute edge/web: spec.routes.services.name names TraefikService edge/lb, which nothing in the repository makes",
			"cluster/objects.yaml:33 references/port-missing IngressRoute edge/web: spec.routes.services names port 81 of Service default/web, which has port http (80)",
			"cluster/objects.yaml:34 references/missing-target IngressRoute edge/web: spec.tls.options.name names TLSOption edge/modern, which nothing in the repository makes",
		}},
		{"Middlewares", objects(web, `apiVersion: traefik.io/v1alpha1
kind: Middleware
metadata: {name: a, namespace: default}
spec: {chain: {middlewares: [{name: b}, {name: c}, {name: default-b@kubernetescrd}]}}
`, `apiVersion: traefik.io/v1alpha1
kind: Middleware
metadata: {name: b, namespace: default}
spec: {forwardAuth: {address: "http://web.default.svc.cluster.local:81/verify"}, basicAuth: {secret: users}}
`, `apiVersion: traefik.io/v1alpha1
kind: Middleware
metadata: {name: d, namespace: default}
spec: {forwardAuth: {address: "http://auth.default.svc"}}
`), []string{
			"cluster/objects.yaml:21 references/missing-middleware Middleware default/a: spec.chain.middlewares.name names Middleware default/c, which nothing in the repository makes",
			"cluster/objects.yaml:26 references/missing-secret Middleware default/b: spec.basicAuth.secret names Secret default/users, which nothing in the repository makes",
			"cluster/objects.yaml:26 references/port-missing Middleware default/b: spec.forwardAuth.address names port 81 of Service default/web, which has port http (80)",
			"cluster/objects.yaml:31 references/missing-service Middleware default/d: spec.forwardAuth.address names Service default/auth, which nothing in the repository makes",
		}},
		{"Gateway API", objects(web, edge, `apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: public, namespace: edge}
spec:
  gatewayClassName: traefik
  listeners:
    - {name: https, allowedRoutes: {namespaces: {from: All}}, tls: {certificateRefs: [{name: wildcard}]}}
    - {name: own}
`, `apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: traefik}
`, `apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: web, namespace: default}
spec:
  parentRefs:
    - {name: public, namespace: edge, sectionName: https}
    - {name: public, namespace: edge, sectionName: htps}
    - {name: public, namespace: edge, sectionName: own}
    - {name: private, namespace: edge}
  rules: [{backendRefs: [{name: web, port: 80}, {name: web, port: 8080}]}]
`), []string{
			"cluster/objects.yaml:28 references/missing-secret Gateway edge/public: spec.listeners.tls.certificateRefs.name names Secret edge/wildcard, which nothing in the repository makes",
			"cluster/objects.yaml:41 references/missing-target HTTPRoute default/web: spec.parentRefs.sectionName names listener htps, which Gateway edge/public does not have; did you mean https?",
			"cluster/objects.yaml:42 references/cross-namespace HTTPRoute default/web: spec.parentRefs names Gateway edge/public, whose listeners admit no routes from namespace default (allowedRoutes)",
			"cluster/objects.yaml:43 references/missing-target HTTPRoute default/web: spec.parentRefs.name names Gateway edge/private, which nothing in the repository makes",
			"cluster/objects.yaml:44 references/port-missing HTTPRoute default/web: spec.rules.backendRefs names port 8080 of Service default/web, which has port http (80)",
		}},
		{"listeners that admit by label", objects(web, `apiVersion: v1
kind: Namespace
metadata: {name: edge, labels: {routes: "yes"}}
`, `apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: a, namespace: default}
spec: {listeners: [{name: l, allowedRoutes: {namespaces: {from: Selector, selector: {matchLabels: {routes: "yes"}}}}}]}
`, `apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: b, namespace: default}
spec: {listeners: [{name: l, allowedRoutes: {namespaces: {from: Selector, selector: {matchLabels: {routes: "no"}}}}}]}
`, `apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: web, namespace: edge}
spec:
  parentRefs:
    - {name: a, namespace: default}
    - {name: b, namespace: default}
    - {name: web, namespace: default, group: "", kind: Service}
`), []string{
			"cluster/objects.yaml:38 references/cross-namespace HTTPRoute edge/web: spec.parentRefs names Gateway default/b, whose listeners admit no routes from namespace edge (allowedRoutes)",
		}},
		{"selectors", objects(web, `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: db, namespace: default}
spec: {podSelector: {matchExpressions: [{key: app, operator: In, values: [db, cache]}]}}
`, `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: all, namespace: default}
spec: {podSelector: {}}
`, edge, `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: opt-in, namespace: edge}
spec: {podSelector: {matchLabels: {app: web}}}
`, `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: opt-in, namespace: default}
spec: {podSelector: {matchLabels: {app: web}}}
`, `apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: db, namespace: default}
spec: {selector: {matchLabels: {app: db}}}
`), []string{
			"cluster/objects.yaml:21 references/selector-matches-nothing NetworkPolicy default/db: no workload in namespace default makes pods with app in (cache,db), so it does nothing",
			"cluster/objects.yaml:45 references/selector-matches-nothing PodDisruptionBudget default/db: no workload in namespace default makes pods with app=db, so it does nothing",
		}},
		{"monitors", objects(strings.Replace(web, "{name: web, namespace: default}", "{name: web, namespace: default, labels: {app: web}}", 1), `apiVersion: monitoring.coreos.com/v1
kind: ServiceMonitor
metadata: {name: a, namespace: default}
spec: {selector: {matchLabels: {app: web}}, endpoints: [{port: http}, {port: metrics}]}
`, `apiVersion: monitoring.coreos.com/v1
kind: PodMonitor
metadata: {name: b, namespace: default}
spec: {selector: {matchLabels: {app: db}}, podMetricsEndpoints: [{port: http}]}
`, edge, `apiVersion: monitoring.coreos.com/v1
kind: ServiceMonitor
metadata: {name: c, namespace: edge}
spec: {namespaceSelector: {matchNames: [default]}, selector: {matchLabels: {app: web}}, endpoints: [{port: http}]}
`, `apiVersion: monitoring.coreos.com/v1
kind: ServiceMonitor
metadata: {name: coredns, namespace: edge}
spec: {namespaceSelector: {matchNames: [kube-system]}, selector: {matchLabels: {k8s-app: kube-dns}}, endpoints: [{port: metrics}]}
`), []string{
			"cluster/objects.yaml:21 references/port-missing ServiceMonitor default/a: spec.endpoints.port names port metrics, but Service default/web has port http (80)",
			"cluster/objects.yaml:26 references/selector-matches-nothing PodMonitor default/b: no pods in namespace default have app=db, so nothing is scraped",
		}},
		{"subject without namespace", objects(edge, `apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: a, namespace: edge}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}
subjects: [{kind: ServiceAccount, name: default}, {kind: ServiceAccount, name: deployer}]
`, `apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: b}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}
subjects: [{kind: ServiceAccount, name: deployer, namespace: edge}, {kind: ServiceAccount, name: nobody}]
`, `apiVersion: v1
kind: ServiceAccount
metadata: {name: deployer, namespace: default}
`), []string{
			"cluster/objects.yaml:15 references/missing-serviceaccount ClusterRoleBinding b: subjects names ServiceAccount edge/deployer, which nothing in the repository makes; namespace default has one of this name; correct the namespace",
			"cluster/objects.yaml:9 references/missing-serviceaccount RoleBinding edge/a: subjects names ServiceAccount edge/deployer, which nothing in the repository makes; namespace default has one of this name, but only its own namespace is looked in",
		}},
		{"the wrong group or kind of what is scaled", objects(`apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: default}
`, `apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: a, namespace: default}
spec: {maxReplicas: 2, scaleTargetRef: {apiVersion: v1, kind: Deployment, name: web}}
`, `apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: b, namespace: default}
spec: {maxReplicas: 2, scaleTargetRef: {apiVersion: apps/v1, kind: StatefulSet, name: web}}
`, `apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: c, namespace: default}
spec: {maxReplicas: 2, scaleTargetRef: {apiVersion: extensions/v1beta1, kind: Deployment, name: wbe}}
`), []string{
			`cluster/objects.yaml:13 references/missing-target HorizontalPodAutoscaler default/b: spec.scaleTargetRef.name names StatefulSet default/web of group apps, but there is Deployment default/web of apps/v1; correct apiVersion and kind`,
			`cluster/objects.yaml:18 references/missing-target HorizontalPodAutoscaler default/c: spec.scaleTargetRef.name names Deployment default/wbe, which nothing in the repository makes`,
			`cluster/objects.yaml:8 references/missing-target HorizontalPodAutoscaler default/a: spec.scaleTargetRef.name names Deployment default/web of group "", but there is Deployment default/web of apps/v1; correct apiVersion and kind`,
		}},
		{"a Gateway of another namespace", objects(web, edge, `apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: eg}
spec: {controllerName: gateway.envoyproxy.io/gatewayclass-controller}
`, `apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: public, namespace: edge}
spec: {gatewayClassName: eg}
`, `apiVersion: monitoring.coreos.com/v1
kind: ServiceMonitor
metadata: {name: a, namespace: default}
spec: {selector: {matchLabels: {app: wbe}}, endpoints: [{port: http}]}
`), []string{
			"cluster/objects.yaml:35 references/selector-matches-nothing ServiceMonitor default/a: no Services in namespace default have app=wbe, so nothing is scraped",
		}},
		{"pods that come and go", objects(`apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: acme, namespace: default}
spec: {podSelector: {matchLabels: {acme.cert-manager.io/http01-solver: "true"}}}
`, `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: jobs, namespace: default}
spec: {podSelector: {matchExpressions: [{key: job-name, operator: Exists}, {key: batch.kubernetes.io/controller-uid, operator: Exists}]}}
`, `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: job, namespace: default}
spec: {podSelector: {matchLabels: {batch.kubernetes.io/job-name: backup-29000000}}}
`, `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: no-jobs, namespace: default}
spec: {podSelector: {matchExpressions: [{key: job-name, operator: DoesNotExist}]}}
`, `apiVersion: batch/v1
kind: CronJob
metadata: {name: backup, namespace: default}
spec: {schedule: "@daily", jobTemplate: {spec: {template: {spec: {containers: [{name: backup, image: x}]}}}}}
`, edge, `apiVersion: batch/v1
kind: Job
metadata: {name: setup, namespace: edge}
spec: {template: {spec: {containers: [{name: setup, image: x}]}}}
`, `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: setup, namespace: edge}
spec: {podSelector: {matchLabels: {job-name: setup}}}
`, `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: job-misspelt, namespace: edge}
spec: {podSelector: {matchLabels: {job-name: stup}}}
`), []string{
			"cluster/objects.yaml:19 references/selector-matches-nothing NetworkPolicy default/no-jobs: no workload in namespace default makes pods with !job-name, so it does nothing",
			"cluster/objects.yaml:43 references/selector-matches-nothing NetworkPolicy edge/job-misspelt: no workload in namespace edge makes pods with job-name=stup, so it does nothing; the closest, Job edge/setup, has job-name=setup",
		}},
		{"pods of custom resources", objects(`apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: {name: r, namespace: default}
spec: {template: {metadata: {labels: {app: web}}, spec: {containers: [{name: web, image: x}]}}}
`, `apiVersion: v1
kind: Service
metadata: {name: web, namespace: default}
spec: {selector: {app: web}, ports: [{port: 80}]}
`, `apiVersion: v1
kind: Service
metadata: {name: misspelt, namespace: default}
spec: {selector: {app: wbe}, ports: [{port: 80}]}
`, `apiVersion: k8s.mariadb.com/v1alpha1
kind: MariaDB
metadata: {name: m, namespace: default}
spec: {podMetadata: {labels: {app: sql}}}
`, `apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: sql, namespace: default}
spec: {maxUnavailable: 1, selector: {matchLabels: {app: sql}}}
`, `apiVersion: monitoring.coreos.com/v1
kind: PodMonitor
metadata: {name: web, namespace: default}
spec: {selector: {matchLabels: {app: web}}, podMetricsEndpoints: [{port: http}]}
`), []string{
			"cluster/objects.yaml:14 references/service-without-pods Service default/misspelt: no workload in namespace default makes pods with app=wbe",
		}},
		{"pods of the Prometheus operator", objects(`apiVersion: monitoring.coreos.com/v1
kind: Prometheus
metadata: {name: k8s, namespace: default}
spec: {podMetadata: {labels: {app.kubernetes.io/component: prometheus}}}
`, `apiVersion: monitoring.coreos.com/v1
kind: Alertmanager
metadata: {name: main, namespace: default}
`, `apiVersion: k8s.bitwarden.com/v1
kind: BitwardenSecret
metadata: {name: b, namespace: default}
spec: {secretName: b}
`, `apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: prometheus, namespace: default}
spec:
  maxUnavailable: 1
  selector: {matchLabels: {app.kubernetes.io/name: prometheus, app.kubernetes.io/instance: k8s, app.kubernetes.io/component: prometheus}}
`, `apiVersion: v1
kind: Service
metadata: {name: alertmanager, namespace: default}
spec: {selector: {alertmanager: main, app.kubernetes.io/name: alertmanager}, ports: [{port: 80}]}
`, `apiVersion: v1
kind: Service
metadata: {name: other, namespace: default}
spec: {selector: {app.kubernetes.io/name: prometheus, app.kubernetes.io/instance: other}, ports: [{port: 80}]}
`), []string{
			"cluster/objects.yaml:30 references/service-without-pods Service default/other: no workload in namespace default makes pods with app.kubernetes.io/instance=other,app.kubernetes.io/name=prometheus",
		}},
		{"rules of a NetworkPolicy", objects(web, edge, `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: a, namespace: default}
spec:
  podSelector: {matchLabels: {app: web}}
  ingress:
    - from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: edge}}}]
      ports: [{port: http}, {port: 9000}]
    - from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: egde}}}]
      ports: [{port: htpp}]
    - ports: [{port: http, protocol: UDP}]
  egress:
    - to: [{namespaceSelector: {matchExpressions: [{key: kubernetes.io/metadata.name, operator: In, values: [ai, edge]}]}}]
    - to: [{namespaceSelector: {matchExpressions: [{key: kubernetes.io/metadata.name, operator: In, values: [ai, ml]}]}}]
    - to: [{namespaceSelector: {matchLabels: {team: a}}}, {namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}}]
      ports: [{port: dns}]
`), []string{
			"cluster/objects.yaml:30 references/selector-matches-nothing NetworkPolicy default/a: spec.ingress.from.namespaceSelector names namespace egde, which nothing in the repository makes, so it allows nothing; did you mean Namespace edge?",
			"cluster/objects.yaml:31 references/port-missing NetworkPolicy default/a: spec.ingress.ports.port names TCP port htpp of its pods, but Pod default/web has port http (8080)",
			"cluster/objects.yaml:32 references/port-missing NetworkPolicy default/a: spec.ingress.ports.port names UDP port http of its pods, but Pod default/web has port http (8080)",
			"cluster/objects.yaml:35 references/selector-matches-nothing NetworkPolicy default/a: spec.egress.to.namespaceSelector names namespace ai, ml, which nothing in the repository makes, so it allows nothing",
		}},
		{"CloudNativePG", objects(`apiVersion: postgresql.cnpg.io/v1
kind: Cluster
metadata: {name: db, namespace: default}
spec: {bootstrap: {initdb: {secret: {name: owner}}}, superuserSecret: {name: db-superuser}}
`, `apiVersion: postgresql.cnpg.io/v1
kind: Pooler
metadata: {name: db-pooler, namespace: default}
spec: {cluster: {name: db}}
`, `apiVersion: postgresql.cnpg.io/v1
kind: ScheduledBackup
metadata: {name: daily, namespace: default}
spec: {cluster: {name: bd}}
`), []string{
			"cluster/objects.yaml:14 references/missing-target ScheduledBackup default/daily: spec.cluster.name names Cluster default/bd, which nothing in the repository makes; did you mean Cluster default/db?",
			"cluster/objects.yaml:4 references/missing-secret Cluster default/db: spec.bootstrap.initdb.secret.name names Secret default/owner, which nothing in the repository makes",
		}},
		{"RBAC", `apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: a}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admn}
subjects:
  - {kind: ServiceAccount, name: deployer, namespace: default}
  - {kind: ServiceAccount, name: kustomize-controller, namespace: flux-system}
  - {kind: Group, name: admins}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: b, namespace: kube-system}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: extension-apiserver-authentication-reader}
subjects: [{kind: ServiceAccount, name: horizontal-pod-autoscaler, namespace: kube-system}]
`, []string{
			"cluster/objects.yaml:4 references/missing-role ClusterRoleBinding a: roleRef.name names ClusterRole cluster-admn, which nothing in the repository makes",
			"cluster/objects.yaml:6 references/missing-serviceaccount ClusterRoleBinding a: subjects names ServiceAccount default/deployer, which nothing in the repository makes",
		}},
		{"API server", objects(web, `apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: a}
webhooks: [{name: a.example, clientConfig: {service: {name: web, namespace: default}}}, {name: b.example, clientConfig: {url: "https://b.example"}}]
`, `apiVersion: apiregistration.k8s.io/v1
kind: APIService
metadata: {name: v1beta1.metrics.k8s.io}
spec: {service: {name: metrics-server, namespace: kube-system}}
`, `apiVersion: constraints.gatekeeper.sh/v1beta1
kind: ImageTag
metadata: {name: c}
`, `apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: d}
spec: {policyName: d, paramRef: {name: limits, namespace: default}}
`, `apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: d}
spec: {paramKind: {apiVersion: v1, kind: ConfigMap}}
`), []string{
			"cluster/objects.yaml:21 references/port-missing ValidatingWebhookConfiguration a: webhooks.clientConfig.service names port 443 of Service default/web, which has port http (80)",
			"cluster/objects.yaml:29 references/missing-policy ImageTag c: kind names ConstraintTemplate imagetag, which nothing in the repository makes",
			"cluster/objects.yaml:35 references/missing-configmap ValidatingAdmissionPolicyBinding d: spec.paramRef.name names ConfigMap default/limits, which nothing in the repository makes",
		}},
		{"storage", `apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: a, namespace: default}
spec: {storageClassName: longhor, dataSourceRef: {apiGroup: volsync.backube, kind: ReplicationDestination, name: a}}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: b, namespace: default}
spec: {storageClassName: nfs, volumeName: b, dataSource: {apiGroup: snapshot.storage.k8s.io, kind: VolumeSnapshot, name: x}}
---
apiVersion: v1
kind: PersistentVolume
metadata: {name: b}
spec: {storageClassName: nfs}
---
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: longhorn}
`, []string{
			"cluster/objects.yaml:4 references/missing-class PersistentVolumeClaim default/a: spec.storageClassName names StorageClass longhor, which nothing in the repository makes; did you mean StorageClass longhorn?",
			"cluster/objects.yaml:4 references/missing-target PersistentVolumeClaim default/a: spec.dataSourceRef.name names ReplicationDestination default/a, which nothing in the repository makes",
		}},
		{"Flux", `-- cluster/objects.yaml --
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: apps, namespace: flux-system}
spec:
  interval: 1h
  path: ./apps
  prune: true
  sourceRef: {kind: GitRepository, name: flux-system}
  dependsOn: [{name: infra}, {name: flux-system}]
  serviceAccountName: deployer
  healthChecks:
    - {apiVersion: apps/v1, kind: Deployment, name: web, namespace: default}
    - {apiVersion: helm.toolkit.fluxcd.io/v2, kind: HelmRelease, name: web, namespace: default}
---
apiVersion: notification.toolkit.fluxcd.io/v1beta3
kind: Alert
metadata: {name: a, namespace: flux-system}
spec:
  providerRef: {name: discord}
  eventSources: [{kind: Kustomization, name: "*"}, {kind: HelmRelease, name: web}]
---
apiVersion: notification.toolkit.fluxcd.io/v1
kind: Receiver
metadata: {name: r, namespace: flux-system}
spec:
  secretRef: {name: token}
  resources: [{apiVersion: source.toolkit.fluxcd.io/v1, kind: GitRepository, name: flux-system}, {kind: ImageRepository, name: web}]
---
apiVersion: source.toolkit.fluxcd.io/v1
kind: GitRepository
metadata: {name: flux-system, namespace: flux-system}
spec: {interval: 1m, url: "https://git.example/home.git", secretRef: {name: flux-system}}
---
apiVersion: source.toolkit.fluxcd.io/v1
kind: OCIRepository
metadata: {name: web, namespace: flux-system}
spec: {interval: 1m, url: "oci://registry.example/web", secretRef: {name: registry}, verify: {secretRef: {name: cosign}}}
---
apiVersion: image.toolkit.fluxcd.io/v1
kind: ImagePolicy
metadata: {name: web, namespace: flux-system}
spec: {imageRepositoryRef: {name: web}}
-- apps/kustomization.yaml --
resources: []
`, []string{
			"cluster/objects.yaml:10 references/missing-serviceaccount Kustomization flux-system/apps: spec.serviceAccountName names ServiceAccount flux-system/deployer, which nothing in the repository makes",
			"cluster/objects.yaml:12 references/missing-target Kustomization flux-system/apps: spec.healthChecks.name names Deployment default/web, which nothing in the repository makes",
			"cluster/objects.yaml:13 references/missing-dependency Kustomization flux-system/apps: spec.healthChecks.name names HelmRelease default/web, which nothing in the repository makes",
			"cluster/objects.yaml:19 references/missing-target Alert flux-system/a: spec.providerRef.name names Provider flux-system/discord, which nothing in the repository makes",
			"cluster/objects.yaml:20 references/missing-dependency Alert flux-system/a: spec.eventSources.name names HelmRelease flux-system/web, which nothing in the repository makes",
			"cluster/objects.yaml:26 references/missing-secret Receiver flux-system/r: spec.secretRef.name names Secret flux-system/token, which nothing in the repository makes",
			"cluster/objects.yaml:27 references/missing-target Receiver flux-system/r: spec.resources.name names ImageRepository flux-system/web, which nothing in the repository makes",
			"cluster/objects.yaml:37 references/missing-secret OCIRepository flux-system/web: spec.secretRef.name names Secret flux-system/registry, which nothing in the repository makes",
			"cluster/objects.yaml:37 references/missing-secret OCIRepository flux-system/web: spec.verify.secretRef.name names Secret flux-system/cosign, which nothing in the repository makes",
			"cluster/objects.yaml:42 references/missing-target ImagePolicy flux-system/web: spec.imageRepositoryRef.name names ImageRepository flux-system/web, which nothing in the repository makes",
		}},
		{"Flux locked to namespaces", `apiVersion: fluxcd.controlplane.io/v1
kind: FluxInstance
metadata: {name: flux, namespace: flux-system}
spec: {cluster: {multitenant: true}, sync: {kind: GitRepository, url: "https://git.example/home.git", path: cluster, pullSecret: git}}
---
apiVersion: v1
kind: Namespace
metadata: {name: app}
---
apiVersion: image.toolkit.fluxcd.io/v1
kind: ImageUpdateAutomation
metadata: {name: app, namespace: app}
spec: {interval: 1m, sourceRef: {kind: GitRepository, name: flux-system, namespace: flux-system}}
`, []string{
			"cluster/objects.yaml:13 references/cross-namespace ImageUpdateAutomation app/app: spec.sourceRef.name names GitRepository flux-system/flux-system, but Flux runs with --no-cross-namespace-refs and refuses other namespaces",
		}},
		{"namespace", `apiVersion: v1
kind: ConfigMap
metadata: {name: a, namespace: applications}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: b, namespace: applications}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: c, namespace: nowhere}
---
apiVersion: v1
kind: Namespace
metadata: {name: application}
`, []string{
			"cluster/objects.yaml:3 references/missing-namespace ConfigMap applications/a: nothing in the repository makes Namespace applications for it and for 1 more; did you mean Namespace application?",
		}},
		{"what goes to another cluster is not made here", `-- cluster/objects.yaml --
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: other, namespace: flux-system}
spec: {interval: 1h, path: ./other, prune: true, kubeConfig: {secretRef: {name: other}}, sourceRef: {kind: GitRepository, name: flux-system}}
-- other/kustomization.yaml --
resources: []
`, []string{
			"cluster/objects.yaml:4 references/missing-secret Kustomization flux-system/other: spec.kubeConfig.secretRef.name names Secret flux-system/other, which nothing in the repository makes",
		}},
		{"variables that are not set", `apiVersion: v1
kind: Pod
metadata: {name: a, namespace: default}
spec: {serviceAccountName: "${NAME}", containers: []}
`, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tt.want, checktest.Lines(checktest.Run(t, Gate, tt.repository))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// chart is a repository with a chart of its own, and its HelmRelease with values.
func chart(values, template string) string {
	return `-- cluster/objects.yaml --
apiVersion: v1
kind: Namespace
metadata: {name: app}
---
apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata: {name: web, namespace: app}
spec:
  interval: 1h
  chart: {spec: {chart: ./charts/web, sourceRef: {kind: GitRepository, name: flux-system, namespace: flux-system}}}
  values: ` + values + `
-- charts/web/Chart.yaml --
apiVersion: v2
name: web
version: 1.0.0
-- charts/web/templates/all.yaml --
` + template
}

// TestCharts: what a chart names by itself is a warning at most.
func TestCharts(t *testing.T) {
	t.Parallel()
	const template = `apiVersion: v1
kind: Pod
metadata: {name: web}
spec: {containers: [{name: web, image: x, envFrom: [{secretRef: {name: "{{ .Values.secret | default "web-runtime" }}"}}]}]}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: "{{ .Values.app | default "leader" }}"}, ports: [{port: 80}]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: web}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: psp}
`
	for name, tt := range map[string]struct {
		values string
		want   []string
	}{
		"the chart's own names": {"{}", []string{
			"warning references/missing-secret Pod app/web: envFrom of container web names Secret app/web-runtime, which nothing in the repository makes",
		}},
		"names that the owner chose": {"{secret: credentials, app: website}", []string{
			"error references/missing-secret Pod app/web: envFrom of container web names Secret app/credentials, which nothing in the repository makes",
			"error references/service-without-pods Service app/web: no workload in namespace app makes pods with app=website",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, f := range checktest.Run(t, Gate, chart(tt.values, template)).Findings {
				got = append(got, fmt.Sprintf("%s %s %s", f.Severity, f.Rule, f.Message))
			}
			slices.Sort(got)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestWithin: names are found as a whole.
func TestWithin(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, part string
		want       bool
	}{
		{"db-secret", "db", true},
		{"my-db", "db", true},
		{"my-db-0", "db", true},
		{"mydb", "db", false},
		{"dbdb-db", "db", true},
		{"adb", "db", false},
		{"db", "", false},
	} {
		if got := within(tt.name, tt.part); got != tt.want {
			t.Errorf("within(%q, %q) = %v", tt.name, tt.part, got)
		}
		if got := hasWord(`{"a":"`+tt.part+`"}`, tt.part); got != (tt.part != "") {
			t.Errorf("hasWord finds no %q", tt.part)
		}
	}
	if hasWord("a-db db-a adb", "db") {
		t.Error("hasWord finds parts of longer names")
	}
}

// TestUnchecked: what something unknown may make is no finding.
func TestUnchecked(t *testing.T) {
	t.Parallel()
	const needy = `apiVersion: v1
kind: Pod
metadata: {name: web, namespace: app}
spec: {serviceAccountName: db-user, containers: [{name: web, image: x, envFrom: [{secretRef: {name: db-secret}}]}]}
`
	const space = "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: app}\n"
	for _, tt := range []struct {
		name, repository string
		want             []string
	}{
		{"a chart that cannot be had", needy + space + `---
apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata: {name: db, namespace: app}
spec: {interval: 1h, chart: {spec: {chart: db, version: 1.0.0, sourceRef: {kind: HelmRepository, name: db}}}}
---
apiVersion: source.toolkit.fluxcd.io/v1
kind: HelmRepository
metadata: {name: db, namespace: app}
spec: {interval: 1h, url: "https://charts.example"}
`, []string{
			"HelmRelease app/db was not rendered, and may make what nothing else in the repository does: Secret app/db-secret, ServiceAccount app/db-user",
		}},
		{"charts that cannot be had", needy + space + `---
apiVersion: helm.cattle.io/v1
kind: HelmChart
metadata: {name: one, namespace: kube-system}
spec: {targetNamespace: app}
---
apiVersion: helm.cattle.io/v1
kind: HelmChart
metadata: {name: two, namespace: app}
---
apiVersion: v1
kind: Service
metadata: {name: two, namespace: app}
spec: {selector: {app: two}, ports: [{port: 80}]}
`, []string{
			"HelmChart app/two and 1 more were not rendered, and may make what nothing else in the repository does: Secret app/db-secret, ServiceAccount app/db-user, pods of Service app/two",
		}},
		{"a StorageClass of nobody", `apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: a, namespace: default}
spec: {storageClassName: fast}
`, []string{"StorageClass fast is not in the render; a storage driver or the distribution may make it"}},
		{"first secrets", `apiVersion: v1
kind: Pod
metadata: {name: connect, namespace: default}
spec: {containers: [{name: a, image: x, envFrom: [{secretRef: {name: op-credentials}}]}]}
`, []string{"Secret default/op-credentials holds the credentials of 1Password Connect: it is made by hand at bootstrap"}},
		{"pods of a Gateway's proxies", `apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: public, namespace: default}
---
apiVersion: monitoring.coreos.com/v1
kind: PodMonitor
metadata: {name: proxies, namespace: flux-system}
spec: {namespaceSelector: {any: true}, selector: {matchLabels: {app.kubernetes.io/component: proxy}}, podMetricsEndpoints: [{port: metrics}]}
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: default}
spec: {containers: [{name: a, image: x}]}
`, []string{
			"Gateway default/public becomes other objects in the cluster, which are not known here, and may make what nothing else in the repository does: pods of PodMonitor flux-system/proxies",
		}},
		{"a name that only the cluster knows", `-- cluster/objects.yaml --
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: apps, namespace: flux-system}
spec:
  interval: 1h
  path: ./apps
  prune: true
  sourceRef: {kind: GitRepository, name: flux-system}
  postBuild: {substituteFrom: [{kind: Secret, name: settings}]}
---
apiVersion: onepassword.com/v1
kind: OnePasswordItem
metadata: {name: settings, namespace: flux-system}
spec: {itemPath: vaults/a/items/b}
-- apps/pod.yaml --
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: default}
spec: {containers: [{name: a, image: x, envFrom: [{secretRef: {name: "${PREFIX}-web"}}]}]}
`, []string{
			"Pod default/web the name in envFrom of container a has a part that only the cluster knows (PREFIX from Secret flux-system/settings)",
		}},
		{"another repository", needy + space + `---
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: other, namespace: flux-system}
spec: {interval: 1h, path: ./deploy, prune: true, targetNamespace: app, sourceRef: {kind: GitRepository, name: other}}
---
apiVersion: source.toolkit.fluxcd.io/v1
kind: GitRepository
metadata: {name: other, namespace: flux-system}
spec: {interval: 1h, url: "https://git.example/other.git"}
`, []string{
			"Kustomization flux-system/other applies what another repository holds, which is not read, and may make what nothing else in the repository does: Secret app/db-secret, ServiceAccount app/db-user",
		}},
		{"a custom resource of the name", needy + space + `---
apiVersion: db.example/v1
kind: Database
metadata: {name: db, namespace: app}
`, []string{
			"Database app/db becomes other objects in the cluster, which are not known here, and may make what nothing else in the repository does: Secret app/db-secret, ServiceAccount app/db-user",
		}},
		{"custom resources that name the Secret they make", workload(`
containers:
  - name: web
    image: x
    envFrom:
      - {secretRef: {name: vault-items}}
      - {secretRef: {name: doppler-items}}
      - {secretRef: {name: azure-items}}
      - {secretRef: {name: sops-items}}
      - {secretRef: {name: bucket-items}}
`) + `
---
apiVersion: k8s.bitwarden.com/v1
kind: BitwardenSecret
metadata: {name: a, namespace: app}
spec: {secretName: vault-items}
---
apiVersion: secrets.doppler.com/v1alpha1
kind: DopplerSecret
metadata: {name: b, namespace: default}
spec: {managedSecret: {name: doppler-items, namespace: app}}
---
apiVersion: spv.no/v2beta1
kind: AzureKeyVaultSecret
metadata: {name: c, namespace: app}
spec: {output: {secret: {name: azure-items}}}
---
apiVersion: isindir.github.com/v1alpha3
kind: SopsSecret
metadata: {name: d, namespace: app}
spec: {secretTemplates: [{name: sops-items}]}
---
apiVersion: s3.aws.upbound.io/v1beta1
kind: Bucket
metadata: {name: e}
spec: {writeConnectionSecretToRef: {name: bucket-items, namespace: app}}
`, []string{
			"BitwardenSecret app/a becomes other objects in the cluster, which are not known here, and may make what nothing else in the repository does: Secret app/vault-items",
			"DopplerSecret default/b becomes other objects in the cluster, which are not known here, and may make what nothing else in the repository does: Secret app/doppler-items",
			"AzureKeyVaultSecret app/c becomes other objects in the cluster, which are not known here, and may make what nothing else in the repository does: Secret app/azure-items",
			"SopsSecret app/d becomes other objects in the cluster, which are not known here, and may make what nothing else in the repository does: Secret app/sops-items",
			"Bucket e becomes other objects in the cluster, which are not known here, and may make what nothing else in the repository does: Secret app/bucket-items",
		}},
		{"a Rollout whose pods get more labels", `apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: {name: r, namespace: default}
spec: {template: {metadata: {labels: {app: web}}, spec: {containers: [{name: web, image: x}]}}}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: default}
spec: {selector: {app: web, role-of-rollout: stable}, ports: [{port: 80}]}
`, []string{
			"Rollout default/r becomes other objects in the cluster, which are not known here, and may make what nothing else in the repository does: pods of Service default/web",
		}},
		{"the proxies of a Gateway of another namespace", `apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: eg}
spec: {controllerName: gateway.envoyproxy.io/gatewayclass-controller}
---
apiVersion: v1
kind: Namespace
metadata: {name: edge}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: public, namespace: edge}
spec: {gatewayClassName: eg}
---
apiVersion: monitoring.coreos.com/v1
kind: PodMonitor
metadata: {name: proxies, namespace: default}
spec: {selector: {matchLabels: {app.kubernetes.io/name: envoy}}, podMetricsEndpoints: [{port: metrics}]}
---
apiVersion: monitoring.coreos.com/v1
kind: PodMonitor
metadata: {name: owned, namespace: default}
spec: {selector: {matchLabels: {gateway.networking.k8s.io/gateway-name: public}}, podMetricsEndpoints: [{port: metrics}]}
`, []string{
			"Gateway edge/public becomes other objects in the cluster, which are not known here, and may make what nothing else in the repository does: pods of PodMonitor default/owned, pods of PodMonitor default/proxies",
		}},
		{"a ResourceSet of other kinds", strings.Replace(needy, "serviceAccountName: db-user, ", "", 1) + space + `---
apiVersion: fluxcd.controlplane.io/v1
kind: ResourceSet
metadata: {name: rs, namespace: flux-system}
spec: {resources: [{apiVersion: v1, kind: Secret, metadata: {name: db-secret, namespace: app}}]}
`, []string{
			"ResourceSet flux-system/rs becomes other objects in the cluster, which are not known here, and may make what nothing else in the repository does: Secret app/db-secret",
		}},
		{"bootstrap with files", "-- cluster/objects.yaml --\n" + strings.Replace(needy, "serviceAccountName: db-user, ", "", 1) + `
-- bootstrap/helmfile.yaml --
releases: [{name: a}]
namespaces:
  - namespace: app
-- bootstrap/secret.yaml --
apiVersion: v1
kind: Secret
metadata: {name: db-secret, namespace: app}
-- bootstrap/other.yaml --
apiVersion: v1
kind: Secret
metadata: {name: db-secret, namespace: other}
`, []string{
			"Namespace app is not in the render, but bootstrap/helmfile.yaml names it: it seems to be made outside of Flux",
			"Secret app/db-secret is not in the render, but bootstrap/secret.yaml names it: it seems to be made outside of Flux",
		}},
		{"bootstrap", "-- cluster/objects.yaml --\n" + strings.Replace(needy, "serviceAccountName: db-user, ", "", 1) + space + `---
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: apps, namespace: flux-system}
spec: {interval: 1h, path: ./apps, prune: true, sourceRef: {kind: GitRepository, name: flux-system}, decryption: {provider: sops, secretRef: {name: age}}}
-- apps/kustomization.yaml --
resources: []
-- bootstrap/up.sh --
kubectl -n app create secret generic db-secret --from-file=key
`, []string{
			"Secret app/db-secret is not in the render, but bootstrap/up.sh names it: it seems to be made outside of Flux",
			"Secret flux-system/age holds the key that decrypts the repository, so it cannot be in it: it is made by hand at bootstrap",
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			rep := checktest.Run(t, Gate, tt.repository)
			if lines := checktest.Lines(rep); len(lines) > 0 {
				t.Errorf("findings: %q", lines)
			}
			var got []string
			for _, u := range rep.NotChecked {
				if u.Gate == Gate.Name {
					got = append(got, u.Subject+" "+u.Reason)
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// input renders the examples of all rules as one cluster.
func input(t testing.TB) *check.Input {
	t.Helper()
	files := map[string][]byte{}
	for i, r := range rules {
		files[fmt.Sprintf("cluster/%02d.yaml", i)] = []byte(strings.ReplaceAll(r.Bad, "namespace: default", fmt.Sprintf("namespace: ns-%d", i)))
	}
	tree := gitops.FromFiles(files)
	res, err := render.Render(t.Context(), tree, []gitops.Cluster{{Name: "example", Path: "cluster"}}, render.Options{KubeVersion: "1.36.0"})
	if err != nil {
		t.Fatal(err)
	}
	return &check.Input{Tree: tree, Render: res, Config: &config.Config{}, KubeVersion: utilversion.MustParse("1.36.0"), Now: checktest.Now}
}

// TestHostile: a field may hold anything; the gate must neither panic nor fail.
func TestHostile(t *testing.T) {
	in := input(t)
	c := in.Render.Clusters[0]
	if len(c.Objects) < 30 {
		t.Fatalf("only %d objects", len(c.Objects))
	}
	values := []any{nil, "", "x@y", int64(-1), 1.5, true, []any{}, []any{nil, "a", map[string]any{}}, map[string]any{}, map[string]any{"name": []any{}}, strings.Repeat("a-", 5000)}
	run := func() {
		if _, err := check.Run(t.Context(), []*check.Gate{Gate}, in); err != nil {
			t.Fatal(err)
		}
	}
	n := 0
	for _, o := range c.Objects {
		var mutate func(v any)
		mutate = func(v any) {
			switch v := v.(type) {
			case map[string]any:
				for _, k := range slices.Sorted(maps.Keys(v)) {
					if k == "apiVersion" || k == "kind" && len(v) > 3 {
						continue // another kind is another object
					}
					old := v[k]
					mutate(old)
					v[k] = values[n%len(values)]
					n++
					run()
					v[k] = old
				}
			case []any:
				for i := range v {
					old := v[i]
					mutate(old)
					v[i] = values[n%len(values)]
					n++
					run()
					v[i] = old
				}
			}
		}
		mutate(o.Object)
	}
	if n < 300 {
		t.Errorf("only %d mutations", n)
	}
}

// TestDeterministic: the same input gives the same report.
func TestDeterministic(t *testing.T) {
	t.Parallel()
	var want []byte
	for range 5 {
		rep, err := check.Run(t.Context(), []*check.Gate{Gate}, input(t))
		if err != nil {
			t.Fatal(err)
		}
		got, err := yaml.Marshal(rep)
		if err != nil {
			t.Fatal(err)
		}
		if want == nil {
			want = got
		}
		if diff := cmp.Diff(string(want), string(got)); diff != "" {
			t.Fatal(diff)
		}
	}
}

// BenchmarkGate looks at a cluster of 1,000 apps, 10,000 objects and their Kustomizations.
func BenchmarkGate(b *testing.B) {
	files := map[string][]byte{}
	for i := range 1000 {
		app := fmt.Sprintf("app-%03d", i)
		files["cluster/"+app+".yaml"] = []byte(strings.ReplaceAll(benchmarkKustomization, "APP", app))
		files["apps/"+app+"/app.yaml"] = []byte(strings.ReplaceAll(benchmarkApp, "APP", app))
	}
	tree := gitops.FromFiles(files)
	res, err := render.Render(b.Context(), tree, []gitops.Cluster{{Name: "example", Path: "cluster"}}, render.Options{KubeVersion: "1.36.0"})
	if err != nil {
		b.Fatal(err)
	}
	in := &check.Input{Tree: tree, Render: res, Config: &config.Config{}, KubeVersion: utilversion.MustParse("1.36.0"), Now: checktest.Now}
	if n := len(res.Clusters[0].Objects); n != 11000 {
		b.Fatalf("%d objects", n)
	}
	for b.Loop() {
		rep, err := check.Run(b.Context(), []*check.Gate{Gate}, in)
		if err != nil || slices.ContainsFunc(rep.Findings, func(f report.Finding) bool { return f.Severity == report.Error }) {
			b.Fatal(rep, err)
		}
	}
}

const benchmarkKustomization = `apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: APP, namespace: flux-system}
spec: {interval: 1h, path: ./apps/APP, prune: true, sourceRef: {kind: GitRepository, name: flux-system}}
`

const benchmarkApp = `apiVersion: v1
kind: Service
metadata: {name: APP, namespace: default, labels: {app: APP}}
spec: {selector: {app: APP, tier: web}, ports: [{name: http, port: 80, targetPort: http}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: APP, namespace: default}
spec:
  selector: {matchLabels: {app: APP}}
  template:
    metadata: {labels: {app: APP, tier: web}}
    spec:
      serviceAccountName: APP
      volumes: [{name: data, persistentVolumeClaim: {claimName: APP}}]
      containers: [{name: web, image: x, ports: [{name: http, containerPort: 80}], envFrom: [{secretRef: {name: APP}}, {configMapRef: {name: APP}}]}]
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: APP, namespace: default}
---
apiVersion: v1
kind: Secret
metadata: {name: APP, namespace: default}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: APP, namespace: default}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: APP, namespace: default}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: APP, namespace: default}
spec: {rules: [{http: {paths: [{path: /, backend: {service: {name: APP, port: {name: http}}}}]}}]}
---
apiVersion: monitoring.coreos.com/v1
kind: ServiceMonitor
metadata: {name: APP, namespace: default}
spec: {selector: {matchLabels: {app: APP}}, endpoints: [{port: http}]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: APP, namespace: default}
spec: {podSelector: {matchLabels: {app: APP}}}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: APP, namespace: default}
spec: {selector: {matchLabels: {app: APP}}}
`
