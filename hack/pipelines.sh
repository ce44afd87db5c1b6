#!/usr/bin/env bash
# Runs the jobs of the blueprint's GitLab pipeline, with gitlab-ci-local and the programs that
# the jobs' images have. Everything goes to build/pipelines.log; what matters is shown.
#
#   hack/pipelines.sh [OPTION OF GO TEST...]
set -euo pipefail

# The versions of the images in blueprint/.gitlab-ci.yml; a test holds these against those.
packages=(markdown-link-check@3.15.0 markdownlint-cli2@0.23.2
  @commitlint/cli@21.2.4 @commitlint/config-conventional@21.2.4)

hack/packages.sh go git yamllint shellcheck ssh-keygen rsync mkdocs
mkdir -p build
node="$(hack/gitlab-ci-local.sh):$(hack/node.sh pipelines "${packages[@]}")"
export PATH="$PWD/bin:$PWD/bin/tools:$node:$PATH"
# Jobs have a HOME of their own, and would compile the standard library anew.
GOCACHE="$(go env GOCACHE)"
export GOCACHE
# Where npm would have installed for all, as in the images: commitlint looks there for the
# rules that .commitlintrc.yaml extends.
export NPM_CONFIG_PREFIX="$PWD/build/npm/global"
mkdir -p "$NPM_CONFIG_PREFIX/lib"
ln -sfn "$PWD/build/npm/pipelines/node_modules" "$NPM_CONFIG_PREFIX/lib/node_modules"

if go test -tags=e2e -count=1 -parallel=3 -timeout=20m -v "$@" ./test/pipelines 2>&1 |
  tee build/pipelines.log |
  grep --line-buffered -oE '^(ok|FAIL|panic:).*|^ *--- (FAIL|SKIP).*|not run: .*'; then
  exit 0
fi
echo "the end of build/pipelines.log:" >&2
tail -n 80 build/pipelines.log >&2
exit 1
