package check

import (
	"bytes"
	"cmp"
	"errors"
	"io/fs"
	"regexp"

	"lumacore.dev/lumacore/internal/report"
	"lumacore.dev/lumacore/internal/settings"
)

// The rules about settings.env, of [ConfigGate].
const (
	ruleSetting     = "config/setting-wrong"
	rulePlaceholder = "config/setting-placeholder"
)

var settingRules = []report.Rule{
	{
		ID:       ruleSetting,
		Title:    "a setting of the cluster that is missing, misspelt, or no value of its kind",
		Severity: report.Error,
		Why:      "Everything in the repository takes its addresses and names from " + settings.File + ". A wrong one builds, and then nothing is reached; two that contradict each other, such as a node with the address of the gateway, take a network down. Only repositories that `lumacore init` made are looked at.",
		Fix:      "Correct the line; the comment above it says what it is. A variable of your own may stand there too, once something uses it.",
		Link:     "https://fluxcd.io/flux/components/kustomize/kustomizations/#post-build-variable-substitution",
		Bad:      withSettings("AGENT_1_IP", "192.168.1.1"),
		Good:     withSettings("AGENT_1_IP", "192.168.1.12"),
	},
	{
		ID:       rulePlaceholder,
		Title:    "a setting that still has the placeholder of the blueprint",
		Severity: report.Warning,
		Why:      "The value belongs to nobody. What takes it, such as the tunnel or the links to your apps, cannot work.",
		Fix:      "Write your own value.",
		Link:     "https://fluxcd.io/flux/components/kustomize/kustomizations/#post-build-variable-substitution",
		Bad:      withSettings("OWNER_EMAIL", "owner@example.com"),
		Good:     withSettings("OWNER_EMAIL", "owner@example.org"),
	},
}

// withSettings is an example with the settings of a cluster, one of which has this value.
func withSettings(name, value string) string {
	values := map[string]string{
		"GIT_URL": "https://gitlab.home.example.org/homelab/infra.git", "GIT_HOST_IP": "192.168.1.5",
		"DOMAIN": "home.example.org", "REGISTRY": "registry.home.example.org",
		"LAN_CIDR": "192.168.1.0/24", "LAN_GATEWAY": "192.168.1.1",
		"SERVER_IP": "192.168.1.11", "AGENT_1_IP": "192.168.1.12", "AGENT_2_IP": "192.168.1.13",
		"CLOUDFLARE_ACCOUNT_ID":  "f037e56e89293a057740de681ac9abbe",
		"CLOUDFLARE_TUNNEL_ID":   "6ff42ae2-765d-4adf-8112-31c55c1551ef",
		"CLOUDFLARE_ACCESS_TEAM": "home-example",
		"CLOUDFLARE_AUDIENCE":    "4714c1358e65fe4b408ad6d432a5f878f08194bdb4752441fd56faefa9b2b6f2",
		"OWNER_EMAIL":            "owner@example.org",
	}
	values[name] = value
	text := `-- lumacore.yaml --
apiVersion: lumacore.dev/v1alpha1
kind: Config
blueprint:
  version: v0.3.0
  digest: sha256:9f2c1d5e0b7a4c836d1e2f3a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e
-- cluster/configmap.yaml --
apiVersion: v1
kind: ConfigMap
metadata:
  name: welcome
data:
  text: Welcome.
-- ` + settings.File + " --\n"
	for _, v := range settings.Variables {
		switch own := values[v.Name]; {
		case own != "":
			text += v.Name + "=" + own + "\n"
		default:
			text += v.Name + "=" + v.Example + "\n"
		}
	}
	return text
}

// checkSettings holds settings.env against the variables that the blueprint knows, in a
// repository that was made from it.
func checkSettings(in *Input, out *Reporter) {
	if in.Config.Blueprint == nil || in.Tree == nil {
		return
	}
	data, err := in.Tree.ReadFile(settings.File)
	if errors.Is(err, fs.ErrNotExist) {
		out.File(ruleSetting, in.Config.Blueprint.Location, "the repository was made from the blueprint and has no %s", settings.File)
		return
	}
	if err != nil {
		out.Unchecked(report.Unchecked{Subject: settings.File, Reason: err.Error(), Location: report.Location{File: settings.File}})
		return
	}
	at := func(line int) report.Location { return report.Location{File: settings.File, Line: line} }
	list, wrong := settings.Parse(data)
	for _, w := range wrong {
		out.File(ruleSetting, at(w.Line), "the line is neither NAME=value nor a comment")
	}
	values, lines := map[string]string{}, map[string]int{}
	var unknown []settings.Setting
	for _, s := range list {
		if lines[s.Name] > 0 {
			out.File(ruleSetting, at(s.Line), "%s stands in line %d already", s.Name, lines[s.Name])
			continue
		}
		values[s.Name], lines[s.Name] = s.Value, s.Line
		if settings.Lookup(s.Name) == nil {
			unknown = append(unknown, s)
		}
	}
	for _, s := range unknown {
		if usesSetting(in, s.Name) {
			continue // an owner's own
		}
		if near := settings.Nearest(s.Name); near != "" {
			out.File(ruleSetting, at(s.Line), "there is no setting %s; did you mean %s?", s.Name, near)
			continue
		}
		out.Add(report.Finding{
			Rule: ruleSetting, Severity: report.Warning, Location: at(s.Line),
			Message: "there is no setting " + s.Name + ", and nothing in the repository uses it as a variable",
			Fix:     "Take the line out, or use it: ${" + s.Name + "}.",
		})
	}
	for _, m := range settings.Check(values) {
		where := at(lines[m.Name])
		switch {
		case m.Missing:
			v := settings.Lookup(m.Name)
			out.Add(report.Finding{
				Rule: ruleSetting, Location: at(0), Message: m.Name + " is missing: " + v.Meaning,
				Fix: "Add the line " + m.Name + "=" + cmp.Or(v.Default, "…") + "; the blueprint's file has one with a comment.",
			})
		case m.Left:
			out.File(rulePlaceholder, where, "%s: %s", m.Name, m.Message)
		default:
			out.File(ruleSetting, where, "%s: %s", m.Name, m.Message)
		}
	}
}

// usesSetting tells whether a file of the repository takes a variable: by substitution,
// or by a replacement of kustomize.
func usesSetting(in *Input, name string) bool {
	use := regexp.MustCompile(`\$\{` + name + `\b|\bdata\.` + name + `\b`)
	for _, file := range in.Tree.Files() {
		if file == settings.File {
			continue
		}
		if data, err := in.Tree.ReadFile(file); err == nil && bytes.Contains(data, []byte(name)) && use.Match(data) {
			return true
		}
	}
	return false
}
