package diff

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"sigs.k8s.io/yaml"

	"lumacore.dev/lumacore/internal/gitops"
	"lumacore.dev/lumacore/internal/render"
	"lumacore.dev/lumacore/internal/report"
)

// Input is what is compared.
type Input struct {
	Base, Head *render.Result
	// What the two are called; their Clusters are filled in.
	BaseName, HeadName Revision
	// Production are the values of the environment label that mean production.
	Production []string
	Workers    int // how much is done at the same time; GOMAXPROCS if 0
}

// clusterPair is a cluster on both sides; one of them is nil if it has none there.
type clusterPair struct {
	name       string
	base, head *render.Cluster
}

// pair is an object on both sides; one of them is nil if it is not there.
type pair struct {
	*clusterPair
	old, new *render.Object
	reason   string // why it cannot be compared: "Kustomization flux-system/apps"
	was      string // the old name, if it ends in another hash

	fields []field  // that differ, without noise
	noise  []string // that differ: "helm.sh/chart", once for each field
	sealed []string // paths of encrypted values that differ
}

// subject is the object at head, or at base if it is gone.
func (p *pair) subject() *render.Object {
	if p.new != nil {
		return p.new
	}
	return p.old
}

func (p *pair) action() Action {
	switch {
	case p.old == nil:
		return Added
	case p.new == nil:
		return Removed
	}
	return Changed
}

// Compare compares two renders.
func Compare(in Input) *Report {
	r := &Report{
		TypeMeta: report.Meta("DiffReport"), Base: in.BaseName, Head: in.HeadName,
		Counts: []Count{}, Objects: []Object{}, Folded: []Folded{}, NotCompared: notRendered(in.Base, in.Head),
	}
	r.Base.Clusters, r.Head.Clusters = seen(in.Base), seen(in.Head)
	mask := newMasker(in.Base, in.Head)
	var versions []Version
	counts := map[[2]string]*Count{}
	folded := map[string]*Folded{}
	clusters := clusterPairs(in.Base, in.Head)
	for _, c := range clusters {
		pairs := c.match()
		marker := newMarker(c, in.Production)
		c.lost(r, pairs)
		pairs = slices.DeleteFunc(pairs, func(p *pair) bool { return p.reason != "" })
		names := c.names(pairs)
		each(in.Workers, pairs, func(p *pair) { p.compare(names[p.subject().GetNamespace()]) })
		versions = append(versions, c.versions(pairs)...)
		objects := make([]*Object, len(pairs))
		each(in.Workers, indexes(len(pairs)), func(i int) {
			if p := pairs[i]; p.differs() {
				o := p.object(mask)
				o.Marks = marker.marks(p, mask)
				objects[i] = &o
			}
		})
		for i, p := range pairs {
			if objects[i] == nil && len(p.noise) == 0 {
				continue
			}
			env := p.subject().Origin.Environment
			n := counts[[2]string{c.name, env}]
			if n == nil {
				n = &Count{Cluster: c.name, Environment: env}
				counts[[2]string{c.name, env}] = n
			}
			if objects[i] == nil {
				n.Folded++
				c.fold(folded, p, len(clusters) > 1)
				continue
			}
			switch objects[i].Action {
			case Added:
				n.Added++
			case Removed:
				n.Removed++
			default:
				n.Changed++
			}
			r.Objects = append(r.Objects, *objects[i])
		}
	}
	r.Versions = mergeVersions(versions)
	for i := range r.Versions { // a name of a repository is no secret, a tag from a Secret may be
		v := &r.Versions[i]
		v.Name, v.Old, v.New = mask.text(v.Name), mask.text(v.Old), mask.text(v.New)
	}
	for _, k := range slices.SortedFunc(maps.Keys(counts), func(a, b [2]string) int { return slices.Compare(a[:], b[:]) }) {
		r.Counts = append(r.Counts, *counts[k])
	}
	for _, k := range slices.Sorted(maps.Keys(folded)) {
		folded[k].Objects = unique(folded[k].Objects)
		r.Folded = append(r.Folded, *folded[k])
	}
	r.Objects = mergeObjects(r.Objects)
	r.NotCompared = mergeNotCompared(r.NotCompared)
	return r
}

// each calls f for all items, some at the same time.
func each[T any](workers int, items []T, f func(T)) {
	workers = min(cmp.Or(workers, runtime.GOMAXPROCS(0)), len(items))
	var next atomic.Int64
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(items); i = int(next.Add(1)) - 1 {
				f(items[i])
			}
		})
	}
	wg.Wait()
}

func indexes(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}

