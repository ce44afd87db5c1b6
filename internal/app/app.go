// Package app adds an app to a repository of the blueprint's shape, and takes one out.
//
//   - [New] makes a [Plan]: the app's files from scaffold/, and the lines that the
//     repository's lists need;
//   - [Remove] makes the plan of the opposite: what New wrote is gone, byte for byte;
//   - [Plan.Trees] is the repository before and after, in memory, to be checked;
//   - [Plan.Apply] writes all of the plan, or nothing.
//
// Lists are edited as text at places that a YAML parser names (see document): comments,
// order and line ends of everything else stay.
package app

import (
	"bytes"
	"fmt"
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"lumacore.dev/lumacore/internal/gitops"
	"lumacore.dev/lumacore/internal/report"
)

// The files and folders of the blueprint that know its apps.
const (
	appsDir       = "apps"
	overlaysDir   = "overlays"
	namespacesDir = "infrastructure/namespaces/apps"
	automationDir = "infrastructure/configs/image-automation"

	registerFile = "secrets.register.yaml"
	imagesFile   = "images-without-digest.yaml"
	assertFile   = "network.assert.yaml"

	listFile = "kustomization.yaml"

	// The values of 1Password's operator, which name the namespaces that it looks at.
	operatorFile = "infrastructure/controllers/onepassword/operator-values.yaml"
)

// watched is where: a mapping of each namespace to itself.
var watched = []any{"operator", "watchNamespace"}

// environments in the order in which an app passes through them.
var environments = []string{"staging", "prod"}

// StagingNamespace is the namespace of an app in staging.
func StagingNamespace(name string) string { return namespaceOf(name, environments[0]) }

// namespaceOf returns the namespace of an app in an environment.
func namespaceOf(name, environment string) string {
	if environment == "prod" {
		return "app-" + name
	}
	return "app-" + name + "-" + environment
}

// Change is a file before and after; nil where it is not there.
type Change struct {
	File          string
	Before, After []byte
	Hunks         []Hunk // of a file that is there before and after
}

// Plan is what adding or removing an app changes.
type Plan struct {
	Name    string
	Changes []Change // sorted by file
	Notes   []string // what could not be done, or is left to the owner
	// Kept are the app's namespaces that Remove leaves for a second run.
	Kept []string

	tree *gitops.Tree
}

// edit collects changes to the files of a tree.
type edit struct {
	tree      *gitops.Tree
	documents map[string]*document
	plan      *Plan
}

func newEdit(t *gitops.Tree, name string) *edit {
	return &edit{tree: t, documents: map[string]*document{}, plan: &Plan{Name: name, tree: t}}
}

// files are all files of the repository, also those that Flux does not get: the
// register and the lists are for lumacore.
func (e *edit) files() gitops.Unfiltered { return gitops.Unfiltered{Tree: e.tree} }

// document returns a file to edit; nil when there is none.
func (e *edit) document(name string) (*document, error) {
	if d := e.documents[name]; d != nil {
		return d, nil
	}
	if !e.files().IsFile(name) {
		return nil, nil
	}
	data, err := e.files().ReadFile(name)
	if err != nil {
		return nil, err
	}
	d := &document{name: name, data: data}
	e.documents[name] = d
	return d, nil
}

// done adds the edited files to the plan.
func (e *edit) done() (*Plan, error) {
	for name, d := range e.documents {
		before, err := e.files().ReadFile(name)
		if err != nil {
			return nil, err
		}
		if !bytes.Equal(before, d.data) {
			e.plan.Changes = append(e.plan.Changes, Change{File: name, Before: before, After: d.data, Hunks: d.hunks})
		}
	}
	slices.SortFunc(e.plan.Changes, func(a, b Change) int { return strings.Compare(a.File, b.File) })
	return e.plan, nil
}

// place is where a repository knows an app.
type place struct {
	file  string
	line  int    // 0: the file belongs to the app
	path  []any  // of the list
	index int    // in the list
	key   string // in the mapping, if it is none
	// namespace says that it is one of the app's namespaces, which must be there as long
	// as Flux has something to delete in them.
	namespace bool
}

func (p place) String() string { return report.Location{File: p.file, Line: p.line}.String() }

