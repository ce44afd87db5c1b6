package homelab

import (
	"net/netip"
	"slices"
	"strings"

	"lumacore.dev/lumacore/internal/settings"
)

// Question is one thing that an owner is asked.
type Question struct {
	Key     string // in a file of answers: "agent1"
	Flag    string // of the command line: "agent-1"
	Setting string // the variable of settings.env that the answer goes into; "" for none
	Group   string // what it is about, for the prompt
	Words   string // what it is, in a sentence
	Meaning string // for the flag's help, the sample and the schema; without a full stop
	Example string // an answer of the right form

	// Default holds without being asked; "" if the owner has to say it. It may depend on
	// other answers, which are given by key.
	Default func(is Values) string
	// Suggest is what a prompt shows in brackets, besides the default.
	Suggest func(is Values) string
	// Optional questions may stay without an answer.
	Optional bool

	check func(value string) string // of one without a setting
}

// Values are answers, by key.
type Values map[string]string

// always is a default that depends on nothing.
func always(value string) func(Values) string { return func(Values) string { return value } }

// Groups of questions.
const (
	groupNetwork    = "Network"
	groupGit        = "Git and images"
	groupCloudflare = "Cloudflare"
	groupBackups    = "Backups"
	groupSecrets    = "Secrets: only where they are, never what they are"
	groupYou        = "You"
)

// Questions are all questions, in the order in which they are asked.
var Questions = named([]Question{
	{
		Key: "domain", Flag: "domain", Setting: "DOMAIN", Group: groupNetwork, Example: "home.example.org",
		Meaning: "parent domain of all apps; Cloudflare must be authoritative for it",
	},
	{
		Key: "network", Flag: "network", Setting: "LAN_CIDR", Group: groupNetwork, Example: "192.168.1.0/24",
		Meaning: "the LAN that the machines are in",
	},
	{
		Key: "gateway", Flag: "gateway", Setting: "LAN_GATEWAY", Group: groupNetwork, Example: "192.168.1.1",
		Meaning: "address of the LAN's router", Suggest: firstAddress,
	},
	{
		Key: "server", Flag: "server", Setting: "SERVER_IP", Group: groupNetwork, Example: "192.168.1.11",
		Meaning: "address of node server, which runs the k3s control plane",
	},
	{
		Key: "agent1", Flag: "agent-1", Setting: "AGENT_1_IP", Group: groupNetwork, Example: "192.168.1.12",
		Meaning: "address of node agent-1", Suggest: after("server"),
	},
	{
		Key: "agent2", Flag: "agent-2", Setting: "AGENT_2_IP", Group: groupNetwork, Example: "192.168.1.13",
		Meaning: "address of node agent-2", Suggest: after("agent1"),
	},
	{
		Key: "podNetwork", Flag: "pod-network", Setting: "POD_CIDR", Group: groupNetwork, Example: "10.42.0.0/16",
		Meaning: "network of the pods; another one only if this is in use at home", Default: always("10.42.0.0/16"),
	},
	{
		Key: "serviceNetwork", Flag: "service-network", Setting: "SERVICE_CIDR", Group: groupNetwork, Example: "10.43.0.0/16",
		Meaning: "network of the services; another one only if this is in use at home", Default: always("10.43.0.0/16"),
	},
	{
		Key: "timeZone", Flag: "time-zone", Setting: "TIMEZONE", Group: groupNetwork, Example: "Europe/Berlin",
		Meaning: "time zone of apps and schedules, as in the tz database", Default: always("Etc/UTC"),
	},
	{
		Key: "gitUrl", Flag: "git-url", Setting: "GIT_URL", Group: groupGit, Example: "https://gitlab.home.example.org/homelab/infra.git",
		Meaning: "HTTPS address that this repository will have in your GitLab, without credentials",
		Suggest: of("domain", "https://gitlab.", "/homelab/infra.git"),
	},
	{
		Key: "gitHost", Flag: "git-host", Setting: "GIT_HOST_IP", Group: groupGit, Example: "192.168.1.5",
		Meaning: "address of the machine that runs GitLab and its registry, on the LAN",
	},
	{
		Key: "registry", Flag: "registry", Setting: "REGISTRY", Group: groupGit, Example: "registry.home.example.org",
		Meaning: "host, and port if need be, of the registry for your own images",
		Suggest: of("domain", "registry.", ""),
	},
	{
		Key: "cloudflareAccount", Flag: "cloudflare-account", Setting: "CLOUDFLARE_ACCOUNT_ID", Group: groupCloudflare, Example: "f037e56e89293a057740de681ac9abbe",
		Meaning: "ID of the account, 32 hexadecimal digits, in the address of the dashboard",
	},
	{
		Key: "cloudflareTunnel", Flag: "cloudflare-tunnel", Setting: "CLOUDFLARE_TUNNEL_ID", Group: groupCloudflare, Example: "6ff42ae2-765d-4adf-8112-31c55c1551ef",
		Meaning: "UUID of the tunnel, as `cloudflared tunnel list` shows it",
	},
	{
		Key: "accessTeam", Flag: "access-team", Setting: "CLOUDFLARE_ACCESS_TEAM", Group: groupCloudflare, Example: "home-example",
		Meaning: "team name of Cloudflare Access, as in TEAM.cloudflareaccess.com",
	},
	{
		Key: "accessAudience", Flag: "access-audience", Setting: "CLOUDFLARE_AUDIENCE", Group: groupCloudflare,
		Example: "4714c1358e65fe4b408ad6d432a5f878f08194bdb4752441fd56faefa9b2b6f2",
		Meaning: "audience tag (AUD) of the Access application for your apps, 64 hexadecimal digits",
	},
	{
		Key: "s3Provider", Flag: "s3-provider", Group: groupBackups, Words: "S3 provider", Example: settings.B2,
		Meaning: "where backups go: r2 (Cloudflare), b2 (Backblaze) or aws",
		Default: func(is Values) string { return settings.Provider(is["s3Endpoint"]) }, check: oneOf(settings.Providers),
	},
	{
		Key: "s3Region", Flag: "s3-region", Setting: "S3_REGION", Group: groupBackups, Example: "eu-central-003",
		Meaning: "region of the storage; auto for r2",
		Default: func(is Values) string {
			if is["s3Provider"] == settings.R2 {
				return "auto"
			}
			return settings.Region(is["s3Endpoint"])
		},
	},
	{
		Key: "s3Endpoint", Flag: "s3-endpoint", Setting: "S3_ENDPOINT", Group: groupBackups, Example: "https://s3.eu-central-003.backblazeb2.com",
		Meaning: "address of the storage, without the bucket; follows from provider, region and account",
		Default: func(is Values) string {
			return settings.Endpoint(is["s3Provider"], is["s3Region"], is["cloudflareAccount"])
		},
	},
	{
		Key: "s3Bucket", Flag: "s3-bucket", Setting: "S3_BUCKET", Group: groupBackups, Example: "homelab-backup",
		Meaning: "bucket for backups",
	},
	{
		Key: "vault", Flag: "vault", Setting: "ONEPASSWORD_VAULT", Group: groupSecrets, Example: "lumacore",
		Meaning: "name of the 1Password vault that holds the secrets of this cluster", Default: always("lumacore"),
	},
	{
		Key: "discordItem", Flag: "discord-item", Setting: "DISCORD_ITEM", Group: groupSecrets, Example: "discord-webhook",
		Meaning: "name of the 1Password item with the Discord webhook that alerts go to", Default: always("discord-webhook"),
	},
	{
		Key: "ownerEmail", Flag: "owner-email", Setting: "OWNER_EMAIL", Group: groupYou, Example: "owner@example.org",
		Meaning: "your e-mail, as Cloudflare Access and the Flux web UI know you",
	},
	{
		Key: "docsUrl", Flag: "docs-url", Setting: "DOCS_URL", Group: groupYou, Example: "https://docs.home.example.org",
		Meaning: "where the site of docs/ will be published, such as GitHub Pages under a name of yours; alerts link to it",
		Default: of("domain", "https://docs.", ""),
	},
	{
		Key: "publicName", Flag: "public-name", Group: groupYou, Words: "public name", Example: "octocat", Optional: true,
		Meaning: "name under which the public mirror is committed; without one there is no public identity", check: publicName,
	},
	{
		Key: "publicEmail", Flag: "public-email", Group: groupYou, Words: "public e-mail", Example: "583231+octocat@users.noreply.github.com", Optional: true,
		Meaning: "e-mail under which the public mirror is committed: strangers see it, so it is not yours", check: settings.Email,
	},
})

