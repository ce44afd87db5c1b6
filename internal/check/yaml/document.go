package yaml

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	yamlv3 "go.yaml.in/yaml/v3"
	sigsyaml "sigs.k8s.io/yaml"

	"lumacore.dev/lumacore/internal/gitops"
)

// hints say in an author's words what the parser's messages come from. The first
// that matches counts.
var hints = []struct{ message, hint string }{
	{"mapping values are not allowed", `there is a second ": " in the value, or the line is indented as if it belonged to a value`},
	{"did not find expected key", "the line is indented like none of the keys above it, or something follows a closed quote"},
	{"did not find expected '-' indicator", "a key stands where the next item of a list is expected"},
	{"could not find expected ':'", `the line is neither "key: value" nor an item of a list`},
	{"found character that cannot start any token", "a value that begins with @, ` or % needs quotes"},
	{"found unexpected end of stream", "the quote that is opened here is never closed"},
	{"did not find expected ',' or ']'", "the bracket that is opened here is not closed, or a comma is missing"},
	{"did not find expected ',' or '}'", "the brace that is opened here is not closed, or a comma is missing"},
	{"did not find expected node content", "a value is missing, or the bracket that is opened here is not closed"},
	{"block sequence entries are not allowed", "a list begins on the line after its key"},
	{"unknown anchor", "an alias (*name) needs its anchor (&name) before it, in the same document"},
	{"did not find expected alphabetic or numeric character", "a value that begins with * or & needs quotes"},
	{"unknown escape character", `in double quotes a backslash is written \\; single quotes take it as it stands`},
	{"found incompatible YAML document", "Flux's parser knows YAML 1.1 only; remove the %YAML line"},
	{"control characters are not allowed", "the file is not text, or was damaged"},
	{"UTF-8", "the file is not UTF-8; save it as UTF-8"},
}

// syntax reports why the file does not parse.
func (f *file) syntax(err *gitops.ParseError) {
	lines := bytes.Split(f.data, []byte("\n"))
	at := func(n int) []byte {
		if n < 1 || n > len(lines) {
			return nil
		}
		return lines[n-1]
	}
	switch conflict := bytes.Index(append([]byte("\n"), f.data...), []byte("\n<<<<<<< ")); {
	case err.Bounds:
		f.add("yaml/too-large", err.Line, nil, "the document cannot be used: %s", err.Reason)
		return
	case conflict >= 0:
		f.add("yaml/syntax", bytes.Count(f.data[:conflict], []byte("\n"))+1, nil,
			"a merge conflict is not resolved: the file has lines that begin with <<<<<<<, ======= and >>>>>>>")
		return
	case indentedByTab(at(err.Line)):
		f.add("yaml/tab", err.Line, nil, "the line is indented with a tab; YAML allows spaces only, so the file cannot be read")
		return
	}
	message := err.Reason
	for _, h := range hints {
		if strings.Contains(message, h.message) {
			message += ": " + h.hint
			break
		}
	}
	f.add("yaml/syntax", err.Line, nil, "the file cannot be read: %s", message)
}

func indentedByTab(line []byte) bool {
	indent := line[:len(line)-len(bytes.TrimLeft(line, " \t"))]
	return bytes.ContainsRune(indent, '\t')
}

// document looks at the keys and values of a document.
func (f *file) document(d *gitops.Document) {
	w := walker{file: f, doc: d, object: len(applied([]*gitops.Document{d}, isKustomization(f.name))) > 0}
	w.walk(d.Node)
}

// walker goes through a document. It does not follow aliases: what they stand for
// is in the document anyway.
type walker struct {
	*file
	doc    *gitops.Document
	object bool // of Kubernetes or kustomize: it is known who reads it
	at     []string
}

func (w *walker) walk(n *yamlv3.Node) {
	switch n.Kind {
	case yamlv3.SequenceNode:
		for i, c := range n.Content {
			w.at = append(w.at, fmt.Sprintf("[%d]", i))
			w.walk(c)
			w.at = w.at[:len(w.at)-1]
		}
	case yamlv3.MappingNode:
		w.keys(n)
		for i := 0; i+1 < len(n.Content); i += 2 {
			w.at = append(w.at, "."+n.Content[i].Value)
			w.walk(n.Content[i+1])
			w.at = w.at[:len(w.at)-1]
		}
	case yamlv3.ScalarNode:
		if w.object {
			w.value(n)
		}
	}
}

// path is the path of the value that the walker is at: "spec.values.enabled".
func (w *walker) path() string { return strings.TrimPrefix(strings.Join(w.at, ""), ".") }

// keys looks at the keys of a mapping. Keys that are the same text are the same:
// the JSON that the API server gets knows no others.
func (w *walker) keys(n *yamlv3.Node) {
	var lines map[string]int
	const few = 16
	if len(n.Content) > 2*few {
		lines = make(map[string]int, len(n.Content)/2)
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k := n.Content[i]
		if k.Kind == yamlv3.MappingNode || k.Kind == yamlv3.SequenceNode {
			if w.manifest && !w.template {
				w.add("yaml/syntax", k.Line, w.doc, "%s: a mapping or list stands where a key or value is expected: {{ and {%% of templates, and values that begin with { or [, need quotes", w.orRoot())
			}
			continue
		}
		first := 0
		if lines != nil {
			if first = lines[k.Value]; first == 0 {
				lines[k.Value] = k.Line
			}
		} else {
			for j := 0; j < i; j += 2 {
				if n.Content[j].Kind == yamlv3.ScalarNode && n.Content[j].Value == k.Value {
					first = n.Content[j].Line
					break
				}
			}
		}
		if w.object {
			w.key(k)
		}
		if first > 0 {
			w.add("yaml/duplicate-key", k.Line, w.doc, "%s: the key %q is here a second time; the first is in line %d", w.orRoot(), k.Value, first)
		}
	}
}

