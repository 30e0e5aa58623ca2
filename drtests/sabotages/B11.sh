# shellcheck shell=sh disable=SC2154
inject() {
    cp -a /var/lib/secondsite-standby/*.escrow "$KEPT/escrow"
    rm /var/lib/secondsite-standby/*.escrow/*.age
}
revert() {
    cp -a "$KEPT/escrow/." /var/lib/secondsite-standby/*.escrow/
}
