package images

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"lumacore.dev/lumacore/internal/check"
	"lumacore.dev/lumacore/internal/config"
	"lumacore.dev/lumacore/internal/gitops"
	"lumacore.dev/lumacore/internal/imagename"
	"lumacore.dev/lumacore/internal/report"
)

// pipelineFile is where GitLab looks for the pipeline of a repository. Flux leaves it out.
const pipelineFile = ".gitlab-ci.yml"

// maxPipelineFiles bounds the files that a pipeline includes; GitLab's own bound is 150
// (https://docs.gitlab.com/administration/settings/continuous_integration/#set-maximum-includes).
const maxPipelineFiles = 150

// pipeline looks at the images of GitLab's pipeline: what runs in it decides what is
// merged, and may hold what signs and deploys. check.images.registries is about what
// clusters run, and does not count here.
func pipeline(in *check.Input, list *list, out *check.Reporter) {
	if in.Tree == nil {
		return
	}
	p := pipelineReader{files: gitops.Unfiltered{Tree: in.Tree}, list: list, out: out, variables: map[string]string{}}
	p.file(pipelineFile)
	p.jobs()
}

type pipelineReader struct {
	files gitops.Unfiltered
	list  *list
	out   *check.Reporter
	read  []string
	parts []part
	// variables of the whole pipeline, which images are made of.
	variables map[string]string
}

// part is a document of a file of the pipeline.
type part struct {
	file string
	root *yaml.Node
}

// file reads one file, and before it those of this repository that it includes: what a file
// says wins over what it includes
// (https://docs.gitlab.com/ci/yaml/includes/#override-included-configuration-values).
func (p *pipelineReader) file(name string) {
	if slices.Contains(p.read, name) || len(p.read) == maxPipelineFiles || !p.files.IsFile(name) {
		return
	}
	p.read = append(p.read, name)
	data, err := p.files.ReadFile(name)
	var documents []*yaml.Node
	for decoder := yaml.NewDecoder(bytes.NewReader(data)); err == nil; {
		var document yaml.Node
		if err = decoder.Decode(&document); err == nil {
			documents = append(documents, &document)
		}
	}
	if !errors.Is(err, io.EOF) {
		p.out.Unchecked(report.Unchecked{
			Subject: "images of the pipeline", Location: report.Location{File: name},
			Reason: fmt.Sprintf("the file cannot be read: %v", err), Next: "correct the YAML; GitLab does not read it either",
		})
		return
	}
	for _, document := range documents { // a header (spec) and the pipeline, or the pipeline alone
		root := follow(document)
		p.includes(name, entry(root, "include"))
		setVariables(p.variables, entry(root, "variables"))
		p.parts = append(p.parts, part{name, root})
	}
}

// jobs looks at the jobs of all files, once all variables are known.
func (p *pipelineReader) jobs() {
	for _, part := range p.parts {
		root := part.root
		p.job(part.file, "the pipeline", root)
		for i := 0; i+1 < pairs(root); i += 2 {
			switch key := root.Content[i].Value; key {
			case "spec", "stages", "variables", "include", "workflow", "image", "services", "before_script", "after_script", "cache":
			case "default":
				p.job(part.file, "the pipeline", follow(root.Content[i+1]))
			default:
				p.job(part.file, fmt.Sprintf("job %q", key), follow(root.Content[i+1]))
			}
		}
	}
}

// setVariables adds those of a map of variables, each a value or a map with one.
func setVariables(variables map[string]string, n *yaml.Node) {
	for i := 0; i+1 < pairs(n); i += 2 {
		value := follow(n.Content[i+1])
		if value.Kind == yaml.MappingNode {
			value = follow(entry(value, "value"))
		}
		if value.Kind == yaml.ScalarNode {
			variables[n.Content[i].Value] = value.Value
		}
	}
}

// includes reads what is included of this repository. What comes from elsewhere is named
// as not looked at.
func (p *pipelineReader) includes(file string, n *yaml.Node) {
	n = follow(n)
	entries := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		entries = n.Content
	}
	for _, e := range entries {
		e = follow(e)
		local, from := e, ""
		if e.Kind == yaml.MappingNode {
			local = follow(entry(e, "local"))
			for _, key := range []string{"project", "remote", "template", "component"} {
				if other := follow(entry(e, key)); other.Value != "" {
					from = key + " " + other.Value
				}
			}
		} else if strings.Contains(e.Value, "://") {
			from = "remote " + e.Value
		}
		switch name := strings.TrimPrefix(path.Clean("/"+local.Value), "/"); {
		case from != "":
			p.out.Unchecked(report.Unchecked{
				Subject: "images of the pipeline", Location: report.Location{File: file, Line: e.Line},
				Reason: "it includes " + from + ", which is not in this repository",
				Next:   "copy the file into this repository, or look at its images yourself",
			})
		case local.Value == "":
		case strings.Contains(name, "*"):
			for _, f := range p.files.Files() {
				if ok, err := path.Match(name, f); err == nil && ok {
					p.file(f)
				}
			}
		default:
			p.file(name)
		}
	}
}

