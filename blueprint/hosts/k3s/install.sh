#!/usr/bin/env bash
# Makes this machine a node of the cluster, hardened as the files beside this script say:
#
#   sudo bash install.sh
#
# What the node is stands in node.env (node.env.example explains it), which k3s in
# versions.env. It may be run again at any time, after an interruption too: what is done is
# left, what has changed is put in place, and k3s is restarted only when its configuration
# changed. Everything is looked at before anything is written.
#
# An installed k3s of another version is left alone: upgrades come from
# infrastructure/configs/system-upgrade, one node after the other.
set -euo pipefail
umask 022
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export LC_ALL=C DEBIAN_FRONTEND=noninteractive

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
etc=/etc/rancher/k3s
server_dir=/var/lib/rancher/k3s/server
longhorn=/var/lib/longhorn
program=/usr/local/bin/k3s
# Seconds that a machine is waited for: the server by an agent, and the node until it is
# Ready.
patience=${K3S_INSTALL_PATIENCE:-600}

say() { printf '%s\n' "$*"; }

# die WHAT [WHAT TO DO]
die() {
  printf 'error: %s\n' "$1" >&2
  if [ -n "${2-}" ]; then printf '  %s\n' "$2" >&2; fi
  exit 1
}

# Mistakes are collected, so that one run names them all.
mistakes=()
mistake() { mistakes+=("$*"); }

# read_settings FILE NAME...: sets the variables of a file of NAME=value lines. The file is
# not executed, and names that are not in the list are mistakes.
read_settings() {
  local file=$1 line number=0 name
  shift
  if [ ! -r "$file" ]; then
    if [ -e "$file.example" ]; then
      mistake "$file is not there: cp $file.example $file, and fill it in"
    else
      mistake "$file is not there; copy the whole folder hosts/k3s"
    fi
    return 1
  fi
  while IFS= read -r line || [ -n "$line" ]; do
    number=$((number + 1))
    line=${line%$'\r'}
    case "$line" in '' | '#'*) continue ;; esac
    name=${line%%=*}
    if [ "$name" = "$line" ] || [[ " $* " != *" $name "* ]]; then
      mistake "$file:$number: $line: want NAME=value with one of $*"
      continue
    fi
    printf -v "$name" '%s' "${line#*=}"
  done <"$file"
}

is_address() {
  local part
  [[ $1 =~ ^[0-9]{1,3}(\.[0-9]{1,3}){3}$ ]] || return 1
  for part in ${1//./ }; do [ "$((10#$part))" -le 255 ] || return 1; done
}

is_network() {
  [[ $1 == */* ]] && is_address "${1%/*}" && [[ ${1#*/} =~ ^[0-9]{1,2}$ ]] && [ "${1#*/}" -le 32 ]
}

need_address() { is_address "$2" || mistake "$here/node.env: $1 is \"$2\", want an IPv4 address"; }
need_network() { is_network "$2" || mistake "$here/node.env: $1 is \"$2\", want a network such as 10.42.0.0/16"; }

# need_token FILE: one that exists is for root's eyes and long enough.
need_token() {
  local mode
  mode=$(stat -c %a "$1")
  case "$mode" in
  600 | 400) ;;
  *) mistake "$1 has mode $mode: others can read it; chmod 600 $1" ;;
  esac
  if [ "$(tr -d '[:space:]' <"$1" | wc -c)" -lt 32 ]; then
    mistake "$1 has fewer than 32 characters; make one with: openssl rand -hex 32"
  fi
}

