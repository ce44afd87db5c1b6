package helm

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/Masterminds/semver/v3"
	helmv2 "github.com/fluxcd/helm-controller/api/v2"
	"helm.sh/helm/v4/pkg/chart/common"
	commonutil "helm.sh/helm/v4/pkg/chart/common/util"
	chartv2 "helm.sh/helm/v4/pkg/chart/v2"
	chartutil "helm.sh/helm/v4/pkg/chart/v2/util"
	"helm.sh/helm/v4/pkg/engine"
	releasev1 "helm.sh/helm/v4/pkg/release/v1"
	releaseutil "helm.sh/helm/v4/pkg/release/v1/util"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"lumacore.dev/lumacore/internal/chart"
	"lumacore.dev/lumacore/internal/report"
)

// render does what Helm's install action does between taking a chart and sending
// objects, with helm-controller's options.
func render(ctx context.Context, hr *helmv2.HelmRelease, env Env, src *source, vals map[string]any) (*Rendered, error) {
	fail := func(format string, args ...any) error {
		return &ChartError{Chart: src.title(), Message: fmt.Sprintf(format, args...)}
	}
	c := src.chart.Copy()
	if src.values != nil {
		c.Values = src.values
	}
	if src.digest != "" {
		v, err := semver.NewVersion(c.Metadata.Version)
		if err != nil {
			return nil, fail("its version %q is no semantic version", c.Metadata.Version)
		}
		if *v, err = v.SetMetadata(src.digest); err != nil {
			return nil, fail("%v", err)
		}
		c.Metadata.Version = v.String()
	}
	name, namespace := releaseName(hr), hr.GetReleaseNamespace()
	if err := chartutil.ValidateReleaseName(name); err != nil {
		return nil, &SpecError{fmt.Sprintf("the release's name %q: %v", name, err)}
	}
	caps, err := capabilities(env)
	if err != nil {
		return nil, &SpecError{err.Error()}
	}
	if want := c.Metadata.KubeVersion; want != "" && !chartutil.IsCompatibleRange(want, caps.KubeVersion.String()) {
		return nil, fail("it wants Kubernetes %s; the clusters have %s", want, caps.KubeVersion.Version)
	}
	if err := chartutil.ProcessDependencies(c, vals); err != nil {
		return nil, fail("its dependencies: %v", err)
	}
	install := hr.GetInstall()
	out := &Rendered{AsksForAPIs: asksForAPIs(c)}
	if install.CRDs != helmv2.Skip {
		if out.Objects, err = crds(c, hr, fail); err != nil {
			return nil, err
		}
	}
	top, err := commonutil.ToRenderValuesWithSchemaValidation(c, vals, common.ReleaseOptions{
		Name: name, Namespace: namespace, Revision: 1, IsInstall: true,
	}, caps, true)
	if err != nil {
		return nil, fail("its values: %v", err)
	}
	if !install.DisableSchemaValidation {
		composed, err := top.Table("Values")
		if err != nil {
			return nil, fail("its values: %v", err)
		}
		bad, unchecked, err := validate(ctx, env.Charts, c, composed)
		if err != nil {
			return nil, err
		}
		if len(bad) > 0 {
			return nil, fail("the values do not fit its schema: %s", strings.Join(bad, "; "))
		}
		out.Unchecked = unchecked
	}
	if err := guardedChart(c); err != nil {
		return nil, fail("%v", err)
	}
	b := &bound{ctx: ctx}
	files, err := engine.Engine{CustomTemplateFuncs: functions(b)}.Render(c, top)
	if err != nil {
		bad := templateError(src.title(), err)
		if b.deep.Load() {
			bad.Message = errDeep.Error() // instead of hundreds of calls
		}
		return nil, bad
	}
	docs, err := parse(files, func(file, format string, args ...any) error {
		return &ChartError{Chart: src.title(), At: report.Location{File: file}, Message: fmt.Sprintf(format, args...)}
	})
	if err != nil {
		return nil, err
	}
	if docs, err = postRender(ctx, hr, env, docs, fail); err != nil {
		return nil, err
	}
	scope := scopes(docs, out.Objects, env)
	if install.CreateNamespace && hr.Spec.TargetNamespace != "" && (env.Lookup == nil || env.Lookup("", "Namespace", "", namespace) == nil) {
		out.Objects = append(out.Objects, Object{Unstructured: &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "v1", "kind": "Namespace",
			"metadata": map[string]any{"name": namespace, "labels": map[string]any{"name": namespace}},
		}}})
	}
	for _, d := range inOrder(docs) {
		hooks, known := d.hooks()
		switch {
		case len(hooks) == 0:
			// What Helm itself puts on the objects of a release.
			setLabels(d.Unstructured, map[string]string{"app.kubernetes.io/managed-by": "Helm"})
			setAnnotations(d.Unstructured, map[string]string{"meta.helm.sh/release-name": name, "meta.helm.sh/release-namespace": namespace})
		case !known || install.DisableHooks:
			continue
		case !slices.ContainsFunc(hooks, func(h releasev1.HookEvent) bool { return h != releasev1.HookTest }) && !hr.GetTest().Enable:
			continue
		}
		if scope(d.Unstructured) {
			if d.GetNamespace() == "" {
				d.SetNamespace(namespace)
			}
		} else {
			unstructured.RemoveNestedField(d.Object, "metadata", "namespace")
		}
		out.Objects = append(out.Objects, Object{Unstructured: d.Unstructured, Template: d.template, Hook: len(hooks) > 0})
	}
	return out, nil
}

