package leaks

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const allowedHead = "apiVersion: lumacore.dev/v1alpha1\nkind: AllowedSecrets\nallow:\n"

// entryWith is an entry with some keys changed; "" takes one out.
func entryWith(changes ...string) string {
	keys := []string{"rule", "path", "reason", "ticket", "owner", "expires"}
	values := map[string]string{"rule": "github-pat", "path": "a/b.yaml", "reason": "a mock", "ticket": "HOME-1", "owner": "platform", "expires": "2027-01-31"}
	for i := 0; i < len(changes); i += 2 {
		if _, ok := values[changes[i]]; !ok {
			keys = append(keys, changes[i])
		}
		values[changes[i]] = changes[i+1]
	}
	var b strings.Builder
	lead := "  - "
	for _, k := range keys {
		if values[k] != "" {
			fmt.Fprintf(&b, "%s%s: %s\n", lead, k, values[k])
			lead = "    "
		}
	}
	return b.String()
}

func TestParseAllowed(t *testing.T) {
	t.Parallel()
	commit := strings.Repeat("0a", 20)
	for name, tt := range map[string]struct {
		text    string
		entries int
		want    []string
	}{
		"empty":           {"", 0, nil},
		"comments":        {"# nothing\n", 0, nil},
		"no entries":      {allowedHead, 0, nil},
		"empty list":      {strings.TrimSuffix(allowedHead, "\n") + " []\n", 0, nil},
		"rule":            {allowedHead + entryWith(), 1, nil},
		"secret":          {allowedHead + entryWith("rule", "", "fingerprint", "0123456789abcdef0123"), 1, nil},
		"of gitleaks":     {allowedHead + entryWith("rule", "", "fingerprint", "a/b.yaml:github-pat:3"), 1, nil},
		"with commit":     {allowedHead + entryWith("rule", "", "fingerprint", commit+":a:b.yaml:github-pat:3"), 1, nil},
		"history":         {allowedHead + entryWith("history", "true"), 1, nil},
		"any file for it": {allowedHead + entryWith("rule", "", "fingerprint", "0123456789abcdef0123", "path", `"**"`), 1, nil},

		"no head":           {"allow: []\n", 0, []string{"1: begin the file with apiVersion: lumacore.dev/v1alpha1 and kind: AllowedSecrets; without them nothing in it holds"}},
		"list":              {"- a\n", 0, []string{"1: the file is no mapping"}},
		"other key":         {allowedHead + entryWith() + "more: 1\n", 1, []string{`10: there is no key "more" here; known are apiVersion, kind and allow`}},
		"no list":           {strings.TrimSuffix(allowedHead, "\n") + " yes\n", 0, []string{"3: allow is no list"}},
		"no mapping":        {allowedHead + "  - github-pat\n", 0, []string{"4: allow[0] is no mapping"}},
		"no YAML":           {allowedHead + "  - a: [\n", 0, []string{"4: this is no YAML, so nothing in the file holds: did not find expected node content"}},
		"two documents":     {allowedHead + "---\na: 1\n", 0, []string{"4: a second YAML document begins here; the file holds one, so nothing in it holds"}},
		"binary":            {"\x00\x01", 0, []string{"1: this is no YAML, so nothing in the file holds: control characters are not allowed"}},
		"nothing but rule":  {allowedHead + "  - rule: github-pat\n    path: a\n", 0, []string{"4: allow[0] has no reason, no ticket, no owner, no expires, and so no effect"}},
		"blank reason":      {allowedHead + entryWith("reason", `" "`), 0, []string{"4: allow[0] has no reason, and so no effect"}},
		"no day":            {allowedHead + entryWith("expires", "never"), 0, []string{`4: allow[0].expires is "never"; write a day as 2027-01-31`}},
		"neither":           {allowedHead + entryWith("rule", ""), 0, []string{"4: allow[0] names neither a rule of gitleaks nor a fingerprint"}},
		"both":              {allowedHead + entryWith("fingerprint", "0123456789abcdef0123"), 0, []string{"4: allow[0] names a rule and a fingerprint; one of them says what it is about"}},
		"unknown rule":      {allowedHead + entryWith("rule", "github-patt"), 0, []string{`4: allow[0]: gitleaks has no rule "github-patt"; did you mean github-pat?`}},
		"no fingerprint":    {allowedHead + entryWith("rule", "", "fingerprint", "abc"), 0, []string{`4: allow[0].fingerprint is none; write the one that the finding names, or commit:file:rule:line as gitleaks prints it`}},
		"bad pattern":       {allowedHead + entryWith("path", `"a/["`), 0, []string{`4: allow[0].path is "a/[", which is no pattern of files; write it from the root of the repository, as apps/*/values.yaml`}},
		"absolute":          {allowedHead + entryWith("path", "/etc/x"), 0, []string{`4: allow[0].path is "/etc/x", which is no pattern of files; write it from the root of the repository, as apps/*/values.yaml`}},
		"key twice":         {allowedHead + entryWith() + "    rule: jwt\n", 0, []string{`10: "rule" is there twice in allow[0]`}},
		"unknown key":       {allowedHead + entryWith("until", "x"), 0, []string{`10: allow[0] has the key "until"; known are rule, fingerprint, path, reason, ticket, owner, expires and history`}},
		"history of a sort": {allowedHead + entryWith("history", "maybe"), 0, []string{"10: allow[0].history is neither true nor false"}},
		"list for text":     {allowedHead + entryWith("owner", "[a]"), 0, []string{"4: allow[0] has no owner, and so no effect", "8: allow[0].owner is no text"}},
		"alias":             {allowedHead + entryWith("reason", "&a x") + entryWith("reason", "*a"), 1, []string{"10: allow[1] has no reason, and so no effect", "12: allow[1].reason is no text"}},
		"long":              {allowedHead + entryWith("reason", strings.Repeat("x", maxValue+1)), 0, []string{"4: allow[0] has no reason, and so no effect", "6: allow[0].reason has 2001 characters; 2000 are the most that are read"}},
		"one wrong":         {allowedHead + entryWith("owner", "") + entryWith(), 1, []string{"4: allow[0] has no owner, and so no effect"}},

		"no path":        {allowedHead + entryWith("path", ""), 0, []string{"4: broad: allow[0] allows the rule github-pat in all files, for it names no path, and so has no effect"}},
		"all":            {allowedHead + entryWith("path", `"**"`), 0, []string{"4: broad: allow[0] allows the rule github-pat in **, of which no file or folder is named in full, and so has no effect"}},
		"all of a kind":  {allowedHead + entryWith("path", `"**/*.yaml"`), 0, []string{"4: broad: allow[0] allows the rule github-pat in **/*.yaml, of which no file or folder is named in full, and so has no effect"}},
		"all in braces":  {allowedHead + entryWith("path", `"{a,b,*}/*"`), 0, []string{"4: broad: allow[0] allows the rule github-pat in {a,b,*}/*, of which no file or folder is named in full, and so has no effect"}},
		"no path for it": {allowedHead + entryWith("rule", "", "fingerprint", "0123456789abcdef0123", "path", ""), 0, []string{"4: broad: allow[0] names no path, and so has no effect"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := ParseAllowed([]byte(tt.text), Default())
			var got []string
			for _, m := range a.Mistakes {
				line := fmt.Sprintf("%d: ", m.Line)
				if m.Broad {
					line += "broad: "
				}
				got = append(got, line+m.Message)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("mistakes (-want +got):\n%s", diff)
			}
			if len(a.Entries) != tt.entries {
				t.Errorf("%d entries hold, want %d", len(a.Entries), tt.entries)
			}
		})
	}
}

