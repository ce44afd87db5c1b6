// Package network looks at who may talk to whom: it names the namespaces in which pods
// run without a NetworkPolicy that denies by default, and proves the assertions of
// network.assert.yaml with the engine of package netpol. A failed one comes with a pair
// that disproves it, and with the policy responsible.
//
// Policies of other kinds (Cilium's, Calico's, AdminNetworkPolicies) are not evaluated.
// Where a cluster has some, nothing is claimed that they could decide otherwise.
package network

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	k8sruntime "k8s.io/apimachinery/pkg/runtime"

	"lumacore.dev/lumacore/internal/check"
	"lumacore.dev/lumacore/internal/config"
	"lumacore.dev/lumacore/internal/netpol"
	"lumacore.dev/lumacore/internal/render"
	"lumacore.dev/lumacore/internal/report"
)

// Gate looks at NetworkPolicies.
var Gate = &check.Gate{
	Name:  "network",
	Title: "namespaces without default deny, and promises of network.assert.yaml that do not hold",
	Rules: rules,
	Check: run,
}

// workload is an object that makes pods.
type workload struct {
	object *render.Object
	pod    netpol.Pod
}

// cluster is what the gate knows of one cluster.
type cluster struct {
	*render.Cluster
	out         *check.Reporter
	environment string // the label of namespaces
	spaces      map[string]map[string]string
	workloads   []*workload
	host        int // workloads on the host's network
	policies    []*networkingv1.NetworkPolicy
	places      []*render.Object // of the policies
	foreign     []*render.Object // policies of other kinds
}

func run(ctx context.Context, in *check.Input, out *check.Reporter) error {
	promises, err := load(in, out)
	if err != nil {
		return err
	}
	known := map[string]bool{}
	for _, rc := range in.Render.Clusters {
		known[rc.Name] = true
		c := read(rc, in.Config, out)
		c.defaultDeny()
		if promises == nil {
			continue
		}
		if err := c.prove(ctx, promises); err != nil {
			return err
		}
	}
	if promises == nil {
		return nil
	}
	for _, a := range promises.list {
		for _, name := range a.clusters {
			if !known[name] && len(known) > 0 {
				out.File("network/assertion-empty", report.Location{File: File, Line: a.line}, "%q is about cluster %s, which the repository does not have", a.name, name)
			}
		}
	}
	return nil
}

// load reads the assertions; nil if there is no such file.
func load(in *check.Input, out *check.Reporter) (*assertions, error) {
	data, err := in.Tree.ReadFile(File)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	a, mistakes := parse(data)
	for _, m := range mistakes {
		out.File("network/assertion-invalid", report.Location{File: File, Line: m.line}, "%s", m.text)
	}
	return a, nil
}

// read takes what matters out of a rendered cluster.
func read(rc *render.Cluster, cfg *config.Config, out *check.Reporter) *cluster {
	c := &cluster{Cluster: rc, out: out, environment: cfg.EnvironmentLabel, spaces: map[string]map[string]string{}}
	if c.environment == "" {
		c.environment = config.DefaultEnvironmentLabel
	}
	for _, o := range rc.Objects {
		pods, makesPods := o.Pods()
		switch {
		case o.Is("", "Namespace"):
			set := maps.Clone(o.GetLabels())
			if set == nil {
				set = map[string]string{}
			}
			set[corev1.LabelMetadataName] = o.GetName()
			c.spaces[o.GetName()] = set
		case o.Is("networking.k8s.io", "NetworkPolicy"):
			p := &networkingv1.NetworkPolicy{}
			if k8sruntime.DefaultUnstructuredConverter.FromUnstructured(o.Object, p) == nil { // else gate schema reports it
				c.policies, c.places = append(c.policies, p), append(c.places, o)
			}
		case foreign(o):
			c.foreign = append(c.foreign, o)
		case makesPods:
			if host, _, _ := unstructured.NestedBool(pods.Spec, "hostNetwork"); host {
				c.host++
				continue
			}
			c.workloads = append(c.workloads, &workload{o, podOf(o, pods)})
		}
	}
	return c
}

// foreign tells whether an object is a policy that this gate does not evaluate.
func foreign(o *render.Object) bool {
	switch gvk := o.GroupVersionKind(); gvk.Group {
	case "cilium.io":
		return gvk.Kind == "CiliumNetworkPolicy" || gvk.Kind == "CiliumClusterwideNetworkPolicy"
	case "policy.networking.k8s.io":
		return true
	case "crd.projectcalico.org", "projectcalico.org":
		return strings.HasSuffix(gvk.Kind, "NetworkPolicy")
	}
	return false
}

