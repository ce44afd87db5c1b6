package schema

import (
	"encoding/json"
	"fmt"
	"strconv"
	"unicode/utf8"
)

// join returns a new path: the one given and the fields below it.
func join(path []any, fields ...any) []any {
	return append(append(make([]any, 0, len(path)+len(fields)), path...), fields...)
}

// show describes a value: string "3", integer 3, an object.
func show(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case string:
		return "string " + strconv.Quote(shorten(v))
	case bool:
		return fmt.Sprintf("boolean %t", v)
	case int, int32, int64:
		return fmt.Sprintf("integer %d", v)
	case float64:
		if v == float64(int64(v)) {
			return fmt.Sprintf("integer %d", int64(v))
		}
		return "number " + strconv.FormatFloat(v, 'g', -1, 64)
	case []any:
		return "a list"
	case map[string]any:
		return "an object"
	}
	return fmt.Sprintf("%T", v)
}

// literal writes a value as the API server does: strings quoted, the rest as JSON.
func literal(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return show(v)
	}
	return shorten(string(b))
}

// shorten keeps messages readable.
func shorten(s string) string {
	const most = 200
	if len(s) <= most {
		return s
	}
	cut := most
	for !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}
