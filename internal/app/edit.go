package app

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"lumacore.dev/lumacore/internal/fieldpath"
	"lumacore.dev/lumacore/internal/gitops"
)

// document is a YAML file that is edited as text: a parser says where things stand, and
// lines are put in or taken out there. Comments, order, quotes and line ends of all else
// stay as they are, byte for byte. After each edit the result is parsed and must hold
// exactly what was meant: what the positions do not tell is refused, never guessed.
type document struct {
	name  string
	data  []byte
	hunks []Hunk
}

// Hunk is lines of a file that are put in or taken out.
type Hunk struct {
	Line int // of the first, in the file as it is then
	Del  []string
	Add  []string
}

// parse returns the one document in the file.
func (d *document) parse() (*gitops.Document, error) {
	docs, err := gitops.ParseDocuments(d.name, d.data)
	if err != nil {
		return nil, err
	}
	if len(docs) != 1 {
		return nil, fmt.Errorf("%s holds %d YAML documents, want one", d.name, len(docs))
	}
	return docs[0], nil
}

// list returns the key and the list at a path; the list may be there without a value.
func (d *document) list(path []any) (key, list *yaml.Node, err error) {
	doc, err := d.parse()
	if err != nil {
		return nil, nil, err
	}
	key, list = doc.Find(path...)
	if list == nil {
		return nil, nil, fmt.Errorf("%s has no list %s", d.name, fieldpath.Text(path))
	}
	if list.Kind != yaml.SequenceNode && list.Tag != "!!null" {
		return nil, nil, fmt.Errorf("%s:%d: %s is no list", d.name, list.Line, fieldpath.Text(path))
	}
	return key, list, nil
}

// texts returns the items of a list that are texts; others are "".
func (d *document) texts(path ...any) ([]string, error) {
	_, list, err := d.list(path)
	if err != nil {
		return nil, err
	}
	out := make([]string, len(list.Content))
	for i, n := range list.Content {
		if n.Kind == yaml.ScalarNode {
			out[i] = n.Value
		}
	}
	return out, nil
}

// add puts an item into a list, before the one that stands at the index. The item is
// YAML as it stands at the left margin, of one line or several.
func (d *document) add(item string, at int, path ...any) error {
	key, list, err := d.list(path)
	if err != nil {
		return err
	}
	want, err := d.value()
	if err != nil {
		return err
	}
	var parsed any
	if err := yaml.Unmarshal([]byte(item), &parsed); err != nil {
		return err
	}
	if want, err = changed(want, path, func(items []any) []any { return slices.Insert(items, at, parsed) }); err != nil {
		return fmt.Errorf("%s: %w", d.name, err)
	}
	text := splitLines(d.data)
	var lines []string
	switch {
	case list.Style&yaml.FlowStyle != 0 && len(list.Content) > 0:
		if at == 0 || strings.Contains(item, "\n") {
			return d.refuse(list, path)
		}
		_, end, ok := d.span(list.Content[at-1])
		if !ok {
			return d.refuse(list, path)
		}
		return d.replace(slices.Concat(d.data[:end], []byte(", "+item), d.data[end:]), want, list, path)
	case len(list.Content) == 0:
		// "resources: []" becomes a list below its key; so does a key without a value.
		line := strings.TrimRight(text[key.Line-1], "\r\n")
		end := text[key.Line-1][len(line):]
		rest, found := strings.CutSuffix(strings.TrimRight(line, " "), "[]")
		if list.Kind == yaml.SequenceNode && !found {
			return d.refuse(list, path)
		}
		text[key.Line-1] = strings.TrimRight(rest, " ") + end
		lines = indented(item, strings.Repeat(" ", key.Column+1))
		at = key.Line
	default:
		dash, ok := d.dash(list.Content[0])
		if !ok {
			return d.refuse(list, path)
		}
		lines = indented(item, strings.Repeat(" ", dash))
		if at == 0 {
			at = key.Line
		} else {
			at = d.end(text, list.Content[at-1], dash)
		}
	}
	return d.replace(insertLines(text, at, lines), want, list, path)
}

