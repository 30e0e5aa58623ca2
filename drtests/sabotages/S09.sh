# shellcheck shell=sh disable=SC2154
inject() {
    cp -a /etc/shop/secrets.json "$KEPT/"
    sed -i 's/"billing_password": "/"billing_password": "old-/' /etc/shop/secrets.json
}

revert() {
    mv "$KEPT/secrets.json" /etc/shop/secrets.json
}
