package lab

import (
	"context"
	"net/http"
	"path/filepath"
	"slices"

	"lumacore.dev/lumacore/internal/lab/controlplane"
	"lumacore.dev/lumacore/internal/lab/pki"
	"lumacore.dev/lumacore/internal/lab/programs"
	"lumacore.dev/lumacore/internal/lab/supervisor"
)

// podCIDR are the addresses of the simulated pods; k3s's default.
const podCIDR = "10.42.0.0/16"

// fluxControllers are the six, with the flags that differ from one to the next.
var fluxControllers = []string{
	"source-controller", "kustomize-controller", "helm-controller",
	"notification-controller", "image-reflector-controller", "image-automation-controller",
}

// serviceAccount returns the user and groups that a pod of this ServiceAccount
// has. Components outside the cluster use them as client certificates, so that
// RBAC holds for them as it does in a real cluster.
func serviceAccount(namespace, name string) (string, []string) {
	return "system:serviceaccount:" + namespace + ":" + name,
		[]string{"system:serviceaccounts", "system:serviceaccounts:" + namespace}
}

// certs are all certificates of a lab.
func certs() []pki.Cert {
	list := append(slices.Clone(controlplane.Certs), []pki.Cert{
		{Name: "admin", User: "lumacore-lab-admin", Groups: []string{"system:masters"}, Client: true},
		{Name: "supervisor", User: "lumacore-lab", Groups: []string{"system:masters"}, Client: true},
		{Name: "kube-controller-manager", User: "system:kube-controller-manager", Client: true},
		{Name: "kube-scheduler", User: "system:kube-scheduler", Client: true},
		{Name: "kwok", User: "lumacore-lab-kwok", Client: true},
		{Name: "git", User: "lumacore-lab-git", Client: true},
		{Name: "gatekeeper-webhook", User: "gatekeeper-webhook", Server: true},
	}...)
	for _, c := range fluxControllers {
		user, groups := serviceAccount("flux-system", c)
		list = append(list, pki.Cert{Name: c, User: user, Groups: groups, Client: true})
	}
	for name, account := range map[string][2]string{
		"gatekeeper":           {"gatekeeper-system", "gatekeeper-admin"},
		"onepassword-operator": {operatorNamespace, operatorAccount},
	} {
		user, groups := serviceAccount(account[0], account[1])
		list = append(list, pki.Cert{Name: name, User: user, Groups: groups, Client: true})
	}
	return list
}

// kubeconfigs names the client certificates that a kubeconfig is written for.
func kubeconfigs() []string {
	return append([]string{"admin", "supervisor", "kube-controller-manager", "kube-scheduler", "kwok", "gatekeeper", "onepassword-operator", "git"}, fluxControllers...)
}

