package netpol

import (
	"net/netip"
	"slices"
)

// Reach is what passes between two ends.
type Reach struct {
	May  PortSet // for some addresses of the ends
	Must PortSet // for all of them
}

// Isolated tells whether a policy selects the pod for a direction, and which do.
func (m *Model) Isolated(d Direction, pod int) []int { return m.isolated[d][pod] }

// PodToPod returns what passes from one pod to another. For a workload with several pods
// both may be the same: one of its pods and another.
func (m *Model) PodToPod(from, to int) Reach {
	egress := m.side(Egress, from, peer{pod: to}, &m.Pods[to])
	ingress := m.side(Ingress, to, peer{pod: from}, &m.Pods[to])
	return Reach{egress.May.Intersect(ingress.May), egress.Must.Intersect(ingress.Must)}
}

// PodToAddresses returns what passes from a pod to addresses outside of the cluster.
func (m *Model) PodToAddresses(from int, to []netip.Prefix) Reach {
	return m.side(Egress, from, peer{pod: -1, addresses: to}, nil)
}

// AddressesToPod returns what passes to a pod from addresses outside of the cluster.
func (m *Model) AddressesToPod(from []netip.Prefix, to int) Reach {
	return m.side(Ingress, to, peer{pod: -1, addresses: from}, &m.Pods[to])
}

// peer is the other end: a pod, or addresses.
type peer struct {
	pod       int // -1: addresses
	addresses []netip.Prefix
}

// side returns what the policies of one pod allow. at is the pod that is connected to.
func (m *Model) side(d Direction, pod int, other peer, at *Pod) Reach {
	policies := m.isolated[d][pod]
	if len(policies) == 0 {
		return Reach{AllPorts(), AllPorts()}
	}
	var sure PortSet // whatever the address
	var blocked []*rule
	m.eachRule(d, policies, func(r *rule) {
		switch {
		case r.all, other.pod >= 0 && r.pods.has(other.pod):
			sure = sure.Union(r.portsAt(at))
		case len(r.blocks) > 0:
			blocked = append(blocked, r)
		}
	})
	out := Reach{sure, sure}
	if len(blocked) == 0 {
		return out
	}
	addresses := other.addresses
	if other.pod >= 0 {
		addresses = m.networks
	}
	// Every address of one piece has the same answer, so one of each is asked.
	first := true
	for _, a := range pieces(addresses, blocked) {
		ports := sure
		for _, r := range blocked {
			if slices.ContainsFunc(r.blocks, func(b block) bool { return b.contains(a) }) {
				ports = ports.Union(r.portsAt(at))
			}
		}
		out.May = out.May.Union(ports)
		if first {
			out.Must, first = ports, false
		} else {
			out.Must = out.Must.Intersect(ports)
		}
	}
	return out
}

// eachRule calls f for the rules of policies, in their order. Rules are sorted by policy.
func (m *Model) eachRule(d Direction, policies []int, f func(*rule)) {
	for _, p := range policies {
		i, _ := slices.BinarySearchFunc(m.rules, p, func(r rule, p int) int { return r.policy - p })
		for ; i < len(m.rules) && m.rules[i].policy == p; i++ {
			if m.rules[i].direction == d {
				f(&m.rules[i])
			}
		}
	}
}

// pieces cuts addresses wherever a block of the rules begins or ends and returns the
// first address of each piece.
func pieces(addresses []netip.Prefix, rules []*rule) []netip.Addr {
	var out []netip.Addr
	for _, p := range addresses {
		p = p.Masked()
		out = append(out, p.Addr())
		cut := func(b netip.Prefix) {
			if b.Addr().Is4() != p.Addr().Is4() || !b.Overlaps(p) {
				return
			}
			if p.Contains(b.Addr()) {
				out = append(out, b.Addr())
			}
			if next := last(b).Next(); next.IsValid() && p.Contains(next) {
				out = append(out, next)
			}
		}
		for _, r := range rules {
			for _, b := range r.blocks {
				cut(b.cidr)
				for _, e := range b.except {
					cut(e)
				}
			}
		}
	}
	slices.SortFunc(out, netip.Addr.Compare)
	return slices.Compact(out)
}

// last returns the last address of a prefix.
func last(p netip.Prefix) netip.Addr {
	b := p.Masked().Addr().AsSlice()
	for i := range b {
		for bit := range 8 {
			if i*8+bit >= p.Bits() {
				b[i] |= 1 << (7 - bit)
			}
		}
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// Allower is a rule that lets traffic pass.
type Allower struct {
	Policy int
	Rule   int // its number in spec.ingress or spec.egress
}

// Why says, for one port, what the policies of a pod have to do with it: the rules that
// allow it for some address of the other end, or, if there are none, the policies that
// isolate the pod. Both are empty when no policy selects the pod: then it is open.
func (m *Model) Why(d Direction, pod int, other End, port Port) (allowed []Allower, isolating []int) {
	p := peer{pod: other.Pod, addresses: other.Addresses}
	at := &m.Pods[pod]
	if d == Egress {
		at = nil
		if p.pod >= 0 {
			at = &m.Pods[p.pod]
		}
	}
	isolating = m.isolated[d][pod]
	wanted := Ports(port.Protocol, port.Number, port.Number)
	m.eachRule(d, isolating, func(r *rule) {
		if r.portsAt(at).Intersect(wanted).Empty() {
			return
		}
		addresses := p.addresses
		if p.pod >= 0 {
			addresses = m.networks
		}
		hit := r.all || p.pod >= 0 && r.pods.has(p.pod)
		for _, a := range pieces(addresses, []*rule{r}) {
			hit = hit || slices.ContainsFunc(r.blocks, func(b block) bool { return b.contains(a) })
		}
		if hit {
			allowed = append(allowed, Allower{r.policy, r.number})
		}
	})
	return allowed, isolating
}

// End is one end of a connection: a pod by its number, or, if Pod is negative,
// addresses outside of the cluster.
type End struct {
	Pod       int
	Addresses []netip.Prefix
}

// Between returns what passes between two ends, of which one is a pod at least; from
// addresses to addresses everything does.
func (m *Model) Between(from, to End) Reach {
	switch {
	case from.Pod >= 0 && to.Pod >= 0:
		return m.PodToPod(from.Pod, to.Pod)
	case from.Pod >= 0:
		return m.PodToAddresses(from.Pod, to.Addresses)
	case to.Pod >= 0:
		return m.AddressesToPod(from.Addresses, to.Pod)
	}
	return Reach{AllPorts(), AllPorts()}
}
