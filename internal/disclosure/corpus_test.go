package disclosure_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"hash/crc32"
	"image"
	"image/png"
	"math/rand/v2"
	"mime/quotedprintable"
	"net/url"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"lumacore.dev/lumacore/internal/disclosure"
	"lumacore.dev/lumacore/internal/leaks"
)

// The corpus is made when the test runs: no token of a real form stands in the repository.
// Each leak is one of these values, in one of the carriers below.

var random = rand.NewChaCha8([32]byte{7})

func letters(alphabet string, n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = alphabet[random.Uint64()%uint64(len(alphabet))]
	}
	return string(b)
}

const alphanumeric = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

var words = disclosure.Words{
	Words:    []string{"Theodora Quillfeather", "vaultkeeper-nas", "theo.quill@quillfeather.dev"},
	Domains:  []string{"quillfeather.house"},
	Values:   []string{"lab-vault-7", "203.0.113.77"},
	Canaries: []string{"canary-sparrow-4711-teapot"},
	Emails:   []string{"mirror@quillfeather.page"},

	OnePassword: true,
}

// leak is a value that must not become public.
type leak struct {
	kind  string
	value string
	rule  string
}

func values() []leak {
	_, key, err := ed25519.GenerateKey(random)
	if err != nil {
		panic(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		panic(err)
	}
	return []leak{
		{"token of GitHub", "ghp_" + letters(alphanumeric, 36), "github-pat"},
		{"token of GitLab", "glpat-" + letters(alphanumeric, 20), "gitlab-pat"},
		{"key of AWS", "AKIA" + letters("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", 16), "aws-access-token"},
		{"private key", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})), disclosure.PrivateKey},
		{"private IPv4 address", "192.168.178.23", disclosure.PrivateAddress},
		{"address of a link", "169.254.17.4", disclosure.PrivateAddress},
		{"private IPv6 address", "fd12:3456:789a:1::5", disclosure.PrivateAddress},
		{"MAC address", "bc:24:11:7e:09:c4", disclosure.MACAddress},
		{"host at home", "printer.attic.lan", disclosure.InternalName},
		{"e-mail address", "someone.else@mailbox.example.engineering", disclosure.EmailAddress},
		{"name", "Theodora Quillfeather", disclosure.OwnersWord},
		{"host", "vaultkeeper-nas", disclosure.OwnersWord},
		{"domain", "grafana.quillfeather.house", disclosure.OwnersWord},
		{"setting", "lab-vault-7", disclosure.OwnersValue},
		{"canary", "canary-sparrow-4711-teapot", disclosure.Canary},
		{"item of 1Password", "op://Homelab/router/password", disclosure.OnePasswordPath},
		{"tunnel", "tunnel: 7c9e6679-7425-40de-944b-e07fc1f90ae7", disclosure.AccountID},
	}
}

// carrier is a way in which a value can leave the house.
type carrier struct {
	name string
	file string
	make func(v string) []byte
	not  []string // kinds that it cannot carry
}

func text(f func(v string) string) func(string) []byte {
	return func(v string) []byte { return []byte(f(v)) }
}

func sentence(v string) string { return "# a note\nhere: it is\n\n    value " + v + " and more\n" }

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

func wrap(s string, n int, indent string) string {
	var b strings.Builder
	for len(s) > n {
		b.WriteString(indent + s[:n] + "\n")
		s = s[n:]
	}
	return b.String() + indent + s + "\n"
}

func packed(s string) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	z.Write([]byte(s))
	z.Close()
	return b.Bytes()
}

func deflated(s string) []byte {
	var b bytes.Buffer
	z := zlib.NewWriter(&b)
	z.Write([]byte(s))
	z.Close()
	return b.Bytes()
}

func zipped(name, s string) []byte {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	w, _ := z.Create(name)
	w.Write([]byte(s))
	z.Close()
	return b.Bytes()
}

