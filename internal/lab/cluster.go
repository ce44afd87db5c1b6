package lab

import (
	"bufio"
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	imagev1 "github.com/fluxcd/image-automation-controller/api/v1"
	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	"github.com/fluxcd/pkg/apis/meta"
	sourcev1 "github.com/fluxcd/source-controller/api/v1"
	"golang.org/x/sync/errgroup"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"lumacore.dev/lumacore/internal/lab/pki"
	"lumacore.dev/lumacore/internal/report"
)

//go:embed manifests/cluster.yaml
var clusterManifests []byte

// Names of the Flux objects that a lab starts from; those of a FluxInstance.
const (
	fluxNamespace = "flux-system"
	syncName      = "flux-system"
	syncPath      = "./clusters/lab"
)

// fieldManager is the owner of what the lab applies.
const fieldManager = "lumacore-lab"

// nodes are the three machines of the reference architecture.
var nodes = []struct {
	name, role, cpu, memory string
}{
	{"server", "control-plane", "4", "8Gi"},
	{"agent-1", "worker", "4", "16Gi"},
	{"agent-2", "worker", "4", "16Gi"},
}

var scheme = func() *runtime.Scheme {
	s := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		clientgoscheme.AddToScheme, apiextensionsv1.AddToScheme,
		kustomizev1.AddToScheme, sourcev1.AddToScheme, imagev1.AddToScheme,
	} {
		if err := add(s); err != nil {
			panic(err)
		}
	}
	return s
}()

// Client returns a client of the lab's API server.
func (l *Lab) Client() (client.WithWatch, error) {
	return newClient(l.Kubeconfig())
}

func newClient(kubeconfig string) (client.WithWatch, error) {
	cfg, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, err
	}
	cfg.QPS, cfg.Burst = 200, 400
	return client.NewWithWatch(cfg, client.Options{Scheme: scheme})
}

// prepare makes the files that components read: certificates, kubeconfigs,
// configuration. It is safe to repeat.
func (l *Lab) prepare(s settings) error {
	for _, dir := range []string{"data", "kubeconfig", "git", "gatekeeper-certs", "tmp"} {
		if err := os.MkdirAll(l.path(dir), 0o700); err != nil {
			return err
		}
	}
	if err := l.makeScratch(); err != nil {
		return err
	}
	for _, name := range append([]string{"gatekeeper", "onepassword-operator"}, fluxControllers...) {
		if err := errors.Join(os.MkdirAll(l.path("data", name), 0o700), os.MkdirAll(filepath.Join(l.scratch(), name), 0o700)); err != nil {
			return err
		}
	}
	if err := report.WriteFile(l.path("data", "onepassword-operator", "namespace"), []byte(operatorNamespace+"\n"), 0o600); err != nil {
		return err
	}
	cert, err := pki.Ensure(l.path("pki"), certs())
	if err != nil {
		return err
	}
	for _, name := range kubeconfigs() {
		if err := writeKubeconfig(l.kubeconfig(name), s.Ports.addr("kube-apiserver"), cert, name); err != nil {
			return err
		}
	}
	for to, from := range map[string]string{
		"tls.crt": cert.CertFile("gatekeeper-webhook"), "tls.key": cert.KeyFile("gatekeeper-webhook"), "ca.crt": cert.CertFile("ca"),
	} {
		b, err := os.ReadFile(from)
		if err != nil {
			return err
		}
		if err := report.WriteFile(l.path("gatekeeper-certs", to), b, 0o600); err != nil {
			return err
		}
	}
	registry := fmt.Sprintf(`# Written by lumacore; the settings of https://distribution.github.io/distribution/about/configuration/
version: 0.1
log: {level: warn, accesslog: {disabled: true}}
storage:
  filesystem: {rootdirectory: %q}
  delete: {enabled: true}
http: {addr: %q}
`, l.path("data", "registry"), s.Ports.addr("registry"))
	if err := report.WriteFile(l.path("registry.yaml"), []byte(registry), 0o600); err != nil {
		return err
	}
	credential := fmt.Sprintf("http://%s:%s@%s\n", gitUser, s.Password, s.Ports.addr("git"))
	return report.WriteFile(l.gitCredentials(), []byte(credential), 0o600)
}

