// Package repository makes Flux repositories of any size, for tests and for
// `make bench`: the same options give the same bytes, on every machine.
//
// They have the shape of what people run: a cluster's folder with flux-system,
// infrastructure and one Flux Kustomization per app. Half of the apps are
// HelmReleases of a chart in the repository, half are kustomizations with base,
// overlay, component, patches, images and generators; variables are substituted
// from a ConfigMap and inline. All apps are production; a few are in staging too. Custom resources come with their CRDs, with CEL
// rules. As generated, such a repository has nothing that `lumacore check` finds.
//
// With [Options.Defects] it has one more app for each mistake of a set, and
// [Repository.Defects] says which: the ground truth that recall and false positives
// are counted with. The sets are files/defects/*.txtar. A comment "# defect: RULE"
// at the end of a line there says that the rule finds something on this line, and
// "# defect: RULE@file" that it does in this file; it is not part of the repository
// that is made. Each folder apps/NAME of a set gets a Flux Kustomization and a
// namespace where the set does not bring its own.
package repository
