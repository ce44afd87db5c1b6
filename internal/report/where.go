package report

import "strings"

// where says where an object comes from and is applied: chart, Kustomization,
// environment, clusters. Clusters are named only where the repository has more than
// one, and what an object is about is not said to make it.
func (f Finding) where(clusters int) string {
	var parts []string
	if f.HelmRelease != "" && f.Object != "HelmRelease "+f.HelmRelease {
		by := "from HelmRelease " + f.HelmRelease
		if f.Template != "" {
			by += " (" + f.Template + ")"
		}
		parts = append(parts, by)
	}
	if f.Kustomization != "" && f.Object != "Kustomization "+f.Kustomization {
		parts = append(parts, "by Kustomization "+f.Kustomization)
	}
	if f.Environment != "" {
		parts = append(parts, "in environment "+f.Environment)
	}
	if clusters > 1 && len(f.Clusters) > 0 {
		parts = append(parts, "on "+plural(len(f.Clusters), "cluster")+" "+strings.Join(f.Clusters, ", "))
	}
	return strings.Join(parts, ", ")
}

// subject is the object of a finding and where it is applied, or "".
func (f Finding) subject(clusters int) string {
	where := f.where(clusters)
	switch {
	case f.Object == "":
		return where
	case where == "":
		return f.Object
	}
	return f.Object + ", " + where
}

func plural(n int, noun string) string {
	if n == 1 {
		return noun
	}
	return noun + "s"
}
