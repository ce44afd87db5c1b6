package main

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// kubeconform reads one JSON schema per kind. These functions write them from what
// LumaCore holds objects against itself, so that both sides check the same: the
// schemas of Kubernetes and of Flux that are embedded in it, and the CRDs in a
// stream. Strict means that fields which a schema does not have are refused.

// embedded is where the embedded schemas are.
const embedded = "internal/schemas/data"

// schemaLocation is where kubeconform finds schemas in a folder.
func schemaLocation(dir string) string {
	return filepath.Join(dir, "{{.Group}}-{{.ResourceKind}}-{{.ResourceAPIVersion}}.json")
}

func schemaFile(dir, group, kind, version string) string {
	if group == "" { // kubeconform takes the version for the group there
		group = version
	}
	return filepath.Join(dir, group+"-"+strings.ToLower(kind)+"-"+version+".json")
}

// readEmbedded reads an embedded file.
func readEmbedded(name string, into any) error {
	f, err := os.Open(filepath.Join(embedded, name))
	if err != nil {
		return err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if err := json.NewDecoder(z).Decode(into); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// apiType is a type of Kubernetes' API in the embedded form (package schemas).
type apiType struct {
	Ref, Type string
	Fields    map[string]*apiType
	Required  []string
	Values    *apiType
	Items     *apiType
	Enum      []string
}

// kubernetesSchemas writes the schemas of Kubernetes' own kinds.
func kubernetesSchemas(dir string) error {
	var doc struct {
		Kinds map[string]struct{ Type string }
		Types map[string]*apiType
	}
	minor, _, _ := strings.Cut(strings.TrimPrefix(kubeVersion, "1."), ".")
	if err := readEmbedded("kubernetes-1."+minor+".json.gz", &doc); err != nil {
		return err
	}
	definitions := map[string]any{}
	for name, t := range doc.Types {
		definitions[name] = t.schema()
	}
	for key, kind := range doc.Kinds {
		parts := strings.Split(key, "/") // group, version, kind
		needed := map[string]any{kind.Type: definitions[kind.Type]}
		collect(definitions, definitions[kind.Type], needed)
		schema := map[string]any{"$ref": "#/definitions/" + kind.Type, "definitions": needed}
		if err := writeJSON(schemaFile(dir, parts[0], parts[2], parts[1]), schema); err != nil {
			return err
		}
	}
	return nil
}

// schema returns the type as a JSON schema. The API server takes null for a field
// that is not there.
func (t *apiType) schema() map[string]any {
	typed := func(names ...string) map[string]any { return map[string]any{"type": append(names, "null")} }
	out := map[string]any{}
	switch {
	case t.Ref != "":
		return map[string]any{"anyOf": []any{map[string]any{"$ref": "#/definitions/" + t.Ref}, map[string]any{"type": "null"}}}
	case t.Type == "object":
		properties := map[string]any{}
		for name, f := range t.Fields {
			properties[name] = f.schema()
		}
		out = typed("object")
		out["properties"], out["additionalProperties"] = properties, false
		if len(t.Required) > 0 {
			out["required"] = t.Required
		}
	case t.Type == "map":
		out = typed("object")
		if t.Values != nil {
			out["additionalProperties"] = t.Values.schema()
		}
	case t.Type == "array":
		out = typed("array")
		if t.Items != nil {
			out["items"] = t.Items.schema()
		}
	case t.Type == "int32", t.Type == "int64":
		out = typed("integer")
	case t.Type == "int-or-string":
		out = typed("integer", "string")
	case t.Type == "quantity":
		out = typed("number", "string")
	case t.Type == "boolean", t.Type == "number":
		out = typed(t.Type)
	case t.Type == "any", t.Type == "":
	default: // string, bytes, time, microtime
		out = typed("string")
	}
	if len(t.Enum) > 0 {
		out["enum"] = t.Enum
	}
	return out
}

// collect gathers the definitions that a schema refers to.
func collect(all map[string]any, at any, into map[string]any) {
	switch at := at.(type) {
	case map[string]any:
		if ref, ok := at["$ref"].(string); ok {
			name := strings.TrimPrefix(ref, "#/definitions/")
			if into[name] == nil {
				into[name] = all[name]
				collect(all, all[name], into)
			}
		}
		for _, v := range at {
			collect(all, v, into)
		}
	case []any:
		for _, v := range at {
			collect(all, v, into)
		}
	}
}

// strict refuses fields that a schema does not have.
func strict(at any) {
	switch at := at.(type) {
	case map[string]any:
		_, properties := at["properties"].(map[string]any)
		_, more := at["additionalProperties"]
		if properties && !more && at["x-kubernetes-preserve-unknown-fields"] != true {
			at["additionalProperties"] = false
		}
		if at["x-kubernetes-int-or-string"] == true {
			at["type"] = []string{"string", "integer"}
		}
		for _, v := range at {
			strict(v)
		}
	case []any:
		for _, v := range at {
			strict(v)
		}
	}
}

// customSchemas writes the schemas of Flux's objects and of the CRDs in a YAML
// stream.
func customSchemas(stream, dir string) error {
	crds, err := readStream(stream)
	if err != nil {
		return err
	}
	flux, err := filepath.Glob(filepath.Join(embedded, "flux-*.json.gz"))
	if err != nil || len(flux) == 0 {
		return fmt.Errorf("no schemas of Flux in %s (%w)", embedded, err)
	}
	for _, name := range flux {
		var more map[string]map[string]any
		if err := readEmbedded(filepath.Base(name), &more); err != nil {
			return err
		}
		for _, crd := range more {
			crds = append(crds, crd)
		}
	}
	for _, o := range crds {
		if o["kind"] != "CustomResourceDefinition" {
			continue
		}
		data, err := json.Marshal(o["spec"])
		if err != nil {
			return err
		}
		var spec struct {
			Group    string
			Names    struct{ Kind string }
			Versions []struct {
				Name   string
				Served bool
				Schema struct{ OpenAPIV3Schema map[string]any }
			}
		}
		if err := json.Unmarshal(data, &spec); err != nil {
			return err
		}
		for _, v := range spec.Versions {
			if !v.Served || v.Schema.OpenAPIV3Schema == nil {
				continue
			}
			strict(v.Schema.OpenAPIV3Schema)
			if err := writeJSON(schemaFile(dir, spec.Group, spec.Names.Kind, v.Name), v.Schema.OpenAPIV3Schema); err != nil {
				return err
			}
		}
	}
	return nil
}

func writeJSON(file string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return os.WriteFile(file, data, 0o644)
}