// asksForAPIs tells whether a template of the chart or of one below it looks at
// .Capabilities.APIVersions.
func asksForAPIs(c *chartv2.Chart) bool {
	return slices.ContainsFunc(c.Templates, func(f *common.File) bool { return bytes.Contains(f.Data, []byte("APIVersions")) }) ||
		slices.ContainsFunc(c.Dependencies(), asksForAPIs)
}

// crds returns the CRDs of the chart's crds folders with the labels that
// helm-controller gives them. What else is in such a folder it ignores.
func crds(c *chartv2.Chart, hr *helmv2.HelmRelease, fail func(string, ...any) error) ([]Object, error) {
	files := c.CRDObjects()
	slices.SortStableFunc(files, func(a, b chartv2.CRD) int { return strings.Compare(a.Filename, b.Filename) })
	var out []Object
	for _, f := range files {
		for i, text := range split(string(f.File.Data)) {
			u, err := object(text)
			if err != nil {
				return nil, fail("%s, document %d: %v", f.Filename, i+1, err)
			}
			if u == nil || u.GetKind() != "CustomResourceDefinition" || u.GroupVersionKind().Group != "apiextensions.k8s.io" {
				continue
			}
			setLabels(u, originLabels(hr))
			out = append(out, Object{Unstructured: u, Template: f.Filename, CRD: true})
		}
	}
	return out, nil
}

// schemas returns the schemas of a chart and its dependencies.
func schemas(c *chartv2.Chart) [][]byte {
	var out [][]byte
	if c.Schema != nil {
		out = append(out, c.Schema)
	}
	for _, d := range c.Dependencies() {
		out = append(out, schemas(d)...)
	}
	return out
}

// validate holds values against the schemas of the chart and its dependencies. It
// returns what does not fit, and which schemas could not be had.
func validate(ctx context.Context, charts *chart.Store, c *chartv2.Chart, values map[string]any) (bad, unchecked []string, err error) {
	if c.Schema != nil {
		schema, err := charts.Schema(ctx, c.Schema)
		var gone *chart.Unavailable
		switch {
		case errors.As(err, &gone):
			unchecked = append(unchecked, fmt.Sprintf("the values were not held against the schema of the chart %s, which needs %s: %s", c.Name(), gone.Chart, gone.Reason))
		case ctx.Err() != nil:
			return nil, nil, ctx.Err()
		case err != nil:
			bad = append(bad, fmt.Sprintf("the schema of the chart %s cannot be used: %v", c.Name(), err))
		default:
			if err := schema.Validate(values); err != nil {
				for _, v := range chart.Violations(err) {
					if !c.IsRoot() {
						v = c.ChartPath() + ": " + v
					}
					bad = append(bad, v)
				}
			}
		}
	}
	for _, d := range c.Dependencies() {
		sub, ok := values[d.Name()]
		if !ok || sub == nil {
			continue
		}
		m, ok := asMap(sub)
		if !ok {
			bad = append(bad, fmt.Sprintf("%s: its values are no mapping", d.ChartPath()))
			continue
		}
		b, u, err := validate(ctx, charts, d, m)
		if err != nil {
			return nil, nil, err
		}
		bad, unchecked = append(bad, b...), append(unchecked, u...)
	}
	return bad, unchecked, nil
}

