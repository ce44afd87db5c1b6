#!/usr/bin/env bash
# Takes k3s off this machine, as install.sh put it there:
#
#   sudo bash uninstall.sh            asks for the node's name
#   sudo bash uninstall.sh --yes      does not ask
#
# Drain and delete the node first (docs: "Add or replace a node"). Longhorn's disk, the
# tokens and the settings of the kernel stay; the last line says where they are. It may be
# run again, and goes on where it was interrupted.
set -euo pipefail
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C

say() { printf '%s\n' "$*"; }
die() {
  printf 'error: %s\n' "$1" >&2
  if [ -n "${2-}" ]; then printf '  %s\n' "$2" >&2; fi
  exit 1
}

etc=/etc/rancher/k3s

# Everything that runs in pods' control groups, and what holds it: pods go on without k3s.
processes() {
  {
    find /sys/fs/cgroup -path '*kubepods*' -name cgroup.procs -exec cat {} + 2>/dev/null || true
    pgrep --full '^/var/lib/rancher/k3s/data/[^/]+/bin/containerd-shim' || true
  } | sort -un
}

stop_pods() {
  local start=$SECONDS pids
  while pids=$(processes) && [ -n "$pids" ]; do
    [ "$((SECONDS - start))" -lt 60 ] || die "these processes of pods do not end: $(echo "$pids" | xargs)" "restart the machine and run this again"
    # shellcheck disable=SC2086 # the words are the pids
    kill -KILL $pids 2>/dev/null || true
    sleep 1
  done
}

# below FOLDER: what is mounted there, the deepest first.
below() { awk -v at="$1" '$2 == at || index($2, at "/") == 1 { print $2 }' /proc/self/mounts | sort -r; }

unmount() {
  local folder point
  for folder in /run/k3s /var/lib/rancher/k3s /var/lib/kubelet /run/netns; do
    while IFS= read -r point; do
      # A network namespace that is not a pod's stays.
      if [ "$folder" = /run/netns ] && [[ $point != /run/netns/cni-* ]]; then continue; fi
      umount "$point" || die "$point cannot be unmounted" "something uses it: fuser -vm $point"
      if [ "$folder" = /run/netns ]; then rm -f "$point"; fi
    done < <(below "$folder")
  done
}

network() {
  local link program rules
  for link in cni0 flannel.1 flannel-v6.1 flannel-wg flannel-wg-v6 kube-ipvs0; do
    if ip link show "$link" >/dev/null 2>&1; then ip link delete "$link"; fi
  done
  for program in iptables ip6tables; do
    rules=$("$program-save" 2>/dev/null) || continue
    # Not into a pipe: a grep that has seen enough would end the other with an error.
    if grep -qE 'KUBE-|CNI-|flannel' <<<"$rules"; then
      grep -vE 'KUBE-|CNI-|flannel' <<<"$rules" | "$program-restore"
    fi
  done
  rm -rf /etc/cni/net.d /var/lib/cni
}

main() {
  local name typed
  [ "$EUID" -eq 0 ] || die "this changes the system: run it as root" "sudo bash $0"
  case "${1-}" in '' | --yes) ;; *) die "unknown argument: $1" "there is only --yes" ;; esac
  if [ ! -e $etc/role.env ]; then
    say "k3s was not installed here by install.sh; nothing to do"
    return
  fi
  name=$(sed -n 's/^node-name: //p' $etc/config.yaml.d/20-node.yaml 2>/dev/null || true)
  name=${name:-$(uname -n)}
  if [ "${1-}" != --yes ]; then
    say "This stops every pod on $name and removes k3s, its images and, on the server, the cluster with everything that Git does not know."
    read -r -p "Type the node's name to go on: " typed || true
    [ "${typed-}" = "$name" ] || die "that is not $name; nothing was changed"
  fi
  if [ -e /etc/systemd/system/k3s.service ]; then
    systemctl disable --quiet --now k3s
  fi
  stop_pods
  unmount
  network
  rm -rf /etc/systemd/system/k3s.service /usr/local/bin/k3s /usr/local/bin/.k3s.new /var/lib/rancher/k3s /var/lib/kubelet /run/k3s /run/flannel
  systemctl daemon-reload
  # Last, because it says that there is something to remove. The tokens stay.
  rm -rf $etc/config.yaml $etc/config.yaml.d $etc/registries.yaml $etc/ca.crt $etc/k3s.yaml $etc/.restart
  rm -f $etc/role.env
  say "k3s is off $name. What is left: $etc (tokens), /etc/sysctl.d/90-k3s.conf, /etc/modules-load.d/k3s.conf, /etc/multipath/conf.d/longhorn.conf, and /var/lib/longhorn (volumes; to give its disk back: umount it, take its line out of /etc/fstab, chattr -i it)."
}

main "$@"
