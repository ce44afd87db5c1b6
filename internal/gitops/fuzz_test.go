package gitops

import (
	"errors"
	"testing"

	"go.yaml.in/yaml/v3"
)

// FuzzDocuments: no bytes make reading panic or hang; every error names the file,
// and every line is one of the file's.
func FuzzDocuments(f *testing.F) {
	for _, s := range []string{
		"", "a: b\n---\nc: d\n", deployment, laughs(8, 10), chain(50), "a: &a [*a]\n", "a: &a {<<: *a}\n", "\ufeffa: b\n", "a: b\r\nc: d\r\n", "a\rb: c\r",
		"# \u2028\u0085\na: b\n", "a: \"b\n", "a: [b,\n", "\ta: b\n", "a: |\n\tb\n", "a: \xff\n", "a: \x00\n", "\xff\xfea\x00:\x00 \x00b\x00", "%YAML 1.1\n---\na: b\n", "%TAG ! x\n--- !a b\n",
		"? [a, b]\n: c\n", "- - - a\n", "{{ a }}", "a: !!binary x\n", "a: !<x> b\n", "--- >\n a\n---\n...\n---", "a: &b\n*b : c\n", "&a a: *a\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		tree := FromFiles(map[string][]byte{"f.yaml": data})
		most := lines(data)
		docs, err := tree.Documents("f.yaml")
		if err != nil {
			var perr *ParseError
			if !errors.As(err, &perr) || perr.File != "f.yaml" || perr.Line < 0 || perr.Line > most || perr.Reason == "" {
				t.Fatalf("error %#v in a file of %d lines", err, most)
			}
		}
		line := 0
		for i, d := range docs {
			if d.Line < 1 || d.Line > most || d.Line < line || i > 0 && d.Index <= docs[i-1].Index {
				t.Fatalf("document %d in line %d after line %d, of %d lines", d.Index, d.Line, line, most)
			}
			line = d.Line
			look(t, d, d.Node, nil, most)
		}
	})
}

// look asks for the line of every field.
func look(t *testing.T, d *Document, n *yaml.Node, at []any, most int) {
	if len(at) > 5 {
		return
	}
	if l := d.LineOf(at...); l < 1 || l > most {
		t.Fatalf("%v is in line %d of %d", at, l, most)
	}
	d.Scalar(at...)
	for i, c := range n.Content[:min(len(n.Content), 100)] {
		switch {
		case n.Kind == yaml.SequenceNode:
			look(t, d, c, append(at, i), most)
		case n.Kind == yaml.MappingNode && i%2 == 1:
			look(t, d, c, append(at, n.Content[i-1].Value), most)
		}
	}
}
