package schema

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/install"
	apiextv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	crdvalidation "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation"
	structural "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/listtype"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/objectmeta"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	celconfig "k8s.io/apiserver/pkg/apis/cel"

	"lumacore.dev/lumacore/internal/fieldpath"
)

// scheme sets the defaults of CRDs and converts them to the form that validation
// wants.
var scheme = func() *runtime.Scheme {
	s := runtime.NewScheme()
	install.Install(s)
	return s
}()

// definition is a CRD, ready to hold custom resources against.
type definition struct {
	from     string // "CRD x of this cluster", "CRD x of module@version": the end of messages
	scope    apiextv1.ResourceScope
	order    []string // names of all versions, as in the CRD
	versions map[string]*version
	err      error // it cannot be used at all
	// problems are those of the CRD itself.
	problems func() (problems, error)
}

// version is one version of a CRD.
type version struct {
	served  bool
	compile func() (*compiled, error)
}

// compiled is what custom resources of a version are held against.
type compiled struct {
	status    bool // it is a subresource: the API server drops it from new objects
	preserve  bool // spec.preserveUnknownFields of the CRD
	structure *structural.Structural
	schema    validation.SchemaCreateValidator
	rules     *cel.Validator
}

// define reads a CRD.
func define(ctx context.Context, data []byte, from string) *definition {
	d := &definition{from: from, versions: map[string]*version{}}
	crd := &apiextv1.CustomResourceDefinition{}
	if d.err = json.Unmarshal(data, crd); d.err != nil {
		return d
	}
	d.scope = crd.Spec.Scope
	for _, v := range crd.Spec.Versions {
		d.order = append(d.order, v.Name)
		preserve := crd.Spec.PreserveUnknownFields
		d.versions[v.Name] = &version{
			served:  v.Served,
			compile: sync.OnceValues(func() (*compiled, error) { return compile(&v, preserve) }),
		}
	}
	d.problems = sync.OnceValues(func() (problems, error) { return validateDefinition(ctx, crd, data) })
	return d
}

// wrong returns what is wrong with the CRD itself.
func (d *definition) wrong() problems {
	err := d.err
	if err == nil {
		var p problems
		if p, err = d.problems(); err == nil {
			return p
		}
	}
	return problems{{rule: ruleCRD, message: "cannot be read as a CustomResourceDefinition: " + shorten(err.Error())}}
}

// compile makes a version ready.
func compile(v *apiextv1.CustomResourceDefinitionVersion, preserve bool) (c *compiled, err error) {
	defer guard(&err)
	if v.Schema == nil || v.Schema.OpenAPIV3Schema == nil {
		return nil, fmt.Errorf("version %s has no schema", v.Name)
	}
	var in apiextensions.JSONSchemaProps
	if err := apiextv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(v.Schema.OpenAPIV3Schema, &in, nil); err != nil {
		return nil, fmt.Errorf("version %s: %w", v.Name, err)
	}
	ss, err := structural.NewStructural(&in)
	if err != nil {
		return nil, fmt.Errorf("version %s is not structural: %w", v.Name, err)
	}
	sv, _, err := validation.NewSchemaValidator(&in)
	if err != nil {
		return nil, fmt.Errorf("version %s: %w", v.Name, err)
	}
	return &compiled{
		status:    v.Subresources != nil && v.Subresources.Status != nil,
		preserve:  preserve,
		structure: ss, schema: sv,
		rules: cel.NewValidator(ss, true, celconfig.PerCallLimit), // nil without rules
	}, nil
}

// validateDefinition holds a CRD against the API server's rules for CRDs. It does
// what the API server does with a new one.
func validateDefinition(ctx context.Context, crd *apiextv1.CustomResourceDefinition, data []byte) (p problems, err error) {
	defer guard(&err)
	crd = crd.DeepCopy()
	scheme.Default(crd)
	internal := &apiextensions.CustomResourceDefinition{}
	if err := scheme.Convert(crd, internal, nil); err != nil {
		return nil, err
	}
	internal.Status = apiextensions.CustomResourceDefinitionStatus{}
	for _, v := range internal.Spec.Versions {
		if v.Storage {
			internal.Status.StoredVersions = []string{v.Name}
			break
		}
	}
	var obj any
	if err := json.Unmarshal(data, &obj); err != nil {
		return nil, err
	}
	for _, e := range crdvalidation.ValidateCustomResourceDefinition(ctx, internal) {
		// Names and labels are held against the same rules for every object.
		if strings.HasPrefix(e.Field, "metadata.labels") || e.Field == "metadata.annotations" && e.Type == field.ErrorTypeInvalid {
			continue
		}
		// What all versions have in common is one field in the internal form.
		if rest, ok := strings.CutPrefix(e.Field, "spec.validation."); ok {
			e.Field = "spec.versions[0].schema." + rest
		}
		body := e.ErrorBody()
		switch e.BadValue.(type) {
		case string, bool, int, int32, int64, float64, nil:
		default:
			if e.Type == field.ErrorTypeInvalid {
				body = "Invalid value: " + e.Detail
			}
		}
		p.add(ruleCRD, fieldpath.Parse(e.Field, obj), nil, "%s", oneLine(body))
	}
	return p, nil
}

