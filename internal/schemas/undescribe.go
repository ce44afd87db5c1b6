package schemas

// Undescribe removes the texts from a JSON schema, and from the schemas in it: nothing
// that validates needs them, and they are most of its size.
func Undescribe(v any) {
	s, ok := v.(map[string]any)
	if !ok {
		return
	}
	for _, text := range []string{"description", "example", "externalDocs", "title"} {
		delete(s, text)
	}
	for _, key := range []string{"properties", "patternProperties", "definitions"} {
		if m, ok := s[key].(map[string]any); ok {
			for _, x := range m {
				Undescribe(x)
			}
		}
	}
	for _, key := range []string{"items", "additionalProperties", "not"} {
		Undescribe(s[key])
	}
	for _, key := range []string{"allOf", "anyOf", "oneOf"} {
		if l, ok := s[key].([]any); ok {
			for _, x := range l {
				Undescribe(x)
			}
		}
	}
}
