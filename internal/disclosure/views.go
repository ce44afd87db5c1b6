package disclosure

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"compress/zlib"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
	"golang.org/x/text/unicode/norm"
)

// Bounds of what is unpacked of one file.
const (
	maxDepth    = 6        // of archives and encodings in each other
	maxUndone   = 10       // of other steps between two of those
	maxUnpacked = 64 << 20 // bytes, of all that one file unpacks to
	maxViews    = 20_000   // texts that one file comes to
)

// view is a text that a file comes to: as it is, or after something was undone.
type view struct {
	text string
	in   []string // what was undone, from the outside: "gzip", "base64"
	line int      // of the file, where it begins
	// loose: lines or tags were taken away, so that words may meet which do not belong
	// together; only what is a finding by its form alone counts.
	loose bool
}

// unpacker makes the views of one file.
type unpacker struct {
	ctx   context.Context
	left  int // bytes that may still be unpacked
	views []view
	seen  map[string]bool
}

var errTooMuch = errors.New("it unpacks to more than can be searched")

// unpack returns all texts that a file comes to.
func unpack(ctx context.Context, data []byte) ([]view, error) {
	u := &unpacker{ctx: ctx, left: maxUnpacked, seen: map[string]bool{}}
	if err := u.content(data, nil, 1); err != nil {
		return nil, err
	}
	return u.views, nil
}

// add takes a text, unless it is known, and tells whether it was new.
func (u *unpacker) add(v view) (bool, error) {
	if err := u.ctx.Err(); err != nil {
		return false, fmt.Errorf("it takes more than %s to search: %w", timeout, err)
	}
	if strings.TrimSpace(v.text) == "" || u.seen[v.text] {
		return false, nil
	}
	if u.left -= len(v.text); u.left < 0 || len(u.views) >= maxViews {
		return false, errTooMuch
	}
	u.seen[v.text] = true
	u.views = append(u.views, v)
	return true, nil
}

func under(in []string, what string) []string { return append(slices.Clip(slices.Clone(in)), what) }

// content looks into bytes of any kind.
func (u *unpacker) content(data []byte, in []string, line int) error {
	if err := tooDeep(in); err != nil {
		return err
	}
	if u.left -= len(data); u.left < 0 {
		return errTooMuch
	}
	kind := kindOf(data)
	if kind == nil || kind.weak {
		if text, name, ok := asText(data); ok {
			if name != "" {
				in = under(in, name)
			}
			return u.text(text, in, line)
		}
	}
	if kind == nil {
		return errUnknown
	}
	return kind.open(u, data, under(in, kind.name), line)
}

// tooDeep says that there is too much around a text to go on.
func tooDeep(in []string) error {
	packed, undone := 0, 0
	for _, step := range in {
		if steps[step] {
			undone++
		} else {
			packed, undone = packed+1, 0
		}
	}
	if packed > maxDepth || undone > maxUndone {
		return fmt.Errorf("it has more than %d encodings in each other (%s)", len(in)-1, strings.Join(in, ", "))
	}
	return nil
}

var errUnknown = errors.New("it is no text, and of no kind that can be looked into (PNG, JPEG, GIF, WebP, ICO, PDF, gzip, bzip2, zip, tar)")

// asText returns content as text, and the name of its encoding when that is not UTF-8.
func asText(data []byte) (text, encoding string, ok bool) {
	decode := func(order binary.ByteOrder, b []byte) (string, bool) {
		if len(b)%2 != 0 {
			b = b[:len(b)-1]
		}
		units := make([]uint16, len(b)/2)
		for i := range units {
			units[i] = order.Uint16(b[2*i:])
		}
		s := string(utf16.Decode(units))
		return s, printable(s)
	}
	switch {
	case bytes.HasPrefix(data, []byte{0xff, 0xfe}):
		text, ok = decode(binary.LittleEndian, data[2:])
		return text, "UTF-16", ok
	case bytes.HasPrefix(data, []byte{0xfe, 0xff}):
		text, ok = decode(binary.BigEndian, data[2:])
		return text, "UTF-16", ok
	case bytes.HasPrefix(data, []byte{0xef, 0xbb, 0xbf}):
		data = data[3:]
	}
	if bytes.IndexByte(data, 0) < 0 {
		if utf8.Valid(data) {
			return string(data), "", true
		}
		// ISO 8859-1, which every sequence of bytes is; only if it looks like text.
		s := latin1(data)
		return s, latin, printable(s)
	}
	if len(data) >= 8 {
		if s, ok := decode(binary.LittleEndian, data); ok {
			return s, "UTF-16", true
		}
		if s, ok := decode(binary.BigEndian, data); ok {
			return s, "UTF-16", true
		}
	}
	return "", "", false
}

