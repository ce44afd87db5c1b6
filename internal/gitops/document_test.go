package gitops

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lumacore.dev/lumacore/internal/report"
)

// seen is what a document says it is.
type seen struct {
	Index, Line                       int
	APIVersion, Kind, Namespace, Name string
}

func see(docs []*Document) []seen {
	var out []seen
	for _, d := range docs {
		out = append(out, seen{d.Index, d.Line, d.APIVersion, d.Kind, d.Namespace, d.Name})
	}
	return out
}

func TestParseDocuments(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		text string
		want []seen
	}{
		"nothing":             {"", nil},
		"only comments":       {"# a\n\n# b\n", nil},
		"null":                {"~\n", nil},
		"empty documents":     {"---\n---\n# a\n---\n...\n", nil},
		"an object":           {"apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: a\n  namespace: b\n", []seen{{0, 1, "apps/v1", "Deployment", "b", "a"}}},
		"comments before":     {"# a\n\n---\n# b\n\nkind: A\n", []seen{{0, 6, "", "A", "", ""}}},
		"several":             {"kind: A\n---\nkind: B\n---\n# nothing\n---\n\nkind: C\n", []seen{{0, 1, "", "A", "", ""}, {1, 3, "", "B", "", ""}, {3, 8, "", "C", "", ""}}},
		"an end mark":         {"kind: A\n...\n---\nkind: B\n", []seen{{0, 1, "", "A", "", ""}, {1, 4, "", "B", "", ""}}},
		"on the line of ---":  {"--- {kind: A}\n--- {kind: B}\n", []seen{{0, 1, "", "A", "", ""}, {1, 2, "", "B", "", ""}}},
		"CRLF":                {"# a\r\nkind: A\r\n---\r\nkind: B\r\n", []seen{{0, 2, "", "A", "", ""}, {1, 4, "", "B", "", ""}}},
		"a byte order mark":   {"\ufeffkind: A\n---\nkind: B\n", []seen{{0, 1, "", "A", "", ""}, {1, 3, "", "B", "", ""}}},
		"UTF-16":              {"\xff\xfek\x00:\x00 \x00A\x00\n\x00", []seen{{0, 1, "", "", "", ""}}},
		"a lone CR":           {"a: b\rkind: A\nc: d\n---\nkind: B\n", []seen{{0, 1, "", "A", "", ""}, {1, 4, "", "B", "", ""}}},
		"other line breaks":   {"# \u2028 \u0085\nkind: A\n", []seen{{0, 2, "", "A", "", ""}}},
		"a list":              {"- a\n- b\n", []seen{{0, 1, "", "", "", ""}}},
		"a text":              {"hello\n", []seen{{0, 1, "", "", "", ""}}},
		"not scalars":         {"apiVersion: [v1]\nkind: {a: b}\nmetadata: x\n", []seen{{0, 1, "", "", "", ""}}},
		"a name by an alias":  {"x: &a web\nmetadata:\n  name: *a\n", []seen{{0, 1, "", "", "", "web"}}},
		"metadata by a merge": {"x: &a {name: web, namespace: x}\nmetadata:\n  <<: *a\n  namespace: b\n", []seen{{0, 1, "", "", "b", "web"}}},
		"a name twice":        {"metadata:\n  name: a\n  name: b\n", []seen{{0, 1, "", "", "", "b"}}},
		"quotes":              {"\"kind\": 'A'\n", []seen{{0, 1, "", "A", "", ""}}},
		"a tag of its own":    {"kind: !x A\n", []seen{{0, 1, "", "A", "", ""}}},
		"JSON":                {"{\n  \"kind\": \"A\",\n\t\"metadata\": {\"name\": \"a\"}\n}\n", []seen{{0, 1, "", "A", "", "a"}}},
		"a secret of SOPS":    {"kind: Secret\nstringData:\n  a: ENC[AES256_GCM,data:x==,iv:y,tag:z,type:str]\nsops:\n  version: 3.9.0\n", []seen{{0, 1, "", "Secret", "", ""}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			docs, err := ParseDocuments("f.yaml", []byte(tt.text))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, see(docs)); diff != "" {
				t.Errorf("documents (-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseErrors(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		text string
		docs int // before the mistake
		want ParseError
	}{
		"in the second document": {"a: b\n---\nc: d: e\n---\nf: g\n", 1, ParseError{Location: line(3), Reason: "mapping values are not allowed in this context"}},
		"indentation":            {"a:\n  b: c\n d: e\n", 0, ParseError{Location: line(3), Reason: "did not find expected key"}},
		"far below its mapping":  {"a: b\n" + strings.Repeat("c: d\n", 1000) + " e: f\n", 0, ParseError{Location: line(1002), Reason: "mapping values are not allowed in this context"}},
		"an open quote":          {"a: b\nc: \"d\ne: f\ng: h\n", 0, ParseError{Location: line(2), Reason: "found unexpected end of stream"}},
		"a quote that another closes": {
			"a: b\nc: \"d\ne: \"f\"\ng: h\n", 0, ParseError{Location: line(2), Reason: "did not find expected key"},
		},
		"an open bracket":          {"a: b\nc: [d,\n  e\nf: g\n", 0, ParseError{Location: line(2), Reason: "did not find expected ',' or ']'"}},
		"a tab":                    {"a:\n  b: c\n\td: e\n", 0, ParseError{Location: line(3), Reason: "found a tab character that violates indentation"}},
		"an alias to nowhere":      {"a: b\nc: *d\n", 0, ParseError{Location: line(2), Reason: "unknown anchor 'd' referenced"}},
		"an alias across":          {"a: &a b\n---\nc: *a\n", 1, ParseError{Location: line(3), Reason: "unknown anchor 'a' referenced"}},
		"invalid UTF-8":            {"a: b\nc: \xff\n", 0, ParseError{Location: line(2), Reason: "invalid leading UTF-8 octet"}},
		"NUL":                      {"a: b\nc: \x00\n", 0, ParseError{Location: line(2), Reason: "control characters are not allowed"}},
		"no line feed at the end":  {"a: b\nc: @", 0, ParseError{Location: line(2), Reason: "found character that cannot start any token"}},
		"only CRs":                 {"a: b\rc: @\r", 0, ParseError{Location: line(1), Reason: "found character that cannot start any token"}},
		"CRLF":                     {"a: b\r\nc: @\r\n", 0, ParseError{Location: line(2), Reason: "found character that cannot start any token"}},
		"deep lists":               {"a: " + strings.Repeat("[", MaxDepth) + strings.Repeat("]", MaxDepth) + "\n", 0, ParseError{Location: line(1), Reason: "mappings and lists are nested 101 deep; 100 are the most that are read", Bounds: true}},
		"very deep lists":          {strings.Repeat("[", 100_000), 0, ParseError{Location: line(1), Reason: "exceeded max depth of 10000"}},
		"deep by aliases":          {chain(MaxDepth), 0, ParseError{Location: line(1), Reason: "mappings and lists are nested 102 deep; 100 are the most that are read", Bounds: true}},
		"a billion laughs":         {laughs(10, 10), 0, ParseError{Location: line(1), Reason: "the file has more than 1000000 values when its aliases are expanded", Bounds: true}},
		"laughs beyond counting":   {laughs(90, 10), 0, ParseError{Location: line(1), Reason: "the file has more than 1000000 values when its aliases are expanded", Bounds: true}},
		"half of it twice":         {laughs(17, 2) + "---\n" + laughs(17, 2), 1, ParseError{Location: line(20), Reason: "the file has more than 1000000 values when its aliases are expanded", Bounds: true}},
		"an alias of itself":       {"a: b\n---\n# c\na: &a [b, *a]\n", 1, ParseError{Location: line(4), Reason: "an alias stands for something that contains the alias itself", Bounds: true}},
		"merged into itself":       {"a: &a\n  <<: *a\n", 0, ParseError{Location: line(1), Reason: "an alias stands for something that contains the alias itself", Bounds: true}},
		"another version of YAML":  {"%YAML 1.2\n---\na: b\n", 0, ParseError{Location: line(1), Reason: "found incompatible YAML document"}},
		"half a character of UTF8": {"a: b\nc: \xc3", 0, ParseError{Location: line(2), Reason: "incomplete UTF-8 octet sequence"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			docs, err := ParseDocuments("f.yaml", []byte(tt.text))
			var perr *ParseError
			if !errors.As(err, &perr) {
				t.Fatalf("error %v, of type %T", err, err)
			}
			if diff := cmp.Diff(tt.want, *perr); diff != "" || len(docs) != tt.docs {
				t.Errorf("%d documents, want %d; error (-want +got):\n%s", len(docs), tt.docs, diff)
			}
			if want := fmt.Sprintf("f.yaml:%d: %s", tt.want.Line, tt.want.Reason); err.Error() != want {
				t.Errorf("it says %q, want %q", err, want)
			}
		})
	}
}

func line(n int) report.Location { return report.Location{File: "f.yaml", Line: n} }

// laughs is a list of aliases of a list of aliases…, n deep and wide wide.
func laughs(n, wide int) string {
	var b strings.Builder
	b.WriteString("a0: &a0 x\n")
	for i := range n {
		fmt.Fprintf(&b, "a%d: &a%d [%s]\n", i+1, i+1, strings.Join(strings.Fields(strings.Repeat(fmt.Sprintf("*a%d, ", i), wide)), " "))
	}
	return b.String()
}

// chain is n lists in one another, by aliases.
func chain(n int) string {
	var b strings.Builder
	b.WriteString("a0: &a0 [x]\n")
	for i := range n {
		fmt.Fprintf(&b, "a%d: &a%d [*a%d]\n", i+1, i+1, i)
	}
	return b.String()
}

// TestParseTime: no file takes longer than its size allows. The bounds are wide;
// what they catch takes hours.
func TestParseTime(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"laughs":                   laughs(90, 10),
		"a quote that never ends":  strings.Repeat("a: b\n", 20_000) + "c: \"d\n" + strings.Repeat("a: b\n", 20_000),
		"a quote in a large file":  "c: \"d\n" + strings.Repeat("a: b\n", 300_000),
		"many anchors":             strings.Repeat("- &a b\n- *a\n", 20_000),
		"open brackets":            strings.Repeat("[", 500_000),
		"open braces":              strings.Repeat("{a: ", 200_000),
		"dashes":                   strings.Repeat("- ", 300_000),
		"question marks":           strings.Repeat("? ", 300_000),
		"a long line":              strings.Repeat("a ", 500_000) + ": b",
		"documents":                strings.Repeat("---\n", 200_000),
		"a mistake in a long line": "[" + strings.Repeat("a,", 300_000) + ":]:",
		"comments":                 strings.Repeat("#\n", 300_000) + "a: b",
		"indentation":              steps(2000),
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			_, _ = ParseDocuments("f.yaml", []byte(text))
			if took := time.Since(start); took > 30*time.Second {
				t.Errorf("%d bytes took %s", len(text), took)
			}
		})
	}
}

