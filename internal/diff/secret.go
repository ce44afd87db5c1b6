package diff

import (
	"encoding/base64"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"lumacore.dev/lumacore/internal/render"
)

// What is shown in place of a secret value.
const (
	hiddenSecret    = "a value of a Secret"
	hiddenEncrypted = "encrypted: changed, or encrypted anew"
	hiddenCluster   = "only the cluster has the value"
	hiddenInside    = "holds a value of a Secret"

	maskSecret  = "(secret)"
	maskCluster = "(only in the cluster)"
)

// Values of Secrets shorter than this are not looked for in other objects: they would
// be found everywhere.
const leastSecret = 8

// masker hides secret values.
type masker struct {
	values *strings.Replacer // nil if there is none
}

// newMasker learns the values of all Secrets of two renders, which may stand in other
// objects too: by substitution, or from a release's valuesFrom.
func newMasker(results ...*render.Result) *masker {
	set := map[string]bool{}
	add := func(s string) {
		if s = strings.TrimSpace(s); len(s) >= leastSecret && !render.HasStandIn(s) {
			set[s] = true
		}
	}
	for _, res := range results {
		for _, c := range res.Clusters {
			for _, o := range c.Of("", "Secret") {
				data, _ := o.Object["data"].(map[string]any)
				for _, v := range data {
					s, _ := v.(string)
					add(s)
					if b, err := base64.StdEncoding.DecodeString(s); err == nil {
						add(string(b))
						inside(string(b), add)
					}
				}
				data, _ = o.Object["stringData"].(map[string]any)
				for _, v := range data {
					if s, ok := v.(string); ok {
						add(s)
						add(base64.StdEncoding.EncodeToString([]byte(s)))
						inside(s, add)
					}
				}
			}
		}
	}
	if len(set) == 0 {
		return &masker{}
	}
	list := make([]string, 0, len(set))
	for s := range set {
		list = append(list, s)
	}
	slices.SortFunc(list, func(a, b string) int { // the longest first: it may hold a shorter one
		if len(a) != len(b) {
			return len(b) - len(a)
		}
		return strings.Compare(a, b)
	})
	pairs := make([]string, 0, 2*len(list))
	for _, s := range list {
		pairs = append(pairs, s, maskSecret)
	}
	return &masker{strings.NewReplacer(pairs...)}
}

// delicate are names of settings whose values are secret by themselves.
var delicate = regexp.MustCompile(`(?i)pass|secret|token|key|credential|auth|dsn|salt|private`)

// The length from which a value in a Secret's file is taken for secret whatever its
// name is, and the size of the files that are looked into.
const (
	longSecret = 24
	mostInside = 256 << 10
)

// inside adds the secret values of a file that a Secret holds, such as the values of
// a Helm chart: other objects may have them without what stands around them.
func inside(file string, add func(string)) {
	if !strings.ContainsAny(file, ":=") || len(file) > mostInside {
		return
	}
	for line := range strings.Lines(file) { // .env, .ini
		if k, v, ok := strings.Cut(line, "="); ok && (delicate.MatchString(k) || len(v) >= longSecret) {
			add(strings.Trim(strings.TrimSpace(v), `"'`))
		}
	}
	var n yaml.Node
	if yaml.Unmarshal([]byte(file), &n) != nil {
		return
	}
	var walk func(n *yaml.Node, key string)
	walk = func(n *yaml.Node, key string) {
		switch n.Kind {
		case yaml.MappingNode:
			for i := 0; i+1 < len(n.Content); i += 2 {
				walk(n.Content[i+1], n.Content[i].Value)
			}
		case yaml.ScalarNode:
			if delicate.MatchString(key) || len(n.Value) >= longSecret {
				add(n.Value)
			}
		default:
			for _, c := range n.Content {
				walk(c, key)
			}
		}
	}
	walk(&n, "")
}

// text hides the values of Secrets in a text.
func (m *masker) text(s string) string {
	if m.values == nil {
		return s
	}
	return m.values.Replace(s)
}

// value returns a copy of a value of an object in which nothing is secret, and why
// something was hidden, or "". at is where the value stands in the object.
func (m *masker) value(o *render.Object, at way, v any) (any, string) {
	why := ""
	secret := o.Is("", "Secret")
	standIns := len(o.Origin.Placeholders) > 0
	var walk func(at way, v any) any
	walk = func(at way, v any) any {
		inData := secret && len(at) > 0 && (at[0].text == "data" || at[0].text == "stringData")
		switch v := v.(type) {
		case map[string]any:
			if inData && len(at) > 1 {
				break
			}
			out := make(map[string]any, len(v))
			for k, x := range v {
				out[k] = walk(at.key(k), x)
			}
			return out
		case []any:
			if inData {
				break
			}
			out := make([]any, len(v))
			for i, x := range v {
				out[i] = walk(at.item(""), x)
			}
			return out
		case nil:
			return nil
		}
		if inData {
			why = hiddenSecret
			return maskSecret
		}
		if standIns && render.HasStandIn(v) {
			why = hiddenCluster
			return maskCluster
		}
		if s, ok := v.(string); ok {
			if t := m.text(s); t != s {
				why = hiddenInside
				return t
			}
		}
		return v
	}
	return walk(at, v), why
}
