package check

import (
	"context"
	"errors"
	"slices"
	"time"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	sourcev1 "github.com/fluxcd/source-controller/api/v1"

	"lumacore.dev/lumacore/internal/config"
	"lumacore.dev/lumacore/internal/render"
	"lumacore.dev/lumacore/internal/report"
)

// The rules of [ConfigGate].
const (
	ruleNothing  = "config/nothing-checked"
	ruleExpired  = "config/allowance-expired"
	ruleUnused   = "config/allowance-unused"
	ruleNoReason = "config/annotation-without-reason"
	ruleUnknown  = "config/annotation-unknown"
	ruleGitLab   = "config/gitlab-projects-invalid"
)

// ConfigGate watches over the check itself: that there was something to look at,
// that what says "this finding does not count" is still right, that settings.env has what
// the rest of a repository from the blueprint takes from it, and that files for other
// commands can be read. [Run] always runs it, and reports the allowances itself, for it
// alone knows what they fit.
var ConfigGate = &Gate{
	Name:  "config",
	Title: "checks that look at nothing, exceptions that have expired or fit nothing, and wrong settings",
	Rules: append([]report.Rule{
		{
			ID:       ruleNothing,
			Title:    "a cluster without objects to check",
			Severity: report.Error,
			Why:      "A check that looks at nothing finds nothing, and must not be taken for one that passed. The folder may be the wrong one, or nothing in it can be rendered.",
			Fix:      "Name the folder that Flux reads first, in lumacore.yaml under clusters; `lumacore render` shows what is in it.",
			Link:     "https://fluxcd.io/flux/guides/repository-structure/",
			Bad: `-- lumacore.yaml --
apiVersion: lumacore.dev/v1alpha1
kind: Config
clusters:
  - name: home
    path: docs
-- docs/README.md --
The cluster of this house.
-- clusters/home/namespace.yaml --
apiVersion: v1
kind: Namespace
metadata:
  name: app
`,
			Good: `-- lumacore.yaml --
apiVersion: lumacore.dev/v1alpha1
kind: Config
clusters:
  - name: home
    path: clusters/home
-- docs/README.md --
The cluster of this house.
-- clusters/home/namespace.yaml --
apiVersion: v1
kind: Namespace
metadata:
  name: app
`,
		},
		{
			ID:       ruleExpired,
			Title:    "an allowance that has expired",
			Severity: report.Error,
			Why:      "The entry was meant to hold until a day that is over. It has no effect any more: its findings count.",
			Fix:      "Fix what the entry allows and delete it, or give it a new day if its reason still holds.",
			Link:     aboutSuppressions,
			Bad:      allowing("images/no-digest", "2026-01-31", "busybox:1.37.0"),
			Good:     allowing("images/no-digest", "2027-01-31", "busybox:1.37.0"),
		},
		{
			ID:       ruleUnused,
			Title:    "an entry or annotation that allows findings and fits none",
			Severity: report.Warning,
			Why:      "What it was written for is fixed, or it names the wrong file or object, or an annotation stands on a pod template instead of on the object. What stays hides the next finding that happens to fit.",
			Fix:      "Delete it; or correct an entry's rule, file, object and message, or move the annotation to the metadata of the object that the finding names.",
			Link:     aboutSuppressions,
			Bad:      allowing("images/no-digest", "2027-01-31", "busybox:1.37.0@sha256:98ad9d1a2be345201bb0709b0d38655eb1b370145c7d94ca1fe9c421f76e245a"),
			Good:     allowing("images/no-digest", "2027-01-31", "busybox:1.37.0"),
		},
		{
			ID:       ruleNoReason,
			Title:    "an annotation that allows findings without a reason",
			Severity: report.Error,
			Why:      "Nobody can tell later whether an exception without a reason is still right. The annotation has no effect.",
			Fix:      "Write the reason as the annotation's value.",
			Link:     aboutAnnotations,
			Bad:      annotating("images/no-digest", `""`),
			Good:     annotating("images/no-digest", `"the image is built on the cluster"`),
		},
		{
			ID:       ruleUnknown,
			Title:    "an annotation that allows findings of a rule that there is not",
			Severity: report.Warning,
			Why:      "The name is misspelt, or the rule is one of another version. The annotation has no effect.",
			Fix:      "Name the rule as `allow.lumacore.dev/GATE.RULE`; `lumacore explain` lists them.",
			Link:     aboutAnnotations,
			Bad:      annotating("images/no-digets", `"the image is built on the cluster"`),
			Good:     annotating("images/no-digest", `"the image is built on the cluster"`),
		},
		{
			ID:       ruleGitLab,
			Title:    "a file of GitLab's projects that `lumacore gitlab` would refuse",
			Severity: report.Error,
			Why:      "`lumacore gitlab plan` runs on a schedule to show drift. A mistake in " + config.GitLabFile + " stops it, which is seen when somebody looks for its result.",
			Fix:      "Correct the line; the comments of the file and its JSON Schema say what there is.",
			Link:     "https://docs.gitlab.com/api/projects/",
			Bad:      governing("fast-forward"),
			Good:     governing("ff"),
		},
	}, settingRules...),
	Check: checkConfig,
}

// Where exceptions are explained: SARIF (section "suppression object") has the same
// idea of them, a justification included.
const (
	aboutSuppressions = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html"
	aboutAnnotations  = "https://kubernetes.io/docs/concepts/overview/working-with-objects/annotations/"
)

