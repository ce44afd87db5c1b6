package values

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Types is a set of types that a value may have.
type Types uint8

// The types of values. Null is never held against anybody: in Helm it takes a default
// away.
const (
	Map Types = 1 << iota
	List
	String
	Number
	Bool
	Null
)

var letters = []struct {
	letter byte
	types  Types
	name   string
}{
	{'m', Map, "a mapping"},
	{'l', List, "a list"},
	{'s', String, "a string"},
	{'n', Number, "a number"},
	{'b', Bool, "true or false"},
	{'0', Null, "null"},
}

// String names the types for a person.
func (t Types) String() string {
	var names []string
	for _, l := range letters {
		if t&l.types != 0 && l.types != Null {
			names = append(names, l.name)
		}
	}
	return strings.Join(names, " or ")
}

// Node is what is known of one place among the values of a chart.
type Node struct {
	// Types are those of the default, and those that the chart's schema allows. Zero:
	// nothing is known.
	Types Types
	// Open: there may be keys below that are not known. The chart hands the mapping on
	// as it is, ranges over it, or has an empty one as its default.
	Open bool
	// Loose: the chart asks for the type of the value, so another than that of the
	// default may be meant.
	Loose bool
	// Keys are the known keys. "*" stands for what is known of every other key of a
	// mapping that the chart ranges over.
	Keys map[string]*Node

	// whole: the chart hands it on as it is, with all that is below. Of use only while
	// it is learnt.
	whole bool
}

// anyKey stands for the elements of a mapping that a chart ranges over.
const anyKey = "*"

// child returns the node of a key, which it makes.
func (n *Node) child(key string) *Node {
	if c := n.Keys[key]; c != nil {
		return c
	}
	if n.Keys == nil {
		n.Keys = map[string]*Node{}
	}
	c := &Node{}
	n.Keys[key] = c
	return c
}

// at returns the node of a path, which it makes.
func (n *Node) at(path []string) *Node {
	for _, key := range path {
		n = n.child(key)
	}
	return n
}

// add adds what another node knows of the same place.
func (n *Node) add(o *Node) {
	n.Types |= o.Types
	n.Open = n.Open || o.Open
	n.Loose = n.Loose || o.Loose
	n.whole = n.whole || o.whole
	for k, c := range o.Keys {
		n.child(k).add(c)
	}
}

// below returns what is known of a key of a mapping; nil if the key is not known.
func (n *Node) below(key string) *Node {
	own, every := n.Keys[key], n.Keys[anyKey]
	switch {
	case own == nil || every == nil:
		return own
	}
	both := &Node{}
	both.add(own)
	both.add(every)
	return both
}

// names returns the known keys, sorted.
func (n *Node) names() []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(n.Keys)), func(k string) bool { return k == anyKey })
}

// encode writes the keys below a node, one on each line, indented by their depth: the
// key, and if something is known of it a tab and letters: m, l, s, n, b, 0 for the types,
// o for open, t for loose.
func (n *Node) encode(w io.Writer, depth int) error {
	for _, k := range slices.Sorted(maps.Keys(n.Keys)) {
		c := n.Keys[k]
		name := k
		if k == "" || strings.ContainsAny(k, " \t\n\"") {
			name = strconv.Quote(k)
		}
		if marks := c.marks(); marks != "" {
			name += "\t" + marks
		}
		if _, err := fmt.Fprintf(w, "%s%s\n", strings.Repeat(" ", depth), name); err != nil {
			return err
		}
		if err := c.encode(w, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// flat tells whether there are no keys below, as far as the type tells.
func (n *Node) flat() bool { return n.Types&^Null != 0 && n.Types&Map == 0 }

func (n *Node) marks() string {
	var b strings.Builder
	for _, l := range letters {
		if n.Types&l.types != 0 {
			b.WriteByte(l.letter)
		}
	}
	if n.Open && !n.flat() {
		b.WriteByte('o')
	}
	if n.Loose {
		b.WriteByte('t')
	}
	return b.String()
}

// decode reads what encode wrote.
func (n *Node) decode(r *bufio.Scanner) error {
	path := []*Node{n}
	for r.Scan() {
		line := r.Text()
		text := strings.TrimLeft(line, " ")
		depth := len(line) - len(text)
		if text == "" || depth >= len(path) {
			return fmt.Errorf("%q is indented too deep", line)
		}
		name, marks, _ := strings.Cut(text, "\t")
		if strings.HasPrefix(name, `"`) {
			var err error
			if name, err = strconv.Unquote(name); err != nil {
				return fmt.Errorf("%q: %w", line, err)
			}
		}
		c := path[depth].child(name)
		for i := range len(marks) {
			switch marks[i] {
			case 'o':
				c.Open = true
			case 't':
				c.Loose = true
			default:
				at := slices.IndexFunc(letters, func(l struct {
					letter byte
					types  Types
					name   string
				},
				) bool {
					return l.letter == marks[i]
				})
				if at < 0 {
					return fmt.Errorf("%q has the unknown mark %q", line, marks[i])
				}
				c.Types |= letters[at].types
			}
		}
		c.Open = c.Open || c.flat()
		path = append(path[:depth+1], c)
	}
	return r.Err()
}
