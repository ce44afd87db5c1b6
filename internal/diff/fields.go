package diff

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/aymanbagabas/go-udiff"
)

// step is one step of the way to a field: the key of a map, or an item of a list.
type step struct {
	text string // "spec"; of an item "name=web" or "0"
	item bool
}

// way leads to a field.
type way []step

var plainKey = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

// String writes a way as people do: spec.containers[name=web].image,
// metadata.annotations[checksum/config].
func (w way) String() string {
	var b strings.Builder
	for i, s := range w {
		switch {
		case s.item || !plainKey.MatchString(s.text):
			b.WriteString("[" + s.text + "]")
		case i > 0:
			b.WriteString("." + s.text)
		default:
			b.WriteString(s.text)
		}
	}
	return b.String()
}

// below tells whether a way leads to a field or into it; "*" stands for any step.
func (w way) below(fields ...string) bool {
	if len(w) < len(fields) {
		return false
	}
	for i, f := range fields {
		if f != "*" && w[i].text != f {
			return false
		}
	}
	return true
}

func (w way) key(k string) way  { return append(w[:len(w):len(w)], step{text: k}) }
func (w way) item(k string) way { return append(w[:len(w):len(w)], step{text: k, item: true}) }

// last is the name of the field itself, or "".
func (w way) last() string {
	if len(w) == 0 || w[len(w)-1].item {
		return ""
	}
	return w[len(w)-1].text
}

// field is a field that differs. One of old and new is absent when it was added or
// removed.
type field struct {
	way      way
	old, new any
	had, has bool
	order    bool // the items of a list are the same, in another order; old and new are their names
}

// maxDepth bounds how deep values are compared field by field; what lies deeper is
// one value. Kubernetes' own types have at most about 20 levels, CRDs 30.
const maxDepth = 100

// fields returns what differs between two values, in the order of their keys.
func fields(old, new any) []field {
	var d differ
	d.values(nil, old, new)
	return d.out
}

type differ struct{ out []field }

func (d *differ) add(f field) { d.out = append(d.out, f) }

func (d *differ) values(at way, old, new any) {
	if equal(old, new) {
		return
	}
	if len(at) < maxDepth {
		switch o := old.(type) {
		case map[string]any:
			if n, ok := new.(map[string]any); ok {
				d.maps(at, o, n)
				return
			}
		case []any:
			if n, ok := new.([]any); ok && len(o) > 0 && len(n) > 0 {
				d.lists(at, o, n)
				return
			}
		}
	}
	d.add(field{way: at, old: old, new: new, had: true, has: true})
}

func (d *differ) maps(at way, old, new map[string]any) {
	keys := slices.Collect(maps.Keys(old))
	for k := range new {
		if _, had := old[k]; !had {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	for _, k := range keys {
		o, had := old[k]
		n, has := new[k]
		if had && has {
			d.values(at.key(k), o, n)
			continue
		}
		d.add(field{way: at.key(k), old: o, new: n, had: had, has: has})
	}
}

// lists compares lists by their keys where they have some, else by what is equal.
func (d *differ) lists(at way, old, new []any) {
	o, n, ok := keyed(at.last(), old, new)
	if !ok {
		d.unkeyed(at, old, new)
		return
	}
	byKey := make(map[string]any, len(new))
	for i, k := range n {
		byKey[k] = new[i]
	}
	had := make(map[string]bool, len(old))
	var stayed []string // in the old order
	for i, k := range o {
		had[k] = true
		if v, has := byKey[k]; has {
			stayed = append(stayed, k)
			d.values(at.item(k), old[i], v)
		} else {
			d.add(field{way: at.item(k), old: old[i], had: true})
		}
	}
	var now []string
	for i, k := range n {
		if had[k] {
			now = append(now, k)
		} else {
			d.add(field{way: at.item(k), new: new[i], has: true})
		}
	}
	if !slices.Equal(stayed, now) {
		d.add(field{way: at, old: strings.Join(stayed, ", "), new: strings.Join(now, ", "), had: true, has: true, order: true})
	}
}

// maxAlign bounds the items of two lists that are aligned: it takes the product of
// their lengths. Longer ones are compared item by item.
const maxAlign = 1 << 20

// unkeyed compares lists whose items have no names: the items that are equal and in
// the same order are left out, and what stands between them is compared in pairs.
func (d *differ) unkeyed(at way, old, new []any) {
	begin := 0
	for begin < len(old) && begin < len(new) && equal(old[begin], new[begin]) {
		begin++
	}
	end := 0
	for end < len(old)-begin && end < len(new)-begin && equal(old[len(old)-1-end], new[len(new)-1-end]) {
		end++
	}
	i, j := begin, begin
	pair := func(toOld, toNew int) {
		for i < toOld || j < toNew {
			switch {
			case i < toOld && j < toNew:
				d.values(at.item(strconv.Itoa(j)), old[i], new[j])
				i, j = i+1, j+1
			case i < toOld:
				d.add(field{way: at.item(strconv.Itoa(i)), old: old[i], had: true})
				i++
			default:
				d.add(field{way: at.item(strconv.Itoa(j)), new: new[j], has: true})
				j++
			}
		}
	}
	for _, m := range common(old[begin:len(old)-end], new[begin:len(new)-end]) {
		pair(begin+m[0], begin+m[1])
		i, j = i+1, j+1
	}
	pair(len(old)-end, len(new)-end)
}

// common returns the positions of a longest common subsequence.
func common(old, new []any) (out [][2]int) {
	if len(old) == 0 || len(new) == 0 || len(old)*len(new) > maxAlign {
		return nil
	}
	ids := map[string]int32{}
	number := func(list []any) []int32 {
		out := make([]int32, len(list))
		for i, v := range list {
			k := canonical(v)
			id, ok := ids[k]
			if !ok {
				id = int32(len(ids))
				ids[k] = id
			}
			out[i] = id
		}
		return out
	}
	a, b := number(old), number(new)
	width := len(b) + 1
	length := make([]int32, (len(a)+1)*width)
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				length[i*width+j] = length[(i+1)*width+j+1] + 1
			} else {
				length[i*width+j] = max(length[(i+1)*width+j], length[i*width+j+1])
			}
		}
	}
	for i, j := 0, 0; i < len(a) && j < len(b); {
		switch {
		case a[i] == b[j]:
			out = append(out, [2]int{i, j})
			i, j = i+1, j+1
		case length[(i+1)*width+j] >= length[i*width+j+1]:
			i++
		default:
			j++
		}
	}
	return out
}

