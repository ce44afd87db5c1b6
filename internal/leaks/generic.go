package leaks

import "strings"

// Nearly all texts have one of the words of this rule of Gitleaks, so that its regular
// expression takes most of the time of a scan. [assigns] tells sooner where it cannot
// match.
const (
	genericRule    = "generic-api-key"
	genericPattern = `(?i)[\w.-]{0,50}?(?:access|auth|(?-i:[Aa]pi|API)|credential|creds|key|passw(?:or)?d|secret|token)(?:[ \t\w.-]{0,20})[\s'"]{0,3}(?:=|>|:{1,3}=|\|\||:|=>|\?=|,)[\x60'"\s=]{0,5}([\w.=-]{10,150}|[a-z0-9][a-z0-9+/]{11,}={0,3})(?:[\x60'"\s;]|\\[nr]|$)`
)

// The words of the rule.
var genericWords = []string{"access", "auth", "api", "cred", "key", "passw", "secret", "token"}

// Characters of the pattern.
const (
	isOperator = 1 << iota // = > : | ? ,
	isBetween              // may be between the word and the operator, or is of the word
	isLead                 // may be between the operator and the value
	isValue
)

var generic = func() (k [256]uint8) {
	for c := range 256 {
		if c == '_' || c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z' {
			k[c] = isBetween | isValue
		}
	}
	for _, c := range []byte(" \t\n\f\r'\"") {
		k[c] = isBetween | isLead
	}
	k['`'], k['.'], k['-'], k['+'], k['/'] = isLead, isBetween|isValue, isBetween|isValue, isValue, isValue
	for _, c := range []byte("=>:|?,") {
		k[c] = isOperator | isLead
	}
	k['='] |= isValue
	return k
}()

// assigns tells whether the pattern can match: there is an operator, with one of the
// words close before it and ten characters of a value close after it. It may say so too
// often, not too seldom.
func assigns(text string) bool {
	for i := 0; i < len(text); i++ {
		// Letters outside of ASCII that are "s" and "k" in another case.
		if c := text[i]; c == 0xc5 && strings.HasPrefix(text[i:], "\u017f") || c == 0xe2 && strings.HasPrefix(text[i:], "\u212a") {
			return true
		}
		if generic[text[i]]&isOperator == 0 {
			continue
		}
		// The operator has up to four characters, and up to five follow.
		at, equal := i+1, 0
		for at < len(text) && at < i+9 && generic[text[at]]&isLead != 0 {
			if text[at] == '=' { // may be of the value already
				equal++
			}
			at++
		}
		end := at
		for end < len(text) && end < at+10 && generic[text[end]]&isValue != 0 {
			end++
		}
		if end-at+equal < 10 {
			continue
		}
		from := i
		for from > 0 && from > i-40 && generic[text[from-1]]&isBetween != 0 {
			from--
		}
		if from == i {
			continue
		}
		before := strings.ToLower(text[from:i])
		for _, w := range genericWords {
			if strings.Contains(before, w) {
				return true
			}
		}
	}
	return false
}
