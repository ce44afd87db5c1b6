package chart

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/Masterminds/semver/v3"
	"helm.sh/helm/v4/pkg/chart/loader/archive"
	chartv2 "helm.sh/helm/v4/pkg/chart/v2"
	chartutil "helm.sh/helm/v4/pkg/chart/v2/util"
	"helm.sh/helm/v4/pkg/ignore"

	"lumacore.dev/lumacore/internal/gitops"
)

// Tree returns the chart at a path of a tree: a folder, whose missing dependencies
// are obtained as source-controller obtains them, or an archive. A path that leads
// out of the tree stays at its root, as in source-controller.
//
// Source: https://fluxcd.io/flux/components/source/helmcharts/#source-reference.
func (s *Store) Tree(ctx context.Context, t *gitops.Tree, at string) (*Chart, error) {
	at = within(at)
	type request struct {
		tree *gitops.Tree
		at   string
	}
	return once(ctx, s, request{t, at}, func(ctx context.Context) (*Chart, error) {
		c, err := fromTree(ctx, t, at)
		if err != nil {
			return nil, err
		}
		if t.IsDir(at) {
			if err := s.dependencies(ctx, t, at, c); err != nil {
				return nil, err
			}
		}
		return newChart(c, func(name string) ([]byte, bool) {
			data, err := t.ReadFile(within(name))
			return data, err == nil
		}), nil
	})
}

// within returns a path without what leads out of the tree.
func within(name string) string {
	if name = strings.TrimPrefix(path.Clean("/"+name), "/"); name == "" {
		return "."
	}
	return name
}

// fromTree loads the folder or archive at a path.
func fromTree(ctx context.Context, t *gitops.Tree, at string) (*chartv2.Chart, error) {
	var files []*archive.BufferedFile
	var err error
	switch {
	case t.IsFile(at):
		var data []byte
		if data, err = t.ReadFile(at); err == nil {
			files, err = unpack(data, newBudget(ctx), 0)
		}
	case !t.IsDir(at):
		err = errors.New("there is no such folder or file")
	case !t.IsFile(path.Join(at, "Chart.yaml")):
		err = errors.New("there is no Chart.yaml in it")
	default:
		files, err = treeFiles(ctx, t, at)
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, &Invalid{at, err.Error()}
	}
	c, err := load(files)
	if err != nil {
		return nil, &Invalid{at, err.Error()}
	}
	return c, nil
}

// treeFiles returns the files of a chart's folder that .helmignore does not
// exclude.
func treeFiles(ctx context.Context, t *gitops.Tree, at string) ([]*archive.BufferedFile, error) {
	rules := ignore.Empty()
	if data, err := t.ReadFile(path.Join(at, ignore.HelmIgnore)); err == nil {
		if rules, err = ignore.Parse(bytes.NewReader(data)); err != nil {
			return nil, fmt.Errorf("%s: %w", ignore.HelmIgnore, err)
		}
	}
	rules.AddDefaults()
	prefix := at + "/"
	if at == "." {
		prefix = ""
	}
	b := newBudget(ctx)
	all := t.Files()
	from, _ := slices.BinarySearch(all, prefix)
	var files []*archive.BufferedFile
	for _, name := range all[from:] {
		rel, ok := strings.CutPrefix(name, prefix)
		if !ok {
			break
		}
		if ignored(rules, rel) {
			continue
		}
		data, err := t.ReadFile(name)
		if err != nil {
			return nil, err
		}
		if err := b.take(name, int64(len(data))); err != nil {
			return nil, err
		}
		files = append(files, &archive.BufferedFile{Name: rel, Data: bytes.TrimPrefix(data, utf8bom)})
	}
	return expand(files, b, 0)
}

// ignored tells whether the rules exclude a file or a folder that it is in.
func ignored(rules *ignore.Rules, name string) bool {
	for i := 0; i < len(name); i++ {
		if name[i] == '/' && rules.Ignore(name[:i], info{path.Base(name[:i]), fs.ModeDir}) {
			return true
		}
	}
	return rules.Ignore(name, info{path.Base(name), 0})
}

