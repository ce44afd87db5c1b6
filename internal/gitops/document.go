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
	"sync"

	"go.yaml.in/yaml/v3"

	"lumacore.dev/lumacore/internal/report"
)

// Bounds of one YAML document.
const (
	MaxDepth = 100       // mappings and lists in one another
	MaxNodes = 1_000_000 // values, each alias counted with what it stands for
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
}

func (e *ParseError) Error() string { return fmt.Sprintf("%s: %s", e.Location, e.Reason) }

type parsed struct {
	once sync.Once
	docs []*Document
	err  error
}

// IsYAML tells whether the name is that of a YAML file.
func IsYAML(name string) bool {
	ext := path.Ext(name)
	return ext == ".yaml" || ext == ".yml"
}

// Documents returns the documents of a YAML file. On a [ParseError] it returns
// the documents before the mistake too. Empty documents are left out.
func (t *Tree) Documents(name string) ([]*Document, error) {
	v, _ := t.parsing.LoadOrStore(name, &parsed{})
	p := v.(*parsed)
	p.once.Do(func() {
		var data []byte
		if data, p.err = t.ReadFile(name); p.err == nil {
			p.docs, p.err = ParseDocuments(name, data)
		}
	})
	return p.docs, p.err
}

// ParseDocuments parses data as the content of the named file.
func ParseDocuments(name string, data []byte) (docs []*Document, err error) {
	// The parser reads a document end marker in a comment or before a byte order
	// mark differently from one version to the next; a panic on strange bytes must
	// not end the run.
	defer func() {
		if r := recover(); r != nil {
			err = &ParseError{Location: report.Location{File: name}, Reason: fmt.Sprintf("the YAML parser gave up: %v", r)}
		}
	}()
	dec := yaml.NewDecoder(bytes.NewReader(data))
	for i := 0; ; i++ {
		var node yaml.Node
		err := dec.Decode(&node)
		if errors.Is(err, io.EOF) {
			return docs, nil
		}
		if err != nil {
			return docs, parseError(name, err)
		}
		root := &node
		if root.Kind == yaml.DocumentNode && len(root.Content) > 0 {
			root = root.Content[0]
		}
		if root.Kind == 0 || root.Kind == yaml.ScalarNode && root.Tag == "!!null" {
			continue
		}
		if err := bounded(name, root); err != nil {
			return docs, err
		}
		d := &Document{File: name, Index: i, Line: root.Line, Node: root}
		d.APIVersion, d.Kind = d.Scalar("apiVersion"), d.Scalar("kind")
		d.Name, d.Namespace = d.Scalar("metadata", "name"), d.Scalar("metadata", "namespace")
		docs = append(docs, d)
	}
}

// parseError gives the parser's error a place. It says "yaml: line 3: …".
func parseError(name string, err error) error {
	reason := strings.TrimPrefix(err.Error(), "yaml: ")
	loc := report.Location{File: name}
	if rest, ok := strings.CutPrefix(reason, "line "); ok {
		if n, why, ok := strings.Cut(rest, ": "); ok {
			if line, aerr := strconv.Atoi(n); aerr == nil {
				loc.Line, reason = line, why
			}
		}
	}
	return &ParseError{Location: loc, Reason: reason}
}

// bounded refuses documents that are too deep or, with aliases, too large.
func bounded(name string, root *yaml.Node) error {
	nodes := 0
	var walk func(n *yaml.Node, depth int) string
	walk = func(n *yaml.Node, depth int) string {
		if nodes++; nodes > MaxNodes {
			return fmt.Sprintf("has more than %d values when its aliases are expanded", MaxNodes)
		}
		if depth > MaxDepth {
			return fmt.Sprintf("is nested more than %d deep (or an alias contains itself)", MaxDepth)
		}
		if n.Kind == yaml.AliasNode && n.Alias != nil {
			return walk(n.Alias, depth+1)
		}
		for _, c := range n.Content {
			if why := walk(c, depth+1); why != "" {
				return why
			}
		}
		return ""
	}
	if why := walk(root, 0); why != "" {
		return &ParseError{Location: report.Location{File: name, Line: root.Line}, Reason: "the document " + why}
	}
	return nil
}

// Find returns the key and the value at a path of keys (strings) and list indexes
// (ints), or nils. For list items the key is the item itself.
func (d *Document) Find(fields ...any) (key, value *yaml.Node) {
	key, value = d.Node, d.Node
	for _, f := range fields {
		for value.Kind == yaml.AliasNode {
			value = value.Alias
		}
		var k, v *yaml.Node
		switch f := f.(type) {
		case string:
			if value.Kind == yaml.MappingNode {
				for i := 0; i+1 < len(value.Content); i += 2 {
					if value.Content[i].Value == f {
						k, v = value.Content[i], value.Content[i+1]
					}
				}
			}
		case int:
			if value.Kind == yaml.SequenceNode && f >= 0 && f < len(value.Content) {
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

// Scalar returns the text of the scalar at a path, or "".
func (d *Document) Scalar(fields ...any) string {
	_, v := d.Find(fields...)
	if v == nil || v.Kind != yaml.ScalarNode {
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
