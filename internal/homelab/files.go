package homelab

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"lumacore.dev/lumacore/internal/config"
	"lumacore.dev/lumacore/internal/settings"
)

// Files are the files of a repository, by name.
type Files map[string][]byte

// ReadFiles reads all files of a file system, such as the embedded blueprint.
func ReadFiles(from fs.FS) (Files, error) {
	files := Files{}
	err := fs.WalkDir(from, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files[path], err = fs.ReadFile(from, path)
		return err
	})
	return files, err
}

// Digest stands for the names and contents of the files: "sha256:…".
func (f Files) Digest() string {
	h := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(f)) {
		fmt.Fprintf(h, "%x  %s\n", sha256.Sum256(f[name]), name)
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
}

// With returns the blueprint with an owner's answers in it.
func (f Files) With(a Answers, origin config.Blueprint) (Files, error) {
	files := maps.Clone(f)
	for _, e := range []struct {
		name string
		edit func(data []byte) ([]byte, error)
	}{
		{settings.File, func(data []byte) ([]byte, error) { return settings.Put(data, a.Settings()) }},
		{config.File, func(data []byte) ([]byte, error) { return facts(data, a.Identity(), origin) }},
		{"network.assert.yaml", func(data []byte) ([]byte, error) {
			return replaceLine(data, "  - "+settings.Lookup("POD_CIDR").Default, "  - "+a["podNetwork"].Value)
		}},
		{"secrets.register.yaml", func(data []byte) ([]byte, error) {
			return replaceLine(data, "  - item: "+settings.Lookup("DISCORD_ITEM").Default, "  - item: "+scalar(a["discordItem"].Value))
		}},
	} {
		data, ok := files[e.name]
		if !ok {
			return nil, fmt.Errorf("the blueprint has no %s", e.name)
		}
		edited, err := e.edit(data)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", e.name, err)
		}
		files[e.name] = edited
	}
	return files, nil
}

// facts puts into lumacore.yaml what the repository was made from, and the public
// identity, right behind its head.
func facts(data []byte, who *config.Identity, origin config.Blueprint) ([]byte, error) {
	text := "# What this repository was made from. `lumacore init` wrote it; the branch\n" +
		"# " + Vendor + " has the blueprint as it was, and newer ones are merged from it.\n" +
		"blueprint:\n  version: " + scalar(origin.Version) + "\n  digest: " + origin.Digest + "\n"
	if who != nil {
		text += "# Who commits to the public mirror. Strangers see it.\n" +
			"publicIdentity:\n  name: " + scalar(who.Name) + "\n  email: " + scalar(who.Email) + "\n"
	}
	head := "\nkind: " + config.Kind + "\n"
	before, behind, ok := strings.Cut(string(data), head)
	if !ok {
		return nil, fmt.Errorf("there is no line %q", strings.TrimSpace(head))
	}
	return []byte(before + head + text + behind), nil
}

// replaceLine replaces the one line that is as given.
func replaceLine(data []byte, line, by string) ([]byte, error) {
	if line == by {
		return data, nil
	}
	old := []byte("\n" + line + "\n")
	if n := bytes.Count(data, old); n != 1 {
		return nil, fmt.Errorf("there are %d lines %q, not one", n, strings.TrimSpace(line))
	}
	return bytes.Replace(data, old, []byte("\n"+by+"\n"), 1), nil
}

// scalar writes a text as YAML, in quotes where it needs them.
func scalar(text string) string {
	data, err := yaml.Marshal(text)
	if err != nil { // never of a text
		return fmt.Sprintf("%q", text)
	}
	return strings.TrimSpace(string(data))
}