func tarred(name, s string) []byte {
	var b bytes.Buffer
	t := tar.NewWriter(&b)
	t.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(s))})
	t.Write([]byte(s))
	t.Close()
	return b.Bytes()
}

func wide(order binary.ByteOrder, mark bool, s string) []byte {
	var b []byte
	units := utf16.Encode([]rune(s))
	if mark {
		units = append([]uint16{0xfeff}, units...)
	}
	for _, u := range units {
		b = order.(binary.AppendByteOrder).AppendUint16(b, u)
	}
	return b
}

// picture is a PNG with one more chunk before its pixels.
func picture(name string, body []byte) []byte {
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewGray(image.Rect(0, 0, 4, 4))); err != nil {
		panic(err)
	}
	chunk := binary.BigEndian.AppendUint32(nil, uint32(len(body)))
	chunk = append(append(chunk, name...), body...)
	chunk = binary.BigEndian.AppendUint32(chunk, crc32.ChecksumIEEE(chunk[4:]))
	const header = 8 + 25 // signature and IHDR
	return slices.Concat(b.Bytes()[:header], chunk, b.Bytes()[header:])
}

func document(stream []byte, entry string, extra string) []byte {
	return fmt.Appendf(nil, "%%PDF-1.7\n%%\xe2\xe3\xcf\xd3\n1 0 obj\n<< /Type /Catalog %s>>\nendobj\n2 0 obj\n<< /Length %d %s>>\nstream\n%s\nendstream\nendobj\ntrailer\n<< /Root 1 0 R >>\n%%%%EOF\n", extra, len(stream), entry, stream)
}

func half(v string) (string, string) { return v[:len(v)/2], v[len(v)/2:] }

var multiline = []string{"private key"}

// pieces are kinds that are found in one piece, but not when they are torn: what is left
// of them is a word like others.
var torn = []string{"private key", "private IPv6 address", "MAC address", "host at home", "e-mail address", "item of 1Password", "tunnel"}

