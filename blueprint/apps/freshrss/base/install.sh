#!/bin/sh
# Init container: creates the data folders and, the first time, the installation and its
# first user. Exit code 3 of FreshRSS means "is there already".
set -eu

php -f ./cli/prepare.php

once() {
  code=0
  "$@" || code=$?
  if [ "$code" -ne 0 ] && [ "$code" -ne 3 ]; then
    exit "$code"
  fi
}

once php -f ./cli/do-install.php -- \
  --default-user "$ADMIN_USER" \
  --auth-type form \
  --environment production \
  --base-url "$BASE_URL" \
  --language en \
  --title FreshRSS \
  --api-enabled \
  --disable-update \
  --db-type pgsql \
  --db-host freshrss-postgresql \
  --db-base freshrss \
  --db-user freshrss \
  --db-password "$DB_PASSWORD"

once php -f ./cli/create-user.php -- \
  --user "$ADMIN_USER" \
  --password "$ADMIN_PASSWORD" \
  --language en
