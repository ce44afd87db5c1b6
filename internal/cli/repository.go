package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	utilversion "k8s.io/apimachinery/pkg/util/version"

	"lumacore.dev/lumacore/internal/cache"
	"lumacore.dev/lumacore/internal/chart"
	"lumacore.dev/lumacore/internal/check"
	"lumacore.dev/lumacore/internal/config"
	"lumacore.dev/lumacore/internal/gitops"
	"lumacore.dev/lumacore/internal/lab/programs"
	"lumacore.dev/lumacore/internal/render"
	"lumacore.dev/lumacore/internal/report"
)

// defaultKubeVersion is what a repository is checked for when nothing says
// otherwise: the version of the blueprint.
const defaultKubeVersion = "1.36"

// repositoryFlags are what all verbs that render a repository share.
type repositoryFlags struct {
	streams       *report.Streams
	clusters      []string
	kubeVersion   string
	offline       bool
	remoteBases   bool
	requireCharts bool
	since         string // a revision to compare with, of the verbs that can
	at            string // a revision to render; the work tree if empty
}

func (f *repositoryFlags) add(fs *pflag.FlagSet) {
	fs.StringArrayVar(&f.clusters, "cluster", nil, "only this `cluster`, by name; may be repeated (default all)")
	fs.StringVar(&f.kubeVersion, "kube-version", "", "Kubernetes `version` of the clusters (default check.kubeVersion of lumacore.yaml, else "+defaultKubeVersion+")")
	fs.BoolVar(&f.offline, "offline", false, "fetch nothing: use charts from the cache alone")
	fs.BoolVar(&f.remoteBases, "allow-remote-bases", false, "let kustomize fetch bases from URLs and other repositories")
}

// repository is a repository that was rendered.
type repository struct {
	tree   *gitops.Tree
	config *config.Config
	kube   *utilversion.Version
	result *render.Result
	cache  string      // folder of what is kept between runs
	commit string      // of the revision that was rendered; "" for the work tree
	base   *check.Base // of --changed-since

	options render.Options
	chosen  func([]gitops.Cluster) ([]gitops.Cluster, error)
}

// close lets go of the files.
func (r *repository) close() {
	if r.base != nil {
		r.base.Tree.Close()
	}
	r.tree.Close()
}

// root returns the folder of the repository: the argument, or, from the current
// folder upwards, the first one with a lumacore.yaml, else the Git work tree's.
func root(ctx context.Context, args []string) (string, error) {
	if len(args) > 0 {
		return args[0], nil
	}
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for up := dir; ; up = filepath.Dir(up) {
		if _, err := os.Stat(filepath.Join(up, config.File)); err == nil {
			return up, nil
		}
		if up == filepath.Dir(up) {
			break
		}
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if out, err := gitops.Git(ctx, dir, "rev-parse", "--show-toplevel").Output(); err == nil {
		return strings.TrimSuffix(string(out), "\n"), nil
	}
	return dir, nil
}

// open reads and renders the repository that the arguments name.
func (f *repositoryFlags) open(ctx context.Context, args []string) (*repository, error) {
	hurry()
	go render.Prepare()
	dir, err := root(ctx, args)
	if err != nil {
		return nil, err
	}
	r := &repository{}
	if r.tree, r.commit, err = f.files(ctx, dir); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			r.close()
		}
	}()
	if err = f.render(ctx, dir, r); err != nil {
		return nil, err
	}
	return r, nil
}

// files takes a snapshot of the work tree, or of the revision that was asked for.
func (f *repositoryFlags) files(ctx context.Context, dir string) (*gitops.Tree, string, error) {
	if f.at != "" {
		return openRevision(ctx, dir, f.at, nil)
	}
	tree, err := gitops.Open(ctx, dir)
	if err != nil {
		if ctx.Err() != nil {
			return nil, "", ctx.Err()
		}
		if errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("there is no folder %s", dir)
		}
		return nil, "", report.Misuse("name the folder of a Flux repository", "%w", err)
	}
	return tree, "", nil
}

