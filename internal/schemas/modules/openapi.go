package modules

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"lumacore.dev/lumacore/internal/schemas"
)

// openAPI is one file of api/openapi-spec/v3.
type openAPI struct {
	Components struct{ Schemas map[string]*openAPISchema }
}

type openAPISchema struct {
	Ref                  string                    `json:"$ref"`
	AllOf                []*openAPISchema          `json:"allOf"`
	Type                 string                    `json:"type"`
	Format               string                    `json:"format"`
	Properties           map[string]*openAPISchema `json:"properties"`
	Required             []string                  `json:"required"`
	Items                *openAPISchema            `json:"items"`
	AdditionalProperties *openAPISchema            `json:"additionalProperties"`
	Default              any                       `json:"default"`
	ListType             string                    `json:"x-kubernetes-list-type"`
	ListMapKeys          []string                  `json:"x-kubernetes-list-map-keys"`
	GroupVersionKind     []struct {
		Group, Version, Kind string
	} `json:"x-kubernetes-group-version-kind"`
}

// special are the definitions that Go code of their own reads: what they accept is
// not in their OpenAPI.
var special = map[string]string{
	"io.k8s.apimachinery.pkg.api.resource.Quantity":                                            schemas.Quantity,
	"io.k8s.apimachinery.pkg.util.intstr.IntOrString":                                          schemas.IntOrString,
	"io.k8s.apimachinery.pkg.apis.meta.v1.Time":                                                schemas.Time,
	"io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime":                                           schemas.MicroTime,
	"io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1":                                            schemas.Any,
	"io.k8s.apimachinery.pkg.runtime.RawExtension":                                             schemas.Any,
	"io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSON":                            schemas.Any,
	"io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrArray":          schemas.Any,
	"io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrBool":           schemas.Any,
	"io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrStringArray":    schemas.Any,
	"io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceSubresourceStatus": schemas.Any,
}

// optional are fields that the OpenAPI calls required and that the API server does
// without: they have a default, or their zero value is valid. (Those of metadata
// and of statuses are no fields that one writes.)
var optional = map[string][]string{
	"BasicDeviceRequest":                     {"count"},
	"CSIDriver":                              {"spec"},
	"ControllerRevision":                     {"revision"},
	"DeviceClass":                            {"spec"},
	"EndpointSlice":                          {"endpoints"},
	"Event":                                  {"metadata", "involvedObject", "eventTime"},
	"EvictionResponder":                      {"priority"},
	"GroupResource":                          {"group"}, // that of core is ""
	"HTTPHeader":                             {"value"},
	"ISCSIPersistentVolumeSource":            {"lun"},
	"ISCSIVolumeSource":                      {"lun"},
	"LimitRangeSpec":                         {"limits"},
	"PodFailurePolicy":                       {"rules"},
	"PodFailurePolicyOnPodConditionsPattern": {"status"}, // "True"
	"PreferredSchedulingTerm":                {"preference"},
	"PriorityClass":                          {"value"},
	"ResourceClaim":                          {"spec"},
	"ResourceClaimTemplate":                  {"spec"},
	"ResourceClaimTemplateSpec":              {"spec"},
	"ResourcePool":                           {"generation"},
	"RoleRef":                                {"apiGroup"}, // "rbac.authorization.k8s.io"
	"SleepAction":                            {"seconds"},
	"StatefulSetSpec":                        {"serviceName"},
	"Sysctl":                                 {"value"},
	"TokenRequest":                           {"audience"}, // of a CSIDriver: that of the API server
}

