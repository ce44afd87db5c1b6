package netpol

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/yaml"
)

// The world of the tests is small enough to try everything: three namespaces, six pods,
// sixteen addresses in the pod network and sixteen outside, a few ports.
var (
	podNetwork = netip.MustParsePrefix("10.0.0.0/28")
	outside    = netip.MustParsePrefix("10.0.0.16/28")
	spaces     = map[string]map[string]string{"a": {"env": "prod"}, "b": {"env": "staging"}, "c": nil}
	world      = []Pod{
		{"a", "web", map[string]string{"app": "web"}, []ContainerPort{{"http", "", 3}, {"dns", corev1.ProtocolUDP, 4}}},
		{"a", "db", map[string]string{"app": "db", "tier": "data"}, []ContainerPort{{"http", "", 5}}},
		{"b", "web", map[string]string{"app": "web"}, []ContainerPort{{"http", "", 3}}},
		{"b", "job", nil, nil},
		{"c", "dns", map[string]string{"app": "dns"}, []ContainerPort{{"dns", corev1.ProtocolUDP, 4}, {"http", corev1.ProtocolUDP, 6}}},
		{"c", "db", map[string]string{"app": "db"}, nil},
	}
)

// TestAgainstEnumeration compares the engine with one that tries every address and
// every port, on random policies: what passes for some and for all addresses, and which
// rules are responsible.
func TestAgainstEnumeration(t *testing.T) {
	t.Parallel()
	const cases = 4000
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	passed, blocked := 0, 0
	for i := range cases {
		r := rand.New(rand.NewPCG(seed, uint64(i)))
		policies := randomPolicies(r)
		m, err := New(spaces, world, policies, []netip.Prefix{podNetwork})
		if err != nil {
			t.Fatalf("seed %d case %d: %v", seed, i, err)
		}
		from, to := randomEnd(r), randomEnd(r)
		if from.Pod < 0 && to.Pod < 0 {
			to = End{Pod: r.IntN(len(world))}
		}
		got := m.Between(from, to)
		for _, port := range []Port{{"TCP", 1}, {"TCP", 3}, {"TCP", 4}, {"TCP", 5}, {"UDP", 4}, {"UDP", 6}, {"SCTP", 3}, {"TCP", 65535}} {
			may, must := false, true
			for _, a := range addressesOf(from) {
				for _, b := range addressesOf(to) {
					ok := passes(policies, from.Pod, a, to.Pod, b, port)
					may, must = may || ok, must && ok
				}
			}
			want := Ports(port.Protocol, port.Number, port.Number)
			gotMay, gotMust := !got.May.Intersect(want).Empty(), !got.Must.Intersect(want).Empty()
			if gotMay != may || gotMust != must {
				out, _ := yaml.Marshal(policies)
				t.Fatalf("seed %d case %d: %v to %v on %s: may %v, must %v; by enumeration %v, %v\n%s", seed, i, from, to, port, gotMay, gotMust, may, must, out)
			}
			if may {
				passed++
			} else {
				blocked++
			}
			// Why agrees: traffic passes if and only if each side is open or a rule allows it.
			open := func(d Direction, pod int, other End) bool {
				if pod < 0 {
					return true
				}
				allowed, isolating := m.Why(d, pod, other, port)
				return len(isolating) == 0 || len(allowed) > 0
			}
			if why := open(Egress, from.Pod, to) && open(Ingress, to.Pod, from); why != may {
				t.Fatalf("seed %d case %d: Why says %v, and it may pass: %v", seed, i, why, may)
			}
		}
	}
	// Random policies that allow everything, or nothing, would test little.
	if passed < cases || blocked < cases {
		t.Errorf("%d pass and %d are blocked", passed, blocked)
	}
}

func randomEnd(r *rand.Rand) End {
	if r.IntN(4) == 0 {
		bits := 28 + r.IntN(5)
		p, _ := outside.Addr().Prefix(bits)
		return End{Pod: -1, Addresses: []netip.Prefix{p}}
	}
	return End{Pod: r.IntN(len(world))}
}

func addressesOf(e End) (out []netip.Addr) {
	prefixes := e.Addresses
	if e.Pod >= 0 {
		prefixes = []netip.Prefix{podNetwork}
	}
	for _, p := range prefixes {
		for a := p.Masked().Addr(); p.Contains(a); a = a.Next() {
			out = append(out, a)
		}
	}
	return out
}

