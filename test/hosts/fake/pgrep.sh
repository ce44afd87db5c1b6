#!/usr/bin/env bash
# Stands in for pgrep, which would find processes of the machine that the tests run on:
# what the test has written down and has not ended.
while IFS= read -r pid; do
  if grep -qs '^State:.[^Z]' "/proc/$pid/status"; then echo "$pid"; fi
done < <(cat /run/shims 2>/dev/null)
