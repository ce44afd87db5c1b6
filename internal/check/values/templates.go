package values

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/template/parse"

	chartv2 "helm.sh/helm/v4/pkg/chart/v2"
)

// definition is a template: a file of a chart, or a named one in it.
type definition struct {
	name string
	body *parse.ListNode
}

// parseTemplates parses the templates of a chart. Named ones are added to names: Helm has
// one space of names for a chart and its dependencies. A file that does not parse is left
// out; Helm says what is wrong with it.
func parseTemplates(c *chartv2.Chart, names map[string]*definition) []*definition {
	var out []*definition
	for _, f := range c.Templates {
		if f == nil {
			continue
		}
		d, err := parseTemplate(f.Name, string(f.Data), names)
		if err == nil {
			out = append(out, d)
		}
	}
	slices.SortFunc(out, func(a, b *definition) int { return strings.Compare(a.name, b.name) })
	return out
}

// parseTemplate parses one template, and adds the named ones in it to names.
func parseTemplate(name, source string, names map[string]*definition) (own *definition, err error) {
	trees := map[string]*parse.Tree{}
	t := parse.New(name)
	t.Mode = parse.SkipFuncCheck
	if _, err := t.Parse(source, "", "", trees); err != nil {
		return nil, err
	}
	own = &definition{name: name} // one with nothing but named templates has no tree
	for n, tree := range trees {
		d := &definition{name: n, body: tree.Root}
		if n == name {
			own = d
		} else {
			names[n] = d
		}
	}
	return own, nil
}

// look follows the values through templates, and through values that are templates
// themselves, and notes in uses which keys are used, and which mappings are used as a
// whole.
func look(templates, texts []*definition, names map[string]*definition, uses *Node) {
	f := &follower{names: names, uses: uses, done: map[string]bool{}, left: mostNodes}
	for _, t := range templates {
		f.run(t, thing{kind: root})
	}
	f.texts = true
	for _, t := range texts {
		f.run(t, thing{kind: root})
	}
	if f.left <= 0 {
		uses.whole = true // it was not followed to its end
	}
}

// follower is an interpreter of templates that knows no values: it follows where they go.
// Whatever it cannot follow counts as used as a whole, so that nothing is called unknown
// that a template may use.
type follower struct {
	names map[string]*definition
	uses  *Node
	done  map[string]bool // calls that were looked at: a name and what it was given
	depth int
	texts bool // these are values: they may be templates of other programs
	left  int  // nodes that may still be looked at
}

// thing is what an expression may come to.
type thing struct {
	kind   kind
	at     []string         // place: where among the values
	fields map[string]thing // dict
	items  []thing          // tuple: the elements of a list; either: the possible things
	text   string           // text
	size   int              // how many things are in it
}

type kind uint8

const (
	other  kind = iota // nothing of the values is in it
	root               // what templates are given: .Values, .Release, …
	place              // a value
	dict               // made by a template
	tuple              // a list made by a template
	either             // one of several things
	text               // a constant
)

// signature tells things apart.
func (t thing) signature() string {
	switch t.kind {
	case root:
		return "$"
	case place:
		return "." + strings.Join(t.at, "\x00")
	case text:
		return fmt.Sprintf("%q", t.text)
	case dict:
		var b strings.Builder
		for _, k := range slices.Sorted(maps.Keys(t.fields)) {
			fmt.Fprintf(&b, "%q:%s,", k, t.fields[k].signature())
		}
		return "{" + b.String() + "}"
	case tuple, either:
		var b strings.Builder
		for _, i := range t.items {
			b.WriteString(i.signature() + ",")
		}
		return fmt.Sprintf("%d[%s]", t.kind, b.String())
	}
	return "-"
}

// Bounds of what is followed: charts are somebody else's input.
const (
	mostNodes = 400_000 // of templates, looked at
	mostSteps = 64      // of a path
	mostParts = 500     // of a thing
)

// bound returns a thing that is not too large to be compared; what is in a larger one is
// used as a whole.
func (f *follower) bound(t thing) thing {
	t.size = 1
	for _, p := range t.items {
		t.size += p.size
	}
	for _, p := range t.fields {
		t.size += p.size
	}
	if t.size > mostParts {
		f.whole(t)
		return thing{}
	}
	return t
}

