#!/bin/sh
# Fetches the feeds every 20 minutes; FreshRSS itself decides which of them are due.
# Takes the place of cron, which needs root.
trap 'exit 0' TERM

while :; do
  php -f ./app/actualize_script.php || echo "fetching feeds failed with code $?" >&2
  sleep 1200 &
  wait $!
done
