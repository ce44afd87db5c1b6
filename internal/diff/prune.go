package diff

import (
	"slices"
	"strings"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"

	"lumacore.dev/lumacore/internal/render"
)

// What keeps an object although nothing applies it any more.
const (
	pruneLabel = "kustomize.toolkit.fluxcd.io/prune" // https://fluxcd.io/flux/components/kustomize/kustomizations/#prune
	keepPolicy = "helm.sh/resource-policy"           // https://helm.sh/docs/howto/charts_tips_and_tricks/#tell-helm-not-to-uninstall-a-resource
)

// fate tells whether an object of base that head does not have is deleted from the
// cluster, and by whom, or why not.
func (c *clusterPair) fate(o *render.Object) (deleted bool, why string) {
	return c.fateOf(o, 0)
}

func (c *clusterPair) fateOf(o *render.Object, depth int) (bool, string) {
	switch {
	case c.head == nil:
		return false, "the repository has no cluster " + c.name + " any more"
	case depth > 100: // Kustomizations that apply each other
		return false, "its Kustomizations apply each other"
	case o.Origin.HelmRelease != "":
		return c.uninstalled(o, depth)
	case o.Origin.Kustomization == "":
		return false, "no Kustomization applies it"
	case o.GetLabels()[pruneLabel] == "disabled" || o.GetAnnotations()[pruneLabel] == "disabled":
		return false, "it has " + pruneLabel + ": disabled"
	}
	name := o.Origin.Kustomization
	if k := find(c.head.Kustomizations, name); k != nil {
		switch {
		case !k.Spec.Spec.Prune:
			return false, "Kustomization " + name + " has prune: false"
		case k.Suspended:
			return true, "Kustomization " + name + " deletes it once it is resumed"
		}
		return true, "Kustomization " + name + " deletes it"
	}
	k := find(c.base.Kustomizations, name)
	if k == nil || k.Object == o {
		return false, "its Kustomization " + name + " is not known"
	}
	if deleted, why := c.fateOf(k.Object, depth+1); !deleted {
		return false, "its Kustomization " + name + " stays, too: " + why
	}
	switch policy := k.Spec.Spec.DeletionPolicy; { // https://fluxcd.io/flux/components/kustomize/kustomizations/#deletion-policy
	case k.Suspended:
		return false, "Kustomization " + name + " goes while it is suspended, and then deletes nothing"
	case policy == kustomizev1.DeletionPolicyOrphan:
		return false, "Kustomization " + name + " goes, and has deletionPolicy: Orphan"
	case policy != kustomizev1.DeletionPolicyDelete && policy != kustomizev1.DeletionPolicyWaitForTermination && !k.Spec.Spec.Prune:
		return false, "Kustomization " + name + " goes, and has prune: false"
	}
	return true, "Kustomization " + name + " goes, and deletes all that it applied"
}

// uninstalled tells whether an object of a release is deleted.
func (c *clusterPair) uninstalled(o *render.Object, depth int) (bool, string) {
	name := o.Origin.HelmRelease
	switch {
	case o.GetAnnotations()[keepPolicy] == "keep":
		return false, "it has " + keepPolicy + ": keep"
	case o.Origin.Hook:
		return false, "it is a hook, which Helm does not look after"
	case o.Is("apiextensions.k8s.io", "CustomResourceDefinition") && strings.Contains(o.Origin.Template, "/crds/"):
		// https://helm.sh/docs/chart_best_practices/custom_resource_definitions/
		return false, "Helm does not delete what is in a chart's folder crds"
	}
	if r := findRelease(c.head.Releases, name); r != nil {
		if r.Suspended {
			return true, "HelmRelease " + name + " deletes it once it is resumed"
		}
		return true, "HelmRelease " + name + " deletes it with its next upgrade"
	}
	r := findRelease(c.base.Releases, name)
	if r == nil {
		return false, "its HelmRelease " + name + " is not known"
	}
	if deleted, why := c.fateOf(r.Object, depth+1); !deleted {
		return false, "its HelmRelease " + name + " stays, too: " + why
	}
	if r.Suspended {
		return false, "HelmRelease " + name + " goes while it is suspended, and then uninstalls nothing"
	}
	return true, "HelmRelease " + name + " goes, and is uninstalled"
}

func find(list []*render.Kustomization, name string) *render.Kustomization {
	if at := slices.IndexFunc(list, func(k *render.Kustomization) bool { return k.Name() == name }); at >= 0 {
		return list[at]
	}
	return nil
}

func findRelease(list []*render.Release, name string) *render.Release {
	if at := slices.IndexFunc(list, func(r *render.Release) bool { return r.Name() == name }); at >= 0 {
		return list[at]
	}
	return nil
}
