package archive

import (
	"bytes"
	"os"
	"testing"
)

// TestCommitted holds the committed archive against the tree.
func TestCommitted(t *testing.T) {
	want, err := Make("../../../..")
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("../sources.txtar")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("sources.txtar is not what lab/, lab/crds/ and examples/beacon/ hold; run: make generate")
	}
}
