# shellcheck shell=sh disable=SC2154
inject() {
    systemd-run --quiet --unit=plain-http python3 -m http.server --directory /var/empty --bind "$(address "$SELF")" 8080
}

revert() {
    systemctl stop plain-http
}
