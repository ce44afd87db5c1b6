#!/usr/bin/env bash
# Makes sure that programs are there:
#
#   hack/packages.sh PROGRAM...            all of them, or it fails
#   hack/packages.sh --optional PROGRAM    says "not run: PROGRAM" and fails quietly
#
# What is missing is installed when that can be done without asking: by root, with
# apt-get. Otherwise the exact command is named. In CI (variable CI) nothing is
# optional: there, root and apt-get are expected.
set -euo pipefail

optional=false
if [ "${1-}" = --optional ]; then
  optional=true
  shift
fi

# The name of a program's package, for Debian and for Homebrew.
package() {
  case "$1" in
  gcc) echo "gcc libc6-dev" ;;
  mkdocs) echo "mkdocs mkdocs-material" ;;
  ssh-keygen) echo "openssh-client" ;;
  *) echo "$1" ;;
  esac
}

missing=()
for program in "$@"; do
  command -v "$program" >/dev/null || missing+=("$program")
done
if [ "${#missing[@]}" -eq 0 ]; then
  exit 0
fi

packages=()
for program in "${missing[@]}"; do
  if [ "$program" = go ]; then
    echo "Go is missing: install it from https://go.dev/dl (the version stands in go.mod) and put it on the PATH" >&2
    exit 1
  fi
  # shellcheck disable=SC2207 # the words are the packages
  packages+=($(package "$program"))
done

if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
  mkdir -p build
  echo "installing: ${packages[*]} (details: build/packages.log)"
  install=(env DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet --no-install-recommends "${packages[@]}")
  # The first try fails where the lists of packages were never fetched, or are old.
  if "${install[@]}" >build/packages.log 2>&1 ||
    { apt-get update --quiet && "${install[@]}"; } >>build/packages.log 2>&1; then
    exit 0
  fi
  tail -n 5 build/packages.log >&2
fi

if command -v apt-get >/dev/null; then
  how="sudo apt-get update && sudo apt-get install ${packages[*]}"
elif command -v brew >/dev/null; then
  how="brew install ${missing[*]}"
else
  how="install it with your system's package manager"
fi
if $optional && [ -z "${CI-}" ]; then
  echo "not run: ${missing[*]} is not installed ($how)"
else
  echo "missing: ${missing[*]}; install it with: $how" >&2
fi
exit 1
