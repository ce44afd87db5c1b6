//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"lumacore.dev/lumacore/internal/config"
)

var (
	onePasswordItem = schema.GroupVersionKind{Group: "onepassword.com", Version: "v1", Kind: "OnePasswordItem"}
	secretKind      = schema.GroupVersionKind{Version: "v1", Kind: "Secret"}
)

// itemState is what the operator says of an item: "True", or "False: why".
func itemState(o *unstructured.Unstructured) string {
	list, _, _ := unstructured.NestedSlice(o.Object, "status", "conditions")
	for _, c := range list {
		if c, ok := c.(map[string]any); ok && c["type"] == "Ready" {
			if c["status"] == "True" {
				return "True"
			}
			return fmt.Sprintf("%v: %v", c["status"], c["message"])
		}
	}
	return "unknown"
}

// addItem makes a OnePasswordItem that no layer of the blueprint has.
func (l *testLab) addItem(t *testing.T, name, title string) {
	t.Helper()
	o := object(onePasswordItem, "default", name)
	o.Object["spec"] = map[string]any{"itemPath": "vaults/lumacore/items/" + title}
	if err := l.client(t).Create(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx := context.Background()
		if err := l.client(t).Delete(ctx, object(onePasswordItem, "default", name)); err != nil {
			t.Error(err)
		}
		// With the item goes its Secret.
		eventually(t, 20*time.Second, "Secret of a deleted item", func() error {
			for _, k := range []schema.GroupVersionKind{onePasswordItem, secretKind} {
				if _, err := l.get(t, k, "default", name); err == nil {
					return fmt.Errorf("%s default/%s is still there", k.Kind, name)
				}
			}
			return nil
		})
	})
}

func (l *testLab) itemIs(t *testing.T, namespace, name, want string) {
	t.Helper()
	eventually(t, 30*time.Second, "OnePasswordItem "+namespace+"/"+name, func() error {
		if got := itemState(l.must(t, onePasswordItem, namespace, name)); !strings.Contains(got, want) {
			return fmt.Errorf("Ready is %s, want %s", got, want)
		}
		return nil
	})
}

// connectAPI asks the lab's Connect as an owner's tool would.
func (l *testLab) connectAPI(t *testing.T, method, path string, body, into any) {
	t.Helper()
	var lab struct {
		ConnectToken string
	}
	b, err := os.ReadFile(filepath.Join(l.dir, "lab.json"))
	if err == nil {
		err = json.Unmarshal(b, &lab)
	}
	if err != nil {
		t.Fatal(err)
	}
	// Its address is in the operator's environment.
	var host string
	for _, c := range l.status(t).Components {
		if c.Name != "onepassword-operator" {
			continue
		}
		env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", c.PID))
		if err != nil {
			t.Skipf("not run: needs /proc: %v", err)
		}
		for kv := range bytes.SplitSeq(env, []byte{0}) {
			if v, ok := strings.CutPrefix(string(kv), "OP_CONNECT_HOST="); ok {
				host = v
			}
		}
	}
	data, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), method, host+path, bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+lab.ConnectToken)
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%s %s: %s %v\n%s", method, path, res.Status, err, answer)
	}
	if err := json.Unmarshal(answer, into); err != nil {
		t.Fatal(err)
	}
}

// Each OnePasswordItem of the lab becomes its Secret, with exactly the fields that the
// register lists for it, and no value is a real one.
func TestOnePasswordSecrets(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(blueprint, config.SecretRegisterFile))
	if err != nil {
		t.Fatal(err)
	}
	register, err := config.ParseSecretRegister(data)
	if err != nil {
		t.Fatal(err)
	}
	fields := map[string][]string{}
	for _, it := range register.Items {
		fields[it.Item] = slices.Sorted(slices.Values(it.Fields))
	}
	items := &unstructured.UnstructuredList{}
	items.SetGroupVersionKind(onePasswordItem)
	if err := shared.client(t).List(t.Context(), items); err != nil {
		t.Fatal(err)
	}
	if len(items.Items) < 10 {
		t.Errorf("only %d items: does this test still look at the right ones?", len(items.Items))
	}
	for i := range items.Items {
		o := &items.Items[i]
		at := o.GetNamespace() + "/" + o.GetName()
		if o.GetNamespace() == "default" {
			continue // of another test
		}
		shared.itemIs(t, o.GetNamespace(), o.GetName(), "True")
		path := strings.Split(field(o, "spec", "itemPath"), "/")
		secret := shared.must(t, secretKind, o.GetNamespace(), o.GetName())
		values, _, _ := unstructured.NestedStringMap(secret.Object, "data")
		if diff := cmp.Diff(fields[path[len(path)-1]], slices.Sorted(maps.Keys(values))); diff != "" {
			t.Errorf("Secret %s (-register +Secret):\n%s", at, diff)
		}
		if want := field(o, "type"); want != "<nil>" && field(secret, "type") != want {
			t.Errorf("Secret %s has type %s, want %s", at, field(secret, "type"), want)
		}
		for key, value := range values {
			if text, err := base64.StdEncoding.DecodeString(value); err != nil || !strings.Contains(string(text), "lab-only-") {
				t.Errorf("Secret %s, %s: %v: the value does not look made up", at, key, err)
			}
		}
	}
}

