# shellcheck shell=sh disable=SC2154
inject() {
    cp -a /etc/shop/settings.json "$KEPT/"
    here=$(sed -n 's/.*"host": "\(.*\)".*/\1/p' /etc/shop/settings.json | head -n 1)
    there=$(echo "$here" | sed 's/dc2/dc1/')
    sed -i "s/$here/$there/; s/$(address "$here")/$(address "$there")/" /etc/shop/settings.json
}

revert() {
    mv "$KEPT/settings.json" /etc/shop/settings.json
}
