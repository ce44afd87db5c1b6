package deprecations

// fluxVersions are the API versions that Flux once served and no longer does, from
// the change logs of its controllers
// (https://github.com/fluxcd/kustomize-controller/blob/main/CHANGELOG.md and those
// beside it); Flux 2.7 has kustomize-controller 1.7, 2.8 has 1.8, 2.9 has 1.9. What
// Flux 2.9 serves is in the CRDs of its controllers.
var fluxVersions = []struct {
	group, version string
	since          string // the release of Flux that does not serve it
	use            string // the version that Flux 2.9 serves
}{
	{"kustomize.toolkit.fluxcd.io", "v1alpha1", "2.0", "v1"},
	{"kustomize.toolkit.fluxcd.io", "v1beta1", "2.7", "v1"},
	{"kustomize.toolkit.fluxcd.io", "v1beta2", "2.8", "v1"},
	{"source.toolkit.fluxcd.io", "v1alpha1", "2.0", "v1"},
	{"source.toolkit.fluxcd.io", "v1beta1", "2.7", "v1"},
	{"source.toolkit.fluxcd.io", "v1beta2", "2.8", "v1"},
	{"helm.toolkit.fluxcd.io", "v2alpha1", "2.0", "v2"},
	{"helm.toolkit.fluxcd.io", "v2beta1", "2.7", "v2"},
	{"helm.toolkit.fluxcd.io", "v2beta2", "2.8", "v2"},
	{"image.toolkit.fluxcd.io", "v1alpha1", "2.0", "v1"},
	{"image.toolkit.fluxcd.io", "v1alpha2", "2.0", "v1"},
	{"image.toolkit.fluxcd.io", "v1beta1", "2.7", "v1"},
	{"image.toolkit.fluxcd.io", "v1beta2", "2.9", "v1"},
	{"notification.toolkit.fluxcd.io", "v1alpha1", "2.0", "v1beta3"},
	{"notification.toolkit.fluxcd.io", "v1beta1", "2.7", "v1beta3"},
	{"notification.toolkit.fluxcd.io", "v1beta2", "2.9", "v1beta3"},
}

// flux reports an API version that Flux no longer serves. It tells whether the
// object is one of Flux's.
func (s subject) flux() bool {
	of := false
	for _, f := range fluxVersions {
		if f.group != s.gvk.Group {
			continue
		}
		of = true
		if f.version != s.gvk.Version {
			continue
		}
		use := f.use
		if s.gvk.Kind == "Receiver" {
			use = "v1" // the one kind of its group that is stable
		}
		s.version("deprecations/flux-version", f.group+"/"+use, "`flux migrate -f .` rewrites the files",
			"%s is not served since Flux %s; use %s/%s", s.name(), f.since, f.group, use)
	}
	return of
}
