package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lumacore.dev/lumacore/internal/report"
)

const registerHead = "apiVersion: lumacore.dev/v1alpha1\nkind: SecretRegister\n"

// goodItem is an entry without mistakes, in lines 4 to 11.
const goodItem = `items:
  - item: backup
    purpose: writes the backups
    fields: [key-id, key]
    make: your S3 provider
    places: [app/backup, longhorn-system/backup]
    owner: owner
    rotate: 365
    rotation: revoke the old key
`

// register is a tree whose register has this content.
type register string

func (r register) IsFile(name string) bool { return name == SecretRegisterFile }

func (r register) ReadFile(name string) ([]byte, error) {
	if name != SecretRegisterFile {
		return nil, fs.ErrNotExist
	}
	return []byte(r), nil
}

func TestLoadSecretRegister(t *testing.T) {
	at := func(n int) report.Location { return report.Location{File: SecretRegisterFile, Line: n} }
	got, err := LoadSecretRegister(register(registerHead + goodItem + `bootstrap:
  - secret: flux-system/flux-system
    purpose: reads the repository
    fields: [username, password]
    make: GitLab
    owner: owner
    rotate: never
    rotation: it has no end
`))
	if err != nil {
		t.Fatal(err)
	}
	want := &SecretRegister{
		Items: []SecretItem{{
			Item: "backup", Purpose: "writes the backups", Fields: []string{"key-id", "key"}, Make: "your S3 provider",
			Places:     []Place{{"app", "backup", at(8)}, {"longhorn-system", "backup", at(8)}},
			SecretCare: SecretCare{Owner: "owner", Rotate: 365, Rotation: "revoke the old key"}, Location: at(4),
		}},
		Bootstrap: []BootstrapSecret{{
			Secret: Place{"flux-system", "flux-system", at(13)}, Purpose: "reads the repository", Fields: []string{"username", "password"},
			Make: "GitLab", SecretCare: SecretCare{Owner: "owner", Rotation: "it has no end"}, Location: at(13),
		}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("register (-want +got):\n%s", diff)
	}
	if got := want.Items[0].Places[1].String(); got != "longhorn-system/backup" {
		t.Errorf("place is %q", got)
	}
}

func TestLoadSecretRegisterWithout(t *testing.T) {
	if r, err := LoadSecretRegister(none{}); r != nil || err != nil {
		t.Errorf("without the file: %v, %v", r, err)
	}
	if r, err := LoadSecretRegister(unreadable{}); r != nil || err == nil || err.Error() != "secrets.register.yaml: cannot be read: input/output error" {
		t.Errorf("a file that cannot be read: %v, %v", r, err)
	}
}

// TestDocumentedRegister loads the example of the reference, which has every key.
func TestDocumentedRegister(t *testing.T) {
	page, err := os.ReadFile("../../docs/reference/secret-register.md")
	if err != nil {
		t.Fatal(err)
	}
	_, example, _ := strings.Cut(string(page), "```yaml\n")
	example, _, found := strings.Cut(example, "```")
	if !found {
		t.Fatal("the page has no example")
	}
	r, err := ParseSecretRegister([]byte(example))
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Items) != 2 || r.Items[0].Rotate != 365 || r.Items[1].Rotate != 0 || len(r.Bootstrap) != 1 {
		t.Errorf("register %+v", r)
	}
}

// TestBlueprintRegister: the blueprint's own register has no mistakes.
func TestBlueprintRegister(t *testing.T) {
	data, err := os.ReadFile("../../blueprint/" + SecretRegisterFile)
	if err != nil {
		t.Fatal(err)
	}
	r, err := ParseSecretRegister(data)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Items) == 0 || len(r.Bootstrap) == 0 {
		t.Errorf("%d items, %d of bootstrap", len(r.Items), len(r.Bootstrap))
	}
}

