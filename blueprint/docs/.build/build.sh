#!/usr/bin/env bash
# Builds the site into site/, from the top of the repository:
#
#   bash docs/.build/build.sh [OPTION OF MKDOCS BUILD...]
#
# It needs MkDocs with Material (apt-get install mkdocs mkdocs-material) and, once, npm: the
# program that draws diagrams is taken from there, in the version of mermaid.env, and is served
# with the site, so that nobody who reads it is seen by a CDN.
set -euo pipefail

# shellcheck source=/dev/null
. docs/.build/mermaid.env
file=docs/assets/mermaid.min.js

right() { [ -f "$file" ] && echo "$MERMAID_SHA256  $file" | sha256sum --check --status; }

if ! right; then
  echo "fetching Mermaid $MERMAID_VERSION with npm"
  work="$(mktemp -d)"
  trap 'rm -rf "$work"' EXIT
  npm pack --silent --pack-destination "$work" "mermaid@$MERMAID_VERSION" >"$work/log"
  tar -xzf "$work/mermaid-$MERMAID_VERSION.tgz" -C "$work" package/dist/mermaid.min.js
  cp "$work/package/dist/mermaid.min.js" "$file"
  if ! right; then
    rm "$file"
    echo "$file of mermaid@$MERMAID_VERSION has another checksum than docs/.build/mermaid.env says: look at the release before you change it" >&2
    exit 1
  fi
fi
mkdocs build --strict "$@"
