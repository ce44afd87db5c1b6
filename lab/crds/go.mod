module lumacore.dev/lab/crds

go 1.26.0

require (
	github.com/1Password/onepassword-operator v1.8.1
	github.com/traefik/traefik/v3 v3.7.13
)
