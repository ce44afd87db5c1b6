package gitops

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"lumacore.dev/lumacore/internal/report"
)

// Bounds of a YAML file.
const (
	MaxDepth = 100       // mappings and lists in one another, of one document
	MaxNodes = 1_000_000 // values of all documents, each alias counted with what it stands for
)

// Document is one YAML document of a file, as it was written.
type Document struct {
	File  string
	Index int // in the file, from 0
	Line  int // of the first key, from 1
	Node  *yaml.Node

	// What the document says it is; empty for what is no Kubernetes object.
	APIVersion, Kind, Namespace, Name string
}

// Location is where the document begins.
func (d *Document) Location() report.Location { return report.Location{File: d.File, Line: d.Line} }

// ParseError says why a file is no YAML that can be used.
type ParseError struct {
	report.Location
	Reason string
	Bounds bool // it is YAML, but deeper or larger than what is read
}

func (e *ParseError) Error() string { return fmt.Sprintf("%s: %s", e.Location, e.Reason) }

// IsYAML tells whether the name is that of a YAML file.
func IsYAML(name string) bool {
	ext := path.Ext(name)
	return ext == ".yaml" || ext == ".yml"
}

// Documents returns the documents of a YAML file. On a [ParseError] it returns
// the documents before the mistake too. Empty documents are left out.
func (t *Tree) Documents(name string) ([]*Document, error) {
	data, err := t.ReadFile(name)
	if err != nil {
		return nil, err
	}
	e := t.files[name]
	e.parse.Do(func() { e.docs, e.wrong = ParseDocuments(name, data) })
	return e.docs, e.wrong
}

// ParseDocuments parses data as the content of the named file. Its error is a
// [*ParseError].
func ParseDocuments(name string, data []byte) ([]*Document, error) {
	docs, err := parseDocuments(name, data)
	if err == nil {
		return docs, nil
	}
	var perr *ParseError
	if !errors.As(err, &perr) {
		// It says "yaml: line 3: …", where 3 is the line at which the mapping or
		// list around the mistake begins, and is one too small at times.
		reason := strings.TrimPrefix(err.Error(), "yaml: ")
		line := 0
		if rest, ok := strings.CutPrefix(reason, "line "); ok {
			if n, why, ok := strings.Cut(rest, ": "); ok {
				if i, aerr := strconv.Atoi(n); aerr == nil {
					line, reason = i, why
				}
			}
		}
		if exact := mistake(data); exact > 0 {
			line = exact
		}
		perr = &ParseError{Location: report.Location{File: name, Line: min(line, lines(data))}, Reason: reason}
	}
	return docs, perr
}

func parseDocuments(name string, data []byte) (docs []*Document, err error) {
	// A panic on strange bytes must not end the run.
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the YAML parser gave up: %v", r)
		}
	}()
	breaks := otherBreaks(data)
	values := 0
	dec := yaml.NewDecoder(bytes.NewReader(data))
	for i := 0; ; i++ {
		var node yaml.Node
		err := dec.Decode(&node)
		if errors.Is(err, io.EOF) {
			return docs, nil
		}
		if err != nil {
			return docs, err
		}
		root := &node
		if root.Kind == yaml.DocumentNode && len(root.Content) > 0 {
			root = root.Content[0]
		}
		if root.Kind == 0 || root.Kind == yaml.ScalarNode && root.Tag == "!!null" {
			continue
		}
		if breaks != nil {
			breaks.correct(root)
		}
		d := &Document{File: name, Index: i, Line: root.Line, Node: root}
		m := measure{seen: map[*yaml.Node]extent{}}
		e := m.of(root)
		values += e.values
		if m.foreign != nil { // the parser knows the anchors of all documents; kustomize, which splits them before, does not
			return docs, &ParseError{Location: report.Location{File: name, Line: m.foreign.Line}, Reason: fmt.Sprintf("unknown anchor '%s' referenced", m.foreign.Value)}
		}
		why := ""
		switch {
		case m.cycle:
			why = "an alias stands for something that contains the alias itself"
		case e.depth > MaxDepth:
			why = fmt.Sprintf("mappings and lists are nested %d deep; %d are the most that are read", e.depth, MaxDepth)
		case values > MaxNodes:
			why = fmt.Sprintf("the file has more than %d values when its aliases are expanded", MaxNodes)
		}
		if why != "" {
			return docs, &ParseError{Location: d.Location(), Reason: why, Bounds: true}
		}
		d.APIVersion, d.Kind = d.Scalar("apiVersion"), d.Scalar("kind")
		d.Name, d.Namespace = d.Scalar("metadata", "name"), d.Scalar("metadata", "namespace")
		docs = append(docs, d)
	}
}

// lines counts the lines of data; the last one need not end.
func lines(data []byte) int {
	n := bytes.Count(data, []byte("\n"))
	if !bytes.HasSuffix(data, []byte("\n")) {
		n++
	}
	return n
}

// mistake returns the line of the mistake in data that does not parse: the first
// line with which, and with all that follow, the beginning of the file does not
// parse. For a quote or bracket that is never closed that is where it was opened.
// It returns 0 when finding it would take too long.
func mistake(data []byte) int {
	const most = 4 << 20 // bytes to parse in search of it, which take about 0.1 s
	in := &byLine{rest: data}
	if parses(in) {
		return 0
	}
	// The parser has asked for few lines after the mistake, if any.
	for read, work := len(data)-len(in.rest), 0; read > 0; {
		end := bytes.LastIndexByte(data[:read-1], '\n') + 1
		if work += end; work > most {
			return 0
		}
		if parses(bytes.NewReader(data[:end])) {
			return bytes.Count(data[:end], []byte("\n")) + 1
		}
		read = end
	}
	return 1
}

