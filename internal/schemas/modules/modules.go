// Package modules makes the embedded schemas of package schemas from Go modules:
// the OpenAPI of Kubernetes, and the custom resource definitions of systems that
// clusters often run.
//
// The modules are fetched by name with `go mod download`, whose checksums the Go
// checksum database vouches for; they are recorded in the index, with the licence
// of what was taken. Only schemas are kept: descriptions are left out.
package modules

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"lumacore.dev/lumacore/internal/schemas"
)

// kubernetes are the releases whose OpenAPI is embedded, one for each minor.
var kubernetes = []module{
	{path: "k8s.io/kubernetes", version: "v1.34.9", name: "kubernetes-1.34"},
	{path: "k8s.io/kubernetes", version: "v1.35.8", name: "kubernetes-1.35"},
	{path: "k8s.io/kubernetes", version: "v1.36.3", name: "kubernetes-1.36"},
	{path: "k8s.io/kubernetes", version: "v1.37.2", name: "kubernetes-1.37"},
}

// systems are the modules whose custom resource definitions are embedded. Those
// of the Flux controllers, Gatekeeper and the systems of the blueprint have the versions
// that the lab has (lab/go.mod, lab/crds/go.mod).
var systems = []module{
	{path: "github.com/fluxcd/source-controller", version: "v1.9.6", name: "flux-source-controller", files: "config/crd/bases/*.yaml"},
	{path: "github.com/fluxcd/kustomize-controller", version: "v1.9.5", name: "flux-kustomize-controller", files: "config/crd/bases/*.yaml"},
	{path: "github.com/fluxcd/helm-controller", version: "v1.6.0", name: "flux-helm-controller", files: "config/crd/bases/*.yaml"},
	{path: "github.com/fluxcd/notification-controller", version: "v1.9.3", name: "flux-notification-controller", files: "config/crd/bases/*.yaml"},
	{path: "github.com/fluxcd/image-reflector-controller", version: "v1.2.4", name: "flux-image-reflector-controller", files: "config/crd/bases/*.yaml"},
	{path: "github.com/fluxcd/image-automation-controller", version: "v1.2.4", name: "flux-image-automation-controller", files: "config/crd/bases/*.yaml"},
	{path: "github.com/open-policy-agent/gatekeeper/v3", version: "v3.23.1", name: "gatekeeper", files: "charts/gatekeeper/crds/*.yaml"},
	{path: "github.com/traefik/traefik/v3", version: "v3.7.13", name: "traefik", files: "docs/content/reference/dynamic-configuration/kubernetes-crd-definition-v1.yml"},
	{path: "github.com/1Password/onepassword-operator", version: "v1.12.0", name: "onepassword-operator", files: "config/crd/bases/*.yaml"},
	{path: "github.com/prometheus-operator/prometheus-operator", version: "v0.93.1", name: "prometheus-operator", files: "example/prometheus-operator-crd-full/*.yaml"},
	{path: "github.com/longhorn/longhorn-manager", version: "v1.12.0", name: "longhorn", files: "k8s/crds.yaml"},
	{path: "github.com/rancher/system-upgrade-controller", version: "v0.20.1", name: "system-upgrade-controller", files: "pkg/crds/yaml/generated/*.yaml"},
	{path: "github.com/cert-manager/cert-manager", version: "v1.21.2", name: "cert-manager", files: "deploy/crds/*.yaml"},
	// The experimental channel has all that the standard one has.
	{path: "sigs.k8s.io/gateway-api", version: "v1.6.0", name: "gateway-api", files: "config/crd/experimental/*.yaml"},
	{path: "github.com/envoyproxy/gateway", version: "v1.9.1", name: "envoy-gateway", files: "charts/gateway-helm/charts/crds/crds/generated/*.yaml"},
	{path: "github.com/external-secrets/external-secrets", version: "v1.3.2", name: "external-secrets", files: "config/crds/bases/*.yaml"},
	{path: "github.com/kubernetes-csi/external-snapshotter/client/v8", version: "v8.7.0", name: "external-snapshotter", files: "config/crd/*.yaml"},
	{path: "github.com/k3s-io/helm-controller", version: "v0.17.9", name: "k3s-helm-controller", files: "pkg/crds/yaml/generated/*.yaml"},
	{path: "github.com/kedacore/keda/v2", version: "v2.21.0", name: "keda", files: "config/crd/bases/*.yaml"},
	{path: "github.com/cilium/cilium", version: "v1.20.2", name: "cilium", files: "pkg/k8s/apis/cilium.io/client/crds/*/*.yaml"},
	{path: "go.universe.tf/metallb", version: "v0.16.2", name: "metallb", files: "config/crd/bases/*.yaml"},
	{path: "github.com/cloudnative-pg/cloudnative-pg", version: "v1.27.0", name: "cloudnative-pg", files: "config/crd/bases/*.yaml"},
	{path: "github.com/bitnami-labs/sealed-secrets", version: "v0.40.0", name: "sealed-secrets", files: "helm/sealed-secrets/crds/*.yaml"},
	{path: "github.com/vmware-tanzu/velero", version: "v1.18.3", name: "velero", files: "config/crd/*/bases/*.yaml"},
	{path: "k8s.io/autoscaler/vertical-pod-autoscaler", version: "v1.8.1", name: "vertical-pod-autoscaler", files: "deploy/vpa-v1-crd-gen.yaml"},
}

