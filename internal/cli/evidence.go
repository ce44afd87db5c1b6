package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"lumacore.dev/lumacore/internal/evidence"
	"lumacore.dev/lumacore/internal/exporter"
	"lumacore.dev/lumacore/internal/report"
)

// evidenceStore is where evidence is.
type evidenceStore interface {
	Add(ctx context.Context, r evidence.Record) error
	List(ctx context.Context) ([]*evidence.History, error)
}

// evidenceCluster is the value of --evidence for the ConfigMaps of a cluster.
const evidenceCluster = "cluster"

// evidenceFlags say where evidence is.
type evidenceFlags struct {
	where   string
	cluster clusterFlags
}

func (f *evidenceFlags) add(fs *pflag.FlagSet, where, usage string) {
	fs.StringVar(&f.where, "evidence", where, usage+": cluster, for ConfigMaps in "+evidence.Namespace+", or the path of a folder")
	f.cluster.add(fs)
}

// open returns the store; nil if none is named.
func (f *evidenceFlags) open() (evidenceStore, error) {
	if f.where != evidenceCluster && f.cluster.given() {
		return nil, report.Misuse("leave them out, or use --evidence cluster", "--kubeconfig and --kube-context lead to a cluster, and the evidence is in none")
	}
	switch f.where {
	case "":
		return nil, nil
	case evidenceCluster:
	default:
		return evidence.Folder{Dir: f.where}, nil
	}
	client, err := f.cluster.client()
	switch {
	case err != nil:
		return nil, err
	case client == nil:
		return nil, report.Misuse("name one with --kubeconfig, or a folder with --evidence", "evidence is read from and kept in a cluster, and there is no kubeconfig that leads to one")
	}
	return evidence.ConfigMaps{Client: client, Namespace: evidence.Namespace}, nil
}

// must is open for verbs that are nothing without a store.
func (f *evidenceFlags) must() (evidenceStore, error) {
	if f.where == "" {
		return nil, report.Misuse("--evidence cluster, or the path of a folder", "--evidence is empty")
	}
	return f.open()
}

func newStatus(s *report.Streams) *cobra.Command {
	var from evidenceFlags
	var out report.Outputs
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show what was proven, and how long ago",
		Long: `Status shows of each subject when it last passed (a mirror that was synchronised, a release
that came to an end) and what became of it since. What is not in the list was never proven.

EXIT STATUS
  0  the evidence was read, whatever it says
  1  it could not be read
  2  wrong use, or an internal error`,
		Example: `  lumacore status

  # whatever has not passed for a week
  lumacore status -o json | jq '.evidence[] | select((.ageSeconds // 1e9) > 7 * 86400)'`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := out.Validate(); err != nil {
				return err
			}
			store, err := from.must()
			if err != nil {
				return err
			}
			list, err := store.List(cmd.Context())
			if err != nil {
				return report.Refuse("", "%w", err)
			}
			return out.Write(s, evidence.NewStatus(from.where, list, time.Now()))
		},
	}
	from.add(cmd.Flags(), evidenceCluster, "`where` evidence is read")
	out.AddFlags(cmd.Flags(), report.Text, report.JSON)
	return cmd
}

func newExporter(s *report.Streams) *cobra.Command {
	var from evidenceFlags
	var listen string
	cmd := &cobra.Command{
		Use:   "exporter",
		Short: "Serve the age of evidence as metrics for Prometheus",
		Long: `Exporter serves /metrics with the age of what was proven, and /healthz. It reads the evidence
anew whenever it is asked, and writes nothing. It ends when it is told to (SIGTERM, Ctrl-C).

EXIT STATUS
  0  it was told to end
  1  it cannot listen there
  2  wrong use, or an internal error`,
		Example: `  lumacore exporter --listen 127.0.0.1:9090 --evidence ./evidence`,
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			store, err := from.must()
			if err != nil {
				return err
			}
			var config net.ListenConfig
			l, err := config.Listen(cmd.Context(), "tcp", listen)
			if err != nil {
				return report.Refuse("name another address with --listen", "%w", err)
			}
			fmt.Fprintf(s.Err, "serving http://%s/metrics\n", l.Addr())
			return exporter.Serve(cmd.Context(), l, exporter.Handler(store, time.Now, func(err error) { fmt.Fprintln(s.Err, err) }))
		},
	}
	from.add(cmd.Flags(), evidenceCluster, "`where` evidence is read")
	cmd.Flags().StringVar(&listen, "listen", ":8080", "`address` to serve on")
	return cmd
}

// keep does something and keeps a record of how it ended, which do may complete. It returns
// the error of do, and that of a record that could not be kept: a proof that nobody can find
// is none. Without a store it only does.
func keep(ctx context.Context, store evidenceStore, r *evidence.Record, do func() error) error {
	err := do()
	if store == nil {
		return err
	}
	// Also of what was interrupted.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	r.Time, r.Result = time.Now(), evidence.Passed
	if err != nil {
		r.Result, r.Reason = evidence.Failed, cmp.Or(r.Reason, err.Error())
	}
	if errors.Is(err, context.Canceled) {
		r.Reason = "it was interrupted"
	}
	kerr := store.Add(ctx, *r)
	switch {
	case kerr == nil:
		return err
	case err == nil:
		return report.Refuse("mend that, and run the same command again", "it is done, and not on record: %w", kerr)
	}
	return fmt.Errorf("%w; and it is not on record: %w", err, kerr) // what to do next is that of err
}
