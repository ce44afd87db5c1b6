// Package images is the gate over container images: what is pulled must be what
// was reviewed, and must come from where the owner allows.
//
// It looks at the containers of every workload, at the volumes that are images, at
// the custom resources in fields.go whose operators make pods from an image that they
// name, and at the jobs of GitLab's pipeline. A Flux OCIRepository names an artifact,
// not a container image, and is left to others.
package images

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"lumacore.dev/lumacore/internal/check"
	"lumacore.dev/lumacore/internal/config"
	"lumacore.dev/lumacore/internal/fieldpath"
	"lumacore.dev/lumacore/internal/imagename"
	"lumacore.dev/lumacore/internal/render"
	"lumacore.dev/lumacore/internal/report"
)

// Gate reports images that are not pinned, not allowed or not images at all.
var Gate = &check.Gate{
	Name:  "images",
	Title: "container images that can change unseen, or come from where they should not",
	Rules: rules,
	Check: run,
}

func run(ctx context.Context, in *check.Input, out *check.Reporter) error {
	list, err := readList(in, out)
	if err != nil {
		return err
	}
	for _, c := range in.Render.Clusters {
		releases := releasesOf(c)
		listed := list.of(c, out)
		tags := map[string][]pinned{} // by "repository:tag"
		for _, o := range c.Objects {
			if err := ctx.Err(); err != nil {
				return err
			}
			seen := map[string]bool{}
			for _, u := range usesIn(o) {
				if seen[u.image] {
					continue
				}
				seen[u.image] = true
				s := subject{out: out, cluster: c, object: o, use: u, release: releases[o.Origin.HelmRelease], list: list, listed: listed}
				if r, ok := s.look(in.Config.Check.Images.Registries); ok && r.Tag != "" && r.Digest != "" {
					name := r.Repository + ":" + r.Tag
					tags[name] = append(tags[name], pinned{s, r.Digest})
				}
			}
		}
		twoDigests(tags)
	}
	pipeline(in, list, out)
	list.unused(in, out)
	return nil
}

// subject is one image in one object, with what reporting it needs.
type subject struct {
	out     *check.Reporter
	cluster *render.Cluster
	object  *render.Object
	release *render.Release // that makes the object; nil if none does
	list    *list
	listed  map[string][]int // entries of list by the image that they are in this cluster
	use
}

// look applies the rules that one image breaks by itself, and returns the
// reference if it is one.
func (s subject) look(registries []string) (imagename.Name, bool) {
	if s.image == "" {
		s.report("images/invalid", "%s has no image", s.what)
		return imagename.Name{}, false
	}
	if s.channel != "" {
		s.unchecked(fmt.Sprintf("the tag of %s of %s is what %s answers on the day", show(s.image), s.what, s.channel),
			"name the version in spec.version instead of spec.channel")
		return imagename.Name{}, false
	}
	if from := s.standIns(); len(from) > 0 && render.HasStandIn(s.image) {
		s.unchecked(fmt.Sprintf("the image of %s holds what only the cluster knows: %s", s.what, strings.Join(from, ", ")),
			"write the image out, or take the variable from a ConfigMap of the repository: an image name is no secret")
		return imagename.Name{}, false
	}
	r, err := imagename.Parse(s.image)
	if err != nil && strings.Contains(s.image, "${") {
		s.report("images/invalid", "%s has image %s: nothing replaces the variable in it", s.what, show(s.image))
		return imagename.Name{}, false
	}
	if err != nil {
		s.report("images/invalid", "%s has image %s, which is no image reference: %v", s.what, show(s.image), err)
		return imagename.Name{}, false
	}
	switch {
	case r.Digest != "":
	case r.Tag == "":
		s.report("images/no-tag", "%s has image %s without a tag, which means %s:latest: the newest there is when a node pulls it", s.what, show(s.image), s.image)
	case r.Tag == "latest":
		s.report("images/latest", "%s has image %s: the newest there is when a node pulls it", s.what, show(s.image))
	default:
		s.unpinned(r)
	}
	if len(registries) > 0 && !allowed(r.Repository, registries) {
		s.report("images/registry-not-allowed", "%s has image %s from %s, which is not in check.images.registries of lumacore.yaml (%s)",
			s.what, show(s.image), r.Repository, strings.Join(registries, ", "))
	}
	return r, true
}

// unpinned reports an image with a tag and no digest: as what the list says of it, if the
// repository has one.
func (s subject) unpinned(r imagename.Name) {
	entries := s.listed[r.Repository+":"+r.Tag]
	switch {
	case s.list == nil:
		s.report("images/no-digest", "%s has image %s without a digest: the registry may answer with another image tomorrow", s.what, show(s.image))
	case len(entries) == 0:
		s.report("images/unlisted", "%s has image %s without a digest, and %s does not list it", s.what, show(s.image), config.ImagesFile)
	default:
		for _, i := range entries {
			s.list.used[i] = true
		}
		e := s.list.entries[entries[0]]
		s.report("images/listed", "%s has image %s without a digest; %s: %s", s.what, show(s.image), e.Location, e.Reason)
	}
}

