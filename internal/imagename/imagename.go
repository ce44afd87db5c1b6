// Package imagename takes the names of container images apart, as a container
// runtime does.
package imagename

import (
	"errors"
	"strconv"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
)

// DockerHub is how image names call the registry of Docker, whose own name is
// index.docker.io.
const DockerHub = "docker.io"

// Name is an image name in its parts.
type Name struct {
	Repository string // in full: "docker.io/library/nginx"
	Tag        string // as written; "" if there is none
	Digest     string // "sha256:…"; "" if there is none
}

// Parse takes an image name apart.
func Parse(image string) (Name, error) {
	if len(image) > MaxLength {
		return Name{}, errors.New("it is longer than " + strconv.Itoa(MaxLength) + " characters")
	}
	var n Name
	base, digest, pinned := strings.Cut(image, "@")
	t, err := name.NewTag(base, name.WeakValidation)
	if err != nil {
		return Name{}, err
	}
	if pinned {
		if _, err := name.NewDigest(image, name.WeakValidation); err != nil {
			return Name{}, err
		}
		n.Digest = digest
	}
	if i := strings.LastIndexByte(base, ':'); i > strings.LastIndexByte(base, '/') {
		n.Tag = base[i+1:]
	}
	host := t.RegistryStr()
	if host == name.DefaultRegistry {
		host = DockerHub
	}
	n.Repository = host + "/" + t.RepositoryStr()
	return n, nil
}

// MaxLength bounds image names: 255 characters of name, 128 of tag and a digest are
// the most that there are
// (https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pulling-manifests).
const MaxLength = 1024
