package modules

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"

	"k8s.io/apimachinery/pkg/util/yaml"

	"lumacore.dev/lumacore/internal/schemas"
)

// inserted is what a Helm chart would insert: Longhorn's file is a template for its own.
var inserted = regexp.MustCompile(`(?m)(^  labels: )\{\{-? include .*?\}\}$`)

// definitions returns the custom resource definitions in the files of a module, by
// name as JSON, and what they define.
func definitions(dir, glob string) ([]byte, []schemas.Definition, error) {
	files, err := filepath.Glob(filepath.Join(dir, filepath.FromSlash(glob)))
	if err != nil {
		return nil, nil, err
	}
	slices.Sort(files)
	crds := map[string]any{}
	var defs []schemas.Definition
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			return nil, nil, err
		}
		data = inserted.ReplaceAll(data, nil)
		dec := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(data), 4096)
		for {
			var doc map[string]any
			if err := dec.Decode(&doc); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				return nil, nil, fmt.Errorf("%s: %w", filepath.Base(name), err)
			}
			if doc["kind"] != "CustomResourceDefinition" || doc["apiVersion"] != "apiextensions.k8s.io/v1" {
				continue
			}
			crd, def := strip(doc)
			if _, ok := crds[def.Name]; ok {
				continue
			}
			crds[def.Name] = crd
			defs = append(defs, def)
		}
	}
	if len(defs) == 0 {
		return nil, nil, fmt.Errorf("%s has no custom resource definitions", glob)
	}
	slices.SortFunc(defs, func(a, b schemas.Definition) int { return cmp.Compare(a.Name, b.Name) })
	data, err := json.Marshal(crds)
	return data, defs, err
}

// strip returns a definition with no more than validation uses.
func strip(doc map[string]any) (map[string]any, schemas.Definition) {
	meta, _ := doc["metadata"].(map[string]any)
	spec, _ := doc["spec"].(map[string]any)
	names, _ := spec["names"].(map[string]any)
	var def schemas.Definition
	def.Name, _ = meta["name"].(string)
	def.Group, _ = spec["group"].(string)
	def.Kind, _ = names["kind"].(string)
	versions, _ := spec["versions"].([]any)
	for _, v := range versions {
		v, ok := v.(map[string]any)
		if !ok {
			continue
		}
		name, _ := v["name"].(string)
		def.Versions = append(def.Versions, name)
		delete(v, "additionalPrinterColumns")
		delete(v, "selectableFields")
		if s, ok := v["schema"].(map[string]any); ok {
			schemas.Undescribe(s["openAPIV3Schema"])
		}
	}
	outMeta := map[string]any{"name": def.Name}
	// Without it the API server refuses definitions in groups of Kubernetes.
	const approved = "api-approved.kubernetes.io"
	if a, _ := meta["annotations"].(map[string]any); a[approved] != nil {
		outMeta["annotations"] = map[string]any{approved: a[approved]}
	}
	out := map[string]any{
		"apiVersion": doc["apiVersion"], "kind": doc["kind"], "metadata": outMeta,
		"spec": map[string]any{"group": def.Group, "names": names, "scope": spec["scope"], "versions": versions},
	}
	if spec["preserveUnknownFields"] == true {
		out["spec"].(map[string]any)["preserveUnknownFields"] = true
	}
	return out, def
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
