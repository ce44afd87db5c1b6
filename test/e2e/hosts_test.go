//go:build e2e

package e2e

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"lumacore.dev/lumacore/internal/lab"
	"lumacore.dev/lumacore/internal/lab/controlplane"
)

// k3sConfig is what the tests read of hosts/k3s/server.yaml.
type k3sConfig struct {
	APIServer         []string `json:"kube-apiserver-arg"`
	ControllerManager []string `json:"kube-controller-manager-arg"`
}

const k3sServerDir = "/var/lib/rancher/k3s/server/"

// TestK3sAPIServer starts an API server with the arguments, the admission configuration
// and the audit policy that the blueprint gives to k3s, and tries what they promise.
func TestK3sAPIServer(t *testing.T) {
	const folder = "../../blueprint/hosts/k3s/"
	ctx := t.Context()
	cache, err := lab.DefaultCache(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var config k3sConfig
	b, err := os.ReadFile(folder + "server.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(b, &config); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, name := range []string{"admission.yaml", "audit.yaml"} {
		b, err := os.ReadFile(folder + name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "logs"), 0o700); err != nil {
		t.Fatal(err)
	}
	var args []string
	files := 0
	for _, arg := range config.APIServer {
		if strings.Contains(arg, k3sServerDir) {
			arg = strings.Replace(arg, k3sServerDir, dir+"/", 1)
			files++
		}
		args = append(args, "--"+arg)
	}
	if len(args) < 8 || files != 3 {
		t.Fatalf("%d arguments, %d of them files: server.yaml or the test is wrong", len(args), files)
	}
	s, err := controlplane.Start(ctx, cache.Path, args...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	admin := s.Config()
	admin.WarningHandler = rest.NoWarnings{} // Pod Security's, of pods that are let in
	c, err := client.New(admin, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	create := func(t *testing.T, o client.Object) {
		t.Helper()
		if err := c.Create(ctx, o); err != nil {
			t.Fatal(err)
		}
	}
	meta := func(namespace, name string) metav1.ObjectMeta {
		return metav1.ObjectMeta{Namespace: namespace, Name: name}
	}
	labelled := &corev1.Namespace{ObjectMeta: meta("", "agents")}
	labelled.Labels = map[string]string{"pod-security.kubernetes.io/enforce": "privileged"}
	create(t, labelled)
	create(t, &corev1.Namespace{ObjectMeta: meta("", "plain")})
	for _, ns := range []string{"plain", "agents", "kube-system"} {
		// The controller manager's work, which does not run here.
		create(t, &corev1.ServiceAccount{ObjectMeta: meta(ns, "default")})
	}

	t.Run("Pod Security", func(t *testing.T) {
		root := func(ns string) *corev1.Pod {
			return &corev1.Pod{ObjectMeta: meta(ns, "root"), Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "example.invalid/main:1"}}}}
		}
		if err := c.Create(ctx, root("plain")); err == nil || !strings.Contains(err.Error(), `violates PodSecurity "restricted:latest"`) {
			t.Errorf("in a namespace that says nothing: %v", err)
		}
		create(t, root("agents"))
		create(t, root("kube-system"))
	})

	t.Run("events", func(t *testing.T) {
		var refused error
		for i := 0; i < 1000 && refused == nil; i++ {
			refused = c.Create(ctx, &corev1.Event{
				ObjectMeta: meta("plain", fmt.Sprintf("event-%d", i)), InvolvedObject: corev1.ObjectReference{Namespace: "plain"},
			})
		}
		if !apierrors.IsTooManyRequests(refused) || !strings.Contains(refused.Error(), "limit reached on type Namespace for key plain") {
			t.Errorf("1000 events at once: %v", refused)
		}
	})

	t.Run("audit", func(t *testing.T) {
		const value = "correct horse battery staple"
		create(t, &corev1.Secret{ObjectMeta: meta("plain", "password"), StringData: map[string]string{"value": value}})
		create(t, &rbacv1.Role{ObjectMeta: meta("plain", "reader"), Rules: []rbacv1.PolicyRule{
			{APIGroups: []string{""}, Resources: []string{"secrets", "configmaps"}, Verbs: []string{"get", "list"}},
		}})
		create(t, &rbacv1.RoleBinding{
			ObjectMeta: meta("plain", "reader"), RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "reader"},
			Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: "plain", Name: "default"}},
		})
		create(t, &corev1.ConfigMap{ObjectMeta: meta("plain", "settings"), Data: map[string]string{"key": "value"}})

		// A machine: it reads a ConfigMap and a Secret.
		var token authenticationv1.TokenRequest
		if err := c.SubResource("token").Create(ctx, &corev1.ServiceAccount{ObjectMeta: meta("plain", "default")}, &token); err != nil {
			t.Fatal(err)
		}
		machine, err := client.New(&rest.Config{
			Host: admin.Host, BearerToken: token.Status.Token, TLSClientConfig: rest.TLSClientConfig{CAData: admin.CAData},
		}, client.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := machine.Get(ctx, client.ObjectKey{Namespace: "plain", Name: "settings"}, &corev1.ConfigMap{}); err != nil {
			t.Fatal(err)
		}
		if err := machine.Get(ctx, client.ObjectKey{Namespace: "plain", Name: "password"}, &corev1.Secret{}); err != nil {
			t.Fatal(err)
		}
		// A person: reads the same, and last something to wait for.
		if err := c.Get(ctx, client.ObjectKey{Namespace: "plain", Name: "settings"}, &corev1.ConfigMap{}); err != nil {
			t.Fatal(err)
		}
		create(t, &corev1.ConfigMap{ObjectMeta: meta("plain", "the-end")})

		const person, account = "lumacore-check", "system:serviceaccount:plain:default"
		var events []auditv1.Event
		var text string
		eventually(t, 10*time.Second, "the last request is in the audit log", func() error {
			b, err := os.ReadFile(filepath.Join(dir, "logs", "audit.log"))
			if err != nil {
				return err
			}
			text, events = string(b), nil
			lines := bufio.NewScanner(strings.NewReader(text))
			lines.Buffer(nil, 1<<20)
			for lines.Scan() {
				var e auditv1.Event
				if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
					return err
				}
				events = append(events, e)
			}
			if !strings.Contains(text, `"name":"the-end"`) {
				return errors.New("not yet")
			}
			return nil
		})
		find := func(user, verb, resource, name string) *auditv1.Event {
			for i, e := range events {
				if e.User.Username == user && e.Verb == verb && e.ObjectRef != nil && e.ObjectRef.Resource == resource && e.ObjectRef.Name == name {
					return &events[i]
				}
			}
			return nil
		}
		for _, tt := range []struct {
			user, verb, resource, name string
			want                       auditv1.Level // empty: not recorded
		}{
			{person, "create", "secrets", "password", auditv1.LevelMetadata},
			{account, "get", "secrets", "password", auditv1.LevelMetadata},
			{person, "create", "configmaps", "settings", auditv1.LevelMetadata},
			{person, "get", "configmaps", "settings", auditv1.LevelMetadata},
			{account, "get", "configmaps", "settings", ""},
			{person, "create", "roles", "reader", auditv1.LevelRequest},
			{person, "create", "rolebindings", "reader", auditv1.LevelRequest},
			{person, "create", "serviceaccounts", "default", auditv1.LevelMetadata}, // its token
		} {
			e := find(tt.user, tt.verb, tt.resource, tt.name)
			switch {
			case e == nil && tt.want != "":
				t.Errorf("%s %s %s %s is not in the audit log", tt.user, tt.verb, tt.resource, tt.name)
			case e != nil && tt.want == "":
				t.Errorf("%s %s %s %s is in the audit log", tt.user, tt.verb, tt.resource, tt.name)
			case e == nil:
			case tt.resource == "serviceaccounts" && e.ObjectRef.Subresource != "token":
			case e.Level != tt.want:
				t.Errorf("%s %s %s %s: level %s, want %s", tt.user, tt.verb, tt.resource, tt.name, e.Level, tt.want)
			case e.ResponseStatus == nil || e.ResponseStatus.Code < 200 || e.ObjectRef.Namespace != "plain":
				t.Errorf("%s %s %s %s: status %v, namespace %q", tt.user, tt.verb, tt.resource, tt.name, e.ResponseStatus, e.ObjectRef.Namespace)
			case e.Stage != auditv1.StageResponseComplete:
				t.Errorf("%s %s: stage %s", tt.verb, tt.name, e.Stage)
			}
		}
		if e := find(person, "create", "roles", "reader"); e != nil && (e.RequestObject == nil || !strings.Contains(string(e.RequestObject.Raw), `"configmaps"`)) {
			t.Error("the text of the new role is not in the audit log")
		}
		for what, secret := range map[string]string{
			"the Secret's value": value, "the Secret in base64": base64.StdEncoding.EncodeToString([]byte(value)), "the account's token": token.Status.Token,
			"a list of managed fields": "managedFields", "a health check": `"requestURI":"/readyz`,
		} {
			if before, after, found := strings.Cut(text, secret); found {
				line := before[strings.LastIndex(before, "\n")+1:] + secret + strings.SplitN(after, "\n", 2)[0]
				t.Errorf("%s is in the audit log: %s", what, line)
			}
		}
	})

	// Its arguments are known, at least; k3s gives it the rest.
	t.Run("controller manager", func(t *testing.T) {
		if len(config.ControllerManager) == 0 {
			t.Fatal("server.yaml has no arguments for it")
		}
		args := []string{"--version"}
		for _, arg := range config.ControllerManager {
			args = append(args, "--"+arg)
		}
		if out, err := exec.Command(cache.Path("kube-controller-manager"), args...).CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
	})
}
