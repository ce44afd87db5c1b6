package app

import (
	"cmp"
	"errors"
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"lumacore.dev/lumacore/internal/gitops"
	"lumacore.dev/lumacore/internal/report"
)

// Image is an entry of images in an overlay: which version of an image it has
// (https://kubectl.docs.kubernetes.io/references/kustomize/kustomization/images/).
type Image struct {
	Name   string // as the base calls it
	Repo   string // newName, else the name
	Tag    string
	Digest string
}

// Version is the tag with its digest: "1.0.1@sha256:…".
func (i Image) Version() string {
	if i.Digest == "" {
		return i.Tag
	}
	return i.Tag + "@" + i.Digest
}

// Update is an image that prod does not have as staging has it.
type Update struct {
	From Image // of prod; empty if it has none of that name
	To   Image // of staging
}

// imageKeys are what a version consists of, in the order in which it is written.
var imageKeys = []string{"newName", "newTag", "digest"}

// overlay is the file with the versions of an app in an environment.
func overlay(name, environment string) string {
	return path.Join(overlaysDir, environment, name, listFile)
}

// StagingFile is the file that says which versions of an app staging has.
func StagingFile(name string) string { return overlay(name, environments[0]) }

// Images reads the versions that an overlay has; nil for one without.
func Images(file string, data []byte) ([]Image, error) {
	return (&document{name: file, data: data}).images()
}

func (d *document) images() (images []Image, err error) {
	doc, err := d.parse()
	if err != nil {
		return nil, err
	}
	_, list := doc.Find("images")
	if list == nil {
		return nil, nil
	}
	for _, n := range list.Content {
		i := Image{Name: text(n, "name"), Tag: text(n, "newTag"), Digest: text(n, "digest")}
		i.Repo = cmp.Or(text(n, "newName"), i.Name)
		images = append(images, i)
	}
	return images, nil
}

// Promote makes the plan that gives prod the images which staging has, and says which. Only
// prod's own overlay changes. The plan's notes name what staging has besides and a person must
// decide. An app that is the same in both has a plan without changes. An error with exit code 1
// says why this app cannot be promoted; other apps can.
func Promote(t *gitops.Tree, name string) (*Plan, []Update, error) {
	if !slices.Contains(Apps(t), name) {
		next := "there is no app in overlays/staging/kustomization.yaml"
		if all := Apps(t); len(all) > 0 {
			next = "apps are " + strings.Join(all, ", ")
		}
		return nil, nil, report.Misuse(next, "there is no app %q", name)
	}
	e := newEdit(t, name)
	staging, err := e.document(overlay(name, environments[0]))
	prod, perr := e.document(overlay(name, environments[1]))
	if err = errors.Join(err, perr); err != nil {
		return nil, nil, report.Refuse("", "%w", err)
	}
	for i, d := range []*document{staging, prod} {
		if d == nil {
			return nil, nil, report.Refuse("lumacore app new makes both", "there is no %s", overlay(name, environments[i]))
		}
	}
	want, err := staging.images()
	if err != nil {
		return nil, nil, report.Refuse("", "%w", err)
	}
	var updates []Update
	for _, to := range want {
		has, err := prod.images()
		if err != nil {
			return nil, nil, report.Refuse("", "%w", err)
		}
		at := slices.IndexFunc(has, func(i Image) bool { return i.Name == to.Name })
		u := Update{To: to}
		if at >= 0 {
			if u.From = has[at]; u.From == to {
				continue
			}
		}
		if err := prod.take(at, to, u.From); err != nil {
			return nil, nil, report.Refuse("", "%w", err)
		}
		updates = append(updates, u)
	}
	e.differences(staging, prod)
	plan, err := e.done()
	return plan, updates, err
}

// take gives the image at an index, or a new one, the version of another.
func (d *document) take(at int, to, from Image) error {
	values := map[string][2]string{"newName": {from.Repo, to.Repo}, "newTag": {from.Tag, to.Tag}, "digest": {from.Digest, to.Digest}}
	if at < 0 {
		item := "name: " + scalarText(to.Name)
		for _, key := range imageKeys {
			if v := values[key][1]; v != "" && !(key == "newName" && v == to.Name) {
				item += "\n" + key + ": " + scalarText(v)
			}
		}
		images, err := d.images()
		if err != nil {
			return err
		}
		return d.add(item, len(images), "images")
	}
	for _, key := range imageKeys {
		if values[key][0] != values[key][1] {
			if err := d.set(values[key][1], "images", at, key); err != nil {
				return err
			}
		}
	}
	return nil
}

// differences notes the parts that only staging has: patches, components, files. Some are
// meant to be there alone; which, only a person knows.
func (e *edit) differences(staging, prod *document) {
	for _, list := range []string{"resources", "components"} {
		has, _ := prod.texts(list) // one without the list has nothing in it
		want, err := staging.texts(list)
		if err != nil {
			continue
		}
		for _, w := range want {
			if w != "" && !slices.Contains(has, w) {
				e.plan.Notes = append(e.plan.Notes, "staging has "+w+" among its "+list+", and prod has not: not promoted")
			}
		}
	}
}

// set gives a text at a path another value, in its line, and puts it in if it is not there.
func (d *document) set(value string, path ...any) error {
	doc, err := d.parse()
	if err != nil {
		return err
	}
	parent, key := path[:len(path)-1], path[len(path)-1].(string)
	_, mapping := doc.Find(parent...)
	if mapping == nil || mapping.Kind != yaml.MappingNode {
		return d.refuse(doc.Node, path)
	}
	want, err := d.value()
	if err != nil {
		return err
	}
	in := want
	for _, p := range parent {
		switch p := p.(type) {
		case string:
			in = in.(map[string]any)[p]
		case int:
			in = in.([]any)[p]
		}
	}
	in.(map[string]any)[key] = value
	old := child(mapping, key)
	if old == nil {
		last := mapping.Content[len(mapping.Content)-1]
		if mapping.Style&yaml.FlowStyle != 0 || last.Kind != yaml.ScalarNode {
			return d.refuse(mapping, path)
		}
		line := strings.Repeat(" ", mapping.Content[0].Column-1) + key + ": " + scalarText(value)
		return d.replace(insertLines(splitLines(d.data), last.Line, []string{line}), want, mapping, path)
	}
	begin, end, ok := d.span(old)
	if !ok {
		return d.refuse(old, path)
	}
	raw := scalarText(value)
	switch old.Style {
	case yaml.DoubleQuotedStyle:
		raw = `"` + value + `"`
	case yaml.SingleQuotedStyle:
		raw = "'" + value + "'"
	}
	return d.replace(slices.Concat(d.data[:begin], []byte(raw), d.data[end:]), want, old, path)
}

// scalarText writes a text as YAML, in quotes where another kind of value would be read.
func scalarText(value string) string {
	var v any
	if err := yaml.Unmarshal([]byte(value), &v); err == nil && v == any(value) {
		return value
	}
	return `"` + value + `"`
}
