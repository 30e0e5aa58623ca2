# shellcheck shell=sh disable=SC2154
settings=/etc/secondsite-pager/settings.json
inject() {
    cp -a "$settings" "$KEPT/"
    sed -i '/"senders": \[/,/\]/s/"web-/"no-web-/' "$settings"
    ! cmp -s "$settings" "$KEPT/settings.json"
    systemctl restart secondsite-pager
}
revert() {
    mv "$KEPT/settings.json" "$settings"
    systemctl restart secondsite-pager
}
