package config

import (
	"errors"
	"io/fs"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"

	"lumacore.dev/lumacore/internal/report"
)

// file is a tree whose lumacore.yaml has this content.
type file string

func (f file) IsFile(name string) bool { return name == File }

func (f file) ReadFile(name string) ([]byte, error) {
	if name != File {
		return nil, fs.ErrNotExist
	}
	return []byte(f), nil
}

// none is a tree without the file.
type none struct{}

func (none) IsFile(string) bool              { return false }
func (none) ReadFile(string) ([]byte, error) { return nil, fs.ErrNotExist }

// unreadable is a tree whose file cannot be read.
type unreadable struct{}

func (unreadable) IsFile(string) bool { return true }
func (unreadable) ReadFile(string) ([]byte, error) {
	return nil, errors.New("input/output error")
}

const head = "apiVersion: lumacore.dev/v1alpha1\nkind: Config\n"

func line(n int) report.Location { return report.Location{File: File, Line: n} }

func date(s string) time.Time {
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		panic(err)
	}
	return t
}

// TestDocumentedExample loads the example of the reference, which has every key.
func TestDocumentedExample(t *testing.T) {
	page, err := os.ReadFile("../../docs/reference/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	_, example, _ := strings.Cut(string(page), "This example has every key:\n\n```yaml\n")
	example, _, found := strings.Cut(example, "```")
	if !found {
		t.Fatal("the page has no example")
	}
	got, err := Load(file(example))
	if err != nil {
		t.Fatal(err)
	}
	at := func(text string) report.Location {
		before, _, found := strings.Cut(example, text)
		if !found {
			t.Fatalf("the example has no %q", text)
		}
		return line(1 + strings.Count(before, "\n"))
	}
	want := &Config{
		Clusters:         []Cluster{{Name: "home", Path: "clusters/home", Substitute: map[string]string{"CLUSTER_NAME": "home"}, Environment: "prod"}},
		EnvironmentLabel: "lumacore.env",
		Blueprint: &Blueprint{
			Version: "v0.3.0", Digest: "sha256:9f2c1d5e0b7a4c836d1e2f3a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e", Location: at("version: v0.3.0"),
		},
		PublicIdentity: &Identity{Name: "octocat", Email: "583231+octocat@users.noreply.github.com"},
		Mirror: &Mirror{
			URL: "https://github.com/octocat/homelab.git", Branch: "main",
			Publish:  []string{"apps/**", "clusters/**", "docs/**", "mkdocs.yml", "README.md"},
			Withhold: []string{"docs/drafts/**", "*.draft.md"}, Executables: []string{"hosts/k3s/*.sh"}, Binaries: []string{"docs/pictures/*.png"},
			MaxFileSize: 1 << 20,
			Replace: []Replacement{
				{File: "clusters/home/values.yaml", With: "docs/examples/values.yaml", Location: at("file: clusters/home/values.yaml")},
				{Text: "nas.attic.lan", By: "nas.example.com", Location: at("text: nas.attic.lan")},
			},
			Private:  Private{Words: []string{"Theodora Quillfeather", "vaultkeeper"}, Domains: []string{"quillfeather.house"}, Canaries: []string{"sparrow-teapot-4711"}, OnePassword: true},
			Signers:  []string{"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA mirror"},
			Location: at("url: https://github.com"),
		},
		Soak: Soak{
			SoakTimes: SoakTimes{Patch: 24 * time.Hour, Minor: 72 * time.Hour},
			Apps:      map[string]SoakTimes{"librechat": {Minor: 168 * time.Hour}},
		},
		Check: Check{
			KubeVersion: "1.36", FailOn: report.Error,
			Severity: []Override{
				{Rule: "images", Severity: report.Warning, Location: at("images: warning")},
				{Rule: "images/no-digest", Severity: report.Error, Location: at("images/no-digest: error")},
			},
			Allow: []Allowance{{
				Rule: "images/no-digest", File: "apps/beacon/**", Object: "Deployment app-beacon-*/*",
				Message: "ghcr.io/example/beacon", Reason: "The image is built on the cluster, which knows no digest before.",
				Expires: date("2027-01-31"), Owner: "@example", Location: at("- rule: images/no-digest"),
			}},
			Images: Images{Registries: []string{"ghcr.io", "docker.io/library"}},
			PodSecurity: PodSecurity{Exemptions: []Exemption{{
				Namespace: "longhorn-system", Level: "privileged", Reason: "The storage engine mounts devices of the node.",
				Control: "Only the infrastructure's service account may write there.",
				Review:  date("2027-01-31"), Location: at("- namespace: longhorn-system"),
			}}},
			Policy: Policy{Providers: []Provider{
				{Name: "signatures", Answers: "policies/answers.yaml", Location: at("- name: signatures")},
				{Name: "verifier", Live: true, Location: at("- name: verifier")},
			}},
			Promotion: Promotion{Production: "prod", Staging: "staging"},
			RBAC: RBAC{Limits: []Limit{
				{
					Subject: "ServiceAccount flux-system/apps-prod", Environment: "prod", Namespaces: []string{"app-*"},
					Roles: []string{"ClusterRole app-deployer"},
					Rules: []Rule{{
						PolicyRule: rbacv1.PolicyRule{APIGroups: []string{"apps"}, Resources: []string{"deployments"}, Verbs: []string{"get", "list", "watch", "patch"}},
						Location:   at("- apiGroups: [apps]"),
					}},
					Reason: "Applies the apps.", Review: date("2027-01-31"), Location: at("- subject: ServiceAccount"),
				},
				{
					Role: "ClusterRole app-deployer",
					Rules: []Rule{
						{
							PolicyRule: rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"configmaps", "services"}, Verbs: []string{"*"}, ResourceNames: []string{"app"}},
							Location:   at(`- apiGroups: [""]`),
						},
						{PolicyRule: rbacv1.PolicyRule{NonResourceURLs: []string{"/healthz"}, Verbs: []string{"get"}}, Location: at("- nonResourceURLs:")},
					},
					Reason: "What an app consists of.", Review: date("2027-01-31"), Location: at("- role: ClusterRole"),
				},
			}},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the example of docs/reference/configuration.md (-want +got):\n%s", diff)
	}
}

