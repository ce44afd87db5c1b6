// Package blueprint is the GitOps repository of a homelab, as plain files. It is
// embedded in lumacore, which makes an owner's repository and the lab's from it.
package blueprint

import "embed"

// Files is the tree, rooted at this folder. This source file is not part of it.
//
//go:embed all:.github all:.gitlab all:.schemas all:apps all:clusters all:docs all:hosts all:infrastructure all:overlays all:policies
//go:embed *.json5 *.md *.yaml *.yml .commitlintrc.yaml .editorconfig .gitallowed .markdownlint-cli2.yaml .gitlab-ci.yml .pre-commit-config.yaml CODEOWNERS
var Files embed.FS
