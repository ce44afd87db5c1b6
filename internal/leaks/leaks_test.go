package leaks

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/zricethezav/gitleaks/v8/config"
	"github.com/zricethezav/gitleaks/v8/detect"
	"github.com/zricethezav/gitleaks/v8/sources"

	"lumacore.dev/lumacore/internal/cache"
	"lumacore.dev/lumacore/test/repository"
)

// Secrets that nobody ever gave out. They are put together here, so that scanners do not
// find them in this file.
var (
	pat     = "gh" + "p_" + "Zq8Kd7Wm2Xv5Rb9Tn4Yc6Hj1Lf3Gs0PaEuVo"
	value   = "k7f2m9x4" + "q8w3z6v1n5b0t2r8"
	apiKey  = "upstream_api" + "_key = \"" + value + "\""
	private = "-----BEGIN PRIVATE " + "KEY-----\n" + strings.Repeat("MIGHAgEAMBMGByqGSM49AgEG\n", 4) + "-----END PRIVATE " + "KEY-----\n"
)

// scan returns the findings in a text, one line each.
func scan(t *testing.T, name, text string) (out []string) {
	t.Helper()
	found, err := NewScanner(Default()).File(t.Context(), name, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range found {
		line := fmt.Sprintf("%s:%d %s %s", f.File, f.Line, f.Rule, f.Hint)
		if f.Ciphertext != "" {
			line = fmt.Sprintf("%s:%d %s is %s", f.File, f.Line, f.Rule, f.Ciphertext)
		}
		if f.Comment {
			line += " commented"
		}
		out = append(out, line)
	}
	return out
}

func TestFile(t *testing.T) {
	t.Parallel()
	const hash = "7f9c2ba4e88f827d" + "616045507605853ed73b8093f6efbc88eb1a6eacfa66ef26"
	sops := "ENC[AES256_GCM,data:k7f2m9x4q8w3z6v1,iv:" + value + "k7f2m9x4q8w3z6v1n5b=,tag:k7f2m9x4q8w3z6v1n5b0t2==,type:str]"
	for name, tt := range map[string]struct {
		file, text string
		want       []string
	}{
		"nothing":             {"a.yaml", "kind: ConfigMap\n", nil},
		"token":               {"a.txt", "x\n\n" + pat + "\n", []string{"a.txt:3 github-pat ghp_… (40 characters)"}},
		"key in capitals":     {"a.txt", strings.ToUpper("upstream_api_key") + " = " + value + "\n", []string{"a.txt:1 generic-api-key … (24 characters)"}},
		"private key":         {"id", "a\n" + private, []string{"id:2 private-key -----BEGIN… (153 characters)"}},
		"comment":             {"a.go", pat + " // gitleaks:allow\n", []string{"a.go:1 github-pat ghp_… (40 characters) commented"}},
		"base64":              {"a.txt", "blob: Z2hw" + "X1pxOEtkN1dtMlh2NVJiOVRuNFljNkhqMUxmM0dzMFBhRXVWbw==\n", []string{"a.txt:1 github-pat ghp_… (40 characters)"}},
		"name":                {"certs/home.p12", "", []string{"certs/home.p12:0 pkcs12-file "}},
		"name of binary":      {"certs/home.p12", "\x00\x01" + pat, []string{"certs/home.p12:0 pkcs12-file "}},
		"binary":              {"a.bin", "\x00\x01" + pat, nil},
		"skipped by name":     {"a.svg", pat, nil},
		"lock file":           {"go.sum", apiKey, nil},
		"Kelvin sign":         {"a.txt", "api_to\u212aen = " + value + "\n", []string{"a.txt:1 generic-api-key … (24 characters)"}},
		"beside a SOPS value": {"a.yaml", "api_key: " + value + " # was " + sops + "\n", []string{"a.yaml:1 generic-api-key … (24 characters)"}},
		"SOPS value":          {"a.env", "sops_key=a=" + sops + "\n", nil},
		"in a SOPS value":     {"a.env", "a: " + strings.Replace(sops, "data:", "data:"+pat[4:]+"/"+pat[:3]+"P/", 1) + "\n", nil},
		"digest":              {"a.yaml", "token: sha256:" + hash + "\n", nil},
		"named digest":        {"a.yaml", "secret_sha256: " + hash + "\n", []string{"a.yaml:1 generic-api-key is digest"}},
		"checksum":            {"a.yaml", "checksum/secret: " + hash + "\n", []string{"a.yaml:1 generic-api-key is digest"}},
		"too short a digest":  {"a.yaml", "secret_sha256: " + hash[:50] + "\n", []string{"a.yaml:1 generic-api-key … (50 characters)"}},
		"key of that length":  {"a.yaml", "secret: " + hash + "\n", []string{"a.yaml:1 generic-api-key … (64 characters)"}},
		"go module":           {"a.txtar", "golang.org/x/auth v0.1.0 h1:" + value + "k7f2m9x4q8w3z6v1n5b=\n", []string{"a.txtar:1 generic-api-key is digest"}},
		"age":                 {"a.txt", "-----BEGIN AGE ENCRYPTED FILE-----\n" + pat + "\n-----END AGE ENCRYPTED FILE-----\n" + pat + "\n", []string{"a.txt:2 github-pat is encrypted", "a.txt:4 github-pat ghp_… (40 characters)"}},
		"about SOPS":          {"a.yaml", "a: 1\nsops:\n    key: " + value + "\n    mac: ENC[AES256_GCM,x]\n", []string{"a.yaml:3 generic-api-key is encrypted"}},
		"about nothing":       {"a.yaml", "a: 1\nsops:\n    key: " + value + "\n", []string{"a.yaml:3 generic-api-key … (24 characters)"}},
		"nothing but a colon": {"a.txt", "secret:", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tt.want, scan(t, tt.file, tt.text)); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
		})
	}
}

