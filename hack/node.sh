#!/usr/bin/env bash
# Installs programs of npm, with a Node.js of their own, and prints the folders for the PATH:
#
#   PATH="$(hack/node.sh NAME PACKAGE@VERSION...):$PATH"
#   PATH="$(hack/node.sh):$PATH"                             Node.js alone
#
# The programs are in build/npm/NAME/node_modules, and are installed anew when a version here
# or there has changed. Nothing of it depends on the Node.js of the machine but npm itself.
set -euo pipefail

node=24.21.0

hack/packages.sh npm >&2

# install FOLDER PACKAGE@VERSION...: what npm is told besides stands in $options.
install() {
  local folder="$PWD/build/npm/$1" log="build/npm/$1.log"
  shift
  # The packages are complete when this file says so.
  if [ "$(cat "$folder/complete" 2>/dev/null)" = "$* $node" ]; then
    return
  fi
  rm -rf "$folder"
  mkdir -p "$folder"
  echo "installing with npm: $* (details: $log)" >&2
  if ! npm install --no-audit --no-fund "${options[@]}" --prefix "$folder" "$@" >"$log" 2>&1; then
    tail -n 5 "$log" >&2
    exit 1
  fi
  echo "$* $node" >"$folder/complete"
}

# Scripts of packages run for Node.js alone, whose program one of them puts in place.
options=(--ignore-scripts=false)
install node "node@$node"
PATH="$PWD/build/npm/node/node_modules/node/bin:$PATH"
if [ "$#" -eq 0 ]; then
  echo "$PWD/build/npm/node/node_modules/node/bin"
  exit 0
fi
options=(--ignore-scripts)
install "$@"
echo "$PWD/build/npm/node/node_modules/node/bin:$PWD/build/npm/$1/node_modules/.bin"
