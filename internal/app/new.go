package app

import (
	"bytes"
	"cmp"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"text/template"

	"github.com/Masterminds/semver/v3"
	"go.yaml.in/yaml/v3"

	"lumacore.dev/lumacore/internal/gitops"
	"lumacore.dev/lumacore/internal/imagename"
	"lumacore.dev/lumacore/internal/report"
)

// DefaultUser is "nonroot" of distroless images.
const DefaultUser = 65532

// Options are what is known of a new app.
type Options struct {
	Name       string
	Image      string   // with tag, and digest if it is known; ${REGISTRY} stands for the owner's registry
	Port       int      // on which it answers HTTP
	Host       string   // before the domain; Name if empty
	HealthPath string   // "": that the port is open is all that is asked
	User       int      // as whom it runs
	Secret     []string // fields of its 1Password item
	Egress     bool     // it may reach the internet
	Scrape     bool     // it has metrics
	Ingress    bool     // people reach it
}

//go:embed scaffold/*.tmpl
var scaffold embed.FS

var templates = template.Must(template.ParseFS(scaffold, "scaffold/*.tmpl"))

// Names and texts that are accepted. They go into YAML as they are.
var (
	nameForm  = regexp.MustCompile(`^[a-z]([-a-z0-9]*[a-z0-9])?$`)
	hostForm  = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`)
	pathForm  = regexp.MustCompile(`^/[-A-Za-z0-9/._~]*$`)
	fieldForm = regexp.MustCompile(`^[A-Za-z][-._A-Za-z0-9]*$`)
)

// MaxName is the longest name of an app: namespaces add "app-" and "-staging" to it, pods
// two hashes, and none may have more than 63 characters.
const MaxName = 40

// reserved are names that mean something else already.
var reserved = map[string]string{
	"staging":         "it is the name of an environment",
	"prod":            "it is the name of an environment",
	"base":            "folders of that name hold what all apps share",
	"components":      "folders of that name hold what all apps share",
	"lumacore":        "it is how the cluster's own objects are labelled",
	"registry-read":   "it is the name of a secret that apps share",
	"git-signing-key": "it is the name of a secret of image automation",
}

// data is what the templates know.
type data struct {
	Options
	Own         bool // the image is from the owner's registry
	Repository  string
	BaseImage   string // as base/ names it
	Tag, Digest string
	Range       string // of versions that image automation takes
	Labels      []string
	Components  []string
	Secret      []secret
	ServiceFor  string

	// Of one environment.
	Environment, Namespace, FullHost string
	Staging                          bool
}

// secret is a field of the 1Password item and the variable that the app gets it in.
type secret struct{ Field, Variable string }

// in returns the data for an environment.
func (d data) in(environment string) data {
	d.Environment, d.Namespace, d.Staging = environment, namespaceOf(d.Name, environment), environment == "staging"
	d.FullHost = hostIn(d.Host, environment)
	return d
}

func hostIn(host, environment string) string {
	if environment == "prod" {
		return host + ".${DOMAIN}"
	}
	return host + "-" + environment + ".${DOMAIN}"
}

// New plans a new app. The error is a [report.Failure]: of wrong use, or because the
// repository has no place for it.
func New(t *gitops.Tree, o Options) (*Plan, error) {
	e := newEdit(t, o.Name)
	o.Host = cmp.Or(o.Host, o.Name)
	if err := e.validName(o.Name); err != nil {
		return nil, err
	}
	d, err := e.resolve(o)
	if err != nil {
		return nil, err
	}
	if err := e.shape(d); err != nil {
		return nil, err
	}
	if err := e.free(d); err != nil {
		return nil, err
	}
	if err := e.write(d); err != nil {
		return nil, err
	}
	if err := e.enlist(d); err != nil {
		return nil, report.Refuse("make the list block style, or add the app by hand", "%w", err)
	}
	return e.done()
}

// validName tells why a name cannot be that of an app.
func (e *edit) validName(name string) error {
	why := ""
	switch {
	case !nameForm.MatchString(name):
		why = "it becomes part of host names: lower case letters, digits and hyphens, a letter first, no hyphen last"
	case len(name) > MaxName:
		why = fmt.Sprintf("it has %d characters, and namespaces and pods add to it; %d are the most", len(name), MaxName)
	case strings.HasSuffix(name, "-staging"):
		why = "the namespace app-" + name + " would be that of " + strings.TrimSuffix(name, "-staging") + " in staging"
	case reserved[name] != "":
		why = reserved[name]
	case e.tree.IsDir(namespacesDir + "/components/database-" + name):
		why = "the NetworkPolicies of databases take pods of that name for the database"
	default:
		return nil
	}
	return report.Misuse("choose another name, such as web or news-reader", "%q cannot be the name of an app: %s", name, why)
}

// resolve takes the options apart.
func (e *edit) resolve(o Options) (data, error) {
	d := data{Options: o}
	if len(o.Host) > 55 || !hostForm.MatchString(o.Host) {
		return d, report.Misuse("give the part before the domain, such as --host "+o.Name, "--host: %q is not one label of a host name: lower case letters, digits and hyphens, at most 55; certificates for *.DOMAIN cover no dot", o.Host)
	}
	if o.Port < 1024 || o.Port > 65535 {
		return d, report.Misuse("give the port on which the image answers, from 1024 to 65535", "--port: %d cannot be opened by a process without rights", o.Port)
	}
	if o.User < 1 || o.User > 1<<31-1 {
		return d, report.Misuse("give the number of the image's user, which is not 0 (root)", "--user: %d is no user that Pod Security \"restricted\" allows", o.User)
	}
	if o.HealthPath != "" && !pathForm.MatchString(o.HealthPath) {
		return d, report.Misuse("give a path such as /healthz", "--health-path: %q is no path of letters, digits and /._~- after a slash", o.HealthPath)
	}
	seen := map[string]string{}
	for _, field := range o.Secret {
		s := secret{field, strings.ToUpper(strings.NewReplacer("-", "_", ".", "_").Replace(field))}
		switch {
		case !fieldForm.MatchString(field) || len(field) > 63:
			return d, report.Misuse("give the label of a field of the app's item, such as api-key", "--secret: %q cannot be the key of a Secret and the name of a variable", field)
		case seen[s.Variable] != "":
			return d, report.Misuse("name each field once", "--secret: %q and %q both become the variable %s", seen[s.Variable], field, s.Variable)
		}
		seen[s.Variable] = field
		d.Secret = append(d.Secret, s)
	}
	if err := e.image(&d); err != nil {
		return d, err
	}
	if o.Ingress {
		d.Labels = append(d.Labels, "lumacore.dev/ingress: traefik")
	}
	if o.Scrape {
		d.Labels = append(d.Labels, "lumacore.dev/scrape: prometheus")
	}
	if o.Egress {
		d.Labels = append(d.Labels, "lumacore.dev/egress-internet: allow")
		d.Components = append(d.Components, "egress-internet")
	}
	switch {
	case o.Ingress && o.Scrape:
		d.ServiceFor = "What Traefik and Prometheus talk to."
	case o.Ingress:
		d.ServiceFor = "What Traefik talks to."
	case o.Scrape:
		d.ServiceFor = "What Prometheus talks to."
	default:
		d.ServiceFor = "A name for the pods. No NetworkPolicy lets anybody reach them yet."
	}
	return d, nil
}

// image takes the image's name apart.
func (e *edit) image(d *data) error {
	const variable = "${REGISTRY}/"
	const standIn = "registry.invalid/" // a variable is no host name
	given, own := d.Image, false
	if rest, ok := strings.CutPrefix(given, variable); ok {
		given, own = standIn+rest, true
	}
	if strings.HasPrefix(given, "/") { // what the shell makes of "${REGISTRY}/…"
		return report.Misuse("quote ${REGISTRY}, or the shell replaces it: --image '${REGISTRY}"+given+"'", "--image: %q begins with a slash: it has no registry", given)
	}
	n, err := imagename.Parse(given)
	if err != nil || strings.ContainsAny(given, "${}") {
		err = cmp.Or(err, errors.New("the only variable that is known is ${REGISTRY}, at its beginning"))
		return report.Misuse("give it as REGISTRY/REPOSITORY:TAG[@sha256:DIGEST]", "--image: %q is no image: %w", d.Image, err)
	}
	switch n.Tag {
	case "":
		if n.Digest != "" {
			return report.Misuse("put the version before the digest: "+withTag(strings.TrimSuffix(d.Image, "@"+n.Digest))+"@"+n.Digest,
				"--image: %q has a digest and no tag: nobody could tell which version it is, nor find the next one", d.Image)
		}
		return report.Misuse("name the version, such as "+withTag(d.Image), "--image: %q has no tag, which means latest: whatever is newest when a node pulls it", d.Image)
	case "latest":
		return report.Misuse("name the version that latest stands for today", "--image: %q is whatever is newest when a node pulls it", d.Image)
	}
	for _, registry := range e.registries() {
		if rest, ok := strings.CutPrefix(n.Repository, registry+"/"); ok && !own {
			own, n.Repository = true, standIn+rest
		}
	}
	d.Own, d.Tag, d.Digest = own, n.Tag, n.Digest
	if !own {
		d.Repository, d.BaseImage = n.Repository, n.Repository
		return nil
	}
	d.Repository, d.BaseImage = variable+strings.TrimPrefix(n.Repository, standIn), d.Name
	v, err := semver.StrictNewVersion(strings.TrimPrefix(n.Tag, "v"))
	if err != nil || v.Prerelease() != "" {
		return report.Misuse("tag the image with a version such as 1.0.0", "--image: tag %q is no version of the form MAJOR.MINOR.PATCH: image automation could not tell which tag of your registry is newer", n.Tag)
	}
	d.Range = fmt.Sprintf("%d.%d.x", v.Major(), v.Minor())
	return nil
}

// withTag is the image with a tag.
func withTag(image string) string {
	base, _, _ := strings.Cut(image, "@")
	return base + ":1.0.0"
}

// registries are the owner's own, as the settings of the clusters name them.
func (e *edit) registries() []string {
	var out []string
	for _, cluster := range e.files().List("clusters") {
		settings, err := e.files().ReadFile("clusters/" + cluster + "/settings.env")
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(settings)) {
			value, ok := strings.CutPrefix(strings.TrimSpace(line), "REGISTRY=")
			if ok && value != "" && !strings.Contains(value, "$") {
				out = append(out, strings.TrimSuffix(value, "/"))
			}
		}
	}
	return out
}

// shape refuses a repository that lacks what an app is put into.
func (e *edit) shape(d data) error {
	needs := []string{
		path.Join(overlaysDir, "staging", listFile), path.Join(overlaysDir, "prod", listFile),
		path.Join(namespacesDir, listFile), path.Join(namespacesDir, "base", listFile),
	}
	for _, c := range append([]string{"env-staging", "env-prod"}, d.Components...) {
		needs = append(needs, path.Join(namespacesDir, "components", c, listFile))
	}
	if d.Own {
		needs = append(needs, path.Join(automationDir, listFile))
	}
	if missing := slices.DeleteFunc(needs, e.tree.IsFile); len(missing) > 0 {
		return refuseMissing(missing)
	}
	return nil
}

// free refuses a name or host of which something is there already.
func (e *edit) free(d data) error {
	places, err := e.placesOf(d.Name)
	if err != nil {
		return report.Refuse("", "%w", err)
	}
	var there []string
	for _, p := range places {
		at := p.String()
		for _, dir := range Folders(d.Name) {
			if strings.HasPrefix(p.file, dir+"/") {
				at = dir
			}
		}
		if !slices.Contains(there, at) {
			there = append(there, at)
		}
	}
	// What Git ignores is no part of the tree, and must not be written over either.
	if root := e.tree.WorkTree(); root != "" && len(there) == 0 {
		for _, dir := range Folders(d.Name) {
			if _, err := os.Lstat(filepath.Join(root, filepath.FromSlash(dir))); !errors.Is(err, fs.ErrNotExist) {
				there = append(there, dir)
			}
		}
	}
	if len(there) > 0 {
		const most = 5
		more := ""
		if n := len(there) - most; n > 0 {
			there, more = there[:most], fmt.Sprintf(" and %s", quantity(n, "more place", "more places"))
		}
		return report.Refuse("choose another name, or take it out first: lumacore app remove "+d.Name,
			"there is something of %s already: %s%s", d.Name, strings.Join(there, ", "), more)
	}
	for _, env := range environments {
		if !d.Ingress {
			break
		}
		rule := "Host(`" + hostIn(d.Host, env) + "`)"
		for _, file := range e.tree.Files() {
			if !gitops.IsYAML(file) {
				continue
			}
			if content, err := e.tree.ReadFile(file); err == nil && bytes.Contains(content, []byte(rule)) {
				return report.Refuse("choose another with --host", "%s is somebody's host already: %s", hostIn(d.Host, env), file)
			}
		}
	}
	return nil
}

// Folders are the folders and files that an app has for itself.
func Folders(name string) []string {
	return []string{
		path.Join(appsDir, name), path.Join(overlaysDir, "staging", name), path.Join(overlaysDir, "prod", name),
		path.Join(namespacesDir, namespaceOf(name, "staging")), path.Join(namespacesDir, namespaceOf(name, "prod")),
		path.Join(automationDir, name+".imagerepository.yaml"), path.Join(automationDir, name+".imagepolicy.yaml"),
	}
}

// write makes the files of the app.
func (e *edit) write(d data) error {
	base := path.Join(appsDir, d.Name, "base")
	files := []struct {
		name, template string
		data           data
		when           bool
	}{
		{base + "/" + listFile, "base.kustomization.yaml", d, true},
		{base + "/deployment.yaml", "", d, true},
		{base + "/service.yaml", "", d, true},
		{base + "/poddisruptionbudget.yaml", "", d, true},
		{base + "/ingressroute.yaml", "", d, d.Ingress},
		{base + "/body-limit.middleware.yaml", "", d, d.Ingress},
		{base + "/onepassworditem.yaml", "", d, d.Secret != nil},
		{base + "/registry-read.onepassworditem.yaml", "", d, d.Own},
		{path.Join(automationDir, d.Name+".imagerepository.yaml"), "imagerepository.yaml", d, d.Own},
		{path.Join(automationDir, d.Name+".imagepolicy.yaml"), "imagepolicy.yaml", d, d.Own},
	}
	for _, env := range environments {
		dir, in := path.Join(overlaysDir, env, d.Name), d.in(env)
		files = append(files, []struct {
			name, template string
			data           data
			when           bool
		}{
			{dir + "/" + listFile, "overlay.kustomization.yaml", in, true},
			{dir + "/ingressroute-patch.yaml", "", in, d.Ingress},
			{dir + "/onepassworditem-patch.yaml", "", in, d.Secret != nil},
			{path.Join(namespacesDir, in.Namespace, listFile), "namespace.kustomization.yaml", in, true},
		}...)
	}
	for _, f := range files {
		if !f.when {
			continue
		}
		var b bytes.Buffer
		if err := templates.ExecuteTemplate(&b, cmp.Or(f.template, path.Base(f.name))+".tmpl", f.data); err != nil {
			return err
		}
		e.plan.Changes = append(e.plan.Changes, Change{File: f.name, After: b.Bytes()})
	}
	return nil
}

// enlist adds the app to the lists of the repository.
func (e *edit) enlist(d data) error {
	for _, env := range environments {
		if err := e.sorted(path.Join(overlaysDir, env, listFile), d.Name); err != nil {
			return err
		}
	}
	for _, env := range []string{"prod", "staging"} { // the shorter name first
		if err := e.sorted(path.Join(namespacesDir, listFile), namespaceOf(d.Name, env)); err != nil {
			return err
		}
	}
	if d.Own {
		list, err := e.document(path.Join(automationDir, listFile))
		if err != nil {
			return err
		}
		for _, kind := range []string{".imagerepository.yaml", ".imagepolicy.yaml"} {
			listed, err := list.texts("resources")
			if err != nil {
				return err
			}
			at := 1 + lastIndex(listed, func(s string) bool {
				return strings.HasSuffix(s, ".imagerepository.yaml") || strings.HasSuffix(s, ".imagepolicy.yaml")
			})
			if err := list.add(d.Name+kind, at, "resources"); err != nil {
				return err
			}
		}
	}
	if err := e.register(d); err != nil {
		return err
	}
	if operator, err := e.document(operatorFile); err != nil {
		return err
	} else if operator != nil && (d.Own || d.Secret != nil) {
		for _, env := range environments {
			namespace := namespaceOf(d.Name, env)
			if err := operator.addKey(namespace, namespace, watched...); err != nil {
				return err
			}
		}
	}
	if d.Digest == "" {
		if err := e.unpinned(d); err != nil {
			return err
		}
	}
	if d.Egress {
		return nil
	}
	return e.append(assertFile, "assertions", func(*yaml.Node) bool { return true },
		fmt.Sprintf("name: %s needs no internet\ndeny:\n  from:\n    namespace: \"{%s,%s}\"\n  to:\n    cidr: internet",
			d.Name, namespaceOf(d.Name, "staging"), namespaceOf(d.Name, "prod")))
}

// sorted adds a text to the resources of a kustomization: where it belongs in a sorted
// list, else at the end.
func (e *edit) sorted(file, item string) error {
	d, err := e.document(file)
	if err != nil {
		return err
	}
	listed, err := d.texts("resources")
	if err != nil {
		return err
	}
	at := len(listed)
	if slices.IsSorted(listed) {
		at, _ = slices.BinarySearch(listed, item)
	}
	return d.add(item, at, "resources")
}

// append adds items behind the last one that is like them, or at the end. Without the
// file it leaves a note.
func (e *edit) append(file, list string, like func(*yaml.Node) bool, items ...string) error {
	d, err := e.document(file)
	if err != nil {
		return err
	}
	if d == nil {
		e.plan.Notes = append(e.plan.Notes, fmt.Sprintf("there is no %s, which would have an entry", file))
		return nil
	}
	for _, item := range items {
		_, seq, err := d.list([]any{list})
		if err != nil {
			return err
		}
		at := len(seq.Content)
		if i := lastIndex(seq.Content, like); i >= 0 {
			at = i + 1
		}
		if err := d.add(item, at, list); err != nil {
			return err
		}
	}
	return nil
}

// register enters the app's secrets.
func (e *edit) register(d data) error {
	if d.Own {
		doc, err := e.document(registerFile)
		if err != nil {
			return err
		}
		if doc != nil {
			shared, err := e.items(registerFile, func(n *yaml.Node) bool { return text(n, "item") == "registry-read" }, "items")
			if err != nil {
				return err
			}
			if len(shared) == 0 {
				e.plan.Notes = append(e.plan.Notes, registerFile+" has no item registry-read, to which the places of this app belong")
			}
			for _, s := range shared {
				for _, env := range environments {
					places, err := doc.texts("items", s.index, "places")
					if err != nil {
						return err
					}
					if err := doc.add(namespaceOf(d.Name, env)+"/registry-read", len(places), "items", s.index, "places"); err != nil {
						return err
					}
				}
			}
		}
	}
	if d.Secret == nil {
		if d.Own && !e.files().IsFile(registerFile) {
			e.plan.Notes = append(e.plan.Notes, fmt.Sprintf("there is no %s, which would have an entry", registerFile))
		}
		return nil
	}
	var fields, items []string
	for _, s := range d.Secret {
		fields = append(fields, s.Field)
	}
	for _, env := range environments {
		items = append(items, fmt.Sprintf(`item: %[1]s-%[2]s
purpose: what %[1]s needs in %[2]s
fields: [%[3]s]
make: let 1Password generate it, or take it from where it is handed out; say here which
places: [%[4]s/%[1]s]
owner: owner
rotate: 365
rotation: restart %[1]s, which reads its variables when it starts`, d.Name, env, strings.Join(fields, ", "), namespaceOf(d.Name, env)))
	}
	return e.append(registerFile, "items", func(n *yaml.Node) bool {
		places := child(n, "places")
		return places != nil && slices.ContainsFunc(places.Content, func(p *yaml.Node) bool { return strings.HasPrefix(p.Value, "app-") }) && text(n, "item") != "registry-read"
	}, items...)
}

// unpinned enters the app's image among those without a digest.
func (e *edit) unpinned(d data) error {
	image := d.Repository + ":" + d.Tag
	entry := func(where, reason string) string {
		return fmt.Sprintf("image: %s\nwhere: %s\nreason: %s", image, where, reason)
	}
	overlay := func(env string) string { return path.Join(overlaysDir, env, d.Name, listFile) }
	items := []string{entry(overlay("*"), "digest not resolved yet")}
	if d.Own {
		items = []string{
			entry(overlay("staging"), "own image; image automation writes the digest as soon as the tag is in the registry"),
			entry(overlay("prod"), "own image; promotion copies the digest from staging"),
		}
	}
	return e.append(imagesFile, "images", func(n *yaml.Node) bool { return strings.HasPrefix(text(n, "where"), overlaysDir+"/") }, items...)
}

// lastIndex returns the index of the last item that fits, or -1.
func lastIndex[T any](list []T, fits func(T) bool) int {
	for i := len(list) - 1; i >= 0; i-- {
		if fits(list[i]) {
			return i
		}
	}
	return -1
}
