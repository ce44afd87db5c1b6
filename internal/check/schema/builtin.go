package schema

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"lumacore.dev/lumacore/internal/fieldpath"
	"lumacore.dev/lumacore/internal/report"
	"lumacore.dev/lumacore/internal/schemas"
)

// problem is one thing that the API server would refuse.
type problem struct {
	rule    string
	at      []any
	message string // begins with the field
	value   any    // the offending one
}

// problems collects what is wrong with one object.
type problems []problem

// add notes a problem with the field at a path; the message follows the field.
func (p *problems) add(rule string, at []any, value any, format string, args ...any) {
	message := fmt.Sprintf(format, args...)
	// "… (e.g. 'example.com', regex used for validation is '…')"
	message, _, _ = strings.Cut(message, " (e.g. '")
	*p = append(*p, problem{rule: rule, at: at, value: value, message: fieldpath.Text(at) + ": " + message})
}

func (p *problems) invalid(at []any, value any, format string, args ...any) {
	p.add(ruleValue, at, value, "Invalid value: %s: %s", literal(value), fmt.Sprintf(format, args...))
}

func (p *problems) required(at []any, why string) {
	if why != "" {
		why = ": " + why
	}
	p.add(ruleRequired, at, nil, "Required value%s", why)
}

func (p *problems) unsupported(at []any, value any, allowed []string) {
	quoted := make([]string, len(allowed))
	for i, a := range allowed {
		quoted[i] = strconv.Quote(a)
	}
	list := strings.Join(quoted, ", ")
	if len(list) > 600 {
		list = list[:600] + "…"
	}
	p.add(ruleValue, at, value, "Unsupported value: %s: supported values: %s", literal(value), list)
}

// unknown notes an unknown field; allowed are the fields that there are.
func (p *problems) unknown(at []any, allowed []string) {
	name, _ := at[len(at)-1].(string)
	message := fmt.Sprintf("unknown field %q", fieldpath.Text(at))
	if near := nearest(name, allowed); near != "" {
		message += fmt.Sprintf("; did you mean %q?", near)
	}
	*p = append(*p, problem{rule: ruleUnknown, at: at, message: message})
}

// nearest returns the field that was likely meant.
func nearest(name string, allowed []string) string {
	slices.Sort(allowed)
	for _, a := range allowed {
		if strings.EqualFold(a, name) {
			return a
		}
	}
	return report.Nearest(name, allowed)
}

// walker holds a value against a type of Kubernetes' API.
type walker struct {
	k *schemas.Kubernetes
	problems
	// lenient: the API server reads the value, which must be of the right types,
	// and then throws it away, as it does with the status of a new object.
	lenient bool
	// secret: values of data and stringData are not shown.
	secret bool
	// broken: it does not decode, and the API server looks no further.
	broken bool
}

// object holds an object against its kind's type.
func (w *walker) object(obj map[string]any, t *schemas.Type) error {
	t, err := w.resolve(t)
	if err != nil {
		return err
	}
	if obj["spec"] == nil && t.Fields["spec"] != nil {
		// An object without a spec is one with an empty spec.
		spec, err := w.resolve(t.Fields["spec"])
		if err != nil {
			return err
		}
		for _, r := range spec.Required {
			w.required([]any{"spec", r}, "")
		}
	}
	for _, f := range slices.Sorted(maps.Keys(obj)) {
		field := t.Fields[f]
		if field == nil {
			w.unknown([]any{f}, slices.Collect(maps.Keys(t.Fields)))
			continue
		}
		w.lenient = f == "status"
		if err := w.value(obj[f], field, []any{f}); err != nil {
			return err
		}
		w.lenient = false
	}
	for _, r := range t.Required {
		if missing(obj[r]) && r != "spec" {
			w.required([]any{r}, "")
		}
	}
	return nil
}

func (w *walker) resolve(t *schemas.Type) (*schemas.Type, error) {
	for t.Ref != "" {
		next, err := w.k.Type(t.Ref)
		if err != nil {
			return nil, err
		}
		t = next
	}
	return t, nil
}

