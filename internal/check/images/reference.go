package images

import (
	"errors"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/google/go-containerregistry/pkg/name"
)

// dockerHub is how image names call the registry of Docker, whose own name is
// index.docker.io.
const dockerHub = "docker.io"

// reference is an image name in its parts.
type reference struct {
	repository string // in full: "docker.io/library/nginx"
	tag        string // as written; "" if there is none
	digest     string // "sha256:…"; "" if there is none
}

// parse takes an image name apart as a container runtime does.
func parse(image string) (reference, error) {
	if len(image) > maxReference {
		return reference{}, errors.New("it is longer than " + strconv.Itoa(maxReference) + " characters")
	}
	var r reference
	base, digest, pinned := strings.Cut(image, "@")
	t, err := name.NewTag(base, name.WeakValidation)
	if err != nil {
		return reference{}, err
	}
	if pinned {
		if _, err := name.NewDigest(image, name.WeakValidation); err != nil {
			return reference{}, err
		}
		r.digest = digest
	}
	if i := strings.LastIndexByte(base, ':'); i > strings.LastIndexByte(base, '/') {
		r.tag = base[i+1:]
	}
	host := t.RegistryStr()
	if host == name.DefaultRegistry {
		host = dockerHub
	}
	r.repository = host + "/" + t.RepositoryStr()
	return r, nil
}

// maxReference bounds image names: 255 characters of name, 128 of tag and a digest
// are the most that there are
// (https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pulling-manifests).
const maxReference = 1024

// show quotes an image name for a message; what is no image name may be long.
func show(image string) string {
	const most = 200
	if len(image) > most {
		for most := most; ; most-- {
			if utf8.RuneStart(image[most]) {
				return strconv.Quote(image[:most]) + "…"
			}
		}
	}
	return strconv.Quote(image)
}
