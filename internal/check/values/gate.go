// Package values is the gate over the values of HelmReleases: keys that the chart does
// not know, and values of a type that it does not mean.
//
// What a chart knows is learnt from it where it is at hand ([Learn]): its defaults, its
// schema, and every value that its templates use, followed to where they use it as a
// whole, below which anything may be. For charts that often cannot be had, the binary has
// the same as facts ([Facts]): names and types of keys. A chart with neither is listed as
// not checked.
package values

import (
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"path"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"lumacore.dev/lumacore/internal/check"
	"lumacore.dev/lumacore/internal/gitops"
	"lumacore.dev/lumacore/internal/render"
	"lumacore.dev/lumacore/internal/report"
)

// Gate reports values that a chart does not know, or not like this.
var Gate = &check.Gate{
	Name:  "values",
	Title: "values of HelmReleases that their charts do not know, or not in this type",
	Rules: rules,
	Check: run,
}

func run(ctx context.Context, in *check.Input, out *check.Reporter) error {
	learnt := map[[sha256.Size]byte]*Node{}
	for _, c := range in.Render.Clusters {
		for _, rel := range c.Releases {
			if err := ctx.Err(); err != nil {
				return err
			}
			if len(rel.Spec.Spec.ValuesFrom) == 0 && rel.Spec.Spec.Values == nil {
				continue
			}
			l := &looking{in: in, out: out, cluster: c, release: rel}
			if l.learn(learnt) {
				l.own()
				l.from()
			}
		}
	}
	return nil
}

// looking is the look at one release.
type looking struct {
	in      *check.Input
	out     *check.Reporter
	cluster *render.Cluster
	release *render.Release

	known *Node
	title string // "traefik 41.3.0", of the chart that the values are held against
	exact bool   // it is the one that the release asks for
}

// learn finds what is known of the release's chart; false if nothing is.
func (l *looking) learn(learnt map[[sha256.Size]byte]*Node) bool {
	rel := l.release
	if rel.Loaded != nil {
		sum := rel.Loaded.Sum()
		if learnt[sum] == nil {
			learnt[sum] = Learn(rel.Loaded.Copy())
		}
		l.known, l.title, l.exact = learnt[sum], rel.Chart+" "+rel.Version, true
		if rel.Defaults != nil {
			both := &Node{}
			both.add(l.known)
			both.add(fromValue(rel.Defaults))
			both.Open = l.known.Open
			l.known = both
		}
		if l.known.Open {
			l.unchecked("the templates of its chart hand on all values as they are, so that every key may be known to some chart", "")
		}
		return true
	}
	failed := func(p render.Problem) bool {
		return p.HelmRelease == rel.Name() && p.Kind != render.ProblemNoChart
	}
	if slices.ContainsFunc(l.cluster.Problems, failed) {
		return false // what is wrong is said there, and comes first
	}
	chart, repository, version := l.wanted()
	f, exact := known(chart, repository, version)
	wanted := strings.TrimSpace(chart + " " + version)
	next := "make its chart available, see what gate render says of it"
	switch {
	case f == nil:
		l.unchecked("its values were held against nothing: its chart was not had, and the facts that this program has are of other charts", next)
		return false
	case exact:
		l.unchecked(fmt.Sprintf("its values were checked against facts of chart %s %s (names and types of keys), for the chart was not had", f.Chart, f.Version), next)
	default:
		l.unchecked(fmt.Sprintf("its values were checked against facts of another version, chart %s %s (names and types of keys), for chart %s was not had", f.Chart, f.Version, wanted), next)
	}
	l.known, l.title, l.exact = f.Values, f.Chart+" "+f.Version, exact
	return true
}

func (l *looking) unchecked(reason, next string) {
	o := l.release.Object
	l.out.Unchecked(report.Unchecked{
		Subject: o.Key().String(), Location: o.Origin.Location, Clusters: []string{l.cluster.Name}, Reason: reason, Next: next,
	})
}

