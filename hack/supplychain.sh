#!/usr/bin/env bash
# Runs the pipeline of examples/beacon with gitlab-ci-local, which takes the part of GitLab
# and its runner: test/supplychain says what comes out, and what is not run.
#
#   hack/supplychain.sh [ARGUMENT...]    arguments are for go test, such as -run=Release
set -euo pipefail

PATH="$(hack/gitlab-ci-local.sh):$PATH"
# Without the name of a package, go test also shows what passing tests print.
cd test/supplychain
go test -tags=e2e -count=1 -timeout=30m "$@"
