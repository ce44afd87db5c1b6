package cli_test

import (
	"bytes"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"lumacore.dev/lumacore/internal/check/registry"
	"lumacore.dev/lumacore/internal/cli"
	"lumacore.dev/lumacore/internal/cli/gendocs/pages"
	"lumacore.dev/lumacore/internal/report"
)

// TestReference holds the committed reference against the commands.
func TestReference(t *testing.T) {
	const dir = "../../docs/reference/cli"
	const help = "run: make docs"
	want := pages.Make(cli.New(&report.Streams{Out: io.Discard, Err: io.Discard}))
	for _, name := range slices.Sorted(maps.Keys(want)) {
		got, err := os.ReadFile(filepath.Join(dir, name))
		switch {
		case err != nil:
			t.Errorf("%v; %s", err, help)
		case !bytes.Equal(got, want[name]):
			t.Errorf("%s/%s is not what the command says; %s", dir, name, help)
		}
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if want[filepath.Base(f)] == nil {
			t.Errorf("%s is about no command; %s", f, help)
		}
	}
}

// TestRulesPage holds the committed page of all rules against the gates.
func TestRulesPage(t *testing.T) {
	const page = "../../docs/reference/rules.md"
	got, err := os.ReadFile(page)
	if err != nil {
		t.Fatalf("%v; run: make docs", err)
	}
	if want := pages.Rules(registry.Gates); !bytes.Equal(got, want) {
		t.Errorf("%s is not what the rules say; run: make docs", page)
	}
}