func asMap(v any) (map[string]any, bool) {
	switch v := v.(type) {
	case map[string]any:
		return v, true
	case common.Values:
		return v, true
	}
	return nil, false
}

// doc is an object that a template made.
type doc struct {
	*unstructured.Unstructured
	template string
}

// parse reads what the templates made, in the order of the files' names. Helm, and
// kustomize in helm-controller's post-renderers, refuse what it refuses.
func parse(files map[string]string, fail func(file, format string, args ...any) error) ([]doc, error) {
	var out []doc
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if isNotes(name) || isPartial(name) {
			continue
		}
		for i, text := range split(files[name]) {
			u, err := object(text)
			if err != nil {
				return nil, fail(name, "document %d of what it makes: %v", i+1, err)
			}
			if u == nil {
				continue
			}
			all := []*unstructured.Unstructured{u}
			if items, ok := u.Object["items"]; ok && strings.HasSuffix(u.GetKind(), "List") {
				if all, err = listed(items); err != nil {
					return nil, fail(name, "document %d of what it makes: %v", i+1, err)
				}
			}
			for _, u := range all {
				if why := incomplete(u); why != "" {
					return nil, fail(name, "document %d of what it makes: %s", i+1, why)
				}
				out = append(out, doc{u, name})
			}
		}
	}
	return out, nil
}

// separator is what Helm splits documents at: it does not insist on a new line
// after the dashes.
var separator = regexp.MustCompile(`(?m)^---[ \t]*`)

// split returns the documents of a file that have more than white space.
func split(text string) []string {
	if strings.TrimSpace(text) == "" {
		return nil
	}
	var out []string
	for _, d := range separator.Split(strings.TrimSpace(text), -1) {
		if d = strings.TrimSpace(d); d != "" {
			out = append(out, d)
		}
	}
	return out
}

// object reads one document; nil if it holds nothing.
func object(text string) (u *unstructured.Unstructured, err error) {
	defer func() {
		if r := recover(); r != nil {
			u, err = nil, fmt.Errorf("the YAML parser gave up: %v", r)
		}
	}()
	// Two equal keys are refused: kustomize refuses them, and with it
	// helm-controller (https://github.com/fluxcd/helm-controller/issues/283).
	j, err := yaml.YAMLToJSONStrict([]byte(text))
	if err != nil {
		return nil, fmt.Errorf("it is no valid YAML: %s", strings.TrimPrefix(strings.ReplaceAll(err.Error(), "\n", ""), "yaml: "))
	}
	if j = bytes.TrimSpace(j); string(j) == "null" || string(j) == "{}" {
		return nil, nil
	}
	if j[0] != '{' {
		return nil, errors.New("it is no object")
	}
	u = &unstructured.Unstructured{}
	if err := decodeJSON(j, &u.Object); err != nil {
		return nil, err
	}
	return u, nil
}

func listed(items any) ([]*unstructured.Unstructured, error) {
	list, ok := items.([]any)
	if !ok && items != nil {
		return nil, errors.New("the items of a list are no list")
	}
	var out []*unstructured.Unstructured
	for _, i := range list {
		m, ok := i.(map[string]any)
		if !ok {
			return nil, errors.New("an item of a list is no object")
		}
		out = append(out, &unstructured.Unstructured{Object: m})
	}
	return out, nil
}

