package app_test

import (
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"testing"

	"lumacore.dev/lumacore/blueprint"
	"lumacore.dev/lumacore/internal/app"
	"lumacore.dev/lumacore/internal/gitops"
	"lumacore.dev/lumacore/internal/report"
)

// files are those of the blueprint.
func files(t testing.TB) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	err := fs.WalkDir(blueprint.Files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		out[name], err = blueprint.Files.ReadFile(name)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// with returns the files with changes.
func with(files map[string][]byte, plan *app.Plan) map[string][]byte {
	out := maps.Clone(files)
	for _, c := range plan.Changes {
		if out[c.File] = c.After; c.After == nil {
			delete(out, c.File)
		}
	}
	return out
}

func options() app.Options {
	return app.Options{Name: "web", Image: "ghcr.io/example/web:1.0.0", Port: 8080, User: app.DefaultUser, Ingress: true}
}

// TestRefused: what is wrong is said before anything is planned, each thing in its words.
func TestRefused(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		change func(o *app.Options)
		files  func(m map[string][]byte)
		code   int
		want   string
	}{
		{func(o *app.Options) { o.Name = "" }, nil, 2, `"" cannot be the name of an app: it becomes part of host names`},
		{func(o *app.Options) { o.Name = "Web" }, nil, 2, `"Web" cannot be the name of an app: it becomes part of host names`},
		{func(o *app.Options) { o.Name = "1web" }, nil, 2, `"1web" cannot be`},
		{func(o *app.Options) { o.Name = "web-" }, nil, 2, `"web-" cannot be`},
		{func(o *app.Options) { o.Name = "../web" }, nil, 2, `"../web" cannot be`},
		{func(o *app.Options) { o.Name = "web\n" }, nil, 2, `"web\n" cannot be`},
		{func(o *app.Options) { o.Name = "wéb" }, nil, 2, `"wéb" cannot be`},
		{func(o *app.Options) { o.Name = strings.Repeat("a", 41) }, nil, 2, "it has 41 characters, and namespaces and pods add to it; 40 are the most"},
		{func(o *app.Options) { o.Name = "web-staging" }, nil, 2, "the namespace app-web-staging would be that of web in staging"},
		{func(o *app.Options) { o.Name = "prod" }, nil, 2, "it is the name of an environment"},
		{func(o *app.Options) { o.Name = "registry-read" }, nil, 2, "it is the name of a secret that apps share"},
		{func(o *app.Options) { o.Name = "postgresql" }, nil, 2, "the NetworkPolicies of databases take pods of that name for the database"},
		{func(o *app.Options) { o.Name = "beacon" }, nil, 1, "there is something of beacon already: apps/beacon, images-without-digest.yaml:"},

		{func(o *app.Options) { o.Image = "ghcr.io/example/web" }, nil, 2, `"ghcr.io/example/web" has no tag, which means latest`},
		{func(o *app.Options) { o.Image = "ghcr.io/example/web:latest" }, nil, 2, "is whatever is newest when a node pulls it"},
		{func(o *app.Options) { o.Image = "/homelab/web:1.0.0" }, nil, 2, `"/homelab/web:1.0.0" begins with a slash: it has no registry`},
		{func(o *app.Options) { o.Image = "ghcr.io/Example/web:1" }, nil, 2, `"ghcr.io/Example/web:1" is no image`},
		{func(o *app.Options) { o.Image = "ghcr.io/example/web:1@sha256:abc" }, nil, 2, "is no image: invalid checksum digest length"},
		{func(o *app.Options) { o.Image = "${REGISTRY}/web" }, nil, 2, `"${REGISTRY}/web" has no tag`},
		{func(o *app.Options) { o.Image = "${DOMAIN}/web:1.0.0" }, nil, 2, `"${DOMAIN}/web:1.0.0" is no image`},
		{func(o *app.Options) { o.Image = "${REGISTRY}/homelab/web:nightly" }, nil, 2, `tag "nightly" is no version of the form MAJOR.MINOR.PATCH`},
		{func(o *app.Options) { o.Image = "${REGISTRY}/homelab/web:1.0.0-rc.1" }, nil, 2, `tag "1.0.0-rc.1" is no version`},
		{func(o *app.Options) { o.Image = "registry.lab.example.com/homelab/web:1.0" }, nil, 2, `tag "1.0" is no version`},

		{func(o *app.Options) { o.Host = "a.b" }, nil, 2, `--host: "a.b" is not one label of a host name`},
		{func(o *app.Options) { o.Host = "freshrss" }, nil, 1, "freshrss-staging.${DOMAIN} is somebody's host already: overlays/staging/freshrss/ingressroute-patch.yaml"},
		{func(o *app.Options) { o.Name = "grafana" }, nil, 1, "grafana.${DOMAIN} is somebody's host already: infrastructure/configs/monitoring/grafana.ingressroute.yaml"},
		{func(o *app.Options) {
			o.Image = "ghcr.io/example/web@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
		}, nil, 2, "has a digest and no tag"},
		{func(o *app.Options) { o.Port = 80 }, nil, 2, "--port: 80 cannot be opened by a process without rights"},
		{func(o *app.Options) { o.User = 0 }, nil, 2, "--user: 0 is no user"},
		{func(o *app.Options) { o.HealthPath = "healthz" }, nil, 2, `--health-path: "healthz" is no path`},
		{func(o *app.Options) { o.HealthPath = "/a: b" }, nil, 2, `--health-path: "/a: b" is no path`},
		{func(o *app.Options) { o.Secret = []string{"api key"} }, nil, 2, `--secret: "api key" cannot be the key of a Secret`},
		{func(o *app.Options) { o.Secret = []string{"api-key", "api.key"} }, nil, 2, `--secret: "api-key" and "api.key" both become the variable API_KEY`},

		{nil, func(m map[string][]byte) { delete(m, "overlays/prod/kustomization.yaml") }, 1, "this is no repository of the blueprint's shape: there is no overlays/prod/kustomization.yaml"},
		{func(o *app.Options) { o.Egress = true }, func(m map[string][]byte) {
			delete(m, "infrastructure/namespaces/apps/components/egress-internet/kustomization.yaml")
		}, 1, "there is no infrastructure/namespaces/apps/components/egress-internet/kustomization.yaml"},
		{func(o *app.Options) { o.Image = "${REGISTRY}/homelab/web:1.0.0" }, func(m map[string][]byte) {
			delete(m, "infrastructure/configs/image-automation/kustomization.yaml")
		}, 1, "there is no infrastructure/configs/image-automation/kustomization.yaml"},
		{nil, func(m map[string][]byte) { clear(m) }, 1, "this is no repository of the blueprint's shape"},
		{nil, func(m map[string][]byte) { m["overlays/prod/web/kustomization.yaml"] = []byte("resources: []\n") }, 1, "there is something of web already: overlays/prod/web"},
		{nil, func(m map[string][]byte) { m["infrastructure/namespaces/apps/app-web/x.yaml"] = []byte("{}\n") }, 1, "already: infrastructure/namespaces/apps/app-web"},
		{nil, func(m map[string][]byte) {
			m["overlays/staging/kustomization.yaml"] = append(slices.Clone(m["overlays/staging/kustomization.yaml"]), "  - {"...)
		}, 1, "overlays/staging/kustomization.yaml"},
		{nil, func(m map[string][]byte) { m["overlays/staging/kustomization.yaml"] = []byte("labels: []\n") }, 1, "overlays/staging/kustomization.yaml has no list resources"},
		{nil, func(m map[string][]byte) {
			m["overlays/staging/kustomization.yaml"] = []byte("resources: [beacon,\n  zoo # the last\n  ]\nkind: &a b\n")
		}, 1, "already"},
		{nil, func(m map[string][]byte) { m["network.assert.yaml"] = []byte("assertions: 7\n") }, 1, "network.assert.yaml:1: assertions is no list"},
	} {
		m, o := files(t), options()
		if tt.files != nil {
			tt.files(m)
		}
		if tt.change != nil {
			tt.change(&o)
		}
		_, err := app.New(gitops.FromFiles(m), o)
		if tt.want == "already" { // a list that is written otherwise, and can be edited all the same
			if err != nil {
				t.Errorf("a list in one line: %v", err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), tt.want) || report.ExitCode(err) != tt.code {
			t.Errorf("%+v: exit code %d, %v\nwant %d, …%s…", o, report.ExitCode(err), err, tt.code, tt.want)
		}
	}
}

// TestAnyList: whatever form the lists have, adding and removing an app leaves them byte
// for byte as they were, or refuses.
func TestAnyList(t *testing.T) {
	t.Parallel()
	for _, list := range []string{
		"resources:\n  - beacon\n  - zoo\n",
		"resources:\n- beacon\n- zoo\nlabels: []\n",
		"resources:\r\n  # first\r\n  - beacon # one\r\n\r\n  # second\r\n  - 'zoo'\r\n\r\n# end\r\n",
		"resources: [beacon, zoo]\n",
		"resources: [ beacon , \"zoo\" ] # all\n",
		"resources: []\n",
		"resources:\n  - zoo\n  - ./beacon",
		"# ä\nresources: [ä, beacon]\n",
		"resources:\n    -   beacon\n    -   zoo\nkind: Kustomization\n",
	} {
		m := files(t)
		m["overlays/staging/kustomization.yaml"] = []byte(list)
		plan, err := app.New(gitops.FromFiles(m), options())
		if err != nil {
			t.Errorf("%q: %v", list, err)
			continue
		}
		added := with(m, plan)
		if got := string(added["overlays/staging/kustomization.yaml"]); !strings.Contains(got, "web") {
			t.Errorf("%q becomes %q", list, got)
		}
		plan, err = app.Remove(gitops.FromFiles(added), "web", false)
		if err != nil {
			t.Errorf("%q: %v", added["overlays/staging/kustomization.yaml"], err)
			continue
		}
		after := with(added, plan)
		if !maps.EqualFunc(m, after, slices.Equal[[]byte]) {
			t.Errorf("%q is %q afterwards", list, after["overlays/staging/kustomization.yaml"])
		}
	}
}

// TestRemoveRefused: what else refers to an app is named and left alone.
func TestRemoveRefused(t *testing.T) {
	t.Parallel()
	m := files(t)
	_, err := app.Remove(gitops.FromFiles(m), "freshrss", false)
	if err == nil || !strings.Contains(err.Error(), " to freshrss:\n  network.assert.yaml:") {
		t.Errorf("freshrss: %v", err)
	}
	plan, err := app.New(gitops.FromFiles(m), options())
	if err != nil {
		t.Fatal(err)
	}
	m = with(m, plan)
	for name, tt := range map[string]struct{ file, data, want string }{
		"a namespace":            {"infrastructure/configs/x.yaml", "a: 1\nb: {matchNames: [app-web]}\n", "1 other place refers to web:\n  infrastructure/configs/x.yaml:2: app-web"},
		"a Service":              {"apps/beacon/base/x.yaml", "url: http://web.app-web-staging.svc:80\n", "apps/beacon/base/x.yaml:1"},
		"the base":               {"overlays/staging/beacon/x.yaml", "resources: [../../../apps/web/base]\n", "overlays/staging/beacon/x.yaml:1"},
		"a pattern":              {"x.yaml", "namespace: app-web*\n", "x.yaml:1"},
		"another app of a name":  {"x.yaml", "a: [app-webby, app-web-two, apps/webby, my-app-web]\n", ""},
		"a comment":              {"x.yaml", "# app-web was here\n", ""},
		"a text":                 {"NOTES.md", "See apps/web for it.\n", ""},
		"an example":             {"rules.test.yaml", "a: app-web\n", ""},
		"what cannot be read":    {"x.yaml", "a: app-web\n\tb: 1\n", "x.yaml (which is no YAML that can be read)"},
		"what is no text at all": {"x.bin", "\x00app-web", ""},
	} {
		n := maps.Clone(m)
		n[tt.file] = []byte(tt.data)
		plan, err := app.Remove(gitops.FromFiles(n), "web", false)
		if tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: %v, want %s", name, err, tt.want)
		}
		if tt.want == "" && err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if noted := err == nil && slices.Contains(plan.Notes, "still mentioned in "+tt.file); noted != (name == "a comment" || name == "a text" || name == "an example") {
			t.Errorf("%s: a note: %v", name, noted)
		}
	}
	for name, want := range map[string]string{
		"wbe": "the repository has no app wbe", "": `"" is not the name of an app`, "../x": `"../x" is not the name of an app`,
	} {
		if _, err := app.Remove(gitops.FromFiles(m), name, false); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("remove %q: %v, want %s", name, err, want)
		}
	}
}

