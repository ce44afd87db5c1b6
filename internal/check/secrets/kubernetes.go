package secrets

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"lumacore.dev/lumacore/internal/check"
	"lumacore.dev/lumacore/internal/gitops"
	"lumacore.dev/lumacore/internal/report"
)

// kubernetes reports Secrets in the repository that are not encrypted: as they are
// written, and those that kustomize makes of values and files.
func (l *look) kubernetes(ctx context.Context) error {
	for _, name := range l.files.Files() {
		if !gitops.IsYAML(name) {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		data, err := l.files.Once(name)
		if err != nil || !bytes.Contains(data, []byte("Secret")) || !bytes.Contains(data, []byte("ata")) {
			continue // a file that cannot be read is named by another rule
		}
		docs, err := l.documents(name, data)
		if err != nil {
			continue // the gate yaml says so; templates of charts are no YAML
		}
		for _, d := range docs {
			l.document(d)
		}
	}
	for _, c := range l.in.Render.Clusters {
		for _, o := range c.Objects {
			if !o.Is("", "Secret") || o.Origin.HelmRelease != "" || o.Written("kind") {
				continue
			}
			var keys []string
			for _, field := range []string{"data", "stringData"} {
				values, _ := o.Object[field].(map[string]any)
				for _, k := range slices.Sorted(maps.Keys(values)) {
					s, _ := values[k].(string)
					if _, sealed := o.Sealed()[field+"."+k]; !sealed && secret(k, s, field == "data") {
						keys = append(keys, k)
					}
				}
			}
			if len(keys) > 0 {
				f := check.Finding("secrets/in-git", c, o, nil, "%s is made of what is in Git and is not encrypted: %s", o.Key(), list(keys, 5))
				f.Source = hidden
				l.out.Add(f)
			}
		}
	}
	return nil
}

// documents parses a file, or takes what others have parsed.
func (l *look) documents(name string, data []byte) ([]*gitops.Document, error) {
	if l.files.Tree.IsFile(name) {
		return l.files.Documents(name)
	}
	return gitops.ParseDocuments(name, data)
}

// document reports a Secret with values that are not encrypted.
func (l *look) document(d *gitops.Document) {
	if !d.Is("", "Secret") || d.APIVersion != "v1" {
		return
	}
	var keys []string
	line := 0
	for _, field := range []string{"data", "stringData"} {
		_, n := d.Find(field)
		if n == nil || n.Kind != yaml.MappingNode {
			continue
		}
		for i := 0; i+1 < len(n.Content); i += 2 {
			k, v := n.Content[i], n.Content[i+1]
			if v.Kind == yaml.AliasNode {
				v = v.Alias
			}
			if k.Kind != yaml.ScalarNode || v.Kind != yaml.ScalarNode || !secret(k.Value, v.Value, field == "data") {
				continue
			}
			if line == 0 {
				line = k.Line
			}
			keys = append(keys, k.Value)
		}
	}
	if len(keys) == 0 {
		return
	}
	object := "Secret " + d.Name
	if d.Namespace != "" {
		object = "Secret " + d.Namespace + "/" + d.Name
	}
	l.out.Add(report.Finding{
		Rule: "secrets/in-git", Location: report.Location{File: d.File, Line: line}, Source: hidden, Object: object,
		Message: fmt.Sprintf("%s is in Git and is not encrypted: %s", object, list(keys, 5)),
	})
}

var (
	// A value that Flux or a script puts there, and nothing else.
	variable = regexp.MustCompile(`^(?:\$\{[^}]*\}|\$[A-Za-z_]\w*|\{\{[^}]*\}\}|<[^>]*>)$`)
	stub     = regexp.MustCompile(`(?i)^(?:change[-_ ]?me|replace[-_ ]?me|place[-_ ]?holder|redacted|todo|example|dummy|x{3,}|\*{3,}|\.{3,})$`)
	public   = regexp.MustCompile(`^\s*(?:-----BEGIN (?:TRUSTED )?CERTIFICATE-----|-----BEGIN PUBLIC KEY-----|ssh-(?:rsa|ed25519) |ecdsa-sha2-)`)
)

// secret tells whether a value of a Secret is one that only the cluster should know: it
// is not empty, not encrypted, no stand-in, and not public by its nature.
func secret(key, value string, encoded bool) bool {
	if encoded && !variable.MatchString(strings.TrimSpace(value)) && !strings.HasPrefix(value, "ENC[") {
		if data, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(value), "")); err == nil {
			value = string(data)
		}
	}
	value = strings.TrimSpace(value)
	switch {
	case value == "", variable.MatchString(value), stub.MatchString(value):
		return false
	case strings.Contains(value, "ENC[AES256_GCM,"), strings.HasPrefix(key, "sops_"):
		return false
	case key == "known_hosts", public.MatchString(value) && !strings.Contains(value, "PRIVATE KEY"):
		return false
	}
	return true
}
