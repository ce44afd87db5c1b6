package cli_test

import (
	"bytes"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"lumacore.dev/lumacore/blueprint"
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

// TestContentsPage holds the committed page of what is in the blueprint against a render
// of the blueprint, and the tests that it names against those that there are.
func TestContentsPage(t *testing.T) {
	const page = "../../docs/reference/blueprint.md"
	want, err := pages.Contents(blueprint.Files)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(page); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s is not what the blueprint says (%v); run: make docs", page, err)
	}
	tests, err := filepath.Glob("../../test/configs/*_test.go")
	if err != nil || len(tests) == 0 {
		t.Fatalf("no tests of configurations (%v)", err)
	}
	var all []byte
	for _, f := range tests {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, b...)
	}
	for system, own := range pages.OwnCheckers {
		if !bytes.Contains(all, []byte("func "+own.Test+"(")) {
			t.Errorf("%s is said to be checked by %s of test/configs, which is not there", system, own.Test)
		}
		if !bytes.Contains(want, []byte(own.What)) {
			t.Errorf("no system of the blueprint is %s, which is said to be checked by %s", system, own.Test)
		}
	}
}

// TestOwnersFiles holds the committed schemas and the page of settings against the code.
func TestOwnersFiles(t *testing.T) {
	want := map[string][]byte{"../../docs/reference/settings.md": pages.Settings()}
	for name, schema := range pages.Schemas() {
		want["../../docs/reference/"+name] = schema
	}
	for name, schema := range pages.RepositorySchemas() {
		want["../../blueprint/.schemas/"+name] = schema
	}
	for _, path := range slices.Sorted(maps.Keys(want)) {
		if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want[path]) {
			t.Errorf("%s is not what the code says (%v); run: make docs", path, err)
		}
	}
}
