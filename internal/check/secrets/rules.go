package secrets

import (
	"strings"

	"lumacore.dev/lumacore/internal/check"
	"lumacore.dev/lumacore/internal/report"
)

const (
	rotate     = "Rotate it first: whoever has read the repository has it, and a later commit does not take it back. Then keep it in a secrets manager or encrypt it with SOPS. What is no secret is allowed by an entry in .gitallowed."
	gitleaks   = "https://github.com/gitleaks/gitleaks/blob/v8.30.1/config/gitleaks.toml"
	sops       = "https://fluxcd.io/flux/guides/mozilla-sops/"
	practices  = "https://kubernetes.io/docs/concepts/security/secrets-good-practices/"
	exceptions = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html"
)

var rules = []report.Rule{
	{
		ID: "secrets/leak", Title: "a secret in a file of the repository", Severity: report.Error,
		Why:  "Whoever can read the repository can use it, now and from every clone and backup that is made of it. All files count, also those that Flux leaves out.",
		Fix:  rotate,
		Link: gitleaks,
		Bad:  houseRule + "-- cluster/settings.yaml --\n" + configMap("home_0123456789abcdef0123"),
		Good: houseRule + "-- cluster/settings.yaml --\n" + configMap("from-the-environment"),
	},
	{
		ID: "secrets/in-history", Title: "a secret in a commit", Severity: report.Error, Needs: check.NeedsHistory,
		Why:  "What was committed once is in every clone, also after it was taken out of the files: git log shows it to whoever looks.",
		Fix:  "Rotate it; that is what ends the leak. Rewriting the history does not: clones, forks and caches keep the commit. Then allow the finding in .gitallowed, with history: true and the ticket of the rotation.",
		Link: "https://docs.github.com/en/authentication/keeping-your-account-and-data-secure/removing-sensitive-data-from-a-repository",
		Bad:  houseRule + "-- history:cluster/settings.yaml --\n" + configMap("home_0123456789abcdef0123") + "-- cluster/settings.yaml --\n" + configMap("from-the-environment"),
		Good: houseRule + "-- history:cluster/settings.yaml --\n" + configMap("from-a-file") + "-- cluster/settings.yaml --\n" + configMap("from-the-environment"),
	},
	{
		ID: "secrets/rendered", Title: "a secret in an object that everybody can read", Severity: report.Error,
		Why:  "It is in no file as it stands: a chart, a variable or a generator puts it into a ConfigMap, an annotation, an argument or an environment variable. Whoever may look at the object has it, and it ends up in logs, dumps and dashboards.",
		Fix:  "Let the object refer to a Secret (secretKeyRef, envFrom, a volume) that a secrets manager makes or SOPS encrypts, and rotate what was there.",
		Link: practices,
		Bad:  houseRule + substituted("home_01234567"),
		Good: houseRule + substituted("from-the-"),
	},
	{
		ID: "secrets/in-git", Title: "a Kubernetes Secret in Git that is not encrypted", Severity: report.Error,
		Why:  "Base64 hides nothing. Short passwords look like any word, so that no scanner finds them; that they stand in a Secret says what they are.",
		Fix:  "Encrypt the values with SOPS, or let an operator make the Secret from a secrets manager (1Password, External Secrets). Rotate what was there.",
		Link: sops,
		Bad:  "apiVersion: v1\nkind: Secret\nmetadata:\n  name: database\n  namespace: app\nstringData:\n  password: correct-horse\n",
		Good: "apiVersion: v1\nkind: Secret\nmetadata:\n  name: database\n  namespace: app\nstringData:\n  password: ${DATABASE_PASSWORD:=\"\"}\n",
	},
	{
		ID: "secrets/foreign-allowlist", Title: "exceptions of another tool, which have no effect", Severity: report.Warning,
		Why:  "Allowlists of .gitleaks.toml and .gitleaksignore let secrets pass without a reason, an owner and an end. Here they do not count, so that the findings that they were written for appear.",
		Fix:  "Write an entry in .gitallowed for each that is still right, and delete it there if nothing else reads the file. Rules that .gitleaks.toml adds are looked for.",
		Link: "https://github.com/gitleaks/gitleaks#additional-configuration",
		Bad:  "-- .gitleaksignore --\ncluster/settings.yaml:generic-api-key:7\n-- cluster/settings.yaml --\n" + configMap("from-the-environment"),
		Good: houseRule + "-- cluster/settings.yaml --\n" + configMap("from-the-environment"),
	},
	{
		ID: "secrets/allowed-expired", Title: "an entry of .gitallowed that has expired", Severity: report.Error,
		Why:  "It was meant to hold until a day that is over, and has no effect any more: its findings count.",
		Fix:  "Do what its ticket says and delete it, or give it a new day if its reason still holds.",
		Link: exceptions,
		Bad:  houseRule + allowing("cluster/settings.yaml", "2026-01-31") + "-- cluster/settings.yaml --\n" + configMap("home_0123456789abcdef0123"),
		Good: houseRule + allowing("cluster/settings.yaml", "2027-01-31") + "-- cluster/settings.yaml --\n" + configMap("home_0123456789abcdef0123"),
	},
	{
		ID: "secrets/allowed-unused", Title: "an entry of .gitallowed that fits nothing", Severity: report.Error,
		Why:  "What it was written for is gone, or it names the wrong file or rule. What stays hides the next secret that happens to fit.",
		Fix:  "Delete it, or correct its rule, fingerprint and path. An entry about commits needs history: true and is judged with --history alone.",
		Link: exceptions,
		Bad:  houseRule + allowing("cluster/other.yaml", "2027-01-31") + "-- cluster/settings.yaml --\n" + configMap("from-the-environment"),
		Good: houseRule + allowing("cluster/settings.yaml", "2027-01-31") + "-- cluster/settings.yaml --\n" + configMap("home_0123456789abcdef0123"),
	},
	{
		ID: "secrets/allowed-too-broad", Title: "an entry of .gitallowed that allows too much", Severity: report.Error,
		Why:  "An entry for a rule in all files lets the next real secret of that kind pass. It has no effect.",
		Fix:  "Name the file, or a pattern in which at least one folder or file is named in full; or name the fingerprint of the finding instead of the rule.",
		Link: exceptions,
		Bad:  houseRule + allowing(`"**"`, "2027-01-31") + "-- cluster/settings.yaml --\n" + configMap("from-the-environment"),
		Good: houseRule + allowing("cluster/*.yaml", "2027-01-31") + "-- cluster/settings.yaml --\n" + configMap("home_0123456789abcdef0123"),
	},
	{
		ID: "secrets/allowed-invalid", Title: "a mistake in .gitallowed", Severity: report.Error,
		Why:  "What cannot be read, or lacks a reason, a ticket, an owner or a last day, has no effect: nobody could tell later whether it is still right.",
		Fix:  "Correct the line that the finding names; docs/reference/gitallowed.md has an example with every key.",
		Link: exceptions,
		Bad:  houseRule + allowing("cluster/settings.yaml", "soon") + "-- cluster/settings.yaml --\n" + configMap("from-the-environment"),
		Good: houseRule + allowing("cluster/settings.yaml", "2027-01-31") + "-- cluster/settings.yaml --\n" + configMap("home_0123456789abcdef0123"),
	},
	{
		ID: "secrets/register-missing-item", Title: "a OnePasswordItem that the register of secrets does not list", Severity: report.Error,
		Why:  "Nobody answers for the secret: who has to rotate it, how a new one is made, and where it has to go are in nobody's head on the day that it leaks.",
		Fix:  "Add an entry for the item to secrets.register.yaml, or namespace/name of the OnePasswordItem to the places of the entry that is there.",
		Link: practices,
		Bad:  registering("app/cache") + onePasswordItem("database"),
		Good: registering("app/database") + onePasswordItem("database"),
	},
	{
		ID: "secrets/register-unused", Title: "an entry of the register of secrets for what no cluster has", Severity: report.Error,
		Why:  "Either the secret is gone and should be revoked where it was made, or its OnePasswordItem was lost. A register with entries for nothing is not believed any more.",
		Fix:  "Revoke the secret where it was made and delete the entry or the place; or bring the OnePasswordItem back.",
		Link: practices,
		Bad:  registering("app/database, app/cache") + onePasswordItem("database"),
		Good: registering("app/database, app/cache") + onePasswordItem("database") + onePasswordItem("cache"),
	},
	{
		ID: "secrets/register-invalid", Title: "a mistake in secrets.register.yaml", Severity: report.Error,
		Why:  "An entry without an owner, a term or a way to make a new secret is of no use when the secret has to be changed, and one that cannot be read is none.",
		Fix:  "Correct the line that the finding names; docs/reference/secret-register.md has an example with every key.",
		Link: practices,
		Bad:  strings.Replace(registering("app/database"), "    owner: platform\n", "", 1) + onePasswordItem("database"),
		Good: registering("app/database") + onePasswordItem("database"),
	},
	{
		ID: "secrets/item-not-watched", Title: "a OnePasswordItem where the 1Password operator does not look", Severity: report.Error,
		Why:  "The operator looks at the namespaces of its list alone, and says nothing of the others: the OnePasswordItem stays without a status, the Secret never comes, and pods wait for it.",
		Fix:  "Add the namespace to WATCH_NAMESPACE of the operator (operator.watchNamespace of the chart connect), and let it into the namespace with a RoleBinding where the chart does not.",
		Link: "https://developer.1password.com/docs/k8s/operator/",
		Bad:  operatorWatching("infra") + onePasswordItem("database"),
		Good: operatorWatching("infra,app") + onePasswordItem("database"),
	},
}