// canonical is a text that two values share if they are equal.
func canonical(v any) string {
	switch v := v.(type) {
	case int64:
		return "n" + strconv.FormatInt(v, 10)
	case int:
		return "n" + strconv.Itoa(v)
	case float64:
		return "n" + strconv.FormatFloat(v, 'f', -1, 64) // of a whole number as of an integer
	case string:
		return "s" + v
	case map[string]any:
		var b strings.Builder
		b.WriteByte('{')
		for _, k := range slices.Sorted(maps.Keys(v)) {
			c := canonical(v[k])
			fmt.Fprintf(&b, "%d:%s%d:%s", len(k), k, len(c), c)
		}
		return b.String()
	case []any:
		var b strings.Builder
		b.WriteByte('[')
		for _, x := range v {
			c := canonical(x)
			fmt.Fprintf(&b, "%d:%s", len(c), c)
		}
		return b.String()
	}
	return fmt.Sprintf("%T%v", v, v)
}

// equal tells whether two values are the same to the API server. 1 and 1.0 are.
func equal(a, b any) bool {
	switch a := a.(type) {
	case map[string]any:
		b, ok := b.(map[string]any)
		if !ok || len(a) != len(b) {
			return false
		}
		for k, v := range a {
			if w, ok := b[k]; !ok || !equal(v, w) {
				return false
			}
		}
		return true
	case []any:
		b, ok := b.([]any)
		return ok && slices.EqualFunc(a, b, equal)
	case string:
		b, ok := b.(string)
		return ok && a == b
	}
	if _, ok := number(a); ok {
		_, ok := number(b)
		return ok && (a == b || canonical(a) == canonical(b))
	}
	return reflect.DeepEqual(a, b)
}

func number(v any) (float64, bool) {
	switch v := v.(type) {
	case int64:
		return float64(v), true
	case int:
		return float64(v), true
	case float64:
		return v, v == v
	}
	return 0, false
}

// listKeys are the fields by which Kubernetes tells the items of a list apart, by the
// name of the list: patchMergeKey and x-kubernetes-list-map-keys of the API types
// (https://kubernetes.io/docs/reference/using-api/server-side-apply/#merge-strategy).
// Tolerations, subjects and the like are merged as a whole; their items still have
// something that names them. A field with a "?" may be absent.
var listKeys = map[string][][]string{
	"ports":                     {{"containerPort", "protocol?"}, {"port", "protocol?"}, {"name"}},
	"volumeMounts":              {{"mountPath"}},
	"volumeDevices":             {{"devicePath"}},
	"hostAliases":               {{"ip"}},
	"conditions":                {{"type"}},
	"ownerReferences":           {{"uid"}},
	"topologySpreadConstraints": {{"topologyKey", "whenUnsatisfiable"}},
	"tolerations":               {{"key?", "operator?", "value?", "effect?"}},
	"taints":                    {{"key", "effect"}},
	"subjects":                  {{"kind", "namespace?", "name"}},
	"volumeClaimTemplates":      {{"metadata.name"}},
	"matchExpressions":          {{"key", "operator"}},
	"resourceClaims":            {{"name"}},
	"dependsOn":                 {{"namespace?", "name"}},
	"healthChecks":              {{"kind", "namespace?", "name"}},
	"substituteFrom":            {{"kind", "name"}},
	"valuesFrom":                {{"kind", "name", "valuesKey?", "targetPath?"}},
	"parentRefs":                {{"kind?", "namespace?", "name", "sectionName?", "port?"}},
}

