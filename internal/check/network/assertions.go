package network

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
	"go.yaml.in/yaml/v3"
	corev1 "k8s.io/api/core/v1"

	"lumacore.dev/lumacore/internal/netpol"
	"lumacore.dev/lumacore/internal/report"
)

// File is the name of the assertions, in the root of the repository.
const File = "network.assert.yaml"

// Bounds of the file.
const (
	maxSize       = 1 << 20
	maxAssertions = 10_000
)

// kind of the file.
const kind = "NetworkAssertions"

// defaultNetworks are the pod networks of k3s
// (https://docs.k3s.io/networking/basic-network-options).
var defaultNetworks = []netip.Prefix{netip.MustParsePrefix("10.42.0.0/16"), netip.MustParsePrefix("2001:cafe:42::/56")}

// internet are the addresses that are reachable from everywhere: all but those that
// IANA's registries name as not globally reachable
// (https://www.iana.org/assignments/iana-ipv4-special-registry/,
// https://www.iana.org/assignments/iana-ipv6-special-registry/).
var internet = without("0.0.0.0/0", "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
	"192.0.0.0/24", "192.0.2.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/3")

// without returns the prefixes that make up a prefix less others.
func without(whole string, holes ...string) []netip.Prefix {
	rest := []netip.Prefix{netip.MustParsePrefix(whole)}
	for _, h := range holes {
		hole := netip.MustParsePrefix(h)
		var next []netip.Prefix
		for _, p := range rest {
			next = append(next, cut(p, hole)...)
		}
		rest = next
	}
	return rest
}

// cut returns the prefixes that make up p less hole.
func cut(p, hole netip.Prefix) []netip.Prefix {
	switch {
	case !p.Overlaps(hole):
		return []netip.Prefix{p}
	case hole.Bits() <= p.Bits():
		return nil
	}
	low := netip.PrefixFrom(p.Addr(), p.Bits()+1)
	b := p.Addr().AsSlice()
	b[p.Bits()/8] |= 1 << (7 - p.Bits()%8)
	a, _ := netip.AddrFromSlice(b)
	high := netip.PrefixFrom(a, p.Bits()+1)
	return append(cut(low, hole), cut(high, hole)...)
}

// assertions are the content of the file.
type assertions struct {
	networks []netip.Prefix
	list     []*assertion
}

// assertion says what must pass, or must not.
type assertion struct {
	name     string
	allow    bool
	from, to endpoint
	ports    []ports // empty: all
	clusters []string
	line     int
}

// endpoint is what an assertion says of one end.
type endpoint struct {
	Namespace       string            `yaml:"namespace"`       // glob
	NamespaceLabels map[string]string `yaml:"namespaceLabels"` // of the namespace
	Environment     string            `yaml:"environment"`     // of the namespace
	Workload        string            `yaml:"workload"`        // glob on the name of the workload or pod
	Pods            map[string]string `yaml:"pods"`            // labels of pods that the repository has
	Assume          map[string]string `yaml:"assume"`          // labels of a pod that it need not have
	CIDR            string            `yaml:"cidr"`            // or "internet"
	Not             *endpoint         `yaml:"not"`             // without these

	addresses []netip.Prefix
	line      int
}

// ports are ports of one protocol, or the name of one.
type ports struct {
	name string
	set  netpol.PortSet
}

// mistake is what is wrong with the file.
type mistake struct {
	line int
	text string
}

// document is the form of the file.
type document struct {
	APIVersion string   `yaml:"apiVersion"`
	Kind       string   `yaml:"kind"`
	PodCIDRs   []string `yaml:"podCIDRs"`
	Assertions []struct {
		Name     string     `yaml:"name"`
		Allow    *connected `yaml:"allow"`
		Deny     *connected `yaml:"deny"`
		Clusters []string   `yaml:"clusters"`
	} `yaml:"assertions"`
}

type connected struct {
	From  *endpoint `yaml:"from"`
	To    *endpoint `yaml:"to"`
	Ports []string  `yaml:"ports"`
}

// unknownField is how the YAML library says that a struct has no such field.
var unknownField = regexp.MustCompile(`^line (\d+): field (.*) not found in type .*$`)