// What is not in the vault is the operator's error, in its words.
func TestOnePasswordMissing(t *testing.T) {
	shared.addItem(t, "missing", "nobody-created-this")
	shared.itemIs(t, "default", "missing", `no items found with identifier "nobody-created-this" in vault`)
	if _, err := shared.get(t, secretKind, "default", "missing"); err == nil {
		t.Error("there is a Secret all the same")
	}
}

// A value that is changed in the vault arrives.
func TestOnePasswordRotation(t *testing.T) {
	shared.addItem(t, "rotated", "freshrss-staging")
	shared.itemIs(t, "default", "rotated", "True")
	var vaults, items []struct{ ID string }
	shared.connectAPI(t, "GET", "/v1/vaults?filter="+url.QueryEscape(`title eq "lumacore"`), nil, &vaults)
	path := "/v1/vaults/" + vaults[0].ID + "/items"
	shared.connectAPI(t, "GET", path+"?filter="+url.QueryEscape(`title eq "freshrss-staging"`), nil, &items)
	path += "/" + items[0].ID
	var item map[string]any
	shared.connectAPI(t, "GET", path, nil, &item)
	const changed = "lab-only-changed"
	for _, f := range item["fields"].([]any) {
		if f := f.(map[string]any); f["label"] == "admin-password" {
			f["value"] = changed
		}
	}
	shared.connectAPI(t, "PUT", path, item, &item)
	for _, at := range [][2]string{{"default", "rotated"}, {"app-freshrss-staging", "freshrss"}} {
		eventually(t, 20*time.Second, "changed value in "+at[0]+"/"+at[1], func() error {
			got, _ := base64.StdEncoding.DecodeString(field(shared.must(t, secretKind, at[0], at[1]), "data", "admin-password"))
			if string(got) != changed {
				return fmt.Errorf("it is %s", got)
			}
			return nil
		})
	}
}

// While Connect fails, the item says so; afterwards it is ready by itself.
func TestOnePasswordTrouble(t *testing.T) {
	file := filepath.Join(shared.dir, "data", "onepassword-connect", "trouble.json")
	for name, text := range map[string]string{
		"down":    `{"status": 503, "message": "sync is not ready", "delay": "100ms"}`,
		"revoked": `{"status": 401, "message": "Invalid token signature"}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Cleanup(func() { _ = os.Remove(file) })
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			shared.addItem(t, "trouble-"+name, "registry-read")
			var want struct{ Message string }
			if err := json.Unmarshal([]byte(text), &want); err != nil {
				t.Fatal(err)
			}
			shared.itemIs(t, "default", "trouble-"+name, want.Message)
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
			shared.itemIs(t, "default", "trouble-"+name, "True")
		})
	}
}

// TestSystems: status says of each system what it is here.
func TestSystems(t *testing.T) {
	var rep struct {
		Systems []struct{ Name, Is, Why string }
	}
	if err := json.Unmarshal([]byte(shared.run(t, "lab", "status", "-o", "json").stdout), &rep); err != nil {
		t.Fatal(err)
	}
	is := map[string]string{}
	for _, s := range rep.Systems {
		if s.Why == "" {
			t.Errorf("%s is %s, and nothing says why", s.Name, s.Is)
		}
		is[s.Name] = s.Is
	}
	for name, want := range map[string]string{
		"nodes, pods, volumes": "simulated", "gatekeeper": "real", "traefik": "not here", "Flux Operator's FluxInstance": "not here",
		"longhorn": "not here", "cloudflared": "simulated", "onepassword-operator": "real", "onepassword-connect": "simulated",
	} {
		if is[name] != want {
			t.Errorf("%s is %q, want %s", name, is[name], want)
		}
	}
}

// helm-controller installs Gatekeeper's chart, with the blueprint's values, from the lab's
// registry; of the webhook that the lab registers itself it leaves its hands.
func TestGatekeeperChart(t *testing.T) {
	release := schema.GroupVersionKind{Group: "helm.toolkit.fluxcd.io", Version: "v2", Kind: "HelmRelease"}
	eventually(t, time.Minute, "HelmRelease gatekeeper", func() error {
		o := shared.must(t, release, "flux-system", "gatekeeper")
		if got := itemState(o); got != "True" {
			return fmt.Errorf("Ready is %s", got)
		}
		return nil
	})
	d := shared.must(t, deployment, "gatekeeper-system", "gatekeeper-controller-manager")
	if got := field(d, "spec", "replicas"); got != "2" {
		t.Errorf("%s replicas, the blueprint's values say 2", got)
	}
	hook := schema.GroupVersionKind{Group: "admissionregistration.k8s.io", Version: "v1", Kind: "ValidatingWebhookConfiguration"}
	o := shared.must(t, hook, "", "gatekeeper-validating-webhook-configuration")
	if o.GetLabels()["app.kubernetes.io/managed-by"] == "Helm" {
		t.Error("the chart has taken the webhook")
	}
}
