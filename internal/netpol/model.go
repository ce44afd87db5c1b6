// Package netpol answers whether NetworkPolicies let traffic pass, from manifests alone
// (https://kubernetes.io/docs/concepts/services-networking/network-policies/,
// https://kubernetes.io/docs/reference/kubernetes-api/policy-resources/network-policy-v1/):
//
//   - a pod that no policy selects for a direction is open in that direction; else what
//     one of the policies that select it allows is allowed, and nothing more;
//   - traffic passes if the egress side of its source and the ingress side of its
//     destination both allow it;
//   - pods on the host's network are none of NetworkPolicy's business and are not part
//     of a [Model].
//
// What manifests do not tell are the addresses of pods. They lie in the cluster's pod
// networks; a rule with an ipBlock that has a part of these may or may not be about a
// certain pod, so every answer has two sides: what passes in any case (Must) and what
// passes for some addresses (May).
//
// A Model evaluates each selector once per distinct selector, keeps the pods that it
// selects as bits, and ports and addresses as ranges, so that hundreds of thousands of
// pairs take less than a second. It is safe for concurrent use.
package netpol

import (
	"fmt"
	"math/bits"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// Pod is a pod, or all pods of a workload.
type Pod struct {
	Namespace string
	Name      string // for messages: "Deployment app/web"
	Labels    map[string]string
	Ports     []ContainerPort // that rules may name
}

// ContainerPort is a named port of a pod.
type ContainerPort struct {
	Name     string
	Protocol corev1.Protocol // TCP if empty
	Port     int32
}

// Direction is one side of a connection.
type Direction int

// The directions.
const (
	Ingress Direction = iota // what may come to a pod
	Egress                   // where a pod may go
)

func (d Direction) String() string { return [...]string{"ingress", "egress"}[d] }

// Model is a cluster's pods and policies.
type Model struct {
	Pods     []Pod
	Policies []*networkingv1.NetworkPolicy

	rules    []rule
	isolated [2][][]int // by direction and pod: the policies that select it, sorted
	networks []netip.Prefix
}

// rule is an entry of ingress or egress of a policy.
type rule struct {
	policy    int
	number    int // in its list
	direction Direction
	all       bool // any peer, outside of the cluster too
	pods      bitset
	blocks    []block
	ports     []networkingv1.NetworkPolicyPort
	fixed     PortSet // of the ports that have no name
	named     bool    // some have
}

// block is an ipBlock.
type block struct {
	cidr   netip.Prefix
	except []netip.Prefix
}

func (b block) contains(a netip.Addr) bool {
	return b.cidr.Contains(a) && !slices.ContainsFunc(b.except, func(p netip.Prefix) bool { return p.Contains(a) })
}

// bitset is a set of pods.
type bitset []uint64

func newBitset(n int) bitset    { return make(bitset, (n+63)/64) }
func (b bitset) set(i int)      { b[i/64] |= 1 << (i % 64) }
func (b bitset) has(i int) bool { return b[i/64]&(1<<(i%64)) != 0 }
func (b bitset) or(o bitset) {
	for i := range o {
		b[i] |= o[i]
	}
}

func (b bitset) each(f func(int)) {
	for i, w := range b {
		for ; w != 0; w &= w - 1 {
			f(i*64 + bits.TrailingZeros64(w))
		}
	}
}

// New makes a model. namespaces are their labels, to which the label with the name is
// added, as the API server does; a namespace of a pod that is not among them has that
// label alone. networks are the pod networks of the cluster.
//
// The error names the policy whose selectors or blocks are not valid.
func New(namespaces map[string]map[string]string, pods []Pod, policies []*networkingv1.NetworkPolicy, networks []netip.Prefix) (*Model, error) {
	m := &Model{Pods: pods, Policies: policies, networks: networks}
	s := &selection{pods: pods, byNamespace: map[string][]int{}, spaces: map[string]labels.Set{}, seen: map[string]bitset{}, chosen: map[string][]string{}}
	for i, p := range pods {
		s.byNamespace[p.Namespace] = append(s.byNamespace[p.Namespace], i)
	}
	for name, set := range namespaces {
		s.namespace(name, set)
	}
	for name := range s.byNamespace {
		if _, ok := s.spaces[name]; !ok {
			s.namespace(name, nil)
		}
	}
	m.isolated = [2][][]int{make([][]int, len(pods)), make([][]int, len(pods))}
	for i, p := range policies {
		if err := m.add(s, i, p); err != nil {
			return nil, fmt.Errorf("NetworkPolicy %s/%s: %w", p.Namespace, p.Name, err)
		}
	}
	return m, nil
}

// add takes a policy.
func (m *Model) add(s *selection, i int, p *networkingv1.NetworkPolicy) error {
	own := &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: p.Namespace}}
	selected, err := s.pick(own, &p.Spec.PodSelector)
	if err != nil {
		return fmt.Errorf("spec.podSelector: %w", err)
	}
	for _, d := range Directions(p) {
		selected.each(func(pod int) { m.isolated[d][pod] = append(m.isolated[d][pod], i) })
	}
	one := func(n int, d Direction, peers []networkingv1.NetworkPolicyPeer, ports []networkingv1.NetworkPolicyPort) error {
		if !slices.Contains(Directions(p), d) {
			return nil // the API server stores it, and it has no effect
		}
		r := rule{policy: i, number: n, direction: d, all: len(peers) == 0, ports: ports}
		if r.pods, r.blocks, err = s.peers(own, peers); err != nil {
			return fmt.Errorf("spec.%s[%d]: %w", d, n, err)
		}
		r.fixed, r.named = fixedPorts(ports)
		m.rules = append(m.rules, r)
		return nil
	}
	for n, r := range p.Spec.Ingress {
		if err := one(n, Ingress, r.From, r.Ports); err != nil {
			return err
		}
	}
	for n, r := range p.Spec.Egress {
		if err := one(n, Egress, r.To, r.Ports); err != nil {
			return err
		}
	}
	return nil
}