// wanted returns which chart the release asks for, and where.
func (l *looking) wanted() (chart, repository, version string) {
	hr := l.release.Spec
	get := func(kind, namespace, name string) map[string]any {
		o := l.cluster.Get(render.Key{Group: gitops.GroupSource, Kind: kind, Namespace: cmp.Or(namespace, hr.Namespace), Name: name})
		if o == nil {
			return nil
		}
		return o.Object
	}
	field := func(o map[string]any, path ...string) string {
		s, _, _ := unstructured.NestedString(o, path...)
		return s
	}
	named := func(chart, version, kind, namespace, name string) (string, string, string) {
		source := get(kind, namespace, name)
		url := field(source, "spec", "url")
		if kind != "HelmRepository" {
			return chart, "", version
		}
		if strings.HasPrefix(url, "oci://") {
			url = strings.TrimSuffix(url, "/") + "/" + chart
		}
		return path.Base(chart), url, version
	}
	if ref := hr.Spec.ChartRef; ref != nil {
		source := get(ref.Kind, ref.Namespace, ref.Name)
		if ref.Kind == "HelmChart" {
			return named(field(source, "spec", "chart"), field(source, "spec", "version"),
				field(source, "spec", "sourceRef", "kind"), ref.Namespace, field(source, "spec", "sourceRef", "name"))
		}
		url := field(source, "spec", "url")
		if url == "" {
			return "", "", ""
		}
		return path.Base(url), url, cmp.Or(field(source, "spec", "ref", "tag"), field(source, "spec", "ref", "semver"))
	}
	if hr.Spec.Chart == nil {
		return "", "", ""
	}
	s := hr.Spec.Chart.Spec
	return named(s.Chart, s.Version, s.SourceRef.Kind, s.SourceRef.Namespace, s.SourceRef.Name)
}

// own looks at spec.values.
func (l *looking) own() {
	o := l.release.Object
	values, _, _ := unstructured.NestedMap(o.Object, "spec", "values")
	l.walk(values, l.known, nil, func(at []string) report.Location {
		return o.Locate(append([]any{"spec", "values"}, fields(at)...)...)
	})
}

// from looks at the ConfigMaps of spec.valuesFrom. Secrets are the cluster's alone.
func (l *looking) from() {
	hr := l.release.Spec
	for i, ref := range hr.Spec.ValuesFrom {
		if ref.Kind != "ConfigMap" {
			continue
		}
		if ref.TargetPath != "" {
			l.target(ref.TargetPath, l.release.Object.Locate("spec", "valuesFrom", i, "targetPath"))
			continue
		}
		o := l.cluster.Get(render.Key{Kind: "ConfigMap", Namespace: hr.Namespace, Name: ref.Name})
		if o == nil {
			continue
		}
		text, _, _ := unstructured.NestedString(o.Object, "data", ref.GetValuesKey())
		var values map[string]any
		if text == "" || yaml.Unmarshal([]byte(text), &values) != nil {
			continue // gate render says what is wrong with it
		}
		l.walk(values, l.known, nil, l.written(o, ref.GetValuesKey(), text))
	}
}