func TestSecretRegisterMistakes(t *testing.T) {
	swap := func(from, to string) string {
		if !strings.Contains(goodItem, from) {
			panic(from)
		}
		return registerHead + strings.Replace(goodItem, from, to, 1)
	}
	drop := func(key string) string {
		return registerHead + regexp.MustCompile(`(?m)^    `+key+`:.*\n`).ReplaceAllString(goodItem, "")
	}
	boot := registerHead + "bootstrap:\n  - {secret: a/b, purpose: c, fields: [d], make: e, owner: f, rotate: 90, rotation: g}\n"
	for _, tt := range []struct {
		name, text string
		want       []string // lines of the error
		nothing    bool     // no register is returned
	}{
		{"empty", "# nothing\n", []string{"1: the file is empty; begin it with apiVersion: lumacore.dev/v1alpha1 and kind: SecretRegister, or delete it"}, true},
		{"no YAML", "items: [", []string{"1: this is no YAML: did not find expected node content"}, true},
		{"list", "- a\n", []string{"1: secrets.register.yaml is a list; a mapping of apiVersion, bootstrap, items, kind is expected"}, true},
		{"other kind", head, []string{"1: this is lumacore.dev/v1alpha1 Config; this version of lumacore reads lumacore.dev/v1alpha1 SecretRegister"}, true},
		{"no head", goodItem, []string{"1: begin the file with apiVersion: lumacore.dev/v1alpha1 and kind: SecretRegister"}, true},
		{"unknown key", registerHead + "item: []\n", []string{`3: secrets.register.yaml has no key "item"; did you mean items?`}, false},
		{"unknown key of an item", swap("purpose", "porpose"), []string{"4: items[0] has no purpose", `5: items[0] has no key "porpose"; did you mean purpose?`}, false},
		{"a key twice", registerHead + goodItem + "    owner: b\n", []string{"12: items[0].owner stands in line 9 already"}, false},
		{"items is no list", registerHead + "items: {a: b}\n", []string{"3: items is a mapping; a list is expected"}, false},
		{"an entry is a text", registerHead + "items: [a]\n", []string{`3: items[0] is "a"; a mapping of fields, item, make, owner, places, purpose, rotate, rotation is expected`}, false},
		{"an entry is empty", registerHead + "items:\n  -\n", []string{"4: items[0] is empty; fill it in or take it out"}, false},
		{"no title", registerHead + strings.Replace(goodItem, "item: backup\n    ", "", 1), []string{"4: items[0] has no item"}, false},
		{"no purpose", drop("purpose"), []string{"4: items[0] has no purpose"}, false},
		{"no make", drop("make"), []string{"4: items[0] has no make"}, false},
		{"no owner", drop("owner"), []string{"4: items[0] has no owner"}, false},
		{"empty owner", swap("owner: owner", "owner:"), []string{"9: items[0].owner is empty; give it a value or leave it out"}, false},
		{"no rotate", drop("rotate"), []string{"4: items[0] has no rotate"}, false},
		{"no rotation", drop("rotation"), []string{"4: items[0] has no rotation"}, false},
		{"no fields", drop("fields"), []string{"4: items[0] has no fields; name the labels of the item's fields"}, false},
		{"empty fields", swap("[key-id, key]", "[]"), []string{"6: items[0].fields is empty; name the labels of the item's fields"}, false},
		{"no places", drop("places"), []string{"4: items[0] has no places; name each OnePasswordItem that takes it as namespace/name"}, false},
		{"empty places", swap("[app/backup, longhorn-system/backup]", ""), []string{"8: items[0].places is empty; name each OnePasswordItem that takes it as namespace/name"}, false},
		{"field with a space", swap("[key-id, key]", "[key id]"), []string{`6: items[0].fields[0] is "key id"; use letters, digits, dashes, dots and underscores: it becomes a key of the Secret`}, false},
		{"field twice", swap("key-id", "key"), []string{`6: items[0].fields[1] is "key", which is in the list already`}, false},
		{"place without a namespace", swap("app/backup", "backup"), []string{`8: items[0].places[0] is "backup"; write it as NAMESPACE/NAME`}, false},
		{"place with two slashes", swap("app/backup", "a/b/c"), []string{`8: items[0].places[0] is "a/b/c"; write it as NAMESPACE/NAME`}, false},
		{"place twice", swap("app/backup", "longhorn-system/backup"), []string{`8: items[0].places[1] is "longhorn-system/backup", as is line 8; a Secret has one source`}, false},
		{"place of a bootstrap secret", boot + strings.Replace(goodItem, "app/backup", "a/b", 1), []string{`10: items[0].places[0] is "a/b", as is line 4; a Secret has one source`}, false},
		{"rotate is a word", swap("365", "yearly"), []string{`10: items[0].rotate is "yearly"; write the days after which it is old, from 1 to 3650, or never and in rotation why`}, false},
		{"rotate is nothing", swap("365", "0"), []string{`10: items[0].rotate is "0"; write the days after which it is old, from 1 to 3650, or never and in rotation why`}, false},
		{"title with a slash", swap("item: backup", "item: a/b"), []string{`4: items[0].item is "a/b"; a title with / or a line break cannot stand in the path of an item`}, false},
		{"title twice", registerHead + goodItem + strings.ReplaceAll(strings.TrimPrefix(goodItem, "items:\n"), "/backup", "/other"), []string{`12: items[1].item is "backup", as is the item in line 4; 1Password takes the oldest of two with one title`}, false},
		{"alias", swap("owner: owner", "owner: *a"), []string{"1: this is no YAML: unknown anchor 'a' referenced"}, true},
		{"bootstrap without secret", strings.Replace(boot, "secret: a/b, ", "", 1), []string{"4: bootstrap[0] has no secret"}, false},
		{"bootstrap with places", strings.Replace(boot, "rotation: g", "rotation: g, places: [a/c]", 1), []string{`4: bootstrap[0] has no key "places"; known are fields, make, owner, purpose, rotate, rotation, secret`}, false},
		{"bootstrap without fields", strings.Replace(boot, "fields: [d], ", "", 1), []string{"4: bootstrap[0] has no fields; name the keys of the Secret"}, false},
		{"bootstrap is empty", registerHead + "bootstrap:\n  -\n", []string{"4: bootstrap[0] is empty; fill it in or take it out"}, false},
		{"too large", strings.Repeat("#", MaxSize+1), []string{"1: the file has 1024 KiB; 1024 are the most that are read"}, true},
		{"all at once", swap("owner: owner\n    rotate: 365", "rotate: soon"), []string{"4: items[0] has no owner", `9: items[0].rotate is "soon"; write the days after which it is old, from 1 to 3650, or never and in rotation why`}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, err := LoadSecretRegister(register(tt.text))
			var e *Error
			if !errors.As(err, &e) {
				t.Fatalf("error %v", err)
			}
			var want []string
			for _, line := range tt.want {
				want = append(want, SecretRegisterFile+":"+line)
			}
			if diff := cmp.Diff(strings.Join(want, "\n"), e.Error()); diff != "" {
				t.Errorf("mistakes (-want +got):\n%s", diff)
			}
			if (r == nil) != tt.nothing {
				t.Errorf("register %v", r)
			}
		})
	}
}

