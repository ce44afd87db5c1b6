//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lumacore.dev/lumacore/internal/evidence"
)

// TestEvidence: the account of the pipeline keeps the records of the mirror and may do nothing
// else; two at a time lose nothing; `lumacore status` shows them; and Flux, which has made the
// ConfigMaps, leaves what is in them.
func TestEvidence(t *testing.T) {
	ctx := context.Background()
	kubeconfig := strings.TrimSpace(shared.run(t, "lab", "kubeconfig").stdout)
	cfg, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Impersonate = rest.ImpersonationConfig{
		UserName: "system:serviceaccount:gitlab-runner-protected:ci-evidence",
		Groups:   []string{"system:serviceaccounts", "system:serviceaccounts:gitlab-runner-protected", "system:authenticated"},
	}
	clientset, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		t.Fatal(err)
	}
	store := evidence.ConfigMaps{Client: clientset, Namespace: evidence.Namespace}
	record := func(subject string, result evidence.Result) evidence.Record {
		return evidence.Record{Kind: evidence.Mirror, Subject: subject, Time: time.Now(), Result: result, Reason: "planted by a test", Figures: map[string]float64{"files": 3}}
	}
	t.Cleanup(func() {
		for _, name := range []string{"evidence-mirror-sync", "evidence-mirror-verify"} {
			m := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: evidence.Namespace, Name: name}}
			_ = shared.client(t).Delete(ctx, m) // Flux makes it anew, empty
		}
	})

	const many = 3
	var wg sync.WaitGroup
	for range many {
		wg.Go(func() {
			if err := store.Add(ctx, record("sync", evidence.Passed)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if err := store.Add(ctx, record("verify", evidence.Failed)); err != nil {
		t.Fatal(err)
	}
	if err := store.Add(ctx, evidence.Record{Kind: evidence.Release, Subject: "prod", Time: time.Now(), Result: evidence.Passed}); err == nil || !strings.Contains(err.Error(), "forbidden") {
		t.Errorf("it may say that a release passed, or something else is wrong: %v", err)
	}
	ci := shared.as(t, cfg.Impersonate.UserName, cfg.Impersonate.Groups...)
	if err := ci.List(ctx, &corev1.SecretList{}, client.InNamespace("gitlab-runner-protected")); err == nil || !strings.Contains(err.Error(), "cannot list resource") {
		t.Errorf("it may read Secrets, or something else is wrong: %v", err)
	}

	// Flux applies the layer again.
	kustomization := schema.GroupVersionKind{Group: "kustomize.toolkit.fluxcd.io", Version: "v1", Kind: "Kustomization"}
	now := time.Now().Format(time.RFC3339Nano)
	patch := client.RawPatch("application/merge-patch+json", fmt.Appendf(nil, `{"metadata":{"annotations":{"reconcile.fluxcd.io/requestedAt":%q}}}`, now))
	if err := shared.client(t).Patch(ctx, object(kustomization, "flux-system", "infra-configs"), patch); err != nil {
		t.Fatal(err)
	}
	eventually(t, time.Minute, "infra-configs is applied again", func() error {
		if got := field(shared.must(t, kustomization, "flux-system", "infra-configs"), "status", "lastHandledReconcileAt"); got != now {
			return fmt.Errorf("the last request is %s", got)
		}
		return nil
	})

	out := strings.Join(strings.Fields(shared.run(t, "status", "--kubeconfig", kubeconfig).stdout), " ")
	for _, want := range []string{" mirror sync 20", " mirror verify never - failed ", " mirror verify failed at "} {
		if !strings.Contains(out, want) {
			t.Errorf("status lacks %q:\n%s", want, out)
		}
	}
	list, err := evidence.ConfigMaps{Client: kubernetes.NewForConfigOrDie(&rest.Config{
		Host: cfg.Host, TLSClientConfig: cfg.TLSClientConfig,
	}), Namespace: evidence.Namespace}.List(ctx)
	if err != nil || len(list) != 2 || len(list[0].Records) != many {
		t.Errorf("%+v %v", list, err)
	}
}
