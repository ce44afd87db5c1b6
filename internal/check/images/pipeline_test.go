package images

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lumacore.dev/lumacore/internal/check/checktest"
)

// TestPipeline: the images of .gitlab-ci.yml, wherever they stand in it.
func TestPipeline(t *testing.T) {
	t.Parallel()
	const objects = "-- cluster/objects.yaml --\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: app}\n"
	ci := func(text string) string { return objects + "-- .gitlab-ci.yml --\n" + text }
	for name, tt := range map[string]struct {
		repository string
		want       []string
	}{
		"pinned":             {ci("a: {image: 'alpine/git:v2@" + digestExample + "'}\n"), nil},
		"no list":            {ci("a: {image: 'golang:1.26'}\n"), []string{`.gitlab-ci.yml:1 warning no-digest: job "a" has image "golang:1.26"`}},
		"no tag":             {ci("a:\n  image: golang\n"), []string{`.gitlab-ci.yml:2 error no-tag: job "a" has image "golang"`}},
		"latest":             {listed("golang:latest") + ci("a:\n  image: golang:latest\n"), []string{`.gitlab-ci.yml:2 error latest: job "a" has image "golang:latest"`, `images-without-digest.yaml:4 warning list-unused: no cluster and no job of the pipeline runs "golang:latest"`}},
		"invalid":            {ci("a: {image: 'Golang:1'}\n"), []string{`.gitlab-ci.yml:1 error invalid: job "a" has image "Golang:1"`}},
		"unlisted":           {listed() + ci("a: {image: 'golang:1.26'}\n"), []string{`.gitlab-ci.yml:1 error unlisted: job "a" has image "golang:1.26"`}},
		"listed":             {listed("docker.io/library/golang:1.26") + ci("a: {image: 'golang:1.26'}\n"), []string{`.gitlab-ci.yml:1 info listed: job "a" has image "golang:1.26"`}},
		"name in a map":      {ci("a:\n  image:\n    name: golang:1\n    entrypoint: ['']\n"), []string{`.gitlab-ci.yml:3 warning no-digest: job "a" has image "golang:1"`}},
		"default":            {ci("default:\n  image: golang:1\n"), []string{`.gitlab-ci.yml:2 warning no-digest: the pipeline has image "golang:1"`}},
		"of all":             {ci("image: golang:1\n"), []string{`.gitlab-ci.yml:1 warning no-digest: the pipeline has image "golang:1"`}},
		"service":            {ci("a:\n  services: ['postgres:17', {name: 'redis:8', alias: r}]\n"), []string{`.gitlab-ci.yml:2 warning no-digest: a service of job "a" has image "postgres:17"`, `.gitlab-ci.yml:2 warning no-digest: a service of job "a" has image "redis:8"`}},
		"hidden job":         {ci(".go:\n  image: golang:1\nb:\n  extends: .go\n"), []string{`.gitlab-ci.yml:2 warning no-digest: job ".go" has image "golang:1"`}},
		"anchor":             {ci(".go: &go\n  image: golang:1\nb:\n  <<: *go\n"), []string{`.gitlab-ci.yml:2 warning no-digest: job ".go" has image "golang:1"`}},
		"reference":          {ci(".go:\n  image: golang:1\nb:\n  image: !reference [.go, image]\n"), []string{`.gitlab-ci.yml:2 warning no-digest: job ".go" has image "golang:1"`}},
		"own image":          {listed("${CI_REGISTRY_IMAGE}/tools:1.0") + ci("a: {image: '$CI_REGISTRY_IMAGE/tools:1.0'}\n"), []string{`.gitlab-ci.yml:1 info listed: job "a" has image "${CI_REGISTRY_IMAGE}/tools:1.0"`}},
		"own, unlisted":      {listed() + ci("a: {image: '$CI_REGISTRY_IMAGE/tools:1.0'}\n"), []string{`.gitlab-ci.yml:1 error unlisted: job "a" has image "${CI_REGISTRY_IMAGE}/tools:1.0"`}},
		"variable":           {ci("variables: {GO: '1.26', IMAGE: {value: 'golang:$GO'}}\na: {image: $IMAGE}\n"), []string{`.gitlab-ci.yml:2 warning no-digest: job "a" has image "golang:1.26"`}},
		"variable of a job":  {ci("variables: {GO: '1.26@" + digestExample + "'}\na:\n  variables: {GO: '1.25'}\n  image: golang:$GO\n"), []string{`.gitlab-ci.yml:4 warning no-digest: job "a" has image "golang:1.25"`}},
		"what includes wins": {ci("include: more.yml\nvariables: {GO: '1.25'}\na: {image: 'golang:$GO'}\n") + "-- more.yml --\nvariables: {GO: '1.26@" + digestExample + "'}\nb: {image: 'alpine:3@" + digestExample + "'}\n", []string{`.gitlab-ci.yml:3 warning no-digest: job "a" has image "golang:1.25"`}},
		"two of each other":  {ci("variables: {A: $B, B: $A}\na: {image: $A}\n"), []string{`not checked: the image of job "a": "$A" is what GitLab says when the job starts`}},
		"unknown variable":   {ci("a: {image: $IMAGE}\n"), []string{`not checked: the image of job "a": "${IMAGE}" is what GitLab says when the job starts`}},
		"included":           {ci("include: ['/ci/*.yml', {local: more.yml}]\n") + "-- ci/a.yml --\nb: {image: 'golang:1'}\n-- more.yml --\ninclude: .gitlab-ci.yml\nc: {image: 'golang:2'}\n", []string{`ci/a.yml:1 warning no-digest: job "b" has image "golang:1"`, `more.yml:2 warning no-digest: job "c" has image "golang:2"`}},
		"from elsewhere":     {ci("include:\n  - project: group/ci\n    file: a.yml\n  - https://example.com/b.yml\n"), []string{"not checked: images of the pipeline: it includes project group/ci, which is not in this repository", "not checked: images of the pipeline: it includes remote https://example.com/b.yml, which is not in this repository"}},
		"header":             {ci("spec: {inputs: {image: {default: 'golang:1'}}}\n---\na: {image: 'golang:1'}\n"), []string{`.gitlab-ci.yml:3 warning no-digest: job "a" has image "golang:1"`}},
		"no YAML":            {ci("a: [\n"), []string{"not checked: images of the pipeline: the file cannot be read: yaml: line 1: did not find expected node content"}},
		"empty":              {ci("---\n"), nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rep := checktest.Run(t, Gate, tt.repository)
			var got []string
			for _, f := range rep.Findings {
				message, _, _ := strings.Cut(f.Message, " without")
				message, _, _ = strings.Cut(message, ": ")
				message, _, _ = strings.Cut(message, ", which")
				message, _, _ = strings.Cut(message, " by its tag")
				got = append(got, fmt.Sprintf("%s %s %s: %s", f.Location, f.Severity, strings.TrimPrefix(f.Rule, "images/"), message))
			}
			for _, u := range rep.NotChecked {
				got = append(got, "not checked: "+u.Subject+": "+u.Reason)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