func TestLoad(t *testing.T) {
	for name, tt := range map[string]struct {
		tree Tree
		want *Config
	}{
		"no file":             {none{}, &Config{}},
		"an empty file":       {file(""), &Config{}},
		"only comments":       {file("# later\n---\n"), &Config{}},
		"only the head":       {file(head), &Config{}},
		"keys without values": {file(head + "clusters:\ncheck:\n"), &Config{}},
		"sections without values": {
			file(head + "check:\n  severity:\n  allow:\n  images:\n  podSecurity:\n"), &Config{},
		},
		"a version that is a number keeps its zero": {file(head + "check: {kubeVersion: 1.30}\n"), &Config{Check: Check{KubeVersion: "1.30"}}},
		"an empty register is a register": {
			file(head + "check: {podSecurity: {exemptions: []}}\n"),
			&Config{Check: Check{PodSecurity: PodSecurity{Exemptions: []Exemption{}}}},
		},
		"a register without a value too": {
			file(head + "check: {podSecurity: {exemptions: }}\n"),
			&Config{Check: Check{PodSecurity: PodSecurity{Exemptions: []Exemption{}}}},
		},
		"off": {
			file(head + "check:\n  severity:\n    images: off\n"),
			&Config{Check: Check{Severity: []Override{{Rule: "images", Severity: Off, Location: line(5)}}}},
		},
		"paths are cleaned": {
			file(head + "clusters: [{name: a, path: ./clusters/a/}, {name: b, path: .}]\n"),
			&Config{Clusters: []Cluster{{Name: "a", Path: "clusters/a"}, {Name: "b", Path: "."}}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := Load(tt.tree)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("configuration (-want +got):\n%s", diff)
			}
		})
	}
}