func seen(r *render.Result) []Cluster {
	out := []Cluster{}
	for _, c := range r.Clusters {
		out = append(out, Cluster{c.Name, len(c.Kustomizations), len(c.Releases), len(c.Objects)})
	}
	return out
}

func clusterPairs(base, head *render.Result) []*clusterPair {
	byName := map[string]*clusterPair{}
	get := func(name string) *clusterPair {
		if byName[name] == nil {
			byName[name] = &clusterPair{name: name}
		}
		return byName[name]
	}
	for _, c := range base.Clusters {
		get(c.Name).base = c
	}
	for _, c := range head.Clusters {
		get(c.Name).head = c
	}
	out := []*clusterPair{}
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		out = append(out, byName[name])
	}
	return out
}

// match pairs the objects of the two sides, sorted by key.
func (c *clusterPair) match() []*pair {
	old, new := objectsOf(c.base), objectsOf(c.head)
	var out []*pair
	var gone, come []*pair
	for k, list := range old {
		others := slices.Clone(new[k])
		for _, o := range list {
			p := &pair{clusterPair: c, old: o}
			// Of two that apply the same object, the same one; else any.
			at := slices.IndexFunc(others, func(n *render.Object) bool {
				return n.Origin.Kustomization == o.Origin.Kustomization && n.Origin.HelmRelease == o.Origin.HelmRelease
			})
			if at < 0 && len(others) > 0 && len(list) == 1 {
				at = 0
			}
			if at >= 0 {
				p.new = others[at]
				others = slices.Delete(others, at, at+1)
				out = append(out, p)
			} else {
				gone = append(gone, p)
			}
		}
		for _, n := range others {
			come = append(come, &pair{clusterPair: c, new: n})
		}
	}
	for k, list := range new {
		if old[k] == nil {
			for _, n := range list {
				come = append(come, &pair{clusterPair: c, new: n})
			}
		}
	}
	out = append(out, c.hashes(gone, come)...)
	for _, p := range out {
		if p.new == nil {
			p.reason = absent(p.old, c.base, c.head)
		} else if p.old == nil {
			p.reason = absent(p.new, c.head, c.base)
		}
	}
	slices.SortStableFunc(out, func(a, b *pair) int {
		x, y := a.subject(), b.subject()
		return cmp.Or(x.Key().Compare(y.Key()), cmp.Compare(x.Origin.Kustomization, y.Origin.Kustomization),
			cmp.Compare(x.Origin.HelmRelease, y.Origin.HelmRelease), cmp.Compare(a.action(), b.action()))
	})
	return out
}

func objectsOf(c *render.Cluster) map[render.Key][]*render.Object {
	out := map[render.Key][]*render.Object{}
	if c != nil {
		for _, o := range c.Objects {
			out[o.Key()] = append(out[o.Key()], o)
		}
	}
	return out
}

// hashes pairs generated objects whose names end in different hashes, when the rest
// of the name fits one object on each side alone.
func (c *clusterPair) hashes(gone, come []*pair) []*pair {
	by := func(list []*pair) map[render.Key][]*pair {
		out := map[render.Key][]*pair{}
		for _, p := range list {
			if k, ok := stem(p.subject().Key()); ok {
				out[k] = append(out[k], p)
			}
		}
		return out
	}
	old, new := by(gone), by(come)
	for k, o := range old {
		if n := new[k]; len(o) == 1 && len(n) == 1 {
			o[0].new, o[0].was = n[0].new, o[0].old.GetName()
			n[0].new = nil // taken
		}
	}
	come = slices.DeleteFunc(come, func(p *pair) bool { return p.new == nil })
	return append(gone, come...)
}

// absent returns what has to be rendered on the other side before it can be told
// whether it has the object; "" if it has not.
func absent(o *render.Object, own, other *render.Cluster) string {
	if other == nil {
		return ""
	}
	for range 100 { // Kustomizations in Kustomizations
		if name := o.Origin.HelmRelease; name != "" {
			if at := slices.IndexFunc(other.Releases, func(r *render.Release) bool { return r.Name() == name }); at >= 0 {
				if !other.Releases[at].Rendered {
					return "HelmRelease " + name
				}
				return ""
			}
			if ns, n, _ := strings.Cut(name, "/"); other.Get(render.Key{Group: gitops.GroupHelm, Kind: "HelmRelease", Namespace: ns, Name: n}) != nil {
				return "HelmRelease " + name // it is there, and its spec cannot be read
			}
			at := slices.IndexFunc(own.Releases, func(r *render.Release) bool { return r.Name() == name })
			if at < 0 {
				return ""
			}
			o = own.Releases[at].Object
			continue
		}
		name := o.Origin.Kustomization
		if at := slices.IndexFunc(other.Kustomizations, func(k *render.Kustomization) bool { return k.Name() == name }); at >= 0 {
			if !other.Kustomizations[at].Built {
				return "Kustomization " + name
			}
			return ""
		}
		if ns, n, _ := strings.Cut(name, "/"); other.Get(render.Key{Group: gitops.GroupKustomize, Kind: "Kustomization", Namespace: ns, Name: n}) != nil {
			return "Kustomization " + name
		}
		at := slices.IndexFunc(own.Kustomizations, func(k *render.Kustomization) bool { return k.Name() == name })
		if at < 0 || own.Kustomizations[at].Implied || own.Kustomizations[at].Object == o {
			return ""
		}
		o = own.Kustomizations[at].Object
	}
	return ""
}

