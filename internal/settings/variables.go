package settings

import (
	_ "embed"
	"fmt"
	"net/mail"
	"net/netip"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"

	"lumacore.dev/lumacore/internal/report"
)

// Variables are all variables, in the order of the file. Example is the value that the
// blueprint has.
var Variables = []Variable{
	{
		Name: "GIT_URL", Words: "Git URL", Example: "https://gitlab.lab.example.com/homelab/infra.git", Placeholder: true,
		Meaning: "HTTPS address of this repository in your GitLab. Flux reads it and, for image updates, pushes to it.",
		Pattern: `^https://[^/@\s]+/\S+\.git$`, check: gitURL,
	},
	{
		Name: "GIT_HOST_IP", Words: "Git host", Example: "192.168.10.5",
		Meaning: "Address of the machine that runs GitLab and its registry, on the LAN.",
		Pattern: ipv4Pattern, check: ipv4,
	},
	{
		Name: "DOMAIN", Words: "domain", Example: "lab.example.com", Placeholder: true,
		Meaning: "Parent domain of all apps: freshrss.<DOMAIN>. Cloudflare must be authoritative for it.",
		Pattern: `^([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z][a-z0-9-]*[a-z0-9]$`, check: domain,
	},
	{
		Name: "REGISTRY", Words: "registry", Example: "registry.lab.example.com", Placeholder: true,
		Meaning: "Host, and port if it is another than 443, of the registry for your own images.",
		Pattern: `^[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]+)?$`, check: registry,
	},
	{
		Name: "LAN_CIDR", Words: "network", Example: "192.168.10.0/24",
		Meaning: "The LAN that the machines are in: private addresses.",
		Pattern: cidrPattern, check: lan,
	},
	{
		Name: "LAN_GATEWAY", Words: "gateway", Example: "192.168.10.1",
		Meaning: "Address of the LAN's router.",
		Pattern: ipv4Pattern, check: ipv4,
	},
	{
		Name: "SERVER_IP", Words: "node server", Example: "192.168.10.11",
		Meaning: "Address of the k3s server on the LAN.",
		Pattern: ipv4Pattern, check: ipv4,
	},
	{
		Name: "AGENT_1_IP", Words: "node agent-1", Example: "192.168.10.12",
		Meaning: "Address of the first k3s agent on the LAN.",
		Pattern: ipv4Pattern, check: ipv4,
	},
	{
		Name: "AGENT_2_IP", Words: "node agent-2", Example: "192.168.10.13",
		Meaning: "Address of the second k3s agent on the LAN.",
		Pattern: ipv4Pattern, check: ipv4,
	},
	{
		Name: "POD_CIDR", Words: "pod network", Default: "10.42.0.0/16", Example: "10.42.0.0/16",
		Meaning: "Pod network of k3s (cluster-cidr), a /22 or larger: each node takes a /24 of it.",
		Pattern: cidrPattern, check: pods,
	},
	{
		Name: "SERVICE_CIDR", Words: "service network", Default: "10.43.0.0/16", Example: "10.43.0.0/16",
		Meaning: "Service network of k3s (service-cidr), a /24 or larger.",
		Pattern: cidrPattern, check: services,
	},
	{
		Name: "TIMEZONE", Words: "time zone", Default: "Etc/UTC", Example: "Etc/UTC",
		Meaning: "Time zone of apps and jobs that show or schedule by wall clock, as in the tz database.",
		Pattern: `^[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*$`, check: timeZone,
	},
	{
		Name: "ONEPASSWORD_VAULT", Words: "1Password vault", Default: "lumacore", Example: "lumacore",
		Meaning: "Name of the 1Password vault that holds the secrets of this cluster.",
		Pattern: titlePattern, check: title,
	},
	{
		Name: "S3_ENDPOINT", Words: "S3 endpoint", Example: "https://s3.eu-central-003.backblazeb2.com",
		Meaning: "Address of the S3 storage for backups, without the bucket.",
		Pattern: `^https://[a-z0-9.-]+(:[0-9]+)?$`, check: endpoint,
	},
	{
		Name: "S3_REGION", Words: "S3 region", Example: "eu-central-003",
		Meaning: "Region of the S3 storage; auto for Cloudflare R2.",
		Pattern: `^[a-z0-9-]+$`, check: region,
	},
	{
		Name: "S3_BUCKET", Words: "S3 bucket", Example: "homelab-backup",
		Meaning: "Bucket for backups.",
		Pattern: `^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$`, check: bucket,
	},
	{
		Name: "CLOUDFLARE_ACCOUNT_ID", Words: "Cloudflare account", Example: strings.Repeat("0", 32), Placeholder: true,
		Meaning: "Account at Cloudflare: 32 hexadecimal digits.",
		Pattern: `^[0-9a-f]{32}$`, check: account,
	},
	{
		Name: "CLOUDFLARE_TUNNEL_ID", Words: "Cloudflare tunnel", Example: "00000000-0000-0000-0000-000000000000", Placeholder: true,
		Meaning: "UUID of the Cloudflare tunnel.",
		Pattern: uuidPattern, check: tunnel,
	},
	{
		Name: "CLOUDFLARE_ACCESS_TEAM", Words: "Access team", Example: "example", Placeholder: true,
		Meaning: "Team name of Cloudflare Access: <team>.cloudflareaccess.com.",
		Pattern: `^[a-z0-9]([a-z0-9-]*[a-z0-9])?$`, check: team,
	},
	{
		Name: "CLOUDFLARE_AUDIENCE", Words: "Access audience", Example: strings.Repeat("0", 64), Placeholder: true,
		Meaning: "Audience tag of the Access application for *.<DOMAIN>: 64 hexadecimal digits.",
		Pattern: `^[0-9a-f]{64}$`, check: audience,
	},
	{
		Name: "OWNER_EMAIL", Words: "owner's e-mail", Example: "owner@example.com", Placeholder: true,
		Meaning: "The owner, as Cloudflare Access and the Flux web UI know them.",
		Pattern: `^[^@\s]+@[^@\s]+\.[^@\s.]+$`, check: Email,
	},
	{
		Name: "DOCS_URL", Words: "address of the documentation", Default: "https://docs.lab.example.com", Example: "https://docs.lab.example.com",
		Meaning: "Where the site of docs/ is published, without a slash at the end. Each alert links to it.",
		Pattern: `^https://[^/@\s]+(/[^/\s]+)*$`, check: docsURL,
	},
	{
		Name: "DISCORD_ITEM", Words: "Discord item", Default: "discord-webhook", Example: "discord-webhook",
		Meaning: "1Password item with the Discord webhook that alerts go to.",
		Pattern: titlePattern, check: title,
	},
}