// TestNeverASecret: what is kept and told of a finding has no part of the secret that
// its rule does not name.
func TestNeverASecret(t *testing.T) {
	t.Parallel()
	found, err := NewScanner(Default()).File(t.Context(), "a.txt", []byte(pat+"\n"+apiKey+"\n"+private))
	if err != nil || len(found) != 3 {
		t.Fatalf("%v, %v", found, err)
	}
	data, err := json.Marshal(found)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{pat[4:10], "k7f2m9", "MIGHAg"} {
		if bytes.Contains(data, []byte(secret)) {
			t.Errorf("%s has a part of a secret", data)
		}
	}
}

func TestSealedSecret(t *testing.T) {
	t.Parallel()
	// Two bytes for the length of the key, the key, and what it encrypts.
	value := "AgBA" + strings.Repeat("k7F2m9X4q8w3", 61)
	if got := ciphertext("  token: "+value, value[:100]); got != "SealedSecret" {
		t.Errorf("a value of a SealedSecret is %q", got)
	}
	if got := ciphertext("  token: "+value[4:], value[10:100]); got != "" {
		t.Errorf("other Base64 is %q", got)
	}
}

func TestSOPSValue(t *testing.T) {
	t.Parallel()
	const (
		plain = "k7f2m9x4" + "q8w3z6v1"
		value = "ENC[AES256_GCM,data:" + plain + ",iv:k7f2m9x4q8w3,tag:k7f2m9x4q8w3,type:str]"
	)
	for line, want := range map[string]string{
		"token: " + value:                            "SOPS",
		"token: " + value + " # " + plain:            "", // and in plain text
		"token: " + plain + " # ENC[AES256_GCM,...]": "",
		"token: ENC[" + plain + "]":                  "",
	} {
		if got := ciphertext(line, plain); got != want {
			t.Errorf("%s is %q, want %q", line, got, want)
		}
	}
}

