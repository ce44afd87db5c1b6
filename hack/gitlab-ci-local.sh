#!/usr/bin/env bash
# Installs gitlab-ci-local, which takes the part of GitLab and its runner in the tests of both
# pipelines, and prints the folders for the PATH.
set -euo pipefail

exec hack/node.sh gitlab-ci-local gitlab-ci-local@4.75.1
