#!/usr/bin/env bash
# Builds and checks the site of an owner's repository, with what reads it: MkDocs and Material
# of Debian, markdownlint-cli2 and Mermaid of npm. After the first time it needs no network.
#
#   hack/site.sh [ARGUMENT OF GO TEST...]
set -euo pipefail

# That of the hook and of the job, which test/review holds against each other.
markdownlint=0.23.2
# The version that an owner's build fetches.
mermaid="$(sed -n 's/^MERMAID_VERSION=//p' blueprint/docs/.build/mermaid.env)"
# Mermaid, outside of a browser, wants a DOM.
jsdom=31.0.1

hack/packages.sh go git mkdocs
PATH="$(hack/node.sh site "markdownlint-cli2@$markdownlint" "mermaid@$mermaid" "jsdom@$jsdom"):$PATH"
go test -tags=e2e -count=1 -timeout=10m ./test/site "$@"
