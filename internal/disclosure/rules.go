package disclosure

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"lumacore.dev/lumacore/internal/leaks"
)

// Rules beside those of Gitleaks.
const (
	PrivateAddress  = "private-address"   // an address that is used inside of networks only
	MACAddress      = "mac-address"       // of a network card
	InternalName    = "internal-name"     // a host name of a network at home
	EmailAddress    = "email-address"     // of a person
	OwnersWord      = "owners-word"       // a name, host or domain that the owner listed
	OwnersValue     = "owners-value"      // what settings.env has and its sample has not
	AccountID       = "account-id"        // of a tunnel, an account, a zone
	OnePasswordPath = "one-password-path" // which item a secret is kept in
	PrivateKey      = "private-key"       // a piece of one, also without its first line
	Canary          = "canary"            // a text that the owner planted, to see it if it leaves
)

// Rule says what a rule finds, for people.
type Rule struct {
	ID   string
	What string
}

// Fingerprint tells whether a fingerprint of .gitallowed, FILE:RULE:LINE, is about a rule of
// this package, which Gitleaks does not have.
func Fingerprint(text string) bool {
	parts := strings.Split(text, ":")
	return len(parts) == 3 && slices.ContainsFunc(Own, func(r Rule) bool { return r.ID == parts[1] })
}

// Own are the rules of this package.
var Own = []Rule{
	{PrivateAddress, "an IP address of a private network (RFC 1918, 6598, 4193) or of a link, unless it is a whole such network or one that k3s always has"},
	{MACAddress, "the address of a network card"},
	{InternalName, "a host name below .lan, .home.arpa, .local and the like"},
	{EmailAddress, "an e-mail address, unless it is of an example domain, of a service that hides people's, or the identity that commits to the mirror"},
	{OwnersWord, "a word of mirror.private in lumacore.yaml: a name, a host, a domain"},
	{OwnersValue, "a value of settings.env that is not the sample's"},
	{AccountID, "the identifier of a tunnel, an account or a zone"},
	{OnePasswordPath, "the path of an item in 1Password, if mirror.private.onePassword says so"},
	{PrivateKey, "a private key or a piece of one, whatever stands around it"},
	{Canary, "a canary of lumacore.yaml: somebody published what you planted"},
}

// Words are what only the owner knows to be private.
type Words struct {
	Words    []string // names, hosts, e-mail addresses: found as whole words, in any case
	Domains  []string // with all names below them
	Values   []string // of settings.env
	Canaries []string
	Emails   []string // addresses that may be public
	Public   []string // values that everybody has, such as those of the blueprint

	OnePassword bool // paths of items are private
}

// Scanner looks for what must not become public. It is safe for concurrent use.
type Scanner struct {
	leaks *leaks.Scanner
	words Words

	word, domain, value, canary *regexp.Regexp // nil: there are none
	begins                      []string       // how any of these begins, but for canaries
}

// NewScanner returns a scanner that finds what another one does, with Gitleaks' rules, and
// an owner's words.
func NewScanner(l *leaks.Scanner, w Words) *Scanner {
	s := &Scanner{leaks: l, words: w}
	s.word = anyOf(w.Words, `(?i)(?:^|[^\pL\pN])(`, `)(?:$|[^\pL\pN])`)
	s.domain = anyOf(w.Domains, `(?i)(?:^|[^\pL\pN-])((?:[a-z0-9_-]+\.)*(?:`, `))(?:$|[^\pL\pN-])`)
	s.value = anyOf(w.Values, `(?i)(?:^|[^\pL\pN])(`, `)(?:$|[^\pL\pN])`)
	s.begins = slices.Concat(needles(w.Words), needles(w.Domains), needles(w.Values))
	squeezed := make([]string, len(w.Canaries))
	for i, c := range w.Canaries {
		squeezed[i] = squeeze(c)
	}
	s.canary = anyOf(squeezed, `(`, `)`)
	return s
}