const latin = "ISO 8859-1"

func latin1(data []byte) string {
	runes := make([]rune, len(data))
	for i, b := range data {
		runes[i] = rune(b)
	}
	return string(runes)
}

// printable tells whether a text is one that people or programs write: nearly all of it
// can be printed, and most of it is of the alphabets that names and secrets are of.
func printable(s string) bool {
	if s == "" {
		return false
	}
	all, good, ascii := 0, 0, 0
	for _, r := range s {
		all++
		if r == '\n' || r == '\r' || r == '\t' || (r != utf8.RuneError && unicode.IsPrint(r)) {
			good++
		}
		if r >= ' ' && r < 0x7f || r == '\n' || r == '\r' || r == '\t' {
			ascii++
		}
	}
	return good*100 >= all*97 && ascii*100 >= all*60
}

// kind is a kind of binary content.
type kind struct {
	name string
	weak bool // text may begin like it
	is   func(data []byte) bool
	open func(u *unpacker, data []byte, in []string, line int) error
}

func magic(prefixes ...string) func([]byte) bool {
	return func(data []byte) bool {
		return slices.ContainsFunc(prefixes, func(p string) bool { return bytes.HasPrefix(data, []byte(p)) })
	}
}

// kinds can be looked into. It is filled by init, for they refer to themselves.
var kinds []kind

func init() {
	for _, u := range undone {
		steps[u.name] = true
	}
	kinds = []kind{
		{"PNG", false, magic("\x89PNG\r\n\x1a\n"), (*unpacker).png},
		{"JPEG", false, magic("\xff\xd8\xff"), (*unpacker).printables},
		{"GIF", false, magic("GIF87a", "GIF89a"), (*unpacker).printables},
		{"WebP", false, func(d []byte) bool { return len(d) > 12 && string(d[:4]) == "RIFF" && string(d[8:12]) == "WEBP" }, (*unpacker).printables},
		{"ICO", false, magic("\x00\x00\x01\x00"), (*unpacker).printables},
		{"PDF", false, magic("%PDF-"), (*unpacker).pdf},
		{"gzip", false, magic("\x1f\x8b"), func(u *unpacker, d []byte, in []string, line int) error {
			r, err := gzip.NewReader(bytes.NewReader(d))
			if err != nil {
				return err
			}
			if err := u.text(strings.Join([]string{r.Name, r.Comment, string(r.Extra)}, "\n"), under(in, "header"), line); err != nil {
				return err
			}
			return u.stream(r, in, line)
		}},
		{"bzip2", false, func(d []byte) bool { return len(d) > 10 && string(d[:3]) == "BZh" && string(d[4:10]) == "1AY&SY" }, func(u *unpacker, d []byte, in []string, line int) error {
			return u.stream(bzip2.NewReader(bytes.NewReader(d)), in, line)
		}},
		{"zlib", true, isZlib, func(u *unpacker, d []byte, in []string, line int) error {
			r, err := zlib.NewReader(bytes.NewReader(d))
			if err != nil {
				return err
			}
			return u.stream(r, in, line)
		}},
		{"zip", false, magic("PK\x03\x04", "PK\x05\x06"), (*unpacker).zip},
		{"tar", false, func(d []byte) bool { return len(d) > 262 && string(d[257:262]) == "ustar" }, (*unpacker).tar},
	}
}

func kindOf(data []byte) *kind {
	for i, k := range kinds {
		if k.is(data) {
			return &kinds[i]
		}
	}
	return nil
}

