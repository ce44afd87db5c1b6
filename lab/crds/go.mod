module lumacore.dev/lab/crds

go 1.26.0

require (
	github.com/cert-manager/cert-manager v1.21.2
	github.com/controlplaneio-fluxcd/flux-operator v0.58.1
	github.com/longhorn/longhorn-manager v1.12.0
	github.com/prometheus-operator/prometheus-operator v0.93.1
	github.com/rancher/system-upgrade-controller v0.20.1
	github.com/traefik/traefik/v3 v3.7.13
)
