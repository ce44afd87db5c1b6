package lab

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lumacore.dev/lumacore/internal/lab/programs"
)

func TestPackageChart(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"Chart.yaml": "name: thing\nversion: 1.2.3\n", "templates/a.yaml": "a: b\n"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	version, data, err := packageChart(dir)
	if err != nil || version != "1.2.3" {
		t.Fatalf("%s, %v", version, err)
	}
	if _, again, err := packageChart(dir); err != nil || !bytes.Equal(data, again) {
		t.Errorf("the same files give another archive: %v", err)
	}
	zip, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for r := tar.NewReader(zip); ; {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		got[h.Name] = string(b)
	}
	want := map[string]string{"thing/Chart.yaml": "name: thing\nversion: 1.2.3\n", "thing/templates/a.yaml": "a: b\n"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if _, _, err := packageChart(t.TempDir()); err == nil {
		t.Error("a folder without Chart.yaml is a chart")
	}
}

// The lab serves the version of Gatekeeper's chart that the blueprint asks for: its
// module's.
func TestChartVersion(t *testing.T) {
	data, err := os.ReadFile("../../blueprint/infrastructure/controllers/gatekeeper/helmrelease.yaml")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`(?m)^      version: (\S+)$`).FindSubmatch(data)
	if m == nil {
		t.Fatal("the HelmRelease has no version where this test looks for it")
	}
	if got, want := string(m[1]), strings.TrimPrefix(programs.Version("gatekeeper"), "v"); got != want {
		t.Errorf("the blueprint has chart %s, the lab's module has %s: raise both together", got, want)
	}
	if diff := cmp.Diff([]string{"gatekeeper"}, programs.Charts()); diff != "" {
		t.Errorf("charts (-want +got):\n%s", diff)
	}
}