func TestLoadRefuses(t *testing.T) {
	for name, tt := range map[string]struct {
		tree Tree
		want string
	}{
		"cannot be read":             {unreadable{}, "lumacore.yaml: cannot be read: input/output error"},
		"too large":                  {file(strings.Repeat("#", MaxSize+1)), "lumacore.yaml:1: the file has 1024 KiB; 1024 are the most that are read"},
		"no YAML":                    {file(head + "check: [\n"), "lumacore.yaml:3: this is no YAML: did not find expected node content"},
		"no text at all":             {file("\x00\xff"), "lumacore.yaml:1: this is no YAML: control characters are not allowed"},
		"a tab":                      {file(head + "check:\n\tfailOn: error\n"), "lumacore.yaml:4: this is no YAML: found character that cannot start any token"},
		"a list":                     {file("- a\n"), "lumacore.yaml:1: lumacore.yaml is a list; a mapping of apiVersion, blueprint, check, clusters, environmentLabel, kind, mirror, publicIdentity, soak is expected"},
		"no head":                    {file("check: {}\n"), "lumacore.yaml:1: begin the file with apiVersion: lumacore.dev/v1alpha1 and kind: Config"},
		"another version":            {file("apiVersion: lumacore.dev/v9\nkind: Config\n"), "lumacore.yaml:1: this is lumacore.dev/v9 Config; this version of lumacore reads lumacore.dev/v1alpha1 Config"},
		"two documents":              {file(head + "---\n" + head), "lumacore.yaml:3: a second YAML document begins here; the file holds one"},
		"broken second":              {file(head + "---\n[\n"), "lumacore.yaml:4: this is no YAML: did not find expected node content"},
		"a provider without answers": {file(head + "check:\n  policy:\n    providers:\n      - name: a\n"), "lumacore.yaml:6: check.policy.providers[0] needs one of answers and live: true"},
		"a provider with both":       {file(head + "check:\n  policy:\n    providers:\n      - {name: a, live: true, answers: b}\n"), "lumacore.yaml:6: check.policy.providers[0] needs one of answers and live: true"},
		"a provider twice":           {file(head + "check:\n  policy:\n    providers:\n      - {name: a, live: true}\n      - {name: a, live: true}\n"), `lumacore.yaml:7: check.policy.providers[1] is about provider "a", as is the entry in line 6`},
		"live and nothing else":      {file(head + "check:\n  policy:\n    providers:\n      - {name: a, live: maybe}\n"), `lumacore.yaml:6: check.policy.providers[0].live is "maybe"; use true or false`},
		"misspelt key":               {file(head + "chekc: {}\n"), `lumacore.yaml:3: lumacore.yaml has no key "chekc"; did you mean check?`},
		"unknown key":                {file(head + "check:\n  gates: []\n"), `lumacore.yaml:4: check has no key "gates"; known are allow, failOn, images, kubeVersion, podSecurity, policy, promotion, rbac, severity`},
		"key in another's":           {file(head + "allow: []\n"), `lumacore.yaml:3: lumacore.yaml has no key "allow"; known are apiVersion, blueprint, check, clusters, environmentLabel, kind, mirror, publicIdentity, soak`},
		"a key twice":                {file(head + "check: {}\ncheck: {}\n"), "lumacore.yaml:4: check stands in line 3 already"},
		"a merge key":                {file(head + "check:\n  <<: {failOn: error}\n"), "lumacore.yaml:4: check has a key that is no plain word"},
		"a mapping as key":           {file(head + "? {a: b}\n: c\n"), "lumacore.yaml:3: lumacore.yaml has a key that is no plain word"},
		"an alias":                   {file(head + "environmentLabel: &a x\ncheck:\n  kubeVersion: *a\n"), "lumacore.yaml:5: check.kubeVersion is a YAML alias; write the value itself"},
		"an alias in a list": {
			file(head + "environmentLabel: &a x\ncheck: {images: {registries: [*a]}}\n"),
			"lumacore.yaml:4: check.images.registries[0] is a YAML alias; write the value itself",
		},
		"a list for a text":    {file(head + "environmentLabel: [a]\n"), "lumacore.yaml:3: environmentLabel is a list; a text is expected"},
		"a text for a list":    {file(head + "clusters: home\n"), `lumacore.yaml:3: clusters is "home"; a list is expected`},
		"a text for a mapping": {file(head + "check: on\n"), `lumacore.yaml:3: check is "on"; a mapping of allow, failOn, images, kubeVersion, podSecurity, policy, promotion, rbac, severity is expected`},
		"an empty text":        {file(head + "environmentLabel: ''\n"), "lumacore.yaml:3: environmentLabel is empty; give it a value or leave it out"},
		"a long text":          {file(head + "environmentLabel: " + strings.Repeat("x", MaxText+1) + "\n"), "lumacore.yaml:3: environmentLabel has 2001 bytes; 2000 are the most"},
		"a version":            {file(head + "check: {kubeVersion: latest}\n"), `lumacore.yaml:3: check.kubeVersion is "latest"; write the clusters' Kubernetes version like 1.36 or 1.36.2`},
		"failOn misspelt":      {file(head + "check: {failOn: errors}\n"), `lumacore.yaml:3: check.failOn is "errors"; did you mean error?`},
		"failOn never":         {file(head + "check: {failOn: never}\n"), `lumacore.yaml:3: check.failOn is "never"; use error, warning or info`},
		"a severity":           {file(head + "check:\n  severity:\n    images: fatal\n"), `lumacore.yaml:5: check.severity.images is "fatal"; use error, warning, info or off`},
		"severities in a list": {file(head + "check: {severity: [images]}\n"), "lumacore.yaml:3: check.severity is a list; a mapping of rules or gates to severities is expected"},
		"a registry as URL":    {file(head + "check: {images: {registries: ['https://ghcr.io']}}\n"), `lumacore.yaml:3: check.images.registries[0] is "https://ghcr.io"; write it as images begin: ghcr.io or docker.io/library`},
		"a cluster outside":    {file(head + "clusters: [{name: a, path: ../a}]\n"), `lumacore.yaml:3: clusters[0].path is "../a"; name a folder of the repository, relative to its root`},
		"variables in a list":  {file(head + "clusters: [{name: a, path: b, substitute: [A, B]}]\n"), "lumacore.yaml:3: clusters[0].substitute is a list; a mapping of variables to values is expected"},
		"a variable of a list": {file(head + "clusters: [{name: a, path: b, substitute: {A: [B]}}]\n"), "lumacore.yaml:3: clusters[0].substitute.A is a list; a text is expected"},
		"a cluster's name twice": {
			file(head + "clusters:\n  - {name: a, path: x}\n  - {name: a, path: y}\n"),
			`lumacore.yaml:5: clusters[1] has the name "a" of clusters[0]; names tell clusters apart in the report`,
		},
		"a cluster without a path": {file(head + "clusters: [{name: a}]\n"), "lumacore.yaml:3: clusters[0] has no path"},
		"an empty cluster":         {file(head + "clusters:\n  -\n"), "lumacore.yaml:4: clusters[0] is empty; fill it in or take it out"},
		"an empty allowance":       {file(head + "check:\n  allow: [{}]\n"), "lumacore.yaml:4: check.allow[0] has no rule\nlumacore.yaml:4: check.allow[0] has no reason\nlumacore.yaml:4: check.allow[0] has no expires"},
		"a blank reason":           {file(head + "check:\n  allow: [{rule: a/b, reason: '  ', expires: 2027-01-01}]\n"), "lumacore.yaml:4: check.allow[0].reason is empty; give it a value or leave it out"},
		"a date":                   {file(head + "check:\n  allow: [{rule: a/b, reason: x, expires: 31.1.2027}]\n"), `lumacore.yaml:4: check.allow[0].expires is "31.1.2027"; write the last day on which it holds as YYYY-MM-DD`},
		"a day that is none":       {file(head + "check:\n  allow: [{rule: a/b, reason: x, expires: 2027-02-30}]\n"), `lumacore.yaml:4: check.allow[0].expires is "2027-02-30"; write the last day on which it holds as YYYY-MM-DD`},
		"a glob":                   {file(head + "check:\n  allow: [{rule: a/b, file: 'apps/[', reason: x, expires: 2027-01-01}]\n"), `lumacore.yaml:4: check.allow[0].file is "apps/[", which is no glob pattern; * stands for a name, ** for any number of folders (https://github.com/bmatcuk/doublestar#patterns)`},
		"an exemption's level": {
			file(head + "check:\n  podSecurity:\n    exemptions:\n      - {namespace: a, level: restricted, reason: x, control: y, review: 2027-01-01}\n"),
			`lumacore.yaml:6: check.podSecurity.exemptions[0].level is "restricted"; use baseline or privileged`,
		},
		"the same name for both environments": {
			file(head + "check:\n  promotion:\n    staging: prod\n"),
			`lumacore.yaml:5: check.promotion has "prod" for both production and staging`,
		},
		"a limit of nobody": {
			file(head + "check:\n  rbac:\n    limits:\n      - {rules: [], reason: x, review: 2027-01-01}\n"),
			`lumacore.yaml:6: check.rbac.limits[0]: name either a subject or a role`,
		},
		"a limit of two": {
			file(head + "check:\n  rbac:\n    limits:\n      - {subject: Group a, role: ClusterRole a, rules: [], reason: x, review: 2027-01-01}\n"),
			`lumacore.yaml:6: check.rbac.limits[0]: name either a subject or a role`,
		},
		"a limit that says nothing": {
			file(head + "check:\n  rbac:\n    limits:\n      - {subject: Group a, reason: x, review: 2027-01-01}\n"),
			`lumacore.yaml:6: check.rbac.limits[0] says nothing: give it rules, or, for a subject, roles`,
		},
		"a limit of a kind that there is not": {
			file(head + "check:\n  rbac:\n    limits:\n      - {subject: Account a/b, rules: [], reason: x, review: 2027-01-01}\n"),
			`lumacore.yaml:6: check.rbac.limits[0].subject is "Account a/b"; begin it with ServiceAccount, Group or User`,
		},
		"a limit of an account without a namespace": {
			file(head + "check:\n  rbac:\n    limits:\n      - {subject: ServiceAccount b, rules: [], reason: x, review: 2027-01-01}\n"),
			`lumacore.yaml:6: check.rbac.limits[0].subject is "ServiceAccount b"; write it as ServiceAccount NAMESPACE/NAME`,
		},
		"a limit of a role with a place": {
			file(head + "check:\n  rbac:\n    limits:\n      - {role: ClusterRole a, environment: prod, rules: [], reason: x, review: 2027-01-01}\n"),
			`lumacore.yaml:6: check.rbac.limits[0] is about a role, which is in force where it is bound; namespaces and environment are for subjects`,
		},
		"a limit's rule without verbs": {
			file(head + "check:\n  rbac:\n    limits:\n      - {role: ClusterRole a, rules: [{apiGroups: [a], resources: [b]}], reason: x, review: 2027-01-01}\n"),
			`lumacore.yaml:6: check.rbac.limits[0].rules[0] has no verbs`,
		},
		"a limit without a review": {
			file(head + "check:\n  rbac:\n    limits:\n      - {role: ClusterRole a, rules: [], reason: x}\n"),
			`lumacore.yaml:6: check.rbac.limits[0] has no review`,
		},
		"an exemption twice": {
			file(head + "check:\n  podSecurity:\n    exemptions:\n      - {namespace: a, level: baseline, reason: x, control: y, review: 2027-01-01}\n      - {namespace: a, level: baseline, reason: x, control: y, review: 2027-01-01}\n"),
			`lumacore.yaml:7: check.podSecurity.exemptions[1] is about namespace "a", as is the entry in line 6`,
		},
		"a key with a terminal's escape": {
			file(head + "check: {severity: {\"\\e[31m\": x}}\n"),
			`lumacore.yaml:3: check.severity."\x1b[31m" is "x"; use error, warning, info or off`,
		},
		"a blueprint without a digest": {file(head + "blueprint: {version: v1}\n"), "lumacore.yaml:3: blueprint has no digest"},
		"a digest": {
			file(head + "blueprint: {version: v1, digest: latest}\n"),
			`lumacore.yaml:3: blueprint.digest is "latest", which is no digest; lumacore init writes it, and git log -p lumacore.yaml has it as it was`,
		},
		"a mirror with a credential":       {file(head + "mirror: {url: 'https://me:secret@example.com/a.git'}\n"), "lumacore.yaml:3: mirror.url has a credential in it; name a file with --token-file or --ssh-key-file instead, and make a new credential: this one is known"},
		"a mirror without encryption":      {file(head + "mirror: {url: 'http://example.com/a.git'}\n"), "lumacore.yaml:3: mirror.url has the scheme http; use https or ssh, so that nobody on the way reads the credential"},
		"a mirror that is a path":          {file(head + "mirror: {url: ../public}\n"), "lumacore.yaml:3: mirror.url is no address; write https://HOST/OWNER/NAME.git or git@HOST:OWNER/NAME.git"},
		"a word that is everywhere":        {file(head + "mirror: {private: {words: [a]}}\n"), `lumacore.yaml:3: mirror.private.words[0] is "a", which is shorter than 3 characters and would be found everywhere`},
		"a replacement of nothing":         {file(head + "mirror: {replace: [{by: a}]}\n"), "lumacore.yaml:3: mirror.replace[0] needs one of file and text"},
		"a replacement that leaves it":     {file(head + "mirror: {replace: [{text: nas, by: my-nas}]}\n"), "lumacore.yaml:3: mirror.replace[0] replaces a text by one that has it still"},
		"a signer that is a private key":   {file(head + "mirror: {signers: ['-----BEGIN OPENSSH PRIVATE KEY-----']}\n"), "lumacore.yaml:3: mirror.signers[0] is \"-----BEGIN OPENSSH PRIVATE KEY-----\", which is no public key; write the content of the file that ends in .pub"},
		"a file size":                      {file(head + "mirror: {maxFileSize: 1Gi}\n"), `lumacore.yaml:3: mirror.maxFileSize is "1Gi"; write a number of bytes up to 4194304, which are the most that are searched`},
		"a pattern":                        {file(head + "mirror: {withhold: ['a[']}\n"), `lumacore.yaml:3: mirror.withhold[0] is "a[", which is no glob pattern; * stands for a name, ** for any number of folders (https://github.com/bmatcuk/doublestar#patterns)`},
		"a soak that is no time":           {file(head + "soak: {patch: 1 day}\n"), `lumacore.yaml:3: soak.patch is "1 day"; write hours or minutes, such as 24h or 90m`},
		"a soak of a second":               {file(head + "soak: {apps: {web: {minor: 1s}}}\n"), `lumacore.yaml:3: soak.apps.web.minor is 1s; it is between 1m0s and 2160h0m0s`},
		"a soak of majors":                 {file(head + "soak: {major: 24h}\n"), `lumacore.yaml:3: soak has no key "major"; did you mean minor?`},
		"a public identity without a name": {file(head + "publicIdentity: {email: a@example.org}\n"), "lumacore.yaml:3: publicIdentity has no name"},
		"a public e-mail": {
			file(head + "publicIdentity: {name: a, email: A <a@example.org>}\n"),
			`lumacore.yaml:3: publicIdentity.email is "A <a@example.org>"; write an e-mail address alone`,
		},
		"all mistakes at once": {
			file(head + "clusters: 1\ncheck:\n  failOn: x\n  allow: 2\n  severty: {}\n"),
			"lumacore.yaml:3: clusters is \"1\"; a list is expected\n" +
				"lumacore.yaml:5: check.failOn is \"x\"; use error, warning or info\n" +
				"lumacore.yaml:6: check.allow is \"2\"; a list is expected\n" +
				"lumacore.yaml:7: check has no key \"severty\"; did you mean severity?",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, err := Load(tt.tree)
			var e *Error
			if !errors.As(err, &e) {
				t.Fatalf("Load() = %+v, %v; want an Error", c, err)
			}
			if diff := cmp.Diff(tt.want, err.Error()); diff != "" {
				t.Errorf("message (-want +got):\n%s", diff)
			}
		})
	}
}

