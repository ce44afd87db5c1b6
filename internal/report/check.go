package report

// CheckReport is the result of `lumacore check`. It holds no time and no path of
// the machine: the same repository gives the same bytes.
type CheckReport struct {
	TypeMeta
	KubeVersion string        `json:"kubeVersion"` // "1.36": the version that gates compare with
	FailOn      Severity      `json:"failOn"`      // the least severity that makes the check fail
	Clusters    []ClusterSeen `json:"clusters"`
	Gates       []GateResult  `json:"gates"`
	Findings    []Finding     `json:"findings"`   // sorted; the suppressed ones too
	NotChecked  []Unchecked   `json:"notChecked"` // sorted
	Placeholder []StandIn     `json:"placeholders"`
	Rules       []Rule        `json:"-"` // of the gates that ran, sorted by id
}

// ClusterSeen says what was rendered of a cluster, so that a pass over nothing
// does not look like a pass.
type ClusterSeen struct {
	Name            string `json:"name"`
	Path            string `json:"path"`
	Kustomizations  int    `json:"kustomizations"`
	HelmReleases    int    `json:"helmReleases"`
	Rendered        int    `json:"helmReleasesRendered"`
	Objects         int    `json:"objects"`
	Pods            int    `json:"pods"` // objects that make pods
	CustomResources int    `json:"customResources"`
}

// GateResult is what one gate came to.
type GateResult struct {
	Name       string `json:"name"`
	Findings   int    `json:"findings"`   // that count
	Failing    int    `json:"failing"`    // that make the check fail
	Suppressed int    `json:"suppressed"` // that do not count
	NotChecked int    `json:"notChecked"`
}

// StandIn is a Secret that only the cluster has, which the render put a
// placeholder for.
type StandIn struct {
	Secret   string   `json:"secret"` // "Secret app-beacon/registry-read"
	From     string   `json:"from"`   // "OnePasswordItem app-beacon/registry-read"
	Type     string   `json:"type"`
	Clusters []string `json:"clusters"`
	Location Location `json:"location"`
}

// Failed tells whether the check fails.
func (r *CheckReport) Failed() bool {
	for _, g := range r.Gates {
		if g.Failing > 0 {
			return true
		}
	}
	return false
}