func TestSecretRegisterBounds(t *testing.T) {
	var b strings.Builder
	b.WriteString(registerHead + "bootstrap:\n")
	for i := range MaxSecrets + 2 {
		fmt.Fprintf(&b, "  - {secret: a/b-%d, purpose: c, fields: [d], make: e, owner: f, rotate: 90, rotation: g}\n", i)
	}
	r, err := ParseSecretRegister([]byte(b.String()))
	if err == nil || err.Error() != "secrets.register.yaml:1004: bootstrap[1000]: 1000 entries are the most that are read" {
		t.Errorf("error %v", err)
	}
	if r == nil || len(r.Bootstrap) != MaxSecrets {
		t.Errorf("register %v", r)
	}
}

// FuzzSecretRegister: whatever the file holds, what is read of it is whole, and each
// mistake has a line.
func FuzzSecretRegister(f *testing.F) {
	for _, seed := range []string{
		"", registerHead, registerHead + goodItem, registerHead + "bootstrap:\n  - {secret: a/b, purpose: c, fields: [d], make: e, owner: f, rotate: never, rotation: g}\n",
		"&a [*a]", "? - : -", "---\n...\n---", "a: !!binary x", "items: &b {<<: *b}", registerHead + "items: [[], {}, null]",
	} {
		f.Add([]byte(seed))
	}
	place := regexp.MustCompile(`^secrets\.register\.yaml:[1-9][0-9]*$`)
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := ParseSecretRegister(data)
		if err == nil {
			if r == nil {
				t.Fatal("neither a register nor an error")
			}
			for _, i := range r.Items {
				if i.Item == "" || i.Purpose == "" || i.Make == "" || i.Owner == "" || i.Rotation == "" || len(i.Fields)*len(i.Places) == 0 || i.Rotate < 0 || i.Line < 1 {
					t.Fatalf("item %+v", i)
				}
			}
			for _, b := range r.Bootstrap {
				if b.Secret.Name == "" || b.Purpose == "" || b.Make == "" || b.Owner == "" || b.Rotation == "" || len(b.Fields) == 0 || b.Line < 1 {
					t.Fatalf("bootstrap %+v", b)
				}
			}
			return
		}
		var e *Error
		if !errors.As(err, &e) || len(e.Mistakes) == 0 {
			t.Fatalf("ParseSecretRegister() = %v, %v (%T)", r, err, err)
		}
		for _, m := range e.Mistakes {
			if !place.MatchString(m.Location.String()) || m.Message == "" {
				t.Fatalf("mistake %q at %q", m.Message, m.Location)
			}
		}
	})
}