// anyOf returns a thing that is one of several.
func (f *follower) anyOf(things ...thing) thing {
	var items []thing
	seen := map[string]bool{}
	var add func(t thing)
	add = func(t thing) {
		switch {
		case t.kind == either:
			for _, i := range t.items {
				add(i)
			}
		case t.kind != other && !seen[t.signature()]:
			seen[t.signature()] = true
			items = append(items, t)
		}
	}
	for _, t := range things {
		add(t)
	}
	switch len(items) {
	case 0:
		return thing{}
	case 1:
		return items[0]
	}
	return f.bound(thing{kind: either, items: items})
}

// whole notes that something is used as a whole. For what templates are given as a whole
// that is all values.
func (f *follower) whole(t thing) {
	switch t.kind {
	case root:
		f.uses.whole = true
	case place:
		f.uses.at(t.at).whole = true
	case dict:
		for _, v := range t.fields {
			f.whole(v)
		}
	case tuple, either:
		for _, v := range t.items {
			f.whole(v)
		}
	}
}

// hand notes that something is given to a template that is not known: all of it may be
// used, except for what templates are given anyway.
func (f *follower) hand(t thing) {
	switch t.kind {
	case root:
	case dict:
		for _, v := range t.fields {
			f.hand(v)
		}
	case tuple, either:
		for _, v := range t.items {
			f.hand(v)
		}
	default:
		f.whole(t)
	}
}

// loose notes that a template asks for the type of something.
func (f *follower) loose(t thing) {
	switch t.kind {
	case place:
		f.uses.at(t.at).Loose = true
	case either, tuple:
		for _, v := range t.items {
			f.loose(v)
		}
	}
}

// field returns the field of a thing.
func (f *follower) field(t thing, name string) thing {
	switch t.kind {
	case root:
		if name == "Values" {
			return thing{kind: place}
		}
	case place:
		if len(t.at) >= mostSteps {
			f.whole(t)
			return thing{}
		}
		at := append(slices.Clone(t.at), name)
		f.uses.at(at)
		return thing{kind: place, at: at}
	case dict:
		return t.fields[name]
	case either:
		var out []thing
		for _, i := range t.items {
			out = append(out, f.field(i, name))
		}
		return f.anyOf(out...)
	}
	return thing{}
}

func (f *follower) fields(t thing, names []string) thing {
	for _, name := range names {
		t = f.field(t, name)
	}
	return t
}

// element returns what the elements of a thing are.
func (f *follower) element(t thing) thing {
	switch t.kind {
	case place:
		f.uses.at(t.at).Open = true
		if i := len(t.at) - 2; i >= 0 && t.at[i] == anyKey && t.at[i+1] == anyKey {
			f.whole(t) // a template that calls itself
			return thing{}
		}
		return f.field(t, anyKey)
	case dict:
		return f.anyOf(slices.Collect(maps.Values(t.fields))...)
	case tuple:
		return f.anyOf(t.items...)
	case either:
		var out []thing
		for _, i := range t.items {
			out = append(out, f.element(i))
		}
		return f.anyOf(out...)
	}
	return thing{}
}

// frame is a call: its dot and its variables.
type frame struct {
	dot  thing
	vars []variable
}

type variable struct {
	name  string
	value thing
}

func (fr *frame) get(name string) thing {
	for i := len(fr.vars) - 1; i >= 0; i-- {
		if fr.vars[i].name == name {
			return fr.vars[i].value
		}
	}
	return thing{}
}

// assign gives a variable one more value: which branch is taken is not known.
func (f *follower) assign(fr *frame, name string, t thing) {
	for i := len(fr.vars) - 1; i >= 0; i-- {
		if fr.vars[i].name == name {
			fr.vars[i].value = f.anyOf(fr.vars[i].value, t)
			return
		}
	}
}

// run looks at a template that is given a dot.
func (f *follower) run(d *definition, dot thing) {
	call := d.name + "\x00" + dot.signature()
	if d.body == nil || f.done[call] {
		return
	}
	if f.depth > 40 {
		f.whole(dot)
		return
	}
	f.done[call] = true
	f.depth++
	f.list(d.body, &frame{dot: dot, vars: []variable{{"$", dot}}})
	f.depth--
}

// call looks at a named template.
func (f *follower) call(name thing, dot thing) {
	switch {
	case name.kind != text:
		// Such as the file beside this one, for its checksum: it is looked at by itself.
		f.hand(dot)
	case f.names[name.text] == nil && f.texts:
		f.hand(dot) // a template of Alertmanager or Prometheus, most likely
	case f.names[name.text] == nil:
		f.whole(dot) // of a dependency that is not there
	default:
		f.run(f.names[name.text], dot)
	}
}

