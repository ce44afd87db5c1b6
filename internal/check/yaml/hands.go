package yaml

import (
	"path"
	"regexp"
	"strings"

	"lumacore.dev/lumacore/internal/gitops"
)

// What is read of the files that say what is applied by hand.
const (
	mostScripts    = 500
	mostScriptSize = 256 << 10 // bytes of one file
	mostScriptRead = 8 << 20   // bytes of all files
)

// script matches the names of files that people run, or run commands from.
var script = regexp.MustCompile(`(?i)^(GNUmakefile|Makefile|.*\.mk|\.?justfile|.*\.just|\.?Taskfile.*\.ya?ml|\.?mise\.toml|helmfile.*\.ya?ml(\.gotmpl)?|README(\..*)?|.*\.(sh|bash|zsh|fish|ps1|py|js|mjs|cjs|ts|tf))$`)

// isScript tells whether the file may say what is applied by hand.
func isScript(name string) bool {
	if script.MatchString(path.Base(name)) {
		return true
	}
	dir := path.Dir(name)
	switch path.Base(dir) {
	case "helmfile.d":
		return true
	case ".taskfiles":
		return isYAML(name)
	}
	return false
}

var (
	// pathLike matches what has a slash, or is the name of a YAML file.
	pathLike = regexp.MustCompile(`[\w.@+-]*(?:/[\w.@+-]+)+/?|[\w.@+-]+/|[\w@+-][\w.@+-]*\.ya?ml\b`)
	// address matches what is not in the tree.
	address = regexp.MustCompile(`\w+://\S+`)
	// argument matches what kubectl is given to apply: "-f a", "-k a".
	argument = regexp.MustCompile(`(?:^|\s)(?:-[A-Za-z]*[fk]|--filename|--kustomize)[ =]["']?([\w.@+-]+)`)
)

// hands are the files and folders of the tree that are named in files that people run
// or read, and where.
type hands map[string]string

// byHand looks through the files that people run or read for the names of files and
// folders: from the root of the tree, from the folder of the file that has the name, or
// from what a variable stands for. What no cluster reads may be applied by them.
func (r *repository) byHand() hands {
	h := hands{}
	files, size := 0, 0
	for _, name := range r.Tree.Files() {
		if !isScript(name) || r.template(name) || r.read[name] {
			continue
		}
		data, err := r.Tree.ReadFile(name)
		if err != nil || len(data) > mostScriptSize {
			continue
		}
		if files, size = files+1, size+len(data); files > mostScripts || size > mostScriptRead {
			break
		}
		text := address.ReplaceAllString(string(data), " ")
		for _, token := range pathLike.FindAllString(text, -1) {
			h.add(r.Tree, name, token)
		}
		for _, m := range argument.FindAllStringSubmatch(text, -1) {
			h.add(r.Tree, name, m[1])
		}
	}
	return h
}

// add notes the file or folder that a file means by a path. Of a path that begins in
// what is not known, such as a variable, the longest end that exists counts.
func (h hands) add(t *gitops.Tree, by, token string) {
	if token != "." { // the folder of the file itself
		token = strings.TrimRight(token, ".")
	}
	for rest := strings.TrimLeft(token, "/"); rest != ""; _, rest, _ = strings.Cut(rest, "/") {
		for _, named := range []string{path.Join(path.Dir(by), rest), path.Clean(rest)} {
			if named == "." || !t.IsFile(named) && !t.IsDir(named) {
				continue
			}
			if h[named] == "" {
				h[named] = by
			}
			return
		}
	}
}

// of returns the file that names the file or folder, or one below it; "" if there is
// none. Of several it is the first by name.
func (h hands) of(name string) string {
	found := h[name]
	for named, by := range h {
		if strings.HasPrefix(named, name+"/") && (found == "" || by < found) {
			found = by
		}
	}
	return found
}
