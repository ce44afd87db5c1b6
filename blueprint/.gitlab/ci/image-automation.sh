#!/bin/sh
# Holds a branch of Flux's image automation against what automation may do: change tags and
# digests behind its markers, in overlays/staging, in commits that are signed by it.
#
#   sh .gitlab/ci/image-automation.sh BASE      the commit where the branch began
#
# The keys are those of BASE: a branch cannot bring its own.
set -eu

base="$1"
author=lumacore-image-automation
failed=false
refuse() {
  failed=true
  printf 'image automation: %s\n' "$*" >&2
}

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT

git diff --name-only --diff-filter=M "$base" HEAD -- overlays/staging >"$work/allowed"
git diff --name-only "$base" HEAD >"$work/changed"
while IFS= read -r file; do
  grep -Fxq -- "$file" "$work/allowed" ||
    refuse "$file is added, deleted or outside of overlays/staging: only files there may be changed"
done <"$work/changed"
if [ ! -s "$work/changed" ]; then refuse "the branch changes nothing"; fi

# Lines that are new or old. With signs of their own: a new line "++ x" would look like the
# name of a file otherwise.
git diff --unified=0 --no-color --output-indicator-new='>' --output-indicator-old='<' "$base" HEAD -- overlays/staging | grep '^[<>]' >"$work/lines" || true
while IFS= read -r line; do
  # shellcheck disable=SC2016 # $imagepolicy is the marker
  printf '%s\n' "$line" | grep -Eq '^[<>] *(newName|newTag|digest): .*# \{"\$imagepolicy": "[^"]+"\}$' ||
    refuse "a line that is no image with a marker of its policy: $line"
done <"$work/lines"

git show "$base:hosts/gitlab/hooks/allowed_signers" >"$work/signers"
git rev-list "$base..HEAD" >"$work/commits"
while IFS= read -r commit; do
  name="$(git log -1 --format=%an "$commit")"
  if [ "$name" != "$author" ]; then refuse "commit $commit is by $name, not by $author"; fi
  git -c gpg.format=ssh -c gpg.ssh.allowedSignersFile="$work/signers" verify-commit "$commit" >/dev/null 2>&1 ||
    refuse "commit $commit has no signature of a key in hosts/gitlab/hooks/allowed_signers"
done <"$work/commits"

if $failed; then exit 1; fi
echo "only images of staging, in signed commits"