// openRevision takes a snapshot of a revision, see [gitops.OpenRevision].
func openRevision(ctx context.Context, dir, revision string, like *gitops.Tree) (*gitops.Tree, string, error) {
	tree, commit, err := gitops.OpenRevision(ctx, dir, revision, like)
	if missing, ok := errors.AsType[*gitops.RevisionError](err); ok {
		return nil, "", report.Misuse(missing.Next, "%w", err)
	}
	return tree, commit, err
}

// render renders the repository, and the revision that it is compared with.
func (f *repositoryFlags) render(ctx context.Context, dir string, r *repository) (err error) {
	if r.config, err = config.Load(gitops.Unfiltered{Tree: r.tree}); err != nil {
		return err
	}
	if r.kube, err = f.version(r.config); err != nil {
		return err
	}
	clusters, err := gitops.Discover(r.tree, r.config.Clusters)
	if err != nil {
		return err
	}
	if clusters, err = f.chosen(clusters); err != nil {
		return err
	}
	if r.cache, err = programs.DefaultCache(); err != nil {
		return err
	}
	store, err := chart.NewStore(chart.Options{Offline: f.offline, CacheDir: filepath.Join(r.cache, "charts")})
	if err != nil {
		return err
	}
	if !f.remoteBases {
		defer refuse()()
	}
	progress, done := progress(f.streams, "render", "rendered", "Kustomizations and HelmReleases")
	defer done()
	options := render.Options{
		KubeVersion:      r.kube.String(),
		EnvironmentLabel: r.config.EnvironmentLabel,
		AllowRemoteBases: f.remoteBases,
		Charts:           store,
		RequireCharts:    f.requireCharts,
		Remotes:          gitops.Remotes(ctx, dir),
		Cache:            render.NewCache(cache.Open(filepath.Join(r.cache, "builds"))),
		Progress:         progress,
	}
	r.options, r.chosen = options, f.chosen
	r.options.Progress = nil
	if r.result, err = render.Render(ctx, r.tree, clusters, options); err != nil || f.since == "" {
		return err
	}
	r.base, err = f.renderBase(ctx, dir, r, options)
	return err
}

// refuse keeps renders from fetching, until what it returns is called. What kustomize would
// fetch is refused before it is built. Should something slip through, this is what it meets;
// charts have a transport of their own.
func refuse() (restore func()) {
	was := http.DefaultTransport
	http.DefaultTransport = refusing{}
	return func() { http.DefaultTransport = was }
}

// again renders another tree in the same way.
func (r *repository) again(ctx context.Context, remoteBases bool, tree *gitops.Tree) (*render.Result, error) {
	clusters, err := gitops.Discover(tree, r.config.Clusters)
	if err != nil {
		return nil, err
	}
	if clusters, err = r.chosen(clusters); err != nil {
		return nil, err
	}
	if !remoteBases {
		defer refuse()()
	}
	return render.Render(ctx, tree, clusters, r.options)
}

// renderBase renders the revision that the repository is compared with.
func (f *repositoryFlags) renderBase(ctx context.Context, dir string, r *repository, options render.Options) (*check.Base, error) {
	tree, commit, err := openRevision(ctx, dir, f.since, r.tree)
	if err != nil {
		return nil, err
	}
	b := &check.Base{Revision: f.since, Commit: commit, Tree: tree}
	if b.Config, err = config.Load(gitops.Unfiltered{Tree: tree}); err != nil {
		tree.Close()
		return nil, report.Misuse("compare with a revision in which "+config.File+" can be read", "at %s: %w", f.since, err)
	}
	clusters, err := gitops.Discover(tree, b.Config.Clusters)
	if err != nil {
		tree.Close()
		return nil, fmt.Errorf("at %s: %w", f.since, err)
	}
	// A cluster that was asked for may be new.
	clusters = slices.DeleteFunc(clusters, func(c gitops.Cluster) bool {
		return len(f.clusters) > 0 && !slices.Contains(f.clusters, c.Name)
	})
	options.EnvironmentLabel = b.Config.EnvironmentLabel
	if b.Render, err = render.Render(ctx, tree, clusters, options); err != nil {
		tree.Close()
		return nil, err
	}
	return b, nil
}

