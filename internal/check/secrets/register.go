package secrets

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"lumacore.dev/lumacore/internal/config"
	"lumacore.dev/lumacore/internal/render"
	"lumacore.dev/lumacore/internal/report"
)

// register holds the register of secrets, if there is one, against the OnePasswordItems
// of the clusters.
func (l *look) register() error {
	r, err := config.LoadSecretRegister(l.files)
	var bad *config.Error
	switch {
	case errors.As(err, &bad):
		for _, m := range bad.Mistakes {
			// Who writes an entry may have put the secret itself there.
			l.out.Add(report.Finding{Rule: "secrets/register-invalid", Location: m.Location, Message: m.Message, Source: "(not shown)"})
		}
	case err != nil:
		return err
	}
	if r == nil {
		return nil
	}
	entries, places := map[string]*config.SecretItem{}, map[string]string{}
	for i := range r.Items {
		e := &r.Items[i]
		entries[e.Item] = e
		for _, p := range e.Places {
			places[p.String()] = e.Item
		}
	}
	for _, c := range l.in.Render.Clusters {
		for _, o := range c.Of(onePassword, "OnePasswordItem") {
			at := o.GetNamespace() + "/" + o.GetName()
			itemPath, _, _ := unstructured.NestedString(o.Object, "spec", "itemPath")
			title, ok := titleOf(itemPath)
			missing := func(format string, args ...any) {
				l.out.Object("secrets/register-missing-item", c, o, []any{"spec", "itemPath"}, "%s %s", o.Key(), fmt.Sprintf(format, args...))
			}
			switch e := entries[title]; {
			case !ok:
				missing("has the path %q, which is not vaults/VAULT/items/ITEM", itemPath)
			case e == nil:
				missing("takes the item %q, which has no entry in %s", title, config.SecretRegisterFile)
			case places[at] == title:
			case places[at] != "":
				missing("takes the item %q; in %s it is a place of %q", title, config.SecretRegisterFile, places[at])
			default:
				missing("takes the item %q, whose entry (%s) does not list %s among its places", title, e.Location, at)
			}
		}
	}
	l.unused(r)
	return nil
}

const onePassword = "onepassword.com"

// titleOf returns the item of vaults/VAULT/items/ITEM: its title, or its ID.
func titleOf(itemPath string) (string, bool) {
	parts := strings.Split(itemPath, "/")
	if len(parts) != 4 || parts[0] != "vaults" || parts[2] != "items" || parts[1] == "" || parts[3] == "" {
		return "", false
	}
	return parts[3], true
}

// unused reports what the register lists and no cluster has. What cannot be seen may be
// there: in the namespace of a chart that cannot be had, in a namespace that may come from
// another repository, and anywhere if a folder of this one does not render.
func (l *look) unused(r *config.SecretRegister) {
	if len(l.in.Render.Clusters) < len(l.in.Config.Clusters) {
		return // --cluster: the others may have it
	}
	there, spaces, unseen := map[string]bool{}, map[string]bool{}, map[string]bool{}
	foreign := false
	for _, c := range l.in.Render.Clusters {
		for _, k := range c.Kustomizations {
			switch {
			case k.Built:
			case k.Path != "":
				return
			default:
				foreign, unseen[k.Spec.Spec.TargetNamespace] = true, true
			}
		}
		for _, rel := range c.Releases {
			if !rel.Rendered {
				unseen[rel.Spec.GetReleaseNamespace()] = true
			}
		}
		for _, o := range c.Objects {
			switch {
			case o.Is("", "Namespace"):
				spaces[o.GetName()] = true
			case o.Is(onePassword, "OnePasswordItem"):
				there[o.GetNamespace()+"/"+o.GetName()] = true
			}
			spaces[o.GetNamespace()] = true
		}
	}
	if len(l.in.Render.Clusters) == 0 {
		return
	}
	seen := func(namespace string) bool { return !unseen[namespace] && (spaces[namespace] || !foreign) }
	for _, e := range r.Items {
		var gone []config.Place
		for _, p := range e.Places {
			if !there[p.String()] && seen(p.Namespace) {
				gone = append(gone, p)
			}
		}
		if len(gone) > 0 && len(gone) == len(e.Places) {
			l.out.File("secrets/register-unused", e.Location, "the item %q is in no cluster: there is no OnePasswordItem %s", e.Item, joined(gone))
			continue
		}
		for _, p := range gone {
			l.out.File("secrets/register-unused", p.Location, "the item %q has the place %s, where no cluster has a OnePasswordItem", e.Item, p)
		}
	}
	for _, b := range r.Bootstrap {
		if p := b.Secret; p.Name != "" && !spaces[p.Namespace] && !foreign {
			l.out.File("secrets/register-unused", p.Location, "the Secret %s is for a namespace in which no cluster has anything", p)
		}
	}
}

