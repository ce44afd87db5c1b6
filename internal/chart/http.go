package chart

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/Masterminds/semver/v3"
	"go.yaml.in/yaml/v3"
)

// Bounds of HTTP answers.
const (
	maxIndex     = 64 << 20 // bytes of an index.yaml; Flux takes 50 MiB
	maxRedirects = 5
	attempts     = 2 // of a request that meets a server's fault
)

// Repository returns a chart of an HTTP chart repository: the newest one that the
// version (exact, a range, or empty for the newest release) allows.
//
// An exact version does not change in such a repository, so one that the cache has
// is not asked for again.
//
// Source: https://fluxcd.io/flux/components/source/helmrepositories/.
func (s *Store) Repository(ctx context.Context, repository, name, version string) (*Chart, error) {
	title := title(name, version) + " of " + redact(repository)
	type request struct{ repository, name, version string }
	return once(ctx, s, request{repository, name, version}, func(ctx context.Context) (*Chart, error) {
		u, err := url.Parse(repository)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			return nil, &Unavailable{Chart: title, Reason: "its HelmRepository has no http or https URL", Missing: true}
		}
		ref := fmt.Sprintf("helm %s %s %s", repository, name, version)
		_, exact := exactVersion(version)
		if exact || s.offline {
			if _, data, ok := s.cache.lookup(ref); ok {
				return s.parse(ctx, title, data)
			}
		}
		if s.offline {
			return nil, notCached(title)
		}
		index, err := s.index(ctx, repository)
		if err != nil {
			var u *Unavailable
			if errors.As(err, &u) {
				err = &Unavailable{title, u.Reason, u.Next, u.Missing}
			}
			return nil, err
		}
		entry, err := index.pick(name, version)
		if err != nil {
			return nil, &Unavailable{
				Chart: title, Reason: err.Error(), Missing: true,
				Next: "write a chart and a version that the repository has",
			}
		}
		data, err := s.archive(ctx, title, repository, entry)
		if err != nil {
			return nil, err
		}
		if err := s.keep(title, ref, entry.Version, data); err != nil {
			return nil, err
		}
		return s.parse(ctx, title, data)
	})
}

// archive downloads the archive of an index's entry, unless the cache has it.
func (s *Store) archive(ctx context.Context, title, repository string, e *entry) ([]byte, error) {
	want := strings.TrimPrefix(e.Digest, "sha256:")
	if data, ok := s.cache.blob(want); ok {
		return data, nil
	}
	if len(e.URLs) == 0 {
		return nil, &Unavailable{Chart: title, Reason: "the repository's index gives no URL for it", Missing: true}
	}
	at, err := resolveURL(repository, e.URLs[0])
	if err != nil {
		return nil, &Unavailable{Chart: title, Reason: fmt.Sprintf("the repository's index gives the URL %q for it: %v", redact(e.URLs[0]), unwrapURL(err)), Missing: true}
	}
	var data []byte
	err = s.download(ctx, title, at.Host, func(ctx context.Context) error {
		data, err = s.get(ctx, at.String(), maxPacked)
		return err
	})
	if err != nil {
		return nil, err
	}
	if want != "" && sum(data) != want {
		return nil, &Unavailable{
			Chart:  title,
			Reason: fmt.Sprintf("what %s gives has the SHA-256 %s; the repository's index says %s", redact(at.String()), sum(data), want),
			Next:   "do not use the chart before its publisher has explained the difference",
		}
	}
	return data, nil
}

// index is what matters of an index.yaml.
type index struct {
	Entries map[string][]*entry `yaml:"entries"`
}

type entry struct {
	Version string   `yaml:"version"`
	Created string   `yaml:"created"`
	Digest  string   `yaml:"digest"`
	URLs    []string `yaml:"urls"`
}

// index returns the index of a repository, downloaded and parsed once.
func (s *Store) index(ctx context.Context, repository string) (*index, error) {
	type request struct{ index string }
	return once(ctx, s, request{repository}, func(ctx context.Context) (*index, error) {
		at, err := url.Parse(repository)
		if err != nil {
			return nil, err
		}
		host := at.Host
		at.Path, at.RawPath = strings.TrimSuffix(at.Path, "/")+"/index.yaml", ""
		idx := &index{}
		err = s.download(ctx, redact(repository), host, func(ctx context.Context) error {
			data, err := s.get(ctx, at.String(), maxIndex)
			if err != nil {
				return err
			}
			if err := decode(data, idx); err != nil {
				return fmt.Errorf("its index.yaml cannot be read: %w", err)
			}
			if len(idx.Entries) == 0 {
				return errors.New("its index.yaml lists no charts")
			}
			return nil
		})
		return idx, err
	})
}

// decode reads YAML; strange bytes are an error, never a panic.
func decode(data []byte, into any) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the YAML parser gave up: %v", r)
		}
	}()
	return yaml.Unmarshal(data, into)
}