// read reads a stream to its end, within what may be unpacked.
func (u *unpacker) read(r io.Reader) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, int64(u.left)+1))
	if err != nil {
		return nil, fmt.Errorf("it cannot be unpacked: %w", err)
	}
	if len(data) > u.left {
		return nil, errTooMuch
	}
	return data, nil
}

func (u *unpacker) stream(r io.Reader, in []string, line int) error {
	data, err := u.read(r)
	if err != nil {
		return err
	}
	return u.content(data, in, line)
}

func (u *unpacker) zip(data []byte, in []string, line int) error {
	z, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return fmt.Errorf("it cannot be unpacked: %w", err)
	}
	if err := u.text(z.Comment, in, line); err != nil {
		return err
	}
	for _, f := range z.File {
		if err := u.text(f.Name+"\n"+f.Comment+"\n"+string(f.Extra), under(in, "name"), line); err != nil {
			return err
		}
		if f.Flags&1 != 0 {
			return errors.New("it has a file with a password")
		}
		if f.FileInfo().IsDir() {
			continue
		}
		r, err := f.Open()
		if err != nil {
			return fmt.Errorf("it cannot be unpacked: %w", err)
		}
		err = u.stream(r, in, line)
		r.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

func (u *unpacker) tar(data []byte, in []string, line int) error {
	t := tar.NewReader(bytes.NewReader(data))
	for {
		h, err := t.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("it cannot be unpacked: %w", err)
		}
		if err := u.text(strings.Join([]string{h.Name, h.Linkname, h.Uname, h.Gname}, "\n"), under(in, "name"), line); err != nil {
			return err
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		if err := u.stream(t, in, line); err != nil {
			return err
		}
	}
}

// printables takes the texts in binary content, wherever they are: comments, EXIF, XMP.
// What is in pixels is not read.
func (u *unpacker) printables(data []byte, in []string, line int) error {
	for _, text := range stringsIn(data) {
		if err := u.text(text, in, line); err != nil {
			return err
		}
	}
	return nil
}

var (
	runs8  = regexp.MustCompile(`[\t\n\r -~]{4,}`)
	runs16 = regexp.MustCompile(`(?s:(?:[\t\n\r -~]\x00){4,}|(?:\x00[\t\n\r -~]){4,})`)
)

// stringsIn are the runs of printable ASCII in bytes, one and two bytes wide, joined to
// one text of each width.
func stringsIn(data []byte) []string {
	var narrow, wide []string
	for _, m := range runs8.FindAll(data, -1) {
		narrow = append(narrow, string(m))
	}
	for _, m := range runs16.FindAll(data, -1) {
		wide = append(wide, string(bytes.ReplaceAll(m, []byte{0}, nil)))
	}
	return []string{strings.Join(narrow, "\n"), strings.Join(wide, "\n")}
}

// png reads the chunks of a picture (https://www.w3.org/TR/png-3/#11Chunks): all but the
// pixels are searched, and what is packed in them is unpacked.
func (u *unpacker) png(data []byte, in []string, line int) error {
	for rest := data[8:]; len(rest) > 0; {
		if len(rest) < 12 {
			return errors.New("it is no complete PNG")
		}
		size := int(binary.BigEndian.Uint32(rest))
		name := string(rest[4:8])
		if size < 0 || size > len(rest)-12 {
			return errors.New("it is no complete PNG")
		}
		body := rest[8 : 8+size]
		rest = rest[12+size:]
		inside := under(in, name)
		switch name {
		case "IDAT", "fdAT", "PLTE", "IHDR":
			continue
		case "IEND":
			// What follows the end is no picture.
			if len(rest) > 0 {
				if err := u.content(rest, under(in, "after the end"), line); err != nil {
					return err
				}
			}
			return nil
		case "zTXt", "iTXt", "iCCP":
			for at := range body {
				if !isZlib(body[at:]) {
					continue
				}
				r, err := zlib.NewReader(bytes.NewReader(body[at:]))
				if err != nil {
					continue
				}
				text, err := u.read(r)
				if errors.Is(err, errTooMuch) {
					return err
				}
				if err == nil && len(text) > 0 {
					if err := u.inside(text, inside, line); err != nil {
						return err
					}
				}
			}
		}
		if err := u.inside(body, inside, line); err != nil {
			return err
		}
	}
	return nil
}

var isZlib = magic("\x78\x01", "\x78\x5e", "\x78\x9c", "\x78\xda")

// inside takes the text of a part of binary content, or the texts in it.
func (u *unpacker) inside(data []byte, in []string, line int) error {
	if text, name, ok := asText(data); ok {
		if name != "" {
			in = under(in, name)
		}
		return u.text(text, in, line)
	}
	return u.printables(data, in, line)
}

var (
	pdfFilter = regexp.MustCompile(`/Filter\s*\[?\s*((?:/[A-Za-z0-9]+\s*)+)`)
	pdfStream = regexp.MustCompile(`(?s)stream\r?\n`)
	pdfString = regexp.MustCompile(`(?s)\(((?:[^()\\]|\\.)*)\)`)
	pdfHex    = regexp.MustCompile(`<([0-9A-Fa-f\s]{4,})>`)
	pdfArray  = regexp.MustCompile(`(?s)\[((?:[^\[\]\\]|\\.)*)\]\s*TJ`)
)

// pdf reads a document as far as text can stand in it: its objects, and the streams that
// are packed with Flate. Others are refused, and so are encrypted ones: nobody could see
// what is in them. https://opensource.adobe.com/dc-acrobat-sdk-docs/standards/pdfstandards/pdf/PDF32000_2008.pdf
func (u *unpacker) pdf(data []byte, in []string, line int) error {
	if bytes.Contains(data, []byte("/Encrypt")) {
		return errors.New("it is an encrypted PDF")
	}
	for _, m := range pdfFilter.FindAllSubmatch(data, -1) {
		for _, f := range strings.Fields(strings.ReplaceAll(string(m[1]), "/", " ")) {
			if f != "FlateDecode" && f != "DCTDecode" {
				return fmt.Errorf("it is a PDF with a stream packed as %s, which is not unpacked", f)
			}
		}
	}
	parts := [][]byte{data}
	for _, m := range pdfStream.FindAllIndex(data, -1) {
		r, err := zlib.NewReader(bytes.NewReader(data[m[1]:]))
		if err != nil {
			continue // not packed: its text is in the objects
		}
		text, err := u.read(r)
		if errors.Is(err, errTooMuch) {
			return err
		}
		if err != nil {
			return errors.New("it is a PDF with a stream that cannot be unpacked")
		}
		parts = append(parts, text)
	}
	for i, part := range parts {
		inside := in
		if i > 0 {
			inside = under(in, "stream")
		}
		if err := u.printables(part, inside, line); err != nil {
			return err
		}
		// Words are set in pieces, with the space between letters: [(pass) -20 (word)] TJ.
		var set strings.Builder
		for _, m := range pdfArray.FindAllSubmatch(part, -1) {
			for _, s := range pdfString.FindAllSubmatch(m[1], -1) {
				set.Write(pdfUnescape(s[1]))
			}
			set.WriteByte('\n')
		}
		for _, s := range pdfString.FindAllSubmatch(part, -1) {
			if text, _, ok := asText(pdfUnescape(s[1])); ok {
				set.WriteString(text + "\n")
			}
		}
		for _, s := range pdfHex.FindAllSubmatch(part, -1) {
			b, err := hex.DecodeString(strings.Join(strings.Fields(string(s[1])), ""))
			if err != nil {
				continue
			}
			if text, _, ok := asText(b); ok {
				set.WriteString(text + "\n")
			}
		}
		if err := u.text(set.String(), under(inside, "text"), line); err != nil {
			return err
		}
	}
	return nil
}

var pdfEscape = regexp.MustCompile(`(?s)\\([0-7]{1,3}|\r?\n|.)`)

func pdfUnescape(s []byte) []byte {
	return pdfEscape.ReplaceAllFunc(s, func(e []byte) []byte {
		switch c := e[1]; c {
		case 'n':
			return []byte{'\n'}
		case 'r', '\r', '\n':
			return nil
		case 't':
			return []byte{'\t'}
		default:
			if n, err := strconv.ParseUint(string(e[1:]), 8, 8); err == nil {
				return []byte{byte(n)}
			}
			return e[1:]
		}
	})
}

// text takes a text and all that can be undone in it.
func (u *unpacker) text(text string, in []string, line int) error {
	if err := tooDeep(in); err != nil {
		return err
	}
	isNew, err := u.add(view{text: text, in: in, line: line})
	if err != nil || !isNew {
		return err
	}
	for _, undo := range undone {
		if got := undo.of(text); got != "" && got != text {
			if undo.loose {
				if _, err := u.add(view{text: got, in: under(in, undo.name), line: line, loose: true}); err != nil {
					return err
				}
				continue
			}
			if err := u.text(got, under(in, undo.name), line); err != nil {
				return err
			}
		}
	}
	return u.packed(text, in, line)
}

// steps are the names in undone, and of encodings of letters: none of them packs anything.
var steps = map[string]bool{"UTF-16": true, latin: true, "text": true, "name": true, "header": true, "stream": true}

// undone is what is undone in whole texts. Each returns "" if there is nothing to undo.
var undone = []struct {
	name  string
	loose bool
	of    func(string) string
}{
	{"look-alike letters", false, alike},
	{"percent encoding", false, percent},
	{"HTML entities", false, entities},
	{"escapes", false, escapes},
	{"quoted-printable", false, quotedPrintable},
	{"defanged", false, defanged},
	{"JSON", false, jsonStrings},
	{"YAML", false, yamlStrings},
	{"tags", true, tags},
	{"lines", true, joined},
}

// alike undoes what shows nothing, or the same: letters of full width, soft hyphens,
// spaces without width (https://www.unicode.org/reports/tr15/#Norm_Forms).
func alike(s string) string {
	if isASCII(s) {
		return ""
	}
	return norm.NFKC.String(strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Cf, r) {
			return -1
		}
		return r
	}, s))
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