// lost notes the objects that cannot be compared.
func (c *clusterPair) lost(r *Report, pairs []*pair) {
	by := map[[2]string]*NotCompared{}
	for _, p := range pairs {
		if p.reason == "" {
			continue
		}
		side, at := "head", "base"
		if p.old == nil {
			side, at = at, side
		}
		n := by[[2]string{p.reason, side}]
		if n == nil {
			n = &NotCompared{
				Subject: p.reason, Side: side, Clusters: []string{c.name}, Location: p.subject().Origin.Location,
				Reason: "its objects are known at " + at + " alone, so that they can be taken neither for new nor for gone",
			}
			by[[2]string{p.reason, side}] = n
		}
		n.Objects++
	}
	for _, n := range by {
		r.NotCompared = append(r.NotCompared, *n)
	}
}

// notRendered lists what did not render on either side.
func notRendered(base, head *render.Result) (out []NotCompared) {
	for _, side := range []struct {
		name   string
		result *render.Result
	}{{"base", base}, {"head", head}} {
		for _, c := range side.result.Clusters {
			for _, u := range c.Unchecked {
				out = append(out, NotCompared{Subject: u.Subject, Side: side.name, Reason: u.Reason, Location: u.Location, Clusters: []string{c.Name}})
			}
			for _, p := range c.Problems {
				out = append(out, NotCompared{Subject: p.Object.String(), Side: side.name, Reason: p.Message, Location: p.Location, Clusters: []string{c.Name}})
			}
		}
	}
	return out
}

// mergeNotCompared makes one entry of what is the same on both sides or on several
// clusters, and sorts. Lines may differ between the sides.
func mergeNotCompared(list []NotCompared) []NotCompared {
	out := []NotCompared{}
	at := map[string]int{}
	for _, n := range list {
		id := strings.Join([]string{n.Subject, n.Reason, n.Location.File}, "\x00")
		i, ok := at[id]
		if !ok {
			at[id] = len(out)
			out = append(out, n)
			continue
		}
		if out[i].Side != n.Side {
			out[i].Side, out[i].Location = "both", n.Location
		}
		out[i].Objects += n.Objects
		out[i].Clusters = append(slices.Clone(out[i].Clusters), n.Clusters...)
	}
	for i := range out {
		out[i].Clusters = unique(out[i].Clusters)
	}
	slices.SortFunc(out, func(a, b NotCompared) int {
		return cmp.Or(cmp.Compare(a.Subject, b.Subject), a.Location.Compare(b.Location), cmp.Compare(a.Reason, b.Reason), cmp.Compare(a.Side, b.Side))
	})
	return out
}

// names are the old names of generated objects of a namespace, each with its new one.
func (c *clusterPair) names(pairs []*pair) map[string]map[string]string {
	out := map[string]map[string]string{}
	for _, p := range pairs {
		if p.was != "" {
			ns := p.new.GetNamespace()
			if out[ns] == nil {
				out[ns] = map[string]string{}
			}
			out[ns][p.was] = p.new.GetName()
		}
	}
	return out
}

// compare finds the fields that differ.
func (p *pair) compare(names map[string]string) {
	if p.old == nil || p.new == nil {
		return
	}
	all := fields(p.old.Object, p.new.Object)
	if len(all) > 0 {
		if old, ok := follow(names, p.old.Object, p.new.Object); ok {
			p.noise = append(p.noise, generatedName)
			all = fields(old, p.new.Object)
		}
		p.divide(all)
	}
	o, n := p.old.Sealed(), p.new.Sealed()
	for path, sum := range o {
		if now, ok := n[path]; ok && now != sum {
			p.sealed = append(p.sealed, path)
		}
	}
	slices.Sort(p.sealed)
}

