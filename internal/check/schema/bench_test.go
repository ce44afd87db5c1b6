package schema

import (
	"encoding/json"
	"fmt"
	"testing"

	"golang.org/x/tools/txtar"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilversion "k8s.io/apimachinery/pkg/util/version"
	"sigs.k8s.io/yaml"

	"lumacore.dev/lumacore/internal/check"
	"lumacore.dev/lumacore/internal/check/checktest"
	"lumacore.dev/lumacore/internal/config"
	"lumacore.dev/lumacore/internal/render"
	"lumacore.dev/lumacore/internal/report"
	"lumacore.dev/lumacore/internal/schemas"
)

// input is one cluster with objects.
func input(objects []*unstructured.Unstructured) *check.Input {
	c := &render.Cluster{Name: "c"}
	for i, u := range objects {
		c.Objects = append(c.Objects, &render.Object{Unstructured: u, Origin: render.Origin{Location: report.Location{File: "f", Line: i + 1}}})
	}
	return &check.Input{
		Render: &render.Result{Clusters: []*render.Cluster{c}}, Config: &config.Config{},
		KubeVersion: utilversion.MustParse("1.36.0"), Now: checktest.Now,
	}
}

// BenchmarkObjects checks 10,000 objects of common kinds, none of them a CRD: the
// definitions come from the catalogue.
func BenchmarkObjects(b *testing.B) {
	a, err := txtar.ParseFile("testdata/accepted.txtar")
	if err != nil {
		b.Fatal(err)
	}
	var kinds []*unstructured.Unstructured
	for _, f := range a.Files {
		u := &unstructured.Unstructured{}
		j, err := yaml.YAMLToJSON(f.Data)
		if err == nil {
			err = u.UnmarshalJSON(j)
		}
		if err != nil {
			b.Fatal(err)
		}
		if u.GetKind() != "CustomResourceDefinition" {
			kinds = append(kinds, u)
		}
	}
	var objects []*unstructured.Unstructured
	for i := range 10_000 {
		u := kinds[i%len(kinds)].DeepCopy()
		u.SetName(fmt.Sprintf("n%d", i))
		objects = append(objects, u)
	}
	in := input(objects)
	for b.Loop() {
		run1(b, in)
	}
}

// BenchmarkDefinitions checks the catalogue's definitions as if a cluster had all
// of them.
func BenchmarkDefinitions(b *testing.B) {
	var objects []*unstructured.Unstructured
	for _, s := range schemas.Systems() {
		for _, d := range s.Definitions {
			f, _ := schemas.Lookup(d.Group, d.Kind)
			data, err := f.JSON()
			u := &unstructured.Unstructured{}
			if err == nil {
				err = json.Unmarshal(data, u)
			}
			if err != nil {
				b.Fatal(err)
			}
			objects = append(objects, u)
		}
	}
	in := input(objects)
	for b.Loop() {
		run1(b, in)
	}
	b.ReportMetric(float64(len(objects)), "definitions")
}

func run1(b *testing.B, in *check.Input) {
	rep, err := check.Run(b.Context(), []*check.Gate{Gate}, in)
	if err != nil {
		b.Fatal(err)
	}
	for _, f := range rep.Findings {
		if f.Gate() == Gate.Name && f.Rule != ruleCRD {
			b.Fatalf("%+v", f)
		}
	}
}