var percentOf = regexp.MustCompile(`%[0-9A-Fa-f]{2}`)

func percent(s string) string {
	if !strings.Contains(s, "%") {
		return ""
	}
	return valid(percentOf.ReplaceAllStringFunc(s, func(m string) string {
		n, _ := strconv.ParseUint(m[1:], 16, 8)
		return string([]byte{byte(n)})
	}))
}

// valid makes bytes that are no UTF-8 visible as such.
func valid(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

func entities(s string) string {
	if !strings.Contains(s, "&") {
		return ""
	}
	return html.UnescapeString(s)
}

var escapeOf = regexp.MustCompile(`\\(?:x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})|u\{([0-9A-Fa-f]{1,6})\}|U([0-9A-Fa-f]{8})|([0-7]{3}))`)

func escapes(s string) string {
	if !strings.Contains(s, `\`) {
		return ""
	}
	return valid(escapeOf.ReplaceAllStringFunc(s, func(m string) string {
		g := escapeOf.FindStringSubmatch(m)
		base := 16
		if g[5] != "" {
			base = 8
		}
		n, err := strconv.ParseUint(g[1]+g[2]+g[3]+g[4]+g[5], base, 32)
		if err != nil || n > unicode.MaxRune {
			return m
		}
		return string(rune(n))
	}))
}

var (
	softBreak = regexp.MustCompile(`=\r?\n`)
	quotedOf  = regexp.MustCompile(`=[0-9A-F]{2}`)
)

func quotedPrintable(s string) string {
	// One alone is an assignment in hex more often than an encoding.
	if !softBreak.MatchString(s) && len(quotedOf.FindAllString(s, 3)) < 3 {
		return ""
	}
	return valid(quotedOf.ReplaceAllStringFunc(softBreak.ReplaceAllString(s, ""), func(m string) string {
		n, _ := strconv.ParseUint(m[1:], 16, 8)
		return string([]byte{byte(n)})
	}))
}

var defangedOf = regexp.MustCompile(`(?i)\s?[\[({]\s*(dot|at|\.|@|:)\s*[\])}]\s?`)

// defanged undoes how people write addresses that are not meant to be links: 10[.]0[.]0[.]5.
func defanged(s string) string {
	return defangedOf.ReplaceAllStringFunc(s, func(m string) string {
		switch w := strings.ToLower(strings.Trim(m, " \t[](){}")); w {
		case "dot":
			return "."
		case "at":
			return "@"
		default:
			return w
		}
	})
}

// jsonStrings are the strings of a JSON document, each decoded, and those of a list of
// strings in one, which is how notebooks keep texts.
func jsonStrings(s string) string {
	t := strings.TrimSpace(s)
	if !strings.HasPrefix(t, "{") && !strings.HasPrefix(t, "[") {
		return ""
	}
	d := json.NewDecoder(strings.NewReader(t))
	d.UseNumber()
	var value any
	if d.Decode(&value) != nil {
		return ""
	}
	var b strings.Builder
	var walk func(key string, v any)
	walk = func(key string, v any) {
		switch v := v.(type) {
		case map[string]any:
			for k, v := range v {
				walk(k, v)
			}
		case []any:
			whole := ""
			for _, v := range v {
				if s, ok := v.(string); ok {
					whole += s
				}
				walk(key, v)
			}
			if whole != "" {
				b.WriteString(assign(key, whole))
			}
		case string:
			b.WriteString(assign(key, v))
		}
	}
	walk("", value)
	return sortedLines(b.String())
}

func assign(key, value string) string {
	if key == "" {
		return value + "\n"
	}
	return key + ": " + value + "\n"
}

// sortedLines makes the same text of the same strings, in whatever order a map gave them.
func sortedLines(s string) string {
	lines := strings.SplitAfter(s, "\n")
	if len(lines) > 100_000 {
		return s
	}
	slices.Sort(lines)
	return strings.Join(lines, "")
}

// yamlStrings are the keys and values of YAML documents, each value on one line: folded
// lines joined, escapes undone, aliases followed.
func yamlStrings(s string) string {
	if !strings.Contains(s, ":") || len(s) > 1<<20 {
		return ""
	}
	d := yaml.NewDecoder(strings.NewReader(s))
	var b strings.Builder
	left := 200_000 // nodes: aliases of aliases are many
	var walk func(key string, n *yaml.Node, depth int)
	walk = func(key string, n *yaml.Node, depth int) {
		if left--; left < 0 || depth > 100 {
			return
		}
		switch n.Kind {
		case yaml.DocumentNode, yaml.SequenceNode:
			for _, c := range n.Content {
				walk(key, c, depth+1)
			}
		case yaml.MappingNode:
			for i := 0; i+1 < len(n.Content); i += 2 {
				walk(n.Content[i].Value, n.Content[i+1], depth+1)
			}
		case yaml.AliasNode:
			if n.Alias != nil {
				walk(key, n.Alias, depth+1)
			}
		case yaml.ScalarNode:
			b.WriteString(assign(key, strings.TrimSpace(n.Value)))
		}
	}
	for {
		var n yaml.Node
		err := d.Decode(&n)
		if err != nil {
			if err != io.EOF {
				return "" // no YAML: the text is searched as it is
			}
			return b.String()
		}
		walk("", &n, 0)
	}
}

var tagOf = regexp.MustCompile(`<[^<>]{0,1000}>`)

// tags takes the tags of XML and HTML away: words may be set in pieces.
func tags(s string) string {
	if !strings.Contains(s, "</") && !strings.Contains(s, "/>") {
		return ""
	}
	return tagOf.ReplaceAllString(s, "")
}

// breakOf is what stands between the pieces of a value that goes on in the next line.
var breakOf = regexp.MustCompile("[ \t]*(?:[\"'`][ \t]*[+.&\\\\,]?|\\\\)?[ \t]*\r?\n[ \t]*(?:[#/*>|]+[ \t]*)?(?:[+.&-][ \t]*[\"'`]|[\"'`])?")

// joined puts the lines of a text together.
func joined(s string) string {
	if !strings.Contains(strings.TrimSpace(s), "\n") {
		// Pieces in one line: "abc" + "def".
		return pieceOf.ReplaceAllString(s, "")
	}
	return pieceOf.ReplaceAllString(breakOf.ReplaceAllString(s, ""), "")
}

var pieceOf = regexp.MustCompile("[\"'`][ \t]*[+.&][ \t]*[\"'`]|[\"'][ \t]*[\"']")

var (
	base64Of = regexp.MustCompile(`[A-Za-z0-9+/_-]{12,}(?:[ \t]*\\?\r?\n[ \t>#"'+]*[A-Za-z0-9+/_-]{8,})*={0,2}`)
	base64In = regexp.MustCompile(`[A-Za-z0-9+/_-]{12,}={0,2}`)
	hexOf    = regexp.MustCompile(`(?:[0-9A-Fa-f]{2}[ \t:]?|0x[0-9A-Fa-f]{2},?\s*|\\x[0-9A-Fa-f]{2}){8,}(?:\r?\n[ \t]*(?:[0-9A-Fa-f]{2}[ :]?|0x[0-9A-Fa-f]{2},?\s*){4,})*`)
	notHex   = regexp.MustCompile(`0x|\\x|[^0-9A-Fa-f]`)
)

// packed looks into the runs of base64 and hex in a text.
func (u *unpacker) packed(text string, in []string, line int) error {
	try := func(at int, name string, decoded []byte) error {
		if len(decoded) < 6 {
			return nil
		}
		where := line + strings.Count(text[:at], "\n")
		if key := keyMaterial(decoded); key != "" {
			if _, err := u.add(view{text: key, in: under(in, name), line: where}); err != nil {
				return err
			}
			return nil
		}
		if t, enc, ok := asText(decoded); ok && enc != latin {
			// Random letters decode to bytes; few of those are text.
			if !printable(t) {
				return nil
			}
			inside := under(in, name)
			if enc != "" {
				inside = under(inside, enc)
			}
			return u.text(t, inside, where)
		}
		if k := kindOf(decoded); k != nil && k.name != "ICO" && k.name != "JPEG" || bytes.HasPrefix(decoded, []byte("\xff\xd8\xff\xe0")) {
			err := u.content(decoded, under(in, name), where)
			if errors.Is(err, errTooMuch) || err == nil {
				return err
			}
			return nil // it only began like one
		}
		return nil
	}
	for _, m := range base64Of.FindAllStringIndex(text, -1) {
		run := text[m[0]:m[1]]
		whole := strings.Map(func(r rune) rune {
			if r < 0x80 && (r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '/' || r == '_' || r == '-' || r == '+') {
				return r
			}
			return -1
		}, run)
		if err := try(m[0], "base64", unbase64(whole)); err != nil {
			return err
		}
		if strings.Contains(run, "\n") {
			for _, part := range base64In.FindAllStringIndex(run, -1) {
				if err := try(m[0]+part[0], "base64", unbase64(strings.TrimRight(run[part[0]:part[1]], "="))); err != nil {
					return err
				}
			}
		}
		// A word before it, or a path: api/aGVsbG8…
		for _, cut := range []string{"/", "-", "_", "+"} {
			if !strings.Contains(run, cut) {
				continue
			}
			for _, part := range strings.FieldsFunc(run, func(r rune) bool { return strings.ContainsRune(cut+"\n", r) }) {
				if len(part) < 12 {
					continue
				}
				if err := try(m[0], "base64", unbase64(strings.TrimRight(part, "= \t"))); err != nil {
					return err
				}
			}
		}
	}
	for _, m := range hexOf.FindAllStringIndex(text, -1) {
		digits := notHex.ReplaceAllString(text[m[0]:m[1]], "")
		b, err := hex.DecodeString(digits[:len(digits)/2*2])
		if err != nil {
			continue
		}
		if err := try(m[0], "hex", b); err != nil {
			return err
		}
	}
	return nil
}

// unbase64 decodes as much as can be, of both alphabets.
func unbase64(s string) []byte {
	s = strings.NewReplacer("-", "+", "_", "/").Replace(s)
	if len(s)%4 == 1 {
		s = s[:len(s)-1]
	}
	b, err := base64.RawStdEncoding.DecodeString(s)
	if err != nil {
		return nil
	}
	return b
}