// validate holds a custom resource against the version, all but its metadata.
// Helm may create objects without server-side apply: then the API server drops
// nulls where the schema has none (dropNulls).
func (c *compiled) validate(ctx context.Context, obj map[string]any, from string, dropNulls bool) (p problems, err error) {
	defer guard(&err)
	// The steps and their order are the API server's
	// (apiextensions-apiserver/pkg/apiserver/customresource_handler.go and
	// pkg/registry/customresource/strategy.go).
	in := runtime.DeepCopyJSON(obj)
	metadata, hasMetadata := in["metadata"]
	defaulting.Default(in, c.structure)
	unknown := func(paths []string) {
		for _, s := range paths {
			path := fieldpath.Parse(s, obj)
			p.unknown(path, c.known(path))
		}
	}
	if !c.preserve {
		unknown(pruning.PruneWithOptions(in, c.structure, true, structural.UnknownFieldPathOptions{TrackUnknownFieldPaths: true}))
	}
	if dropNulls && !c.preserve {
		defaulting.PruneNonNullableNullsWithoutDefaults(in, c.structure)
	}
	malformed, paths := objectmeta.CoerceWithOptions(nil, in, c.structure, false, objectmeta.CoerceOptions{ReturnUnknownFieldPaths: true})
	unknown(paths)
	if malformed != nil {
		p.field(malformed, obj, ruleValue)
	}
	if hasMetadata {
		in["metadata"] = metadata
	}
	if c.status {
		delete(in, "status")
	}
	errs := validation.ValidateCustomResource(nil, in, c.schema)
	errs = append(errs, objectmeta.Validate(nil, in, c.structure, false)...)
	errs = append(errs, listtype.ValidateListSetsAndMaps(nil, c.structure, in)...)
	blocked := false // then the API server does not run the rules
	for _, e := range errs {
		p.field(e, in, "")
		switch e.Type {
		case field.ErrorTypeNotSupported, field.ErrorTypeRequired, field.ErrorTypeTooLong, field.ErrorTypeTooMany, field.ErrorTypeTypeInvalid:
			blocked = true
		}
	}
	if c.rules != nil && !blocked {
		errs, _ := c.rules.Validate(ctx, nil, c.structure, in, nil, celconfig.RuntimeCELCostBudget)
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		for _, e := range errs {
			p.field(e, in, ruleCEL)
		}
	}
	for i := range p {
		p[i].message += " (" + from + ")"
	}
	return p, nil
}

// known returns the fields that the schema has next to the last one of a path.
func (c *compiled) known(path []any) []string {
	s := c.structure
	for _, f := range path[:max(len(path)-1, 0)] {
		if s == nil {
			return nil
		}
		switch f := f.(type) {
		case int:
			s = s.Items
		case string:
			if next, ok := s.Properties[f]; ok {
				s = &next
			} else if s.AdditionalProperties != nil {
				s = s.AdditionalProperties.Structural
			} else {
				return nil
			}
		}
	}
	if s == nil {
		return nil
	}
	known := slices.Collect(maps.Keys(s.Properties))
	if len(path) == 1 {
		known = append(known, "apiVersion", "kind", "metadata")
	}
	return known
}

// wanted finds the type in "spec.a in body must be of type integer: \"string\"".
var wanted = regexp.MustCompile(`must be of type ([a-z]+)`)

var articles = map[string]string{
	"integer": "an integer", "number": "a number", "string": "a string",
	"boolean": "a boolean", "object": "an object", "array": "a list",
}

// field notes an error of the API server's code about obj; an empty rule means the
// one for its kind of error.
func (p *problems) field(e *field.Error, obj any, rule string) {
	path := fieldpath.Parse(e.Field, obj)
	value := fieldpath.At(obj, path)
	if rule == "" {
		switch e.Type {
		case field.ErrorTypeRequired:
			rule = ruleRequired
		case field.ErrorTypeDuplicate:
			rule = ruleDuplicate
		default:
			rule = ruleValue
		}
	}
	body := e.ErrorBody()
	switch detail := trimField(e); {
	case e.Type == field.ErrorTypeTypeInvalid && articles[typeIn(detail)] != "":
		body = fmt.Sprintf("must be %s, got %s", articles[typeIn(detail)], show(value))
	case rule == ruleCEL && e.Type == field.ErrorTypeInvalid:
		body = oneLine(detail) // the value is that of the whole field
	case e.Type == field.ErrorTypeInvalid:
		body = fmt.Sprintf("Invalid value: %s: %s", literal(value), detail)
	case e.Type == field.ErrorTypeDuplicate:
		body = "Duplicate value: " + literal(value)
	case e.Type == field.ErrorTypeRequired:
		body = "Required value"
	}
	if len(body) > 700 {
		body = shorten(body)
	}
	if len(path) == 0 {
		*p = append(*p, problem{rule: rule, value: value, message: body})
		return
	}
	p.add(rule, path, value, "%s", body)
}

// oneLine keeps a message of the CEL compiler, which draws where the mistake is,
// readable in a list.
func oneLine(s string) string {
	first, _, _ := strings.Cut(s, "\n")
	if len(first) > 500 {
		first = shorten(first)
	}
	return first
}

func typeIn(detail string) string {
	if m := wanted.FindStringSubmatch(detail); m != nil {
		return m[1]
	}
	return ""
}

// trimField removes the field from a detail that repeats it: "spec.a in body
// should match '^a$'".
func trimField(e *field.Error) string {
	if _, rest, ok := strings.Cut(e.Detail, " in body "); ok {
		return rest
	}
	return e.Detail
}

// definitions are the CRDs of one render, each read once however many clusters
// have it.
type definitions struct {
	read sync.Map // hash of JSON and from -> func() *definition
}

var catalogue definitions // of the process: what is embedded does not change

func (c *definitions) get(ctx context.Context, data []byte, from string) *definition {
	key := sha256.Sum256(fmt.Appendf(nil, "%s\x00%s", from, data))
	f, _ := c.read.LoadOrStore(key, sync.OnceValue(func() *definition {
		return define(context.WithoutCancel(ctx), data, from)
	}))
	return f.(func() *definition)()
}

// guard turns a panic of the API server's code into an error: it is run over CRDs
// and objects that no API server has accepted.
func guard(err *error) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("the API server's code gave up: %v", r)
	}
}
