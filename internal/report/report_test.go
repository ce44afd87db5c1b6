package report

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"
)

// doc is a small document. Fail makes its text form fail half way.
type doc struct {
	TypeMeta
	Name string `json:"name"`
	fail bool
}

func (d doc) Text(s *Streams, w io.Writer) error {
	fmt.Fprintf(w, "name: %s\n", s.Paint(s.Out, Good, d.Name))
	if d.fail {
		return errors.New("half way")
	}
	return nil
}

const (
	docText = "name: a<b\n"
	docJSON = `{
  "apiVersion": "lumacore.dev/v1alpha1",
  "kind": "TestReport",
  "name": "a<b"
}
`
)

// piped returns streams that are no terminals, and their buffers.
func piped() (*Streams, *bytes.Buffer, *bytes.Buffer) {
	var out, errs bytes.Buffer
	return &Streams{In: strings.NewReader(""), Out: &out, Err: &errs, Color: true}, &out, &errs
}

// parse returns the outputs of a command line.
func parse(t *testing.T, args ...string) *Outputs {
	t.Helper()
	var o Outputs
	fs := pflag.NewFlagSet("test", pflag.ContinueOnError)
	o.AddFlags(fs, Text, JSON)
	if err := fs.Parse(args); err != nil {
		t.Fatal(err)
	}
	return &o
}

func TestOutputsWrite(t *testing.T) {
	for name, tt := range map[string]struct {
		args   []string // FILE1 and FILE2 stand for files in a temporary folder
		stdout string
		format Format // that goes to stdout
		files  map[string]string
	}{
		"nothing asked for":      {nil, docText, Text, nil},
		"json":                   {[]string{"-o", "json"}, docJSON, JSON, nil},
		"text":                   {[]string{"--output", "text"}, docText, Text, nil},
		"default into a file":    {[]string{"--output-file", "FILE1"}, "", "", map[string]string{"FILE1": docText}},
		"json into a file":       {[]string{"-o", "json", "--output-file", "FILE1"}, "", "", map[string]string{"FILE1": docJSON}},
		"json file, text stdout": {[]string{"-o", "json", "--output-file", "FILE1", "-o", "text"}, docText, Text, map[string]string{"FILE1": docJSON}},
		"both into files": {
			[]string{"-o", "json", "-o", "text", "--output-file", "FILE1", "--output-file", "FILE2"},
			"", "",
			map[string]string{"FILE1": docJSON, "FILE2": docText},
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			args := append([]string{}, tt.args...)
			for i, a := range args {
				if strings.HasPrefix(a, "FILE") {
					args[i] = filepath.Join(dir, a)
				}
			}
			o := parse(t, args...)
			if err := o.Validate(); err != nil {
				t.Fatal(err)
			}
			if got := o.ToStdout(); got != tt.format {
				t.Errorf("ToStdout() = %q, want %q", got, tt.format)
			}
			s, out, errs := piped()
			if err := o.Write(s, doc{TypeMeta: Meta("TestReport"), Name: "a<b"}); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.stdout, out.String()); diff != "" {
				t.Errorf("stdout (-want +got):\n%s", diff)
			}
			if errs.Len() > 0 {
				t.Errorf("stderr: %q, want nothing", errs)
			}
			got := map[string]string{}
			entries, err := os.ReadDir(dir)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range entries {
				b, err := os.ReadFile(filepath.Join(dir, e.Name()))
				if err != nil {
					t.Fatal(err)
				}
				got[e.Name()] = string(b)
			}
			want := tt.files
			if want == nil {
				want = map[string]string{}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("files (-want +got):\n%s", diff)
			}
		})
	}
}

