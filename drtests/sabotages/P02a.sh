# shellcheck shell=sh disable=SC2154
inject() {
    cp -a /var/lib/secondsite-standby "$KEPT/"
    for copy in /var/lib/secondsite-standby/*.tgz; do
        truncate -s "$(($(stat -c %s "$copy") / 2))" "$copy"
    done
}
revert() {
    cp -a "$KEPT/secondsite-standby/." /var/lib/secondsite-standby/
}
