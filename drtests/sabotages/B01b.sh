# shellcheck shell=sh disable=SC2154
# A dump is sealed: what is changed is what its job wrote down of it.
inject() {
    where=$(find /var/lib/secondsite/backup/digests -name 'databases-*' -printf '%T@ %p\n' | sort -n | tail -n 1 | cut -d ' ' -f 2)
    echo "$where" > "$KEPT/where"
    cp -a "$where" "$KEPT/record"
    python3 - "$where" << 'END'
import json, sys
with open(sys.argv[1], "r+") as file:
    record = json.load(file)
    record["holds"]["billing"]["databases"]["shop"]["secondsite.customers"] += 1
    file.seek(0)
    json.dump(record, file)
    file.truncate()
END
    systemctl start --no-block secondsite-verify@snapshots
}
revert() {
    systemctl stop secondsite-verify@snapshots
    cp -a "$KEPT/record" "$(cat "$KEPT/where")"
    systemctl start --no-block secondsite-verify@snapshots
}