const (
	ipv4Pattern  = `^[0-9]{1,3}(\.[0-9]{1,3}){3}$`
	cidrPattern  = `^[0-9]{1,3}(\.[0-9]{1,3}){3}/[0-9]{1,2}$`
	uuidPattern  = `^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`
	titlePattern = `^[A-Za-z0-9]([A-Za-z0-9 ._-]*[A-Za-z0-9])?$`
)

// secrets are what must not be answered, by how it begins. Only what is never the
// beginning of a right answer may stand here.
var secrets = []struct {
	form *regexp.Regexp
	kind string
}{
	{regexp.MustCompile(`^gl(pat|dt|rt|cbt|ptt|ft|soat|agent)-`), "a token of GitLab"},
	{regexp.MustCompile(`^(gh[pousr]_|github_pat_)`), "a token of GitHub"},
	{regexp.MustCompile(`^ops_ey`), "the token of a 1Password service account"},
	{regexp.MustCompile(`^eyJ[A-Za-z0-9_-]{20,}`), "a token, such as that of a tunnel or of 1Password Connect"},
	{regexp.MustCompile(`^(AKIA|ASIA)[A-Z0-9]{16}$`), "an access key of AWS"},
	{regexp.MustCompile(`^K00[0-9][A-Za-z0-9+/]{27}$`), "an application key of Backblaze"},
	{regexp.MustCompile(`^https://([a-z]+\.)?discord(app)?\.com/api/webhooks/`), "the address of a Discord webhook"},
	{regexp.MustCompile(`^-----BEGIN `), "a private key"},
	{regexp.MustCompile(`^https?://[^/@\s]*@`), "an address with credentials in it"},
	{regexp.MustCompile(`^(v1\.0-[0-9a-f]{24}-|cfut_|cfat_|cfk_)`), "a key of Cloudflare"},
	// Cloudflare's API tokens have 40 characters of all kinds.
	{regexp.MustCompile(`^[A-Za-z0-9_-]*[A-Z][A-Za-z0-9_-]*$`), ""},
}

