#!/bin/sh
# The variables that the real image reads: POSTGRES_USER, POSTGRES_DB, POSTGRES_PASSWORD, POSTGRES_HOST_AUTH_METHOD.
set -eu
if [ -z "${POSTGRES_PASSWORD:-}" ] && [ "${POSTGRES_HOST_AUTH_METHOD:-}" != trust ]; then
  echo 'Error: Database is uninitialized and superuser password is not specified.' >&2
  exit 1
fi
user=${POSTGRES_USER:-postgres}
method=${POSTGRES_HOST_AUTH_METHOD:-scram-sha-256}
install -d -o postgres -g postgres -m 700 "$PGDATA"
as() { setpriv --reuid=postgres --regid=postgres --init-groups "$@"; }
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  printf '%s' "${POSTGRES_PASSWORD:-unused}" >/tmp/password
  chown postgres /tmp/password
  as initdb --username "$user" --pwfile /tmp/password --auth-local trust --auth-host "$method" --no-sync >/dev/null
  rm /tmp/password
  echo "host all all all $method" >>"$PGDATA/pg_hba.conf"
  # Nobody but this script connects before the database is there: the port opens only afterwards.
  as pg_ctl --silent --wait --options "-c listen_addresses='' -c unix_socket_directories=/tmp" start
  if [ "${POSTGRES_DB:-$user}" != postgres ]; then
    createdb --host /tmp --username "$user" --maintenance-db postgres "${POSTGRES_DB:-$user}"
  fi
  as pg_ctl --silent --wait stop
fi
exec setpriv --reuid=postgres --regid=postgres --init-groups "$@" -c "listen_addresses=*" -c unix_socket_directories=/tmp
