#!/usr/bin/env bash
# Fails when the go.mod or go.sum of a module is not what go mod tidy makes of it.
#
# -e: a few test dependencies of dependencies are not served by every module proxy;
# plain tidy gives up on them, although nothing here needs them.
set -euo pipefail

failed=false
for module in . examples/beacon tools; do
  if ! diff="$(go -C "$module" mod tidy -e -diff 2>/dev/null)"; then
    printf 'not tidy (run: go -C %s mod tidy -e):\n%s\n' "$module" "$diff" >&2
    failed=true
  fi
done
echo 'not run: tidy of lab/ and lab/crds/ (no code imports what they pin) and of tools/release (it would fetch several hundred modules)'
if $failed; then
  exit 1
fi