// target looks at a path at which one value is set. Paths with more than names are left
// alone.
func (l *looking) target(at string, where report.Location) {
	if strings.ContainsAny(at, `[]\`) {
		return
	}
	n := l.known
	names := strings.Split(at, ".")
	for i, name := range names {
		below := n.below(name)
		if below == nil {
			if !n.Open {
				l.unknown(n, names[:i], name, where)
			}
			return
		}
		n = below
	}
}

// written returns the place of a value in a ConfigMap: in the file that it was generated
// from, or in the text of its document.
func (l *looking) written(o *render.Object, key, text string) func(at []string) report.Location {
	if o.Written("data", key) {
		begin := o.Locate("data", key)
		return func(at []string) report.Location {
			docs, _ := gitops.ParseDocuments("", []byte(text))
			if len(docs) == 0 {
				return begin
			}
			// A block begins on the line after its key. In other forms of writing a text
			// the lines differ.
			where := report.Location{File: begin.File, Line: begin.Line + docs[0].LineOf(fields(at)...)}
			if len(at) > 0 && !strings.Contains(l.in.Tree.Line(where.File, where.Line), at[len(at)-1]) {
				return begin
			}
			return where
		}
	}
	return func(at []string) report.Location {
		file := l.generated(o.Origin.Location, key)
		docs, _ := l.in.Tree.Documents(file)
		if len(docs) == 0 {
			return o.Origin.Location
		}
		return report.Location{File: file, Line: docs[0].LineOf(fields(at)...)}
	}
}

// generated returns the file that a key of a generated ConfigMap was made from; "" if it
// is not found. at is the entry of the generator.
func (l *looking) generated(at report.Location, key string) string {
	docs, _ := l.in.Tree.Documents(at.File)
	for _, d := range docs {
		for i := 0; ; i++ {
			if k, v := d.Find("configMapGenerator", i); k == nil && v == nil {
				break
			}
			if d.LineOf("configMapGenerator", i) != at.Line {
				continue
			}
			for j := 0; ; j++ {
				entry := d.Scalar("configMapGenerator", i, "files", j)
				if entry == "" {
					break
				}
				name, file, named := strings.Cut(entry, "=")
				if !named {
					name, file = path.Base(entry), entry
				}
				if file = path.Join(path.Dir(at.File), file); name == key && l.in.Tree.IsFile(file) {
					return file
				}
			}
		}
	}
	return ""
}

func fields(at []string) []any {
	out := make([]any, 0, len(at))
	for _, name := range at {
		out = append(out, name)
	}
	return out
}

// walk looks at values.
func (l *looking) walk(values map[string]any, n *Node, at []string, where func(at []string) report.Location) {
	for key, v := range values {
		here := append(slices.Clone(at), key)
		below := n.below(key)
		switch {
		case below == nil && n.Open:
		case below == nil:
			// Anchors for use further down, by convention.
			if len(at) > 0 || !strings.HasPrefix(key, "x-") {
				l.unknown(n, at, key, where(here))
			}
		case v == nil: // takes the default away
		default:
			if why := wrong(v, below); why != "" && !render.HasStandIn(v) {
				l.report("values/wrong-type", where(here), l.severity(true), "",
					"%s is %s, where chart %s has %s", dotted(here), why, l.title, below.Types)
				continue
			}
			if m, ok := v.(map[string]any); ok {
				l.walk(m, below, here, where)
			}
		}
	}
}

// unknown reports a key that is not known.
func (l *looking) unknown(n *Node, at []string, key string, where report.Location) {
	names := n.names()
	near := report.Nearest(key, names)
	for _, name := range names {
		if strings.EqualFold(name, key) {
			near = name
		}
	}
	full := dotted(append(slices.Clone(at), key))
	if near != "" {
		right := dotted(append(slices.Clone(at), near))
		l.report("values/unknown-key", where, l.severity(true), "Write "+right+".",
			"chart %s does not know %s; the nearest that it knows is %s", l.title, full, right)
		return
	}
	if others := l.known.elsewhere(key); len(others) == 1 {
		l.report("values/unknown-key", where, l.severity(true), fmt.Sprintf("Write it at %s, if that is what is meant.", others[0]),
			"chart %s does not know %s; it knows %s", l.title, full, others[0])
		return
	}
	l.report("values/unknown-key", where, l.severity(false), "", "chart %s does not know %s", l.title, full)
}

// severity is an error where there is little doubt.
func (l *looking) severity(sure bool) report.Severity {
	if sure && l.exact {
		return report.Error
	}
	return report.Warning
}

func (l *looking) report(rule string, where report.Location, severity report.Severity, fix, format string, args ...any) {
	f := check.Finding(rule, l.cluster, l.release.Object, nil, format, args...)
	f.Location, f.Severity, f.Fix = where, severity, fix
	if !l.exact {
		f.Message += " (the release asks for another version)"
	}
	l.out.Add(f)
}

// elsewhere returns the places at which a chart knows a key, three at most.
func (n *Node) elsewhere(key string) []string {
	var out []string
	var look func(n *Node, at []string)
	look = func(n *Node, at []string) {
		for _, name := range n.names() {
			if len(out) > 2 || len(at) > 8 {
				return
			}
			here := append(slices.Clone(at), name)
			if name == key {
				out = append(out, dotted(here))
			}
			look(n.Keys[name], here)
		}
	}
	look(n, nil)
	return out
}

// dotted writes a path for a person.
func dotted(at []string) string {
	var b strings.Builder
	for i, name := range at {
		switch {
		case strings.ContainsAny(name, ". /"):
			fmt.Fprintf(&b, "[%q]", name)
		case i > 0:
			b.WriteString("." + name)
		default:
			b.WriteString(name)
		}
	}
	return b.String()
}

// wrong says what a value is that the chart cannot mean; "" if it may. What templates
// print is the same as a string and as a number, and a count may be "50%".
func wrong(v any, n *Node) string {
	want := n.Types &^ Null
	if want == 0 || n.Loose {
		return ""
	}
	got := typeOf(v)
	if got&want != 0 {
		return ""
	}
	text, _ := v.(string)
	switch got {
	case String:
		if want == Bool && (text == "true" || text == "false") {
			return fmt.Sprintf("the word %q", text)
		}
		if want == Map && len(n.Keys) > 0 && !strings.Contains(text, "{{") {
			return "a string"
		}
	case Bool, Number:
		if want == Map && len(n.Keys) > 0 || want == List {
			return got.String()
		}
	case List:
		if want == Map && (len(n.Keys) == 0 || n.Open) {
			return "" // handed on as it is
		}
		return "a list"
	case Map:
		return "a mapping"
	}
	return ""
}

func typeOf(v any) Types {
	switch v.(type) {
	case nil:
		return Null
	case map[string]any:
		return Map
	case []any:
		return List
	case string:
		return String
	case bool:
		return Bool
	}
	return Number
}
