# shellcheck shell=sh disable=SC2154
inject() {
    cp -a /etc/postfix/main.cf "$KEPT/"
    echo 'defer_transports = virtual' >> /etc/postfix/main.cf
    postfix reload
}
revert() {
    mv "$KEPT/main.cf" /etc/postfix/
    postfix reload
    postqueue -f
}