// openapi returns the compact form of a release's OpenAPI, as JSON.
func openapi(dir string) ([]byte, error) {
	files, err := filepath.Glob(filepath.Join(dir, "api/openapi-spec/v3/*_openapi.json"))
	if err != nil || len(files) == 0 {
		return nil, fmt.Errorf("no api/openapi-spec/v3 (%w)", err)
	}
	slices.Sort(files)
	all := map[string]*openAPISchema{}
	for _, name := range files {
		var f openAPI
		if err := readJSON(name, &f); err != nil {
			return nil, err
		}
		for n, s := range f.Components.Schemas {
			if old := all[n]; old != nil {
				s.GroupVersionKind = append(s.GroupVersionKind, old.GroupVersionKind...)
			}
			all[n] = s
		}
	}
	enums, err := enumerations(filepath.Join(dir, "pkg/generated/openapi/zz_generated.openapi.go"))
	if err != nil {
		return nil, err
	}
	resources, err := discovery(filepath.Join(dir, "api/discovery"))
	if err != nil {
		return nil, err
	}
	out := schemas.Document{Kinds: resources, Types: map[string]json.RawMessage{}}
	for name, s := range all {
		for _, gvk := range s.GroupVersionKind {
			key := schemas.KindKey(gvk.Group, gvk.Version, gvk.Kind)
			if k, ok := out.Kinds[key]; ok {
				k.Type = short(name)
				out.Kinds[key] = k
			}
		}
	}
	for key, k := range out.Kinds {
		if k.Type == "" {
			return nil, fmt.Errorf("discovery has %s, OpenAPI does not", key)
		}
	}
	// Only what the kinds need.
	var add func(name string) error
	add = func(name string) error {
		if _, ok := out.Types[short(name)]; ok {
			return nil
		}
		s := all[name]
		if s == nil {
			return fmt.Errorf("no definition %s", name)
		}
		out.Types[short(name)] = nil // recursion ends here
		var refs []string
		t := compact(name, s, enums[name], &refs)
		data, err := json.Marshal(t)
		if err != nil {
			return err
		}
		out.Types[short(name)] = data
		for _, r := range refs {
			if err := add(r); err != nil {
				return err
			}
		}
		return nil
	}
	used := map[string]bool{}
	for _, k := range out.Kinds {
		used[k.Type] = true
	}
	for name := range all {
		if used[short(name)] {
			if err := add(name); err != nil {
				return nil, err
			}
		}
	}
	return json.Marshal(out)
}

// compact returns a definition without what validation does not use.
func compact(name string, s *openAPISchema, enums map[string][]string, refs *[]string) *schemas.Type {
	if kind, ok := special[name]; ok {
		return &schemas.Type{Type: kind}
	}
	// What is required of the types of alpha and beta APIs is not looked at: it
	// changes from release to release, and not all of it is held.
	enforced := !strings.Contains(name, ".v1alpha") && !strings.Contains(name, ".v1beta") && !strings.Contains(name, "apiextensions")
	kind := name[strings.LastIndex(name, ".")+1:]
	var convert func(s *openAPISchema, values []string) *schemas.Type
	convert = func(s *openAPISchema, values []string) *schemas.Type {
		ref := s.Ref
		if len(s.AllOf) == 1 {
			ref = s.AllOf[0].Ref
		}
		if ref != "" {
			full := strings.TrimPrefix(ref, "#/components/schemas/")
			if kind, ok := special[full]; ok {
				return &schemas.Type{Type: kind}
			}
			*refs = append(*refs, full)
			return &schemas.Type{Ref: short(full)}
		}
		t := &schemas.Type{Type: s.Type, Enum: values}
		switch {
		case s.Type == "integer" && s.Format == "int64":
			t.Type = schemas.Int64
		case s.Type == "integer":
			t.Type = schemas.Int32
		case s.Type == "string" && s.Format == "byte":
			t.Type = schemas.Bytes
		case s.Type == "array":
			t.Items = convert(s.Items, values)
			t.Enum = nil
			if s.ListType == "map" || s.ListType == "set" {
				t.List, t.Keys = s.ListType, s.ListMapKeys
			}
		case s.Type == "object" && s.AdditionalProperties != nil:
			t.Type, t.Values = schemas.Map, convert(s.AdditionalProperties, nil)
		}
		if d, ok := s.Default.(string); ok && d != "" {
			t.Default = d
		}
		return t
	}
	t := &schemas.Type{Type: s.Type}
	if s.Type == "object" {
		t.Fields = map[string]*schemas.Type{}
	}
	for _, f := range sortedKeys(s.Properties) {
		t.Fields[f] = convert(s.Properties[f], enums[f])
	}
	if enforced {
		for _, r := range s.Required {
			if !slices.Contains(optional[kind], r) {
				t.Required = append(t.Required, r)
			}
		}
	}
	return t
}

