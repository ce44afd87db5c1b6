package secrets

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lumacore.dev/lumacore/internal/check"
	"lumacore.dev/lumacore/internal/check/checktest"
	"lumacore.dev/lumacore/internal/report"
)

// release is a HelmRelease of 1Password's chart, which cannot be had here.
func release(namespace, values string) string {
	return "-- cluster/release.yaml --\napiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nmetadata:\n  name: operator\n  namespace: infra\nspec:\n  interval: 1h\n  targetNamespace: " + namespace +
		"\n  chart:\n    spec:\n      chart: connect\n      version: 2.4.1\n      sourceRef:\n        kind: HelmRepository\n        name: onepassword\n" + values +
		"-- cluster/source.yaml --\napiVersion: source.toolkit.fluxcd.io/v1\nkind: HelmRepository\nmetadata:\n  name: onepassword\n  namespace: infra\nspec:\n  interval: 1h\n  url: https://charts.example.org\n"
}

func TestRegister(t *testing.T) {
	t.Parallel()
	item := func(name, namespace, path string) string {
		return "-- cluster/" + namespace + "-" + name + ".yaml --\napiVersion: onepassword.com/v1\nkind: OnePasswordItem\nmetadata:\n  name: " + name + "\n  namespace: " + namespace + "\nspec:\n  itemPath: " + path + "\n"
	}
	database := item("database", "app", "vaults/home/items/database")
	second := "  - item: cache\n    purpose: a\n    fields: [b]\n    make: c\n    places: [app/cache]\n    owner: d\n    rotate: never\n    rotation: e\n"
	bootstrap := "bootstrap:\n  - secret: NAMESPACE/token\n    purpose: a\n    fields: [b]\n    make: c\n    owner: d\n    rotate: 90\n    rotation: e\n"
	broken := "-- cluster/broken.yaml --\napiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata:\n  name: broken\n  namespace: infra\nspec:\n  interval: 1h\n  path: ./broken\n  prune: true\n  sourceRef:\n    kind: GitRepository\n    name: flux-system\n    namespace: flux-system\n"
	foreign := strings.NewReplacer("name: flux-system\n    namespace: flux-system", "name: other").Replace(broken) + "---\napiVersion: source.toolkit.fluxcd.io/v1\nkind: GitRepository\nmetadata:\n  name: other\n  namespace: infra\nspec:\n  interval: 1h\n  url: https://git.example.org/other\n"
	for name, tt := range map[string]struct {
		repository string
		want       []string
	}{
		"no register":        {database, nil},
		"all is well":        {registering("app/database") + database, nil},
		"ID instead":         {strings.Replace(registering("app/database"), "item: database", "item: abcdefghijklmnopqrstuvwxyz", 1) + item("database", "app", "vaults/home/items/abcdefghijklmnopqrstuvwxyz"), nil},
		"several places":     {registering("app/database, web/database") + database + item("database", "web", "vaults/home/items/database"), nil},
		"no entry":           {registering("app/database") + database + item("mail", "app", "vaults/home/items/mail"), []string{`cluster/app-mail.yaml:7 register-missing-item OnePasswordItem app/mail takes the item "mail", which has no entry in secrets.register.yaml`}},
		"place not listed":   {registering("app/database") + database + item("reader", "app", "vaults/home/items/database"), []string{`cluster/app-reader.yaml:7 register-missing-item OnePasswordItem app/reader takes the item "database", whose entry (secrets.register.yaml:4) does not list app/reader among its places`}},
		"place of another":   {registering("app/database") + second + database + item("cache", "app", "vaults/home/items/database"), []string{`cluster/app-cache.yaml:7 register-missing-item OnePasswordItem app/cache takes the item "database"; in secrets.register.yaml it is a place of "cache"`}},
		"no path":            {registering("app/database") + database + item("mail", "app", "vaults/home/mail"), []string{`cluster/app-mail.yaml:7 register-missing-item OnePasswordItem app/mail has the path "vaults/home/mail", which is not vaults/VAULT/items/ITEM`}},
		"place unused":       {registering("app/database, app/reader") + database, []string{`secrets.register.yaml:8 register-unused the item "database" has the place app/reader, where no cluster has a OnePasswordItem`}},
		"entry unused":       {registering("app/database") + second + database, []string{`secrets.register.yaml:12 register-unused the item "cache" is in no cluster: there is no OnePasswordItem app/cache`}},
		"seen by no render":  {registering("app/database") + second + database + broken, nil},
		"seen by no chart":   {registering("app/database") + second + database + release("app", ""), nil},
		"chart elsewhere":    {registering("app/database") + second + database + release("infra", ""), []string{`secrets.register.yaml:12 register-unused the item "cache" is in no cluster: there is no OnePasswordItem app/cache`}},
		"another repository": {registering("app/database, app/cache, far/cache") + database + foreign, []string{`secrets.register.yaml:8 register-unused the item "database" has the place app/cache, where no cluster has a OnePasswordItem`}},
		"into the namespace": {registering("app/database, app/cache") + database + strings.Replace(foreign, "  prune", "  targetNamespace: app\n  prune", 1), nil},
		"bootstrap":          {registering("app/database") + strings.Replace(bootstrap, "NAMESPACE", "app", 1) + database, nil},
		"bootstrap unused":   {registering("app/database") + strings.Replace(bootstrap, "NAMESPACE", "old", 1) + database, []string{"secrets.register.yaml:13 register-unused the Secret old/token is for a namespace in which no cluster has anything"}},
		"no YAML":            {"-- secrets.register.yaml --\nitems: [\n" + database, []string{"secrets.register.yaml:1 register-invalid this is no YAML: did not find expected node content"}},
		"mistakes": {strings.NewReplacer("365", "soon", "owner: platform", "onwer: platform").Replace(registering("app/database")) + database, []string{
			"secrets.register.yaml:4 register-invalid items[0] has no owner",
			`secrets.register.yaml:9 register-invalid items[0] has no key "onwer"; did you mean owner?`,
			`secrets.register.yaml:10 register-invalid items[0].rotate is "soon"; write the days after which it is old, from 1 to 3650, or never and in rotation why`,
		}},
		"outside of what Flux reads": {"-- .sourceignore --\n/*\n!/cluster\n" + registering("app/cache") + item("cache", "app", "vaults/home/items/database") + database, []string{
			`cluster/app-database.yaml:7 register-missing-item OnePasswordItem app/database takes the item "database", whose entry (secrets.register.yaml:4) does not list app/database among its places`,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := found(&report.CheckReport{Findings: only(checktest.Run(t, Gate, tt.repository).Findings)})
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
		})
	}
}