// parse reads the file. With mistakes, the assertions that have none are returned too.
func parse(data []byte) (out *assertions, mistakes []mistake) {
	out = &assertions{networks: defaultNetworks}
	fail := func(line int, format string, args ...any) {
		mistakes = append(mistakes, mistake{max(line, 1), fmt.Sprintf(format, args...)})
	}
	// The parser has panicked on strange bytes before; that must not end the run.
	defer func() {
		if p := recover(); p != nil {
			out, mistakes = &assertions{}, []mistake{{1, fmt.Sprintf("this is no YAML: the parser gave up: %v", p)}}
		}
	}()
	if len(data) > maxSize {
		fail(1, "the file has %d KiB; %d are the most that are read", len(data)>>10, maxSize>>10)
		return &assertions{}, mistakes
	}
	var doc document
	var root yaml.Node
	dec := yaml.NewDecoder(bytes.NewReader(data))
	dec.KnownFields(true)
	err := dec.Decode(&doc)
	if errors.Is(err, io.EOF) {
		fail(1, "the file is empty; begin it with apiVersion: %s and kind: %s", report.APIVersion, kind)
		return &assertions{}, mistakes
	}
	var bad *yaml.TypeError
	switch {
	case errors.As(err, &bad):
		for _, text := range bad.Errors {
			line, rest := lineOf(text)
			if m := unknownField.FindStringSubmatch(text); m != nil {
				rest = fmt.Sprintf("there is no key %q here", m[2])
			}
			fail(line, "%s", rest)
		}
	case err != nil:
		line, rest := lineOf(strings.TrimPrefix(err.Error(), "yaml: "))
		fail(line, "this is no YAML: %s", rest)
		return &assertions{}, mistakes
	}
	if doc.APIVersion != report.APIVersion || doc.Kind != kind {
		fail(1, "this is %q %q; %s %s is expected", doc.APIVersion, doc.Kind, report.APIVersion, kind)
		return &assertions{}, mistakes
	}
	if yaml.Unmarshal(data, &root) != nil || len(root.Content) == 0 {
		return &assertions{}, mistakes
	}
	if doc.PodCIDRs != nil {
		out.networks = nil
	}
	for _, text := range doc.PodCIDRs {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			fail(node(root.Content[0], "podCIDRs").Line, "podCIDRs: %q is no CIDR, such as 10.42.0.0/16", text)
			continue
		}
		out.networks = append(out.networks, p.Masked())
	}
	items := node(root.Content[0], "assertions").Content
	if len(items) > maxAssertions {
		fail(items[maxAssertions].Line, "there are more than %d assertions, which are the most that are read", maxAssertions)
		items = items[:maxAssertions]
	}
	wrong := slices.Clone(mistakes) // what does not decode: the rest of its entry says nothing
	names := map[string]int{}
	for i, item := range items {
		if i >= len(doc.Assertions) {
			break
		}
		if slices.ContainsFunc(wrong, func(m mistake) bool {
			return m.line >= item.Line && (i+1 == len(items) || m.line < items[i+1].Line)
		}) {
			continue
		}
		a := doc.Assertions[i]
		at := &assertion{name: a.Name, clusters: a.Clusters, line: item.Line}
		c, where := a.Allow, node(item, "allow")
		at.allow = c != nil
		if c == nil {
			c, where = a.Deny, node(item, "deny")
		}
		before := len(mistakes)
		switch first := names[a.Name]; {
		case a.Name == "":
			fail(item.Line, "an assertion needs a name, which says what is promised")
		case first > 0:
			fail(item.Line, "the assertion in line %d has the name %q too", first, a.Name)
		}
		names[a.Name] = item.Line
		switch {
		case (a.Allow == nil) == (a.Deny == nil):
			fail(item.Line, "an assertion has either allow or deny")
		case c.From == nil || c.To == nil:
			fail(where.Line, "an assertion has both ends: from and to")
		default:
			at.from, at.to = *c.From, *c.To
			at.from.check(node(where, "from").Line, fail)
			at.to.check(node(where, "to").Line, fail)
			if at.from.addresses != nil && at.to.addresses != nil {
				fail(where.Line, "one end at least is in the cluster: NetworkPolicies know of no other traffic")
			}
			for _, text := range c.Ports {
				p, err := parsePorts(text)
				if err != nil {
					fail(node(where, "ports").Line, "%s", err)
				}
				at.ports = append(at.ports, p)
			}
		}
		if len(mistakes) == before {
			out.list = append(out.list, at)
		}
	}
	return out, mistakes
}

// lineOf splits what the YAML library says: "line 3: …".
func lineOf(text string) (int, string) {
	if rest, ok := strings.CutPrefix(text, "line "); ok {
		if n, why, ok := strings.Cut(rest, ": "); ok {
			if line, err := strconv.Atoi(n); err == nil {
				return line, why
			}
		}
	}
	return 1, text
}

// node returns the value of a key; a node without content if there is none.
func node(n *yaml.Node, key string) *yaml.Node {
	for i := 0; n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return &yaml.Node{Line: n.Line}
}

