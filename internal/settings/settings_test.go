package settings

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // TestZones needs no zones of the system

	"github.com/google/go-cmp/cmp"

	"lumacore.dev/lumacore/internal/schematest"
)

// TestBlueprint: the blueprint's file has the table's variables, in its order, each with
// its example; and placeholders are all that is wrong with it.
func TestBlueprint(t *testing.T) {
	data, err := os.ReadFile("../../blueprint/" + File)
	if err != nil {
		t.Fatal(err)
	}
	list, wrong := Parse(data)
	if len(wrong) > 0 {
		t.Errorf("no settings: %v", wrong)
	}
	var names []string
	values := map[string]string{}
	for _, s := range list {
		names = append(names, s.Name)
		values[s.Name] = s.Value
		if v := Lookup(s.Name); v != nil && v.Example != s.Value {
			t.Errorf("%s is %q in the blueprint, and %q in the table", s.Name, s.Value, v.Example)
		}
	}
	if diff := cmp.Diff(Names(), names); diff != "" {
		t.Errorf("variables (-table +blueprint):\n%s", diff)
	}
	for _, m := range Check(values) {
		if !m.Left {
			t.Errorf("%s: %s", m.Name, m.Message)
		}
	}
	// The comments say which are required; a comment is about the lines up to the next blank.
	for block := range strings.SplitSeq(string(data), "\n\n") {
		required, optional := strings.Contains(block, "# REQUIRED."), strings.Contains(block, "# OPTIONAL.")
		settings, _ := Parse([]byte(block))
		for _, s := range settings {
			v := Lookup(s.Name)
			if required == optional || v != nil && optional && v.Default == "" {
				t.Errorf("%s: the comment says neither REQUIRED nor OPTIONAL, or what the table does not", s.Name)
			}
		}
	}
}

// good are the values of a homelab.
func good() map[string]string {
	return map[string]string{
		"GIT_URL": "https://gitlab.home.example.org/homelab/infra.git", "GIT_HOST_IP": "192.168.1.5",
		"DOMAIN": "home.example.org", "REGISTRY": "registry.home.example.org:5050",
		"LAN_CIDR": "192.168.1.0/24", "LAN_GATEWAY": "192.168.1.1",
		"SERVER_IP": "192.168.1.11", "AGENT_1_IP": "192.168.1.12", "AGENT_2_IP": "192.168.1.13",
		"POD_CIDR": "10.42.0.0/16", "SERVICE_CIDR": "10.43.0.0/16", "DISCORD_ITEM": "discord-webhook",
		"TIMEZONE": "Europe/Berlin", "ONEPASSWORD_VAULT": "Home Lab",
		"S3_ENDPOINT": "https://f037e56e89293a057740de681ac9abbe.r2.cloudflarestorage.com", "S3_REGION": "auto", "S3_BUCKET": "homelab-backup",
		"CLOUDFLARE_ACCOUNT_ID":  "f037e56e89293a057740de681ac9abbe",
		"CLOUDFLARE_TUNNEL_ID":   "6ff42ae2-765d-4adf-8112-31c55c1551ef",
		"CLOUDFLARE_ACCESS_TEAM": "home-example",
		"CLOUDFLARE_AUDIENCE":    "4714c1358e65fe4b408ad6d432a5f878f08194bdb4752441fd56faefa9b2b6f2",
		"OWNER_EMAIL":            "owner@example.org",
		"DOCS_URL":               "https://octocat.github.io/homelab",
	}
}