func TestSealedLines(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]lines{
		"a: 1\nsops:\n  age:\n  - x\n  mac: ENC[AES256_GCM,x]\n": {{2, 6}},
		"sops:\n    mac: ENC[x]\n---\na: 1\n":                    {{1, 2}},
		"sops:\n    mac: ENC[x]\nb: 1\n":                         {{1, 2}},
		"a: 1\nsops:\n  age: []\nb: 2\n":                         nil,
		"a: 1\n":                                                 nil,
	} {
		if diff := cmp.Diff(want, sealedLines(text)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", text, diff)
		}
	}
}

// TestDefaultRules: the names that are read from the text are those of the rules, and
// the pattern that assigns is about is that of the rule.
func TestDefaultRules(t *testing.T) {
	t.Parallel()
	cfg, err := Default().compile()
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for id := range cfg.Rules {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	if diff := cmp.Diff(ids, Default().IDs()); diff != "" {
		t.Errorf("names of rules (-want +got):\n%s", diff)
	}
	if got := cfg.Rules[genericRule].Regex.String(); got != genericPattern {
		t.Errorf("Gitleaks has another pattern for %s; look at what assigns takes for granted:\n%s", genericRule, got)
	}
}

// peer is the detector that the program gitleaks makes.
func peer(t testing.TB) *detect.Detector {
	t.Helper()
	quiet()
	vc, err := parseConfig([]byte(config.DefaultConfig))
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := vc.Translate()
	if err != nil {
		t.Fatal(err)
	}
	d := detect.NewDetectorContext(t.Context(), cfg)
	d.MaxDecodeDepth, d.IgnoreGitleaksAllow = decodeDepth, true
	return d
}

// random makes a text of pieces that rules, encodings and the tests before them look at.
func random(r *rand.Rand) string {
	pieces := []string{
		"api", "key", "secret", "token", "passwd", "Password", "auth", "ACCESS", "cred", "ſecret", "to\u212aen", "İ",
		" ", "  ", "\n", "\n    ", "\t", "=", ":", ": ", " = ", "=>", "||", "?=", ",", "\"", "'", "`", ";", ".", "-", "_", "/", "+", "%41", "%", "\\u0041", "U+0041 ",
		value, "0123456789abcdef0123456789abcdef", "QUtJQQ", "ZXhhbXBsZQ==", "example", "description", pat, pat[:20],
		base64.StdEncoding.EncodeToString([]byte(pat)), hex.EncodeToString([]byte(pat)), "AKIA", "eyJ", "xoxb-", "sk", "kind: Secret\ndata:\n  a: ",
	}
	var b strings.Builder
	for range 1 + r.IntN(30) {
		b.WriteString(pieces[r.IntN(len(pieces))])
	}
	return b.String()
}

// TestSameAsGitleaks: the tests that come before Gitleaks lose nothing of what it finds.
func TestSameAsGitleaks(t *testing.T) {
	t.Parallel()
	s, d, r := NewScanner(Default()), peer(t), rand.New(rand.NewPCG(1, 1))
	hits := 0
	for range 20_000 {
		hits += same(t, s, d, "a.yaml", random(r))
	}
	if hits < 1000 {
		t.Errorf("only %d texts have findings: this looks at too little", hits)
	}
}

// same fails the test when the scanner and Gitleaks find different things in a text.
func same(t *testing.T, s *Scanner, d *detect.Detector, name, text string) int {
	t.Helper()
	found, err := s.raw(t.Context(), name, "", text, 1, true)
	if err != nil {
		t.Fatal(err)
	}
	//lint:ignore SA1019 the method takes no other type in this version
	want := d.Detect(detect.Fragment{Raw: text, FilePath: name, StartLine: 1})
	lines := func(list []string) []string { slices.Sort(list); return list }
	var a, b []string
	for _, f := range want {
		a = append(a, fmt.Sprintf("%s %d %q", f.RuleID, f.StartLine, f.Secret))
	}
	for _, f := range found {
		b = append(b, fmt.Sprintf("%s %d %q", f.RuleID, f.StartLine, f.Secret))
	}
	if diff := cmp.Diff(lines(a), lines(b)); diff != "" {
		t.Fatalf("%q (-gitleaks +scanner):\n%s", text, diff)
	}
	return min(1, len(want))
}

func FuzzSameAsGitleaks(f *testing.F) {
	r := rand.New(rand.NewPCG(2, 2))
	for range 50 {
		f.Add(random(r))
	}
	f.Add("passw\u017fd = " + value)
	s := NewScanner(Default())
	d := peer(f)
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) < 10_000 {
			same(t, s, d, "a.yaml", text)
		}
	})
}