func TestWatched(t *testing.T) {
	t.Parallel()
	values := func(s string) string { return "  values:\n    operator:\n" + s }
	const config = "-- cluster/values.yaml --\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: values\n  namespace: infra\ndata:\n  values.yaml: |\n    operator:\n      create: true\n      watchNamespace: [web]\n"
	const from = "  valuesFrom:\n    - kind: ConfigMap\n      name: values\n"
	const finding = "cluster/database.yaml:5 item-not-watched nobody makes the Secret of OnePasswordItem app/database: "
	for name, tt := range map[string]struct {
		operator string
		want     string // after who makes nothing; "" for no finding
	}{
		"no operator":                 {"", ""},
		"pods, watched":               {operatorWatching("infra,app"), ""},
		"pods, not watched":           {operatorWatching("infra,web"), "no operator watches app; there is Deployment infra/operator"},
		"pods, all":                   {operatorWatching(`""`), ""},
		"pods, only known there":      {strings.Replace(operatorWatching("infra"), "value: infra", "valueFrom: {configMapKeyRef: {name: a, key: b}}", 1), ""},
		"pods, without the variable":  {strings.Replace(operatorWatching("infra"), "WATCH_NAMESPACE", "OTHER", 1), ""},
		"pods, another program":       {strings.Replace(operatorWatching("infra"), "/onepassword-operator", "/operator", 1), ""},
		"release, watched":            {release("infra", values("      create: true\n      watchNamespace: [app]\n")), ""},
		"release, not watched":        {release("infra", values("      create: true\n      watchNamespace: [web, mail]\n")), "no operator watches app; there is HelmRelease infra/operator"},
		"release, mapping":            {release("infra", values("      create: true\n      watchNamespace: {a: web, b: app}\n")), ""},
		"release, mapping without it": {release("infra", values("      create: true\n      watchNamespace: {a: web, b: mail}\n")), "no operator watches app; there is HelmRelease infra/operator"},
		"release, all":                {release("infra", values("      create: true\n")), ""},
		"release without operator":    {release("infra", values("      watchNamespace: [web]\n")), ""},
		"release, text of the chart":  {release("infra", values("      create: true\n      watchNamespace: ['{{ .Release.Namespace }}']\n")), ""},
		"release, values from a map":  {config + release("infra", from), "no operator watches app; there is HelmRelease infra/operator"},
		"release, values over those":  {config + release("infra", from+values("      watchNamespace: [app]\n")), ""},
		"release, values missing":     {release("infra", from), ""},
		"both":                        {operatorWatching("app") + release("infra", values("      create: true\n      watchNamespace: [web]\n")), ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rep, err := check.Run(t.Context(), []*check.Gate{Gate}, checktest.Input(t, tt.operator+onePasswordItem("database")))
			if err != nil {
				t.Fatal(err)
			}
			var want []string
			if tt.want != "" {
				want = []string{finding + tt.want}
			}
			if diff := cmp.Diff(want, found(&report.CheckReport{Findings: only(rep.Findings)})); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
		})
	}
}
