package cli

import (
	"context"
	"errors"
	"io/fs"
	"os"
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
	flags.StringVar(&f.server, "dry-run", "", "also have an API server try all objects and store nothing: `lab|KUBECONFIG`, lab for one of this machine's own, which needs no cluster")
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
	if _, err := os.Stat(f.server); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return report.Misuse("use --dry-run=lab, or the path of a kubeconfig", "--dry-run: there is no file %s", f.server)
		}
		return report.Misuse("use --dry-run=lab, or the path of a kubeconfig", "--dry-run: %w", err)
	}
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(
		&clientcmd.ClientConfigLoadingRules{ExplicitPath: f.server},
		&clientcmd.ConfigOverrides{CurrentContext: f.context}).ClientConfig()
	if err != nil {
		return report.Misuse("see what `kubectl config get-contexts` says of it", "--dry-run: kubeconfig %s: %w", f.server, err)
	}
	in.APIServer = func(context.Context) (*rest.Config, func(), error) { return config, func() {}, nil }
	return nil
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
	in.Throwaway = true
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