func carriers() []carrier {
	list := []carrier{
		{"text", "notes.txt", text(sentence), nil},
		{"first and only word", "notes.txt", text(func(v string) string { return v }), nil},
		{"comment of YAML", "apps/web.yaml", text(func(v string) string { return "a: 1 # " + v + "\n" }), multiline},
		{"value of YAML", "apps/web.yaml", text(func(v string) string { return "note: \"" + v + "\"\n" }), multiline},
		{"anchor of YAML", "apps/web.yaml", text(func(v string) string { return "a: &x \"" + v + "\"\nnote: *x\n" }), multiline},
		{"folded lines of YAML", "apps/web.yaml", text(func(v string) string {
			a, b := half(v)
			return "note: \"" + a + "\\\n  " + b + "\"\n"
		}), multiline},
		{"base64", "notes.txt", text(func(v string) string { return "data: " + b64("the value is "+v+" indeed") + "\n" }), nil},
		{"base64 of it alone", "notes.txt", text(func(v string) string { return "data: " + b64(v) + "\n" }), nil},
		{"base64 for addresses", "notes.txt", text(func(v string) string {
			return "q=" + base64.RawURLEncoding.EncodeToString([]byte("??>>"+v+"<<??")) + "\n"
		}), nil},
		{"base64 in lines", "notes.txt", text(func(v string) string {
			return "data: |\n" + wrap(b64(strings.Repeat("a line before it\n", 5)+v+"\nand one behind it"), 64, "  ")
		}), nil},
		{"base64 of base64", "notes.txt", text(func(v string) string { return b64("data: " + b64("value: "+v)) }), nil},
		{"base64 of UTF-16", "run.ps1", text(func(v string) string {
			return "powershell -EncodedCommand " + base64.StdEncoding.EncodeToString(wide(binary.LittleEndian, false, "echo "+v)) + "\n"
		}), nil},
		{"hex", "notes.txt", text(func(v string) string { return "data: " + hex.EncodeToString([]byte("value "+v)) + "\n" }), nil},
		{"hex in capitals", "notes.txt", text(func(v string) string { return strings.ToUpper(hex.EncodeToString([]byte("value "+v))) + "\n" }), nil},
		{"hex in pairs", "notes.txt", text(func(v string) string { return fmt.Sprintf("% x\n", "value "+v) }), nil},
		{"hex in a program", "main.go", text(func(v string) string {
			s := "var x = []byte{"
			for _, c := range []byte("value " + v) {
				s += fmt.Sprintf("0x%02x, ", c)
			}
			return s + "}\n"
		}), nil},
		{"escapes", "main.py", text(func(v string) string {
			s := "x = '"
			for _, c := range []byte(v) {
				s += fmt.Sprintf(`\x%02x`, c)
			}
			return s + "'\n"
		}), nil},
		{"escapes of Unicode", "main.js", text(func(v string) string {
			s := "x = '"
			for _, c := range v {
				s += fmt.Sprintf(`\u%04x`, c)
			}
			return s + "'\n"
		}), nil},
		{"some letters escaped", "main.js", text(func(v string) string {
			return "x = '" + fmt.Sprintf(`\u%04x`, v[0]) + v[1:] + "'\n"
		}), multiline},
		{"percent encoding", "notes.txt", text(func(v string) string {
			s := ""
			for _, c := range []byte(v) {
				s += fmt.Sprintf("%%%02X", c)
			}
			return "https://example.com/?q=" + s + "\n"
		}), nil},
		{"query of an address", "notes.txt", text(func(v string) string { return "https://example.com/?q=" + url.QueryEscape(v) + "&b=1\n" }), append([]string{"name"}, multiline...)},
		{"HTML entities", "page.html", text(func(v string) string {
			s := ""
			for _, c := range v {
				s += fmt.Sprintf("&#%d;", c)
			}
			return "<p>" + s + "</p>\n"
		}), nil},
		{"quoted-printable", "mail.eml", text(func(v string) string {
			var b strings.Builder
			w := quotedprintable.NewWriter(&b)
			w.Write([]byte("Grüße äöü\n" + strings.Repeat("word ", 12) + v + " " + strings.Repeat("word ", 8) + "\n"))
			w.Close()
			return b.String()
		}), nil},
		{"UTF-16 with a mark", "notes.txt", func(v string) []byte { return wide(binary.LittleEndian, true, sentence(v)) }, nil},
		{"UTF-16 of big ends", "notes.txt", func(v string) []byte { return wide(binary.BigEndian, true, sentence(v)) }, nil},
		{"UTF-16 without a mark", "notes.txt", func(v string) []byte { return wide(binary.LittleEndian, false, sentence(v)) }, nil},
		{"letters of full width", "notes.txt", text(func(v string) string {
			return "x " + strings.Map(func(r rune) rune {
				if r > ' ' && r < 0x7f {
					return r + 0xfee0
				}
				return r
			}, v) + "\n"
		}), nil},
		{"spaces without width", "notes.txt", text(func(v string) string { return "x " + v[:3] + "\u200b" + v[3:5] + "\u00ad" + v[5:] + "\n" }), nil},
		{"two lines, joined by a backslash", "run.sh", text(func(v string) string {
			a, b := half(v)
			return "x=" + a + "\\\n" + b + "\n"
		}), torn},
		{"two lines, joined by a plus", "main.go", text(func(v string) string {
			a, b := half(v)
			return "x := \"" + a + "\" +\n\t\"" + b + "\"\n"
		}), torn},
		{"two pieces in a line", "main.js", text(func(v string) string {
			a, b := half(v)
			return "x = '" + a + "' + '" + b + "'\n"
		}), torn},
		{"two lines of a comment", "main.go", text(func(v string) string {
			a, b := half(v)
			return "// " + a + "\n// " + b + "\n"
		}), torn},
		{"output of a notebook", "report.ipynb", text(func(v string) string {
			b, _ := json.Marshal(map[string]any{"cells": []any{map[string]any{"outputs": []any{map[string]any{"text": []string{"first\n", "value: " + v + "\n"}}}}}})
			return string(b)
		}), nil},
		{"picture in a notebook", "report.ipynb", text(func(v string) string {
			b, _ := json.Marshal(map[string]any{"data": map[string]any{"image/png": base64.StdEncoding.EncodeToString(picture("tEXt", []byte("Comment\x00"+v)))}})
			return string(b)
		}), nil},
		{"gzip", "notes.gz", func(v string) []byte { return packed(sentence(v)) }, nil},
		{"gzip in base64", "apps/web.yaml", text(func(v string) string {
			return "data: " + base64.StdEncoding.EncodeToString(packed(strings.Repeat(sentence(v), 3))) + "\n"
		}), nil},
		{"gzip of gzip", "notes.gz", func(v string) []byte { return packed(string(packed(sentence(v)))) }, nil},
		{"zip", "notes.zip", func(v string) []byte { return zipped("a/b.txt", sentence(v)) }, nil},
		{"tar in gzip", "notes.tgz", func(v string) []byte { return packed(string(tarred("a/b.txt", sentence(v)))) }, nil},
		{"text of a PNG", "shot.png", func(v string) []byte { return picture("tEXt", []byte("Comment\x00"+v)) }, nil},
		{"packed text of a PNG", "shot.png", func(v string) []byte {
			return picture("zTXt", append([]byte("Comment\x00\x00"), deflated("value "+v)...))
		}, nil},
		{"international text of a PNG", "shot.png", func(v string) []byte { return picture("iTXt", []byte("Comment\x00\x00\x00\x00\x00"+v)) }, nil},
		{"packed international text of a PNG", "shot.png", func(v string) []byte {
			return picture("iTXt", append([]byte("Comment\x00\x01\x00\x00\x00"), deflated("value "+v)...))
		}, nil},
		{"EXIF of a PNG", "shot.png", func(v string) []byte { return picture("eXIf", []byte("MM\x00*\x00\x00\x00\x08\x00\x01"+v+"\x00")) }, nil},
		{"behind the end of a PNG", "shot.png", func(v string) []byte { return append(picture("tEXt", []byte("a\x00b")), sentence(v)...) }, nil},
		{"comment of a JPEG", "shot.jpg", func(v string) []byte {
			return slices.Concat([]byte("\xff\xd8\xff\xfe"), binary.BigEndian.AppendUint16(nil, uint16(len(v)+2)), []byte(v), []byte("\xff\xd9"))
		}, nil},
		{"EXIF of a JPEG, wide", "shot.jpg", func(v string) []byte {
			return slices.Concat([]byte("\xff\xd8\xff\xe1\x00\x00Exif\x00\x00II*\x00\x01\x02"), wide(binary.LittleEndian, false, v), []byte("\x00\x00\xff\xd9"))
		}, nil},
		{"comment of a GIF", "shot.gif", func(v string) []byte { return []byte("GIF89a\x01\x00\x01\x00\x00\x00\x00!\xfe\xf0" + v + "\x00;") }, nil},
		{"author of a PDF", "paper.pdf", func(v string) []byte { return document([]byte("BT ET"), "", "/Author ("+v+") ") }, multiline},
		{"author of a PDF in UTF-16", "paper.pdf", func(v string) []byte {
			return document([]byte("BT ET"), "", "/Author <"+hex.EncodeToString(wide(binary.BigEndian, true, v))+"> ")
		}, multiline},
		{"text of a PDF", "paper.pdf", func(v string) []byte {
			return document(deflated("BT /F1 12 Tf ("+v+") Tj ET"), "/Filter /FlateDecode ", "")
		}, multiline},
		{"text of a PDF, in pieces", "paper.pdf", func(v string) []byte {
			var set strings.Builder
			for _, c := range v {
				fmt.Fprintf(&set, "(%c) -20 ", c)
			}
			return document(deflated("BT /F1 12 Tf ["+set.String()+"] TJ ET"), "/Filter /FlateDecode ", "")
		}, multiline},
		{"text of an SVG", "plan.svg", text(func(v string) string {
			return `<svg xmlns="http://www.w3.org/2000/svg"><text x="1">` + v + `</text></svg>`
		}), nil},
		{"text of an SVG, in pieces", "plan.svg", text(func(v string) string {
			a, b := half(v)
			return `<svg xmlns="http://www.w3.org/2000/svg"><text><tspan x="1">` + a + `</tspan><tspan>` + b + `</tspan></text></svg>`
		}), torn},
		{"metadata of an SVG", "plan.svg", text(func(v string) string {
			return `<svg xmlns="http://www.w3.org/2000/svg"><metadata><creator>` + v + `</creator></metadata></svg>`
		}), nil},
	}
	return list
}