// podOf returns the pods of a workload.
func podOf(o *render.Object, pods render.Pods) netpol.Pod {
	p := netpol.Pod{Namespace: o.GetNamespace(), Name: o.Key().String(), Labels: map[string]string{}}
	set, _, _ := unstructured.NestedMap(pods.Metadata, "labels")
	for k, v := range set {
		p.Labels[k] = fmt.Sprint(v)
	}
	for _, c := range pods.Containers() {
		list, _, _ := unstructured.NestedSlice(c.Spec, "ports")
		for _, item := range list {
			m, _ := item.(map[string]any)
			name, _ := m["name"].(string)
			number, _ := m["containerPort"].(int64)
			protocol, _ := m["protocol"].(string)
			if name != "" && number > 0 && number < 1<<16 {
				p.Ports = append(p.Ports, netpol.ContainerPort{Name: name, Protocol: corev1.Protocol(protocol), Port: int32(number)})
			}
		}
	}
	return p
}

// defaultDeny reports namespaces whose pods nothing isolates by default: without a policy
// for all pods, a new one is open until somebody thinks of it.
func (c *cluster) defaultDeny() {
	denied := map[string][2]bool{}
	for _, p := range c.policies {
		if s := p.Spec.PodSelector; len(s.MatchLabels)+len(s.MatchExpressions) > 0 {
			continue
		}
		d := denied[p.Namespace]
		for _, direction := range netpol.Directions(p) {
			d[direction] = true
		}
		denied[p.Namespace] = d
	}
	byNamespace := map[string][]*workload{}
	for _, w := range c.workloads {
		byNamespace[w.pod.Namespace] = append(byNamespace[w.pod.Namespace], w)
	}
	var open []string
	for name := range byNamespace {
		if d := denied[name]; !d[netpol.Ingress] || !d[netpol.Egress] {
			open = append(open, name)
		}
	}
	slices.Sort(open)
	if len(open) > 0 && len(c.foreign) > 0 {
		o := c.foreign[0]
		c.out.Unchecked(report.Unchecked{
			Subject: "namespaces " + strings.Join(open, ", "), Location: o.Origin.Location, Clusters: []string{c.Name},
			Reason: fmt.Sprintf("they have no NetworkPolicy that denies by default; %s, and others like it, may do so, and are not evaluated", o.Key()),
		})
		return
	}
	for i, name := range open {
		o := c.Get(render.Key{Kind: "Namespace", Name: name})
		if o == nil {
			o = byNamespace[name][0].object
		}
		if len(c.policies) == 0 && i == 0 && len(open) > 1 {
			c.out.Object("network/no-default-deny", c.Cluster, o, nil, "none of the %d namespaces with pods has a NetworkPolicy: all pods can talk to each other and to everything else", len(open))
			return
		}
		d := denied[name]
		what := "neither ingress nor egress is denied"
		switch {
		case d[netpol.Ingress]:
			what = "egress is not denied"
		case d[netpol.Egress]:
			what = "ingress is not denied"
		}
		first, more := byNamespace[name][0].object, " runs"
		if n := len(byNamespace[name]) - 1; n > 0 {
			more = fmt.Sprintf(" and %d more run", n)
		}
		c.out.Object("network/no-default-deny", c.Cluster, o, nil, "%s by default in namespace %s, in which %s %s%s", what, name, first.GetKind(), first.GetName(), more)
	}
}

// prove holds the assertions against the policies.
func (c *cluster) prove(ctx context.Context, promises *assertions) error {
	var list []*assertion
	for _, a := range promises.list {
		if len(a.clusters) == 0 || slices.Contains(a.clusters, c.Name) {
			list = append(list, a)
		}
	}
	if len(list) == 0 || len(c.Objects) == 0 {
		return nil
	}
	if len(c.foreign) > 0 {
		o := c.foreign[0]
		c.out.Unchecked(report.Unchecked{
			Subject: fmt.Sprintf("%d assertions of %s", len(list), File), Location: o.Origin.Location, Clusters: []string{c.Name},
			Reason: fmt.Sprintf("the cluster has policies of other kinds, such as %s, which are not evaluated and may decide otherwise", o.Key()),
		})
		return nil
	}
	// Pods that assertions assume come after those of the repository.
	pods := make([]netpol.Pod, 0, len(c.workloads))
	for _, w := range c.workloads {
		pods = append(pods, w.pod)
	}
	type pair struct{ from, to []netpol.End }
	ends := make([]pair, len(list))
	for i, a := range list {
		ends[i] = pair{c.ends(&a.from, &pods), c.ends(&a.to, &pods)}
	}
	m, err := netpol.New(c.spaces, pods, c.policies, promises.networks)
	if err != nil {
		c.out.Unchecked(report.Unchecked{
			Subject: fmt.Sprintf("%d assertions of %s", len(list), File), Location: report.Location{File: File, Line: 1}, Clusters: []string{c.Name},
			Reason: err.Error(), Next: "see what gate schema says of it",
		})
		return nil
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	for i, a := range list {
		g.Go(func() error { return c.proveOne(ctx, m, a, ends[i].from, ends[i].to) })
	}
	return g.Wait()
}

// ends returns what an end of an assertion stands for, and adds the pod that it assumes.
func (c *cluster) ends(e *endpoint, pods *[]netpol.Pod) (out []netpol.End) {
	switch {
	case e.addresses != nil:
		return []netpol.End{{Pod: -1, Addresses: e.addresses}}
	case e.Assume != nil:
		*pods = append(*pods, netpol.Pod{Namespace: e.Namespace, Name: "a pod with " + labelText(e.Assume) + " in " + e.Namespace, Labels: e.Assume})
		return []netpol.End{{Pod: len(*pods) - 1}}
	}
	for i, w := range c.workloads {
		if e.selects(w, c.spaces, c.environment) {
			out = append(out, netpol.End{Pod: i})
		}
	}
	return out
}

func labelText(labels map[string]string) string {
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(labels)) {
		parts = append(parts, k+"="+labels[k])
	}
	if len(parts) == 0 {
		return "no labels"
	}
	return strings.Join(parts, ",")
}

