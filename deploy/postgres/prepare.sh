#!/bin/sh
# Makes the two databases and the roles on a PostgreSQL server. Run as its administrator, by the PG… variables or inside
# the postgres image, which starts it once on an empty volume. Safe to repeat: passwords are set anew where given.
set -eu
cd "$(dirname "$0")"
[ -d /etc/selo/postgres ] && cd /etc/selo/postgres

administrator="${POSTGRES_USER:-${PGUSER:-postgres}}"
run() { psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username "$administrator" "$@"; }

for name in selo dagster; do
    if [ -z "$(run --dbname postgres --tuples-only --no-align -c "SELECT 1 FROM pg_database WHERE datname = '$name'")" ]; then
        run --dbname postgres -c "CREATE DATABASE $name"
    fi
done
run --dbname selo --file roles.sql
run --dbname dagster --file dagster.sql
run --dbname postgres --file passwords.sql
