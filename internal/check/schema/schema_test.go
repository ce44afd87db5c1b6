package schema

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"lumacore.dev/lumacore/internal/check/checktest"
	"lumacore.dev/lumacore/internal/golden"
)

func TestExamples(t *testing.T) { checktest.Examples(t, Gate) }

// lines are what the gate says of one file, without its name.
func lines(t testing.TB, repository string) string {
	t.Helper()
	rep := checktest.Run(t, Gate, repository)
	var b strings.Builder
	for _, l := range checktest.Lines(rep) {
		b.WriteString(strings.TrimPrefix(l, "cluster/objects.yaml:") + "\n")
	}
	for _, u := range rep.NotChecked {
		b.WriteString("not checked: " + u.Subject + ": " + u.Reason + "; " + u.Next + "\n")
	}
	return b.String()
}

// TestRefused: the API server of Kubernetes 1.36.3 refuses each of these objects
// in a server-side apply, for the reason that the message gives.
func TestRefused(t *testing.T) {
	t.Parallel()
	const name = "testdata/refused.txtar"
	a, err := txtar.ParseFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(a.Files); i += 2 {
		test := strings.TrimSuffix(a.Files[i].Name, ".yaml")
		if want := test + ".want"; a.Files[i+1].Name != want {
			t.Fatalf("%s is followed by %s, not by %s", a.Files[i].Name, a.Files[i+1].Name, want)
		}
		got := lines(t, string(a.Files[i].Data))
		switch {
		case got == "":
			t.Errorf("%s: nothing was found", test)
		case *golden.Update:
			a.Files[i+1].Data = []byte(got)
		default:
			if diff := cmp.Diff(string(a.Files[i+1].Data), got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", test, diff)
			}
		}
	}
	if *golden.Update && !t.Failed() {
		if err := os.WriteFile(name, txtar.Format(a), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// TestAccepted: the API server of Kubernetes 1.36.3 accepts each of these objects
// in a server-side apply.
func TestAccepted(t *testing.T) {
	t.Parallel()
	a, err := txtar.ParseFile("testdata/accepted.txtar")
	if err != nil {
		t.Fatal(err)
	}
	if len(a.Files) < 30 {
		t.Errorf("only %d objects", len(a.Files))
	}
	for _, f := range a.Files {
		if got := lines(t, string(f.Data)); got != "" {
			t.Errorf("%s: %s", f.Name, got)
		}
	}
}
