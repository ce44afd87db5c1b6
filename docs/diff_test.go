package docs

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lumacore.dev/lumacore/internal/diff"
)

// TestDiffPage follows diff.md: it writes the files that the page shows, runs the
// commands, and last the one of the CI job.
func TestDiffPage(t *testing.T) {
	const page = "diff.md"
	r := &reader{page: page, dir: t.TempDir()}
	r.env = append(os.Environ(), "HOME="+t.TempDir(), "LUMACORE_CACHE="+t.TempDir(), "NO_COLOR=1",
		"GIT_CONFIG_SYSTEM=/dev/null", "GIT_CONFIG_GLOBAL=/dev/null",
		"GIT_AUTHOR_NAME=owner", "GIT_AUTHOR_EMAIL=owner@example.com", "GIT_AUTHOR_DATE=2026-11-01T12:00:00Z",
		"GIT_COMMITTER_NAME=owner", "GIT_COMMITTER_EMAIL=owner@example.com", "GIT_COMMITTER_DATE=2026-11-01T12:00:00Z")
	job := ""
	ran := 0
	for _, b := range readPage(t, page).blocks {
		switch b.language {
		case "console":
			r.console(t, b)
			ran++
		case "sh", "bash", "shell", "zsh":
			t.Errorf("%s:%d: use a console block, so that the tests run it", page, b.line)
		case "yaml":
			if r.file(t, b) == ".gitlab-ci.yml" {
				job = b.code
			}
		}
	}
	command := regexp.MustCompile(`(?m)^ *- (lumacore diff.*)$`).FindStringSubmatch(job)
	if ran < 4 || command == nil {
		t.Fatalf("%d blocks with commands, and this job: %q: the page or the test is wrong", ran, job)
	}
	r.env = append(r.env, "CI_MERGE_REQUEST_DIFF_BASE_SHA=HEAD~1")
	if out, status := r.run(t, command[1]); status != 0 {
		t.Errorf("%s ends with %d:\n%s", command[1], status, out)
	}
	note, err := os.ReadFile(filepath.Join(r.dir, "note.md"))
	if err != nil || !strings.HasPrefix(string(note), diff.Marker+"\n") || !strings.Contains(job, diff.Marker) {
		t.Errorf("the job makes no note that it finds again: %v\n%.100s", err, note)
	}
}

// TestDiffPageMarks holds the page's table of marks against the marks.
func TestDiffPageMarks(t *testing.T) {
	src, err := os.ReadFile("diff.md")
	if err != nil {
		t.Fatal(err)
	}
	const head = "| mark | severity | means |\n|---|---|---|\n"
	want := head
	for _, m := range diff.Marks {
		want += fmt.Sprintf("| [`%s`](%s) | %s | %s |\n", m.Name, m.Link, m.Severity, m.Means)
	}
	_, got, _ := strings.Cut(string(src), head)
	got, _, _ = strings.Cut(head+got, "\n\n")
	if d := cmp.Diff(want, got+"\n"); d != "" {
		t.Errorf("the table of marks in diff.md (-want +got):\n%s", d)
	}
}
