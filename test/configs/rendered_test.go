package configs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"sigs.k8s.io/yaml"
)

const (
	root      = "../.."
	blueprint = root + "/blueprint"
)

// object is one object of the rendered cluster.
type object struct {
	Location struct{ File string }
	Object   struct {
		Kind     string
		Metadata struct{ Name, Namespace string }
		Spec     json.RawMessage
		Data     map[string]string
		Type     string // of a OnePasswordItem, which has it beside spec
	}
}

func (o object) is(kind, namespace, name string) bool {
	m := o.Object.Metadata
	return o.Object.Kind == kind && m.Namespace == namespace && m.Name == name
}

// rendered returns the objects of the blueprint's real cluster with every option on.
// Charts are not rendered: what this repository says is checked, not what others make.
var rendered = sync.OnceValues(func() ([]object, error) {
	dir, err := os.MkdirTemp("", "lumacore-configs-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	program := filepath.Join(dir, "lumacore")
	if _, err := run(context.Background(), root, "go", "build", "-o", program, "./cmd/lumacore"); err != nil {
		return nil, err
	}
	out, err := run(context.Background(), blueprint, program, "render", "--offline", "--cluster=options", "--output=json")
	if err != nil {
		return nil, err
	}
	var doc struct{ Clusters []struct{ Objects []object } }
	if err := json.Unmarshal(out, &doc); err != nil {
		return nil, err
	}
	if len(doc.Clusters) != 1 {
		return nil, fmt.Errorf("lumacore render gave %d clusters, want one", len(doc.Clusters))
	}
	return doc.Clusters[0].Objects, nil
})

func objects(t *testing.T) []object {
	t.Helper()
	all, err := rendered()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// run runs a program in a folder and returns what it prints; what it says on stderr is
// in the error.
func run(ctx context.Context, dir, program string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = dir
	out, err := cmd.Output()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return out, fmt.Errorf("%s %s: %w\n%s%s", filepath.Base(program), strings.Join(args, " "), err, out, exit.Stderr)
	}
	return out, err
}

// hash is what kustomize appends to the name of a generated ConfigMap.
var hash = regexp.MustCompile(`-[a-z0-9]{10}$`)

// values returns the values of a HelmRelease that its valuesFrom names, as the chart gets
// them but for the chart's own defaults.
func values(t *testing.T, release string, into any) {
	t.Helper()
	for _, o := range objects(t) {
		m := o.Object.Metadata
		if o.Object.Kind != "ConfigMap" || hash.ReplaceAllString(m.Name, "") != release+"-values" {
			continue
		}
		if err := yaml.Unmarshal([]byte(o.Object.Data["values.yaml"]), into); err != nil {
			t.Fatalf("values of %s: %v", release, err)
		}
		return
	}
	t.Fatalf("no ConfigMap %s-values is rendered: the values of HelmRelease %s cannot be checked", release, release)
}

// invalid returns the files of testdata/invalid with an extension, each with what its
// first line wants to be found.
func invalid(t *testing.T, ext string) map[string]string {
	t.Helper()
	files, err := filepath.Glob("testdata/invalid/*" + ext)
	if err != nil || len(files) == 0 {
		t.Fatalf("no invalid *%s in testdata/invalid (%v)", ext, err)
	}
	want := map[string]string{}
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		first, _, _ := strings.Cut(string(data), "\n")
		_, message, ok := strings.Cut(first, "want: ")
		if !ok {
			t.Fatalf("%s: the first line must be a comment 'want: MESSAGE'", f)
		}
		want[f] = message
	}
	return want
}

// wantFound fails unless the error has the message.
func wantFound(t *testing.T, err error, message string) {
	t.Helper()
	switch {
	case err == nil:
		t.Errorf("nothing was found, want: %s", message)
	case !strings.Contains(err.Error(), message):
		t.Errorf("found:\n%v\nwant: %s", err, message)
	}
}
