package lab

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"os"
	"regexp"
	"runtime"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	apitypes "k8s.io/apimachinery/pkg/types"

	"lumacore.dev/lumacore/internal/lab/programs"
	"lumacore.dev/lumacore/internal/report"
)

// beaconRepository is beacon's place in the lab's registry; the blueprint's
// ImageRepository scans it.
const beaconRepository = "homelab/beacon"

// versionPattern is what `lab image` takes: a semantic version, because that is
// what the blueprint's ImagePolicy looks at, and it becomes a tag.
var versionPattern = regexp.MustCompile(`^[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?$`)

// PushImage builds beacon at a version, pushes it to the lab's registry, has
// Flux look at once, and returns the image by digest.
func (l *Lab) PushImage(ctx context.Context, version string) (string, error) {
	if !versionPattern.MatchString(version) || len(version) > 100 {
		return "", report.Misuse("lumacore lab image 1.0.1", "%q is not a semantic version such as 1.0.1", version)
	}
	s, err := l.loadSettings()
	if err != nil || !l.Running() {
		return "", l.notRunning()
	}
	path, err := l.Programs.BuildBeacon(ctx, version)
	if err != nil {
		return "", err
	}
	ref, err := pushImage(ctx, s.Ports.addr("registry")+"/"+beaconRepository, version, path)
	if err != nil {
		return "", report.Refuse("lumacore lab status", "push beacon %s to the lab's registry: %w", version, err)
	}
	c, err := l.Client()
	if err != nil {
		return "", err
	}
	return ref, requestReconcile(ctx, c, imageRepositoryKind, apitypes.NamespacedName{Namespace: fluxNamespace, Name: "beacon"}, newToken())
}

// seedImage pushes the image that the blueprint starts from.
func (l *Lab) seedImage(ctx context.Context, s settings) error {
	path := l.Programs.Path("beacon")
	for { // compiled after the lab's own programs
		if _, err := os.Stat(path); err == nil {
			break
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	}
	_, err := pushImage(ctx, s.Ports.addr("registry")+"/"+beaconRepository, programs.BeaconVersion, path)
	return err
}

// pushImage makes an image of one static program and pushes it; the same program
// and version give the same digest. It returns repository:version@digest.
func pushImage(ctx context.Context, repository, version, program string) (string, error) {
	img, err := programImage(version, program)
	if err != nil {
		return "", err
	}
	tag, err := name.NewTag(repository+":"+version, name.Insecure)
	if err != nil {
		return "", err
	}
	digest, err := img.Digest()
	if err != nil {
		return "", err
	}
	if have, err := remote.Head(tag, remote.WithContext(ctx)); err == nil && have.Digest == digest {
		return tag.Name() + "@" + digest.String(), nil
	}
	if err := remote.Write(tag, img, remote.WithContext(ctx)); err != nil {
		return "", err
	}
	return tag.Name() + "@" + digest.String(), nil
}

// programImage is a root file system with one file, run by an unprivileged user.
func programImage(version, program string) (v1.Image, error) {
	content, err := os.ReadFile(program)
	if err != nil {
		return nil, err
	}
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	// No times and no owners of this machine: the digest depends on nothing else.
	if err := w.WriteHeader(&tar.Header{Name: "beacon", Mode: 0o555, Size: int64(len(content)), Typeflag: tar.TypeReg, Format: tar.FormatPAX}); err != nil {
		return nil, err
	}
	if _, err := w.Write(content); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	img, err := mutate.AppendLayers(mutate.MediaType(mutate.ConfigMediaType(empty.Image, types.OCIConfigJSON), types.OCIManifestSchema1),
		static.NewLayer(layer.Bytes(), types.OCIUncompressedLayer))
	if err != nil {
		return nil, fmt.Errorf("add the program to the image: %w", err)
	}
	file, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	file = file.DeepCopy()
	file.OS, file.Architecture = "linux", runtime.GOARCH
	file.Config.Entrypoint = []string{"/beacon"}
	file.Config.User = "65532:65532"
	file.Config.ExposedPorts = map[string]struct{}{"8080/tcp": {}}
	file.Config.Labels = map[string]string{
		"org.opencontainers.image.title":   "beacon",
		"org.opencontainers.image.version": version,
	}
	return mutate.ConfigFile(img, file)
}
