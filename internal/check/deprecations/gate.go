// Package deprecations is the gate over what is on its way out: API versions that
// the cluster no longer serves or will not serve after one of its next two
// upgrades, versions that Flux or a CRD has given up, and fields and annotations
// that the API server warns of.
//
// Kubernetes' own dates come from its types (k8s.io/api), as the API server itself
// takes them to decide what it serves; the tables beside them hold what those types
// no longer tell, each entry with its source. For custom resources the CRD in the
// same render has the last word: the tables are not asked about what it serves.
package deprecations

import (
	"context"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"lumacore.dev/lumacore/internal/check"
	"lumacore.dev/lumacore/internal/render"
)

// Gate reports API versions, fields and annotations that are deprecated or gone.
var Gate = &check.Gate{
	Name:  "deprecations",
	Title: "API versions and fields that are gone, or will be after one of the next upgrades",
	Rules: rules,
	Check: run,
}

// ahead is how many minor versions of Kubernetes the gate looks ahead: three are
// maintained at a time (https://kubernetes.io/releases/version-skew-policy/), so who
// skips none and waits longest goes two further.
const ahead = 2

func run(ctx context.Context, in *check.Input, out *check.Reporter) error {
	cluster := minor(0)
	if in.KubeVersion != nil {
		cluster = minor(in.KubeVersion.Minor())
	}
	cycles := map[schema.GroupVersionKind]cycle{}
	for _, c := range in.Render.Clusters {
		crds := crdsOf(c)
		charts := chartsOf(c)
		for _, o := range c.Objects {
			if err := ctx.Err(); err != nil {
				return err
			}
			s := subject{out: out, cluster: c, object: o, gvk: o.GroupVersionKind(), charts: charts}
			if crd := crds[s.gvk.GroupKind()]; crd[s.gvk.Version].served {
				s.crd(crd)
			} else if !s.flux() && !s.family() {
				life, ok := cycles[s.gvk]
				if !ok {
					life = cycleOf(s.gvk)
					cycles[s.gvk] = life
				}
				s.kubernetes(life, cluster)
			}
			s.fields(cluster)
		}
	}
	return nil
}

// subject is one object, with what reporting it needs.
type subject struct {
	out     *check.Reporter
	cluster *render.Cluster
	object  *render.Object
	gvk     schema.GroupVersionKind
	charts  map[string]string // name and version of the chart, by release
}

// report adds a finding; at an object of a chart the owner can but change the
// chart's version.
func (s subject) report(rule, fix string, at []any, format string, args ...any) {
	f := check.Finding(rule, s.cluster, s.object, at, format, args...)
	f.Fix = fix
	if release := s.object.Origin.HelmRelease; release != "" {
		chart := s.charts[release]
		f.Message += fmt.Sprintf(" (from chart %s, %s)", chart, s.object.Origin.Template)
		f.Fix = fmt.Sprintf("Update chart %s of HelmRelease %s to a version that does without it, or set the value that chooses it; the chart should: %s",
			chart, release, strings.ToLower(fix[:1])+fix[1:])
	}
	s.out.Add(f)
}

// version reports the object's apiVersion. use is what to write instead, source
// where that is said; both may be empty.
func (s subject) version(rule, use, source, format string, args ...any) {
	fix := "Remove the object: nothing replaces its kind."
	if use != "" {
		fix = fmt.Sprintf("Change apiVersion to %s and adapt the fields that differ", use)
	}
	fix = strings.TrimSuffix(fix, ".")
	if source != "" {
		fix += " (" + source + ")"
	}
	s.report(rule, fix+".", []any{"apiVersion"}, format, args...)
}

// name is the object's version and kind, as the API server's warnings name them.
func (s subject) name() string { return s.gvk.GroupVersion().String() + " " + s.gvk.Kind }

// chartsOf returns the charts of a cluster's releases.
func chartsOf(c *render.Cluster) map[string]string {
	m := make(map[string]string, len(c.Releases))
	for _, r := range c.Releases {
		m[r.Name()] = strings.TrimSpace(r.Chart + " " + r.Version)
	}
	return m
}

// minor is a minor version of Kubernetes 1.
type minor uint

func (m minor) String() string { return fmt.Sprintf("1.%d", uint(m)) }
