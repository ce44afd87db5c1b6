#!/usr/bin/env bash
# Checks YAML files (yamllint), workflows of GitHub (actionlint) and shell scripts
# (shellcheck, shfmt). With --write it formats the scripts instead. In CI everything runs;
# elsewhere, what is not installed and cannot be is named as not run.
set -euo pipefail

# Files of the repository, committed or about to be.
list() { git ls-files --cached --others --exclude-standard --deduplicate -- "$@"; }

yaml=() scripts=() workflows=()
while IFS= read -r file; do
  if [ -f "$file" ]; then yaml+=("$file"); fi
done < <(list '*.yaml' '*.yml')
while IFS= read -r file; do
  if [ -f "$file" ]; then workflows+=("$file"); fi
done < <(list '*.github/workflows/*.yaml')
while IFS= read -r file; do
  if [ -f "$file" ]; then scripts+=("$file"); fi
done < <(list '*.sh' '.ci/run' 'blueprint/hosts/gitlab/hooks/pre-receive')

if [ "${1-}" = --write ]; then
  exec bin/tools/shfmt -w "${scripts[@]}"
fi

failed=false
# optional PROGRAM ARGUMENT...: runs it; in CI, where it must be there, or else fails.
optional() {
  if hack/packages.sh --optional "$1"; then
    "$@" || failed=true
  elif [ -n "${CI-}" ]; then
    failed=true
  fi
}

echo "yamllint: ${#yaml[@]} files"
optional yamllint --strict "${yaml[@]}"
echo "actionlint: ${#workflows[@]} files"
bin/tools/actionlint "${workflows[@]}" || failed=true
echo "shellcheck, shfmt: ${#scripts[@]} files"
optional shellcheck "${scripts[@]}"
bin/tools/shfmt -d "${scripts[@]}" || failed=true
if $failed; then
  exit 1
fi
