package chart

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/Masterminds/semver/v3"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// chartLayer is the media type of the layer that holds a chart
// (https://helm.sh/docs/topics/registries/).
const chartLayer = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"

// OCI names a chart in a registry.
type OCI struct {
	URL string // "oci://ghcr.io/stefanprodan/charts/podinfo"
	// One of these; the first that is set counts. With none of them, the tag
	// latest.
	Digest  string // "sha256:…"
	Version string // of a HelmRepository's chart: exact, or a range ("*" is the newest release)
	SemVer  string // of an OCIRepository
	Tag     string
	// SemverFilter is a regular expression for the tags that SemVer looks at.
	SemverFilter string
	// MediaType of the layer; the first layer if empty.
	MediaType string
	Insecure  bool // plain HTTP
}

func (o OCI) String() string {
	out := strings.TrimPrefix(redact(o.URL), "oci://")
	switch {
	case o.Digest != "":
		return out + "@" + o.Digest
	case o.Version != "":
		return out + ":" + o.Version
	case o.SemVer != "":
		return out + " (" + o.SemVer + ")"
	}
	return out + ":" + cmp.Or(o.Tag, name.DefaultTag)
}

// OCI returns a chart of a registry, with what the Docker configuration knows as
// login. A tag is looked up in every run, and downloaded when it has changed.
//
// Source: https://fluxcd.io/flux/components/source/ocirepositories/.
func (s *Store) OCI(ctx context.Context, o OCI) (*Chart, error) {
	if o.Version != "" {
		o.MediaType = chartLayer
	}
	return once(ctx, s, o, func(ctx context.Context) (*Chart, error) {
		title := o.String()
		repo, err := o.repository()
		if err != nil {
			return nil, &Unavailable{Chart: title, Reason: err.Error(), Missing: true}
		}
		ref := fmt.Sprintf("oci %s digest=%s version=%s semver=%s filter=%s tag=%s layer=%s",
			repo.Name(), o.Digest, o.Version, o.SemVer, o.SemverFilter, o.Tag, o.MediaType)
		last, data, have := s.cache.lookup(ref)
		if !have && s.offline {
			return nil, notCached(title)
		}
		if !have || !s.offline && o.Digest == "" {
			err := s.download(ctx, title, repo.RegistryStr(), func(ctx context.Context) error {
				r := puller{[]remote.Option{
					remote.WithContext(ctx), remote.WithTransport(s.transport),
					remote.WithAuthFromKeychain(authn.DefaultKeychain), remote.WithUserAgent("lumacore"),
					remote.WithRetryBackoff(remote.Backoff{Duration: 300 * time.Millisecond, Factor: 3, Jitter: 0.1, Steps: attempts}),
				}}
				at, revision, err := r.resolve(repo, o)
				if err != nil {
					return explain(repo, err)
				}
				if have && revision == last.Revision {
					return nil
				}
				last.Revision = revision
				if data, err = r.layer(at, o.MediaType); err != nil {
					return explain(repo, err)
				}
				return s.keep(title, ref, revision, data)
			})
			if err != nil {
				return nil, err
			}
		}
		c, err := s.parse(ctx, title, data)
		if err != nil {
			return nil, err
		}
		out := *c
		out.Revision = last.Revision
		return &out, nil
	})
}

func (o OCI) repository() (name.Repository, error) {
	url, ok := strings.CutPrefix(o.URL, "oci://")
	if !ok {
		return name.Repository{}, fmt.Errorf("%q is no oci:// URL", redact(o.URL))
	}
	var opts []name.Option
	if o.Insecure {
		opts = append(opts, name.Insecure)
	}
	repo, err := name.NewRepository(strings.TrimSuffix(url, "/"), opts...)
	if err != nil {
		// Its own words repeat the URL, with the login that makes it none.
		return repo, fmt.Errorf("%q is no repository of a registry (host/name, in small letters, without a login)", redact(o.URL))
	}
	if _, tag, ok := strings.Cut(strings.TrimPrefix(url, repo.RegistryStr()), ":"); ok {
		return repo, fmt.Errorf("its URL has a tag; Flux wants ref.tag: %s", redactAll(tag))
	}
	return repo, nil
}

// puller asks one registry.
type puller struct {
	opts []remote.Option
}

