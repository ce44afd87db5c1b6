package diff

import (
	"cmp"
	"slices"

	"lumacore.dev/lumacore/internal/report"
)

// Report is the result of `lumacore diff`. Lists are never nil, so that its JSON form
// has no null. It holds no time and no path of the machine.
type Report struct {
	report.TypeMeta
	Base        Revision      `json:"base"`
	Head        Revision      `json:"head"`
	Counts      []Count       `json:"counts"`      // by cluster and environment, sorted; only those with a difference
	Versions    []Version     `json:"versions"`    // sorted
	Objects     []Object      `json:"objects"`     // that differ in more than noise, sorted
	Folded      []Folded      `json:"folded"`      // objects that differ in noise alone
	NotCompared []NotCompared `json:"notCompared"` // sorted
}

// Revision is one side, and what was looked at there.
type Revision struct {
	Revision string    `json:"revision,omitempty"` // as it was asked for: "origin/main"; empty for the work tree
	Commit   string    `json:"commit,omitempty"`   // its full name; empty for the work tree, and for what is in no commit yet
	Clusters []Cluster `json:"clusters"`
}

// Cluster says what was rendered of one.
type Cluster struct {
	Name           string `json:"name"`
	Kustomizations int    `json:"kustomizations"`
	HelmReleases   int    `json:"helmReleases"`
	Objects        int    `json:"objects"`
}

// Count is how many objects differ in one environment of a cluster.
type Count struct {
	Cluster     string `json:"cluster"`
	Environment string `json:"environment,omitempty"` // empty for objects in none
	Added       int    `json:"added"`
	Removed     int    `json:"removed"`
	Changed     int    `json:"changed"`
	Folded      int    `json:"folded"` // that change in noise alone
}

// Version is an image or a chart that gets another version.
type Version struct {
	Kind        string   `json:"kind"`          // "image", "chart"
	Name        string   `json:"name"`          // "ghcr.io/example/web", "traefik"
	Old         string   `json:"old,omitempty"` // "1.4.2@sha256:…"; empty if it is new
	New         string   `json:"new,omitempty"`
	Update      Update   `json:"update"`
	Downgrade   bool     `json:"downgrade,omitempty"`
	Environment string   `json:"environment,omitempty"`
	Clusters    []string `json:"clusters"`
	Objects     []string `json:"objects"` // that use it: "Deployment web/web", sorted
}

// Action says what happens to an object or a field.
type Action string

// The actions.
const (
	Added     Action = "added"
	Removed   Action = "removed"
	Changed   Action = "changed"
	Reordered Action = "reordered" // of a list: the same items in another order
)

// Object is one object that differs.
type Object struct {
	Action        Action          `json:"action"`
	Object        string          `json:"object"` // "Deployment web/web"
	Group         string          `json:"group,omitempty"`
	Was           string          `json:"was,omitempty"` // the earlier name, of one whose name ends in a hash
	Clusters      []string        `json:"clusters"`
	Environment   string          `json:"environment,omitempty"`
	Kustomization string          `json:"kustomization,omitempty"`
	HelmRelease   string          `json:"helmRelease,omitempty"`
	Template      string          `json:"template,omitempty"`
	Suspended     bool            `json:"suspended,omitempty"` // Flux does not apply it now
	Location      report.Location `json:"location"`            // at head; of one that is gone, at base
	Marks         []ObjectMark    `json:"marks"`
	Changes       []Change        `json:"changes"`
	Folded        int             `json:"folded"`            // fields that are noise
	Content       string          `json:"content,omitempty"` // of one that is new or gone, as YAML
}

// ObjectMark is a mark that an object has.
type ObjectMark struct {
	Mark     string          `json:"mark"` // name, of [Marks]
	Severity report.Severity `json:"severity"`
	Message  string          `json:"message"`
	Link     string          `json:"link"` // the source
}

// Change is one field that differs.
type Change struct {
	Action Action `json:"action"`
	Path   string `json:"path"`          // "spec.template.spec.containers[name=web].image"
	Old    string `json:"old,omitempty"` // one line; for maps and lists YAML
	New    string `json:"new,omitempty"`
	Diff   string `json:"diff,omitempty"` // of texts of several lines, instead of Old and New: as diff -u
	// Hidden says why neither is shown: the value is secret.
	Hidden string `json:"hidden,omitempty"`
}

// Folded is a group of objects that change only in the same noise.
type Folded struct {
	Fields  []string `json:"fields"`  // "helm.sh/chart", sorted
	Objects []string `json:"objects"` // sorted; with the cluster if there is more than one
}

// NotCompared is something that could not be compared.
type NotCompared struct {
	Subject  string          `json:"subject"`
	Side     string          `json:"side"` // "base", "head", "both": where it could not be looked at
	Reason   string          `json:"reason"`
	Objects  int             `json:"objects"` // that the other side has, and that are not shown
	Location report.Location `json:"location"`
	Clusters []string        `json:"clusters"`
}

// Differs tells whether the revisions come to something else, as far as was seen;
// noise counts.
func (r *Report) Differs() bool { return len(r.Objects) > 0 || len(r.Folded) > 0 }

// Certain tells whether all of both sides was compared.
func (r *Report) Certain() bool { return len(r.NotCompared) == 0 }

// total adds up the counts.
func (r *Report) total() (t Count) {
	for _, c := range r.Counts {
		t.Added += c.Added
		t.Removed += c.Removed
		t.Changed += c.Changed
		t.Folded += c.Folded
	}
	return t
}

// name is how a side is called.
func (r Revision) name() string {
	if r.Commit == "" {
		return cmp.Or(r.Revision, "the work tree")
	}
	return r.Revision + " (" + r.Commit[:min(12, len(r.Commit))] + ")"
}

func (r Revision) objects() int {
	n := 0
	for _, c := range r.Clusters {
		n += c.Objects
	}
	return n
}

// clusters are the names of the clusters of both sides.
func (r *Report) clusters() []string {
	var out []string
	for _, c := range slices.Concat(r.Base.Clusters, r.Head.Clusters) {
		out = append(out, c.Name)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// risk is a mark with its object.
type risk struct {
	*Object
	ObjectMark
}

// risks are all marks, the most severe first. Those that are only worth knowing
// about the object are left out: they are counted elsewhere.
func (r *Report) risks() (out []risk) {
	for i := range r.Objects {
		for _, m := range r.Objects[i].Marks {
			if m.Mark != production {
				out = append(out, risk{&r.Objects[i], m})
			}
		}
	}
	slices.SortStableFunc(out, func(a, b risk) int {
		return cmp.Compare(slices.Index(report.Severities, a.Severity), slices.Index(report.Severities, b.Severity))
	})
	return out
}

// in counts the objects with a mark.
func (r *Report) in(mark string) (n int) {
	for _, o := range r.Objects {
		if slices.ContainsFunc(o.Marks, func(m ObjectMark) bool { return m.Mark == mark }) {
			n++
		}
	}
	return n
}
