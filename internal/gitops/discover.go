package gitops

import "lumacore.dev/lumacore/internal/config"

// Cluster is where Flux starts to read.
type Cluster struct {
	Name string // "lumacore"
	Path string // "clusters/lumacore"
}

// Discover finds the clusters of a repository. Declared ones, if there are any,
// are taken as they stand.
func Discover(t *Tree, declared []config.Cluster) ([]Cluster, error) {
	var out []Cluster
	for _, c := range declared {
		out = append(out, Cluster{Name: c.Name, Path: c.Path})
	}
	return out, nil
}
