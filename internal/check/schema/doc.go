// Package schema is the gate "schema": objects that the API server would refuse.
//
// Each object is held against what the API server holds it against when Flux
// applies it (server-side apply, fieldValidation=Strict):
//
//   - an object of Kubernetes against the OpenAPI of the clusters' version
//     (package schemas): unknown fields, types, enumerations, formats, what is
//     required, lists whose entries must differ. Null is as good as absent, and
//     required is only what the API server refuses to do without. Then the rules
//     that the API server has in code and that people trip over: names, labels,
//     scope, selectors, ports, volumes, resources;
//   - a custom resource against its CRD in the same render, with the code of the
//     API server (k8s.io/apiextensions-apiserver): defaults, pruning, schema, list
//     types, CEL rules. A Gatekeeper constraint against the CRD that Gatekeeper
//     makes of its ConstraintTemplate. Where the render has no CRD, against that of
//     the catalogue; its findings are warnings, because the cluster may run another
//     version of it. Where there is none at all, the kind is reported as not
//     checked.
//
// Of a version of Kubernetes whose OpenAPI is not embedded the nearest one is taken,
// and the gate says so. What a later version may have is a warning then, and kinds that
// the nearest does not have are not checked.
//
// Values that stand in for secrets are not judged: see [render.Origin].
package schema
