package values

import (
	"bufio"
	"bytes"
	"cmp"
	"compress/gzip"
	"embed"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/Masterminds/semver/v3"
)

// Facts are the keys of a chart's values, for those who do not have the chart.
type Facts struct {
	Chart, Version string
	Repositories   []string // where it is published: "https://charts.example.org", "oci://ghcr.io/example/chart"
	Source         string   // where it was learnt: "github.com/example/charts"
	Revision       string   // tag or commit
	License        string   // of the source
	Values         *Node
}

// files are the facts that the binary has. Each is made from one chart by gen; keys and
// types, nothing else of a chart is in them.
//
//go:embed facts/*.gz
var files embed.FS

// shelf lists the embedded facts by chart, without their values.
var shelf = sync.OnceValue(func() map[string][]*volume {
	out := map[string][]*volume{}
	names, err := fs.Glob(files, "facts/*.gz")
	if err != nil {
		panic(err)
	}
	for _, name := range names {
		base := strings.TrimSuffix(path.Base(name), ".gz")
		chart, version, ok := strings.Cut(base, "@")
		if !ok {
			panic("facts " + name + " are not named chart@version")
		}
		v := &volume{chart: chart, version: version}
		v.read = sync.OnceValue(func() *Facts {
			data, err := files.ReadFile(name)
			if err != nil {
				panic(err)
			}
			f, err := Decode(data)
			if err != nil {
				panic(fmt.Sprintf("facts %s: %v", name, err))
			}
			return f
		})
		out[chart] = append(out[chart], v)
	}
	return out
})

type volume struct {
	chart, version string
	read           func() *Facts
}

// known returns the facts of a chart that is named and published so: those of the
// version, else those of the nearest one. wanted is a version or a range.
func known(chart, repository, wanted string) (f *Facts, exact bool) {
	var best *Facts
	for _, v := range shelf()[chart] {
		f := v.read()
		if !slices.ContainsFunc(f.Repositories, func(r string) bool { return sameURL(r, repository) }) {
			continue
		}
		if f.Version == wanted || equal(f.Version, wanted) {
			return f, true
		}
		if best == nil || nearer(f.Version, best.Version, wanted) {
			best = f
		}
	}
	return best, false
}

// nearer tells whether version a is nearer to the wanted one than b. Of a range nothing
// is known: the newest counts.
func nearer(a, b, wanted string) bool {
	va, ea := semver.NewVersion(a)
	vb, eb := semver.NewVersion(b)
	if ea != nil || eb != nil {
		return ea == nil
	}
	w, err := semver.NewVersion(wanted)
	if err != nil {
		return va.GreaterThan(vb)
	}
	away := func(v *semver.Version) [3]uint64 {
		return [3]uint64{diff(v.Major(), w.Major()), diff(v.Minor(), w.Minor()), diff(v.Patch(), w.Patch())}
	}
	da, db := away(va), away(vb)
	return slices.Compare(da[:], db[:]) < 0
}

// equal tells whether two versions are the same: "v1.2.3" and "1.2.3" are.
func equal(a, b string) bool {
	va, ea := semver.NewVersion(a)
	vb, eb := semver.NewVersion(b)
	return ea == nil && eb == nil && va.Equal(vb)
}

func diff(a, b uint64) uint64 { return max(a, b) - min(a, b) }

func sameURL(a, b string) bool {
	return strings.EqualFold(strings.TrimSuffix(a, "/"), strings.TrimSuffix(b, "/"))
}

// Print writes facts as text: a head, an empty line, and the keys.
func (f *Facts) Print(w io.Writer) error {
	var head strings.Builder
	fmt.Fprintf(&head, "chart %s\nversion %s\nrepositories %s\nsource %s\nrevision %s\nlicense %s\n",
		f.Chart, f.Version, strings.Join(f.Repositories, " "), f.Source, f.Revision, f.License)
	if f.Values.Open {
		fmt.Fprintln(&head, "open")
	}
	if _, err := fmt.Fprintln(w, head.String()); err != nil {
		return err
	}
	return f.Values.encode(w, 0)
}

// Encode writes facts as they are embedded: as text, compressed.
func (f *Facts) Encode() ([]byte, error) {
	var out bytes.Buffer
	z, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err == nil {
		err = cmp.Or(f.Print(z), z.Close())
	}
	return out.Bytes(), err
}

// Decode reads what [Facts.Encode] wrote.
func Decode(data []byte) (*Facts, error) {
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(z)
	if err = cmp.Or(err, z.Close()); err != nil {
		return nil, err
	}
	f := &Facts{Values: &Node{Types: Map}}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() && lines.Text() != "" {
		key, value, _ := strings.Cut(lines.Text(), " ")
		switch key {
		case "chart":
			f.Chart = value
		case "version":
			f.Version = value
		case "repositories":
			f.Repositories = strings.Fields(value)
		case "source":
			f.Source = value
		case "revision":
			f.Revision = value
		case "license":
			f.License = value
		case "open":
			f.Values.Open = true
		default:
			return nil, fmt.Errorf("the head has %q, which is unknown", lines.Text())
		}
	}
	return f, f.Values.decode(lines)
}