func writeKubeconfig(path, addr string, cert pki.Dir, name string) error {
	read := func(file string) []byte {
		b, _ := os.ReadFile(file) // Ensure has seen that they are there
		return b
	}
	cfg := clientcmdapi.NewConfig()
	cfg.Clusters["lumacore-lab"] = &clientcmdapi.Cluster{Server: "https://" + addr, CertificateAuthorityData: read(cert.CertFile("ca"))}
	cfg.AuthInfos[name] = &clientcmdapi.AuthInfo{
		ClientCertificateData: read(cert.CertFile(name)), ClientKeyData: read(cert.KeyFile(name)),
	}
	cfg.Contexts["lumacore-lab"] = &clientcmdapi.Context{Cluster: "lumacore-lab", AuthInfo: name, Namespace: "default"}
	cfg.CurrentContext = "lumacore-lab"
	b, err := clientcmd.Write(*cfg)
	if err != nil {
		return err
	}
	return report.WriteFile(path, b, 0o600)
}

// setupCluster applies what must be there before the controllers start.
func (l *Lab) setupCluster(ctx context.Context, s settings) error {
	c, err := newClient(l.kubeconfig("supervisor"))
	if err != nil {
		return err
	}
	if err := l.applyCRDs(ctx, c); err != nil {
		return err
	}
	objects, err := decode(clusterManifests)
	if err != nil {
		return err
	}
	objects = append(objects, nodeObjects()...)
	for _, o := range objects { // namespaces stand first in the file
		if err := apply(ctx, c, o); err != nil {
			return err
		}
	}
	return l.writeStages()
}

// yamlFiles returns the paths of the YAML files in a folder, none if it is not
// there.
func yamlFiles(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	var files []string
	for _, e := range entries {
		if ext := filepath.Ext(e.Name()); ext == ".yaml" || ext == ".yml" {
			files = append(files, filepath.Join(dir, e.Name()))
		}
	}
	return files, nil
}

// applyCRDs applies all definitions and waits until the API server serves them.
func (l *Lab) applyCRDs(ctx context.Context, c client.Client) error {
	files, err := yamlFiles(l.Programs.Manifests("crds"))
	if err != nil {
		return err
	}
	if len(files) == 0 {
		return report.Refuse("lumacore lab build", "no custom resource definitions in %s", l.Programs.Manifests("crds"))
	}
	names := map[string]bool{}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(8)
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			return err
		}
		objects, err := decode(b)
		if err != nil {
			return fmt.Errorf("%s: %w", filepath.Base(f), err)
		}
		for _, o := range objects {
			if o.GetKind() != "CustomResourceDefinition" {
				continue
			}
			names[o.GetName()] = true
			g.Go(func() error { return apply(gctx, c, o) })
		}
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return poll(ctx, time.Minute, func() error {
		var list apiextensionsv1.CustomResourceDefinitionList
		if err := c.List(ctx, &list); err != nil {
			return err
		}
		established := 0
		for _, crd := range list.Items {
			for _, cond := range crd.Status.Conditions {
				if names[crd.Name] && cond.Type == apiextensionsv1.Established && cond.Status == apiextensionsv1.ConditionTrue {
					established++
				}
			}
		}
		if established < len(names) {
			return fmt.Errorf("%d of %d custom resource definitions are established", established, len(names))
		}
		return nil
	})
}

