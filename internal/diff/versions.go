package diff

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/Masterminds/semver/v3"

	"lumacore.dev/lumacore/internal/gitops"
	"lumacore.dev/lumacore/internal/render"
)

// Update is how much a version changes.
type Update string

// The kinds of updates. Those of versions are of https://semver.org.
const (
	Major      Update = "major"
	Minor      Update = "minor"
	Patch      Update = "patch"
	Prerelease Update = "prerelease" // only what follows the three numbers
	Digest     Update = "digest"     // the same version, another content
	Other      Update = "other"      // the versions cannot be ordered
	NewVersion Update = "new"        // nothing had it before
	Gone       Update = "gone"       // nothing has it any more
)

// KindOf compares two versions, such as tags, and tells whether the new one is older.
func KindOf(old, new string) (u Update, down bool) {
	o, err1 := semver.NewVersion(old)
	n, err2 := semver.NewVersion(new)
	if err1 != nil || err2 != nil {
		return Other, false
	}
	down = n.LessThan(o)
	switch {
	case o.Major() != n.Major():
		u = Major
	case o.Minor() != n.Minor():
		u = Minor
	case o.Patch() != n.Patch():
		u = Patch
	case o.Prerelease() != n.Prerelease():
		u = Prerelease
	default:
		return Other, false // another spelling, or another build of the same version
	}
	// "1.25.3-alpine" and "1.26.0-alpine" name variants, which semver takes for
	// pre-releases: their order is that of the numbers.
	return u, down
}

// image splits a reference into repository, tag and digest. It takes any text.
func image(ref string) (repository, tag, digest string) {
	whole := ref
	ref, digest, _ = strings.Cut(ref, "@")
	if at := strings.LastIndexByte(ref, ':'); at > strings.LastIndexByte(ref, '/') {
		ref, tag = ref[:at], ref[at+1:]
	}
	return cmp.Or(ref, whole), tag, digest
}

// Short is a tag with its digest shortened: nobody compares 64 digits by eye.
func Short(tag, digest string) string {
	if tag == "" && digest == "" {
		return "latest" // what the container runtime takes (https://kubernetes.io/docs/concepts/containers/images/#image-names)
	}
	if digest == "" {
		return tag
	}
	if algorithm, hex, ok := strings.Cut(digest, ":"); ok && len(hex) > 12 {
		digest = algorithm + ":" + hex[:12]
	}
	return tag + "@" + digest
}

// imageUpdate compares two references.
func imageUpdate(old, new string) (v Version) {
	v.Kind = "image"
	oldRepo, oldTag, oldDigest := image(old)
	newRepo, newTag, newDigest := image(new)
	switch {
	case old == "":
		v.Name, v.New, v.Update = newRepo, Short(newTag, newDigest), NewVersion
	case new == "":
		v.Name, v.Old, v.Update = oldRepo, Short(oldTag, oldDigest), Gone
	default:
		v.Name, v.Old, v.New = newRepo, Short(oldTag, oldDigest), Short(newTag, newDigest)
		if oldRepo != newRepo {
			v.Name = oldRepo + " → " + newRepo
		}
		if oldTag == newTag {
			v.Update = Digest
			if oldDigest == newDigest {
				v.Update = Other // another repository
			}
			break
		}
		v.Update, v.Downgrade = KindOf(oldTag, newTag)
	}
	return v
}

// imagesIn returns the images of an object by the container that uses them; of a
// custom resource by the path of a field that is called like one.
func imagesIn(o *render.Object) map[string]string {
	out := map[string]string{}
	if o == nil {
		return out
	}
	if pods, ok := o.Pods(); ok {
		for _, c := range pods.Containers() {
			if c.Image != "" {
				out[fmt.Sprintf("%v/%s", c.Path[len(c.Path)-2], c.Name)] = c.Image
			}
		}
		volumes, _ := pods.Spec["volumes"].([]any)
		for _, v := range volumes { // https://kubernetes.io/docs/concepts/storage/volumes/#image
			m, _ := v.(map[string]any)
			name, _ := m["name"].(string)
			source, _ := m["image"].(map[string]any)
			if ref, _ := source["reference"].(string); ref != "" {
				out["volumes/"+name] = ref
			}
		}
		return out
	}
	// A HelmRelease's values are what the chart makes of them, which is compared itself.
	if !o.CustomResource() || o.Is(gitops.GroupHelm, "HelmRelease") {
		return out
	}
	spec, _ := o.Object["spec"].(map[string]any)
	customImages(way{{text: "spec"}}, spec, out)
	return out
}

