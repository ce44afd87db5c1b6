package cli

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	_ "k8s.io/client-go/plugin/pkg/client/auth" // what kubeconfigs may ask for beside programs
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"lumacore.dev/lumacore/internal/check"
	"lumacore.dev/lumacore/internal/lab"
	"lumacore.dev/lumacore/internal/lab/controlplane"
	"lumacore.dev/lumacore/internal/report"
)

// dryRunLab is the value of --dry-run for an API server of the lab's programs.
const dryRunLab = "lab"

// dryRunFlags say on which API server the render is tried.
type dryRunFlags struct {
	streams *report.Streams
	server  string // "", dryRunLab, or a kubeconfig
	context string // of the kubeconfig
}

func (f *dryRunFlags) add(flags *pflag.FlagSet) {
	flags.StringVar(&f.server, "dry-run", "", "also have an API `server` try all objects and store nothing: lab for one of this machine's own, which needs no cluster, or the path of a kubeconfig")
	flags.StringVar(&f.context, "kube-context", "", "`context` of the kubeconfig of --dry-run (default its current one)")
}

// prepare gives the gates the API server that was asked for, and finds out at once when
// it can not be had.
func (f *dryRunFlags) prepare(ctx context.Context, in *check.Input) error {
	switch f.server {
	case "":
		if f.context != "" {
			return report.Misuse("name the kubeconfig with --dry-run", "--kube-context %s: there is no kubeconfig", f.context)
		}
		return nil
	case dryRunLab:
		if f.context != "" {
			return report.Misuse("leave out --kube-context, or name a kubeconfig with --dry-run", "--kube-context %s: the lab's programs need no kubeconfig", f.context)
		}
		return f.prepareLab(ctx, in)
	}
	config, err := f.config()
	if err != nil {
		return err
	}
	in.APIServer = func(context.Context) (*rest.Config, func(), error) { return config, func() {}, nil }
	return nil
}

// config reads the kubeconfig. Unlike kubectl it falls back to nothing: what is not in
// the file that was named is missing.
func (f *dryRunFlags) config() (*rest.Config, error) {
	misuse := func(next, format string, args ...any) error {
		return report.Misuse(next, "--dry-run: "+format, args...)
	}
	rules := &clientcmd.ClientConfigLoadingRules{ExplicitPath: f.server}
	kubeconfig, err := rules.Load()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, misuse("use --dry-run=lab, or the path of a kubeconfig", "there is no file %s", f.server)
	case err != nil:
		return nil, misuse("use --dry-run=lab, or the path of a kubeconfig", "%s is no kubeconfig: %w", f.server, err)
	case len(kubeconfig.Contexts) == 0:
		return nil, misuse("see what `kubectl config get-contexts` says of it", "kubeconfig %s has no context", f.server)
	}
	known := "use --kube-context with one of " + strings.Join(slices.Sorted(maps.Keys(kubeconfig.Contexts)), ", ")
	name := cmp.Or(f.context, kubeconfig.CurrentContext)
	if name == "" {
		return nil, misuse(known, "kubeconfig %s has no current context", f.server)
	}
	c := kubeconfig.Contexts[name]
	if c == nil {
		return nil, misuse(known, "kubeconfig %s has no context %q", f.server, name)
	}
	if kubeconfig.Clusters[c.Cluster] == nil || c.AuthInfo != "" && kubeconfig.AuthInfos[c.AuthInfo] == nil {
		return nil, misuse(known, "context %q of kubeconfig %s names the cluster %q and the user %q, and not both are there", name, f.server, c.Cluster, c.AuthInfo)
	}
	config, err := clientcmd.NewNonInteractiveClientConfig(*kubeconfig, name, &clientcmd.ConfigOverrides{}, rules).ClientConfig()
	if err != nil {
		return nil, misuse("see what `kubectl config view` says of it", "kubeconfig %s: %w", f.server, err)
	}
	return config, nil
}

// prepareLab has an API server of the lab's programs started whenever a gate asks for
// one. What is not compiled yet is compiled now.
func (f *dryRunFlags) prepareLab(ctx context.Context, in *check.Input) error {
	cache, err := lab.DefaultCache(ctx)
	if err != nil {
		return err
	}
	if missing := cache.Missing(controlplane.Programs...); len(missing) > 0 {
		steps := f.streams.Steps(missing...)
		steps.Note("--dry-run=lab compiles what it runs, once: %s", strings.Join(missing, " and "))
		err := cache.Build(ctx, steps, controlplane.Programs...)
		steps.Close()
		if err != nil {
			return err
		}
	}
	if !cache.Gathered() {
		steps := f.streams.Steps()
		err := cache.Gather(ctx, steps)
		steps.Close()
		if err != nil {
			return err
		}
	}
	in.Throwaway, in.Definition = true, cache.Definition
	in.APIServer = func(ctx context.Context) (*rest.Config, func(), error) {
		s, err := controlplane.Start(ctx, cache.Path)
		if err != nil {
			return nil, nil, err
		}
		return s.Config(), func() { _ = s.Stop() }, nil // what stays is removed by the next start
	}
	return nil
}

// fits refuses one cluster's API server for several clusters.
func (f *dryRunFlags) fits(r *repository) error {
	if f.server == "" || f.server == dryRunLab || len(r.result.Clusters) < 2 {
		return nil
	}
	var names []string
	for _, c := range r.result.Clusters {
		names = append(names, c.Name)
	}
	return report.Misuse("say with --cluster which one it is", "--dry-run: a kubeconfig leads to one cluster, and the repository has %s", strings.Join(names, ", "))
}