// onePasswordItem is a OnePasswordItem in the namespace app.
func onePasswordItem(name string) string {
	return "-- cluster/" + name + ".yaml --\napiVersion: onepassword.com/v1\nkind: OnePasswordItem\nmetadata:\n  name: " + name + "\n  namespace: app\nspec:\n  itemPath: vaults/home/items/database\n"
}

// registering is a register with the item "database" and these places.
func registering(places string) string {
	return `-- secrets.register.yaml --
apiVersion: lumacore.dev/v1alpha1
kind: SecretRegister
items:
  - item: database
    purpose: first login of the database
    fields: [password]
    make: let 1Password generate it
    places: [` + places + `]
    owner: platform
    rotate: 365
    rotation: change it in the database first
`
}

// operatorWatching is the 1Password operator, looking at some namespaces.
func operatorWatching(namespaces string) string {
	return `-- cluster/operator.yaml --
apiVersion: apps/v1
kind: Deployment
metadata:
  name: operator
  namespace: infra
spec:
  selector:
    matchLabels:
      app: operator
  template:
    metadata:
      labels:
        app: operator
    spec:
      containers:
        - name: operator
          image: docker.io/1password/onepassword-operator:1.12.0
          env:
            - name: WATCH_NAMESPACE
              value: ` + namespaces + "\n"
}

