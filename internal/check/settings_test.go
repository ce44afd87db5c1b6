package check_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lumacore.dev/lumacore/internal/check"
	"lumacore.dev/lumacore/internal/check/checktest"
	"lumacore.dev/lumacore/internal/settings"
)

// TestSettings spoils the settings of a repository that is right, which is the rule's
// good example.
func TestSettings(t *testing.T) {
	var good string
	for _, r := range check.ConfigGate.Rules {
		if r.ID == "config/setting-wrong" {
			good = r.Good
		}
	}
	const head = settings.File + " --\n"
	for name, tt := range map[string]struct {
		edit func(string) string
		want []string
	}{
		"nothing": {func(s string) string { return s }, nil},
		"a repository that init did not make": {
			func(s string) string {
				_, rest, _ := strings.Cut(s, "-- cluster/")
				return "-- cluster/" + strings.Replace(rest, "DOMAIN=", "DOMIAN=", 1)
			}, nil,
		},
		"misspelt": {
			func(s string) string { return strings.Replace(s, "\nDOMAIN=", "\nDOMIAN=", 1) },
			[]string{"error " + settings.File + ": DOMAIN is missing: Parent domain of all apps: freshrss.<DOMAIN>. Cloudflare must be authoritative for it.", "error " + settings.File + ":3: there is no setting DOMIAN; did you mean DOMAIN?"},
		},
		"twice": {
			func(s string) string { return strings.Replace(s, head, head+"DOMAIN=home.example.net\n", 1) },
			[]string{"error " + settings.File + ":4: DOMAIN stands in line 1 already"},
		},
		"an owner's own that nothing uses": {
			func(s string) string { return s + "MEDIA_NFS=192.168.1.20\n" },
			[]string{"warning " + settings.File + ":24: there is no setting MEDIA_NFS, and nothing in the repository uses it as a variable"},
		},
		"an owner's own": {
			func(s string) string {
				return strings.Replace(s, "text: Welcome.", "text: Welcome to ${MEDIA_NFS}.", 1) + "MEDIA_NFS=192.168.1.20\n"
			}, nil,
		},
		"an owner's own with a name like one": {
			func(s string) string {
				return strings.Replace(s, "text: Welcome.", "text: Welcome to ${AGENT_3_IP}.", 1) + "AGENT_3_IP=192.168.1.14\n"
			}, nil,
		},
		"neither": {
			func(s string) string { return s + "  DOMAIN = x\n" },
			[]string{"error " + settings.File + ":24: the line is neither NAME=value nor a comment"},
		},
		"together": {
			func(s string) string { return strings.Replace(s, "=192.168.1.12", "=192.168.1.11", 1) },
			[]string{"error " + settings.File + ":8: AGENT_1_IP: node agent-1 has the address of node server 192.168.1.11"},
		},
		"placeholder": {
			func(s string) string { return strings.Replace(s, "=home-example", "=example", 1) },
			[]string{`warning ` + settings.File + `:19: CLOUDFLARE_ACCESS_TEAM: Access team "example" is the blueprint's placeholder`},
		},
		"no file": {
			func(s string) string { return strings.Replace(s, head, "elsewhere.env --\n", 1) },
			[]string{"error lumacore.yaml:4: the repository was made from the blueprint and has no " + settings.File},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, f := range checktest.Run(t, check.ConfigGate, tt.edit(good)).Findings {
				got = append(got, string(f.Severity)+" "+f.Location.String()+": "+f.Message)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
		})
	}
}
