package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// kubeconform reads one JSON schema per kind. These functions write them: for
// Kubernetes' kinds from the OpenAPI document of the k8s.io/kubectl module, which
// is the API server's, and for custom resources from the CRDs in a stream. Strict
// means that fields which a schema does not have are refused.

// schemaLocation is where kubeconform finds them in a folder.
func schemaLocation(dir string) string {
	return filepath.Join(dir, "{{.Group}}-{{.ResourceKind}}-{{.ResourceAPIVersion}}.json")
}

func schemaFile(dir, group, kind, version string) string {
	if group == "" { // kubeconform takes the version for the group there
		group = version
	}
	return filepath.Join(dir, group+"-"+strings.ToLower(kind)+"-"+version+".json")
}

// kubernetesSchemas writes the schemas of Kubernetes' own kinds.
func kubernetesSchemas(ctx context.Context, dir string) error {
	cmd := exec.CommandContext(ctx, "go", "-C", "bench", "list", "-m", "-f", "{{.Dir}}", "k8s.io/kubectl")
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("find the module k8s.io/kubectl: %w", err)
	}
	data, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(out)), "testdata", "openapi", "swagger.json"))
	if err != nil {
		return err
	}
	var doc struct{ Definitions map[string]map[string]any }
	if err := json.Unmarshal(data, &doc); err != nil {
		return err
	}
	for name, def := range doc.Definitions {
		switch {
		case strings.HasSuffix(name, ".IntOrString"):
			doc.Definitions[name] = map[string]any{"type": []string{"string", "integer"}}
		case strings.HasSuffix(name, ".resource.Quantity"):
			doc.Definitions[name] = map[string]any{"type": []string{"string", "number"}}
		default:
			strict(def)
		}
	}
	for name, def := range doc.Definitions {
		kinds, _ := def["x-kubernetes-group-version-kind"].([]any)
		if len(kinds) != 1 { // a kind has one; what many share is no kind
			continue
		}
		kind := kinds[0].(map[string]any)
		needed := map[string]any{}
		collect(doc.Definitions, def, needed)
		schema := map[string]any{"$ref": "#/definitions/" + name, "definitions": needed}
		needed[name] = def
		file := schemaFile(dir, kind["group"].(string), kind["kind"].(string), kind["version"].(string))
		if err := writeJSON(file, schema); err != nil {
			return err
		}
	}
	return nil
}

// collect gathers the definitions that a schema refers to.
func collect(all map[string]map[string]any, at any, into map[string]any) {
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

// customSchemas writes the schemas of the CRDs in a YAML stream.
func customSchemas(stream, dir string) error {
	list, err := readStream(stream)
	if err != nil {
		return err
	}
	for _, o := range list {
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