// Secret says what kind of secret a value looks like; "" for none.
func Secret(value string) string {
	for _, s := range secrets {
		if !s.form.MatchString(value) {
			continue
		}
		if s.kind == "" {
			if len(value) != 40 || !strings.ContainsAny(value, "0123456789") || !strings.ContainsAny(value, "abcdefghijklmnopqrstuvwxyz") {
				continue
			}
			return "an API token of Cloudflare"
		}
		return s.kind
	}
	return ""
}

// label is a part of a host name.
var label = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// host says what is wrong with a host name, behind the words for what it is.
func host(name string) string {
	for _, r := range name {
		if r > 0x7f {
			return "has letters beyond ASCII; write it as DNS does, beginning with xn--"
		}
	}
	if len(name) > 253 {
		return fmt.Sprintf("has %d characters; 253 are the most", len(name))
	}
	for part := range strings.SplitSeq(name, ".") {
		switch {
		case part == "":
			return "has a dot too many"
		case strings.Contains(part, "_"):
			return "has an underscore, which a host name cannot have"
		case part != strings.ToLower(part):
			return "has capital letters; write it in small ones"
		case !label.MatchString(part):
			return fmt.Sprintf("has %q in it, which a host name cannot have", part)
		}
	}
	return ""
}

// own are endings that nobody can own in the Internet's DNS
// (https://www.iana.org/assignments/special-use-domain-names/, RFC 6762, RFC 8375; and
// .lan, .home, .corp, which routers make up).
var own = []string{"local", "localhost", "internal", "home.arpa", "lan", "home", "corp", "intranet", "invalid", "onion"}

func domain(value string) string {
	if _, rest, ok := strings.Cut(value, "://"); ok {
		rest, _, _ = strings.Cut(rest, "/")
		return fmt.Sprintf("%q is an address; write the name alone: %s", value, rest)
	}
	if rest, ok := strings.CutPrefix(value, "*."); ok {
		return fmt.Sprintf("%q has a star; write the parent alone: %s", value, rest)
	}
	if rest, ok := strings.CutSuffix(value, "."); ok && rest != "" {
		return fmt.Sprintf("%q ends with a dot; write %s", value, rest)
	}
	if _, err := netip.ParseAddr(value); err == nil {
		return fmt.Sprintf("%q is the address of a machine; apps are reached by name", value)
	}
	if strings.ContainsAny(value, "/: @") {
		return fmt.Sprintf("%q is no domain; write it like home.example.org", value)
	}
	if why := host(value); why != "" {
		return fmt.Sprintf("%q %s", value, why)
	}
	if !strings.Contains(value, ".") {
		return fmt.Sprintf("%q has no dot; write it like home.example.org", value)
	}
	for _, end := range own {
		if strings.HasSuffix(value, "."+end) {
			return fmt.Sprintf("%q ends with .%s, which is in no public DNS; use a domain that Cloudflare is authoritative for", value, end)
		}
	}
	if last := value[strings.LastIndexByte(value, '.')+1:]; strings.Trim(last, "0123456789") == "" {
		return fmt.Sprintf("%q ends with a number; write it like home.example.org", value)
	}
	return ""
}

func registry(value string) string {
	if _, rest, ok := strings.Cut(value, "://"); ok {
		return fmt.Sprintf("%q has a scheme; images are named without one: %s", value, strings.TrimRight(rest, "/"))
	}
	if name, _, ok := strings.Cut(value, "/"); ok {
		return fmt.Sprintf("%q has a path; write the host alone: %s", value, name)
	}
	name, port, ok := strings.Cut(value, ":")
	if ok {
		if why := badPort(port); why != "" {
			return fmt.Sprintf("%q %s", value, why)
		}
	}
	if why := host(name); why != "" {
		return fmt.Sprintf("%q %s", value, why)
	}
	// An image's first part is a host only with a dot or a port, or as localhost.
	if !strings.Contains(name, ".") && !ok {
		return fmt.Sprintf("%q has neither dot nor port; an image's name would be looked for at Docker Hub", value)
	}
	return ""
}

func badPort(port string) string {
	if p, err := netip.ParseAddrPort("0.0.0.0:" + port); err != nil || p.Port() == 0 {
		return "has a port that is no number from 1 to 65535"
	}
	return ""
}

