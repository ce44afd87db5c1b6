package report

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

// narrowest is the width of a terminal below which folding makes nothing clearer.
const narrowest = 50

// fold breaks a line at spaces so that it fits a terminal of width columns; what
// follows the first break is indented. A word that does not fit stays whole. Colours
// take no room. Without a width the line stays as it is.
func fold(line string, indent, width int) string {
	if width < narrowest {
		return line
	}
	body := strings.TrimLeft(line, " ")
	at := len(line) - len(body)
	b := []byte(line[:at])
	for i, word := range strings.Split(body, " ") {
		n := visible(word)
		switch {
		case i == 0:
		case word != "" && at > indent && at+1+n > width:
			b = append(bytes.TrimRight(b, " "), "\n"+strings.Repeat(" ", indent)...)
			at = indent
		default:
			b = append(b, ' ')
			at++
		}
		b = append(b, word...)
		at += n
	}
	return string(b)
}

// visible counts the characters of a text without the colours of [Streams.Paint].
func visible(s string) int {
	n := utf8.RuneCountInString(s)
	for {
		begin := strings.Index(s, "\x1b[")
		if begin < 0 {
			return n
		}
		end := strings.IndexByte(s[begin:], 'm')
		if end < 0 {
			return n
		}
		n -= end + 1
		s = s[begin+end+1:]
	}
}
