package lab

import (
	"io"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"sigs.k8s.io/yaml"

	"lumacore.dev/lumacore/internal/golden"
)

func TestDecode(t *testing.T) {
	for name, tt := range map[string]struct {
		in   string
		want []string // kind/name
		err  string
	}{
		"nothing":                {"", nil, ""},
		"comments only":          {"# a\n---\n# b\n", nil, ""},
		"one":                    {"kind: A\nmetadata: {name: x}\n", []string{"A/x"}, ""},
		"several":                {"---\nkind: A\nmetadata: {name: x}\n---\n\n---\nkind: B\nmetadata: {name: z}", []string{"A/x", "B/z"}, ""},
		"three dashes in a text": {"kind: A\nmetadata: {name: x}\ndata:\n  k: |\n    a\n    ---\n    b\n", []string{"A/x"}, ""},
		"a list":                 {"- 1\n", nil, "cannot unmarshal array"},
		"bad indentation":        {"a:\n b\n  c: d\n", nil, "yaml: "},
		"tab":                    {"a:\n\tb: c\n", nil, "cannot start any token"},
	} {
		t.Run(name, func(t *testing.T) {
			objects, err := decode([]byte(tt.in))
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("error %v, want one with %q", err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, o := range objects {
				got = append(got, o.GetKind()+"/"+o.GetName())
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// What every cluster starts with: whole objects, namespaces before what is in
// them, and no identity with more rights than the file says.
func TestClusterManifests(t *testing.T) {
	objects, err := decode(clusterManifests)
	if err != nil {
		t.Fatal(err)
	}
	namespaces := map[string]bool{}
	seen := map[string]bool{}
	for _, o := range objects {
		id := o.GetKind() + "/" + o.GetNamespace() + "/" + o.GetName()
		if o.GetAPIVersion() == "" || o.GetKind() == "" || o.GetName() == "" {
			t.Errorf("%s has no apiVersion, kind or name", id)
		}
		if seen[id] {
			t.Errorf("%s is there twice", id)
		}
		seen[id] = true
		if o.GetKind() == "Namespace" {
			namespaces[o.GetName()] = true
		}
		if ns := o.GetNamespace(); ns != "" && !namespaces[ns] {
			t.Errorf("%s comes before its namespace", id)
		}
	}
}

func TestNodeObjects(t *testing.T) {
	var all []byte
	for _, o := range nodeObjects() {
		b, err := yaml.Marshal(o.Object)
		if err != nil {
			t.Fatal(err)
		}
		all = append(append(all, "---\n"...), b...)
	}
	golden.Check(t, "nodes", all)
}

func TestWriteStages(t *testing.T) {
	l, _ := newLab(t)
	stages := l.Programs.Manifests("stages")
	write(t, stages, map[string]string{"pv.yaml": "class: 'kwok-volume'\n", "pod.yaml": "kind: Stage\n", "notes.txt": "x"})
	write(t, l.Dir, map[string]string{"./": ""})
	if err := l.writeStages(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(l.path("kwok.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	head, rest, _ := strings.Cut(string(b), "---\n")
	if !strings.HasPrefix(head, "apiVersion: config.kwok.x-k8s.io/v1alpha1\nkind: KwokConfiguration\n") {
		t.Errorf("begins with %q", head)
	}
	if diff := cmp.Diff("kind: Stage\n\n---\nclass: 'longhorn'\n\n", rest); diff != "" {
		t.Errorf("stages (-want +got):\n%s", diff)
	}
}

func TestApplyCRDsWithoutManifests(t *testing.T) {
	l, _ := newLab(t)
	checkFailure(t, l.applyCRDs(t.Context(), nil), "no custom resource definitions in "+l.Programs.Manifests("crds"), "lumacore lab build", 1)
}

// The same program and version give the same image, wherever and whenever it is
// made: image automation would take another digest for a change.
func TestProgramImage(t *testing.T) {
	write := func(content string, mode os.FileMode) string {
		path := filepath.Join(t.TempDir(), "some-name")
		if err := os.WriteFile(path, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	digest := func(version, path string) string {
		img, err := programImage(version, path)
		if err != nil {
			t.Fatal(err)
		}
		d, err := img.Digest()
		if err != nil {
			t.Fatal(err)
		}
		return d.String()
	}
	one := digest("1.0.0", write("program", 0o755))
	if other := digest("1.0.0", write("program", 0o600)); other != one {
		t.Errorf("the same program: %s and %s", one, other)
	}
	if other := digest("1.0.1", write("program", 0o755)); other == one {
		t.Error("another version has the same digest")
	}
	if other := digest("1.0.0", write("program2", 0o755)); other == one {
		t.Error("another program has the same digest")
	}
	if runtime.GOARCH == "amd64" {
		if want := "sha256:19132c8946ea7b4c78d7ad1abd6a8329d6728e411f986ffe877cb929ab0fe211"; one != want {
			t.Errorf("digest %s, want %s: the same since the first release", one, want)
		}
	}
	if _, err := programImage("1.0.0", "/no/such/program"); err == nil || err.Error() != "open /no/such/program: no such file or directory" {
		t.Errorf("error %v", err)
	}
}

func TestPushImage(t *testing.T) {
	srv := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	defer srv.Close()
	repository := strings.TrimPrefix(srv.URL, "http://") + "/" + beaconRepository
	program := filepath.Join(t.TempDir(), "beacon")
	if err := os.WriteFile(program, []byte("program"), 0o755); err != nil {
		t.Fatal(err)
	}
	ref, err := pushImage(t.Context(), repository, "1.0.0", program)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(ref, repository+":1.0.0@sha256:") {
		t.Errorf("pushed %s", ref)
	}
	if again, err := pushImage(t.Context(), repository, "1.0.0", program); err != nil || again != ref {
		t.Errorf("again: %s, %v; want %s", again, err, ref)
	}
	tag, err := name.NewTag(repository+":1.0.0", name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	img, err := remote.Image(tag)
	if err != nil {
		t.Fatal(err)
	}
	conf, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	got := []any{conf.OS, conf.Architecture, conf.Config.User, conf.Config.Entrypoint, conf.Config.Labels["org.opencontainers.image.version"]}
	if diff := cmp.Diff([]any{"linux", runtime.GOARCH, "65532:65532", []string{"/beacon"}, "1.0.0"}, got); diff != "" {
		t.Errorf("config (-want +got):\n%s", diff)
	}
	srv.Close()
	if _, err := pushImage(t.Context(), repository, "1.0.0", program); err == nil || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("registry away: %v, want: connection refused", err)
	}
}
