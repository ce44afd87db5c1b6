package podsecurity

import "strings"

const restrictedContext = `{allowPrivilegeEscalation: false, runAsNonRoot: true, capabilities: {drop: [ALL]}, seccompProfile: {type: RuntimeDefault}}`

// namespaceYAML is an example: namespace app with one Pod Security label.
func namespaceYAML(label string) string {
	return `apiVersion: v1
kind: Namespace
metadata:
  name: app
  labels:
    pod-security.kubernetes.io/` + label + "\n"
}

// deploymentYAML is an example: a workload of one container.
func deploymentYAML(securityContext string) string {
	return `---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: app
  namespace: app
spec:
  selector:
    matchLabels: {app: app}
  template:
    metadata:
      labels: {app: app}
    spec:
      containers:
        - name: app
          image: ghcr.io/example/app:1.2.3
          securityContext: ` + securityContext + "\n"
}

// registerYAML is an example: a register of "namespace level review", and the head
// of the cluster's file after it.
func registerYAML(entry string) string {
	list := " []\n"
	if e := strings.Fields(entry); len(e) == 3 {
		list = `
      - namespace: ` + e[0] + `
        level: ` + e[1] + `
        reason: its database image runs as root
        control: no network to other namespaces
        review: ` + e[2] + "\n"
	}
	return `-- lumacore.yaml --
apiVersion: lumacore.dev/v1alpha1
kind: Config
check:
  podSecurity:
    exemptions:` + list + "-- cluster/objects.yaml --\n"
}
