package render

import (
	"slices"
	"strings"
	"testing"

	"lumacore.dev/lumacore/internal/gitops"
)

// Whatever stands in a file, substitution ends, does not panic, and says of every
// variable that it left empty that it did.
func FuzzSubstitute(f *testing.F) {
	for _, s := range []string{
		"a: ${A}", "${A:=x}", "${A:-${B}}", "$${A}", "${A", "}", "${}", "${1}", "${A^^}${A,,}${#A}", "${A:1:2}", "${A/x/y}${A//x/y}",
		"${A%x}", "${A##*/}", "${A:+set}", "${A:?no}", "${A@Q}", "${ A }", "$A $", "${A:99999999999999999999}", "${A:-1:-5}", "${é}", "\x00${A}\xff",
	} {
		f.Add(s, "value")
	}
	f.Fuzz(func(t *testing.T, text, value string) {
		if len(text) > 1<<12 || len(value) > 1<<10 {
			t.Skip()
		}
		v := &variables{values: map[string]variable{"A": {value: value}, "SECRET": {standIn("SECRET"), "SECRET from here"}}}
		s, err := v.substitute(text)
		if err != nil {
			return
		}
		if !strings.Contains(text, "$") && s.text != text {
			t.Errorf("%q became %q without a variable", text, s.text)
		}
		if !slices.IsSorted(s.undefined) || slices.Contains(s.undefined, "A") {
			t.Errorf("undefined %q", s.undefined)
		}
		again, err := v.substitute(text)
		if err != nil || again.text != s.text {
			t.Errorf("%q became %q, then %q (%v)", text, s.text, again.text, err)
		}
	})
}

// Whatever bytes stand in a kustomization and in its resources, rendering ends
// with objects or problems, and never panics.
func FuzzRender(f *testing.F) {
	f.Add([]byte("resources: [a.yaml]"), []byte("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {x: \"${X}\"}"))
	f.Add([]byte("resources: [a.yaml]\npatches: [{patch: '- op: add'}]"), []byte("apiVersion: v1\nkind: Secret\nmetadata: {name: a}\nsops: {}\ndata: {x: ENC[}"))
	f.Add([]byte("resources: [.]"), []byte("- a"))
	f.Add([]byte("configMapGenerator: [{name: x, files: [a.yaml]}]\nnameSuffix: 5"), []byte("&a [*a]"))
	f.Add([]byte("{resources: [a.yaml], replacements: [{source: {kind: A}, targets: [{select: {kind: A}}]}]}"), []byte("kind: List\napiVersion: v1\nitems: [1]"))
	f.Fuzz(func(t *testing.T, kustomization, resource []byte) {
		if len(kustomization)+len(resource) > 1<<13 {
			t.Skip()
		}
		if slices.ContainsFunc(strings.Fields(string(kustomization)), gitops.Remote) || strings.Contains(string(kustomization), "helm") {
			t.Skip() // refused; where our reading of it and kustomize's differ, it must not reach for the network here
		}
		tree := gitops.FromFiles(map[string][]byte{"c/kustomization.yaml": kustomization, "c/a.yaml": resource})
		res, err := Render(t.Context(), tree, []gitops.Cluster{{Name: "c", Path: "c"}}, Options{Workers: 1})
		if err != nil {
			t.Fatal(err)
		}
		c := res.Clusters[0]
		if len(c.Objects) == 0 && len(c.Problems) == 0 && len(c.Kustomizations) == 1 && !c.Kustomizations[0].Built {
			t.Error("neither objects nor a problem")
		}
		for _, p := range c.Problems {
			if p.Location.File == "" || p.Message == "" {
				t.Errorf("a problem without place or words: %+v", p)
			}
		}
	})
}
