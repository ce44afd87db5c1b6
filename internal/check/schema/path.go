package schema

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// join returns a new path: the one given and the fields below it.
func join(path []any, fields ...any) []any {
	return append(append(make([]any, 0, len(path)+len(fields)), path...), fields...)
}

// text returns the path as the API server writes it:
// spec.template.spec.containers[0].name, metadata.annotations[example.com/a].
func text(path []any) string {
	var b strings.Builder
	for i, f := range path {
		switch f := f.(type) {
		case int:
			fmt.Fprintf(&b, "[%d]", f)
		case string:
			switch {
			case i > 0 && strings.ContainsAny(f, "./[]"):
				fmt.Fprintf(&b, "[%s]", f)
			case i > 0:
				b.WriteString("." + f)
			default:
				b.WriteString(f)
			}
		}
	}
	return b.String()
}

// parse finds the path that the API server's code names in text. Keys of an object
// may have dots in them, which the text does not tell from those between fields;
// the object does.
func parse(s string, obj any) []any {
	var path []any
	for s = strings.TrimLeft(s, "."); s != ""; s = strings.TrimLeft(s, ".") {
		if rest, ok := strings.CutPrefix(s, "["); ok {
			in, after, ok := strings.Cut(rest, "]")
			if !ok {
				break
			}
			if list, isList := obj.([]any); isList {
				n, err := strconv.Atoi(in)
				if err != nil {
					break
				}
				path, s = append(path, n), after
				obj = nil
				if n >= 0 && n < len(list) {
					obj = list[n]
				}
				continue
			}
			m, _ := obj.(map[string]any)
			path, obj, s = append(path, in), m[in], after
			continue
		}
		m, _ := obj.(map[string]any)
		key := s
		if i := strings.IndexAny(s, ".["); i >= 0 {
			key = s[:i]
		}
		if list, ok := obj.([]any); ok { // some code writes items.0.name
			if n, err := strconv.Atoi(key); err == nil && n >= 0 && n < len(list) {
				path, obj, s = append(path, n), list[n], s[len(key):]
				continue
			}
		}
		for k := range m { // the longest key that fits; at most one has its length
			if len(k) > len(key) && strings.HasPrefix(s, k) && (len(s) == len(k) || s[len(k)] == '.' || s[len(k)] == '[') {
				key = k
			}
		}
		path, obj, s = append(path, key), m[key], s[len(key):]
	}
	return path
}

// at returns the value at a path, or nil.
func at(obj any, path []any) any {
	for _, f := range path {
		switch f := f.(type) {
		case string:
			m, _ := obj.(map[string]any)
			obj = m[f]
		case int:
			list, _ := obj.([]any)
			if f < 0 || f >= len(list) {
				return nil
			}
			obj = list[f]
		}
	}
	return obj
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
