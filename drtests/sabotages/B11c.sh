# shellcheck shell=sh disable=SC2154
opened=$(find /var/lib/secondsite-standby/ -maxdepth 1 -name '*.escrow')/opened.json
inject() {
    mv "$opened" "$KEPT/opened"
}
revert() {
    mv "$KEPT/opened" "$opened"
}