// resolve returns the digest that the reference stands for, and what Flux calls
// the revision.
func (r puller) resolve(repo name.Repository, o OCI) (at name.Digest, revision string, err error) {
	if o.Digest != "" {
		if _, err := v1.NewHash(o.Digest); err != nil {
			return at, "", &Unavailable{Reason: fmt.Sprintf("%q is no digest", o.Digest), Missing: true}
		}
		return repo.Digest(o.Digest), o.Digest, nil
	}
	tag := cmp.Or(o.Tag, name.DefaultTag)
	switch {
	case o.Version != "":
		tag = strings.ReplaceAll(o.Version, "+", "_")
		if _, exact := exactVersion(o.Version); !exact {
			tag, err = r.newest(repo, o.Version, "", o.MediaType)
		}
	case o.SemVer != "":
		tag, err = r.newest(repo, o.SemVer, o.SemverFilter, o.MediaType)
	}
	if err != nil {
		return at, "", err
	}
	t := repo.Tag(tag)
	var digest v1.Hash
	if head, err := remote.Head(t, r.opts...); err == nil {
		digest = head.Digest
	} else {
		get, err := remote.Get(t, r.opts...) // some registries refuse HEAD, and HEAD has no message
		if err != nil {
			return at, "", err
		}
		digest = get.Digest
	}
	return repo.Digest(digest.String()), tag + "@" + digest.String(), nil
}

// newest returns the tag of the newest version in a range.
func (r puller) newest(repo name.Repository, semverRange, filter, mediaType string) (string, error) {
	tags, err := remote.List(repo, r.opts...)
	if err != nil {
		return "", err
	}
	allowed, err := constraint(semverRange)
	if err != nil {
		return "", &Unavailable{Reason: err.Error(), Missing: true}
	}
	match, err := regexp.Compile(filter)
	if err != nil {
		return "", &Unavailable{Reason: "its semverFilter is no regular expression: " + err.Error(), Missing: true}
	}
	type candidate struct {
		tag string
		v   *semver.Version
	}
	var found []candidate
	for _, tag := range tags {
		v := tag
		if mediaType == chartLayer {
			v = strings.ReplaceAll(tag, "_", "+") // tags cannot have a plus
		}
		if sv, ok := exactVersion(v); ok && match.MatchString(tag) && allowed.Check(sv) {
			found = append(found, candidate{tag, sv})
		}
	}
	if len(found) == 0 {
		return "", &Unavailable{
			Reason: fmt.Sprintf("none of its %d tags is a version in %q", len(tags), semverRange), Missing: true,
			Next: "write a range that the registry has a version for",
		}
	}
	return slices.MaxFunc(found, func(a, b candidate) int {
		return cmp.Or(a.v.Compare(b.v), strings.Compare(a.tag, b.tag))
	}).tag, nil
}

// layer downloads the layer that holds the chart. The registry client verifies the
// digests of the manifest and of the layer.
func (r puller) layer(at name.Digest, mediaType string) ([]byte, error) {
	img, err := remote.Image(at, r.opts...)
	if err != nil {
		return nil, err
	}
	layers, err := img.Layers()
	if err != nil {
		return nil, err
	}
	i := 0
	if mediaType != "" {
		i = slices.IndexFunc(layers, func(l v1.Layer) bool {
			mt, err := l.MediaType()
			return err == nil && string(mt) == mediaType
		})
	}
	if i < 0 || i >= len(layers) {
		return nil, &Unavailable{
			Reason: fmt.Sprintf("none of the artifact's %d layers is of the type %q", len(layers), cmp.Or(mediaType, "any")), Missing: true,
			Next: "look whether it is a chart, and at layerSelector",
		}
	}
	if size, err := layers[i].Size(); err != nil {
		return nil, err
	} else if size > maxPacked {
		return nil, fmt.Errorf("its archive has more than %d MiB", maxPacked>>20)
	}
	rc, err := layers[i].Compressed()
	if err != nil {
		return nil, err
	}
	defer rc.Close()
	data, err := io.ReadAll(io.LimitReader(rc, maxPacked+1))
	if err == nil && len(data) > maxPacked {
		err = fmt.Errorf("its archive has more than %d MiB", maxPacked>>20)
	}
	return data, err
}

// explain says what a registry's refusal means.
func explain(repo name.Repository, err error) error {
	var t *transport.Error
	if !errors.As(err, &t) {
		return err
	}
	said := http.StatusText(t.StatusCode)
	missing := false
	for _, d := range t.Errors {
		said = cmp.Or(strings.TrimSpace(d.Message), said)
		missing = missing || d.Code == transport.ManifestUnknownErrorCode
	}
	switch t.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden:
		return &Unavailable{
			Reason: fmt.Sprintf("%s refuses it (%d: %s)", repo.RegistryStr(), t.StatusCode, said),
			Next:   fmt.Sprintf("look at its name; if it is private, `docker login %s`", repo.RegistryStr()),
		}
	case http.StatusNotFound:
		return &Unavailable{
			Reason: fmt.Sprintf("%s does not have it (%d: %s)", repo.RegistryStr(), t.StatusCode, said),
			Next:   "look at its name and tag", Missing: missing,
		}
	}
	return fmt.Errorf("%s answers %d: %s", repo.RegistryStr(), t.StatusCode, said)
}
