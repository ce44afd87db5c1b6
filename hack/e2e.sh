#!/usr/bin/env bash
# Runs the end-to-end tests, one package after the other: each starts labs, which want
# the machine for themselves. Everything goes to build/e2e.log; what matters is shown.
set -euo pipefail

mkdir -p build
export PATH="$PWD/bin:$PATH"
packages=(./docs/... ./test/e2e/...)
for package in "${packages[@]}"; do
  if [ -z "$(go list -tags=e2e "$package" 2>/dev/null)" ]; then
    echo "$package has no tests: something is wrong" >&2
    exit 1
  fi
done

if go test -tags=e2e -count=1 -p=1 -v "$@" "${packages[@]}" 2>&1 |
  tee build/e2e.log |
  grep --line-buffered -E '^(=== RUN|--- |ok|FAIL|panic:|testing: warning|exit status)|^ *--- (FAIL|SKIP)|^ +[a-z0-9_]+_test\.go:[0-9]+: |not run:'; then
  exit 0
fi
echo "the end of build/e2e.log:" >&2
tail -n 80 build/e2e.log >&2
# Last, where nobody has to look for it: what the tests said, with the lines that follow.
echo "what the tests said:" >&2
grep -E -A 12 '^ +[a-z0-9_]+_test\.go:[0-9]+: ' build/e2e.log | head -n 100 >&2 || true
exit 1
