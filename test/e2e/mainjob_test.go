//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// What `make up` promises, in the API server's own words.
func TestUp(t *testing.T) {
	rep := shared.ready(t)
	if rep.Kind != "LabReport" {
		t.Fatalf("kind %s", rep.Kind)
	}
	modes := map[string]string{}
	for _, c := range rep.Components {
		modes[c.Name] = c.Mode
		if c.State != "ready" || c.PID == 0 || c.RSSBytes == 0 || c.Version == "" {
			t.Errorf("component %+v", c)
		}
	}
	for _, name := range []string{
		"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "git", "registry", "gatekeeper",
		"source-controller", "kustomize-controller", "helm-controller", "notification-controller",
		"image-reflector-controller", "image-automation-controller",
	} {
		if modes[name] != "real" {
			t.Errorf("%s is %q, want real", name, modes[name])
		}
	}
	if modes["kwok"] != "simulated" {
		t.Errorf("kwok is %q, want simulated", modes["kwok"])
	}
	phases := map[string]bool{}
	for _, p := range rep.Phases {
		phases[p.Name] = p.Seconds > 0
	}
	for _, p := range []string{"control plane", "controllers", "reconcile", "total"} {
		if !phases[p] {
			t.Errorf("phase %q has no time: %+v", p, rep.Phases)
		}
	}
	envs := map[string]bool{}
	for _, k := range rep.Kustomizations {
		switch k.Environment {
		case "prod":
			envs["prod"] = true
			if !k.Suspended || k.Revision != "" || k.Message == "" {
				t.Errorf("production must be suspended, never applied, and say why: %+v", k)
			}
		default:
			envs[k.Environment] = true
			// What comes from a repository on the internet cannot be had here.
			if k.Suspended && k.Environment == "" && k.Message == "its source is a repository on the internet" {
				continue
			}
			if k.Suspended || !k.Ready || !strings.HasPrefix(k.Revision, "main@sha1:") {
				t.Errorf("%+v", k)
			}
		}
	}
	if !envs["prod"] || !envs["staging"] {
		t.Errorf("environments: %v", envs)
	}

	for ns, name := range map[string]string{
		"app-beacon-staging": "beacon", "app-freshrss-staging": "freshrss", "app-librechat-staging": "librechat",
	} {
		d := shared.must(t, deployment, ns, name)
		if got, want := field(d, "status", "availableReplicas"), field(d, "spec", "replicas"); got != want {
			t.Errorf("Deployment %s/%s: %s of %s replicas available", ns, name, got, want)
		}
		if _, err := shared.get(t, deployment, strings.TrimSuffix(ns, "-staging"), name); err == nil {
			t.Errorf("Deployment %s runs in production, which nobody released", name)
		}
	}
	var nodes unstructured.UnstructuredList
	nodes.SetAPIVersion("v1")
	nodes.SetKind("NodeList")
	if err := shared.client(t).List(context.Background(), &nodes); err != nil || len(nodes.Items) != 3 {
		t.Errorf("%d nodes (%v), want one server and two agents", len(nodes.Items), err)
	}
	var claims unstructured.UnstructuredList
	claims.SetAPIVersion("v1")
	claims.SetKind("PersistentVolumeClaimList")
	if err := shared.client(t).List(context.Background(), &claims); err != nil || len(claims.Items) == 0 {
		t.Fatalf("%d claims (%v)", len(claims.Items), err)
	}
	for _, c := range claims.Items {
		if field(&c, "status", "phase") != "Bound" {
			t.Errorf("claim %s/%s is %s", c.GetNamespace(), c.GetName(), field(&c, "status", "phase"))
		}
	}
}

// A second up has nothing to do, and says so.
func TestUpTwice(t *testing.T) {
	before := shared.status(t)
	r := shared.run(t, "lab", "up")
	if !strings.Contains(r.stderr, "The lab is up already; nothing to do.") {
		t.Errorf("stderr: %s", r.stderr)
	}
	after := shared.status(t)
	for i := range before.Components {
		if before.Components[i].PID != after.Components[i].PID {
			t.Errorf("%s was restarted", before.Components[i].Name)
		}
	}
}

func TestPushAppliesWhatIsCommitted(t *testing.T) {
	c := shared.clone(t)
	c.addConfigMap("pushed", "committed")
	head := c.commit("feat: a ConfigMap")
	c.addConfigMap("pushed", "only edited")

	r := shared.run(t, "lab", "push", c.dir)
	if !strings.Contains(r.stdout, "everything is ready at main@"+head[:8]) {
		t.Errorf("stdout: %s", r.stdout)
	}
	if got := field(shared.must(t, configMap, "app-beacon-staging", "pushed"), "data", "value"); got != "committed" {
		t.Errorf("the cluster has %q", got)
	}
	r = shared.run(t, "lab", "push", c.dir)
	if !strings.Contains(r.stdout, "Nothing to push") {
		t.Errorf("a second push of the same commit: %s", r.stdout)
	}
	shared.run(t, "lab", "push", "--dirty", c.dir)
	if got := field(shared.must(t, configMap, "app-beacon-staging", "pushed"), "data", "value"); got != "only edited" {
		t.Errorf("after --dirty the cluster has %q", got)
	}
}