// TestCheck changes one or two values of a homelab, and holds everything that is then
// said against what should be.
func TestCheck(t *testing.T) {
	if list := Check(good()); len(list) > 0 {
		t.Fatalf("a homelab without mistakes: %v", list)
	}
	// The token's parts are apart, so that no scanner takes this file for a leak.
	const jwt = "eyJ" + "hIjoiZjAzN2U1NmU4OTI5M2EwNTc3NDBkZTY4MWFjOWFiYmUifQ"
	for _, tt := range []struct{ change, want string }{
		// The LAN.
		{"AGENT_1_IP=192.168.1.1", "node agent-1 has the address of the gateway 192.168.1.1"},
		{"AGENT_2_IP=192.168.1.12", "node agent-2 has the address of node agent-1 192.168.1.12"},
		{"SERVER_IP=192.168.1.5", "node server has the address of the Git host 192.168.1.5"},
		{"GIT_HOST_IP=192.168.1.1", "Git host has the address of the gateway 192.168.1.1"},
		{"AGENT_2_IP=192.168.2.13", "node agent-2 192.168.2.13 is not in the network 192.168.1.0/24"},
		{"LAN_GATEWAY=192.168.2.1", "gateway 192.168.2.1 is not in the network 192.168.1.0/24"},
		{"SERVER_IP=192.168.1.0", "node server 192.168.1.0 is the network 192.168.1.0/24 itself; its first machine has 192.168.1.1"},
		{"SERVER_IP=192.168.1.255", "node server 192.168.1.255 is the broadcast address of the network 192.168.1.0/24"},
		{"SERVER_IP=10.42.0.5", "node server 10.42.0.5 is in the pod network 10.42.0.0/16"},
		{"SERVER_IP=10.43.0.1", "node server 10.43.0.1 is in the service network 10.43.0.0/16"},
		{"SERVER_IP=192.168.1", `node server "192.168.1" is no IPv4 address; write it like 192.168.10.12`},
		{"SERVER_IP=192.168.001.011", `node server "192.168.001.011" is no IPv4 address; write it like 192.168.10.12`},
		{"SERVER_IP=192.168.1.11/24", `node server "192.168.1.11/24" is a network; write the address alone: 192.168.1.11`},
		{"SERVER_IP=192.168.1.11:6443", `node server "192.168.1.11:6443" has a port; write the address alone: 192.168.1.11`},
		{"SERVER_IP=fd00::11", `node server "fd00::11" is an IPv6 address; the blueprint's networks are IPv4`},
		{"LAN_CIDR=192.168.1.10/24", `network "192.168.1.10/24" is an address in a network; write the network: 192.168.1.0/24`},
		{"LAN_CIDR=192.168.1.1", `network "192.168.1.1" is no IPv4 network; write it like 192.168.10.0/24`},
		{"LAN_CIDR=203.0.113.0/24", `network "203.0.113.0/24" is not private; it must be in 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16, which network policies keep apps away from`},
		{"LAN_CIDR=192.168.1.0/30", `network "192.168.1.0/30" has room for 2 machines; five addresses are needed`},
		{"LAN_CIDR=fd00::/64", `network "fd00::/64" is an IPv6 network; the blueprint's networks are IPv4`},
		{"POD_CIDR=192.168.0.0/16", "pod network 192.168.0.0/16 overlaps the network 192.168.1.0/24; give k3s another one, such as 10.142.0.0/16|" +
			"Git host 192.168.1.5 is in the pod network 192.168.0.0/16|gateway 192.168.1.1 is in the pod network 192.168.0.0/16|" +
			"node server 192.168.1.11 is in the pod network 192.168.0.0/16|node agent-1 192.168.1.12 is in the pod network 192.168.0.0/16|" +
			"node agent-2 192.168.1.13 is in the pod network 192.168.0.0/16"},
		{"SERVICE_CIDR=10.42.128.0/17", "service network 10.42.128.0/17 overlaps the pod network 10.42.0.0/16"},
		{"POD_CIDR=10.42.0.0/24", `pod network "10.42.0.0/24" is too small: each of three nodes takes a /24 of it; use a /22 or larger`},
		{"SERVICE_CIDR=10.43.0.0/28", `service network "10.43.0.0/28" is too small: it has 16 addresses; use a /24 or larger`},

		// Names.
		{"DOMAIN=https://home.example.org/", `domain "https://home.example.org/" is an address; write the name alone: home.example.org`},
		{"DOMAIN=*.home.example.org", `domain "*.home.example.org" has a star; write the parent alone: home.example.org`},
		{"DOMAIN=home.example.org.", `domain "home.example.org." ends with a dot; write home.example.org`},
		{"DOMAIN=home", `domain "home" has no dot; write it like home.example.org`},
		{"DOMAIN=homelab.local", `domain "homelab.local" ends with .local, which is in no public DNS; use a domain that Cloudflare is authoritative for`},
		{"DOMAIN=Home.example.org", `domain "Home.example.org" has capital letters; write it in small ones`},
		{"DOMAIN=my_home.example.org", `domain "my_home.example.org" has an underscore, which a host name cannot have`},
		{"DOMAIN=-home.example.org", `domain "-home.example.org" has "-home" in it, which a host name cannot have`},
		{"DOMAIN=bücher.example", `domain "bücher.example" has letters beyond ASCII; write it as DNS does, beginning with xn--`},
		{"DOMAIN=home..org", `domain "home..org" has a dot too many`},
		{"DOMAIN=192.168.1.11", `domain "192.168.1.11" is the address of a machine; apps are reached by name`},
		{"DOMAIN=owner@example.org", `domain "owner@example.org" is no domain; write it like home.example.org`},
		{"DOMAIN=lab.example.com", `domain "lab.example.com" is the blueprint's placeholder`},
		{"DOMAIN=home.example.123", `domain "home.example.123" ends with a number; write it like home.example.org`},
		{"REGISTRY=https://registry.example.org/", `registry "https://registry.example.org/" has a scheme; images are named without one: registry.example.org`},
		{"REGISTRY=registry.example.org/homelab", `registry "registry.example.org/homelab" has a path; write the host alone: registry.example.org`},
		{"REGISTRY=registry", `registry "registry" has neither dot nor port; an image's name would be looked for at Docker Hub`},
		{"REGISTRY=registry.example.org:port", `registry "registry.example.org:port" has a port that is no number from 1 to 65535`},
		{"REGISTRY=Registry.example.org", `registry "Registry.example.org" has capital letters; write it in small ones`},

		// Git.
		{"GIT_URL=http://gitlab.example.org/a/b.git", `Git URL "http://gitlab.example.org/a/b.git" is not encrypted; write https://`},
		{"GIT_URL=git@gitlab.example.org:a/b.git", `Git URL "git@gitlab.example.org:a/b.git" is for SSH; write the HTTPS address, like https://gitlab.home.example.org/homelab/infra.git`},
		{"GIT_URL=ssh://git@gitlab.example.org/a/b.git", `Git URL "ssh://git@gitlab.example.org/a/b.git" is for SSH; write the HTTPS address, like https://gitlab.home.example.org/homelab/infra.git`},
		{"GIT_URL=gitlab.example.org/a/b.git", `Git URL "gitlab.example.org/a/b.git" is no https address; write it like https://gitlab.home.example.org/homelab/infra.git`},
		{"GIT_URL=https://owner:hunter2@gitlab.example.org/a/b.git", "Git URL looks like an address with credentials in it, and no secret may stand in Git: keep it in 1Password, and make a new one if this one was committed or typed on a command line"},
		{"GIT_URL=https://gitlab.example.org/", `Git URL "https://gitlab.example.org/" names no repository; write it like https://gitlab.home.example.org/homelab/infra.git`},
		{"GIT_URL=https://gitlab.example.org/a/b", `Git URL "https://gitlab.example.org/a/b" does not end with .git; write it as GitLab shows it under Code, Clone with HTTPS`},
		{"GIT_URL=https://gitlab.example.org//b.git", `Git URL "https://gitlab.example.org//b.git" has empty parts in its path`},
		{"GIT_URL=https://gitlab.example.org/a/b.git?ref=main", `Git URL "https://gitlab.example.org/a/b.git?ref=main" has a question mark or a hash in it; leave it and what follows out`},
		{"GIT_URL=https://git_lab.example.org/a/b.git", `Git URL "https://git_lab.example.org/a/b.git" has an underscore, which a host name cannot have`},

		// Time, 1Password.
		{"TIMEZONE=Europe/Berlim", `time zone "Europe/Berlim" is unknown; did you mean Europe/Berlin?`},
		{"TIMEZONE=berlin", `time zone "berlin" is unknown; did you mean Europe/Berlin?`},
		{"TIMEZONE=new york", `time zone "new york" is unknown; did you mean America/New_York?`},
		{"TIMEZONE=Mars/Olympus", `time zone "Mars/Olympus" is unknown; write it like Europe/Berlin (https://en.wikipedia.org/wiki/List_of_tz_database_time_zones)`},
		{"TIMEZONE=Local", `time zone "Local" is unknown; write it like Europe/Berlin (https://en.wikipedia.org/wiki/List_of_tz_database_time_zones)`},
		{"ONEPASSWORD_VAULT=home/lab", `1Password vault "home/lab" has a slash, which separates vault and item`},
		{"ONEPASSWORD_VAULT=op://lab/item", `1Password vault "op://lab/item" is a secret reference; write the name alone`},
		{"ONEPASSWORD_VAULT=lab!", `1Password vault "lab!" may have letters, digits, blanks, dots, hyphens and underscores, and begins and ends with a letter or digit`},
		{"ONEPASSWORD_VAULT=ops_eyJzaWduSW4", "1Password vault looks like the token of a 1Password service account, and no secret may stand in Git: keep it in 1Password, and make a new one if this one was committed or typed on a command line"},
		{"DOCS_URL=https://docs.home.example.org/", `address of the documentation "https://docs.home.example.org/" ends with a slash; write https://docs.home.example.org`},
		{"DISCORD_ITEM=https://discord.com/api/webhooks/1/x", "Discord item looks like the address of a Discord webhook, and no secret may stand in Git: keep it in 1Password, and make a new one if this one was committed or typed on a command line"},

		// S3.
		{"S3_ENDPOINT=http://s3.example.org", `S3 endpoint "http://s3.example.org" is not encrypted; write https://`},
		{"S3_ENDPOINT=https://s3.eu-central-1.amazonaws.com", `S3 region "auto" is another than that of the endpoint: eu-central-1`},
		{"S3_ENDPOINT=https://s3.eu-central-003.backblazeb2.com/homelab", `S3 endpoint "https://s3.eu-central-003.backblazeb2.com/homelab" has a path; the bucket is another answer: write https://s3.eu-central-003.backblazeb2.com`},
		{"S3_ENDPOINT=https://homelab.s3.eu-central-003.backblazeb2.com", `S3 endpoint "https://homelab.s3.eu-central-003.backblazeb2.com" is none of Backblaze B2; write it like https://s3.REGION.backblazeb2.com, without the bucket`},
		{"S3_ENDPOINT=https://r2.cloudflarestorage.com", `S3 endpoint "https://r2.cloudflarestorage.com" is none of Cloudflare R2; write it like https://ACCOUNT.r2.cloudflarestorage.com, without the bucket`},
		{"S3_REGION=weur", `S3 region "weur" is none of Cloudflare R2, which has one: auto`},
		{"S3_REGION=EU", `S3 region "EU" is no region; write it like eu-central-003, and auto for Cloudflare R2`},
		{"S3_BUCKET=Backup", `S3 bucket "Backup" may have small letters, digits and hyphens, and begins and ends with a letter or digit`},
		{"S3_BUCKET=ab", `S3 bucket "ab" has 2 characters; a bucket's name has 3 to 63`},
		{"S3_BUCKET=s3://backup", `S3 bucket "s3://backup" is an address; write the bucket's name alone`},
		{"S3_BUCKET=backup/homelab", `S3 bucket "backup/homelab" has a folder; write the bucket's name alone`},

		// Cloudflare.
		{"CLOUDFLARE_ACCOUNT_ID=f037e56e", `Cloudflare account "f037e56e" has 8 hexadecimal digits; 32 are needed`},
		{"CLOUDFLARE_ACCOUNT_ID=owner@example.org", `Cloudflare account "owner@example.org" must have 32 hexadecimal digits (0 to 9, a to f) and nothing else`},
		{"CLOUDFLARE_ACCOUNT_ID=F037E56E89293A057740DE681AC9ABBE", `Cloudflare account "F037E56E89293A057740DE681AC9ABBE" has capital letters; write it in small ones`},
		{"CLOUDFLARE_ACCOUNT_ID=11111111111111111111111111111111", `Cloudflare account "11111111111111111111111111111111" is one digit 32 times, which nobody has`},
		{"CLOUDFLARE_ACCOUNT_ID=00000000000000000000000000000000", `Cloudflare account "00000000000000000000000000000000" is the blueprint's placeholder`},
		{"CLOUDFLARE_ACCOUNT_ID=f037e56e89293a057740de681ac9abbe01234", "Cloudflare account looks like Cloudflare's global API key, a secret; the account's ID has 32 hexadecimal digits and is in the address of the dashboard"},
		{"CLOUDFLARE_ACCOUNT_ID=Abcdefghijklmnopqrstuvwxyz0123456789_-AB", "Cloudflare account looks like an API token of Cloudflare, and no secret may stand in Git: keep it in 1Password, and make a new one if this one was committed or typed on a command line"},
		{"CLOUDFLARE_TUNNEL_ID=homelab", "Cloudflare tunnel \"homelab\" is no UUID; `cloudflared tunnel list` shows it, like 6ff42ae2-765d-4adf-8112-31c55c1551ef"},
		{"CLOUDFLARE_TUNNEL_ID=" + jwt, "Cloudflare tunnel looks like a token, such as that of a tunnel or of 1Password Connect, and no secret may stand in Git: keep it in 1Password, and make a new one if this one was committed or typed on a command line"},
		{"CLOUDFLARE_ACCESS_TEAM=home.cloudflareaccess.com", `Access team "home.cloudflareaccess.com" is a host; write the team's name alone: home`},
		{"CLOUDFLARE_ACCESS_TEAM=https://home.cloudflareaccess.com", `Access team "https://home.cloudflareaccess.com" is an address; write the team's name alone: home`},
		{"CLOUDFLARE_ACCESS_TEAM=My Team", `Access team "My Team" may have small letters, digits and hyphens: what stands before .cloudflareaccess.com`},
		{"CLOUDFLARE_AUDIENCE=4714c1358e65", `Access audience "4714c1358e65" has 12 hexadecimal digits; 64 are needed`},

		// People.
		{"OWNER_EMAIL=owner", `owner's e-mail "owner" is no e-mail address`},
		{"OWNER_EMAIL=Owner <owner@example.org>", `owner's e-mail "Owner <owner@example.org>" has more than the address; write owner@example.org`},
		{"OWNER_EMAIL=owner@home", `owner's e-mail "owner@home" is no e-mail address that the Internet delivers to`},

		// Anything.
		{"DOMAIN=", "domain is empty"},
		{"DOMAIN= home.example.org", `domain " home.example.org" begins or ends with a blank`},
		{`DOMAIN="home.example.org"`, `domain "home.example.org" has quotes, which would be part of it; leave them out`},
		{"DOMAIN=${LAB_DOMAIN}", `domain "${LAB_DOMAIN}" is a variable; write the value itself`},
		{"DOMAIN=home.example.org # mine", `domain "home.example.org # mine" has a comment behind it, which would be part of the value; put it into a line of its own`},
		{"DOMAIN=home.example.org\x1b[31m", `domain "home.example.org\x1b[31m" has a character that cannot be seen`},
	} {
		t.Run(tt.change, func(t *testing.T) {
			values := good()
			name, value, _ := strings.Cut(tt.change, "=")
			values[name] = value
			var got []string
			for _, m := range Check(values) {
				got = append(got, m.Message)
			}
			want := strings.Split(tt.want, "|")
			if tt.change == "POD_CIDR=192.168.0.0/16" { // in the order of the table
				slices.Sort(want)
				slices.Sort(got)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("said (-want +got):\n%s", diff)
			}
		})
	}
}

