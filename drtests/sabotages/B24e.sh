# shellcheck shell=sh disable=SC2154
# As if nobody had pruned anything for a quarter: the time at which a snapshot came in is what is judged by.
inject() {
    snapshot=$(find /srv/backup/restic -path '*/snapshots/*' -type f | sort | head -n 1)
    echo "$snapshot" > "$KEPT/path"
    touch -r "$snapshot" "$KEPT/time"
    touch -d '93 days ago' "$snapshot"
}
revert() {
    touch -r "$KEPT/time" "$(cat "$KEPT/path")"
}