func randomPolicies(r *rand.Rand) (out []*networkingv1.NetworkPolicy) {
	protocols := []corev1.Protocol{"TCP", "UDP", "SCTP"}
	pick := func(list ...string) string { return list[r.IntN(len(list))] }
	selector := func() *metav1.LabelSelector {
		switch r.IntN(5) {
		case 0:
			return &metav1.LabelSelector{}
		case 1:
			return &metav1.LabelSelector{MatchLabels: map[string]string{"app": pick("web", "db", "dns", "none")}}
		case 2:
			return &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "app", Operator: metav1.LabelSelectorOpIn, Values: []string{pick("web", "db"), "dns"}}}}
		case 3:
			return &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "tier", Operator: metav1.LabelSelectorOpDoesNotExist}}}
		default:
			return &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "app", Operator: metav1.LabelSelectorOpNotIn, Values: []string{pick("web", "db")}}}}
		}
	}
	space := func() *metav1.LabelSelector {
		switch r.IntN(4) {
		case 0:
			return &metav1.LabelSelector{}
		case 1:
			return &metav1.LabelSelector{MatchLabels: map[string]string{"env": pick("prod", "staging")}}
		case 2:
			return &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "env", Operator: metav1.LabelSelectorOpDoesNotExist}}}
		default:
			return &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: pick("a", "b", "c")}}
		}
	}
	peers := func() (out []networkingv1.NetworkPolicyPeer) {
		for range r.IntN(3) {
			switch r.IntN(4) {
			case 0:
				out = append(out, networkingv1.NetworkPolicyPeer{PodSelector: selector()})
			case 1:
				out = append(out, networkingv1.NetworkPolicyPeer{NamespaceSelector: space()})
			case 2:
				out = append(out, networkingv1.NetworkPolicyPeer{NamespaceSelector: space(), PodSelector: selector()})
			default:
				b := &networkingv1.IPBlock{CIDR: pick("0.0.0.0/0", "10.0.0.0/27", "10.0.0.0/28", "10.0.0.16/28", "10.0.0.8/29", "10.0.0.20/30", "10.0.0.17/32", "::/0")}
				for range r.IntN(3) {
					b.Except = append(b.Except, pick("10.0.0.0/28", "10.0.0.0/29", "10.0.0.16/29", "10.0.0.24/29", "10.0.0.31/32"))
				}
				out = append(out, networkingv1.NetworkPolicyPeer{IPBlock: b})
			}
		}
		return out
	}
	ports := func() (out []networkingv1.NetworkPolicyPort) {
		for range r.IntN(3) {
			var p networkingv1.NetworkPolicyPort
			if r.IntN(2) == 0 {
				p.Protocol = &protocols[r.IntN(3)]
			}
			switch r.IntN(4) {
			case 0:
			case 1:
				v := intstr.FromString(pick("http", "dns", "none"))
				p.Port = &v
			case 2:
				v := intstr.FromInt32(int32(1 + r.IntN(6)))
				p.Port = &v
			default:
				v, end := intstr.FromInt32(int32(1+r.IntN(4))), int32(4+r.IntN(3))
				p.Port, p.EndPort = &v, &end
			}
			out = append(out, p)
		}
		return out
	}
	for n := range 1 + r.IntN(4) {
		p := &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: pick("a", "b", "c"), Name: fmt.Sprint(n)}}
		p.Spec.PodSelector = *selector()
		for range r.IntN(3) {
			p.Spec.Ingress = append(p.Spec.Ingress, networkingv1.NetworkPolicyIngressRule{From: peers(), Ports: ports()})
		}
		for range r.IntN(3) {
			p.Spec.Egress = append(p.Spec.Egress, networkingv1.NetworkPolicyEgressRule{To: peers(), Ports: ports()})
		}
		switch r.IntN(4) {
		case 0:
			p.Spec.PolicyTypes = []networkingv1.PolicyType{"Ingress"}
		case 1:
			p.Spec.PolicyTypes = []networkingv1.PolicyType{"Egress"}
		case 2:
			p.Spec.PolicyTypes = []networkingv1.PolicyType{"Ingress", "Egress"}
		}
		out = append(out, p)
	}
	return out
}

