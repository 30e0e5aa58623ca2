# shellcheck shell=sh disable=SC2154
inject() {
    psql -X -q -v ON_ERROR_STOP=1 -h /var/run/postgresql -p 5432 -U postgres -d postgres -c "UPDATE pg_database SET datcollversion = '2.0' WHERE datname = 'shop'"
}

revert() {
    psql -X -q -v ON_ERROR_STOP=1 -h /var/run/postgresql -p 5432 -U postgres -d postgres -c "ALTER DATABASE shop REFRESH COLLATION VERSION"
}
