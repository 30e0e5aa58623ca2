# shellcheck shell=sh disable=SC2154
# What was destroyed is asked for at a moment after its destruction.
where=$(find /srv/backup/pgbackrest/archive/billing/tallies -name '*.json' -printf '%T@ %p\n' | sort -n | tail -n 1 | cut -d ' ' -f 2)
again() {
    systemctl stop secondsite-verify@newest
    systemctl start --no-block secondsite-verify@newest
}
inject() {
    echo "$where" > "$KEPT/where"
    cp -a "$where" "$KEPT/tally"
    python3 - "$where" << 'END'
import datetime, json, sys
with open(sys.argv[1], "r+") as file:
    tally = json.load(file)
    before = datetime.datetime.fromisoformat(tally["loss"]["before"]) + datetime.timedelta(seconds=1.01)
    tally["loss"]["before"] = str(before)
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