// TestNothingEscapes: each value in each carrier is found, by its own rule.
func TestNothingEscapes(t *testing.T) {
	t.Parallel()
	s := disclosure.NewScanner(leaks.NewScanner(leaks.Default()), words)
	n := 0
	for _, l := range values() {
		for _, c := range carriers() {
			if slices.Contains(c.not, l.kind) {
				continue
			}
			n++
			found, err := s.File(t.Context(), c.file, c.make(l.value))
			if err != nil {
				t.Errorf("%s as %s: %v", l.kind, c.name, err)
				continue
			}
			checkFound(t, l, c.name, found)
		}
		if l.kind == "private key" {
			continue
		}
		// Where a value is no content.
		for place, look := range map[string]func() ([]disclosure.Finding, error){
			"name of a file":   func() ([]disclosure.Finding, error) { return s.File(t.Context(), "docs/"+l.value+".md", []byte("x")) },
			"name of a folder": func() ([]disclosure.Finding, error) { return s.File(t.Context(), "docs/"+l.value+"/a.md", []byte("x")) },
			"message": func() ([]disclosure.Finding, error) {
				return s.Text(t.Context(), "message", "fix: it\n\nBecause of "+l.value+".\n")
			},
			"author": func() ([]disclosure.Finding, error) {
				return s.Text(t.Context(), "author", "A "+l.value+" <x@example.com>")
			},
		} {
			n++
			found, err := look()
			if err != nil {
				t.Errorf("%s as %s: %v", l.kind, place, err)
				continue
			}
			checkFound(t, l, place, found)
		}
	}
	t.Logf("%d leaks, %d values in %d carriers", n, len(values()), len(carriers()))
	if n < 150 {
		t.Errorf("the corpus has only %d leaks", n)
	}
}

