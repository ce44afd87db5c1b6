package network

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lumacore.dev/lumacore/internal/check/checktest"
)

func TestExamples(t *testing.T) {
	t.Parallel()
	checktest.Examples(t, Gate)
}

// The small world of the tests: an app in staging and in prod, each with a database,
// behind an ingress controller.
var objects = `apiVersion: v1
kind: Namespace
metadata:
  name: app
  labels: {lumacore.env: prod}
---
apiVersion: v1
kind: Namespace
metadata:
  name: app-staging
  labels: {lumacore.env: staging}
---
apiVersion: v1
kind: Namespace
metadata:
  name: edge
---
` + workloads

var workloads = deployment("app", "web", 8080) + deployment("app", "db", 5432) + deployment("app-staging", "web", 8080) + deployment("edge", "traefik", 8000)

func deployment(ns, name string, port int) string {
	return fmt.Sprintf("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: %[2]s, namespace: %[1]s}\nspec:\n  selector: {matchLabels: {app: %[2]s}}\n  template:\n    metadata: {labels: {app: %[2]s}}\n    spec:\n      containers:\n        - name: %[2]s\n          ports: [{name: main, containerPort: %[3]d}]\n---\n", ns, name, port)
}

func policy(ns, name, spec string) string {
	return "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: " + name + ", namespace: " + ns + "}\nspec:\n" + spec + "---\n"
}

const (
	denyAll = "  podSelector: {}\n  policyTypes: [Ingress, Egress]\n"
	dns     = "  podSelector: {}\n  policyTypes: [Egress]\n  egress:\n    - to: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}, podSelector: {matchLabels: {k8s-app: kube-dns}}}]\n      ports: [{port: 53, protocol: UDP}]\n"
	traefik = "  podSelector: {matchLabels: {app: web}}\n  ingress:\n    - from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: edge}}}]\n      ports: [{port: main}]\n"
)