func TestOutputsMisuse(t *testing.T) {
	for name, tt := range map[string]struct {
		args      []string
		err, next string
	}{
		"unknown format":          {[]string{"-o", "xml"}, `unsupported output "xml": use one of text, json`, ""},
		"format in capitals":      {[]string{"-o", "JSON"}, `unsupported output "JSON": use one of text, json`, ""},
		"comma list":              {[]string{"-o", "json,text"}, `unsupported output "json,text": use one of text, json`, ""},
		"empty format":            {[]string{"-o", ""}, `unsupported output "": use one of text, json`, ""},
		"second one unknown":      {[]string{"-o", "json", "-o", "junit"}, `unsupported output "junit": use one of text, json`, ""},
		"two on stdout":           {[]string{"-o", "json", "-o", "text"}, "2 formats would go to stdout", "name a file for all but one of them with --output-file"},
		"three, one file":         {[]string{"-o", "json", "-o", "text", "-o", "json", "--output-file", "f"}, "2 formats would go to stdout", "name a file for all but one of them with --output-file"},
		"files without formats":   {[]string{"--output-file", "a", "--output-file", "b"}, "2 output files for 1 formats", "give one -o for each --output-file"},
		"one file twice":          {[]string{"-o", "json", "--output-file", "a", "-o", "text", "--output-file", "a"}, "--output-file a is given twice", "name another file for each format"},
		"more files than formats": {[]string{"-o", "json", "--output-file", "a", "--output-file", "b"}, "2 output files for 1 formats", "give one -o for each --output-file"},
	} {
		t.Run(name, func(t *testing.T) {
			err := parse(t, tt.args...).Validate()
			checkFailure(t, err, tt.err, tt.next, ExitUsage)
		})
	}
}

func checkFailure(t *testing.T, err error, text, next string, code int) {
	t.Helper()
	var f *Failure
	if !errors.As(err, &f) {
		t.Fatalf("error %v (%T), want a Failure", err, err)
	}
	if diff := cmp.Diff([]any{text, next, code}, []any{f.Error(), f.Next, ExitCode(err)}); diff != "" {
		t.Errorf("message, next, exit code (-want +got):\n%s", diff)
	}
}

func TestOutputsWriteFails(t *testing.T) {
	t.Run("document fails half way: nothing is written", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "f")
		s, out, _ := piped()
		err := parse(t, "--output-file", file).Write(s, doc{fail: true})
		if err == nil || err.Error() != "half way" {
			t.Errorf("error %v, want: half way", err)
		}
		if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the file is there: %v", err)
		}
		if err := parse(t).Write(s, doc{fail: true}); err == nil || out.Len() > 0 {
			t.Errorf("error %v and stdout %q, want an error and nothing", err, out)
		}
	})
	t.Run("stdout is closed", func(t *testing.T) {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		r.Close()
		defer w.Close()
		s, _, _ := piped()
		s.Out = w
		err = parse(t).Write(s, doc{})
		if err == nil || !strings.HasPrefix(err.Error(), "write the result to stdout: ") || !errors.Is(err, syscall.EPIPE) {
			t.Errorf("error %v, want: write the result to stdout: … broken pipe", err)
		}
	})
	t.Run("folder does not exist", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "no", "f")
		s, _, _ := piped()
		err := parse(t, "--output-file", file).Write(s, doc{})
		if err == nil || !strings.HasPrefix(err.Error(), "write "+file+": ") || !errors.Is(err, os.ErrNotExist) {
			t.Errorf("error %v, want: write %s: … no such file", err, file)
		}
	})
}

// Colour is for a person at a terminal, and for the result on stdout alone.
func TestOutputsColor(t *testing.T) {
	s, out, _ := piped()
	s.OutTTY = true
	file := filepath.Join(t.TempDir(), "f")
	if err := parse(t).Write(s, doc{Name: "n"}); err != nil {
		t.Fatal(err)
	}
	if want := "name: \x1b[32mn\x1b[0m\n"; out.String() != want {
		t.Errorf("on a terminal %q, want %q", out, want)
	}
	if err := parse(t, "--output-file", file).Write(s, doc{Name: "n"}); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if want := "name: n\n"; string(b) != want {
		t.Errorf("in a file %q, want %q", b, want)
	}
}

