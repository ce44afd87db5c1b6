#!/usr/bin/env bash
# Checks the Go code of all modules: format (gofumpt), go vet, staticcheck, and that
# go.mod and go.sum are what go mod tidy makes of them. All findings are shown, not
# only those of the first check. Code behind the build tag e2e is checked too.
set -euo pipefail

tools="$PWD/bin/tools"
failed=false

files="$("$tools/gofumpt" -l .)"
if [ -n "$files" ]; then
  printf 'not formatted (run: make fmt):\n%s\n' "$files"
  failed=true
fi

for module in . examples/beacon bench test/configs; do
  echo "go vet, staticcheck: $module"
  go -C "$module" vet -tags=e2e ./... || failed=true
  (cd "$module" && "$tools/staticcheck" -tags=e2e ./...) || failed=true
done

# -e: a few test dependencies of dependencies are not served by every module proxy;
# plain tidy gives up on them, although nothing here needs them.
for module in . examples/beacon examples/beacon/tools tools; do
  echo "go mod tidy: $module"
  if ! diff="$(go -C "$module" mod tidy -e -diff 2>/dev/null)"; then
    printf 'not tidy (run: go -C %s mod tidy -e):\n%s\n' "$module" "$diff"
    failed=true
  fi
done
echo 'not run: tidy of lab/ and lab/crds/ (no code imports what they pin) and of bench/, test/configs/, tools/pictures, tools/pipelines, tools/release, tools/supplychain, tools/tofu and tools/tofu-proxmox (it would fetch several hundred modules)'

if $failed; then
  exit 1
fi
