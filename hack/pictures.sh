#!/usr/bin/env bash
# Draws the pictures of the documentation from what the built lumacore prints on a terminal:
# a lab of its own, and a push with a mistake in it. It needs script of util-linux, which every
# Linux has.
set -euo pipefail

export PATH="$PWD/bin:$PWD/bin/tools:$PATH" TERM=xterm-256color

work="$(mktemp -d)"
export LUMACORE_DIR="$work/lab"
trap 'lumacore lab down --purge --yes >/dev/null 2>&1 || true; rm -rf "$work"' EXIT

# draw NAME COMMAND: the prompt, the command and what it prints, as docs/pictures/NAME.svg.
draw() {
  # script gives the command a terminal, as a person has; its lines end with a carriage return.
  {
    printf '\033[1m$ %s\033[0m\n' "$2"
    (cd "$work/homelab" && script --quiet --command "$2" /dev/null </dev/null)
  } | tr -d '\r' | sed "s#$work/lab#~/.local/state/lumacore/lab#" >"$work/$1.ansi"
  freeze "$work/$1.ansi" --output "docs/pictures/$1.svg" --font.family monospace --font.size 13 --padding 16 --wrap 130 >/dev/null
  echo "docs/pictures/$1.svg"
}

mkdir -p docs/pictures
cp -R blueprint "$work/homelab"
git -C "$work/homelab" init --quiet

echo "starting a lab"
lumacore lab up >/dev/null
draw lab-status "lumacore lab status"

sed -i 's/^kind: Service$/kind: Servise/' "$work/homelab/apps/freshrss/base/service.yaml"
draw lab-push "lumacore lab push --dirty ."
