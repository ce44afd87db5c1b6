package docs

import (
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/testscript"
	"go.yaml.in/yaml/v3"

	"lumacore.dev/lumacore/internal/check/registry"
	"lumacore.dev/lumacore/internal/cli"
)

// The test binary is lumacore when a page's command runs it under that name.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"lumacore": func() { os.Exit(cli.Main()) }})
}

// fileName is the caption of a block that shows a file of the reader's repository.
var fileName = regexp.MustCompile("^`([^`]+)`:$")

// reader is somebody who follows a page in a repository of their own.
type reader struct {
	page string
	dir  string
	env  []string
}

// run runs a command and returns what a terminal would show, and the exit status.
func (r *reader) run(t *testing.T, command string) (string, int) {
	t.Helper()
	sh := exec.CommandContext(t.Context(), "bash", "-c", command)
	sh.Dir, sh.Env = r.dir, r.env
	out, err := sh.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return string(out), sh.ProcessState.ExitCode()
}

// progress is what is only said when it takes long, as on a machine that is busy.
var progress = regexp.MustCompile(`(?m)^rendered \d+ of \d+ Kustomizations and HelmReleases in .*\n`)

// console runs the commands of a block and compares what they print with what
// stands below each; a line "…" stands for any lines, and nothing for anything.
func (r *reader) console(t *testing.T, b block) {
	t.Helper()
	if m := notRun.FindStringSubmatch(b.above); m != nil {
		t.Logf("not run: %s:%d: %s", r.page, b.line, m[1])
		return
	}
	for _, part := range strings.Split("\n"+b.code, "\n$ ")[1:] {
		command, want, shown := strings.Cut(strings.TrimSuffix(part, "\n"), "\n")
		got, status := r.run(t, command)
		got = progress.ReplaceAllString(got, "")
		if status != 0 {
			t.Errorf("%s: %s\nends with %d:\n%s", r.page, command, status, got)
		}
		if shown && !like(want, got) {
			t.Errorf("%s: %s\nprints\n%s\nand the page says (-page +here):\n%s", r.page, command, got, cmp.Diff(strings.Split(want, "\n"), strings.Split(strings.TrimRight(got, "\n"), "\n")))
		}
	}
}

// file writes the file that a block shows, if its caption names one, and returns its
// name.
func (r *reader) file(t *testing.T, b block) string {
	t.Helper()
	if err := yaml.Unmarshal([]byte(strings.ReplaceAll(b.code, "\n---\n", "\n")), new(yaml.Node)); err != nil {
		t.Errorf("%s:%d: %v", r.page, b.line, err)
	}
	m := fileName.FindStringSubmatch(b.above)
	if m == nil {
		return ""
	}
	name := filepath.Join(r.dir, filepath.FromSlash(m[1]))
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(b.code), 0o644); err != nil {
		t.Fatal(err)
	}
	return m[1]
}

// like tells whether got is want, in which lines "…" stand for any lines.
func like(want, got string) bool {
	var b strings.Builder
	for line := range strings.Lines(want + "\n") {
		if line == "…\n" {
			b.WriteString(`(?:.*\n)*`)
			continue
		}
		b.WriteString(regexp.QuoteMeta(line))
	}
	return regexp.MustCompile(`^` + b.String() + `$`).MatchString(strings.TrimRight(got, "\n") + "\n")
}

// newReader is somebody who follows a page in a folder, with a home, a cache and a name
// for Git of their own.
func newReader(t *testing.T, page, dir string) *reader {
	return &reader{page: page, dir: dir, env: append(os.Environ(), "HOME="+t.TempDir(), "LUMACORE_CACHE="+t.TempDir(), "NO_COLOR=1",
		"GIT_CONFIG_SYSTEM=/dev/null", "GIT_CONFIG_GLOBAL=/dev/null",
		"GIT_AUTHOR_NAME=Owner", "GIT_AUTHOR_EMAIL=owner@example.org", "GIT_AUTHOR_DATE=2026-11-01T12:00:00Z",
		"GIT_COMMITTER_NAME=Owner", "GIT_COMMITTER_EMAIL=owner@example.org", "GIT_COMMITTER_DATE=2026-11-01T12:00:00Z")}
}