// module is one source of schemas.
type module struct {
	path, version string
	name          string // of the embedded file, without ".json.gz"
	files         string // glob of its custom resource definitions
}

// Generate returns the embedded files by name: the index and the schemas,
// compressed. When offline is set, modules that are not in the module cache are
// an error (errors.Is fs.ErrNotExist) instead of being fetched.
func Generate(offline bool) (map[string][]byte, error) {
	out := map[string][]byte{}
	var index schemas.Index
	for _, m := range kubernetes {
		src, dir, err := m.download(offline)
		if err != nil {
			return nil, err
		}
		data, err := openapi(dir)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", src, err)
		}
		src.SHA256 = digest(data)
		if out[m.name+".json.gz"], err = compress(data); err != nil {
			return nil, err
		}
		index.Kubernetes = append(index.Kubernetes, schemas.Release{Minor: strings.TrimPrefix(m.name, "kubernetes-"), Source: src})
	}
	for _, m := range systems {
		src, dir, err := m.download(offline)
		if err != nil {
			return nil, err
		}
		data, defs, err := definitions(dir, m.files)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", src, err)
		}
		src.SHA256 = digest(data)
		if out[m.name+".json.gz"], err = compress(data); err != nil {
			return nil, err
		}
		index.Systems = append(index.Systems, schemas.System{Source: src, Definitions: defs})
	}
	data, err := json.MarshalIndent(index, "", " ")
	if err != nil {
		return nil, err
	}
	out[schemas.IndexFile] = append(data, '\n')
	return out, nil
}

// download returns where the module's files are.
func (m module) download(offline bool) (schemas.Source, string, error) {
	// In a folder of its own: the modules are no dependencies of this one.
	tmp, err := os.MkdirTemp("", "lumacore-schemas-")
	if err != nil {
		return schemas.Source{}, "", err
	}
	defer os.RemoveAll(tmp)
	cmd := exec.Command("go", "mod", "download", "-json", m.path+"@"+m.version)
	cmd.Dir = tmp
	cmd.Env = append(os.Environ(), "GOFLAGS=", "GOWORK=off")
	if offline {
		cmd.Env = append(cmd.Env, "GOPROXY=off")
	}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	runErr := cmd.Run()
	var got struct{ Dir, Sum, Error string }
	if err := json.Unmarshal(stdout.Bytes(), &got); err != nil || got.Error != "" || runErr != nil {
		err := fmt.Errorf("go mod download %s@%s: %s%s", m.path, m.version, got.Error, strings.TrimSpace(stderr.String()))
		if offline {
			err = errors.Join(fs.ErrNotExist, err)
		}
		return schemas.Source{}, "", err
	}
	licence, err := licenceOf(got.Dir)
	if err != nil {
		return schemas.Source{}, "", fmt.Errorf("%s@%s: %w", m.path, m.version, err)
	}
	return schemas.Source{File: m.name + ".json.gz", Module: m.path, Version: m.version, Sum: got.Sum, Licence: licence}, got.Dir, nil
}

// licences are those whose schemas may be passed on with the binary, and a
// sentence that only they have.
var licences = []struct{ id, text string }{
	{"Apache-2.0", "Apache License Version 2.0, January 2004"},
	{"MIT", "Permission is hereby granted, free of charge, to any person obtaining a copy"},
}

// licenceOf reads the licence of a module; any but those of the list is an error.
func licenceOf(dir string) (string, error) {
	names, err := filepath.Glob(filepath.Join(dir, "LICENSE*"))
	if err != nil {
		return "", err
	}
	slices.Sort(names)
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			return "", err
		}
		text := strings.Join(strings.Fields(string(data)), " ")
		for _, l := range licences {
			if strings.Contains(text, l.text) {
				return l.id, nil
			}
		}
	}
	return "", errors.New("its licence is none of those that allow passing its schemas on")
}

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

func compress(data []byte) ([]byte, error) {
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(data); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