func joined(places []config.Place) string {
	names := make([]string, len(places))
	for i, p := range places {
		names[i] = p.String()
	}
	return list(names, 5)
}

// watched reports OnePasswordItems in namespaces that the operator does not look at. Of an
// operator that is not in the repository, or whose list is only known in the cluster,
// nothing is claimed.
func (l *look) watched(ctx context.Context) error {
	for _, c := range l.in.Render.Clusters {
		items := c.Of(onePassword, "OnePasswordItem")
		if len(items) == 0 {
			continue
		}
		w, err := watchers(ctx, c)
		if err != nil {
			return err
		}
		if w.all || len(w.by) == 0 {
			continue
		}
		for _, o := range items {
			if w.namespaces[o.GetNamespace()] {
				continue
			}
			l.out.Object("secrets/item-not-watched", c, o, []any{"metadata", "namespace"}, "nobody makes the Secret of %s: no operator watches %s; there is %s",
				o.Key(), o.GetNamespace(), list(w.by, 3))
		}
	}
	return nil
}

// watch is what the 1Password operators of a cluster look at.
type watch struct {
	by         []string // who they are
	namespaces map[string]bool
	all        bool // or it is not known
}

// watchers finds the operators of a cluster: as releases of 1Password's chart "connect",
// whose values say it even where the chart cannot be had, and as pods.
func watchers(ctx context.Context, c *render.Cluster) (*watch, error) {
	w, seen := &watch{namespaces: map[string]bool{}}, map[string]bool{}
	for _, rel := range c.Releases {
		name := rel.Chart
		if s := rel.Spec.Spec.Chart; name == "" && s != nil {
			name = path.Base(s.Spec.Chart)
		}
		if name != "connect" {
			continue
		}
		values, err := c.Values(ctx, rel)
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		operator, _ := values["operator"].(map[string]any)
		switch create := operator["create"]; {
		case err != nil:
			w.all = true
		case create == nil || create == false || create == "false":
			continue
		}
		w.by, seen[rel.Name()] = append(w.by, rel.Object.Key().String()), true
		w.add(namespacesOf(operator["watchNamespace"]))
	}
	for _, o := range c.Objects {
		pods, ok := o.Pods()
		if !ok || seen[o.Origin.HelmRelease] {
			continue
		}
		for _, container := range pods.Containers() {
			image, _ := container.Spec["image"].(string)
			name, _, _ := strings.Cut(path.Base(image), ":")
			if name, _, _ = strings.Cut(name, "@"); name != "onepassword-operator" {
				continue
			}
			w.by = append(w.by, o.Key().String())
			env, _ := container.Spec["env"].([]any)
			var value any
			for _, e := range env {
				if e, _ := e.(map[string]any); e["name"] == "WATCH_NAMESPACE" {
					if value = e["value"]; e["valueFrom"] != nil {
						value = e["valueFrom"]
					}
				}
			}
			text, _ := value.(string)
			w.add(strings.FieldsFunc(text, func(r rune) bool { return r == ',' }))
		}
	}
	return w, nil
}

// add takes a list of namespaces in; an empty one stands for all.
func (w *watch) add(names []string) {
	if len(names) == 0 {
		w.all = true
	}
	for _, n := range names {
		if strings.Contains(n, "{{") { // the chart puts something in
			w.all = true
		}
		w.namespaces[n] = true
	}
}

// namespacesOf reads operator.watchNamespace. The chart goes over it with range, which
// takes the values of a mapping as well as those of a list.
func namespacesOf(v any) (names []string) {
	var values []any
	switch v := v.(type) {
	case []any:
		values = v
	case map[string]any:
		values = slices.Collect(maps.Values(v))
	}
	for _, n := range values {
		if s, ok := n.(string); ok && s != "" {
			names = append(names, s)
		}
	}
	return names
}
