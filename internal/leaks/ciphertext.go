package leaks

import (
	"encoding/base64"
	"encoding/binary"
	"regexp"
	"strings"
)

var (
	// sopsValue is a value that SOPS encrypted
	// (https://getsops.io/docs/#encryption-protocol).
	sopsValue = regexp.MustCompile(`ENC\[AES256_GCM,data:[A-Za-z0-9+/=]*,iv:[A-Za-z0-9+/=]+,tag:[A-Za-z0-9+/=]+,type:[a-z]+\]`)
	// digest is a hash that is called one: "sha256:…", "checksum/config: …".
	digest = regexp.MustCompile(`(?i)(?:(?:^|[^A-Za-z0-9])sha-?(1|224|256|384|512)|checksum|digest)[\w./-]{0,60}?["']?\s*[:=_-]\s*["']?([A-Za-z0-9+/]{26,128}={0,2})`)
	// goSum is the hash of a Go module (https://go.dev/ref/mod#go-sum-files).
	goSum      = regexp.MustCompile(`\bh1:[A-Za-z0-9+/]{43}=`)
	base64Word = regexp.MustCompile(`[A-Za-z0-9+/]{340,}={0,2}`)
)

// digests are the sizes of hashes in bits.
var digests = map[string]int{"1": 160, "224": 224, "256": 256, "384": 384, "512": 512}

// isDigest tells whether a value is as long as the hash of that name, or of any if it has
// none, in hexadecimal or Base64.
func isDigest(name, value string) bool {
	for n, bits := range digests {
		if name != "" && n != name {
			continue
		}
		if len(value)*4 == bits && strings.Trim(strings.ToLower(value), "0123456789abcdef") == "" ||
			strings.HasSuffix(value, "=") && len(strings.TrimRight(value, "=")) == (bits+5)/6 {
			return true
		}
	}
	return false
}

// ciphertext tells what the secret is that was found in a line, if it is none that
// anybody could use: it is a part of an encrypted value, or a digest.
func ciphertext(line, secret string) string {
	if secret == "" {
		return ""
	}
	// The secret may be in the line a second time, as plain text.
	if strings.Contains(line, "ENC[") && !strings.Contains(sopsValue.ReplaceAllString(line, ""), secret) {
		return "SOPS"
	}
	if len(secret) < 26 {
		return ""
	}
	if rest := base64Word.ReplaceAllStringFunc(line, func(w string) string {
		if sealedSecret(w) {
			return ""
		}
		return w
	}); rest != line && !strings.Contains(rest, secret) {
		return "SealedSecret"
	}
	if strings.Contains(line, "h1:") && !strings.Contains(goSum.ReplaceAllString(line, ""), secret) {
		return "digest"
	}
	if rest := digest.ReplaceAllStringFunc(line, func(w string) string {
		if m := digest.FindStringSubmatch(w); isDigest(m[1], m[2]) {
			return ""
		}
		return w
	}); rest != line && !strings.Contains(rest, secret) {
		return "digest"
	}
	return ""
}

// sealedSecret tells whether text is a value that a SealedSecret holds: the length of a
// session key that RSA encrypted, in two bytes, the key, and what it encrypts
// (https://github.com/bitnami-labs/sealed-secrets/blob/main/docs/developer/crypto.md).
func sealedSecret(text string) bool {
	data, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(data) < 2 {
		return false
	}
	n := int(binary.BigEndian.Uint16(data))
	return (n == 256 || n == 384 || n == 512 || n == 1024) && len(data) >= 2+n+16
}

// lines are ranges of lines, both ends included.
type lines [][2]int

// from returns the ranges of a text that begins at a line.
func (l lines) from(line int) lines {
	for i := range l {
		l[i][0] += line - 1
		l[i][1] += line - 1
	}
	return l
}

func (l lines) has(from, to int) bool {
	for _, r := range l {
		if r[0] <= from && to <= r[1] {
			return true
		}
	}
	return false
}

// sealedLines returns the lines of a text that are known to be encrypted, or to say how:
// what age and PGP encrypted, between the lines that they put around it, and the mapping
// "sops" at the end of a YAML document, if it has the code that authenticates the rest.
// Of all of these, parts look like secrets.
func sealedLines(text string) (out lines) {
	yaml := strings.Contains(text, "\nsops:") || strings.HasPrefix(text, "sops:")
	if !yaml && !strings.Contains(text, "-----BEGIN ") {
		return nil
	}
	begin, armor, n, mac := 0, 0, 0, false
	end := func() {
		if begin > 0 && mac {
			out = append(out, [2]int{begin, n - 1})
		}
		begin, mac = 0, false
	}
	for line := range strings.SplitSeq(text, "\n") {
		n++
		switch {
		case strings.HasPrefix(line, "sops:"):
			end()
			begin = n
		case line != "" && line[0] != ' ' && line[0] != '\t' && line[0] != '\r' && line[0] != '-' || strings.HasPrefix(line, "---"):
			end()
		}
		switch line := strings.TrimSpace(line); line {
		case "-----BEGIN AGE ENCRYPTED FILE-----", "-----BEGIN PGP MESSAGE-----":
			armor = n
		case "-----END AGE ENCRYPTED FILE-----", "-----END PGP MESSAGE-----":
			if armor > 0 {
				out = append(out, [2]int{armor, n})
			}
			armor = 0
		default:
			mac = mac || begin > 0 && strings.HasPrefix(line, "mac: ENC[")
		}
	}
	n++
	end()
	return out
}
