// Package render turns a Flux repository into the objects that its clusters would
// have: every Flux Kustomization built as kustomize-controller builds it, with its
// variables substituted, and every HelmRelease templated as helm-controller
// templates it. Each object knows where it came from ([Origin]).
//
// [Render] works in waves: the Kustomizations of a cluster's root are built in
// parallel, the Kustomizations found in what they make are the next wave, and so
// on; HelmReleases come last, when every ConfigMap that may hold their values is
// there. What cannot be built is a [Problem], what cannot be looked at (a chart
// that is not to be had) a report.Unchecked; neither stops the rest.
//
// The same tree gives the same bytes, whatever the number of workers. The order of
// everything in a [Result] is sorted.
package render