// FuzzLoad: whatever the file holds, Load returns a configuration, or an Error
// each line of which names the file and a line in it.
func FuzzLoad(f *testing.F) {
	for _, seed := range []string{
		"", head, head + "check: {failOn: error, severity: {a: off}}", head + "clusters: [{name: a, path: b}]",
		head + "check:\n  allow:\n  - {rule: a/b, file: '**', reason: x, expires: 2027-01-01}\n",
		head + "check: {promotion: {production: a, staging: b}, rbac: {limits: [{subject: ServiceAccount a/b, namespaces: [\"a*\"], roles: [ClusterRole c], rules: [{apiGroups: [\"\"], resources: [d], verbs: [get]}], reason: e, review: 2027-01-01}]}}",
		head + "check: {podSecurity: {exemptions: [{namespace: a, level: baseline, reason: b, control: c, review: 2027-01-01}]}}",
		"&a [*a]", "? - : -", "---\n...\n---", "\uFEFFa: b", "a: !!binary x", "%YAML 1.1\n---\n", "a: &b {<<: *b}",
	} {
		f.Add([]byte(seed))
	}
	place := regexp.MustCompile(`^lumacore\.yaml:[1-9][0-9]*$`)
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := Load(file(data))
		if err == nil {
			if c == nil {
				t.Fatal("neither a configuration nor an error")
			}
			for _, a := range c.Check.Allow {
				if a.Rule == "" || a.Reason == "" || a.Line < 1 {
					t.Fatalf("allowance %+v", a)
				}
			}
			return
		}
		var e *Error
		if !errors.As(err, &e) || len(e.Mistakes) == 0 || c != nil {
			t.Fatalf("Load() = %v, %v (%T)", c, err, err)
		}
		for _, m := range e.Mistakes {
			if !place.MatchString(m.Location.String()) || m.Message == "" {
				t.Fatalf("mistake %q at %q", m.Message, m.Location)
			}
		}
	})
}