// A patch of the minor line goes to staging by itself, with its digest; another
// minor line does not; production's files are not touched by either.
func TestImageAutomation(t *testing.T) {
	before := gitIn(t, shared.repository(), "rev-parse", "main")
	ref := strings.TrimSpace(shared.run(t, "lab", "image", "1.0.1").stdout)
	tag, digest, ok := strings.Cut(ref, "@")
	if !ok || !strings.HasSuffix(tag, "/homelab/beacon:1.0.1") || !strings.HasPrefix(digest, "sha256:") {
		t.Fatalf("lab image printed %q", ref)
	}
	eventually(t, 60*time.Second, "staging runs beacon 1.0.1", func() error {
		d := shared.must(t, deployment, "app-beacon-staging", "beacon")
		if got := image(d); got != ref {
			return fmt.Errorf("it runs %s, want %s", got, ref)
		}
		if field(d, "status", "availableReplicas") != field(d, "spec", "replicas") || field(d, "status", "observedGeneration") != field(d, "metadata", "generation") {
			return fmt.Errorf("status %s", field(d, "status"))
		}
		return nil
	})
	overlay := gitIn(t, shared.repository(), "show", "main:overlays/staging/beacon/kustomization.yaml")
	if !strings.Contains(overlay, "1.0.1") || !strings.Contains(overlay, digest) {
		t.Errorf("the staging overlay in Git has no 1.0.1@%s:\n%s", digest, overlay)
	}
	for _, f := range strings.Fields(gitIn(t, shared.repository(), "diff", "--name-only", before, "main")) {
		if !strings.HasPrefix(f, "overlays/staging/") {
			t.Errorf("image automation changed %s", f)
		}
	}
	if _, err := shared.get(t, deployment, "app-beacon", "beacon"); err == nil {
		t.Error("beacon runs in production")
	}

	tip := gitIn(t, shared.repository(), "rev-parse", "main")
	shared.run(t, "lab", "image", "1.1.0")
	eventually(t, 60*time.Second, "Flux has seen 1.1.0", func() error {
		repo := shared.must(t, imageRepository, "flux-system", "beacon")
		if tags := field(repo, "status", "lastScanResult", "latestTags"); !strings.Contains(tags, "1.1.0") {
			return fmt.Errorf("tags: %s", tags)
		}
		return nil
	})
	shared.run(t, "lab", "push", shared.clone(t).dir) // everything settles
	if now := gitIn(t, shared.repository(), "rev-parse", "main"); now != tip {
		t.Errorf("1.1.0 brought a commit: %s", gitIn(t, shared.repository(), "log", "--oneline", tip+"..main"))
	}
	if got := image(shared.must(t, deployment, "app-beacon-staging", "beacon")); got != ref {
		t.Errorf("staging runs %s after 1.1.0 was published", got)
	}
}

func TestBrokenManifestKeepsTheOldStateAndTheFixHeals(t *testing.T) {
	c := shared.clone(t)
	c.addConfigMap("state", "good")
	c.commit("feat: good")
	shared.run(t, "lab", "push", c.dir)

	for name, breakIt := range map[string]struct {
		content string
		says    string
	}{
		"not YAML":         {"resources: [", "overlays/staging"},
		"missing file":     {"---\nresources: [nowhere.yaml]\n", "nowhere.yaml"},
		"unknown field":    {"---\nresources: []\nresource: []\n", "resource"},
		"refused by API":   {"", "Invalid"},
		"unset substitute": {"", "NOBODY_SETS_THIS"},
	} {
		t.Run(name, func(t *testing.T) {
			c := shared.clone(t)
			switch name {
			case "refused by API":
				c.addConfigMap("state", "good")
				c.write("overlays/staging/beacon/state.yaml", "---\napiVersion: v1\nkind: Service\nmetadata:\n  name: broken\nspec:\n  ports:\n    - port: 99999\n")
			case "unset substitute":
				c.addConfigMap("state", "${NOBODY_SETS_THIS}")
			default:
				c.write("overlays/staging/beacon/kustomization.yaml", breakIt.content)
			}
			c.commit("feat: broken")
			r := shared.try(t, "lab", "push", c.dir)
			if r.code != 1 {
				t.Fatalf("exit %d, want 1\n%s%s", r.code, r.stdout, r.stderr)
			}
			if !strings.Contains(r.stderr, "Kustomization apps-staging failed at main@") || !strings.Contains(r.stderr, breakIt.says) {
				t.Errorf("stderr does not name the object and %q:\n%s", breakIt.says, r.stderr)
			}
			if got := field(shared.must(t, configMap, "app-beacon-staging", "state"), "data", "value"); got != "good" {
				t.Errorf("the old state is gone: %q", got)
			}
			if rep := shared.status(t); rep.Ready || !strings.Contains(rep.Message, "apps-staging") {
				t.Errorf("status: ready %v, %q", rep.Ready, rep.Message)
			}
			gitIn(t, c.dir, "revert", "--no-edit", "HEAD")
			shared.run(t, "lab", "push", c.dir)
			shared.ready(t) // after the fix
		})
	}
}

