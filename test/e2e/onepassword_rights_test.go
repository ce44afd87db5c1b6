//go:build e2e

package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"lumacore.dev/lumacore/internal/lab"
	"lumacore.dev/lumacore/internal/lab/controlplane"
	"lumacore.dev/lumacore/internal/sim/onepassword"
)

// The role that the blueprint gives the 1Password operator is enough: bound in each
// namespace that it watches and nowhere else, the operator makes Secrets, changes them,
// restarts what uses them and takes them away, and is refused nothing. The chart's own
// role may do far more. In the lab the operator has other rights, because nothing installs
// charts there; hence an API server of its own.
func TestOnePasswordOperatorRights(t *testing.T) {
	ctx := t.Context()
	cache, err := lab.DefaultCache(ctx)
	if err != nil {
		t.Fatal(err)
	}
	s, err := controlplane.Start(ctx, cache.Path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	c, err := client.New(s.Config(), client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	create := func(o client.Object) {
		t.Helper()
		if err := c.Create(ctx, o); err != nil {
			t.Fatal(err)
		}
	}
	apply := func(data []byte) {
		t.Helper()
		u := &unstructured.Unstructured{}
		if err := yaml.Unmarshal(data, &u.Object); err != nil {
			t.Fatal(err)
		}
		create(u)
	}
	crd, _, ok := cache.Definition(onePasswordItem.Group, onePasswordItem.Kind)
	if !ok {
		t.Fatal("the lab's programs have no definition of OnePasswordItem")
	}
	apply(crd)
	role, err := os.ReadFile(filepath.Join(blueprint, "infrastructure/controllers/onepassword/operator.clusterrole.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	apply(role)
	for _, n := range []string{"watched", "too", "other"} {
		create(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: n}})
	}
	const namespace, account = "onepassword", "onepassword-connect-operator"
	for _, n := range []string{"watched", "too"} {
		create(&rbacv1.RoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: account, Namespace: n},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "lumacore-onepassword-operator"},
			Subjects:   []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: namespace, Name: account}},
		})
	}

	// A vault, and the operator as its ServiceAccount.
	dir := t.TempDir()
	store, err := onepassword.OpenStore(filepath.Join(dir, "vaults.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Require([]onepassword.Wanted{{Vault: "home", Title: "database", Fields: []string{"password", "AWS_KEY"}}}, false); err != nil {
		t.Fatal(err)
	}
	connect := httptest.NewServer(onepassword.Handler(store, "token", func() error { return nil }))
	t.Cleanup(connect.Close)
	rc := s.Config()
	kubeconfig := filepath.Join(dir, "kubeconfig")
	err = clientcmd.WriteToFile(clientcmdapi.Config{
		Clusters: map[string]*clientcmdapi.Cluster{"a": {Server: rc.Host, CertificateAuthorityData: rc.CAData, CertificateAuthority: rc.CAFile}},
		AuthInfos: map[string]*clientcmdapi.AuthInfo{"a": {
			ClientCertificateData: rc.CertData, ClientKeyData: rc.KeyData, ClientCertificate: rc.CertFile, ClientKey: rc.KeyFile,
			Impersonate:       "system:serviceaccount:" + namespace + ":" + account,
			ImpersonateGroups: []string{"system:serviceaccounts", "system:serviceaccounts:" + namespace, "system:authenticated"},
		}},
		Contexts:       map[string]*clientcmdapi.Context{"a": {Cluster: "a", AuthInfo: "a"}},
		CurrentContext: "a",
	}, kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	place := filepath.Join(dir, "namespace")
	if err := os.WriteFile(place, []byte(namespace), 0o600); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	operator := exec.Command(cache.Path("onepassword-operator"), "--health-probe-bind-address=0", "--metrics-bind-address=0", "--zap-devel=false", "--zap-log-level=debug")
	operator.Env = []string{
		"KUBECONFIG=" + kubeconfig, "NAMESPACE_FILE=" + place, "WATCH_NAMESPACE=watched,too",
		"OP_CONNECT_HOST=" + connect.URL, "OP_CONNECT_TOKEN=token", "POLLING_INTERVAL=2", "AUTO_RESTART=true",
	}
	operator.Stdout, operator.Stderr = &log, &log
	if err := operator.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = operator.Process.Kill()
		_ = operator.Wait() // it was killed
		if strings.Contains(log.String(), "forbidden") {
			t.Error("the operator was refused something")
		}
		if t.Failed() {
			t.Log(log.String())
		}
	})

	for _, n := range []string{"watched", "too", "other"} {
		o := object(onePasswordItem, n, "database")
		o.Object["spec"] = map[string]any{"itemPath": "vaults/home/items/database"}
		create(o)
	}
	labels := map[string]string{"app": "web"}
	web := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "too"}, Spec: appsv1.DeploymentSpec{Selector: &metav1.LabelSelector{MatchLabels: labels}}}
	web.Spec.Template.Labels = labels
	web.Spec.Template.Spec.Containers = []corev1.Container{{
		Name: "web", Image: "web",
		EnvFrom: []corev1.EnvFromSource{{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: "database"}}}},
	}}
	create(web)
	secret := func(namespace string) (*corev1.Secret, error) {
		var o corev1.Secret
		err := c.Get(ctx, client.ObjectKey{Namespace: namespace, Name: "database"}, &o)
		return &o, err
	}
	for _, n := range []string{"watched", "too"} {
		eventually(t, time.Minute, "Secret in namespace "+n, func() error {
			o, err := secret(n)
			if err == nil && (len(o.Data["password"]) == 0 || len(o.Data["AWS_KEY"]) == 0) {
				err = fmt.Errorf("it has the keys %v", o.Data)
			}
			return err
		})
		eventually(t, 20*time.Second, "OnePasswordItem in namespace "+n, func() error {
			o := object(onePasswordItem, n, "database")
			if err := c.Get(ctx, client.ObjectKeyFromObject(o), o); err != nil {
				return err
			}
			if state := itemState(o); state != "True" {
				return fmt.Errorf("Ready is %s", state)
			}
			return nil
		})
	}
	if _, err := secret("other"); !apierrors.IsNotFound(err) {
		t.Errorf("a Secret in a namespace that nobody watches: %v", err)
	}

	// A new value arrives, and what uses it is restarted.
	ask := func(method, path string, body, into any) {
		t.Helper()
		data, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		r, err := http.NewRequestWithContext(ctx, method, connect.URL+path, bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer token")
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		answer, err := io.ReadAll(res.Body)
		if err == nil {
			err = json.Unmarshal(answer, into)
		}
		if err != nil || res.StatusCode != http.StatusOK {
			t.Fatalf("%s %s: %s %v\n%s", method, path, res.Status, err, answer)
		}
	}
	var vaults, items []struct{ ID string }
	ask("GET", "/v1/vaults?filter="+url.QueryEscape(`title eq "home"`), nil, &vaults)
	path := "/v1/vaults/" + vaults[0].ID + "/items"
	ask("GET", path+"?filter="+url.QueryEscape(`title eq "database"`), nil, &items)
	path += "/" + items[0].ID
	value, times := "", 0
	change := func() {
		t.Helper()
		times++
		value = fmt.Sprintf("changed-%d", times)
		var item map[string]any
		ask("GET", path, nil, &item)
		for _, f := range item["fields"].([]any) {
			if f := f.(map[string]any); f["label"] == "password" {
				f["value"] = value
			}
		}
		ask("PUT", path, item, &item)
	}
	change()
	eventually(t, 30*time.Second, "changed value and restart", func() error {
		o, err := secret("too")
		if err != nil {
			return err
		}
		var d appsv1.Deployment
		if err := c.Get(ctx, client.ObjectKeyFromObject(web), &d); err != nil {
			return err
		}
		got, restarted := string(o.Data["password"]), d.Spec.Template.Annotations["operator.1password.io/last-restarted"] != ""
		if got == value && restarted {
			return nil
		}
		if got == value {
			// A change that arrives while the operator looks at the item itself, as it
			// does after it has made the Secret, is written and restarts nothing: only
			// its rounds do that. The next change is one for a round.
			change()
		}
		return fmt.Errorf("value %s, restarted: %v", got, restarted)
	})

	// With the item goes its Secret.
	if err := c.Delete(ctx, object(onePasswordItem, "too", "database")); err != nil {
		t.Fatal(err)
	}
	eventually(t, 30*time.Second, "Secret of a deleted item", func() error {
		if _, err := secret("too"); !apierrors.IsNotFound(err) {
			return fmt.Errorf("it is still there: %v", err)
		}
		return nil
	})
}