// address looks at an https address; host and path are left to the caller. Credentials
// were looked for before.
func address(value, like string) (*url.URL, string) {
	switch {
	case strings.HasPrefix(value, "http://"):
		return nil, fmt.Sprintf("%q is not encrypted; write https://", value)
	case strings.HasPrefix(value, "git@"), strings.HasPrefix(value, "ssh://"):
		return nil, fmt.Sprintf("%q is for SSH; write the HTTPS address, like %s", value, like)
	case !strings.HasPrefix(value, "https://"):
		return nil, fmt.Sprintf("%q is no https address; write it like %s", value, like)
	}
	u, err := url.Parse(value)
	if err != nil || u.Hostname() == "" || strings.ContainsAny(value, " \\") {
		return nil, fmt.Sprintf("%q is no address; write it like %s", value, like)
	}
	if u.RawQuery != "" || u.Fragment != "" || u.ForceQuery || strings.Contains(value, "#") {
		return nil, fmt.Sprintf("%q has a question mark or a hash in it; leave it and what follows out", value)
	}
	if _, err := netip.ParseAddr(u.Hostname()); err != nil {
		if why := host(u.Hostname()); why != "" {
			return nil, fmt.Sprintf("%q %s", value, why)
		}
	}
	if u.Port() != "" {
		if why := badPort(u.Port()); why != "" {
			return nil, fmt.Sprintf("%q %s", value, why)
		}
	}
	return u, ""
}

func gitURL(value string) string {
	const like = "https://gitlab.home.example.org/homelab/infra.git"
	u, why := address(value, like)
	if why != "" {
		return why
	}
	name := strings.Trim(u.Path, "/")
	switch {
	case name == "" || name == ".git":
		return fmt.Sprintf("%q names no repository; write it like %s", value, like)
	case strings.HasSuffix(u.Path, "/") || !strings.HasSuffix(u.Path, ".git"):
		return fmt.Sprintf("%q does not end with .git; write it as GitLab shows it under Code, Clone with HTTPS", value)
	case path.Clean(u.Path) != u.Path:
		return fmt.Sprintf("%q has empty parts in its path", value)
	}
	return ""
}

func docsURL(value string) string {
	const like = "https://docs.home.example.org"
	u, why := address(value, like)
	switch {
	case why != "":
		return why
	case strings.HasSuffix(u.Path, "/"):
		return fmt.Sprintf("%q ends with a slash; write %s", value, strings.TrimRight(value, "/"))
	}
	return ""
}

func ipv4(value string) string {
	if p, err := netip.ParsePrefix(value); err == nil {
		return fmt.Sprintf("%q is a network; write the address alone: %s", value, p.Addr())
	}
	if a, err := netip.ParseAddrPort(value); err == nil {
		return fmt.Sprintf("%q has a port; write the address alone: %s", value, a.Addr())
	}
	a, err := netip.ParseAddr(value)
	switch {
	case err != nil:
		return fmt.Sprintf("%q is no IPv4 address; write it like 192.168.10.12", value)
	case !a.Is4():
		return fmt.Sprintf("%q is an IPv6 address; the blueprint's networks are IPv4", value)
	}
	return ""
}

// private are the networks of RFC 1918.
var private = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("172.16.0.0/12"), netip.MustParsePrefix("192.168.0.0/16")}

func network(value string) (netip.Prefix, string) {
	p, err := netip.ParsePrefix(value)
	if err != nil {
		return p, fmt.Sprintf("%q is no IPv4 network; write it like 192.168.10.0/24", value)
	}
	if !p.Addr().Is4() {
		return p, fmt.Sprintf("%q is an IPv6 network; the blueprint's networks are IPv4", value)
	}
	if p.Masked() != p {
		return p, fmt.Sprintf("%q is an address in a network; write the network: %s", value, p.Masked())
	}
	for _, whole := range private {
		if whole.Bits() <= p.Bits() && whole.Contains(p.Addr()) {
			return p, ""
		}
	}
	return p, fmt.Sprintf("%q is not private; it must be in 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16, which network policies keep apps away from", value)
}

func lan(value string) string {
	p, why := network(value)
	if why == "" && p.Bits() > 29 {
		return fmt.Sprintf("%q has room for %d machines; five addresses are needed", value, max(0, 1<<(32-p.Bits())-2))
	}
	return why
}

func pods(value string) string {
	p, why := network(value)
	if why == "" && p.Bits() > 22 {
		return fmt.Sprintf("%q is too small: each of three nodes takes a /24 of it; use a /22 or larger", value)
	}
	return why
}

