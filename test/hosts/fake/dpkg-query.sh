#!/usr/bin/env bash
# Stands in for dpkg-query: installed is what apt-get was asked to install.
grep -qw -- "${!#}" /var/log/apt-get 2>/dev/null && printf installed
