package schemas_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	utilversion "k8s.io/apimachinery/pkg/util/version"

	"lumacore.dev/lumacore/internal/schemas"
	"lumacore.dev/lumacore/internal/schemas/modules"
)

// TestGenerated: data/ is what the modules give.
func TestGenerated(t *testing.T) {
	if testing.Short() {
		t.Skip("reads 27 modules")
	}
	t.Parallel()
	want, err := modules.Generate(true)
	if errors.Is(err, fs.ErrNotExist) {
		t.Skipf("not in the module cache (go generate fetches them): %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	names, err := filepath.Glob("data/*")
	if err != nil {
		t.Fatal(err)
	}
	got := map[string][]byte{}
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		got[filepath.Base(name)] = b
	}
	for name, b := range want {
		// Compression may differ from one release of Go to the next.
		if !bytes.Equal(plain(t, name, got[name]), plain(t, name, b)) {
			t.Errorf("data/%s is not what its module gives; run: go generate ./internal/schemas", name)
		}
		delete(got, name)
	}
	for name := range got {
		t.Errorf("data/%s: no module gives it; run: go generate ./internal/schemas", name)
	}
}

func plain(t *testing.T, name string, b []byte) []byte {
	t.Helper()
	if filepath.Ext(name) != ".gz" || b == nil {
		return b
	}
	r, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	out, err := io.ReadAll(r)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return out
}

func TestVersions(t *testing.T) {
	t.Parallel()
	if diff := cmp.Diff([]string{"1.34", "1.35", "1.36", "1.37"}, schemas.Versions()); diff != "" {
		t.Error(diff)
	}
	for _, test := range []struct {
		version, nearest string
		same             bool
	}{
		{"1.36.2", "1.36", true},
		{"1.34", "1.34", true},
		{"1.20.0", "1.34", false},
		{"1.40.1", "1.37", false},
		{"2.36.0", "1.36", false},
	} {
		v := utilversion.MustParseGeneric(test.version)
		if nearest, same := schemas.Nearest(v); nearest != test.nearest || same != test.same {
			t.Errorf("Nearest(%s) = %s, %t", test.version, nearest, same)
		}
		k, err := schemas.ForKubernetes(v)
		if err != nil {
			t.Fatalf("%s: %v", test.version, err)
		}
		if k.Minor != test.nearest {
			t.Errorf("%s: the schemas are those of %s", test.version, k.Minor)
		}
	}
}

// TestTypes: every type of every release can be read, and all that it refers to.
func TestTypes(t *testing.T) {
	t.Parallel()
	for _, minor := range schemas.Versions() {
		k, err := schemas.ForKubernetes(utilversion.MustParseGeneric(minor))
		if err != nil {
			t.Fatal(err)
		}
		seen := map[string]bool{}
		var walk func(t0 *schemas.Type)
		walk = func(x *schemas.Type) {
			if x == nil {
				return
			}
			if x.Ref != "" && !seen[x.Ref] {
				seen[x.Ref] = true
				next, err := k.Type(x.Ref)
				if err != nil {
					t.Fatal(err)
				}
				walk(next)
			}
			switch x.Type {
			case "array":
				if x.Items == nil {
					t.Errorf("%s: a list of what? %+v", minor, x)
				}
			case schemas.Map:
				if x.Values == nil {
					t.Errorf("%s: a map of what? %+v", minor, x)
				}
			case "object", "string", "boolean", "number", "", schemas.Int32, schemas.Int64, schemas.Bytes,
				schemas.Quantity, schemas.IntOrString, schemas.Time, schemas.MicroTime, schemas.Any:
			default:
				t.Errorf("%s: unknown type %q", minor, x.Type)
			}
			walk(x.Items)
			walk(x.Values)
			for _, f := range x.Fields {
				walk(f)
			}
		}
		for _, gvk := range [][3]string{
			{"", "v1", "Pod"},
			{"apps", "v1", "Deployment"},
			{"rbac.authorization.k8s.io", "v1", "ClusterRole"},
			{"apiextensions.k8s.io", "v1", "CustomResourceDefinition"},
			{"apiregistration.k8s.io", "v1", "APIService"},
			{"resource.k8s.io", "v1", "ResourceClaim"},
			{"admissionregistration.k8s.io", "v1", "ValidatingAdmissionPolicy"},
		} {
			kind, ok := k.Kind(gvk[0], gvk[1], gvk[2])
			if !ok {
				t.Errorf("%s has no %v", minor, gvk)
				continue
			}
			walk(&schemas.Type{Ref: kind.Type})
		}
		if len(seen) < 180 {
			t.Errorf("%s: only %d types", minor, len(seen))
		}
	}
}

func TestKinds(t *testing.T) {
	t.Parallel()
	k, err := schemas.ForKubernetes(utilversion.MustParseGeneric("1.36"))
	if err != nil {
		t.Fatal(err)
	}
	if got, ok := k.Kind("", "v1", "Namespace"); !ok || got.Namespaced {
		t.Errorf("Namespace: %+v %t", got, ok)
	}
	if got, ok := k.Kind("apps", "v1", "Deployment"); !ok || !got.Namespaced {
		t.Errorf("Deployment: %+v %t", got, ok)
	}
	for _, gvk := range [][3]string{{"autoscaling", "v1", "Scale"}, {"", "v1", "Eviction"}, {"apps", "v1beta1", "Deployment"}, {"", "v1", "DeploymentList"}} {
		if _, ok := k.Kind(gvk[0], gvk[1], gvk[2]); ok {
			t.Errorf("%v is no object that can be created", gvk)
		}
	}
	if diff := cmp.Diff([]string{"v1", "v2"}, k.VersionsOf("autoscaling", "HorizontalPodAutoscaler")); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"events.k8s.io/v1", "v1"}, k.GroupVersionsOf("Event")); diff != "" {
		t.Error(diff)
	}
	if !slices.Contains(k.KindsOf("batch", "v1"), "CronJob") || !k.HasGroup("batch") || k.HasGroup("example.com") {
		t.Error("KindsOf, HasGroup")
	}
}

// TestCatalogue: where the definitions come from, and that each can be read.
func TestCatalogue(t *testing.T) {
	t.Parallel()
	n := 0
	for _, s := range schemas.Systems() {
		if s.Licence != "Apache-2.0" && s.Licence != "MIT" || s.Sum == "" || s.SHA256 == "" || s.Version == "" {
			t.Errorf("%s: %+v", s, s.Source)
		}
		for _, d := range s.Definitions {
			n++
			f, ok := schemas.Lookup(d.Group, d.Kind)
			if !ok {
				t.Errorf("%s %s is not found", d.Group, d.Kind)
				continue
			}
			if f.Source.File == s.File && f.Name == d.Name {
				if _, err := f.JSON(); err != nil {
					t.Error(err)
				}
			}
		}
	}
	if n < 150 {
		t.Errorf("only %d definitions", n)
	}
	if _, ok := schemas.Lookup("example.com", "Lamp"); ok {
		t.Error("found what there is not")
	}
}
