package schemas

import (
	"encoding/json"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"lumacore.dev/lumacore/internal/fieldpath"
)

// Gatekeeper's groups
// (https://open-policy-agent.github.io/gatekeeper/website/docs/constrainttemplates).
const (
	TemplateGroup   = "templates.gatekeeper.sh"
	ConstraintGroup = "constraints.gatekeeper.sh"
)

// ConstraintKind returns the kind of the constraints of a ConstraintTemplate; "" if it
// names none.
func ConstraintKind(template *unstructured.Unstructured) string {
	kind, _ := fieldpath.At(template.Object, []any{"spec", "crd", "spec", "names", "kind"}).(string)
	return kind
}

// ConstraintCRD returns the CRD that Gatekeeper makes of a ConstraintTemplate, as JSON
// (https://github.com/open-policy-agent/frameworks/blob/master/constraint/pkg/client/crds).
func ConstraintCRD(template *unstructured.Unstructured) ([]byte, error) {
	kind := ConstraintKind(template)
	lower := strings.ToLower(kind)
	match, err := matchSchema()
	if err != nil {
		return nil, err
	}
	object := func(properties map[string]any) map[string]any {
		return map[string]any{"type": "object", "properties": properties}
	}
	text := map[string]any{"type": "string"}
	list := func(of any) map[string]any { return map[string]any{"type": "array", "items": of} }
	spec := map[string]any{
		"match":             match,
		"enforcementAction": map[string]any{"type": "string", "default": "deny"},
		"scopedEnforcementActions": list(object(map[string]any{
			"action":            text,
			"enforcementPoints": list(object(map[string]any{"name": text})),
		})),
	}
	if parameters := parametersSchema(template); parameters != nil {
		spec["parameters"] = parameters
	}
	schema := map[string]any{"openAPIV3Schema": object(map[string]any{
		"metadata": object(map[string]any{"name": map[string]any{"type": "string", "maxLength": 63}}),
		"spec":     object(spec),
		"status":   map[string]any{"x-kubernetes-preserve-unknown-fields": true},
	})}
	version := func(name string, storage bool) map[string]any {
		return map[string]any{
			"name": name, "served": true, "storage": storage, "schema": schema,
			"subresources": map[string]any{"status": map[string]any{}},
		}
	}
	return json.Marshal(map[string]any{
		"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
		"metadata": map[string]any{"name": lower + "." + ConstraintGroup},
		"spec": map[string]any{
			"group": ConstraintGroup, "scope": "Cluster",
			"names":    map[string]any{"kind": kind, "listKind": kind + "List", "plural": lower, "singular": lower},
			"versions": []any{version("v1beta1", true), version("v1alpha1", false)},
		},
	})
}

// parametersSchema returns the schema of a template's parameters; nil if it has
// none. In templates before v1 it is a legacy schema unless they say otherwise:
// then every object in it may have any fields.
func parametersSchema(template *unstructured.Unstructured) map[string]any {
	validation, _ := fieldpath.At(template.Object, []any{"spec", "crd", "spec", "validation"}).(map[string]any)
	schema, _ := validation["openAPIV3Schema"].(map[string]any)
	legacy, ok := validation["legacySchema"].(bool)
	if !ok {
		legacy = template.GroupVersionKind().Version != "v1"
	}
	if !legacy {
		return schema
	}
	if schema == nil {
		return map[string]any{"x-kubernetes-preserve-unknown-fields": true}
	}
	schema = runtime.DeepCopyJSON(schema)
	openSchema(schema)
	return schema
}

// openSchema allows any fields in the objects of a schema, and any items in lists that
// say nothing of theirs.
func openSchema(s map[string]any) {
	switch s["type"] {
	case nil, "", "object":
		s["x-kubernetes-preserve-unknown-fields"] = true
	case "array":
		if s["items"] == nil {
			s["items"] = map[string]any{"x-kubernetes-preserve-unknown-fields": true}
		}
	}
	properties, _ := s["properties"].(map[string]any)
	for _, p := range properties {
		if p, ok := p.(map[string]any); ok {
			openSchema(p)
		}
	}
	for _, key := range []string{"items", "additionalProperties"} {
		if p, ok := s[key].(map[string]any); ok {
			openSchema(p)
		}
	}
}

// matchSchema returns the schema of spec.match of a constraint: it is that of a
// mutator, which Gatekeeper's own CRD has.
func matchSchema() (map[string]any, error) {
	found, _ := Lookup("mutations.gatekeeper.sh", "Assign")
	data, err := found.JSON()
	if err != nil {
		return nil, err
	}
	var crd any
	if err := json.Unmarshal(data, &crd); err != nil {
		return nil, err
	}
	match, _ := fieldpath.At(crd, []any{"spec", "versions", 0, "schema", "openAPIV3Schema", "properties", "spec", "properties", "match"}).(map[string]any)
	return match, nil
}