// incomplete says what an object lacks that kustomize and the API server want.
func incomplete(u *unstructured.Unstructured) string {
	apiVersion, _, _ := unstructured.NestedString(u.Object, "apiVersion")
	kind, _, _ := unstructured.NestedString(u.Object, "kind")
	name, _, err := unstructured.NestedString(u.Object, "metadata", "name")
	switch {
	case kind == "":
		return "it has no kind"
	case apiVersion == "":
		return fmt.Sprintf("a %s has no apiVersion", kind)
	case err != nil:
		return fmt.Sprintf("a %s has no text as metadata.name", kind)
	case name == "":
		return fmt.Sprintf("a %s has no metadata.name", kind)
	}
	if at := nilItem(u.Object, ""); at != "" {
		return fmt.Sprintf("%s %s has an empty item in the list %s", kind, name, at)
	}
	return ""
}

// nilItem returns the path of a list with a null in it, or "".
func nilItem(v any, at string) string {
	switch v := v.(type) {
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			if found := nilItem(v[k], at+"."+k); found != "" {
				return strings.TrimPrefix(found, ".")
			}
		}
	case []any:
		for _, item := range v {
			if item == nil {
				return at
			}
			if found := nilItem(item, at+"[]"); found != "" {
				return found
			}
		}
	}
	return ""
}

var hookEvents = map[string]releasev1.HookEvent{
	"pre-install": releasev1.HookPreInstall, "post-install": releasev1.HookPostInstall,
	"pre-delete": releasev1.HookPreDelete, "post-delete": releasev1.HookPostDelete,
	"pre-upgrade": releasev1.HookPreUpgrade, "post-upgrade": releasev1.HookPostUpgrade,
	"pre-rollback": releasev1.HookPreRollback, "post-rollback": releasev1.HookPostRollback,
	"test": releasev1.HookTest, "test-success": releasev1.HookTest,
}

// hooks returns when Helm applies the object, if it is a hook. An object with an
// event that Helm does not know (crd-install of Helm 2) is never applied.
func (d doc) hooks() (events []releasev1.HookEvent, known bool) {
	value, ok := d.GetAnnotations()[releasev1.HookAnnotation]
	if !ok {
		return nil, true
	}
	known = true
	for name := range strings.SplitSeq(value, ",") {
		e, ok := hookEvents[strings.ToLower(strings.TrimSpace(name))]
		known = known && ok
		events = append(events, e)
	}
	return events, known
}

// inOrder sorts objects as Helm installs them: hooks last, by weight.
func inOrder(docs []doc) []doc {
	order := map[string]int{}
	for i, kind := range releaseutil.InstallOrder {
		order[kind] = i
	}
	rank := func(d doc) int {
		if i, ok := order[d.GetKind()]; ok {
			return i
		}
		return len(order)
	}
	weight := func(d doc) int {
		n, _ := strconv.Atoi(d.GetAnnotations()[releasev1.HookWeightAnnotation])
		return n
	}
	hook := func(d doc) int {
		if events, _ := d.hooks(); len(events) > 0 {
			return 1
		}
		return 0
	}
	out := slices.Clone(docs)
	slices.SortStableFunc(out, func(a, b doc) int {
		if n := cmp.Compare(hook(a), hook(b)); n != 0 {
			return n
		}
		if hook(a) == 1 {
			return cmp.Or(cmp.Compare(weight(a), weight(b)), cmp.Compare(rank(a), rank(b)), cmp.Compare(a.GetName(), b.GetName()))
		}
		n := cmp.Compare(rank(a), rank(b))
		if n == 0 && rank(a) == len(order) {
			n = cmp.Compare(a.GetKind(), b.GetKind())
		}
		return n // within a kind in the order of the files
	})
	return out
}

func setLabels(u *unstructured.Unstructured, labels map[string]string) { setMeta(u, "labels", labels) }

func setAnnotations(u *unstructured.Unstructured, annotations map[string]string) {
	setMeta(u, "annotations", annotations)
}

// setMeta writes into metadata.labels or metadata.annotations, also where the chart
// wrote something else than texts.
func setMeta(u *unstructured.Unstructured, field string, add map[string]string) {
	meta, ok := u.Object["metadata"].(map[string]any)
	if !ok {
		meta = map[string]any{}
		u.Object["metadata"] = meta
	}
	m, ok := meta[field].(map[string]any)
	if !ok {
		m = map[string]any{}
		meta[field] = m
	}
	for k, v := range add {
		m[k] = v
	}
}
