package disclosure

import "strings"

// What follows decides in one pass, without an expression, whether a rule can match a text
// at all: most texts have nothing of most rules, and expressions take most of the time.

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// hexBefore and hexAfter count the hex digits beside a place, up to most.
func hexBefore(s string, at, most int) (n int) {
	for n < most && at-n > 0 && isHex(s[at-n-1]) {
		n++
	}
	return n
}

func hexAfter(s string, at, most int) (n int) {
	for n < most && at+1+n < len(s) && isHex(s[at+1+n]) {
		n++
	}
	return n
}

// shapes are the forms that a text has somewhere.
type shapes struct {
	dotted bool // three dots between digits: an IPv4 address, a version
	colons bool // what begins like a private IPv6 address
	mac    bool // pairs or quadruples of hex digits
	uuid   bool // eight hex digits, a dash, four hex digits, a dash
	hex32  bool // a run of 32 hex digits
	at     bool
}

func shapesOf(s string) (f shapes) {
	run, dots := 0, 0
	for i := range len(s) {
		c := s[i]
		if isHex(c) {
			if run++; run == 32 {
				f.hex32 = true
			}
		} else {
			run = 0
		}
		switch {
		case isDigit(c):
		case c == '.' && i > 0 && isDigit(s[i-1]):
			if dots++; dots == 3 {
				f.dotted = true
			}
		default:
			dots = 0
		}
		switch c {
		case '@':
			f.at = true
		case ':', '-', '.':
			before := hexBefore(s, i, 8)
			after := hexAfter(s, i, 4)
			if c != '.' && before >= 2 && after == 2 && i+3 < len(s) && s[i+3] == c || c == '.' && before >= 4 && after == 4 && i+5 < len(s) && s[i+5] == '.' {
				f.mac = true
			}
			if c == '-' && before == 8 && after == 4 && i+5 < len(s) && s[i+5] == '-' {
				f.uuid = true
			}
			if c == ':' && before >= 4 && (s[i-4] == 'f' || s[i-4] == 'F') {
				f.colons = true
			}
		}
	}
	return f
}

// needles are the beginnings of a list of texts, in lower case.
func needles(list []string) (out []string) {
	for _, w := range list {
		if f := strings.Fields(w); len(f) > 0 {
			out = append(out, strings.ToLower(f[0]))
		}
	}
	return out
}

func hasAny(lower string, list []string) bool {
	for _, n := range list {
		if strings.Contains(lower, n) {
			return true
		}
	}
	return false
}

var (
	homeSuffixes = []string{".lan", ".home.arpa", ".localdomain", ".intranet", ".fritz.box", ".local"}
	idWords      = []string{"tunnel", "account", "zone", "tenant", "subscription", "client", "org", "team"}
)