func services(value string) string {
	p, why := network(value)
	if why == "" && p.Bits() > 24 {
		return fmt.Sprintf("%q is too small: it has %d addresses; use a /24 or larger", value, 1<<(32-p.Bits()))
	}
	return why
}

// zones are the names of the tz database, as Go 1.26 has it, in a list because the
// system's may be missing, and differ.
//
//go:embed zones.txt
var zones string

// Zones are the time zones that there are.
func Zones() []string { return strings.Fields(zones) }

func timeZone(value string) string {
	all := Zones()
	if slices.Contains(all, value) {
		return ""
	}
	// "berlin" and "europe/berlin" are nearer to Europe/Berlin than anything else is.
	near := ""
	lower := strings.ToLower(strings.ReplaceAll(value, " ", "_"))
	for _, z := range all {
		if l := strings.ToLower(z); l == lower || near == "" && strings.HasSuffix(l, "/"+lower) {
			near = z
			if l == lower {
				break
			}
		}
	}
	if near == "" {
		near = report.Nearest(value, all)
	}
	if near != "" {
		return fmt.Sprintf("%q is unknown; did you mean %s?", value, near)
	}
	return fmt.Sprintf("%q is unknown; write it like Europe/Berlin (https://en.wikipedia.org/wiki/List_of_tz_database_time_zones)", value)
}

var titleForm = regexp.MustCompile(titlePattern)

// title looks at the name of a vault or item, which becomes a part of a path:
// vaults/VAULT/items/ITEM.
func title(value string) string {
	switch {
	case strings.HasPrefix(value, "op://"):
		return fmt.Sprintf("%q is a secret reference; write the name alone", value)
	case strings.Contains(value, "/"):
		return fmt.Sprintf("%q has a slash, which separates vault and item", value)
	case len(value) > 64:
		return fmt.Sprintf("has %d characters; 64 are the most", len(value))
	case !titleForm.MatchString(value):
		return fmt.Sprintf("%q may have letters, digits, blanks, dots, hyphens and underscores, and begins and ends with a letter or digit", value)
	}
	return ""
}

// The S3 storages that are known, by their endpoints.
const (
	R2  = "r2"
	B2  = "b2"
	AWS = "aws"
)

// Providers are the S3 storages that are known.
var Providers = []string{R2, B2, AWS}

var (
	r2Host  = regexp.MustCompile(`^[0-9a-f]{32}\.((eu|us|fedramp)\.)?r2\.cloudflarestorage\.com$`)
	b2Host  = regexp.MustCompile(`^s3\.([a-z]+-[a-z]+-[0-9]{3})\.backblazeb2\.com$`)
	awsHost = regexp.MustCompile(`^s3\.([a-z]{2}(?:-[a-z]+)+-[0-9])\.amazonaws\.com$`)
)

// providers has how the endpoints of each look.
var providers = map[string]struct {
	title, ending, like string
	host                *regexp.Regexp
}{
	R2:  {"Cloudflare R2", ".r2.cloudflarestorage.com", "https://ACCOUNT.r2.cloudflarestorage.com", r2Host},
	B2:  {"Backblaze B2", ".backblazeb2.com", "https://s3.REGION.backblazeb2.com", b2Host},
	AWS: {"AWS S3", ".amazonaws.com", "https://s3.REGION.amazonaws.com", awsHost},
}

// Provider is the storage that an endpoint belongs to: one of [Providers], or "".
func Provider(endpoint string) string {
	u, err := url.Parse(endpoint)
	if err != nil {
		return ""
	}
	for _, p := range Providers {
		if strings.HasSuffix("."+u.Hostname(), providers[p].ending) {
			return p
		}
	}
	return ""
}

// Endpoint is the usual endpoint of a storage; "" if what it is made from is missing.
func Endpoint(provider, region, account string) string {
	switch {
	case provider == R2 && account != "":
		return "https://" + account + ".r2.cloudflarestorage.com"
	case provider == B2 && region != "":
		return "https://s3." + region + ".backblazeb2.com"
	case provider == AWS && region != "":
		return "https://s3." + region + ".amazonaws.com"
	}
	return ""
}

// Region is the region that an endpoint names, or "".
func Region(endpoint string) string {
	u, err := url.Parse(endpoint)
	if err != nil {
		return ""
	}
	for _, form := range []*regexp.Regexp{b2Host, awsHost} {
		if m := form.FindStringSubmatch(u.Host); m != nil {
			return m[1]
		}
	}
	return ""
}

