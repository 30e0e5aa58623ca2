# shellcheck shell=sh disable=SC2154
inject() {
    mv /etc/ssh/ssh_host_ed25519_key-cert.pub "$KEPT/"
    systemctl reload ssh
}

revert() {
    mv "$KEPT/ssh_host_ed25519_key-cert.pub" /etc/ssh/ssh_host_ed25519_key-cert.pub
    systemctl reload ssh
}
