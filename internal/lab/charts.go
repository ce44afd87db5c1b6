package lab

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"time"

	"helm.sh/helm/v4/pkg/registry"
	"sigs.k8s.io/yaml"

	"lumacore.dev/lumacore/internal/lab/programs"
)

// chartsRepository is where the registry has the charts; clusters/lab points the
// HelmRepositories of the blueprint to it.
const chartsRepository = "charts"

// seedCharts pushes the charts that come with the modules of the lab to its registry, as
// `helm push` does.
func (l *Lab) seedCharts(ctx context.Context, s settings) error {
	for !l.Programs.Gathered() { // while the programs are compiled the first time
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	}
	client, err := registry.NewClient(registry.ClientOptPlainHTTP(), registry.ClientOptWriter(io.Discard))
	if err != nil {
		return err
	}
	for _, name := range programs.Charts() {
		dir := filepath.Join(l.Programs.Manifests("charts"), name)
		version, data, err := packageChart(dir)
		if err != nil {
			return fmt.Errorf("chart %s: %w", name, err)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		ref := fmt.Sprintf("%s/%s/%s:%s", s.Ports.addr("registry"), chartsRepository, name, version)
		if _, err := client.Push(data, ref); err != nil {
			return fmt.Errorf("push chart %s: %w", ref, err)
		}
	}
	return nil
}

// packageChart returns a chart's version and its archive. The same files give the same
// bytes, so that a chart which is there already is not another one after a restart.
func packageChart(dir string) (version string, archive []byte, err error) {
	head, err := os.ReadFile(filepath.Join(dir, "Chart.yaml"))
	if err != nil {
		return "", nil, err
	}
	var chart struct{ Name, Version string }
	if err := yaml.Unmarshal(head, &chart); err != nil {
		return "", nil, err
	}
	var out bytes.Buffer
	zip := gzip.NewWriter(&out)
	w := tar.NewWriter(zip)
	tree := os.DirFS(dir)
	err = fs.WalkDir(tree, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := fs.ReadFile(tree, name)
		if err != nil {
			return err
		}
		head := &tar.Header{Name: path.Join(chart.Name, name), Mode: 0o644, Size: int64(len(data)), Typeflag: tar.TypeReg, Format: tar.FormatPAX}
		if err := w.WriteHeader(head); err != nil {
			return err
		}
		_, err = w.Write(data)
		return err
	})
	if err != nil {
		return "", nil, err
	}
	if err := w.Close(); err != nil {
		return "", nil, err
	}
	if err := zip.Close(); err != nil {
		return "", nil, err
	}
	return chart.Version, out.Bytes(), nil
}
