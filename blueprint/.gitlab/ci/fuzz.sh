#!/bin/sh
# Runs every fuzz test of every Go module here, each for FUZZTIME (1m). All of them run, also
# after one has failed.
set -eu

failed=false
modules="$(find . -name go.mod -not -path '*/testdata/*' -exec dirname {} \;)"
for module in $modules; do
  # In variables: what fails within a "for" is not noticed, and would pass.
  packages="$(go -C "$module" list ./...)"
  for package in $packages; do
    listed="$(go -C "$module" test -list '^Fuzz' "$package")" || {
      printf '%s\n' "$listed"
      failed=true
      continue
    }
    for test in $(printf '%s\n' "$listed" | grep '^Fuzz'); do
      echo "$module: $package $test, ${FUZZTIME:-1m}"
      go -C "$module" test -run '^$' -fuzz "^$test\$" -fuzztime "${FUZZTIME:-1m}" "$package" || failed=true
    done
  done
done
if $failed; then exit 1; fi
