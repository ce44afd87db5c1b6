package secrets

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lumacore.dev/lumacore/internal/check"
	"lumacore.dev/lumacore/internal/check/checktest"
	"lumacore.dev/lumacore/internal/report"
)

func TestExamples(t *testing.T) {
	t.Parallel()
	checktest.Examples(t, Gate)
}

// pat is a token that nobody ever gave out, in two parts: scanners read this file too.
var pat = "gh" + "p_" + "Zq8Kd7Wm2Xv5Rb9Tn4Yc6Hj1Lf3Gs0PaEuVo"

const matched = "rule github-pat of Gitleaks matches ghp_… (40 characters); fingerprint 109a55c0fe96e912c51b"

// found are the findings, with by what they are suppressed.
func found(rep *report.CheckReport) (out []string) {
	for _, f := range rep.Findings {
		text := fmt.Sprintf("%s %s %s", f.Location, strings.TrimPrefix(f.Rule, "secrets/"), f.Message)
		if s := f.Suppressed; s != nil {
			text += fmt.Sprintf(" [by %s until %s: %s]", s.By, s.Expires, s.Reason)
		}
		out = append(out, text)
	}
	return out
}

func TestGate(t *testing.T) {
	t.Parallel()
	namespace := "-- cluster/namespace.yaml --\napiVersion: v1\nkind: Namespace\nmetadata:\n  name: app\n"
	entry := func(rule, path, expires, more string) string {
		return "  - rule: " + rule + "\n    path: " + path + "\n    reason: a mock\n    ticket: HOME-1\n    owner: me\n    expires: " + expires + "\n" + more
	}
	const allowed = "-- .gitallowed --\napiVersion: lumacore.dev/v1alpha1\nkind: AllowedSecrets\nallow:\n"
	deployment := "-- cluster/deployment.yaml --\napiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: web\n  namespace: app\n  annotations:\n    note: ${A}${B}\nspec:\n  selector: {matchLabels: {app: web}}\n  template:\n    metadata:\n      labels: {app: web}\n      annotations:\n        note: ${A}${B}\n    spec:\n      containers:\n        - name: web\n          image: web\n          args:\n            - --quiet\n            - --token=${A}${B}\n          env:\n            - name: TOKEN\n              value: ${A}${B}\n"
	deployment = strings.ReplaceAll(deployment, "cluster/", "apps/")
	flux := "-- cluster/apps.yaml --\napiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata:\n  name: apps\n  namespace: flux-system\nspec:\n  interval: 10m\n  path: ./apps\n  prune: true\n  sourceRef:\n    kind: GitRepository\n    name: flux-system\n  postBuild:\n    substitute:\n      A: " + pat[:20] + "\n      B: " + pat[20:] + "\n"
	secretOf := func(body string) string {
		return "-- cluster/secret.yaml --\napiVersion: v1\nkind: Secret\nmetadata:\n  name: db\n  namespace: app\n" + body
	}
	for name, tt := range map[string]struct {
		repository string
		want       []string
	}{
		"nothing": {namespace, nil},
		"all files": {namespace + "-- README.md --\nx\n" + pat + "\n-- .sourceignore --\n/docs\n-- docs/a.yaml --\na: " + pat + "\n-- bin/a.svg --\n" + pat + "\n", []string{
			"README.md:2 leak " + matched, "docs/a.yaml:1 leak " + matched,
		}},
		"comment": {namespace + "-- a.go --\nx := \"" + pat + "\" // gitleaks:allow\n", []string{"a.go:1 leak " + matched + "; the comment gitleaks:allow has no effect here"}},
		"config of gitleaks": {namespace + "-- .gitleaks.toml --\n[extend]\nuseDefault = true\ndisabledRules = [\"github-pat\"]\n[[allowlists]]\npaths = [\".*\"]\n-- a.txt --\n" + pat + "\n", []string{
			".gitleaks.toml:1 foreign-allowlist .gitleaks.toml has what would let secrets pass and has no effect here: allowlists of the whole file; extend.disabledRules",
			"a.txt:1 leak " + matched,
		}},
		"allowed": {namespace + "-- a.txt --\n" + pat + "\n" + allowed + entry("github-pat", "a.txt", "2027-01-31", ""), []string{
			"a.txt:1 leak " + matched + " [by .gitallowed:4 until 2027-01-31: a mock (HOME-1, me)]",
		}},
		"allowed by fingerprint": {namespace + "-- a.txt --\n" + pat + "\n" + allowed + strings.Replace(entry("x", "\"**\"", "2027-01-31", ""), "rule: x", "fingerprint: 109a55c0fe96e912c51b", 1), []string{
			"a.txt:1 leak " + matched + " [by .gitallowed:4 until 2027-01-31: a mock (HOME-1, me)]",
		}},
		"expired": {namespace + "-- a.txt --\n" + pat + "\n" + allowed + entry("github-pat", "a.txt", "2026-10-31", ""), []string{
			".gitallowed:4 allowed-expired the entry for github-pat in a.txt held until 2026-10-31; findings that it fits count again",
			"a.txt:1 leak " + matched,
		}},
		"last day": {namespace + "-- a.txt --\n" + pat + "\n" + allowed + entry("github-pat", "a.txt", "2026-11-01", ""), []string{
			"a.txt:1 leak " + matched + " [by .gitallowed:4 until 2026-11-01: a mock (HOME-1, me)]",
		}},
		"unused, but maybe in the history": {namespace + allowed + entry("github-pat", "a.txt", "2027-01-31", "") + entry("github-pat", "b.txt", "2027-01-31", "    history: true\n"), []string{
			".gitallowed:4 allowed-unused the entry for github-pat in a.txt fits no finding",
		}},
		"about the mirror": {namespace + allowed + strings.Replace(entry("x", "a.txt", "2027-01-31", ""), "rule: x", "fingerprint: a.txt:private-address:1", 1), nil},
		"about a rule that nobody has": {namespace + allowed + strings.Replace(entry("x", "a.txt", "2027-01-31", ""), "rule: x", "fingerprint: a.txt:private-adress:1", 1), []string{
			".gitallowed:4 allowed-unused the entry for a.txt:private-adress:1 in a.txt fits no finding",
		}},
		"the secret for its fingerprint": {namespace + allowed + strings.Replace(entry("x", "a.txt", "2027-01-31", ""), "rule: x", "fingerprint: "+pat, 1), []string{
			".gitallowed:4 allowed-invalid allow[0].fingerprint is none; write the one that the finding names, or commit:file:rule:line as gitleaks prints it",
			".gitallowed:4 leak " + matched,
		}},
		"rendered": {flux + strings.ReplaceAll(namespace, "cluster/", "apps/") + deployment, []string{
			"apps/deployment.yaml:7 rendered annotation note of Deployment app/web: " + matched + "; it is in no file as it stands",
			"apps/deployment.yaml:14 rendered annotation note of Deployment app/web: " + matched + "; it is in no file as it stands",
			"apps/deployment.yaml:21 rendered arg 2 of container web of Deployment app/web: " + matched + "; it is in no file as it stands",
			"apps/deployment.yaml:24 rendered environment variable TOKEN of container web of Deployment app/web: " + matched + "; it is in no file as it stands",
		}},
		"rendered and in a file": {flux + strings.ReplaceAll(namespace, "cluster/", "apps/") + deployment + "-- a.txt --\n" + pat + "\n", []string{"a.txt:1 leak " + matched}},
		"rendered and allowed": {flux + strings.ReplaceAll(namespace, "cluster/", "apps/") + "-- apps/cm.yaml --\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n  namespace: app\ndata:\n  a: |\n    x\n    ${A}${B}\n" + allowed + entry("github-pat", "apps/cm.yaml", "2027-01-31", ""), []string{
			"apps/cm.yaml:7 rendered key a of ConfigMap app/a: " + matched + "; it is in no file as it stands [by .gitallowed:4 until 2027-01-31: a mock (HOME-1, me)]",
		}},
		"Secret": {namespace + secretOf("data:\n  empty: \"\"\n  user: YWRtaW4=\nstringData:\n  password: correct\n"), []string{
			"cluster/secret.yaml:8 in-git Secret app/db is in Git and is not encrypted: user, password",
		}},
		"Secret without secrets": {namespace + secretOf("data:\n  a: ${A:=x}\n  b: \"\"\n  c: PGNoYW5nZS1tZT4=\nstringData:\n  d: changeme\n  e: '{{ .Values.password }}'\n  known_hosts: git.example.org ssh-ed25519 AAAA\n  ca.crt: |\n    -----BEGIN CERTIFICATE-----\n    x\n"), nil},
		"Secret of SOPS":         {namespace + secretOf("stringData:\n  a: ENC[AES256_GCM,data:x,iv:y,tag:z,type:str]\nsops:\n  mac: ENC[AES256_GCM,data:x,iv:y,tag:z,type:str]\n"), nil},
		"Secret, half of SOPS":   {namespace + secretOf("stringData:\n  a: ENC[AES256_GCM,data:x,iv:y,tag:z,type:str]\n  b: plain\nsops:\n  mac: ENC[AES256_GCM,data:x,iv:y,tag:z,type:str]\n"), []string{"cluster/secret.yaml:8 in-git Secret app/db is in Git and is not encrypted: b"}},
		"Secret that Flux does not read": {namespace + "-- .sourceignore --\n/old\n-- old/secret.yaml --\napiVersion: v1\nkind: Secret\nmetadata:\n  name: db\nstringData: {password: correct}\n", []string{
			"old/secret.yaml:5 in-git Secret db is in Git and is not encrypted: password",
		}},
		"other Secrets":  {namespace + "-- cluster/es.yaml --\napiVersion: bitnami.com/v1alpha1\nkind: SealedSecret\nmetadata:\n  name: db\n  namespace: app\nspec:\n  encryptedData:\n    password: AgBy\n", nil},
		"strange Secret": {namespace + "-- x/secret.yaml --\napiVersion: v1\nkind: Secret\nmetadata:\n  name: db\ndata: [a, b]\nstringData:\n  ? {a: b}\n  : c\n", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := checktest.Input(t, tt.repository)
			for range 2 { // the second time with what the first has kept
				rep, err := check.Run(t.Context(), []*check.Gate{Gate}, in)
				if err != nil {
					t.Fatal(err)
				}
				rep.Findings = only(rep.Findings)
				got := found(rep)
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Errorf("findings (-want +got):\n%s", diff)
				}
				for _, f := range rep.Findings {
					if text := fmt.Sprintf("%+v", f); strings.Contains(text, pat[4:12]) {
						t.Errorf("the report shows the secret: %s", text)
					}
				}
			}
			secretsKept(t, in.Cache)
		})
	}
}

