package references

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/labels"
)

// Objects are anybody's YAML: a field may hold anything. These read what is of the
// type that is asked for and nothing else; gate schema reports the rest.

// at returns the value at a path of keys, or nil.
func at(v any, keys ...string) any {
	for _, k := range keys {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[k]
	}
	return v
}

// text returns the text at a path, or "".
func text(v any, keys ...string) string {
	s, _ := at(v, keys...).(string)
	return s
}

// mappings returns the mappings in the list at a path.
func mappings(v any, keys ...string) []map[string]any {
	items, _ := at(v, keys...).([]any)
	var out []map[string]any
	for _, i := range items {
		if m, ok := i.(map[string]any); ok {
			out = append(out, m)
		}
	}
	return out
}

// stringMap returns the texts of the mapping at a path.
func stringMap(v any, keys ...string) labels.Set {
	m, _ := at(v, keys...).(map[string]any)
	out := labels.Set{}
	for k, v := range m {
		if s, ok := v.(string); ok {
			out[k] = s
		}
	}
	return out
}

// integer returns a number that has no fraction.
func integer(v any) (int64, bool) {
	switch n := v.(type) {
	case int64:
		return n, true
	case int:
		return int64(n), true
	case float64:
		return int64(n), n == float64(int64(n))
	}
	return 0, false
}

// protocol returns the protocol of a port of a Service or container.
func protocol(p map[string]any) string {
	if s := text(p, "protocol"); s != "" {
		return s
	}
	return "TCP"
}

// visit calls f for every value at a path of keys, in which "*" stands for every
// item of a list, with the path that leads to it.
func visit(v any, keys []string, path []any, f func(v any, path []any)) {
	if len(keys) == 0 {
		f(v, path)
		return
	}
	if keys[0] == "*" {
		items, _ := v.([]any)
		for i, item := range items {
			visit(item, keys[1:], join(path, i), f)
		}
		return
	}
	if m, ok := v.(map[string]any); ok {
		if v, ok := m[keys[0]]; ok && v != nil {
			visit(v, keys[1:], join(path, keys[0]), f)
		}
	}
}

// join appends to a path without changing it.
func join(path []any, more ...any) []any { return append(slices.Clone(path), more...) }

// dotted writes out a path without the numbers of items, which change when others
// are put before them.
func dotted(path []any) string {
	var out []string
	for _, p := range path {
		if s, ok := p.(string); ok {
			out = append(out, s)
		}
	}
	return strings.Join(out, ".")
}

// sortedKeys returns the keys of a set.
func sortedKeys(m map[string]bool) []string { return slices.Sorted(maps.Keys(m)) }

// scalar writes a port as it was written: a name or a number.
func scalar(v any) string { return fmt.Sprint(v) }