// remove takes the item at an index out of a list.
func (d *document) remove(at int, path ...any) error {
	key, list, err := d.list(path)
	if err != nil {
		return err
	}
	want, err := d.value()
	if err != nil {
		return err
	}
	if want, err = changed(want, path, func(items []any) []any { return slices.Delete(items, at, at+1) }); err != nil {
		return fmt.Errorf("%s: %w", d.name, err)
	}
	item := list.Content[at]
	if list.Style&yaml.FlowStyle != 0 {
		begin, end, ok := d.span(item)
		switch {
		case !ok:
		case at > 0:
			_, begin, ok = d.span(list.Content[at-1])
		case len(list.Content) > 1:
			end, _, ok = d.span(list.Content[at+1])
		}
		if !ok {
			return d.refuse(list, path)
		}
		return d.replace(slices.Concat(d.data[:begin], d.data[end:]), want, list, path)
	}
	dash, ok := d.dash(item)
	if !ok {
		return d.refuse(list, path)
	}
	text := splitLines(d.data)
	begin, end := item.Line-1, d.end(text, item, dash)
	if len(list.Content) == 1 {
		line := strings.TrimRight(text[key.Line-1], "\r\n")
		text[key.Line-1] = line + " []" + text[key.Line-1][len(line):]
	}
	if end == len(text) && begin > 0 && !strings.HasSuffix(text[end-1], "\n") { // nor has the new last line an end
		text[begin-1] = strings.TrimRight(text[begin-1], "\r\n")
	}
	return d.replace([]byte(strings.Join(slices.Delete(text, begin, end), "")), want, list, path)
}

// addKey puts a text into a block mapping, where its key belongs by the alphabet.
func (d *document) addKey(key, value string, path ...any) error {
	at, mapping, want, err := d.mapping(path)
	if err != nil {
		return err
	}
	line, margin := at.Line, 0
	for i := 0; i < len(mapping.Content); i += 2 {
		k := mapping.Content[i]
		margin = k.Column - 1
		if k.Value < key {
			line = mapping.Content[i+1].Line
		}
	}
	target(want, path)[key] = value
	text := insertLines(splitLines(d.data), line, []string{strings.Repeat(" ", margin) + key + ": " + value})
	return d.replace(text, want, mapping, path)
}

// removeKey takes a text of one line out of a block mapping.
func (d *document) removeKey(key string, path ...any) error {
	_, mapping, want, err := d.mapping(path)
	if err != nil {
		return err
	}
	text := splitLines(d.data)
	for i := 0; i < len(mapping.Content); i += 2 {
		if k := mapping.Content[i]; k.Value == key && k.Line <= len(text) {
			delete(target(want, path), key)
			return d.replace([]byte(strings.Join(slices.Delete(text, k.Line-1, k.Line), "")), want, mapping, path)
		}
	}
	return d.refuse(mapping, path)
}

// mapping returns the key and the mapping at a path, and what the file holds.
func (d *document) mapping(path []any) (key, mapping *yaml.Node, value any, err error) {
	doc, err := d.parse()
	if err != nil {
		return nil, nil, nil, err
	}
	key, mapping = doc.Find(path...)
	if mapping == nil || mapping.Kind != yaml.MappingNode || mapping.Style&yaml.FlowStyle != 0 || len(mapping.Content) == 0 {
		return nil, nil, nil, fmt.Errorf("%s has no mapping %s of one entry a line", d.name, fieldpath.Text(path))
	}
	value, err = d.value()
	return key, mapping, value, err
}

// target returns the mapping at a path that is there.
func target(v any, path []any) map[string]any {
	for _, p := range path {
		v = v.(map[string]any)[p.(string)]
	}
	return v.(map[string]any)
}

// replace takes the edited text if it holds what it should.
func (d *document) replace(data []byte, want any, list *yaml.Node, path []any) error {
	after := document{name: d.name, data: data}
	got, err := after.value()
	if err != nil || !reflect.DeepEqual(got, want) {
		return d.refuse(list, path)
	}
	d.hunks = append(d.hunks, between(splitLines(d.data), splitLines(data)))
	d.data = data
	return nil
}

func (d *document) refuse(list *yaml.Node, path []any) error {
	return fmt.Errorf("%s:%d: %s is written in a way that cannot be edited without touching the rest; write one entry a line, each after a dash",
		d.name, list.Line, fieldpath.Text(path))
}

// value returns what the file holds.
func (d *document) value() (any, error) {
	doc, err := d.parse()
	if err != nil {
		return nil, err
	}
	var v any
	if err := doc.Node.Decode(&v); err != nil {
		return nil, fmt.Errorf("%s: %w", d.name, err)
	}
	return v, nil
}

