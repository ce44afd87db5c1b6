package policy

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lumacore.dev/lumacore/internal/check"
	"lumacore.dev/lumacore/internal/check/checktest"
)

// saidWith runs the gate with a folder for what is kept.
func saidWith(t *testing.T, repository, folder string) []string {
	t.Helper()
	in := checktest.Input(t, repository)
	in.Cache = folder
	rep, err := check.Run(t.Context(), []*check.Gate{Gate}, in)
	if err != nil {
		t.Fatal(err)
	}
	return said(rep)
}

// Whatever changes, the verdicts are those of a run that knows nothing of another.
func TestVerdictsNeverStale(t *testing.T) {
	t.Parallel()
	base := policyTemplate + constraintOf("FixedTags", "deny", "  match:\n    namespaceSelector: {matchLabels: {env: prod}}\n    kinds: [{apiGroups: [\"\"], kinds: [Pod]}]\n") +
		regoTemplate("Owners", owners) + constraintOf("Owners", "warn", "  match:\n    kinds: [{apiGroups: [\"\"], kinds: [ConfigMap]}]\n  parameters: {labels: [owner]}\n") +
		regoTemplate("Hosts", uniqueHosts) + constraintOf("Hosts", "deny", "  match:\n    kinds: [{apiGroups: [networking.k8s.io], kinds: [Ingress]}]\n") +
		"---\napiVersion: syncset.gatekeeper.sh/v1alpha1\nkind: SyncSet\nmetadata:\n  name: ingresses\nspec:\n  gvks:\n    - {group: networking.k8s.io, version: v1, kind: Ingress}\n" +
		namespace("prod", "env: prod") + namespace("staging", "env: staging") + workload("apps/v1", "Deployment", "web", "prod") + workload("apps/v1", "Deployment", "web", "staging") +
		"---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings, namespace: prod}\ndata: {color: blue}\n" + ingress("prod", "a.example.com") + ingress("staging", "b.example.com")
	folder := t.TempDir()
	first := saidWith(t, base, folder)
	if len(first) != 2 {
		t.Fatalf("the repository as it is: %q", first)
	}
	for name, change := range map[string]*strings.Replacer{
		"nothing":                  strings.NewReplacer(),
		"the image":                strings.NewReplacer("web:latest", "web:1.2.3"),
		"a label of a namespace":   strings.NewReplacer("env: staging}", "env: prod}"),
		"the message of a policy":  strings.NewReplacer("an image has the tag latest", "no floating tags"),
		"the expression":           strings.NewReplacer(":latest'))", ":oldest'))"),
		"the action":               strings.NewReplacer("enforcementAction: deny", "enforcementAction: warn"),
		"the parameters":           strings.NewReplacer("labels: [owner]", "labels: [owner, team]"),
		"the match":                strings.NewReplacer("kinds: [ConfigMap]", "kinds: [Namespace]"),
		"another object":           strings.NewReplacer("host: b.example.com", "host: a.example.com"),
		"a label of the ConfigMap": strings.NewReplacer("{name: settings,", "{name: settings, labels: {owner: me},"),
		"the webhook's attention":  strings.NewReplacer("labels: {env: prod}", `labels: {env: prod, admission.gatekeeper.sh/ignore: "yes"}`),
		"excluded namespaces":      strings.NewReplacer("---\napiVersion: syncset", "---\napiVersion: config.gatekeeper.sh/v1alpha1\nkind: Config\nmetadata: {name: config}\nspec:\n  match: [{excludedNamespaces: [prod], processes: [\"*\"]}]\n---\napiVersion: syncset"),
	} {
		changed := change.Replace(base)
		if (changed == base) != (name == "nothing") {
			t.Fatalf("%s: the change changes nothing", name)
		}
		if diff := cmp.Diff(saidWith(t, changed, t.TempDir()), saidWith(t, changed, folder)); diff != "" {
			t.Errorf("%s (-with nothing kept +with what was kept):\n%s", name, diff)
		}
	}
	if diff := cmp.Diff(first, saidWith(t, base, folder)); diff != "" {
		t.Errorf("as it was (-first +now):\n%s", diff)
	}
}

// What is kept holds no secret, and what somebody did to it does not matter.
func TestVerdictsKept(t *testing.T) {
	t.Parallel()
	const word = "correct-horse-battery"
	repository := regoTemplate("Echo", "package echo\nviolation contains {\"msg\": msg} if { msg := sprintf(\"%v\", [input.review.object]) }\n") +
		constraintOf("Echo", "deny", "  match:\n    kinds: [{apiGroups: [\"\"], kinds: [Secret, ConfigMap]}]\n") + namespace("app", "") +
		"---\napiVersion: v1\nkind: Secret\nmetadata: {name: a, namespace: app}\nstringData: {password: " + word + "}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: app}\ndata: {color: blue}\n"
	folder := t.TempDir()
	first := saidWith(t, repository, folder)
	if len(first) != 2 {
		t.Fatalf("%q", first)
	}
	files := 0
	err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Base(path) == "pruned" {
			return err
		}
		files++
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if bytes.Contains(data, []byte(word)) {
			t.Errorf("%s holds the Secret's value", path)
		}
		if !bytes.Contains(data, []byte("blue")) {
			t.Errorf("%s does not hold what was said of the ConfigMap", path)
		}
		return os.WriteFile(path, data[:len(data)/2], 0o600)
	})
	if err != nil || files != 1 {
		t.Fatalf("%d files, %v", files, err)
	}
	if diff := cmp.Diff(first, saidWith(t, repository, folder)); diff != "" {
		t.Errorf("after half of it was lost (-first +now):\n%s", diff)
	}
}