// git runs git in a folder.
func git(t testing.TB, dir string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", append([]string{"-C", dir, "-c", "user.name=Test", "-c", "user.email=test@example.org", "-c", "commit.gpgSign=false", "-c", "protocol.file.allow=always"}, args...)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// commit writes files and commits them; an empty one is deleted.
func commit(t testing.TB, dir string, files map[string]string) string {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if text == "" {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	git(t, dir, "add", "-A")
	git(t, dir, "commit", "-q", "--allow-empty", "-m", "change")
	return git(t, dir, "rev-parse", "HEAD")
}

// gitleaksHistory is what the program gitleaks finds in a history.
func gitleaksHistory(t testing.TB, dir string) (out []string) {
	t.Helper()
	quiet()
	d := peer(t)
	cmd, err := sources.NewGitLogCmdContext(t.Context(), dir, "")
	if err != nil {
		t.Fatal(err)
	}
	found, err := d.DetectSource(t.Context(), &sources.Git{
		Cmd: cmd, Config: &d.Config, Sema: d.Sema, Remote: &sources.RemoteInfo{},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range found {
		out = append(out, fmt.Sprintf("%s:%s:%s:%d %s %s", f.Commit, f.File, f.RuleID, f.StartLine, f.Date, nameSecret(f.RuleID, f.Secret)))
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func historyLines(h *History) (out []string) {
	for _, f := range h.Findings {
		out = append(out, fmt.Sprintf("%s %s %s", f.Fingerprint(), f.Date.Format("2006-01-02T15:04:05Z"), f.Secret))
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// history scans a repository.
func history(t testing.TB, dir string, o HistoryOptions) *History {
	t.Helper()
	h, err := NewScanner(Default()).History(t.Context(), dir, o)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// TestHistorySameAsGitleaks: in a generated history, with merges and moved files, the
// same is found as by Gitleaks: rule, file, commit, line, date and secret.
func TestHistorySameAsGitleaks(t *testing.T) {
	t.Parallel()
	r, err := repository.Generate(repository.Options{Apps: 10, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	var stream bytes.Buffer
	planted, err := r.History(&stream, 1200, 1)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	git(t, dir, "init", "-q", "-b", "main")
	cmd := exec.Command("git", "-C", dir, "fast-import", "--quiet")
	cmd.Stdin = &stream
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	want := gitleaksHistory(t, dir)
	if len(planted) < 10 || len(want) < len(planted) {
		t.Fatalf("gitleaks finds %d of %d secrets", len(want), len(planted))
	}
	h := history(t, dir, HistoryOptions{})
	if diff := cmp.Diff(want, historyLines(h)); diff != "" {
		t.Errorf("findings (-gitleaks +history):\n%s", diff)
	}
	if len(h.Gaps) > 0 || h.Commits != 1200 || h.Scanned != 1200 {
		t.Errorf("%d commits, %d scanned, %v", h.Commits, h.Scanned, h.Gaps)
	}
}

// TestHistoryNames: names and contents that a parser of differences can trip over.
func TestHistoryNames(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	git(t, dir, "init", "-q", "-b", "main")
	commit(t, dir, map[string]string{
		"with space.txt": "a\n" + pat + "\n", "ümlaut \"q\".txt": pat, "tab\tname.txt": pat, "diff --git a": pat + "\n",
		"deep/er/b/x.txt": "+++ b/other\n@@ -1 +1 @@\n" + pat + "\n-- a\n++ b\n\\ No newline\n", "crlf.txt": "a\r\n" + pat + "\r\n",
		"certs/home.p12": "text\n", "a.svg": pat, "noend.txt": "one\n" + apiKey,
		"0123456789012345678901234567890123456789 1": pat + "\n0123456789012345678901234567890123456789 12\n",
	})
	git(t, dir, "mv", "with space.txt", "moved.txt")
	commit(t, dir, map[string]string{"noend.txt": "one\n" + apiKey + "\nmore\n", "crlf.txt": "b\n"})
	git(t, dir, "checkout", "-q", "-b", "side", "HEAD~1")
	commit(t, dir, map[string]string{"side.txt": private})
	git(t, dir, "checkout", "-q", "main")
	git(t, dir, "merge", "-q", "--no-ff", "-m", "merge", "side")
	if err := os.Symlink(pat, filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	commit(t, dir, nil)
	git(t, dir, "checkout", "-q", "--orphan", "other")
	commit(t, dir, map[string]string{"orphan.txt": pat + pat[:3] + "\n" + apiKey})
	git(t, dir, "tag", "-a", "v1", "-m", "v1")
	git(t, dir, "checkout", "-q", "--detach")
	commit(t, dir, map[string]string{"detached.txt": pat})
	want := gitleaksHistory(t, dir)
	if len(want) < 12 {
		t.Fatalf("gitleaks finds only %q", want)
	}
	h := history(t, dir, HistoryOptions{Workers: 1})
	if len(h.Gaps) > 0 {
		t.Errorf("not looked at: %v", h.Gaps)
	}
	if diff := cmp.Diff(want, historyLines(h)); diff != "" {
		t.Errorf("findings (-gitleaks +history):\n%s", diff)
	}
}

// TestHistoryConfiguration: nothing that a repository says hides a file or runs a
// program.
func TestHistoryConfiguration(t *testing.T) {
	t.Parallel()
	dir, ran := t.TempDir(), filepath.Join(t.TempDir(), "ran")
	git(t, dir, "init", "-q", "-b", "main")
	c := commit(t, dir, map[string]string{".gitattributes": "* -diff\n*.txt diff=evil\n", "a.yaml": pat + "\n", "b.txt": pat + "\n"})
	for _, kv := range [][2]string{
		{"diff.evil.textconv", "touch " + ran + "; cat"},
		{"diff.external", "touch " + ran},
		{"diff.evil.command", "touch " + ran},
		{"core.fsmonitor", "touch " + ran},
		{"diff.noprefix", "true"},
		{"color.ui", "always"},
		{"log.showSignature", "true"},
		{"diff.context", "7"},
		{"diff.relative", "true"},
		{"diff.suppressBlankEmpty", "true"},
		{"diff.orderFile", "/dev/null"},
		{"format.pretty", "raw"},
		{"diff.mnemonicPrefix", "true"},
		{"diff.interHunkContext", "5"},
	} {
		git(t, dir, "config", kv[0], kv[1])
	}
	sub := filepath.Join(dir, "sub")
	if err := os.Mkdir(sub, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, at := range []string{dir, sub} {
		var got []string
		for _, f := range history(t, at, HistoryOptions{}).Findings {
			got = append(got, f.Fingerprint())
		}
		if diff := cmp.Diff([]string{c + ":a.yaml:github-pat:1", c + ":b.txt:github-pat:1"}, got); diff != "" {
			t.Errorf("findings (-want +got):\n%s", diff)
		}
	}
	if _, err := os.Stat(ran); err == nil {
		t.Error("a program of the repository was run")
	}
}

// TestHistoryAgain: a second scan looks at new commits alone, and says the same.
func TestHistoryAgain(t *testing.T) {
	t.Parallel()
	dir, keep := t.TempDir(), t.TempDir()
	git(t, dir, "init", "-q", "-b", "main")
	commit(t, dir, map[string]string{"a.txt": pat + "\n"})
	commit(t, dir, map[string]string{"a.txt": "gone\n"})
	first := history(t, dir, HistoryOptions{Cache: cache.Open(keep)})
	again := history(t, dir, HistoryOptions{Cache: cache.Open(keep)})
	if first.Scanned != 2 || again.Scanned != 0 {
		t.Errorf("%d commits scanned, then %d", first.Scanned, again.Scanned)
	}
	if diff := cmp.Diff(first.Findings, again.Findings); diff != "" || len(again.Findings) != 1 {
		t.Errorf("findings (-first +again):\n%s", diff)
	}
	commit(t, dir, map[string]string{"b.txt": apiKey + "\n"})
	if h := history(t, dir, HistoryOptions{Cache: cache.Open(keep)}); h.Scanned != 1 || len(h.Findings) != 2 {
		t.Errorf("%d commits scanned, findings %v", h.Scanned, h.Findings)
	}
	if h := history(t, dir, HistoryOptions{Cache: cache.Open(keep), Since: git(t, dir, "rev-parse", "HEAD~1")}); h.Commits != 1 || len(h.Findings) != 1 || h.Findings[0].File != "b.txt" {
		t.Errorf("since the last commit: %d commits, findings %v", h.Commits, h.Findings)
	}

	// What is taken back is not reported any more.
	git(t, dir, "reset", "-q", "--hard", "HEAD~1")
	git(t, dir, "reflog", "expire", "--all", "--expire=now")
	if h := history(t, dir, HistoryOptions{Cache: cache.Open(keep)}); len(h.Findings) != 1 {
		t.Errorf("after a reset: %v", h.Findings)
	}

	// The files have no secret and are the owner's alone; broken ones are as if they
	// were not there.
	seen := 0
	err := filepath.WalkDir(keep, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		seen++
		fi, err := d.Info()
		if err != nil {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if fi.Mode().Perm() != 0o600 || bytes.Contains(data, []byte(pat[4:])) || bytes.Contains(data, []byte("k7f2m9")) {
			t.Errorf("%s has mode %s, and %q", path, fi.Mode(), data)
		}
		return os.WriteFile(path, data[:len(data)/2], 0o600)
	})
	if err != nil || seen == 0 {
		t.Fatalf("%d files, %v", seen, err)
	}
	if h := history(t, dir, HistoryOptions{Cache: cache.Open(keep)}); h.Scanned != 2 || len(h.Findings) != 1 {
		t.Errorf("with a broken cache: %d scanned, %v", h.Scanned, h.Findings)
	}
}

// TestHistoryBad: what cannot be looked at is named, and nothing hangs.
func TestHistoryBad(t *testing.T) {
	t.Parallel()
	gaps := func(h *History) (out []string) {
		for _, g := range h.Gaps {
			out = append(out, g.Subject+": "+g.Reason)
		}
		return out
	}
	origin := t.TempDir()
	git(t, origin, "init", "-q", "-b", "main")
	first := commit(t, origin, map[string]string{"a.txt": pat + "\n", "other.txt": "x\n"})
	second := commit(t, origin, map[string]string{"a.txt": "", "b.txt": apiKey + "\n"})
	commit(t, origin, map[string]string{"c.txt": "nothing\n"})

	t.Run("no repository", func(t *testing.T) {
		t.Parallel()
		got := gaps(history(t, t.TempDir(), HistoryOptions{}))
		if len(got) != 1 || !strings.HasPrefix(got[0], "history: there is no Git history to look at: git says ") {
			t.Errorf("%q", got)
		}
	})
	t.Run("no commits", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		git(t, dir, "init", "-q")
		if diff := cmp.Diff([]string{"history: the repository has no commits"}, gaps(history(t, dir, HistoryOptions{}))); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("shallow", func(t *testing.T) {
		t.Parallel()
		dir, keep := filepath.Join(t.TempDir(), "clone"), cache.Open(t.TempDir())
		git(t, origin, "clone", "-q", "--depth=2", "file://"+origin, dir)
		h := history(t, dir, HistoryOptions{Cache: keep})
		if diff := cmp.Diff([]string{"history: the repository is a shallow clone: 2 commits are here and searched, those before them are not"}, gaps(h)); diff != "" || len(h.Findings) != 1 {
			t.Errorf("%s%v", diff, h.Findings)
		}
		// What it ends at is compared with its parents once they are here.
		git(t, dir, "fetch", "-q", "--unshallow")
		h = history(t, dir, HistoryOptions{Cache: keep})
		if len(h.Gaps) > 0 || h.Scanned != 2 || len(h.Findings) != 2 || h.Findings[0].Commit != first || h.Findings[1].Commit != second {
			t.Errorf("%d scanned, %v, %v", h.Scanned, h.Findings, h.Gaps)
		}
	})
	t.Run("broken object", func(t *testing.T) {
		t.Parallel()
		dir := filepath.Join(t.TempDir(), "clone")
		git(t, origin, "clone", "-q", "--no-hardlinks", origin, dir)
		// Loose objects, of which one goes.
		object := git(t, dir, "rev-parse", second+":b.txt")
		if _, err := os.Stat(filepath.Join(dir, ".git/objects", object[:2], object[2:])); err != nil {
			t.Skip("git packs what it clones")
		}
		if err := os.Remove(filepath.Join(dir, ".git/objects", object[:2], object[2:])); err != nil {
			t.Fatal(err)
		}
		keep := cache.Open(t.TempDir())
		for range 2 { // it is never taken for scanned
			h := history(t, dir, HistoryOptions{Cache: keep})
			got := gaps(h)
			if len(got) != 1 || !strings.HasPrefix(got[0], "commit "+second[:12]+": git cannot show it: git says ") || len(h.Findings) != 1 || h.Findings[0].Commit != first {
				t.Errorf("%q, %v", got, h.Findings)
			}
		}
	})
	t.Run("broken reference", func(t *testing.T) {
		t.Parallel()
		dir := filepath.Join(t.TempDir(), "clone")
		git(t, origin, "clone", "-q", "--no-hardlinks", origin, dir)
		if err := os.Remove(filepath.Join(dir, ".git/objects", first[:2], first[2:])); err != nil {
			t.Skip("git packs what it clones")
		}
		got := gaps(history(t, dir, HistoryOptions{}))
		if len(got) == 0 || !strings.Contains(got[0], "git cannot list all commits, so that some are not searched: git says ") {
			t.Errorf("%q", got)
		}
	})
	t.Run("canceled", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := NewScanner(Default()).History(ctx, origin, HistoryOptions{}); err == nil {
			t.Error("no error")
		}
	})
	t.Run("large", func(t *testing.T) {
		t.Parallel()
		dir, keep := t.TempDir(), cache.Open(t.TempDir())
		git(t, dir, "init", "-q")
		c := commit(t, dir, map[string]string{"large.txt": strings.Repeat("line\n", MaxText/5+1), "long.txt": strings.Repeat("x", MaxText+1) + "\n", "a.txt": pat})
		want := []string{
			"large.txt in commit " + c[:12] + ": it adds more than 4 MiB in one piece, which are the most that are searched",
			"long.txt in commit " + c[:12] + ": it adds more than 4 MiB in one piece, which are the most that are searched",
		}
		for range 2 {
			h := history(t, dir, HistoryOptions{Cache: keep})
			if diff := cmp.Diff(want, gaps(h)); diff != "" || len(h.Findings) != 1 {
				t.Errorf("%s%v", diff, h.Findings)
			}
		}
	})
}

func TestExtend(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		text    string
		without []string
		err     string
		rule    string
	}{
		"empty":         {"", nil, "", ""},
		"rule":          {"[[rules]]\nid = 'home'\nregex = 'home_[a-z]{5}'\nkeywords = ['home_']\n", nil, "", "home"},
		"default":       {"[extend]\nuseDefault = true\n", nil, "", ""},
		"disabled":      {"[extend]\nuseDefault = true\ndisabledRules = ['github-pat']\n", []string{"extend.disabledRules"}, "", ""},
		"allowlist":     {"[[allowlists]]\npaths = ['.*']\n", []string{"allowlists of the whole file"}, "", ""},
		"old allowlist": {"[allowlist]\npaths = ['.*']\n", []string{"allowlists of the whole file"}, "", ""},
		"changed rule":  {"[[rules]]\nid = 'github-pat'\nregex = 'x'\n", []string{"changes of the rule github-pat, which gitleaks brings"}, "", ""},
		"other file":    {"[extend]\npath = '/etc/passwd'\n", []string{"extend.path and extend.url: other files are not read"}, "", ""},
		"no toml":       {"{", nil, "it is no configuration of gitleaks", ""},
		"no id":         {"[[rules]]\nregex = 'x'\n", nil, "a rule has no id", ""},
		"bad pattern":   {"[[rules]]\nid = 'home'\nregex = '('\n", nil, "rule home: error parsing regexp", ""},
		"bad group":     {"[[rules]]\nid = 'home'\nregex = 'x'\nsecretGroup = 3\n", nil, "secret group", ""},
		"too large":     {strings.Repeat("#", maxConfig+1), nil, "are the most that are read", ""},
		"required":      {"[[rules]]\nid = 'home'\nregex = 'x'\n[[rules.required]]\nid = 'nowhere'\n", nil, "does not exist", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, without, err := Default().Extend([]byte(tt.text))
			if tt.err != "" || err != nil {
				if err == nil || !strings.Contains(err.Error(), tt.err) || tt.err == "" {
					t.Errorf("error %v, want %q", err, tt.err)
				}
				return
			}
			if diff := cmp.Diff(tt.without, without); diff != "" {
				t.Errorf("without effect (-want +got):\n%s", diff)
			}
			if tt.rule != "" && (!r.Has(tt.rule) || Default().Has(tt.rule) || r.Version() == Default().Version()) {
				t.Errorf("the rule %s is not there, or everywhere", tt.rule)
			}
			found, err := NewScanner(r).File(t.Context(), "a.txt", []byte(pat+"\nhome_abcde\n"))
			if want := 1 + len(tt.rule)/4; err != nil || len(found) != want {
				t.Errorf("%v, %v, want %d findings", found, err, want)
			}
		})
	}
}

func FuzzExtend(f *testing.F) {
	f.Add([]byte("[[rules]]\nid = 'home'\nregex = 'home_[a-z]{5}'\nkeywords = ['home_']\n[extend]\nuseDefault = true\n"))
	f.Add([]byte("[[allowlists]]\npaths = ['.*']\ntargetRules = ['x']\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, _, err := Default().Extend(data)
		if err == nil && (r == nil || !r.Has("github-pat")) {
			t.Error("a rule is gone")
		}
	})
}

func FuzzDiff(f *testing.F) {
	f.Add([]byte("0123456789012345678901234567890123456789 12\n\ndiff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1,2 +1 @@\n-a\n-b\n+c\n\\ No newline at end of file\n"))
	f.Add([]byte("diff --git a/x b/x\n+++ \"b/\\303\\274\"\n@@ -0,0 +1,99999999999 @@\n+c"))
	f.Fuzz(func(t *testing.T, data []byte) {
		p := newDiffParser(newReader(data), 1000)
		_ = p.each(func(h *hunk) error {
			if len(h.text) > 1000 || h.file == "" || !isName(h.commit) || h.large && h.text != "" {
				t.Errorf("%+v", h)
			}
			return nil
		})
	})
}
