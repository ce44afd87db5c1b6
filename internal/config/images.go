package config

import (
	"strings"

	"github.com/bmatcuk/doublestar/v4"
	"go.yaml.in/yaml/v3"

	"lumacore.dev/lumacore/internal/report"
)

// ImagesFile is the name of the list of images without digest, in the root of the
// repository.
const ImagesFile = "images-without-digest.yaml"

// ImagesKind is the kind that the file names in its head.
const ImagesKind = "ImagesWithoutDigest"

// MaxImages bounds the list.
const MaxImages = 10000

// UnpinnedImage is an image that runs by its tag alone, and why.
type UnpinnedImage struct {
	Image  string // as it is rendered, with the variables of the cluster: "${REGISTRY}/web:1.2.3"
	Where  string // glob on the file that names its version
	Reason string // why there is no digest yet

	report.Location // of the entry
}

// LoadUnpinnedImages reads the list from the root of a tree; without the file it returns
// false. What is wrong with it is an [*Error] with all mistakes at once; the entries that
// could be read are returned beside it.
func LoadUnpinnedImages(t Tree) (list []UnpinnedImage, there bool, err error) {
	if !t.IsFile(ImagesFile) {
		return nil, false, nil
	}
	data, err := t.ReadFile(ImagesFile)
	if err != nil {
		return nil, true, &Error{Mistakes: []Mistake{{report.Location{File: ImagesFile}, "cannot be read: " + err.Error()}}}
	}
	list, err = ParseUnpinnedImages(data)
	return list, true, err
}

// ParseUnpinnedImages is [LoadUnpinnedImages] of the content of the file.
func ParseUnpinnedImages(data []byte) ([]UnpinnedImage, error) {
	r := &reader{file: ImagesFile}
	list := r.unpinned(data)
	return list, r.err()
}

func (r *reader) unpinned(data []byte) (out []UnpinnedImage) {
	root := r.document(data)
	if root == nil {
		if len(r.mistakes) == 0 {
			r.mistake(1, "the file is empty; begin it with apiVersion: %s and kind: %s, or delete it", APIVersion, ImagesKind)
		}
		return nil
	}
	count, lines := 0, map[UnpinnedImage]int{}
	r.head(root, ImagesKind, fields{"images": r.list(func(n *yaml.Node, at string) {
		if count++; count > MaxImages {
			if count == MaxImages+1 {
				r.mistake(n.Line, "%s: %d entries are the most that are read", at, MaxImages)
			}
			return
		}
		i := UnpinnedImage{Location: report.Location{File: r.file, Line: n.Line}}
		r.mapping(n, at, fields{"image": r.text(&i.Image), "where": r.text(&i.Where), "reason": r.text(&i.Reason)})
		if n.Kind != yaml.MappingNode {
			r.notMapping(n, at)
			return
		}
		r.required(n, at, "image", i.Image, "where", i.Where, "reason", i.Reason)
		same := UnpinnedImage{Image: i.Image, Where: i.Where}
		if first := lines[same]; first > 0 && i.Image != "" {
			r.mistake(n.Line, "%s has the image and the file of the entry in line %d; take one of them out", at, first)
		}
		lines[same] = n.Line
		switch {
		case strings.ContainsRune(i.Image, '@'):
			r.mistake(n.Line, "%s.image is %q, which has a digest; take the entry out", at, cut(i.Image))
		case i.Where != "" && !doublestar.ValidatePattern(i.Where):
			r.mistake(n.Line, "%s.where is %q, which is no glob (https://github.com/bmatcuk/doublestar#patterns)", at, cut(i.Where))
		case i.Image != "" && i.Where != "" && i.Reason != "":
			out = append(out, i)
		}
	})})
	return out
}
