package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// pipeline compares all gates but dryrun with the jobs that a pipeline without
// LumaCore has for a part of the same checks: kustomize builds the folders, as many at
// a time as there are cores, and over what comes out go kubeconform, gator and
// conftest, beside gitleaks over the files, again as many at a time as there are cores.
// HelmReleases stay what they are there: none of the jobs templates them.
func (c *checkRun) pipeline(ctx context.Context) error {
	dir, list, err := c.repository(ctx, "pipeline", "--apps", strconv.Itoa(compared))
	if err != nil {
		return err
	}
	programs := map[string]program{}
	for _, name := range []string{"kustomize", "kubeconform", "gator", "conftest", "gitleaks"} {
		if programs[name], err = c.peer(ctx, name); err != nil {
			return err
		}
	}
	policies, err := filepath.Abs(filepath.Join("bench", "conftest"))
	if err != nil {
		return err
	}
	stream := dir + ".yaml"
	if _, err := c.render(dir, stream).run(ctx); err != nil {
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
	out := func(name string) string { return dir + "." + name + ".json" }
	gator := []string{"test", "--output", "json"}
	for _, f := range built {
		gator = append(gator, "--filename", f)
	}
	checks := []job{
		{program: programs["gator"], args: gator, output: out("gator"), fails: true},
		{program: programs["kubeconform"], output: out("kubeconform"), fails: true, args: append([]string{
			"-strict", "-n", "2", "-ignore-missing-schemas", "-summary", "-output", "json", "-schema-location", schemaLocation(schemas),
		}, built...)},
		{program: programs["gitleaks"], args: []string{
			"dir", "--no-banner", "--log-level", "error", "--report-format", "json", "--report-path", out("gitleaks"), dir,
		}, fails: true},
		{program: programs["conftest"], output: out("conftest"), fails: true, args: append([]string{
			"test", "--parser", "yaml", "--output", "json", "--policy", policies,
		}, built...)},
	}
	report := dir + ".json"
	mine := &arm{name: "lumacore check", run: c.check(dir, report, "-o", "json").run}
	again := &arm{name: "lumacore check, again", run: c.again(c.check(dir, report, "-o", "json")).run}
	theirs := &arm{name: "pipeline", run: func(ctx context.Context) (usage, error) {
		start := time.Now()
		first, err := loop(ctx, kustomizations)
		if err != nil {
			return usage{}, err
		}
		second, err := loop(ctx, checks)
		return usage{time.Since(start).Seconds(), max(first.memory, second.memory)}, err
	}}
	if err := interleave(ctx, mine, again, theirs); err != nil {
		return err
	}

	checked, err := readReport(report)
	if err != nil {
		return err
	}
	raw, err := readObjects(built...)
	if err != nil {
		return err
	}
	saw, err := pipelineSaw(dir, out, raw.saw())
	if err != nil {
		return err
	}
	c.addArm("check.pipeline", none, mine, "all gates but dryrun, nothing kept of earlier runs: "+checked.saw())
	c.addArm("check.pipeline.again", none, again, "the same again")
	c.addArm("check.pipeline.peers", none, theirs, saw)
	c.add("check.pipeline.ratio", "×", least(5), theirs.slower(again)...).Saw = "the pipeline / lumacore check, both with warm caches"
	c.add("check.pipeline.ratio.first", "×", none, theirs.slower(mine)...).Saw = "the pipeline / lumacore check with nothing kept"
	return nil
}

// pipelineSaw says what each job of the pipeline looked at, and makes sure that each
// did: the repository is clean, so that none of them has anything to find, but for
// kubeconform, which takes a variable in a number's place for a mistake.
func pipelineSaw(dir string, out func(string) string, objects string) (string, error) {
	var kubeconform struct {
		Summary struct{ Valid, Invalid, Errors, Skipped int }
	}
	var conftest []struct {
		Successes int
		Failures  []any
	}
	var gitleaks, gator []any
	for name, into := range map[string]any{"kubeconform": &kubeconform, "conftest": &conftest, "gitleaks": &gitleaks, "gator": &gator} {
		data, err := os.ReadFile(out(name))
		if err != nil {
			return "", err
		}
		if len(bytes.TrimSpace(data)) == 0 {
			continue // gator, when it has nothing to say
		}
		if err := json.Unmarshal(data, into); err != nil {
			return "", fmt.Errorf("%s: %w", name, err)
		}
	}
	passed, failed := 0, 0
	for _, f := range conftest {
		passed, failed = passed+f.Successes, failed+len(f.Failures)
	}
	k := kubeconform.Summary
	if k.Valid == 0 || passed == 0 || k.Errors+failed+len(gitleaks)+len(gator) > 0 {
		return "", fmt.Errorf("the jobs of the pipeline should look at everything and find nothing: kubeconform %+v, conftest %d passed and %d failed, gitleaks %d, gator %d",
			k, passed, failed, len(gitleaks), len(gator))
	}
	size := int64(0)
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		fi, err := d.Info()
		if err == nil {
			size += fi.Size()
		}
		return err
	})
	return fmt.Sprintf("kustomize build: %s, no chart, no variable; kubeconform: %d valid, %d skipped, %d wrongly invalid; gator: the same objects; conftest: %d tests; gitleaks: %.1f MB",
		objects, k.Valid, k.Skipped, k.Invalid, passed, float64(size)/1e6), err
}
