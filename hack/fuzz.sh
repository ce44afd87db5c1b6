#!/usr/bin/env bash
# Fuzzes every parser of the project, one target after the other:
#
#   hack/fuzz.sh            30 seconds each
#   hack/fuzz.sh 5m Render  targets whose name contains Render, five minutes each
#
# What breaks a target is written to its testdata/fuzz; commit it with the fix.
set -euo pipefail
cd "$(dirname "$0")/.."
time=${1:-30s}
wanted=${2:-}
export CGO_ENABLED=0
targets=$(grep -rhoE --include='*_test.go' '^func Fuzz[A-Za-z]+' internal | wc -l)
if [ "$targets" -eq 0 ]; then
  echo "hack/fuzz.sh: no fuzz target in internal" >&2
  exit 1
fi
grep -rlE --include='*_test.go' '^func Fuzz' internal | sort | while read -r file; do
  grep -oE '^func Fuzz[A-Za-z]+' "$file" | sed 's/^func //' | while read -r target; do
    case $target in
    *"$wanted"*)
      echo "==> $target ($(dirname "$file")), $time"
      go test "./$(dirname "$file")" -run '^$' -fuzz "^$target\$" -fuzztime "$time" </dev/null
      ;;
    esac
  done
done