// placesOf returns everything that belongs to an app: files, and items of lists.
func (e *edit) placesOf(name string) ([]place, error) {
	var out []place
	for _, file := range e.files().Files() {
		if owner, namespace := ownerOf(file); owner == name || namespace && (owner == name+"-staging") {
			out = append(out, place{file: file, namespace: namespace})
		}
	}
	namespaces := []string{namespaceOf(name, "prod"), namespaceOf(name, "staging")}
	lists := map[string]func(item *yaml.Node) bool{
		namespacesDir + "/" + listFile: func(n *yaml.Node) bool { return slices.Contains(namespaces, path.Clean(n.Value)) },
		automationDir + "/" + listFile: func(n *yaml.Node) bool {
			return n.Value == name+".imagerepository.yaml" || n.Value == name+".imagepolicy.yaml"
		},
	}
	for _, env := range environments {
		lists[path.Join(overlaysDir, env, listFile)] = func(n *yaml.Node) bool { return path.Clean(n.Value) == name }
	}
	for file, fits := range lists {
		found, err := e.items(file, fits, "resources")
		if err != nil {
			return nil, err
		}
		for i := range found {
			found[i].namespace = strings.HasPrefix(file, namespacesDir)
		}
		out = append(out, found...)
	}
	found, err := e.items(imagesFile, func(n *yaml.Node) bool {
		where := text(n, "where")
		return strings.HasPrefix(where, appsDir+"/"+name+"/") || strings.HasPrefix(where, overlaysDir+"/") && path.Base(path.Dir(where)) == name
	}, "images")
	if err != nil {
		return nil, err
	}
	out = append(out, found...)
	if found, err = e.items(assertFile, func(n *yaml.Node) bool { return assertionOf(n, namespaces) }, "assertions"); err != nil {
		return nil, err
	}
	out = append(out, found...)
	if found, err = e.registered(namespaces); err != nil {
		return nil, err
	}
	out = append(out, found...)
	// The operator must see the end of the items, which it holds up with a finalizer.
	d, err := e.document(operatorFile)
	if err != nil {
		return nil, err
	}
	if d != nil {
		doc, err := d.parse()
		if err != nil {
			return nil, err
		}
		for _, namespace := range namespaces {
			if key, _ := doc.Find(append(slices.Clone(watched), namespace)...); key != nil {
				out = append(out, place{file: operatorFile, line: key.Line, path: watched, key: namespace, namespace: true})
			}
		}
	}
	slices.SortFunc(out, func(a, b place) int {
		return report.Location{File: a.file, Line: a.line}.Compare(report.Location{File: b.file, Line: b.line})
	})
	return out, nil
}

// ownerOf returns the app that a file belongs to by its place, and whether the file
// makes a namespace: then owner is what follows "app-" in the namespace's name.
func ownerOf(file string) (owner string, namespace bool) {
	part := strings.Split(file, "/")
	switch {
	case len(part) > 2 && part[0] == appsDir:
		return part[1], false
	case len(part) > 3 && part[0] == overlaysDir && slices.Contains(environments, part[1]):
		return part[2], false
	case strings.HasPrefix(file, namespacesDir+"/app-") && len(part) > 4:
		return strings.TrimPrefix(part[3], "app-"), true
	case path.Dir(file) == automationDir:
		for _, kind := range []string{".imagerepository.yaml", ".imagepolicy.yaml"} {
			if name, ok := strings.CutSuffix(part[3], kind); ok {
				return name, false
			}
		}
	}
	return "", false
}

// items returns the items of a list that fit; none when there is no such file.
func (e *edit) items(file string, fits func(*yaml.Node) bool, list ...any) ([]place, error) {
	d, err := e.document(file)
	if d == nil || err != nil {
		return nil, err
	}
	doc, err := d.parse()
	if err != nil {
		return nil, err
	}
	var out []place
	if _, seq := doc.Find(list...); seq != nil && seq.Kind == yaml.SequenceNode {
		for i, n := range seq.Content {
			if fits(n) {
				out = append(out, place{file: file, line: n.Line, path: list, index: i})
			}
		}
	}
	return out, nil
}

// registered returns the secrets of the register that go to the namespaces alone, and of
// the others the places in them.
func (e *edit) registered(namespaces []string) ([]place, error) {
	d, err := e.document(registerFile)
	if d == nil || err != nil {
		return nil, err
	}
	doc, err := d.parse()
	if err != nil {
		return nil, err
	}
	var out []place
	_, items := doc.Find("items")
	if items == nil {
		return nil, nil
	}
	for i, item := range items.Content {
		_, places := doc.Find("items", i, "places")
		if places == nil || places.Kind != yaml.SequenceNode {
			continue
		}
		var own []place
		for j, n := range places.Content {
			if namespace, _, ok := strings.Cut(n.Value, "/"); ok && slices.Contains(namespaces, namespace) {
				own = append(own, place{file: registerFile, line: n.Line, path: []any{"items", i, "places"}, index: j})
			}
		}
		if len(own) > 0 && len(own) == len(places.Content) {
			own = []place{{file: registerFile, line: item.Line, path: []any{"items"}, index: i}}
		}
		out = append(out, own...)
	}
	return out, nil
}