look_at_machine() {
  local ID='' VERSION_ID='' PRETTY_NAME='an unknown system' name value
  if [ -r /etc/os-release ]; then
    while IFS='=' read -r name value; do
      value=${value%\"} value=${value#\"}
      case "$name" in
      ID) ID=$value ;;
      VERSION_ID) VERSION_ID=$value ;;
      PRETTY_NAME) PRETTY_NAME=$value ;;
      esac
    done </etc/os-release
  fi
  local major=${VERSION_ID%%.*}
  [[ $major =~ ^[0-9]+$ ]] || major=0
  if ! { [ "$ID" = ubuntu ] && [ "$major" -ge 24 ]; } && ! { [ "$ID" = debian ] && [ "$major" -ge 12 ]; }; then
    mistake "this is $PRETTY_NAME; want Ubuntu 24.04 or later, or Debian 12 or later"
  fi
  case "$(uname -m)" in
  x86_64) arch=amd64 asset=k3s ;;
  aarch64) arch=arm64 asset=k3s-arm64 ;;
  *) mistake "this machine is $(uname -m); k3s is pinned for x86_64 and aarch64" ;;
  esac
  command -v systemctl >/dev/null || mistake "there is no systemctl: k3s is started by systemd"
  if command -v ufw >/dev/null && [[ $(ufw status) == *"Status: active"* ]]; then
    mistake "ufw is active and would cut the nodes off from each other; switch it off (ufw disable) and let Proxmox or the router filter: https://docs.k3s.io/installation/requirements"
  fi
}

look_at_settings() {
  local file
  for file in server.yaml agent.yaml kubelet.yaml registries.yaml admission.yaml audit.yaml 90-k3s.conf multipath.conf k3s.service; do
    [ -r "$here/$file" ] || mistake "$here/$file is not there; copy the whole folder hosts/k3s"
  done

  K3S_VERSION='' K3S_SHA256_AMD64='' K3S_SHA256_ARM64='' K3S_RELEASES=''
  read_settings "$here/versions.env" K3S_VERSION K3S_SHA256_AMD64 K3S_SHA256_ARM64 K3S_RELEASES || return 0
  [[ $K3S_VERSION =~ ^v[0-9]+\.[0-9]+\.[0-9]+\+k3s[0-9]+$ ]] || mistake "$here/versions.env: K3S_VERSION is \"$K3S_VERSION\", want one such as v1.36.3+k3s1"
  [[ $K3S_RELEASES == https://?* ]] || mistake "$here/versions.env: K3S_RELEASES is \"$K3S_RELEASES\", want an https address"
  sha256=$K3S_SHA256_AMD64
  if [ "${arch-}" = arm64 ]; then sha256=$K3S_SHA256_ARM64; fi
  [[ $sha256 =~ ^[0-9a-f]{64}$ ]] || mistake "$here/versions.env: the checksum for ${arch-this machine} is \"$sha256\", want 64 hexadecimal digits; the file says where they stand"

  K3S_ROLE='' K3S_SERVER_IP='' K3S_NODE_NAME='' K3S_NODE_IP='' K3S_POD_CIDR='' K3S_SERVICE_CIDR='' K3S_LONGHORN_DISK=''
  read_settings "$here/node.env" K3S_ROLE K3S_SERVER_IP K3S_NODE_NAME K3S_NODE_IP K3S_POD_CIDR K3S_SERVICE_CIDR K3S_LONGHORN_DISK || return 0
  need_address K3S_SERVER_IP "$K3S_SERVER_IP"
  need_address K3S_NODE_IP "$K3S_NODE_IP"
  [[ $K3S_NODE_NAME =~ ^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$ ]] || mistake "$here/node.env: K3S_NODE_NAME is \"$K3S_NODE_NAME\", want lower-case letters, digits and hyphens"
  # Not into a pipe: a grep that has seen enough would end ip with an error.
  local addresses
  addresses=$(ip -brief address)
  if is_address "$K3S_NODE_IP" && ! grep -qwF -- "$K3S_NODE_IP" <<<"$addresses"; then
    mistake "$here/node.env: K3S_NODE_IP is $K3S_NODE_IP, which this machine does not have; it has $(awk '$1 != "lo" { for (i = 3; i <= NF; i++) if ($i !~ /^fe80:/) printf "%s ", $i }' <<<"$addresses")"
  fi
  case "$K3S_ROLE" in
  server)
    need_network K3S_POD_CIDR "$K3S_POD_CIDR"
    need_network K3S_SERVICE_CIDR "$K3S_SERVICE_CIDR"
    [ "$K3S_NODE_IP" = "$K3S_SERVER_IP" ] || mistake "$here/node.env: this is the server, so K3S_NODE_IP ($K3S_NODE_IP) and K3S_SERVER_IP ($K3S_SERVER_IP) are the same"
    if [ -e $etc/agent-token ]; then need_token $etc/agent-token; fi
    if [ -e $etc/token ]; then need_token $etc/token; fi
    ;;
  agent)
    [ "$K3S_NODE_IP" != "$K3S_SERVER_IP" ] || mistake "$here/node.env: K3S_NODE_IP and K3S_SERVER_IP are both $K3S_NODE_IP, but this is an agent"
    if [ -e $etc/token ]; then
      need_token $etc/token
    else
      mistake "$etc/token is not there: put into it what the server has in $etc/agent-token, with mode 600"
    fi
    ;;
  *) mistake "$here/node.env: K3S_ROLE is \"$K3S_ROLE\", want server or agent" ;;
  esac
  local was
  if [ -r $etc/role.env ]; then
    was=$(sed -n 's/^K3S_ROLE=//p' $etc/role.env)
    [ "$was" = "$K3S_ROLE" ] || mistake "this machine is a k3s $was already; run uninstall.sh before it becomes a $K3S_ROLE"
  elif [ -e "$program" ] || [ -e /etc/systemd/system/k3s.service ] || [ -e /etc/systemd/system/k3s-agent.service ]; then
    mistake "k3s was installed here by something else; remove it first (its own script is /usr/local/bin/k3s-uninstall.sh or k3s-agent-uninstall.sh)"
  fi
}

