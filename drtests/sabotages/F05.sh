# shellcheck shell=sh disable=SC2154
inject() {
    psql -X -q -v ON_ERROR_STOP=1 -h /var/run/postgresql -p 5432 -U postgres -d postgres -c "ALTER SYSTEM SET work_mem = '1MB'"
    psql -X -q -o /dev/null -v ON_ERROR_STOP=1 -h /var/run/postgresql -p 5432 -U postgres -d postgres -c "SELECT pg_reload_conf()"
}

revert() {
    psql -X -q -v ON_ERROR_STOP=1 -h /var/run/postgresql -p 5432 -U postgres -d postgres -c "ALTER SYSTEM RESET work_mem"
    psql -X -q -o /dev/null -v ON_ERROR_STOP=1 -h /var/run/postgresql -p 5432 -U postgres -d postgres -c "SELECT pg_reload_conf()"
}
