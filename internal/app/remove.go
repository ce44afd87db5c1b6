package app

import (
	"bytes"
	"cmp"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"lumacore.dev/lumacore/internal/gitops"
	"lumacore.dev/lumacore/internal/report"
)

// Remove plans to take an app out: its files, and its entries in the lists.
//
// An app that may run is taken out in two steps. Flux deletes its objects as the account
// of their environment, whose right to do so is a RoleBinding in the app's namespace, and
// production is deleted with the next release only. So its namespaces stay until a second
// Remove, which finds nothing else of the app.
//
// The error is a [report.Failure].
func Remove(t *gitops.Tree, name string, mayRun bool) (*Plan, error) {
	if !nameForm.MatchString(name) {
		return nil, report.Misuse("lumacore app remove NAME, of a folder in "+appsDir+"/", "%q is not the name of an app", name)
	}
	e := newEdit(t, name)
	places, err := e.placesOf(name)
	if err != nil {
		return nil, report.Refuse("", "%w", err)
	}
	if len(places) == 0 {
		next := "there is none"
		if apps := Apps(t); len(apps) > 0 {
			next = "it has " + strings.Join(apps[:min(len(apps), 20)], ", ")
			if near := report.Nearest(name, apps); near != "" {
				next = "did you mean lumacore app remove " + near + "?"
			}
		}
		return nil, report.Refuse(next, "the repository has no app %s", name)
	}
	if mayRun {
		if !slices.ContainsFunc(places, func(p place) bool { return !p.namespace }) {
			return nil, report.Refuse("commit what the first step removed, release production, then run this again",
				"the last commit still has %s: its namespaces stay until Flux has deleted what is in them", name)
		}
		places = slices.DeleteFunc(places, func(p place) bool {
			if p.namespace && p.path == nil {
				if dir := path.Base(path.Dir(p.file)); !slices.Contains(e.plan.Kept, dir) {
					e.plan.Kept = append(e.plan.Kept, dir)
				}
			}
			return p.namespace
		})
	}
	for _, p := range inOrder(places) {
		if p.path == nil {
			data, err := e.files().ReadFile(p.file)
			if err != nil {
				return nil, err
			}
			e.plan.Changes = append(e.plan.Changes, Change{File: p.file, Before: data})
			continue
		}
		d, err := e.document(p.file)
		if err != nil {
			return nil, err
		}
		remove := func() error { return d.remove(p.index, p.path...) }
		if p.key != "" {
			remove = func() error { return d.removeKey(p.key, p.path...) }
		}
		if err := remove(); err != nil {
			return nil, report.Refuse("take the entry out by hand", "%w", err)
		}
	}
	plan, err := e.done()
	if err != nil {
		return nil, err
	}
	refs, mentions := plan.references()
	if len(refs) > 0 {
		return nil, report.Refuse("change these first; whether they may go with the app is for you to say",
			"%s refer%s to %s:\n  %s", quantity(len(refs), "other place", "other places"), map[bool]string{true: "s"}[len(refs) == 1], name, strings.Join(refs, "\n  "))
	}
	if len(mentions) > 0 {
		plan.Notes = append(plan.Notes, "still mentioned in "+strings.Join(mentions, ", "))
	}
	return plan, nil
}

// inOrder returns places in an order in which they can be taken out: the last of a list
// first, so that the indexes of the others stay right, and what is in an item of a list
// before the item.
func inOrder(places []place) []place {
	slices.SortStableFunc(places, func(a, b place) int {
		return cmp.Or(len(b.path)-len(a.path), b.index-a.index)
	})
	return places
}

// references returns the values in files that stay and that name the app, and the text
// files besides that do.
func (p *Plan) references() (refs, mentions []string) {
	changed := map[string][]byte{}
	for _, c := range p.Changes {
		changed[c.File] = c.After
	}
	after := gitops.Unfiltered{Tree: p.tree.With(changed)}
	quoted := regexp.QuoteMeta(p.Name)
	names := regexp.MustCompile(`(^|[^-a-z0-9])app-` + quoted + `(-staging)?($|[^-a-z0-9]|-?\*)` +
		`|(^|[^-A-Za-z0-9_])(` + appsDir + `|` + overlaysDir + `/(staging|prod|\*))/` + quoted + `($|[^-A-Za-z0-9_.])`)
	for _, file := range after.Files() {
		if p.keeps(file) {
			continue
		}
		data, err := after.Once(file)
		if err != nil || !bytes.Contains(data, []byte(p.Name)) || bytes.IndexByte(data, 0) >= 0 || !names.Match(data) {
			continue
		}
		// Tests of alert rules take names as examples: they hold without the app.
		if !gitops.IsYAML(file) || strings.HasSuffix(file, ".test.yaml") {
			mentions = append(mentions, file)
			continue
		}
		docs, err := gitops.ParseDocuments(file, data)
		if err != nil {
			refs = append(refs, file+" (which is no YAML that can be read)")
			continue
		}
		found := false
		for _, d := range docs {
			walk(d.Node, func(n *yaml.Node) {
				if names.MatchString(n.Value) {
					found = true
					refs = append(refs, fmt.Sprintf("%s:%d: %s", file, n.Line, firstLine(n.Value)))
				}
			})
		}
		if !found { // in a comment
			mentions = append(mentions, file)
		}
	}
	return slices.Compact(refs), mentions
}

// keeps tells whether a file belongs to the namespaces that stay, or lists them.
func (p *Plan) keeps(file string) bool {
	if len(p.Kept) == 0 {
		return false
	}
	return file == path.Join(namespacesDir, listFile) || file == operatorFile || slices.Contains(p.Kept, path.Base(path.Dir(file))) && strings.HasPrefix(file, namespacesDir)
}

// walk calls f for every scalar.
func walk(n *yaml.Node, f func(*yaml.Node)) {
	if n.Kind == yaml.ScalarNode {
		f(n)
	}
	for _, c := range n.Content {
		walk(c, f)
	}
}

func firstLine(s string) string {
	line, _, more := strings.Cut(s, "\n")
	if more {
		line += " …"
	}
	return line
}