// standIns returns where the object's unknown values come from; those in the values
// of a HelmRelease may be anywhere in what its chart makes.
func (s subject) standIns() []string {
	from := s.object.Origin.Placeholders
	if s.release != nil && s.release.Object != nil {
		from = append(slices.Clone(from), s.release.Object.Origin.Placeholders...)
		slices.Sort(from)
		from = slices.Compact(from)
	}
	return from
}

func (s subject) unchecked(reason, next string) {
	s.out.Unchecked(report.Unchecked{
		Subject: s.object.Key().String(), Location: s.object.Locate(s.path...), Clusters: []string{s.cluster.Name},
		Reason: reason, Next: next,
	})
}

// report adds a finding; for a chart's object it says which value or template to
// change, and points at the value where the HelmRelease has it.
func (s subject) report(rule, format string, args ...any) {
	f := check.Finding(rule, s.cluster, s.object, s.path, format, args...)
	if release := s.object.Origin.HelmRelease; release != "" {
		if paths := valuesOf(s.release, s.image); len(paths) > 0 {
			f.Location = s.release.Object.Locate(append([]any{"spec", "values"}, paths[0]...)...)
			names := make([]string, 0, len(paths))
			for _, p := range paths[:min(len(paths), 3)] {
				names = append(names, "spec.values."+fieldpath.Text(p))
			}
			where := strings.Join(names, " or ")
			f.Message += fmt.Sprintf(" (%s of HelmRelease %s)", where, release)
			f.Fix = fixIn(rule, fmt.Sprintf("In the HelmRelease, at %s: ", where))
		} else {
			f.Message += fmt.Sprintf(" (made by %s; spec.values of HelmRelease %s does not name it)", s.object.Origin.Template, release)
			f.Fix = fixIn(rule, "In the HelmRelease's values for this image (`helm show values` lists them): ")
		}
	}
	s.out.Add(f)
}

// fixIn is the rule's fix, with the place before it.
func fixIn(rule, place string) string {
	for _, r := range rules {
		if r.ID == rule {
			return place + strings.ToLower(r.Fix[:1]) + r.Fix[1:]
		}
	}
	return ""
}

// pinned is a use of an image by tag and digest.
type pinned struct {
	subject
	digest string
}

// twoDigests reports every use of a tag that another use pins to another digest.
func twoDigests(tags map[string][]pinned) {
	for _, name := range slices.Sorted(maps.Keys(tags)) {
		uses := tags[name]
		if !slices.ContainsFunc(uses, func(u pinned) bool { return u.digest != uses[0].digest }) {
			continue
		}
		of := map[string][]string{} // what uses a digest, and where
		for _, u := range uses {
			of[u.digest] = append(of[u.digest], fmt.Sprintf("%s of %s has %s (%s)", u.what, u.object.Key(), u.digest, u.object.Locate(u.path...)))
		}
		digests := slices.Sorted(maps.Keys(of))
		all := 0
		for _, d := range digests {
			slices.Sort(of[d])
			of[d] = slices.Compact(of[d])
			all += len(of[d])
		}
		for _, u := range uses {
			first := ""
			for _, d := range digests {
				if d != u.digest && (first == "" || of[d][0] < first) {
					first = of[d][0]
				}
			}
			more := ""
			if n := all - len(of[u.digest]) - 1; n > 0 {
				more = fmt.Sprintf(", and %d more differ", n)
			}
			u.report("images/tag-with-two-digests", "%s has %s with %s, but %s%s", u.what, name, u.digest, first, more)
		}
	}
}

// allowed tells whether one of the registries is the repository, or a folder that
// it is in.
func allowed(repository string, registries []string) bool {
	for _, r := range registries {
		r = strings.TrimSuffix(r, "/")
		if host, rest, _ := strings.Cut(r, "/"); host == "index.docker.io" || host == "registry-1.docker.io" {
			r = strings.TrimSuffix(imagename.DockerHub+"/"+rest, "/")
		}
		if repository == r || strings.HasPrefix(repository, r+"/") {
			return true
		}
	}
	return false
}

// releasesOf returns the releases of a cluster by name.
func releasesOf(c *render.Cluster) map[string]*render.Release {
	m := make(map[string]*render.Release, len(c.Releases))
	for _, r := range c.Releases {
		m[r.Name()] = r
	}
	return m
}