// Directions returns the directions for which a policy selects pods: its policyTypes,
// else ingress, and egress if it has rules for it.
func Directions(p *networkingv1.NetworkPolicy) []Direction {
	if len(p.Spec.PolicyTypes) == 0 {
		if len(p.Spec.Egress) > 0 {
			return []Direction{Ingress, Egress}
		}
		return []Direction{Ingress}
	}
	var out []Direction
	for _, t := range p.Spec.PolicyTypes {
		switch t {
		case networkingv1.PolicyTypeIngress:
			out = append(out, Ingress)
		case networkingv1.PolicyTypeEgress:
			out = append(out, Egress)
		}
	}
	return out
}

// selection evaluates selectors, each distinct one once.
type selection struct {
	pods        []Pod
	byNamespace map[string][]int
	spaces      map[string]labels.Set
	seen        map[string]bitset
	chosen      map[string][]string // namespaces by selector
}

func (s *selection) namespace(name string, set map[string]string) {
	own := labels.Set{corev1.LabelMetadataName: name}
	for k, v := range set {
		if k != corev1.LabelMetadataName {
			own[k] = v
		}
	}
	s.spaces[name] = own
}

// pick returns the pods that two selectors select.
func (s *selection) pick(namespace, pod *metav1.LabelSelector) (bitset, error) {
	ns, err := metav1.LabelSelectorAsSelector(namespace)
	if err != nil {
		return nil, err
	}
	ps, err := metav1.LabelSelectorAsSelector(pod)
	if err != nil {
		return nil, err
	}
	key := ns.String() + "\x00" + ps.String()
	if b, ok := s.seen[key]; ok {
		return b, nil
	}
	names, ok := s.chosen[ns.String()]
	if !ok {
		for name, set := range s.spaces {
			if ns.Matches(set) {
				names = append(names, name)
			}
		}
		s.chosen[ns.String()] = names
	}
	b := newBitset(len(s.pods))
	for _, name := range names {
		for _, i := range s.byNamespace[name] {
			if ps.Matches(labels.Set(s.pods[i].Labels)) {
				b.set(i)
			}
		}
	}
	s.seen[key] = b
	return b, nil
}

// peers returns what a rule's from or to selects. own selects the policy's namespace.
func (s *selection) peers(own *metav1.LabelSelector, peers []networkingv1.NetworkPolicyPeer) (bitset, []block, error) {
	pods := newBitset(len(s.pods))
	var blocks []block
	for i, peer := range peers {
		if peer.IPBlock != nil {
			b, err := parseBlock(peer.IPBlock)
			if err != nil {
				return nil, nil, fmt.Errorf("peer %d: %w", i, err)
			}
			blocks = append(blocks, b)
			continue
		}
		ns, ps := peer.NamespaceSelector, peer.PodSelector
		if ns == nil {
			ns = own
		}
		if ps == nil {
			ps = &metav1.LabelSelector{}
		}
		if peer.NamespaceSelector == nil && peer.PodSelector == nil {
			continue // the API server refuses an empty peer
		}
		some, err := s.pick(ns, ps)
		if err != nil {
			return nil, nil, fmt.Errorf("peer %d: %w", i, err)
		}
		pods.or(some)
	}
	return pods, blocks, nil
}

func parseBlock(b *networkingv1.IPBlock) (block, error) {
	var out block
	p, err := netip.ParsePrefix(b.CIDR)
	if err != nil {
		return out, fmt.Errorf("ipBlock.cidr: %w", err)
	}
	out.cidr = p.Masked()
	for _, e := range b.Except {
		p, err := netip.ParsePrefix(e)
		if err != nil {
			return out, fmt.Errorf("ipBlock.except: %w", err)
		}
		out.except = append(out.except, p.Masked())
	}
	return out, nil
}

// fixedPorts returns the ports of a rule that have no name, and whether some have one.
// No list means all ports.
func fixedPorts(list []networkingv1.NetworkPolicyPort) (set PortSet, named bool) {
	if len(list) == 0 {
		return AllPorts(), false
	}
	for _, p := range list {
		protocol := corev1.ProtocolTCP
		if p.Protocol != nil {
			protocol = *p.Protocol
		}
		switch {
		case p.Port == nil:
			set = set.Union(Ports(protocol, 1, maxPort))
		case p.Port.Type == intstr.String:
			named = true
		case p.EndPort != nil:
			set = set.Union(Ports(protocol, p.Port.IntVal, *p.EndPort))
		default:
			set = set.Union(Ports(protocol, p.Port.IntVal, p.Port.IntVal))
		}
	}
	return set, named
}

// portsAt returns the ports of a rule on the pod that is connected to; nil is an address
// outside of the cluster, which has no names for ports.
func (r *rule) portsAt(pod *Pod) PortSet {
	if !r.named || pod == nil {
		return r.fixed
	}
	set := r.fixed
	for _, p := range r.ports {
		if p.Port == nil || p.Port.Type != intstr.String {
			continue
		}
		protocol := corev1.ProtocolTCP
		if p.Protocol != nil {
			protocol = *p.Protocol
		}
		for _, c := range pod.Ports {
			own := c.Protocol
			if own == "" {
				own = corev1.ProtocolTCP
			}
			if c.Name == p.Port.StrVal && own == protocol {
				set = set.Union(Ports(protocol, c.Port, c.Port))
			}
		}
	}
	return set
}