func (f *follower) list(l *parse.ListNode, fr *frame) {
	if l == nil {
		return
	}
	for _, n := range l.Nodes {
		f.node(n, fr)
	}
}

func (f *follower) node(n parse.Node, fr *frame) {
	if f.left--; f.left <= 0 {
		return
	}
	scope := len(fr.vars)
	branch := func(b *parse.BranchNode, dot thing) {
		was := fr.dot
		fr.dot = dot
		f.list(b.List, fr)
		fr.dot = was
		fr.vars = fr.vars[:min(len(fr.vars), scope)]
		f.list(b.ElseList, fr)
		fr.vars = fr.vars[:min(len(fr.vars), scope)]
	}
	switch n := n.(type) {
	case *parse.ListNode:
		f.list(n, fr)
	case *parse.ActionNode:
		f.pipe(n.Pipe, fr)
	case *parse.IfNode:
		f.pipe(n.Pipe, fr)
		branch(&n.BranchNode, fr.dot)
	case *parse.WithNode:
		branch(&n.BranchNode, f.pipe(n.Pipe, fr))
	case *parse.RangeNode:
		v := f.pipeValue(n.Pipe, fr)
		e := f.element(v)
		switch d := n.Pipe.Decl; {
		case len(d) == 1:
			fr.vars = append(fr.vars, variable{d[0].Ident[0], e})
		case len(d) == 2:
			fr.vars = append(fr.vars, variable{d[0].Ident[0], thing{}}, variable{d[1].Ident[0], e})
		}
		branch(&n.BranchNode, e)
	case *parse.TemplateNode:
		dot := thing{}
		if n.Pipe != nil {
			dot = f.pipe(n.Pipe, fr)
		}
		f.call(thing{kind: text, text: n.Name}, dot)
	}
}

// pipe looks at a pipeline, declares its variables, and returns what it comes to.
func (f *follower) pipe(p *parse.PipeNode, fr *frame) thing {
	v := f.pipeValue(p, fr)
	for _, d := range p.Decl {
		if p.IsAssign {
			f.assign(fr, d.Ident[0], v)
		} else {
			fr.vars = append(fr.vars, variable{d.Ident[0], v})
		}
	}
	return v
}

func (f *follower) pipeValue(p *parse.PipeNode, fr *frame) thing {
	if p == nil {
		return thing{}
	}
	// A checksum says nothing of the keys that go into it.
	summed := false
	for _, c := range p.Cmds {
		if id, ok := c.Args[0].(*parse.IdentifierNode); ok && strings.HasSuffix(id.Ident, "sum") {
			summed = true
		}
	}
	var v thing
	for i, c := range p.Cmds {
		v = f.command(c, fr, v, i > 0, summed)
	}
	return v
}

func (f *follower) command(c *parse.CommandNode, fr *frame, piped thing, isPiped, summed bool) thing {
	first := c.Args[0]
	if id, ok := first.(*parse.IdentifierNode); ok {
		var args []thing
		for _, a := range c.Args[1:] {
			args = append(args, f.value(a, fr))
		}
		if isPiped {
			args = append(args, piped)
		}
		return f.function(id.Ident, args, summed)
	}
	v := f.value(first, fr)
	// A method, such as .Files.Get: what it is given goes somewhere.
	for _, a := range c.Args[1:] {
		f.whole(f.value(a, fr))
	}
	if isPiped {
		f.whole(piped)
	}
	return v
}

// value returns what an operand comes to.
func (f *follower) value(n parse.Node, fr *frame) thing {
	if f.left--; f.left <= 0 {
		return thing{}
	}
	switch n := n.(type) {
	case *parse.DotNode:
		return fr.dot
	case *parse.FieldNode:
		return f.fields(fr.dot, n.Ident)
	case *parse.VariableNode:
		return f.fields(fr.get(n.Ident[0]), n.Ident[1:])
	case *parse.ChainNode:
		return f.fields(f.value(n.Node, fr), n.Field)
	case *parse.PipeNode:
		return f.pipe(n, fr)
	case *parse.StringNode:
		return thing{kind: text, text: n.Text}
	case *parse.IdentifierNode:
		return f.function(n.Ident, nil, false)
	}
	return thing{}
}

