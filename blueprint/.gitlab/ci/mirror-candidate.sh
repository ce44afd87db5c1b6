#!/bin/sh
# Makes the tree that the public mirror would get: the files of allowed paths that Git knows. A
# file among them whose name is denied stops it: it is in the wrong place, public or not.
#
#   sh .gitlab/ci/mirror-candidate.sh FOLDER
set -euf # -f: the shell leaves patterns to Git

folder="$1"
here=.gitlab/ci
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT

# patterns FILE: its lines, without comments.
patterns() { grep -vE '^(#|$)' "$here/$1"; }

# The patterns are words, one a line, for Git to read: none of them has a space.
# shellcheck disable=SC2046
git ls-files -- $(patterns mirror-allow.txt) | sort >"$work/allowed"
# shellcheck disable=SC2046
git ls-files -- $(patterns mirror-deny.txt) | sort >"$work/denied"

comm -12 "$work/allowed" "$work/denied" >"$work/both"
if [ -s "$work/both" ]; then
  echo "these files must never be public ($here/mirror-deny.txt), and are in folders that are ($here/mirror-allow.txt):" >&2
  sed 's/^/  /' "$work/both" >&2
  echo "take them out of the repository, and make the secrets in them anew" >&2
  exit 1
fi

# By way of the index: as arguments, the names of a large repository would be too many.
# shellcheck disable=SC2046
git ls-files -z -- $(patterns mirror-allow.txt) | git checkout-index -z --stdin --prefix="$folder/"
echo "$(wc -l <"$work/allowed") files for the mirror, in $folder"
