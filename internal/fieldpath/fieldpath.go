// Package fieldpath reads and writes paths of fields as the API server writes them
// in its messages: spec.template.spec.containers[0].name, or, where a server-side
// apply is refused, .spec.template.spec.containers[name="web"].name.
//
// A path is a list of the keys (string) and places in lists (int) on the way from an
// object's root to the field.
package fieldpath

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Text returns the path as the API server writes it:
// spec.template.spec.containers[0].name, metadata.annotations[example.com/a].
func Text(path []any) string {
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

// Parse finds the path that the API server names in text. Keys of an object may have
// dots in them, which the text does not tell from those between fields, and entries of
// lists may be named by their keys; the object tells. What it does not have ends the
// path, or is taken as it is written.
func Parse(s string, obj any) []any {
	var path []any
	for s = strings.TrimLeft(s, "."); s != ""; s = strings.TrimLeft(s, ".") {
		if rest, ok := strings.CutPrefix(s, "["); ok {
			list, isList := obj.([]any)
			in, after, ok := bracket(rest, isList)
			if !ok {
				break
			}
			if isList {
				n, err := strconv.Atoi(in)
				if err != nil {
					if n = entry(list, in); n < 0 {
						break
					}
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

// bracket cuts what is in a bracket off. The keys of a list's entry may have brackets
// in their quotes.
func bracket(s string, keys bool) (in, after string, ok bool) {
	if !keys || !strings.Contains(s, `="`) {
		return strings.Cut(s, "]")
	}
	quoted := false
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			quoted = !quoted
		case ']':
			if !quoted {
				return s[:i], s[i+1:], true
			}
		}
	}
	return "", "", false
}

// entry finds the entry of a list that has keys such as name="a",port=80, or the value
// ="a" of a set; -1 if there is none. A key that it does not have has its default value;
// an entry that has them all comes before one that does not.
func entry(list []any, keys string) int {
	if value, ok := strings.CutPrefix(keys, "="); ok {
		return slices.IndexFunc(list, func(v any) bool { return equal(v, value) })
	}
	found, most := -1, 0
	for i, v := range list {
		m, _ := v.(map[string]any)
		has := 0
		for pair := range strings.SplitSeq(keys, ",") {
			k, want, isPair := strings.Cut(pair, "=")
			switch {
			case !isPair || m[k] != nil && !equal(m[k], want):
				has = -len(keys)
			case m[k] != nil:
				has++
			}
		}
		if has > most {
			found, most = i, has
		}
	}
	return found
}

func equal(value any, text string) bool {
	b, err := json.Marshal(value)
	return err == nil && string(b) == text
}

// At returns the value at a path, or nil.
func At(obj any, path []any) any {
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
