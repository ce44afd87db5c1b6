#!/usr/bin/env bash
# Stands in for systemd: writes down what it is asked, and starts what the unit k3s says.
set -euo pipefail
echo "$*" >>/var/log/systemctl
args=()
for a in "$@"; do case "$a" in -*) ;; *) args+=("$a") ;; esac done
start() {
  if [ -e /run/refuse-start ]; then
    echo "Job for k3s.service failed." >&2
    exit 1
  fi
  touch /run/active-k3s
  # What systemd makes of EnvironmentFile and ExecStart.
  (
    set -a
    # shellcheck disable=SC1090 # the unit names it
    . "$(sed -n 's/^EnvironmentFile=//p' /etc/systemd/system/k3s.service)"
    eval "$(sed -n 's/^ExecStart=//p' /etc/systemd/system/k3s.service)"
  )
}
case "${args[*]}" in
'is-active k3s') [ -e /run/active-k3s ] ;;
'is-active multipathd') [ -e /run/active-multipathd ] ;;
'start k3s' | 'restart k3s') start ;;
'disable k3s') rm -f /run/active-k3s ;;
'enable k3s' | 'enable iscsid' | 'daemon-reload' | 'restart multipathd') ;;
*)
  echo "systemctl: not expected: $*" >&2
  exit 1
  ;;
esac
