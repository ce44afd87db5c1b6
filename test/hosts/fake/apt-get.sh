#!/usr/bin/env bash
# Stands in for apt-get: what is installed is written down.
set -euo pipefail
if [ -e /run/no-packages ]; then
  echo "E: Could not connect to archive.ubuntu.com" >&2
  exit 100
fi
echo "$*" >>/var/log/apt-get