func only(findings []report.Finding) (out []report.Finding) {
	for _, f := range findings {
		if f.Gate() == Gate.Name {
			out = append(out, f)
		}
	}
	return out
}

// secretsKept fails the test if a secret is in the cache, or others may read it.
func secretsKept(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if fi, err := d.Info(); err != nil || fi.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", path, fi.Mode(), err)
		}
		if bytes.Contains(data, []byte(pat[4:12])) {
			t.Errorf("%s has the secret", path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestUnchecked: what is not searched is named.
func TestUnchecked(t *testing.T) {
	t.Parallel()
	const namespace = "-- cluster/namespace.yaml --\napiVersion: v1\nkind: Namespace\nmetadata:\n  name: app\n"
	for name, tt := range map[string]struct {
		repository string
		want       []string
	}{
		"binary":             {namespace + "-- a.dat --\n\x00\n-- b.zip --\n\x00\n-- c.png --\n\x00\n", []string{"2 binary files: they are no text, and archives are not unpacked: a.dat, b.zip"}},
		"large":              {namespace + "-- a.txt --\n" + strings.Repeat("x\n", 3<<20), []string{"a.txt: it is not searched for secrets: it has more than 4 MiB, which are the most that are searched"}},
		"large, and skipped": {namespace + "-- a.svg --\n" + strings.Repeat("x\n", 3<<20), nil},
		"broken config":      {namespace + "-- .gitleaks.toml --\n[[rules]]\nid = 'a'\nregex = '('\n", []string{"the rules in .gitleaks.toml: the file cannot be read, so that only the rules of Gitleaks are looked for: rule a: error parsing regexp: missing closing ): `(`"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := checktest.Input(t, tt.repository)
			for range 2 {
				rep, err := check.Run(t.Context(), []*check.Gate{Gate}, in)
				if err != nil {
					t.Fatal(err)
				}
				var got []string
				for _, u := range rep.NotChecked {
					if u.Gate == Gate.Name {
						got = append(got, u.Subject+": "+u.Reason)
					}
				}
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Errorf("not checked (-want +got):\n%s", diff)
				}
			}
		})
	}
}

// TestCache: a broken or foreign cache is as if it were not there.
func TestCache(t *testing.T) {
	t.Parallel()
	in := checktest.Input(t, "-- a.txt --\n"+pat+"\n-- cluster/namespace.yaml --\napiVersion: v1\nkind: Namespace\nmetadata:\n  name: app\n")
	for _, breaking := range []func([]byte) []byte{
		func(b []byte) []byte { return b },
		func(b []byte) []byte { return b[:len(b)/2] },
		func([]byte) []byte { return []byte(`{"clean":"AAAA","found":{"zz":{}}}`) },
		func([]byte) []byte { return nil },
	} {
		rep, err := check.Run(t.Context(), []*check.Gate{Gate}, in)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"a.txt:1 leak " + matched}, found(&report.CheckReport{Findings: only(rep.Findings)})); diff != "" {
			t.Errorf("findings (-want +got):\n%s", diff)
		}
		n := 0
		err = filepath.WalkDir(in.Cache, func(path string, d os.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			n++
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			return os.WriteFile(path, breaking(data), 0o600)
		})
		if err != nil || n == 0 {
			t.Fatalf("%d files, %v", n, err)
		}
	}
}
