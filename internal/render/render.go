package render

import (
	"context"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	yamlv3 "go.yaml.in/yaml/v3"

	"lumacore.dev/lumacore/internal/gitops"
	"lumacore.dev/lumacore/internal/report"
)

// Options of a render.
type Options struct{}

// Render renders the clusters of a tree.
func Render(_ context.Context, t *gitops.Tree, clusters []gitops.Cluster, _ Options) (*Result, error) {
	res := &Result{}
	for _, gc := range clusters {
		c := &Cluster{Name: gc.Name, Path: gc.Path, byKey: map[Key][]*Object{}}
		for _, name := range t.Files() {
			if !gitops.IsYAML(name) || !strings.HasPrefix(name, gc.Path+"/") {
				continue
			}
			docs, err := t.Documents(name)
			if err != nil {
				c.Problems = append(c.Problems, Problem{Kind: ProblemBuild, Message: err.Error(), Location: report.Location{File: name}})
			}
			for _, d := range docs {
				b, err := yamlv3.Marshal(d.Node)
				if err != nil {
					return nil, err
				}
				j, err := yaml.YAMLToJSON(b)
				if err != nil {
					return nil, err
				}
				u := &unstructured.Unstructured{}
				if err := u.UnmarshalJSON(j); err != nil {
					continue
				}
				o := &Object{Unstructured: u, Origin: Origin{Location: d.Location(), Kustomization: "flux-system/flux-system"}, doc: d}
				c.Objects = append(c.Objects, o)
				c.byKey[o.Key()] = append(c.byKey[o.Key()], o)
			}
		}
		res.Clusters = append(res.Clusters, c)
	}
	return res, nil
}
