package leaks

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/zricethezav/gitleaks/v8/config"
)

// maxRules is the largest number of rules: Gitleaks 8.30 has 222.
const maxRules = 512

// set is a set of rules, by their place in the list.
type set [maxRules / 64]uint64

func (s *set) add(i int)      { s[i/64] |= 1 << (i % 64) }
func (s *set) has(i int) bool { return s[i/64]&(1<<(i%64)) != 0 }
func (s *set) remove(i int)   { s[i/64] &^= 1 << (i % 64) }
func (s *set) union(o *set) {
	for i := range s {
		s[i] |= o[i]
	}
}

// filter finds out which rules can match a text at all. Gitleaks tries a rule only
// where one of its keywords is, in any case; this is the same test for all rules in one
// pass, as an automaton over bytes
// (https://en.wikipedia.org/wiki/Aho%E2%80%93Corasick_algorithm).
type filter struct {
	config config.Config
	ids    []string   // of the rules
	class  [256]uint8 // letters in either case are one class; what no keyword has is class 0
	shift  int        // of a state, in next
	next   []uint16   // the state after a state and a class
	out    []uint16   // of a state: which of the sets
	sets   []set
	always set // rules without keywords
	// generic is the place of the rule that [assigns] is about; -1 if it is another one.
	generic int
}

func newFilter(cfg config.Config) (*filter, error) {
	f := &filter{config: cfg, ids: slices.Sorted(maps.Keys(cfg.Rules)), sets: []set{{}}, generic: -1}
	if len(f.ids) > maxRules {
		return nil, fmt.Errorf("there are %d rules; %d are the most that are applied", len(f.ids), maxRules)
	}
	words := map[string]*set{}
	for i, id := range f.ids {
		if re := cfg.Rules[id].Regex; id == genericRule && re != nil && re.String() == genericPattern {
			f.generic = i
		}
		if len(cfg.Rules[id].Keywords) == 0 {
			f.always.add(i)
		}
		for _, k := range cfg.Rules[id].Keywords {
			k = strings.ToLower(k)
			if words[k] == nil {
				words[k] = &set{}
			}
			words[k].add(i)
		}
	}
	// Letters outside of ASCII of which the lower case is in ASCII, or begins there:
	// Gitleaks compares in lower case. Where they are, all rules are tried.
	all := &set{}
	for i := range f.ids {
		all.add(i)
	}
	for _, letter := range []string{"\u212a", "\u0130"} {
		words[letter] = all
	}
	return f, f.build(words)
}

// build makes the automaton.
func (f *filter) build(words map[string]*set) error {
	classes := 1
	states := 1
	for _, w := range slices.Sorted(maps.Keys(words)) {
		states += len(w)
		for i := range len(w) {
			if f.class[w[i]] == 0 {
				f.class[w[i]] = uint8(classes)
				classes++
			}
		}
	}
	if states > 1<<16 {
		return fmt.Errorf("the keywords of the rules have %d characters together; %d are the most that are applied", states, 1<<16)
	}
	for c := byte('a'); c <= 'z'; c++ {
		f.class[c-'a'+'A'] = f.class[c]
	}
	for 1<<f.shift < classes {
		f.shift++
	}
	f.next = make([]uint16, 1<<f.shift, states<<f.shift)
	f.out = make([]uint16, 1, states)
	index := map[set]uint16{{}: 0}
	for _, w := range slices.Sorted(maps.Keys(words)) {
		at := 0
		for i := range len(w) {
			slot := at<<f.shift | int(f.class[w[i]])
			if f.next[slot] == 0 {
				f.next[slot] = uint16(len(f.out))
				f.out = append(f.out, 0)
				f.next = append(f.next, make([]uint16, 1<<f.shift)...)
			}
			at = int(f.next[slot])
		}
		f.out[at] = f.outputs(index, *words[w])
	}
	// Breadth first: where a word breaks off, it goes on as the longest one that ends
	// there and begins later.
	fail := make([]uint16, len(f.out))
	var queue []uint16
	for c := range 1 << f.shift {
		if s := f.next[c]; s != 0 {
			queue = append(queue, s)
		}
	}
	for len(queue) > 0 {
		s := queue[0]
		queue = queue[1:]
		both := f.sets[f.out[s]]
		both.union(&f.sets[f.out[fail[s]]])
		f.out[s] = f.outputs(index, both)
		for c := range 1 << f.shift {
			slot, back := int(s)<<f.shift|c, f.next[int(fail[s])<<f.shift|c]
			if t := f.next[slot]; t != 0 {
				fail[t] = back
				queue = append(queue, t)
			} else {
				f.next[slot] = back
			}
		}
	}
	return nil
}