func customImages(at way, m map[string]any, out map[string]string) {
	if len(at) > maxDepth {
		return
	}
	for k, v := range m {
		switch v := v.(type) {
		case string:
			if (k == "image" || k == "imageName") && strings.ContainsAny(v, ":/") && !strings.ContainsAny(v, " \n") {
				out[at.key(k).String()] = v
			}
		case map[string]any:
			customImages(at.key(k), v, out)
		case []any:
			for i, x := range v {
				if x, ok := x.(map[string]any); ok {
					name, ok := scalarAt(x, "name")
					if !ok {
						name = fmt.Sprint(i)
					}
					customImages(at.key(k).item(name), x, out)
				}
			}
		}
	}
}

// chartsOf returns the charts of a cluster's releases: name and version.
func chartsOf(c *render.Cluster) map[string][2]string {
	out := map[string][2]string{}
	if c == nil {
		return out
	}
	for _, r := range c.Releases {
		name, version := r.Chart, r.Version
		if version == "" && r.Spec != nil && r.Spec.Spec.Chart != nil { // it was not rendered
			name, version = r.Spec.Spec.Chart.Spec.Chart, r.Spec.Spec.Chart.Spec.Version
		}
		if version != "" {
			out[r.Name()] = [2]string{name, version}
		}
	}
	return out
}

// versions lists the images and charts that change between two sides of a cluster.
func (c *clusterPair) versions(pairs []*pair) (out []Version) {
	for _, p := range pairs {
		if p.reason != "" {
			continue
		}
		old, new := imagesIn(p.old), imagesIn(p.new)
		for at, o := range old {
			n := new[at]
			if n == o {
				continue
			}
			out = append(out, c.version(imageUpdate(o, n), p.subject()))
		}
		for at, n := range new {
			if old[at] == "" {
				out = append(out, c.version(imageUpdate("", n), p.subject()))
			}
		}
	}
	old, new := chartsOf(c.base), chartsOf(c.head)
	for _, p := range pairs {
		o := p.subject()
		if !o.Is(gitops.GroupHelm, "HelmRelease") || p.reason != "" {
			continue
		}
		name := o.GetNamespace() + "/" + o.GetName()
		was, is := old[name], new[name]
		if was == is {
			continue
		}
		v := Version{Kind: "chart", Name: cmp.Or(is[0], was[0]), Old: was[1], New: is[1]}
		switch {
		case was[1] == "":
			v.Update = NewVersion
		case is[1] == "":
			v.Update = Gone
		default:
			if was[0] != is[0] {
				v.Name = was[0] + " → " + is[0]
			}
			v.Update, v.Downgrade = KindOf(was[1], is[1])
		}
		out = append(out, c.version(v, o))
	}
	return out
}

func (c *clusterPair) version(v Version, o *render.Object) Version {
	v.Environment, v.Clusters, v.Objects = o.Origin.Environment, []string{c.name}, []string{o.Key().String()}
	return v
}

// mergeVersions makes one entry of those that differ in who uses them, and sorts.
func mergeVersions(list []Version) []Version {
	type identity struct {
		kind, name, old, new, environment string
		update                            Update
	}
	at := map[identity]int{}
	out := []Version{}
	for _, v := range list {
		id := identity{v.Kind, v.Name, v.Old, v.New, v.Environment, v.Update}
		i, ok := at[id]
		if !ok {
			at[id] = len(out)
			out = append(out, v)
			continue
		}
		out[i].Clusters = append(out[i].Clusters, v.Clusters...)
		out[i].Objects = append(out[i].Objects, v.Objects...)
	}
	for i := range out {
		out[i].Clusters, out[i].Objects = unique(out[i].Clusters), unique(out[i].Objects)
	}
	slices.SortFunc(out, func(a, b Version) int {
		return cmp.Or(cmp.Compare(rank(a.Update), rank(b.Update)), cmp.Compare(a.Environment, b.Environment),
			cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Old, b.Old), cmp.Compare(a.New, b.New))
	})
	return out
}

// rank orders updates: what changes before what is new or gone, the largest first.
func rank(u Update) int {
	return slices.Index([]Update{Major, Minor, Patch, Prerelease, Digest, Other, NewVersion, Gone}, u)
}

func unique(list []string) []string {
	slices.Sort(list)
	return slices.Compact(list)
}
