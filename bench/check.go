package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

const (
	repetitions  = 5  // of each side of a comparison
	sameRuns     = 20 // of what must give the same bytes
	folders      = 100
	compared     = 200 // apps of the repository that render and schema are compared on
	kubeVersion  = "1.36.0"
	growthFactor = 5 // from 200 to 1,000 apps
	growthSlack  = 1.2
)

// checkRun is one measurement of group check.
type checkRun struct {
	*bench
	dir      string // temporary
	lumacore program
	generate program
}

func measureCheck(ctx context.Context, b *bench) error {
	dir, err := os.MkdirTemp("", "lumacore-bench-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	c := &checkRun{bench: b, dir: dir, lumacore: program(b.lumacore)}
	if c.generate, err = b.goBuild(ctx, ".", "generate", "./test/repository/generate"); err != nil {
		return err
	}
	for _, step := range []func(context.Context) error{c.found, c.same, c.folders, c.releases, c.scale, c.changed, c.network, c.policy, c.pipeline, c.history} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// repository makes a repository and returns its folder and, one per line, the
// folders that its Flux Kustomizations apply.
func (c *checkRun) repository(ctx context.Context, name string, flags ...string) (dir string, folders []string, err error) {
	dir = filepath.Join(c.dir, name)
	list := dir + ".folders"
	args := append(slices.Clone(flags), "--folders", list, "--truth", dir+".truth", dir)
	if _, err := (job{program: c.generate, args: args}).run(ctx); err != nil {
		return "", nil, err
	}
	data, err := os.ReadFile(list)
	if err != nil {
		return "", nil, err
	}
	return dir, strings.Fields(string(data)), nil
}

// check is a run of `lumacore check`, the first one: nothing is kept of another.
func (c *checkRun) check(repository, output string, flags ...string) job {
	args := append([]string{"check", "--offline", "--kube-version", kubeVersion}, flags...)
	return job{program: c.lumacore, args: append(args, repository), output: output, fails: true}
}

// again is a job with what earlier ones of this run have kept.
func (c *checkRun) again(j job) job {
	j.cache = filepath.Join(c.dir, "cache")
	return j
}

// render is a run of `lumacore render`, the first one.
func (c *checkRun) render(repository, output string) job {
	return job{program: c.lumacore, args: []string{"render", "--offline", "--kube-version", kubeVersion, "-o", "yaml", repository}, output: output}
}

// checkReport is what is read of `lumacore check -o json`.
type checkReport struct {
	Clusters []struct {
		Kustomizations, HelmReleases, HelmReleasesRendered int
		Objects, Pods, CustomResources                     int
	}
	Findings []struct {
		Rule     string
		Location struct {
			File string
			Line int
		}
		Suppressed any
	}
	NotChecked []any
}

func readReport(name string) (*checkReport, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	r := &checkReport{}
	if err := json.Unmarshal(data, r); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if len(r.Clusters) == 0 {
		return nil, fmt.Errorf("%s: the report names no cluster: nothing was looked at", name)
	}
	return r, nil
}

// saw says what the check looked at.
func (r *checkReport) saw() string {
	all, pods, custom := 0, 0, 0
	for _, c := range r.Clusters {
		all, pods, custom = all+c.Objects, pods+c.Pods, custom+c.CustomResources
	}
	return fmt.Sprintf("%s; %d not checked", seen(all, pods, custom), len(r.NotChecked))
}

// defect is a mistake that was put into a repository.
type defect struct {
	Gate, Rule, File string
	Line             int
}

// found counts what `lumacore check` finds of the mistakes that were put into
// repositories, and what it finds where nothing is wrong.
func (c *checkRun) found(ctx context.Context) error {
	// What the set of a gate takes beside its mistakes.
	needs := map[string][]string{"dryrun": {"--dry-run=lab"}}
	clean, err := c.findings(ctx, "clean", nil)
	if err != nil {
		return err
	}
	c.add("check.falsepositives", "findings", most(0), float64(len(clean.Findings))).Saw = clean.saw()

	list := filepath.Join(c.dir, "sets")
	if _, err := (job{program: c.generate, args: []string{"--sets"}, output: list}).run(ctx); err != nil {
		return err
	}
	sets, err := os.ReadFile(list)
	if err != nil {
		return err
	}
	wanted, hit, more := map[string]int{}, map[string]int{}, 0
	for _, set := range strings.Fields(string(sets)) {
		rep, err := c.findings(ctx, "bad-"+set, needs[set], "--defects", set)
		if err != nil {
			return err
		}
		data, err := os.ReadFile(filepath.Join(c.dir, "bad-"+set+".truth"))
		if err != nil {
			return err
		}
		var truth []defect
		if err := json.Unmarshal(data, &truth); err != nil {
			return err
		}
		got := map[defect]bool{}
		for _, f := range rep.Findings {
			if f.Suppressed == nil {
				gate, _, _ := strings.Cut(f.Rule, "/")
				got[defect{gate, f.Rule, f.Location.File, f.Location.Line}] = true
			}
		}
		for _, d := range truth {
			wanted[d.Gate]++
			if got[d] {
				hit[d.Gate]++
			} else {
				fmt.Fprintf(os.Stderr, "not found: %s %s:%d\n", d.Rule, d.File, d.Line)
			}
			delete(got, d)
		}
		for d := range got {
			fmt.Fprintf(os.Stderr, "found where nothing is wrong: %s %s:%d\n", d.Rule, d.File, d.Line)
		}
		more += len(got)
	}
	for _, gate := range slices.Sorted(maps.Keys(wanted)) {
		c.add("check.recall."+gate, "%", least(100), 100*float64(hit[gate])/float64(wanted[gate])).
			Saw = fmt.Sprintf("%d of %d mistakes, at the right line", hit[gate], wanted[gate])
	}
	c.add("check.falsepositives.bad", "findings", most(0), float64(more)).
		Saw = "beside the mistakes, in the repositories that have them"
	return nil
}

// findings makes a small repository and checks it, with some more flags.
func (c *checkRun) findings(ctx context.Context, name string, more []string, flags ...string) (*checkReport, error) {
	dir, _, err := c.repository(ctx, name, append([]string{"--apps", "20"}, flags...)...)
	if err != nil {
		return nil, err
	}
	if _, err := c.check(dir, dir+".json", append([]string{"-o", "json"}, more...)...).run(ctx); err != nil {
		return nil, err
	}
	return readReport(dir + ".json")
}

// same counts how many different reports many runs over one repository give.
func (c *checkRun) same(ctx context.Context) error {
	bad, _, err := c.repository(ctx, "bad", "--apps", strconv.Itoa(compared), "--defects", "all")
	if err != nil {
		return err
	}
	for _, format := range []string{"json", "sarif"} {
		sums := map[[sha256.Size]byte]bool{}
		out := filepath.Join(c.dir, "same")
		for range sameRuns {
			if _, err := c.check(bad, out, "-o", format).run(ctx); err != nil {
				return err
			}
			data, err := os.ReadFile(out)
			if err != nil {
				return err
			}
			sums[sha256.Sum256(data)] = true
		}
		c.add("check.deterministic."+format, "reports", most(1), float64(len(sums))).
			Saw = fmt.Sprintf("%d runs", sameRuns)
	}
	return nil
}

// folders compares the rendering of 100 folders with building each of them with
// Flux's library and with the kustomize program.
func (c *checkRun) folders(ctx context.Context) error {
	// The cluster's folder, two of infrastructure and the staging overlays of three apps
	// come with the apps.
	dir, list, err := c.repository(ctx, "plain", "--apps", strconv.Itoa(folders-6), "--plain")
	if err != nil {
		return err
	}
	if len(list) != folders {
		return fmt.Errorf("the generated repository has %d folders, not %d", len(list), folders)
	}
	fluxbuild, err := c.peer(ctx, "fluxbuild")
	if err != nil {
		return err
	}
	kustomize, err := c.peer(ctx, "kustomize")
	if err != nil {
		return err
	}
	mine, flux := dir+".lumacore", dir+".fluxbuild"
	kustomizations, streams := kustomizeJobs(kustomize, dir, list)
	lumacoreArm := &arm{name: "lumacore render", run: c.render(dir, mine).run}
	againArm := &arm{name: "lumacore render, again", run: c.again(c.render(dir, dir+".again")).run}
	fluxArm := &arm{name: "fluxbuild", run: job{program: fluxbuild, args: list, dir: dir, output: flux}.run}
	kustomizeArm := &arm{name: "kustomize build", run: func(ctx context.Context) (usage, error) { return loop(ctx, kustomizations) }}

	// The same objects first, then the time.
	for _, a := range []*arm{lumacoreArm, againArm, fluxArm, kustomizeArm} {
		if _, err := a.run(ctx); err != nil {
			return err
		}
	}
	rendered, err := readObjects(mine)
	if err != nil {
		return err
	}
	for name, files := range map[string][]string{"fluxbuild": {flux}, "kustomize build": streams, "lumacore render, again": {dir + ".again"}} {
		built, err := readObjects(files...)
		if err != nil {
			return err
		}
		if err := rendered.equal("lumacore render", name, built); err != nil {
			return err
		}
	}
	if err := interleave(ctx, lumacoreArm, againArm, fluxArm, kustomizeArm); err != nil {
		return err
	}
	saw := fmt.Sprintf("%d folders, the same %s", folders, rendered.saw())
	c.addArm("check.render.100", most(0.6), lumacoreArm, saw)
	c.addArm("check.render.100.again", none, againArm, saw)
	c.addArm("check.render.100.fluxbuild", none, fluxArm, saw)
	c.addArm("check.render.100.kustomize", none, kustomizeArm, saw)
	c.add("check.render.ratio", "×", least(10), fluxArm.slower(lumacoreArm)...).Saw = "fluxbuild / lumacore render"
	c.add("check.render.ratio.kustomize", "×", none, kustomizeArm.slower(lumacoreArm)...).Saw = "kustomize build / lumacore render"
	return nil
}

// kustomizeJobs are the runs of `kustomize build` in folders of a repository, and
// the files that they write.
func kustomizeJobs(kustomize program, dir string, list []string) (jobs []job, streams []string) {
	for i, folder := range list {
		out := fmt.Sprintf("%s.kustomize.%d.yaml", dir, i)
		jobs = append(jobs, job{program: kustomize, args: []string{"build", folder}, dir: dir, output: out})
		streams = append(streams, out)
	}
	return jobs, streams
}

// releases compares rendering and validation of a repository of which half are
// HelmReleases with what a script can do: `kustomize build` and `helm template`
// in loops, kubeconform over what they print.
func (c *checkRun) releases(ctx context.Context) error {
	dir, list, err := c.repository(ctx, "releases", "--apps", strconv.Itoa(compared))
	if err != nil {
		return err
	}
	programs := map[string]program{}
	for _, name := range []string{"kustomize", "helm", "kubeconform"} {
		if programs[name], err = c.peer(ctx, name); err != nil {
			return err
		}
	}
	stream := dir + ".yaml"
	if _, err := c.render(dir, stream).run(ctx); err != nil {
		return err
	}
	charts, streams, err := helmJobs(programs["helm"], dir, stream)
	if err != nil {
		return err
	}
	schemas := dir + ".schemas"
	if err := os.Mkdir(schemas, 0o755); err != nil {
		return err
	}
	if err := errors.Join(kubernetesSchemas(schemas), customSchemas(stream, schemas)); err != nil {
		return err
	}
	kustomizations, built := kustomizeJobs(programs["kustomize"], dir, list)

	report, summary := dir+".json", dir+".kubeconform"
	renderArm := &arm{name: "lumacore render", run: c.render(dir, stream).run}
	schemaArm := &arm{name: "lumacore check --gate schema", run: c.check(dir, report, "--gate", "schema", "-o", "json").run}
	helmArm := &arm{name: "helm template", run: func(ctx context.Context) (usage, error) { return loop(ctx, charts) }}
	kustomizeArm := &arm{name: "kustomize build", run: func(ctx context.Context) (usage, error) { return loop(ctx, kustomizations) }}
	kubeconformArm := &arm{name: "kubeconform", run: job{
		program: programs["kubeconform"], output: summary, fails: true,
		args: []string{"-strict", "-n", "2", "-ignore-missing-schemas", "-summary", "-output", "json", "-schema-location", schemaLocation(schemas), stream},
	}.run}

	// Everything that Helm makes is part of what lumacore renders.
	if _, err := helmArm.run(ctx); err != nil {
		return err
	}
	rendered, err := readObjects(stream)
	if err != nil {
		return err
	}
	templated, err := readObjects(streams...)
	if err != nil {
		return err
	}
	if missing := templated.minus(rendered); len(missing) > 0 {
		return fmt.Errorf("%d objects that helm template makes are not what lumacore render makes, such as\n%s", len(missing), missing.first())
	}
	if err := interleave(ctx, renderArm, schemaArm, helmArm, kustomizeArm, kubeconformArm); err != nil {
		return err
	}

	c.addArm("check.render.helm", none, renderArm, fmt.Sprintf("all %d apps: %s", compared, rendered.saw()))
	c.addArm("check.render.helm.helm", none, helmArm, fmt.Sprintf("%d releases alone: %s, the same", len(charts), templated.saw()))
	c.add("check.render.helm.ratio", "×", none, helmArm.slower(renderArm)...).Saw = "helm template of the releases / lumacore render of everything"

	checked, err := readReport(report)
	if err != nil {
		return err
	}
	data, err := os.ReadFile(summary)
	if err != nil {
		return err
	}
	var k struct {
		Summary struct{ Valid, Invalid, Errors, Skipped int }
	}
	if err := json.Unmarshal(data, &k); err != nil {
		return fmt.Errorf("kubeconform: %w", err)
	}
	if k.Summary.Valid == 0 || k.Summary.Invalid+k.Summary.Errors > 0 {
		return fmt.Errorf("kubeconform should find every object valid or skip it: %+v; see %s", k.Summary, data[:min(len(data), 2000)])
	}
	c.addArm("check.schema", none, schemaArm, "renders, then validates: "+checked.saw())
	c.addArm("check.schema.kubeconform", none, kubeconformArm,
		fmt.Sprintf("what lumacore rendered, given as one file: %d valid, %d skipped", k.Summary.Valid, k.Summary.Skipped))
	script := &arm{}
	for i := range kubeconformArm.all {
		h, ks, kc := helmArm.all[i], kustomizeArm.all[i], kubeconformArm.all[i]
		script.all = append(script.all, usage{h.seconds + ks.seconds + kc.seconds, max(h.memory, ks.memory, kc.memory)})
	}
	raw, err := readObjects(built...)
	if err != nil {
		return err
	}
	c.addArm("check.schema.script", none, script, "kustomize build ("+raw.saw()+"), helm template, kubeconform; no variables substituted")
	c.add("check.schema.ratio", "×", none, script.slower(schemaArm)...).Saw = "that script / lumacore check --gate schema"
	return nil
}

// helmJobs are the runs of `helm template` that make what the HelmReleases in a
// stream make, and the files that they write. Values come from ConfigMaps and from
// the release itself, in Flux's order, which is the order of Helm's -f.
func helmJobs(helm program, dir, stream string) (jobs []job, streams []string, err error) {
	list, err := readStream(stream)
	if err != nil {
		return nil, nil, err
	}
	type metadata struct{ Name, Namespace string }
	type object struct {
		Kind     string
		Metadata metadata
		Data     map[string]string
		Spec     struct {
			Chart      struct{ Spec struct{ Chart string } }
			ValuesFrom []struct{ Kind, Name, ValuesKey string } `yaml:"valuesFrom"`
			Values     map[string]any
		}
	}
	var releases []object
	maps := map[metadata]map[string]string{}
	for _, o := range list {
		if o["kind"] != "HelmRelease" && o["kind"] != "ConfigMap" {
			continue
		}
		data, err := yaml.Marshal(o)
		if err != nil {
			return nil, nil, err
		}
		var it object
		if err := yaml.Unmarshal(data, &it); err != nil {
			return nil, nil, fmt.Errorf("%s: %w", stream, err)
		}
		if it.Kind == "ConfigMap" {
			maps[it.Metadata] = it.Data
		} else {
			releases = append(releases, it)
		}
	}
	for i, r := range releases {
		args := []string{"template", r.Metadata.Name, r.Spec.Chart.Spec.Chart, "--namespace", r.Metadata.Namespace, "--include-crds", "--kube-version", kubeVersion}
		values := func(n int, data []byte) error {
			file := fmt.Sprintf("%s.values.%d.%d", dir, i, n)
			args = append(args, "-f", file)
			return os.WriteFile(file, data, 0o644)
		}
		for n, from := range r.Spec.ValuesFrom {
			data := maps[metadata{from.Name, r.Metadata.Namespace}][cmp.Or(from.ValuesKey, "values.yaml")]
			if data == "" {
				return nil, nil, fmt.Errorf("HelmRelease %s: no values in %s %s", r.Metadata.Name, from.Kind, from.Name)
			}
			if err := values(n, []byte(data)); err != nil {
				return nil, nil, err
			}
		}
		data, err := yaml.Marshal(r.Spec.Values)
		if err != nil {
			return nil, nil, err
		}
		if err := values(len(r.Spec.ValuesFrom), data); err != nil {
			return nil, nil, err
		}
		out := fmt.Sprintf("%s.helm.%d", dir, i)
		jobs = append(jobs, job{program: helm, args: args, dir: dir, output: out})
		streams = append(streams, out)
	}
	if len(jobs) == 0 {
		return nil, nil, fmt.Errorf("%s: no HelmRelease", stream)
	}
	return jobs, streams, nil
}

// scale measures the whole check at three sizes.
func (c *checkRun) scale(ctx context.Context) error {
	sizes := []int{20, 200, 1000}
	var arms []*arm
	for _, n := range sizes {
		dir, _, err := c.repository(ctx, fmt.Sprintf("scale-%d", n), "--apps", strconv.Itoa(n))
		if err != nil {
			return err
		}
		arms = append(arms, &arm{name: fmt.Sprintf("%d apps", n), run: c.check(dir, dir+".json", "-o", "json").run})
	}
	again := &arm{name: "200 apps, again", run: c.again(c.check(filepath.Join(c.dir, "scale-200"), filepath.Join(c.dir, "again.json"), "-o", "json")).run}
	if err := interleave(ctx, append(slices.Clone(arms), again)...); err != nil {
		return err
	}
	if same, err := equalFiles(filepath.Join(c.dir, "scale-200.json"), filepath.Join(c.dir, "again.json")); err != nil || !same {
		return errors.Join(err, errors.New("the second check of 200 apps reports something else than the first"))
	}
	for i, n := range sizes {
		rep, err := readReport(filepath.Join(c.dir, fmt.Sprintf("scale-%d.json", n)))
		if err != nil {
			return err
		}
		limit := none
		if n == 1000 {
			limit = most(20)
		}
		c.addArm(fmt.Sprintf("check.scale.%d", n), limit, arms[i], rep.saw())
	}
	c.addArm("check.scale.200.again", none, again, "the same report as the first check")
	c.add("check.scale.1000.memory", "GB", most(2), arms[2].memory()/1000)
	c.add("check.scale.growth", "×", most(growthFactor*growthSlack), arms[2].slower(arms[1])...).
		Saw = fmt.Sprintf("1,000 apps / 200 apps: %d times the apps, and 20 %% for noise", growthFactor)
	return nil
}

// equalFiles tells whether two files have the same content.
func equalFiles(a, b string) (bool, error) {
	x, err := os.ReadFile(a)
	if err != nil {
		return false, err
	}
	y, err := os.ReadFile(b)
	return bytes.Equal(x, y), err
}

// changed measures the check of what one change causes, in a repository of 200 apps
// whose last commit was checked before. The change is a new one each time.
func (c *checkRun) changed(ctx context.Context) error {
	dir, _, err := c.repository(ctx, "changed", "--apps", strconv.Itoa(compared))
	if err != nil {
		return err
	}
	for _, args := range [][]string{
		{"init", "-q"},
		{"add", "-A"},
		{"-c", "user.name=bench", "-c", "user.email=bench@example.com", "commit", "-q", "-m", "as it is"},
	} {
		if _, err := (job{program: "git", args: args, dir: dir}).run(ctx); err != nil {
			return err
		}
	}
	files, err := filepath.Glob(filepath.Join(dir, "apps", "*", "base", "workload.yaml"))
	if err != nil || len(files) == 0 {
		return errors.Join(err, errors.New("the generated repository has no apps/*/base/workload.yaml"))
	}
	was, err := os.ReadFile(files[0])
	if err != nil {
		return err
	}
	out, n := dir+".json", 0
	a := &arm{name: "lumacore check --changed-since", run: func(ctx context.Context) (usage, error) {
		n++
		image := bytes.Replace(was, []byte("image: "), fmt.Appendf(nil, "image: registry-%d.example.com/", n), 1)
		if bytes.Equal(image, was) {
			return usage{}, fmt.Errorf("%s has no image", files[0])
		}
		if err := os.WriteFile(files[0], image, 0o644); err != nil {
			return usage{}, err
		}
		return c.again(c.check(dir, out, "--changed-since", "HEAD", "-o", "json")).run(ctx)
	}}
	if err := interleave(ctx, a); err != nil {
		return err
	}
	rep, err := readReport(out)
	if err != nil {
		return err
	}
	c.addArm("check.changed", most(1), a, fmt.Sprintf("%d apps, one image changed: %s", compared, rep.saw()))
	return nil
}

// addArm records how long one side of a comparison took.
func (c *checkRun) addArm(name string, limit bar, a *arm, saw string) {
	f := c.add(name, "s", limit, a.seconds()...)
	f.Memory, f.Saw = a.memory(), saw
}
