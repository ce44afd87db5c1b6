#!/usr/bin/env bash
# Puts the JSON Schema of cloud-init's documents into build/cloud-init.schema.json. It
# comes from Debian's package, which is unpacked and not installed: installed, cloud-init
# would set this machine up at its next start. What is there is kept.
#
# In CI it must work; elsewhere it says "not run" where there is no apt-get.
set -euo pipefail

schema=build/cloud-init.schema.json
if [ -s "$schema" ]; then
  exit 0
fi
mkdir -p build
folder="$(mktemp -d build/cloud-init.XXXXXX)"
trap 'rm -rf "$folder"' EXIT

download() { (cd "$folder" && apt-get --quiet download cloud-init); }
if command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null &&
  { download || { [ "$(id -u)" -eq 0 ] && apt-get update --quiet && download; }; } >build/cloud-init.log 2>&1; then
  dpkg-deb -x "$folder"/cloud-init_*.deb "$folder"
  cp "$folder/usr/lib/python3/dist-packages/cloudinit/config/schemas/schema-cloud-config-v1.json" "$schema"
  exit 0
fi
if [ -n "${CI-}" ]; then
  echo "the schema of cloud-init cannot be downloaded from Debian (details: build/cloud-init.log)" >&2
  exit 1
fi
echo "not run: cloud-init's documents against their schema (it comes from Debian's package cloud-init: apt-get download)"
