package netpol

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// protocols are those that NetworkPolicies know, in the order of a [PortSet].
var protocols = [...]corev1.Protocol{corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP}

// maxPort is the largest port. Port 0 is none.
const maxPort = 65535

// span is a range of ports, both ends included.
type span struct{ from, to int32 }

// PortSet is a set of ports of all protocols: for each, spans that are sorted and do not
// touch. The zero value is the empty set.
type PortSet [len(protocols)][]span

// AllPorts returns the set of all ports.
func AllPorts() PortSet {
	var s PortSet
	for i := range s {
		s[i] = []span{{1, maxPort}}
	}
	return s
}

// Ports returns the set of a range of ports of one protocol. It is empty if the protocol
// is unknown or the range is.
func Ports(p corev1.Protocol, from, to int32) PortSet {
	var s PortSet
	from, to = max(from, 1), min(to, maxPort)
	if i := slices.Index(protocols[:], p); i >= 0 && from <= to {
		s[i] = []span{{from, to}}
	}
	return s
}

// Empty tells whether there is no port in the set.
func (s PortSet) Empty() bool {
	for _, spans := range s {
		if len(spans) > 0 {
			return false
		}
	}
	return true
}

// Union returns the ports that are in either set.
func (s PortSet) Union(o PortSet) PortSet {
	var out PortSet
	for i := range s {
		switch {
		case len(o[i]) == 0:
			out[i] = s[i]
		case len(s[i]) == 0:
			out[i] = o[i]
		default:
			all := slices.Concat(s[i], o[i])
			slices.SortFunc(all, func(a, b span) int { return int(a.from - b.from) })
			merged := all[:1:1]
			for _, x := range all[1:] {
				if last := &merged[len(merged)-1]; x.from <= last.to+1 {
					last.to = max(last.to, x.to)
				} else {
					merged = append(merged, x)
				}
			}
			out[i] = merged
		}
	}
	return out
}

// Intersect returns the ports that are in both sets.
func (s PortSet) Intersect(o PortSet) PortSet {
	var out PortSet
	for i := range s {
		for a, b := 0, 0; a < len(s[i]) && b < len(o[i]); {
			x, y := s[i][a], o[i][b]
			if from, to := max(x.from, y.from), min(x.to, y.to); from <= to {
				out[i] = append(out[i], span{from, to})
			}
			if x.to < y.to {
				a++
			} else {
				b++
			}
		}
	}
	return out
}

// Minus returns the ports of s that are not in o.
func (s PortSet) Minus(o PortSet) PortSet {
	var out PortSet
	for i := range s {
		for _, x := range s[i] {
			at := x.from
			for _, y := range o[i] {
				if y.to < at {
					continue
				}
				if y.from > x.to {
					break
				}
				if y.from > at {
					out[i] = append(out[i], span{at, y.from - 1})
				}
				at = y.to + 1
			}
			if at <= x.to {
				out[i] = append(out[i], span{at, x.to})
			}
		}
	}
	return out
}

// First returns the least port of the set, TCP before UDP before SCTP; false if it is
// empty.
func (s PortSet) First() (Port, bool) {
	for i, spans := range s {
		if len(spans) > 0 {
			return Port{protocols[i], spans[0].from}, true
		}
	}
	return Port{}, false
}

// String is the set as "TCP 80, 443-445, UDP 53"; "all ports" and "no port" are what
// they are.
func (s PortSet) String() string {
	if s.Empty() {
		return "no port"
	}
	if AllPorts().Minus(s).Empty() {
		return "all ports"
	}
	var parts []string
	for i, spans := range s {
		for j, x := range spans {
			text := fmt.Sprint(x.from)
			switch {
			case x.from == 1 && x.to == maxPort:
				text = "all"
			case x.to > x.from:
				text += fmt.Sprintf("-%d", x.to)
			}
			if j == 0 {
				text = string(protocols[i]) + " " + text
			}
			parts = append(parts, text)
		}
	}
	return strings.Join(parts, ", ")
}

// Port is one port.
type Port struct {
	Protocol corev1.Protocol
	Number   int32
}

func (p Port) String() string { return fmt.Sprintf("%s %d", p.Protocol, p.Number) }
