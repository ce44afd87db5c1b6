package app_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lumacore.dev/lumacore/internal/app"
	"lumacore.dev/lumacore/internal/gitops"
	"lumacore.dev/lumacore/internal/report"
)

const digest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// promote runs it with overlays of beacon that end in these texts.
func promote(t *testing.T, staging, prod string) (after string, updates []app.Update, plan *app.Plan, err error) {
	t.Helper()
	m := files(t)
	const (
		in, to = "overlays/staging/beacon/kustomization.yaml", "overlays/prod/beacon/kustomization.yaml"
		head   = "# beacon\napiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n  - ../../../apps/beacon/base\n"
	)
	begin := head
	if strings.Contains(prod, "\r\n") {
		begin = strings.ReplaceAll(head, "\n", "\r\n")
	}
	m[in], m[to] = []byte(head+staging), []byte(begin+prod)
	plan, updates, err = app.Promote(gitops.FromFiles(m), "beacon")
	if err != nil {
		return "", nil, nil, err
	}
	after = prod
	for _, c := range plan.Changes {
		if c.File != to {
			t.Errorf("it changes %s", c.File)
		}
		after = strings.TrimPrefix(string(c.After), begin)
	}
	return after, updates, plan, nil
}

// TestPromote: prod gets tag and digest of staging, and everything else in its overlay stays
// byte for byte.
func TestPromote(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ staging, prod, want string }{
		"the same": {
			"images:\n  - name: beacon\n    newTag: \"1.0.0\" # {\"$imagepolicy\": \"flux-system:beacon:tag\"}\n",
			"images:\n  - name: beacon\n    newTag: \"1.0.0\"\n", "",
		},
		"a tag": {
			"images:\n  - name: beacon\n    newTag: \"1.0.1\" # {\"$imagepolicy\": \"flux-system:beacon:tag\"}\n",
			"images:\n  # Ours.\n  - name: beacon\n    newTag: \"1.0.0\" # stays\n# The end.\n",
			"images:\n  # Ours.\n  - name: beacon\n    newTag: \"1.0.1\" # stays\n# The end.\n",
		},
		"the first digest": {
			"images:\n  - name: beacon\n    newTag: \"1.0.1\"\n    digest: \"" + digest + "\" # {\"$imagepolicy\": \"flux-system:beacon:digest\"}\n",
			"images:\n  - name: beacon\n    newTag: 1.0.0\n",
			"images:\n  - name: beacon\n    newTag: 1.0.1\n    digest: " + digest + "\n",
		},
		"no digest any more": {
			"images:\n  - name: beacon\n    newTag: \"1.0.1\"\n    digest: \"\"\n",
			"images:\n  - name: beacon\n    newTag: 1.0.0\n    digest: " + digest + "\n",
			"images:\n  - name: beacon\n    newTag: 1.0.1\n    digest: \"\"\n",
		},
		"a tag that is a number": {
			"images:\n  - name: beacon\n    newTag: \"1.10\"\n",
			"images:\n  - name: beacon\n    newTag: v1\n",
			"images:\n  - name: beacon\n    newTag: \"1.10\"\n",
		},
		"an image that prod has not": {
			"images:\n  - name: beacon\n    newTag: \"1.0.0\"\n  - name: cache\n    newName: ghcr.io/example/cache\n    newTag: \"7\"\n",
			"images:\n  - name: beacon\n    newTag: \"1.0.0\"\n",
			"images:\n  - name: beacon\n    newTag: \"1.0.0\"\n  - name: cache\n    newName: ghcr.io/example/cache\n    newTag: \"7\"\n",
		},
		"another registry": {
			"images:\n  - name: beacon\n    newName: ${REGISTRY}/team/beacon\n    newTag: \"1.0.0\"\n",
			"images:\n  - name: beacon\n    newName: ${REGISTRY}/homelab/beacon\n    newTag: \"1.0.0\"\n",
			"images:\n  - name: beacon\n    newName: ${REGISTRY}/team/beacon\n    newTag: \"1.0.0\"\n",
		},
		"one of two": {
			"images:\n  - name: a\n    newTag: \"2\"\n  - name: b\n    newTag: \"2\"\n",
			"images:\n  - name: b\n    newTag: \"2\"\n  - name: a\n    newTag: \"1\"\n",
			"images:\n  - name: b\n    newTag: \"2\"\n  - name: a\n    newTag: \"2\"\n",
		},
		"line ends of Windows": {
			"images:\n  - name: beacon\n    newTag: \"1.0.1\"\n    digest: " + digest + "\n",
			"images:\r\n  - name: beacon\r\n    newTag: 1.0.0\r\n",
			"images:\r\n  - name: beacon\r\n    newTag: 1.0.1\r\n    digest: " + digest + "\r\n",
		},
	} {
		got, updates, _, err := promote(t, tt.staging, tt.prod)
		want := tt.want
		if want == "" {
			want = tt.prod
		}
		if d := cmp.Diff(want, got); err != nil || d != "" || (len(updates) == 0) != (tt.want == "") {
			t.Errorf("%s: %v, %d updates (-want +got):\n%s", name, err, len(updates), d)
		}
	}
}

// TestPromoteRefuses: what cannot be done without a person says why.
func TestPromoteRefuses(t *testing.T) {
	t.Parallel()
	const one = "images:\n  - name: beacon\n    newTag: \"1.0.1\"\n"
	for name, tt := range map[string]struct{ staging, prod, want string }{
		"prod in one line": {one, "images: [{name: beacon, newTag: 1.0.0}]\n", ""},
		"prod has a digest in a flow": {
			"images:\n  - name: beacon\n    newTag: \"1.0.1\"\n    digest: " + digest + "\n",
			"images:\n  - {name: beacon, newTag: 1.0.0}\n", "images[0].digest is written in a way that cannot be edited",
		},
		"prod has no images": {one, "labels: []\n", "overlays/prod/beacon/kustomization.yaml has no list images"},
		"an anchor":          {one, "images:\n  - name: beacon\n    newTag: &tag \"1.0.0\"\n", "cannot be edited"},
	} {
		_, _, _, err := promote(t, tt.staging, tt.prod)
		if tt.want == "" {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want …%s…", name, err, tt.want)
		}
	}
	_, _, err := app.Promote(gitops.FromFiles(files(t)), "nosuch")
	if err == nil || report.ExitCode(err) != 2 || !strings.Contains(err.Error(), `there is no app "nosuch"`) {
		t.Error(err)
	}
}

// TestPromoteNotes: what staging has besides its versions is for a person to decide.
func TestPromoteNotes(t *testing.T) {
	t.Parallel()
	_, _, plan, err := promote(t, "images: []\ncomponents:\n  - ../../../components/debug\n", "images: []\n")
	if err != nil || len(plan.Notes) != 1 || !strings.Contains(plan.Notes[0], "staging has ../../../components/debug among its components") {
		t.Errorf("%v %v", plan, err)
	}
}