// prefixes of definitions, and what the embedded file calls them.
var prefixes = [][2]string{
	{"io.k8s.apiextensions-apiserver.pkg.apis.", ""},
	{"io.k8s.kube-aggregator.pkg.apis.", ""},
	{"io.k8s.apimachinery.pkg.apis.", ""},
	{"io.k8s.api.", ""},
}

func short(name string) string {
	for _, p := range prefixes {
		if rest, ok := strings.CutPrefix(name, p[0]); ok {
			return p[1] + rest
		}
	}
	return name
}

// function is the name of the Go function that makes a definition:
// schema_k8sio_api_core_v1_Container.
var function = regexp.MustCompile(`^schema_(k8sio_api|pkg_apis)_([a-z0-9]+)_(v[a-z0-9]+)_(\w+)$`)

// enumerations returns the values of the fields that have only some: by definition
// and field. They are not part of the OpenAPI that Kubernetes publishes in its
// repository, but of the one that the API server serves, which this file makes.
func enumerations(name string) (map[string]map[string][]string, error) {
	f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	out := map[string]map[string][]string{}
	found := 0
	for _, d := range f.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if !ok {
			continue
		}
		m := function.FindStringSubmatch(fn.Name.Name)
		if m == nil {
			continue
		}
		def := "io.k8s.api." + m[2] + "." + m[3] + "." + m[4]
		if m[1] == "pkg_apis" {
			switch m[2] {
			case "meta":
				def = "io.k8s.apimachinery.pkg.apis.meta." + m[3] + "." + m[4]
			case "apiextensions":
				def = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions." + m[3] + "." + m[4]
			case "apiregistration":
				def = "io.k8s.kube-aggregator.pkg.apis.apiregistration." + m[3] + "." + m[4]
			default:
				continue
			}
		}
		// In Properties: "field": {SchemaProps: spec.SchemaProps{… Enum: …}}. The
		// innermost named entry around an Enum is the field.
		var field string
		var visit func(n ast.Node)
		visit = func(n ast.Node) {
			ast.Inspect(n, func(n ast.Node) bool {
				kv, ok := n.(*ast.KeyValueExpr)
				if !ok {
					return true
				}
				if id, ok := kv.Key.(*ast.Ident); ok && id.Name == "Enum" {
					values := stringsOf(kv.Value)
					if out[def] == nil {
						out[def] = map[string][]string{}
					}
					out[def][field] = values
					found++
					return false
				}
				if lit, ok := kv.Key.(*ast.BasicLit); ok && lit.Kind == token.STRING {
					outer := field
					field, _ = strconv.Unquote(lit.Value)
					visit(kv.Value)
					field = outer
					return false
				}
				return true
			})
		}
		visit(fn.Body)
	}
	if found < 50 {
		return nil, fmt.Errorf("%s: only %d enumerations were found: it has changed its form", filepath.Base(name), found)
	}
	return out, nil
}

func stringsOf(e ast.Expr) []string {
	var out []string
	ast.Inspect(e, func(n ast.Node) bool {
		if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
			s, _ := strconv.Unquote(lit.Value)
			out = append(out, s)
		}
		return true
	})
	return out
}

// discovery returns the kinds that can be created, and their scope: from
// api__v1.json and apis__<group>__<version>.json in a folder.
func discovery(dir string) (map[string]schemas.Kind, error) {
	files, err := filepath.Glob(filepath.Join(dir, "api*__v*.json"))
	if err != nil {
		return nil, err
	}
	slices.Sort(files)
	out := map[string]schemas.Kind{}
	for _, name := range files {
		var d struct {
			GroupVersion string
			Resources    []struct {
				Name, Kind, Group, Version string
				Namespaced                 bool
				Verbs                      []string
			}
		}
		if err := readJSON(name, &d); err != nil {
			return nil, err
		}
		group, version, ok := strings.Cut(d.GroupVersion, "/")
		if !ok {
			group, version = "", group
		}
		for _, r := range d.Resources {
			if !strings.Contains(r.Name, "/") && slices.Contains(r.Verbs, "create") {
				out[schemas.KindKey(group, version, r.Kind)] = schemas.Kind{Namespaced: r.Namespaced}
			}
		}
	}
	return out, nil
}

func readJSON(name string, into any) error {
	data, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("%s: %w", filepath.Base(name), err)
	}
	return nil
}
