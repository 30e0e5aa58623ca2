# shellcheck shell=sh disable=SC2154
inject() {
    cp -a /var/lib/dpkg/status "$KEPT/"
    sed -i '/^Package: openssl$/,/^$/ s/^Version: .*/Version: 0.1/' /var/lib/dpkg/status
}

revert() {
    mv "$KEPT/status" /var/lib/dpkg/status
}