// check looks at an end.
func (e *endpoint) check(line int, fail func(int, string, ...any)) {
	e.line = line
	for _, glob := range []string{e.Namespace, e.Workload} {
		if !doublestar.ValidatePattern(glob) {
			fail(line, "%q is no glob pattern; * stands for any part of a name", glob)
		}
	}
	inside := e.Namespace != "" || e.NamespaceLabels != nil || e.Environment != "" || e.Workload != "" || e.Pods != nil || e.Assume != nil || e.Not != nil
	switch {
	case e.CIDR == "internet":
		e.addresses = internet
	case e.CIDR != "":
		p, err := netip.ParsePrefix(e.CIDR)
		if err != nil {
			fail(line, "cidr is %q; write addresses like 192.168.1.0/24, or internet", e.CIDR)
		}
		e.addresses = []netip.Prefix{p.Masked()}
	}
	switch {
	case e.CIDR != "" && inside:
		fail(line, "an end has either cidr or what selects pods")
	case e.CIDR == "" && !inside:
		fail(line, "an end selects something; all pods are namespace: \"*\"")
	case e.Assume != nil && (e.Namespace == "" || strings.ContainsAny(e.Namespace, "*?[{") || e.Pods != nil || e.Workload != "" || e.Not != nil || e.NamespaceLabels != nil || e.Environment != ""):
		fail(line, "assume goes with the whole name of a namespace, and with nothing else")
	}
	if e.Not != nil {
		e.Not.check(line, fail)
		if e.Not.Assume != nil || e.Not.CIDR != "" {
			fail(line, "not takes out pods that the repository has: neither assume nor cidr goes there")
		}
	}
}

// parsePorts reads "80", "UDP/53", "TCP/8000-8100", "http" or "UDP".
func parsePorts(text string) (ports, error) {
	protocol, rest := "", strings.TrimSpace(text)
	if before, after, ok := strings.Cut(rest, "/"); ok {
		protocol, rest = before, after
	}
	if slices.Contains([]string{"TCP", "UDP", "SCTP"}, rest) && protocol == "" {
		return ports{set: netpol.Ports(corev1.Protocol(rest), 1, 65535)}, nil
	}
	if protocol == "" {
		protocol = "TCP"
	}
	if !slices.Contains([]string{"TCP", "UDP", "SCTP"}, protocol) {
		return ports{}, fmt.Errorf("port %q: the protocol is TCP, UDP or SCTP", text)
	}
	low, high, isRange := strings.Cut(rest, "-")
	from, err := strconv.ParseInt(low, 10, 32)
	if err != nil {
		if portName.MatchString(rest) {
			return ports{name: protocol + "/" + rest}, nil
		}
		return ports{}, fmt.Errorf("port %q: write 80, UDP/53, TCP/8000-8100 or the name of a port", text)
	}
	to := from
	if isRange {
		if to, err = strconv.ParseInt(high, 10, 32); err != nil {
			to = 0
		}
	}
	if from < 1 || to > 65535 || from > to {
		return ports{}, fmt.Errorf("port %q: ports go from 1 to 65535, the smaller one first", text)
	}
	return ports{set: netpol.Ports(corev1.Protocol(protocol), int32(from), int32(to))}, nil
}

// portName is what the API server takes as the name of a port (RFC 6335).
var portName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,13}[a-z0-9])?$`)

// wanted returns the ports of an assertion at the pod that is connected to; nil is an
// address. Names that the pod does not have give no port.
func (a *assertion) wanted(pod *netpol.Pod) netpol.PortSet {
	if len(a.ports) == 0 {
		return netpol.AllPorts()
	}
	var out netpol.PortSet
	for _, p := range a.ports {
		out = out.Union(p.set)
		if p.name == "" || pod == nil {
			continue
		}
		for _, c := range pod.Ports {
			protocol := c.Protocol
			if protocol == "" {
				protocol = corev1.ProtocolTCP
			}
			if string(protocol)+"/"+c.Name == p.name {
				out = out.Union(netpol.Ports(protocol, c.Port, c.Port))
			}
		}
	}
	return out
}

// selects tells whether an end is about a workload of the repository.
func (e *endpoint) selects(w *workload, spaces map[string]map[string]string, environment string) bool {
	labels := spaces[w.pod.Namespace]
	if e.Namespace != "" && !doublestar.MatchUnvalidated(e.Namespace, w.pod.Namespace) {
		return false
	}
	if e.Environment != "" && labels[environment] != e.Environment {
		return false
	}
	if e.Workload != "" && !doublestar.MatchUnvalidated(e.Workload, path.Base(w.object.GetName())) {
		return false
	}
	return subset(e.NamespaceLabels, labels) && subset(e.Pods, w.pod.Labels) && (e.Not == nil || !e.Not.selects(w, spaces, environment))
}

// subset tells whether all labels are there.
func subset(want, have map[string]string) bool {
	for k, v := range want {
		if got, ok := have[k]; !ok || got != v {
			return false
		}
	}
	return true
}