func checkFound(t *testing.T, l leak, carrier string, found []disclosure.Finding) {
	t.Helper()
	ok := slices.ContainsFunc(found, func(f disclosure.Finding) bool { return f.Rule == l.rule })
	if !ok {
		t.Errorf("%s escapes as %s; found: %v", l.kind, carrier, found)
	}
	for _, f := range found {
		secret := strings.TrimSpace(l.value)
		if len(secret) > 8 && strings.Contains(fmt.Sprintf("%+v", f), secret) && !strings.Contains(f.Place, secret) {
			t.Errorf("%s as %s: the finding gives it away: %+v", l.kind, carrier, f)
		}
	}
}

// TestPiecesOfKeys: a key without its first line, or a part of it, is one still.
func TestPiecesOfKeys(t *testing.T) {
	t.Parallel()
	s := disclosure.NewScanner(leaks.NewScanner(leaks.Default()), words)
	var key string
	for _, l := range values() {
		if l.kind == "private key" {
			key = l.value
		}
	}
	lines := strings.Split(strings.TrimSpace(key), "\n")
	body := strings.Join(lines[1:len(lines)-1], "\n")
	for name, content := range map[string]string{
		"without its first line":            body + "\n" + lines[len(lines)-1] + "\n",
		"body alone":                        body + "\n",
		"body in YAML":                      "tls:\n  key: |\n    " + strings.ReplaceAll(body, "\n", "\n    ") + "\n",
		"body in one line":                  "key = " + strings.ReplaceAll(body, "\n", "") + "\n",
		"first line alone":                  lines[0] + "\n",
		"first line with spaces":            "----- BEGIN RSA PRIVATE KEY -----\n",
		"line breaks as escapes":            strings.ReplaceAll(key, "\n", `\n`),
		"in hex":                            hex.EncodeToString(mustDecode(body)),
		"OpenSSH's, without its first line": b64("openssh-key-v1\x00\x00\x00\x00\x04none\x00\x00\x00\x04none") + "\n",
	} {
		found, err := s.File(t.Context(), "notes.txt", []byte(content))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if !slices.ContainsFunc(found, func(f disclosure.Finding) bool { return f.Rule == disclosure.PrivateKey }) {
			t.Errorf("%s: found %v", name, found)
		}
	}
}