// components is the lab, declared: every part with what it needs. The order of
// the list is the order in which status shows them.
func (l *Lab) components(s settings) []supervisor.Component {
	p, cert := s.Ports, pki.Dir(l.path("pki"))
	data := func(name string) string { return l.path("data", name) }
	probes := &probes{client: cert.HTTPClient("supervisor")}

	list := controlplane.Place{
		Program: l.Programs.Path, Data: data("etcd"), PKI: cert, Client: "supervisor",
		Etcd: p.addr("etcd"), EtcdPeer: p.addr("etcd-peer"), EtcdMetrics: p.addr("etcd-metrics"), APIServer: p.addr("kube-apiserver"),
	}.Components()
	for i := range list {
		if list[i].Name == "kube-apiserver" {
			list[i].Needs = append(list[i].Needs, "policies-forgotten")
		}
	}
	list = append(list, []supervisor.Component{
		{
			Name:  "policies-forgotten",
			Needs: []string{"etcd"},
			Task:  func(ctx context.Context) error { return l.forgetPolicies(ctx, s) },
		},
		{
			Name:  "kube-controller-manager",
			Needs: []string{"kube-apiserver"},
			Path:  l.Programs.Path("kube-controller-manager"),
			Args: []string{
				"--bind-address=127.0.0.1", "--secure-port=" + p.num("kube-controller-manager"),
				"--tls-cert-file=" + cert.CertFile("kube-apiserver"), "--tls-private-key-file=" + cert.KeyFile("kube-apiserver"),
				"--kubeconfig=" + l.kubeconfig("kube-controller-manager"), "--use-service-account-credentials",
				"--service-account-private-key-file=" + cert.KeyFile("sa"), "--root-ca-file=" + cert.CertFile("ca"),
				"--cluster-cidr=" + podCIDR, "--allocate-node-cidrs",
				"--leader-elect=false", "--profiling=false",
			},
			Ready: probes.https(p.addr("kube-controller-manager"), "/healthz"),
		},
		{
			Name:  "kube-scheduler",
			Needs: []string{"kube-apiserver"},
			Path:  l.Programs.Path("kube-scheduler"),
			Args: []string{
				"--bind-address=127.0.0.1", "--secure-port=" + p.num("kube-scheduler"),
				"--tls-cert-file=" + cert.CertFile("kube-apiserver"), "--tls-private-key-file=" + cert.KeyFile("kube-apiserver"),
				"--kubeconfig=" + l.kubeconfig("kube-scheduler"), "--leader-elect=false", "--profiling=false",
			},
			Ready: probes.https(p.addr("kube-scheduler"), "/healthz"),
		},
		{
			// What the blueprint's controllers would have installed in a real
			// cluster before the first sync.
			Name:  "cluster-setup",
			Needs: []string{"kube-apiserver"},
			Task:  func(ctx context.Context) error { return l.setupCluster(ctx, s) },
		},
		{
			Name:  "kwok",
			Needs: []string{"cluster-setup"},
			Path:  l.Programs.Path("kwok"),
			Args: []string{
				"--kubeconfig=" + l.kubeconfig("kwok"), "--config=" + l.path("kwok.yaml"),
				"--manage-all-nodes=true",
				// No leases: their holder is a new one at every start, which would
				// leave pods alone until the old one's lease has run out, and
				// sometimes for ever. The nodes' heartbeat is in their status.
				"--node-lease-duration-seconds=0",
				"--node-ip=10.0.0.1", "--cidr=" + podCIDR,
				"--server-address=" + p.addr("kwok"),
			},
			Ready: probes.http("http://" + p.addr("kwok") + "/healthz"),
		},
		{
			Name:  "git",
			Path:  l.Self,
			Args:  []string{"lab", "serve-git", "--dir=" + l.Dir},
			Ready: probes.http("http://" + p.addr("git") + "/healthz"),
		},
		{
			Name:  "git-seed",
			Needs: []string{"git"},
			Task:  func(ctx context.Context) error { return l.seedGit(ctx, s) },
		},
		{
			Name:  "registry",
			Path:  l.Programs.Path("registry"),
			Args:  []string{"serve", l.path("registry.yaml")},
			Env:   []string{"OTEL_TRACES_EXPORTER=none"},
			Ready: probes.http("http://" + p.addr("registry") + "/v2/"),
		},
		{
			Name:  "beacon-image",
			Needs: []string{"registry"},
			Task:  func(ctx context.Context) error { return l.seedImage(ctx, s) },
		},
		{
			Name:  "charts",
			Needs: []string{"registry"},
			Task:  func(ctx context.Context) error { return l.seedCharts(ctx, s) },
		},
	}...)
	for _, name := range fluxControllers {
		list = append(list, l.fluxController(name, p, probes))
	}
	list = append(list,
		supervisor.Component{
			Name:  "gatekeeper",
			Needs: []string{"cluster-setup"},
			Path:  l.Programs.Path("gatekeeper"),
			Args: []string{
				"--port=" + p.num("gatekeeper-webhook"), "--host=127.0.0.1",
				"--health-addr=" + p.addr("gatekeeper"), "--metrics-addr=" + p.addr("gatekeeper-metrics"),
				// Its own metrics: the default back-end listens on all interfaces
				// and can not be told otherwise; this one listens on none, and
				// before it would send anything the lab is gone.
				"--metrics-backend=opentelemetry", "--otlp-endpoint=127.0.0.1:1", "--otlp-metric-interval=8760h",
				"--cert-dir=" + l.path("gatekeeper-certs"), "--disable-cert-rotation",
				// One process has all roles of the chart's two Deployments but
				// mutation, which the blueprint does not use. Without "generate" no
				// CRD is made for a ConstraintTemplate.
				"--operation=webhook", "--operation=audit", "--operation=status", "--operation=generate",
				"--exempt-namespace=gatekeeper-system", // as the chart does: it may carry the ignore label
				"--audit-interval=15", "--constraint-violations-limit=20",
				// Audit only what constraints speak of; listing every kind of object
				// every few seconds would keep a core busy.
				"--audit-match-kind-only=true", "--api-cache-dir=" + data("gatekeeper"),
				// The default of 30 s gives API servers of a real cluster time to
				// learn of the CRD; here there is one.
				"--default-wait-for-vapb-generation=1",
				"--log-denies", "--shutdown-delay=0", "--log-level=INFO",
			},
			Env: []string{
				"KUBECONFIG=" + l.kubeconfig("gatekeeper"), "NAMESPACE=gatekeeper-system",
				"POD_NAMESPACE=gatekeeper-system", "POD_NAME=gatekeeper-process",
			},
			Ready: probes.http("http://" + p.addr("gatekeeper") + "/readyz"),
		},
		supervisor.Component{
			// Gatekeeper's webhook is registered once it answers: before that, it
			// would refuse what it is set to fail closed on.
			Name:  "gatekeeper-webhook",
			Needs: []string{"gatekeeper"},
			Task:  func(ctx context.Context) error { return l.registerWebhook(ctx, s) },
		},
		supervisor.Component{
			Name:  "onepassword-connect",
			Needs: []string{"git-seed"}, // which items there are stands in Git
			Path:  l.Self,
			Args:  []string{"lab", "serve-connect", "--dir=" + l.Dir},
			Ready: probes.http("http://" + p.addr("onepassword-connect") + "/heartbeat"),
		},
		supervisor.Component{
			Name:  "onepassword-rights",
			Needs: []string{"flux-sync"}, // Flux applies the role
			Task:  l.bindOperator,
		},
		supervisor.Component{
			Name:  "onepassword-operator",
			Needs: []string{"onepassword-rights", "onepassword-connect"},
			Path:  l.Programs.Path("onepassword-operator"),
			Args: []string{
				"--health-probe-bind-address=" + p.addr("onepassword-operator"), "--metrics-bind-address=0",
				"--zap-devel=false", "--zap-stacktrace-level=panic",
			},
			Env: []string{
				"KUBECONFIG=" + l.kubeconfig("onepassword-operator"),
				"NAMESPACE_FILE=" + l.path("data", "onepassword-operator", "namespace"),
				"WATCH_NAMESPACE=", // all
				"OP_CONNECT_HOST=http://" + p.addr("onepassword-connect"), "OP_CONNECT_TOKEN=" + s.ConnectToken,
				// How often it looks for changed values. Ten minutes by default; a
				// person is waiting here.
				"POLLING_INTERVAL=5",
				"AUTO_RESTART=true",
			},
			Ready: probes.http("http://" + p.addr("onepassword-operator") + "/readyz"),
		},
		supervisor.Component{
			Name:  "flux-sync",
			Needs: []string{"cluster-setup", "git-seed", "source-controller", "kustomize-controller"},
			Task:  func(ctx context.Context) error { return l.syncFlux(ctx, s) },
		},
	)
	return list
}

