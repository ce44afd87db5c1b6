package helm

import (
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"maps"
	"math/big"
	"net"
	"slices"
	"strconv"
	"strings"
	"text/template"
	"time"
	"unicode/utf8"
)

// now is the time that templates see.
var now = time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC)

// most is how many items or characters a template may ask for at once.
const most = 1_000_000

// functions returns the template functions that are not Helm's own: the list is in
// the package comment, and the guards. What makes texts fails once b's context has ended.
func functions(b *bound) template.FuncMap {
	f := template.FuncMap{
		guardCheck:          b.enter,
		guardText:           b.text,
		"durationRound":     durationRound,
		"decryptAES":        decryptAES,
		"now":               func() time.Time { return now },
		"ago":               func(v any) string { return now.Sub(moment(v)).Round(time.Second).String() },
		"date":              func(layout string, v any) string { return moment(v).Format(layout) },
		"htmlDate":          func(v any) string { return moment(v).Format(time.DateOnly) },
		"dateInZone":        dateInZone,
		"date_in_zone":      dateInZone,
		"htmlDateInZone":    func(v any, zone string) string { return dateInZone(time.DateOnly, v, zone) },
		"toDate":            func(layout, s string) time.Time { t, _ := time.Parse(layout, s); return t },
		"mustToDate":        time.Parse,
		"shuffle":           func(s string) string { return s },
		"uuidv4":            func() string { return "00000000-0000-4000-8000-000000000000" },
		"randInt":           func(low, _ int) int { return low },
		"keys":              keys,
		"values":            valuesOf,
		"bcrypt":            bcrypt,
		"htpasswd":          func(user, _ string) string { return user + ":" + bcrypt("") },
		"encryptAES":        func(_, text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) },
		"genPrivateKey":     func(typ string) string { _, key := keyOf(typ); return key },
		"genCA":             func(cn string, days int) (certificate, error) { return sign(cn, nil, nil, days, true) },
		"genCAWithKey":      func(cn string, days int, _ string) (certificate, error) { return sign(cn, nil, nil, days, true) },
		"genSelfSignedCert": func(cn string, ips, dns []any, days int) (certificate, error) { return sign(cn, ips, dns, days, false) },
		"genSelfSignedCertWithKey": func(cn string, ips, dns []any, days int, _ string) (certificate, error) {
			return sign(cn, ips, dns, days, false)
		},
		"genSignedCert": func(cn string, ips, dns []any, days int, _ any) (certificate, error) {
			return sign(cn, ips, dns, days, false)
		},
		"genSignedCertWithKey": func(cn string, ips, dns []any, days int, _ any, _ string) (certificate, error) {
			return sign(cn, ips, dns, days, false)
		},
	}
	// check stops what is too much, and what nobody waits for any more.
	check := func(n int) error {
		if n > most {
			return fmt.Errorf("%d is more than the %d items that a template may ask for", n, most)
		}
		return b.hand(n)
	}
	for name, alphabet := range map[string]string{
		"randAlphaNum": "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
		"randAlpha":    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
		"randAscii":    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!#%+-.=_",
		"randNumeric":  "1234567890",
	} {
		f[name] = func(n int) (string, error) { return fixed(n, alphabet), check(n) }
	}
	f["randBytes"] = func(n int) (string, error) {
		return base64.StdEncoding.EncodeToString([]byte(fixed(n, "\x00"))), check(n)
	}
	f["repeat"] = func(n int, s string) (string, error) {
		if err := check(max(n, 0) * max(len(s), 1)); err != nil || n <= 0 {
			return "", err
		}
		return strings.Repeat(s, n), nil
	}
	f["until"] = func(n int) ([]int, error) { return steps(0, n, sign1(n), check) }
	f["untilStep"] = func(from, to, by int) ([]int, error) { return steps(from, to, by, check) }
	f["seq"] = func(params ...int) (string, error) { return seq(params, check) }
	// What makes long texts of short ones, with the results of the originals.
	made := func(s string) (string, error) { return s, b.hand(len(s)) }
	f["print"] = func(args ...any) (string, error) { return made(fmt.Sprint(args...)) }
	f["println"] = func(args ...any) (string, error) { return made(fmt.Sprintln(args...)) }
	f["printf"] = func(format string, args ...any) (string, error) { return made(fmt.Sprintf(format, args...)) }
	f["replace"] = func(from, to, s string) (string, error) {
		if n := strings.Count(s, from) * len(to); n > maxHanded {
			return "", b.hand(n)
		}
		return made(strings.ReplaceAll(s, from, to))
	}
	indent := func(n int, s string) (string, error) {
		if n < 0 {
			return "", fmt.Errorf("%d is no number of spaces", n)
		}
		if n > most {
			return "", check(n)
		}
		if err := b.hand(len(s) + (strings.Count(s, "\n")+1)*n); err != nil {
			return "", err
		}
		pad := strings.Repeat(" ", n)
		return pad + strings.ReplaceAll(s, "\n", "\n"+pad), nil
	}
	f["indent"] = indent
	f["nindent"] = func(n int, s string) (string, error) {
		out, err := indent(n, s)
		return "\n" + out, err
	}
	return f
}

func sign1(n int) int {
	if n < 0 {
		return -1
	}
	return 1
}

