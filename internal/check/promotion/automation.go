package promotion

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"lumacore.dev/lumacore/internal/check"
	"lumacore.dev/lumacore/internal/gitops"
	"lumacore.dev/lumacore/internal/render"
	"lumacore.dev/lumacore/internal/report"
)

// marker is how image automation finds the fields that it sets
// (https://fluxcd.io/flux/components/image/imageupdateautomations/#setters).
var marker = []byte(`"$imagepolicy"`)

// updates is an ImageUpdateAutomation that edits this repository.
type updates struct {
	cluster *cluster
	object  *render.Object
	path    string // the folder that it edits
}

// covers tells whether it edits a file.
func (u *updates) covers(file string) bool {
	return u.path == "." || strings.HasPrefix(file, u.path+"/")
}

// automations returns the ImageUpdateAutomations that edit this repository.
func (r *repository) automations() (list []*updates) {
	for _, c := range r.clusters {
		for _, o := range c.Of(groupImage, "ImageUpdateAutomation") {
			text := func(fields ...string) string {
				s, _, _ := unstructured.NestedString(o.Object, fields...)
				return s
			}
			kind, name, namespace := text("spec", "sourceRef", "kind"), text("spec", "sourceRef", "name"), cmp.Or(text("spec", "sourceRef", "namespace"), o.GetNamespace())
			mine := false
			for _, k := range c.Kustomizations {
				ref := k.Spec.Spec.SourceRef
				mine = mine || k.Path != "" && cmp.Or(kind, "GitRepository") == ref.Kind && name == ref.Name && namespace == cmp.Or(ref.Namespace, k.Object.GetNamespace())
			}
			if mine {
				list = append(list, &updates{c, o, path.Clean(strings.TrimPrefix(path.Clean("/"+text("spec", "update", "path")), "/"))})
			}
		}
	}
	for _, u := range list {
		u.path = cmp.Or(u.path, ".")
	}
	return list
}

// automation reports where image automation can reach production.
func (r *repository) automation(out *check.Reporter) {
	automations := r.automations()
	var own []string
	for _, file := range slices.Sorted(maps.Keys(r.files)) {
		u := r.files[file]
		if u.own() {
			own = append(own, file)
		}
		if !u.production || !gitops.IsYAML(file) {
			continue
		}
		data, err := r.tree.ReadFile(file)
		if err != nil || !bytes.Contains(data, marker) {
			continue
		}
		n := 0
		for line := range bytes.SplitSeq(data, []byte("\n")) {
			n++
			if i := bytes.Index(line, marker); i < 0 || !bytes.Contains(line[:i], []byte("#")) {
				continue
			}
			f := report.Finding{
				Rule: "promotion/automation-marker", Location: report.Location{File: file, Line: n}, Environment: r.production,
				Severity: report.Warning,
				Message:  fmt.Sprintf("%s is built from this file, and the field has a marker of image automation; no ImageUpdateAutomation of the repository edits the file, but one that is added would", r.production),
			}
			for _, u := range automations {
				if u.covers(file) {
					f.Severity = report.Error
					f.Message = fmt.Sprintf("%s is built from this file, and %s (%s) sets the field to each new version", r.production, u.object.Key(), u.object.Origin.Location)
					break
				}
			}
			out.Add(f)
		}
	}
	for _, u := range automations {
		for _, file := range own {
			if u.covers(file) {
				what := u.path + "/"
				if u.path == "." {
					what = "the whole repository"
				}
				out.Object("promotion/automation-path", u.cluster.Cluster, u.object, []any{"spec", "update", "path"},
					"it may edit %s, where files of %s alone are, such as %s", what, r.production, file)
				break
			}
		}
	}
}
