package podsecurity

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"k8s.io/pod-security-admission/api"

	"lumacore.dev/lumacore/internal/check"
	"lumacore.dev/lumacore/internal/config"
	"lumacore.dev/lumacore/internal/render"
	"lumacore.dev/lumacore/internal/report"
)

// register holds the exemptions of lumacore.yaml against the namespaces of all
// clusters. A namespace is what its label enforce says; one that several clusters
// have is the weakest of them.
func register(in *check.Input, out *check.Reporter, all []clusterNamespaces) {
	entries := map[string]config.Exemption{}
	for _, e := range in.Config.Check.PodSecurity.Exemptions {
		entries[e.Namespace] = e
	}
	for _, of := range all {
		for _, name := range slices.Sorted(maps.Keys(of.spaces)) {
			documented(out, of.cluster, of.spaces[name], entries)
		}
	}
	for _, e := range in.Config.Check.PodSecurity.Exemptions {
		if !e.Review.IsZero() && day(in.Now).After(day(e.Review)) {
			out.File("podsecurity/exemption-expired", e.Location,
				"the exemption of namespace %s (%s) was to be reviewed by %s", e.Namespace, e.Level, e.Review.Format(time.DateOnly))
		}
		level, where := weakest(all, e.Namespace)
		switch {
		case where == "":
			out.File("podsecurity/exemption-unused", e.Location, "no cluster has namespace %s", e.Namespace)
		case level == api.LevelRestricted:
			out.File("podsecurity/exemption-unused", e.Location, "namespace %s enforces restricted (%s), so there is nothing to exempt", e.Namespace, where)
		case api.CompareLevels(api.Level(e.Level), level) < 0:
			out.File("podsecurity/exemption-too-broad", e.Location, "the exemption of namespace %s allows %s, and the namespace enforces %s (%s)", e.Namespace, e.Level, level, where)
		}
	}
}

// documented reports a namespace that is held to less than "restricted" and than
// what the register says of it.
func documented(out *check.Reporter, c *render.Cluster, space *namespace, entries map[string]config.Exemption) {
	if space.invalid || space.policy.Enforce.Level == api.LevelRestricted {
		return
	}
	is := fmt.Sprintf("enforces %s", space.policy.Enforce.Level)
	if !space.labeled {
		is = "has no label " + api.EnforceLevelLabel + ", so it allows privileged pods"
	}
	var at []any
	switch {
	case space.labeled:
		at = []any{"metadata", "labels", api.EnforceLevelLabel}
	case space.object.Is("", "Namespace"):
		at = []any{"metadata", "labels"}
	default:
		is = "is made by this HelmRelease without labels, so it allows privileged pods"
		at = []any{"spec", "install", "createNamespace"}
	}
	e, ok := entries[space.name]
	switch {
	case !ok:
		out.Object("podsecurity/undocumented-exemption", c, space.object, at,
			"namespace %s %s, and check.podSecurity.exemptions of lumacore.yaml has no entry for it", space.name, is)
	case api.CompareLevels(space.policy.Enforce.Level, api.Level(e.Level)) < 0:
		out.Object("podsecurity/undocumented-exemption", c, space.object, at,
			"namespace %s %s; its entry (%s) is about %s", space.name, is, e.Location, e.Level)
	}
}

// weakest returns the weakest level that a namespace has in a cluster, and where;
// "" when no cluster has it.
func weakest(all []clusterNamespaces, name string) (level api.Level, where string) {
	level = api.LevelRestricted
	for _, of := range all {
		space := of.spaces[name]
		if space == nil {
			continue
		}
		if where == "" || api.CompareLevels(space.policy.Enforce.Level, level) < 0 {
			level, where = space.policy.Enforce.Level, locate(space.object).String()
		}
	}
	if where == "" && builtin[name] {
		return api.LevelPrivileged, "Kubernetes makes it without labels"
	}
	return level, where
}

func locate(o *render.Object) report.Location {
	return o.Locate("metadata", "labels", api.EnforceLevelLabel)
}

// day is the day of a time, for comparing days.
func day(t time.Time) time.Time {
	y, m, d := t.UTC().Date()
	return time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
}
