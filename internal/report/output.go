package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// APIVersion stands in every machine-readable document. Within one version
// documents only grow: a field never changes its meaning and never goes away.
const APIVersion = "lumacore.dev/v1alpha1"

// TypeMeta heads a document. Embed it and set it with [Meta].
type TypeMeta struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"` // "…Report"
}

// Meta returns the head of a document of the given kind.
func Meta(kind string) TypeMeta { return TypeMeta{APIVersion: APIVersion, Kind: kind} }

// Document is the result of a verb. Its JSON form is its encoding/json form. For
// another format it has a method of that name, see [Format].
type Document interface {
	// Text writes the document for a person. s tells whether colour is
	// welcome; w is where to write.
	Text(s *Streams, w io.Writer) error
}

// Format is a way to write a document.
type Format string

// The formats. A verb declares the ones that its document has a method for.
const (
	Text        Format = "text"
	JSON        Format = "json"
	SARIF       Format = "sarif"       // SARIF(io.Writer) error
	JUnit       Format = "junit"       // JUnit(io.Writer) error
	CodeQuality Format = "codequality" // CodeQuality(io.Writer) error
	YAML        Format = "yaml"        // YAML(io.Writer) error
	List        Format = "list"        // List(io.Writer) error
	Markdown    Format = "markdown"    // Markdown(io.Writer) error
)

// Outputs are the formats that were asked for with -o, and the files that were
// named with --output-file. The n-th --output-file belongs to the n-th -o;
// formats without a file go to stdout, of which there can be only one:
//
//	lumacore lab status -o json --output-file status.json -o text
type Outputs struct {
	formats []string
	files   []string
	known   []Format
}

// AddFlags adds -o and --output-file. The first known format is the default.
func (o *Outputs) AddFlags(fs *pflag.FlagSet, known ...Format) {
	o.known = known
	names := make([]string, len(known))
	for i, f := range known {
		names[i] = string(f)
	}
	fs.StringArrayVarP(&o.formats, "output", "o", nil,
		"`format` of the result: "+strings.Join(names, "|")+"; may be repeated (default "+names[0]+")")
	fs.StringArrayVar(&o.files, "output-file", nil,
		"`file` for the result instead of stdout; the n-th belongs to the n-th -o")
}

// Validate reports wrong use of the flags, before any work is done.
func (o *Outputs) Validate() error {
	for _, f := range o.formats {
		if !slices.Contains(o.known, Format(f)) {
			return Misuse("", "unsupported output %q: use one of %s", f, joinFormats(o.known))
		}
	}
	for i, f := range o.files {
		if slices.Contains(o.files[:i], f) {
			return Misuse("name another file for each format", "--output-file %s is given twice", f)
		}
	}
	formats := max(len(o.formats), 1)
	if len(o.files) > formats {
		return Misuse("give one -o for each --output-file", "%d output files for %d formats", len(o.files), formats)
	}
	if formats-len(o.files) > 1 {
		return Misuse("name a file for all but one of them with --output-file",
			"%d formats would go to stdout", formats-len(o.files))
	}
	return nil
}

func joinFormats(fs []Format) string {
	names := make([]string, len(fs))
	for i, f := range fs {
		names[i] = string(f)
	}
	return strings.Join(names, ", ")
}

// ToStdout returns the format that goes to stdout, or "" when all go to files.
func (o *Outputs) ToStdout() Format {
	if len(o.formats) == 0 && len(o.files) == 0 {
		return o.known[0]
	}
	if len(o.formats) > len(o.files) {
		return Format(o.formats[len(o.formats)-1])
	}
	return ""
}

// Write writes doc in every format that was asked for. A write that fails is an
// error: half a document must never look like a whole one.
func (o *Outputs) Write(s *Streams, doc Document) error {
	formats := o.formats
	if len(formats) == 0 {
		formats = []string{string(o.known[0])}
	}
	for i, f := range formats {
		var buf bytes.Buffer
		if err := encode(s, &buf, Format(f), doc, i >= len(o.files)); err != nil {
			return err
		}
		if i < len(o.files) {
			if err := WriteFile(o.files[i], buf.Bytes(), 0o644); err != nil {
				return err
			}
			continue
		}
		if _, err := s.Out.Write(buf.Bytes()); err != nil {
			return fmt.Errorf("write the result to stdout: %w", err)
		}
	}
	return nil
}

func encode(s *Streams, w io.Writer, f Format, doc Document, stdout bool) error {
	switch f {
	case Text:
		plain := *s
		plain.Color = s.Color && stdout && s.OutTTY
		if !stdout {
			plain.Width = 0
		}
		return doc.Text(&plain, w)
	case JSON:
		return writeJSON(w, doc)
	case SARIF:
		if d, ok := doc.(interface{ SARIF(io.Writer) error }); ok {
			return d.SARIF(w)
		}
	case JUnit:
		if d, ok := doc.(interface{ JUnit(io.Writer) error }); ok {
			return d.JUnit(w)
		}
	case CodeQuality:
		if d, ok := doc.(interface{ CodeQuality(io.Writer) error }); ok {
			return d.CodeQuality(w)
		}
	case YAML:
		if d, ok := doc.(interface{ YAML(io.Writer) error }); ok {
			return d.YAML(w)
		}
	case List:
		if d, ok := doc.(interface{ List(io.Writer) error }); ok {
			return d.List(w)
		}
	case Markdown:
		if d, ok := doc.(interface{ Markdown(io.Writer) error }); ok {
			return d.Markdown(w)
		}
	}
	return fmt.Errorf("%T has no form %s", doc, f)
}

func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// WriteFile writes data to path so that a reader sees the old content or the
// new one and never half of it: a temporary file beside it, then a rename.
// A device or pipe, such as /dev/stdout, is written to instead: a rename would
// put a file in its place.
func WriteFile(path string, data []byte, mode os.FileMode) (err error) {
	if fi, err := os.Stat(path); err == nil && !fi.Mode().IsRegular() && !fi.IsDir() {
		return writeTo(path, data)
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer func() {
		if err != nil {
			os.Remove(tmp.Name())
			err = fmt.Errorf("write %s: %w", path, err)
		}
	}()
	if _, err = tmp.Write(data); err != nil {
		tmp.Close()
		return err
	}
	if err = tmp.Chmod(mode); err != nil {
		tmp.Close()
		return err
	}
	if err = tmp.Close(); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), path)
}

// writeTo writes data to what is there.
func writeTo(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}