// poll calls f until it answers nil; the error of a time-out is f's last one, an
// interruption is told as such.
func poll(ctx context.Context, within time.Duration, f func() error) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	for {
		err := f()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.Canceled) {
				return ctx.Err()
			}
			return fmt.Errorf("not within %s: %w", within, err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func nodeObjects() []*unstructured.Unstructured {
	var list []*unstructured.Unstructured
	for _, n := range nodes {
		node := &corev1.Node{
			TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Node"},
			ObjectMeta: metav1.ObjectMeta{Name: n.name, Labels: map[string]string{
				"kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64", "kubernetes.io/hostname": n.name,
				"node-role.kubernetes.io/" + n.role: "true",
			}, Annotations: map[string]string{"lumacore.dev/simulated": "KWOK reports this node and its pods as ready; nothing runs on it"}},
			Status: corev1.NodeStatus{Capacity: corev1.ResourceList{
				corev1.ResourceCPU: resource.MustParse(n.cpu), corev1.ResourceMemory: resource.MustParse(n.memory), corev1.ResourcePods: resource.MustParse("110"),
			}},
		}
		node.Status.Allocatable = node.Status.Capacity
		u, err := runtime.DefaultUnstructuredConverter.ToUnstructured(node)
		if err != nil {
			panic(err)
		}
		list = append(list, &unstructured.Unstructured{Object: u})
	}
	return list
}

// writeStages writes kwok's configuration: its own stages, of which those for
// volumes are turned from kwok's class to the blueprint's.
func (l *Lab) writeStages() error {
	files, err := yamlFiles(l.Programs.Manifests("stages"))
	if err != nil {
		return err
	}
	// An empty options field would set these three to zero.
	out := bytes.NewBufferString(`apiVersion: config.kwok.x-k8s.io/v1alpha1
kind: KwokConfiguration
options:
  podPlayStageParallelism: 8
  nodePlayStageParallelism: 2
  nodeLeaseParallelism: 2
`)
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "---\n%s\n", strings.ReplaceAll(string(b), "'kwok-volume'", "'longhorn'"))
	}
	return report.WriteFile(l.path("kwok.yaml"), out.Bytes(), 0o600)
}

// registerWebhook registers Gatekeeper's webhooks as the blueprint does, but by
// URL: one for all namespaces that fails open, and one for the namespaces of
// production apps that fails closed. Both ask about workloads only; see
// blueprint/infrastructure/controllers/gatekeeper/values.yaml for why.
func (l *Lab) registerWebhook(ctx context.Context, s settings) error {
	c, err := newClient(l.kubeconfig("supervisor"))
	if err != nil {
		return err
	}
	ca, err := os.ReadFile(pki.Dir(l.path("pki")).CertFile("ca"))
	if err != nil {
		return err
	}
	rule := func(group string, resources ...string) admissionv1.RuleWithOperations {
		scope := admissionv1.NamespacedScope
		return admissionv1.RuleWithOperations{
			Operations: []admissionv1.OperationType{admissionv1.Create, admissionv1.Update},
			Rule:       admissionv1.Rule{APIGroups: []string{group}, APIVersions: []string{"v1"}, Resources: resources, Scope: &scope},
		}
	}
	workloads := []admissionv1.RuleWithOperations{
		rule("", "pods", "pods/ephemeralcontainers", "replicationcontrollers"),
		rule("apps", "daemonsets", "deployments", "replicasets", "statefulsets"),
		rule("batch", "cronjobs", "jobs"),
	}
	register := func(config, name string, fail admissionv1.FailurePolicyType, selector metav1.LabelSelectorRequirement) error {
		url, none, timeout, equivalent := "https://"+s.Ports.addr("gatekeeper-webhook")+"/v1/admit", admissionv1.SideEffectClassNone, int32(3), admissionv1.Equivalent
		u, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&admissionv1.ValidatingWebhookConfiguration{
			TypeMeta:   metav1.TypeMeta{APIVersion: "admissionregistration.k8s.io/v1", Kind: "ValidatingWebhookConfiguration"},
			ObjectMeta: metav1.ObjectMeta{Name: config},
			Webhooks: []admissionv1.ValidatingWebhook{{
				Name: name, FailurePolicy: &fail, SideEffects: &none, TimeoutSeconds: &timeout, MatchPolicy: &equivalent,
				ClientConfig:            admissionv1.WebhookClientConfig{URL: &url, CABundle: ca},
				AdmissionReviewVersions: []string{"v1"},
				NamespaceSelector:       &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{selector}},
				Rules:                   workloads,
			}},
		})
		if err != nil {
			return err
		}
		return apply(ctx, c, &unstructured.Unstructured{Object: u})
	}
	if err := register("gatekeeper-validating-webhook-configuration", "validation.gatekeeper.sh", admissionv1.Ignore,
		metav1.LabelSelectorRequirement{Key: corev1.LabelMetadataName, Operator: metav1.LabelSelectorOpNotIn, Values: []string{"kube-system", "flux-system", "gatekeeper-system", "longhorn-system"}}); err != nil {
		return err
	}
	// Another name than the blueprint's: Flux would prune this one in the lab.
	return register("lumacore-lab-gatekeeper-prod", "prod.validation.gatekeeper.sh", admissionv1.Fail,
		metav1.LabelSelectorRequirement{Key: envLabel, Operator: metav1.LabelSelectorOpIn, Values: []string{"prod"}})
}

