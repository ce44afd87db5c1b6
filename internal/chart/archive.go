package chart

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"regexp"
	"slices"
	"strings"

	"helm.sh/helm/v4/pkg/chart/loader/archive"
	chartv2 "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
)

// Bounds of a chart. The largest public charts (with their CRDs) have about
// 2 MiB packed and 30 MiB unpacked.
const (
	maxPacked   = 32 << 20        // bytes of an archive
	maxUnpacked = 256 << 20       // bytes of all files
	maxStream   = 2 * maxUnpacked // bytes of an archive without its compression: files, headers, padding
	maxFileSize = 16 << 20        // bytes of one file
	maxFiles    = 20_000
	maxNested   = 5 // archives in archives: packed dependencies of dependencies
)

// budget is what may still be unpacked of one chart, with the archives in it.
type budget struct {
	ctx    context.Context
	bytes  int64
	files  int   // headers of all kinds count
	stream int64 // bytes that may still be decompressed
}

func newBudget(ctx context.Context) *budget {
	return &budget{ctx: ctx, bytes: maxUnpacked, files: maxFiles, stream: maxStream}
}

// stream ends with an error when too much was read, or when ctx has ended. An
// archive may have much in it that is no file.
type stream struct {
	ctx  context.Context
	r    io.Reader
	left int64
}

var errStream = fmt.Errorf("it unpacks to more than %d MiB", maxStream>>20)

func (s *stream) Read(p []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := s.r.Read(p)
	if s.left -= int64(n); s.left < 0 {
		return 0, errStream
	}
	return n, err
}

func (b *budget) take(name string, size int64) error {
	b.files--
	b.bytes -= size
	switch {
	case size > maxFileSize:
		return fmt.Errorf("%s has more than %d MiB", name, maxFileSize>>20)
	case b.files < 0:
		return fmt.Errorf("it has more than %d files", maxFiles)
	case b.bytes < 0:
		return fmt.Errorf("it unpacks to more than %d MiB", maxUnpacked>>20)
	}
	return nil
}

var (
	// packedDependency is a dependency's archive, at any depth of unpacked ones.
	packedDependency = regexp.MustCompile(`^(?:charts/[^/]+/)*charts/[^/._][^/]*\.tgz$`)
	drive            = regexp.MustCompile(`^[a-zA-Z]:`)
	utf8bom          = []byte{0xEF, 0xBB, 0xBF}
)

// unpack returns the files of a chart's archive, without the folder that they are
// all in, with packed dependencies unpacked into folders.
func unpack(data []byte, b *budget, depth int) ([]*archive.BufferedFile, error) {
	if depth > maxNested {
		return nil, fmt.Errorf("it has archives in archives more than %d deep", maxNested)
	}
	if len(data) > maxPacked {
		return nil, fmt.Errorf("its archive has more than %d MiB", maxPacked>>20)
	}
	gz, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, errors.New("it is no gzip archive")
	}
	var files []*archive.BufferedFile
	in := &stream{ctx: b.ctx, r: gz, left: b.stream}
	damaged := func(err error) error {
		if b.ctx.Err() != nil || errors.Is(err, errStream) {
			return err
		}
		return fmt.Errorf("its archive is damaged: %w", err)
	}
	for tr := tar.NewReader(in); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, damaged(err)
		}
		switch h.Typeflag {
		case tar.TypeDir, tar.TypeXGlobalHeader:
			// Folders and headers cost time too, and archives full of them are no
			// charts.
			if err := b.take(h.Name, 0); err != nil {
				return nil, err
			}
			continue
		case tar.TypeReg:
		default:
			return nil, fmt.Errorf("%s in its archive is a link or a device", h.Name)
		}
		name, err := entryName(h.Name)
		if err != nil {
			return nil, err
		}
		// A header may say less than there is: what is read counts.
		content, err := io.ReadAll(io.LimitReader(tr, min(maxFileSize, max(b.bytes, 0))+1))
		if err != nil {
			return nil, damaged(err)
		}
		if err := b.take(name, int64(len(content))); err != nil {
			return nil, err
		}
		files = append(files, &archive.BufferedFile{Name: name, Data: bytes.TrimPrefix(content, utf8bom)})
	}
	b.stream = in.left
	if len(files) == 0 {
		return nil, errors.New("its archive is empty")
	}
	return expand(files, b, depth)
}

// entryName checks the name of a file in an archive as Helm does, and returns it
// without its first folder.
func entryName(name string) (string, error) {
	name = strings.ReplaceAll(name, `\`, "/") // archives made on Windows
	_, rest, ok := strings.Cut(name, "/")
	clean := path.Clean(rest)
	switch {
	case !ok || clean == "." || strings.HasPrefix(name, "/"):
		return "", fmt.Errorf("%q in its archive is not in the chart's folder", name)
	case path.IsAbs(rest) || clean == ".." || strings.HasPrefix(clean, "../") || drive.MatchString(clean):
		return "", fmt.Errorf("%q in its archive leads out of the chart's folder", name)
	}
	return clean, nil
}

// expand unpacks the packed dependencies among files.
func expand(files []*archive.BufferedFile, b *budget, depth int) ([]*archive.BufferedFile, error) {
	var out []*archive.BufferedFile
	for _, f := range files {
		if !packedDependency.MatchString(f.Name) {
			out = append(out, f)
			continue
		}
		inner, err := unpack(f.Data, b, depth+1)
		if err != nil {
			return nil, fmt.Errorf("its dependency %s: %w", f.Name, err)
		}
		for _, i := range inner {
			// The folder's name has no meaning to Helm; ".d" keeps it apart from
			// a folder beside the archive.
			out = append(out, &archive.BufferedFile{Name: f.Name + ".d/" + i.Name, Data: i.Data})
		}
	}
	return out, nil
}

// load makes a chart of its files.
func load(files []*archive.BufferedFile) (c *chartv2.Chart, err error) {
	defer func() {
		if r := recover(); r != nil {
			c, err = nil, fmt.Errorf("it made Helm give up: %v", r)
		}
	}()
	if c, err = loader.LoadFiles(files); err != nil {
		return nil, err
	}
	sortDependencies(c)
	return c, nil
}

// sortDependencies gives the dependencies an order: Helm's loader ranges over a
// map.
func sortDependencies(c *chartv2.Chart) {
	deps := slices.Clone(c.Dependencies())
	slices.SortStableFunc(deps, func(a, b *chartv2.Chart) int {
		if n := strings.Compare(a.Name(), b.Name()); n != 0 {
			return n
		}
		return strings.Compare(a.Metadata.Version, b.Metadata.Version)
	})
	c.SetDependencies(deps...)
	for _, d := range deps {
		sortDependencies(d)
	}
}