// key looks at a plain key of an object. kustomize keeps the type of keys, save
// at the root, and then cannot write the object as JSON.
func (w *walker) key(k *yamlv3.Node) {
	if k.Kind != yamlv3.ScalarNode {
		return
	}
	switch tag := k.ShortTag(); tag {
	case "!!int", "!!float", "!!bool", "!!null", "!!timestamp":
		if len(w.at) > 0 {
			w.add("yaml/key-not-text", k.Line, w.doc, "%s: the key %s is %s, and Flux cannot build what has keys that are no text: quote the key", w.orRoot(), keyText(k), notText[tag])
		}
		return
	}
	// Text that is none to others is a boolean of YAML 1.1.
	if k.Style != 0 || len(k.Value) > len("off") || !ambiguous.MatchString(k.Value) {
		return
	}
	if r := readings(k.Value); r.flux != r.kubectl {
		w.add("yaml/ambiguous-value", k.Line, w.doc, "%s: the key %s without quotes is %s to Flux and YAML 1.2, but %q to kubectl and Helm: quote the key", w.orRoot(), k.Value, r.flux, r.kubectl)
	}
}

// notText says what keys are by their tag.
var notText = map[string]string{
	"!!int": "a number", "!!float": "a number", "!!bool": "a boolean", "!!null": "null", "!!timestamp": "a time",
}

func keyText(k *yamlv3.Node) string {
	switch {
	case k.Value == "":
		return "(nothing)"
	case len(k.Value) > 64:
		return k.Value[:64] + "…"
	}
	return k.Value
}

func (w *walker) orRoot() string {
	if p := w.path(); p != "" {
		return p
	}
	return "the document's top level"
}

var (
	// ambiguous matches, cheaply, plain scalars that may be read in two ways.
	ambiguous = regexp.MustCompile(`^(?:[yYnN]|yes|Yes|YES|no|No|NO|on|On|ON|off|Off|OFF|[-+]?0[0-9_bo][0-9_]*|[-+]?[0-9][0-9xA-Fa-f]*_[0-9A-Fa-f_.eE+]*|[0-9]{4}-[0-9][0-9TtZz:. +-]*)$`)
	octal     = regexp.MustCompile(`^0[0-7]{3}$`)
)

// value looks at a plain scalar.
func (w *walker) value(n *yamlv3.Node) {
	if n.Style != 0 || len(n.Value) > 64 || !ambiguous.MatchString(n.Value) {
		return
	}
	// The mode of a file is octal by custom, and documented so
	// (https://kubernetes.io/docs/concepts/configuration/secret/#secret-files-permissions).
	if field := w.at[max(len(w.at)-1, 0):]; octal.MatchString(n.Value) && len(field) == 1 && (field[0] == ".defaultMode" || field[0] == ".mode") {
		return
	}
	r := readings(n.Value)
	if r.flux == r.kubectl && r.flux == r.core {
		return
	}
	var say string
	switch r.flux {
	case r.kubectl:
		say = fmt.Sprintf("%s to Flux and kubectl, but %s to YAML 1.2", r.flux, r.core)
	case r.core:
		say = fmt.Sprintf("%s to Flux and YAML 1.2, but %s to kubectl and Helm", r.flux, r.kubectl)
	default:
		say = fmt.Sprintf("%s to Flux, but %s to kubectl", r.flux, r.kubectl)
	}
	if w.doc.Is("", "Secret") { // its values are for nobody to see
		w.add("yaml/ambiguous-value", n.Line, w.doc, "%s: the value has no quotes, and is not the same to all YAML parsers", w.orRoot())
		return
	}
	w.add("yaml/ambiguous-value", n.Line, w.doc, "%s: %s without quotes is %s", w.orRoot(), n.Value, say)
}

// reading is what parsers make of a plain scalar, as JSON.
type reading struct{ flux, kubectl, core string }

// readings asks the parsers: Flux builds with kustomize, which reads YAML with
// go-yaml v3; kubectl, and Helm for values files, with v2, which is YAML 1.1.
func readings(plain string) reading {
	r := reading{core: coreSchema(plain)}
	var v any
	if err := yamlv3.Unmarshal([]byte(plain), &v); err == nil {
		if b, err := json.Marshal(v); err == nil {
			r.flux = string(b)
		}
	}
	if b, err := sigsyaml.YAMLToJSON([]byte(plain)); err == nil {
		r.kubectl = string(bytes.TrimSpace(b))
	}
	return r
}

var (
	coreInt   = regexp.MustCompile(`^[-+]?[0-9]+$`)
	coreFloat = regexp.MustCompile(`^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$`)
)

// coreSchema reads those plain scalars that are [ambiguous] as YAML 1.2 does
// (https://yaml.org/spec/1.2.2/#1032-tag-resolution), and returns JSON.
func coreSchema(plain string) string {
	var v any = plain
	if digits, ok := strings.CutPrefix(plain, "0o"); ok {
		if n, err := strconv.ParseInt(digits, 8, 64); err == nil {
			v = n
		}
	} else if n, err := strconv.ParseInt(plain, 10, 64); err == nil && coreInt.MatchString(plain) {
		v = n
	} else if f, err := strconv.ParseFloat(plain, 64); err == nil && coreFloat.MatchString(plain) {
		v = f
	}
	b, _ := json.Marshal(v) // of a string or a finite number
	return string(b)
}
