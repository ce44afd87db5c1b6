package updates

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"lumacore.dev/lumacore/blueprint"
)

// A pin is a version that stands in the blueprint.
type pin struct {
	file string
	// The last part of what it is a version of: chart, image or repository.
	name          string
	value, digest string
}

var (
	// A version with at least one dot, behind a name.
	imageReference = regexp.MustCompile(`^((?:\$\{[A-Z_]+\}|[a-z0-9])[A-Za-z0-9._/-]*):(v?[0-9]+\.[0-9][A-Za-z0-9._+-]*)(?:@(sha256:[0-9a-f]{64}))?$`)
	versionLike    = regexp.MustCompile(`^v?[0-9]+\.[0-9x][A-Za-z0-9.+-]*$`)
	envVersion     = regexp.MustCompile(`(?m)^([A-Z0-9]+)_VERSION=(.+)$`)
	tfProvider     = regexp.MustCompile(`source\s*=\s*"([^"]+)"\s*\n\s*version\s*=\s*"([^"]+)"`)
	// A package with its version, or an action with its commit and, in a comment, its version.
	hookTool       = regexp.MustCompile(`^(.+)@(v?[0-9][^@]*)$`)
	workflowAction = regexp.MustCompile(`(?m)uses: ([^@/\s]+/[^@/\s]+)[^@\s]*@([0-9a-f]{40}) # (v[0-9.]+)$`)
	tfRequired     = regexp.MustCompile(`required_version\s*=\s*"([^"]+)"`)
)

// scan finds the versions by what the files mean, without a look at renovate.json5.
func scan(t *testing.T, files fs.FS) []pin {
	t.Helper()
	var pins []pin
	err := fs.WalkDir(files, ".", func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := fs.ReadFile(files, file)
		if err != nil {
			return err
		}
		add := func(name, value, digest string) {
			pins = append(pins, pin{file, path.Base(name), value, digest})
		}
		switch path.Ext(file) {
		case ".env":
			for _, m := range envVersion.FindAllSubmatch(data, -1) {
				add(strings.ToLower(string(m[1])), string(m[2]), "")
			}
		case ".tf":
			for _, m := range tfProvider.FindAllSubmatch(data, -1) {
				add(string(m[1]), string(m[2]), "")
			}
			for _, m := range tfRequired.FindAllSubmatch(data, -1) {
				add("terraform", string(m[1]), "")
			}
		case ".yaml", ".yml":
			seen := map[string]bool{} // two actions of one repository are moved as one
			for _, m := range workflowAction.FindAllSubmatch(data, -1) {
				if !seen[string(m[1])+"@"+string(m[2])] {
					add(string(m[1]), string(m[3]), string(m[2]))
				}
				seen[string(m[1])+"@"+string(m[2])] = true
			}
			decoder := yaml.NewDecoder(bytes.NewReader(data))
			for {
				var doc any
				if err := decoder.Decode(&doc); errors.Is(err, io.EOF) {
					break
				} else if err != nil {
					t.Fatalf("%s: %v", file, err)
				}
				object(doc, add)
				walk(doc, "", add)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return pins
}

func text(v any, keys ...string) string {
	for _, k := range keys {
		m, _ := v.(map[string]any)
		v = m[k]
	}
	s, _ := v.(string)
	return s
}

// object finds what only the kind of an object tells.
func object(doc any, add func(name, value, digest string)) {
	switch text(doc, "kind") {
	case "HelmRelease":
		if v := text(doc, "spec", "chart", "spec", "version"); v != "" {
			add(text(doc, "spec", "chart", "spec", "chart"), v, "")
		}
	case "OCIRepository", "GitRepository":
		for _, key := range []string{"tag", "semver"} {
			if v := text(doc, "spec", "ref", key); v != "" {
				digest := text(doc, "spec", "ref", "digest") + text(doc, "spec", "ref", "commit")
				add(strings.TrimSuffix(text(doc, "spec", "url"), ".git"), v, digest)
			}
		}
	case "Plan":
		add("k3s", text(doc, "spec", "version"), "")
	case "FluxInstance":
		if v := text(doc, "spec", "distribution", "version"); v != "" {
			add("flux2", v, "")
		}
	case "Config":
		if v := text(doc, "check", "kubeVersion"); v != "" {
			add("kubeVersion", v, "")
		}
	}
}

// walk finds images, wherever they stand. name is that of the map around an "image" map:
// the part of a chart that it belongs to.
func walk(v any, name string, add func(name, value, digest string)) {
	switch v := v.(type) {
	case map[string]any:
		if tag := text(v, "newTag"); tag != "" {
			image := text(v, "newName")
			if image == "" {
				image = text(v, "name")
			}
			add(image, tag, text(v, "digest"))
		}
		tools, _ := v["additional_dependencies"].([]any)
		for _, tool := range tools {
			if m := hookTool.FindStringSubmatch(fmt.Sprint(tool)); m != nil {
				add(m[1], m[2], "")
			}
		}
		for key, child := range v {
			if tag := text(child, "tag"); key == "image" && versionLike.MatchString(tag) {
				image := text(child, "repository")
				if image == "" {
					image = name
				}
				add(image, tag, text(child, "digest"))
			}
			walk(child, key, add)
		}
	case []any:
		for _, child := range v {
			walk(child, name, add)
		}
	case string:
		if m := imageReference.FindStringSubmatch(v); m != nil {
			add(m[1], m[2], m[3])
		}
	}
}

// A marker is a line of the blueprint that says whose version the next one is.
type marker struct {
	file string
	line int
}

func markers(t *testing.T, files fs.FS) []marker {
	t.Helper()
	var out []marker
	err := fs.WalkDir(files, ".", func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || file == "renovate.json5" {
			return err
		}
		data, err := fs.ReadFile(files, file)
		if err != nil {
			return err
		}
		lines := bufio.NewScanner(bytes.NewReader(data))
		lines.Buffer(nil, 1<<20)
		for n := 1; lines.Scan(); n++ {
			if strings.Contains(lines.Text(), "# renovate:") {
				out = append(out, marker{file, n})
			}
		}
		return lines.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// shipped is what an owner's repository begins with.
func shipped() fs.FS { return blueprint.Files }
