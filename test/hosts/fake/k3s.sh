#!/usr/bin/env bash
# Stands in for k3s: writes down how it was started and with which configuration, and says
# that its node is Ready.
set -euo pipefail
case "$1" in
--version) echo "k3s version v1.36.3+k3s1 (fake)" ;;
server | agent)
  {
    echo "started: $*"
    cat /etc/rancher/k3s/config.yaml /etc/rancher/k3s/config.yaml.d/*.yaml
  } >>/var/log/k3s
  if [ -e /run/never-ready ]; then exit 0; fi
  if [ "$1" = server ]; then
    echo kubeconfig >/etc/rancher/k3s/k3s.yaml
  else
    mkdir -p /var/lib/rancher/k3s/agent
    echo kubeconfig >/var/lib/rancher/k3s/agent/kubelet.kubeconfig
  fi
  ;;
kubectl)
  echo "$*" >>/var/log/kubectl
  printf True
  ;;
esac
