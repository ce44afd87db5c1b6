package settings

import (
	"fmt"
	"net/netip"
	"net/url"
)

// machines are the variables with the address of a machine on the LAN, and how a
// sentence names it.
var machines = []struct{ name, the string }{
	{"LAN_GATEWAY", "the gateway"},
	{"GIT_HOST_IP", "the Git host"},
	{"SERVER_IP", "node server"},
	{"AGENT_1_IP", "node agent-1"},
	{"AGENT_2_IP", "node agent-2"},
}

// together says what is wrong with values of which each by itself is right.
func together(values map[string]string) []Mistake {
	var list []Mistake
	say := func(name, format string, args ...any) {
		list = append(list, Mistake{Name: name, Message: fmt.Sprintf(format, args...)})
	}
	prefix := func(name string) (netip.Prefix, bool) {
		p, err := netip.ParsePrefix(values[name])
		return p, err == nil
	}
	lan, hasLAN := prefix("LAN_CIDR")
	pods, hasPods := prefix("POD_CIDR")
	services, hasServices := prefix("SERVICE_CIDR")
	if hasLAN && hasPods && lan.Overlaps(pods) {
		say("POD_CIDR", "pod network %s overlaps the network %s; give k3s another one, such as 10.142.0.0/16", pods, lan)
	}
	if hasLAN && hasServices && lan.Overlaps(services) {
		say("SERVICE_CIDR", "service network %s overlaps the network %s; give k3s another one, such as 10.143.0.0/16", services, lan)
	}
	if hasPods && hasServices && pods.Overlaps(services) {
		say("SERVICE_CIDR", "service network %s overlaps the pod network %s", services, pods)
	}

	type taken struct {
		the  string
		addr netip.Addr
	}
	var before []taken
	for _, m := range machines {
		a, err := netip.ParseAddr(values[m.name])
		if err != nil {
			continue
		}
		words := Lookup(m.name).Words
		twice := false
		for _, b := range before {
			if b.addr == a && !twice {
				say(m.name, "%s has the address of %s %s", words, b.the, a)
				twice = true
			}
		}
		before = append(before, taken{m.the, a})
		switch {
		case twice:
		case hasPods && pods.Contains(a):
			say(m.name, "%s %s is in the pod network %s", words, a, pods)
		case hasServices && services.Contains(a):
			say(m.name, "%s %s is in the service network %s", words, a, services)
		case !hasLAN:
		case !lan.Contains(a):
			say(m.name, "%s %s is not in the network %s", words, a, lan)
		case a == lan.Addr():
			say(m.name, "%s %s is the network %s itself; its first machine has %s", words, a, lan, a.Next())
		case a == last(lan):
			say(m.name, "%s %s is the broadcast address of the network %s", words, a, lan)
		}
	}
	storage(values, say)
	return list
}

// storage looks at what belongs to the S3 storage.
func storage(values map[string]string, say func(name, format string, args ...any)) {
	endpoint, region, bucket := values["S3_ENDPOINT"], values["S3_REGION"], values["S3_BUCKET"]
	p := Provider(endpoint)
	if p == "" {
		return
	}
	u, err := url.Parse(endpoint)
	if err != nil {
		return
	}
	m := providers[p].host.FindStringSubmatch(u.Host)
	switch {
	case region == "" || m == nil:
	case p == R2 && region != "auto":
		say("S3_REGION", "S3 region %q is none of Cloudflare R2, which has one: auto", region)
	case p != R2 && m[1] != region:
		say("S3_REGION", "S3 region %q is another than that of the endpoint: %s", region, m[1])
	}
	switch {
	case bucket == "":
	case p == B2 && len(bucket) < 6:
		say("S3_BUCKET", "S3 bucket %q has %d characters; at Backblaze B2 a bucket's name has at least 6", bucket, len(bucket))
	case p == B2 && len(bucket) > 2 && bucket[:3] == "b2-":
		say("S3_BUCKET", "S3 bucket %q begins with b2-, which Backblaze keeps for itself", bucket)
	}
}

// last is the last address of an IPv4 network.
func last(p netip.Prefix) netip.Addr {
	b := p.Addr().As4()
	for i := p.Bits(); i < 32; i++ {
		b[i/8] |= 1 << (7 - i%8)
	}
	return netip.AddrFrom4(b)
}