// allowing is an example with an entry, and a pod with an image.
func allowing(rule, expires, image string) string {
	return `-- lumacore.yaml --
apiVersion: lumacore.dev/v1alpha1
kind: Config
check:
  allow:
    - rule: ` + rule + `
      object: Pod app/tool
      reason: the registry of this image has no stable digests
      expires: ` + expires + `
-- cluster/pod.yaml --
apiVersion: v1
kind: Pod
metadata:
  name: tool
  namespace: app
spec:
  containers:
    - name: tool
      image: ` + image + `
`
}

// governing is an example with a merge method of a GitLab project.
func governing(method string) string {
	return `-- cluster/configmap.yaml --
apiVersion: v1
kind: ConfigMap
metadata:
  name: welcome
data:
  text: Welcome.
-- ` + config.GitLabFile + ` --
apiVersion: lumacore.dev/v1alpha1
kind: GitLabProjects
projects:
  - path: homelab/infra
    merge:
      method: ` + method + `
`
}

// annotating is an example with an annotation.
func annotating(rule, reason string) string {
	return `apiVersion: v1
kind: Pod
metadata:
  name: tool
  namespace: app
  annotations:
    ` + Annotation(rule) + `: ` + reason + `
spec:
  containers:
    - name: tool
      image: busybox:1.37.0
`
}

func checkConfig(_ context.Context, in *Input, out *Reporter) error {
	if len(in.Render.Clusters) == 0 {
		out.File(ruleNothing, report.Location{}, "no cluster was found, because there is no Flux Kustomization or FluxInstance to begin with: nothing was checked")
	}
	checkSettings(in, out)
	if in.Tree != nil {
		var wrong *config.Error
		if _, _, err := config.LoadGitLabProjects(in.Tree); errors.As(err, &wrong) {
			for _, m := range wrong.Mistakes {
				out.File(ruleGitLab, m.Location, "%s", m.Message)
			}
		}
	}
	rules := ruleIDs(in.Known)
	for _, c := range in.Render.Clusters {
		if len(c.Objects) == 0 {
			out.Add(report.Finding{
				Rule: ruleNothing, Clusters: []string{c.Name},
				Message: "no object was rendered of cluster " + c.Name + " (folder " + c.Path + "): nothing was checked there",
			})
		}
		if len(c.Objects) > 0 && unbuilt(c) {
			out.Add(report.Finding{
				Rule: ruleNothing, Clusters: []string{c.Name},
				Message: "nothing but Flux Kustomizations and sources was rendered of cluster " + c.Name + " (folder " + c.Path + "), for what they apply does not build: nothing else was checked there",
				Fix:     "Mend what does not build: `lumacore check --gate render` names it.",
			})
		}
		for _, o := range c.Objects {
			checkAnnotations(rules, c, o, out)
		}
	}
	return nil
}

// unbuilt tells whether a cluster has nothing but what tells Flux what to apply,
// because that does not build.
func unbuilt(c *render.Cluster) bool {
	for _, o := range c.Objects {
		if group := o.GroupVersionKind().Group; group != kustomizev1.GroupVersion.Group && group != sourcev1.GroupVersion.Group {
			return false
		}
	}
	// Without a path it applies another repository, which is not looked at here.
	return len(c.Problems) > 0 && slices.ContainsFunc(c.Kustomizations, func(k *render.Kustomization) bool {
		return !k.Built && !k.Suspended && k.Path != ""
	})
}

func checkAnnotations(rules []string, c *render.Cluster, o *render.Object, out *Reporter) {
	each(o, append([][]any{{}}, templates...), func(name string, at []any, reason string) {
		rule, _ := annotatedRule(name)
		switch {
		case !slices.Contains(rules, rule):
			hint := "lumacore explain lists them all"
			if near := report.Nearest(rule, rules); near != "" {
				hint = "did you mean " + Annotation(near) + "?"
			}
			out.Object(ruleUnknown, c, o, at, "the annotation %s names no rule; %s", name, hint)
		case reason == "" && at[0] == "metadata":
			out.Object(ruleNoReason, c, o, at, "the annotation %s has no reason, and so no effect", name)
		}
	})
}

// checkAllowances reports entries that have expired or fit nothing, of rules that
// ran.
func checkAllowances(p *policy, ran map[string]bool, out *Reporter) {
	for _, a := range p.allow {
		switch {
		case !ran[a.Rule]:
		case a.expired:
			out.File(ruleExpired, a.Location, "the allowance for %s%s held until %s; findings that it fits count again", a.Rule, about(a.Allowance), a.Expires.Format(time.DateOnly))
		case !a.used:
			out.File(ruleUnused, a.Location, "the allowance for %s%s fits no finding", a.Rule, about(a.Allowance))
		}
	}
}

// about says what an entry is about, besides its rule.
func about(a config.Allowance) string {
	s := ""
	for _, part := range []struct{ name, value string }{{"file", a.File}, {"object", a.Object}, {"message", a.Message}} {
		if part.value != "" {
			s += ", " + part.name + " " + part.value
		}
	}
	return s
}

// ruleIDs are the ids of all rules of gates, sorted.
func ruleIDs(gates []*Gate) []string {
	var ids []string
	for _, g := range gates {
		for _, r := range g.Rules {
			ids = append(ids, r.ID)
		}
	}
	slices.Sort(ids)
	return ids
}
