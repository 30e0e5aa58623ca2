# shellcheck shell=sh disable=SC2154
inject() {
    cp -a /etc/hosts "$KEPT/"
    sed -i "s/^[0-9.]* db-dc2 /$(address db-dc1) db-dc2 /" /etc/hosts
}

revert() {
    cat "$KEPT/hosts" > /etc/hosts
}
