package diff

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"lumacore.dev/lumacore/internal/report"
)

// summary lists the objects of a report and their changes.
func summary(r *Report) (out []string) {
	for _, o := range r.Objects {
		out = append(out, fmt.Sprintf("%s %s", o.Action, o.Object))
		for _, c := range o.Changes {
			for _, l := range c.lines() {
				s := l.text
				if l.sign != 0 {
					s = string(l.sign) + " " + s
				}
				out = append(out, "  "+s)
			}
		}
	}
	for _, f := range r.Folded {
		out = append(out, fmt.Sprintf("folded %s: %s", strings.Join(f.Fields, ", "), strings.Join(f.Objects, ", ")))
	}
	for _, n := range r.NotCompared {
		out = append(out, fmt.Sprintf("not compared at %s: %s (%d): %s", n.Side, n.Subject, n.Objects, n.Reason))
	}
	return out
}

func TestMatch(t *testing.T) {
	t.Parallel()
	const flux = "clusters/home/flux.yaml"
	generator := func(value string) map[string]string {
		return map[string]string{"apps/kustomization.yaml": `resources: [anchor.yaml, pod.yaml]
configMapGenerator:
  - {name: settings, namespace: a, literals: ["x=` + value + `"]}
`, "apps/pod.yaml": `apiVersion: v1
kind: Pod
metadata: {name: p, namespace: a}
spec: {containers: [{name: c, image: a, envFrom: [{configMapRef: {name: settings}}]}]}
`}
	}
	config := func(version, name, data string) string {
		return "apiVersion: " + version + "\nkind: Deployment\nmetadata: {name: " + name + ", namespace: a}\nspec: {x: " + data + "}\n"
	}
	child := strings.NewReplacer("name: apps", "name: child", "./apps", "./child").Replace(kustomization())
	childObject := map[string]string{"objects.yaml": child, "child/o.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: o, namespace: a}\n"}
	broken := func(m map[string]string) map[string]string {
		m["apps/kustomization.yaml"] = "resources: [missing.yaml]\n"
		return m
	}
	const missing = `not compared at head: Kustomization flux-system/apps (0): resources: "missing.yaml" is neither a file nor a folder of the repository`
	const alone = "its objects are known at base alone, so that they can be taken neither for new nor for gone"
	for title, tt := range map[string]struct {
		base, head map[string]string
		want       []string
	}{
		"another file":    {map[string]string{"apps/a.yaml": config("apps/v1", "x", "1")}, map[string]string{"apps/b.yaml": "# moved\n" + config("apps/v1", "x", "1")}, nil},
		"another version": {map[string]string{"apps/a.yaml": config("apps/v1beta1", "x", "1")}, map[string]string{"apps/a.yaml": config("apps/v1", "x", "1")}, []string{"changed Deployment a/x", "  apiVersion: apps/v1beta1 → apps/v1"}},
		"another group":   {map[string]string{"apps/a.yaml": config("extensions/v1beta1", "x", "1")}, map[string]string{"apps/a.yaml": config("apps/v1", "x", "1")}, []string{"added Deployment a/x", "removed Deployment a/x"}},
		"another name":    {map[string]string{"apps/a.yaml": config("apps/v1", "x", "1")}, map[string]string{"apps/a.yaml": config("apps/v1", "y", "1")}, []string{"removed Deployment a/x", "added Deployment a/y"}},
		"another hash": {generator("1"), generator("2"), []string{
			"changed ConfigMap a/settings-mkfk89m46h", `  data.x: "1" → "2"`, "folded names of generated ConfigMaps and Secrets: Pod a/p",
		}},
		"it does not build": {childObject, broken(map[string]string{}), []string{
			"not compared at head: Kustomization flux-system/apps (3): " + alone, missing,
		}},
		"its parent does not build": {childObject, broken(map[string]string{"child/o.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: o, namespace: a}\n"}), []string{
			"not compared at head: Kustomization flux-system/apps (3): " + alone, missing,
		}},
		"its spec cannot be read": {nil, map[string]string{flux: strings.Replace(kustomization(), "prune: true", "prune: [x]", 1)}, nil},
		"it moves to a cluster":   {nil, map[string]string{flux: "", "clusters/other/flux.yaml": kustomization()}, []string{"removed ConfigMap a/anchor", "removed Kustomization flux-system/apps", "added ConfigMap a/anchor", "added Kustomization flux-system/apps"}},
	} {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			r := of(t, tt.base, tt.head)
			got := summary(r)
			if title == "its spec cannot be read" {
				for _, s := range got {
					if strings.HasPrefix(s, "removed") {
						t.Errorf("%s", s)
					}
				}
				if r.Certain() {
					t.Error("it is compared")
				}
				return
			}
			for i := range got { // hashes are kustomize's
				if stem, ok := strings.CutPrefix(got[i], "changed ConfigMap a/settings-"); ok && len(stem) == 10 {
					got[i] = "changed ConfigMap a/settings-mkfk89m46h"
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestSecrets: no value of a Secret is in any form of a report.
func TestSecrets(t *testing.T) {
	t.Parallel()
	files := func(password, sealed, plain string) map[string]string {
		return map[string]string{
			"clusters/home/flux.yaml": kustomization("  decryption: {provider: sops}\n  postBuild: {substituteFrom: [{kind: Secret, name: vars}]}\n"),
			"clusters/home/vars.yaml": "apiVersion: v1\nkind: Secret\nmetadata: {name: vars, namespace: flux-system}\nstringData: {PASSWORD: " + password + "}\n",
			"objects.yaml": `apiVersion: v1
kind: ConfigMap
metadata: {name: uses, namespace: a}
data:
  url: "postgres://user:${PASSWORD}@db"
  file: |
    one
    password=${PASSWORD}
    plain=` + plain + `
---
apiVersion: v1
kind: Secret
metadata: {name: direct, namespace: a, annotations: {note: "it is ` + password + `"}}
data: {token: dG9w` + map[string]string{"first": "c2VjcmV0MQ==", "second": "c2VjcmV0Mg=="}[plain] + `}
---
apiVersion: v1
kind: Secret
metadata: {name: sealed, namespace: a}
stringData: {key: "ENC[AES256_GCM,data:` + sealed + `,type:str]", same: "ENC[AES256_GCM,data:same,type:str]"}
sops: {mac: "ENC[AES256_GCM,data:mac,type:str]"}
---
apiVersion: v1
kind: Secret
metadata: {name: ` + plain + `, namespace: a}
stringData: {password: ` + password + `}
`,
		}
	}
	r := of(t, files("hunter2-hunter2", "AAAA", "first"), files("correct-horse", "BBBB", "second"))
	for _, f := range formats {
		got := write(t, r, f)
		for _, secret := range []string{"hunter2", "correct-horse", "dG9wc2VjcmV0", "topsecret", "AAAA", "BBBB"} {
			if strings.Contains(got, secret) {
				t.Errorf("%s shows %s", f, secret)
			}
		}
	}
	want := []string{
		"changed ConfigMap a/uses",
		"  data.file:",
		"  @@ -1,3 +1,3 @@",
		"   one",
		"   password=(secret)",
		"  - plain=first",
		"  + plain=second",
		"  data.url: changed (not shown: holds a value of a Secret)",
		"changed Secret a/direct",
		"  data.token: changed (not shown: a value of a Secret)",
		"  metadata.annotations.note: changed (not shown: holds a value of a Secret)",
		"removed Secret a/first",
		"changed Secret a/sealed",
		"  stringData.key: changed (not shown: encrypted: changed, or encrypted anew)",
		"added Secret a/second",
		"changed Secret flux-system/vars",
		"  stringData.PASSWORD: changed (not shown: a value of a Secret)",
	}
	if diff := cmp.Diff(want, summary(r)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestStandIns: where only the cluster has a value, what stands in for it is not shown
// as if it were the value.
func TestStandIns(t *testing.T) {
	t.Parallel()
	files := func(value string) map[string]string {
		return map[string]string{
			"clusters/home/flux.yaml": kustomization("  postBuild: {substituteFrom: [{kind: Secret, name: vars}]}\n"),
			"clusters/home/vars.yaml": "apiVersion: onepassword.com/v1\nkind: OnePasswordItem\nmetadata: {name: vars, namespace: flux-system}\nspec: {itemPath: a}\n",
			"objects.yaml":            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c, namespace: a}\ndata: {host: \"" + value + "\", other: x}\n",
		}
	}
	want := []string{"changed ConfigMap a/c", "  data.host: changed (not shown: only the cluster has the value)"}
	if diff := cmp.Diff(want, summary(of(t, files("plain"), files("${DOMAIN}")))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestHostile: what stands in a repository does nothing to a terminal, a CI system or
// a merge request, and a note is never too long.
func TestHostile(t *testing.T) {
	t.Parallel()
	const evil = "\\u001b[31m\\u202e\\n::error::x\\n```\\n</code></details><script>@everyone | [x](http://e.example) ##[command]`"
	file := func(value string) string {
		return `apiVersion: v1
kind: ConfigMap
metadata: {name: evil, namespace: a, labels: {"@all|<b>` + "``````" + `": "x"}}
data: {"<img>@someone": "` + value + evil + `", text: "` + strings.Repeat(evil, 3) + value + `"}
---
apiVersion: v1
kind: Pod
metadata: {name: "` + value + `@here|` + "`" + `<i>", namespace: a}
spec: {containers: [{name: "</code>", image: "@everyone/` + value + `:<1>|"}]}
`
	}
	r := of(t, map[string]string{"objects.yaml": file("one")}, map[string]string{"objects.yaml": file("two")})
	for _, f := range []report.Format{report.Text, report.Markdown} {
		got := write(t, r, f)
		for l := range strings.Lines(got) {
			for _, c := range strings.TrimSuffix(l, "\n") {
				if !unicode.IsPrint(c) {
					t.Errorf("%s: %U in %q", f, c, l)
				}
			}
			if s := strings.TrimLeft(l, " +-"); strings.HasPrefix(s, "::") || strings.Contains(s, "##[") {
				t.Errorf("%s: a command of a CI system: %q", f, l)
			}
		}
		if f != report.Markdown {
			continue
		}
		outside, fenced := []string{}, ""
		for l := range strings.Lines(got) {
			l = strings.TrimSuffix(l, "\n")
			ticks := l[:len(l)-len(strings.TrimLeft(l, "`"))]
			switch {
			case fenced == "" && len(ticks) >= 3:
				fenced = ticks
			case fenced != "" && len(ticks) >= len(fenced) && strings.TrimRight(l, "`") == "":
				fenced = ""
			case fenced == "":
				outside = append(outside, l)
			}
		}
		if fenced != "" {
			t.Errorf("a fence is open at the end")
		}
		for _, bad := range []string{"@", "<script", "<b>", "<i>", "<img", "`", "[x]("} {
			if slices.ContainsFunc(outside, func(l string) bool { return strings.Contains(l, bad) }) {
				t.Errorf("%q stands outside of code in\n%s", bad, strings.Join(outside, "\n"))
			}
		}
	}
	var many strings.Builder
	for i := range 400 {
		fmt.Fprintf(&many, "---\napiVersion: v1\nkind: Pod\nmetadata: {name: %q, namespace: a}\nspec: {hostNetwork: true, containers: [{name: c, image: \"%s:%d\"}], x: %q}\n",
			strings.Repeat("`|", 100)+fmt.Sprint(i), strings.Repeat("@<", 200), i, strings.Repeat("`\n", 3000))
	}
	r = of(t, nil, map[string]string{"objects.yaml": many.String()})
	got := write(t, r, report.Markdown)
	if len(got) > MostMarkdown || !strings.Contains(got, "**Cut here**: ") || !strings.HasPrefix(got, Marker+"\n") {
		t.Errorf("%d bytes:\n%.300s", len(got), got)
	}
	for l := range strings.Lines(write(t, r, report.Text)) {
		if len(l) > 4*mostLine {
			t.Errorf("a line of %d bytes", len(l))
		}
	}
}

func TestVersions(t *testing.T) {
	t.Parallel()
	const digest, other = "@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "@sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
	for _, tt := range []struct{ old, new, want string }{
		{"a:1.2.3", "a:2.0.0", "major a 1.2.3 → 2.0.0"},
		{"a:v1.2", "a:v1.3", "minor a v1.2 → v1.3"},
		{"a:1.2.3", "a:1.2.4" + digest, "patch a 1.2.3 → 1.2.4@sha256:aaaaaaaaaaaa"},
		{"a:1.2.4", "a:1.2.3", "patch, downgrade a 1.2.4 → 1.2.3"},
		{"a:1.25.3-alpine", "a:1.26.0-alpine", "minor a 1.25.3-alpine → 1.26.0-alpine"},
		{"a:1.0.0-rc.1", "a:1.0.0", "prerelease a 1.0.0-rc.1 → 1.0.0"},
		{"a:1.0.0" + digest, "a:1.0.0" + other, "digest a 1.0.0@sha256:aaaaaaaaaaaa → 1.0.0@sha256:bbbbbbbbbbbb"},
		{"a:1.0.0", "a:1.0.0" + digest, "digest a 1.0.0 → 1.0.0@sha256:aaaaaaaaaaaa"},
		{"a", "a:1.0.0", "other a latest → 1.0.0"},
		{"a:main", "a:1.0.0", "other a main → 1.0.0"},
		{"reg:5000/a:1.0.0", "other/a:1.0.0", "other reg:5000/a → other/a 1.0.0 → 1.0.0"},
		{"", "reg:5000/a", "new reg:5000/a latest"},
		{"a:1", "", "gone a 1"},
		{"@", ":", "other @ → : latest → latest"}, // no references at all
	} {
		v := imageUpdate(tt.old, tt.new)
		if got := strings.TrimSpace(v.update() + " " + v.Name + " " + v.change()); !strings.HasPrefix(got, strings.TrimSpace(tt.want)) {
			t.Errorf("%q to %q: %q, want %q", tt.old, tt.new, got, tt.want)
		}
	}
}