func parses(r io.Reader) (ok bool) {
	defer func() {
		if recover() != nil {
			ok = false
		}
	}()
	dec := yaml.NewDecoder(r)
	for {
		var n yaml.Node
		if err := dec.Decode(&n); err != nil {
			return errors.Is(err, io.EOF)
		}
	}
}

// byLine gives at most a line with each Read.
type byLine struct{ rest []byte }

func (r *byLine) Read(p []byte) (int, error) {
	if len(r.rest) == 0 {
		return 0, io.EOF
	}
	end := bytes.IndexByte(r.rest, '\n') + 1
	if end == 0 {
		end = len(r.rest)
	}
	n := copy(p, r.rest[:end])
	r.rest = r.rest[n:]
	return n, nil
}

// breaks maps YAML's line numbers to those of an editor. To YAML 1.1 a lone
// carriage return and the Unicode characters NEL, LS and PS end a line too
// (https://yaml.org/spec/1.1/#id871136); everybody else counts line feeds.
type breaks []int

// otherBreaks returns nil when the numbers are the same.
func otherBreaks(data []byte) breaks {
	if !bytes.ContainsAny(data, "\r\u0085\u2028\u2029") {
		return nil
	}
	line, m := 1, breaks{0, 1}
	differ := false
	for len(data) > 0 {
		r, n := utf8.DecodeRune(data)
		data = data[n:]
		switch {
		case r == '\n':
			line++
		case r == '\r' && len(data) > 0 && data[0] == '\n':
			continue
		case r == '\r' || r == '\u0085' || r == '\u2028' || r == '\u2029':
			differ = true
		default:
			continue
		}
		m = append(m, line)
	}
	if !differ {
		return nil
	}
	return m
}

func (b breaks) correct(n *yaml.Node) {
	n.Line = b[min(n.Line, len(b)-1)]
	for _, c := range n.Content {
		b.correct(c)
	}
}

// extent is how much a node is when its aliases are expanded.
type extent struct{ values, depth int }

// measure takes the extent of nodes. What an alias stands for is measured once,
// so that it takes no longer than the file has values.
type measure struct {
	seen    map[*yaml.Node]extent // of what has an anchor; the zero value while it is measured
	cycle   bool
	foreign *yaml.Node // the first alias of an anchor in another document
}

func (m *measure) of(n *yaml.Node) extent {
	if n.Kind == yaml.AliasNode {
		if _, ok := m.seen[n.Alias]; !ok && m.foreign == nil {
			m.foreign = n
		}
		n = n.Alias
	}
	if n.Anchor != "" {
		if e, ok := m.seen[n]; ok {
			m.cycle = m.cycle || e == extent{}
			return e
		}
		m.seen[n] = extent{}
	}
	e := extent{values: 1}
	for _, c := range n.Content {
		sub := m.of(c)
		e.values = min(e.values+sub.values, MaxNodes+1)
		e.depth = max(e.depth, sub.depth)
	}
	if n.Kind != yaml.ScalarNode {
		e.depth++
	}
	if n.Anchor != "" {
		m.seen[n] = e
	}
	return e
}

// Find returns the key and the value at a path of keys (strings) and list indexes
// (ints), or nils. For list items the key is the item itself. Aliases and merge
// keys (<<) on the way are followed; of a key that is there twice the last counts.
func (d *Document) Find(fields ...any) (key, value *yaml.Node) {
	key, value = d.Node, d.Node
	for _, f := range fields {
		var k, v *yaml.Node
		switch f := f.(type) {
		case string:
			k, v = lookUp(value, f)
		case int:
			if value = resolve(value); value.Kind == yaml.SequenceNode && f >= 0 && f < len(value.Content) {
				k, v = value.Content[f], value.Content[f]
			}
		}
		if v == nil {
			return nil, nil
		}
		key, value = k, v
	}
	return key, value
}

func resolve(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

// lookUp finds a key of a mapping. Its own keys win over those that it merges, and
// the mapping that is merged first over the others (https://yaml.org/type/merge.html).
func lookUp(n *yaml.Node, name string) (key, value *yaml.Node) {
	if n = resolve(n); n.Kind != yaml.MappingNode {
		return nil, nil
	}
	var merged *yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		switch k := n.Content[i]; {
		case k.Tag == "!!merge":
			merged = resolve(n.Content[i+1])
		case k.Value == name:
			key, value = k, n.Content[i+1]
		}
	}
	if key != nil || merged == nil {
		return key, value
	}
	if merged.Kind != yaml.SequenceNode {
		return lookUp(merged, name)
	}
	for _, m := range merged.Content {
		if key, value = lookUp(m, name); key != nil {
			return key, value
		}
	}
	return nil, nil
}

// Scalar returns the text of the scalar at a path, or "".
func (d *Document) Scalar(fields ...any) string {
	_, v := d.Find(fields...)
	if v == nil {
		return ""
	}
	if v = resolve(v); v.Kind != yaml.ScalarNode {
		return ""
	}
	return v.Value
}

// LineOf returns the line of the field at a path; when the document does not have
// it, of the nearest field above that it has.
func (d *Document) LineOf(fields ...any) int {
	for n := len(fields); n > 0; n-- {
		if k, _ := d.Find(fields[:n]...); k != nil {
			return k.Line
		}
	}
	return d.Line
}

// Is tells whether the document is an object of the group and kind.
func (d *Document) Is(group string, kinds ...string) bool {
	g, _, ok := strings.Cut(d.APIVersion, "/")
	if !ok {
		g = ""
	}
	return g == group && slices.Contains(kinds, d.Kind)
}
