// Package schematest compiles JSON Schemas for tests that hold them against what the
// code writes and reads.
package schematest

import (
	"bytes"
	"os"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"sigs.k8s.io/yaml"
)

// Compile returns a schema, formats included, to validate with and as plain data. What
// is no schema fails the test.
func Compile(t testing.TB, data []byte) (*jsonschema.Schema, map[string]any) {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		t.Fatalf("the schema is not JSON: %v", err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("schema.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("schema.json")
	if err != nil {
		t.Fatalf("not a JSON Schema: %v", err)
	}
	return s, doc.(map[string]any)
}

// File is [Compile] of the content of a file.
func File(t testing.TB, path string) (*jsonschema.Schema, map[string]any) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return Compile(t, data)
}

// Validate holds a document, YAML or JSON, against a schema. What is neither fails the test.
func Validate(t testing.TB, s *jsonschema.Schema, text []byte) error {
	t.Helper()
	data, err := yaml.YAMLToJSON(text)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	return s.Validate(doc)
}
