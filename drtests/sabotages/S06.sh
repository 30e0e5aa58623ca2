# shellcheck shell=sh disable=SC2154
inject() {
    cp -a /etc/ssh/secondsite/user_ca.pub "$KEPT/"
    cat /etc/ssh/ssh_host_ed25519_key.pub >> /etc/ssh/secondsite/user_ca.pub
}

revert() {
    cat "$KEPT/user_ca.pub" > /etc/ssh/secondsite/user_ca.pub
}