// outputs returns the number of a set.
func (f *filter) outputs(index map[set]uint16, s set) uint16 {
	i, ok := index[s]
	if !ok {
		i = uint16(len(f.sets))
		index[s] = i
		f.sets = append(f.sets, s)
	}
	return i
}

// keywords adds the rules of which a keyword is in the text.
func (f *filter) keywords(text string, rules *set) {
	state := 0
	for i := range len(text) {
		state = int(f.next[state<<f.shift|int(f.class[text[i]])])
		if o := f.out[state]; o != 0 {
			rules.union(&f.sets[o])
		}
	}
}

// place tells what the name of a file decides.
func (f *filter) place(name string) (p place) {
	for _, a := range f.config.Allowlists {
		// Others need more than the name; the detector asks them again.
		if a.MatchCondition == config.AllowlistMatchOr && a.PathAllowed(name) {
			return place{skip: true}
		}
	}
	for i, id := range f.ids {
		r := f.config.Rules[id]
		if f.always.has(i) && (r.Path == nil || r.Path.MatchString(name)) {
			p.rules.add(i)
		}
	}
	return p
}

// named returns the names of rules.
func (f *filter) named(rules set) (ids []string) {
	for i, id := range f.ids {
		if rules.has(i) {
			ids = append(ids, id)
		}
	}
	return ids
}

// only returns a part of the rules, and its keywords. What rules require comes with
// them.
func only(all map[string]config.Rule, ids []string) (map[string]config.Rule, map[string]struct{}) {
	rules, keywords := map[string]config.Rule{}, map[string]struct{}{}
	for _, id := range ids {
		rules[id] = all[id]
		for _, k := range all[id].Keywords {
			keywords[strings.ToLower(k)] = struct{}{}
		}
	}
	return rules, keywords
}

// decodable tells whether Gitleaks would decode a part of the text and search it again:
// percent and Unicode escapes, hexadecimal and Base64 of printable ASCII. It may say so
// too often, not too seldom. The patterns are those of
// https://github.com/gitleaks/gitleaks/blob/v8.30.1/detect/codec/encodings.go.
func decodable(text string) bool {
	for i := 0; i < len(text); {
		switch c := text[i]; {
		case c == '%':
			if i+2 < len(text) && isHex(text[i+1]) && isHex(text[i+2]) {
				return true
			}
		case c == '\\':
			if i+1 < len(text) && text[i+1]|0x20 == 'u' {
				return true
			}
		case c == 'U':
			if i+1 < len(text) && text[i+1] == '+' {
				return true
			}
		}
		if kind[text[i]] == 0 {
			i++
			continue
		}
		end := i + 1
		for end < len(text) && kind[text[end]] != 0 {
			if text[end] == 'U' && end+1 < len(text) && text[end+1] == '+' {
				return true
			}
			end++
		}
		if end-i >= 16 && decodableWord(text[i:end]) {
			return true
		}
		i = end
	}
	return false
}

// decodableWord is the same for a word of at least 16 letters, digits and "_+-/" with
// none around it.
func decodableWord(word string) bool {
	n := 0
	for n < len(word) && isHex(word[n]) {
		n++
	}
	if n >= 32 {
		// Hexadecimal takes what it can; Base64 gets the rest.
		if n%2 == 0 && hasDigit(word[:n]) && printableHex(word[:n]) {
			return true
		}
		if word = word[n:]; len(word) < 16 {
			return false
		}
	}
	if !strings.ContainsAny(word, "0123456789+/-_") {
		return false
	}
	// Four characters are three bytes. What is left over at the end is taken for
	// printable, and so is a length that decodes to nothing.
	for i := 0; i+4 <= len(word); i += 4 {
		v := uint32(0)
		for _, c := range []byte(word[i : i+4]) {
			v = v<<6 | uint32(kind[c]-1)
		}
		if !printable(byte(v>>16)) || !printable(byte(v>>8)) || !printable(byte(v)) {
			return false
		}
	}
	return true
}

// kind is, of the characters of Base64 in either alphabet, their value and one; 0 of
// others.
var kind = func() (k [256]uint8) {
	for i, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789") {
		k[c] = uint8(i + 1)
	}
	k['+'], k['-'], k['/'], k['_'] = 63, 63, 64, 64
	return k
}()

func isHex(c byte) bool { return c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'f' }

func hasDigit(s string) bool { return strings.ContainsAny(s, "0123456789") }

func printable(c byte) bool { return c > 0x08 && c < 0x7f }

func printableHex(s string) bool {
	for i := 0; i < len(s); i += 2 {
		if !printable(nibble(s[i])<<4 | nibble(s[i+1])) {
			return false
		}
	}
	return true
}

func nibble(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c | 0x20 - 'a' + 10
}
