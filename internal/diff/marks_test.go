package diff

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lumacore.dev/lumacore/internal/gitops"
	"lumacore.dev/lumacore/internal/report"
)

// kustomization is a Flux Kustomization "apps" with more fields of its spec.
func kustomization(more ...string) string {
	return `apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: apps, namespace: flux-system}
spec:
  interval: 10m
  path: ./apps
  prune: true
  sourceRef: {kind: GitRepository, name: flux-system}
` + strings.Join(more, "")
}

// of compares two repositories of one cluster: files by name; objects.yaml stands for
// the objects of Kustomization apps.
func of(t testing.TB, base, head map[string]string) *Report {
	t.Helper()
	tree := func(files map[string]string) *gitops.Tree {
		all := map[string][]byte{"clusters/home/flux.yaml": []byte(kustomization()), "apps/anchor.yaml": []byte("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: anchor, namespace: a}\n")}
		for name, data := range files {
			if name == "objects.yaml" {
				name = "apps/objects.yaml"
			}
			if data == "" {
				delete(all, name)
				continue
			}
			all[name] = []byte(data)
		}
		return gitops.FromFiles(all)
	}
	return Compare(Input{
		Base: renderTree(t, tree(base)), Head: renderTree(t, tree(head)), Production: []string{"prod"},
		BaseName: Revision{Revision: "base", Commit: strings.Repeat("b", 40)}, HeadName: Revision{Revision: "head", Commit: strings.Repeat("a", 40)},
	})
}

// marked lists the marks of a report, without those of production.
func marked(r *Report) (out []string) {
	for _, o := range r.Objects {
		for _, m := range o.Marks {
			if m.Mark != production {
				out = append(out, o.Object+": "+m.Mark+": "+m.Message)
			}
		}
	}
	return out
}

const (
	fails   = "the apply fails until the object is deleted, or has kustomize.toolkit.fluxcd.io/force: enabled"
	deletes = "Kustomization flux-system/apps deletes it"
	pod     = "{metadata: {labels: {app: a}}, spec: {containers: [{name: a, image: a}]}}"
)

func deployment(spec string) string {
	return "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a, namespace: a}\nspec: " + spec
}

func object(apiVersion, kind, more string) string {
	return "apiVersion: " + apiVersion + "\nkind: " + kind + "\n" + more
}

