package values

import (
	"encoding/json"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	chartv2 "helm.sh/helm/v4/pkg/chart/v2"
)

// Learn returns what a chart knows of its values: from its defaults, its schema, what
// its templates use, and the same of its dependencies below their names.
func Learn(c *chartv2.Chart) *Node {
	names := map[string]*definition{}
	all := []*chartv2.Chart{}
	var gather func(c *chartv2.Chart)
	gather = func(c *chartv2.Chart) {
		all = append(all, c)
		for _, d := range c.Dependencies() {
			gather(d)
		}
	}
	gather(c)
	parsed := map[*chartv2.Chart][]*definition{}
	for _, c := range all {
		parsed[c] = parseTemplates(c, names)
	}
	n := learn(c, parsed, names)
	n.finish()
	return n
}

// finish makes of what was noted what is compared with.
func (n *Node) finish() {
	if n.whole {
		n.open()
	}
	if n.flat() {
		n.Keys = nil // nobody looks into lists
		// Written out as it is, or ranged over: a mapping may do as well.
		n.Loose = n.Loose || n.whole || n.Open
	}
	if len(n.Keys) == 0 {
		n.Open = true
	}
	every := n.Keys[anyKey]
	for k, c := range n.Keys {
		if every != nil && k != anyKey {
			every.spread(c)
		}
		c.finish()
	}
}

// spread notes what is used as a whole of every key of a mapping for one of its keys.
func (n *Node) spread(key *Node) {
	key.whole = key.whole || n.whole
	for k, c := range n.Keys {
		if below := key.Keys[k]; below != nil {
			c.spread(below)
		}
	}
}

func learn(c *chartv2.Chart, parsed map[*chartv2.Chart][]*definition, names map[string]*definition) *Node {
	uses := &Node{}
	look(parsed[c], texts(c.Values, names, uses), names, uses)
	mentioned(c, uses)
	root := fromValue(c.Values)
	root.Open = false // an empty values.yaml says nothing of the templates
	if len(c.Schema) > 0 {
		var doc any
		if json.Unmarshal(c.Schema, &doc) == nil {
			root.add(fromSchema(doc))
		}
	}
	for _, d := range c.Metadata.Dependencies {
		if d == nil {
			continue
		}
		for _, condition := range strings.Split(d.Condition, ",") {
			if condition = strings.TrimSpace(condition); condition != "" {
				root.at(strings.Split(condition, "."))
			}
		}
		if len(d.Tags) > 0 {
			root.child("tags").Open = true
		}
		if len(d.ImportValues) > 0 {
			root.Open = true // values of dependencies become the chart's own
		}
	}
	root.child("global").Open = true // for every chart, and passed on to all of them
	root.merge(uses)
	for name, d := range dependencies(c) {
		if d == nil {
			root.child(name).Open = true
			continue
		}
		below := learn(d, parsed, names)
		root.child("global").add(below.child("global"))
		at := root.child(name)
		at.Types |= Map
		at.Open = false // the default of the chart may be empty, its dependency's are not
		if u := uses.Keys[name]; u != nil {
			at.Open = u.Open
		}
		at.add(below)
	}
	return root
}

// dependencies returns the charts below a chart by the key of their values; nil for one
// that is not there.
func dependencies(c *chartv2.Chart) map[string]*chartv2.Chart {
	have := map[string]*chartv2.Chart{}
	for _, d := range c.Dependencies() {
		have[d.Name()] = d
	}
	out := maps.Clone(have)
	for _, d := range c.Metadata.Dependencies {
		if d == nil || d.Alias == "" || d.Alias == d.Name {
			if d != nil && out[d.Name] == nil {
				out[d.Name] = nil
			}
			continue
		}
		if out[d.Alias] == nil {
			out[d.Alias] = have[d.Name]
		}
		named := func(o *chartv2.Dependency) bool { return o != nil && o.Name == d.Name && o.Alias == "" }
		if !slices.ContainsFunc(c.Metadata.Dependencies, named) {
			delete(out, d.Name)
		}
	}
	return out
}

// merge adds what templates use. A place that the chart has no default for is open: what
// else may be there is not known for sure.
func (n *Node) merge(uses *Node) {
	n.Open = n.Open || uses.Open
	n.Loose = n.Loose || uses.Loose
	n.whole = n.whole || uses.whole
	for k, u := range uses.Keys {
		if c, ok := n.Keys[k]; ok {
			c.merge(u)
			continue
		}
		c := n.child(k)
		c.add(u)
		if k != anyKey {
			c.open()
		}
	}
}

// open opens a node and all below.
func (n *Node) open() {
	n.Open = true
	for _, c := range n.Keys {
		c.open()
	}
}