func TestDefaultDeny(t *testing.T) {
	t.Parallel()
	all := policy("app", "deny", denyAll) + policy("app-staging", "deny", denyAll) + policy("edge", "deny", denyAll)
	for name, c := range map[string]struct {
		in   string
		want []string
	}{
		"everywhere": {objects + all, nil},
		"nowhere": {objects, []string{
			"cluster/objects.yaml:1 network/no-default-deny none of the 3 namespaces with pods has a NetworkPolicy: all pods can talk to each other and to everything else",
		}},
		"in one": {objects + policy("app", "deny", denyAll), []string{
			"cluster/objects.yaml:13 network/no-default-deny neither ingress nor egress is denied by default in namespace edge, in which Deployment traefik runs",
			"cluster/objects.yaml:7 network/no-default-deny neither ingress nor egress is denied by default in namespace app-staging, in which Deployment web runs",
		}},
		"ingress alone": {objects + all + policy("more", "deny", "  podSelector: {}\n") + deployment("more", "web", 80) + deployment("more", "db", 80), []string{
			"cluster/objects.yaml:105 network/no-default-deny egress is not denied by default in namespace more, in which Deployment db and 1 more run",
		}},
		"in two policies": {objects + policy("app", "in", "  podSelector: {}\n") + policy("app", "out", "  podSelector: {}\n  policyTypes: [Egress]\n") + policy("app-staging", "deny", denyAll) + policy("edge", "deny", denyAll), nil},
		"some pods alone": {objects + policy("app", "deny", "  podSelector: {matchLabels: {app: web}}\n  policyTypes: [Ingress, Egress]\n") + policy("app-staging", "deny", denyAll) + policy("edge", "deny", denyAll), []string{
			"cluster/objects.yaml:1 network/no-default-deny neither ingress nor egress is denied by default in namespace app, in which Deployment db and 1 more run",
		}},
		"pods on the host's network": {"apiVersion: v1\nkind: Pod\nmetadata: {name: agent, namespace: node-agents}\nspec:\n  hostNetwork: true\n  containers: [{name: agent}]\n", nil},
		"no pods":                    {"apiVersion: v1\nkind: Namespace\nmetadata: {name: empty}\n", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(c.want, checktest.Lines(checktest.Run(t, Gate, c.in))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// Policies of other kinds may decide otherwise: nothing is claimed.
func TestForeignPolicies(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"cilium.io/v2 CiliumNetworkPolicy", "policy.networking.k8s.io/v1alpha1 AdminNetworkPolicy", "crd.projectcalico.org/v1 GlobalNetworkPolicy"} {
		version, kind, _ := strings.Cut(kind, " ")
		rep := checktest.Run(t, Gate, "-- network.assert.yaml --\n"+promise+"-- cluster/objects.yaml --\n"+objects+"apiVersion: "+version+"\nkind: "+kind+"\nmetadata: {name: other, namespace: app}\n")
		if lines := checktest.Lines(rep); lines != nil {
			t.Errorf("%s: %q", kind, lines)
		}
		if len(rep.NotChecked) != 2 || !strings.Contains(rep.NotChecked[0].Reason+rep.NotChecked[1].Reason, kind) {
			t.Errorf("%s: not checked: %+v", kind, rep.NotChecked)
		}
	}
}

func TestAssertions(t *testing.T) {
	t.Parallel()
	closed := policy("app", "deny", denyAll) + policy("app", "dns", dns) + policy("app", "traefik", traefik) + policy("app-staging", "deny", denyAll) + policy("edge", "deny", denyAll)
	one := func(body string) string {
		return "apiVersion: lumacore.dev/v1alpha1\nkind: NetworkAssertions\nassertions:\n  - name: promise\n" + body
	}
	for name, c := range map[string]struct {
		assertions string
		policies   string
		want       []string
	}{
		"holds: staging does not reach prod": {one("    deny: {from: {environment: staging}, to: {environment: prod}}\n"), closed, nil},
		"does not hold: no policy at all": {one("    deny: {from: {environment: staging}, to: {environment: prod}}\n"), "", []string{
			`network.assert.yaml:4 network/assertion-failed "promise" does not hold: Deployment app-staging/web can reach Deployment app/db on TCP 1: no policy isolates the egress of Deployment app-staging/web; no policy isolates the ingress of Deployment app/db (and 1 more pairs)`,
		}},
		"does not hold: a rule allows it": {
			one("    deny: {from: {namespace: \"*\", not: {namespace: edge, workload: traefik}}, to: {namespace: app}, ports: [main]}\n"),
			closed + policy("app", "oops", "  podSelector: {}\n  policyTypes: [Ingress, Egress]\n  ingress: [{from: [{podSelector: {}}]}]\n  egress: [{to: [{podSelector: {matchLabels: {app: db}}}], ports: [{port: 5432}]}]\n"),
			[]string{
				`network.assert.yaml:4 network/assertion-failed "promise" does not hold: Deployment app/db can reach Deployment app/db on TCP 5432: NetworkPolicy app/oops (cluster/objects.yaml:106) allows it with spec.egress[0]; NetworkPolicy app/oops (cluster/objects.yaml:106) allows it with spec.ingress[0] (and 1 more pairs)`,
			},
		},
		"holds: allowed through named ports": {one("    allow: {from: {namespace: edge}, to: {namespace: app, workload: web}, ports: [main, TCP/8080]}\n"), closed + policy("edge", "out", "  podSelector: {}\n  policyTypes: [Egress]\n  egress: [{}]\n"), nil},
		"does not hold: the source may not leave": {one("    allow: {from: {namespace: edge}, to: {namespace: app, workload: web}, ports: [main]}\n"), closed, []string{
			`network.assert.yaml:4 network/assertion-failed "promise" does not hold: Deployment edge/traefik cannot reach Deployment app/web on TCP 8080: the egress of Deployment edge/traefik is isolated by NetworkPolicy edge/deny (cluster/objects.yaml:99), and no rule allows it`,
		}},
		"an assumed pod": {one("    allow: {from: {namespace: app}, to: {namespace: kube-system, assume: {k8s-app: kube-dns}}, ports: [UDP/53]}\n"), closed, nil},
		"an assumed pod with other labels": {one("    allow: {from: {namespace: app, workload: db}, to: {namespace: kube-system, assume: {k8s-app: other}}, ports: [UDP/53]}\n"), closed, []string{
			`network.assert.yaml:4 network/assertion-failed "promise" does not hold: Deployment app/db cannot reach a pod with k8s-app=other in kube-system on UDP 53: the egress of Deployment app/db is isolated by NetworkPolicy app/deny (cluster/objects.yaml:66), NetworkPolicy app/dns (cluster/objects.yaml:73), and no rule allows it`,
		}},
		"the internet is closed": {one("    deny: {from: {namespace: app}, to: {cidr: internet}}\n"), closed, nil},
		"the internet is open, but for private addresses": {
			one("    deny: {from: {namespace: app}, to: {cidr: 192.168.0.0/16}}\n"),
			closed + policy("app", "out", "  podSelector: {}\n  policyTypes: [Egress]\n  egress: [{to: [{ipBlock: {cidr: 0.0.0.0/0, except: [10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16]}}]}]\n"), nil,
		},
		"a hole in the exceptions": {
			one("    deny: {from: {namespace: app, workload: web}, to: {cidr: 192.168.0.0/16}}\n"),
			closed + policy("app", "out", "  podSelector: {}\n  policyTypes: [Egress]\n  egress: [{to: [{ipBlock: {cidr: 0.0.0.0/0, except: [10.0.0.0/8, 192.168.0.0/17]}}], ports: [{port: 443}]}]\n"),
			[]string{
				`network.assert.yaml:4 network/assertion-failed "promise" does not hold: Deployment app/web can reach 192.168.0.0/16 on TCP 443: NetworkPolicy app/out (cluster/objects.yaml:106) allows it with spec.egress[0]`,
			},
		},
		"everybody outside": {one("    deny: {from: {cidr: internet}, to: {namespace: app}}\n"), closed, nil},
		"nothing selected": {one("    deny: {from: {namespace: ap}, to: {namespace: app}}\n"), closed, []string{
			`network.assert.yaml:4 network/assertion-empty "promise": from selects no pod of the repository, so nothing is proven`,
		}},
		"a port that nobody has": {one("    deny: {from: {namespace: app}, to: {namespace: app}, ports: [metrics]}\n"), closed, []string{
			`network.assert.yaml:4 network/assertion-empty "promise": no pod has a port of the names that it lists, so nothing is proven`,
		}},
		"a cluster that there is not": {one("    deny: {from: {namespace: app}, to: {namespace: app}}\n    clusters: [home]\n"), closed, []string{
			`network.assert.yaml:4 network/assertion-empty "promise" is about cluster home, which the repository does not have`,
		}},
		"pods whose address decides": {
			strings.Replace(one("    allow: {from: {namespace: app}, to: {namespace: app-staging}, ports: [80]}\n"), "assertions:", "podCIDRs: [10.1.0.0/16]\nassertions:", 1),
			policy("app-staging", "half", "  podSelector: {}\n  ingress: [{from: [{ipBlock: {cidr: 10.1.0.0/17}}]}]\n") + policy("app", "d", "  podSelector: {}\n  policyTypes: [Ingress]\n") + policy("edge", "d", denyAll),
			[]string{
				`network.assert.yaml:5 network/assertion-failed "promise" does not hold: Deployment app/db cannot reach Deployment app-staging/web on TCP 80: it depends on the address of the pod whether a rule with an ipBlock allows it (and 1 more pairs)`,
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, line := range checktest.Lines(checktest.Run(t, Gate, "-- network.assert.yaml --\n"+c.assertions+"-- cluster/objects.yaml --\n"+objects+c.policies)) {
				if !strings.Contains(line, "no-default-deny") {
					got = append(got, line)
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	head := "apiVersion: lumacore.dev/v1alpha1\nkind: NetworkAssertions\nassertions:\n"
	ends := "from: {namespace: a}, to: {namespace: b}"
	for name, c := range map[string]struct{ in, want string }{
		"empty":             {"", "1: the file is empty; begin it with apiVersion: lumacore.dev/v1alpha1 and kind: NetworkAssertions"},
		"another kind":      {"kind: Config\n", `1: this is "" "Config"; lumacore.dev/v1alpha1 NetworkAssertions is expected`},
		"no YAML":           {head + "  - [\n", "4: this is no YAML: did not find expected node content"},
		"unknown key":       {head + "  - name: a\n    alow: {}\n", "5: there is no key \"alow\" here"},
		"another type":      {head + "  - name: [a]\n", "4: cannot unmarshal !!seq into string"},
		"no name":           {head + "  - deny: {" + ends + "}\n", "4: an assertion needs a name, which says what is promised"},
		"a name twice":      {head + "  - {name: a, deny: {" + ends + "}}\n  - {name: a, deny: {" + ends + "}}\n", `5: the assertion in line 4 has the name "a" too`},
		"both":              {head + "  - {name: a, deny: {" + ends + "}, allow: {" + ends + "}}\n", "4: an assertion has either allow or deny"},
		"one end":           {head + "  - name: a\n    deny: {from: {namespace: a}}\n", "5: an assertion has both ends: from and to"},
		"an empty end":      {head + "  - name: a\n    deny:\n      from: {}\n      to: {namespace: b}\n", `6: an end selects something; all pods are namespace: "*"`},
		"pods and cidr":     {head + "  - {name: a, deny: {from: {namespace: a, cidr: internet}, to: {namespace: b}}}\n", "4: an end has either cidr or what selects pods"},
		"no addresses":      {head + "  - {name: a, deny: {from: {cidr: intranet}, to: {namespace: b}}}\n", `4: cidr is "intranet"; write addresses like 192.168.1.0/24, or internet`},
		"addresses only":    {head + "  - {name: a, deny: {from: {cidr: 10.0.0.0/8}, to: {cidr: internet}}}\n", "4: one end at least is in the cluster: NetworkPolicies know of no other traffic"},
		"assume and a glob": {head + "  - {name: a, deny: {from: {namespace: a*, assume: {a: b}}, to: {namespace: b}}}\n", "4: assume goes with the whole name of a namespace, and with nothing else"},
		"a broken glob":     {head + "  - {name: a, deny: {from: {namespace: \"a[\"}, to: {namespace: b}}}\n", `4: "a[" is no glob pattern; * stands for any part of a name`},
		"a port too large":  {head + "  - {name: a, deny: {" + ends + ", ports: [70000]}}\n", `4: port "70000": ports go from 1 to 65535, the smaller one first`},
		"a range backwards": {head + "  - {name: a, deny: {" + ends + ", ports: [90-80]}}\n", `4: port "90-80": ports go from 1 to 65535, the smaller one first`},
		"a protocol":        {head + "  - {name: a, deny: {" + ends + ", ports: [ICMP/1]}}\n", `4: port "ICMP/1": the protocol is TCP, UDP or SCTP`},
		"no port":           {head + "  - {name: a, deny: {" + ends + ", ports: [a_b]}}\n", `4: port "a_b": write 80, UDP/53, TCP/8000-8100 or the name of a port`},
		"a pod network":     {"apiVersion: lumacore.dev/v1alpha1\nkind: NetworkAssertions\npodCIDRs: [a]\n", `3: podCIDRs: "a" is no CIDR, such as 10.42.0.0/16`},
		"too large":         {strings.Repeat("#", maxSize+1), "1: the file has 1024 KiB; 1024 are the most that are read"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, mistakes := parse([]byte(c.in))
			var got []string
			for _, m := range mistakes {
				got = append(got, fmt.Sprintf("%d: %s", m.line, m.text))
			}
			if diff := cmp.Diff(c.want, strings.Join(got, "\n")); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestInternet(t *testing.T) {
	t.Parallel()
	in := func(text string) bool {
		a := netip.MustParseAddr(text)
		for _, p := range internet {
			if p.Contains(a) {
				return true
			}
		}
		return false
	}
	for _, public := range []string{"1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "172.15.255.255", "172.32.0.0", "192.167.255.255", "192.169.0.0", "223.255.255.255"} {
		if !in(public) {
			t.Errorf("%s is not in the internet", public)
		}
	}
	for _, private := range []string{"0.0.0.1", "10.0.0.0", "10.255.255.255", "100.64.0.0", "127.0.0.1", "169.254.169.254", "172.16.0.0", "172.31.255.255", "192.168.0.1", "224.0.0.1", "255.255.255.255"} {
		if in(private) {
			t.Errorf("%s is in the internet", private)
		}
	}
}

func FuzzAssertions(f *testing.F) {
	f.Add([]byte(promise))
	f.Add([]byte(misspelt))
	f.Add([]byte("apiVersion: lumacore.dev/v1alpha1\nkind: NetworkAssertions\npodCIDRs: [10.42.0.0/16]\nassertions:\n  - name: a\n    allow: {from: {namespace: \"a*\", not: {workload: b}}, to: {namespace: k, assume: {a: b}}, ports: [UDP/53, http, 80-90]}\n    clusters: [a]\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		a, mistakes := parse(data)
		for _, m := range mistakes {
			if m.line < 1 || m.text == "" {
				t.Errorf("mistake %+v", m)
			}
		}
		for _, x := range a.list {
			if x.name == "" || x.line < 1 || x.from.addresses != nil && x.to.addresses != nil {
				t.Errorf("assertion %+v", x)
			}
		}
	})
}