// info is what the rules of .helmignore want to know of a file.
type info struct {
	name string
	mode fs.FileMode
}

func (i info) Name() string       { return i.name }
func (i info) Size() int64        { return 0 }
func (i info) Mode() fs.FileMode  { return i.mode }
func (i info) ModTime() time.Time { return time.Time{} }
func (i info) IsDir() bool        { return i.mode.IsDir() }
func (i info) Sys() any           { return nil }

// dependencies adds the dependencies of a chart that are not in its charts folder:
// folders of the tree (file://) and charts of repositories and registries.
//
// Source: https://fluxcd.io/flux/components/source/helmcharts/#dependencies.
func (s *Store) dependencies(ctx context.Context, t *gitops.Tree, at string, c *chartv2.Chart) error {
	wanted := c.Metadata.Dependencies
	if c.Lock != nil { // the lock file takes precedence
		wanted = c.Lock.Dependencies
	}
	if len(wanted) == len(c.Dependencies()) {
		return nil
	}
	have := slices.Clone(c.Dependencies())
	for _, want := range wanted {
		if want == nil || slices.ContainsFunc(have, func(d *chartv2.Chart) bool { return is(d, want) }) {
			continue
		}
		dep, err := s.dependency(ctx, t, at, want)
		if err != nil {
			return err
		}
		if want.Alias != "" {
			dep.Metadata.Name = want.Alias
		}
		c.AddDependency(dep)
	}
	sortDependencies(c)
	return nil
}

// is tells whether a chart is the wanted dependency. Helm makes the aliases itself.
func is(d *chartv2.Chart, want *chartv2.Dependency) bool {
	if d.Name() == want.Alias {
		return true
	}
	return d.Name() == want.Name && (want.Alias == "" || chartutil.IsCompatibleRange(want.Version, d.Metadata.Version))
}

func (s *Store) dependency(ctx context.Context, t *gitops.Tree, at string, want *chartv2.Dependency) (*chartv2.Chart, error) {
	invalid := func(format string, args ...any) error {
		return &Invalid{at, fmt.Sprintf("its dependency %s ", title(want.Name, want.Version)) + fmt.Sprintf(format, args...)}
	}
	u, err := url.Parse(want.Repository)
	if err != nil {
		return nil, invalid("has a repository that is no URL")
	}
	var c *Chart
	switch u.Scheme {
	case "":
		if want.Repository != "" {
			return nil, invalid("has the repository %q; Flux knows file://, http(s):// and oci://", redact(want.Repository))
		}
		dep, err := fromTree(ctx, t, within(path.Join(at, "charts", want.Name)))
		if err != nil {
			return nil, invalid("is in neither its charts folder nor a repository")
		}
		return fits(dep, want, invalid)
	case "file":
		// "file://../library": the first part of the path is where a URL has its
		// host.
		dep, err := fromTree(ctx, t, within(path.Join(at, u.Host, u.Path)))
		if err != nil {
			return nil, invalid("of %s: %v", redact(want.Repository), err)
		}
		return fits(dep, want, invalid)
	case "http", "https":
		c, err = s.Repository(ctx, want.Repository, want.Name, want.Version)
	case "oci":
		c, err = s.OCI(ctx, OCI{URL: strings.TrimSuffix(want.Repository, "/") + "/" + want.Name, Version: cmp.Or(want.Version, "*")})
	default:
		return nil, invalid("has the repository %q; Flux knows file://, http(s):// and oci://", redact(want.Repository))
	}
	if err != nil {
		return nil, err
	}
	return c.Copy(), nil
}

// fits checks that a chart of the tree has the version that is wanted of it.
func fits(c *chartv2.Chart, want *chartv2.Dependency, invalid func(string, ...any) error) (*chartv2.Chart, error) {
	allowed, err := semver.NewConstraint(want.Version)
	if err != nil {
		return nil, invalid("wants %q, which is no version", want.Version)
	}
	v, err := semver.NewVersion(c.Metadata.Version)
	if err != nil || !allowed.Check(v) {
		return nil, invalid("has the version %s in the tree", c.Metadata.Version)
	}
	return c, nil
}