// follow runs the commands of the page, of which there are so many blocks at least, and
// writes the files that it shows. It returns the content of those by name.
func (r *reader) follow(t *testing.T, atLeast int) map[string]string {
	t.Helper()
	files := map[string]string{}
	ran := 0
	for _, b := range readPage(t, r.page).blocks {
		switch b.language {
		case "console":
			r.console(t, b)
			ran++
		case "sh", "bash", "shell", "zsh":
			t.Errorf("%s:%d: use a console block, so that the tests run it", r.page, b.line)
		case "yaml":
			if name := r.file(t, b); name != "" {
				files[name] = b.code
			}
		}
	}
	if ran < atLeast {
		t.Fatalf("%s has %d blocks with commands: the page or the test is wrong", r.page, ran)
	}
	return files
}

// TestCheckPage follows check.md: it writes the files that the page shows, runs the
// commands, and last those of the CI jobs, which must make the reports that the
// jobs hand on.
func TestCheckPage(t *testing.T) {
	r := newReader(t, "check.md", t.TempDir())
	var jobs []string
	files := r.follow(t, 5)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if strings.HasPrefix(name, ".") {
			jobs = append(jobs, files[name])
		}
	}
	if len(jobs) != 3 {
		t.Fatalf("%d jobs: the page or the test is wrong", len(jobs))
	}

	command := regexp.MustCompile(`(?m)^ *(?:- |- run: |entry: )(lumacore check.*)$`)
	artifact := regexp.MustCompile(`(?m)^ *(?:codequality|junit|sarif_file): (.*)$`)
	for _, job := range jobs {
		commands := command.FindAllStringSubmatch(job, -1)
		if len(commands) != 1 {
			t.Fatalf("%d commands in the job\n%s", len(commands), job)
		}
		if out, status := r.run(t, commands[0][1]); status != 0 {
			t.Errorf("%s ends with %d:\n%s", commands[0][1], status, out)
		}
		for _, m := range artifact.FindAllStringSubmatch(job, -1) {
			if fi, err := os.Stat(filepath.Join(r.dir, m[1])); err != nil || fi.Size() == 0 {
				t.Errorf("%s does not make %s", commands[0][1], m[1])
			}
		}
	}
}

// TestCheckPageGates holds the page's table of gates against the gates.
func TestCheckPageGates(t *testing.T) {
	src, err := os.ReadFile("check.md")
	if err != nil {
		t.Fatal(err)
	}
	want := "| gate | finds |\n|---|---|\n"
	for _, g := range registry.Gates {
		want += "| `" + g.Name + "` | " + g.Title + " |\n"
	}
	_, got, _ := strings.Cut(string(src), "\n| gate | finds |\n")
	got, _, _ = strings.Cut("| gate | finds |\n"+got, "\n\n")
	if diff := cmp.Diff(want, got+"\n"); diff != "" {
		t.Errorf("the table of gates in check.md (-want +got):\n%s", diff)
	}
}

func TestLike(t *testing.T) {
	for _, tt := range []struct {
		want, got string
		is        bool
	}{
		{"a", "a\n", true},
		{"a", "a\nb\n", false},
		{"a\n…", "a\nb\nc\n", true},
		{"…\nc", "a\nb\nc\n", true},
		{"a\n…\nc", "a\nc\n", true},
		{"a.c", "abc\n", false},
		{"a\n…", "b\n", false},
	} {
		if like(tt.want, tt.got) != tt.is {
			t.Errorf("like(%q, %q) = %v", tt.want, tt.got, !tt.is)
		}
	}
}