func TestMarks(t *testing.T) {
	t.Parallel()
	const name, clusterName = "metadata: {name: a, namespace: a}\n", "metadata: {name: a}\n"
	claim := func(size, mode string) string {
		return object("v1", "PersistentVolumeClaim", name+"spec: {accessModes: ["+mode+"], resources: {requests: {storage: "+size+"}}}")
	}
	set := func(more string) string {
		return object("apps/v1", "StatefulSet", name+"spec:\n  selector: {matchLabels: {app: a}}\n  template: "+pod+"\n"+more)
	}
	templates := func(size string) string {
		return set("  volumeClaimTemplates: [{metadata: {name: d}, spec: {resources: {requests: {storage: " + size + "}}}}]\n")
	}
	service := func(spec string) string { return object("v1", "Service", name+"spec: "+spec) }
	job := func(spec string) string { return object("batch/v1", "Job", name+"spec: "+spec) }
	role := func(rules string) string {
		return object("rbac.authorization.k8s.io/v1", "ClusterRole", clusterName+"rules: "+rules)
	}
	binding := func(role, subjects string) string {
		return object("rbac.authorization.k8s.io/v1", "ClusterRoleBinding", clusterName+"roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: "+role+"}\nsubjects: ["+subjects+"]")
	}
	crd := func(versions string) string {
		return object("apiextensions.k8s.io/v1", "CustomResourceDefinition", "metadata: {name: things.example.com}\nspec: {group: example.com, scope: Namespaced, names: {kind: Thing, plural: things}, versions: ["+versions+"]}")
	}
	version := func(v, served string) string {
		return "{name: " + v + ", served: " + served + ", storage: false, schema: {openAPIV3Schema: {type: object}}}"
	}
	hook := func(policy string) string {
		return object("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration", clusterName+"webhooks: [{name: a.example.com"+policy+"}]")
	}
	class := func(parameters string) string {
		return object("storage.k8s.io/v1", "StorageClass", clusterName+"provisioner: a\nparameters: "+parameters)
	}
	config := func(data string) string { return object("v1", "ConfigMap", name+data) }
	namespace := func(labels string) string {
		return object("v1", "Namespace", "metadata: {name: a, labels: {"+labels+"}}")
	}
	cron := func(suspend string) string {
		return object("batch/v1", "CronJob", name+"spec: {suspend: "+suspend+", schedule: '* * * * *', jobTemplate: {spec: {template: "+pod+"}}}")
	}
	const sa, other = "{kind: ServiceAccount, name: x, namespace: a}", "{kind: User, name: y, apiGroup: rbac.authorization.k8s.io}"
	dep := func(extra string) string {
		return deployment("{" + extra + "selector: {matchLabels: {app: a}}, template: " + pod + "}")
	}
	for title, tt := range map[string]struct {
		base, head string
		want       []string
	}{
		"nothing of note":        {dep("replicas: 1, "), dep("replicas: 2, "), nil},
		"a new object":           {"", dep(""), nil},
		"prune":                  {dep(""), "", []string{"Deployment a/a: prune: " + deletes}},
		"prune is disabled":      {object("v1", "ConfigMap", "metadata: {name: a, namespace: a, labels: {kustomize.toolkit.fluxcd.io/prune: disabled}}"), "", []string{"ConfigMap a/a: orphan: it stays in the cluster: it has kustomize.toolkit.fluxcd.io/prune: disabled"}},
		"a claim goes":           {claim("1Gi", "ReadWriteOnce"), "", []string{"PersistentVolumeClaim a/a: data-loss: its volume goes with it, unless the volume's reclaim policy is Retain", "PersistentVolumeClaim a/a: prune: " + deletes}},
		"a namespace goes":       {namespace("") + "\n---\n" + config(""), config(""), []string{"Namespace a: namespace-delete: the namespace goes with all that is in it: 2 objects of the repository, and what is there besides", "Namespace a: prune: " + deletes}},
		"a definition goes":      {crd(version("v1", "true")) + "\n---\n" + object("example.com/v1", "Thing", name), object("example.com/v1", "Thing", name), []string{"CustomResourceDefinition things.example.com: data-loss: all Thing resources of the cluster go with their definition: 1 object of the repository, and what is there besides", "CustomResourceDefinition things.example.com: prune: " + deletes}},
		"a version goes":         {crd(version("v1", "true") + ", " + version("v2", "true")), crd(version("v1", "false") + ", " + version("v2", "true")), []string{"CustomResourceDefinition things.example.com: crd-version-removed: version v1 is not served any more"}},
		"a version comes":        {crd(version("v1", "true")), crd(version("v1", "true") + ", " + version("v2", "true")), nil},
		"a claim shrinks":        {claim("10Gi", "ReadWriteOnce"), claim("9000Mi", "ReadWriteOnce"), []string{"PersistentVolumeClaim a/a: pvc-shrink: goes from 10Gi to 9000Mi"}},
		"a claim grows":          {claim("10Gi", "ReadWriteOnce"), claim("11000Mi", "ReadWriteOnce"), nil},
		"the same size":          {claim("1Gi", "ReadWriteOnce"), claim("1024Mi", "ReadWriteOnce"), nil},
		"a claim's mode":         {claim("1Gi", "ReadWriteOnce"), claim("1Gi", "ReadWriteMany"), []string{"PersistentVolumeClaim a/a: immutable: spec.accessModes[0] does not change on a live PersistentVolumeClaim; " + fails}},
		"templates shrink":       {templates("2Gi"), templates("1Gi"), []string{"StatefulSet a/a: pvc-shrink: template d goes from 2Gi to 1Gi", "StatefulSet a/a: immutable: spec.volumeClaimTemplates[metadata.name=d].spec.resources.requests.storage does not change on a live StatefulSet; " + fails}},
		"a StatefulSet's name":   {set("  serviceName: a"), set("  serviceName: b"), []string{"StatefulSet a/a: immutable: spec.serviceName does not change on a live StatefulSet; " + fails}},
		"a StatefulSet's size":   {set("  replicas: 1"), set("  replicas: 2"), nil},
		"a selector":             {dep(""), strings.Replace(dep(""), "matchLabels: {app: a}", "matchLabels: {app: a, b: c}", 1), []string{"Deployment a/a: immutable: spec.selector.matchLabels.b does not change on a live Deployment; " + fails}},
		"a Deployment's pods":    {dep(""), strings.Replace(dep(""), "image: a", "image: b", 1), nil},
		"a Job's pods":           {job("{template: " + pod + "}"), job("{template: " + strings.Replace(pod, "image: a", "image: b", 1) + "}"), []string{"Job a/a: immutable: spec.template.spec.containers[name=a].image does not change on a live Job; " + fails}},
		"a Job's limit":          {job("{parallelism: 1, template: " + pod + "}"), job("{parallelism: 2, template: " + pod + "}"), nil},
		"an address":             {service("{clusterIP: 10.0.0.1, ports: [{port: 80}]}"), service("{clusterIP: None, ports: [{port: 80}]}"), []string{"Service a/a: immutable: spec.clusterIP does not change on a live Service; " + fails}},
		"no address any more":    {service("{clusterIP: None, ports: [{port: 80}]}"), service("{ports: [{port: 80}]}"), nil},
		"to another name":        {service("{clusterIP: 10.0.0.1}"), service("{type: ExternalName, externalName: a.example, clusterIP: ''}"), nil},
		"a type of Service":      {service("{type: ClusterIP, ports: [{port: 80}]}"), service("{type: LoadBalancer, ports: [{port: 80}]}"), nil},
		"parameters":             {class("{a: b}"), class("{a: c}"), []string{"StorageClass a: immutable: parameters.a does not change on a live StorageClass; " + fails}},
		"an expandable class":    {class("{a: b}"), class("{a: b}\nallowVolumeExpansion: true"), nil},
		"an immutable ConfigMap": {config("immutable: true\ndata: {a: b}"), config("immutable: true\ndata: {a: c}"), []string{"ConfigMap a/a: immutable: data.a does not change on a live ConfigMap; " + fails}},
		"a ConfigMap":            {config("data: {a: b}"), config("immutable: true\ndata: {a: c}"), nil},
		"a role binds another":   {binding("a", sa), binding("b", sa), []string{"ClusterRoleBinding a: immutable: roleRef.name does not change on a live ClusterRoleBinding; " + fails, "ClusterRoleBinding a: rbac-growth: ServiceAccount a/x gets ClusterRole b in the whole cluster"}},
		"a role grows":           {role("[{apiGroups: [''], resources: [pods], verbs: [get]}]"), role("[{apiGroups: [''], resources: [pods], verbs: [get, list, watch]}]"), []string{"ClusterRole a: rbac-growth: it allows more than before: list, watch on pods"}},
		"a role is put another way": {
			role("[{apiGroups: ['', apps], resources: [pods], verbs: [get, list]}]"),
			role("[{apiGroups: [''], resources: [pods], verbs: [list]}, {apiGroups: [apps], resources: [pods], verbs: [get]}]"), nil,
		},
		"a role becomes all": {
			role("[{apiGroups: [''], resources: [pods], verbs: ['*']}]"), role("[{apiGroups: ['*'], resources: ['*'], verbs: ['*']}]"),
			[]string{"ClusterRole a: rbac-admin: the role allows everything", "ClusterRole a: rbac-growth: it allows more than before: * on *.*"},
		},
		"somebody more":             {binding("a", sa), binding("a", sa+", "+other), []string{"ClusterRoleBinding a: rbac-growth: User y gets ClusterRole a in the whole cluster"}},
		"somebody less":             {binding("a", sa+", "+other), binding("a", sa), nil},
		"an admin":                  {"", binding("cluster-admin", sa), []string{"ClusterRoleBinding a: rbac-admin: ClusterRole cluster-admin allows everything in the whole cluster", "ClusterRoleBinding a: rbac-growth: ServiceAccount a/x gets ClusterRole cluster-admin in the whole cluster"}},
		"privileged":                {dep(""), strings.Replace(dep(""), "image: a", "image: a, securityContext: {privileged: true, capabilities: {add: [SYS_ADMIN, CHOWN]}}", 1), []string{"Deployment a/a: privileged: new: container a is privileged", "Deployment a/a: privileged: new: container a has the capability SYS_ADMIN"}},
		"not any more":              {strings.Replace(dep(""), "image: a", "image: a, securityContext: {privileged: true}", 1), dep(""), nil},
		"a quota goes":              {object("v1", "ResourceQuota", name), "", []string{"ResourceQuota a/a: prune: " + deletes, "ResourceQuota a/a: guard-removed: without it the namespace may take as much as there is"}},
		"a budget goes":             {object("policy/v1", "PodDisruptionBudget", name), "", []string{"PodDisruptionBudget a/a: prune: " + deletes, "PodDisruptionBudget a/a: guard-removed: without it a drain may take all its pods at once"}},
		"a level falls":             {namespace("pod-security.kubernetes.io/enforce: restricted"), namespace("pod-security.kubernetes.io/enforce: baseline"), []string{"Namespace a: guard-removed: Pod Security goes from restricted to baseline"}},
		"a level rises":             {namespace(""), namespace("pod-security.kubernetes.io/enforce: baseline"), nil},
		"a constraint only watches": {object("constraints.gatekeeper.sh/v1beta1", "K8sNoLatest", clusterName), object("constraints.gatekeeper.sh/v1beta1", "K8sNoLatest", clusterName+"spec: {enforcementAction: dryrun}"), []string{"K8sNoLatest a: guard-removed: enforcementAction goes from deny to dryrun: what it refused is let in"}},
		"a webhook fails":           {hook(", failurePolicy: Ignore"), hook(""), []string{"ValidatingWebhookConfiguration a: webhook-fail: webhook a.example.com has failurePolicy Fail"}},
		"a webhook failed":          {hook(""), hook(", failurePolicy: Fail"), nil},
		"no pods":                   {dep(""), dep("replicas: 0, "), []string{"Deployment a/a: replicas-zero: it goes from 1 to no pods"}},
		"pods again":                {dep("replicas: 0, "), dep(""), nil},
		"a CronJob stops":           {cron("false"), cron("true"), []string{"CronJob a/a: suspend: spec.suspend is set"}},
		"a CronJob goes on":         {cron("true"), cron("false"), nil},
	} {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			r := of(t, map[string]string{"objects.yaml": tt.base}, map[string]string{"objects.yaml": tt.head})
			if diff := cmp.Diff(tt.want, marked(r)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if !r.Differs() || !r.Certain() {
				t.Errorf("differs %v, not compared %v", r.Differs(), r.NotCompared)
			}
		})
	}
}