func TestPaint(t *testing.T) {
	for name, tt := range map[string]struct {
		outTTY, errTTY, color bool
		out, err              string
	}{
		"terminals":          {true, true, true, "\x1b[31mx\x1b[0m", "\x1b[31mx\x1b[0m"},
		"stdout is a pipe":   {false, true, true, "x", "\x1b[31mx\x1b[0m"},
		"stderr is a pipe":   {true, false, true, "\x1b[31mx\x1b[0m", "x"},
		"NO_COLOR":           {true, true, false, "x", "x"},
		"neither a terminal": {false, false, true, "x", "x"},
	} {
		t.Run(name, func(t *testing.T) {
			s, _, _ := piped()
			s.OutTTY, s.ErrTTY, s.Color = tt.outTTY, tt.errTTY, tt.color
			if got := s.Paint(s.Out, Bad, "x"); got != tt.out {
				t.Errorf("on stdout %q, want %q", got, tt.out)
			}
			if got := s.Paint(s.Err, Bad, "x"); got != tt.err {
				t.Errorf("on stderr %q, want %q", got, tt.err)
			}
			if got := s.Paint(io.Discard, Bad, "x"); got != "x" {
				t.Errorf("elsewhere %q, want plain", got)
			}
		})
	}
}

func TestSystem(t *testing.T) {
	t.Setenv("NO_COLOR", "") // its presence counts, not its value
	if s := System(); s.Color || s.In != os.Stdin || s.Out != os.Stdout || s.Err != os.Stderr {
		t.Errorf("System() = %+v, want the process's streams without colour", s)
	}
	os.Unsetenv("NO_COLOR")
	if s := System(); !s.Color {
		t.Error("no colour although NO_COLOR is not set")
	}
}

func TestExitCode(t *testing.T) {
	for name, tt := range map[string]struct {
		err  error
		want int
	}{
		"fine":                        {nil, 0},
		"refused":                     {Refuse("", "no"), 1},
		"refused, wrapped":            {fmt.Errorf("push: %w", Refuse("", "no")), 1},
		"failure without a code":      {&Failure{Err: errors.New("no")}, 1},
		"misuse":                      {Misuse("", "no"), 2},
		"internal":                    {errors.New("boom"), 2},
		"time-out is internal":        {context.DeadlineExceeded, 2},
		"interrupted":                 {context.Canceled, 130},
		"interrupted, wrapped":        {fmt.Errorf("build: %w", context.Canceled), 130},
		"refused because interrupted": {Refuse("", "stopped: %w", context.Canceled), 130},
	} {
		t.Run(name, func(t *testing.T) {
			if got := ExitCode(tt.err); got != tt.want {
				t.Errorf("ExitCode(%v) = %d, want %d", tt.err, got, tt.want)
			}
		})
	}
}

func TestFailureUnwraps(t *testing.T) {
	cause := errors.New("cause")
	if err := Refuse("", "what: %w", cause); !errors.Is(err, cause) {
		t.Errorf("%v does not lead to its cause", err)
	}
}

func TestPrintError(t *testing.T) {
	for name, tt := range map[string]struct {
		err  error
		tty  bool
		want string
	}{
		"internal":      {errors.New("boom"), false, "lumacore: boom\n"},
		"with next":     {Refuse("lumacore lab up", "no lab in %s", "/x"), false, "lumacore: no lab in /x\n  next: lumacore lab up\n"},
		"without next":  {Misuse("", "bad"), false, "lumacore: bad\n"},
		"wrapped":       {fmt.Errorf("push: %w", Refuse("try", "bad")), false, "lumacore: push: bad\n  next: try\n"},
		"on a terminal": {errors.New("boom"), true, "\x1b[31mlumacore:\x1b[0m boom\n"},
		"interrupted, and the clean-up failed": {
			errors.Join(context.Canceled, Refuse("lumacore lab down", "etcd does not end")), false,
			"lumacore: interrupted; the same command goes on where this one stopped\nlumacore: etcd does not end\n  next: lumacore lab down\n",
		},
		"interrupted": {fmt.Errorf("build: %w", context.Canceled), true, "lumacore: interrupted; the same command goes on where this one stopped\n"},
	} {
		t.Run(name, func(t *testing.T) {
			s, out, errs := piped()
			s.ErrTTY = tt.tty
			s.PrintError(tt.err)
			if diff := cmp.Diff(tt.want, errs.String()); diff != "" {
				t.Errorf("stderr (-want +got):\n%s", diff)
			}
			if out.Len() > 0 {
				t.Errorf("stdout %q, want nothing", out)
			}
		})
	}
}

func TestWriteFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	for _, tt := range []struct {
		data string
		mode os.FileMode
	}{{"first", 0o600}, {"the second, longer", 0o644}, {"", 0o600}} {
		if err := WriteFile(path, []byte(tt.data), tt.mode); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(path)
		if err != nil || string(b) != tt.data {
			t.Errorf("content %q, %v; want %q", b, err, tt.data)
		}
		if fi, err := os.Stat(path); err != nil || fi.Mode() != tt.mode {
			t.Errorf("mode %v, %v; want %v", fi.Mode(), err, tt.mode)
		}
	}
	checkOnly(t, dir, "f")
}

// checkOnly checks which files a folder has.
func checkOnly(t *testing.T, dir string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	got := []string{}
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("files in %s (-want +got):\n%s", dir, diff)
	}
}

// A reader sees one whole content or the other, however it falls between writes.
func TestWriteFileAtomic(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	a, b := bytes.Repeat([]byte("a"), 1<<16), bytes.Repeat([]byte("b"), 1<<17)
	if err := WriteFile(path, a, 0o600); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		defer close(done)
		for i := range 100 {
			if err := WriteFile(path, [][]byte{a, b}[i%2], 0o600); err != nil {
				t.Error(err)
			}
		}
	})
	for over := false; !over; {
		select {
		case <-done:
			over = true
		default:
		}
		got, err := os.ReadFile(path)
		if err != nil || !bytes.Equal(got, a) && !bytes.Equal(got, b) {
			t.Fatalf("read %d bytes, %v: neither the one content nor the other", len(got), err)
		}
	}
	wg.Wait()
}

func TestWriteFileFails(t *testing.T) {
	dir := t.TempDir()
	sub := filepath.Join(dir, "sub")
	if err := os.MkdirAll(filepath.Join(sub, "x"), 0o755); err != nil {
		t.Fatal(err)
	}
	err := WriteFile(sub, []byte("x"), 0o600) // a folder is in the place of the file
	if err == nil || !strings.HasPrefix(err.Error(), "write "+sub+": ") {
		t.Errorf("error %v, want: write %s: …", err, sub)
	}
	checkOnly(t, dir, "sub") // and no temporary file
}

// What is no regular file, such as /dev/stdout, is written to and not replaced.
func TestWriteFilePipe(t *testing.T) {
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Skip(err)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(fifo, link); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{fifo, link} {
		r, err := os.OpenFile(fifo, os.O_RDWR, 0) // read and write: opening does not block
		if err != nil {
			t.Fatal(err)
		}
		if err := WriteFile(path, []byte("hello"), 0o644); err != nil {
			t.Fatal(err)
		}
		if fi, err := os.Lstat(path); err != nil || fi.Mode().IsRegular() {
			t.Fatalf("%s was replaced by a file (%v, %v)", path, fi.Mode(), err)
		}
		buf := make([]byte, 5)
		if _, err := io.ReadFull(r, buf); err != nil || string(buf) != "hello" {
			t.Errorf("read %q, %v; want hello", buf, err)
		}
		r.Close()
	}
	checkOnly(t, dir, "fifo", "link")
}

func TestDuration(t *testing.T) {
	for _, tt := range []struct {
		d    time.Duration
		want string
	}{
		{0, "0.0s"},
		{40 * time.Millisecond, "0.0s"},
		{420 * time.Millisecond, "0.4s"},
		{9940 * time.Millisecond, "9.9s"},
		{9960 * time.Millisecond, "10s"},
		{10 * time.Second, "10s"},
		{59400 * time.Millisecond, "59s"},
		{59600 * time.Millisecond, "1m00s"},
		{time.Minute, "1m00s"},
		{185 * time.Second, "3m05s"},
		{3*time.Minute + 59600*time.Millisecond, "4m00s"},
		{75 * time.Minute, "75m00s"},
	} {
		if got := Duration(tt.d); got != tt.want {
			t.Errorf("Duration(%v) = %q, want %q", tt.d, got, tt.want)
		}
	}
}
