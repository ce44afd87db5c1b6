package mirror

import (
	"strings"
	"testing"

	"lumacore.dev/lumacore/internal/config"
)

func TestRules(t *testing.T) {
	t.Parallel()
	r := NewRules(&config.Mirror{
		Withhold: []string{"docs/drafts", "*.draft.md", "/clusters/lumacore/secret.yaml", "apps/{a,b}/*.yaml"}, Executables: []string{"apps/*/run.sh"},
	})
	for _, test := range []struct {
		path, mode string
		want       Verdict
		rule       string
	}{
		{"apps/web/deployment.yaml", "100644", Published, "mirror.publish: apps/**"},
		{"mkdocs.yml", "100644", Published, "mirror.publish: mkdocs.yml"},
		{"sub/mkdocs.yml", "100644", Withheld, "not in mirror.publish"},
		{"docs/drafts/a/b.md", "100644", Withheld, "mirror.withhold[0]: docs/drafts"},
		{"docs/Drafts/a.md", "100644", Withheld, "mirror.withhold[0]: docs/drafts"},
		{"docs/drafts.md", "100644", Published, "mirror.publish: docs/**"},
		{"docs/deep/x.DRAFT.md", "100644", Withheld, "mirror.withhold[1]: *.draft.md"},
		{"clusters/lumacore/secret.yaml", "100644", Withheld, "mirror.withhold[2]: /clusters/lumacore/secret.yaml"},
		{"apps/a/x.yaml", "100644", Withheld, "mirror.withhold[3]: apps/{a,b}/*.yaml"},
		{"apps/c/x.yaml", "100644", Published, "mirror.publish: apps/**"},
		{"lumacore.yaml", "100644", Withheld, "never published: lumacore.yaml"},
		{"docs/terraform.tfstate.backup", "100644", Withheld, "never published: **/*.tfstate.*"},
		{"apps/web/id_ed25519.pub", "100644", Withheld, "never published: **/id_ed25519*"},
		{"apps/web/.env", "100644", Withheld, "never published: **/.env"},
		{"apps/web/run.sh", "100755", Published, "mirror.publish: apps/**"},
		{"apps/web/other.sh", "100755", Refused, "it is executable, and not in mirror.executables"},
		{"apps/web/link", "120000", Refused, "it is a symbolic link: nobody sees from its name what it shows"},
		{"hosts/link", "120000", Withheld, "not in mirror.publish"},
		{"apps/sub", "160000", Refused, "it is a submodule: its content is in another repository"},
		{"apps/a\nb.yaml", "100644", Refused, "its name has characters that cannot be seen"},
		{"apps/a:b.yaml", "100644", Refused, "its name has characters that not every system can have in a name"},
		{"apps/.GIT/config", "100644", Withheld, "never published: **/.git/**"},
		{"apps/git~1/config", "100644", Refused, "its name is one that Git or a file system treats as another"},
		{"apps/a./b", "100644", Refused, "its name is one that Git or a file system treats as another"},
		{"apps/\xff", "100644", Refused, "its name is no UTF-8"},
	} {
		d := r.entry(entry{path: test.path, mode: test.mode})
		if d.Verdict != test.want || d.Rule != test.rule {
			t.Errorf("%q %s: %s: %s, want %s: %s", test.path, test.mode, d.Verdict, d.Rule, test.want, test.rule)
		}
	}
}

// TestDigest: other rules have another digest, and the same rules the same.
func TestDigest(t *testing.T) {
	t.Parallel()
	seen := map[string]string{}
	for name, m := range map[string]*config.Mirror{
		"none":      {},
		"withhold":  {Withhold: []string{"a"}},
		"publish":   {Publish: []string{"a"}},
		"nothing":   {Publish: []string{}},
		"size":      {MaxFileSize: 5},
		"binaries":  {Binaries: []string{"a"}},
		"text":      {Replace: []config.Replacement{{Text: "a", By: "b"}}},
		"file":      {Replace: []config.Replacement{{File: "a", With: "b"}}},
		"execute":   {Executables: []string{"a"}},
		"two files": {Replace: []config.Replacement{{File: "a", With: "b"}, {File: "b", With: "c"}}},
	} {
		d := NewRules(m).Digest()
		if other, ok := seen[d]; ok {
			t.Errorf("%s and %s have the same digest", name, other)
		}
		seen[d] = name
		if again := NewRules(m).Digest(); again != d {
			t.Errorf("%s: %s, then %s", name, d, again)
		}
	}
	// What is said about the mirror beside the rules changes no tree.
	if NewRules(&config.Mirror{}).Digest() != NewRules(&config.Mirror{URL: "https://example.com/a.git", Private: config.Private{Words: []string{"abc"}}}).Digest() {
		t.Error("the address or private words change the digest")
	}
}

// FuzzRules: whatever patterns and names are, what is withheld by name is never published,
// in no case of letters.
func FuzzRules(f *testing.F) {
	f.Add("docs/**", "docs/drafts/**", "docs/drafts/a.md")
	f.Add("**", "*.KEY", "a/b.key")
	f.Add("{a,b}/**", "a/[", "a/x")
	f.Add("**/*", "/x/../y", "x/../y")
	f.Fuzz(func(t *testing.T, publish, withhold, name string) {
		r := NewRules(&config.Mirror{Publish: []string{publish}, Withhold: []string{withhold}})
		d := r.entry(entry{path: name, mode: "100644"})
		if d.Rule == "" {
			t.Errorf("%q: no rule decided", name)
		}
		if d.Verdict != Published {
			return
		}
		for _, patterns := range [][]string{{withhold}, config.NeverPublished} {
			for _, other := range []string{name, strings.ToUpper(name), strings.ToLower(name)} {
				if p, _ := match(patterns, other, true); p != "" && strings.EqualFold(other, name) {
					t.Errorf("%q is published, although %q withholds it as %q", name, p, other)
				}
			}
		}
		if badName(name) != "" {
			t.Errorf("%q is published, although its name %s", name, badName(name))
		}
	})
}
