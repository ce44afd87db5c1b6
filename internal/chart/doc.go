// Package chart obtains Helm charts as source-controller does, and keeps them.
//
// A [Store] reads charts from where Flux reads them:
//
//   - [Store.Repository]: HTTP chart repositories (index.yaml);
//   - [Store.OCI]: OCI registries, as a HelmRepository of type oci or an
//     OCIRepository;
//   - [Store.Tree]: a folder or an archive of a repository's own tree, with its
//     dependencies;
//   - [Store.Git]: the tree of another Git repository.
//
// What was downloaded is kept in a folder by its SHA-256, and what a reference
// (a version range, a tag, a branch) last led to beside it. Both are written
// atomically and verified when they are read, so two processes may share the
// folder, and a damaged file is downloaded again. Offline, the folder is all that
// is used.
//
// Archives and answers are somebody else's input: their size, number of files,
// names and time are bounded, links are refused, TLS is verified.
//
// A chart that cannot be had is [*Unavailable]: it was not looked at. A chart that
// was had and does not load is [*Invalid]: Flux cannot load it either.
package chart