// passes is the specification, for two addresses and one port, without any of the
// engine's code.
func passes(policies []*networkingv1.NetworkPolicy, from int, fromIP netip.Addr, to int, toIP netip.Addr, port Port) bool {
	egress, ingress := true, true
	if from >= 0 {
		selected := false
		allowed := false
		for _, p := range policies {
			if !types(p)["Egress"] || p.Namespace != world[from].Namespace || !fits(&p.Spec.PodSelector, world[from].Labels) {
				continue
			}
			selected = true
			for _, rule := range p.Spec.Egress {
				allowed = allowed || anyPeer(p, rule.To, to, toIP) && anyPort(rule.Ports, to, port)
			}
		}
		egress = !selected || allowed
	}
	if to >= 0 {
		selected := false
		allowed := false
		for _, p := range policies {
			if !types(p)["Ingress"] || p.Namespace != world[to].Namespace || !fits(&p.Spec.PodSelector, world[to].Labels) {
				continue
			}
			selected = true
			for _, rule := range p.Spec.Ingress {
				allowed = allowed || anyPeer(p, rule.From, from, fromIP) && anyPort(rule.Ports, to, port)
			}
		}
		ingress = !selected || allowed
	}
	return egress && ingress
}

func types(p *networkingv1.NetworkPolicy) map[string]bool {
	out := map[string]bool{}
	for _, t := range p.Spec.PolicyTypes {
		out[string(t)] = true
	}
	if len(out) == 0 {
		out["Ingress"] = true
		out["Egress"] = len(p.Spec.Egress) > 0
	}
	return out
}

func fits(s *metav1.LabelSelector, have map[string]string) bool {
	for k, v := range s.MatchLabels {
		if got, ok := have[k]; !ok || got != v {
			return false
		}
	}
	for _, e := range s.MatchExpressions {
		got, ok := have[e.Key]
		in := slices.Contains(e.Values, got) && ok
		switch e.Operator {
		case metav1.LabelSelectorOpIn:
			if !in {
				return false
			}
		case metav1.LabelSelectorOpNotIn:
			if in {
				return false
			}
		case metav1.LabelSelectorOpExists:
			if !ok {
				return false
			}
		case metav1.LabelSelectorOpDoesNotExist:
			if ok {
				return false
			}
		}
	}
	return true
}

func anyPeer(p *networkingv1.NetworkPolicy, peers []networkingv1.NetworkPolicyPeer, pod int, ip netip.Addr) bool {
	if len(peers) == 0 {
		return true
	}
	for _, peer := range peers {
		if peer.IPBlock != nil {
			in := netip.MustParsePrefix(peer.IPBlock.CIDR).Contains(ip)
			for _, e := range peer.IPBlock.Except {
				in = in && !netip.MustParsePrefix(e).Contains(ip)
			}
			if in {
				return true
			}
			continue
		}
		if pod < 0 {
			continue
		}
		ns := world[pod].Namespace
		labels := map[string]string{"kubernetes.io/metadata.name": ns}
		for k, v := range spaces[ns] {
			labels[k] = v
		}
		if peer.NamespaceSelector == nil && ns != p.Namespace || peer.NamespaceSelector != nil && !fits(peer.NamespaceSelector, labels) {
			continue
		}
		if peer.PodSelector == nil || fits(peer.PodSelector, world[pod].Labels) {
			return true
		}
	}
	return false
}

func anyPort(ports []networkingv1.NetworkPolicyPort, pod int, want Port) bool {
	if len(ports) == 0 {
		return true
	}
	for _, p := range ports {
		protocol := corev1.Protocol("TCP")
		if p.Protocol != nil {
			protocol = *p.Protocol
		}
		if protocol != want.Protocol {
			continue
		}
		switch {
		case p.Port == nil:
			return true
		case p.Port.Type == intstr.Int && p.EndPort == nil && p.Port.IntVal == want.Number,
			p.Port.Type == intstr.Int && p.EndPort != nil && p.Port.IntVal <= want.Number && want.Number <= *p.EndPort:
			return true
		case p.Port.Type == intstr.String && pod >= 0:
			for _, c := range world[pod].Ports {
				own := c.Protocol
				if own == "" {
					own = "TCP"
				}
				if c.Name == p.Port.StrVal && own == protocol && c.Port == want.Number {
					return true
				}
			}
		}
	}
	return false
}

func policy(t *testing.T, text string) *networkingv1.NetworkPolicy {
	t.Helper()
	p := &networkingv1.NetworkPolicy{}
	if err := yaml.UnmarshalStrict([]byte("metadata: {name: p, namespace: a}\nspec:\n"+text), p); err != nil {
		t.Fatal(err)
	}
	return p
}

