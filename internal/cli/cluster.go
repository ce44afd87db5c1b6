package cli

import (
	"time"

	"github.com/spf13/pflag"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"lumacore.dev/lumacore/internal/report"
)

// clusterFlags lead to the owner's cluster, as those of kubectl do.
type clusterFlags struct {
	kubeconfig string
	context    string
}

func (f *clusterFlags) add(fs *pflag.FlagSet) {
	fs.StringVar(&f.kubeconfig, "kubeconfig", "", "`file` that leads to the cluster (default as kubectl; within a pod, its own account)")
	fs.StringVar(&f.context, "kube-context", "", "`context` of the kubeconfig (default its current one)")
}

// given tells whether somebody has named a cluster.
func (f *clusterFlags) given() bool { return f.kubeconfig != "" || f.context != "" }

// client leads to the cluster; nil if none was named and there is no kubeconfig.
func (f *clusterFlags) client() (kubernetes.Interface, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = f.kubeconfig
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{CurrentContext: f.context}).ClientConfig()
	if clientcmd.IsEmptyConfig(err) && !f.given() {
		return nil, nil
	}
	if err != nil {
		return nil, report.Misuse("name another with --kubeconfig", "no cluster: %w", err)
	}
	config.Timeout = 30 * time.Second
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, report.Misuse("name another with --kubeconfig", "no cluster: %w", err)
	}
	return client, nil
}