# What is on a disk decides: nothing, it is formatted; our file system, it is used;
# anything else, it is refused. So is whatever would hide data that Longhorn has already.
look_at_disk() {
  local disk=$K3S_LONGHORN_DISK found mounted attributes
  format=false
  mounted=$(findmnt --noheadings --output SOURCE --mountpoint $longhorn || true)
  if [ -z "$disk" ]; then
    attributes=$(lsattr -d $longhorn 2>/dev/null || true)
    if [ -z "$mounted" ] && [[ ${attributes%% *} == *i* ]]; then
      mistake "$longhorn is kept for a disk that is not mounted, and K3S_LONGHORN_DISK names none; if it is to be on the system's disk from now on: chattr -i $longhorn"
    fi
    return 0
  fi
  if [[ $disk != /dev/?* || $disk == *[[:space:]]* ]]; then
    mistake "$here/node.env: K3S_LONGHORN_DISK is \"$disk\", want a name below /dev"
    return
  fi
  if [ ! -b "$disk" ]; then
    mistake "$disk (K3S_LONGHORN_DISK) is no disk of this machine; there are: $(lsblk --nodeps --noheadings --paths --output NAME | tr '\n' ' ')"
    return
  fi
  # It reads the disk itself, not what udev noted about it.
  if ! found=$(wipefs --noheadings --output TYPE,LABEL "$disk"); then
    mistake "$disk (K3S_LONGHORN_DISK) cannot be looked at"
    return
  fi
  if [ -n "$mounted" ]; then
    if [ "$(readlink -f "$mounted")" != "$(readlink -f "$disk")" ]; then
      mistake "$longhorn is on $mounted, and K3S_LONGHORN_DISK is $disk; let Longhorn move this node's replicas away first, then unmount it"
    fi
  elif [ -d $longhorn ] && [ -n "$(ls -A $longhorn)" ]; then
    mistake "$longhorn has data on the system's disk, which $disk would hide; let Longhorn move this node's replicas away first, then empty it"
  fi
  found=$(printf '%s' "$found" | tr -s '[:space:]' ' ')
  case "$found" in
  '') format=true ;;
  'ext4 longhorn') ;;
  *) mistake "$disk (K3S_LONGHORN_DISK) is not empty ($found); if nothing on it is needed: wipefs --all $disk" ;;
  esac
}