// TestTraps are what people get wrong, in the words of the API's documentation.
func TestTraps(t *testing.T) {
	t.Parallel()
	const web, db, other = 0, 1, 2
	for name, c := range map[string]struct {
		policies string
		from, to int
		want     string // what passes
	}{
		"no policy: everything":                        {"", other, web, "all ports"},
		"an empty pod selector selects all pods":       {"  podSelector: {}\n", other, web, "no port"},
		"ingress alone does not isolate egress":        {"  podSelector: {}\n", web, other, "all ports"},
		"egress rules imply the type":                  {"  podSelector: {}\n  egress: [{ports: [{port: 53}]}]\n", web, other, "TCP 53"},
		"policyTypes without Egress: rules are idle":   {"  podSelector: {}\n  policyTypes: [Ingress]\n  egress: [{ports: [{port: 53}]}]\n", web, other, "all ports"},
		"policyTypes Egress alone leaves ingress":      {"  podSelector: {}\n  policyTypes: [Egress]\n", other, web, "all ports"},
		"an empty rule allows everything":              {"  podSelector: {}\n  ingress: [{}]\n", other, web, "all ports"},
		"no rules allow nothing":                       {"  podSelector: {}\n  ingress: []\n", other, web, "no port"},
		"an empty from allows everybody":               {"  podSelector: {}\n  ingress: [{from: [], ports: [{port: 80}]}]\n", other, web, "TCP 80"},
		"a pod selector alone means the own namespace": {"  podSelector: {}\n  ingress: [{from: [{podSelector: {}}]}]\n", other, web, "no port"},
		"the own namespace":                            {"  podSelector: {}\n  ingress: [{from: [{podSelector: {}}]}]\n", db, web, "all ports"},
		"an empty namespace selector means all":        {"  podSelector: {}\n  ingress: [{from: [{namespaceSelector: {}}]}]\n", other, web, "all ports"},
		"both in one peer: and":                        {"  podSelector: {}\n  ingress: [{from: [{namespaceSelector: {matchLabels: {env: staging}}, podSelector: {matchLabels: {app: db}}}]}]\n", other, web, "no port"},
		"two peers: or":                                {"  podSelector: {}\n  ingress: [{from: [{namespaceSelector: {matchLabels: {env: staging}}}, {podSelector: {matchLabels: {app: db}}}]}]\n", other, web, "all ports"},
		"a namespace by its name's label":              {"  podSelector: {}\n  ingress: [{from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: b}}}]}]\n", other, web, "all ports"},
		"a port without protocol is TCP":               {"  podSelector: {}\n  ingress: [{ports: [{port: 53}]}]\n", other, web, "TCP 53"},
		"a protocol without port is all of it":         {"  podSelector: {}\n  ingress: [{ports: [{protocol: UDP}]}]\n", other, web, "UDP all"},
		"a range":                                      {"  podSelector: {}\n  ingress: [{ports: [{port: 80, endPort: 90}, {port: 91}]}]\n", other, web, "TCP 80-91"},
		"a named port is the destination's":            {"  podSelector: {}\n  ingress: [{ports: [{port: http}]}]\n", other, web, "TCP 3"},
		"a named port on another pod":                  {"  podSelector: {}\n  egress: [{ports: [{port: http}]}]\n  policyTypes: [Egress]\n", web, db, "TCP 5"},
		"a named port of another protocol is none":     {"  podSelector: {}\n  egress: [{ports: [{port: dns}]}]\n  policyTypes: [Egress]\n", web, 4, "no port"},
		"policies add up":                              {"  podSelector: {}\n---\n  podSelector: {matchLabels: {app: web}}\n  ingress: [{ports: [{port: 80}]}]\n---\n  podSelector: {}\n  ingress: [{ports: [{port: 443}]}]\n", other, web, "TCP 80, 443"},
		"both sides must allow it":                     {"  podSelector: {matchLabels: {app: web}}\n  policyTypes: [Egress]\n  egress: [{ports: [{port: 80, endPort: 100}]}]\n---\n  podSelector: {matchLabels: {app: db}}\n  ingress: [{ports: [{port: 90, endPort: 200}]}]\n", web, db, "TCP 90-100"},
		"a block without the pod network":              {"  podSelector: {}\n  ingress: [{from: [{ipBlock: {cidr: 0.0.0.0/0, except: [10.0.0.0/28]}}]}]\n", other, web, "no port"},
		"a block with the pod network":                 {"  podSelector: {}\n  ingress: [{from: [{ipBlock: {cidr: 0.0.0.0/0}}]}]\n", other, web, "all ports"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var policies []*networkingv1.NetworkPolicy
			for _, text := range strings.Split(c.policies, "---\n") {
				if text != "" {
					policies = append(policies, policy(t, text))
				}
			}
			m, err := New(spaces, world, policies, []netip.Prefix{podNetwork})
			if err != nil {
				t.Fatal(err)
			}
			got := m.PodToPod(c.from, c.to)
			if got.May.String() != c.want || got.Must.String() != c.want {
				t.Errorf("may %s, must %s; want %s", got.May, got.Must, c.want)
			}
		})
	}
}

