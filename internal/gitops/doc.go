// Package gitops reads a Flux repository: its files, the YAML documents in them
// with their lines, and the clusters that it describes.
//
//   - [Open] takes a snapshot of the files ([Tree]): what source-controller would
//     package, read once, bounded in number, size, depth and aliases, and never
//     through a symbolic link that leaves the tree;
//   - [Tree.Documents] parses a file, keeping the line of every field;
//   - [Discover] finds the clusters: where Flux starts to read.
//
// What a cluster applies is known only after rendering (patches and variables can
// change it), which is package render's part. A Tree is safe for concurrent use.
package gitops
