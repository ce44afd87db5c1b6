// Package schemas holds schemas that are embedded in the binary: those of the
// objects that Kubernetes serves, for several of its releases, and the custom
// resource definitions of systems that clusters often run.
//
// data/index.json says which Go module, at which version and with which checksum
// and licence, each file was made from; `go generate` makes them anew (package
// modules). Nothing is read before it is asked for, and then only the file that it
// is in: a release's file is decompressed once, and a type is decoded when an
// object first needs it.
package schemas
