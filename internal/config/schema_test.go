package config

import (
	"errors"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lumacore.dev/lumacore/internal/schematest"
)

// schemaKeys asks a reader at every mapping of a schema which keys it knows, by a key that
// it does not know: its answer are the schema's. It returns how many mappings there are.
func schemaKeys(t *testing.T, schema []byte, read func(text string) error) int {
	t.Helper()
	_, root := schematest.Compile(t, schema)
	definitions, _ := root["definitions"].(map[string]any)
	mappings := 0
	var walk func(name string, s map[string]any, wrap func(inner string) string)
	walk = func(name string, s map[string]any, wrap func(string) string) {
		if ref, ok := s["$ref"].(string); ok {
			s = definitions[strings.TrimPrefix(ref, "#/definitions/")].(map[string]any)
		}
		if items, ok := s["items"].(map[string]any); ok {
			walk(name+"[]", items, func(inner string) string { return wrap("[" + inner + "]") })
		}
		properties, _ := s["properties"].(map[string]any)
		if properties == nil {
			return
		}
		mappings++
		var want []string
		for key, p := range properties {
			want = append(want, key)
			p := p.(map[string]any)
			if p["description"] == nil {
				t.Errorf("%s.%s is not described", name, key)
			}
			walk(name+"."+key, p, func(inner string) string { return wrap("{" + key + ": " + inner + "}") })
		}
		slices.Sort(want)
		err := read(wrap("{nosuchkeyatall: 1}"))
		if err == nil {
			t.Fatalf("%s takes a key that there is not", name)
		}
		known := regexp.MustCompile(`has no key "nosuchkeyatall"; known are (.*)`).FindStringSubmatch(err.Error())
		if known == nil {
			t.Fatalf("%s: the reader does not say what it knows: %v", name, err)
		}
		if diff := cmp.Diff(strings.Split(known[1], ", "), want); diff != "" {
			t.Errorf("keys of %s (-reader +schema):\n%s", name, diff)
		}
		if s["additionalProperties"] != false {
			t.Errorf("%s: the schema takes keys that there are not", name)
		}
	}
	walk("", root, func(inner string) string { return inner })
	return mappings
}

func TestSchemaKeys(t *testing.T) {
	n := schemaKeys(t, Schema, func(text string) error {
		_, err := Load(file(text))
		return err
	})
	if n < 10 {
		t.Errorf("only %d mappings were seen: the test is wrong", n)
	}
}

// TestSchemaAgrees holds the schema against the reader, one way and the other.
func TestSchemaAgrees(t *testing.T) {
	s, _ := schematest.Compile(t, Schema)
	valid := func(text string) error { return schematest.Validate(t, s, []byte(text)) }
	page, err := os.ReadFile("../../docs/reference/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	_, example, _ := strings.Cut(string(page), "This example has every key:\n\n```yaml\n")
	example, _, _ = strings.Cut(example, "```\n")
	own, err := os.ReadFile("../../blueprint/lumacore.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"the example of the reference": example,
		"the blueprint's":              string(own),
		"only the head":                head,
		"keys without values":          head + "clusters:\ncheck:\n",
		"a version that is a number":   head + "check: {kubeVersion: 1.30}\n",
		"an empty register":            head + "check: {podSecurity: {exemptions: []}}\n",
		"off":                          head + "check: {severity: {images: off}}\n",
		"a limit of a subject":         head + "check: {rbac: {limits: [{subject: ServiceAccount a/b, roles: [ClusterRole c], reason: x, review: 2027-01-01}]}}\n",
		"the core group":               head + `check: {rbac: {limits: [{role: Role a/b, rules: [{apiGroups: [""], resources: [a], verbs: [get]}], reason: x, review: 2027-01-01}]}}` + "\n",
	} {
		if _, err := Load(file(text)); err != nil {
			t.Errorf("%s: the reader refuses it: %v", name, err)
		}
		// YAML 1.1, which the test reads with, takes a bare off for false; editors do not.
		if err := valid(strings.ReplaceAll(text, ": off", `: "off"`)); err != nil {
			t.Errorf("%s: the schema refuses it: %v", name, err)
		}
	}
	const sha = "sha256:0000000000000000000000000000000000000000000000000000000000000000"
	for name, text := range map[string]string{
		"no head":                 "check: {}\n",
		"another kind":            "apiVersion: lumacore.dev/v1alpha1\nkind: Answers\n",
		"a text for a list":       head + "clusters: home\n",
		"a list for a text":       head + "environmentLabel: [a]\n",
		"an empty text":           head + "environmentLabel: ''\n",
		"no version":              head + "check: {kubeVersion: latest}\n",
		"failOn never":            head + "check: {failOn: never}\n",
		"a severity":              head + "check: {severity: {images: fatal}}\n",
		"a registry as URL":       head + "check: {images: {registries: ['https://ghcr.io']}}\n",
		"a cluster without path":  head + "clusters: [{name: a}]\n",
		"no reason":               head + "check: {allow: [{rule: a/b, expires: 2027-01-01}]}\n",
		"a day":                   head + "check: {allow: [{rule: a/b, reason: x, expires: 31.1.2027}]}\n",
		"an exemption's level":    head + "check: {podSecurity: {exemptions: [{namespace: a, level: restricted, reason: x, control: y, review: 2027-01-01}]}}\n",
		"a limit of nobody":       head + "check: {rbac: {limits: [{rules: [], reason: x, review: 2027-01-01}]}}\n",
		"a limit of two":          head + "check: {rbac: {limits: [{subject: Group a, role: ClusterRole a, rules: [], reason: x, review: 2027-01-01}]}}\n",
		"a subject":               head + "check: {rbac: {limits: [{subject: Account a/b, rules: [], reason: x, review: 2027-01-01}]}}\n",
		"a rule without verbs":    head + "check: {rbac: {limits: [{role: ClusterRole a, rules: [{apiGroups: [a], resources: [b]}], reason: x, review: 2027-01-01}]}}\n",
		"a rule about nothing":    head + "check: {rbac: {limits: [{role: ClusterRole a, rules: [{verbs: [get]}], reason: x, review: 2027-01-01}]}}\n",
		"a provider without name": head + "check: {policy: {providers: [{live: true}]}}\n",
		"no digest":               head + "blueprint: {version: v1}\n",
		"a digest":                head + "blueprint: {version: v1, digest: " + sha[:40] + "}\n",
		"no e-mail":               head + "publicIdentity: {name: octocat}\n",
		"an e-mail":               head + "publicIdentity: {name: octocat, email: octocat}\n",
	} {
		if _, err := Load(file(text)); err == nil {
			t.Errorf("%s: the reader takes it", name)
		} else if e := (*Error)(nil); !errors.As(err, &e) {
			t.Errorf("%s: %v", name, err)
		}
		if err := valid(text); err == nil {
			t.Errorf("%s: the schema takes it", name)
		}
	}
	if err := valid(head + "blueprint: {version: v1, digest: " + sha + "}\n"); err != nil {
		t.Error(err)
	}
}