// named is what tells items of other lists apart, of custom resources too.
var named = [][]string{{"name"}, {"metadata.name"}}

// keyed returns the names of the items of two lists if each has one, and no two of a
// list the same.
func keyed(list string, old, new []any) (o, n []string, ok bool) {
	candidates := listKeys[list]
	if candidates == nil {
		candidates = named
	}
	for _, key := range candidates {
		if o, ok := names(key, old); ok {
			if n, ok := names(key, new); ok {
				return o, n, true
			}
		}
	}
	return nil, nil, false
}

func names(key []string, items []any) ([]string, bool) {
	out := make([]string, len(items))
	seen := make(map[string]bool, len(items))
	for i, item := range items {
		m, ok := item.(map[string]any)
		if !ok {
			return nil, false
		}
		var parts []string
		for _, k := range key {
			k, optional := strings.CutSuffix(k, "?")
			v, ok := scalarAt(m, k)
			switch {
			case ok:
				parts = append(parts, k+"="+v)
			case !optional:
				return nil, false
			}
		}
		out[i] = strings.Join(parts, ",")
		if out[i] == "" || seen[out[i]] {
			return nil, false
		}
		seen[out[i]] = true
	}
	return out, true
}

// scalarAt returns a text or number of a map, such as "metadata.name".
func scalarAt(m map[string]any, path string) (string, bool) {
	first, rest, more := strings.Cut(path, ".")
	if more {
		sub, _ := m[first].(map[string]any)
		return scalarAt(sub, rest)
	}
	switch v := m[first].(type) {
	case string:
		return v, true
	case int64, float64, int:
		return fmt.Sprint(v), true
	}
	return "", false
}

// Lengths to which the parts of a report are cut, so that one value cannot fill it.
const (
	mostValue   = 2000      // characters of a value in one line
	mostLines   = 400       // of a text, or of an object that is new or gone
	mostText    = 256 << 10 // bytes of a text that is compared line by line
	textContext = 3         // lines around what differs
)

// value writes a value in one line: a text as it stands where it cannot be taken for
// anything else, all else as JSON.
func value(v any) string {
	s, ok := v.(string)
	if ok && s != "" && s == strings.TrimSpace(s) && !strings.ContainsAny(s, "\n\r\"") && !ambiguous.MatchString(s) {
		return cut(s)
	}
	b := new(strings.Builder)
	enc := json.NewEncoder(b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil { // NaN and the like, which no YAML of a cluster has
		return cut(fmt.Sprint(v))
	}
	return cut(strings.TrimSuffix(b.String(), "\n"))
}

// ambiguous are texts that YAML would read as something else.
var ambiguous = regexp.MustCompile(`^(?i:true|false|null|yes|no|on|off|~|[-+.]?[0-9][0-9_.,eExX+-]*|[\[{].*)$`)

func cut(s string) string {
	if len(s) <= mostValue {
		return s
	}
	r := []rune(s)
	if len(r) <= mostValue {
		return s
	}
	return fmt.Sprintf("%s… (%d more characters)", string(r[:mostValue]), len(r)-mostValue)
}

// text compares two texts line by line, as diff -u does; "" if they are too large.
func text(old, new string) string {
	if len(old)+len(new) > mostText {
		return ""
	}
	ending := func(s string) string {
		if s != "" && !strings.HasSuffix(s, "\n") {
			return s + "\n"
		}
		return s
	}
	u, err := udiff.ToUnified("", "", ending(old), udiff.Lines(ending(old), ending(new)), textContext)
	if err != nil || u == "" {
		return ""
	}
	all := strings.SplitAfter(u, "\n")
	return few(strings.Join(all[min(2, len(all)):], "")) // without the lines that name files
}

// few cuts a text to the lines that are shown of one.
func few(s string) string {
	all := strings.Split(strings.TrimSuffix(s, "\n"), "\n")
	more := len(all) - mostLines
	if more > 0 {
		all = append(all[:mostLines:mostLines], fmt.Sprintf("… (%d more lines)", more))
	}
	for i := range all {
		all[i] = cut(all[i])
	}
	return strings.Join(all, "\n")
}

// textual tells whether two values are compared line by line.
func textual(old, new any) bool {
	o, ok1 := old.(string)
	n, ok2 := new.(string)
	return ok1 && ok2 && (strings.Contains(o, "\n") || strings.Contains(n, "\n"))
}