// value holds v against t. The error is an internal one.
func (w *walker) value(v any, t *schemas.Type, path []any) error {
	if v == nil {
		return nil // as good as absent
	}
	name := t.Ref
	t, err := w.resolve(t)
	if err != nil {
		return err
	}
	wrong := func(want string) {
		w.broken = true
		got := show(v)
		if w.secret && (path[0] == "data" || path[0] == "stringData") {
			got = "something else"
		}
		w.add(ruleValue, path, v, "must be %s, got %s", want, got)
	}
	malformed := func(format string, args ...any) {
		w.broken = true
		w.invalid(path, v, format, args...)
	}
	switch t.Type {
	case schemas.Any, "":
	case "object":
		m, ok := v.(map[string]any)
		if !ok {
			wrong("an object")
			return nil
		}
		if name == "meta.v1.LabelSelector" {
			w.labelSelector(m, path)
		}
		return w.fields(m, t, path)
	case schemas.Map:
		m, ok := v.(map[string]any)
		if !ok {
			wrong("an object")
			return nil
		}
		for _, k := range slices.Sorted(maps.Keys(m)) {
			if _, ok := m[k].(string); ok && t.Values.Type == "string" {
				continue // labels, annotations, data: most maps
			}
			if err := w.value(m[k], t.Values, join(path, k)); err != nil {
				return err
			}
		}
	case "array":
		list, ok := v.([]any)
		if !ok {
			wrong("a list")
			return nil
		}
		for i, item := range list {
			if item == nil && t.Items.Ref != "" {
				if t.List == "map" && !w.lenient {
					w.add(ruleValue, join(path, i), nil, "must be an object, got null")
					continue
				}
				item = map[string]any{}
			}
			if err := w.value(item, t.Items, join(path, i)); err != nil {
				return err
			}
		}
		if t.List != "" && !w.lenient {
			return w.entries(list, t, path)
		}
	case "string":
		s, ok := v.(string)
		switch {
		case !ok:
			wrong("a string")
		case len(t.Enum) > 0 && s != "" && !w.lenient && !slices.Contains(t.Enum, s):
			// The empty string is what an absent field is.
			w.unsupported(path, s, t.Enum)
		}
	case "boolean":
		if _, ok := v.(bool); !ok {
			wrong("a boolean")
		}
	case schemas.Int32, schemas.Int64:
		n, ok := integer(v)
		switch {
		case !ok:
			wrong("an integer")
		case t.Type == schemas.Int32 && (n > math.MaxInt32 || n < math.MinInt32):
			malformed("must fit in 32 bits")
		}
	case "number":
		switch v.(type) {
		case int, int64, float64:
		default:
			wrong("a number")
		}
	case schemas.IntOrString:
		if _, ok := v.(string); ok {
			break
		}
		if n, ok := integer(v); !ok {
			wrong("an integer or a string")
		} else if n > math.MaxInt32 || n < math.MinInt32 {
			malformed("must fit in 32 bits")
		}
	case schemas.Quantity:
		if _, err := quantity(v); err != nil {
			malformed("%v", err)
		}
	case schemas.Bytes:
		s, ok := v.(string)
		if !ok {
			wrong("a string in base64")
		} else if _, err := base64.StdEncoding.DecodeString(s); err != nil {
			w.broken = true
			w.add(ruleValue, path, v, "must be base64: %v", err)
		}
	case schemas.Time, schemas.MicroTime:
		s, ok := v.(string)
		if !ok {
			wrong("a time")
			break
		}
		layout := time.RFC3339
		if t.Type == schemas.MicroTime {
			layout = metav1.RFC3339Micro
		}
		if _, err := time.Parse(layout, s); err != nil {
			malformed("must be a time of RFC 3339, such as 2026-01-31T12:00:00Z")
		}
	default:
		return fmt.Errorf("%s: no type %q", fieldpath.Text(path), t.Type)
	}
	return nil
}

func (w *walker) fields(m map[string]any, t *schemas.Type, path []any) error {
	for _, f := range slices.Sorted(maps.Keys(m)) {
		field := t.Fields[f]
		if field == nil {
			w.unknown(join(path, f), slices.Collect(maps.Keys(t.Fields)))
			continue
		}
		if err := w.value(m[f], field, join(path, f)); err != nil {
			return err
		}
	}
	if !w.lenient {
		for _, r := range t.Required {
			if missing(m[r]) {
				w.required(join(path, r), "")
			}
		}
	}
	return nil
}

// labelSelector holds a selector against the rules of all selectors; that of a
// wrong type is left alone.
func (w *walker) labelSelector(m map[string]any, path []any) {
	s, ok := decode[metav1.LabelSelector](m)
	if !ok || w.lenient {
		return
	}
	for _, e := range metavalidation.ValidateLabelSelector(s, metavalidation.LabelSelectorValidationOptions{}, nil) {
		if e.Type != field.ErrorTypeRequired || strings.HasSuffix(e.Field, ".values") {
			w.add(ruleSelector, append(path[:len(path):len(path)], fieldpath.Parse(e.Field, m)...), nil, "%s", shorten(e.ErrorBody()))
		}
	}
}

// entries looks for entries of a list that must differ and do not: server-side
// apply tells entries apart by their keys.
func (w *walker) entries(list []any, t *schemas.Type, path []any) error {
	items, err := w.resolve(t.Items)
	if err != nil {
		return err
	}
	seen := map[string]bool{}
	for i, item := range list {
		entry := item
		if t.List == "map" {
			m, ok := item.(map[string]any)
			if !ok {
				continue // already reported
			}
			keys, absent := map[string]any{}, false
			for _, k := range t.Keys {
				switch field := items.Fields[k]; {
				case m[k] != nil:
					keys[k] = m[k]
				case field != nil && field.Default != "":
					keys[k] = field.Default
				case slices.Contains(items.Required, k):
					absent = true // already reported
				case field != nil && (field.Type == schemas.Int32 || field.Type == "string"):
					absent = true
				}
			}
			if absent {
				continue
			}
			entry = keys
		}
		b, err := json.Marshal(entry) // sorts keys
		if err != nil {
			return err
		}
		if seen[string(b)] {
			w.add(ruleDuplicate, join(path, i), item, "Duplicate value: %s", shorten(string(b)))
		}
		seen[string(b)] = true
	}
	return nil
}

// missing tells whether a required field is absent, or has the value that an
// absent one has.
func missing(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case string:
		return v == ""
	case []any:
		return len(v) == 0
	}
	n, ok := integer(v)
	return ok && n == 0
}

// integer returns the integer that JSON has: 3.0 is one.
func integer(v any) (int64, bool) {
	switch v := v.(type) {
	case int:
		return int64(v), true
	case int64:
		return v, true
	case float64:
		if v == math.Trunc(v) && math.Abs(v) < 1<<63 {
			return int64(v), true
		}
	}
	return 0, false
}

// quantity reads a quantity as the API server does, of strings and of numbers.
func quantity(v any) (resource.Quantity, error) {
	if s, ok := v.(string); ok {
		return resource.ParseQuantity(strings.TrimSpace(s))
	}
	var q resource.Quantity
	b, err := json.Marshal(v)
	if err == nil {
		err = q.UnmarshalJSON(b)
	}
	return q, err
}