// neutral are functions that come to something without keys, and that nobody gives a
// mapping to for its keys.
var neutral = func() map[string]bool {
	out := map[string]bool{}
	for _, name := range strings.Fields(`not eq ne lt le gt ge empty len fail
		quote squote print printf println trunc trim trimAll trimSuffix trimPrefix nospace lower upper title untitle
		replace regexMatch regexFind regexReplaceAll regexReplaceAllLiteral regexSplit contains hasPrefix hasSuffix cat
		indent nindent abbrev substr splitList split join sha256sum sha1sum md5sum adler32sum b64enc b64dec
		int int64 float64 toString toDecimal atoi add add1 sub mul div mod max min ceil floor round add1f addf subf mulf divf
		semver semverCompare now date uuidv4 randAlphaNum randAlpha randNumeric lookup urlParse typeIsLike base dir ext clean
		until untilStep seq has mustHas hasKey kebabcase snakecase camelcase htpasswd derivePassword repeat plural`) {
		out[name] = true
	}
	return out
}()

func (f *follower) function(name string, args []thing, summed bool) thing {
	at := func(i int) thing {
		if i >= 0 && i < len(args) {
			return args[i]
		}
		return thing{}
	}
	last := at(len(args) - 1)
	switch name {
	case "and", "or", "default", "coalesce", "merge", "mustMerge", "mergeOverwrite", "mustMergeOverwrite", "concat", "append", "prepend":
		return f.anyOf(args...)
	case "required", "deepCopy", "mustDeepCopy", "fromYaml", "fromJson", "mustFromJson", "uniq", "compact", "sortAlpha", "reverse", "without", "omit", "unset":
		if name == "omit" || name == "unset" || name == "without" {
			return at(0)
		}
		return last
	case "ternary":
		return f.anyOf(at(0), at(1))
	case "kindIs", "kindOf", "typeIs", "typeOf", "typeIsLike":
		f.loose(last)
		return thing{}
	case "pick":
		out := thing{kind: dict, fields: map[string]thing{}}
		for _, k := range args[min(1, len(args)):] {
			if k.kind != text {
				return at(0)
			}
			out.fields[k.text] = f.field(at(0), k.text)
		}
		return f.bound(out)
	case "hasKey":
		if k := at(1); k.kind == text {
			f.field(at(0), k.text)
		}
		return thing{}
	case "get", "index":
		v := at(0)
		for _, k := range args[min(1, len(args)):] {
			if k.kind == text {
				v = f.field(v, k.text)
			} else {
				v = f.element(v)
			}
		}
		return v
	case "dig":
		v := last
		for _, k := range args[:max(0, len(args)-2)] {
			if k.kind == text {
				v = f.field(v, k.text)
			} else {
				v = f.element(v)
			}
		}
		return f.anyOf(v, at(len(args)-2))
	case "pluck":
		out := make([]thing, 0, len(args))
		for _, v := range args[min(1, len(args)):] {
			if at(0).kind == text {
				out = append(out, f.field(v, at(0).text))
			} else {
				f.whole(v)
			}
		}
		return f.bound(thing{kind: tuple, items: out})
	case "first", "last", "mustFirst", "mustLast":
		return f.element(last)
	case "dict":
		out := thing{kind: dict, fields: map[string]thing{}}
		for i := 0; i+1 < len(args); i += 2 {
			if args[i].kind == text {
				out.fields[args[i].text] = args[i+1]
			} else {
				f.whole(args[i+1])
			}
		}
		return f.bound(out)
	case "list", "tuple":
		return f.bound(thing{kind: tuple, items: args})
	case "set":
		if v, k := at(0), at(1); v.kind == dict && k.kind == text {
			out := thing{kind: dict, fields: maps.Clone(v.fields)}
			out.fields[k.text] = f.anyOf(out.fields[k.text], at(2))
			f.whole(at(2)) // the dictionary itself is changed, and may have other names
			return f.bound(out)
		}
		f.whole(at(2))
		return at(0)
	case "include":
		f.call(at(0), at(1))
		return thing{}
	case "tpl":
		f.loose(at(0))
		f.whole(at(0))
		// Text that is a template, from a file or a value: what it names is known from there.
		f.hand(at(1))
		return thing{}
	}
	if neutral[name] || summed {
		return thing{}
	}
	for _, a := range args {
		if serializes[name] {
			f.whole(a)
		} else {
			f.hand(a)
		}
	}
	return thing{}
}

// serializes are the functions that write out what they are given.
var serializes = map[string]bool{
	"toYaml": true, "toYamlPretty": true, "mustToYaml": true, "toJson": true, "mustToJson": true, "toPrettyJson": true,
	"mustToPrettyJson": true, "toRawJson": true, "mustToRawJson": true, "toToml": true, "mustToToml": true,
}