// steps is a staircase of mappings.
func steps(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "%sa:\n", strings.Repeat(" ", i))
	}
	return b.String()
}

const deployment = `# what this is for
apiVersion: apps/v1
kind: Deployment
metadata: # more
  name: web

  labels: &labels
    app: web
spec:
  selector:
    matchLabels: *labels
  template:
    metadata:
      labels:
        <<: *labels
        tier: front
    spec:
      containers:
        - name: web
          # the image
          image: nginx
          args:
            - --a
            - --b
          command: [sh,
              -c]
        -
          name: side
      text: |
        spec:
          containers:
      flow: {a: 1,
        b: 2}
  twice: 1
  twice: 2
`

func TestLineOf(t *testing.T) {
	t.Parallel()
	docs, err := ParseDocuments("f.yaml", []byte("a: b\n---\n"+deployment))
	if err != nil {
		t.Fatal(err)
	}
	d := docs[1]
	for _, tt := range []struct {
		path []any
		want int
	}{
		{nil, 4},
		{[]any{"kind"}, 5},
		{[]any{"metadata"}, 6},
		{[]any{"metadata", "labels", "app"}, 10},
		{[]any{"spec", "selector", "matchLabels"}, 13},
		{[]any{"spec", "selector", "matchLabels", "app"}, 10},
		{[]any{"spec", "template", "metadata", "labels", "tier"}, 18},
		{[]any{"spec", "template", "metadata", "labels", "app"}, 10},
		{[]any{"spec", "template", "spec", "containers"}, 20},
		{[]any{"spec", "template", "spec", "containers", 0}, 21},
		{[]any{"spec", "template", "spec", "containers", 0, "image"}, 23},
		{[]any{"spec", "template", "spec", "containers", 0, "args", 1}, 26},
		{[]any{"spec", "template", "spec", "containers", 0, "command", 1}, 28},
		{[]any{"spec", "template", "spec", "containers", 1}, 30},
		{[]any{"spec", "template", "spec", "containers", 1, "name"}, 30},
		{[]any{"spec", "template", "spec", "text"}, 31},
		{[]any{"spec", "template", "spec", "flow", "b"}, 35},
		{[]any{"spec", "twice"}, 37},
		// What is not there: the nearest above.
		{[]any{"spec", "replicas"}, 11},
		{[]any{"spec", "template", "spec", "containers", 2, "image"}, 20},
		{[]any{"spec", "template", "spec", "containers", -1}, 20},
		{[]any{"spec", "template", "spec", "containers", "name"}, 20},
		{[]any{"spec", 0}, 11},
		{[]any{"status", "replicas"}, 4},
		{[]any{1.5}, 4},
	} {
		if got := d.LineOf(tt.path...); got != tt.want {
			t.Errorf("%v is in line %d, want %d", tt.path, got, tt.want)
		}
	}
}

