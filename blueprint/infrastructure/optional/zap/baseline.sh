#!/bin/sh
# One baseline scan per app of staging, through Traefik inside the cluster: Cloudflare
# Access would ask a scanner for a login. The name of the app goes into the header Host.
# https://www.zaproxy.org/docs/docker/baseline-scan/
set -u

# The network policy of a new pod takes some seconds to arrive at the node.
sleep 15

status=0
for host in $STAGING_HOSTS; do
  echo "== $host"
  # -m: minutes of spidering; -I: findings are no failure; -s: short output.
  # -silent: no update of add-ons, which the network policy would stop anyway.
  # -Xmx: ZAP would take a quarter of the node's memory, and not of the pod's limit.
  zap-baseline.py -t http://traefik.ingress-traefik.svc.cluster.local/ -m 2 -I -s -z \
    "-silent -Xmx1g \
     -config replacer.full_list(0).description=host \
     -config replacer.full_list(0).enabled=true \
     -config replacer.full_list(0).matchtype=REQ_HEADER \
     -config replacer.full_list(0).matchstr=Host \
     -config replacer.full_list(0).replacement=$host" ||
    status=$?
done
# Not zero: ZAP itself failed, for one app at least.
exit $status