// named gives questions about settings the words of those.
func named(list []Question) []Question {
	for i := range list {
		if v := settings.Lookup(list[i].Setting); v != nil {
			list[i].Words = v.Words
		}
	}
	return list
}

// Lookup returns a question by its key, or nil.
func Lookup(key string) *Question {
	for i := range Questions {
		if Questions[i].Key == key {
			return &Questions[i]
		}
	}
	return nil
}

// keys are the keys of all questions.
func keys() []string {
	list := make([]string, len(Questions))
	for i, q := range Questions {
		list[i] = q.Key
	}
	return list
}

// suggestion is what a prompt shows in brackets.
func (q *Question) suggestion(is Values) string {
	if q.Default != nil {
		if d := q.Default(is); d != "" {
			return d
		}
	}
	if q.Suggest != nil {
		return q.Suggest(is)
	}
	return ""
}

// firstAddress is the address that most routers have.
func firstAddress(is Values) string {
	if p, err := netip.ParsePrefix(is["network"]); err == nil {
		return p.Masked().Addr().Next().String()
	}
	return ""
}

// after is the next address that nobody has.
func after(key string) func(Values) string {
	return func(is Values) string {
		a, err := netip.ParseAddr(is[key])
		if err != nil {
			return ""
		}
		taken := []string{is["gateway"], is["gitHost"], is["server"], is["agent1"], is["agent2"]}
		for a = a.Next(); slices.Contains(taken, a.String()); {
			a = a.Next()
		}
		return a.String()
	}
}

// of is made from another answer.
func of(key, before, behind string) func(Values) string {
	return func(is Values) string {
		if is[key] == "" {
			return ""
		}
		return before + is[key] + behind
	}
}

func oneOf(words []string) func(string) string {
	return func(value string) string {
		if slices.Contains(words, value) {
			return ""
		}
		return quote(value) + " is none of " + strings.Join(words[:len(words)-1], ", ") + " and " + words[len(words)-1]
	}
}

func publicName(value string) string {
	switch {
	case strings.ContainsAny(value, "<>@"):
		return quote(value) + " has a character that a name in Git cannot have; the e-mail is another answer"
	case len(value) > 100:
		return "has more than 100 characters"
	}
	return ""
}