func TestFind(t *testing.T) {
	t.Parallel()
	docs, err := ParseDocuments("f.yaml", []byte(`base: &base {a: base, b: base}
other: &other {b: other, c: other}
own: {<<: *base, a: own}
before: {a: own, <<: *base}
list: {<<: [*other, *base]}
inline: {<<: {a: inline}}
nested: {<<: {<<: *base, a: nested}}
quoted: {"<<": *base}
items: [x, {a: y}, *base]
`))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		path []any
		want string
	}{
		{[]any{"own", "a"}, "own"},
		{[]any{"own", "b"}, "base"},
		{[]any{"own", "c"}, ""},
		{[]any{"before", "a"}, "own"},
		{[]any{"list", "a"}, "base"},
		{[]any{"list", "b"}, "other"},
		{[]any{"inline", "a"}, "inline"},
		{[]any{"nested", "a"}, "nested"},
		{[]any{"nested", "b"}, "base"},
		{[]any{"quoted", "a"}, ""},
		{[]any{"items", 0}, "x"},
		{[]any{"items", 1, "a"}, "y"},
		{[]any{"items", 2, "a"}, "base"},
		{[]any{"items", 3}, ""},
		{[]any{"items"}, ""},
		{[]any{"gone", "a"}, ""},
	} {
		if got := docs[0].Scalar(tt.path...); got != tt.want {
			t.Errorf("%v is %q, want %q", tt.path, got, tt.want)
		}
	}
}