// job looks at the images of a job: image and services, each a name or a map with one.
func (p *pipelineReader) job(file, who string, n *yaml.Node) {
	variables := p.variables
	if own := entry(n, "variables"); pairs(own) > 0 { // they win over the pipeline's
		variables = maps.Clone(variables)
		setVariables(variables, own)
	}
	if image := follow(entry(n, "image")); image.Kind != 0 {
		p.image(file, who, image, variables)
	}
	if services := follow(entry(n, "services")); services.Kind == yaml.SequenceNode {
		for _, s := range services.Content {
			p.image(file, "a service of "+who, follow(s), variables)
		}
	}
}

func (p *pipelineReader) image(file, who string, n *yaml.Node, variables map[string]string) {
	if n.Kind == yaml.MappingNode {
		n = follow(entry(n, "name"))
	}
	// Anything else (!reference, extends) stands where it comes from.
	if n.Kind != yaml.ScalarNode || n.Value == "" {
		return
	}
	at := report.Location{File: file, Line: n.Line}
	image := expand(n.Value, variables)
	repository, tag, digest := "", "", ""
	if strings.Contains(image, "$") {
		// A variable that only GitLab knows, such as CI_REGISTRY_IMAGE: what can be seen is
		// whether tag and digest are there.
		base, after, _ := strings.Cut(image, "@")
		repository, digest = base, after
		if i := strings.LastIndexByte(base, ':'); i > strings.LastIndexByte(base, '/') && i > 0 {
			repository, tag = base[:i], base[i+1:]
		} else if !strings.Contains(base, "/") {
			p.out.Unchecked(report.Unchecked{
				Subject: "the image of " + who, Location: at,
				Reason: fmt.Sprintf("%s is what GitLab says when the job starts", show(image)),
				Next:   "write the image out, or its name with tag and digest into variables of the pipeline",
			})
			return
		}
	} else {
		name, err := imagename.Parse(image)
		if err != nil {
			p.out.File("images/invalid", at, "%s has image %s, which is no image reference: %v", who, show(image), err)
			return
		}
		repository, tag, digest = name.Repository, name.Tag, name.Digest
	}
	switch {
	case digest != "":
	case tag == "":
		p.out.File("images/no-tag", at, "%s has image %s without a tag, which means %s:latest: the newest there is when the job starts", who, show(image), image)
	case tag == "latest":
		p.out.File("images/latest", at, "%s has image %s: the newest there is when the job starts", who, show(image))
	case p.list == nil:
		p.out.File("images/no-digest", at, "%s has image %s without a digest: the registry may answer with another image tomorrow", who, show(image))
	default:
		var first *config.UnpinnedImage
		for i := range p.list.entries {
			if e := &p.list.entries[i]; same(e.Image, repository, tag) {
				p.list.used[i] = true
				if first == nil {
					first = e
				}
			}
		}
		if first == nil {
			p.out.File("images/unlisted", at, "%s has image %s without a digest, and %s does not list it", who, show(image), config.ImagesFile)
			return
		}
		p.out.File("images/listed", at, "%s has image %s without a digest; %s: %s", who, show(image), first.Location, first.Reason)
	}
}

// same tells whether an entry of the list is this image.
func same(entry, repository, tag string) bool {
	if entry == repository+":"+tag {
		return true
	}
	name, err := imagename.Parse(entry)
	return err == nil && name.Repository == repository && name.Tag == tag
}

// expand replaces the variables that the pipeline or the job sets, also where their value has
// one; others stay.
func expand(text string, variables map[string]string) string {
	for range 10 { // two that name each other end here
		before := text
		text = os.Expand(text, func(name string) string {
			if value, ok := variables[name]; ok {
				return value
			}
			return "${" + name + "}"
		})
		if text == before {
			break
		}
	}
	return text
}

// follow returns what a document, an alias or nothing stands for.
func follow(n *yaml.Node) *yaml.Node {
	switch {
	case n == nil:
		return &yaml.Node{}
	case n.Kind == yaml.DocumentNode && len(n.Content) > 0:
		return follow(n.Content[0])
	case n.Kind == yaml.AliasNode:
		return n.Alias
	}
	return n
}

// pairs is how many nodes a map has, keys and values; 0 if it is none.
func pairs(n *yaml.Node) int {
	if n = follow(n); n.Kind != yaml.MappingNode {
		return 0
	}
	return len(n.Content)
}

// entry returns the value of a key of a map; what an anchor brings (<<) is looked at where
// it stands.
func entry(n *yaml.Node, key string) *yaml.Node {
	n = follow(n)
	for i := 0; i+1 < pairs(n); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}