// TestCheckAll: all mistakes are said at once, and what is missing too.
func TestCheckAll(t *testing.T) {
	var missing []string
	for _, m := range Check(nil) {
		if !m.Missing || m.Message != Lookup(m.Name).Words+" is missing" {
			t.Errorf("without values: %+v", m)
		}
		missing = append(missing, m.Name)
	}
	if diff := cmp.Diff(Names(), missing); diff != "" {
		t.Errorf("missing (-want +got):\n%s", diff)
	}
}

func TestPut(t *testing.T) {
	before := "# REQUIRED.\nDOMAIN=a\n\nGIT_URL=b\r\n#DOMAIN=c\nLAST=d"
	got, err := Put([]byte(before), map[string]string{"DOMAIN": "x=y", "LAST": "z", "GIT_URL": "u"})
	if err != nil || string(got) != "# REQUIRED.\nDOMAIN=x=y\n\nGIT_URL=u\r\n#DOMAIN=c\nLAST=z" {
		t.Errorf("Put() = %q, %v", got, err)
	}
	if _, err := Put([]byte(before), map[string]string{"TIMEZONE": "x"}); err == nil || err.Error() != File+" has no line for TIMEZONE" {
		t.Errorf("Put() of a new variable: %v", err)
	}
}

func TestParse(t *testing.T) {
	list, wrong := Parse([]byte("\uFEFFA=b\n  # c\n\nD = e\nF=\n  G=h\nI\n"))
	if diff := cmp.Diff([]Setting{{"A", "b", 1}, {"F", "", 5}}, list); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]Setting{{Name: "D = e", Line: 4}, {Name: "  G=h", Line: 6}, {Name: "I", Line: 7}}, wrong); diff != "" {
		t.Errorf("no settings (-want +got):\n%s", diff)
	}
}

