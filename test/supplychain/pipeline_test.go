package supplychain

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// beacon is the folder of the app, and what its pipeline is read from.
const beacon = "../../examples/beacon"

// notRun are the jobs that cannot be run here, each with the reason. All others are.
var notRun = map[string]string{
	"semgrep": "it is a Python program, and its rules come from semgrep.dev",
}

// job is what the tests read of a job.
type job struct {
	Stage   string   `json:"stage"`
	Extends string   `json:"extends"`
	Image   any      `json:"image"`
	Tags    []string `json:"tags"`
	Script  []string `json:"script"`
	Needs   []string `json:"needs"`
}

// image is the job's image, or that of all jobs.
func (j job) image() string {
	switch i := j.Image.(type) {
	case string:
		return i
	case map[string]any:
		name, _ := i["name"].(string)
		return name
	}
	return ""
}

// jobs reads the pipeline: its jobs, and the defaults of all as job "default".
func jobs(t *testing.T) map[string]job {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(beacon, ".gitlab-ci.yml"))
	if err != nil {
		t.Fatal(err)
	}
	var file map[string]any
	if err := yaml.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	list := map[string]job{}
	for name, value := range file {
		if slices.Contains([]string{"stages", "workflow", "variables"}, name) || strings.HasPrefix(name, ".") {
			continue
		}
		part, err := yaml.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		var j job
		if err := yaml.Unmarshal(part, &j); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		list[name] = j
	}
	if len(list) < 10 {
		t.Fatalf("found only %v: the reading is wrong", slices.Sorted(maps.Keys(list)))
	}
	return list
}

// TestEveryJobIsRunOrNamed: TestMain of the end-to-end tests holds what ran against the
// same list.
func TestEveryJobIsRunOrNamed(t *testing.T) {
	t.Parallel()
	list := jobs(t)
	for name, reason := range notRun {
		if _, ok := list[name]; !ok {
			t.Errorf("%s is named as not run (%s), but there is no such job", name, reason)
		}
	}
}

// TestWhoHasSecrets: files with secrets are mounted by the protected runner, and only the
// jobs that need them may ask for that runner or name those files.
func TestWhoHasSecrets(t *testing.T) {
	t.Parallel()
	protected := []string{"flux", "sign"}
	registry := []string{"build", "publish", "sbom", "sign", "verify"}
	data, err := os.ReadFile(filepath.Join(beacon, ".gitlab-ci.yml"))
	if err != nil {
		t.Fatal(err)
	}
	var raw map[string]any
	if err := yaml.Unmarshal(data, &raw); err != nil {
		t.Fatal(err)
	}
	secretFiles := regexp.MustCompile(`COSIGN_KEY_DIR|FLUX_RECEIVER_DIR|/run/secrets`)
	for name, j := range jobs(t) {
		if got := slices.Contains(j.Tags, "protected"); got != slices.Contains(protected, name) {
			t.Errorf("%s: on the protected runner: %v", name, got)
		}
		text, err := yaml.Marshal(raw[name])
		if err != nil {
			t.Fatal(err)
		}
		if got := secretFiles.Match(text); got != slices.Contains(protected, name) {
			t.Errorf("%s: names files with secrets: %v", name, got)
		}
		if got := strings.Contains(string(text), "CI_REGISTRY_PASSWORD"); got != slices.Contains(registry, name) {
			t.Errorf("%s: logs in to the registry: %v", name, got)
		}
		if slices.Contains(append(protected, registry...), name) && j.Extends != ".release" {
			t.Errorf("%s: has secrets, but is not limited to protected tags (extends: .release)", name)
		}
		// standard input and files only: an argument is seen by every process of the machine
		for _, line := range j.Script {
			for _, argument := range []string{`--password "`, `--password=`, `-p "$`, `--header`, "echo $"} {
				if strings.Contains(line, argument) {
					t.Errorf("%s: %s: a secret would be an argument", name, line)
				}
			}
		}
	}
}

// TestImagesArePinned: by tag and digest, or by tag and in the list.
func TestImagesArePinned(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile(filepath.Join(beacon, "images-without-digest.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var list struct {
		Images []struct{ Image, Where, Reason string }
	}
	if err := yaml.UnmarshalStrict(data, &struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
		Images     any    `json:"images"`
	}{}); err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(data, &list); err != nil {
		t.Fatal(err)
	}
	listed := map[string]bool{}
	for _, i := range list.Images {
		if i.Where != ".gitlab-ci.yml" || i.Reason == "" {
			t.Errorf("%s: where %q, reason %q", i.Image, i.Where, i.Reason)
		}
		listed[i.Image] = false
	}
	pinned := regexp.MustCompile(`^[a-z0-9.]+/[a-z0-9/-]+:[a-zA-Z0-9.-]+@sha256:[0-9a-f]{64}$`)
	tagged := regexp.MustCompile(`^[a-z0-9.]+/[a-z0-9/-]+:[a-zA-Z0-9.-]*[0-9][a-zA-Z0-9.-]*$`)
	for name, j := range jobs(t) {
		image := j.image()
		_, isListed := listed[image]
		switch {
		case image == "" && name != "default": // that of all jobs
		case isListed && tagged.MatchString(image):
			listed[image] = true
		case !pinned.MatchString(image):
			t.Errorf("%s: image %q has no digest and is not in images-without-digest.yaml", name, image)
		}
	}
	for image, used := range listed {
		if !used {
			t.Errorf("images-without-digest.yaml lists %s, which no job uses without a digest", image)
		}
	}
}

// TestPageNamesEveryJob: with whether it is run here.
func TestPageNamesEveryJob(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/app-pipeline.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]string{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z-]+)` \\|.*\\| ([^|]+) \\|$").FindAllStringSubmatch(string(page), -1) {
		rows[m[1]] = m[2]
	}
	for name := range jobs(t) {
		if name == "default" {
			continue
		}
		row, ok := rows[name]
		delete(rows, name)
		reason, left := notRun[name]
		switch {
		case !ok:
			t.Errorf("the page has no row for job %s", name)
		case left && !strings.HasPrefix(row, "no: "+strings.Split(reason, ";")[0]), !left && !strings.HasPrefix(row, "yes"):
			t.Errorf("job %s: the page says %q", name, row)
		}
	}
	for name := range rows {
		t.Errorf("the page has a row for job %s, which does not exist", name)
	}
}

// TestSameVersions: what the jobs run in images is what the tests run.
func TestSameVersions(t *testing.T) {
	t.Parallel()
	pipeline, err := os.ReadFile(filepath.Join(beacon, ".gitlab-ci.yml"))
	if err != nil {
		t.Fatal(err)
	}
	pins, err := os.ReadFile("../../tools/supplychain/go.mod")
	if err != nil {
		t.Fatal(err)
	}
	for module, form := range map[string]string{
		"github.com/anchore/syft":                "anchore/syft:%s-debug",
		"github.com/sigstore/cosign/v3":          "cosign/cosign:%s-dev",
		"github.com/google/ko":                   "github.com/google/ko@%s",
		"github.com/google/go-containerregistry": "github.com/google/go-containerregistry/cmd/crane@%s",
	} {
		m := regexp.MustCompile(`(?m)^\s*` + regexp.QuoteMeta(module) + ` (v\S+)`).FindSubmatch(pins)
		if m == nil {
			t.Errorf("tools/supplychain/go.mod has no %s", module)
			continue
		}
		if want := strings.Replace(form, "%s", string(m[1]), 1); !strings.Contains(string(pipeline), want) {
			t.Errorf(".gitlab-ci.yml does not use %s, which the tests run", want)
		}
	}
}
