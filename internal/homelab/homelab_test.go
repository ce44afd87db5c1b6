package homelab

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lumacore.dev/lumacore/blueprint"
	"lumacore.dev/lumacore/internal/config"
	"lumacore.dev/lumacore/internal/gitops"
	"lumacore.dev/lumacore/internal/golden"
	"lumacore.dev/lumacore/internal/report"
	"lumacore.dev/lumacore/internal/settings"
)

// good are the answers of a homelab: the examples.
func good() Answers {
	a := Answers{}
	for _, q := range Questions {
		a[q.Key] = Answer{Value: q.Example}
	}
	return a
}

// owner sets up who commits, and when, whatever is configured on this machine.
func owner(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("git is not installed")
	}
	for k, v := range map[string]string{
		"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null",
		"GIT_AUTHOR_NAME": "Owner", "GIT_AUTHOR_EMAIL": "owner@example.org", "GIT_AUTHOR_DATE": "2026-11-01T12:00:00Z",
		"GIT_COMMITTER_NAME": "Owner", "GIT_COMMITTER_EMAIL": "owner@example.org", "GIT_COMMITTER_DATE": "2026-11-01T12:00:00Z",
	} {
		t.Setenv(k, v)
	}
}

func shipped(t *testing.T) Files {
	t.Helper()
	files, err := ReadFiles(blueprint.Files)
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func options(t *testing.T, dir string) Options {
	return Options{Dir: dir, Blueprint: shipped(t), Version: "v0.3.0", Built: time.Date(2026, 10, 31, 0, 0, 0, 0, time.UTC)}
}

func git(t *testing.T, dir string, args ...string) string {
	t.Helper()
	out, err := exec.Command("git", append([]string{"-C", dir}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// TestQuestions: each variable of settings.env is asked for, once, and the rest of the
// table is as the prompt, the flags and the sample need it.
func TestQuestions(t *testing.T) {
	seen := map[string]bool{}
	var asked []string
	for _, q := range Questions {
		for _, name := range []string{"key " + q.Key, "flag " + q.Flag, "setting " + q.Setting} {
			if seen[name] && name != "setting " {
				t.Errorf("%s is there twice", name)
			}
			seen[name] = true
		}
		if q.Setting != "" {
			asked = append(asked, q.Setting)
		}
		if q.Words == "" || q.Group == "" || q.Example == "" || q.Meaning == "" || strings.HasSuffix(q.Meaning, ".") || q.Setting == "" && q.check == nil {
			t.Errorf("question %s lacks something: %+v", q.Key, q)
		}
		if flag := strings.ToLower(strings.NewReplacer("A", "-a", "B", "-b", "E", "-e", "H", "-h", "I", "-i", "N", "-n", "P", "-p", "R", "-r", "T", "-t", "U", "-u", "Z", "-z", "1", "-1", "2", "-2").Replace(q.Key)); flag != q.Flag {
			t.Errorf("the flag of %s is --%s, not --%s", q.Key, q.Flag, flag)
		}
	}
	want := settings.Names()
	slices.Sort(want)
	slices.Sort(asked)
	if diff := cmp.Diff(want, asked); diff != "" {
		t.Errorf("settings that are asked for (-settings +questions):\n%s", diff)
	}
	if list := good().Check(); len(list) > 0 {
		t.Errorf("the examples: %v", list)
	}
}

// TestCheck changes answers of a homelab and holds all that is said against what should
// be. What is wrong with single settings is tested where they are.
func TestCheck(t *testing.T) {
	for _, tt := range []struct {
		change, want string // both with a line for each
	}{
		{"agent1: 192.168.1.1", "agent1: node agent-1 has the address of the gateway 192.168.1.1"},
		{"agent2: 192.168.1.12", "agent2: node agent-2 has the address of node agent-1 192.168.1.12"},
		{"gitHost: 192.168.1.11", "server: node server has the address of the Git host 192.168.1.11"},
		{"s3Provider: azure", `s3Provider: S3 provider "azure" is none of r2, b2 and aws`},
		{"s3Provider: r2", `s3Endpoint: S3 endpoint "https://s3.eu-central-003.backblazeb2.com" is none of Cloudflare R2; write it like https://ACCOUNT.r2.cloudflarestorage.com`},
		{"s3Provider: aws", `s3Endpoint: S3 endpoint "https://s3.eu-central-003.backblazeb2.com" is none of AWS S3; write it like https://s3.REGION.amazonaws.com`},
		{"s3Region: us-west-004", `s3Region: S3 region "us-west-004" is another than that of the endpoint: eu-central-003`},
		{"s3Bucket: lab", `s3Bucket: S3 bucket "lab" has 3 characters; at Backblaze B2 a bucket's name has at least 6`},
		{"s3Bucket: b2-backup", `s3Bucket: S3 bucket "b2-backup" begins with b2-, which Backblaze keeps for itself`},
		{"publicName: -", `publicEmail: public e-mail "583231+octocat@users.noreply.github.com" has no public name; give both, or neither`},
		{"publicEmail: -", `publicName: public name "octocat" has no public e-mail; give both, or neither`},
		{"publicEmail: Owner@example.org", `publicEmail: public e-mail "Owner@example.org" is the owner's, with which Cloudflare Access lets in; strangers see the public one: use a no-reply address of your code host`},
		{"publicEmail: octocat", `publicEmail: public e-mail "octocat" is no e-mail address`},
		{"publicName: octocat <o@example.org>", `publicName: public name "octocat <o@example.org>" has a character that a name in Git cannot have; the e-mail is another answer`},
		{"publicName: glpat-x", "publicName: public name looks like a token of GitLab, and no secret may stand in Git"},
		{"publicName: ", "publicName: public name is empty"},
		{"vault: ", "vault: 1Password vault is empty"},
		{"cloudflareTunnel: homelab", "cloudflareTunnel: Cloudflare tunnel \"homelab\" is no UUID; `cloudflared tunnel list` shows it, like 6ff42ae2-765d-4adf-8112-31c55c1551ef"},
		{"timeZone: Europe/Berln", `timeZone: time zone "Europe/Berln" is unknown; did you mean Europe/Berlin?`},
		{"domain: http://home.example.org\nserver: 192.168.2.11\ngitUrl: https://x:y@git.example.org/a/b.git", `domain: domain "http://home.example.org" is an address; write the name alone: home.example.org
server: node server 192.168.2.11 is not in the network 192.168.1.0/24
gitUrl: Git URL looks like an address with credentials in it, and no secret may stand in Git: keep it in 1Password, and make a new one if this one was committed or typed on a command line`},
		{"publicName: -\npublicEmail: -", ""},
	} {
		t.Run(tt.change, func(t *testing.T) {
			a := good()
			for line := range strings.Lines(tt.change) {
				key, value, _ := strings.Cut(strings.TrimRight(line, "\n"), ": ")
				if Lookup(key) == nil {
					t.Fatalf("there is no question %s", key)
				}
				a[key] = Answer{Value: value}
				if value == "-" {
					delete(a, key)
				}
			}
			for key, answer := range a {
				answer.From = key
				a[key] = answer
			}
			var got []string
			for _, m := range a.Check() {
				got = append(got, m.String())
			}
			if diff := cmp.Diff(tt.want, strings.Join(got, "\n")); diff != "" {
				t.Errorf("said (-want +got):\n%s", diff)
			}
		})
	}
}

const head = "apiVersion: lumacore.dev/v1alpha1\nkind: Answers\n"

func TestReadAnswers(t *testing.T) {
	a, err := ReadAnswers(strings.NewReader("---\n# mine\n"+head+"domain: home.example.org\nvault: 007\nserver:\nagent1: ''\n"), "a.yaml")
	if err != nil {
		t.Fatal(err)
	}
	want := Answers{"domain": {"home.example.org", "a.yaml:5"}, "vault": {"007", "a.yaml:6"}, "agent1": {"", "a.yaml:8"}}
	if diff := cmp.Diff(want, a); diff != "" {
		t.Errorf("answers (-want +got):\n%s", diff)
	}
	for text, want := range map[string]string{
		"":                                    "a.yaml:1: the file has no answers; lumacore init --sample-answers shows its form",
		"domain: [\n":                         "a.yaml:1: this is no YAML: did not find expected node content",
		"- domain\n":                          "a.yaml:1: a mapping of answers is expected; lumacore init --sample-answers shows its form",
		"domain: a\n":                         "a.yaml:1: begin the file with apiVersion: lumacore.dev/v1alpha1 and kind: Answers",
		"apiVersion: v1\nkind: Secret\n":      "a.yaml:1: this is v1 Secret; lumacore.dev/v1alpha1 Answers is expected",
		head + "domian: a\n":                  `a.yaml:3: there is no answer "domian"; did you mean domain?`,
		head + "agent-1: a\n":                 `a.yaml:3: there is no answer "agent-1"; did you mean agent1?`,
		head + "GIT_URL: a\n":                 `a.yaml:3: there is no answer "GIT_URL"; did you mean gitUrl?`,
		head + "giturl: a\n":                  `a.yaml:3: there is no answer "giturl"; did you mean gitUrl?`,
		head + "password: a\n":                `a.yaml:3: there is no answer "password"; lumacore init --sample-answers shows all`,
		head + "domain: a\ndomain: b\n":       "a.yaml:4: domain stands in line 3 already",
		head + "domain: [a]\n":                "a.yaml:3: domain is no text; write one value behind it",
		head + "domain: &a b\nserver: *a\n":   "a.yaml:4: server is no text; write one value behind it",
		head + "? [a]\n: b\n":                 "a.yaml:3: a key is no plain word",
		head + "---\n" + head:                 "a.yaml:3: the file holds one document",
		head + "domian: a\nsever: b\n":        "2 answers are wrong\n  a.yaml:3: there is no answer \"domian\"; did you mean domain?\n  a.yaml:4: there is no answer \"sever\"; did you mean server?",
		head + "\"\\e[31m\": a\n":             `a.yaml:3: there is no answer "\x1b[31m"; lumacore init --sample-answers shows all`,
		strings.Repeat("#", MaxAnswers) + "#": "a.yaml: has more than 1024 KiB, which are the most that are read",
	} {
		a, err := ReadAnswers(strings.NewReader(text), "a.yaml")
		var e *AnswersError
		if !errors.As(err, &e) || a != nil || err.Error() != want {
			t.Errorf("%.60q:\n got %v\nwant %s", text, err, want)
		}
	}
}

// TestSample: the sample can be read, has every key, and lacks what has to be said.
func TestSample(t *testing.T) {
	a, err := ReadAnswers(strings.NewReader(Sample()), "sample")
	if err != nil {
		t.Fatal(err)
	}
	a.Complete()
	if list := a.Check(); len(list) > 0 {
		t.Errorf("the sample's own answers: %v", list)
	}
	missing := map[string]bool{}
	for _, q := range a.Missing() {
		missing[q.Key] = true
	}
	for _, q := range Questions {
		if strings.Count(Sample(), "\n"+q.Key+":") != 1 {
			t.Errorf("the sample does not have %s once", q.Key)
		}
		if required := strings.Contains(Sample(), "# REQUIRED. "+strings.ToUpper(q.Meaning[:1])+q.Meaning[1:]); required && !missing[q.Key] {
			t.Errorf("%s is said to be required, and is not", q.Key)
		}
	}
	if len(missing) < 10 {
		t.Errorf("only %v are missing", missing)
	}
}

// TestComplete: what follows from other answers.
func TestComplete(t *testing.T) {
	for _, tt := range []struct{ given, want Values }{
		{Values{"s3Provider": "r2", "cloudflareAccount": "f037e56e89293a057740de681ac9abbe"}, Values{"s3Region": "auto", "s3Endpoint": "https://f037e56e89293a057740de681ac9abbe.r2.cloudflarestorage.com"}},
		{Values{"s3Provider": "b2", "s3Region": "us-west-004"}, Values{"s3Endpoint": "https://s3.us-west-004.backblazeb2.com"}},
		{Values{"s3Provider": "aws", "s3Region": "eu-west-1"}, Values{"s3Endpoint": "https://s3.eu-west-1.amazonaws.com"}},
		{Values{"s3Endpoint": "https://s3.us-west-004.backblazeb2.com"}, Values{"s3Provider": "b2", "s3Region": "us-west-004"}},
		{Values{"s3Endpoint": "https://minio.example.org"}, Values{"s3Provider": "", "s3Region": ""}},
	} {
		a := Answers{}
		for key, value := range tt.given {
			a[key] = Answer{Value: value}
		}
		a.Complete()
		for key, value := range tt.want {
			if a[key].Value != value {
				t.Errorf("%v: %s is %q, want %q", tt.given, key, a[key].Value, value)
			}
		}
	}
}

// TestPrompt is a conversation: defaults, mistakes, blank answers.
func TestPrompt(t *testing.T) {
	typed := []string{
		"", "home", "home.example.org", // domain
		"192.168.1.0/24", "", "192.168.1.1", "192.168.1.11", // network, gateway, server
		"", "", // agents
		"", "", "", // pods, services, time zone
		"git@gitlab.home.example.org:a/b.git", "", "192.168.1.12", "192.168.1.5", "", // Git, registry
		"f037e56e89293a057740de681ac9abbe", "6ff42ae2-765d-4adf-8112-31c55c1551ef", "home-example", good()["accessAudience"].Value,
		"s3", "r2", "", "", "homelab-backup",
		"", "", "", // Discord, e-mail, documentation
		"octocat", "owner@example.org", "583231+octocat@users.noreply.github.com",
	}
	var out bytes.Buffer
	a := Answers{"vault": {Value: "Home Lab", From: "--vault"}}
	p := &Prompt{In: strings.NewReader(strings.Join(typed, "\n") + "\n"), Out: &out, Suggest: Values{"timeZone": "Europe/Berlin", "ownerEmail": "owner@example.org"}}
	if err := p.Ask(t.Context(), a); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	if list := a.Check(); len(list)+len(a.Missing()) > 0 {
		t.Errorf("after the conversation: %v, missing %d", list, len(a.Missing()))
	}
	var b strings.Builder
	b.WriteString(out.String())
	for _, q := range Questions {
		fmt.Fprintf(&b, "%s: %s\n", q.Key, a[q.Key].Value)
	}
	golden.Check(t, "TestPrompt", []byte(b.String()))
}

// TestPromptEnds: neither the end of the input nor an interruption hangs.
func TestPromptEnds(t *testing.T) {
	p := &Prompt{In: strings.NewReader("home.example.org\n"), Out: io.Discard}
	err := p.Ask(t.Context(), Answers{})
	if want := "the input ended before all was answered; nothing was written"; err == nil || err.Error() != want || report.ExitCode(err) != report.ExitUsage {
		t.Errorf("at the end of the input: %v", err)
	}
	// What was typed before the end, without a line break, is an answer; then it ends.
	a := Answers{}
	p.In = strings.NewReader("home.example.org")
	if err := p.Ask(t.Context(), a); err == nil || report.ExitCode(err) != report.ExitUsage || a["domain"].Value != "home.example.org" {
		t.Errorf("at an end without a line break: %v, %v", err, a)
	}
	in, typing := io.Pipe()
	defer typing.Close()
	ctx, cancel := context.WithCancel(t.Context())
	p.In = in
	p.Out = asked(cancel)
	if err := p.Ask(ctx, Answers{}); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
}

// asked is a writer that calls a function when a question was asked.
type asked func()

func (f asked) Write(b []byte) (int, error) {
	if bytes.HasSuffix(b, []byte(": ")) {
		f()
	}
	return len(b), nil
}

// TestMake holds a repository that was made against a description of it: its branches
// and commits, and what the owner's commit changes.
func TestMake(t *testing.T) {
	owner(t)
	dir := filepath.Join(t.TempDir(), "home lab")
	a := good()
	a["podNetwork"] = Answer{Value: "10.142.0.0/16"}
	a["discordItem"] = Answer{Value: "yes"} // YAML would take it for true
	a["publicName"] = Answer{Value: "Homelab: mirror"}
	m, err := Make(t.Context(), a, options(t, dir))
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	b.WriteString("branches\n" + git(t, dir, "for-each-ref", "--format=%(refname)"))
	b.WriteString("HEAD " + git(t, dir, "symbolic-ref", "HEAD"))
	b.WriteString("\ncommits, newest first\n" + git(t, dir, "log", "--format=%an <%ae> %aI%n%cn <%ce> %cI%n%B"))
	b.WriteString("what the owner's commit changes\n")
	diff := git(t, dir, "diff", "--unified=0", Vendor, Main)
	for line := range strings.Lines(diff) {
		if strings.HasPrefix(line, "index ") || strings.HasPrefix(line, "@@") || strings.HasPrefix(line, "--- ") || strings.HasPrefix(line, "diff ") {
			continue
		}
		b.WriteString(line)
	}
	golden.Check(t, "TestMake", []byte(strings.ReplaceAll(b.String(), shipped(t).Digest(), "sha256:DIGEST")))

	if status := git(t, dir, "status", "--porcelain", "--ignored"); status != "" {
		t.Errorf("not committed:\n%s", status)
	}
	if err := exec.Command("git", "-C", dir, "fsck", "--strict").Run(); err != nil {
		t.Errorf("git fsck: %v", err)
	}
	if got := strings.TrimSpace(git(t, dir, "rev-parse", Vendor)); got != m.Vendor {
		t.Errorf("the blueprint's branch is at %s, not %s", got, m.Vendor)
	}
	// The blueprint's branch has the blueprint, byte for byte, and no file may be run.
	got := Files{}
	archive := tar.NewReader(strings.NewReader(git(t, dir, "archive", "--format=tar", Vendor)))
	for {
		h, err := archive.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		if h.Mode&0o111 != 0 {
			t.Errorf("%s may be run", h.Name)
		}
		if got[h.Name], err = io.ReadAll(archive); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(shipped(t), got); diff != "" {
		t.Errorf("files of %s (-want +got):\n%s", Vendor, diff)
	}
	for _, name := range []string{".", "clusters/lumacore/settings.env"} {
		fi, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if want := map[bool]fs.FileMode{true: 0o755, false: 0o644}[fi.IsDir()]; fi.Mode().Perm()|0o022 != want|0o022 {
			t.Errorf("%s has the mode %v", name, fi.Mode())
		}
	}
	c, err := config.Load(gitops.FromFiles(m.Files))
	if err != nil {
		t.Fatal(err)
	}
	if c.Blueprint == nil || c.Blueprint.Version != "v0.3.0" || c.Blueprint.Digest != shipped(t).Digest() || c.PublicIdentity.Name != "Homelab: mirror" {
		t.Errorf("lumacore.yaml: %+v, %+v", c.Blueprint, c.PublicIdentity)
	}
	r, err := config.ParseSecretRegister(m.Files[config.SecretRegisterFile])
	if err != nil || !slices.ContainsFunc(r.Items, func(i config.SecretItem) bool { return i.Item == "yes" }) {
		t.Errorf("the register has no item yes: %v", err)
	}
}

// TestMakeDeterministic: the same blueprint makes the same commit, whatever the user's
// configuration is.
func TestMakeDeterministic(t *testing.T) {
	owner(t)
	first, err := Make(t.Context(), good(), options(t, filepath.Join(t.TempDir(), "a")))
	if err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	if err := os.WriteFile(filepath.Join(home, "ignore"), []byte("*.env\n.*\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	own := "[core]\n\tautocrlf = true\n\texcludesFile = " + home + "/ignore\n\thooksPath = " + home + "/hooks\n[init]\n\tdefaultBranch = trunk\n\ttemplateDir = " + home + "\n[commit]\n\tverbose = true\n[user]\n\tname = Owner\n\temail = owner@example.org\n"
	if err := os.WriteFile(filepath.Join(home, "config"), []byte(own), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(home, "hooks"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(home, "hooks", "pre-commit"), []byte("#!/bin/sh\nexit 1\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("GIT_CONFIG_GLOBAL", filepath.Join(home, "config"))
	t.Setenv("GIT_DIR", "/nowhere")
	t.Setenv("GIT_INDEX_FILE", "/nowhere/index")
	second, err := Make(t.Context(), good(), options(t, filepath.Join(t.TempDir(), "b")))
	if err != nil {
		t.Fatal(err)
	}
	if first.Vendor != second.Vendor || first.Commit != second.Commit {
		t.Errorf("commits %s and %s, then %s and %s", first.Vendor, first.Commit, second.Vendor, second.Commit)
	}
	o := options(t, filepath.Join(t.TempDir(), "c"))
	o.Blueprint["README.md"] = append(slices.Clone(o.Blueprint["README.md"]), "More.\n"...)
	third, err := Make(t.Context(), good(), o)
	if err != nil {
		t.Fatal(err)
	}
	if third.Vendor == first.Vendor || third.Blueprint.Digest == first.Blueprint.Digest {
		t.Error("another blueprint has the same commit or digest")
	}
}

// TestUpgrade: a newer blueprint is committed to its branch and merges into main,
// without a conflict where the owner's answers stand.
func TestUpgrade(t *testing.T) {
	owner(t)
	dir := filepath.Join(t.TempDir(), "homelab")
	if _, err := Make(t.Context(), good(), options(t, dir)); err != nil {
		t.Fatal(err)
	}
	git(t, dir, "checkout", "-q", Vendor)
	for name, edit := range map[string]func(string) string{
		settings.File: func(s string) string { return s + "\n# OPTIONAL. New.\nNEW=1\n" },
		config.File:   func(s string) string { return strings.Replace(s, "kubeVersion: \"1.36\"", "kubeVersion: \"1.37\"", 1) },
		"README.md":   func(s string) string { return s + "\nMore.\n" },
	} {
		path := filepath.Join(dir, name)
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(edit(string(data))), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	git(t, dir, "commit", "-qam", "chore: blueprint v0.4.0")
	git(t, dir, "checkout", "-q", Main)
	git(t, dir, "merge", "-q", "--no-edit", Vendor)
	data, err := os.ReadFile(filepath.Join(dir, settings.File))
	if err != nil || !strings.Contains(string(data), "\nNEW=1\n") || !strings.Contains(string(data), "\nDOMAIN=home.example.org\n") {
		t.Errorf("after the merge: %v\n%s", err, data)
	}
}

// TestMakeLeavesNothing: a repository that cannot be completed is not there at all.
func TestMakeLeavesNothing(t *testing.T) {
	owner(t)
	for name, empty := range map[string]bool{"no folder": false, "an empty folder": true} {
		t.Run(name, func(t *testing.T) {
			parent := t.TempDir()
			dir := filepath.Join(parent, "homelab")
			if empty {
				if err := os.Mkdir(dir, 0o755); err != nil {
					t.Fatal(err)
				}
				// What a run left that was killed.
				if err := os.MkdirAll(filepath.Join(dir, begun+"1", "repository"), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if _, err := Make(ctx, good(), options(t, dir)); !errors.Is(err, context.Canceled) {
				t.Errorf("interrupted: %v", err)
			}
			// No identity, and so no commit.
			t.Run("no identity", func(t *testing.T) {
				for _, name := range []string{"GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL"} {
					t.Setenv(name, "")
				}
				t.Setenv("GIT_CONFIG_COUNT", "1")
				t.Setenv("GIT_CONFIG_KEY_0", "user.useConfigOnly")
				t.Setenv("GIT_CONFIG_VALUE_0", "true")
				if _, err := Make(t.Context(), good(), options(t, dir)); err == nil || !strings.HasPrefix(err.Error(), "the first commit cannot be made: git commit: ") {
					t.Errorf("without an identity: %v", err)
				}
			})
			var left []string
			err := filepath.WalkDir(parent, func(path string, d fs.DirEntry, err error) error {
				if path != parent && path != dir {
					left = append(left, path)
				}
				return err
			})
			if err != nil || len(left) > 0 {
				t.Errorf("left: %v, %v", left, err)
			}
			// The same again succeeds.
			if _, err := Make(t.Context(), good(), options(t, dir)); err != nil {
				t.Fatal(err)
			}
			if status := git(t, dir, "status", "--porcelain"); status != "" {
				t.Errorf("not committed:\n%s", status)
			}
		})
	}
}

// TestEdits: an answer whose place in the blueprint is gone is an error, not a repository
// without it.
func TestEdits(t *testing.T) {
	for name, want := range map[string]string{
		settings.File:           "clusters/lumacore/settings.env: clusters/lumacore/settings.env has no line for ",
		config.File:             `lumacore.yaml: there is no line "kind: Config"`,
		"network.assert.yaml":   `network.assert.yaml: there are 0 lines "- 10.42.0.0/16", not one`,
		"secrets.register.yaml": `secrets.register.yaml: there are 0 lines "- item: discord-webhook", not one`,
	} {
		files := shipped(t)
		files[name] = []byte("---\n")
		a := good()
		a["podNetwork"], a["discordItem"] = Answer{Value: "10.142.0.0/16"}, Answer{Value: "alerts"}
		if _, err := files.With(a, config.Blueprint{}); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
		delete(files, name)
		if _, err := files.With(a, config.Blueprint{}); err == nil || err.Error() != "the blueprint has no "+name {
			t.Errorf("without %s: %v", name, err)
		}
	}
}

// TestEmbedded: the binary has every file of the folder blueprint, and none of them may
// be run, which embedding would forget.
func TestEmbedded(t *testing.T) {
	out, err := exec.Command("git", "-C", "../../blueprint", "ls-files", "--stage", "--", ".").Output()
	if err != nil {
		t.Skipf("no checkout: %v", err)
	}
	files := shipped(t)
	for line := range strings.Lines(string(out)) {
		about, name, _ := strings.Cut(strings.TrimSpace(line), "\t")
		if name == "embed.go" {
			continue
		}
		if _, ok := files[name]; !ok {
			t.Errorf("blueprint/%s is not embedded; see blueprint/embed.go", name)
		}
		if !strings.HasPrefix(about, "100644 ") {
			t.Errorf("blueprint/%s has the mode %.6s, which an owner's repository would not have: run it with sh", name, about)
		}
	}
}

// FuzzReadAnswers: whatever a file holds, it is answers or an AnswersError.
func FuzzReadAnswers(f *testing.F) {
	for _, seed := range []string{"", head, head + "domain: a", Sample(), "&a [*a]", "? - : -", "---\n...\n---", "a: !!binary x", head + "domain: !!null x"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		a, err := ReadAnswers(bytes.NewReader(data), "a.yaml")
		var e *AnswersError
		if err != nil && (!errors.As(err, &e) || len(e.Mistakes) == 0 || a != nil) {
			t.Fatalf("%v, %v", a, err)
		}
		a.Check()
	})
}
