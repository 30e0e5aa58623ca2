# shellcheck shell=sh disable=SC2154
# A backup is sealed: what is changed is what its cluster held, as its standby's host told.
where=$(find /srv/backup/pgbackrest/archive/billing/tallies -name '*.json' -printf '%T@ %p\n' | sort -n | tail -n 1 | cut -d ' ' -f 2)
again() {
    systemctl stop secondsite-verify@newest
    systemctl start --no-block secondsite-verify@newest
}
inject() {
    echo "$where" > "$KEPT/where"
    cp -a "$where" "$KEPT/tally"
    python3 - "$where" << 'END'
import json, sys
with open(sys.argv[1], "r+") as file:
    tally = json.load(file)
    tally["databases"]["shop"]["secondsite.customers"]["rows"] += 1
    file.seek(0)
    json.dump(tally, file)
    file.truncate()
END
    again
}
revert() {
    cp -a "$KEPT/tally" "$(cat "$KEPT/where")"
    again
}
