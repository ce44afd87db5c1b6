package render

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// placeholder returns the Secret that an object makes in the cluster: that of a
// secrets operator, or the object itself when it is encrypted.
func placeholder(o *Object) (Placeholder, bool) {
	p := Placeholder{
		Secret: Key{"", "Secret", o.GetNamespace(), o.GetName()}, From: o.Key().String(),
		Type: "Opaque", Location: o.Origin.Location,
	}
	text := func(fields ...string) string { s, _, _ := unstructured.NestedString(o.Object, fields...); return s }
	name := func(fields ...string) {
		if s := text(fields...); s != "" {
			p.Secret.Name = s
		}
	}
	kind := func(fields ...string) {
		if s := text(fields...); s != "" {
			p.Type = s
		}
	}
	keys := func(fields ...string) {
		m, _, _ := unstructured.NestedMap(o.Object, fields...)
		p.Keys = append(p.Keys, slices.Collect(maps.Keys(m))...)
	}
	gvk := o.GroupVersionKind()
	switch gvk.Group + "/" + gvk.Kind {
	case "onepassword.com/OnePasswordItem": // https://developer.1password.com/docs/k8s/operator/
		p.Any = true
		kind("type")
	case "external-secrets.io/ExternalSecret": // https://external-secrets.io/latest/api/externalsecret/
		name("spec", "target", "name")
		kind("spec", "target", "template", "type")
		data, _, _ := unstructured.NestedSlice(o.Object, "spec", "data")
		for _, d := range data {
			if m, ok := d.(map[string]any); ok {
				if k, ok := m["secretKey"].(string); ok {
					p.Keys = append(p.Keys, k)
				}
			}
		}
		from, _, _ := unstructured.NestedSlice(o.Object, "spec", "dataFrom")
		template, _, _ := unstructured.NestedMap(o.Object, "spec", "target", "template")
		p.Any = len(from) > 0
		if template["data"] != nil || template["templateFrom"] != nil {
			if text("spec", "target", "template", "mergePolicy") != "Merge" {
				p.Keys, p.Any = nil, false // the template's keys replace the others
			}
			keys("spec", "target", "template", "data")
			p.Any = p.Any || template["templateFrom"] != nil
		}
	case "bitnami.com/SealedSecret": // https://github.com/bitnami-labs/sealed-secrets
		name("spec", "template", "metadata", "name")
		kind("spec", "template", "type")
		keys("spec", "encryptedData")
		keys("spec", "template", "data")
	case "cert-manager.io/Certificate": // https://cert-manager.io/docs/usage/certificate/
		name("spec", "secretName")
		p.Type, p.Keys = "kubernetes.io/tls", []string{"ca.crt", "tls.crt", "tls.key"}
		p.Any = o.Object["spec"] != nil && hasAny(o.Object, "additionalOutputFormats", "keystores")
	case "secrets.hashicorp.com/VaultStaticSecret", "secrets.hashicorp.com/VaultDynamicSecret", "secrets.hashicorp.com/VaultPKISecret":
		name("spec", "destination", "name")
		kind("spec", "destination", "type")
		p.Any = true
	case "secrets.infisical.com/InfisicalSecret":
		name("spec", "managedSecretReference", "secretName")
		if ns := text("spec", "managedSecretReference", "secretNamespace"); ns != "" {
			p.Secret.Namespace = ns
		}
		p.Any = true
	case "postgresql.cnpg.io/Cluster": // https://cloudnative-pg.io/documentation/current/applications/
		p.Secret.Name = o.GetName() + "-app"
		p.Type, p.Any = "kubernetes.io/basic-auth", true
	case "/Secret":
		if !o.encrypted {
			return Placeholder{}, false
		}
		p.From = "SOPS"
		kind("type")
		keys("data")
		keys("stringData")
	default:
		return Placeholder{}, false
	}
	slices.Sort(p.Keys)
	p.Keys = slices.Compact(p.Keys)
	return p, true
}

func hasAny(o map[string]any, fields ...string) bool {
	spec, _ := o["spec"].(map[string]any)
	return slices.ContainsFunc(fields, func(f string) bool { return spec[f] != nil })
}

// generatedEncrypted tells whether a generated Secret or ConfigMap holds values as
// SOPS leaves them: kustomize-controller decrypts the files of generators before it
// builds (https://fluxcd.io/flux/components/kustomize/kustomizations/#kustomize-secretgenerator).
func generatedEncrypted(o *Object) bool {
	if !o.Is("", "Secret", "ConfigMap") {
		return false
	}
	data, _ := o.Object["data"].(map[string]any)
	for _, v := range data {
		if s, ok := v.(string); ok && strings.Contains(decoded(o, s), "ENC[AES256_GCM,") {
			return true
		}
	}
	return false
}

// decoded returns a value of an object's data as text.
func decoded(o *Object, v string) string {
	if o.Is("", "Secret") {
		if b, err := base64.StdEncoding.DecodeString(v); err == nil {
			return string(b)
		}
	}
	return v
}

// hide replaces the encrypted values of an object, as SOPS leaves them
// (https://github.com/getsops/sops), by stand-ins of the same place: text stays
// text, and the values of a Secret's data stay base64.
func hide(o *Object) {
	delete(o.Object, "sops")
	o.encrypted, o.sealed = true, map[string][sha256.Size]byte{}
	seal := func(path, v string) {
		was := o.sealed[path] // of an item before it in the same list
		o.sealed[path] = sha256.Sum256(append(was[:], v...))
	}
	secret := o.Is("", "Secret")
	if data, ok := o.Object["data"].(map[string]any); ok {
		for k, v := range data {
			s, ok := v.(string)
			switch {
			case strings.HasPrefix(k, "sops_"): // of an encrypted .env file; SOPS takes them out
				delete(data, k)
			case ok && strings.Contains(decoded(o, s), "ENC[AES256_GCM,"):
				seal("data."+k, s)
				data[k] = "ENC[" // in whatever form, the whole value is secret
			}
		}
	}
	var walk func(v any, path []string) any
	walk = func(v any, path []string) any {
		switch v := v.(type) {
		case map[string]any:
			for k, x := range v {
				v[k] = walk(x, append(path, k))
			}
		case []any:
			for i, x := range v {
				v[i] = walk(x, path)
			}
		case string:
			if !strings.HasPrefix(v, "ENC[") {
				return v
			}
			if v != "ENC[" { // else it has been sealed above
				seal(strings.Join(path, "."), v)
			}
			name := ""
			if len(path) > 0 {
				name = path[len(path)-1]
			}
			o.Origin.Placeholders = append(o.Origin.Placeholders, fmt.Sprintf("%s, encrypted with SOPS", strings.Join(path, ".")))
			if secret && len(path) > 1 && path[0] == "data" {
				return base64.StdEncoding.EncodeToString([]byte(standIn(name)))
			}
			return standIn(name)
		}
		return v
	}
	walk(o.Object, nil)
	slices.Sort(o.Origin.Placeholders)
	o.Origin.Placeholders = slices.Compact(o.Origin.Placeholders)
}