func TestNearest(t *testing.T) {
	for name, want := range map[string]string{"DOMIAN": "DOMAIN", "domain": "DOMAIN", "AGENT1_IP": "AGENT_1_IP", "MEDIA_NFS": ""} {
		if got := Nearest(name); got != want {
			t.Errorf("Nearest(%s) = %q, want %q", name, got, want)
		}
	}
}

// TestZones: the list has no zone that Go does not know.
func TestZones(t *testing.T) {
	all := Zones()
	if len(all) < 500 || !slices.IsSorted(all) {
		t.Errorf("%d zones, or they are not sorted", len(all))
	}
	for _, z := range all {
		if _, err := time.LoadLocation(z); err != nil {
			t.Error(err)
		}
	}
}

// TestPatterns: a pattern, which is all that an editor knows, takes what the check takes.
func TestPatterns(t *testing.T) {
	values := good()
	for _, v := range Variables {
		if !regexp.MustCompile(v.Pattern).MatchString(values[v.Name]) || !regexp.MustCompile(v.Pattern).MatchString(v.Example) {
			t.Errorf("%s: %s does not take %q and %q", v.Name, v.Pattern, values[v.Name], v.Example)
		}
		if v.Meaning == "" || v.Words == "" {
			t.Errorf("%s is not explained", v.Name)
		}
	}
}

