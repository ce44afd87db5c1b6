package secrets

import (
	"context"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"lumacore.dev/lumacore/internal/check"
	"lumacore.dev/lumacore/internal/leaks"
	"lumacore.dev/lumacore/internal/render"
	"lumacore.dev/lumacore/internal/report"
)

// rendered searches what is only there after rendering: values from charts, from
// substitution, from generators. A secret that is in a file too is not reported again.
func (l *look) rendered(ctx context.Context, k *known, inFiles map[string]bool) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	for _, c := range l.in.Render.Clusters {
		for part := range slices.Chunk(c.Objects, 128) {
			g.Go(func() error {
				for _, o := range part {
					if err := l.object(ctx, k, c, o, inFiles); err != nil {
						return err
					}
				}
				return ctx.Err()
			})
		}
	}
	return g.Wait()
}

// object searches the values of an object that whoever may see it can read.
func (l *look) object(ctx context.Context, k *known, c *render.Cluster, o *render.Object, inFiles map[string]bool) error {
	v := readable(o)
	if v.text.Len() == 0 {
		return nil
	}
	text := v.text.String()
	key := keyOf("object", "", []byte(text))
	r, ok := k.get(key)
	if !ok {
		found, err := l.scanner.File(ctx, "", []byte(text))
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if r.Findings = plain(found); err == nil {
			k.put(key, r)
		} else {
			l.out.Unchecked(report.Unchecked{
				Subject: o.Key().String(), Location: o.Origin.Location, Clusters: []string{c.Name},
				Reason: "what it renders to is not searched for secrets: " + err.Error(),
			})
		}
	}
	for _, f := range r.Findings {
		if inFiles[f.Secret] {
			continue
		}
		i, ok := slices.BinarySearchFunc(v.items, f.Line, func(it item, line int) int { return it.line - line })
		if !ok {
			i--
		}
		it := v.items[max(0, i)]
		out := check.Finding("secrets/rendered", c, o, it.at, "%s of %s: %s; it is in no file as it stands", it.name, o.Key(), matches(f))
		out.Source = hidden
		f.File = out.Location.File
		out.Suppressed = l.suppression(f, f.File)
		l.out.Add(out)
	}
	return nil
}

// values are the values of an object, as a text in which each has its lines.
type values struct {
	text  strings.Builder
	lines int
	items []item // by line
}

// item is a value.
type item struct {
	line int    // of the text, from 1
	at   []any  // its path in the object
	name string // "environment variable TOKEN of container app"
}

// add adds a value as it would stand in a file: after its name.
func (v *values) add(name string, at []any, key, value string) {
	if value == "" || len(v.items) >= maxItems || v.text.Len()+len(value) > leaks.MaxText {
		return
	}
	v.items = append(v.items, item{v.lines + 1, at, name})
	text := value
	if key != "" {
		text = key + ": " + value
		if strings.Contains(value, "\n") {
			text = key + ":\n" + value
		}
	}
	if !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	v.lines += strings.Count(text, "\n")
	v.text.WriteString(text)
}

// maxItems is how many values of an object are searched; an object has at most 1.5 MiB
// in a cluster.
const maxItems = 20_000

// readable returns what of an object is searched: annotations, the data of ConfigMaps,
// and arguments and environment of containers. What is in a Secret is where it belongs,
// if it is not in Git.
func readable(o *render.Object) *values {
	v := &values{}
	if o.Is("", "Secret") {
		return v
	}
	annotations := func(m map[string]any, at ...any) {
		for _, k := range slices.Sorted(maps.Keys(m)) {
			if s, ok := m[k].(string); ok {
				v.add("annotation "+k, append(slices.Clone(at), k), k, s)
			}
		}
	}
	if meta, ok := o.Object["metadata"].(map[string]any); ok {
		a, _ := meta["annotations"].(map[string]any)
		annotations(a, "metadata", "annotations")
	}
	if o.Is("", "ConfigMap") {
		data, _ := o.Object["data"].(map[string]any)
		for _, k := range slices.Sorted(maps.Keys(data)) {
			if s, ok := data[k].(string); ok {
				v.add("key "+k, []any{"data", k}, k, s)
			}
		}
	}
	pods, ok := o.Pods()
	if !ok {
		return v
	}
	if len(pods.Path) > 0 {
		a, _ := pods.Metadata["annotations"].(map[string]any)
		annotations(a, append(slices.Clone(pods.Path), "metadata", "annotations")...)
	}
	for _, c := range pods.Containers() {
		env, _ := c.Spec["env"].([]any)
		for i, e := range env {
			e, _ := e.(map[string]any)
			name, _ := e["name"].(string)
			value, _ := e["value"].(string)
			v.add(fmt.Sprintf("environment variable %s of container %s", name, c.Name), append(slices.Clone(c.Path), "env", i, "value"), name, value)
		}
		for _, field := range []string{"command", "args"} {
			list, _ := c.Spec[field].([]any)
			for i, a := range list {
				if s, ok := a.(string); ok {
					v.add(fmt.Sprintf("%s %d of container %s", strings.TrimSuffix(field, "s"), i+1, c.Name), append(slices.Clone(c.Path), field, i), "", s)
				}
			}
		}
	}
	return v
}
