package promotion

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// same tells whether two values of objects are equal.
func same(a, b any) bool {
	switch a := a.(type) {
	case map[string]any:
		b, ok := b.(map[string]any)
		if !ok || len(a) != len(b) {
			return false
		}
		for k, v := range a {
			if w, ok := b[k]; !ok || !same(v, w) {
				return false
			}
		}
		return true
	case []any:
		b, ok := b.([]any)
		return ok && slices.EqualFunc(a, b, same)
	case string, int64, bool, float64, nil:
		return a == b
	}
	return reflect.DeepEqual(a, b)
}

// maxFields bounds how many fields of an object are named.
const maxFields = 100

// differ lists the paths of the fields in which two values differ: the highest that
// only one of them has.
func differ(a, b any, at string, out *[]string) {
	if len(*out) >= maxFields || same(a, b) {
		return
	}
	x, okX := a.(map[string]any)
	y, okY := b.(map[string]any)
	if okX && okY {
		keys := map[string]bool{}
		for k := range x {
			keys[k] = true
		}
		for k := range y {
			keys[k] = true
		}
		for _, k := range slices.Sorted(maps.Keys(keys)) {
			differ(x[k], y[k], at+field(k), out)
		}
		return
	}
	l, okL := a.([]any)
	m, okM := b.([]any)
	if okL && okM && len(l) == len(m) {
		for i := range l {
			differ(l[i], m[i], fmt.Sprintf("%s[%d]", at, i), out)
		}
		return
	}
	*out = append(*out, strings.TrimPrefix(at, "."))
}

// field is a key in a path.
func field(k string) string {
	if len(k) > 100 {
		k = strings.ToValidUTF8(k[:100], "") + "…"
	}
	if strings.ContainsAny(k, "./[] ") {
		return "[" + k + "]"
	}
	return "." + k
}
