// Package settings knows the variables of settings.env: the facts of an owner's
// cluster, from which the whole repository takes its values. One table has their names,
// meanings and forms; `lumacore init` asks by it, `lumacore check` holds the file against
// it, and the JSON Schema is made from it.
package settings

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"lumacore.dev/lumacore/internal/report"
)

// File is where the settings of the real cluster stand in a repository that was made
// from the blueprint.
const File = "clusters/lumacore/settings.env"

// Setting is one line of the file.
type Setting struct {
	Name  string
	Value string
	Line  int
}

// form of a line that sets a variable. Kustomize, which reads the file, takes the rest of
// the line as it is: quotes and comments behind a value belong to it.
var form = regexp.MustCompile(`^([A-Za-z_][A-Za-z0-9_]*)=(.*)$`)

// Parse reads the lines of the file, in their order. Lines that are neither a setting
// nor a comment nor blank are the mistakes, with their text as the name.
func Parse(data []byte) (list []Setting, wrong []Setting) {
	n := 0
	for text := range strings.Lines(string(data)) {
		n++
		text = strings.TrimRight(text, "\r\n")
		if n == 1 {
			text = strings.TrimPrefix(text, "\uFEFF")
		}
		switch m := form.FindStringSubmatch(text); {
		case m != nil:
			list = append(list, Setting{Name: m[1], Value: m[2], Line: n})
		case strings.TrimSpace(text) == "" || strings.HasPrefix(strings.TrimSpace(text), "#"):
		default:
			wrong = append(wrong, Setting{Name: text, Line: n})
		}
	}
	return list, wrong
}

// Put returns the file with other values. Everything else stays as it is: comments,
// order, blank lines. A variable that has no line yet is an error.
func Put(data []byte, values map[string]string) ([]byte, error) {
	lines := strings.SplitAfter(string(data), "\n")
	done := map[string]bool{}
	for i, text := range lines {
		end := text[len(strings.TrimRight(text, "\r\n")):]
		m := form.FindStringSubmatch(strings.TrimRight(text, "\r\n"))
		if m == nil {
			continue
		}
		if value, ok := values[m[1]]; ok {
			lines[i], done[m[1]] = m[1]+"="+value+end, true
		}
	}
	for name := range values {
		if !done[name] {
			return nil, fmt.Errorf("%s has no line for %s", File, name)
		}
	}
	return []byte(strings.Join(lines, "")), nil
}

// Variable is what is known of a variable.
type Variable struct {
	Name    string
	Words   string // what it is, in a sentence: "node agent-1"
	Meaning string // for the schema and the documentation
	Default string // what may stay as it is; "" if the owner has to say it
	Example string // a value of the right form
	Pattern string // of the value, as far as a pattern can tell

	// Placeholder says that the blueprint's own value is nobody's.
	Placeholder bool

	check func(value string) string // what is wrong with a value; "" for nothing
}

// Mistake is one thing that is wrong with the values.
type Mistake struct {
	Name    string // of the variable
	Message string // a sentence: `node agent-1 has the address of the gateway 192.168.1.1`
	Missing bool   // there is no value
	Left    bool   // the value is the blueprint's placeholder
}

// Lookup returns what is known of a variable, or nil.
func Lookup(name string) *Variable {
	for i := range Variables {
		if Variables[i].Name == name {
			return &Variables[i]
		}
	}
	return nil
}

// Names are the names of all variables, in their order.
func Names() []string {
	names := make([]string, len(Variables))
	for i, v := range Variables {
		names[i] = v.Name
	}
	return names
}

// Nearest returns the variable that a name is most likely a misspelling of, or "".
func Nearest(name string) string {
	return report.Nearest(strings.ToUpper(name), Names())
}

// Check says what is wrong with values: with each of them, and with them together. Every
// variable needs one: nothing in the repository goes on without. Names that are not in
// the table are not looked at.
func Check(values map[string]string) []Mistake {
	var list []Mistake
	good := map[string]string{}
	for _, v := range Variables {
		value, ok := values[v.Name]
		if !ok {
			list = append(list, Mistake{Name: v.Name, Message: v.Words + " is missing", Missing: true})
		} else if m := v.Check(value); m != nil {
			list = append(list, *m)
		} else {
			good[v.Name] = value
		}
	}
	list = append(list, together(good)...)
	slices.SortStableFunc(list, func(a, b Mistake) int { return index(a.Name) - index(b.Name) })
	return list
}

// Together says what is wrong with values of which each by itself is right.
func Together(values map[string]string) []Mistake { return together(values) }

func index(name string) int { return slices.Index(Names(), name) }

// Check says what is wrong with one value, or nil.
func (v *Variable) Check(value string) *Mistake {
	m := &Mistake{Name: v.Name}
	switch kind := Secret(value); {
	case value == "":
		m.Message = v.Words + " is empty"
	case kind != "":
		m.Message = v.Words + " looks like " + kind + ", and no secret may stand in Git: keep it in 1Password, and make a new one if this one was committed or typed on a command line"
	case value != strings.TrimSpace(value):
		m.Message = fmt.Sprintf("%s %q begins or ends with a blank", v.Words, value)
	case strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r == 0x7f }):
		m.Message = fmt.Sprintf("%s %q has a character that cannot be seen", v.Words, value)
	case len(value) > 1000:
		m.Message = fmt.Sprintf("%s has %d characters", v.Words, len(value))
	case strings.HasPrefix(value, `"`) || strings.HasPrefix(value, "'"):
		m.Message = fmt.Sprintf("%s %s has quotes, which would be part of it; leave them out", v.Words, value)
	case strings.Contains(value, "${"):
		m.Message = fmt.Sprintf("%s %q is a variable; write the value itself", v.Words, value)
	case v.Placeholder && value == placeholder(v):
		m.Message, m.Left = fmt.Sprintf("%s %q is the blueprint's placeholder", v.Words, value), true
	default:
		why := v.check(value)
		if why == "" {
			return nil
		}
		if at, _, comment := strings.Cut(value, " #"); comment && v.check(strings.TrimSpace(at)) == "" {
			why = fmt.Sprintf("%q has a comment behind it, which would be part of the value; put it into a line of its own", value)
		}
		m.Message = v.Words + " " + why
	}
	return m
}

// placeholder is the value that the blueprint has for nobody.
func placeholder(v *Variable) string { return v.Example }