// steps returns the numbers from the first up or down to the last, without it.
func steps(from, to, by int, check func(int) error) ([]int, error) {
	if by == 0 || by > 0 && to <= from || by < 0 && to >= from {
		return []int{}, check(0)
	}
	if err := check((to-from)/by + 1); err != nil {
		return nil, err
	}
	var out []int
	for i := from; by > 0 && i < to || by < 0 && i > to; i += by {
		out = append(out, i)
	}
	return out, nil
}

// seq works like the Bash command: seq last, seq first last, seq first step last.
func seq(params []int, check func(int) error) (string, error) {
	first, by, last := 1, 0, 0
	switch len(params) {
	case 1:
		last = params[0]
	case 2:
		first, last = params[0], params[1]
	case 3:
		first, by, last = params[0], params[1], params[2]
	default:
		return "", nil
	}
	if by == 0 {
		if by = 1; last < first {
			by = -1
		}
		if len(params) == 3 {
			return "", nil
		}
	}
	end := last + 1
	if by < 0 {
		end = last - 1
	}
	list, err := steps(first, end, by, check)
	if err != nil {
		return "", err
	}
	texts := make([]string, len(list))
	for i, n := range list {
		texts[i] = strconv.Itoa(n)
	}
	return strings.Join(texts, " "), nil
}

// fixed returns the first n characters of an alphabet that goes round.
func fixed(n int, alphabet string) string {
	if n <= 0 || n > most {
		return ""
	}
	return strings.Repeat(alphabet, n/len(alphabet)+1)[:n]
}

// moment reads a date as the functions of the template language do.
func moment(v any) time.Time {
	switch v := v.(type) {
	case time.Time:
		return v.UTC()
	case *time.Time:
		if v != nil {
			return v.UTC()
		}
	case int:
		return time.Unix(int64(v), 0).UTC()
	case int32:
		return time.Unix(int64(v), 0).UTC()
	case int64:
		return time.Unix(v, 0).UTC()
	}
	return now
}

func dateInZone(layout string, v any, zone string) string {
	loc, err := time.LoadLocation(zone)
	if err != nil || zone == "Local" {
		loc = time.UTC
	}
	return moment(v).In(loc).Format(layout)
}

// durationRound writes a duration, or how long a time has been past, in its largest
// whole unit.
func durationRound(v any) string {
	var d time.Duration
	switch v := v.(type) {
	case string:
		d, _ = time.ParseDuration(v)
	case int64:
		d = time.Duration(v)
	case time.Time:
		d = now.Sub(v)
	}
	const day = 24 * time.Hour
	d = max(d, -d) // the original leaves the sign out, too
	for _, u := range []struct {
		d    time.Duration
		name string
	}{{365 * day, "y"}, {30 * day, "mo"}, {day, "d"}, {time.Hour, "h"}, {time.Minute, "m"}, {time.Second, "s"}} {
		if d > u.d {
			return strconv.FormatInt(int64(d/u.d), 10) + u.name
		}
	}
	return "0s"
}

// decryptAES returns what encryptAES was given. What was really encrypted stays
// so: its text is fixed.
func decryptAES(_, text string) (string, error) {
	out, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return "", err
	}
	if !utf8.Valid(out) {
		return "decrypted", nil
	}
	return string(out), nil
}

func keys(dicts ...map[string]any) []string {
	out := []string{}
	for _, d := range dicts {
		out = append(out, slices.Sorted(maps.Keys(d))...)
	}
	return out
}

func valuesOf(dict map[string]any) []any {
	out := []any{}
	for _, k := range slices.Sorted(maps.Keys(dict)) {
		out = append(out, dict[k])
	}
	return out
}

// bcrypt returns a hash of the right form that fits no password.
func bcrypt(string) string { return "$2a$10$" + fixed(53, "./ABCDEFGHIJKLMNOPQRSTUVWXYZ") }

// certificate has the fields that templates read from what genCA returns.
type certificate struct{ Cert, Key string }

// keyOf returns the private key that belongs to a name, and its PEM form.
func keyOf(name string) (ed25519.PrivateKey, string) {
	seed := sha256.Sum256([]byte("lumacore template " + name))
	key := ed25519.NewKeyFromSeed(seed[:])
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return key, "" // an Ed25519 key always has this form
	}
	return key, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// sign returns a self-signed certificate that is the same on every machine.
func sign(cn string, ips, dns []any, days int, ca bool) (certificate, error) {
	key, text := keyOf(cn)
	t := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: cn},
		NotBefore: now, NotAfter: now.AddDate(0, 0, days),
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		IsCA:        ca, BasicConstraintsValid: true,
	}
	if ca {
		t.KeyUsage |= x509.KeyUsageCertSign
	}
	for _, ip := range ips {
		text, ok := ip.(string)
		if t.IPAddresses = append(t.IPAddresses, net.ParseIP(text)); !ok || net.ParseIP(text) == nil {
			return certificate{}, fmt.Errorf("%v is no IP address", ip)
		}
	}
	for _, name := range dns {
		text, ok := name.(string)
		if !ok {
			return certificate{}, fmt.Errorf("%v is no DNS name", name)
		}
		t.DNSNames = append(t.DNSNames, text)
	}
	der, err := x509.CreateCertificate(nil, t, t, key.Public(), key)
	if err != nil {
		return certificate{}, fmt.Errorf("certificate for %q: %w", cn, err)
	}
	return certificate{Cert: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), Key: text}, nil
}
