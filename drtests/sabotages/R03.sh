# shellcheck shell=sh disable=SC2154
inject() {
    psql -X -q -v ON_ERROR_STOP=1 -h /var/run/postgresql -p 5432 -U postgres -d postgres -c "ALTER ROLE shop SET synchronous_commit = 'local'"
}

revert() {
    psql -X -q -v ON_ERROR_STOP=1 -h /var/run/postgresql -p 5432 -U postgres -d postgres -c "ALTER ROLE shop RESET synchronous_commit"
}