// pick returns the newest entry that the version allows, as source-controller
// picks it.
func (i *index) pick(name, version string) (*entry, error) {
	all := i.Entries[name]
	if len(all) == 0 {
		return nil, fmt.Errorf("the repository's index has no chart %q", name)
	}
	for _, e := range all {
		if e != nil && version != "" && e.Version == version {
			return e, nil
		}
	}
	allowed, err := constraint(version)
	if err != nil {
		return nil, err
	}
	type candidate struct {
		*entry
		v *semver.Version
	}
	var found []candidate
	for _, e := range all {
		if e == nil {
			continue
		}
		if v, ok := exactVersion(e.Version); ok && allowed.Check(v) {
			found = append(found, candidate{e, v})
		}
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("none of the %d versions in the repository's index is %q", len(all), cmp.Or(version, "*"))
	}
	// Versions that differ only in build metadata are equal: the newer one wins.
	return slices.MaxFunc(found, func(a, b candidate) int {
		return cmp.Or(a.v.Compare(b.v), created(a.entry).Compare(created(b.entry)))
	}).entry, nil
}

func created(e *entry) time.Time {
	t, _ := time.Parse(time.RFC3339, e.Created)
	return t
}

// exactVersion parses a version with all three numbers; Flux takes anything else
// for a range.
func exactVersion(s string) (*semver.Version, bool) {
	if strings.Count(s, ".") < 2 {
		return nil, false
	}
	v, err := semver.NewVersion(s)
	return v, err == nil
}

func constraint(version string) (*semver.Constraints, error) {
	c, err := semver.NewConstraint(cmp.Or(version, "*"))
	if err != nil {
		return nil, fmt.Errorf("%q is neither a version nor a range of versions", version)
	}
	return c, nil
}

// resolveURL resolves the URL of an archive against that of its repository, whose
// query it keeps.
func resolveURL(repository, ref string) (*url.URL, error) {
	r, err := url.Parse(ref)
	if err != nil {
		return nil, err
	}
	if !r.IsAbs() {
		base, err := url.Parse(repository)
		if err != nil {
			return nil, err
		}
		query := base.RawQuery
		base.Path, base.RawPath = strings.TrimSuffix(base.Path, "/")+"/", ""
		r = base.ResolveReference(r)
		r.RawQuery = query
	}
	if r.Scheme != "http" && r.Scheme != "https" {
		return nil, errors.New("it is no http or https URL")
	}
	return r, nil
}

// get downloads a file of at most limit bytes.
func (s *Store) get(ctx context.Context, at string, limit int64) (data []byte, err error) {
	client := &http.Client{Transport: s.transport, CheckRedirect: func(req *http.Request, via []*http.Request) error {
		switch {
		case len(via) > maxRedirects:
			return fmt.Errorf("more than %d redirects", maxRedirects)
		case via[0].URL.Scheme == "https" && req.URL.Scheme != "https":
			return errors.New("it redirects from https to " + req.URL.Scheme)
		}
		return nil
	}}
	for n := 1; ; n++ {
		var again bool
		if data, again, err = request(ctx, client, at, limit); !again || n == attempts {
			return data, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(300 * time.Millisecond):
		}
	}
}

func request(ctx context.Context, client *http.Client, at string, limit int64) (data []byte, again bool, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return nil, false, unwrapURL(err)
	}
	req.Header.Set("User-Agent", "lumacore")
	resp, err := client.Do(req)
	if err != nil {
		return nil, false, unwrapURL(err)
	}
	defer resp.Body.Close()
	switch code := resp.StatusCode; {
	case code == http.StatusOK:
	case code == http.StatusUnauthorized || code == http.StatusForbidden:
		return nil, false, &Unavailable{
			Reason: fmt.Sprintf("%s wants a login (%s)", redact(at), resp.Status),
			Next:   "charts of HTTP repositories are read without a login; put the chart into the repository, or into a registry that `docker login` knows",
		}
	case code == http.StatusNotFound:
		return nil, false, &Unavailable{Reason: redact(at) + " is not there (" + resp.Status + ")", Next: "look at the repository's URL", Missing: true}
	default:
		return nil, code >= 500 || code == http.StatusTooManyRequests, fmt.Errorf("%s answers %s", redact(at), resp.Status)
	}
	data, err = io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("%s has more than %d MiB", redact(at), limit>>20)
	}
	return data, false, err
}

// unwrapURL returns an error without the URL, which may hold a password.
func unwrapURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// redact returns a URL as messages may show it: without a login, which may be a
// token alone, and without the values of a query or a fragment.
func redact(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return "a URL that cannot be read"
	}
	if u.User != nil {
		u.User = url.User("xxxxx")
	}
	if u.RawQuery != "" {
		u.RawQuery = "xxxxx"
	}
	if u.Fragment != "" {
		u.Fragment, u.RawFragment = "xxxxx", ""
	}
	return u.String()
}

var urls = regexp.MustCompile(`[a-zA-Z][a-zA-Z0-9+.-]*://[^\s'"<>]+`)

// redactAll redacts the URLs in what a program or a library says.
func redactAll(text string) string { return urls.ReplaceAllStringFunc(text, redact) }

// title is how messages name a chart.
func title(name, version string) string {
	if version == "" || version == "*" {
		return name
	}
	return name + " " + version
}
