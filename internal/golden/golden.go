// Package golden compares what a test got with a file that is kept beside it.
// Only tests import it.
//
//	go test ./internal/lab -update
//
// writes the files anew; read the difference before you commit it.
package golden

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Update says that golden files (and testscripts) are to be written, not checked.
var Update = flag.Bool("update", false, "write the golden files anew")

// Check compares got with testdata/NAME.golden. An empty result is never right
// and is not written either: it is what a broken test produces.
func Check(t testing.TB, name string, got []byte) {
	t.Helper()
	if len(bytes.TrimSpace(got)) == 0 {
		t.Fatalf("golden %s: the result is empty", name)
	}
	path := filepath.Join("testdata", name+".golden")
	if *Update && !t.Failed() {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v; make it with: go test -run '^%s$' -update", err, t.Name())
	}
	norm := func(b []byte) string { return strings.ReplaceAll(string(b), "\r\n", "\n") }
	if diff := cmp.Diff(norm(want), norm(got)); diff != "" {
		t.Errorf("%s differs (-want +got); if the new one is right: go test -run '^%s$' -update\n%s", path, t.Name(), diff)
	}
}