// The same Pod: refused in production by the API server itself, admitted and
// reported in staging.
func TestLatestImageIsDeniedInProductionAndReportedInStaging(t *testing.T) {
	ctx := context.Background()
	latest := func(ns string) *unstructured.Unstructured {
		p := object(pod, ns, "latest")
		p.Object["spec"] = map[string]any{
			"automountServiceAccountToken": false,
			"securityContext": map[string]any{
				"runAsNonRoot": true, "runAsUser": int64(65532), "seccompProfile": map[string]any{"type": "RuntimeDefault"},
			},
			"containers": []any{map[string]any{
				"name": "main", "image": "registry.example.invalid/homelab/beacon:latest",
				"securityContext": map[string]any{"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": map[string]any{"drop": []any{"ALL"}}},
				"resources": map[string]any{
					"requests": map[string]any{"cpu": "10m", "memory": "16Mi"}, "limits": map[string]any{"cpu": "20m", "memory": "16Mi"},
				},
			}},
		}
		return p
	}
	err := shared.client(t).Create(ctx, latest("app-beacon"))
	if err == nil {
		t.Error("a Pod with :latest was admitted in production")
		_ = shared.client(t).Delete(ctx, latest("app-beacon"))
	} else if !strings.Contains(err.Error(), "ValidatingAdmissionPolicy") || !strings.Contains(err.Error(), "latest") {
		t.Errorf("refused, but not by the policy: %v", err)
	}

	if err := shared.client(t).Create(ctx, latest("app-beacon-staging")); err != nil {
		t.Fatalf("staging must admit it: %v", err)
	}
	defer func() { _ = shared.client(t).Delete(ctx, latest("app-beacon-staging")) }()
	eventually(t, 90*time.Second, "the audit reports it", func() error {
		var list unstructured.UnstructuredList
		list.SetGroupVersionKind(imageConstraint)
		if err := shared.client(t).List(ctx, &list); err != nil {
			return err
		}
		for _, c := range list.Items {
			violations, _, _ := unstructured.NestedSlice(c.Object, "status", "violations")
			for _, v := range violations {
				m, _ := v.(map[string]any)
				if m["namespace"] == "app-beacon-staging" && m["name"] == "latest" && m["enforcementAction"] == "dryrun" {
					return nil
				}
			}
		}
		return fmt.Errorf("no violation of app-beacon-staging/latest in %d constraints", len(list.Items))
	})
}

func TestPruneAndDrift(t *testing.T) {
	ctx := context.Background()
	c := shared.clone(t)
	c.addConfigMap("short-lived", "x")
	c.commit("feat: short-lived")
	shared.run(t, "lab", "push", c.dir)
	shared.must(t, configMap, "app-beacon-staging", "short-lived")
	gitIn(t, c.dir, "revert", "--no-edit", "HEAD")
	shared.run(t, "lab", "push", c.dir)
	if _, err := shared.get(t, configMap, "app-beacon-staging", "short-lived"); client.IgnoreNotFound(err) != nil || err == nil {
		t.Errorf("it was removed from Git and is still there (%v)", err)
	}

	d := shared.must(t, deployment, "app-beacon-staging", "beacon")
	want := image(d)
	patch := client.RawPatch(types.JSONPatchType, []byte(`[{"op":"replace","path":"/spec/template/spec/containers/0/image","value":"registry.example.invalid/homelab/beacon:0.9.0"}]`))
	if err := shared.client(t).Patch(ctx, d, patch, client.FieldOwner("kubectl-set")); err != nil {
		t.Fatal(err)
	}
	if image(d) == want {
		t.Fatal("the change by hand did not take")
	}
	// Staging looks again every minute by itself.
	eventually(t, 100*time.Second, "the change by hand is put back", func() error {
		if got := image(shared.must(t, deployment, "app-beacon-staging", "beacon")); got != want {
			return fmt.Errorf("the image is %s, want %s", got, want)
		}
		return nil
	})
}
