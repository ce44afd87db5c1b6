package config

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lumacore.dev/lumacore/internal/report"
)

const imagesHead = "apiVersion: lumacore.dev/v1alpha1\nkind: ImagesWithoutDigest\n"

func TestParseUnpinnedImages(t *testing.T) {
	got, err := ParseUnpinnedImages([]byte(imagesHead + `images:
  - image: ${REGISTRY}/web:1.2.3
    where: overlays/*/web/kustomization.yaml
    reason: automation writes it
`))
	if err != nil {
		t.Fatal(err)
	}
	want := []UnpinnedImage{{
		Image: "${REGISTRY}/web:1.2.3", Where: "overlays/*/web/kustomization.yaml", Reason: "automation writes it",
		Location: report.Location{File: ImagesFile, Line: 4},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("list (-want +got):\n%s", diff)
	}
	if list, there, err := LoadUnpinnedImages(none{}); list != nil || there || err != nil {
		t.Errorf("without the file: %v, %v, %v", list, there, err)
	}
	if _, err := ParseUnpinnedImages([]byte(imagesHead + "images: []\n")); err != nil {
		t.Errorf("an empty list: %v", err)
	}
}

func TestInvalidUnpinnedImages(t *testing.T) {
	for name, tt := range map[string]struct{ text, want string }{
		"empty":        {"", "1: the file is empty; begin it with apiVersion: lumacore.dev/v1alpha1 and kind: ImagesWithoutDigest, or delete it"},
		"no head":      {"images: []\n", "1: begin the file with apiVersion: lumacore.dev/v1alpha1 and kind: ImagesWithoutDigest"},
		"another kind": {"apiVersion: lumacore.dev/v1alpha1\nkind: Config\nimages: []\n", "1: this is lumacore.dev/v1alpha1 Config; this version of lumacore reads lumacore.dev/v1alpha1 ImagesWithoutDigest"},
		"no reason":    {imagesHead + "images:\n  - image: web:1\n    where: a.yaml\n", "4: images[0] has no reason"},
		"misspelt":     {imagesHead + "images:\n  - image: web:1\n    were: a.yaml\n    reason: none yet\n", "5: images[0] has no key \"were\"; did you mean where?\n4: images[0] has no where"},
		"a digest":     {imagesHead + "images:\n  - image: web:1@sha256:0\n    where: a.yaml\n    reason: none yet\n", "4: images[0].image is \"web:1@sha256:0\", which has a digest; take the entry out"},
		"no glob":      {imagesHead + "images:\n  - image: web:1\n    where: \"[a\"\n    reason: none yet\n", "4: images[0].where is \"[a\", which is no glob (https://github.com/bmatcuk/doublestar#patterns)"},
		"no mapping":   {imagesHead + "images:\n  - web:1\n", "4: images[0] is \"web:1\"; a mapping of image, reason, where is expected"},
		"twice":        {imagesHead + "images:\n  - {image: \"web:1\", where: a.yaml, reason: none yet}\n  - {image: \"web:1\", where: a.yaml, reason: still none}\n", "5: images[1] has the image and the file of the entry in line 4; take one of them out"},
		"no YAML":      {imagesHead + "images: [\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ParseUnpinnedImages([]byte(tt.text))
			var bad *Error
			if !errors.As(err, &bad) {
				t.Fatalf("got %v", err)
			}
			if tt.want == "" {
				return
			}
			for line := range strings.SplitSeq(tt.want, "\n") {
				if !strings.Contains(err.Error(), ImagesFile+":"+line) {
					t.Errorf("got %v\nwant %s", err, line)
				}
			}
		})
	}
}

// TestDocumentedImages reads the example of the reference and the blueprint's own list.
func TestDocumentedImages(t *testing.T) {
	page, err := os.ReadFile("../../docs/reference/images-without-digest.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "```yaml\n")
	example, _, found := strings.Cut(rest, "```")
	if list, err := ParseUnpinnedImages([]byte(example)); !found || err != nil || len(list) != 2 {
		t.Errorf("the page's example: %v, %v", list, err)
	}
	b, err := os.ReadFile("../../blueprint/" + ImagesFile)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ParseUnpinnedImages(b); err != nil {
		t.Error(err)
	}
}

func FuzzUnpinnedImages(f *testing.F) {
	f.Add([]byte(imagesHead + "images:\n  - image: web:1\n    where: a.yaml\n    reason: none yet\n"))
	f.Add([]byte(imagesHead + "images: {a: [&a, *a]}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		list, err := ParseUnpinnedImages(data)
		for _, e := range list {
			if e.Image == "" || e.Where == "" || e.Reason == "" || e.Line < 1 {
				t.Errorf("half an entry: %+v (%v)", e, err)
			}
		}
	})
}
