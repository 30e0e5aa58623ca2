# shellcheck shell=sh disable=SC2154
inject() {
    cp -a /etc/shop/settings.json $KEPT/settings.json
    sed -i 's/db-dc2/db-dc1/; s/198\.18\.2\.20/198.18.1.20/' /etc/shop/settings.json
}
revert() {
    mv $KEPT/settings.json /etc/shop/settings.json
}