func (p *pair) divide(all []field) {
	for _, f := range all {
		for _, f := range onlyLabels(f) {
			if n := noise(f.way); n != "" {
				p.noise = append(p.noise, n)
			} else {
				p.fields = append(p.fields, f)
			}
		}
	}
}

// differs tells whether an object differs in more than noise.
func (p *pair) differs() bool {
	return p.action() != Changed || len(p.fields) > 0 || len(p.sealed) > 0 || p.moved()
}

// moved tells whether another Kustomization or HelmRelease applies the object now.
func (p *pair) moved() bool {
	return p.old != nil && p.new != nil &&
		(p.old.Origin.Kustomization != p.new.Origin.Kustomization && p.old.Origin.HelmRelease == "" && p.new.Origin.HelmRelease == "" ||
			p.old.Origin.HelmRelease != p.new.Origin.HelmRelease)
}

// fold adds an object that differs in noise alone to its group.
func (c *clusterPair) fold(groups map[string]*Folded, p *pair, named bool) {
	what := unique(slices.Clone(p.noise))
	key := strings.Join(what, "\x00")
	if groups[key] == nil {
		groups[key] = &Folded{Fields: what}
	}
	name := p.subject().Key().String()
	if named {
		name = c.name + ": " + name
	}
	groups[key].Objects = append(groups[key].Objects, name)
}

// object describes what differs.
func (p *pair) object(mask *masker) Object {
	s := p.subject()
	g := s.Origin
	o := Object{
		Action: p.action(), Object: s.Key().String(), Group: s.Key().Group, Was: p.was, Clusters: []string{p.name},
		Environment: g.Environment, Kustomization: g.Kustomization, HelmRelease: g.HelmRelease, Template: g.Template,
		Suspended: g.Suspended, Location: g.Location, Marks: []ObjectMark{}, Changes: []Change{}, Folded: len(p.noise),
	}
	if o.Action != Changed {
		v, _ := mask.value(s, nil, s.Object)
		o.Content = block(v)
		return o
	}
	for _, f := range p.fields {
		o.Changes = append(o.Changes, p.change(mask, f))
	}
	for _, path := range p.sealed {
		o.Changes = append(o.Changes, Change{Action: Changed, Path: path, Hidden: hiddenEncrypted})
	}
	return o
}

// change describes a field that differs.
func (p *pair) change(mask *masker, f field) Change {
	c := Change{Action: Changed, Path: f.way.String()}
	old, why := mask.value(p.old, f.way, f.old)
	new, why2 := mask.value(p.new, f.way, f.new)
	whole := func(v any) bool { return v == maskSecret || v == maskCluster }
	switch {
	case f.order:
		c.Action, c.Old, c.New = Reordered, cut(mask.text(f.old.(string))), cut(mask.text(f.new.(string)))
		return c
	case !f.had:
		c.Action = Added
	case !f.has:
		c.Action = Removed
	}
	if f.had && f.has && equal(old, new) || whole(old) || whole(new) {
		// What differs is what is hidden; of a value that only one side hides, the other
		// would say what it was.
		c.Hidden = cmp.Or(why, why2)
		return c
	}
	if f.had && f.has && textual(old, new) {
		if c.Diff = text(old.(string), new.(string)); c.Diff != "" {
			return c
		}
	}
	if f.had {
		c.Old = shown(old)
	}
	if f.has {
		c.New = shown(new)
	}
	return c
}

// shown writes a value: maps and lists of more than a few words as YAML.
func shown(v any) string {
	switch v.(type) {
	case map[string]any, []any:
		if s := block(v); strings.Contains(s, "\n") {
			return s
		}
	}
	if s, ok := v.(string); ok && strings.Contains(strings.TrimSpace(s), "\n") {
		return few(s)
	}
	return value(v)
}

// block writes a value as YAML, cut to what is shown of one.
func block(v any) string {
	b, err := yaml.Marshal(v)
	if err != nil { // no YAML of a cluster makes it
		b, _ = json.Marshal(fmt.Sprint(v))
	}
	return few(string(bytes.TrimRight(b, "\n")))
}

// mergeObjects makes one entry of the same difference on several clusters. The others
// stay in their order: by cluster, namespace, group, kind and name.
func mergeObjects(list []Object) []Object {
	out := []Object{}
	at := map[string]int{}
	for _, o := range list {
		clusters := o.Clusters
		o.Clusters = nil
		id, err := json.Marshal(o)
		o.Clusters = clusters
		if i, ok := at[string(id)]; ok && err == nil && !slices.Contains(out[i].Clusters, clusters[0]) {
			out[i].Clusters = append(out[i].Clusters, clusters...)
			continue
		}
		at[string(id)] = len(out)
		out = append(out, o)
	}
	return out
}