// fluxController declares one of the six. What the flags have in common is what
// a FluxInstance with `multitenant: true` sets, so that a Kustomization without
// a ServiceAccount fails here as it would there.
func (l *Lab) fluxController(name string, p Ports, probes *probes) supervisor.Component {
	c := supervisor.Component{
		Name:  name,
		Needs: []string{"cluster-setup"},
		Path:  l.Programs.Path(name),
		Args: []string{
			"--enable-leader-election=false", "--watch-all-namespaces",
			"--health-addr=" + p.addr(name), "--metrics-addr=" + p.addr(name+"-metrics"),
			"--log-level=info", "--log-encoding=json",
		},
		Env: []string{
			"KUBECONFIG=" + l.kubeconfig(name), "RUNTIME_NAMESPACE=flux-system",
			"TMPDIR=" + filepath.Join(l.scratch(), name), "HOME=" + filepath.Join(l.scratch(), name),
		},
		Ready: probes.http("http://" + p.addr(name) + "/readyz"),
	}
	if name == "notification-controller" {
		c.Args = append(c.Args, "--events-addr="+p.addr("notification-controller-events"),
			"--receiverAddr="+p.addr("notification-controller-receiver"))
	} else {
		c.Args = append(c.Args, "--events-addr=http://"+p.addr("notification-controller-events")+"/")
	}
	switch name {
	case "source-controller":
		c.Args = append(c.Args, "--storage-path="+l.path("data", "source-controller"),
			"--storage-addr="+p.addr("source-controller-artifacts"), "--storage-adv-addr="+p.addr("source-controller-artifacts"))
	case "kustomize-controller":
		c.Args = append(c.Args, "--no-cross-namespace-refs=true", "--no-remote-bases=true", "--default-service-account=default",
			// How often a Kustomization looks whether what it depends on is
			// ready. 30 s by default; a person is waiting here.
			"--requeue-dependency=250ms", "--concurrent=10", "--concurrent-ssa=10",
			// Substitution asks for its ConfigMap once per object.
			"--feature-gates=CacheSecretsAndConfigMaps=true")
		// Every build parses Kubernetes' OpenAPI; a larger heap halves the time
		// that the collector takes for what is thrown away at once.
		c.Env = append(c.Env, "GOGC=300")
	case "helm-controller":
		c.Args = append(c.Args, "--no-cross-namespace-refs=true", "--default-service-account=default",
			"--graceful-shutdown-timeout=5s", "--requeue-dependency=1s")
	case "notification-controller", "image-automation-controller":
		c.Args = append(c.Args, "--no-cross-namespace-refs=true")
	case "image-reflector-controller":
		c.Args = append(c.Args, "--no-cross-namespace-refs=true", "--storage-path="+l.path("data", "image-reflector-controller"),
			"--requeue-dependency=250ms")
	}
	return c
}

// mode says whether a component is the real program or stands in for something.
func mode(name string) string {
	if name == "kwok" || name == "onepassword-connect" {
		return "simulated"
	}
	return "real"
}

// version returns the version of a component's program; tasks and lumacore's own
// servers have lumacore's.
func version(name, own string) string {
	if v := programs.Version(name); v != "" {
		return v
	}
	return own
}

// probes ask components whether they are ready.
type probes struct{ client *http.Client }

func (p *probes) https(addr, path string) func(context.Context) error {
	return p.http("https://" + addr + path)
}

func (p *probes) http(url string) func(context.Context) error { return supervisor.HTTP(p.client, url) }
