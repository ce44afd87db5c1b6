package render

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"sync"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	"github.com/fluxcd/pkg/apis/kustomize"
	fluxkustomize "github.com/fluxcd/pkg/kustomize"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/kustomize/kyaml/openapi"
	"sigs.k8s.io/kustomize/kyaml/resid"
	"sigs.k8s.io/yaml"

	"lumacore.dev/lumacore/internal/gitops"
)

// globalSchema guards kustomize's OpenAPI schema, which is one variable for the
// whole process. Flux parses it anew for every build, under one lock, because a
// kustomization with a schema of its own (the field openapi; crds and
// configurations change the build alone) poisons the builds after it
// (https://github.com/fluxcd/pkg/issues/1237). That costs most of a build's time.
// Here the schema is parsed once; builds that leave it alone share the lock,
// builds that change it take it alone, with a fresh schema before and after.
var globalSchema sync.RWMutex

// Prepare parses kustomize's schema, which the first build waits for otherwise.
// Called in a goroutine of its own while files are read, it costs no time where
// there is a second core.
func Prepare() {
	globalSchema.RLock()
	defer globalSchema.RUnlock()
	openapi.Schema()
}

// withSchema runs f, which builds and uses what it built: kustomize's resources ask
// the schema even for their own names. alone says that a kustomization among those
// that f builds changes the schema.
func withSchema(alone bool, f func() error) error {
	if alone {
		globalSchema.Lock()
		defer globalSchema.Unlock()
		openapi.ResetOpenAPI()
		openapi.Schema() // the built-in schema first: one of its own adds to it
		defer openapi.ResetOpenAPI()
	} else {
		globalSchema.RLock()
		defer globalSchema.RUnlock()
	}
	return f()
}

// build runs kustomize over a folder of fsys. It is called within withSchema.
func build(fsys filesys.FileSystem, dir string) (m resmap.ResMap, err error) {
	// kustomize panics on some invalid objects, as the Flux authors found too.
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("kustomize gave up: %v", r)
		}
	}()
	k := krusty.MakeKustomizer(&krusty.Options{
		LoadRestrictions: types.LoadRestrictionsNone, // as Flux does; treeFS is the bound
		PluginConfig:     types.DisabledPluginConfig(),
	})
	return k.Run(fsys, dir)
}

// kustomization returns the kustomization file that Flux builds for a Flux
// Kustomization: the one of the folder, or one that lists its manifests, with what
// the spec adds. It follows fluxcd/pkg/kustomize.Generator, which reads from disk
// only; a test compares the two.
func kustomization(t *gitops.Tree, dir string, spec *kustomizev1.KustomizationSpec) (file string, kus types.Kustomization, err error) {
	kus.APIVersion, kus.Kind = types.KustomizationVersion, types.KustomizationKind
	folder := t.Folder(dir)
	file = folder.File
	if file != "" {
		raw, err := t.ReadFile(file)
		if err != nil {
			return file, kus, err
		}
		if err := yaml.Unmarshal(raw, &kus); err != nil {
			return file, kus, fmt.Errorf("is no kustomization: %s", strings.TrimPrefix(strings.TrimPrefix(err.Error(), "error unmarshaling JSON: "), "error converting YAML to JSON: "))
		}
		if len(kus.Resources) == 0 {
			// Flux's own way around "kustomization.yaml is empty". The annotation stays
			// on what generators and components make.
			kus.BuildMetadata = []string{types.OriginAnnotations}
		}
	} else {
		file = path.Join(dir, gitops.KustomizationFiles[0])
		kus.Resources = t.Manifests(dir)
		if len(kus.Resources) == 0 {
			kus.Namespace = "_placeholder" // Flux's own way around "kustomization.yaml is empty"
		}
	}
	if spec.TargetNamespace != "" {
		kus.Namespace = spec.TargetNamespace
	}
	if spec.NamePrefix != "" {
		kus.NamePrefix = spec.NamePrefix
	}
	if spec.NameSuffix != "" {
		kus.NameSuffix = spec.NameSuffix
	}
	for _, p := range spec.Patches {
		kus.Patches = append(kus.Patches, types.Patch{Patch: p.Patch, Target: selector(p.Target)})
	}
	for _, c := range spec.Components {
		if !fluxkustomize.IsLocalRelativePath(c) {
			return file, kus, fmt.Errorf("component path %q must be local and relative", c)
		}
		if spec.IgnoreMissingComponents && !t.IsDir(path.Join(dir, c)) {
			continue
		}
		kus.Components = append(kus.Components, c)
	}
	for _, i := range spec.Images {
		kus.Images = image(kus.Images, i)
	}
	return file, kus, nil
}

// image merges an image of the Flux Kustomization into those of the file: tag and
// digest are one thing, a new one replaces both.
func image(images []types.Image, i kustomize.Image) []types.Image {
	n := slices.IndexFunc(images, func(x types.Image) bool { return x.Name == i.Name })
	if n < 0 {
		return append(images, types.Image{Name: i.Name, NewName: i.NewName, NewTag: i.NewTag, Digest: i.Digest})
	}
	if i.NewName != "" {
		images[n].NewName = i.NewName
	}
	if i.NewTag != "" || i.Digest != "" {
		images[n].NewTag, images[n].Digest = i.NewTag, i.Digest
	}
	return images
}

func selector(s *kustomize.Selector) *types.Selector {
	if s == nil {
		return nil
	}
	out := &types.Selector{LabelSelector: s.LabelSelector, AnnotationSelector: s.AnnotationSelector}
	out.ResId = resid.ResId{Gvk: resid.Gvk{Group: s.Group, Version: s.Version, Kind: s.Kind}, Name: s.Name, Namespace: s.Namespace}
	return out
}
