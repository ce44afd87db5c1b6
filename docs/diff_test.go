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
	r := newReader(t, "diff.md", t.TempDir())
	job := r.follow(t, 4)[".gitlab-ci.yml"]
	command := regexp.MustCompile(`(?m)^ *- (lumacore diff.*)$`).FindStringSubmatch(job)
	if command == nil {
		t.Fatalf("this job: %q: the page or the test is wrong", job)
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