func TestAllowedBounds(t *testing.T) {
	t.Parallel()
	a := ParseAllowed([]byte(strings.Repeat("#", maxAllowed+1)), Default())
	if len(a.Mistakes) != 1 || !strings.Contains(a.Mistakes[0].Message, "so nothing in it holds") {
		t.Errorf("too large: %v", a.Mistakes)
	}
	a = ParseAllowed([]byte(allowedHead+strings.Repeat("  - {rule: github-pat, path: a, reason: r, ticket: t, owner: o, expires: 2027-01-31}\n", maxEntries+1)), Default())
	if len(a.Entries) != maxEntries || len(a.Mistakes) != 1 {
		t.Errorf("%d entries, %v", len(a.Entries), a.Mistakes)
	}
}

func TestFits(t *testing.T) {
	t.Parallel()
	commit := strings.Repeat("0a", 20)
	file := Finding{Rule: "github-pat", File: "apps/a/b.yaml", Line: 3, Secret: "0123456789" + "abcdef0123"}
	old := file
	old.Commit = commit
	nested := old // the repository is in the folder fleet
	nested.File = "fleet/apps/a/b.yaml"
	for name, tt := range map[string]struct {
		entry              string
		file, old, nestedO bool
	}{
		"rule":                  {entryWith("path", "apps/*/b.yaml"), true, false, false},
		"rule with history":     {entryWith("path", "apps/*/b.yaml", "history", "true"), true, true, true},
		"other rule":            {entryWith("rule", "jwt", "path", "apps/*/b.yaml", "history", "true"), false, false, false},
		"other path":            {entryWith("path", "apps/c/*", "history", "true"), false, false, false},
		"secret":                {entryWith("rule", "", "fingerprint", "0123456789abcdef0123", "path", "apps/**"), true, false, false},
		"secret with history":   {entryWith("rule", "", "fingerprint", "0123456789abcdef0123", "path", "apps/**", "history", "true"), true, true, true},
		"of gitleaks":           {entryWith("rule", "", "fingerprint", "apps/a/b.yaml:github-pat:3", "path", "apps/**"), true, false, false},
		"of gitleaks, line":     {entryWith("rule", "", "fingerprint", "apps/a/b.yaml:github-pat:4", "path", "apps/**"), false, false, false},
		"of a commit":           {entryWith("rule", "", "fingerprint", commit+":apps/a/b.yaml:github-pat:3", "path", "apps/**"), false, true, true},
		"of a commit, in fleet": {entryWith("rule", "", "fingerprint", commit+":fleet/apps/a/b.yaml:github-pat:3", "path", "apps/**"), false, false, true},
	} {
		a := ParseAllowed([]byte(allowedHead+tt.entry), Default())
		if len(a.Entries) != 1 {
			t.Errorf("%s: %v", name, a.Mistakes)
			continue
		}
		e := a.Entries[0]
		if got := [3]bool{e.Fits(file, file.File), e.Fits(old, old.File), e.Fits(nested, "apps/a/b.yaml")}; got != [3]bool{tt.file, tt.old, tt.nestedO} {
			t.Errorf("%s fits %v, want %v", name, got, [3]bool{tt.file, tt.old, tt.nestedO})
		}
	}
	e := Entry{Expires: time.Date(2027, 1, 31, 0, 0, 0, 0, time.UTC)}
	if e.Expired(time.Date(2027, 1, 31, 23, 59, 0, 0, time.UTC)) || !e.Expired(time.Date(2027, 2, 1, 0, 0, 0, 0, time.UTC)) {
		t.Error("the last day is a whole one, and no more")
	}
}

func FuzzParseAllowed(f *testing.F) {
	f.Add([]byte(allowedHead + entryWith()))
	f.Add([]byte(allowedHead + entryWith("reason", "&a x") + entryWith("reason", "*a")))
	f.Add([]byte(allowedHead + "  - {<<: {rule: x}}\n  - [[[[]]]]\n  - ? {}\n    : x\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		a := ParseAllowed(data, Default())
		for _, e := range a.Entries {
			if e.Reason == "" || e.Ticket == "" || e.Owner == "" || e.Expires.IsZero() || e.Path == "" || e.Rule == "" && e.Fingerprint == "" || e.broad() != "" {
				t.Errorf("%+v holds", e)
			}
			e.Fits(Finding{Rule: "github-pat", File: "a/b", Line: 1}, "a/b")
		}
		for _, m := range a.Mistakes {
			if m.Line < 1 || m.Message == "" {
				t.Errorf("%+v", m)
			}
		}
	})
}
