package helm

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"golang.org/x/tools/txtar"

	"lumacore.dev/lumacore/internal/chart"
)

// pack makes an archive of the chart charts/web in files.
func pack(t testing.TB, files string) []byte {
	t.Helper()
	var b bytes.Buffer
	gz := gzip.NewWriter(&b)
	tw := tar.NewWriter(gz)
	for _, f := range txtar.Parse([]byte(files)).Files {
		if err := tw.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: strings.TrimPrefix(f.Name, "charts/"), Size: int64(len(f.Data)), Mode: 0o644}); err != nil {
			t.Fatal(err)
		}
		if _, err := tw.Write(f.Data); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(tw.Close(), gz.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestRemote renders charts of an OCIRepository and of HelmRepositories, which are
// served here.
func TestRemote(t *testing.T) {
	t.Setenv("DOCKER_CONFIG", t.TempDir()) // no login of whoever runs the tests
	data := pack(t, web+"-- charts/web/values-prod.yaml --\nreplicas: 7\nimage: {repository: r, tag: t}\nservice: {port: 1}\nresources: {}\n")

	oci := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	defer oci.Close()
	host := strings.TrimPrefix(oci.URL, "http://")
	img, err := mutate.Append(empty.Image, mutate.Addendum{Layer: static.NewLayer(data, "application/vnd.cncf.helm.chart.content.v1.tar+gzip")})
	if err != nil {
		t.Fatal(err)
	}
	for _, tag := range []string{"1.2.3", "9.9.9", "stable"} {
		ref, err := name.ParseReference(host + "/charts/web:" + tag)
		if err != nil {
			t.Fatal(err)
		}
		if err := remote.Write(ref, img); err != nil {
			t.Fatal(err)
		}
	}
	digest, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}

	repo := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path == "/index.yaml" {
			fmt.Fprintf(w, "entries: {web: [{name: web, version: 1.2.3, digest: %x, urls: [web.tgz]}]}\n", sha256.Sum256(data))
			return
		}
		w.Write(data)
	}))
	defer repo.Close()

	source := func(kind, name, spec string) string {
		return fmt.Sprintf("---\napiVersion: source.toolkit.fluxcd.io/v1\nkind: %s\nmetadata: {name: %s, namespace: apps}\nspec: {%s}\n", kind, name, spec)
	}
	env := site{
		objects: source("HelmRepository", "http", "url: "+repo.URL) +
			source("HelmRepository", "oci", "type: oci, insecure: true, url: oci://"+host+"/charts") +
			source("OCIRepository", "tag", "url: oci://"+host+"/charts/web, ref: {tag: 1.2.3}") +
			source("OCIRepository", "digest", "url: oci://"+host+"/charts/web, ref: {digest: '"+digest.String()+"'}") +
			source("OCIRepository", "stable", "url: oci://"+host+"/charts/web, ref: {tag: stable}") +
			source("OCIRepository", "other", "url: oci://"+host+"/charts/web, ref: {tag: 9.9.9}"),
	}.env(t)
	if env.Charts, err = chart.NewStore(chart.Options{CacheDir: t.TempDir()}); err != nil {
		t.Fatal(err)
	}
	from := func(name, more string) string {
		return "chart: {spec: {chart: web, version: 1.x, " + more + " sourceRef: {kind: HelmRepository, name: " + name + "}}}"
	}
	withDigest := "web-1.2.3_" + digest.Hex[:12] + " 1"
	for _, tc := range []struct{ spec, want string }{
		{from("http", ""), "web-1.2.3 1"},
		{from("oci", ""), "web-1.2.3 1"},
		{from("http", "valuesFiles: [values-prod.yaml],"), "web-1.2.3 7"},
		// helm-controller appends the artifact's digest to the chart's version.
		{"chartRef: {kind: OCIRepository, name: tag}", withDigest},
		{"chartRef: {kind: OCIRepository, name: digest}", withDigest},
		{"chartRef: {kind: OCIRepository, name: stable}", withDigest},
		{"chartRef: {kind: OCIRepository, name: other}", "helm.ChartError: chart web 1.2.3: the tag 9.9.9 of OCIRepository apps/other is another version than that of the chart in it, which helm-controller refuses"},
		{strings.Replace(from("http", ""), "1.x", "2.x", 1), `helm.SourceError: chart web 2.x of ` + repo.URL + `: none of the 1 versions in the repository's index is "2.x"`},
	} {
		out, err := Render(context.Background(), release(t, tc.spec), env)
		got := problem(err)
		if err == nil {
			d := out.Objects[1]
			got = fmt.Sprint(d.GetLabels()["helm.sh/chart"], " ", d.Object["spec"].(map[string]any)["replicas"])
			if out.Version != "1.2.3" {
				t.Errorf("%s: version %s", tc.spec, out.Version)
			}
		}
		if got != tc.want {
			t.Errorf("%s:\ngot  %s\nwant %s", tc.spec, got, tc.want)
		}
	}
}
