# shellcheck shell=sh disable=SC2154
# Another bit in the middle of a file; its owner, rights and size stay as they were.
flip() {
    python3 -c 'import sys
with open(sys.argv[1], "r+b") as file:
    file.seek(0, 2)
    middle = file.tell() // 2
    file.seek(middle)
    bit = bytes([file.read(1)[0] ^ 1])
    file.seek(middle)
    file.write(bit)' "$1"
}
again() {
    systemctl stop secondsite-verify@newest
    systemctl start --no-block secondsite-verify@newest
}
inject() {
    where=$(find /srv/backup/pgbackrest/backup/billing/*/bundle -type f -printf '%s %p\n' | sort -n | tail -n 1 | cut -d ' ' -f 2)
    echo "$where" > "$KEPT/where"
    cp -a "$where" "$KEPT/file"
    flip "$where"
    again
}
revert() {
    cp -a "$KEPT/file" "$(cat "$KEPT/where")"
    again
}