// proveOne holds one assertion against the policies. The first pair that disproves it, in
// the order of the pods' names, is the counter-example; the others are counted.
func (c *cluster) proveOne(ctx context.Context, m *netpol.Model, a *assertion, from, to []netpol.End) error {
	at := report.Location{File: File, Line: a.line}
	empty := func(which string) {
		host := ""
		if c.host > 0 {
			host = fmt.Sprintf("; the %d workloads on the host's network are left out, for NetworkPolicies do not hold for them", c.host)
		}
		c.out.Add(report.Finding{
			Rule: "network/assertion-empty", Location: at, Clusters: []string{c.Name},
			Message: fmt.Sprintf("%q: %s selects no pod of the repository, so nothing is proven%s", a.name, which, host),
		})
	}
	if len(from) == 0 {
		empty("from")
		return nil
	}
	if len(to) == 0 {
		empty("to")
		return nil
	}
	var message string
	failed, asked := 0, false
	for _, f := range from {
		if err := ctx.Err(); err != nil {
			return err
		}
		for _, t := range to {
			if f.Pod < 0 && t.Pod < 0 {
				continue
			}
			var at *netpol.Pod
			if t.Pod >= 0 {
				at = &m.Pods[t.Pod]
			}
			wanted := a.wanted(at)
			if wanted.Empty() {
				continue
			}
			asked = true
			r := m.Between(f, t)
			bad := r.May.Intersect(wanted)
			if a.allow {
				bad = wanted.Minus(r.Must)
			}
			if bad.Empty() {
				continue
			}
			if failed++; failed == 1 {
				message = c.counterexample(m, a, f, t, bad)
			}
		}
	}
	switch {
	case !asked:
		c.out.Add(report.Finding{
			Rule: "network/assertion-empty", Location: at, Clusters: []string{c.Name},
			Message: fmt.Sprintf("%q: no pod has a port of the names that it lists, so nothing is proven", a.name),
		})
	case failed > 0:
		if failed > 1 {
			message += fmt.Sprintf(" (and %d more pairs)", failed-1)
		}
		c.out.Add(report.Finding{Rule: "network/assertion-failed", Location: at, Clusters: []string{c.Name}, Message: message})
	}
	return nil
}

// counterexample says what disproves an assertion, and why.
func (c *cluster) counterexample(m *netpol.Model, a *assertion, from, to netpol.End, bad netpol.PortSet) string {
	port, _ := bad.First()
	name := func(e netpol.End, of *endpoint) string {
		if e.Pod >= 0 {
			return m.Pods[e.Pod].Name
		}
		if of.CIDR == "internet" {
			return "the internet"
		}
		return of.CIDR
	}
	verb := "can reach"
	if a.allow {
		verb = "cannot reach"
	}
	head := fmt.Sprintf("%q does not hold: %s %s %s on %s", a.name, name(from, &a.from), verb, name(to, &a.to), port)
	var reasons []string
	side := func(d netpol.Direction, pod int, other netpol.End) {
		if pod < 0 {
			return
		}
		allowed, isolating := m.Why(d, pod, other, port)
		who := m.Pods[pod].Name
		switch {
		case len(isolating) == 0 && !a.allow:
			reasons = append(reasons, fmt.Sprintf("no policy isolates the %s of %s", d, who))
		case len(isolating) == 0:
		case len(allowed) > 0 && !a.allow:
			reasons = append(reasons, fmt.Sprintf("%s allows it with spec.%s[%d]", c.policy(allowed[0].Policy), d, allowed[0].Rule))
		case len(allowed) == 0 && a.allow:
			names := make([]string, 0, len(isolating))
			for _, i := range isolating {
				names = append(names, c.policy(i))
			}
			const most = 3
			if n := len(names); n > most {
				names = append(names[:most:most], fmt.Sprintf("%d more", n-most))
			}
			reasons = append(reasons, fmt.Sprintf("the %s of %s is isolated by %s, and no rule allows it", d, who, strings.Join(names, ", ")))
		}
	}
	side(netpol.Egress, from.Pod, to)
	side(netpol.Ingress, to.Pod, from)
	if len(reasons) == 0 {
		reasons = append(reasons, "it depends on the address of the pod whether a rule with an ipBlock allows it")
	}
	return head + ": " + strings.Join(reasons, "; ")
}

// policy names a policy and its place.
func (c *cluster) policy(i int) string {
	o := c.places[i]
	return fmt.Sprintf("%s (%s)", o.Key(), o.Origin.Location)
}