// assertionOf tells whether a network assertion is about the namespaces and no other app.
func assertionOf(n *yaml.Node, namespaces []string) bool {
	about := []string{
		namespaces[0], namespaces[1], namespaces[0] + "*",
		"{" + namespaces[0] + "," + namespaces[1] + "}", "{" + namespaces[1] + "," + namespaces[0] + "}",
	}
	found, all := false, true
	for _, verdict := range []string{"allow", "deny"} {
		for _, end := range []string{"from", "to"} {
			namespace := text(child(child(n, verdict), end), "namespace")
			switch {
			case slices.Contains(about, namespace):
				found = true
			case strings.Contains(namespace, "app-") && namespace != "app-*":
				all = false
			}
		}
	}
	return found && all
}

// child returns a value of a mapping, or nil.
func child(n *yaml.Node, key string) *yaml.Node {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}

// text returns a text of a mapping, or "".
func text(n *yaml.Node, key string) string {
	if v := child(n, key); v != nil && v.Kind == yaml.ScalarNode {
		return v.Value
	}
	return ""
}

// Apps returns the names of the apps that the overlays list, sorted.
func Apps(t *gitops.Tree) []string {
	var names []string
	e := newEdit(t, "")
	for _, env := range environments {
		d, err := e.document(path.Join(overlaysDir, env, listFile))
		if d == nil || err != nil {
			continue
		}
		listed, _ := d.texts("resources")
		for _, name := range listed {
			if name = path.Clean(name); nameForm.MatchString(name) {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// others is how many other apps stay in the trees that a plan is checked on.
const others = 4

// Trees returns the repository before and after the change, in memory. To check a change
// in a repository of a thousand apps takes no longer than in one of ten: of the other
// apps a few stay, and what is wrong with the lists without the rest is wrong in both.
func (p *Plan) Trees() (before, after *gitops.Tree, err error) {
	e := newEdit(p.tree, p.Name)
	gone := map[string]bool{}
	kept := 0
	for _, name := range Apps(p.tree) {
		if name == p.Name {
			continue
		}
		if kept++; kept > others {
			gone[name] = true
		}
	}
	changes := map[string][]byte{}
	if len(gone) > 0 {
		for _, file := range e.files().Files() {
			owner, namespace := ownerOf(file)
			if gone[owner] || namespace && gone[strings.TrimSuffix(owner, "-staging")] {
				changes[file] = nil
			}
		}
		for _, list := range e.lists() {
			data, err := e.without(list, changes)
			if err != nil {
				return nil, nil, err
			}
			changes[list] = data
		}
	}
	before = p.tree.With(changes)
	for _, c := range p.Changes {
		changes[c.File] = c.After
		if c.After != nil && slices.Contains(e.lists(), c.File) && len(gone) > 0 {
			e.documents[c.File] = &document{name: c.File, data: c.After}
			data, err := e.without(c.File, changes)
			if err != nil {
				return nil, nil, err
			}
			changes[c.File] = data
		}
	}
	return before, p.tree.With(changes), nil
}

// lists are the kustomizations that name apps.
func (e *edit) lists() []string {
	var out []string
	for _, file := range []string{
		path.Join(overlaysDir, "staging", listFile), path.Join(overlaysDir, "prod", listFile),
		path.Join(namespacesDir, listFile), path.Join(automationDir, listFile),
	} {
		if e.files().IsFile(file) {
			out = append(out, file)
		}
	}
	return out
}

// without returns a list without what is taken out. It is for the check alone, so that
// it need not look as it did.
func (e *edit) without(list string, changes map[string][]byte) ([]byte, error) {
	d, err := e.document(list)
	if err != nil {
		return nil, err
	}
	doc, err := d.parse()
	if err != nil {
		return nil, err
	}
	out := document{name: d.name, data: d.data}
	_, seq := doc.Find("resources")
	if seq == nil || seq.Kind != yaml.SequenceNode {
		return out.data, nil
	}
	gone := map[string]bool{}
	for file, data := range changes {
		if data == nil {
			gone[file] = true
			gone[path.Dir(file)] = true
		}
	}
	skip := map[int]bool{} // lines
	for _, n := range seq.Content {
		if gone[path.Join(path.Dir(list), n.Value)] {
			skip[n.Line] = true
		}
	}
	if seq.Style&yaml.FlowStyle != 0 {
		return out.data, nil
	}
	var b strings.Builder
	for i, line := range splitLines(d.data) {
		if !skip[i+1] {
			b.WriteString(line)
		}
	}
	return []byte(b.String()), nil
}

// refuseMissing says which parts of the blueprint's shape a repository lacks.
func refuseMissing(missing []string) error {
	return report.Refuse("name the folder of a repository that was made from the blueprint: --repository DIR",
		"this is no repository of the blueprint's shape: there is no %s", strings.Join(missing, ", no "))
}

// quantity writes a number with its noun.
func quantity(n int, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, more)
}