// Digest names what is looked for: content that was searched with the same digest need not
// be searched again.
func (w Words) Digest(rules *leaks.Rules) string {
	data, err := json.Marshal(struct {
		Version int // of what this package finds
		Words   Words
		Rules   string
	}{1, w, rules.Version()})
	if err != nil {
		panic(err) // of strings
	}
	sum := sha256.Sum256(data)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// anyOf matches any of these texts, the longest first.
func anyOf(list []string, before, after string) *regexp.Regexp {
	list = slices.DeleteFunc(slices.Clone(list), func(s string) bool { return strings.TrimSpace(s) == "" })
	if len(list) == 0 {
		return nil
	}
	slices.SortFunc(list, func(a, b string) int { return len(b) - len(a) })
	for i, w := range list {
		// However many spaces there are between first and last name.
		list[i] = strings.Join(strings.Fields(regexp.QuoteMeta(w)), `[\s._-]+`)
	}
	return regexp.MustCompile(before + strings.Join(list, "|") + after)
}

// squeeze leaves letters and digits, in lower case: a canary is known by them.
func squeeze(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return unicode.ToLower(r)
		}
		return -1
	}, s)
}

var (
	ipv4Of  = regexp.MustCompile(`(?:^|[^0-9A-Za-z.])v?((?:\d{1,3}\.){3}\d{1,3})(/\d{1,2})?(?:\.?$|\.[^0-9A-Za-z]|[^0-9A-Za-z.])`)
	ipv6Of  = regexp.MustCompile(`(?i)(?:^|[^0-9a-z:.])((?:fe[89ab]|f[cd])[0-9a-f]{2}:[0-9a-f:]{2,})(/\d{1,3})?(?:$|[^0-9a-z:])`)
	macOf   = regexp.MustCompile(`(?i)(?:^|[^0-9a-z:-])([0-9a-f]{2}(?::[0-9a-f]{2}){5}|[0-9a-f]{2}(?:-[0-9a-f]{2}){5}|[0-9a-f]{4}\.[0-9a-f]{4}\.[0-9a-f]{4})(?:$|[^0-9a-z:-])`)
	nameOf  = regexp.MustCompile(`(?i)(?:^|[^a-z0-9._$-])((?:[a-z0-9][a-z0-9-]*\.)+(?:lan|home\.arpa|localdomain|intranet|fritz\.box|local))\.?(?:$|[^a-z0-9._(-]|\.\s|\.$)`)
	mailOf  = regexp.MustCompile(`(?i)(?:^|[^a-z0-9._%+$}-])([a-z0-9][a-z0-9._%+-]*@(?:[a-z0-9-]+\.)+[a-z]{2,})(?:$|[^a-z0-9@/:-]|[/:][^a-z0-9]|[/:]$)`)
	uuidOf  = regexp.MustCompile(`(?i)\b(?:tunnel|account|zone|tenant|subscription|client|org(?:anization)?|team)[\w .:+"'/=-]{0,40}?\b([0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12})\b`)
	acctOf  = regexp.MustCompile(`(?i)\b(?:account|zone|tunnel)[\w .:+"'/=-]{0,24}?\b([0-9a-f]{32})\b`)
	tunnOf  = regexp.MustCompile(`(?i)\b([0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12})\.cfargotunnel\.com`)
	onePass = regexp.MustCompile(`(op://[^\s"']+|vaults/[^\s"'/$]+/items/[^\s"'$]+)`)
	keyHead = regexp.MustCompile(`(-----\s*BEGIN[ A-Z0-9]{0,40}PRIVATE KEY(?: BLOCK)?\s*-----)`)
)