// houseRule is a rule for a secret that only the examples know: one that Gitleaks knows
// would have to be in the documentation.
const houseRule = `-- .gitleaks.toml --
[[rules]]
id = "home-token"
description = "a token of this house"
regex = '''home_[0-9a-f]{20}'''
keywords = ["home_"]
`

func configMap(value string) string {
	return "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: settings\n  namespace: app\ndata:\n  UPSTREAM: " + value + "\n"
}

// substituted is a ConfigMap with a value that Flux puts together.
func substituted(first string) string {
	return `-- cluster/apps.yaml --
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata:
  name: apps
  namespace: flux-system
spec:
  interval: 10m
  path: ./apps
  prune: true
  sourceRef:
    kind: GitRepository
    name: flux-system
  postBuild:
    substitute:
      FIRST: "` + first + `"
      REST: 89abcdef0123
-- apps/settings.yaml --
` + configMap("${FIRST}${REST}")
}

func allowing(path, expires string) string {
	return `-- .gitallowed --
apiVersion: lumacore.dev/v1alpha1
kind: AllowedSecrets
allow:
  - rule: home-token
    path: ` + path + `
    reason: the upstream is a mock of the tests, which takes any token
    ticket: HOME-12
    owner: platform
    expires: ` + expires + "\n"
}