func TestIs(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		apiVersion, group string
		want              bool
	}{
		{"v1", "", true},
		{"apps/v1", "apps", true},
		{"apps/v1", "", false},
		{"v1", "v1", false},
		{"", "", true},
		{"a/b/c", "a", true},
	} {
		d := &Document{APIVersion: tt.apiVersion, Kind: "A"}
		if got := d.Is(tt.group, "B", "A"); got != tt.want {
			t.Errorf("%q is of group %q: %t", tt.apiVersion, tt.group, got)
		}
		if d.Is(tt.group, "B") {
			t.Errorf("%q is of another kind", tt.apiVersion)
		}
	}
}

// TestDocuments: a file is parsed once, and what a file is not is said each time.
func TestDocuments(t *testing.T) {
	t.Parallel()
	tree := FromFiles(map[string][]byte{"a.yaml": []byte("a: b\n"), "bad.yaml": []byte("a: b\n---\nc: @\n")})
	a, err := tree.Documents("a.yaml")
	b, _ := tree.Documents("a.yaml")
	if err != nil || len(a) != 1 || a[0] != b[0] || a[0].Location() != (report.Location{File: "a.yaml", Line: 1}) {
		t.Errorf("%v, %v; %v", a, b, err)
	}
	for range 2 {
		docs, err := tree.Documents("bad.yaml")
		if len(docs) != 1 || err == nil || err.Error() != "bad.yaml:3: found character that cannot start any token" {
			t.Errorf("%d documents, %v", len(docs), err)
		}
		if _, err := tree.Documents("gone.yaml"); err == nil || err.Error() != "open gone.yaml: file does not exist" {
			t.Errorf("gone.yaml: %v", err)
		}
	}
	for name, want := range map[string]bool{"a.yaml": true, "a.yml": true, "a/b.yaml": true, "a.YAML": false, "a.yaml.j2": false, "yaml": false, ".yaml": true} {
		if IsYAML(name) != want {
			t.Errorf("IsYAML(%q) is %t", name, !want)
		}
	}
}