// thousand is the blueprint with many apps.
func thousand(t testing.TB) map[string][]byte {
	t.Helper()
	m := files(t)
	o := options()
	o.Name, o.Image, o.Egress = "demo", "${REGISTRY}/homelab/demo:1.0.0", true
	plan, err := app.New(gitops.FromFiles(m), o)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range plan.Changes {
		for i := range 1000 {
			name := fmt.Sprintf("demo%03d", i)
			rename := func(s string) string { return strings.ReplaceAll(s, "demo", name) }
			if c.Before == nil {
				m[rename(c.File)] = []byte(rename(string(c.After)))
			}
		}
		if c.Before == nil || !strings.HasSuffix(c.File, "kustomization.yaml") {
			continue
		}
		var lines []string
		for line := range strings.Lines(string(c.After)) {
			if !strings.Contains(line, "demo") {
				lines = append(lines, line)
				continue
			}
			for i := range 1000 {
				lines = append(lines, strings.ReplaceAll(line, "demo", fmt.Sprintf("demo%03d", i)))
			}
		}
		m[c.File] = []byte(strings.Join(lines, ""))
	}
	return m
}

// TestTrees: what is checked does not grow with the number of apps, and is the change.
func TestTrees(t *testing.T) {
	t.Parallel()
	m := thousand(t)
	tree := gitops.FromFiles(m)
	plan, err := app.New(tree, options())
	if err != nil {
		t.Fatal(err)
	}
	before, after, err := plan.Trees()
	if err != nil {
		t.Fatal(err)
	}
	small, all := len(files(t)), len(tree.Files())
	if n := len(before.Files()); all < 10_000 || n > small+200 {
		t.Errorf("of %d files %d are checked; the blueprint has %d", all, n, small)
	}
	added := 0
	for _, c := range plan.Changes {
		if c.Before == nil {
			added++
		}
	}
	if n := len(after.Files()) - len(before.Files()); n != added {
		t.Errorf("%d files are checked more than before, want %d", n, added)
	}
	list, _ := after.ReadFile("overlays/staging/kustomization.yaml")
	if s := string(list); !strings.Contains(s, "  - web\n") || !strings.Contains(s, "  - beacon\n") || strings.Contains(s, "demo999") {
		t.Errorf("the list that is checked:\n%s", s)
	}
}

// BenchmarkNew plans an app in a repository of a thousand.
func BenchmarkNew(b *testing.B) {
	m := thousand(b)
	for b.Loop() {
		plan, err := app.New(gitops.FromFiles(m), options())
		if err != nil {
			b.Fatal(err)
		}
		if _, _, err := plan.Trees(); err != nil {
			b.Fatal(err)
		}
	}
}
