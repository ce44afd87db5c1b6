package dryrun

import (
	"lumacore.dev/lumacore/internal/check"
	"lumacore.dev/lumacore/internal/report"
)

const (
	ruleRefused   = "dryrun/refused"
	ruleImmutable = "dryrun/immutable"
	ruleWarned    = "dryrun/warned"
)

const serverSide = "https://kubernetes.io/docs/reference/using-api/api-concepts/#dry-run"

var rules = []report.Rule{
	{
		ID: ruleRefused, Title: "an object that the API server refuses", Severity: report.Error, Needs: check.NeedsAPIServer,
		Why: "An API server was asked to apply it without storing it, and refused, for the reason that it gives: a value that its validation or a CRD does not allow, an API that it does not serve, an admission policy or webhook that denies it. " +
			"Flux gets the same answer, and applies nothing of the Kustomization from there on; a Helm release fails. Only fields that a kind of Kubernetes does not have are dropped by Flux before it asks: then nobody is told that they do nothing.",
		Fix:  "Change what the message names; `kubectl explain` describes the fields of a kind.",
		Link: serverSide,
		Bad:  deployment("700", "web", "64Mi"),
		Good: deployment("10", "web", "64Mi"),
	},
	{
		ID: ruleImmutable, Title: "a change of a field that can not change", Severity: report.Error, Needs: check.NeedsAPIServer,
		Why: "The object is in the cluster already, with another value, and the API server refuses to change it. Flux gets the same answer again and again, and nothing of the Kustomization is applied from there on. " +
			"Only a check against the cluster itself (--dry-run=KUBECONFIG) can find it.",
		Fix: "Change the field back, or give the object another name; or, where it may be deleted and made anew, annotate it with kustomize.toolkit.fluxcd.io/force: enabled, after you have seen what is lost with it.",
		// The files base:… are what is in the cluster.
		Link: "https://fluxcd.io/flux/components/kustomize/kustomizations/#force",
		Bad:  "-- cluster/web.yaml --\n" + deployment("10", "new", "64Mi") + "-- base:cluster/web.yaml --\n" + deployment("10", "web", "64Mi"),
		Good: "-- cluster/web.yaml --\n" + deployment("20", "web", "64Mi") + "-- base:cluster/web.yaml --\n" + deployment("10", "web", "64Mi"),
	},
	{
		ID: ruleWarned, Title: "an object that the API server warns of", Severity: report.Warning, Needs: check.NeedsAPIServer,
		Why:  "The API server accepts it and says that something is wrong with it: a field that does nothing, a value that does not do what it seems to, an API that will be gone. Flux does not show these warnings.",
		Fix:  "Change what the message names.",
		Link: "https://kubernetes.io/blog/2020/09/03/warnings/",
		Bad:  deployment("10", "web", "64m"),
		Good: deployment("10", "web", "64Mi"),
	},
}

// deployment is one that must be ready for some seconds before it counts, with the
// label that its selector names, and a request of memory.
func deployment(ready, label, memory string) string {
	return `apiVersion: v1
kind: Namespace
metadata:
  name: web
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  namespace: web
spec:
  minReadySeconds: ` + ready + `
  selector:
    matchLabels:
      app: ` + label + `
  template:
    metadata:
      labels:
        app: ` + label + `
    spec:
      containers:
        - name: web
          image: ghcr.io/example/web:1.4.2
          resources:
            requests:
              memory: ` + memory + `
`
}
