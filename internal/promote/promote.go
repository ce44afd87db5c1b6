// Package promote takes the versions of apps from staging to production, in Git: those that
// have soaked. What it changes is the overlay of production alone, on a branch; production
// itself changes with a release.
package promote

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"

	"lumacore.dev/lumacore/internal/app"
	"lumacore.dev/lumacore/internal/config"
	"lumacore.dev/lumacore/internal/diff"
	"lumacore.dev/lumacore/internal/gitops"
	"lumacore.dev/lumacore/internal/render"
	"lumacore.dev/lumacore/internal/report"
	"lumacore.dev/lumacore/internal/soak"
)

// Input is what a promotion is decided on.
type Input struct {
	Dir     string // of the repository
	Commit  string // that is promoted
	Tree    *gitops.Tree
	Cluster *render.Cluster // that runs staging, as it is rendered at the commit
	Config  *config.Config
	Apps    []string
	Major   bool                 // a person wants major updates
	Client  kubernetes.Interface // of the cluster; nil: it is not asked, and nothing is promoted
	Now     time.Time
}

// Decide says of each app what staging has that prod has not, and whether it may go there. The
// changes are those of the apps that may, to files of the repository.
func Decide(ctx context.Context, in Input) (*Report, map[string][]byte, error) {
	r := &Report{TypeMeta: report.Meta(Kind), Source: in.Commit, Apps: []App{}, NotChecked: []string{}}
	if in.Client == nil {
		r.NotChecked = append(r.NotChecked, "whether staging is healthy: no cluster was asked")
	}
	r.NotChecked = append(r.NotChecked, "whether alerts fired in staging meanwhile", "charts of HelmReleases: only images are promoted")
	changes := map[string][]byte{}
	for _, name := range in.Apps {
		a, plan, err := decide(ctx, in, name)
		if err != nil {
			return nil, nil, err
		}
		r.Apps = append(r.Apps, *a)
		if a.Result == Promoted {
			for _, c := range plan.Changes {
				changes[c.File] = c.After
			}
		}
	}
	return r, changes, nil
}

func decide(ctx context.Context, in Input, name string) (*App, *app.Plan, error) {
	a := &App{Name: name, Result: UpToDate, Updates: []Update{}, Missing: []string{}, Notes: []string{}}
	plan, updates, err := app.Promote(in.Tree, name)
	switch {
	case report.ExitCode(err) == report.ExitFindings:
		a.Result, a.Missing = Refused, append(a.Missing, err.Error())
		return a, nil, nil
	case err != nil:
		return nil, nil, err
	}
	a.Notes = append(a.Notes, plan.Notes...)
	if len(updates) == 0 {
		return a, plan, nil
	}
	var kinds []diff.Update
	downgrade := false
	for _, u := range updates {
		up := Update{Image: u.To.Repo, From: u.From.Version(), To: u.To.Version(), Update: diff.NewVersion}
		if u.From.Name != "" {
			if up.Update = diff.Digest; u.From.Tag != u.To.Tag {
				up.Update, up.Downgrade = diff.KindOf(u.From.Tag, u.To.Tag)
			}
			if u.From.Repo != u.To.Repo {
				up.Image, up.Update = u.From.Repo+" → "+u.To.Repo, diff.Other
			}
		}
		kinds, downgrade = append(kinds, up.Update), downgrade || up.Downgrade
		a.Updates = append(a.Updates, up)
	}
	since, err := in.since(ctx, name)
	if err != nil {
		return nil, nil, err
	}
	var health *soak.Health
	if in.Client != nil {
		workloads, err := in.workloads(name)
		if err != nil {
			return nil, nil, err
		}
		if health, err = soak.Look(ctx, in.Client, workloads); err != nil {
			return nil, nil, report.Refuse("see that the kubeconfig leads to the cluster, and may read pods and workloads", "staging of %s cannot be looked at: %w", name, err)
		}
	}
	times := in.Config.Soak.Of(name)
	needs := soak.Needs{Patch: cmp.Or(times.Patch, soak.Default.Patch), Minor: cmp.Or(times.Minor, soak.Default.Minor)}
	v := soak.Judge(kinds, downgrade, since, health, needs, in.Major, in.Now)
	a.Kind, a.Since, a.SinceWhat = v.Kind, v.Since.Time.UTC().Format(time.RFC3339), v.Since.What
	a.SoakedSeconds, a.NeedSeconds = int64(max(0, in.Now.Sub(v.Since.Time)).Seconds()), int64(v.Need.Seconds())
	a.Missing = append(a.Missing, v.Missing...)
	if !v.At.IsZero() {
		a.ReadyAt = v.At.UTC().Format(time.RFC3339)
	}
	if a.Result = Refused; v.Ready {
		a.Result = Promoted
	}
	return a, plan, nil
}

// since is when staging's overlay got the versions that it has.
func (in Input) since(ctx context.Context, name string) (soak.Moment, error) {
	file := app.StagingFile(name)
	data, err := gitops.Unfiltered{Tree: in.Tree}.ReadFile(file)
	if err != nil {
		return soak.Moment{}, err
	}
	want, err := app.Images(file, data)
	if err != nil {
		return soak.Moment{}, err
	}
	m, err := soak.Since(ctx, in.Dir, in.Commit, file, func(data []byte) bool {
		got, err := app.Images(file, data)
		return err == nil && slices.Equal(got, want)
	})
	if err != nil {
		return m, report.Refuse("fetch the whole history, and commit what is promoted", "%w", err)
	}
	return m, nil
}

// workloads are those of an app's staging, as Git has them.
func (in Input) workloads(name string) ([]soak.Workload, error) {
	namespace := app.StagingNamespace(name)
	var list []soak.Workload
	for _, o := range in.Cluster.Objects {
		if o.GetNamespace() != namespace || !o.Is("apps", "Deployment", "StatefulSet", "DaemonSet") {
			continue
		}
		// The part that they have in common.
		var w appsv1.Deployment
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(map[string]any{"spec": map[string]any{"template": template(o)}}, &w); err != nil {
			return nil, fmt.Errorf("%s %s/%s: %w", o.GetKind(), namespace, o.GetName(), err)
		}
		images := map[string]string{}
		for _, c := range append(slices.Clone(w.Spec.Template.Spec.InitContainers), w.Spec.Template.Spec.Containers...) {
			images[c.Name] = c.Image
		}
		list = append(list, soak.Workload{Kind: o.GetKind(), Namespace: namespace, Name: o.GetName(), Images: images})
	}
	return list, nil
}

func template(o *render.Object) any {
	spec, _ := o.Object["spec"].(map[string]any)
	return spec["template"]
}

// Title is the message of the commit, and the title of the merge request.
func (r *Report) Title() string {
	var parts []string
	for _, a := range r.Apps {
		if a.Result != Promoted {
			continue
		}
		var to []string
		for _, u := range a.Updates {
			tag, _, _ := strings.Cut(u.To, "@")
			if to = append(to, tag); len(a.Updates) > 1 {
				to[len(to)-1] = u.Image[strings.LastIndexByte(u.Image, '/')+1:] + " " + tag
			}
		}
		parts = append(parts, a.Name+" "+strings.Join(to, ", "))
	}
	if title := "chore(prod): promote " + strings.Join(parts, ", "); len(title) <= 100 {
		return title
	}
	return fmt.Sprintf("chore(prod): promote %d apps", len(parts))
}