# A running k3s has not read all of its configuration. It is a file, because a run that is
# interrupted between the two leaves the restart to the next one.
restart=$etc/.restart

# put FILE MODE: the standard input becomes FILE, at once or not at all.
put() {
  local file=$1 mode=$2 new
  mkdir -p "$(dirname "$file")"
  # Always the same name: what an interrupted run left is written over by the next.
  new="$(dirname "$file")/.$(basename "$file").new"
  (umask 077 && cat >"$new")
  chmod "$mode" "$new"
  if [ -e "$file" ] && cmp -s "$new" "$file" && [ "$(stat -c %a "$file")" = "${mode#0}" ]; then
    rm -f "$new"
    return
  fi
  case "$file" in "$etc"/* | "$server_dir"/* | /etc/systemd/*) touch "$restart" ;; esac
  mv -f "$new" "$file"
  say "wrote $file"
}

packages() {
  local want=(curl iproute2 open-iscsi nfs-common) missing=() package
  if [ -n "$K3S_LONGHORN_DISK" ]; then want+=(e2fsprogs); fi
  for package in "${want[@]}"; do
    [ "$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
  done
  if [ "${#missing[@]}" -eq 0 ]; then return; fi
  say "installing ${missing[*]}"
  if ! lists || ! apt-get -o DPkg::Lock::Timeout=300 --quiet --yes --no-install-recommends install "${missing[@]}" >/dev/null; then
    die "apt-get did not install ${missing[*]}" "its message is above; run this script again when it is mended"
  fi
}

# lists fetches the lists of packages. Another apt may be at work just after the first start
# of a machine, and an update does not wait for it by itself.
lists() {
  local said start=$SECONDS
  until said=$(apt-get --quiet update 2>&1 >/dev/null); do
    if [[ $said != *"get lock"* ]] || [ "$((SECONDS - start))" -ge 300 ]; then
      printf '%s\n' "$said" >&2
      return 1
    fi
    sleep 5
  done
}

kernel() {
  printf '%s\n' br_netfilter overlay iscsi_tcp | put /etc/modules-load.d/k3s.conf 0644
  local module
  for module in br_netfilter overlay iscsi_tcp; do
    modprobe "$module" || die "the kernel has no module $module" "on Ubuntu: apt-get install linux-modules-extra-\$(uname -r)"
  done
  put /etc/sysctl.d/90-k3s.conf 0644 <"$here/90-k3s.conf"
  sysctl --quiet --load=/etc/sysctl.d/90-k3s.conf
  # Longhorn's volumes are iSCSI disks.
  systemctl enable --quiet --now iscsid
  if systemctl is-active --quiet multipathd && ! cmp -s "$here/multipath.conf" /etc/multipath/conf.d/longhorn.conf; then
    put /etc/multipath/conf.d/longhorn.conf 0644 <"$here/multipath.conf"
    systemctl restart multipathd
  fi
}

longhorn_disk() {
  local disk=$K3S_LONGHORN_DISK uuid table
  [ -n "$disk" ] || return 0
  if $format; then
    say "formatting $disk"
    # Not forced: mkfs asks, and so ends here, if it sees anything on the disk after all.
    mkfs.ext4 -q -L longhorn "$disk" </dev/null
  fi
  [ -d $longhorn ] || install -d -m 0700 $longhorn
  # Without the disk nothing may be written where it belongs: the system's disk would fill
  # up, and the replicas would be lost when the disk is back.
  mountpoint -q $longhorn || chattr +i $longhorn 2>/dev/null || true
  uuid=$(blkid --probe --match-tag UUID --output value "$disk")
  if [ "$(findmnt --fstab --noheadings --output SOURCE --mountpoint $longhorn || true)" != "UUID=$uuid" ]; then
    table=$(awk -v at=$longhorn '$2 != at || /^[[:space:]]*#/' /etc/fstab)
    printf '%s\n' "$table" "UUID=$uuid $longhorn ext4 defaults,noatime,nofail,x-systemd.device-timeout=30s 0 2" | put /etc/fstab 0644
    systemctl daemon-reload
  fi
  mountpoint -q $longhorn || mount $longhorn || die "$disk cannot be mounted on $longhorn" "dmesg says more"
}

checksum_of() { sha256sum "$1" | cut -d ' ' -f 1; }

binary() {
  local installed got new=/usr/local/bin/.k3s.new
  if [ -e "$program" ]; then
    # "k3s version v1.36.3+k3s1 (0123abcd)"
    installed=$("$program" --version 2>/dev/null | awk 'NR == 1 { print $3 }') || installed=unknown
    if [ "$installed" != "$K3S_VERSION" ]; then
      say "k3s $installed stays (versions.env: $K3S_VERSION): a node that runs is upgraded by the Plans in infrastructure/configs/system-upgrade"
      return
    fi
    got=$(checksum_of "$program")
    [ "$got" = "$sha256" ] || die "$program says that it is $installed, but its checksum is $got and versions.env has $sha256" \
      "somebody changed the program or the file; find out before you go on"
    return
  fi
  trap 'rm -f '"$new" EXIT
  if [ -e "$here/$asset" ]; then
    say "taking k3s $K3S_VERSION from $here/$asset"
    cp "$here/$asset" "$new"
  else
    local url="$K3S_RELEASES/${K3S_VERSION//+/%2B}/$asset"
    say "downloading k3s $K3S_VERSION"
    curl --fail --silent --show-error --location --proto '=https' --tlsv1.2 --connect-timeout 15 --max-time 900 \
      --max-filesize 300M --retry 3 --retry-all-errors --output "$new" "$url" ||
      die "k3s cannot be downloaded from $url" "without internet on this machine: download it elsewhere and put it beside this script as $asset"
  fi
  got=$(checksum_of "$new")
  [ "$got" = "$sha256" ] || die "the checksum of k3s $K3S_VERSION is $got, but versions.env has $sha256; nothing was installed" \
    "if the version was changed, change the checksum with it; otherwise the download was tampered with"
  chmod 0755 "$new"
  mv -f "$new" "$program"
  say "installed $program"
}

# tokens makes those that a first server does not have yet.
tokens() {
  local name made=()
  [ "$K3S_ROLE" = server ] || return 0
  for name in token agent-token; do
    if [ ! -e "$etc/$name" ]; then
      mkdir -p $etc
      head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n' | (umask 077 && cat >"$etc/.$name.new")
      mv "$etc/.$name.new" "$etc/$name"
      made+=("$etc/$name")
    fi
  done
  if [ "${#made[@]}" -gt 0 ]; then
    say "made ${made[*]}: keep both in 1Password; without the server's token no snapshot can be restored on a new machine"
  fi
}

configuration() {
  put $etc/config.yaml 0600 <"$here/$K3S_ROLE.yaml"
  put $etc/config.yaml.d/10-kubelet.yaml 0600 <"$here/kubelet.yaml"
  put $etc/registries.yaml 0600 <"$here/registries.yaml"
  if [ -e "$here/ca.crt" ]; then put $etc/ca.crt 0644 <"$here/ca.crt"; fi
  {
    echo "# Written by install.sh from node.env."
    echo "node-name: $K3S_NODE_NAME"
    echo "node-ip: $K3S_NODE_IP"
    if [ "$K3S_ROLE" = server ]; then
      echo "advertise-address: $K3S_NODE_IP"
      echo "cluster-cidr: $K3S_POD_CIDR"
      echo "service-cidr: $K3S_SERVICE_CIDR"
    else
      echo "server: https://$K3S_SERVER_IP:6443"
    fi
  } | put $etc/config.yaml.d/20-node.yaml 0600
  if [ "$K3S_ROLE" = server ]; then
    # The API server does not make the folder of its log.
    install -d -m 0700 $server_dir $server_dir/logs
    put $server_dir/admission.yaml 0600 <"$here/admission.yaml"
    put $server_dir/audit.yaml 0600 <"$here/audit.yaml"
  fi
  put /etc/systemd/system/k3s.service 0644 <"$here/k3s.service"
}

# wait_for WHAT COMMAND...: until the command succeeds.
wait_for() {
  local what=$1 start=$SECONDS told=0
  shift
  until "$@"; do
    if [ "$((SECONDS - start))" -ge "$patience" ]; then return 1; fi
    if [ "$((SECONDS - told))" -ge 15 ] || [ "$told" = 0 ]; then
      say "waiting for $what ($((SECONDS - start)) s)"
      told=$SECONDS
    fi
    sleep 2
  done
}

# The server's certificate is its own CA's, which a node that never joined cannot know:
# this asks only whether somebody is there.
server_answers() { [ "$(curl --silent --insecure --max-time 5 "https://$K3S_SERVER_IP:6443/ping")" = pong ]; }

# An agent may look at its own node with the kubelet's credential.
node_ready() {
  local kubeconfig=$etc/k3s.yaml
  if [ "$K3S_ROLE" = agent ]; then kubeconfig=/var/lib/rancher/k3s/agent/kubelet.kubeconfig; fi
  [ -r "$kubeconfig" ] &&
    [ "$("$program" kubectl --kubeconfig "$kubeconfig" --request-timeout=5s get node "$K3S_NODE_NAME" \
      --output 'jsonpath={.status.conditions[?(@.type=="Ready")].status}' 2>/dev/null)" = True ]
}

start() {
  if [ "$K3S_ROLE" = agent ]; then
    wait_for "the server at $K3S_SERVER_IP:6443" server_answers ||
      die "nothing that is k3s answers at https://$K3S_SERVER_IP:6443" "install the server first; if it runs, a firewall is between the two (TCP 6443)"
  fi
  systemctl daemon-reload
  systemctl enable --quiet k3s
  if ! systemctl is-active --quiet k3s; then
    say "starting k3s"
    systemctl start k3s
  elif [ -e "$restart" ]; then
    say "restarting k3s; pods go on"
    systemctl restart k3s
  fi
  rm -f "$restart"
  if ! wait_for "node $K3S_NODE_NAME to be Ready" node_ready; then
    journalctl --unit k3s --no-pager --lines 20 >&2 || true
    die "node $K3S_NODE_NAME is not Ready after $patience s; the end of its log is above" \
      "\"Node password rejected\": a node of this name was there before; kubectl delete node $K3S_NODE_NAME. \"token\": $etc/token is not the server's agent-token. Otherwise: journalctl -u k3s"
  fi
}

main() {
  [ "$EUID" -eq 0 ] || die "this changes the system: run it as root" "sudo bash $0"
  [ "$#" -eq 0 ] || die "unknown argument: $1" "what the node is stands in $here/node.env"
  look_at_machine
  look_at_settings
  look_at_disk
  if [ "${#mistakes[@]}" -gt 0 ]; then
    printf 'error: %s\n' "${mistakes[@]}" >&2
    die "nothing was changed"
  fi
  # Two at once would write over each other.
  exec 9>/run/lock/lumacore-k3s-install
  flock --nonblock 9 || die "another install.sh is at work on this machine" "wait until it has ended"
  # First: a run that is interrupted leaves a machine that the next one, and uninstall.sh,
  # know to be ours.
  echo "K3S_ROLE=$K3S_ROLE" | put $etc/role.env 0644
  packages
  kernel
  longhorn_disk
  binary
  tokens
  configuration
  start
  say "node $K3S_NODE_NAME ($K3S_ROLE) is Ready: k3s $("$program" --version | awk 'NR == 1 { print $3 }')"
}

main "$@"
