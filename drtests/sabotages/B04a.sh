# shellcheck shell=sh disable=SC2154
door=/usr/local/lib/secondsite-pager/pager/door.py
inject() {
    cp -a "$door" "$KEPT/"
    sed -i 's/^\( *\)disk.place(self.server.received .*/\1pass/' "$door"
    ! cmp -s "$door" "$KEPT/door.py"
    systemctl restart secondsite-pager
}
revert() {
    mv "$KEPT/door.py" "$door"
    systemctl restart secondsite-pager
}
