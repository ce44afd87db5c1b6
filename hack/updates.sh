#!/usr/bin/env bash
# Runs Renovate itself on a copy of the blueprint: its validator on renovate.json5, its
# extraction, whose report test/updates holds against a scan of its own. It looks for no newer
# versions, so it needs the network for npm alone, and that once. Renovate is AGPL-3.0: it is
# run as it is, and nothing here loads its code.
#
#   hack/updates.sh [-update]    with -update, test/updates/testdata is written anew
set -euo pipefail

renovate=44.121.2

PATH="$(hack/node.sh updates "renovate@$renovate"):$PATH"
dist="$PWD/build/npm/updates/node_modules/renovate/dist"

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
cp -R blueprint "$work/repository"
rm "$work/repository/embed.go"
cd "$work/repository"
git init --quiet
git add --all
git -c user.name=test -c user.email=test@example.com -c commit.gpgsign=false commit --quiet --message=blueprint

# At LOG_LEVEL=warn Renovate says that it has no RE2: that is a native module, which a script
# of its package would build. Go's engine, in test/updates, is RE2's.
export LOG_LEVEL=error
LOG_LEVEL=info node "$dist/config-validator.js" --strict --no-global renovate.json5 >"$work/validator.log" 2>&1 || {
  cat "$work/validator.log" >&2
  exit 1
}
grep -h 'Config validated' "$work/validator.log"
RENOVATE_BASE_DIR="$work/base" RENOVATE_REPORT_TYPE=file RENOVATE_REPORT_PATH="$work/report.json" \
  node "$dist/renovate.js" --platform=local --dry-run=extract

cd "$OLDPWD"
RENOVATE_REPORT="$work/report.json" go test -count=1 ./test/updates "$@"
