#!/usr/bin/env bash
# Stands in for sysctl, which would change the kernel that the tests run on.
echo "$*" >>/var/log/sysctl