// own applies the rules of this package to a text. A loose one has only what is private
// by its form alone.
func (s *Scanner) own(text string, loose bool, found func(rule, what string, at int)) {
	each := func(re *regexp.Regexp, rule string, keep func(string) bool) {
		if re == nil {
			return
		}
		// Matches may share the character between them, so that the search goes on behind
		// the value and not behind the match.
		for at := 0; at <= len(text); {
			m := re.FindStringSubmatchIndex(text[at:])
			if m == nil {
				return
			}
			from, to := at+m[2], at+m[3]
			if what := text[from:to]; !slices.Contains(s.words.Public, what) && (keep == nil || keep(what)) {
				found(rule, what, from)
			}
			if to <= at {
				to = at + 1
			}
			at = to
		}
	}
	lower, shape := strings.ToLower(text), shapesOf(text)
	if hasAny(lower, s.begins) {
		each(s.word, OwnersWord, nil)
		each(s.domain, OwnersWord, nil)
		each(s.value, OwnersValue, nil)
	}
	if s.canary != nil {
		if m := s.canary.FindString(squeeze(text)); m != "" {
			found(Canary, m, 0)
		}
	}
	if strings.Contains(text, "PRIVATE KEY") {
		each(keyHead, PrivateKey, nil)
	}
	if loose {
		if shape.dotted {
			each(ipv4Of, PrivateAddress, func(a string) bool { return privateAddress(a, "") })
		}
		return
	}
	for at := 0; shape.dotted; {
		m := ipv4Of.FindStringSubmatchIndex(text[at:])
		if m == nil {
			break
		}
		a, bits := text[at+m[2]:at+m[3]], ""
		if m[4] >= 0 {
			bits = text[at+m[4] : at+m[5]]
		}
		if privateAddress(a, bits) && !slices.Contains(s.words.Public, a) && !slices.Contains(s.words.Public, a+bits) {
			found(PrivateAddress, a+bits, at+m[2])
		}
		at += m[3]
	}
	for at := 0; shape.colons; {
		m := ipv6Of.FindStringSubmatchIndex(text[at:])
		if m == nil {
			break
		}
		a, bits := text[at+m[2]:at+m[3]], ""
		if m[4] >= 0 {
			bits = text[at+m[4] : at+m[5]]
		}
		if privateAddress(a, bits) && !slices.Contains(s.words.Public, a) && !slices.Contains(s.words.Public, a+bits) {
			found(PrivateAddress, a+bits, at+m[2])
		}
		at += m[3]
	}
	if shape.mac {
		each(macOf, MACAddress, func(m string) bool {
			digits := strings.ToLower(strings.NewReplacer(":", "", "-", "", ".", "").Replace(m))
			switch {
			case digits == "000000000000" || digits == "ffffffffffff":
				return false
			case strings.HasPrefix(digits, "00005e0053"): // for documentation, RFC 7042
				return false
			}
			return true
		})
	}
	if hasAny(lower, homeSuffixes) {
		each(nameOf, InternalName, func(n string) bool {
			n = strings.ToLower(n)
			// In programs "this" and "self" are no hosts.
			return n != "this.local" && n != "self.local" && n != "cluster.local" && !strings.HasSuffix(n, ".cluster.local") && n != "localhost.localdomain"
		})
	}
	if shape.at {
		each(mailOf, EmailAddress, s.personal)
	}
	someone := func(id string) bool { return !dull(id) }
	if shape.uuid && hasAny(lower, idWords) {
		each(uuidOf, AccountID, someone)
		each(tunnOf, AccountID, someone)
	}
	if shape.hex32 && hasAny(lower, idWords) {
		each(acctOf, AccountID, someone)
	}
	if s.words.OnePassword && (strings.Contains(text, "op://") || strings.Contains(text, "vaults/")) {
		each(onePass, OnePasswordPath, nil)
	}
}

// dull tells whether an identifier is nobody's: few different digits, or counted up.
func dull(id string) bool {
	digits := strings.ToLower(strings.ReplaceAll(id, "-", ""))
	kinds := map[rune]bool{}
	for _, r := range digits {
		kinds[r] = true
	}
	return len(kinds) <= 3 || strings.HasPrefix(digits, "0123456789ab") || strings.HasPrefix(digits, "12345678")
}

// networks are private, and each as a whole says nothing about anybody.
var networks = []netip.Prefix{
	netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("172.16.0.0/12"), netip.MustParsePrefix("192.168.0.0/16"),
	netip.MustParsePrefix("169.254.0.0/16"), netip.MustParsePrefix("100.64.0.0/10"),
	netip.MustParsePrefix("fc00::/7"), netip.MustParsePrefix("fe80::/10"), netip.MustParsePrefix("fd00::/8"),
}

// everybodys are networks that every k3s has, of pods and of Services, and the address of
// the metadata service of clouds: they say nothing about anybody's network.
var everybodys = []netip.Prefix{
	netip.MustParsePrefix("10.42.0.0/16"), netip.MustParsePrefix("10.43.0.0/16"), netip.MustParsePrefix("169.254.169.254/32"),
}