// What depends on the pod's address is not claimed.
func TestUnknownAddresses(t *testing.T) {
	t.Parallel()
	m, err := New(spaces, world, []*networkingv1.NetworkPolicy{policy(t, "  podSelector: {}\n  ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/29}}], ports: [{port: 80}]}]\n")}, []netip.Prefix{podNetwork})
	if err != nil {
		t.Fatal(err)
	}
	if got := m.PodToPod(2, 0); got.May.String() != "TCP 80" || got.Must.String() != "no port" {
		t.Errorf("may %s, must %s", got.May, got.Must)
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for want, text := range map[string]string{
		`NetworkPolicy a/p: spec.podSelector: "Is" is not a valid label selector operator`:                                        "  podSelector: {matchExpressions: [{key: a, operator: Is}]}\n",
		`NetworkPolicy a/p: spec.ingress[0]: peer 0: ipBlock.cidr: netip.ParsePrefix("10.0.0.0"): no '/'`:                         "  podSelector: {}\n  ingress: [{from: [{ipBlock: {cidr: 10.0.0.0}}]}]\n",
		`NetworkPolicy a/p: spec.egress[0]: peer 0: ipBlock.except: netip.ParsePrefix("x/1"): ParseAddr("x"): unable to parse IP`: "  podSelector: {}\n  egress: [{to: [{ipBlock: {cidr: 10.0.0.0/8, except: [x/1]}}]}]\n",
	} {
		if _, err := New(spaces, world, []*networkingv1.NetworkPolicy{policy(t, text)}, nil); err == nil || err.Error() != want {
			t.Errorf("error %v, want %s", err, want)
		}
	}
}

func TestPortSet(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	set := func() (PortSet, [20]bool) {
		var s PortSet
		var has [20]bool
		for range r.IntN(4) {
			from := 1 + r.IntN(18)
			to := min(19, from+r.IntN(5))
			s = s.Union(Ports("UDP", int32(from), int32(to)))
			for i := from; i <= to; i++ {
				has[i] = true
			}
		}
		return s, has
	}
	for range 2000 {
		a, inA := set()
		b, inB := set()
		for i := 1; i < 20; i++ {
			one := Ports("UDP", int32(i), int32(i))
			for name, c := range map[string]struct {
				s    PortSet
				want bool
			}{"union": {a.Union(b), inA[i] || inB[i]}, "intersection": {a.Intersect(b), inA[i] && inB[i]}, "difference": {a.Minus(b), inA[i] && !inB[i]}} {
				if got := !c.s.Intersect(one).Empty(); got != c.want {
					t.Fatalf("%s of %s and %s = %s at %d: %v", name, a, b, c.s, i, got)
				}
			}
		}
	}
	if p, ok := Ports("SCTP", 9, 9).Union(Ports("TCP", 70000, 80000)).First(); !ok || p.String() != "SCTP 9" {
		t.Errorf("first port %s, %v", p, ok)
	}
}

func FuzzNew(f *testing.F) {
	for _, s := range []string{
		"podSelector: {}\n", "podSelector: {}\ningress: [{from: [{ipBlock: {cidr: 0.0.0.0/0, except: [10.0.0.0/28]}}], ports: [{port: http}]}]\n",
		"podSelector: {matchLabels: {app: web}}\negress: [{to: [{namespaceSelector: {}}], ports: [{port: 1, endPort: 70000, protocol: X}]}]\npolicyTypes: [Egress, Y]\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, spec []byte) {
		p := &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "p"}}
		if yaml.Unmarshal(spec, &p.Spec) != nil {
			return
		}
		m, err := New(spaces, world, []*networkingv1.NetworkPolicy{p}, []netip.Prefix{podNetwork})
		if err != nil {
			return
		}
		for from := range world {
			for to := range world {
				r := m.PodToPod(from, to)
				if !r.Must.Minus(r.May).Empty() {
					t.Errorf("what passes in any case, %s, is more than what may pass, %s", r.Must, r.May)
				}
			}
		}
	})
}

func BenchmarkPairs(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 1))
	var policies []*networkingv1.NetworkPolicy
	for len(policies) < 200 {
		policies = append(policies, randomPolicies(r)...)
	}
	m, err := New(spaces, world, policies, []netip.Prefix{podNetwork})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		for from := range world {
			for to := range world {
				m.PodToPod(from, to)
			}
		}
	}
}