// refusing is a transport that reaches nobody.
type refusing struct{}

func (refusing) RoundTrip(r *http.Request) (*http.Response, error) {
	return nil, fmt.Errorf("%s is not fetched: remote bases are not allowed", r.URL.Host)
}

// hurry lets the garbage collector wait longer: a render allocates ten times what it
// keeps, and collecting at the default pace takes a third of its time. The limit
// keeps it from taking what the machine needs. GOGC and GOMEMLIMIT win.
func hurry() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(1 << 30)
	}
}

// whole returns the folder further up in which a path of a Flux Kustomization exists
// that is missing here, or "": whoever names the folder of a cluster instead of the
// repository gets nothing but missing paths.
func (r *repository) whole() string {
	dir, err := filepath.Abs(r.tree.Root)
	if err != nil {
		return ""
	}
	for _, c := range r.result.Clusters {
		for _, k := range c.Kustomizations {
			if k.Path == "" || r.tree.IsDir(k.Path) {
				continue
			}
			for up := filepath.Dir(dir); up != filepath.Dir(up); up = filepath.Dir(up) {
				if fi, err := os.Stat(filepath.Join(up, filepath.FromSlash(k.Path))); err == nil && fi.IsDir() {
					return up
				}
			}
		}
	}
	return ""
}

// version returns the version of Kubernetes to render and check for: any, since gates
// say themselves what they do not know of it.
func (f *repositoryFlags) version(c *config.Config) (*utilversion.Version, error) {
	text, from := f.kubeVersion, "--kube-version"
	if text == "" {
		text, from = c.Check.KubeVersion, "check.kubeVersion in "+config.File
	}
	if text == "" {
		text = defaultKubeVersion
	}
	v, err := utilversion.ParseGeneric(text)
	if err != nil {
		return nil, report.Misuse("name the version of the clusters, such as "+defaultKubeVersion, "%s: %q is no version", from, text)
	}
	return v, nil
}

// chosen keeps the clusters that were asked for.
func (f *repositoryFlags) chosen(all []gitops.Cluster) ([]gitops.Cluster, error) {
	if len(f.clusters) == 0 {
		return all, nil
	}
	var names []string
	for _, c := range all {
		names = append(names, c.Name)
	}
	for _, name := range f.clusters {
		if !slices.Contains(names, name) {
			next := "the repository has no cluster"
			if len(names) > 0 {
				next = "use one of " + strings.Join(names, ", ")
			}
			return nil, report.Misuse(next, "--cluster: there is no cluster %q", name)
		}
	}
	return slices.DeleteFunc(all, func(c gitops.Cluster) bool { return !slices.Contains(f.clusters, c.Name) }), nil
}

// long is what takes so long that its progress is told where there is no terminal too.
// Tests of what is printed make it longer: they also run on machines that are busy.
var long = 10 * time.Second

// progress shows how far something is when it takes longer than a moment: on a terminal
// as it goes, elsewhere in one line at the end when it took much longer.
func progress(s *report.Streams, name, did, what string) (step func(done, known int), end func()) {
	const moment = 2 * time.Second
	begin := time.Now()
	var steps *report.Steps
	var state string
	step = func(done, known int) {
		state = fmt.Sprintf("%d of %d", done, known)
		if steps == nil && s.ErrTTY && time.Since(begin) > moment {
			steps = s.Steps(name)
		}
		if steps != nil {
			steps.Set(name, state)
		}
	}
	return step, func() {
		switch took := time.Since(begin); {
		case state == "":
		case steps != nil:
			steps.End(name, state)
			steps.Close()
		case took > long && !s.ErrTTY:
			fmt.Fprintf(s.Err, "%s %s %s in %s\n", did, state, what, report.Duration(took))
		}
	}
}

// pathArg wants no argument or one folder.
func pathArg(cmd *cobra.Command, args []string) error {
	if len(args) > 1 {
		return report.Misuse(cmd.CommandPath()+" --help", "%s takes one folder, got %d arguments", cmd.CommandPath(), len(args))
	}
	return nil
}