// ProviderTitle is the name of one of [Providers] for a person.
func ProviderTitle(provider string) string { return providers[provider].title }

// ProviderLike is how the endpoints of one of [Providers] look.
func ProviderLike(provider string) string { return providers[provider].like }

func endpoint(value string) string {
	const like = "https://s3.eu-central-003.backblazeb2.com"
	u, why := address(value, like)
	if why != "" {
		return why
	}
	if u.Path != "" {
		return fmt.Sprintf("%q has a path; the bucket is another answer: write https://%s", value, u.Host)
	}
	if p := Provider(value); p != "" && !providers[p].host.MatchString(u.Host) {
		return fmt.Sprintf("%q is none of %s; write it like %s, without the bucket", value, providers[p].title, providers[p].like)
	}
	return ""
}

func region(value string) string {
	if !regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?$`).MatchString(value) {
		return fmt.Sprintf("%q is no region; write it like eu-central-003, and auto for Cloudflare R2", value)
	}
	return ""
}

func bucket(value string) string {
	switch {
	case strings.Contains(value, "://"):
		return fmt.Sprintf("%q is an address; write the bucket's name alone", value)
	case strings.Contains(value, "/"):
		return fmt.Sprintf("%q has a folder; write the bucket's name alone", value)
	case len(value) < 3 || len(value) > 63:
		return fmt.Sprintf("%q has %d characters; a bucket's name has 3 to 63", value, len(value))
	case !label.MatchString(value):
		return fmt.Sprintf("%q may have small letters, digits and hyphens, and begins and ends with a letter or digit", value)
	}
	return ""
}

var uuid = regexp.MustCompile(uuidPattern)

var hex = regexp.MustCompile(`^[0-9a-f]*$`)

// digits says what is wrong with n hexadecimal digits.
func digits(value string, n int) string {
	switch {
	case !hex.MatchString(strings.ToLower(value)):
		return fmt.Sprintf("%q must have %d hexadecimal digits (0 to 9, a to f) and nothing else", value, n)
	case len(value) != n:
		return fmt.Sprintf("%q has %d hexadecimal digits; %d are needed", value, len(value), n)
	case value != strings.ToLower(value):
		return fmt.Sprintf("%q has capital letters; write it in small ones", value)
	case strings.Trim(value, value[:1]) == "":
		return fmt.Sprintf("%q is one digit %d times, which nobody has", value, n)
	}
	return ""
}

func account(value string) string {
	if regexp.MustCompile(`^[0-9a-f]{37}$`).MatchString(value) {
		return "looks like Cloudflare's global API key, a secret; the account's ID has 32 hexadecimal digits and is in the address of the dashboard"
	}
	return digits(value, 32)
}

func audience(value string) string { return digits(value, 64) }

func tunnel(value string) string {
	switch {
	case uuid.MatchString(value):
		return ""
	case uuid.MatchString(strings.ToLower(value)):
		return fmt.Sprintf("%q has capital letters; write it in small ones", value)
	}
	return fmt.Sprintf("%q is no UUID; `cloudflared tunnel list` shows it, like 6ff42ae2-765d-4adf-8112-31c55c1551ef", value)
}

func team(value string) string {
	if _, rest, ok := strings.Cut(value, "://"); ok {
		rest, _, _ = strings.Cut(rest, ".")
		return fmt.Sprintf("%q is an address; write the team's name alone: %s", value, rest)
	}
	if name, ok := strings.CutSuffix(value, ".cloudflareaccess.com"); ok {
		return fmt.Sprintf("%q is a host; write the team's name alone: %s", value, name)
	}
	if !label.MatchString(value) {
		return fmt.Sprintf("%q may have small letters, digits and hyphens: what stands before .cloudflareaccess.com", value)
	}
	return ""
}

// Email says what is wrong with an e-mail address.
func Email(value string) string {
	a, err := mail.ParseAddress(value)
	switch {
	case err == nil && a.Address != value:
		return fmt.Sprintf("%q has more than the address; write %s", value, a.Address)
	case err != nil || strings.ContainsAny(value, `" `):
		return fmt.Sprintf("%q is no e-mail address", value)
	}
	_, name, _ := strings.Cut(value, "@")
	if why := host(strings.ToLower(name)); why != "" || !strings.Contains(name, ".") {
		return fmt.Sprintf("%q is no e-mail address that the Internet delivers to", value)
	}
	return ""
}