// syncFlux points Flux to the lab's Git server, as a FluxInstance's sync does.
func (l *Lab) syncFlux(ctx context.Context, s settings) error {
	c, err := newClient(l.kubeconfig("supervisor"))
	if err != nil {
		return err
	}
	name := metav1.ObjectMeta{Name: syncName, Namespace: fluxNamespace}
	objects := []client.Object{
		&corev1.Secret{
			TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"}, ObjectMeta: name,
			StringData: map[string]string{"username": gitUser, "password": s.Password},
		},
		&sourcev1.GitRepository{
			TypeMeta:   metav1.TypeMeta{APIVersion: sourcev1.GroupVersion.String(), Kind: sourcev1.GitRepositoryKind},
			ObjectMeta: name,
			Spec: sourcev1.GitRepositorySpec{
				URL: l.gitURL(s), Interval: metav1.Duration{Duration: time.Minute},
				Reference: &sourcev1.GitRepositoryRef{Branch: branch},
				SecretRef: &meta.LocalObjectReference{Name: syncName},
			},
		},
		&kustomizev1.Kustomization{
			TypeMeta:   metav1.TypeMeta{APIVersion: kustomizev1.GroupVersion.String(), Kind: kustomizev1.KustomizationKind},
			ObjectMeta: name,
			Spec: kustomizev1.KustomizationSpec{
				Path: syncPath, Prune: true,
				Interval:           metav1.Duration{Duration: 10 * time.Minute},
				RetryInterval:      &metav1.Duration{Duration: 10 * time.Second},
				SourceRef:          kustomizev1.CrossNamespaceSourceReference{Kind: sourcev1.GitRepositoryKind, Name: syncName},
				ServiceAccountName: "kustomize-controller",
				// Where things are in this lab; clusters/lab/settings.env takes it on.
				PostBuild: &kustomizev1.PostBuild{Substitute: map[string]string{"LAB_REGISTRY": s.Ports.addr("registry")}},
			},
		},
	}
	for _, o := range objects {
		u, err := runtime.DefaultUnstructuredConverter.ToUnstructured(o)
		if err != nil {
			return err
		}
		unstructured.RemoveNestedField(u, "status")
		if err := apply(ctx, c, &unstructured.Unstructured{Object: u}); err != nil {
			return err
		}
	}
	return nil
}

// apply is a server-side apply.
func apply(ctx context.Context, c client.Client, o *unstructured.Unstructured) error {
	unstructured.RemoveNestedField(o.Object, "metadata", "creationTimestamp")
	err := c.Apply(ctx, client.ApplyConfigurationFromUnstructured(o), client.ForceOwnership, client.FieldOwner(fieldManager))
	if err != nil {
		return fmt.Errorf("apply %s %s: %w", o.GetKind(), client.ObjectKeyFromObject(o), err)
	}
	return nil
}

// decode reads a stream of YAML documents.
func decode(b []byte) ([]*unstructured.Unstructured, error) {
	var list []*unstructured.Unstructured
	for r := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(b))); ; {
		doc, err := r.Read()
		if errors.Is(err, io.EOF) {
			return list, nil
		}
		if err != nil {
			return nil, err
		}
		var o map[string]any
		if err := yaml.Unmarshal(doc, &o); err != nil {
			return nil, err
		}
		if len(o) > 0 {
			list = append(list, &unstructured.Unstructured{Object: o})
		}
	}
}
