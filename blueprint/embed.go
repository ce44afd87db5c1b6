// Package blueprint is the GitOps repository of a homelab, as plain files. It is
// embedded in lumacore, which makes an owner's repository and the lab's from it.
package blueprint

import "embed"

// Files is the tree, rooted at this folder. This source file is not part of it.
//
//go:embed all:apps all:clusters all:infrastructure all:overlays all:policies *.md *.yaml .gitallowed
var Files embed.FS
