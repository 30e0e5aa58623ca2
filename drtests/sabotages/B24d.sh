# shellcheck shell=sh disable=SC2154
# The customer who is always on hold, for drills, may order: a restore of a copy from before the hold looks like that.
ask() {
    runuser -u postgres -- psql -X -q -A -t -p 5432 -d shop -v ON_ERROR_STOP=1 -f -
}
inject() {
    echo "COPY (SELECT * FROM secondsite.holds) TO STDOUT" | ask > "$KEPT/rows"
    echo "DELETE FROM secondsite.holds" | ask
}
revert() {
    { echo 'COPY secondsite.holds FROM STDIN;'; cat "$KEPT/rows"; echo '\.'; } | ask
}
