package rbac

// binding is an example: a role bound to a subject in the whole cluster.
func binding(kind, name, subject string) string {
	return `---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: app
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: ` + kind + `
  name: ` + name + `
subjects:
  - ` + subject + "\n"
}

// held is an example: a ClusterRole with rules, bound to a service account.
func held(rules string) string {
	return `---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: app
rules: ` + rules + "\n" + binding("ClusterRole", "app", "{kind: ServiceAccount, name: app, namespace: app}")
}

// limited is an example: what service account NAME may do with ConfigMaps, and the
// head of the cluster's file after it.
func limited(name, verbs, review string) string {
	return `-- lumacore.yaml --
apiVersion: lumacore.dev/v1alpha1
kind: Config
check:
  rbac:
    limits:
      - subject: ServiceAccount app/` + name + `
        rules:
          - apiGroups: [""]
            resources: [configmaps]
            verbs: ` + verbs + `
        reason: it keeps its state in ConfigMaps
        review: ` + review + `
-- cluster/objects.yaml --
`
}