// privateAddress tells whether an address, with its prefix or without, is one of
// somebody's network.
func privateAddress(address, bits string) bool {
	a, err := netip.ParseAddr(address)
	if err != nil {
		// 010.000.000.005 is an address to many programs.
		if a, err = netip.ParseAddr(withoutZeros(address)); err != nil {
			return false
		}
	}
	if bits == "" {
		if slices.ContainsFunc(networks, func(n netip.Prefix) bool { return n.Addr() == a }) {
			return false
		}
		bits = "/32"
		if a.Is6() {
			bits = "/128"
		}
	}
	p, err := netip.ParsePrefix(a.String() + bits)
	if err != nil {
		p = netip.PrefixFrom(a, a.BitLen())
	}
	if slices.Contains(networks, p) || slices.ContainsFunc(everybodys, func(n netip.Prefix) bool { return n.Contains(a) && p.Bits() >= n.Bits() }) {
		return false
	}
	return slices.ContainsFunc(networks, func(n netip.Prefix) bool { return n.Contains(a) })
}

func withoutZeros(address string) string {
	parts := strings.Split(address, ".")
	for i, p := range parts {
		if p = strings.TrimLeft(p, "0"); p == "" {
			p = "0"
		}
		parts[i] = p
	}
	return strings.Join(parts, ".")
}

// harmless are the ends of domains whose addresses reach nobody, or hide who it is.
var harmless = []string{
	"example.com", "example.org", "example.net", ".example", ".test", ".invalid", ".localhost",
	"users.noreply.github.com", "noreply.github.com", "noreply.gitlab.com",
}

// notDomains end what looks like an address and is a unit of systemd, a file or a package.
var notDomains = []string{
	".service", ".timer", ".socket", ".target", ".mount", ".path", ".device", ".conf", ".yaml", ".yml", ".json", ".md", ".go", ".js", ".sh", ".png", ".svg", ".txt",
}

// personal tells whether an e-mail address is one of somebody.
func (s *Scanner) personal(address string) bool {
	address = strings.ToLower(strings.TrimRight(address, "."))
	user, domain, _ := strings.Cut(address, "@")
	switch {
	case slices.ContainsFunc(s.words.Emails, func(e string) bool { return strings.EqualFold(e, address) }):
		return false
	case user == "git" || user == "noreply" || user == "no-reply":
		return false
	case slices.ContainsFunc(harmless, func(h string) bool {
		return domain == strings.TrimPrefix(h, ".") || strings.HasSuffix(domain, "."+strings.TrimPrefix(h, "."))
	}):
		return false
	case slices.ContainsFunc(notDomains, func(e string) bool { return strings.HasSuffix(domain, e) }):
		return false
	}
	return true
}

// keyMaterial tells whether bytes are a private key, as text with which the rule
// private-key is met: "" if not.
func keyMaterial(b []byte) string {
	const found = "-----BEGIN PRIVATE KEY-----"
	if bytes.HasPrefix(b, []byte("openssh-key-v1\x00")) {
		return found
	}
	if len(b) < 16 || b[0] != 0x30 {
		return ""
	}
	if _, err := x509.ParsePKCS8PrivateKey(b); err == nil {
		return found
	}
	// The beginning of one: a sequence whose first element is the version, an integer of
	// one byte, 0 or 1 (RFC 5208, 8017, 5915).
	head := 2
	if b[1]&0x80 != 0 {
		head += int(b[1] & 0x7f)
	}
	if head+3 < len(b) && b[head] == 2 && b[head+1] == 1 && b[head+2] <= 1 && slices.Contains([]byte{0x02, 0x30, 0x04}, b[head+3]) {
		return found
	}
	return ""
}

// keyBody is a key without its first and last line: lines of base64 of the length that
// PEM has, the first of which begins as keys do.
func keyBody(line string) bool {
	line = strings.TrimSpace(line)
	if len(line) < 48 {
		return false
	}
	b, err := base64.StdEncoding.DecodeString(line[:len(line)/4*4])
	return err == nil && keyMaterial(b) != ""
}
