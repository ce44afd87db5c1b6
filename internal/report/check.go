package report

import (
	"cmp"
	"path"
	"slices"
)

// CheckReport is the result of `lumacore check`. It holds no time and no path of
// the machine: the same repository gives the same bytes.
//
// Lists are never nil, so that its JSON form has no null.
type CheckReport struct {
	TypeMeta
	// Prefix is the folder of the repository within its Git work tree, with a slash
	// at its end: "fleet/"; empty for the work tree's root. SARIF, JUnit and Code
	// Quality put it before their paths, for their readers know the work tree alone;
	// the paths of the report itself do not have it.
	Prefix       string        `json:"prefix,omitempty"`
	KubeVersion  string        `json:"kubeVersion"` // "1.36": the version that gates compare with
	FailOn       Severity      `json:"failOn"`      // the least severity that makes the check fail
	Clusters     []ClusterSeen `json:"clusters"`
	Gates        []GateResult  `json:"gates"`        // in the order in which they are shown
	Off          []string      `json:"off"`          // rules that lumacore.yaml turns off, sorted
	Findings     []Finding     `json:"findings"`     // sorted; the suppressed ones too
	NotChecked   []Unchecked   `json:"notChecked"`   // sorted
	Placeholders []Placeholder `json:"placeholders"` // sorted
	NotRun       []NotRun      `json:"notRun"`       // rules that need a flag which was not given, by flag
	// Base is set when the report holds only what a change causes.
	Base  *Base  `json:"base,omitempty"`
	Rules []Rule `json:"-"` // of the gates that ran, sorted by id

	// Hidden are the findings that count and that [CheckReport.Show] has taken out,
	// by severity.
	Hidden map[Severity]int `json:"-"`
}

// NotRun names rules that did not run, because they need a flag.
type NotRun struct {
	Needs string   `json:"needs"` // "--changed-since"
	Rules []string `json:"rules"` // sorted
}

// Base is the revision that a change is compared with, and what was left out of the
// report because it is there already.
type Base struct {
	Revision   string `json:"revision"` // as it was asked for: "origin/main"
	Commit     string `json:"commit"`
	Findings   int    `json:"findings"` // that count, and that the change does not cause
	Suppressed int    `json:"suppressed"`
	NotChecked int    `json:"notChecked"`
}

// Since takes out of the report what base, the report of another revision, has too:
// the same finding of the same object, wherever it stands by now. What is there more
// often than it was stays as often as it was added.
func (r *CheckReport) Since(base *CheckReport, b Base) {
	had := map[string]int{}
	for i := range base.Findings {
		had[base.Findings[i].key()]++
	}
	r.Findings = slices.DeleteFunc(r.Findings, func(f Finding) bool {
		k := f.key()
		if had[k] == 0 {
			return false
		}
		had[k]--
		if f.Suppressed != nil {
			b.Suppressed++
		} else {
			b.Findings++
		}
		return true
	})
	clear(had)
	for i := range base.NotChecked {
		had[base.NotChecked[i].key()]++
	}
	r.NotChecked = slices.DeleteFunc(r.NotChecked, func(u Unchecked) bool {
		k := u.key()
		if had[k] == 0 {
			return false
		}
		had[k]--
		b.NotChecked++
		return true
	})
	r.Base = &b
}

// ClusterSeen says what was rendered of a cluster, so that a pass over nothing
// does not look like a pass.
type ClusterSeen struct {
	Name            string `json:"name"`
	Path            string `json:"path"`
	Kustomizations  int    `json:"kustomizations"`
	Built           int    `json:"kustomizationsBuilt"`
	HelmReleases    int    `json:"helmReleases"`
	Rendered        int    `json:"helmReleasesRendered"`
	Objects         int    `json:"objects"`
	Pods            int    `json:"pods"` // objects that make pods
	CustomResources int    `json:"customResources"`
}

// GateResult is what one gate came to.
type GateResult struct {
	Name       string `json:"name"`
	Title      string `json:"title"`
	Findings   int    `json:"findings"`   // that count
	Failing    int    `json:"failing"`    // that make the check fail
	Suppressed int    `json:"suppressed"` // that do not count
	NotChecked int    `json:"notChecked"`
}

// Placeholder is a Secret that only the cluster has, which the render put a
// stand-in for.
type Placeholder struct {
	Secret   string   `json:"secret"` // "Secret app-beacon/registry-read"
	From     string   `json:"from"`   // "OnePasswordItem app-beacon/registry-read"
	Type     string   `json:"type"`   // of the Secret; "" if it is not known
	Clusters []string `json:"clusters"`
	Location Location `json:"location"`
}

// Compare orders placeholders by Secret, origin and place.
func (p Placeholder) Compare(o Placeholder) int {
	return cmp.Or(cmp.Compare(p.Secret, o.Secret), cmp.Compare(p.From, o.From),
		p.Location.Compare(o.Location), cmp.Compare(p.Type, o.Type))
}

// Objects is the number of objects of all clusters.
func (r *CheckReport) Objects() int {
	n := 0
	for _, c := range r.Clusters {
		n += c.Objects
	}
	return n
}

// Failing is the number of findings that make the check fail.
func (r *CheckReport) Failing() int {
	n := 0
	for _, g := range r.Gates {
		n += g.Failing
	}
	return n
}

// Failed tells whether the check fails: because of a finding, or because there was
// nothing to look at.
func (r *CheckReport) Failed() bool { return r.Failing() > 0 || r.Objects() == 0 }

// Show takes out the findings below a severity. The gates' numbers still count them.
func (r *CheckReport) Show(least Severity) {
	r.Findings = slices.DeleteFunc(r.Findings, func(f Finding) bool {
		if f.Severity.AtLeast(least) {
			return false
		}
		if f.Suppressed == nil {
			if r.Hidden == nil {
				r.Hidden = map[Severity]int{}
			}
			r.Hidden[f.Severity]++
		}
		return true
	})
}

// inWorkTree is place, from the root of the Git work tree.
func (r *CheckReport) inWorkTree(l Location, clusters []string) Location {
	l = r.place(l, clusters)
	l.File = path.Join(r.Prefix, l.File)
	return l
}

// place is where a finding is shown in formats in which each needs a file and a
// line: at its own place, else in the folder of its first cluster, else in
// lumacore.yaml.
func (r *CheckReport) place(l Location, clusters []string) Location {
	if l.File == "" {
		l = Location{File: "lumacore.yaml"}
		for _, c := range r.Clusters {
			if len(clusters) > 0 && c.Name == clusters[0] && c.Path != "" && c.Path != "." {
				l.File = c.Path
			}
		}
	}
	l.Line = max(l.Line, 1)
	return l
}
