#!/usr/bin/env bash
# Stands in for ip: this machine has the addresses that the test gives it.
case "$*" in
'-brief address')
  printf '%s\n' 'lo UNKNOWN 127.0.0.1/8 ::1/128' "eth0 UP $(cat /etc/test-addresses)"
  # As many as a node with pods has, more than fits into a pipe.
  for i in $(seq 3000); do echo "veth$i@if2 UP fe80::$i/64"; done
  ;;
'link show '*) exit 1 ;;
*)
  echo "ip: not expected: $*" >&2
  exit 1
  ;;
esac
