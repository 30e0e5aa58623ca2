# shellcheck shell=sh disable=SC2154
inject() {
    mv /var/lib/secondsite-standby "$KEPT/"
}
revert() {
    mv "$KEPT/secondsite-standby" /var/lib/
}
