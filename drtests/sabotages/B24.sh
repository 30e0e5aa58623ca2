# shellcheck shell=sh disable=SC2154
# Erase somebody who exists for that only, then bring the row back with its id, as an older copy of the database would.
ask() {
    runuser -u postgres -- psql -X -q -A -t -p 5432 -d shop -v ON_ERROR_STOP=1 -f -
}
inject() {
    printf 'sabotaged password' | accountctl open sabotaged-b24
    echo "COPY (SELECT * FROM secondsite.customers WHERE name = 'sabotaged-b24') TO STDOUT" | ask > "$KEPT/row"
    accountctl erase sabotaged-b24 'planted fault B24'
    { echo 'COPY secondsite.customers FROM STDIN;'; cat "$KEPT/row"; echo '\.'; } | ask
}
revert() {
    echo "DELETE FROM secondsite.customers WHERE name = 'sabotaged-b24'" | ask
}