func TestSchema(t *testing.T) {
	s, _ := schematest.Compile(t, Schema())
	values := func(change map[string]string) map[string]any {
		all := map[string]any{}
		for k, v := range good() {
			all[k] = v
		}
		for k, v := range change {
			if all[k] = v; v == "" {
				delete(all, k)
			}
		}
		return all
	}
	if err := s.Validate(values(map[string]string{"MEDIA_NFS": "192.168.1.20"})); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]map[string]string{
		"missing": {"DOMAIN": ""}, "form": {"CLOUDFLARE_TUNNEL_ID": "homelab"}, "scheme": {"GIT_URL": "http://a.example/b.git"},
	} {
		if s.Validate(values(change)) == nil {
			t.Errorf("%s: the schema takes it", name)
		}
	}
}

// FuzzCheck: whatever a value is, the check ends, and says nothing of a secret's value.
func FuzzCheck(f *testing.F) {
	for _, v := range good() {
		f.Add(v)
	}
	for _, v := range []string{"", "https://a:b@c.d/e.git", "%", "::", "0.0.0.0/0", "\xff", "a@b", "https://[::1]/a.git", "https://"} {
		f.Add(v)
	}
	f.Fuzz(func(t *testing.T, value string) {
		for _, v := range Variables {
			m := v.Check(value)
			if m != nil && (!strings.HasPrefix(m.Message, v.Words+" ") || m.Name != v.Name) {
				t.Fatalf("%s=%q: %+v", v.Name, value, m)
			}
			if m != nil && Secret(value) != "" && len(value) > 12 && strings.Contains(m.Message, value) {
				t.Fatalf("%s=%q: the message repeats the secret", v.Name, value)
			}
			Check(map[string]string{v.Name: value})
		}
	})
}
