package settings

import (
	"bytes"
	"encoding/json"
)

// Property is a text in a JSON Schema.
type Property struct {
	Name        string   `json:"-"`
	Description string   `json:"description"`
	Type        string   `json:"type,omitempty"`
	Const       string   `json:"const,omitempty"`
	Enum        []string `json:"enum,omitempty"`
	Pattern     string   `json:"pattern,omitempty"`
	Default     string   `json:"default,omitempty"`
	Examples    []string `json:"examples,omitempty"`
}

// properties keep their order.
type properties []Property

// MarshalJSON implements json.Marshaler.
func (list properties) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, p := range list {
		if i > 0 {
			b.WriteByte(',')
		}
		key, err := marshal(p.Name)
		if err != nil {
			return nil, err
		}
		value, err := marshal(p)
		if err != nil {
			return nil, err
		}
		b.Write(key)
		b.WriteByte(':')
		b.Write(value)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// marshal writes <DOMAIN> as it is.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return bytes.TrimSpace(b.Bytes()), err
}

// MappingSchema is the JSON Schema of a mapping with texts. Other keys are refused, or
// are texts too.
func MappingSchema(title, description string, required []string, list []Property, open bool) []byte {
	s := struct {
		Schema      string     `json:"$schema"`
		Title       string     `json:"title"`
		Description string     `json:"description"`
		Type        string     `json:"type"`
		Required    []string   `json:"required"`
		Properties  properties `json:"properties"`
		Additional  any        `json:"additionalProperties"`
	}{
		Schema: "http://json-schema.org/draft-07/schema#", Title: title, Description: description, Type: "object",
		Required: required, Properties: list, Additional: false,
	}
	if open {
		s.Additional = map[string]string{"type": "string"}
	}
	data, err := marshal(s)
	if err != nil {
		panic(err) // texts alone
	}
	var out bytes.Buffer
	if err := json.Indent(&out, data, "", "  "); err != nil {
		panic(err)
	}
	out.WriteByte('\n')
	return out.Bytes()
}

// Schema is the JSON Schema of the settings, as the mapping of names to values that
// settings.env comes to. What a pattern cannot say, such as that no two machines have the
// same address, only `lumacore check` finds.
func Schema() []byte {
	var list []Property
	for _, v := range Variables {
		list = append(list, v.Property(v.Name))
	}
	return MappingSchema("settings.env",
		"The facts of an owner's cluster, from which the whole repository takes its values. Variables of the owner's own may stand there too.",
		Names(), list, true)
}

// Property describes the variable in a schema in which it has this name.
func (v *Variable) Property(name string) Property {
	p := Property{Name: name, Description: v.Meaning, Type: "string", Pattern: v.Pattern, Default: v.Default}
	if v.Default == "" {
		p.Examples = []string{v.Example}
	}
	return p
}
