package render

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v3"

	"lumacore.dev/lumacore/internal/report"
)

// Selection chooses objects of a result. Empty fields choose all.
type Selection struct {
	Kustomization string // "flux-system/apps"
	HelmRelease   string // "traefik/traefik"
}

// Validate tells whether the result has what is selected.
func (s Selection) Validate(r *Result) error {
	var kustomizations, releases []string
	for _, c := range r.Clusters {
		for _, k := range c.Kustomizations {
			kustomizations = append(kustomizations, k.Name())
		}
		for _, h := range c.Releases {
			releases = append(releases, h.Name())
		}
	}
	if s.Kustomization != "" && !slices.Contains(kustomizations, s.Kustomization) {
		return report.Misuse(oneOf(kustomizations), "--kustomization: there is no Kustomization %q", s.Kustomization)
	}
	if s.HelmRelease != "" && !slices.Contains(releases, s.HelmRelease) {
		return report.Misuse(oneOf(releases), "--helmrelease: there is no HelmRelease %q", s.HelmRelease)
	}
	return nil
}

func oneOf(names []string) string {
	if len(names) == 0 {
		return "the repository has none"
	}
	names = slices.Clone(names)
	slices.Sort(names)
	return "use one of " + strings.Join(slices.Compact(names), ", ")
}

func (s Selection) has(o *Object) bool {
	return (s.Kustomization == "" || s.Kustomization == o.Origin.Kustomization) &&
		(s.HelmRelease == "" || s.HelmRelease == o.Origin.HelmRelease)
}

// Document is the result of `lumacore render`.
type Document struct {
	report.TypeMeta
	Clusters []DocumentCluster `json:"clusters"`
}

// DocumentCluster is one cluster of a Document.
type DocumentCluster struct {
	Name       string             `json:"name"`
	Path       string             `json:"path"`
	Objects    []DocumentObject   `json:"objects"`
	NotChecked []report.Unchecked `json:"notRendered"`
}

// DocumentObject is one object and where it came from.
type DocumentObject struct {
	Location      report.Location `json:"location"`
	Kustomization string          `json:"kustomization,omitempty"`
	HelmRelease   string          `json:"helmRelease,omitempty"`
	Template      string          `json:"template,omitempty"`
	Hook          bool            `json:"hook,omitempty"`
	Suspended     bool            `json:"suspended,omitempty"`
	Environment   string          `json:"environment,omitempty"`
	Placeholders  []string        `json:"placeholders,omitempty"`
	Object        map[string]any  `json:"object"`

	key Key
}

// NewDocument makes a document of what is selected of a result.
func NewDocument(r *Result, s Selection) *Document {
	d := &Document{TypeMeta: report.Meta("RenderReport"), Clusters: []DocumentCluster{}}
	for _, c := range r.Clusters {
		dc := DocumentCluster{Name: c.Name, Path: c.Path, Objects: []DocumentObject{}, NotChecked: slices.Clone(c.Unchecked)}
		if dc.NotChecked == nil {
			dc.NotChecked = []report.Unchecked{}
		}
		for _, o := range c.Objects {
			if s.has(o) {
				g := o.Origin
				dc.Objects = append(dc.Objects, DocumentObject{
					Location: g.Location, Kustomization: g.Kustomization, HelmRelease: g.HelmRelease, Template: g.Template,
					Hook: g.Hook, Suspended: g.Suspended, Environment: g.Environment, Placeholders: g.Placeholders,
					Object: o.Object, key: o.Key(),
				})
			}
		}
		d.Clusters = append(d.Clusters, dc)
	}
	return d
}

// Text is the list; render has no other form for a person than its objects.
func (d *Document) Text(_ *report.Streams, w io.Writer) error { return d.List(w) }

// List writes one line per object: cluster, what it is, and where it came from.
func (d *Document) List(w io.Writer) error {
	for _, c := range d.Clusters {
		for _, o := range c.Objects {
			if _, err := fmt.Fprintf(w, "%s\t%s\t%s\n", OneLine(c.Name), OneLine(o.key.String()), OneLine(o.from())); err != nil {
				return err
			}
		}
	}
	return nil
}

// from says where an object came from, on one line.
func (o *DocumentObject) from() string {
	parts := []string{o.Location.String()}
	if o.Kustomization != "" {
		parts = append(parts, "Kustomization "+o.Kustomization)
	}
	if o.HelmRelease != "" {
		parts = append(parts, "HelmRelease "+o.HelmRelease)
	}
	if o.Template != "" {
		parts = append(parts, o.Template)
	}
	if o.Hook {
		parts = append(parts, "hook")
	}
	if o.Suspended {
		parts = append(parts, "suspended")
	}
	return strings.Join(parts, ", ")
}

// YAML writes the objects as a stream of documents, each under a comment that
// says where it came from.
func (d *Document) YAML(w io.Writer) error {
	for _, c := range d.Clusters {
		for _, o := range c.Objects {
			b, err := encode(o.Object)
			if err != nil {
				return fmt.Errorf("%s: %w", o.key, err)
			}
			head := ""
			if len(d.Clusters) > 1 {
				head = "# cluster " + OneLine(c.Name) + "\n"
			}
			for _, p := range o.Placeholders {
				head += "# stands in: " + OneLine(p) + "\n"
			}
			if _, err := fmt.Fprintf(w, "---\n%s# %s\n%s", head, OneLine(o.from()), b); err != nil {
				return err
			}
		}
	}
	return nil
}

// encode writes an object in the style of kubectl and kustomize.
func encode(object map[string]any) ([]byte, error) {
	var b bytes.Buffer
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	enc.CompactSeqIndent()
	if err := enc.Encode(object); err != nil {
		return nil, err
	}
	return b.Bytes(), enc.Close()
}

// OneLine keeps a text on its line, without control characters: what stands in a
// repository must not move a terminal's cursor or start a line of its own.
func OneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || !unicode.IsPrint(r) && r != ' ' {
			return '\uFFFD'
		}
		return r
	}, strings.Join(strings.Fields(s), " "))
}