// TestFate: what becomes of an object follows from all that applies it.
func TestFate(t *testing.T) {
	t.Parallel()
	const flux, config = "clusters/home/flux.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: a}\n"
	const object, stays = "ConfigMap a/a: ", "it stays in the cluster: "
	parent := strings.NewReplacer("name: apps", "name: parent", "./apps", "./parent").Replace(kustomization())
	release := func(more string) string {
		return `apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata: {name: r, namespace: a}
spec:
  interval: 1h
` + more + `  chart: {spec: {chart: ./charts/c, sourceRef: {kind: GitRepository, name: flux-system, namespace: flux-system}}}
`
	}
	chart := func(objects string) map[string]string {
		return map[string]string{"charts/c/Chart.yaml": "apiVersion: v2\nname: c\nversion: 1.0.0\n", "charts/c/templates/o.yaml": objects, "objects.yaml": release("")}
	}
	with := func(m map[string]string, more ...string) map[string]string {
		m = maps.Clone(m)
		for i := 0; i < len(more); i += 2 {
			m[more[i]] = more[i+1]
		}
		return m
	}
	has := map[string]string{"objects.yaml": config}
	for title, tt := range map[string]struct {
		base, head map[string]string
		want       string
	}{
		"by a Kustomization":            {has, nil, object + "prune: " + deletes},
		"by one that is suspended":      {has, map[string]string{flux: kustomization("  suspend: true\n")}, object + "prune: Kustomization flux-system/apps deletes it once it is resumed"},
		"by none that prunes":           {has, map[string]string{flux: strings.Replace(kustomization(), "prune: true", "prune: false", 1)}, object + "orphan: " + stays + "Kustomization flux-system/apps has prune: false"},
		"with its Kustomization":        {with(has, flux, parent, "parent/apps.yaml", kustomization()), map[string]string{flux: parent, "parent/anchor.yaml": strings.ReplaceAll(config, "name: a,", "name: p,")}, object + "prune: Kustomization flux-system/apps goes, and deletes all that it applied"},
		"with a suspended one":          {with(has, flux, parent, "parent/apps.yaml", kustomization("  suspend: true\n")), map[string]string{flux: parent, "parent/anchor.yaml": strings.ReplaceAll(config, "name: a,", "name: p,")}, object + "orphan: " + stays + "Kustomization flux-system/apps goes while it is suspended, and then deletes nothing"},
		"with one that orphans":         {with(has, flux, parent, "parent/apps.yaml", kustomization("  deletionPolicy: Orphan\n")), map[string]string{flux: parent, "parent/anchor.yaml": strings.ReplaceAll(config, "name: a,", "name: p,")}, object + "orphan: " + stays + "Kustomization flux-system/apps goes, and has deletionPolicy: Orphan"},
		"by a release":                  {chart(config), with(chart(strings.ReplaceAll(config, "name: a,", "name: other,"))), object + "prune: HelmRelease a/r deletes it with its next upgrade"},
		"a release lets it be":          {chart(strings.Replace(config, "namespace: a", "namespace: a, annotations: {helm.sh/resource-policy: keep}", 1)), with(chart(strings.ReplaceAll(config, "name: a,", "name: other,"))), object + "orphan: " + stays + "it has helm.sh/resource-policy: keep"},
		"with its release":              {chart(config), with(chart(config), "objects.yaml", ""), object + "prune: HelmRelease a/r goes, and is uninstalled"},
		"with a release that is paused": {with(chart(config), "objects.yaml", release("  suspend: true\n")), with(chart(config), "objects.yaml", ""), object + "orphan: " + stays + "HelmRelease a/r goes while it is suspended, and then uninstalls nothing"},
		"from one to the other":         {chart(config), with(has, "charts/c/Chart.yaml", ""), object + "owner: it moves from HelmRelease a/r to Kustomization flux-system/apps"},
	} {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			r := of(t, tt.base, tt.head)
			if got := marked(r); !slices.Contains(got, tt.want) {
				t.Errorf("marks %q, want %q", got, tt.want)
			}
			if !r.Certain() {
				t.Errorf("not compared: %v", r.NotCompared)
			}
		})
	}
}

