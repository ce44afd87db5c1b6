// Package controlplane declares etcd and kube-apiserver, and can run the two alone.
//
// The lab runs them among others ([Place.Components]). [Start] runs them in a
// temporary folder, for as long as somebody needs an API server that is empty: it has
// Kubernetes' own objects, no node, and no controller that would act on anything. It
// is on loopback alone and takes only the certificate that it was started with.
package controlplane

import (
	"net"
	"time"

	"lumacore.dev/lumacore/internal/lab/pki"
	"lumacore.dev/lumacore/internal/lab/supervisor"
)

// ServiceCIDR are the addresses of Services; k3s's default.
const ServiceCIDR = "10.43.0.0/16"

// Programs are those that a control plane needs.
var Programs = []string{"etcd", "kube-apiserver"}

// Certs are the certificates that a control plane needs.
var Certs = []pki.Cert{
	{Name: "etcd", User: "etcd", Server: true, Client: true},
	{Name: "kube-apiserver-etcd", User: "kube-apiserver", Client: true},
	{Name: "kube-apiserver", User: "kube-apiserver", Server: true, Hosts: []string{
		"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local",
	}},
}

// Place is where a control plane is.
type Place struct {
	Program func(name string) string // the path of one of Programs
	Data    string                   // folder of etcd's data
	PKI     pki.Dir                  // has Certs, and Client
	Client  string                   // name of the certificate with which it is asked whether it is ready

	// Addresses on loopback.
	Etcd, EtcdPeer, EtcdMetrics, APIServer string
}

// Components declares etcd, and kube-apiserver, which needs it.
func (p Place) Components() []supervisor.Component {
	cert, client := p.PKI, p.PKI.HTTPClient(p.Client)
	_, port, _ := net.SplitHostPort(p.APIServer)
	return []supervisor.Component{
		{
			// Client certificates are required: on a machine with several users
			// loopback alone is no protection.
			Name: "etcd",
			Path: p.Program("etcd"),
			Args: []string{
				"--name=lab", "--data-dir=" + p.Data,
				"--listen-client-urls=https://" + p.Etcd, "--advertise-client-urls=https://" + p.Etcd,
				"--listen-peer-urls=https://" + p.EtcdPeer, "--initial-advertise-peer-urls=https://" + p.EtcdPeer,
				"--initial-cluster=lab=https://" + p.EtcdPeer,
				"--listen-metrics-urls=http://" + p.EtcdMetrics,
				"--trusted-ca-file=" + cert.CertFile("ca"), "--client-cert-auth",
				"--cert-file=" + cert.CertFile("etcd"), "--key-file=" + cert.KeyFile("etcd"),
				"--peer-trusted-ca-file=" + cert.CertFile("ca"), "--peer-client-cert-auth",
				"--peer-cert-file=" + cert.CertFile("etcd"), "--peer-key-file=" + cert.KeyFile("etcd"),
				// Without fsync a killed process loses nothing; only a crash of
				// the machine could, and a lab is made anew in seconds.
				"--unsafe-no-fsync",
				"--auto-compaction-mode=periodic", "--auto-compaction-retention=10m",
				"--log-level=warn",
			},
			Ready: supervisor.HTTP(client, "http://"+p.EtcdMetrics+"/health"),
		},
		{
			Name:  "kube-apiserver",
			Needs: []string{"etcd"},
			Path:  p.Program("kube-apiserver"),
			Args: []string{
				"--bind-address=127.0.0.1", "--secure-port=" + port,
				// On loopback alone: nothing may reconcile the kubernetes Service
				// to it: the endpoint of a Service may not be
				// a loopback address.
				"--advertise-address=127.0.0.1", "--endpoint-reconciler-type=none",
				"--etcd-servers=https://" + p.Etcd, "--etcd-cafile=" + cert.CertFile("ca"),
				"--etcd-certfile=" + cert.CertFile("kube-apiserver-etcd"), "--etcd-keyfile=" + cert.KeyFile("kube-apiserver-etcd"),
				"--tls-cert-file=" + cert.CertFile("kube-apiserver"), "--tls-private-key-file=" + cert.KeyFile("kube-apiserver"),
				"--client-ca-file=" + cert.CertFile("ca"),
				"--anonymous-auth=false", "--authorization-mode=Node,RBAC",
				"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
				"--service-account-key-file=" + cert.PublicKeyFile("sa"), "--service-account-signing-key-file=" + cert.KeyFile("sa"),
				"--service-cluster-ip-range=" + ServiceCIDR,
				// k3s allows privileged containers too; which namespace may have
				// them is decided by Pod Security, which is on by default, as is
				// ValidatingAdmissionPolicy.
				"--allow-privileged=true",
				"--profiling=false", "--shutdown-delay-duration=0s",
			},
			Ready: supervisor.HTTP(client, "https://"+p.APIServer+"/readyz"),
			Grace: 15 * time.Second,
		},
	}
}
