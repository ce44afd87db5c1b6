#!/usr/bin/env bash
# Stands in for ufw.
if [ -e /run/ufw-active ]; then echo "Status: active"; else echo "Status: inactive"; fi