func mustDecode(body string) []byte {
	b, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(body, "\n", ""))
	if err != nil {
		panic(err)
	}
	return b
}

// TestFailsClosed: what cannot be looked into is no pass.
func TestFailsClosed(t *testing.T) {
	t.Parallel()
	s := disclosure.NewScanner(leaks.NewScanner(leaks.Default()), words)
	bomb := strings.Repeat("\x00", 70<<20)
	deep := []byte("the end of it all, which is a text")
	for range 8 {
		deep = packed(string(deep))
	}
	for name, c := range map[string]struct {
		file string
		data []byte
		want string
	}{
		"unknown kind":                    {"a.bin", []byte("\x01\x02\x00\xfe\xff\x9c\x00\x01\x03"), "no kind that can be looked into"},
		"encrypted PDF":                   {"a.pdf", document([]byte("x"), "", "/Encrypt 3 0 R "), "encrypted PDF"},
		"PDF with LZW":                    {"a.pdf", document([]byte("x"), "/Filter /LZWDecode ", ""), "packed as LZWDecode"},
		"broken PDF stream":               {"a.pdf", document([]byte("\x78\x9cgarbage"), "/Filter /FlateDecode ", ""), "cannot be unpacked"},
		"broken gzip":                     {"a.gz", packed("some text that is cut off in the middle")[:20], "unpacked"},
		"broken PNG":                      {"a.png", picture("tEXt", []byte("a"))[:40], "no complete PNG"},
		"zip in which is an unknown kind": {"a.zip", zipped("x", "\x01\x02\x00\xfe\xff\x9c\x00\x01\x03"), "no kind that can be looked into"},
		"too deep":                        {"a.gz", deep, "encodings in each other"},
		"unpacks to too much":             {"a.gz", packed(bomb), "more than can be searched"},
		"too large":                       {"a.txt", bytes.Repeat([]byte("a"), 5<<20), "more than 4 MiB"},
	} {
		if _, err := s.File(t.Context(), c.file, c.data); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.File(ctx, "a.txt", []byte("text")); err == nil {
		t.Error("a run that was stopped passes")
	}
}

// harmless look like leaks and are none.
func harmless() []string {
	list := []string{
		// addresses of everybody, of documentation, and whole networks
		"server: 192.0.2.17", "server: 198.51.100.4", "server: 203.0.113.5", "2001:db8::1", "2001:db8:0:1::/64",
		"1.1.1.1", "8.8.8.8", "9.9.9.9", "2606:4700:4700::1111", "127.0.0.1", "127.0.0.1:8080", "::1", "0.0.0.0/0", "::/0",
		"cidr: 10.0.0.0/8", "cidr: 172.16.0.0/12", "cidr: 192.168.0.0/16", "cidr: 169.254.0.0/16", "cidr: 100.64.0.0/10", "cidr: fc00::/7", "cidr: fe80::/10",
		"podCIDR: 10.42.0.0/16", "serviceCIDR: 10.43.0.0/16", "dns: 10.43.0.10", "api: 10.43.0.1", "metadata: 169.254.169.254", "172.32.0.1", "172.15.255.1", "11.0.0.1", "192.169.1.1",
		// numbers
		"version 10.4.2", "chart: 10.4.2-rc.1", "k8s 1.36.2", "v10.4.2+k3s1", "1.2.3.4.5", "10.11.12.13.14", "section 10.1.1", "10:42:07", "2026-11-27T10:42:07Z", "at 10.42 and 10.43", "ratio 10.0.0", "3.1.4.1.5.9.2.6",
		"0.0.0.0", "255.255.255.0", "256.300.1.2", "1.36.2.1",
		// hashes, fingerprints, identifiers of nobody
		"sha256:" + strings.Repeat("ab12", 16), "commit 57e7284a3b1c9d0e8f7a6b5c4d3e2f1a0b9c8d7e",
		"SHA256:uNiVztksCsDhcc0u9e8BrXxXkLJ4yzHvz0vJYcLrKxI", "16:27:ac:a5:76:28:2d:36:63:1b:56:4d:eb:df:a6:48", "MD5:16:27:ac:a5:76:28:2d:36:63:1b:56:4d:eb:df:a6:48",
		"00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff", "00:00:5e:00:53:01", "00-00-5E-00-53-FF", "color: #bc2411", "bc24.117e", "12:34:56", "aa:bb:cc",
		"uid: 3f2504e0-4f89-11d3-9a0c-0305e82c3301", "tunnel: 00000000-0000-0000-0000-000000000000", "account 11111111-1111-1111-1111-111111111111", "tunnel: ${CLOUDFLARE_TUNNEL_ID}", "tunnel: 12345678-9abc-def0-1234-56789abcdef0",
		// names
		"web.app.svc.cluster.local", "kubernetes.default.svc.cluster.local", "cluster.local", "localhost", "localhost.localdomain", "lumacore.dev/lumacore/internal/leaks",
		"settings.local.yaml", "this.local = 1", "a.local()", "config.lan_port", "planet", "atlan", "https://example.com/lan", "x.landing.example.com", "home.arpanet.example.org", "foo.locale", "en.localize",
		"${DOMAIN}", "grafana.${DOMAIN}", "flux.example.com", "quillfeather", "quillfeather.housekeeping.example.com", "notquillfeather.house.example.com/x", "vaultkeeper", "nas-vaultkeeper", "lab-vault-70", "slab-vault-7", "theodora", "Theodoras Quillfeathers",
		// addresses of nobody
		"owner@example.com", "a.b+c@example.org", "x@host.example", "user@site.test", "git@github.com:owner/repo.git", "ssh://git@gitlab.example.com/x.git", "git@codeberg.org:a/b", "12345+me@users.noreply.github.com", "noreply@github.com", "noreply@mail.dev", "mirror@quillfeather.page",
		"image@sha256:" + strings.Repeat("ab12", 16), "actions/checkout@v4.2.2", "github.com/x/y@v1.2.3", "getty@tty1.service", "backup@daily.timer", "npm@11.1.0", "@scope/package@1.0.0", "user@localhost", "root@node-1", "x@y", "a@b.c1", "@alice", "${USER}@${HOST}", "%u@%h.%d", "foo@bar.yaml",
		// 1Password and keys, as far as they say nothing
		"itemPath: vaults/${ONEPASSWORD_VAULT}/items/cosign-key", "op item get", "vaults/", "-----BEGIN PUBLIC KEY-----", "-----BEGIN CERTIFICATE-----", "-----BEGIN SSH SIGNATURE-----", "BEGIN PRIVATE KEY", "private key", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGWq7iJmPIrHvVh8m1k2aXyXyCwzWZzvX0p9d8QmXnJl",
		"canary-sparrow", "canary 4711", "sparrow-4711", "teapot", "kind: Canary", "deploy a canary release",
		// what decodes to something else
		b64("nothing that anybody would want to hide"), b64(strings.Repeat("lorem ipsum dolor ", 10)), hex.EncodeToString([]byte("nothing that anybody would want to hide")), "%48%65%6c%6c%6f%20%77%6f%72%6c%64", "&#72;&#101;&#108;&#108;&#111;", `\x48\x65\x6c\x6c\x6f`, `\u0048\u0065\u006c\u006c\u006f`, "=48=65=6C=6C=6F",
		// what GitLeaks knows the form of, and is an example
		"token: ${GITLAB_TOKEN}", "password: $(cat /run/secrets/password)", "password: replaced-by-1password", "secretRef: name", "tokenSecretRef: registry-read", "apiKey: {{ .Values.key }}", "password: \"\"", "ghp_ is how they begin", "glpat- too", "AKIA", "xoxb-", "secretKeyRef:", "token: simulated", "PASSWORD=changeme",
	}
	// lines of a real repository
	for i := range 60 {
		list = append(list, []string{
			fmt.Sprintf("image: ghcr.io/example/app-%d:1.%d.0@sha256:%s", i, i, strings.Repeat(fmt.Sprintf("%02x", i), 32)),
			fmt.Sprintf("- port: 80%02d # %d requests per second", i, i*7),
			fmt.Sprintf("resourceVersion: \"%d%05d\"", i+1, i*13),
			fmt.Sprintf("- from: 10:%02d to: 11:%02d, every %d minutes", i, i, i),
		}[i%4])
	}
	return list
}

// TestHarmlessIsNotFound: look-alikes block nothing, as they are and in a file of text.
func TestHarmlessIsNotFound(t *testing.T) {
	t.Parallel()
	s := disclosure.NewScanner(leaks.NewScanner(leaks.Default()), words)
	list := harmless()
	for _, h := range list {
		for _, content := range []string{h, "# a note\n\nvalue: " + h + "\nnext: line\n"} {
			found, err := s.File(t.Context(), "apps/web.yaml", []byte(content))
			if err != nil || len(found) > 0 {
				t.Errorf("%q: %v %v", content, found, err)
			}
		}
	}
	whole := strings.Join(list, "\n")
	if found, err := s.File(t.Context(), "notes.txt", []byte(whole)); err != nil || len(found) > 0 {
		t.Errorf("all of them in one file: %v %v", found, err)
	}
	for name, data := range map[string][]byte{
		"picture": picture("tEXt", []byte("Software\x00drawn by a program")),
		"gzip":    packed(whole), "zip": zipped("a.txt", whole), "PDF": document(deflated("BT (Hello) Tj ET"), "/Filter /FlateDecode ", ""),
	} {
		if found, err := s.File(t.Context(), "docs/"+name, data); err != nil || len(found) > 0 {
			t.Errorf("%s: %v %v", name, found, err)
		}
	}
	t.Logf("%d look-alikes", len(list)+4)
	if len(list) < 200 {
		t.Errorf("only %d look-alikes", len(list))
	}
}

// FuzzContent: whatever a file has, the scanner ends, and never gives a value away.
func FuzzContent(f *testing.F) {
	for _, l := range values() {
		for _, c := range carriers() {
			f.Add(c.make(l.value))
		}
	}
	s := disclosure.NewScanner(leaks.NewScanner(leaks.Default()), words)
	f.Fuzz(func(t *testing.T, data []byte) {
		found, err := s.Content(t.Context(), "file", data)
		if err != nil && len(found) > 0 {
			t.Errorf("both findings and an error: %v %v", found, err)
		}
		for _, f := range found {
			if f.Rule == "" || f.Line < 0 {
				t.Errorf("a finding without a rule or line: %+v", f)
			}
		}
	})
}