// changed returns the value with f applied to the list at a path.
func changed(v any, path []any, f func([]any) []any) (any, error) {
	if len(path) == 0 {
		items, ok := v.([]any)
		if !ok && v != nil {
			return nil, fmt.Errorf("there is no list")
		}
		return f(slices.Clone(items)), nil
	}
	var err error
	switch key := path[0].(type) {
	case string:
		m, ok := v.(map[string]any)
		if !ok {
			return nil, fmt.Errorf("there is no %s", key)
		}
		m[key], err = changed(m[key], path[1:], f)
	case int:
		l, ok := v.([]any)
		if !ok || key >= len(l) {
			return nil, fmt.Errorf("there is no item %d", key)
		}
		l[key], err = changed(l[key], path[1:], f)
	}
	return v, err
}

// span returns where a text in a list of one line begins and ends.
func (d *document) span(n *yaml.Node) (begin, end int, ok bool) {
	if n.Kind != yaml.ScalarNode || n.Anchor != "" {
		return 0, 0, false
	}
	text := splitLines(d.data)
	if n.Line > len(text) {
		return 0, 0, false
	}
	for _, l := range text[:n.Line-1] {
		begin += len(l)
	}
	line := text[n.Line-1]
	runes := 1
	for i := range line {
		if runes == n.Column {
			raw := n.Value
			switch n.Style {
			case yaml.DoubleQuotedStyle:
				raw = `"` + raw + `"`
			case yaml.SingleQuotedStyle:
				raw = "'" + raw + "'"
			}
			return begin + i, begin + i + len(raw), strings.HasPrefix(line[i:], raw)
		}
		runes++
	}
	return 0, 0, false
}

// dash returns the column of the dash before an item, from 0.
func (d *document) dash(item *yaml.Node) (int, bool) {
	text := splitLines(d.data)
	if item.Line > len(text) {
		return 0, false
	}
	line := text[item.Line-1]
	dash := len(line) - len(strings.TrimLeft(line, " "))
	return dash, strings.HasPrefix(line[dash:], "- ") && item.Column > dash+1
}

// end returns the number of the last line of an item: what is indented deeper than its
// dash belongs to it.
func (d *document) end(text []string, item *yaml.Node, dash int) int {
	end := item.Line
	for i := item.Line; i < len(text); i++ {
		switch trimmed := strings.TrimLeft(text[i], " "); {
		case strings.Trim(trimmed, "\r\n\t") == "":
		case len(text[i])-len(trimmed) <= dash:
			return end
		default:
			end = i + 1
		}
	}
	return end
}

// splitLines splits a text into lines that keep their ends.
func splitLines(data []byte) []string {
	lines := strings.SplitAfter(string(data), "\n")
	if lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	}
	return lines
}

// indented returns the lines of a list's item.
func indented(item, margin string) []string {
	lines := strings.Split(item, "\n")
	for i, l := range lines {
		switch {
		case i == 0:
			lines[i] = margin + "- " + l
		case l != "":
			lines[i] = margin + "  " + l
		}
	}
	return lines
}

// insertLines puts lines behind the line of a number, with the line ends of the text.
func insertLines(text []string, after int, lines []string) []byte {
	end := "\n"
	if strings.HasSuffix(text[0], "\r\n") {
		end = "\r\n"
	}
	add := make([]string, len(lines))
	for i, l := range lines {
		add[i] = l + end
	}
	if after == len(text) && !strings.HasSuffix(text[after-1], "\n") {
		text[after-1] += end
		add[len(add)-1] = lines[len(lines)-1]
	}
	return []byte(strings.Join(slices.Insert(text, after, add...), ""))
}

// between returns what differs between two texts that differ in one place.
func between(before, after []string) Hunk {
	a, b := 0, 0
	for a < len(before) && a < len(after) && before[a] == after[a] {
		a++
	}
	for b < len(before)-a && b < len(after)-a && before[len(before)-1-b] == after[len(after)-1-b] {
		b++
	}
	h := Hunk{Line: a + 1}
	for _, l := range before[a : len(before)-b] {
		h.Del = append(h.Del, strings.TrimRight(l, "\r\n"))
	}
	for _, l := range after[a : len(after)-b] {
		h.Add = append(h.Add, strings.TrimRight(l, "\r\n"))
	}
	return h
}
