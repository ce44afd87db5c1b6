package images

import (
	"cmp"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
	"github.com/fluxcd/pkg/envsubst"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"lumacore.dev/lumacore/internal/check"
	"lumacore.dev/lumacore/internal/config"
	"lumacore.dev/lumacore/internal/imagename"
	"lumacore.dev/lumacore/internal/render"
	"lumacore.dev/lumacore/internal/report"
)

// list is images-without-digest.yaml: the images that may run by their tag alone, each
// with the reason.
type list struct {
	entries []config.UnpinnedImage
	used    []bool
}

// readList returns the list; nil if the repository has none. What is wrong with it is
// reported, and the other entries count.
func readList(in *check.Input, out *check.Reporter) (*list, error) {
	if in.Tree == nil {
		return nil, nil
	}
	entries, there, err := config.LoadUnpinnedImages(in.Tree)
	var bad *config.Error
	switch {
	case errors.As(err, &bad):
		for _, m := range bad.Mistakes {
			out.File("images/list-invalid", m.Location, "%s", m.Message)
		}
	case err != nil:
		return nil, err
	}
	if !there {
		return nil, nil
	}
	return &list{entries: entries, used: make([]bool, len(entries))}, nil
}

// of returns the entries as they are in a cluster, by "repository:tag".
func (l *list) of(c *render.Cluster, out *check.Reporter) map[string][]int {
	if l == nil {
		return nil
	}
	variables := variablesOf(c)
	byName := map[string][]int{}
	for i, e := range l.entries {
		image, err := envsubst.Eval(e.Image, func(name string) (string, bool) {
			value, ok := variables[name]
			return value, ok
		})
		if err != nil {
			continue // a variable of another cluster
		}
		n, err := imagename.Parse(image)
		if err != nil {
			out.File("images/list-invalid", e.Location, "image %s is no image reference: %v", show(image), err)
			l.used[i] = true
			continue
		}
		name := n.Repository + ":" + n.Tag
		byName[name] = append(byName[name], i)
	}
	return byName
}

// variablesOf are the variables that the Flux Kustomizations of a cluster take from
// ConfigMaps and from themselves.
func variablesOf(c *render.Cluster) map[string]string {
	out := map[string]string{}
	for _, k := range c.Kustomizations {
		if k.Spec == nil || k.Spec.Spec.PostBuild == nil {
			continue
		}
		for _, from := range k.Spec.Spec.PostBuild.SubstituteFrom {
			if from.Kind != "ConfigMap" {
				continue
			}
			if o := c.Get(render.Key{Kind: "ConfigMap", Namespace: k.Object.GetNamespace(), Name: from.Name}); o != nil {
				data, _, _ := unstructured.NestedStringMap(o.Object, "data")
				for name, value := range data {
					out[name] = value
				}
			}
		}
		for name, value := range k.Spec.Spec.PostBuild.Substitute {
			out[name] = value
		}
	}
	return out
}

// unused reports the entries that fit nothing. One whose version a release that was not
// rendered may decide cannot be judged.
func (l *list) unused(in *check.Input, out *check.Reporter) {
	clusters := in.Render.Clusters
	if l == nil || len(clusters) < len(in.Config.Clusters) { // --cluster: another one may run them
		return
	}
	unseen := map[string]string{} // folder -> what was not rendered there
	see := func(file, what string) {
		if dir := path.Dir(file); unseen[dir] == "" || what < unseen[dir] {
			unseen[dir] = what
		}
	}
	for _, c := range clusters {
		for _, r := range c.Releases {
			if !r.Rendered {
				see(r.Object.Origin.File, "HelmRelease "+r.Name())
			}
		}
		for _, k := range c.Kustomizations {
			switch {
			case k.Built:
			case k.Path != "":
				return // a folder of this repository that does not build may have any of them
			default: // of another repository
				see(k.Object.Origin.File, "Kustomization "+k.Name())
			}
		}
	}
	waiting := map[string][]config.UnpinnedImage{} // what was not rendered -> entries
	for i, e := range l.entries {
		if l.used[i] {
			continue
		}
		by := ""
		for dir, release := range unseen {
			if ok, err := doublestar.Match(path.Dir(e.Where), dir); err == nil && ok && (by == "" || release < by) {
				by = release
			}
		}
		if by != "" {
			waiting[by] = append(waiting[by], e)
			continue
		}
		if l.named(i, clusters) {
			continue
		}
		out.File("images/list-unused", e.Location, "no cluster and no job of the pipeline runs %s by its tag alone", show(e.Image))
	}
	for release, entries := range waiting {
		slices.SortFunc(entries, func(a, b config.UnpinnedImage) int { return cmp.Compare(a.Line, b.Line) })
		what := "1 entry"
		if n := len(entries); n > 1 {
			what = fmt.Sprintf("%d entries", n)
		}
		out.Unchecked(report.Unchecked{
			Subject: what + " of " + config.ImagesFile + " for " + release, Location: entries[0].Location,
			Reason: "it was not rendered, so that its images are not known: the first listed is " + show(entries[0].Image),
			Next:   "make its chart available, see what gate render says of it",
		})
	}
}

// named tells whether a chart's object names the image of an entry elsewhere than where
// pods have theirs: many operators are told in an argument or a variable what to run.
func (l *list) named(i int, clusters []*render.Cluster) bool {
	image := l.entries[i].Image
	image = strings.TrimPrefix(strings.TrimPrefix(image, imagename.DockerHub+"/"), "library/")
	for _, c := range clusters {
		for _, o := range c.Objects {
			if o.Origin.HelmRelease != "" && has(o.Object, image) {
				return true
			}
		}
	}
	return false
}

// has tells whether an image is in one of the texts of a value, with this tag and without
// a digest.
func has(value any, image string) bool {
	switch v := value.(type) {
	case string:
		for rest := v; ; {
			_, after, found := strings.Cut(rest, image)
			if !found {
				return false
			}
			if after == "" || !strings.ContainsRune(tagLetters+"@", rune(after[0])) {
				return true
			}
			rest = after
		}
	case []any:
		return slices.ContainsFunc(v, func(v any) bool { return has(v, image) })
	case map[string]any:
		for _, v := range v {
			if has(v, image) {
				return true
			}
		}
	}
	return false
}

// tagLetters are what a tag can go on with
// (https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pulling-manifests).
const tagLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-"