// fromValue learns from a default.
func fromValue(v any) *Node {
	switch v := v.(type) {
	case nil:
		return &Node{Types: Null, Open: true}
	case map[string]any:
		n := &Node{Types: Map, Open: len(v) == 0}
		for k, e := range v {
			n.child(k).add(fromValue(e))
		}
		return n
	case []any:
		return &Node{Types: List}
	case string:
		return &Node{Types: String}
	case bool:
		return &Node{Types: Bool}
	}
	return &Node{Types: Number}
}

var schemaTypes = map[string]Types{
	"object": Map, "array": List, "string": String, "number": Number, "integer": Number, "boolean": Bool, "null": Null,
}

// fromSchema learns from the JSON schema of a chart's values.
func fromSchema(doc any) *Node {
	s := &schema{doc: doc, left: 20_000}
	n := s.node(doc, 0)
	n.whole = n.whole || s.left <= 0
	return n
}

type schema struct {
	doc  any
	left int // schemas that may still be looked at
}

const deepest = 40

func (s *schema) node(v any, depth int) *Node {
	m, ok := v.(map[string]any)
	if s.left--; !ok || depth > deepest || s.left <= 0 {
		return &Node{whole: true}
	}
	n := &Node{}
	if ref, ok := m["$ref"].(string); ok {
		target, ok := s.find(ref)
		if !ok {
			return &Node{Loose: true, whole: true} // another document
		}
		n.add(s.node(target, depth+1))
	}
	switch t := m["type"].(type) {
	case string:
		n.Types |= schemaTypes[t]
	case []any:
		for _, t := range t {
			name, _ := t.(string)
			n.Types |= schemaTypes[name]
		}
	default:
		if m["$ref"] == nil && m["properties"] == nil && m["allOf"] == nil && m["anyOf"] == nil && m["oneOf"] == nil {
			n.Loose = true // any type
		}
	}
	properties, _ := m["properties"].(map[string]any)
	if len(properties) > 0 && m["type"] == nil {
		n.Types |= Map
	}
	for k, p := range properties {
		n.child(k).add(s.node(p, depth+1))
	}
	for _, of := range []string{"allOf", "anyOf", "oneOf"} {
		list, _ := m[of].([]any)
		for _, e := range list {
			n.add(s.node(e, depth+1))
		}
	}
	for _, of := range []string{"if", "then", "else", "dependentSchemas", "unevaluatedProperties"} {
		n.Open = n.Open || m[of] != nil && m[of] != false
	}
	_, patterns := m["patternProperties"]
	more := m["additionalProperties"]
	if _, some := more.(map[string]any); patterns || some {
		n.Open = true
	}
	return n
}

// find returns what a reference of the document itself leads to.
func (s *schema) find(ref string) (any, bool) {
	rest, ok := strings.CutPrefix(ref, "#")
	if !ok {
		return nil, false
	}
	at := s.doc
	for _, step := range strings.Split(strings.TrimPrefix(rest, "/"), "/") {
		if step == "" {
			continue
		}
		m, ok := at.(map[string]any)
		if !ok {
			return nil, false
		}
		at, ok = m[strings.NewReplacer("~1", "/", "~0", "~").Replace(step)]
		if !ok {
			return nil, false
		}
	}
	return at, true
}

// texts returns the defaults that are templates themselves: charts give whole
// configurations to tpl. What cannot be parsed may use all that it names.
func texts(values any, names map[string]*definition, uses *Node) []*definition {
	var out []*definition
	var look func(v any)
	look = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			for _, e := range v {
				look(e)
			}
		case []any:
			for _, e := range v {
				look(e)
			}
		case string:
			if !strings.Contains(v, "{{") || !strings.Contains(v, ".") {
				return
			}
			if d, err := parseTemplate("default "+v, v, names); err == nil {
				out = append(out, d)
				return
			}
			for _, m := range mention.FindAllStringSubmatch(v, -1) {
				uses.at(strings.Split(m[1][1:], ".")).whole = true
			}
		}
	}
	look(values)
	return out
}

// mention matches a use of values wherever it stands: in a file that a template reads, in
// a value that is a template itself, in a template whose dot is not known.
var mention = regexp.MustCompile(`\.Values((?:\.[A-Za-z_][A-Za-z0-9_]*)+)`)

// mentioned notes the values that the files of a chart name.
func mentioned(c *chartv2.Chart, uses *Node) {
	for _, f := range c.Raw {
		if strings.HasPrefix(f.Name, "charts/") || strings.HasPrefix(f.Name, "crds/") || path.Ext(f.Name) == ".md" || len(f.Data) > 1<<20 {
			continue
		}
		for _, m := range mention.FindAllSubmatch(f.Data, -1) {
			uses.at(strings.Split(string(m[1][1:]), "."))
		}
	}
}