// TestMarksOfFlux: what changes of Kustomizations and releases themselves.
func TestMarksOfFlux(t *testing.T) {
	t.Parallel()
	release := func(more string) string {
		return "apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nmetadata: {name: r, namespace: a}\nspec:\n  interval: 1h\n" + more +
			"  chart: {spec: {chart: ./charts/c, sourceRef: {kind: GitRepository, name: flux-system, namespace: flux-system}}}\n"
	}
	one := func(objects string) map[string]string {
		return map[string]string{"objects.yaml": objects, "charts/c/Chart.yaml": "apiVersion: v2\nname: c\nversion: 1.0.0\n"}
	}
	for title, tt := range map[string]struct {
		base, head map[string]string
		want       []string
	}{
		"suspend":               {nil, map[string]string{"clusters/home/flux.yaml": kustomization("  suspend: true\n")}, []string{"Kustomization flux-system/apps: suspend: spec.suspend is set"}},
		"resume":                {map[string]string{"clusters/home/flux.yaml": kustomization("  suspend: true\n")}, nil, []string{"Kustomization flux-system/apps: resume: spec.suspend is taken away"}},
		"a release's name":      {one(release("")), one(release("  releaseName: other\n")), []string{"HelmRelease a/r: reinstall: the release name goes from r to other"}},
		"the same name, said":   {one(release("")), one(release("  releaseName: r\n")), nil},
		"a release's namespace": {one(release("  releaseName: r\n")), one(release("  releaseName: r\n  targetNamespace: b\n")), []string{"HelmRelease a/r: reinstall: the target namespace goes from a to b"}},
	} {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tt.want, marked(of(t, tt.base, tt.head))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestForce: what Flux is told to force is said to be made anew.
func TestForce(t *testing.T) {
	t.Parallel()
	base, head := deployment("{selector: {matchLabels: {app: a}}, template: "+pod+"}"), deployment("{selector: {matchLabels: {app: b}}, template: "+pod+"}")
	got := marked(of(t, map[string]string{"objects.yaml": base}, map[string]string{"objects.yaml": head, "clusters/home/flux.yaml": kustomization("  force: true\n")}))
	want := "Deployment a/a: immutable: spec.selector.matchLabels.app does not change on a live Deployment; Flux is told to force it: it is deleted and made anew"
	if !slices.Contains(got, want) {
		t.Errorf("marks %q, want %q", got, want)
	}
}

// TestProduction: objects of production, and what brings them there, are marked.
func TestProduction(t *testing.T) {
	t.Parallel()
	namespace := "apiVersion: v1\nkind: Namespace\nmetadata: {name: a, labels: {lumacore.env: ENV}}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: a}\ndata: {a: VALUE}\n"
	for env, want := range map[string]int{"prod": 2, "staging": 0} {
		one := func(value string) string { return strings.NewReplacer("ENV", env, "VALUE", value).Replace(namespace) }
		r := of(t, map[string]string{"objects.yaml": one("b")}, map[string]string{"objects.yaml": one("c"), "clusters/home/flux.yaml": kustomization("  wait: true\n")})
		if got := r.in(production); got != want {
			t.Errorf("%s: %d objects in production, want %d", env, got, want)
		}
	}
}

// TestMarksTable: each mark is whole, and its name is the only one.
func TestMarksTable(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, m := range Marks {
		if seen[m.Name] || m.Means == "" || !strings.HasPrefix(m.Link, "https://") || !slices.Contains(report.Severities, m.Severity) {
			t.Errorf("%+v", m)
		}
		seen[m.Name] = true
	}
	for _, x := range immutables {
		if !strings.HasPrefix(x.link, "https://") || x.way == "" || len(x.kinds) == 0 {
			t.Errorf("%+v", x)
		}
	}
}
