package report

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Clean makes text of a repository safe for a terminal and for the log of a CI
// job, in one line: what is not printable is shown by its escape, such as \x1b or
// \u202e, so that it can neither move the cursor nor hide or reorder what stands
// beside it. What GitHub would take for a command in a log
// (https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands)
// gets a backslash. Text of more than most characters is cut, with the number of
// those that are missing.
func Clean(s string, most int) string {
	var b strings.Builder
	if strings.HasPrefix(strings.TrimSpace(s), "::") {
		b.WriteByte('\\')
	}
	s = strings.ReplaceAll(s, "##[", `##\[`)
	n := 0
	for i, c := range s {
		if n++; n > most {
			fmt.Fprintf(&b, "… (%d more characters)", utf8.RuneCountInString(s[i:]))
			break
		}
		switch {
		case c == utf8.RuneError || unicode.IsPrint(c): // the former for bytes that are no UTF-8
			b.WriteRune(c)
		case c == '\t':
			b.WriteByte(' ')
		case c == '\n':
			b.WriteString(`\n`)
		case c < 0x100:
			fmt.Fprintf(&b, `\x%02x`, c)
		case c < 0x10000:
			fmt.Fprintf(&b, `\u%04x`, c)
		default:
			fmt.Fprintf(&b, `\U%08x`, c)
		}
	}
	return b.String()
}

// Lengths to which texts are cut for a person.
const (
	mostMessage = 1000 // characters of one line
	mostLines   = 12   // of a message
	mostName    = 300
)

// lines splits a message for a person into lines that are safe to print, without
// empty ones at its end.
func lines(s string) []string {
	all := strings.Split(strings.TrimRight(strings.ReplaceAll(s, "\r\n", "\n"), "\n"), "\n")
	out := make([]string, 0, min(len(all), mostLines)+1)
	for i, l := range all {
		if i == mostLines {
			out = append(out, fmt.Sprintf("… (%d more lines)", len(all)-i))
			break
		}
		out = append(out, Clean(l, mostMessage))
	}
	return out
}

// one is a message in one line, for formats that show it in a list.
func one(s string) string { return strings.Join(strings.Fields(s), " ") }
