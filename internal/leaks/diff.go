package leaks

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// hunk is what a commit adds to a file in one place.
type hunk struct {
	commit string // full name
	date   time.Time
	file   string
	line   int    // of the first line
	text   string // all lines, with their line breaks
	large  bool   // the text is longer than allowed and was left out
}

// diffParser reads what `git diff-tree --stdin -p -U0 --format="%H %at"` prints
// (https://git-scm.com/docs/diff-format#generate_patch_text_with_p).
type diffParser struct {
	in   *bufio.Reader
	most int // bytes of a text
	text bytes.Buffer
	long []byte
	hunk hunk
}

func newDiffParser(in *bufio.Reader, most int) *diffParser {
	return &diffParser{in: in, most: most}
}

// maxHeader is the longest line outside of a hunk, the names of a file twice.
const maxHeader = 64 << 10

// line returns the next line without its line break, which it tells of. Of a line
// longer than most, it returns the beginning and true.
func (p *diffParser) line(most int) (line []byte, whole, cut bool, err error) {
	line, err = p.in.ReadSlice('\n')
	if err == nil {
		return line[:len(line)-1], true, false, nil
	}
	p.long = p.long[:0]
	for errors.Is(err, bufio.ErrBufferFull) {
		if p.long = append(p.long, line...); len(p.long) > most {
			p.long, cut = p.long[:most], true
		}
		line, err = p.in.ReadSlice('\n')
	}
	if p.long = append(p.long, line...); len(p.long) > most+1 {
		p.long, cut = p.long[:most], true
	}
	line = p.long
	if err == nil && !cut {
		line = line[:len(line)-1]
	}
	if errors.Is(err, io.EOF) && len(line) > 0 {
		return line, false, cut, nil
	}
	return line, err == nil, cut, err
}

// each calls do with each hunk. The hunk and its text may be kept; other errors than
// those of do say what is wrong with the input.
func (p *diffParser) each(do func(*hunk) error) error {
	inFile := false
	for {
		line, _, cut, err := p.line(maxHeader)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		switch {
		case cut:
			return errors.New("git prints a header that is longer than names can be")
		case bytes.HasPrefix(line, []byte("diff --git ")):
			p.hunk.file, inFile = "", true
		case inFile && bytes.HasPrefix(line, []byte("+++ ")):
			if p.hunk.file, err = fileName(string(line[4:])); err != nil {
				return err
			}
		case inFile && bytes.HasPrefix(line, []byte("@@ -")):
			if err := p.body(string(line), do); err != nil {
				return err
			}
		case isHeader(line):
			commit, date, _ := strings.Cut(string(line), " ")
			seconds, err := strconv.ParseInt(date, 10, 64)
			if err != nil {
				return fmt.Errorf("git prints %q for the date of a commit", date)
			}
			p.hunk.commit, p.hunk.date, p.hunk.file, inFile = commit, time.Unix(seconds, 0).UTC(), "", false
		}
	}
}

// body reads the lines of a hunk, of which its first line says how many there are.
func (p *diffParser) body(header string, do func(*hunk) error) error {
	old, added, at, err := ranges(header)
	if err != nil {
		return err
	}
	if p.hunk.commit == "" || p.hunk.file == "" {
		return fmt.Errorf("git prints %q where no file is named", header)
	}
	p.text.Reset()
	large, isAdded := false, false
	add := func(line []byte) {
		if isAdded = true; large || p.text.Len()+len(line) >= p.most {
			large = true
			return
		}
		p.text.Write(line)
		p.text.WriteByte('\n')
	}
	for old > 0 || added > 0 {
		line, _, cut, err := p.line(p.most)
		if err != nil {
			return fmt.Errorf("git breaks off in a file: %w", err)
		}
		large = large || cut && line[0] == '+'
		switch {
		case len(line) > 0 && line[0] == '+' && added > 0:
			added--
			add(line[1:])
		case len(line) > 0 && line[0] == '-' && old > 0:
			old--
			isAdded = false
		case len(line) > 0 && line[0] == '\\':
			p.unbroken(isAdded)
		default:
			return fmt.Errorf("git prints a line that is neither added nor removed, in %s", p.hunk.file)
		}
	}
	// "\ No newline at end of file" may follow.
	if next, err := p.in.Peek(1); err == nil && next[0] == '\\' {
		if _, _, _, err := p.line(maxHeader); err != nil {
			return err
		}
		p.unbroken(isAdded)
	}
	h := p.hunk
	h.line, h.large = at, large
	if !large {
		h.text = p.text.String()
	}
	return do(&h)
}

// unbroken takes the line break off the last line, if that was an added one.
func (p *diffParser) unbroken(added bool) {
	if n := p.text.Len(); added && n > 0 {
		p.text.Truncate(n - 1)
	}
}

// ranges reads "@@ -OLD,COUNT +NEW,COUNT @@"; a count that is left out is 1.
func ranges(header string) (old, added, at int, err error) {
	fail := func() (int, int, int, error) {
		return 0, 0, 0, fmt.Errorf("git prints %q, which names no lines", header[:min(len(header), 100)])
	}
	rest, _, ok := strings.Cut(strings.TrimPrefix(header, "@@ -"), " @@")
	if !ok {
		return fail()
	}
	from, to, ok := strings.Cut(rest, " +")
	if !ok {
		return fail()
	}
	count := func(s string) (int, int, bool) {
		first, number, ok := strings.Cut(s, ",")
		if !ok {
			number = "1"
		}
		a, aerr := strconv.Atoi(first)
		n, nerr := strconv.Atoi(number)
		return a, n, aerr == nil && nerr == nil && a >= 0 && n >= 0
	}
	_, old, fromOK := count(from)
	at, added, toOK := count(to)
	if !fromOK || !toOK {
		return fail()
	}
	return old, added, at, nil
}

// fileName reads the name after "+++ ": "b/NAME", in quotes if it needs escapes, with a
// tab at the end if it has spaces.
func fileName(s string) (string, error) {
	if strings.HasPrefix(s, `"`) {
		q, err := strconv.Unquote(strings.TrimSuffix(s, "\t"))
		if err != nil {
			return "", fmt.Errorf("git prints %q for the name of a file", s)
		}
		s = q
	} else {
		s, _, _ = strings.Cut(s, "\t")
	}
	name, ok := strings.CutPrefix(s, "b/")
	if !ok || name == "" {
		if s == "/dev/null" {
			return s, nil
		}
		return "", fmt.Errorf("git prints %q for the name of a file", s)
	}
	return name, nil
}

// isHeader tells whether a line begins a commit: its name and a number.
func isHeader(line []byte) bool {
	name, date, ok := bytes.Cut(line, []byte(" "))
	return ok && isName(string(name)) && len(date) > 0 && (date[0] == '-' || date[0] >= '0' && date[0] <= '9')
}

// isName tells whether s is the full name of an object, by SHA-1 or SHA-256.
func isName(s string) bool {
	if len(s) != 40 && len(s) != 64 {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
